"""Semantic masks: one picture for each image, whose pixels are the numbers of the classes; and back."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill import _check, _jobs
from maskmill._files import written_whole
from maskmill.dataset import Dataset
from maskmill.io._labels import read_values, write_values
from maskmill.io._palette import write_indexed
from maskmill.masks import Masks
from maskmill.studies.flakes.annotations import annotations_of, class_ids, of_masks, with_classes
from maskmill.studies.flakes.inputs import Progress, pictures_of

OVERLAPS = {"order": 0, "small": 1, "error": 2}


def paint(
    masks: Masks, classes: NDArray[np.int64], size: tuple[int, int], *, overlap: str = "order"
) -> NDArray[Any]:
    """The semantic mask of one image, (H, W): 0 for background.

    Parameters
    ----------
    overlap : {"order", "small", "error"}
        Where flakes overlap: the later one wins, the smaller one, or ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import Masks
    >>> from maskmill.studies.flakes.semantics import paint
    >>> masks = Masks.encode(np.array([[[1, 1, 0]], [[1, 0, 0]], [[1, 1, 1]]], bool))
    >>> paint(masks, np.array([2, 1, 3]), (1, 3), overlap="small").tolist()
    [[1, 2, 3]]
    """
    _check.choice(overlap, "overlap", OVERLAPS)
    out = np.zeros(size, np.min_scalar_type(int(classes.max(initial=0))))
    if not len(masks):
        return out
    if overlap == "error" and int(masks.area.sum()) != int(masks.union().area[0]):
        raise ValueError("flakes overlap")
    order = np.arange(len(masks))
    if overlap == "small":
        order = np.argsort(-masks.area.astype(np.int64), kind="stable")
    return masks[order].labels(classes[order], out=out)


def semantic(
    source: Dataset | str | Path,
    folder: str | Path,
    *,
    min_area: int = 200,
    overlap: str = "order",
    palette: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the semantic mask of each image: `<stem>.png`, 8 bits (16 where there are classes above 255).

    Parameters
    ----------
    source : Dataset, or path of an annotation file
    folder : where to write
    min_area : flakes of fewer pixels are left out
    overlap : as in `paint`
    palette : bool
        Give pixels colours to look at; they stay numbers.

    Raises
    ------
    ValueError
        If flakes overlap and must not, or two images have one stem; names the image.
    """
    _check.choice(overlap, "overlap", OVERLAPS)
    dataset = annotations_of(source)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    names = dataset.images["file_name"].tolist()
    paths = [target / (PurePosixPath(name).stem + ".png") for name in names]
    if len(set(paths)) < len(paths):
        raise ValueError(f"{target}: images must have stems of their own, and some share one")
    large = dataset.take(instances=dataset.masks.area >= min_area)
    classes = class_ids(large)

    def write(i: int) -> None:
        rows = large.rows_of_image(i)
        image = large.images.row(i)
        try:
            painted = paint(
                large.masks[rows], classes[rows], (image["height"], image["width"]), overlap=overlap
            )
        except ValueError as error:
            raise ValueError(f"{names[i]}: {error}") from None
        write_labels(paths[i], painted, palette=palette)

    with _jobs.Threads() as threads:
        for done, (i, result) in enumerate(threads.map(write, range(len(paths))), 1):
            if isinstance(result, Exception):
                raise result
            if progress is not None:
                progress(done, len(paths), paths[i].name)
    return paths


def write_labels(path: Path, labels: NDArray[Any], *, palette: bool = False) -> None:
    """Write numbers as PNG: 8 bits, or 16 above 255; with `palette`, 8-bit indices of Pascal VOC's colours."""
    highest, most = int(labels.max(initial=0)), 255 if palette else 65535
    if highest > most:
        raise ValueError(
            f"{path}: numbers{' with a palette' * palette} must be at most {most}, not {highest}"
        )
    image = np.ascontiguousarray(labels, np.uint16 if highest > 255 else np.uint8)
    with written_whole(path) as file:
        if palette:
            write_indexed(file, image)
        else:
            write_values(file, image, ".png")


def instances(
    folder: str | Path,
    images: str | Path | None = None,
    *,
    min_area: int = 0,
    connectivity: int = 4,
    progress: Progress | None = None,
) -> Dataset:
    """The flakes of a folder of semantic masks: connected parts of each class.

    Parameters
    ----------
    folder : semantic masks
    images : folder of photos, optional
        Images are named as the photos of the same stems; as the masks by default.
    min_area : parts of fewer pixels are left out
    connectivity : {4, 8}
        With 8, flakes that touch at a corner become one.

    Returns
    -------
    Dataset
        Images in order of their names; flakes by class, then from left to right. Categories are the numbers found.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from maskmill.studies.flakes import instances
    >>> from maskmill.studies.flakes.semantics import write_labels
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> write_labels(folder / "a.png", np.array([[1, 0, 3], [0, 1, 3]]))
    >>> instances(folder).masks.area.tolist(), instances(folder, connectivity=8).masks.area.tolist()
    ([1, 1, 2], [2, 2])
    """
    paths = list(pictures_of(Path(folder)).values())
    masks, classes, sizes = [], [], []
    for done, path in enumerate(paths, 1):
        image = read_values(path)
        of_class, numbers = Masks.from_labels(image)
        parts, parent = of_class.components(connectivity)
        large = parts.area >= min_area
        masks.append(parts[large])
        classes.append(numbers[parent[large]].astype(np.int64))
        sizes.append(image.shape)
        if progress is not None:
            progress(done, len(paths), path.name)
    photos = {} if images is None else pictures_of(Path(images))
    file_names = [photos.get(path.stem, path).name for path in paths]
    number = np.concatenate(classes)
    names = {int(i): f"Class {i}" for i in np.unique(number)} or {1: "Class 1"}
    return with_classes(of_masks(file_names, masks, sizes), number, names)
