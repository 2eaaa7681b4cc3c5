"""Clasts of class maps in mm: drawn ones whose measures are known, and those of core 72-2."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cores
from maskmill import Masks
from maskmill.cli import main
from maskmill.densify.legend import BUILT_IN
from maskmill.studies.core import Scale, logs, read_labels, shapes, sorting_curve, write_class_map
from maskmill.studies.core.logs import percentiles
from maskmill.studies.core.separation import by_erosion, by_watershed

SCALE = Scale.of(120, cores.SIZE, top=10.0)


def test_drawn_clasts():
    found = shapes(cores.truth(), SCALE, only=[1, 2])
    assert len(found) == len(cores.CLASTS)
    drawn = sorted(cores.CLASTS, key=lambda clast: (clast.number, clast.row))
    for row, clast in zip(found.table, drawn, strict=True):
        assert row["class"] == clast.number
        assert row["edges"] == 0
        assert row["area"] == pytest.approx(np.pi * clast.long * clast.short * SCALE.mm**2, rel=0.01)
        assert row["major"] == pytest.approx(2 * clast.long * SCALE.mm, rel=0.01)
        assert row["minor"] == pytest.approx(2 * clast.short * SCALE.mm, rel=0.02)
        assert abs((row["dip"] - clast.dip + 90) % 180 - 90) < 1
        assert row["depth"] == pytest.approx(10 + clast.row * SCALE.mm / 1000, abs=1e-5)
        assert row["from_axis"] == pytest.approx(abs(clast.column - 100) * SCALE.mm, abs=0.01)
        assert row["roundness"] == pytest.approx(clast.short / clast.long, rel=0.06)


def test_angle_is_that_of_skimage():
    regionprops = pytest.importorskip("skimage.measure").regionprops
    for clast in cores.CLASTS:
        image = cores.inside(clast).astype(np.uint8)
        row, wanted = shapes(image, SCALE).table.row(0), regionprops(image)[0]
        assert row["angle"] == pytest.approx(wanted.orientation, abs=1e-9)
        assert (row["y"] - 0.5, row["x"] - 0.5) == pytest.approx(wanted.centroid)
        assert row["perimeter"] == pytest.approx(wanted.perimeter * SCALE.mm)


def test_a_crop_keeps_the_scale_and_says_where_it_is():
    whole, image = shapes(cores.truth(), SCALE, only=[1, 2]), cores.truth()[90:440, 10:]
    part = shapes(image, SCALE.crop(90, 10), only=[1, 2])
    kept = whole.table.take(whole.table["depth_top"] > SCALE.depth(89.5))
    for name in ("area", "depth", "depth_bottom", "from_axis", "dip"):
        assert part.table[name] == pytest.approx(kept[name])


def test_odd_maps():
    for shape in ((0, 0), (0, 5), (5, 0)):
        assert len(shapes(np.zeros(shape, np.uint8), SCALE)) == 0
    assert len(logs(np.zeros((0, 5), np.uint8), shapes(np.zeros((0, 5), np.uint8), SCALE))) == 0
    one = shapes(np.ones((1, 1), bool), SCALE).table.row(0)
    assert one["pixels"] == 1
    assert one["minor"] == 0
    assert np.isnan(one["aspect"])
    assert (
        shapes(np.ones((4, 4), np.uint8), SCALE, only=[7]).table.names
        == shapes(cores.truth(), SCALE).table.names
    )
    with pytest.raises(TypeError, match="class map must be integers, not float64"):
        shapes(np.full((3, 3), np.nan), SCALE)
    with pytest.raises(ValueError, match="must be 0 to 65,535, not -1 to 0"):
        shapes(np.array([[-1, 0]]), SCALE)
    with pytest.raises(ValueError, match=r"must be \(H, W\)"):
        shapes(np.zeros((3, 3, 3), np.uint8), SCALE)
    for wrong in (
        {"separate": "magic"},
        {"connectivity": 6},
        {"min_area": -1},
        {"separate": "erosion", "steps": 0},
    ):
        with pytest.raises(ValueError, match="must be"):
            shapes(cores.truth(), SCALE, **wrong)
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="above 0"):
            Scale.of(wrong, cores.SIZE)
        with pytest.raises(ValueError, match="bin_mm must be above 0"):
            logs(cores.truth(), shapes(cores.truth(), SCALE), bin_mm=wrong)
    with pytest.raises(ValueError, match="at most 1,000,000 bins"):
        logs(cores.truth(), shapes(cores.truth(), SCALE), bin_mm=1e-6)


@pytest.mark.parametrize("way", [by_erosion, by_watershed])
def test_touching_clasts_are_parted(way):
    if way is by_watershed:
        pytest.importorskip("skimage")
    image = np.zeros((60, 120), bool)
    for column in (32, 84):
        image |= cores.inside(cores.Clast(1, 30, column, 28, 20, 0), (60, 120))
    masks = Masks.encode(image)
    assert len(masks.components()[0]) == 1
    parts, of = way(masks, 8)
    assert of.tolist() == [0, 0]
    assert parts.area.sum() == masks.area[0]
    assert not (parts[:1] & parts[1:]).area.any()
    assert abs(int(parts.area[0]) - int(parts.area[1])) < 60
    found = shapes(image, SCALE, separate="erosion", steps=8)
    assert len(found) == 2


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.booleans())
@settings(max_examples=40, deadline=None)
def test_parts_stay_within_their_masks(seed, steps, regrow):
    random = np.random.default_rng(seed)
    image = (random.random((12, 15)) < 0.75).repeat(3, 0).repeat(2, 1) * np.uint8(1)
    masks, _ = Masks.encode(image).components(8)
    parts, of = by_erosion(masks, steps, regrow=regrow)
    assert (np.diff(of) >= 0).all()
    for part, parent in zip(parts, of, strict=True):
        assert not (part & ~masks[int(parent)]).area.any()
    once = parts.labels() if len(parts) else np.zeros(image.shape)
    assert int((once > 0).sum()) == int(parts.area.sum())  # none overlaps another
    if not regrow:
        from scipy.ndimage import binary_dilation, binary_erosion

        cores_ = binary_erosion(image, iterations=steps, border_value=1)
        assert np.array_equal(once > 0, binary_dilation(cores_, iterations=steps) & (image > 0))


def test_logs_add_up():
    image = cores.truth()
    found = shapes(image, SCALE, only=[1, 2], legend=["light", "dark", "matrix"])
    table = logs(image, found, bin_mm=25)
    assert table["pixels"].sum() == image.size
    assert table["clasts"].sum() == len(found)
    rows = [row for row in table if row["clasts"]]
    assert {row["name"] for row in rows} == {"light", "dark"}
    shares = np.array(table["fraction"]).reshape(-1, 3).sum(1)
    assert shares == pytest.approx(1)
    assert table["depth_top"][0] == 10
    assert table["depth_bottom"][-1] == pytest.approx(10.12)
    one = next(row for row in rows if row["clasts"] == 1)
    assert one["mean"] == one["d10"] == one["d50"] == one["d90"]


def test_percentiles():
    size = np.array([4.0, 1, 2, 3])
    assert percentiles(size, size**2).tolist() == np.percentile(size, [10, 50, 90]).tolist()
    assert percentiles(size, size**2, weights="area")[1] > percentiles(size, size**2)[1]
    assert np.isnan(percentiles([], [])).all()
    with pytest.raises(ValueError, match="weights must be one of number, area"):
        percentiles(size, size, weights="mass")


# Core 72-2

COMPONENTS = {  # class: components of more than 1,000 pixels, their pixels, their mm²
    1: (2, 9004, 461.979),
    2: (2, 15571, 798.920),
    3: (6, 35987, 1846.429),
    4: (2, 7732, 396.715),
    5: (3, 11327, 581.168),
    6: (7, 34332, 1761.514),
    7: (3, 13105, 672.394),
    8: (1, 1044, 53.566),
    9: (1, 4549, 233.401),
    10: (4, 20359, 1044.584),
    11: (1, 4403, 225.910),
    12: (5, 24768, 1270.802),
    13: (8, 56434, 2895.528),
    14: (5, 9893, 507.592),
}
ERODED = {  # class: regions after four erosions, those of more than 40 mm², their mm²
    1: (2, 2, 459.978),
    2: (2, 2, 796.611),
    3: (7, 6, 1826.316),
    4: (2, 2, 394.252),
    5: (3, 3, 578.038),
    6: (7, 7, 1756.691),
    7: (4, 4, 712.569),
    8: (3, 1, 52.745),
    9: (1, 1, 233.298),
    10: (5, 4, 1039.710),
    11: (1, 1, 222.832),
    12: (92, 5, 689.685),
    13: (28, 7, 2605.380),
    14: (27, 5, 385.838),
}


@pytest.fixture(scope="module")
def painted(data):
    pytest.importorskip("h5py")
    found = read_labels(data / "cores" / "72_2.h5", legend="chicxulub")
    return found.values, Scale.of(610, found.values.shape, top=698.41)


def test_components_of_the_core(painted):
    values, scale = painted
    assert scale.mm == pytest.approx(0.22651318)
    assert scale.mm**2 == pytest.approx(0.05130822, abs=1e-8)
    table = shapes(values, scale, legend="chicxulub", min_pixels=1001).table
    for number, wanted in COMPONENTS.items():
        rows = table.take(table["class"] == number)
        assert (len(rows), int(rows["pixels"].sum()), round(float(rows["area"].sum()), 3)) == wanted
        assert set(rows["name"]) == {BUILT_IN["chicxulub"].name(number)}


def test_erosion_of_the_core(painted):
    values, scale = painted
    table = shapes(values, scale, separate="erosion", steps=4, regrow=False).table
    for number, (regions, n, mm2) in ERODED.items():
        rows = table.take(table["class"] == number)
        large = rows["area"] > 40
        assert (len(rows), int(large.sum())) == (regions, n)
        # Where regions meet, the original lets the higher number overwrite the other.
        assert rows["area"][large].sum() == pytest.approx(mm2, rel=1e-3)


def test_white_carbonate(painted):
    values, scale = painted
    table = shapes(values, scale, only=[5]).table
    found = sorted(([row["pixels"], row["perimeter"] / scale.mm, row["major"] / scale.mm, row["minor"] / scale.mm,
                     row["angle"], row["y"] - 0.5, row["x"] - 0.5] for row in table), reverse=True)  # fmt: skip
    wanted = [
        [5954, 313.2376, 95.881, 80.9328, 0.4945, 146.57, 53.30],
        [3689, 234.9949, 75.5774, 63.5281, -0.5905, 1172.33, 322.41],
        [1684, 171.7817, 61.6792, 35.4472, -1.1064, 1105.37, 208.02],
    ]
    assert np.allclose(found, wanted, atol=5e-3)
    area, perimeter = sorting_curve(table["area"], table["perimeter"])
    assert np.allclose(area, [0.5256, 0.8513, 1], atol=1e-4)
    assert np.allclose(perimeter, [0.4350, 0.7614, 1], atol=1e-4)
    tan = shapes(values, scale, only=[6]).table
    area, perimeter = sorting_curve(tan["area"], tan["perimeter"])
    assert np.allclose(area, [0.3607, 0.5213, 0.6570, 0.7799, 0.8611, 0.9390, 1], atol=1e-4)
    assert np.allclose(perimeter, [0.2980, 0.4573, 0.5843, 0.7135, 0.8146, 0.9115, 1], atol=1e-4)


# The verb


def test_verb(tmp_path, capsys):
    legend = read_labels(cores.truth(), legend=["light", "dark", "matrix"]).legend
    write_class_map(tmp_path / "map.png", cores.truth(), legend)
    out = tmp_path / "out"
    given = ["core", "shapes", str(tmp_path / "map.png"), "--out", str(out), "--not", "matrix"]
    assert main([*given, "--length-mm", "120", "--top-m", "10", "--separate", "erosion"]) == 0
    assert "6 clasts" in capsys.readouterr().out
    with open(out / "clasts.csv", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == list("111222")
    assert float(rows[0]["area (mm²)"]) > 130
    assert {path.name for path in out.iterdir()} == {"clasts.csv", "logs.csv", "sorting.csv"}
    with open(out / "sorting.csv", encoding="utf-8-sig") as file:
        shares = [float(row["area_share"]) for row in csv.DictReader(file) if row["class"] == "1"]
    assert shares[-1] == 1
    assert shares[0] > 1 / 3


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "the scale must be said"),
        (["--length-mm", "0"], "length_mm must be above 0"),
        (["--length-mm", "9", "--mm-per-px", "1"], "give one of them"),
        (["--length-mm", "9", "--not", "Basalt"], "class must be one of light, dark, matrix, not 'Basalt'"),
        (["--length-mm", "9", "--full", "100,100"], "--full must hold the picture"),
        (["--length-mm", "9", "--bin-mm", "-1"], "bin_mm must be above 0"),
        (["--length-mm", "9", "--legend", "nowhere.json"], "nowhere.json"),
    ],
)
def test_verb_refuses(tmp_path, capsys, more, said):
    write_class_map(
        tmp_path / "m.png",
        cores.truth(),
        read_labels(cores.truth(), legend=["light", "dark", "matrix"]).legend,
    )
    assert main(["core", "shapes", str(tmp_path / "m.png"), "--out", str(tmp_path / "out"), *more]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
