"""How fast, beside others and beside the machine's limit: `make bench`, or `make bench ROUNDS=3 SIZES=50x100`.

Each library trains in a process of its own, driven in turn, round by round, from here, so that whatever else the
machine does meets all of them. Rounds in which others computed are left out where enough remain.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import end_to_end
import numpy as np
from peers import PEERS, flop
from tabulate import tabulate
from tqdm import tqdm

from cifarnet.config import Settings
from cifarnet.plots import render
from cifarnet.runs import Run
from cifarnet.runs.environment import this_machine

NEEDS = {"pytorch": "torch", "pytorch_by_hand": "torch", "jax": "jax", "sklearn": "sklearn"}
PAUSE = 0.05  # seconds after which the threads of a library have stopped spinning
CALL, WORK = 2e10, 1e11  # operations of a call and of a turn: after a pause, threads share a core for some 30 ms
QUIET = 0.05  # of the machine's time that others may take in a round
OURS, SEARCH, LIMIT = "cifarnet", "cifarnet_search", "limit"


class Peer:
    """A library in its process."""

    def __init__(self, name: str) -> None:
        command = [sys.executable, str(Path(__file__).with_name("peers.py")), name]

        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline() or "{}")
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def installed(name: str) -> bool:
    import importlib.util

    return name not in NEEDS or importlib.util.find_spec(NEEDS[name]) is not None


def others(peers: dict[str, Peer]) -> float:
    """Seconds that all cores have spent on others than these processes; 0 where there is no /proc."""
    try:
        ticks = [int(v) for v in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        used = sum(ticks) - ticks[3] - ticks[4]
        for pid in [os.getpid(), *(peer.process.pid for peer in peers.values())]:
            used -= sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        return float(used / os.sysconf("SC_CLK_TCK"))
    except OSError:
        return 0.0


def compare(peers: dict[str, Peer], m: int, batch: int, rounds: int) -> dict[str, Any]:
    """Seconds an update, a list of rounds for each peer, and whether all of them end at the same weights."""
    k = int(np.clip(CALL / flop(m, batch), 2, 20_000 // batch))
    times = max(1, round(WORK / (k * flop(m, batch))))
    norms = {name: peer.ask({"m": m, "batch": batch, "k": k})["norms"] for name, peer in peers.items()}
    same = [norms[name] for name in norms if name not in (LIMIT, SEARCH, "sklearn")]
    agree = bool(np.allclose(same, same[0], rtol=1e-4))
    names, kept, disturbed = list(peers), [], []
    for r in tqdm(range(rounds), f"m = {m}, batch {batch}", leave=False):
        row, started, before = {}, time.perf_counter(), others(peers)
        for name in names[r % len(names) :] + names[: r % len(names)]:
            time.sleep(PAUSE)
            row[name] = peers[name].ask({"times": times})["seconds"] / (k * times)
        quiet = others(peers) - before < QUIET * (time.perf_counter() - started)
        (kept if quiet else disturbed).append(row)
    used = kept if 2 * len(kept) >= rounds else kept + disturbed
    return {
        "m": m, "batch": batch, "k": k, "agree": agree, "quiet_rounds": len(kept), "rounds": rounds,
        "seconds": {name: [row[name] for row in used] for name in names},
    }  # fmt: skip


def rows(found: dict[str, Any]) -> Iterator[list[Any]]:
    """The lines of the table on one size: microseconds, times cifarnet's, share of the limit."""
    medians = {name: statistics.median(values) for name, values in found["seconds"].items()}
    for name in sorted(medians, key=medians.__getitem__):
        base = medians[OURS]
        yield [
            f"m = {found['m']}, batch {found['batch']}", name, 1e6 * medians[name],
            medians[name] / base, medians[LIMIT] / medians[name],
        ]  # fmt: skip


def markdown(results: dict[str, Any]) -> str:
    """The table for a README: microseconds an update, of each the median, and how far from the limit ours are."""
    names = list(results["updates"][0]["seconds"])
    lines = []
    for found in results["updates"]:
        medians = {name: statistics.median(found["seconds"][name]) for name in names}
        best = min((medians[name] for name in names if name in NEEDS), default=float("nan"))
        times = [f"{1e6 * medians[name]:,.0f}" for name in names]
        lines.append([f"{found['m']}, {found['batch']}", *times, best / medians[OURS], medians[LIMIT] / medians[OURS]])
    headers = ["m, batch", *(name.replace("_", " ") for name in names), "best other / ours", "limit / ours"]
    return str(tabulate(lines, headers, tablefmt="github", floatfmt=".2f", disable_numparse=range(1, len(names) + 1)))


def draw(results: dict[str, Any]) -> Any:
    """Updates of each peer over the sizes, on a log scale, and the limit as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    found = results["updates"]
    places = np.arange(len(found))
    for name in found[0]["seconds"]:
        y = [1e6 * statistics.median(one["seconds"][name]) for one in found]
        if name == LIMIT:
            axes.hlines(y, places - 0.4, places + 0.4, color="black", label="limit: sgemm alone")
        else:
            axes.plot(places, y, "D" if name.startswith(OURS) else "o", label=name.replace("_", " "))
    machine = results["environment"]
    axes.set(yscale="log", ylabel="microseconds an update", title=f"{machine['cpu']}, {kernels(machine)}")
    axes.set_xticks(places, [f"m = {one['m']}\nbatch {one['batch']}" for one in found])
    axes.legend(loc="upper left", fontsize="small")
    return figure


def kernels(environment: dict[str, Any]) -> str:
    """The BLAS and the kernels that it takes on this processor."""
    return ", ".join(f"{pool['internal_api']} {pool['version']} {pool['architecture']}" for pool in environment["blas"])


def read_sizes(context: click.Context, option: click.Parameter, text: str) -> list[tuple[int, int]]:
    try:
        return [(int(m), int(batch)) for m, batch in (size.split("x") for size in text.split())]
    except ValueError:
        raise click.BadParameter(f"{text!r}: write m x batch as in '50x100 1000x490'") from None


@click.command()
@click.option("--rounds", envvar="ROUNDS", default=9, show_default=True, help="How often each library has its turn.")
@click.option(
    "--sizes",
    envvar="SIZES",
    callback=read_sizes,
    default=" ".join(f"{m}x{b}" for m in (50, 200, 1000) for b in (100, 490, 1500)),
)
@click.option("--parts", envvar="PARTS", default="updates end-to-end", show_default=True)
@click.option("--runs-dir", envvar="CIFARNET_RUNS_DIR", default=Path("runs"), type=click.Path(path_type=Path))
def main(rounds: int, sizes: list[tuple[int, int]], parts: str, runs_dir: Path) -> None:
    """Measure, print a table, and write results.json, table.md and speed.png into a folder under runs/benchmarks/."""
    environment = this_machine()
    run = Run.create(runs_dir / "benchmarks", "bench", Settings(label="speed"), environment=environment)
    results: dict[str, Any] = {"environment": environment}
    click.echo(
        f"{environment['cpu']}, {environment['cores']} cores, numpy {environment['numpy']}, {kernels(environment)}"
    )
    if "updates" in parts:
        names = [name for name in PEERS if installed(name)]
        for name in PEERS.keys() - names:
            click.echo(f"{name} is left out: {NEEDS[name]} is not installed (pip install -e '.[bench]')")
        peers = {name: Peer(name) for name in names}
        results["updates"] = []
        for m, batch in sizes:
            found = compare(peers, m, batch, rounds)
            results["updates"].append(found)
            click.echo(tabulate(rows(found), ["", "", "us an update", "x ours", "of limit"], floatfmt=".3g"))
            click.echo(
                f"{found['quiet_rounds']} of {rounds} rounds undisturbed; "
                f"{'the same weights' if found['agree'] else 'THE WEIGHTS DIFFER'} after {found['k']} updates\n"
            )
        for peer in peers.values():
            peer.close()
        run.write("table.md", markdown(results) + "\n")
        for kind in ("png", "svg"):
            run.write(f"speed.{kind}", render(draw(results), kind))
    if "end-to-end" in parts:
        results["end_to_end"] = end_to_end.measure(rounds)
        click.echo(tabulate(results["end_to_end"].items(), ["end to end", "median"], floatfmt=".3g") + "\n")
    run.write_json("results.json", results)
    run.finish("completed")
    click.echo(run.path)


if __name__ == "__main__":
    main()
