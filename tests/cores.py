"""A core that tests draw: clasts whose classes, areas, angles and depths are known, in a textured matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Clast(NamedTuple):
    number: int
    row: float
    column: float
    long: float
    """Half axes in pixels."""
    short: float
    dip: float
    """Degrees of the long axis below the horizontal, positive to the right."""


CLASTS = (
    Clast(1, 60, 60, 34, 20, 0),
    Clast(1, 330, 130, 30, 18, 30),
    Clast(1, 180, 60, 28, 16, -50),
    Clast(2, 120, 140, 30, 22, 90),
    Clast(2, 260, 60, 36, 18, 15),
    Clast(2, 410, 60, 30, 20, -20),
)
MATRIX = 3
COLOURS = {1: (205, 180, 145), 2: (60, 70, 75), 3: (125, 130, 118)}
SIZE = (480, 200)


def inside(clast: Clast, size: tuple[int, int] = SIZE, grow: float = 0.0) -> NDArray[np.bool_]:
    """Pixels whose centre is in the ellipse."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    along = np.radians(clast.dip)
    dy, dx = y - clast.row, x - clast.column
    u, v = dx * np.cos(along) + dy * np.sin(along), -dx * np.sin(along) + dy * np.cos(along)
    found: NDArray[np.bool_] = (u / (clast.long + grow)) ** 2 + (v / (clast.short + grow)) ** 2 < 1
    return found


def truth() -> NDArray[np.uint8]:
    out = np.full(SIZE, MATRIX, np.uint8)
    for clast in CLASTS:
        out[inside(clast)] = clast.number
    return out


def photo(seed: int = 0) -> NDArray[np.uint8]:
    """Each class has its colour and its grain."""
    classes = truth()
    random = np.random.default_rng(seed)
    image = np.array([COLOURS[1], *COLOURS.values()], np.float64)[classes]
    grain = random.normal(0, 1, (SIZE[0] // 2, SIZE[1] // 2)).repeat(2, 0).repeat(2, 1)
    image += (np.array([0, 4, 12, 20])[classes] * grain)[..., None]
    return np.clip(image + random.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def strokes() -> NDArray[np.uint8]:
    """The middle of each clast, and of the matrix a thin line around each and three strips."""
    out = np.zeros(SIZE, np.uint8)
    for row in (5, 215, 460):
        out[row : row + 10, 100:190] = MATRIX
    for clast in CLASTS:
        out[inside(clast, grow=8) & ~inside(clast, grow=5)] = MATRIX
    for clast in CLASTS:
        out[inside(clast, grow=-6)] = clast.number
    out[truth() != out] = 0
    return out
