"""maskmill flakes postprocess: flakes of predictions; nothing is merged, filled or lost unless it was asked for."""

from __future__ import annotations

import contextlib
import json

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskmill import Dataset, FormatError, Masks
from maskmill.cli import main
from maskmill.studies.flakes import Centres, ShapeFilter, postprocess, read_results, read_semantic
from maskmill.studies.flakes.annotations import read_annotations, write_annotations
from maskmill.studies.flakes.predictions import (
    as_maskterial,
    outline_area,
    shape_features,
    shapes,
    write_results,
)
from maskmill.studies.flakes.semantics import write_labels
from test_flakes_layout import real


def one(*masks, scores=None, classes=None):
    """A data set of one image."""
    dense = np.stack(masks)
    n = len(dense)
    return Dataset(
        {"id": [7], "file_name": ["p.jpg"], "height": [dense.shape[1]], "width": [dense.shape[2]]},
        {"id": [1, 4], "name": ["thin", "thick"]},
        {
            "category": np.zeros(n, int) if classes is None else np.array(classes),
            "score": np.full(n, np.nan) if scores is None else np.array(scores, float),
        },
        Masks.encode(dense),
    )


def box(y, x, h, w, shape=(80, 100)):
    image = np.zeros(shape, bool)
    image[y : y + h, x : x + w] = True
    return image


RING = box(5, 5, 60, 60) & ~box(15, 15, 40, 40)
"""2,000 pixels."""


def test_sizes_are_pixels():
    """18 x 18 are 324 pixels, though the outline through their centres encloses 289."""
    flake = one(box(3, 3, 18, 18))
    assert len(postprocess(flake, min_area=324).instances) == 1
    assert len(postprocess(flake, min_area=325).instances) == 0
    assert outline_area(flake.masks).tolist() == [289]
    table = shapes(flake, scale=0.5)
    assert (table["area"][0], table["area_um2"][0]) == (324, 81)
    assert np.allclose([table["long_um"][0], table["short_um"][0]], 9, atol=0.6)


def test_limits_belong():
    flakes = one(box(0, 0, 10, 20), box(40, 0, 10, 20), scores=[0.3, 0.29])
    assert postprocess(flakes).masks.area.tolist() == [200]
    assert len(as_maskterial(flakes, semantic=False).instances) == 0  # above 0.3, more than 200


def test_holes_and_parts_are_kept():
    two = box(0, 0, 20, 20) | box(30, 30, 25, 20)
    flakes = one(RING, two, scores=[0.9, 0.8])
    kept = postprocess(flakes)
    assert kept.masks == flakes.masks
    assert postprocess(flakes, fill_holes=True).masks.area.tolist() == [3600, 900]
    assert postprocess(flakes, parts="largest").masks.area.tolist() == [2000, 500]
    split = postprocess(flakes, parts="split")
    assert split.masks.area.tolist() == [2000, 400, 500]
    assert split.instances["score"].tolist() == [0.9, 0.8, 0.8]
    assert split.instances["id"].tolist() == [1, 2, 3]
    theirs = as_maskterial(flakes, semantic=False)
    assert theirs.masks.area.tolist() == [3600, 500]


def test_touching_flakes_stay_two():
    corner = box(0, 0, 20, 20) | box(20, 20, 20, 20)
    assert postprocess(one(corner), parts="split").masks.area.tolist() == [400, 400]
    assert postprocess(one(corner), parts="split", connectivity=8).masks.area.tolist() == [800]
    assert as_maskterial(one(corner), semantic=True).masks.area.tolist() == [800]


def test_opening(rng):
    """As OpenCV opens: twice, by 3 x 3, and the border of the image does not erode."""
    noisy = cv2.GaussianBlur(rng.random((80, 100)), (9, 9), 3) > 0.5
    noisy[:30, :30] = True
    opened = cv2.morphologyEx(noisy.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)), iterations=2)
    found = postprocess(one(noisy), opening=2, min_area=0)
    assert np.array_equal(found.masks.decode()[0], opened)


def test_classes_are_separate():
    a, b = box(0, 0, 20, 20), box(0, 20, 20, 20)
    found = as_maskterial(one(a, b, classes=[0, 1]), semantic=True)
    assert sorted(found.instances["category"].tolist()) == [0, 1]
    assert found.masks.area.tolist() == [400, 400]


def test_nothing():
    none = one(box(0, 0, 1, 1)).take(instances=[])
    for flakes in (
        postprocess(none),
        as_maskterial(none, semantic=True),
        as_maskterial(none, semantic=False),
    ):
        assert len(flakes.instances) == 0
        assert len(shapes(flakes)) == 0
    assert shape_features(Masks.empty(), "maskterial").shape == (0, 2)


def test_shapes_without_area():
    """A line encloses nothing, an empty mask has nothing: no number, no error."""
    masks = Masks.encode(np.stack([box(5, 5, 1, 30), box(0, 0, 0, 0), box(2, 2, 1, 1)]))
    theirs = shape_features(masks, "maskterial")
    assert np.isnan(theirs).all()
    exact = shape_features(masks)
    assert np.isnan(exact[1]).all()
    assert exact[0, 1] == 1
    assert np.isfinite(exact[0]).all()


def test_the_largest_outline_counts():
    """Not the first: a speck before the flake, and a hole in it, change nothing."""
    flake = RING | box(0, 0, 3, 3)
    alone, both = (shape_features(Masks.encode(m[None]), "maskterial") for m in (RING, flake))
    assert np.array_equal(alone, both)


def test_squares_are_solid():
    masks = Masks.encode(np.stack([box(3, 3, 20, 20), RING]))
    exact = shape_features(masks)
    assert exact[0].tolist() == pytest.approx([76 / 20, 1])
    assert exact[1, 1] == pytest.approx(2000 / 3600)


# Files


@pytest.fixture
def truth(tmp_path):
    data = one(RING, box(0, 70, 20, 20), classes=[1, 0])
    write_annotations(data, tmp_path / "truth.json")
    return data


def results(n=1, **changes):
    rle = Masks.encode(box(0, 70, 20, 20)[None]).to_coco(text=True)[0]
    row = {"image_id": 7, "category_id": 4, "score": 0.5, "segmentation": rle}
    row.update(changes)
    return [{k: v for k, v in row.items() if v is not None}] * n


def test_results_come_back(truth, tmp_path):
    scored = truth.replace(instances=truth.instances.with_columns(score=np.array([0.25, 0.75])))
    write_results(scored, tmp_path / "r.json")
    for known in (truth, None):
        found = read_results(tmp_path / "r.json", known)
        assert found.masks == truth.masks
        assert found.instances["score"].tolist() == [0.25, 0.75]
        assert found.categories["id"][found.instances["category"]].tolist() == [4, 1]
    again = tmp_path / "again.json"
    write_results(read_results(tmp_path / "r.json"), again)  # reading alters nothing
    assert again.read_bytes() == (tmp_path / "r.json").read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": []}, "expected an array of results"),
        (results(score=None), "result 0: expected 'score'"),
        (results(segmentation=None), "result 0: expected 'segmentation'"),
        (results(image_id=8), "result 0: expected an image of the truth, found 8"),
        (results(category_id=2), "result 0: expected a class of the truth, found 2"),
        (results(segmentation={"size": [80, 99], "counts": "1"}), "r.json"),
        (results(segmentation={"size": [80, 100], "counts": [3, 10**12]}), "segmentation"),
    ],
)
def test_wrong_results(truth, tmp_path, content, message):
    (tmp_path / "r.json").write_text(json.dumps(content))
    with pytest.raises(FormatError, match=message):
        read_results(tmp_path / "r.json", truth)


def test_images_that_nobody_has(tmp_path):
    most = 2**32 - 1
    rle = {"size": [10**5, 10**5], "counts": [most, most, 10**10 - 2 * most]}
    (tmp_path / "r.json").write_text(json.dumps(results(segmentation=rle)))
    with pytest.raises(FormatError, match="result 0: expected at most 2,147,483,648 pixels"):
        read_results(tmp_path / "r.json")


SPLICES = (
    b"",
    b"\xff",
    b"null",
    b"[[[[",
    b"1e999",
    b"NaN",
    b"-1",
    b"9" * 40,
    b'{"a":' * 9,
    b'"',
    b"\0",
    b"{}",
    b"1e300",
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(kind=st.integers(0, 2), at=st.floats(0, 1), length=st.integers(0, 40), new=st.sampled_from(SPLICES))
def test_damaged_files(tmp_path, kind, at, length, new):
    """Results, centres and filters: read, or a FormatError that names the file."""
    path, of_one = tmp_path / "damaged.json", dict.fromkeys("bgr", 0.5)
    read, good = (
        (read_results, json.dumps(results(3)).encode()),
        (
            Centres.read,
            json.dumps({"1": {"contrast": of_one, "covariance_matrix": np.eye(3).tolist()}}).encode(),
        ),
        (ShapeFilter.read, b'{"outline": 1.5, "solidity": -2, "intercept": 0.25, "rule": "exact"}'),
    )[kind]
    start = int(at * len(good))
    path.write_bytes(good[:start] + new + good[start + length :])
    with contextlib.suppress(FormatError):
        read(path)
    path.write_bytes(good[:start])
    if start < len(good):
        with pytest.raises(FormatError, match=r"damaged\.json"):
            read(path)


def test_no_results(truth, tmp_path):
    (tmp_path / "r.json").write_text("[]")
    assert len(read_results(tmp_path / "r.json", truth).instances) == 0
    assert len(read_results(tmp_path / "r.json").instances) == 0


def test_semantic_masks(truth, tmp_path):
    (tmp_path / "s").mkdir()
    write_labels(tmp_path / "s/p.png", np.where(RING, 4, box(0, 70, 20, 20)))
    found = postprocess(read_semantic(tmp_path / "s", truth), parts="split")
    assert found.images["id"].tolist() == [7]
    assert found.categories["id"][found.instances["category"]].tolist() == [1, 4]
    assert len(postprocess(read_semantic(tmp_path / "s"), parts="split").instances) == 2
    for labels, name, message in (
        (np.zeros((80, 100)), "q", "found none of this stem"),
        (np.zeros((80, 99)), "p", "expected width 100, found 99"),
        (np.full((80, 100), 2), "p", "expected a class of the truth, found 2"),
    ):
        (tmp_path / "bad").mkdir(exist_ok=True)
        for old in (tmp_path / "bad").iterdir():
            old.unlink()
        write_labels(tmp_path / f"bad/{name}.png", labels)
        with pytest.raises(FormatError, match=message):
            read_semantic(tmp_path / "bad", truth)


def test_commands(truth, tmp_path, capsys):
    (tmp_path / "s").mkdir()
    write_labels(tmp_path / "s/p.png", np.where(RING, 4, box(0, 70, 20, 20)))
    command = [
        "flakes",
        "postprocess",
        tmp_path / "s",
        tmp_path / "r.json",
        "--truth",
        tmp_path / "truth.json",
    ]
    assert main([*map(str, command), "--shapes", str(tmp_path / "s.csv"), "--quiet"]) == 0
    assert "2 flakes of 2 predicted masks" in capsys.readouterr().out
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0].startswith("id,image,class,score,area,area_um2,x,y,long_um,short_um,aspect")
    assert lines[2].startswith("2,p.jpg,4,,2000,")
    assert main([*map(str, command), "--as-maskterial", "--quiet"]) == 0
    found = read_results(tmp_path / "r.json", read_annotations(tmp_path / "truth.json"))
    assert sorted(found.masks.area.tolist()) == [400, 3600]
    command[2] = tmp_path / "r.json"
    assert main([*map(str, command), "--min-score", "1.1", "--quiet"]) == 0
    assert "0 flakes of 2" in capsys.readouterr().out


# Real flakes


def test_the_real_flakes(data):
    """59 and 61 components; MaskTerial's second look merges the 59 to 41."""
    flakes = real(data, "GrapheneH", "WSe2")
    rows = [flakes.rows_of_image(i) for i in range(len(flakes))]
    image = [i for i, of in enumerate(rows) if len(of)]
    union = Masks.concatenate([flakes.masks[rows[i]].union() for i in image])
    semantic = Dataset(
        flakes.images, flakes.categories, {"image": image, "category": np.zeros(len(image), int)}, union
    )
    for found, n, pixels in (
        (postprocess(semantic, opening=2, parts="split"), 59, 90987),
        (postprocess(semantic, parts="split"), 61, 93708),
        (as_maskterial(semantic, semantic=True), 41, 91638),
    ):
        assert (len(found.instances), found.masks.area.sum()) == (n, pixels)


def test_the_shapes_of_real_flakes(data):
    flakes = real(data, "GrapheneH", "WSe2")
    names = flakes.images["file_name"][flakes.instances["image"]]
    for start, number, pixels, outline, length, solidity, filled in (
        ("17294f8a", 1, 1492, 1407, 5.2297, 0.8863, 1492),
        ("3659660c", 4, 10625, 10402.5, 4.6968, 0.9642, 10625),
        ("20ea4e7f", 3, 1001, 1207.5, 5.8388, 0.6992, 1294),
    ):
        row = [i for i, name in enumerate(names) if name.startswith(start)][number - 1]
        mask = flakes.masks[row : row + 1]
        assert outline_area(mask)[0] == outline
        assert shape_features(mask, "maskterial")[0].tolist() == pytest.approx([length, solidity], abs=1e-4)
        assert (mask.area[0], mask.fill_holes().area[0]) == (pixels, filled)
    table = shapes(flakes, scale=1)
    assert table["perimeter_um"][0] == pytest.approx(196.1665, abs=1e-4)
    assert table["holes"].sum() == 1
    assert (table["parts"] == 1).all()
