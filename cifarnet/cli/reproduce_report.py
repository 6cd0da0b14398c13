"""``cifarnet reproduce-report``: every number and figure of the reports, trained again, and the page."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cifarnet.cli import options

if TYPE_CHECKING:
    from cifarnet.report.book import Book
    from cifarnet.report.plan import Job
    from cifarnet.report.studies import Study

QUICK = 0.02  # scale of the look at the synthetic twin: about a minute
GUESS = 1e11  # floating-point operations a second, for an estimate before the first pass


@click.command("reproduce-report")
@click.option("--seeds", type=click.IntRange(min=1), help="Passes over all trainings; by default 3, one if synthetic.")
@click.option("--only", multiple=True, metavar="STUDY[/EXHIBIT]", help="One report or one exhibit of it; repeatable.")
@click.option("--jobs", type=click.IntRange(min=1), help="Trainings at a time; by default one a core.")
@click.option("--scale", type=click.FloatRange(0, 1, min_open=True), help="Shorten every training, for a first look.")
@click.option("--dry-run", is_flag=True, help="List what would run and why; train and write nothing.")
@click.option("--redraw", is_flag=True, help="Write the page from the records, without training.")
@click.option("--studies", type=click.Path(path_type=Path), help="A study, shipped or a file, or a folder of them.")
@options.data_dir
@options.runs_dir
@options.quiet
@options.as_json
def reproduce_report(
    seeds: int | None,
    only: tuple[str, ...],
    jobs: int | None,
    scale: float | None,
    dry_run: bool,
    redraw: bool,
    studies: Path | None,
    data_dir: Path | None,
    runs_dir: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train all that the reports describe and write a page that compares every number with theirs.

    What is recorded is not trained again: stopped and started anew, it goes on. Where CIFAR-10 is not to be found, the
    synthetic twin takes its place, shortened to about a minute, and nothing is compared.

    \b
    Examples:
      cifarnet reproduce-report --seeds 1
      cifarnet reproduce-report --only chou-2019 --only yadava/fine
      cifarnet reproduce-report --redraw
    """
    from cifarnet import data
    from cifarnet.config import folder as shipped
    from cifarnet.report import plan
    from cifarnet.report.studies import read_all

    own, folder = shipped() / "reports", runs_dir / "reports"
    source = own if studies is None else studies if studies.exists() else own / f"{studies}.yaml"
    if not source.exists():
        names = ", ".join(sorted(path.stem for path in own.glob("*.yaml")))
        raise click.UsageError(f"--studies {studies}: neither a file nor a folder, nor one of {names}")
    read = read_all(source)
    if redraw:
        return finish(draw(read, folder), as_json)
    synthetic = not data.available(data_dir)
    scope = plan.Scope(seeds or (1 if synthetic else 3), only, scale or (QUICK if synthetic else 1), synthetic)
    scope.check(read)
    if synthetic:
        click.echo(
            "CIFAR-10 was not found: SYNTHETIC data take its place, shortened, and nothing is compared.", err=True
        )
    fingerprint = data.fingerprints(data_dir)
    if dry_run:
        return list_jobs(plan.jobs(read, scope, fingerprint), folder)
    for number in range(1, scope.seeds + 1):
        this_far = scope._replace(seeds=number)
        done = plan.recorded(folder / "trainings")
        todo = [job for job in plan.jobs(read, this_far, fingerprint) if job.key not in done]
        effort = train(todo, folder / "trainings", data_dir, jobs, quiet) if todo else None
        plan.remember(folder, read, this_far, fingerprint, effort)
        if todo or number == scope.seeds:
            book = draw(read, folder)
    return finish(book, as_json)


def draw(read: "list[Study]", folder: Path) -> "Book":
    """Write the page from the records."""
    from cifarnet.report import page, plan
    from cifarnet.report.book import Book

    book = Book(read, plan.remembered(folder), folder)
    page.write(book, folder)
    return book


def finish(book: "Book", as_json: bool) -> None:
    """Say where the page is, and what it found."""
    from cifarnet.report.page import closing, summary

    if as_json:
        page = {"page": str(book.folder / "index.html"), "synthetic": book.state["synthetic"]}
        return options.echo_json(page | summary(book))
    click.echo(f"{book.folder / 'index.html'}\n{closing(book)}")
    if book.state["synthetic"]:
        click.echo("For the real images: cifarnet data download, then the same command again.")
    return None


def list_jobs(jobs: "list[Job]", folder: Path) -> None:
    """What would run, what is recorded, and about how long it takes."""
    from cifarnet.report import plan

    done = plan.recorded(folder / "trainings")
    for job in jobs:
        state = (
            f"recorded in {done[job.key].path.name}"
            if job.key in done
            else "to run: no record of these settings and data"
        )
        click.echo(f"{job.users[0]}, seed {job.settings.seed} (for {len(job.users)} rows): {state}")
    passes = plan.remembered(folder)["passes"]
    rate = passes[0]["flop"] / passes[0]["seconds"] if passes else GUESS
    left = [plan.work(job) for job in jobs if job.key not in done]
    click.echo(
        f"{len(left)} of {len(jobs)} to run: {sum(left) / 1e12:.1f} TFLOP, about {sum(left) / rate / 60:.1f} minutes"
    )


def train(jobs: "list[Job]", folder: Path, data_dir: Path | None, workers: int | None, quiet: bool) -> dict[str, Any]:
    """Run jobs under one progress bar; returns what it cost."""
    import os
    import time

    from tqdm import tqdm

    from cifarnet.report import plan, pool

    workers = workers or os.cpu_count() or 1
    work = {job.key: plan.work(job) for job in jobs}
    peak = pool.blas_peak(workers)
    began = time.monotonic()
    with tqdm(
        desc=f"{len(jobs)} runs",
        total=sum(work.values()),
        unit="FLOP",
        unit_scale=True,
        smoothing=0.02,
        dynamic_ncols=True,
        disable=quiet,
        mininterval=0.5 if sys.stderr.isatty() else 15,
    ) as bar:
        for progress in pool.run(jobs, folder, data_dir, workers):
            bar.update(progress.share * work[progress.job.key])
            bar.set_postfix_str(progress.job.users[0], refresh=False)
    seconds = time.monotonic() - began
    return {"jobs": len(jobs), "seconds": seconds, "flop": sum(work.values()), "workers": workers, "peak": peak}
