"""A user's own pictures: found, read, cropped and scaled."""

import numpy as np
import pytest
from PIL import Image

from cifarnet.data.images import formats, image_files, read_image
from cifarnet.errors import DataError


def test_a_picture_is_cropped_to_its_middle_and_scaled(tmp_path):
    """Of 60 x 40 pixels the 40 in the middle, all red; a picture of 32 x 32 stays as it is."""
    wide = np.full((40, 60, 3), [0, 0, 255], np.uint8)
    wide[:, 10:50] = [255, 0, 0]
    exact = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for pixels, expected in ((wide, np.full((32, 32, 3), [255, 0, 0])), (exact, exact)):
        Image.fromarray(pixels).save(tmp_path / "picture.png")
        assert (read_image(tmp_path / "picture.png") == expected).all()


def test_a_picture_is_turned_as_its_exif_says(tmp_path):
    exif, pixels = Image.Exif(), np.zeros((32, 32, 3), np.uint8)
    exif[0x0112], pixels[:16] = 3, 255  # upside down
    Image.fromarray(pixels).save(tmp_path / "phone.png", exif=exif)
    assert (read_image(tmp_path / "phone.png") == pixels[::-1]).all()


KINDS = ["L.png", "LA.png", "P.png", "RGBA.png", "I;16.png", "L.jpg", "CMYK.jpg", "RGBA.webp", "RGB.bmp", "P.gif"]


@pytest.mark.parametrize("name", [*KINDS, "RGB.tiff", "RGB.ppm", "RGB.tga", "RGB.jp2", "RGB.ico"])
def test_pictures_of_every_kind_are_read(tmp_path, name):
    """Grey, palettes, transparency, CMYK, 16 bits, other formats: the same grey comes out."""
    mode, path = name.partition(".")[0], tmp_path / name
    deep = Image.fromarray(np.full((50, 50), 153 * 257, np.uint16))
    (deep if mode == "I;16" else Image.new("RGB", (50, 50), (153, 153, 153)).convert(mode)).save(path)
    assert np.abs(read_image(path).astype(int) - 153).max() <= 2


def test_floating_point_pixels_have_no_scale(tmp_path):
    Image.new("F", (50, 50), 153).save(tmp_path / "f.tiff")
    with pytest.raises(DataError, match=r"f\.tiff: cannot be read as a picture: .*; save it with 8"):
        read_image(tmp_path / "f.tiff")


def test_what_is_transparent_is_white(tmp_path):
    Image.new("RGBA", (9, 9), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png") == 255).all()


def test_a_picture_that_cannot_be_read_is_one_clear_line(tmp_path):
    Image.new("RGB", (50, 50)).save(tmp_path / "cut.png")
    contents = {"cut.png": (tmp_path / "cut.png").read_bytes()[:60], "empty.jpg": b"", "a\nb.webp": b"no picture"}
    contents["run.png"] = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"  # Ghostscript would run it
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert "EPS" not in formats().values()
    for name in (*contents, "nowhere.png"):
        with pytest.raises(DataError, match=r"cannot be read as a picture: .") as caught:
            read_image(tmp_path / name)
        assert str(caught.value).isprintable() and ascii(name)[1:-1] in str(caught.value)


def test_folders_of_classes_are_walked_and_what_is_no_picture_is_reported(tmp_path):
    names = ["b.JPG", "cat/a.png", "cat/deep/c.tif", "dog/a.gif", "Makefile", "dog/notes.txt", "paper.pdf"]
    for name in [*names, ".hidden.png", "cat/._a.png", ".git/d.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found, left_out = image_files(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in (*found, *left_out)] == names and len(left_out) == 3
    assert image_files(tmp_path / "Makefile") == ([tmp_path / "Makefile"], [])
