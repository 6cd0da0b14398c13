"""Manners on a terminal and without one: completion, colours, narrow windows, quiet and verbose."""

import os
import shutil
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from cifarnet import runs
from cifarnet.cli import cli

RUN = "from cifarnet.cli import main; main()"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A runs folder with two finished runs, the default one of all commands."""
    monkeypatch.setenv("CIFARNET_RUNS_DIR", str(tmp_path))
    for label, lam in (("a", 0.1), ("b", 0.2)):
        runs.create(tmp_path, "train", label, "", settings={"training": {"lambda": lam}}).finish("completed")
    return tmp_path


def completed(*words):
    """What a shell is offered for the last word."""
    found = ShellComplete(cli, {}, "cifarnet", "_CIFARNET_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return [item.value for item in found]


def test_commands_options_runs_configs_and_keys_are_completed(folder):
    """Each at its place, of what begins as typed."""
    names = [path.name for path in reversed(runs.folders(folder))]
    assert completed("tr") == ["train"]
    assert completed("runs", "") == ["compare", "list", "note", "page", "rm", "show"]
    assert "--resume" in completed("train", "--re")
    assert completed("runs", "show", "") == ["latest", *names]
    for words in (["evaluate"], ["predict"], ["runs", "rm"], ["train", "--resume"], ["search-lambda", "--from"]):
        assert completed(*words, names[0]) == [names[0]]
    assert completed("train", "--config", "fig") == ["fig", "figure-3", "figure-4"]
    assert completed("train", "--set", "training.lam") == ["training.lambda="]
    assert "training.schedule.n_s=" in completed("train", "--set", "training.schedule.")
    assert completed("runs", "list", "--sort", "valid") == ["validation_accuracy"]
    assert completed("runs", "list", "--filter", "stat") == ["status"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_valid(shell, tmp_path):
    """The shell itself reads them without complaint, where it is installed."""
    done = CliRunner().invoke(cli, ["completion", shell])
    assert "_CIFARNET_COMPLETE" in done.stdout
    (tmp_path / "script").write_text(done.stdout)
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash_completes_through_the_script(folder, tmp_path):
    """A real bash sources the script, and its function fills COMPREPLY."""
    command = tmp_path / "bin" / "cifarnet"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{RUN}" "$@"\n')
    command.chmod(0o755)
    script = f"""
        PATH={command.parent}:$PATH; eval "$(cifarnet completion bash)"
        COMP_WORDS=(cifarnet runs no) COMP_CWORD=2; _cifarnet_completion cifarnet; echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["note"], done.stderr


def on_a_terminal(*arguments, columns=200, **environment):
    """What a command prints on a terminal of so many columns."""
    pty = pytest.importorskip("pty", reason="no terminal to be had on Windows")
    ours, theirs = pty.openpty()
    env = os.environ | {"COLUMNS": str(columns), "TERM": "xterm"} | environment
    process = subprocess.Popen([sys.executable, "-c", RUN, *arguments], stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    output = b""
    while True:
        try:
            chunk = os.read(ours, 10_000)
        except OSError:
            break
        if not chunk:
            break
        output += chunk
    process.wait()
    os.close(ours)
    return output.decode()


def test_colours_are_for_terminals_that_want_them(folder):
    """Green on a terminal; not with NO_COLOR, with --no-color or into a pipe."""
    assert "\x1b[32mcompleted" in on_a_terminal("runs", "list")
    assert "\x1b" not in on_a_terminal("runs", "list", NO_COLOR="1")
    assert "\x1b" not in on_a_terminal("--no-color", "runs", "list")
    assert "\x1b" not in CliRunner().invoke(cli, ["runs", "list"]).output


def test_a_narrow_terminal_gets_fewer_columns_and_no_broken_lines(folder):
    """Settings are left out from the right, then less of each run, and named; no line is wider than the window."""

    def listed(columns):
        return on_a_terminal("runs", "list", columns=columns, NO_COLOR="1").splitlines()

    width = max(map(len, listed(200)))
    assert "lambda" in listed(width + 2)[0]
    *lines, last = listed(width - 2)  # the age may have become longer
    assert last == "Too narrow for lambda: --csv has all"
    assert max(map(len, lines)) < width
    *lines, last = listed(60)
    assert last == "Too narrow for lambda, kind, time, age, label: --csv has all"
    assert max(map(len, lines)) <= 60


def test_a_wide_table_becomes_lines_on_a_narrow_terminal(tmp_path):
    """A value a line, as it stands in the table."""
    arguments = ["gradcheck", "--set", "data.source=synthetic", "--runs-dir", str(tmp_path), "-q"]
    wide = on_a_terminal(*arguments, columns=120).splitlines()
    narrow = on_a_terminal(*arguments, columns=60).splitlines()
    _, name, error, *_ = wide[4].split()
    assert f"parameter                   {name}" in narrow
    assert f"norm-wise relative          {error}" in narrow


def test_verbose_tells_where_things_come_from(tmp_path):
    """Config, images, threads and run folder on standard error, and nothing of it without -v."""
    arguments = ["train", "--config", "quick", "--set", "training.schedule.n_s=2", "--runs-dir", str(tmp_path), "-q"]
    done = subprocess.run([sys.executable, "-c", RUN, *arguments, "-v"], capture_output=True, text=True, check=True)
    for word in ("quick.yaml", "images made up: data_batch_1", "threads: ", f"run folder {tmp_path}"):
        assert word in done.stderr
    assert "ms  " not in done.stdout
    quiet = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=True)
    assert quiet.stderr.count("\n") == 1
