"""What the cases are given: made of numbers, the same everywhere."""

from __future__ import annotations

import numpy as np

from maskmill import Masks, polygons, rle


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(20260000 + seed)


def discs(n: int, height: int, width: int, low: float = 0.05, high: float = 0.25, seed: int = 0) -> Masks:
    """n ellipses with half axes of low to high times the image's sides, anywhere in the image."""
    random = rng(seed)
    centres = random.uniform((0, 0), (width, height), (n, 2))
    radii = random.uniform(low, high, (n, 2)) * (width, height)
    return Masks(*polygons.ellipses(centres, radii, random.uniform(0, 3, n), (height, width)))


def images(masks: Masks, order: str = "C") -> np.ndarray:
    """(N, H, W) bool; rows first in memory, or columns ("F")."""
    n, (height, width) = len(masks), masks.sizes[0].tolist()
    if order == "C":
        out = np.empty((n, height, width), np.uint8)
    else:
        out = np.empty((n, width, height), np.uint8).transpose(0, 2, 1)
    return rle.decode(*masks._arrays, out=out).view(bool)


def speckled(n: int, height: int, width: int) -> np.ndarray:
    """(N, H, W) bool: blocks and speckles, the worst that run lengths meet."""
    random = rng(1)
    blocks = random.integers(0, 2, (n, -(-height // 8), -(-width // 8)), np.uint8).repeat(8, 1).repeat(8, 2)
    speckles = random.integers(0, 256, (n, height, width), np.uint8) < 5
    return (blocks[:, :height, :width] > 0) ^ speckles


def noise(*shape: int) -> np.ndarray:
    return rng(20).integers(0, 256, shape, np.uint8)


def instances(side: int) -> np.ndarray:
    """(side, side) int32: a disc in each square of 64 x 64, numbered."""
    y, x = np.mgrid[: min(side, 64), : min(side, 64)]
    inside = np.tile((y - 32) ** 2 + (x - 32) ** 2 < 800, (-(-side // 64), -(-side // 64)))[:side, :side]
    across = np.arange(side) // 64
    return np.where(inside, across[:, None] * (across[-1] + 1) + across + 1, 0).astype(np.int32)
