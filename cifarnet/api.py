"""cifarnet in Python: train, load, predict, evaluate and draw, by the functions that the command line calls.

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

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifarnet import config, plots, runs
from cifarnet.config import Settings
from cifarnet.experiments import evaluate
from cifarnet.experiments import train as experiment
from cifarnet.experiments.train import Training as Training
from cifarnet.nn.model import Model as Model
from cifarnet.runs import FORMATS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Config = str | Path | Mapping[str, Any] | Settings | None


class Run(runs.Run):
    """A run folder, read when something of it is asked for; a training can be resumed, evaluated and drawn."""

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.status})"

    def evaluate(self, split: str = "test", data_dir: str | Path | None = None, **how: Any) -> dict[str, Any]:
        """Return accuracy, loss, per-class figures and confusions on ``train``, ``validation`` or ``test``.

        ``how`` is as of `cifarnet.experiments.evaluate.evaluate`: checkpoint, cycles, flips, shifts, threads, formats.
        """
        return evaluate.evaluate([self], split, _path(data_dir), **how).summary

    def resume(
        self, data_dir: str | Path | None = None, threads: int | None = None, formats: Sequence[str] = FORMATS
    ) -> Training:
        """Go on with a training that was stopped, by default on as many threads as it began with.

        Raises
        ------
        DataError, RunError
            If a living process has it, it cannot be read, or it would become another one.
        """
        return experiment.resume(self, data_dir=_path(data_dir), threads=threads, formats=formats)

    def draw(self, name: str, axes: Any = None) -> Figure:
        """Draw ``curves`` (on three axes), ``eta`` or ``weights``, on given axes or as a figure of its own.

        The functions of `cifarnet.plots` draw these and more from arrays. ValueError if there is no such figure.
        """
        if name not in plots.FIGURES:
            raise ValueError(f"no figure {name!r}; there are {', '.join(plots.FIGURES)}")
        return plots.FIGURES[name].draw(self, axes=axes)


def start(
    source: Config = None,
    overrides: Sequence[str] = (),
    *,
    runs_dir: str | Path = "runs",
    data_dir: str | Path | None = None,
    threads: int | None = None,
    formats: Sequence[str] = FORMATS,
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
        How many do each update; by default one a core. While it is iterated over, the matrix products of the whole
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
    where: dict[str, Any] = {"runs_dir": Path(runs_dir), "data_dir": _path(data_dir), "run_class": Run}
    return experiment.start(settings, threads=threads, formats=formats, **where)


def train(source: Config = None, overrides: Sequence[str] = (), **options: Any) -> Run:
    """Train to the end and return the run; arguments and errors as of `start`, and Diverged.

    >>> import cifarnet
    >>> run = cifarnet.train("quick", ["data.limit=1000", "training.schedule.n_s=10"])
    >>> run.results["updates"]
    20
    """
    training = start(source, overrides, **options)
    for _ in training:
        pass
    return Run(training.run.path)


def load(name: str | Path = "latest", runs_dir: str | Path = "runs") -> Run:
    """Find a run by its folder, by a unique beginning of its name, or by ``latest``.

    Raises
    ------
    RunError
        If there is none, or more than one.
    """
    return Run(runs.Run.find(str(name), Path(runs_dir)).path)


def _path(folder: str | Path | None) -> Path | None:
    return None if folder is None else Path(folder)
