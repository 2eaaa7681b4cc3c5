"""Matches of all images at once, and what COCOeval shows of them.

A `Plan` are the parameters, a `Side` is what matters of ground truth or results, in columns; an `Evaluation` of these
matches everything by the kernels of `matching`, and makes evalImgs and ious when somebody looks at them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from maskmill._backend import kernels

_MOST_THRESHOLDS = 16  # at a time: one bit each

# Parameters


@dataclass
class Plan:
    """The parameters of an evaluation, found to be plain."""

    iou_type: str
    image_ids: list[Any]
    category_ids: list[Any]
    use_categories: bool
    thresholds: NDArray[np.float64]
    areas: list[Any]
    area_ranges: NDArray[np.float64]
    limits: list[int]
    last_limit: Any  # as it goes into evalImgs

    @property
    def cell_categories(self) -> list[Any]:
        return self.category_ids if self.use_categories else [-1]

    @property
    def count(self) -> int:
        return len(self.cell_categories) * len(self.areas) * len(self.image_ids)


def numbers_of(values: Any) -> NDArray[np.float64] | None:
    """A vector of finite doubles, or None."""
    try:
        array = np.asarray(values)
    except ValueError:
        return None
    if array.ndim != 1 or array.dtype.kind not in "iuf" or not np.all(np.isfinite(array)):
        return None
    return array.astype(np.float64)


def _ids_of(values: Any) -> NDArray[np.int64] | None:
    """A vector of int64, each once, or None."""
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):
        return None
    if (
        array.ndim != 1
        or array.dtype.kind not in "iu"
        or array.size == 0
        or len(np.unique(array)) != array.size
    ):
        return None
    return array.astype(np.int64)


def plan_of(p: Any) -> Plan | None:
    if p.iouType not in ("bbox", "segm", "keypoints") or (p.iouType == "keypoints" and not p.useCats):
        return None
    if type(p.imgIds) is not list or type(p.catIds) is not list or type(p.areaRng) is not list:
        return None
    thresholds = numbers_of(p.iouThrs)
    if thresholds is None or thresholds.size == 0:
        return None
    if _ids_of(p.imgIds) is None or _ids_of(p.catIds) is None:
        return None
    ranges = [numbers_of(r) for r in p.areaRng]
    if not ranges or any(r is None or r.size != 2 for r in ranges):
        return None
    if not p.maxDets or not all(isinstance(m, int | np.integer) and m >= 0 for m in p.maxDets):
        return None
    return Plan(
        p.iouType,
        p.imgIds,
        p.catIds,
        bool(p.useCats),
        thresholds,
        p.areaRng,
        np.array(ranges),
        [int(m) for m in p.maxDets],
        p.maxDets[-1],
    )


# Evaluating


@dataclass
class Side:
    """What matching needs of ground truth or results, row by row."""

    image: NDArray[np.int64]
    category: NDArray[np.int64]
    ids: Sequence[Any]  # as they go into evalImgs
    named: NDArray[np.uint8]  # see matching.hpp
    area: NDArray[np.float64]
    boxes: NDArray[np.float64] | None = None
    crowd: NDArray[np.uint8] | None = None
    ignore: NDArray[np.uint8] | None = None
    score: NDArray[np.float64] | None = None
    scores: list[Any] | None = None  # as they go into evalImgs; None: those of `score`, see score_is_integer
    score_is_integer: NDArray[np.bool_] | None = None


class Evaluation:
    """Matches of all cells, from which evalImgs, ious and the accumulated results are made."""

    def __init__(self, plan: Plan, gt: Side, dt: Side) -> None:
        self.plan, self.gt, self.dt = plan, gt, dt
        assert dt.score is not None
        self.category, self.image, self.gt_cells, self.gt_order, self.dt_cells, self.dt_order, self.score = (
            kernels().matching_group(
                gt.image,
                gt.category,
                dt.image,
                dt.category,
                dt.score,
                np.array(plan.image_ids, np.int64),
                np.array(plan.category_ids, np.int64),
                plan.use_categories,
                plan.limits[-1],
            )
        )
        self.ious: NDArray[np.float64] | None = None  # None: those of the boxes, made when asked for
        self.iou_cells: NDArray[np.int64] | None = None

    @property
    def cells(self) -> tuple[NDArray[np.int64], ...]:
        return self.gt_cells, self.gt_order, self.dt_cells, self.dt_order

    @property
    def count(self) -> int:
        return self.plan.count

    def match(self) -> None:
        """Bits of matched and ignored detections, 16 thresholds at a time."""
        thresholds = self.plan.thresholds
        self.parts = [
            self._match(thresholds[t : t + _MOST_THRESHOLDS], self.plan.area_ranges)[:3]
            for t in range(0, len(thresholds), _MOST_THRESHOLDS)
        ]

    def _match(
        self, thresholds: NDArray[np.float64], ranges: NDArray[np.float64], partners: bool = False
    ) -> Any:
        gt, dt = self.gt, self.dt
        boxes = (gt.boxes, dt.boxes) if self.ious is None else (None, None)
        return kernels().matching_match(
            *self.cells,
            self.ious,
            self.iou_cells,
            *boxes,
            gt.area,
            gt.ignore,
            gt.crowd,
            gt.named,
            dt.area,
            dt.named,
            np.ascontiguousarray(thresholds),
            np.ascontiguousarray(ranges),
            partners,
        )

    def accumulate(self, recalls: NDArray[np.float64], limits: list[int]) -> tuple[NDArray[np.float64], ...]:
        categories = len(self.plan.cell_categories)
        results = []
        for n, (matched, ignored, counted) in enumerate(self.parts):
            size = len(self.plan.thresholds[n * _MOST_THRESHOLDS :][:_MOST_THRESHOLDS])
            results.append(
                kernels().matching_accumulate(
                    self.category,
                    self.dt_cells,
                    self.score,
                    matched,
                    ignored,
                    counted,
                    categories,
                    size,
                    recalls,
                    np.array(limits, np.int64),
                )
            )
        if len(results) == 1:
            return tuple(results[0])
        return tuple(np.concatenate([r[i] for r in results]) for i in range(3))

    # What people look at

    def _matrix(self, cell: int) -> Any:
        """One cell's IoUs, as computeIoU returns them."""
        g = int(self.gt_cells[cell + 1] - self.gt_cells[cell])
        d = int(self.dt_cells[cell + 1] - self.dt_cells[cell])
        if g == 0 or d == 0:
            return []
        assert self.ious is not None and self.iou_cells is not None
        start = self.iou_cells[cell]
        order: Literal["C", "F"] = "C" if self.plan.iou_type == "keypoints" else "F"
        return np.array(self.ious[start : start + d * g].reshape(d, g), order=order)

    def _need_ious(self) -> None:
        if self.ious is None:
            self.ious, self.iou_cells = kernels().matching_box_iou(
                *self.cells, self.gt.boxes, self.dt.boxes, self.gt.crowd
            )

    def _cell_numbers(self) -> dict[tuple[int, int], int]:
        """Cells by place of category and image."""
        return {key: c for c, key in enumerate(zip(self.category.tolist(), self.image.tolist(), strict=True))}

    def make_ious(self) -> dict[Any, Any]:
        self._need_ious()
        cells = self._cell_numbers()
        made = {}
        for i, image in enumerate(self.plan.image_ids):
            for k, category in enumerate(self.plan.cell_categories):
                cell = cells.get((k, i))
                made[image, category] = [] if cell is None else self._matrix(cell)
        return made

    def make_eval_images(self) -> list[Any]:
        plan = self.plan
        found: list[Any] = [None] * self.count
        images = len(plan.image_ids)
        scores = self._scores()
        gt_ids = np.array([float(i) for i in self.gt.ids])
        dt_ids = np.array([float(i) for i in self.dt.ids])
        for a, limits in enumerate(plan.areas):
            parts = [
                self._match(plan.thresholds[t : t + _MOST_THRESHOLDS], plan.area_ranges[a : a + 1], True)
                for t in range(0, len(plan.thresholds), _MOST_THRESHOLDS)
            ]
            dt_partner = np.concatenate([part[3][0] for part in parts])
            gt_partner = np.concatenate([part[4][0] for part in parts])
            assert self.gt.ignore is not None
            low, high = plan.area_ranges[a]
            gt_ignored = (self.gt.ignore != 0) | (self.gt.area < low) | (self.gt.area > high)
            for c, (k, i) in enumerate(zip(self.category.tolist(), self.image.tolist(), strict=True)):
                g = self.gt_order[self.gt_cells[c] : self.gt_cells[c + 1]]
                d = self.dt_order[self.dt_cells[c] : self.dt_cells[c + 1]]
                flags = gt_ignored[g]
                order = np.argsort(flags, kind="stable")
                by_dt = dt_partner[:, self.dt_cells[c] : self.dt_cells[c + 1]]
                by_gt = gt_partner[:, self.gt_cells[c] : self.gt_cells[c + 1]][:, order]
                dtm, gtm = np.zeros(by_dt.shape), np.zeros(by_gt.shape)
                dt_ignored = np.zeros(by_dt.shape, bool)
                if len(g) and len(d):
                    dtm[:] = np.where(by_dt >= 0, gt_ids[g][by_dt], 0.0)
                    gtm[:] = np.where(by_gt >= 0, dt_ids[d][by_gt], 0.0)
                    dt_ignored[:] = (by_dt >= 0) & flags[by_dt]
                area = self.dt.area[d]
                dt_ignored |= (dtm == 0) & ((area < low) | (area > high))
                found[(k * len(plan.areas) + a) * images + i] = {
                    "image_id": plan.image_ids[i],
                    "category_id": plan.cell_categories[k],
                    "aRng": limits,
                    "maxDet": plan.last_limit,
                    "dtIds": [self.dt.ids[j] for j in d.tolist()],
                    "gtIds": [self.gt.ids[j] for j in g[order].tolist()],
                    "dtMatches": dtm,
                    "gtMatches": gtm,
                    "dtScores": [scores[j] for j in d.tolist()],
                    "gtIgnore": flags[order].astype(np.int64) if len(g) else np.array([]),
                    "dtIgnore": dt_ignored,
                }
        return found

    def _scores(self) -> list[Any]:
        if self.dt.scores is not None:
            return self.dt.scores
        assert self.dt.score is not None and self.dt.score_is_integer is not None
        scores: list[Any] = self.dt.score.tolist()
        for j in np.flatnonzero(self.dt.score_is_integer).tolist():
            scores[j] = int(scores[j])
        return scores
