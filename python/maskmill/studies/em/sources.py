"""Patches to look at, wherever they lie: stores, pickles of cem-dataset, trees of `<dataset>/<name>.tiff`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.studies.em.names import dataset_of
from maskmill.studies.em.pickles import read_pickle
from maskmill.studies.em.tables import Table

SUFFIXES = (".tiff", ".tif")


class Failure(NamedTuple):
    """An input that could not be used, and why."""

    input: str
    reason: str


class Item(NamedTuple):
    """A patch and its name, without suffix."""

    name: str
    patch: NDArray[np.uint8]


@dataclass(frozen=True)
class Part:
    """A piece of work that is done as a whole: one pickle, one folder of pictures, one data set of a store.

    Attributes
    ----------
    key : str
        Its name, different from that of all other parts.
    dataset : str
    path : Path
        Where it lies.
    stamp : str
        Changes when the input does: from sizes and times of modification.
    manifest : callable or None
        Of a part of a store: gives the rows of its manifest, in the order of the patches.
    """

    key: str
    dataset: str
    path: Path
    stamp: str
    _items: Callable[[list[Failure]], Iterator[Item]]
    manifest: Callable[[], Table] | None = None

    def items(self, failed: list[Failure]) -> Iterator[Item]:
        """The patches. Pictures that cannot be read are added to `failed`; a pickle is read whole or raises."""
        return self._items(failed)


def find_parts(inputs: Iterable[str | Path]) -> list[Part]:
    """What the inputs consist of, sorted by data set and key. Patches are not read yet.

    Parameters
    ----------
    inputs : iterable of paths
        Pickles, folders of pickles, stores that `maskmill em patchify` wrote, trees `<dataset>/<name>.tiff`, or
        single folders of such a tree.

    Raises
    ------
    FileNotFoundError
        If an input is missing.
    FormatError
        If an input is a file of another kind.
    ValueError
        If two parts have one name.
    """
    found: dict[str, Part] = {}
    for path in map(Path, inputs):
        for part in _parts_of(path):
            other = found.setdefault(part.key, part)
            if other is not part:
                raise ValueError(
                    f"two inputs are called {part.key!r}: {other.path} and {part.path}; rename one, or use two outputs"
                )
    return sorted(found.values(), key=lambda part: (part.dataset, part.key))


def _parts_of(path: Path) -> Iterator[Part]:
    if not path.exists():
        raise FileNotFoundError(2, "no such file or folder", str(path))
    if path.is_file():
        if path.suffix.lower() != ".pkl":
            raise FormatError(
                f"{path}: must be a folder of patches or a pickle (.pkl), not {path.suffix or 'a file'}"
            )
        yield _pickle(path)
    elif (path / "run.json").exists():
        yield from _store(path)
    else:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        yield from (_pickle(Path(e.path)) for e in entries if e.is_file() and e.name.lower().endswith(".pkl"))
        folders = [path, *(Path(e.path) for e in entries if e.is_dir() and not e.name.startswith("."))]
        for folder in folders:
            pictures = list_pictures(folder)
            if pictures:
                yield _folder(folder, pictures)


def list_pictures(folder: Path) -> list[Path]:
    """The TIFF files of a folder, sorted by name."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name.lower().endswith(SUFFIXES) and not e.name.startswith(".")]
    return [folder / name for name in sorted(names)]


def _stamp(paths: Sequence[Path]) -> str:
    whole = hashlib.blake2b(digest_size=16)
    for path in paths:
        status = path.stat()
        whole.update(
            f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape")
        )
    return whole.hexdigest()


def _pickle(path: Path) -> Part:
    def items(_failed: list[Failure]) -> Iterator[Item]:
        names, patches = read_pickle(path)
        seen: set[str] = set()
        for name, patch in zip(names, patches, strict=True):
            if name in seen:
                raise FormatError(f"{path}: holds two patches called {name!r}")
            seen.add(name)
            yield Item(name, patch)

    return Part(path.stem, dataset_of(path.stem), path, _stamp([path]), items)


def _folder(folder: Path, pictures: list[Path]) -> Part:
    name = folder.resolve().name

    def items(failed: list[Failure]) -> Iterator[Item]:
        seen: dict[str, Path] = {}
        for path in pictures:
            try:
                if path.stem in seen:
                    raise FormatError(f"{path}: has the name of {seen[path.stem].name}")
                seen[path.stem] = path
                yield Item(path.stem, read_picture(path))
            except (OSError, ValueError) as error:
                failed.append(Failure(str(path), str(error)))

    return Part(name, name, folder, _stamp(pictures), items)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A patch from a file of its own: (H, W) uint8.

    Raises
    ------
    FormatError
        If it cannot be read, or is something else.
    """
    from maskmill.io.images import read_image

    image = read_image(path)
    if image.dtype != np.uint8 or image.ndim != 2 or not image.size:
        raise FormatError(f"{path}: must be a grey picture of 8 bits, not {image.shape} of {image.dtype}")
    return image


def _store(path: Path) -> Iterator[Part]:
    from maskmill.studies.em.store import open_store

    store = open_store(path)
    datasets, names = (store.manifest[column].astype(str) for column in ("dataset", "name"))
    order = store.storage_order()
    for dataset in np.unique(datasets).tolist():
        rows = order[datasets[order] == dataset]

        def items(_failed: list[Failure], rows: NDArray[np.int64] = rows) -> Iterator[Item]:
            for row, patch in zip(rows.tolist(), store.patches(rows.tolist()), strict=True):
                yield Item(str(names[row]), patch)

        def manifest(rows: NDArray[np.int64] = rows) -> Table:
            return {column: values[rows] for column, values in store.manifest.items()}

        text = "\n".join(f"{names[row]} {store.manifest['shard'][row]}" for row in rows.tolist())
        stamp = hashlib.blake2b(text.encode(), digest_size=16).hexdigest() + _stamp([path / "run.json"])
        yield Part(dataset, dataset, path, stamp, items, manifest)
