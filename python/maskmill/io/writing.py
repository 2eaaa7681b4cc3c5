"""Volumes written block by block: nrrd, tiff, mrc. There is never half a file under the final name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from maskmill._files import need, written_whole
from maskmill.io._volume import Volume, known_spacing, split_name

_NRRD_TYPES = {
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float32": "float",
    "float64": "double",
}
_MRC_MODES = {"int8": 0, "uint8": 0, "int16": 1, "float32": 2, "uint16": 6, "float16": 12}
_IMAGEJ = ("uint8", "uint16", "float32")
_CLASSIC = (1 << 32) - (1 << 25)  # what a TIFF with 32-bit offsets can hold, with room for its directory


def write_volume(
    path: str | Path,
    data: Volume | NDArray[Any] | Iterable[NDArray[Any]],
    shape: Sequence[int] | None = None,
    dtype: DTypeLike | None = None,
    *,
    spacing: Sequence[float] | None = None,
    unit: str | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write a volume as nrrd, tiff or mrc, by the suffix of `path`.

    Parameters
    ----------
    path : path
        Ends with .nrrd, .tif, .tiff, .ome.tif, .ome.tiff or .mrc. Replaced whole at the end.
    data : Volume, array (D, H, W) or iterable of arrays
        Blocks of whole slices, one behind the other: (n, H, W) or (H, W). They are written as they come.
    shape, dtype : optional
        Of the volume, if `data` are blocks.
    spacing : (float, float, float), optional
        Size of a voxel along z, y, x. A Volume's own if not given. None: unknown.
    unit : str, optional
        Of the spacing.
    notes : mapping of str to str, optional
        Kept as key/value pairs of an nrrd or in the description of a TIFF; an MRC file has no place for them.

    Raises
    ------
    ValueError
        If the suffix is unknown, the format has no such type of voxels, or the blocks do not make up the shape.
    """
    path = Path(path)
    if isinstance(data, Volume):
        shape, dtype = data.shape, data.dtype
        spacing, unit = (data.spacing, data.unit) if spacing is None else (spacing, unit)
        data = data.slabs()
    elif isinstance(data, np.ndarray):
        if data.ndim != 3:
            raise ValueError(f"data must be (D, H, W), not {data.shape}")
        shape, dtype, data = data.shape, data.dtype, [data]
    if shape is None or dtype is None:
        raise ValueError("shape and dtype must be given with blocks")
    size, kind = tuple(map(int, shape)), np.dtype(dtype).newbyteorder("=")
    if len(size) != 3 or min(size) < 1:
        raise ValueError(f"shape must be three positive sizes, not {size}")
    known = None if spacing is None else known_spacing(spacing)
    if spacing is not None and known is None:
        raise ValueError(f"spacing must be three positive numbers, not {tuple(spacing)}")
    suffix = split_name(path)[1].lower()
    writer = {
        ".nrrd": _nrrd,
        ".mrc": _mrc,
        ".tif": _tiff,
        ".tiff": _tiff,
        ".ome.tif": _tiff,
        ".ome.tiff": _tiff,
    }.get(suffix)
    if writer is None:
        raise ValueError(f"path must end with .nrrd, .tif, .tiff or .mrc, not {path.name!r}")
    with written_whole(path) as file:
        writer(file, _slices(data, size, kind), _About(size, kind, known, unit, dict(notes or {}), suffix))


class _About(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    spacing: tuple[float, float, float] | None
    unit: str | None
    notes: dict[str, str]
    suffix: str


def _slices(
    blocks: Iterable[NDArray[Any]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[NDArray[Any]]:
    """Slice by slice, checked."""
    depth = 0
    for block in blocks:
        block = np.asarray(block)
        block = block[None] if block.ndim == 2 else block
        if block.ndim != 3 or block.shape[1:] != shape[1:] or block.dtype != dtype:
            raise ValueError(
                f"blocks must be (n, {shape[1]}, {shape[2]}) of {dtype}, not {block.shape} of {block.dtype}"
            )
        depth += len(block)
        if depth > shape[0]:
            break
        yield from np.ascontiguousarray(block)
    if depth != shape[0]:
        raise ValueError(
            f"blocks must have {shape[0]} slices in all, not {depth}{' or more' if depth > shape[0] else ''}"
        )


def _nrrd(file: IO[bytes], slices: Iterator[NDArray[Any]], about: _About) -> None:
    shape, dtype, spacing, unit, notes, _ = about
    if dtype.name not in _NRRD_TYPES:
        raise ValueError(f"nrrd has no voxels of {dtype}")
    lines = [
        "NRRD0004",
        f"type: {_NRRD_TYPES[dtype.name]}",
        "dimension: 3",
        f"sizes: {shape[2]} {shape[1]} {shape[0]}",
        "kinds: domain domain domain",
        "encoding: raw",
    ]
    if dtype.itemsize > 1:
        lines.append("endian: little")
    if spacing:
        z, y, x = spacing
        lines += ["space dimension: 3", f"space directions: ({x!r},0,0) (0,{y!r},0) (0,0,{z!r})"]
        if unit:
            word = unit.encode("ascii", "replace").decode().replace('"', "")
            lines.append(f'space units: "{word}" "{word}" "{word}"')
    lines += [f"{_line(key)}:={_line(value)}" for key, value in notes.items()]
    file.write("\n".join([*lines, "", ""]).encode("ascii", "replace"))
    for plane in slices:
        file.write(plane.astype(dtype.newbyteorder("<"), copy=False).data)


def _line(text: str) -> str:
    """Text that ends no line of a header."""
    return " ".join(text.replace(":", " ").split())


def _mrc(file: IO[bytes], slices: Iterator[NDArray[Any]], about: _About) -> None:
    """Bytes are mode 0 with IMOD's stamp, which says whether they are signed."""
    shape, dtype, spacing, unit, _, _ = about
    if dtype.name not in _MRC_MODES:
        raise ValueError(f"mrc has no voxels of {dtype}: convert them, or write nrrd or tiff")
    header_type = need("mrcfile.dtypes", "em").HEADER_DTYPE.newbyteorder("<")
    header = np.zeros((), header_type)
    header["nx"], header["ny"], header["nz"] = header["mx"], header["my"], header["mz"] = shape[::-1]
    header["mode"] = _MRC_MODES[dtype.name]
    if spacing:
        scale = angstroms(unit)
        header["cella"] = tuple(size * scale * n for size, n in zip(spacing[::-1], shape[::-1], strict=False))
    header["cellb"] = (90, 90, 90)
    header["mapc"], header["mapr"], header["maps"], header["ispg"] = 1, 2, 3, 1
    header["map"], header["machst"], header["nversion"] = b"MAP ", (0x44, 0x44, 0, 0), 20141
    file.write(bytes(1024))
    low, high, total = math.inf, -math.inf, 0.0
    for plane in slices:
        file.write(plane.astype(dtype.newbyteorder("<"), copy=False).data)
        low, high = min(low, float(plane.min())), max(high, float(plane.max()))
        total += float(plane.sum(dtype=np.float64))
    header["dmin"], header["dmax"], header["dmean"], header["rms"] = low, high, total / math.prod(shape), -1
    head = bytearray(header.tobytes())
    if header["mode"] == 0:
        head[152:160] = np.array([1146047817, int(dtype.kind == "i")], "<i4").tobytes()
    file.seek(0)
    file.write(head)


_ANGSTROMS = {
    **dict.fromkeys(("angstrom", "å", "a"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 10.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "micrometer", "micrometre"), 1e4),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e7),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e8),
    **dict.fromkeys(("m", "meter", "metre"), 1e10),
    **dict.fromkeys(("pm", "picometer", "picometre"), 0.01),
}


def angstroms(unit: str | None) -> float:
    """How many angstrom a unit of length is; without a unit, 1. ValueError if it is none that is known.

    >>> angstroms("nm")
    10.0
    """
    if unit is None:
        return 1.0
    if unit.lower() not in _ANGSTROMS:
        raise ValueError(f"unit must be a length such as 'nm', not {unit!r}")
    return _ANGSTROMS[unit.lower()]


def _tiff(file: IO[bytes], slices: Iterator[NDArray[Any]], about: _About) -> None:
    """ImageJ's TIFF, which Fiji opens with its scale; OME-TIFF for other types, above 4 GiB, and by its suffix."""
    shape, dtype, spacing, unit, notes, suffix = about
    tifffile = need("tifffile", "em")
    big = math.prod(shape) * dtype.itemsize > _CLASSIC
    ome = big or dtype.name not in _IMAGEJ or ".ome" in suffix
    metadata: dict[str, Any] = {"axes": "ZYX"}
    extra: dict[str, Any] = {}
    if notes and ome:
        metadata["Description"] = "; ".join(f"{_line(key)}={_line(value)}" for key, value in notes.items())
    elif notes:
        metadata |= {
            "fps" if key == "frame rate" else _line(key): _line(value) for key, value in notes.items()
        }
    if spacing and ome:
        for axis, size in zip("ZYX", spacing, strict=False):
            metadata[f"PhysicalSize{axis}"] = size
            metadata[f"PhysicalSize{axis}Unit"] = _OME_UNITS.get(
                (unit or "").lower(), unit or "reference frame"
            )
    elif spacing:
        metadata |= {"spacing": spacing[0], "unit": _IMAGEJ_UNITS.get((unit or "").lower(), unit or "unit")}
        extra = {"resolution": (1 / spacing[2], 1 / spacing[1]), "resolutionunit": "NONE"}
    handle = tifffile.FileHandle(file, name="volume.tif", offset=0)  # by name, as the file's own is a number
    with tifffile.TiffWriter(handle, bigtiff=big, ome=ome, imagej=not ome) as writer:
        writer.write(slices, shape=shape, dtype=dtype, metadata=metadata, photometric="minisblack", **extra)


_OME_UNITS = {
    **dict.fromkeys(("nm", "nanometer", "nanometre"), "nm"),
    **dict.fromkeys(("um", "micron", "micrometer", "micrometre", "μm", "µm"), "µm"),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), "mm"),
    **dict.fromkeys(("angstrom", "å", "a"), "Å"),
}
_IMAGEJ_UNITS = {
    key: "um" if value == "µm" else "angstrom" if value == "Å" else value for key, value in _OME_UNITS.items()
}
