"""What a finished run draws, and figures in the folder of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cifarnet.nn import network
from cifarnet.plots import lines, pictures, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cifarnet.runs import Run


def curves(run: Run, axes: Any = None) -> Figure:
    return lines.curves(run.records, steps_per_epoch=run.settings.steps_per_epoch, axes=axes)


def eta(run: Run, axes: Any = None) -> Figure:
    schedule, epoch = run.settings.training.schedule, run.settings.steps_per_epoch
    steps = np.arange(run.settings.updates + 1)
    etas = np.array([schedule.eta(step, epoch) for step in steps.tolist()])
    return lines.eta(steps, etas, steps_per_epoch=epoch, axes=axes)


def weights(run: Run, axes: Any = None) -> Figure:
    model = run.model
    W1 = network.views(model.theta, model.sizes)[0][0]
    return pictures.weights(W1, classes=None if len(model.sizes) > 2 else model.classes, axes=axes)


class Spec(NamedTuple):
    """A figure of finished runs: ``draw(run, axes=None)`` draws it for a run for which it is ``available``."""

    title: str
    alt: str
    draw: Callable[..., Figure]
    available: Callable[[Run], bool] = lambda run: run.kind == "train"


FIGURES = {
    "curves": Spec("Curves", "Cost, loss and accuracy on training and validation images against the step", curves),
    "eta": Spec("Learning rate", "The learning rate of every update", eta),
    "weights": Spec(
        "Weights",
        "The weights of the first layer as colour images of 32 x 32 pixels",
        weights,
        lambda run: run.kind == "train" and run.settings.data.dims is None,
    ),
}


def draw(run: Run) -> list[str]:
    """Draw all figures of a finished run into its folder; return a warning for each that failed: the run stands."""
    failed = []
    for name, spec in FIGURES.items():
        try:
            if spec.available(run):
                save(run, {name: spec.draw(run)}, synthetic=run.settings.data.source == "synthetic")
        except Exception as error:  # matplotlib has a hundred
            failed.append(f"the figure {name} could not be drawn: {error}")
    return failed


def save(run: Run, figures: Mapping[str, Figure], synthetic: bool) -> None:
    """Write figures into the folder of a run, in its formats; those of synthetic data say so."""
    for name, figure in figures.items():
        if synthetic:
            style.stamp(figure, style.SYNTHETIC)
        for kind in run.formats:
            run.write(f"figures/{name}.{kind}", style.render(figure, kind))
