"""What verbs take: annotations in whatever form, the scales of their images, what lies beside clips."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._device import on_host
from maskmill._files import FormatError
from maskmill.dataset import Dataset
from maskmill.masks import Masks
from maskmill.studies.zircon.sidecars import Clip, read_clip


def as_dataset(source: Any, options: dict[str, Any]) -> Dataset:
    """Of a data set, masks, a label image, or a path for `maskmill.io.read`, which gets the options."""
    if isinstance(source, str | Path):
        from maskmill import io as annotations

        return annotations.read(source, **options)
    if options:
        raise TypeError(f"options are for files: {', '.join(options)}")
    if isinstance(source, Dataset):
        return source
    values = None
    if not isinstance(source, Masks):
        source, values = Masks.from_labels(source)
    sizes, image = np.unique(source.sizes, axis=0, return_inverse=True)
    instances = {"id": np.arange(1, len(source) + 1) if values is None else values, "image": image.ravel()}
    images = {"height": sizes[:, 0], "width": sizes[:, 1]}
    return Dataset(images, {"name": ["grain"]}, {**instances, "category": np.zeros(len(source), int)}, source)


def scales_of(dataset: Dataset, scale: ArrayLike | None) -> NDArray[np.float64]:
    """(images,) µm per pixel, NaN where not known: the images' own, or one for all or for each."""
    n = len(dataset.images)
    if scale is None:
        return np.asarray(dataset.images["scale"], np.float64)
    given = on_host(scale, "scale", np.float64)
    if given.shape not in ((), (n,)):
        raise ValueError(
            f"scale must be one number or one for each of {n} images, not of shape {given.shape}"
        )
    bad = ~((given > 0) & (given < np.inf) | np.isnan(given))
    if bad.any():
        raise ValueError(f"scale must be above 0 µm per pixel, or NaN, not {given[bad].ravel()[0]:g}")
    return np.array(np.broadcast_to(given, n))


def clips_of(dataset: Dataset, folder: Path) -> list[Clip]:
    """What `clip` wrote beside each image, in the folder or in the folders of its samples.

    Raises
    ------
    FormatError
        If there is nothing of an image, or it is there twice.
    """
    beside: dict[str, list[Path]] = {}
    for path in (*folder.glob("*.json"), *folder.glob("*/*.json")):
        beside.setdefault(path.stem, []).append(path)
    out = []
    for name in dataset.images["file_name"].tolist():
        stem = PurePosixPath(name.replace("\\", "/")).name.rpartition(".")[0]
        found = beside.get(stem, [])
        if len(found) != 1:
            raise FormatError(
                f"{folder}: expected one {stem}.json of the image {name!r}, found {len(found) or 'none'}"
            )
        out.append(read_clip(found[0]))
    return out
