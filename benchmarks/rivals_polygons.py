"""Rivals for outlines on images of many sizes, and for masks to outlines. The same form as in rivals.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .measure import answer_itself
from .workloads import Outlines

Operation = Callable[..., tuple[Callable[[], Any], Callable[[Any], Any]]]


def pycocotools() -> dict[str, Operation]:
    from pycocotools import mask as api

    def areas(outlines: Outlines) -> Any:
        flat = [([ring.ravel().tolist()], *size) for ring, size in outlines.each()]
        return lambda: [int(api.area(api.frPyObjects(*one)[0])) for one in flat], answer_itself

    return {"polygons_areas_coco": areas}


def opencv() -> dict[str, Operation]:
    import cv2

    how = cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE

    def areas(outlines: Outlines) -> Any:
        every = [([ring.round().astype(np.int32)], size) for ring, size in outlines.each()]

        def call() -> list[int]:
            return [cv2.countNonZero(cv2.fillPoly(np.zeros(size, np.uint8), ring, 1)) for ring, size in every]

        return call, answer_itself

    def trace_runs(stack: Any) -> Any:
        from pycocotools import mask as api

        rles = stack.rles

        def call() -> list[Any]:
            return [cv2.findContours(np.ascontiguousarray(api.decode(rle)), *how)[0] for rle in rles]

        return call, lambda out: [len(contours) for contours in out]

    def trace_images(stack: Any) -> Any:
        images = list(stack.rows)
        return lambda: [cv2.findContours(i, *how)[0] for i in images], lambda out: [len(c) for c in out]

    return {
        "polygons_areas_even_odd": areas,
        "outlines_trace_runs": trace_runs,
        "outlines_trace_images": trace_images,
    }


def scikit_image() -> dict[str, Operation]:
    from skimage.draw import polygon2mask

    def areas(outlines: Outlines) -> Any:
        every = [(size, ring[:, ::-1].copy()) for ring, size in outlines.each()]
        return lambda: [int(np.count_nonzero(polygon2mask(*one))) for one in every], answer_itself

    return {"polygons_areas_skimage": areas}
