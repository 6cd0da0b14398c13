"""cifarnet: reproducible experiments with small NumPy networks on CIFAR-10; `cifarnet.api` says how to call it."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cifarnet.version import RELEASE as __version__

if TYPE_CHECKING:
    from cifarnet.api import Model, Run, Training, find_eta, gradcheck, load, search, start, train

__all__ = ["Model", "Run", "Training", "__version__", "find_eta", "gradcheck", "load", "search", "start", "train"]


def __getattr__(name: str) -> Any:
    """Import numpy and the rest when they are first asked for: `cifarnet --help` needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'cifarnet' has no attribute {name!r}")
    from cifarnet import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return __all__


class Package(ModuleType):
    """`cifarnet.search` stays the function, also when the room of this name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name == "search" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = Package
