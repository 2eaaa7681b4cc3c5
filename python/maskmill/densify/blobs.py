"""Painted pixels by the strokes they are of, and parts of them to hold out.

Neighbouring pixels look alike: a classifier that has seen one knows the other. Whether it knows the class is only seen
on strokes (blobs) of which it has seen no pixel (Roberts et al. 2017, doi:10.1111/ecog.02881, of spatial data).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskmill.masks import Masks


@dataclass(frozen=True)
class Painted:
    """Painted pixels of images, one after the other.

    Attributes
    ----------
    image : (N,) int64
    at : (N, 2) int64
        Rows and columns.
    target : (N,) int64
        Index of the class in `classes`.
    blob : (N,) int64
        Number of the stroke among those of all images, from 1.
    classes : (L,) int64
        Labels, rising.
    """

    image: NDArray[np.int64]
    at: NDArray[np.int64]
    target: NDArray[np.int64]
    blob: NDArray[np.int64]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: NDArray[Any]) -> Painted:
        return Painted(self.image[rows], self.at[rows], self.target[rows], self.blob[rows], self.classes)

    def blobs_of(self, k: int) -> NDArray[np.int64]:
        """Numbers of the blobs of class k, rising."""
        return np.unique(self.blob[self.target == k])


def blobs(labels: NDArray[Any]) -> NDArray[np.int64]:
    """4-connected parts of equal label of an (H, W) label image, numbered from 1 in the order of their first pixels.

    Examples
    --------
    >>> blobs(np.array([[3, 0, 5], [3, 5, 5], [0, 3, 0]]))
    array([[1, 0, 2],
           [1, 2, 2],
           [0, 3, 0]])
    """
    masks, _ = Masks.from_labels(labels)
    parts, _ = masks.components(4)
    out = np.zeros(labels.shape, np.int64)
    if len(parts):
        parts.labels(np.arange(1, len(parts) + 1), out=out)
    found, first = np.unique(out, return_index=True)
    number = np.zeros(len(parts) + 1, np.int64)
    in_order = found[np.argsort(first, kind="stable")]
    number[in_order[in_order > 0]] = np.arange(1, len(parts) + 1)
    return number[out]


def painted(labels: Sequence[NDArray[Any]]) -> Painted:
    """All painted pixels of label images, in order of images and rows."""
    image, at, value, blob = [], [], [], []
    before = 0
    for i, array in enumerate(labels):
        where = np.argwhere(array)
        numbers = blobs(array)[where[:, 0], where[:, 1]]
        image.append(np.full(len(where), i))
        at.append(where)
        value.append(array[where[:, 0], where[:, 1]].astype(np.int64))
        blob.append(numbers + before)
        before += int(numbers.max(initial=0))
    classes, target = np.unique(np.concatenate(value), return_inverse=True)
    return Painted(np.concatenate(image), np.concatenate(at), target, np.concatenate(blob), classes)


def capped(pixels: Painted, per_class: int | None, seed: int) -> Painted:
    """At most so many pixels of each class, drawn by `seed`, class by class."""
    random = np.random.default_rng(seed)
    rows = [random.permutation(np.flatnonzero(pixels.target == k)) for k in range(len(pixels.classes))]
    return pixels.take(np.concatenate([np.empty(0, np.int64), *(r[:per_class] for r in rows)]))


# Splits


class Split(NamedTuple):
    """Which pixels are for training, which for scoring; some are for neither."""

    training: NDArray[np.bool_]
    held_out: NDArray[np.bool_]
    name: str


def splits(
    pixels: Painted,
    blocks: str,
    *,
    count: int,
    seed: int,
    share: float,
    gap: int,
    sizes: Sequence[tuple[int, int]],
) -> Iterator[Split]:
    """Splits of painted pixels into those to train with and those to score with, as `evaluate` describes them."""
    if blocks == "blobs":
        for i in range(count):
            held = np.isin(pixels.blob, held_blobs(pixels, share, np.random.default_rng(seed + i)))
            yield Split(~held, held, f"split {i + 1}")
    elif blocks == "leave-one-out":
        for k in splittable(pixels):
            for blob in pixels.blobs_of(k).tolist():
                held = pixels.blob == blob
                yield Split(~held, held, f"blob {blob}")
    elif blocks == "pixels":
        for i in range(count):
            held = np.zeros(len(pixels), bool)
            order = np.random.default_rng(seed + i).permutation(len(pixels))
            held[order[: max(1, round(share * len(pixels)))]] = True
            yield Split(~held, held, f"split {i + 1}")
    else:
        yield from _along(pixels, count, gap, sizes)


def splittable(pixels: Painted) -> list[int]:
    """Classes with two blobs or more."""
    return [k for k in range(len(pixels.classes)) if len(pixels.blobs_of(k)) > 1]


def held_blobs(pixels: Painted, share: float, random: np.random.Generator) -> NDArray[np.int64]:
    """Of each class with two blobs or more a share of them, at least one and not all."""
    held = [np.empty(0, np.int64)]
    for k in splittable(pixels):
        numbers = random.permutation(pixels.blobs_of(k))
        held.append(numbers[: min(max(1, round(share * len(numbers))), len(numbers) - 1)])
    return np.concatenate(held)


def _along(pixels: Painted, count: int, gap: int, sizes: Sequence[tuple[int, int]]) -> Iterator[Split]:
    """Blocks of equal length along the longer axis of each image; each is held out once.

    Pixels of blobs that reach into the block are not trained with, nor those less than `gap` away from it.
    """
    axis = np.array([0 if h >= w else 1 for h, w in sizes])[pixels.image]
    length = np.array([max(size) for size in sizes])[pixels.image]
    place = np.where(axis == 0, pixels.at[:, 0], pixels.at[:, 1])
    for i in range(count):
        start, stop = length * i // count, length * (i + 1) // count
        held = (place >= start) & (place < stop)
        near = (place >= start - gap) & (place < stop + gap)
        training = ~near & ~np.isin(pixels.blob, pixels.blob[held])
        yield Split(training, held, f"block {i + 1}")
