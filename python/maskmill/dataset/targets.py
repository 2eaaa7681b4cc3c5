"""What training code takes: images with targets, and detectron2's dicts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset.coco import segmentations
from maskmill.dataset.dataset import Dataset

__all__ = ["detectron2", "image", "target"]


def image(dataset: Dataset, i: int) -> NDArray[Any]:
    """The picture of image i."""
    reference = dataset.images["pixels"][i]
    if reference is None:
        name = dataset.images["file_name"][i]
        raise FileNotFoundError(2, "the picture is not there; read with images=FOLDER", name)
    found: NDArray[Any] = reference.read()
    return found


def target(dataset: Dataset, i: int) -> dict[str, Any]:
    """What torchvision's detection models take, as NumPy arrays; see `Dataset.__getitem__`."""
    rows = dataset.rows_of_image(i)
    box = dataset.instances["bbox"][rows]
    h, w = int(dataset.images["height"][i]), int(dataset.images["width"][i])
    ids = np.append(dataset.categories["id"], 0)
    masks = dataset.masks[rows]
    return {
        "boxes": np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1).astype(np.float32),
        "labels": ids[dataset.instances["category"][rows]],
        "masks": np.ascontiguousarray(masks.decode()) if len(rows) else np.zeros((0, h, w), np.uint8),
        "image_id": int(dataset.images["id"][i]),
        "area": dataset.take(instances=rows).areas.astype(np.float32),
        "iscrowd": dataset.instances["iscrowd"][rows].astype(np.int64),
    }


XYXY_ABS = 0
"""detectron2.structures.BoxMode.XYXY_ABS"""


def detectron2(dataset: Dataset, *, polygons: bool) -> list[dict[str, Any]]:
    """See `Dataset.detectron2`."""
    box = dataset.instances["bbox"]
    corners = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1).tolist()
    shapes = segmentations(dataset, polygons)
    crowd = dataset.instances["iscrowd"].astype(int).tolist()
    category = dataset.instances["category"].tolist()
    made = []
    for i, row in enumerate(dataset.images):
        path = row["pixels"].path if row["pixels"] is not None else row["file_name"]
        annotations = []
        for k in dataset.rows_of_image(i).tolist():
            annotation = {
                "bbox": corners[k],
                "bbox_mode": XYXY_ABS,
                "category_id": category[k],
                "iscrowd": crowd[k],
            }
            if shapes[k]:
                annotation["segmentation"] = shapes[k]
            annotations.append(annotation)
        made.append(
            {
                "file_name": path,
                "height": row["height"],
                "width": row["width"],
                "image_id": row["id"],
                "annotations": annotations,
            }
        )
    return made
