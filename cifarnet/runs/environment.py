"""Record what a result may depend on besides its settings."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from cifarnet.readable import flatten

DIFF_LIMIT = 200_000  # characters of `git diff` that are kept
MATTERS = ("numpy", "blas", "cpu", "threads")  # what changes the last bits of a float


def this_machine() -> dict[str, Any]:
    """Return the versions, BLAS and its threads, CPU, command line and git state of this process."""
    import numpy as np
    import threadpoolctl

    from cifarnet.version import RELEASE, git, source

    return {
        "cifarnet": RELEASE,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": [
            {key: pool.get(key) for key in ("internal_api", "version", "num_threads", "architecture")}
            for pool in threadpoolctl.threadpool_info()
            if pool["user_api"] == "blas"
        ],
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "argv": sys.argv,
        "git_commit": git("rev-parse", "HEAD") or source(),
        "git_diff": (git("diff", "--no-ext-diff", "--no-color", "HEAD") or "")[:DIFF_LIMIT] or None,
    }


def process() -> dict[str, Any]:
    """Return which process this is."""
    return {"pid": os.getpid(), "host": platform.node()}


def now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def facts(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a result may depend on, a value a dotted key; the command line is none of it."""
    pools = {f"blas.{n}" if n else "blas": pool for n, pool in enumerate(environment.get("blas", []))}
    return flatten({key: value for key, value in environment.items() if key not in ("argv", "blas")} | pools)


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what differs between two environments that may change a result's last bits."""
    a, b = ({key: value for key, value in facts(known).items() if key.startswith(MATTERS)} for known in (then, now))
    return [f"{key} {a.get(key)} / {b.get(key)}" for key in a | b if a.get(key) != b.get(key)]


def cpu_name() -> str:
    """Return the processor's name, as Linux or else Python knows it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
