"""One config becomes one finished run: what the commands that train, search and report share."""

import contextlib
import threading
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarnet import config, data, evaluation, network, plots, resume, runs
from cifarnet.config.settings import Data, Settings
from cifarnet.data import Dataset, Split
from cifarnet.errors import Diverged, RunError
from cifarnet.evaluation import Scores
from cifarnet.model import load as load_model
from cifarnet.network import Array
from cifarnet.planning import initial as initial
from cifarnet.planning import measured
from cifarnet.planning import plan as plan
from cifarnet.runs import Run
from cifarnet.training import NUMERICS as NUMERICS
from cifarnet.training import Record, State, record, train

MISTAKES = 25  # as many as a figure shows well


def start(
    settings: Settings,
    dataset: Dataset,
    runs_dir: Path,
    kind: str = "train",
    files: Mapping[str, Any] | None = None,
    threads: int = 1,
    **info: Any,
) -> Run:
    """Make the run folder of one training on so many threads, or of another kind of run with files of its own.

    ``info`` goes into run.json.
    """
    environment = runs.environment() | {"threads": threads, "numerics": NUMERICS, "data": provenance(dataset)}
    return runs.create(
        runs_dir,
        kind,
        settings.label,
        config.dump(settings),
        {"environment.json": environment, **(files or {})},
        settings=config.plain(settings),
        **info,
    )


def provenance(dataset: Dataset) -> dict[str, Any]:
    """Which images a result is of."""
    return {"source": dataset.source, "fingerprint": dataset.fingerprint, "official": dataset.official}


class Shared:
    """Datasets for many runs at once: one copy of each in memory, let go when the last of its users is done."""

    def __init__(self, users: Iterable[Settings], data_dir: Path | None) -> None:
        self.left = Counter(settings.data for settings in users)
        self.data_dir = data_dir
        self.loaded: dict[Data, Dataset] = {}
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def use(self, settings: Settings) -> Iterator[Dataset]:
        """The dataset of one of the users, for as long as it runs."""
        with self.lock:
            if settings.data not in self.loaded:
                self.loaded[settings.data] = data.load(settings.data, self.data_dir)
            dataset = self.loaded[settings.data]
            _ = dataset.test  # read by one thread, for all
        try:
            yield dataset
        finally:
            with self.lock:
                self.left[settings.data] -= 1
                if not self.left[settings.data]:
                    del self.loaded[settings.data]


def execute(
    settings: Settings, dataset: Dataset, run: Run, *, threads: int = 1, lean: bool = False
) -> Generator[Record, None, None]:
    """Train, and write all that a finished run has; yields the records of the training.

    A lean run has no figures and no checkpoints: for the many short trainings of a report, which are rather done again.

    The test images are looked at once, after the last update. Left before its end, by ``close()`` or an exception, the
    run is marked as what it is: interrupted, diverged or failed.

    Raises
    ------
    Diverged
        When a cost is not finite.
    RunError
        When the folder cannot be written.
    """
    state, todo, of = initial(settings), plan(settings, dataset), resume.identity(settings, dataset)
    if run.resumed:
        resume.restore(state, run, todo, of)
    last = None
    try:
        with contextlib.closing(train(state, dataset.train, dataset.validation, todo, threads)) as points:
            for point in points:
                if point.validation:
                    run.append(point.row())
                    last = point
                if todo.ends_cycle(point.step) and not lean:
                    run.write_arrays(f"checkpoints/cycle-{point.cycle}.npz", **model(settings, dataset, state))
                if point.step and point.validation and not lean:
                    run.checkpoint(**state.arrays(), identity=np.array(of))
                yield point
        last = last or record(state, dataset.train, dataset.validation, todo, threads)  # resumed after the last update
        run.write_arrays("model.npz", **model(settings, dataset, state))
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(lambda: dataset.test)  # while figures are drawn: figure-3 2.95 -> 2.7 s
            if not lean:
                draw(settings, run)
            test = reading.result()
        P, losses = evaluation.outcomes(state.theta, settings.sizes, *test, threads, measured(settings))
        confuse(run, "test", P, test, dataset.classes)
        on_test = evaluation.scores(state.theta, settings.sizes, settings.training.lam, P, losses, test.y)
        run.finish("completed", results=results(settings, dataset, state, last, on_test, threads))
    except Diverged as error:
        run.finish("diverged", error=str(error), updates=state.step)
        raise
    except GeneratorExit:  # left between two updates
        if state.step:
            run.checkpoint(**state.arrays(), identity=np.array(of))
        run.finish("interrupted", updates=state.step)
        raise
    except KeyboardInterrupt:  # in the middle of something: the last checkpoint stands
        run.finish("interrupted", updates=state.step)
        raise
    except Exception as error:
        with contextlib.suppress(RunError):  # where the folder is the trouble, the first error says so
            run.finish("failed", error=str(error), updates=state.step)
        raise


def confuse(run: Run, split: str, P: Array, images: Split, classes: Sequence[str]) -> NDArray[np.int64]:
    """Count the confusions of probabilities P (n, K), write them into the folder and return them."""
    matrix = evaluation.confusion(P.argmax(axis=1), images.y, len(classes))
    lines = [",".join(classes), *(",".join(map(str, row)) for row in matrix.tolist())]
    run.write(f"confusion-{split}.csv", "\n".join(lines) + "\n")
    return matrix


def results(
    settings: Settings, dataset: Dataset, state: State, last: Record, test: Scores, threads: int
) -> dict[str, Any]:
    """The figures that a run is known by."""
    train = last.train
    if settings.evaluation.train_cost != "all":
        lam, losses = settings.training.lam, measured(settings)
        train = evaluation.score(state.theta, settings.sizes, *dataset.train, lam, threads, losses)
    scores = {"train": train, "validation": last.validation, "test": test}
    return {"seed": settings.seed, "updates": state.step} | {
        f"{split}_{name}": value for split, s in scores.items() if s for name, value in s._asdict().items()
    }


def model(settings: Settings, dataset: Dataset, state: State) -> dict[str, Any]:
    """What a network needs to classify pixels: its parameters, their layout, the normalisation and the class names."""
    return {
        "theta": state.theta,
        "sizes": np.array(settings.sizes),
        "mean": dataset.mean,
        "std": dataset.std,
        "classes": np.array(dataset.classes),
        "step": np.array(state.step),
    }


def draw(settings: Settings, run: Run) -> None:
    """Draw a run's figures from its own files, so that they can be drawn again without training."""
    names = ("curves", "eta", "weights") if settings.data.dims is None else ("curves", "eta")
    save(run, {name: figure(run.path, settings, name) for name in names}, settings.data.source)


def figure(path: Path, settings: Settings, name: str, axes: Any = None) -> Any:
    """Draw one of a run's figures, ``curves``, ``eta`` or ``weights``, on given axes or on a new figure.

    Raises
    ------
    RunError
        If a file of the run cannot be read.
    ValueError
        If there is no figure of that name.
    """
    match name:
        case "curves":
            return plots.curves(runs.read_curves(path), steps_per_epoch=settings.steps_per_epoch, axes=axes)
        case "eta":
            todo = plan(settings)
            steps = np.arange(todo.updates + 1)
            etas = np.array([todo.eta(t) for t in steps.tolist()])
            return plots.eta(steps, etas, steps_per_epoch=settings.steps_per_epoch, axes=axes)
        case "weights":
            found = load_model(path, settings.sizes)
            W1 = network.views(found.theta, found.sizes)[0][0]
            return plots.weights(W1, classes=None if settings.network.hidden else found.classes, axes=axes)
    raise ValueError(f"no figure {name!r}; there are curves, eta and weights")


@dataclass(frozen=True)
class Evaluated:
    """What finished networks do on a set of images, and on which; their figures are called confusion-``name``, ..."""

    summary: dict[str, Any]
    source: str
    same_data: bool
    name: str


def evaluate(
    path: Path, split: str, data_dir: Path | None = None, threads: int = 1, formats: Sequence[str] = runs.FORMATS
) -> Evaluated:
    """Evaluate the network of a run folder on ``train``, ``validation`` or ``test``; add the figures to the folder.

    Raises
    ------
    RunError, DataError
        If the folder or the data cannot be read.
    """
    settings = config.saved(path / "config.yaml")
    theta = load_model(path, settings.sizes).theta
    dataset = data.load(settings.data, data_dir)
    images: Split = getattr(dataset, split)
    P, losses = evaluation.outcomes(theta, settings.sizes, *images, threads, measured(settings))
    summary = show(Run(path, formats=formats), split, settings, dataset, images, P, losses)
    recorded = runs.read_environment(path).get("data", {}).get("fingerprint")
    return Evaluated(summary, dataset.source, recorded == dataset.fingerprint, split)


def show(
    run: Run, name: str, settings: Settings, dataset: Dataset, images: Split, P: Array, losses: Array
) -> dict[str, Any]:
    """Sum up the probabilities P (n, K) and losses (n,) of images; add the figures ...-name to the folder."""
    matrix = confuse(run, name, P, images, dataset.classes)
    shown = evaluation.worst_mistakes(P, images.y, MISTAKES)
    figures = {"confusion": plots.confusion(matrix, dataset.classes)}
    if settings.data.dims is None:
        figures["mistakes"] = plots.mistakes(
            dataset.pixels(images, shown),
            images.y[shown],
            P[shown].argmax(axis=1),
            P[shown].max(axis=1),
            dataset.classes,
        )
    save(run, {f"{kind}-{name}": figure for kind, figure in figures.items()}, dataset.source)
    return evaluation.summary(matrix, losses, dataset.classes)


def save(run: Run, figures: Mapping[str, Any], source: str) -> None:
    """Write figures into a run folder."""
    for name, figure in figures.items():
        if source == "synthetic":
            plots.stamp(figure, plots.SYNTHETIC)
        for kind in run.formats:
            run.write(f"figures/{name}.{kind}", plots.render(figure, kind))
