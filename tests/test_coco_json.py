"""Kernel coco_json: files to columns, by threads and piece by piece, and the values of rows."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maskmill
from coco_documents import FIELDS, Speller, bytes_of, check, read
from maskmill import _backend, coco_json, use_backend


@pytest.mark.parametrize("odd", [0, 0.1, 0.5])
@pytest.mark.parametrize("kind", ["results", "ground_truth"])
def test_columns(kernels: Any, rng: np.random.Generator, kind: str, odd: float) -> None:
    speller = Speller(rng, odd)
    for _ in range(60):
        text = getattr(speller, kind)(int(rng.integers(0, 9))).encode("utf-8", "surrogatepass")
        check(text, read(kernels, text))


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        " [ ] ",
        "[{}]",
        '{"annotations": [], "images": [], "categories": []}',
        '{"annotations": [{}], "images": [{}], "categories": [{}]}',
        '[{"id": 1}, {"id": "x"}, {"id": 1.5}, {"id": 2, "id": null}]',
        '[{"score": 1}, {"score": 9007199254740993}, {"score": 1.0}, {"score": "1"}]',
        '[{"\\u0069d": 4, "bbox": [1, 2, 3, 4]}, {"id" :5, "bbox":[1,2,3,4]}]',
        '[{"caption": "\\ud83d\\ude00 \\ud800 \\u0000"}]',
        "[" + ", ".join(f'{{"id": {i}, "bbox": [{i}, 1, 2, 3.5]}}' for i in range(50)) + "]",
    ],
)
def test_columns_of(kernels: Any, text: str) -> None:
    check(text.encode(), read(kernels, text))


def test_rows_with_more_keys_than_are_remembered(kernels: Any) -> None:
    rows = [{f"k{i}": i for i in range(n)} | {"id": n, "score": 0.5} for n in (40, 0, 39, 50, 31, 40)]
    text = json.dumps(rows).encode()
    check(text, read(kernels, text))


# Threads


def same_columns(a: Any, b: Any) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        if isinstance(value, dict):
            same_columns(value, b[key])
        else:
            np.testing.assert_array_equal(value, b[key], err_msg=key)


@pytest.fixture
def core() -> Any:
    reason = _backend.why_missing("cpp")
    if reason is not None:
        pytest.skip(reason)
    kernels = _backend.kernels("cpp")
    before = kernels.thread_count()
    yield kernels
    kernels.set_thread_count(before)


def big_document(rng: np.random.Generator) -> str:
    """Some megabytes, in which much looks like the start of an annotation but is none."""
    speller = Speller(rng, 0.05)
    kinds = [speller.annotation() for _ in range(300)]
    decoys = (
        '{"id": 5, "x": "' + '}, {\\"id\\": 1}, {' * 20_000 + '", "y": [' + '{"id": 1}, ' * 30_000 + "{}]}"
    )
    rows = [kinds[i] for i in rng.integers(0, len(kinds), 9000)]
    rows[2000] = rows[5000] = decoys
    return '{"images": [], "annotations": [' + ",\n".join(rows) + '], "categories": [{"id": 3}]}'


def test_threads_change_nothing(core: Any, rng: np.random.Generator) -> None:
    text = big_document(rng).encode()
    assert len(text) > 4 << 20
    core.set_thread_count(1)
    alone = read(core, text)
    assert alone["annotations"]["n"] > 8000
    for threads in (2, 5):
        core.set_thread_count(threads)
        same_columns(alone, read(core, text))
    for at in (len(text) // 5, len(text) // 2, len(text) - 40):
        at = text.index(b'"bbox"', at - 4000)
        bad = text[:at] + b"?" + text[at + 1 :]
        faults = []
        for threads in (1, 4):
            core.set_thread_count(threads)
            faults.append(read(core, bad))
        assert faults[0] == faults[1]
        assert faults[0][3] == at


# Boxes, read piece by piece


def box_rows(rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
    numbers = rng.random((n, 5)) * 600
    return [
        {
            "image_id": int(rng.integers(0, 10**6)),
            "bbox": [round(v, 2) if i % 3 else int(v) for v in row[:4]],
            "score": round(row[4], 3) if i % 5 else 1,
            "category_id": int(i % 80),
        }
        for i, row in enumerate(numbers.tolist())
    ]


def read_boxes(core: Any, path: Path) -> Any:
    with open(path, "rb", buffering=0) as file:
        return core.coco_json_read_boxes(file.fileno(), path.stat().st_size)


@pytest.mark.skipif(sys.platform == "win32", reason="files are read as a whole there")
@pytest.mark.parametrize("n", [0, 1, 7, 60_000])
@pytest.mark.parametrize("indent", [None, 1])
def test_boxes(core: Any, rng: np.random.Generator, tmp_path: Path, n: int, indent: int | None) -> None:
    rows = box_rows(rng, n)
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(rows, indent=indent))
    found = read_boxes(core, path)
    if n == 0 and found is None:
        return
    assert found["n"] == n
    whole = read(core, path.read_bytes())["annotations"]
    for name in ("image_id", "category_id", "bbox", "score") if n else ():
        np.testing.assert_array_equal(found[name], whole[name])
    expected = [
        sum((type(v) is int) << k for k, v in enumerate([*row["bbox"], row["score"]])) for row in rows
    ]
    assert found["integers"].tolist() == expected
    if n:
        assert [{v: k for k, v in FIELDS.items()}[key] for key in found["keys"]] == list(rows[0])


@pytest.mark.skipif(sys.platform == "win32", reason="files are read as a whole there")
@pytest.mark.parametrize("n", [1, 7, 30_000])
@pytest.mark.parametrize("k", [1, 2, 17])
@pytest.mark.parametrize("boxes", [False, True])
def test_plain_keypoints(
    core: Any, rng: np.random.Generator, tmp_path: Path, n: int, k: int, boxes: bool
) -> None:
    rows = box_rows(rng, n)
    for row, points in zip(rows, rng.normal(0, 300, (n, 3 * k)).tolist(), strict=True):
        row["keypoints"] = [int(v) if i % 3 else v for i, v in enumerate(points)]
        if not boxes:
            del row["bbox"]
    path = tmp_path / "keypoints.json"
    path.write_text(json.dumps(rows))
    found = read_boxes(core, path)
    assert found["n"] == n
    assert ("bbox" in found) == boxes
    assert found["keypoints"].tolist() == [row["keypoints"] for row in rows]
    flags = np.unpackbits(
        found["keypoint_integers"].reshape(n, -1), axis=1, count=3 * k, bitorder="little"
    ).tolist()
    assert flags == [[type(v) is int for v in row["keypoints"]] for row in rows]
    keys = tuple(rows[0])
    boxes_read = found.get("bbox", np.empty((0, 4)))
    columns = [found[name] for name in ("image_id", "category_id", "score", "integers")]
    columns[2:2] = [boxes_read]
    dicts = core.coco_box_dicts(keys, *columns, found["keypoints"], found["keypoint_integers"])
    assert repr(dicts) == repr(rows)


@pytest.mark.skipif(sys.platform == "win32", reason="files are read as a whole there")
@pytest.mark.parametrize(
    "points",
    ["[]", "[1]", "[1, 2]", "[1, 2, 3, 4]", "[1, 2, null]", '"a"', "[[1, 2, 3]]", "[1, 2, 3, 4, 5, 6]"],
)
def test_what_is_not_plain_keypoints(core: Any, tmp_path: Path, points: str) -> None:
    path = tmp_path / "keypoints.json"
    row = '{"image_id": 1, "category_id": 1, "score": 1, "keypoints": %s}'
    good = row % "[1, 2, 3]"
    path.write_text(f"[{good}, {good}]")
    assert read_boxes(core, path)["keypoints"].tolist() == [[1, 2, 3]] * 2
    path.write_text(f"[{good}, {row % points}]")
    assert read_boxes(core, path) is None


@pytest.mark.skipif(sys.platform == "win32", reason="files are read as a whole there")
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "x",
        lambda text: text.replace('"score"', '"id"', 1),
        lambda text: text.replace('"score"', '"sc\\u006fre"', 1),
        lambda text: text.replace("}]", ', "x": 1}]'),
        lambda text: text.replace("}]", "},]"),
        lambda text: re.sub(r'"image_id": (\d+)', r'"image_id": "\1"', text, count=1),
        lambda text: '{"annotations": ' + text + "}",
    ],
)
def test_what_is_not_plain_boxes(core: Any, rng: np.random.Generator, tmp_path: Path, change: Any) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(change(json.dumps(box_rows(rng, 50))))
    assert read_boxes(core, path) is None


# Values of rows


def columns_of(kernels: Any, values: list[str], field: str) -> tuple[np.ndarray, dict[str, Any]]:
    text = bytes_of("[" + ", ".join(f'{{"{field}": {value}}}' for value in values) + "]")
    return text, kernels.coco_json_read(text)["annotations"]


def test_masks(kernels: Any) -> None:
    text, rows = columns_of(
        kernels,
        [
            "[[2, 2, 7, 2, 7, 6, 2, 6]]",
            '{"size": [10, 10], "counts": [22, 4, 6, 4, 64]}',
            '{"size": [10, 10], "counts": "f064d1"}',
            '{"counts": "f0\\u00364d1", "size": [10.0, 10]}',
            "[[2, 2, 7, 2, 7, 6, 2, 6], [0, 0, 3, 0, 3, 3, 0, 3, 9], [5, 5]]",
            '{"size": [10, 10], "counts": ""}',
        ],
        "segmentation",
    )
    parts = [rows[f"segmentation_{name}"] for name in ("kind", "begin", "end")]
    chosen = np.array([4, 0, 1, 2, 3, 5, 0])
    counts, offsets = kernels.coco_json_masks(text, chosen, *parts, np.full((7, 2), 10))
    got = [counts[a:b].tolist() for a, b in zip(offsets, offsets[1:], strict=False)]
    square = [22, 4, 6, 4, 6, 4, 6, 4, 6, 4, 34]
    assert got[1] == got[6] == square
    assert got[2] == [22, 4, 6, 4, 64]
    assert got[3] == got[4] == maskmill.rle.from_strings(["f064d1"])[0].tolist()
    assert got[5] == []
    image = maskmill.rle.decode(got[0], [0, len(got[0])], [[10, 10]])[0]
    expected = np.zeros((10, 10), np.uint8)
    expected[2:6, 2:7] = expected[:3, :3] = 1
    np.testing.assert_array_equal(image, expected)
    areas = kernels.coco_json_areas(text, chosen[2:6], *parts)
    assert areas.dtype == np.float64
    assert areas[0] == 8
    assert areas.tolist()[1:3] == [sum(got[3][1::2])] * 2
    assert areas[3] == 0


def test_masks_name_the_annotation(kernels: Any) -> None:
    text = bytes_of("[[1, 2, 3, 4]][][[0,0,5,0,5,1e9]]")
    begin, end = np.array([0, 14, 16, 0], np.uint64), np.array([14, 16, 33, 0], np.uint64)
    kind = np.array([1, 1, 1, 0], np.uint8)
    for row, what in enumerate(
        [
            "its first polygon has 4 numbers, not 6 or more",
            "its segmentation is an empty list",
            "a polygon has a coordinate that is not finite and at most 4e8",
            "it has no segmentation",
        ]
    ):
        with pytest.raises(ValueError) as caught:
            kernels.coco_json_masks(text, np.array([row]), kind, begin, end, np.array([[9, 9]]))
        assert str(caught.value) == f"annotation {row}: {what}"
    with pytest.raises(ValueError, match="a row does not exist"):
        kernels.coco_json_masks(text, np.array([4]), kind, begin, end, np.array([[9, 9]]))
    with pytest.raises(ValueError, match="a slice lies outside of the text"):
        kernels.coco_json_masks(text, np.array([0]), kind, begin, end + np.uint64(99), np.array([[9, 9]]))


def test_numbers_of_many_digits(core: Any, rng: np.random.Generator) -> None:
    """As Python reads them, whatever way their digits take; many lie halfway between two doubles, or nearly."""
    texts = [repr(v) for v in rng.uniform(0, 1000, 3000).tolist()]
    for digits in (16, 17, 18, 19):
        for m in rng.integers(10 ** (digits - 1), 9 * 10 ** (digits - 1), 1500).tolist():
            point = int(rng.integers(1, digits))
            texts.append(f"{str(m)[:-point]}.{str(m)[-point:]}")
    texts += [f"{m}.5" for m in rng.integers(2**52, 2**53, 1500).tolist()]
    texts += [f"-{m}.0" for m in (2**53 + 2 * rng.integers(0, 10**6, 1500) + 1).tolist()]
    text = np.frombuffer(f"[{','.join(texts)}]".encode(), np.uint8)
    ends = np.array([0], np.uint64), np.array([text.size], np.uint64)
    got = core.coco_json_keypoints(text, np.array([0]), *ends, len(texts) // 3)
    assert got.ravel().tolist() == [float(number) for number in texts]


def test_keypoints(kernels: Any) -> None:
    text, rows = columns_of(kernels, ["[1, 2.5, 2, -3, 4e1, 0]", "[]", "[1, 2, true]"], "keypoints")
    parts = rows["keypoints_begin"], rows["keypoints_end"]
    got = kernels.coco_json_keypoints(text, np.array([0, 0]), *parts, 2)
    assert got.tolist() == [[[1, 2.5, 2], [-3, 40, 0]]] * 2
    with pytest.raises(ValueError, match="annotation 1: 0 numbers in keypoints, not 6"):
        kernels.coco_json_keypoints(text, np.array([1]), *parts, 2)
    with pytest.raises(ValueError, match="annotation 2: keypoints must be numbers"):
        kernels.coco_json_keypoints(text, np.array([2]), *parts, 1)


def test_file_of_all_kinds(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "gt.json"
    path.write_text(
        json.dumps(
            {
                "images": [{"id": 7, "height": 10, "width": 10}],
                "categories": [{"id": 2}],
                "annotations": [
                    {"id": 1, "image_id": 7, "segmentation": [[2, 2, 7, 2, 7, 6, 2, 6]], "name": "\u00fc"},
                    {"id": 2, "image_id": 8, "segmentation": [[2, 2, 7, 2, 7, 6, 2, 6]]},
                    {"id": 3, "image_id": 7},
                    {"id": "4", "segmentation": {"size": [2, 2], "counts": [1, 3]}},
                ],
            }
        )
    )
    with use_backend(backend):
        file = coco_json.read(path)
        assert len(file) == 4
        assert file.columns["id"].tolist() == [1, 2, 3, 0]
        assert file.has("id").tolist() == [True, True, True, False]
        assert file.segmentation_kinds() == ["polygons", "polygons", "none", "counts"]
        assert file.dict(0)["name"] == "\u00fc"
        assert file.masks([0, 3]).area.tolist() == [20, 3]
        with pytest.raises(ValueError, match="the size of annotation 1's image is not in the file"):
            file.masks([1])
        with pytest.raises(ValueError, match="annotation 2 has no segmentation"):
            file.masks()


def test_head(tmp_path: Path) -> None:
    """All but the annotations, of which there may be many; of one name the last counts."""
    content = {"info": {"a": [1, None]}, "images": [{"id": 1, "x": "\u00b5"}], "categories": [], "other": 3}
    whole = {**content, "annotations": [{"id": 1}, {"id": 2}]}
    (tmp_path / "a.json").write_text(json.dumps(whole))
    assert coco_json.read(tmp_path / "a.json").head() == content
    (tmp_path / "b.json").write_text('{"info": 1, "annotations": [], "info": 2}')
    assert coco_json.read(tmp_path / "b.json").head() == {"info": 2}
    (tmp_path / "r.json").write_text("[]")
    assert coco_json.read(tmp_path / "r.json").head() == {}
