"""Who else does it: for each rival, what it can do here, as thin callables.

An operation takes the operation's input (see the bench_*.py file that names it) and returns what to call, and how to
bring its answer into the common form. Conversions of the input into the rival's own form are not timed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import itertools
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from maskmill import Masks

from . import (
    rivals_annotations,
    rivals_codes,
    rivals_crf,
    rivals_em,
    rivals_features,
    rivals_hashes,
    rivals_measures,
    rivals_patches,
    rivals_perceptron,
    rivals_polygons,
)
from .measure import Race, Settings, answer_itself

Operation = Callable[..., tuple[Callable[[], Any], Callable[[Any], Any]]]


@dataclass(frozen=True)
class Rival:
    name: str
    module: str
    package: str  # what pip installs
    load: Callable[[], dict[str, Operation]]

    @property
    def installed(self) -> bool:
        try:
            return importlib.util.find_spec(self.module) is not None
        except ModuleNotFoundError:
            return False

    @property
    def version(self) -> str:
        if not self.package:  # a part of Python
            return platform.python_version()
        try:
            return importlib.metadata.version(self.package.partition("=")[0])
        except importlib.metadata.PackageNotFoundError:  # OpenCV has four packages
            return str(importlib.import_module(self.module.partition(".")[0]).__version__)


def enter(race: Race, settings: Settings, operation: str, *inputs: Any) -> None:
    """Add every rival that is installed, wanted and able."""
    for rival in chosen(settings):
        if operation in rival.load():
            race.add(rival.name, *rival.load()[operation](*inputs))


def chosen(settings: Settings) -> list[Rival]:
    return [
        rival
        for rival in RIVALS
        if rival.installed and (settings.rivals is None or rival.name in settings.rivals)
    ]


def missing() -> list[Rival]:
    return [rival for rival in RIVALS if not rival.installed]


# Common forms


def rles(answer: Any) -> list[tuple[int, int, bytes]]:
    """Of RLE dicts, one or many: (height, width, string) of each."""
    out = []
    for item in [answer] if isinstance(answer, dict) else answer:
        counts = item["counts"]
        counts = counts.encode() if isinstance(counts, str) else bytes(counts)
        out.append((int(item["size"][0]), int(item["size"][1]), counts))
    return out


def ours_as_rles(arrays: Any) -> list[tuple[int, int, bytes]]:
    """Of counts, offsets and sizes."""
    return rles(Masks(*arrays).to_coco())


def images_as_rles(images: Any) -> list[tuple[int, int, bytes]]:
    """Of (H, W) arrays."""
    return [rle for image in images for rle in rles(Masks.encode(np.asarray(image) != 0).to_coco())]


# pycocotools, and those who have its mask functions


def mask_functions(M: Any) -> dict[str, Operation]:
    """encode, decode, area, toBbox, merge, iou and frPyObjects of one module; one mask goes without a list."""

    def one_or_many(items: list[Any]) -> Any:
        return items[0] if len(items) == 1 else items

    def encode(stack: Any) -> Any:
        images = stack.hwn[:, :, 0] if stack.n == 1 else stack.hwn
        return lambda: M.encode(images), rles

    def encode_rows(stack: Any) -> Any:
        images = stack.rows
        return lambda: M.encode(np.asfortranarray(images.transpose(1, 2, 0))), rles

    def decode(stack: Any) -> Any:
        items = one_or_many(stack.rles)
        return lambda: M.decode(items), lambda answer: answer.reshape(stack.height, stack.width, stack.n)

    def area(stack: Any) -> Any:
        items = one_or_many(stack.rles)
        return lambda: M.area(items), np.atleast_1d

    def bbox(stack: Any) -> Any:
        items = one_or_many(stack.rles)
        return lambda: M.toBbox(items), np.atleast_2d

    def merge(stack: Any, intersect: bool = False) -> Any:
        items = stack.rles * 2 if stack.n == 1 else stack.rles
        return lambda: M.merge(items, intersect), rles

    def pairs(a: Masks, b: Masks, intersect: bool) -> Any:
        both = [list(pair) for pair in zip(a.to_coco(), b.to_coco(), strict=True)]
        return lambda: [M.merge(pair, intersect) for pair in both], rles

    def iou(a: Masks, b: Masks) -> Any:
        first, second = a.to_coco(), b.to_coco()
        crowd = [0] * len(b)
        return lambda: M.iou(first, second, crowd), np.asarray

    def box_iou(a: np.ndarray, b: np.ndarray) -> Any:
        crowd = [0] * len(b)
        return lambda: M.iou(a, b, crowd), np.asarray

    def box_lists_iou(a: np.ndarray, b: np.ndarray) -> Any:
        first, second = a.tolist(), b.tolist()
        crowd = [0] * len(b)
        return lambda: M.iou(first, second, crowd), np.asarray

    def polygons(rings: list[list[list[float]]]) -> Any:
        if len(rings) == 1:
            return lambda: M.frPyObjects(rings[0], 480, 640), rles
        # As all of them are one ring each, one call can take them all.
        every = [ring[0] for ring in rings]
        return lambda: M.frPyObjects(every, 480, 640), rles

    def nms(masks: Masks, threshold: float) -> Any:
        items = masks.to_coco()
        crowd = [0] * len(items)
        return lambda: greedy(np.asarray(M.iou(items, items, crowd)), threshold), answer_itself

    def from_labels(labels: list[np.ndarray]) -> Any:
        def call() -> list[Any]:
            out = []
            for image in labels:
                values = np.unique(image)
                values = values[values > 0]
                if len(values):
                    # Made in the order that encode wants: (N, W, H), seen from behind.
                    each = values[:, None, None] == np.ascontiguousarray(image.T)
                    out += M.encode(each.view(np.uint8).transpose(2, 1, 0))
            return out

        return call, rles

    def to_labels(masks: Sequence[Masks]) -> Any:
        items = [m.to_coco() for m in masks]

        def call() -> list[np.ndarray]:
            out = []
            for image in items:
                labels = np.zeros(image[0]["size"], np.min_scalar_type(len(image)))
                for k, rle in enumerate(image):
                    labels[M.decode(rle) != 0] = k + 1
                out.append(labels)
            return out

        return call, answer_itself

    def complement(stack: Any) -> Any:
        items = stack.rles
        return lambda: M.encode(np.asfortranarray(1 - M.decode(items))), rles

    return {
        "coco_encode": encode,
        "coco_decode": decode,
        "coco_area": area,
        "coco_to_bbox": bbox,
        "coco_merge": merge,
        "coco_iou": iou,
        "coco_box_iou": box_lists_iou,
        "coco_box_array_iou": box_iou,
        "coco_from_polygons": polygons,
        "rle_encode": encode,
        "rle_encode_rows": encode_rows,
        "rle_decode": decode,
        "rle_area": area,
        "rle_bbox": bbox,
        "rle_from_labels": from_labels,
        "rle_to_labels": to_labels,
        "setops_merge": merge,
        "setops_pairs": pairs,
        "setops_complement": complement,
        "overlap_iou": iou,
        "overlap_nms": nms,
        "polygons_rasterize": polygons,
        "matching_box_iou": box_iou,
    }


def greedy(iou: np.ndarray, threshold: float) -> np.ndarray:
    keep = np.ones(len(iou), bool)
    for i in range(len(iou)):
        if keep[i]:
            keep[i + 1 :] &= iou[i, i + 1 :] <= threshold
    return keep


def _pycocotools() -> dict[str, Operation]:
    from pycocotools import mask as M

    def to_string(stack: Any) -> Any:
        counts, offsets, size = stack.masks.counts.tolist(), stack.masks.offsets, [stack.height, stack.width]
        items = [{"size": size, "counts": counts[a:b]} for a, b in itertools.pairwise(offsets)]
        return lambda: M.frPyObjects(items, stack.height, stack.width), rles

    further = rivals_patches.pycocotools(M, rles) | rivals_polygons.pycocotools()
    return mask_functions(M) | further | {"rle_to_string": to_string}


def _faster_coco_eval() -> dict[str, Operation]:
    from faster_coco_eval.core import mask as M

    return mask_functions(M) | {"morphology_boundary": _boundary(M.rleToBoundary)}


def _hotcoco() -> dict[str, Operation]:
    from hotcoco import mask as M

    def bbox_iou(a: np.ndarray, b: np.ndarray) -> Any:
        first, second, crowd = a.tolist(), b.tolist(), [False] * len(b)
        return lambda: M.bbox_iou(first, second, crowd), np.asarray

    return mask_functions(M) | {"matching_box_iou": bbox_iou}


def _ultrafast() -> dict[str, Operation]:
    from ultrafast_pycocotools import mask as M

    return mask_functions(M) | {"morphology_boundary": _boundary(M.toBoundary)}


def _boundary(function: Callable[[Any], Any]) -> Operation:
    def boundary(stack: Any) -> Any:
        items = stack.rles
        return lambda: [function(item) for item in items], rles

    return boundary


# rlemasklib: objects


def _rlemasklib() -> dict[str, Operation]:
    from rlemasklib import RLEMask

    def objects(masks: Masks) -> list[Any]:
        return [RLEMask.from_dict(rle) for rle in masks.to_coco()]

    def back(answer: Any) -> list[tuple[int, int, bytes]]:
        return rles([m.to_dict() for m in answer])

    def each(work: Callable[[Any], Any]) -> Operation:
        def operation(stack: Any) -> Any:
            items = objects(stack.masks)
            return lambda: [work(item) for item in items], back

        return operation

    def encode(stack: Any) -> Any:
        images = list(stack.nhw)
        return lambda: [RLEMask.from_array(image) for image in images], back

    def encode_rows(stack: Any) -> Any:
        images = list(stack.rows)
        return lambda: [RLEMask.from_array(image) for image in images], back

    def decode(stack: Any) -> Any:
        items = objects(stack.masks)
        return lambda: [item.to_array() for item in items], lambda answer: np.stack(answer, 2)

    def decode_into(stack: Any) -> Any:
        items = objects(stack.masks)
        out = np.empty_like(stack.nhw)

        def call() -> np.ndarray:
            for item, image in zip(items, out, strict=True):
                image[...] = 0
                item.decode_into(image, 1, 0)
            return out

        return call, lambda answer: answer.transpose(1, 2, 0)

    def area(stack: Any) -> Any:
        items = objects(stack.masks)
        return lambda: [item.area() for item in items], np.asarray

    def bbox(stack: Any) -> Any:
        items = objects(stack.masks)
        return lambda: [item.bbox() for item in items], np.asarray

    def to_string(stack: Any) -> Any:
        items = objects(stack.masks)
        return lambda: [item.to_dict() for item in items], rles

    def from_string(stack: Any) -> Any:
        items = stack.rles
        return lambda: [RLEMask.from_dict(item) for item in items], back

    def to_labels(masks: Sequence[Masks]) -> Any:
        items = [objects(m) for m in masks]
        return lambda: [RLEMask.merge_to_label_map(m) for m in items], answer_itself

    def merge(stack: Any, intersect: bool = False) -> Any:
        items = objects(stack.masks) * (2 if stack.n == 1 else 1)
        unite = RLEMask.intersection if intersect else RLEMask.union
        return lambda: [unite(items)], back

    def pairs(a: Masks, b: Masks, intersect: bool) -> Any:
        first, second = objects(a), objects(b)
        if intersect:
            return lambda: [x & y for x, y in zip(first, second, strict=True)], back
        return lambda: [x | y for x, y in zip(first, second, strict=True)], back

    def iou(a: Masks, b: Masks) -> Any:
        first, second = objects(a), objects(b)
        return lambda: RLEMask.iou_matrix(first, second), np.asarray

    def nms(masks: Masks, threshold: float) -> Any:
        items = objects(masks)
        return lambda: greedy(RLEMask.iou_matrix(items, items), threshold), answer_itself

    def window(stack: Any, box: list[int]) -> Any:
        items = objects(stack.masks)
        crop = np.array(box)
        return lambda: [item.crop(crop) for item in items], back

    def components(stack: Any) -> Any:
        items = objects(stack.masks)
        return lambda: [c for m in items for c in m.connected_components(8)], lambda x: sorted(back(x))

    def fill_holes(stack: Any) -> Any:
        # Holes of any size, that is: but then the background at the border is a hole to it, too.
        items = objects(stack.masks)
        return lambda: [item.fill_small_holes(1 << 30, 4) for item in items], back

    def square(erode: bool) -> Operation:
        def operation(stack: Any, radius: int) -> Any:
            items = objects(stack.masks)
            if erode:
                return lambda: [m.erode("square", 2 * radius + 1) for m in items], back
            return lambda: [m.dilate("square", 2 * radius + 1) for m in items], back

        return operation

    def polygons(rings: list[list[list[float]]]) -> Any:
        every = [np.array(ring[0]).reshape(-1, 2) for ring in rings]
        return lambda: [RLEMask.from_polygon(ring, imshape=(480, 640)) for ring in every], back

    return {
        "rle_encode": encode,
        "rle_encode_rows": encode_rows,
        "rle_decode": decode,
        "rle_decode_out": decode_into,
        "rle_area": area,
        "rle_bbox": bbox,
        "rle_to_string": to_string,
        "rle_from_string": from_string,
        "rle_to_labels": to_labels,
        "setops_merge": merge,
        "setops_pairs": pairs,
        "setops_complement": each(lambda m: ~m),
        "overlap_iou": iou,
        "overlap_nms": nms,
        "geometry_window": window,
        "geometry_flip": each(lambda m: m.fliplr()),
        "geometry_transpose": each(lambda m: m.transpose()),
        "morphology_components": components,
        "morphology_fill_holes": fill_holes,
        "morphology_remove_small": each(lambda m: m.remove_small_components(100, 8)),
        "morphology_dilate_square": square(False),
        "morphology_erode_square": square(True),
        "polygons_rasterize": polygons,
    }


# Those who work on images: they get images, and give images.


def _opencv() -> dict[str, Operation]:
    import cv2

    def each(work: Callable[[np.ndarray], Any]) -> Operation:
        def operation(stack: Any) -> Any:
            images = list(stack.rows)
            return lambda: [work(image) for image in images], images_as_rles

        return operation

    def shaped(function: Any, ellipse: bool) -> Operation:
        def operation(stack: Any, radius: int) -> Any:
            images = list(stack.rows)
            kernel = disc(radius) if ellipse else np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
            return lambda: [function(image, kernel) for image in images], images_as_rles

        return operation

    def components(stack: Any) -> Any:
        images = list(stack.rows)
        return lambda: [cv2.connectedComponents(image, connectivity=8)[1] for image in images], _components

    def remove_small(image: np.ndarray) -> np.ndarray:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(image, connectivity=8)
        large = stats[:, cv2.CC_STAT_AREA] >= 100
        large[0] = False
        return large[labels]

    def boundary(image: np.ndarray) -> np.ndarray:
        # As the code of Boundary IoU does: a border of zeros, and erosion step by step.
        h, w = image.shape
        steps = max(1, round(0.02 * float(np.hypot(h, w))))
        padded = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=steps)
        return image - inner[1:-1, 1:-1]

    def polygons(rings: list[list[list[float]]]) -> Any:
        every = [np.array(ring[0]).reshape(1, -1, 2).round().astype(np.int32) for ring in rings]

        def call() -> list[np.ndarray]:
            return [cv2.fillPoly(np.zeros((480, 640), np.uint8), ring, 1) for ring in every]

        return call, images_as_rles

    def trace(stack: Any) -> Any:
        images = list(stack.rows)
        how = cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
        return lambda: [cv2.findContours(i, *how)[0] for i in images], lambda out: [len(c) for c in out]

    def simplify(rings: list[np.ndarray], tolerance: float) -> Any:
        every = [np.ascontiguousarray(ring, np.float32) for ring in rings]
        return lambda: [cv2.approxPolyDP(ring, tolerance, True) for ring in every], lambda out: [
            ring.reshape(-1, 2) for ring in out
        ]

    return {
        "geometry_flip": each(lambda image: cv2.flip(image, 1)),
        "geometry_transpose": each(cv2.transpose),
        "morphology_components": components,
        "morphology_remove_small": each(remove_small),
        "morphology_dilate_square": shaped(cv2.dilate, False),
        "morphology_erode_square": shaped(cv2.erode, False),
        "morphology_dilate_disc": shaped(cv2.dilate, True),
        "morphology_erode_disc": shaped(cv2.erode, True),
        "morphology_boundary": each(boundary),
        "polygons_rasterize_even_odd": polygons,
        "polygons_simplify": simplify,
        "outlines_trace": trace,
        **rivals_polygons.opencv(),
    }


def disc(radius: int) -> np.ndarray:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return (y * y + x * x <= radius * radius).astype(np.uint8)


def _components(label_images: list[np.ndarray]) -> list[tuple[int, int, bytes]]:
    """Every component by itself; an order that all agree on."""
    return sorted(rle for labels in label_images for rle in rles(Masks.from_labels(labels)[0].to_coco()))


def _scipy() -> dict[str, Operation]:
    from scipy import ndimage

    def components(stack: Any) -> Any:
        images, corners = list(stack.rows), np.ones((3, 3))
        return lambda: [ndimage.label(image, corners)[0] for image in images], _components

    def fill_holes(stack: Any) -> Any:
        images = list(stack.rows)
        return lambda: [ndimage.binary_fill_holes(image) for image in images], images_as_rles

    def shaped(function: Any, ellipse: bool, outside: int) -> Operation:
        def operation(stack: Any, radius: int) -> Any:
            images = list(stack.rows)
            kernel = disc(radius) if ellipse else np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
            return lambda: [function(i, kernel, border_value=outside) for i in images], images_as_rles

        return operation

    return {
        "morphology_components": components,
        "morphology_fill_holes": fill_holes,
        "morphology_dilate_square": shaped(ndimage.binary_dilation, False, 0),
        "morphology_erode_square": shaped(ndimage.binary_erosion, False, 1),
        "morphology_dilate_disc": shaped(ndimage.binary_dilation, True, 0),
        "morphology_erode_disc": shaped(ndimage.binary_erosion, True, 1),
        **rivals_features.scipy(),
    }


def _skimage() -> dict[str, Operation]:
    from skimage import draw, measure, morphology

    def components(stack: Any) -> Any:
        images = list(stack.rows)
        return lambda: [measure.label(image, connectivity=2) for image in images], _components

    def remove_small(stack: Any) -> Any:
        images = list(stack.rows.view(bool))
        parameters = inspect.signature(morphology.remove_small_objects).parameters
        how = {"max_size": 99} if "max_size" in parameters else {"min_size": 100}

        def call() -> list[np.ndarray]:
            return [morphology.remove_small_objects(image, connectivity=2, **how) for image in images]

        return call, images_as_rles

    def shaped(name: str, ellipse: bool) -> Operation:
        function = getattr(morphology, name)

        def operation(stack: Any, radius: int) -> Any:
            images = list(stack.rows)
            kernel = disc(radius) if ellipse else np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
            return lambda: [function(image, kernel) for image in images], images_as_rles

        return operation

    def polygons(rings: list[list[list[float]]]) -> Any:
        every = [np.array(ring[0]).reshape(-1, 2)[:, ::-1] - 0.5 for ring in rings]
        return lambda: [draw.polygon2mask((480, 640), ring) for ring in every], images_as_rles

    def trace(stack: Any) -> Any:
        images = list(stack.rows)
        return lambda: [measure.find_contours(i, 0.5) for i in images], lambda out: [len(c) for c in out]

    def simplify(rings: list[np.ndarray], tolerance: float) -> Any:
        every = [np.concatenate([ring, ring[:1]]) for ring in rings]
        return lambda: [measure.approximate_polygon(ring, tolerance) for ring in every], lambda out: [
            ring[:-1] for ring in out
        ]

    return {
        "morphology_components": components,
        "morphology_remove_small": remove_small,
        "morphology_dilate_disc": shaped("dilation", True),
        "morphology_erode_disc": shaped("erosion", True),
        "polygons_rasterize_even_odd": polygons,
        "polygons_simplify": simplify,
        "outlines_trace": trace,
        **rivals_features.scikit_image(),
        **rivals_measures.scikit_image(),
        **rivals_polygons.scikit_image(),
    }


def _numpy() -> dict[str, Operation]:
    def encode(stack: Any) -> Any:
        images = list(stack.nhw)

        def call() -> list[np.ndarray]:
            out = []
            for image in images:
                pixels = image.ravel(order="F")
                ends = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
                counts = np.diff(ends, prepend=0, append=len(pixels))
                out.append(counts if not pixels[0] else np.concatenate([[0], counts]))
            return out

        def answer(out: list[np.ndarray]) -> Any:
            parts = [Masks(c.astype(np.uint32), [0, len(c)], (stack.height, stack.width)) for c in out]
            return rles(Masks.concatenate(parts).to_coco())

        return call, answer

    def box_iou(a: np.ndarray, b: np.ndarray) -> Any:
        def call() -> np.ndarray:
            low = np.maximum(a[:, None, :2], b[:, :2])
            high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[:, :2] + b[:, 2:])
            common = np.clip(high - low, 0, None).prod(2)
            return common / (a[:, 2:].prod(1)[:, None] + b[:, 2:].prod(1) - common)

        return call, answer_itself

    def flip(stack: Any) -> Any:
        images = list(stack.rows)
        return lambda: [image[:, ::-1].copy() for image in images], images_as_rles

    def window(stack: Any, box: list[int]) -> Any:
        x, y, w, h = box
        images = list(stack.rows)
        return lambda: [image[y : y + h, x : x + w].copy() for image in images], images_as_rles

    return {
        "rle_encode": encode,
        "matching_box_iou": box_iou,
        "geometry_flip": flip,
        "geometry_window": window,
        **rivals_codes.numpy(),
        **rivals_patches.numpy(),
    }


def _json() -> dict[str, Operation]:
    import json

    def read(path: Any) -> Any:
        return lambda: json.loads(path.read_bytes()), _boxes

    def write(rows: list[dict[str, Any]], path: Any) -> Any:
        return lambda: path.write_text(json.dumps(rows)), lambda _: _boxes(json.loads(path.read_bytes()))

    return {"coco_json_read": read, "coco_json_write": write}


def _orjson() -> dict[str, Operation]:
    import json

    import orjson

    def read(path: Any) -> Any:
        return lambda: orjson.loads(path.read_bytes()), _boxes

    def write(rows: list[dict[str, Any]], path: Any) -> Any:
        return lambda: path.write_bytes(orjson.dumps(rows)), lambda _: _boxes(json.loads(path.read_bytes()))

    return {"coco_json_read": read, "coco_json_write": write}


def _boxes(parsed: Any) -> np.ndarray:
    rows = parsed["annotations"] if isinstance(parsed, dict) else parsed
    return np.array([row["bbox"] for row in rows], float)


def _none() -> dict[str, Operation]:
    return {}


RIVALS = (
    Rival("pycocotools", "pycocotools", "pycocotools==2.0.11", cache(_pycocotools)),
    Rival("faster-coco-eval", "faster_coco_eval", "faster-coco-eval==1.8.0", cache(_faster_coco_eval)),
    Rival("hotcoco", "hotcoco", "hotcoco==1.3.0", cache(_hotcoco)),
    Rival("ultrafast", "ultrafast_pycocotools", "ultrafast-pycocotools==0.1.14", cache(_ultrafast)),
    Rival("vernier", "vernier", "vernier==0.5.4", _none),  # evaluates only, see bench_evaluate.py
    Rival("rlemasklib", "rlemasklib", "rlemasklib==0.8.1", cache(_rlemasklib)),
    Rival("opencv", "cv2", "opencv-python-headless", cache(_opencv)),
    Rival("scikit-image", "skimage", "scikit-image", cache(_skimage)),
    Rival("scipy", "scipy", "scipy", cache(_scipy)),
    Rival("numpy", "numpy", "numpy", cache(_numpy)),
    Rival("list of copies", "numpy", "numpy", cache(rivals_patches.list_of_copies)),
    Rival("sliding_window_view", "numpy", "numpy", cache(rivals_patches.sliding_window_view)),
    Rival("patchify", "patchify", "patchify", cache(rivals_patches.patchify)),
    Rival("scikit-learn", "sklearn", "scikit-learn", cache(rivals_patches.scikit_learn)),
    Rival("torch", "torch", "torch", cache(rivals_patches.torch)),
    Rival("imagehash", "imagehash", "ImageHash", cache(rivals_hashes.imagehash)),
    Rival("imagededup hashes", "imagededup", "imagededup", cache(rivals_hashes.imagededup)),
    Rival("OpenCV img_hash", "cv2.img_hash", "opencv-contrib-python-headless", cache(rivals_hashes.opencv)),
    Rival("pdqhash", "pdqhash", "pdqhash", cache(rivals_hashes.pdqhash)),
    Rival("faiss", "faiss", "faiss-cpu", cache(rivals_codes.faiss)),
    Rival("faiss buckets", "faiss", "faiss-cpu", cache(rivals_codes.faiss_buckets)),
    Rival("usearch", "usearch", "usearch", cache(rivals_codes.usearch)),
    Rival("imagededup", "imagededup", "imagededup", cache(rivals_codes.imagededup)),
    Rival("doodler-engine", "doodler_engine", "doodler-engine==0.0.3", cache(rivals_features.doodler_engine)),
    Rival("cem-dataset", "SimpleITK", "SimpleITK", cache(rivals_em.cem_dataset)),
    Rival("colab_zirc_dims", "skimage", "scikit-image", cache(rivals_measures.colab_zirc_dims)),
    Rival("MLPClassifier", "sklearn", "scikit-learn", cache(rivals_perceptron.scikit_learn)),
    Rival("pydensecrf", "pydensecrf", "pydensecrf2==1.1", cache(rivals_crf.pydensecrf)),
    Rival("pycocotools loop", "pycocotools", "pycocotools==2.0.11", cache(rivals_annotations.pycocotools)),
    Rival("opencv loop", "cv2", "opencv-python-headless", cache(rivals_annotations.opencv)),
    Rival("regionprops loop", "skimage", "scikit-image", cache(rivals_annotations.scikit_image)),
    Rival("supervision", "supervision", "supervision", cache(rivals_annotations.supervision)),
    Rival("datumaro", "datumaro", "datumaro", cache(rivals_annotations.datumaro)),
    Rival("json", "json", "", cache(_json)),
    Rival("orjson", "orjson", "orjson", cache(_orjson)),
)
