"""COCO's evaluation of what a model gives, batch by batch, wherever its arrays are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill import rle
from maskmill._backend import kernels
from maskmill._device import as_array, to_host_together
from maskmill.evaluate.coco import CocoEvaluation, set_limits, summarized
from maskmill.masks import Masks

__all__ = ["Evaluator"]

_SHAPES = {"bbox": "boxes", "segm": "masks"}
_PREDS, _TARGET = ("scores", "labels"), ("labels", "iscrowd", "area")
_BOXES = ("xyxy", "xywh", "cxcywh")
_LONG = 2**53  # pycocotools' order of larger scores is not that of doubles


@dataclass
class _Rows:
    """Predictions or ground truth of one image, on the host."""

    shapes: Any  # Masks, or (n, 4) float64 boxes as x, y, width, height
    labels: NDArray[np.int64]
    area: NDArray[np.float64]
    scores: NDArray[np.float64] | None = None
    crowd: NDArray[np.uint8] | None = None


class Evaluator:
    """COCO's average precision of predictions that come in batches: `update` with each, then `compute`.

    `update` takes what torchmetrics' MeanAveragePrecision takes, as arrays of NumPy, CuPy or torch. The numbers are
    those of pycocotools' COCOeval, bit for bit. Masks on a GPU are encoded there; only their runs, with scores and
    labels, are brought to the host, in one transfer for each update.

    Parameters
    ----------
    iou_type : {"segm", "bbox"}
        Compare masks or boxes. For both, use two of these.
    box_format : {"xyxy", "xywh", "cxcywh"}
        Of boxes: two corners, corner and size, centre and size, in pixels. They become corner and size in their own
        dtype, as torchvision's box_convert does it.
    classes : mapping of int to str, optional
        The classes that labels stand for. By default, all labels that are seen.
    max_dets : three rising integers, optional
        Limits of detections per image and class; 1, 10, 100 by default.
    class_agnostic : bool
        Compare across classes.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.evaluate import Evaluator
    >>> masks = np.zeros((2, 8, 8), bool)
    >>> masks[0, :4], masks[1, 5:] = True, True
    >>> evaluator = Evaluator("segm", classes={1: "grain"})
    >>> evaluator.update(
    ...     [{"masks": masks, "scores": [0.9, 0.8], "labels": [1, 1]}],  # of one image
    ...     [{"masks": masks[:1], "labels": [1]}],
    ... )
    >>> round(evaluator.compute().stats["AP"], 3)
    1.0
    """

    def __init__(
        self,
        iou_type: str = "segm",
        *,
        box_format: str = "xyxy",
        classes: Mapping[int, str] | None = None,
        max_dets: Sequence[int] | None = None,
        class_agnostic: bool = False,
    ) -> None:
        if iou_type not in _SHAPES:
            raise ValueError(f"iou_type must be one of {', '.join(map(repr, _SHAPES))}, not {iou_type!r}")
        if box_format not in _BOXES:
            raise ValueError(f"box_format must be one of {', '.join(map(repr, _BOXES))}, not {box_format!r}")
        self.iou_type, self.box_format, self.class_agnostic = iou_type, box_format, class_agnostic
        self.classes = None if classes is None else dict(classes)
        self.max_dets = max_dets
        self._params()  # says what is wrong with max_dets
        self._preds: list[_Rows] = []
        self._target: list[_Rows] = []

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._preds)

    def __repr__(self) -> str:
        preds, target = (sum(len(rows.labels) for rows in side) for side in (self._preds, self._target))
        return (
            f"Evaluator({self.iou_type!r}, {len(self):,} images, {preds:,} predictions, {target:,} targets)"
        )

    def reset(self) -> None:
        """Forget all images."""
        self._preds, self._target = [], []

    def extend(self, other: Evaluator) -> None:
        """Add the images of another evaluator behind the own, as when processes have seen a part each."""
        if (other.iou_type, other.classes) != (self.iou_type, self.classes):
            raise ValueError("evaluators must be of one iou_type and have the same classes")
        self._preds += other._preds
        self._target += other._target

    def update(
        self,
        preds: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        target: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    ) -> None:
        """Add images: for each, a dict of predictions and one of ground truth (or one of each, for one image).

        Parameters
        ----------
        preds : dicts with
            - masks: (n, H, W) bool or integer array, `Masks`, or list of COCO RLEs; or boxes: (n, 4) numbers
            - scores: (n,) numbers
            - labels: (n,) integers
        target : dicts with masks or boxes, and labels, as above, and maybe
            - iscrowd: (n,) of 0 and 1; 0 by default
            - area: (n,) numbers, which decide who is small, medium and large; by default those of the masks or boxes

            Other keys are not looked at. Arrays may be on a GPU, some or all.

        Raises
        ------
        TypeError, ValueError
            Naming image, side and key; then none of the images is added.
        """
        sides = [preds, target]
        images = [[side] if isinstance(side, Mapping) else list(side) for side in sides]
        if len(images[0]) != len(images[1]):
            raise ValueError(
                f"preds and target must be of the same images, not of {len(images[0])} and {len(images[1])}"
            )
        taken = []
        for side, name, keys in zip(images, ("preds", "target"), (_PREDS, _TARGET), strict=True):
            for i, image in enumerate(side, len(self)):
                with _told(f"image {i}: {name}"):
                    taken.append(self._take(image, keys))
        arrays = iter(to_host_together([array for one in taken for array in one.values()]))
        hosts = [{key: next(arrays) for key in one} for one in taken]
        rows = []
        for n, host in enumerate(hosts):
            side_, i = divmod(n, len(images[0]))
            with _told(f"image {len(self) + i}: {('preds', 'target')[side_]}"):
                rows.append(self._rows(host, is_target=bool(side_)))
        half = len(images[0])
        for i, (dt, gt) in enumerate(zip(rows[:half], rows[half:], strict=True), len(self)):
            _check_sizes(dt.shapes, gt.shapes, i)
        self._preds += rows[:half]
        self._target += rows[half:]

    def _take(self, image: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
        """The arrays that matter, where they are; masks as runs."""
        if not isinstance(image, Mapping):
            raise TypeError(f"must be a dict, not {type(image).__name__}")
        shape = _SHAPES[self.iou_type]
        missing = [key for key in (shape, *keys) if key not in image and key not in ("iscrowd", "area")]
        if missing:
            raise ValueError(f"must have {', '.join(map(repr, missing))}, but has only {list(image)}")
        taken = {key: _numbers(image[key]) for key in keys if image.get(key) is not None}
        if shape == "boxes":
            return {"boxes": _numbers(image["boxes"]), **taken}
        masks = _masks_of(image["masks"])
        return {"counts": masks.counts, "offsets": masks.offsets, "sizes": masks.sizes, **taken}

    def _rows(self, host: dict[str, NDArray[Any]], *, is_target: bool) -> _Rows:
        """Checked."""
        shapes: Any
        if self.iou_type == "segm":
            shapes = Masks._of(host["counts"], host["offsets"], host["sizes"])
            area = shapes.area.astype(np.float64)
        else:
            shapes = _corner_and_size(host["boxes"], self.box_format)
            area = shapes[:, 2] * shapes[:, 3]
        n = len(shapes)
        labels = _column(host, "labels", n, "bui").astype(np.int64)
        if self.classes is not None and not np.isin(labels, [*self.classes]).all():
            unknown = sorted({*labels.tolist()} - {*self.classes})
            raise ValueError(f"labels {unknown} are of no class in {sorted(self.classes)}")
        if not is_target:
            scores = _column(host, "scores", n, "buif").astype(np.float64)
            if not np.all(np.abs(scores) < _LONG):  # nor is NaN
                raise ValueError("scores must be finite and less than 2**53")
            return _Rows(shapes, labels, area, scores=scores)
        crowd = np.zeros(n, np.uint8)
        if "iscrowd" in host:
            crowd = (_column(host, "iscrowd", n, "buif") != 0).astype(np.uint8)
        if "area" in host:
            area = _column(host, "area", n, "buif").astype(np.float64)
        return _Rows(shapes, labels, area, crowd=crowd)

    # Computing

    def _params(self) -> Any:
        from maskmill.pycocotools.cocoeval import Params

        params = Params(self.iou_type)
        set_limits(params, self.max_dets)
        params.useCats = 0 if self.class_agnostic else 1
        return params

    def compute(self) -> CocoEvaluation:
        """Evaluate all images so far; more may be added afterwards.

        Raises
        ------
        ValueError
            If there are no images.
        """
        from maskmill.pycocotools.cocoeval import COCOeval

        if not self._preds:
            raise ValueError("there are no images; give some to update")
        gt_labels, dt_labels = (
            _joined([rows.labels for rows in side]) for side in (self._target, self._preds)
        )
        names = self.classes
        if names is None:
            names = {
                label: str(label) for label in np.unique(np.concatenate([gt_labels, dt_labels])).tolist()
            }
        params = self._params()
        params.imgIds, params.catIds = list(range(len(self))), sorted(names)
        precision, recall, scores = self._accumulate(params, gt_labels, dt_labels)
        params.catIds = params.catIds if params.useCats else [-1]
        ev = COCOeval(iouType=self.iou_type)
        ev.params = params
        ev.eval = {"params": params, "precision": precision, "recall": recall, "scores": scores}
        crowd = _joined([rows.crowd for rows in self._target])
        categories = [
            ({"id": label, "name": name}, int(np.count_nonzero((gt_labels == label) & (crowd == 0))))
            for label, name in names.items()
        ]
        about = {"images": len(self), "max_dets": list(params.maxDets), "class_agnostic": self.class_agnostic}
        return summarized(ev, categories, about)

    def _accumulate(
        self, params: Any, gt_labels: NDArray[np.int64], dt_labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], ...]:
        from maskmill.pycocotools._matches import Evaluation, Side, plan_of

        if not params.catIds:  # nor are there any instances
            shape = len(params.iouThrs), len(params.recThrs), int(not params.useCats), 4, len(params.maxDets)
            return -np.ones(shape), -np.ones(shape[:1] + shape[2:]), -np.ones(shape)
        plan = plan_of(params)
        assert plan is not None
        sides = []
        for rows, labels in ((self._target, gt_labels), (self._preds, dt_labels)):
            n = len(labels)
            images = np.repeat(np.arange(len(rows)), [len(part.labels) for part in rows])
            area = _joined([part.area for part in rows])
            boxes = None if self.iou_type == "segm" else _joined([part.shapes for part in rows])
            sides.append(Side(images, labels, range(1, n + 1), np.ones(n, np.uint8), area, boxes))
        gt, dt = sides
        gt.crowd = gt.ignore = _joined([part.crowd for part in self._target])
        dt.score = _joined([part.scores for part in self._preds])
        evaluation = Evaluation(plan, gt, dt)
        if self.iou_type == "segm":
            masks = [
                Masks.concatenate(part.shapes for part in rows)._arrays
                for rows in (self._target, self._preds)
            ]
            evaluation.ious, evaluation.iou_cells = kernels().matching_mask_iou(
                *evaluation.cells, *masks[0], *masks[1], gt.crowd
            )
        evaluation.match()
        return evaluation.accumulate(np.asarray(params.recThrs), list(params.maxDets))


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    """What is wrong is said with its place."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}") from None


def _numbers(value: Any) -> Any:
    """A tensor of torch without its gradient, and what is bfloat16 as float32, which holds the same numbers."""
    if not hasattr(value, "detach"):
        return value
    value = value.detach()
    return value.float() if str(value.dtype) == "torch.bfloat16" else value


def _masks_of(masks: Any) -> Masks:
    if isinstance(masks, Masks):
        return masks
    if isinstance(masks, list | tuple) and all(isinstance(mask, Mapping) for mask in masks):
        return Masks.from_coco(masks)
    array = as_array(masks)
    if array.ndim == 1 and len(array) == 0:  # what some write when there are none
        return Masks.empty()
    if array.ndim != 3:
        hint = "; masks[:, 0] takes the one channel" if array.ndim == 4 and array.shape[1] == 1 else ""
        raise ValueError(f"masks must have shape (n, H, W), not {tuple(array.shape)}{hint}")
    counts, offsets, sizes = rle.encode(array)
    return Masks._of(counts, offsets, sizes)


def _column(host: Mapping[str, NDArray[Any]], key: str, n: int, kinds: str) -> NDArray[Any]:
    array = host[key]
    if array.shape != (n,):
        raise ValueError(f"{key} must have shape ({n},), one for each shape, not {array.shape}")
    if n and array.dtype.kind not in kinds:
        raise TypeError(f"{key} must be {'numbers' if 'f' in kinds else 'integers'}, not {array.dtype}")
    return array


def _corner_and_size(boxes: NDArray[Any], box_format: str) -> NDArray[np.float64]:
    """x, y, width, height in float64, with the roundings of the own dtype on the way."""
    if boxes.size == 0:
        return np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "uif":
        raise ValueError(f"boxes must be numbers of shape (n, 4), not {boxes.dtype} of shape {boxes.shape}")
    if boxes.dtype.kind != "f":
        boxes = boxes.astype(np.float64)
    if not np.all(np.isfinite(boxes)):
        raise ValueError("boxes must be finite")
    if box_format == "cxcywh":
        half = boxes[:, 2:] * boxes.dtype.type(0.5)
        boxes = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    if box_format != "xywh":
        boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    return boxes.astype(np.float64)


def _check_sizes(dt: Any, gt: Any, i: int) -> None:
    """Masks of one image must be of its size."""
    if isinstance(dt, Masks):
        sizes = {*map(tuple, [*dt.sizes.tolist(), *gt.sizes.tolist()])}
        if len(sizes) > 1:
            found = " and ".join(f"{h} x {w}" for h, w in sorted(sizes))
            raise ValueError(f"image {i}: all masks must have the size of the image, not {found}")


def _joined(parts: Sequence[Any]) -> NDArray[Any]:
    whole: NDArray[Any] = np.concatenate(parts)
    return whole
