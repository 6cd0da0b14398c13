"""``cifarnet search``: try settings and rank them; what it shares with ``search-lambda``."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cifarnet.cli import completion
from cifarnet.cli.options import common_options, config_options, echo_json, figure_formats, together, warn_synthetic
from cifarnet.cli.stops import Stops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cifarnet.config import Settings
    from cifarnet.runs import Run
    from cifarnet.search import Found, Outcome, Study, Trial

search_options = together(
    click.argument("stage", type=click.Choice(["coarse", "fine"]), required=False),
    config_options,
    common_options,
    figure_formats,
    click.option(
        "--from",
        "origin",
        metavar="RUN",
        shell_complete=completion.run_names,
        help="The search that a fine one starts from.",
    ),
    click.option("--jobs", type=click.IntRange(min=1), help="Groups of trials at a time; by default one a core."),
    click.option(
        "--scheduler", metavar="ADDRESS", help="Run the trials on this Dask cluster, such as tcp://HOST:8786."
    ),
    click.option(
        "--resume", metavar="RUN", shell_complete=completion.run_names, help="Run what this search has not finished."
    ),
    click.option("--retry-failed", is_flag=True, help="With --resume: try the failed trials again."),
    click.option("--fail-fast", is_flag=True, help="Stop the search where a trial fails or diverges."),
    click.option("--dry-run", is_flag=True, help="List the trials and estimate the time; train and write nothing."),
)


@click.command()
@search_options
@click.option("--by", metavar="KEY", help="Show the best trial of each value of KEY.")
def search(**options: Any) -> None:
    """Try values of any settings that are numbers: those that search.over in the config lists.

    \b
    Examples:
      cifarnet search coarse --config my.yaml --set 'search.over.network.hidden.values=[20, 50, 100]'
      cifarnet search coarse --config width --by network.hidden
      cifarnet search fine --from latest
    """
    search_over(general=True, **options)


def search_over(
    *,
    general: bool,
    stage: str | None,
    source: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    label: str | None,
    data_dir: Path | None,
    threads: int | None,
    runs_dir: Path,
    quiet: bool,
    as_json: bool,
    origin: str | None,
    jobs: int | None,
    scheduler: str | None,
    resume: str | None,
    retry_failed: bool,
    fail_fast: bool,
    dry_run: bool,
    formats: tuple[str, ...],
    by: str | None = None,
) -> None:
    """Start or resume a search and follow it to its end."""
    from cifarnet import runs, search
    from cifarnet.page import page_of
    from cifarnet.parallel import cores

    check_usage(stage, bool(source or overrides or seed is not None or label), origin, resume, retry_failed)
    path = runs.find(resume, runs_dir) if resume is not None else None
    earlier = search.read(runs.find(origin, runs_dir)) if origin is not None else None
    if path:
        found = search.read(path)
        if found.study.general != general or stage not in (None, found.study.stage):
            raise click.UsageError(f"{path} goes on with: cifarnet {found.study.command} --resume {path}")
    else:
        settings = load(source, overrides, earlier, seed=seed, label=label)
        found = search.Found(search.design(settings, str(stage), general=general, earlier=earlier), [])
    if by is not None and by not in found.study.names:
        raise click.UsageError(f"--by {by}: searched are {', '.join(found.study.names)}")
    jobs = jobs or cores()
    threads = threads or (path and runs.threads(runs.read_json(path / "environment.json"))) or 1
    if dry_run:
        click.echo(plan(found, search.estimate(found, jobs, threads), jobs))
        return
    warn_synthetic(found.study.settings.data.source)
    dataset = search.dataset(found.study.settings.data, data_dir)
    if scheduler:
        crew = search.remote(scheduler, threads, dataset.fingerprint, found.study.settings.data)
    else:
        crew = search.local(jobs, threads, dataset.fingerprint, data_dir)
    with crew as workers, Stops() as stops:
        if path:
            found, run = search.reopen(path, dataset, retry_failed=retry_failed)
        else:
            run = search.start(found.study, dataset, runs_dir, earlier, threads)
        run.formats = formats
        with page_of(run):
            follow(found, stops.until(search.execute(found, run, workers, fail_fast=fail_fast)), quiet=quiet)
    conclude(found, run, stops.code, as_json, by)


def load(source: str | None, overrides: tuple[str, ...], earlier: "Found | None", **flags: Any) -> "Settings":
    """The settings of a new search: a config's, or else those of the search that it starts from, changed."""
    from cifarnet import config

    if source is None and earlier and earlier.path:
        source = str(earlier.path / "config.yaml")
    return config.load(source, overrides, **flags)


def check_usage(stage: str | None, configured: bool, origin: str | None, resume: str | None, retry: bool) -> None:
    """Refuse options that do not go together."""
    if resume and (configured or origin):
        raise click.UsageError(
            "--resume goes on with a search as it is: leave out --config, --set, --seed, --label, --from"
        )
    if not resume and not stage:
        raise click.UsageError("say coarse or fine, or --resume RUN")
    if retry and not resume:
        raise click.UsageError("--retry-failed goes with --resume RUN")
    if origin and stage == "coarse":
        raise click.UsageError("--from RUN goes with fine")


def follow(found: "Found", ended: "Iterator[tuple[Trial, Outcome] | None]", *, quiet: bool) -> None:
    """Show how a search goes: one bar, and a line as each trial ends; the lines alone if there is no terminal."""
    from tqdm import tqdm

    total, before, hidden = len(found.study.trials), len(found.rows), quiet or not sys.stderr.isatty()
    with tqdm(total=total, initial=before, unit="trial", disable=hidden) as bar:
        for count, end in enumerate(filter(None, ended), before + 1):
            if not quiet or end[1].bad:
                bar.write(line(found, count, *end), file=sys.stderr)
            bar.update()


def line(found: "Found", count: int, trial: "Trial", outcome: "Outcome") -> str:
    """One trial that has ended, so many with it."""
    values = "  ".join(f"{name} {trial.values[key]:<10.5g}" for key, name in found.study.names.items())
    seed = f"  seed {trial.seed}" if found.study.part.seeds > 1 else ""
    start = f"[{count}/{len(found.study.trials)}] trial {trial.index}{seed}  {values}"
    if outcome.status != "completed":
        return f"{start}  {outcome.status.upper()}: {outcome.note}"
    return f"{start}  validation accuracy {outcome.validation_accuracy:.2%}  {outcome.seconds:.1f} s"


def plan(found: "Found", seconds: float, jobs: int) -> str:
    """What a search would do: its trials, and how long it would take."""
    from cifarnet.cli.tables import table

    study = found.study
    rows = [[t.index, t.seed, *(t.values[key] for key in study.names)] for t in found.missing()]
    trials = table(rows, ["trial", "seed", *study.names.values()], floatfmt=".5g")
    return (
        f"{trials}\n{len(rows)} trainings: {describe(found)}\n"
        f"about {seconds:.0f} s with {jobs} jobs, and some seconds to read the images"
    )


def describe(found: "Found") -> str:
    """The settings that all trials share."""
    study = found.study
    settings = study.trial_settings(study.trials[0])
    eta, schedule = settings.training.schedule, "training.schedule"
    values = {
        f"{schedule}.cycles": f"cycles {study.part.cycles}",
        f"{schedule}.n_s": f"n_s {study.part.n_s}",
        f"{schedule}.eta_min": f"eta_min {getattr(eta, 'eta_min', 0):g}",
        f"{schedule}.eta_max": f"eta_max {getattr(eta, 'eta_max', 0):g}",
        "training.batch_size": f"batch size {settings.training.batch_size}",
        "network.hidden": f"hidden {list(settings.network.hidden)}",
        "data": f"{settings.data.n_train:,} training images",
        "seed": f"seed {study.settings.seed}",
    }
    return ", ".join(text for key, text in values.items() if key not in study.names)


def next_command(study: "Study", path: Path) -> str:
    """What to call next, with the folders that were given."""
    words = ["cifarnet", study.command, "fine", "--from", str(path)]
    if study.stage == "fine":
        words = ["cifarnet", "train", "--config", str(path / "best.yaml")]
    parameters, context = click.get_current_context().params, click.get_current_context()
    for name in ("runs_dir", "data_dir"):
        if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            words += [f"--{name.replace('_', '-')}", str(parameters[name])]
    return shlex.join(words)


def report(found: "Found", run: "Run", as_json: bool, by: str | None, command: str) -> None:
    """The best three trials with their settings, or the best of each value of one setting; and what to call next."""
    from cifarnet.cli.tables import table

    study, ranked = found.study, found.standings()
    chosen = ranked[:3]
    if by:
        best_of = {s.values[by]: s for s in reversed(ranked)}
        chosen = [best_of[value] for value in sorted(best_of)]
    if as_json:
        best = study.summary(ranked[0]) if ranked else None
        head = {"run": str(run.path), "stage": study.stage, "status": run.info["status"]}
        of_each = {"by": [study.summary(s) for s in chosen]} if by else {}
        echo_json(head | {"trials": found.summaries(), "best": best, "next": command} | of_each)
        return
    names = list(study.names.values())
    several = ["spread"] if study.part.seeds > 1 else []
    figures = ["validation_accuracy", *several, "best_validation_accuracy", "validation_loss"]
    rows = [[ranked.index(s) + 1, *(study.summary(s)[name] for name in ["index", *names, *figures])] for s in chosen]
    headers = ["rank", "trial", *names, "validation\naccuracy", *several, "best on\nthe way", "validation\nloss"]
    formats = ("", "", *[".5g"] * len(names), *[".4f"] * len(figures))
    click.echo(table(rows, headers, floatfmt=formats))
    click.echo(
        f"Each: {describe(found)}\n"
        f"{run.path}/figures/search.{run.formats[0]} shows all, "
        f"{run.path}/best.yaml is the final training\nNext: {command}"
    )


def conclude(found: "Found", run: "Run", code: int, as_json: bool, by: str | None) -> None:
    """Show what was found, or how to go on; let the exit code say that trials failed or diverged."""
    from cifarnet.errors import Diverged, RunError

    again = f"cifarnet {found.study.command} --resume {run.path}"
    if run.info["status"] == "interrupted":
        click.echo(f"interrupted with {len(found.missing())} trainings to go; to go on: {again}", err=True)
        sys.exit(code)
    report(found, run, as_json, by, next_command(found.study, run.path))
    failed, diverged = found.ended("failed"), found.ended("diverged")
    if failed:
        raise RunError(f"failed trials: {numbers(failed)}; log.txt says why; to try them again: {again} --retry-failed")
    if diverged:
        raise Diverged(f"diverged trials: {numbers(diverged)}; log.txt says when, and at which eta")


def numbers(indices: list[int]) -> str:
    return ", ".join(map(str, indices))
