"""Smith's range test: between which eta a network learns, from one short training in which eta rises all along."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np

from cifarnet import config, data, pages, plots, training
from cifarnet.config import Settings
from cifarnet.data import Dataset, Split
from cifarnet.errors import ConfigError, Diverged, RunError
from cifarnet.experiments.train import create
from cifarnet.nn.schedules import Anneal, Cyclic, Ramp
from cifarnet.plots.figures import CHOSEN
from cifarnet.plots.style import Floats
from cifarnet.runs import FORMATS, Run
from cifarnet.training import Record, State

IMAGES = 2000  # of the validation images, the first ones: looking at all would take longer than the training
SMOOTH = 5  # points that an accuracy is averaged over
RULE = (
    f"Rule: eta_max is where the validation accuracy, averaged over {SMOOTH} points, is highest; eta_min is where the "
    "accuracy has first come a tenth of the way there from its start."
)


def start(
    settings: Settings,
    ramp: Ramp,
    *,
    hidden: Sequence[tuple[int, ...]] = (),
    lambdas: Sequence[float] = (),
    runs_dir: Path = Path("runs"),
    data_dir: Path | None = None,
    threads: int | None = None,
    formats: Sequence[str] = FORMATS,
) -> RangeTest:
    """Make the run folder of range tests with all combinations of hidden layers and lambdas, by default the settings'.

    ConfigError if the schedule has no range to be found.
    """
    tests, threads = variants(settings, hidden, lambdas), threads or training.cores()
    dataset = data.load(settings.data, data_dir)
    run = create(settings, dataset, runs_dir, "find-eta", threads=threads)
    run.formats = formats
    return RangeTest(tests, dataset, ramp, run, threads)


def variants(settings: Settings, hidden: Sequence[tuple[int, ...]], lambdas: Sequence[float]) -> dict[str, Settings]:
    """Return the settings with all combinations of layers and lambdas, by a name that says which."""
    kind = settings.training.schedule
    if not isinstance(kind, Cyclic | Anneal):
        raise ConfigError(f"training.schedule.kind = {kind.kind}: has no eta_min and eta_max to find; take cyclic")
    found = {}
    for layers, lam in product(hidden or [settings.network.hidden], lambdas or [settings.training.lam]):
        name = f"hidden-{'-'.join(map(str, layers)) or 'none'}-lambda-{lam:.15g}"
        found[name] = config.override(settings, {"network.hidden": list(layers), "training.lambda": lam}, "find-eta")
    return found


@dataclass(eq=False)
class RangeTest:
    """Range tests about to be done: iterate over it to do them, an update at a time.

    The run folder gets the curves of each as a table, and a config with the eta found; ``warnings`` says what could
    not be done beside that.
    """

    tests: Mapping[str, Settings]
    dataset: Dataset
    ramp: Ramp
    run: Run
    threads: int
    warnings: list[str] = field(default_factory=list)

    def __iter__(self) -> Generator[tuple[str, int, int], None, None]:
        """Yield the name of a test, and how many of how many updates are made."""
        found: dict[str, dict[str, float]] = {}
        with training.blas_threads(1), pages.live_page(self.run) as refresh:
            for name, settings in self.tests.items():
                epoch, points, losses = settings.steps_per_epoch, list[dict[str, float]](), list[float]()
                with suppress(Diverged):  # there the test ends
                    for record in self.rising(settings):
                        losses.append(record.batch_loss)
                        if record.validation:
                            eta, loss = self.ramp.eta(max(record.step - 1, 0), epoch), float(np.mean(losses))
                            points.append({"eta": eta, "accuracy": record.validation.accuracy, "loss": loss})
                            self.run.append(points[-1], f"{name}.csv")
                            losses.clear()
                            refresh()
                        yield name, record.step, self.ramp.updates(epoch)
                found[name] = suggest(*(np.array([point[key] for point in points]) for key in ("eta", "accuracy")))
                self.run.write(f"{name}.yaml", config.dump(config.override(settings, found[name], "find-eta")))
            self.run.update(results={"rule": RULE, "found": found})
            self.warnings += plots.draw(self.run)
            self.run.finish("completed")

    def rising(self, settings: Settings) -> Generator[Record, None, None]:
        """Train by the settings, their optimizer, dropout and augmentation included, while eta rises."""
        rising = {"schedule": self.ramp, "average": 0.0}
        settings = settings.changed(training=rising, evaluation={"per_cycle": None})  # measured as the ramp says
        some = replace(self.dataset, validation=Split(*(part[:IMAGES] for part in self.dataset.validation)))
        return training.train(State.initial(settings), some, settings, self.threads, train_scores=False)


def suggest(eta: Floats, accuracy: Floats) -> dict[str, float]:
    """Return the settings to use by the rule, to two digits; of fewer points than a mean takes, raise RunError."""
    if len(eta) < SMOOTH:
        cures = "let eta rise for more epochs or, where the cost was not finite any more, to a lower value"
        raise RunError(f"only {len(eta)} of the {SMOOTH} points that the rule takes: {cures}")
    half = SMOOTH // 2
    best = half + int(np.convolve(accuracy, np.ones(SMOOTH) / SMOOTH, "valid").argmax())
    height = accuracy[best - half : best + half + 1].mean()
    start = int(np.argmax(accuracy[: best + 1] >= accuracy[0] + (height - accuracy[0]) / 10))
    return {key: float(f"{eta[at]:.1e}") for key, at in zip(CHOSEN, (start, best), strict=True)}
