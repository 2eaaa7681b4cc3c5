"""`maskmill zircon measure`: axes, areas and perimeters of grains, by colab_zirc_dims's definitions and beyond."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import measures
from maskmill._device import on_host
from maskmill._files import written_whole
from maskmill.dataset import Dataset, Table
from maskmill.masks import Masks
from maskmill.studies.zircon.headings import HEADINGS
from maskmill.studies.zircon.sidecars import Clip
from maskmill.studies.zircon.sources import as_dataset, clips_of, scales_of

if TYPE_CHECKING:
    import os

RECTANGLE, MOMENTS = "minimum circumscribing rectangle", "2nd central moments"
"""What the original calls the two ways to measure axes."""

MEASURED = (
    *(
        "area",
        "convex_area",
        "eccentricity",
        "equivalent_diameter",
        "perimeter",
        "major",
        "minor",
        "circularity",
    ),
    *("rectangle_long", "rectangle_short", "feret_max", "feret_min", "feret_orthogonal", "perimeter_crofton"),
    *("solidity", "orientation", "centroid_x", "centroid_y"),
)

END = 0.5 * math.sqrt(2 / 3)
"""Standard uncertainty in pixels of a length whose two ends are each known to half a pixel up or down (rectangular)."""


def measure(
    source: Dataset | Masks | ArrayLike | str | os.PathLike[str],
    *,
    scale: ArrayLike | None = None,
    scale_uncertainty: float = 0.0,
    clips: str | os.PathLike[str] | None = None,
    shot: bool = False,
    shots: ArrayLike | None = None,
    reach: float | None = None,
    **options: Any,
) -> Table:
    """Measure grains: all of them, or the one under the shot in each image.

    Parameters
    ----------
    source : Dataset, Masks, (H, W) label image, or path
        A path is read by `maskmill.io.read`, which gets `options`.
    scale : float or (images,), optional
        µm per pixel. By default the images' own (``images["scale"]``).
    scale_uncertainty : float
        Standard uncertainty of the scale in µm per pixel.
    clips : path, optional
        Folder of the images, made by `clip`: what lies beside them tells the scale (of width and height), the names of
        sample and shot, and where a mosaic ended within an image, which is an edge as the image's own.
    shot : bool
        Only the grain under the shot: the mask at the very pixel of the shot, else the nearest one within `reach`; of
        equally near ones the largest.
    shots : (images, 2), optional
        Where the shot is in each image, x and y in pixels; by default in the middle, as clips have it.
    reach : float, optional
        Pixels; by default 20 times the rounded 150th part of the image's height, as far as the original looks.

    Returns
    -------
    Table
        A row for each grain (for each image with `shot`), with the columns of `headings.HEADINGS`: lengths in µm, NaN
        where there is nothing to measure. Only the largest 8-connected part of a mask counts. ``status`` is "ok",
        "thin" (one pixel wide: what needs a width is 0 or NaN), "empty" (a mask without pixels), "no grain" (under the
        shot) or "no scale". ``edges`` says whether the grain touches the edge of its image, so that it may be longer.

        ``best_long`` and ``best_short`` are sides of the rectangle where major / minor is 1.8 or more and major is
        above 1.02 or below 0.9 of the long side, else ``major`` and ``minor``. Their standard uncertainty is
        √((n u(s))² + (s u(n))²) for n pixels of s µm, u(n) being √(2/3) / 2: either end is known to half a pixel.

    Raises
    ------
    ValueError, TypeError
        If the source is none of these, or `scale` or `shots` do not fit it.
    FormatError
        If a file cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.studies.zircon import measure
    >>> image = np.zeros((40, 60), np.uint8)
    >>> image[10:20, 5:45] = 1
    >>> grain = measure(image, scale=2.0).row(0)
    >>> grain["best_long"], grain["best_short"], grain["best_axes"], grain["status"]
    (80.0, 20.0, 'minimum circumscribing rectangle', 'ok')
    """
    dataset = as_dataset(source, options)
    cut = None if clips is None else clips_of(dataset, Path(clips))
    pixel = _pixels(dataset, scale, cut)
    um = pixel.mean(axis=1)
    rows: NDArray[np.int64] = np.arange(len(dataset.instances))
    image = dataset.instances["image"]
    distance = np.full(len(rows), np.nan)
    if shot:
        rows, distance = _under_shots(dataset, _shots(dataset, shots), reach)
        image = np.arange(len(dataset.images))
    elif shots is not None or reach is not None:
        raise ValueError("shots and reach are for shot=True")
    if not math.isfinite(scale_uncertainty) or scale_uncertainty < 0:
        raise ValueError(f"scale_uncertainty must be 0 or more, not {scale_uncertainty}")
    columns = _columns(dataset, rows, pixel[image], scale_uncertainty)
    if cut is not None:
        columns["edges"] |= _at_padding(dataset, rows, image, cut)
    own = "given" if scale is not None else "images" if cut is None else ".Align"
    columns |= {
        "analysis": np.array(_names(dataset, rows, image, shot, cut), object),
        "image": dataset.images["file_name"][image],
        "scale": um[image],
        "scale_from": np.where(np.isnan(um[image]), "", own).astype(object),
        "distance": distance,
    }
    return Table({name: columns[name] for name in HEADINGS}, len(rows))


def best_axes(
    major: ArrayLike, minor: ArrayLike, rectangle_long: ArrayLike, rectangle_short: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """The axes to be trusted, long and short, and whether they are the rectangle's."""
    a, b, long, short = (np.asarray(v, float) for v in (major, minor, rectangle_long, rectangle_short))
    # Multiplied, as minor may be 0.
    rectangle = (a >= 1.8 * b) & ((a > 1.02 * long) | (a < 0.9 * long))
    return np.where(rectangle, long, a), np.where(rectangle, short, b), rectangle


def write_measurements(table: Table, path: Path) -> None:
    """CSV with the original's headings and maskmill's behind them: UTF-8 with a byte order mark, empty where NaN."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(HEADINGS.values())
    for row in table:
        cells = {k: "" if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
        if row["status"] == "no grain":
            cells |= dict.fromkeys(("edges", "holes", "components", "pixels"), "")
        out.writerow(cells[name] for name in HEADINGS)
    with written_whole(path) as file:
        file.write(text.getvalue().encode("utf-8-sig"))


def _at_padding(
    dataset: Dataset, rows: NDArray[np.int64], image: NDArray[np.int64], cut: Sequence[Clip]
) -> NDArray[np.bool_]:
    """Whether a grain reaches to where its mosaic ended, or beyond."""
    left, top, right, bottom = np.array([clip.padding for clip in cut], np.float64).reshape(-1, 4)[image].T
    width, height = dataset.images["width"][image], dataset.images["height"][image]
    x, y, w, h = dataset.masks.bbox[rows].T if len(dataset.masks) else np.zeros((4, len(rows)))
    beyond = (x <= left) | (y <= top) | (x + w >= width - right) | (y + h >= height - bottom)
    return np.asarray(beyond & (w > 0) & (rows >= 0))


def _pixels(dataset: Dataset, scale: ArrayLike | None, cut: Sequence[Clip] | None) -> NDArray[np.float64]:
    """(images, 2) width and height of a pixel in µm."""
    if scale is None and cut is not None:
        sides = [(clip.sx, clip.sy) if clip.unit == "µm" else (np.nan, np.nan) for clip in cut]
        return np.array(sides, np.float64).reshape(-1, 2)
    return np.repeat(scales_of(dataset, scale)[:, None], 2, axis=1)


def _names(
    dataset: Dataset,
    rows: NDArray[np.int64],
    image: NDArray[np.int64],
    shot: bool,
    cut: Sequence[Clip] | None,
) -> list[str]:
    """Sample and shot, or the image's name without suffix; behind it, of all grains, the instance's id."""
    files = [PurePosixPath(str(name).replace("\\", "/")).name for name in dataset.images["file_name"]]
    stems = [
        name.rpartition(".")[0] or name or f"image {i}"
        for name, i in zip(files, dataset.images["id"].tolist(), strict=True)
    ]
    if cut is not None:
        stems = [f"{clip.sample}-{clip.shot}" for clip in cut]
    if shot:
        return [stems[i] for i in image.tolist()]
    ids = dataset.instances["id"][rows].tolist()
    return [f"{stems[i]}-{number}" for i, number in zip(image.tolist(), ids, strict=True)]


def _columns(
    dataset: Dataset, rows: NDArray[np.int64], pixel: NDArray[np.float64], um_uncertainty: float
) -> dict[str, NDArray[Any]]:
    """Of instances, -1 for none."""
    n, um = len(rows), pixel.mean(axis=1)
    there = np.flatnonzero(rows >= 0)
    found = measures.measure(dataset.masks[rows[there]], largest=True, scale=pixel[there])
    out: dict[str, NDArray[Any]] = {name: np.full(n, np.nan) for name in MEASURED}
    out |= {name: np.zeros(n, np.int64) for name in ("pixels", "holes", "components")}
    out["edges"] = np.zeros(n, bool)
    for name, column in out.items():
        column[there] = found[name] if name != "edges" else found[name] != 0
    empty = out["pixels"] == 0
    for name in ("area", "convex_area"):
        out[name][empty] = np.nan
    out["orientation"] = np.degrees(out["orientation"])
    long, short, rectangle = best_axes(
        *(out[k] for k in ("major", "minor", "rectangle_long", "rectangle_short"))
    )
    out |= {"best_long": long, "best_short": short}
    for name in ("best_long", "best_short"):
        out[f"{name}_uncertainty"] = np.hypot(out[name] / um * um_uncertainty, um * END)
    out["best_axes"] = np.where(np.isnan(long), "", np.where(rectangle, RECTANGLE, MOMENTS)).astype(object)
    status = np.where(out["minor"] > 0, "ok", "thin").astype(object)
    status[np.isnan(um)] = "no scale"
    status[empty] = "empty"
    status[rows < 0] = "no grain"
    for name in ("best_long_uncertainty", "best_short_uncertainty"):
        out[name][empty] = np.nan
    return {**out, "status": status}


# The grain under the shot


def _shots(dataset: Dataset, shots: ArrayLike | None) -> NDArray[np.float64]:
    n = len(dataset.images)
    sides = np.stack([dataset.images["width"], dataset.images["height"]], 1)
    if shots is None:
        return sides / 2
    given = on_host(shots, "shots", np.float64)
    if given.shape != (n, 2):
        raise ValueError(f"shots must have shape ({n}, 2), x and y for each image, not {given.shape}")
    outside = ~((given >= 0) & (given < np.maximum(sides, 1))).all(1)
    if outside.any():
        i = int(outside.argmax())
        raise ValueError(f"shots: {given[i].tolist()} must be within image {i}, which is {sides[i].tolist()}")
    return given


def _under_shots(
    dataset: Dataset, shots: NDArray[np.float64], reach: float | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each image the instance under the shot, -1 for none, and how far it is from it in pixels."""
    if reach is not None and not 0 <= reach <= 4096:
        raise ValueError(f"reach must be within 0 and 4096 pixels, not {reach}")
    found = np.full(len(shots), -1)
    distance = np.full(len(shots), np.nan)
    for i, (x, y) in enumerate(np.floor(shots).astype(np.int64).tolist()):
        height = int(dataset.images["height"][i])
        far = min(20 * max(1, round(height / 150)), 4096) if reach is None else reach
        rows = dataset.rows_of_image(i)
        squares = _squared_distances(dataset.masks[rows], x, y, math.floor(far))
        near = np.flatnonzero(squares <= far * far)
        if len(near):
            area = dataset.masks[rows[near]].area.astype(np.int64)
            best = near[np.lexsort([-area, squares[near]])[0]]
            found[i], distance[i] = rows[best], math.sqrt(squares[best])
    return found, distance


def _squared_distances(masks: Masks, x: int, y: int, far: int) -> NDArray[np.float64]:
    """From the centre of a pixel to the nearest pixel centre of each mask; infinite beyond `far` in x or y."""
    out = np.full(len(masks), np.inf)
    if not len(masks):
        return out
    box = masks.bbox
    low, high = box[:, :2] - [x, y], box[:, :2] + box[:, 2:] - 1 - [x, y]
    gap = np.maximum(np.maximum(low, -high), 0).max(1)
    steps = np.arange(-far, far + 1)
    square = (steps**2)[:, None] + steps**2
    side = 2 * far + 1
    # From the nearest box on: most masks are too far to be looked at.
    for k in np.argsort(gap, kind="stable").tolist():
        if gap[k] > far or gap[k] ** 2 > out.min() or box[k, 2] == 0:
            continue
        window = masks[k].crop([x - far, y - far, side, side]).decode()[0]
        out[k] = square[window != 0].min(initial=2 * (far + 1) ** 2) if window.any() else np.inf
    return out
