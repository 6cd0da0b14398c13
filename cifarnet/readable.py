"""How values, and trees of values, are written for people."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

COUNTS = ("n", "images", "kinks")  # keys of whole numbers that may be large


def percent(fraction: float) -> str:
    """Return an accuracy as people read it."""
    return f"{100 * fraction:.2f} %"


def mean_std(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the standard deviation of a sample; of a single value, 0."""
    return fmean(values), stdev(values) if len(values) > 1 else 0.0


def spread(fractions: Sequence[float]) -> str:
    """Return the mean and standard deviation of accuracies as people read them."""
    mean, std = mean_std(fractions)
    return f"{100 * mean:.2f} ± {percent(std)}" if len(fractions) > 1 else percent(mean)


def measured(key: str, value: float) -> str:
    """Return a result as people read it."""
    return percent(value) if key.endswith("accuracy") else f"{value:,.6g}"


def in_table(key: str, value: Any) -> str:
    """Return a result, or a setting beside it, as a table has room for it; nothing of one that is not there."""
    if value is None:
        return ""
    if key.endswith(("accuracy", "spread")):
        return percent(value)
    if key.endswith("error") or key == "tolerance":
        return f"{value:.1e}"
    if key.endswith(("cost", "loss")) and isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if key in COUNTS else shown(value)


def predicted(measure: str, value: float) -> str:
    """Return a number, or the end of an interval, of a measure such as train_accuracy@100 as people read it."""
    return percent(min(max(value, 0.0), 1.0)) if "accuracy" in measure else f"{value:.4g}"


def reported(text: str, quantity: str) -> str:
    """Return an accuracy of a report as ours are written, to the digits that it prints: .4586 as 45.86 %."""
    number = re.fullmatch(r"\d*\.?(\d*)", text.removesuffix("%").strip())
    if "error" in quantity and len(text) > len("1.234e-05"):
        return f"{float(text):.2e}"
    if "accuracy" not in quantity or not number or not number[0].strip("."):
        return text
    return f"{number[0]} %" if "%" in text else f"{100 * float(number[0]):.{max(len(number[1]) - 2, 0)}f} %"


def shown(value: Any) -> str:
    """Return a setting as it is written in a config."""
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


def brief(value: Any) -> str:
    """Return a setting as lists and legends have room for it: three digits, and layers such as 50, 30; 0 for none."""
    if isinstance(value, list):
        return ", ".join(map(brief, value)) or "0"
    return f"{value:.3g}" if isinstance(value, float) else shown(value)


def duration(seconds: float) -> str:
    """Return a time in the two units that matter, such as 3 min 20 s; ``?`` for one that cannot be."""
    if not 0 <= seconds < float("inf"):
        return "?"
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            count, rest = divmod(int(seconds), size)
            return f"{count} {unit} {rest // part} {smaller}"
    return f"{seconds:.1f} s"


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def evenly(count: int, most: int) -> list[int]:
    """Return the indices, below ``count``, of at most ``most`` that stand for all: the first, the last, and between."""
    chosen = min(count, most)
    return [round(i * (count - 1) / max(chosen - 1, 1)) for i in range(chosen)]


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every value in nested mappings and its path. An empty mapping counts as a value, except the outermost."""
    if isinstance(value, Mapping) and (value or not path):
        for key, inner in value.items():
            yield from leaves(inner, (*path, str(key)))
    else:
        yield path, value


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested mappings as one, with a dotted key for every value."""
    return {".".join(path): value for path, value in leaves(tree)}


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Return a table as CSV; NaN, which was not measured, is empty."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(["" if cell != cell else cell for cell in row] for row in rows)
    return out.getvalue()


def as_plain(value: Any) -> Any:
    """Return a value as YAML has it: the lists and numbers of Python for those of NumPy."""
    if isinstance(value, Mapping):
        return {name: as_plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(part) for part in value]
    return value.tolist() if hasattr(value, "tolist") else value
