"""cifarnet: reproducible experiments with small NumPy networks on CIFAR-10."""

__version__ = "0.1.0"
