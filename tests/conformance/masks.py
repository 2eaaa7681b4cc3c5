"""Masks and polygons to try."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.harness import OWN, REF

Rle = dict[str, Any]


def rle(h: int, w: int, counts: list[int], kind: type = bytes) -> Rle:
    """An RLE of these runs, whatever they say."""
    # By ours: pycocotools writes beyond its memory if there are no counts, or large ones.
    made: Rle = OWN.mask.frPyObjects({"size": [h, w], "counts": counts}, h, w)
    if kind is str:
        made["counts"] = made["counts"].decode()
    return made


def of(rows: list[list[int]], kind: type = bytes) -> Rle:
    """An RLE of an image given by its rows."""
    made = REF.mask.encode(np.asfortranarray(rows, np.uint8))
    if kind is str:
        made["counts"] = made["counts"].decode()
    return made


def box(h: int, w: int, x: int, y: int, width: int, height: int) -> Rle:
    """An RLE of a filled rectangle."""
    image = np.zeros((h, w), np.uint8)
    image[y : y + height, x : x + width] = 1
    return of(image.tolist())


def noise(h: int, w: int, n: int, seed: int = 0, density: float = 0.5) -> np.ndarray:
    """(h, w, n) uint8, Fortran: random pixels of 0 and 1."""
    return np.asfortranarray(np.random.default_rng(seed).random((h, w, n)) < density).astype(
        np.uint8, order="F"
    )


def noises(h: int, w: int, n: int, seed: int = 0, density: float = 0.5) -> list[Rle]:
    made: list[Rle] = REF.mask.encode(noise(h, w, n, seed, density))
    return made


L = [[0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 1, 1, 0]]
"""A small shape of two columns' width and more, off the border."""

TRIANGLE = [1.5, 1.2, 7.8, 2.1, 4.4, 8.9]
SQUARE = [2, 2, 7, 2, 7, 6, 2, 6]
STAR = [5, 0, 6.2, 3.5, 10, 3.5, 7, 6, 8, 10, 5, 7.5, 2, 10, 3, 6, 0, 3.5, 3.8, 3.5]
BOWTIE = [0, 0, 8, 8, 8, 0, 0, 8]
