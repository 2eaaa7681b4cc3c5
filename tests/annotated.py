"""Makers of annotated data sets that readers and writers are tested on."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
from hypothesis import strategies as st

from maskmill import Dataset, FormatError, Masks


def from_arrays(images: list[tuple[str, list[tuple[Any, int]]]], names: list[str], shape=None) -> Dataset:
    """A data set of (file name, [(boolean mask, row of its class), ...]) for each image."""
    shapes = [shape or next((m.shape for m, _ in found), (9, 11)) for _, found in images]
    parts = [Masks.encode(np.asarray(m, bool)) for _, found in images for m, _ in found]
    return Dataset(
        {
            "file_name": np.array([name for name, _ in images], object),
            "height": [h for h, _ in shapes],
            "width": [w for _, w in shapes],
        },
        {"name": np.array(names, object)},
        {
            "image": [i for i, (_, found) in enumerate(images) for _ in found],
            "category": [c for _, found in images for _, c in found],
        },
        Masks.concatenate(parts),
    )


def a_ring(height: int, width: int) -> np.ndarray:
    """A mask of two parts, one of which has a hole; it touches the border."""
    mask = np.zeros((height, width), bool)
    mask[: height - 3, : width - 4] = True
    mask[2:4, 2:5] = False
    mask[-1, -2:] = True
    return mask


def sizes_of(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """What readers that need sizes take."""
    images = dataset.images
    return {
        name: (int(h), int(w))
        for name, h, w in zip(images["file_name"], images["height"], images["width"], strict=True)
    }


def mutated(data: bytes, words: tuple[bytes, ...] = ()) -> st.SearchStrategy[bytes]:
    """The same file, damaged: cut, bytes exchanged, pieces doubled or removed, hostile words put in."""
    hostile = (b"nan", b"1e300", b"-1", b"99999999999", b"\xff\xfe", b"\0", b"[" * 2000, b"", *words)

    def damage(seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        made = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(0, len(made) + 1))
            to = min(len(made), at + int(rng.integers(0, 12)))
            kind = rng.integers(0, 5)
            if kind == 0:
                del made[at:]
            elif kind == 1:
                del made[at:to]
            elif kind == 2:
                made[at:at] = made[at:to]
            elif kind == 3 and at < len(made):
                made[at] = int(rng.integers(0, 256))
            else:
                made[at:to] = hostile[rng.integers(0, len(hostile))]
        return bytes(made)

    return st.integers(0, 2**32 - 1).map(damage)


def reads_or_says_why(read: Any) -> None:
    """A reader of a damaged file gives a data set, whose masks can be made or say why not, or a FormatError."""
    try:
        found = read()
    except FormatError:
        return
    try:
        found.masks  # noqa: B018
    except ValueError:
        return


HOSTILE = (
    None,
    True,
    -1,
    0,
    0.5,
    1e300,
    -1e12,
    10**18,
    10**25,
    float("nan"),
    "",
    "x",
    "12",
    [],
    [[]],
    {},
    {"": None},
)


def mutated_json(content: Any, more: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """The same document with some values exchanged for hostile ones, keys removed, items doubled."""
    hostile = (*HOSTILE, *more)

    def damage(seed: int) -> Any:
        rng = np.random.default_rng(seed)
        made = json.loads(json.dumps(content))
        for _ in range(rng.integers(1, 4)):
            places = list(_places(made))
            holder, key = places[rng.integers(len(places))]
            kind = rng.integers(0, 4)
            if kind == 0:
                del holder[key]
            elif kind == 1 and isinstance(holder, list):
                holder.append(holder[key])
            else:
                holder[key] = copy.deepcopy(hostile[rng.integers(0, len(hostile))])
            if not made:
                break
        return made

    return st.integers(0, 2**32 - 1).map(damage)


def _places(value: Any) -> Any:
    """(holder, key) of every value within a document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from _places(inner)
