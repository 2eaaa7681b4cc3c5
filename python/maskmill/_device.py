"""Arrays on a GPU: what they are, and how they come and go. CuPy is imported when there is one to handle."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_on_gpu(value: object) -> bool:
    """Whether a value is an array in a GPU's memory: CuPy's, torch's, Numba's, or anything of the two protocols."""
    if type(value) is np.ndarray:
        return False
    if hasattr(type(value), "__cuda_array_interface__"):
        # torch has the attribute on every tensor, and raises for those on the host.
        return hasattr(value, "__cuda_array_interface__")
    about = getattr(value, "__dlpack_device__", None)
    return about is not None and int(about()[0]) in (2, 13)  # kDLCUDA, kDLCUDAManaged


def cupy() -> Any:
    """The module, or ImportError with the command to install it."""
    from maskmill._files import need

    return need("cupy", "cuda")


def library(value: object) -> Any:
    """Whose functions make arrays beside this one: CuPy, or NumPy."""
    return cupy() if is_on_gpu(value) else np


def as_array(value: Any) -> Any:
    """CuPy's or NumPy's array, where the value is."""
    return as_cupy(value) if is_on_gpu(value) else np.asarray(value)


def as_cupy(value: Any) -> Any:
    """An array on the GPU as CuPy's, without a copy; work on it waits for the stream that it was made on."""
    cp = cupy()
    if isinstance(value, cp.ndarray):
        return value
    if hasattr(value, "__dlpack__"):
        return cp.from_dlpack(
            value
        )  # exchanges streams; __cuda_array_interface__ of torch does not tell its own
    return cp.asarray(value)


def to_host(value: Any) -> Any:
    """An array as NumPy's, wherever it was. Waits for the work on it."""
    return as_cupy(value).get() if is_on_gpu(value) else np.asarray(value)


def to_gpu(value: Any) -> Any:
    """A copy on the current device, unless it is there already."""
    return as_cupy(value) if is_on_gpu(value) else cupy().asarray(value)
