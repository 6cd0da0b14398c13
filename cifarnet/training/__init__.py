"""Training: a plan, the batches that it draws, and the loop over them."""

from cifarnet.parallel import Workspace
from cifarnet.training.batches import batches, drop_inputs, hidden_masks, mask
from cifarnet.training.loop import NUMERICS, Record, State, record, train
from cifarnet.training.plan import Plan

__all__ = [
    "NUMERICS",
    "Plan",
    "Record",
    "State",
    "Workspace",
    "batches",
    "drop_inputs",
    "hidden_masks",
    "mask",
    "record",
    "train",
]
