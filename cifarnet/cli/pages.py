"""Whatever becomes of a run, its folder tells it: a final status, and run.html."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cifarnet.runs import Run


@contextlib.contextmanager
def page_of(run: "Run") -> Iterator[None]:
    """Write the page of a run when the work on it ends; a run that is left before its end says so."""
    from cifarnet import page
    from cifarnet.errors import RunError

    try:
        yield
    except BaseException as error:
        with contextlib.suppress(RunError):  # where the folder is the trouble, the first error says so
            if run.info["status"] == "running":
                run.finish("failed" if isinstance(error, Exception) else "interrupted")
            page.write(run.path)
        raise
    page.write(run.path)
