"""Profile opencv: the bits of cv2.img_hash, which OpenCV's contributed modules have, on every backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hash_images
from maskmill import _backend, hashes

GOLDEN = {
    (8, 8): ("4a4b6b69292dada5", "7fbad5a218c1eb5d"),
    (1, 1): ("0000000000000000", "0000000000000000"),
    (224, 224): ("a552a9d46a359a4d", "b7e7ae77be8054d7"),
    (97, 300, 3): ("6aa28f545ea8aba1", "381dc77cd5a0c580"),
    (300, 41, 4): ("93a7cd1a264e9334", "57000ef2178c5ff8"),
}


def made(height: int, width: int, *channels: int) -> np.ndarray:
    """The same image everywhere, without a random number."""
    image = np.arange(height * width * int(np.prod(channels)), dtype=np.uint64)
    mixed = (image * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(56)
    return mixed.astype(np.uint8).reshape(height, width, *channels)


@pytest.mark.parametrize("shape", GOLDEN)
def test_golden(shape: tuple[int, ...], backend: str) -> None:
    """What cv2.img_hash 4.14 gives, colours in its order."""
    image = made(*shape)
    found = [
        hashes.to_opencv(function([image], profile="opencv", backend=backend)).tobytes().hex()
        for function in (hashes.ahash, hashes.phash)
    ]
    assert tuple(found) == GOLDEN[shape]


def assert_as_opencv(images: list[np.ndarray], backend: str | None) -> None:
    img_hash = pytest.importorskip("cv2.img_hash", exc_type=ImportError)
    for ours, theirs in ((hashes.ahash, img_hash.averageHash), (hashes.phash, img_hash.pHash)):
        expected = [
            theirs(np.ascontiguousarray(image if image.ndim == 2 else image[:, :, 2::-1]))[0]
            for image in images
        ]
        found = ours(images, profile="opencv", backend=backend)
        np.testing.assert_array_equal(hashes.to_opencv(found), expected)
        np.testing.assert_array_equal(hashes.from_opencv(expected), found)


def test_random(backend: str, rng: np.random.Generator) -> None:
    assert_as_opencv(list(hash_images.random(150, rng)), backend)


def test_degenerate(backend: str) -> None:
    assert_as_opencv(list(hash_images.degenerate()), backend)


def test_real(data: Path, rng: np.random.Generator) -> None:
    for name in ("em", "dedupe"):
        assert_as_opencv(list(hash_images.real(data / name, 200, rng)), None)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([(), (3,), (4,)]), st.integers(0, 2**32))
def test_backends_agree(height: int, width: int, channels: tuple[int, ...], seed: int) -> None:
    if any(map(_backend.why_missing, ("cpp", "numba"))):
        pytest.skip("needs both backends")
    both = [_backend.kernels(name) for name in ("cpp", "numba")]
    image = np.random.default_rng(seed).integers(0, 256, (height, width, *channels), np.uint8)
    views = [image, image[::-1, ::2], image.swapaxes(0, 1)]
    for kind in ("ahash", "phash"):
        cpp, numba = (core.hashes_images(views, kind, 8, "opencv", "pillow13", 1) for core in both)
        np.testing.assert_array_equal(cpp, numba)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planes(axis: int, backend: str, rng: np.random.Generator) -> None:
    volume = rng.integers(0, 256, (40, 50, 60), np.uint8)
    tiles = [(0, 30, 5, 33), (4, 11, 0, 40)]
    for kind in ("ahash", "phash"):
        codes = hashes.planes(volume, axis, tiles, [3, 0, 17], hash=kind, profile="opencv", backend=backend)
        stack = np.moveaxis(volume, axis, 0)
        patches = [stack[s, a:b, c:d] for a, b, c, d in tiles for s in (3, 0, 17)]
        assert np.array_equal(codes, getattr(hashes, kind)(patches, profile="opencv"))


def test_bytes_there_and_back(rng: np.random.Generator) -> None:
    codes = rng.integers(0, 2**64, (5, 3), np.uint64)
    assert np.array_equal(hashes.from_opencv(hashes.to_opencv(codes)), codes)
    assert hashes.to_opencv(np.zeros((0, 1), np.uint64)).shape == (0, 8)
    with pytest.raises(ValueError, match=r"octets must have shape \(N, 8 \* words\), not \(1, 7\)"):
        hashes.from_opencv(np.zeros((1, 7), np.uint8))


def test_errors(backend: str) -> None:
    with pytest.raises(
        ValueError, match="a hash of profile 'opencv' must be one of 'ahash', 'phash', not 'dhash'"
    ):
        hashes.dhash([], profile="opencv", backend=backend)
    with pytest.raises(ValueError, match="hash_size must be 8 for profile 'opencv', not 16"):
        hashes.phash([], 16, profile="opencv", backend=backend)
    assert hashes.Profile.parse("opencv.phash/8/pillow13").bits == 64
