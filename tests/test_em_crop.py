"""`em crop-rois`: random cubes of volumes in files."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest

from maskmill.cli import main
from maskmill.io.volumes import list_volumes, open_volume, write_volume
from maskmill.studies.em.crop import converted
from maskmill.studies.em.names import parse_roi
from maskmill.studies.em.origins import strided_overview

pytest.importorskip("nrrd")


def specimen(shape=(32, 48, 64), dtype=np.uint8):
    rng = np.random.default_rng(3)
    volume = rng.integers(1, 251, shape).astype(dtype)
    volume[:, :, : shape[2] // 4] = 0
    return volume


def run(*arguments, capsys):
    code = main(["em", "crop-rois", *(str(a) for a in arguments), "--quiet"])
    return code, *capsys.readouterr()


def cubes(folder):
    found = {}
    for path in sorted(folder.glob("*.nrrd")):
        with open_volume(path) as volume:
            found[path.name] = volume.read(), volume.spacing
    return found


@pytest.mark.parametrize("suffix", [".nrrd", ".tif", ".mrc"])
def test_cubes_of_files(tmp_path, suffix, capsys):
    volume = specimen()
    path = tmp_path / f"cell{suffix}"
    write_volume(path, volume, spacing=(40, 4, 4), unit="nm")
    code, out, err = run(path, tmp_path / "out", "-cs", 16, "-gb", 5, capsys=capsys)
    assert code == 0, err
    assert "18 cubes of 18 fit ones of 24 boxes" in out
    found = cubes(tmp_path / "out")
    assert len(found) == 18
    for name, (voxels, spacing) in found.items():
        roi = parse_roi(name.removesuffix(".nrrd"))
        assert roi.volume == "cell"
        np.testing.assert_array_equal(voxels, volume[roi.z0 : roi.z1, roi.y0 : roi.y1, roi.x0 : roi.x1])
        unit = 10 if suffix == ".mrc" else 1  # which is in angstrom
        assert spacing == pytest.approx((40 * unit, 4 * unit, 4 * unit))
    # Nothing beside the cubes is taken for a volume.
    assert len(list_volumes(tmp_path / "out").found) == 18


def test_cubes_of_a_pyramid(tmp_path, capsys):
    pytest.importorskip("tensorstore")
    import pyramids

    volume = pyramids.specimen((32, 48, 64))
    name = pyramids.write(tmp_path, "ome-zarr-0.4", volume)
    code, _, err = run(
        tmp_path / name, tmp_path / "out", "-cs", 16, "--level", 1, "--count", 3, capsys=capsys
    )
    assert code == 0, err
    for file, (voxels, spacing) in cubes(tmp_path / "out").items():
        roi = parse_roi(file.removesuffix(".nrrd"))
        half = volume[::2, ::2, ::2]
        np.testing.assert_array_equal(voxels, half[roi.z0 : roi.z1, roi.y0 : roi.y1, roi.x0 : roi.x1])
        assert spacing == pytest.approx((80, 8, 12))


def test_budget_seed_and_resume(tmp_path, capsys):
    write_volume(tmp_path / "cell.nrrd", specimen())
    arguments = (tmp_path / "cell.nrrd", tmp_path / "out", "-cs", 8, "-gb", 20 * 512 / 2**30)
    assert run(*arguments, capsys=capsys)[0] == 0
    first = cubes(tmp_path / "out")
    assert len(first) == 20
    assert run(*arguments, capsys=capsys)[0] == 0
    assert cubes(tmp_path / "out").keys() == first.keys()
    other = (tmp_path / "cell.nrrd", tmp_path / "other", *arguments[2:], "--seed", 1)
    assert run(*other, capsys=capsys)[0] == 0
    assert cubes(tmp_path / "other").keys() != first.keys()
    # A journal whose last line a kill cut short, and a plan that was lost.
    journal = tmp_path / "out" / "plans" / "cell.done.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])
    assert run(*arguments, capsys=capsys)[0] == 0
    (tmp_path / "out" / "plans" / "cell.json").unlink()
    assert run(*arguments, capsys=capsys)[0] == 0
    np.testing.assert_equal(cubes(tmp_path / "out"), first)


def test_a_damaged_plan(tmp_path, capsys):
    write_volume(tmp_path / "cell.nrrd", specimen())
    arguments = (tmp_path / "cell.nrrd", tmp_path / "out", "-cs", 8, "--count", 2)
    assert run(*arguments, capsys=capsys)[0] == 0
    (tmp_path / "out" / "plans" / "cell.json").write_text('{"cubes": [3')
    code, _, err = run(*arguments, capsys=capsys)
    assert code == 2
    assert "cell.json: expected a plan of cubes" in err


@pytest.mark.parametrize("dtype", ["int16", "uint16", "float32", "uint32"])
def test_types_and_signs(tmp_path, dtype, capsys):
    volume = specimen(dtype=dtype)
    if dtype != "uint16" and dtype != "uint32":
        volume[volume > 0] -= 100  # negative values are values
    write_volume(tmp_path / "cell.nrrd", volume)
    code, _, err = run(tmp_path / "cell.nrrd", tmp_path / "out", "-cs", 16, capsys=capsys)
    assert code == 0, err
    found = cubes(tmp_path / "out")
    assert all(voxels.dtype == np.uint8 for voxels, _ in found.values())
    plan = json.loads((tmp_path / "out" / "plans" / "cell.json").read_text())
    low, high = plan["scaling"]["low"], plan["scaling"]["high"]
    for name, (voxels, _) in found.items():
        roi = parse_roi(name.removesuffix(".nrrd"))
        part = volume[roi.z0 : roi.z1, roi.y0 : roi.y1, roi.x0 : roi.x1].astype(float)
        expected = np.floor(np.clip((part - low) * 255 / (high - low), 0, 255))
        assert np.abs(voxels - expected).max() <= (dtype == "float32")


def test_policies_that_refuse(tmp_path, capsys):
    write_volume(tmp_path / "cell.nrrd", specimen(dtype=np.int16) - 9)
    code, _, err = run(tmp_path / "cell.nrrd", tmp_path / "a", "-cs", 16, "--to-uint8", "cem", capsys=capsys)
    assert code == 3
    assert "negative voxels, which the policy cem refuses" in err
    assert not list((tmp_path / "a").glob("*.nrrd"))
    assert run(tmp_path / "cell.nrrd", tmp_path / "b", "-cs", 16, "--to-uint8", "keep", capsys=capsys)[0] == 0
    assert all(voxels.dtype == np.int16 for voxels, _ in cubes(tmp_path / "b").values())
    volume = specimen(dtype=np.float32)
    volume[20, 20, 40] = np.nan
    write_volume(tmp_path / "nan.nrrd", volume)
    code, _, err = run(
        tmp_path / "nan.nrrd", tmp_path / "c", "-cs", 16, "--to-uint8", "window", 0, 9, capsys=capsys
    )
    assert code == 3
    assert "1 voxels are NaN or infinite" in err
    assert len(cubes(tmp_path / "c")) == 17


def test_several_volumes(tmp_path, capsys):
    for name in ("a.nrrd", "a.tif", "b.nrrd"):
        write_volume(tmp_path / name, specimen())
    paths = [tmp_path / name for name in ("a.nrrd", "a.tif", "b.nrrd")]
    (tmp_path / "cut.nrrd").write_bytes(paths[0].read_bytes()[:-7])
    code, _, err = run(
        *paths, tmp_path / "cut.nrrd", tmp_path / "out", "-cs", 16, "--count", 1, capsys=capsys
    )
    assert code == 3
    assert "cut.nrrd" in err
    assert "1 of 4 volumes failed" in err
    assert {name.partition("-ROI-")[0] for name in cubes(tmp_path / "out")} == {"a_nrrd", "a_tif", "b"}
    (tmp_path / "sub").mkdir()
    write_volume(tmp_path / "sub" / "b.nrrd", specimen())
    code, _, err = run(tmp_path / "b.nrrd", tmp_path / "sub" / "b.nrrd", tmp_path / "out2", capsys=capsys)
    assert code == 2
    assert "would share the name" in err


def test_bad_inputs_and_outputs(tmp_path, capsys):
    code, _, err = run(tmp_path / "none.nrrd", tmp_path / "out", capsys=capsys)
    assert (code, err) == (2, f"maskmill em crop-rois: {tmp_path / 'none.nrrd'}: No such file or directory\n")
    write_volume(tmp_path / "cell.nrrd", specimen())
    content = (tmp_path / "cell.nrrd").read_bytes()
    (tmp_path / "cut.nrrd").write_bytes(content[: len(content) // 2])
    code, _, err = run(tmp_path / "cut.nrrd", tmp_path / "out", capsys=capsys)
    assert code == 2
    assert "cut.nrrd" in err
    (tmp_path / "text.nrrd").write_text("hello")
    code, _, err = run(tmp_path / "text.nrrd", tmp_path / "out", capsys=capsys)
    assert (code, "text.nrrd: expected" in err) == (2, True)
    (tmp_path / "odd.nrrd").write_bytes(content.replace(b"type: uint8", b"type: block"))
    code, _, err = run(tmp_path / "odd.nrrd", tmp_path / "out", capsys=capsys)
    assert (code, "odd.nrrd" in err) == (2, True)
    (tmp_path / "empty").mkdir()
    code, _, err = run(tmp_path / "empty", tmp_path / "out", capsys=capsys)
    assert (code, str(tmp_path / "empty") in err) == (2, True)
    code, _, err = run(tmp_path / "cell.nrrd", tmp_path / "cell.nrrd" / "out", capsys=capsys)
    assert (code, str(tmp_path / "cell.nrrd") in err) == (2, True)
    for arguments in (("-cs", -3), ("-gb", 0), ("--count", -1), ("--level", 4)):
        code, _, err = run(tmp_path / "cell.nrrd", tmp_path / "new", *arguments, capsys=capsys)
        assert code == 2
        assert err.count("\n") <= 2
        assert "Traceback" not in err


def test_a_disk_that_is_full(tmp_path, monkeypatch, capsys):
    write_volume(tmp_path / "cell.nrrd", specimen())

    def full(path, *_, **__):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("maskmill.studies.em.crop.write_volume", full)
    code, _, err = run(tmp_path / "cell.nrrd", tmp_path / "out", "-cs", 16, capsys=capsys)
    assert code == 2
    assert "No space left on device" in err


def test_dry_run(tmp_path, capsys):
    write_volume(tmp_path / "cell.nrrd", specimen())
    code, out, _ = run(tmp_path / "cell.nrrd", tmp_path / "out", "-cs", 16, "--dry-run", capsys=capsys)
    assert code == 0
    assert out.count(" padding\n") == 18
    assert not (tmp_path / "out").exists()


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["em", "crop-rois", "--help"])
    assert stop.value.code == 0
    assert "examples:" in capsys.readouterr().out


class Recorded:
    """An array as a volume that notes what is read."""

    def __init__(self, array, chunks):
        self.array, self.chunks, self.read_voxels = array, chunks, 0
        self.shape, self.dtype = array.shape, array.dtype

    def read(self, box):
        z0, z1, y0, y1, x0, x1 = box
        part = self.array[z0:z1, y0:y1, x0:x1]
        self.read_voxels += part.size
        return part


@pytest.mark.parametrize("chunks", [(1, 50, 70), (8, 8, 8), (30, 50, 70), (7, 3, 70)])
@pytest.mark.parametrize("size", [1, 16, 100])
def test_overview_is_every_so_many_th_voxel(chunks, size, monkeypatch):
    monkeypatch.setattr("maskmill.studies.em.origins.BLOCK", 5000)
    volume = Recorded(specimen((30, 50, 70)), chunks)
    step = max(1, size // 16)
    overview, factors = strided_overview(volume, size)
    np.testing.assert_array_equal(overview, volume.array[::step, ::step, ::step])
    assert factors == (step, step, step)
    assert volume.read_voxels <= volume.array.size
    if chunks[0] == 1 and step > 1:
        assert volume.read_voxels <= volume.array.size / step * 1.2


def test_memory_is_bounded(tmp_path, capsys):
    """Cubes are streamed: four at once cost a few blocks, not four cubes."""
    volume = np.lib.format.open_memmap(tmp_path / "v.npy", "w+", np.uint8, (400, 512, 512))
    volume[:] = 7
    write_volume(tmp_path / "cell.nrrd", np.asarray(volume))
    tracemalloc.start()
    code = run(
        tmp_path / "cell.nrrd", tmp_path / "out", "-cs", 400, "-p", 1, "--padding-value", 1, capsys=capsys
    )[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert code == 0
    assert peak < 60e6, "a cube has 64 MB, the volume 105"


def test_conversion_inverts_last():
    voxels = np.array([[[0, 5, 255]]], np.uint8)
    assert converted(voxels, None, invert=True).tolist() == [[[255, 250, 0]]]
    with pytest.raises(ValueError, match="floats cannot be inverted"):
        converted(voxels.astype(np.float32), None, invert=True)
