"""Kernel matching: COCO's evaluation from grouping to precision and recall, against plain loops and pycocotools."""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import random_masks
from maskmill import _backend, use_backend
from reference import masks_of, masks_of_runs

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
RANGES = np.array([[0, 1e10], [0, 32], [32, 96], [96, 1e10]], np.float64)


@dataclass
class Side:
    """Ground truth or detections, one row each."""

    image: np.ndarray
    category: np.ndarray
    ids: np.ndarray
    boxes: np.ndarray
    area: np.ndarray
    crowd: np.ndarray
    ignore: np.ndarray
    score: np.ndarray


def make_side(rng: np.random.Generator, n: int, images: np.ndarray, categories: np.ndarray) -> Side:
    """Boxes of few places and sizes, so that IoUs, areas and scores have ties; a few odd ids."""
    ids = np.arange(1, n + 1)
    ids[rng.random(n) < 0.1] = 0
    ids[rng.random(n) < 0.1] *= -1
    boxes = np.concatenate([rng.integers(0, 8, (n, 2)), rng.integers(1, 14, (n, 2))], axis=1).astype(float)
    crowd = (rng.random(n) < 0.2).astype(np.uint8)
    return Side(
        rng.choice(images, n),
        rng.choice(categories, n),
        ids,
        boxes,
        boxes[:, 2] * boxes[:, 3] - rng.integers(0, 2, n),
        crowd,
        crowd | (rng.random(n) < 0.1).astype(np.uint8),
        rng.choice([0.1, 0.5, 0.5, 0.7, 0.9, 0.0, -0.0, 3.0, np.nan, np.inf, -np.inf], n),
    )


IMAGES = np.array([7, 3, 5, 100, -2])
CATEGORIES = np.array([4, 1, 9])
SIZES = [(0, 0), (0, 5), (5, 0), (1, 1), (33, 31), (97, 130)]


def make(rng: np.random.Generator, gts: int, dts: int) -> tuple[Side, Side]:
    """Some rows are of images and categories that are not listed."""
    images, categories = np.append(IMAGES, 8), np.append(CATEGORIES, 2)
    return make_side(rng, gts, images, categories), make_side(rng, dts, images, categories)


# Grouping


def cells_of(gt: Side, dt: Side, use_categories: bool, max_det: int) -> list[tuple[int, int, list, list]]:
    """(category, image, rows of gt, rows of dt), as pycocotools collects them."""
    found = []
    for k in range(len(CATEGORIES) if use_categories else 1):
        for i, image in enumerate(IMAGES):
            chosen = [CATEGORIES[k]] if use_categories else CATEGORIES
            rows = [
                [int(r) for c in chosen for r in np.flatnonzero((side.image == image) & (side.category == c))]
                for side in (gt, dt)
            ]
            order = np.argsort([-dt.score[r] for r in rows[1]], kind="mergesort")
            if rows[0] or rows[1]:
                found.append((k, i, rows[0], [rows[1][o] for o in order[:max_det]]))
    return found


def group(kernels: Any, gt: Side, dt: Side, use_categories: bool = True, max_det: int = 100) -> Any:
    return kernels.matching_group(
        gt.image, gt.category, dt.image, dt.category, dt.score, IMAGES, CATEGORIES, use_categories, max_det
    )


def rows_by_cell(ends: np.ndarray, order: np.ndarray) -> list[list[int]]:
    return [order[begin:end].tolist() for begin, end in pairwise(ends.tolist())]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("use_categories", [True, False])
@pytest.mark.parametrize("max_det", [0, 1, 3, 100])
def test_group(
    kernels: Any, rng: np.random.Generator, sizes: tuple[int, int], use_categories: bool, max_det: int
) -> None:
    gt, dt = make(rng, *sizes)
    category, image, gt_cells, gt_order, dt_cells, dt_order, score = group(
        kernels, gt, dt, use_categories, max_det
    )
    expected = cells_of(gt, dt, use_categories, max_det)
    assert category.tolist() == [cell[0] for cell in expected]
    assert image.tolist() == [cell[1] for cell in expected]
    assert rows_by_cell(gt_cells, gt_order) == [cell[2] for cell in expected]
    assert rows_by_cell(dt_cells, dt_order) == [cell[3] for cell in expected]
    np.testing.assert_array_equal(score, dt.score[dt_order])
    for array in (category, image, gt_cells, gt_order, dt_cells, dt_order):
        assert array.dtype == np.int64


def test_all_known(kernels: Any) -> None:
    assert kernels.matching_all_known(np.array([3, 3, -2]), IMAGES) is True
    assert kernels.matching_all_known(np.array([3, 8]), IMAGES) is False
    assert kernels.matching_all_known(np.array([], np.int64), np.array([], np.int64)) is True
    far = np.array([2**63 - 1, -(2**63)])
    assert kernels.matching_all_known(far, far[:1]) is False


# IoU


def fmin(a: float, b: float) -> float:
    return b if np.isnan(a) else a if np.isnan(b) else min(a, b)


def fmax(a: float, b: float) -> float:
    return -fmin(-a, -b)


def box_iou(d: Any, g: Any, crowd: Any) -> float:
    w = fmin(d[2] + d[0], g[2] + g[0]) - fmax(d[0], g[0])
    h = fmin(d[3] + d[1], g[3] + g[1]) - fmax(d[1], g[1])
    if w <= 0 or h <= 0:
        return 0.0
    common, own = w * h, d[2] * d[3]
    return float(np.float64(common) / (own if crowd else own + g[2] * g[3] - common))


def ious_of(cells: Any, iou: Any) -> tuple[list[float], list[int]]:
    """iou(d, g) of all pairs of all cells, and where cells begin."""
    gt_cells, gt_order, dt_cells, dt_order = cells
    values, starts = [], [0]
    for gts, dts in zip(rows_by_cell(gt_cells, gt_order), rows_by_cell(dt_cells, dt_order), strict=True):
        values += [iou(d, g) for d in dts for g in gts]
        starts.append(len(values))
    return values, starts


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("strange", [False, True])
def test_box_iou(kernels: Any, rng: np.random.Generator, sizes: tuple[int, int], strange: bool) -> None:
    gt, dt = make(rng, *sizes)
    if strange:
        for side in (gt, dt):
            side.boxes[rng.random(side.boxes.shape) < 0.2] = np.nan
            side.boxes[rng.random(side.boxes.shape) < 0.1] = np.inf
            side.boxes[rng.random(side.boxes.shape) < 0.1] *= -1
    cells = group(_backend.kernels(), gt, dt, use_categories=False)[2:6]
    ious, starts = kernels.matching_box_iou(*cells, gt.boxes, dt.boxes, gt.crowd)
    with np.errstate(all="ignore"):
        expected = ious_of(cells, lambda d, g: box_iou(dt.boxes[d], gt.boxes[g], gt.crowd[g]))
    np.testing.assert_array_equal(ious, np.array(expected[0]))
    assert starts.tolist() == expected[1]


def test_box_iou_refuses(kernels: Any, rng: np.random.Generator) -> None:
    gt, dt = make(rng, 5, 6)
    cells = group(_backend.kernels(), gt, dt)[2:6]
    offsets = "offsets must rise from 0 or more to the number of values or less"
    row = "an order names a row that does not exist"
    for place, change, text in [
        (0, cells[0] + 1, offsets),
        (0, cells[0][::-1].copy(), offsets),
        (2, cells[2] - 1, offsets),
        (2, cells[2][:-1], "gt_cells and dt_cells must have one length"),
        (1, cells[1] + 5, row),
        (3, cells[3] - 6, row),
    ]:
        changed = [*cells]
        changed[place] = change
        with pytest.raises(ValueError) as error:
            kernels.matching_box_iou(*changed, gt.boxes, dt.boxes, gt.crowd)
        assert str(error.value) == text
    with pytest.raises(ValueError, match="iscrowd must have 5 elements, not 4"):
        kernels.matching_box_iou(*cells, gt.boxes, dt.boxes, gt.crowd[:4])
    with pytest.raises(ValueError, match=r"dt_boxes must have shape \(N, 4\)"):
        kernels.matching_box_iou(*cells, gt.boxes, dt.boxes[:, :3].copy(), gt.crowd)
    with pytest.raises(TypeError):
        kernels.matching_box_iou(*cells, gt.boxes.astype(np.float32), dt.boxes, gt.crowd)


@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_box_iou_at_every_instruction_set(rng: np.random.Generator, level: str) -> None:
    core = pytest.importorskip("maskmill._core")
    try:
        core.set_simd_level(level)
    except ValueError as error:
        pytest.skip(str(error))
    try:
        numbers = np.array([0.0, -0.0, 1, 2, 2.5, 3, 4, -1, 1e308, np.inf, -np.inf, np.nan, 5e-324])
        for count, odds in ((5, 0), (7, 1), (8, 0.1), (9, 0.1), (31, 0.1), (64, 0.02)):
            boxes = [rng.uniform(0, 10, (n, 4)) for n in (count, 17)]
            for side in boxes:
                strange = rng.random(side.shape) < odds
                side[strange] = rng.choice(numbers, strange.sum())
            for crowd in (np.zeros(17, np.uint8), rng.integers(0, 2, 17, dtype=np.uint8)):
                with np.errstate(all="ignore"):
                    expected = np.array(
                        [[box_iou(d, g, c) for g, c in zip(boxes[1], crowd, strict=True)] for d in boxes[0]]
                    )
                np.testing.assert_array_equal(core.coco_rle_box_iou(*boxes, crowd), expected)
                cells = [np.array([0, 17]), np.arange(17), np.array([0, count]), np.arange(count)]
                ious, _ = core.matching_box_iou(*cells, boxes[1], boxes[0], crowd)
                np.testing.assert_array_equal(ious, expected.ravel())
    finally:
        core.set_simd_level(core.best_simd_level())


def test_mask_iou(kernels: Any, rng: np.random.Generator) -> None:
    gt, dt = make(rng, 33, 31)
    images = [
        [
            np.asarray(mask)
            for mask in (
                *random_masks(rng, n - 3, 13, 7, 0.3),
                *random_masks(rng, 2, 7, 13),
                np.zeros((13, 7)),
            )
        ]
        for n in (33, 31)
    ]
    images = [[mask.astype(bool) for mask in side] for side in images]
    cells = group(kernels, gt, dt, use_categories=False)[2:6]
    ious, starts = kernels.matching_mask_iou(*cells, *masks_of(images[0]), *masks_of(images[1]), gt.crowd)

    def iou(d: int, g: int) -> float:
        a, b = images[1][d], images[0][g]
        if a.shape != b.shape:
            return -1.0 if a.any() and b.any() and boxes_meet(a, b) else 0.0
        whole = a.sum() if gt.crowd[g] else (a | b).sum()
        return float((a & b).sum() / whole) if (a & b).any() else 0.0

    expected = ious_of(cells, iou)
    np.testing.assert_array_equal(ious, np.array(expected[0]))
    assert starts.tolist() == expected[1]


def boxes_meet(a: np.ndarray, b: np.ndarray) -> bool:
    for axis in (0, 1):
        (a_first, *_, a_last), (b_first, *_, b_last) = (
            [*np.flatnonzero(mask.any(axis=axis)), np.flatnonzero(mask.any(axis=axis))[-1]] for mask in (a, b)
        )
        if a_first > b_last or b_first > a_last:
            return False
    return True


def test_mask_iou_names_the_mask(kernels: Any) -> None:
    one = np.array([0, 1]), np.array([0]), np.array([0, 1]), np.array([1])
    good, bad = masks_of_runs([[1, 3]], [(2, 2)]), masks_of_runs([[1, 3], [1, 2]], [(2, 2)] * 2)
    with pytest.raises(ValueError, match="mask 1: runs sum to 3, image has 4 pixels"):
        kernels.matching_mask_iou(*one, *good, *bad, np.zeros(1, np.uint8))


SEGMENTATIONS = {
    1: b"[[1, 1, 5, 1, 5, 4], [0, 0, 2, 0, 2.5, 2.5, 0, 2]]",
    2: b"04`0",
    3: b"[3, 5, 12]",
    4: b"45\\u003b",
}


def test_text_iou(kernels: Any) -> None:
    """From text, the same as of the masks that it makes."""
    text = np.frombuffer(b"".join(SEGMENTATIONS.values()), np.uint8)
    ends = np.cumsum([len(code) for code in SEGMENTATIONS.values()]).astype(np.uint64)
    begin = np.append(np.uint64(0), ends[:-1])
    kind = np.array(list(SEGMENTATIONS), np.uint8)
    sizes = np.array([[4, 5]] * 4)
    masks = kernels.coco_json_masks(text, np.arange(4), kind, begin, ends, sizes)
    side = (text, kind, begin, ends, sizes)
    cells = np.array([0, 4]), np.arange(4), np.array([0, 4]), np.array([3, 1, 2, 0])
    crowd = np.array([0, 1, 0, 0], np.uint8)
    ious, starts = kernels.matching_text_iou(*cells, side, side, crowd)
    expected = kernels.matching_mask_iou(*cells, *masks, sizes, *masks, sizes, crowd)
    np.testing.assert_array_equal(ious, expected[0])
    assert starts.tolist() == [0, 16]
    with pytest.raises(ValueError, match="annotation 2: its RLE is not complete"):
        kernels.matching_text_iou(*cells, side, (*side[:4], sizes + [[0, 0], [0, 0], [1, 0], [0, 0]]), crowd)


# Keypoints


@pytest.mark.parametrize("k", [1, 3, 7, 8, 17, 33, 130])
def test_oks(kernels: Any, rng: np.random.Generator, k: int) -> None:
    """As numpy computes it, sums included."""
    gt, dt = make(rng, 13, 11)
    points = [rng.normal(5, 3, (n, k, 3)) for n in (13, 11)]
    points[0][:, :, 2] = rng.integers(0, 3, (13, k)) * (rng.random((13, 1)) < 0.7)
    points[1][0, 0, 0] = np.nan
    gt.area[0] = 0
    variances = rng.random(k) + 0.01
    cells = group(kernels, gt, dt, use_categories=False)[2:6]
    arguments = (*cells, points[0], gt.boxes, gt.area, points[1], variances)
    exponents, starts = kernels.matching_oks_exponents(*arguments)

    def exponents_of(d: int, g: int) -> np.ndarray:
        xg, yg, vg = points[0][g].T
        xd, yd, _ = points[1][d].T
        bb = gt.boxes[g]
        if np.count_nonzero(vg > 0) > 0:
            dx, dy = xd - xg, yd - yg
        else:
            z = np.zeros(k)
            dx = np.max((z, bb[0] - bb[2] - xd), axis=0) + np.max((z, xd - (bb[0] + bb[2] * 2)), axis=0)
            dy = np.max((z, bb[1] - bb[3] - yd), axis=0) + np.max((z, yd - (bb[1] + bb[3] * 2)), axis=0)
        e: np.ndarray = (dx**2 + dy**2) / variances / (gt.area[g] + np.spacing(1)) / 2
        return e

    def oks(d: int, g: int) -> float:
        e, visible = exponents_of(d, g), points[0][g, :, 2] > 0
        if visible.any():
            e = e[visible]
        return float(np.sum(np.exp(-e)) / e.shape[0])

    expected = ious_of(cells, exponents_of)
    np.testing.assert_array_equal(exponents, np.array(expected[0]).reshape(-1, k))
    assert starts.tolist() == expected[1]
    means = kernels.matching_oks_means(*arguments, starts, np.exp(-exponents))
    np.testing.assert_array_equal(means, np.array(ious_of(cells, oks)[0]))


# Matching


def match_cell(
    ious: np.ndarray, gt: Side, gts: list[int], dt: Side, dts: list[int], t: float, low: float, high: float
) -> dict[str, Any]:
    """pycocotools' evaluateImg for one threshold."""
    ignored = [bool(gt.ignore[g] or gt.area[g] < low or gt.area[g] > high) for g in gts]
    order = np.argsort(ignored, kind="mergesort").tolist()
    gtm, dtm = np.zeros(len(gts)), np.zeros(len(dts))
    dt_ignored = np.zeros(len(dts), bool)
    gt_partner, dt_partner = np.full(len(gts), -1), np.full(len(dts), -1)
    for d in range(len(dts)):
        iou, m = min(t, 1 - 1e-10), -1
        for g in order:
            if gtm[g] > 0 and not gt.crowd[gts[g]]:
                continue
            if m > -1 and not ignored[m] and ignored[g]:
                break
            if ious[d, g] < iou:
                continue
            iou, m = ious[d, g], g
        if m == -1:
            continue
        dt_ignored[d] = ignored[m]
        dtm[d], gtm[m] = gt.ids[gts[m]], dt.ids[dts[d]]
        dt_partner[d], gt_partner[m] = m, d
    outside = np.array([dt.area[d] < low or dt.area[d] > high for d in dts], bool)
    return {
        "matched": dtm != 0,
        "ignored": dt_ignored | ((dtm == 0) & outside),
        "counted": ignored.count(False),
        "dt_partner": dt_partner,
        "gt_partner": gt_partner,
    }


def match(kernels: Any, cells: Any, gt: Side, dt: Side, **other: Any) -> Any:
    arguments = {
        "ious": None,
        "iou_cells": None,
        "gt_boxes": gt.boxes,
        "dt_boxes": dt.boxes,
        "gt_area": gt.area,
        "gt_ignore": gt.ignore,
        "gt_crowd": gt.crowd,
        "gt_named": (gt.ids != 0).astype(np.uint8),
        "dt_area": dt.area,
        "dt_named": (dt.ids > 0).astype(np.uint8),
        "thresholds": THRESHOLDS,
        "area_ranges": RANGES,
    }
    return kernels.matching_match(*cells, *(arguments | other).values())


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("source", ["boxes", "ious", "ties"])
@pytest.mark.parametrize("count", [1, 10, 16])
def test_match(
    kernels: Any, rng: np.random.Generator, sizes: tuple[int, int], source: str, count: int
) -> None:
    gt, dt = make(rng, *sizes)
    cells = group(kernels, gt, dt, use_categories=False)[2:6]
    thresholds = np.linspace(0.0, 1.0, count)
    ious, starts = kernels.matching_box_iou(*cells, gt.boxes, dt.boxes, gt.crowd)
    if source == "ties":
        ious = rng.choice([0.0, 0.5, 0.75, 1.0, 1 - 1e-11, np.nan, -1.0], ious.size)
    own = {} if source == "boxes" else {"ious": ious, "iou_cells": starts, "gt_boxes": None, "dt_boxes": None}
    matched, ignored, counted, dt_partner, gt_partner = match(
        kernels, cells, gt, dt, **own, thresholds=thresholds, partners=True
    )
    assert matched.dtype == ignored.dtype == np.uint16
    assert dt_partner.dtype == gt_partner.dtype == np.int32
    rows = zip(rows_by_cell(*cells[:2]), rows_by_cell(*cells[2:]), strict=True)
    for c, (gts, dts) in enumerate(rows):
        matrix = ious[starts[c] : starts[c + 1]].reshape(len(dts), len(gts))
        g_place, d_place = slice(cells[0][c], cells[0][c + 1]), slice(cells[2][c], cells[2][c + 1])
        for a, (low, high) in enumerate(RANGES):
            for t, threshold in enumerate(thresholds.tolist()):
                expected = match_cell(matrix, gt, gts, dt, dts, threshold, low, high)
                got = {
                    "matched": matched[a, d_place] >> t & 1,
                    "ignored": ignored[a, d_place] >> t & 1,
                    "counted": counted[a, c],
                    "dt_partner": dt_partner[a, t, d_place],
                    "gt_partner": gt_partner[a, t, g_place],
                }
                for name, value in expected.items():
                    np.testing.assert_array_equal(got[name], value, err_msg=f"{name} at {threshold}")


def test_match_without_partners(kernels: Any, rng: np.random.Generator) -> None:
    gt, dt = make(rng, 33, 31)
    cells = group(kernels, gt, dt)[2:6]
    with_partners, without = match(kernels, cells, gt, dt, partners=True), match(kernels, cells, gt, dt)
    for a, b in zip(with_partners[:3], without[:3], strict=True):
        np.testing.assert_array_equal(a, b)
    assert without[3].shape == (0, 10, len(cells[3]))
    assert without[4].shape == (0, 10, len(cells[1]))


def test_match_refuses(kernels: Any, rng: np.random.Generator) -> None:
    gt, dt = make(rng, 5, 5)
    cells = group(kernels, gt, dt)[2:6]
    with pytest.raises(ValueError, match="at most 16 thresholds"):
        match(kernels, cells, gt, dt, thresholds=np.linspace(0, 1, 17))
    with pytest.raises(ValueError, match="ious and iou_cells, or gt_boxes and dt_boxes"):
        match(kernels, cells, gt, dt, gt_boxes=None)
    with pytest.raises(ValueError, match="gt_crowd must have 5 elements, not 4"):
        match(kernels, cells, gt, dt, gt_crowd=gt.crowd[:4])
    with pytest.raises(ValueError, match="an order names a row that does not exist"):
        match(kernels, (cells[0], cells[1] + 5, *cells[2:]), gt, dt)
    ious, starts = kernels.matching_box_iou(*cells, gt.boxes, dt.boxes, gt.crowd)
    with pytest.raises(ValueError, match="iou_cells do not fit"):
        match(kernels, cells, gt, dt, ious=ious, iou_cells=np.append(starts[0] - 1, starts[1:]))
    with pytest.raises(TypeError):
        match(kernels, cells, gt, dt, gt_area=gt.area.astype(np.float32))


# Precision and recall


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("recalls", [RECALLS, np.array([0.5, 0.1, 0.0, 2.0, 0.3, -1.0])])
def test_accumulate(
    kernels: Any, rng: np.random.Generator, sizes: tuple[int, int], recalls: np.ndarray
) -> None:
    gt, dt = make(rng, *sizes)
    category, _, *cells, score = group(kernels, gt, dt)
    thresholds = np.array([0.1, 0.3, 0.5])
    matched, ignored, counted, *_ = match(kernels, cells, gt, dt, thresholds=thresholds)
    limits = np.array([1, 2, 100])
    precision, recall, scores = kernels.matching_accumulate(
        category, cells[2], score, matched, ignored, counted, 3, 3, recalls, limits
    )
    expected = [
        -np.ones((3, len(recalls), 3, 4, 3)),
        -np.ones((3, 3, 4, 3)),
        -np.ones((3, len(recalls), 3, 4, 3)),
    ]
    for k, a, m, t in np.ndindex(3, 4, 3, 3):
        own = [range(cells[2][c], cells[2][c + 1]) for c in np.flatnonzero(category == k)]
        to_find = counted[a, category == k].sum()
        if to_find == 0:
            continue
        rows = np.array([r for cell in own for r in cell[: limits[m]]], int)
        rows = rows[np.argsort(-score[rows], kind="mergesort")]
        is_matched, is_ignored = matched[a, rows] >> t & 1, ignored[a, rows] >> t & 1
        tp = np.cumsum((is_matched == 1) & (is_ignored == 0)).astype(float)
        fp = np.cumsum((is_matched == 0) & (is_ignored == 0)).astype(float)
        rc, pr = tp / to_find, tp / (fp + tp + np.spacing(1))
        expected[1][t, k, a, m] = rc[-1] if len(rows) else 0
        pr = np.maximum.accumulate(pr[::-1])[::-1]
        q, s = np.zeros(len(recalls)), np.zeros(len(recalls))
        for r, at in enumerate(np.searchsorted(rc, recalls, side="left").tolist()):
            if at >= len(rows):
                break
            q[r], s[r] = pr[at], score[rows[at]]
        expected[0][t, :, k, a, m], expected[2][t, :, k, a, m] = q, s
    for got, wanted in zip((precision, recall, scores), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_one_hit_is_not_quite_precise(kernels: Any) -> None:
    """1 / (1 + spacing(1)): a number that pycocotools' users compare with."""
    one = np.ones((1, 1), np.uint16)
    precision, recall, _ = kernels.matching_accumulate(
        np.array([0]),
        np.array([0, 1]),
        np.array([0.5]),
        one,
        one * 0,
        np.array([[1]]),
        1,
        1,
        RECALLS,
        np.array([1]),
    )
    assert precision[0, 0, 0, 0, 0] == 0.9999999999999998
    assert recall.item() == 1.0


def test_accumulate_refuses(kernels: Any) -> None:
    one = np.ones((1, 1), np.uint16)

    def accumulate(**other: Any) -> Any:
        arguments = {
            "category": np.array([0]),
            "dt_cells": np.array([0, 1]),
            "score": np.array([0.5]),
            "matched": one,
            "ignored": one,
            "counted": np.array([[1]]),
            "category_count": 1,
            "threshold_count": 1,
            "recalls": RECALLS,
            "max_dets": np.array([1]),
        }
        return kernels.matching_accumulate(*(arguments | other).values())

    accumulate()
    with pytest.raises(ValueError, match="category must rise below category_count"):
        accumulate(category=np.array([1]))
    with pytest.raises(ValueError, match="threshold_count must be 0 to 16"):
        accumulate(threshold_count=17)
    with pytest.raises(ValueError, match="matched and ignored must have shape"):
        accumulate(matched=np.ones((2, 1), np.uint16))
    with pytest.raises(ValueError, match="counted must have shape"):
        accumulate(counted=np.ones((1, 2), np.int64))


# All of it, as pycocotools


def dataset(rng: np.random.Generator) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Boxes, masks and keypoints of three categories in nine images."""
    coco = pytest.importorskip("pycocotools.mask")

    def things(n: int) -> list[dict[str, Any]]:
        made = []
        for _ in range(n):
            x, y = rng.integers(0, 30, 2).tolist()
            w, h = rng.integers(3, 20, 2).tolist()
            mask = np.zeros((60, 50), np.uint8, order="F")
            mask[y : y + h, x : x + w] = rng.random((h, w)) < 0.9
            rle = coco.encode(mask)
            points = np.stack([rng.normal(x, 9, 17), rng.normal(y, 9, 17), rng.integers(0, 3, 17)], 1)
            made.append(
                {
                    "image_id": int(rng.integers(1, 10)),
                    "category_id": int(rng.integers(1, 4)),
                    "bbox": [x, y, w, h],
                    "segmentation": {"size": [60, 50], "counts": rle["counts"].decode()},
                    "keypoints": points.ravel().round(1).tolist(),
                }
            )
        return made

    annotations = things(70)
    for i, annotation in enumerate(annotations):
        annotation |= {
            "id": i + 1,
            "area": annotation["bbox"][2] * annotation["bbox"][3] * 9,
            "iscrowd": int(rng.random() < 0.15),
            "num_keypoints": 17,
        }
    truth = {
        "info": {},
        "images": [{"id": i, "height": 60, "width": 50} for i in range(1, 10)],
        "categories": [{"id": i, "name": str(i)} for i in (1, 2, 3)],
        "annotations": annotations,
    }
    near = [copy.deepcopy(annotations[i]) for i in rng.integers(0, 70, 60)]
    results = things(40) + [
        {key: a[key] for key in ("image_id", "category_id", "bbox", "segmentation", "keypoints")}
        for a in near
    ]
    return truth, [result | {"score": float(rng.choice([0.2, 0.5, 0.9]))} for result in results]


@pytest.mark.parametrize("iou_type", ["bbox", "segm", "keypoints"])
@pytest.mark.parametrize("use_categories", [True, False])
@pytest.mark.parametrize("source", ["dicts", "files"])
def test_as_pycocotools(
    backend: str, rng: np.random.Generator, tmp_path: Path, iou_type: str, use_categories: bool, source: str
) -> None:
    pytest.importorskip("pycocotools")
    if iou_type == "keypoints" and not use_categories:
        pytest.skip("pycocotools looks up a category -1 there")
    truth, results = dataset(rng)
    kept = {"bbox": ("bbox",), "segm": ("segmentation",), "keypoints": ("keypoints",)}[iou_type]
    results = [{key: r[key] for key in ("image_id", "category_id", *kept, "score")} for r in results]
    evaluated = []
    for package in ("pycocotools", "maskmill.pycocotools"):
        coco, cocoeval = (importlib.import_module(f"{package}.{name}") for name in ("coco", "cocoeval"))
        with contextlib.redirect_stdout(io.StringIO()), use_backend(backend):
            if source == "files":
                (tmp_path / "gt.json").write_text(json.dumps(truth))
                (tmp_path / "dt.json").write_text(json.dumps(results))
                gt = coco.COCO(tmp_path / "gt.json")
                dt = gt.loadRes(str(tmp_path / "dt.json"))
            else:
                gt = coco.COCO()
                gt.dataset = copy.deepcopy(truth)
                gt.createIndex()
                dt = gt.loadRes(copy.deepcopy(results))
            ev = cocoeval.COCOeval(gt, dt, iou_type)
            ev.params.useCats = int(use_categories)
            ev.evaluate()
            ev.accumulate()
            ev.summarize()
            evaluated.append((ev, list(ev.evalImgs)))
    (theirs, their_images), (ours, our_images) = evaluated
    assert theirs.stats[0] > 0.05  # something was found
    for name in ("precision", "recall", "scores"):
        np.testing.assert_array_equal(ours.eval[name], theirs.eval[name])
    np.testing.assert_array_equal(ours.stats, theirs.stats)
    assert len(our_images) == len(their_images)
    for a, b in zip(our_images, their_images, strict=True):
        np.testing.assert_equal(a, b)
