# ruff: noqa
import numpy as np

def forward(X, params):
    H = np.maximum(X @ params["W1"] + params["b1"], 0)
    S = H @ params["W2"] + params["b2"]
    E = np.exp(S - S.max(axis=1, keepdims=True))
    return E / E.sum(axis=1, keepdims=True), H

def loss(X, y, params, reg):
    P, H = forward(X, params)
    n = len(y)
    return -np.log(P[np.arange(n), y]).sum() / n + reg * ((params["W1"]**2).sum() + (params["W2"]**2).sum())

def backprop(X, y, params, reg=0.0):
    P, H = forward(X, params)
    n = len(y)
    dS = P.copy()
    dS[np.arange(n), y] -= 1
    dS /= n
    grads = {"W2": H.T @ dS + 2 * reg * params["W2"], "b2": dS.sum(axis=0)}
    dH = dS @ params["W2"].T
    dH[H <= 0] = 0
    grads["W1"] = X.T @ dH + 2 * reg * params["W1"]
    grads["b1"] = dH.sum(axis=0)
    return grads
