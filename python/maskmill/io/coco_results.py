"""COCO results: an array of detections with scores."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.dataset import Dataset
from maskmill.dataset.coco import annotation_dicts, from_coco
from maskmill.dataset.shapes import BOX, NONE
from maskmill.io._parse import Images, load_json, mapping, sequence
from maskmill.io.coco import dumps, with_pictures
from maskmill.io.formats import Format

FORMAT = Format(
    "coco_results",
    "COCO results: boxes, masks, keypoints with scores (JSON)",
    (),  # a JSON is ground truth, if nothing is said
    frozenset(["boxes", "masks", "holes", "parts", "overlap", "crowd", "scores", "attributes", "keypoints"]),
)


def sniff(path: Path, head: bytes) -> bool:
    first = re.match(rb"(\xef\xbb\xbf)?\s*\[\s*\{(.*)", head, re.S)
    return first is not None and b'"image_id"' in first[2]


def read(
    path: Path,
    *,
    ground_truth: Path | None = None,
    images: Path | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> Dataset:
    """Read COCO results: boxes, RLEs (compressed or lists of counts) or polygons, keypoints, scores.

    Parameters
    ----------
    path : Path
    ground_truth : Path, optional
        The COCO file whose images and categories the results are of. Without it, images and categories are those that
        are met, called by their numbers, with the sizes of their masks.
    images : Path, optional
        Folder of the pictures.
    sizes : mapping, optional
        (height, width) by file name, of images that the ground truth gives no size.

    Raises
    ------
    FormatError
        If it is no array of results, or a field is not what COCO says: names the row and the field.
    """
    rows = sequence(load_json(path), str(path))
    content: dict[str, Any] = {}
    if ground_truth is not None:
        given = mapping(load_json(ground_truth), str(ground_truth))
        content = {key: given[key] for key in ("images", "categories") if key in given}
    try:
        made = from_coco(content, [rows], results=True)
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None
    return with_pictures(made, Images(images, sizes=sizes))


def write(dataset: Dataset, path: Path, *, score: float = 1.0) -> NDArray[np.int64]:
    """Write COCO results, as evaluation reads them: masks as RLEs, bare boxes as boxes.

    Images and categories are numbers only: to read them back by name takes the ground truth.

    Parameters
    ----------
    score : float
        Of instances that have none.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import maskmill.io
    >>> from maskmill import Dataset, Masks
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> masks = Masks.encode(np.array([[[1, 1, 0], [0, 0, 0]], [[0, 1, 1], [0, 0, 1]]]))
    >>> image = {"file_name": ["a.png"], "height": [2], "width": [3]}
    >>> dataset = Dataset(image, {"name": ["grain"]}, {"category": [0, 0]}, masks)
    >>> report = maskmill.io.write(dataset, folder / "a.json", "coco_results", score=0.5)
    >>> maskmill.io.read(folder / "a.json").instances["score"].tolist()
    [0.5, 0.5]
    """
    bare = np.isin(dataset.shapes.kind, (BOX, NONE)).tolist()
    with written_whole(path) as file:
        file.write(b"[")
        for i, row in enumerate(annotation_dicts(dataset, polygons=False)):
            if bare[i]:
                del row["segmentation"]
            if "keypoints" in row and not np.isfinite(row["keypoints"]).all():
                raise ValueError(
                    f"instance {i}: keypoints must be finite to be written, not {row['keypoints']}"
                )
            row.setdefault("score", score)
            file.write((b",\n" if i else b"\n") + dumps(row, f"instance {i}"))
        file.write(b"]")
    return np.arange(len(dataset.instances))
