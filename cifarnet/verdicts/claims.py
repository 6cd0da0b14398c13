"""The claims of reports, tested with trainings of the same seeds; error rates hold over all claims of a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from cifarnet.config import Settings
from cifarnet.statistics import inference as statistics
from cifarnet.statistics.inference import LEVEL, Result
from cifarnet.studies.printed import Reported
from cifarnet.studies.spec import Claim, Study
from cifarnet.verdicts.compare import Results

Verdict = Literal["holds", "does not hold", "undecided", "not tested", "not run", "cannot be compared"]


class Tested(NamedTuple):
    """A claim and its verdict; ``difference`` is the first row minus its strongest rival, with its 95 % interval."""

    claim: Claim
    verdict: Verdict
    reason: str = ""
    rival: str = ""
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    p: float = math.nan  # adjusted for all claims of the page
    result: Result | None = None


def test(study: Study, claim: Claim, results: Results, incomparable: str = "") -> Tested:
    """Compare the first row of a claim with the others, by the seeds that all of them have.

    The verdict is open until ``decide`` has seen all claims of the page.
    """
    first, *others = [study.rows[name] for name in claim.rows]
    recorded = not claim.measure.startswith(("validation", "test"))  # how it is recorded may matter
    rivals = [row for row in others if recorded or not same_weights(first.settings, row.settings)]
    if not rivals:
        return Tested(claim, "not tested", "all rows are one network, which is not compared with itself")
    number = Reported(text="–", measure=claim.measure)
    columns = [
        [measures.get(row.measured(number), math.nan) for measures in results(row.name)] for row in (first, *rivals)
    ]
    seeds = [values for values in zip(*columns, strict=False) if all(map(math.isfinite, values))]
    if len(seeds) < 2:
        reason = "one seed has no spread" if seeds else ""
        return Tested(claim, "not tested" if seeds else "not run", reason, n=len(seeds))
    sign = -1 if claim.expect == "first lowest" else 1
    ours, *theirs = [[sign * value for value in column] for column in zip(*seeds, strict=True)]
    alike = claim.expect == "alike"
    result = statistics.alike(ours, theirs, claim.margin) if alike else statistics.best(ours, theirs)
    low, high = sorted((sign * result.low, sign * result.high))
    return Tested(claim, "cannot be compared" if incomparable else "undecided", incomparable, rivals[result.rival].name,
                  sign * result.difference, low, high, len(seeds), result=result)  # fmt: skip


def same_weights(a: Settings, b: Settings) -> bool:
    """Whether two trainings end at the same weights: they differ in no more than what is recorded of them."""
    parts = {"data", "network", "training", "deviations", "seed"}
    return a.model_dump(include=parts) == b.model_dump(include=parts)


def decide(found: Sequence[Tested]) -> list[Tested]:
    """Return the claims of a page with their verdicts, by Holm's procedure over all that were tested."""
    tested = [(i, t.result) for i, t in enumerate(found) if t.result and t.verdict == "undecided"]
    decided = list(found)
    for (i, result), p in zip(tested, statistics.holm([r.p for _, r in tested]), strict=True):
        verdict: Verdict = "holds" if result.p_for < result.p_against else "does not hold"
        decided[i] = found[i]._replace(p=p, verdict=verdict if p <= 1 - LEVEL else "undecided")
    return decided
