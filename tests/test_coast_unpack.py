"""Results as pictures, lossless labels, overlays and doodles; whatever their bands, classes and trials."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest

import maskmill.io
from doodled import SETTINGS, trial, write_result
from maskmill import Masks
from maskmill.cli import main
from maskmill.io._palette import read_indexed
from maskmill.io.doodler import colour_map
from maskmill.io.images import read_image
from maskmill.studies.coast import find, read, show, unpack
from maskmill.studies.coast.mapping import Remap
from maskmill.studies.coast.pictures import beside, legend
from maskmill.studies.coast.records import COLUMNS

CLASSES = ["water", "sand", "dev"]


@pytest.fixture
def made(tmp_path, rng):
    """Two trials, of which the older one has pixels without a class, and lacks one class."""
    old, new = trial(rng, CLASSES, depth=2), trial(rng, CLASSES)
    old["label"][3:6, 4:9] = 0
    write_result(tmp_path / "results" / "beach_ann.npz", old, new)
    return tmp_path / "results", old, new


def indices(label):
    """By another way than the reader's."""
    return np.where(label.any(-1), label.argmax(-1), 255).astype(np.uint8)


class TestLabels:
    @pytest.mark.parametrize("base", [0, 1])
    def test_lossless(self, made, tmp_path, base):
        folder, old, new = made
        report = unpack(folder, tmp_path / "out", trials="all", base=base)
        assert [row["name"] for row in report.rows] == ["beach_ann_trial1", "beach_ann_trial2"]
        for k, one in enumerate((old, new), 1):
            expected = indices(one["label"]) + np.uint8(base)  # 255 becomes 0
            path = tmp_path / "out" / "labels" / f"beach_ann_trial{k}.png"
            assert np.array_equal(read_indexed(path), expected)
            colours = np.concatenate([colour_map(3)[:3], np.zeros((253, 3), np.uint8)])[indices(one["label"])]
            assert np.array_equal(cv2.imread(str(path))[..., ::-1], colours)
            doodles = tmp_path / "out" / "doodles" / f"beach_ann_trial{k}.png"
            assert np.array_equal(read_indexed(doodles), one["doodles"])
            assert np.array_equal(
                read_image(tmp_path / "out" / "images" / f"beach_ann_trial{k}.png"), one["image"]
            )
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
        assert (manifest["settings"]["base"], manifest["settings"]["ignored"]) == (base, 0 if base else 255)

    def test_masks_of_classes(self, made, tmp_path):
        folder, _, new = made
        unpack(folder, tmp_path / "out", parts=["masks"])
        for k in range(3):
            mask = read_image(tmp_path / "out" / "masks" / f"beach_ann_class{k}.png")
            assert np.array_equal(mask, new["label"][..., k] * np.uint8(255))

    def test_of_every_era(self, tmp_path, rng):
        for era, numbers in SETTINGS.items():
            one = {**trial(rng, CLASSES), "settings": np.array(numbers, float)}
            if era in ("first", "forest"):  # before names of classes were written
                del one["classes"], one["orig_image"]
            write_result(tmp_path / "in" / f"{era}_ann.npz", one)
        raster = trial(rng, CLASSES)
        write_result(tmp_path / "in" / "raster_ann.npz", {**raster, "label": raster["label"].argmax(-1)})
        report = unpack(tmp_path / "in", tmp_path / "out", classes=CLASSES)
        assert not report.failed
        assert {row["era"] for row in report.rows if row["name"] == "forest_ann"} == {
            "2021-05-09 to 2021-06-20, random forest"
        }
        assert all(row["classes"] == CLASSES for row in report.rows)

    def test_manifest(self, made, tmp_path):
        folder, _, new = made
        unpack(folder, tmp_path / "out")
        with open(tmp_path / "out" / "manifest.csv", encoding="utf-8-sig", newline="") as file:
            [row] = csv.DictReader(file)
        sand = np.count_nonzero(new["label"].argmax(-1) == 1)
        assert f"sand={sand}" in row["pixels"]
        assert row["trial"] == "2"
        assert row["classes"] == "water, sand, dev"
        with open(tmp_path / "out" / "classes.csv", encoding="utf-8-sig", newline="") as file:
            assert [(r["id"], r["name"], r["colour"]) for r in csv.DictReader(file)] == [
                ("0", "water", "#3366cc"),
                ("1", "sand", "#dc3912"),
                ("2", "dev", "#ff9900"),
            ]

    def test_many_classes(self, tmp_path, rng):
        """Light24 from 11 classes on; there is no 25th colour."""
        for n in (11, 24, 25):
            names = [f"c{i}" for i in range(n)]
            one = trial(rng, names[:24], size=(40, 60))
            one["classes"] = np.array(names)
            write_result(tmp_path / f"n{n}" / "a_ann.npz", one)
        assert unpack(tmp_path / "n11", tmp_path / "o11").rows[0]["classes"] == [f"c{i}" for i in range(11)]
        assert not unpack(tmp_path / "n24", tmp_path / "o24").failed
        [failure] = unpack(tmp_path / "n25", tmp_path / "o25").failed
        assert "a_ann.npz: there are colours for up to 24 classes, not 25" in failure.reason
        assert not list((tmp_path / "o25").rglob("*.png"))


class TestImages:
    @pytest.mark.parametrize(
        ("bands", "how", "files"),
        [
            (None, "rgb", ["a.png"]),
            (1, "rgb", ["a.png"]),
            (2, "rgb", ["a.tif"]),
            (3, "rgb", ["a.png"]),
            (3, "tiff", ["a.tif"]),
            (4, "rgb", ["a.png", "a_band4.png"]),
            (4, "tiff", ["a.tif"]),
            (7, "rgb", ["a.tif"]),
        ],
    )
    def test_bands(self, tmp_path, rng, bands, how, files):
        image = rng.integers(0, 256, (20, 30, *([bands] if bands else [])), np.uint8)
        one = {**trial(rng, CLASSES), "image": image, "orig_image": image}
        write_result(tmp_path / "a.npz", one)
        report = unpack(tmp_path / "a.npz", tmp_path / "out", bands=how)
        assert not report.failed
        found = sorted((tmp_path / "out" / "images").iterdir())
        assert [path.name for path in found] == files
        back = [read_image(path) for path in found]
        whole = np.dstack(back) if len(back) > 1 else back[0]
        assert np.array_equal(whole.reshape(image.shape), image)
        assert read_image(tmp_path / "out" / "overlays" / "a.png").shape == (20, 30, 3)

    def test_turned(self, tmp_path, rng):
        """The label lies upon the picture that was turned by EXIF; orig_image was not."""
        one = trial(rng, CLASSES)
        one["orig_image"] = np.rot90(one["image"])
        write_result(tmp_path / "a_b.npz", one)
        report = unpack(tmp_path / "a_b.npz", tmp_path / "out")
        assert report.rows[0]["turned"] is True
        assert np.array_equal(read_image(tmp_path / "out" / "images" / "a_b.png"), one["image"])
        del one["image"]
        write_result(tmp_path / "a_b.npz", one)
        assert (
            "expected an image as large as the label"
            in unpack(tmp_path / "a_b.npz", tmp_path / "out").failed[0].reason
        )

    def test_overlay(self, made, tmp_path):
        folder, _, new = made
        unpack(folder, tmp_path / "out", parts=["overlays"])
        colours = colour_map(3)[new["label"].argmax(-1)]
        expected = np.rint(new["image"] * 0.5 + colours * 0.5)
        assert np.array_equal(read_image(tmp_path / "out" / "overlays" / "beach_ann.png"), expected)


class TestLayouts:
    def test_names_of_the_original(self, made, tmp_path):
        folder, _, new = made
        report = unpack(folder, tmp_path / "out", layout="doodler")
        assert report.rows[0]["files"] == [
            "images/beach_ann.jpg",
            "labels/beach_ann_label.png",
            "overlays/beach_ann_overlay.png",
            "doodles/beach_ann_doodles.png",
        ]
        assert np.array_equal(
            read_indexed(tmp_path / "out" / "labels" / "beach_ann_label.png"), indices(new["label"])
        )
        chosen = Remap(("wet", "dry"), {"water": "wet", "sand": "dry", "dev": "dry"})
        report = unpack(folder, tmp_path / "remap", layout="doodler", remap=chosen, base=1)
        assert report.rows[0]["files"][:3] == [
            "images_remap/beach_ann.jpg",
            "labels_remap/beach_ann_remap_label.png",
            "overlays_remap/beach_ann_remap_overlay.png",
        ]
        label = read_indexed(tmp_path / "remap" / "labels_remap" / "beach_ann_remap_label.png")
        assert np.array_equal(label, np.where(new["label"].argmax(-1) == 0, 1, 2))

    def test_two_files_of_one_name(self, made, tmp_path):
        folder, old, new = made
        write_result(folder / "again" / "beach_ann.npz", old)
        report = unpack(folder, tmp_path / "out", parts=["labels"])
        assert [row["files"] for row in report.rows] == [
            ["labels/again__beach_ann.png"],
            ["labels/beach_ann.png"],
        ]
        found = read_indexed(tmp_path / "out" / "labels" / "beach_ann.png")
        assert np.array_equal(found, indices(new["label"]))

    def test_datasets(self, made, tmp_path):
        folder, old, _ = made
        unpack(folder, tmp_path / "out", parts=["labels"], trials="all", datasets=["coco", "panoptic", "via"])
        instances = maskmill.io.read(tmp_path / "out" / "instances.json", images=tmp_path / "out")
        assert instances.images["file_name"].tolist() == [
            "images/beach_ann_trial1.png",
            "images/beach_ann_trial2.png",
        ]
        assert (instances.images["pixels"][0].read() == old["image"]).all()
        area = np.bincount(instances.instances["category"], instances.instances["area"])
        first = instances.instances["image"] == 0
        assert instances.instances["area"][first].sum() == 20 * 30 - 15
        assert area.sum() == 2 * 20 * 30 - 15
        panoptic = maskmill.io.read(tmp_path / "out" / "panoptic.json")
        assert panoptic.instances["area"].sum() == 2 * 20 * 30 - 15
        assert panoptic.categories["name"].tolist() == CLASSES
        via = maskmill.io.read(tmp_path / "out" / "via_region_data.json", images=tmp_path / "out")
        assert via.masks.area.sum() == 2 * 20 * 30 - 15

    def test_geojson(self, made, tmp_path):
        """Outlines, filled again, are the label; rings go round as RFC 7946 has it."""
        folder, _, new = made
        unpack(folder, tmp_path / "out", parts=["geojson"])
        found = json.loads((tmp_path / "out" / "geojson" / "beach_ann.geojson").read_text())
        again = np.full((20, 30), 255, np.uint8)
        for feature in found["features"]:
            rings = feature["geometry"]["coordinates"]
            areas = [
                sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(r, r[1:], strict=False)) / 2
                for r in rings
            ]
            assert areas[0] > 0
            assert all(area < 0 for area in areas[1:])
            assert sum(areas) == feature["properties"]["pixels"]
            mask = Masks.from_polygons([[np.ravel(ring[:-1]) for ring in rings]], (20, 30), rule="even-odd")
            again[mask.labels() > 0] = feature["properties"]["id"]
            assert feature["properties"]["class"] == CLASSES[feature["properties"]["id"]]
        assert np.array_equal(again, indices(new["label"]))


class TestManyFiles:
    def test_resumes(self, made, tmp_path, monkeypatch):
        folder, old, _ = made
        for k in range(4):
            write_result(folder / f"more{k}_ann.npz", old)
        (folder / "bad_ann.npz").write_bytes(b"PK\x03\x04 and no more")
        report = unpack(folder, tmp_path / "out", processes=1)
        assert (report.done, len(report.failed)) == (5, 1)
        (tmp_path / "out" / "labels" / "more2_ann.png").unlink()
        seen = []
        report = unpack(folder, tmp_path / "out", progress=lambda *told: seen.append(told))
        assert (report.done, report.unchanged) == (1, 4)
        assert seen[-1][:2] == (6, 6)

    def test_processes(self, made, tmp_path):
        folder, old, _ = made
        write_result(folder / "more_ann.npz", old)
        a = unpack(folder, tmp_path / "a", processes=2)
        b = unpack(folder, tmp_path / "b")
        assert a.rows == b.rows
        for row in a.rows:
            for name in row["files"]:
                assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    def test_real_files(self, data, tmp_path):
        report = unpack(data / "doodler", tmp_path / "out", parts=["labels", "doodles"], trials="all")
        assert len(report.rows) == 16
        assert not report.failed
        for path in find(data / "doodler"):
            raw = np.load(path)
            for k, one in enumerate(read(path), 1):
                name = f"{path.stem}_trial{k}.png"
                label = raw[f"{one.prefix}label"].argmax(-1)
                assert np.array_equal(read_indexed(tmp_path / "out" / "labels" / name), label)
                assert np.array_equal(
                    read_indexed(tmp_path / "out" / "doodles" / name), raw[f"{one.prefix}doodles"]
                )


class TestShow:
    def test_pictures(self, made, tmp_path):
        folder, _, new = made
        report = show(folder, tmp_path / "out")
        picture = read_image(tmp_path / "out" / report.rows[0]["files"][0])
        assert picture.shape[1] == 2 * 360 + 8
        assert (
            picture[0, 0]
            == (new["image"] if new["doodles"][0, 0] == 0 else colour_map(3)[new["doodles"] - 1])[0, 0]
        ).all()

    @pytest.mark.parametrize("size", [(1, 1), (3, 900), (500, 7)])
    def test_any_size(self, size):
        zeros = np.zeros(size, np.uint8)
        assert beside(zeros, zeros, zeros, ["water", ""]).ndim == 3

    def test_legend(self):
        assert legend([], 100).shape == (0, 100, 3)
        names = ["water", "a name that is longer than the picture is wide " * 3, ""]
        assert legend(names, 120, [1]).shape[0] == 3 * 22


class TestVerbs:
    def test_unpack_and_show(self, made, tmp_path, capsys):
        folder, _, _ = made
        out = str(tmp_path / "out")
        assert (
            main(["coast", "unpack", str(folder), out, "--what", "labels", "--trials", "all", "--quiet"]) == 0
        )
        assert "1 files: 2 files of 2 trials" in capsys.readouterr().out
        assert main(["coast", "unpack", str(folder), out, "--what", "labels", "--quiet"]) == 2
        assert 'was begun with trials "all"; choose another folder' in capsys.readouterr().err
        assert main(["coast", "unpack", str(folder), out, "--what", "labels", "--quiet", "--overwrite"]) == 0
        assert main(["coast", "unpack", str(folder), out, "--what", "stickers", "--quiet"]) == 2
        assert "parts must be images or labels" in capsys.readouterr().err
        assert main(["coast", "unpack", str(folder), out, "--unmapped", "x", "--quiet"]) == 2
        assert (
            main(["coast", "show", str(folder), str(tmp_path / "show"), "--remap", "default", "--quiet"]) == 0
        )


class TestGeoTiff:
    def records(self, tmp_path, **changes):
        cells = dict.fromkeys(COLUMNS, "1") | {
            "annotation_image_filename": "npz/beach_ID3.npz",
            "classes_array": "\"'water', 'sand'\"",
            "classes_present_integer": "0",
            "classes_present_array": "'water'",
            "XMin": "300000",
            "XMax": "300300",
            "YMin": "3700000",
            "YMax": "3700200",
            "epsg": "26911",
            "px_size_m": "10",
            **changes,
        }
        path = tmp_path / "K_meta.csv"
        path.write_text(",".join(cells) + "\n" + ",".join(cells.values()) + "\n")
        return path

    @pytest.mark.parametrize(
        ("changes", "doubts"),
        [
            ({}, ""),
            ({"px_size_m": "1"}, "pixels are 10 wide, and the table says 1"),
            ({"YMax": "3700400"}, "pixels are 10 wide and 20 high"),
            ({"epsg": "4326", "XMin": "-119", "XMax": "-118.7", "YMin": "34", "YMax": "34.2"}, ""),
        ],
    )
    def test_place(self, tmp_path, rng, changes, doubts):
        tifffile = pytest.importorskip("tifffile")
        one = trial(rng, CLASSES)
        write_result(tmp_path / "in" / "beach_ID3.npz", one)
        records = self.records(tmp_path, **changes)
        report = unpack(tmp_path / "in", tmp_path / "out", parts=["geotiff"], records=records)
        assert report.rows[0]["doubts"] == doubts
        with tifffile.TiffFile(tmp_path / "out" / "geotiff" / "beach_ID3.tif") as file:
            page = file.pages[0]
            assert np.array_equal(page.asarray(), indices(one["label"]))
            tags = page.geotiff_tags
            assert np.array_equal(page.colormap[:, 0], colour_map(3)[0].astype(np.uint16) * 257)
        degrees = "epsg" in changes
        corner = [-119, 34.2] if degrees else [300000, 3700400 if "YMax" in changes else 3700200]
        assert tags["ModelTiepoint"][3:5] == pytest.approx(corner)
        assert tags["ModelPixelScale"][0] == pytest.approx(0.01 if degrees else 10)
        assert tags["GeographicTypeGeoKey" if degrees else "ProjectedCSTypeGeoKey"] == (
            4326 if degrees else 26911
        )

    def test_none_known(self, tmp_path, rng):
        write_result(tmp_path / "in" / "other_ID3.npz", trial(rng, CLASSES))
        report = unpack(tmp_path / "in", tmp_path / "out", parts=["geotiff"], records=self.records(tmp_path))
        assert report.rows[0]["files"] == []
        assert "no row of the records" in report.rows[0]["doubts"]
        write_result(tmp_path / "in" / "beach_ID3.npz", trial(rng, CLASSES))
        where = {"parts": ["geojson"], "records": self.records(tmp_path)}
        unpack(tmp_path / "in" / "beach_ID3.npz", tmp_path / "vectors", **where)
        found = json.loads((tmp_path / "vectors" / "geojson" / "beach_ID3.geojson").read_text())
        assert found["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::26911"
        points = np.concatenate([r for one in found["features"] for r in one["geometry"]["coordinates"]])
        assert (points.min(0) == [300000, 3700000]).all()
        assert (points.max(0) == [300300, 3700200]).all()
        with pytest.raises(ValueError, match="records must be given for geotiff"):
            unpack(tmp_path / "in", tmp_path / "o2", parts=["geotiff"])


def test_odd_results(tmp_path, rng):
    """Names twice and without text, doodles of other types, trials that are not alike: found by trying out."""
    one, two = trial(rng, ["water", "", "water"]), trial(rng, CLASSES[:2])
    one["doodles"] = one["doodles"].astype(np.int64)
    two["doodles"] = (two["doodles"] > 0) & (two["doodles"] < 2)
    del two["classes"], one["color_doodles"]
    path = write_result(tmp_path / "a_ann.npz", one, two)
    report = unpack(path, tmp_path / "out", trials="all", datasets=["coco", "panoptic"])
    assert not report.failed
    found = maskmill.io.read(tmp_path / "out" / "instances.json")
    assert found.categories["name"].tolist() == ["water", "#2", "water#3", "1", "2"]
    assert found.instances["area"].sum() == 2 * 20 * 30


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"doodles": np.full((20, 30), -1)}, "doodles: expected classes up to 3, found -1 to -1"),
        ({"image": np.zeros((20, 30, 0), np.uint8)}, "image: expected an image of 8 bits"),
        ({"image": np.zeros((20, 30, 3), np.float32)}, "image: expected an image of 8 bits, found float32"),
        (
            {"label": np.full((20, 30, 3), 9, np.uint8), "classes": np.array(["x"] * 26)},
            "colours of up to 24",
        ),
        ({"classes": np.array(["a", None], object)}, "classes: expected a list of text, found object"),
    ],
)
def test_refused_by_name(tmp_path, rng, changes, said):
    path = tmp_path / "a_ann.npz"
    np.savez(path, **{**trial(rng, CLASSES), **changes})
    [failure] = unpack(path, tmp_path / "out").failed
    assert said in failure.reason
    assert str(path) in failure.reason
