"""What is wrong with settings, as sentences for people: the key, the value, what would be right, the nearest valid key."""

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
    "string_unicode": "must be text",
    "tuple_type": "must be a list, such as [50]",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "finite_number": "must be a finite number",
    "greater_than_equal": "must be at least {ge:g}",
    "greater_than": "must be above {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "less_than": "must be below {lt:g}",
}


def models(annotation: Any) -> list[type[BaseModel]]:
    """The settings classes that a field of this type can hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models(part)]


def fields(model: type[BaseModel], prefix: KeyPath = ()) -> Iterator[tuple[KeyPath, FieldInfo]]:
    """Every key that a config can have, each alternative's included."""
    for name, field in model.model_fields.items():
        path = (*prefix, field.alias or name)
        yield path, field
        for inner in models(field.annotation):
            yield from fields(inner, path)


FIELDS = dict(fields(Settings))


def describe(errors: Iterable[Any], tree: Any) -> dict[KeyPath, str]:
    """pydantic's errors as one sentence a key.

    Of a value that fits none of several types pydantic reports every misfit; said is the field's own sentence, or what
    is wrong deeper inside if the value has the shape of one of them.
    """
    found: dict[KeyPath, str] = {}
    for error in errors:
        path = locate(error, tree)
        known = next(path[:n] for n in range(len(path), -1, -1) if path[:n] in FIELDS or n == 0)
        if error["type"] == "extra_forbidden":
            sentence = unknown(path, tree)
        elif own := own_sentence(known):
            path, sentence = known, own
        else:
            sentence = translate(error)
        found.setdefault(path, sentence)
    return {path: sentence for path, sentence in found.items() if not any(inside(other, path) for other in found)}


def inside(path: KeyPath, outer: KeyPath) -> bool:
    return len(path) > len(outer) and path[: len(outer)] == outer


def related(a: KeyPath, b: KeyPath) -> bool:
    return a == b or inside(a, b) or inside(b, a)


def own_sentence(path: KeyPath) -> str | None:
    extra = FIELDS[path].json_schema_extra if path else None
    return str(extra["errorMessage"]) if isinstance(extra, dict) and "errorMessage" in extra else None


def locate(error: Any, tree: Any) -> KeyPath:
    """The path of keys that an error is about: pydantic's location without the names of a union's alternatives."""
    path: KeyPath = ()
    for part in error["loc"]:
        if (isinstance(tree, dict) and part in tree) or (isinstance(tree, list) and isinstance(part, int)):
            tree = tree[part]
            path = (*path, part)
    if error["type"] == "missing":
        return (*path, error["loc"][-1])
    return (*path, error["ctx"]["discriminator"].strip("'")) if error["type"] == "union_tag_invalid" else path


def translate(error: Any) -> str:
    context = error.get("ctx", {})
    if "expected_tags" in context:
        return choice(context["expected_tags"], context["tag"])
    if error["type"] == "literal_error":
        return choice(context["expected"], error["input"])
    template = SENTENCES.get(error["type"])
    return template.format(**context) if template else error["msg"].replace("Input should be", "must be")


def choice(expected: str, value: Any) -> str:
    """From pydantic's "'a', 'b' or 'c'"."""
    names = re.findall(r"'([^']*)'", expected)
    near = difflib.get_close_matches(str(value)[:MAX_SHOWN], names, 1)
    must = "must be " + " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
    return must + (f"; did you mean {near[0]}?" if near else "")


def unknown(path: KeyPath, tree: Any) -> str:
    """What to say of a key that does not exist, or not here."""
    if near := nearest(path):
        return f"unknown key; did you mean {shown(near)}?"
    level = [shown(known[-1:]) for known in FIELDS if known[:-1] == path[:-1]]
    return f"unknown key; known here: {', '.join(level)}"


def nearest(path: KeyPath) -> KeyPath | None:
    """The valid key most like the given one, of its own level rather than of another."""
    name = str(path[-1])[:MAX_SHOWN].lower()

    def likeness(known: KeyPath) -> float:
        ratio = difflib.SequenceMatcher(None, name.rsplit(".")[-1], str(known[-1])).ratio()
        return ratio + 0.05 * (known[:-1] == path[:-1])

    best = max((known for known in FIELDS if known != path), key=likeness)
    return best if likeness(best) >= 0.65 else None


def shown(path: KeyPath) -> str:
    """A path as people write it, whatever characters its keys are made of: data.train[0]."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    return short(text if text.isprintable() else json.dumps(text)[1:-1])


def quoted(value: Any) -> str:
    return short(json.dumps(value))


def short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."
