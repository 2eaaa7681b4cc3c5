"""coco_rle: the drop-in's mask functions against the same functions of rivals; calling counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill import Masks
from maskmill.pycocotools import mask as drop_in

from . import rivals
from .measure import OURS, Cases, Race, Settings
from .workloads import BOXES, FEW, MANY, NOISE, ONE, ONE_SMALL, PAIR_SMALL, POLYGONS, Stack

CASES = Cases("coco_rle")
_OURS = rivals.mask_functions(drop_in)


def _race(settings: Settings, operation: str, *inputs: Any, **how: int) -> Race:
    race = Race(**how)
    race.add(OURS, *_OURS[operation](*inputs))
    rivals.enter(race, settings, operation, *inputs)
    return race


for _name in ("coco_encode", "coco_decode", "coco_area", "coco_to_bbox", "coco_merge"):

    @CASES.add(_name, ONE_SMALL, ONE, MANY, NOISE)
    def stack_function(stack: Stack, settings: Settings, name: str = _name) -> Race:
        how = {"coco_encode": "read", "coco_decode": "written"}
        return _race(settings, name, stack, **({how[name]: stack.nhw.nbytes} if name in how else {}))


@CASES.add("coco_iou", PAIR_SMALL, FEW)
def iou(pair: tuple[Masks, Masks], settings: Settings) -> Race:
    return _race(settings, "coco_iou", *pair)


@CASES.add("coco_iou, lists of boxes", *BOXES)
def box_iou(boxes: tuple[np.ndarray, np.ndarray], settings: Settings) -> Race:
    return _race(settings, "coco_box_iou", *boxes)


@CASES.add("coco_iou, arrays of boxes", *BOXES)
def box_array_iou(boxes: tuple[np.ndarray, np.ndarray], settings: Settings) -> Race:
    return _race(settings, "coco_box_array_iou", *boxes)


@CASES.add("coco_from_polygons", *POLYGONS)
def from_polygons(rings: list[list[list[float]]], settings: Settings) -> Race:
    return _race(settings, "coco_from_polygons", rings)
