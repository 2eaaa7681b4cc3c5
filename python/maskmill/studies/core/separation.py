"""Clasts that touch are parted: by erosion and growing back, or by watersheds of the distance to their edge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import need
from maskmill.masks import Masks

WAYS = ("erosion", "watershed")


def by_erosion(masks: Masks, steps: int, *, regrow: bool = True) -> tuple[Masks, NDArray[np.int64]]:
    """Part masks where they are thinner than about 2 `steps` pixels; what is as thin everywhere vanishes.

    Every mask loses its edge `steps` times by a cross of 3 x 3 (the edge of the image takes nothing away); what then
    are different 8-connected parts grow back within the mask, each pixel to the nearest part. No part leaves its mask.

    Parameters
    ----------
    masks : Masks
        That share no pixel, of one image.
    steps : int
    regrow : bool
        Grow over the whole mask; otherwise only by `steps` (in city blocks), so that the parts together are the opened
        mask.

    Returns
    -------
    parts : Masks
    of : (M,) int64, rising
        The mask that each is part of.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import Masks
    >>> from maskmill.studies.core.separation import by_erosion
    >>> two = np.zeros((9, 21), bool)
    >>> two[:, :9] = two[:, 12:] = two[4] = True            # two squares, and a bridge of one pixel
    >>> parts, of = by_erosion(Masks.encode(two), 2)
    >>> parts.area.tolist(), of.tolist(), int(two.sum())
    ([83, 82], [0, 0], 165)
    """
    if steps < 1:
        raise ValueError(f"steps must be 1 or more, not {steps}")
    if not len(masks):
        return masks, np.empty(0, np.int64)
    cores = masks
    for _ in range(steps):
        cores = cores.erode(1, shape="disc", border=False)
    seeds, of = cores.components(connectivity=8)
    if not len(seeds):
        return seeds, of
    numbers = seeds.labels().astype(np.int32)
    out = np.zeros_like(numbers)
    for box, mask in _each(masks):
        inside = np.where(mask, numbers[box], 0)
        if inside.any():
            grown = np.where(mask, _nearest(inside, None if regrow else steps), 0)
            out[box] = np.where(grown > 0, grown, out[box])
    parts, values = Masks.from_labels(out)
    return parts, of[values - 1]


def by_watershed(masks: Masks, radius: int) -> tuple[Masks, NDArray[np.int64]]:
    """Part masks along the watersheds of the distance to their edge, of which peaks are at least `radius` apart.

    Parameters and returns as `by_erosion`. Needs scikit-image. Peaks of the smoothed distance, plateaus counted once.
    """
    if radius < 1:
        raise ValueError(f"radius must be 1 or more, not {radius}")
    if not len(masks):
        return masks, np.empty(0, np.int64)
    import cv2

    watershed = need("skimage.segmentation", "core").watershed
    peaks_of = need("skimage.feature", "core").peak_local_max
    out = np.zeros(tuple(masks.sizes[0].tolist()), np.int32)
    of, n = [], 0
    for i, (box, mask) in enumerate(_each(masks)):
        edged = np.pad(mask, 1).astype(np.uint8)
        distance = cv2.distanceTransform(edged, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        distance = cv2.GaussianBlur(distance, (0, 0), max(radius / 4, 0.5))[1:-1, 1:-1]
        peaks = peaks_of(distance, min_distance=radius, labels=mask.astype(np.int32), exclude_border=False)
        if not len(peaks):
            continue
        markers = np.zeros(mask.shape, np.int32)
        markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        parts = watershed(-distance, markers, mask=mask)
        out[box] = np.where(parts > 0, parts + n, out[box])
        of += [i] * len(peaks)
        n += len(peaks)
    found, values = Masks.from_labels(out)
    return found, np.asarray(of, np.int64)[values - 1]


def _each(masks: Masks) -> Iterator[tuple[tuple[slice, slice], NDArray[np.bool_]]]:
    """Where each mask is, and its pixels there."""
    numbers: NDArray[Any] = masks.labels()
    for i, (x, y, w, h) in enumerate(masks.bbox.astype(np.int64).tolist(), 1):
        box = (slice(y, y + h), slice(x, x + w))
        yield box, numbers[box] == i


def _nearest(seeds: NDArray[np.int32], most: int | None) -> NDArray[np.int32]:
    """The number of the nearest seed of every pixel; 0 where it is farther than `most` city blocks."""
    import cv2

    metric, size = (
        (cv2.DIST_L2, cv2.DIST_MASK_5) if most is None else (cv2.DIST_L1, cv2.DIST_MASK_3)
    )  # OpenCV tells which seed is nearest for these sizes of masks only
    distance, nearest = cv2.distanceTransformWithLabels(
        (seeds == 0).astype(np.uint8), metric, size, labelType=cv2.DIST_LABEL_PIXEL
    )
    number_of = np.zeros(int(nearest.max()) + 1, np.int32)
    number_of[nearest[seeds > 0]] = seeds[seeds > 0]
    grown: NDArray[np.int32] = number_of[nearest]
    return grown if most is None else np.where(distance <= most, grown, 0)
