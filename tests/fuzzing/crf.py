"""Fully connected CRF: points of any features, near and far, images of any type; energies that are none."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from fuzzing.rubbish import DTYPES, NOT_NUMBERS, NUMBERS, agree, any_machine, array, attempt, integer, strided
from maskmill import crf

WEIGHTS = [0, 1, 3, 40, -2, 0.5]


def number(rng: random.Random, usual: list[Any], odd: float = 0.05) -> Any:
    return rng.choice(usual) if rng.random() > odd else rng.choice([*NUMBERS, *NOT_NUMBERS])


def unary(rng: random.Random, shape: list[int]) -> Any:
    if rng.random() < 0.1:
        return array(rng, shape, rng.choice(DTYPES))
    made = np.random.default_rng(rng.randrange(2**32)).gamma(1, 3, shape).astype(rng.choice(["f4", "f8"]))
    if rng.random() < 0.3:
        made[made > 5] = rng.choice([np.inf, 100, 1e30, np.nan])
    return strided(rng, made)


def weight(rng: random.Random, labels: int) -> Any:
    if rng.random() < 0.8:
        return number(rng, WEIGHTS)
    side = labels if rng.random() < 0.9 else labels + 1
    return np.random.default_rng(rng.randrange(2**32)).normal(size=(side, side))


def options(rng: random.Random) -> dict[str, Any]:
    return {
        "iterations": integer(rng, 0, 4) if rng.random() < 0.3 else rng.randrange(4),
        "normalization": rng.choice(
            [*crf.NORMALIZATIONS, "symmetric", "all" if rng.random() < 0.1 else "none"]
        ),
    }


def affordable(given: dict[str, Any]) -> bool:
    rounds = given["iterations"]
    return not isinstance(rounds, int | float) or not rounds > 10


def points(rng: random.Random, n: int) -> Any:
    """Scattered, alike, on a grid, far away; or what may be given as features."""
    if rng.random() < 0.05:
        return array(rng, [rng.choice([n, n + 1]) for _ in range(rng.choice([1, 2, 3]))], rng.choice(DTYPES))
    d = rng.choice([1, 2, 2, 3, 5, 5, 9, 20, 63])
    noise = np.random.default_rng(rng.randrange(2**32))
    made = noise.normal(size=(n, d)) * rng.choice([0, 1e-30, 0.1, 1, 10, 1e4, 1e6]) + rng.choice(
        [0, 0, 100, -1e5]
    )
    if rng.random() < 0.3:
        made = np.rint(made)
    if n and rng.random() < 0.05:
        made[rng.randrange(n), rng.randrange(d)] = rng.choice([np.nan, np.inf, 1e7, -3e8, 1e300])
    return strided(rng, made.astype(rng.choice(["f4", "f8"])))


def try_points(rng: random.Random) -> None:
    labels, n = rng.choice([1, 2, 3, 4, 7, 16, 17, 33]), rng.choice([0, 1, 2, 3, 4, 5, 63, 64, 65, 300])
    energies, given = unary(rng, [labels, n]), options(rng)
    terms = [(points(rng, n), weight(rng, labels)) for _ in range(rng.choice([0, 1, 1, 2]))]
    if affordable(given):
        agree(lambda name: crf.mean_field(energies, terms, backend=name, **given))


def try_image(rng: random.Random) -> None:
    labels, shape = rng.choice([1, 2, 3, 5]), [rng.choice([0, 1, 2, 7, 16]), rng.choice([0, 1, 3, 9, 17])]
    energies, given = unary(rng, [labels, *shape]), options(rng)
    image = array(rng, [*shape, *rng.choice([[], [1], [3], [3], [5]])], rng.choice(DTYPES[:9]))
    given["gaussian"] = rng.choice([None, (number(rng, [0.5, 1, 3]), weight(rng, labels))])
    given["bilateral"] = rng.choice(
        [None, (number(rng, [1, 10]), number(rng, [0.1, 20, 1e3]), weight(rng, labels))]
    )
    if not affordable(given):
        return
    agree(lambda name: crf.refine(energies, image, backend=name, **given))
    found = attempt(lambda: crf.refine(energies, image, method="exact", **given))
    if not isinstance(found, str) and found.size:
        assert np.allclose(found.sum(axis=0), 1, atol=1e-4), found


def try_lattice(rng: random.Random) -> None:
    """Through the bindings: numbers that are not within the lattice."""
    core = any_machine(rng)
    n, d = rng.choice([0, 1, 5, 40]), rng.choice([1, 2, 5])
    features = np.random.default_rng(rng.randrange(2**32)).normal(size=(n, d)).astype("f4")
    parts = [part.copy() for part in core.crf_lattice(features)]
    k = rng.randrange(3)
    if parts[k].size and rng.random() < 0.7:
        parts[k].flat[rng.randrange(parts[k].size)] = rng.choice([0, 1, 2**31, 2**32 - 1])
    elif rng.random() < 0.5:
        parts[k] = rng.choice(
            [parts[k][:1], parts[k][..., :1], parts[k].ravel(), parts[k].astype("f8"), None]
        )
    values = np.ones((rng.choice([1, 3]), n), "f4")
    attempt(core.crf_filter, tuple(parts), values, np.empty_like(values))
    attempt(core.crf_mean_field, values, [(tuple(parts), None, None, 1.0, None)], 1, np.empty_like(values))


def try_crf(rng: random.Random) -> None:
    any_machine(rng)
    rng.choice([try_points, try_points, try_image, try_lattice])(rng)
