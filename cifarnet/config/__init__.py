"""YAML to frozen, validated settings and back."""

from cifarnet.config.reader import Resolved, dump, find, flat, folder, load, override, plain, resolve, saved, schema
from cifarnet.config.settings import Settings

__all__ = [
    "Resolved",
    "Settings",
    "dump",
    "find",
    "flat",
    "folder",
    "load",
    "override",
    "plain",
    "resolve",
    "saved",
    "schema",
]
