"""Search: try settings, rank them by validation accuracy, and look closer around the best."""

from cifarnet.search.design import design
from cifarnet.search.study import Study, Trial, execute, read, resume, start

__all__ = ["Study", "Trial", "design", "execute", "read", "resume", "start"]
