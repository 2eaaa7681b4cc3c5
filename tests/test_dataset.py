"""Data sets: columns that fit one another, and everything that makes data sets of data sets."""

from __future__ import annotations

import json
import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmill import Dataset, FormatError, Masks, Polygons
from maskmill.dataset import Reference, Shapes, ShapesBuilder, Table, objects
from maskmill.dataset.crossing import crossings
from maskmill.dataset.loss import compared
from maskmill.dataset.sizes import image_size
from maskmill.dataset.split import largest_remainder


def read_stored(path: str, field: str) -> np.ndarray:
    return np.load(path)


@st.composite
def datasets(draw, most_images=5, most_instances=6):
    """Label images, polygons, boxes and crowds of a few categories."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n = draw(st.integers(0, most_images))
    sizes = rng.integers(1, 25, (n, 2))
    builder = ShapesBuilder("even-odd")
    image, boxes = [], []
    for i, (h, w) in enumerate(sizes.tolist()):
        for _ in range(draw(st.integers(0, most_instances))):
            image.append(i)
            kind = rng.integers(0, 4)
            boxes.append([np.nan] * 4)
            if kind == 0:
                builder.mask(Masks.encode(rng.random((h, w)) < 0.4))
            elif kind == 1:
                builder.polygon([rng.uniform(-2, 27, (4, 2)) for _ in range(rng.integers(1, 3))])
            elif kind == 2:
                builder.add(
                    "ellipse", [rng.uniform(0, 20, 2), rng.uniform(0.5, 9, 2), (rng.uniform(-3, 3), 0)]
                )
            else:
                builder.box()
                boxes[-1] = [*rng.uniform(0, 10, 2), *rng.uniform(1, 10, 2)]
    k = len(image)
    return Dataset(
        {"file_name": objects([f"{i}.png" for i in range(n)]), "height": sizes[:, 0], "width": sizes[:, 1]},
        {"name": ["a", "b", "c"]},
        {
            "id": rng.permutation(k) + 1,
            "image": np.asarray(image, np.int64),
            "category": rng.integers(-1, 3, k),
            "bbox": np.asarray(boxes, float).reshape(-1, 4),
            "iscrowd": rng.random(k) < 0.2,
            "attributes": objects([{"n": i} for i in range(k)]),
        },
        builder.build(),
    )


@pytest.fixture
def small(tmp_path):
    """Two images with pictures; a ring with a hole, a polygon, a circle, a bare box."""
    picture = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)
    np.save(tmp_path / "a.npy", picture)
    ring = np.zeros((20, 30), bool)
    ring[2:12, 3:13] = True
    ring[5:8, 6:9] = False
    builder = ShapesBuilder("even-odd")
    builder.mask(Masks.encode(ring))
    builder.polygon([[(1, 1), (9, 1), (9, 7)]])
    builder.add("circle", [(10, 10), (14, 10)])
    builder.box()
    return Dataset(
        {
            "file_name": ["a.npy", "b.png"],
            "height": [20, 24],
            "width": [30, 18],
            "pixels": objects([Reference(str(tmp_path / "a.npy"), "", read_stored), None]),
        },
        {"id": [3, 7], "name": ["grain", "void"]},
        {
            "image": [0, 0, 1, 1],
            "category": [0, 1, 1, -1],
            "bbox": [[np.nan] * 4] * 3 + [[2.5, 3, 4, 5]],
            "iscrowd": [False, True, False, False],
        },
        builder.build(),
    )


# Tables


def test_table_refuses_columns_of_other_lengths():
    with pytest.raises(ValueError, match="column 'b' must have 2 rows, not 3"):
        Table({"a": [1, 2], "b": [1, 2, 3]})
    with pytest.raises(KeyError, match="no column 'c', only a"):
        Table({"a": [1]})["c"]


def test_table_to_arrow_and_pandas(small):
    arrow = small.to_arrow()
    assert arrow["category_name"].to_pylist() == ["grain", "void", "void", ""]
    assert Masks.from_arrow(arrow) == small.masks
    pandas = pytest.importorskip("pandas")
    frame = small.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["file_name"].tolist() == ["a.npy", "a.npy", "b.png", "b.png"]
    assert frame["bbox"][3] == [2.5, 3, 4, 5]


# The class


def test_columns_must_fit():
    masks = Masks.empty([(2, 2)])
    with pytest.raises(ValueError, match="instance 0: image must be a row from 0 to 0, not 4"):
        Dataset({"height": [2], "width": [2]}, {}, {"image": [4]}, masks)
    with pytest.raises(ValueError, match="instance 0: category must be a row from -1 to -1, not 0"):
        Dataset({"height": [2], "width": [2]}, {}, {"category": [0]}, masks)
    with pytest.raises(ValueError, match="its mask must be of its image's size 2 x 3, not 2 x 2"):
        Dataset({"height": [2], "width": [3]}, {}, {}, masks)
    with pytest.raises(ValueError, match="instances must have 1 rows, as shapes, not 2"):
        Dataset({"height": [2], "width": [2]}, {}, {"id": [1, 2]}, masks)


def test_boxes_come_from_the_geometry(small):
    expected = [[3, 2, 10, 10], [1, 1, 8, 6], [6, 6, 8, 8], [2.5, 3, 4, 5]]
    np.testing.assert_allclose(small.instances["bbox"], expected)
    assert small.masks.area[3] == 0
    assert small.areas[3] == 20
    assert small.areas[0] == 91


def test_circles_cover_the_pixels_whose_centre_is_inside(small):
    y, x = np.mgrid[:24, :18] + 0.5
    expected = (x - 10) ** 2 + (y - 10) ** 2 < 16
    assert np.array_equal(small.masks[2].decode()[0], expected)


def test_unknown_size_is_said():
    shapes = Shapes.of_polygons(Polygons.from_lists([[[0, 0, 3, 0, 3, 3]]]), "coco")
    dataset = Dataset({"file_name": ["x.png"]}, {}, {}, shapes)
    with pytest.raises(ValueError, match=r"image 'x.png': its size is not known"):
        _ = dataset.masks


def test_take_keeps_masks_with_their_instances(small):
    whole = small.masks
    taken = small.take(images=[1, 0])
    assert taken.images["file_name"].tolist() == ["b.png", "a.npy"]
    assert taken.instances["image"].tolist() == [1, 1, 0, 0]
    assert taken.masks == whole
    fresh = small.take(instances=[2, 0])
    assert fresh.shapes.masks(fresh.sizes) == fresh.masks == whole[[2, 0]]


def test_pickles(small):
    again = pickle.loads(pickle.dumps(small))
    assert again.masks == small.masks
    assert again.images == small.images


# Training


def test_indexing(small):
    image, target = small[0]
    assert image.shape == (20, 30)
    assert target["boxes"].tolist() == [[3, 2, 13, 12], [1, 1, 9, 7]]
    assert target["labels"].tolist() == [3, 7]
    assert target["masks"].shape == (2, 20, 30)
    assert target["iscrowd"].tolist() == [0, 1]
    with pytest.raises(FileNotFoundError, match="the picture is not there"):
        small[1]
    assert small.target(1)["masks"].shape == (2, 24, 18)
    with pytest.raises(IndexError):
        small[2]


def test_detectron2(small):
    made = small.detectron2()
    assert [len(row["annotations"]) for row in made] == [2, 2]
    first = made[0]["annotations"][0]
    assert first["bbox"] == [3, 2, 13, 12]
    assert Masks.from_coco(first["segmentation"]) == small.masks[0]
    assert "segmentation" not in made[1]["annotations"][1]


# COCO


@settings(deadline=None, max_examples=40)
@given(datasets())
def test_coco_holds_everything_but_vertices(dataset):
    again = Dataset.from_coco(json.loads(json.dumps(dataset.to_coco())))
    assert again.masks == dataset.masks
    assert again.category_names == dataset.category_names
    assert again.instances["iscrowd"].tolist() == dataset.instances["iscrowd"].tolist()
    assert again.instances["attributes"].tolist() == dataset.instances["attributes"].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 9}, r"annotations\[0\].image_id: expected one of the file's, found 9"),
        ({"category_id": 9}, r"annotations\[0\].category_id: expected one of the file's, found 9"),
        ({"segmentation": {"size": [4, 4], "counts": "a~"}}, r"annotations\[0\]"),
    ],
)
def test_faulty_coco_is_named(change, message):
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 2, 0, 2, 2]], **change}
    content = {
        "images": [{"id": 1, "height": 4, "width": 4}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [annotation],
    }
    with pytest.raises(ValueError, match=message):
        Dataset.from_coco(content)


# Others made of it


@settings(deadline=None, max_examples=40)
@given(datasets(), st.integers(0, 2**31), st.booleans())
def test_split_is_a_partition(dataset, seed, stratify):
    parts = dataset.split({"train": 0.6, "val": 0.3, "test": 0.1}, seed=seed, stratify=stratify)
    names = [name for part in parts.values() for name in part.images["file_name"]]
    assert sorted(names) == sorted(dataset.images["file_name"])
    assert sum(len(part.instances) for part in parts.values()) == len(dataset.instances)
    again = dataset.split({"train": 0.6, "val": 0.3, "test": 0.1}, seed=seed, stratify=stratify)
    assert [p.images["file_name"].tolist() for p in parts.values()] == [
        p.images["file_name"].tolist() for p in again.values()
    ]
    if not stratify:
        due = largest_remainder(len(dataset), np.array([0.6, 0.3, 0.1]))
        assert [len(part) for part in parts.values()] == due.tolist()


def test_stratified_split_shares_out_every_category():
    rng = np.random.default_rng(1)
    category = np.repeat([0, 1, 2], [400, 80, 20])
    n = 200
    dataset = Dataset(
        {"height": np.full(n, 4), "width": np.full(n, 4)},
        {"name": ["common", "rare", "rarest"]},
        {"image": rng.integers(0, n, len(category)), "category": category},
        Masks.empty(np.full((len(category), 2), 4)),
    )
    val = dataset.split({"train": 0.8, "val": 0.2}, stratify=True)["val"]
    assert np.bincount(val.instances["category"]).tolist() == pytest.approx([80, 16, 4], abs=4)
    assert len(val) == pytest.approx(40, abs=2)


def test_split_keeps_groups_together():
    n = 60
    names = [f"{i % 7}_{i}.png" for i in range(n)]
    dataset = Dataset({"file_name": names, "height": [1] * n, "width": [1] * n}, {}, {}, Masks.empty())
    parts = dataset.split({"a": 0.5, "b": 0.5}, group=lambda image: image["file_name"][0])
    a, b = ({name[0] for name in part.images["file_name"]} for part in parts.values())
    assert not a & b
    assert len(a | b) == 7
    with pytest.raises(ValueError, match="has no 'sample'"):
        dataset.split({"a": 1}, group="sample")


def test_merge_joins_images_and_categories(small):
    both = small.merge(small.take(instances=[0]))
    assert len(both) == 2
    assert len(both.instances) == 5
    assert both.categories["name"].tolist() == ["grain", "void"]
    assert len(set(both.instances["id"].tolist())) == 5
    assert both.masks[4] == small.masks[0]
    assert len(small.merge(small, same_images="keep")) == 4
    with pytest.raises(ValueError, match="more than one data set"):
        small.merge(small, same_images="error")


@settings(deadline=None, max_examples=25)
@given(datasets(), datasets())
def test_merge_keeps_masks(a, b):
    both = a.merge(b, same_images="keep")
    assert both.masks == Masks.concatenate([a.masks, b.masks])
    assert both.category_names == a.category_names + b.category_names


def test_remap(small):
    one = small.remap({"grain": "thing", "void": "thing"})
    assert one.categories["name"].tolist() == ["thing"]
    assert one.category_names == ["thing", "thing", "thing", ""]
    none = small.remap({"void": None})
    assert none.category_names == ["grain", ""]
    assert none.masks == small.masks[[0, 3]]
    with pytest.raises(ValueError, match="classes says nothing of void"):
        small.remap({"grain": "x"}, others="error")


def test_select(small):
    assert small.select(categories="void", drop_empty=True).category_names == ["void", "void"]
    assert small.select(images="a*", crowd=False).masks == small.masks[[0]]
    assert len(small.select(where=lambda t: t["bbox"][:, 2] > 7).instances) == 3
    with pytest.raises(ValueError, match="categories must be of grain, void, not glass"):
        small.select(categories=["glass"])
    assert [row["id"] for row in small.filter(lambda row: row["id"] != 2).instances] == [1, 3, 4]


@settings(deadline=None, max_examples=25)
@given(datasets())
def test_clip_changes_no_pixel(dataset):
    clipped = dataset.clip()
    assert clipped.shapes.masks(clipped.sizes) == dataset.masks
    box, sizes = clipped.instances["bbox"], clipped.sizes[:, ::-1]
    assert (box[:, :2] >= 0).all()
    assert (box[:, :2] + box[:, 2:] <= sizes + 1e-9).all()


def test_sample_takes_rare_categories_first():
    category = np.array([0] * 50 + [1])
    dataset = Dataset(
        {"height": [4] * 51, "width": [4] * 51},
        {"name": ["common", "rare"]},
        {"image": np.arange(51), "category": category},
        Masks.empty(np.full((51, 2), 4)),
    )
    assert 1 in dataset.sample(2, by="category").instances["category"]
    assert len(dataset.sample(0.5)) == 26
    with pytest.raises(ValueError, match="n must be from 0 to 51 images, not 60"):
        dataset.sample(60)


@settings(deadline=None, max_examples=25)
@given(datasets(), st.integers(3, 12), st.sampled_from(["shift", "pad", "ragged"]))
def test_tiles_show_what_the_image_shows(dataset, size, edge):
    if (
        edge == "shift"
        and len(dataset)
        and min(dataset.images["height"].min(), dataset.images["width"].min()) < size
    ):
        return
    tiled = dataset.tile(size, edge=edge)
    by_id = {int(k): row for row, k in enumerate(dataset.instances["id"])}
    seen = 0
    for row in range(len(tiled.instances)):
        y0, y1, x0, x1 = tiled.images["attributes"][tiled.instances["image"][row]]["tile"]
        source = by_id[tiled.instances["attributes"][row]["source_id"]]
        expected = dataset.masks[source].crop((x0, y0, x1 - x0, y1 - y0))
        assert tiled.masks[row] == expected
        seen += int(expected.area[0])
    if edge != "shift":
        assert seen == int(dataset.masks.area.sum())


def test_tiles_cut_pictures_when_asked(small):
    tiled = small.take(images=[0]).tile(8, edge="pad")
    assert len(tiled) == 12
    image, _ = tiled[11]
    assert image.shape == (8, 8)
    assert image[0, 0] == (16 * 30 + 24) % 256
    assert (image[4:] == 0).all()
    assert len(tiled.tile(4)) == 48


def test_stats(small):
    made = small.stats()
    assert (made.images, made.instances, made.crowd) == (2, 4, 1)
    assert made.kinds == {"box": 1, "mask": 1, "polygon": 1, "circle": 1}
    assert made.per_category[0]["name"] == "grain"
    assert made.area["max"] == 91
    json.dumps(made.to_json())


# Checks


def rules(dataset, **levels):
    return [(p.rule, p.instance) for p in dataset.check(**levels)]


def test_check_finds_each_fault(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 9), np.uint8))
    pixels = Reference(str(tmp_path / "a.png"), "", read_stored)
    builder = ShapesBuilder("even-odd")
    square = [(1, 1), (4, 1), (4, 4), (1, 4)]
    builder.polygon([square])
    builder.polygon([square])
    builder.polygon([[(5, 5), (7, 7), (7, 5), (5, 7)]])
    builder.polygon([[(3, 3), (12, 3), (12, 6), (3, 6)]])
    builder.polygon([[(0, 0), (1, 1)]])
    builder.polygon([[(8, 8), (8.2, 8), (8.2, 8.2)]])
    dataset = Dataset(
        {
            "file_name": ["a.png", "b.png"],
            "height": [10, 0],
            "width": [10, 0],
            "pixels": objects([pixels, None]),
        },
        {"name": ["a"]},
        {
            "id": [1, 2, 3, 4, 4, 6],
            "category": [0, 0, 0, 0, -1, 0],
            "area": [9, np.nan, np.nan, 500, np.nan, np.nan],
            "bbox": [[1, 1, 3, 3], [4, 4, 3, 3]] + [[np.nan] * 4] * 4,
        },
        builder.build(),
    )
    found = rules(dataset.take(images=[0]), no_instances="error")
    expected = [
        ("duplicate_id", 4),
        ("wrong_size", None),
        ("out_of_bounds", 4),
        ("empty", 4),
        ("empty", 6),
        ("few_vertices", 4),
        ("self_crossing", 3),
        ("overlap", 1),
        ("overlap", 1),
        ("overlap", 2),
        ("overlap", 3),
        ("duplicate", 2),
        ("no_category", 4),
        ("box_disagrees", 2),
        ("area_disagrees", 4),
    ]
    assert found == expected
    found = rules(dataset, no_instances="error")
    assert ("unknown_size", None) in found
    assert ("missing_image", None) in found
    assert ("no_instances", None) in found
    assert rules(dataset, **dict.fromkeys({rule for rule, _ in found}, "ignore")) == []
    with pytest.raises(ValueError, match="rules must be of"):
        dataset.check(nonsense="error")


def test_drop_what_has_problems():
    masks = Masks.encode(np.array([[[1, 0]], [[0, 0]], [[0, 1]]]))
    images = {"file_name": ["a", "b"], "height": [1, 1], "width": [2, 2]}
    dataset = Dataset(images, {"name": ["c"]}, {"id": [1, 1, 2], "category": [0] * 3}, masks)
    levels = {"missing_image": "ignore", "no_instances": "warning"}
    problems = dataset.check(**levels)
    clean = dataset.drop(problems)
    assert clean.images["file_name"].tolist() == ["a"]
    assert clean.masks == masks[[0, 2]]
    assert clean.check(**levels) == []


def brute_crossing(ring):
    n = len(ring)

    def side(p, q, r):
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    for i in range(n):
        for j in range(i + 1, n):
            a, b, c, d = ring[i], ring[(i + 1) % n], ring[j], ring[(j + 1) % n]
            if side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0:
                return True
    return False


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=9))
def test_crossings(points):
    ring = np.asarray(points, float).reshape(-1, 2)
    assert (crossings(ring) is not None) == brute_crossing(points)


def test_crossings_of_a_long_ring():
    t = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    ring = np.stack([np.cos(t), np.sin(t)], 1) * 500
    assert crossings(ring) is None
    ring[[5000, 5001]] = ring[[5001, 5000]]
    assert crossings(ring) is not None


# Loss


@settings(deadline=None, max_examples=40)
@given(datasets(), st.integers(0, 2**31))
def test_loss_is_what_a_pixel_comparison_finds(dataset, seed):
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(rng.random(len(dataset.instances)) < 0.7)
    after = dataset.take(instances=rows)
    masks = after.masks
    dense = [mask.decode()[0].astype(bool) for mask in masks]
    changed = [d ^ (rng.random(d.shape) < 0.1) for d in dense]
    new = Masks.concatenate([Masks.encode(d) for d in changed])
    after = Dataset(after.images, after.categories, after.instances, new)
    report = compared(dataset, after, rows, "test")
    gone = np.setdiff1d(np.arange(len(dataset.instances)), rows)
    assert report.instances_lost == len(gone)
    lost = sum(int((a & ~b).sum()) for a, b in zip(dense, changed, strict=True))
    assert report.pixels_lost == lost + int(dataset.masks[gone].area.sum())
    assert report.pixels_gained == sum(int((b & ~a).sum()) for a, b in zip(dense, changed, strict=True))
    assert report.masks_changed == sum((a != b).any() for a, b in zip(dense, changed, strict=True))
    ious = [(a & b).sum() / (a | b).sum() for a, b in zip(dense, changed, strict=True) if (a | b).any()]
    assert report.worst_iou == pytest.approx(min(ious, default=1.0))
    assert compared(dataset, dataset, np.arange(len(dataset.instances)), "test").lossless


# Sizes of pictures


def size_or_error(path):
    try:
        return image_size(path)
    except FormatError as error:
        return str(error)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "bmp", "webp"])
@pytest.mark.parametrize("shape", [(3, 5), (300, 2), (17, 1000)])
def test_image_size(tmp_path, suffix, shape):
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), np.zeros((*shape, 3), np.uint8))
    assert image_size(path) == shape
    data = path.read_bytes()
    for cut in range(0, 30, 3):
        path.write_bytes(data[:cut])
        found = size_or_error(path)
        assert found == shape or str(path) in str(found)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(
        [b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"II*\0", b"MM\0+", b"BM", b"GIF8", b"RIFF1234WEBPVP8X"]
    ),
    st.binary(max_size=200),
)
def test_image_size_of_anything(tmp_path_factory, head, rest):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(head + rest)
    found = size_or_error(path)
    assert str(path) in found if isinstance(found, str) else min(found) > 0
