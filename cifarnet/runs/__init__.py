"""Run folders: the one class `Run`, and the catalog of many. Nothing else writes under runs/."""

from cifarnet.runs.environment import differences, this_machine
from cifarnet.runs.run import FORMATS, KINDS, LATEST, Run
from cifarnet.runs.storage import Folder, folders

__all__ = ["FORMATS", "KINDS", "LATEST", "Folder", "Run", "differences", "folders", "this_machine"]
