"""YAML to frozen, validated settings and back."""

from cifarnet.config.reader import (
    Resolved,
    dump,
    find,
    flat,
    folder,
    keys,
    load,
    override,
    plain,
    resolve,
    saved,
    schema,
    shipped,
)
from cifarnet.config.settings import Settings

__all__ = [
    "Resolved",
    "Settings",
    "dump",
    "find",
    "flat",
    "folder",
    "keys",
    "load",
    "override",
    "plain",
    "resolve",
    "saved",
    "schema",
    "shipped",
]
