"""The network is used by ``cifarnet data download`` alone."""

import json
import os
import subprocess
import sys

import click

from cifarnet.cli import cli

TINY = ["--set", "data={source: synthetic, train: [1], validation: 1000, limit: 200, dims: 20}", "--threads", "1"]
TINY += ["--set", "training.schedule.n_s=1", "--set", "training.batch_size=100", "--quiet"]
STAGES = ["--set", "search.coarse={trials: 2, n_s: 1, cycles: 1}", "--set", "search.final={validation: 1000, n_s: 1}"]
CALLS = {  # a command: how it is called so that it does its work, or a way to its end without what it cannot have here
    "train": [*TINY],
    "evaluate": ["latest"],
    "predict": ["latest", "nothing.png"],
    "find-eta": [*TINY],
    "reproduce-report": ["--dry-run"],
    "export": ["latest", "--to", "csv"],
    "gradcheck": ["--set", "data.source=synthetic", "--samples", "2", "--dims", "5", "--quiet"],
    "search-lambda": ["coarse", *TINY, *STAGES],
    "search": ["coarse", *TINY, *STAGES, "--set", "search.over={training.lambda: {log10: [-4, -2]}}"],
    "completion": ["bash"],
    "runs list": [],
    "runs show": [],
    "runs compare": ["latest", "latest"],
    "runs page": [],
    "runs note": ["latest", "a note"],
    "runs rm": ["latest", "--yes"],
    "data info": [],
    "data verify": [],
    "config show": [],
    "config schema": [],
}
HOOK = """
import json, sys
def refuse(event, arguments):
    if event.startswith("socket.") and event not in ("socket.gethostname",):
        raise SystemExit(f"{sys.argv[1:]} opened a socket: {event} {arguments}")
sys.addaudithook(refuse)
from cifarnet.cli import main
for arguments in json.loads(sys.argv.pop()):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            raise
        print("ended", " ".join(arguments), end.code, file=sys.stderr)
"""


def names(group, path=()):
    """Every command, with the groups that it is in."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield from names(command, (*path, name)) if isinstance(command, click.Group) else [" ".join((*path, name))]


def test_every_command_is_called_here():
    """A new command has to be added to the table, or to be the one that may use the network."""
    assert set(names(cli)) - {"data download"} <= set(CALLS)


def test_no_command_but_download_opens_a_socket(tmp_path):
    """One after the other in a process whose every socket call ends it."""
    calls = [[*name.split(), *arguments] for name, arguments in CALLS.items() if name in names(cli)]
    env = os.environ | {"CIFARNET_RUNS_DIR": str(tmp_path / "runs"), "XDG_CACHE_HOME": str(tmp_path)}
    env.pop("CIFARNET_DATA_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", HOOK, json.dumps(calls)], capture_output=True, text=True, env=env, timeout=300
    )
    assert done.returncode == 0, done.stderr
    codes = {line.split()[1]: line.split()[-1] for line in done.stderr.splitlines() if line.startswith("ended ")}
    assert done.stderr.count("ended ") == len(calls)
    done_all = ("train", "evaluate", "gradcheck", "search-lambda", "search", "completion", "config")
    assert {codes[name] for name in done_all} == {"0"}
