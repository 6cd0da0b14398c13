"""Search: sample settings, train each, rank them by validation accuracy, and look closer around the best."""

from cifarnet.search.cluster import remote
from cifarnet.search.folder import execute, reopen, start
from cifarnet.search.study import Found, Study, Trial, design, read
from cifarnet.search.timing import estimate
from cifarnet.search.trials import Outcome, dataset
from cifarnet.search.workers import Workers, local

__all__ = [
    "Found",
    "Outcome",
    "Study",
    "Trial",
    "Workers",
    "dataset",
    "design",
    "estimate",
    "execute",
    "local",
    "read",
    "remote",
    "reopen",
    "start",
]
