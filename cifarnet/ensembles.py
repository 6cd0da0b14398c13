"""Several networks as one: those at the ends of a run's cycles, or of several runs, by mean probability and by vote."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifarnet import config, data, evaluation, experiment, plots, runs
from cifarnet.config import Settings
from cifarnet.data import Dataset, Split
from cifarnet.data.jitter import variants
from cifarnet.errors import RunError
from cifarnet.experiment import Evaluated
from cifarnet.model import load
from cifarnet.network import Array
from cifarnet.runs import Run

SEEN = 2000  # images at a time: of each there may be hundreds of variants, of all of them two at once


class Member(NamedTuple):
    """One network of an ensemble: its name, the settings and the folder of its run, and the file that holds it."""

    name: str
    settings: Settings
    path: Path
    file: str


def members(paths: Sequence[Path], *, cycles: bool) -> list[Member]:
    """The final networks of runs, in their order; with ``cycles`` those of every cycle's end, a run's latest first.

    Raises
    ------
    RunError
        If a run has no finished cycle.
    """
    found = []
    for path in paths:
        settings = config.saved(path / "config.yaml")
        files = sorted(path.glob("checkpoints/cycle-*.npz"), key=number, reverse=True) if cycles else []
        if cycles and not files:
            raise RunError(f"{path}: no checkpoints/cycle-N.npz; only a training with a finished cycle has snapshots")
        for file in files:
            found.append(Member(f"{path.name}, cycle {number(file)}", settings, path, f"checkpoints/{file.name}"))
        if not cycles:
            found.append(Member(path.name, settings, path, "model.npz"))
    return found


def number(path: Path) -> int:
    """The cycle that a checkpoint is of."""
    digits = path.stem.removeprefix("cycle-")
    return int(digits) if digits.isdecimal() else -1


def evaluate(
    paths: Sequence[Path],
    split: str,
    data_dir: Path | None = None,
    threads: int = 1,
    *,
    cycles: bool = False,
    flips: bool = False,
    shifts: int = 0,
    formats: Sequence[str] = runs.FORMATS,
) -> Evaluated:
    """Evaluate the networks of run folders on ``train``, ``validation`` or ``test`` as one, and the growth of it.

    With ``flips`` each network's probabilities are the mean of those for an image and for its mirror image, with
    ``shifts`` of those for all the ways to move it by up to so many pixels. The loss is the cross-entropy of the mean
    probabilities. Figures go to the folder of the first run.

    Raises
    ------
    RunError, DataError
        If a folder or the data cannot be read, or the runs have other images in this split.
    """
    team = members(paths, cycles=cycles)
    for member in team if flips or shifts else ():
        if member.settings.data.dims is not None:
            raise RunError(f"{member.name}: has no whole images to mirror or to move (data.dims)")
    dataset = data.load(team[0].settings.data, data_dir)
    images: Split = getattr(dataset, split)
    seen = partial(variants, flips=flips, shifts=shifts)
    Ps = np.stack(list(probabilities(team, dataset, split, data_dir, threads, seen)))  # (members, n, K)
    P, y = Ps.mean(axis=0), images.y
    losses = -np.log(np.maximum(P[np.arange(len(y)), y], np.finfo(P.dtype).tiny))
    named = {"flips": flips, f"shifts-{shifts}": shifts, "ensemble": len(team) > 1, split: True}
    name = "-".join(word for word, there in named.items() if there)
    run = Run(paths[0], formats=formats)
    summary = experiment.show(run, name, team[0].settings, dataset, images, P, losses)
    if len(team) > 1:
        growth = evaluation.growth(Ps, y)
        summary |= {
            "majority_vote": growth[-1]["majority_vote"],
            "members": [
                {"name": member.name, "accuracy": float((P.argmax(axis=1) == y).mean())}
                for member, P in zip(team, Ps, strict=True)
            ],
            "by_members": growth,
        }
        alone = [member["accuracy"] for member in summary["members"]]
        experiment.save(run, {f"members-{name}": plots.members(alone, growth)}, dataset.source)
    recorded = [runs.read_environment(path).get("data", {}).get("fingerprint") for path in paths]
    return Evaluated(summary, dataset.source, set(recorded) == {dataset.fingerprint}, name)


def probabilities(
    team: Sequence[Member],
    dataset: Dataset,
    split: str,
    data_dir: Path | None,
    threads: int,
    seen: Callable[[Array], Iterator[Array]],
) -> Iterator[Array]:
    """What each member makes of the images (n, K), normalised as in its own training: the mean over what it has seen.

    ``seen`` are the variants of some images.
    """
    settings, images = team[0].settings.data, getattr(dataset, split)
    y: NDArray[np.integer] = images.y
    for member in team:
        if member.settings.data != settings:
            settings = member.settings.data
            images = getattr(data.load(settings, data_dir), split)
            if not np.array_equal(images.y, y):
                raise RunError(f"{member.name}: has other {split} images than {team[0].name}; take --split test")
        theta, sizes = load(member.path, member.settings.sizes, member.file).theta, member.settings.sizes
        P = np.zeros((len(y), sizes[-1]), theta.dtype)
        for start in range(0, len(y), SEEN):
            some = slice(start, start + SEEN)
            for count, X in enumerate(seen(images.X[some]), 1):
                P[some] += (evaluation.outcomes(theta, sizes, X, y[some], threads)[0] - P[some]) / count
        yield P
