"""Check the gradient that trains, by the very code of an update, against numerical gradients of the cost."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cifarnet import config, data, pages, training
from cifarnet.config import Settings
from cifarnet.data import Split
from cifarnet.errors import ConfigError
from cifarnet.experiments.train import create
from cifarnet.nn.augmentation import Augmentation
from cifarnet.nn.gradcheck import STEPS, TOLERANCES, Derivative, Errors, compare, derivatives
from cifarnet.nn.network import Array, forward, named_views, weight_count
from cifarnet.nn.random import generator
from cifarnet.runs import Run
from cifarnet.training import State

LAMBDAS = (0.0, 0.1)  # a wrong L2 term shows at the second only
SQUARE = (10, 10)  # hidden layers with square weight matrices, in which a missing transpose has no wrong shape
BIAS = 0.1  # standard deviation; at biases of 0 an L2 term on them does not show


@dataclass(frozen=True, eq=False)
class Problem:
    """The cost of a network on a batch of images as a function of theta, in float64.

    The gradient is that of the second of two updates: what the batch ``before`` leaves in the buffers must not matter.
    """

    settings: Settings
    theta: Array
    images: Split
    before: Split

    def probe(self, theta: Array) -> tuple[Any, Array]:
        """Return loss and L2 term, and on which side of every kink they are: of each node's ReLU, of the loss."""
        (X, y), sizes, training = self.images, self.settings.sizes, self.settings.training
        loss, l2 = training.loss_function, training.l2
        _, *H, Z = forward(theta, sizes, X, training.dropout.hidden_masks(sizes, len(y), self.settings.seed, 0))
        kinks = np.concatenate([*(h.real.ravel() > 0 for h in H), loss.kinks(Z, y)])
        return np.array([loss.values(Z, y).mean(), l2.cost(theta[: weight_count(sizes)])]), kinks

    def derivatives(self, method: str, h: float | None = None) -> Iterator[Derivative]:
        """Yield the numerical gradient, coordinate by coordinate; without a step h, by the method's own."""
        return derivatives(self.probe, self.theta, method, h or STEPS[method])

    def gradient(self) -> dict[str, Array]:
        """Return the gradient that trains, by the very code of an update."""
        g = training.gradient(self.settings, self.theta, self.images, self.before)
        return named_views(g, self.settings.sizes)

    def errors(self, numerical: Sequence[Derivative]) -> list[Errors]:
        """Compare the gradient with a numerical one, parameter by parameter."""
        parts = np.array([d.value for d in numerical]), np.array([d.crossed for d in numerical])
        ga, (gn, crossed) = self.gradient(), (named_views(part, self.settings.sizes) for part in parts)
        return [compare(name, ga[name], gn[name], crossed[name]) for name in ga]


def problem(
    settings: Settings, split: Split, samples: int, *, random_samples: bool = False, random_biases: bool = False
) -> Problem:
    """Return the settings' initial network on the first images of a split, or on images drawn at random.

    Dropout has the masks of the first update; augmentation is left out. ConfigError if there are too few images.
    """
    n = len(split.y)
    if not 1 <= samples <= n:
        raise ConfigError(f"samples = {samples}: there are {n} training images")
    rng = generator(settings.seed, "samples")
    chosen = rng.choice(n, samples, replace=False) if random_samples else np.arange(samples)

    def batch(rows: Array) -> Split:
        X = split.X[rows].astype(np.float64)
        settings.training.dropout.drop_inputs(X, settings.seed, 0)
        return Split(X, split.y[rows])

    theta, count = State.initial(settings, dtype=np.float64).theta, weight_count(settings.sizes)
    if random_biases:
        theta[count:] = BIAS * generator(settings.seed, "init", 1).standard_normal(len(theta) - count)
    return Problem(settings, theta, batch(chosen), batch((chosen + samples) % n))


def check(
    settings: Settings,
    *,
    dims: int | None = None,
    lambdas: Sequence[float] | None = None,
    methods: Sequence[str] = ("centred",),
    samples: int = 20,
    random_samples: bool = False,
    step: float | None = None,
    runs_dir: Path = Path("runs"),
    data_dir: Path | None = None,
    threads: int = 1,
) -> GradientCheck:
    """Make the run folder of a gradient check: with each lambda, of the settings' network and of one of square layers.

    ``dims`` inputs are taken, by default those of data.dims, or else 20. Without lambdas it is the settings', or where
    that is 0, 0 and 0.1. ``step`` is h; None takes each method's own. Augmentation is left out.
    """
    own = settings.training.lam
    always = {"data.dims": dims or settings.data.dims or 20, "training.augmentation": Augmentation().model_dump()}
    settings = config.override(settings, {"training.lambda": (lambdas or [own])[0]} | always, "gradcheck")
    dataset = data.load(settings.data, data_dir, dtype=np.float64)
    problems = []
    for lam in lambdas or ([own] if own else LAMBDAS):
        for hidden in dict.fromkeys((settings.network.hidden, SQUARE)):
            changes = {"training.lambda": lam, "network.hidden": list(hidden)}
            if hidden != settings.network.hidden:
                changes["network.init"] = "xavier"  # where the settings have a deviation for each of their layers
            changed = config.override(settings, changes, "gradcheck")
            problems.append(problem(changed, dataset.train, samples, random_samples=random_samples, random_biases=True))
    return GradientCheck(problems, methods, step, threads, create(settings, dataset, runs_dir, "gradcheck"))


@dataclass(frozen=True, eq=False)
class GradientCheck:
    """A gradient check about to be made: iterate over it to make it, a derivative at a time; its run has results."""

    problems: Sequence[Problem]
    methods: Sequence[str]
    step: float | None
    threads: int
    run: Run

    def __len__(self) -> int:
        return len(self.methods) * sum(len(problem.theta) for problem in self.problems)

    def __iter__(self) -> Generator[Derivative, None, None]:
        rows: list[dict[str, Any]] = []
        with training.blas_threads(self.threads), pages.live_page(self.run) as refresh:
            for problem, method in itertools.product(self.problems, self.methods):
                numerical = []
                for derivative in problem.derivatives(method, self.step):
                    numerical.append(derivative)
                    refresh()
                    yield derivative
                rows += [row(problem.settings, method, errors) for errors in problem.errors(numerical)]
            results = {
                "passed": all(row["passed"] for row in rows),
                "method": self.methods[0] if len(self.methods) == 1 else list(self.methods),
                "max_relative_error": max(row["max_relative_error"] for row in rows),
                "parameters": rows,
            }
            self.run.finish("completed", results=results)


def row(settings: Settings, method: str, errors: Errors) -> dict[str, Any]:
    """Return the errors of one parameter with the verdict: right within the tolerance of the method, norm-wise."""
    where = {"lambda": settings.training.lam, "hidden": list(settings.network.hidden)}
    verdict = {"tolerance": TOLERANCES[method], "passed": errors.norm_relative_error <= TOLERANCES[method]}
    return {"method": method} | errors._asdict() | where | verdict
