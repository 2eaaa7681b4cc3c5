"""Labels of cores in every kind of file, and class maps that go out and come back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cores
from maskmill import Dataset, FormatError, Masks, io
from maskmill.densify.classmaps import read_classified, write_probabilities
from maskmill.io.ilastik import open_export
from maskmill.studies.core import Legend, read_class_map, read_labels, write_class_map

h5py = pytest.importorskip("h5py")

NAMES = Legend({1: "light", 2: "dark", 3: "matrix"}, {1: (1, 2, 3), 3: (250, 0, 9)})


@pytest.mark.parametrize("suffix", [".png", ".tif", ".h5"])
@pytest.mark.parametrize("large", [0, 300])
def test_class_maps_come_back(tmp_path, suffix, large):
    path, classes = tmp_path / f"map{suffix}", cores.strokes().astype(np.uint16)
    classes[0, 0] = large
    write_class_map(path, classes, NAMES)
    found = read_class_map(path)
    assert np.array_equal(found.values, classes)
    wanted = NAMES.with_ids([large])
    assert found.legend.names == wanted.names
    assert all(found.legend.colour(i) == wanted.colour(i) for i in wanted)
    assert found.base == 1


def test_png_has_the_colours_of_the_legend(tmp_path):
    write_class_map(tmp_path / "map.png", cores.truth(), NAMES)
    import cv2

    image = cv2.imread(str(tmp_path / "map.png"))[..., ::-1]
    assert set(map(tuple, image[cores.truth() == 3].tolist())) == {(250, 0, 9)}


def test_ilastik_reads_them(tmp_path):
    write_class_map(tmp_path / "map.h5", cores.truth(), NAMES)
    with h5py.File(tmp_path / "map.h5") as file:
        array = file["exported_data"]
        assert array.shape == (*cores.SIZE, 1)
        tags = json.loads(array.attrs["axistags"])["axes"]
    assert [(tag["key"], tag["typeFlags"]) for tag in tags] == [("y", 2), ("x", 2), ("c", 1)]
    dataset = io.read(tmp_path / "map.h5", "ilastik")
    assert dataset.categories["name"].tolist() == ["light", "dark", "matrix"]


def test_probabilities(tmp_path, rng):
    p = rng.dirichlet([1, 1, 1], (6, 5)).astype(np.float32)
    write_probabilities(tmp_path / "p.h5", p, [1, 2, 9])
    assert open_export(tmp_path / "p.h5").probabilities
    assert np.array_equal(read_labels(tmp_path / "p.h5").values, p.astype(np.float16).argmax(2) + 1)
    write_probabilities(tmp_path / "p.npz", p, [1, 2, 9])
    with np.load(tmp_path / "p.npz") as found:
        assert found["classes"].tolist() == [1, 2, 9]
        assert found["probabilities"].dtype == np.float16
    for path, dtype in (("p.jpg", np.float16), ("p.npz", np.float64)):
        with pytest.raises(ValueError, match=r"must be \.h5 or \.npz|float16 or float32"):
            write_probabilities(tmp_path / path, p, [1, 2, 9], dtype=dtype)


def classified(path, values, names):
    with h5py.File(path, "w") as file:
        file["classified_image"] = values
        group = file.create_group("classes")
        for name, index in names.items():
            group.attrs[name] = index


def test_core_features_own_file_counts_from_0(tmp_path):
    classified(tmp_path / "c.h5", cores.truth() - 1, {"light": 0, "dark": 1, "matrix": 2})
    found = read_class_map(tmp_path / "c.h5")
    assert np.array_equal(found.values, cores.truth())
    assert found.base == 0
    assert found.legend.names == {1: "light", 2: "dark", 3: "matrix"}
    assert np.array_equal(read_labels(tmp_path / "c.h5").values, cores.truth())
    for values, names, said in (
        (np.zeros((2, 2, 2)), {}, r"expected \(H, W\) classes"),
        (np.array([[0.5]]), {}, "whole numbers"),
        (np.array([[-1]]), {}, "classes from 0"),
        (np.array([[1]]), {"a": -3}, "expected the index of 'a'"),
    ):
        classified(tmp_path / "bad.h5", values, names)
        with pytest.raises(FormatError, match=said):
            read_classified(tmp_path / "bad.h5")


# Sources of labels


def polygons(path, size=cores.SIZE):
    masks = Masks.encode(np.stack([cores.inside(clast) for clast in cores.CLASTS]))
    table = {"file_name": ["photo.png"], "height": [size[0]], "width": [size[1]]}
    rows = {"category": [clast.number - 1 for clast in cores.CLASTS]}
    io.write(Dataset(table, {"name": ["light", "dark"]}, rows, masks), path, "coco")


def test_polygons(tmp_path):
    polygons(tmp_path / "clasts.json")
    found = read_labels(tmp_path / "clasts.json", size=cores.SIZE)
    wanted = np.where(cores.truth() == cores.MATRIX, 0, cores.truth())
    assert np.array_equal(found.values, wanted)
    assert found.legend.names == {1: "light", 2: "dark"}
    turned = read_labels(tmp_path / "clasts.json", legend=["dark", "light"])  # by name, not by number
    assert np.array_equal(turned.values == 2, wanted == 1)
    merged = read_labels(
        tmp_path / "clasts.json", legend=["clast"], merge={"light": "clast", "dark": "clast"}
    )
    assert np.array_equal(merged.values, wanted > 0)


def test_label_image_without_names(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "labels.png"), cores.strokes())
    found = read_labels(tmp_path / "labels.png")
    assert np.array_equal(found.values, cores.strokes())
    assert found.legend.names == {1: "Label 1", 2: "Label 2", 3: "Label 3"}
    assert read_labels(tmp_path / "labels.png", legend=NAMES).legend.name(3) == "matrix"


def test_export_without_axistags_is_guessed_and_that_is_said(tmp_path):
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file["deep/er/labels"] = cores.strokes()[..., None]
    found = read_labels(tmp_path / "labels.h5")
    assert np.array_equal(found.values, cores.strokes())
    assert "axes were guessed to be yxc" in found.notes[0]


def test_several_files():
    first, second = np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.uint8)
    first[:, :2], second[:, 1:] = 1, 2
    with pytest.raises(
        ValueError, match=r"labels 1: 2 pixels have another class .* row 0, column 1; say which"
    ):
        read_labels([first, second])
    for conflict, wanted in (("first", [1, 1, 2, 2]), ("last", [1, 2, 2, 2]), ("none", [1, 0, 2, 2])):
        found = read_labels([first, second], conflict=conflict)
        assert found.values[0].tolist() == wanted
        assert found.conflicts == 2
    assert read_labels([first, first]).conflicts == 0


def test_hostile_labels(tmp_path):
    polygons(tmp_path / "clasts.json")
    for source, options, error, said in (
        (
            cores.strokes(),
            {"size": (5, 5)},
            ValueError,
            "must have the size of the photo, 5 x 5, not 480 x 200",
        ),
        (cores.strokes() * 1.5, {}, TypeError, "must be integers, not float64"),
        (np.array([[-1]]), {}, ValueError, "must be 0 to 65,535"),
        ([], {}, ValueError, "one file or more"),
        (
            cores.strokes(),
            {"legend": ["light"]},
            ValueError,
            "class 2 must be in the legend, which has 1 light",
        ),
        (tmp_path / "clasts.json", {"legend": ["light"]}, ValueError, "class 'dark' must be in the legend"),
        (tmp_path / "clasts.json", {"merge": {"basalt": "light"}}, ValueError, "light, dark, not 'basalt'"),
        (tmp_path / "nowhere.h5", {}, FileNotFoundError, "nowhere.h5"),
        (cores.strokes(), {"conflict": "fight"}, ValueError, "conflict must be one of"),
    ):
        with pytest.raises(error, match=said):
            read_labels(source, **options)
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40))
    with pytest.raises(FormatError, match=r"cut\.h5"):
        read_labels(tmp_path / "cut.h5")


def test_legends(tmp_path):
    assert Legend.of("chicxulub").colour(14) == (0xFC, 0x66, 0x21)
    assert Legend.of("chicxulub").ids == tuple(range(1, 15))
    NAMES.write(tmp_path / "legend.json")
    assert Legend.of(tmp_path / "legend.json").names == NAMES.names
    (tmp_path / "hex.json").write_text('[{"id": 2, "name": "a", "color": "#1bD69E"}]')
    assert Legend.of(tmp_path / "hex.json").colour(2) == (0x1B, 0xD6, 0x9E)
    for text in (
        '[{"id": 2, "name": "a", "color": "red"}]',
        '[{"id": 2, "name": "a"}, {"id": 3, "name": "a"}]',
        "7",
    ):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(FormatError, match=r"bad\.json"):
            Legend.of(tmp_path / "bad.json")
    for wrong in ({0: "a"}, {1: ""}, {1: "a", 2: "a"}):
        with pytest.raises(ValueError, match="class"):
            Legend(wrong)
    with pytest.raises(TypeError, match="a legend must be names, a mapping or a path, not int"):
        Legend.of(7)


# Real files


def test_core_72_2(data):
    found = read_labels(data / "cores" / "72_2.h5", size=(2693, 396), legend="chicxulub")
    counts = np.bincount(found.values.ravel())
    wanted = [9004, 15571, 35987, 7732, 11327, 34332, 13955, 2323, 4549, 20802, 4403, 27005, 56786, 15723]
    assert counts[1:].tolist() == wanted
    assert counts[0] == 806_929
    blobs = [sum(len(Masks.encode(found.values == k).components(c)[0]) for k in range(1, 15)) for c in (4, 8)]
    assert blobs == [95, 82]
    image = io.images.read_image(data / "cores" / "364_77_A_072_R_002_scanA67.jpg")
    means = {2: (114, 134, 134), 5: (249, 249, 243), 8: (71, 64, 52), 14: (126, 129, 118)}
    for number, mean in means.items():
        assert np.allclose(image[found.values == number].mean(0), mean, atol=1.5)


def test_ilastik_samples(data):
    found = read_labels(data / "ilastik" / "MyProject.ilp")
    assert np.bincount(found.values.ravel())[1:].tolist() == [70, 240]
    rows, columns = np.nonzero(found.values)
    assert (rows.min() >= 883, rows.max() < 1022, columns.min() >= 877, columns.max() < 1099) == (True,) * 4
    for name, size, ones in (("Bacteria", (558, 546), 41_370), ("Worms", (520, 696), 221_743)):
        labels = read_labels(data / "ilastik" / f"{name}(Label 1).h5").values
        assert (labels.shape, int((labels == 1).sum())) == (size, ones)


def test_doodles_are_labels(data):
    first = sorted((data / "doodler").glob("*.npz"))[0]
    found = read_labels(first)
    assert found.legend.name(1) == "water"
    assert (found.values > 0).mean() > 0.99


# Rubbish


def told(read, path):
    """What is read, or what is said of the file."""
    try:
        return read(path)
    except FormatError as error:
        return str(error)


ROW = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers(-2, 70_000),
        "name": st.text(max_size=2),
        "color": st.sampled_from(["#0a0B0c", "red", 7]),
    },
)


@given(
    st.lists(ROW | st.none() | st.text(max_size=2), max_size=3)
    | st.dictionaries(st.text(max_size=2), st.none())
)
@settings(max_examples=50, deadline=None)
def test_legends_of_rubbish(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("legend") / "legend.json"
    path.write_text(json.dumps(content))
    found = told(Legend.of, path)
    assert "legend.json" in found if isinstance(found, str) else all(len(found.colour(n)) == 3 for n in found)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("classified") / "whole.h5"
    classified(path, cores.truth()[:20, :20] - 1, {"light": 0, "dark": 1, "matrix": 2})
    return path.read_bytes()


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_damaged_classified_files(tmp_path_factory, whole, changes, kept):
    damaged = bytearray(whole[: max(9, int(len(whole) * max(kept, 0.5)))])
    for place, value in changes:
        damaged[8 + int(place * (len(damaged) - 9))] = value
    path = tmp_path_factory.mktemp("damaged") / "damaged.h5"
    path.write_bytes(damaged)
    found = told(read_classified, path)
    assert "damaged.h5" in found if isinstance(found, str) else found.values.ndim == 2
