"""Shapes of labelme's files as instances: one each, or the union of those with the same label and group."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.dataset import Shapes
from maskmill.dataset.shapes import (
    BOX,
    CIRCLE,
    LINE,
    MASK,
    POINT,
    POLYGON,
    POLYLINE,
    RECTANGLE,
    empty_polygons,
)
from maskmill.dataset.sizes import image_size_of
from maskmill.io._labelme_raster import shape_mask
from maskmill.io._parse import mapping, number, sequence, wrong
from maskmill.io.images import decode_image
from maskmill.masks import Masks
from maskmill.polygons import RULES, Polygons

__all__ = ["NOTE", "Drawn", "drawn", "note_of", "shapes_of"]

NOTE = "maskmill"
"""The field of a shape, unknown to labelme and kept by it, that says what labelme has no word for: ``rule``, ``role``
("box"), ``crowd``, ``score``, ``attributes``."""

KIND = {
    "polygon": POLYGON,
    "oriented_rectangle": POLYGON,
    "rectangle": RECTANGLE,
    "circle": CIRCLE,
    "point": POINT,
    "line": LINE,
    "linestrip": POLYLINE,
    "mask": MASK,
}
_POINTS = {RECTANGLE: 2, CIRCLE: 2, POINT: 1, LINE: 2, MASK: 2}
UNITED = ("coco", "labelme")
"""Rules that fill each ring by itself, so that the rings of a group are its union."""

MAX_PAINTED = 1 << 28
"""Pixels of a part of an image that are painted, or of a mask that is unpacked."""


@dataclass
class Drawn:
    """One instance: its kind, how it is filled, rings or control points, or the mask; the box if it is nothing else."""

    kind: int
    rule: str
    rings: list[NDArray[np.float64]]
    mask: Masks | None = None


def note_of(shape: dict[str, Any], where: str) -> dict[str, Any]:
    """What maskmill noted of a shape."""
    note = mapping(shape.get(NOTE) or {}, f"{where}.{NOTE}")
    rule, role = note.get("rule"), note.get("role")
    if rule is not None and (not isinstance(rule, str) or rule not in RULES):
        raise wrong(f"{where}.{NOTE}.rule", f"one of {', '.join(RULES)}", rule)
    if role not in (None, "box"):
        raise wrong(f"{where}.{NOTE}.role", "box", role)
    return note


def drawn(group: Sequence[dict[str, Any]], size: tuple[int, int], rule: str, where: Sequence[str]) -> Drawn:
    """A shape, or the union of those of a group.

    Parameters
    ----------
    group, where : the shapes, and what errors call them
    size : (height, width) of the image, 0 if not known
    rule : how it is filled if it does not say so itself

    Raises
    ------
    FormatError
    """
    parts = [_one(shape, size, rule, at) for shape, at in zip(group, where, strict=True)]
    if len(parts) == 1:
        return parts[0]
    if all(part.kind == POLYGON and part.rule in UNITED and part.rule == parts[0].rule for part in parts):
        return Drawn(POLYGON, parts[0].rule, [ring for part in parts for ring in part.rings])
    if 0 in size:
        raise FormatError(f"{where[1]}: expected an image of known size, as the shape belongs to a group")
    whole = shapes_of(parts, size).masks(np.tile(np.array(size, np.int64), (len(parts), 1)))
    return Drawn(MASK, rule, [], whole.union())


def _one(shape: dict[str, Any], size: tuple[int, int], rule: str, where: str) -> Drawn:
    name = shape.get("shape_type") or "polygon"
    if not isinstance(name, str) or name not in KIND:
        raise wrong(f"{where}.shape_type", f"one of {', '.join(KIND)}", name)
    kind, points, note = KIND[name], _points(shape.get("points"), f"{where}.points"), note_of(shape, where)
    wanted = _POINTS.get(kind)
    if wanted is not None and len(points) != wanted:
        raise wrong(f"{where}.points", f"{wanted} points of a {name}", points.tolist())
    if kind == POLYLINE and len(points) < 2:
        raise wrong(f"{where}.points", "2 points of a linestrip, or more", points.tolist())
    rule = note.get("rule") or rule
    if kind == MASK:
        return Drawn(MASK, rule, [], _patch(shape, points, size, where))
    if note.get("role") == "box" and kind == RECTANGLE:
        return Drawn(BOX, rule, [points])
    if kind == POLYGON or rule != "labelme" or 0 in size:
        return Drawn(kind, rule, [points])
    low, high = np.maximum(points.min(0), 0), np.minimum(points.max(0), size[::-1])
    reach = np.hypot(*(points[1] - points[0])) if kind == CIRCLE else 0.0
    extent = np.minimum(np.maximum(high - low, 0) + 2 * reach + 50, size[::-1])
    if extent.prod() > MAX_PAINTED:
        raise FormatError(
            f"{where}: expected a {name} of at most {MAX_PAINTED} pixels to paint, found {extent.tolist()}"
        )
    try:
        return Drawn(MASK, rule, [], shape_mask(name, points, size))
    except ValueError as error:
        raise FormatError(f"{where}: {error}") from None


def _points(value: Any, where: str) -> NDArray[np.float64]:
    """(K, 2) from a list of pairs."""
    pairs = sequence(value, where)
    try:
        points = np.array(pairs, np.float64).reshape(len(pairs), 2) if pairs else np.empty((0, 2))
        if bool((np.abs(points) <= 1e9).all()):
            return points
    except (TypeError, ValueError, OverflowError):
        pass
    for i, pair in enumerate(pairs):
        if not isinstance(pair, list) or len(pair) != 2:
            raise wrong(f"{where}[{i}]", "x and y", pair)
    return np.array([[number(v, f"{where}[{i}]") for v in pair] for i, pair in enumerate(pairs)])


def _patch(shape: dict[str, Any], points: NDArray[np.float64], size: tuple[int, int], where: str) -> Masks:
    """The mask of a shape of kind "mask": an image of its box, of which what is not 0 is set.

    Its place are the corners, rounded; if they are whole numbers, both are inside, and nothing beyond.
    """
    text = shape.get("mask")
    if not isinstance(text, str):
        raise wrong(f"{where}.mask", "a PNG as base64", text)
    if 0 in size:
        raise FormatError(f"{where}: expected an image of known size, as the shape is a mask")
    try:
        data = base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{where}.mask: expected a PNG as base64 ({error})") from None
    h, w = image_size_of(data, f"{where}.mask")
    if h > 2 * size[0] + 2 or w > 2 * size[1] + 2 or h * w > MAX_PAINTED:
        raise FormatError(
            f"{where}.mask: expected a mask within {size[0]} x {size[1]} pixels, found {h} x {w}"
        )
    patch = decode_image(data, f"{where}.mask")
    pixels = (patch if patch.ndim == 2 else patch[..., 0]) != 0
    corners = np.round(points).astype(np.int64)
    x, y = corners[0].tolist()
    if (points == corners).all():
        right, below = (corners[1] - corners[0] + 1).tolist()
        pixels = pixels[: max(below, 0), : max(right, 0)]
    if not pixels.size:
        return Masks.empty([size])
    far = 2 * (max(size) + max(pixels.shape))  # what is so far away is outside, however far it is
    x, y = (max(min(v, far), -far) for v in (x, y))
    return Masks.encode(np.ascontiguousarray(pixels)[None]).crop((-x, -y, size[1], size[0]))


def shapes_of(parts: Sequence[Drawn], size: tuple[int, int]) -> Shapes:
    """Instances of one image."""
    if not parts:
        return Shapes.of_boxes(0)
    rings = [part.rings if part.kind not in (BOX, MASK) else [] for part in parts]
    points = Polygons.from_lists(rings) if any(rings) else empty_polygons(len(parts))
    masks = [part.mask for part in parts if part.mask is not None]
    return Shapes(
        np.array([part.kind for part in parts], np.uint8),
        np.array([RULES[part.rule] for part in parts], np.uint8),
        points,
        Masks.concatenate(masks) if masks else Masks.empty(),
    )
