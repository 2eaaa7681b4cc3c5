"""Masks on a GPU, or on what is taken for one: all that they can there, with the host's results and faults."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import fake_cupy
from conftest import random_masks
from maskmill import Masks, Polygons, overlap, rle, setops
from reference import far_mask, masks_of_runs, properties


def some_masks(rng: np.random.Generator, cupy: Any, n: int = 9) -> tuple[Masks, Masks]:
    """The same on the host and on the device: noise, nothing, everything."""
    images = random_masks(rng, n, 65, 33)
    images[1], images[2] = False, True
    host = Masks.encode(images)
    return host, Masks.encode(cupy.asarray(images))


def test_label_images(cupy, rng):
    labels = rng.integers(-2, 4, (33, 31)).repeat(2, 0).astype(np.int16)
    host, values = Masks.from_labels(labels)
    for view in (labels, np.asfortranarray(labels)):
        masks, found = Masks.from_labels(cupy.asarray(view))
        assert type(found) is cupy.ndarray
        assert masks.to("cpu") == host
        np.testing.assert_array_equal(found.get(), values)
    for names in (found, values, values.tolist()):
        painted = masks.labels(names)
        assert type(painted) is cupy.ndarray
        assert painted.dtype == host.labels(values).dtype
        np.testing.assert_array_equal(painted.get(), labels)
    np.testing.assert_array_equal(masks.labels().get(), host.labels())
    out = cupy.asarray(np.full((66, 31), 7, np.int32))
    masks.labels(found, out)
    np.testing.assert_array_equal(out.get(), np.where(labels == 0, 7, labels))
    with pytest.raises(ValueError, match="^values must fit uint8, but reach from -2 to 3$"):
        masks.labels(found, cupy.asarray(np.zeros((66, 31), np.uint8)))


def test_strings(cupy, rng):
    images = random_masks(rng, 5, 97, 33)
    expected = Masks.encode(images).to_coco()
    assert Masks.encode(cupy.asarray(images)).to_coco() == expected
    assert Masks.encode(cupy.asarray(images)).to_coco(text=True) == Masks.encode(images).to_coco(text=True)
    masks = Masks.from_coco(expected, device="cuda")
    assert masks.device == "cuda"
    np.testing.assert_array_equal(masks.decode().get(), images)
    plain = [{"size": [2, 3], "counts": [0, 2, 0, 4]}, *Masks.encode(images[:1]).to_coco()]
    assert Masks.from_coco(plain, device="cuda").to("cpu") == Masks.from_coco(plain)
    assert Masks.encode(cupy.asarray(np.zeros((0, 4, 5), bool))).to_coco() == []
    for wrong in ([{"size": [2, 3], "counts": b"0P"}], [{"size": [2, 3], "counts": b"5"}]):
        with pytest.raises(ValueError) as on_host:
            Masks.from_coco(wrong)
        with pytest.raises(ValueError) as on_gpu:
            Masks.from_coco(wrong, device="cuda")
        assert str(on_gpu.value) == str(on_host.value)


def test_strings_of_long_codes(cupy):
    """More characters a run than the first transfer has room for."""
    counts = np.tile(np.array([10**8, 1], np.uint32), 500)
    offsets, ends = np.array([0, 1000]), cupy.asarray(np.array([0, 1000]))
    counts[::4] = 1
    assert rle.to_strings(cupy.asarray(counts), ends) == rle.to_strings(counts, offsets)


def test_set_operations(cupy, rng):
    (a, on_gpu_a), (b, on_gpu_b) = some_masks(rng, cupy), some_masks(rng, cupy)
    for operate in ("__or__", "__and__", "__xor__", "__sub__"):
        assert getattr(on_gpu_a, operate)(on_gpu_b).to("cpu") == getattr(a, operate)(b)
        assert getattr(on_gpu_a[:1], operate)(on_gpu_b).to("cpu") == getattr(a[:1], operate)(b)
    assert (~on_gpu_a).to("cpu") == ~a
    for op in ("union", "intersection", "xor", "difference"):
        assert on_gpu_a.merge([0, 1, 4, 9], op).to("cpu") == a.merge([0, 1, 4, 9], op)
    assert on_gpu_a.union().to("cpu") == a.union()
    assert on_gpu_a[:0].intersection().to("cpu") == a[:0]


def test_overlaps(cupy, rng):
    (a, on_gpu_a), (b, on_gpu_b) = some_masks(rng, cupy), some_masks(rng, cupy, 5)
    iscrowd = [0, 1, 0, 1, 0]
    np.testing.assert_array_equal(on_gpu_a.intersection_area(on_gpu_b).get(), a.intersection_area(b))
    np.testing.assert_array_equal(on_gpu_a.iou(on_gpu_b).get(), a.iou(b))
    for crowd in (iscrowd, cupy.asarray(np.array(iscrowd, bool)), cupy.asarray(np.array(iscrowd))):
        np.testing.assert_array_equal(on_gpu_a.iou(on_gpu_b, crowd).get(), a.iou(b, iscrowd))
    scores = rng.random(9)
    for threshold in (0.1, 0.4):
        np.testing.assert_array_equal(on_gpu_a.nms(threshold).get(), a.nms(threshold))
        expected = a.nms(threshold, scores)
        for ranks in (scores, cupy.asarray(scores)):
            kept = on_gpu_a.nms(threshold, ranks)
            assert type(kept) is cupy.ndarray
            np.testing.assert_array_equal(kept.get(), expected)


def test_selecting(cupy, rng):
    host, masks = some_masks(rng, cupy)
    flags = rng.random(9) < 0.5
    keys = [
        0,
        -1,
        np.int64(3),
        slice(2, 7),
        slice(None),
        slice(5, 2),
        slice(None, None, -2),
        [],
        [3, 3, 0],
        flags,
    ]
    keys += [np.array([8, -9], np.int8), np.zeros(9, bool)]
    for key in keys:
        assert masks[key].to("cpu") == host[key]
        assert masks[key].device == "cuda"
    for key in (flags, np.array([4, 1])):
        assert masks[cupy.asarray(key)].to("cpu") == host[key]
    assert [mask.to("cpu") for mask in masks] == list(host)
    assert Masks.concatenate([masks[3:5], masks[:0], masks[8]]).to("cpu") == host[[3, 4, 8]]
    assert masks == Masks.concatenate(list(masks))
    assert masks != masks[::-1]
    assert masks != masks[:3]
    assert repr(masks) == repr(host)
    with pytest.raises(IndexError, match="^mask 9 of 9$"):
        masks[9]
    for mix in (lambda: masks == host, lambda: Masks.concatenate([host, masks])):
        with pytest.raises(ValueError, match="^masks must be on one device; "):
            mix()


def test_masks_from_arrays_and_files(cupy, rng, tmp_path):
    host, masks = some_masks(rng, cupy)
    again = Masks(masks.counts, masks.offsets[3:8], host.sizes[3:7])
    assert again.device == "cuda"
    assert again.to("cpu") == host[3:7]
    masks.save(tmp_path / "masks.npz")
    assert Masks.load(tmp_path / "masks.npz") == host


def test_copies_stay_and_pickles_do_not(cupy, rng):
    host, masks = some_masks(rng, cupy)
    rings = Polygons.from_lists([[[0, 0, 9, 0, 9, 9]], [], [[1, 1, 5, 1, 5, 5], [2, 2, 3, 2, 3, 3]]])
    for whole, there in ((host[2:7], masks[2:7]), (rings, rings.to("cuda"))):
        assert copy.copy(there) is there
        for again in (copy.deepcopy(there), copy.deepcopy({"a": [there]})["a"][0]):
            assert again is not there
            assert again.device == "cuda"
            assert again.to("cpu").to_coco() == whole.to_coco()
        assert there.to("cuda") is there
        assert whole.to("cpu") is whole
        data = pickle.dumps(there)
        assert pickle.loads(data).device == "cpu"
        assert pickle.loads(data).to_coco() == whole.to_coco()
        assert b"cupy" not in data
        assert repr(there) == repr(whole)
        assert len(there) == len(whole)


def test_rings_of_polygons(cupy):
    host = Polygons.from_lists([[[0, 0, 9, 0, 9, 9]], [], [[1, 1, 5, 1, 5, 5], [2, 2, 3, 2, 3, 3]]])
    there = host.to("cuda")
    for found, expected in [(there[-1], host[2]), (there[1], []), *zip(there, host, strict=True)]:
        assert [ring.get().tolist() for ring in found] == [ring.tolist() for ring in expected]
    with pytest.raises(IndexError):
        there[3]


def test_masks_cannot_be_changed_nor_hashed(cupy, rng):
    _, masks = some_masks(rng, cupy)
    with pytest.raises(AttributeError, match="immutable"):
        masks.counts = masks.counts
    with pytest.raises(TypeError, match="unhashable"):
        hash(masks)
    assert masks != "masks"
    with pytest.raises(TypeError):
        masks | 1


WRONG = {
    "sum": masks_of_runs([[6], [5], [7]], [(2, 3)] * 3),
    "zero run": masks_of_runs([[6], [3, 0, 3], []], [(2, 3), (2, 3), (0, 3)]),
    "sizes": masks_of_runs([[6], [6], [6]], [(2, 3), (2, 3), (3, 2)]),
    "far": far_mask(),
}
CALLS = {
    "check": lambda m: rle.check(*m),
    "normalize": lambda m: rle.normalize(*m),
    "bbox": lambda m: rle.bbox(*m),
    "strings": lambda m: rle.to_strings(*m[:2]),
    "complement": lambda m: setops.complement(*m),
    "pairs": lambda m: setops.pairs(m, m, "xor"),
    "merge": lambda m: setops.merge(*m, [0, len(m[2])], m[2][:1], "difference"),
    "iou": lambda m: overlap.iou(m, m),
    "nms": lambda m: overlap.nms(*m, 0.5),
}


def outcome(call: Any, *arguments: Any) -> Any:
    """What a call gives, as lists, or says."""
    try:
        found = call(*arguments)
    except ValueError as error:
        return str(error)
    parts = found if isinstance(found, tuple | list) else (found,)
    return [part.tolist() if hasattr(part, "tolist") else part for part in parts]


@st.composite
def some_arrays(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of 2 x 3 pixels that are seldom right."""
    counts = draw(st.lists(st.sampled_from([0, 1, 2, 3, 6, 2**32 - 1]), max_size=12))
    runs = draw(st.lists(st.sampled_from([[6], [0, 6], [1, 5], [2, 2, 2], [2, 0, 4], [5]]), max_size=4))
    if draw(st.booleans()):
        counts = [count for run in runs for count in run]
        offsets = np.cumsum([0, *map(len, runs)])
    else:
        offsets = np.array(draw(st.lists(st.integers(-1, 13), min_size=1, max_size=5)))
        offsets = np.sort(offsets) if draw(st.booleans()) else offsets
    sizes = draw(
        st.lists(st.sampled_from([2, 2, 2, 0]), min_size=len(offsets) - 1, max_size=len(offsets) - 1)
    )
    return np.array(counts, np.uint32), offsets, np.array([[h, 3] for h in sizes], np.int64).reshape(-1, 2)


@properties
@given(some_arrays(), st.sampled_from(list(CALLS)))
def test_any_arrays(masks, call):
    with fake_cupy.pretended() as cupy:
        if call == "merge" and len(masks[2]) == 0:
            return
        there = (cupy.asarray(masks[0]), cupy.asarray(masks[1]), masks[2])
        assert outcome(CALLS[call], there) == outcome(CALLS[call], masks)


@properties
@given(
    st.lists(st.one_of(st.binary(max_size=9), st.text("0123PQno_", max_size=12).map(str.encode)), max_size=4)
)
def test_any_strings(strings):
    with fake_cupy.pretended():
        on_gpu = outcome(lambda: rle.from_strings(strings, backend="cuda"))
    assert on_gpu == outcome(lambda: rle.from_strings(strings))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", [*WRONG, "offsets"])
def test_what_is_wrong_is_told_in_the_same_words(cupy, wrong, call):
    counts, offsets, sizes = WRONG["sum" if wrong == "offsets" else wrong]
    if wrong == "offsets":
        offsets = np.array([0, 2**40, -3, 3])
    on_gpu = outcome(CALLS[call], (cupy.asarray(counts), cupy.asarray(offsets), sizes))
    assert on_gpu == outcome(CALLS[call], (counts, offsets, sizes))


def test_waits(rng):
    """Kernels wait for a GPU once, to learn of faults and how much they have made."""
    with fake_cupy.pretended() as cupy:
        from maskmill import _cuda_emulated

        host, masks = some_masks(rng, cupy)
        images, labels = masks.decode(), cupy.asarray(host.labels())
        for call, most in [
            (lambda: Masks.encode(images), 1),
            (lambda: Masks.encode(images).to_coco(), 2),
            (lambda: (masks.area, masks.bbox), 2),
            (lambda: masks | masks, 1),
            (lambda: masks.union(), 1),
            (lambda: masks.iou(masks), 1),
            (lambda: masks.nms(0.5), 1),
            (lambda: rle.check(*masks._arrays), 1),
            (lambda: Masks.from_labels(labels), 3),
            (lambda: masks.labels(), 1),
        ]:
            before = _cuda_emulated.waits()
            call()
            assert _cuda_emulated.waits() - before <= most
