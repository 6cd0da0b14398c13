# ruff: noqa
import numpy as np
from layers import Layer

class Model:
    def __init__(self, sizes, lam):
        self.layers = [Layer(a, b) for a, b in zip(sizes, sizes[1:])]
        self.lam = lam

    def forward(self, X):
        self.H = [X]
        for layer in self.layers:
            S = layer.W @ self.H[-1] + layer.b
            self.H.append(np.maximum(S, 0))
        return np.exp(S) / np.exp(S).sum(axis=0)

    def compute_cost(self, X, Y):
        return -(Y * np.log(self.forward(X))).sum() / X.shape[1] + self.lam * sum((l.W**2).sum() for l in self.layers)

    def compute_gradients(self, X, Y):
        G = self.forward(X) - Y
        for i in reversed(range(len(self.layers))):
            layer = self.layers[i]
            layer.grad_W = G @ self.H[i].T / X.shape[1] + 2 * self.lam * layer.W
            layer.grad_b = G.mean(axis=1)
            G = layer.W.T @ G * (self.H[i] > 0)
