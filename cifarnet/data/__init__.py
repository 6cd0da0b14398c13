"""CIFAR-10 and its synthetic twin: found, checked, split and normalised."""

from cifarnet.data.dataset import Dataset, Split, load
from cifarnet.data.pictures import picture, pictures

__all__ = ["Dataset", "Split", "load", "picture", "pictures"]
