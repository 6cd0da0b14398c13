"""Smith's range test: between which eta a network learns, from one short training in which eta rises all along."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cifarnet import config, experiment, plots, schedule
from cifarnet.config import Settings
from cifarnet.config.extras import Anneal
from cifarnet.config.settings import Cyclic
from cifarnet.data import Dataset, Split
from cifarnet.errors import ConfigError, Diverged, RunError
from cifarnet.runs import Run
from cifarnet.training import train

POINTS = 60  # of the curves
IMAGES = 2000  # of the validation images, the first ones: looking at all would take longer than the training
KEYS = ("training.schedule.eta_min", "training.schedule.eta_max")
SMOOTH = 5  # points that an accuracy is averaged over
RULE = (
    f"Rule: eta_max is where the validation accuracy, averaged over {SMOOTH} points, is highest; eta_min is where the "
    "accuracy has first come a tenth of the way there from its start."
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ramp:
    """How eta rises: from low to high in so many epochs, in equal steps or, with log, in equal factors."""

    low: float
    high: float
    epochs: int
    log: bool


@dataclass
class Curves:
    """A range test while it goes on: eta, validation accuracy, mean loss of the batches since the point before."""

    eta: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    diverged: bool = False

    def table(self) -> dict[str, Floats]:
        """The curves as columns."""
        return {name: np.array(getattr(self, name)) for name in ("eta", "accuracy", "loss")}


def follow(
    settings: Settings, dataset: Dataset, ramp: Ramp, curves: Curves, threads: int = 1
) -> Iterator[tuple[int, int]]:
    """Train a network of its own by the settings, their optimiser, dropout and jitter included, while eta rises.

    Yields how many updates of how many are made, and fills the curves. Where a cost is not finite, the test ends.
    """
    updates = ramp.epochs * settings.steps_per_epoch
    eta = partial(schedule.ramp, steps=updates, eta_min=ramp.low, eta_max=ramp.high, log=ramp.log)
    plan = replace(
        experiment.plan(settings, dataset),
        eta=eta,
        updates=updates,
        cycle=updates,
        growth=1,
        per_cycle=POINTS,
        average=0.0,
        train_scores=False,
    )
    some = Split(*(part[:IMAGES] for part in dataset.validation))
    losses: list[float] = []
    try:
        for point in train(experiment.initial(settings), dataset.train, some, plan, threads):
            losses.append(point.batch_loss)
            if point.validation:
                curves.eta.append(eta(max(point.step - 1, 0)))
                curves.accuracy.append(point.validation.accuracy)
                curves.loss.append(float(np.mean(losses)))
                losses.clear()
            yield point.step, updates
    except Diverged:
        curves.diverged = True


def suggest(eta: Floats, accuracy: Floats) -> tuple[float, float]:
    """eta_min and eta_max by the rule; of fewer points than a mean takes, RunError."""
    if len(eta) < SMOOTH:
        raise RunError(f"only {len(eta)} points before the cost was not finite: begin with a lower eta (--from)")
    half = SMOOTH // 2
    best = half + int(np.convolve(accuracy, np.ones(SMOOTH) / SMOOTH, "valid").argmax())
    height = accuracy[best - half : best + half + 1].mean()
    start = int(np.argmax(accuracy >= accuracy[0] + (height - accuracy[0]) / 10))
    return float(eta[start]), float(eta[best])


def flags(eta_min: float, eta_max: float) -> dict[str, float]:
    """The two settings to use, to two digits."""
    return {key: float(f"{value:.1e}") for key, value in zip(KEYS, (eta_min, eta_max), strict=True)}


def variants(settings: Settings, hidden: Sequence[tuple[int, ...]], lambdas: Sequence[float]) -> dict[str, Settings]:
    """The settings with all combinations of layers and lambdas, by a name that tells them apart.

    Raises
    ------
    ConfigError
        If the schedule has no range to be found.
    """
    kind = settings.training.schedule
    if not isinstance(kind, Cyclic | Anneal):
        raise ConfigError(f"training.schedule.kind = {kind.kind}: has no eta_min and eta_max to find; take cyclic")
    found = {}
    for layers in hidden or [settings.network.hidden]:
        for lam in lambdas or [settings.training.lam]:
            values = {"network.hidden": list(layers), "training.lambda": lam}
            name = f"hidden-{'-'.join(map(str, layers)) or 'none'}-lambda-{lam:g}"
            found[name] = config.override(settings, values, "find-eta")
    return found


def execute(
    tests: Mapping[str, Settings], dataset: Dataset, ramp: Ramp, run: Run, threads: int = 1
) -> Iterator[tuple[str, int, int]]:
    """Do the range tests of several settings; write their curves, a figure and a config for each into a run folder.

    Yields the name of a test and how many updates of how many are made. The run's results name the settings to use.
    """
    tables, found = {}, {}
    try:
        for name, settings in tests.items():
            curves = Curves()
            for step, updates in follow(settings, dataset, ramp, curves, threads):
                yield name, step, updates
            tables[name] = curves.table()
            found[name] = flags(*suggest(tables[name]["eta"], tables[name]["accuracy"]))
            for row in zip(*tables[name].values(), strict=True):
                run.append(dict(zip(tables[name], map(float, row), strict=True)), f"{name}.csv")
            run.write(f"{name}.yaml", config.dump(config.override(settings, found[name], "find-eta")))
        chosen = {name: (pair[KEYS[0]], pair[KEYS[1]]) for name, pair in found.items()}
        experiment.save(run, {"range-test": plots.range_test(tables, chosen, log=ramp.log)}, dataset.source)
        run.finish("completed", results={"rule": RULE, "found": found})
    except (GeneratorExit, KeyboardInterrupt):
        run.finish("interrupted")
        raise
    except Exception as error:
        run.finish("failed", error=str(error))
        raise
