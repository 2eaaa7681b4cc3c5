"""What was painted on a photo, in whatever program: ilastik, Doodler, label images, polygons; one file or more."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import io
from maskmill._device import on_host
from maskmill._files import FormatError
from maskmill.dataset import Dataset
from maskmill.densify.classmaps import class_map, is_classified, read_classified
from maskmill.densify.legend import Legend
from maskmill.io._semantic import label_image, read_rows

CONFLICTS = ("error", "first", "last", "none")
MOST_CLASSES = 4096
"""Of a label image: one with more values is a picture, or labels of instances."""
_RASTERS = (".png", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Labels:
    """Attributes
    ----------
    values : (H, W) uint8 or uint16
        Ids of classes, 0 where nothing was painted.
    legend : Legend
        Of the classes that occur, at least.
    conflicts : int
        Pixels that files gave different classes.
    notes : tuple of str
        What was guessed.
    """

    values: NDArray[Any]
    legend: Legend
    conflicts: int = 0
    notes: tuple[str, ...] = ()


def read_labels(
    sources: Any,
    *,
    size: tuple[int, int] | None = None,
    photo: str | os.PathLike[str] | None = None,
    legend: Any = None,
    merge: Mapping[str, str] | None = None,
    conflict: str = "error",
    doodles: bool = False,
) -> Labels:
    """Labels of one photo, laid over each other.

    Parameters
    ----------
    sources : path or (H, W) integers, or a list of such
        Whatever `maskmill.io.read` knows: exports and projects of ilastik, results of Doodler (the newest trial), label
        images whose numbers are classes, polygons with classes. Of files with several images, the one that is called
        as the photo.
    size : (height, width), optional
        Of the photo: labels of another size are refused.
    photo : path, optional
        Of which the name, and where formats do not hold the size, the size is taken.
    legend : whatever `Legend.of` takes, optional
        The classes wanted. Classes of a file that has names are found in it by name, others by number. Without it,
        the legend is what the files say; two files must not give one number different names.
    merge : mapping of names to names, optional
        Classes that are counted as others.
    conflict : {"error", "first", "last", "none"}
        Where files give a pixel different classes: refuse that, take the first or the last file's, or none.
    doodles : bool
        Of results of Doodler, take what was drawn, not what came of it.

    Raises
    ------
    ValueError
        If sizes differ, a file has a class that the legend does not know, or files disagree.
    FormatError
        If a file is not what it should be.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.densify import read_labels
    >>> left, right = np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.uint8)
    >>> left[:, :2], right[:, 1:] = 1, 2
    >>> found = read_labels([left, right], legend=["clast", "matrix"], conflict="none")
    >>> found.values[0].tolist(), found.conflicts, found.legend.name(2)
    ([1, 0, 2, 2], 2, 'matrix')
    """
    if conflict not in CONFLICTS:
        raise ValueError(f"conflict must be one of {', '.join(CONFLICTS)}, not {conflict!r}")
    several = sources if isinstance(sources, Sequence) and not isinstance(sources, str) else [sources]
    if not len(several):
        raise ValueError("labels must be one file or more, not none")
    wanted = Legend.of(legend)
    parts = []
    for i, source in enumerate(several):
        if isinstance(source, str | os.PathLike):
            name, part = str(source), _of_file(Path(source), None if photo is None else Path(photo), doodles)
        else:
            name, part = f"labels {i}", Labels(class_map(source), Legend({}))
        parts.append((name, _in_terms_of(part, wanted, merge or {}, name)))
    size = size or parts[0][1].values.shape[:2]
    for name, part in parts:
        if part.values.shape != tuple(size):
            found = " x ".join(map(str, part.values.shape))
            raise ValueError(
                f"{name}: labels must have the size of the photo, {size[0]} x {size[1]}, not {found}"
            )
    values, conflicts = _laid_over([part.values for _, part in parts], conflict, [name for name, _ in parts])
    named = wanted if len(wanted) else joined(parts)
    notes = tuple(note for _, part in parts for note in part.notes)
    return Labels(values, named.with_ids(np.unique(values).tolist()), conflicts, notes)


def _laid_over(layers: list[NDArray[Any]], conflict: str, names: list[str]) -> tuple[NDArray[Any], int]:
    out = layers[0].astype(np.result_type(*layers))
    torn = np.zeros(out.shape, bool)
    for name, layer in zip(names[1:], layers[1:], strict=True):
        differ = (layer > 0) & (out > 0) & (layer != out)
        if conflict == "error" and differ.any():
            y, x = np.argwhere(differ)[0].tolist()
            raise ValueError(
                f"{name}: {int(differ.sum()):,} pixels have another class than before, the first at row {y}, "
                f"column {x}; say which counts: conflict 'first', 'last' or 'none'"
            )
        torn |= differ
        out = np.where((layer > 0) & ((out == 0) | (conflict == "last")), layer, out)
    if conflict == "none":
        out[torn] = 0
    return out.astype(np.uint8 if int(out.max(initial=0)) < 256 else np.uint16), int(torn.sum())


def joined(parts: Sequence[tuple[str, Labels]]) -> Legend:
    """One legend of those of several files, by name of the file. ValueError if a number has two names."""
    names: dict[int, str] = {}
    colours: dict[int, Any] = {}
    for file, part in parts:
        for number in part.legend:
            name = part.legend.name(number)
            if names.setdefault(number, name) != name:
                raise ValueError(
                    f"{file}: class {number} is called {name!r}, and {names[number]!r} before: give a legend"
                )
        colours = {**part.legend.colours, **colours}
    return Legend(names, colours)


def _in_terms_of(part: Labels, wanted: Legend, merge: Mapping[str, str], file: str) -> Labels:
    """The same labels with the numbers of the legend that is wanted, classes merged."""
    if not len(wanted) and not merge:
        return part
    target = wanted if len(wanted) else part.legend
    unknown = [name for name in merge if name not in [*part.legend.names.values(), *target.names.values()]]
    if unknown:
        known = (
            ", ".join([*part.legend.names.values(), *target.names.values()]) or "a legend, and none is given"
        )
        raise ValueError(f"{file}: classes to merge must be of {known}, not {unknown[0]!r}")
    number_of: dict[int, int] = {0: 0}
    for number in np.unique(part.values).tolist():
        if number == 0:
            continue
        named = number in part.legend.names
        if not named and number not in target.names:
            raise ValueError(f"{file}: class {number} must be in the legend, which has {_listed(target)}")
        name = part.legend.name(number) if named else target.name(number)
        try:
            number_of[number] = target.id_of(merge.get(name, name))
        except ValueError:
            raise ValueError(
                f"{file}: class {merge.get(name, name)!r} must be in the legend, which has {_listed(target)}"
            ) from None
    values, index = np.unique(part.values, return_inverse=True)
    table = np.array([number_of[v] for v in values.tolist()], np.uint16)
    return Labels(table[index].reshape(part.values.shape), target, part.conflicts, part.notes)


def _listed(legend: Legend) -> str:
    return ", ".join(f"{i} {legend.name(i)}" for i in legend) or "none"


# Files


def _of_file(path: Path, photo: Path | None, doodles: bool) -> Labels:
    if is_classified(path):
        found = read_classified(path)
        return Labels(found.values, found.legend)
    options: dict[str, Any] = {}
    if path.suffix.lower() in _RASTERS and not path.is_dir():
        options = {"format": "label_images", "values": "classes"}
    elif photo is not None and path.exists():
        reader = io.sniff(path).module.read
        if "images" in inspect.signature(reader).parameters:
            options = {"images": photo.parent}
    dataset = io.read(path, **options)
    if not len(dataset):
        raise FormatError(f"{path}: expected labels of an image, found none")
    i = _which(dataset, path, photo)
    about = (
        dataset.categories["attributes"]
        if "attributes" in dataset.categories
        else [None] * len(dataset.categories)
    )
    ids = _ids(dataset.categories["id"])
    if options.get("format") == "label_images" and len(dataset.categories) > MOST_CLASSES:
        n = len(dataset.categories)
        raise FormatError(
            f"{path}: expected up to {MOST_CLASSES:,} classes, found {n:,} values: is it a picture?"
        )
    names = [str(name) for name in dataset.categories["name"]]
    drawn = (dataset.images["attributes"][i] or {}).get("doodles") if doodles else None
    rows = label_image(dataset, i) if drawn is None else read_rows(dataset, drawn)
    values = np.concatenate([[0], ids])[rows].astype(np.uint16)
    # Numbers that nobody named are called by their number by readers: those are no names.
    named = {
        n: name for n, name in zip(ids.tolist(), names, strict=True) if name not in (str(n), f"Label {n}")
    }
    colours = {
        number: tuple(int(v) for v in row["color"][:3])
        for number, row in zip(ids.tolist(), about, strict=True)
        if isinstance(row, Mapping) and isinstance(row.get("color"), list) and number in named
    }
    beside = path.with_name(f"{path.stem}_classes.json")
    if options.get("format") == "label_images" and beside.is_file():
        legend = Legend.of(beside)
        named, colours = dict(legend.names), dict(legend.colours)
    said = dataset.info.get("ilastik", {})
    guessed = [f"{file}: axes were guessed to be {row['axes']}" for file, row in said.items()
               if isinstance(row, Mapping) and row.get("axes_guessed")]  # fmt: skip
    return Labels(values, Legend(named, colours), 0, tuple(guessed))  # type: ignore[arg-type]


def _ids(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of categories; 1, 2, ... where they are not above 0."""
    return ids if not len(ids) or 1 <= ids.min() <= ids.max() <= 65535 else np.arange(1, len(ids) + 1)


def _which(dataset: Dataset, path: Path, photo: Path | None) -> int:
    """The row of the photo: the only one, or that of its name, or of Doodler's trials the newest."""
    names = [Path(str(name).replace("\\", "/")) for name in dataset.images["file_name"]]
    if len(names) == 1 or "doodler" in dataset.info:
        return 0
    same = [i for i, name in enumerate(names) if photo is not None and name.name == photo.name]
    same = same or [i for i, name in enumerate(names) if photo is not None and name.stem == photo.stem]
    if len(same) != 1:
        what = "no photo is named" if photo is None else f"{len(same)} are called {photo.name}"
        shown = ", ".join(map(str, names[:5]))
        raise ValueError(
            f"{path}: must have labels of one image, or one called as the photo; {what} of {shown}"
        )
    return same[0]


def checked_photo(photo: ArrayLike) -> NDArray[Any]:
    """(H, W, 3) uint8 of a photo; gray is repeated, alpha left out."""
    image = on_host(photo, "a photo")
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            f"a photo must be (H, W) or (H, W, bands) and have pixels, not of shape {image.shape}"
        )
    if image.ndim == 3 and image.shape[2] not in (1, 3, 4):
        raise ValueError(f"a photo must have 1, 3 or 4 bands, not {image.shape[2]}")
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise TypeError(f"a photo must have 8 or 16 bits, not {image.dtype}")
    if image.ndim == 2 or image.shape[2] == 1:
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(image[..., :3])
