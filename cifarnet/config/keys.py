"""Every key of a config, from the JSON Schema of the settings: for editors, error messages and the reference."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from cifarnet.config.document import KeyPath, dotted
from cifarnet.config.schema import Settings

Node = dict[str, Any]  # a JSON Schema
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
LARGE = 10**9  # from here on, bounds are those of 64 bits
TYPES = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list"}
HEAD = """\
# Every key of a config

A config is YAML and says only what differs from the defaults. Numbers are those of YAML 1.2, such as `0.001`, `1e-3`
and `1_000`; a whole number may be written `1e3`. Every key can be set on the command line by its dotted name, such as
`--set training.lambda=0.001` or `--set "training.schedule.n_s=2 epochs"`; most of the course's have an option of their
own, such as `--lambda 0.001` and `--n-s "2 epochs"`. Short forms: `hidden: 100` is `hidden: [100]`, and
`optimizer: adam` and `schedule: cosine` name the kind. This page is the output of `cifarnet config reference`.
"""


@cache
def json_schema() -> Node:
    """Return the JSON Schema of a config file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Settings.model_json_schema(by_alias=True)


def mappings(node: Node, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Node]]:
    """Yield the schema of every mapping in a config and the key that holds it, all alternatives included."""
    node = json_schema()["$defs"].get(node.get("$ref", "").removeprefix("#/$defs/"), node)
    for part in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from mappings(part, path)
    if "properties" in node:
        yield path, node
        for key, value in node["properties"].items():
            yield from mappings(value, (*path, key))


@cache
def current_key(key: str) -> str:
    """Return a dotted key, or a part of one, as it is called now: training.augmentation was training.jitter."""
    return re.sub(r"\bjitter\b", "augmentation", key)


@cache
def fields() -> dict[KeyPath, Node]:
    """Return the schema of every key, those of all alternatives included."""
    return {(*path, key): value for path, node in mappings(json_schema()) for key, value in node["properties"].items()}


def keys() -> dict[str, str]:
    """Return every dotted key that holds a value, with its description."""
    held = {path: node.get("description", "") for path, node in fields().items() if not any(mappings(node))}
    return {dotted(path): description for path, description in held.items()}


def kinds(node: Node) -> list[str]:
    """Return the kinds that a mapping is for, such as momentum and nesterov."""
    kind = node["properties"].get("kind", {})
    return kind.get("enum") or [kind["const"]] if kind else []


@cache
def keys_of(kind: str) -> frozenset[str]:
    """Return the keys that belong to a kind."""
    return frozenset(key for _, node in mappings(json_schema()) if kind in kinds(node) for key in node["properties"])


def reference() -> str:
    """Return a page of Markdown: every key, its values, its default and what it means."""
    return HEAD + "".join(section(path, node) for path, node in mappings(json_schema()))


def section(path: KeyPath, node: Node) -> str:
    rows = [
        f"| `{key}` | {values(value)} | {default(value)} | {value.get('description', '')} |"
        for key, value in node["properties"].items()
        if key != "kind" and ("errorMessage" in value or not any(mappings(value)))
    ]
    table = ["| key | values | default | meaning |", "|---|---|---|---|", *rows, ""] if rows else []
    kind = f" of kind {' or '.join(kinds(node))}" if kinds(node) else ""
    by_default = " (the default)" if "default" in node["properties"].get("kind", {}) else ""
    title = f"## {dotted(path) or 'Top level'}{kind}{by_default}"
    return "\n".join(["", title, "", node["description"], "", *table])


def values(node: Node) -> str:
    """Return what may stand at a key, in words."""
    if "errorMessage" in node:
        return str(node["errorMessage"]).removeprefix("must be ")
    if "anyOf" in node:
        return ", or ".join(map(values, node["anyOf"]))
    if "enum" in node:
        return ", ".join(node["enum"])
    bounds = [f"{words} {node[name]}" for name, words in BOUNDS.items() if node.get(name, LARGE) < LARGE]
    items = [f"each {values(node['items'])}"] if "items" in node else []
    return ", ".join([TYPES.get(node["type"], str(node["type"])), *bounds, *items])


def default(node: Node) -> str:
    return f"`{json.dumps(node['default'])}`".replace('"', "") if "default" in node else "required"
