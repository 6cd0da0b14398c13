"""The experiments as functions: each returns its run, or, `start`, the training about to be done."""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifarnet import config, runs
from cifarnet.api.run import Run, formats_of, load, path_of
from cifarnet.config import Resolved, Settings
from cifarnet.config.schema import layers
from cifarnet.experiments import gradients, pool, range_test
from cifarnet.experiments import train as experiment
from cifarnet.experiments.train import Training
from cifarnet.nn.gradcheck import STEPS
from cifarnet.nn.schedules import Ramp
from cifarnet.readable import as_plain, percent
from cifarnet.runs import FORMATS
from cifarnet.search import study as studies
from cifarnet.search.design import design

if TYPE_CHECKING:
    from tqdm import tqdm

Config = str | Path | Mapping[str, Any] | Settings | None


def start(
    source: Config = None,
    overrides: Sequence[str] = (),
    *,
    runs_dir: str | Path = "runs",
    data_dir: str | Path | None = None,
    threads: int | None = None,
    formats: Sequence[str] = FORMATS,
    **flags: Any,
) -> Training:
    """Read the data and make the run folder of a training; iterating over what is returned trains.

    Parameters
    ----------
    source
        A config file, the name of a shipped config such as ``figure-3``, a dict like one, settings, or None for the
        defaults.
    overrides
        Texts such as ``training.lambda=0.001``.
    threads
        How many do each update; by default one a core. While it is iterated over, the matrix products of the whole
        process have one thread each.
    formats
        Of the figures: ``png``, ``svg``, ``pdf``, or several.
    **flags
        ``seed`` and ``label``.

    Raises
    ------
    ConfigError, DataError, RunError
        Something is wrong with the config, the images or the folder of runs.
    ValueError
        There is no such format.
    """
    _check_counts(threads=threads)
    settings = _resolved(source, overrides, flags).settings
    where: dict[str, Any] = {"runs_dir": Path(runs_dir), "data_dir": path_of(data_dir), "run_class": Run}
    return experiment.start(settings, threads=threads, formats=formats_of(formats), **where)


def train(source: Config = None, overrides: Sequence[str] = (), *, progress: bool | None = None, **options: Any) -> Run:
    """Train to the end and return the run; arguments and errors as of `start`, and Diverged.

    ``progress`` shows a bar; by default in a notebook alone. Interrupted, the run goes on with `Run.resume`.

    >>> import cifarnet
    >>> run = cifarnet.train("quick", ["data.limit=1000", "training.schedule.n_s=10"])
    >>> run.results["updates"]
    20
    """
    training = start(source, overrides, **options)
    with _bar(training.settings.updates, "update", progress) as shown, contextlib.closing(iter(training)) as records:
        for record in records:
            shown.update(record.step - shown.n)
            if record.validation:
                shown.set_postfix_str(f"validation {percent(record.validation.accuracy)}")
    return Run(training.run.path)


def search(
    source: Config = None,
    overrides: Sequence[str] = (),
    *,
    stage: str = "coarse",
    earlier: Run | str | Path | None = None,
    resume: Run | str | Path | None = None,
    retry_failed: bool = False,
    runs_dir: str | Path = "runs",
    data_dir: str | Path | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    threads: int | None = None,
    formats: Sequence[str] = FORMATS,
    progress: bool | None = None,
    **flags: Any,
) -> Run:
    """Search lambda, or the settings that `search.over` of the config names, and return the run of the search.

    Its `trials` are ranked by validation accuracy, a fraction; best.yaml in its folder is the final training.

    Parameters
    ----------
    source, overrides, flags
        As of `start`; without a source, a fine search has the settings of the earlier one.
    stage
        ``coarse``, or ``fine``: around the best trials of the run that ``earlier`` is or names.
    resume, retry_failed
        A search that was left, which goes on as it is; whether its failed trials are tried again.
    jobs, scheduler, threads
        Trainings at a time, by default one a core; or the address of a Dask cluster; threads of each training, by
        default one, or as many as a search that goes on began with.

    Raises
    ------
    ConfigError, DataError, RunError
        A setting, the images, the cluster, a run folder or the earlier search is wrong. Trials that fail or diverge
        are in ``results``.
    ValueError
        There is no such stage or format, or a search that goes on is given settings.

    >>> import cifarnet
    >>> small = ["data.limit=1000", "data.validation=[2]", "search.coarse={trials: 2, n_s: 5}"]
    >>> run = cifarnet.search("quick", [*small, "search.final={train: [1], n_s: 5}"])
    >>> len(run.trials), sorted(run.trials[0])[:3]
    (2, ['best_validation_accuracy', 'index', 'lambda'])
    """
    if stage not in ("coarse", "fine"):
        raise ValueError(f"no stage {stage}; there are coarse and fine")
    if earlier and stage == "coarse":
        raise ValueError('an earlier search goes with stage="fine"')
    if resume and (source is not None or overrides or earlier or flags):
        raise ValueError("a search is resumed as it is: give neither settings nor an earlier search")
    _check_counts(jobs=jobs, threads=threads)
    latest = runs.Run.find("latest", Path(runs_dir), "search") if resume == "latest" else None
    old: runs.Run | None = latest or (load(resume, runs_dir) if resume else None)
    threads = threads or (old and old.environment.get("threads")) or 1
    with pool.executor(scheduler, jobs, threads, path_of(data_dir)) as executor:
        if old:
            run = old
            study = studies.resume(run, executor, retry_failed=retry_failed, formats=formats_of(formats))
        else:
            study = _design(source, overrides, stage, load(earlier, runs_dir) if earlier else None, flags)
            run = studies.start(study, executor, Path(runs_dir), formats=formats_of(formats))
        trials = studies.execute(study, run, executor)
        with _bar(study.total, "trial", progress, len(study.rows)) as shown, contextlib.closing(trials):
            for end in trials:
                shown.update(end is not None)
    return Run(run.path)


def _design(
    source: Config, overrides: Sequence[str], stage: str, earlier: Run | None, flags: Mapping[str, Any]
) -> studies.Study:
    """Lay out a search; without a source it has the settings of the earlier one."""
    found = studies.read(earlier) if earlier else None
    settings, origins = _resolved(earlier.settings if earlier and source is None else source, overrides, flags)
    general = found.general if found else bool(settings.search and settings.search.over)
    return design(settings, stage, general=general, earlier=found, origins=origins)


def gradcheck(
    source: Config = None,
    overrides: Sequence[str] = (),
    *,
    dims: int | None = None,
    samples: int = 20,
    lambdas: Sequence[float] | None = None,
    methods: Sequence[str] = ("centred",),
    step: float | None = None,
    runs_dir: str | Path = "runs",
    data_dir: str | Path | None = None,
    progress: bool | None = None,
    **flags: Any,
) -> Run:
    """Compare the gradient that trains with numerical ones, in float64, and return the run.

    ``results["passed"]`` says whether every parameter is within its tolerance, ``results["parameters"]`` has a dict for
    each: relative and absolute errors, without a unit.

    Parameters
    ----------
    source, overrides, flags
        As of `start`.
    dims, samples
        Inputs, by default as many as ``data.dims`` says, or else 20; and images.
    lambdas
        By default that of the settings, or where that is 0, 0 and 0.1.
    methods, step
        ``forward``, ``centred`` or ``complex-step``; h, by default each method's own.

    Raises
    ------
    ConfigError, DataError, RunError, ValueError
        A setting, the images, the folder of runs or a method is wrong.

    >>> import cifarnet
    >>> cifarnet.gradcheck("quick", dims=4, samples=2).results["passed"]
    True
    """
    _check_counts(dims=dims, samples=samples)
    methods = [method.replace("centered", "centred") for method in _several(methods)]
    if not methods or (wrong := [method for method in methods if method not in STEPS]):
        raise ValueError(f"no method {', '.join(wrong) if methods else 'given'}; there are {', '.join(STEPS)}")
    if step is not None and not 0 < step < math.inf:
        raise ValueError(f"step {step} must be above 0")
    lambdas = None if lambdas is None else _several(lambdas)
    settings = _resolved(source, overrides, flags).settings
    how: dict[str, Any] = {"dims": dims, "methods": methods, "samples": samples, "lambdas": lambdas, "step": step}
    check = gradients.check(settings, **how, runs_dir=Path(runs_dir), data_dir=path_of(data_dir))
    with _bar(len(check), "derivative", progress) as shown, contextlib.closing(iter(check)) as derivatives:
        for _ in derivatives:
            shown.update()
    return Run(check.run.path)


def find_eta(
    source: Config = None,
    overrides: Sequence[str] = (),
    *,
    hidden: Sequence[Sequence[int] | int] = (),
    lambdas: Sequence[float] = (),
    epochs: int = 4,
    low: float = 1e-5,
    high: float = 0.5,
    log: bool = False,
    runs_dir: str | Path = "runs",
    data_dir: str | Path | None = None,
    threads: int | None = None,
    formats: Sequence[str] = FORMATS,
    progress: bool | None = None,
    **flags: Any,
) -> Run:
    """Find eta_min and eta_max by Smith's range test, and return its run: ``results["found"]`` has them by network.

    Parameters
    ----------
    source, overrides, threads, formats, flags
        As of `start`.
    hidden, lambdas
        Layers, such as ``[50, [50, 30], 0]``, and lambdas; all combinations are tested. By default the settings'.
    epochs, low, high, log
        How long eta rises, from where to where, and whether in equal factors instead of equal steps.

    Raises
    ------
    ConfigError, DataError, RunError, ValueError
        A setting, the images, the folder of runs or a range is wrong, or the cost is soon not finite.

    >>> import cifarnet
    >>> sorted(cifarnet.find_eta("quick", ["data.limit=1000"], epochs=4).results["found"])
    ['hidden-50-lambda-0.01']
    """
    _check_counts(epochs=epochs, threads=threads)
    if not 0 < low < high < math.inf:
        raise ValueError(f"low {low:g} must be above 0 and below high {high:g}, which is finite")
    settings = _resolved(source, overrides, flags).settings
    ramp = Ramp(eta_min=low, eta_max=high, epochs=epochs, log=log)
    networks = [layers(as_plain(nodes)) for nodes in _several(hidden)]
    where: dict[str, Any] = {"runs_dir": Path(runs_dir), "data_dir": path_of(data_dir)}
    how: dict[str, Any] = {"threads": threads, "formats": formats_of(formats)} | where
    test = range_test.start(settings, ramp, hidden=networks, lambdas=_several(lambdas), **how)
    total = sum(ramp.updates(settings.steps_per_epoch) for settings in test.tests.values())
    with _bar(total, "update", progress) as shown, contextlib.closing(iter(test)) as updates:
        for name, step, _ in updates:
            shown.set_description(name, refresh=False)
            shown.update(step > 0)
    return Run(test.run.path)


def _several(values: Any) -> list[Any]:
    """Return values as a list, of which one may stand by itself."""
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str) else [values]


def _check_counts(**counts: Any) -> None:
    for name, count in counts.items():
        if count is not None and not (isinstance(count, Integral) and int(count) >= 1):
            raise ValueError(f"{name} {count!r} must be a whole number, at least 1")


def _resolved(source: Config, overrides: Sequence[str], flags: Mapping[str, Any]) -> Resolved:
    """Return settings, and where they come from but for those of a `Settings`, which states everything."""
    if not isinstance(source, Settings):
        return config.resolve(source, overrides, in_python=True, **flags)
    if not (overrides or flags):
        return Resolved(source, {})
    settings, origins = config.resolve(config.plain(source), overrides, in_python=True, **flags)
    return Resolved(settings, {key: origin for key, origin in origins.items() if origin != "dict"})


def _bar(total: int, unit: str, progress: bool | None, initial: int = 0) -> tqdm[Any]:
    """Return a bar, in a notebook a widget or else text; by default shown in a notebook alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where there are no widgets, it is text
        from tqdm.auto import tqdm

    ipython = sys.modules.get("IPython")
    in_notebook = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    return tqdm(total=total, initial=initial, unit=unit, disable=not (in_notebook if progress is None else progress))
