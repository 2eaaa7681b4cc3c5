"""Rivals for measures. The same form as in rivals.py, which lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .measure import answer_itself

Operation = Callable[..., tuple[Callable[[], Any], Callable[[Any], Any]]]

PROPERTIES = {
    "pixels": "area",
    "convex_pixels": "area_convex",
    "eccentricity": "eccentricity",
    "equivalent_diameter": "equivalent_diameter_area",
    "perimeter": "perimeter",
    "major": "axis_major_length",
    "minor": "axis_minor_length",
}
"""What scikit-image calls them."""


def colab_zirc_dims() -> dict[str, Operation]:
    """What colab_zirc_dims does to each grain, written anew from its description: components of the whole image,
    properties of the largest, OpenCV's rectangle around the contour of its hull's image."""
    import cv2
    from skimage.measure import find_contours, label, regionprops

    def measure(mask: np.ndarray) -> list[float]:
        largest = max(regionprops(label(mask, connectivity=2)), key=lambda part: part.area)
        hull = np.pad(largest.image_convex, 1).astype(float)
        contour = find_contours(hull, 0.5, fully_connected="high")[0]
        sides = cv2.minAreaRect(contour.astype(np.float32))[1]
        return [*(largest[name] for name in PROPERTIES.values()), max(sides), min(sides)]

    def grains(labels: np.ndarray) -> Any:
        masks = [labels == value for value in np.unique(labels)[1:]]
        return lambda: [measure(mask) for mask in masks], np.array

    return {"measures_grains": grains}


def scikit_image() -> dict[str, Operation]:
    from skimage.measure import regionprops_table

    def table(labels: np.ndarray) -> Any:
        def call() -> np.ndarray:
            found = regionprops_table(labels, properties=tuple(PROPERTIES.values()))
            return np.stack([found[name] for name in PROPERTIES.values()], axis=1)

        return call, answer_itself

    return {"measures_labels": table}
