# mypy: ignore-errors
"""A network with one hidden layer in the layout of the course: `cifarnet gradcheck --code my_network.py` checks it.

X is d x n, an image a column; Y is K x n, one-hot; W1 is m x d, b1 is m x 1, W2 is K x m, b2 is K x 1.
"""

import numpy as np


def evaluate_classifier(X, W, b):
    """Return the probabilities P (K x n) and the values H (m x n) of the hidden layer."""
    H = np.maximum(W[0] @ X + b[0], 0)
    S = W[1] @ H + b[1]
    P = np.exp(S - S.max(axis=0))
    return P / P.sum(axis=0), H


def compute_cost(X, Y, W, b, lam):
    """Return the mean cross-entropy plus lambda times the sum of all squared weights."""
    P, _ = evaluate_classifier(X, W, b)
    loss = -np.log((Y * P).sum(axis=0)).mean()
    return loss + lam * sum((Wi**2).sum() for Wi in W)


def compute_gradients(X, Y, W, b, lam):
    """Return the gradients of the cost by W and by b, in lists like W and b."""
    n = X.shape[1]
    P, H = evaluate_classifier(X, W, b)
    G = P - Y
    grad_W2 = G @ H.T / n + 2 * lam * W[1]
    grad_b2 = G.mean(axis=1, keepdims=True)
    G = (W[1].T @ G) * (H > 0)
    grad_W1 = G @ X.T / n + 2 * lam * W[0]
    grad_b1 = G.mean(axis=1, keepdims=True)
    return [grad_W1, grad_W2], [grad_b1, grad_b2]
