"""CIFAR-10 and synthetic data: found, checked, split and normalised; and a user's own pictures."""

from cifarnet.data.dataset import Dataset, Datasets, Pixels, Split, fingerprints, load
from cifarnet.data.places import available, find, info, verify

__all__ = ["Dataset", "Datasets", "Pixels", "Split", "available", "find", "fingerprints", "info", "load", "verify"]
