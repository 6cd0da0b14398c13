"""What a diagnosis found: candidates by probability, which of them explain the numbers, and what would decide."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import scipy

from cifarnet.causes.candidates import STATED, Candidate
from cifarnet.causes.numbers import EARLY, MEASURES, Number, first_step, words
from cifarnet.causes.stages import Stages
from cifarnet.deviations import DEVIATIONS
from cifarnet.readable import predicted
from cifarnet.statistics.likelihood import Array

EQUAL = 3.0  # ratio of two likelihoods, up to which they count as equal if each were known exactly
CLEAR, TINY = 3.0, 1e-3  # deviations of a difference that tell two means from each other; the least deviation
SAME = 0.0125  # numbers of two sets of images have the same digits in (half a digit / this) of all trainings
FEW = 5  # names in a sentence, and candidates that a next number is looked for


class Assessment(NamedTuple):
    """A candidate and what its trainings say of the numbers; ``found`` has one for each number of the problem."""

    candidate: Candidate
    fits: bool
    likelihood: float  # its logarithm
    probability: float
    p: float
    n: float  # trainings of a row, on average
    found: list[dict[str, Any]]
    compatible: int  # how many of them are


def assessments(stages: Stages) -> list[Assessment]:
    """Return the candidates that are trained in all rows: those that explain the numbers, then the most probable."""
    found = [assess(stages, candidate) for candidate in stages.finished]
    logs = [max(j.likelihood + math.log(stages.prior(j.candidate)), -1e300) for j in found]
    ranked = [j._replace(probability=float(p)) for j, p in zip(found, scipy.special.softmax(logs), strict=True)]
    return sorted(ranked, key=lambda j: (not j.fits, -j.probability))


def assess(stages: Stages, candidate: Candidate) -> Assessment:
    """Judge a candidate, without its probability."""
    problem, at = stages.problem, dict[Number, dict[str, Any]]()
    for row in problem.rows:
        at |= zip(problem.numbers_of(row), stages.numbers(candidate, row), strict=True)
    p = stages.probability(candidate, problem.rows)
    n = fmean(len(stages.sample(candidate, row, [])) for row in problem.rows)
    half = max([5e-5, *(number.half for number in problem.numbers if number.measure.startswith("test_"))])
    likelihood = stages.likelihood(candidate) + max(0.0, math.log(SAME / half)) * (candidate.kind == "digits")
    found = [at[number] for number in problem.numbers]
    compatible = sum(number["compatible"] for number in found)
    return Assessment(candidate, stages.fits(candidate), likelihood, 0.0, p, n, found, compatible)


def answer(stages: Stages) -> dict[str, Any]:
    """Return what a diagnosis found, as run.json has it."""
    ranked = assessments(stages)
    first, names = ranked[0], [j.candidate.name for j in ranked]
    equal = [j for j in ranked if j is first or as_likely(j, first)] if first.fits else []
    decides = most_decisive(stages, equal) if len(equal) > 1 else None
    verdict = "nothing" if not first.fits else STATED if first.candidate.name == STATED else "explained"
    return {
        "verdict": verdict,
        "explanations": [j.candidate.name for j in equal],
        "says": [*sentences(stages, ranked, equal), *next_number(decides, equal)],
        "tried": tried(stages),
        "reported": [{**number._asdict(), "words": words(number.measure)} for number in stages.problem.numbers],
        "candidates": [described(j) for j in ranked],
        "excluded": {c.name: why(stages, c) for c in stages.candidates if c.name not in names},
        "tells": decides,
    }


def as_likely(other: Assessment, first: Assessment) -> bool:
    """Return whether another candidate explains the numbers as well as the first.

    Both likelihoods are from few trainings: with n of each, the logarithm of their ratio has a deviation of about the
    root of 2 p / n for p numbers, if both are the same program.
    """
    p = len(first.found)
    noise = math.sqrt(p / first.n + p / other.n) / (1 + 1 / first.n)
    return other.fits and other.n > 1 and first.likelihood - other.likelihood <= math.log(EQUAL) + 2 * noise


def described(j: Assessment) -> dict[str, Any]:
    """Return a candidate as JSON has it; the sentences are those of its deviations."""
    named = [DEVIATIONS[part] for part in (j.candidate.parts or (j.candidate.name,)) if part in DEVIATIONS]
    return {
        "name": j.candidate.name,
        "kind": j.candidate.kind,
        "says": j.candidate.says,
        **{kind: " ".join(getattr(deviation, kind) for deviation in named) for kind in ("origin", "sign", "cure")},
        "probability": j.probability,
        "fits": j.fits,
        "p": j.p,
        "compatible": j.compatible,
        "seeds": math.ceil(j.n),
        "numbers": j.found,
        "changes": j.candidate.rows,
    }


def tried(stages: Stages) -> int:
    return len({*stages.tried, *set(stages.quick) - set(stages.screened)}) - 1  # with those that are screened out


def why(stages: Stages, candidate: Candidate) -> str:
    """Return why a candidate is not among those that were trained to the end."""
    if stages.task(candidate, stages.hardest, 0).key in stages.done:
        return f"less likely than others in {stages.hardest}"
    if candidate not in stages.quick:
        return f"not tried: it takes {stages.work(candidate) / stages.work(stages.stated):.0f} times as long"
    screened = candidate in stages.screened
    return "left out, as others are more promising" if screened else "a short training leads too far away"


def sentences(stages: Stages, ranked: Sequence[Assessment], equal: Sequence[Assessment]) -> Iterator[str]:
    """Say what explains the numbers, if anything does."""
    first, count = ranked[0], tried(stages)
    what = "the number" if len(stages.problem.numbers) == 1 else f"the {len(stages.problem.numbers)} numbers"
    if not first.fits:
        nearest = f"The nearest is {first.candidate.name}: {compared(stages, first)}"
        yield f"None of {count} candidate{'s' * (count != 1)} explains {what}. {nearest}"
        return
    others = [j.candidate.name for j in equal if j is not first]
    if first.candidate.name == STATED:
        yield f"The settings as stated explain {what}: {compared(stages, first)}"
    else:
        yield f"{first.candidate.name} explains {what}: {compared(stages, first)}"
        yield f"As stated: {compared(stages, next(j for j in ranked if j.candidate.name == STATED))}"
    if others:
        listed = ", ".join(others[:FEW]) + (f" and {len(others) - FEW} more" if len(others) > FEW else "")
        more = f"{len(others)} more explain{'s' * (len(others) == 1)}"
        yield f"Of {count} candidates, {more} {what} equally well: {listed}."


def compared(stages: Stages, j: Assessment) -> str:
    """Return the interval of a single number, or how many of them are compatible."""
    if len(stages.problem.numbers) > 1:
        return f"{j.compatible} of {len(j.found)} are compatible, within the 95 % interval of one training."
    (number,), (found,) = stages.problem.numbers, j.found
    if math.isnan(found["mean"]):
        return "its cost is not finite."
    mean, low, high = (predicted(number.measure, found[key]) for key in ("mean", "low", "high"))
    reported = predicted(number.measure, number.value)
    return f"{reported} was reported, and it gives {mean} ({low} to {high}) as {words(number.measure)}."


def most_decisive(stages: Stages, equal: Sequence[Assessment]) -> dict[str, Any] | None:
    """Return the measure, not reported so far, that tells the most of some candidates from each other; None if none."""
    given = {(number.row, number.measure) for number in stages.problem.numbers}
    best, most = None, (0.0, 0.0)
    for row, measure in itertools.product(stages.problem.rows, (*MEASURES, *EARLY)):
        samples = {j.candidate.name: stages.sample(j.candidate, row, [measure])[:, 0] for j in equal[:FEW]}
        if (row, measure) not in given and (score := clarity(list(samples.values()))) > most:
            name = words(measure, first_step(stages.problem.trained[row]))
            means = {name: float(sample.mean()) for name, sample in samples.items()}
            best, most = {"row": row, "measure": measure, "words": name, "means": means}, score
    return best


def clarity(samples: Sequence[Array]) -> tuple[float, float]:
    """Return how many pairs of samples one more number would tell from each other, and how well."""
    spreads = [s.var(ddof=1) for s in samples if len(s) > 1]
    if not spreads or not all(np.isfinite(s).all() for s in samples):
        return 0.0, 0.0
    deviation = max(math.sqrt(2 * float(np.mean(spreads))), TINY)
    distances = [abs(a.mean() - b.mean()) / deviation for a, b in itertools.combinations(samples, 2)]
    return float(sum(value > CLEAR for value in distances)), sum(distances) if max(distances) > CLEAR else 0.0


def next_number(decides: Mapping[str, Any] | None, equal: Sequence[Assessment]) -> Iterator[str]:
    """Say which number to print next, where several candidates explain those that there are."""
    if decides:
        means = ", ".join(f"{predicted(decides['measure'], m)} with {name}" for name, m in decides["means"].items())
        place = f" of {decides['row']}" if decides["row"] else ""
        yield f"What would tell them from each other is the {decides['words']}{place}: {means}."
    elif len(equal) > 1:
        yield "No number that is measured here would tell them from each other."
