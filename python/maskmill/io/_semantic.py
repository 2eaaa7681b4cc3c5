"""What formats with one class per pixel share: label images of instances, and instances of label images.

Label images have the row of the category plus 1, 0 being nothing: ids of categories may be any numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset import Dataset, Reference
from maskmill.masks import Masks


def label_image(dataset: Dataset, i: int) -> NDArray[np.int64]:
    """The classes of the pixels of image i: as it has them, otherwise those of its instances."""
    reference = dataset.images["semantic"][i]
    return painted(dataset, i)[0] if reference is None else read_rows(dataset, reference)


def read_rows(dataset: Dataset, reference: Reference) -> NDArray[np.int64]:
    """A label image with ids of categories, as their rows plus 1.

    Raises
    ------
    ValueError
        If it has a value that is no category's id.
    """
    found = np.asarray(reference.read())
    if found.ndim != 2 or found.dtype.kind not in "biu":
        raise ValueError(
            f"{reference}: must be an (H, W) label image, not {found.dtype} of shape {found.shape}"
        )
    row_of = {int(number): row for row, number in enumerate(dataset.categories["id"], 1)} | {0: 0}
    values, index = np.unique(found, return_inverse=True)
    unknown = next((value for value in values.tolist() if value not in row_of), None)
    if unknown is not None:
        raise ValueError(f"{reference}: must have ids of categories, not the value {unknown}")
    rows = np.asarray([row_of[value] for value in values.tolist()], np.int64)
    return rows[index].reshape(found.shape)


def painted(dataset: Dataset, i: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The classes of the pixels of the instances of image i, and their rows plus 1; a later one covers an earlier one.

    Instances without a class are left out.
    """
    h, w = int(dataset.images["height"][i]), int(dataset.images["width"][i])
    if not h or not w:
        name = dataset.images["file_name"][i]
        raise ValueError(f"image {name!r}: its size is not known; give the folder of the images")
    rows = dataset.rows_of_image(i)
    rows = rows[dataset.instances["category"][rows] >= 0]
    instances = np.zeros((h, w), np.int64)
    if len(rows):
        instances = dataset.masks[rows].labels(rows + 1, out=instances)
    class_of = np.concatenate([[0], dataset.instances["category"] + 1])
    return class_of[instances], instances


def parts(labels: NDArray[Any]) -> tuple[Masks, NDArray[np.int64]]:
    """Connected parts (8 neighbours) of each class of a label image, and the class of each: the order that counts."""
    masks, values = Masks.from_labels(labels)
    found, of = masks.components()
    return found, values[of]


def with_parts(dataset: Dataset) -> Dataset:
    """The same with instances: the connected parts of the classes of each image."""
    images = [i for i, reference in enumerate(dataset.images["semantic"]) if reference is not None]
    found = [parts(label_image(dataset, i)) for i in images]
    table = {
        "image": np.repeat(np.asarray(images, np.int64), [len(masks) for masks, _ in found]),
        "category": np.concatenate([np.empty(0, np.int64), *(values - 1 for _, values in found)]),
    }
    return dataset.replace(instances=table, shapes=Masks.concatenate([masks for masks, _ in found]))


def rows_of_parts(written: Iterable[tuple[NDArray[Any], NDArray[np.int64]]]) -> NDArray[np.int64]:
    """The instances that `with_parts` finds again, in its order, in each image's (classes as written, instances)."""
    rows = []
    for classes, instances in written:
        masks, _ = parts(classes)
        first = masks.counts[masks.offsets[:-1]].astype(np.int64)  # down the columns
        rows.append(instances.T.ravel()[first] - 1)
    return np.concatenate(rows) if rows else np.empty(0, np.int64)
