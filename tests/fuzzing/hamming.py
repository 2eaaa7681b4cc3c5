"""Search by Hamming distance: codes of 1 to 4 words, alike or not; any radius, order, exemplars and groups."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fuzzing.rubbish import EXTREMES, NOT_NUMBERS, agree, any_machine, attempt, integer, length, strided
from maskmill import hamming


def codes(rng: random.Random, words: int, most: int = 300) -> NDArray[np.uint64]:
    noise = np.random.default_rng(rng.randrange(2**32))
    n = rng.choice([0, 1, 2, 31, 32, 33, rng.randrange(most)])
    made = noise.integers(0, 2**64, (n, words), np.uint64)
    kind = rng.choice(["noise", "near", "near", "equal", "few bits"])
    if kind == "near" and n:
        made = made[noise.integers(0, rng.randrange(1, n + 1), n)]
        for _ in range(rng.choice([1, 3, 12])):
            bit = noise.integers(0, 64, n).astype(np.uint64)
            made[np.arange(n), noise.integers(0, words, n)] ^= np.uint64(1) << bit
    elif kind == "equal":
        made[:] = rng.choice([0, 2**64 - 1, 1 << 63])
    elif kind == "few bits":
        made &= np.uint64(rng.choice([3, 0xFFFF, 0x0101010101010101, 1 << 63]))
    return made


def hostile_codes(rng: random.Random, words: int, most: int = 300) -> Any:
    """What may be given as codes."""
    made = codes(rng, words, most)
    if rng.random() < 0.9:
        return strided(rng, made)
    return rng.choice(
        [
            *[
                made.view(np.int64),
                made.astype(">u8"),
                made.astype(float),
                made.astype(object),
                made.tolist(),
            ],
            *[made.ravel(), made[None], made[:, :0], made > 0, codes(rng, rng.randrange(1, 7)), *NOT_NUMBERS],
        ]
    )


def radius(rng: random.Random, words: int) -> Any:
    return rng.choice([integer(rng, 0, 12), integer(rng, 0, 12), integer(rng, 0, 64 * words), *EXTREMES[1:]])


def order(rng: random.Random, n: int) -> Any:
    ranks: list[Any] = rng.sample(range(n), n)
    if n and rng.random() < 0.1:
        ranks[rng.randrange(n)] = integer(rng, 0, n, 0.5)
    return ranks


def try_hamming(rng: random.Random) -> None:
    core = any_machine(rng)
    words = rng.randrange(1, 5)
    # Now and then so many that they are sorted into buckets.
    a, b = (hostile_codes(rng, words, rng.choice([40, 300, 300, 3000])) for _ in range(2))
    r, n = radius(rng, words), length(a)
    limit = rng.choice([0, 5, 100, hamming.MOST_PAIRS, 2**63 - 1, integer(rng, 0, 2**70)])
    agree(lambda name: hamming.pairs(a, r, limit=limit, backend=name))
    agree(lambda name: hamming.pairs(a, r, other=b, limit=limit, backend=name))
    agree(lambda name: hamming.nearest(a, b, r, backend=name))
    agree(lambda name: hamming.nearest(a, b, backend=name))
    options: dict[str, Any] = {}
    if rng.random() < 0.5:
        options["order"] = order(rng, n)
    if rng.random() < 0.3:
        options["exemplars"] = b
    if rng.random() < 0.3:
        groups = rng.choice([1, 2, 7, n or 1, 2**63 - 1])
        options["groups"] = [integer(rng, -groups, groups, 0.0001) for _ in range(n + (rng.random() < 0.05))]
    agree(lambda name: hamming.greedy(a, r, backend=name, **options))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        try_core(rng, core, a, b)


def try_core(rng: random.Random, core: Any, a: NDArray[Any], b: NDArray[Any]) -> None:
    """The bindings refuse what the public functions would never give them."""
    r, limit = rng.choice([3, *EXTREMES]), rng.choice([10, *EXTREMES])
    attempt(core.hamming_pairs, a, b, r, limit)
    attempt(core.hamming_self_pairs, a, r, limit)
    attempt(core.hamming_nearest, a, b, r)
    attempt(core.hamming_greedy, a, b, r)
