"""Measuring grains as colab_zirc_dims does: its columns, its rules, and what it gets wrong."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmill import Dataset, FormatError, Masks
from maskmill.cli import main
from maskmill.io import write
from maskmill.studies.zircon import clip, measure, read_clip
from maskmill.studies.zircon.grains import MOMENTS, RECTANGLE, best_axes, write_measurements
from maskmill.studies.zircon.headings import HEADINGS, ORIGINAL, plain, read_named
from zircon_projects import picture, project


def ellipse(h, w, cy, cx, ry, rx):
    y, x = np.mgrid[:h, :w]
    return ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1


def dataset(*images, scale=0.5, names=None):
    """One image per list of masks."""
    masks = Masks.concatenate([Masks.encode(np.stack(of_image)) for of_image in images if len(of_image)])
    shape = [np.asarray(next(of_image[0].shape for of_image in images if len(of_image)))] * len(images)
    table = {
        "file_name": names or [f"S1-Spot {i}.png" for i in range(len(images))],
        "height": [s[0] for s in shape],
        "width": [s[1] for s in shape],
        "scale": np.broadcast_to(np.asarray(scale, float), len(images)),
    }
    rows = [i for i, of_image in enumerate(images) for _ in of_image]
    return Dataset(table, {"name": ["grain"]}, {"image": rows, "id": np.arange(1, len(rows) + 1)}, masks)


def test_the_original_columns():
    assert list(ORIGINAL.values()) == [
        "Analysis",
        "Area (µm^2)",
        "Convex area (µm^2)",
        "Eccentricity",
        "Equivalent diameter (µm)",
        "Perimeter (µm)",
        "Major axis length (µm)",
        "Minor axis length (µm)",
        "Circularity",
        "Long axis rectangular diameter (µm)",
        "Short axis rectangular diameter (µm)",
        "Best long axis length (µm)",
        "Best short axis length (µm)",
        "Best axes calculated from",
        "Scale factor (µm/pixel)",
    ]
    assert "\u03bc" not in "".join(HEADINGS.values())


@pytest.mark.parametrize(
    ("image", "expected", "how"),
    [
        (np.pad(np.ones((20, 20), bool), 3), (23.065125, 23.065125), MOMENTS),
        (ellipse(100, 100, 50, 50, 30, 12), (59, 23), RECTANGLE),
    ],
)
def test_best_axes_as_published(image, expected, how):
    row = measure(image.astype(int), scale=1).row(0)
    assert (row["best_long"], row["best_short"]) == pytest.approx(expected, abs=1e-4)
    assert row["best_axes"] == how


def test_best_axes_of_real_flakes(data):
    cv2 = pytest.importorskip("cv2")
    expected = {
        ("GrapheneH", "17294f8a", 1): (76.7846, 26.6479, RECTANGLE),
        ("GrapheneH", "3659660c", 4): (192.0688, 72.9304, MOMENTS),
        ("WSe2", "5e12dd38", 3): (179.1420, 56.4948, MOMENTS),
    }
    for (material, name, value), (long, short, how) in expected.items():
        path = next((data / "flakes").glob(f"**/{material}/**/*{name}*.png"))
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        row = measure((labels == value).astype(int), scale=1).row(0)
        assert row["best_axes"] == how
        assert (row["best_long"], row["best_short"]) == pytest.approx((long, short), rel=5e-3, abs=1)


def test_both_conditions_of_the_rule():
    long, short, rectangle = best_axes([18, 18, 18, 18, 17.9], [10, 10, 10, 0, 10], [17, 18, 20.1, 10, 17], 5)
    assert rectangle.tolist() == [True, False, True, True, False]
    assert long.tolist() == [17, 18, 20.1, 10, 17.9]
    assert short.tolist() == [5, 10, 5, 5, 10]


def test_all_grains_of_several_images():
    one, two = ellipse(60, 80, 20, 20, 10, 5), ellipse(60, 80, 30, 60, 25, 25)
    table = measure(dataset([one, two], [two], scale=[0.5, 2.0]))
    assert table["analysis"].tolist() == ["S1-Spot 0-1", "S1-Spot 0-2", "S1-Spot 1-3"]
    assert table["scale"].tolist() == [0.5, 0.5, 2]
    assert table["area"][2] == 16 * table["area"][1] == 4 * two.sum()
    assert table["edges"].tolist() == [False, True, True]
    assert table["status"].tolist() == ["ok"] * 3
    assert set(table["scale_from"]) == {"images"}


def test_uncertainty():
    table = measure(dataset([ellipse(60, 80, 30, 40, 20, 20)], scale=0.5), scale_uncertainty=0.01)
    pixels = table["major"][0] / 0.5
    end = 0.5 * math.sqrt(1 / 3)  # of one end, known to half a pixel up or down
    assert table["best_long_uncertainty"][0] == pytest.approx(
        math.sqrt((pixels * 0.01) ** 2 + 2 * (0.5 * end) ** 2)
    )


def test_failures_are_empty_not_zero(tmp_path):
    line = np.zeros((60, 80), bool)
    line[10, 10:20] = True
    nothing = np.zeros((60, 80), bool)
    grain = ellipse(60, 80, 30, 40, 10, 5)
    table = measure(dataset([nothing, line], [grain], scale=[1, np.nan]))
    assert table["status"].tolist() == ["empty", "thin", "no scale"]
    for name in ("area", "major", "perimeter", "best_long", "rectangle_long", "best_long_uncertainty"):
        assert np.isnan(table[name][[0, 2]]).all()
    assert table["best_axes"].tolist() == ["", RECTANGLE, ""]
    assert table["best_long"][1] == 10
    assert table["pixels"].tolist() == [0, 10, grain.sum()]
    path = tmp_path / "grains.csv"
    write_measurements(table, path)
    text = path.read_bytes()
    assert text.startswith(b"\xef\xbb\xbfAnalysis,Area (\xc2\xb5m^2),")
    rows = list(csv.DictReader(text.decode("utf-8-sig").splitlines()))
    assert rows[0]["Best long axis length (µm)"] == rows[2]["Area (µm^2)"] == ""
    assert float(rows[1]["Best long axis length (µm)"]) == 10
    assert list(rows[0]) == list(HEADINGS.values())


def test_the_largest_part_alone():
    image = ellipse(60, 80, 30, 40, 10, 5)
    speck = image.copy()
    speck[2:4, 2:4] = True
    with_speck, without = (
        measure(speck.astype(int), scale=1).row(0),
        measure(image.astype(int), scale=1).row(0),
    )
    assert with_speck["components"] == 2
    assert with_speck["major"] == without["major"]


# The grain under the shot


def test_the_centre_first():
    """Not a larger grain beside it, which the original takes, as it never looks at the centre itself."""
    small, large = ellipse(100, 100, 50, 50, 2, 2), ellipse(100, 100, 50, 72, 20, 20)
    row = measure(dataset([large, small]), shot=True).row(0)
    assert (row["pixels"], row["distance"]) == (small.sum(), 0)
    assert row["analysis"] == "S1-Spot 0"


def test_then_the_nearest_then_the_larger():
    near, far = ellipse(150, 150, 75, 60, 8, 8), ellipse(150, 150, 75, 100, 20, 20)
    row = measure(dataset([far, near]), shot=True).row(0)
    assert (row["pixels"], row["distance"]) == (far.sum(), 6)
    left, right = np.zeros((2, 50, 50), bool)
    left[24:27, 18:21], right[20:30, 30:40] = True, True  # both five columns away
    row = measure(dataset([left, right]), shot=True).row(0)
    assert (row["pixels"], row["distance"]) == (100, 5)


def test_no_grain_within_reach():
    grain = ellipse(150, 150, 75, 110, 8, 8)
    table = measure(dataset([grain], [], [grain]), shot=True, shots=[[75, 75], [10, 10], [110, 75]])
    assert table["status"].tolist() == ["no grain", "no grain", "ok"]
    assert np.isnan(table["best_long"][:2]).all()
    assert len(measure(dataset([grain]), shot=True, reach=28)) == 1
    assert measure(dataset([grain]), shot=True, reach=28).row(0)["status"] == "ok"


@given(st.integers(0, 2**32 - 1))
def test_nearest_as_brute_force_has_it(seed):
    rng = np.random.default_rng(seed)
    images = rng.random((4, 24, 30)) < rng.uniform(0, 0.02)
    x, y = int(rng.integers(30)), int(rng.integers(24))
    reach = float(rng.uniform(0, 20))
    table = measure(dataset(list(images)), shot=True, shots=[[x, y]], reach=reach)
    found = []
    for image in images:
        rows, columns = np.nonzero(image)
        if len(rows):
            found.append((np.hypot(rows - y, columns - x).min(), -image.sum()))
    inside = [item for item in found if item[0] <= reach]
    if not inside:
        assert table["status"].tolist() == ["no grain"]
    else:
        assert table["distance"][0] == pytest.approx(min(inside)[0])
        assert table["components"][0] >= 1


def test_clips(tmp_path):
    """What lies beside clips: scales, names, and the mosaic's end within the window."""
    made = project(
        tmp_path / "p", picture(200, 150), [("FC", 1100, 2100), ("Spot 1", 1005, 2075)], size=(400, 299)
    )
    clip(made, tmp_path / "clips", field=80)
    names = sorted(path.name for path in (tmp_path / "clips").glob("*/*.png"))
    beside = [read_clip(tmp_path / "clips" / "A" / name) for name in names]
    side = beside[0].columns
    grain = np.zeros((side, side), bool)
    grain[15:25, beside[1].padding[0] : 30] = True
    source = dataset([grain], [grain], scale=np.nan, names=[f"A/{name}" for name in names])
    table = measure(source, clips=tmp_path / "clips", shot=True)
    assert table["analysis"].tolist() == ["A-FC", "A-Spot 1"]
    assert table["edges"].tolist() == [False, True]
    assert table["scale"] == pytest.approx((2 + 299 / 150) / 2)
    assert set(table["scale_from"]) == {".Align"}
    assert table["area"] == pytest.approx(grain.sum() * 2 * 299 / 150)
    assert not np.isnan(table["perimeter"]).any()
    write_measurements(
        measure(source, clips=tmp_path / "clips", shot=True, shots=[[1, 1]] * 2), tmp_path / "a.csv"
    )
    (row, _) = csv.DictReader((tmp_path / "a.csv").read_text(encoding="utf-8-sig").splitlines())
    assert (row["Status"], row["Parts"], row["Touches edge"], row["Area (µm^2)"]) == ("no grain", "", "", "")
    other = dataset([grain], names=["B.png"])
    with pytest.raises(FormatError, match=r"expected one B.json of the image 'B.png', found none"):
        measure(other, clips=tmp_path / "clips")


# Headings, errors, the command


@pytest.mark.parametrize(
    "heading", ["Area (µm^2)", "Area (μm^2)", "Area (um^2)", "Area (Âµm^2)", "Area (Î¼m^2)", " area  (µm^2) "]
)
def test_any_micro_sign(heading, tmp_path):
    assert plain(heading) == "area (um^2)"
    path = tmp_path / "a.csv"
    path.write_text(f"Analysis,{heading}\nA,3\n", encoding="utf-8")
    (row,) = read_named(path, {"key": ("Analysis",), "area": ("Area (µm^2)",)}, {})
    assert row.number("area") == 3


def test_what_cannot_be_measured():
    table = dataset([ellipse(20, 20, 10, 10, 5, 5)])
    with pytest.raises(ValueError, match="scale must be above 0"):
        measure(table, scale=0)
    with pytest.raises(ValueError, match="scale must be one number or one for each of 1 images"):
        measure(table, scale=[1, 2])
    with pytest.raises(ValueError, match="scale_uncertainty must be 0 or more"):
        measure(table, scale_uncertainty=-1)
    with pytest.raises(ValueError, match="shots and reach are for shot=True"):
        measure(table, reach=3)
    with pytest.raises(ValueError, match=r"shots: \[20.0, 3.0\] must be within image 0"):
        measure(table, shot=True, shots=[[20, 3]])
    with pytest.raises(TypeError, match="options are for files: images"):
        measure(table, images="here")


def test_command(tmp_path, capsys):
    source = dataset([ellipse(60, 80, 30, 40, 10, 20)], [ellipse(60, 80, 30, 10, 10, 20)], scale=np.nan)
    write(source, tmp_path / "grains.json", format="coco")
    out, verb = tmp_path / "out.csv", ["zircon", "measure", str(tmp_path / "grains.json")]
    assert main([*verb, str(out), "--scale", "0.5"]) == 0
    assert "2 grains: 2 ok" in capsys.readouterr().out
    rows = list(csv.DictReader(out.read_text(encoding="utf-8-sig").splitlines()))
    assert [row["Touches edge"] for row in rows] == ["False", "True"]
    assert main([*verb, str(out)]) == 3
    assert "give --scale" in capsys.readouterr().err
    assert main([*verb, str(out), "--shot", "--scale", "1"]) == 0
    assert main(["zircon", "measure", str(tmp_path / "none.json"), str(out)]) == 2
    assert main([*verb, str(tmp_path / "out.txt")]) == 2
    pytest.importorskip("matplotlib")
    plot = tmp_path / "sizes.png"
    assert main([*verb, str(out), "--scale", "1", "--plot", str(plot)]) == 0
    assert plot.read_bytes().startswith(b"\x89PNG")
