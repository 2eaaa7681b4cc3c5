"""What a data set's annotations and results must be, and what is repaired."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from numbers import Real
from typing import Any

import numpy as np

from maskmill.masks import Masks


class RepairWarning(UserWarning):
    """Something malformed was taken for what it must have meant."""


class Repairs:
    """Counts what was repaired, and tells it at the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def note(self, repair: str, where: str) -> None:
        self._counts[repair] += 1
        self._first.setdefault(repair, where)

    def tell(self) -> None:
        for repair, count in self._counts.items():
            more = f", and {count - 1} more" if count > 1 else ""
            warnings.warn(f"{self._what}: {repair}: {self._first[repair]}{more}", RepairWarning, stacklevel=4)


def is_number(value: Any) -> bool:
    """Whether it is a finite real number, and no bool."""
    return not isinstance(value, bool | np.bool_) and isinstance(value, Real) and math.isfinite(value)


def clean_rles(rles: Any, names: list[str] | None = None) -> list[dict[str, Any]]:
    """The same masks as canonical RLE dicts; ValueError naming the first that is malformed."""
    if not isinstance(rles, list | tuple | np.ndarray):
        raise ValueError(f"must be an RLE dict or a list of them, not {type(rles).__name__}")
    try:
        return Masks.from_coco(list(rles)).to_coco()
    except ValueError:
        if names is None:
            raise
    for rle, name in zip(rles, names, strict=True):
        try:
            Masks.from_coco([rle])
        except ValueError as error:
            reason = str(error).removeprefix("mask 0: ")
            raise ValueError(f"{name}: 'segmentation': {reason}") from None
    raise AssertionError("one of them is malformed")


def clean_rings(rings: Any, name: str, repairs: Repairs) -> list[list[float]]:
    """Rings of three points and more; shorter ones enclose nothing and are left out."""
    kept = []
    for k, ring in enumerate(rings):
        if not isinstance(ring, list | tuple | np.ndarray) or np.ndim(ring) != 1:
            raise ValueError(f"{name}: ring {k} must be a list of numbers, not {_shown(ring)}")
        for n, value in enumerate(ring):
            if not is_number(value) or abs(value) > 4e8:
                raise ValueError(
                    f"{name}: ring {k}, vertex {n // 2}: must be a number up to 4e8, not {value!r}"
                )
        if len(ring) % 2:
            raise ValueError(f"{name}: ring {k} must be pairs x, y, not {len(ring)} numbers")
        if len(ring) < 6:
            repairs.note("rings of less than three points enclose nothing", f"{name}, ring {k}")
        else:
            kept.append([float(value) for value in ring])
    return kept


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Annotations:
    """Checks all annotations first, and then changes those that can be repaired."""

    def __init__(self, what: str, annotations: Any, images: Any, *, results: bool) -> None:
        self._results = results
        self._what = what
        self._repairs = Repairs(what)
        self._changes: list[tuple[dict[str, Any], str, Any]] = []
        self._rles: list[tuple[dict[str, Any], str]] = []
        self._sizes = self._sizes_of(images)
        if not isinstance(annotations, list):
            raise ValueError(f"{what}: annotations must be a list, not {type(annotations).__name__}")
        self._annotations = annotations

    def _sizes_of(self, images: Any) -> dict[Any, tuple[int, int] | None]:
        sizes: dict[Any, tuple[int, int] | None] = {}
        for i, image in enumerate(images if isinstance(images, list) else ()):
            if not isinstance(image, dict) or "id" not in image:
                raise ValueError(f"{self._what}: image {i} must be an object with an id, not {_shown(image)}")
            if image["id"] in sizes:
                raise ValueError(f"{self._what}: image {i}: there is another image with id {image['id']!r}")
            size = image.get("height"), image.get("width")
            sizes[image["id"]] = (
                (size[0], size[1]) if isinstance(size[0], int) and isinstance(size[1], int) else None
            )
        return sizes

    def check(self) -> None:
        """Raise on what is malformed; else repair and tell."""
        for i, ann in enumerate(self._annotations):
            self._check(i, ann)
        if not self._results:
            self._check_ids()
        self._check_rles()
        for ann, key, value in self._changes:
            ann[key] = value
        self._repairs.tell()

    def _name(self, i: int, ann: dict[str, Any]) -> str:
        if self._results:
            return f"{self._what}: result {i} (image {ann.get('image_id')!r})"
        return f"{self._what}: annotation {i} (id {ann.get('id')!r}, image {ann.get('image_id')!r})"

    def _check(self, i: int, ann: Any) -> None:
        if not isinstance(ann, dict):
            raise ValueError(f"{self._what}: annotation {i} must be an object, not {_shown(ann)}")
        name = self._name(i, ann)
        needed = ("image_id", "score") if self._results else ("id", "image_id")
        for key in needed:
            if key not in ann and not (key == "score" and "caption" in ann):
                raise ValueError(f"{name}: has no {key!r}")
        if ann["image_id"] not in self._sizes:
            raise ValueError(f"{name}: there is no image {ann['image_id']!r}")
        if "score" in ann and not is_number(ann["score"]):
            raise ValueError(f"{name}: 'score' must be a finite number, not {_shown(ann['score'])}")
        if "area" in ann and not is_number(ann["area"]):
            raise ValueError(f"{name}: 'area' must be a finite number, not {_shown(ann['area'])}")
        if "bbox" in ann:
            self._check_box(ann["bbox"], name)
        if "segmentation" in ann:
            self._check_segmentation(ann, name)
        if "keypoints" in ann:
            self._check_keypoints(ann, name)
        if not self._results:
            self._fill_in(ann, name)

    def _check_box(self, box: Any, name: str) -> None:
        if self._results and isinstance(box, list) and not box:
            return  # as pycocotools has it: no box
        if not isinstance(box, list | tuple | np.ndarray) or len(box) != 4 or not all(map(is_number, box)):
            raise ValueError(f"{name}: 'bbox' must be four finite numbers, not {_shown(box)}")

    def _check_segmentation(self, ann: dict[str, Any], name: str) -> None:
        segmentation = ann["segmentation"]
        if isinstance(segmentation, dict):
            self._rles.append((ann, name))
            return
        if not isinstance(segmentation, list | tuple):
            raise ValueError(f"{name}: 'segmentation' must be polygons or an RLE, not {_shown(segmentation)}")
        rings = clean_rings(segmentation, f"{name}: 'segmentation'", self._repairs)
        if rings and len(rings) == len(segmentation):
            return
        if rings:
            self._changes.append((ann, "segmentation", rings))
            return
        if not segmentation:
            self._repairs.note("segmentations without a ring are empty masks", name)
        size = self._sizes[ann["image_id"]]
        if size is None:
            raise ValueError(f"{name}: an empty 'segmentation' needs the image's height and width")
        self._changes.append((ann, "segmentation", Masks.empty([size]).to_coco()[0]))

    def _check_rles(self) -> None:
        for ann, name in self._rles:
            size = self._sizes[ann["image_id"]]
            own = ann["segmentation"].get("size")
            if size is not None and own is not None and list(own) != list(size):
                raise ValueError(f"{name}: 'segmentation' has size {own}, its image {list(size)}")
        given = [ann["segmentation"] for ann, _ in self._rles]
        cleaned = clean_rles(given, [name for _, name in self._rles])
        for (ann, name), before, after in zip(self._rles, given, cleaned, strict=True):
            counts = before["counts"]
            text = counts.encode() if isinstance(counts, str) else counts
            if isinstance(text, bytes) and text != after["counts"]:
                self._repairs.note("RLEs with runs of zero were joined", name)
                self._changes.append((ann, "segmentation", after))

    def _check_keypoints(self, ann: dict[str, Any], name: str) -> None:
        points = ann["keypoints"]
        if (
            not isinstance(points, list | tuple | np.ndarray)
            or len(points) % 3
            or not all(map(is_number, points))
        ):
            raise ValueError(
                f"{name}: 'keypoints' must be triples x, y, v of finite numbers, not {_shown(points)}"
            )
        if not self._results and "num_keypoints" not in ann:
            self._repairs.note("'num_keypoints' was counted", name)
            self._changes.append((ann, "num_keypoints", sum(v > 0 for v in points[2::3])))

    def _fill_in(self, ann: dict[str, Any], name: str) -> None:
        if "iscrowd" not in ann:
            self._repairs.note("'iscrowd' was missing and is 0", name)
            self._changes.append((ann, "iscrowd", 0))
        elif ann["iscrowd"] not in (0, 1):
            raise ValueError(f"{name}: 'iscrowd' must be 0 or 1, not {_shown(ann['iscrowd'])}")
        if "area" not in ann and ("segmentation" in ann or "bbox" in ann):
            self._repairs.note("'area' was missing and is that of the mask or box", name)
            self._changes.append((ann, "area", self._area(ann)))

    def _area(self, ann: dict[str, Any]) -> float:
        size = self._sizes[ann["image_id"]]
        segmentation = ann.get("segmentation")
        if isinstance(segmentation, dict):
            return float(Masks.from_coco([segmentation]).area[0])
        if segmentation and size is not None:
            rings = [ring for ring in segmentation if len(ring) >= 6]
            return float(Masks.from_polygons([rings], size).area[0])
        return float(ann["bbox"][2] * ann["bbox"][3]) if "bbox" in ann else 0.0

    def _check_ids(self) -> None:
        seen: dict[Any, int] = {}
        for i, ann in enumerate(self._annotations):
            number = ann["id"]
            if number in seen:
                raise ValueError(f"{self._name(i, ann)}: annotation {seen[number]} has the same id")
            seen[number] = i
            if isinstance(number, int) and number == 0:
                self._repairs.note(
                    "id 0 looks unmatched in evaluation (see the correction 'ids')", self._name(i, ann)
                )
