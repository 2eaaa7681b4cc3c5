"""Sizes of raw voxels, and compressed streams unpacked to disk, once and with a bound."""

from __future__ import annotations

import bz2
import gzip
import math
import os
import shutil
import tempfile
import zlib
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike

from maskmill._files import FormatError

_STEP = 1 << 20
_DEFLATE = 1032  # the most that deflate makes of one byte


def voxel_bytes(path: str, shape: Sequence[int], dtype: DTypeLike) -> int:
    """How many bytes an array has. Headers may say anything, so it is counted in Python's integers."""
    total = math.prod(map(int, shape)) * np.dtype(dtype).itemsize
    if any(size < 0 for size in shape) or total >= 1 << 60:
        raise FormatError(f"{path}: expected the sizes of a volume, found {tuple(map(int, shape))}")
    return total


def check_size(path: str, offset: int, expected: int, what: str, *, exact: bool = False) -> None:
    """FormatError unless the file has `expected` bytes from `offset` on, and hardly more if exact: a line's end."""
    found = max(os.path.getsize(path) - offset, 0)
    if found < expected:
        raise FormatError(
            f"{path}: expected {expected} bytes of voxels ({what}), found {found}: it is cut short"
        )
    if exact and found > expected + 2:
        raise FormatError(
            f"{path}: expected {expected} bytes of voxels ({what}), found {found}: more than there should be"
        )


def packing(path: str) -> str | None:
    """ "gz" or "bz2" if the file is compressed so, by its content."""
    with open(path, "rb") as file:
        head = file.read(3)
    return "gz" if head.startswith(b"\x1f\x8b") else "bz2" if head == b"BZh" else None


class Unpacking:
    """Bytes of a gzip or bzip2 stream, whose faults are FormatErrors. `raw` is where it begins, if not at the front."""

    def __init__(self, path: str, kind: str, raw: IO[bytes] | None = None) -> None:
        self.path, self.kind = path, kind
        self._raw = open(path, "rb") if raw is None else raw  # noqa: SIM115 - closed with this
        self._file: Any = gzip.GzipFile(fileobj=self._raw) if kind == "gz" else bz2.BZ2File(self._raw)

    def read(self, n: int) -> bytes:
        """n bytes; fewer at the end."""
        parts, left = [], n
        try:
            while left > 0 and (part := self._file.read(min(left, _STEP))):
                parts.append(part)
                left -= len(part)
        except (EOFError, OSError, zlib.error, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise FormatError(
                f"{self.path}: the {self.kind} stream is damaged or cut short ({error})"
            ) from None
        return b"".join(parts)

    def close(self) -> None:
        self._file.close()
        self._raw.close()

    def __enter__(self) -> Unpacking:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def spool(stream: Unpacking, expected: int, *, skip: int = 0, exact: bool = False) -> tuple[IO[bytes], int]:
    """Unpack `expected` bytes behind `skip` to a temporary file without a name; the file, and where in it they begin.

    With skip = -1 they are the last of the stream. The stream must have what its header promises: a longer one is not
    followed, or is an error if exact. The system removes the file when it is closed, and when the process is killed.
    TMPDIR says where it lies.
    """
    path, head = stream.path, 16 << 20
    packed = os.path.getsize(path)
    if stream.kind == "gz" and expected > packed * _DEFLATE:
        raise FormatError(
            f"{path}: expected {expected} bytes of voxels, which {packed} bytes of gzip cannot hold"
        )
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if expected > free:
        raise OSError(
            f"{path}: {expected} bytes are needed to unpack it, {tempfile.gettempdir()} has {free} free"
        )
    file = tempfile.TemporaryFile(prefix="maskmill-")  # noqa: SIM115 - whoever calls reads it
    try:
        for at in range(0, skip, _STEP):
            stream.read(min(_STEP, skip - at))
        bound = expected if skip >= 0 else expected + head
        total = _copy(stream, file, bound)
        if total < expected:
            raise FormatError(f"{path}: expected {expected} bytes of voxels, found {total}: it is cut short")
        if stream.read(1) and (exact or skip < 0):  # this also checks the sum at the end of the stream
            raise FormatError(f"{path}: expected {expected} bytes of voxels, found more")
        file.flush()
        return file, total - expected
    except BaseException:
        file.close()
        raise


def _copy(stream: Unpacking, file: IO[bytes], n: int) -> int:
    left = n
    while left and (part := stream.read(min(left, _STEP))):
        file.write(part)
        left -= len(part)
    return n - left
