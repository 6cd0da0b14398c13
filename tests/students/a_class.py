# ruff: noqa
import numpy as np

class Network:
    def __init__(self, d, m, K, lamda=0.0):
        self.W1, self.b1 = np.random.randn(m, d), np.zeros((m, 1))
        self.W2, self.b2 = np.random.randn(K, m), np.zeros((K, 1))
        self.lamda = lamda

    def forward(self, X):
        self.h = np.maximum(self.W1 @ X + self.b1, 0)
        s = self.W2 @ self.h + self.b2
        self.p = np.exp(s) / np.exp(s).sum(axis=0)
        return self.p

    def cost(self, X, Y):
        p = self.forward(X)
        return -np.log((Y * p).sum(axis=0)).mean() + self.lamda * ((self.W1**2).sum() + (self.W2**2).sum())

    def backward(self, X, Y):
        n = X.shape[1]
        g = self.p - Y
        dW2, db2 = g @ self.h.T / n + 2 * self.lamda * self.W2, g.mean(axis=1, keepdims=True)
        g = self.W2.T @ g * (self.h > 0)
        dW1, db1 = g @ X.T / n + 2 * self.lamda * self.W1, g.mean(axis=1, keepdims=True)
        return dW2, db2, dW1, db1
