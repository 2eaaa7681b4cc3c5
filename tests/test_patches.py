"""Kernel patches: grids, extraction, planes across the axes of volumes, statistics, against plain NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from maskmill import _backend, patches
from reference import properties

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"]


@pytest.fixture(params=["baseline", "avx2", "avx512"])
def level(request: pytest.FixtureRequest) -> Any:
    """Every instruction set of this CPU."""
    if _backend.why_missing("cpp") is not None:
        pytest.skip("no core")
    core = _backend.kernels("cpp")
    best = core.best_simd_level()
    try:
        core.set_simd_level(request.param)
    except ValueError as error:
        pytest.skip(str(error))
    yield request.param
    core.set_simd_level(best)


def some_array(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Few values, the least and the greatest of the type among them."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.normal(size=shape).round(1).astype(dtype)
    limits = np.iinfo(dtype)
    values = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    extreme = rng.choice(np.array([limits.min, limits.max, 7], dtype), shape)
    return np.where(rng.random(shape) < 0.3, extreme, values)


def layouts(array: NDArray[Any]) -> list[NDArray[Any]]:
    """The same values, with other strides."""
    wide = np.zeros([2 * n + 1 for n in array.shape], array.dtype)
    view = wide[tuple(slice(1, 2 * n + 1, 2) for n in array.shape)]
    view[...] = array
    backwards = np.ascontiguousarray(array[(slice(None, None, -1),) * array.ndim])
    orders = itertools.permutations(range(array.ndim))
    turned = [np.ascontiguousarray(array.transpose(o)).transpose(np.argsort(o)) for o in orders]
    return [*turned, view, backwards[(slice(None, None, -1),) * array.ndim]]


# Grid


def test_grid_every_edge() -> None:
    def along(length: int, size: int, stride: int | None = None, **how: Any) -> list[list[int]]:
        return patches.grid((1, length), (1, size), None if stride is None else (1, stride), **how)[
            :, 2:
        ].tolist()

    assert along(10, 4) == [[0, 4], [4, 8], [8, 10]]
    assert along(10, 4, edge="drop") == [[0, 4], [4, 8]]
    assert along(10, 4, edge="shift") == [[0, 4], [4, 8], [6, 10]]
    assert along(10, 4, edge="pad") == [[0, 4], [4, 8], [8, 12]]
    assert along(10, 4, 3) == [[0, 4], [3, 7], [6, 10]]
    assert along(11, 4, 3) == [[0, 4], [3, 7], [6, 10], [9, 11]]
    assert along(6, 4, 7) == [[0, 4]]
    assert along(9, 4, 7) == [[0, 4], [7, 9]]
    assert along(3, 4) == [[0, 3]]
    assert along(3, 4, edge="pad") == [[0, 4]]
    assert along(3, 4, edge="drop") == []
    assert along(10, 4, min_size=(1, 3)) == [[0, 4], [4, 8]]
    assert patches.grid((0, 5), 2).shape == (0, 4)
    assert patches.grid((4, 0, 5), 2).shape == (0, 6)
    assert patches.grid((0, 1), 2, edge="shift").shape == (0, 4)


def test_grid_as_cem_has_it() -> None:
    # The original's rule: Python's round, halves to even; see em_curation.
    for length, n in [(1, 1), (111, 1), (112, 1), (336, 2), (337, 2), (448, 2), (560, 2), (561, 3), (784, 4)]:
        assert len(patches.grid((1, length), (1, 224), edge="cem")) == n
    assert patches.grid((1024, 1024), 224, edge="cem")[-1].tolist() == [896, 1024, 896, 1024]
    assert len(patches.grid((1024, 1024), 224, edge="cem")) == 25


@properties
@given(
    shape=st.lists(st.integers(0, 30), min_size=2, max_size=3),
    size=st.integers(1, 12),
    stride=st.integers(1, 15),
    edge=st.sampled_from(["ragged", "drop", "shift", "pad"]),
)
def test_grid_covers(shape: list[int], size: int, stride: int, edge: str) -> None:
    if edge == "shift" and 0 < min(shape) < size:
        with pytest.raises(ValueError, match="size must be at most"):
            patches.grid(shape, size, stride, edge=edge)
        return
    boxes = patches.grid(shape, size, stride, edge=edge)
    assert boxes.dtype == np.int64
    assert len(np.unique(boxes, axis=0)) == len(boxes)
    assert (boxes[:, ::2] >= 0).all()
    assert (boxes[:, ::2] < np.array(shape)).all()
    sides = boxes[:, 1::2] - boxes[:, ::2]
    assert (sides == size).all() if edge != "ragged" else ((sides > 0) & (sides <= size)).all()
    if edge != "pad":
        assert (boxes[:, 1::2] <= np.array(shape)).all()
    if edge != "drop" and stride <= size:
        seen = np.zeros(shape, bool)
        for box in boxes:
            seen[tuple(slice(a, b) for a, b in zip(box[::2], box[1::2], strict=True))] = True
        assert seen.all()
    assert boxes[:, ::2].tolist() == sorted(boxes[:, ::2].tolist())


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (((5, 5), 0), ValueError, "size must be at least 1, not 0"),
        (((5, 5), -3), ValueError, "size must be at least 1, not -3"),
        (((5, 5), (2, 2, 2)), ValueError, "size must be one integer or 2, not 3"),
        (((5, 5), 2, 0), ValueError, "stride must be at least 1, not 0"),
        (((-5, 5), 2), ValueError, "shape must be at least 0, not -5"),
        (((5,), 2), ValueError, "shape must have 2 or 3 lengths, not 1"),
        (((5, 5), 2.5), TypeError, "size must be integers, not 2.5"),
    ],
)
def test_grid_bad_arguments(arguments: tuple[Any, ...], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        patches.grid(*arguments)


def test_grid_bad_edges() -> None:
    with pytest.raises(
        ValueError, match="edge must be one of 'ragged', 'drop', 'shift', 'pad', 'cem', not 'x'"
    ):
        patches.grid((5, 5), 2, edge="x")
    with pytest.raises(ValueError, match='stride must not be given with edge="cem"'):
        patches.grid((5, 5), 2, 1, edge="cem")
    with pytest.raises(ValueError, match="size must be at most 5"):
        patches.grid((5, 9), 6, edge="shift")


# Extract


def cut(array: NDArray[Any], box: NDArray[np.int64], mode: str, fill: Any) -> NDArray[Any]:
    """By np.pad."""
    far = [
        (max(0, int(-low)), max(0, int(high - n)))
        for low, high, n in zip(box[::2], box[1::2], array.shape, strict=False)
    ]
    far += [(0, 0)] * (array.ndim - len(far))
    how = {"constant_values": fill} if mode == "constant" else {}
    padded = np.pad(array, far, mode=mode, **how)  # type: ignore[call-overload]
    where = [slice(int(a) + f[0], int(b) + f[0]) for a, b, f in zip(box[::2], box[1::2], far, strict=False)]
    return padded[tuple(where)]


@pytest.mark.parametrize("dtype", [*DTYPES, "?", "c16", "S3", ">u2", "u1,f4"])
@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("channels", [None, 3])
def test_extract_any_dtype_and_strides(
    backend: str, rng: np.random.Generator, dtype: str, axes: int, channels: int | None
) -> None:
    if backend == "cuda-emulated" and not np.dtype(dtype).isnative:
        pytest.skip("arrays on a GPU are in its byte order")
    shape = (*(7, 20, 37)[3 - axes :], *([] if channels is None else [channels]))
    item = np.dtype(dtype).itemsize
    array = np.frombuffer(rng.bytes(int(np.prod(shape)) * item), np.uint8)
    array = (array % 2).view(dtype).reshape(shape) if dtype == "?" else array.view(dtype).reshape(shape)
    boxes = patches.grid(shape[:axes], (3, 6, 17)[3 - axes :], edge="shift")
    expected = [cut(array, box, "edge", 0).tobytes() for box in boxes]
    for view in layouts(array)[:9]:
        assert [patch.tobytes() for patch in patches.extract(view, boxes, backend=backend)] == expected


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
@properties
@given(data=st.data())
def test_extract_beyond_the_array(backend: str, mode: str, data: st.DataObject) -> None:
    axes = data.draw(st.integers(2, 3))
    shape = data.draw(st.lists(st.integers(1, 6), min_size=axes, max_size=axes))
    lows = data.draw(st.lists(st.lists(st.integers(-9, 9), min_size=axes, max_size=axes), max_size=4))
    size = data.draw(st.lists(st.integers(0, 9), min_size=axes, max_size=axes))
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    boxes = np.array(
        [[v for low, n in zip(b, size, strict=True) for v in (low, low + n)] for b in lows], np.int64
    )
    boxes = boxes.reshape(-1, 2 * axes)
    got = patches.extract(array, boxes, mode=mode, fill=-5, backend=backend)
    assert isinstance(got, np.ndarray)
    assert got.shape == (len(boxes), *(size if len(boxes) else [0] * axes))
    for patch, box in zip(got, boxes, strict=True):
        index = [np.arange(a, b) for a, b in zip(box[::2], box[1::2], strict=True)]
        ranges = [(i >= 0) & (i < n) for i, n in zip(index, shape, strict=True)]
        if mode == "edge":
            index = [np.clip(i, 0, n - 1) for i, n in zip(index, shape, strict=True)]
        else:
            period = [max(2 * n - 2, 1) for n in shape]
            index = [np.minimum(i % p, p - i % p) for i, p in zip(index, period, strict=True)]
        expected = array[np.ix_(*index)]
        if mode == "constant":
            inside = np.logical_and.reduce(np.meshgrid(*ranges, indexing="ij"))
            expected = np.where(inside, expected, -5)
        np.testing.assert_array_equal(patch, expected)


def test_extract_ragged_and_into_a_buffer(backend: str, rng: np.random.Generator) -> None:
    image = some_array(rng, (50, 70, 3), "u1")
    boxes = patches.grid((50, 70), 32)
    buffer = np.zeros(image.size, np.uint8)
    got = patches.extract(image, boxes, out=buffer, backend=backend)
    assert isinstance(got, list)
    for patch, (y0, y1, x0, x1) in zip(got, boxes.tolist(), strict=True):
        assert np.shares_memory(patch, buffer)
        np.testing.assert_array_equal(patch, image[y0:y1, x0:x1])
    filled = patches.extract(image, [[-1, 1, 0, 1]], fill=[1, 2, 3], backend=backend)
    np.testing.assert_array_equal(filled[0][0, 0], [1, 2, 3])


def test_extract_bad_arguments(backend: str) -> None:
    image = np.zeros((5, 6), np.uint8)

    def fails(error: type[Exception], text: str, *arguments: Any, **more: Any) -> None:
        with pytest.raises(error, match=text):
            patches.extract(*arguments, backend=backend, **more)

    fails(ValueError, r"box 1: must be a range within .*, not 3 to 2", image, [[0, 1, 0, 1], [3, 2, 0, 1]])
    fails(ValueError, r"box 0: must be a range", image, [[0, 2**40, 0, 1]], out=image)
    fails(ValueError, r"boxes must have shape \(N, 4\) or \(N, 6\), not \(1, 3\)", image, [[0, 1, 0]])
    fails(ValueError, "array must have 3 axes, or 4 with channels", image, np.zeros((1, 6), np.int64))
    fails(TypeError, "boxes must be integers", image, [[0.5, 1, 0, 1]])
    fails(ValueError, "mode must be one of", image, [[0, 1, 0, 1]], mode="wrap")
    fails(ValueError, "fill must fit uint8, not 256", image, [[0, 1, 0, 1]], fill=256)
    fails(ValueError, "fill must be one value", image, [[0, 1, 0, 1]], fill=[1, 2])
    fails(TypeError, "out must be uint8, not float64", image, [[0, 1, 0, 1]], out=np.zeros(1))
    fails(ValueError, "as many elements", image, [[0, 1, 0, 1]], out=np.zeros(2, np.uint8))
    fails(ValueError, "C-contiguous", image, [[0, 2, 0, 2]], out=np.zeros((2, 4), np.uint8)[:, ::2])
    if backend != "cuda-emulated":  # no array on a GPU holds such
        fails(TypeError, "must not hold Python objects", image.astype(object), [[0, 1, 0, 1]])
    fails(ValueError, "box 0: there is nothing to pad with", image[:0], [[0, 1, 0, 1]], mode="edge")
    frozen = np.zeros(1, np.uint8)
    frozen.flags.writeable = False
    fails(ValueError, "out must be writeable", image, [[0, 1, 0, 1]], out=frozen)


# Planes


SLICES = ([0], [3, 4, 5, 6], [6, 4, 4, 1, 0], list(range(0, 9, 2)), [])


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8", "c16", "S3"])
def test_planes_any_strides(backend: str, rng: np.random.Generator, dtype: str) -> None:
    shape = (9, 40, 130)
    volume = (
        np.frombuffer(rng.bytes(9 * 40 * 130 * np.dtype(dtype).itemsize), np.uint8).view(dtype).reshape(shape)
    )
    if volume.dtype.kind in "fc":
        volume = np.nan_to_num(volume.real).astype(dtype)
    for view in layouts(volume):
        for axis in range(3):
            cross = np.moveaxis(view, axis, 0)
            h, w = cross.shape[1] - 2, cross.shape[2] // 2
            tiles = [[0, h, 1, 1 + w], [2, 2 + h, 0, w]]
            last = (
                [*range(cross.shape[0] - 70, cross.shape[0])] if cross.shape[0] > 70 else [cross.shape[0] - 1]
            )
            for slices in (*SLICES, last):
                got = patches.planes(view, axis, tiles, slices, backend=backend)
                index = np.array(slices, np.int64)
                expected = np.stack([cross[index, a:b, c:d] for a, b, c, d in tiles])
                np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f8"])
def test_planes_whose_slices_are_neighbours(backend: str, rng: np.random.Generator, dtype: str) -> None:
    volume = some_array(rng, (2, 142, 140), dtype)
    whole, few, odd = range(140), range(4, 72), range(1, 9)
    for view, slices in [
        (volume, whole),
        (volume, few),
        (volume, odd),
        (volume, [*few, 3]),
        (volume[..., 1:], few),
    ]:
        for w in (140, 131, 4):  # more than a tile, and no whole words
            got = patches.planes(view, 2, [[0, 2, 0, w], [0, 2, 2, w + 2]], slices, backend=backend)
            cross = view[:, :, np.array(slices)].transpose(2, 0, 1)
            np.testing.assert_array_equal(got, [cross[:, :, :w], cross[:, :, 2 : w + 2]])


@pytest.mark.parametrize("h", [15, 16, 33])
@pytest.mark.parametrize("w", [15, 16, 31, 32, 47, 63, 64, 100])
def test_transposed_at_every_level(level: str, rng: np.random.Generator, h: int, w: int) -> None:
    volume = rng.integers(0, 256, (h, w + 3, 150), np.uint8)
    slices = np.r_[0:150, 149, 5, 20:41]
    got = patches.planes(volume, 2, [[0, h, 3, w + 3]], slices)
    assert np.array_equal(got[0], volume[:, 3:, slices].transpose(2, 0, 1))
    turned = np.ascontiguousarray(volume[0].T)
    assert np.array_equal(patches.extract(turned.T, [[1, w, 0, 149]])[0], volume[0, 1:w, :149])


@pytest.mark.parametrize("size", [224, 208, 199])
def test_more_than_caches_hold(level: str, size: int) -> None:
    """Written past them, where rows allow it."""
    side, n = 4320 // size * size, 4320 // size
    image = np.random.default_rng(size).integers(0, 256, (side, side), np.uint8)
    tiles = image.reshape(n, size, n, size).swapaxes(1, 2).reshape(-1, size, size)
    for shift in (0, 1, 16):
        out = np.zeros(image.size + 64, np.uint8)
        patches.extract(image, patches.grid(image.shape, size), out=out[shift : shift + image.size])
        assert np.array_equal(out[shift : shift + image.size], tiles.reshape(-1))
        assert not out[shift + image.size :].any()
    volume = np.resize(image, (26, 720, 1000))
    for axis in range(3):
        plane = np.delete(volume.shape, axis).tolist()
        tile = [0, plane[0] - 1, 0, plane[1] // 16 * 16]
        cross = np.moveaxis(volume, axis, 0)
        got = patches.planes(volume, axis, [tile], np.arange(len(cross)))[0]
        assert np.array_equal(got, cross[:, : tile[1], : tile[3]])


def test_planes_into_a_buffer(backend: str, rng: np.random.Generator) -> None:
    volume = some_array(rng, (5, 6, 7), "u1")
    buffer = np.empty(2 * 2 * 9, np.uint8)
    got = patches.planes(volume, 1, [[0, 3, 0, 3], [2, 5, 4, 7]], [5, 0], out=buffer, backend=backend)
    assert got.shape == (2, 2, 3, 3)
    assert np.shares_memory(got, buffer)
    np.testing.assert_array_equal(got[1, 0], volume[2:5, 5, 4:7])
    assert patches.planes(volume, 0, [], [1], backend=backend).shape == (0, 1, 0, 0)
    assert patches.planes(volume, 0, [[1, 1, 0, 5]], [1], backend=backend).shape == (1, 1, 0, 5)


def test_planes_bad_arguments(backend: str) -> None:
    volume = np.zeros((4, 5, 6), np.uint8)

    def fails(error: type[Exception], text: str, *arguments: Any) -> None:
        for function in (patches.planes, patches.stats):
            with pytest.raises(error, match=text):
                function(*arguments, backend=backend)

    fails(ValueError, r"volume must have shape \(D, H, W\), not \(5, 6\)", volume[0], 0, [[0, 1, 0, 1]], [0])
    fails(ValueError, "axis must be 0, 1 or 2, not 3", volume, 3, [[0, 1, 0, 1]], [0])
    fails(
        ValueError,
        r"tile 1: must be ranges within the plane of \(4, 6\), not 0 to 5",
        volume,
        1,
        [[0, 1, 0, 1], [0, 5, 0, 1]],
        [0],
    )
    fails(ValueError, r"tile 0: .*, not -1 to 1 and 0 to 1", volume, 0, [[-1, 1, 0, 1]], [0])
    fails(
        ValueError,
        r"tile 1: must have the size of the first, \(1, 1\), not \(2, 1\)",
        volume,
        0,
        [[0, 1, 0, 1], [0, 2, 0, 1]],
        [0],
    )
    fails(ValueError, "slice 1: must be within 0 and 4, not 5", volume, 1, [[0, 1, 0, 1]], [0, 5])
    fails(ValueError, "slice 0: must be within 0 and 3, not -1", volume, 0, [[0, 1, 0, 1]], [-1])
    fails(ValueError, r"tiles must have shape \(T, 4\), not \(1, 3\)", volume, 0, [[0, 1, 0]], [0])
    fails(ValueError, r"slices must be a vector, not of shape \(1, 1\)", volume, 0, [[0, 1, 0, 1]], [[0]])


# Stats


def described(patch: NDArray[Any], padding: float | None) -> list[float]:
    n = patch.size
    exact = patch.dtype.kind != "f"
    total = sum(patch.ravel().tolist()) if exact else float(np.cumsum(patch.ravel(), dtype=np.float64)[-1])
    low, high = patch.min(), patch.max()
    same = [np.count_nonzero(patch == value) / n for value in (low, high)]
    none = padding is None
    return [
        float(low),
        float(high),
        total / n,
        *same,
        0.0 if none else np.count_nonzero(patch == padding) / n,
    ]


@pytest.mark.parametrize("dtype", [*DTYPES, "?"])
def test_stats_any_strides(backend: str, rng: np.random.Generator, dtype: str) -> None:
    volume = rng.random((19, 40, 140)) < 0.3 if dtype == "?" else some_array(rng, (19, 40, 140), dtype)
    volume[:, :8] = 7
    for view in layouts(volume):
        for axis in range(3):
            cross = np.moveaxis(view, axis, 0)
            h, w = cross.shape[1] - 2, cross.shape[2] // 2
            tiles = [[0, h, 1, 1 + w], [2, 2 + h, 0, w]]
            slices = [0, 5, 6, 7, 3, cross.shape[0] - 1]
            for padding in (None, 7):
                got = patches.stats(view, axis, tiles, slices, padding=padding, backend=backend)
                expected = [described(cross[s, a:b, c:d], padding) for a, b, c, d in tiles for s in slices]
                np.testing.assert_array_equal(np.array([c.astype(float) for c in got]).T, expected)
                assert got.min.dtype == got.max.dtype == view.dtype


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 600, 33), (300, 3, 97), (2, 257, 65), (9, 31, 7)])
def test_stats_every_level(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> None:
    # Longer than a byte can count; all equal, and at the ends of the type.
    for volume in (
        some_array(rng, shape, dtype),
        np.full(shape, 255, "u1").astype(dtype),
        np.zeros(shape, dtype),
    ):
        for axis in range(3):
            h, w = np.delete(shape, axis).tolist()
            tiles, slices = [[0, h, 0, w]], range(shape[axis])
            got = patches.stats(volume, axis, tiles, list(slices), padding=0, backend="cpp")
            expected = [described(np.take(volume, s, axis), 0) for s in slices]
            np.testing.assert_array_equal(np.array(got).T, expected)


def test_stats_of_what_is_no_number(backend: str) -> None:
    volume = np.array([[[np.nan, 1, 2, 2]], [[np.nan] * 4], [[np.inf, 0, -np.inf, 0]]], np.float32)
    got = patches.stats(volume, 0, [[0, 1, 0, 4]], [0, 1, 2], padding=0, backend=backend)
    np.testing.assert_array_equal(got.min, [1, np.inf, -np.inf])
    np.testing.assert_array_equal(got.max, [2, -np.inf, np.inf])
    np.testing.assert_array_equal(got.mean, [np.nan] * 3)
    np.testing.assert_array_equal(got.at_max, [0.5, 0, 0.25])
    np.testing.assert_array_equal(got.padding, [0, 0, 0.5])


def test_stats_padding_that_no_pixel_can_be(backend: str) -> None:
    volume = np.zeros((1, 2, 2), np.uint8)
    for padding in (-1, 0.5, 256, float("inf")):
        got = patches.stats(volume, 0, [[0, 2, 0, 2]], [0], padding=padding, backend=backend)
        assert got.padding.tolist() == [0]


def test_stats_bad_types(backend: str) -> None:
    for dtype in ("f2", "i8", "u8", "c8", "S1", ">u2"):
        with pytest.raises(TypeError, match="must be (integers of at most 32 bits|in native byte order)"):
            patches.stats(np.zeros((1, 1, 1), dtype), 0, [[0, 1, 0, 1]], [0], backend=backend)
    with pytest.raises(ValueError, match="tile 0: there is nothing to describe in no pixels"):
        patches.stats(np.zeros((1, 1, 1)), 0, [[0, 0, 0, 1]], [0], backend=backend)


def test_stats_padding_is_not_rounded(backend: str) -> None:
    volume = np.array([[[np.inf, 0.1]]], np.float32)
    for padding, share in ((1e300, 0), (0.1, 0), (float(np.float32(0.1)), 0.5), (float("inf"), 0.5)):
        found = patches.stats(volume, 0, [[0, 1, 0, 2]], [0], padding=padding, backend=backend)
        assert found.padding.tolist() == [share]


def test_stats_have_no_negative_zero(backend: str) -> None:
    volume = np.array([[[0, -0.0, -1], [-0.0, 0, 1], [-0.0, -0.0, -0.0]]], np.float32)
    found = patches.stats(volume, 0, [[0, 1, 0, 2], [1, 2, 0, 2], [2, 3, 0, 2]], [0], backend=backend)
    assert not np.signbit(found.min).any()
    assert not np.signbit(found.max).any()


def test_sizes_beyond_64_bits(backend: str) -> None:
    # Products that are 0 modulo 2^64 must not pass for the size of an empty `out`.
    nothing = np.empty(0, np.uint8)
    wide = np.broadcast_to(np.zeros((1, 1, 1), np.uint8), (1, 1, 1 << 16))
    with pytest.raises(ValueError, match="out must have as many elements as the patches"):
        patches.extract(wide, [[0, 1 << 24, 0, 1 << 24]], out=nothing, backend=backend)
    volume = np.broadcast_to(np.zeros((1, 1, 1), np.uint8), (1, 1 << 31, 1 << 31))
    with pytest.raises(ValueError, match="out must have as many elements as the patches"):
        patches.planes(volume, 0, [[0, 1 << 31, 0, 1 << 31]], [0, 0, 0, 0], out=nothing, backend=backend)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(rng: np.random.Generator, threads: int) -> None:
    if _backend.why_missing("cpp") is not None:
        pytest.skip("no core")
    core = _backend.kernels("cpp")
    volume = some_array(rng, (40, 200, 300), "u1")
    tiles, slices = patches.grid((40, 200), (40, 50), edge="drop"), list(range(300))
    try:
        core.set_thread_count(threads)
        got = patches.planes(volume, 2, tiles, slices)
        np.testing.assert_array_equal(got[1, 7], volume[:, 50:100, 7])
        np.testing.assert_array_equal(
            patches.stats(volume, 2, tiles, slices).max.reshape(4, 300)[3, 9], volume[:, 150:, 9].max()
        )
    finally:
        core.set_thread_count(0)


def test_no_channels(backend: str) -> None:
    for mode in ("constant", "edge"):
        assert patches.extract(np.zeros((2, 2, 0)), [[0, 3, 0, 1]], mode=mode, backend=backend).shape == (
            1,
            3,
            1,
            0,
        )


def test_grid_of_huge_sizes() -> None:
    assert patches.grid((5, 5), 1 << 62).tolist() == [[0, 5, 0, 5]]
    for arguments in (((5, 5), 1 << 63), ((5, 1 << 80), 4), ((5, 5), 4, 1 << 70)):
        with pytest.raises(ValueError, match="must be at most 4611686018427387904, not"):
            patches.grid(*arguments)


def test_long_boxes_of_nothing(backend: str) -> None:
    boxes = [[0, 1 << 30, 0, 0], [0, 2, 0, 2]]
    nothing, whole = patches.extract(np.ones((2, 2)), boxes, backend=backend)
    assert nothing.shape == (1 << 30, 0)
    assert whole.tolist() == [[1, 1], [1, 1]]
    assert patches.stitch([nothing, whole], boxes, (2, 2), backend=backend).tolist() == whole.tolist()


def test_boxes_of_nothing_among_others(backend: str, rng: np.random.Generator) -> None:
    image = some_array(rng, (44, 76), "u1")
    boxes = np.array(
        [[3, 20, 1, 42], [9, 9, 2, 60], [9, 12, 5, 5], [21, 22, 0, 76], [30, 30, 80, 90], [2, 9, -3, 30]]
    )
    for turned in (image, image[::-1], np.asfortranarray(image)):
        found = patches.extract(turned, boxes, backend=backend)
        for patch, box in zip(found, boxes, strict=True):
            np.testing.assert_array_equal(patch, cut(turned, box, "constant", 0))


def test_fill_of_the_widest_integers(backend: str) -> None:
    for fill in (0, (1 << 64) - 1):
        assert (
            patches.extract(np.zeros((1, 1), np.uint64), [[0, 1, 1, 2]], fill=fill, backend=backend)[0, 0, 0]
            == fill
        )
