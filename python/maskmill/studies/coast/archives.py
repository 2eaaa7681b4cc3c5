"""`archive` and `restore`: results without what is in them twice, and back, array by array the same.

An archive is a deflated `.npz` that NumPy opens without pickles. The bytes of its array `contents` are JSON:

- ``format`` "maskmill coast archive", ``version`` 1, ``source`` (name, bytes and SHA-256 of the result);
- ``arrays``: for each array of the result, in its order, ``name``, ``crc32`` of its bytes, and ``of``, the array of the
  archive that has it. With ``as`` "one-hot", that one has (H, W) classes + 1, 0 for none, of a label with ``depth``
  classes and the type ``dtype``. With ``as`` "coloured", they are doodles, painted in the colours for ``classes``
  classes, black where ``image`` has no red.

Every trial of a result repeats its pictures, and labels of classes take a byte for each class: six trials of a picture
take a tenth of the room.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.io._doodler_trials import Declared, declared_arrays, opened, trials_of
from maskmill.io._parse import dump_json, integer, mapping, parse_json, safe_name, sequence, text, wrong
from maskmill.io.doodler import Trial, coloured, read_arrays, read_trials, write_arrays
from maskmill.studies.coast.ledger import Progress, Report, Row, Source, on_each, sha256, sources
from maskmill.studies.coast.trials import ARCHIVE, find

_FORMAT, _VERSION = "maskmill coast archive", 1
_MOST_ARRAYS = 10_000
_MOST_BYTES = 1 << 35
"""Of all arrays of a result that is restored: a small archive may name a large array many times."""
_MOST_OF_ONE = 1 << 31


def archive(
    path: str | Path,
    folder: str | Path,
    *,
    processes: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write results as archives, `NAME.archive.npz`, and read each back to compare all arrays.

    Parameters
    ----------
    path : path
        A result, or a folder with such files or folders of them.
    folder : path
        To write to. Given again after an interruption, it goes on.
    processes : int, optional
        Of this machine; threads of this process by default.
    overwrite : bool
        Whatever was done there before.

    Raises
    ------
    ValueError
        If the folder was used for something else. What is wrong with a result is in the report.

    Examples
    --------
    >>> import tempfile
    >>> from maskmill.studies.coast import archive, restore
    >>> place = Path(tempfile.mkdtemp())
    >>> label = np.eye(2, dtype=np.uint8)[np.zeros((40, 60), int)]
    >>> trial = {"label": label, "doodles": label[..., 0], "classes": ["water", "land"]}
    >>> np.savez(place / "dune_db.npz", **trial, **{"0" + name: array for name, array in trial.items()})
    >>> archive(place / "dune_db.npz", place / "archives").rows[0]["arrays"]
    6
    >>> restore(place / "archives", place / "back").done
    1
    """
    folder = Path(folder)
    given = sources(find(Path(path)), Path(path))
    return on_each(
        given,
        folder,
        partial(_archive, folder),
        verb="archive",
        settings={"version": _VERSION},
        processes=processes,
        overwrite=overwrite,
        progress=progress,
    )


def restore(
    path: str | Path,
    folder: str | Path,
    *,
    processes: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write archives as the results that they were made of: the same arrays, types, names and order.

    Parameters are those of `archive`; `path` is an archive, or a folder of archives.

    Raises
    ------
    FormatError
        If a folder has no archives. What is wrong with one of them is in the report.
    """
    path, folder = Path(path), Path(folder)
    files = sorted(file for file in path.rglob(f"*{ARCHIVE}") if file.is_file()) if path.is_dir() else [path]
    if not files:
        raise FormatError(f"{path}: expected archives (*{ARCHIVE}), found none")
    return on_each(
        sources(files, path),
        folder,
        partial(_restore, folder),
        verb="restore",
        settings={},
        processes=processes,
        overwrite=overwrite,
        progress=progress,
    )


def _archive(folder: Path, source: Source) -> list[Row]:
    out = folder / f"{source.name}{ARCHIVE}"
    write_arrays(out, _packed(source.path))
    try:
        n = _compare(source.path, out)
    except BaseException:
        out.unlink()
        raise
    sizes = {"bytes": source.path.stat().st_size, "archive_bytes": out.stat().st_size}
    return [{"files": [out.name], "arrays": n, **sizes}]


def _restore(folder: Path, source: Source) -> list[Row]:
    out = folder / f"{source.name}.npz"
    write_arrays(out, unpacked(source.path))
    return [{"files": [out.name], "bytes": out.stat().st_size, "archive_bytes": source.path.stat().st_size}]


def _compare(result: Path, archived: Path) -> int:
    """How many arrays both have; FormatError if one of them differs."""
    n = 0
    for (name, array), (other, back) in zip(read_arrays(result), unpacked(archived), strict=True):
        layout = [(a.dtype, a.shape, a.flags.f_contiguous) for a in (array, back)]
        if name != other or layout[0] != layout[1] or array.tobytes("A") != back.tobytes("A"):
            raise FormatError(f"{result}: {name}: expected the same array in the archive, found another")
        n += 1
    return n


# Packing


def _packed(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of an archive of a result."""
    trials = {trial.prefix: trial for trial in read_trials(path)}
    names: dict[tuple[Any, ...], str] = {}
    entries: list[Row] = []

    def kept(kind: str, array: NDArray[Any]) -> tuple[str, list[tuple[str, NDArray[Any]]]]:
        """The name of an array in the archive, and the array, if it is not there yet."""
        order = array.flags.f_contiguous and not array.flags.c_contiguous
        digest = hashlib.sha256(array.tobytes("A")).digest()
        key = (array.dtype.str, repr(array.dtype.descr), array.shape, order, digest)
        known = names.get(key)
        name = names.setdefault(key, f"{kind}_{sum(n.startswith(f'{kind}_') for n in names.values())}")
        return name, [] if known else [(name, array)]

    for key, array in read_arrays(path):
        safe_name(key, f"{path}: the name of an array")
        prefix = key[: len(key) - len(key.lstrip("0"))]
        kind = key[len(prefix) :] or "array"
        entry: Row = {"name": key, "crc32": _crc(array)}
        index = _index(array) if kind == "label" else None
        trial = trials.get(prefix)
        if index is not None:
            entry |= {"as": "one-hot", "depth": array.shape[2], "dtype": array.dtype.str}
            entry["of"], new = kept("label", index)
        elif kind == "color_doodles" and trial is not None and _is_coloured(trial, array):
            entry |= {"as": "coloured", "classes": len(trial.classes)}
            entry["of"], new = kept("doodles", trial.array("doodles"))
            entry["image"], image = kept("image", trial.array("image"))
            new += image
        else:
            entry["of"], new = kept(kind, array)
        yield from new
        entries.append(entry)
    source = {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}
    contents = {"format": _FORMAT, "version": _VERSION, "source": source, "arrays": entries}
    yield "contents", np.frombuffer(dump_json(contents), np.uint8)


def _index(label: NDArray[Any]) -> NDArray[np.uint8] | None:
    """(H, W) class + 1 of a one-hot label, 0 for none; None if it is none, or cannot be made again from them."""
    if label.ndim != 3 or label.dtype.kind not in "bu" or not 0 < label.shape[2] <= 255:
        return None
    if not label.flags.c_contiguous or 0 in label.shape:
        return None
    found = np.zeros(label.shape[:2], np.uint8)
    for c in range(label.shape[2]):
        found[label[..., c] == 1] = c + 1
    return found if np.array_equal(_one_hot(found, label.shape[2], label.dtype), label) else None


def _one_hot(index: NDArray[Any], depth: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    found: NDArray[Any] = np.equal(index[..., None], np.arange(1, depth + 1)).astype(dtype)
    return found


def _is_coloured(trial: Any, painted: NDArray[Any]) -> bool:
    """Whether coloured doodles are what the doodles and the image give."""
    if len(trial.classes) > 24 or not {"doodles", "image"} <= set(trial.arrays):
        return False
    doodles, image = trial.array("doodles"), trial.array("image")
    if image.ndim not in (2, 3) or 0 in image.shape:
        return False
    if (
        doodles.dtype != np.uint8
        or image.dtype != np.uint8
        or int(doodles.max(initial=0)) > len(trial.classes)
    ):
        return False
    made = coloured(doodles, image, len(trial.classes))
    return painted.dtype == np.uint8 and painted.flags.c_contiguous and np.array_equal(made, painted)


def _crc(array: NDArray[Any]) -> int:
    return zlib.crc32(array.tobytes("A"))


# Unpacking


def unpacked(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of the result that was archived, with their names, in their order.

    Raises
    ------
    FormatError
        If it is no archive, is damaged, or an array is not what it was.
    """
    entries = _contents(path)
    total = 0
    for i, item in enumerate(entries):
        where = f"{path}: arrays[{i}]"
        entry = mapping(item, where)
        name = text(entry.get("name"), f"{where}.name")
        safe_name(name, f"{where}.name")
        array = _checked(path, entry, where)
        total += array.nbytes
        if total > _MOST_BYTES:
            raise FormatError(f"{path}: expected arrays of up to {_MOST_BYTES:,} bytes in all, found more")
        yield name, array


@dataclass(frozen=True)
class ArchivedTrial(Trial):
    """A trial of an archive: its arrays are made when they are asked for.

    Attributes
    ----------
    entries : dict
        How each variable is made, as the archive's contents say.
    """

    entries: Mapping[str, Row] = field(default_factory=dict)

    def array(self, name: str) -> NDArray[Any]:
        """A variable as it was in the result."""
        where = f"{self.path}: {self.prefix}{name}"
        if name not in self.entries:
            raise FormatError(f"{where}: expected an array, found none")
        return _checked(self.path, self.entries[name], where)


def read_archive(path: Path, *, classes: Sequence[str] = ()) -> list[ArchivedTrial]:
    """The trials of an archive, the newest first, as `maskmill.io.doodler.read_trials` reads those of a result."""
    entries = {}
    for i, item in enumerate(_contents(path)):
        entry = mapping(item, f"{path}: arrays[{i}]")
        entries[text(entry.get("name"), f"{path}: arrays[{i}].name")] = entry
    with opened(path) as archive:
        there = declared_arrays(archive, path)
        arrays = {name: _shaped(there, entry, f"{path}: {name}") for name, entry in entries.items()}
        found = trials_of(archive, path, arrays, classes)
    return [
        ArchivedTrial(**vars(trial), entries={name: entries[trial.prefix + name] for name in trial.arrays})
        for trial in found
    ]


def _shaped(there: Mapping[str, Declared], entry: Row, where: str) -> Declared:
    """Shape and type of an array that is made."""
    of = text(entry.get("of"), f"{where}: of")
    if of not in there:
        raise wrong(where, "the name of an array of the archive", of)
    if entry.get("as") == "one-hot":
        depth = integer(entry.get("depth"), f"{where}: depth", low=1, high=255)
        return replace(there[of], shape=(*there[of].shape, depth), dtype=_whole(entry, where))
    return replace(there[of], shape=(*there[of].shape, 3)) if entry.get("as") == "coloured" else there[of]


def _whole(entry: Row, where: str) -> np.dtype[Any]:
    said = text(entry.get("dtype"), f"{where}: dtype")
    if said not in ("|u1", "|b1", "<u2", "<u4", "<u8", ">u2", ">u4", ">u8"):
        raise wrong(f"{where}: dtype", "a type of whole numbers", said)
    return np.dtype(said)


def _contents(path: Path) -> list[Any]:
    found = dict(read_arrays(path, ("contents",))).get("contents")
    if found is None or found.dtype != np.uint8 or found.ndim != 1:
        raise FormatError(f"{path}: expected an archive, with an array of its contents, found none")
    content = mapping(parse_json(found.tobytes(), f"{path}: contents"), f"{path}: contents")
    if content.get("format") != _FORMAT or content.get("version") != _VERSION:
        said = f"{content.get('format')} {content.get('version')}"
        raise wrong(f"{path}: contents", f"the format {_FORMAT!r} {_VERSION}", said)
    entries = sequence(content.get("arrays"), f"{path}: arrays")
    if len(entries) > _MOST_ARRAYS:
        raise FormatError(f"{path}: expected up to {_MOST_ARRAYS} arrays, found {len(entries)}")
    return entries


def _checked(path: Path, entry: Row, where: str) -> NDArray[Any]:
    array = _made(path, entry, where)
    if _crc(array) != entry.get("crc32"):
        raise FormatError(f"{where}: expected {entry['name']} as it was archived, found other bytes")
    return array


def _made(path: Path, entry: Row, where: str) -> NDArray[Any]:
    array = _one(path, entry.get("of"), f"{where}.of")
    kind = entry.get("as")
    if kind == "one-hot":
        depth = integer(entry.get("depth"), f"{where}.depth", low=1, high=255)
        dtype = _whole(entry, where)
        if array.ndim != 2 or array.dtype != np.uint8 or array.size * depth * dtype.itemsize > _MOST_OF_ONE:
            raise FormatError(f"{where}: expected (H, W) of uint8, found {array.dtype} of {array.shape}")
        return _one_hot(array, depth, dtype)
    if kind == "coloured":
        n = integer(entry.get("classes"), f"{where}.classes", low=0, high=24)
        image = _one(path, entry.get("image"), f"{where}.image")
        fits = image.ndim in (2, 3) and image.shape[:2] == array.shape and math.prod(image.shape) > 0
        if array.dtype != np.uint8 or image.dtype != np.uint8 or not fits or int(array.max(initial=0)) > n:
            raise FormatError(f"{where}: expected doodles of {n} classes and their image, found others")
        return coloured(array, image, n)
    if kind is not None:
        raise wrong(f"{where}.as", "one-hot or coloured", kind)
    return array


def _one(path: Path, name: Any, where: str) -> NDArray[Any]:
    found = dict(read_arrays(path, (text(name, where),)))
    if name not in found:
        raise wrong(where, "the name of an array of the archive", name)
    return found[str(name)]
