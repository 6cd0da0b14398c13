"""From settings to a training: its plan, in update steps, and its state before the first of them."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from cifarnet import network, objectives, optimisers, schedule
from cifarnet.config.extras import Adam, Anneal, Jitter, Momentum
from cifarnet.config.settings import Constant, Cyclic, Exponential, Settings, Step
from cifarnet.data import Dataset
from cifarnet.data.jitter import jitterer
from cifarnet.evaluation import Losses
from cifarnet.network import Array, Objective
from cifarnet.optimisers import Optimiser
from cifarnet.streams import stream
from cifarnet.training import Plan, State


def learning_rate(settings: Settings) -> Callable[[int], float]:
    """eta as a function of the update step."""
    match settings.training.schedule:
        case Cyclic() as s:
            cycle = partial(schedule.triangular, n_s=settings.steps(s.n_s), eta_min=s.eta_min, eta_max=s.eta_max)
            if (s.cycle_growth, s.cycle_shrink) == (1, 1):
                return cycle
            return partial(schedule.triangular2, **cycle.keywords, growth=s.cycle_growth, shrink=s.cycle_shrink)
        case Anneal() as s:
            down = schedule.linear if s.kind == "linear" else schedule.cosine
            length = s.epochs * settings.steps_per_epoch
            cycles = {"length": length, "growth": s.cycle_growth, "cycles": s.cycles}
            return partial(down, **cycles, eta_min=s.eta_min, eta_max=s.eta_max)
        case Constant() as s:
            return partial(schedule.constant, eta=s.eta)
        case Step() as s:
            every = s.every * settings.steps_per_epoch
            return partial(schedule.step_decay, eta=s.eta, factor=s.factor, every=every)
        case Exponential() as s:
            return partial(schedule.exponential_decay, eta=s.eta, factor=s.factor, every=settings.steps_per_epoch)


def optimiser(settings: Settings) -> tuple[Optimiser | None, int]:
    """The rule of an update and how many vectors it remembers; None is plain SGD."""
    match settings.training.optimizer:
        case Momentum() as o:
            return partial(optimisers.momentum, beta=o.beta, nesterov=o.kind == "nesterov"), 1
        case Adam() as o:
            return partial(optimisers.adam, beta1=o.beta1, beta2=o.beta2, epsilon=o.epsilon), 2
        case _:
            return None, 0


def objective(settings: Settings) -> Objective:
    """The loss that is trained."""
    t = settings.training
    return objectives.HINGE if t.loss == "hinge" else objectives.smoothed(t.label_smoothing)


def measured(settings: Settings) -> Losses:
    """The loss that is measured: as trained, but of the labels themselves, not of smoothed ones."""
    return objectives.HINGE.losses if settings.training.loss == "hinge" else network.losses


def unprepared(X: Array, rng: np.random.Generator) -> None:
    """Refuse to train without jitter where the settings ask for some."""
    raise ValueError("jitter needs the data's normalisation: plan(settings, dataset)")


def plan(settings: Settings, dataset: Dataset | None = None) -> Plan:
    """What the settings ask of a training, in update steps; without cycles, the whole training counts as one.

    Without the data set that it is for, the plan is good for everything but to train with jitter.
    """
    t, s = settings.training, settings.training.schedule
    rule, remembered = optimiser(settings)
    jitter = None if t.jitter == Jitter() else unprepared
    if dataset is not None:
        jitter = jitterer(t.jitter, dataset, t.batch_size, stream(settings.seed, "jitter"))
    cycle = 2 * settings.steps(s.n_s) if isinstance(s, Cyclic) else s.epochs * settings.steps_per_epoch
    cycles, growth = (s.cycles, s.cycle_growth) if isinstance(s, Cyclic | Anneal) else (1, 1)
    return Plan(
        sizes=settings.sizes,
        eta=learning_rate(settings),
        updates=schedule.total(cycle, cycles, growth),
        cycle=cycle,
        growth=growth,
        per_cycle=settings.evaluation.per_cycle or (10 if isinstance(s, Cyclic) else s.epochs),
        batch_size=t.batch_size,
        lam=t.lam,
        shuffle=t.shuffle,
        seed=settings.seed,
        train_cost=settings.evaluation.train_cost,
        rule=rule,
        remembered=remembered,
        objective=objective(settings),
        losses=measured(settings),
        drop_input=t.dropout.input,
        drop_hidden=t.dropout.hidden,
        jitter=jitter,
        average=t.average,
    )


def initial(settings: Settings, dtype: DTypeLike = np.float32) -> State:
    """The state before the first update."""
    init = settings.network.init
    std = init if isinstance(init, str) else init.std
    theta = network.initialise(settings.sizes, std, stream(settings.seed, "init"), dtype)
    remembered, averaged = optimiser(settings)[1], bool(settings.training.average)
    moments, average = np.zeros((remembered, len(theta)), dtype), np.zeros(averaged * len(theta), dtype)
    return State(theta, 0, moments, average, np.zeros(3 * (settings.evaluation.train_cost != "all")))
