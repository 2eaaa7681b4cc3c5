"""ilastik's projects (`.ilp`): the labels that were drawn, in blocks, with the names and colours of their classes.

::

    Input Data/infos/lane0000/Raw Data      filePath, nickname, axisorder, shape: of one image
    PixelClassification/LabelNames          LabelColors
    PixelClassification/LabelSets/labels000/block0000     attribute blockSlice "[883:1012,877:989,0:1]"

Classifiers and bookmarks are pickles, and are never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.io import _h5
from maskmill.io._ilastik_export import MAX_CLASSES, MAX_PLANE, MAX_PLANES
from maskmill.io._parse import MAX_SIDE

TEXT = "SO"
_SETS = "PixelClassification/LabelSets"


@dataclass(frozen=True)
class Block:
    """Labels of a box of an image."""

    name: str
    start: tuple[int, ...]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Lane:
    """An image of a project, and what was drawn on it.

    Attributes
    ----------
    number : int
    nickname, picture : str
        As the project says; the picture relative to it, without a path within an HDF5 file. "" where it does not.
    axes : str
        Of the blocks, channels included.
    shape : tuple of int
        By `axes`, 0 where the project does not say.
    labels : str
        The group of the blocks, "" if there is none.
    blocks : tuple of Block
    """

    number: int
    nickname: str
    picture: str
    axes: str
    shape: tuple[int, ...]
    labels: str
    blocks: tuple[Block, ...]

    def extent(self) -> dict[str, int]:
        """By axis: as the project says, else as far as its blocks reach."""
        ends = [[a + n for a, n in zip(b.start, b.labels.shape, strict=True)] for b in self.blocks]
        reached = np.max(ends, 0).tolist() if ends else [0] * len(self.axes)
        sizes = [known or found for known, found in zip(self.shape, reached, strict=True)]
        return dict(zip(self.axes, sizes, strict=True))

    def planes(self) -> list[tuple[tuple[str, int], ...]]:
        """Where in time and depth there are labels; a 2-D image is one plane, also without."""
        stack = [(axis, k) for k, axis in enumerate(self.axes) if axis in "tz" and self.extent()[axis] > 1]
        if not stack:
            return [()]
        found: set[tuple[int, ...]] = set()
        for block in self.blocks:
            within = tuple(k for k, axis in enumerate(self.axes) if axis not in dict(stack))
            where = np.argwhere(block.labels.any(within)) + [block.start[k] for _, k in stack]
            found.update(map(tuple, where.tolist()))
            if len(found) > MAX_PLANES:
                raise FormatError(
                    f"{self.labels}: expected labels on up to {MAX_PLANES:,} planes, found more"
                )
        return [tuple((axis, i) for (axis, _), i in zip(stack, at, strict=True)) for at in sorted(found)]

    def points(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Coordinates (K, number of axes) of what was drawn, and the classes (K,)."""
        where = [np.argwhere(b.labels) + np.asarray(b.start) for b in self.blocks]
        values = [b.labels[b.labels > 0] for b in self.blocks]
        none = np.empty((0, len(self.axes)), np.int64)
        return np.concatenate([none, *where]), np.concatenate([np.empty(0, np.uint8), *values])

    def assemble(
        self, size: tuple[int, int], at: tuple[tuple[str, int], ...] = ()
    ) -> tuple[NDArray[np.uint8], int]:
        """(H, W) labels of a plane, and of how many pixels two blocks say different classes: the first one has it."""
        h, w = size
        if h * w > MAX_PLANE:
            raise FormatError(
                f"{self.labels}: expected an image of up to {MAX_PLANE:,} pixels, found {h} x {w}"
            )
        made, conflicts = np.zeros((h, w), np.uint8), 0
        where = dict(at)
        for block in self.blocks:
            start = dict(zip(self.axes, block.start, strict=True))
            index = [
                where.get(axis, 0) - start[axis] if axis in "tz" else 0 if axis == "c" else slice(None)
                for axis in self.axes
            ]
            if not all(
                isinstance(i, slice) or 0 <= i < n for i, n in zip(index, block.labels.shape, strict=True)
            ):
                continue
            part = block.labels[tuple(index)]
            if self.axes.index("x") < self.axes.index("y"):
                part = part.T
            y, x = start["y"], start["x"]
            if y + part.shape[0] > h or x + part.shape[1] > w:
                raise FormatError(
                    f"{self.labels}/{block.name}: expected a block within the image of {h} x {w} pixels, found "
                    f"rows to {y + part.shape[0]} and columns to {x + part.shape[1]}"
                )
            there = made[y : y + part.shape[0], x : x + part.shape[1]]
            conflicts += int(np.count_nonzero((there != 0) & (part != 0) & (there != part)))
            np.copyto(there, part, where=there == 0)
        return made, conflicts


@dataclass(frozen=True)
class Project:
    """What a project says of its labels."""

    version: str
    workflow: str
    names: tuple[str, ...]
    colors: tuple[tuple[int, ...], ...]
    lanes: tuple[Lane, ...]


def open_project(path: Path) -> Project:
    """Read the names, the images and the labels of a project.

    Raises
    ------
    FormatError
        If it is no project, or a block is not where it says.
    """
    with _h5.opened(path) as file:
        budget = _h5.Budget(path, MAX_PLANE)
        if "ilastikVersion" not in file and "workflowName" not in file and "Input Data" not in file:
            raise FormatError(f"{path}: expected a project of ilastik, found another HDF5 file")
        classes = _h5.child(file, "PixelClassification", "Group")
        sets = None if classes is None else _h5.child(classes, "LabelSets", "Group")
        infos = _group(file, "Input Data", "infos")
        lanes = dict(_numbered(infos, r"lane(\d{1,9})", "Group"))
        labels = dict(_numbered(sets, r"labels(\d{1,9})", "Group"))
        return Project(
            _text(file, "ilastikVersion"),
            _text(file, "workflowName"),
            tuple(_names(path, classes, budget)),
            tuple(_colors(classes, budget)),
            tuple(
                _lane(path, number, lanes.get(number), labels.get(number), budget)
                for number in sorted({*lanes, *labels})
            ),
        )


def _group(file: Any, *names: str) -> Any:
    for name in names:
        file = None if file is None else _h5.child(file, name, "Group")
    return file


def _numbered(group: Any, pattern: str, kind: str) -> Iterator[tuple[int, Any]]:
    """(number, member) by number: as text, lane1000 comes before lane999."""
    found = []
    for key in group if group is not None else ():
        parsed = re.fullmatch(pattern, key)
        member = _h5.child(group, key, kind) if parsed else None
        if parsed and member is not None:
            found.append((int(parsed[1]), key, member))
    yield from ((number, member) for number, _, member in sorted(found, key=lambda item: item[:2]))


def _text(group: Any, name: str) -> str:
    found = _h5.child(group, name, "Dataset")
    return (
        _h5.text_of(found[()]) if found is not None and found.shape == () and _h5.is_text(found.dtype) else ""
    )


def _list(group: Any, name: str, budget: _h5.Budget, kinds: str) -> Any:
    """An array of the settings, None if there is none: an empty one is marked, and holds anything."""
    found = None if group is None else _h5.child(group, name, "Dataset")
    if found is None or bool(_h5.attribute(found, "isEmpty")):
        return None
    budget.check(found, kinds)
    return np.asarray(found[()]) if kinds != TEXT or _h5.is_text(found.dtype) else None


def _names(path: Path, classes: Any, budget: _h5.Budget) -> list[str]:
    found = _list(classes, "LabelNames", budget, TEXT)
    names = [] if found is None else [_h5.text_of(name) for name in found.ravel().tolist()]
    if len(names) > MAX_CLASSES:
        raise FormatError(f"{path}: LabelNames: expected up to {MAX_CLASSES:,} names, found {len(names):,}")
    return names


def _colors(classes: Any, budget: _h5.Budget) -> list[tuple[int, ...]]:
    found = _list(classes, "LabelColors", budget, "iuf")
    if found is None or found.ndim != 2 or found.shape[1] not in (3, 4):
        return []
    return [tuple(int(v) for v in row) for row in np.clip(np.nan_to_num(found), 0, 255).tolist()]


def _lane(path: Path, number: int, lane: Any, labels: Any, budget: _h5.Budget) -> Lane:
    info = None
    if lane is not None:
        info = _h5.child(lane, "Raw Data", "Group")
        if info is None:  # some workflows call it otherwise
            roles = (_h5.child(lane, key, "Group") for key in sorted(lane))
            info = next((role for role in roles if role is not None), None)
    order = "" if info is None else _text(info, "axisorder")
    blocks, ndim = [], 0
    for block_number, array in _numbered(labels, r"block(\d{1,9})", "Dataset"):
        budget.check(array, "iu")
        start, labels_ = _block(path, array)
        ndim = ndim or len(start)
        if len(start) != ndim:
            raise FormatError(
                f"{path}: {array.name}: expected {ndim} axes as the other blocks, found {len(start)}"
            )
        blocks.append(Block(f"block{block_number:04}", start, labels_))
    axes = _axes(path, number, order, ndim)
    shape = _shape(info, order, axes, budget)
    where = f"{path}: {_SETS}/labels{number:03}" if labels is not None else ""
    nickname, picture = ("", "") if info is None else (_text(info, "nickname"), _text(info, "filePath"))
    picture = re.sub(r"(?i)(\.(h5|hdf5|ilp))/.*", r"\1", picture)
    return Lane(number, nickname, picture, axes, shape, where, tuple(blocks))


def _axes(path: Path, number: int, order: str, ndim: int) -> str:
    """Of the blocks: those of the image and the channel, or all five."""
    axes = order if "c" in order else order + "c"
    if ndim and ndim != len(axes):
        known = {3: "yxc", 4: "zyxc", 5: "tzyxc"}
        axes = known.get(ndim, "")
    if not ndim and not order:
        axes = "yxc"
    if sorted(axes) != sorted(set(axes)) or not set("yxc") <= set(axes) <= set("tzyxc"):
        raise FormatError(f"{path}: lane {number}: expected axes y, x and c, found {order!r} and {ndim} axes")
    return axes


def _shape(info: Any, order: str, axes: str, budget: _h5.Budget) -> tuple[int, ...]:
    found = _list(info, "shape", budget, "iu")
    sizes = dict.fromkeys(axes, 0)
    if found is not None and found.ndim == 1 and len(found) == len(order):
        sizes |= {axis: int(n) for axis, n in zip(order, found, strict=True) if 0 < int(n) <= MAX_SIDE}
    return tuple(0 if axis == "c" else sizes[axis] for axis in axes)


def _block(path: Path, array: Any) -> tuple[tuple[int, ...], NDArray[np.uint8]]:
    """Where a block begins, and its labels."""
    text = _h5.text_of(_h5.attribute(array, "blockSlice"))
    where = f"{path}: {array.name}"
    if not re.fullmatch(r"\[\d{1,9}:\d{1,9}(,\s*\d{1,9}:\d{1,9}){2,4}\]", text):
        raise FormatError(
            f"{where}: expected a blockSlice such as [883:1012,877:989,0:1], found {text[:60]!r}"
        )
    bounds = [tuple(map(int, part.split(":"))) for part in text[1:-1].split(",")]
    if array.shape != tuple(b - a for a, b in bounds):
        raise FormatError(f"{where}: expected the shape of its blockSlice {text}, found {array.shape}")
    if any(b > MAX_SIDE for _, b in bounds):
        raise FormatError(f"{where}: expected a block within an image, found {text}")
    labels = np.asarray(array[()])
    if labels.size and (int(labels.min()) < 0 or int(labels.max()) > 255):
        raise FormatError(f"{where}: expected classes 0 to 255, found {labels.min()} to {labels.max()}")
    return tuple(a for a, _ in bounds), labels.astype(np.uint8)


def read_blocks(path: str, field: str) -> NDArray[Any]:
    """`Reference` reader: (H, W) classes drawn on a plane, "lane 3[zyxc,200x300,z=5]"."""
    parsed = re.fullmatch(r"lane (\d+)\[\w+,(\d+)x(\d+)((?:,[tz]=\d+)*)\]", field)
    if parsed is None:
        raise ValueError(f"field must be like 'lane 3[zyxc,200x300,z=5]', not {field!r}")
    number, h, w = (int(part) for part in parsed.groups()[:3])
    at = tuple((item[0], int(item[2:])) for item in parsed[4].split(",")[1:])
    for lane in open_project(Path(path)).lanes:
        if lane.number == number:
            return lane.assemble((h, w), at)[0]
    raise FormatError(f"{path}: expected lane {number}, found none")
