"""In which order items are processed: who comes first is kept, and drops what is near."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._device import on_host

ORDERS = ("stable", "natural", "name", "quality")


def stable_keys(ids: Sequence[str], seed: int = 0) -> NDArray[np.uint64]:
    """A number per identifier that looks random and is the same everywhere: SplitMix64 of seed and BLAKE2b-64.

    Examples
    --------
    >>> from maskmill.dedupe import stable_keys
    >>> [f"{key:016x}" for key in stable_keys(["a.png", "b.png"])]
    ['008aaab9095c605f', 'eb0eb7968f2f7c81']
    """
    digests = b"".join(
        hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest() for name in ids
    )
    start = _mix(np.array([seed % 2**64], np.uint64))
    return _mix(start ^ np.frombuffer(digests, ">u8").astype(np.uint64))


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64, modulo 2**64."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ value >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ value >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return value ^ value >> np.uint64(31)


def processing_order(
    ids: Sequence[str], order: str = "stable", *, seed: int = 0, quality: ArrayLike | None = None
) -> NDArray[np.int64]:
    """The permutation in which items are processed.

    Parameters
    ----------
    ids : identifiers, such as file names; equal ones stay in their order
    order : {"stable", "natural", "name", "quality"}
        "stable": as if shuffled, but the same on any machine and however the items come: by `stable_keys`.
        "natural": as they are. "name": by identifier. "quality": best first, equals by "stable".
    seed : int
        Of "stable": another seed is another shuffle.
    quality : (N,) numbers, for "quality"

    Raises
    ------
    ValueError
        If the order is unknown, or "quality" without numbers, or one of them is not a number.
    """
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(map(repr, ORDERS))}, not {order!r}")
    if order == "natural":
        return np.arange(len(ids))
    by_name = np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
    if order == "name":
        return by_name
    keys = stable_keys(ids, seed)
    stable = by_name[np.argsort(keys[by_name], kind="stable")]
    if order == "stable":
        return stable
    if quality is None:
        raise ValueError("order 'quality' needs the quality of every item")
    scores = on_host(quality, "quality", np.float64)
    if scores.shape != (len(ids),):
        raise ValueError(f"quality must have shape ({len(ids)},), not {scores.shape}")
    if np.isnan(scores).any():
        raise ValueError(f"quality must be numbers, but item {int(np.isnan(scores).argmax())} has none")
    return stable[np.argsort(-scores[stable], kind="stable")]
