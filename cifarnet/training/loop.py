"""The mini-batch loop: a generator of records, one an update, that can be left at any of them."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
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


@dataclass
class Network:
    """One network in training: its state and settings, the loss of its last batch, and how it diverged if it has."""

    state: State
    settings: Settings
    timetable: Timetable
    n: int  # training images
    loss: float = math.nan
    error: Diverged | None = None
    reported: bool = False

    def __post_init__(self) -> None:
        training = self.settings.training
        self.practice: Practice = self.settings.deviations.practice
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
    the training cost from the batches. At these records ``state`` may be read. In between, other threads may be writing
    to it: close the generator first.

    Parameters
    ----------
    threads
        At most this many share an update. The last bits depend on it. BLAS should be limited to one thread.
    train_scores
        Whether training images are measured, too; for many short trainings that takes longer than the updates.

    Raises
    ------
    Diverged
        When a cost is not finite, with the step and eta.
    """
    with contextlib.closing(train_lockstep([state], dataset, [settings], threads, train_scores=train_scores)) as points:
        for (point,) in points:
            yield checked(point)


def train_lockstep(
    states: Sequence[State],
    dataset: Dataset,
    settings: Sequence[Settings],
    threads: int = 1,
    *,
    train_scores: bool = True,
) -> Generator[list[Record | Diverged | None], None, None]:
    """Train several networks on the same batches, an update of each in turn, and yield the records of all.

    Images are fetched once for all of them: two trainings on each of two cores, m = 50, batch 100: 480 -> 425 us an
    update, and to evaluate 10,000 images 44 -> 36 ms. Each is trained as if it were alone, byte for byte. A network
    that diverges has its error in place of a record once, None from then on; the others go on. The states have to be of
    the same step, and the settings of one `lockstep_key`.
    """
    n = len(dataset.train.y)
    networks = [Network(state, s, Timetable.of(s, n), n) for state, s in zip(states, settings, strict=True)]
    measure = Measure(dataset, threads, train_scores)
    if states[0].step == 0:
        yield measure.records(networks, 0)
    while running := [n for n in networks if not n.error and n.state.step < n.timetable.updates]:
        yield from rounds(running, networks, dataset, threads, measure)


def rounds(
    running: Sequence[Network], networks: Sequence[Network], dataset: Dataset, threads: int, measure: Measure
) -> Generator[list[Record | Diverged | None], None, None]:
    """Update networks round by round, until the last step or until one of them diverges."""
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
            yield measure.records(networks, step)
            if any(network.error for network in running):
                return


@np.errstate(over="ignore", invalid="ignore")  # what overflows makes the loss infinite or NaN, and that is checked
def update(network: Network, layer: FirstLayer, buffers: Buffers) -> None:
    """theta -= eta * gradient of J on the layer's next batch, unless the loss is not finite."""
    state, training, practice = network.state, network.settings.training, network.practice
    weights = state.theta[: weight_count(state.sizes)]
    penalty = float(training.l2.cost(weights)) if network.costs_from_batches else 0.0
    eta = network.timetable.eta(state.step)
    Z, y = layer.forward()
    masks = training.dropout.hidden_masks(state.sizes, len(y), network.settings.seed, state.step)
    scale, rectifies = practice.scale(training.optimizer.scale(eta), len(y)), practice.rectifies
    used = Z[: len(y)]  # the last batch may be smaller
    loss, G = backward(
        state.theta, state.sizes, used, y, buffers, training.loss_function, scale, masks, rectifies=rectifies
    )
    practice.finish(buffers)
    if len(G) < len(Z):
        G = np.concatenate([G, np.zeros_like(Z[len(G) :])])
    if not math.isfinite(loss):
        network.error = diverged(state.step, eta, f"the loss of a batch is {loss}")
        layer.backward(G, lambda part, gradient: None)
        return
    layer.backward(G, averaging(network, optimizing(network, eta)))
    state.step += 1
    network.loss = float(loss)
    if network.costs_from_batches:
        state.take_in(network.settings.evaluation.train_cost, network.loss + penalty, network.loss)


def optimizing(network: Network, eta: float) -> Update:
    """Return what updates a slice of theta from that slice of the gradient."""
    state, training, step = network.state, network.settings.training, network.state.step
    optimizer, decay, count = training.optimizer, network.decay, network.decayed

    def update(part: slice, gradient: Array) -> None:
        of_weights = max(0, min(part.stop, count) - part.start)
        optimizer.step(state.theta[part], gradient, state.moments[:, part], eta, step, decay, of_weights)

    return update


def averaging(network: Network, update: Update) -> Update:
    """Return the update, followed by a sample of theta's mean where the next step is one.

    With the last sample of a cycle the mean becomes theta.
    """
    state, timetable, step = network.state, network.timetable, network.state.step + 1
    count = timetable.sample(step) if network.settings.training.average else 0
    last = timetable.ends_cycle(step)

    def update_and_average(part: slice, gradient: Array) -> None:
        update(part, gradient)
        theta, average = state.theta[part], state.average[part]
        average[:] = theta if count == 1 else average + (theta - average) / count
        if last:
            theta[:] = average

    return update_and_average if count else update


def record(state: State, dataset: Dataset, settings: Settings, threads: int = 1) -> Record:
    """Return the record after ``state.step`` updates; raise Diverged where a cost is not finite."""
    n = len(dataset.train.y)
    network = Network(state, settings, Timetable.of(settings, n), n)
    (point,) = Measure(dataset, threads, True).records([network], state.step)
    return checked(point)


def checked(point: Record | Diverged | None) -> Record:
    """Return a record, or raise the error in its place."""
    if not isinstance(point, Record):
        raise point or Diverged("diverged")
    return point


@dataclass(frozen=True)
class Measure:
    """What makes records of networks."""

    dataset: Dataset
    threads: int
    train_scores: bool

    def records(self, networks: Sequence[Network], step: int) -> list[Record | Diverged | None]:
        """Return the records after ``step`` updates, with scores where the timetable has them, or how one diverged."""
        timetable, running = networks[0].timetable, [network for network in networks if not network.error]
        scores: Iterator[Any] = itertools.repeat((None, None))
        if running and timetable.measured(step):
            scores = iter(self.scores(running))
        return [self.point(network, step, scores) for network in networks]

    def point(self, network: Network, step: int, scores: Iterator[Any]) -> Record | Diverged | None:
        """Return the record of one network, its error, or None where the error has been reported."""
        if not network.error:
            cycle = network.timetable.last(step).cycle + 1
            eta, epoch = network.timetable.eta(step), step / network.timetable.epoch
            found = Record(step, epoch, cycle, eta, network.loss, *next(scores))
            network.error = divergence(found)
            if network.practice.keeps_best and found.validation and network.timetable.chooses(step):
                network.state.consider(found.validation.accuracy)
            if not network.error:
                return found
        first, network.reported = not network.reported, True
        return network.error if first else None

    @np.errstate(over="ignore", invalid="ignore")
    def scores(self, networks: Sequence[Network]) -> list[tuple[Scores | None, Scores]]:
        """Return the scores on training images (all, those of the batches so far, or none) and validation images."""
        trains: Sequence[Scores | None] = [None] * len(networks)
        if networks[0].costs_from_batches:
            trains = [of_batches(network.state) for network in networks]
        elif self.train_scores:
            trains = self.of(networks, self.dataset.train)
        return list(zip(trains, self.of(networks, self.dataset.validation), strict=True))

    def of(self, networks: Sequence[Network], split: Split) -> list[Scores]:
        """Return the scores of networks on a split."""
        thetas, trainings = [n.state.theta for n in networks], [n.settings.training for n in networks]
        loss, sizes = trainings[0].loss_function.measured, networks[0].state.sizes
        return score_all(thetas, sizes, split, loss, [t.l2 for t in trainings], self.threads)


def of_batches(state: State) -> Scores | None:
    """Return the scores of the batches so far."""
    _, cost, loss = state.recorded.tolist()
    return Scores(cost, loss, math.nan) if state.step else None


def divergence(point: Record) -> Diverged | None:
    """Return the error of a record with a cost that is not finite."""
    costs = {name: s.cost for name, s in (("training", point.train), ("validation", point.validation)) if s}
    if all(map(math.isfinite, costs.values())):
        return None
    what = " and ".join(f"{cost} on {name}" for name, cost in costs.items())
    return diverged(point.step, point.eta, f"the cost is {what} images")


def diverged(step: int, eta: float, what: str) -> Diverged:
    """Return the error that names the step and what helps."""
    return Diverged(
        f"diverged: {what} after {step} updates at eta {eta:.3g}; lower eta (eta_max) or lambda, or scale the inputs"
    )
