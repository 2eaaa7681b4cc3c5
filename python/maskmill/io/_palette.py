"""PNGs whose pixels are numbers with a colour each, as Pascal VOC has them: read as numbers, written with a palette."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._files import FormatError
from maskmill.dataset.sizes import image_size
from maskmill.io.images import read_image

__all__ = ["palette", "read_indexed", "write_indexed"]

_PNG = b"\x89PNG\r\n\x1a\n"


def palette(n: int = 256) -> NDArray[np.uint8]:
    """(n, 3) colours of Pascal VOC: the bits of a number, three by three, become the high bits of red, green, blue.

    References
    ----------
    VOCdevkit 2012, VOCcode/VOClabelcolormap.m.

    Examples
    --------
    >>> from maskmill.io._palette import palette
    >>> palette(4).tolist(), palette()[255].tolist()
    ([[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]], [224, 224, 192])
    """
    numbers = np.arange(n)[:, None]
    colours = np.zeros((n, 3), np.int64)
    for level in range(8):
        bits = (numbers >> (3 * level + np.arange(3))) & 1
        colours |= bits << (7 - level)
    return colours.astype(np.uint8)


def read_indexed(path: str | Path, field: str = "") -> NDArray[np.generic]:
    """The numbers of the pixels, (H, W): of a palette PNG its indices, of others what they store.

    Colours that are no palette's are an error: a number cannot be told from them.

    Raises
    ------
    FormatError
        If it is no such image, or damaged.
    """
    data = Path(path).read_bytes()
    if data.startswith(_PNG) and len(data) > 33 and data[25] == 3:
        return _read_palette_png(path, data)
    image = read_image(path)
    if image.ndim != 2:
        raise FormatError(f"{path}: expected an image of one channel or with a palette, found {image.shape}")
    return image


def _read_palette_png(path: str | Path, data: bytes) -> NDArray[np.generic]:
    """Indices are stored as gray values are: with a header that says gray, any decoder gives them."""
    import cv2

    image_size(path)
    depth = data[24]
    header = data[16:25] + b"\0" + data[26:29]
    chunks = [_PNG, _chunk(b"IHDR", header)]
    at = 33
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        whole = data[at : at + 12 + size]
        if len(whole) < 12 + size or zlib.crc32(whole[4:-4]) != int.from_bytes(whole[-4:], "big"):
            raise FormatError(f"{path}: the chunk {kind!r} at byte {at} is damaged")
        if kind in (b"IDAT", b"IEND"):
            chunks.append(whole)
        if kind == b"IEND":
            break
        at += 12 + size
    else:
        raise FormatError(f"{path}: expected the chunk IEND at the end of a PNG, found none: it is cut short")
    try:
        image = cv2.imdecode(np.frombuffer(b"".join(chunks), np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError) as error:
        raise FormatError(f"{path}: the image cannot be decoded ({str(error).strip()})") from None
    if image is None or image.ndim != 2:
        raise FormatError(f"{path}: the image cannot be decoded")
    return image // np.uint8(255 // (2**depth - 1)) if depth < 8 else np.asarray(image)


def write_indexed(file: IO[bytes], numbers: ArrayLike, colours: NDArray[np.uint8] | None = None) -> None:
    """Write (H, W) uint8 as an 8-bit PNG with a palette, Pascal VOC's by default."""
    image = np.asarray(numbers)
    if image.dtype != np.uint8 or image.ndim != 2 or 0 in image.shape:
        raise ValueError(f"numbers must be a uint8 image (H, W), not {image.dtype} {image.shape}")
    height, width = image.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = image
    file.write(_PNG)
    file.write(_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)))
    file.write(_chunk(b"PLTE", (palette() if colours is None else colours).tobytes()))
    file.write(_chunk(b"IDAT", zlib.compress(rows.data, 6)))
    file.write(_chunk(b"IEND", b""))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
