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
        try:
            return int(about()[0]) in (2, 13)  # kDLCUDA, kDLCUDAManaged
        except ValueError:  # torch, of devices that DLPack does not know
            return False
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
    if not hasattr(value, "__dlpack__"):
        return cp.asarray(value)
    try:
        # Exchanges streams; __cuda_array_interface__ of torch does not tell its own.
        return cp.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        # With a gradient, or of a type that CuPy has not, as bfloat16.
        raise TypeError(
            f"CuPy cannot take this {type(value).__name__} of {getattr(value, 'dtype', 'unknown dtype')} ({error}); "
            "of a tensor of torch, try tensor.detach().float()"
        ) from error


def on_host(value: Any, name: str, dtype: Any = None) -> NDArray[Any]:
    """What NumPy makes of a value, for what is computed on the host alone. What is on a GPU is not moved unasked."""
    refuse_gpu(value, name)
    return np.asarray(value, dtype)


def refuse_gpu(value: Any, name: str) -> None:
    """TypeError if an array, or the first of several, is on a GPU."""
    first = value[0] if type(value) in (list, tuple) and value else value
    if is_on_gpu(first):
        raise TypeError(
            f"{name} must be on the host, not on a GPU; array.get(), tensor.cpu() or masks.to('cpu') bring it there"
        )


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
        octets = to_host(cp.concatenate(parts))
        ends = list(accumulate((part.size for part in parts), initial=0))
        for i, first, last in zip(there, ends, ends[1:], strict=False):
            # A copy: aligned, and the memory of the others is not kept.
            found[i] = octets[first:last].copy().view(found[i].dtype).reshape(found[i].shape)
    return found


def to_gpu(value: Any) -> Any:
    """A copy on the current device, unless it is there already."""
    return as_cupy(value) if is_on_gpu(value) else cupy().asarray(value)
