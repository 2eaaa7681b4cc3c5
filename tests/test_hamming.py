"""Kernel hamming: pairs, nearest and greedy exemplars of packed codes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from em_oracle import oracle
from maskmill import _backend, hamming

Codes = np.ndarray
WORDS = [1, 2, 3, 4]


# What is compared with: plain NumPy, and the definition of the greedy rule as a loop


def distances(a: Codes, b: Codes) -> np.ndarray:
    bits_a, bits_b = (np.unpackbits(np.ascontiguousarray(c).view(np.uint8), axis=1) for c in (a, b))
    return (bits_a[:, None] != bits_b[None]).sum(2)


def expected_pairs(a: Codes, b: Codes | None, radius: int) -> list[np.ndarray]:
    d = distances(a, a if b is None else b)
    near = d <= radius
    if b is None:
        near &= np.triu(np.ones_like(near), 1).astype(bool)
    i, j = np.nonzero(near)
    return [i, j, d[i, j]]


def expected_greedy(
    codes: Codes, radius: int, order: np.ndarray | None = None, exemplars: Codes | None = None
) -> list[np.ndarray]:
    order = np.arange(len(codes)) if order is None else order
    exemplars = codes[:0] if exemplars is None else exemplars
    d = distances(codes, np.concatenate([codes, exemplars]))
    n = len(codes)
    kept: list[int] = []
    exemplar, distance = np.empty(n, np.int64), np.empty(n, np.int64)
    for item in order:
        candidates = [*range(n, n + len(exemplars)), *kept]
        near = [c for c in candidates if d[item, c] <= radius]
        first = near[0] if near else item
        if not near:
            kept.append(item)
        exemplar[item] = first if first < n else -1 - (first - n)
        distance[item] = d[item, first]
    return [np.array(kept, np.int64), exemplar, distance]


def clustered(rng: np.random.Generator, n: int, words: int, clusters: int, flips: int) -> Codes:
    """Codes near a few centres, so that all distances occur."""
    centres = rng.integers(0, 1 << 64, (max(clusters, 1), words), np.uint64)
    codes = centres[rng.integers(0, len(centres), n)]
    for _ in range(flips):
        where = rng.integers(0, 64 * words, n)
        codes[np.arange(n), where // 64] ^= np.uint64(1) << (where % 64).astype(np.uint64)
    return codes


def assert_same(found: Any, expected: Any) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == np.int64
        np.testing.assert_array_equal(a, b)


# Against brute force


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 9, 33, 130])
def test_pairs(backend: str, rng: np.random.Generator, words: int, n: int) -> None:
    codes = clustered(rng, n, words, 3, 6)
    other = np.concatenate([codes[: n // 2], clustered(rng, 21, words, 3, 6)])
    for radius in [0, 1, 7, 12, 32 * words, 64 * words - 1, 64 * words, 1000]:
        assert_same(hamming.pairs(codes, radius, backend=backend), expected_pairs(codes, None, radius))
        found = hamming.pairs(codes, radius, other=other, backend=backend)
        assert_same(found, expected_pairs(codes, other, radius))


@pytest.mark.parametrize("words", WORDS)
def test_every_radius(backend: str, rng: np.random.Generator, words: int) -> None:
    codes = clustered(rng, 40, words, 2, 20)
    for radius in range(64 * words + 1):
        assert_same(hamming.pairs(codes, radius, backend=backend), expected_pairs(codes, None, radius))
        assert_same(hamming.greedy(codes, radius, backend=backend), expected_greedy(codes, radius))


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("n", [1, 2, 9, 65, 130])
def test_nearest(backend: str, rng: np.random.Generator, words: int, n: int) -> None:
    queries, exemplars = clustered(rng, 50, words, 5, 9), clustered(rng, n, words, 5, 9)
    queries[:10] = exemplars[rng.integers(0, n, 10)]
    d = distances(queries, exemplars)
    index, distance = hamming.nearest(queries, exemplars, backend=backend)
    assert_same([index, distance], [d.argmin(1), d.min(1)])
    for radius in [0, 3, 40]:
        near = d.min(1) <= radius
        found = hamming.nearest(queries, exemplars, radius, backend=backend)
        assert_same(found, [np.where(near, d.argmin(1), -1), np.where(near, d.min(1), -1)])


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("n", [0, 1, 2, 50, 300])
def test_greedy(backend: str, rng: np.random.Generator, words: int, n: int) -> None:
    codes = clustered(rng, n, words, n // 10, 8)
    exemplars = np.concatenate([codes[: n // 20], clustered(rng, 5, words, 2, 8)])
    order = rng.permutation(n)
    for radius in [0, 5, 12, 30 * words]:
        for how in ({}, {"order": order}, {"exemplars": exemplars}, {"order": order, "exemplars": exemplars}):
            found = hamming.greedy(codes, radius, **how, backend=backend)
            assert_same(found, expected_greedy(codes, radius, **how))


def test_greedy_in_groups(backend: str, rng: np.random.Generator) -> None:
    codes, groups = clustered(rng, 200, 1, 6, 8), rng.integers(-3, 4, 200)
    order = rng.permutation(200)
    kept, exemplar, distance = hamming.greedy(codes, 12, order=order, groups=groups, backend=backend)
    for group in np.unique(groups):
        items = order[groups[order] == group]
        k, e, d = expected_greedy(codes[items], 12)
        np.testing.assert_array_equal(kept[groups[kept] == group], items[k])
        np.testing.assert_array_equal(exemplar[items], items[e])
        np.testing.assert_array_equal(distance[items], d)
    rank = np.argsort(order)
    assert (np.diff(rank[kept]) > 0).all()


def test_adding_to_a_finished_set_equals_doing_all_at_once(backend: str, rng: np.random.Generator) -> None:
    codes = clustered(rng, 300, 2, 20, 10)
    kept, exemplar, distance = hamming.greedy(codes, 16, backend=backend)
    old, _, _ = hamming.greedy(codes[:200], 16, backend=backend)
    new, by, far = hamming.greedy(codes[200:], 16, exemplars=codes[old], backend=backend)
    np.testing.assert_array_equal(kept, [*old, *(new + 200)])
    np.testing.assert_array_equal(
        exemplar[200:], np.where(by < 0, old[np.clip(-1 - by, 0, len(old) - 1)], by + 200)
    )
    np.testing.assert_array_equal(distance[200:], far)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4),
    st.lists(st.integers(0, (1 << 256) - 1), max_size=40),
    st.lists(st.integers(0, (1 << 256) - 1), max_size=40),
    st.integers(0, 260),
)
def test_both_backends_agree(words: int, codes: list[int], other: list[int], radius: int) -> None:
    if any(map(_backend.why_missing, ("cpp", "numba"))):
        pytest.skip("needs both backends")
    # Small numbers are near each other; repeats occur.
    a, b = (
        np.array([[c >> 64 * w & (1 << 64) - 1 for w in range(words)] for c in some], np.uint64).reshape(
            -1, words
        )
        for some in (codes, other)
    )
    for call in (
        lambda backend: hamming.pairs(a, radius, backend=backend),
        lambda backend: hamming.pairs(a, radius, other=b, backend=backend),
        lambda backend: hamming.nearest(a, b, radius, backend=backend),
        lambda backend: hamming.greedy(a, radius, exemplars=b, backend=backend),
    ):
        assert_same(call("cpp"), call("numba"))


# Against the definition of cem-dataset's loop


def test_greedy_is_the_loop_of_cem_dataset(backend: str, data: Path) -> None:
    definition = oracle(data)
    rows = list(definition.volume_patches(definition.synthetic_volume(), "vol", crop=64, step=2))
    codes = definition.pack(np.array([definition.dhash_bits(row[4], 64) for row in rows]))
    names = [row[0] for row in rows]
    orders = {"natural": None, "stable": definition.stable_order("vol", rows)}
    orders |= {f"legacy seed {s}": definition.mt19937_permutation(len(rows), s) for s in range(3)}
    for label, order in orders.items():
        for radius in (4, 12, 20):
            found = hamming.greedy(codes, radius, order=order, backend=backend)
            kept, leader, distance = definition.greedy(codes, order, radius)
            assert_same(found, [np.array(kept), leader, distance])
        kept, exemplar, _ = hamming.greedy(codes, 12, order=order, backend=backend)
        blocked, leader = definition.greedy_blocked(codes, order, 12, 97)
        assert_same([kept, exemplar], [np.array(blocked), leader])
        kept_names = definition.digest(names[i] for i in kept.tolist())
        assert (len(kept), kept_names) == definition.GOLDEN[f"kept, {label}"]


@pytest.mark.parametrize(
    ("words", "radius", "kept", "digest"),
    [(1, 12, 447, "721b4b8065fbefa6"), (2, 20, 721, "618ba3b76ab2cae5"), (4, 31, 1494, "735507286bfbe9d3")],
)
def test_answers_stay(backend: str, words: int, radius: int, kept: int, digest: str) -> None:
    """So that another machine gives the same without the definition at hand."""
    # SplitMix64: centres, of which each code differs in some bits.
    state = np.arange(1, 3001, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ state >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    codes = (state[:, None] % np.uint64(200) + np.arange(words, dtype=np.uint64)) * np.uint64(
        0x94D049BB133111EB
    )
    codes ^= codes >> np.uint64(31)
    codes ^= (state & state >> np.uint64(7) & state >> np.uint64(21))[:, None]
    found = hamming.greedy(codes, radius, backend=backend)
    text = b"".join(column.astype("<i8").tobytes() for column in found)
    assert (len(found[0]), hashlib.sha256(text).hexdigest()[:16]) == (kept, digest)


# Arguments


def test_one_word_needs_no_second_axis(backend: str, rng: np.random.Generator) -> None:
    codes = clustered(rng, 60, 1, 4, 8)
    assert_same(hamming.pairs(codes[:, 0], 9, backend=backend), hamming.pairs(codes, 9, backend=backend))
    np.testing.assert_array_equal(hamming.greedy([], 3, backend=backend)[0], [])
    strided = np.repeat(codes, 2, axis=0)[::2]
    assert_same(hamming.greedy(strided, 9, backend=backend), hamming.greedy(codes, 9, backend=backend))


def test_no_exemplars(backend: str) -> None:
    codes = np.zeros((2, 3), np.uint64)
    assert_same(hamming.nearest(codes, [], backend=backend), [[-1, -1], [-1, -1]])
    assert_same(hamming.greedy(codes, 0, exemplars=[], backend=backend), [[0], [0, 0], [0, 0]])
    assert_same(hamming.pairs(codes, 0, other=[], backend=backend), [[], [], []])


def test_too_many_pairs(backend: str) -> None:
    codes = np.zeros(100, np.uint64)
    assert len(hamming.pairs(codes, 0, limit=4950, backend=backend)[0]) == 4950
    with pytest.raises(ValueError, match="^more than 4949 pairs are within 3 bits$"):
        hamming.pairs(codes, 3, limit=4949, backend=backend)
    with pytest.raises(ValueError, match="^more than 0 pairs are within 0 bits$"):
        hamming.pairs(codes, 0, other=codes, limit=0, backend=backend)


CODES = np.zeros((3, 2), np.uint64)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: hamming.pairs([0.5], 1), TypeError, "codes must be integers, not float64"),
        (lambda: hamming.pairs([-1], 1), ValueError, "codes must fit uint64"),
        (
            lambda: hamming.pairs(np.zeros((2, 5), np.uint64), 1),
            ValueError,
            r"codes must have shape \(N, words\) with 1 to 4 words of 64 bits, not \(2, 5\)",
        ),
        (
            lambda: hamming.nearest(np.zeros((2, 1, 1), np.uint64), CODES),
            ValueError,
            r"queries must have shape \(N, words\) with 1 to 4 words of 64 bits, not \(2, 1, 1\)",
        ),
        (
            lambda: hamming.pairs(CODES, 1, other=[1, 2]),
            ValueError,
            "other must have 2 words of 64 bits like the codes they are compared with, not 1",
        ),
        (lambda: hamming.pairs(CODES, -1), ValueError, "radius must be 0 or more, not -1"),
        (lambda: hamming.pairs(CODES, 1.5), TypeError, r"radius must be an integer, not 1\.5"),
        (lambda: hamming.greedy(CODES, True), TypeError, "radius must be an integer, not True"),
        (lambda: hamming.pairs(CODES, 1, limit=-1), ValueError, "limit must be 0 or more, not -1"),
        (
            lambda: hamming.greedy(CODES, 1, order=[0, 1]),
            ValueError,
            "order must have every number from 0 to 2 once",
        ),
        (
            lambda: hamming.greedy(CODES, 1, order=[0, 1, 1]),
            ValueError,
            "order must have every number from 0 to 2 once",
        ),
        (
            lambda: hamming.greedy(CODES, 1, order=[0, 1, 3]),
            ValueError,
            "order must have every number from 0 to 2 once",
        ),
        (
            lambda: hamming.greedy(CODES, 1, groups=[0]),
            ValueError,
            r"groups must have shape \(3,\), not \(1,\)",
        ),
        (
            lambda: hamming.greedy(CODES, 1, groups=[0, 0, 0], exemplars=CODES),
            ValueError,
            "exemplars and groups cannot be given together",
        ),
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        call()


def test_core_checks_what_it_takes() -> None:
    core = pytest.importorskip("maskmill._core")
    with pytest.raises(TypeError):
        core.hamming_self_pairs(np.zeros((2, 1), np.int64), 1, 10)
    with pytest.raises(ValueError, match="codes must have shape"):
        core.hamming_self_pairs(np.zeros((2, 5), np.uint64), 1, 10)
    with pytest.raises(ValueError, match="same number of words"):
        core.hamming_nearest(CODES, np.zeros((2, 1), np.uint64), 1)


# What only the C++ kernel has


@pytest.fixture
def core() -> Iterator[Any]:
    module = pytest.importorskip("maskmill._core")
    threads = module.thread_count()
    yield module
    module.set_simd_level(module.best_simd_level())
    module.set_thread_count(threads)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_levels_and_threads(core: Any, rng: np.random.Generator, level: str, threads: int) -> None:
    try:
        core.set_simd_level(level)
    except ValueError as error:
        pytest.skip(str(error))
    core.set_thread_count(threads)
    for words in WORDS:
        for n in [1, 7, 33, 97, 500]:
            codes, other = clustered(rng, n, words, n // 9, 9), clustered(rng, 77, words, 9, 9)
            for radius in [0, 12, 33]:
                assert_same(hamming.pairs(codes, radius, backend="cpp"), expected_pairs(codes, None, radius))
                found = hamming.pairs(codes, radius, other=other, backend="cpp")
                assert_same(found, expected_pairs(codes, other, radius))
                found = hamming.greedy(codes, radius, exemplars=other, backend="cpp")
                assert_same(found, expected_greedy(codes, radius, exemplars=other))


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("clusters", [30, 5_000, 10**9])
def test_many(core: Any, rng: np.random.Generator, words: int, clusters: int) -> None:
    """So many that buckets pay: all pairs from few, few pairs from many, and exemplars by both ways."""
    n = 18_000
    if clusters < n:
        codes = clustered(rng, n, words, clusters, 6)
    else:
        codes = rng.integers(0, 1 << 64, (n, words), np.uint64)
    codes[: n // 10, 0] &= np.uint64(0xFFFFFFFF00000000)  # uneven buckets
    radius = 9 * words
    kept, exemplar, distance = hamming.greedy(codes, radius, backend="cpp")
    core.set_thread_count(1)
    core.set_simd_level("baseline")
    assert_same(hamming.greedy(codes, radius, backend="cpp"), [kept, exemplar, distance])
    core.set_simd_level(core.best_simd_level())
    core.set_thread_count(3)
    # Each is led by the first kept one within the radius, and kept ones are apart.
    index, _ = hamming.nearest(codes, codes[kept], radius, backend="cpp")
    assert (index >= 0).all()
    assert len(hamming.pairs(codes[kept], radius, backend="cpp")[0]) == 0
    for item in rng.integers(0, n, 40):
        near = distances(codes[[item]], codes[kept])[0] <= radius
        assert exemplar[item] == kept[near.argmax()]
    i, j, d = hamming.pairs(codes[: n // 2], 4 * words - 1, other=codes[n // 2 :], backend="cpp")
    for row in rng.integers(0, n // 2, 40):
        far = distances(codes[[row]], codes[n // 2 :])[0]
        mine = i == row
        np.testing.assert_array_equal(j[mine], np.flatnonzero(far <= 4 * words - 1))
        np.testing.assert_array_equal(d[mine], far[far <= 4 * words - 1])


def test_numbers_out_of_range(backend: str) -> None:
    assert len(hamming.pairs([1, 2], 2, limit=1 << 80, backend=backend)[0]) == 1
    kernels, codes = _backend.kernels(backend), np.ones((2, 1), np.uint64)
    for radius in (-1, 257, (1 << 31) - 1):
        for call in (
            lambda r: kernels.hamming_pairs(codes, codes, r, 9),
            lambda r: kernels.hamming_self_pairs(codes, r, 9),
            lambda r: kernels.hamming_nearest(codes, codes, r),
            lambda r: kernels.hamming_greedy(codes, codes, r),
        ):
            with pytest.raises(ValueError, match="radius must be within 0 and 256"):
                call(radius)
