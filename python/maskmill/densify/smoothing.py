"""A dense CRF behind the classifier (Kraehenbuehl and Koltun 2011, arXiv:1210.5644)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill import crf


def smoothed(
    probabilities: NDArray[Any],
    image: Any,
    arguments: Mapping[str, Any],
    pinned: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """(H, W, L) probabilities after `maskmill.crf.refine` with these arguments, or its defaults.

    `pinned` (H, W) has the index of the class of pixels that keep it, and -1 elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.densify.smoothing import smoothed
    >>> p = np.full((9, 9, 2), (0.9, 0.1), np.float32)
    >>> p[4, 4] = 0.4, 0.6
    >>> smoothed(p, np.zeros((9, 9, 3), np.uint8), {}).argmax(axis=2)[4].tolist()
    [0, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    unary = energies(probabilities)
    if pinned is not None:
        y, x = np.nonzero(pinned >= 0)
        unary[:, y, x] = np.inf  # forbids the others
        unary[pinned[y, x], y, x] = 0
    refined = crf.refine(unary, levels(image), **arguments)
    return np.ascontiguousarray(np.moveaxis(refined, 0, 2))


def energies(probabilities: NDArray[Any]) -> NDArray[np.float32]:
    """(L, H, W) -ln p."""
    return crf.unary_from_probabilities(np.moveaxis(probabilities, 2, 0))


def levels(image: Any) -> NDArray[Any]:
    """An image as CRFs are tuned to, 0 to 255: integers by the range of their type, floats from 0 to 1 times 255."""
    pixels = np.asarray(image[:, :])
    if pixels.dtype == np.uint8:
        return pixels
    values = pixels.astype(np.float32)
    if pixels.dtype.kind != "f":
        return values * np.float32(255 / (1 if pixels.dtype == bool else np.iinfo(pixels.dtype).max))
    return values * 255 if 0 <= values.min() <= values.max() <= 1 else values
