"""Raw voxels of a file, read box by box.

By plain reads, not by a memory map: a map of a large file takes as much address space as the file (which `ulimit -v`
counts), its pages count as memory of the process, and a file that is cut short while it is mapped kills the process.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from maskmill._files import FormatError

_MOST = 8 << 20  # bytes of one read
_SHORT = 64 << 10  # reads below are dearer than what lies between them


class RawVoxels:
    """An array in a file, which takes integers and slices without steps, and gives NumPy arrays.

    Whoever makes one has checked the size of the file. Boxes may be read from several threads.
    """

    def __init__(self, file: str | IO[bytes], dtype: DTypeLike, offset: int, shape: Sequence[int]) -> None:
        if isinstance(file, str):
            self._name, self._handle = file, os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        else:
            self._name, self._handle = str(file.name), os.dup(file.fileno())
        self._lock = threading.Lock()
        self._offset = int(offset)
        self.dtype = np.dtype(dtype)
        self.shape = tuple(map(int, shape))
        self.ndim = len(self.shape)

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            os.close(self._handle)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        ranges, shape = self._ranges(index)
        out = np.empty(shape, self.dtype)
        self._read(ranges, out)
        return out

    def read_into(self, index: Any, out: NDArray[Any]) -> None:
        """Fill a C-contiguous array of this dtype with self[index], without a copy on the way where that can be."""
        self._read(self._ranges(index)[0], out)

    def _ranges(self, index: Any) -> tuple[list[range], list[int]]:
        """Of every axis the range, and the shape of what comes out."""
        index = index if isinstance(index, tuple) else (index,)
        index += (slice(None),) * (self.ndim - len(index))
        ranges = [
            range(*i.indices(n)) if isinstance(i, slice) else range(i, i + 1)
            for i, n in zip(index, self.shape, strict=True)
        ]
        return ranges, [len(r) for r, i in zip(ranges, index, strict=True) if isinstance(i, slice)]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[()] if dtype is None else self[()].astype(dtype)

    def _read(self, ranges: Sequence[range], out: NDArray[Any]) -> None:
        if out.size == 0:
            return
        out = out.reshape([len(r) for r in ranges])
        axis = self._axis_of_reads(ranges)
        inside = self.shape[axis + 1 :]
        whole = out.shape[axis + 1 :] == inside
        step = max(1, _MOST // (math.prod(inside) * self.dtype.itemsize))
        window = tuple(slice(r.start, r.stop) for r in ranges[axis + 1 :])
        scratch = None if whole else np.empty((min(step, len(ranges[axis])), *inside), self.dtype)
        for outer in itertools.product(*(enumerate(r) for r in ranges[:axis])):
            target = out[tuple(i for i, _ in outer)]
            for at in range(0, len(ranges[axis]), step):
                part = target[at : at + step]
                first = (*(i for _, i in outer), ranges[axis].start + at)
                if scratch is None:
                    self._fill(part, first)
                else:
                    self._fill(scratch[: len(part)], first)
                    part[...] = scratch[: len(part)][(slice(None), *window)]

    def _axis_of_reads(self, ranges: Sequence[range]) -> int:
        """The axis along which one read goes, over all of the axes inside it: as far out as it costs little."""

        def bytes_at(axis: int) -> int:
            return len(ranges[axis]) * math.prod(self.shape[axis + 1 :]) * self.dtype.itemsize

        axis = self.ndim - 1
        while axis > 0 and bytes_at(axis - 1) <= _MOST:
            if len(ranges[axis]) < self.shape[axis] and bytes_at(axis) >= _SHORT:
                break
            axis -= 1
        return axis

    def _fill(self, part: NDArray[Any], first: Sequence[int]) -> None:
        """Read what follows the element `first`, whose indices end with the axis that `part` begins with."""
        place = 0
        for index, size in itertools.zip_longest(first, self.shape, fillvalue=0):
            place = place * size + index
        at = self._offset + place * self.dtype.itemsize
        view = memoryview(part.reshape(-1).view(np.uint8).data)
        while view:
            n = self._read_at(view, at)
            if n == 0:
                raise FormatError(
                    f"{self._name}: expected voxels at byte {at}, found the end: it was cut short"
                )
            view, at = view[n:], at + n

    def _read_at(self, view: memoryview, at: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._handle, [view], at)
        with self._lock:
            os.lseek(self._handle, at, os.SEEK_SET)
            part = os.read(self._handle, min(len(view), _MOST))
        view[: len(part)] = part
        return len(part)
