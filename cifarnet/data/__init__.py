"""CIFAR-10 and its synthetic twin: found, checked, split and normalised."""

from cifarnet.data.dataset import Dataset, Split, load

__all__ = ["Dataset", "Split", "load"]
