"""What Doodler's versions wrote into `settings`, and the colours that it gives to classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_FIRST = ("pen_width", "crf_downsample", "rf_downsample", "crf_theta", "crf_mu")
_ERAS = {
    "2021-05-09, first version": (
        "pen_width", "crf_downsample", "rf_downsample", "crf_theta", "crf_mu",
        "n_estimators", "gt_prob", "sigma_min", "sigma_max",
    ),
    "2021-05-09 to 2021-06-20, random forest": (*_FIRST, "n_estimators", "gt_prob"),
    "2021-06-21 to 2021-09-29": (*_FIRST, "gt_prob"),
    "2021-09-30 to 2022-06-13, perceptron": (*_FIRST, "gt_prob", "n_sigmas"),
    "from 2022-06-14": (*_FIRST, "gt_prob", "n_sigmas"),
}  # fmt: skip
"""Names of the numbers, in their order, by when they were written."""


def named_settings(numbers: Sequence[float]) -> tuple[str, dict[str, float]]:
    """When settings were written, and their names; ("unknown", numbered ones) if no version wrote such.

    Vectors of seven are told apart by the last two: trees and a probability, a probability and a number of scales, or
    a probability that is always 1.

    >>> named_settings([3, 2, 4, 1, 1, 0.9, 2])[0]
    '2021-09-30 to 2022-06-13, perceptron'
    """
    first, forest, six, perceptron, last = _ERAS
    era = {9: first, 6: six}.get(len(numbers), "unknown")
    if len(numbers) == 7:
        a, b = numbers[5:]
        if a >= 1 and b < 1:
            era = forest
        elif 0.5 <= a < 1:
            era = perceptron
        elif a == 1 and b >= 2:
            era = last
    names = _ERAS.get(era, tuple(str(i) for i in range(len(numbers))))
    return era, dict(zip(names, numbers, strict=True))


_G10 = "3366CC DC3912 FF9900 109618 990099 0099C6 DD4477 66AA00 B82E2E 316395"
_LIGHT24 = (
    "FD3216 00FE35 6A76FC FED4C4 FE00CE 0DF9FF F6F926 FF9616 479B55 EEA6FB DC587D D626FF "
    "6E899C 00B5F7 B68E00 C9FBE5 FF0092 22FFA7 E3EE9E 86CE00 BC7196 7E7DCD FC6955 E48F72"
)


def colour_map(n: int) -> NDArray[np.uint8]:
    """(K, 3) RGB of the map for n classes: G10 of Plotly for up to 10, Light24 for up to 24.

    >>> colour_map(2)[0].tolist(), len(colour_map(11))
    ([51, 102, 204], 24)
    """
    if n > 24:
        raise ValueError(f"there are colours for up to 24 classes, not {n}")
    text = _G10 if n <= 10 else _LIGHT24
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, 3)


def coloured(doodles: NDArray[np.uint8], image: NDArray[np.uint8], n: int) -> NDArray[np.uint8]:
    """(H, W, 3): doodles as Doodler paints them.

    What is not drawn gets the last colour of the map, and pixels without any red are black.
    """
    colours = np.concatenate([colour_map(n)[-1:], colour_map(n)])
    red = image if image.ndim == 2 else image[..., 0]
    painted: NDArray[np.uint8] = colours[doodles] * (red != 0)[..., None].astype(np.uint8)
    return painted
