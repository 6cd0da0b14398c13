"""Pictures of any size as CIFAR-10 has its images: 32 x 32, in three colours."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cifarnet.data.release import Bytes
from cifarnet.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP")
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
SIDE = 32


def pictures(path: Path) -> list[Path]:
    """The picture files of a folder, by name; or the one file.

    Raises
    ------
    DataError
        If the folder cannot be read.
    """
    if not path.is_dir():
        return [path]
    try:
        return sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def picture(path: Path) -> Bytes:
    """Read a PNG, JPEG or WebP file, turned as its EXIF says: the square in its middle, scaled to (32, 32, 3) uint8.

    A picture that has 32 x 32 pixels stays as it is, larger ones are averaged (Lanczos), what is transparent is white.

    Raises
    ------
    DataError
        If it is not there, no such picture, cut short or damaged.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings(), Image.open(path, formats=FORMATS) as image:
            warnings.simplefilter("ignore")  # on metadata, and on a size that Pillow finds large
            image.load()
            square = middle(colour(ImageOps.exif_transpose(image)))
        return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    except Exception as error:  # a damaged picture raises a dozen kinds
        why = getattr(error, "strerror", None) or f"{error}".replace(str(path), "").replace("\n", " ")[:200]
        raise DataError(f"{path}: no picture that can be read ({why}); give a whole PNG, JPEG or WebP") from error


def middle(image: Image.Image) -> Image.Image:
    """The largest square in the middle."""
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    return image.crop((left, top, left + side, top + side))


def colour(image: Image.Image) -> Image.Image:
    """The image in red, green and blue, 8 bits each, on white."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):  # 16 bits of grey
        image = Image.fromarray((np.asarray(image, np.float64) / 257).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return image.convert("RGB")
