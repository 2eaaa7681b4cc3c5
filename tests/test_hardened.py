"""The drop-in for untrusted data: equal on good input, clear on bad, and each correction does what it says."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import warnings

import numpy as np
import pytest

from conftest import random_masks
from maskmill import FormatError, Masks
from maskmill.pycocotools import coco as strict_coco
from maskmill.pycocotools import cocoeval as strict_eval
from maskmill.pycocotools import mask as strict
from maskmill.pycocotools.hardened import COCO, CORRECTIONS, COCOeval, RepairWarning, mask


def quietly(function, *args, **kwargs):
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*args, **kwargs)


@pytest.fixture
def rles(rng) -> list[dict]:
    return strict.encode(np.asfortranarray(random_masks(rng, 4, 9, 11).transpose(1, 2, 0)))


# Masks


def test_masks_are_as_strict(rles, rng):
    images = random_masks(rng, 3, 9, 11).transpose(1, 2, 0)
    assert mask.encode(np.asfortranarray(images)) == strict.encode(np.asfortranarray(images))
    for function in ("decode", "area", "toBbox"):
        for objs in (rles, rles[0]):
            expected, found = getattr(strict, function)(objs), getattr(mask, function)(objs)
            assert np.array_equal(found, expected)
            assert type(found) is type(expected)
    assert mask.merge(rles) == strict.merge(rles)
    assert mask.merge(rles, True) == strict.merge(rles, True)
    assert np.array_equal(mask.iou(rles, rles, [0, 1, 0, 1]), strict.iou(rles, rles, [0, 1, 0, 1]))
    boxes = [[0, 0, 5, 5.5], [2, 2, 4, 4]]
    assert np.array_equal(mask.iou(boxes, boxes, [0, 0]), strict.iou(boxes, boxes, [0, 0]))
    polygons = [[1, 1, 8, 1, 8, 7.5], [0, 0, 3, 0, 3, 3, 0, 3]]
    assert mask.frPyObjects(polygons, 9, 11) == strict.frPyObjects(polygons, 9, 11)
    counts = {"size": [3, 3], "counts": [2, 4, 3]}
    assert mask.frPyObjects(counts, 3, 3) == strict.frPyObjects(counts, 3, 3)
    assert mask.frPyObjects(np.array(boxes), 9, 9) == strict.frPyObjects(np.array(boxes), 9, 9)


BAD = {
    "cut short": {"size": [4, 4], "counts": b"P"},
    "outside of the alphabet": {"size": [4, 4], "counts": b"1\n"},
    "sum": {"size": [4, 4], "counts": b"35"},
    "no size": {"counts": b"0"},
    "float size": {"size": [4.5, 4], "counts": b"0"},
    "negative": {"size": [-4, -4], "counts": b"`0"},
    "not a dict": 5,
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("function", ["decode", "area", "toBbox", "merge", "iou"])
def test_malformed_rles(bad, function):
    good = {"size": [4, 4], "counts": b"`0"}
    arguments = ([good], [0]) if function == "iou" else ()
    with pytest.raises(ValueError, match="mask 2: "):
        getattr(mask, function)([good, good, bad], *arguments)


def test_zero_runs_keep_their_pixels():
    rle = strict.frPyObjects({"size": [2, 2], "counts": [1, 0, 2, 1]}, 2, 2)
    assert strict.area(strict.merge([rle, rle])) == 0  # pycocotools loses them
    assert mask.area(mask.merge([rle, rle])) == 1


def test_refusals(rles):
    other = [{"size": [2, 2], "counts": b"4"}]
    with pytest.raises(ValueError, match="mask 4 has size"):
        mask.merge(rles + other)
    with pytest.raises(ValueError, match="mask 4 has size"):
        mask.iou(rles, other, [0])
    with pytest.raises(ValueError, match="mask 4 has size"):
        mask.decode(rles + other)
    with pytest.raises(ValueError, match="both be boxes or both be RLEs"):
        mask.iou(rles, [[0, 0, 1, 1]], [0])
    with pytest.raises(ValueError, match="dt: box 1 must be finite"):
        mask.iou([[0, 0, 1, 1], [0, float("nan"), 1, 1]], [[0, 0, 1, 1]], [0])
    with pytest.raises(ValueError, match=r"must have shape \(n, 4\)"):
        mask.iou([[0, 0, 1]], [[0, 0, 1, 1]], [0])
    with pytest.raises(ValueError, match="mask 1 has more than two values"):
        mask.encode(np.stack([np.eye(3), np.arange(9).reshape(3, 3)], 2).astype(int))
    for wrong in (np.zeros(3, bool), np.zeros((2, 2))):
        with pytest.raises(ValueError, match="bimask must"):
            mask.encode(wrong)
    with pytest.raises(ValueError, match="polygon 1: ring 0, vertex 1: must be a number"):
        mask.frPyObjects([[0, 0, 3, 0, 3, 3], [0, 0, 3, float("nan"), 3, 3]], 5, 5)
    with pytest.raises(ValueError, match="must be pairs"):
        mask.frPyObjects([[0, 0, 3, 0, 3, 3, 1]], 5, 5)


def test_conveniences():
    c_order = np.ascontiguousarray(np.eye(5, dtype=np.int64) * 255)
    assert mask.encode(c_order) == strict.encode(np.asfortranarray(c_order != 0))
    flat = [1, 1, 8, 1, 8, 7.5]
    assert mask.frPyObjects(flat, 9, 11) == strict.frPyObjects([flat], 9, 11)[0]
    with pytest.warns(RepairWarning, match="less than three points"):
        empty, full = mask.frPyObjects([[1, 1, 2, 2], flat], 9, 11)
    assert mask.area([empty, full]).tolist() == [0, strict.area(strict.frPyObjects([flat], 9, 11))[0]]
    fortran = np.asfortranarray([[0, 0, 4, 4], [1, 1, 2, 2.0]])
    assert mask.iou(fortran, fortran, [0, 0])[0, 1] == 0.25


# Being pycocotools


def test_install(tmp_path, monkeypatch):
    import subprocess
    import sys

    from maskmill.pycocotools import install, installed

    with pytest.raises(ValueError, match="mode must be one of 'strict', 'hardened', not 'soft'"):
        install("soft")
    with install("hardened"):
        import pycocotools.coco
        from pycocotools import mask as installed_mask

        assert installed_mask is mask
        assert pycocotools.coco.COCO is COCO
        with install("strict"):
            from pycocotools import mask as inner

            assert inner is strict
        from pycocotools import mask as outer

        assert outer is mask
    assert not installed()
    script = tmp_path / "script.py"
    script.write_text("import pycocotools.coco as c; print(c.COCO.__module__)")
    command = [sys.executable, "-m", "maskmill.pycocotools"]
    for arguments, mode, module in (
        ([], None, "maskmill.pycocotools.coco"),
        (["--hardened"], None, "maskmill.pycocotools.hardened.coco"),
        ([], "hardened", "maskmill.pycocotools.hardened.coco"),
    ):
        monkeypatch.delenv("MASKMILL_PYCOCOTOOLS", raising=False)
        if mode:
            monkeypatch.setenv("MASKMILL_PYCOCOTOOLS", mode)
        done = subprocess.run([*command, *arguments, str(script)], capture_output=True, text=True)
        assert done.stdout.strip() == module, done.stderr


# Data sets


def dataset() -> tuple[dict, list[dict]]:
    images = [{"id": i, "height": 20, "width": 30} for i in (1, 2)]
    annotations = [
        {
            "id": n + 1,
            "image_id": n % 2 + 1,
            "category_id": n % 3 + 1,
            "bbox": [n, n, 10, 8],
            "area": 80,
            "iscrowd": 0,
            "segmentation": [[n, n, n + 10, n, n + 10, n + 8, n, n + 8]],
        }
        for n in range(9)
    ]
    gt = {
        "images": images,
        "categories": [{"id": k, "name": f"c{k}"} for k in (1, 2, 3)],
        "annotations": annotations,
    }
    dt = [
        {
            "image_id": ann["image_id"],
            "category_id": ann["category_id"],
            "bbox": [ann["bbox"][0] + 1, *ann["bbox"][1:]],
            "score": 0.9 - 0.05 * ann["id"],
        }
        for ann in annotations
    ]
    return gt, dt


@pytest.fixture
def write(tmp_path):
    def write(gt, dt):
        for name, content in (("gt", gt), ("dt", dt)):
            (tmp_path / f"{name}.json").write_text(
                content if isinstance(content, str) else json.dumps(content)
            )
        return str(tmp_path / "gt.json"), str(tmp_path / "dt.json")

    return write


def evaluate(paths, coco=COCO, ev=COCOeval, iou="bbox", change=lambda ev: None, **kwargs):
    def steps():
        gt = coco(paths[0])
        e = ev(gt, gt.loadRes(paths[1]), iou, **kwargs)
        change(e)
        e.evaluate()
        e.accumulate()
        e.summarize()
        return e

    return quietly(steps)


@pytest.mark.parametrize("iou", ["bbox", "segm"])
def test_evaluation_is_as_strict(write, iou):
    paths = write(*dataset())
    expected = evaluate(paths, strict_coco.COCO, strict_eval.COCOeval, iou)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for corrections in ((), CORRECTIONS if iou == "bbox" else ("ids", "ignore", "copies")):
            found = evaluate(paths, iou=iou, corrections=corrections)
            for key in ("precision", "recall", "scores"):
                assert np.array_equal(found.eval[key], expected.eval[key])
            assert np.array_equal(found.stats, expected.stats)
            assert found.eval["corrections"] == sorted(corrections)


def spoil(row, results=False, **changes):
    def change(gt, dt):
        ann = (dt if results else gt["annotations"])[row]
        for key, value in changes.items():
            if value is None:
                del ann[key]
            else:
                ann[key] = value

    return change


RLE = {"size": [20, 30], "counts": "`b0"}

WRONG = [
    (
        spoil(3, bbox=[1, 2, 3]),
        r"gt\.json: annotation 3 \(id 4, image 2\): 'bbox' must be four finite numbers",
    ),
    (spoil(3, bbox=[1, 2, 3, float("nan")]), "annotation 3.*'bbox'"),
    (spoil(3, area="5"), "annotation 3.*'area' must be a finite number, not '5'"),
    (spoil(3, area=True), "annotation 3.*'area'"),
    (spoil(3, iscrowd=2), "annotation 3.*'iscrowd' must be 0 or 1"),
    (spoil(3, image_id=77), "annotation 3.*there is no image 77"),
    (spoil(3, id=2), "annotation 3.*annotation 1 has the same id"),
    (spoil(3, id=None), "annotation 3.*has no 'id'"),
    (spoil(3, segmentation="x"), "annotation 3.*'segmentation' must be polygons or an RLE"),
    (spoil(3, segmentation=[[1, 2, 3, 4, 5, float("inf")]]), "annotation 3.*ring 0, vertex 2"),
    (spoil(3, segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "annotation 3.*ring 0 must be pairs"),
    (spoil(3, segmentation={"size": [20, 30], "counts": "4"}), "annotation 3.*runs sum to 4, image has 600"),
    (spoil(3, segmentation={"size": [20, 31], "counts": "`b0"}), "annotation 3.*has size"),
    (spoil(3, segmentation={"size": [20, 30], "counts": [1.5, 598.5]}), "annotation 3.*'segmentation'"),
    (spoil(3, keypoints=[1, 2]), "annotation 3.*'keypoints' must be triples"),
    (spoil(3, True, score=None), r"dt\.json: result 3 \(image 2\): has no 'score'"),
    (spoil(3, True, score="0.5"), "result 3.*'score'"),
    (spoil(3, True, score=True), "result 3.*'score'"),
    (spoil(3, True, score=float("nan")), "result 3.*'score'"),
    (spoil(3, True, bbox=None), "result 3 has"),
    (spoil(3, True, image_id=9), "result 3.*there is no image 9"),
    (lambda gt, dt: dt.clear(), r"dt\.json: must be a list of results that is not empty"),
    (lambda gt, dt: gt["images"].append({"id": 1}), "image 2: there is another image with id 1"),
    (lambda gt, dt: gt["annotations"].insert(2, 5), "annotation 2 must be an object, not 5"),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[words for _, words in WRONG])
def test_malformed_data_sets(write, change, words):
    gt, dt = dataset()
    change(gt, dt)
    with pytest.raises(ValueError, match=words):
        evaluate(write(gt, dt))


@pytest.mark.parametrize("text", ["", "{", "[1, 2", "nul", "[" * 100_000, "5", '"a"'])
def test_malformed_files(write, text):
    gt, dt = dataset()
    with pytest.raises(FormatError, match=r"gt\.json"):
        quietly(COCO, write(text, dt)[0])
    with pytest.raises(ValueError, match=r"dt\.json"):
        evaluate(write(gt, text))


def test_nothing_is_half_changed():
    gt, _ = dataset()
    del gt["annotations"][0]["iscrowd"]  # can be repaired
    gt["annotations"][8]["area"] = "?"  # cannot
    before = copy.deepcopy(gt)
    coco = COCO()
    coco.dataset = gt
    with pytest.raises(ValueError, match="annotation 8"):
        quietly(coco.createIndex)
    assert gt == before


def test_repairs(write):
    gt, dt = dataset()
    anns = gt["annotations"]
    del anns[0]["iscrowd"], anns[1]["iscrowd"], anns[2]["area"], anns[3]["area"], anns[3]["segmentation"]
    anns[4]["segmentation"] = []
    anns[5]["segmentation"].append([1, 1, 2, 2])
    anns[6]["segmentation"] = {
        "size": [20, 30],
        "counts": strict.frPyObjects({"size": [20, 30], "counts": [100, 0, 300, 200]}, 1, 1)[
            "counts"
        ].decode(),
    }
    anns[7]["keypoints"] = [1, 1, 2, 2, 2, 1, 0, 0, 0]
    with pytest.warns(RepairWarning) as told:
        coco = quietly(COCO, write(gt, dt)[0])
    texts = "\n".join(str(w.message) for w in told)
    assert "'iscrowd' was missing and is 0: " in texts
    assert "annotation 0 (id 1, image 1), and 1 more" in texts
    anns = coco.dataset["annotations"]
    assert [anns[i]["iscrowd"] for i in (0, 1)] == [0, 0]
    assert [anns[i]["area"] for i in (2, 3)] == [80.0, 80.0]
    assert strict.area(anns[4]["segmentation"]) == 0
    assert len(anns[5]["segmentation"]) == 1
    assert Masks.from_coco([anns[6]["segmentation"]]).counts.tolist() == [400, 200]
    assert anns[7]["num_keypoints"] == 2


def test_queries(write):
    gt, dt = dataset()
    gt["categories"] = [{"id": 1, "name": "cat"}, {"id": 2, "name": "scatter"}, {"id": 3, "name": "c"}]
    paths = write(gt, dt)
    coco, plain = quietly(COCO, paths[0]), quietly(strict_coco.COCO, paths[0])
    assert plain.getCatIds("scatter") == [1, 2, 3]
    assert plain.loadImgs(np.int64(1)) is None
    assert coco.getCatIds("scatter") == [2]
    assert coco.getCatIds(["cat", "c"]) == plain.getCatIds(["cat", "c"]) == [1, 3]
    assert coco.loadImgs(np.int64(1)) == coco.loadImgs(1) == plain.loadImgs(1)
    assert coco.loadAnns(np.int32(2)) == plain.loadAnns([2])
    assert coco.loadCats([1, 2]) == plain.loadCats([1, 2])
    coco.dataset["annotations"][0]["image_id"] = 1
    gt["annotations"] = gt["annotations"][:2]  # image 1: category 1; image 2: category 2
    coco = quietly(COCO, write(gt, dt)[0])
    assert coco.getImgIds(catIds=[1, 2]) == []
    assert coco.getImgIds(catIds=[1, 2], any=True) == [1, 2]
    assert coco.getImgIds(imgIds=[2], catIds=[1, 2], any=True) == [2]
    coco.anns[1]["area"] = np.uint32(5)
    coco.anns[1]["bbox"] = np.arange(4.0)
    coco.anns[1]["segmentation"] = {"size": [20, 30], "counts": b"`b0"}
    again = json.loads(coco.to_json())["annotations"][0]
    assert (again["area"], again["bbox"]) == (5, [0, 1, 2, 3])
    assert again["segmentation"]["counts"] == "`b0"


# Corrections


def test_unknown_corrections():
    with pytest.raises(ValueError, match="corrections are 'ids'.*not 'everything'"):
        COCOeval(corrections=["everything"])


def test_ids(write):
    gt, dt = dataset()
    expected = evaluate(write(gt, dt)).stats
    gt["annotations"][4]["id"] = 0
    with pytest.warns(RepairWarning, match="id 0"):
        strict_stats = evaluate(write(gt, dt)).stats
    assert strict_stats[0] < expected[0], "pycocotools loses this match"
    with pytest.warns(RepairWarning, match="id 0"):
        corrected = evaluate(write(gt, dt), corrections=["ids"])
    assert np.array_equal(corrected.stats, expected)
    assert list(corrected.renumbered.values()) == [0]
    assert 0 in corrected.cocoGt.anns, "the data set keeps its id"


def test_ignore(write):
    gt, dt = dataset()
    dt = [d for i, d in enumerate(dt) if i != 4]  # one that is not found ...
    gt["annotations"][4]["ignore"] = 1  # ... and need not be
    assert evaluate(write(gt, dt)).stats[8] < 1
    assert evaluate(write(gt, dt), corrections=["ignore"]).stats[8] > evaluate(write(gt, dt)).stats[8]


def test_mask_area(write):
    gt, dt = dataset()
    for d in dt:
        full = strict.frPyObjects([[0.0, 0, 30, 0, 30, 20, 0, 20]], 20, 30)[0]
        d["segmentation"] = {"size": [20, 30], "counts": full["counts"].decode()}
    ev = evaluate(write(gt, dt), iou="segm", corrections=["mask-area"])
    assert {d["area"] for anns in ev._dts.values() for d in anns} == {600}


def test_max_dets(write):
    def change(ev):
        ev.params.maxDets = [1, 50]
        ev.params.iouThrs = ev.params.iouThrs.tolist()

    paths = write(*dataset())
    with pytest.raises((IndexError, ValueError)):
        evaluate(paths, change=change)
    stats = evaluate(paths, change=change, corrections=["max-dets"]).stats
    expected = evaluate(paths).stats
    assert np.array_equal(stats[:6], expected[:6])
    assert len(stats) == 11


def test_keypoints_across_categories(write):
    gt, dt = dataset()
    for ann in gt["annotations"]:
        ann["keypoints"], ann["num_keypoints"] = [5, 5, 2] * 17, 17
    for d in dt:
        d["keypoints"] = [5, 5, 2] * 17
        del d["bbox"]

    def change(ev):
        ev.params.useCats = 0

    assert evaluate(write(gt, dt), iou="keypoints", change=change).stats[0] == 0
    assert evaluate(write(gt, dt), iou="keypoints", change=change, corrections=["keypoints"]).stats[0] > 0.5


def test_by_value(write):
    paths = write(*dataset())
    ev = evaluate(paths, corrections=["by-value"])
    whole = ev.eval["precision"]
    p = copy.deepcopy(ev.params)
    p.catIds, p.areaRng, p.iouThrs, p.imgIds = [3], p.areaRng[1:2], p.iouThrs[4:6], [1, 2]
    quietly(ev.accumulate, p)
    assert np.array_equal(ev.eval["precision"], whole[4:6, :, 2:3, 1:2, :])
    wrong = evaluate(paths)
    p = copy.deepcopy(wrong.params)
    p.catIds = [3]
    quietly(wrong.accumulate, p)
    assert np.array_equal(wrong.eval["precision"][:, :, 0], whole[:, :, 0]), (
        "pycocotools takes the first category"
    )
    p = copy.deepcopy(ev.params)
    p.catIds = [4]
    with pytest.raises(ValueError, match="catIds must be among those that were evaluated, not 4"):
        quietly(ev.accumulate, p)


def test_copies(write):
    paths = write(*dataset())
    gt = quietly(COCO, paths[0])
    dt = quietly(gt.loadRes, paths[1])
    before = copy.deepcopy((gt.dataset, dt.dataset))
    ev = COCOeval(gt, dt, "segm", corrections=["copies"])
    quietly(ev.evaluate)
    assert (gt.dataset, dt.dataset) == before
    ev = COCOeval(gt, dt, "segm")
    quietly(ev.evaluate)
    assert (gt.dataset, dt.dataset) != before, "as pycocotools does it"
