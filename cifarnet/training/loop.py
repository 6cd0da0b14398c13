"""The mini-batch loop: a generator of records, one an update, that writes no file, prints nothing and can be left."""

import contextlib
import itertools
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from cifarnet import network
from cifarnet.data import Split
from cifarnet.errors import Diverged
from cifarnet.evaluation import Scores, score_all
from cifarnet.network import Array
from cifarnet.optimisers import Update
from cifarnet.parallel import Batch, Rule, Team
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


@dataclass
class Training:
    """One of those abreast: its state and plan, the loss of its last batch, and how it diverged if it has."""

    state: State
    plan: Plan
    loss: float = math.nan
    error: Diverged | None = None


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
    with contextlib.closing(train_abreast([state], data, validation, [plan], threads)) as points:
        for (point,) in points:
            yield proper(point)


def train_abreast(
    states: Sequence[State], data: Split, validation: Split, plans: Sequence[Plan], threads: int = 1
) -> Generator[list[Record | Diverged], None, None]:
    """Train several networks on the same batches, an update of each in turn, and yield the records of all.

    Images are fetched once for all of them: two trainings on each of two cores, m = 50, batch 100: 480 -> 425 us an
    update, and to evaluate 10,000 images 44 -> 36 ms. Each is trained as if it were alone, byte for byte. The plans
    differ in eta and lambda alone. When one has diverged, it has that error in place of its record, and this is the
    end: the others can go on from their states.

    Raises
    ------
    ValueError
        If the states are not of one step.
    """
    if len({state.step for state in states}) > 1:
        raise ValueError("trainings abreast go on from the same step")
    group = [Training(state, plan) for state, plan in zip(states, plans, strict=True)]
    plan, before = plans[0], states[0].step
    buffers = network.Buffers(plan.sizes, plan.batch_size, states[0].theta.dtype)
    if before == 0:
        yield records(group, 0, data, validation, threads)
    chosen = itertools.islice(endless(len(data.y), plan, before), plan.updates - before)
    alters = bool(plan.jitter or plan.drop_input)
    todo = altered(data, chosen, plan, before, threads) if alters else (Batch(data.X, b, data.y[b]) for b in chosen)
    thetas = [state.theta for state in states]
    team = Team(todo, thetas, buffers.theta, plan.sizes, plan.batch_size, threads)
    with contextlib.closing(todo), team:
        for step in range(before, plan.updates):
            if any(training.error for training in group):
                return
            for training in group:
                update(training, team, buffers)
            if plan.from_batches or plan.measured(step + 1):
                team.settle()
            yield records(group, step + 1, data, validation, threads)


@np.errstate(over="ignore", invalid="ignore")  # what overflows makes the loss infinite or NaN, and that is checked
def update(training: Training, team: Team, buffers: network.Buffers) -> None:
    """theta -= eta * gradient of J on the team's next batch, unless the loss is not finite."""
    state, plan = training.state, training.plan
    penalty = float(network.penalty(state.theta, plan.sizes, plan.lam)) if plan.from_batches else 0.0
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
        training.error = diverged(state.step, eta, f"the loss of a batch is {loss}")
        team.backward(G, stay)
        return
    rule = descend(state, plan, eta)
    state.step += 1
    team.backward(G, averaged(rule, state, plan) if plan.average else rule)
    training.loss = float(loss)
    if plan.from_batches:
        state.take_in(plan.train_cost, training.loss + penalty, training.loss)


def stay(part: slice, gradient: Array) -> None:
    """The rule that updates nothing."""


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


def record(state: State, data: Split, validation: Split, plan: Plan, threads: int = 1) -> Record:
    """The record after ``state.step`` updates, with scores where they are due; raises `Diverged`."""
    (point,) = records([Training(state, plan)], state.step, data, validation, threads)
    return proper(point)


def proper(point: Record | Diverged) -> Record:
    """The record, or else the error is raised."""
    if isinstance(point, Diverged):
        raise point
    return point


def records(
    group: Sequence[Training], step: int, data: Split, validation: Split, threads: int
) -> list[Record | Diverged]:
    """The records of all after so many updates, with scores where they are due, or how they have diverged."""
    plan, left = group[0].plan, [training for training in group if not training.error]
    epoch, cycle = step / (len(data.y) // plan.batch_size), plan.place(step).cycle + 1
    due = left and plan.measured(step)
    scores = iter(measure(left, data, validation, threads)) if due else itertools.repeat((None, None))
    found: list[Record | Diverged] = []
    for training in group:
        if not training.error:
            point = Record(step, epoch, cycle, training.plan.eta(step), training.loss, *next(scores))
            training.error = divergence(point)
        found.append(training.error or point)
    return found


def divergence(point: Record) -> Diverged | None:
    """The error of a record with a cost that is not finite."""
    costs = {name: s.cost for name, s in (("training", point.train), ("validation", point.validation)) if s}
    if all(map(math.isfinite, costs.values())):
        return None
    what = " and ".join(f"{cost} on {name}" for name, cost in costs.items())
    return diverged(point.step, point.eta, f"the cost is {what} images")


@np.errstate(over="ignore", invalid="ignore")
def measure(
    group: Sequence[Training], data: Split, validation: Split, threads: int
) -> list[tuple[Scores | None, Scores]]:
    """The scores on training and validation images.

    Those on training images are as the plan has them: of all images, of the batches so far (no accuracy then), or none.
    """
    plan, thetas = group[0].plan, [training.state.theta for training in group]
    lams = [training.plan.lam for training in group]
    trains: Sequence[Scores | None] = [None] * len(group)
    if plan.from_batches:
        trains = [of_batches(training.state) for training in group]
    elif plan.train_scores:
        trains = score_all(thetas, plan.sizes, *data, lams, threads, plan.losses)
    return list(zip(trains, score_all(thetas, plan.sizes, *validation, lams, threads, plan.losses), strict=True))


def of_batches(state: State) -> Scores | None:
    """The scores of the batches so far."""
    _, cost, loss = state.recorded.tolist()
    return Scores(cost, loss, math.nan) if state.step else None


def diverged(step: int, eta: float, what: str) -> Diverged:
    return Diverged(
        f"diverged: {what} after {step} updates at eta {eta:.3g}; lower eta (eta_max) or lambda, or scale the inputs"
    )
