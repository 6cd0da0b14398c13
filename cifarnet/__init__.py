"""cifarnet: reproducible experiments with small NumPy networks on CIFAR-10; `cifarnet.api` says how to call it."""

from typing import TYPE_CHECKING, Any

from cifarnet.version import RELEASE as __version__

if TYPE_CHECKING:
    from cifarnet.api import Model, Run, Training, load, start, train

__all__ = ["Model", "Run", "Training", "__version__", "load", "start", "train"]


def __getattr__(name: str) -> Any:
    """Import numpy and the rest when they are first asked for: `cifarnet --help` needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'cifarnet' has no attribute {name!r}")
    from cifarnet import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return __all__
