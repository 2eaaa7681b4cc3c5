"""Weights in the file format that torch wrote before version 1.6, read without torch and without trusting the file.

Such a file is five pickles (a magic number, a version, sizes of types, the state dict, the keys of its storages), then
for each key an int64 count and the numbers, little endian. The pickles can name nothing but a dict, tensors, and
storages of float32 and int64.
"""

from __future__ import annotations

import math
import mmap
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill._pickles import RestrictedReader

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


class _Storage(NamedTuple):
    """Numbers that follow the pickles."""

    dtype: str
    key: str
    length: int


class _Tensor(NamedTuple):
    """A view of a storage; offset and strides count numbers, not bytes."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _State(dict[Any, Any]):
    """The state dict. Its only further state, torch's versions of modules, is of no use here."""

    def __setstate__(self, state: Any) -> None:
        pass


class _Named:
    """What a file may call. A pickle can give state to whatever it names; this takes none."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it gives state to a function")


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, *_gradients: Any) -> _Tensor:
    numbers = (offset, *size, *stride)
    if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in numbers):
        raise pickle.UnpicklingError("a tensor is not made of a storage, an offset, sizes and strides")
    if len(size) != len(stride):
        raise pickle.UnpicklingError(f"a tensor has {len(size)} sizes and {len(stride)} strides")
    return _Tensor(storage, offset, tuple(size), tuple(stride))


_STAND_INS = {
    ("collections", "OrderedDict"): _Named(lambda: _State()),  # no arguments: it is filled afterwards
    ("torch._utils", "_rebuild_tensor_v2"): _Named(_rebuild),
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}


class _Reader(RestrictedReader):
    """One pickle of the file."""

    stand_ins = _STAND_INS
    users = "weights have"

    def persistent_load(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise pickle.UnpicklingError("it refers to something that is not a storage")
        _, dtype, key, _, count = pid[:5]
        if dtype not in ("<f4", "<i8") or not isinstance(key, str) or type(count) is not int or count < 0:
            raise pickle.UnpicklingError("a storage must have a type, a key and a count")
        return _Storage(dtype, key, count)


def read_weights(path: str | Path) -> dict[str, NDArray[Any]]:
    """The tensors of a state dict by name, float32 or int64, read-only. Nothing in the file is run.

    Raises
    ------
    FormatError
        If the file is cut short, names anything but tensors of float32 and int64, or is of another format (torch 1.6
        and later write a zip archive).
    """
    path = Path(path)
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return _tensors(mapped)
    except OSError:
        raise
    except Exception as error:  # broken pickles raise nearly anything
        raise FormatError(f"{path}: not a readable file of torch's old format ({error})") from None


def _tensors(file: mmap.mmap) -> dict[str, NDArray[Any]]:
    for name, expected in ("magic number", MAGIC), ("version", VERSION):
        found = _Reader(file).load()
        if type(found) is not int or found != expected:
            shown = found if type(found) is int else type(found).__name__
            raise ValueError(f"expected the {name} {expected}, found {shown}")
    _sizes, state, keys = (_Reader(file).load() for _ in range(3))
    if not isinstance(state, _State) or not isinstance(keys, list):
        raise ValueError("expected a state dict and a list of storages")
    for name, tensor in state.items():
        if not isinstance(tensor, _Tensor):
            raise ValueError(f"{name!r:.80}: expected a tensor, found {type(tensor).__name__}")
    declared = {tensor.storage.key: tensor.storage for tensor in state.values()}
    numbers: dict[str, NDArray[Any]] = {}
    for key in keys:
        if type(key) is not str or key not in declared:
            raise ValueError("a storage belongs to no tensor")
        numbers[key] = _read_storage(file, declared[key])
    return {name: _view(name, tensor, numbers) for name, tensor in state.items()}


def _read_storage(file: mmap.mmap, storage: _Storage) -> NDArray[Any]:
    head = file.read(8)
    if len(head) < 8:
        raise ValueError(f"it ends before storage {storage.key}")
    (count,) = struct.unpack("<q", head)
    if count != storage.length:
        raise ValueError(f"storage {storage.key}: expected {storage.length} numbers, found {count}")
    dtype = np.dtype(storage.dtype)
    raw = file.read(min(count * dtype.itemsize, len(file)))
    if len(raw) < count * dtype.itemsize:
        raise ValueError(f"it ends within storage {storage.key}")
    return np.frombuffer(raw, dtype)


def _view(name: str, tensor: _Tensor, numbers: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """No copy: many tensors of one storage take no more memory than the file."""
    if tensor.storage.key not in numbers:
        raise ValueError(f"{name}: storage {tensor.storage.key} is not there")
    flat = numbers[tensor.storage.key]
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True))
    inside = 0 in tensor.size or last < len(flat)
    if tensor.storage.dtype != flat.dtype.str or not inside or math.prod(tensor.size) > len(flat):
        raise ValueError(f"{name}: {tensor.size} numbers are not in a storage of {len(flat)}")
    steps = [step * flat.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.size, steps, writeable=False)
