"""The mini-batch loop: a generator of records, one an update, that can be left at any of them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from cifarnet.config import Settings
from cifarnet.data import Dataset, Split
from cifarnet.deviations import Practice
from cifarnet.errors import Diverged
from cifarnet.nn.network import Array, Buffers, backward, weight_count
from cifarnet.training.batches import batches
from cifarnet.training.evaluation import Scores, score_all
from cifarnet.training.parallel import FirstLayer, Update, shards
from cifarnet.training.state import State
from cifarnet.training.timetable import Timetable

NUMERICS = 3  # raised by whoever changes what a training computes, be it in the last bit: no run goes on across it


class Record(NamedTuple):
    """One point of the curves; eta is that of the update to come, NaN stands for what was not measured."""

    step: int
    epoch: float
    cycle: int
    eta: float
    batch_loss: float
    train: Scores | None = None
    validation: Scores | None = None

    def __repr__(self) -> str:
        splits = {"training": self.train, "validation": self.validation}
        shown = [f", {name} {100 * s.accuracy:.2f} % at cost {s.cost:.4f}" for name, s in splits.items() if s]
        return f"Record(step {self.step:,}, eta {self.eta:.3g}{''.join(shown)})"

    def row(self) -> dict[str, Any]:
        """Return the record as one row of metrics.csv."""
        row: dict[str, Any] = {"step": self.step, "epoch": self.epoch, "cycle": self.cycle, "eta": self.eta}
        for name in ("train", "validation"):
            scores = getattr(self, name) or Scores(math.nan, math.nan, math.nan)
            row |= {f"{name}_{key}": value for key, value in scores._asdict().items()}
        return row


Points = list[Record | Diverged]  # of networks in lockstep: the record of each, or how it diverged


@dataclass
class Learner:
    """One network in training: its state and settings, the loss of its last batch, and how it diverged if it has."""

    state: State
    settings: Settings
    n: int  # training images
    loss: float = math.nan
    error: Diverged | None = None

    def __post_init__(self) -> None:
        training = self.settings.training
        self.practice: Practice = self.settings.deviations.practice
        self.timetable = Timetable(self.settings, self.practice.updates_of_epoch(self.n, training.batch_size))
        self.decay = self.practice.decay(training.l2, training.batch_size, self.n)
        self.decayed = self.practice.decayed(self.state.sizes)

    @property
    def costs_from_batches(self) -> bool:
        """Whether the training cost is recorded from the batches."""
        return self.settings.evaluation.train_cost != "all"


def train(
    state: State, dataset: Dataset, settings: Settings, threads: int = 1, *, train_scores: bool = True
) -> Generator[Record, None, None]:
    """Update ``state`` in place, one mini-batch at a time; yield a record before the first update and after each.

    The costs and accuracies are over all images of both splits, at the steps that the settings name, unless they record
    the training cost from the batches; without ``train_scores`` no training images are measured. At these records
    ``state`` may be read. In between, other threads may be writing to it: close the generator first.

    At most ``threads`` share an update. The last bits depend on it. BLAS should be limited to one thread. Raises
    Diverged when a cost is not finite, with the step and eta.
    """
    with contextlib.closing(train_lockstep([state], dataset, [settings], threads, train_scores=train_scores)) as points:
        for (point,) in points:
            if isinstance(point, Diverged):
                raise point
            yield point


def train_lockstep(
    states: Sequence[State],
    dataset: Dataset,
    settings: Sequence[Settings],
    threads: int = 1,
    *,
    train_scores: bool = True,
) -> Generator[Points, None, None]:
    """Train several networks on the same batches, an update of each in turn, and yield the records of all.

    Images are fetched once for all of them: two trainings on each of two cores, m = 50, batch 100: 480 -> 425 us an
    update, and to evaluate 10,000 images 44 -> 36 ms. Each is trained as if it were alone, byte for byte. A network
    that diverges has its error in place of records from then on; the others go on. The states have to be of the same
    step, and the settings of one `lockstep_key`.
    """
    networks = [Learner(state, s, len(dataset.train.y)) for state, s in zip(states, settings, strict=True)]
    measure = partial(records, networks, dataset, threads, train_scores)
    if states[0].step == 0:
        yield measure(0)
    while running := [n for n in networks if not n.error and n.state.step < n.timetable.updates]:
        yield from rounds(running, dataset, threads, measure)


def rounds(
    running: Sequence[Learner], dataset: Dataset, threads: int, measure: Callable[[int], Points]
) -> Generator[Points, None, None]:
    """Update networks round by round, until the last step or until one of them diverges; yield what is measured."""
    first, start = running[0], running[0].state.step
    settings, updates, n = first.settings, first.timetable.updates, first.settings.training.batch_size
    sizes, thetas = first.state.sizes, [network.state.theta for network in running]
    augmentation, augmenter = settings.training.augmentation, None
    if augmentation.active:
        augmenter = augmentation.prepare(dataset.mean, dataset.std, n, settings.seed)
    coming = batches(dataset.train, settings, augmenter, start, updates, threads)
    buffers = Buffers(sizes, n, thetas[0].dtype)
    layer = FirstLayer(coming, thetas, buffers.theta, sizes, n, shards(threads, sizes, n))
    with contextlib.closing(coming), layer:
        for step in range(start + 1, updates + 1):
            for network in running:
                update(network, layer, buffers)
            if first.costs_from_batches or first.timetable.measured(step):
                layer.wait()
            yield measure(step)
            if any(network.error for network in running):
                return


@np.errstate(over="ignore", invalid="ignore")  # what overflows makes the loss infinite or NaN, and that is checked
def update(network: Learner, layer: FirstLayer, buffers: Buffers) -> None:
    """theta -= eta * gradient of J on the layer's next batch, unless the loss is not finite."""
    state, training, practice = network.state, network.settings.training, network.practice
    weights = state.theta[: weight_count(state.sizes)]
    penalty = float(training.l2.cost(weights)) if network.costs_from_batches else 0.0
    eta = network.timetable.eta(state.step)
    Z, y = layer.forward()
    images = Z[: len(y)]  # a smaller batch, the last of some epochs, is followed by images that do not count
    masks = training.dropout.hidden_masks(state.sizes, len(y), network.settings.seed, state.step)
    scale = practice.scale(training.optimizer.scale(eta), len(y))
    how = (training.loss_function, scale, masks)
    loss, G = backward(state.theta, state.sizes, images, y, buffers, *how, rectifies=practice.rectifies)
    practice.finish(buffers)
    if len(G) < len(Z):
        G = np.concatenate([G, np.zeros_like(Z[len(G) :])])
    if not math.isfinite(loss):
        network.error = diverged(state.step, eta, f"the loss of a batch is {loss}")
        layer.backward(G, lambda part, gradient: None)
        return
    layer.backward(G, stepping(network, eta))
    state.step += 1
    network.loss = float(loss)
    if network.costs_from_batches:
        state.take_in(network.settings.evaluation.train_cost, network.loss + penalty, network.loss)


def stepping(network: Learner, eta: float) -> Update:
    """Return what updates a slice of theta from that slice of the gradient, and takes a sample of theta's mean.

    With the last sample of a cycle the mean becomes theta.
    """
    state, training, step, timetable = network.state, network.settings.training, network.state.step, network.timetable
    count = timetable.sample(step + 1) if training.average else 0

    def update(part: slice, gradient: Array) -> None:
        theta = state.theta[part]
        of_weights = max(0, min(part.stop, network.decayed) - part.start)
        training.optimizer.step(theta, gradient, state.moments[:, part], eta, step, network.decay, of_weights)
        if count:
            average = state.average[part]
            average[:] = theta if count == 1 else average + (theta - average) / count
            if timetable.ends_cycle(step + 1):
                theta[:] = average

    return update


def records(networks: Sequence[Learner], dataset: Dataset, threads: int, train_scores: bool, step: int) -> Points:
    """Return the records after ``step`` updates, with scores where the timetable has them, or how one diverged."""
    running = [network for network in networks if not network.error]
    if not running or not running[0].timetable.measured(step):
        return [network.error or record(network, step, None, None) for network in networks]
    found = scores(running, dataset, threads, train_scores)
    return [network.error or record(network, step, *next(found)) for network in networks]


@np.errstate(over="ignore", invalid="ignore")
def scores(
    networks: Sequence[Learner], dataset: Dataset, threads: int, train_scores: bool
) -> Iterator[tuple[Scores | None, Scores]]:
    """Return the scores on training images (all, those of the batches so far, or none) and validation images."""
    states, l2s = [network.state for network in networks], [network.settings.training.l2 for network in networks]
    loss = networks[0].settings.training.loss_function.measured

    def of(split: Split) -> list[Scores]:
        return score_all([state.theta for state in states], states[0].sizes, split, loss, l2s, threads)

    trains: Sequence[Scores | None] = [None] * len(networks)
    if networks[0].costs_from_batches:
        means = (state.recorded.tolist() for state in states)
        trains = [Scores(cost, loss, math.nan) if count else None for count, cost, loss in means]
    elif train_scores:
        trains = of(dataset.train)
    return zip(trains, of(dataset.validation), strict=True)


def record(network: Learner, step: int, train: Scores | None, validation: Scores | None) -> Record | Diverged:
    """Return the record after ``step`` updates, or how the network diverged."""
    timetable = network.timetable
    costs = {name: found.cost for name, found in {"training": train, "validation": validation}.items() if found}
    if not all(map(math.isfinite, costs.values())):
        what = " and ".join(f"{cost} on {name}" for name, cost in costs.items())
        network.error = diverged(step, timetable.eta(step), f"the cost is {what} images")
        return network.error
    if network.practice.keeps_best and validation and timetable.chooses(step):
        network.state.consider(validation.accuracy)
    cycle, epoch = timetable.last(step).cycle + 1, step / timetable.epoch
    return Record(step, epoch, cycle, timetable.eta(step), network.loss, train, validation)


def diverged(step: int, eta: float, what: str) -> Diverged:
    """Return the error that names the step and what helps."""
    return Diverged(
        f"diverged: {what} after {step} updates at eta {eta:.3g}; lower eta (eta_max) or lambda, or scale the inputs"
    )
