"""``cifarnet search`` and ``cifarnet search-lambda``: try settings, rank them, and say what to do next."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from cifarnet.cli.options import COUNT, KNOBS, RUN, Drawing, Pooled, WithConfig, argument, command, flag, option
from cifarnet.cli.output import table, warn_synthetic, wrapped
from cifarnet.cli.progress import Stops, bar
from cifarnet.errors import Diverged, RunError
from cifarnet.readable import in_table, percent
from cifarnet.runs import Run

if TYPE_CHECKING:
    from cifarnet.experiments.pool import Outcome
    from cifarnet.search import Study, Trial

FIXED = {  # the knobs of what all trials have; a stage has its own length
    **{name: KNOBS[name] for name in ("--hidden", "--batch-size", "--eta-min", "--eta-max")},
    "--cycles": "search.{stage}.cycles",
    "--n-s": "search.{stage}.n_s",
}
STAGE = click.Choice(["coarse", "fine"])
MEASURES = {  # headers by key
    "validation_accuracy": "validation\naccuracy", "spread": "spread", "best_validation_accuracy": "best on\nthe way",
    "validation_loss": "validation\nloss",
}  # fmt: skip


class Searching(WithConfig, Pooled, Drawing):
    knobs = FIXED
    general = False
    by: str | None = None
    stage: str | None = argument(type=STAGE, required=False)
    origin: str | None = option("--from", help="The search that a fine one starts from.", **RUN)
    force: bool = flag("--force", help="With --from: also where that is not finished.")
    resume: str | None = option("--resume", help="Run what this search has not finished.", **RUN)
    retry_failed: bool = flag("--retry-failed", help="With --resume: try the failed trials again.")
    fail_fast: bool = flag("--fail-fast", help="Stop the search where a trial fails or diverges.")
    top: int = option("--top", default=3, help="How many trials are shown.", **COUNT)
    dry_run: bool = flag("--dry-run", help="List the trials; train and write nothing.")

    def run(self) -> None:
        """Start or resume a search, follow it to its end and show what it found."""
        from cifarnet.experiments import pool
        from cifarnet.search import execute, read, resume, start

        self.check()
        run = self.find(self.resume, "search") if self.resume else None
        study = read(run, without_failed=self.retry_failed) if run else self.design()
        if run and (study.general != self.general or self.stage not in (None, study.stage)):
            raise click.UsageError(f"{run.path} goes on with: {self.command_line(study.command, '--resume', run.path)}")
        if self.by is not None and self.by not in study.names:
            raise click.UsageError(f"--by {self.by}: searched are {', '.join(study.names)}")
        if self.dry_run:
            click.echo(plan(study))
            return
        warn_synthetic(study.settings.data.source)
        threads = self.threads or (run and run.environment.get("threads")) or 1
        with pool.executor(self.scheduler, self.jobs, threads, self.data_dir) as executor, Stops() as stops:
            if run:
                study = resume(run, executor, retry_failed=self.retry_failed, formats=self.formats)
            else:
                run = start(study, executor, self.runs_dir, formats=self.formats)
            with bar(study.total, "trial", quiet=self.quiet, initial=len(study.rows)) as shown:
                for end in stops.until(execute(study, run, executor, fail_fast=self.fail_fast)):
                    if end and not (self.quiet and end[1].status == "completed"):
                        shown.write(line(study, *end), file=sys.stderr)
                    shown.update(end is not None)
        again = self.command_line(study.command, "--resume", run.path)
        if run.status == "interrupted":
            click.echo(f"interrupted with {study.left} trainings to go; to go on: {again}", err=True)
            sys.exit(stops.code)
        self.report(study, run)
        failed, diverged = (", ".join(map(str, study.ended(status))) for status in ("failed", "diverged"))
        if failed:
            raise RunError(f"failed trials: {failed}; log.txt says why; to try them again: {again} --retry-failed")
        if diverged:
            raise Diverged(f"diverged trials: {diverged}; log.txt says when, and at which eta")

    def check(self) -> None:
        """Refuse options that do not go together."""
        if self.resume and (self.configured or self.origin):
            raise click.UsageError("--resume goes on with a search as it is: leave out settings, --label and --from")
        if not self.resume and not self.stage:
            raise click.UsageError("say coarse or fine, or --resume RUN")
        if self.retry_failed and not self.resume:
            raise click.UsageError("--retry-failed goes with --resume RUN")
        if self.origin and self.stage == "coarse":
            raise click.UsageError("--from RUN goes with fine")

    def design(self) -> Study:
        """Lay out a new search: of the config, or else of the settings of the search that it starts from."""
        from cifarnet import config
        from cifarnet.search import design, read

        earlier, default = None, None
        if self.origin:
            run = self.find(self.origin, "search")
            earlier, default = read(run), config.plain(run.settings)
            if run.status != "completed" and not self.force:
                raise click.UsageError(
                    f"--from {run.path}: it is {run.status}, with {earlier.left} trainings to go; finish it: "
                    f"{self.command_line(earlier.command, '--resume', run.path)}; or take what it has with --force"
                )
        settings, origins = self.resolve(default=default)
        stated = {key: origin for key, origin in origins.items() if origin != "dict"}  # not by the earlier search
        study = design(settings, str(self.stage), general=self.general, earlier=earlier, origins=stated)
        if searched := [name for name in self.given if KNOBS[name] in study.space]:
            raise click.UsageError(f"{searched[0]}: {KNOBS[searched[0]]} is what this searches; leave it out")
        return study

    def report(self, study: Study, run: Run) -> None:
        """Show the best trials, or the best of each value of one setting, and what to call next."""
        ranked = study.standings()
        chosen = ranked[: self.top]
        if self.by:
            best_of = {trial[study.names[self.by]]: trial for trial in reversed(ranked)}
            chosen = [best_of[value] for value in sorted(best_of)]
        columns = {"rank": [ranked.index(trial) + 1 for trial in chosen], "trial": [trial["index"] for trial in chosen]}
        columns |= {name: [f"{trial[name]:.5g}" for trial in chosen] for name in study.names.values()}
        for key, header in MEASURES.items():
            if key != "spread" or study.part.seeds > 1:
                columns[header] = [in_table(key, trial[key]) for trial in chosen]
        text = table(columns, left=0, expendable=[*columns][: 2 + len(study.names) : -1])
        lines, final, command = [text, wrapped(f"Each: {study.describe()}")], run.path / "best.yaml", None
        if ranked:
            lines.append(f"The final training: {final}")
            finer = (study.command, "fine", "--from", run.path)
            command = self.command_line(*(finer if study.stage == "coarse" else ("train", "--config", final)))
        answer: dict[str, Any] = {"run": str(run.path), "stage": study.stage, "status": run.status}
        answer |= {"trials": study.summaries(), "best": ranked[0] if ranked else None, "next": command}
        self.answer(answer | ({"by": chosen} if self.by else {}), *lines, *self.next_steps(run, command))


@command("search-lambda")
class SearchLambda(Searching):
    """Try values of lambda: coarse ones, then fine ones near the best.

    search.coarse and search.fine in the config say which, how many and for how long. best.yaml in the run folder is the
    final training.

    Examples:
      cifarnet search-lambda coarse search
      cifarnet search-lambda fine --from latest
    """


@command("search")
class Search(Searching):
    """Try values of the settings that search.over lists.

    Examples:
      cifarnet search coarse --set 'search.over.network.hidden.values=[20,50]'
      cifarnet search coarse width --by network.hidden
      cifarnet search fine --from latest
    """

    general = True
    knobs = {"--lambda": KNOBS["--lambda"]} | FIXED
    by: str | None = option("--by", metavar="KEY", help="Show the best trial of each value of KEY instead.")


def line(study: Study, trial: Trial, outcome: Outcome) -> str:
    """Say how a trial ended, the latest of those that have."""
    values = "  ".join(f"{name} {trial.values[key]:<10.5g}" for key, name in study.names.items())
    seed = f"  seed {trial.seed}" if study.part.seeds > 1 else ""
    how = f"{outcome.status.upper()}: {outcome.note}"
    if outcome.status == "completed":
        *_, accuracy = (record.validation.accuracy for record in outcome.records if record.validation)
        how = f"validation accuracy {percent(accuracy)}  {outcome.seconds:.1f} s"
    return f"[{len(study.rows)}/{study.total}] trial {trial.index}{seed}  {values}  {how}"


def plan(study: Study) -> str:
    """List the trainings of a search, and say where their schedule and split come from."""
    missing = study.missing()
    columns: dict[str, list[Any]] = {"trial": [t.index for t in missing], "seed": [t.seed for t in missing]}
    columns |= {name: [f"{t.values[key]:.5g}" for t in missing] for key, name in study.names.items()}
    sources = "".join(f"\n{key}: {source}" for key, source in study.sources.items())
    later = f", and {left} that tpe suggests later" if (left := study.total - len(study.trials)) else ""
    return f"{table(columns, left=0)}\n{len(missing)} trainings{later}: {study.describe()}{sources}"
