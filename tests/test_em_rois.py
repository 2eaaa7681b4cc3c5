"""Which cubes are taken: the grid, the padding that an overview shows, the order, and the budget."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmill.studies.em.names import Roi, parse_roi, roi_name
from maskmill.studies.em.rois import blocks, budget_count, cells, padding_shares, roi_grid, roi_order


@given(st.integers(0, 5000), st.integers(1, 600))
def test_cells(length, size):
    found = cells(length, size)
    whole, rest = divmod(length, size)
    if length >= size:
        # cem-dataset's rule: a remainder of more than half a cube is one more.
        assert [b - a for a, b in found] == [size] * whole + [rest] * (2 * rest > size)
    else:
        assert found == [(0, length)] * (length > 0)
    assert all(b == c for (_, b), (c, _) in itertools.pairwise(found))


def test_grid_takes_each_axis_by_its_own_length():
    """cem-dataset takes the remainder of z for that of y."""
    boxes = roi_grid((300, 400, 520), 256)
    assert {tuple(row) for row in boxes[:, :2].tolist()} == {(0, 256)}
    assert {tuple(row) for row in boxes[:, 2:4].tolist()} == {(0, 256), (256, 400)}
    assert {tuple(row) for row in boxes[:, 4:].tolist()} == {(0, 256), (256, 512)}


@given(st.tuples(*[st.integers(1, 40)] * 3), st.integers(1, 20), st.data())
@settings(max_examples=50)
def test_boxes_never_overlap(shape, size, data):
    region = [
        end
        for n in shape
        for end in sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True)))
    ]
    seen = np.zeros(shape, int)
    for z0, z1, y0, y1, x0, x1 in roi_grid(shape, size, region):
        seen[z0:z1, y0:y1, x0:x1] += 1
    assert seen.max() <= 1
    inside = np.zeros(shape, bool)
    inside[region[0] : region[1], region[2] : region[3], region[4] : region[5]] = True
    assert not seen[~inside].any()


def test_bad_regions_and_sizes():
    with pytest.raises(ValueError, match="1 or more voxels, not 0"):
        roi_grid((10, 10, 10), 0)
    for region in ((0, 11, 0, 5, 0, 5), (-1, 5, 0, 5, 0, 5), (5, 5, 0, 5, 0, 5), (6, 5, 0, 5, 0, 5)):
        with pytest.raises(ValueError, match="the region must lie within x 0-10"):
            roi_grid((10, 10, 10), 4, region)


def test_padding_of_full_resolution_is_counted_exactly(rng):
    volume = rng.integers(0, 3, (21, 30, 17))
    boxes = roi_grid(volume.shape, 7)
    expected = [(volume[a:b, c:d, e:f] == 0).mean() for a, b, c, d, e, f in boxes]
    np.testing.assert_allclose(padding_shares(volume, (1, 1, 1), boxes, 0), expected)


def test_padding_of_an_overview(rng):
    small = rng.integers(0, 2, (8, 8, 8))
    large = small.repeat(4, 0).repeat(2, 1).repeat(8, 2)
    boxes = roi_grid(large.shape, 16)
    expected = [(large[a:b, c:d, e:f] == 1).mean() for a, b, c, d, e, f in boxes]
    np.testing.assert_allclose(padding_shares(small, (4, 2, 8), boxes, 1), expected)


def test_padding_of_boxes_smaller_than_a_voxel_of_the_overview():
    small = np.arange(8).reshape(2, 2, 2)
    boxes = roi_grid((64, 64, 64), 8)
    shares = padding_shares(small, (32, 32, 32), boxes, 7)
    inside = (boxes[:, [0, 2, 4]] >= 32).all(1)
    np.testing.assert_array_equal(shares, inside.astype(float))


@given(st.tuples(*[st.integers(1, 6)] * 3), st.floats(0.4, 9.0), st.integers(1, 12))
@settings(max_examples=50)
def test_shares_are_shares(shape, factor, size):
    overview = np.arange(np.prod(shape)).reshape(shape) % 2
    volume = [max(1, round(n * factor)) for n in shape]
    shares = padding_shares(overview, [factor] * 3, roi_grid(volume, size), 0)
    assert ((shares >= 0) & (shares <= 1)).all()


def test_order_is_uniform_seeded_and_grows():
    boxes = roi_grid((1000, 1000, 1000), 100)
    first = roi_order("cell", boxes, 1)
    assert sorted(first.tolist()) == list(range(1000))
    assert not np.array_equal(first, roi_order("cell", boxes, 2))
    assert not np.array_equal(first, roi_order("nucleus", boxes, 1))
    # Who leaves boxes out does not change the order of the others.
    kept = np.flatnonzero(np.arange(1000) % 3)
    some = kept[roi_order("cell", boxes[kept], 1)]
    np.testing.assert_array_equal(some, [i for i in first if i % 3])
    # Each tenth of the order is spread over the grid.
    taken = np.array([(roi_order("cell", boxes, seed)[:100] // 500).mean() for seed in range(200)])
    assert abs(taken.mean() - 0.5) < 0.02


def test_budget():
    assert budget_count(5, 256) == 5 * 2**30 // 256**3
    assert budget_count(5, 256, 2) == 160
    assert budget_count(0, 256) == 1


@given(
    st.tuples(*[st.integers(0, 30)] * 3),
    st.tuples(*[st.integers(1, 25)] * 3),
    st.tuples(*[st.integers(1, 12)] * 3),
    st.integers(1, 3000),
)
def test_blocks_cover_once(start, size, grain, voxels):
    box = [end for lo, n in zip(start, size, strict=True) for end in (lo, lo + n)]
    seen = np.zeros(box[1::2], int)
    for z0, z1, y0, y1, x0, x1 in blocks(box, grain, voxels):
        seen[z0:z1, y0:y1, x0:x1] += 1
        # A grain is read whole; beyond it, blocks keep to the limit.
        assert (z1 - z0) * (y1 - y0) * (x1 - x0) <= max(voxels, np.prod(grain))
    inside = seen[box[0] :, box[2] :, box[4] :]
    assert (inside == 1).all()
    assert seen.sum() == inside.sum()


def test_names_of_rois():
    roi = Roi("a_s2", 1, 2, 3, 4, 5, 6)
    assert roi_name(roi) == "a_s2-ROI-x5-6_y3-4_z1-2"
    assert parse_roi(roi_name(roi)) == roi
