"""NIfTI-1 and -2 (by nibabel), one file or a pair, plain or .gz; slope and intercept are applied."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need
from maskmill.io._raw import RawVoxels
from maskmill.io._spool import Unpacking, check_size, packing, spool, voxel_bytes
from maskmill.io._volume import Options, Volume

_SIZES = {348: "Nifti1Header", 540: "Nifti2Header"}
_HEADER = 540


def open_nifti(path: str, options: Options) -> Volume:
    packed = packing(path)
    if packed:
        with Unpacking(path, packed) as stream:
            head = stream.read(_HEADER)
    else:
        with open(path, "rb") as opened:
            head = opened.read(_HEADER)
    header, single = _header(path, head)
    dtype, shape = header.get_data_dtype(), [int(n) for n in header["dim"][1 : 1 + int(header["dim"][0])]]
    if not 1 <= len(shape) <= 7 or min(shape) < 1:
        raise FormatError(f"{path}: expected 1 to 7 positive sizes, found {shape}")
    colours = 0 if dtype.names is None else len(dtype.names)
    stored = [1] * (len(shape) == 1) + shape[::-1] + ([colours] if colours else [])
    plain = np.dtype(np.uint8) if colours else dtype
    offset = float(header["vox_offset"])
    if not 0 <= offset < 1 << 40 or offset != int(offset) or (single and offset < len(header.binaryblock)):
        raise FormatError(f"{path}: expected voxels behind the header, found vox_offset {offset}")
    if single:
        array = _voxels(path, packed, int(offset), plain, stored)
    else:
        other = _image_beside(path)
        array = _voxels(other, packing(other), int(offset), plain, stored)
    # Dimensions are x, y, z, time, and then values of a voxel.
    letters = "xyztcuv"[: len(shape)][::-1]
    axes = letters.replace("c", "w") + "c" if colours else letters
    if len(shape) == 1:
        axes = "y" + axes
    scaled = _scaled(header, array)
    unit = header.get_xyzt_units()[0]
    zooms = [float(zoom) for zoom in header["pixdim"][1:4]][::-1] if len(shape) > 2 else None
    return Volume(
        path,
        "nifti",
        scaled,
        axes,
        spacing=zooms,
        unit=None if unit == "unknown" else unit,
        channel=options.channel,
    )


def _header(path: str, head: bytes) -> tuple[Any, bool]:
    """The header, and whether the voxels are in the same file."""
    nifti = {348: need("nibabel.nifti1", "em"), 540: need("nibabel.nifti2", "em")}
    sizes = (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big"))
    size = next((n for n in sizes if n in _SIZES), None)
    if size is None or len(head) < size:
        raise FormatError(f"{path}: expected a header of 348 or 540 bytes, found {sizes[0]} in {len(head)}")
    log = logging.getLogger("nibabel.global")
    level, log.disabled = log.disabled, True  # what it writes there, it also raises
    try:
        header = getattr(nifti[size], _SIZES[size])(head[:size], check=True)
        header.get_data_dtype()
        header.get_xyzt_units()
    except Exception as error:  # nibabel's own errors share no class
        raise FormatError(f"{path}: the header cannot be read ({error})") from None
    finally:
        log.disabled = level
    magic = head[344:348] if size == 348 else head[4:8]
    return header, magic[:2] == b"n+"


def _image_beside(path: str) -> str:
    """The .img file of a .hdr file."""
    folder, name = os.path.split(path)
    stem = name[: name.lower().rfind(".hdr")]
    for entry in sorted(Path(folder or ".").glob("*")):
        if entry.name.lower() in (f"{stem}.img".lower(), f"{stem}.img.gz".lower()):
            return str(entry)
    raise FormatError(f"{path}: expected its voxels in {stem}.img, found no such file")


def _voxels(path: str, packed: str | None, offset: int, dtype: np.dtype[Any], shape: list[int]) -> RawVoxels:
    expected = voxel_bytes(path, shape, dtype)
    if packed is None:
        check_size(path, offset, expected, f"{' x '.join(map(str, shape))} of {dtype}")
        return RawVoxels(path, dtype, offset, shape)
    with Unpacking(path, packed) as stream:
        file, at = spool(stream, expected, skip=offset)
    with file:
        return RawVoxels(file, dtype, at, shape)


class _Scaled:
    """Voxels times slope plus intercept, when they are read."""

    def __init__(self, array: Any, slope: float, intercept: float) -> None:
        self._array, self._slope, self._intercept = array, slope, intercept
        self.shape, self.dtype = array.shape, np.dtype(np.float64)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        scaled: NDArray[Any] = self._array[index] * self._slope + self._intercept
        return scaled


def _scaled(header: Any, array: RawVoxels) -> Any:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if (
        not np.isfinite(slope)
        or slope == 0
        or (slope == 1 and intercept == 0)
        or array.dtype.kind not in "iuf"
    ):
        return array
    return _Scaled(array, slope, intercept if np.isfinite(intercept) else 0.0)
