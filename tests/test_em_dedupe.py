"""maskmill em dedupe: within and across stores, pickles and trees."""

from __future__ import annotations

import numpy as np
import pytest

from maskmill._files import FormatError
from maskmill.io.volumes import write_volume
from maskmill.studies.em.dedupe import Settings, dedupe
from maskmill.studies.em.patchify import patchify
from maskmill.studies.em.pickles import read_pickle, write_pickle
from maskmill.studies.em.plan import Grid
from maskmill.studies.em.select import Rule
from maskmill.studies.em.settings import Settings as Cutting
from maskmill.studies.em.store import open_store
from test_em_patchify import smooth, tree

pytest.importorskip("nrrd")
pytest.importorskip("pyarrow")

SETTINGS = Settings(crop=32)


@pytest.fixture
def cut(tmp_path):
    """The same volume with all its patches, in three layouts; and without near-duplicates."""
    write_volume(tmp_path / "v.nrrd", smooth((40, 70, 90), 1), spacing=(8, 8, 8))
    for layout in ("store", "files", "pickle"):
        settings = Cutting(grid=Grid(crop=32), rule=Rule(radius=-1), layout=layout)
        patchify([str(tmp_path / "v.nrrd")], tmp_path / layout, settings)
    patchify([str(tmp_path / "v.nrrd")], tmp_path / "expected", Cutting(grid=Grid(crop=32)))
    (tmp_path / "tree").mkdir()
    (tmp_path / "files/v").rename(tmp_path / "tree/v")
    (tmp_path / "pickles").mkdir()
    (tmp_path / "pickle/v.pkl").rename(tmp_path / "pickles/v.pkl")
    return tmp_path


@pytest.mark.parametrize("given", ["store", "tree", "pickles"])
@pytest.mark.parametrize("layout", ["store", "files", "pickle"])
def test_cut_then_dedupe_is_both_at_once(cut, given, layout):
    settings = Settings(crop=32, layout=layout)
    report = dedupe([cut / given], cut / "out", settings)
    expected, found = open_store(cut / "expected"), open_store(cut / "out")
    for column in ("name", "dataset", "axis", "index", "y0", "y1", "x0", "x1", "code", "hash", "rank"):
        assert found.manifest[column].tolist() == expected.manifest[column].tolist(), column
    for left, right in zip(found.patches(), expected.patches(), strict=True):
        assert np.array_equal(left, right)
    assert report.kept == len(expected)
    assert sorted(found.audit["name"].tolist()) == sorted(expected.audit["name"].tolist())
    assert dedupe([cut / given], cut / "out", settings).resumed


def test_across_inputs(cut):
    """The same patches under another name are near-duplicates of the first in scope all alone."""
    (cut / "tree/v").rename(cut / "tree/w")
    for scope, factor in (("dataset", 2), ("all", 1)):
        settings = Settings(crop=32, rule=Rule(scope=scope, radius=0))
        report = dedupe([cut / "store", cut / "tree"], cut / scope, settings)
        alone = dedupe([cut / "store"], cut / f"one-{scope}", settings)
        assert report.kept == factor * alone.kept


def test_provenance_is_carried_on(cut):
    dedupe([cut / "store"], cut / "out", SETTINGS)
    manifest = open_store(cut / "out").manifest
    assert set(manifest["source"].tolist()) == {str(cut / "v.nrrd")}
    assert manifest["digest"][0].startswith("sha256:")
    assert manifest["spacing_z"][0] == 8


def test_layouts_of_old_pickles(tmp_path, rng):
    names = ["plain", "a-LOC-0_3_0_0", "7-LOC-2d-0-20_0-30"]
    patches = [rng.integers(0, 256, (20, 30), dtype=np.uint8) for _ in names]
    write_pickle(tmp_path / "old.pkl", [*names, "again"], [*patches, patches[0]])
    dedupe([tmp_path / "old.pkl"], tmp_path / "out", Settings(layout="pickle"))
    kept = read_pickle(tmp_path / "out/old.pkl").names
    assert len(kept) == 3
    assert set(kept) >= {"a-LOC-0_3_0_0", "7-LOC-2d-0-20_0-30"}


def test_bad_inputs(cut, tmp_path):
    with pytest.raises(FileNotFoundError):
        dedupe([tmp_path / "missing"], tmp_path / "out")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(FormatError, match="must be a folder of patches or a pickle"):
        dedupe([tmp_path / "notes.txt"], tmp_path / "out")
    with pytest.raises(ValueError, match="two inputs are called 'v'"):
        dedupe([cut / "store", cut / "tree"], tmp_path / "out")
    whole = (cut / "pickles/v.pkl").read_bytes()
    (cut / "pickles/bad.pkl").write_bytes(whole[:-9])
    report = dedupe([cut / "pickles"], tmp_path / "out", SETTINGS)
    assert [reason.partition(": ")[2].split(" (")[0] for _, reason in report.failed] == [
        "not a readable pickle of patches"
    ]
    assert report.kept == len(open_store(cut / "expected"))
    (cut / "pickles/bad.pkl").write_bytes(whole)
    with pytest.raises(ValueError, match="other inputs"):
        dedupe([cut / "pickles"], tmp_path / "out", SETTINGS, retry=True)


def test_names_that_leave_the_folder(tmp_path):
    write_pickle(tmp_path / "a.pkl", ["../../x"], [np.zeros((9, 9), np.uint8)])
    for layout in ("store", "files"):
        with pytest.raises(FormatError, match="cannot be the name"):
            dedupe([tmp_path / "a.pkl"], tmp_path / "out" / layout, Settings(layout=layout))


def test_again_and_from_the_middle(cut, monkeypatch):
    from maskmill.studies.em import dedupe as module

    dedupe([cut / "tree"], cut / "whole", SETTINGS)

    def full(*_args):
        raise OSError(28, "No space left on device")

    for name in ("write_table", "write_shard"):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, full)
            with pytest.raises(OSError, match="No space left"):
                dedupe([cut / "tree"], cut / "out", SETTINGS)
    dedupe([cut / "tree"], cut / "out", SETTINGS)
    assert tree(cut / "out") == tree(cut / "whole")
