"""Evaluations and masks of real files: the same as pycocotools, and as what others have published for them."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.harness import OWN, Api, agree, going

COLUMNS, DICTS = "columns", "dicts"


@pytest.fixture
def coco_data(data: Path) -> Path:
    folder = data / "coco"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    return folder


def digest(*parts: bytes) -> str:
    made = hashlib.sha256()
    for part in parts:
        made.update(part)
    return made.hexdigest()[:16]


def hash_of(array: np.ndarray) -> str:
    return digest(np.ascontiguousarray(array, np.float64).tobytes())


def evaluate(api: Api, gt: Path, dt: Path, kind: str, path: str = COLUMNS, **params: Any):
    """All three steps, quietly."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = api.COCO(str(gt))
        res = coco.loadRes(str(dt))
        if path == DICTS:
            assert coco.anns is not None
            assert res.anns is not None
        ev = api.COCOeval(coco, res, kind)
        for name, value in params.items():
            setattr(ev.params, name, value)
        ev.evaluate()
        ev.accumulate()
        if len(ev.params.maxDets) > 2 or kind == "keypoints":
            ev.summarize()
    return ev


# 100 images of COCO val2014

FILES = {
    "bbox": "instances_val2014_fakebbox100_results.json",
    "segm": "instances_val2014_fakesegm100_results.json",
}
HASHES = {
    "bbox": (
        {},
        "235d5bd5ddf90a48 2fba8152b92aedd0 be31c2248a805ec0",
        [0.5045806987249628, 0.6969727247299577, 0.5729816669904824],
    ),
    "segm": (
        {},
        "ef84d919267fb3a1 10d906dceab796a7 7a6f692742ff6d26",
        [0.3195452758576433, 0.5622883972521636, 0.29892653412086784],
    ),
    "bbox without categories": (
        {"useCats": 0},
        "904d094800ae33be bd78766294878a8d 27ff7693d9db7cf6",
        [0.5952384471295459, 0.8801081126055128, 0.6678978279400766],
    ),
}


def val2014(api: Api, folder: Path, kind: str, path: str = COLUMNS, **params: Any):
    files = folder / "val2014_100"
    return evaluate(api, files / "instances_val2014_100.json", files / FILES[kind], kind, path, **params)


@pytest.mark.parametrize("path", [COLUMNS, DICTS])
@pytest.mark.parametrize("name", HASHES)
def test_100_images(name, path, way, coco_data):
    params, hashes, first = HASHES[name]
    ev = val2014(OWN, coco_data, name.split()[0], path, **params)
    assert [hash_of(ev.eval[key]) for key in ("precision", "recall", "scores")] == hashes.split()
    # Their mean is NumPy's, whose last bit is not the same in all versions; what is averaged has been compared above.
    assert ev.stats[:3].tolist() == pytest.approx(first, rel=1e-14)
    if not params:
        expected = json.loads((coco_data / "val2014_100" / "expected_stats.json").read_text())
        assert ev.stats.tolist() == pytest.approx(list(expected[name].values()), rel=1e-14)


@pytest.mark.parametrize("name", HASHES)
def test_100_images_as_pycocotools_does(name, coco_data):
    def numbers(api: Api):
        ev = val2014(api, coco_data, name.split()[0], **HASHES[name][0])
        return ev.eval, ev.stats, ev.ious, ev.params

    agree(numbers)


@pytest.mark.parametrize("kind", FILES)
def test_12_images_in_every_detail(kind, coco_data):
    def everything(api: Api):
        files = coco_data / "val2014_100"
        coco = api.COCO(str(files / "instances_val2014_100.json"))
        ev = api.COCOeval(coco, coco.loadRes(str(files / FILES[kind])), kind)
        ev.params.imgIds = ev.params.imgIds[40:52]
        ev.evaluate()
        ev.accumulate()
        ev.summarize()
        return ev

    agree(everything)


RANGES = {
    "nano": [0, 8**2],
    "micro": [8**2, 16**2],
    "small": [16**2, 32**2],
    "medium": [32**2, 96**2],
    "large": [96**2, 1e5**2],
}
PUBLISHED = {
    "bbox": (
        [0.5113353643056614, 0.6140617632744609, 0.5922324594181126],
        [0.5275641025641026, 0.6357804552804553],
    ),
    "segm": (
        [0.32192815435389693, 0.42356630493674324, 0.4177722071480622],
        [0.37756410256410255, 0.4858371448371448],
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_other_ranges_of_area(kind, way, coco_data):
    """Numbers that faster-coco-eval gives for them, equal but for the last bits."""
    ranges = {"areaRng": [[0, 1e10], *RANGES.values()], "areaRngLbl": ["all", *RANGES]}
    ev = val2014(OWN, coco_data, kind, **ranges)
    precision, recall = ev.eval["precision"][:, :, :, 1:, 2], ev.eval["recall"][:, :, 1:, 2]
    ap = [precision[..., a][precision[..., a] > -1].mean() for a in range(3)]
    ar = [recall[..., a][recall[..., a] > -1].mean() for a in range(2)]
    assert np.allclose(ap, PUBLISHED[kind][0], rtol=0, atol=1e-10)
    assert np.allclose(ar, PUBLISHED[kind][1], rtol=0, atol=1e-10)


def all_ious(api: Api, folder: Path, kind: str):
    files = folder / "val2014_100"
    with contextlib.redirect_stdout(io.StringIO()):
        coco = api.COCO(str(files / "instances_val2014_100.json"))
        res = coco.loadRes(str(files / FILES[kind]))
    key, made = "bbox" if kind == "bbox" else "segmentation", []
    for number in sorted(coco.getImgIds()):
        gt, dt = coco.imgToAnns[number], res.imgToAnns[number]
        if kind == "segm":
            sides = [coco.annToRLE(a) for a in dt], [coco.annToRLE(a) for a in gt]
        else:
            sides = [a[key] for a in dt], [a[key] for a in gt]
        ious = api.mask.iou(*sides, [a["iscrowd"] for a in gt])
        if len(ious):
            made.append(np.ascontiguousarray(ious))
    return made


@pytest.mark.parametrize(
    ("kind", "total", "expected"),
    [("segm", 574.4256897171018, "9c7ad8ff66a808f1"), ("bbox", 880.1806802451175, "a0d27f0eca798b98")],
)
def test_all_ious(kind, total, expected, way, coco_data):
    made = all_ious(OWN, coco_data, kind)
    assert digest(*(m.tobytes() for m in made)) == expected
    assert sum(m.size for m in made) == 12395
    assert np.isclose(sum(m.sum() for m in made), total, rtol=1e-12)


def test_unions_and_intersections(way, coco_data):
    files = coco_data / "val2014_100"
    with contextlib.redirect_stdout(io.StringIO()):
        coco = OWN.COCO(str(files / "instances_val2014_100.json"))
        res = coco.loadRes(str(files / FILES["segm"]))
    unions, common = [], []
    for number in sorted(coco.getImgIds()):
        gt = [coco.annToRLE(a) for a in coco.imgToAnns[number]]
        dt = [coco.annToRLE(a) for a in res.imgToAnns[number]]
        if gt:
            unions.append(OWN.mask.merge(gt)["counts"] + b"\n")
        if gt and dt:
            common.append(OWN.mask.merge([gt[0], dt[0]], True)["counts"] + b"\n")
    assert digest(*unions) == "93a060b100d9aa84"
    assert digest(*common) == "2c6325b81993aac3"


# Polygons of whole files


POLYGONS = {
    "coco/val2014_100/instances_val2014_100.json": (830, 8_892_095, "e1bccc23f6cc4c83"),
    "lvis/lvis_val_100.json": (977, 4_937_393, "89f0ecdfc7cc3792"),
    "coco/dense_3img/eval_all_coco.json": (3_253, 1_685_736, "b96a04fa7c36eaee"),
    "taco/annotations.json": (4_784, 719_568_164, "86578dc32e87b2fa"),
    "taco/annotations_unofficial.json": (8_319, 1_641_533_889, "dd7023389f82a8ab"),
}


@pytest.mark.parametrize("name", POLYGONS)
def test_polygons_of_files(name, data):
    if not (data / name).exists():
        pytest.skip(f"there is no {name}")
    content = json.loads((data / name).read_text())
    sizes = {img["id"]: (img["height"], img["width"]) for img in content["images"]}
    masks = [
        OWN.mask.merge(OWN.mask.frPyObjects(ann["segmentation"], *sizes[ann["image_id"]]))
        for ann in content["annotations"]
        if isinstance(ann["segmentation"], list) and ann["segmentation"]
    ]
    n, area, expected = POLYGONS[name]
    assert len(masks) == n
    assert int(OWN.mask.area(masks).sum()) == area
    assert digest(*(m["counts"] + b"\n" for m in masks)) == expected


def test_counts_of_a_file(way, coco_data):
    name = coco_data / "uncompressed_rle_602" / "instances_val2014_fakeseg_uncompressed_602.json"
    results = json.loads(name.read_text())
    masks = [OWN.mask.frPyObjects(r["segmentation"], *r["segmentation"]["size"]) for r in results]
    assert len(masks) == 602
    assert int(OWN.mask.area(masks).sum()) == 5_425_963
    assert digest(*(m["counts"] + b"\n" for m in masks)) == "364d8642b29b3a31"


def numbers(state: int = 12345):
    """A stream that anybody can make again."""
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 33


def test_random_polygons_and_boxes():
    stream = numbers()
    made: list[bytes] = []
    for _ in range(20_000):
        k, h, w = 3 + next(stream) % 12, 1 + next(stream) % 64, 1 + next(stream) % 64
        ring = [(next(stream) % 9000 - 1500) / 100 for _ in range(2 * k)]
        made.append(OWN.mask.frPyObjects([ring], h, w)[0]["counts"] + b"\n")
    assert digest(*made) == "87e692e87f60d54b"
    made.clear()
    for _ in range(20_000):
        h, w = 1 + next(stream) % 64, 1 + next(stream) % 64
        box = [(next(stream) % 9000 - 1500) / 100 for _ in range(4)]
        made.append(OWN.mask.frPyObjects(np.array([box]), h, w)[0]["counts"] + b"\n")
    assert digest(*made) == "797ac3e8dd835895"


# Poses


KEYPOINTS = [
    0.5048844884488449,
    0.7227722772277227,
    0.6336633663366337,
    0.46633663366336636,
    0.7504950495049505,
    0.5181818181818182,
    0.7272727272727273,
    0.6363636363636364,
    0.4666666666666666,
    0.75,
]


@pytest.mark.parametrize("path", [COLUMNS, DICTS])
def test_poses(path, way, coco_data):
    files = coco_data / "keypoints"
    ev = evaluate(OWN, files / "gt_dataset.json", files / "dt_dataset.json", "keypoints", path)
    assert ev.stats.tolist() == KEYPOINTS


def test_poses_as_pycocotools_does(coco_data):
    files = coco_data / "keypoints"
    agree(lambda api: evaluate(api, files / "gt_dataset.json", files / "dt_dataset.json", "keypoints"))


CROWD_POSE_SIGMAS = (
    np.array([0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89, 0.79, 0.79]) / 10
)


def crowd_pose(api: Api, folder: Path):
    """CrowdPose's protocol with the usual class: 14 points, areas from boxes."""
    gt = json.loads((folder / "keypoints" / "example_crowdpose_val.json").read_text())
    results = json.loads((folder / "keypoints" / "example_crowdpose_preds.json").read_text())
    for ann in gt["annotations"]:
        ann["area"] = 0.53 * ann["bbox"][2] * ann["bbox"][3]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = api.COCO()
        coco.dataset = gt
        coco.createIndex()
        ev = api.COCOeval(coco, coco.loadRes(results), "keypoints")
        ev.params.kpt_oks_sigmas = CROWD_POSE_SIGMAS
        ev.evaluate()
        ev.accumulate()
        ev.summarize()
    return ev


def test_crowd_pose(way, coco_data):
    stats = crowd_pose(OWN, coco_data).stats
    expected = [
        0.7877215935879303,
        0.9881188118811886,
        0.7314356435643564,
        0.8222222222222223,
        1,
        0.7777777777777778,
    ]
    assert np.allclose(stats[[0, 1, 2, 5, 6, 7]], expected, rtol=0, atol=1e-12)


def test_crowd_pose_as_pycocotools_does(coco_data):
    agree(lambda api: crowd_pose(api, coco_data))


# Small cases


@pytest.mark.parametrize("path", [COLUMNS, DICTS])
def test_three_images_with_polygons_as_results(path, way, coco_data):
    """Through loadRes areas are those of boxes, which moves objects between ranges of area."""
    files = coco_data / "small_cases"
    ev = evaluate(OWN, files / "gt_dataset.json", files / "dt_dataset.json", "segm", path)
    expected = json.loads((files / "expected.json").read_text())["dataset_3img_segm"]["stats"]
    assert ev.stats[0] == expected["AP"]
    assert ev.stats[4] == 0.7920792079207921
    assert ev.stats[6:9].tolist() == [expected["AR_1"], expected["AR_10"], expected["AR_100"]]


def test_three_images_with_areas_of_masks(way, coco_data):
    files = coco_data / "small_cases"
    gt = json.loads((files / "gt_dataset.json").read_text())
    sizes = {img["id"]: (img["height"], img["width"]) for img in gt["images"]}
    results = [
        {
            "image_id": r["image_id"],
            "category_id": r["category_id"],
            "score": r["score"],
            "segmentation": OWN.mask.merge(OWN.mask.frPyObjects(r["segmentation"], *sizes[r["image_id"]])),
        }
        for r in json.loads((files / "dt_dataset.json").read_text())
    ]
    expected = json.loads((files / "expected.json").read_text())["dataset_3img_segm"]["stats"]
    assert in_dicts(OWN, gt, results, "segm").stats.tolist() == list(expected.values())


def in_dicts(api: Api, gt: Any, results: Any, kind: str):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = api.COCO()
        coco.dataset = copy.deepcopy(gt)
        coco.createIndex()
        ev = api.COCOeval(coco, coco.loadRes(copy.deepcopy(results)), kind)
        ev.evaluate()
        ev.accumulate()
        ev.summarize()
    return ev


def test_ids_in_strings_meet_ids_in_numbers(coco_data):
    files = coco_data / "small_cases"
    gt, results = (json.loads((files / f"{n}_ignore_test.json").read_text()) for n in ("gt", "dt"))
    with pytest.raises(AssertionError, match="Results do not correspond"):
        in_dicts(OWN, gt, results, "bbox")
    agree(lambda api: in_dicts(api, gt, results, "bbox"))


def test_ignored_ground_truth(way, coco_data):
    files = coco_data / "small_cases"
    gt, results = (json.loads((files / f"{n}_ignore_test.json").read_text()) for n in ("gt", "dt"))
    for item in gt["images"]:
        item["id"] = int(item["id"])
    for item in gt["annotations"] + results:
        item["image_id"] = int(item["image_id"])
    expected = json.loads((files / "expected.json").read_text())["ignore_test"]["all"]
    assert in_dicts(OWN, gt, results, "bbox").stats.tolist() == list(expected.values())
    best = sorted((r for r in results if r["score"] >= 0.1), key=lambda r: -r["score"])
    ious = OWN.mask.iou(
        [r["bbox"] for r in best],
        [a["bbox"] for a in gt["annotations"]],
        [a["iscrowd"] for a in gt["annotations"]],
    )
    saved = np.load(files / "2299_1.npy")
    assert ious.shape == saved.shape
    assert np.allclose(ious, saved)


def test_detectron2s_two_images(way, coco_data):
    content = json.loads((coco_data / "small_cases" / "detectron2_two_images.json").read_text())
    for kind in ("bbox", "segm"):
        agree(lambda api, k: in_dicts(api, content["gt_annotations"], content["detections"], k), kind)
    assert (
        in_dicts(OWN, content["gt_annotations"], content["detections"], "bbox").stats[0] == 0.7504950495049505
    )
    assert (
        in_dicts(OWN, content["gt_annotations"], content["detections"], "segm").stats[0] == 0.7252475247524752
    )


def mean(array: np.ndarray) -> float:
    return float(array[array > -1].mean())


@pytest.mark.parametrize("path", [COLUMNS, DICTS])
def test_cats_and_dogs(path, coco_data):
    files = coco_data / "cat_dog"
    ev = evaluate(
        OWN, files / "gt_cat_dog.json", files / "dt_cat_dog.json", "segm", path, useCats=0, maxDets=[6]
    )
    assert mean(ev.eval["precision"][:, :, 0, 0, 0]) == 0.6084394153701084


@pytest.mark.parametrize("path", [COLUMNS, DICTS])
def test_three_thousand_stones(path, coco_data):
    """Many objects to an image, one of them with id 0."""
    files = coco_data / "dense_3img"
    limits = [100, 1000, 3253]
    ev = evaluate(OWN, files / "eval_all_coco.json", files / "dt_derived.json", "segm", path, maxDets=limits)
    found = [mean(ev.eval["precision"][:, :, :, 0, m]) for m in range(3)]
    assert found == [0.08038559923803305, 0.48796911671482734, 0.5080777312737869]


def test_generic_and_compiled_agree_on_real_masks(coco_data):
    made = all_ious(OWN, coco_data, "segm")
    with going("generic"):
        other = all_ious(OWN, coco_data, "segm")
    assert all(np.array_equal(a, b) for a, b in zip(made, other, strict=True))
