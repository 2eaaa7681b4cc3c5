"""polygons: filling and simplifying."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskmill import polygons, rle

from . import rivals
from .measure import Cases, Race, Settings
from .workloads import OUTLINES, POLYGONS, Outlines, flat

CASES = Cases("polygons")
Lists = list[list[list[float]]]


@CASES.add("polygons_rasterize, coco", *POLYGONS)
def rasterize(rings: Lists, settings: Settings) -> Race:
    """Flat arrays in; the lists that rivals take are the drop-in's coco_from_polygons."""
    arrays = flat(rings)
    race = Race(read=arrays.points.nbytes)
    race.ours(
        settings,
        lambda backend: polygons.rasterize(arrays, (480, 640), backend=backend),
        rivals.ours_as_rles,
    )
    rivals.enter(race, settings, "polygons_rasterize", rings)
    return race


@CASES.add("polygons_rasterize, even-odd", *POLYGONS[:3])
def even_odd(rings: Lists, settings: Settings) -> Race:
    arrays = flat(rings)
    race = Race(read=arrays.points.nbytes)
    race.ours(
        settings,
        lambda backend: polygons.rasterize(arrays, (480, 640), "even-odd", backend=backend),
        rivals.ours_as_rles,
    )
    rivals.enter(race, settings, "polygons_rasterize_even_odd", rings)
    return race


def _areas(outlines: Outlines, rule: str, settings: Settings, race: Race) -> Race:
    def ours(backend: str) -> np.ndarray:
        counts, offsets, _ = polygons.rasterize(outlines.polygons, outlines.sizes, rule, backend=backend)
        return rle.area(counts, offsets)

    race.ours(settings, ours, np.ndarray.tolist)
    rivals.enter(race, settings, f"polygons_areas_{rule.replace('-', '_')}", outlines)
    return race


@CASES.add("polygons_rasterize and areas, coco", *OUTLINES)
def outlines_coco(outlines: Outlines, settings: Settings) -> Race:
    """Masks of outlines on images of their own sizes, and how many pixels they have."""
    return _areas(outlines, "coco", settings, Race(read=outlines.polygons.points.nbytes))


@CASES.add("polygons_rasterize and areas, skimage", *OUTLINES)
def outlines_skimage(outlines: Outlines, settings: Settings) -> Race:
    return _areas(outlines, "skimage", settings, Race(read=outlines.polygons.points.nbytes))


def _about_as_large(a: Sequence[int], b: Sequence[int]) -> bool:
    """OpenCV rounds corners and draws outlines: its masks are larger by about half an outline."""
    return len(a) == len(b) and bool(np.mean(np.abs(np.subtract(a, b))) < 0.15 * np.mean(a))


@CASES.add("polygons_rasterize and areas, even-odd", *OUTLINES)
def outlines_even_odd(outlines: Outlines, settings: Settings) -> Race:
    race = Race(read=outlines.polygons.points.nbytes, equal=_about_as_large)
    return _areas(outlines, "even-odd", settings, race)


def _about_as_many(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> bool:
    """As many rings, and as many points but for a tenth: each starts elsewhere, so that no two agree exactly."""
    points = sum(map(len, a)), sum(map(len, b))
    return len(a) == len(b) and abs(points[0] - points[1]) <= max(2 * len(a), 0.1 * points[0])


@CASES.add("polygons_simplify, 2 pixels", *POLYGONS)
def simplify(rings: Lists, settings: Settings) -> Race:
    arrays = flat(rings)
    race = Race(read=arrays.points.nbytes, equal=_about_as_many)
    race.ours(
        settings,
        lambda backend: polygons.simplify(arrays.points, arrays.rings, 2.0, backend=backend),
        lambda out: np.split(out[0], out[1][1:-1]),
    )
    separate = [arrays.points[a:b] for a, b in zip(arrays.rings, arrays.rings[1:], strict=False)]
    rivals.enter(race, settings, "polygons_simplify", separate, 2.0)
    return race
