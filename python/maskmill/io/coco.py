"""COCO files: instances, keypoints, LVIS, and results."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.dataset import Dataset, objects
from maskmill.io._parse import Images, load_json, mapping
from maskmill.io.formats import Format

FORMAT = Format(
    "coco",
    "COCO instances, keypoints and LVIS (JSON)",
    (".json",),
    frozenset(
        [
            "boxes",
            "polygons",
            "subpixel",
            "masks",
            "holes",
            "parts",
            "overlap",
            "classes",
            "crowd",
            "scores",
            "attributes",
            "keypoints",
            "empty",
        ]
    ),
)


def sniff(path: Path, head: bytes) -> bool:
    return re.search(rb'"(annotations|images|categories)"\s*:\s*\[', head) is not None


def read(path: Path, *, images: Path | None = None) -> Dataset:
    """Read a COCO file.

    Parameters
    ----------
    path : Path
    images : Path, optional
        Folder of the pictures; beside the file by default.
    """
    content = mapping(load_json(path), str(path))
    try:
        made = Dataset.from_coco(content)
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None
    folder = Images(images, path.parent)
    names = made.images["file_name"]
    return made.replace(
        images=made.images.with_columns(pixels=objects([folder.reference(name) for name in names]))
    )


def write(dataset: Dataset, path: Path, *, polygons: bool = True) -> NDArray[np.int64]:
    """Write a COCO file.

    Parameters
    ----------
    polygons : bool
        Keep polygons where COCO fills them with the same pixels; otherwise everything is RLE.
    """
    import orjson

    with written_whole(path) as file:
        file.write(orjson.dumps(dataset.to_coco(polygons=polygons)))
    return np.arange(len(dataset.instances))
