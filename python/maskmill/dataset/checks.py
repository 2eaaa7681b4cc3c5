"""What is wrong with a data set: one function for each rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.dataset.crossing import crossings
from maskmill.dataset.dataset import Dataset
from maskmill.dataset.shapes import BOX, CIRCLE, ELLIPSE, MASK, NONE, POLYGON, RECTANGLE
from maskmill.dataset.sizes import image_size
from maskmill.polygons import tangles

__all__ = ["RULES", "Problem", "check"]

LEVELS = ("error", "warning", "ignore")


@dataclass(frozen=True)
class Problem:
    """One fault.

    Attributes
    ----------
    rule : str, of `RULES`
    level : {"error", "warning"}
    image : str
        File name, or "image 17" where there is none; "" for faults of categories.
    instance : int or None
        Its id.
    text : str
    image_row, row : int or None
        Rows in `Dataset.images` and `Dataset.instances`: ids may be doubled.
    """

    rule: str
    level: str
    image: str
    instance: int | None
    text: str
    image_row: int | None = None
    row: int | None = None

    def __str__(self) -> str:
        place = self.image + ("" if self.instance is None else f", instance {self.instance}")
        return f"{self.level}: {place + ': ' if place else ''}{self.text} [{self.rule}]"


Found = Iterator[tuple[int | None, int | None, str]]
"""Row of the image, row of the instance, what is wrong."""


def check(dataset: Dataset, **rules: str) -> list[Problem]:
    """Look for faults.

    Parameters
    ----------
    dataset : Dataset
    **rules : "error", "warning" or "ignore"
        Levels other than those of `RULES`, by the rule's name: ``check(dataset, overlap="error")``.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import Dataset, Masks
    >>> from maskmill.dataset.checks import check
    >>> d = Dataset({"file_name": ["a.png"], "height": [2], "width": [2]}, {}, {"id": [5]}, Masks.empty([(2, 2)]))
    >>> print(*check(d, missing_image="ignore"), sep="\\n")
    warning: a.png, instance 5: its mask is empty [empty]
    warning: a.png, instance 5: has no category [no_category]
    """
    unknown = set(rules) - set(RULES)
    if unknown:
        raise ValueError(f"rules must be of {', '.join(RULES)}, not {', '.join(sorted(unknown))}")
    wrong = [level for level in rules.values() if level not in LEVELS]
    if wrong:
        raise ValueError(f"a level must be one of {', '.join(LEVELS)}, not {wrong[0]!r}")
    problems = []
    for name, (usual, find) in RULES.items():
        level = rules.get(name, usual)
        if level == "ignore":
            continue
        for image, row, text in find(dataset):
            problems.append(
                Problem(
                    name,
                    level,
                    "" if image is None else _name(dataset, image),
                    None if row is None else int(dataset.instances["id"][row]),
                    text,
                    image,
                    row,
                )
            )
    return problems


def _name(dataset: Dataset, i: int) -> str:
    return str(dataset.images["file_name"][i]) or f"image {dataset.images['id'][i]}"


def _instances(dataset: Dataset, rows: NDArray[Any], text: Callable[[int], str]) -> Found:
    for row in np.asarray(rows).tolist():
        yield int(dataset.instances["image"][row]), row, text(row)


def _repeated(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows whose id an earlier row has."""
    _, first = np.unique(ids, return_index=True)
    return np.setdiff1d(np.arange(len(ids)), first)


# Rules


def _duplicate_ids(dataset: Dataset) -> Found:
    ids = dataset.instances["id"]
    yield from _instances(dataset, _repeated(ids), lambda row: "another instance has the same id")
    for i in _repeated(dataset.images["id"]).tolist():
        yield i, None, f"another image has the same id {dataset.images['id'][i]}"
    for i in _repeated(dataset.categories["id"]).tolist():
        name, number = dataset.categories["name"][i], dataset.categories["id"][i]
        yield None, None, f"category {name!r} has the id {number} of another"


def _duplicate_names(dataset: Dataset) -> Found:
    seen: set[str] = set()
    for i, name in enumerate(dataset.images["file_name"]):
        if name and name in seen:
            yield i, None, "another image has the same file name"
        seen.add(name)


def _missing_images(dataset: Dataset) -> Found:
    for i, reference in enumerate(dataset.images["pixels"]):
        if reference is None:
            yield i, None, "the picture was not found"
        elif not Path(reference.path).is_file():
            yield i, None, f"the picture {reference.path} is not there"


def _wrong_sizes(dataset: Dataset) -> Found:
    for i, reference in enumerate(dataset.images["pixels"]):
        if reference is None or reference.field or not Path(reference.path).is_file():
            continue
        said = int(dataset.images["height"][i]), int(dataset.images["width"][i])
        try:
            found = image_size(reference.path)
        except FormatError as error:
            yield i, None, f"the picture cannot be read: {error}"
            continue
        if said != found:
            yield i, None, f"is said to be {said[0]} x {said[1]}, the picture is {found[0]} x {found[1]}"


def _unknown_sizes(dataset: Dataset) -> Found:
    for i in np.flatnonzero((dataset.images["height"] <= 0) | (dataset.images["width"] <= 0)).tolist():
        yield i, None, "its size is not known"


def _out_of_bounds(dataset: Dataset) -> Found:
    """Boxes and vertices beyond the image by more than the rounding of a hundredth of a pixel."""
    bounds = dataset.shapes.bounds()
    bare = dataset.shapes.kind == BOX
    bounds[bare] = dataset.instances["bbox"][bare]
    sizes = dataset.sizes[:, ::-1].astype(float)
    beyond = np.maximum(-bounds[:, :2], bounds[:, :2] + bounds[:, 2:] - sizes).max(1, initial=-np.inf)
    rows = np.flatnonzero((beyond > 0.01) & (sizes > 0).all(1))
    yield from _instances(dataset, rows, lambda row: f"reaches {beyond[row]:.6g} pixels beyond the image")


def _empty(dataset: Dataset) -> Found:
    drawn = np.isin(dataset.shapes.kind, (MASK, POLYGON, RECTANGLE, CIRCLE, ELLIPSE))
    drawn &= (dataset.sizes > 0).all(1)
    rows = np.flatnonzero(drawn)
    empty = rows[_masks(dataset, rows).area == 0]
    yield from _instances(dataset, empty, lambda row: "its mask is empty")
    box = dataset.instances["bbox"]
    flat = (dataset.shapes.kind == BOX) & ~((box[:, 2] > 0) & (box[:, 3] > 0))
    yield from _instances(dataset, np.flatnonzero(flat), lambda row: "its bounding box is empty")
    yield from _instances(dataset, np.flatnonzero(dataset.shapes.kind == NONE), lambda row: "has no geometry")


def _masks(dataset: Dataset, rows: NDArray[np.int64]) -> Any:
    known = (dataset.sizes > 0).all()
    return dataset.masks[rows] if known else dataset.shapes.take(rows).masks(dataset.sizes[rows])


def _few_vertices(dataset: Dataset) -> Found:
    points = dataset.shapes.points
    of_mask = np.repeat(np.arange(len(dataset.shapes)), np.diff(points.masks))
    few = (np.diff(points.rings) < 3) & (dataset.shapes.kind[of_mask] == POLYGON)
    for ring in np.flatnonzero(few).tolist():
        row = int(of_mask[ring])
        n = int(points.rings[ring + 1] - points.rings[ring])
        yield int(dataset.instances["image"][row]), row, f"a ring has {n} vertices; 3 make a surface"


def _self_crossing(dataset: Dataset) -> Found:
    points = dataset.shapes.points
    suspects: NDArray[Any] = np.arange(len(points.rings) - 1)
    if (np.abs(points.points) <= 4e8).all():
        # Quickly, each ring by itself; edges that only touch are found, too.
        suspects = np.flatnonzero(
            tangles(replace(points, masks=np.arange(len(points.rings), dtype=np.int64))) == 1
        )
    for row in np.flatnonzero(dataset.shapes.kind == POLYGON).tolist():
        first, last = np.searchsorted(suspects, points.masks[row : row + 2]).tolist()
        for ring in suspects[first:last].tolist():
            found = crossings(points.points[points.rings[ring] : points.rings[ring + 1]])
            if found is not None:
                image = int(dataset.instances["image"][row])
                yield image, row, f"its outline crosses itself near x = {found[0]:.6g}, y = {found[1]:.6g}"
                break


def _overlap(dataset: Dataset) -> Found:
    """Pairs of instances of one image that share pixels; crowds may."""
    if not (dataset.sizes > 0).all():
        return
    for i in range(len(dataset)):
        rows = dataset.rows_of_image(i)
        rows = rows[~dataset.instances["iscrowd"][rows]]
        if len(rows) < 2:
            continue
        masks = dataset.masks[rows]
        shared = masks.intersection_area(masks)
        for a, b in zip(*np.nonzero(np.triu(shared, 1)), strict=True):
            other = dataset.instances["id"][rows[b]]
            yield i, int(rows[a]), f"shares {int(shared[a, b])} pixels with instance {other}"


def _duplicates(dataset: Dataset) -> Found:
    """Instances of one image and category with the very same pixels, or the same bare box."""
    if not (dataset.sizes > 0).all():
        return
    seen: dict[Any, int] = {}
    masks = dataset.masks
    bare = np.isin(dataset.shapes.kind, (BOX, NONE)) | (masks.area == 0)
    for row in range(len(dataset.instances)):
        a, b = int(masks.offsets[row]), int(masks.offsets[row + 1])
        what = dataset.instances["bbox"][row].tobytes() if bare[row] else masks.counts[a:b].tobytes()
        key = (
            int(dataset.instances["image"][row]),
            int(dataset.instances["category"][row]),
            bool(bare[row]),
            what,
        )
        if key in seen:
            yield key[0], row, f"is the same as instance {dataset.instances['id'][seen[key]]}"
        seen.setdefault(key, row)


def _no_category(dataset: Dataset) -> Found:
    rows = np.flatnonzero(dataset.instances["category"] < 0)
    yield from _instances(dataset, rows, lambda row: "has no category")


def _no_instances(dataset: Dataset) -> Found:
    per_image = np.bincount(dataset.instances["image"], minlength=len(dataset))
    for i in np.flatnonzero(per_image == 0).tolist():
        yield i, None, "has no instances"


def _box_disagrees(dataset: Dataset) -> Found:
    """Recorded boxes that are more than a pixel away from the geometry's."""
    with np.errstate(invalid="ignore"):
        bounds, box = dataset.shapes.bounds(), dataset.instances["bbox"]
        a = np.concatenate([bounds[:, :2], bounds[:, :2] + bounds[:, 2:]], 1)
        b = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1)
        off = np.abs(a - b).max(1, initial=0)
        rows = np.flatnonzero((off > 1.0) & (dataset.shapes.kind != BOX))
    yield from _instances(dataset, rows, lambda row: f"its box is {off[row]:.6g} pixels off its geometry")


def _area_disagrees(dataset: Dataset) -> Found:
    """Recorded areas of masks that are not their pixels, of polygons that are more than 2 % and 4 pixels away."""
    said = dataset.instances["area"]
    rows = np.flatnonzero(~np.isnan(said) & (dataset.shapes.kind != BOX) & (dataset.sizes > 0).all(1))
    pixels = _masks(dataset, rows).area.astype(float)
    off = np.abs(pixels - said[rows])
    wrong = np.where(dataset.shapes.kind[rows] == MASK, off > 0, off > np.maximum(4, 0.02 * pixels))
    count = dict(zip(rows.tolist(), pixels.tolist(), strict=True))
    yield from _instances(
        dataset,
        rows[wrong],
        lambda row: f"is said to have {said[row]:.6g} pixels, its mask has {count[row]:.0f}",
    )


RULES: dict[str, tuple[str, Callable[[Dataset], Found]]] = {
    "duplicate_id": ("error", _duplicate_ids),
    "duplicate_name": ("warning", _duplicate_names),
    "missing_image": ("warning", _missing_images),
    "wrong_size": ("error", _wrong_sizes),
    "unknown_size": ("error", _unknown_sizes),
    "out_of_bounds": ("warning", _out_of_bounds),
    "empty": ("warning", _empty),
    "few_vertices": ("error", _few_vertices),
    "self_crossing": ("warning", _self_crossing),
    "overlap": ("warning", _overlap),
    "duplicate": ("warning", _duplicates),
    "no_category": ("warning", _no_category),
    "no_instances": ("ignore", _no_instances),
    "box_disagrees": ("warning", _box_disagrees),
    "area_disagrees": ("warning", _area_disagrees),
}
"""Each rule: its usual level, and the function that finds what breaks it."""
