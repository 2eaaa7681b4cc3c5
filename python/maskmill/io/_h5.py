"""HDF5 files that nobody has looked at: no links to other files, no sizes without content, faults as `FormatError`."""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from maskmill._files import FormatError, need

MAX_MEMBERS = 100_000
MAX_RATIO = 1100
"""Bytes declared per byte of the file: deflate packs up to 1,032 times, and a block without content takes no bytes."""

MAX_SEARCHED = 1 << 28
"""Volumes larger than this are not searched for damage: that would take as long as reading them."""

FREE_BYTES = 1 << 28
"""Up to so many bytes the ratio does not matter."""

_CHUNK = 1 << 30


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An HDF5 file to read. Whatever h5py raises while it is open means that the file is damaged."""
    h5py = need("h5py", "ilastik")
    check_heaps(path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (FormatError, FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:  # of any class: h5py translates the library's by their texts
        raise FormatError(
            f"{path}: expected an HDF5 file, found a damaged or another one ({error})"
        ) from None


def check_heaps(path: Path) -> None:
    """Refuse damaged heaps of text of variable length: HDF5 (2.0 at least) walks through some of them for ever."""
    about = path.stat()
    _check_heaps(path, about.st_size, about.st_mtime_ns)


@lru_cache(16)
def _check_heaps(path: Path, size: int, changed: int) -> None:
    """A heap is "GCOL", version 1, three zeros, its size; then objects of an index, a count of references, four zeros,
    their size, and that many bytes in eights. Index 0, the last one, is what is free, its own head included.
    Source: HDF5 File Format Specification 3.0, III.E.
    """
    if not size:
        return
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        begin = content.find(b"GCOL\x01")
        while begin >= 0:
            whole = content[begin : begin + 16]
            end = begin + int.from_bytes(whole[8:], "little")
            at, index = begin + 16, 1
            while index and at + 16 <= end <= size:
                index, length = struct.unpack_from("<H6xQ", content, at)
                at += 16 + -(-length // 8) * 8 if index else length
            if not at <= end <= size or (not index and at != end):
                raise FormatError(f"{path}: expected an HDF5 file, found a damaged heap at byte {begin:,}")
            begin = content.find(b"GCOL\x01", begin + 1)


def members(path: Path, group: Any) -> Iterator[tuple[str, Any]]:
    """(name, member) of all groups and arrays below a group, each once; links to other places are left alone."""
    h5py = need("h5py", "ilastik")
    seen = {h5py.h5o.get_info(group.id).addr}
    waiting = [("", group)]
    while waiting:
        prefix, parent = waiting.pop()
        for key in sorted(parent):
            if not isinstance(parent.get(key, getlink=True), h5py.HardLink):
                continue
            member = parent[key]
            address = h5py.h5o.get_info(member.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > MAX_MEMBERS:
                raise FormatError(f"{path}: expected up to {MAX_MEMBERS:,} arrays and groups, found more")
            yield prefix + key, member
            if isinstance(member, h5py.Group):
                waiting.append((f"{prefix}{key}/", member))


def child(group: Any, name: str, kind: str) -> Any:
    """A direct child of a kind, "Group" or "Dataset", None if there is none; not through links."""
    h5py = need("h5py", "ilastik")
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    found = group[name]
    return found if isinstance(found, getattr(h5py, kind)) else None


class Budget:
    """What the arrays of a file may declare together: as much as it can hold, and no more than `most` bytes."""

    def __init__(self, path: Path, most: float = math.inf) -> None:
        self._path = path
        self._left = min(most, max(FREE_BYTES, MAX_RATIO * path.stat().st_size))

    def check(self, array: Any, kinds: str) -> None:
        """Refuse an array that is elsewhere, of other kinds of numbers, or larger than the file can hold."""
        where = f"{self._path}: {array.name}"
        if array.shape is None or array.dtype.kind not in kinds:
            raise FormatError(f"{where}: expected an array of numbers, found {array.dtype} of {array.shape}")
        if array.is_virtual or array.external:
            raise FormatError(f"{where}: expected an array in this file, found one in another file")
        size = math.prod(array.shape) * array.dtype.itemsize
        self._left -= size
        if self._left < 0:
            raise FormatError(
                f"{where}: expected no more than a file of {self._path.stat().st_size:,} bytes can hold, found "
                f"{array.dtype} of {array.shape}"
            )
        if math.prod(array.chunks or (1,)) * array.dtype.itemsize > _CHUNK:
            raise FormatError(f"{where}: expected chunks below 1 GiB, found {array.chunks} of {array.dtype}")


def attribute(member: Any, name: str) -> Any:
    """An attribute, if it is text or a few numbers, else None."""
    if name not in member.attrs:
        return None
    about = member.attrs.get_id(name)
    few = math.prod(about.shape) <= 100
    return member.attrs[name] if few and (is_text(about.dtype) or about.dtype.kind in "biuf") else None


def is_text(dtype: Any) -> bool:
    """Whether it is text of fixed or variable length; a damaged file may say that it is something else of that size."""
    return need("h5py", "ilastik").check_string_dtype(dtype) is not None


def text_of(value: Any) -> str:
    """Text that may be bytes, as Python 2 wrote it, or an array of one; "" of anything else."""
    if hasattr(value, "item") and getattr(value, "size", 0) == 1:
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
