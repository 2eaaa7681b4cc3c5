"""COCO's evaluation as one call: the twelve (or ten) numbers, a table of classes, curves."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.evaluate.explain import explain_failure

if TYPE_CHECKING:
    import os

IOU_TYPES = ("bbox", "segm", "keypoints")
_BOX_STATS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
_KEYPOINT_STATS = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")


@dataclass
class CocoEvaluation:
    """Results of one evaluation.

    Attributes
    ----------
    iou_type : "bbox", "segm" or "keypoints"
    stats : dict of str to float
        pycocotools' numbers under the names of COCO's leaderboard (AP, AP50, ...); -1 where nothing can be measured.
    text : str
        pycocotools' lines.
    classes : list of dict
        One per category: id, name, instances (ground truth that counts), AP, AP50, AP75, AR (at the highest limit).
    precision, recall, scores : arrays
        As pycocotools' ``eval`` has them: (T, R, K, A, M), (T, K, A, M), (T, R, K, A, M).
    thresholds, recalls : (T,), (R,) float64
    """

    iou_type: str
    stats: dict[str, float]
    text: str
    classes: list[dict[str, Any]]
    precision: NDArray[np.float64] = field(repr=False)
    recall: NDArray[np.float64] = field(repr=False)
    scores: NDArray[np.float64] = field(repr=False)
    thresholds: NDArray[np.float64] = field(repr=False)
    recalls: NDArray[np.float64] = field(repr=False)
    parameters: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Everything but the big arrays, as plain Python."""
        return {
            "iou_type": self.iou_type,
            "stats": self.stats,
            "classes": self.classes,
            "parameters": self.parameters,
        }

    def curves(self) -> dict[str, NDArray[np.float64]]:
        """Precision over `recalls`, averaged over classes, at IoU 0.50, 0.75 and over all thresholds (where they are).

        All sizes, highest limit of detections; NaN where no class has ground truth.
        """
        found = {}
        whole = self.precision[:, :, :, 0, -1]
        for name, chosen in (
            ("0.50", np.isclose(self.thresholds, 0.5)),
            ("0.75", np.isclose(self.thresholds, 0.75)),
            (f"{self.thresholds[0]:.2f}:{self.thresholds[-1]:.2f}", np.ones(len(self.thresholds), bool)),
        ):
            if chosen.any():
                part = np.where(whole[chosen] > -1, whole[chosen], np.nan)
                with np.errstate(all="ignore"):
                    count = np.maximum(np.isfinite(part).sum(axis=(0, 2)), 1)
                    found[name] = np.nansum(part, axis=(0, 2)) / count
        return found


def evaluate(
    ground_truth: str | os.PathLike[str],
    results: str | os.PathLike[str],
    iou_type: str = "segm",
    *,
    max_dets: Sequence[int] | None = None,
    class_agnostic: bool = False,
    classes: Sequence[str] | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> CocoEvaluation:
    """Evaluate a results file against a ground truth file, as pycocotools does, bit for bit.

    Parameters
    ----------
    iou_type : {"bbox", "segm", "keypoints"}
    max_dets : three rising integers (one for keypoints), optional
        Limits of detections per image and class; 1, 10, 100 (20) by default. With another highest limit the first line
        of `text` says -1, since pycocotools asks for 100 there; `stats` has the value of the highest limit.
    class_agnostic : bool
        Compare across classes.
    classes : names, optional
        Evaluate these alone.
    progress : called with a phrase before each step

    Raises
    ------
    FormatError
        If a file is not what it should be; names file, annotation and field.
    ValueError
        On wrong parameters.
    """
    from maskmill.pycocotools.coco import COCO, are_columns, count_instances
    from maskmill.pycocotools.cocoeval import COCOeval

    if iou_type not in IOU_TYPES:
        raise ValueError(f"iou_type must be one of {', '.join(map(repr, IOU_TYPES))}, not {iou_type!r}")
    gt_path, dt_path = Path(ground_truth), Path(results)
    files = gt_path, dt_path, iou_type
    with _explained(*files):
        progress(f"reading {gt_path.name}")
        gt = COCO(str(gt_path))
        progress(f"reading {dt_path.name}")
        dt = gt.loadRes(str(dt_path))
        ev = COCOeval(gt, dt, iou_type)
    _set_parameters(ev.params, gt, max_dets, class_agnostic, classes)
    with _explained(*files):
        progress("comparing")
        ev.evaluate()
        if not are_columns(gt):
            # Something is odd about these files. pycocotools may have a number for it all the same; we have not.
            wrong = explain_failure(*files)
            if wrong is not None:
                raise FormatError(wrong)
        progress("accumulating")
        ev.accumulate()
    return summarized(
        ev,
        count_instances(gt),
        {
            "ground_truth": str(gt_path),
            "results": str(dt_path),
            "max_dets": [int(m) for m in ev.params.maxDets],
            "class_agnostic": class_agnostic,
        },
    )


def summarized(
    ev: Any, categories: Iterable[tuple[Mapping[str, Any], int]], parameters: dict[str, Any]
) -> CocoEvaluation:
    """What a COCOeval has accumulated, as numbers. `categories`: each, and how many instances of it count."""
    lines = io.StringIO()
    with contextlib.redirect_stdout(lines):
        ev.summarize()
    names = _KEYPOINT_STATS if ev.params.iouType == "keypoints" else _BOX_STATS
    stats = {name: float(value) for name, value in zip(names, ev.stats, strict=True)}
    if stats["AP"] == -1:
        stats["AP"] = _mean(ev.eval["precision"][:, :, :, 0, -1])
    return CocoEvaluation(
        ev.params.iouType,
        stats,
        lines.getvalue(),
        _classes(ev, categories) if ev.params.useCats else [],
        ev.eval["precision"],
        ev.eval["recall"],
        ev.eval["scores"],
        np.asarray(ev.params.iouThrs, np.float64),
        np.asarray(ev.params.recThrs, np.float64),
        parameters,
    )


@contextlib.contextmanager
def _explained(ground_truth: Path, results: Path, iou_type: str) -> Iterator[None]:
    """Quiet; and an exception out of the depths of pycocotools becomes one that names the file and what is wrong."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except (OSError, FormatError):
        raise
    except Exception as error:
        wrong = explain_failure(ground_truth, results, iou_type)
        if wrong is None:
            raise
        raise FormatError(wrong) from error


def set_limits(params: Any, max_dets: Sequence[int] | None) -> None:
    """Limits of detections per image and class, if others are asked for than COCO's."""
    if max_dets is not None:
        wanted = len(params.maxDets)
        if len(max_dets) != wanted or list(max_dets) != sorted(set(max_dets)) or min(max_dets) < 1:
            raise ValueError(f"max_dets must be {wanted} rising numbers from 1 on, not {list(max_dets)}")
        params.maxDets = list(max_dets)


def _set_parameters(
    params: Any, gt: Any, max_dets: Sequence[int] | None, class_agnostic: bool, classes: Sequence[str] | None
) -> None:
    set_limits(params, max_dets)
    if class_agnostic:
        params.useCats = 0
    if classes:
        from maskmill.pycocotools.coco import count_instances

        ids = {category["name"]: category["id"] for category, _ in count_instances(gt)}
        unknown = [name for name in classes if name not in ids]
        if unknown:
            raise ValueError(f"there is no class {', '.join(map(repr, unknown))} in the ground truth")
        params.catIds = [ids[name] for name in classes]


def _mean(values: NDArray[np.float64]) -> float:
    valid = values[values > -1]
    return float(np.mean(valid)) if valid.size else -1.0


def _classes(ev: Any, categories: Iterable[tuple[Mapping[str, Any], int]]) -> list[dict[str, Any]]:
    precision, recall = ev.eval["precision"], ev.eval["recall"]
    thresholds = np.asarray(ev.params.iouThrs, np.float64)
    counted = {category["id"]: (category, count) for category, count in categories}

    def at(threshold: float, k: int) -> float:
        return _mean(precision[np.isclose(thresholds, threshold), :, k, 0, -1])

    rows = []
    for k, number in enumerate(ev.params.catIds):
        category, instances = counted[number]
        rows.append(
            {
                "id": int(number),
                "name": category.get("name", str(number)),
                "instances": instances,
                "AP": _mean(precision[:, :, k, 0, -1]),
                "AP50": at(0.5, k),
                "AP75": at(0.75, k),
                "AR": _mean(recall[:, k, 0, -1]),
            }
        )
    return rows
