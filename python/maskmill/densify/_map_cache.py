"""Maps of images that were seen before: in memory, or in a folder."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, read_npz, write_npz, written_whole

Maps: TypeAlias = dict[str, NDArray[np.float32]]
"""Tap -> (C, h, w)."""


class MapCache:
    """Maps by the hash of an image.

    Parameters
    ----------
    place : int, str, Path or None
        How many images to keep in memory, or the folder to keep all in.
    network : str
        What tells networks apart that share a folder.
    """

    def __init__(self, place: int | str | Path | None, network: str, taps: Sequence[str]) -> None:
        self._most = place if isinstance(place, int) else 0
        if isinstance(place, bool) or self._most < 0:
            raise ValueError(f"cache must be a number of images, a folder or None, not {place!r}")
        self._folder = None if place is None or isinstance(place, int) else Path(place)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._network, self._taps = network, taps
        self._kept: OrderedDict[str, Maps] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def keeps(self) -> bool:
        return self._most > 0 or self._folder is not None

    def get(self, image: NDArray[Any], compute: Callable[[], Maps]) -> Maps:
        """The maps of an image, computed if they are not here."""
        if not self.keeps:
            return compute()
        key = image_digest(image)
        if self._folder is not None:
            return self._in_folder(self._folder / f"{self._network}-{key}.npz", compute)
        with self._lock:
            maps = self._kept.get(key)
        if maps is None:
            maps = _sealed(compute())
        with self._lock:
            self._kept[key] = maps
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return maps

    def _in_folder(self, path: Path, compute: Callable[[], Maps]) -> Maps:
        # Files name maps by number: tensors may have any characters in their names.
        numbers = [f"map{i}" for i in range(len(self._taps))]
        try:
            arrays = read_npz(path, numbers, mmap=False)
        except (FileNotFoundError, FormatError):  # not yet there, or damaged
            maps = compute()
            with written_whole(path) as file:
                write_npz(file, {f"map{i}": maps[tap] for i, tap in enumerate(self._taps)})
            return _sealed(maps)
        return _sealed(dict(zip(self._taps, arrays.values(), strict=True)))


def _sealed(maps: Maps) -> Maps:
    for values in maps.values():
        values.flags.writeable = False
    return maps


def image_digest(image: NDArray[Any]) -> str:
    """32 hex digits of an image's pixels, shape and type."""
    whole = hashlib.blake2b(f"{image.dtype.str} {image.shape}".encode(), digest_size=16)
    rows = max(1, (1 << 24) // max(1, image[0].nbytes))
    for start in range(0, len(image), rows):
        whole.update(np.ascontiguousarray(image[start : start + rows]).data)
    return whole.hexdigest()
