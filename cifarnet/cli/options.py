"""Commands are classes: their fields are arguments and options, the docstring is the help, `run` is what they do."""

from __future__ import annotations

import inspect
import json
import logging
import math
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import click

from cifarnet.cli import completion
from cifarnet.runs import Run

if TYPE_CHECKING:
    from cifarnet.config import Resolved

Look = dict[str, Any]
FORMAT = click.Choice(["png", "svg", "pdf"])


class Finite(click.FloatRange):
    """A number in a range; NaN and infinities are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if not math.isfinite(found := super().convert(value, param, ctx)):
            self.fail(f"{value} is not a finite number", param, ctx)
        return found


COUNT: Look = {"type": click.IntRange(min=1), "metavar": "N"}
POSITIVE: Look = {"type": Finite(0, min_open=True), "metavar": "X"}
RUN: Look = {"metavar": "RUN", "shell_complete": completion.run_names}
RUN_OR_LATEST: Look = RUN | {"metavar": "[RUN]", "default": "latest"}
CONFIG: Look = {"metavar": "CONFIG", "shell_complete": completion.config_names}
KEY: Look = {"metavar": "KEY=VALUE", "shell_complete": completion.setting_keys}
KNOBS = {  # the course's settings, which have an option of their own
    "--lambda": "training.lambda",
    "--hidden": "network.hidden",
    "--batch-size": "training.batch_size",
    "--epochs": "training.schedule.epochs",
    "--cycles": "training.schedule.cycles",
    "--n-s": "training.schedule.n_s",
    "--eta-min": "training.schedule.eta_min",
    "--eta-max": "training.schedule.eta_max",
}
OPEN = {"darwin": "open", "win32": "start"}  # the word for it, elsewhere xdg-open
LETTERS = {"integer": "N", "number": "X", "array": "N,N,...", "string": "TEXT"}  # for values of these types
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">"}


class Knob(click.Option):
    """A setting as an option, which is described as in the schema and checked with the other settings."""

    def __init__(self, name: str, key: str) -> None:
        super().__init__([name])
        self.key = key

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from cifarnet.config.keys import fields

        node = fields()[tuple(self.key.split("."))]
        self.metavar = "|".join(LETTERS[part["type"]] for part in node.get("anyOf", [node]))
        bounds = [f"  [x{sign}{node[name]}]" for name, sign in BOUNDS.items() if name in node]
        self.help = "".join([node["description"], *bounds])
        return super().get_help_record(ctx)


class Parameter(NamedTuple):
    """An option or argument of click, to be called like the field that it is."""

    kind: Callable[..., click.Parameter]
    names: tuple[str, ...]
    look: Look


def option(*names: str, **look: Any) -> Any:
    return Parameter(click.Option, names, look)


def flag(*names: str, help: str) -> Any:
    return option(*names, is_flag=True, help=help)


def argument(**look: Any) -> Any:
    return Parameter(click.Argument, (), look)


class Folder(click.Path):
    """A path, in which ~ is the home folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        try:
            return Path(value).expanduser()
        except RuntimeError:
            self.fail(f"{value}: there is no such home folder; name a folder without ~", param, ctx)


class Command:
    """A command with the values of its parameters, which are its fields and ``more``, and ``knobs`` by their option."""

    more: ClassVar[Mapping[str, Parameter]] = {}
    knobs: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)

    def run(self) -> None:
        raise NotImplementedError


def command(name: str, group: click.Group | None = None) -> Callable[[type[Command]], click.Command]:
    """Make a command of click from a class; its own parameters come before those of its bases."""

    def make(cls: type[Command]) -> click.Command:
        fields = {**cls.more, **{field: getattr(cls, field) for base in cls.__mro__ for field in vars(base)}}
        params = [f.kind([*f.names, field], **f.look) for field, f in fields.items() if isinstance(f, Parameter)]
        params += [Knob(option, key.format(stage="coarse")) for option, key in cls.knobs.items()]
        text = str(inspect.getdoc(cls)).replace("\nExample", "\n\b\nExample")  # click keeps the lines after a \b
        made = click.Command(name, params=params, help=text, callback=lambda **values: cls(**values).run())
        if group:
            group.add_command(made)
        return made

    return make


class Answering(Command):
    json: bool = flag("--json", help="Print one JSON object.")

    def answer(self, value: Any, *text: str) -> None:
        """Print what was found: one JSON object, or the lines of a text."""
        finite = json.loads(json.dumps(value), parse_constant=lambda name: None)  # JSON has no NaN
        click.echo(json.dumps(finite) if self.json else "\n".join(text))


class WithConfig(Command):
    argument: str | None = argument(required=False, **CONFIG | {"metavar": "[CONFIG]"})
    config: str | None = option("--config", "-c", help="A YAML file or the name of a shipped config.", **CONFIG)
    overrides: Sequence[str] = option("--set", multiple=True, help="Set one key; repeatable.", **KEY)
    seed: int | None = option("--seed", type=int, metavar="N", help="Seed of all random numbers.")
    label: str | None = option("--label", metavar="TEXT", help="Part of the run folder's name.")
    knobs = KNOBS

    @property
    def configured(self) -> bool:
        """Whether any setting is given."""
        values = (self.argument, self.config, self.overrides, self.seed, self.label, self.given)
        return any(value not in (None, (), {}) for value in values)

    @property
    def given(self) -> dict[str, str]:
        """The knobs that are given, as overrides by the name of the option."""
        found, stage = {}, getattr(self, "stage", None)
        for name, key in self.knobs.items():
            if (value := vars(self)[name[2:].replace("-", "_")]) is not None:
                found[name] = hidden_layers(value) if name == "--hidden" else f"{key.format(stage=stage)}={value}"
        return found

    def resolve(self, options: Mapping[str, str] = {}, default: Mapping[str, Any] | None = None) -> Resolved:
        """Return settings and origins, with more ``options`` if there are, of ``default`` where no config is named."""
        from cifarnet import config

        if self.argument and self.config:
            raise click.UsageError(f"two configs, {self.argument} and --config {self.config}: name one")
        source = self.argument or self.config or default
        return config.resolve(source, self.overrides, {**self.given, **options}, seed=self.seed, label=self.label)


def hidden_layers(nodes: str) -> str:
    """Return the override for hidden layers such as 50 or 50,30, or 0 for none."""
    if not nodes.strip():
        raise click.UsageError("--hidden is empty: name nodes such as 50 or 50,30, or 0 for no hidden layer")
    return f"network.hidden=[{'' if nodes == '0' else nodes.strip('[]')}]"


class WithData(Answering):
    data_dir: Path | None = option("--data-dir", type=Folder(), help="Where CIFAR-10 is (CIFARNET_DATA_DIR).")


class WithRuns(Answering):
    runs_dir: Path = option(
        "--runs-dir", type=Folder(), default="runs", envvar="CIFARNET_RUNS_DIR", help="Where run folders are."
    )

    def find(self, name: str, need: str | None = None) -> Run:
        """Return the run of a name; of ``latest`` the newest that has what is needed, and say which that is."""
        run = Run.find(name, self.runs_dir, need)
        if name == "latest":
            click.echo(f"latest is {run.path}", err=True)
        return run

    def find_all(self, names: Sequence[str], need: str | None = None) -> list[Run]:
        """Return the runs of several names, each once."""
        found = [self.find(name, need) for name in names]
        return list({run.path.resolve(): run for run in found}.values())


class Experiment(WithRuns, WithData):
    threads: int | None = option("--threads", help="Threads of one training.", **COUNT)
    quiet: bool = flag("--quiet", "-q", help="No progress on standard error.")
    verbose: bool = flag("--verbose", "-v", help="Log which files and threads are used.")

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        if self.verbose:
            logging.basicConfig(format="%(relativeCreated)6.0f ms  %(message)s", force=True)
            logging.getLogger("cifarnet").setLevel(logging.INFO)
            logging.getLogger(__name__).info("threads: %s", self.threads or "one a core")
        self.say("Loading ...")

    def command_line(self, *words: str | Path, data_dir: bool = True) -> str:
        """Return a command, quoted for a shell, with the folders of this one where they are not those by default."""
        runs_dir = ["--runs-dir", self.runs_dir] if str(self.runs_dir) != "runs" else []
        images = ["--data-dir", self.data_dir] if self.data_dir and data_dir else []
        return shlex.join(["cifarnet", *map(str, [*words, *runs_dir, *images])])

    def next_steps(self, run: Run, command: str | None = None) -> list[str]:
        """Return what to open after a run, and what to call next, if anything."""
        page = shlex.quote(str(run.path / "run.html"))
        steps = [f"Open it: {OPEN.get(sys.platform, 'xdg-open')} {page}", *([f"Next: {command}"] if command else [])]
        return [] if self.quiet else steps

    def say(self, text: str) -> None:
        """Say on a terminal what is going on where no bar shows it."""
        if not (self.quiet or self.json) and sys.stderr.isatty():
            click.echo(text, err=True)


class Drawing(Experiment):
    formats: Sequence[str] = option(
        "--format", type=FORMAT, multiple=True, default=("png",), help="Of the figures; repeatable."
    )


class Pooled(Command):
    jobs: int | None = option("--jobs", help="Trainings at a time; by default one a core.", **COUNT)
    scheduler: str | None = option("--scheduler", metavar="ADDRESS", help="A Dask cluster, such as tcp://HOST:8786.")
