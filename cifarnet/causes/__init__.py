"""What numbers that differ may come from: candidates are trained as they are needed, and ranked by likelihood."""

from cifarnet.causes.numbers import MEASURES, Number, Problem, numbers_of_curves, work
from cifarnet.causes.study import Diagnosis, execute, plan_of, read, resume, start

__all__ = [
    "MEASURES", "Diagnosis", "Number", "Problem", "execute", "numbers_of_curves", "plan_of", "read", "resume",
    "start", "work",
]  # fmt: skip
