"""Filter banks: images of any type, size and memory, any scales, profiles and pixels; tables for the kernel itself."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from fuzzing.rubbish import (
    DTYPES,
    NOT_NUMBERS,
    NUMBERS,
    agree,
    any_machine,
    array,
    attempt,
    integer,
)
from maskmill import _backend, features

PROFILES = ("skimage", "doodler", "ilastik", "core")


def any_image(rng: random.Random) -> Any:
    size = [rng.choice([0, 1, 2, 5, 31, 64, 65, rng.randrange(140)]) for _ in range(2)]
    bands = rng.choice([[], [1], [2], [3], [3], [0], [1, 1]])
    made = array(rng, [*size, *bands], rng.choice(["u1", "u1", "f4", "f8", *DTYPES]))
    return made if rng.random() < 0.97 else rng.choice([made.tolist(), *NOT_NUMBERS])


def any_sigmas(rng: random.Random) -> Any:
    made: list[Any] = [
        rng.choice([0.01, 0.3, 1, 2, 16, rng.uniform(0.05, 40)]) for _ in range(rng.randrange(4))
    ]
    if rng.random() < 0.05:
        made.append(rng.choice([*NUMBERS, *NOT_NUMBERS]))
    # Cheap to compute: what is larger than any image.
    return [300 if isinstance(s, int | float) and 300 < s <= features.LARGEST_SIGMA else s for s in made]


def any_pixels(rng: random.Random, image: Any) -> Any:
    shape = image.shape[:2] if isinstance(image, np.ndarray) and image.ndim >= 2 else (3, 4)
    kind = rng.choice(["all", "all", "mask", "points", "points", "odd"])
    if kind == "mask":
        return np.random.default_rng(rng.randrange(2**32)).random(shape) < rng.choice([0, 0.01, 0.5])
    if kind == "points" and 0 not in shape:
        return [[rng.randrange(n) for n in shape] for _ in range(rng.choice([0, 1, 30]))]
    if kind == "odd":
        return rng.choice(
            [[[integer(rng, -1, 5, 0.3), 0]], np.ones((2, 2), bool), [1, 2], [[0.5, 1]], *NOT_NUMBERS]
        )
    return None


def try_features(rng: random.Random) -> None:
    any_machine(rng)
    image, scales = any_image(rng), any_sigmas(rng)
    at = any_pixels(rng, image)
    options = {
        "profile": rng.choice([*PROFILES, *PROFILES, "x"]) if rng.random() < 0.99 else None,
        "software": rng.choice(["sk016", "sk017", "modern"]),
        "dtype": rng.choice([np.float32, np.float64]),
    }
    if options["profile"] is None:
        del options["profile"]
    with np.errstate(all="ignore"):
        agree(lambda name: features.bank(image, scales, at=at, backend=name, **options))
        whole = attempt(lambda: features.bank(image, scales, backend="cpp", **options))
        if isinstance(whole, np.ndarray) and isinstance(at, np.ndarray) and at.shape == whole.shape[:2]:
            some = features.bank(image, scales, at=at, backend="cpp", **options)
            np.testing.assert_array_equal(some, whole[at])
        single = rng.choice([features.gaussian, features.deviation])
        border = rng.choice(["nearest", "reflect", "mirror", "x"])
        sigma = rng.choice([*scales, 1.0])
        agree(lambda name: single(image, sigma, border=border, at=at, backend=name))
    try_tables(rng)


def try_tables(rng: random.Random) -> None:
    """Plans that no profile makes, and such as are wrong: only that nothing breaks, and both say the same."""
    noise = np.random.default_rng(rng.randrange(2**32))
    height, width, bands = (rng.choice([0, 1, 2, 7, 70]) for _ in range(3))
    bands = min(bands, 3)
    lengths = [rng.choice([1, 2, 5, 80, integer(rng, 0, 3, 0)]) for _ in range(rng.randrange(4))]
    starts = np.cumsum([0, *lengths])
    if rng.random() < 0.05:
        noise.shuffle(starts)

    def table(columns: list[int]) -> Any:
        """Of indices, seldom out of range."""
        rows = rng.randrange(5)
        high = [n + (rng.random() < 0.1) for n in columns]
        low = -1 if rng.random() < 0.05 else 0
        return np.stack([noise.integers(low, max(n, low + 1), rows) for n in high], -1).reshape(
            rows, len(columns)
        )

    first = table([bands, 2, len(lengths)])
    first[:, 1] += 1
    second = table([len(first), len(lengths)])
    maps = table([11, len(second), len(second), len(second)])
    at = None if rng.random() < 0.6 else noise.integers(0, max(height, 1), (rng.randrange(9), 2))
    at = at if at is None else np.minimum(at, width - (rng.random() < 0.9))
    columns = sum((1, 1, 1, 2, 2, 1, 1, 1, 2, 1, 1)[op] for op in maps[:, 0] if 0 <= op < 11)
    shape = ((height, width) if at is None else (len(at),)) + (columns + (rng.random() < 0.03),)
    room = np.zeros((*shape[:-1], shape[-1] + rng.choice([0, 0, 3])), rng.choice([np.float32, np.float64]))
    weights = noise.normal(size=int(max(starts)))
    parity = noise.choice([1, -1] if rng.random() < 0.95 else [1, 0], len(lengths))
    image = noise.normal(size=(bands, height, width)).astype(np.float32)
    places = [noise.random((rng.choice([1, 1, 2]), n)) for n in (height, width)]
    border, precise = rng.choice([0, 1, 2, 2, 3]), rng.random() < 0.5

    def run(name: str) -> Any:
        out = room.copy()[..., : shape[-1]]
        tables = (weights, starts, parity, first, second, maps, *places)
        _backend.kernels(name).features_bank(image, *tables, border, precise, at, out)
        return out

    with np.errstate(all="ignore"):
        agree(run)
