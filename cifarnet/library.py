"""cifarnet as a library: train, load, predict and draw from Python, with the same functions as the command line.

>>> import cifarnet
>>> config = {"data": {"source": "synthetic", "limit": 1000}, "training": {"schedule": {"n_s": 10}}}
>>> training = cifarnet.start(config, label="example")
>>> for record in training:
...     if record.validation:
...         print(record.step, record.validation.accuracy > 0.05)
0 True
2 True
4 True
6 True
8 True
10 True
12 True
14 True
16 True
18 True
20 True
>>> run = cifarnet.load("latest")
>>> run.status, run.settings.training.batch_size
('completed', 100)
>>> sorted(run.records)[:3]
['cycle', 'epoch', 'eta']
>>> run.records["validation_accuracy"].shape
(11,)
>>> import numpy as np
>>> images = np.zeros((2, 32, 32, 3), np.uint8)
>>> run.predict(images).shape
(2, 10)
>>> run.draw("curves").axes[0].get_ylabel()
'cost (loss + λ Σ W²)'
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarnet import config, data, experiment, model, page, parallel, resume, runs
from cifarnet.config import Settings
from cifarnet.data import Dataset
from cifarnet.model import Model
from cifarnet.training import Plan, Record

if TYPE_CHECKING:
    from cifarnet.plots.canvas import Figure

Config = str | Path | Mapping[str, Any] | Settings | None


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A run folder, read when something of it is asked for."""

    path: Path

    @property
    def info(self) -> dict[str, Any]:
        """What run.json says: kind, label, status, results, times."""
        return runs.read(self.path)

    @property
    def status(self) -> str:
        """running, completed, interrupted, diverged, failed, or stale: said to run, but its process is gone."""
        return str(self.info["status"])

    @property
    def results(self) -> dict[str, Any]:
        """Cost, loss and accuracy on each split, and more; empty before the end."""
        return dict(self.info.get("results", {}))

    @cached_property
    def settings(self) -> Settings:
        """All settings, validated."""
        return config.saved(self.path / "config.yaml")

    @property
    def records(self) -> dict[str, NDArray[np.float64]]:
        """The columns of metrics.csv, (n,) each; NaN stands for what was not measured."""
        return runs.read_table(self.path / "metrics.csv")

    @cached_property
    def model(self) -> Model:
        """The network after the last update."""
        return model.load(self.path)

    def predict(self, images: ArrayLike) -> NDArray[np.float32]:
        """The probabilities of the ten classes, (n, 10), of images (n, 3072) or (n, 32, 32, 3); see `Model.predict`."""
        return self.model.predict(images)

    def evaluate(self, split: str = "test", data_dir: Path | None = None) -> dict[str, Any]:
        """Accuracy, loss, per-class figures and confusions on ``train``, ``validation`` or ``test``."""
        return experiment.evaluate(self.path, split, data_dir).summary

    def resume(
        self, data_dir: str | Path | None = None, threads: int | None = None, formats: Sequence[str] = runs.FORMATS
    ) -> Training:
        """Go on with a training that was stopped, with as many threads as it began with unless told otherwise.

        Raises
        ------
        DataError, RunError
            If a living process has it, it cannot be read, or it would become another one.
        """
        threads = threads or runs.threads(runs.read_environment(self.path)) or parallel.cores()
        taken = resume.take(self.path, Path(data_dir) if data_dir else None, threads)
        taken.run.formats = formats
        return Training(taken.settings, taken.dataset, taken.run, threads, taken.changes)

    def draw(self, name: str, axes: Any = None) -> Figure:
        """Draw ``curves`` (on three axes), ``eta`` or ``weights``, on given axes or as a figure of its own.

        The functions of `cifarnet.plots` draw these and more from arrays.

        Raises
        ------
        ValueError
            If there is no figure of that name.
        """
        figure: Figure = experiment.figure(self.path, self.settings, name, axes)
        return figure


@dataclass(frozen=True, eq=False)
class Training:
    """A training about to run: iterate over it to train, record by record; left early, it ends as interrupted.

    `LoadedRun.resume` goes on with it.
    """

    settings: Settings
    dataset: Dataset
    folder: runs.Run
    threads: int
    changes: Sequence[str] = ()  # what of the machine is another than when it began

    def __iter__(self) -> Generator[Record, None, None]:
        with parallel.blas_threads(1), page.page_of(self.folder):
            yield from experiment.execute(self.settings, self.dataset, self.folder, threads=self.threads)

    @property
    def plan(self) -> Plan:
        """What will be done, in update steps."""
        return experiment.plan(self.settings)

    @property
    def run(self) -> LoadedRun:
        """The run folder, also while it is being written."""
        return LoadedRun(self.folder.path)


def start(
    source: Config = None,
    overrides: Sequence[str] = (),
    *,
    runs_dir: str | Path = "runs",
    data_dir: str | Path | None = None,
    threads: int | None = None,
    formats: Sequence[str] = runs.FORMATS,
    **flags: Any,
) -> Training:
    """Read the data and make the run folder of a training; iterating over what is returned trains.

    Parameters
    ----------
    source
        A config file, the name of a shipped config such as ``figure-3``, a dict like one, settings, or None for the
        defaults.
    overrides
        Texts such as ``training.lambda=0.001``.
    threads
        How many share each update; by default one a core. While it is iterated over, the matrix products of the whole
        process have one thread each.
    formats
        ``png``, ``svg`` or both: of the figures.
    **flags
        ``seed`` and ``label``.

    Raises
    ------
    ConfigError, DataError, RunError
        Something is wrong with the config, the images or the folder of runs.
    """
    settings = source if isinstance(source, Settings) else config.load(source, overrides, **flags)
    dataset = data.load(settings.data, Path(data_dir) if data_dir else None)
    threads = threads or parallel.cores()
    run = experiment.start(settings, dataset, Path(runs_dir), threads=threads)
    run.formats = formats
    return Training(settings, dataset, run, threads)


def train(source: Config = None, overrides: Sequence[str] = (), **options: Any) -> LoadedRun:
    """Train to the end and return the run; arguments and errors as of `start`, and Diverged.

    >>> import cifarnet
    >>> run = cifarnet.train("quick", ["data.limit=1000", "training.schedule.n_s=10"])
    >>> run.results["updates"]
    20
    """
    training = start(source, overrides, **options)
    for _ in training:
        pass
    return training.run


def load(name: str | Path = "latest", runs_dir: str | Path = "runs") -> LoadedRun:
    """Find a run by its folder, by a unique beginning of its name, or by ``latest``.

    Raises
    ------
    RunError
        If there is none, or more than one.
    """
    return LoadedRun(runs.find(str(name), Path(runs_dir)))
