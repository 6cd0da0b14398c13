"""What a report says of runs: their settings and results as tables, and what these come to as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cifarnet import config, readable
from cifarnet.config import Axis, Settings
from cifarnet.readable import mean_std, percent, spread
from cifarnet.runs import Run
from cifarnet.runs.catalog import fold
from cifarnet.search import study
from cifarnet.setting import in_steps

COLUMNS = 4  # runs beside each other in a table of settings
BEST = 3  # trials of a search, as the assignment asks
NAMES = {  # of the settings that are always stated
    "data.train": "training batches", "data.validation": "validation batches, or images held out",
    "data.normalize": "inputs", "network.hidden": "hidden nodes", "network.init": "initial weights",
    "network.init.std": "initial weights, standard deviation",
    "training.batch_size": "batch size", "training.lambda": "λ", "training.schedule.kind": "learning rate",
    "training.schedule.eta": "η", "training.schedule.eta_min": "η_min", "training.schedule.eta_max": "η_max",
    "training.schedule.n_s": "n_s", "training.schedule.cycles": "cycles", "training.schedule.epochs": "epochs",
    "seed": "seed",
}  # fmt: skip
N_S = "training.schedule.n_s"
UNSTATED = ("label", "search", "evaluation.", "data.source", "data.limit")
SCORES = {
    "train_cost": "training cost", "validation_cost": "validation cost", "train_accuracy": "training accuracy",
    "validation_accuracy": "validation accuracy", "best_validation_accuracy": "best on the way",
    "test_accuracy": "test accuracy",
}  # fmt: skip
CHECKED = {
    "method": "method", "hidden": "hidden nodes", "lambda": "λ", "name": "parameter", "n": "values",
    "norm_relative_error": "relative error", "tolerance": "tolerance", "max_absolute_error": "largest difference",
    "passed": "verdict",
}  # fmt: skip
CODE = {  # of a student's code
    "hidden": "hidden nodes", "lambda": "λ", "images": "images", "name": "parameter",
    "norm_relative_error": "relative error", "numerical_error": "against the numerical one", "tolerance": "tolerance",
    "passed": "verdict",
}  # fmt: skip


class Table(NamedTuple):
    """Rows of text; ``number`` is its own among the tables."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    number: int = 0


Said = tuple[list[str], list[Table]]


def checks(runs: Mapping[str, Run]) -> Said:
    says, tables = [], []
    for name, run in runs.items():
        results, columns = run.results, CODE if "code" in run.results else CHECKED
        right = f"the {'right' if columns is CODE else 'numerical'} ones"
        how = f"agree with {right}" if results["passed"] else f"DIFFER from {right}"
        says.append(f"The gradients of {name} {how}, by the tolerance of each parameter.")
        rows = [[text(key, row.get(key)) for key in columns] for row in results["parameters"]]
        inputs = "random inputs" if columns is CODE else f"{run.settings.data.d:,} inputs"
        caption = f"Gradient check on {inputs}; the relative error is ‖ga − gn‖ / (‖ga‖ + ‖gn‖)"
        tables.append(Table(caption, list(columns.values()), rows))
    return says, tables


def trainings(runs: Mapping[str, Run]) -> Said:
    says = [f"{name} {run.info['error']}." for name, run in runs.items() if run.status == "diverged"]
    keys = [key for run in runs.values() for key in chosen(run.settings)]
    return says, [*stated({name: described(run.settings, keys) for name, run in runs.items()}), results(runs)]


def final(runs: Mapping[str, Run]) -> Said:
    says, tables = trainings(runs)
    says += [
        f"{name} classifies {percent(run.results['test_accuracy'])} of the test images rightly."
        for name, run in runs.items()
        if run.results
    ]
    there = {name: run for name, run in runs.items() if (run.path / "confusion-test.csv").is_file()}
    return says, [*tables, *(classes(name, run) for name, run in there.items())]


def ranges(runs: Mapping[str, Run]) -> Said:
    rows = [
        [setting.replace("-", " "), *(f"{value:g}" for value in pair.values())]
        for run in runs.values()
        for setting, pair in run.results["found"].items()
    ]
    return list({run.results["rule"]: None for run in runs.values()}), [
        Table("What the range test finds", ["network", "η_min", "η_max"], rows)
    ]


def searches(runs: Mapping[str, Run]) -> Said:
    says, tables = [], []
    studies = {name: study.read(run) for name, run in runs.items()}
    for name, found in studies.items():
        done, names = found.standings(), [NAMES.get(key, key) for key in found.names]
        failed = ", ".join(f"{n} {how}" for how in ("failed", "diverged") if (n := len(found.ended(how))))
        seeds = f", each with {found.part.seeds} seeds" if found.part.seeds > 1 else ""
        says.append(f"{name}: {len(found.values)} trials{seeds}{f' ({failed})' if failed else ''}; "
                    "ranked by the validation accuracy at their end.")  # fmt: skip
        columns = ["rank", *names, "validation accuracy", "best on the way", "validation loss"]
        rows = [
            [str(rank), *(f"{trial[key]:.4g}" for key in found.names.values()), measured(trial)]
            + [text(key, trial[key]) for key in ("best_validation_accuracy", "validation_loss")]
            for rank, trial in enumerate(done[:BEST], 1)
        ]
        tables.append(Table(f"The best {len(rows)} of {len(found.values)} trials of {name}", columns, rows))
    return says, [*stated({name: searched(found) for name, found in studies.items()}), *tables]


def chosen(settings: Settings) -> list[str]:
    """Return the settings that are always stated, and those that are not as by default."""
    own, default = (config.flatten(config.plain(s)) for s in (settings, config.Settings()))
    keys = [key for key in own if not key.startswith(UNSTATED)]
    return [key for key in keys if key in NAMES or own[key] != default.get(key)]


def described(settings: Settings, keys: Sequence[str]) -> dict[str, str]:
    """Return by name those of some settings that there are, with n_s in updates."""
    own = config.flatten(config.plain(settings))
    if isinstance(n_s := own.get(N_S), str):
        own[N_S] = f"{in_steps(n_s, settings.steps_per_epoch):,} ({n_s})"
    images = {"training images": settings.data.n_train, "validation images": settings.data.n_validation}
    stated = {NAMES.get(key, key): text(key, own[key]) for key in own if key in keys}
    return {name: f"{n:,}" for name, n in images.items()} | stated | {"updates": f"{settings.updates:,}"}


def searched(found: study.Study) -> dict[str, str]:
    """Return by name the settings that all trials of a search have, and where the others were looked for."""
    space = {NAMES.get(key, key): interval(axis) for key, axis in found.space.items()}
    settings = found.trial_settings(found.trials[0])
    fixed = described(settings, [key for key in chosen(settings) if key not in found.space])
    if any(key.startswith(("data.", "training.batch_size", "training.schedule")) for key in found.space):
        del fixed["updates"]  # they differ
    return fixed | space | {"sampling": found.part.sampling}


def interval(axis: Axis) -> str:
    """Say where a search looks along one setting."""
    if axis.values:
        return ", ".join(f"{value:.4g}" for value in axis.values)
    low, high = axis.log10 or axis.linear or (0, 0)
    return f"10^l, l from {low:.4g} to {high:.4g}" if axis.log10 else f"{low:.4g} to {high:.4g}"


def stated(columns: Mapping[str, Mapping[str, str]]) -> Iterator[Table]:
    """Lay out settings as tables, a row a setting, a few runs beside each other."""
    names = [*columns]
    for start in range(0, len(names), COLUMNS):
        some = names[start : start + COLUMNS]
        keys = dict.fromkeys(key for name in some for key in columns[name])
        rows = [[key, *(columns[name].get(key, "") for name in some)] for key in keys]
        yield Table(f"Settings of {', '.join(some)}", ["", *some], rows)


def results(runs: Mapping[str, Run]) -> Table:
    """Lay out how trainings ended, with means over those of one config that differ in the seed alone."""
    scores = {name: run.scores | best_on_the_way(run) for name, run in runs.items()}
    rows = [[name, *(text(key, found.get(key)) for key in SCORES)] for name, found in scores.items()]
    for group in fold([run for run in runs.values() if run.results], "seed"):
        names = [name for name, run in runs.items() if run in group]
        if len(names) > 1:
            means = [over_seeds(key, [scores[name][key] for name in names]) for key in SCORES]
            label = runs[names[0]].label
            alone = names == [name for name, run in runs.items() if run.label == label]
            label = f"{label}: mean of {len(names)} seeds" if alone else f"mean of {', '.join(names)}"
            rows.append([label, *means])
    return Table("Results", ["", *SCORES.values()], rows)


def best_on_the_way(run: Run) -> dict[str, float]:
    accuracies = run.records["validation_accuracy"] if (run.path / "metrics.csv").is_file() else ()
    return {"best_validation_accuracy": float(max(accuracies))} if len(accuracies) else {}


def classes(name: str, run: Run) -> Table:
    """Count for each class the test images that are classified rightly."""
    columns = run.read_table("confusion-test.csv")
    rows = []
    for i, label in enumerate(columns):
        counts = [int(column[i]) for column in columns.values()]
        wrong = sorted((n, other) for n, other in zip(counts, columns, strict=True) if other != label)[-1]
        rows.append([label, f"{counts[i]:,} of {sum(counts):,}", f"{wrong[1]} ({wrong[0]:,})"])
    return Table(f"Test images of each class, {name}", ["class", "right", "most often taken for"], rows)


def measured(trial: Mapping[str, Any]) -> str:
    """Return the validation accuracy of a trial, with the standard deviation over its seeds."""
    accuracy = trial["validation_accuracy"]
    return f"{100 * accuracy:.2f} ± {percent(trial['spread'])}" if trial["seeds"] > 1 else percent(accuracy)


def over_seeds(key: str, values: Sequence[float]) -> str:
    mean, deviation = mean_std(values)
    return spread(values) if "accuracy" in key else f"{mean:.4f} ± {deviation:.4f}"


def text(key: str, value: Any) -> str:
    """Return what a reader reads of a value."""
    if key == "passed":
        return "right" if value else "WRONG"
    return readable.in_table(key, value)
