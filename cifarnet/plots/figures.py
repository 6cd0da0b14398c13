"""What the folder of a run can draw, from its records alone; and figures in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cifarnet.nn import network
from cifarnet.plots import experiments, lines, pictures, style
from cifarnet.readable import evenly
from cifarnet.runs.trials import stages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cifarnet.runs import Run

ALSO_SVG = ("weights", "mistakes", "error")  # pictures on the run's page, dark on a dark one
CHOSEN = ("training.schedule.eta_min", "training.schedule.eta_max")  # by a range test


def curves(run: Run, axes: Any = None, names: Sequence[str] = tuple(lines.PANELS)) -> Figure:
    return lines.curves(run.records, steps_per_epoch=run.settings.steps_per_epoch, names=names, axes=axes)


def eta(run: Run, axes: Any = None) -> Figure:
    return lines.eta(*eta_of(run, run.settings.updates + 1), steps_per_epoch=run.settings.steps_per_epoch, axes=axes)


def eta_of(run: Run, most: int) -> tuple[style.Ints, style.Floats]:
    """Return the learning rate at the most steps, of all or of some evenly spread."""
    schedule, epoch, last = run.settings.training.schedule, run.settings.steps_per_epoch, run.settings.updates
    practice, steps = run.settings.deviations.practice, evenly(last + 1, most)
    return np.array(steps), np.array([practice.eta(schedule, step, epoch) for step in steps])


def weights(run: Run, axes: Any = None) -> Figure:
    model = run.model
    W1 = network.views(model.theta, model.sizes)[0][0]
    return pictures.weights(W1, classes=None if len(model.sizes) > 2 else model.classes, axes=axes)


def range_test(run: Run, axes: Any = None) -> Figure:
    curves, chosen, log = ramps(run)
    return experiments.range_test(curves, chosen, log=log)


def ramps(run: Run) -> tuple[Mapping[str, Mapping[str, style.Floats]], dict[str, tuple[float, float]], bool]:
    """Return a range test's curves so far by setting, its chosen eta_min and eta_max, and if eta rose by factors."""
    found: Mapping[str, Mapping[str, float]] = run.results.get("found", {})
    curves = {name: run.read_table(f"{name}.csv") for name in found or [p.stem for p in run.path.glob("*.csv")]}
    etas = next(iter(curves.values()))["eta"] if curves else np.ones(1)
    chosen = {name: (pair[CHOSEN[0]], pair[CHOSEN[1]]) for name, pair in found.items()}
    return curves, chosen, bool(etas[len(etas) // 2] < (etas[0] + etas[-1]) / 4)


def search(run: Run, axes: Any = None) -> Figure:
    return experiments.search(stages(run), scales(run))


def scales(run: Run) -> dict[str, bool]:
    """Return the settings that a search varies, and whether the logarithm of each is drawn."""
    space = run.read_json("plan.json")["space"]
    return {key: "log10" in axis or key == "training.lambda" for key, axis in space.items()}


def gradient_error(run: Run, axes: Any = None) -> Figure:
    return pictures.gradient_error(*run.read_arrays("gradients.npz", ("W1", "right_W1")).values(), axes=axes)


class Spec(NamedTuple):
    """A figure of finished runs: ``draw(run, axes=None)`` draws it for a run for which it is ``available``.

    One with a title and an alternative text is on the page of the run; the others are charts there, in pages/kinds.py.
    """

    draw: Callable[..., Figure]
    available: Callable[[Run], bool] = lambda run: run.kind == "train" and (run.path / "metrics.csv").is_file()
    title: str = ""
    alt: str = ""


FIGURES = {
    "curves": Spec(curves),
    "eta": Spec(eta),
    "weights": Spec(
        weights,
        lambda run: run.kind == "train" and run.settings.data.dims is None and run.has("network"),
        "Weights",
        "The weights of the first layer as colour images of 32 x 32 pixels",
    ),
    "range-test": Spec(range_test, lambda run: run.kind == "find-eta" and "found" in run.results),
    "search": Spec(
        search,
        lambda run: run.kind == "search" and (run.path / "trials.csv").is_file(),
        "All settings at once",
        "Each trial as a line through its settings to its accuracy",
    ),
    "error_W1": Spec(
        gradient_error,
        lambda run: run.kind == "gradcheck" and (run.path / "gradients.npz").is_file(),
        "Error of the gradient in W1",
        "The gradient of W1 minus the right one: a row for each hidden node, a column for each input",
    ),
}
PANELS = {name: Spec(partial(curves, names=[name])) for name in lines.PANELS}  # of the curves, where somebody asks


def draw(run: Run, figures: Mapping[str, Spec] = FIGURES) -> list[str]:
    """Draw all figures of a run that can be into its folder; return a warning for each that failed: the run stands."""
    failed = []
    for name, spec in figures.items():
        try:
            if spec.available(run):
                save(run, {name: spec.draw(run)})
        except Exception as error:  # matplotlib has a hundred
            failed.append(f"the figure {name} could not be drawn: {error}")
    return failed


def save(run: Run, figures: Mapping[str, Figure]) -> None:
    """Write figures into the folder of a run, in its formats and, for its page, some as SVG; synthetic ones say so."""
    for name, figure in figures.items():
        if run.is_synthetic:
            style.stamp(figure)
        for kind in dict.fromkeys([*run.formats, *(["svg"] if name.startswith(ALSO_SVG) else [])]):
            run.write(f"figures/{name}.{kind}", style.render(figure, kind))
