"""Training and measuring networks: generators of records that write no file and print nothing."""

from cifarnet.training.evaluation import Scores, confusion, growth, outcomes, score, scores_of, summary, worst_mistakes
from cifarnet.training.gradient import gradient
from cifarnet.training.loop import NUMERICS, Record, train, train_lockstep
from cifarnet.training.parallel import blas_threads, cores
from cifarnet.training.state import State
from cifarnet.training.timetable import Timetable, lockstep_key

__all__ = [
    "NUMERICS", "Record", "Scores", "State", "Timetable", "blas_threads", "confusion", "cores", "gradient", "growth",
    "lockstep_key", "outcomes", "score", "scores_of", "summary", "train", "train_lockstep", "worst_mistakes",
]  # fmt: skip
