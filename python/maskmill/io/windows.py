"""Windows of single images that may be larger than memory: BMP and TIFF are read row by row, or tile by tile."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from maskmill._files import FormatError
from maskmill.io._raw import RawVoxels
from maskmill.io._volume import Options
from maskmill.io.images import read_image

__all__ = ["Picture", "open_picture"]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Picture:
    """An image of which windows are read. `open_picture` makes them; a context manager.

    Attributes
    ----------
    path : str
    rows, columns, channels : int
    dtype : numpy.dtype
    """

    def __init__(
        self,
        path: str,
        shape: tuple[int, int, int],
        dtype: DTypeLike,
        read: Callable[[int, int, int, int], NDArray[Any]],
        close: Callable[[], None] | None = None,
    ) -> None:
        """`read` takes the first and the last row and column of a window, half-open."""
        self.path = path
        self.rows, self.columns, self.channels = shape
        self.dtype = np.dtype(dtype)
        self._read, self._close = read, close

    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[Any]:
        """Rows `top` to `bottom` and columns `left` to `right`, half-open, within the image.

        Returns
        -------
        (bottom - top, right - left, channels) array of `dtype`, red first

        Raises
        ------
        ValueError
            If the window is not within the image.
        FormatError
            If the file turns out to be damaged.
        """
        if not (0 <= top <= bottom <= self.rows and 0 <= left <= right <= self.columns):
            raise ValueError(
                f"window must lie within {self.rows} x {self.columns}, not {(top, bottom, left, right)}"
            )
        if top == bottom or left == right:
            return np.empty((bottom - top, right - left, self.channels), self.dtype)
        return self._read(top, bottom, left, right)

    def strips(self, size: int = 1 << 24) -> Iterator[NDArray[Any]]:
        """The whole image as (n, columns, channels) blocks of whole rows, of about `size` bytes."""
        step = max(1, size // max(1, self.columns * self.channels * self.dtype.itemsize))
        for top in range(0, self.rows, step):
            yield self.read(top, min(top + step, self.rows), 0, self.columns)

    def close(self) -> None:
        if self._close is not None:
            self._close()
            self._close = None

    def __enter__(self) -> Picture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_picture(path: str | Path) -> Picture:
    """Open an image to read windows of it.

    Of uncompressed BMP (8, 24 and 32 bits a pixel) and TIFF, a window's rows or tiles alone are read; PNG, JPEG and
    others are decoded whole, at once.

    Raises
    ------
    FormatError
        If it is no image, a stack of them, or cut short.
    FileNotFoundError

    Examples
    --------
    >>> import cv2, tempfile
    >>> path = tempfile.mkdtemp() + "/a.bmp"
    >>> _ = cv2.imwrite(path, np.arange(12, dtype=np.uint8).reshape(3, 4))
    >>> with open_picture(path) as picture:
    ...     picture.read(1, 3, 2, 4)[..., 0]
    array([[ 6,  7],
           [10, 11]], dtype=uint8)
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        head = file.read(1078)  # as far as the longest header and its palette go
    if head[:4] in _TIFF:
        return _open_tiff(path)
    if head[:2] == b"BM":
        picture = _open_bmp(path, head)
        if picture is not None:
            return picture
    whole = read_image(path)
    whole = whole[..., None] if whole.ndim == 2 else whole
    shape = (whole.shape[0], whole.shape[1], whole.shape[2])
    return Picture(
        path, shape, whole.dtype, lambda top, bottom, left, right: whole[top:bottom, left:right].copy()
    )


def _open_tiff(path: str) -> Picture:
    from maskmill.io.tiff import open_tiff

    volume = open_tiff(path, Options())
    depth, rows, columns = volume.shape
    if depth != 1:
        volume.close()
        raise FormatError(f"{path}: expected an image, found a stack of {depth}")

    def read(top: int, bottom: int, left: int, right: int) -> NDArray[Any]:
        plane: NDArray[Any] = volume.read_channels((0, 1, top, bottom, left, right))[0]
        return plane

    return Picture(path, (rows, columns, volume.channels), volume.dtype, read, volume.close)


# BMP: https://learn.microsoft.com/windows/win32/gdi/bitmap-storage

_PLAIN, _FIELDS, _FIELDS_ALPHA = 0, 3, 6
_BYTES = {0xFF << 8 * place: place for place in range(4)}


def _open_bmp(path: str, head: bytes) -> Picture | None:
    """None if its pixels do not lie in the file as bytes: compressed, or of few bits."""
    try:
        start, size = struct.unpack_from("<I", head, 10)[0], struct.unpack_from("<I", head, 14)[0]
        if size == 12:
            columns, rows, _, bits = struct.unpack_from("<HHHH", head, 18)
            compression, count = _PLAIN, 0
        else:
            columns, rows, _, bits, compression, _, _, _, count = struct.unpack_from("<iiHHIIiiI", head, 18)
    except struct.error:
        raise FormatError(
            f"{path}: expected the header of a BMP, found {len(head)} bytes: cut short"
        ) from None
    flipped, rows = rows > 0, abs(rows)
    if columns < 1 or rows < 1:
        raise FormatError(f"{path}: expected a BMP of 1 pixel or more, found {columns} x {rows}")
    places = _places(head, size, bits, compression)
    if places is None:
        return None
    stride = (columns * bits + 31) // 32 * 4
    there = os.path.getsize(path)
    if start + stride * rows > there:
        raise FormatError(f"{path}: expected {start + stride * rows} bytes, found {there}: it is cut short")
    lines = RawVoxels(path, np.uint8, start, (rows, stride))
    palette = _palette(path, head, size, count, start) if bits == 8 else None
    each = bits // 8

    def read(top: int, bottom: int, left: int, right: int) -> NDArray[Any]:
        first = rows - bottom if flipped else top
        block = lines[first : first + bottom - top, left * each : right * each]
        block = block[::-1] if flipped else block
        pixels = block.reshape(bottom - top, right - left, each)
        colours = pixels[..., places] if palette is None else palette[pixels[..., 0]]
        return np.ascontiguousarray(colours)

    channels = len(places) if palette is None else palette.shape[1]
    return Picture(path, (rows, columns, channels), np.uint8, read)


def _places(head: bytes, size: int, bits: int, compression: int) -> list[int] | None:
    """Which bytes of a pixel are red, green, blue and, if it is told, alpha; of a palette, the one."""
    if bits in (8, 24) and compression == _PLAIN:
        return [0] if bits == 8 else [2, 1, 0]
    if bits != 32 or compression not in (_PLAIN, _FIELDS, _FIELDS_ALPHA):
        return None
    if compression == _PLAIN:
        return [2, 1, 0]  # what the fourth byte is, is not told
    count = 4 if size >= 56 or compression == _FIELDS_ALPHA else 3
    if len(head) < 54 + 4 * count:
        return None
    masks = struct.unpack_from(f"<{count}I", head, 54)
    masks = masks[:3] if masks[-1] == 0 else masks
    return [_BYTES[mask] for mask in masks] if set(masks) <= set(_BYTES) else None


def _palette(path: str, head: bytes, size: int, count: int, start: int) -> NDArray[np.uint8]:
    """(256, 1) if all its colours are gray, or (256, 3)."""
    each = 3 if size == 12 else 4
    count = min(count or 256, 256)
    entries = np.frombuffer(head[14 + size : min(14 + size + each * count, start)], np.uint8)
    table = np.zeros((256, 3), np.uint8)
    entries = entries[: len(entries) // each * each].reshape(-1, each)
    table[: len(entries)] = entries[:, 2::-1]
    if not len(entries):
        raise FormatError(f"{path}: expected a palette of {count} colours, found none")
    return table[:, :1] if (table == table[:, :1]).all() else table
