"""Masks and arrays on a GPU, or on what is taken for one: results are where the inputs are, and equal the host's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fake_cupy
import maskmill
from conftest import random_masks
from maskmill import Masks, _backend, rle


@pytest.fixture(params=["emulated", "cuda"])
def cupy(request: pytest.FixtureRequest) -> Any:
    """CuPy where there is a GPU; and everywhere what tests take for it."""
    if request.param == "cuda":
        if _backend.why_missing("cuda") is not None:
            pytest.skip("no CUDA device")
        yield pytest.importorskip("cupy")
    else:
        with fake_cupy.pretended() as module:
            yield module


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


def test_device_is_told_where_there_is_none():
    if _backend.why_missing("cuda") is None:
        pytest.skip("there is one")
    with pytest.raises(_backend.BackendError, match="backend 'cuda' cannot be used: .*NVIDIA GPU"):
        maskmill.use_backend("cuda").__enter__()
