# ruff: noqa
import numpy as np

class Layer:
    def __init__(self, d_in, d_out):
        self.W, self.b = np.random.randn(d_out, d_in), np.zeros((d_out, 1))
        self.grad_W = self.grad_b = None
