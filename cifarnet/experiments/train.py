"""Train one network: make its run folder, fill it, and resume where it was stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from inspect import GEN_CLOSED, getgeneratorstate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarnet import config, data, pages, plots, training
from cifarnet.config import Settings
from cifarnet.data import Dataset, Split
from cifarnet.errors import Diverged, RunError
from cifarnet.nn.model import Model
from cifarnet.plots.style import Floats
from cifarnet.readable import csv_text
from cifarnet.runs import FORMATS, LATEST, Run
from cifarnet.runs.environment import differences, this_machine
from cifarnet.training import NUMERICS, Record, Scores, State

Records = Generator[Record, None, None]
BEST = "checkpoints/best.npz"  # the network of the highest validation accuracy, the first of those that have it


def start(
    settings: Settings,
    *,
    runs_dir: Path = Path("runs"),
    data_dir: Path | None = None,
    threads: int | None = None,
    formats: Sequence[str] = FORMATS,
    run_class: type[Run] = Run,
) -> Training:
    """Read the images and make the run folder of a training on this many threads, by default one a core."""
    dataset, threads = data.load(settings.data, data_dir), threads or training.cores()
    state = State.initial(settings)  # which may not fit into memory
    run = create(settings, dataset, runs_dir, threads=threads, run_class=run_class)
    run.formats = formats
    return Training(settings, dataset, run, threads, state)


def create(
    settings: Settings,
    dataset: Dataset,
    runs_dir: Path,
    kind: str = "train",
    *,
    threads: int = 1,
    files: Mapping[str, Any] | None = None,
    run_class: type[Run] = Run,
) -> Run:
    """Make the run folder of an experiment on these images, with JSON ``files``."""
    known = this_machine() | {"threads": threads, "numerics": NUMERICS, "data": dataset.provenance}
    return run_class.create(runs_dir, kind, settings, environment=known, files=files)


def resume(
    run: Run, *, data_dir: Path | None = None, threads: int | None = None, formats: Sequence[str] = FORMATS
) -> Training:
    """Take over a training that was stopped: it ends with the bytes of one that never was.

    By default it has as many threads as it began with. RunError if it is running, is no training, has a damaged
    checkpoint, or would become another run: what differs is named.
    """
    if run.kind != "train":
        raise RunError(f"{run.path}: a {run.kind} run, not a training; only trainings are resumed like this")
    if left_here := OPEN.get(run.path.resolve()):
        left_here.close()
    with run.take():
        settings, before = run.settings, run.environment
        dataset = data.load(settings.data, data_dir)
        threads = threads or before.get("threads") or training.cores()
        if found := "; ".join(contradictions(run, settings, dataset)):
            what = f"as it would become another run: {found}; undo that, or train anew"
            raise RunError(f"{run.path}: cannot go on, {what}")
        state = State.initial(settings)
        metrics = restore(state, run, settings, dataset)
        run.reopen(state.step)
        run.write("metrics.csv", metrics)
    run.formats = formats
    changes = differences(before, this_machine() | {"threads": threads})
    return Training(settings, dataset, run, threads, state, changes)


def contradictions(run: Run, settings: Settings, dataset: Dataset) -> Iterator[str]:
    """Name what is not as it was when a run began, of all that its result follows from."""
    was, now = run.choices, config.flatten(config.plain(settings))
    for key in [key for key in was | now if was.get(key) != now.get(key)]:
        yield f"{key} was {was.get(key)} and is {now.get(key)} (config.yaml)"
    if run.environment.get("data", {}).get("fingerprint") != dataset.fingerprint:
        yield "the images are not those that it began with (their fingerprint differs)"
    if (numerics := run.environment.get("numerics")) != NUMERICS:
        yield f"it began with version {numerics} of the numerics and this is version {NUMERICS}"


def restore(state: State, run: Run, settings: Settings, dataset: Dataset) -> bytes:
    """Bring an initial state to that of the run's checkpoint, if there is one; return metrics.csv as it was then.

    RunError if the checkpoint is damaged or of another run.
    """
    path = run.path / LATEST
    if not path.exists():
        return b""
    try:
        arrays = run.read_arrays(LATEST, [*state.arrays(), "metrics", "identity"])
        if arrays["identity"].tolist() != identity(settings, dataset):
            raise RunError(f"{path}: it is of another run, or of an earlier cifarnet")
    except RunError as error:
        raise RunError(f"{error}; remove it, and the run is done again from its start") from error
    state.restore(arrays)
    return arrays["metrics"].tobytes()


def identity(settings: Settings, dataset: Dataset) -> str:
    """Return what a checkpoint is of: a SHA-256, in hex, of all that a training follows from."""
    text = json.dumps([config.plain(settings), dataset.fingerprint, NUMERICS])
    text = text.replace('"augmentation"', '"jitter"')  # as earlier versions called it, whose runs are to go on
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(eq=False)
class Training:
    """A training about to run: iterate over it to train, a record an update; it fills the run folder, with a page.

    The test images are looked at once, after the last update. Left before its end, or never begun, the run is marked
    as what it is: interrupted, diverged or failed; `resume` goes on. ``changes`` says what of the machine is not as it
    was when the run began, ``warnings`` what could not be done beside the training, such as a figure.
    """

    settings: Settings
    dataset: Dataset
    run: Run
    threads: int
    state: State
    changes: Sequence[str] = ()
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        OPEN[self.run.path.resolve()] = self
        self._thread: threading.Thread | None = None
        self._records: weakref.WeakSet[Records] = weakref.WeakSet()  # who leaves an iterator, ends it
        self._abandon = weakref.finalize(self, abandon, self.run, self.state, self._records)

    def __repr__(self) -> str:
        return f"Training({self.run.path}: {self.state.step:,} of {self.settings.updates:,} updates)"

    def __iter__(self) -> Records:
        """Train, or go on in an iterator that is open; Diverged, or RunError where the folder cannot be written."""
        for records in self._records:
            if getgeneratorstate(records) != GEN_CLOSED:
                return records
        records, self._thread = self._train(), threading.current_thread()
        self._records.add(records)
        return records

    def close(self) -> None:
        """Stop; a run that has not ended is interrupted. RunError where another thread iterates over it."""
        if self._thread not in (None, threading.current_thread()) and self._thread.is_alive():
            raise RunError(f"{self.run.path}: another thread of this process is running it; wait for it, or stop it")
        for records in list(self._records):
            records.close()
        self._abandon()

    def _train(self) -> Records:
        run = self.run
        if run.info["status"] != "running":
            raise RunError(f"{run.path}: {run.info['status']}; resume the run to go on")
        with training.blas_threads(1), pages.live_page(run) as refresh:
            try:
                yield from self._updates(refresh)
                self._finish()
            except BaseException as error:
                if run.info["status"] == "running" and run.info["pid"] == os.getpid():  # not in a fork of its process
                    self._stop(error)
                raise

    def _stop(self, error: BaseException) -> None:
        """Mark the run as what it is now."""
        if isinstance(error, Exception):
            status = "diverged" if isinstance(error, Diverged) else "failed"
            with contextlib.suppress(RunError):  # where the folder is the trouble, the first error says so
                self.run.finish(status, error=str(error), updates=self.state.step)
            return
        if self.state.step and isinstance(error, GeneratorExit):  # left between two updates
            self._checkpoint()
        self.run.finish("interrupted", updates=self.state.step)

    def _updates(self, refresh: Callable[[], None]) -> Records:
        """Update the network to its end, with a row and a checkpoint for each measurement, and now and then a page."""
        best = max(self.run.records["validation_accuracy"], default=0.0) if self.state.step else -1.0  # so far
        records = training.train(self.state, self.dataset, self.settings, self.threads)
        timetable = training.Timetable(self.settings, self.settings.steps_per_epoch)
        with contextlib.closing(records):
            for record in records:
                if record.validation:  # as always at the end of a cycle
                    self.run.append(record.row())
                    if record.validation.accuracy > best:
                        best = record.validation.accuracy
                        self.run.write_arrays(BEST, self._model(self.state.theta))
                    if timetable.ends_cycle(record.step):
                        self.run.write_arrays(f"checkpoints/cycle-{record.cycle}.npz", self._model(self.state.theta))
                    if record.step:
                        self._checkpoint()
                    refresh()
                yield record

    def _checkpoint(self) -> None:
        """Write the state, what it is of, and the metrics so far, which a resumed run begins with."""
        metrics = np.frombuffer(self.run.read_bytes("metrics.csv"), np.uint8)
        own = np.array(identity(self.settings, self.dataset))
        self.run.write_arrays(LATEST, self.state.arrays() | {"identity": own, "metrics": metrics})

    def _model(self, theta: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return model(self.dataset, self.state, theta).arrays(self.state.step)

    def _finish(self) -> None:
        """Write what a finished run has."""
        run, state, dataset = self.run, self.state, self.dataset
        run.write_arrays("model.npz", self._model(state.scored))
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(lambda: dataset.test)  # while figures are drawn: figure-3 2.95 -> 2.7 s
            self.warnings += plots.draw(run)
            reading.result()
        last = {name: float(column[-1]) for name, column in run.records.items()}
        train, validation = (Scores(*(last[f"{s}_{name}"] for name in Scores._fields)) for s in ("train", "validation"))
        results, confusion, P = final(self.settings, dataset, state, train, validation, self.threads)
        write_confusion(run, "test", confusion, dataset.classes)
        with warned(self.warnings, "the mistakes could not be drawn"):
            plots.save(run, mistakes(dataset, dataset.test, P))
        run.finish("completed", results=results)


OPEN: weakref.WeakValueDictionary[Path, Training] = weakref.WeakValueDictionary()  # the trainings of this process


def abandon(run: Run, state: State, iterators: weakref.WeakSet[Records]) -> None:
    """End a training that nobody will go on with, unless this process is a fork of the one that runs it."""
    if run.info["pid"] != os.getpid():
        return
    with contextlib.suppress(RunError):
        for records in list(iterators):
            records.close()
        if run.info["status"] == "running":  # none of them has begun
            run.finish("interrupted", updates=state.step)


def final(
    settings: Settings, dataset: Dataset, state: State, train: Scores | None, validation: Scores | None, threads: int
) -> tuple[dict[str, Any], NDArray[np.int64], Floats]:
    """Score a finished training, with its last scores, on the test images.

    Returns what run.json has, and of the test images the confusions and the probabilities (n, K).
    """
    theta, sizes, practice = state.scored, state.sizes, settings.deviations.practice
    l2, loss = settings.training.l2, settings.training.loss_function.measured
    P, losses = training.outcomes(theta, sizes, dataset.test, loss, threads)
    test = training.scores_of(theta, sizes, l2, P, losses, dataset.test.y)
    if settings.evaluation.train_cost != "all" or practice.keeps_best:
        train = training.score(theta, sizes, dataset.train, loss, l2, threads)
    if practice.keeps_best:
        validation = training.score(theta, sizes, dataset.validation, loss, l2, threads)
    results: dict[str, Any] = {"seed": settings.seed, "updates": state.step}
    for split, scores in (("train", train), ("validation", validation), ("test", test)):
        if scores:
            results |= {f"{split}_{name}": value for name, value in scores._asdict().items()}
    confusion = training.confusion(P.argmax(axis=1), dataset.test.y, len(dataset.classes))
    return practice.results(results), confusion, P


def mistakes(dataset: Dataset, images: Split, P: NDArray[Any], name: str = "test", most: int = 10) -> dict[str, Any]:
    """Draw the images that networks are surest of and wrong about, if they are whole ones."""
    if images.X.shape[1] < config.IMAGE_VALUES:
        return {}
    wrong = training.worst_mistakes(P, images.y, most)
    shown, P = dataset.pixels(images, wrong), P[wrong]
    return {f"mistakes-{name}": plots.mistakes(shown, images.y[wrong], P.argmax(1), P.max(1), dataset.classes)}


def model(dataset: Dataset, state: State, theta: NDArray[Any]) -> Model:
    """Return a network with all that it needs to classify pixels."""
    return Model(theta, state.sizes, dataset.mean, dataset.std, tuple(dataset.classes))


def write_confusion(run: Run, name: str, matrix: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Write counts (K, K), a row for each true class, as confusion-NAME.csv."""
    run.write(f"confusion-{name}.csv", csv_text([classes, *matrix.tolist()]))


@contextlib.contextmanager
def warned(warnings: list[str], what: str) -> Iterator[None]:
    """Add a warning where something fails that is not worth a result, such as a figure."""
    try:
        yield
    except Exception as error:  # matplotlib has many
        warnings.append(f"{what}: {error}")
