# ruff: noqa
import numpy as np
import a_library_that_is_not_installed

def LoadBatch(name):
    return np.load(name)

trainX, trainY = LoadBatch("data_batch_1")
K = 10
print("training")

def ApplyNetwork(X, network):
    W1, W2 = network["W"]
    s1 = W1 @ X + network["b"][0]
    h = np.maximum(0, s1)
    s = W2 @ h + network["b"][1]
    P = np.exp(s) / np.sum(np.exp(s), axis=0)
    return P, {"s1": s1, "h": h}

def ComputeLoss(P, y):
    return -np.mean(np.log(P[y, np.arange(P.shape[1])]))

def BackwardPass(X, Y, P, fp_data, network, lam):
    n = X.shape[1]
    grads = {"W": [0, 0], "b": [0, 0]}
    G = -(Y - P)
    grads["W"][1] = G @ fp_data["h"].T / n + 2 * lam * network["W"][1]
    grads["b"][1] = np.mean(G, axis=1, keepdims=True)
    G = network["W"][1].T @ G * (fp_data["s1"] > 0)
    grads["W"][0] = G @ X.T / n + 2 * lam * network["W"][0]
    grads["b"][0] = np.mean(G, axis=1, keepdims=True)
    return grads

net = ApplyNetwork(trainX, None)
