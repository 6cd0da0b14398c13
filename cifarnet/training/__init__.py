"""Training: a plan, the batches that it draws, and the loop over them."""

from cifarnet.training.batches import batches, drop_inputs, hidden_masks, mask
from cifarnet.training.loop import NUMERICS, Record, State, record, train, train_abreast
from cifarnet.training.plan import Plan

__all__ = [
    "NUMERICS",
    "Plan",
    "Record",
    "State",
    "batches",
    "drop_inputs",
    "hidden_masks",
    "mask",
    "record",
    "train",
    "train_abreast",
]
