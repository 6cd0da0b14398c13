"""README and help never lie: what the README shows is what happens, and what it names is what there is."""

import importlib.util
import os
import re
import shlex
import sys
from pathlib import Path

import click
import pytest

from cifarnet.cli import cli

spec = importlib.util.spec_from_file_location("readme", Path(__file__).with_name("readme.py"))
readme = sys.modules["readme"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(readme)

TEXT = readme.README.read_text()
BLOCKS = readme.blocks(TEXT)
TARGETS = (readme.README.parent / "Makefile").read_text().splitlines()[0].split()


def commands(group=cli, name="cifarnet"):
    """Every command with its full name."""
    context = click.Context(group)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        yield f"{name} {word}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")


COMMANDS = dict(commands())


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """One session for all blocks, with the real images where they are."""
    where = Path(os.environ.get("CIFARNET_DATA_DIR", "nowhere"))
    real = (where / "cifar-10-batches-py" / "data_batch_1").is_file()
    return readme.Session(tmp_path_factory.mktemp("readme"), where if real else None)


@pytest.mark.parametrize("block", BLOCKS, ids=[f"{i}-{b.body.split(chr(10))[0][:40]}" for i, b in enumerate(BLOCKS)])
def test_every_block_runs_and_shows_what_it_shows(block, session):
    """Console: the same output but for times and last digits. Python: runs. make: the target is there."""
    if block.kind == "sh":
        words = [line.split("#")[0].split() for line in block.body.strip().splitlines()]
        assert all(word in TARGETS for line in words if line[0] == "make" for word in line[1:] if "=" not in word)
    elif block.kind == "python":
        assert "Traceback" not in session.python(block.body)
    elif block.real and not session.data_dir:
        pytest.skip("no real CIFAR-10: CIFARNET_DATA_DIR names no folder with cifar-10-batches-py")
    elif block.shrunk:
        for command, shown in block.steps:
            assert "Error" not in session.output(command, shown, block.shrunk)
    else:
        for command, shown in block.steps:
            output = readme.shortened(session.output(command, shown), shown)
            assert readme.normal(output) == readme.normal(shown), f"{command}: run `make readme`"


def test_no_command_line_stands_outside_the_blocks_that_run():
    """A prompt is in a console block alone."""
    assert TEXT.count("\n$ ") == sum(len(block.steps) for block in BLOCKS if block.kind == "console")


def test_the_readme_names_every_command():
    """Each group and command stands in the table of commands or in a block."""
    missing = [name for name in COMMANDS if name.count(" ") == 1 and f"`{name}`" not in TEXT]
    assert not missing


def test_every_option_has_its_line_in_the_help():
    """Text for each, and none that is hidden."""
    for name, command in COMMANDS.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert not parameter.hidden, name
                assert parameter.help, f"{name} {parameter.opts}"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_on_a_screen_and_has_examples(name):
    """At most 40 lines of 80 columns; `cifarnet ...` as it is typed, under Example or Examples."""
    command = COMMANDS[name]
    text = command.get_help(click.Context(command, info_name=name, terminal_width=80))
    assert len(text.splitlines()) <= 40
    example = rf"Examples?:\n( +cifarnet .*\n)*? +{name if not isinstance(command, click.Group) else 'cifarnet'}\b"
    assert re.search(example, text), text


def spoken():
    """Every command line in the README and in the help, as words."""
    in_blocks = [command for block in BLOCKS if block.kind == "console" for command, _ in block.steps]
    in_text = re.findall(r"`(cifarnet [^`]+)`", TEXT)
    in_help = [
        line.strip() for c in COMMANDS.values() for line in (c.help or "").splitlines() if "cifarnet " in line[:12]
    ]
    return [line for line in in_blocks + in_text + in_help if line.startswith("cifarnet ")]


@pytest.mark.parametrize("line", sorted(set(spoken())))
def test_every_command_that_is_named_exists_with_its_options(line):
    """README and help name commands and options that there are."""
    words = shlex.split(re.split(r"[>|]| \.\.\.", line.replace("\\\n", " "))[0])
    name = " ".join(words[:1])
    for word in words[1:3]:
        name = f"{name} {word}" if f"{name} {word}" in COMMANDS else name
    known = cli.params if name == "cifarnet" else COMMANDS[name].params
    options = {option for parameter in known for option in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} - {"--help", "--version", "-h"}
    assert name != "cifarnet" or not [word for word in words[1:] if not word.startswith("-")], f"no command {line}"
    values = {words[i + 1] for i, word in enumerate(words[:-1]) if word == "--sort"}
    assert used - values <= options, f"{name} has no {used - options}"


def test_what_varies_is_left_out_of_comparisons():
    """Times, digits after a point and names of runs may differ; words and whole numbers may not."""
    a = "runs/20260101-000000-train-x\n200 updates in 3.4 s; test 50.12%\n"
    assert readme.normal(a) == readme.normal("runs/20271231-235959-train-x\n200  updates in 12.0 s; test 9.10%")
    assert readme.normal(a) != readme.normal(a.replace("200", "201"))


def test_lines_that_are_left_out_stay_left_out():
    """One line before, two after."""
    assert readme.shortened("a\nb\nc\nd\ne\n", "A\n...\nD\nE\n") == "a\n...\nd\ne\n"
    assert readme.shortened("a\n", "b\n") == "a\n"
