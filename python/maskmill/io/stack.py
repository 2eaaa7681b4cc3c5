"""A folder of images as one volume: each image a slice, in natural order of names ("9.png" before "10.png")."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.io._volume import Options, Volume
from maskmill.io.images import IMAGE_SUFFIXES, open_image
from maskmill.io.tiff import open_tiff


def natural_key(name: str) -> tuple[Any, ...]:
    """Sorts names by the numbers in them.

    >>> sorted(["s10.png", "s9.png", "S1.png"], key=natural_key)
    ['S1.png', 's9.png', 's10.png']
    """
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple((int(part), len(part)) if i % 2 else (part,) for i, part in enumerate(parts)), name


def slices(folder: str | Path) -> list[Path]:
    """The images of a folder, by their suffixes, in natural order."""
    found = [
        entry
        for entry in Path(folder).iterdir()
        if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    ]
    return sorted(found, key=lambda path: natural_key(path.name))


def open_stack(path: str, options: Options) -> Volume:
    paths = slices(path)
    if not paths:
        raise FormatError(
            f"{path}: expected a folder of images, found none with a suffix of {', '.join(IMAGE_SUFFIXES)}"
        )
    array = _Slices(paths, options)
    volume = Volume(
        path, "stack", array, "zyx", name=os.path.basename(os.path.abspath(path)), chunks=array.chunks
    )
    volume.channels = array.channels
    return volume


class _Slices:
    """Slices that are opened when they are read."""

    def __init__(self, paths: list[Path], options: Options) -> None:
        self._paths, self._options = paths, options
        with self._open(0) as first:
            self.shape = (len(paths), *first.shape[1:])
            self.dtype, self.chunks, self.channels = first.dtype, first.chunks, first.channels

    def _open(self, index: int) -> Volume:
        path = str(self._paths[index])
        opener = open_tiff if path.lower().endswith((".tif", ".tiff")) else open_image
        volume = opener(path, self._options)
        if volume.shape[0] != 1:
            volume.close()
            raise FormatError(
                f"{path}: expected one slice, found {volume.shape[0]}: open this file by itself"
            )
        return volume

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        depth, rows, columns = index
        numbers = range(depth.start, depth.stop)
        out = np.empty((len(numbers), rows.stop - rows.start, columns.stop - columns.start), self.dtype)
        for k, number in enumerate(numbers):
            with self._open(number) as part:
                if part.shape[1:] != self.shape[1:] or part.dtype != self.dtype:
                    raise FormatError(
                        f"{part.source}: expected {self.shape[1:]} of {self.dtype} as in {self._paths[0].name}, "
                        f"found {part.shape[1:]} of {part.dtype}"
                    )
                part.read((0, 1, rows.start, rows.stop, columns.start, columns.stop), out[k : k + 1])
        return out
