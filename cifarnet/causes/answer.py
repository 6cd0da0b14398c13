"""What a diagnosis found: candidates by probability, which of them explain the numbers, and what would decide."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cifarnet.causes.candidates import PRIORS, STATED, Candidate
from cifarnet.causes.likelihood import Array, quantity
from cifarnet.causes.numbers import EARLY, MEASURES, Number, first_step, words
from cifarnet.causes.race import Race
from cifarnet.nn.deviations import DEVIATIONS

EQUAL = 3.0  # of two likelihoods, a ratio below it decides nothing
CLEAR = 3.0  # deviations of a difference, beyond which one more number tells two means from each other
TINY = 1e-3  # the least deviation of a difference
FEW = 5  # names in a sentence, and candidates that a next number is looked for


class Judged(NamedTuple):
    """A candidate with all that its trainings say of the numbers, each in the order of the problem's."""

    candidate: Candidate
    fits: bool
    likelihood: float  # its logarithm
    probability: float
    p: float
    n: int
    means: list[float]
    lows: list[float]
    highs: list[float]
    compatible: list[bool]


def show(value: float, measure: str) -> str:
    """Return a number as people read it."""
    return f"{100 * value:.2f} %" if quantity(measure) == "accuracy" else f"{value:.4g}"


def prior(race: Race, candidate: Candidate) -> float:
    """Return the probability before any number is known: that of a kind, divided among all that could be tried."""
    singles = len(race.candidates) - 1
    count = sum(other.kind == candidate.kind for other in race.candidates)
    return PRIORS[candidate.kind] / (singles * (singles - 1) / 2 if candidate.kind == "pair" else count)


def judged(race: Race) -> list[Judged]:
    """Return the candidates that are trained in all rows, the most probable first."""
    found = [judge(race, candidate) for candidate in race.finished]
    logs = [j.likelihood + math.log(prior(race, j.candidate)) for j in found]
    top = max(logs)
    weights = [math.exp(value - top) if math.isfinite(top) else 1.0 for value in logs]
    ranked = [j._replace(probability=w / sum(weights)) for j, w in zip(found, weights, strict=True)]
    return sorted(ranked, key=lambda j: -j.probability)


def judge(race: Race, candidate: Candidate) -> Judged:
    """Judge a candidate, without its probability."""
    at: dict[Number, tuple[float, float, float]] = {}
    inside: dict[Number, bool] = {}
    for row in race.problem.rows:
        numbers, found = race.problem.of(row), race.prediction(candidate, row)
        inside |= dict(zip(numbers, race.compatible(candidate, row), strict=True))
        if found:
            ends = found.intervals(np.array([number.half for number in numbers]))
            at |= dict(zip(numbers, zip(found.mean.tolist(), *(e.tolist() for e in ends), strict=True), strict=True))
    found_at = [at.get(number, (math.nan,) * 3) for number in race.problem.numbers]
    means, lows, highs = (list(column) for column in zip(*found_at, strict=True))
    p, n = (
        race.probability(candidate, race.problem.rows),
        min(len(race.sample(candidate, r, [])) for r in race.problem.rows),
    )
    compatible = [inside[number] for number in race.problem.numbers]
    return Judged(
        candidate, race.fits(candidate), race.likelihood(candidate), 0.0, p, n, means, lows, highs, compatible
    )


def answer(race: Race) -> dict[str, Any]:
    """Return what a diagnosis found, as run.json has it."""
    ranked = judged(race)
    first, names = ranked[0], [j.candidate.name for j in ranked]
    equal = [j for j in ranked if j.fits and first.fits and j.likelihood >= first.likelihood - math.log(EQUAL)]
    decides = telling(race, equal) if len(equal) > 1 else None
    verdict = "nothing" if not first.fits else STATED if first.candidate.name == STATED else "explained"
    return {
        "verdict": verdict,
        "explanations": [j.candidate.name for j in equal],
        "says": [*sentences(race, ranked, equal), *next_number(decides, equal)],
        "tried": tried(race),
        "reported": [number._asdict() for number in race.problem.numbers],
        "candidates": [described(j) for j in ranked],
        "excluded": {c.name: why(race, c) for c in race.candidates if c.name not in names},
        "tells": decides,
    }


def described(j: Judged) -> dict[str, Any]:
    """Return a candidate as JSON has it; the sentences are those of its deviations."""
    named = [DEVIATIONS[part] for part in (j.candidate.parts or (j.candidate.name,)) if part in DEVIATIONS]
    numbers = zip(j.means, j.lows, j.highs, j.compatible, strict=True)
    return {
        "name": j.candidate.name,
        "kind": j.candidate.kind,
        "says": j.candidate.says,
        **{kind: " ".join(getattr(deviation, kind) for deviation in named) for kind in ("origin", "sign", "cure")},
        "probability": j.probability,
        "fits": j.fits,
        "p": j.p,
        "compatible": sum(j.compatible),
        "seeds": j.n,
        "numbers": [{"mean": m, "low": low, "high": high, "compatible": ok} for m, low, high, ok in numbers],
        "changes": j.candidate.rows,
    }


def tried(race: Race) -> int:
    """Return how many candidates are tried, those that a short training excludes among them."""
    return len({*race.entrants, *race.timely, *race.tried}) - 1


def why(race: Race, candidate: Candidate) -> str:
    """Return why a candidate is not among those that were trained to the end."""
    if candidate in race.late and candidate not in race.tried:
        return f"not tried: it takes {race.work(candidate) / race.work(race.stated):.0f} times as long"
    if candidate not in race.tried:
        return "a short training leads too far away"
    return f"too far away in {race.hardest or 'the first training'}"


def sentences(race: Race, ranked: Sequence[Judged], equal: Sequence[Judged]) -> Iterator[str]:
    """Say what explains the numbers, if anything does."""
    first, count = ranked[0], tried(race)
    what = "the number" if len(race.problem.numbers) == 1 else f"the {len(race.problem.numbers)} numbers"
    if not first.fits:
        nearest = f"The nearest is {first.candidate.name}: {compared(race, first)}"
        yield f"None of {count} candidates explains {what}. {nearest}"
        return
    others = [j.candidate.name for j in equal if j is not first]
    name = "The settings as stated" if first.candidate.name == STATED else first.candidate.name
    yield f"{name} {'explain' if first.candidate.name == STATED else 'explains'} {what}: {compared(race, first)}"
    if first.candidate.name != STATED:
        yield f"As stated: {compared(race, next(j for j in ranked if j.candidate.name == STATED))}"
    if others:
        listed = ", ".join(others[:FEW]) + (f" and {len(others) - FEW} more" if len(others) > FEW else "")
        verb = "explains" if len(others) == 1 else "explain"
        yield f"Of {count} candidates, {len(others)} {verb} {what} equally well: {listed}."


def compared(race: Race, j: Judged) -> str:
    """Return the interval of a single number, or how many of them are compatible."""
    if len(race.problem.numbers) > 1:
        return f"{sum(j.compatible)} of {len(j.compatible)} are compatible, within the 95 % interval of one training."
    (number,) = race.problem.numbers
    if math.isnan(j.means[0]):
        return "its cost is not finite."
    at = [show(value, number.measure) for value in (number.value, j.means[0], j.lows[0], j.highs[0])]
    return f"{at[0]} was reported, and it gives {at[1]} ({at[2]} to {at[3]}) as {number.words}."


def telling(race: Race, equal: Sequence[Judged]) -> dict[str, Any] | None:
    """Return the measure, not reported so far, that tells the most of some candidates from each other; None if none."""
    given = {(number.row, number.measure) for number in race.problem.numbers}
    best, most = None, (0.0, 0.0)
    for row, measure in itertools.product(race.problem.rows, (*MEASURES, *EARLY)):
        samples = {j.candidate.name: race.sample(j.candidate, row, [measure])[:, 0] for j in equal[:FEW]}
        if (row, measure) not in given and (score := clarity(list(samples.values()))) > most:
            best, most = telling_number(race, row, measure, samples), score
    return best


def clarity(samples: Sequence[Array]) -> tuple[float, float]:
    """Return how many pairs of samples one more number would tell from each other, and how well."""
    spreads = [s.var(ddof=1) for s in samples if len(s) > 1]
    if not spreads or not all(np.isfinite(s).all() for s in samples):
        return 0.0, 0.0
    deviation = max(math.sqrt(2 * float(np.mean(spreads))), TINY)
    distances = [abs(a.mean() - b.mean()) / deviation for a, b in itertools.combinations(samples, 2)]
    return float(sum(value > CLEAR for value in distances)), sum(distances) if max(distances) > CLEAR else 0.0


def telling_number(race: Race, row: str, measure: str, samples: Mapping[str, Array]) -> dict[str, Any]:
    first = first_step(race.problem.trained[row])
    means = {name: float(sample.mean()) for name, sample in samples.items()}
    return {"row": row, "measure": measure, "words": words(measure, first), "means": means}


def next_number(decides: Mapping[str, Any] | None, equal: Sequence[Judged]) -> Iterator[str]:
    """Say which number to print next, where several candidates explain those that there are."""
    if decides:
        means = ", ".join(f"{show(mean, decides['measure'])} with {name}" for name, mean in decides["means"].items())
        place = f" of {decides['row']}" if decides["row"] else ""
        yield f"What would tell them from each other is the {decides['words']}{place}: {means}."
    elif len(equal) > 1:
        yield "No number that is measured here would tell them from each other."
