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


def _left_out(reason: str) -> Any:
    """One who would fail, or take minutes: the row says why."""

    def call() -> Any:
        raise ValueError(reason)

    return call, list


def numpy() -> dict[str, Operation]:
    def greedy(codes: np.ndarray, radius: int) -> Any:
        """The loop of the CEM script: bits as rows of bools, and all that remain compared with each exemplar."""
        if len(codes) > 20_000:
            return _left_out("takes minutes")
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


def faiss() -> dict[str, Operation]:
    import faiss as module

    def index_of(codes: np.ndarray) -> Any:
        index = module.IndexBinaryFlat(64 * codes.shape[1])
        index.add(_bytes(codes))
        return index

    def pairs(codes: np.ndarray, radius: int) -> Any:
        rows, index = _bytes(codes), index_of(codes)

        def answer(out: Any) -> list[np.ndarray]:
            ends, distance, j = out
            i = np.repeat(np.arange(len(codes)), np.diff(ends.astype(np.int64)))
            return _sorted_pairs(i, j, distance)

        # Its radius is exclusive.
        return lambda: index.range_search(rows, radius + 1), answer

    def nearest(queries: np.ndarray, exemplars: np.ndarray) -> Any:
        rows, index = _bytes(queries), index_of(exemplars)
        return lambda: index.search(rows, 1), lambda out: out[0][:, 0].astype(np.int64)

    return {"hamming_pairs": pairs, "hamming_nearest": nearest}


def faiss_buckets() -> dict[str, Operation]:
    """Its hash tables of parts, told to look at enough of them: then it is exact."""
    import faiss as module

    def pairs(codes: np.ndarray, radius: int) -> Any:
        bits = 64 * codes.shape[1]
        if len(codes) > 20_000 or bits > 64:
            return _left_out("takes minutes")
        index = module.IndexBinaryMultiHash(bits, bits // 16, 16)
        index.nflip = radius // (bits // 16)
        rows = _bytes(codes)
        index.add(rows)

        def answer(out: Any) -> list[np.ndarray]:
            ends, distance, j = out
            i = np.repeat(np.arange(len(codes)), np.diff(ends.astype(np.int64)))
            return _sorted_pairs(i, j, distance)

        return lambda: index.range_search(rows, radius + 1), answer

    return {"hamming_pairs": pairs}


def usearch() -> dict[str, Operation]:
    from usearch.index import MetricKind, search

    def nearest(queries: np.ndarray, exemplars: np.ndarray) -> Any:
        a, b = _bytes(queries), _bytes(exemplars)

        def call() -> Any:
            return search(b, a, 1, MetricKind.Hamming, exact=True)

        return call, lambda out: out.distances.reshape(-1).astype(np.int64)

    return {"hamming_nearest": nearest}


def imagededup() -> dict[str, Operation]:
    from imagededup.handlers.search.brute_force_cython import BruteForceCython

    def pairs(codes: np.ndarray, radius: int) -> Any:
        if codes.shape[1] != 1:
            return _left_out("takes 64 bits")
        if len(codes) > 2_000:
            return _left_out("takes minutes: 8 ms for each of 20,000")
        texts = [f"{word:016x}" for word in codes[:, 0].tolist()]
        index = BruteForceCython({str(k): text for k, text in enumerate(texts)}, None)

        def answer(out: list[list[tuple[str, int]]]) -> list[np.ndarray]:
            rows = [(i, int(j), d) for i, found in enumerate(out) for j, d in found]
            i, j, distance = np.array(rows, np.int64).reshape(-1, 3).T
            return _sorted_pairs(i, j, distance)

        return lambda: [index.search(text, radius) for text in texts], answer

    return {"hamming_pairs": pairs}
