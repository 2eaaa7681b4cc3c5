"""Pillow's resampling: the weights, and both passes in every regime."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

pytest.importorskip("numba")
resample = pytest.importorskip("maskmill._numba._resample")
sines = pytest.importorskip("maskmill._numba._sine")


def digest(taps) -> str:
    """First indices, then weights, as the specification has them."""
    first, _, weights = taps
    text = ",".join(map(str, [*first.tolist(), *weights.tolist()]))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (8, "87d5375332514b11"),
        (9, "92a5d4761b44241c"),
        (16, "2309228d5b6a7c2a"),
        (17, "c24b87074952427a"),
        (32, "5725b680e7735259"),
        (128, "d585e268f37220b0"),
    ],
)
def test_weights_of_224(outputs, expected):
    assert digest(resample.taps(224, outputs, resample.LANCZOS)) == expected


def libm_weights(inputs: int, outputs: int) -> list[int]:
    """Lanczos by the platform's sine."""
    scale = inputs / outputs
    stretch = max(scale, 1.0)

    def sinc(x: float) -> float:
        return math.sin(x * math.pi) / (x * math.pi) if x else 1.0

    out: list[int] = []
    for o in range(outputs):
        centre = (o + 0.5) * scale
        lo = max(0, int(centre - 3 * stretch + 0.5))
        hi = min(inputs, int(centre + 3 * stretch + 0.5))
        x = [(i - centre + 0.5) * (1 / stretch) for i in range(lo, hi)]
        row = [sinc(t) * sinc(t / 3) if -3 <= t < 3 else 0.0 for t in x]
        total = 0.0
        for w in row:
            total += w
        out += [int(w / total * 2**22 + (0.5 if w >= 0 else -0.5)) for w in row]
    return out


def test_our_sine_gives_the_weights_of_the_platforms(rng):
    for inputs, outputs in zip(
        rng.integers(1, 700, 60).tolist(), rng.integers(1, 40, 60).tolist(), strict=True
    ):
        assert resample.taps(inputs, outputs, resample.LANCZOS)[2].tolist() == libm_weights(inputs, outputs)


def test_sines(rng):
    x = np.concatenate([rng.uniform(-10, 10, 2000), np.arange(-6, 7) * math.pi / 2])
    for t in x.tolist():
        assert abs(sines.sine(t) - math.sin(t)) <= 1e-16 * max(1.2, 1e-6 / abs(math.sin(t) or 1))
        assert abs(sines.cosine(t) - math.cos(t)) <= 1e-16 * max(1.2, 1e-6 / abs(math.cos(t)))
    wrong = sum(sines.rounded_sine(t / 13) != math.sin(t / 13) for t in x.tolist())
    assert wrong < 20


FILTERS = {"BOX": 0, "BILINEAR": 1, "HAMMING": 2, "BICUBIC": 3, "LANCZOS": 4}


@pytest.mark.parametrize("name", FILTERS)
def test_as_pillow(name, rng):
    PIL = pytest.importorskip("PIL")
    Image = pytest.importorskip("PIL.Image")
    version = tuple(int(part) for part in PIL.__version__.split(".")[:2])
    regime = "pillow13" if version >= (13, 0) else "pillow12.2" if version >= (12, 2) else "pillow<=12.1"
    for h, w, new_h, new_w in rng.integers(1, 90, (60, 4)).tolist():
        image = rng.integers(0, 256, (h, w), np.uint8)
        expected = np.asarray(Image.fromarray(image).resize((new_w, new_h), getattr(Image.Resampling, name)))
        assert np.array_equal(resample.resize(image, new_h, new_w, FILTERS[name], regime), expected)


def test_regimes_differ():
    """300 x 80 to 8 x 9: an oracle of the specification, on bytes that anybody can make."""
    z = (np.arange(1, 300 * 80 + 1, dtype=np.uint64) + np.uint64(3 << 32)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    tall = ((z ^ (z >> np.uint64(31))) >> np.uint64(56)).astype(np.uint8).reshape(300, 80)
    for regime, expected in (
        ("pillow<=12.1", "60c22b2653299706"),
        ("pillow12.2", "60c22b2653299706"),
        ("pillow13", "8ee4c6d4def09e11"),
    ):
        small = resample.resize(tall, 8, 9, resample.LANCZOS, regime)
        text = ",".join(map(str, small.ravel().tolist()))
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == expected
