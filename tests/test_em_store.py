"""Shards, tables and the store that they make."""

from __future__ import annotations

import json

import numpy as np
import pytest

from maskmill._files import FormatError
from maskmill.studies.em import shards, store, tables


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 9), (3, 224, 138), (2, 1, 300), (7, 3, 5)])
def test_shard(tmp_path, rng, shape):
    tifffile = pytest.importorskip("tifffile")
    pages = rng.integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "a.tiff"
    shards.write_shard(path, *shape, [pages[:1], pages[1:]])
    assert path.stat().st_size == shards.shard_size(*shape)
    assert np.array_equal(tifffile.imread(path).reshape(shape), pages)
    again = list(shards.read_pages(path, [shape[0] - 1, 0], *shape))
    assert np.array_equal(again, pages[[-1, 0]])


def test_shard_in_pillow(tmp_path, rng):
    image = pytest.importorskip("PIL.Image")
    pages = rng.integers(0, 256, (3, 5, 7), dtype=np.uint8)
    shards.write_shard(tmp_path / "a.tiff", 3, 5, 7, [pages])
    with image.open(tmp_path / "a.tiff") as file:
        file.seek(2)
        assert np.array_equal(np.asarray(file), pages[2])


def test_shard_of_another_number_of_pages(tmp_path):
    with pytest.raises(ValueError, match="1 pages were given of 2"):
        shards.write_shard(tmp_path / "a.tiff", 2, 4, 4, [np.zeros((1, 4, 4), np.uint8)])
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="too many for one TIFF file"):
        shards.write_shard(tmp_path / "a.tiff", 5, 2**15, 2**15, [])
    shards.write_shard(tmp_path / "a.tiff", 2, 4, 4, [np.zeros((2, 4, 4), np.uint8)])
    with pytest.raises(FormatError, match=r"for 3 patches of 4 x 4, not"):
        list(shards.read_pages(tmp_path / "a.tiff", [0], 3, 4, 4))


def test_pages_of_a_shard_are_limited():
    assert shards.most_pages(224, 224, 64 << 20) == 1334
    assert shards.shard_size(1334, 224, 224) <= 64 << 20 < shards.shard_size(1335, 224, 224)
    assert shards.most_pages(2**15, 2**15, 64 << 20) == 1


SCHEMA = {"id": "int64", "name": "str", "size": "float64", "low": "uint8"}
COLUMNS = {"id": np.array([3, -1]), "name": ["a,b", 'ü"\n'], "size": [0.1, np.nan], "low": [0, 255]}


@pytest.fixture(params=["parquet", "csv"])
def suffix(request, monkeypatch):
    if request.param == "csv":
        monkeypatch.setattr(tables, "_arrow", lambda: None)
    else:
        pytest.importorskip("pyarrow")
    return "." + request.param


def test_table(tmp_path, suffix):
    path = tables.write_table(tmp_path / "t", COLUMNS, SCHEMA)
    assert path == tables.find_table(tmp_path / "t") == tmp_path / f"t{suffix}"
    found = tables.read_table(path, SCHEMA)
    for name, column in COLUMNS.items():
        assert found[name].tolist()[:1] == list(column)[:1]
        assert str(found[name].tolist()) == str(np.array(column, found[name].dtype).tolist())
    before = path.read_bytes()
    tables.write_table(tmp_path / "t", COLUMNS, SCHEMA)
    assert path.read_bytes() == before
    with pytest.raises(FormatError, match="must have a column other, not only id, name, size, low"):
        tables.read_table(path, {**SCHEMA, "other": "int64"})


def test_empty_table(tmp_path, suffix):
    path = tables.write_table(tmp_path / "t", {name: [] for name in SCHEMA}, SCHEMA)
    assert {name: len(column) for name, column in tables.read_table(path, SCHEMA).items()} == dict.fromkeys(
        SCHEMA, 0
    )


@pytest.mark.parametrize("content", [b"", b"a,b\n1\n", b"PAR1xxxx", b"\xff\xfe"])
def test_broken_tables(tmp_path, suffix, content):
    path = tmp_path / f"t{suffix}"
    with pytest.raises(FileNotFoundError):
        tables.read_table(path)
    path.write_bytes(content)
    with pytest.raises(FormatError):
        tables.read_table(path, SCHEMA)


def make_store(folder, rng, *, state="complete"):
    """Two shards of two and one patches."""
    folder.mkdir(exist_ok=True)
    patches = [rng.integers(0, 256, (4, width), dtype=np.uint8) for width in (5, 6, 5)]
    (folder / "patches").mkdir()
    shards.write_shard(folder / "patches/a.tiff", 2, 4, 5, [patches[2][None], patches[0][None]])
    shards.write_shard(folder / "patches/b.tiff", 1, 4, 6, [patches[1][None]])
    rows = {name: [0] * 3 if kind != "str" else [""] * 3 for name, kind in store.MANIFEST.items()}
    rows |= {"id": [7, 8, 9], "y1": [4] * 3, "x1": [5, 6, 5], "rank": [0, 1, 2], "page": [1, 0, 0]}
    rows |= {"shard": ["patches/a.tiff", "patches/b.tiff", "patches/a.tiff"], "dataset": ["d", "e", "d"]}
    rows |= {"name": [f"v-LOC-0_{i}_0-4_0-{x}" for i, x in enumerate((5, 6, 5))]}
    tables.write_table(folder / "manifest", rows, store.MANIFEST)
    tables.write_table(folder / "audit", {name: [] for name in store.AUDIT}, store.AUDIT)
    (folder / "run.json").write_text(json.dumps({"state": state}))
    return patches


def test_store(tmp_path, rng):
    tifffile = pytest.importorskip("tifffile")
    patches = make_store(tmp_path / "s", rng)
    opened = store.open_store(tmp_path / "s")
    assert len(opened) == 3
    assert repr(opened).endswith("s', 3 patches)")
    for found, expected in zip(opened.patches(), patches, strict=True):
        assert np.array_equal(found, expected)
    assert np.array_equal(opened.patch(1), patches[1])
    assert opened.storage_order().tolist() == [2, 0, 1]
    assert len(opened.audit["id"]) == 0
    assert opened.export(tmp_path / "tree") == 3
    files = sorted(path.relative_to(tmp_path / "tree").as_posix() for path in tmp_path.glob("tree/*/*.tiff"))
    assert files == ["d/v-LOC-0_0_0-4_0-5.tiff", "d/v-LOC-0_2_0-4_0-5.tiff", "e/v-LOC-0_1_0-4_0-6.tiff"]
    assert np.array_equal(tifffile.imread(tmp_path / "tree/d/v-LOC-0_2_0-4_0-5.tiff"), patches[2])
    assert opened.export(tmp_path / "one", [1]) == 1


def test_what_is_no_store(tmp_path, rng):
    with pytest.raises(FileNotFoundError):
        store.open_store(tmp_path / "missing")
    with pytest.raises(FormatError, match="must be a store of patches"):
        store.open_store(tmp_path)
    for text in ("{", "[]", "{}"):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(FormatError, match=r"run\.json"):
            store.open_store(tmp_path)
    make_store(tmp_path, rng, state="running")
    with pytest.raises(FormatError, match="has not ended"):
        store.open_store(tmp_path)
    make_store(tmp_path / "other", rng)
    opened = store.open_store(tmp_path / "other")
    (tmp_path / "other/patches/b.tiff").write_bytes(b"II")
    with pytest.raises(FormatError, match=r"b\.tiff: must have"):
        opened.patch(1)
    (tmp_path / "other/manifest.parquet").unlink(missing_ok=True)
    with pytest.raises(FormatError, match=r"holds no manifest\.parquet"):
        store.open_store(tmp_path / "other").manifest  # noqa: B018


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "", "a\\b", "a\0"])
def test_names_that_leave_the_tree(tmp_path, name):
    with pytest.raises(FormatError, match="cannot be the name of a file or folder"):
        store.write_patch(tmp_path, "d", name, np.zeros((2, 2), np.uint8))
