"""Polygons as colab_zirc_dims saves them: one ring, without holes, in thousandths of the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskmill._files import need
from maskmill.masks import Masks
from maskmill.polygons import Polygons

LEAST_PIXELS = 10
"""Polygons of fewer pixels are none when they are read."""


def legacy_polygons(masks: Masks, scales: NDArray[np.float64]) -> Polygons:
    """Of each mask the largest 8-connected part with its holes filled, by the original's steps.

    The iso-contour at 0.5 between pixel centres, simplified with a tolerance of 1 µm, in shares of the image's width
    and height, rounded to 3 decimals: a grid of 1.28 pixels on an image of 1280. Vertices are given in pixels as the
    original reads them again, that is for the rule "skimage", in which pixel (y, x) is the point (x, y).

    Parameters
    ----------
    scales : (N,) float64, µm per pixel
    """
    measure = need("skimage.measure", "zircon")
    rings: list[list[NDArray[np.float64]]] = []
    boxes = masks.bbox.astype(np.int64)
    for mask, (x, y, width, height), scale in zip(masks, boxes.tolist(), scales.tolist(), strict=True):
        rings.append([])
        if width == 0:
            continue
        parts = mask.crop((x - 1, y - 1, width + 2, height + 2)).components(8)[0]
        image = parts[int(parts.area.argmax())].fill_holes(4).decode()[0]
        contour = measure.find_contours(image, 0.5, fully_connected="high")[0] + np.array([y - 1, x - 1])
        if (contour[0] != contour[-1]).any():
            contour = np.concatenate([contour, contour[:1]])
        short = measure.approximate_polygon(contour, 1.0 / scale)
        sides = masks.sizes[len(rings) - 1]
        shares = np.clip(np.round(np.flip(short / sides, axis=1), 3), 0, 1)
        rings[-1].append(shares * np.flip(sides))
    return _readable(Polygons.from_lists(rings), masks)


def _readable(polygons: Polygons, masks: Masks) -> Polygons:
    """Without those that the original would not read."""
    filled = Masks.from_polygons(polygons, masks.sizes, rule="skimage")
    good = (filled.area >= LEAST_PIXELS).tolist()
    kept = [
        rings if ok and rings and len(rings[0]) >= 3 else [] for rings, ok in zip(polygons, good, strict=True)
    ]
    return Polygons.from_lists(kept)
