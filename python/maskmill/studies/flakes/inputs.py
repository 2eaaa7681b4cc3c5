"""What a layout is built from: photos, and flakes that somebody drew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskmill import _jobs
from maskmill import io as formats
from maskmill.dataset import Dataset, Reference, objects
from maskmill.dataset.sizes import image_size
from maskmill.io._labels import read_values
from maskmill.io._parse import read_pixels
from maskmill.io.images import IMAGE_SUFFIXES
from maskmill.masks import Masks
from maskmill.studies.flakes.annotations import of_masks

Progress = Callable[[int, int, str], None]
"""Called with how many are done, how many there are, and the name of the one that was done last."""


class Source(NamedTuple):
    """Flakes to build of, and what was no use."""

    dataset: Dataset
    """Its images have photos (`pixels`), its flakes have pixels."""
    left_out: list[tuple[str, str]]
    """Names, and reasons: no photo, no mask, sizes that differ, flakes without pixels or class."""


def pictures_of(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by stem, in order of their names.

    Raises
    ------
    ValueError
        If two have one stem, or there are none.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            if path.stem in found:
                raise ValueError(f"{path}: must not have the stem of {found[path.stem].name}")
            found[path.stem] = path
    if not found:
        raise ValueError(f"{folder}: there must be pictures in it, and there are none")
    return found


def read_source(
    path: str | Path,
    images: str | Path | None = None,
    *,
    format: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Source:
    """Flakes of whatever holds them.

    Parameters
    ----------
    path : file or folder
        A folder of label images, as `read_label_images` takes them, or anything that `maskmill.io.read` reads.
    images : folder of the photos, optional
        By default where the annotations say; of label images, a folder `images` beside theirs.
    format : str, optional
        As in `maskmill.io.read`; found out by default.
    **options : of the reader
    """
    place = Path(path)
    if format == "label_images" or (format is None and _only_pictures(place)):
        photos = place.parent / "images" if images is None else Path(images)
        if not photos.is_dir():
            raise ValueError(f"{photos}: must be the folder of the photos, and is none")
        return read_label_images(place, photos, progress=progress, **options)
    if images is not None:
        options["images"] = Path(images)
    return usable(formats.read(place, format, **options))


def source_of(
    source: Source | Dataset | str | Path, images: str | Path | None = None, progress: Progress | None = None
) -> Source:
    """A source as it is, of a data set, or what `read_source` reads."""
    if isinstance(source, Source):
        return source
    if isinstance(source, Dataset):
        return usable(source)
    return read_source(source, images, progress=progress)


def _only_pictures(folder: Path) -> bool:
    return folder.is_dir() and all(
        entry.suffix.lower() == ".png" for entry in folder.iterdir() if not entry.name.startswith(".")
    )


def read_label_images(
    folder: Path, images: Path, *, split_parts: bool = False, progress: Progress | None = None
) -> Source:
    """Flakes of a folder of instance label images: 0 is background, every other number a flake.

    Parameters
    ----------
    folder : label images, as `maskmill.io.label_images` reads them, each with the stem of its photo
    images : folder of photos
    split_parts : bool
        Make each part of a number a flake of its own (parts that touch at a corner are two).

    Returns
    -------
    Source
        Images in order of their names, numbered from 1; flakes by rising number within an image, numbered from 1.
    """
    labels, photos = pictures_of(folder), pictures_of(images)
    left_out = [(path.name, "has no photo") for stem, path in labels.items() if stem not in photos]
    left_out += [(path.name, "has no mask") for stem, path in photos.items() if stem not in labels]
    tasks = [(path, photos[stem], split_parts) for stem, path in labels.items() if stem in photos]
    names, masks, sizes, kept = [], [], [], []
    for (path, photo, _), (part, size, photo_size) in zip(tasks, _read_each(tasks, progress), strict=True):
        if size != photo_size:
            left_out.append((path.name, f"is {_text(size)} pixels, its photo {_text(photo_size)}"))
            continue
        names.append(photo.name)
        masks.append(part)
        sizes.append(size)
        kept.append(Reference(str(photo), "", read_pixels))
    return Source(of_masks(names, masks, sizes, pixels=objects(kept)), left_out)


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


Label = tuple[Masks, tuple[int, int], tuple[int, int]]


def _read_each(tasks: list[tuple[Path, Path, bool]], progress: Progress | None) -> list[Label]:
    """`_read_one` of each, by threads; the first failure is raised."""
    found: dict[int, Label] = {}
    with _jobs.Threads() as threads:
        for index, result in threads.map(_read_one, tasks):
            if isinstance(result, Exception):
                raise result
            found[index] = result
            if progress is not None:
                progress(len(found), len(tasks), tasks[index][0].name)
    return [found[index] for index in range(len(tasks))]


def _read_one(task: tuple[Path, Path, bool]) -> Label:
    labels, photo, split_parts = task
    image = read_values(labels)
    masks, _ = Masks.from_labels(image)
    if split_parts:
        masks, _ = masks.components(4)
    height, width = image.shape
    return masks, (height, width), image_size(photo)


def is_file(photo: Reference) -> bool:
    """Whether a photo is a file of its own, and not within an annotation file."""
    return photo.reader is read_pixels


def size_of(photo: Reference) -> tuple[int, int]:
    """(height, width) of a photo."""
    if is_file(photo):
        return image_size(photo.path)
    height, width = photo.read().shape[:2]
    return height, width


def usable(dataset: Dataset) -> Source:
    """A data set without images that have no photo and flakes that have no pixels or no class, which are told."""
    left_out: list[tuple[str, str]] = []
    names = dataset.images["file_name"].tolist()
    size = np.stack([dataset.images["height"], dataset.images["width"]], 1)
    has_photo = np.zeros(len(names), bool)
    for i, photo in enumerate(dataset.images["pixels"].tolist()):
        if photo is None:
            left_out.append((names[i], "has no photo"))
            continue
        found = size_of(photo)
        if not size[i].any():
            size[i] = found
        has_photo[i] = tuple(size[i].tolist()) == found
        if not has_photo[i]:
            left_out.append(
                (names[i], f"is {_text(tuple(size[i].tolist()))} pixels, its photo {_text(found)}")
            )
    dataset = dataset.replace(images=dataset.images.with_columns(height=size[:, 0], width=size[:, 1]))
    dataset = dataset.take(has_photo)
    empty = dataset.masks.area == 0
    no_class = dataset.instances["category"] < 0
    for reason, which in (("no pixels", empty), ("no class", no_class & ~empty)):
        for i in np.flatnonzero(which).tolist():
            name = dataset.images["file_name"][dataset.instances["image"][i]]
            left_out.append((name, f"flake {dataset.instances['id'][i]} has {reason}"))
    return Source(dataset.take(instances=~empty & ~no_class), left_out)
