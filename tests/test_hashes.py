"""Perceptual hashes: the bits of ImageHash on every backend, at every level, for any strides."""

from __future__ import annotations

import sys
from unittest.mock import MagicMock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hash_images
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
            expected = hashes.Profile(kind, profile=profile, crop=32).codes(patches)
            assert np.array_equal(codes, expected)


def test_planes_of_nothing(backend):
    volume = np.zeros((4, 5, 6), np.uint8)
    assert hashes.planes(volume, 0, [], [1], backend=backend).shape == (0, 1)
    assert hashes.planes(volume, 0, [(0, 1, 0, 1)], [], hash_size=16, backend=backend).shape == (0, 4)


# Instruction sets, strides, colours


@pytest.mark.parametrize("kind", REFERENCES)
def test_every_level_has_the_same_bits(kind, rng):
    core = pytest.importorskip("maskmill._core")
    images = [
        rng.integers(0, 256, shape, np.uint8) for shape in ((1, 1), (7, 3), (64, 65), (97, 33), (224, 224))
    ]
    images += [image[::-1, ::2].T for image in images[2:]]
    volume = rng.integers(0, 256, (70, 40, 90), np.uint8)
    tiles = [(0, 33, 0, 31), (2, 40, 5, 38)]
    try:
        found = []
        for level in ("baseline", "avx2", "avx512"):
            core.set_simd_level(level)
            found.append(getattr(hashes, kind)(images, backend="cpp"))
            found[-1] = [found[-1]] + [
                hashes.planes(volume, axis, tiles, [0, 1, 9, 30], hash=kind, crop=32, backend="cpp")
                for axis in (0, 1, 2)
            ]
    finally:
        core.set_simd_level(core.best_simd_level())
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_arrays_and_lists_are_alike(backend, rng):
    batch = rng.integers(0, 256, (5, 40, 30, 4), np.uint8)
    codes = hashes.dhash(list(batch), backend=backend)
    assert np.array_equal(hashes.dhash(batch, backend=backend), codes)
    assert np.array_equal(hashes.dhash(batch[..., :3], backend=backend), codes)
    gray = [np.asarray(Image.fromarray(image[:, :, :3]).convert("L")) for image in batch]
    assert np.array_equal(hashes.dhash(gray, backend=backend), codes)
    assert np.array_equal(hashes.dhash(np.stack(gray)[::-1], backend=backend), codes[::-1])
    assert hashes.dhash([], backend=backend).shape == (0, 1)
    mask = batch[0, :, :, 0] > 127
    assert hashes.to_hex(hashes.dhash([mask], resize=REGIME, backend=backend)) == [reference(mask, "dhash")]


def test_degenerate_images(backend):
    images = [image for image in hash_images.degenerate() if image.size < 60_000]
    for kind in REFERENCES:
        codes = getattr(hashes, kind)(images, resize=REGIME, backend=backend)
        assert hashes.to_hex(codes) == [reference(image, kind) for image in images]


def test_real_images(data, rng):
    images = list(hash_images.real(data / "em", 60, rng)) + list(hash_images.real(data / "dedupe", 60, rng))
    for kind in REFERENCES:
        codes = getattr(hashes, kind)(images, resize=REGIME)
        assert hashes.to_hex(codes) == [reference(image, kind) for image in images]


@pytest.fixture(scope="module")
def imagededup():
    """Its module of hashes alone: the package imports what only its neural networks need."""
    pytest.importorskip("imagededup")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("methods.cnn", "handlers.search.retrieval", "utils.plotter", "utils.models"):
            patch.setitem(sys.modules, f"imagededup.{name}", MagicMock())
        return pytest.importorskip("imagededup.methods.hashing", exc_type=ImportError)


@pytest.mark.parametrize("kind", ["ahash", "dhash", "phash", "whash"])
def test_as_imagededup(kind, backend, imagededup, rng):
    hasher = {"ahash": "AHash", "dhash": "DHash", "phash": "PHash", "whash": "WHash"}[kind]
    encode = getattr(imagededup, hasher)(verbose=False).encode_image
    images = list(hash_images.random(60, rng))
    images += [image for image in hash_images.degenerate() if image.size < 60_000][::2]
    codes = getattr(hashes, kind)(images, profile="imagededup", resize=REGIME, backend=backend)
    assert hashes.to_hex(codes) == [encode(image_array=np.ascontiguousarray(image)) for image in images]


# What is not 8-bit; texts; errors


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint32, np.int8, np.int64, np.uint64])
def test_scaling_by_dtype(dtype, rng):
    info = np.iinfo(dtype)
    image = rng.integers(info.min, info.max, (40, 40), dtype, endpoint=True)
    exact = [[(int(x) - info.min) * 255 // (2**info.bits - 1) for x in row] for row in image]
    assert np.array_equal(hashes.ahash([image], scaling="dtype"), hashes.ahash([np.array(exact, np.uint8)]))


def test_scaling_by_a_window(rng):
    image = rng.integers(0, 4096, (50, 40), np.uint16)
    scaled = np.clip((image.astype(int) - 100) * 255 // 3900, 0, 255).astype(np.uint8)
    for array in (image, image.astype(np.float32), image.astype(">u2")):
        assert np.array_equal(hashes.phash([array], scaling=(100, 4000)), hashes.phash([scaled]))
    lo, hi = int(image.min()), int(image.max())
    assert np.array_equal(hashes.dhash([image], scaling="minmax"), hashes.dhash([image], scaling=(lo, hi)))
    assert hashes.dhash(np.full((2, 9, 9), 7.5), scaling="minmax").tolist() == [[0], [0]]


@pytest.mark.parametrize(
    ("images", "options", "error", "text"),
    [
        (np.zeros((2, 5, 5), np.uint16), {}, TypeError, "image 0 must be uint8, not uint16"),
        ([np.zeros((5, 5)), np.zeros((5, 5))], {}, TypeError, "image 0 must be uint8, not float64"),
        (np.full((1, 5, 5), 2.0), {"scaling": "dtype"}, ValueError, "image 0 must be within 0 and 1"),
        (np.full((1, 5, 5), np.nan), {"scaling": "minmax"}, ValueError, "image 0 must be finite"),
        (np.zeros((1, 5, 5)), {"scaling": (5, 5)}, ValueError, "scaling must have lo < hi"),
        (np.zeros((1, 5, 5)), {"scaling": "max"}, ValueError, "scaling must be"),
        (np.zeros((5, 5), np.uint8), {}, ValueError, r"images must be \(N, H, W\)"),
        ([np.zeros((5, 0), np.uint8)], {}, ValueError, "image 0 must be"),
        ([np.zeros((5, 5, 2), np.uint8)], {}, ValueError, "image 0 must be"),
        ([], {"hash_size": 1}, ValueError, "hash_size must be within 2 and 256, not 1"),
        ([], {"hash_size": 2.5}, TypeError, "hash_size must be an integer"),
        ([], {"profile": "pillow"}, ValueError, "profile must be one of"),
        ([], {"resize": "pillow"}, ValueError, "resize must be one of"),
        ([], {"profile": "imagededup", "hash_size": 16}, ValueError, "hash_size must be 8"),
    ],
)
def test_errors(images, options, error, text, backend):
    with pytest.raises(error, match=text):
        hashes.dhash(images, backend=backend, **options)


def test_errors_of_planes(backend):
    volume = np.zeros((4, 5, 6), np.uint8)
    for tiles, slices, axis, text in (
        ([(0, 5, 0, 7)], [0], 0, r"tile 0 must have pixels and be within \(5, 6\)"),
        ([(0, 1, 0, 1), (2, 2, 0, 1)], [0], 2, r"tile 1 must have pixels and be within \(4, 5\)"),
        ([(0, 1, 0, 1)], [0, 5], 1, "slice 1 must be within 0 and 4, not 5"),
        ([(0, 1, 0, 1)], [0], 3, "axis must be 0, 1 or 2"),
    ):
        with pytest.raises(ValueError, match=text):
            hashes.planes(volume, axis, tiles, slices, backend=backend)
    with pytest.raises(TypeError, match="volume must be uint8, not uint16"):
        hashes.planes(volume.astype(np.uint16), 0, [(0, 1, 0, 1)], [0], backend=backend)


@given(bits=st.integers(1, 300), n=st.integers(0, 4), seed=st.integers(0, 99))
def test_hex_there_and_back(bits, n, seed):
    ones = np.random.default_rng(seed).random((n, -(-bits // 64) * 64)) < 0.5
    ones[:, bits:] = False
    codes = np.packbits(ones, axis=1).view(">u8").astype(np.uint64)
    texts = hashes.to_hex(codes, bits)
    assert all(int(text, 16) < 1 << bits for text in texts)
    assert np.array_equal(hashes.from_hex(texts, bits), codes)


@pytest.mark.parametrize(
    "text", ["imagehash.dhash", "imagehash.none/8/pillow13", "cem.dhash/8/pillow13/crop=x", "/"]
)
def test_texts_that_are_no_profile(text):
    with pytest.raises(ValueError, match="is no hash profile"):
        hashes.Profile.parse(text)


@pytest.mark.parametrize("scaling", [None, "dtype", (0.5, 7.25)])
def test_profile_text_there_and_back(scaling):
    for profile in ("imagehash", "cem"):
        made = hashes.Profile("phash", 16, profile, "pillow12.2", scaling, 128)
        again = hashes.Profile.parse(str(made))
        assert str(again) == str(made)
        assert again.scaling == made.scaling


def test_planes_axis(backend):
    for axis in (3, -1, None, 1 << 70):
        with pytest.raises(ValueError, match="axis must be 0, 1 or 2, not"):
            hashes.planes(np.zeros((2, 2, 2), np.uint8), axis, [(0, 1, 0, 1)], [0], backend=backend)
