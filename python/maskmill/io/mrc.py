"""MRC / CCP4 maps (https://www.ccpem.ac.uk/mrc_format/mrc2014.php), plain, .gz and .bz2.

Axes are put in the order z, y, x by the header's axis map. Voxel sizes are in angstrom: cell / sampling.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from maskmill._files import FormatError, need
from maskmill.io._raw import RawVoxels
from maskmill.io._spool import Unpacking, check_size, packing, spool, voxel_bytes
from maskmill.io._volume import Options, Volume

_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2", 16: "u1"}
_UNSUPPORTED = {3: "complex integers", 4: "complex numbers", 101: "4-bit integers"}
_IMOD_STAMP = 1146047817  # "IMOD" as a little-endian integer, at byte 152
_HEADER = 1024


def open_mrc(path: str, options: Options) -> Volume:
    if packed := packing(path):
        with Unpacking(path, packed) as stream:
            head = stream.read(_HEADER)
            header, dtype, axes, shape, extended = _describe(path, head, options.signed)
            file, _ = spool(stream, voxel_bytes(path, shape, dtype), skip=extended)
        with file:
            array = RawVoxels(file, dtype, 0, shape)
    else:
        with open(path, "rb") as opened:
            head = opened.read(_HEADER)
        header, dtype, axes, shape, extended = _describe(path, head, options.signed)
        what = f"{' x '.join(map(str, shape))} of {dtype}"
        check_size(path, _HEADER + extended, voxel_bytes(path, shape, dtype), what)
        array = RawVoxels(path, dtype, _HEADER + extended, shape)
    spacing = [float(header.cella[a]) / float(header[f"m{a}"]) if header[f"m{a}"] > 0 else 0.0 for a in "zyx"]
    return Volume(path, "mrc", array, axes, spacing=spacing, unit="angstrom", channel=options.channel)


def _describe(path: str, head: bytes, signed: bool | None) -> tuple[Any, np.dtype[Any], str, list[int], int]:
    """Header, type, axes, shape, and the length of the extended header."""
    if len(head) < _HEADER:
        raise FormatError(f"{path}: expected a header of {_HEADER} bytes, found {len(head)}")
    header = _header(path, head)
    mode = int(header.mode)
    if mode not in _TYPES:
        known = ", ".join(map(str, _TYPES))
        what = f" ({_UNSUPPORTED[mode]})" if mode in _UNSUPPORTED else ""
        raise FormatError(f"{path}: expected mode {known}, found {mode}{what}")
    order = header.mode.dtype.byteorder
    dtype = np.dtype(_TYPES[mode]).newbyteorder(order)
    if mode == 0 and not _signed_bytes(header, head, order, signed):
        dtype = np.dtype(np.uint8)
    sizes = [int(header.nz), int(header.ny), int(header.nx)]
    if min(sizes) < 1:
        raise FormatError(f"{path}: expected positive sizes nz, ny, nx, found {sizes}")
    axes = _axis_map(path, header)
    if 401 <= int(header.ispg) <= 630 and sizes[0] > int(header.mz) > 0:  # a stack of volumes
        if sizes[0] % int(header.mz):
            raise FormatError(f"{path}: expected nz to be a multiple of mz = {header.mz}, found {sizes[0]}")
        sizes, axes = [sizes[0] // int(header.mz), int(header.mz), *sizes[1:]], "t" + axes
    if mode == 16:
        sizes, axes = [*sizes, 3], axes + "c"
    extended = int(header.nsymbt)
    if extended < 0:
        raise FormatError(f"{path}: expected an extended header of 0 or more bytes, found {extended}")
    return header, dtype, axes, sizes, extended


def _header(path: str, head: bytes) -> Any:
    interpreter = need("mrcfile.mrcinterpreter", "em").MrcInterpreter
    # Old files lack the stamps, which the permissive reader forgives; what it calls an MRC file is checked here.
    bare = head[:92] + bytes(4) + head[96:]  # without the extended header, which may be as long as the file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            header = interpreter(io.BytesIO(bare), permissive=True, header_only=True).header
        except (ValueError, TypeError) as error:
            raise FormatError(f"{path}: the header cannot be read ({error})") from None
    order = header.mode.dtype.byteorder
    header = header.copy()
    header.nsymbt = np.frombuffer(head[92:96], np.dtype("i4").newbyteorder(order))[0]
    return header


def _axis_map(path: str, header: Any) -> str:
    """Letters of (section, row, column)."""
    numbers = [int(header.maps), int(header.mapr), int(header.mapc)]
    if numbers == [0, 0, 0]:  # not set
        return "zyx"
    if sorted(numbers) != [1, 2, 3]:
        raise FormatError(
            f"{path}: expected MAPC, MAPR, MAPS to be 1, 2, 3 in any order, found {numbers[::-1]}"
        )
    return "".join("xyz"[number - 1] for number in numbers)


def _signed_bytes(header: Any, head: bytes, order: Any, signed: bool | None) -> bool:
    """Whether bytes of mode 0 are signed: unless IMOD says that they are not, or the greatest one does not fit."""
    if signed is not None:
        return signed
    stamp, flags = np.frombuffer(head[152:160], np.dtype("i4").newbyteorder(order)).tolist()
    if stamp == _IMOD_STAMP:
        return bool(flags & 1)
    return not float(header.dmax) > 127
