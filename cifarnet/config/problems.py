"""What is wrong with settings, in sentences: what would be right, and the nearest valid key."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any

from cifarnet.config.document import KeyPath, dotted
from cifarnet.config.keys import fields, keys_of

MAX_SHOWN = 60
SENTENCES = {
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
    """Return what pydantic's errors say of each key: the key, its value in the tree, and a sentence.

    Of a value that fits none of several types pydantic reports every misfit; this is the field's own sentence, or what
    is wrong deeper inside where the value has the shape of one of them.
    """
    found: dict[KeyPath, str] = {}
    for error in errors:
        path = locate(error, tree)
        field = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in fields()), ())
        if error["type"] == "extra_forbidden":
            found[path] = unknown(path, error["loc"])
        elif sentence := fields().get(field, {}).get("errorMessage"):
            found[field] = sentence
        else:
            found.setdefault(path, translate(error))
    outer = {path[:n] for path in found for n in range(len(path))}
    return {path: f"{assignment(path, tree)}: {found[path]}" for path in found if path not in outer}


def locate(error: Any, tree: Any) -> KeyPath:
    """Return the path of the key that an error is about: pydantic's location without the names of alternatives."""
    path: KeyPath = ()
    for part in error["loc"]:
        if (isinstance(tree, dict) and part in tree) or (isinstance(tree, list) and isinstance(part, int)):
            tree, path = tree[part], (*path, part)
    if error["type"] == "missing":
        return (*path, error["loc"][-1])
    return (*path, "kind") if error["type"] == "union_tag_invalid" else path


def translate(error: Any) -> str:
    """Return pydantic's message in our words, with the nearest of the possible values."""
    context = error.get("ctx", {})
    if names := re.findall(r"'([^']*)'", context.get("expected_tags", context.get("expected", ""))):
        near = difflib.get_close_matches(str(context.get("tag", error["input"])), names, 1)
        listed = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        return f"must be {listed}" + (f"; did you mean {near[0]}?" if near else "")
    bounds = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()}
    return SENTENCES.get(error["type"], str(error["msg"])).format(**bounds).replace("Input should be", "must be")


def assignment(path: KeyPath, tree: Any) -> str:
    """Return "key = value", or the key of a value that is missing."""
    try:
        for part in path:
            tree = tree[part]
    except (KeyError, TypeError):
        return short(dotted(path))
    return f"{short(dotted(path))} = {quoted(tree)}"


def unknown(path: KeyPath, place: KeyPath) -> str:
    """Return what to say of a key that does not exist, or not for the kind that pydantic's place names."""
    if path in fields():
        known = ", ".join(sorted(keys_of(str(place[-2])) - {"kind"}))
        return f"the kind {place[-2]} has no {path[-1]}; it has {known or 'no keys'}"
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
