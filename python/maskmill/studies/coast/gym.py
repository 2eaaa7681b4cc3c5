"""`npz4gym`: pairs of a picture and a one-hot label, as Segmentation Gym takes them; and such files read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill._images import to_rgb8
from maskmill.io.doodler import read_arrays, write_arrays
from maskmill.io.pictures import write_picture
from maskmill.studies.coast.labelled import TRIALS, find_sources, labelled
from maskmill.studies.coast.ledger import Progress, Report, Row, Source, on_each, sources
from maskmill.studies.coast.mapping import Remap
from maskmill.studies.coast.pictures import beside
from maskmill.studies.coast.timeline import counts


@dataclass(frozen=True)
class Pair:
    """A file of Segmentation Gym.

    Attributes
    ----------
    image : (H, W) or (H, W, bands) array
    labels : (H, W) uint8, optional
        Class + 1, 0 for none; None if the file has no label.
    classes : int
        How many layers the label has.
    files : tuple of str
        The files that it was made of, if it says so.
    """

    image: NDArray[Any]
    labels: NDArray[np.uint8] | None
    classes: int
    files: tuple[str, ...]


def npz4gym(
    path: str | Path,
    folder: str | Path,
    *,
    trials: str = "newest",
    bands: str = "rgb",
    remap: Remap | None = None,
    classes: Sequence[str] = (),
    processes: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write results as `NAME_<N>classes_4zoo.npz`: `arr_0`, the picture, and `arr_1`, the label, one-hot.

    The label has a layer for each of the N classes, also for those that do not occur: in results, the last ones of
    these have none. Pixels without a class are 0 in all layers.

    Parameters
    ----------
    path : path
        A result, or a folder with such files or folders of them.
    folder : path
        To write to. Given again after an interruption, it goes on.
    trials : {"newest", "all"}
    bands : {"rgb", "all"}
        Three bands of every picture, or those that it has.
    remap : Remap, optional
        What classes become.
    classes : sequence of str
        Names for files that have none.

    Examples
    --------
    >>> import tempfile
    >>> from maskmill.studies.coast import npz4gym, read_gym
    >>> place = Path(tempfile.mkdtemp())
    >>> label = np.eye(2, dtype=np.uint8)[[[0, 1, 1]]]
    >>> image = np.zeros((1, 3, 3), np.uint8)
    >>> np.savez(place / "dune_db.npz", image=image, label=label, classes=["water", "land", "cloud"])
    >>> npz4gym(place / "dune_db.npz", place / "gym").rows[0]["files"]
    ['dune_db_3classes_4zoo.npz']
    >>> pair = read_gym(place / "gym" / "dune_db_3classes_4zoo.npz")
    >>> pair.classes, pair.labels.tolist()
    (3, [[1, 2, 2]])
    """
    for given, name, choices in ((trials, "trials", TRIALS), (bands, "bands", ("rgb", "all"))):
        if given not in choices:
            raise ValueError(f"{name} must be {' or '.join(choices)}, not {given!r}")
    return on_each(
        find_sources(path),
        Path(folder),
        partial(_write, Path(folder), trials, bands, remap, classes),
        verb="npz4gym",
        settings={
            "trials": trials,
            "bands": bands,
            "remap": remap and remap.to_json(),
            "classes": list(classes),
        },
        processes=processes,
        overwrite=overwrite,
        progress=progress,
    )


def _write(
    folder: Path, trials: str, bands: str, remap: Remap | None, classes: Sequence[str], source: Source
) -> list[Row]:
    rows = []
    for one in labelled(source, trials, classes, remap):
        labels, image, n = one.labels(), one.image(), len(one.classes)
        name = f"{one.name}_{n}classes_4zoo.npz"
        label = np.equal(labels[..., None], np.arange(1, n + 1, dtype=np.uint8)).astype(np.uint8)
        write_arrays(
            folder / name, [("arr_0", to_rgb8(image) if bands == "rgb" else image), ("arr_1", label)]
        )
        rows.append({**one.row(labels), "files": [name]})
    return rows


def read_gym(path: str | Path) -> Pair:
    """A file of Segmentation Gym: `arr_0`, `arr_1` and, if it has them, `num_bands` and `files`.

    Raises
    ------
    FormatError
        If it has no `arr_0`, or an array is not what it should be. Pickles are never loaded.
    """
    path = Path(path)
    found = dict(read_arrays(path, ("arr_0", "arr_1", "num_bands", "files")))
    image, label = found.get("arr_0"), found.get("arr_1")
    if image is None or image.ndim not in (2, 3) or 0 in image.shape or image.dtype.kind not in "uif":
        said = "none" if image is None else f"{image.dtype} of {image.shape}"
        raise FormatError(f"{path}: arr_0: expected an image, (H, W[, bands]), found {said}")
    files = found.get("files", np.empty(0, "U1"))
    if files.dtype.kind != "U":
        raise FormatError(f"{path}: files: expected names, found {files.dtype}")
    names = tuple(map(str, np.atleast_1d(files).tolist()))
    bands = found.get("num_bands")
    if bands is not None and (
        bands.size != 1 or bands.dtype.kind not in "iu" or image.shape[2:] != (bands.item(),)
    ):
        raise FormatError(
            f"{path}: num_bands: expected the bands of {image.shape}, found {bands.ravel()[:3].tolist()}"
        )
    if label is None:
        return Pair(image, None, 0, names)
    if (
        label.ndim != 3
        or label.dtype.kind not in "bui"
        or label.shape[:2] != image.shape[:2]
        or label.shape[2] > 255
    ):
        raise FormatError(
            f"{path}: arr_1: expected {image.shape[:2]} pixels and up to 255 classes, found {label.dtype} of "
            f"{label.shape}"
        )
    if int(label.max(initial=0)) > 1 or int(label.min(initial=0)) < 0:
        raise FormatError(f"{path}: arr_1: expected 0 and 1, found {label.min()} to {label.max()}")
    if label.size and int(label.sum(axis=2).max()) > 1:
        raise FormatError(f"{path}: arr_1: expected one class for each pixel, found several")
    index = (label * np.arange(1, label.shape[2] + 1)).sum(axis=2).astype(np.uint8)
    return Pair(image, index, label.shape[2], names)


def show_gym(
    path: str | Path,
    folder: str | Path,
    *,
    classes: Sequence[str] = (),
    processes: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write a picture of each file of Segmentation Gym, `NAME_disp.png`: the image, and the label upon it.

    Parameters
    ----------
    path : path
        A file (`*_4zoo.npz`), or a folder with such files or folders of them.
    folder : path
        To write to. Given again after an interruption, it goes on.
    classes : sequence of str
        Names; the files have none.

    Raises
    ------
    FormatError
        If a folder has no such files.
    """
    path = Path(path)
    files = sorted(file for file in path.rglob("*4zoo*.npz") if file.is_file()) if path.is_dir() else [path]
    if not files:
        raise FormatError(f"{path}: expected files of Segmentation Gym (*_4zoo.npz), found none")
    return on_each(
        sources(files, path),
        Path(folder),
        partial(_show, Path(folder), tuple(classes)),
        verb="show_gym",
        settings={"classes": list(classes)},
        processes=processes,
        overwrite=overwrite,
        progress=progress,
    )


def _show(folder: Path, classes: tuple[str, ...], source: Source) -> list[Row]:
    pair = read_gym(source.path)
    labels = np.zeros(pair.image.shape[:2], np.uint8) if pair.labels is None else pair.labels
    if classes and len(classes) != pair.classes:
        raise FormatError(f"{source.path}: arr_1: expected {len(classes)} classes, found {pair.classes}")
    names = classes or tuple(str(k + 1) for k in range(pair.classes))
    name = f"{source.name}_disp.png"
    write_picture(folder / name, beside(to_rgb8(pair.image), np.zeros_like(labels), labels, names))
    return [{"files": [name], "name": source.name, "classes": list(names), "pixels": counts(labels, names)}]
