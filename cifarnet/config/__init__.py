"""From YAML to frozen, validated settings, and back."""

from cifarnet.config.document import read_yaml
from cifarnet.config.keys import json_schema, keys, reference
from cifarnet.config.loader import Resolved, dump, find, folder, load, load_saved, override, plain, resolve, shipped
from cifarnet.config.schema import BATCH_IMAGES, IMAGE_VALUES, Data, Settings, as_label
from cifarnet.config.search import Axis
from cifarnet.readable import flatten

__all__ = [
    "BATCH_IMAGES", "IMAGE_VALUES", "Axis", "Data", "Resolved", "Settings", "as_label", "dump", "find", "flatten",
    "folder", "json_schema", "keys", "load", "load_saved", "override", "plain", "read_yaml", "reference", "resolve",
    "shipped",
]  # fmt: skip
