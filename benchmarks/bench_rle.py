"""rle: dense <-> runs <-> strings <-> label images."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill import Masks, rle

from . import rivals
from .measure import Cases, Race, Settings
from .workloads import LABELS, STACKS, Stack

CASES = Cases("rle")


def _encode(stack: Stack, settings: Settings, images: np.ndarray, operation: str) -> Race:
    race = Race(read=stack.nhw.nbytes, written=stack.masks.counts.nbytes)
    race.ours(settings, lambda backend: rle.encode(images, backend=backend), rivals.ours_as_rles)
    rivals.enter(race, settings, operation, stack)
    return race


@CASES.add("rle_encode", *STACKS)
def encode(stack: Stack, settings: Settings) -> Race:
    return _encode(stack, settings, stack.nhw, "rle_encode")


@CASES.add("rle_encode, row-major", *STACKS)
def encode_rows(stack: Stack, settings: Settings) -> Race:
    return _encode(stack, settings, stack.rows, "rle_encode_rows")


@CASES.add("rle_decode", *STACKS)
def decode(stack: Stack, settings: Settings) -> Race:
    """A new array each time: getting its pages from the system is most of the time."""
    arrays = stack.masks._arrays
    race = Race(read=stack.masks.counts.nbytes, written=stack.nhw.nbytes)
    race.ours(settings, lambda b: rle.decode(*arrays, backend=b), lambda out: out.transpose(1, 2, 0))
    rivals.enter(race, settings, "rle_decode", stack)
    return race


@CASES.add("rle_decode, into a buffer", *STACKS)
def decode_out(stack: Stack, settings: Settings) -> Race:
    """Rivals without `out` make new arrays."""
    arrays = stack.masks._arrays
    out = np.empty((stack.n, stack.width, stack.height), np.uint8).transpose(0, 2, 1)
    race = Race(read=stack.masks.counts.nbytes, written=out.nbytes)
    race.ours(settings, lambda b: rle.decode(*arrays, out=out, backend=b), lambda out: out.transpose(1, 2, 0))
    rivals.enter(race, settings, "rle_decode", stack)
    if "rlemasklib" in race.contestants:
        del race.contestants["rlemasklib"]
    rivals.enter(race, settings, "rle_decode_out", stack)
    return race


@CASES.add("rle_area", *STACKS)
def area(stack: Stack, settings: Settings) -> Race:
    """Rivals but rlemasklib parse strings first."""
    counts, offsets, _ = stack.masks._arrays
    race = Race(read=counts.nbytes)
    race.ours(settings, lambda backend: rle.area(counts, offsets, backend=backend))
    rivals.enter(race, settings, "rle_area", stack)
    return race


@CASES.add("rle_bbox", *STACKS)
def bbox(stack: Stack, settings: Settings) -> Race:
    arrays = stack.masks._arrays
    race = Race(read=stack.masks.counts.nbytes)
    race.ours(settings, lambda backend: rle.bbox(*arrays, backend=backend))
    rivals.enter(race, settings, "rle_bbox", stack)
    return race


@CASES.add("rle_to_string", *STACKS)
def to_string(stack: Stack, settings: Settings) -> Race:
    counts, offsets, _ = stack.masks._arrays
    race = Race(read=counts.nbytes, written=sum(len(r["counts"]) for r in stack.rles))

    def answer(strings: list[bytes]) -> Any:
        return [(stack.height, stack.width, string) for string in strings]

    race.ours(settings, lambda backend: rle.to_strings(counts, offsets, backend=backend), answer)
    rivals.enter(race, settings, "rle_to_string", stack)
    return race


@CASES.add("rle_from_string", *STACKS)
def from_string(stack: Stack, settings: Settings) -> Race:
    strings = [r["counts"] for r in stack.rles]
    race = Race(read=sum(map(len, strings)), written=stack.masks.counts.nbytes)

    def answer(out: Any) -> Any:
        return rivals.ours_as_rles((*out, stack.masks.sizes))

    race.ours(settings, lambda backend: rle.from_strings(strings, backend=backend), answer)
    rivals.enter(race, settings, "rle_from_string", stack)
    return race


@CASES.add("rle_from_labels", *LABELS)
def from_labels(labels: list[np.ndarray], settings: Settings) -> Race:
    race = Race(read=sum(image.nbytes for image in labels))

    def answer(out: list[Any]) -> Any:
        return [item for arrays in out for item in rivals.ours_as_rles(arrays[:3])]

    race.ours(settings, lambda b: [rle.from_labels(image, backend=b) for image in labels], answer)
    if _bearable(labels):
        rivals.enter(race, settings, "rle_from_labels", labels)
    return race


@CASES.add("rle_to_labels", *LABELS)
def to_labels(labels: list[np.ndarray], settings: Settings) -> Race:
    masks = [found for found, _ in map(Masks.from_labels, labels) if len(found)]
    values = [np.arange(1, len(m) + 1) for m in masks]
    types = [np.min_scalar_type(len(m)) for m in masks]
    race = Race(written=sum(image.size * t.itemsize for image, t in zip(labels, types, strict=False)))

    def call(backend: str) -> list[np.ndarray]:
        return [
            rle.to_labels(*m._arrays, v, np.zeros(m.sizes[0], t), backend=backend)
            for m, v, t in zip(masks, values, types, strict=True)
        ]

    race.ours(settings, call)
    if _bearable(labels):
        rivals.enter(race, settings, "rle_to_labels", masks)
    return race


def _bearable(labels: list[np.ndarray]) -> bool:
    """Whether rivals, who look at the whole image for every instance, end within minutes."""
    return max(int(image.max()) for image in labels) < 1000
