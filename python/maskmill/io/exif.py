"""How a picture is to be turned: tag 274 of EXIF, and no other."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["orientation", "upright"]

_ORIENTATION = 274
_SHORT = 3


def orientation(data: bytes) -> int:
    """1 to 8, as tag 274 of a JPEG, PNG or TIFF in memory says; 1, as it is stored, where none says anything.

    Values of other tags mean nothing here: ResolutionUnit is 3 in many cameras' pictures, and they are not turned.

    References
    ----------
    CIPA DC-008-2012, Exif 2.3, 4.6.4; orientation as of TIFF 6.0, page 36.
    """
    try:
        found = _in_tiff(_exif(data))
    except (struct.error, IndexError):
        return 1
    return found if 1 <= found <= 8 else 1


def upright(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """(H, W[, C]) as it is to be looked at.

    >>> upright(np.array([[1, 2, 3]]), 6).tolist()
    [[1], [2], [3]]
    """
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _exif(data: bytes) -> bytes:
    """The TIFF structure that has the tags."""
    if data[:4] in (b"II*\0", b"MM\0*"):
        return data
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        at = 8
        while at + 8 <= len(data):
            size, kind = struct.unpack_from(">I4s", data, at)
            if kind == b"eXIf":
                return data[at + 8 : at + 8 + size]
            at += 12 + size
    if data.startswith(b"\xff\xd8"):
        at = 2
        while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (0xD9, 0xDA):
            (size,) = struct.unpack_from(">H", data, at + 2)
            if data[at + 1] == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
                return data[at + 10 : at + 2 + size]
            at += 2 + size
    return b""


def _in_tiff(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    (first,) = struct.unpack_from(f"{order}I", tiff, 4)
    (n,) = struct.unpack_from(f"{order}H", tiff, first)
    for i in range(n):
        tag, kind, count = struct.unpack_from(f"{order}HHI", tiff, first + 2 + 12 * i)
        if tag == _ORIENTATION and kind == _SHORT and count == 1:
            return int(struct.unpack_from(f"{order}H", tiff, first + 10 + 12 * i)[0])
    return 1
