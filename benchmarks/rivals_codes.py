"""Rivals for packed codes: who else finds near ones. The same form as in rivals.py, which lists them.

Codes are (N, words) uint64. Pairs are compared as columns i < j, distance; nearest as distances, because rivals choose
among equals as they like; greedy as kept items and exemplars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Operation = Callable[..., tuple[Callable[[], Any], Callable[[Any], Any]]]


def _bytes(codes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(codes).view(np.uint8)


def _sorted_pairs(i: np.ndarray, j: np.ndarray, distance: np.ndarray) -> list[np.ndarray]:
    """Of pairs in any order, both ways and with themselves."""
    once = i < j
    i, j, distance = (np.asarray(column)[once].astype(np.int64) for column in (i, j, distance))
    order = np.lexsort([j, i])
    return [i[order], j[order], distance[order]]


def numpy() -> dict[str, Operation]:
    def greedy(codes: np.ndarray, radius: int) -> Any:
        """The loop of the CEM script: bits as rows of bools, and all that remain compared with each exemplar."""
        bits = np.unpackbits(_bytes(codes), axis=1).astype(bool)

        def call() -> tuple[np.ndarray, np.ndarray]:
            hashes, items = bits, np.arange(len(bits))
            kept, exemplar = [], np.empty(len(bits), np.int64)
            while len(hashes):
                near = np.logical_xor(hashes[0], hashes).sum(1) <= radius
                kept.append(items[0])
                exemplar[items[near]] = items[0]
                hashes, items = hashes[~near], items[~near]
            return np.array(kept), exemplar

        return call, list

    return {"hamming_greedy": greedy}
