"""COCO for untrusted data."""

from __future__ import annotations

import json
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
