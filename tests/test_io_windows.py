"""Windows of images that may be larger than memory."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmill import FormatError
from maskmill.io.images import read_image
from maskmill.io.windows import open_picture


def made(shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


def same_as_whole(path):
    whole = read_image(path)
    whole = whole[..., None] if whole.ndim == 2 else whole
    with open_picture(path) as picture:
        assert (picture.rows, picture.columns, picture.channels) == whole.shape
        assert picture.dtype == whole.dtype
        for top, bottom, left, right in [(0, picture.rows, 0, picture.columns), (1, 4, 2, 3), (2, 2, 0, 5)]:
            window = picture.read(top, bottom, left, right)
            assert window.flags.c_contiguous
            assert np.array_equal(window, whole[top:bottom, left:right])
        assert np.array_equal(np.concatenate(list(picture.strips(100))), whole)


@pytest.mark.parametrize("columns", [12, 13, 14, 15])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_bmp(tmp_path, columns, channels):
    path = tmp_path / "a.bmp"
    assert cv2.imwrite(str(path), made((7, columns, channels)).squeeze())
    same_as_whole(path)


def test_other_bmps(tmp_path):
    """Of Pillow: a palette, one bit a pixel, 32 bits without masks; and rows from the top down."""
    image = pytest.importorskip("PIL.Image")
    colours = made((7, 13, 3))
    image.fromarray(colours).quantize(9).save(tmp_path / "palette.bmp")
    image.fromarray(colours[..., 0] > 99).save(tmp_path / "bits.bmp")
    image.fromarray(made((7, 13, 4))).save(tmp_path / "alpha.bmp")
    image.fromarray(colours).save(tmp_path / "up.bmp")
    data = bytearray((tmp_path / "up.bmp").read_bytes())
    struct.pack_into("<i", data, 22, -7)
    (tmp_path / "down.bmp").write_bytes(data)
    for name in ("palette", "bits", "alpha", "down"):
        same_as_whole(tmp_path / f"{name}.bmp")
    with open_picture(tmp_path / "down.bmp") as picture:
        assert np.array_equal(picture.read(0, 7, 0, 13), colours[::-1])


@pytest.mark.parametrize(
    "more", [{}, {"tile": (16, 16)}, {"compression": "zlib", "rowsperstrip": 3}, {"planarconfig": "separate"}]
)
@pytest.mark.parametrize(
    ("channels", "dtype"), [(1, np.uint16), (3, np.uint8), (2, np.uint8), (5, np.uint16)]
)
def test_tiff(tmp_path, channels, dtype, more):
    tifffile = pytest.importorskip("tifffile")
    image = made((21, 19, channels), dtype)
    stored = image
    if more.get("planarconfig") == "separate":
        stored = np.moveaxis(image, 2, 0)
    elif channels > 1:
        more = {**more, "planarconfig": "contig"}
    stored = stored.squeeze()
    more = {**more, "photometric": "rgb" if channels == 3 else "minisblack"}
    if channels == 1:
        more.pop("planarconfig", None)
    tifffile.imwrite(tmp_path / "a.tif", stored, metadata=None, **more)
    with open_picture(tmp_path / "a.tif") as picture:
        assert (picture.rows, picture.columns, picture.channels, picture.dtype) == (21, 19, channels, dtype)
        assert np.array_equal(picture.read(0, 21, 0, 19), image)
        assert np.array_equal(picture.read(3, 20, 5, 18), image[3:20, 5:18])


def test_others_are_decoded_whole(tmp_path):
    assert cv2.imwrite(str(tmp_path / "a.png"), made((7, 13, 3), np.uint16))
    same_as_whole(tmp_path / "a.png")


def test_windows_lie_within(tmp_path):
    cv2.imwrite(str(tmp_path / "a.bmp"), made((7, 13)))
    with open_picture(tmp_path / "a.bmp") as picture:
        for window in [(-1, 2, 0, 1), (0, 8, 0, 1), (3, 2, 0, 1), (0, 1, 0, 14)]:
            with pytest.raises(ValueError, match="window must lie within 7 x 13"):
                picture.read(*window)


def bmp(columns=4, rows=3, bits=24, compression=0, size=40, start=54):
    head = b"BM" + struct.pack("<IHHI", 0, 0, 0, start)
    return (
        head
        + struct.pack("<IiiHHIIiiII", size, columns, rows, 1, bits, compression, 0, 0, 0, 0, 0)
        + bytes(36)
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"BM", "expected the header of a BMP"),
        (bmp()[:40], "expected the header of a BMP"),
        (bmp(columns=0), "1 pixel or more, found 0 x 3"),
        (bmp(columns=-4), "1 pixel or more, found -4 x 3"),
        (bmp(rows=4), "it is cut short"),
        (bmp(columns=2**31 - 1, rows=-(2**31)), "it is cut short"),
        (bmp(columns=1, bits=8), "expected a palette"),
        (b"", "expected an image"),
        (b"text", "expected an image"),
    ],
)
def test_damaged(tmp_path, data, message):
    path = tmp_path / "a.bmp"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=message) as fault:
        open_picture(path)
    assert str(fault.value).startswith(str(path))


def test_missing_and_stacks(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_picture(tmp_path / "a.bmp")
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", made((4, 5, 6)), photometric="minisblack")
    with pytest.raises(FormatError, match="expected an image, found a stack of 4"):
        open_picture(tmp_path / "a.tif")


GRAY = bytes(cv2.imencode(".bmp", made((5, 6)))[1])


@given(st.data(), st.sampled_from([bmp(), GRAY]))
def test_mutated(tmp_path_factory, data, whole):
    mutated = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        mutated[data.draw(st.integers(2, 60))] = data.draw(st.integers(0, 255))
    del mutated[data.draw(st.integers(len(mutated) // 2, len(mutated))) :]
    path = tmp_path_factory.getbasetemp() / "mutated.bmp"
    path.write_bytes(mutated)
    try:
        with open_picture(path) as picture:
            rows, columns = min(picture.rows, 50), min(picture.columns, 50)
            fine = picture.read(0, rows, 0, columns).shape == (rows, columns, picture.channels)
    except FormatError as error:
        fine = str(error).startswith(str(path))
    assert fine
