"""What numbers that differ may come from: candidates are trained as they are needed, and ranked by likelihood."""

from cifarnet.causes.numbers import MEASURES, Number, Problem, read_curve, work
from cifarnet.causes.study import Diagnosis, execute, plan_of, read, resume, start

__all__ = [
    "MEASURES", "Diagnosis", "Number", "Problem", "execute", "plan_of", "read", "read_curve", "resume", "start", "work",
]  # fmt: skip
