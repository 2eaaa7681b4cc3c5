"""Label Studio: exports by hand, its brush code against its converter, to and fro, damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotated import a_ring, from_arrays, mutated, reads_or_says_why
from conftest import random_masks
from maskmill import Dataset, FormatError, Masks, io
from maskmill.dataset import ShapesBuilder, objects
from maskmill.dataset.loss import compared
from maskmill.dataset.shapes import KINDS
from maskmill.io import label_studio
from maskmill.io._brush import decode_brush, encode_brush


def bits_of(values: list[int], *, literal: int = 0, word: int = 8) -> bytes:
    """A brush code by the format's description, with up to `literal` values that are written one by one."""
    text = f"{len(values):032b}{word - 1:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16))
    at = 0
    while at < len(values):
        alike = next((k for k in range(at, len(values)) if values[k] != values[at]), len(values)) - at
        n = min(literal, len(values) - at, 8) if literal else min(alike, 65536)
        text += f"{int(not literal)}{'00' if literal else '11'}"
        text += f"{n - 1:03b}" if literal else f"{n - 1:016b}"
        text += "".join(f"{v:0{word}b}" for v in (values[at : at + n] if literal else values[at : at + 1]))
        at += n
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


@pytest.mark.parametrize("word", [8, 16, 1, 32])
@pytest.mark.parametrize("literal", [0, 1, 3, 8])
def test_decode_by_the_description(rng, literal, word):
    """Colours of any kind; alpha alone counts."""
    pixels = rng.integers(0, min(2**word, 256), (7, 5, 4))
    pixels[2:4, :, 3] = 0
    found = decode_brush(bits_of(pixels.ravel().tolist(), literal=literal, word=word), 7, 5)
    assert np.array_equal(found.decode()[0], pixels[..., 3] > 0)
    found = decode_brush(bits_of(pixels.ravel().tolist(), literal=literal, word=word), 7, 5, threshold=100)
    assert np.array_equal(found.decode()[0], pixels[..., 3] >= 100)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (31, 33), (300, 301)])
@pytest.mark.parametrize("density", [0.0, 0.003, 0.5, 1.1])
def test_there_and_back(rng, size, density):
    mask = rng.random(size) < density
    data = encode_brush(Masks.encode(mask))
    assert np.array_equal(decode_brush(data, *size).decode()[0], mask)


def test_the_converters_bytes(rng):
    brush = pytest.importorskip("label_studio_converter.brush")
    for mask in (*random_masks(rng, 5, 40, 57), np.ones((300, 300), bool), np.zeros((9, 9), bool)):
        theirs = brush.mask2rle(mask.astype(np.uint8) * 255)
        assert list(encode_brush(Masks.encode(mask))) == theirs
        assert np.array_equal(decode_brush(bytes(theirs), *mask.shape).decode()[0], mask)


@given(data=st.binary(max_size=60), size=st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_any_bytes(data, size):
    head = (4 * size[0] * size[1]).to_bytes(4, "big")
    for whole in (data, head + data):
        try:
            decode_brush(whole, *size)
        except ValueError as error:
            assert "must be" in str(error)  # noqa: PT017


def result(kind: str, value: dict, **more) -> dict:
    sizes = {"original_width": 200, "original_height": 50, "image_rotation": 0}
    return {"id": "r1", "from_name": "tag", "to_name": "img", "type": kind, **sizes, "value": value, **more}


def task(*results: dict, **more) -> dict:
    annotation = {"id": 9, "was_cancelled": False, "result": list(results)}
    return {"id": 4, "data": {"image": "/data/upload/1/ab12-a%20b.png"}, "annotations": [annotation], **more}


def read(tmp_path, content, **options) -> Dataset:
    (tmp_path / "a.json").write_text(json.dumps(content))
    return io.read(tmp_path / "a.json", **options)


def kinds(dataset: Dataset) -> list[str]:
    return [KINDS[kind] for kind in dataset.shapes.kind]


BRUSH = np.zeros((50, 200), bool)
BRUSH[10:20, 30:90] = True
BRUSH[12:15, 40:50] = False
RLE = list(encode_brush(Masks.encode(BRUSH)))

EXPORT = [
    task(
        result("polygonlabels", {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["Flake", "b"]}),
        result("brushlabels", {"format": "rle", "rle": RLE, "brushlabels": ["Flake"]}, id="r2", score=0.5),
        result(
            "rectanglelabels", {"x": 10, "y": 20, "width": 5, "height": 40, "rotation": 0, "rectanglelabels": ["Dirt"]},
            id="r3", meta={"text": ["old"]},
        ),
        result("rectangle", {"x": 50, "y": 50, "width": 10, "height": 20, "rotation": 90}, id="r4"),
        result("labels", {"x": 50, "y": 50, "width": 10, "height": 20, "rotation": 90, "labels": ["Dirt"]}, id="r4"),
        result("choices", {"x": 50, "y": 50, "width": 10, "height": 20, "rotation": 90, "choices": ["big"]}, id="r4",
               from_name="size"),
        result("ellipselabels", {"x": 50, "y": 50, "radiusX": 5, "radiusY": 10, "rotation": 0, "ellipselabels": ["e"]},
               id="r5"),
        result("keypointlabels", {"x": 50, "y": 50, "width": 0.2, "keypointlabels": ["k"]}, id="r6"),
        {"id": "c", "type": "choices", "from_name": "quality", "to_name": "img", "value": {"choices": ["blurred"]}},
        {"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "right"},
        predictions=[{"model_version": "m", "score": 0.25, "result": [
            result("polygonlabels", {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["Guess"]})]}],
    ),
    task(id=5, data={"image": "/data/local-files/?d=sub/c%20d.png", "batch": 3}),
]  # fmt: skip


def test_full_export(tmp_path):
    found = read(tmp_path, EXPORT)
    assert found.images["file_name"].tolist() == ["ab12-a b.png", "sub/c d.png"]
    assert found.images["id"].tolist() == [4, 5]
    assert found.images["attributes"][0] == {"image": "/data/upload/1/ab12-a%20b.png", "quality": ["blurred"]}
    assert (found.images["height"].tolist(), found.images["width"].tolist()) == ([50, 0], [200, 0])
    assert kinds(found) == ["polygon", "mask", "box", "polygon", "ellipse", "point"]
    assert found.category_names == ["Flake", "Flake", "Dirt", "Dirt", "e", "k"]
    assert np.array_equal(found.masks[1].decode()[0], BRUSH)
    assert found.instances["score"].tolist() == pytest.approx([np.nan, 0.5, *[np.nan] * 4], nan_ok=True)
    assert found.instances["attributes"].tolist() == [
        {"labels": ["Flake", "b"]}, None, {"text": ["old"]}, {"size": ["big"], "rotation": 90}, None, {"width": 0.2},
    ]  # fmt: skip
    assert found.instances["bbox"][[0, 2, 3, 4, 5]].round(9).tolist() == [
        [0, 0, 100, 25], [20, 10, 10, 20], [90, 25, 10, 20], [90, 20, 20, 10], [100, 25, 0, 0],
    ]  # fmt: skip


def test_predictions(tmp_path):
    found = read(tmp_path, EXPORT, source="predictions")
    assert (found.category_names, found.instances["score"].tolist()) == (["Guess"], [0.25])
    assert len(read(tmp_path, EXPORT, source="both").instances) == 7


def test_several_annotators(tmp_path):
    one = result("polygonlabels", {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["x"]})
    annotations = [{"id": i, "result": [one], "was_cancelled": i == 3} for i in (1, 2, 3)]
    found = read(tmp_path, [task(annotations=annotations)])
    assert found.instances["attributes"].tolist() == [{"annotation": 1}, {"annotation": 2}]


def test_json_min(tmp_path):
    size = {"original_width": 200, "original_height": 50}
    found = read(tmp_path, [{
        "image": "/data/upload/1/a.png", "id": 3, "quality": "good", "annotator": 1,
        "label": [
            {"x": 10, "y": 20, "width": 5, "height": 40, "rotation": 0, "rectanglelabels": ["Dirt"], **size},
            {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["Flake"], **size},
        ],
        "brush": [{"format": "rle", "rle": RLE, "brushlabels": ["Flake"], **size}],
    }])  # fmt: skip
    assert found.images["file_name"].tolist() == ["a.png"]
    assert found.images["attributes"][0]["quality"] == "good"
    assert kinds(found) == ["box", "polygon", "mask"]
    assert found.category_names == ["Dirt", "Flake", "Flake"]


def test_size_must_be_known(tmp_path):
    old = result("polygonlabels", {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["x"]})
    del old["original_width"]
    with pytest.raises(FormatError, match="size is not known"):
        read(tmp_path, [task(old)])
    assert read(tmp_path, [task(old)], sizes={"ab12-a b.png": (50, 200)}).masks.area[0] > 0


def test_coco_export(tmp_path):
    """Plain COCO, with folders and either slash, numbers from 0, and boxes without polygons."""
    (tmp_path / "images").mkdir()
    pytest.importorskip("cv2").imwrite(str(tmp_path / "images" / "a.png"), np.zeros((5, 6), np.uint8))
    image = {"width": 6, "height": 5, "id": 0, "file_name": "images\\/a.png"}
    shared = {"image_id": 0, "category_id": 0, "ignore": 0, "iscrowd": 0}
    found = read(tmp_path, {
        "images": [image], "categories": [{"id": 0, "name": "x"}], "info": {"contributor": "Label Studio"},
        "annotations": [
            {"id": 0, "segmentation": [[0, 0, 3, 0, 3, 3]], "bbox": [0, 0, 3, 3], "area": 4.5, **shared},
            {"id": 1, "segmentation": [], "bbox": [1, 1, 2, 2], "area": 4, **shared},
        ],
    })  # fmt: skip
    assert kinds(found) == ["polygon", "box"]
    assert found.images["pixels"][0] is not None


def test_round_trip(tmp_path, rng):
    square = np.zeros((17, 23), bool)
    square[3:9, 4:20] = True
    images = [
        ("ü b.png", [(rng.random((17, 23)) < 0.5, 0), (square, 1)]),
        ("c/d.png", [(a_ring(9, 12), 1)]),
        ("e.png", []),
    ]
    dataset = from_arrays(images, ["a", "b 😀"])
    dataset = dataset.replace(
        instances=dataset.instances.with_columns(
            attributes=objects([{"n": 3, "l": [1, None]}, None, {"text": ["x"]}]), score=[0.1, np.nan, 1]
        )
    )
    rows = label_studio.write(dataset, tmp_path / "a.json")
    found = io.read(tmp_path / "a.json")
    assert compared(dataset, found, rows, "label_studio").lossless
    assert kinds(found) == ["mask", "polygon", "mask"]
    again = label_studio.write(read(tmp_path, EXPORT), tmp_path / "b.json")
    assert again.tolist() == [0, 1, 2, 3, 4, 5]
    data = [task["data"] for task in json.loads((tmp_path / "b.json").read_text())]
    assert data[1] == EXPORT[1]["data"]


def test_curves_and_lines_come_back(tmp_path):
    builder = ShapesBuilder(rule="even-odd")
    builder.add("circle", [(5, 5), (8.2, 5)])
    builder.add("ellipse", [(5, 5), (4, 2.5), (0.3, 0)])
    builder.add("point", [(1.5, 2)])
    builder.add("polyline", [(1.5, 2), (3, 4), (5, 6)])
    builder.box()
    bbox = np.full((5, 4), np.nan)
    bbox[4] = (1.25, 2, 3, 4)
    dataset = Dataset(
        {"file_name": ["a"], "height": [10], "width": [12]}, {}, {"bbox": bbox}, builder.build()
    )
    report = io.write(dataset, tmp_path / "a.json", "label_studio")
    assert report.masks_kept
    assert report.boxes_changed == 0
    assert kinds(io.read(tmp_path / "a.json")) == ["ellipse", "ellipse", "point", "polyline", "box"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"points": [[0, 0], [50]]}, r"value\.points: expected pairs"),
        ({"points": [[0, 0], [50, 1e300]]}, r"value\.points \(y\[1\]\)"),
        ({"points": 3}, r"value\.points: expected an array"),
        ({"x": None, "y": 0, "width": 1, "height": 1}, r"value\.x: expected a number"),
        ({"x": 1e300, "y": 0, "width": 1, "height": 1}, r"value\.x"),
        ({"rle": [1, 2, 300]}, r"value\.rle: expected numbers from 0 to 255, found 300"),
        ({"rle": RLE[:-5]}, r"value\.rle: must be longer than"),
        ({"rle": [0] * 20}, r"value\.rle: must be of 50 x 200 pixels"),
        ({"points": [[0, 0]], "polygonlabels": [3]}, r"value\.polygonlabels: expected text"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, value, said):
    with pytest.raises(FormatError, match=rf"a\.json: \[0\]\.annotations\[0\]\.result\[0\]\.{said}"):
        read(tmp_path, [task(result("x", value))])


SMALL = np.zeros((5, 20), bool)
SMALL[1:3, 3:9] = True
DAMAGE = json.dumps([
    task(
        result("brush", {"rle": list(encode_brush(Masks.encode(SMALL)))}, original_width=20, original_height=5),
        *EXPORT[0]["annotations"][0]["result"][2:],
    ),
]).encode()  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=mutated(DAMAGE, (b"null", b"[]", b"{}", b'"x"', b"true", b'"width"', b"NaN")))
def test_damaged(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    for source in ("annotations", "both"):
        reads_or_says_why(lambda s=source: label_studio.read(tmp_path / "a.json", source=s))
