"""Masks and arrays on a GPU, or on what is taken for one: results are where the inputs are, and equal the host's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fake_cupy
import maskmill
from conftest import random_masks
from maskmill import Masks, _backend, features, hamming, hashes, patches, polygons, rle


def test_masks_on_a_gpu_equal_those_on_the_host(cupy, rng):
    images = random_masks(rng, 5, 97, 33)
    host = Masks.encode(images)
    masks = Masks.encode(cupy.asarray(images))
    assert (host.device, masks.device) == ("cpu", "cuda")
    assert type(masks.counts) is cupy.ndarray
    assert masks.to("cpu") == host
    assert host.to("cuda").to("cpu") == host
    assert masks.to("cuda") is masks
    np.testing.assert_array_equal(masks.area.get(), host.area)
    np.testing.assert_array_equal(masks.bbox.get(), host.bbox)
    np.testing.assert_array_equal(masks.decode().get(), images)
    np.testing.assert_array_equal(rle.decode(*host._arrays), images)


def test_layouts(cupy, rng):
    images = random_masks(rng, 4, 40, 65)
    expected = Masks.encode(images)
    for view in (images, np.asfortranarray(images), images.astype(np.int64) * 7):
        assert Masks.encode(cupy.asarray(view)).to("cpu") == expected
    assert Masks.encode(cupy.asarray(images)[:, ::-1]).to("cpu") == Masks.encode(images[:, ::-1])
    stacked = cupy.asarray(np.ascontiguousarray(images.transpose(1, 2, 0)))
    assert Masks.encode(stacked, order="HWN").to("cpu") == expected


def test_nothing_is_moved_unasked(cupy):
    masks = Masks.encode(np.eye(4, dtype=bool))
    with pytest.raises(ValueError, match="backend 'cuda' takes arrays on a GPU"):
        rle.area(masks.counts, masks.offsets, backend="cuda")
    there = masks.to("cuda")
    with pytest.raises(ValueError, match="arrays on a GPU need backend 'cuda', not 'numba'"):
        rle.area(there.counts, there.offsets, backend="numba")
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', not 'tpu'"):
        masks.to("tpu")


def test_the_same_faults(cupy):
    counts, offsets = np.array([3, 2, 9, 3], np.uint32), np.array([0, 2, 4])
    sizes = np.array([[1, 5], [2, 5]])
    with pytest.raises(ValueError) as on_host:
        rle.bbox(counts, offsets, sizes)
    with pytest.raises(ValueError) as on_gpu:
        rle.bbox(cupy.asarray(counts), cupy.asarray(offsets), sizes)
    assert str(on_gpu.value) == str(on_host.value) == "mask 1: runs sum to 12, image has 10 pixels"
    for wrong in (np.zeros((2, 3)), np.zeros(3, bool)):
        for array in (wrong, cupy.asarray(wrong)):
            with pytest.raises((TypeError, ValueError)) as error:
                rle.encode(array)
            assert "images must be" in str(error.value)


def assert_same(found: Any, expected: Any, cupy: Any) -> None:
    for a, b in zip(found, expected, strict=True):
        assert type(a) is cupy.ndarray
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a.get(), b)


@pytest.mark.parametrize("words", [1, 2, 3, 4])
def test_codes_on_a_gpu(cupy, rng, words):
    # More than a block of greedy, and a tile of the join.
    codes = rng.integers(0, 1 << 64, (70, words), np.uint64)[rng.integers(0, 70, 2100)]
    codes[np.arange(2100), 0] ^= rng.integers(0, 256, 2100).astype(np.uint64)
    other, order, groups = codes[5:900:3], rng.permutation(2100), rng.integers(0, 4, 2100)
    a, b = cupy.asarray(codes), cupy.asarray(other)
    assert_same(hamming.pairs(a[:700], 3), hamming.pairs(codes[:700], 3), cupy)
    assert_same(hamming.pairs(a[:700], 4, other=b), hamming.pairs(codes[:700], 4, other=other), cupy)
    assert_same(hamming.nearest(a, b), hamming.nearest(codes, other), cupy)
    assert_same(hamming.nearest(a, b, 2), hamming.nearest(codes, other, 2), cupy)
    for radius in (0, 3, 40 * words):
        assert_same(hamming.greedy(a, radius), hamming.greedy(codes, radius), cupy)
    found = hamming.greedy(a, 2, order=order, exemplars=b[:50])
    assert_same(found, hamming.greedy(codes, 2, order=order, exemplars=other[:50]), cupy)
    found = hamming.greedy(a, 2, order=cupy.asarray(order), groups=cupy.asarray(groups))
    assert_same(found, hamming.greedy(codes, 2, order=order, groups=groups), cupy)


def test_more_pairs_than_there_is_room_for_at_first(cupy):
    codes = np.zeros(1500, np.uint64)
    assert_same(hamming.pairs(cupy.asarray(codes), 0), hamming.pairs(codes, 0), cupy)
    with pytest.raises(hamming.TooManyPairs, match="^more than 1124249 pairs are within 0 bits$"):
        hamming.pairs(cupy.asarray(codes), 0, limit=1_124_249)


def test_a_chain_of_codes(cupy):
    """Each is near to the next alone: the most rounds that a block of greedy can take."""
    codes = np.zeros((1100, 4), np.uint64)
    for i in range(1, 256):
        codes[i] = codes[i - 1]
        codes[i, i // 64] |= np.uint64(1) << np.uint64(i % 64)
    codes[256:] = codes[:255][::-1].repeat(4, 0)[: 1100 - 256]
    assert_same(hamming.greedy(cupy.asarray(codes), 1), hamming.greedy(codes, 1), cupy)


def test_codes_are_not_moved(cupy):
    codes = np.zeros((3, 1), np.uint64)
    with pytest.raises(ValueError, match="backend 'cuda' takes arrays on a GPU"):
        hamming.pairs(codes, 1, backend="cuda")
    with pytest.raises(ValueError, match="arrays on a GPU need backend 'cuda', not 'cpp'"):
        hamming.greedy(cupy.asarray(codes), 1, backend="cpp")
    with pytest.raises(TypeError, match="exemplars must be uint64 on a GPU, not int64"):
        hamming.nearest(cupy.asarray(codes), cupy.asarray(codes.astype(np.int64)))


@pytest.mark.parametrize("shape", [(61, 75), (61, 75, 3), (9, 33, 70)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.complex128, bool])
def test_patches_on_a_gpu(cupy, rng, shape, dtype):
    image = rng.integers(0, 256, shape).astype(dtype)
    axes = 3 if shape[0] == 9 else 2
    there = cupy.asarray(image)
    for edge, stride in (("ragged", 16), ("shift", 11), ("pad", 7)):
        boxes = patches.grid(
            shape[:axes], (5, 16, 32)[3 - axes :], (5, stride, stride)[3 - axes :], edge=edge
        )
        for mode in ("constant", "edge", "reflect"):
            found, expected = (patches.extract(a, boxes, mode=mode, fill=1) for a in (there, image))
            assert_same(
                found if isinstance(found, list) else [found],
                expected if isinstance(found, list) else [expected],
                cupy,
            )
        if dtype is np.complex128:
            continue
        for blend in ("mean", "hann", "max", "last"):
            stitched = patches.stitch(found, boxes, shape[:axes], blend=blend)
            assert_same([stitched], [patches.stitch(expected, boxes, shape[:axes], blend=blend)], cupy)
    window = there[1:, 3:]
    box = np.array([[-3, 40, 1, 50]] if axes == 2 else [[-3, 7, 0, 30, -1, 50]])
    assert_same([patches.extract(window, cupy.asarray(box))], [patches.extract(image[1:, 3:], box)], cupy)


def test_planes_on_a_gpu(cupy, rng):
    volume = rng.integers(0, 1 << 16, (70, 40, 133), np.uint16)
    for dtype in (np.uint8, np.uint16, np.float32, np.float64):
        for axis in range(3):
            h, w = (side - 3 for side in np.delete(volume.shape, axis).tolist())
            tiles, slices = [[0, h, 1, 1 + w], [3, 3 + h, 2, 2 + w]], [*range(volume.shape[axis]), 4, 9]
            host = volume.astype(dtype)
            found = patches.planes(cupy.asarray(host), axis, tiles, slices)
            assert_same([found], [patches.planes(host, axis, tiles, slices)], cupy)
            found = patches.stats(cupy.asarray(host), axis, tiles, slices, padding=7)
            assert_same(found, patches.stats(host, axis, tiles, slices, padding=7), cupy)
    out = cupy.empty((1, 1, 2, 2), np.uint16)
    assert patches.planes(cupy.asarray(volume), 0, [[0, 2, 0, 2]], [3], out=out).get().shape == (1, 1, 2, 2)
    np.testing.assert_array_equal(out.get()[0, 0], volume[3, :2, :2])


def test_faults_of_patches_are_the_same(cupy):
    image = np.zeros((5, 6), np.uint8)
    for boxes, mode in (([[0, 1, 3, 2]], "constant"), ([[0, 1 << 40, 0, 1]], "edge")):
        texts = []
        for array in (image, cupy.asarray(image)):
            with pytest.raises(ValueError) as error:
                patches.extract(array, boxes, mode=mode, out=array)
            texts.append(str(error.value))
        assert texts[0] == texts[1]
    with pytest.raises(ValueError, match="box 0: there is nothing to pad with in an empty array"):
        patches.extract(cupy.asarray(image[:0]), [[0, 1, 0, 1]], mode="edge")
    masks = Masks.encode(image).to("cuda")
    with pytest.raises(_backend.BackendError, match="crop_masks has no twin on the GPU"):
        patches.crop_masks(*masks._arrays, [[0, 2, 0, 2]])


@pytest.mark.parametrize("rule", ["coco", "even-odd", "non-zero"])
def test_polygons_on_a_gpu(cupy, rng, rule):
    rings = [
        [rng.uniform(-10, 80, (rng.integers(0, 9), 2)) for _ in range(rng.integers(0, 4))] for _ in range(70)
    ]
    sizes = rng.integers(0, 97, (70, 2))
    host = polygons.Polygons.from_lists(rings)
    there = host.to("cuda")
    assert (host.device, there.device, there.to("cuda"), host.to("cpu")) == ("cpu", "cuda", there, host)
    masks = Masks.from_polygons(there, sizes, rule=rule)
    assert masks.device == "cuda"
    assert masks.to("cpu") == Masks.from_polygons(host, sizes, rule=rule)
    assert_same(polygons.rasterize(there, sizes, rule)[:2], polygons.rasterize(host, sizes, rule)[:2], cupy)
    back = there.to("cpu")
    np.testing.assert_array_equal(back.points, host.points)


def test_more_crossings_than_a_column_mostly_has(cupy, rng):
    comb = np.stack([np.tile([3.2, 61.7], 600), rng.uniform(-5, 70, 1200)], axis=1)
    host = polygons.Polygons.from_lists([[comb], [comb[::-1], comb + 3]])
    for rule in ("coco", "even-odd", "non-zero"):
        found = polygons.rasterize(host.to("cuda"), (64, 65), rule)
        assert_same(found[:2], polygons.rasterize(host, (64, 65), rule)[:2], cupy)


def test_faults_of_polygons_are_the_same(cupy):
    good = polygons.Polygons.from_lists([[[0, 0, 9, 0, 9, 9]], [[0, 0, 9, 0, 9, 9]]])
    bad = polygons.Polygons.from_lists([[[0, 0, 9, 0, 9, 9]], [[1, 2, 3, 4, 5, float("nan")]]])
    for where in (bad, bad.to("cuda")):
        with pytest.raises(
            ValueError, match=r"^mask 1: point 2 of a ring is \(5, nan\), not finite and at most 4e8$"
        ):
            polygons.rasterize(where, (9, 9))
    for where in (good, good.to("cuda")):
        with pytest.raises(ValueError, match="^a run is longer than 2\\^32 - 1 pixels$"):
            polygons.rasterize(where, (70000, 70000))
    with pytest.raises(ValueError, match=r"backend 'cuda' takes arrays on a GPU; .* polygons.to\('cuda'\)"):
        polygons.rasterize(good, (9, 9), backend="cuda")
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', not 'tpu'"):
        good.to("tpu")
    there = good.to("cuda")
    with pytest.raises(
        _backend.BackendError, match=r"rule 'skimage' has no twin on the GPU; .*polygons.to\('cpu'\)"
    ):
        polygons.rasterize(there, (9, 9), "skimage")
    with pytest.raises(_backend.BackendError, match="polygons_tangles has no twin on the GPU"):
        polygons.tangles(there)
    with pytest.raises(_backend.BackendError, match="polygons_simplify has no twin on the GPU"):
        there.simplify(1.0)


@pytest.mark.parametrize("shape", [(0, 0), (1, 7), (33, 31), (97, 1023)])
def test_iou_of_boxes_on_a_gpu(cupy, rng, shape):
    gt, dt = (rng.uniform(0, 50, (n, 4)) for n in shape)
    crowd = (rng.random(shape[0]) < 0.2).astype(np.uint8)
    cells = [np.sort(rng.integers(0, n + 1, 9)) for n in shape]
    arguments = [cells[0], rng.permutation(shape[0]), cells[1], rng.permutation(shape[1]), gt, dt, crowd]
    found = _backend.kernels("cuda").matching_box_iou(*map(cupy.asarray, arguments))
    assert_same(found, _backend.kernels("cpp").matching_box_iou(*arguments), cupy)


HASHES = ("ahash", "dhash", "dhash_v", "phash", "phash_simple", "whash")


@pytest.mark.parametrize("kind", HASHES)
def test_hashes_on_a_gpu(cupy, rng, kind):
    batch = rng.integers(0, 256, (5, 97, 60, 3), np.uint8)
    there, make = cupy.asarray(batch), getattr(hashes, kind)
    assert_same([make(there)], [make(batch)], cupy)
    views = there[1:, 3:, :, 1], batch[1:, 3:, :, 1]
    assert_same(
        [make(views[0], 12 if kind != "whash" else 4)], [make(views[1], 12 if kind != "whash" else 4)], cupy
    )
    images = [
        rng.integers(0, 256, shape, np.uint8) for shape in ((1, 1), (7, 300), (300, 9), (1, 2000), (2500, 1))
    ]
    images += [batch[0], batch[1, :, :, 0] > 99]
    found = make([cupy.asarray(image) for image in images], resize="pillow12.2")
    assert_same([found], [make(images, resize="pillow12.2")], cupy)
    assert make(there[:0]).shape == (0, 1)


def test_hash_profiles_on_a_gpu(cupy, rng):
    batch = rng.integers(0, 256, (3, 70, 81, 3), np.uint8)
    for profile, names in (("cem", HASHES), ("imagededup", HASHES[:2]), ("opencv", ("ahash", "phash"))):
        for kind in names:
            rule = hashes.Profile(kind, profile=profile, crop=40)
            assert_same([rule.codes(cupy.asarray(batch))], [rule.codes(batch)], cupy)
    wide = rng.integers(0, 4096, (2, 30, 40), np.uint16)
    for scaling in ("dtype", "minmax", (100, 900)):
        found = hashes.dhash(cupy.asarray(wide), scaling=scaling)
        assert_same([found], [hashes.dhash(wide, scaling=scaling)], cupy)
    with pytest.raises(_backend.BackendError, match="hashes_crop_resistant has no twin on the GPU"):
        hashes.crop_resistant(cupy.asarray(batch))


def blocks(rng, height, width, channels):
    coarse = rng.integers(0, 256, (height // 7 + 1, width // 5 + 1, channels), np.uint8)
    return coarse.repeat(7, 0).repeat(5, 1)[:height, :width]


PDQ_SIZES = [
    (1, 1),
    (4, 60),
    (7, 7),
    (31, 33),
    (33, 31),
    (64, 64),
    (65, 1023),
    (97, 130),
    (300, 5),
    (257, 256),
]


@pytest.mark.parametrize("size", PDQ_SIZES)
def test_pdq_on_a_gpu(cupy, rng, size):
    batch = np.stack([blocks(rng, *size, 3), np.full((*size, 3), 77, np.uint8)])  # one without gradients
    there = cupy.asarray(batch)
    found = hashes.pdq_dihedral(there, luma="float32", quality=True)
    assert_same(found, hashes.pdq_dihedral(batch, luma="float32", quality=True), cupy)
    assert found[1][1] == 0
    for view in (lambda a: a[::-1, :, :, 1], lambda a: a.transpose(0, 2, 1, 3)[:, ::-1]):
        found = hashes.pdq(view(there), quality=True)
        assert_same(found, hashes.pdq(view(batch), quality=True), cupy)


def test_turned_and_colored_hashes_on_a_gpu(cupy, rng):
    for height, width in ((1, 1), (7, 31), (64, 33), (97, 1023)):
        batch = np.stack([blocks(rng, height, width, 3), np.full((height, width, 3), 77, np.uint8)])
        for view in (lambda a: a, lambda a: a[::-1, :, ::-1, 1], lambda a: a[..., ::-1]):
            array, there = view(batch), view(cupy.asarray(batch))
            for rule in ({}, {"hash_size": 11, "profile": "cem", "crop": 50}):
                found = hashes.dhash_dihedral(there, **rule)
                assert_same([found], [hashes.dhash_dihedral(array, **rule)], cupy)
            for bits in (1, 3, 16):
                assert_same([hashes.colorhash(there, bits)], [hashes.colorhash(array, bits)], cupy)
    images = [rng.integers(0, 256, (*size, 3)[: 2 + k % 2], np.uint8) for k, size in enumerate(PDQ_SIZES)]
    lists = [cupy.asarray(image) for image in images]
    for make in (hashes.dhash_dihedral, hashes.colorhash):
        assert_same([make(lists)], [make(images)], cupy)
        assert len(make(there[:0])) == 0


def test_pdq_of_a_list_on_a_gpu(cupy, rng):
    images = [rng.integers(0, 256, (*size, 3)[: 2 + k % 2], np.uint8) for k, size in enumerate(PDQ_SIZES)]
    there = [cupy.asarray(image) for image in images]
    for shrink in (False, True):
        found = hashes.pdq(there, shrink=shrink, quality=True)
        assert_same(found, hashes.pdq(images, shrink=shrink, quality=True), cupy)
    codes, quality = hashes.pdq(there[0][None][:0], quality=True)
    assert codes.shape == (0, 4)
    assert quality.shape == (0,)


def test_pdq_of_long_windows_on_a_gpu(cupy, rng):
    """Sides whose filters are wider than a tile."""
    images = [rng.integers(0, 256, shape, np.uint8) for shape in ((4200, 40), (35, 4300, 3), (1, 5000))]
    assert_same([hashes.pdq([cupy.asarray(image) for image in images])], [hashes.pdq(images)], cupy)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_hashes_of_planes_on_a_gpu(cupy, rng, axis):
    volume = rng.integers(0, 256, (40, 50, 61), np.uint8)
    tiles, slices = [(0, 32, 0, 32), (3, 35, 7, 39), (0, 9, 1, 30)], [5, 0, 39, 5]
    for there, host in ((cupy.asarray(volume), volume), (cupy.asarray(volume)[:, ::-1], volume[:, ::-1])):
        for kind in ("dhash", "phash"):
            found = hashes.planes(there, axis, cupy.asarray(np.array(tiles)), slices, hash=kind, crop=32)
            assert_same([found], [hashes.planes(host, axis, tiles, slices, hash=kind, crop=32)], cupy)
    for wrong in ([(0, 1, 0, 99)], [(2, 2, 0, 1)]):
        texts = []
        for array in (volume, cupy.asarray(volume)):
            with pytest.raises(ValueError, match="tile 0 must have pixels") as error:
                hashes.planes(array, axis, wrong, [0])
            texts.append(str(error.value))
        assert texts[0] == texts[1]


@pytest.mark.parametrize("shape", [(1, 1), (3, 2, 2), (50, 67), (40, 33, 3)])
@pytest.mark.parametrize("profile", ["skimage", "doodler", "ilastik"])
def test_features_on_a_gpu(cupy, rng, shape, profile):
    image = rng.integers(0, 256, shape, np.uint8)
    options = {"profile": profile, "sigmas": [0.7, 1.6, 5]}
    for array in (image, rng.normal(size=shape), (image.astype(np.int16) - 99) * 300):
        there = cupy.asarray(array)
        expected = features.bank(array, **options)
        assert_same([features.bank(there, **options)], [expected], cupy)
        out = cupy.empty(expected.shape, np.float64)
        assert features.bank(there, out=out, **options) is out
        assert_same([out], [features.bank(array, dtype=np.float64, **options)], cupy)
        at = np.argwhere(rng.random(shape[:2]) < 0.2)[::-1]
        assert_same([features.bank(there, at=at, **options)], [features.bank(array, at=at, **options)], cupy)
    assert_same([features.deviation(there, 2)], [features.deviation(array, 2)], cupy)
    with pytest.raises(_backend.BackendError, match="LAB has no twin on the GPU"):
        features.bank(cupy.asarray(np.zeros((2, 2, 3), np.uint8)), [1], profile="core")


def test_strictness_finds_what_it_is_there_for():
    emulated = pytest.importorskip(
        "maskmill._cuda_emulated", reason="built without MASKMILL_CUDA_EMULATED=ON"
    )
    emulated.stray()
    with fake_cupy.pretended(strict=True), pytest.raises(RuntimeError, match="memory of the host"):
        emulated.stray()


def test_device_is_told_where_there_is_none():
    if _backend.why_missing("cuda") is None:
        pytest.skip("there is one")
    with pytest.raises(_backend.BackendError, match="backend 'cuda' cannot be used: .*NVIDIA GPU"):
        maskmill.use_backend("cuda").__enter__()
