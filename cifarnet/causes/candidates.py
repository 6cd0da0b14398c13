"""What is tried on numbers that differ: deviations, settings that others have otherwise, misprints, and pairs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cifarnet import config
from cifarnet.config import Settings
from cifarnet.errors import ConfigError
from cifarnet.nn.deviations import DEVIATIONS
from cifarnet.nn.network import deviations_of
from cifarnet.nn.schedules import Anneal, Constant, Cyclic, Decay

Changes = Mapping[str, Any]  # dotted keys and their values
STATED = "as stated"
STDS = (0.001, 0.01, 0.1, 1.0)  # of initial weights
POWERS = (-2, -1, 1, 2)  # places that the point of a lambda is shifted by; that of eta by one
PRIORS = {STATED: 0.5, "deviation": 0.3, "misprint": 0.1, "pair": 0.1}  # of all candidates of a kind together


@dataclass(frozen=True)
class Candidate:
    """A program, or a setting, that the numbers may come from: what it changes in each row, and in words."""

    name: str
    kind: str
    says: str
    rows: Mapping[str, Changes] = field(hash=False)
    parts: tuple[str, ...] = ()  # of a pair: the names of both

    def settings(self, row: str, stated: Settings, seed: int) -> Settings:
        """Return what it trains in a row."""
        return config.override(stated, {**self.rows.get(row, {}), "seed": seed}, "diagnose")


@dataclass(frozen=True)
class Way:
    """One change, as a function of the stated settings; empty where it would change nothing."""

    name: str
    kind: str
    says: str
    changes: Callable[[Settings], Changes]


def candidates(rows: Mapping[str, Settings], measures: Sequence[str]) -> list[Candidate]:
    """Return what can be tried on these rows, of which these measures are known: as stated first, then all others.

    What contradicts the settings of a row is left out, and what trains the same as something before it.
    """
    found, known = [Candidate(STATED, STATED, "The settings as they are stated.", {})], [dict[str, Settings]()]
    for way in ways(rows, measures):
        candidate = Candidate(way.name, way.kind, way.says, {n: c for n, s in rows.items() if (c := way.changes(s))})
        if (trained := changed(candidate, rows)) and trained not in known:
            found.append(candidate)
            known.append(trained)
    return found


def changed(candidate: Candidate, rows: Mapping[str, Settings]) -> dict[str, Settings] | None:
    """Return the settings of the rows that a candidate changes; None where they contradict themselves."""
    try:
        return {row: candidate.settings(row, rows[row], rows[row].seed) for row in candidate.rows}
    except ConfigError:
        return None


def pair(a: Candidate, b: Candidate, rows: Mapping[str, Settings]) -> Candidate | None:
    """Return what combines two candidates; None where they change the same things, or contradict each other."""
    keys = [{key for changes in candidate.rows.values() for key in changes} for candidate in (a, b)]
    both = {row: {**a.rows.get(row, {}), **b.rows.get(row, {})} for row in {**a.rows, **b.rows}}
    found = Candidate(f"{a.name} and {b.name}", "pair", f"{a.says} {b.says}", both, (a.name, b.name))
    return None if keys[0] & keys[1] or not changed(found, rows) else found


def ways(rows: Mapping[str, Settings], measures: Sequence[str]) -> Iterator[Way]:
    """Yield every change that may do something in one of the rows."""
    tested = any(measure.startswith("test_") for measure in measures)
    for key, deviation in DEVIATIONS.items():
        if key != "validation_as_test" or tested:
            yield Way(key, "deviation", str(deviation.__doc__), deviating(key))
    names = {"centre": "only centred", "scale": "in [0, 1], not normalised", "standardize": "standardised"}
    for value, name in names.items():
        yield Way(f"inputs {name}", "deviation", f"The inputs are {name}.", setting("data.normalize", value))
    for shuffled, name in {True: "shuffled", False: "not shuffled"}.items():
        text = f"The images are {name} {'every' if shuffled else 'in any'} epoch."
        yield Way(f"images {name}", "deviation", text, setting("training.shuffle", shuffled))
    yield from initial(rows)
    yield from misprints()


def deviating(key: str) -> Callable[[Settings], Changes]:
    """Return the change of a deviation, which is none where it could not show."""
    return lambda stated: {f"deviations.{key}": True} if shows(key, stated) else {}


def shows(key: str, stated: Settings) -> bool:
    """Return whether a deviation changes anything of a training, and can be had with its settings."""
    training, data, epoch = stated.training, stated.data, stated.steps_per_epoch
    several_files = len(data.batches) > 1 or isinstance(data.validation, int) or data.limit is not None
    needs = {
        "relu_unmasked": bool(stated.network.hidden),
        "gradient_summed": training.batch_size > 1,
        "statistics_of_file": several_files,  # or it is as with those of each split
        "first_step_one": not isinstance(training.schedule, Constant),
        "same_order": training.shuffle and stated.updates > epoch,
        "with_replacement": training.shuffle,
        "last_batch": data.n_train % training.batch_size > 0,
        "best_epoch": stated.updates > epoch,
        "best_cycle": training.schedule.repeats[0] > 1,
        "cycles_as_epochs": isinstance(training.schedule, Cyclic),
        "epochs_as_cycles": isinstance(training.schedule, Cyclic),
    }
    normalised = DEVIATIONS[key].place != "inputs" or data.normalize != "scale"
    return needs.get(key, True) and normalised and not (key.startswith("l2_") and training.lam == 0)


def setting(key: str, value: Any) -> Callable[[Settings], Changes]:
    """Return the change of a setting to a value, where it is another."""
    return lambda stated: {} if config.flatten(config.plain(stated))[key] == value else {key: value}


def initial(rows: Mapping[str, Settings]) -> Iterator[Way]:
    """Yield other initial weights: of all layers, or of one."""
    for name, std in {"xavier": "1 / sqrt(d_in)", "he": "sqrt(2 / d_in)"}.items():
        text = f"The initial weights of each layer have a standard deviation of {std}."
        yield Way(f"initial weights {name}", "deviation", text, weights(name))
    for value in STDS:
        text = f"The initial weights have a standard deviation of {value:g}."
        yield Way(f"initial weights of {value:g}", "deviation", text, weights(value))
    layers = max(len(settings.sizes) - 1 for settings in rows.values())
    for layer, value in itertools.product(range(layers) if layers > 1 else (), STDS):
        text = f"The initial weights of layer {layer + 1} have a standard deviation of {value:g}."
        yield Way(f"initial W{layer + 1} of {value:g}", "deviation", text, weights(value, layer))


def weights(init: str | float, layer: int | None = None) -> Callable[[Settings], Changes]:
    """Return the change to other initial weights, of one layer or of all."""

    def changes(stated: Settings) -> Changes:
        own = stated.network.init
        stds = deviations_of(stated.sizes, own if isinstance(own, str) else own.std)
        others = deviations_of(stated.sizes, init)
        new = [other if layer in (None, i) else std for i, (std, other) in enumerate(zip(stds, others, strict=True))]
        return {} if new == stds else {"network.init": {"std": new}}

    return changes


def misprints() -> Iterator[Way]:
    """Yield the neighbours of a printed lambda and eta: their points shifted."""
    for places in POWERS:
        factor = f"{10.0**places:g}"
        text = f"Lambda is {factor} times the stated one, as if its point were misprinted."
        yield Way(f"lambda times {factor}", "misprint", text, scaled("training.lambda", 10.0**places))
    for places in (-1, 1):
        factor = f"{10.0**places:g}"
        text = f"Eta is {factor} times the stated one, as if its point were misprinted."
        yield Way(f"eta times {factor}", "misprint", text, rated(10.0**places))


def scaled(key: str, factor: float) -> Callable[[Settings], Changes]:
    """Return the change of a number by a factor."""

    def changes(stated: Settings) -> Changes:
        value = config.flatten(config.plain(stated))[key]
        return {key: float(f"{factor * value:.12g}")} if value else {}

    return changes


def rated(factor: float) -> Callable[[Settings], Changes]:
    """Return the change of the highest, or only, learning rate by a factor."""

    def changes(stated: Settings) -> Changes:
        schedule = stated.training.schedule
        name = "eta" if isinstance(schedule, Decay) else "eta_max"
        value = schedule.eta_max if isinstance(schedule, Cyclic | Anneal) else getattr(schedule, "eta0", 0)
        return {f"training.schedule.{name}": float(f"{factor * value:.12g}")}

    return changes
