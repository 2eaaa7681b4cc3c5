"""COCO files as columns: reading and writing without a dict per annotation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check
from maskmill._backend import kernels
from maskmill._device import on_host
from maskmill._files import FormatError, written_whole
from maskmill.masks import Masks
from maskmill.polygons import Polygons

if TYPE_CHECKING:
    import os

__all__ = ["CocoFile", "CocoTiles", "read", "tiles", "write"]

_FIELDS = {
    "id": 1 << 0,
    "image_id": 1 << 1,
    "category_id": 1 << 2,
    "area": 1 << 3,
    "bbox": 1 << 4,
    "score": 1 << 5,
    "iscrowd": 1 << 6,
    "segmentation": 1 << 7,
    "keypoints": 1 << 8,
    "num_keypoints": 1 << 9,
}
_NOT_OBJECTS = 1 << 17
_NUMBERS = ("id", "image_id", "category_id", "area", "bbox", "score", "iscrowd", "num_keypoints")
_KINDS = {0: "none", 1: "polygons", 2: "rle", 3: "counts", 4: "rle"}


class CocoFile:
    """A COCO file: ground truth (images, annotations, categories) or results.

    Attributes
    ----------
    path : Path
    is_results : bool
        Whether the file is an array of results.
    n : int
        Annotations.
    columns : dict of arrays
        Of the known fields that some annotation has: id, image_id, category_id, num_keypoints (N,) int64; area, score
        (N,) float64; bbox (N, 4) float64; iscrowd (N,) uint8. 0 where an annotation lacks the field, see `has`.
    image_ids, heights, widths : (I,) int64
    category_ids : (C,) int64
    """

    def __init__(self, path: Path, text: NDArray[np.uint8], parsed: dict[str, Any]) -> None:
        self.path = path
        self._text = text
        self._rows: dict[str, Any] = parsed["annotations"]
        self._sections = parsed["sections"]
        self.is_results: bool = parsed["is_results"]
        self.n: int = self._rows["n"]
        self.columns = {name: self._rows[name] for name in _NUMBERS if name in self._rows}
        images = parsed["images"]
        self.image_ids: NDArray[np.int64] = images["id"]
        self.heights: NDArray[np.int64] = images["height"]
        self.widths: NDArray[np.int64] = images["width"]
        self.category_ids: NDArray[np.int64] = parsed["categories"]["id"]
        self._dicts: Any = None

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        kind = "results" if self.is_results else "ground truth"
        return (
            f"CocoFile({str(self.path)!r}: {kind}, {self.n:,} annotations, {len(self.image_ids):,} images, "
            f"{len(self.category_ids):,} categories)"
        )

    def has(self, field: str) -> NDArray[np.bool_]:
        """Which annotations have a field, with a value of the kind that COCO says."""
        if field not in _FIELDS:
            raise ValueError(f"field must be one of {', '.join(map(repr, _FIELDS))}, not {field!r}")
        found: NDArray[np.bool_] = (self._rows["fields"] & _FIELDS[field]) != 0
        return found

    def dict(self, i: int) -> dict[str, Any]:
        """Annotation i with all its keys, known or not."""
        i = range(self.n)[i]
        begin, end = int(self._rows["begin"][i]), int(self._rows["end"][i])
        made: dict[str, Any] = json.loads(self._text[begin:end].tobytes())
        return made

    def dicts(self) -> Any:
        """The whole file, as json.load gives it."""
        return json.loads(self._text.tobytes())

    def head(self) -> Any:
        """The file without its annotations, as json.load gives it; of results, nothing."""
        found = {}
        for key_begin, key_end, begin, end in self._sections:
            key = self._text[key_begin:key_end].tobytes().decode(errors="replace")
            if key != "annotations":
                found[key] = json.loads(self._text[begin:end].tobytes())
        return found

    def segmentation_kinds(self) -> list[str]:
        """Of each annotation: "polygons", "rle" (a string), "counts" (a list) or "none"."""
        kinds = self._rows.get("segmentation_kind", np.zeros(self.n, np.uint8))
        return [_KINDS[kind] for kind in kinds.tolist()]

    def masks(self, rows: ArrayLike | None = None, sizes: ArrayLike | None = None) -> Masks:
        """Masks of annotations (of all by default): polygons filled by COCO's rule, RLEs as they are.

        Parameters
        ----------
        rows : (K,) integers, optional
        sizes : one (height, width) or (K, 2), optional
            Image sizes for polygons; by default those of the file's images.

        Raises
        ------
        ValueError
            If an annotation has no segmentation, or a malformed one, or its image's size is not known; names it.
        """
        chosen = np.arange(self.n) if rows is None else _check.integers(rows, np.int64, "rows")
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < self.n):
            raise IndexError(f"rows must be within 0 and {self.n - 1}, not {chosen.min()} to {chosen.max()}")
        lacking = chosen[~self.has("segmentation")[chosen]]
        if lacking.size:
            raise ValueError(
                f"{self.path}: annotation {lacking[0]} has no segmentation, or none as COCO has them"
            )
        if chosen.size == 0:
            return Masks.empty()
        kind = self._rows["segmentation_kind"]
        size = self._sizes_of_rows(chosen) if sizes is None else _check.sizes(sizes, len(chosen)).copy()
        own = kind[chosen] > 1
        size[own] = self._rows["segmentation_size"][chosen[own]]
        unknown = np.flatnonzero(~own & (size[:, 0] < 0))
        if unknown.size:
            row = int(chosen[unknown[0]])
            raise ValueError(f"{self.path}: the size of annotation {row}'s image is not in the file")
        parts = (self._text, chosen, kind, self._rows["segmentation_begin"], self._rows["segmentation_end"])
        try:
            counts, offsets = kernels().coco_json_masks(*parts, np.ascontiguousarray(size))
            counts, offsets = kernels().rle_normalize(counts, offsets, np.ascontiguousarray(size))
        except ValueError as error:
            raise FormatError(f"{self.path}: {error}") from None
        return Masks._of(counts, offsets, np.ascontiguousarray(size))

    def _sizes_of_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        if "image_id" not in self._rows:
            return np.full((len(rows), 2), -1, np.int64)
        return self.image_sizes(self._rows["image_id"][rows])

    def image_sizes(self, image_ids: ArrayLike) -> NDArray[np.int64]:
        """(K, 2) int64 height, width of images by id; -1 for those that the file lacks."""
        order = np.argsort(self.image_ids, kind="stable")
        ids = self.image_ids[order]
        wanted = _check.integers(image_ids, np.int64, "image_ids")
        at = np.clip(np.searchsorted(ids, wanted, side="right") - 1, 0, None)
        sizes = np.full((len(wanted), 2), -1, np.int64)
        if len(ids):
            found = ids[at] == wanted
            of = order[at[found]]
            sizes[found] = np.stack([self.heights[of], self.widths[of]], 1)
        return sizes


def read(path: str | os.PathLike[str]) -> CocoFile:
    """Read a COCO file, ground truth or results.

    Big files are read by several threads. A known field of an unexpected kind (an id that is a string, say) is not an
    error: `CocoFile.has` is False there, and `CocoFile.dict` shows it.

    Raises
    ------
    FormatError
        If the file is no JSON; names the file, line and column, what was expected and what was found. Also if its
        annotations, images or categories are not objects.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from maskmill import coco_json
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "results.json"
    >>> _ = path.write_text('[{"image_id": 7, "category_id": 1, "bbox": [0, 0, 4, 3], "score": 0.5}]')
    >>> coco_json.read(path).columns["bbox"].tolist()
    [[0.0, 0.0, 4.0, 3.0]]
    """
    path = Path(path)
    text = np.fromfile(path, np.uint8)
    parsed = kernels().coco_json_read(text)
    if isinstance(parsed, tuple):
        what, line, column, _ = parsed
        raise FormatError(f"{path}: line {line}, column {column}: {what}")
    for section in ("annotations", "images", "categories"):
        if parsed[section]["odd"] & _NOT_OBJECTS:
            what = "a file of results" if parsed["is_results"] else repr(section)
            raise FormatError(f"{path}: {what} must be an array of objects, and nothing else")
    return CocoFile(path, text, parsed)


def write(
    path: str | os.PathLike[str],
    annotations: Mapping[str, ArrayLike],
    segmentation: Masks | Polygons | None = None,
    *,
    images: Sequence[Mapping[str, Any]] | None = None,
    categories: Sequence[Mapping[str, Any]] | None = None,
    info: Mapping[str, Any] | None = None,
) -> None:
    """Write a COCO file, by way of a temporary name beside it.

    Parameters
    ----------
    annotations : mapping of columns
        Any of id, image_id, category_id, bbox (N, 4), area, iscrowd, score.
    segmentation : Masks or Polygons of N, optional
    images, categories, info : optional
        Given any, the file is ground truth, else it is results: an array.

    Raises
    ------
    ValueError
        If columns differ in length, or a number is not finite; names the column or annotation.
    """
    columns: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for name, values in annotations.items():
        if name == "bbox":
            columns[name] = _check.floats(values, 4, name)
        elif name in ("area", "score"):
            columns[name] = np.ascontiguousarray(on_host(values, name), np.float64)
        elif name == "iscrowd":
            columns[name] = np.ascontiguousarray(on_host(values, name) != 0, np.uint8)
        elif name in ("id", "image_id", "category_id"):
            columns[name] = _check.integers(on_host(values, name), np.int64, name)
        else:
            raise ValueError(f"columns are {', '.join(_NUMBERS[:-1])}, not {name!r}")
        lengths[name] = len(columns[name])
    if segmentation is not None and segmentation.device != "cpu":
        raise TypeError(
            "segmentation must be on the host, not on a GPU; segmentation.to('cpu') brings it there"
        )
    if isinstance(segmentation, Masks):
        columns.update(counts=segmentation.counts, offsets=segmentation.offsets, sizes=segmentation.sizes)
        lengths["segmentation"] = len(segmentation)
    elif segmentation is not None:
        columns.update(points=segmentation.points, rings=segmentation.rings, masks=segmentation.masks)
        lengths["segmentation"] = len(segmentation)
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns must have one length, not {lengths}")
    rows = kernels().coco_json_write(columns, next(iter(lengths.values()), 0))
    with written_whole(Path(path)) as file:
        if images is None and categories is None and info is None:
            file.write(rows)
            return
        head = {"info": info or {}, "images": list(images or ()), "categories": list(categories or ())}
        file.write(json.dumps(head)[:-1].encode())
        file.write(b', "annotations": ')
        file.write(rows)
        file.write(b"}")


class CocoTiles(NamedTuple):
    """What `tiles` gives."""

    tiles: list[dict[str, Any]]
    """One for each box, as a COCO file has it: one image, its annotations, all categories."""
    dropped: list[dict[str, Any]]
    """Annotations that a box shows too little of: original_id, tile (index of the box), visible."""


def tiles(
    content: Mapping[str, Any] | CocoFile,
    boxes: ArrayLike,
    *,
    image_id: int | None = None,
    min_visible: float = 0.0,
    first_image_id: int = 1,
    first_id: int = 1,
) -> CocoTiles:
    """The annotations of an image as they are in its tiles.

    Parameters
    ----------
    content : dict with images, annotations and categories, or what `read` gives
        Segmentations may be polygons or RLEs.
    boxes : (N, 4) integers
        y0, y1, x0, x1, as `maskmill.patches.grid` gives them; may reach beyond the image.
    image_id : int, optional
        Which image, if there are several.
    min_visible : annotations of which a tile shows a lesser share of the pixels are dropped there, and told
    first_image_id, first_id : ids of the first tile and of the first annotation; the others follow

    Returns
    -------
    CocoTiles
        tiles, dropped. A tile's image has original_id and tile (its box), and the box in its file_name. Annotations
        keep all their keys, but for: id, image_id; segmentation (an RLE), bbox and area of what is seen; keypoints
        counted from the tile's corner, 0 where they are outside; and new: original_id, visible (share of the pixels).

    Raises
    ------
    ValueError
        If there is no such image, or an annotation has no segmentation, or a malformed one; names it.

    Examples
    --------
    >>> from maskmill import coco_json, patches
    >>> image = {"id": 9, "height": 2, "width": 4, "file_name": "a.png"}
    >>> mask = {"size": [2, 4], "counts": [2, 3, 3]}
    >>> content = {"images": [image], "annotations": [{"id": 5, "image_id": 9, "category_id": 1, "segmentation": mask}]}
    >>> found = coco_json.tiles(content, patches.grid((2, 4), 2))
    >>> found.tiles[0]["images"][0]["file_name"], [a["bbox"] for t in found.tiles for a in t["annotations"]]
    ('a_0-2_0-2.png', [[1.0, 0.0, 1.0, 2.0], [0.0, 0.0, 1.0, 1.0]])
    """
    whole = content.dicts() if isinstance(content, CocoFile) else content
    image = _image(whole.get("images", []), image_id)
    rows = [row for row in whole.get("annotations", []) if row.get("image_id") == image["id"]]
    box = on_host(boxes, "boxes")
    parts, tile, mask, visible = _masks_of(rows, (image["height"], image["width"])).tiles(box)
    if not 0 <= min_visible <= 1:
        raise ValueError(f"min_visible must be within 0 and 1, not {min_visible}")
    shown = visible >= min_visible
    dropped = [
        {"original_id": rows[m].get("id"), "tile": t, "visible": share}
        for t, m, share in zip(
            tile[~shown].tolist(), mask[~shown].tolist(), visible[~shown].tolist(), strict=True
        )
    ]
    made = [
        {
            "info": whole.get("info", {}),
            "images": [entry],
            "annotations": [],
            "categories": whole.get("categories", []),
        }
        for entry in (_tile_image(image, first_image_id + i, b) for i, b in enumerate(box.tolist()))
    ]
    parts, tile, mask = parts[shown], tile[shown], mask[shown]
    columns = (tile, mask, visible[shown], parts.area, parts.bbox)
    every = zip(*(column.tolist() for column in columns), parts.to_coco(text=True), strict=True)
    for number, (t, m, share, area, bbox, segmentation) in enumerate(every, first_id):
        row = dict(rows[m])
        if "keypoints" in row:
            row |= _keypoints(row["keypoints"], box[t])
        row |= {
            "id": number,
            "image_id": first_image_id + t,
            "segmentation": segmentation,
            "bbox": bbox,
            "area": area,
        }
        row |= {"original_id": rows[m].get("id"), "visible": share}
        made[t]["annotations"].append(row)
    return CocoTiles(made, dropped)


def _image(images: Sequence[Mapping[str, Any]], image_id: int | None) -> Mapping[str, Any]:
    found = [image for image in images if image_id is None or image.get("id") == image_id]
    if len(found) != 1:
        which = "" if image_id is None else f" of id {image_id}"
        raise ValueError(
            f"content must have one image{which}, not {len(found)}; image_id says which is meant"
        )
    return found[0]


def _masks_of(rows: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> Masks:
    """Masks of annotations of one image: polygons filled by COCO's rule, RLEs as they are."""
    masks: list[Masks] = []
    for row in rows:
        segmentation = row.get("segmentation")
        try:
            if isinstance(segmentation, Mapping):
                own = Masks.from_coco(segmentation)
            else:
                own = Masks.from_polygons([segmentation], size)
            if tuple(own.sizes[0].tolist()) != size:
                raise ValueError(f"its size must be that of the image, {size}")
        except (TypeError, ValueError) as error:
            raise ValueError(f"annotation {row.get('id')}: {error}") from None
        masks.append(own)
    return Masks.concatenate(masks)


def _tile_image(image: Mapping[str, Any], number: int, box: Sequence[int]) -> dict[str, Any]:
    y0, y1, x0, x1 = box
    entry = {
        **image,
        "id": number,
        "height": y1 - y0,
        "width": x1 - x0,
        "original_id": image["id"],
        "tile": list(box),
    }
    if "file_name" in image:
        path = PurePosixPath(image["file_name"])
        entry["file_name"] = str(path.with_name(f"{path.stem}_{y0}-{y1}_{x0}-{x1}{path.suffix}"))
    return entry


def _keypoints(values: Sequence[float], box: NDArray[np.int64]) -> dict[str, Any]:
    """Of a tile; a point that it does not show is as one that was not labelled."""
    y0, y1, x0, x1 = box.tolist()
    out: list[float] = []
    for x, y, v in zip(values[::3], values[1::3], values[2::3], strict=True):
        inside = v > 0 and x0 <= x < x1 and y0 <= y < y1
        out += [x - x0, y - y0, v] if inside else [0, 0, 0]
    return {"keypoints": out, "num_keypoints": sum(v > 0 for v in out[2::3])}
