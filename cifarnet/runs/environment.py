"""What a result may depend on besides its settings."""

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DIFF_LIMIT = 200_000  # characters of `git diff` that are kept
MATTERS = ("numpy", "blas", "cpu", "threads")  # what changes the last bits of a float


def environment() -> dict[str, Any]:
    """Versions, BLAS and its threads, CPU, command line and git state of this process."""
    import platform

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
        "git_diff": (git("diff", "HEAD") or "")[:DIFF_LIMIT] or None,
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two environments that may change a result's last bits."""
    a, b = ({key: value for name in MATTERS for key, value in flat(name, e.get(name))} for e in (then, now))
    return [f"{key} {a.get(key)} / {b.get(key)}" for key in a | b if a.get(key) != b.get(key)]


def threads(environment: Mapping[str, Any]) -> int | None:
    """How many threads a training ran on, if its environment says so."""
    count = environment.get("threads")
    return count if type(count) is int and 0 < count <= 1024 else None


def flat(name: str, value: Any) -> list[tuple[str, Any]]:
    """A value, or those of a list of mappings, each with a name."""
    if not isinstance(value, list):
        return [(name, value)]
    return [(f"{name} {key}", inner) for part in value if isinstance(part, dict) for key, inner in part.items()]


def cpu_name() -> str:
    import platform

    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
