# ruff: noqa
import numpy as np

def evaluate(X, Ws, bs):
    H = [X]
    for W, b in zip(Ws, bs):
        S = W @ H[-1] + b
        H.append(np.maximum(S, 0))
    return np.exp(S) / np.exp(S).sum(axis=0), H[:-1]

def compute_cost(X, Y, Ws, bs, lam):
    P, _ = evaluate(X, Ws, bs)
    return -np.log((P * Y).sum(axis=0)).mean() + lam * sum((W**2).sum() for W in Ws)

def compute_grads(X, Y, Ws, bs, lam):
    P, H = evaluate(X, Ws, bs)
    G, n = P - Y, X.shape[1]
    grad_W, grad_b = [None] * len(Ws), [None] * len(Ws)
    for i in range(len(Ws) - 1, -1, -1):
        grad_W[i] = G @ H[i].T / n + 2 * lam * Ws[i]
        grad_b[i] = G.sum(axis=1) / n
        G = (Ws[i].T @ G) * (H[i] > 0)
    return grad_W, grad_b
