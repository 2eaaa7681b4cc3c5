"""COCO for untrusted data."""

from __future__ import annotations

import json
from numbers import Integral
from typing import Any

import numpy as np

from maskmill._files import FormatError
from maskmill.pycocotools import coco as strict
from maskmill.pycocotools.hardened._checks import Annotations


def _load(path: Any) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except RecursionError:
        raise FormatError(f"{path}: is nested too deeply") from None
    except ValueError as error:  # no JSON, or no UTF-8
        raise FormatError(f"{path}: {error}") from None


def _plain(ids: Any) -> Any:
    return int(ids) if isinstance(ids, Integral) else ids


def to_json(value: Any) -> str:
    """JSON of what pycocotools gives: NumPy's numbers and arrays, and RLEs of bytes, become plain ones.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.pycocotools.hardened import mask, to_json
    >>> rle = mask.encode(np.eye(2, dtype=bool))
    >>> to_json({"segmentation": rle, "area": mask.area(rle)})
    '{"segmentation": {"size": [2, 2], "counts": "0120"}, "area": 2}'
    """

    def plain(thing: Any) -> Any:
        if isinstance(thing, np.ndarray | np.generic):
            return thing.tolist()
        if isinstance(thing, bytes):
            return thing.decode("ascii")
        raise TypeError(f"{type(thing).__name__} has no JSON")

    return json.dumps(value, default=plain)


class COCO(strict.COCO):
    """pycocotools' COCO. Files and results are checked, and repaired where that can be done, before they are indexed.

    Raises
    ------
    ValueError
        (`FormatError` for files) naming annotation, image and field of the first thing that is malformed.
    """

    def __init__(self, annotation_file: Any = None) -> None:
        self._checked_as = "the data set" if annotation_file is None else str(annotation_file)
        if annotation_file is not None and not isinstance(_load(annotation_file), dict):
            raise FormatError(f"{annotation_file}: must be an object with images, annotations and categories")
        try:
            super().__init__(annotation_file)
        except FormatError:
            raise
        except ValueError as error:
            if annotation_file is None:
                raise
            raise FormatError(str(error)) from None

    def createIndex(self) -> None:
        """Check, repair, and index `dataset`."""
        if self.dataset.get("annotations"):
            images = self.dataset.get("images", [])
            Annotations(self._checked_as, self.dataset["annotations"], images, results=False).check()
        super().createIndex()

    # Queries: pycocotools takes a name for a collection of letters, and gives None for ids that are no int.

    def getCatIds(self, catNms: Any = (), supNms: Any = (), catIds: Any = ()) -> list[Any]:
        """Ids of categories with these names, supercategories, ids; a str is one name."""
        names = [[value] if isinstance(value, str) else value for value in (catNms, supNms)]
        return super().getCatIds(names[0], names[1], catIds)  # type: ignore[no-any-return]

    def getImgIds(self, imgIds: Any = (), catIds: Any = (), *, any: bool = False) -> list[Any]:
        """Ids of images among imgIds that hold all of catIds; with any=True, at least one of them."""
        wanted = catIds if strict._isArrayLike(catIds) else [catIds]
        if not any or len(wanted) == 0:
            return super().getImgIds(imgIds, catIds)  # type: ignore[no-any-return]
        found = {image for category in wanted for image in self.catToImgs.get(category, ())}
        among = super().getImgIds(imgIds)
        return [image for image in among if image in found]

    def loadAnns(self, ids: Any = ()) -> Any:
        """The annotations with these ids, or with this id."""
        return super().loadAnns(_plain(ids))

    def loadCats(self, ids: Any = ()) -> Any:
        """The categories with these ids, or with this id."""
        return super().loadCats(_plain(ids))

    def loadImgs(self, ids: Any = ()) -> Any:
        """The images with these ids, or with this id."""
        return super().loadImgs(_plain(ids))

    def to_json(self) -> str:
        """The data set as JSON: NumPy's numbers and arrays, and RLEs of bytes, become plain ones."""
        return to_json(self.dataset)

    def loadRes(self, resFile: Any) -> strict.COCO:
        """Results from a file, a list of dicts, or an Nx7 array."""
        what, anns = "the results", resFile
        if not isinstance(resFile, list | np.ndarray):
            what, anns = str(resFile), _load(resFile)
        if isinstance(anns, np.ndarray):
            if anns.ndim != 2 or anns.shape[1] != 7:
                raise ValueError(f"results must have shape (n, 7), not {anns.shape}")
            bad = np.flatnonzero(~np.isfinite(anns.astype(np.float64)).all(axis=1))
            if bad.size:
                raise ValueError(f"result {bad[0]} must be finite numbers, not {anns[bad[0]].tolist()}")
            return super().loadRes(anns)  # type: ignore[no-any-return]
        if not isinstance(anns, list) or not anns:
            raise ValueError(f"{what}: must be a list of results that is not empty")
        Annotations(what, anns, self.dataset["images"], results=True).check()
        keys = [set(ann) & {"bbox", "segmentation", "keypoints", "caption"} for ann in anns]
        for i, own in enumerate(keys):
            if own != keys[0]:
                raise ValueError(f"{what}: result {i} has {sorted(own)}, the first {sorted(keys[0])}")
        return super().loadRes(anns)  # type: ignore[no-any-return]
