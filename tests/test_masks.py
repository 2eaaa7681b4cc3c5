"""Masks, the container: making, selecting, saving; that its methods do what the kernels' tests say of the kernels."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import random_masks
from maskmill import FormatError, Masks, use_backend


@pytest.fixture(autouse=True)
def _on_backend(backend: str):
    with use_backend(backend):
        yield


@pytest.fixture
def images(rng) -> np.ndarray:
    return random_masks(rng, 5, 13, 17)


@pytest.fixture
def masks(images) -> Masks:
    return Masks.encode(images)


# Making


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint64])
def test_encode_decode(images, dtype):
    masks = Masks.encode(images.astype(dtype))
    assert np.array_equal(masks.decode(), images)
    assert np.array_equal(Masks.encode(images.transpose(1, 2, 0), order="HWN").decode(), images)
    assert np.array_equal(Masks.encode(images[0]).decode()[0], images[0])
    assert masks.decode().dtype == np.uint8


def test_encode_refuses(images):
    with pytest.raises(ValueError, match="order must be one of 'NHW', 'HWN', not 'NCHW'"):
        Masks.encode(images, order="NCHW")
    with pytest.raises(TypeError):
        Masks.encode(images.astype(float))


def test_constructor_checks():
    with pytest.raises(ValueError, match="mask 1: runs sum to 3, image has 4 pixels"):
        Masks([4, 3], [0, 1, 2], (2, 2))
    with pytest.raises(ValueError, match="offsets"):
        Masks([4], [0, 2], (2, 2))
    assert Masks([4], [0, 1], (2, 2)).area.tolist() == [0]


def test_arguments_stay_the_callers():
    counts, offsets, sizes = np.array([4], np.uint32), np.array([0, 1]), np.array([[2, 2]])
    Masks(counts, offsets, sizes)
    Masks.empty(sizes)
    Masks.from_polygons([[[0, 0, 1, 0, 1, 1]]], sizes)
    counts[0] = offsets[0] = sizes[0] = 0  # would raise if it could not be written to any more


def test_every_mask_has_its_own_runs(masks, images):
    for one, image in zip(masks, images, strict=True):
        assert one.offsets.tolist() == [0, len(one.counts)]
        assert one.counts.sum() == image.size
    whole = Masks([9, 4, 2, 2, 9], [1, 2, 4], (2, 2))
    assert (whole.counts.tolist(), whole.offsets.tolist()) == ([4, 2, 2], [0, 1, 3])


def test_immutable(masks):
    with pytest.raises(AttributeError):
        masks.counts = masks.counts
    with pytest.raises(ValueError, match="read-only"):
        masks.counts[0] = 1
    with pytest.raises(TypeError):
        hash(masks)


def test_from_labels_and_back(rng):
    labels = rng.integers(0, 6, (20, 30)).astype(np.int16) * 7
    masks, values = Masks.from_labels(labels)
    assert values.tolist() == [7, 14, 21, 28, 35]
    assert np.array_equal(masks.labels(values), labels)
    assert masks.labels().dtype == np.uint8
    assert masks.labels([-1, 200, 3, 4, 5]).dtype == np.int16
    out = np.full((20, 30), 99, np.int64)
    assert masks.labels(values, out=out) is out
    assert np.array_equal(out, np.where(labels == 0, 99, labels))
    with pytest.raises(ValueError, match="out must be given"):
        Masks.empty().labels()


def test_polygons_there_and_back(masks):
    exact = masks.polygons()
    assert Masks.from_polygons(exact, masks.sizes, rule="even-odd") == masks
    assert Masks.from_polygons(exact, masks.sizes, rule="non-zero") == masks
    assert Masks.from_polygons(masks.polygons("coco"), masks.sizes) == masks


def test_from_coco(masks, images):
    plain = [{"size": [13, 17], "counts": m.counts[m.offsets[0] : m.offsets[1]].tolist()} for m in masks]
    for rles in (masks.to_coco(), masks.to_coco(text=True), plain, plain[:2] + masks.to_coco()[2:]):
        assert Masks.from_coco(rles) == masks
    assert Masks.from_coco(masks.to_coco()[0]) == masks[0]
    assert len(Masks.from_coco([])) == 0


def test_from_coco_repairs_zero_runs():
    masks = Masks.from_coco({"size": [2, 2], "counts": [1, 0, 2, 1]})
    assert masks.counts.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"size": [2, 2]}, "mask 1: must have 'counts' and 'size'"),
        ({"counts": b"4"}, "mask 1: must have 'counts' and 'size'"),
        ({"size": [2], "counts": b"4"}, "mask 1: must have"),
        ({"size": [2.5, 2], "counts": b"4"}, "mask 1: must have"),
        ({"size": [2**63, 2], "counts": b"4"}, "mask 1: must have"),
        (None, "mask 1: must have"),
        ({"size": [2, 2], "counts": b"3"}, "mask 1: runs sum to 3, image has 4 pixels"),
        ({"size": [2, 2], "counts": [1, -1, 4]}, "mask 1: "),
        ({"size": [2, 2], "counts": [1.5, 2.5]}, "mask 1: "),
        ({"size": [-2, -2], "counts": [4]}, "mask 1: "),
        ({"size": [2, 2], "counts": b"\n"}, "mask 1: "),
    ],
)
def test_from_coco_refuses(rle, message):
    with pytest.raises(ValueError, match=message):
        Masks.from_coco([{"size": [2, 2], "counts": b"4"}, rle])


# Selecting


def test_indexing(masks, images):
    for key in (
        slice(1, 4),
        slice(None, None, -2),
        [3, 0, 0, -1],
        np.array([True, False, True, True, False]),
        [],
    ):
        expected = (
            images[np.asarray(key, int) if key == [] else key] if isinstance(key, list) else images[key]
        )
        assert np.array_equal(masks[key].decode() if len(masks[key]) else np.empty((0, 13, 17)), expected)
    assert np.array_equal(masks[-1].decode()[0], images[-1])
    assert masks[1:3].counts.base is not None, "slices share memory"
    assert [len(m) for m in masks] == [1] * 5


@pytest.mark.parametrize("key", [5, -6, [5], [True, False], [[0]], [0.5], "a"])
def test_indexing_refuses(masks, key):
    with pytest.raises(IndexError):
        masks[key]


def test_concatenate(masks):
    other = Masks.encode(np.ones((3, 4), bool))
    whole = Masks.concatenate([masks[3:], other, Masks.empty(), masks[:1]])
    assert [m.equals(e) for m, e in zip(whole, [masks[3], masks[4], other, masks[0]], strict=True)] == [
        True
    ] * 4
    assert len(Masks.concatenate([])) == 0


def test_equality(masks):
    assert masks == masks[:]
    assert masks[1:] == masks[[1, 2, 3, 4]]
    assert masks != masks[1:]
    assert masks != ~masks
    assert masks != 5
    assert Masks.empty([[2, 3]]) != Masks.empty([[3, 2]])


# Calculating


def test_operators(masks, images):
    a, b, x, y = masks[:4], masks[1:], images[:4], images[1:]
    for result, expected in ((a | b, x | y), (a & b, x & y), (a ^ b, x ^ y), (a - b, x & ~y), (~a, ~x)):
        assert np.array_equal(result.decode(), expected)
    assert np.array_equal((masks[0] - masks).decode(), images[0] & ~images)
    assert np.array_equal(masks.union().decode()[0], images.any(0))
    assert np.array_equal(masks.intersection().decode()[0], images.all(0))
    assert np.array_equal(masks.merge([0, 2, 5], "xor").decode(), [x[0] ^ x[1], images[2:].sum(0) % 2 == 1])
    assert len(Masks.empty().union()) == 0
    with pytest.raises(TypeError):
        masks | 1
    with pytest.raises(ValueError, match="groups must rise"):
        masks.merge([0, 0, 5])


def test_measures(masks, images):
    assert masks.area.tolist() == images.sum((1, 2)).tolist()
    for box, image in zip(masks.bbox, images, strict=True):
        y, x = np.nonzero(image)
        assert box.tolist() == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
    common = np.einsum("ayx,byx->ab", images.astype(int), images.astype(int))
    assert np.array_equal(masks.intersection_area(masks), common)
    union = masks.area[:, None] + masks.area[None] - common
    assert np.array_equal(masks.iou(masks), common / union)
    assert np.array_equal(masks.iou(masks, [1] * 5), common / masks.area[:, None])


def test_moving(masks, images):
    assert np.array_equal(masks.crop((2, 3, 5, 6)).decode(), images[:, 3:9, 2:7])
    assert np.array_equal(masks.pad(1, 2, 3, 4).decode(), np.pad(images, ((0, 0), (1, 2), (3, 4))))
    shifted = np.zeros_like(images)
    shifted[:, 2:, :-3] = images[:, :-2, 3:]
    assert np.array_equal(masks.shift(-3, 2).decode(), shifted)
    assert np.array_equal(masks.flip(horizontal=True, vertical=True).decode(), images[:, ::-1, ::-1])
    assert np.array_equal(masks.transpose().decode(), images.transpose(0, 2, 1))


def test_shape(masks, images):
    cv2 = pytest.importorskip("cv2")
    parts, parent = masks.components(connectivity=4)
    counts = [cv2.connectedComponents(image.astype(np.uint8), connectivity=4)[0] - 1 for image in images]
    assert np.bincount(parent, minlength=5).tolist() == counts
    again = parts.merge(np.searchsorted(parent, np.arange(6)))
    assert again == masks
    assert np.array_equal(masks.remove_small(1).decode(), images)
    square = np.ones((3, 3), np.uint8)
    for image, dilated, eroded in zip(
        images,
        masks.dilate(1, "square").decode(),
        masks.erode(1, "square", border=True).decode(),
        strict=True,
    ):
        assert np.array_equal(dilated, cv2.dilate(image.astype(np.uint8), square))
        padded = cv2.erode(np.pad(image, 1).astype(np.uint8), square)[1:-1, 1:-1]
        assert np.array_equal(eroded, padded)
    assert masks.boundary(1) == masks - masks.erode(1, "square", border=True)
    assert (masks.fill_holes() & masks) == masks


def test_nms(masks):
    twice = Masks.concatenate([masks, masks])
    assert twice.nms(0.9, scores=[1, 2, 3, 4, 5, 5, 4, 3, 2, 1]).tolist() == [4, 5, 3, 6, 2]
    assert len(twice.nms(0.9)) == 5
    with pytest.raises(ValueError, match="scores must have 10 elements, not 3"):
        twice.nms(0.5, [1, 2, 3])


# Keeping


def test_pickle_and_copy(masks):
    for again in (pickle.loads(pickle.dumps(masks[1:3])), copy.deepcopy(masks[1:3]), copy.copy(masks[1:3])):
        assert again == masks[1:3]
    assert len(pickle.dumps(masks[:1])) < len(pickle.dumps(masks))


@pytest.mark.parametrize("mmap", [False, True])
def test_save_and_load(masks, tmp_path, mmap):
    masks.save(tmp_path / "a.npz")
    assert Masks.load(tmp_path / "a.npz", mmap=mmap) == masks
    masks[2:4].save(tmp_path / "a.npz")
    assert Masks.load(tmp_path / "a.npz", mmap=mmap) == masks[2:4]
    Masks.empty().save(tmp_path / "a.npz")
    assert len(Masks.load(tmp_path / "a.npz", mmap=mmap)) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_load_maps_the_file(masks, tmp_path):
    for some in (masks, masks[:1], masks[2:]):
        some.save(tmp_path / "a.npz")
        loaded = Masks.load(tmp_path / "a.npz", mmap=True)
        for array in (loaded.counts, loaded.offsets, loaded.sizes):
            assert array.ctypes.data % 64 == 0
            while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
                array = array.base
            assert isinstance(array, np.memmap)
        with np.load(tmp_path / "a.npz") as file:
            assert np.array_equal(file["counts"], some.counts)
        np.savez(tmp_path / "b.npz", counts=some.counts, offsets=some.offsets, sizes=some.sizes)
        assert Masks.load(tmp_path / "b.npz", mmap=True) == some


def test_arrays_that_are_not_aligned(masks):
    raw = np.frombuffer(b"x" + masks.counts.tobytes(), np.uint8)[1:].view(np.uint32)
    assert not raw.flags.aligned
    assert Masks(raw, masks.offsets, masks.sizes) == masks


def test_load_refuses(masks, tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError):
        Masks.load(path)
    masks.save(path)
    whole = path.read_bytes()
    for size in [*range(0, 60, 7), *range(60, len(whole), 41)]:
        path.write_bytes(whole[:size])
        for mmap in (False, True):
            with pytest.raises(FormatError, match=r"a\.npz"):
                Masks.load(path, mmap=mmap)
    np.savez(path, counts=[1], offsets=[0, 1], sizes=[[1, 2]])
    with pytest.raises(FormatError, match="mask 0: runs sum to 1, image has 2 pixels"):
        Masks.load(path)
    np.savez(path, counts=[1], offsets=[0, 1])
    with pytest.raises(FormatError, match="expected arrays counts, offsets, sizes"):
        Masks.load(path)
    np.savez(path, counts=np.array([{}]), offsets=[0, 1], sizes=[[1, 1]])
    for mmap in (False, True):
        with pytest.raises(FormatError):
            Masks.load(path, mmap=mmap)
    np.savez_compressed(path, counts=[1], offsets=[0, 1], sizes=[[1, 1]])
    assert len(Masks.load(path)) == 1
    with pytest.raises(FormatError, match="compressed: load without mmap"):
        Masks.load(path, mmap=True)


def test_arrow(masks, tmp_path):
    pa = pytest.importorskip("pyarrow")
    table = masks[1:4].to_arrow()
    assert table.schema == pa.schema(
        [("height", pa.int64()), ("width", pa.int64()), ("counts", pa.large_list(pa.uint32()))]
    )
    assert Masks.from_arrow(table) == masks[1:4]
    assert Masks.from_arrow(table.slice(1, 2)) == masks[2:4]
    assert Masks.from_arrow(pa.concat_tables([table, table])) == Masks.concatenate([masks[1:4]] * 2)
    assert len(Masks.from_arrow(table.slice(0, 0))) == 0
    with pytest.raises(ValueError, match="no column 'height'"):
        Masks.from_arrow(table.drop_columns(["height"]))
    masks.to_parquet(tmp_path / "a.parquet")
    assert Masks.from_parquet(tmp_path / "a.parquet") == masks
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-9])
    with pytest.raises(FormatError, match=r"b\.parquet"):
        Masks.from_parquet(tmp_path / "b.parquet")
    with pytest.raises(FileNotFoundError):
        Masks.from_parquet(tmp_path / "c.parquet")


# Looking


def test_repr(masks):
    assert repr(Masks.empty()) == "Masks(0 masks)"
    assert repr(Masks.empty([[3, 4]])) == "Masks(1 mask, 3 x 4 pixels, 1 runs, 0 % foreground)"
    assert repr(masks).startswith("Masks(5 masks, 13 x 17 pixels, ")
    assert "3 x 4 to 13 x 17 pixels" in repr(Masks.concatenate([masks, Masks.empty([[3, 4]])]))


def test_picture(masks):
    cv2 = pytest.importorskip("cv2")
    picture = cv2.imdecode(np.frombuffer(masks._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (13, 17, 3)
    background = ~masks.union().decode()[0].astype(bool)
    assert (picture[background] == 24).all()
    assert not (picture[~background] == 24).all(1).any()
    assert Masks.empty()._repr_png_() is None
    assert Masks.empty([[0, 4]])._repr_png_() is None


# Laws


@st.composite
def stacks(draw) -> np.ndarray:
    h, w, n = draw(st.integers(0, 12)), draw(st.integers(0, 12)), draw(st.integers(1, 4))
    bits = draw(st.binary(min_size=n * h * w, max_size=n * h * w))
    return (np.frombuffer(bits, np.uint8) & 1).astype(bool).reshape(n, h, w)


@given(stacks())
def test_laws(images):
    masks = Masks.encode(images)
    full = Masks.encode(np.ones_like(images))
    assert ~~masks == masks
    assert (masks | ~masks) == full
    assert (masks & ~masks).area.sum() == 0
    assert (masks ^ masks).area.sum() == 0
    assert masks.transpose().transpose() == masks
    assert masks.flip(horizontal=True).flip(horizontal=True) == masks
    assert masks.pad(1, 2, 3, 4).pad(-1, -2, -3, -4) == masks
    assert Masks.from_coco(masks.to_coco()) == masks
    assert Masks.from_polygons(masks.polygons(), masks.sizes, rule="even-odd") == masks
    assert np.array_equal(masks.decode(), images)
