"""COCO files as columns, and the dicts that pycocotools would have made of them.

A file is read into columns (cpp/kernels/coco_json.hpp) and its dicts are made when somebody looks at them. Whatever is
not plain COCO - ids that are strings, JSON that only Python's reader takes, a missing field - is not read here at all:
the functions return None, and the caller does what pycocotools does.
"""

import contextlib
import copy
import json
import locale
import mmap
import os
import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._backend import kernels, why_missing

# Bits of `fields`, as in coco_json.hpp.
(
    ID,
    IMAGE_ID,
    CATEGORY_ID,
    AREA,
    BBOX,
    SCORE,
    ISCROWD,
    SEGMENTATION,
    KEYPOINTS,
    NUM_KEYPOINTS,
    CAPTION,
    HEIGHT,
    WIDTH,
) = (1 << bit for bit in range(13))
SCORE_IS_INTEGER = 1 << 16
KEY_NAMES = {
    IMAGE_ID: "image_id",
    CATEGORY_ID: "category_id",
    BBOX: "bbox",
    SCORE: "score",
    KEYPOINTS: "keypoints",
}
POLYGONS, RLE_KINDS = 1, (2, 4)  # kinds of segmentation

Columns = dict[str, Any]
_NONE = np.empty((0, 0))
_NO_FLAGS = np.empty(0, np.uint8)


def available() -> bool:
    """Whether there is a compiled core: the twins read no files."""
    return why_missing("cpp") is None


def _is_utf8() -> bool:
    """Whether open(path) would read UTF-8, as it does nearly everywhere."""
    return bool(sys.flags.utf8_mode) or locale.getpreferredencoding(False).lower().replace("-", "") in (
        "utf8",
        "ascii",
    )


def read_text(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """A file's bytes, in memory that is neither cleared first nor copied."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size < 1 << 16:
            return np.frombuffer(file.read(), np.uint8)
        memory = mmap.mmap(-1, size)
        view = memoryview(memory)
        done = 0
        while done < size:
            got = file.readinto(view[done:])
            if not got:
                break
            done += got
        return np.frombuffer(memory, np.uint8)[:done]


def _loads(text: NDArray[np.uint8], long_integers: bool) -> Any:
    """What json.load makes of text that was found to be JSON. orjson is five times as fast, and the same, but for
    integers beyond 64 bits, lone surrogates and numbers beyond double."""
    if not long_integers:
        # Imported here since it takes 4 ms, and only some want the dicts of a file. ValueError: it refuses the text.
        # ImportError: there is none for this Python, as there is none without the GIL.
        with contextlib.suppress(ImportError, ValueError):
            import orjson

            return orjson.loads(text.data)
    return json.loads(text.tobytes())


def _parse(text: NDArray[np.uint8]) -> Columns | None:
    """Columns of a file, or None if it is malformed."""
    out = kernels("cpp").coco_json_read(text)
    return out if isinstance(out, dict) else None


Effect = Callable[[list[dict[str, Any]], dict[str, Any]], None]


class Rows:
    """Annotations or results as columns.

    effects: what evaluations have done to the dicts that nobody had seen yet, as pycocotools does to those it has: each
    is called with the annotations and the attributes of their COCO when the dicts are made.
    """

    n: int
    has_boxes: bool
    has_masks: bool
    has_points: bool
    score: NDArray[np.float64]
    score_is_integer: NDArray[np.bool_]
    image_id: NDArray[np.int64]
    category_id: NDArray[np.int64]
    points: Callable[[NDArray[np.int64], int], NDArray[np.float64]]
    """Of these rows (len(rows), k, 3) numbers; ValueError if they have not k points each."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.made: list[dict[str, Any]] | None = None  # row by row, once there are dicts

    def apply_effects(self, annotations: list[dict[str, Any]], attributes: dict[str, Any]) -> None:
        self.made = list(annotations)
        for effect in self.effects:
            effect(annotations, attributes)
        self.effects.clear()


def _points(
    text: NDArray[np.uint8], columns: Columns, rows: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    points: NDArray[np.float64] = kernels("cpp").coco_json_keypoints(
        text, rows, columns["keypoints_begin"], columns["keypoints_end"], k
    )
    return points


class GroundTruthFile(Rows):
    """An object with images, annotations and categories."""

    def __init__(self, text: NDArray[np.uint8], file: Columns) -> None:
        super().__init__()
        self.text: NDArray[np.uint8] | None = text
        self.rows: Columns = file["annotations"]
        self.images: Columns = file["images"]
        self.categories: Columns = file["categories"]
        self.long_integers: bool = file["long_integers"]
        self.n = self.rows["n"]
        self.image_id = self.rows.get("image_id", np.empty(0, np.int64))
        self.category_id = self.rows.get("category_id", np.empty(0, np.int64))
        self.dataset: dict[str, Any] | None = None
        self.snapshot: dict[str, Any] | None = None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "GroundTruthFile | None":
        """None if the file is not one that can be read in columns; OSError as open() raises it."""
        if not _is_utf8():
            return None
        text = read_text(path)
        file = _parse(text)
        if file is None or file["is_results"]:
            return None
        known = [bytes(text[a:b]) for a, b, _, _ in file["sections"]]
        if len(set(known)) != len(known) or b"" in known:  # a key twice, or written with escapes
            return None
        if not {b"images", b"annotations", b"categories"} <= set(known):
            return None
        rows, images, categories = file["annotations"], file["images"], file["categories"]
        for part, needed in ((rows, ID | IMAGE_ID | CATEGORY_ID), (images, ID), (categories, ID)):
            if part["odd"] & needed or np.any(part["fields"] & needed != needed):
                return None
        return cls(text, file)

    def points(self, rows: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        if self.text is None:
            raise ValueError("the text is gone")
        return _points(self.text, self.rows, rows, k)

    def image_ids(self) -> list[int]:
        """Keys of `imgs`: each id once, where it came first."""
        return list(dict.fromkeys(self.images["id"].tolist()))

    def category_ids(self) -> list[int]:
        """Ids of the dataset's categories, repeated where they are."""
        ids: list[int] = self.categories["id"].tolist()
        return ids

    def count_instances(self) -> list[tuple[dict[str, Any], int]]:
        """Each category (a copy of its dict) and how many annotations it has that are no crowd."""
        assert self.text is not None
        counted = self.category_id[self.rows.get("iscrowd", np.zeros(self.n, np.uint8)) == 0]
        rows = zip(self.categories["begin"].tolist(), self.categories["end"].tolist(), strict=True)
        categories = [json.loads(self.text[begin:end].tobytes()) for begin, end in rows]
        return [(category, int(np.count_nonzero(counted == category["id"]))) for category in categories]

    def make_dataset(self) -> dict[str, Any]:
        """The dataset as json.load would give it."""
        assert self.text is not None
        dataset: dict[str, Any] = _loads(self.text, self.long_integers)
        self.text = None
        self.snapshot = {
            "info": copy.deepcopy(dataset.get("info", {})),
            "images": list(dataset["images"]),
            "categories": copy.deepcopy(dataset["categories"]),
        }
        return dataset

    def shared(self) -> dict[str, Any]:
        """What results share with the ground truth: its image dicts, copies of info and categories. As they were when
        the dicts were made: later edits are the ground truth's own."""
        assert self.snapshot is not None
        return {
            "info": copy.deepcopy(self.snapshot["info"]),
            "images": list(self.snapshot["images"]),
            "categories": copy.deepcopy(self.snapshot["categories"]),
        }


MOST_POINT = 2**25
"""Coordinates of keypoints up to here square and multiply without rounding, as integers or as doubles."""


def _bounds(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Least and greatest x, least and greatest y of all points, seen or not, of (n, 3 k) numbers."""
    x, y = points[:, 0::3], points[:, 1::3]
    return x.min(1), x.max(1), y.min(1), y.max(1)


def _areas_of_points(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """ValueError if pycocotools has something of its own to say about them."""
    if points.size == 0 or not (points.min() >= -MOST_POINT and points.max() <= MOST_POINT):
        raise ValueError("no points, or points far away")
    x0, x1, y0, y1 = _bounds(points)
    return (x1 - x0) * (y1 - y0)


def keypoint_boxes(annotations: list[dict[str, Any]]) -> tuple[list[Any], list[list[Any]]] | None:
    """Area and box of each annotation's points in NumPy's scalars, as its min and max of a list would give them; None
    if not all have equally many plain numbers."""
    found = kernels("cpp").coco_keypoints(annotations)
    if found is None or found[0].shape[1] < 2 or not np.all(np.abs(found[0]) <= MOST_POINT):
        return None
    points, are_integers = found
    if np.any((points == 0) & np.signbit(points)):  # whether -0.0 or 0.0 is the least, who knows
        return None
    x0, x1, y0, y1 = _bounds(points)
    w, h = x1 - x0, y1 - y0
    x_integer, y_integer = are_integers[:, 0::3].all(1), are_integers[:, 1::3].all(1)
    columns = [_scalars(column, x_integer) for column in (x0, w)]
    columns[1:1] = [_scalars(y0, y_integer)]
    columns.append(_scalars(h, y_integer))
    boxes = [list(box) for box in zip(*columns, strict=True)]
    return _scalars(w * h, x_integer & y_integer), boxes


def _scalars(values: NDArray[np.float64], are_integers: NDArray[np.bool_]) -> list[Any]:
    scalars = list(values)
    rows = np.flatnonzero(are_integers)
    for row, integer in zip(rows.tolist(), values[rows].astype(np.int_), strict=True):
        scalars[row] = integer
    return scalars


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore", invalid="ignore"):  # of which Python says nothing
        area: NDArray[np.float64] = boxes[:, 2] * boxes[:, 3]
    return area


class PlainResults(Rows):
    """A file of nothing but boxes, keypoints or both: all that it says is in the columns."""

    has_masks = False

    def __init__(self, columns: Columns) -> None:
        super().__init__()
        self.columns = columns
        self.n = columns["n"]
        self.image_id = columns["image_id"]
        self.category_id = columns["category_id"]
        self.score = columns["score"]
        self.score_is_integer = (columns["integers"] & 16).astype(bool)
        self.has_boxes = "bbox" in columns
        self.has_points = "keypoints" in columns
        self.bbox: NDArray[np.float64] = columns.get("bbox", _NONE)
        self.keypoints: NDArray[np.float64] = columns.get("keypoints", _NONE)
        self.area = _areas(self.bbox) if self.has_boxes else _areas_of_points(self.keypoints)

    def points(self, rows: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        return self.keypoints[rows].reshape(rows.size, k, 3)

    def make_annotations(self) -> list[dict[str, Any]]:
        """The file's list, as json.load would give it."""
        c = self.columns
        order = tuple(KEY_NAMES[key] for key in c["keys"])
        annotations: list[dict[str, Any]] = kernels("cpp").coco_box_dicts(
            order,
            c["image_id"],
            c["category_id"],
            self.bbox,
            c["score"],
            c["integers"],
            self.keypoints,
            c.get("keypoint_integers", _NO_FLAGS),
        )
        return annotations


class TextResults(Rows):
    """Any other plain results file."""

    def __init__(self, text: NDArray[np.uint8], file: Columns) -> None:
        super().__init__()
        self.text = text
        self.long_integers: bool = file["long_integers"]
        rows: Columns = file["annotations"]
        self.rows = rows
        self.n = rows["n"]
        self.image_id = rows["image_id"]
        self.category_id = rows["category_id"]
        self.score = rows["score"]
        self.score_is_integer = (rows["fields"] & SCORE_IS_INTEGER).astype(bool)
        self.has_boxes = bool(rows["any"] & BBOX)
        self.has_masks = bool(rows["any"] & SEGMENTATION)
        self.has_points = bool(rows["any"] & KEYPOINTS)
        if self.has_boxes:
            self.bbox: NDArray[np.float64] = rows["bbox"]
            self.area = _areas(self.bbox)
        elif not self.has_masks:
            first = _loads(text[int(rows["keypoints_begin"][0]) : int(rows["keypoints_end"][0])], False)
            points = self.points(np.arange(self.n), len(first) // 3)
            self.area = _areas_of_points(points.reshape(self.n, -1))
        else:
            self.area = kernels("cpp").coco_json_areas(
                text,
                np.arange(self.n),
                rows["segmentation_kind"],
                rows["segmentation_begin"],
                rows["segmentation_end"],
            )

    def points(self, rows: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        return _points(self.text, self.rows, rows, k)

    def make_annotations(self) -> list[dict[str, Any]]:
        annotations: list[dict[str, Any]] = _loads(self.text, self.long_integers)
        return annotations


Results = PlainResults | TextResults


def read_results(path: str) -> Results | None:
    """A results file in columns; None if it is not plain boxes, masks or keypoints."""
    try:
        return _read_results(path)
    except ValueError:  # points for which no area can be told
        return None


def _read_results(path: str) -> Results | None:
    if not _is_utf8():
        return None
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        boxes = kernels("cpp").coco_json_read_boxes(file.fileno(), size)
    if boxes is not None:
        return PlainResults(boxes) if boxes["n"] else None
    text = read_text(path)
    parsed = _parse(text)
    if parsed is None or not parsed["is_results"]:
        return None
    rows = parsed["annotations"]
    if rows["n"] == 0 or rows["any"] & CAPTION:
        return None
    # One kind of result throughout, or several.
    kind = rows["any"] & (BBOX | SEGMENTATION | KEYPOINTS)
    needed = IMAGE_ID | CATEGORY_ID | SCORE | kind
    if not kind or rows["odd"] & ~ID or np.any(rows["fields"] & needed != needed):
        return None
    if kind & SEGMENTATION and not np.all(np.isin(rows["segmentation_kind"], RLE_KINDS)):
        return None
    return TextResults(text, parsed)


def index(dataset: dict[str, Any]) -> dict[str, Any]:
    """pycocotools' createIndex, without its prints; in the order in which a new COCO has them."""
    anns: dict[Any, Any] = {}
    cats: dict[Any, Any] = {}
    imgs: dict[Any, Any] = {}
    img_to_anns: defaultdict[Any, list[Any]] = defaultdict(list)
    cat_to_imgs: defaultdict[Any, list[Any]] = defaultdict(list)
    if "annotations" in dataset:
        for ann in dataset["annotations"]:
            img_to_anns[ann["image_id"]].append(ann)
            anns[ann["id"]] = ann
    if "images" in dataset:
        for img in dataset["images"]:
            imgs[img["id"]] = img
    if "categories" in dataset:
        for cat in dataset["categories"]:
            cats[cat["id"]] = cat
    if "annotations" in dataset and "categories" in dataset:
        for ann in dataset["annotations"]:
            cat_to_imgs[ann["category_id"]].append(ann["image_id"])
    return {
        "anns": anns,
        "cats": cats,
        "imgs": imgs,
        "imgToAnns": img_to_anns,
        "catToImgs": cat_to_imgs,
    }
