"""Evaluation of predicted flakes: COCO's average precision and recall, in bins of area in µm²."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill import _check
from maskmill.dataset import Dataset, Table
from maskmill.io.maskterial import SCALE
from maskmill.masks import Masks
from maskmill.pycocotools.coco import COCO
from maskmill.pycocotools.cocoeval import COCOeval
from maskmill.studies.flakes.annotations import annotations_of, without_classes
from maskmill.studies.flakes.predictions import read_results

EDGES = (100, 200, 400)
"""µm², between bins."""
PROTOCOLS = {"ignore": 0, "original": 1}
_LARGEST = 10**10
_NUMBERS = ("AP50", "AR50", "AP75", "AR75", "AP", "AR")
_AT = {"50": 0, "75": 5}
"""Places of IoU 0.5 and 0.75 among 0.50, 0.55, ..., 0.95."""


@dataclass
class FlakeEvaluation:
    """Attributes
    ----------
    numbers : dict of str to float
        30 numbers from 0 to 1, NaN where there is no truth: AP50, AR50, AP75, AR75, AP, AR, each of all flakes and of
        each bin of areas ("AP50,100-200", in µm²).
    classes : dict of str to dict
        Of each class, AP50, AR50, AP and AR likewise, with "_<class>" behind.
    intervals : dict of str to (low, high)
        95 % of AP, AP50, AP75 and AR, by drawing images again.
    confusion : (C + 1, C + 1) int64
        Rows are the classes of the truth and "none", columns those predicted and "none", at IoU 0.5.
    names : C names of the classes
    images : Table
        Of each image: image, truth, ignored, predicted, found, right (found with the right class), missed, false, iou
        (mean of those found).
    bins : dict of name to (least, most) pixels
    parameters : dict
    """

    numbers: dict[str, float]
    classes: dict[str, dict[str, float]]
    confusion: NDArray[np.int64]
    names: tuple[str, ...]
    images: Table
    bins: dict[str, tuple[int, int]]
    parameters: dict[str, Any]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain Python; NaN becomes None."""
        return {
            "numbers": _plain(self.numbers),
            "classes": {name: _plain(numbers) for name, numbers in self.classes.items()},
            "intervals": self.intervals,
            "confusion": {"names": [*self.names, "none"], "counts": self.confusion.tolist()},
            "images": [_plain(row) for row in self.images],
            "bins_px": self.bins,
            "parameters": self.parameters,
        }

    def text(self) -> str:
        """A table in percent."""
        bins = list(self.bins)
        lines = ["".join([f"{'':6}", *(f"{name or 'all':>9}" for name in bins)])]
        for key in _NUMBERS:
            cells = [self.numbers[_name(key, name)] for name in bins]
            shown = "".join(f"{'-':>9}" if np.isnan(v) else f"{100 * v:9.2f}" for v in cells)
            interval = self.intervals.get(key)
            more = f"   95 %: {100 * interval[0]:.2f} to {100 * interval[1]:.2f}" if interval else ""
            lines.append(f"{key:6}{shown}{more}")
        return "\n".join(lines)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(v, float) and np.isnan(v) else v for key, v in row.items()}


def _name(key: str, bin_: str) -> str:
    return f"{key},{bin_}" if bin_ else key


def area_bins(
    min_area: int = 0, scale: float = SCALE, edges: Sequence[float] = EDGES
) -> dict[str, tuple[int, int]]:
    """Least and most pixels of each bin: all ("") and those between the edges in µm²; both ends belong to it.

    Examples
    --------
    >>> from maskmill.studies.flakes.evaluation import area_bins
    >>> list(area_bins().values())[:3]
    [(0, 10000000000), (0, 676), (676, 1353)]
    """
    if not scale > 0 or list(edges) != sorted(set(edges)) or (len(edges) and min(edges) <= 0):
        raise ValueError(
            f"scale and edges must be above 0, and edges must rise, not {scale} and {list(edges)}"
        )
    pixels = [min_area, *(int(edge * (1 / scale) ** 2) for edge in edges), _LARGEST]
    marks = ["0", *(f"{edge:g}" for edge in edges), "inf"]
    bins = {"": (min_area, _LARGEST)}
    for i in range(len(marks) - 1):
        bins[f"{marks[i]}-{marks[i + 1]}"] = (pixels[i], pixels[i + 1])
    return bins


def evaluate(
    truth: Dataset | str | Path,
    predictions: Dataset | str | Path,
    *,
    protocol: str = "ignore",
    min_area: int = 300,
    scale: float = SCALE,
    edges: Sequence[float] = EDGES,
    boundary: int | None = None,
    class_agnostic: bool = False,
    threshold: float = 0.3,
    max_dets: int = 100,
    bootstrap: int = 0,
    seed: int = 0,
) -> FlakeEvaluation:
    """Compare predicted flakes with the true ones.

    Parameters
    ----------
    truth : Dataset, or path of an annotation file
        Best a `_full` one.
    predictions : Dataset, or path of COCO results
        On the same images, with scores.
    protocol : {"ignore", "original"}
        "ignore": flakes below `min_area` are neither missed nor false: true ones are ignored, and so are predicted ones
        that match nothing. "original": as MaskTerial, with the truth of a `_300` file and all predictions; a correct
        find of 200 to 299 pixels is then false, so that a perfect detector does not reach 1.
    min_area : pixels
    scale : micrometres per pixel
    edges : of the bins of area, µm²
    boundary : int, optional
        Take the lesser of the IoU of the masks and the IoU of their rims of so many pixels (Cheng et al., Boundary IoU,
        CVPR 2021, take 2 % of the diagonal, 45 pixels here).
    class_agnostic : bool
        Compare across classes.
    threshold : least score in the confusion matrix and in the table of images
    max_dets : predictions of an image and class that count, best first
    bootstrap : how often images are drawn again, for intervals; 0 for none

    Raises
    ------
    ValueError
        If the two are not on the same images or of the same classes, or a parameter is wrong.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import Dataset, Masks
    >>> from maskmill.studies.flakes import evaluate
    >>> dense = np.zeros((2, 40, 80), bool)
    >>> dense[0, :30, :30], dense[1, :15, 60:75] = True, True
    >>> images, classes = {"file_name": ["a.jpg"], "height": [40], "width": [80]}, {"name": ["flake"]}
    >>> truth = Dataset(images, classes, {"category": [0, 0]}, Masks.encode(dense))
    >>> found = Dataset(images, classes, {"category": [0], "score": [0.9]}, Masks.encode(dense[:1]))
    >>> result = evaluate(truth, found)    # the flake of 225 pixels is ignored
    >>> round(result.numbers["AP"], 3), result.images["ignored"].tolist()
    (1.0, [1])
    """
    _check.choice(protocol, "protocol", PROTOCOLS)
    if min_area < 0 or max_dets < 1 or bootstrap < 0:
        raise ValueError(
            f"min_area, max_dets and bootstrap must not be {min_area}, {max_dets} and {bootstrap}"
        )
    truth = annotations_of(truth)
    if not isinstance(predictions, Dataset):
        predictions = read_results(predictions, truth)
    for name, column in (("images", "images"), ("classes", "categories")):
        if getattr(truth, column)["id"].tolist() != getattr(predictions, column)["id"].tolist():
            raise ValueError(f"predictions must have the {name} of the truth")
    if class_agnostic:
        truth, predictions = without_classes(truth), without_classes(predictions)
    least = min_area if protocol == "ignore" else 0
    bins = area_bins(least, scale, edges)
    ev = _compared(truth, predictions, bins, boundary, max_dets)
    names = tuple(truth.categories["name"].tolist())
    if len(set(names)) < len(names):
        names = tuple(
            f"{name} ({number})" for name, number in zip(names, truth.categories["id"], strict=True)
        )
    confusion, images = _matched(truth, predictions, least, threshold)
    return FlakeEvaluation(
        _numbers(ev, bins),
        _per_class(ev, bins, dict(zip(truth.categories["id"].tolist(), names, strict=True))),
        confusion,
        names,
        images,
        bins,
        {
            "protocol": protocol,
            "min_area": least,
            "um_per_pixel": scale,
            "boundary": boundary,
            "class_agnostic": class_agnostic,
            "threshold": threshold,
            "max_dets": max_dets,
            "bootstrap": bootstrap,
            "seed": seed,
        },
        _intervals(ev, bootstrap, seed) if bootstrap else {},
    )


# COCO's evaluation


class _BoundaryEval(COCOeval):
    """COCO's evaluation with the lesser IoU, of masks or of their rims."""

    sides: tuple[Masks, Masks, Masks, Masks]  # masks and rims of the truth, masks and rims predicted

    def computeIoU(self, imgId: int, catId: int) -> Any:
        gt, dt = self._cell(imgId, catId)
        order = np.argsort([-d["score"] for d in dt], kind="mergesort")[: self.params.maxDets[-1]]
        if not len(gt) or not len(dt):
            return []
        of_gt, of_dt = np.array([g["row"] for g in gt]), np.array([dt[i]["row"] for i in order])
        crowd = np.array([g["iscrowd"] for g in gt], bool)
        masks, rims, dt_masks, dt_rims = self.sides
        return np.minimum(dt_masks[of_dt].iou(masks[of_gt], crowd), dt_rims[of_dt].iou(rims[of_gt], crowd))


def _compared(
    truth: Dataset,
    predictions: Dataset,
    bins: dict[str, tuple[int, int]],
    boundary: int | None,
    max_dets: int,
) -> Any:
    gt, dt = _coco(truth), _coco(predictions)
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet):
        if boundary is None:
            ev = COCOeval(gt, dt, "segm")
        else:
            if boundary < 1:
                raise ValueError(f"boundary must be 1 pixel or more, not {boundary}")
            ev = _BoundaryEval(gt, dt, "segm")
            masks, predicted = truth.masks, predictions.masks
            ev.sides = masks, masks.boundary(boundary), predicted, predicted.boundary(boundary)
        ev.params.maxDets = sorted({1, min(10, max_dets), max_dets})
        ev.params.areaRng = [list(limits) for limits in bins.values()]
        ev.params.areaRngLbl = [name or "all" for name in bins]
        ev.evaluate()
        ev.accumulate()
    return ev


def _coco(dataset: Dataset) -> Any:
    """A COCO of dicts of its own: nothing of the caller's is changed. Ids begin at 1: 0 would be no match."""
    instances = dataset.instances
    columns = (
        dataset.images["id"][instances["image"]].tolist(),
        dataset.categories["id"][instances["category"]].tolist(),
        dataset.masks.area.tolist(),
        dataset.masks.bbox.tolist(),
        instances["iscrowd"].tolist(),
        instances["score"].tolist(),
        dataset.masks.to_coco(),
    )
    coco = COCO()
    coco.dataset = {
        "images": [{key: row[key] for key in ("id", "height", "width")} for row in dataset.images],
        "categories": [{"id": i} for i in dataset.categories["id"].tolist()],
        "annotations": [
            {
                "id": row + 1,
                "row": row,
                "image_id": image,
                "category_id": category,
                "area": area,
                "bbox": bbox,
                "iscrowd": int(crowd),
                "score": score,
                "segmentation": rle,
            }
            for row, (image, category, area, bbox, crowd, score, rle) in enumerate(zip(*columns, strict=True))
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _numbers(ev: Any, bins: dict[str, tuple[int, int]], k: slice = slice(None)) -> dict[str, float]:
    """Averages by name, area by area."""
    found = {}
    for key in _NUMBERS:
        values = ev.eval["precision" if key[1] == "P" else "recall"][..., -1]
        values = values[:, :, k] if key[1] == "P" else values[:, k]
        if key[2:]:
            values = values[_AT[key[2:]]]
        for a, name in enumerate(bins):
            part = values[..., a]
            found[_name(key, name)] = float(part[part > -1].mean()) if (part > -1).any() else float("nan")
    return found


def _per_class(
    ev: Any, bins: dict[str, tuple[int, int]], names: dict[int, str]
) -> dict[str, dict[str, float]]:
    """AP50, AR50, AP and AR of each class, by its name."""
    found = {}
    for k, number in enumerate(ev.params.catIds):
        name = names[int(number)]
        numbers = _numbers(ev, bins, slice(k, k + 1))
        found[name] = {
            f"{key}_{name}": v for key, v in numbers.items() if not key.startswith(("AP75", "AR75"))
        }
    return found


# What was found, at IoU 0.5


def _matched(
    truth: Dataset, predictions: Dataset, least: int, threshold: float
) -> tuple[NDArray[np.int64], Table]:
    """The confusion matrix over classes, and a row for each image."""
    classes = len(truth.categories)
    confusion = np.zeros((classes + 1, classes + 1), np.int64)
    rows = []
    for i, name in enumerate(truth.images["file_name"].tolist()):
        of_gt, of_dt = truth.rows_of_image(i), predictions.rows_of_image(i)
        of_dt = of_dt[predictions.instances["score"][of_dt] >= threshold]
        of_dt = of_dt[np.argsort(-predictions.instances["score"][of_dt], kind="stable")]
        gt, dt = truth.masks[of_gt], predictions.masks[of_dt]
        ignored = (gt.area < least) | truth.instances["iscrowd"][of_gt]
        pairs = _pairs(dt.iou(gt), ignored) if len(gt) and len(dt) else np.zeros((0, 3))
        d, g = pairs[:, 0].astype(int), pairs[:, 1].astype(int)
        counts = ~ignored[g]
        gt_class, dt_class = truth.instances["category"][of_gt], predictions.instances["category"][of_dt]
        np.add.at(confusion, (gt_class[g[counts]], dt_class[d[counts]]), 1)
        missed = np.setdiff1d(np.flatnonzero(~ignored), g)
        false = np.setdiff1d(np.flatnonzero(dt.area >= least), d)
        np.add.at(confusion, (gt_class[missed], classes), 1)
        np.add.at(confusion, (classes, dt_class[false]), 1)
        right = int((gt_class[g[counts]] == dt_class[d[counts]]).sum())
        rows.append(
            {
                "image": name,
                "truth": int((~ignored).sum()),
                "ignored": int(ignored.sum()),
                "predicted": int(counts.sum()) + len(false),
                "found": int(counts.sum()),
                "right": right,
                "missed": len(missed),
                "false": len(false),
                "iou": float(pairs[counts, 2].mean()) if counts.any() else float("nan"),
            }
        )
    return confusion, Table({key: [row[key] for row in rows] for key in rows[0]} if rows else {})


def _pairs(iou: NDArray[np.float64], ignored: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(M, 3) prediction, truth and their IoU of 0.5 or more: best score first, what counts before what is ignored."""
    free = np.ones(iou.shape[1], bool)
    found = []
    for d, row in enumerate(iou):
        for group in (~ignored, ignored):
            able = np.where(free & group, row, 0)
            if able.max() >= 0.5:
                g = int(able.argmax())
                free[g] = False
                found.append((d, g, able[g]))
                break
    return np.array(found).reshape(-1, 3)


# Intervals


def _intervals(ev: Any, times: int, seed: int) -> dict[str, tuple[float, float]]:
    """95 % intervals over images: each time as many images are drawn as there are, with replacement."""
    n = len(ev.params.imgIds)
    tables = [_detections(ev, k) for k in range(len(ev.params.catIds))]
    chance = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {key: [] for key in ("AP", "AP50", "AP75", "AR")}
    for _ in range(times):
        weight = np.bincount(chance.integers(0, n, n), minlength=n)
        found = [f for t in tables if (f := _average(*t, weight, ev.params.recThrs)) is not None]
        if not found:
            continue
        precision, recall = np.mean([f[0] for f in found], 0), np.mean([f[1] for f in found], 0)
        for key, value in (
            ("AP", precision.mean()),
            ("AP50", precision[0]),
            ("AP75", precision[5]),
            ("AR", recall.mean()),
        ):
            drawn[key].append(float(value))
    return {
        key: (float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975)))
        for key, values in drawn.items()
        if values
    }


Detections = tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]


def _detections(ev: Any, k: int) -> Detections:
    """Of class k and all areas, by falling score: the image of each, whether it is true and false at each IoU; and how
    many flakes each image has."""
    n, areas = len(ev.params.imgIds), len(ev.params.areaRng)
    cells = ev.evalImgs[k * areas * n : k * areas * n + n]
    flakes = np.array([0 if c is None else int((np.asarray(c["gtIgnore"]) == 0).sum()) for c in cells])
    there = [(i, c) for i, c in enumerate(cells) if c is not None]
    thresholds = len(ev.params.iouThrs)
    none = np.zeros((thresholds, 0), bool)
    score = np.concatenate([[], *(c["dtScores"] for _, c in there)])
    image = np.concatenate([np.full(len(c["dtScores"]), i) for i, c in there] or [np.zeros(0, int)])
    match = np.concatenate([none, *(np.asarray(c["dtMatches"]) > 0 for _, c in there)], 1)
    ignore = np.concatenate([none, *(np.asarray(c["dtIgnore"]) > 0 for _, c in there)], 1)
    order = np.argsort(-score, kind="mergesort")
    return image[order].astype(np.int64), (match & ~ignore)[:, order], (~match & ~ignore)[:, order], flakes


def _average(
    image: NDArray[np.int64],
    true: NDArray[np.bool_],
    false: NDArray[np.bool_],
    flakes: NDArray[np.int64],
    weight: NDArray[np.int64],
    recalls: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Average precision and recall at each IoU, of images so many times; None without flakes.

    A prediction of weight w stands for w of equal score: precision and recall behind the last of them are what counts.
    """
    n = int((flakes * weight).sum())
    if not n:
        return None
    if not len(image):
        return np.zeros(len(true)), np.zeros(len(true))
    tp, fp = np.cumsum(true * weight[image], 1), np.cumsum(false * weight[image], 1)
    recall = tp / n
    precision = tp / np.maximum(tp + fp, np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    means = np.empty(len(true))
    for t in range(len(true)):
        at = np.searchsorted(recall[t], recalls, side="left")
        means[t] = np.append(precision[t], 0.0)[at].mean()
    return means, recall[:, -1]
