"""CIFAR-10 and its synthetic twin: found, checked, split and normalised."""

from cifarnet.data.dataset import Dataset, Split, fingerprints, load
from cifarnet.data.pictures import picture, pictures
from cifarnet.data.release import available

__all__ = ["Dataset", "Split", "available", "fingerprints", "load", "picture", "pictures"]
