"""A trained network with all that it takes to classify pixels: what model.npz of a run folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarnet.nn.network import parameter_count, predict

BLOCK = 500  # images at a time
ARRAYS = ("theta", "sizes", "mean", "std", "classes")


@dataclass(frozen=True, eq=False)
class Model:
    """theta and its layer sizes, the normalisation of its inputs (d,), and the names of the classes."""

    theta: NDArray[Any]
    sizes: tuple[int, ...]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    classes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Model({'-'.join(map(str, self.sizes))}, {len(self.theta):,} parameters)"

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Model:
        """Build a network from the arrays of a file; ValueError says why they are not those of one."""
        theta, sizes, mean, std, classes = (arrays[name] for name in ARRAYS)
        model = cls(theta, tuple(np.atleast_1d(sizes).tolist()), mean, std, tuple(np.atleast_1d(classes).tolist()))
        model.check()
        return model

    def arrays(self, step: int) -> dict[str, NDArray[Any]]:
        """Return what a file holds of the network after ``step`` updates."""
        names = {"sizes": np.array(self.sizes), "mean": self.mean, "std": self.std, "classes": np.array(self.classes)}
        return {"theta": self.theta} | names | {"step": np.array(step)}

    def check(self) -> None:
        """Raise ValueError where the parts do not fit together or are not finite."""
        sizes, inputs = self.sizes, (self.mean, self.std)
        if len(sizes) < 2 or not all(type(n) is int and 0 < n <= 100_000 for n in sizes):
            raise ValueError(f"layers of {sizes} nodes")
        if self.theta.dtype not in (np.float32, np.float64) or self.theta.shape != (parameter_count(sizes),):
            need = parameter_count(sizes)
            raise ValueError(f"theta is {self.theta.dtype}{self.theta.shape}, but its layers take {need:,} numbers")
        if any(part.dtype != np.float64 or part.shape != sizes[:1] for part in inputs):
            raise ValueError(f"mean and std are not of its {sizes[0]} inputs")
        if not all(np.isfinite(part).all() for part in (self.theta, *inputs)) or (self.std <= 0).any():
            raise ValueError("it has values that are not finite, or a standard deviation that is not positive")
        if len(self.classes) != sizes[-1] or not all(isinstance(c, str) and c.isprintable() for c in self.classes):
            raise ValueError(f"it does not name {sizes[-1]} classes")

    def predict(self, images: ArrayLike) -> NDArray[np.float32]:
        """Return the probabilities of the classes (n, K) of images (n, 3072) or (n, 32, 32, 3).

        Pixels are whole numbers from 0 to 255, or fractions from 0 to 1. Rows of 3072 have CIFAR-10's order, the red,
        green and blue planes, each row by row. ValueError if they are not such images.
        """
        X = np.asarray(images)
        if X.shape[1:] not in ((3072,), (32, 32, 3)):
            raise ValueError(f"images have shape {X.shape}; give (n, 3072) or (n, 32, 32, 3)")
        P = [predict(self.theta, self.sizes, self.inputs(X[i : i + BLOCK])) for i in range(0, len(X), BLOCK)]
        return np.concatenate(P) if P else np.empty((0, self.sizes[-1]), self.theta.dtype)

    def inputs(self, images: NDArray[Any]) -> NDArray[Any]:
        """Return pixels as the network sees them: in planes, normalised, (n, d)."""
        if images.shape[1:] == (32, 32, 3):
            images = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        top = 255.0 if np.issubdtype(images.dtype, np.integer) else 1.0
        pixels = images[:, : self.sizes[0]] / top
        if not ((pixels >= 0) & (pixels <= 1)).all():
            raise ValueError("pixels are whole numbers from 0 to 255 or fractions from 0 to 1; these are others")
        return ((pixels - self.mean) / self.std).astype(self.theta.dtype)
