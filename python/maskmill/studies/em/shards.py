"""Many patches of one size in one TIFF file, a page each: uncompressed, one behind the other, readable by anything.

Layout: 8 bytes of header, 8 of zeros, the pixels of all pages, then their directories (TIFF 6.0, little-endian).
So page i of a shard begins at 16 + i * height * width, and a shard's size follows from its pages.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole

_START = 16
_ENTRY = np.dtype([("tag", "<u2"), ("type", "<u2"), ("count", "<u4"), ("value", "<u4")])
_SHORT, _LONG = 3, 4


def _fields(height: int, width: int) -> list[tuple[int, int, int]]:
    """Tag, type and value of what every page's directory says, in the order of the tags."""
    return [
        (256, _LONG, width),
        (257, _LONG, height),
        (258, _SHORT, 8),  # bits
        (259, _SHORT, 1),  # uncompressed
        (262, _SHORT, 1),  # black is 0
        (273, _LONG, 0),  # where the pixels are: differs between the pages
        (277, _SHORT, 1),  # samples per pixel
        (278, _LONG, height),  # rows in the one strip
        (279, _LONG, height * width),
    ]


_DIRECTORY = np.dtype([("entries", "<u2"), ("entry", _ENTRY, (9,)), ("next", "<u4")])


def shard_size(pages: int, height: int, width: int) -> int:
    """Bytes of a shard."""
    pixels = pages * height * width
    return _START + pixels + pixels % 2 + pages * _DIRECTORY.itemsize


def most_pages(height: int, width: int, most_bytes: int) -> int:
    """How many pages of this size a shard of at most so many bytes holds; at least one."""
    return max(1, (min(most_bytes, 2**32 - 2) - _START - 1) // (height * width + _DIRECTORY.itemsize))


def write_shard(path: Path, pages: int, height: int, width: int, blocks: Iterable[NDArray[np.uint8]]) -> None:
    """Write a shard, whole or not at all.

    Parameters
    ----------
    path, pages, height, width
        The file, and the number and size of its pages.
    blocks
        (n, height, width) uint8 arrays, `pages` pages in all.
    """
    if shard_size(pages, height, width) >= 2**32:
        raise ValueError(f"{path}: {pages} pages of {height} x {width} are too many for one TIFF file")
    pixels = pages * height * width
    start = _START + pixels + pixels % 2  # directories begin at even places
    directories = np.zeros(pages, _DIRECTORY)
    directories["entries"] = 9
    for place, (tag, kind, value) in enumerate(_fields(height, width)):
        entry = directories["entry"][:, place]
        entry["tag"], entry["type"], entry["count"], entry["value"] = tag, kind, 1, value
        if tag == 273:
            entry["value"] = _START + np.arange(pages) * (height * width)
    directories["next"][:-1] = start + np.arange(1, pages) * _DIRECTORY.itemsize
    with written_whole(path) as file:
        file.write(b"II*\0" + start.to_bytes(4, "little") + bytes(8))
        written = 0
        for block in blocks:
            written += len(block)
            file.write(np.ascontiguousarray(block).reshape(-1).data)
        if written != pages:
            raise ValueError(f"{path}: {written} pages were given of {pages}")
        file.write(bytes(pixels % 2))
        file.write(directories.tobytes())


def read_pages(
    path: Path, places: Iterable[int], pages: int, height: int, width: int
) -> Iterator[NDArray[np.uint8]]:
    """Pages of a shard.

    Raises
    ------
    FormatError
        If the file is not the shard of so many pages of this size.
    """
    size = os.path.getsize(path)
    if size != shard_size(pages, height, width):
        raise FormatError(
            f"{path}: must have {shard_size(pages, height, width)} bytes "
            f"for {pages} patches of {height} x {width}, not {size}"
        )
    with open(path, "rb", buffering=0) as file:
        for place in places:
            page = np.empty((height, width), np.uint8)
            file.seek(_START + place * height * width)
            if file.readinto(page.reshape(-1).data) != page.size:
                raise FormatError(f"{path}: ends within page {place}")
            yield page
