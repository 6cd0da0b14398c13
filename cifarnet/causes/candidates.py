"""What is tried on numbers that differ: deviations, settings that others have otherwise, misprints, and pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cifarnet import config
from cifarnet.causes.numbers import Number
from cifarnet.config import Data, Settings
from cifarnet.deviations import DEVIATIONS, practice
from cifarnet.errors import ConfigError
from cifarnet.nn.network import stds_of
from cifarnet.nn.schedules import Constant, Cyclic, Decay
from cifarnet.setting import in_steps

Changes = Mapping[str, Any]  # dotted keys and their values
Rows = Mapping[str, Settings]
Alternative = tuple[str, str, str, Changes]  # name, kind and sentence of what one row may have instead
STATED = "as stated"
STDS = (0.001, 0.01, 0.1, 1.0)  # of initial weights
# Of a kind; what is "known" explains other numbers of the same program.
PRIORS = {STATED: 0.5, "reading": 0.25, "known": 0.25, "deviation": 0.3, "misprint": 0.1, "pair": 0.1, "digits": 0.01}


@dataclass(frozen=True)
class Candidate:
    """A program, or a setting, that the numbers may come from: what it changes in each row, and in words."""

    name: str
    kind: str
    says: str
    rows: dict[str, Changes] = field(hash=False)
    parts: tuple[str, ...] = ()  # of a pair: the names of both

    def settings(self, row: str, stated: Settings, seed: int) -> Settings:
        """Return what it trains in a row."""
        return config.override(stated, {**self.rows.get(row, {}), "seed": seed}, "diagnose")


def candidates(rows: Rows, numbers: Sequence[Number], likelier: Mapping[str, Any] = {}) -> list[Candidate]:
    """Return what can be tried on these rows and their numbers: as stated first, then other readings.

    What contradicts the settings of a row is left out, and what trains the same as something before it. ``likelier`` is
    that of a `Problem`.
    """
    every = {STATED: Candidate(STATED, STATED, "The settings as they are stated.", {})}
    for row, stated in rows.items():
        for name, kind, says, changes in alternatives(stated, [number for number in numbers if number.row == row]):
            own = next((of for of, others in likelier.items() if changes in others), kind)
            every.setdefault(name, Candidate(name, own, says, {})).rows[row] = changes
    found, known = list[Candidate](), list[dict[str, Settings]]()
    for candidate in every.values():
        trained = changed(candidate, rows)
        if trained is not None and trained not in known:
            found.append(candidate)
            known.append(trained)
    return sorted(found, key=lambda candidate: candidate.kind not in (STATED, "reading"))


def changed(candidate: Candidate, rows: Rows) -> dict[str, Settings] | None:
    """Return the settings of the rows that a candidate changes; None where they contradict themselves."""
    try:
        return {row: candidate.settings(row, rows[row], rows[row].seed) for row in candidate.rows}
    except ConfigError:
        return None


def pair(a: Candidate, b: Candidate, rows: Rows) -> Candidate | None:
    """Return what combines two candidates; None where they change the same things, or contradict each other."""
    keys = [{key for changes in candidate.rows.values() for key in changes} for candidate in (a, b)]
    both: dict[str, Changes] = {row: {**a.rows.get(row, {}), **b.rows.get(row, {})} for row in {**a.rows, **b.rows}}
    found = Candidate(f"{a.name} and {b.name}", "pair", f"{a.says} {b.says}", both, (a.name, b.name))
    return None if keys[0] & keys[1] or not changed(found, rows) else found


def alternatives(stated: Settings, numbers: Sequence[Number]) -> Iterator[Alternative]:
    """Yield every change of a row's settings that may do something, and does not contradict its numbers."""
    printed = {number.measure: number for number in numbers}
    tests = {name: printed.get(f"validation{name[4:]}") for name in printed if name.startswith("test_")}
    pairs = [(printed[name], other) for name, other in tests.items() if other]
    as_test = bool(tests) and all(abs(a.value - b.value) <= a.half + b.half for a, b in pairs)
    for key, deviation in DEVIATIONS.items():
        if has_effect(key, stated) and (as_test or key != "validation_as_test"):
            kind = "digits" if key == "validation_as_test" and pairs else "deviation"
            yield key, kind, str(deviation.__doc__), {f"deviations.{key}": True}
    names = {"centre": "only centred", "scale": "in [0, 1], not normalised", "standardize": "standardised"}
    for value, name in names.items():
        if value != stated.data.normalize:
            yield f"inputs {name}", "deviation", f"The inputs are {name}.", {"data.normalize": value}
    shuffle = not stated.training.shuffle
    name, often = ("shuffled", "every") if shuffle else ("not shuffled", "in any")
    yield f"images {name}", "deviation", f"The images are {name} {often} epoch.", {"training.shuffle": shuffle}
    yield from images(stated.data)
    yield from initial(stated)
    yield from misprints(stated)


def has_effect(key: str, stated: Settings) -> bool:
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
    }
    place, length = DEVIATIONS[key].place, practice((key,)).updates(training.schedule, epoch, training.batch_size)
    there = {"inputs": data.normalize != "scale", "length": length != stated.updates}.get(place, True)
    return needs.get(key, True) and there and not (key.startswith("l2_") and training.lam == 0)


def images(stated: Data) -> Iterator[Alternative]:
    """Yield the other images that the assignment has: a batch for its figures, and nearly all for its searches."""
    few, many = {"data.train": [1], "data.validation": [2]}, {"data.train": "all", "data.validation": 5000}
    if stated.limit is not None:  # which leaves the same images
        return
    if len(stated.batches) > 1:
        yield "trained on one batch", "deviation", "Batch 1 is trained on, and batch 2 is held out.", few
    else:
        yield "trained on all batches", "deviation", "All batches but 5,000 images are trained on.", many


def initial(stated: Settings) -> Iterator[Alternative]:
    """Yield other initial weights: of all layers, or of one."""
    own, sizes = stated.network.init, stated.sizes
    stds = stds_of(sizes, own if isinstance(own, str) else own.std)
    kinds = {"xavier": ("1 / sqrt(d_in)", stds_of(sizes, "xavier")), "he": ("sqrt(2 / d_in)", stds_of(sizes, "he"))}
    kinds["by outputs"] = "1 / sqrt(d_out)", [1 / math.sqrt(d_out) for d_out in sizes[1:]]
    for name, (text, others) in kinds.items():
        if others != stds:
            says = f"The initial weights of each layer have a standard deviation of {text}."
            yield f"initial weights {name}", "deviation", says, {"network.init": {"std": others}}
    layers = len(stds)
    for layer in (None, *(range(layers) if layers > 1 else ())):
        name, of = ("weights", "") if layer is None else (f"W{layer + 1}", f" of layer {layer + 1}")
        for value in STDS:
            others = [value if layer in (None, i) else std for i, std in enumerate(stds)]
            if others != stds:
                says = f"The initial weights{of} have a standard deviation of {value:g}."
                yield f"initial {name} of {value:g}", "deviation", says, {"network.init": {"std": others}}


def misprints(stated: Settings) -> Iterator[Alternative]:
    """Yield the neighbours of what is printed: shifted points of lambda and eta, other batch sizes and cycles."""
    training, schedule = stated.training, stated.training.schedule
    highest, eta = ("eta0", schedule.eta0) if isinstance(schedule, Decay) else ("eta_max", schedule.eta_max)
    printed: dict[str, tuple[str, float, Sequence[float]]] = {
        "lambda": ("training.lambda", training.lam, (0.01, 0.1, 10, 100)),
        "eta": (f"training.schedule.{highest}", eta, (0.1, 10)),
        "batch size": ("training.batch_size", training.batch_size, (0.5, 2)),
    }
    if isinstance(schedule, Cyclic):
        printed["n_s"] = ("training.schedule.n_s", in_steps(schedule.n_s, stated.steps_per_epoch), (0.5, 2))
        for more, word in {-1: "fewer", 1: "more"}.items():
            changes = {"training.schedule.cycles": schedule.cycles + more}
            yield f"one cycle {word}", "misprint", f"There is one cycle {word} than stated.", changes
    for name, (key, value, factors) in printed.items():
        for factor in factors if value else ():
            other = float(f"{factor * value:.12g}") if isinstance(value, float) else round(factor * value)
            yield f"{name} times {factor:g}", "misprint", f"The stated {name}, times {factor:g}.", {key: other}
