"""Boxes of raw voxels in a file, whatever the reads they are made of."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmill._files import FormatError
from maskmill.io import _raw
from maskmill.io._raw import RawVoxels


@st.composite
def boxes(draw):
    shape = draw(st.lists(st.integers(0, 9), min_size=1, max_size=4))
    index = []
    for side in shape:
        if side and draw(st.booleans()):
            index.append(draw(st.integers(0, side - 1)))
        else:
            low = draw(st.integers(0, side))
            index.append(slice(low, draw(st.integers(low, side))))
    return shape, tuple(index)


@given(boxes(), st.sampled_from(["u1", "<u2", ">i4", "<f8"]), st.integers(0, 5), st.data())
@settings(max_examples=300, deadline=None)
def test_box_is_what_numpy_slices(tmp_path_factory, box, dtype, offset, data):
    shape, index = box
    array = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    path = str(tmp_path_factory.mktemp("raw") / "voxels")
    with open(path, "wb") as file:
        file.write(b"x" * offset + array.tobytes())
    most, short = _raw._MOST, _raw._SHORT
    _raw._MOST, _raw._SHORT = data.draw(st.sampled_from([1, 16, 100])), data.draw(st.sampled_from([0, 8, 50]))
    try:
        voxels = RawVoxels(path, dtype, offset, shape)
        found = voxels[index]
        again = np.empty(found.shape, found.dtype)
        voxels.read_into(index, again)
    finally:
        _raw._MOST, _raw._SHORT = most, short
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array[index])
    np.testing.assert_array_equal(again, found)
    np.testing.assert_array_equal(np.asarray(voxels), array)


def test_without_preadv(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "preadv", raising=False)
    array = np.arange(60, dtype="<u2").reshape(3, 4, 5)
    (tmp_path / "voxels").write_bytes(array.tobytes())
    voxels = RawVoxels(str(tmp_path / "voxels"), "<u2", 0, array.shape)
    np.testing.assert_array_equal(voxels[1:, 2, 1:4], array[1:, 2, 1:4])


def test_file_cut_short_while_open(tmp_path):
    path = tmp_path / "voxels"
    path.write_bytes(bytes(1000))
    voxels = RawVoxels(str(path), np.uint8, 0, (10, 10, 10))
    os.truncate(path, 500)
    assert not voxels[:5].any()
    with pytest.raises(FormatError, match=r"voxels: expected voxels at byte 500, found the end"):
        voxels[4:6]


def test_temporary_file_may_be_closed(tmp_path):
    path = tmp_path / "voxels"
    path.write_bytes(bytes(range(24)))
    with open(path, "rb") as file:
        voxels = RawVoxels(file, np.uint8, 0, (2, 3, 4))
    assert voxels[1, 2, 3] == 23
