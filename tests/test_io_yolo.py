"""YOLO's labels: by hand, to and fro, damaged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from annotated import a_ring, from_arrays, mutated, reads_or_says_why, sizes_of
from maskmill import FormatError, io
from maskmill.dataset.loss import compared
from maskmill.io import yolo

pytest.importorskip("yaml")


def made(path, labels: dict[str, str], yaml: str = "names: [grain, void]\ntrain: images\n"):
    (path / "data.yaml").write_text(yaml, encoding="utf-8")
    for name, text in labels.items():
        file = path / "labels" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return path


SIZES = {"a.png": (10, 20)}


def test_segments_and_boxes(tmp_path):
    text = "0 0.1 0.2 0.5 0.2 0.5 0.8 0.1 0.8\n1 0.5 0.5 0.2 0.4\n\n"
    found = yolo.read(made(tmp_path, {"a": text}), sizes=SIZES)
    assert found.category_names == ["grain", "void"]
    assert found.instances["bbox"].tolist() == [[2, 2, 8, 6], [8, 3, 4, 4]]
    assert found.masks.area.tolist() == [48, 0]
    assert np.isnan(found.instances["score"]).all()


def test_scores_of_predictions(tmp_path):
    text = "0 0.1 0.2 0.5 0.2 0.5 0.8 0.25\n1 0.5 0.5 0.2 0.4 0.75\n"
    found = yolo.read(made(tmp_path, {"a": text}), sizes=SIZES)
    assert found.instances["score"].tolist() == [0.25, 0.75]
    assert found.shapes.kind.tolist() == [3, 1]


def test_sizes_from_pictures_and_images_without_labels(tmp_path):
    import cv2

    made(tmp_path, {"a": "0 0 0 1 0 1 1 0 1\n"})
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / "images" / name), np.full((6, 8), 7, np.uint8))
    found = io.read(tmp_path)
    assert found.images["file_name"].tolist() == ["a.png", "b.png"]
    assert found.masks.area.tolist() == [48]
    assert found.images["pixels"][1].read().tolist() == np.full((6, 8), 7).tolist()


@pytest.mark.parametrize(
    ("yaml", "names"),
    [
        ("names:\n  0: no\n  2: 'yes'\n", ["no", "1", "yes"]),
        ("names: [on, 1]\nnc: 2\n", ["on", "1"]),
        ("nc: 1\n", ["0"]),
    ],
)
def test_names(tmp_path, yaml, names):
    found = yolo.read(made(tmp_path, {"a": "0 0 0 1 0 1 1\n"}, yaml), sizes=SIZES)
    assert found.categories["name"].tolist() == names


@pytest.mark.parametrize("named", ["../train/images", "/home/me/data/train/images", "train/images"])
def test_folders_of_other_machines_are_looked_for_here(tmp_path, named):
    (tmp_path / "train" / "labels").mkdir(parents=True)
    (tmp_path / "train" / "labels" / "a.txt").write_text("0 0 0 1 0 1 1\n")
    (tmp_path / "data.yaml").write_text(f"names: [x]\ntrain: {named}\nval: ../valid/images\n")
    found = yolo.read(tmp_path, sizes=SIZES)
    assert found.images["attributes"].tolist() == [{"split": "train"}]


def test_classes_txt_and_no_yaml(tmp_path):
    (tmp_path / "a.txt").write_text("1 0 0 1 0 1 1\n")
    (tmp_path / "classes.txt").write_text("one\ntwo\n")
    assert io.read(tmp_path, sizes=SIZES).category_names == ["two"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 0 0 1\n", "line 1.*at least 4 numbers"),
        ("0 0 0 1 0 1 nan\n", "line 1, number 6.*share"),
        ("0 0 0 1 0 1 1e300\n", "number 6"),
        ("\n0 0 x 1 0 1 1\n", "line 2, number 2.*a number"),
        ("2 0 0 1 0 1 1\n", "class from 0 to 1"),
        ("-1 0 0 1 0 1 1\n", "class"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, said):
    with pytest.raises(FormatError, match=said):
        yolo.read(made(tmp_path, {"a": text}), sizes=SIZES)


def test_size_must_be_known(tmp_path):
    with pytest.raises(FormatError, match="size is not known"):
        yolo.read(made(tmp_path, {"a": "0 0 0 1 0 1 1\n"}))


@pytest.mark.parametrize(
    "yaml",
    [
        "[" * 5000,
        "a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nnames: [*c, *c]\n",
        "names: 3\n",
        "names: {x: y}\n",
        "- 1\n",
        "names: {999999999: a}\n",
        "\0",
    ],
)
def test_hostile_yaml(tmp_path, yaml):
    with pytest.raises(FormatError, match=r"data\.yaml"):
        yolo.read(made(tmp_path, {"a": ""}, yaml))


def test_yaml_runs_nothing(tmp_path):
    touch = f"!!python/object/apply:pathlib.Path.touch [{tmp_path / 'touched'}]"
    found = yolo.read(made(tmp_path, {"a": ""}, f"names: {touch}\n"))
    assert found.categories["name"].tolist() == [str(tmp_path / "touched")]
    assert not (tmp_path / "touched").exists()


def test_split_folders(tmp_path):
    dataset = from_arrays([(f"{i}.png", [(a_ring(9, 12), 0)]) for i in range(3)], ["x"])
    splits = [{"split": "val"}, None, {"split": "test"}]
    dataset = dataset.replace(images=dataset.images.with_columns(attributes=np.array(splits, object)))
    assert yolo.write(dataset, tmp_path / "out").tolist() == [1, 0, 2]
    found = yolo.read(tmp_path / "out", sizes=sizes_of(dataset))
    assert [row["split"] for row in found.images["attributes"]] == ["train", "val", "test"]
    assert (tmp_path / "out" / "labels" / "val" / "0.txt").exists()


@pytest.mark.parametrize(("parts", "areas"), [("join", [39]), ("split", [45, 2]), ("largest", [45])])
def test_parts(tmp_path, parts, areas):
    mask = a_ring(8, 13)  # 5 x 9 pixels with a hole of 2 x 3, and 2 pixels
    dataset = from_arrays([("a.png", [(mask, 0)])], ["x"])
    areas = [int(mask.sum())] if parts == "join" else areas
    yolo.write(dataset, tmp_path / "out", parts=parts)
    found = yolo.read(tmp_path / "out", sizes=sizes_of(dataset))
    assert found.masks.area.tolist() == areas


def test_round_trip_of_noise(tmp_path, rng):
    """Hundreds of parts and holes, at sizes whose shares are no finite decimals."""
    images = [(f"{i} ä.png", [(rng.random((37, 61 + i)) < 0.5, i % 2)]) for i in range(3)] + [
        ("none.png", [])
    ]
    dataset = from_arrays(images, ['"quoted" \\ \n', "😀 \x7f"])
    rows = yolo.write(dataset, tmp_path / "out")
    found = yolo.read(tmp_path / "out" / "data.yaml", sizes=sizes_of(dataset))
    assert compared(dataset, found, rows, "yolo").lossless
    assert len(found) == 4


def test_crowds_and_what_has_no_surface_are_left_out(tmp_path):
    dataset = from_arrays([("a.png", [(a_ring(9, 12), 0)] * 3)], ["x"])
    dataset = dataset.replace(
        instances=dataset.instances.with_columns(iscrowd=[True, False, False], category=[0, 0, -1])
    )
    assert yolo.write(dataset, tmp_path / "a").tolist() == [1]
    assert yolo.write(dataset, tmp_path / "b", crowd=True, boxes=True).tolist() == [0, 1]
    found = yolo.read(tmp_path / "b", sizes=sizes_of(dataset))
    assert np.allclose(found.instances["bbox"][0], dataset.instances["bbox"][0])


def test_names_of_images(tmp_path):
    twins = from_arrays([("a.png", []), ("A.jpg", [])], ["x"])
    with pytest.raises(ValueError, match=r"not 'a\.png' and 'A\.jpg'"):
        yolo.write(twins, tmp_path / "a")
    away = from_arrays([("../../a.png", []), ("C:\\data\\b.v1.png", [])], ["x"])
    yolo.write(away, tmp_path / "b")
    assert sorted(p.name for p in (tmp_path / "b").rglob("*.txt")) == ["a.txt", "b.v1.txt"]


def test_labels_are_not_mixed(tmp_path):
    dataset = from_arrays([("a.png", [])], ["x"])
    yolo.write(dataset, tmp_path / "a")
    with pytest.raises(FileExistsError, match="without labels"):
        yolo.write(dataset, tmp_path / "a")


GOOD = b"0 0.1 0.2 0.5 0.2 0.5 0.8 0.1 0.8\n1 0.5 0.5 0.2 0.4 0.5\n"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=mutated(GOOD), yaml=mutated(b"names:\n  0: a\n  1: b\ntrain: images/x\npath: ..\n", (b"&a", b"*a"))
)
def test_damaged(tmp_path, text, yaml):
    (tmp_path / "labels").mkdir(exist_ok=True)
    (tmp_path / "labels" / "a.txt").write_bytes(text)
    (tmp_path / "data.yaml").write_bytes(yaml)
    reads_or_says_why(lambda: yolo.read(tmp_path, sizes=SIZES))
    (tmp_path / "data.yaml").write_bytes(b"names: [a, b]")
    reads_or_says_why(lambda: yolo.read(tmp_path, sizes=SIZES))
