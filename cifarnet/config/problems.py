"""What is wrong with settings, in sentences for people: what would be right, and the nearest valid key."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cifarnet.config.document import KeyPath
from cifarnet.config.settings import Settings

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


def fields(model: type[BaseModel], prefix: KeyPath = ()) -> Iterator[tuple[KeyPath, FieldInfo]]:
    """Every key that a config can have, those of all alternatives included."""
    for name, field in model.model_fields.items():
        path = (*prefix, field.alias or name)
        yield path, field
        for inner in models(field.annotation):
            yield from fields(inner, path)


def models(annotation: Any) -> list[type[BaseModel]]:
    """The settings classes that a field of this type can hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models(part)]


FIELDS = dict(fields(Settings))


def describe(errors: Iterable[Any], tree: Any) -> dict[KeyPath, str]:
    """pydantic's errors, as a sentence a key.

    Of a value that fits none of several types pydantic reports every misfit. What we say is the field's own sentence,
    or what is wrong deeper inside where the value has the shape of one of them.
    """
    found: dict[KeyPath, str] = {}
    for error in errors:
        path = locate(error, tree)
        field = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in FIELDS), ())
        if error["type"] == "extra_forbidden":
            found[path] = unknown(path)
        elif own := own_sentence(field):
            found[field] = own
        else:
            found.setdefault(path, translate(error))
    return {path: sentence for path, sentence in found.items() if not any(inside(other, path) for other in found)}


def inside(path: KeyPath, outer: KeyPath) -> bool:
    return len(path) > len(outer) and path[: len(outer)] == outer


def own_sentence(path: KeyPath) -> Any:
    extra = FIELDS[path].json_schema_extra if path else None
    return extra.get("errorMessage") if isinstance(extra, dict) else None


def locate(error: Any, tree: Any) -> KeyPath:
    """The path of keys that an error is about: pydantic's location without the names of alternatives in it.

    Such a name is told from a key that is spelled alike by what keys there can be.
    """
    path: KeyPath = ()
    extra = error["loc"] if error["type"] == "extra_forbidden" else ()
    for n, part in enumerate(error["loc"], 1):
        named = (*(key for key in path if isinstance(key, str)), part) in FIELDS or n == len(extra)
        if (isinstance(tree, dict) and part in tree and named) or (isinstance(tree, list) and isinstance(part, int)):
            tree, path = tree[part], (*path, part)
    if error["type"] == "missing":
        return (*path, error["loc"][-1])
    return (*path, error["ctx"]["discriminator"].strip("'")) if error["type"] == "union_tag_invalid" else path


def translate(error: Any) -> str:
    context = error.get("ctx", {})
    if names := re.findall(r"'([^']*)'", context.get("expected_tags", "") or context.get("expected", "")):
        return choice(names, context.get("tag", error["input"]))
    bounds = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()}
    if error["type"] in SENTENCES:
        return SENTENCES[error["type"]].format(**bounds)
    return str(error["msg"]).replace("Input should be", "must be")


def choice(names: list[str], value: Any) -> str:
    near = difflib.get_close_matches(str(value)[:MAX_SHOWN], names, 1)
    listed = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"must be {listed}" + (f"; did you mean {near[0]}?" if near else "")


def unknown(path: KeyPath) -> str:
    """What to say of a key that does not exist, or not here."""
    if path in FIELDS:
        return "belongs to another kind than the one chosen here; leave it out, or choose that kind"
    if near := nearest(path):
        return f"unknown key; did you mean {shown(near)}?"
    level = dict.fromkeys(str(known[-1]) for known in FIELDS if known[:-1] == path[:-1])
    return f"unknown key; known here: {', '.join(level) or 'none'}"


def nearest(path: KeyPath) -> KeyPath | None:
    """The valid key that looks most like the given one, rather of its own level than of another."""
    name = str(path[-1])[:MAX_SHOWN].lower().rpartition(".")[-1]

    def likeness(known: KeyPath) -> float:
        ratio = difflib.SequenceMatcher(None, name, str(known[-1])).ratio()
        return ratio + 0.05 * (known[:-1] == path[:-1])

    best = max(FIELDS, key=likeness)
    return best if likeness(best) >= 0.65 else None


def shown(path: KeyPath) -> str:
    """A path as people write it: data.train[0]."""
    return short("".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix("."))


def quoted(value: Any) -> str:
    return short(json.dumps(value, ensure_ascii=False, default=str))


def short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def legible(line: str) -> str:
    """One line that any terminal takes, whatever keys, values and file names hold."""
    return line if line.isprintable() else line.encode("unicode_escape").decode("ascii")
