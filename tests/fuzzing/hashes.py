"""Hashes of images and of planes: any size, strides, profile and regime."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from fuzzing.patches import slices, tiles
from fuzzing.rubbish import DTYPES, EXTREMES, NOT_NUMBERS, agree, any_machine, array, attempt, integer, length
from maskmill import hashes
from maskmill._hash_profile import KINDS, PROFILES, REGIMES, SIZES

SIDES = [1, 1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 100, 129, 224, 257]
LONG = [700, 2000, 5000]
"""Of images that are narrow: their other pass may come first."""


def image(rng: random.Random, dtype: Any = np.uint8, channels: Any = None) -> Any:
    height, width = rng.choice(SIDES), rng.choice(SIDES)
    if rng.random() < 0.1:
        height, width = rng.sample([rng.choice(LONG), rng.choice(SIDES[:9])], 2)
    return array(
        rng, (height, width, *(rng.choice([(), (), (3,), (4,)]) if channels is None else channels)), dtype
    )


def images(rng: random.Random) -> Any:
    """What may be given as images."""
    kind = rng.random()
    if kind < 0.45:
        return [image(rng) for _ in range(rng.choice([0, 1, 1, 2, 5]))]
    if kind < 0.9:
        n, height, width = rng.choice([0, 1, 2, 7, 70]), rng.choice(SIDES[:-4]), rng.choice(SIDES[:-4])
        return array(rng, (n, height, width, *rng.choice([(), (), (3,), (4,)])))
    odd = [
        image(rng, rng.choice(DTYPES)),
        image(rng, rng.choice(DTYPES), rng.choice([(), (1,), (2,), (0,), (5,), (3, 3)])),
    ]
    return rng.choice(
        [odd, odd[0], np.array([None, odd[0]], object), np.zeros((2, 0, 5), np.uint8), *NOT_NUMBERS]
    )


def scaling(rng: random.Random) -> Any:
    return rng.choice(
        [None, None, "dtype", "minmax", (0, 255), (-1.5, 2), (3, 3), "x", 5, rng.choice(NOT_NUMBERS)]
    )


def size_of(rng: random.Random) -> Any:
    return rng.choice([8, 8, 8, 2, 3, 4, 5, 7, 12, 16, 16, 32, integer(rng, 2, 40), integer(rng, -3, 300)])


def affordable(given: Any, size: Any) -> bool:
    """Whether the twin would be done within a second."""
    count = length(given)
    return not isinstance(size, int) or size <= 20 or count * size**2 < 2 * 10**4


def try_images(rng: random.Random) -> None:
    given, size, profile = images(rng), size_of(rng), rng.choice([*PROFILES, "imagehash", "cem"])
    kind = rng.choice(KINDS)
    if rng.random() < 0.8:
        size = SIZES.get(profile, size)
        kind = rng.choice(PROFILES[profile])
        if kind == "whash" and isinstance(size, int):
            size = 1 << max(1, min(size, 32)).bit_length() - 1
    if not affordable(given, size):
        return
    regime = rng.choice(REGIMES) if rng.random() < 0.98 else rng.choice(["pillow", *NOT_NUMBERS])
    crop = rng.choice([1, 2, 7, 50, 224, 257, integer(rng, 1, 400, 0.1)])
    if isinstance(crop, int) and 1000 < crop <= 65536:
        return
    scale = scaling(rng)

    found = agree(
        lambda name: hashes.Profile(kind, size, profile, regime, scale, crop).codes(given, backend=name)
    )
    if not isinstance(found, str):
        bits = hashes.Profile(kind, size, profile, regime, scale, crop).bits
        assert np.array_equal(hashes.from_hex(hashes.to_hex(found, bits), bits), found)


def try_further(rng: random.Random) -> None:
    given, size, scale = images(rng), size_of(rng), scaling(rng)
    quality, luma, shrink = rng.random() < 0.5, rng.choice(["pdqhash", "float32"]), rng.random() < 0.3
    pdq = rng.choice([hashes.pdq, hashes.pdq_dihedral])
    agree(lambda name: pdq(given, quality=quality, luma=luma, shrink=shrink, scaling=scale, backend=name))
    bits = integer(rng, 1, 16, 0.1)
    agree(lambda name: hashes.colorhash(given, bits, scaling=scale, backend=name))
    if not affordable(given, size):
        return
    profile, regime, crop = (
        rng.choice(["imagehash", "cem", "imagededup"]),
        rng.choice(REGIMES),
        rng.choice([3, 50, 224]),
    )
    agree(
        lambda name: hashes.dhash_dihedral(
            given, size, profile=profile, resize=regime, scaling=scale, crop=crop, backend=name
        )
    )
    if length(given) > 5:
        return
    options = {
        "limit_segments": rng.choice([None, 0, 1, 2, integer(rng, 0, 9, 0.2)]),
        "segment_threshold": rng.choice([128, integer(rng, 0, 256, 0.1)]),
        "min_segment_size": rng.choice([500, 0, 1, integer(rng, 0, 100, 0.1)]),
        "segmentation_image_size": rng.choice([300, 1, 2, 3, 20, integer(rng, 1, 50, 0.1)]),
    }
    side = options["segmentation_image_size"]
    if isinstance(side, int) and 400 < side <= 4096:
        return
    agree(
        lambda name: hashes.crop_resistant(given, size, resize=regime, scaling=scale, backend=name, **options)
    )


def try_planes(rng: random.Random) -> None:
    shape = [rng.choice([0, 1, 2, 5, 16, 31, 33, 64, 65, 100, 230]) for _ in range(3)]
    volume = array(rng, shape, np.uint8 if rng.random() < 0.97 else rng.choice(DTYPES))
    if rng.random() < 0.02:
        volume = volume[0] if len(volume) else volume[None]
    axis = rng.choice([0, 1, 2]) if rng.random() < 0.97 else rng.choice([3, -1, 1.0, True, None, 2**70])
    rows, columns = [n for k, n in enumerate(shape) if k != axis][:2]
    where, at = tiles(rng, rows, columns), slices(rng, shape[int(axis) if axis in (0, 1, 2) else 0])
    count = length(where) * length(at)
    profile = rng.choice(["imagehash", "cem", "cem", "imagededup"])
    kind = rng.choice(PROFILES[profile]) if rng.random() < 0.95 else rng.choice(KINDS)
    size = 8 if profile == "imagededup" or kind == "whash" else size_of(rng)
    if count > 200 or not affordable([None] * count, size):
        return
    crop, regime = rng.choice([None, 2, 50, rows or 1]), rng.choice(REGIMES)
    agree(
        lambda name: hashes.planes(
            volume,
            axis,
            where,
            at,
            hash=kind,
            hash_size=size,
            crop=crop,
            profile=profile,
            resize=regime,
            backend=name,
        )
    )


def try_core(rng: random.Random) -> None:
    """The bindings refuse what the public functions would never give them."""
    core = any_machine(rng)
    given, size, kind, regime = (
        images(rng),
        rng.choice([8, 8, 3, 5, *EXTREMES]),
        rng.choice(KINDS),
        rng.choice(REGIMES),
    )
    profile = rng.choice(["imagehash", "imagededup", "cem", "opencv", "pdq"])
    attempt(core.hashes_images, given, kind, size, profile, regime, rng.choice([50, *EXTREMES]))
    attempt(core.hashes_dihedral, given, size, profile, regime, rng.choice([50, *EXTREMES]))
    attempt(core.hashes_pdq, given, rng.choice(["pdqhash", "float32", ""]), rng.random() < 0.5)
    attempt(core.hashes_colorhash, given, rng.choice([1, 3, 16, *EXTREMES]))
    attempt(
        core.hashes_crop_resistant,
        given,
        size,
        regime,
        rng.choice([20, *EXTREMES]),
        *rng.choices(EXTREMES, k=3),
    )


def try_hashes(rng: random.Random) -> None:
    any_machine(rng)
    rng.choice([try_images, try_images, try_further, try_planes, try_planes, try_core])(rng)
