"""What is in a data set, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset.dataset import Dataset
from maskmill.dataset.operations import category_counts
from maskmill.dataset.shapes import KINDS

__all__ = ["Statistics", "statistics"]

_SIZES = ((0, 32**2, "small"), (32**2, 96**2, "medium"), (96**2, np.inf, "large"))
"""COCO's classes of area, in pixels."""


@dataclass(frozen=True)
class Statistics:
    """Numbers of a data set.

    Attributes
    ----------
    images, instances : int
    without_instances : int
        Images.
    kinds : dict of str to int
        Instances by what they are: masks, polygons, bare boxes, ...
    crowd : int
    per_category : list of dicts
        name, instances, images, and of the area in pixels: min, median, max.
    per_image : dict
        Instances of an image: min, quartiles, max, mean.
    area : dict
        In pixels: likewise.
    area_um2 : dict or None
        In µm², where the scale of every image with instances is known.
    size_classes : dict
        COCO's: small < 32², medium < 96², large.
    image_sizes : dict of "H x W" to int, the most frequent first
    touching_edge : int
        Instances whose bounding box reaches the border of the image.
    """

    images: int
    instances: int
    without_instances: int
    kinds: dict[str, int]
    crowd: int
    per_category: list[dict[str, Any]]
    per_image: dict[str, float]
    area: dict[str, float]
    area_um2: dict[str, float] | None
    size_classes: dict[str, int]
    image_sizes: dict[str, int]
    touching_edge: int

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def _spread(values: NDArray[Any]) -> dict[str, float]:
    if len(values) == 0:
        return {}
    low, q1, median, q3, high = (float(v) for v in np.percentile(values, [0, 25, 50, 75, 100]))
    return {"min": low, "q1": q1, "median": median, "q3": q3, "max": high, "mean": float(np.mean(values))}


def statistics(dataset: Dataset) -> Statistics:
    """See `Dataset.stats`."""
    areas = dataset.areas
    counts = category_counts(dataset)
    category = dataset.instances["category"]
    per_category = []
    for k, name in enumerate(dataset.categories["name"].tolist()):
        own = _spread(areas[category == k])
        per_category.append(
            {
                "name": name,
                "instances": int(counts[:, k].sum()),
                "images": int(np.count_nonzero(counts[:, k])),
                **{key: own.get(key, float("nan")) for key in ("min", "median", "max")},
            }
        )
    per_image = np.bincount(dataset.instances["image"], minlength=len(dataset))
    sizes = [f"{h} x {w}" for h, w in zip(dataset.images["height"], dataset.images["width"], strict=True)]
    names, found = np.unique(np.asarray(sizes, str), return_counts=True)
    kinds, of_kind = np.unique(dataset.shapes.kind, return_counts=True)
    scale = dataset.images["scale"][dataset.instances["image"]]
    return Statistics(
        images=len(dataset),
        instances=len(areas),
        without_instances=int(np.count_nonzero(per_image == 0)),
        kinds={KINDS[kind]: int(n) for kind, n in zip(kinds, of_kind, strict=True)},
        crowd=int(np.count_nonzero(dataset.instances["iscrowd"])),
        per_category=per_category,
        per_image=_spread(per_image),
        area=_spread(areas),
        area_um2=_spread(areas * scale**2) if len(areas) and not np.isnan(scale).any() else None,
        size_classes={
            name: int(np.count_nonzero((areas >= low) & (areas < high))) for low, high, name in _SIZES
        },
        image_sizes={str(names[i]): int(found[i]) for i in np.argsort(-found, kind="stable")},
        touching_edge=int(np.count_nonzero(_touching(dataset))),
    )


def _touching(dataset: Dataset) -> NDArray[np.bool_]:
    box, sizes = dataset.instances["bbox"], dataset.sizes
    touching = (box[:, :2] <= 0) | (box[:, :2] + box[:, 2:] >= sizes[:, ::-1])
    result: NDArray[np.bool_] = touching.any(1) & (sizes > 0).all(1)
    return result
