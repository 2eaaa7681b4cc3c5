"""Pickles of patches, as cem-dataset writes them: a dict of `names` and, parallel, `patches` (2-D uint8 arrays).

They are read without trusting them: a file can name nothing but NumPy's own arrays.
"""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill._pickles import RestrictedReader


class Patches(NamedTuple):
    """What a pickle holds."""

    names: list[str]
    patches: list[NDArray[np.uint8]]


# What a file may name, and what stands here in its place. NumPy's own functions are not called: the state that a
# pickle gives to a NumPy dtype can make it take bytes for pointers.


class _Array:
    """An array whose state is still to come; also what stands for `numpy.ndarray` itself."""

    content: NDArray[np.uint8] | None = None

    def __setstate__(self, state: Any) -> None:
        _version, shape, dtype, fortran, raw = state
        if not isinstance(dtype, _Bytes) or not isinstance(raw, bytes):
            raise pickle.UnpicklingError("an array is not of bytes")
        self.content = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C").copy()


class _Bytes:
    """The dtype uint8, the only one."""

    def __init__(self, code: str, *_flags: Any) -> None:
        if code != "u1":
            found = code if isinstance(code, str) else type(code).__name__  # whose text may be endless
            raise pickle.UnpicklingError(f"patches must be uint8, not {found}")

    def __setstate__(self, state: Any) -> None:
        pass  # byte order and the like: a byte has none


class _Reconstruct:
    """Makes an array whose state is still to come."""

    def __new__(cls, subtype: Any, _shape: Any, _code: Any) -> Any:
        if subtype is not _Array:
            raise pickle.UnpicklingError("an array is of a class of its own")
        return _Array()

    def __setstate__(self, state: Any) -> None:
        pass  # there are none of this class


# NumPy moved its core in 2.0; files of either side are read on both.
_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Bytes,
}


class _Reader(RestrictedReader):
    stand_ins = _STAND_INS
    users = "a file of patches has"


def read_pickle(path: str | Path) -> Patches:
    """Names and patches of a file. Nothing in it is run.

    Raises
    ------
    FormatError
        If the file is cut short, names anything but NumPy's arrays, or holds something else.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            content = _Reader(mapped).load()
    except OSError:
        raise
    except Exception as error:  # broken pickles raise nearly anything
        raise FormatError(f"{path}: not a readable pickle of patches ({error})") from None
    return _checked(path, content)


def _checked(path: Path, content: object) -> Patches:
    if not isinstance(content, dict) or not {"names", "patches"} <= set(content):
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise FormatError(f"{path}: must be a dict with names and patches, not {found}")
    names, patches = content["names"], content["patches"]
    if not isinstance(names, list) or not isinstance(patches, list) or len(names) != len(patches):
        raise FormatError(f"{path}: names and patches must be lists of one length")
    arrays = []
    for place, (name, patch) in enumerate(zip(names, patches, strict=True)):
        if not isinstance(name, str):
            raise FormatError(f"{path}: name {place} must be a text, not {type(name).__name__}")
        array = patch.content if isinstance(patch, _Array) else None
        if array is None or array.ndim != 2:
            found = type(patch).__name__ if array is None else f"one of {array.ndim} dimensions"
            raise FormatError(f"{path}: patch {place} ({name}) must be a 2-D uint8 array, not {found}")
        arrays.append(array)
    return Patches(names, arrays)


def write_pickle(path: str | Path, names: Sequence[str], patches: Sequence[NDArray[np.uint8]]) -> None:
    """Write a pickle that cem-dataset reads: whole, or not at all.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pickle(f"{folder}/a.pkl", ["a-LOC-0_0_0-2_0-2"], [np.zeros((2, 2), np.uint8)])
    ...     read_pickle(f"{folder}/a.pkl").names
    ['a-LOC-0_0_0-2_0-2']
    """
    if len(names) != len(patches):
        raise ValueError(f"names and patches must have one length, not {len(names)} and {len(patches)}")
    with written_whole(Path(path), sync=True) as file:
        # Protocol 4: what Python 3.8 to 3.13 write by default.
        pickle.dump({"names": list(names), "patches": list(patches)}, file, protocol=4)
