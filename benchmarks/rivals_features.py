"""Rivals for features. The same form as in rivals.py, which lists them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .measure import answer_itself

Operation = Callable[..., tuple[Callable[[], Any], Callable[[Any], Any]]]

DOODLER_SIGMAS = (1.0, 2.0, 4.0, 8.0, 16.0)


def scikit_image() -> dict[str, Operation]:
    from skimage.feature import multiscale_basic_features

    def bank(image: np.ndarray) -> Any:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return lambda: multiscale_basic_features(image, channel_axis=-1, workers=threads), answer_itself

    return {"features_bank": bank}


def doodler_engine() -> dict[str, Operation]:
    """Its function is called as `do_classify` calls it. Where memory is plenty, it uses processes."""
    from doodler_engine.image_segmentation import extract_features

    def bank(image: np.ndarray) -> Any:
        def call() -> Any:
            return extract_features(
                image, len(DOODLER_SIGMAS), sigma_min=DOODLER_SIGMAS[0], sigma_max=DOODLER_SIGMAS[-1]
            )

        def answer(found: Any) -> np.ndarray:
            maps = np.moveaxis(np.asarray(found), 0, -1).copy()
            maps[..., ::5] *= 2.0**63 - 1  # it has the location in units of the largest integer
            return maps

        return call, answer

    return {"features_doodler": bank}


def scipy() -> dict[str, Operation]:
    """The recipe of the core profile, with scikit-image's LAB."""
    from scipy.ndimage import gaussian_filter
    from skimage.color import rgb2lab

    def core(image: np.ndarray) -> Any:
        def call() -> np.ndarray:
            lab = rgb2lab(image)
            means = [gaussian_filter(lab, (s, s, 0)) for s in DOODLER_SIGMAS]
            squares = [gaussian_filter(lab * lab, (s, s, 0)) for s in DOODLER_SIGMAS]
            deviations = [np.sqrt(np.maximum(b - a * a, 0)) for a, b in zip(means, squares, strict=True)]
            return np.concatenate([lab, *means, *deviations], axis=-1)

        return call, answer_itself

    return {"features_core": core}
