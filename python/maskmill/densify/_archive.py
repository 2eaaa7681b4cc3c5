"""Arrays of an `.npz` that nobody vouches for: bounded memory, no pickles."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import NOT_AN_ARRAY, FormatError, open_zip

MAX_BYTES = 1 << 31
"""Of all arrays together, as the file declares them."""


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays by name. FormatError if the file is no `.npz`, damaged, larger than `MAX_BYTES` or has objects."""
    import zipfile

    try:
        with open_zip(path) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            if total > MAX_BYTES:
                raise FormatError(f"{path}: expected up to {MAX_BYTES:,} bytes of arrays, found {total:,}")
            return {member.filename.removesuffix(".npy"): _array(path, archive, member) for member in members}
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise FormatError(f"{path}: not a readable .npz file ({error})") from None


def _array(path: Path, archive: Any, member: Any) -> NDArray[Any]:
    where = f"{path}: {member.filename[:100]!r}"
    with archive.open(member) as file:
        try:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError("of another version than 1.0")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        except NOT_AN_ARRAY as error:
            raise FormatError(f"{where}: expected an array of NumPy ({str(error)[:200]})") from None
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "biuf" or fortran or any(side < 0 for side in shape):
            raise FormatError(f"{where}: expected numbers, found {dtype} of {shape}")
        # Told before memory is asked for: the archive knows how many bytes there are.
        if size != member.file_size - file.tell():
            found = member.file_size - file.tell()
            raise FormatError(f"{where}: expected {size:,} bytes for {dtype} of {shape}, found {found:,}")
        data = file.read(size)
    if len(data) != size:
        raise FormatError(f"{where}: expected {size:,} bytes, found {len(data):,}: it is cut short")
    return np.frombuffer(data, dtype).reshape(shape).copy()
