"""Evaluate finished networks on a set of images: one, or several as one, by mean probability and by majority vote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cifarnet import data, pages, plots, training
from cifarnet.data import Dataset, Split
from cifarnet.errors import RunError
from cifarnet.experiments.train import mistakes, warned, write_confusion
from cifarnet.nn.augmentation import variants
from cifarnet.nn.network import Array
from cifarnet.runs import FORMATS, LATEST, Run

CHUNK = 2000  # images at a time: of each there may be hundreds of variants, of all of them two at once


class Evaluated(NamedTuple):
    """What networks do on a set of images: of which source, and whether they were trained on the same data.

    ``figures`` are the names of those that are in the run folder; ``warnings`` says what could not be kept in it.
    """

    summary: dict[str, Any]
    source: str
    same_data: bool
    figures: Sequence[str]
    warnings: Sequence[str]


class Member(NamedTuple):
    """One network of an ensemble: its name, its run, and the file that holds it."""

    name: str
    run: Run
    file: str

    def outcomes(self, images: Split, threads: int, flips: bool, shifts: int) -> tuple[Array, Array]:
        """Return the probabilities (n, K) and losses (n,) of images, or the means over the variants of each image."""
        settings = self.run.settings
        loss = settings.training.loss_function.measured
        latest = self.file == LATEST  # which holds the state of a training, and no more
        theta = self.run.read_arrays(LATEST, ["theta"])["theta"] if latest else self.run.load_model(self.file).theta
        if not (flips or shifts):
            return training.outcomes(theta, settings.sizes, images, loss, threads)
        if settings.data.dims is not None:
            raise RunError(f"{self.name}: its images are cut (data.dims), and cannot be mirrored or moved")
        means = []
        for start in range(0, len(images.y), CHUNK):
            X, y = (part[start : start + CHUNK] for part in images)
            mean: Any = 0  # (n, K + 1): with the losses in the last column
            for count, variant in enumerate(variants(X, flips=flips, shifts=shifts), 1):
                found = training.outcomes(theta, settings.sizes, Split(variant, y), loss, threads)
                mean = mean + (np.column_stack(found) - mean) / count
            means.append(mean)
        both = np.concatenate(means)
        return both[:, :-1], both[:, -1]


def evaluate(
    runs: Sequence[Run],
    split: str,
    data_dir: Path | None = None,
    threads: int = 1,
    *,
    checkpoint: str | None = None,
    cycles: bool = False,
    flips: bool = False,
    shifts: int = 0,
    formats: Sequence[str] = FORMATS,
) -> Evaluated:
    """Evaluate the networks of runs on ``train``, ``validation`` or ``test`` as one; add figures to the first folder.

    Several networks, or variants of images, count by their mean probabilities. The loss is the cross-entropy of these;
    of networks trained by the hinge loss, and of one by itself, the mean of their own. Where the folder cannot be
    written, the result stands, with a warning. RunError if a run lacks the network, or has other images in this split.

    ``checkpoint`` names what is taken instead of the network after the last update, ``best``, ``latest`` or
    ``cycle-N``; with ``cycles`` those of all cycles' ends are, a run's latest first. ``flips`` averages over each image
    and its mirror image, ``shifts`` over all ways to move it by up to this many pixels.
    """
    members, outcomes = list(networks(runs, checkpoint, cycles)), []
    load = lru_cache(1)(partial(data.load, data_dir=data_dir))
    dataset = load(runs[0].settings.data)
    images: Split = getattr(dataset, split)
    with training.blas_threads(1):
        for member in members:
            own = getattr(load(member.run.settings.data), split)
            if not np.array_equal(own.y, images.y):
                cure = "; take --split test" * (split != "test")
                raise RunError(f"{member.name}: has other {split} images than {members[0].name}{cure}")
            outcomes.append(member.outcomes(own, threads, flips, shifts))
    Ps, own_losses = zip(*outcomes, strict=True)
    P = np.mean(Ps, axis=0)
    if (len(members) == 1 and not (flips or shifts)) or all(run.settings.training.loss == "hinge" for run in runs):
        losses = np.mean(own_losses, axis=0)
    else:
        losses = -np.log(np.maximum(P[np.arange(len(P)), images.y], np.finfo(P.dtype).tiny))
    summary = training.summary(training.confusion(P.argmax(axis=1), images.y, P.shape[1]), losses, dataset.classes)
    if len(members) > 1:
        growth = training.growth(np.stack(Ps), images.y)
        alone = [float((P.argmax(axis=1) == images.y).mean()) for P in Ps]
        each = [{"name": m.name, "accuracy": accuracy} for m, accuracy in zip(members, alone, strict=True)]
        summary |= {"majority_vote": growth[-1]["majority_vote"], "members": each, "by_members": growth}
    trained = ((run.environment.get("data", {}).get("fingerprint"), run.settings.data) for run in runs)
    same = all(fingerprint == load(own).fingerprint for fingerprint, own in trained)
    words = {checkpoint: checkpoint, "flips": flips, f"shifts-{shifts}": shifts, "ensemble": len(members) > 1}
    words["other"] = not same  # those of the training keep their figures
    name = "-".join([*(str(word) for word, there in words.items() if there), split])
    warnings, drawn = list[str](), dict[str, Any]()
    with warned(warnings, "the figures could not be kept"):
        run = Run(runs[0].path)
        run.formats = formats
        write_confusion(run, name, np.array(summary["confusion"]), dataset.classes)
        drawn = figures(name, dataset, images, P, summary)
        plots.save(run, drawn)
        if run.status != "running":
            pages.write(run)
    return Evaluated(summary, dataset.source, same, list(drawn), warnings)


def networks(runs: Sequence[Run], checkpoint: str | None, cycles: bool) -> Iterator[Member]:
    """Find the networks of runs, in their order; RunError if a run has no such checkpoint, or no finished cycle."""
    for run in runs:
        if not (cycles or checkpoint):
            yield Member(run.name, run, "model.npz")
            continue
        known = sorted((path.stem for path in run.path.glob("checkpoints/*.npz")), key=lambda name: (len(name), name))
        chosen = [name for name in known[::-1] if (name.startswith("cycle-") if cycles else name == checkpoint)]
        if not chosen:
            lacks = "finished cycle" if cycles else f"checkpoint {checkpoint}"
            raise RunError(f"{run.path}: no {lacks}; its checkpoints: {', '.join(known) or 'none'}")
        for name in chosen:
            yield Member(f"{run.name}, {name.replace('-', ' ')}", run, f"checkpoints/{name}.npz")


def figures(name: str, dataset: Dataset, images: Split, P: Array, summary: dict[str, Any]) -> dict[str, Any]:
    """Draw the confusions, the mistakes that the networks were surest of, and what each network adds."""
    found = {f"confusion-{name}": plots.confusion(np.array(summary["confusion"]), dataset.classes)}
    found |= mistakes(dataset, images, P, name, most=25)  # as many as a figure shows well
    if "members" in summary:
        found[f"members-{name}"] = plots.members([m["accuracy"] for m in summary["members"]], summary["by_members"])
    return found
