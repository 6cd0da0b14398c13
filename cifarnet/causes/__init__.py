"""What numbers that differ may come from: candidates are trained as they are needed, and ranked by likelihood."""

from cifarnet.causes.numbers import MEASURES, Number, Problem, read_curve
from cifarnet.causes.study import Diagnosis, execute, read, resume, start

__all__ = ["MEASURES", "Diagnosis", "Number", "Problem", "execute", "read", "read_curve", "resume", "start"]
