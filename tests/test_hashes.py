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
