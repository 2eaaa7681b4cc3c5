"""Every kernel that has a twin for GPUs, at sizes around those of warps, words and blocks: the host's bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from conftest import random_masks
from maskmill import Masks, _backend, features, hamming, hashes, overlap, patches, polygons, rle, setops

SIZES = [
    *(("emulated", n) for n in (1, 7, 33)),
    *(("cuda", n) for n in (1, 7, 31, 33, 97, 1023)),
]
sized = pytest.mark.parametrize(("cupy", "n"), SIZES, indirect=["cupy"])


def arrays_of(result: Any) -> Iterator[Any]:
    """All arrays in what a function returns, and what else it returns as it is."""
    if isinstance(result, tuple | list):
        for part in result:
            yield from arrays_of(part)
    elif isinstance(result, Masks):
        yield from (result.counts, result.offsets, result.sizes)
    else:
        yield result


def compare(cupy: Any, function: Any, *arguments: Any, **options: Any) -> None:
    """What a function makes of arrays there is what it makes of them here."""
    there = [move(cupy, argument) for argument in arguments]
    expected = list(arrays_of(function(*arguments, **options)))
    found = list(arrays_of(function(*there, **options)))
    for a, b in zip(found, expected, strict=True):
        on_host = a.get() if isinstance(a, cupy.ndarray) else a
        if isinstance(b, np.ndarray):
            assert on_host.dtype == b.dtype
            np.testing.assert_array_equal(on_host, b)
        else:
            assert on_host == b


def move(cupy: Any, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return cupy.asarray(value)
    return value.to("cuda") if isinstance(value, Masks | polygons.Polygons) else value


def stacks(rng: np.random.Generator, n: int) -> Iterator[np.ndarray]:
    """Masks of n rows: noise, a chessboard, nothing, everything; none at all; none of whose pixels are there."""
    width = n + 2
    images = random_masks(rng, 5, n, width)
    images[1] = np.indices((n, width)).sum(0) % 2
    images[2], images[3] = False, True
    yield images
    yield images[:0]
    yield images[:, :0]
    yield images[:, :, :0]


@sized
def test_rle(cupy, rng, n):
    for images in stacks(rng, n):
        for view in (images, images[:, ::-1], images.astype(np.int32) * 1000):
            compare(cupy, rle.encode, view)
        counts, offsets, sizes = rle.encode(images)
        for function in (rle.area, rle.to_strings):
            compare(cupy, function, counts, offsets)
        for function in (rle.decode, rle.bbox, rle.check, rle.normalize):
            compare(cupy, lambda c, o, f=function, s=sizes: f(c, o, s), counts, offsets)
        values = np.arange(len(images), dtype=np.int16)[:, None, None]
        compare(cupy, rle.from_labels, (images * values).sum(0, dtype=np.int16))


@sized
def test_set_operations_and_overlaps(cupy, rng, n):
    for images in stacks(rng, n):
        a, b = Masks.encode(images), Masks.encode(images[::-1])
        for op in ("union", "intersection", "xor", "difference"):
            compare(cupy, lambda a, b, op=op: setops.pairs(a._arrays, b._arrays, op), a, b)
            groups = [0, len(a) // 2, len(a), len(a)], images.shape[1:], op
            compare(cupy, lambda a, groups=groups: setops.merge(*a._arrays, *groups), a)
        compare(cupy, lambda a: ~a, a)
        crowd = np.arange(len(b)) % 2
        compare(cupy, lambda a, b, crowd=crowd: overlap.iou(a._arrays, b._arrays, crowd), a, b)
        compare(cupy, lambda a, b: overlap.intersection(a._arrays, b._arrays), a, b)
        compare(cupy, lambda a: overlap.nms(*a._arrays, 0.4), a)


@sized
@pytest.mark.parametrize("words", [1, 4])
def test_hamming(cupy, rng, n, words):
    codes = rng.integers(0, 1 << 64, (n, words), np.uint64)[rng.integers(0, n, n)]
    codes[:, 0] ^= rng.integers(0, 16, n).astype(np.uint64)
    for some in (codes, codes[:0]):
        compare(cupy, hamming.pairs, some, 2)
        compare(cupy, lambda a, b: hamming.pairs(a, 2, other=b), some, codes[::-1].copy())
        compare(cupy, hamming.nearest, some, codes[: n // 2])
        compare(cupy, hamming.nearest, some, codes, 1)
        compare(cupy, hamming.greedy, some, 3)


@sized
def test_patches(cupy, rng, n):
    image = rng.integers(0, 256, (n, n + 3), np.uint8)
    boxes = patches.grid(image.shape, (min(n, 32), min(n, 17)), 9 if n < 100 else 65, edge="pad")
    for array in (image, image[::-1, 1:], image.astype(np.float64)):
        for mode in ("constant", "edge", "reflect"):
            compare(cupy, lambda a, mode=mode: patches.extract(a, boxes, mode=mode), array)
    compare(cupy, lambda a: patches.extract(a, boxes[:0]), image)
    cut = patches.extract(image, boxes)
    for blend in ("mean", "hann", "max", "last"):
        compare(cupy, lambda a, blend=blend: patches.stitch(a, boxes, image.shape, blend=blend), cut)
    volume = rng.integers(0, 1 << 16, (3, n, 34), np.uint16)
    for axis in range(3):
        h, w = np.delete(volume.shape, axis).tolist()
        tiles, slices = [[0, h, 0, w]], range(min(volume.shape[axis], 40))
        compare(cupy, lambda a, *where: patches.planes(a, *where), volume, axis, tiles, list(slices))
        compare(cupy, lambda a, *where: patches.stats(a, *where), volume, axis, tiles, list(slices))


@sized
def test_polygons(cupy, rng, n):
    rings = [
        [rng.uniform(-0.2, 1.2, (rng.integers(0, 9), 2)) * n for _ in range(rng.integers(0, 3))]
        for _ in range(n)
    ]
    some, sizes = polygons.Polygons.from_lists(rings), rng.integers(0, n + 1, (n, 2))
    for rule in ("coco", "even-odd", "non-zero"):
        compare(cupy, lambda p, rule=rule: polygons.rasterize(p, sizes, rule), some)


@sized
def test_matching(cupy, rng, n):
    gt, dt = rng.uniform(0, n, (n, 4)), rng.uniform(0, n, (n + 5, 4))
    crowd = (rng.random(n) < 0.3).astype(np.uint8)
    cells = [np.sort(np.append(rng.integers(0, k + 1, 7), [0, k])) for k in (n, n + 5)]
    arguments = [cells[0], rng.permutation(n), cells[1], rng.permutation(n + 5), gt, dt, crowd]
    found = _backend.kernels("cuda").matching_box_iou(*(cupy.asarray(a) for a in arguments))
    for a, b in zip(found, _backend.kernels("cpp").matching_box_iou(*arguments), strict=True):
        np.testing.assert_array_equal(a.get(), b)


@sized
@pytest.mark.parametrize("kind", ["ahash", "dhash", "phash", "whash"])
def test_hashes(cupy, rng, n, kind):
    batch = rng.integers(0, 256, (3, n, n + 1), np.uint8)
    batch[1], batch[2] = 0, 255
    colors = rng.integers(0, 256, (1, n, n + 1, 3), np.uint8)
    for images in (batch, batch[:, ::-1], batch[:0], colors):
        compare(cupy, getattr(hashes, kind), images)


@sized
@pytest.mark.parametrize("profile", ["skimage", "doodler", "ilastik"])
def test_features(cupy, rng, n, profile):
    image = rng.integers(0, 256, (n, n + 2), np.uint8)
    for array in (image, np.zeros_like(image), rng.normal(size=image.shape).astype(np.float32)):
        compare(cupy, lambda a: features.bank(a, [0.7, 3.5], profile=profile), array)


def huge(cupy: Any, shape: tuple[int, ...]) -> Any:
    """More than 2^31 bytes, which repeat after 251 in each row, from another one on."""
    if cupy.cuda.runtime.memGetInfo()[0] < 24 << 30:
        pytest.skip("less than 24 GB of the GPU's memory are free")
    out = cupy.empty(shape, np.uint8)
    rows = out.reshape(-1, shape[-1])
    step = 1 << 16
    for first in range(0, len(rows), step):
        row = cupy.arange(first, min(first + step, len(rows)))[:, None]
        rows[first : first + step] = (row * 7 + cupy.arange(shape[-1])[None, :]) % 251
    assert out.size > 1 << 31
    return out


last = pytest.mark.parametrize("cupy", ["cuda"], indirect=True)


@last
def test_masks_of_more_pixels_than_2_to_the_31(cupy):
    images = huge(cupy, (2200, 1000, 1000)) > 200
    masks = Masks.encode(images)
    some = [0, 1, 2147, 2148, 2199]  # around the pixel of that number, and at the ends
    expected = Masks.encode(images[cupy.asarray(some)].get())
    assert masks[some].to("cpu") == expected
    np.testing.assert_array_equal(masks.area.get()[some], expected.area)
    np.testing.assert_array_equal(masks.bbox.get()[some], expected.bbox)
    assert masks[some].to_coco() == expected.to_coco()
    assert int(masks.area.sum()) == int(images.sum())
    decoded = masks.decode()
    for first in range(0, len(images), 100):
        assert bool((decoded[first : first + 100] == images[first : first + 100]).all())


@last
def test_patches_and_hashes_beyond_2_to_the_31(cupy):
    batch = huge(cupy, (43000, 224, 224))
    codes = hashes.dhash(batch).get()
    for some in (slice(0, 50), slice(42780, 42830), slice(42950, 43000)):  # 2^31 lies in image 42799
        np.testing.assert_array_equal(codes[some], hashes.dhash(batch[some].get()))
    volume = batch.reshape(43000 * 8, 28, 224)
    boxes = [[0, 3, 0, 28, 0, 224], [342392 - 2, 342392 + 2, 0, 28, 0, 224], [343990, 344003, -1, 29, 0, 225]]
    for box, found in zip(boxes, patches.extract(volume, boxes), strict=True):
        first, end = box[0], min(box[1], len(volume))
        near = patches.extract(volume[first:end].get(), [[0, box[1] - first, *box[2:]]])
        np.testing.assert_array_equal(found.get(), near[0])
    out = cupy.empty((1, len(volume), 28, 224), np.uint8)
    patches.planes(volume, 0, [[0, 28, 0, 224]], list(range(len(volume))), out=out)
    for first in range(0, len(volume), 10000):
        assert bool((out[0, first : first + 10000] == volume[first : first + 10000]).all())
