"""As much of CuPy as maskmill uses, in the memory of the host: `pretended` lets the emulated kernels run behind it.

Like CuPy's, its arrays are not made NumPy's unasked: code that would do so fails here as it would on a GPU.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from maskmill import _backend

__all__ = ["asarray", "ascontiguousarray", "empty", "from_dlpack", "ndarray", "pretended"]


transfers = 0
"""How often something was brought to the host."""

capturing = False
"""Whether a CUDA graph captures what is called."""

_stream = SimpleNamespace(ptr=0, is_capturing=lambda: capturing)
cuda = SimpleNamespace(get_current_stream=lambda: _stream, runtime=SimpleNamespace(getDevice=lambda: 0))


class ndarray:  # as CuPy calls it
    device = SimpleNamespace(id=0)

    def __init__(self, array: np.ndarray) -> None:
        self._array = array if _has_own_pages(array) else _on_own_pages(array)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self._array.__array_interface__, "version": 3, "stream": None}

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, **options: Any) -> ndarray:
        return self

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # by which NumPy would read the memory, and copies be made
            raise AttributeError(name)
        return _wrapped(getattr(self._array, name))

    def __getitem__(self, key: Any) -> Any:
        return _wrapped(self._array[_plain(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._array[_plain(key)] = _plain(value)

    def __len__(self) -> int:
        return len(self._array)

    def __bool__(self) -> bool:
        assert not capturing
        return bool(self._array)

    def get(self) -> np.ndarray:
        global transfers
        assert not capturing
        transfers += 1
        return self._array.copy()


def _operator(name: str) -> Any:
    def operate(self: ndarray, *others: Any) -> Any:
        return _wrapped(getattr(self._array, name)(*map(_plain, others)))

    return operate


_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
_ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "neg", "rsub", "radd", "rmul")
for _name in (*_COMPARISONS, *_ARITHMETIC, "and", "or", "xor", "invert"):
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return (list if isinstance(value, list) else tuple)(map(_plain, value))
    return value._array if isinstance(value, ndarray) else value


def _wrapped(value: Any) -> Any:
    if callable(value):
        return lambda *arguments, **options: _wrapped(value(*map(_plain, arguments), **options))
    return ndarray(value) if isinstance(value, np.ndarray | np.generic) else value


def _has_own_pages(array: Any) -> bool:
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, memoryview) and isinstance(array.obj, mmap.mmap)


def _on_own_pages(array: Any) -> np.ndarray:
    """A copy on pages that it shares with no other, as `set_strict` wants it; of the same layout, as CuPy keeps it."""
    array = np.asarray(array)
    order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    pages = mmap.mmap(-1, max(array.nbytes, 1))
    there = np.frombuffer(pages, np.uint8, array.nbytes).view(array.dtype)
    there = there.reshape([array.shape[axis] for axis in order]).transpose(np.argsort(order).astype(int))
    there[...] = array
    return there


def empty(shape: Any, dtype: Any = float) -> ndarray:
    return ndarray(np.empty(shape, dtype))


def asarray(value: Any, dtype: Any = None) -> ndarray:
    if not isinstance(value, ndarray) and hasattr(value, "__cuda_array_interface__"):
        value = SimpleNamespace(__array_interface__=value.__cuda_array_interface__, owner=value)
        view = ndarray.__new__(ndarray)
        view._array = np.asarray(value, dtype)
        return view
    array = _plain(value)
    if isinstance(value, ndarray) and dtype in (None, array.dtype):
        return value
    return ndarray(np.array(array, dtype))


def ascontiguousarray(value: Any, dtype: Any = None) -> ndarray:
    out = np.ascontiguousarray(_plain(value), dtype)
    return value if out is _plain(value) else ndarray(out)


def from_dlpack(value: Any) -> Any:
    return value.__dlpack__(stream=1)


def __getattr__(name: str) -> Any:
    return _wrapped(getattr(np, name))


@contextmanager
def pretended(*, strict: bool = False) -> Iterator[Any]:
    """Within the block, there is a GPU: `cupy` is this module, and the kernels are the emulated ones.

    Strictly: the last thread takes its turn first, so that what relies on an order that no GPU keeps goes wrong; and
    host and device cannot touch each other's memory.
    """
    emulated = pytest.importorskip(
        "maskmill._cuda_emulated", reason="built without MASKMILL_CUDA_EMULATED=ON"
    )
    this = sys.modules[__name__]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", this)
        patch.setitem(_backend._loaded, "cuda", _backend._OnGpu(emulated))
        emulated.set_library(__name__)
        emulated.set_strict(strict)
        try:
            yield this
        finally:
            emulated.set_library("numpy")
            emulated.set_strict(False)
