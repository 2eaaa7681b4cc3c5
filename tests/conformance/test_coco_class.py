"""The class COCO, but for loadRes."""

from __future__ import annotations

import copy
import os
import pickle
import tempfile
from pathlib import Path

import numpy as np

from conformance.datasets import category, dataset, file_with, from_dicts, from_file, image, scene, truth
from conformance.harness import OWN, Api, Behaviours
from conformance.masks import L, of, rle

behaviour = Behaviours()
add = behaviour.add

ZOO = {
    "info": {"year": 2014, "version": "1.0", "nested": {"a": [1, None]}},
    "licenses": [{"id": 1, "name": "none"}],
    "images": [image(3), image(1), image(2), image(7)],
    "categories": [
        category(18, "dog", "animal"),
        category(3, "cat", "animal"),
        category(5, "scatter", "plot"),
    ],
    "annotations": [
        truth(10, [1, 2, 10, 12], 3, 18),
        truth(
            11, [5.5, 2, 10, 12], 1, 3, iscrowd=1, segmentation={"size": [60, 80], "counts": [100, 20, 4680]}
        ),
        truth(4, [1, 2, 30, 32], 1, 18),
        truth(9, [1, 2, 3, 4], 3, 5, iscrowd=True),
        truth(2, [0, 0, 80, 60], 2, 3, segmentation=of(L, str)),
        truth(12, [1, 2, 3, 4], 1, 18),
    ],
}


def zoo(api: Api):
    """From a file, so that ours has yet to make the dicts."""
    return from_file(api, ZOO)


# The constructor and createIndex


add("4", "a COCO of nothing", lambda api: api.COCO())
add("4", "a COCO of None", lambda api: api.COCO(None))
add("4", "a COCO by name", lambda api: api.COCO(annotation_file=None))
for what in (
    {},
    [],
    5.5,
    10**9,
    "does/not/exist.json",
    b"does/not/exist.json",
    Path("does/not/exist.json"),
    "",
    "\0",
):
    add("4", f"a COCO of {what!r}", lambda api, x: api.COCO(x), what)
add("4", "a COCO of a folder", lambda api: api.COCO(tempfile.gettempdir()))
add("4", "a COCO of an array", lambda api: api.COCO(np.zeros(3)))

FILES = {
    "all": ZOO,
    "nothing": {},
    "only images": {"images": [image(1)]},
    "only categories": {"categories": [category(1)]},
    "only annotations": {"annotations": [truth(1, [1, 2, 3, 4])]},
    "empty sections": dataset([], (), ()),
    "no categories": {"images": [image(1)], "annotations": [truth(1, [1, 2, 3, 4])]},
    "no category, and none needed": {"images": [], "annotations": [{"id": 1, "image_id": 1}]},
    "no category, but one needed": {"categories": [], "annotations": [{"id": 1, "image_id": 1}]},
    "annotations without id": {"annotations": [{"image_id": 1, "category_id": 1}]},
    "annotations without image_id": {"annotations": [{"id": 1, "category_id": 1}]},
    "annotations without anything": {"images": [], "categories": [], "annotations": [{}]},
    "images without id": {"images": [{}], "categories": [], "annotations": []},
    "categories without id": {"images": [], "categories": [{"name": "a"}], "annotations": []},
    "ids twice": dataset([truth(1, [1, 2, 3, 4]), truth(1, [5, 6, 7, 8], 2)], (1, 2, 1), (1, 1)),
    "unknown images and categories": dataset([truth(1, [1, 2, 3, 4], 77, 88)]),
    "ids in strings": dataset([truth("a", [1, 2, 3, 4], "b", "c")], ("b",), ("c",)),
    "ids of mixed kinds": dataset([truth(1, [1, 2, 3, 4], "1"), truth("1", [1, 2, 3, 4], 1)], (1, "1")),
    "ids of floats": dataset([truth(1.5, [1, 2, 3, 4], 1.0)], (1.0,)),
    "ids None": dataset([truth(None, [1, 2, 3, 4], None)], (None,)),
    "ids true": dataset([truth(True, [1, 2, 3, 4], True)], (True,)),
    "ids of lists": dataset([truth([1], [1, 2, 3, 4])]),
    "ids zero and below": dataset([truth(0, [1, 2, 3, 4], -1, 0)], (-1, 0), (0, -5)),
    "ids beyond 53 bits": dataset([truth(2**53 + 1, [1, 2, 3, 4], 2**60 + 1)], (2**60 + 1,)),
    "ids beyond 64 bits": dataset([truth(2**70, [1, 2, 3, 4], 2**80)], (2**80,)),
    "captions": {
        "images": [image(1)],
        "annotations": [{"id": 1, "image_id": 1, "caption": "hé \u4e16\U0001f600"}],
    },
    "annotations null": {"annotations": None},
    "annotations a dict": {"annotations": {"a": 1}},
    "annotations of lists": {"annotations": [[1]]},
    "images a str": {"images": "abc"},
    "a list": [1, 2],
    "a str": "abc",
    "a number": 5,
    "null": None,
    "NaN": dataset([truth(1, [float("nan"), 2, 3, 4])]),
    "infinities": dataset([truth(1, [1, 2, 3, 4], area=float("inf"), low=-float("inf"))]),
    "other sections": {**ZOO, "extra": [{"a": {"b": [1.5, True, None]}}], "": 0},
    "keypoints": scene(3, points=5)[0],
}
for name, content in FILES.items():
    add("4", f"a file of {name}", from_file, content)
    if isinstance(content, dict):
        add("4", f"createIndex of {name}", from_dicts, content)

TEXTS = {
    "nothing": b"",
    "blanks": b" \n\t ",
    "no JSON": b"hello",
    "an end too early": b'{"images": [{"id": 1}',
    "a comma too many": b'{"images": [{"id": 1},]}',
    "a single quote": b"{'images': []}",
    "something behind": b'{"images": []} x',
    "a byte order mark": b'\xef\xbb\xbf{"images": []}',
    "UTF-16": '{"images": []}'.encode("utf-16"),
    "bytes that are no UTF-8": b'{"images": [], "a": "\xff\xfe"}',
    "a key twice": b'{"images": [{"id": 1}], "annotations": [], "categories": [], "images": [{"id": 2}]}',
    "a key twice within": b'{"images": [{"id": 1, "id": 2}], "annotations": [], "categories": []}',
    "a key with escapes": b'{"im\\u0061ges": [{"id": 1}], "annotations": [], "categories": []}',
    "an escaped surrogate": b'{"images": [{"id": 1, "a": "\\ud800"}], "annotations": [], "categories": []}',
    "an escaped pair": b'{"images": [{"id": 1, "a": "\\ud83d\\ude00\\/\\n"}], "annotations": [], "categories": []}',
    "a raw newline in a string": b'{"images": [{"id": 1, "a": "x\ny"}], "annotations": [], "categories": []}',
    "a leading zero": b'{"images": [{"id": 01}], "annotations": [], "categories": []}',
    "a plus": b'{"images": [{"id": +1}], "annotations": [], "categories": []}',
    "a bare fraction": b'{"images": [{"id": .5}], "annotations": [], "categories": []}',
    "exponents": b'{"images": [{"id": 1e2, "height": 1E-2, "width": -0.0}], "annotations": [], "categories": []}',
    "minus zero": b'{"images": [{"id": -0}], "annotations": [], "categories": []}',
    "a number beyond double": b'{"images": [{"id": 1, "a": 1e999}], "annotations": [], "categories": []}',
    "a long number": b'{"images": [{"id": 123456789012345678901234567890}], "annotations": [], "categories": []}',
    "many digits": b'{"images": [{"id": 1, "a": 0.1000000000000000055511151231257827021181583404541015625}]}',
    "blanks everywhere": b' {\r\n "images" :\t[ { "id" : 1 } ] , "annotations":[ ], "categories" : [] }\n',
    "deep lists": b'{"images": ' + b"[" * 200 + b"]" * 200 + b"}",
}
for name, text in TEXTS.items():
    add("4", f"a file with {name}", from_file, text)


@behaviour("4", ZOO)
def a_file_as_path(api, content):
    with file_with(content) as path:
        return api.COCO(Path(path))


@behaviour("4", ZOO)
def a_file_as_bytes(api, content):
    with file_with(content) as path:
        return api.COCO(path.encode())


@behaviour("4", ZOO)
def a_file_as_number(api, content):
    with file_with(content) as path, open(path) as file:
        return api.COCO(os.dup(file.fileno()))


# Dicts are live


@behaviour("4")
def attributes_hold_the_same_dicts(api):
    coco = zoo(api)
    anns = coco.dataset["annotations"]
    return (
        [coco.anns[ann["id"]] is ann for ann in anns],
        [any(ann is a for a in coco.imgToAnns[ann["image_id"]]) for ann in anns],
        [coco.imgs[img["id"]] is img for img in coco.dataset["images"]],
        [coco.cats[cat["id"]] is cat for cat in coco.dataset["categories"]],
    )


@behaviour("4")
def edits_are_seen_everywhere(api):
    coco = zoo(api)
    coco.anns[4]["area"] = 7.5
    coco.imgs[3]["height"] = 1
    coco.dataset["annotations"].append(truth(99, [1, 2, 3, 4], 7))
    return coco, coco.getAnnIds(areaRng=[7, 8]), coco.getAnnIds(), coco.getAnnIds(imgIds=7)


@behaviour("4")
def an_index_is_made_anew(api):
    coco = zoo(api)
    before = coco.anns
    coco.dataset["annotations"] = coco.dataset["annotations"][:2]
    coco.createIndex()
    return coco, before is coco.anns, len(before), coco.getAnnIds(imgIds=[1, 2, 3])


@behaviour("4")
def the_data_set_can_be_replaced(api):
    coco = zoo(api)
    coco.dataset = dataset([truth(1, [1, 2, 3, 4])])
    return coco, coco.getAnnIds(), coco.getImgIds(), coco.getCatIds()


@behaviour("4")
def any_attribute_can_be_set(api):
    coco = zoo(api)
    coco.imgs = {5: image(5)}
    coco.extra = [1]
    return coco, coco.getImgIds(), hasattr(coco, "extra")


@behaviour("4")
def attributes_can_be_deleted(api):
    coco = zoo(api)
    del coco.anns
    return hasattr(coco, "anns"), hasattr(coco, "imgs"), list(vars(coco)), coco.anns


@behaviour("4")
def vars_and_their_order(api):
    return list(vars(zoo(api))), list(vars(api.COCO())), vars(zoo(api))


@behaviour("4")
def writing_through_vars(api):
    coco = zoo(api)
    vars(coco)["imgs"] = {}
    coco.__dict__["more"] = 5
    return coco.getImgIds(), coco.more


@behaviour("4")
def defaults_of_the_index(api):
    coco = zoo(api)
    return coco.imgToAnns[555], coco.catToImgs[555], 555 in coco.imgToAnns, coco


for name, go in {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda coco: pickle.loads(pickle.dumps(coco)),
    "the oldest pickle": lambda coco: pickle.loads(pickle.dumps(coco, 0)),
}.items():

    def copied(api: Api, go=go):
        made = go(zoo(api))
        anns = made.dataset["annotations"]
        return made, [made.anns[ann["id"]] is ann for ann in anns], made.getAnnIds(catIds=18)

    add("4", f"{name} of a file's", copied)
    add("4", f"{name} of an empty one", lambda api, go=go: go(api.COCO()))
    add("4", f"type from {name}", lambda api, go=go: type(go(zoo(api))))


@behaviour("4")
def a_copy_is_its_own(api):
    coco = zoo(api)
    other = copy.deepcopy(coco)
    other.anns[4]["area"] = 0
    return coco.anns[4]["area"], other.dataset["annotations"][2]["area"]


@behaviour("4")
def a_shallow_copy_shares(api):
    coco = zoo(api)
    other = copy.copy(coco)
    other.anns[4]["area"] = 0
    other.imgs = {}
    return coco, other


# Filters

IDS = {
    "nothing": {},
    "an image": {"imgIds": 1},
    "images": {"imgIds": [1, 2]},
    "images in another order": {"imgIds": [2, 1]},
    "an image twice": {"imgIds": [1, 1]},
    "images in a tuple": {"imgIds": (1, 3)},
    "images in an array": {"imgIds": np.array([1, 3])},
    "images in a set": {"imgIds": {3}},
    "images in keys": {"imgIds": dict.fromkeys([1, 2])},
    "an unknown image": {"imgIds": 99},
    "a NumPy image": {"imgIds": np.int64(1)},
    "an image in a str": {"imgIds": "1"},
    "image None": {"imgIds": None},
    "images with a list": {"imgIds": [[1]]},
    "many images": {"imgIds": list(range(-50, 50))},
    "a category": {"catIds": 18},
    "categories": {"catIds": [3, 18]},
    "categories in an array": {"catIds": np.array([3, 18])},
    "categories in an array of one": {"catIds": np.array([18])},
    "many categories": {"catIds": list(range(30))},
    "categories of floats": {"catIds": [18.0]},
    "categories in a str": {"catIds": "18"},
    "an unknown category": {"catIds": [77]},
    "category None": {"catIds": None},
    "an image and a category": {"imgIds": 1, "catIds": 18},
    "images and categories": {"imgIds": [1, 3], "catIds": [3, 5]},
    "an area": {"areaRng": [0, 1000]},
    "an area, at its ends": {"areaRng": [12, 960]},
    "an area in a tuple": {"areaRng": (0, 1e9)},
    "an infinite area": {"areaRng": [0, float("inf")]},
    "an area in an array": {"areaRng": np.array([0, 200])},
    "an area of one": {"areaRng": [5]},
    "an area of three": {"areaRng": [0, 200, 5]},
    "area None": {"areaRng": None},
    "an area of strings": {"areaRng": ["a", "b"]},
    "crowds": {"iscrowd": 1},
    "no crowds": {"iscrowd": 0},
    "crowds, True": {"iscrowd": True},
    "no crowds, False": {"iscrowd": False},
    "crowds in a str": {"iscrowd": "1"},
    "crowds of a list": {"iscrowd": [1]},
    "everything": {"imgIds": [3, 1], "catIds": [18, 3], "areaRng": [0, 1e5], "iscrowd": 0},
}
for name, args in IDS.items():
    add("4", f"getAnnIds with {name}", lambda api, a: zoo(api).getAnnIds(**a), args)
    if not {"areaRng", "iscrowd"} & set(args):
        add("4", f"getImgIds with {name}", lambda api, a: (coco := zoo(api)).getImgIds(**a) + [coco], args)
add("4", "getAnnIds by position", lambda api: zoo(api).getAnnIds([1], [18], [0, 500], 0))
add("4", "getImgIds by position", lambda api: zoo(api).getImgIds([1, 2], [3]))
add("4", "getImgIds of an intersection", lambda api: zoo(api).getImgIds(catIds=[18, 3]))
add("4", "getImgIds of an empty intersection", lambda api: zoo(api).getImgIds(catIds=[5, 3, 18]))
add(
    "4",
    "getImgIds of an unknown image and a category",
    lambda api: zoo(api).getImgIds(imgIds=[99], catIds=[3]),
)
add("4", "getAnnIds of nothing", lambda api: api.COCO().getAnnIds())
add("4", "getAnnIds of an image of nothing", lambda api: api.COCO().getAnnIds(imgIds=1))
add("4", "getAnnIds of a category of nothing", lambda api: api.COCO().getAnnIds(catIds=1))
add("4", "getCatIds of nothing", lambda api: api.COCO().getCatIds())
add("4", "getImgIds of nothing", lambda api: api.COCO().getImgIds())
for missing in ("area", "iscrowd", "category_id"):
    for args in ({"areaRng": [0, 9]}, {"iscrowd": 0}, {"catIds": [1]}, {"imgIds": 1}):

        def without(api: Api, missing, args):
            ann = truth(1, [1, 2, 3, 4])
            del ann[missing]
            return from_dicts(api, {"images": [image(1)], "annotations": [ann]}).getAnnIds(**args)

        add("4", f"getAnnIds with {args} without {missing}", without, missing, args)
CATEGORIES = {
    "nothing": {},
    "a name": {"catNms": "dog"},
    "a name that is within another": {"catNms": "scatter"},
    "names": {"catNms": ["dog", "cat"]},
    "names in a tuple": {"catNms": ("scatter",)},
    "a supercategory": {"supNms": "animal"},
    "supercategories": {"supNms": ["plot", "animal"]},
    "an id": {"catIds": 3},
    "ids": {"catIds": [5, 18]},
    "an id in an array": {"catIds": np.array([3])},
    "ids in an array": {"catIds": np.array([3, 5])},
    "a name and a supercategory": {"catNms": ["cat", "scatter"], "supNms": ["animal"]},
    "an unknown name": {"catNms": ["bird"]},
    "an empty name": {"catNms": ""},
    "None": {"catNms": None},
    "a number for a name": {"catNms": 5},
    "all three": {"catNms": ["cat", "dog"], "supNms": "animal", "catIds": [3]},
}
for name, args in CATEGORIES.items():
    add("4", f"getCatIds with {name}", lambda api, a: zoo(api).getCatIds(**a), args)
add("4", "getCatIds by position", lambda api: zoo(api).getCatIds(["dog"], ["animal"], [18]))
add(
    "4",
    "getCatIds of categories without supercategory",
    lambda api: from_dicts(api, {"categories": [{"id": 1, "name": "a"}]}).getCatIds(supNms="a"),
)

# load*

LOADED = {
    "nothing": [],
    "an id": 3,
    "ids": [3, 2],
    "ids in a tuple": (3,),
    "ids in an array": np.array([3, 2]),
    "an id twice": [3, 3],
    "an unknown id": 99,
    "an unknown id in a list": [3, 99],
    "a NumPy integer": np.int64(3),
    "a bool": True,
    "a float": 3.0,
    "floats": [3.0],
    "None": None,
    "a str": "3",
    "a set": {3},
}
for method in ("loadAnns", "loadCats", "loadImgs"):
    for name, ids in LOADED.items():
        add("4", f"{method} of {name}", lambda api, x, m=method: getattr(zoo(api), m)(x), ids)
    add("4", f"{method} of nothing given", lambda api, m=method: getattr(zoo(api), m)())
    add("4", f"{method} of a generator", lambda api, m=method: getattr(zoo(api), m)(i for i in [3]))
    add("4", f"{method} by name", lambda api, m=method: getattr(zoo(api), m)(ids=[3]))
add(
    "4",
    "loaded dicts are live",
    lambda api: (coco := zoo(api)).loadAnns(4)[0] is coco.dataset["annotations"][2],
)

# info, download

add("4", "info", lambda api: zoo(api).info())
add("4", "info of nothing", lambda api: api.COCO().info())
add("4", "info that is a str", lambda api: from_dicts(api, {"info": "text"}).info())
add("4", "download without a folder", lambda api: zoo(api).download())
add("4", "download of None", lambda api: zoo(api).download(None, [3]))


def download(api: Api, ids=None, there=()):
    """Images with a URL of file:, whose scheme urlretrieve takes too."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source", Path(folder) / "target" / "deep"
        source.write_text("picture")
        coco = zoo(api)
        for img in coco.imgs.values():
            img["coco_url"] = source.as_uri()
        for name in there:
            target.mkdir(parents=True, exist_ok=True)
            (target / name).write_text("old")
        out = coco.download(str(target)) if ids is None else coco.download(str(target), ids)
        return out, sorted((path.name, path.read_text()) for path in target.iterdir())


add("4", "download all", download)
add("4", "download some", download, [2, 3])
add("4", "download one", download, [2])
add("4", "download a number", download, 2)
add("4", "download an unknown one", download, [99])
add("4", "download what is there", download, None, ["1.jpg"])

# annToRLE, annToMask

SEGMENTATIONS = {
    "a polygon": [[10, 10, 30, 10, 30, 30]],
    "polygons": [[10, 10, 30, 10, 30, 30], [40, 40, 50, 40, 50, 55]],
    "polygons that overlap": [[10, 10, 30, 10, 30, 30], [20, 10, 50, 40, 10, 30]],
    "a box polygon": [[10, 10, 30, 10]],
    "a point": [[10, 10]],
    "nothing": [],
    "an empty ring": [[]],
    "flat numbers": [10, 10, 30, 10, 30, 30],
    "counts": {"size": [60, 80], "counts": [1000, 500, 3300]},
    "counts of another size": {"size": [6, 8], "counts": [10, 5, 33]},
    "no counts": {"size": [60, 80], "counts": []},
    "counts in a tuple": {"size": [60, 80], "counts": (1000, 500, 3300)},
    "a string": of(L, str),
    "bytes": of(L),
    "counts None": {"size": [60, 80], "counts": None},
    "no key": {},
    "None": None,
    "a tuple": ((1, 2, 3),),
    "a str": "abc",
    "RLEs in a list": [{"size": [60, 80], "counts": [1000, 500, 3300]}],
    "compressed RLEs in a list": [of(L, str)],
    "an array": np.array([[10.0, 10, 30, 10, 30, 30]]),
}
for name, segmentation in SEGMENTATIONS.items():

    def shape(api: Api, segmentation):
        coco = from_dicts(api, {"images": [image(1)]})
        ann = {"image_id": 1, "segmentation": segmentation}
        made = coco.annToRLE(ann)
        return made, made is segmentation

    def pixels(api: Api, segmentation):
        coco = from_dicts(api, {"images": [image(1)]})
        return coco.annToMask({"image_id": 1, "segmentation": segmentation})

    add("4", f"annToRLE of {name}", shape, segmentation)
    if name != "no counts":  # whose pixels are whatever was in memory
        add("4", f"annToMask of {name}", pixels, segmentation)
for ann in ({}, {"image_id": 99}, {"image_id": 1}, None, 5):
    add("4", f"annToRLE of the annotation {ann!r}", lambda api, ann: from_dicts(api, ZOO).annToRLE(ann), ann)
for missing in ("height", "width"):

    def unsized(api: Api, missing):
        img = image(1)
        del img[missing]
        return from_dicts(api, {"images": [img]}).annToRLE({"image_id": 1, "segmentation": of(L)})

    add("4", f"annToRLE without {missing}", unsized, missing)
add("4", "masks of a file", lambda api: [zoo(api).annToMask(ann) for ann in zoo(api).loadAnns([10, 11, 2])])


# Subclasses


@behaviour("4")
def a_subclass_with_its_own_index(api):
    class Mine(api.COCO):
        def createIndex(self):
            super().createIndex()
            self.names = {cat["name"]: cat["id"] for cat in self.dataset["categories"]}

    with file_with(ZOO) as path:
        coco = Mine(path)
    return coco.names, vars(coco), type(coco).__mro__[1]


@behaviour("4")
def a_subclass_with_its_own_constructor(api):
    class Mine(api.COCO):
        def __init__(self, content):
            super().__init__()
            self.dataset = content
            self.createIndex()

        def get_ann_ids(self, *args):
            return self.getAnnIds(*args)

    coco = Mine(copy.deepcopy(ZOO))
    return vars(coco), coco.get_ann_ids(1), isinstance(coco, api.COCO)


@behaviour("4")
def a_subclass_with_slots_and_properties(api):
    class Mine(api.COCO):
        __slots__ = ("extra",)

        @property
        def count(self):
            return len(self.anns)

    with file_with(ZOO) as path:
        coco = Mine(path)
    coco.extra = 5
    return coco.count, coco.extra, list(vars(coco))


@behaviour.each
def test_coco_class(behaviour, way):
    behaviour.check()


def test_known_values():
    coco = zoo(OWN)
    assert coco.getCatIds("scatter") == [3, 5]  # a str is array-like, so this asks for substrings
    assert coco.getImgIds(catIds=[18, 3]) == [1]
    assert coco.loadAnns(np.int64(3)) is None
    assert coco.getAnnIds(areaRng=[12, 120]) == []
    assert coco.anns[10] is coco.dataset["annotations"][0]
    assert coco.annToRLE({"image_id": 1, "segmentation": {"size": [2, 3], "counts": [6]}}) == rle(2, 3, [6])
