"""A student's own report, begun from run folders: settings, figures and numbers in the order of the assignment.

Every number is of a run folder; what only the student can say is left blank.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from cifarnet import config, plots
from cifarnet.config import Axis, Settings
from cifarnet.errors import RunError
from cifarnet.export import forms
from cifarnet.nn.schedules import Cyclic
from cifarnet.runs import Folder, Run
from cifarnet.runs.catalog import shown
from cifarnet.search import study

FEW = 500  # training images that a network learns by heart, for a sanity check
COLUMNS = 4  # runs beside each other in a table of settings
BEST = 3  # trials of a search, as the assignment asks
NAMES = {  # of the settings that are always stated
    "data.train": "training batches", "data.validation": "validation batches, or images held out",
    "data.normalize": "inputs", "network.hidden": "hidden nodes", "network.init": "initial weights",
    "training.batch_size": "batch size", "training.lambda": "λ", "training.schedule.kind": "learning rate",
    "training.schedule.eta": "η", "training.schedule.eta_min": "η_min", "training.schedule.eta_max": "η_max",
    "training.schedule.n_s": "n_s", "training.schedule.cycles": "cycles", "training.schedule.epochs": "epochs",
    "seed": "seed",
}  # fmt: skip
UNSTATED = ("label", "search", "evaluation.", "data.source")
SCORES = {
    "training cost": "train_cost", "validation cost": "validation_cost", "training accuracy": "train_accuracy",
    "validation accuracy": "validation_accuracy", "best on the way": "best_validation_accuracy",
    "test accuracy": "test_accuracy",
}  # fmt: skip
CHECKED = {
    "method": "method", "hidden": "hidden nodes", "lambda": "λ", "name": "parameter", "n": "values",
    "norm_relative_error": "relative error", "tolerance": "tolerance", "max_absolute_error": "largest difference",
}  # fmt: skip


class Table(NamedTuple):
    """Rows of text; ``number`` is its own among the tables."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    number: int = 0


class Picture(NamedTuple):
    """A figure: its kind, such as "png", its content, and the file beside the report that gets it."""

    caption: str
    kind: str
    content: bytes
    file: str
    number: int = 0


class Section(NamedTuple):
    """What is said of some runs, and ``blanks``: questions that the student answers."""

    title: str
    says: Sequence[str]
    tables: Sequence[Table]
    pictures: Sequence[Picture]
    blanks: Sequence[str]


class Part(NamedTuple):
    """A part of the assignment: what is asked, and the command that makes a run of it."""

    title: str
    blanks: Sequence[str]
    command: str


PARTS = {
    "gradients": Part(
        "Gradient check",
        ["How did you compare your gradients with numerical ones, and how do you know that they are right?"],
        "cifarnet gradcheck --lambda 0.1",
    ),
    "overfit": Part(
        "Sanity check: learning a few images by heart",
        ["What does it show that the cost of a few images comes near 0, and what does it not show?"],
        "cifarnet train overfit",
    ),
    "one layer": Part(
        "Training one layer",
        [
            "What do λ and the learning rate change in the curves and in the accuracy?",
            "What do the pictures of the weights show?",
        ],
        "cifarnet train assignment-1",
    ),
    "two layers": Part("Training two layers", ["What do the curves show?"], "cifarnet train NAME"),
    "cycles": Part(
        "Cyclical learning rates",
        ["How do cost and accuracy follow the learning rate, and where does the network overfit?"],
        "cifarnet train figure-3",
    ),
    "range": Part(
        "Range test of the learning rate", ["Between which learning rates does it learn?"], "cifarnet find-eta figure-3"
    ),
    "coarse": Part(
        "Coarse search", ["Why this range? What do the best trials have in common?"], "cifarnet search-lambda coarse search"
    ),
    "fine": Part(
        "Fine search",
        ["How did you choose this range? Are the best trials further apart than chance puts them?"],
        "cifarnet search-lambda fine --from latest",
    ),
    "final": Part(
        "The final network",
        ["How does it compare with the earlier ones? Which classes does it confuse, and what would you try next?"],
        "cifarnet train --config RUN/best.yaml",
    ),
}  # fmt: skip


def write(runs: Sequence[Run], to: str, folder: Path) -> list[Path]:
    """Write report.md, report.tex or report.html into a folder, with its figures beside it; return the files.

    Raises
    ------
    RunError
        If a run has not ended or cannot be read, a file cannot be written, or there is a report already: it may have
        somebody's words in it.
    """
    path = folder / f"report.{to}"
    if path.exists():
        raise RunError(f"{path}: is there already, perhaps with your words in it; remove it, or choose another --output")
    sections = report(runs, forms.KINDS[to])
    content = {
        "sections": sections,
        "runs": Table("The runs, by folder", ["folder", "cifarnet", "images"], [list(origin(run)) for run in runs]),
        "synthetic": plots.SYNTHETIC if any(run.settings.data.source == "synthetic" for run in runs) else "",
    }
    pictures = [] if to == "html" else [picture for section in sections for picture in section.pictures]
    Folder(folder.parent).write(f"{folder.name}/{path.name}", forms.fill(to, content))
    for picture in pictures:
        Folder(folder).write(picture.file, picture.content)
    return [path, *(folder / picture.file for picture in pictures)]


def report(runs: Sequence[Run], kinds: Sequence[str]) -> list[Section]:
    """Return a section for each part of the assignment that there are runs of; pictures have the first kind they can."""
    parts: dict[str, list[Run]] = {key: [] for key in PARTS}
    for run in {run.path.resolve(): run for run in runs}.values():
        parts[part_of(run)].append(run)
    tables, pictures = count(1), count(1)
    found = []
    for key, chosen in parts.items():
        if chosen:
            says, own = MAKE[key](named(chosen))
            drawn = [p._replace(number=next(pictures)) for p in drawings(key, named(chosen), kinds)]
            numbered = [table._replace(number=next(tables)) for table in own]
            found.append(Section(PARTS[key].title, says, numbered, drawn, PARTS[key].blanks))
    return found


def missing(runs: Sequence[Run]) -> dict[str, str]:
    """Return the parts of the assignment that no run is of, with the command for each."""
    there = {part_of(run) for run in runs} | {"two layers", "range"}
    return {part.title: part.command for key, part in PARTS.items() if key not in there}


def part_of(run: Run) -> str:
    """Return which part of the assignment a run is of; RunError if it has not ended."""
    if run.status != "completed":
        raise RunError(f"{run.path}: has no result to report: it is {run.status}, and {run.describe()}")
    if run.kind != "train":
        kinds = {"gradcheck": "gradients", "find-eta": "range"}
        return kinds[run.kind] if run.kind in kinds else study.read(run).stage
    settings = run.settings
    if settings.label.endswith("-best"):
        return "final"
    if settings.data.n_train <= FEW:
        return "overfit"
    if not settings.network.hidden:
        return "one layer"
    return "cycles" if isinstance(settings.training.schedule, Cyclic) else "two layers"


def named(runs: Sequence[Run]) -> dict[str, Run]:
    """Return runs by label, with the seed or the time where several have one."""
    for name in (lambda run: run.label, lambda run: f"{run.label}, seed {run.settings.seed}", lambda run: run.name):
        found = {name(run): run for run in runs}
        if len(found) == len(runs):
            break
    return found


def checks(runs: Mapping[str, Run]) -> tuple[list[str], list[Table]]:
    says, tables = [], []
    for name, run in runs.items():
        results = run.results
        verdict = "agree" if results["passed"] else "DO NOT agree"
        says.append(f"Of {name}, the gradients {verdict} with the numerical ones, all parameters within the tolerance."
                    if results["passed"] else f"Of {name}, the gradients {verdict} with the numerical ones.")  # fmt: skip
        rows = [[text(key, row.get(key)) for key in CHECKED] for row in results["parameters"]]
        norm = "‖ga − gn‖ / (‖ga‖ + ‖gn‖)"
        dims = f"{run.settings.data.d:,} inputs"
        tables.append(Table(f"Gradient check on {dims}: the relative error is {norm}", list(CHECKED.values()), rows))
    return says, tables


def trainings(runs: Mapping[str, Run]) -> tuple[list[str], list[Table]]:
    return [], [*stated({name: described(run.settings) for name, run in runs.items()}), results(runs)]


def final(runs: Mapping[str, Run]) -> tuple[list[str], list[Table]]:
    says, tables = trainings(runs)
    for name, run in runs.items():
        says.append(f"{name} classifies {text('accuracy', run.results['test_accuracy'])} of the test images rightly.")
        if (run.path / "confusion-test.csv").is_file():
            tables.append(classes(name, run))
    return says, tables


def ranges(runs: Mapping[str, Run]) -> tuple[list[str], list[Table]]:
    rows = [
        [setting.replace("-", " "), *(f"{value:g}" for value in pair.values())]
        for run in runs.values()
        for setting, pair in run.results["found"].items()
    ]
    return list({run.results["rule"]: None for run in runs.values()}), [
        Table("What the range test finds", ["network", "η_min", "η_max"], rows)
    ]


def searches(runs: Mapping[str, Run]) -> tuple[list[str], list[Table]]:
    says, tables = [], []
    studies = {name: study.read(run) for name, run in runs.items()}
    for name, found in studies.items():
        done, names = found.standings(), [NAMES.get(key, key) for key in found.names]
        failed = ", ".join(f"{n} {how}" for how in ("failed", "diverged") if (n := len(found.ended(how))))
        seeds = f", each with {found.part.seeds} seeds" if found.part.seeds > 1 else ""
        says.append(f"{name} ran {len(found.values)} trials{seeds}{f' ({failed})' if failed else ''}; "
                    "they are ranked by the validation accuracy at their end.")  # fmt: skip
        columns = ["rank", *names, "validation accuracy", "best on the way", "validation loss"]
        rows = [
            [str(rank), *(f"{trial[key]:.4g}" for key in found.names.values()), measured(trial)]
            + [text(key, trial[key]) for key in ("best_validation_accuracy", "validation_loss")]
            for rank, trial in enumerate(done[:BEST], 1)
        ]
        tables.append(Table(f"The best {len(rows)} of {len(found.values)} trials of {name}", columns, rows))
    return says, [*stated({name: searched(found) for name, found in studies.items()}), *tables]


MAKE = dict.fromkeys(PARTS, trainings) | {
    "gradients": checks, "range": ranges, "coarse": searches, "fine": searches, "final": final,
}  # fmt: skip


def described(settings: Settings, without: Sequence[str] = ()) -> dict[str, str]:
    """Return by name the settings that are always stated, and those that are not as by default."""
    own, default = (config.flatten(config.plain(s)) for s in (settings, config.Settings()))
    keys = [key for key in own if not key.startswith(UNSTATED) and key not in without]
    chosen = {NAMES.get(key, key): text(key, own[key]) for key in keys if key in NAMES or own[key] != default.get(key)}
    images = {"training images": settings.data.n_train, "validation images": settings.data.n_validation}
    return {name: f"{n:,}" for name, n in images.items()} | chosen | {"updates": f"{settings.updates:,}"}


def searched(found: study.Study) -> dict[str, str]:
    """Return by name the settings that all trials of a search have, and where the others were looked for."""
    space = {NAMES.get(key, key): interval(axis) for key, axis in found.space.items()}
    return described(found.trial_settings(found.trials[0]), [*found.space]) | space | {"sampling": found.part.sampling}


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
    rows = [[name, *(text(key, found.get(key)) for key in SCORES.values())] for name, found in scores.items()]
    groups: dict[str, list[str]] = {}
    for name, run in runs.items():
        groups.setdefault(repr(sorted((run.choices | {"seed": 0}).items(), key=str)), []).append(name)
    for names in groups.values():
        if len(names) > 1:
            columns = [[scores[name][key] for name in names] for key in SCORES.values()]
            label = f"{runs[names[0]].label}: mean ± standard deviation of {len(names)} seeds"
            rows.append([label, *(spread(key, c) for key, c in zip(SCORES.values(), columns, strict=True))])
    return Table("Results", ["", *SCORES], rows)


def best_on_the_way(run: Run) -> dict[str, float]:
    return {"best_validation_accuracy": float(run.records["validation_accuracy"].max())}


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
    if trial["seeds"] == 1:
        return text("accuracy", accuracy)
    return f"{100 * accuracy:.2f} ± {100 * trial['spread']:.2f} %"


def spread(key: str, values: Sequence[float]) -> str:
    mean, deviation = fmean(values), stdev(values)
    return f"{100 * mean:.2f} ± {100 * deviation:.2f} %" if "accuracy" in key else f"{mean:.4f} ± {deviation:.4f}"


def text(key: str, value: Any) -> str:
    """Return what a reader reads of a value."""
    if value is None:
        return ""
    if key.endswith("accuracy"):
        return f"{100 * value:.2f} %"
    if key.endswith(("cost", "loss")) and isinstance(value, float):
        return f"{value:.4f}"
    if key.endswith("error") or key == "tolerance":
        return f"{value:.1e}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if key == "n" else shown(value)


def drawings(key: str, runs: Mapping[str, Run], kinds: Sequence[str]) -> Iterator[Picture]:
    """Yield the figures of a part: the curves of a training, its weights where they are templates, ..."""
    alt = {name: spec.alt for name, spec in plots.FIGURES.items()}
    wanted = {"curves": alt["curves"]}
    if key == "one layer":
        wanted["weights"] = "The weights of each class as an image"
    if key == "cycles":
        wanted["eta"] = alt["eta"]
    if key == "final":
        wanted["confusion-test"] = "Confusions on the test images"
    others = {"gradients": {}, "range": {"range-test": alt["range-test"]}}
    others |= dict.fromkeys(("coarse", "fine"), {"search": "Validation accuracy of the trials"})
    for name, run in runs.items():
        for figure, caption in others.get(key, wanted).items():
            if found := picture(run, figure, kinds):
                yield Picture(f"{caption}: {name}", *found, f"figures/{run.name}-{figure}.{found[0]}")


def picture(run: Run, name: str, kinds: Sequence[str]) -> tuple[str, bytes] | None:
    """Return the kind and the content of a figure: as it is in the run folder, or else drawn from the records."""
    there = [kind for kind in kinds if (run.path / f"figures/{name}.{kind}").is_file()]
    spec = plots.FIGURES.get(name)
    if kinds[0] not in there and (name == "search" or (spec and spec.available(run))):
        figure = study.draw(study.read(run)) if name == "search" else spec.draw(run) if spec else None
        if run.settings.data.source == "synthetic":
            plots.stamp(figure, plots.SYNTHETIC)
        return kinds[0], plots.render(figure, kinds[0])
    return (there[0], run.read_bytes(f"figures/{name}.{there[0]}")) if there else None


def origin(run: Run) -> Iterator[str]:
    """Yield the folder of a run, the cifarnet that it was made with, and its images."""
    known = run.environment
    images: Mapping[str, Any] = known.get("data", {})
    yield run.name
    yield f"{known.get('cifarnet', '')} {str(known.get('git_commit') or '')[:9]}".strip()
    official = "official" if images.get("official") else "not the official bytes"
    yield plots.SYNTHETIC if images.get("source") == "synthetic" else f"CIFAR-10, {official}"
