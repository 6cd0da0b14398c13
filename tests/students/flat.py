# ruff: noqa
import numpy as np

def unpack(theta, d, m, K):
    W1, b1, W2, b2 = np.split(theta, np.cumsum([m * d, m, K * m]))
    return W1.reshape(m, d), b1.reshape(m, 1), W2.reshape(K, m), b2.reshape(K, 1)

def forward(X, theta, d, m, K):
    W1, b1, W2, b2 = unpack(theta, d, m, K)
    H = np.maximum(W1 @ X + b1, 0)
    S = W2 @ H + b2
    return np.exp(S) / np.exp(S).sum(axis=0), H

def compute_cost(theta, X, Y, lam, d, m, K):
    W1, b1, W2, b2 = unpack(theta, d, m, K)
    P, H = forward(X, theta, d, m, K)
    return -np.log((Y * P).sum(axis=0)).mean() + lam * ((W1**2).sum() + (W2**2).sum())

def compute_gradients(theta, X, Y, lam, d, m, K):
    W1, b1, W2, b2 = unpack(theta, d, m, K)
    P, H = forward(X, theta, d, m, K)
    G = (P - Y) / X.shape[1]
    gW2, gb2 = G @ H.T + 2 * lam * W2, G.sum(axis=1)
    G = (W2.T @ G) * (H > 0)
    gW1, gb1 = G @ X.T + 2 * lam * W1, G.sum(axis=1)
    return np.concatenate([gW1.ravel(), gb1, gW2.ravel(), gb2])
