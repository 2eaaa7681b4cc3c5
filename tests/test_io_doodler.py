"""Doodler's results: all trials, as they were, and nothing that a hostile file wants."""

from __future__ import annotations

import io
import os
import shutil
import time
import tracemalloc
import zipfile
from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maskmill.io
import maskmill.io.doodler
from annotations import assert_report, random_dataset
from doodled import ladder, same_arrays, trial
from maskmill import Dataset, FormatError, Masks
from maskmill.dataset import Reference, objects
from maskmill.io._doodler_settings import colour_map, coloured, named_settings
from maskmill.io._parse import read_pixels
from maskmill.io.doodler import read_trials


@pytest.fixture
def result(tmp_path, rng):
    path = tmp_path / "coast_ann.npz"
    trials = [trial(rng, ["water", "sand", "dev"], depth=depth) for depth in (3, 2, 3)]
    np.savez_compressed(path, **ladder(*trials))
    return path, trials


class TestTrials:
    def test_without_prefix_is_the_newest(self, result):
        path, made = result
        found = read_trials(path)
        assert [t.prefix for t in found] == ["", "0", "00"]
        for t, one in zip(found, reversed(made), strict=True):
            assert np.array_equal(t.labels(), one["label"].argmax(-1) + 1)
            assert np.array_equal(t.doodles(), one["doodles"])
            assert np.array_equal(t.array("image"), one["image"])
            assert t.size == (20, 30)

    def test_one_hot_is_padded(self, result):
        second = read_trials(result[0])[1]
        assert second.arrays["label"].shape == (20, 30, 2)
        assert second.one_hot().shape == (20, 30, 3)
        assert not second.one_hot()[..., 2].any()
        assert np.array_equal(second.one_hot()[..., :2], second.array("label"))

    def test_no_class_is_none(self, tmp_path, rng):
        made = trial(rng, ["a", "b"])
        made["label"][3:6, 4:9] = 0
        np.savez(tmp_path / "a.npz", **made)
        labels = read_trials(tmp_path / "a.npz")[0].labels()
        assert (labels[3:6, 4:9] == 0).all()
        assert np.count_nonzero(labels == 0) == 15

    def test_without_names(self, tmp_path, rng):
        made = trial(rng, ["a", "b"])
        del made["classes"]
        np.savez(tmp_path / "a.npz", **made)
        assert read_trials(tmp_path / "a.npz")[0].classes == ("1", "2")
        assert read_trials(tmp_path / "a.npz", classes=["water", "land"])[0].classes == ("water", "land")

    def test_other_labels(self, tmp_path, rng):
        """A raster of classes, and colours, as the documentation has it."""
        made = trial(rng, ["a", "b"])
        labels = made["label"].argmax(-1)
        np.savez(tmp_path / "raster.npz", **{**made, "label": labels})
        np.savez(tmp_path / "colours.npz", **{**made, "label": colour_map(2)[labels]})
        for name in ("raster.npz", "colours.npz"):
            assert np.array_equal(read_trials(tmp_path / name)[0].labels(), labels + 1)
        np.savez(tmp_path / "bad.npz", **{**made, "label": np.full((20, 30, 3), 77, np.uint8)})
        with pytest.raises(
            FormatError, match=r"label: expected the colours of 2 classes, found \[77, 77, 77\]"
        ):
            read_trials(tmp_path / "bad.npz")[0].labels()

    @pytest.mark.parametrize(
        ("numbers", "era", "names"),
        [
            ([3, 2, 4, 40, 100, 3, 0.9, 1, 16], "2021-05-09, first version", "sigma_max"),
            ([3, 2, 4, 40, 100, 3, 0.9], "2021-05-09 to 2021-06-20, random forest", "n_estimators"),
            ([3, 2, 4, 1, 1, 0.9], "2021-06-21 to 2021-09-29", "gt_prob"),
            ([3, 2, 4, 1, 1, 0.9, 2], "2021-09-30 to 2022-06-13, perceptron", "n_sigmas"),
            ([3, 2, 4, 1, 1, 1.0, 3], "from 2022-06-14", "n_sigmas"),
            ([1, 2], "unknown", "1"),
            ([], "unknown", None),
        ],
    )
    def test_settings(self, numbers, era, names):
        found, named = named_settings(numbers)
        assert found == era
        assert list(named.values()) == numbers
        assert names is None or names in named

    def test_colours_of_doodles(self, rng):
        image = rng.integers(0, 2, (4, 5, 3), np.uint8)
        doodles = rng.integers(0, 3, (4, 5)).astype(np.uint8)
        made = coloured(doodles, image, 2)
        assert (made[image[..., 0] == 0] == 0).all()
        assert (made[(doodles == 0) & (image[..., 0] == 1)] == [0x31, 0x63, 0x95]).all()
        assert (made[(doodles == 1) & (image[..., 0] == 1)] == [0x33, 0x66, 0xCC]).all()

    @pytest.mark.parametrize("n", [10, 24])
    def test_all_colours_of_a_map(self, n):
        """The last class has the colour of what is not drawn."""
        made = coloured(np.array([[0, 1, n]], np.uint8), np.ones((1, 3), np.uint8), n)
        assert np.array_equal(made[0], colour_map(n)[[-1, 0, -1]])

    def test_bytes_of_all_arrays(self, result, monkeypatch):
        monkeypatch.setattr("maskmill.io._doodler_trials.MAX_TOTAL", 10_000)
        with pytest.raises(FormatError, match="up to 10,000 bytes in all arrays"):
            read_trials(result[0])


class TestDataset:
    def test_a_row_for_each_trial(self, result):
        path, made = result
        dataset = maskmill.io.read(path)
        assert dataset.provenance[-1]["format"] == "doodler"
        assert dataset.images["file_name"].tolist() == ["coast_ann.npz", "0coast_ann.npz", "00coast_ann.npz"]
        assert dataset.categories["name"].tolist() == ["water", "sand", "dev"]
        assert len(dataset.instances) == 0
        said = dataset.images["attributes"][0]
        assert said["user"] == "ann"
        assert said["settings"]["n_sigmas"] == 2
        assert np.array_equal(said["doodles"].read(), made[-1]["doodles"])
        assert np.array_equal(dataset.images["semantic"][0].read(), made[-1]["label"].argmax(-1) + 1)
        assert np.array_equal(dataset.images["pixels"][2].read(), made[0]["image"])
        assert len(maskmill.io.read(path, trials="newest")) == 1

    def test_a_folder(self, tmp_path, rng):
        (tmp_path / "results2021").mkdir()
        np.savez(tmp_path / "results2021" / "a_x.npz", **trial(rng, ["water", "sand"]))
        np.savez(tmp_path / "b_x.npz", **trial(rng, ["sand", "dev", "", ""]))
        np.savez(tmp_path / "b_x_labelgen.npz", final_label=np.array([None], object))
        dataset = maskmill.io.read(tmp_path)
        assert dataset.images["file_name"].tolist() == ["b_x.npz", "results2021/a_x.npz"]
        assert dataset.categories["name"].tolist() == ["sand", "dev", "", "", "water"]
        found = dataset.images["semantic"][1].read()
        own = read_trials(tmp_path / "results2021" / "a_x.npz")[0].labels()
        assert np.array_equal(found, np.array([0, 5, 1])[own])

    def test_components(self, result):
        dataset = maskmill.io.read(result[0], components=True)
        for i in range(3):
            rows = dataset.rows_of_image(i)
            painted = np.zeros((20, 30), int)
            for row in rows:
                mask = dataset.masks[int(row)].decode()[0]
                assert not painted[mask > 0].any()
                painted[mask > 0] = dataset.instances["category"][row] + 1
            assert np.array_equal(painted, dataset.images["semantic"][i].read())

    def test_written_as_it_was(self, result, tmp_path):
        path, _ = result
        report = maskmill.io.write(maskmill.io.read(path), tmp_path / "out" / path.name)
        assert report.lossless
        assert same_arrays(path, tmp_path / "out" / path.name)

    def test_some_trials(self, result, tmp_path):
        dataset = maskmill.io.read(result[0]).take(images=[2, 0])
        maskmill.io.write(dataset, tmp_path / "two.npz")
        found, old = read_trials(tmp_path / "two.npz"), read_trials(result[0])
        assert [t.prefix for t in found] == ["", "0"]
        for mine, theirs in zip(found, (old[0], old[2]), strict=True):
            assert np.array_equal(mine.array("label"), theirs.array("label"))

    def test_a_folder_as_it_was(self, tmp_path, rng):
        folder = tmp_path / "in"
        folder.mkdir()
        np.savez_compressed(folder / "a_x.npz", **ladder(*[trial(rng, ["water", "sand"]) for _ in range(3)]))
        np.savez_compressed(folder / "b_x.npz", **trial(rng, ["sand", "dev"]))
        dataset = maskmill.io.read(folder)
        assert maskmill.io.write(dataset, tmp_path / "out", "doodler").lossless
        assert same_arrays(folder / "a_x.npz", tmp_path / "out" / "a_x.npz")
        assert same_arrays(folder / "b_x.npz", tmp_path / "out" / "b_x.npz")
        with pytest.raises(
            ValueError, match="a file holds the trials of one picture, not 2: write to a folder"
        ):
            maskmill.io.write(dataset, tmp_path / "both.npz")
        with pytest.raises(ValueError, match="must not have other results"):
            maskmill.io.write(dataset.take(images=[3]), tmp_path / "out", "doodler")

    def test_names_that_were_given_are_written(self, tmp_path, rng):
        made = trial(rng, ["a", "b"])
        del made["classes"]
        np.savez(tmp_path / "a.npz", **made)
        maskmill.io.write(maskmill.io.read(tmp_path / "a.npz", classes=["water", "land"]), tmp_path / "b.npz")
        assert read_trials(tmp_path / "b.npz")[0].classes == ("water", "land")

    def test_changed_classes(self, result, tmp_path):
        dataset = maskmill.io.read(result[0])
        renamed = dataset.replace(categories=dataset.categories.with_columns(name=["a", "b", "c"]))
        assert maskmill.io.write(renamed, tmp_path / "out.npz").classes_changed == 0
        found, old = read_trials(tmp_path / "out.npz"), read_trials(result[0])
        assert found[0].classes == ("a", "b", "c")
        for mine, theirs in zip(found, old, strict=True):
            for name in ("image", "label", "doodles", "color_doodles", "settings"):
                assert np.array_equal(mine.array(name), theirs.array(name)), name

    def test_instances_of_another_source(self, tmp_path, rng):
        image = rng.integers(0, 256, (20, 30, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
        boxes = np.zeros((3, 20, 30), bool)
        boxes[0, 2:9, 3:9], boxes[1, 10:15, 3:9], boxes[2, 2:9, 20:25] = True, True, True
        picture = Reference(str(tmp_path / "a.png"), "", read_pixels)
        dataset = Dataset(
            {"file_name": ["a.png"], "height": [20], "width": [30], "pixels": [picture]},
            {"id": [7, 3], "name": ["sand", "water"]},
            {"image": [0, 0, 0], "category": [0, 1, 0]},
            Masks.encode(boxes),
        )
        report = maskmill.io.write(dataset, tmp_path / "a.npz", components=True)
        assert report.masks_kept
        assert report.instances == 3
        assert maskmill.io.write(dataset, tmp_path / "b.npz").instances_lost == 3
        assert np.array_equal(read_trials(tmp_path / "b.npz")[0].array("image"), image)

    def test_what_cannot_be_written(self, result, tmp_path):
        dataset = maskmill.io.read(result[0])
        blind = dataset.replace(
            images=dataset.images.with_columns(pixels=[None] * 3),
            categories=dataset.categories.with_columns(name=["x", "y", "z"]),
        )
        with pytest.raises(ValueError, match="its picture is needed and is not known"):
            maskmill.io.write(blind, tmp_path / "x.npz")
        assert not (tmp_path / "x.npz").exists()

    def test_real_results(self, data, tmp_path):
        files = sorted((data / "doodler").glob("*.npz"))
        assert len(files) == 8
        trials = [len(read_trials(file)) for file in files]
        assert trials == [3, 1, 1, 1, 6, 1, 2, 1]
        for file in files:
            dataset = maskmill.io.read(file)
            assert maskmill.io.write(dataset, tmp_path / file.name).lossless
            assert same_arrays(file, tmp_path / file.name)
            arrays = np.load(file)
            for row in dataset.images:
                prefix = row["attributes"]["prefix"]
                assert np.array_equal(row["semantic"].read(), arrays[prefix + "label"].argmax(-1) + 1)
                assert row["attributes"]["era"] == "2021-09-30 to 2022-06-13, perceptron"
        folder = maskmill.io.read(data / "doodler")
        assert len(folder) == 16
        assert folder.categories["name"].tolist() == ["water", "surf", "sand", "dev", "other", "land"]
        assert maskmill.io.write(folder, tmp_path / "all", "doodler").lossless


def npy(shape: str, dtype: str = "'|u1'", body: bytes = b"") -> bytes:
    """An array with whatever header."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


class TestHostile:
    def refuse(self, tmp_path, what: str, **members: bytes) -> None:
        path = tmp_path / "bad.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(f"{name}.npy", content)
        start = time.process_time()
        tracemalloc.start()
        try:
            with pytest.raises(FormatError, match=what) as caught:
                maskmill.io.read(path, "doodler").images["semantic"][0].read()
            assert tracemalloc.get_traced_memory()[1] < 50_000_000
        finally:
            tracemalloc.stop()
        assert str(path) in str(caught.value)
        assert time.process_time() - start < 5

    @pytest.mark.parametrize(
        ("label", "what"),
        [
            (npy("(1000000000, 1000000000, 4)"), "expected 4,000,000,000,000,000,000 bytes"),
            (npy("(10**30, 1, 1)"), "expected an array of NumPy"),
            (npy("(1, 1, 1"), "expected an array of NumPy"),
            (npy("(" + "9" * 400 + ", 1, 1)"), "bytes for uint8"),
            (npy("(-1, -1, 1)", body=b"1"), "expected an array of NumPy, found the shape"),
            (npy("(2, 2, 1)", body=b"123"), "expected 4 bytes for uint8"),
            (npy("(2, 2, 1)", body=b"12345"), "expected 4 bytes for uint8"),
            (npy("(2, 2, 1)", body=b"1230"), "expected 0 and 1, found 48 to 51"),
            (npy("(0, 2, 1)"), "expected .H, W, C. integers"),
            (npy("(4,)", body=b"1234"), "expected .H, W, C. integers"),
            (npy("(1, 1, 1)", "'<f8'", bytes(8)), "expected .H, W, C. integers, found float64"),
            (
                npy("(1, 1, 1)", "'|O'", b"cos\nsystem\n(S'false'\ntR."),
                "expected .H, W, C. integers, found object",
            ),
            (npy("(" * 3000 + ")" * 3000), "expected an array of NumPy"),
            (npy("-" * 9000 + "1"), "expected an array of NumPy"),
            (npy("(1, 1, 1)", "[('a', '|u1')]", b"1"), "expected .H, W, C. integers"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b" " * 100, "of version 2.0, not 1.0"),
            (b"", "expected an array of NumPy"),
            (b"\x93NUM", "expected an array of NumPy"),
            (npy("(2, 2, 300)", body=bytes(1200)), "expected at most 255 classes"),
        ],
    )
    def test_labels(self, tmp_path, label, what):
        self.refuse(tmp_path, what, label=label)

    def test_a_bomb(self, tmp_path):
        self.refuse(tmp_path, "expected up to", label=npy("(16777217, 1, 1)", body=bytes(16777217)))

    @pytest.mark.parametrize(
        ("classes", "what"),
        [
            (
                npy("(1,)", "'|O'", b"cos\nsystem\n(S'false'\ntR."),
                "classes: expected a list of text, found object",
            ),
            (npy("(1,)", "'<U1'", b"\xff\xff\xff\xff"), "classes: expected text"),
            (npy("(16000000,)", "'<U0'"), "expected up to 255 names"),
            (npy("(1,)", "'<U2000000'", bytes(8_000_000)), "expected up to 255 names"),
            (npy("(1,)", "'|S1'", b"a"), "classes: expected a list of text"),
        ],
    )
    def test_classes(self, tmp_path, classes, what):
        self.refuse(tmp_path, what, label=npy("(1, 1, 1)", body=b"\1"), classes=classes)

    def test_arrays_that_do_not_fit(self, tmp_path):
        label = npy("(2, 2, 1)", body=bytes(4))
        self.refuse(
            tmp_path, r"doodles: expected \(2, 2\) pixels", label=label, doodles=npy("(2, 3)", body=bytes(6))
        )
        self.refuse(
            tmp_path, "label: expected an array, found none in this trial", label=label, **{"0image": label}
        )
        self.refuse(tmp_path, "expected the arrays of Doodler", arr_0=label, arr_1=label)
        names = npy("(1,)", "'<U1'", b"a\0\0\0")
        deep = npy("(2, 2, 2)", body=bytes(8))
        self.refuse(
            tmp_path, "expected at most 1 classes, as there are names, found 2", label=deep, classes=names
        )
        settings_ = npy("(3,)", "'|O'", b"123")
        self.refuse(
            tmp_path, "settings: expected a list of numbers, found object", label=label, settings=settings_
        )

    def test_nothing_is_unpickled(self, result, tmp_path):
        """An array of objects beside the others is no reason to refuse them, but it is never loaded."""

        class Harm:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "harmed"),)

        path = tmp_path / "a.npz"
        content = io.BytesIO()
        np.lib.format.write_array(content, np.array([Harm()], object), allow_pickle=True)
        path.write_bytes(result[0].read_bytes())
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("extra.npy", content.getvalue())
        dataset = maskmill.io.read(path)
        dataset.images["semantic"][0].read()
        with pytest.raises(FormatError, match="extra: expected numbers or text, found pickled objects"):
            maskmill.io.write(dataset, tmp_path / "b.npz")
        assert not (tmp_path / "harmed").exists()
        assert not (tmp_path / "b.npz").exists()

    @pytest.mark.parametrize("size", [0, 10, 1000, -1, -22, -1000])
    def test_cut_short(self, result, tmp_path, size):
        path = tmp_path / "cut.npz"
        path.write_bytes(result[0].read_bytes()[:size])
        with pytest.raises(FormatError, match=r"cut\.npz: not a readable zip archive"):
            maskmill.io.read(path, "doodler")

    def test_other_archives_are_not_taken_for_results(self, tmp_path):
        np.savez(tmp_path / "a.npz", counts=[1])
        with pytest.raises(FormatError, match="found none"):
            maskmill.io.read(tmp_path / "a.npz")
        (tmp_path / "empty").mkdir()
        with pytest.raises(FormatError, match="expected results of Doodler"):
            maskmill.io.read(tmp_path / "empty", "doodler")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6), st.booleans())
def test_mutated_results(tmp_path_factory, changes, packed):
    """Whatever is changed in a file: it is read, or refused in a sentence."""
    path = tmp_path_factory.mktemp("fuzz") / "a.npz"
    save = np.savez_compressed if packed else np.savez
    save(
        path, **ladder(*[trial(np.random.default_rng(i), ["water", "land"], size=(5, 10)) for i in range(2)])
    )
    data = bytearray(path.read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    path.write_bytes(data)
    with suppress(FormatError):
        dataset = maskmill.io.read(path, "doodler")
        for row in dataset.images:
            row["semantic"].read()
            for reference in (row["pixels"], row["attributes"]["doodles"]):
                if reference is not None:
                    reference.read()
    path.unlink()


def black(path: str, field: str) -> np.ndarray:
    """`Reference` reader of a picture of the size that the field says."""
    return np.zeros((*map(int, field.split()), 3), np.uint8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), overlap=st.booleans())
def test_the_report_says_what_pixels_say(tmp_path_factory, seed, overlap):
    """Instances of any form: what comes back as parts of classes is counted as a comparison of pixels counts it."""
    folder = tmp_path_factory.mktemp("report")
    made = random_dataset(seed, overlap=overlap)
    pictures = [Reference("", f"{row['height']} {row['width']}", black) for row in made.images]
    before = made.replace(images=made.images.with_columns(pixels=objects(pictures)))
    rows = maskmill.io.doodler.write(before, folder / "out", components=True)
    after = maskmill.io.read(folder / "out", "doodler", components=True)
    report = maskmill.io.write(before, folder / "out", "doodler", components=True)
    assert_report(report, before, after, rows)
    shutil.rmtree(folder)
