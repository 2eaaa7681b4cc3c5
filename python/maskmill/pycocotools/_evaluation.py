"""COCOeval on columns: all images at once.

`evaluate_files` works on files that nobody has looked into, `evaluate_dicts` on dicts. Both refuse (return False) where
a step of COCOeval or COCO has been overridden or replaced, and where anything is not plain, be it a parameter, an id or
a missing key; the caller then goes one by one, as pycocotools does, and fails as it does.
"""

import copy
import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._backend import kernels
from maskmill.pycocotools import _columns, _mask
from maskmill.pycocotools import mask as maskUtils
from maskmill.pycocotools._lazy import Pending, raw_attributes_of
from maskmill.pycocotools._matches import Evaluation, Plan, Side, numbers_of, plan_of
from maskmill.pycocotools.coco import COCO

_LONG = 2**53  # integers from here on are not told apart by doubles
_BLOCK = 1 << 18  # exponents of keypoint similarities at a time
_SHAPES = {
    "bbox": _columns.BBOX,
    "segm": _columns.SEGMENTATION,
    "keypoints": _columns.BBOX | _columns.KEYPOINTS | _columns.NUM_KEYPOINTS,
}
_SCORES = {int, float, np.float64, np.float32}  # whose order is that of doubles, whatever is done to them

_STEPS = ("_prepare", "computeIoU", "computeOks", "evaluateImg")
_originals: dict[str, Any] = {}


def remember(cocoeval: type) -> None:
    """Keep the steps as they are, to see when one is replaced."""
    _originals.update({name: cocoeval.__dict__[name] for name in (*_STEPS, "_cell")})
    _originals.update(
        {name: COCO.__dict__[name] for name in ("getAnnIds", "loadAnns", "annToRLE", "createIndex")}
    )
    _originals.update({name: getattr(maskUtils, name) for name in ("iou", "merge", "frPyObjects")})


def _is_original(obj: Any, *names: str) -> bool:
    own = raw_attributes_of(obj)
    return all(getattr(type(obj), name, None) is _originals[name] and name not in own for name in names)


def _masks_are_original() -> bool:
    return all(getattr(maskUtils, name) is _originals[name] for name in ("iou", "merge", "frPyObjects"))


def by_cell(anns: list[dict[str, Any]]) -> "defaultdict[Any, list[Any]]":
    """Annotations by (image_id, category_id)."""
    cells: defaultdict[Any, list[Any]] = defaultdict(list)
    for ann in anns:
        cells[ann["image_id"], ann["category_id"]].append(ann)
    return cells


def copy_of(params: Any) -> Any:
    """A deep copy, to which long lists of ids cost little: their numbers cannot change."""
    memo = {}
    for ids in (getattr(params, "imgIds", None), getattr(params, "catIds", None)):
        if type(ids) is list and all(isinstance(i, int | np.integer) for i in ids):
            memo[id(ids)] = list(ids)
    return copy.deepcopy(params, memo)


def _fill_cells(plan: Plan, cells: "defaultdict[Any, list[Any]]") -> "defaultdict[Any, list[Any]]":
    """pycocotools looks up every cell, and a defaultdict remembers."""
    for image in plan.image_ids:
        for category in plan.category_ids:
            cells[image, category]
    return cells


def _publish(ev: Any, evaluation: Evaluation, cells: Pending) -> None:
    own = raw_attributes_of(ev)
    own["_gts"] = own["_dts"] = cells
    own["ious"] = Pending(lambda: {"ious": evaluation.make_ious()})
    own["evalImgs"] = Pending(lambda: {"evalImgs": evaluation.make_eval_images()}, evaluation)


# Files


def evaluate_files(ev: Any) -> bool:
    """Evaluate what was read into columns and never looked at."""
    if not _is_original(ev, *_STEPS, "_cell") or not _masks_are_original():
        return False
    gt_file, dt_file = _file_of(ev.cocoGt), _file_of(ev.cocoDt)
    if not isinstance(gt_file, _columns.GroundTruthFile) or not isinstance(dt_file, _columns.Results):
        return False
    plan = plan_of(ev.params)
    if plan is None:
        return False
    gt, dt = _ground_truth_side(gt_file, plan), _results_side(dt_file, plan)
    if gt is None or dt is None:
        return False
    evaluation = Evaluation(plan, gt, dt)
    if plan.iou_type == "segm" and not _compare_texts(evaluation, gt_file, dt_file):
        return False
    if plan.iou_type == "keypoints" and not _compare_file_points(evaluation, ev.params, gt_file, dt_file):
        return False
    evaluation.match()
    _leave_effects(plan, gt_file, dt_file)
    ev.eval = {}

    def make_cells() -> dict[str, Any]:
        made = {}
        for name, coco, file in (("_gts", ev.cocoGt, gt_file), ("_dts", ev.cocoDt, dt_file)):
            coco.dataset  # noqa: B018 - makes the dicts, if nobody has yet
            assert file.made is not None
            chosen = np.flatnonzero(_selected(plan, file)).tolist()
            # In the order of images, as getAnnIds has them; within one, of the file.
            rank = {image: n for n, image in enumerate(plan.image_ids)}
            chosen.sort(key=lambda row: rank[file.image_id[row]])
            made[name] = _fill_cells(plan, by_cell([file.made[row] for row in chosen]))
        return made

    _publish(ev, evaluation, Pending(make_cells))
    return True


def _file_of(coco: Any) -> Any:
    if type(coco) is not COCO or not _is_original(coco, "getAnnIds", "loadAnns", "annToRLE", "createIndex"):
        return None
    pending = raw_attributes_of(coco).get("dataset")
    return pending.state if type(pending) is Pending else None


def _selected(plan: Plan, file: _columns.Rows) -> NDArray[np.bool_]:
    chosen = np.isin(file.image_id, np.array(plan.image_ids, np.int64))
    if plan.use_categories:
        chosen &= np.isin(file.category_id, np.array(plan.category_ids, np.int64))
    return chosen


def _ground_truth_side(file: _columns.GroundTruthFile, plan: Plan) -> Side | None:
    rows = file.rows
    needed = _columns.AREA | _columns.ISCROWD | _SHAPES[plan.iou_type]
    if file.n == 0 or rows["odd"] & needed or np.any(rows["fields"] & needed != needed):
        return None
    ids = rows["id"]
    if len(np.unique(ids)) != file.n:  # pycocotools takes the last of each, twice
        return None
    ignore = rows["iscrowd"]
    if plan.iou_type == "keypoints":
        ignore = ignore | (rows["num_keypoints"] == 0)
    return Side(
        file.image_id,
        file.category_id,
        ids.tolist(),
        (ids != 0).astype(np.uint8),
        rows["area"],
        boxes=None if plan.iou_type == "segm" else rows["bbox"],
        crowd=rows["iscrowd"],
        ignore=ignore,
    )


def _results_side(file: "_columns.Results", plan: Plan) -> Side | None:
    if plan.iou_type == "bbox" and not file.has_boxes:
        return None
    if plan.iou_type == "segm" and not file.has_masks:
        return None
    if plan.iou_type == "keypoints" and not file.has_points:
        return None
    if np.any(np.abs(file.score) >= _LONG):
        return None
    return Side(
        file.image_id,
        file.category_id,
        range(1, file.n + 1),  # a list that takes no memory
        np.ones(file.n, np.uint8),
        file.area,
        boxes=file.bbox if plan.iou_type == "bbox" else None,
        score=file.score,
        score_is_integer=file.score_is_integer,
    )


def _compare_texts(evaluation: Evaluation, gt: _columns.GroundTruthFile, dt: Any) -> bool:
    """IoUs of masks, each made of its text when its cell is compared."""
    sizes = _mask_sizes(gt)
    if sizes is None or gt.text is None:
        return False
    sides = []
    for file, size in ((gt, sizes), (dt, dt.rows["segmentation_size"])):
        rows = file.rows
        sides.append(
            (file.text, rows["segmentation_kind"], rows["segmentation_begin"], rows["segmentation_end"], size)
        )
    try:
        evaluation.ious, evaluation.iou_cells = kernels().matching_text_iou(
            *evaluation.cells, *sides, evaluation.gt.crowd
        )
    except ValueError:
        return False  # something malformed, about which pycocotools' way has its own to say
    return True


def _compare_file_points(
    evaluation: Evaluation, params: Any, gt: _columns.GroundTruthFile, dt: "_columns.Results"
) -> bool:
    variances = _variances_of(params)
    if variances is None:
        return False
    k = variances.size
    try:
        return _compare_points(
            evaluation, variances, lambda rows: gt.points(rows, k), lambda rows: dt.points(rows, k)
        )
    except ValueError:
        return False  # not k points of plain numbers


def _mask_sizes(file: _columns.GroundTruthFile) -> NDArray[np.int64] | None:
    """(n, 2): that of the image for polygons, else the RLE's own."""
    images, rows = file.images, file.rows
    wanted = _columns.HEIGHT | _columns.WIDTH
    if images["odd"] & wanted or np.any(images["fields"] & wanted != wanted):
        return None
    order = np.argsort(images["id"], kind="stable")
    ids = images["id"][order]
    # Of images with one id the last counts.
    at = np.searchsorted(ids, file.image_id, side="right") - 1
    if np.any(at < 0) or np.any(ids[at] != file.image_id):
        return None
    of_image = order[at]
    sizes = np.stack([images["height"][of_image], images["width"][of_image]], 1)
    own = rows["segmentation_kind"] != _columns.POLYGONS
    sizes[own] = rows["segmentation_size"][own]
    return np.ascontiguousarray(sizes)


def _leave_effects(plan: Plan, gt_file: _columns.GroundTruthFile, dt_file: "_columns.Results") -> None:
    """What pycocotools does to the dicts, to be done when there are dicts."""
    low, high = plan.areas[-1]

    def to_rles(rows: NDArray[np.intp], annotations: list[Any], attributes: dict[str, Any]) -> None:
        coco = COCO()
        coco.imgs = attributes["imgs"]
        for row in rows.tolist():
            annotations[row]["segmentation"] = coco.annToRLE(annotations[row])

    def on_ground_truth(annotations: list[Any], attributes: dict[str, Any]) -> None:
        rows = np.flatnonzero(_selected(plan, gt_file))
        if plan.iou_type == "segm":
            to_rles(rows, annotations, attributes)
        for row in rows.tolist():
            gt = annotations[row]
            gt["ignore"] = "iscrowd" in gt and gt["iscrowd"]
            if plan.iou_type == "keypoints":
                gt["ignore"] = (gt["num_keypoints"] == 0) or gt["ignore"]
        for row in rows[np.isin(gt_file.category_id[rows], np.array(plan.category_ids, np.int64))].tolist():
            mark_ignored(annotations[row], low, high)

    def on_results(annotations: list[Any], attributes: dict[str, Any]) -> None:
        if plan.iou_type == "segm":
            to_rles(np.flatnonzero(_selected(plan, dt_file)), annotations, attributes)

    gt_file.effects.append(on_ground_truth)
    dt_file.effects.append(on_results)


def mark_ignored(gt: dict[str, Any], low: Any, high: Any) -> None:
    gt["_ignore"] = 1 if gt["ignore"] or (gt["area"] < low or gt["area"] > high) else 0


# Dicts


def evaluate_dicts(ev: Any) -> bool:
    """Evaluate the dicts that _prepare has collected."""
    if not _is_original(ev, "computeIoU", "computeOks", "evaluateImg", "_cell") or not _masks_are_original():
        return False
    plan = plan_of(ev.params)
    if plan is None:
        return False
    gts, dts = _flatten(ev._gts, plan), _flatten(ev._dts, plan)
    if gts is None or dts is None:
        return False
    gt, dt = _dict_side(*gts, is_gt=True), _dict_side(*dts, is_gt=False)
    if gt is None or dt is None:
        return False
    if not _load_shapes(plan, gt, dt, gts[0], dts[0]):
        return False
    evaluation = Evaluation(plan, gt, dt)
    if not _compare_dicts(evaluation, ev.params, gts[0], dts[0]):
        return False
    evaluation.match()
    low, high = plan.areas[-1]
    for g in gts[0]:
        mark_ignored(g, low, high)
    gt_cells, dt_cells = ev._gts, ev._dts

    def fill() -> dict[str, Any]:
        return {"_gts": _fill_cells(plan, gt_cells), "_dts": _fill_cells(plan, dt_cells)}

    _publish(ev, evaluation, Pending(fill))
    return True


Flat = tuple[list[dict[str, Any]], NDArray[np.int64], NDArray[np.int64]]


def _flatten(cells: Any, plan: Plan) -> Flat | None:
    """Dicts of all cells that will be looked at, with their image and category."""
    if not isinstance(cells, defaultdict) or cells.default_factory is not list:
        return None  # somebody's own, in which a missing cell is an error
    images, categories = set(plan.image_ids), set(plan.category_ids)
    keys = [key for key in cells if key[0] in images and key[1] in categories]
    if not all(type(part) is int for key in keys for part in key):
        return None
    anns = list(itertools.chain.from_iterable(cells[key] for key in keys))
    lengths = [len(cells[key]) for key in keys]
    try:
        pairs = np.array(keys, np.int64).reshape(-1, 2)
    except OverflowError:
        return None
    repeated = np.repeat(pairs, lengths, axis=0)
    return anns, np.ascontiguousarray(repeated[:, 0]), np.ascontiguousarray(repeated[:, 1])


def _field(anns: list[dict[str, Any]], key: str) -> NDArray[np.float64] | None:
    """ann[key] of all as doubles, or None if one is missing or no plain number."""
    if _columns.available():
        found: NDArray[np.float64] | None = kernels("cpp").coco_numbers(anns, key)
        return found
    try:
        values = [ann[key] for ann in anns]
        if any(isinstance(v, str | bytes) or abs(v) > 2**53 for v in values):
            return None
        return np.array([float(v) for v in values])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _dict_side(
    anns: list[dict[str, Any]], image: NDArray[np.int64], category: NDArray[np.int64], *, is_gt: bool
) -> Side | None:
    area, ids = _field(anns, "area"), _field(anns, "id")
    if area is None or ids is None:
        return None
    kept_ids = [ann["id"] for ann in anns]
    if is_gt:
        crowd = _field(anns, "iscrowd")
        if (
            crowd is None
            or not np.all((crowd == 0) | (crowd == 1))
            or not all("ignore" in ann for ann in anns)
        ):
            return None
        ignore = np.array([bool(ann["ignore"]) for ann in anns], np.uint8)
        return Side(
            image,
            category,
            kept_ids,
            (ids != 0).astype(np.uint8),
            area,
            crowd=crowd.astype(np.uint8),
            ignore=ignore,
        )
    scores = [ann.get("score") for ann in anns]
    if not set(map(type, scores)) <= _SCORES:
        return None
    score = _field(anns, "score")
    if score is None or np.any(np.abs(score) >= _LONG):
        return None
    return Side(image, category, kept_ids, (ids > 0).astype(np.uint8), area, score=score, scores=scores)


def _boxes_of(anns: list[dict[str, Any]]) -> NDArray[np.float64] | None:
    """(n, 4), or None if a box is not one that pycocotools' iou takes."""
    if _columns.available():
        found: NDArray[np.float64] | None = kernels("cpp").coco_boxes(anns)
        return found
    boxes: list[Any] = [ann.get("bbox") for ann in anns]
    if not all(type(box) in (list, np.ndarray) and len(box) == 4 for box in boxes):
        return None
    try:
        return np.array(boxes, np.float64).reshape(-1, 4)
    except (TypeError, ValueError):
        return None


def _load_shapes(plan: Plan, gt: Side, dt: Side, gts: list[Any], dts: list[Any]) -> bool:
    if plan.iou_type == "segm":
        return True
    gt.boxes = _boxes_of(gts)
    if plan.iou_type == "bbox":
        dt.boxes = _boxes_of(dts)
        return gt.boxes is not None and dt.boxes is not None
    return gt.boxes is not None


def _compare_dicts(evaluation: Evaluation, params: Any, gts: list[Any], dts: list[Any]) -> bool:
    if evaluation.plan.iou_type == "segm":
        return _compare_masks(evaluation, gts, dts)
    if evaluation.plan.iou_type == "keypoints":
        return _compare_keypoints(evaluation, params, gts, dts)
    return True


def _compare_masks(evaluation: Evaluation, gts: list[Any], dts: list[Any]) -> bool:
    sides = []
    for anns in (gts, dts):
        masks = _rles_of(anns)
        if masks is None:
            return False
        try:
            kernels().rle_check(*masks)
        except ValueError:
            return False  # walked as pycocotools walks it
        sides.append(masks)
    evaluation.ious, evaluation.iou_cells = kernels().matching_mask_iou(
        *evaluation.cells, *sides[0], *sides[1], evaluation.gt.crowd
    )
    return True


def _rles_of(anns: list[Any]) -> Any:
    if _columns.available():
        return kernels("cpp").coco_segmentations(anns)
    try:
        rles = _mask._frString([ann["segmentation"] for ann in anns])
    except (KeyError, TypeError, OverflowError, IndexError):
        return None
    return rles._arrays()


def _compare_keypoints(evaluation: Evaluation, params: Any, gts: list[Any], dts: list[Any]) -> bool:
    variances = _variances_of(params)
    if variances is None:
        return False
    points = [_points_of(anns, variances.size) for anns in (gts, dts)]
    if points[0] is None or points[1] is None:
        return False
    return _compare_points(evaluation, variances, points[0].__getitem__, points[1].__getitem__)


def _points_of(anns: list[Any], k: int) -> NDArray[np.float64] | None:
    """(n, k, 3), or None if somebody's are not k points of plain numbers."""
    found = kernels("cpp").coco_keypoints(anns) if _columns.available() else None
    if found is not None:
        array = found[0]
    else:
        try:
            array = np.array([ann["keypoints"] for ann in anns])
        except (KeyError, TypeError, ValueError):
            return None
    if anns and (array.shape != (len(anns), 3 * k) or array.dtype.kind not in "iuf"):
        return None
    return np.ascontiguousarray(array.reshape(len(anns), k, 3), np.float64)


def _variances_of(params: Any) -> NDArray[np.float64] | None:
    sigmas = getattr(params, "kpt_oks_sigmas", None)
    if not isinstance(sigmas, np.ndarray) or sigmas.ndim != 1 or sigmas.size == 0:
        return None
    variances = np.ascontiguousarray((sigmas * 2) ** 2, np.float64)
    return variances if np.all(variances > 1e-100) else None  # of others NumPy may have to warn


Points = Callable[[NDArray[np.int64]], NDArray[np.float64]]  # of rows (len(rows), k, 3)


def _compare_points(
    evaluation: Evaluation, variances: NDArray[np.float64], gt_points: Points, dt_points: Points
) -> bool:
    """Similarities of keypoints, some cells at a time: the exponents of all would be far larger than all else."""
    gt = evaluation.gt
    assert gt.boxes is not None
    if not np.all((gt.area >= 0) & (gt.area < 1e100)):
        return False  # NumPy may have to warn
    gt_cells, gt_order, dt_cells, dt_order = evaluation.cells
    iou_cells = np.concatenate([[0], np.cumsum(np.diff(gt_cells) * np.diff(dt_cells))])
    ious = np.empty(iou_cells[-1])
    ends = np.searchsorted(iou_cells, np.arange(0, ious.size, max(1, _BLOCK // variances.size)), "right")
    ends = np.unique([*(ends - 1), len(iou_cells) - 1])
    for first, last in itertools.pairwise([0, *ends[ends > 0].tolist()]):
        cells, points = [], []
        for starts, order, read in ((gt_cells, gt_order, gt_points), (dt_cells, dt_order, dt_points)):
            rows = order[starts[first] : starts[last]]
            cells += [starts[first : last + 1] - starts[first], np.arange(rows.size)]
            points.append(read(rows))
            # Beyond, squares of integers are not those of doubles; and of what is not finite NumPy has to warn.
            if not np.all(np.abs(points[-1]) <= _columns.MOST_POINT):
                return False
        rows = gt_order[gt_cells[first] : gt_cells[last]]
        arguments = (*cells, points[0], gt.boxes[rows], gt.area[rows], points[1], variances)
        exponents, own_cells = kernels().matching_oks_exponents(*arguments)
        # numpy's own exp, so that its bits are pycocotools' on this machine.
        np.exp(np.negative(exponents, out=exponents), out=exponents)
        block = slice(iou_cells[first], iou_cells[last])
        ious[block] = kernels().matching_oks_means(*arguments, own_cells, exponents)
    evaluation.ious, evaluation.iou_cells = ious, iou_cells
    return True


# Accumulating


def is_evaluated(ev: Any) -> bool:
    """bool(ev.evalImgs), without making it."""
    found = raw_attributes_of(ev).get("evalImgs")
    return found.state.count > 0 if type(found) is Pending else bool(ev.evalImgs)


def accumulate(ev: Any, p: Any) -> tuple[NDArray[np.float64], ...] | None:
    """precision, recall, scores of an evaluation on columns; None if evalImgs or parameters are not those it made."""
    found = raw_attributes_of(ev).get("evalImgs")
    evaluated = ev._paramsEval
    if type(found) is not Pending or not hasattr(evaluated, "imgIds"):
        return None
    evaluation: Evaluation = found.state
    plan = evaluation.plan
    recalls = numbers_of(p.recThrs)
    if plan.count == 0 or recalls is None:
        return None
    if (p.useCats == 1) != plan.use_categories or bool(p.useCats) != bool(evaluated.useCats):
        return None
    for params in (p, evaluated):
        catIds = params.catIds if plan.use_categories else plan.cell_categories
        if not (
            _equal(params.imgIds, plan.image_ids)
            and _equal(catIds, plan.cell_categories)
            and _equal(params.areaRng, plan.areas)
        ):
            return None
    if not np.array_equal(p.iouThrs, plan.thresholds) or not _equal(evaluated.maxDets, plan.limits):
        return None
    if not all(isinstance(m, int | np.integer) and m in plan.limits for m in p.maxDets):
        return None
    return evaluation.accumulate(recalls, [int(m) for m in p.maxDets])


def _equal(a: Any, b: Any) -> bool:
    if a is b:
        return True
    try:
        return bool(a == b)
    except ValueError:  # arrays within
        return False
