import copy
import itertools
import json
import os
import sys
import time
from collections import Counter, defaultdict

import numpy as np

from maskmill.pycocotools import _columns
from maskmill.pycocotools import mask as maskUtils
from maskmill.pycocotools._lazy import AllAttributes, Attribute, Open, Pending, raw_attributes_of

__author__ = "tylin"
__version__ = "2.0"
PYTHON_VERSION = sys.version_info[0]

_NAMES = ("dataset", "anns", "cats", "imgs", "imgToAnns", "catToImgs")


def __getattr__(name):
    # Only when asked for: urllib.request brings http, email and ssl with it.
    if name == "urlretrieve":
        from urllib.request import urlretrieve

        return globals().setdefault(name, urlretrieve)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), "urlretrieve"})


def _isArrayLike(obj):
    return hasattr(obj, "__iter__") and hasattr(obj, "__len__")


def _listed(value):
    return value if _isArrayLike(value) else [value]


def _membership(ids):
    """Something for `in` that says the same, and fast if there are many."""
    plain = type(ids) is list and len(ids) > 4 and all(isinstance(i, int | np.integer) for i in ids)
    return set(ids) if plain else ids


class COCO(Open):
    """pycocotools' COCO: a data set's dicts, and an index of them.

    A plain file is read into columns, on which `COCOeval` works; the six attributes are made of it when somebody first
    looks at one, and are then as good as ever.
    """

    __dict__ = AllAttributes()
    dataset = Attribute()
    anns = Attribute()
    cats = Attribute()
    imgs = Attribute()
    imgToAnns = Attribute()
    catToImgs = Attribute()

    def __init__(self, annotation_file=None):
        attributes = raw_attributes_of(self)
        attributes.update(
            dataset={}, anns={}, cats={}, imgs={}, imgToAnns=defaultdict(list), catToImgs=defaultdict(list)
        )
        if annotation_file == None:
            return
        print("loading annotations into memory...")
        tic = time.time()
        file = _read_ground_truth(self, annotation_file)
        if file is None:
            with open(annotation_file) as f:
                dataset = json.load(f)
            assert type(dataset) == dict, f"annotation file format {type(dataset)} not supported"
        print(f"Done (t={time.time() - tic:0.2f}s)")
        if file is None:
            self.dataset = dataset
            self.createIndex()
            return
        print("creating index...")
        pending = Pending(lambda: _build_ground_truth(file), file)
        attributes.update(dict.fromkeys(_NAMES, pending))
        print("index created!")

    def createIndex(self):
        print("creating index...")
        made = _columns.index(self.dataset)
        print("index created!")
        self.anns = made["anns"]
        self.imgToAnns = made["imgToAnns"]
        self.catToImgs = made["catToImgs"]
        self.imgs = made["imgs"]
        self.cats = made["cats"]

    def info(self):
        """Print the data set's info."""
        for key, value in self.dataset["info"].items():
            print(f"{key}: {value}")

    def getAnnIds(self, imgIds=[], catIds=[], areaRng=[], iscrowd=None):
        """Ids of annotations of these images and categories, of areas within (not at) these bounds, with this iscrowd;
        in the order of the file, or of imgIds, repeated where those are."""
        imgIds, catIds = _listed(imgIds), _listed(catIds)
        if len(imgIds) == len(catIds) == len(areaRng) == 0:
            anns = self.dataset["annotations"]
        else:
            if len(imgIds) > 0:
                by_image = self.imgToAnns
                found = [by_image[imgId] for imgId in imgIds if imgId in by_image]
                anns = list(itertools.chain.from_iterable(found))
            else:
                anns = self.dataset["annotations"]
            if len(catIds) > 0:
                wanted = _membership(catIds)
                anns = [ann for ann in anns if ann["category_id"] in wanted]
            if len(areaRng) > 0:
                anns = [ann for ann in anns if ann["area"] > areaRng[0] and ann["area"] < areaRng[1]]
        if iscrowd == None:
            return [ann["id"] for ann in anns]
        return [ann["id"] for ann in anns if ann["iscrowd"] == iscrowd]

    def getCatIds(self, catNms=[], supNms=[], catIds=[]):
        """Ids of categories with these names, supercategories, ids. A str is taken for a collection of substrings."""
        catNms, supNms, catIds = _listed(catNms), _listed(supNms), _listed(catIds)
        file = _file_of(self)
        if file is not None and len(catNms) == len(supNms) == len(catIds) == 0:
            return file.category_ids()
        cats = self.dataset["categories"]
        if len(catNms) > 0:
            cats = [cat for cat in cats if cat["name"] in catNms]
        if len(supNms) > 0:
            cats = [cat for cat in cats if cat["supercategory"] in supNms]
        if len(catIds) > 0:
            cats = [cat for cat in cats if cat["id"] in catIds]
        return [cat["id"] for cat in cats]

    def getImgIds(self, imgIds=[], catIds=[]):
        """Ids of images among imgIds that hold all of catIds."""
        imgIds, catIds = _listed(imgIds), _listed(catIds)
        if len(imgIds) == len(catIds) == 0:
            file = _file_of(self)
            return list(self.imgs.keys()) if file is None else file.image_ids()
        ids = set(imgIds)
        for i, catId in enumerate(catIds):
            if i == 0 and len(ids) == 0:
                ids = set(self.catToImgs[catId])
            else:
                ids &= set(self.catToImgs[catId])
        return list(ids)

    def loadAnns(self, ids=[]):
        """The annotations with these ids: the dicts themselves."""
        if _isArrayLike(ids):
            anns = self.anns
            return [anns[id] for id in ids]
        if type(ids) == int:
            return [self.anns[ids]]

    def loadCats(self, ids=[]):
        """The categories with these ids: the dicts themselves."""
        if _isArrayLike(ids):
            return [self.cats[id] for id in ids]
        if type(ids) == int:
            return [self.cats[ids]]

    def loadImgs(self, ids=[]):
        """The images with these ids: the dicts themselves."""
        if _isArrayLike(ids):
            return [self.imgs[id] for id in ids]
        if type(ids) == int:
            return [self.imgs[ids]]

    def showAnns(self, anns, draw_bbox=False):
        """Draw annotations into the current matplotlib axes, or print captions."""
        if len(anns) == 0:
            return 0
        if "segmentation" in anns[0] or "keypoints" in anns[0]:
            from maskmill.pycocotools._show import show_instances

            show_instances(self, anns, draw_bbox)
        elif "caption" in anns[0]:
            for ann in anns:
                print(ann["caption"])
        else:
            raise Exception("datasetType not supported")

    def loadRes(self, resFile):
        """A new COCO with results in place of annotations: a file name, a list of dicts, or an Nx7 array."""
        shared = _shared_with_results(self)
        print("Loading and preparing results...")
        tic = time.time()
        results = _read_results(self, resFile)
        if results is not None:
            pending = Pending(lambda: _build_results(results, shared()), results)
            res = COCO()
            print(f"DONE (t={time.time() - tic:0.2f}s)")
            print("creating index...")
            raw_attributes_of(res).update(dict.fromkeys(_NAMES, pending))
            print("index created!")
            return res

        res = COCO()
        whole = shared()
        res.dataset["info"], res.dataset["images"] = whole["info"], whole["images"]
        if type(resFile) == str:
            with open(resFile) as f:
                anns = json.load(f)
        elif type(resFile) == np.ndarray:
            anns = self.loadNumpyAnnotations(resFile)
        else:
            anns = resFile
        assert type(anns) == list, "results in not an array of objects"
        image_ids = {ann["image_id"] for ann in anns}
        assert image_ids == (image_ids & set(self.getImgIds())), (
            "Results do not correspond to current coco set"
        )
        if "caption" in anns[0]:
            used = {img["id"] for img in res.dataset["images"]} & {ann["image_id"] for ann in anns}
            res.dataset["images"] = [img for img in res.dataset["images"] if img["id"] in used]
            for number, ann in enumerate(anns):
                ann["id"] = number + 1
        elif "bbox" in anns[0] and not anns[0]["bbox"] == []:
            res.dataset["categories"] = copy.deepcopy(self.dataset["categories"])
            _prepare_boxes(anns)
        elif "segmentation" in anns[0]:
            res.dataset["categories"] = copy.deepcopy(self.dataset["categories"])
            _prepare_masks(anns)
        elif "keypoints" in anns[0]:
            res.dataset["categories"] = copy.deepcopy(self.dataset["categories"])
            _prepare_keypoints(anns)
        print(f"DONE (t={time.time() - tic:0.2f}s)")
        res.dataset["annotations"] = anns
        res.createIndex()
        return res

    def download(self, tarDir=None, imgIds=[]):
        """Fetch images by their coco_url into a folder."""
        if tarDir is None:
            print("Please specify target directory")
            return -1
        imgs = self.imgs.values() if len(imgIds) == 0 else self.loadImgs(imgIds)
        total = len(imgs)
        if not os.path.exists(tarDir):
            os.makedirs(tarDir)
        for i, img in enumerate(imgs):
            tic = time.time()
            name = os.path.join(tarDir, img["file_name"])
            if not os.path.exists(name):
                sys.modules[__name__].urlretrieve(img["coco_url"], name)
            print(f"downloaded {i}/{total} images (t={time.time() - tic:0.1f}s)")

    def loadNumpyAnnotations(self, data):
        """Results of an array with rows of image_id, x, y, width, height, score, category_id."""
        print("Converting ndarray to lists...")
        assert type(data) == np.ndarray
        print(data.shape)
        assert data.shape[1] == 7
        total = data.shape[0]
        ann = []
        for i in range(total):
            if i % 1000000 == 0:
                print(f"{i}/{total}")
            ann += [
                {
                    "image_id": int(data[i, 0]),
                    "bbox": [data[i, 1], data[i, 2], data[i, 3], data[i, 4]],
                    "score": data[i, 5],
                    "category_id": int(data[i, 6]),
                }
            ]
        return ann

    def annToRLE(self, ann):
        """An annotation's segmentation as an RLE: polygons are filled and united."""
        image = self.imgs[ann["image_id"]]
        h, w = image["height"], image["width"]
        segm = ann["segmentation"]
        if type(segm) == list:
            return maskUtils.merge(maskUtils.frPyObjects(segm, h, w))
        if type(segm["counts"]) == list:
            return maskUtils.frPyObjects(segm, h, w)
        return ann["segmentation"]

    def annToMask(self, ann):
        """An annotation's segmentation as an (h, w) array of 0 and 1."""
        return maskUtils.decode(self.annToRLE(ann))


# Behind the attributes


def _pending_of(coco):
    """What stands for a COCO's attributes, while nobody has looked at one."""
    pending = raw_attributes_of(coco).get("dataset")
    return pending if type(pending) is Pending else None


def are_columns(coco):
    """Whether nobody, and nothing odd in the file, has made dicts of a COCO yet."""
    return _pending_of(coco) is not None


def count_instances(coco):
    """Each category and how many annotations it has that are no crowd; makes no dicts of annotations."""
    file = _file_of(coco)
    if file is not None:
        return file.count_instances()
    counts = Counter(ann["category_id"] for ann in coco.dataset["annotations"] if not ann.get("iscrowd"))
    return [(category, counts[category["id"]]) for category in coco.dataset["categories"]]


def _file_of(coco):
    """The columns of a ground truth whose dicts nobody has seen."""
    pending = _pending_of(coco)
    return (
        pending.state if pending is not None and isinstance(pending.state, _columns.GroundTruthFile) else None
    )


def _read_ground_truth(coco, path):
    """A file in columns; None where the plain way must be gone."""
    if not isinstance(path, str | os.PathLike) or not _columns.available():
        return None
    if type(coco).createIndex is not _create_index:
        return None
    return _columns.GroundTruthFile.read(path)


def _build_ground_truth(file):
    dataset = file.make_dataset()
    made = {"dataset": dataset, **_columns.index(dataset)}
    file.apply_effects(dataset["annotations"], made)
    return made


def _shared_with_results(coco):
    """How to get info and images (and, for results in columns, categories) for results of this ground truth."""
    file = _file_of(coco)
    if file is not None:

        def shared():
            coco.dataset  # noqa: B018 - makes the dicts, if nobody has yet
            return file.shared()

        return shared
    dataset = coco.dataset
    info = copy.deepcopy(dataset.get("info", {}))
    images = list(dataset["images"])
    return lambda: {"info": info, "images": images}


def _read_results(coco, path):
    """A results file in columns; None where the plain way must be gone."""
    if type(path) is not str or not _columns.available():
        return None
    if type(coco).getImgIds is not COCO.getImgIds or COCO.createIndex is not _create_index:
        return None
    file = _file_of(coco)
    if file is None:
        return None
    results = _columns.read_results(path)
    if results is None:
        return None
    if not _columns.kernels("cpp").matching_all_known(results.image_id, file.images["id"]):
        return None  # for the plain way to refuse
    return results


_create_index = COCO.createIndex


def _build_results(results, shared):
    anns = results.make_annotations()
    if results.has_boxes:
        _prepare_boxes(anns)
    elif results.has_masks:
        _prepare_masks(anns)
    else:
        _prepare_keypoints(anns)
    dataset = {**shared, "annotations": anns}
    made = {"dataset": dataset, **_columns.index(dataset)}
    results.apply_effects(anns, made)
    return made


def _prepare_boxes(anns):
    """Box results: a polygon where there is no segmentation, the box's area, ids from 1."""
    if type(anns) is list and _columns.available():
        _columns.kernels("cpp").coco_prepare_boxes(anns)
        return
    for number, ann in enumerate(anns):
        bb = ann["bbox"]
        x1, x2, y1, y2 = [bb[0], bb[0] + bb[2], bb[1], bb[1] + bb[3]]
        if "segmentation" not in ann:
            ann["segmentation"] = [[x1, y1, x1, y2, x2, y2, x2, y1]]
        ann["area"] = bb[2] * bb[3]
        ann["id"] = number + 1
        ann["iscrowd"] = 0


def _prepare_masks(anns):
    """Mask results, as compressed RLE: area, box where there is none, ids from 1."""
    for number, ann in enumerate(anns):
        ann["area"] = maskUtils.area(ann["segmentation"])
        if "bbox" not in ann:
            ann["bbox"] = maskUtils.toBbox(ann["segmentation"])
        ann["id"] = number + 1
        ann["iscrowd"] = 0


def _prepare_keypoints(anns):
    """Keypoint results: the box of all points, seen or not, and its area; ids from 1."""
    made = _columns.keypoint_boxes(anns) if _columns.available() else None
    if made is not None:
        for number, (ann, area, box) in enumerate(zip(anns, *made, strict=True)):
            ann["area"] = area
            ann["id"] = number + 1
            ann["bbox"] = box
        return
    for number, ann in enumerate(anns):
        s = ann["keypoints"]
        x, y = s[0::3], s[1::3]
        x0, x1, y0, y1 = np.min(x), np.max(x), np.min(y), np.max(y)
        ann["area"] = (x1 - x0) * (y1 - y0)
        ann["id"] = number + 1
        ann["bbox"] = [x0, y0, x1 - x0, y1 - y0]
