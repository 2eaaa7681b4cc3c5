"""ilastik: exports with any axes, labels of projects in blocks, and files that declare what they do not have."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maskmill.io
import maskmill.io.ilastik
from annotations import assert_report, random_dataset, read_or_refused
from maskmill import Dataset, FormatError, Masks
from maskmill.io._ilastik_export import Plane, open_export
from maskmill.io._ilastik_project import open_project

h5py = pytest.importorskip("h5py")

KINDS = {"c": 1, "x": 2, "y": 2, "z": 2, "t": 8}


def tags(axes: str) -> str:
    return json.dumps(
        {"axes": [{"key": a, "typeFlags": KINDS[a], "resolution": 0, "description": ""} for a in axes]}
    )


def export(
    path: Path, array: np.ndarray, axes: str | None, name: str = "exported_data", **attributes
) -> Path:
    with h5py.File(path, "a") as file:
        made = file.create_dataset(name, data=array)
        if axes is not None:
            attributes["axistags"] = tags(axes)
        for key, value in attributes.items():
            made.attrs[key] = value
    return path


@pytest.fixture
def labels(rng):
    """(12, 17) of 0 to 3."""
    return rng.integers(0, 4, (4, 6)).repeat(3, 0).repeat(3, 1)[:, :17].astype(np.uint8)


class TestExports:
    @pytest.mark.parametrize("axes", ["yx", "xy", "yxc", "cyx", "xyc", "zyxc", "tyx", "tzyxc"])
    def test_axes(self, tmp_path, labels, axes):
        stack = np.stack([labels, labels[::-1]])
        whole = {"y": 12, "x": 17, "c": 1, "z": 2, "t": 1 if "z" in axes else 2}
        array = np.zeros([whole[a] for a in axes], np.uint8)
        for k in range(2 if "z" in axes or "t" in axes else 1):
            first = "z" if "z" in axes else "t"
            index = tuple(k if a == first else 0 if a in "tc" else slice(None) for a in axes)
            array[index] = stack[k] if axes.index("y") < axes.index("x") else stack[k].T
        path = export(tmp_path / "a.h5", array, axes)
        dataset = maskmill.io.read(path)
        assert dataset.provenance[-1]["format"] == "ilastik"
        assert len(dataset) == (2 if "z" in axes or "t" in axes else 1)
        for k, row in enumerate(dataset.images):
            assert (row["height"], row["width"]) == (12, 17)
            assert np.array_equal(row["semantic"].read(), stack[k])
        assert dataset.categories["name"].tolist() == ["Label 1", "Label 2", "Label 3"]
        assert not dataset.info["ilastik"]["a.h5"]["axes_guessed"]
        assert len({*dataset.images["file_name"]}) == len(dataset)

    def test_any_name_at_any_depth(self, tmp_path, labels):
        path = export(tmp_path / "a.h5", labels, "yx", "a/b/c/my labels [1]")
        assert np.array_equal(maskmill.io.read(path).images["semantic"][0].read(), labels)
        export(path, labels.T, "yx", "other")
        with pytest.raises(ValueError, match=r"dataset must be one of a/b/c/my labels \[1\], other"):
            maskmill.io.read(path)
        with pytest.raises(ValueError, match="not 'nothing'"):
            maskmill.io.read(path, dataset="nothing")
        assert np.array_equal(maskmill.io.read(path, dataset="/other").images["semantic"][0].read(), labels.T)

    def test_tags_as_bytes(self, tmp_path, labels):
        path = export(tmp_path / "a.h5", labels[..., None], None, axistags=np.bytes_(tags("yxc")))
        assert open_export(path).axes == "yxc"

    @pytest.mark.parametrize(
        ("shape", "kind", "axes"),
        [
            ((5, 6), "u1", "yx"),
            ((5, 6, 1), "u1", "yxc"),
            ((5, 6, 3), "f4", "yxc"),
            ((5, 6, 7), "u1", "zyx"),
            ((3, 5, 6, 1), "u1", "zyxc"),
            ((2, 3, 5, 6), "u1", "tzyx"),
            ((2, 3, 5, 6, 1), "u1", "tzyxc"),
        ],
    )
    def test_without_tags(self, tmp_path, shape, kind, axes):
        path = export(tmp_path / "a.h5", np.zeros(shape, kind), None)
        assert (open_export(path).axes, open_export(path).guessed) == (axes, True)
        assert maskmill.io.read(path).info["ilastik"]["a.h5"]["axes_guessed"]
        turned = axes.replace("y", "-").replace("x", "y").replace("-", "x")
        said = open_export(path, axes=turned)
        assert (said.axes, said.guessed) == (turned, False)

    def test_probabilities(self, tmp_path, rng):
        p = rng.random((12, 17, 3)).astype(np.float32)
        p /= p.sum(2, keepdims=True)
        p[0, 0], p[1, 1] = 0, np.nan
        dataset = maskmill.io.read(export(tmp_path / "a.h5", p, "yxc"))
        found = dataset.images["semantic"][0].read()
        assert found[0, 0] == found[1, 1] == 0
        assert np.array_equal(found.ravel()[20:], p.argmax(2).ravel()[20:] + 1)
        assert np.array_equal(dataset.images["attributes"][0]["probabilities"].read(), p, equal_nan=True)
        assert len(dataset.categories) == 3

    def test_whole_probabilities_are_scaled(self, tmp_path):
        p = np.array([[[0, 200], [50, 150]]], np.uint8)
        for name, drange, top in (("a.h5", {"drange": np.array([0, 200])}, 200), ("b.h5", {}, 255)):
            dataset = maskmill.io.read(export(tmp_path / name, p, "yxc", **drange))
            found = dataset.images["attributes"][0]["probabilities"].read()
            assert np.allclose(found, p / top)

    def test_names_of_classes(self, tmp_path, labels):
        path = export(tmp_path / "a.h5", labels, "yx")

        def names(**options):
            return maskmill.io.read(path, **options).categories["name"].tolist()

        assert names(classes=["rock", "void"]) == ["rock", "void", "Label 3"]
        assert names(classes={3: "void", 9: "later"}) == ["Label 1", "Label 2", "void", "later"]
        (tmp_path / "legend.json").write_text('{"1": "a", "2": "b"}')
        assert names(classes=str(tmp_path / "legend.json")) == ["a", "b", "Label 3"]
        legend = [{"id": 2, "name": "two", "color": "#FF0000"}, {"id": 0, "name": "none"}]
        (tmp_path / "a_classes.json").write_text(json.dumps(legend))
        assert names() == ["Label 1", "two", "Label 3"]
        assert maskmill.io.read(path).categories["attributes"][1] == {"color": "#FF0000"}
        project(tmp_path / "p.ilp", [])
        assert names(classes=tmp_path / "p.ilp") == ["grain", "matrix", "Label 3"]

    def test_the_picture_beside(self, tmp_path, labels):
        cv2.imwrite(str(tmp_path / "core 7.png"), np.zeros((12, 17, 3), np.uint8))
        path = export(tmp_path / "core 7_Simple Segmentation.h5", labels, "yx")
        row = maskmill.io.read(path).images.row(0)
        assert row["file_name"] == "core 7.png"
        assert row["pixels"].read().shape == (12, 17, 3)

    def test_components(self, tmp_path, labels):
        dataset = maskmill.io.read(export(tmp_path / "a.h5", labels, "yx"), components=True)
        painted = np.zeros(labels.shape, int)
        for mask, row in zip(dataset.masks.decode(), dataset.instances, strict=True):
            painted[mask > 0] = row["category"] + 1
        assert np.array_equal(painted, labels)


def project(path: Path, lanes: list[dict], names=("grain", "matrix"), infos: bool = True) -> Path:
    """A project: of each lane axes, blocks [(slice, labels)], and optionally picture, shape, number."""
    with h5py.File(path, "w") as file:
        file["ilastikVersion"] = b"1.2.2post1"
        file["workflowName"] = b"Pixel Classification"
        classes = file.create_group("PixelClassification")
        empty = np.array([2.49e-314])  # what an empty list holds
        classes["LabelNames"] = empty if names is None else np.array(names, "S")
        classes["LabelNames"].attrs["isEmpty"] = names is None
        classes["LabelColors"] = empty if names is None else np.array([[255, 0, 0], [0, 255, 0]])
        classes["LabelColors"].attrs["isEmpty"] = names is None
        classes["ClassifierFactory"] = pickle.dumps(print, 0)
        for i, lane in enumerate(lanes):
            number = lane.get("number", i)
            if infos:
                info = file.create_group(f"Input Data/infos/lane{number:04}/Raw Data")
                info["axisorder"] = lane["axes"].encode()
                info["filePath"] = lane.get("picture", f"picture{number}.png").encode()
                info["nickname"] = f"picture {number}".encode()
                if "shape" in lane:
                    info["shape"] = np.array(lane["shape"])
            for k, (where, labels) in enumerate(lane["blocks"]):
                block = classes.create_dataset(f"LabelSets/labels{number:03}/block{k:04}", data=labels)
                block.attrs["blockSlice"] = where
    return path


def ones(*shape: int, value: int = 1) -> np.ndarray:
    return np.full(shape, value, np.uint8)


class TestProjects:
    def test_blocks(self, tmp_path):
        blocks = [("[2:5,3:9,0:1]", ones(3, 6, 1)), ("[5:7,3:4,0:1]", ones(2, 1, 1, value=2))]
        path = project(tmp_path / "p.ilp", [{"axes": "yx", "blocks": blocks}])
        dataset = maskmill.io.read(path)
        wanted = np.zeros((7, 9), np.uint8)
        wanted[2:5, 3:9], wanted[5:7, 3] = 1, 2
        assert np.array_equal(dataset.images["semantic"][0].read(), wanted)
        assert dataset.categories["name"].tolist() == ["grain", "matrix"]
        assert dataset.categories["attributes"][0] == {"color": [255, 0, 0]}
        assert dataset.images["attributes"][0] == {
            "lane": 0, "nickname": "picture 0", "size_from": "blocks", "conflicts": 0,
        }  # fmt: skip
        assert dataset.info["ilastik"]["version"] == "1.2.2post1"

    def test_the_size_is_the_pictures(self, tmp_path):
        blocks = [("[2:5,3:9,0:1]", ones(3, 6, 1))]
        path = project(tmp_path / "p.ilp", [{"axes": "yx", "blocks": blocks, "picture": "..\\photos\\a.png"}])
        cv2.imwrite(str(tmp_path / "a.png"), np.zeros((20, 30), np.uint8))
        row = maskmill.io.read(path).images.row(0)
        assert (row["file_name"], row["height"], row["width"]) == ("a.png", 20, 30)
        assert row["attributes"]["size_from"] == "picture"
        assert row["semantic"].read().shape == (20, 30)
        cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 30), np.uint8))
        with pytest.raises(
            FormatError, match=r"block0000: expected a block within the image of 4 x 30 pixels"
        ):
            maskmill.io.read(path)

    def test_the_size_is_the_projects(self, tmp_path):
        lane = {"axes": "yx", "blocks": [("[2:5,3:9,0:1]", ones(3, 6, 1))], "shape": (40, 50)}
        row = maskmill.io.read(project(tmp_path / "p.ilp", [lane])).images.row(0)
        assert (row["height"], row["width"], row["attributes"]["size_from"]) == (40, 50, "project")

    def test_blocks_that_disagree(self, tmp_path):
        blocks = [
            ("[0:2,0:2,0:1]", np.array([[1, 0], [1, 1]], np.uint8)[..., None]),
            ("[0:2,0:2,0:1]", np.array([[2, 2], [0, 1]], np.uint8)[..., None]),
        ]
        row = maskmill.io.read(project(tmp_path / "p.ilp", [{"axes": "yx", "blocks": blocks}])).images.row(0)
        assert row["semantic"].read().tolist() == [[1, 2], [1, 1]]
        assert row["attributes"]["conflicts"] == 1

    def test_volumes(self, tmp_path):
        block = np.zeros((6, 4, 5, 1), np.uint8)
        block[0, 1, 2], block[4, 3, 3] = 1, 2
        lane = {"axes": "zyx", "blocks": [("[3:9,10:14,20:25,0:1]", block)]}
        dataset = maskmill.io.read(project(tmp_path / "p.ilp", [lane]))
        assert dataset.images["file_name"].tolist() == ["picture0_z0003.png", "picture0_z0007.png"]
        assert [np.argwhere(r.read()).tolist() for r in dataset.images["semantic"]] == [
            [[11, 22]],
            [[13, 23]],
        ]
        [lane_] = open_project(tmp_path / "p.ilp").lanes
        where, values = lane_.points()
        assert where.tolist() == [[3, 11, 22, 0], [7, 13, 23, 0]]
        assert values.tolist() == [1, 2]

    def test_five_axes_though_the_image_has_two(self, tmp_path):
        blocks = [("[0:1, 0:1, 2:4, 3:5, 0:1]", ones(1, 1, 2, 2, 1))]
        row = maskmill.io.read(project(tmp_path / "p.ilp", [{"axes": "yx", "blocks": blocks}])).images.row(0)
        assert row["semantic"].read()[2:4, 3:5].tolist() == [[1, 1], [1, 1]]

    def test_lanes_by_number(self, tmp_path):
        lanes = [
            {"axes": "yx", "number": n, "blocks": [(f"[0:1,0:{n},0:1]", ones(1, n, 1))] if n != 5 else []}
            for n in (1000, 5, 999, 20)
        ]
        dataset = maskmill.io.read(project(tmp_path / "p.ilp", lanes))
        assert [row["attributes"]["lane"] for row in dataset.images] == [5, 20, 999, 1000]
        assert dataset.images["width"].tolist() == [0, 20, 999, 1000]
        assert dataset.images["semantic"][0] is None
        assert int(dataset.images["semantic"][3].read().sum()) == 1000

    def test_nothing_in_it(self, tmp_path):
        dataset = maskmill.io.read(project(tmp_path / "p.ilp", [], names=None))
        assert (len(dataset), len(dataset.categories)) == (0, 0)
        with h5py.File(tmp_path / "q.ilp", "w") as file:
            file.create_group("Input Data")
        assert len(maskmill.io.read(tmp_path / "q.ilp")) == 0

    def test_without_names_or_lanes(self, tmp_path):
        lane = {"axes": "yx", "blocks": [("[0:1,0:1,0:1]", ones(1, 1, 1, value=2))]}
        dataset = maskmill.io.read(project(tmp_path / "p.ilp", [lane], names=None, infos=False))
        assert dataset.categories["name"].tolist() == ["Label 2"]
        assert dataset.images["file_name"].tolist() == ["lane0000"]

    @pytest.mark.parametrize(
        ("where", "labels", "what"),
        [
            ("[0:2,0:2,0:1]", ones(2, 3, 1), "expected the shape of its blockSlice"),
            ("[0:2,0:3]", ones(2, 3), "expected a blockSlice such as"),
            ("[0:2,0:3,0:1", ones(2, 3, 1), "expected a blockSlice such as"),
            ("[2:0,3:0,1:0]", ones(2, 3, 1), "expected the shape of its blockSlice"),
            ("[-2:0,0:3,0:1]", ones(2, 3, 1), "expected a blockSlice such as"),
            ("[999999997:999999999,0:3,0:1]", ones(2, 3, 1), "expected a block within an image"),
            ("[16777210:16777212,16777210:16777213,0:1]", ones(2, 3, 1), "expected an image of up to"),
            ("[0:2,0:3,0:1]", np.full((2, 3, 1), 300), "expected classes 0 to 255"),
            ("[0:2,0:3,0:1]", np.full((2, 3, 1), 0.5), "expected an array of numbers, found float64"),
            (b"\xff\xfe", ones(2, 3, 1), "expected a blockSlice such as"),
            (7, ones(2, 3, 1), "expected a blockSlice such as"),
        ],
    )  # fmt: skip
    def test_blocks_that_cannot_be(self, tmp_path, where, labels, what):
        path = project(tmp_path / "p.ilp", [{"axes": "yx", "blocks": [(where, labels)]}])
        with pytest.raises(FormatError, match=what) as caught:
            maskmill.io.read(path)
        assert str(path) in str(caught.value)
        assert "block0000" in str(caught.value) or "labels000" in str(caught.value)


class TestWriting:
    def test_one_image(self, tmp_path, labels):
        before = maskmill.io.read(export(tmp_path / "a.h5", labels, "yx"), classes=["rock", "void", "é"])
        assert maskmill.io.write(before, tmp_path / "out" / "a.h5").lossless
        with h5py.File(tmp_path / "out" / "a.h5") as file:
            array = file["exported_data"]
            assert (array.shape, array.dtype) == ((12, 17, 1), np.uint8)
            assert json.loads(array.attrs["axistags"]) == json.loads(tags("yxc"))
            assert array.attrs["drange"].tolist() == [0, 3]
            assert np.array_equal(array[..., 0], labels)
        after = maskmill.io.read(tmp_path / "out" / "a.h5")
        assert after.categories["name"].tolist() == ["rock", "void", "é"]

    def test_a_folder(self, tmp_path, labels):
        stack = export(tmp_path / "a.h5", np.stack([labels, labels[::-1]]), "zyx")
        before = maskmill.io.read(stack)
        assert maskmill.io.write(before, tmp_path / "out", "ilastik").lossless
        after = maskmill.io.read(tmp_path / "out")
        for i in range(2):
            assert np.array_equal(after.images["semantic"][i].read(), before.images["semantic"][i].read())
        with pytest.raises(ValueError, match="a file holds one image, not 2: write to a folder"):
            maskmill.io.write(before, tmp_path / "both.h5")
        with pytest.raises(ValueError, match="must not have other exports"):
            maskmill.io.write(before.take(images=[0]), tmp_path / "out", "ilastik")

    @pytest.mark.parametrize("ids", [[1, 2], [9, 3], [0, 1], [300, 70_000]])
    def test_instances(self, tmp_path, ids):
        masks = np.zeros((4, 20, 30), bool)
        masks[0, 2:9, 3:9], masks[1, 10:15, 3:9], masks[2, 2:9, 20:25], masks[3, 12:14, 12:28] = (True,) * 4
        dataset = Dataset(
            {"file_name": ["x/a.png", "b.png"], "height": [20, 20], "width": [30, 30]},
            {"id": ids, "name": ["sand", "water"]},
            {"image": [1, 0, 1, 0], "category": [0, 1, 1, 0]},
            Masks.encode(masks),
        )
        assert maskmill.io.write(dataset, tmp_path / "out", "ilastik", components=True).masks_kept
        assert maskmill.io.write(dataset, tmp_path / "out", "ilastik").instances_lost == 4

    def test_what_cannot_be_written(self, tmp_path, labels):
        dataset = Dataset(
            {"file_name": ["a.png", "x/a.jpg"], "height": [2, 2], "width": [3, 3]}, {}, {}, Masks.empty()
        )
        with pytest.raises(ValueError, match="images must have different names, not twice 'a'"):
            maskmill.io.write(dataset, tmp_path / "out", "ilastik")
        with pytest.raises(ValueError, match="projects are ilastik's own to write"):
            maskmill.io.write(dataset, tmp_path / "a.ilp")
        before = maskmill.io.read(export(tmp_path / "a.h5", labels, "yx"))
        fewer = before.replace(categories=before.categories.take([0, 1]))
        with pytest.raises(ValueError, match="must have ids of categories, not the value 3"):
            maskmill.io.write(fewer, tmp_path / "out.h5")
        assert not (tmp_path / "out.h5").exists()


class TestHostile:
    def refuse(self, path: Path, what: str, **options) -> None:
        start = time.process_time()
        tracemalloc.start()
        try:
            with pytest.raises(FormatError, match=what) as caught:
                maskmill.io.read(path, "ilastik", **options)
            assert tracemalloc.get_traced_memory()[1] < 50_000_000
        finally:
            tracemalloc.stop()
        assert str(path) in str(caught.value)
        assert time.process_time() - start < 5

    @pytest.mark.parametrize(
        ("shape", "chunks", "what"),
        [
            ((10**9, 10**9), (1, 1), "expected no more than a file of"),
            ((10**12, 1, 1), (1000, 1, 1), "expected no more than a file of"),
            ((20_000, 20_000), (100, 100), "expected no more than a file of"),
            ((1 << 25, 1), (1000, 1), "expected the sizes of an image"),
            ((0, 5), None, "expected the sizes of an image"),
            ((200_000, 2, 2), (100, 2, 2), "expected up to 100,000 planes"),
        ],
    )
    def test_sizes_without_content(self, tmp_path, shape, chunks, what):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("exported_data", shape, "u1", chunks=chunks)
        self.refuse(tmp_path / "a.h5", what)

    def test_a_bomb(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("a", (20_000, 20_000), "u1", chunks=(2000, 2000), compression="gzip")
            file["a"][:2000, :2000] = 1
        self.refuse(tmp_path / "a.h5", "expected no more than a file of")

    def test_blocks_without_content(self, tmp_path):
        path = project(tmp_path / "p.ilp", [{"axes": "yx", "blocks": []}])
        with h5py.File(path, "a") as file:
            for k in range(20):
                name = f"PixelClassification/LabelSets/labels000/block{k:04}"
                block = file.create_dataset(name, (10_000, 10_000, 1), "u1", chunks=(100, 100, 1))
                block.attrs["blockSlice"] = "[0:10000,0:10000,0:1]"
        with pytest.raises(FormatError, match=r"block0002: expected no more than a file of"):
            maskmill.io.read(path)

    def test_other_files_are_not_opened(self, tmp_path):
        """Arrays that are stored in other files, or links to them, could bring any file into a data set."""
        secret = tmp_path / "secret.bin"
        secret.write_bytes(b"password" * 100)
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("exported_data", (20, 20), "u1", external=[(str(secret), 0, 400)])
        self.refuse(tmp_path / "a.h5", "found one in another file")
        export(tmp_path / "other.h5", ones(20, 20), "yx")
        layout = h5py.VirtualLayout((20, 20), "u1")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "exported_data", (20, 20))
        with h5py.File(tmp_path / "b.h5", "w") as file:
            file.create_virtual_dataset("exported_data", layout)
        self.refuse(tmp_path / "b.h5", "found one in another file")
        with h5py.File(tmp_path / "c.h5", "w") as file:
            file["exported_data"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "exported_data")
        self.refuse(tmp_path / "c.h5", "expected an array of 2 to 5 dimensions, found none")

    def test_groups_in_circles(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            group = file.create_group("g")
            for k in range(30):
                group[f"k{k}"] = file
                group[f"s{k}"] = h5py.SoftLink("/g")
        self.refuse(tmp_path / "a.h5", "found none")

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("", "expected axistags in JSON"),
            ("{", "expected axistags in JSON"),
            ("[" * 50_000, "expected axistags in JSON"),
            ('{"axes": 3}', "expected axistags in JSON"),
            ('{"axes": [{"key": "y"}]}', "expected axistags for 2 axes"),
            ('{"axes": [{"key": "y"}, {"key": "y"}]}', "expected axes y and x"),
            ('{"axes": [{"key": "y"}, {"key": "q"}]}', "expected axes y and x"),
            (b"\xff\xff", "expected axistags in JSON"),
            (7, "expected axistags in JSON"),
        ],
    )
    def test_tags(self, tmp_path, text, what):
        self.refuse(export(tmp_path / "a.h5", ones(2, 3), None, axistags=text), what)

    def test_values(self, tmp_path):
        self.refuse(export(tmp_path / "a.h5", np.full((2, 3), -1), "yx"), "expected classes of 0 and more")
        self.refuse(export(tmp_path / "b.h5", np.full((2, 3), 10**9), "yx"), "expected classes up to 65,535")
        self.refuse(
            export(tmp_path / "c.h5", np.full((2, 3), 0.5), "yx"), "expected whole numbers, or probabilities"
        )
        self.refuse(export(tmp_path / "d.h5", np.full((2, 3), b"x"), "yx"), "expected an array of numbers")

    @pytest.mark.parametrize(
        "content", ["3", '{"a": "b"}', "[3]", '[{"id": 1}]', '[{"id": -1, "name": "x"}]', "{", "[" * 10**5]
    )
    def test_legends(self, tmp_path, content):
        export(tmp_path / "a.h5", ones(2, 3), "yx")
        (tmp_path / "a_classes.json").write_text(content)
        with pytest.raises(FormatError, match=r"a_classes\.json: .*expected"):
            maskmill.io.read(tmp_path / "a.h5")

    @pytest.mark.parametrize("size", [0, 8, 100, 1000, -1, -100])
    def test_cut_short(self, tmp_path, rng, size):
        path = export(tmp_path / "a.h5", rng.integers(0, 5, (50, 60)), "yx")
        path.write_bytes(path.read_bytes()[:size])
        self.refuse(path, "expected an HDF5 file")

    def test_other_files(self, tmp_path):
        with h5py.File(tmp_path / "a.ilp", "w") as file:
            file["x"] = 1
        self.refuse(tmp_path / "a.ilp", "expected a project of ilastik")
        (tmp_path / "none").mkdir()
        self.refuse(tmp_path / "none", "expected exports of ilastik")


class TestRealData:
    def test_core(self, data, tmp_path):
        dataset = maskmill.io.read(data / "cores" / "72_2.h5")
        labels = dataset.images["semantic"][0].read()
        assert labels.shape == (2693, 396)
        assert np.count_nonzero(labels == 0) == 806_929
        assert len(dataset.categories) == 14
        assert maskmill.io.write(dataset, tmp_path / "72_2.h5").lossless
        with h5py.File(data / "cores" / "72_2.h5") as one, h5py.File(tmp_path / "72_2.h5") as other:
            assert np.array_equal(one["exported_data"], other["exported_data"])
            assert json.loads(one["exported_data"].attrs["axistags"]) == json.loads(
                other["exported_data"].attrs["axistags"]
            )

    @pytest.mark.parametrize(
        ("name", "counts"), [("Bacteria", [263_298, 41_370]), ("Worms", [140_177, 221_743])]
    )
    def test_exports(self, data, name, counts):
        dataset = maskmill.io.read(data / "ilastik" / f"{name}(Label 1).h5")
        assert np.bincount(dataset.images["semantic"][0].read().ravel()).tolist() == counts

    def test_project(self, data):
        dataset = maskmill.io.read(data / "ilastik" / "MyProject.ilp")
        assert dataset.images["file_name"].tolist() == ["stemcells.tif"]
        assert dataset.categories["name"].tolist() == ["Label 1", "Label 2"]
        labels = dataset.images["semantic"][0].read()
        with h5py.File(data / "ilastik" / "MyProject.ilp") as file:
            blocks = file["PixelClassification/LabelSets/labels000"]
            assert np.array_equal(labels[883:1012, 877:989], blocks["block0000"][..., 0])
            assert (
                sum(np.count_nonzero(block) for block in blocks.values()) == np.count_nonzero(labels) == 310
            )


def test_planes_have_names_that_say_where():
    plane = Plane("a [1]/b", "tzyxc", (("t", 3), ("z", 12)))
    assert Plane.parse(plane.field) == plane
    assert plane.suffix == "_t0003_z0012"


@pytest.mark.parametrize("of_project", [True, False])
def test_mutated_files(tmp_path, of_project):
    """Whatever is changed in a file: it is read, or refused in a sentence. The changes are always the same: what HDF5
    makes of lengths of some GB is its own."""
    path = tmp_path / ("a.ilp" if of_project else "a.h5")
    if of_project:
        project(path, [{"axes": "yx", "blocks": [("[2:5,3:9,0:1]", ones(3, 6, 1))], "shape": (20, 30)}])
    else:
        export(path, np.arange(60, dtype=np.uint8).reshape(6, 10) % 5, "yx")
    whole, choice = path.read_bytes(), random.Random(7)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(choice.randint(1, 5)):
            data[choice.randrange(len(data))] = choice.choice([0, 1, 127, 128, 255])
        path.write_bytes(data)
        made = read_or_refused(maskmill.io.read, path, format="ilastik")
        for row in made.images if made is not None else ():
            with suppress(FormatError):
                row["semantic"].read()


texts = st.one_of(
    st.text(alphabet="[]:,0123456789 -", max_size=30),
    st.text(alphabet="tzyxc", max_size=6),
    st.binary(max_size=10).map(lambda b: b.replace(b"\0", b"")),
    st.integers(-(2**40), 2**40),
    st.lists(st.integers(-5, 2**33), max_size=5).map(np.asarray),
    st.none(),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=texts, order=texts, names=texts, shape=texts, tagged=texts)
def test_strange_values(tmp_path_factory, where, order, names, shape, tagged):
    """Sound files with values of any kind where there should be others."""
    folder = tmp_path_factory.mktemp("fuzz")
    path = project(folder / "a.ilp", [{"axes": "yx", "blocks": [("[2:5,3:9,0:1]", ones(3, 6, 1))]}])
    with h5py.File(path, "a") as file:
        if where is not None:
            file["PixelClassification/LabelSets/labels000/block0000"].attrs["blockSlice"] = where
        info = file["Input Data/infos/lane0000/Raw Data"]
        del info["axisorder"]
        for group, name, value in (
            (info, "axisorder", order),
            (info, "shape", shape),
            (file, "ilastikVersion", names),
        ):
            if value is not None:
                group.pop(name, None)
                group[name] = value
    read_or_refused(maskmill.io.read, path, format="ilastik")
    attributes = {} if tagged is None else {"axistags": tagged}
    read_or_refused(
        maskmill.io.read, export(folder / "a.h5", ones(2, 3), None, **attributes), format="ilastik"
    )
    shutil.rmtree(folder)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), overlap=st.booleans())
def test_the_report_says_what_pixels_say(tmp_path_factory, seed, overlap):
    """Instances of any form: what comes back as parts of classes is counted as a comparison of pixels counts it."""
    folder = tmp_path_factory.mktemp("report")
    before = random_dataset(seed, overlap=overlap)
    rows = maskmill.io.ilastik.write(before, folder / "out", components=True)
    after = maskmill.io.read(folder / "out", "ilastik", components=True)
    report = maskmill.io.write(before, folder / "out", "ilastik", components=True)
    assert_report(report, before, after, rows)
    shutil.rmtree(folder)


def test_damaged_heaps_are_not_walked_through(tmp_path):
    """HDF5 2.0 never comes to the end of a heap with an object of no size."""
    path = project(tmp_path / "a.ilp", [])
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL\x01")
    data[heap + 24] = 255  # the size of the first text
    path.write_bytes(data)
    with pytest.raises(FormatError, match="found a damaged heap at byte"):
        maskmill.io.read(path)
