"""Runs beside each other: where they differ, and what may explain that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cifarnet import plots
from cifarnet.readable import brief
from cifarnet.runs import Run
from cifarnet.runs.catalog import RANK, differing, differing_settings, handles, recorded_facts, short_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEGEND = 3  # settings of a run in a legend
SYMBOLS = {"lambda": "λ", "eta": "η", "eta_min": "η_min", "eta_max": "η_max"}
CAUSES = {
    "data.": "the images are not the same",
    "git_": "the code is not the same",
    "cifarnet": "the code is not the same",
    "blas.num_threads": "sums are split differently over the threads of the BLAS",
    "blas.": "another BLAS rounds differently",
    "numpy": "another NumPy brings another BLAS",
    "cpu": "the BLAS takes other kernels on another CPU",
}


def compare(runs: Sequence[Run]) -> dict[str, Any]:
    """Return settings and environment where runs differ, all results, a value a run, and what explains differences."""
    environments = [recorded_facts(run) for run in runs]
    facts = [{key: run.info.get(key) for key in ("status", "seconds")} | run.scores for run in runs]
    return {
        "settings": {key: [run.values.get(key) for run in runs] for key in differing_settings(runs)},
        "environment": {key: [one.get(key) for one in environments] for key in differing(environments)},
        "results": {key: [fact.get(key) for fact in facts] for key in dict.fromkeys(k for fact in facts for k in fact)},
        "causes": list(causes(runs)),
    }


def curves(runs: Sequence[Run]) -> Figure | None:
    """Draw the curves of those runs that have some in one figure, named by what differs; None where none has."""
    drawn = [run for run in runs if (run.path / "metrics.csv").is_file()]
    if not drawn:
        return None
    figure = plots.overlay({name: run.records for name, run in zip(legends(drawn), drawn, strict=True)})
    return plots.stamp(figure) if any(run.is_synthetic for run in drawn) else figure


def legends(runs: Sequence[Run]) -> list[str]:
    """Return names of runs for a figure: what differs, of many settings a few or as many as tell the runs apart.

    Before those that this leaves alike are their short names.
    """
    differ = [key for key in differing_settings(runs) if not key.startswith(("label", "search.", "evaluation."))]
    differ.sort(key=lambda key: RANK.get(key, len(RANK) - 2))  # the seed comes late
    counts = range(min(len(differ), LEGEND), len(differ) + 1)
    texts = [[named(run, differ[:count]) for run in runs] for count in counts]
    names = next((names for names in texts if len(set(names)) == len(runs)), texts[0])
    alike, short = Counter(names), handles(runs)
    alone = [bool(name) and alike[name] == 1 for name in names]
    return [n if one else f"{short[run.path]} {n}".strip() for run, n, one in zip(runs, names, alone, strict=True)]


def named(run: Run, keys: Collection[str]) -> str:
    """Return the settings that a run has of these as a legend has them, such as λ = 0.01."""
    values = {name: run.values.get(key) for key, name in short_names(keys).items()}
    return ", ".join(f"{SYMBOLS.get(n, n)} = {brief(value)}" for n, value in values.items() if value is not None)


def explain(a: Run, b: Run) -> str | None:
    """Say why the results of two runs of the same settings differ, as far as it is recorded; None if they do not."""
    if a.status != b.status:
        return f"the first one is {a.status}, the second one {b.status}"
    if a.results == b.results:
        return None
    found: dict[str, list[str]] = {}
    for key in differing([recorded_facts(a), recorded_facts(b)]):
        if cause := next((cause for start, cause in CAUSES.items() if key.startswith(start)), None):
            found.setdefault(cause, []).append(key)
    said = "; ".join(f"{cause} ({', '.join(keys)})" for cause, keys in found.items())
    return said or "nothing that was recorded explains it"


def causes(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Yield each run that differs from the first one of the same settings, and what explains it."""
    for i, run in enumerate(runs):
        first = next((other for other in runs[:i] if alike(other, run)), None)
        if first and (why := explain(first, run)):
            yield {"runs": [first.name, run.name], "why": why}


def alike(a: Run, b: Run) -> bool:
    """Return whether two runs are of one kind and have the same settings, whatever their labels."""
    return a.kind == b.kind and set(differing([a.choices, b.choices])) <= {"label"}
