"""Arrays on a GPU: what they are, and how they come and go. CuPy is imported when there is one to handle."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_on_gpu(value: object) -> bool:
    """Whether a value is an array in a GPU's memory: CuPy's, torch's, Numba's, or anything of the two protocols."""
    if type(value) is np.ndarray:
        return False
    # Asked first: torch's other attribute raises for tensors on the host, with a gradient, or of bfloat16.
    about = getattr(value, "__dlpack_device__", None)
    if about is not None:
        return int(about()[0]) in (2, 13)  # kDLCUDA, kDLCUDAManaged
    return hasattr(type(value), "__cuda_array_interface__")


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
    """An array on the GPU as CuPy's, without a copy.

    CuPy's current stream waits for the one that the array was made on: DLPack exchanges them, and the stream that
    `__cuda_array_interface__` names is awaited by the host.
    """
    cp = cupy()
    if isinstance(value, cp.ndarray):
        return value
    if hasattr(value, "__dlpack__"):
        return cp.from_dlpack(value)  # first: the other protocol does not tell torch's stream
    return cp.asarray(value)


def as_output(value: Any) -> Any:
    """What a kernel writes to: on a GPU as CuPy's array of the same memory, else as it is."""
    return as_cupy(value) if is_on_gpu(value) else value


def to_host(value: Any) -> Any:
    """An array as NumPy's, wherever it was. Waits for the work on it."""
    if not is_on_gpu(value):
        return np.asarray(value)
    if cupy().cuda.get_current_stream().is_capturing():
        raise RuntimeError("this call brings an array to the host: a CUDA graph cannot capture it")
    return as_cupy(value).get()


def to_host_together(values: Sequence[Any]) -> list[NDArray[Any]]:
    """As `to_host`, all that are on a GPU in one transfer."""
    found = [as_array(value) for value in values]
    there = [i for i, array in enumerate(found) if is_on_gpu(array)]
    if there:
        cp = cupy()
        parts = [cp.ascontiguousarray(found[i]).reshape(-1).view(np.uint8) for i in there]
        octets = cp.concatenate(parts).get()
        ends = list(accumulate((part.size for part in parts), initial=0))
        for i, first, last in zip(there, ends, ends[1:], strict=False):
            # A copy: aligned, and the memory of the others is not kept.
            found[i] = octets[first:last].copy().view(found[i].dtype).reshape(found[i].shape)
    return found


def to_gpu(value: Any) -> Any:
    """A copy on the current device, unless it is there already."""
    return as_cupy(value) if is_on_gpu(value) else cupy().asarray(value)
