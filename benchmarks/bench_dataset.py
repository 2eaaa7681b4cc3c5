"""dataset: from one format of annotations to another, whole data sets at once."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from maskmill import Dataset, Masks
from maskmill.io import coco

from . import rivals
from .measure import OURS, Cases, Race, Settings
from .workloads import NUCLEI, NUCLEI_FEW

CASES = Cases("dataset")


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="maskmill-bench-")  # removed when Python ends


def written(path: Path) -> list[Any]:
    """What a COCO file says, in one form: image, runs, area and box of each annotation."""
    rows = json.loads(path.read_bytes())["annotations"]
    runs = Masks.from_coco([row["segmentation"] for row in rows]).to_coco()
    names = ("image_id", "area", "bbox")
    return [([row[name] for name in names], rle["counts"]) for row, rle in zip(rows, runs, strict=True)]


def labels_as_coco(labels: list[np.ndarray], path: Path) -> None:
    found = [Masks.from_labels(image) for image in labels]
    numbers = [len(masks) for masks, _ in found]
    sides = np.array([image.shape for image in labels])
    names = np.array([f"{i}.png" for i in range(len(labels))], object)
    instances = {
        "image": np.repeat(np.arange(len(labels)), numbers),
        "category": np.zeros(sum(numbers), np.int64),
    }
    dataset = Dataset(
        {"file_name": names, "height": sides[:, 0], "width": sides[:, 1]},
        {"name": np.array(["nucleus"], object)},
        instances,
        Masks.concatenate([masks for masks, _ in found]),
    )
    coco.write(dataset, path)


@CASES.add("label images to a COCO file", NUCLEI_FEW, NUCLEI)
def labels_to_coco(labels: list[np.ndarray], settings: Settings) -> Race:
    """RLEs, areas and boxes of all instances of images that are in memory, and the file."""
    folder = Path(_folder().name)
    race = Race(read=sum(image.nbytes for image in labels), must_equal_pycocotools=False)
    path = folder / "ours.json"
    race.add(OURS, lambda: labels_as_coco(labels, path), lambda _: written(path))
    rivals.enter(race, settings, "dataset_labels_to_coco", labels, folder)
    return race
