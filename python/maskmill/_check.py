"""Checks of arguments that the public functions share: what was found is always said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from maskmill._device import as_cupy, cupy, is_on_gpu, on_host

Runs: TypeAlias = tuple[NDArray[np.uint32], NDArray[np.int64]]
"""Masks as counts and offsets."""
Masks: TypeAlias = tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]
"""Masks as counts, offsets and sizes."""
Arrays: TypeAlias = tuple[ArrayLike, ArrayLike, ArrayLike]
"""What can be made such."""


UINT32, INT64 = np.dtype(np.uint32), np.dtype(np.int64)


def on_runs(kernel: Callable[..., Any], counts: ArrayLike, offsets: ArrayLike) -> Any:
    """kernel(counts, offsets). Arrays that a kernel can take as they are go there at once: for one small mask, any
    check costs more than the work. What a kernel refuses is checked here: it is converted, or its fault is told."""
    try:
        return kernel(counts, offsets)
    except (TypeError, ValueError):
        return kernel(*runs(counts, offsets))


def on_masks(
    kernel: Callable[..., Any], counts: ArrayLike, offsets: ArrayLike, sizes_: ArrayLike, *rest: Any
) -> Any:
    """kernel(counts, offsets, sizes, *rest), as `on_runs`."""
    try:
        return kernel(counts, offsets, sizes_, *rest)
    except (TypeError, ValueError):
        return kernel(*masks(counts, offsets, sizes_), *rest)


def on_pairs(kernel: Callable[..., Any], a: Arrays, b: Arrays, *rest: Any) -> Any:
    """kernel(*a, *b, *rest), as `on_runs`."""
    try:
        return kernel(*a, *b, *rest)
    except (TypeError, ValueError):
        return kernel(*masks(*a), *masks(*b), *rest)


def _fits(value: ArrayLike, dtype: DTypeLike) -> bool:
    """Whether kernels can take a value as it is."""
    return type(value) is np.ndarray and value.dtype is dtype and value.flags.c_contiguous


def integers(value: ArrayLike, dtype: DTypeLike, name: str) -> NDArray[Any]:
    """A C-contiguous array of `dtype` with the same integers, or TypeError / ValueError."""
    if _fits(value, dtype):
        return value  # type: ignore[return-value]
    if is_on_gpu(value):
        there: NDArray[Any] = _integers_on_gpu(value, dtype, name)
        return there
    array = np.asarray(value)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.int64)
    if array.dtype.kind not in "bui":
        raise TypeError(f"{name} must be integers, not {array.dtype}")
    out = np.ascontiguousarray(array, dtype=dtype)
    if out.dtype != array.dtype and not np.array_equal(out, array):
        raise ValueError(f"{name} must fit {np.dtype(dtype)}")
    return out


def _integers_on_gpu(value: Any, dtype: DTypeLike, name: str) -> Any:
    """As `integers`, where they are. A wider type is not narrowed: whether its numbers fit would be known late."""
    array = as_cupy(value)
    if array.dtype.kind not in "bui":
        raise TypeError(f"{name} must be integers, not {array.dtype}")
    if not np.can_cast(array.dtype, dtype):
        raise TypeError(f"{name} must be {np.dtype(dtype)} on a GPU, not {array.dtype}")
    return cupy().ascontiguousarray(array, dtype=dtype)


def floats(value: ArrayLike, columns: int, name: str) -> NDArray[np.float64]:
    """A C-contiguous (N, columns) float64 array; an empty list counts as N = 0."""
    array = on_host(value, name)
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} must be numbers, not {array.dtype}")
    out = np.ascontiguousarray(array, dtype=np.float64)
    if out.size == 0:
        out = out.reshape(0, columns)
    if out.ndim != 2 or out.shape[1] != columns:
        raise ValueError(f"{name} must have shape (N, {columns}), not {out.shape}")
    return out


def sizes(value: ArrayLike, n: int) -> NDArray[np.int64]:
    """(N, 2) image sizes from one (height, width) for all or one for each."""
    out: NDArray[np.int64] = integers(on_host(value, "sizes"), INT64, "sizes")
    if out.shape == (2,):
        out = np.ascontiguousarray(np.broadcast_to(out, (n, 2)))
    if out.size == 0:
        out = out.reshape(0, 2)
    if out.shape != (n, 2):
        raise ValueError(f"sizes must be one (height, width) or have shape ({n}, 2), not {out.shape}")
    return out


def same_size(shape: tuple[int, ...], n: int) -> NDArray[np.int64]:
    """(N, 2) image sizes: the shape of all."""
    out = np.array([shape], INT64)
    return out if n == 1 else out.repeat(n, axis=0)


limits = lru_cache(maxsize=None)(np.iinfo)


def extremes(numbers: NDArray[np.int64]) -> tuple[int, int]:
    """Least and greatest of one or more. For a few, Python is quicker than NumPy's reductions."""
    few = numbers.tolist() if numbers.size <= 64 else (numbers.min(), numbers.max())
    return int(min(few)), int(max(few))


def choice(value: str, name: str, numbers: Mapping[str, int]) -> int:
    """The number that stands for a word."""
    if value not in numbers:
        known = ", ".join(repr(key) for key in numbers)
        raise ValueError(f"{name} must be one of {known}, not {value!r}")
    return numbers[value]


def runs(counts: ArrayLike, offsets: ArrayLike) -> Runs:
    if _fits(counts, UINT32) and _fits(offsets, INT64):
        return counts, offsets  # type: ignore[return-value]
    return integers(counts, UINT32, "counts"), integers(offsets, INT64, "offsets")


def masks(counts: ArrayLike, offsets: ArrayLike, sizes_: ArrayLike) -> Masks:
    checked = runs(counts, offsets)
    if _fits(sizes_, INT64) and sizes_.shape == (len(checked[1]) - 1, 2):  # type: ignore[union-attr]
        return *checked, sizes_  # type: ignore[return-value]
    return *checked, sizes(sizes_, max(len(checked[1]) - 1, 0))
