"""What every reader of volumes gives: an array somewhere, its axes by letter, and reads of boxes as (z, y, x)."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.io._raw import RawVoxels

Channel = int | Literal["luminance"]
Spacing = tuple[float, float, float]
Box = tuple[int, int, int, int, int, int]


@dataclass(frozen=True)
class Options:
    """What the user said about an input, beside where it is."""

    dataset: str | None = None
    level: int = 0
    channel: Channel = 0
    signed: bool | None = None


class Volume:
    """A volume of which boxes can be read: never more of it is in memory than what was asked for.

    `open_volume` makes them. Use as a context manager, or `close()` it. Boxes may be read from several threads.

    Attributes
    ----------
    source : str
        Path or URL.
    name : str
        Base name without its extension: "a" of "folder/a.ome.tif".
    format : str
    shape : (int, int, int)
        Depth, height, width. An image has depth 1.
    dtype : numpy.dtype
        Of what `read` gives, in native byte order.
    spacing : (float, float, float) or None
        Size of a voxel along z, y, x. None if not all three are known: zero, missing and dots per inch count as
        unknown.
    unit : str or None
        Of the spacing, as the file has it ("nanometer", "mm", "angstrom", ...).
    channels : int
        How many the source has; one is read.
    chunks : (int, int, int)
        Grain of cheap reads: boxes aligned to it decode nothing twice.
    is_raw : bool
        Whether voxels lie in a file as they are: to read them again costs little.
    """

    def __init__(
        self,
        source: str,
        format: str,
        array: Any,
        axes: str,
        *,
        name: str | None = None,
        spacing: Sequence[float | None] | None = None,
        unit: str | None = None,
        chunks: Sequence[int] | None = None,
        channel: Channel = 0,
        close: Callable[[], None] | None = None,
    ) -> None:
        """`axes` has a letter for each dimension of `array`: z, y, x, c, t, or another (of those the first is taken).
        `array` takes indices of integers and slices. `spacing` is of z, y, x; `chunks` of the array's dimensions."""
        self.source, self.format = source, format
        self.name = base_name(source) if name is None else name
        self._array, self._close = array, close
        self._axes = _with_depth(axes, array.shape, source)
        sizes = dict(zip(self._axes, map(int, array.shape), strict=False))
        self.shape = (sizes.get("z", 1), sizes["y"], sizes["x"])
        if 0 in sizes.values():
            raise FormatError(f"{source}: expected voxels, found shape {tuple(array.shape)}")
        self.channels = sizes.get("c", 1)
        self._stored = np.dtype(array.dtype)
        if self._stored.kind not in "buif" or self._stored.itemsize > 8:
            raise FormatError(f"{source}: expected pixels of integers or floats, found {self._stored}")
        self.dtype = np.dtype(np.uint8) if self._stored.kind == "b" else self._stored.newbyteorder("=")
        self.spacing = known_spacing(spacing)
        self.unit = unit if self.spacing else None
        grain = dict(zip(self._axes, chunks, strict=False)) if chunks else {}
        self.is_raw = isinstance(array, RawVoxels) and self._stored == self.dtype
        self.chunks = (
            tuple(max(1, min(int(grain.get(a, s)), s)) for a, s in zip("zyx", self.shape, strict=False))
            if chunks
            else (1, 1 if self.is_raw else self.shape[1], self.shape[2])
        )
        self._channel = _chosen_channel(channel, self.channels, source)

    def read(self, box: Sequence[int] | None = None, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The voxels of a box (z0, z1, y0, y1, x0, x1), or of the whole volume.

        Parameters
        ----------
        box : 6 integers
            Half-open, within the volume.
        out : array, optional
            (z1 - z0, y1 - y0, x1 - x0) of this volume's dtype to read into.

        Returns
        -------
        (z1 - z0, y1 - y0, x1 - x0) array of `dtype`, C-contiguous unless it is `out`.

        Raises
        ------
        ValueError
            If the box is not within the volume, or `out` is of another shape or type.
        FormatError
            If the data turn out to be damaged.
        """
        z0, z1, y0, y1, x0, x1 = checked_box(box, self.shape)
        shape = (z1 - z0, y1 - y0, x1 - x0)
        if out is not None and (out.shape != shape or out.dtype != self.dtype):
            raise ValueError(f"out must be {shape} of {self.dtype}, not {out.shape} of {out.dtype}")
        if 0 in shape:
            return np.empty(shape, self.dtype) if out is None else out
        luminance = self._channel == "luminance" and self.channels > 2
        channel = 0 if self._channel == "luminance" else self._channel
        channels = slice(0, 3) if luminance else slice(channel, channel + 1)
        index, kept = self._index((z0, z1, y0, y1, x0, x1), channels)
        if (
            out is not None
            and self.is_raw
            and kept in (["z", "y", "x"], ["y", "x"])
            and out.flags.c_contiguous
        ):
            self._array.read_into(index, out)
            return out
        block = self._block(index, kept)
        block = to_luminance(block) if luminance else block[..., 0]
        if out is None:
            return np.ascontiguousarray(block, self.dtype)
        out[...] = block
        return out

    def read_channels(self, box: Sequence[int] | None = None) -> NDArray[Any]:
        """The voxels of a box with all their channels: (z1 - z0, y1 - y0, x1 - x0, channels). See `read`."""
        index, kept = self._index(checked_box(box, self.shape), slice(0, self.channels))
        return np.ascontiguousarray(self._block(index, kept), self.dtype)

    def _index(self, box: Box, channels: slice) -> tuple[tuple[Any, ...], list[str]]:
        """What to ask the array for, and the axes of what it gives."""
        z0, z1, y0, y1, x0, x1 = box
        ranges = {"z": slice(z0, z1), "y": slice(y0, y1), "x": slice(x0, x1)}
        if "c" in self._axes:
            ranges["c"] = channels
        kept = [axis for axis in self._axes if axis in ranges]
        return tuple(ranges.get(axis, 0) for axis in self._axes), kept

    def _block(self, index: tuple[Any, ...], kept: list[str]) -> NDArray[Any]:
        """(z, y, x, c)"""
        block = np.asarray(self._array[index])
        for axis in "zc":
            if axis not in kept:
                block, kept = block[..., None], [*kept, axis]
        return block.transpose([kept.index(axis) for axis in "zyxc"])

    def slabs(self, size: int = 1 << 24) -> Iterator[NDArray[Any]]:
        """The whole volume as (n, H, W) blocks of whole slices, about `size` bytes each, aligned to its chunks."""
        depth, height, width = self.shape
        fits = max(1, size // max(1, height * width * self.dtype.itemsize))
        step = fits // self.chunks[0] * self.chunks[0] or fits
        for z in range(0, depth, step):
            yield self.read((z, min(z + step, depth), 0, height, 0, width))

    def close(self) -> None:
        if self._close is not None:
            self._close()
        self._array, self._close = None, None

    def __enter__(self) -> Volume:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        spacing = "unknown" if self.spacing is None else f"{self.spacing} {self.unit or ''}".strip()
        return f"Volume({self.source!r}, {self.format}, {self.shape}, {self.dtype}, spacing={spacing})"


def _with_depth(axes: str, shape: Sequence[int], source: str) -> str:
    """The axes in lower case, one of them the depth: where nothing is called z, time, or what else is long, is."""
    axes = axes.lower()
    if len(axes) != len(shape) or len(set(axes)) != len(axes) or not {"y", "x"} <= set(axes):
        raise FormatError(
            f"{source}: expected axes with one y and one x, found {axes!r} of shape {tuple(shape)}"
        )
    if "z" in axes:
        return axes
    others = [a for a, size in zip(axes, shape, strict=False) if a not in "yxc" and size > 1]
    return axes.replace("t" if "t" in others else others[0], "z") if others else axes


def _chosen_channel(channel: Channel, channels: int, source: str) -> Channel:
    if channel == "luminance":
        if channels > 4:
            raise ValueError(
                f"{source}: luminance is of RGB, and there are {channels} channels: choose one by its number"
            )
        return channel
    try:
        number = operator.index(channel)
    except TypeError:
        raise ValueError(f'channel must be a number or "luminance", not {channel!r}') from None
    if not 0 <= number < channels:
        raise ValueError(f"{source}: channel must be 0 to {channels - 1}, not {number}")
    return number


def known_spacing(spacing: Sequence[float | None] | None) -> Spacing | None:
    """(z, y, x) if all three are positive numbers, else None."""
    if spacing is None or len(spacing) != 3:
        return None
    sizes = [abs(float(size)) if size is not None else 0.0 for size in spacing]
    if not all(math.isfinite(size) and size > 0 for size in sizes):
        return None
    return sizes[0], sizes[1], sizes[2]


def checked_box(box: Sequence[int] | None, shape: tuple[int, int, int]) -> Box:
    if box is None:
        return 0, shape[0], 0, shape[1], 0, shape[2]
    ends = [operator.index(end) for end in box]
    if len(ends) != 6:
        raise ValueError(f"box must be z0, z1, y0, y1, x0, x1, not {ends}")
    if not all(0 <= lo <= hi <= size for lo, hi, size in zip(ends[::2], ends[1::2], shape, strict=False)):
        raise ValueError(f"box must lie within {shape}, not {ends}")
    return ends[0], ends[1], ends[2], ends[3], ends[4], ends[5]


def to_luminance(rgb: NDArray[Any]) -> NDArray[Any]:
    """(..., 3) RGB to (...) of the same type, by ITU-R BT.601; 8-bit pixels as Pillow's convert("L").

    >>> to_luminance(np.array([[255, 0, 0], [10, 20, 30]], np.uint8))
    array([76, 18], dtype=uint8)
    """
    if rgb.dtype.kind == "f":
        mixed: NDArray[Any] = rgb @ np.array([0.299, 0.587, 0.114], rgb.dtype)
        return mixed
    if rgb.dtype.itemsize > 4:
        raise ValueError(f"luminance must be of pixels of up to 32 bits, not {rgb.dtype}")
    # Pillow's weights: 0.299, 0.587 and 0.114 in 16 bits.
    wide = np.int32 if rgb.dtype.itemsize == 1 else np.int64
    total: NDArray[Any] = np.asarray(rgb, wide) @ np.array([19595, 38470, 7471], wide)
    return ((total + 0x8000) >> 16).astype(rgb.dtype)


_COMPRESSED = (".gz", ".bz2")
_COMPOUND = (
    ".ome.tiff",
    ".ome.tif",
    ".ome.zarr",
    ".ome.btf",
    ".ome.tf8",
    ".ome.tf2",
    ".zarr.zip",
    ".ome.zarr.zip",
)


def split_name(path: str | Path) -> tuple[str, str]:
    """The base name and its extension, compound ones whole.

    >>> split_name("data/brain.nii.gz"), split_name("v1.2_cell.ome.tif"), split_name("https://host/em.zarr/")
    (('brain', '.nii.gz'), ('v1.2_cell', '.ome.tif'), ('em', '.zarr'))
    """
    name = str(path).replace("\\", "/").rstrip("/").rpartition("/")[2]
    lower = name.lower()
    for compound in sorted(_COMPOUND, key=len, reverse=True):
        if lower.endswith(compound) and len(name) > len(compound):
            return name[: -len(compound)], name[-len(compound) :]
    packed = next((end for end in _COMPRESSED if lower.endswith(end)), "")
    stem, dot, suffix = name[: len(name) - len(packed)].rpartition(".")
    if not stem or not dot or not suffix.isalnum() or suffix.isdigit():
        return name[: len(name) - len(packed)], packed
    return stem, f".{suffix}{packed}"


def base_name(path: str | Path) -> str:
    return split_name(path)[0]
