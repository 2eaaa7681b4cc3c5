"""Colour, crop-resistant and dihedral hashes: ImageHash's bits, on every backend, at every level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmill import _backend, hashes

PIL = pytest.importorskip("PIL")
imagehash = pytest.importorskip("imagehash")
Image = pytest.importorskip("PIL.Image")

VERSION = tuple(int(part) for part in PIL.__version__.split(".")[:2])
REGIME = "pillow13" if VERSION >= (13, 0) else "pillow12.2" if VERSION >= (12, 2) else "pillow<=12.1"


def blocks(rng: np.random.Generator, side: int, *shape: int) -> np.ndarray:
    height, width, *channels = shape
    coarse = rng.integers(0, 256, (height // side + 1, width // side + 1, *channels), np.uint8)
    return coarse.repeat(side, 0).repeat(side, 1)[:height, :width]


def ones(codes: np.ndarray) -> np.ndarray:
    """Bits set in each code of (..., words)."""
    return np.unpackbits(np.ascontiguousarray(codes).view(np.uint8), axis=-1).sum(axis=-1, dtype=np.int64)


def some_images(rng: np.random.Generator) -> list[np.ndarray]:
    images = [blocks(rng, 1 + k % 9, *rng.integers(1, 90, 2), *([3] if k % 3 else [])) for k in range(24)]
    images += [np.full((40, 31, 3), color, np.uint8) for color in ((0, 0, 0), (255, 0, 0), (9, 200, 30))]
    return [*images, rng.integers(0, 256, (50, 60, 4), np.uint8)]


# Colours


def assert_colors(images: list[np.ndarray], binbits: int, backend: str | None) -> None:
    expected = [str(imagehash.colorhash(Image.fromarray(np.ascontiguousarray(i)), binbits)) for i in images]
    found = hashes.to_hex(hashes.colorhash(images, binbits, backend=backend), 14 * binbits)
    assert found == expected


@pytest.mark.parametrize("binbits", [1, 2, 3, 4, 8, 16])
def test_colorhash(backend: str, rng: np.random.Generator, binbits: int) -> None:
    assert_colors(some_images(rng), binbits, backend)


def test_colorhash_of_every_hue(backend: str) -> None:
    """All colours of a grid that has both ends, one image for each red: every sector, range and rounding."""
    steps = np.append(np.arange(0, 255, 3), 255).astype(np.uint8)
    green, blue = np.meshgrid(steps, steps, indexing="ij")
    images = [np.stack([np.full_like(green, red), green, blue], axis=2) for red in steps]
    assert_colors(images, 16, backend)


def test_colorhash_levels(rng: np.random.Generator) -> None:
    images = some_images(rng)
    for codes in at_every_level(lambda core: core.hashes_colorhash(images, 3)):
        np.testing.assert_array_equal(codes, hashes.colorhash(images))


def at_every_level(call: Any) -> list[Any]:
    if _backend.why_missing("cpp"):
        pytest.skip("no C++ core")
    core = _backend.kernels("cpp")
    levels = ("baseline", "avx2", "avx512")
    best = core.simd_level()
    found = []
    try:
        for level in levels[: levels.index(best) + 1]:
            core.set_simd_level(level)
            found.append(call(core))
    finally:
        core.set_simd_level(best)
    return found


def test_colorhash_refusals(backend: str) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(TypeError, match="binbits must be an integer, not 3.0"):
        hashes.colorhash([image], 3.0, backend=backend)  # type: ignore[arg-type]
    for binbits in (0, 17):
        with pytest.raises(ValueError, match=f"binbits must be within 1 and 16, not {binbits}"):
            hashes.colorhash([image], binbits, backend=backend)
        with pytest.raises(ValueError, match="binbits must be within 1 and 16"):
            _backend.kernels(backend).hashes_colorhash([image], binbits)


# Crop-resistant


def assert_segments(images: list[np.ndarray], backend: str | None, **options: int) -> None:
    found = hashes.crop_resistant(images, resize=REGIME, backend=backend, **options)
    for image, codes in zip(images, found, strict=True):
        expected = imagehash.crop_resistant_hash(Image.fromarray(np.ascontiguousarray(image)), **options)
        assert ",".join(hashes.to_hex(codes)) == str(expected)


def test_crop_resistant(backend: str, rng: np.random.Generator) -> None:
    images = [blocks(rng, 5 * k, 150 + 20 * k, 260 - 30 * k, *([3] if k % 2 else [])) for k in range(1, 6)]
    images += [np.full((70, 50), value, np.uint8) for value in (0, 255)]
    images += [rng.integers(0, 256, shape, np.uint8) for shape in ((2, 3), (1, 1), (3, 9))]
    assert_segments(images, backend)


def test_crop_resistant_options(backend: str, rng: np.random.Generator) -> None:
    image = blocks(rng, 24, 200, 170)
    assert_segments([image], backend, limit_segments=3)
    assert_segments([image], backend, segment_threshold=60, min_segment_size=90, segmentation_image_size=120)


def test_crop_resistant_ends_before_the_last_dark_pixels(backend: str) -> None:
    """A dark region of 1,100 pixels, the last to be found, is not."""
    image = np.full((300, 300), 255, np.uint8)
    image[20:60, 20:60] = 0
    image[250:285, 100:132] = 0
    assert len(hashes.crop_resistant([image], backend=backend)[0]) == 2
    assert_segments([image], backend)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 120), st.integers(1, 120), st.integers(1, 30), st.integers(8, 60), st.integers(0, 2**32)
)
def test_crop_resistant_backends_agree(height: int, width: int, side: int, small: int, seed: int) -> None:
    if any(map(_backend.why_missing, ("cpp", "numba"))):
        pytest.skip("needs both backends")
    image = blocks(np.random.default_rng(seed), side, height, width)
    rule = (8, "pillow13", small, 128, 10, 0)
    cpp, numba = (
        _backend.kernels(name).hashes_crop_resistant([image, image.T], *rule) for name in ("cpp", "numba")
    )
    np.testing.assert_array_equal(cpp[0], numba[0])
    np.testing.assert_array_equal(cpp[1], numba[1])


def test_crop_matches(rng: np.random.Generator) -> None:
    image = blocks(rng, 30, 240, 300)
    images = [image, image[20:, 30:], blocks(rng, 30, 200, 200), rng.integers(0, 256, (60, 60), np.uint8)]
    ours = hashes.crop_resistant(images, resize=REGIME)
    theirs = [imagehash.crop_resistant_hash(Image.fromarray(np.ascontiguousarray(i))) for i in images]
    for a, b in np.ndindex(4, 4):
        for regions, rate in ((1, 0.25), (2, 0.25), (1, 0.1), (3, 0.4)):
            assert hashes.crop_matches(ours[a], ours[b], bit_error_rate=rate, regions=regions) == theirs[
                a
            ].matches(theirs[b], region_cutoff=regions, bit_error_rate=rate)
    with pytest.raises(ValueError, match="other must have 1 words, not 2"):
        hashes.crop_matches([[1]], [[1, 2]])


def test_crop_resistant_refusals(backend: str) -> None:
    image = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="segmentation_image_size must be 1 or more, up to 4096, not 0"):
        hashes.crop_resistant([image], segmentation_image_size=0, backend=backend)
    with pytest.raises(TypeError, match=r"min_segment_size must be an integer, not 2.5"):
        hashes.crop_resistant([image], min_segment_size=2.5, backend=backend)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="segmentation_image_size must be within 1 and 4096"):
        _backend.kernels(backend).hashes_crop_resistant([image], 8, "pillow13", 5000, 128, 500, 0)


# Dihedral


def turned(image: np.ndarray) -> list[np.ndarray]:
    """In the order of hashes.DIHEDRAL."""
    quarters = [np.rot90(image, k) for k in range(4)]
    return [*quarters, image[::-1], image[:, ::-1], np.swapaxes(image, 0, 1), np.swapaxes(quarters[2], 0, 1)]


@pytest.mark.parametrize("profile", ["imagehash", "cem"])
def test_dhash_dihedral(backend: str, rng: np.random.Generator, profile: str) -> None:
    images = some_images(rng)
    for size in (8, 5):
        codes = hashes.dhash_dihedral(images, size, profile=profile, backend=backend)
        differ = []
        for image, found in zip(images, codes, strict=True):
            expected = hashes.dhash(turned(image), size, profile=profile, backend=backend)
            # Those that are not transposed go through the same arithmetic.
            np.testing.assert_array_equal(found[[0, 2, 4, 5]], expected[[0, 2, 4, 5]])
            differ.append(ones(found ^ expected).sum())
        assert np.mean(differ) < 0.02 * 4 * size**2


def test_dihedral_distance(rng: np.random.Generator) -> None:
    images = [blocks(rng, 20, 90, 130) for _ in range(3)]
    codes = hashes.dhash_dihedral(images)
    other = hashes.dhash([np.rot90(image) for image in images])
    distance = hashes.dihedral_distance(codes[:, None], other[None])
    assert distance.shape == (3, 3)
    assert distance.dtype == np.int64
    assert (distance.diagonal() <= 2).all()
    each = ones(codes[:, None] ^ other[None, :, None]).min(axis=2)
    np.testing.assert_array_equal(distance, each)
    with pytest.raises(ValueError, match=r"codes must have shape \(..., 8, words\), not \(3, 1\)"):
        hashes.dihedral_distance(other, other)
    with pytest.raises(ValueError, match=r"exemplars must have shape \(..., 1\), not \(3, 2\)"):
        hashes.dihedral_distance(codes, np.zeros((3, 2), np.uint64))


def test_dihedral_canonical(rng: np.random.Generator) -> None:
    codes = rng.integers(0, 3, (50, 8, 2)).astype(np.uint64)
    found = hashes.dihedral_canonical(codes)
    assert [tuple(row) for row in found] == [min(map(tuple, rows)) for rows in codes]
    assert hashes.dihedral_canonical(np.zeros((0, 8, 1), np.uint64)).shape == (0, 1)


def test_photos(backend: str, data: Path) -> None:
    files = sorted((data / "dedupe").rglob("ukbench*.jpg"))[:: 1 if backend == "cpp" else 4]
    images = []
    for file in files:
        if "corrupt" not in file.name:
            with Image.open(file) as photo:
                images.append(np.asarray(photo.convert("RGB")))
    assert_colors(images, 3, backend)
    assert_segments(images[:4], backend)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("value", [0, 255])
def test_segments_of_tiny_pictures(side, value, backend):
    # Of up to 4 x 4, the places around count for all that is dark: there may be no region at all.
    found = hashes.crop_resistant(
        [np.full((6, 7), value, np.uint8)], segmentation_image_size=side, backend=backend
    )
    assert [codes.tolist() for codes in found] == [[[0]]]
