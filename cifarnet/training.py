"""The mini-batch loop: a generator of records, one an update, that writes no file, prints nothing and can be left."""

import contextlib
import itertools
import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifarnet import network
from cifarnet.data import Split
from cifarnet.errors import Diverged
from cifarnet.evaluation import Losses, Scores, score
from cifarnet.network import Array, Objective
from cifarnet.optimisers import Optimiser, Update
from cifarnet.parallel import Batch, Rule, Team
from cifarnet.schedule import Place, place
from cifarnet.streams import stream

EVERY = 20  # updates between two samples of an average; each one costs as much as a quarter of an update
NUMERICS = 3  # raised by whoever changes what a training computes, be it in the last bit: no run goes on across it


@dataclass(frozen=True)
class Plan:
    """What a training does, in update steps.

    An epoch has floor(n / batch_size) updates: the images left over are not used in that epoch, as in the reports. A
    measurement is due before the first update, ``per_cycle`` times in each cycle, and after the last update. The first
    cycle has ``cycle`` updates, each following one ``growth`` times as many.

    ``rule`` updates theta and remembers so many vectors; None is plain SGD. ``objective`` trains and ``losses`` are
    measured. ``jitter`` changes the images of a batch in place. Over the last share ``average`` of each cycle theta is
    averaged, every `EVERY` updates, and the mean is what the cycle ends with and the next one begins with.
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
    growth: int = 1
    rule: Optimiser | None = None
    remembered: int = 0
    objective: Objective = network.CROSS_ENTROPY
    losses: Losses = network.losses
    drop_input: float = 0.0
    drop_hidden: float = 0.0
    jitter: Callable[[Array, np.random.Generator], None] | None = None
    average: float = 0.0

    @property
    def from_batches(self) -> bool:
        """Whether the training cost is recorded from the batches."""
        return self.train_cost != "all"

    def place(self, step: int) -> Place:
        """Where the update lies that led to so many; the first one for none."""
        return place(max(step - 1, 0), self.cycle, self.growth)

    def measured(self, step: int) -> bool:
        """Whether the curves have a point after so many updates."""
        _, within, length = self.place(step)
        passed = (within + 1) * self.per_cycle // length != within * self.per_cycle // length
        return passed or step in (0, self.updates)

    def ends_cycle(self, step: int) -> bool:
        """Whether a cycle is over after so many updates."""
        _, within, length = self.place(step)
        return step > 0 and within + 1 == length

    def sample(self, step: int) -> int:
        """Which sample of the average theta is after so many updates: 1 is the first one of a cycle, 0 none."""
        _, within, length = self.place(step)
        left, window = length - within - 1, int(self.average * length)
        if left >= window or left % EVERY:
            return 0
        return (window - 1) // EVERY - left // EVERY + 1


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
    chosen = itertools.islice(endless(len(data.y), plan, state.step), plan.updates - state.step)
    alters = bool(plan.jitter or plan.drop_input)
    todo = altered(data, chosen, plan, state.step, threads) if alters else (Batch(data.X, b, data.y[b]) for b in chosen)
    team = Team(todo, state.theta, buffers.theta, plan.sizes, plan.batch_size, threads)
    with contextlib.closing(todo), team:
        for _ in range(plan.updates - state.step):
            penalty = network.penalty(state.theta, plan.sizes, plan.lam) if plan.from_batches else 0.0
            loss = update(state, team, plan, buffers)
            if plan.from_batches or plan.measured(state.step):
                team.settle()
            if plan.from_batches:
                state.take_in(plan.train_cost, loss + float(penalty), loss)
            yield record(state, data, validation, plan, threads, loss)


def altered(
    data: Split, chosen: Iterator[NDArray[np.intp]], plan: Plan, step: int, threads: int
) -> Generator[Batch, None, None]:
    """Batches with jitter and dropped inputs from update ``step`` on, each made while those before it are used.

    While one is made, the four before it are in the hands of a `Team`.
    """
    places = itertools.cycle(np.empty((5, plan.batch_size, plan.sizes[0]), data.X.dtype))

    def make(batch: NDArray[np.intp], X: Array, step: int) -> Batch:
        np.take(data.X, batch, axis=0, out=X, mode="clip")
        if plan.jitter:
            plan.jitter(X, stream(plan.seed, "jitter", step))
        drop_inputs(X, plan, step)
        return Batch(X, None, data.y[batch])

    with ThreadPoolExecutor(1) as pool:
        ahead: deque[Future[Batch]] = deque()
        for arguments in zip(chosen, places, itertools.count(step)):
            ahead.append(pool.submit(make, *arguments))
            if len(ahead) > 1 or threads == 1:
                yield ahead.popleft().result()
        yield from (made.result() for made in ahead)


def drop_inputs(X: Array, plan: Plan, step: int) -> None:
    """What an update drops of its images X (n, d), in place."""
    if plan.drop_input:
        X *= mask(X.shape, plan.drop_input, stream(plan.seed, "dropout", step, 0))


def hidden_masks(plan: Plan, step: int, n: int) -> list[Array] | None:
    """What an update drops of each hidden layer."""
    if not plan.drop_hidden:
        return None
    rng = stream(plan.seed, "dropout", step)
    return [mask((n, m), plan.drop_hidden, rng) for m in plan.sizes[1:-1]]


def mask(shape: tuple[int, ...], drop: float, rng: np.random.Generator) -> Array:
    """0 with probability ``drop``, otherwise 1 / (1 - drop): inverted dropout (Srivastava et al. 2014, section 10)."""
    return np.multiply(rng.random(shape, np.float32) >= drop, 1 / (1 - drop), dtype=np.float32)


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
    rule = descend(state, plan, buffers.theta, eta)
    state.step += 1
    team.backward(G, averaged(rule, state, plan) if plan.average else rule)
    return float(loss)


def descend(state: State, plan: Plan, gradient: Array, eta: float) -> Rule:
    """What updates a slice of theta from that slice of a gradient, which for plain SGD has the factor eta already."""
    weights, decay = network.weight_count(plan.sizes), 2 * plan.lam
    if plan.rule:
        return Update(plan.rule, state.theta, gradient, state.moments, eta, state.step, weights, decay)

    def rule(part: slice) -> None:
        state.theta[part.start : min(part.stop, weights)] *= 1 - eta * decay
        state.theta[part] -= gradient[part]

    return rule


def averaged(rule: Rule, state: State, plan: Plan) -> Rule:
    """The rule, and after it the mean of theta where update ``state.step`` is a sample of it.

    With the last sample of a cycle the mean becomes theta.
    """
    count, last = plan.sample(state.step), plan.ends_cycle(state.step)

    def both(part: slice) -> None:
        rule(part)
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
