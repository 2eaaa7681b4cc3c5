"""Run-length masks as arrays: dense <-> runs <-> strings, area and box.

N masks are `counts` (R,) uint32, `offsets` (N + 1,) int64 and `sizes` (N, 2) int64 as (height, width): mask i owns
``counts[offsets[i]:offsets[i + 1]]``, runs going down the columns, background first, as COCO defines them.
`maskmill.Masks` holds the three and has all of this as methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check
from maskmill._backend import kernels
from maskmill._device import as_cupy, as_output, is_on_gpu, library, to_host

__all__ = [
    "area",
    "bbox",
    "check",
    "decode",
    "encode",
    "from_labels",
    "from_strings",
    "normalize",
    "to_labels",
    "to_strings",
]


_ORDERS = {"NHW": 0, "HWN": 1}


def _images(array: ArrayLike, name: str) -> NDArray[Any]:
    out = as_cupy(array) if is_on_gpu(array) else np.asarray(array)
    if out.dtype.kind not in "bui":
        hint = "; compare first, as in array > 0.5 (of logits: array > 0)" if out.dtype.kind == "f" else ""
        raise TypeError(f"{name} must be bool or integer, not {out.dtype}{hint}")
    return out if out.dtype.isnative else out.astype(out.dtype.newbyteorder("="))


def encode(
    images: ArrayLike, *, order: str = "NHW", backend: str | None = None
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """Encode binary images; nonzero is foreground.

    Parameters
    ----------
    images : array_like, (N, H, W), or (H, W, N) with order="HWN", or (H, W)
        bool or any integer type, in C or Fortran order or strided: nothing is copied. On a GPU, so are counts and
        offsets.
    order : {"NHW", "HWN"}
        Which axis of a 3-D array counts masks.

    Returns
    -------
    counts, offsets, sizes : arrays as in the module's description

    Examples
    --------
    >>> from maskmill import rle
    >>> counts, offsets, sizes = rle.encode([[0, 1], [1, 1]])
    >>> counts.tolist(), sizes.tolist()
    ([1, 3], [[2, 2]])
    """
    array = _images(images, "images")
    if array.ndim not in (2, 3):
        hint = "; images[:, 0] takes the one channel" if array.ndim == 4 and array.shape[1] == 1 else ""
        raise ValueError(f"images must be 2-D or 3-D, not {array.ndim}-D{hint}")
    if _check.choice(order, "order", _ORDERS) and array.ndim == 3:
        array = array.transpose(2, 0, 1)
    counts, offsets = kernels(backend, array).rle_encode(array)
    return counts, offsets, _check.same_size(array.shape[-2:], len(offsets) - 1)


def decode(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    *,
    out: NDArray[Any] | None = None,
    value: int = 1,
    backend: str | None = None,
) -> NDArray[Any]:
    """Decode masks of one size into an (N, H, W) array, Fortran-ordered per mask unless `out` says otherwise.

    Parameters
    ----------
    out : (N, H, W) uint8, int8 or bool array, any strides, optional
        Written and returned. A buffer that is used again saves most of the time of big outputs.
    value : int
        Written to the foreground; 0 is written to the background.

    Raises
    ------
    ValueError
        If sizes differ, or runs do not sum to the pixels; names the mask.
    """
    counts, offsets, sizes = _check.masks(counts, offsets, sizes)
    n, out = len(sizes), as_output(out)
    if out is None:
        h, w = sizes[0].tolist() if n else (0, 0)
        if n > 1 and h * w and np.any(sizes != sizes[0]):
            other = int(np.flatnonzero(np.any(sizes != sizes[0], axis=1))[0])
            raise ValueError(
                f"masks must be of one size to be decoded together: mask 0 is {tuple(sizes[0].tolist())}, "
                f"mask {other} is {tuple(sizes[other].tolist())}"
            )
        out = library(counts).empty((n, w, h), np.uint8).transpose(0, 2, 1)
    elif out.ndim != 3:
        raise ValueError(f"out must have shape (N, H, W), not {out.shape}")
    if not 0 <= value <= 255:
        raise ValueError(f"value must be 0 to 255, not {value}")
    kernels(backend, counts, out).rle_decode(counts, offsets, sizes, out, value)
    return out


def from_labels(
    labels: ArrayLike, *, backend: str | None = None
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The masks of all values but 0 of one label image, in one pass.

    Parameters
    ----------
    labels : (H, W) array_like of integers, any strides. On a GPU, so are counts, offsets and values.

    Returns
    -------
    counts, offsets, sizes : arrays as in the module's description
    values : (N,) int64, rising; the label of each mask
    """
    array = _images(labels, "labels")
    if array.ndim != 2:
        raise ValueError(f"labels must be 2-D, not {array.ndim}-D")
    counts, offsets, values = kernels(backend, array).rle_from_labels(array)
    return counts, offsets, _check.same_size(array.shape, len(values)), values


def to_labels(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    values: ArrayLike,
    out: NDArray[Any],
    *,
    backend: str | None = None,
) -> NDArray[Any]:
    """Paint masks into a label image, later ones over earlier ones; pixels of no mask keep what they hold.

    Values on a GPU are read back, since whether they fit must be known first.
    """
    counts, offsets, sizes = _check.masks(counts, offsets, sizes)
    numbers = _check.integers(to_host(values), _check.INT64, "values")
    if numbers.shape != (len(sizes),):
        raise ValueError(f"values must have shape ({len(sizes)},), not {numbers.shape}")
    out = as_output(out)
    if out.ndim != 2 or out.dtype.kind not in "ui":
        raise ValueError(f"out must be a 2-D array of integers, not {out.ndim}-D of {out.dtype}")
    if out.dtype is not _check.INT64 and numbers.size:
        low, high = _check.extremes(numbers)
        limits = _check.limits(out.dtype)
        if low < limits.min or high > limits.max:
            raise ValueError(f"values must fit {out.dtype}, but reach from {low} to {high}")
    kernels(backend, counts, out).rle_to_labels(counts, offsets, sizes, numbers, out)
    return out


def to_strings(counts: ArrayLike, offsets: ArrayLike, *, backend: str | None = None) -> list[bytes]:
    """COCO's string code of each mask. Of masks on a GPU, only strings travel to the host, in one transfer."""
    chars, ends = _check.on_runs(kernels(backend, counts).rle_to_string, counts, offsets)
    data = chars.tobytes()
    bounds = ends.tolist()
    return [data[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]


def from_strings(
    strings: Sequence[bytes | str], *, backend: str | None = None
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Counts and offsets of masks in COCO's string code; on a GPU with backend="cuda".

    Raises
    ------
    ValueError
        On a character outside of the code, a string cut short, or a count outside 0 to 2**32 - 1; names the mask.
    """
    data = [s.encode("ascii", "replace") if isinstance(s, str) else bytes(s) for s in strings]
    offsets = np.array(list(accumulate(map(len, data), initial=0)), np.int64)
    counts, out = kernels(backend).rle_from_string(np.frombuffer(b"".join(data), np.uint8), offsets)
    return counts, out


def area(counts: ArrayLike, offsets: ArrayLike, *, backend: str | None = None) -> NDArray[np.uint64]:
    """Foreground pixels of each mask, (N,) uint64."""
    out: NDArray[np.uint64] = _check.on_runs(kernels(backend, counts).rle_area, counts, offsets)
    return out


def bbox(
    counts: ArrayLike, offsets: ArrayLike, sizes: ArrayLike, *, backend: str | None = None
) -> NDArray[np.float64]:
    """Boxes of the foreground as (N, 4) float64: x, y, width, height in pixels; zeros for empty masks."""
    out: NDArray[np.float64] = _check.on_masks(kernels(backend, counts).rle_bbox, counts, offsets, sizes)
    return out


def check(counts: ArrayLike, offsets: ArrayLike, sizes: ArrayLike, *, backend: str | None = None) -> None:
    """Raise ValueError, naming the mask, unless all masks are canonical: complete, and no zero run but the first."""
    _check.on_masks(kernels(backend, counts).rle_check, counts, offsets, sizes)


def normalize(
    counts: ArrayLike, offsets: ArrayLike, sizes: ArrayLike, *, backend: str | None = None
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The same masks without zero runs behind the first.

    Raises
    ------
    ValueError
        If the runs of a mask do not sum to its pixels.
    """
    runs: _check.Runs = _check.on_masks(kernels(backend, counts).rle_normalize, counts, offsets, sizes)
    return runs
