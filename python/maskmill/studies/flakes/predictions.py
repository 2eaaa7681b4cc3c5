"""What networks predict: results read and written, and made flakes of."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check, coco_json
from maskmill._files import FormatError
from maskmill.dataset import Dataset, Table, objects
from maskmill.io._labels import read_values
from maskmill.io.maskterial import SCALE
from maskmill.masks import Masks
from maskmill.measures import measure
from maskmill.studies.flakes.annotations import check_sizes, class_ids, of_masks, with_classes
from maskmill.studies.flakes.inputs import Progress, pictures_of

PARTS = {"keep": 0, "largest": 1, "split": 2}


# Files


def read_results(path: str | Path, truth: Dataset | None = None) -> Dataset:
    """Read COCO results: an array of image_id, category_id, score, segmentation. Nothing of the file is altered.

    Parameters
    ----------
    truth : Dataset, optional
        Whose images they are of, with their names, sizes and classes; by default, images are those that have results.

    Raises
    ------
    FormatError
        If it is none; if `truth` lacks an image; names the result.
    """
    file = coco_json.read(path)
    if not file.is_results:
        raise FormatError(f"{path}: expected an array of results, found an object")
    for name in ("image_id", "category_id", "score", "segmentation"):
        lacking = np.flatnonzero(~file.has(name))
        if lacking.size:
            raise FormatError(f"{path}: result {lacking[0]}: expected {name!r}, found none that is valid")
    none = np.zeros(0, np.int64)
    of_image, of_class = (file.columns.get(name, none) for name in ("image_id", "category_id"))
    try:
        if truth is None:
            masks = file.masks()
            check_sizes(masks.sizes, f"{path}: result")
            ids, first = np.unique(of_image, return_index=True)
            size = masks.sizes[first]
            images = Table(
                {"id": ids, "file_name": objects([""] * len(ids)), "height": size[:, 0], "width": size[:, 1]}
            )
            categories = Table({"id": np.unique(of_class), "name": np.unique(of_class).astype(str)})
        else:
            images, categories = truth.images, truth.categories
            rows = _rows(of_image, images["id"], f"{path}: result", "an image of the truth")
            masks = file.masks(sizes=np.stack([images["height"], images["width"]], 1)[rows])
        return Dataset(
            images,
            categories,
            {
                "image": _rows(of_image, images["id"], f"{path}: result", "an image"),
                "category": _rows(of_class, categories["id"], f"{path}: result", "a class of the truth"),
                "score": file.columns.get("score", np.zeros(0)),
            },
            masks,
        )
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None


def _rows(wanted: NDArray[np.int64], ids: NDArray[np.int64], where: str, what: str) -> NDArray[np.int64]:
    order = np.argsort(ids)
    at = np.searchsorted(ids[order], wanted)
    known = np.isin(wanted, ids)
    if not known.all():
        i = int(np.flatnonzero(~known)[0])
        raise FormatError(f"{where} {i}: expected {what}, found {wanted[i]}")
    rows: NDArray[np.int64] = order[at]
    return rows


def write_results(dataset: Dataset, path: str | Path) -> None:
    """Write COCO results; flakes without a score have 1."""
    score = dataset.instances["score"]
    columns = {
        "image_id": dataset.images["id"][dataset.instances["image"]],
        "category_id": class_ids(dataset),
        "bbox": dataset.masks.bbox,
        "score": np.where(np.isnan(score), 1.0, score),
    }
    coco_json.write(path, columns, dataset.masks)


def read_semantic(
    folder: str | Path, truth: Dataset | None = None, *, progress: Progress | None = None
) -> Dataset:
    """Predicted semantic masks: one mask for each class of each image, all its flakes together.

    Parameters
    ----------
    truth : Dataset, optional
        Whose images they are of, by the stems of their names. Images of it that have no mask have no flakes.

    Raises
    ------
    FormatError
        If `truth` has no image for a mask, or one of another size.
    """
    paths = pictures_of(Path(folder))
    masks, classes, sizes = [], [], []
    for done, path in enumerate(paths.values(), 1):
        image = read_values(path)
        of_class, numbers = Masks.from_labels(image)
        masks.append(of_class)
        classes.append(numbers.astype(np.int64))
        sizes.append(image.shape)
        if progress is not None:
            progress(done, len(paths), path.name)
    found = of_masks([path.name for path in paths.values()], masks, sizes)
    numbers = np.concatenate(classes)
    found = with_classes(found, numbers, {int(k): f"Class {k}" for k in np.unique(numbers)} or {1: "Class 1"})
    return found if truth is None else _like(found, truth, list(paths.values()))


def _like(found: Dataset, truth: Dataset, paths: list[Path]) -> Dataset:
    """The same flakes, on the images and of the classes of the truth."""
    by_stem = {PurePosixPath(name).stem: i for i, name in enumerate(truth.images["file_name"].tolist())}
    rows = []
    for i, path in enumerate(paths):
        row = by_stem.get(path.stem)
        if row is None:
            raise FormatError(f"{path}: expected the mask of an image of the truth, found none of this stem")
        for side in ("height", "width"):
            if truth.images[side][row] != found.images[side][i]:
                raise FormatError(
                    f"{path}: expected {side} {truth.images[side][row]}, found {found.images[side][i]}"
                )
        rows.append(row)
    image = np.array(rows, np.int64)[found.instances["image"]]
    category = _rows(class_ids(found), truth.categories["id"], "flake", "a class of the truth")
    return Dataset(truth.images, truth.categories, {"image": image, "category": category}, found.masks)


# Flakes


def postprocess(
    dataset: Dataset,
    *,
    min_score: float = 0.3,
    min_area: int = 200,
    opening: int = 0,
    parts: str = "keep",
    connectivity: int = 4,
    fill_holes: bool = False,
) -> Dataset:
    """Flakes of predictions, of instances as of semantic masks.

    Parameters
    ----------
    dataset : Dataset
        Predicted masks, as `read_results` or `read_semantic` (then with ``parts="split"``) give them.
    min_score : flakes of a lower score are left out; those without a score stay
    min_area : flakes of fewer pixels are left out
    opening : int
        Erode and then dilate so many times by a square of 3 x 3 pixels, which removes specks and thin bridges.
    parts : {"keep", "largest", "split"}
        Of a mask of several parts: one flake, its largest part, or a flake of each.
    connectivity : {4, 8}
        Whether pixels that touch at a corner are of one part.
    fill_holes : bool
        Holes are kept by default.

    Returns
    -------
    Dataset
        Flakes numbered from 1.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import Dataset, Masks
    >>> from maskmill.studies.flakes import postprocess
    >>> two = np.zeros((8, 20), bool)
    >>> two[:, :9] = two[:5, 12:] = True
    >>> data = Dataset({"height": [8], "width": [20]}, {"name": ["flake"]}, {"category": [0]}, Masks.encode(two))
    >>> postprocess(data, min_area=40, parts="split").masks.area.tolist()
    [72, 40]
    """
    _check.choice(parts, "parts", PARTS)
    score = dataset.instances["score"]
    dataset = dataset.take(instances=np.isnan(score) | (score >= min_score))
    masks, rows = dataset.masks, np.arange(len(dataset.instances))
    if opening and len(masks):
        masks = masks.erode(opening, "square").dilate(opening, "square")
    if parts != "keep":
        masks, rows = masks.components(connectivity)
        if parts == "largest":
            best = _largest(masks.area.astype(np.int64), rows)
            masks, rows = masks[best], rows[best]
    if fill_holes:
        masks = masks.fill_holes(connectivity)
    return _numbered(dataset, masks, rows, masks.area >= max(min_area, 1))


def _largest(size: NDArray[Any], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest of each group, of equal ones the first."""
    order = np.lexsort((np.arange(len(size)), -size, group))
    first = np.ones(len(order), bool)
    first[1:] = group[order][1:] != group[order][:-1]
    return order[first]


def _numbered(dataset: Dataset, masks: Masks, rows: NDArray[np.int64], kept: NDArray[np.bool_]) -> Dataset:
    table = dataset.instances.take(rows[kept])
    columns = {name: table[name] for name in ("image", "category", "score")}
    return Dataset(dataset.images, dataset.categories, columns, masks[kept], info=dataset.info)


def as_maskterial(
    dataset: Dataset, *, semantic: bool, min_score: float = 0.3, min_area: int = 200
) -> Dataset:
    """Flakes as MaskTerial makes them, for comparison: it merges flakes, fills holes and loses parts.

    Parameters
    ----------
    semantic : bool
        Of semantic masks: opening twice, 4-connected parts, all drawn into one picture, whose 8-connected outlines are
        filled. Of instances: scores *above* `min_score`, *more* than `min_area` pixels, and the part whose outline
        through pixel centres encloses most, filled.
    """
    if not semantic:
        score = dataset.instances["score"]
        dataset = dataset.take(instances=(score > min_score) & (dataset.masks.area > min_area))
        masks, rows = dataset.masks.fill_holes(8).components(8)
        best = _largest(outline_area(masks), rows)
        return _numbered(dataset, masks[best], rows[best], np.ones(len(best), bool))
    large = postprocess(dataset, min_score=0, min_area=min_area, opening=2, parts="split", connectivity=4)
    cell = large.instances["image"] * len(large.categories) + large.instances["category"]
    order = np.argsort(cell, kind="stable")
    starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
    drawn = large.masks[order].merge(np.append(starts, len(order)))
    masks, of = drawn.fill_holes(8).components(8)
    return _numbered(large, masks, order[starts][of], masks.area >= min_area)


# Shapes


def shapes(dataset: Dataset, scale: float = SCALE) -> Table:
    """What flakes look like, by their pixels and the rings around them.

    Returns
    -------
    Table
        id, image (file name), class, score; area in pixels, area_um2; x, y of the centre in pixels; long and short side
        of the least rectangle and aspect; perimeter; holes, parts; and what the filter of MaskTerial looks at: outline
        (perimeter / √area) and solidity (area / convex area).
    """
    found = measure(dataset.masks, scale=scale)
    area = dataset.masks.area.astype(np.float64)
    long, short = found["rectangle_long"], found["rectangle_short"]
    outline, solidity = shape_features(dataset.masks).T
    with np.errstate(divide="ignore", invalid="ignore"):
        aspect = long / short
    return Table(
        {
            "id": dataset.instances["id"],
            "image": dataset.images["file_name"][dataset.instances["image"]],
            "class": class_ids(dataset),
            "score": dataset.instances["score"],
            "area": area.astype(np.int64),
            "area_um2": area * scale**2,
            "x": found["centroid_x"],
            "y": found["centroid_y"],
            "long_um": long,
            "short_um": short,
            "aspect": aspect,
            "perimeter_um": found["perimeter"],
            "holes": found["holes"],
            "parts": found["components"],
            "outline": outline,
            "solidity": solidity,
        }
    )


def shape_features(masks: Masks, rule: str = "exact") -> NDArray[np.float64]:
    """(N, 2): perimeter / √area and area / convex area, by which ragged false finds are told from flakes.

    Parameters
    ----------
    rule : {"exact", "maskterial"}
        By pixels, with holes and all parts; or as MaskTerial: of the largest outline through pixel centres, whose area
        is smaller than the pixels'. NaN where an area is 0.
    """
    _check.choice(rule, "rule", {"exact": 0, "maskterial": 1})
    if rule == "exact":
        found = measure(masks)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.stack([found["perimeter"] / np.sqrt(found["pixels"]), found["solidity"]], 1)
    made = np.full((len(masks), 2), np.nan)
    for i, mask in enumerate(masks):
        hull, area, length = _outline(mask)
        if area > 0:
            made[i] = length / np.sqrt(area), area / hull
    return made


def outline_area(masks: Masks) -> NDArray[np.float64]:
    """(N,) area within the outline through pixel centres, of the largest part: what MaskTerial calls size."""
    return np.array([_outline(mask)[1] for mask in masks], np.float64)


def _outline(mask: Masks) -> tuple[float, float, float]:
    """Hull, area and length of the outline that encloses most."""
    import cv2

    x, y, w, h = mask.bbox[0].astype(int).tolist()
    if not w:
        return 0.0, 0.0, 0.0
    image = np.ascontiguousarray(mask.crop([[x, y, w, h]]).decode()[0])
    outlines, _ = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    best: ArrayLike = max(outlines, key=cv2.contourArea)
    return cv2.contourArea(cv2.convexHull(best)), cv2.contourArea(best), cv2.arcLength(best, True)
