"""A run as Python and notebooks have it."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifarnet import config, pages, plots, readable, runs
from cifarnet.config import Settings
from cifarnet.errors import CifarnetError, RunError
from cifarnet.experiments import evaluate
from cifarnet.experiments import train as experiment
from cifarnet.experiments.train import Training
from cifarnet.pages import render
from cifarnet.runs import FORMATS
from cifarnet.search import study as studies

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray


class Run(runs.Run):
    """A run folder, read when something of it is asked for; a training can be resumed, evaluated and drawn.

    A notebook shows its result, its curves, and the settings that are not as by default.
    """

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.status})"

    def _repr_html_(self) -> str:
        scores, figure = render.view(self).scores, ""
        with contextlib.suppress(CifarnetError):  # it has not got so far, or is damaged
            for name in {"curves", "range-test", "search"} & {*self.figures}:  # one, if any
                picture = pages.data_uri(plots.render(self.draw(name), "png"))
                figure = f'<img src="{picture}" alt="{name}" style="max-width: 605px">'
        rows = "".join(f"<tr><td>{html.escape(key)}</td><td>{html.escape(value)}</td></tr>" for key, value in
                       self.differing.items())  # fmt: skip
        lines = "".join(f"<br>{html.escape(score)} {html.escape(what)}" for score, what in scores)
        title = f"<b>{html.escape(self.name)}</b>: {html.escape(self.status)}"
        return f"<div><p>{title}{lines}</p>{figure}<table>{rows}</table></div>"

    @property
    def differing(self) -> dict[str, str]:
        """The settings that are not as by default, as text by dotted key; none of a damaged run."""
        try:
            own = config.flatten(config.plain(self.settings))
        except CifarnetError:
            return {}
        default = config.flatten(config.plain(Settings()))
        keys = [key for key, value in own.items() if value != default.get(key) and not key.startswith("search")]
        return {key: readable.shown(own[key]) for key in keys}

    def predict(self, images: ArrayLike) -> NDArray[np.float32]:
        """Return the probabilities of the classes (n, K) of images; see `Model.predict`."""
        return self.classifier.predict(images)

    @property
    def figures(self) -> list[str]:
        """The names of what `draw` can draw of it."""
        return [name for name, spec in plots.FIGURES.items() if spec.available(self)]

    @property
    def trials(self) -> list[dict[str, Any]]:
        """Of a search, the completed trials, the best first: index, values, accuracies (fractions); else RunError."""
        return studies.read(self).standings()

    def evaluate(self, split: str = "test", data_dir: str | Path | None = None, **how: Any) -> dict[str, Any]:
        """Return accuracy, loss, per-class figures and confusions on ``train``, ``validation`` or ``test``.

        ``how`` is as of `cifarnet.experiments.evaluate.evaluate`: checkpoint, cycles, flips, shifts, threads, formats.
        """
        if split not in ("train", "validation", "test"):
            raise ValueError(f"no split {split}; there are train, validation and test")
        return evaluate.evaluate([self], split, path_of(data_dir), **how).summary

    def resume(
        self, data_dir: str | Path | None = None, threads: int | None = None, formats: Sequence[str] = FORMATS
    ) -> Training:
        """Go on with a training that was stopped, by default on as many threads as it began with.

        Raises
        ------
        DataError, RunError
            If a living process has it, it cannot be read, it is no training, or it would become another one.
        ValueError
            If there is no such format.
        """
        if self.kind == "search":
            raise RunError(f"{self.path}: a search goes on with cifarnet.search(resume={self.name!r})")
        return experiment.resume(self, data_dir=path_of(data_dir), threads=threads, formats=formats_of(formats))

    def draw(self, name: str | None = None, axes: Any = None) -> Figure:
        """Draw one of `figures`, by default the first, on given axes or as a figure that a notebook shows.

        ``curves`` take three axes, the others one; ``search`` and ``range-test`` have figures of their own. The
        functions of `cifarnet.plots` draw these and more from arrays. ValueError if there is no such figure.
        """
        name = name or next(iter(self.figures), "")
        if name not in plots.FIGURES:
            raise ValueError(f"no figure {name!r}; of this run there are {', '.join(self.figures)}")
        figure = plots.FIGURES[name].draw(self, axes=axes)
        return plots.stamp(figure) if self.is_synthetic and axes is None else figure


def load(name: runs.Run | str | Path = "latest", runs_dir: str | Path = "runs") -> Run:
    """Find a run by its folder, by a unique beginning of its name, or by ``latest``.

    Raises
    ------
    RunError
        If there is none, or more than one.
    """
    return Run(name.path if isinstance(name, runs.Run) else runs.Run.find(str(name), Path(runs_dir)).path)


def formats_of(formats: Sequence[str]) -> tuple[str, ...]:
    """Return the formats of figures, of which one may be a text by itself."""
    found = (formats,) if isinstance(formats, str) else tuple(formats)
    if wrong := [name for name in found if name not in ("png", "svg", "pdf")]:
        raise ValueError(f"no format {', '.join(wrong)}; there are png, svg and pdf")
    return found


def path_of(folder: str | Path | None) -> Path | None:
    return None if folder is None else Path(folder)
