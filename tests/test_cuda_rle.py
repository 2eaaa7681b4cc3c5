"""Pixels <-> runs on a GPU, or on what is taken for one: each way that pixels may lie takes a path of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fake_cupy
import maskmill
from conftest import random_masks
from maskmill import Masks
from maskmill.pycocotools import mask as coco

SIZES = [
    (1, 1),
    (1, 7),
    (7, 1),
    (2, 3),
    (31, 33),
    (63, 64),
    (64, 63),
    (65, 97),
    (97, 4),
    (2100, 3),
    (3, 1023),
]
SHAPES = [(100 if h * w < 10 else 3, h, w) for h, w in SIZES] + [(0, 7, 5), (2, 0, 5), (2, 5, 0)]


def line(flat: Any, first: int, shape: tuple[int, int, int]) -> Any:
    """Images down the columns, without gaps, that begin somewhere in a buffer."""
    n, h, w = shape
    return flat[first : first + n * h * w].reshape(n, w, h).transpose(0, 2, 1)


def rows(flat: Any, first: int, shape: tuple[int, int, int], gap: int = 0) -> Any:
    """Images along the rows, with bytes between these."""
    n, h, w = shape
    return flat[first : first + n * h * (w + gap)].reshape(n, h, w + gap)[:, :, :w]


def columns(flat: Any, first: int, shape: tuple[int, int, int], gap: int = 2) -> Any:
    """Images down the columns, with bytes between these."""
    n, h, w = shape
    return flat[first : first + n * w * (h + gap)].reshape(n, w, h + gap)[:, :, :h].transpose(0, 2, 1)


def interleaved(flat: Any, first: int, shape: tuple[int, int, int]) -> Any:
    """Images beside each other, pixel by pixel."""
    n, h, w = shape
    return flat[first : first + n * h * w].reshape(h, w, n).transpose(2, 0, 1)


LAYOUTS = {
    "line": line,
    "rows": rows,
    "rows with gaps": lambda flat, first, shape: rows(flat, first, shape, 4),
    "columns": columns,
    "interleaved": interleaved,
    "interleaved columns": lambda flat, first, shape: interleaved(
        flat, first, (shape[0], shape[2], shape[1])
    ).transpose(0, 2, 1),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_and_places(cupy: Any, rng: np.random.Generator, layout: str, shape: tuple) -> None:
    images = random_masks(rng, *shape)
    host = Masks.encode(images)
    for first in (0, 1, 15, 16, 4, 77):
        flat = np.full(images.size * 5 + 200, 7, np.uint8)
        LAYOUTS[layout](flat, first, shape)[...] = images * rng.choice([1, 128, 255], images.shape)
        there = cupy.asarray(flat)
        assert Masks.encode(LAYOUTS[layout](there, first, shape)).to("cpu") == host
        LAYOUTS[layout](flat, first, shape)[...] = images
        masks = host.to("cuda")
        masks.decode(LAYOUTS[layout](there, first, shape))
        np.testing.assert_array_equal(there.get(), flat)  # what is between images, too


@pytest.mark.parametrize("dtype", [np.bool_, np.int16, np.uint32, np.int64])
def test_items(cupy: Any, rng: np.random.Generator, dtype: Any) -> None:
    for shape in ((1, 2100, 1), (40, 2, 3), (2, 65, 33)):
        images = random_masks(rng, *shape)
        host = Masks.encode(images)
        flat = np.full(images.size * 5 + 200, 3, dtype)
        for view in LAYOUTS.values():
            view(flat, 5, shape)[...] = images * np.array(1).astype(dtype)
            there = view(cupy.asarray(flat), 5, shape)
            assert Masks.encode(there).to("cpu") == host
            assert Masks.encode(there[::-1, ::-1]).to("cpu") == Masks.encode(images[::-1, ::-1])


@pytest.mark.parametrize("value", [0, 1])
def test_one_value(cupy: Any, value: int) -> None:
    """Runs over many images and words; and changes where images begin, only."""
    for shape in ((5, 64, 64), (1, 1, 5000), (300, 1, 1), (3, 2100, 4)):
        images = np.full(shape, value, np.uint8)
        for view in (images, images.transpose(0, 2, 1)):
            masks = Masks.encode(cupy.asarray(np.ascontiguousarray(images)).reshape(view.shape))
            assert masks.to("cpu") == Masks.encode(view)
            np.testing.assert_array_equal(masks.decode().get(), view)


def test_many_runs(cupy: Any, rng: np.random.Generator) -> None:
    """A change at every pixel, and far runs: searches for the first run of a warp take several rounds."""
    images = np.zeros((3, 97, 130), np.uint8)
    images[0].reshape(-1)[::2] = 1
    images[1] = random_masks(rng, 1, 97, 130)[0]
    images[2, :, 99:] = np.arange(97)[:, None] % 2
    for view in (images, np.asfortranarray(images[0])[None], images.transpose(0, 2, 1)):
        masks = Masks.encode(cupy.asarray(view))
        assert masks.to("cpu") == Masks.encode(view)
        np.testing.assert_array_equal(masks.decode().get(), view)
        out = cupy.empty(view.shape, np.uint8)
        np.testing.assert_array_equal(masks.decode(out).get(), view)


@pytest.mark.parametrize("shape", [*SHAPES, (65, 64, 64)], ids=str)
def test_encode_of_pycocotools(cupy: Any, rng: np.random.Generator, shape: tuple) -> None:
    """Runs end where the byte changes, whatever it is; images begin with background."""
    n, h, w = shape
    for values in (
        rng.integers(0, 3, (n, w, h), np.uint8).repeat(3, 2)[:, :, :h],
        random_masks(rng, n, w, h),
    ):
        expected = coco.encode(np.asfortranarray(values.transpose(2, 1, 0)))
        flat = np.zeros(values.size + 40, values.dtype)
        for first in (0, 3):
            flat[first : first + values.size] = values.reshape(-1)
            there = line(cupy.asarray(flat), first, shape).transpose(1, 2, 0)
            assert coco.encode(there) == expected
            if n:
                assert coco.encode(there[:, :, 0]) == expected[0]


def test_pycocotools_takes_no_other_arrays_on_a_gpu(cupy: Any) -> None:
    array = cupy.asarray(np.zeros((4, 4, 4), np.uint8))
    boxes = cupy.asarray(np.ones((2, 4)))
    rles = coco.encode(np.zeros((4, 4, 1), np.uint8, order="F"))
    with pytest.raises(ValueError, match="^ndarray is not Fortran contiguous$"):
        coco.encode(array)
    with pytest.raises(ValueError, match="^Buffer dtype mismatch, expected 'uint8_t' but got 'double'$"):
        coco.encode(cupy.asarray(np.ones((2, 4), order="F")))
    with pytest.raises(ValueError, match="^Buffer has wrong number of dimensions "):
        coco.encode(array[0, 0])
    for call in (
        lambda: coco.decode(array),
        lambda: coco.area(array),
        lambda: coco.toBbox([array]),
        lambda: coco.merge(array),
        lambda: coco.iou(boxes, boxes, [0, 0]),
        lambda: coco.iou(rles, boxes, [0, 0]),
        lambda: coco.frPyObjects(boxes, 4, 4),
    ):
        with pytest.raises(TypeError, match=r"are the host's, not arrays on a GPU; array.get\(\) brings"):
            call()


def test_strings_of_masks_are_lean(rng: np.random.Generator) -> None:
    """What takes longest with few masks: waiting for the GPU, and asking for memory."""
    taken = []
    with fake_cupy.pretended() as cupy, pytest.MonkeyPatch.context() as patch:
        from maskmill import _cuda_emulated

        images = cupy.asarray(random_masks(rng, 3, 65, 33))
        empty = cupy.empty
        patch.setattr(cupy, "empty", lambda *arguments: taken.append(arguments) or empty(*arguments))
        before = _cuda_emulated.waits()
        found = maskmill.coco_rles(images)
        assert _cuda_emulated.waits() - before == 2
        assert len(taken) <= 9
    assert found == Masks.encode(images.get()).to_coco()


@pytest.mark.parametrize("shape", [(1, 1), (31, 33), (33, 64), (65, 97), (1, 1023)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_labels_by_rows_and_columns(cupy: Any, rng: np.random.Generator, shape: tuple, dtype: Any) -> None:
    masks = Masks.encode(random_masks(rng, 4, *shape))
    for order in ("C", "F"):
        out = rng.integers(0, 99, shape).astype(dtype, order=order)
        there = cupy.asarray(out)
        masks.to("cuda").labels([7, 1, 5, 3], there)
        np.testing.assert_array_equal(there.get(), masks.labels([7, 1, 5, 3], out))
