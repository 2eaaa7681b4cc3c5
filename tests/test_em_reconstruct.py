"""em reconstruct: windows, suppression against a plain loop, voxels and voxel size of what is cut."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmill.cli import main
from maskmill.io.volumes import open_volume, write_volume
from maskmill.studies.em import reconstruct as module
from maskmill.studies.em import subvolumes
from maskmill.studies.em.names import patch_names
from maskmill.studies.em.reconstruct import Parameters, reconstruct
from maskmill.studies.em.store import write_patch
from maskmill.studies.em.tables import find_table, read_table, write_table

SHAPE, SPACING = (20, 24, 28), (40.0, 4.0, 4.5)


@pytest.fixture
def volume(rng):
    return rng.integers(0, 60000, SHAPE).astype(np.uint16)


@pytest.fixture
def volumes(tmp_path, volume):
    (tmp_path / "volumes").mkdir()
    write_volume(tmp_path / "volumes" / "cell.nrrd", volume, spacing=SPACING, unit="nm")
    return tmp_path / "volumes"


@pytest.fixture
def filtered(tmp_path):
    folder = tmp_path / "filtered"
    folder.mkdir()
    return folder


def add(filtered, axis, index, tile=(0, 8, 0, 8), exp="cell", dataset="cell"):
    (name,) = patch_names(exp, axis, [index], SHAPE[axis], [tile])
    write_patch(filtered, dataset, name, np.zeros((tile[1] - tile[0], tile[3] - tile[2]), np.uint8))
    return name


def cut(filtered, volumes, out, **parameters):
    summary = reconstruct(filtered, [volumes], out, Parameters(**parameters))
    return summary, sorted(path.name for path in out.iterdir() if "-LOC-" in path.name)


# Windows and boxes


@given(st.integers(0, 30), st.integers(1, 31), st.integers(1, 12), st.sampled_from(subvolumes.EDGES))
def test_windows_have_nz_slices(index, length, nz, edge):
    if index >= length:
        return
    at, size = np.array([index]), np.array([length])
    start, stop, usable = subvolumes.windows(at, size, nz, edge=edge)
    assert stop - start == nz
    centred = index - nz // 2
    if edge == "skip":
        assert usable == (centred >= 0 and centred + nz <= length)
    if edge == "shift":
        assert usable == (nz <= length)
    if edge == "pad":
        assert usable
    if edge != "shift":
        assert start == centred
    elif usable:
        assert 0 <= start <= index < stop <= length


def test_legacy_windows():
    """One slice more for even nz; a window that ends with the last slice is left out."""
    at, length = np.arange(10), np.full(10, 10)
    start, stop, usable = subvolumes.windows(at, length, 4, legacy=True)
    assert set((stop - start).tolist()) == {5}
    assert np.flatnonzero(usable).tolist() == [2, 3, 4, 5, 6]
    assert np.flatnonzero(subvolumes.windows(at, length, 5)[2]).tolist() == [2, 3, 4, 5, 6, 7]


def plain_suppression(boxes, max_iou):
    kept = []
    for i, a in enumerate(boxes):
        for b in (boxes[j] for j in kept):
            sides = [min(a[k + 1], b[k + 1]) - max(a[k], b[k]) for k in (0, 2, 4)]
            shared = float(np.prod(np.maximum(sides, 0)))
            sizes = [np.prod([c[k + 1] - c[k] for k in (0, 2, 4)]) for c in (a, b)]
            if shared / (sum(sizes) - shared) >= max_iou:
                break
        else:
            kept.append(i)
    return kept


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from([0.1, 0.3, 0.77, 1.0]))
def test_suppress_equals_plain_loop(data, max_iou):
    side = st.tuples(st.integers(0, 20), st.sampled_from([1, 3, 7, 12]))
    rows = data.draw(st.lists(st.tuples(side, side, side), max_size=25))
    boxes = np.array([[end for low, n in row for end in (low, low + n)] for row in rows], np.int64).reshape(
        -1, 6
    )
    assert subvolumes.suppress(boxes, max_iou).tolist() == plain_suppression(boxes.tolist(), max_iou)


def test_columns():
    axis, index = np.zeros(12, np.int64), np.array([0, 1, 2, 3, 9, 10, 11, 25, 26, 27, 28, 29])
    tiles = np.tile([0, 8, 0, 8], (12, 1))
    _, start, stop, count, _ = subvolumes.columns(axis, index, tiles, 20)
    assert (start.tolist(), stop.tolist(), count.tolist()) == ([0, 20], [20, 40], [7, 5])


# Cutting


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("nz", [1, 4, 5])
def test_voxels_and_spacing(filtered, volumes, tmp_path, volume, axis, nz):
    tile = (3, 11, 2, 14)
    add(filtered, axis, 9, tile)
    summary, files = cut(filtered, volumes, tmp_path / "out", nz=nz, format="nrrd")
    start = 9 - nz // 2
    assert files == [f"cell-LOC-{axis}_{start}-{start + nz}_3-11_2-14.nrrd"]
    assert (summary.patches, summary.written) == (1, 1)
    turned = np.moveaxis(volume, axis, 0)  # what is left are rows and columns
    with open_volume(tmp_path / "out" / files[0]) as found:
        assert np.array_equal(found.read(), turned[start : start + nz, 3:11, 2:14])
        rest = [size for other, size in enumerate(SPACING) if other != axis]
        assert np.allclose(found.spacing, [SPACING[axis], *rest])


def test_tiff_keeps_type_and_spacing(filtered, volumes, tmp_path):
    add(filtered, 0, 9)
    _, (file,) = cut(filtered, volumes, tmp_path / "out")
    with open_volume(tmp_path / "out" / file) as found:
        assert found.dtype == np.uint16
        assert np.allclose(found.spacing, SPACING)


def test_edges(filtered, volumes, tmp_path, volume):
    for index in (0, 19):
        add(filtered, 0, index)
    assert cut(filtered, volumes, tmp_path / "skip")[0].outside == 2
    _, files = cut(filtered, volumes, tmp_path / "shift", edge="shift")
    assert files == ["cell-LOC-0_0-5_0-8_0-8.tif", "cell-LOC-0_15-20_0-8_0-8.tif"]
    _, files = cut(filtered, volumes, tmp_path / "pad", edge="pad")
    assert files == ["cell-LOC-0_0-3_0-8_0-8.tif", "cell-LOC-0_17-20_0-8_0-8.tif"]
    with open_volume(tmp_path / "pad" / files[0]) as found:
        assert np.array_equal(found.read(), volume[[0, 0, 0, 1, 2], :8, :8])
    with open_volume(tmp_path / "pad" / files[1]) as found:
        assert np.array_equal(found.read(), volume[[17, 18, 19, 19, 19], :8, :8])


def test_best_of_overlapping(filtered, volumes, tmp_path):
    names = [add(filtered, 0, index) for index in (5, 6, 7, 14)]
    names.append(add(filtered, 1, 4, (4, 9, 0, 8)))  # crosses the others
    scores = {"dataset": ["cell"] * 5, "name": names, "score": [0.6, 0.9, 0.8, 0.7, 0.65]}
    write_table(filtered / "scores", scores, {"dataset": "str", "name": "str", "score": "float64"})
    summary, files = cut(filtered, volumes, tmp_path / "out")
    assert files == ["cell-LOC-0_12-17_0-8_0-8.tif", "cell-LOC-0_4-9_0-8_0-8.tif"]
    assert summary.overlapping == 3
    assert len(cut(filtered, volumes, tmp_path / "all", max_iou=1)[1]) == 5
    assert cut(filtered, volumes, tmp_path / "one", limit=1)[1] == ["cell-LOC-0_4-9_0-8_0-8.tif"]
    table = read_table(find_table(tmp_path / "out" / "subvolumes"))
    assert table["score"].tolist() == [0.9, 0.7]
    assert table["z0"].tolist() == [4, 12]


def test_order_is_seeded(filtered, volumes, tmp_path):
    for index in range(2, 18):
        add(filtered, 0, index)
    one = cut(filtered, volumes, tmp_path / "a", limit=2)[1]
    assert one == cut(filtered, volumes, tmp_path / "b", limit=2)[1]
    others = [cut(filtered, volumes, tmp_path / f"s{seed}", limit=2, seed=seed)[1] for seed in range(1, 5)]
    assert any(other != one for other in others)


def test_eight_bits(filtered, volumes, tmp_path, volume):
    add(filtered, 0, 9)
    _, (file,) = cut(filtered, volumes, tmp_path / "out", dtype="uint8")
    with open_volume(tmp_path / "out" / file) as found:
        assert np.array_equal(found.read(), volume[7:12, :8, :8].astype(np.int64) * 255 // 65535)


def test_columns_of_patches(filtered, volumes, tmp_path):
    for index in range(10):
        add(filtered, 0, index)
    add(filtered, 0, 12, (8, 16, 0, 8))
    _, files = cut(filtered, volumes, tmp_path / "out", nz=10, columns=True)
    assert files == ["cell-LOC-0_0-10_0-8_0-8.tif"]


def test_only_the_box_is_read(filtered, volumes, tmp_path, monkeypatch):
    from maskmill.io.volumes import Volume

    add(filtered, 0, 9)
    read, boxes = Volume.read, []
    monkeypatch.setattr(
        Volume, "read", lambda self, box=None, out=None: boxes.append(box) or read(self, box, out)
    )
    cut(filtered, volumes, tmp_path / "out")
    assert boxes == [[7, 12, 0, 8, 0, 8]]


def test_resume(filtered, volumes, tmp_path, monkeypatch):
    add(filtered, 0, 4)
    add(filtered, 0, 14)
    out = tmp_path / "out"
    real = module._write

    def stop(path, block, axis, volume):
        if "_12-17_" in path.name:
            raise KeyboardInterrupt
        real(path, block, axis, volume)

    monkeypatch.setattr(module, "_write", stop)
    with pytest.raises(KeyboardInterrupt):
        cut(filtered, volumes, out)
    monkeypatch.setattr(module, "_write", real)
    summary, files = cut(filtered, volumes, out)
    assert (summary.written, len(files)) == (2, 2)
    summary, _ = cut(filtered, volumes, out)
    assert (summary.written, summary.resumed) == (0, 2)
    # Other parameters are other work, and leave nothing of the old behind.
    summary, files = cut(filtered, volumes, out, nz=3)
    assert summary.written == 2
    assert files == ["cell-LOC-0_13-16_0-8_0-8.tif", "cell-LOC-0_3-6_0-8_0-8.tif"]


# Which volume


def test_exact_names(filtered, volumes, tmp_path, volume):
    """A patch of cell2 is not one of cell, nor the other way round."""
    write_volume(volumes / "cell2.nrrd", volume + 1)
    add(filtered, 0, 9, exp="cell2", dataset="cell2")
    _, files = cut(filtered, volumes, tmp_path / "out")
    with open_volume(tmp_path / "out" / files[0]) as found:
        assert np.array_equal(found.read(), volume[7:12, :8, :8] + 1)
    add(filtered, 0, 9, exp="other", dataset="other")
    summary, _ = cut(filtered, volumes, tmp_path / "out2")
    assert summary.orphans == {"other": 1}


def test_source_of_the_manifest(filtered, volumes, tmp_path, volume):
    """Two volumes of one name: the manifest tells which; without it, neither is taken."""
    other = tmp_path / "more"
    other.mkdir()
    write_volume(other / "cell.nrrd", volume + 1)
    name = add(filtered, 0, 9)
    summary = reconstruct(filtered, [volumes, other], tmp_path / "none")
    assert "could be of several volumes" in summary.failed[0].reason
    columns = {"dataset": ["cell"], "name": [name], "score": [0.5], "source": [str(other / "cell.nrrd")]}
    columns["scaling"] = [""]
    write_table(filtered / "manifest", columns, dict.fromkeys(columns, "str") | {"score": "float64"})
    summary = reconstruct(filtered, [volumes, other], tmp_path / "out")
    assert (summary.written, summary.failed) == (1, [])
    with open_volume(next((tmp_path / "out").glob("*.tif"))) as found:
        assert np.array_equal(found.read(), volume[7:12, :8, :8] + 1)


def test_names_of_version_01(filtered, volumes, tmp_path):
    write_patch(filtered, "cell", "cell-LOC-0_09_4_8", np.zeros((6, 7), np.uint8))
    assert cut(filtered, volumes, tmp_path / "out")[1] == ["cell-LOC-0_7-12_4-10_8-15.tif"]


def test_images_are_ignored(filtered, volumes, tmp_path):
    for name in ("07-LOC-2d-0-8_0-8", "picture"):
        write_patch(filtered, "cell", name, np.zeros((8, 8), np.uint8))
    summary, files = cut(filtered, volumes, tmp_path / "out")
    assert (summary.patches, summary.ignored, files) == (0, 2, [])


def test_patch_outside_its_volume(filtered, volumes, tmp_path):
    add(filtered, 0, 9, (0, 8, 25, 33))
    assert cut(filtered, volumes, tmp_path / "out")[0].outside == 1


# Bad input


def run(*args):
    return main(["em", "reconstruct", *map(str, args), "--quiet"])


def test_command(filtered, volumes, tmp_path, capsys):
    add(filtered, 0, 9)
    assert run(filtered, "-vd", volumes, "-sd", tmp_path / "out", "-p", 2) == 0
    assert "1 sub-volumes written" in capsys.readouterr().out


def test_help(capsys):
    with pytest.raises(SystemExit):
        main(["em", "reconstruct", "--help"])
    assert "--max-iou" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-nz", "-3"], "nz must be 1 or more, not -3"),
        (["--max-iou", "0"], "--max-iou must be above 0 and at most 1, not 0"),
        (["--limit", "-1"], "limit must be 1 or more, not -1"),
        (["-p", "0"], "--processes must be 1 or more, not 0"),
        (["--legacy-window", "--edge", "pad"], "legacy windows go with neither"),
    ],
)
def test_usage(filtered, volumes, tmp_path, capsys, options, message):
    assert run(filtered, "-vd", volumes, "-sd", tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err


def test_missing_folders(filtered, volumes, tmp_path, capsys):
    assert run(tmp_path / "none", "-vd", volumes, "-sd", tmp_path / "out") == 2
    assert "none: No such file or directory" in capsys.readouterr().err
    assert run(filtered, "-vd", tmp_path / "none", "-sd", tmp_path / "out") == 2
    assert "none: No such file or directory" in capsys.readouterr().err


def test_empty_folder(filtered, volumes, tmp_path, capsys):
    assert run(filtered, "-vd", volumes, "-sd", tmp_path / "out") == 0
    assert "0 patches" in capsys.readouterr().out


def test_one_bad_volume_of_two(filtered, volumes, tmp_path, volume, capsys):
    """Cut short: it is listed, the other is done."""
    write_volume(volumes / "bad.nrrd", volume)
    content = (volumes / "bad.nrrd").read_bytes()
    (volumes / "bad.nrrd").write_bytes(content[: len(content) // 2])
    add(filtered, 0, 9)
    add(filtered, 0, 15, exp="bad", dataset="bad")
    assert run(filtered, "-vd", volumes, "-sd", tmp_path / "out") == 3
    captured = capsys.readouterr()
    assert "bad.nrrd" in captured.err
    assert "1 sub-volumes written" in captured.out
    failed = (tmp_path / "out" / "failed.jsonl").read_text().splitlines()
    assert "bad.nrrd" in json.loads(failed[0])["input"]


def test_out_is_a_file(filtered, volumes, tmp_path, capsys):
    add(filtered, 0, 9)
    (tmp_path / "out").write_text("")
    assert run(filtered, "-vd", volumes, "-sd", tmp_path / "out") == 2
    assert "out" in capsys.readouterr().err


def test_read_only(filtered, volumes, tmp_path, monkeypatch, capsys):
    add(filtered, 0, 9)

    def write(path, *_):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(module, "_write", write)
    assert run(filtered, "-vd", volumes, "-sd", tmp_path / "out") == 2
    assert "Read-only file system" in capsys.readouterr().err
