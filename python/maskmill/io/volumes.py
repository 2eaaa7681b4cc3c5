"""Volumes of any format: open one, list a folder of them, write one.

>>> import tempfile
>>> import numpy as np
>>> from pathlib import Path
>>> folder = Path(tempfile.mkdtemp())
>>> voxels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
>>> write_volume(folder / "em.nrrd", voxels, spacing=(30, 8, 8), unit="nm")
>>> with open_volume(folder / "em.nrrd") as volume:
...     volume.shape, volume.spacing, volume.read((1, 2, 0, 2, 1, 3)).tolist()
((2, 3, 4), (30.0, 8.0, 8.0), [[[13, 14], [17, 18]]])
>>> [path.name for path in list_volumes(folder).found]
['em.nrrd']
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from maskmill._files import FormatError
from maskmill.io._spool import packing
from maskmill.io._volume import Channel, Options, Volume, base_name, split_name
from maskmill.io.writing import write_volume

__all__ = [
    "Listing",
    "Volume",
    "base_name",
    "list_volumes",
    "open_volume",
    "sniff",
    "unique_names",
    "write_volume",
]

_FOLDERS = ("zarr", "n5", "precomputed", "stack")
_OPENERS = {
    "nrrd": ("nrrd", "open_nrrd"),
    "mrc": ("mrc", "open_mrc"),
    "tiff": ("tiff", "open_tiff"),
    "nifti": ("nifti", "open_nifti"),
    "hdf5": ("hdf5", "open_hdf5"),
    "zarr": ("zarr", "open_zarr"),
    "n5": ("zarr", "open_n5"),
    "precomputed": ("zarr", "open_precomputed"),
    "remote": ("zarr", "open_remote"),
    "tensorstore": ("zarr", "open_spec"),
    "stack": ("stack", "open_stack"),
    "image": ("images", "open_image"),
    "video": ("video", "open_frames"),
}

_MAGIC = (
    (0, b"NRRD0", "nrrd"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"II+\0", "tiff"),
    (0, b"MM\0+", "tiff"),
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (0, b"\x89PNG\r\n\x1a\n", "image"),
    (0, b"\xff\xd8\xff", "image"),
    (0, b"BM", "image"),
    (344, b"n+1\0", "nifti"),
    (344, b"ni1\0", "nifti"),
    (4, b"n+2\0", "nifti"),
    (4, b"ni2\0", "nifti"),
    (208, b"MAP", "mrc"),
    (4, b"ftyp", "video"),
    (4, b"moov", "video"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (8, b"AVI ", "video"),
)
_SUFFIXES = {
    **dict.fromkeys((".nrrd", ".nhdr"), "nrrd"),
    **dict.fromkeys((".mrc", ".map", ".mrcs", ".rec", ".st", ".ali", ".ccp4"), "mrc"),
    **dict.fromkeys((".tif", ".tiff", ".btf", ".tf8", ".tf2"), "tiff"),
    **dict.fromkeys((".nii", ".hdr", ".img"), "nifti"),
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".he5"), "hdf5"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp"), "image"),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm"), "video"),
}
_DETACHED = (".raw", ".img")  # voxels that a header beside them describes


def open_volume(
    source: str | Path | Mapping[str, Any],
    *,
    format: str | None = None,
    dataset: str | None = None,
    level: int = 0,
    channel: Channel = 0,
    signed: bool | None = None,
) -> Volume:
    """Open a volume for reading by boxes. What it is is seen by its content, else by its suffix.

    Parameters
    ----------
    source : path, URL or mapping
        A file (nrrd, mrc, tiff, nifti, hdf5, a single image, or a video, whose slices are its frames), a folder of
        slices, a folder or URL of zarr, N5 or precomputed data, or a TensorStore spec
        (https://google.github.io/tensorstore/spec.html) as a mapping.
    format : str, optional
        "nrrd", "mrc", "tiff", "nifti", "hdf5", "zarr", "n5", "precomputed", "stack", "image" or "video", if it is
        not to be guessed.
    dataset : str, optional
        Path of the array within an HDF5 file, a zarr group or an N5 container; number of the series in a TIFF.
    level : int
        Of a pyramid: 0 is the finest.
    channel : int or "luminance"
        Which channel to read; "luminance" mixes red, green and blue.
    signed : bool, optional
        Whether the bytes of an MRC file of mode 0 are signed, if its header is not to be believed.

    Raises
    ------
    FormatError
        If the file is damaged, cut short, or of a kind that is not read. The message names the file, what was
        expected and what was found.
    FileNotFoundError
        If there is nothing at `source`.
    ValueError
        If there is no such level, channel or data set.
    """
    options = Options(dataset, level, channel, signed)
    if level < 0:
        raise ValueError(f"level must be 0 or more, not {level}")
    if format is not None and format not in _OPENERS:
        raise ValueError(f"format must be one of {', '.join(_OPENERS)}, not {format!r}")
    if isinstance(source, Mapping):
        return _open("tensorstore", source, options)
    if "://" in str(source):
        return _open("remote", str(source), options)
    path = os.fspath(source)
    kind = format or sniff(path)
    if os.path.isdir(path) != (kind in _FOLDERS):
        raise FormatError(
            f"{path}: expected a {'folder' if kind in _FOLDERS else 'file'} of {kind}, found the other"
        )
    return _open(kind, path, options)


def _open(kind: str, source: Any, options: Options) -> Volume:
    module, function = _OPENERS[kind]
    opened: Volume = getattr(_module(module), function)(source, options)
    return opened


def _module(name: str) -> Any:
    return importlib.import_module(f"maskmill.io.{name}")


def sniff(path: str | Path) -> str:
    """The format of a file or folder: by its content, else by its suffix.

    Raises FormatError if it is none that is read.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        return _sniff_folder(path)
    head = _head(path)
    for offset, magic, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return str(kind)
    suffix = split_name(path)[1].lower()
    for packed in (".gz", ".bz2"):
        suffix = suffix.removesuffix(packed)
    expected = _SUFFIXES.get(f".{suffix.rpartition('.')[2]}")
    if expected == "mrc" and len(head) >= 1024:
        return expected  # old ones lack the stamp; the reader checks the rest
    if expected is not None:
        raise FormatError(
            f"{path}: expected {expected} by its suffix, found a file that begins with {head[:8]!r}"
        )
    raise FormatError(f"{path}: expected a volume or an image, found a file that begins with {head[:8]!r}")


def _sniff_folder(path: str) -> str:
    has = {
        name
        for name in (".zarray", ".zgroup", ".zattrs", "zarr.json", "attributes.json", "info")
        if (Path(path) / name).is_file()
    }
    if has & {".zarray", ".zgroup", ".zattrs", "zarr.json"}:
        return "zarr"
    if "attributes.json" in has:
        return "n5"
    if "info" in has:
        try:
            info = json.loads((Path(path) / "info").read_bytes())
        except ValueError:
            info = None
        if isinstance(info, dict) and "scales" in info:
            return "precomputed"
    return "stack"


def _head(path: str) -> bytes:
    """The first bytes, unpacked."""
    packed = packing(path)
    opener: Any = {"gz": gzip.open, "bz2": bz2.open, None: open}[packed]
    try:
        with opener(path, "rb") as file:
            return bytes(file.read(1024))
    except (EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FormatError(f"{path}: the {packed} stream is damaged or cut short ({error})") from None


class Listing(NamedTuple):
    """What `list_volumes` found: the volumes, and what is none, with the reason."""

    found: list[Path]
    ignored: list[tuple[Path, str]]


def list_volumes(folder: str | Path, *, videos: bool = False) -> Listing:
    """The volumes of a folder, sorted by name: files, and folders of zarr, N5, precomputed data or slices.

    Side files (read-me files, tables, videos unless they are asked for, voxels that a header beside them describes,
    hidden files) are ignored, and listed with the reason. A file that has the suffix of a volume counts as one even if
    it is damaged: opening it says what is wrong.

    Raises FileNotFoundError or NotADirectoryError.
    """
    found, ignored = [], []
    for entry in sorted(Path(folder).iterdir(), key=lambda path: path.name):
        reason = _why_ignored(entry, videos)
        if reason is None:
            found.append(entry)
        else:
            ignored.append((entry, reason))
    return Listing(found, ignored)


def _why_ignored(entry: Path, videos: bool) -> str | None:
    if entry.name.startswith("."):
        return "hidden"
    suffix = split_name(entry)[1].lower()
    if (
        entry.is_file()
        and suffix in _DETACHED
        and any(entry.with_suffix(end).exists() for end in (".nhdr", ".hdr", ".mhd"))
    ):
        return "voxels of the header beside it"
    try:
        kind = sniff(entry)
    except FormatError:
        plain = suffix.removesuffix(".gz").removesuffix(".bz2")
        return None if plain in _SUFFIXES else "no volume"
    except OSError as error:
        return str(error.strerror)
    if kind == "video" and not videos:
        return "a video: see maskmill em video2stack"
    if kind == "stack" and not _module("stack").slices(entry):
        return "a folder without images"
    return None


def unique_names(paths: Iterable[str | Path]) -> list[str]:
    """A name for each path, no two the same: the base name, with the extension where base names meet.

    Raises ValueError if even those meet, or names differ in case only (some file systems see no difference there).

    >>> unique_names(["a/x.nrrd", "a/x.nii.gz", "a/y.mrc"])
    ['x_nrrd', 'x_nii_gz', 'y']
    """
    paths = list(paths)
    split = [split_name(path) for path in paths]
    stems = Counter(stem.casefold() for stem, _ in split)
    names = [
        stem if stems[stem.casefold()] == 1 else stem + suffix.replace(".", "_") for stem, suffix in split
    ]
    seen: dict[str, str | Path] = {}
    for name, path in zip(names, paths, strict=False):
        if name.casefold() in seen:
            raise ValueError(
                f"{seen[name.casefold()]} and {path} would share the name {name!r}: rename one of them"
            )
        seen[name.casefold()] = path
    return names
