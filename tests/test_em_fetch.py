"""`em fetch` against a local web server: good ones, bad ones, ones that stop in the middle."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from http_store import HttpStore

pytest.importorskip("tensorstore")

import pyramids
from maskmill import FormatError
from maskmill.cli import main
from maskmill.io.volumes import open_volume
from maskmill.studies.em.fetch import address_row, check_names, read_table
from maskmill.studies.em.names import parse_roi

SHAPE = (32, 48, 64)
HEAD = (
    "url,source,api,download_url,volume_name,mip,voxel_x,voxel_y,voxel_z,crop,crop_size,invert,padding_value"
)
FAST = ("--retries", 1, "--timeout", 3, "--quiet")


def is_data(path: str) -> bool:
    return not path.endswith((".json", ".zarray", ".zattrs", ".zgroup", "info"))


def table(path: Path, *rows: str) -> Path:
    path.write_text("\ufeff" + "\n".join([HEAD, *rows]) + "\n", encoding="utf-8")
    return path


def row(address, name, mip=0, voxel="x,x,x", crop="TRUE", size=16, invert="FALSE", padding=0):
    return f"https://about,somewhere,xarray,{address},{name},{mip},{voxel},{crop},{size},{invert},{padding}"


def run(*arguments, capsys):
    code = main(["em", "fetch", *(str(a) for a in arguments)])
    return code, *capsys.readouterr()


def cubes(folder: Path) -> dict[str, np.ndarray]:
    found = {}
    for path in sorted(folder.glob("*.nrrd")):
        with open_volume(path) as volume:
            found[path.name] = volume.read()
    return found


@pytest.fixture
def stored(tmp_path):
    """A folder to serve, and the volume in it as N5."""
    volume = pyramids.specimen(SHAPE)
    pyramids.write(tmp_path / "www", "n5", volume)
    return tmp_path / "www", volume


@pytest.mark.parametrize("kind", pyramids.KINDS)
def test_cubes_are_where_their_names_say(tmp_path, kind, capsys):
    volume = pyramids.specimen(SHAPE)
    name = pyramids.write(tmp_path / "www", kind, volume)
    out = tmp_path / "out"
    with HttpStore(tmp_path / "www") as server:
        file = table(tmp_path / "t.csv", row(f"{server.url}/{name}", "cell"))
        code, printed, err = run(file, out, "--gb", 5, *FAST, capsys=capsys)
    assert code == 0, err
    # A quarter of x is padding: the first of four cubes.
    assert "cell_s0: x 64, y 48, z 32; 18 cubes of 18 fit ones of 24 boxes" in printed
    found = cubes(out)
    assert len(found) == 18
    for file_name, voxels in found.items():
        roi = parse_roi(file_name.removesuffix(".nrrd"))
        assert roi.volume == "cell_s0"
        assert roi.x0 >= 16
        np.testing.assert_array_equal(voxels, volume[roi.z0 : roi.z1, roi.y0 : roi.y1, roi.x0 : roi.x1])
    with open_volume(next(out.glob("*.nrrd"))) as one:
        known = kind not in ("zarr2", "zarr3")
        assert (one.spacing, one.unit) == ((pytest.approx(pyramids.VOXEL), "nm") if known else (None, None))
    assert not list(out.glob(".*.part"))
    assert not (out / "failed.jsonl").exists()


def test_voxel_size_of_a_table_is_of_mip_0(tmp_path, stored, capsys):
    folder, volume = stored
    with HttpStore(folder) as server:
        file = table(tmp_path / "t.csv", row(f"{server.url}/em.n5/raw", "a", mip=1, voxel="7,5,x"))
        code, _, err = run(file, tmp_path / "out", "--count", 1, *FAST, capsys=capsys)
    assert code == 0, err
    path = next((tmp_path / "out").glob("*.nrrd"))
    with open_volume(path) as one:
        assert one.spacing == (80.0, 10.0, 14.0), "z from the metadata of the level"
        roi = parse_roi(path.name.removesuffix(".nrrd"))
        half = volume[::2, ::2, ::2]
        np.testing.assert_array_equal(one.read(), half[roi.z0 : roi.z1, roi.y0 : roi.y1, roi.x0 : roi.x1])


def test_padding_is_told_before_inversion(tmp_path, stored, capsys):
    folder, volume = stored
    with HttpStore(folder) as server:
        file = table(tmp_path / "t.csv", row(f"{server.url}/em.n5/raw", "a", invert="TRUE"))
        code, _, err = run(file, tmp_path / "out", *FAST, capsys=capsys)
    assert code == 0, err
    found = cubes(tmp_path / "out")
    assert len(found) == 18
    for name, voxels in found.items():
        roi = parse_roi(name.removesuffix(".nrrd"))
        np.testing.assert_array_equal(voxels, 255 - volume[roi.z0 : roi.z1, roi.y0 : roi.y1, roi.x0 : roi.x1])


def test_one_contrast_for_all_cubes(tmp_path, capsys):
    volume = pyramids.specimen(SHAPE, "uint16") * 40
    volume[:16] //= 2
    name = pyramids.write(tmp_path / "www", "ome-zarr-0.5", volume)
    with HttpStore(tmp_path / "www") as server:
        code, _, err = run(
            f"{server.url}/{name}", tmp_path / "out", "--name", "a", "-cs", 16, "--to-uint8", "window", 0, 10200, *FAST,
            capsys=capsys,
        )  # fmt: skip
    assert code == 0, err
    for file_name, voxels in cubes(tmp_path / "out").items():
        roi = parse_roi(file_name.removesuffix(".nrrd"))
        expected = volume[roi.z0 : roi.z1, roi.y0 : roi.y1, roi.x0 : roi.x1].astype(int) * 255 // 10200
        np.testing.assert_array_equal(voxels, expected)
    plan = json.loads((tmp_path / "out" / "plans" / "a_s0.json").read_text())
    assert plan["scaling"]["high"] == 10200


def test_resume_asks_for_nothing_twice(tmp_path, stored, capsys):
    folder, _ = stored
    out = tmp_path / "out"
    with HttpStore(folder) as server:
        file = table(tmp_path / "t.csv", row(f"{server.url}/em.n5/raw", "a"))
        assert run(file, out, "--count", 5, *FAST, capsys=capsys)[0] == 0
        first = cubes(out)
        asked = dict(server.asked)
        assert run(file, out, "--count", 5, *FAST, capsys=capsys)[0] == 0
        again = [path for path in server.asked if is_data(path) and server.asked[path] > asked.get(path, 0)]
        assert again == []
        # More budget: the same cubes, and others.
        assert run(file, out, "--count", 9, *FAST, capsys=capsys)[0] == 0
        more = cubes(out)
        assert len(more) == 9
        assert set(first) < set(more)
        # What is gone is fetched again; what has changed, if one looks.
        gone, cut, changed = sorted(first)[:3]
        (out / gone).unlink()
        (out / cut).write_bytes((out / cut).read_bytes()[:-100])
        content = bytearray((out / changed).read_bytes())
        content[-1] ^= 1
        (out / changed).write_bytes(content)
        assert run(file, out, "--count", 9, *FAST, capsys=capsys)[0] == 0
        assert [name for name, voxels in cubes(out).items() if not np.array_equal(voxels, more[name])] == [
            changed
        ]
        assert run(file, out, "--count", 9, "--verify", *FAST, capsys=capsys)[0] == 0
        np.testing.assert_equal(cubes(out), more)
        # Another wish is not mixed in.
        code, _, err = run(file, out, "--count", 9, "--seed", 5, *FAST, capsys=capsys)
        assert code == 3
        assert "with seed = 0, not 5: choose another folder" in err


def test_order_does_not_depend_on_workers(tmp_path, stored, capsys):
    folder, _ = stored
    found = []
    with HttpStore(folder) as server:
        for workers in (1, 5):
            out = tmp_path / str(workers)
            arguments = (f"{server.url}/em.n5/raw", out, "-cs", 16, "--count", 7, "-p", workers, *FAST)
            assert run(*arguments, capsys=capsys)[0] == 0
            found.append((cubes(out), (out / "plans" / "em_raw_s0.json").read_bytes()))
    np.testing.assert_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("500", "HTTP code 500"),
        ("truncate", "em.n5/raw/s0/"),
        ("corrupt", "em.n5/raw/s0/"),
        ("cut", "partial file"),
        ("403", "Forbidden"),
        ("stall", "no whole answer within 1 s"),
    ],
)
def test_a_bad_chunk_costs_its_cube_alone(tmp_path, stored, fault, words, capsys):
    folder, _ = stored
    out = tmp_path / "out"
    bad = lambda path, before: fault if path.endswith("s0/2/1/1") else None  # noqa: E731
    arguments = ("-cs", 16, "--retries", 0, "--timeout", 1, "--name", "a", "--quiet")
    with HttpStore(folder, bad) as server:
        code, _, err = run(f"{server.url}/em.n5/raw", out, *arguments, capsys=capsys)
        assert code == 3
        assert words in err
        assert server.url in err
        assert "a_s0-ROI-x32-48_y16-32_z16-32.nrrd" in err
        assert len(cubes(out)) == 17
        assert not [p for p in out.iterdir() if p.name.endswith(".part")]
        failed = [json.loads(line) for line in (out / "failed.jsonl").read_text().splitlines()]
        assert [entry["cube"] for entry in failed] == ["a_s0-ROI-x32-48_y16-32_z16-32.nrrd"]
        server.fault = None
        code, _, err = run(f"{server.url}/em.n5/raw", out, *arguments, capsys=capsys)
    assert code == 0, err
    assert len(cubes(out)) == 18
    assert not (out / "failed.jsonl").exists()


def test_passing_faults_are_not_seen(tmp_path, stored, capsys):
    folder, _ = stored
    with HttpStore(folder, lambda path, before: "500" if before < 1 else None) as server:
        arguments = ("-cs", 16, "--count", 3, "--retries", 3, "--quiet")
        code, _, err = run(f"{server.url}/em.n5/raw", tmp_path / "out", *arguments, capsys=capsys)
    assert (code, err) == (0, "")
    assert len(cubes(tmp_path / "out")) == 3


def test_rows_that_fail_are_told_and_the_others_done(tmp_path, stored, capsys):
    folder, _ = stored
    (folder / "closed").mkdir()
    with HttpStore(folder, lambda path, _: "403" if path.startswith("closed") else None) as server:
        file = table(
            tmp_path / "t.csv",
            row(f"{server.url}/none.n5", "missing"),
            row(f"{server.url}/closed/em.n5", "closed"),
            row("http://127.0.0.1:9/em.n5", "refused"),
            row("http://no-such-host.invalid/em.n5", "unknown"),
            row("boss://somewhere/em", "strange"),
            row(f"{server.url}/em.n5/raw", "deep", mip=7),
            row(f"{server.url}/em.n5/raw", "good"),
        )
        code, out, err = run(file, tmp_path / "out", "--retries", 0, "--quiet", capsys=capsys)
    assert code == 3
    assert "good_s0: x 64" in out
    assert len(cubes(tmp_path / "out")) == 18
    lines = err.splitlines()
    for number, name, words in (
        (2, "missing", "none.n5: expected"),
        (3, "closed", "Forbidden"),
        (4, "refused", "127.0.0.1:9"),
        (5, "unknown", "no-such-host.invalid"),
        (6, "strange", "boss://somewhere/em: an address must begin with http"),
        (7, "deep", "the level must be 0 to 2, not 7"),
    ):
        assert any(f"row {number} ({name})" in line and words in line for line in lines), (name, err)
    assert "6 of 7 volumes failed" in err
    assert "Traceback" not in err


def test_a_server_that_dies_is_given_up(tmp_path, stored, capsys):
    folder, _ = stored
    dies = lambda path, _: "503" if "/s0/" in path and is_data(path) else None  # noqa: E731
    with HttpStore(folder, dies) as server:
        code, _, err = run(
            f"{server.url}/em.n5/raw", tmp_path / "out", "-cs", 8, "-p", 1, "--retries", 0, "--quiet", capsys=capsys
        )  # fmt: skip
        tried = sum(n for path, n in server.asked.items() if "/s0/" in path and is_data(path))
    assert code == 3
    assert tried == 8
    assert "not tried, after 8 failures in a row, the last: " in err
    failed = (tmp_path / "out" / "failed.jsonl").read_text().splitlines()
    assert len(failed) == 144


def test_specimen_that_is_missing_on_the_server(tmp_path, stored, capsys):
    folder, _ = stored
    with HttpStore(folder, lambda path, _: "404" if path.endswith("s0/2/1/1") else None) as server:
        code, _, err = run(f"{server.url}/em.n5/raw", tmp_path / "out", "-cs", 16, *FAST, capsys=capsys)
    assert code == 3
    assert "found padding alone: chunks are missing there" in err
    assert len(cubes(tmp_path / "out")) == 17


def test_few_connections(tmp_path, stored, capsys):
    folder, _ = stored
    with HttpStore(folder) as server:
        server.delay = 0.01
        code, _, _ = run(
            f"{server.url}/em.n5/raw", tmp_path / "out", "-cs", 32, "--connections", 2, "-p", 1, *FAST, capsys=capsys
        )  # fmt: skip
        assert code == 0
        assert server.busiest <= 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_and_resumed(tmp_path, stored, how, capsys):
    folder, _ = stored
    out, whole = tmp_path / "out", tmp_path / "whole"
    with HttpStore(folder) as server:
        arguments = [
            f"{server.url}/em.n5/raw",
            "{}",
            "-cs",
            "8",
            "--gb",
            "1",
            "-p",
            "2",
            "--quiet",
            "--name",
            "a",
        ]
        command = [sys.executable, "-m", "maskmill", "em", "fetch", *arguments]
        server.delay = 0.02
        process = subprocess.Popen(
            [part.format(out) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ,
        )
        end = time.monotonic() + 60
        while len(list(out.glob("*.nrrd"))) < 4 and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(how)
        _, err = process.communicate(timeout=30)
        assert process.returncode == (1 if how == signal.SIGINT else -9)
        assert b"Traceback" not in err
        if how == signal.SIGINT:
            assert b"interrupted" in err
            assert not [p for p in out.iterdir() if p.name.endswith(".part")]
        there = cubes(out)
        assert 4 <= len(there) < 144
        server.delay = 0.0
        server.asked.clear()
        assert run(*(part.format(out) for part in arguments), capsys=capsys)[0] == 0
        assert run(*(part.format(whole) for part in arguments), capsys=capsys)[0] == 0
    np.testing.assert_equal(cubes(out), cubes(whole))
    assert len(cubes(out)) == 144


def test_dry_run_and_list_write_nothing(tmp_path, stored, capsys):
    folder, _ = stored
    with HttpStore(folder) as server:
        file = table(tmp_path / "t.csv", row(f"{server.url}/em.n5/raw", "a", voxel="4,4,x"))
        code, out, _ = run(file, tmp_path / "out", "--list", capsys=capsys)
        assert code == 0
        assert "4 4 ?" in out
        assert not server.asked
        code, out, _ = run(file, tmp_path / "out", "--dry-run", "--count", 2, *FAST, capsys=capsys)
        assert code == 0
        assert "2 cubes of 18 fit ones of 24 boxes, 8.0 k voxels" in out
        assert out.count(" padding\n") == 2
        assert not any("/s0/" in path and is_data(path) for path in server.asked)
    assert not (tmp_path / "out").exists()


def test_whole_volumes(tmp_path, stored, capsys):
    folder, volume = stored
    out = tmp_path / "out"
    with HttpStore(folder) as server:
        file = table(
            tmp_path / "t.csv", row(f"{server.url}/em.n5/raw", "a", mip=1, crop="FALSE", invert="TRUE")
        )
        code, _, err = run(file, out, "--max-gb", 1e-6, *FAST, capsys=capsys)
        assert code == 3
        assert "more than 1e-06: crop it, or allow more with --max-gb" in err
        assert not list(out.glob("*.nrrd"))
        code, _, err = run(file, out, *FAST, capsys=capsys)
        assert code == 0, err
        np.testing.assert_array_equal(cubes(out)["a_s1.nrrd"], 255 - volume[::2, ::2, ::2])
        server.asked.clear()
        assert run(file, out, *FAST, capsys=capsys)[0] == 0
        assert not any(is_data(path) for path in server.asked)


def test_a_region_by_the_first_voxel(tmp_path, stored, capsys):
    """cem-dataset's h01_download."""
    folder, volume = stored
    with HttpStore(folder) as server:
        code, _, err = run(
            f"{server.url}/em.n5/raw", tmp_path / "out", "--name", "h01", "--region", 5, 61, 8, 40, 0, 32,
            "-cs", 8, "--count", 6, "--probe", "first", *FAST, capsys=capsys,
        )  # fmt: skip
        assert not any("/s1/" in path and is_data(path) for path in server.asked), "no overview"
    assert code == 0, err
    found = cubes(tmp_path / "out")
    assert len(found) == 6
    for name, voxels in found.items():
        roi = parse_roi(name.removesuffix(".nrrd"))
        assert (roi.x0 - 5) % 8 == 0
        assert 5 <= roi.x0 < roi.x1 <= 61
        assert 8 <= roi.y0 < roi.y1 <= 40
        assert volume[roi.z0, roi.y0, roi.x0] != 0
        assert voxels[0, 0, 0] != 0


def test_nothing_but_padding(tmp_path, capsys):
    name = pyramids.write(tmp_path / "www", "n5", np.zeros(SHAPE, np.uint8))
    with HttpStore(tmp_path / "www") as server:
        code, _, err = run(f"{server.url}/{name}", tmp_path / "out", "-cs", 16, *FAST, capsys=capsys)
    assert code == 3
    assert "none of 24 boxes of 16 voxels has less than 30% of padding (voxels of 0)" in err


def test_a_large_volume_without_levels(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("maskmill.studies.em.origins._STREAMED_OVERVIEW", 1000)
    name = pyramids.write(tmp_path, "zarr2", pyramids.specimen(SHAPE))
    code, _, err = run(str(tmp_path / name), tmp_path / "out", "-cs", 16, *FAST, capsys=capsys)
    assert code == 3
    assert '"--probe first" or "--probe none"' in err


# Tables and arguments


def test_the_table_of_cem_dataset(data):
    rows = read_table(data / "em" / "cem_example" / "ngff_datasets.csv")
    assert len(rows) == 45
    assert [sum(r.mip == mip for r in rows) for mip in range(3)] == [14, 19, 12]
    assert sum(not r.crop for r in rows) == 4
    assert sum(bool(r.invert) for r in rows) == 7
    assert {r.crop_size for r in rows} == {256}
    assert sorted({r.padding_value for r in rows}) == [0, 250]
    assert sum(None in r.voxel for r in rows) == 16
    assert rows[0].voxel == (8, 8, 8)
    assert rows[5].voxel == (5.24, 4, 4), "z, y, x"
    check_names(rows)


def test_lists_the_table_of_cem_dataset(data, tmp_path, capsys):
    file = data / "em" / "cem_example" / "ngff_datasets.csv"
    code, out, _ = run(file, tmp_path / "out", "--list", capsys=capsys)
    assert code == 0
    assert out.count("\n") >= 46
    code, out, _ = run(file, tmp_path / "out", "--list", "--only", "lee2016", capsys=capsys)
    assert out.count("\n") == 2
    code, _, err = run(file, tmp_path / "out", "--only", "lee2017", capsys=capsys)
    assert (code, "there is no volume 'lee2017': see --list" in err) == (2, True)


def line(**fields):
    values = dict(zip(HEAD.split(","), row("http://h/a", "a").split(","), strict=True)) | fields
    return ",".join(values.values())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "expected the column download_url, found nothing"),
        ("a,b\n1,2\n", "expected the column download_url, found a, b"),
        (HEAD + "\n", "expected rows below the head"),
        (f"{HEAD}\n{line(mip='-1')}\n", "row 2: mip must be a whole number of 0 or more, not '-1'"),
        (f"{HEAD}\n{line()}\n{line(mip='1.5')}\n", "row 3: mip must be"),
        (f"{HEAD}\n{line(crop='maybe')}\n", "row 2: crop must be TRUE or FALSE, not 'maybe'"),
        (f"{HEAD}\n{line(crop_size='0')}\n", "row 2: crop_size must be a whole number of 1 or more"),
        (f"{HEAD}\n{line(voxel_x='-4')}\n", "row 2: voxel_x must be a size in nanometers"),
        (f"{HEAD}\n{line(voxel_y='nan')}\n", "row 2: voxel_y must be"),
        (f"{HEAD}\n{line(padding_value='dark')}\n", "row 2: padding_value must be a number, not 'dark'"),
        (f"{HEAD}\n{line(download_url='')}\n", "row 2: download_url must be an address"),
        (f"{HEAD}\n{line(volume_name='../../a')}\n", "row 2: volume_name must be a name that files can have"),
        (f"{HEAD}\n{line()[:30]}\n", "row 2: download_url must be"),
    ],
)
def test_bad_tables(tmp_path, content, words, capsys):
    (tmp_path / "t.csv").write_text(content)
    code, _, err = run(tmp_path / "t.csv", tmp_path / "out", capsys=capsys)
    assert code == 2
    assert words in err
    assert "t.csv" in err
    assert not (tmp_path / "out").exists()


def test_a_table_of_other_bytes(tmp_path, capsys):
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00\x01" * 50)
    with pytest.raises(FormatError, match="expected a table as CSV in UTF-8"):
        read_table(tmp_path / "t.csv")


def test_same_names(tmp_path, capsys):
    file = table(
        tmp_path / "t.csv",
        row("http://h/a", "Cell"),
        row("http://h/b", "cell"),
        row("http://h/b", "cell", mip=1),
    )
    code, _, err = run(file, tmp_path / "out", capsys=capsys)
    assert code == 2
    assert "row 2 (Cell) and row 3 (cell) would both be called cell_s0: rename one of them" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-cs", 0), "--crop-size must be 1 or more, not 0"),
        (("-gb", -1), "--gb must be more than 0, not -1"),
        (("--gb", "nan"), "--gb must be more than 0, not nan"),
        (("--count", 0), "--count must be 1 or more, not 0"),
        (("--max-padding", 2), "--max-padding must be within 0 and 1, not 2"),
        (("-p", 0), "--processes must be 1 or more, not 0"),
        (("--timeout", 0), "--timeout must be more than 0"),
        (("--retries", -1), "--retries must be 0 or more"),
        (("--connections", 0), "--connections must be 1 or more"),
        (("--to-uint8", "best"), "policy must be one of"),
        (("--to-uint8", "window", 1), "must be followed by 2 numbers"),
        (("--voxel", 1, 2, 0), "--voxel must be three positive sizes"),
        (("--name", "a/b"), "the name of a volume must be one that files can have"),
    ],
)
def test_bad_arguments(tmp_path, arguments, words, capsys):
    code, _, err = run("http://127.0.0.1:9/a", tmp_path / "out", *arguments, capsys=capsys)
    assert code == 2
    assert words in err
    assert not (tmp_path / "out").exists()


def test_bad_regions(tmp_path, stored, capsys):
    code, _, err = run(
        stored[0] / "em.n5" / "raw", tmp_path / "out", "--region", 0, 65, 0, 5, 0, 5, *FAST, capsys=capsys
    )
    assert code == 3
    assert "the region must lie within x 0-64, y 0-48, z 0-32, not x 0-65, y 0-5, z 0-5" in err


def test_missing_inputs_and_outputs_that_cannot_be_written(tmp_path, stored, capsys):
    code, _, err = run(tmp_path / "none.csv", tmp_path / "out", capsys=capsys)
    assert (code, "none.csv: No such file or directory" in err) == (2, True)
    (tmp_path / "file").write_text("")
    code, _, err = run(stored[0] / "em.n5" / "raw", tmp_path / "file" / "out", *FAST, capsys=capsys)
    assert (code, str(tmp_path / "file") in err) == (2, True)
    code, _, err = run(stored[0] / "none.n5", tmp_path / "out", *FAST, capsys=capsys)
    assert (code, "No such file" in err) == (3, True)
    (tmp_path / "empty").mkdir()
    code, _, err = run(tmp_path / "empty", tmp_path / "out", *FAST, capsys=capsys)
    assert (code, "found none of them" in err) == (3, True)


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["em", "fetch", "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    assert "exit codes:" in out


def test_names_of_addresses():
    for address, name in (
        ("https://host/x/em.ome.zarr/", "em"),
        ("s3://b/jrc_hela-2/jrc_hela-2.n5/em/fibsem-uint16", "jrc_hela-2_em_fibsem-uint16"),
        ("https://host/a/b/c?key=secret", "b_c"),
        ("precomputed://gs://bucket/data/4nm_raw", "data_4nm_raw"),
    ):
        assert address_row(address).name == name
    with pytest.raises(ValueError, match="use --name"):
        address_row("/")


FIELD = st.text(st.sampled_from('axTRUE01.-"\n,;/\0\ufeff '), max_size=6)


@given(st.lists(st.lists(FIELD, max_size=6), max_size=4), st.binary(max_size=20))
@settings(max_examples=300, deadline=None)
def test_tables_of_any_kind(lines, tail):
    """They are read or refused."""
    text = "\n".join(["download_url,volume_name,mip,crop,voxel_x", *(",".join(line) for line in lines)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(text.encode() + tail)
        try:
            rows = read_table(path)
        except FormatError:
            return
        assert all(row.address and row.name and row.mip >= 0 for row in rows)


def test_tables_are_read_as_spreadsheets_write_them(tmp_path):
    path = tmp_path / "t.csv"
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["volume_name", " download_url", "invert", "notes"])
        writer.writerow(["a", "http://h/a", "true", 'says "hello", twice'])
        writer.writerow(["", "", "", ""])
        writer.writerow(["b", " http://h/b ", "", ""])
    a, b = read_table(path)
    assert (a.invert, a.crop, a.mip, a.crop_size) == (True, True, 0, None)
    assert (b.address, b.where, b.invert) == ("http://h/b", "row 4 (b)", None)
