"""Perceptual hashes: the bits of ImageHash on every backend, at every level, for any strides."""

from __future__ import annotations

import numpy as np
import pytest

from maskmill import hashes

PIL = pytest.importorskip("PIL")
imagehash = pytest.importorskip("imagehash")
Image = pytest.importorskip("PIL.Image")

VERSION = tuple(int(part) for part in PIL.__version__.split(".")[:2])
REGIME = "pillow13" if VERSION >= (13, 0) else "pillow12.2" if VERSION >= (12, 2) else "pillow<=12.1"

REFERENCES = {
    "ahash": imagehash.average_hash,
    "dhash": imagehash.dhash,
    "dhash_v": imagehash.dhash_vertical,
    "phash": imagehash.phash,
    "phash_simple": imagehash.phash_simple,
    "whash": imagehash.whash,
}


def reference(image: np.ndarray, kind: str, size: int = 8) -> str:
    return str(REFERENCES[kind](Image.fromarray(np.ascontiguousarray(image)), hash_size=size))


@pytest.mark.parametrize("kind", REFERENCES)
def test_as_imagehash(kind, backend, rng):
    images = [
        rng.integers(0, 256, (*rng.integers(1, 150, 2), *([3] if k % 5 == 4 else [])), np.uint8)
        for k in range(40)
    ]
    images += [np.full((60, 50), value, np.uint8) for value in (0, 1, 127, 255)]
    for size in (8, 4, 16):
        codes = getattr(hashes, kind)(images, size, resize=REGIME, backend=backend)
        assert hashes.to_hex(codes, size**2) == [reference(image, kind, size) for image in images]


# Planes of volumes


@pytest.mark.parametrize("kind", ["dhash", "phash", "whash"])
@pytest.mark.parametrize("order", ["C", "F", "reversed", "steps"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planes_are_the_patches(axis, order, kind, backend, rng):
    volume = rng.integers(0, 256, (50, 61, 83), np.uint8)
    volume = {
        "C": volume,
        "F": np.asfortranarray(volume),
        "reversed": volume[::-1, :, ::-1],
        "steps": rng.integers(0, 256, (50, 122, 166), np.uint8)[:, ::2, ::2],
    }[order]
    stack = np.moveaxis(volume, axis, 0)
    tiles = [(0, 32, 0, 32), (0, 32, 32, 50), (32, 50, 0, 32), (3, 47, 9, 14), (0, 32, 10, 42)]
    for slices in ([0, 3, 2, len(stack) - 1, 3], [1], np.arange(0, len(stack), 5)):
        for profile in ("cem", "imagehash"):
            codes = hashes.planes(
                volume, axis, tiles, slices, hash=kind, crop=32, profile=profile, backend=backend
            )
            patches = [np.ascontiguousarray(stack[s, a:b, c:d]) for a, b, c, d in tiles for s in slices]
            expected = hashes.Profile(kind, profile=profile, crop=32).codes(patches, backend="cpp")
            assert np.array_equal(codes, expected)


def test_planes_of_nothing(backend):
    volume = np.zeros((4, 5, 6), np.uint8)
    assert hashes.planes(volume, 0, [], [1], backend=backend).shape == (0, 1)
    assert hashes.planes(volume, 0, [(0, 1, 0, 1)], [], hash_size=16, backend=backend).shape == (0, 4)
