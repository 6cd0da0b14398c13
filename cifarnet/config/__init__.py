"""From YAML to frozen, validated settings, and back."""

from cifarnet.config.document import Document, flatten, read_yaml
from cifarnet.config.keys import current_key, json_schema, keys, reference
from cifarnet.config.loader import Resolved, dump, find, folder, load, load_saved, override, plain, resolve, shipped
from cifarnet.config.schema import BATCH_IMAGES, CLASSES, IMAGE_VALUES, Data, Evaluation, Network, Settings, Training
from cifarnet.config.search import Axis, Coarse, Final, Fine, Number, Search, Stage

__all__ = [
    "BATCH_IMAGES", "CLASSES", "IMAGE_VALUES", "Axis", "Coarse", "Data", "Document", "Evaluation", "Final", "Fine",
    "Network", "Number", "Resolved", "Search", "Settings", "Stage", "Training", "current_key", "dump", "find",
    "flatten", "folder", "json_schema", "keys", "load", "load_saved", "override", "plain", "read_yaml", "reference",
    "resolve", "shipped",
]  # fmt: skip
