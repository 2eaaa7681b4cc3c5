"""Voxels to 8 bits: against plain definitions, on every value of 8 and 16 bits, and numpy.percentile."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskmill.io.intensity import Scaling, fit_scaling, parse_policy
from maskmill.io.volumes import open_volume, write_volume

INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
FLOATS = ["float16", "float32", "float64"]


def some(dtype, n=5000, seed=0):
    """Every value of small types; ends, steps and random values of others."""
    rng = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    if limits.bits <= 16:
        return np.arange(limits.min, limits.max + 1, dtype=dtype)
    steps = [limits.min + (limits.max - limits.min) * k // 255 + d for k in range(256) for d in (-1, 0, 1)]
    ends = np.array([v for v in steps if limits.min <= v <= limits.max], dtype)
    return np.concatenate([ends, rng.integers(limits.min, limits.max, n, dtype, endpoint=True)])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_dtype(dtype):
    values = some(dtype)
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    expected = [(int(v) - low) * 255 // (high - low) for v in values]
    assert fit_scaling(values).apply(values).tolist() == expected


@pytest.mark.parametrize("dtype", FLOATS)
def test_dtype_of_floats(dtype):
    values = np.linspace(0, 1, 1001).astype(dtype)
    assert np.array_equal(
        fit_scaling(values).apply(values), (values * values.dtype.type(255)).astype(np.uint8)
    )
    for wrong in (-0.1, 1.1, 255):
        with pytest.raises(ValueError, match="outside of 0 to 1"):
            fit_scaling(values).apply(np.array([0.5, wrong], dtype))


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
@pytest.mark.parametrize("window", [(0, 255), (-3.5, 100.25), (10, 11), (-1000, 70000)])
def test_window(dtype, window):
    values = some(dtype) if dtype in INTEGERS else np.random.default_rng(1).normal(0, 300, 5000).astype(dtype)
    scaling = fit_scaling(values, "window", window)
    low, high = window
    expected = np.clip((values.astype(float) - low) * 255 / (high - low), 0, 255).astype(np.uint8)
    for shaped in (values, values[: len(values) // 8 * 8].reshape(2, 4, -1), values[::3]):
        out = np.empty(shaped.shape, np.uint8)
        assert scaling.apply(shaped, out) is out
        assert np.array_equal(scaling.apply(shaped), out)
    assert np.array_equal(scaling.apply(values), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32"])
def test_cem(dtype):
    """float32(x) / M * 255 in float32, truncated; for integers of 16 bits by exact division."""
    full = {"uint8": 255, "uint16": 65535, "int16": 32767, "uint32": 4294967295, "float32": 1}[dtype]
    values = some(dtype) if dtype != "float32" else np.linspace(0, 1.003, 10001).astype(dtype)
    values = values[values >= 0]
    expected = (values.astype(np.float32) / np.float32(full) * np.float32(255)).astype(np.uint8)
    found = fit_scaling(values, "cem").apply(values)
    assert np.array_equal(found, expected)
    if dtype == "uint16":
        assert np.array_equal(found, values // 257)
    if dtype == "int16":
        assert np.array_equal(found, values.astype(int) * 255 // 32767)


def test_cem_refuses():
    for dtype in ("int8", "int32", "float64", "float16"):
        with pytest.raises(ValueError, match="the policy cem knows"):
            fit_scaling(np.zeros(3, dtype), "cem")
    for dtype in ("int16", "float32"):
        with pytest.raises(ValueError, match="negative voxels"):
            fit_scaling(np.zeros(3, dtype), "cem").apply(np.array([0, -1], dtype))
    with pytest.raises(ValueError, match="wrap around"):
        fit_scaling(np.zeros(3, np.float32), "cem").apply(np.array([256 / 255], np.float32))


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
@pytest.mark.parametrize("parts", [1, 7])
def test_percentiles_are_exact(dtype, parts):
    rng = np.random.default_rng(3)
    values = some(dtype)[:4001] if dtype in INTEGERS else rng.normal(0, 50, 4001).astype(dtype)
    values = rng.permutation(values)
    expected = np.percentile(values.astype(float), (0.7, 99.3))
    scaling = fit_scaling(lambda: iter(np.array_split(values, parts)), "percentile", (0.7, 99.3))
    assert (scaling.low, scaling.high) == pytest.approx(tuple(expected), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, st.integers(1, 40), elements=st.floats(-(2.0**90), 2.0**90, width=32)),
    st.floats(0, 50),
    st.floats(51, 100),
)
def test_percentiles_of_few(values, low, high):
    scaling = fit_scaling(values, "percentile", (low, high))
    ordered = np.sort(values.astype(float))
    for found, place in ((scaling.low, low), (scaling.high, high)):
        at = place / 100 * (len(values) - 1)
        below, above = ordered[int(np.floor(at))], ordered[int(np.ceil(at))]
        assert found == pytest.approx(below + (above - below) * (at - np.floor(at)))


def test_minmax_and_constant():
    assert fit_scaling(np.array([[-3, 5]], np.int32), "minmax").apply(
        np.array([-3, 1, 5], np.int32)
    ).tolist() == [0, 127, 255]
    flat = np.full(9, 7, np.float32)
    assert fit_scaling(flat, "minmax").apply(flat).tolist() == [0] * 9


def test_nan_and_infinity():
    values = np.array([1, np.nan, 3, np.inf, 2], np.float32)
    with pytest.raises(ValueError, match="NaN or infinite"):
        fit_scaling(values, "minmax")
    with pytest.raises(ValueError, match="2 voxels are NaN or infinite"):
        fit_scaling(values, "window", (0, 4)).apply(values)
    scaling = fit_scaling(values, "minmax", nonfinite=9)
    assert scaling.apply(values).tolist() == [0, 9, 255, 9, 127]
    with pytest.raises(ValueError, match="at least one finite"):
        fit_scaling(np.full(3, np.nan), "minmax", nonfinite=0)


def test_of_volumes(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (6, 20, 30)).astype(np.uint16)
    write_volume(tmp_path / "a.nrrd", values[:2])
    write_volume(tmp_path / "b.nrrd", values[2:])
    with open_volume(tmp_path / "a.nrrd") as a, open_volume(tmp_path / "b.nrrd") as b:
        assert fit_scaling([a, b], "percentile", (1, 99)) == fit_scaling(values, "percentile", (1, 99))
        assert fit_scaling(a, "minmax") == fit_scaling(values[:2], "minmax")
    write_volume(tmp_path / "b.nrrd", values[2:].astype(np.uint8))
    types = pytest.raises(ValueError, match="one dtype, not uint16, uint8")
    with open_volume(tmp_path / "a.nrrd") as a, open_volume(tmp_path / "b.nrrd") as b, types:
        fit_scaling([a, b], "minmax")


def test_json():
    for scaling in (Scaling("dtype", "uint16"), Scaling("window", "float32", 0.1, 1e-300 + 3, 7)):
        assert Scaling.from_json(scaling.to_json()) == scaling
        assert json.loads(scaling.to_json())["policy"] == scaling.policy
    for text in ("[]", "{", '{"policy": "dtype"}', '{"policy": "x", "dtype": "uint8"}', '{"what": 1}'):
        with pytest.raises((ValueError, TypeError)):
            Scaling.from_json(text)


def test_identity_copies_nothing():
    values = np.arange(9, dtype=np.uint8)
    assert Scaling("dtype", "uint8").apply(values) is values
    out = np.zeros(9, np.uint8)
    assert Scaling("dtype", "uint8").apply(values, out) is out
    assert np.array_equal(out, values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gamma",), "policy must be one of"),
        (("window", (1,)), "must have 2 numbers, not 1"),
        (("window", (5, 5)), "low < high"),
        (("percentile", (50, 20)), "0 <= p < q <= 100"),
        (("percentile", (0, 101)), "0 <= p < q <= 100"),
        (("dtype", (1, 2)), "must have 0 numbers, not 2"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_scaling(np.zeros(3, np.uint16), *arguments)


def test_apply_refuses():
    scaling = Scaling("dtype", "uint16")
    with pytest.raises(ValueError, match="array must be of uint16, not uint8"):
        scaling.apply(np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match="out must be"):
        scaling.apply(np.zeros(3, np.uint16), np.zeros(4, np.uint8))
    with pytest.raises(ValueError, match="nonfinite must be 0 to 255"):
        Scaling("dtype", "uint16", nonfinite=256)


def test_words_of_a_command_line():
    assert parse_policy(["window", "1", "2.5"]) == ("window", (1.0, 2.5))
    for words in ([], ["bright"], ["window", "1"], ["window", "a", "b"], ["window", "0", "nan"]):
        with pytest.raises(ValueError, match="must be"):
            parse_policy(words)
