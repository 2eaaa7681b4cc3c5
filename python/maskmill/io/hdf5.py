"""HDF5 by h5py: CREMI, ilastik, BigDataViewer and plain files. Chunks are decoded when a box needs them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need
from maskmill.io._h5 import MAX_SEARCHED, check_heaps
from maskmill.io._volume import Options, Volume

_CHUNK = 1 << 31
_DEPTH = 12  # of groups within groups: links may go round in circles


def open_hdf5(path: str, options: Options) -> Volume:
    h5py = need("h5py", "em")
    if Path(path).is_file() and Path(path).stat().st_size <= MAX_SEARCHED:
        check_heaps(Path(path))
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if error.errno is not None and not str(error).startswith("Unable"):
            raise
        raise FormatError(f"{path}: expected an HDF5 file ({error})") from None
    try:
        dataset = _dataset(path, file, options, h5py)
        shape, dtype, chunks = tuple(map(int, dataset.shape)), dataset.dtype, dataset.chunks
        if math.prod(chunks or (1,)) * dtype.itemsize > _CHUNK:
            raise FormatError(f"{path}: expected chunks below 2 GiB, found {chunks} of {dtype}")
        axes = _axes(path, dataset)
        spacing, unit = _spacing(dataset, axes)
        return Volume(
            path,
            "hdf5",
            _Dataset(path, dataset),
            axes,
            spacing=spacing,
            unit=unit,
            chunks=chunks
            or [1 if axis not in "yx" else size for axis, size in zip(axes, shape, strict=True)],
            channel=options.channel,
            close=file.close,
        )
    except BaseException as error:
        file.close()
        ours = str(error).startswith(path)  # h5py's own do not name the file, and may be of any class
        if isinstance(error, Exception) and not ours and not isinstance(error, (MemoryError, ImportError)):
            raise FormatError(f"{path}: the file is damaged ({error})") from None
        raise


class _Dataset:
    """A data set whose faults are FormatErrors."""

    def __init__(self, path: str, dataset: Any) -> None:
        self._path, self._dataset = path, dataset
        self.shape, self.dtype = dataset.shape, dataset.dtype

    def __getitem__(self, index: Any) -> NDArray[Any]:
        try:
            return np.asarray(self._dataset[index])
        except (OSError, RuntimeError, ValueError) as error:
            raise FormatError(f"{self._path}: {self._dataset.name} cannot be read ({error})") from None


def _dataset(path: str, file: Any, options: Options, h5py: Any) -> Any:
    if options.dataset is not None:
        found = file.get(options.dataset)
        if not isinstance(found, h5py.Dataset):
            known = ", ".join(_names(file, h5py)) or "none"
            raise ValueError(f"{path}: dataset must be one of {known}, not {options.dataset!r}")
        return found
    names = _names(file, h5py)
    if not names:
        raise FormatError(f"{path}: expected an array of 2 or more dimensions, found none")
    if len(names) > 1:
        raise ValueError(f"{path}: there are several arrays, dataset must be one of {', '.join(names)}")
    return file[names[0]]


def _names(group: Any, h5py: Any, prefix: str = "", depth: int = 0) -> list[str]:
    """Paths of the arrays of 2 to 5 dimensions."""
    names: list[str] = []
    for key in sorted(group):
        member = group.get(key)
        if isinstance(member, h5py.Dataset) and 2 <= len(member.shape or ()) <= 5:
            names.append(prefix + key)
        elif isinstance(member, h5py.Group) and depth < _DEPTH:
            names += _names(member, h5py, f"{prefix}{key}/", depth + 1)
    return names


def _axes(path: str, dataset: Any) -> str:
    """ilastik's axistags, or: z, y, x, with up to 4 channels last, or any number first."""
    shape = tuple(dataset.shape or ())
    tags = dataset.attrs.get("axistags")
    if tags is not None:
        try:
            letters = "".join(str(tag["key"]) for tag in json.loads(tags)["axes"])
        except (ValueError, KeyError, TypeError):
            letters = ""
        if len(letters) == len(shape) and set(letters) <= set("tzyxc"):
            return letters
    known = {
        2: "yx",
        3: "zyx",
        4: "zyxc" if shape[-1] <= 4 else "czyx",
        5: "tzyxc" if shape[-1] <= 4 else "tczyx",
    }
    if len(shape) not in known:
        raise FormatError(f"{path}: expected {dataset.name} to have 2 to 5 dimensions, found shape {shape}")
    return known[len(shape)]


def _spacing(dataset: Any, axes: str) -> tuple[Sequence[float] | None, str | None]:
    """CREMI's `resolution` (nanometers) and Fiji's and ilastik's `element_size_um`: both of z, y, x."""
    for name, unit in (("resolution", "nanometer"), ("element_size_um", "micrometer")):
        value = dataset.attrs.get(name)
        sizes = np.asarray(value if value is not None else (), object).ravel().tolist()
        if len(sizes) == 3 and "z" in axes and all(isinstance(size, (int, float)) for size in sizes):
            return [float(size) for size in sizes], unit
    return None, None
