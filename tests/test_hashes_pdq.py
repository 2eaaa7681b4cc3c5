"""PDQ: pdqhash's bits and qualities, on every backend, at every level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmill import _backend, hashes

pdqhash = pytest.importorskip("pdqhash")


def text(bits: np.ndarray) -> str:
    return np.packbits(bits.astype(np.uint8)).tobytes().hex()


def ones(codes: np.ndarray) -> np.ndarray:
    """Bits set in each code of (..., words)."""
    return np.unpackbits(np.ascontiguousarray(codes).view(np.uint8), axis=-1).sum(axis=-1, dtype=np.int64)


def in_colors(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2))


def assert_as_pdqhash(images: list[np.ndarray], backend: str | None) -> None:
    expected = [pdqhash.compute(in_colors(image)) for image in images]
    codes, quality = hashes.pdq(images, quality=True, backend=backend)
    assert codes.shape == (len(images), 4)
    assert hashes.to_hex(codes) == [text(bits) for bits, _ in expected]
    assert quality.tolist() == [found for _, found in expected]
    assert quality.dtype == np.uint8

    turned = [pdqhash.compute_dihedral(in_colors(image)) for image in images]
    codes, quality = hashes.pdq_dihedral(images, quality=True, backend=backend)
    assert codes.shape == (len(images), 8, 4)
    assert [hashes.to_hex(rows) for rows in codes] == [[text(bits) for bits in found] for found, _ in turned]
    assert quality.tolist() == [found for _, found in turned]


def blocks(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Squares of one colour, as photos have areas."""
    height, width, *channels = shape
    coarse = rng.integers(0, 256, (height // 7 + 1, width // 7 + 1, *channels), np.uint8)
    return coarse.repeat(7, 0).repeat(7, 1)[:height, :width]


SIZES = [
    (1, 1),
    (4, 60),
    (5, 5),
    (5, 300),
    (33, 31),
    (63, 65),
    (64, 64),
    (128, 129),
    (256, 256),
    (257, 256),
    (200, 390),
    (97, 700),
]


@pytest.mark.parametrize("size", SIZES)
def test_sizes(backend: str, rng: np.random.Generator, size: tuple[int, int]) -> None:
    images = [
        make(*size, *channels)
        for make in (
            lambda *shape: blocks(rng, *shape),
            lambda *shape: rng.integers(0, 256, shape, np.uint8),
        )
        for channels in ((), (3,))
    ]
    assert_as_pdqhash(images, backend)


def test_degenerate(backend: str, rng: np.random.Generator) -> None:
    stripes = np.tile(np.repeat(np.array([0, 255], np.uint8), 5), (90, 12))
    mirror = np.maximum(noise := rng.integers(0, 256, (100, 100), np.uint8), noise[:, ::-1])
    flat = [np.full((70, 300, 3), color, np.uint8) for color in (0, 1, 77, 255)]
    colored = np.broadcast_to(np.array([10, 200, 37], np.uint8), (80, 80, 3))
    assert_as_pdqhash(
        [stripes, stripes.T, mirror, *flat, np.ascontiguousarray(colored), np.eye(200, dtype=np.uint8)],
        backend,
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 400), st.integers(1, 400), st.booleans(), st.integers(0, 2**32))
def test_any_size(height: int, width: int, colors: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (height, width, 3) if colors else (height, width)
    assert_as_pdqhash([rng.integers(0, 256, shape, np.uint8), blocks(rng, *shape)], None)


def test_backends_agree_on_float32_luma(both: tuple[Any, Any], rng: np.random.Generator) -> None:
    images = [blocks(rng, 70 + 31 * k, 300 - 23 * k, 3) for k in range(8)]
    images += [rng.integers(0, 256, (64, 64, 4), np.uint8)]
    cpp, numba = (kernels.hashes_pdq(images, "float32", False) for kernels in both)
    np.testing.assert_array_equal(cpp[0], numba[0])
    np.testing.assert_array_equal(cpp[1], numba[1])


def test_luma_of_every_color() -> None:
    """The kernel divides integers by 1000 in float32; pdqhash sums products in double."""
    red, green = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    for blue in range(0, 256, 5):
        expected = (red * 0.299 + green * 0.587 + blue * 0.114).astype(np.float32)
        found = (299 * red + 587 * green + 114 * blue).astype(np.float32) / np.float32(1000)
        np.testing.assert_array_equal(found, expected)


def test_levels(rng: np.random.Generator) -> None:
    if _backend.why_missing("cpp"):
        pytest.skip("no C++ core")
    core = _backend.kernels("cpp")
    images = [blocks(rng, 40 + 37 * k, 350 - 29 * k, 3) for k in range(10)] + [
        rng.integers(0, 256, (90 + k, 224), np.uint8) for k in range(5)
    ]
    best = core.simd_level()
    found = []
    try:
        for level in ("baseline", "avx2", "avx512")[: ("baseline", "avx2", "avx512").index(best) + 1]:
            core.set_simd_level(level)
            found.append(core.hashes_pdq(images, "pdqhash", True))
    finally:
        core.set_simd_level(best)
    for codes, quality in found:
        np.testing.assert_array_equal(codes, found[0][0])
        np.testing.assert_array_equal(quality, found[0][1])


def test_strides(backend: str, rng: np.random.Generator) -> None:
    """A view is hashed as its copy."""
    stack = rng.integers(0, 256, (90, 310, 170), np.uint8)
    colors = rng.integers(0, 256, (3, 140, 320), np.uint8)
    views = [stack[::-1, :, 7], stack[3, ::2, ::-1], stack[:, 100], colors.transpose(1, 2, 0)[::-1, :, ::-1]]
    np.testing.assert_array_equal(
        hashes.pdq(views, backend=backend),
        hashes.pdq([np.ascontiguousarray(view) for view in views], backend=backend),
    )


def test_dihedral_is_of_the_turned_image(backend: str, rng: np.random.Generator) -> None:
    image = blocks(rng, 256, 256)
    turned = [
        image,
        *(np.rot90(image, k) for k in (1, 2, 3)),
        image[::-1],
        image[:, ::-1],
        image.T,
        np.rot90(image, 2).T,
    ]
    codes = hashes.pdq_dihedral([image], backend=backend)[0]
    for k, other in enumerate(hashes.pdq(turned, backend=backend)):
        near = ones(codes ^ other)
        assert near.argmin() == k
        assert near[k] < 64, hashes.DIHEDRAL[k]  # its filter is half a pixel off the middle


def test_shrink(backend: str, rng: np.random.Generator) -> None:
    image = blocks(rng, 600, 300)
    nearest = image[np.arange(512) * 600 // 512][:, np.arange(512) * 300 // 512]
    small = blocks(rng, 512, 30)
    np.testing.assert_array_equal(
        hashes.pdq([image, small], shrink=True, backend=backend),
        hashes.pdq([nearest, small], backend=backend),
    )


def test_profile() -> None:
    image = np.random.default_rng(1).integers(0, 256, (90, 90, 3), np.uint8)
    for luma in ("pdqhash", "float32"):
        kind = "pdq" if luma == "pdqhash" else "pdq_float32"
        profile = hashes.Profile(kind, 16, "pdq")
        assert hashes.Profile.parse(str(profile)) == profile
        assert (profile.bits, profile.words) == (256, 4)
        np.testing.assert_array_equal(profile.codes([image]), hashes.pdq([image], luma=luma))
    with pytest.raises(ValueError, match="hash_size must be 16 for profile 'pdq', not 8"):
        hashes.Profile("pdq", 8, "pdq")


def test_no_images(backend: str) -> None:
    codes, quality = hashes.pdq([], quality=True, backend=backend)
    assert codes.shape == (0, 4)
    assert quality.shape == (0,)
    assert hashes.pdq_dihedral([], backend=backend).shape == (0, 8, 4)


def test_refusals(backend: str) -> None:
    image = np.zeros((9, 9), np.uint8)
    with pytest.raises(ValueError, match="luma must be one of 'pdqhash', 'float32', not 'bt709'"):
        hashes.pdq([image], luma="bt709", backend=backend)
    with pytest.raises(TypeError, match="image 0 must be uint8, not uint16"):
        hashes.pdq([image.astype(np.uint16)], backend=backend)
    kernels = _backend.kernels(backend)
    with pytest.raises(ValueError, match="unknown luma: x"):
        kernels.hashes_pdq([image], "x", False)


# Real images

BRIDGE = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"


def test_photos(backend: str, data: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    files = sorted((data / "dedupe").rglob("*.jpg"))[:: 1 if backend == "cpp" else 8]
    images = [image[..., ::-1] for image in map(cv2.imread, map(str, files)) if image is not None]
    assert_as_pdqhash([np.ascontiguousarray(image[:700, :900]) for image in images], backend)


def test_golden(data: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    with image_module.open(data / "dedupe/pdq/bridge-mods/aaa-orig.jpg") as photo:
        image = np.asarray(photo.convert("RGB"))
    codes, quality = hashes.pdq([image], quality=True)
    assert hashes.to_hex(codes) == [BRIDGE]
    assert quality.tolist() == [100]


def test_video_as_vpdq(data: Path) -> None:
    """vpdq had another decoder: its frames 52 to 81, which are blurred by motion, have other codes, nearest to ours of
    the same frame still."""
    cv2 = pytest.importorskip("cv2")
    lines = (data / "video/doorknob-hd-no-bar.vpdq.txt").read_text().split()
    expected = hashes.from_hex([line.split(",")[2] for line in lines])
    video = cv2.VideoCapture(str(data / "video/doorknob-hd-no-bar.mp4"))
    frames = [frame[..., ::-1] for _, frame in iter(video.read, (False, None))]
    assert len(frames) == len(expected) == 120
    codes = hashes.pdq(frames, luma="float32")
    distance = ones(codes[:, None] ^ expected[None])
    same = distance.diagonal()
    assert same[:48].max() <= 12
    assert np.median(same) <= 12
    assert same.max() <= 90
    assert np.count_nonzero(distance.argmin(axis=0) == np.arange(120)) >= 115
