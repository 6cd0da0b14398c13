"""A sampler that learns from the trials before: the tree-structured Parzen estimator (Bergstra et al. 2011), by optuna.

It suggests trials in rounds, an eighth of all at a time and at least four; those of the first are the ones of uniform
sampling. A round depends on the seed and on how the trials of earlier rounds ended, and on nothing else: a search has
the same trials whatever its jobs, and resumed the same as one that never stopped (with the same version of optuna).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from cifarnet.errors import ConfigError
from cifarnet.nn.random import generator
from cifarnet.search import space as spaces
from cifarnet.search.space import STAGES, Point

if TYPE_CHECKING:
    from cifarnet.search.study import Study


def round_size(trials: int) -> int:
    """Return how many trials are suggested at a time."""
    return min(max(4, trials // 8), trials)


def library() -> Any:
    """Return optuna; ConfigError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise ConfigError("sampling = tpe: needs optuna; pip install 'cifarnet[tpe]', or take uniform") from error
    return optuna


def suggest(study: Study) -> list[Point]:
    """Return the points of a search's next round."""
    first, trials = len(study.values), study.part.trials
    rng = generator(study.settings.seed, "search", STAGES.index(study.stage), first, 1)
    count = min(round_size(trials), trials - first)
    return points(len(study.space), tried(study), count, int(rng.integers(2**32)))


def tried(study: Study) -> list[tuple[Point, float]]:
    """Return the trials that ended, by index: their points and mean validation accuracies.

    One that diverged has an accuracy of 0, so that no other goes where it was; what failed says nothing.
    """
    accuracies: dict[int, list[float]] = {}
    for row in study.rows:
        if row["status"] != "failed":
            accuracy = float(row["validation_accuracy"]) if row["status"] == "completed" else 0.0
            accuracies.setdefault(int(row["index"]), []).append(accuracy)
    values = study.values
    return [(spaces.point(study.space, values[index]), fmean(accuracies[index])) for index in sorted(accuracies)]


def points(axes: int, tried: Sequence[tuple[Point, float]], count: int, seed: int) -> list[Point]:
    """Return ``count`` points in [0, 1]^axes that may have higher values than those that were tried.

    Each counts as the worst so far when the next one is suggested, so that they do not crowd (a constant liar).
    """
    optuna = library()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would announce every study and trial
    cube = {f"u{number}": optuna.distributions.FloatDistribution(0, 1) for number in range(axes)}
    sampler = optuna.samplers.TPESampler(n_startup_trials=1, seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for place, value in tried:
        params = dict(zip(cube, place, strict=True))
        study.add_trial(optuna.trial.create_trial(params=params, distributions=cube, value=value))
    worst, found = min((value for _, value in tried), default=0.0), list[Point]()
    for _ in range(count):
        trial = study.ask(cube)
        study.tell(trial, worst)
        found.append([trial.params[name] for name in cube])
    return found
