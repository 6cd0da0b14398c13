"""What others' programs do otherwise: each deviation is a class that changes one step, and a switch in a config."""

from cifarnet.deviations.classes import DEVIATIONS
from cifarnet.deviations.practice import Practice
from cifarnet.deviations.switches import Deviations, practice

__all__ = ["DEVIATIONS", "Deviations", "Practice", "practice"]
