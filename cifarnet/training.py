"""The mini-batch loop: a generator of records, one an update, that writes no file, prints nothing and can be left."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifarnet import network
from cifarnet.data import Split
from cifarnet.errors import Diverged
from cifarnet.evaluation import Scores, score
from cifarnet.network import Array
from cifarnet.streams import stream


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
    train_cost: str = "all"

    def measured(self, step: int) -> bool:
        """Whether the curves have a point after so many updates."""
        passed = step * self.per_cycle // self.cycle != (step - 1) * self.per_cycle // self.cycle
        return passed or step == self.updates


@dataclass
class State:
    """All that a training needs to go on: randomness is a function of the seed and the step, so it is not here."""

    theta: Array
    step: int = 0


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


@dataclass
class BatchCosts:
    """Cost and loss of the training set from the batches alone: the running mean of all so far, or a moving average."""

    how: str
    cost: float = math.nan
    loss: float = math.nan
    n: int = 0

    def add(self, cost: float, loss: float) -> None:
        """Take in the next batch; the first one stands for itself."""
        self.n += 1
        share = 1 / self.n if self.how == "running_mean" or self.n == 1 else 0.01
        self.cost = cost if self.n == 1 else self.cost + share * (cost - self.cost)
        self.loss = loss if self.n == 1 else self.loss + share * (loss - self.loss)

    def scores(self) -> Scores:
        return Scores(self.cost, self.loss, math.nan)


def batches(n: int, plan: Plan, step: int) -> Iterator[NDArray[np.intp]]:
    """Indices of the images of each batch, from the batch of update ``step`` on to the end of that epoch."""
    epoch, done = divmod(step, n // plan.batch_size)
    order = stream(plan.seed, "shuffle", epoch).permutation(n) if plan.shuffle else np.arange(n)
    for start in range(done * plan.batch_size, n - plan.batch_size + 1, plan.batch_size):
        yield order[start : start + plan.batch_size]


def train(state: State, data: Split, validation: Split, plan: Plan) -> Iterator[Record]:
    """Update ``state`` in place, one mini-batch at a time; yield a record before the first update and after each.

    The costs and accuracies are over all images of both splits, at the steps that `Plan.measured` names; where the plan
    records the training cost from the batches, that cost is of the images seen so far.

    Raises
    ------
    Diverged
        When a cost is not finite, with the step and eta.
    """
    buffers = network.Buffers(plan.sizes, plan.batch_size, state.theta.dtype)
    costs = None if plan.train_cost == "all" else BatchCosts(plan.train_cost)
    X = np.empty((plan.batch_size, plan.sizes[0]), state.theta.dtype)
    if state.step == 0:
        yield record(state, data, validation, plan, costs=costs)
    while state.step < plan.updates:
        for batch in batches(len(data.y), plan, state.step):
            np.take(data.X, batch, axis=0, out=X, mode="clip")  # "clip" writes to X, "raise" would through a copy
            penalty = float(network.penalty(state.theta, plan.sizes, plan.lam)) if costs else 0.0
            loss = update(state, X, data.y[batch], plan, buffers)
            if costs:
                costs.add(loss + penalty, loss)
            yield record(state, data, validation, plan, loss, costs)
            if state.step == plan.updates:
                break


@np.errstate(over="ignore", invalid="ignore")  # what overflows makes the loss infinite or NaN, and that is checked
def update(state: State, X: Array, y: NDArray[np.integer], plan: Plan, buffers: network.Buffers) -> float:
    """theta -= eta * gradient of J on one batch; return the batch's loss before it."""
    eta = plan.eta(state.step)
    loss, gradient = network.loss_and_gradient(state.theta, plan.sizes, X, y, buffers)
    if not math.isfinite(loss):
        raise diverged(state.step, eta, f"the loss of a batch is {loss}")
    state.theta[: network.weight_count(plan.sizes)] *= 1 - 2 * eta * plan.lam  # the L2 term's share
    gradient *= eta
    state.theta -= gradient
    state.step += 1
    return float(loss)


@np.errstate(over="ignore", invalid="ignore")
def record(
    state: State,
    data: Split,
    validation: Split,
    plan: Plan,
    batch_loss: float = math.nan,
    costs: BatchCosts | None = None,
) -> Record:
    """The record after ``state.step`` updates, with scores where they are due."""
    step, eta = state.step, plan.eta(state.step)
    place = Record(step, step / (len(data.y) // plan.batch_size), max(step - 1, 0) // plan.cycle + 1, eta, batch_loss)
    if not plan.measured(step):
        return place
    scores = [
        score(state.theta, plan.sizes, *split, plan.lam) for split in ((validation,) if costs else (data, validation))
    ]
    if not all(math.isfinite(s.cost) for s in scores):
        raise diverged(
            step,
            eta,
            f"the cost of training or validation images is {next(c for s in scores if not math.isfinite(c := s.cost))}",
        )
    return place._replace(train=costs.scores() if costs else scores[0], validation=scores[-1])


def diverged(step: int, eta: float, what: str) -> Diverged:
    return Diverged(
        f"diverged: {what} after {step} updates at eta {eta:.3g}; lower eta (eta_max) or lambda, or scale the inputs"
    )
