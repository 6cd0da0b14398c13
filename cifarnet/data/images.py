"""A user's own pictures as CIFAR-10 has its images: 32 x 32, in three colours."""

from __future__ import annotations

import os
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cifarnet.data.cifar10 import Bytes
from cifarnet.errors import DataError, shown

if TYPE_CHECKING:
    from PIL import Image

SIDE = 32
UNREAD = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # Pillow only knows their names; for EPS it runs Ghostscript


class Files(NamedTuple):
    """The pictures of a folder, and the other files in it."""

    found: list[Path]
    left_out: list[Path]


@cache
def formats() -> dict[str, str]:
    """Return the formats that Pillow reads, by the ending of a file's name."""
    from PIL import Image

    return {ending: name for ending, name in Image.registered_extensions().items() if name in {*Image.OPEN} - UNREAD}


def image_files(path: Path) -> Files:
    """Return the files in a folder and its folders, hidden ones excepted, or the one file; DataError if unreadable."""

    def fail(error: OSError) -> None:
        raise DataError(f"{shown(error.filename)}: cannot be read: {error.strerror}") from error

    if not path.is_dir():
        return Files([path], [])
    found: list[Path] = []
    left_out: list[Path] = []
    for folder, folders, names in os.walk(path, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in (Path(folder, name) for name in names if not name.startswith(".")):
            (found if file.suffix.lower() in formats() else left_out).append(file)
    return Files(sorted(found), sorted(left_out))


def read_image(path: Path) -> Bytes:
    """Read a picture, turned as its EXIF says: the square in its middle, scaled to (32, 32, 3) uint8.

    A picture that has 32 x 32 pixels stays as it is, larger ones are averaged (Lanczos), what is transparent is white.
    Raises DataError where it is missing, damaged or nothing that Pillow reads.
    """
    from PIL import Image, ImageOps

    try:
        silent = warnings.catch_warnings(action="ignore")  # on metadata, and on a size that Pillow finds large
        with silent, Image.open(path, formats=sorted(set(formats().values()))) as image:
            square = middle(in_colour(ImageOps.exif_transpose(image)))
        return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    except Exception as error:  # a damaged picture raises a dozen kinds
        why = getattr(error, "strerror", None) or str(error).replace(str(path), "")[:200] or type(error).__name__
        raise DataError(f"{shown(path)}: cannot be read as a picture: {shown(why)}") from error


def middle(image: Image.Image) -> Image.Image:
    """Return the largest square in the middle."""
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    return image.crop((left, top, left + side, top + side))


def in_colour(image: Image.Image) -> Image.Image:
    """Return the image in red, green and blue, 8 bits each, on white."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("it is not known which of its numbers is white; save it with 8 or 16 bits a colour")
    if image.mode.startswith("I"):  # 16 bits of grey
        image = Image.fromarray((np.asarray(image, np.float64) / 257).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return image.convert("RGB")
