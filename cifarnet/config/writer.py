"""Settings as plain values, dotted keys, YAML and JSON Schema."""

from __future__ import annotations

from typing import Any

import yaml

from cifarnet.config import document
from cifarnet.config.problems import FIELDS
from cifarnet.config.settings import Settings


def plain(settings: Settings) -> dict[str, Any]:
    """Settings as YAML and JSON have them, in the order of the models."""
    return settings.model_dump(mode="json", by_alias=True)


class Dumper(yaml.SafeDumper):
    """A line a key, lists in brackets, quotes around text that a reader of YAML 1.1 or 1.2 would take for a number."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_list(self, data: Any) -> yaml.SequenceNode:
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = None if document.scalar(data) == data else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


Dumper.add_representer(list, Dumper.represent_list)
Dumper.add_representer(str, Dumper.represent_str)


def dump(settings: Settings) -> str:
    """The settings as complete YAML, which loads back equal."""
    return yaml.dump(plain(settings), Dumper=Dumper, sort_keys=False, width=10_000)


def schema() -> dict[str, Any]:
    """The JSON Schema of a config file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Settings.model_json_schema(by_alias=True)


def keys() -> dict[str, str]:
    """Every key that holds a value, with its description."""
    held = {path[:-1] for path in FIELDS}
    return {".".join(map(str, path)): field.description or "" for path, field in FIELDS.items() if path not in held}
