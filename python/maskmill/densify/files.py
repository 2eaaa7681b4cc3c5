"""The same on files: photos and what was painted on them, models, folders of results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need, written_whole
from maskmill._images import to_rgb8
from maskmill.densify.classmaps import write_class_map, write_probabilities
from maskmill.densify.labels import joined, read_labels
from maskmill.densify.legend import Legend
from maskmill.densify.model import Model
from maskmill.densify.pictures import open_picture
from maskmill.densify.prediction import TILE, Progress, predict

LARGE = 1 << 28
"""Pixels above which labels go straight into a TIFF on disk, unpacked."""

SUFFIXES = (".png", ".tif", ".h5")


class Strokes(NamedTuple):
    """Photos, what is painted on each (H, W), and what the numbers mean."""

    images: list[Any]
    labels: list[NDArray[Any]]
    legend: Legend


def read_strokes(
    photos: Sequence[Path], labels: Sequence[Path], *, legend: Any = None, conflict: str = "error"
) -> Strokes:
    """Photos, and what was painted on them in any program.

    Parameters
    ----------
    photos : paths
    labels : paths
        Of results of Doodler, what was drawn. One for each photo, in their order; several for one photo, which are laid
        over each other; or one for all: a folder of files called as the photos, or a file of several images (polygons,
        projects).
    legend, conflict
        As of `read_labels`.

    Raises
    ------
    ValueError
        If there are not as many labels as photos, or sizes differ.
    FileNotFoundError
        If a folder has no labels of a photo.
    """
    images = [open_picture(photo) for photo in photos]
    found = []
    for i, (photo, image) in enumerate(zip(photos, images, strict=True)):
        size = (int(image.shape[0]), int(image.shape[1]))
        sources = labels_of(photo, i, photos, labels)
        found.append(
            read_labels(
                [str(s) for s in sources],
                size=size,
                photo=photo,
                legend=legend,
                conflict=conflict,
                doodles=True,
            )
        )
    named = joined([(str(photo), part) for photo, part in zip(photos, found, strict=True)])
    return Strokes(images, [part.values for part in found], named)


def labels_of(photo: Path, i: int, photos: Sequence[Path], labels: Sequence[Path]) -> list[Path]:
    """Which of the labels are those of photo i."""
    if len(labels) == 1 and labels[0].is_dir():
        same = [
            file
            for file in sorted(labels[0].iterdir())
            if file.stem == photo.stem
            and file.suffix.lower() in (".png", ".tif", ".tiff", ".h5", ".npz", ".bmp")
        ]
        if not same:
            raise FileNotFoundError(2, f"has no labels called {photo.stem}", str(labels[0]))
        return same
    if len(labels) == 1 or len(photos) == 1:
        return list(labels)
    if len(labels) != len(photos):
        raise ValueError(
            f"labels must be one for each of {len(photos)} photos, or one for all, not {len(labels)}"
        )
    return [labels[i]]


def apply(
    model: Model,
    photo: Path,
    folder: Path,
    *,
    crf: Mapping[str, Any] | None = None,
    pinned: Sequence[Path] = (),
    suffix: str = ".png",
    probabilities: str | None = None,
    overlay: bool = False,
    tile: int = TILE,
    again: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any] | None:
    """Label a photo into `<folder>/<its stem>.png`, with a legend (`_classes.json`) and a report (`_report.json`).

    Parameters
    ----------
    crf, tile, progress
        As of `predict`.
    pinned : paths
        Labels of painted pixels, which they keep.
    suffix : ".png", ".tif" or ".h5"
        PNGs have a palette; ilastik opens `.h5`.
    probabilities : "npz" or "h5", optional
        Also write `<stem>_probabilities`, in half precision, or in single for ilastik.
    overlay : bool
        Also write `<stem>_overlay.jpg`, to look at.
    again : bool
        Also where all this has been done already, by the same model in the same way.

    Returns
    -------
    dict or None
        The report; None if there was nothing to do.
    """
    if suffix not in SUFFIXES:
        raise ValueError(f"suffix must be one of {', '.join(SUFFIXES)}, not {suffix!r}")
    if probabilities not in (None, "npz", "h5"):
        raise ValueError(f"probabilities must be npz or h5, not {probabilities!r}")
    target, told = folder / f"{photo.stem}{suffix}", folder / f"{photo.stem}_report.json"
    how = {
        "photo": str(photo),
        "model": model.digest,
        "crf": None if crf is None else dict(crf),
        "pinned": [str(path) for path in pinned],
        "probabilities": probabilities,
        "overlay": overlay,
    }
    if not again and target.exists() and _done(told) == json.loads(json.dumps(how)):
        return None
    image = open_picture(photo)
    size = (int(image.shape[0]), int(image.shape[1]))
    marks = None
    if pinned:
        sources = [str(path) for path in pinned]
        marks = read_labels(sources, size=size, photo=photo, legend=model.legend, doodles=True).values
    folder.mkdir(parents=True, exist_ok=True)
    asked: dict[str, Any] = {"crf": crf, "pinned": marks, "tile": tile, "progress": progress}
    if size[0] * size[1] > LARGE:
        if suffix != ".tif" or probabilities or overlay or crf is not None:
            found = f"{size[0]} x {size[1]} pixels"
            raise ValueError(f"{photo}: of {found} only labels can be written, as .tif, and without a CRF")
        report = _onto_disk(model, image, target, size, asked)
    else:
        report = _in_memory(model, image, target, probabilities, overlay, asked)
    with written_whole(told) as file:
        file.write(json.dumps({"made": how, **report}, indent=1, ensure_ascii=False).encode())
    return report


def _done(path: Path) -> Any:
    """How a result was made; None if it was not."""
    try:
        return json.loads(path.read_bytes())["made"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _in_memory(
    model: Model, image: Any, target: Path, probabilities: str | None, overlay: bool, asked: dict[str, Any]
) -> dict[str, Any]:
    result = predict(model, image, probabilities=probabilities is not None, **asked)
    if probabilities and result.probabilities is not None:
        kind = np.float16 if probabilities == "npz" else np.float32
        path = target.with_name(f"{target.stem}_probabilities.{probabilities}")
        write_probabilities(path, result.probabilities, result.classes, dtype=kind)
    if overlay:
        _write_overlay(target.with_name(f"{target.stem}_overlay.jpg"), image, result.labels, model.legend)
    write_class_map(target, result.labels, model.legend)
    return result.report


def _onto_disk(
    model: Model, image: Any, target: Path, size: tuple[int, int], asked: dict[str, Any]
) -> dict[str, Any]:
    """Labels into a TIFF that is mapped into memory, renamed at the end."""
    tifffile = need("tifffile", "em")
    part = target.with_name(f".{target.name}.part")
    dtype = np.uint8 if model.classes[-1] < 256 else np.uint16
    try:
        labels = tifffile.memmap(part, shape=size, dtype=dtype, photometric="minisblack", bigtiff=True)
        report = predict(model, image, labels=labels, probabilities=False, **asked).report
        labels.flush()
        del labels
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    model.legend.write(target.with_name(f"{target.stem}_classes.json"))
    return report


def _write_overlay(path: Path, image: Any, labels: NDArray[Any], legend: Legend) -> None:
    """The photo with the colours of the classes upon it."""
    import cv2

    picture = to_rgb8(np.asarray(image[:, :]))
    table = legend.table(int(labels.max()) + 1)
    mixed = cv2.addWeighted(picture, 0.55, np.ascontiguousarray(table[labels]), 0.45, 0)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(mixed, cv2.COLOR_RGB2BGR))
    if not done:
        raise FormatError(f"{path}: a picture of {mixed.shape} cannot be a JPEG")
    with written_whole(path) as file:
        file.write(data.tobytes())
