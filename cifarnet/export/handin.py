"""A student's own report, begun from run folders: settings, figures and numbers in the order of the assignment.

Every number is of a run folder; what only the student can say is left blank.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from cifarnet import plots
from cifarnet.errors import RunError
from cifarnet.export import facts, forms
from cifarnet.export.facts import Table
from cifarnet.nn.schedules import Cyclic
from cifarnet.runs import KINDS, Folder, Run
from cifarnet.runs.storage import make_folder
from cifarnet.search import study

FEW = 500  # training images that a network learns by heart, for a sanity check


class Picture(NamedTuple):
    """A figure: its kind, such as "png", its content, and the file beside the report that gets it."""

    caption: str
    kind: str
    content: bytes
    file: str
    number: int = 0


class Section(NamedTuple):
    """What is said of some runs, and ``blank``: what the student answers."""

    title: str
    says: Sequence[str]
    tables: Sequence[Table]
    pictures: Sequence[Picture]
    blank: str = ""


CURVES = {"curves": "Cost, loss and accuracy on training and validation images"}
TRIALS = {"search": "Validation accuracy of the trials"}


class Part(NamedTuple):
    """A part of the assignment: the command that makes a run of it, what is asked, what runs say, their figures."""

    title: str
    command: str
    blank: str
    says: Callable[[Mapping[str, Run]], facts.Said] = facts.trainings
    figures: Mapping[str, str] = CURVES  # captions by name


PARTS = {
    "gradients": Part(
        "Gradient check",
        "cifarnet gradcheck --lambda 0.1",
        "How did you compare your gradients with numerical ones, and how do you know that they are right?",
        facts.checks,
        {},
    ),
    "overfit": Part(
        "Sanity check: learning a few images by heart",
        "cifarnet train overfit",
        "What does it show that the cost of a few images comes near 0, and what does it not show?",
    ),
    "one layer": Part(
        "Training one layer",
        "cifarnet train assignment-1",
        "What do λ and the learning rate change in the curves and in the accuracy? What do the pictures of the weights "
        "show?",
        figures=CURVES | {"weights": "The weights of each class as an image"},
    ),
    "two layers": Part("Training two layers", "cifarnet train NAME", "What do the curves show?"),
    "cycles": Part(
        "Cyclical learning rates",
        "cifarnet train figure-3",
        "How do cost and accuracy follow the learning rate, and where does the network overfit?",
        figures=CURVES | {"eta": "The learning rate of every update"},
    ),
    "range": Part(
        "Range test of the learning rate",
        "cifarnet find-eta figure-3",
        "Between which learning rates does it learn?",
        facts.ranges,
        {"range-test": "Validation accuracy and loss of the batches while the learning rate rises"},
    ),
    "coarse": Part(
        "Coarse search",
        "cifarnet search-lambda coarse search",
        "Why this range? What do the best trials have in common?",
        facts.searches,
        TRIALS,
    ),
    "fine": Part(
        "Fine search",
        "cifarnet search-lambda fine --from latest",
        "How did you choose this range? Are the best trials further apart than chance puts them?",
        facts.searches,
        TRIALS,
    ),
    "final": Part(
        "The final network",
        "cifarnet train --config RUN/best.yaml",
        "How does it compare with the earlier ones? Which classes does it confuse, and what would you try next?",
        facts.final,
        CURVES | {"confusion-test": "Confusions on the test images"},
    ),
}


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
        raise RunError(f"{path}: is there, perhaps with your words in it; remove it, or choose another --output")
    parts = by_part(runs)
    sections = list(report(parts, forms.KINDS[to]))
    synthetic = plots.SYNTHETIC if any(run.is_synthetic for run in runs) else ""
    pictures = [] if to == "html" else [picture for section in sections for picture in section.pictures]
    there = Folder(folder)
    make_folder(folder, parents=True)
    for picture in pictures:  # before the report, which is never overwritten
        there.write(picture.file, picture.content)
    there.write(path.name, forms.fill(to, {"sections": sections, "synthetic": synthetic}))
    return [path, *(folder / picture.file for picture in pictures)]


def by_part(runs: Sequence[Run]) -> dict[str, dict[str, Run]]:
    """Return the runs of each part of the assignment that there are runs of, by their names in the text.

    That is the label, or the kind without one; with the part where runs of several parts have the same.
    """
    parts: dict[str, dict[Run, str]] = {key: {} for key in PARTS}
    for run in {run.path.resolve(): run for run in runs}.values():
        parts[part_of(run)][run] = KINDS.get(run.kind, run.kind) if run.label == "unnamed" else run.label
    often = Counter(label for labels in parts.values() for label in set(labels.values()))
    for key, labels in parts.items():
        labels |= {run: f"{label}, {key}" for run, label in labels.items() if often[label] > 1}
    return {key: named(labels) for key, labels in parts.items() if labels}


def report(parts: Mapping[str, Mapping[str, Run]], kinds: Sequence[str]) -> Iterator[Section]:
    """Yield a section for each part, with pictures of the first kind that there is, and one that names the folders."""
    tables, pictures, files = count(1), count(1), set[str]()
    for key, runs in parts.items():
        part, drawn = PARTS[key], list[Picture]()
        says, own = part.says(runs)
        for picture, number in zip(drawings(part.figures, runs, kinds), pictures, strict=False):
            again = picture.file in files  # of a run in another folder that is called the same
            file = picture.file.replace("figures/", f"figures/{number}-") if again else picture.file
            drawn.append(picture._replace(number=number, file=file))
            files.add(file)
        numbered = [table._replace(number=next(tables)) for table in own]
        yield Section(part.title, says, numbered, drawn, part.blank)
    origins = [[name, *origin(run)] for part in parts.values() for name, run in part.items()]
    table = Table("The runs, by folder", ["run", "folder", "cifarnet", "images"], origins, next(tables))
    yield Section("Where the numbers come from", [], [table], [])


def missing(runs: Sequence[Run]) -> dict[str, str]:
    """Return the parts of the assignment that no run is of, with the command for each."""
    there = {part_of(run) for run in runs} | {"two layers", "range"}
    return {part.title: part.command for key, part in PARTS.items() if key not in there}


def part_of(run: Run) -> str:
    """Return which part of the assignment a run is of; RunError if it has not ended."""
    if run.status != "completed" and (run.kind, run.status) != ("train", "diverged"):
        raise RunError(f"{run.path}: has no result to report: it {run.describe()}")
    if run.kind != "train":
        return {"gradcheck": "gradients", "find-eta": "range"}.get(run.kind) or study.read(run).stage
    settings = run.settings
    if settings.label.endswith("-best"):
        return "final"
    if settings.data.n_train <= FEW:
        return "overfit"
    if not settings.network.hidden:
        return "one layer"
    return "cycles" if isinstance(settings.training.schedule, Cyclic) else "two layers"


def named(labels: Mapping[Run, str]) -> dict[str, Run]:
    """Return runs by their labels; where several have one, with the seed or else a number."""
    found = {}
    for run, label in labels.items():
        same = [other for other in labels if labels[other] == label]
        seeds = {other.settings.seed for other in same}
        which = f", seed {run.settings.seed}" if len(seeds) == len(same) else f" ({same.index(run) + 1})"
        found[label + (which if len(same) > 1 else "")] = run
    return found


def drawings(captions: Mapping[str, str], runs: Mapping[str, Run], kinds: Sequence[str]) -> Iterator[Picture]:
    """Yield those figures that runs have, or that can be drawn."""
    for name, run in runs.items():
        for figure, caption in captions.items():
            if found := picture(run, figure, kinds):
                file = re.sub("[^A-Za-z0-9-]", "-", f"{run.name}-{figure}")  # means itself in every form
                yield Picture(f"{caption}: {name}", *found, f"figures/{file}.{found[0]}")


def picture(run: Run, name: str, kinds: Sequence[str]) -> tuple[str, bytes] | None:
    """Return the kind and the content of a figure: as it is in the run folder, or else drawn from the records."""
    there = [kind for kind in kinds if (run.path / f"figures/{name}.{kind}").is_file()]
    spec = plots.FIGURES.get(name)
    if kinds[0] not in there and spec and spec.available(run):
        figure = spec.draw(run)
        if run.is_synthetic:
            plots.stamp(figure)
        return kinds[0], plots.render(figure, kinds[0])
    return (there[0], run.read_bytes(f"figures/{name}.{there[0]}")) if there else None


def origin(run: Run) -> Iterator[str]:
    """Yield the folder of a run, the cifarnet that it was made with, and its images."""
    known, images = run.environment, run.environment.get("data", {})
    yield run.name
    yield f"{known.get('cifarnet', '')} {str(known.get('git_commit') or '')[:9]}".strip()
    official = "official" if images.get("official") else "not the official bytes"
    real = f"CIFAR-10, {official}" if images else "none"
    yield plots.SYNTHETIC if images.get("source") == "synthetic" else real
