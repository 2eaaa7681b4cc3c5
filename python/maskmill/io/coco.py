"""COCO files: instances, keypoints and LVIS."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._backend import kernels
from maskmill._files import FormatError, written_whole
from maskmill.dataset import Dataset, objects
from maskmill.dataset.coco import annotation_dicts, from_coco, head
from maskmill.io._parse import Images, load_json, mapping, parse_json
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

PIECE = 8_000
"""Annotations that are dicts at one time."""


def sniff(path: Path, head: bytes) -> bool:
    return re.search(rb'"(annotations|images|categories)"\s*:\s*\[', head) is not None


def read(
    path: Path, *, images: Path | None = None, sizes: Mapping[str, tuple[int, int]] | None = None
) -> Dataset:
    """Read a COCO file: polygons, RLEs of either kind, boxes, keypoints; all other fields are kept as attributes.

    Annotations become columns some thousands at a time, so that a large file needs about its own size in memory.
    Pictures are not opened, but for the headers of those whose size the file lacks.

    Parameters
    ----------
    path : Path
    images : Path, optional
        Folder of the pictures; beside the file by default.
    sizes : mapping, optional
        (height, width) by file name, of images that the file gives no size.

    Raises
    ------
    FormatError
        If it is no JSON, or a field is not what COCO says: names the annotation and the field. Ids of images and of
        categories must be unique, those of annotations need not.
    """
    try:
        with without_collection():
            made = from_coco(*_content(path))
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None
    return with_pictures(made, Images(images, path.parent, sizes=sizes))


def _content(path: Path) -> tuple[dict[str, Any], Iterator[list[Any]] | None]:
    """All but the annotations, and these in pieces."""
    text = np.fromfile(path, np.uint8)
    parsed = kernels().coco_json_read(text)
    rows = None if isinstance(parsed, tuple) else parsed["annotations"]
    if rows is None or parsed["is_results"] or rows["n"] < PIECE or rows["odd"] >> 17:
        # Small, or not as JSON wants it (NaN, UTF-16): the slower way reads more, and says what is wrong.
        return mapping(load_json(path), str(path)), None
    content = {}
    for key_begin, key_end, begin, end in parsed["sections"]:
        key = text[key_begin:key_end].tobytes().decode()
        if key != "annotations":
            content[key] = parse_json(text[begin:end].tobytes(), f"{path}: {key}")
    return content, _pieces(path, text, rows)


def _pieces(path: Path, text: NDArray[np.uint8], rows: Mapping[str, Any]) -> Iterator[list[Any]]:
    for start in range(0, rows["n"], PIECE):
        stop = min(start + PIECE, rows["n"])
        inside = text[int(rows["begin"][start]) : int(rows["end"][stop - 1])].tobytes()
        yield parse_json(b"[" + inside + b"]", f"{path}: annotations from {start} on")


def with_pictures(dataset: Dataset, folder: Images) -> Dataset:
    """Where the pictures are, and the sizes of those that have none."""
    images = dataset.images
    names = images["file_name"].tolist()
    size = np.stack([images["height"], images["width"]], 1)
    for i in np.flatnonzero((size == 0).any(1)).tolist():
        size[i] = folder.size(names[i])
    pixels = objects([folder.reference(name) for name in names])
    return dataset.replace(images=images.with_columns(pixels=pixels, height=size[:, 0], width=size[:, 1]))


def write(dataset: Dataset, path: Path, *, polygons: bool = True) -> NDArray[np.int64]:
    """Write a COCO file.

    Parameters
    ----------
    polygons : bool
        Keep polygons where COCO fills them with the same pixels; otherwise everything is RLE. Crowds always are.

    Raises
    ------
    ValueError
        If keypoints are not finite numbers, which JSON does not have, or attributes are none that JSON knows.

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
    >>> print(maskmill.io.write(dataset, folder / "a.json"))
    coco: 2 instances in 1 image, nothing lost
    """
    with written_whole(path) as file, without_collection():
        content = dumps(head(dataset), "the data set")
        file.write(content[:-1] + b',"annotations":[')
        for i, row in enumerate(annotation_dicts(dataset, polygons=polygons)):
            if "keypoints" in row and not np.isfinite(row["keypoints"]).all():
                raise ValueError(
                    f"instance {i}: keypoints must be finite to be written, not {row['keypoints']}"
                )
            file.write((b",\n" if i else b"\n") + dumps(row, f"instance {i}"))
        file.write(b"]}")
    return np.arange(len(dataset.instances))


@contextmanager
def without_collection() -> Iterator[None]:
    """Python's search for cycles turned off: dicts and lists of JSON have none, and are freed without it. Looking
    through millions of them again and again takes as long as parsing them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def dumps(value: Any, what: str) -> bytes:
    """JSON, of NumPy's arrays and numbers, too; numbers that are not finite become null."""
    import orjson

    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    try:
        return orjson.dumps(value, default=str, option=options)
    except TypeError as error:
        raise ValueError(f"{what} cannot be written as JSON: {error}") from None
