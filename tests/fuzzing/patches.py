"""Patches: boxes and tiles of any place and size, of arrays of any type and strides."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from fuzzing.rubbish import (
    DTYPES,
    EXTREMES,
    NOT_NUMBERS,
    NUMBERS,
    agree,
    any_machine,
    array,
    attempt,
    integer,
    length,
)
from maskmill import patches

MOST = 10**6
"""Bytes that a round may fill."""


def affordable(shapes: Any, cell: int) -> bool:
    """Whether arrays would be small, or too large to be made at all."""
    total = sum(int(np.prod([max(0, n) for n in shape], dtype=object)) for shape in shapes) * cell
    return total <= MOST or total > 2**46


def box(rng: random.Random, shape: list[int]) -> list[int]:
    out = []
    for n in shape:
        a, b = sorted(rng.randrange(-3, n + 4) for _ in range(2))
        if rng.random() < 0.5:
            a, b = max(a, 0), max(min(b, n), 0)
        if rng.random() < 0.02:
            a = rng.choice([-(2**31) + 1, 2**31 - 20, *EXTREMES])
            b = a + rng.choice([0, 1, 3, -1, 2**16, 2**24, 2**31])
        out += [a, b]
    return out


def boxes(rng: random.Random, shape: list[int]) -> Any:
    made: list[Any] = [box(rng, shape) for _ in range(rng.choice([0, 1, 2, 5, 40]))]
    if made and rng.random() < 0.4:  # all of one size, as most are
        sizes = [high - low for low, high in zip(made[0][::2], made[0][1::2], strict=True)]
        made = [[end for low, n in zip(b[::2], sizes, strict=True) for end in (low, low + n)] for b in made]
    if rng.random() < 0.03:
        return rng.choice(
            [[[0, 1]], [[0, 1, 2]], [0, 1, 0, 1], [[0.5, 1, 0, 1]], [[0, 2**63, 0, 1]], *NOT_NUMBERS]
        )
    within = [[max(-(2**63), min(end, 2**63 - 1)) for end in b] for b in made]
    return np.array(within, np.int64).reshape(-1, 2 * len(shape))


def any_shape(rng: random.Random, axes: int) -> list[int]:
    return [rng.choice([0, 1, 1, 2, 3, 7, 16, 17, 33, 70 if axes == 2 else 20]) for _ in range(axes)]


def output(rng: random.Random, elements: int, dtype: Any) -> Any:
    """What may be given as `out`: for each call a new one."""
    if rng.random() < 0.9:
        return np.zeros(elements, dtype)
    return rng.choice(
        [
            np.zeros(elements + 1, dtype),
            np.zeros(2 * elements, dtype)[::2],
            np.zeros(elements, "c16"),
            np.empty(0, dtype),
            None,
        ]
    )


def try_extract(rng: random.Random) -> None:
    axes = rng.choice([2, 3])
    shape = any_shape(rng, axes)
    dtype = rng.choice(DTYPES)
    channels = rng.choice([(), (), (1,), (3,), (0,), (5, 2)])
    image = array(rng, (*shape, *channels), dtype)
    where = boxes(rng, shape if rng.random() < 0.97 else shape[1:] + [5, 5])
    fill = rng.choice([0, 0, 1, 255, -1, 2**40, 0.5, [1, 2, 3], rng.choice(NUMBERS + NOT_NUMBERS)])
    options = {
        "mode": rng.choice(["constant", "edge", "reflect", "wrap" if rng.random() < 0.05 else "edge"]),
        "fill": fill,
    }
    if isinstance(where, np.ndarray):
        with np.errstate(over="ignore"):
            sizes = [
                [int(b) - int(a) for a, b in zip(row[::2], row[1::2], strict=True)] for row in where.tolist()
            ]
        if not affordable(sizes, max(1, int(np.prod(channels))) * image.itemsize):
            return
        if rng.random() < 0.3:
            elements = sum(int(np.prod([max(0, n) for n in size], dtype=object)) for size in sizes) * int(
                np.prod(channels)
            )
            elements, seed = elements if elements < 2**40 else 0, rng.random()
            agree(
                lambda name: patches.extract(
                    image,
                    where,
                    out=output(random.Random(seed), elements, image.dtype),
                    backend=name,
                    **options,
                )
            )
    found = agree(lambda name: patches.extract(image, where, backend=name, **options))
    if not isinstance(found, str) and image.dtype != object:
        try_stitch(rng, found, where, shape)


def try_stitch(rng: random.Random, found: Any, where: Any, shape: list[int]) -> None:
    blend = rng.choice([*patches.BLENDS, "none" if rng.random() < 0.05 else "mean"])
    size: Any = (
        shape if rng.random() < 0.9 else [integer(rng, 0, 20, 0.1) for _ in range(rng.choice([1, 2, 3]))]
    )
    if not affordable([[n for n in size if type(n) is int]], 8):
        return
    agree(lambda name: patches.stitch(found, where, size, blend=blend, backend=name))


def tiles(rng: random.Random, rows: int, columns: int) -> Any:
    h, w = rng.randrange(rows + 1), rng.randrange(columns + 1)
    made: list[list[Any]] = []
    for _ in range(rng.choice([0, 1, 1, 3, 30])):
        r, c = rng.randrange(rows - h + 1), rng.randrange(columns - w + 1)
        made.append([r, r + h, c, c + w])
    if made and rng.random() < 0.1:
        rng.choice(made)[rng.randrange(4)] = integer(rng, -2, 80, 0.5)
    return (
        made if rng.random() < 0.98 else rng.choice([np.zeros((2, 3), int), np.zeros(4, int), *NOT_NUMBERS])
    )


def slices(rng: random.Random, depth: int) -> Any:
    if depth == 0 or rng.random() < 0.1:
        return rng.choice([[], [0], [-1], [depth], [2**62], [2**70], 0, [[0]], [0.5], None])
    start = rng.randrange(depth)
    return rng.choice(
        [list(range(start, depth)), [rng.randrange(depth) for _ in range(rng.randrange(1, 90))], [start]]
    )


def try_planes(rng: random.Random) -> None:
    shape = [rng.choice([0, 1, 2, 5, 16, 31, 33, 65, 100]) for _ in range(3)]
    volume = array(rng, shape, rng.choice([*DTYPES[:9], *DTYPES]))
    if rng.random() < 0.02:
        volume = volume[0] if len(volume) else volume[None]
    axis = rng.choice([0, 1, 2]) if rng.random() < 0.97 else rng.choice([3, -1, 1.0, True, None, 2**70])
    rows, columns = [n for k, n in enumerate(shape) if k != axis][:2]
    where, at = tiles(rng, rows, columns), slices(rng, shape[int(axis) if axis in (0, 1, 2) else 0])
    count = length(where) * length(at)
    if count * rows * columns * volume.itemsize > 30 * MOST:
        return
    agree(lambda name: patches.planes(volume, axis, where, at, backend=name))
    padding = rng.choice([None, 0, 1, 255, 0.5, -1, float("nan"), float("inf"), 2**31, 1e300])
    if count < 300:
        agree(lambda name: tuple(patches.stats(volume, axis, where, at, padding=padding, backend=name)))


def try_grid(rng: random.Random) -> None:
    axes = rng.choice([2, 3])
    shape = (
        [integer(rng, 0, 60) for _ in range(axes)]
        if rng.random() < 0.97
        else rng.choice([5, [5], *NOT_NUMBERS])
    )
    # Boxes of huge arrays would fill the memory; tiny steps through them are left out.
    if isinstance(shape, list) and any(isinstance(n, int) and n > 1000 for n in shape):
        return
    size, stride, least = (
        rng.choice([integer(rng, 1, 70), [integer(rng, 1, 70) for _ in range(axes)]]) for _ in range(3)
    )
    edge = rng.choice([*patches.EDGES, *patches.EDGES, "none"])
    step = None if edge == "cem" and rng.random() < 0.9 else stride
    found = attempt(lambda: patches.grid(shape, size, step, edge=edge, min_size=least))
    if isinstance(found, str):
        assert found.startswith(("ValueError", "TypeError")), found
    else:
        assert (found[:, ::2] < found[:, 1::2]).all(), found
        assert (found >= 0).all(), found
        assert edge == "pad" or (found[:, 1::2] <= np.array(shape)).all(), found


def try_core(rng: random.Random) -> None:
    """Sizes whose products leave 64 bits, through the bindings: `out` is never written beyond its end."""
    core = any_machine(rng)
    powers = [2**k for k in (0, 1, 8, 15, 16, 20, 24, 30, 31)]
    axes = rng.choice([2, 3])
    h, w, c = (rng.choice(powers) for _ in range(3))
    if h * w * c < 2**62:
        one = np.zeros((1,) * (axes + 1), np.uint8)
        wide = np.broadcast_to(one, (1,) * (axes - 1) + (1, c))
        where = np.array([[0, 1] * (axes - 2) + [0, h, 0, w]] * rng.choice([1, 2, 16, 256]), np.int64)
        if h * w * c * len(where) > 2**46:
            out = np.zeros(h * w * c * len(where) % 2**64 % 2**16, np.uint8)
            attempt(
                core.patches_extract,
                wide,
                where,
                out,
                rng.choice([0, 1, 2, 3]),
                np.zeros(c % 2**24, np.uint8),
            )
            windows, starts = np.ones(16), np.zeros((len(where), axes), np.int64)
            attempt(
                core.patches_stitch, out, where, windows, starts, 0, np.zeros((2,) * axes + (3,), np.uint8)
            )
        volume = np.broadcast_to(one[:1, :1, :1] if axes == 2 else one[0], (1, h, w))
        tile, at = np.array([[0, h, 0, w]] * 4, np.int64), np.zeros(rng.choice([1, 16, 2**16]), np.int64)
        if h * w * len(at) > 2**46:
            attempt(core.patches_planes, volume, 0, tile, at, np.zeros(0, np.uint8))
    empty = np.zeros([rng.choice([0, 1, 2**15, 2**20]) for _ in range(axes)] + [0], np.uint8)
    attempt(core.patches_stitch, np.zeros(0, np.uint8), np.zeros((0, 2 * axes), np.int64), np.ones(1),
            np.zeros((0, axes), np.int64), 0, empty)  # fmt: skip


def try_patches(rng: random.Random) -> None:
    any_machine(rng)
    rng.choice([try_extract, try_extract, try_planes, try_planes, try_grid, try_core])(rng)
