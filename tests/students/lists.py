# ruff: noqa
import numpy as np

def evaluate_classifier(X, W, b):
    S1 = W[0] @ X + b[0]
    H = np.maximum(S1, 0)
    S = W[1] @ H + b[1]
    P = np.exp(S)
    P = P / P.sum(axis=0)
    return P, H

def compute_cost(X, Y, W, b, lam):
    P, H = evaluate_classifier(X, W, b)
    loss = -np.log((Y * P).sum(axis=0)).mean()
    return loss + lam * (np.sum(W[0]**2) + np.sum(W[1]**2))

def compute_gradients(X, Y, W, b, lam):
    n = X.shape[1]
    P, H = evaluate_classifier(X, W, b)
    G = P - Y
    gW2 = G @ H.T / n + 2 * lam * W[1]
    gb2 = np.sum(G, axis=1, keepdims=True) / n
    G = W[1].T @ G
    G = G * (H > 0)
    gW1 = G @ X.T / n + 2 * lam * W[0]
    gb1 = np.sum(G, axis=1, keepdims=True) / n
    return [gW1, gW2], [gb1, gb2]
