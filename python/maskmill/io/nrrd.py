"""NRRD (https://teem.sourceforge.net/nrrd/format.html): attached and detached; raw, gzip, bzip2 and text."""

from __future__ import annotations

import io
import math
import os
import warnings
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need
from maskmill.io._raw import RawVoxels
from maskmill.io._spool import Unpacking, check_size, spool, voxel_bytes
from maskmill.io._volume import Options, Volume

_HEADER = 1 << 20
_TEXT = 1 << 28  # voxels as text are read whole: more bytes than these are no text that anybody wrote
_SPATIAL = ("domain", "space")
_UNKNOWN = ("none", "???", "")


def open_nrrd(path: str, options: Options) -> Volume:
    header, end = _read_header(path)
    sizes = [int(size) for size in header["sizes"]]
    dtype, shape = _dtype(path, header), sizes[::-1]
    axes, spatial = _axes(path, header, sizes)
    array = _data(path, header, end, dtype, shape)
    spacing, unit = _spacing(header, spatial)
    if len(spatial) == 1:  # a line of pixels is an image of one row
        array, axes = array[None], "y" + axes
    return Volume(path, "nrrd", array, axes, spacing=spacing, unit=unit, channel=options.channel)


def _read_header(path: str) -> tuple[dict[str, Any], int]:
    """The fields as pynrrd reads them, and where the header ends."""
    nrrd = need("nrrd", "em")
    with open(path, "rb") as file:
        head = file.read(_HEADER)
    if not head.startswith(b"NRRD0"):
        raise FormatError(f'{path}: expected a header that begins with "NRRD000", found {head[:8]!r}')
    stream = io.BytesIO(head)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = dict(nrrd.read_header(stream))
    except (
        nrrd.NRRDError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        AssertionError,
        OverflowError,
    ) as error:
        raise FormatError(f"{path}: the header cannot be read ({error})") from None
    for field in ("dimension", "type", "encoding", "sizes"):
        if field not in header:
            raise FormatError(f"{path}: expected the field {field!r}, found none")
    dimension, sizes = header["dimension"], np.atleast_1d(header["sizes"])
    if len(sizes) != dimension or not 1 <= dimension <= 5 or (sizes < 1).any():
        raise FormatError(f"{path}: expected {dimension} positive sizes (1 to 5), found {sizes.tolist()}")
    header["sizes"] = sizes
    return header, stream.tell()


def _dtype(path: str, header: dict[str, Any]) -> np.dtype[Any]:
    from nrrd.reader import _TYPEMAP_NRRD2NUMPY as types

    code = types.get(header["type"])
    if code is None or code == "V":
        raise FormatError(f"{path}: expected a type of numbers, found {header['type']!r}")
    dtype: np.dtype[Any] = np.dtype(code)
    endian = header.get("endian")
    if endian not in ("little", "big", None):
        raise FormatError(f"{path}: expected endian little or big, found {endian!r}")
    if dtype.itemsize > 1 and endian is None and header["encoding"].lower() not in ("ascii", "text", "txt"):
        raise FormatError(f"{path}: expected the field 'endian' for {header['type']}, found none")
    return dtype.newbyteorder(">" if endian == "big" else "<")


def _axes(path: str, header: dict[str, Any], sizes: list[int]) -> tuple[str, list[int]]:
    """Letters of the axes, slowest first, and the numbers of those in space, x first."""
    n = len(sizes)
    kinds = [str(kind).lower() for kind in header.get("kinds", [])]
    directions = header.get("space directions")
    if len(kinds) != n:
        kinds = ["???"] * n
    if directions is not None and len(directions) == n:
        inside = [row is not None and bool(np.isfinite(np.asarray(row, float)).all()) for row in directions]
        # An axis outside of space is time if it is the slowest, and values of a pixel if not.
        kinds = [
            k if k not in _UNKNOWN else "space" if i else "???" for k, i in zip(kinds, inside, strict=False)
        ]
    elif n > 3 and all(kind in _UNKNOWN for kind in kinds):
        kinds = ["space"] * 3 + ["time"] * (n - 3)
    elif all(kind in _UNKNOWN for kind in kinds):
        kinds = ["space"] * n
    letters: list[str] = []
    spatial: list[int] = []
    for axis, kind in enumerate(kinds):
        if kind in _SPATIAL and len(spatial) < 3:
            letters.append("xyz"[len(spatial)])
            spatial.append(axis)
        elif kind in (*_SPATIAL, "time") or (kind in _UNKNOWN and axis == n - 1):
            letters.append("t")
        else:
            letters.append("c")
    if len(set(letters)) < n or not spatial:
        raise FormatError(
            f"{path}: expected up to 3 axes in space, one of time and one of channels, found {kinds}"
        )
    return "".join(letters[::-1]), spatial


def _spacing(header: dict[str, Any], spatial: list[int]) -> tuple[list[float] | None, str | None]:
    """Along z, y, x, and the unit."""
    directions, spacings = header.get("space directions"), header.get("spacings")
    if len(spatial) < 3:
        return None, None
    n = len(header["sizes"])
    if directions is not None and len(directions) == n:
        sizes = [float(np.linalg.norm(np.asarray(directions[axis], float))) for axis in spatial]
    elif spacings is not None and len(np.atleast_1d(spacings)) == n:
        sizes = [float(spacings[axis]) for axis in spatial]
    else:
        return None, None
    units = header.get("space units") or [u for a, u in enumerate(header.get("units") or []) if a in spatial]
    unit = str(units[0]) if len(set(map(str, units))) == 1 and str(units[0]) not in _UNKNOWN else None
    return sizes[::-1], unit


def _data(
    path: str, header: dict[str, Any], end: int, dtype: np.dtype[Any], shape: list[int]
) -> RawVoxels | NDArray[Any]:
    def field(name: str) -> Any:
        return header.get(name, header.get(name.replace(" ", "")))

    name, at = path, end
    if (detached := field("data file")) is not None:
        words = str(detached).split()
        if words[:1] == ["LIST"] or "%" in str(detached):
            raise FormatError(
                f"{path}: expected one data file, found {detached!r}: join the slices, or open their folder"
            )
        name, at = os.path.join(os.path.dirname(path), str(detached)), 0
        if not os.path.isfile(name):
            raise FormatError(f"{path}: expected its data in {name}, found no such file")
    encoding = str(header["encoding"]).lower()
    lines, skip = field("line skip") or 0, field("byte skip") or 0
    if lines < 0 or skip < -1:
        raise FormatError(
            f"{path}: expected a line skip from 0 and a byte skip from -1, found {lines} and {skip}"
        )
    expected, what = voxel_bytes(path, shape, dtype), f"{' x '.join(map(str, shape))} of {dtype}"
    with open(name, "rb") as file:
        file.seek(at)
        for _ in range(min(lines, os.path.getsize(name))):
            if not file.readline(_HEADER):
                break
        at = file.tell()
        if encoding == "raw":
            at = os.path.getsize(name) - expected if skip == -1 else at + skip
            check_size(name, max(at, 0), expected, what, exact=True)
            return RawVoxels(name, dtype, at, shape)
        if encoding in ("gz", "gzip", "bz2", "bzip2"):
            with Unpacking(name, "gz" if encoding.startswith("g") else "bz2", file) as stream:
                spooled, at = spool(stream, expected, skip=skip, exact=True)
            with spooled:
                return RawVoxels(spooled, dtype, at, shape)
        if encoding in ("ascii", "text", "txt"):
            return _text(name, file, dtype, shape)
    raise FormatError(f"{path}: expected encoding raw, gzip, bzip2 or text, found {encoding!r}")


def _text(path: str, file: IO[bytes], dtype: np.dtype[Any], shape: list[int]) -> NDArray[Any]:
    words = file.read(_TEXT).split()
    if len(words) != math.prod(shape):
        raise FormatError(f"{path}: expected {math.prod(shape)} numbers, found {len(words)}")
    try:
        return np.array(words, "S").astype(dtype.newbyteorder("=")).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise FormatError(f"{path}: expected numbers of {dtype} ({error})") from None
