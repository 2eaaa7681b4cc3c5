"""ilastik's exports: one array of an HDF5 file, with the names of its axes."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.io import _h5
from maskmill.io._parse import MAX_SIDE

MAX_PLANE = 1 << 31
"""Bytes of one plane, with all its channels."""

MAX_PLANES = 100_000
MAX_CLASSES = 65_535

_WANTED = "exported_data"


@dataclass(frozen=True)
class Plane:
    """Where a 2-D image is in an array of more dimensions.

    >>> Plane("exported_data", "zyxc", (("z", 5),)).field
    'exported_data[zyxc,z=5]'
    >>> Plane.parse("exported_data[zyxc,z=5]").at
    (('z', 5),)
    """

    name: str
    axes: str
    at: tuple[tuple[str, int], ...] = ()

    @property
    def field(self) -> str:
        return f"{self.name}[{','.join([self.axes, *(f'{axis}={i}' for axis, i in self.at)])}]"

    @property
    def suffix(self) -> str:
        """For names of files: "_t0000_z0005"."""
        return "".join(f"_{axis}{i:04}" for axis, i in self.at)

    @classmethod
    def parse(cls, field: str) -> Plane:
        name, _, rest = field.removesuffix("]").rpartition("[")
        axes, *at = rest.split(",")
        return cls(name, axes, tuple((item[0], int(item[2:])) for item in at))


@dataclass(frozen=True)
class Export:
    """An array of classes, or of the probabilities of classes, with names for its axes."""

    path: Path
    name: str
    axes: str
    guessed: bool
    """There were no axistags."""
    shape: tuple[int, ...]
    probabilities: bool

    @property
    def size(self) -> tuple[int, int]:
        return self.shape[self.axes.index("y")], self.shape[self.axes.index("x")]

    @property
    def channels(self) -> int:
        return self.shape[self.axes.index("c")] if "c" in self.axes else 1

    def planes(self) -> list[Plane]:
        """All 2-D images of it, in order of time and depth."""
        stack = [(axis, n) for axis, n in zip(self.axes, self.shape, strict=True) if axis in "tz" and n > 1]
        if math.prod(n for _, n in stack) > MAX_PLANES:
            raise FormatError(
                f"{self.path}: {self.name}: expected up to {MAX_PLANES:,} planes, found {self.shape}"
            )
        names = [axis for axis, _ in stack]
        return [
            Plane(self.name, self.axes, tuple(zip(names, at, strict=True)))
            for at in product(*(range(n) for _, n in stack))
        ]


def open_export(path: Path, dataset: str | None = None, axes: str | None = None) -> Export:
    """What the file holds, nothing of it read yet.

    Raises
    ------
    ValueError
        If there are several arrays and `dataset` does not name one of them, or `axes` do not fit.
    FormatError
    """
    with _h5.opened(path) as file:
        found = {name: member for name, member in _h5.members(path, file) if 2 <= len(_shape(member)) <= 5}
        name = _chosen(found, dataset)
        if name is not None:
            return _export(path, name, found[name], axes)
        known = sorted(found)
    if not known:
        raise FormatError(f"{path}: expected an array of 2 to 5 dimensions, found none")
    listed = ", ".join(known[:20])
    if dataset is not None:
        raise ValueError(f"{path}: dataset must be one of {listed}, not {dataset!r}")
    raise ValueError(f"{path}: there are several arrays, dataset must be one of {listed}")


def _shape(member: Any) -> tuple[int, ...]:
    return getattr(member, "shape", None) or ()


def _chosen(found: dict[str, Any], dataset: str | None) -> str | None:
    if dataset is not None:
        name = dataset.strip("/")
        return name if name in found else None
    if _WANTED in found:
        return _WANTED
    return next(iter(found)) if len(found) == 1 else None


def _export(path: Path, name: str, array: Any, axes: str | None) -> Export:
    where = f"{path}: {name}"
    _h5.Budget(path).check(array, "biuf")
    shape = tuple(map(int, array.shape))
    tags = _tags(_h5.attribute(array, "axistags"), where, len(shape))
    letters = axes or tags or _guess(shape, array.dtype)
    if sorted(letters) != sorted(set(letters)) or not set("yx") <= set(letters) <= set("tzyxc"):
        raise FormatError(
            f"{where}: expected axes y and x, and of t, z and c those that there are, found {letters!r}"
        )
    if len(letters) != len(shape):
        raise FormatError(
            f"{where}: expected {len(letters)} dimensions for the axes {letters}, found {shape}"
        )
    channels = shape[letters.index("c")] if "c" in letters else 1
    if 0 in shape or max(shape) > MAX_SIDE:
        raise FormatError(f"{where}: expected the sizes of an image, found {shape}")
    if array.dtype.kind == "f" and channels == 1:
        raise FormatError(
            f"{where}: expected whole numbers, or probabilities of several classes, found {array.dtype}"
        )
    h, w = shape[letters.index("y")], shape[letters.index("x")]
    if h * w * channels * array.dtype.itemsize > MAX_PLANE:
        raise FormatError(
            f"{where}: expected planes of up to {MAX_PLANE:,} bytes, found {array.dtype} of {shape}"
        )
    return Export(path, name, letters, not (axes or tags), shape, channels > 1)


def _tags(value: Any, where: str, ndim: int) -> str:
    """The letters of vigra's axistags, "" if there are none."""
    if value is None:
        return ""
    text = _h5.text_of(value)
    try:
        letters = "".join(str(axis["key"]) for axis in json.loads(text)["axes"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{where}: expected axistags in JSON, found {text[:60]!r} ({error})") from None
    if len(letters) != ndim:
        raise FormatError(f"{where}: expected axistags for {ndim} axes, found {letters[:60]!r}")
    return letters


def _guess(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """Channels last, where there is one or there are fractions; the others are t, z, y, x."""
    last = len(shape) > 2 and (shape[-1] == 1 or dtype.kind == "f" or len(shape) == 5)
    return "tzyx"[-(len(shape) - last) :] + "c" * last


# Pixels


def _plane(path: str, field: str) -> tuple[NDArray[Any], Any]:
    """(H, W, C) of a plane, and its `drange`."""
    plane, where = Plane.parse(field), Path(path)
    export = open_export(where, plane.name, plane.axes)
    at = dict(plane.at)
    if any(at[axis] >= export.shape[export.axes.index(axis)] for axis in at):
        raise FormatError(f"{path}: {plane.name}: expected a plane {field}, found {export.shape}")
    index = tuple(at.get(axis, 0) if axis in "tz" else slice(None) for axis in export.axes)
    with _h5.opened(where) as file:
        found = np.asarray(file[plane.name][index])
        scale = _h5.attribute(file[plane.name], "drange")
    letters = [axis for axis in export.axes if axis not in "tz"]
    if "c" not in letters:
        found, letters = found[..., None], [*letters, "c"]
    return found.transpose([letters.index(axis) for axis in "yxc"]), scale


def read_classes(path: str, field: str) -> NDArray[Any]:
    """`Reference` reader: (H, W) classes, of probabilities the most probable one; 0 is none."""
    found, _ = _plane(path, field)
    if found.shape[2] == 1:
        labels = found[..., 0]
        if labels.dtype.kind == "i" and int(labels.min()) < 0:
            raise FormatError(f"{path}: {field}: expected classes of 0 and more, found {labels.min()}")
        return np.ascontiguousarray(labels.astype(np.uint8) if labels.dtype == bool else labels)
    known = np.where(np.isnan(found), 0, found) if found.dtype.kind == "f" else found
    best: NDArray[Any] = (known.argmax(2) + 1).astype(np.min_scalar_type(found.shape[2]))
    best[known.max(2) <= 0] = 0
    return best


def read_probabilities(path: str, field: str) -> NDArray[np.float32]:
    """`Reference` reader: (H, W, C) float32; whole numbers are scaled by their `drange`."""
    found, scale = _plane(path, field)
    if found.dtype.kind == "f":
        return found.astype(np.float32)
    low, high = 0.0, float(np.iinfo(found.dtype).max) if found.dtype != bool else 1.0
    limits = np.asarray(scale if scale is not None else ())
    if limits.shape == (2,) and limits.dtype.kind in "iuf" and limits[1] > limits[0]:
        low, high = (float(limit) for limit in limits)
    return np.asarray((found.astype(np.float32) - low) / (high - low), np.float32)


def classes_of(export: Export) -> list[int]:
    """Those that occur, rising; of probabilities all. Reads all planes, one after the other."""
    if export.probabilities:
        return list(range(1, export.channels + 1))
    found: set[int] = set()
    for plane in export.planes():
        found.update(np.unique(read_classes(str(export.path), plane.field)).tolist())
        if max(found) > MAX_CLASSES:
            raise FormatError(
                f"{export.path}: {export.name}: expected classes up to {MAX_CLASSES:,}, found the value {max(found):,}"
            )
    return sorted(found - {0})


# Names of classes


def read_legend(path: Path, content: Any) -> dict[int, tuple[str, Any]]:
    """Names and colours by class of a legend: [{"id", "name", "color"}], ["name", ...] or {"1": "name"}."""
    if isinstance(content, dict):
        content = [{"id": key, "name": name} for key, name in content.items()]
    if not isinstance(content, list):
        raise FormatError(f"{path}: expected an array of classes, found {str(content)[:60]!r}")
    legend: dict[int, tuple[str, Any]] = {}
    for i, item in enumerate(content):
        entry: Any = {"id": i + 1, "name": item} if isinstance(item, str) else item
        number = str(entry.get("id")) if isinstance(entry, dict) else ""
        if not re.fullmatch(r"[0-9]{1,5}", number) or not isinstance(entry.get("name"), str):
            raise FormatError(
                f"{path}: item {i}: expected an id up to {MAX_CLASSES} and a name, found {str(item)[:60]!r}"
            )
        if int(number):  # 0 is no class, whatever it is called
            legend[int(number)] = (str(entry["name"]), entry.get("color"))
    return legend
