"""loadRes: what results become, by what the first of them looks like."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from conformance.datasets import (
    dataset,
    file_with,
    found,
    from_dicts,
    from_file,
    mask_of,
    only,
    scene,
    truth,
)
from conformance.harness import OWN, Api, Behaviours
from conformance.masks import L, of, rle

behaviour = Behaviours()
add = behaviour.add

GT = dataset(
    [truth(1, [1, 2, 10, 12]), truth(2, [1, 2, 10, 12], 2, 2)],
    (1, 2, 3),
    (1, 2),
    info={"year": 2014},
    licenses=[{"id": 1}],
    extra=5,
)
BOX = found([1, 2, 10, 12], 0.5)
MASK = {"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": of(L, str)}
POSE = {"image_id": 1, "category_id": 1, "score": 0.5, "keypoints": [5, 6, 2, 7.5, 2, 0, 9, 9, 1]}


def given(api: Api, results, gt=GT):
    """From dicts to dicts; the ground truth is looked at too."""
    coco = from_dicts(api, copy.deepcopy(gt))
    return coco.loadRes(results), coco


def read(api: Api, content, gt=GT):
    """From file to file: ours has columns of both, until they are looked at here."""
    coco = from_file(api, gt)
    with file_with(content) as path:
        return coco.loadRes(path), coco


RESULTS = {
    # boxes
    "a box": [BOX],
    "boxes": [BOX, found([5.5, 6.25, 3, 4], 0.75, 2, 2), found([0, 0, 1, 1], 1, 3)],
    "a box with a polygon": [{**BOX, "segmentation": [[1, 1, 5, 1, 5, 5]]}],
    "a box with a mask": [{**BOX, "segmentation": of(L, str)}],
    "a box with a mask, one without": [{**BOX, "segmentation": of(L, str)}, BOX],
    "a box without a mask, one with": [BOX, {**BOX, "segmentation": of(L, str)}],
    "a box with segmentation None": [{**BOX, "segmentation": None}],
    "a box with keypoints": [{**BOX, "keypoints": [1, 2, 2]}],
    "a box with id, area and iscrowd": [{**BOX, "id": 77, "area": 5, "iscrowd": 1}],
    "a box with those in front": [{"area": 5, "id": 77, "iscrowd": 1, **BOX}],
    "a box with other fields": [{**BOX, "extra": [1], "name": "a"}],
    "a box of negative sizes": [found([5, 5, -2, -3], 0.5)],
    "a box of three numbers": [found([5, 5, 2], 0.5)],
    "a box of five numbers": [found([5, 5, 2, 3, 9], 0.5)],
    "a box of strings": [found(["5", "5", "2", "3"], 0.5)],
    "a box of None": [found([5, 5, None, 3], 0.5)],
    "a box of bools": [found([True, False, True, True], 0.5)],
    "a box of long integers": [found([2**60 + 1, 0, 2**40, 2**40], 0.5)],
    "a box of longer integers": [found([2**70, 0, 2**70, 2**70], 0.5)],
    "a box of large numbers": [found([1e308, 0, 1e308, 1e308], 0.5)],
    "a box of NaN": [found([float("nan"), 0, 5, 5], 0.5)],
    "a box in a str": [{**BOX, "bbox": "abcd"}],
    "a box in a dict": [{**BOX, "bbox": {}}],
    "a box that is None": [{**BOX, "bbox": None}],
    "an empty box": [{**BOX, "bbox": []}],
    "an empty box with a mask": [{**MASK, "bbox": []}],
    "an empty box with keypoints": [{**POSE, "bbox": []}],
    "an empty box behind": [BOX, {**BOX, "bbox": []}],
    "a box, then a mask": [BOX, MASK],
    "a box, then nothing": [BOX, {"image_id": 1}],
    "no score": [{k: v for k, v in BOX.items() if k != "score"}],
    "no category": [{k: v for k, v in BOX.items() if k != "category_id"}],
    "no image": [{k: v for k, v in BOX.items() if k != "image_id"}],
    "an integer score": [found([1, 2, 10, 12], 1)],
    "a score in a str": [found([1, 2, 10, 12], "0.5")],
    "a score of NaN": [found([1, 2, 10, 12], float("nan"))],
    "a score that is true": [found([1, 2, 10, 12], True)],
    "a score that is None": [found([1, 2, 10, 12], None)],
    "an unknown category": [found([1, 2, 10, 12], 0.5, 1, 99)],
    "an unknown image": [found([1, 2, 10, 12], 0.5, 99)],
    "an image in a str": [found([1, 2, 10, 12], 0.5, "1")],
    "an image that is a float": [found([1, 2, 10, 12], 0.5, 1.0)],
    "an image that is true": [found([1, 2, 10, 12], 0.5, True)],
    "an image that is None": [found([1, 2, 10, 12], 0.5, None)],
    "an image that is a list": [found([1, 2, 10, 12], 0.5, [1])],
    "keys in another order": [dict(reversed(BOX.items()))],
    "keys in different orders": [BOX, dict(reversed(BOX.items()))],
    # masks
    "a mask": [MASK],
    "masks": [MASK, {**MASK, "segmentation": mask_of([1, 2, 10, 12], 60, 80), "image_id": 2}],
    "a mask with a box of None": [MASK, {**MASK, "bbox": None}],
    "a mask with id, area and iscrowd": [{**MASK, "id": 77, "area": 5, "iscrowd": 1}],
    "a mask, then one with a box": [MASK, {**MASK, "bbox": [9, 9, 9, 9]}],
    "a mask, then a box": [MASK, BOX],
    "a polygon": [{**MASK, "segmentation": [[1, 1, 5, 1, 5, 5]]}],
    "a polygon behind": [MASK, {**MASK, "segmentation": [[1, 1, 5, 1, 5, 5]]}],
    "no segmentation": [{**MASK, "segmentation": None}],
    "an empty segmentation": [{**MASK, "segmentation": []}],
    "an empty dict": [{**MASK, "segmentation": {}}],
    "counts": [{**MASK, "segmentation": {"size": [5, 5], "counts": [20, 5]}}],
    "an empty mask": [{**MASK, "segmentation": {"size": [5, 5], "counts": ""}}],
    "a list of masks": [{**MASK, "segmentation": [of(L, str)]}],
    "a mask of another size": [{**MASK, "segmentation": {"size": [5, 5], "counts": "9:"}}],
    "a mask with an odd size": [{**MASK, "segmentation": {"size": [5.5, "5"], "counts": "9:"}}],
    "a mask with characters in escapes": [{**MASK, "segmentation": {"size": [5, 5], "counts": "\\1é\n1"}}],
    # keypoints
    "keypoints": [POSE],
    "keypoints of integers": [{**POSE, "keypoints": [1, 2, 2, 5, 9, 0]}],
    "keypoints of integers and floats": [{**POSE, "keypoints": [1, 2.5, 2, 5, 9, 0]}, POSE | {"image_id": 2}],
    "keypoints of several lengths": [POSE, {**POSE, "keypoints": [1, 2, 2]}, POSE],
    "keypoints, one without": [POSE, {k: v for k, v in POSE.items() if k != "keypoints"}],
    "keypoints, one without a score": [POSE, {k: v for k, v in POSE.items() if k != "score"}],
    "keypoints of zeros of both signs": [{**POSE, "keypoints": [0.0, -0.0, 2, -0.0, 0.0, 0]}],
    "keypoints of booleans": [{**POSE, "keypoints": [True, 2, 2, 5, 9, 0]}],
    "keypoints of None": [POSE, {**POSE, "keypoints": [1, None, 2, 5, 9, 0]}],
    "keypoints far away": [{**POSE, "keypoints": [2**40, 2, 2, -(2**40), 2**20, 0]}],
    "keypoints of NaN": [{**POSE, "keypoints": [float("nan"), 2, 2, 5, 9, 0]}],
    "keypoints with a box": [{**POSE, "bbox": [1, 2.5, 3, 4]}],
    "keypoints with a mask": [{**POSE, "segmentation": of(L, str)}],
    "keypoints with other fields": [{**POSE, "center": [5, 5], "scale": 1.5}],
    "keypoints in another order": [dict(reversed(POSE.items())), POSE],
    "keypoints, then a box": [POSE, BOX],
    "no keypoints": [{**POSE, "keypoints": []}],
    "keypoints of strings": [{**POSE, "keypoints": ["1", "2", "3"]}],
    "keypoints of a bad length": [{**POSE, "keypoints": [1, 2, 2, 5]}],
    "keypoints None": [{**POSE, "keypoints": None}],
    "keypoints with iscrowd": [{**POSE, "iscrowd": 1, "area": 5, "id": 9, "bbox": []}],
    # captions
    "captions": [{"image_id": 2, "caption": "a"}, {"image_id": 2, "caption": "b", "id": 5}],
    "a caption with a box": [{**BOX, "caption": "a"}],
    "a caption, then none": [{"image_id": 2, "caption": "a"}, {"image_id": 3}],
    "a box, then a caption": [BOX, {"image_id": 2, "caption": "b"}],
    # nothing of that
    "only an image": [{"image_id": 1}],
    "an image, an id and a category": [{"image_id": 1, "id": 5, "category_id": 1}],
    "an image and a category": [{"image_id": 1, "category_id": 1}],
    # no results
    "nothing": [],
    "a dict": {"a": 1},
    "a dict of results": {"annotations": [BOX]},
    "None": None,
    "a number": 5,
    "a list of lists": [[1, 2]],
    "a list of None": [None],
    "a list of strings": ["abc"],
    "a list of empty dicts": [{}],
}
for name, results in RESULTS.items():
    add("4", f"results of {name}", given, results)
    add("4", f"a file of {name}", read, results)

TEXTS = {
    "nothing": b"",
    "no JSON": b"hello",
    "an end too early": b'[{"image_id": 1, "category_id": 1, "bbox": [1,2,3,4], "score": 0.5}',
    "something behind": b'[{"image_id": 1, "category_id": 1, "bbox": [1,2,3,4], "score": 0.5}] x',
    "a comma too many": b'[{"image_id": 1, "category_id": 1, "bbox": [1,2,3,4], "score": 0.5},]',
    "blanks": b' [ { "image_id" : 1 , "category_id" : 1 , "bbox" : [ 1 , 2 , 3 , 4 ] , "score" : 0.5 } ]\n',
    "a key twice": b'[{"image_id": 1, "category_id": 1, "bbox": [1,2,3,4], "score": 0.5, "score": 0.75}]',
    "a key in escapes": b'[{"image_i\\u0064": 1, "category_id": 1, "bbox": [1,2,3,4], "score": 0.5}]',
    "exponents": b'[{"image_id": 1, "category_id": 1, "bbox": [1e1,2E0,3.0,4e-1], "score": 5e-1}]',
    "an image in an exponent": b'[{"image_id": 1e0, "category_id": 1, "bbox": [1,2,3,4], "score": 0.5}]',
    "minus zeros": b'[{"image_id": 1, "category_id": 1, "bbox": [-0,-0.0,3,4], "score": -0.0}]',
    "many digits": b'[{"image_id":1,"category_id":1,"bbox":[0.1000000000000000055511151231257827,2,3,4],"score":'
    b"0.30000000000000004440892098500626}]",
    "tiny and huge numbers": b'[{"image_id":1,"category_id":1,"bbox":[5e-324,1.7976931348623157e308,1,4],'
    b'"score":1e-400}]',
    "a number beyond double": b'[{"image_id":1,"category_id":1,"bbox":[1,2,3,4],"score":1e999}]',
    "a leading zero": b'[{"image_id":1,"category_id":1,"bbox":[01,2,3,4],"score":0.5}]',
    "minus zeros in keypoints": b'[{"image_id":1,"category_id":1,"keypoints":[-0,-0.0,0,0,0.0,1],"score":-0}]',
    "blanks in keypoints": b'[{"image_id":1,"category_id":1,"keypoints": [ 1 , 2.5,\n3 ] ,"score":1}]',
    "exponents in keypoints": b'[{"image_id":1,"category_id":1,"keypoints":[1e1,2E0,3.0,4e-1,5,6],"score":1}]',
    "a keypoint beyond double": b'[{"image_id":1,"category_id":1,"keypoints":[1e999,2,3],"score":1}]',
    "a byte order mark": b'\xef\xbb\xbf[{"image_id":1,"category_id":1,"bbox":[1,2,3,4],"score":0.5}]',
    "bytes that are no UTF-8": b'[{"image_id":1,"category_id":1,"bbox":[1,2,3,4],"score":0.5,"a":"\xff"}]',
}
for name, text in TEXTS.items():
    add("4", f"a results file with {name}", read, text)

# What is given

for what in (
    (BOX,),
    {"a": 1},
    None,
    5,
    b"abc",
    "does/not/exist.json",
    "",
    Path("does/not/exist.json"),
    {1},
    iter([]),
):
    if not hasattr(what, "__next__"):
        add("4", f"loadRes of {what!r}", given, what)
add("4", "loadRes of a generator", lambda api: given(api, (r for r in [BOX])))
add("4", "loadRes of a subclass of list", given, type("MyList", (list,), {})([BOX]))
add("4", "loadRes of a subclass of str", given, type("MyStr", (str,), {})("does/not/exist.json"))
add("4", "loadRes of ordered dicts", given, [OrderedDict(BOX)])
add("4", "loadRes by name", lambda api: from_dicts(api, GT).loadRes(resFile=[BOX]))
NUMPY = {
    "a box in an array": [{**BOX, "bbox": np.array([1.0, 2, 3, 4])}],
    "a box in a tuple": [{**BOX, "bbox": (1, 2, 3, 4)}],
    "an empty box in a tuple": [{**MASK, "bbox": ()}],
    "NumPy scalars": [{**BOX, "image_id": np.int64(1), "bbox": list(np.array([1, 2, 3, 4], np.float32))}],
    "a box of integers of NumPy": [{**BOX, "bbox": list(np.array([1, 2, 100, 100], np.uint8))}],
    "a mask in bytes": [{**MASK, "segmentation": of(L)}],
    "a mask of zero runs": [{**MASK, "segmentation": rle(3, 4, [12, 0])}],
    "keypoints in an array": [{**POSE, "keypoints": np.array(POSE["keypoints"])}],
    "keypoints in an array of integers": [{**POSE, "keypoints": np.array([1, 2, 2, 5, 9, 0])}],
    "keypoints in a tuple": [{**POSE, "keypoints": tuple(POSE["keypoints"])}],
    "the same dict twice": [BOX] * 2,
}
for name, results in NUMPY.items():
    add("4", f"results of {name}", given, results)
same = copy.deepcopy(BOX)
add("4", "one dict as two results", given, [same, same])

# Arrays

ROWS = np.array([[1, 2, 3, 4, 5, 0.5, 1], [2, 1.5, 2, 3, 4, 0.75, 2]])
ARRAYS = {
    "usual": ROWS,
    "of float32": ROWS.astype(np.float32),
    "of integers": ROWS.astype(int),
    "in Fortran order": np.asfortranarray(ROWS),
    "of one row": ROWS[:1],
    "of no rows": ROWS[:0],
    "of six columns": ROWS[:, :6],
    "of eight columns": np.zeros((2, 8)),
    "of one dimension": ROWS[0],
    "of three dimensions": np.zeros((1, 7, 2)),
    "with an unknown image": ROWS * 50,
    "with fractions of ids": ROWS + 0.5,
    "with NaN": ROWS * np.nan,
    "of objects": ROWS.astype(object),
    "of strings": ROWS.astype(str),
}
for name, array in ARRAYS.items():
    add("4", f"results in an array {name}", given, array)
    add(
        "4",
        f"loadNumpyAnnotations of an array {name}",
        lambda api, x: api.COCO().loadNumpyAnnotations(x),
        array,
    )
add("4", "loadNumpyAnnotations of a list", lambda api, x: api.COCO().loadNumpyAnnotations(x), ROWS.tolist())
add("4", "results in a subclass of ndarray", given, ROWS.view(np.ma.MaskedArray))

# The ground truth

for name, gt in {
    "without info": {k: v for k, v in GT.items() if k != "info"},
    "without categories": {k: v for k, v in GT.items() if k != "categories"},
    "without images": {k: v for k, v in GT.items() if k != "images"},
    "without annotations": {k: v for k, v in GT.items() if k != "annotations"},
    "with info in a str": {**GT, "info": "text"},
    "with images in a dict": {**GT, "images": {}},
    "with nothing": {},
    "of images twice": dataset([], (1, 1), (1,)),
    "without annotations in it": dataset([], (1, 2)),
}.items():
    for kind, results in (
        ("boxes", [BOX]),
        ("masks", [MASK]),
        ("captions", [{"image_id": 1, "caption": "a"}]),
    ):
        add("4", f"{kind} for ground truth {name}", given, results, gt)
        if gt:
            add("4", f"a file of {kind} for ground truth {name}", read, results, gt)
add("4", "results of a COCO of nothing", lambda api: api.COCO().loadRes([BOX]))
add("4", "a file for a COCO of nothing", lambda api: api.COCO().loadRes("does/not/exist.json"))


@behaviour("4")
def what_is_shared_with_the_ground_truth(api):
    gt = from_file(api, GT)
    with file_with([BOX]) as path:
        res = gt.loadRes(path)
    return (
        res.dataset["info"] is gt.dataset["info"],
        res.dataset["images"] is gt.dataset["images"],
        [a is b for a, b in zip(res.dataset["images"], gt.dataset["images"], strict=True)],
        res.dataset["categories"][0] is gt.dataset["categories"][0],
        list(res.dataset),
    )


@behaviour("4", [copy.deepcopy(BOX)])
def the_callers_dicts_are_taken(api, results):
    res = from_dicts(api, GT).loadRes(results)
    return res.anns[1] is results[0], res.dataset["annotations"] is results, list(results[0])


@behaviour("4", [copy.deepcopy(BOX)])
def results_loaded_twice(api, results):
    gt = from_dicts(api, GT)
    first = gt.loadRes(results)
    first.anns[1]["area"] = 7
    return gt.loadRes(results), first.anns[1]["area"]


@behaviour("4", [BOX, found([1, 2, "a", None], 0.5)])
def an_error_leaves_earlier_results_changed(api, results):
    return from_dicts(api, GT).loadRes(results)


@behaviour("4")
def edits_before_results_are_seen_in_them(api):
    gt = from_file(api, GT)
    gt.dataset["info"]["year"] = 1
    gt.imgs[1]["height"] = 7
    with file_with([BOX]) as path:
        return gt.loadRes(path)


@behaviour("4")
def edits_of_images_after_results_are_seen_in_them(api):
    gt = from_file(api, GT)
    with file_with([BOX]) as path:
        res = gt.loadRes(path)
    gt.imgs[1]["height"] = 7
    gt.dataset["info"]["year"] = 1
    gt.dataset["categories"][0]["name"] = "other"
    gt.dataset["images"].append({"id": 9})
    return res


@behaviour("4")
def results_of_a_subclass_are_a_plain_COCO(api):
    class Mine(api.COCO):
        pass

    gt = Mine()
    gt.dataset = copy.deepcopy(GT)
    gt.createIndex()
    return type(gt.loadRes([copy.deepcopy(BOX)]))


@behaviour("4")
def a_subclass_with_its_own_getImgIds(api):
    class Mine(api.COCO):
        def getImgIds(self, imgIds=[], catIds=[]):  # noqa: B006
            return [1]

    gt = Mine()
    gt.dataset = copy.deepcopy(GT)
    gt.createIndex()
    return gt.loadRes([found([1, 2, 3, 4], 0.5, 2)])


@behaviour("4")
def a_subclass_with_its_own_getImgIds_from_a_file(api):
    class Mine(api.COCO):
        def getImgIds(self, imgIds=[], catIds=[]):  # noqa: B006
            return [1]

    with file_with(GT) as path, file_with([found([1, 2, 3, 4], 0.5, 2)]) as results:
        return Mine(path).loadRes(results)


@behaviour("4")
def results_from_a_file_are_pickled(api):
    gt = from_file(api, GT)
    with file_with([BOX]) as path:
        res = gt.loadRes(path)
    return pickle.loads(pickle.dumps((gt, res)))


@behaviour("4")
def results_from_a_file_are_copied(api):
    gt = from_file(api, GT)
    with file_with([MASK]) as path:
        return copy.deepcopy(gt.loadRes(path))


@behaviour("4")
def results_outlive_their_file_and_ground_truth(api):
    res = read(api, [BOX])[0]
    return res.getAnnIds(), res.loadAnns(1), res.getImgIds(), res.getCatIds()


@behaviour("4")
def results_have_results(api):
    res = from_dicts(api, GT).loadRes([copy.deepcopy(BOX)])
    return res.loadRes([copy.deepcopy(MASK)])


for seed in range(4):
    gt, results = scene(seed, points=3)
    for name, part in {
        "boxes": only(results, "segmentation", "keypoints"),
        "masks": only(results, "bbox", "keypoints"),
        "poses": only(results, "bbox", "segmentation"),
        "boxes and masks": only(results, "keypoints"),
    }.items():
        add("4", f"scene {seed}, {name}", given, part, gt)
        add("4", f"scene {seed}, a file of {name}", read, part, gt)


@behaviour.each
def test_load_res(behaviour, way):
    behaviour.check()


def test_known_values():
    box, mask = given(OWN, [copy.deepcopy(BOX)])[0].anns[1], given(OWN, [copy.deepcopy(MASK)])[0].anns[1]
    assert list(box) == ["image_id", "category_id", "bbox", "score", "segmentation", "area", "id", "iscrowd"]
    assert box["area"] == 120
    assert box["segmentation"] == [[1, 2, 1, 14, 11, 14, 11, 2]]
    assert type(mask["area"]) is np.uint32
    assert mask["bbox"].tolist() == [1, 1, 3, 3]
    both = given(OWN, [{**BOX, "segmentation": of(L)}])[0].anns[1]
    assert both["area"] == 120, "that of the box, though there is a mask"
    pose = given(OWN, [copy.deepcopy(POSE)])[0].anns[1]
    assert pose["bbox"] == [5, 2, 4, 7]
    assert "iscrowd" not in pose
    with pytest.raises(AssertionError, match="^Results do not correspond to current coco set$"):
        given(OWN, [found([1, 2, 3, 4], 0.5, 99)])
