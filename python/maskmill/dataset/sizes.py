"""Height and width of image files by their headers alone."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO

from maskmill._files import FormatError

__all__ = ["image_size", "image_size_of"]


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) in pixels of a PNG, JPEG, TIFF, BMP, GIF or WebP file; no pixel is decoded.

    JPEGs are as stored: a rotation that their EXIF data asks for is not applied.

    Raises
    ------
    FormatError
        If the file is none of these, or its header is cut short.

    Examples
    --------
    >>> import cv2, numpy as np, tempfile
    >>> from maskmill.dataset.sizes import image_size
    >>> name = tempfile.mkdtemp() + "/a.png"
    >>> _ = cv2.imwrite(name, np.zeros((3, 5), np.uint8))
    >>> image_size(name)
    (3, 5)
    """
    with open(path, "rb") as file:
        return _size(file, str(path))


def image_size_of(data: bytes, where: str) -> tuple[int, int]:
    """The same of a file in memory, which errors call `where`."""
    return _size(io.BytesIO(data), where)


def _size(file: IO[bytes], where: str) -> tuple[int, int]:
    head = file.read(32)
    for begins, parse in _KINDS:
        if head.startswith(begins):
            try:
                found = parse(file, head)
            except (struct.error, IndexError, OSError, OverflowError, ValueError):
                raise FormatError(
                    f"{where}: expected the size of an image, found the header cut short"
                ) from None
            if found is None or min(found) <= 0:
                raise FormatError(f"{where}: expected the size of an image, found {found}")
            return found
    raise FormatError(f"{where}: expected a PNG, JPEG, TIFF, BMP, GIF or WebP, found {head[:8]!r}")


def _png(file: IO[bytes], head: bytes) -> tuple[int, int]:
    w, h = struct.unpack_from(">II", head, 16)
    return h, w


def _gif(file: IO[bytes], head: bytes) -> tuple[int, int]:
    w, h = struct.unpack_from("<HH", head, 6)
    return h, w


def _bmp(file: IO[bytes], head: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", head, 14)[0] == 12:  # the header of OS/2
        w, h = struct.unpack_from("<HH", head, 18)
    else:
        w, h = struct.unpack_from("<ii", head, 18)
    return abs(h), w  # rows from the top down have a negative height


def _jpeg(file: IO[bytes], head: bytes) -> tuple[int, int] | None:
    file.seek(2)
    while True:
        marker = file.read(2)
        while marker[1] == 0xFF:  # fill bytes
            marker = b"\xff" + file.read(1)
        if marker[0] != 0xFF or marker[1] in (0xD9, 0xDA):  # no frame before the end or the pixels
            return None
        if marker[1] == 0x01 or 0xD0 <= marker[1] <= 0xD8:  # these stand alone
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if 0xC0 <= marker[1] <= 0xCF and marker[1] not in (0xC4, 0xC8, 0xCC):
            h, w = struct.unpack(">xHH", file.read(5))
            return h, w
        file.seek(length - 2, 1)


def _webp(file: IO[bytes], head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X":
        w, h = (1 + int.from_bytes(head[i : i + 3], "little") for i in (24, 27))
        return h, w
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return ((bits >> 14) & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        w, h = struct.unpack_from("<HH", head, 26)
        return h & 0x3FFF, w & 0x3FFF
    return None


_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}


def _tiff(file: IO[bytes], head: bytes) -> tuple[int, int] | None:
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", head, 2)[0] == 43
    (offset,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    file.seek(offset)
    count = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))[0]
    length, inline = (20, 12) if big else (12, 8)
    found = {}
    for _ in range(min(count, 1000)):
        entry = file.read(length)
        tag, kind = struct.unpack_from(order + "HH", entry)
        if tag in (256, 257) and kind in _TIFF_TYPES:
            (found[tag],) = struct.unpack_from(order + _TIFF_TYPES[kind], entry, inline)
        if len(found) == 2:
            return found[257], found[256]
    return None


_KINDS: tuple[tuple[bytes, Callable[[IO[bytes], bytes], tuple[int, int] | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8", _jpeg),
    (b"II*\0", _tiff),
    (b"MM\0*", _tiff),
    (b"II+\0", _tiff),
    (b"MM\0+", _tiff),
    (b"BM", _bmp),
    (b"GIF8", _gif),
    (b"RIFF", _webp),
)
