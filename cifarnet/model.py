"""A trained network with all that it takes to classify pixels: what model.npz of a run folder holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarnet import network, runs
from cifarnet.errors import RunError

BLOCK = 500  # images at a time


@dataclass(frozen=True, eq=False)
class Model:
    """theta and its layer sizes, the normalisation of its inputs, and the names of the classes."""

    theta: NDArray[Any]
    sizes: tuple[int, ...]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    classes: tuple[str, ...]

    def predict(self, images: ArrayLike) -> NDArray[np.float32]:
        """The probabilities of the classes, (n, K).

        Parameters
        ----------
        images : (n, 3072) or (n, 32, 32, 3)
            Pixels: whole numbers from 0 to 255, or fractions from 0 to 1. Rows of 3072 have CIFAR-10's order, the red,
            green and blue planes, each row by row.

        Raises
        ------
        ValueError
            If they are not such images.
        """
        X = np.asarray(images)
        P = [network.predict(self.theta, self.sizes, self.inputs(X[i : i + BLOCK])) for i in range(0, len(X), BLOCK)]
        return np.concatenate(P) if P else np.empty((0, self.sizes[-1]), self.theta.dtype)

    def inputs(self, images: NDArray[Any]) -> NDArray[Any]:
        """Pixels as the network sees them: in planes, normalised, (n, d)."""
        if images.shape[1:] == (32, 32, 3):
            images = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        if images.ndim != 2 or images.shape[1] != 3072:
            raise ValueError(f"images have shape {images.shape}; give (n, 3072) or (n, 32, 32, 3)")
        top = 255.0 if np.issubdtype(images.dtype, np.integer) else 1.0
        pixels = images[:, : self.sizes[0]] / top
        if not ((pixels >= 0) & (pixels <= 1)).all():
            raise ValueError("pixels are whole numbers from 0 to 255 or fractions from 0 to 1; these are others")
        return ((pixels - self.mean) / self.std).astype(self.theta.dtype)


def load(path: Path, wanted: tuple[int, ...] | None = None, name: str = "model.npz") -> Model:
    """The network of a run folder, of the layer sizes that are wanted, if they are known; ``name`` may be a checkpoint.

    Raises
    ------
    RunError
        If there is none, or it is damaged.
    """
    names = ("theta", "sizes", "mean", "std", "classes")
    theta, sizes, mean, std, classes = runs.read_arrays(path / name, names).values()
    found = Model(theta, tuple(np.atleast_1d(sizes).tolist()), mean, std, tuple(np.atleast_1d(classes).tolist()))
    if why := next(problems(found, wanted), None):
        raise RunError(f"{path / name}: not a network: {why}; train again, or take a checkpoint of the run")
    return found


def problems(model: Model, wanted: tuple[int, ...] | None) -> Iterator[str]:
    """What is wrong with arrays that have been read as a network."""
    sizes, theta, inputs = model.sizes, model.theta, (model.mean, model.std)
    if len(sizes) < 2 or not all(type(n) is int and 0 < n <= 100_000 for n in sizes):
        yield "the sizes of its layers are no positive numbers"
    elif wanted and sizes != wanted:
        yield f"its layers are {sizes}, and those of config.yaml {wanted}"
    elif theta.dtype not in (np.float32, np.float64) or theta.shape != (network.parameter_count(sizes),):
        yield f"theta is {theta.dtype}{theta.shape}, but its layers take {network.parameter_count(sizes):,} numbers"
    elif any(part.dtype != np.float64 or part.shape != sizes[:1] for part in inputs):
        yield f"mean and std are not of its {sizes[0]} inputs"
    elif not all(np.isfinite(part).all() for part in (theta, *inputs)) or (model.std <= 0).any():
        yield "it has values that are not finite, or a standard deviation that is not positive"
    elif len(model.classes) != sizes[-1] or not all(isinstance(c, str) and c.isprintable() for c in model.classes):
        yield f"it does not name {sizes[-1]} classes"
