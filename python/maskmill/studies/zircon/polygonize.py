"""`maskmill zircon polygonize`: masks to polygons, exact or within limits, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import io, vectorize
from maskmill.dataset import Dataset, Shapes, Table, objects
from maskmill.masks import Masks
from maskmill.studies.zircon.legacy_polygons import legacy_polygons
from maskmill.studies.zircon.pairs import sample_of
from maskmill.studies.zircon.sources import as_dataset, scales_of

if TYPE_CHECKING:
    import os

UNITS = ("px", "um")


@dataclass(frozen=True)
class Polygonized:
    """Polygons of masks, and what they have lost.

    Attributes
    ----------
    dataset : Dataset
        The same instances as polygons; what is no area stays as it was.
    losses : Table
        Of each mask: ``row`` of the instance, ``sample``, ``image``, ``id``, ``pixels``, ``vertices``, ``rings``,
        ``iou`` after filling again, ``area_change`` (share of the mask's pixels), ``tolerance`` (pixels between the
        exact outline and the polygon at most; 0 where it is exact, NaN with `compat`).
    samples : Table
        Of each sample, and "all": ``masks``, ``exact`` (IoU of 1), ``vertices``, ``iou_mean``, ``iou_min``,
        ``area_change_mean``, ``area_change_min``, ``area_change_max``.
    """

    dataset: Dataset
    losses: Table
    samples: Table


def polygonize(
    source: Dataset | Masks | ArrayLike | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    to: str = "via",
    max_distance: float | None = None,
    unit: str = "px",
    max_area_change: float | None = None,
    min_iou: float | None = None,
    scale: ArrayLike | None = None,
    compat: bool = False,
    **options: Any,
) -> Polygonized:
    """Make polygons of masks.

    Without limits outlines follow the pixels' edges: filled again they are the masks, holes and parts included. Within
    limits they have as few points as these allow, checked on each result; see `maskmill.vectorize.trace`.

    Parameters
    ----------
    source : Dataset, Masks, (H, W) label image, or path
        A path is read by `maskmill.io.read`, which gets `options`.
    out : path, optional
        File to write.
    to : str
        Its format, one of `maskmill.io.formats`: "via", in which a ring is a region and attributes link holes and
        parts; "coco", filled by COCO's rule; or another that holds polygons.
    max_distance : float, optional
        Between an outline and its polygon, in `unit`.
    unit : {"px", "um"}
        Pixels, or µm by the images' scale.
    max_area_change : float, optional
        Share of a mask's pixels.
    min_iou : float, optional
        Of a mask and its polygon filled again.
    scale : float or (images,), optional
        µm per pixel; by default the images' own.
    compat : bool
        As colab_zirc_dims saves polygons, for comparison: the largest part without holes, a tolerance of 1 µm, 3
        decimals of the image's size. Filled by the rule "skimage", as it does.

    Raises
    ------
    ValueError
        On limits that are none, `compat` with limits, or a scale that is needed and not known; names the image.
    FormatError
        If a file cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.studies.zircon import polygonize
    >>> image = np.zeros((200, 300), np.uint8)
    >>> image[50:150, 100:200] = 1
    >>> image[70:130, 120:180] = 0
    >>> for made in (polygonize(image), polygonize(image, compat=True, scale=1.0)):
    ...     made.samples.row(0)["iou_mean"], made.dataset.masks.area.tolist()
    (1.0, [6400])
    (0.6384, [9984])
    """
    dataset = as_dataset(source, options)
    if unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(map(repr, UNITS))}, not {unit!r}")
    um = scales_of(dataset, scale)
    rows = np.flatnonzero(dataset.masks.area > 0)
    masks = dataset.masks[rows]
    of_mask = dataset.instances["image"][rows]
    if compat and not (max_distance is max_area_change is min_iou is None):
        raise ValueError("compat has limits of its own: give none")
    if compat or (unit == "um" and max_distance is not None):
        _need_scales(dataset, um, of_mask)
    if compat:
        rule = "skimage"
        polygons = legacy_polygons(masks, um[of_mask])
        tolerance = np.full(len(rows), np.nan)
        loss = vectorize.losses(polygons, masks.counts, masks.offsets, masks.sizes, rule=rule)
    else:
        rule = "coco" if to == "coco" else "even-odd"
        distance: Any = max_distance
        if unit == "um" and max_distance is not None:
            distance = max_distance / um[of_mask]
        found = vectorize.trace(
            masks.counts,
            masks.offsets,
            masks.sizes,
            "coco" if to == "coco" else "exact",
            max_distance=distance,
            max_area_change=max_area_change,
            min_iou=min_iou,
        )
        polygons, tolerance, loss = found.polygons, found.tolerance, found.loss
    made = _with_polygons(
        dataset, rows, Shapes.of_polygons(polygons, rule), um if scale is not None else None
    )
    losses = _losses(dataset, rows, masks, polygons, loss, tolerance)
    if out is not None:
        io.write(made, Path(out), to, compare=False)
    return Polygonized(made, losses, _by_sample(losses))


def _need_scales(dataset: Dataset, um: NDArray[np.float64], images: NDArray[np.int64]) -> None:
    unknown = images[np.isnan(um[images])]
    if len(unknown):
        name = dataset.images["file_name"][unknown[0]] or dataset.images["id"][unknown[0]]
        raise ValueError(f"image {str(name)!r}: its scale in µm per pixel is not known; give one")


def _with_polygons(
    dataset: Dataset, rows: NDArray[np.int64], shapes: Shapes, um: NDArray[np.float64] | None
) -> Dataset:
    """The data set with other shapes for these instances. What was said of their areas and boxes no longer holds."""
    n = len(dataset.shapes)
    order = np.arange(n)
    order[rows] = n + np.arange(len(rows))
    area, boxes = dataset.instances["area"].copy(), dataset.instances["bbox"].copy()
    area[rows], boxes[rows] = np.nan, np.nan
    instances = dataset.instances.with_columns(area=area, bbox=boxes)
    images = dataset.images if um is None else dataset.images.with_columns(scale=um)
    return Dataset(
        images,
        dataset.categories,
        instances,
        Shapes.concatenate([dataset.shapes, shapes]).take(order),
        info=dataset.info,
        provenance=(*dataset.provenance, {"operation": "polygonize"}),
    )


def _losses(
    dataset: Dataset,
    rows: NDArray[np.int64],
    masks: Masks,
    polygons: Any,
    loss: vectorize.Loss,
    tolerance: NDArray[np.float64],
) -> Table:
    files = [str(dataset.images["file_name"][i]) for i in dataset.instances["image"][rows].tolist()]
    stems = [PurePosixPath(file.replace("\\", "/")).stem for file in files]
    return Table(
        {
            "row": rows,
            "sample": objects([sample_of(name) for name in stems]),
            "image": objects(files),
            "id": dataset.instances["id"][rows],
            "pixels": masks.area.astype(np.int64),
            "vertices": np.diff(polygons.rings[polygons.masks]),
            "rings": np.diff(polygons.masks),
            "iou": loss.iou,
            "area_change": loss.area_change,
            "tolerance": tolerance,
        }
    )


def _by_sample(losses: Table) -> Table:
    of = losses["sample"].astype(object)
    groups = [("all", np.ones(len(losses), bool))]
    groups += [(name, of == name) for name in sorted(set(of.tolist()) - {""})]
    made: dict[str, list[Any]] = {
        name: []
        for name in (
            *("sample", "masks", "exact", "vertices", "iou_mean", "iou_min"),
            *("area_change_mean", "area_change_min", "area_change_max"),
        )
    }
    for name, own in groups:
        iou, change = losses["iou"][own], losses["area_change"][own]
        none = not own.any()
        numbers = (
            *(name, int(own.sum()), int((iou == 1).sum()), int(losses["vertices"][own].sum())),
            *((np.nan,) * 5 if none else (iou.mean(), iou.min(), change.mean(), change.min(), change.max())),
        )
        for column, value in zip(made.values(), numbers, strict=True):
            column.append(value)
    return Table(made)
