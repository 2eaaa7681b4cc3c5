"""COCOeval with corrections of pycocotools' semantics, each by name and none by default."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np

from maskmill.masks import Masks
from maskmill.pycocotools import cocoeval as strict
from maskmill.pycocotools.cocoeval import Params

__all__ = ["CORRECTIONS", "COCOeval", "Params"]

CORRECTIONS = {
    "ids": "matches count for any id: ground truth 0 and results below 1 get ids of their own (see `renumbered`)",
    "ignore": "a ground truth's own 'ignore' holds, beside iscrowd",
    "mask-area": "with iouType segm, a result's area is that of its mask, not of its box",
    "max-dets": "all lines are for the limits that params.maxDets has, however many",
    "keypoints": "with useCats = 0, keypoints are compared across categories",
    "by-value": "accumulate(p) looks up categories, areas and images of p by value, not by position",
    "copies": "the ground truth's and results' dicts stay as they are",
}
"""What `COCOeval(..., corrections=...)` takes, and what each does."""


class COCOeval(strict.COCOeval):
    """pycocotools' COCOeval.

    Parameters
    ----------
    corrections : names out of `CORRECTIONS`
        Recorded in ``eval["corrections"]``.

    Attributes
    ----------
    renumbered : dict
        With "ids": for each id that was given instead, what stood there.

    Examples
    --------
    >>> from maskmill.pycocotools.hardened import COCOeval, CORRECTIONS
    >>> sorted(COCOeval(corrections=["ids", "ignore"]).corrections)
    ['ids', 'ignore']
    >>> COCOeval(corrections=["id"])
    Traceback (most recent call last):
    ValueError: corrections are 'ids', 'ignore', 'mask-area', 'max-dets', 'keypoints', 'by-value', 'copies', not 'id'
    """

    def __init__(
        self,
        cocoGt: Any = None,
        cocoDt: Any = None,
        iouType: str = "segm",
        *,
        corrections: Iterable[str] = (),
    ) -> None:
        self.corrections = frozenset([corrections] if isinstance(corrections, str) else corrections)
        for name in self.corrections:
            if name not in CORRECTIONS:
                raise ValueError(f"corrections are {', '.join(map(repr, CORRECTIONS))}, not {name!r}")
        self.renumbered: dict[Any, Any] = {}
        super().__init__(cocoGt, cocoDt, iouType)

    # Before matching

    def _prepare(self) -> None:
        gt_anns, dt_anns = self.cocoGt.anns, self.cocoDt.anns
        own_ignore = {key: ann["ignore"] for key, ann in gt_anns.items() if "ignore" in ann}
        before = [
            {key: dict(ann) for key, ann in anns.items()}
            for anns in (gt_anns, dt_anns)
            if "copies" in self.corrections
        ]
        super()._prepare()
        if self.corrections & {"copies", "ids"}:
            self._gts, self._dts = (_copied(cells) for cells in (self._gts, self._dts))
        for anns, copies in zip((gt_anns, dt_anns), before, strict=False):
            for key, ann in anns.items():
                ann.clear()
                ann.update(copies[key])
        if "ignore" in self.corrections:
            for gt in _all(self._gts):
                gt["ignore"] = gt["ignore"] or bool(own_ignore.get(gt["id"], 0))
        if "mask-area" in self.corrections and self.params.iouType == "segm":
            dts = list(_all(self._dts))
            for dt, area in zip(
                dts, Masks.from_coco([d["segmentation"] for d in dts]).area.tolist(), strict=True
            ):
                dt["area"] = area
        if "ids" in self.corrections:
            self._renumber()
        if "keypoints" in self.corrections and self.params.iouType == "keypoints" and not self.params.useCats:
            self._gather(self._gts)
            self._gather(self._dts)

    def _renumber(self) -> None:
        self.renumbered = {}
        for cells, is_bad in ((self._gts, lambda n: n == 0), (self._dts, lambda n: n <= 0)):
            anns = list(_all(cells))
            number = max((ann["id"] for ann in anns), default=0) + 1
            for ann in anns:
                if is_bad(ann["id"]):
                    self.renumbered[number], ann["id"] = ann["id"], number
                    number += 1

    def _gather(self, cells: Any) -> None:
        """All that an image has, also as of category -1: there computeOks looks for it."""
        for image in self.params.imgIds:
            cells[image, -1] = [ann for category in self.params.catIds for ann in cells[image, category]]

    # After it

    def accumulate(self, p: Any = None) -> None:
        """Precision and recall over all images."""
        if "by-value" in self.corrections and p is not None and p is not self.params:
            self._accumulate_by_value(p)
        else:
            super().accumulate(p)
        self.eval["corrections"] = sorted(self.corrections)

    def _accumulate_by_value(self, p: Any) -> None:
        """Rearrange what was evaluated so that position and value mean the same."""
        done: Any = self._paramsEval
        cells: Any = self.evalImgs
        categories: tuple[Any, Any] = (p.catIds, done.catIds) if p.useCats else ([-1], [-1])
        chosen = [
            _positions(*categories, "catIds"),
            _positions(list(map(tuple, p.areaRng)), list(map(tuple, done.areaRng)), "areaRng"),
            _positions(p.imgIds, done.imgIds, "imgIds"),
        ]
        rows = _positions(np.asarray(p.iouThrs).tolist(), np.asarray(done.iouThrs).tolist(), "iouThrs")
        _positions(p.maxDets, done.maxDets, "maxDets")
        grid = np.arange(len(cells)).reshape(-1, len(done.areaRng), len(done.imgIds))[np.ix_(*chosen)]
        arranged = copy.copy(done)
        arranged.catIds, arranged.areaRng, arranged.imgIds = p.catIds, p.areaRng, p.imgIds
        self._paramsEval, self.evalImgs = arranged, [_rows(cells[i], rows) for i in grid.ravel().tolist()]
        try:
            super().accumulate(p)
        finally:
            self._paramsEval, self.evalImgs = done, cells

    def _summarize_detections(self) -> Any:
        if "max-dets" not in self.corrections:
            return super()._summarize_detections()
        self.params.iouThrs = np.asarray(self.params.iouThrs, np.float64)
        line, limits = self._summarize_line, self.params.maxDets
        areas = [label for label in self.params.areaRngLbl if label != "all"]
        stats = [line(1, maxDets=limits[-1])]
        stats += [line(1, iouThr=threshold, maxDets=limits[-1]) for threshold in (0.5, 0.75)]
        stats += [line(1, areaRng=area, maxDets=limits[-1]) for area in areas]
        stats += [line(0, maxDets=limit) for limit in limits]
        stats += [line(0, areaRng=area, maxDets=limits[-1]) for area in areas]
        return np.array(stats)

    def _summarize_keypoints(self) -> Any:
        if "max-dets" not in self.corrections:
            return super()._summarize_keypoints()
        self.params.iouThrs = np.asarray(self.params.iouThrs, np.float64)
        line, limit = self._summarize_line, self.params.maxDets[-1]
        areas = [label for label in self.params.areaRngLbl if label != "all"]
        stats = []
        for ap in (1, 0):
            stats += [line(ap, maxDets=limit)] + [line(ap, iouThr=t, maxDets=limit) for t in (0.5, 0.75)]
            stats += [line(ap, areaRng=area, maxDets=limit) for area in areas]
        return np.array(stats)


def _all(cells: Any) -> Iterable[dict[str, Any]]:
    return (ann for anns in cells.values() for ann in anns)


def _copied(cells: Any) -> Any:
    copied = type(cells)(list)
    for key, anns in cells.items():
        copied[key] = [dict(ann) for ann in anns]
    return copied


def _positions(wanted: Any, among: Any, name: str) -> list[int]:
    at = {value: i for i, value in enumerate(among)}
    missing = [value for value in wanted if value not in at]
    if missing:
        raise ValueError(f"{name} must be among those that were evaluated, not {missing[0]!r}")
    return [at[value] for value in wanted]


def _rows(cell: Any, rows: list[int]) -> Any:
    """An image's evaluation with these thresholds only."""
    if cell is None:
        return None
    return {**cell, **{key: cell[key][rows] for key in ("dtMatches", "gtMatches", "dtIgnore")}}
