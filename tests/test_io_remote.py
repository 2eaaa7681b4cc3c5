"""Pyramids in folders and behind a web server: the right voxels in the right order, and servers that misbehave."""

from __future__ import annotations

import json
import re
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from http_store import HttpStore

pytest.importorskip("tensorstore")

import pyramids
from maskmill import FormatError
from maskmill.io.multiscale import Pyramid, describe
from maskmill.io.remote import Patience, Source, Stopped, kvstore, split_address

QUICK = Patience(timeout=2, retries=2, first_wait=0.05, longest_wait=0.1)


def is_data(path: str) -> bool:
    return not path.endswith((".json", ".zarray", ".zattrs", ".zgroup", "info"))


@pytest.mark.parametrize("kind", pyramids.KINDS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_boxes_are_z_y_x(tmp_path, kind, dtype):
    volume = pyramids.specimen((20, 36, 50), dtype)
    name = pyramids.write(tmp_path, kind, volume)
    with HttpStore(tmp_path) as server:
        for place in (f"{server.url}/{name}", str(tmp_path / name)):
            source = Source(place, QUICK)
            for k, expected in enumerate(pyramids.levels_of(volume, len(source.pyramid.levels))):
                array = source.open(k)
                assert array.shape == expected.shape
                assert array.dtype == np.dtype(dtype)
                assert array.chunks == tuple(min(16, n) for n in expected.shape)
                z, y, x = (n // 3 for n in array.shape)
                found = array.read((z, 2 * z, y, 3 * y, 0, x))
                np.testing.assert_array_equal(found, expected[z : 2 * z, y : 3 * y, :x])
                if kind not in ("zarr2", "zarr3"):
                    assert (array.voxel, array.unit) == (
                        pytest.approx(tuple(v * 2**k for v in pyramids.VOXEL)),
                        "nm",
                    )
        if kind == "sharded":
            assert server.ranges, "shards are read in parts"


def test_precomputed_counts_from_its_first_voxel(tmp_path):
    volume = pyramids.specimen((20, 36, 50))
    array = Source(str(tmp_path / pyramids.write(tmp_path, "precomputed", volume))).open(0)
    assert array.offset == (20, 60, 100)
    np.testing.assert_array_equal(array.read((0, 20, 0, 36, 0, 50)), volume)


@pytest.mark.parametrize("kind", ["n5", "sharded"])
@pytest.mark.parametrize("fault", ["500", "429", "cut"])
def test_passing_faults_are_tried_again(tmp_path, kind, fault):
    volume = pyramids.specimen((20, 36, 50))
    name = pyramids.write(tmp_path, kind, volume)
    with HttpStore(tmp_path, lambda path, before: fault if before < 2 else None) as server:
        array = Source(f"{server.url}/{name}", QUICK).open(0)
        np.testing.assert_array_equal(array.read((0, 20, 0, 36, 0, 50)), volume)


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("500", ConnectionError, "HTTP code 500"),
        ("cut", ConnectionError, "partial file"),
        ("403", PermissionError, "Forbidden"),
        ("truncate", FormatError, "em.n5/raw/s0/"),
        ("corrupt", FormatError, "em.n5/raw/s0/"),
        ("stall", TimeoutError, "no whole answer within 0.5 s, tried 2 times"),
    ],
)
def test_lasting_faults_are_told(tmp_path, fault, kind, words):
    name = pyramids.write(tmp_path, "n5", pyramids.specimen((20, 36, 50)))
    patience = Patience(timeout=0.5, retries=1, first_wait=0.05, longest_wait=0.1)
    with HttpStore(tmp_path, lambda path, before: fault if is_data(path) else None) as server:
        array = Source(f"{server.url}/{name}", patience).open(0)
        with pytest.raises(kind, match=words) as failed:
            array.read((0, 8, 0, 8, 0, 8))
        assert server.url in str(failed.value)
        for noise in ("tensorstore_spec", "ABORTED", "FAILED_PRECONDITION", "curl_code"):
            assert noise not in str(failed.value)


def test_a_stall_is_left_behind(tmp_path):
    volume = pyramids.specimen((20, 36, 50))
    name = pyramids.write(tmp_path, "n5", volume)
    patience = Patience(timeout=0.7, retries=2, first_wait=0.05)
    stall = lambda path, before: "stall" if is_data(path) and before == 0 and path.endswith("0/0/0") else None  # noqa: E731
    with HttpStore(tmp_path, stall) as server:
        array = Source(f"{server.url}/{name}", patience).open(0)
        np.testing.assert_array_equal(array.read((0, 20, 0, 36, 0, 50)), volume)


def test_stop_ends_a_read_at_once(tmp_path):
    name = pyramids.write(tmp_path, "n5", pyramids.specimen((20, 36, 50)))
    stop = threading.Event()
    with HttpStore(tmp_path, lambda path, _: "stall" if is_data(path) else None) as server:
        array = Source(f"{server.url}/{name}", Patience(timeout=60), stop).open(0)
        threading.Timer(0.3, stop.set).start()
        begin = time.monotonic()
        with pytest.raises(Stopped):
            array.read((0, 8, 0, 8, 0, 8))
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("404", FormatError, "expected .*, found none of them"),
        ("403", PermissionError, "Forbidden"),
        ("500", ConnectionError, "HTTP code 500"),
        ("truncate", FormatError, "expected JSON, found"),
    ],
)
def test_metadata_that_are_not_given(tmp_path, fault, kind, words):
    name = pyramids.write(tmp_path, "ome-zarr-0.4", pyramids.specimen((20, 36, 50)))
    with HttpStore(tmp_path, lambda path, _: fault) as server, pytest.raises(kind, match=words) as failed:
        Source(f"{server.url}/{name}", QUICK)
    assert f"{server.url}/{name}" in str(failed.value)


def test_servers_that_are_not_there():
    for address, words in (
        ("http://127.0.0.1:9/em", "127.0.0.1:9"),
        ("http://no-such-host.invalid/em.zarr", "no-such-host.invalid"),
    ):
        with pytest.raises(ConnectionError, match=words):
            Source(address, Patience(retries=0))


def test_s3_is_asked_without_credentials(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "secret")
    volume = pyramids.specimen((20, 36, 50))
    (tmp_path / "bucket").mkdir()
    name = pyramids.write(tmp_path / "bucket", "n5", volume)
    with HttpStore(tmp_path) as server:
        patience = Patience(timeout=5, retries=1, first_wait=0.05, endpoint=server.url)
        array = Source(f"s3://bucket/{name}", patience).open(1)
        np.testing.assert_array_equal(array.read((0, 10, 0, 18, 0, 25)), volume[::2, ::2, ::2])


@pytest.mark.parametrize(
    "address", ["ftp://host/em", "http:///em", "s3:///em", "gs:///em", "boss://a/b", "graphene://a/b"]
)
def test_addresses_that_nothing_can_be_read_from(address):
    with pytest.raises(ValueError, match="must"):
        Source(address)


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        Source(str(tmp_path / "none.zarr"))
    with pytest.raises(FormatError, match="found none of them"):
        Source(str(tmp_path))


def test_levels_out_of_range(tmp_path):
    source = Source(str(tmp_path / pyramids.write(tmp_path, "n5", pyramids.specimen((20, 36, 50)))))
    with pytest.raises(ValueError, match="the level must be 0 to 2, not 3"):
        source.open(3)


def test_addresses():
    assert split_address("zarr://s3://b/k.zarr/") == ("s3://b/k.zarr", "zarr")
    assert split_address("precomputed://bucket/em") == ("gs://bucket/em", "precomputed")
    assert kvstore("https://host:8/a/b?key=1") == {
        "driver": "http",
        "base_url": "https://host:8?key=1",
        "path": "a/b/",
    }
    assert "endpoint" not in kvstore("s3://b/k")
    assert kvstore("s3://b/k", "http://127.0.0.1:9")["endpoint"] == "http://127.0.0.1:9"


# Metadata


def described(files, name="em"):
    return describe(name, files.get)


def test_n5_of_n5_viewer_repeats_the_finest_voxel():
    def level(k):
        factor = 2**k
        return {
            "dimensions": [64, 32, 16],
            "downsamplingFactors": [factor, factor, 1],
            "pixelResolution": {"unit": "um", "dimensions": [0.004, 0.004, 0.03]},
        }

    files = {f"s{k}/attributes.json": level(k) for k in range(3)}
    voxels = [level.voxel for level in described(files).levels]
    np.testing.assert_allclose(voxels, [(30, 4, 4), (30, 8, 8), (30, 16, 16)])


def test_n5_of_openorganelle_gives_each_level_its_voxel():
    files = {
        f"s{k}/attributes.json": {
            "dimensions": [64, 32, 16],
            "pixelResolution": {"unit": "nm", "dimensions": [4 * 2**k] * 2 + [3.5 * 2**k]},
        }
        for k in range(2)
    }
    assert [level.voxel for level in described(files).levels] == [(3.5, 4.0, 4.0), (7.0, 8.0, 8.0)]


def test_n5_of_bigdataviewer():
    files = {
        "attributes.json": {"multiScale": True, "resolution": [10.0, 10.0, 25.0]},
        "s0/attributes.json": {"dimensions": [64, 32, 16], "downsamplingFactors": [1, 1, 1]},
        "s1/attributes.json": {"dimensions": [32, 16, 8], "downsamplingFactors": [2, 2, 2]},
    }
    found = described(files, "raw.n5/setup0/timepoint0")
    assert [level.voxel for level in found.levels] == [(25, 10, 10), (50, 20, 20)]
    assert [level.unit for level in found.levels] == [None, None]


def test_scales_of_the_whole_image_multiply():
    scale = [{"type": "scale", "scale": [1, 1, 0.5, 0.25, 0.25]}]
    image = {
        "axes": [
            {"name": n, "type": "space", "unit": u}
            for n, u in zip("tczyx", [None, None, "um", "nm", "nm"], strict=True)
        ],
        "datasets": [
            {"path": "0", "coordinateTransformations": scale},
            {"path": "1", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1, 0.5, 0.5]}]},
        ],
        "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 2, 8, 8]}],
    }
    levels = described({".zattrs": {"multiscales": [image]}}).levels
    assert [level.voxel for level in levels] == [(1000, 2, 2), (2000, 4, 4)]
    assert levels[0].axes == "tczyx"


def test_sizes_without_unit_are_unknown_when_they_are_the_default():
    def one(scale):
        image = {
            "axes": ["z", "y", "x"],
            "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}],
        }
        return described({".zattrs": {"multiscales": [image]}}).levels[0]

    assert one([1, 1, 1]).voxel == (None, None, None)
    assert (one([40, 4, 4]).voxel, one([40, 4, 4]).unit) == ((40, 4, 4), None)
    assert one([0, 4, 4]).voxel == (None, 4, 4)


def test_collections_and_plates():
    image = {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]}
    found = described({".zattrs": {"bioformats2raw.layout": 3}, "0/.zattrs": image})
    assert (found.levels[0].path, found.levels[0].axes) == ("0/0", "yx")
    with pytest.raises(FormatError, match="found a plate"):
        described({".zattrs": {"plate": {}}})


@pytest.mark.parametrize(
    "files",
    [
        {".zattrs": {"multiscales": []}},
        {".zattrs": {"multiscales": [{"datasets": []}]}},
        {".zattrs": {"multiscales": [{"datasets": [{"path": "../../secret"}]}]}},
        {".zattrs": {"multiscales": [{"axes": ["a", "b"], "datasets": [{"path": "0"}]}]}},
        {"zarr.json": {}},
        {"info": {"scales": [{}]}},
        {"info": {"scales": [{"resolution": [1, 2]}]}},
        {"attributes.json": {"dimensions": 3}},
        {"info": {"@type": "other"}},
        {},
    ],
)
def test_bad_metadata(files):
    with pytest.raises(FormatError, match="em: expected"):
        described(files)


FIELDS = re.findall(
    r"\w+",
    """multiscales datasets path axes name unit units ome attributes node_type shape scales resolution transform type
    scale dimensions pixelResolution downsamplingFactors coordinateTransformations""",
)
KEYS = ["zarr.json", ".zattrs", ".zarray", "attributes.json", "info", "s0/attributes.json", "0/.zarray"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text("zyxs0/.", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4)


@given(st.dictionaries(st.sampled_from(KEYS), OBJECTS, max_size=3))
@settings(max_examples=400, deadline=None)
def test_metadata_of_any_kind(files):
    """They are understood or refused, and paths stay within the source."""
    try:
        found = described(json.loads(json.dumps(files)))
    except FormatError:
        return
    assert isinstance(found, Pyramid)
    assert all(".." not in level.path.split("/") and not level.path.startswith("/") for level in found.levels)
