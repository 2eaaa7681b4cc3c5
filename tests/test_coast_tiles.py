"""Tiles of one class, pairs for Segmentation Gym, and results made of pictures and labels."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doodled import same_arrays, trial, write_result
from maskmill import FormatError
from maskmill.cli import main
from maskmill.io.doodler import colour_map, read_arrays
from maskmill.io.images import read_image
from maskmill.io.pictures import write_picture
from maskmill.studies.coast import built_in, find, npz4gym, pack, read, read_gym, tiles, unpack
from maskmill.studies.coast.ledger import Source
from maskmill.studies.coast.tiling import class_folders, share_out, summary

CLASSES = ["water", "sand", "dev"]


def halves(rng, size=(40, 60)):
    """Water on the left of column 20, sand on the right; a corner without a class."""
    labels = np.zeros(size, int)
    labels[:, 20:] = 1
    one = trial(rng, CLASSES, size=size)
    one["label"] = np.eye(2, dtype=np.uint8)[labels]
    one["label"][30:, 50:] = 0
    return one


class TestTiles:
    def test_windows(self, tmp_path, rng):
        one = halves(rng)
        write_result(tmp_path / "a_ann.npz", one)
        report = tiles(tmp_path / "a_ann.npz", tmp_path / "out", size=10, purity=0.7)
        about, *found = report.rows
        assert about["windows"] == 7 * 11
        assert about["kept"] == len(found) == len(list((tmp_path / "out").rglob("*.png")))
        assert about["kept"] + about["mixed"] + about["unlabelled"] == about["windows"]
        label = one["label"]
        for row in found:
            y, x = row["row"], row["column"]
            assert row["files"] == [f"tile_10/{row['class']}/a_ann_r{y}_c{x}.png"]
            tile = read_image(tmp_path / "out" / row["files"][0])
            assert np.array_equal(tile, one["image"][y : y + 10, x : x + 10])
            share = label[y : y + 10, x : x + 10, CLASSES.index(row["class"])].mean()
            assert row["share"] == pytest.approx(share)
            assert share > 0.7
        expected = sum(
            label[y : y + 10, x : x + 10].mean((0, 1)).max() > 0.7
            for y in range(0, 31, 5)
            for x in range(0, 51, 5)
        )
        assert len(found) == expected

    def test_a_share_of_exactly_the_limit_is_not_kept(self, tmp_path, rng):
        write_result(tmp_path / "a_ann.npz", halves(rng, (20, 40)))
        report = tiles(tmp_path / "a_ann.npz", tmp_path / "out", size=20, stride=10, purity=0.5)
        assert [row["column"] for row in report.rows[1:]] == [0, 20]

    def test_small_pictures(self, tmp_path, rng):
        write_result(tmp_path / "a_ann.npz", trial(rng, CLASSES))
        report = tiles(tmp_path / "a_ann.npz", tmp_path / "out")
        assert report.rows[0]["windows"] == 0
        assert len(report.rows) == 1

    @pytest.mark.parametrize("bands", [None, 1, 2, 4])
    def test_bands(self, tmp_path, rng, bands):
        image = rng.integers(0, 256, (20, 30, *([bands] if bands else [])), np.uint8)
        write_result(tmp_path / "a_ann.npz", {**trial(rng, CLASSES), "image": image})
        report = tiles(tmp_path / "a_ann.npz", tmp_path / "out", size=5)
        tile = read_image(tmp_path / "out" / report.rows[1]["files"][0])
        assert tile.shape == ((5, 5, 3) if bands == 4 else (5, 5))

    def test_parts_share_no_picture(self, tmp_path, rng):
        """Files of one name but for the labeller, and files of the same pixels, stay together."""
        pictures = [halves(rng) for _ in range(8)]
        for k, one in enumerate(pictures):
            for user in ("ID1", "ID2"):
                write_result(tmp_path / "in" / f"scene{k}_{user}.npz", one)
        write_result(tmp_path / "in" / "other_ID3.npz", pictures[3])
        report = tiles(tmp_path / "in", tmp_path / "out", size=20, parts={"train": 0.5, "val": 0.5}, seed=3)
        part = {row["name"]: row["part"] for row in report.rows}
        assert set(part.values()) == {"train", "val"}
        assert all(part[f"scene{k}_ID1"] == part[f"scene{k}_ID2"] for k in range(8))
        assert part["other_ID3"] == part["scene3_ID1"]
        assert {row["part"] for row in summary(report)} == {"train", "val"}
        assert all(
            row["files"][0].startswith(f"tile_20/{row['part']}/") for row in report.rows if row["files"]
        )
        write_result(tmp_path / "in" / "new_ID3.npz", pictures[0])
        with pytest.raises(ValueError, match="was begun with part_of"):
            tiles(tmp_path / "in", tmp_path / "out", size=20, parts={"train": 0.5, "val": 0.5}, seed=3)

    def test_joined_through_a_third(self, tmp_path, rng):
        a, b = halves(rng), halves(rng)
        files = {"x_ID1": a, "y_ID1": b, "y_ID2": a, "z_ID1": halves(rng)}
        given = [Source(write_result(tmp_path / f"{k}.npz", v), k) for k, v in files.items()]
        part = share_out(given, {"one": 0.5, "two": 0.5}, 0)
        assert part["x_ID1"] == part["y_ID1"] == part["y_ID2"] != part["z_ID1"]

    def test_names_of_folders(self, tmp_path, rng):
        names = ["../../evil", "a/b", "a\\b", "", "A_B", "..", "con\0"]
        found = class_folders(names)
        assert len({name.lower() for name in found}) == len(names)
        assert all(
            name and "/" not in name and "\\" not in name and not name.startswith(".") for name in found
        )
        one = trial(rng, names[:3])
        write_result(tmp_path / "in" / "a_ann.npz", one)
        tiles(tmp_path / "in", tmp_path / "out", size=5)
        assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"size": 0}, "size must be 1 to"),
            ({"stride": 0}, "stride must be 1 to"),
            ({"purity": 1.5}, "purity must be 0 to 1"),
            ({"purity": float("nan")}, "purity must be 0 to 1"),
            ({"parts": {"../x": 1}}, "parts must have names"),
            ({"parts": {"a": -1}}, "shares of at least 0"),
            ({"trials": "some"}, "newest or all"),
        ],
    )
    def test_wrong(self, tmp_path, rng, options, said):
        write_result(tmp_path / "a_ann.npz", trial(rng, CLASSES))
        with pytest.raises(ValueError, match=said):
            tiles(tmp_path / "a_ann.npz", tmp_path / "out", **options)

    def test_verb(self, tmp_path, rng, capsys):
        write_result(tmp_path / "in" / "a_ann.npz", halves(rng))
        args = ["coast", "tiles", str(tmp_path / "in"), str(tmp_path / "out"), "-t", "10", "--quiet"]
        assert main([*args, "--split", "train=1"]) == 0
        told = capsys.readouterr().out
        assert "train water: " in told
        assert "of 77 windows" in told
        assert main([*args, "--split", "train"]) == 2


class TestGym:
    def test_padded(self, tmp_path, rng):
        one = trial(rng, CLASSES, depth=2)
        write_result(tmp_path / "a_ann.npz", one)
        report = npz4gym(tmp_path / "a_ann.npz", tmp_path / "out")
        path = tmp_path / "out" / "a_ann_3classes_4zoo.npz"
        assert report.rows[0]["files"] == [path.name]
        found = np.load(path)
        assert found.files == ["arr_0", "arr_1"]
        assert np.array_equal(found["arr_0"], one["image"])
        assert found["arr_1"].shape == (20, 30, 3)
        assert np.array_equal(found["arr_1"][..., :2], one["label"])
        pair = read_gym(path)
        assert np.array_equal(pair.labels, one["label"].argmax(-1) + 1)
        assert find(tmp_path) == [tmp_path / "a_ann.npz"]  # the pair is no result

    def test_bands_and_superclasses(self, tmp_path, rng):
        image = rng.integers(0, 256, (20, 30, 4), np.uint8)
        write_result(tmp_path / "a_ann.npz", {**trial(rng, CLASSES), "image": image})
        npz4gym(tmp_path / "a_ann.npz", tmp_path / "rgb", remap=built_in())
        npz4gym(tmp_path / "a_ann.npz", tmp_path / "all", bands="all", trials="all")
        pair = read_gym(tmp_path / "rgb" / "a_ann_7classes_4zoo.npz")
        assert np.array_equal(pair.image, image[..., :3])
        assert np.array_equal(read_gym(tmp_path / "all" / "a_ann_trial1_3classes_4zoo.npz").image, image)

    def test_merged_inputs(self, tmp_path):
        """As merge_nd_inputs4pred of doodleverse_utils writes them: without a label, with num_bands and files."""
        image = np.arange(60, dtype=np.float32).reshape(4, 5, 3)
        np.savez(tmp_path / "a.npz", arr_0=image, num_bands=3, files=["a.png", "b.png"])
        pair = read_gym(tmp_path / "a.npz")
        assert pair.labels is None
        assert pair.files == ("a.png", "b.png")

    @pytest.mark.parametrize(
        ("arrays", "said"),
        [
            ({"arr_1": np.zeros((4, 5, 2))}, "arr_0: expected an image"),
            ({"arr_0": np.zeros((4, 5)), "arr_1": np.zeros((4, 6, 2), int)}, "arr_1: expected .4, 5. pixels"),
            ({"arr_0": np.zeros((4, 5)), "arr_1": np.full((4, 5, 2), 3)}, "expected 0 and 1"),
            ({"arr_0": np.zeros((4, 5)), "arr_1": np.ones((4, 5, 2), int)}, "one class for each pixel"),
            ({"arr_0": np.zeros((4, 5, 3)), "num_bands": 4}, "num_bands: expected the bands"),
            ({"arr_0": np.array([[None]])}, "pickled objects"),
            ({"arr_0": np.zeros((4, 5)), "files": np.zeros(2)}, "files: expected names"),
        ],
    )
    def test_wrong(self, tmp_path, arrays, said):
        np.savez(tmp_path / "a.npz", **arrays)
        with pytest.raises(FormatError, match=said):
            read_gym(tmp_path / "a.npz")

    def test_verbs(self, tmp_path, rng, capsys):
        write_result(tmp_path / "a_ann.npz", trial(rng, CLASSES))
        assert main(["coast", "npz4gym", str(tmp_path / "a_ann.npz"), str(tmp_path / "out"), "--quiet"]) == 0
        np.savez(tmp_path / "out" / "pred_4zoo.npz", arr_0=np.zeros((20, 30, 6), np.uint16))
        show = ["coast", "show", str(tmp_path / "out"), str(tmp_path / "show"), "--gym", "--quiet"]
        assert main(show) == 0
        assert len(list((tmp_path / "show").glob("*_disp.png"))) == 2
        assert main([*show, "--classes", "a,b", "--overwrite"]) == 3
        assert "a_ann_3classes_4zoo.npz: arr_1: expected 2 classes, found 3" in capsys.readouterr().err


class TestPack:
    @pytest.mark.parametrize("base", [0, 1])
    def test_what_was_unpacked(self, tmp_path, rng, base):
        one = trial(rng, CLASSES)
        one["label"][2:4, 5:9] = 0
        del one["settings"]
        path = write_result(tmp_path / "in" / "a_ann.npz", one)
        out = tmp_path / "out"
        unpack(path, out, base=base)
        report = pack(
            out / "images", out / "labels", tmp_path / "again", CLASSES, base=base, doodles=out / "doodles"
        )
        assert report.rows[0]["snapped"] == 0
        assert same_arrays(path, tmp_path / "again" / "a_ann.npz")

    @pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
    def test_kinds_of_labels(self, tmp_path, rng, suffix):
        labels = rng.integers(0, 3, (20, 30)).astype(np.uint8)
        picture = rng.integers(0, 256, (20, 30, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "x_image.jpg"), picture)
        for name, image in ((f"x_label{suffix}", labels), (f"y{suffix}", colour_map(3)[labels])):
            if suffix == ".tif":
                pytest.importorskip("tifffile").imwrite(tmp_path / name, image)
            else:
                cv2.imwrite(str(tmp_path / name), image[..., ::-1] if image.ndim == 3 else image)
        cv2.imwrite(str(tmp_path / "y_image.png"), picture)
        for name, label in (("x", f"x_label{suffix}"), ("y", f"y{suffix}")):
            image = tmp_path / ("x_image.jpg" if name == "x" else "y_image.png")
            report = pack(image, tmp_path / label, tmp_path / name, CLASSES, user="ID1")
            assert report.failed == []
            [found] = read(tmp_path / name / f"{name}_ID1.npz")
            assert np.array_equal(found.labels(), labels + 1)

    def test_jpeg_labels(self, tmp_path, rng):
        """Values that are no class's become the nearest one, and are counted."""
        labels = rng.integers(0, 3, (12, 14)).repeat(5, 0).repeat(5, 1).astype(np.uint8)
        write_picture(tmp_path / "x.png", np.zeros((60, 70, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "x_label.jpg"), labels, [cv2.IMWRITE_JPEG_QUALITY, 100])
        stored = cv2.imread(str(tmp_path / "x_label.jpg"), cv2.IMREAD_UNCHANGED)
        [row] = pack(tmp_path / "x.png", tmp_path / "x_label.jpg", tmp_path / "out", CLASSES).rows
        assert row["snapped"] == np.count_nonzero(stored > 2) > 0
        [found] = read(tmp_path / "out" / "x.npz")
        assert np.array_equal(found.labels(), np.minimum(stored, 2) + 1)
        gray = np.repeat(stored[..., None], 3, 2)  # the same as three channels, and as colours
        cv2.imwrite(str(tmp_path / "x_label.png"), gray)
        [row] = pack(tmp_path / "x.png", tmp_path / "x_label.png", tmp_path / "gray", CLASSES, snap=True).rows
        assert row["snapped"] == np.count_nonzero(stored > 2)
        cv2.imwrite(
            str(tmp_path / "x_label.jpg"), colour_map(3)[labels][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95]
        )
        [row] = pack(tmp_path / "x.png", tmp_path / "x_label.jpg", tmp_path / "colours", CLASSES).rows
        assert row["snapped"] > 0
        assert np.mean(read(tmp_path / "colours")[0].labels() != labels + 1) < 0.02

    def test_real_labels_as_jpeg(self, data, tmp_path):
        """What JPEG of the best quality does to the labels of a published example."""
        [path] = (data / "doodler").glob("*2021-10-16-14-15*.npz")
        [trial_] = read(path)
        write_picture(tmp_path / "x.png", trial_.array("image"))
        cv2.imwrite(str(tmp_path / "x_label.jpg"), trial_.labels() - 1, [cv2.IMWRITE_JPEG_QUALITY, 100])
        [row] = pack(tmp_path / "x.png", tmp_path / "x_label.jpg", tmp_path / "out", trial_.classes).rows
        lost = np.count_nonzero(read(tmp_path / "out")[0].labels() != trial_.labels())
        assert row["snapped"] > 0
        assert lost < 1000

    def test_turned_by_exif(self, tmp_path, rng):
        pil = pytest.importorskip("PIL.Image")
        image = rng.integers(0, 256, (20, 30, 3), np.uint8)
        exif = pil.Exif()
        exif.update({274: 6, 296: 3})
        pil.fromarray(image).save(tmp_path / "x.png", exif=exif)
        write_picture(tmp_path / "x_label.png", np.zeros((30, 20), np.uint8))
        report = pack(tmp_path / "x.png", tmp_path / "x_label.png", tmp_path / "out", CLASSES)
        assert report.rows[0]["turned_by_exif"] == 6
        [found] = read(tmp_path / "out")
        assert np.array_equal(found.array("image"), np.rot90(image, -1))
        assert np.array_equal(found.array("orig_image"), image)

    def test_upon_a_result(self, tmp_path, rng):
        old = write_result(tmp_path / "results" / "x_ID1.npz", trial(rng, CLASSES), trial(rng, CLASSES))
        write_picture(tmp_path / "x.png", np.zeros((20, 30, 3), np.uint8))
        write_picture(tmp_path / "x_label.png", np.zeros((20, 30), np.uint8))
        args = (tmp_path / "x.png", tmp_path / "x_label.png")
        report = pack(*args, tmp_path / "new", CLASSES, user="ID1", onto=tmp_path / "results")
        assert report.rows[0]["upon"] == str(old)
        found = read(tmp_path / "new" / "x_ID1.npz")
        assert [t.prefix for t in found] == ["00", "0", ""]
        pushed = dict(read_arrays(tmp_path / "new" / "x_ID1.npz"))
        assert all(np.array_equal(pushed[f"0{name}"], array) for name, array in read_arrays(old))
        with pytest.raises(ValueError, match="another folder"):
            pack(*args, tmp_path / "results", CLASSES, user="ID1", onto=tmp_path / "results")

    def test_what_is_wrong(self, tmp_path):
        for folder, name, size, value in (
            ("images", "a.png", (4, 5), 0),
            ("images", "b.png", (4, 5), 0),
            ("images", "c.png", (4, 5), 0),
            ("labels", "a_label.png", (4, 5), 1),
            ("labels", "b_label.png", (5, 4), 0),
            ("labels", "c_label.png", (4, 5), 7),
            ("labels", "d_label.png", (4, 5), 0),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_picture(tmp_path / folder / name, np.full(size, value, np.uint8))
        report = pack(tmp_path / "images", tmp_path / "labels", tmp_path / "out", CLASSES)
        assert report.done == 1
        assert [failure.reason.split(": ", 1)[1] for failure in report.failed] == [
            "expected 4 x 5 pixels as b.png, found 5 x 4",
            "expected values of 3 classes from 0, 255 for none, or their colours; found 7 at row 0, column 0",
            f"expected a picture of this name in {tmp_path / 'images'}, found none",
        ]
        report = pack(tmp_path / "images", tmp_path / "labels", tmp_path / "snapped", CLASSES, snap=True)
        assert [row["snapped"] for row in report.rows] == [0, 20]
        write_picture(tmp_path / "labels" / "a.png", np.zeros((4, 5), np.uint8))
        with pytest.raises(ValueError, match="must have a name of its own"):
            pack(tmp_path / "images", tmp_path / "labels", tmp_path / "out", CLASSES)
        for classes in ([], ["x"] * 25, "water"):
            with pytest.raises(ValueError, match="classes must be 1 to 24 names"):
                pack(tmp_path / "images", tmp_path / "labels", tmp_path / "out", classes)

    def test_a_picture_that_changed(self, tmp_path):
        write_picture(tmp_path / "x.png", np.zeros((4, 5), np.uint8))
        write_picture(tmp_path / "x_label.png", np.zeros((4, 5), np.uint8))
        args = (tmp_path / "x.png", tmp_path / "x_label.png", tmp_path / "out", CLASSES)
        assert pack(*args).done == 1
        assert pack(*args).unchanged == 1
        write_picture(tmp_path / "x.png", np.ones((4, 5), np.uint8))
        assert pack(*args).done == 1

    def test_verb(self, tmp_path, capsys):
        write_picture(tmp_path / "x.png", np.zeros((4, 5), np.uint8))
        write_picture(tmp_path / "x_label.png", np.full((4, 5), 9, np.uint8))
        args = [
            "coast",
            "pack",
            *(str(tmp_path / name) for name in ("x.png", "x_label.png", "out")),
            "--quiet",
        ]
        assert main(args) == 2
        assert main([*args, "--classes", "water,land"]) == 3
        assert "found 9 at row 0" in capsys.readouterr().err
        assert main([*args, "--classes", "water,land", "--snap", "--overwrite"]) == 0
        assert "20 px of 1 labels were no class's" in capsys.readouterr().out


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_results(tmp_path_factory, data):
    """Some bytes changed: every verb does its work or says what is wrong, and nothing else is raised."""
    folder = tmp_path_factory.mktemp("damaged")
    path = write_result(folder / "a_ann.npz", trial(np.random.default_rng(1), CLASSES))
    blob = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(blob[: data.draw(st.integers(1, len(blob)))] if data.draw(st.booleans()) else blob)
    for k, verb in enumerate((unpack, npz4gym, tiles)):
        report = verb(path, folder / str(k), **({"size": 5} if verb is tiles else {}), processes=1)
        assert report.done + len(report.failed) == 1
        assert all(str(path) in failure.reason for failure in report.failed)
        assert json.loads((folder / str(k) / "manifest.json").read_text())["verb"] == verb.__name__
