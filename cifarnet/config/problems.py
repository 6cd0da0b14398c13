"""What is wrong with settings, in sentences: what would be right, and the nearest valid key."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any

from cifarnet.config.document import KeyPath, dotted
from cifarnet.config.keys import fields, keys_of
from cifarnet.config.search import Axis

MAX_SHOWN = 60
OVER = ("search", "over")  # its keys are those of any setting
SENTENCES = {
    "sentence": "{sentence}",
    "missing": "is required",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text; put it in quotes",
    "tuple_type": "must be a list, in brackets",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
}


def describe(errors: Iterable[Any], tree: Any) -> dict[KeyPath, str]:
    """Return what pydantic's errors say of each key: the key, its value, and a sentence.

    Of a mapping that fits none of several types, it is what is wrong deeper inside.
    """
    found: dict[KeyPath, str] = {}
    for error in errors:
        path, value = locate(error["loc"], tree), f" = {quoted(error['input'])}"
        if error["type"] == "missing":
            path, value = (*path, error["loc"][-1]), ""
        elif error["type"] == "union_tag_invalid":
            path, value = (*path, "kind"), f" = {quoted(error['input']['kind'])}"
        sentence = unknown(path, error["loc"]) if error["type"] == "extra_forbidden" else translate(error)
        found.setdefault(path, f"{short(dotted(path))}{value}: {sentence}")
    outer = {path[:n] for path in found for n in range(len(path))}
    return {path: text for path, text in found.items() if path not in outer}


def locate(place: Iterable[Any], tree: Any) -> KeyPath:
    """Return the path in the tree of pydantic's place, which has the names of alternatives in it, too."""
    path: KeyPath = ()
    for part in place:
        whole = isinstance(part, int) or (isinstance(tree, dict) and part in tree)
        for step in [part] if whole else part.split("."):  # an axis may be given in parts, over: {training: {lambda:
            if (isinstance(tree, dict) and step in tree) or (isinstance(tree, list) and isinstance(step, int)):
                tree, path = tree[step], (*path, step)
    return path


def translate(error: Any) -> str:
    """Return pydantic's message in our words, with the nearest of the possible values."""
    context = error.get("ctx", {})
    if names := re.findall(r"'([^']*)'", context.get("expected_tags", context.get("expected", ""))):
        near = difflib.get_close_matches(str(context.get("tag", error["input"])), names, 1)
        listed = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        return f"must be {listed}" + (f"; did you mean {near[0]}?" if near else "")
    bounds = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()}
    return SENTENCES.get(error["type"], str(error["msg"])).format(**bounds).replace("Input should be", "must be")


def unknown(path: KeyPath, place: KeyPath) -> str:
    """Return what to say of a key that does not exist, or not for the kind that pydantic's place names."""
    if path in fields():
        known = ", ".join(sorted(keys_of(str(place[-2])) - {"kind"}))
        return f"the kind {place[-2]} has no {path[-1]}; it has {known or 'no keys'}"
    if path[:2] == OVER:
        return f"unknown key; known here: {', '.join(Axis.model_fields)}"
    if near := nearest(path):
        return f"unknown key; did you mean {dotted(near)}?"
    level = dict.fromkeys(str(known[-1]) for known in fields() if known[:-1] == path[:-1])
    return f"unknown key; known here: {', '.join(level) or 'none'}"


def nearest(path: KeyPath) -> KeyPath | None:
    """Return the valid key that looks most like the given one, one of the same level rather than another."""
    known = sorted(reversed(fields()), key=lambda key: key[:-1] == path[:-1])
    names = {str(key[-1]): key for key in known}  # of two keys with one name that of the level, else the first
    near = difflib.get_close_matches(str(path[-1]).lower().rpartition(".")[-1], names, 1, 0.65)
    return names[near[0]] if near else None


def quoted(value: Any) -> str:
    return short(json.dumps(value, ensure_ascii=False, default=str))


def short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."
