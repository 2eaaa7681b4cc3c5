"""pycocotools.mask for untrusted data: a `ValueError` names what is malformed."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill.pycocotools import _mask
from maskmill.pycocotools import mask as strict
from maskmill.pycocotools.hardened._checks import Repairs, clean_rings, clean_rles

__all__ = ["_mask", "area", "decode", "encode", "frPyObjects", "iou", "merge", "toBbox"]
__author__ = "tsungyi"


def encode(bimask: Any) -> Any:
    """RLE of an (h, w) array, or a list of those of an (h, w, n) one; any integer type, any memory order.

    Raises
    ------
    ValueError
        If an array has another shape, or a mask more than two values: a label image is no mask.
    """
    array = np.asarray(bimask)
    if array.ndim not in (2, 3):
        raise ValueError(f"bimask must have shape (h, w) or (h, w, n), not {array.shape}")
    if array.dtype.kind not in "bui":
        raise ValueError(f"bimask must be bool or integer, not {array.dtype}")
    if array.dtype.kind != "b" and array.size:
        stack = array.reshape(*array.shape[:2], -1)
        other = (stack != 0) & (stack != stack.max(axis=(0, 1)))
        if other.any():
            first = int(np.argwhere(other)[:, 2].min())
            raise ValueError(
                f"mask {first} has more than two values: pass `mask > 0`, or use Masks.from_labels"
            )
    return strict.encode(np.asfortranarray(array != 0))


def _cleaned(rleObjs: Any) -> list[dict[str, Any]]:
    return clean_rles([rleObjs] if isinstance(rleObjs, dict) else rleObjs)


def _like(rleObjs: Any, cleaned: list[dict[str, Any]]) -> Any:
    return cleaned[0] if isinstance(rleObjs, dict) else cleaned


def _check_sizes(rles: list[dict[str, Any]], what: str = "mask") -> None:
    for i, rle in enumerate(rles):
        if rle["size"] != rles[0]["size"]:
            raise ValueError(f"{what} {i} has size {rle['size']}, the first {rles[0]['size']}")


def decode(rleObjs: Any) -> Any:
    """(h, w) of an RLE, (h, w, n) of a list of RLEs of one size."""
    cleaned = _cleaned(rleObjs)
    _check_sizes(cleaned)
    return strict.decode(_like(rleObjs, cleaned))


def area(rleObjs: Any) -> Any:
    """Foreground pixels."""
    return strict.area(_like(rleObjs, _cleaned(rleObjs)))


def toBbox(rleObjs: Any) -> Any:
    """Boxes x, y, width, height."""
    return strict.toBbox(_like(rleObjs, _cleaned(rleObjs)))


def merge(rleObjs: Any, intersect: Any = 0) -> Any:
    """Union or intersection of RLEs of one size."""
    cleaned = _cleaned(rleObjs)
    _check_sizes(cleaned)
    return strict.merge(cleaned, intersect)


def iou(dt: Any, gt: Any, pyiscrowd: Any) -> Any:
    """IoU of RLEs of one size, or of boxes."""
    sides = [_boxes_or_rles(side, name) for side, name in ((dt, "dt"), (gt, "gt"))]
    if len(sides[0]) and len(sides[1]) and type(sides[0]) is not type(sides[1]):
        raise ValueError("dt and gt must both be boxes or both be RLEs")
    if isinstance(sides[0], list) and isinstance(sides[1], list):
        _check_sizes([*sides[0], *sides[1]], "of dt and gt together, mask")
    return strict.iou(*sides, pyiscrowd)


def _boxes_or_rles(side: Any, name: str) -> Any:
    if len(side) == 0:
        return []
    if isinstance(side[0], dict):
        try:
            return clean_rles(side)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    boxes = np.ascontiguousarray(side, np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name}: boxes must have shape (n, 4), not {boxes.shape}")
    bad = np.flatnonzero(~np.isfinite(boxes).all(axis=1))
    if bad.size:
        raise ValueError(f"{name}: box {bad[0]} must be finite numbers, not {boxes[bad[0]].tolist()}")
    return boxes


def frPyObjects(pyobj: Any, h: Any, w: Any) -> Any:
    """RLEs of boxes (an (n, 4) array), polygons (lists of numbers, one or many) or uncompressed RLEs (one or many).

    Rings of less than three points give empty masks, with a `RepairWarning`.
    """
    if isinstance(pyobj, dict):
        return _cleaned(pyobj)[0]
    if isinstance(pyobj, np.ndarray):
        return strict.frPyObjects(_boxes_or_rles(pyobj, "pyobj"), h, w) if len(pyobj) else []
    if not isinstance(pyobj, list | tuple):
        raise ValueError(f"pyobj must be boxes, polygons or RLEs, not {type(pyobj).__name__}")
    if all(isinstance(obj, dict) for obj in pyobj):
        return _cleaned(pyobj)
    if np.ndim(pyobj[0]) == 0:
        return frPyObjects([pyobj], h, w)[0]
    repairs = Repairs("pyobj")
    masks = []
    for k, ring in enumerate(pyobj):
        kept = clean_rings([ring], f"polygon {k}", repairs)
        masks.append(strict.frPyObjects(kept or [[0.0] * 6], h, w)[0])
    repairs.tell()
    return masks
