"""The mini-batch loop: a generator of records, one an update, that writes no file, prints nothing and can be left."""

import contextlib
import itertools
import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from cifarnet import network
from cifarnet.data import Split
from cifarnet.errors import Diverged
from cifarnet.evaluation import Scores, score
from cifarnet.network import Array
from cifarnet.optimisers import Update
from cifarnet.parallel import Batch, Rule, Team, Workspace
from cifarnet.training.batches import altered, endless, hidden_masks
from cifarnet.training.plan import Plan

NUMERICS = 3  # raised by whoever changes what a training computes, be it in the last bit: no run goes on across it


@dataclass
class State:
    """All that a training needs to go on: randomness is a function of the seed and the step, so it is not here.

    What an optimiser remembers is ``moments`` (k, P), the mean of theta so far is ``average`` (P,), and ``recorded``
    (3,) counts the batches that a training cost is recorded from, beside that cost and loss; each is empty where
    nothing asks for it.
    """

    theta: Array
    step: int = 0
    moments: Array = field(default_factory=lambda: np.empty((0, 0)))
    average: Array = field(default_factory=lambda: np.empty(0))
    recorded: Array = field(default_factory=lambda: np.empty(0))

    def take_in(self, how: str, cost: float, loss: float) -> None:
        """Record a batch's cost and loss: into the mean of all so far, or a moving average, begun by the first."""
        self.recorded[0] += 1
        share = 1 / self.recorded[0] if how == "running_mean" or self.recorded[0] == 1 else 0.01
        self.recorded[1:] += share * (np.array([cost, loss]) - self.recorded[1:])

    def arrays(self) -> dict[str, Array]:
        """Copies of all of it, for a checkpoint."""
        found = {part.name: np.array(getattr(self, part.name)) for part in fields(self)}
        return {name: value for name, value in found.items() if value.size}

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


def train(
    state: State, data: Split, validation: Split, plan: Plan, threads: int = 1, workspace: Workspace | None = None
) -> Generator[Record, None, None]:
    """Update ``state`` in place, one mini-batch at a time; yield a record before the first update and after each.

    The costs and accuracies are over all images of both splits, at the steps that `Plan.measured` names, unless the
    plan records the training cost from the batches. At these records ``state`` may be read. In between, other threads
    may be writing to it: close the generator first.

    Parameters
    ----------
    threads
        At most so many share an update. The last bits depend on it. BLAS should be limited to one thread.
    workspace
        Memory for the updates, of one thread, if several trainings take turns on it; None allocates.

    Raises
    ------
    Diverged
        When a cost is not finite, with the step and eta.
    """
    workspace = workspace or Workspace(plan.sizes, plan.batch_size, threads, state.theta.dtype)
    if state.step == 0:
        yield record(state, data, validation, plan, threads)
    chosen = itertools.islice(endless(len(data.y), plan, state.step), plan.updates - state.step)
    alters = bool(plan.jitter or plan.drop_input)
    todo = altered(data, chosen, plan, state.step, threads) if alters else (Batch(data.X, b, data.y[b]) for b in chosen)
    team = Team(todo, state.theta, workspace)
    with contextlib.closing(todo), team:
        for _ in range(plan.updates - state.step):
            penalty = network.penalty(state.theta, plan.sizes, plan.lam) if plan.from_batches else 0.0
            loss = update(state, team, plan, workspace.buffers)
            if plan.from_batches or plan.measured(state.step):
                team.settle()
            if plan.from_batches:
                state.take_in(plan.train_cost, loss + float(penalty), loss)
            yield record(state, data, validation, plan, threads, loss)


@np.errstate(over="ignore", invalid="ignore")  # what overflows makes the loss infinite or NaN, and that is checked
def update(state: State, team: Team, plan: Plan, buffers: network.Buffers) -> float:
    """theta -= eta * gradient of J on the team's next batch; return the batch's loss before it."""
    eta = plan.eta(state.step)
    Z, y = team.forward()
    loss, G = network.loss_and_delta(
        state.theta,
        plan.sizes,
        Z,
        y,
        buffers,
        scale=1.0 if plan.rule else eta,
        objective=plan.objective,
        masks=hidden_masks(plan, state.step, len(y)),
    )
    if not math.isfinite(loss):
        raise diverged(state.step, eta, f"the loss of a batch is {loss}")
    rule = descend(state, plan, eta)
    state.step += 1
    team.backward(G, averaged(rule, state, plan) if plan.average else rule)
    return float(loss)


def descend(state: State, plan: Plan, eta: float) -> Rule:
    """What updates a slice of theta from that slice of a gradient, which for plain SGD has the factor eta already."""
    weights, decay = network.weight_count(plan.sizes), 2 * plan.lam
    if plan.rule:
        return Update(plan.rule, state.theta, state.moments, eta, state.step, weights, decay)

    def rule(part: slice, gradient: Array) -> None:
        state.theta[part.start : min(part.stop, weights)] *= 1 - eta * decay
        state.theta[part] -= gradient

    return rule


def averaged(rule: Rule, state: State, plan: Plan) -> Rule:
    """The rule, and after it the mean of theta where update ``state.step`` is a sample of it.

    With the last sample of a cycle the mean becomes theta.
    """
    count, last = plan.sample(state.step), plan.ends_cycle(state.step)

    def both(part: slice, gradient: Array) -> None:
        rule(part, gradient)
        theta, average = state.theta[part], state.average[part]
        average[:] = theta if count == 1 else average + (theta - average) / count
        if last:
            theta[:] = average

    return both if count else rule


def record(
    state: State, data: Split, validation: Split, plan: Plan, threads: int = 1, batch_loss: float = math.nan
) -> Record:
    """The record after ``state.step`` updates, with scores where they are due."""
    step, eta = state.step, plan.eta(state.step)
    point = Record(step, step / (len(data.y) // plan.batch_size), plan.place(step).cycle + 1, eta, batch_loss)
    return measure(point, state, data, validation, plan, threads) if plan.measured(step) else point


@np.errstate(over="ignore", invalid="ignore")
def measure(point: Record, state: State, data: Split, validation: Split, plan: Plan, threads: int) -> Record:
    """The record with its scores."""
    train = recorded(state, data, plan, threads)
    after = score(state.theta, plan.sizes, *validation, plan.lam, threads, plan.losses)
    if not all(math.isfinite(s.cost) for s in (train, after) if s):
        on_training = f"{train.cost} on training and " if train else ""
        raise diverged(point.step, point.eta, f"the cost is {on_training}{after.cost} on validation images")
    return point._replace(train=train, validation=after)


def recorded(state: State, data: Split, plan: Plan, threads: int) -> Scores | None:
    """The training scores as the plan has them: of all images, of the batches so far (no accuracy then), or none."""
    if plan.from_batches:
        _, cost, loss = state.recorded.tolist()
        return Scores(cost, loss, math.nan) if state.step else None
    return score(state.theta, plan.sizes, *data, plan.lam, threads, plan.losses) if plan.train_scores else None


def diverged(step: int, eta: float, what: str) -> Diverged:
    return Diverged(
        f"diverged: {what} after {step} updates at eta {eta:.3g}; lower eta (eta_max) or lambda, or scale the inputs"
    )
