"""Kernel patches: putting patches back, blended."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from maskmill import _backend, patches
from reference import properties
from test_patches import DTYPES, some_array

BLENDS = ["mean", "linear", "hann", "gaussian", "max", "last"]


@pytest.mark.parametrize("dtype", [*DTYPES, "?"])
@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("edge", ["ragged", "shift", "pad"])
def test_stitch_undoes_extract(
    backend: str, rng: np.random.Generator, dtype: str, blend: str, channels: tuple[int, ...], edge: str
) -> None:
    for shape, size, stride in [((31, 45), 16, 7), ((9, 17, 20), 8, 5)]:
        array = some_array(rng, (*shape, *channels), "u1" if dtype == "?" else dtype).astype(dtype)
        boxes = patches.grid(shape, size, stride, edge=edge)
        parts = patches.extract(array, boxes, backend=backend)
        got = patches.stitch(parts, boxes, shape, blend=blend, backend=backend)
        assert got.dtype == array.dtype
        np.testing.assert_array_equal(got, array)


def test_stitch_known_values(backend: str) -> None:
    boxes = [[0, 1, 0, 3], [0, 1, 1, 4], [0, 1, -1, 1]]
    parts = [np.array([row], float) for row in ([1, 4, 4], [9, 9, 9], [5, 7])]

    def row(blend: str, dtype: Any = float) -> list[float]:
        rows = [part.astype(dtype) for part in parts]
        got: list[float] = patches.stitch(rows, boxes, (1, 5), blend=blend, backend=backend)[0].tolist()
        return got

    assert row("mean") == [4, 6.5, 6.5, 9, 0]
    assert row("mean", np.uint8) == [4, 6, 6, 9, 0]  # halves to even
    assert row("mean", np.int16) == [4, 6, 6, 9, 0]
    assert row("linear") == [4, 4 + 5 * (1 / 3), 4 + 5 * (2 / 3), 9, 0]
    assert row("max") == [7, 9, 9, 9, 0]
    assert row("last") == [7, 9, 9, 9, 0]
    out = np.full((1, 5), 100.0)
    assert patches.stitch(parts, boxes, blend="last", out=out, backend=backend) is out
    assert out.tolist() == [[7, 9, 9, 9, 100]]


def test_stitch_what_is_no_number(backend: str) -> None:
    boxes = np.array([[0, 1, 0, 2]] * 3)
    parts = np.array([[[np.nan, np.inf]], [[1, np.inf]], [[2, np.inf]]], np.float32)
    for blend, expected in [("mean", [np.nan, np.inf]), ("max", [2, np.inf]), ("last", [2, np.inf])]:
        got = patches.stitch(parts, boxes, (1, 2), blend=blend, backend=backend)
        np.testing.assert_array_equal(got, [expected])


@properties
@given(data=st.data())
def test_stitch_backends_and_threads_agree(both: tuple[Any, Any], data: st.DataObject) -> None:
    axes = data.draw(st.integers(2, 3))
    small = st.lists(st.integers(0, 7), min_size=axes, max_size=axes)
    shape = data.draw(small)
    places = data.draw(
        st.lists(st.tuples(st.lists(st.integers(-5, 9), min_size=axes, max_size=axes), small), max_size=6)
    )
    boxes = np.array([[v for a, n in zip(*p, strict=True) for v in (a, a + n)] for p in places], np.int64)
    boxes = boxes.reshape(-1, 2 * axes)
    dtype = data.draw(st.sampled_from(DTYPES))
    blend = data.draw(st.sampled_from(BLENDS))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    parts = [some_array(rng, tuple(size), dtype) for _, size in places] or np.empty((0, *[1] * axes), dtype)
    found = [patches.stitch(parts, boxes, shape, blend=blend, backend="numba")]
    for threads in (1, 3):
        both[0].set_thread_count(threads)
        found.append(patches.stitch(parts, boxes, shape, blend=blend, backend="cpp"))
    both[0].set_thread_count(0)
    for one in found[1:]:
        assert one.dtype == found[0].dtype
        assert one.tobytes() == found[0].tobytes()


def test_stitch_bad_arguments(backend: str) -> None:
    parts = np.zeros((1, 2, 2), np.uint8)
    box = [[0, 2, 0, 2]]

    def fails(error: type[Exception], text: str, *arguments: Any, **more: Any) -> None:
        with pytest.raises(error, match=text):
            patches.stitch(*arguments, backend=backend, **more)

    fails(ValueError, "shape must be given, or out", parts, box)
    fails(ValueError, "there must be as many patches as boxes, 2, not 1", parts, box * 2, (2, 2))
    fails(
        ValueError,
        r"patch 0: must have the shape of its box, \(2, 3\), not \(2, 2\)",
        parts,
        [[0, 2, 0, 3]],
        (2, 2),
    )
    fails(ValueError, "box 0: must be a range", np.zeros((1, 0, 2)), [[2, 1, 0, 2]], (2, 2))
    fails(ValueError, "blend must be one of 'mean', 'linear'", parts, box, (2, 2), blend="median")
    fails(ValueError, "shape must have 2 lengths", parts, box, (2, 2, 2))
    fails(
        ValueError, r"out must have 2 axes and channels \(\), not shape \(2,\)", parts, box, out=np.zeros(2)
    )
    fails(TypeError, "out must be uint8, not float64", parts, box, out=np.zeros((2, 2)))
    fails(ValueError, "out must be C-contiguous", parts, box, out=np.zeros((2, 2), np.uint8, order="F"))
    fails(TypeError, "values must be integers of at most 32 bits", parts.astype(np.int64), box, (2, 2))
    fails(TypeError, "patches must all have one dtype", [parts[0], np.zeros((2, 2))], box * 2, (2, 2))


def test_stitch_all_rows_once() -> None:
    # Many patches over few rows: the index of rows is made for all threads.
    if _backend.why_missing("cpp") is not None:
        pytest.skip("no core")
    boxes = patches.grid((40, 4000), 40, 3, edge="shift")
    image = np.random.default_rng(1).integers(0, 256, (40, 4000), np.uint8)
    np.testing.assert_array_equal(patches.stitch(patches.extract(image, boxes), boxes, image.shape), image)


def test_stitch_into_nothing(backend: str) -> None:
    made = patches.stitch(np.zeros((1, 1, 1)), [[0, 1, 0, 1]], (1 << 40, 0), backend=backend)
    assert made.shape == (1 << 40, 0)
