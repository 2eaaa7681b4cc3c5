"""`pack`: results made of pictures and label images; and trials put upon results that are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.io._labels import read_values
from maskmill.io._parse import stem
from maskmill.io.doodler import colour_map, coloured, one_hot, read_arrays, write_arrays
from maskmill.io.exif import orientation, upright
from maskmill.io.images import IMAGE_SUFFIXES, read_image
from maskmill.studies.coast.labelled import checked_base
from maskmill.studies.coast.ledger import Failure, Progress, Report, Row, Source, on_each
from maskmill.studies.coast.timeline import counts

_ENDINGS = ("_remap_label", "_label", "_doodles", "_image")
"""What Doodler's utilities and Coast Train put behind the name that image and label have in common."""
_LOSSY = (".jpg", ".jpeg", ".webp")


def pack(
    images: str | Path,
    labels: str | Path,
    folder: str | Path,
    classes: Sequence[str],
    *,
    base: int = 0,
    doodles: str | Path | None = None,
    user: str = "",
    onto: str | Path | None = None,
    snap: bool = False,
    processes: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write results, `NAME.npz`, from pictures and label images that have the same name.

    Endings `_label`, `_remap_label`, `_image` and `_doodles` are no part of names. Pictures are turned as tag 274 of
    EXIF says, and `orig_image` is as it is stored, as Doodler has it.

    Parameters
    ----------
    images, labels : path
        Folders, or a picture and its label image.
    folder : path
        To write to. Given again after an interruption, it goes on.
    classes : sequence of str
        Names, in the order of the ids.
    base : {0, 1}
        The first id. Pixels without a class are 255 with base 0, and 0 with base 1. Labels of three channels are
        decoded by Doodler's colours; black is none.
    doodles : path, optional
        Folder (or an image) of what was drawn: class + 1, 0 for none, as `unpack` writes it.
    user : str
        Put behind names, after `_`.
    onto : path, optional
        Folder of results: where one has the name, the new trial is put upon its trials, which become older ones.
    snap : bool
        Take values that are no class's for the nearest one that is. Of JPEG, which changes values, that is done always;
        the manifest has the number of pixels.

    Raises
    ------
    ValueError
        If labels are not found for any picture, or two files have one name. What is wrong with one of them is in the
        report.

    Examples
    --------
    >>> import tempfile
    >>> from maskmill.io.pictures import write_picture
    >>> from maskmill.studies.coast import pack, read
    >>> place = Path(tempfile.mkdtemp())
    >>> write_picture(place / "dune.png", np.zeros((2, 3, 3), np.uint8))
    >>> write_picture(place / "dune_label.png", np.array([[0, 1, 1], [0, 0, 255]], np.uint8))
    >>> pack(place / "dune.png", place / "dune_label.png", place / "out", ["water", "land"], user="db").failed
    []
    >>> [trial] = read(place / "out" / "dune_db.npz")
    >>> trial.labels().tolist()
    [[1, 2, 2], [1, 1, 0]]
    """
    names = [str(name) for name in classes]
    if isinstance(classes, str) or not 0 < len(names) <= 24:
        raise ValueError(f"classes must be 1 to 24 names, not {classes!r}")
    if user and not user.replace("-", "").isalnum():
        raise ValueError(f"user must be letters, digits and -, not {user!r}")
    pictures, drawn = by_name(Path(images)), {} if doodles is None else by_name(Path(doodles))
    below = None if onto is None else Path(onto)
    if below is not None and below.resolve() == Path(folder).resolve():
        raise ValueError(f"{folder}: must be another folder than that of the results to put trials upon")
    given, missing = [], []
    for name, path in by_name(Path(labels)).items():
        if name in pictures:
            others = [pictures[name], *filter(None, [drawn.get(name)])]
            if below is not None and (below / _npz(name, user)).is_file():
                others.append(below / _npz(name, user))
            given.append(Source(path, name, tuple(others)))
        else:
            said = f"{path}: expected a picture of this name in {images}, found none"
            missing.append(Failure(str(path), said))
    if not given:
        raise ValueError(f"{labels}: expected label images with names of pictures in {images}, found none")
    wish = _Wish(Path(folder), pictures, drawn, tuple(names), checked_base(base), user, below, snap)
    report = on_each(
        given,
        Path(folder),
        partial(_pack, wish),
        verb="pack",
        settings={"classes": names, "base": base, "user": user, "snap": snap, "onto": onto and str(onto)},
        processes=processes,
        overwrite=overwrite,
        progress=progress,
    )
    report.failed += missing
    return report


def _npz(name: str, user: str) -> str:
    return f"{name}_{user}.npz" if user else f"{name}.npz"


def by_name(path: Path) -> dict[str, Path]:
    """Images by their name without endings; ValueError if two have the same."""
    files = [path]
    if path.is_dir():
        files = sorted(
            file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
        )
    found: dict[str, Path] = {}
    for file in files:
        name = stem(file.name)
        ending = next((ending for ending in _ENDINGS if name.endswith(ending) and name != ending), "")
        other = found.setdefault(name.removesuffix(ending), file)
        if other != file:
            raise ValueError(f"{file}: must have a name of its own, not that of {other}")
    return found


@dataclass(frozen=True)
class _Wish:
    folder: Path
    pictures: dict[str, Path]
    drawn: dict[str, Path]
    classes: tuple[str, ...]
    base: int
    user: str
    onto: Path | None
    snap: bool


def _pack(wish: _Wish, source: Source) -> list[Row]:
    n = len(wish.classes)
    original, turn = read_turned(wish.pictures[source.name])
    image = upright(original, turn)
    labels, snapped = read_label(source.path, n, wish.base, snap=wish.snap)
    _same_size(source.path, labels, wish.pictures[source.name], image)
    doodles = np.zeros_like(labels)
    if source.name in wish.drawn:
        doodles, _ = read_label(wish.drawn[source.name], n, 1, snap=False)
        _same_size(wish.drawn[source.name], doodles, wish.pictures[source.name], image)
    name = _npz(source.name, wish.user)
    arrays = trial_arrays(image, labels, doodles, wish.classes, original=original)
    below = None if wish.onto is None else wish.onto / name
    write_arrays(wish.folder / name, on_top(arrays, below if below is not None and below.is_file() else None))
    return [
        {
            "files": [name],
            "name": source.name,
            "image": wish.pictures[source.name].name,
            "turned_by_exif": turn,
            "classes": list(wish.classes),
            "base": wish.base,
            "snapped": snapped,
            "pixels": counts(labels, wish.classes),
            "upon": "" if below is None or not below.is_file() else str(below),
        }
    ]


def read_turned(path: Path) -> tuple[NDArray[np.uint8], int]:
    """A picture as it is stored, and how it is to be turned."""
    image = read_image(path)
    if image.dtype != np.uint8:
        raise FormatError(f"{path}: expected an image of 8 bits, found {image.dtype}")
    return image, orientation(path.read_bytes())


def read_label(path: Path, n: int, base: int, *, snap: bool) -> tuple[NDArray[np.uint8], int]:
    """(H, W) class + 1 of a label image of n classes, 0 for none, and how many pixels had a value that is no class's.

    Raises
    ------
    FormatError
        If there are such pixels, the image was not stored as JPEG or WebP, and nobody asked for the nearest value.
    """
    snap = snap or path.suffix.lower() in _LOSSY
    none = 0 if base == 1 else 255
    codes = read_values(path)
    met, index = np.unique(codes, return_inverse=True)
    found = met.astype(np.int64)[:, None]
    valid = np.array([none, *range(base, base + n)], np.int64)[:, None]
    if codes.dtype == np.uint32:  # colours, or gray values three times
        found = np.concatenate([found >> shift & 255 for shift in (0, 8, 16)], 1)
        if (found == found[:, :1]).all():
            found = found[:, :1]
        else:
            valid = np.concatenate([np.zeros((1, 3), np.int64), colour_map(n)[:n].astype(np.int64)])
    least, nearest = np.full(len(found), np.iinfo(np.int64).max), np.zeros(len(found), np.int64)
    for k, value in enumerate(valid):
        distance = ((found - value) ** 2).sum(1)
        nearest[distance < least] = k
        least = np.minimum(least, distance)
    wrong = least > 0
    index = index.reshape(codes.shape)
    snapped = int(np.count_nonzero(wrong[index])) if wrong.any() else 0
    if snapped and not snap:
        y, x = np.argwhere(wrong[index])[0].tolist()
        shown = found[index[y, x]].tolist()
        raise FormatError(
            f"{path}: expected values of {n} classes from {base}, {none} for none, or their colours; found "
            f"{shown if len(shown) > 1 else shown[0]} at row {y}, column {x}"
        )
    return nearest.astype(np.uint8)[index], snapped


def _same_size(path: Path, labels: NDArray[Any], picture: Path, image: NDArray[Any]) -> None:
    if labels.shape != image.shape[:2]:
        raise FormatError(
            f"{path}: expected {image.shape[0]} x {image.shape[1]} pixels as {picture.name}, found "
            f"{labels.shape[0]} x {labels.shape[1]}"
        )


def trial_arrays(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    doodles: NDArray[np.uint8],
    classes: Sequence[str],
    *,
    original: NDArray[np.uint8] | None = None,
    settings: Sequence[float] = (),
) -> list[tuple[str, NDArray[Any]]]:
    """The variables of a trial, as Doodler writes them; `labels` and `doodles` are class + 1, 0 for none."""
    made = [
        ("image", image),
        ("orig_image", image if original is None else original),
        ("label", one_hot(labels)),
        ("color_doodles", coloured(doodles, image, len(classes))),
        ("doodles", doodles),
    ]
    if len(settings):
        made.append(("settings", np.asarray(settings, np.float64)))
    return [*made, ("classes", np.asarray(classes, np.str_))]


def on_top(
    arrays: Iterable[tuple[str, NDArray[Any]]], below: Path | None = None
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The variables of a file with one more trial: a 0 before the names of those that are there, and the new ones."""
    for name, array in read_arrays(below) if below is not None else ():
        yield f"0{name}", array
    yield from arrays
