"""YAML to frozen, validated settings and back."""

from cifarnet.config.files import find, folder, shipped
from cifarnet.config.reader import Resolved, load, override, resolve, saved
from cifarnet.config.settings import Settings
from cifarnet.config.writer import dump, keys, plain, schema

__all__ = [
    "Resolved",
    "Settings",
    "dump",
    "find",
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
