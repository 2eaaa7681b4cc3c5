"""COCO's evaluation, from grouping to precision and recall: the twin of cpp/kernels/matching.hpp.

A cell is what is compared with each other: the ground truth (gt) and the detections (dt) of one image and one category,
or of one image and all categories. Cells are sorted by category, then image. Cell c owns the rows
``gt_order[gt_cells[c]:gt_cells[c + 1]]`` of the ground truth, in file order, and those of ``dt_order`` and ``dt_cells``
of the detections, by falling score. IoUs of all cells lie one behind the other, a row-major (dt, gt) matrix each, that
of cell c from ``iou_cells[c]`` on.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill._numba import coco_json
from maskmill._numba._runs import (
    Bytes,
    Counts,
    Float64s,
    Int64s,
    Offsets,
    Sizes,
    check_array,
    check_masks,
    check_offsets,
    check_sides,
    check_sum,
    compiled,
    join,
    split,
    sums_of,
)
from maskmill._numba.coco_rle import coco_rle_box_iou
from maskmill._numba.overlap import iou_of_runs
from maskmill._numba.rle import rle_bbox

Flags: TypeAlias = NDArray[np.uint16]
"""Bit t: at threshold t."""
Partners: TypeAlias = NDArray[np.int32]
Masks: TypeAlias = tuple[Counts, Offsets, Sizes]
Texts: TypeAlias = tuple[Bytes, Bytes, NDArray[np.uint64], NDArray[np.uint64], Sizes]
"""Segmentations of a COCO file, as coco_json_read finds them: text, kind, begin, end; and the sizes of their masks."""

MOST_THRESHOLDS = 16


# Cells


def matching_group(
    gt_image: Int64s,
    gt_category: Int64s,
    dt_image: Int64s,
    dt_category: Int64s,
    dt_score: Float64s,
    image_ids: Int64s,
    category_ids: Int64s,
    use_categories: bool,
    max_det: int,
) -> tuple[Int64s, Int64s, Offsets, Int64s, Offsets, Int64s, Float64s]:
    """category, image (as places in the lists of ids), gt_cells, gt_order, dt_cells, dt_order, scores in this order.

    Rows of unlisted images and categories are left out. Without categories, a cell is an image, and its rows are in the
    order of category_ids first. At most max_det detections a cell.
    """
    for name, ids in (("gt_image", gt_image), ("gt_category", gt_category), ("dt_image", dt_image)):
        check_array(name, ids, np.int64)
    for name, ids in (("dt_category", dt_category), ("image_ids", image_ids), ("category_ids", category_ids)):
        check_array(name, ids, np.int64)
    check_array("dt_score", dt_score, np.float64)
    _check_length("gt_category", gt_category, gt_image.size)
    _check_length("dt_category", dt_category, dt_image.size)
    _check_length("dt_score", dt_score, dt_image.size)

    def rows_of(image: Int64s, category: Int64s) -> tuple[Int64s, Int64s]:
        """Listed rows, by category; and the cell of each, as category * images + image."""
        i, k = _places(image, image_ids), _places(category, category_ids)
        rows = np.flatnonzero((i >= 0) & (k >= 0))
        rows = rows[np.argsort(k[rows], kind="stable")]
        return rows, (k[rows] if use_categories else 0) * len(image_ids) + i[rows]

    gt, gt_cell = rows_of(gt_image, gt_category)
    dt, dt_cell = rows_of(dt_image, dt_category)
    cells = np.union1d(gt_cell, dt_cell)
    by_cell = np.argsort(gt_cell, kind="stable")
    gt, gt_cell = gt[by_cell], gt_cell[by_cell]
    # Both sorts are stable, and NaN is last.
    by_score = np.argsort(-dt_score[dt], kind="stable")
    by_cell = by_score[np.argsort(dt_cell[by_score], kind="stable")]
    dt, dt_cell = dt[by_cell], dt_cell[by_cell]
    rank = np.arange(len(dt)) - np.searchsorted(dt_cell, dt_cell)
    dt, dt_cell = dt[rank < max_det], dt_cell[rank < max_det]
    category, image = np.divmod(cells, max(len(image_ids), 1))
    return category, image, _ends(gt_cell, cells), gt, _ends(dt_cell, cells), dt, dt_score[dt]


def _places(values: Int64s, ids: Int64s) -> Int64s:
    """Where each value stands among the ids; -1 for those that do not."""
    place = {number: i for i, number in enumerate(ids.tolist())}
    return np.array([place.get(value, -1) for value in values.tolist()], np.int64)


def _ends(cell_of_row: Int64s, cells: Int64s) -> Offsets:
    """Offsets of the cells' rows, which are sorted by cell."""
    return np.append(0, np.searchsorted(cell_of_row, cells, side="right")).astype(np.int64)


def matching_all_known(values: Int64s, ids: Int64s) -> bool:
    """Whether every value is among the ids."""
    check_array("values", values, np.int64)
    check_array("ids", ids, np.int64)
    return bool(np.isin(values, ids).all())


class Cell(NamedTuple):
    """Rows of one cell, and where they stand in gt_order and dt_order."""

    gt: Int64s
    dt: Int64s
    gt_place: slice
    dt_place: slice


def _cells(
    gt_cells: Offsets, gt_order: Int64s, dt_cells: Offsets, dt_order: Int64s, gt_rows: int, dt_rows: int
) -> list[Cell]:
    """The cells one by one, checked against the lengths of the columns that they are rows of."""
    for name, array in (("gt_cells", gt_cells), ("gt_order", gt_order)):
        check_array(name, array, np.int64)
    for name, array in (("dt_cells", dt_cells), ("dt_order", dt_order)):
        check_array(name, array, np.int64)
    check_offsets(gt_cells, gt_order.size)
    check_offsets(dt_cells, dt_order.size)
    if len(gt_cells) != len(dt_cells):
        raise ValueError("gt_cells and dt_cells must have one length")
    for order, rows in ((gt_order, gt_rows), (dt_order, dt_rows)):
        if ((order < 0) | (order >= rows)).any():
            raise ValueError("an order names a row that does not exist")
    cells = []
    for c in range(len(gt_cells) - 1):
        gt_place = slice(int(gt_cells[c]), int(gt_cells[c + 1]))
        dt_place = slice(int(dt_cells[c]), int(dt_cells[c + 1]))
        cells.append(Cell(gt_order[gt_place], dt_order[dt_place], gt_place, dt_place))
    return cells


def _joined(matrices: list[Float64s]) -> tuple[Float64s, Offsets]:
    """Matrices, (dt, gt) each, one behind the other; and where each begins."""
    return join([matrix.ravel() for matrix in matrices], np.float64)


# IoU


def matching_box_iou(
    gt_cells: Offsets,
    gt_order: Int64s,
    dt_cells: Offsets,
    dt_order: Int64s,
    gt_boxes: Float64s,
    dt_boxes: Float64s,
    iscrowd: Bytes,
) -> tuple[Float64s, Offsets]:
    """IoUs of boxes (N, 4) as x, y, width, height; and iou_cells."""
    _check_rows("gt_boxes", gt_boxes, 4)
    _check_rows("dt_boxes", dt_boxes, 4)
    check_array("iscrowd", iscrowd, np.uint8)
    _check_length("iscrowd", iscrowd, len(gt_boxes))
    cells = _cells(gt_cells, gt_order, dt_cells, dt_order, len(gt_boxes), len(dt_boxes))
    return _joined(
        [coco_rle_box_iou(dt_boxes[cell.dt], gt_boxes[cell.gt], iscrowd[cell.gt]) for cell in cells]
    )


def matching_mask_iou(
    gt_cells: Offsets,
    gt_order: Int64s,
    dt_cells: Offsets,
    dt_order: Int64s,
    gt_counts: Counts,
    gt_offsets: Offsets,
    gt_sizes: Sizes,
    dt_counts: Counts,
    dt_offsets: Offsets,
    dt_sizes: Sizes,
    iscrowd: Bytes,
) -> tuple[Float64s, Offsets]:
    """IoUs of masks; of masks of different sizes -1 where their boxes meet, else 0."""
    check_masks(gt_counts, gt_offsets, gt_sizes)
    check_masks(dt_counts, dt_offsets, dt_sizes)
    check_array("iscrowd", iscrowd, np.uint8)
    _check_length("iscrowd", iscrowd, len(gt_sizes))
    cells = _cells(gt_cells, gt_order, dt_cells, dt_order, len(gt_sizes), len(dt_sizes))
    gt_sums, dt_sums = sums_of(gt_counts, gt_offsets), sums_of(dt_counts, dt_offsets)
    matrices = []
    for cell in cells:
        if len(cell.gt) > 0 and len(cell.dt) > 0:
            for rows, sums, sizes in ((cell.dt, dt_sums, dt_sizes), (cell.gt, gt_sums, gt_sizes)):
                for row in rows.tolist():
                    check_sum(row, sums[row], sizes[row])
        dt = _chosen((dt_counts, dt_offsets, dt_sizes), cell.dt)
        gt = _chosen((gt_counts, gt_offsets, gt_sizes), cell.gt)
        matrices.append(_mask_iou(dt, gt, iscrowd[cell.gt]))
    return _joined(matrices)


def matching_text_iou(
    gt_cells: Offsets,
    gt_order: Int64s,
    dt_cells: Offsets,
    dt_order: Int64s,
    gt: Texts,
    dt: Texts,
    iscrowd: Bytes,
) -> tuple[Float64s, Offsets]:
    """The same of two files: a mask is made when its cell is compared, and not kept."""
    for text, kind, begin, end, sizes in (gt, dt):
        check_array("text", text, np.uint8)
        check_array("kind", kind, np.uint8)
        check_array("begin", begin, np.uint64)
        check_array("end", end, np.uint64)
        check_array("sizes", sizes, np.int64)
        if not begin.size == end.size == kind.size:
            raise ValueError("kind, begin and end must have one length")
        if sizes.shape != (kind.size, 2):
            raise ValueError("sizes must have shape (N, 2), N being the number of masks")
        check_sides("mask", sizes)
        if (begin > end).any() or (end > text.size).any():
            raise ValueError("a segmentation lies outside of the text")
    check_array("iscrowd", iscrowd, np.uint8)
    _check_length("iscrowd", iscrowd, gt[1].size)
    matrices = []
    for cell in _cells(gt_cells, gt_order, dt_cells, dt_order, gt[1].size, dt[1].size):
        if len(cell.gt) == 0 or len(cell.dt) == 0:
            matrices.append(np.empty((0, 0)))
        else:
            matrices.append(_mask_iou(_read(dt, cell.dt), _read(gt, cell.gt), iscrowd[cell.gt]))
    return _joined(matrices)


def _chosen(masks: Masks, rows: Int64s) -> Masks:
    counts, offsets, sizes = masks
    every = split(counts, offsets)
    return (*join([every[row] for row in rows.tolist()], np.uint32), np.ascontiguousarray(sizes[rows]))


def _read(texts: Texts, rows: Int64s) -> Masks:
    text, kind, begin, end, sizes = texts
    sizes = np.ascontiguousarray(sizes[rows])
    counts, offsets = coco_json.coco_json_masks(text, rows, kind, begin, end, sizes)
    for row, runs, pixels in zip(rows.tolist(), split(counts, offsets), sizes.prod(axis=1), strict=True):
        if runs.sum(dtype=np.int64) != pixels or (runs[1:] == 0).any() or len(runs) == 0:
            raise ValueError(f"annotation {row}: its RLE is not complete, or has a zero run behind the first")
    return counts, offsets, sizes


def _mask_iou(a: Masks, b: Masks, iscrowd: Bytes) -> Float64s:
    iou = iou_of_runs(*a[:2], *b[:2], iscrowd != 0)
    boxes_meet = coco_rle_box_iou(rle_bbox(*a), rle_bbox(*b), np.zeros_like(iscrowd)) > 0
    sizes_differ = (a[2][:, np.newaxis] != b[2]).any(axis=2)
    return np.where(sizes_differ, np.where(boxes_meet, -1.0, 0.0), iou)


# Keypoints


def matching_oks_exponents(
    gt_cells: Offsets,
    gt_order: Int64s,
    dt_cells: Offsets,
    dt_order: Int64s,
    gt_points: Float64s,
    gt_boxes: Float64s,
    gt_area: Float64s,
    dt_points: Float64s,
    variances: Float64s,
) -> tuple[Float64s, Offsets]:
    """Exponents e of the object keypoint similarity, the mean of exp(-e) over the visible points; and iou_cells.

    (IoUs, K), of points (N, K, 3) as x, y, visibility, and variances (K,): (2 sigma)^2. Of a ground truth without any
    visible point all points count, with their distance to its doubled box.
    """
    cells = _keypoint_cells(
        gt_cells, gt_order, dt_cells, dt_order, gt_points, gt_boxes, gt_area, dt_points, variances
    )
    exponents = []
    with np.errstate(all="ignore"):
        for cell in cells:
            for d in cell.dt.tolist():
                for g in cell.gt.tolist():
                    x, y = dt_points[d, :, 0], dt_points[d, :, 1]
                    if (gt_points[g, :, 2] > 0).any():
                        dx, dy = x - gt_points[g, :, 0], y - gt_points[g, :, 1]
                    else:
                        left, top, width, height = gt_boxes[g]
                        dx = _beyond(x, left - width, left + width * 2)
                        dy = _beyond(y, top - height, top + height * 2)
                    exponents.append((dx * dx + dy * dy) / variances / (gt_area[g] + np.spacing(1)) / 2)
    return np.array(exponents).reshape(-1, variances.size), _iou_cells(cells)


def _beyond(at: Float64s, low: float, high: float) -> Float64s:
    """How far outside of low .. high; unlike fmax, maximum keeps NaN."""
    distance: Float64s = np.maximum(0.0, low - at) + np.maximum(0.0, at - high)
    return distance


def matching_oks_means(
    gt_cells: Offsets,
    gt_order: Int64s,
    dt_cells: Offsets,
    dt_order: Int64s,
    gt_points: Float64s,
    gt_boxes: Float64s,
    gt_area: Float64s,
    dt_points: Float64s,
    variances: Float64s,
    iou_cells: Offsets,
    exponentials: Float64s,
) -> Float64s:
    """Similarities, from exp(-e) of all exponents e."""
    cells = _keypoint_cells(
        gt_cells, gt_order, dt_cells, dt_order, gt_points, gt_boxes, gt_area, dt_points, variances
    )
    check_array("iou_cells", iou_cells, np.int64)
    _check_length("iou_cells", iou_cells, len(cells) + 1)
    _check_rows("exponentials", exponentials, variances.size)
    if len(exponentials) != iou_cells[-1]:
        raise ValueError("exponentials do not fit iou_cells")
    ious = []
    pairs = [g for cell in cells for _ in cell.dt for g in cell.gt.tolist()]
    for g, values in zip(pairs, exponentials, strict=True):
        visible = gt_points[g, :, 2] > 0
        seen = values[visible] if visible.any() else values
        ious.append(np.sum(seen) / len(seen))
    return np.array(ious, np.float64)


def _keypoint_cells(
    gt_cells: Offsets,
    gt_order: Int64s,
    dt_cells: Offsets,
    dt_order: Int64s,
    gt_points: Float64s,
    gt_boxes: Float64s,
    gt_area: Float64s,
    dt_points: Float64s,
    variances: Float64s,
) -> list[Cell]:
    check_array("gt_points", gt_points, np.float64)
    check_array("dt_points", dt_points, np.float64)
    check_array("gt_area", gt_area, np.float64)
    check_array("variances", variances, np.float64)
    _check_rows("gt_boxes", gt_boxes, 4)
    gts, k = len(gt_boxes), variances.size
    if gt_points.shape != (gts, k, 3):
        raise ValueError(
            "gt_points must have shape (N, K, 3), N being that of gt_boxes and K that of variances"
        )
    if dt_points.ndim != 3 or dt_points.shape[1:] != (k, 3):
        raise ValueError("dt_points must have shape (N, K, 3), K being that of variances")
    _check_length("gt_area", gt_area, gts)
    return _cells(gt_cells, gt_order, dt_cells, dt_order, gts, len(dt_points))


def _iou_cells(cells: list[Cell]) -> Offsets:
    return np.cumsum([0, *(len(cell.gt) * len(cell.dt) for cell in cells)], dtype=np.int64)


# Matching


def matching_match(
    gt_cells: Offsets,
    gt_order: Int64s,
    dt_cells: Offsets,
    dt_order: Int64s,
    ious: Float64s | None,
    iou_cells: Offsets | None,
    gt_boxes: Float64s | None,
    dt_boxes: Float64s | None,
    gt_area: Float64s,
    gt_ignore: Bytes,
    gt_crowd: Bytes,
    gt_named: Bytes,
    dt_area: Float64s,
    dt_named: Bytes,
    thresholds: Float64s,
    area_ranges: Float64s,
    partners: bool = False,
) -> tuple[Flags, Flags, Int64s, Partners, Partners]:
    """Greedy matching in every cell, area range and at every threshold; of boxes where there are no ious.

    gt_named is 0 where an id is 0, which pycocotools takes for "not matched"; dt_named where one is 0 or less, which
    leaves the ground truth free.

    Returns
    -------
    matched, ignored : (areas, len(dt_order)): detections that are matched, that do not count; one bit per threshold
    counted : (areas, cells): ground truth that is not ignored
    dt_partner, gt_partner : (areas, thresholds, len(dt_order) or len(gt_order)): the partner's place within the cell,
        or -1; with no areas unless `partners`
    """
    check_array("thresholds", thresholds, np.float64)
    check_array("gt_area", gt_area, np.float64)
    check_array("dt_area", dt_area, np.float64)
    for name, flags in (("gt_ignore", gt_ignore), ("gt_crowd", gt_crowd), ("gt_named", gt_named)):
        check_array(name, flags, np.uint8)
        _check_length(name, flags, gt_area.size)
    check_array("dt_named", dt_named, np.uint8)
    _check_length("dt_named", dt_named, dt_area.size)
    cells = _cells(gt_cells, gt_order, dt_cells, dt_order, gt_area.size, dt_area.size)
    if ious is not None and iou_cells is not None:
        check_array("ious", ious, np.float64)
        check_array("iou_cells", iou_cells, np.int64)
        _check_length("iou_cells", iou_cells, len(cells) + 1)
        _check_length("ious", ious, int(_iou_cells(cells)[-1]))
        if (iou_cells != _iou_cells(cells)).any():
            raise ValueError("iou_cells do not fit the cells")
    elif gt_boxes is not None and dt_boxes is not None:
        _check_rows("gt_boxes", gt_boxes, 4)
        _check_rows("dt_boxes", dt_boxes, 4)
        _check_length("gt_boxes", gt_boxes, gt_area.size)
        _check_length("dt_boxes", dt_boxes, dt_area.size)
        ious, iou_cells = matching_box_iou(
            gt_cells, gt_order, dt_cells, dt_order, gt_boxes, dt_boxes, gt_crowd
        )
    else:
        raise ValueError("there must be ious and iou_cells, or gt_boxes and dt_boxes")
    _check_rows("area_ranges", area_ranges, 2)
    if thresholds.size > MOST_THRESHOLDS:
        raise ValueError(f"at most {MOST_THRESHOLDS} thresholds at a time")

    areas, dts, gts = len(area_ranges), int(dt_cells[-1]), int(gt_cells[-1])
    matched, ignored = np.zeros((areas, dts), np.uint16), np.zeros((areas, dts), np.uint16)
    counted = np.zeros((areas, len(cells)), np.int64)
    dt_partner = np.full((areas if partners else 0, thresholds.size, dts), -1, np.int32)
    gt_partner = np.full((areas if partners else 0, thresholds.size, gts), -1, np.int32)
    for c, cell in enumerate(cells):
        matrix = ious[iou_cells[c] : iou_cells[c + 1]].reshape(len(cell.dt), len(cell.gt))
        for a, (low, high) in enumerate(area_ranges.tolist()):
            area = gt_area[cell.gt]
            gt_ignored = (gt_ignore[cell.gt] != 0) | (area < low) | (area > high)
            counted[a, c] = np.count_nonzero(~gt_ignored)
            area = dt_area[cell.dt]
            outside = (area < low) | (area > high)
            for t, threshold in enumerate(thresholds.tolist()):
                by_dt, by_gt = _match(
                    matrix, threshold, gt_ignored, gt_crowd[cell.gt] != 0, dt_named[cell.dt] != 0
                )
                has_partner = by_dt >= 0
                is_matched, is_ignored = has_partner.copy(), has_partner.copy()
                is_matched[has_partner] = gt_named[cell.gt][by_dt[has_partner]] != 0
                is_ignored[has_partner] = gt_ignored[by_dt[has_partner]]
                is_ignored |= ~is_matched & outside
                matched[a, cell.dt_place] |= is_matched.astype(np.uint16) << np.uint16(t)
                ignored[a, cell.dt_place] |= is_ignored.astype(np.uint16) << np.uint16(t)
                if partners:
                    dt_partner[a, t, cell.dt_place] = by_dt
                    gt_partner[a, t, cell.gt_place] = by_gt
    return matched, ignored, counted, dt_partner, gt_partner


@compiled
def _match(
    ious: Float64s,
    threshold: float,
    gt_ignored: NDArray[np.bool_],
    gt_crowd: NDArray[np.bool_],
    dt_named: NDArray[np.bool_],
) -> tuple[Partners, Partners]:
    """The partner of each detection, and that of each ground truth; -1 for none.

    Every detection in turn takes the ground truth of the highest IoU, of equal ones the last, among those that nobody
    has taken. An ignored one is taken only if there is no other, and a crowd as often as wanted.
    """
    dts, gts = ious.shape
    by_dt = np.full(dts, -1, np.int32)
    by_gt = np.full(gts, -1, np.int32)
    taken = np.zeros(gts, np.bool_)
    for d in range(dts):
        best = -1
        for ignored in (False, True):
            least = min(threshold, 1 - 1e-10)
            for g in range(gts):
                if gt_ignored[g] != ignored or (taken[g] and not gt_crowd[g]):
                    continue
                if ious[d, g] < least:  # a NaN is not, and matches
                    continue
                least = ious[d, g]
                best = g
            if best >= 0:
                break
        if best >= 0:
            by_dt[d] = best
            by_gt[best] = d
            taken[best] = dt_named[d]
    return by_dt, by_gt


# Precision and recall


def matching_accumulate(
    category: Int64s,
    dt_cells: Offsets,
    score: Float64s,
    matched: Flags,
    ignored: Flags,
    counted: Int64s,
    category_count: int,
    threshold_count: int,
    recalls: Float64s,
    max_dets: Int64s,
) -> tuple[Float64s, Float64s, Float64s]:
    """precision (T, R, K, A, M), recall (T, K, A, M), scores (T, R, K, A, M); -1 where there is nothing to find."""
    check_array("category", category, np.int64)
    check_array("dt_cells", dt_cells, np.int64)
    check_array("score", score, np.float64)
    check_array("matched", matched, np.uint16)
    check_array("ignored", ignored, np.uint16)
    check_array("counted", counted, np.int64)
    check_array("recalls", recalls, np.float64)
    check_array("max_dets", max_dets, np.int64)
    check_offsets(dt_cells, score.size)
    cells, dts = len(dt_cells) - 1, int(dt_cells[-1])
    _check_length("category", category, cells)
    if counted.ndim != 2 or counted.shape[1] != cells:
        raise ValueError("counted must have shape (A, cells)")
    areas = len(counted)
    if matched.shape != (areas, dts) or ignored.shape != (areas, dts):
        raise ValueError("matched and ignored must have shape (A, detections)")
    if not 0 <= threshold_count <= MOST_THRESHOLDS:
        raise ValueError(f"threshold_count must be 0 to {MOST_THRESHOLDS}")
    if (np.diff(category) < 0).any() or ((category < 0) | (category >= category_count)).any():
        raise ValueError("category must rise below category_count")

    shape = (threshold_count, recalls.size, category_count, areas, max_dets.size)
    precision, scores = np.full(shape, -1.0), np.full(shape, -1.0)
    recall = np.full((shape[0], *shape[2:]), -1.0)
    rank = np.arange(dts)  # within the cell
    rank[dt_cells[0] :] -= np.repeat(dt_cells[:-1], np.diff(dt_cells))
    for k in range(category_count):
        first, last = np.searchsorted(category, [k, k + 1])
        rows = np.arange(dt_cells[first], dt_cells[last])
        rows = rows[np.argsort(-score[rows], kind="stable")]
        for a in range(areas):
            to_find = int(counted[a, first:last].sum())
            if to_find == 0:
                continue
            for m, max_det in enumerate(max_dets.tolist()):
                shown = rows[rank[rows] < max_det]
                for t in range(threshold_count):
                    bit = np.uint16(1 << t)
                    precision[t, :, k, a, m], recall[t, k, a, m], scores[t, :, k, a, m] = _curve(
                        score[shown],
                        (matched[a, shown] & bit) != 0,
                        (ignored[a, shown] & bit) != 0,
                        to_find,
                        recalls,
                    )
    return precision, recall, scores


def _curve(
    score: Float64s,
    matched: NDArray[np.bool_],
    ignored: NDArray[np.bool_],
    to_find: int,
    recalls: Float64s,
) -> tuple[Float64s, float, Float64s]:
    """Precision at the recalls, the recall reached, scores at the recalls."""
    true = np.cumsum(matched & ~ignored, dtype=np.float64)
    false = np.cumsum(~matched & ~ignored, dtype=np.float64)
    recall = true / to_find
    precision = true / (false + true + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]  # the best at this recall or a higher one
    at = np.searchsorted(recall, recalls, side="left")
    # pycocotools stops at the first recall that is not reached, even if a lower one follows.
    reached = np.logical_and.accumulate(at < len(recall))
    out, score_there = np.zeros(len(recalls)), np.zeros(len(recalls))
    out[reached], score_there[reached] = precision[at[reached]], score[at[reached]]
    return out, float(recall[-1]) if len(recall) else 0.0, score_there


# Checks


def _check_length(name: str, array: NDArray[np.generic], wanted: int) -> None:
    found = len(array) if array.ndim == 2 else array.size
    if found != wanted:
        raise ValueError(f"{name} must have {wanted} elements, not {found}")


def _check_rows(name: str, array: Float64s, columns: int) -> None:
    check_array(name, array, np.float64)
    if array.ndim != 2 or array.shape[1] != columns:
        raise ValueError(f"{name} must have shape (N, {columns})")
