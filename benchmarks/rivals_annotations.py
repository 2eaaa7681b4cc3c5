"""Rivals for formats of annotations: loops of labs, and converters. The same form as in rivals.py, which lists them.

Label images, in memory, become a COCO file with an RLE for each instance; files are compared as bench_dataset.written
reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Operation = Callable[..., tuple[Callable[[], Any], Callable[[Any], Any]]]
Instance = tuple[dict[str, Any], float, list[float]]
"""RLE, area and box."""


def _answer(path: Path) -> Callable[[Any], Any]:
    from .bench_dataset import written

    return lambda _: written(path)


def _loop(name: str, instances: Callable[[np.ndarray], Iterator[Instance]]) -> Operation:
    """The script that everybody has: for each image, for each instance, a dict; then json.dump."""

    def labels_to_coco(labels: list[np.ndarray], folder: Path) -> Any:
        path = folder / f"{name}.json"

        def call() -> None:
            annotations, images = [], []
            for i, image in enumerate(labels, 1):
                images.append(
                    {"id": i, "file_name": f"{i - 1}.png", "height": image.shape[0], "width": image.shape[1]}
                )
                for rle, area, box in instances(image):
                    rle["counts"] = rle["counts"].decode("ascii")
                    row = {"id": len(annotations) + 1, "image_id": i, "category_id": 1, "iscrowd": 0}
                    annotations.append({**row, "segmentation": rle, "area": area, "bbox": box})
            categories = [{"id": 1, "name": "nucleus"}]
            content = {"images": images, "categories": categories, "annotations": annotations}
            path.write_text(json.dumps(content))

        return call, _answer(path)

    return labels_to_coco


def pycocotools() -> dict[str, Operation]:
    from pycocotools import mask as functions

    def instances(labels: np.ndarray) -> Iterator[Instance]:
        for value in np.unique(labels)[1:]:
            rle = functions.encode(np.asfortranarray(labels == value).view(np.uint8))
            yield rle, int(functions.area(rle)), functions.toBbox(rle).tolist()

    return {"dataset_labels_to_coco": _loop("pycocotools", instances)}


def opencv() -> dict[str, Operation]:
    """OpenCV for the mask, its box and area; it has no RLE."""
    import cv2
    from pycocotools import mask as functions

    def instances(labels: np.ndarray) -> Iterator[Instance]:
        for value in np.unique(labels)[1:]:
            mask = cv2.inRange(labels, int(value), int(value))
            rle = functions.encode(np.asfortranarray(mask))
            yield rle, cv2.countNonZero(mask), list(map(float, cv2.boundingRect(mask)))

    return {"dataset_labels_to_coco": _loop("opencv", instances)}


def scikit_image() -> dict[str, Operation]:
    """regionprops finds boxes and areas of all at once; only the box of an instance is painted."""
    from pycocotools import mask as functions
    from skimage.measure import regionprops

    def instances(labels: np.ndarray) -> Iterator[Instance]:
        for region in regionprops(labels):
            y0, x0, y1, x1 = region.bbox
            mask = np.zeros(labels.shape, np.uint8, order="F")
            mask[y0:y1, x0:x1] = region.image
            yield functions.encode(mask), int(region.area), [float(v) for v in (x0, y0, x1 - x0, y1 - y0)]

    return {"dataset_labels_to_coco": _loop("scikit-image", instances)}


def supervision() -> dict[str, Operation]:
    """Its own annotations of masks, as RLEs: its polygons are other masks."""
    from supervision import Detections, mask_to_xyxy
    from supervision.dataset.formats.coco import detections_to_coco_annotations

    def labels_to_coco(labels: list[np.ndarray], folder: Path) -> Any:
        path = folder / "supervision.json"

        def call() -> None:
            annotations: list[Any] = []
            for i, image in enumerate(labels, 1):
                masks = image == np.unique(image)[1:, None, None]
                if not len(masks):
                    continue
                boxes = mask_to_xyxy(masks) + [0, 0, 1, 1]  # of which the last pixel is no part
                data = {"iscrowd": np.ones(len(masks), int)}
                found = Detections(boxes, masks, class_id=np.zeros(len(masks), int), data=data)
                annotations += detections_to_coco_annotations(found, i, len(annotations) + 1)[0]
            path.write_text(json.dumps({"annotations": annotations}, default=float))

        return call, _answer(path)

    return {"dataset_labels_to_coco": labels_to_coco}


def datumaro() -> dict[str, Operation]:
    import shutil

    from datumaro.components.annotation import Mask
    from datumaro.components.dataset import Dataset
    from datumaro.components.dataset_base import DatasetItem
    from datumaro.components.media import Image

    def labels_to_coco(labels: list[np.ndarray], folder: Path) -> Any:
        out = folder / "datumaro"

        def item(i: int, image: np.ndarray) -> Any:
            masks = [Mask(image == value, label=0, group=int(value)) for value in np.unique(image)[1:]]
            picture = Image.from_numpy(np.zeros((*image.shape, 3), np.uint8), size=image.shape)
            return DatasetItem(str(i), media=picture, annotations=masks, attributes={"id": i})

        def call() -> None:
            shutil.rmtree(out, ignore_errors=True)
            items = [item(i, image) for i, image in enumerate(labels, 1)]
            made = Dataset.from_iterable(items, categories=["nucleus"], media_type=Image)
            made.export(str(out), "coco_instances", save_media=False, segmentation_mode="mask")

        return call, _answer(out / "annotations" / "instances_default.json")

    return {"dataset_labels_to_coco": labels_to_coco}
