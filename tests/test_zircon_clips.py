"""Clips of mosaics and their sidecars."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmill import FormatError
from maskmill.cli import main
from maskmill.io.images import read_image
from maskmill.io.windows import open_picture
from maskmill.studies.zircon import clip, read_clip
from maskmill.studies.zircon.clips import file_names, padded
from maskmill.studies.zircon.contrast import equalize, equalizer, is_low_contrast
from maskmill.studies.zircon.sidecars import read_sidecar
from zircon_projects import align, picture, project

SHOTS = [
    ("FC", 1100, 2100),
    ("Spot 1", 1030, 2050),
    ("FC", 1005, 2003),
    ("Spot 2", 1199, 2149),
    ("SL", 900, 2000),
]


@pytest.fixture
def image():
    return picture(200, 150)


@pytest.fixture
def made(tmp_path, image):
    """One pixel is a micrometre; windows of 40."""
    return project(tmp_path / "p", image, SHOTS)


def pixels(path):
    found = read_image(path)
    return found[..., None] if found.ndim == 2 else found


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(folder):
    with open(folder / "clips.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_clips(made, image, tmp_path):
    done = clip(made, tmp_path / "c")
    assert (done.written, done.kept, done.failed) == (4, 0, [])
    assert done.counts == {"clipped": 4, "outside": 1}
    assert np.array_equal(pixels(tmp_path / "c/A/A_FC.png"), image[80:120, 80:120])
    assert np.array_equal(pixels(tmp_path / "c/A/A_Spot 1.png"), image[30:70, 10:50])
    corner = pixels(tmp_path / "c/A/A_FC-2.png")
    assert np.array_equal(corner[17:, 15:], image[:23, :25])
    assert not corner[:17].any()
    assert not corner[:, :15].any()
    table = rows(tmp_path / "c")
    assert [row["status"] for row in table] == ["clipped"] * 4 + ["outside"]
    assert [row["padded"] for row in table] == ["0", "0", "1", "1", ""]
    assert table[2]["image"] == "A/A_FC-2.png"


def test_sidecar(made, tmp_path):
    clip(made, tmp_path / "c")
    found = read_clip(tmp_path / "c/A/A_FC-2.png")
    assert (found.sample, found.shot, found.description, found.standard) == ("A", "FC-2", "FC", True)
    assert (found.x, found.y, found.unit, found.sx, found.sy) == (1005, 2003, "µm", 1, 1)
    assert (found.left, found.top, found.columns, found.rows) == (-15, -17, 40, 40)
    assert (found.padding, found.edges, found.mosaic, found.equalized) == (
        (15, 17, 0, 0),
        "zero",
        "A.bmp",
        False,
    )
    assert found.to_stage([[20, 20]]).tolist() == [[1005, 2003]]
    assert found.to_mosaic([[20, 20]]).tolist() == [[5, 3]]
    assert found.from_mosaic([[5, 3]]).tolist() == found.from_stage([[1005, 2003]]).tolist() == [[20, 20]]
    world = [float(line) for line in (tmp_path / "c/A/A_FC-2.pgw").read_text().split()]
    assert world == [1, 0, 0, 1, 985.5, 1983.5]


def test_polygons_come_back_to_the_stage(tmp_path, image):
    """Turned mosaics of oblong pixels: places on a clip, on the mosaic and on the stage agree."""
    shots = [("FC", 1200, 2150), ("Spot 1", 1150, 2100)]
    made = project(tmp_path / "p", image, shots, size=(400, 270), rotation=7, field=80)
    clip(made, tmp_path / "c")
    found = read_clip(tmp_path / "c/A/A_Spot 1.json")
    assert (found.columns, found.rows, found.sx, found.sy) == (40, 44, 2.0, 1.8)
    at = found.from_stage([[1150, 2100]])[0]
    assert abs(at - [20, 22]).max() <= 0.5
    (other,) = [read_clip(tmp_path / "c/A/A_FC.json")]
    ring = np.array([[3, 4], [17.5, 4], [17.5, 22.25]])
    moved = other.from_stage(found.to_stage(ring))
    assert moved == pytest.approx(other.from_mosaic(found.to_mosaic(ring)), abs=1e-9)
    inside = pixels(tmp_path / "c/A/A_Spot 1.png")
    left, top = found.to_mosaic([[0, 0]])[0].astype(int)
    assert np.array_equal(inside, image[top : top + 44, left : left + 40])


def test_compat_is_square(tmp_path, image):
    made = project(tmp_path / "p", image, [("FC", 1200, 2150)], size=(400, 270), field=80)
    clip(made, tmp_path / "c", compat=True)
    found = read_clip(tmp_path / "c/A/A_FC.json")
    assert (found.columns, found.rows, found.sx, found.sy, found.compat) == (42, 42, 1.9, 1.9, True)


def test_edges(made, image, tmp_path):
    clip(made, tmp_path / "r", edges="reflect")
    mirror = np.pad(image, ((40, 40), (40, 40), (0, 0)), mode="reflect")
    assert np.array_equal(pixels(tmp_path / "r/A/A_FC-2.png"), mirror[23:63, 25:65])
    assert np.array_equal(pixels(tmp_path / "r/A/A_Spot 2.png"), mirror[169:209, 219:259])
    clip(made, tmp_path / "v", edges="constant", value=77)
    assert (pixels(tmp_path / "v/A/A_FC-2.png")[:17] == 77).all()
    done = clip(made, tmp_path / "x", edges="reject")
    assert done.counts == {"clipped": 2, "edge": 2, "outside": 1}
    assert not (tmp_path / "x/A/A_FC-2.png").exists()


@given(st.integers(-30, 20), st.integers(1, 30), st.integers(1, 9))
def test_reflection_is_numpys(tmp_path_factory, start, size, most):
    """However far a window reaches beyond a small mosaic."""
    path = tmp_path_factory.getbasetemp() / "small.bmp"
    line = np.arange(most, dtype=np.uint8)
    cv2.imwrite(str(path), np.repeat(line[None], 2, 0))
    with open_picture(path) as small:
        window = {"top": 0, "rows": 1, "left": start, "columns": size}
        found = padded(small, window, "reflect")[0, :, 0]
    mirror = np.pad(line, 60, mode="reflect") if most > 1 else np.zeros(120, np.uint8)
    assert np.array_equal(found, mirror[60 + start : 60 + start + size])


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_channels(tmp_path, channels, dtype):
    """A grey mosaic is an IndexError in the original."""
    tifffile = pytest.importorskip("tifffile")
    made = project(tmp_path / "p", picture(60, 50), [("FC", 1005, 2025)], suffix=".tif", field=20)
    image = (np.random.default_rng(0).random((50, 60, channels)) * 200).astype(dtype)
    colours = "rgb" if channels in (3, 4) and dtype != np.float32 else "minisblack"
    flat, more = (image[..., 0], {}) if channels == 1 else (image, {"planarconfig": "contig"})
    tifffile.imwrite(made / "mosaics/A.tif", flat, photometric=colours, metadata=None, **more)
    done = clip(made, tmp_path / "t", format="tif")
    assert done.failed == []
    with open_picture(tmp_path / "t/A/A_FC.tif") as found:
        assert found.dtype == dtype
        assert np.array_equal(found.read(0, 20, 5, 20), image[15:35, :15])
    assert (tmp_path / "t/A/A_FC.tfw").exists()
    done = clip(made, tmp_path / "c")
    if channels in (1, 3, 4) and dtype != np.float32:
        assert np.array_equal(pixels(tmp_path / "c/A/A_FC.png")[:, 5:], image[15:35, :15])
    else:
        assert "do not fit into PNG: choose the format tif" in done.failed[0][1]


def test_only_some(made, tmp_path):
    (tmp_path / "only.csv").write_text(
        "sample,shot,status\nA,FC,selected\nA,Spot 1,conflict\nA,Spot 2,selected\n"
    )
    done = clip(made, tmp_path / "c", only=tmp_path / "only.csv")
    assert done.counts == {"clipped": 2, "not asked for": 2, "outside": 1}
    path = made / "scanlists/A.scancsv"
    text = path.read_text().replace("Scan Type,", "Selected,Scan Type,").replace("\nSpot,", "\n0,Spot,", 1)
    path.write_text(text.replace("\nSpot,", "\n1,Spot,"))
    done = clip(made, tmp_path / "d", selected_only=True)
    assert done.counts == {"clipped": 3, "not selected": 1, "outside": 1}


def test_lines_are_no_spots(made, tmp_path):
    path = made / "scanlists/A.scancsv"
    path.write_text(path.read_text() + 'Line,"FC",2,"1,2,3,4,5,6"\n')
    assert len(clip(made, tmp_path / "c").rows) == 5


def test_pixel_mode(made, image, tmp_path):
    (made / "mosaics/A.Align").unlink()
    (made / "scanlists/A.scancsv").write_text('Scan Type,Description,Vertex List\nSpot,FC,"50,60,0"\n')
    assert "A.Align: expected where the mosaic" in clip(made, tmp_path / "c").failed[0][1]
    assert clip(made, tmp_path / "d", pixels=True).failed == []
    assert np.array_equal(pixels(tmp_path / "d/A/A_FC.png"), image[40:80, 30:70])
    assert read_clip(tmp_path / "d/A/A_FC.json").unit == "pixel"


def test_a_list_of_another_mosaic(made, tmp_path):
    (made / "mosaics/A.Align").write_text(align((5000, 5000), (200, 150)))
    done = clip(made, tmp_path / "c")
    assert "expected the shots of A.bmp, found 5 of 5 off it" in done.failed[0][1]
    (made / "mosaics/A.Align").write_text(align((1000, 2000), (200, 150)))
    done = clip(made, tmp_path / "c", max_outside=1, overwrite=True)
    assert done.failed[0][1].endswith("found 2 of 5 off it")


def test_one_sample_fails_and_the_others_do_not(made, image, tmp_path, capsys):
    project(made, image, [("FC", 1100, 2100)], name="B")
    (made / "mosaics/A.bmp").unlink()
    assert main(["zircon", "clip", str(made), str(tmp_path / "c"), "--quiet"]) == 3
    told = capsys.readouterr()
    assert told.err.startswith("maskmill zircon clip: sample A: ")
    assert told.out == "wrote 1 clips, kept 0 that were there; 1 samples failed\n"
    done = clip(made, tmp_path / "b", samples=["B"])
    assert (done.written, done.failed) == (1, [])
    with pytest.raises(ValueError, match="'C' is none of 2"):
        clip(made, tmp_path / "b", samples=["C"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"edges": "cut"}, "edges must be zero, reflect, constant or reject"),
        ({"format": "bmp"}, "format must be png or tif"),
        ({"equalize": "yes"}, "equalize must be never, low or always"),
        ({"max_outside": -1}, "max_outside must be 0 or more"),
        ({"pattern": "("}, "regular expression"),
    ],
)
def test_bad_arguments(made, tmp_path, more, message):
    with pytest.raises(ValueError, match=message):
        clip(made, tmp_path / "c", **more)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"edges": "constant", "value": 256}, "value must be 0 to 255, not 256"),
        ({"field": 1e9}, "field must be at most 8192 pixels"),
        ({"field": 1}, "field must be two pixels or more"),
    ],
)
def test_what_does_not_fit_the_mosaic(made, tmp_path, more, message):
    assert message in clip(made, tmp_path / "c", **more).failed[0][1]


# Resume


def test_given_again(made, tmp_path):
    clip(made, tmp_path / "c")
    first = files(tmp_path / "c")
    done = clip(made, tmp_path / "c")
    assert (done.written, done.kept) == (0, 4)
    assert files(tmp_path / "c") == first
    folder = tmp_path / "c/A"
    (folder / "A_FC.png").write_bytes(b"")
    (folder / "A_Spot 1.json").write_text("{")
    (folder / "A_FC-2.pgw").unlink()
    done = clip(made, tmp_path / "c")
    assert (done.written, done.kept) == (3, 1)
    assert files(tmp_path / "c") == first
    with pytest.raises(ValueError, match=r"clips of other settings \(edges 'zero', not 'reject'\)"):
        clip(made, tmp_path / "c", edges="reject")
    assert clip(made, tmp_path / "c", edges="reflect", overwrite=True).written == 4


def test_changed_mosaic(made, image, tmp_path):
    clip(made, tmp_path / "c")
    image[30:32, 30:32] = 255
    cv2.imwrite(str(made / "mosaics/A.bmp"), image[..., ::-1])
    done = clip(made, tmp_path / "c")
    assert (done.written, done.kept) == (1, 3)


def test_killed(tmp_path):
    """kill -9 at any moment; the same bytes as of a run in one go."""
    rng = np.random.default_rng(0)
    shots = [
        (f"Spot {i}", 1000 + float(rng.integers(800)), 2000 + float(rng.integers(600))) for i in range(400)
    ]
    made = project(tmp_path / "p", picture(800, 600), shots, field=200)
    clip(made, tmp_path / "whole")
    command = [sys.executable, "-m", "maskmill", "zircon", "clip", str(made), str(tmp_path / "c"), "--quiet"]
    for enough in (1, 30):
        run = subprocess.Popen(command)
        until = time.monotonic() + 60
        while (
            len(list(tmp_path.glob("c/A/*.json"))) < enough
            and run.poll() is None
            and time.monotonic() < until
        ):
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert len(list(tmp_path.glob("c/A/*.json"))) > 0
    assert subprocess.run(command, check=False).returncode == 0
    for part in tmp_path.glob("c/A/.*.part"):
        part.unlink()
    assert files(tmp_path / "c") == files(tmp_path / "whole")


# Larger than memory

LIMITED = """
import resource, sys
from pathlib import Path
from maskmill.cli import main
import os

project, small, out = sys.argv[1:]
assert main(["zircon", "clip", small, out + "-warm", "--quiet", "--format", "tif"]) == 0
taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (taken + (100 << 20),) * 2)
sys.exit(main(["zircon", "clip", project, out, "--quiet", "--format", "tif"]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize("suffix", [".bmp", ".tif"])
def test_mosaic_larger_than_memory(tmp_path, suffix):
    """A mosaic of 2.7 GB with 100 MB of memory. It is a file with holes, but for the last shot."""
    tifffile = pytest.importorskip("tifffile")
    side = 30_000
    shots = [("FC", 1050, 2050), ("Spot 1", 15_000, 15_000), ("Spot 2", 30_000, 31_000)]
    small = project(tmp_path / "small", picture(100, 100), [("FC", 1050, 2050)], suffix=suffix)
    large = project(tmp_path / "large", picture(100, 100), shots, suffix=suffix, size=(side, side))
    mosaic, bright = large / "mosaics" / f"A{suffix}", picture(40, 40)
    if suffix == ".tif":
        (small / "mosaics/A.tif").unlink()
        tifffile.imwrite(small / "mosaics/A.tif", picture(100, 100), photometric="rgb")
        mosaic.unlink()
        there = tifffile.memmap(
            mosaic, shape=(side, side, 3), dtype=np.uint8, photometric="rgb", bigtiff=True
        )
        there[28_980:29_020, 28_980:29_020] = bright
        there.flush()
        del there
    else:
        head = bytearray(mosaic.read_bytes()[:54])
        head[18:26] = np.array([side, side], "<i4").tobytes()
        with open(mosaic, "wb") as file:
            file.write(head)
            file.truncate(54 + side * side * 3)
            for row in range(40):  # from the bottom up, blue first
                file.seek(54 + ((side - 1 - 28_980 - row) * side + 28_980) * 3)
                file.write(bright[row, :, ::-1].tobytes())
    assert mosaic.stat().st_size > 2.6e9
    command = [sys.executable, "-c", LIMITED, str(large), str(small), str(tmp_path / "c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with open_picture(tmp_path / "c/A/A_Spot 2.tif") as found:
        assert np.array_equal(found.read(0, 40, 0, 40), bright)
    with open_picture(tmp_path / "c/A/A_FC.tif") as found:
        assert not found.read(0, 40, 0, 40).any()
    os.remove(mosaic)


# Contrast


@pytest.mark.parametrize("spread", [4, 18, 24, 26, 30, 48, 50, 52, 54, 60, 200])
@pytest.mark.parametrize("channels", [1, 3])
def test_low_contrast_is_scikit_images(tmp_path, spread, channels):
    exposure = pytest.importorskip("skimage.exposure")
    image = np.random.default_rng(spread).integers(40, 41 + spread, (90, 80, channels)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.bmp"), image.squeeze()[..., ::-1] if channels == 3 else image.squeeze())
    with open_picture(tmp_path / "a.bmp") as whole:
        assert is_low_contrast(whole) == exposure.is_low_contrast(image.squeeze(), 0.10)
        table = equalizer(whole)
        found = equalize(whole.read(0, 90, 0, 80), table)
    for channel in range(channels):
        expected = exposure.equalize_hist(image[..., channel], nbins=256) * 255
        assert np.abs(found[..., channel] - expected).max() <= 0.5 + 1e-6


def test_equalize_low(tmp_path):
    dull = (picture(200, 150) // 10 + 60).astype(np.uint8)
    made = project(tmp_path / "p", dull, SHOTS)
    project(made, picture(200, 150), SHOTS, name="B")
    assert clip(made, tmp_path / "c", equalize="low").failed == []
    assert read_clip(tmp_path / "c/A/A_FC.json").equalized is True
    assert read_clip(tmp_path / "c/B/B_FC.json").equalized is False
    assert pixels(tmp_path / "c/A/A_FC.png").max() > 200 > 100 > dull.max()


def test_alpha_stays(tmp_path):
    image = np.dstack([picture(60, 50), np.full((50, 60), 9, np.uint8)])
    cv2.imwrite(str(tmp_path / "a.bmp"), image)
    with open_picture(tmp_path / "a.bmp") as whole:
        assert (equalize(whole.read(0, 9, 0, 9), equalizer(whole))[..., 3] == 9).all()


def test_contrast_of_floats(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 5), np.float32))
    with (
        open_picture(tmp_path / "a.tif") as whole,
        pytest.raises(ValueError, match="8 or 16 bits, not of float32"),
    ):
        is_low_contrast(whole)


# Names and sidecars


def test_file_names():
    wanted = ["A_FC", "A_fc", "A_../x", "A_a/b", "A_µ 1", "x" * 500, "A_end.", "A_con:1"]
    found = list(file_names(wanted))
    assert found[:1] + found[2:5] + found[7:] == ["A_FC", "A_..%2Fx", "A_a%2Fb", "A_µ 1", "A_con%3A1"]
    assert found[1].startswith("A_fc~")
    assert len(found[5].encode()) < 130
    assert not found[6].endswith(".")
    assert len({name.casefold() for name in found}) == len(wanted)
    assert list(file_names(wanted)) == found


def test_hostile_shot_names(made, tmp_path):
    (made / "scanlists/A.scancsv").write_text(
        'Scan Type,Description,Vertex List\nSpot,../../evil,"1100,2100,0"\nSpot,a\\b,"1100,2100,0"\n'
    )
    assert clip(made, tmp_path / "c").failed == []
    there = sorted(path.name for path in (tmp_path / "c/A").glob("*.png"))
    assert there == ["A_..%2F..%2Fevil.png", "A_a%5Cb.png"]
    assert read_clip(tmp_path / "c/A" / there[0]).shot == "../../evil"


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sidecar")
    clip(project(folder / "p", picture(60, 50), [("FC", 1030, 2025)]), folder / "c")
    return folder / "c/A/A_FC.json"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": None}, "x: expected a number"),
        ({"sx": 1e300}, "sx: expected a number"),
        ({"left": 1.5}, "left: expected a whole number"),
        ({"world": [[1, 0, 0]]}, "world: expected two lines"),
        ({"world": [[1, 0], [0, 1]]}, "world: expected 3 numbers"),
        ({"world": [[1, 0, 0], [2, 0, 0]]}, "world: expected a transform that can be turned back"),
        ({"padding": {}}, "padding: expected an array"),
        ({"standard": 1}, "standard: expected true or false"),
        ({"shot": 7}, "shot: expected text"),
        ({"digest": []}, "digest: expected an object"),
    ],
)
def test_bad_sidecars(sidecar, tmp_path, change, message):
    content = json.loads(sidecar.read_text()) | change
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(FormatError, match=f"a.json: {message}"):
        read_sidecar(tmp_path / "a.json")
    del content["mosaic"]
    (tmp_path / "a.json").write_text(
        json.dumps(content | {"world": json.loads(sidecar.read_text())["world"]})
    )
    with pytest.raises(FormatError):
        read_sidecar(tmp_path / "a.json")


@given(st.data())
def test_mutated_sidecars(sidecar, tmp_path_factory, data):
    text = bytearray(sidecar.read_bytes())
    at = data.draw(st.integers(0, len(text)))
    text[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=6))
    path = tmp_path_factory.getbasetemp() / "mutated.json"
    path.write_bytes(text)
    try:
        found = read_clip(path)
        fine = np.isfinite(found.from_stage([[found.x, found.y]])).all()
    except FormatError as error:
        fine = str(error).startswith(str(path))
    assert fine


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["zircon", "clip", "--help"])
    assert stop.value.code == 0
    assert "exit codes" in capsys.readouterr().out
