"""The mini-batch loop: a generator of records, one an update, that writes no file, prints nothing and can be left."""

import itertools
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifarnet import network
from cifarnet.data import Split
from cifarnet.errors import Diverged
from cifarnet.evaluation import Scores, score
from cifarnet.network import Array
from cifarnet.parallel import Team
from cifarnet.streams import stream

NUMERICS = 2  # raised by whoever changes what a training computes, be it in the last bit: no run goes on across it


@dataclass(frozen=True)
class Plan:
    """What a training does, in update steps.

    An epoch has floor(n / batch_size) updates: the images left over are not used in that epoch, as in the reports. A
    measurement is due before the first update, ``per_cycle`` times in ``cycle`` updates, and after the last.
    """

    sizes: tuple[int, ...]
    eta: Callable[[int], float]
    updates: int
    cycle: int
    per_cycle: int
    batch_size: int
    lam: float
    shuffle: bool
    seed: int
    train_scores: bool = True  # of a hundred trials nobody reads them, and they take longer than the updates
    train_cost: str = "all"

    @property
    def from_batches(self) -> bool:
        """Whether the training cost is recorded from the batches."""
        return self.train_cost != "all"

    def measured(self, step: int) -> bool:
        """Whether the curves have a point after so many updates."""
        passed = step * self.per_cycle // self.cycle != (step - 1) * self.per_cycle // self.cycle
        return passed or step == self.updates


@dataclass
class State:
    """All that a training needs to go on: randomness is a function of the seed and the step, so it is not here."""

    theta: Array
    step: int = 0
    recorded: Array = field(default_factory=lambda: np.zeros(3))  # batches so far; cost and loss recorded from them

    def take_in(self, how: str, cost: float, loss: float) -> None:
        """Record a batch's cost and loss: into the mean of all so far, or a moving average, begun by the first."""
        self.recorded[0] += 1
        share = 1 / self.recorded[0] if how == "running_mean" or self.recorded[0] == 1 else 0.01
        self.recorded[1:] += share * (np.array([cost, loss]) - self.recorded[1:])

    def arrays(self) -> dict[str, Array]:
        """Copies of all of it, for a checkpoint."""
        return {field.name: np.array(getattr(self, field.name)) for field in fields(self)}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Become the state that ``arrays`` were taken from.

        Raises
        ------
        ValueError
            If they are not of a state like this one, or not of numbers.
        """
        for name, mine in self.arrays().items():
            value = arrays[name]
            if value.shape != mine.shape or value.dtype != mine.dtype:
                raise ValueError(f"{name} is {value.dtype}{value.shape} instead of {mine.dtype}{mine.shape}")
            if not np.isfinite(value).all():
                raise ValueError(f"{name} has values that are not finite")
            setattr(self, name, value if value.shape else value.item())


class Record(NamedTuple):
    """One point of the curves; eta is that of the update to come, NaN stands for what was not measured."""

    step: int
    epoch: float
    cycle: int
    eta: float
    batch_loss: float
    train: Scores | None = None
    validation: Scores | None = None

    def row(self) -> dict[str, Any]:
        """The record as one row of metrics.csv."""
        row: dict[str, Any] = {"step": self.step, "epoch": self.epoch, "cycle": self.cycle, "eta": self.eta}
        for name in ("train", "validation"):
            scores = getattr(self, name) or Scores(math.nan, math.nan, math.nan)
            row |= {f"{name}_{key}": value for key, value in scores._asdict().items()}
        return row


def batches(n: int, plan: Plan, step: int) -> Iterator[NDArray[np.intp]]:
    """Indices of the images of each batch, from the batch of update ``step`` on to the end of that epoch."""
    epoch, done = divmod(step, n // plan.batch_size)
    order = stream(plan.seed, "shuffle", epoch).permutation(n) if plan.shuffle else np.arange(n)
    for start in range(done * plan.batch_size, n - plan.batch_size + 1, plan.batch_size):
        yield order[start : start + plan.batch_size]


def endless(n: int, plan: Plan, step: int) -> Iterator[NDArray[np.intp]]:
    """The batches of epoch after epoch, from that of update ``step`` on."""
    for epoch in itertools.count(step // (n // plan.batch_size)):
        yield from batches(n, plan, max(step, epoch * (n // plan.batch_size)))


def train(state: State, data: Split, validation: Split, plan: Plan, threads: int = 1) -> Generator[Record, None, None]:
    """Update ``state`` in place, one mini-batch at a time; yield a record before the first update and after each.

    The costs and accuracies are over all images of both splits, at the steps that `Plan.measured` names, unless the
    plan records the training cost from the batches. At these records ``state`` may be read. In between, other threads
    may be writing to it: close the generator first.

    Parameters
    ----------
    threads
        At most so many share an update. The last bits depend on it. BLAS should be limited to one thread.

    Raises
    ------
    Diverged
        When a cost is not finite, with the step and eta.
    """
    buffers = network.Buffers(plan.sizes, plan.batch_size, state.theta.dtype)
    if state.step == 0:
        yield record(state, data, validation, plan, threads)
    todo = itertools.islice(endless(len(data.y), plan, state.step), plan.updates - state.step)
    with Team(data.X, state.theta, buffers.theta, plan.sizes, plan.batch_size, threads) as team:
        for batch, following in itertools.pairwise(itertools.chain(todo, [None])):
            assert batch is not None
            penalty = network.penalty(state.theta, plan.sizes, plan.lam) if plan.from_batches else 0.0
            loss = update(state, team, team.forward(batch, following), data.y[batch], plan, buffers)
            if plan.measured(state.step) or plan.from_batches:
                team.settle()
            if plan.from_batches:
                state.take_in(plan.train_cost, loss + float(penalty), loss)
            yield record(state, data, validation, plan, threads, loss)


@np.errstate(over="ignore", invalid="ignore")  # what overflows makes the loss infinite or NaN, and that is checked
def update(state: State, team: Team, Z: Array, y: NDArray[np.integer], plan: Plan, buffers: network.Buffers) -> float:
    """theta -= eta * gradient of J on one batch, of which Z = X W1; return the batch's loss before it."""
    eta = plan.eta(state.step)
    loss, G = network.loss_and_delta(state.theta, plan.sizes, Z, y, buffers, scale=eta)
    if not math.isfinite(loss):
        raise diverged(state.step, eta, f"the loss of a batch is {loss}")
    weights, decay = network.weight_count(plan.sizes), 1 - 2 * eta * plan.lam

    def descend(part: slice) -> None:
        state.theta[part.start : min(part.stop, weights)] *= decay  # the L2 term's share
        state.theta[part] -= buffers.theta[part]

    team.backward(G, descend)
    state.step += 1
    return float(loss)


@np.errstate(over="ignore", invalid="ignore")
def record(
    state: State, data: Split, validation: Split, plan: Plan, threads: int = 1, batch_loss: float = math.nan
) -> Record:
    """The record after ``state.step`` updates, with scores where they are due."""
    step, eta = state.step, plan.eta(state.step)
    place = Record(step, step / (len(data.y) // plan.batch_size), max(step - 1, 0) // plan.cycle + 1, eta, batch_loss)
    if not plan.measured(step):
        return place
    train = recorded(state, data, plan, threads)
    after = score(state.theta, plan.sizes, *validation, plan.lam, threads)
    if not all(math.isfinite(s.cost) for s in (train, after) if s):
        on_training = f"{train.cost} on training and " if train else ""
        raise diverged(step, eta, f"the cost is {on_training}{after.cost} on validation images")
    return place._replace(train=train, validation=after)


def recorded(state: State, data: Split, plan: Plan, threads: int) -> Scores | None:
    """The training scores as the plan has them: of all images, of the batches so far (no accuracy then), or none."""
    if plan.from_batches:
        _, cost, loss = state.recorded.tolist()
        return Scores(cost, loss, math.nan) if state.step else None
    return score(state.theta, plan.sizes, *data, plan.lam, threads) if plan.train_scores else None


def diverged(step: int, eta: float, what: str) -> Diverged:
    return Diverged(
        f"diverged: {what} after {step} updates at eta {eta:.3g}; lower eta (eta_max) or lambda, or scale the inputs"
    )
