"""Tiny searches on the toy problem, for the tests of trials, of the pool and of the folder of a search."""

import itertools

from cifarnet import config
from cifarnet.experiments import pool
from cifarnet.runs import Run
from cifarnet.search import design, execute, resume, start

TINY = (
    "data={source: synthetic, limit: 60, dims: 8}",
    "network.hidden=[5]",
    "training={batch_size: 20, schedule: {eta_max: 0.5, n_s: 4}}",
    "search.coarse={trials: 4, n_s: 3, cycles: 1}",
    "search.fine={trials: 3, n_s: 3, cycles: 2}",
    "search.final={train: [1], validation: 100, n_s: 3, cycles: 3}",
)
LAMBDA = "training.lambda"


def settings(*overrides):
    return config.load(None, (*TINY, *overrides), label="tiny")


def laid_out(*overrides, stage="coarse", **kinds):
    return design(settings(*overrides), stage, **kinds)


def lambdas(*overrides, **kinds):
    return [trial.values[LAMBDA] for trial in laid_out(*overrides, **kinds).trials]


def outcomes(jobs, workers=1, threads=1):
    with pool.local(workers, threads) as executor:
        ends = sorted(filter(None, pool.run(jobs, executor)), key=lambda end: end[0].key)
    return [outcome for _, outcome in ends]


def searched(folder, *overrides, jobs=2, fail_fast=False, formats=("png",), **kinds):
    """Run a search in this process; return its run and the study."""
    study = laid_out(*overrides, **kinds)
    with pool.local(jobs) as executor:
        run = start(study, executor, folder, formats=formats)
        list(execute(study, run, executor, fail_fast=fail_fast))
    return run, study


def stopped(study, folder, after):
    """The run of a search that is left after this many trials."""
    with pool.local(1) as executor:
        run = start(study, executor, folder)
        going = execute(study, run, executor)
        list(itertools.islice(filter(None, going), after))
        going.close()
    return run


def resumed(run, **kinds):
    """Go on with a search; return the indices of the trials that were run."""
    run = Run(run.path)
    with pool.local(2) as executor:
        study = resume(run, executor, **kinds)
        return sorted(trial.index for trial, _ in filter(None, execute(study, run, executor)))


def rows(run):
    """trials.csv without the seconds, in the order of the indices."""
    table = [{key: value for key, value in row.items() if key != "seconds"} for row in run.read_rows("trials.csv")]
    return sorted(table, key=lambda row: (int(row["index"]), int(row["seed"])))
