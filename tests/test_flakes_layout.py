"""maskmill flakes build: layouts from label images and annotation files."""

from __future__ import annotations

import hashlib
import json
import uuid

import cv2
import numpy as np
import pytest

from maskmill import Dataset, FormatError, Masks
from maskmill.io import maskterial
from maskmill.io._labels import read_values
from maskmill.io.images import read_image
from maskmill.studies.flakes import build, instances, read_source, semantic, validate
from maskmill.studies.flakes.annotations import read_annotations, without_classes, write_annotations
from maskmill.studies.flakes.semantics import paint, write_labels


def squares(*sides, gap=4, height=80):
    """A label image: squares of these sides side by side, numbered from 1."""
    image = np.zeros((height, sum(sides) + gap * (len(sides) + 1)), np.uint8)
    x = gap
    for number, side in enumerate(sides, 1):
        image[2 : 2 + side, x : x + side] = number
        x += side + gap
    return image


def project(folder, **labels):
    """Photos and label images of these names."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name, image in labels.items():
        cv2.imwrite(str(folder / f"images/{name}.jpg"), np.full((*image.shape, 3), 120, np.uint8))
        write_labels(folder / f"masks/{name}.png", image)
    return folder / "masks"


@pytest.fixture
def masks(tmp_path):
    """Flakes of 400, 225 and 100 pixels; 100 pixels alone; nothing."""
    return project(tmp_path / "raw", a=squares(20, 15, 10), b=squares(10), c=np.zeros((30, 40), np.uint8))


# Layouts


def test_build(masks, tmp_path):
    report = build(read_source(masks), tmp_path / "G")
    assert (report.images, report.flakes, report.left_out) == (3, 4, [])
    told = {size: (v["flakes"], v["dropped"], len(v["emptied"])) for size, v in report.variants.items()}
    assert told == {"full": (4, [], 0), "200": (2, [3, 4], 1), "300": (1, [2, 3, 4], 1)}
    names = maskterial.read_names(maskterial.names_path(tmp_path / "G", "train"))
    assert list(names) == ["a.jpg", "b.jpg", "c.jpg"]
    assert {uuid.UUID(name).version for name in names.values()} == {5}
    for variant in maskterial.variants("train"):
        made = read_annotations(variant.path(tmp_path / "G"))
        assert made.images["file_name"].tolist() == [f"{names[old]}.jpg" for old in names]
        assert (made.instances["area"] >= variant.min_area).all()
        assert np.array_equal(made.instances["area"], made.masks.area)
    photo = tmp_path / "G/train_images" / f"{names['a.jpg']}.jpg"
    assert photo.read_bytes() == (tmp_path / "raw/images/a.jpg").read_bytes()
    painted = read_values(tmp_path / "G/train_semantic_masks" / f"{names['a.jpg']}.png")
    assert painted.dtype == np.uint8
    assert np.array_equal(painted, squares(20, 15, 10) % 3 > 0)  # without the third, of 100 pixels


def test_exactly_the_least_area_stays(tmp_path):
    labels = np.zeros((40, 60), np.uint8)
    labels[:10, :20], labels[:10, 21:51], labels[39, 0:1] = 1, 2, 3
    labels[20:30, :20] = 4
    labels[20, 0] = 0  # 199
    report = build(read_source(project(tmp_path / "raw", a=labels)), tmp_path / "G")
    assert [report.variants[size]["dropped"] for size in ("200", "300")] == [[3, 4], [1, 3, 4]]


def test_twins_share_ids(masks, tmp_path):
    build(read_source(masks), tmp_path / "G")
    for size in maskterial.SIZES:
        a, b = (
            read_annotations(maskterial.Variant("train", size, with_class).path(tmp_path / "G"))
            for with_class in (True, False)
        )
        assert np.array_equal(a.instances["id"], b.instances["id"])
        assert a.masks == b.masks


def test_names(masks, tmp_path):
    def names(place, **options):
        build(read_source(masks), tmp_path / place, **options)
        return maskterial.read_names(maskterial.names_path(tmp_path / place, options.get("split", "train")))

    first = names("x/G")
    assert first == names("y/G")
    assert not set(first.values()) & set(names("y/G", split="test").values())
    assert not set(first.values()) & set(names("H").values())
    drawn = names("z/G", names="uuid4", seed=3)
    assert drawn == names("v/G", names="uuid4", seed=3) != names("w/G", names="uuid4", seed=4)
    assert {uuid.UUID(name).version for name in drawn.values()} == {4}
    assert names("u/G", names="keep") == {"a.jpg": "a", "b.jpg": "b", "c.jpg": "c"}


def test_paths_and_data_sets(masks, tmp_path):
    """Whatever a source is given as, the layout is the same."""
    source = read_source(masks)
    for i, given in enumerate((masks, source.dataset, source)):
        build(given, tmp_path / f"{i}/G")
    first, *others = (
        {str(path.relative_to(tmp_path / i)): path.read_bytes() for path in (tmp_path / i).rglob("*.*")}
        for i in "012"
    )
    assert others == [first, first]
    path = tmp_path / "0/G/RLE_annotations/train_annotations_full.json"
    assert len(semantic(path, tmp_path / "s")) == 3


def test_links(masks, tmp_path):
    build(read_source(masks), tmp_path / "G", names="keep", link=True)
    assert (tmp_path / "G/train_images/a.jpg").samefile(tmp_path / "raw/images/a.jpg")


def test_a_killed_build_goes_on(masks, tmp_path, monkeypatch):
    from maskmill.studies.flakes import layout

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(layout, "write_variants", killed)
        with pytest.raises(KeyboardInterrupt):
            build(read_source(masks), tmp_path / "G")
    assert not (tmp_path / "G/RLE_annotations").exists()
    copied = sorted((tmp_path / "G/train_images").iterdir())
    inodes = [path.stat().st_ino for path in copied]
    with pytest.raises(ValueError, match="begun with other"):
        build(read_source(masks), tmp_path / "G", names="keep")
    build(read_source(masks), tmp_path / "G")
    assert [path.stat().st_ino for path in copied] == inodes
    build(read_source(masks), tmp_path / "H")
    assert not [path for path in (tmp_path / "G").iterdir() if path.name.startswith(".")]
    with pytest.raises(ValueError, match="is there already"):
        build(read_source(masks), tmp_path / "G")


def test_overwrite(masks, tmp_path):
    build(read_source(masks), tmp_path / "G")
    (tmp_path / "raw/images/c.jpg").unlink()
    source = read_source(masks)
    assert source.left_out == [("c.png", "has no photo")]
    build(source, tmp_path / "G", overwrite=True)
    assert len(list((tmp_path / "G/train_images").iterdir())) == 2


def test_photos_are_not_overwritten(masks, tmp_path):
    (tmp_path / "raw/images").rename(tmp_path / "raw/train_images")
    source = read_source(masks, tmp_path / "raw/train_images")
    with pytest.raises(ValueError, match="must not lie where they are to go"):
        build(source, tmp_path / "raw", overwrite=True)
    assert len(list((tmp_path / "raw/train_images").iterdir())) == 3


def test_what_does_not_fit_is_told(masks, tmp_path):
    cv2.imwrite(str(tmp_path / "raw/images/b.jpg"), np.zeros((9, 9, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "raw/images/d.jpg"), np.zeros((9, 9, 3), np.uint8))
    source = read_source(masks)
    assert source.left_out == [("d.jpg", "has no mask"), ("b.png", "is 80 x 18 pixels, its photo 9 x 9")]
    assert source.dataset.images["file_name"].tolist() == ["a.jpg", "c.jpg"]


def test_parts(tmp_path):
    labels = np.zeros((40, 60), np.uint8)
    labels[:20, :20] = labels[:20, 30:50] = 1  # 400 + 400 pixels
    masks = project(tmp_path / "raw", a=labels)
    whole, parts = read_source(masks), read_source(masks, split_parts=True)
    assert whole.dataset.masks.area.tolist() == [800]
    assert parts.dataset.masks.area.tolist() == [400, 400]


def coco(folder, categories=((1, "one"), (2, "two"))):
    """A COCO file of polygons, with areas that are not those of the pixels, and its photos."""
    (folder / "photos").mkdir(parents=True)
    cv2.imwrite(str(folder / "photos/p.png"), np.full((60, 80, 3), 99, np.uint8))
    content = {
        "images": [{"id": 5, "file_name": "upload\\p.png", "height": 60, "width": 80}],
        "categories": [{"id": i, "name": name} for i, name in categories],
        "annotations": [
            {"id": 11, "image_id": 5, "category_id": categories[0][0], "area": 1.5, "bbox": [0, 0, 1, 1],
             "segmentation": [[0, 0, 20, 0, 20, 20, 0, 20], [40, 0, 60, 0, 60, 20, 40, 20]]},
            {"id": 4, "image_id": 5, "category_id": categories[1][0], "segmentation": [[5, 30, 9, 30, 9, 40]]},
            {"id": 6, "image_id": 5, "category_id": categories[1][0], "bbox": [1, 1, 5, 5]},
        ],
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(content))
    return folder / "result.json"


def test_build_from_coco(tmp_path):
    """Several parts stay one flake; areas and boxes are of the pixels; names have a folder and any slash."""
    source = read_source(coco(tmp_path / "raw"), tmp_path / "raw/photos")
    assert source.left_out == [("upload\\p.png", "flake 6 has no pixels")]
    build(source, tmp_path / "G")
    made = read_annotations(tmp_path / "G/RLE_annotations/train_annotations_with_class_full.json")
    assert made.instances["id"].tolist() == [11, 4]
    assert made.instances["area"].tolist() == made.masks.area.tolist()
    assert made.masks.area[0] == 800
    assert np.array_equal(made.instances["bbox"], made.masks.bbox)
    assert made.categories["id"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("categories", "wanted", "ids", "of_flakes"),
    [
        (((0, "one"), (3, "three")), None, [1, 2], [1, 2]),
        (((0, "one"), (3, "three")), {"one": 1, "three": 3}, [1, 3], [1, 3]),
        (((7, "one"), (3, "three")), None, [7, 3], [7, 3]),
        (((7, "thin"), (3, "thick")), {"thin": 2, "thick": 2}, [2], [2, 2]),
    ],
)
def test_numbers_of_classes(tmp_path, categories, wanted, ids, of_flakes):
    source = read_source(coco(tmp_path / "raw", categories), tmp_path / "raw/photos")
    build(source, tmp_path / "G", classes=wanted)
    made = read_annotations(tmp_path / "G/RLE_annotations/train_annotations_with_class_full.json")
    assert made.categories["id"].tolist() == ids
    assert made.categories["id"][made.instances["category"]].tolist() == of_flakes


@pytest.mark.parametrize(
    ("wanted", "message"),
    [({"one": 1}, "'two' has none"), ({"one": 0, "two": 1}, "1 or more, not 0 for 'one'")],
)
def test_classes_that_cannot_be(tmp_path, wanted, message):
    source = read_source(coco(tmp_path / "raw"), tmp_path / "raw/photos")
    with pytest.raises(ValueError, match=message):
        build(source, tmp_path / "G", classes=wanted)
    assert not (tmp_path / "G").exists()


# Label images


@pytest.mark.parametrize("highest", [7, 255, 256, 65535])
def test_label_images_come_back(tmp_path, rng, highest):
    labels = rng.integers(0, highest + 1, (13, 17))
    labels[0, 0] = highest
    write_labels(tmp_path / "l.png", labels)
    assert np.array_equal(read_values(tmp_path / "l.png"), labels)
    assert cv2.imread(str(tmp_path / "l.png"), cv2.IMREAD_UNCHANGED).tolist() == labels.tolist()
    if highest < 256:
        write_labels(tmp_path / "p.png", labels, palette=True)
        assert np.array_equal(read_values(tmp_path / "p.png"), labels)
        pillow = pytest.importorskip("PIL.Image").open(tmp_path / "p.png")
        assert pillow.mode == "P"
        assert np.array_equal(np.asarray(pillow), labels)
        assert np.asarray(pillow.convert("RGB"))[labels == 1].tolist()[:1] in ([], [[128, 0, 0]])


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_few_bits(tmp_path, rng, bits):
    image = pytest.importorskip("PIL.Image")
    labels = rng.integers(0, 1 << bits, (9, 11)).astype(np.uint8)
    picture = image.fromarray(labels, "P") if bits == 8 else image.fromarray(labels).convert("P")
    picture.putpalette(rng.integers(0, 256, 768).astype(np.uint8).tobytes())
    picture.putdata(labels.ravel().tolist())
    picture.save(tmp_path / "p.png", bits=bits)
    assert np.array_equal(read_values(tmp_path / "p.png"), labels)


def test_numbers_in_colours(tmp_path, rng):
    numbers = rng.integers(0, 1 << 24, (5, 6))
    rgb = np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], -1).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "c.png"), rgb[..., ::-1])
    assert np.array_equal(read_values(tmp_path / "c.png"), numbers)


def test_too_high_numbers(tmp_path):
    with pytest.raises(ValueError, match="at most 65535, not 65536"):
        write_labels(tmp_path / "l.png", np.array([[65536]]))
    with pytest.raises(ValueError, match="at most 255, not 256"):
        write_labels(tmp_path / "l.png", np.array([[256]]), palette=True)
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    with pytest.raises(FormatError, match="x.png"):
        read_values(tmp_path / "x.png")


# Semantic masks


def overlapping():
    large, small = np.zeros((2, 30, 30), bool)
    large[:, :20], small[5:20, 5:20] = True, True
    return Masks.encode(np.stack([small, large]))


@pytest.mark.parametrize(("overlap", "in_both"), [("order", 1), ("small", 2)])
def test_overlaps(overlap, in_both):
    painted = paint(overlapping(), np.array([2, 1]), (30, 30), overlap=overlap)
    assert painted[10, 10] == in_both
    assert painted[0, 0] == 1
    assert painted[0, 25] == 0


def test_overlaps_that_must_not_be(tmp_path):
    data = Dataset(
        {"file_name": ["x.png"], "height": [30], "width": [30]},
        {"name": ["a", "b"]},
        {"category": [1, 0]},
        overlapping(),
    )
    with pytest.raises(ValueError, match="x.png: flakes overlap"):
        semantic(data, tmp_path, overlap="error")
    with pytest.raises(ValueError, match="overlap must be one of 'order', 'small', 'error', not 'large'"):
        semantic(data, tmp_path, overlap="large")


def test_semantic_and_back(tmp_path, rng):
    """Touching at a corner, two flakes of one class stay two; classes above 255 need 16 bits."""
    image = np.zeros((30, 40), np.uint16)
    image[:15, :15] = image[15:30, 15:30] = 300
    image[:15, 15:30] = 2
    masks = Masks.encode(np.stack([image == 2, (image == 300) & (np.arange(30)[:, None] < 15),
                                   (image == 300) & (np.arange(30)[:, None] >= 15)]))  # fmt: skip
    data = Dataset(
        {"file_name": ["x.jpg"], "height": [30], "width": [40]},
        {"id": [2, 300], "name": ["two", "many"]},
        {"category": [0, 1, 1]},
        masks,
    )
    (path,) = semantic(data, tmp_path / "s")
    assert read_image(path).dtype == np.uint16
    assert np.array_equal(read_image(path), image)
    found = instances(tmp_path / "s")
    assert found.masks == masks
    assert found.categories["id"][found.instances["category"]].tolist() == [2, 300, 300]
    assert len(instances(tmp_path / "s", connectivity=8).instances) == 2
    assert len(instances(tmp_path / "s", min_area=226).instances) == 0


# Annotation files


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["annotations"][0].pop("segmentation"), "annotation 0: expected 'segmentation'"),
        (
            lambda c: c["annotations"][0].update(image_id=9),
            "annotation 0: expected a known image, found image_id 9",
        ),
        (
            lambda c: c["annotations"][0].update(category_id=9),
            "expected a known category, found category_id 9",
        ),
        (lambda c: c["images"][0].update(file_name="../x.jpg"), "image 0: file_name"),
        (lambda c: c["images"][0].pop("file_name"), "image 0: file_name"),
        (lambda c: c["images"][0].update(height=None), "image 0: expected height and width"),
        (
            lambda c: c["images"][0].update(height=10**9, width=10**9),
            "image 0: expected at most 2,147,483,648 pixels",
        ),
        (lambda c: c["images"].append(c["images"][0]), "found image 1 twice"),
        (lambda c: c["annotations"][0]["segmentation"].update(size=[3, 3]), "mask"),
        (lambda c: c["annotations"][0]["segmentation"].update(counts="~~~"), "mask"),
    ],
)
def test_wrong_annotation_files(masks, tmp_path, change, message):
    build(read_source(masks), tmp_path / "G")
    path = tmp_path / "G/RLE_annotations/train_annotations_full.json"
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(FormatError, match=message) as error:
        read_annotations(path)
    assert str(path) in str(error.value)


def test_results_are_no_annotations(tmp_path):
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(FormatError, match="found a list of results"):
        read_annotations(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected an object"),
        ('{"a.jpg": 3}', "'a.jpg': expected text, found 3"),
        ('{"a.jpg": "x", "b.jpg": "x"}', "'b.jpg': expected a uuid of its own, found that of 'a.jpg'"),
        ('{"a.jpg": "../x"}', "below its folder"),
        ("{" * 5000, "expected JSON"),
    ],
)
def test_wrong_names(tmp_path, text, message):
    (tmp_path / "n.json").write_text(text)
    with pytest.raises(FormatError, match=message):
        maskterial.read_names(tmp_path / "n.json")


# Real flakes


def real(data, *materials):
    """All real flakes as one data set."""
    sources = [read_source(data / "flakes" / name / "instance_masks").dataset for name in materials]
    first, *rest = sources
    for more in rest:
        images, instances_ = more.images, more.instances
        merged = {
            "images": {"file_name": np.append(first.images["file_name"], images["file_name"]),
                       "height": np.append(first.images["height"], images["height"]),
                       "width": np.append(first.images["width"], images["width"]),
                       "pixels": np.append(first.images["pixels"], images["pixels"])},
            "image": np.append(first.instances["image"], instances_["image"] + len(first)),
        }  # fmt: skip
        first = Dataset(
            merged["images"],
            {"id": [1], "name": ["flake"]},
            {"image": merged["image"], "category": np.zeros(len(merged["image"]), np.int64)},
            Masks.concatenate([first.masks, more.masks]),
        )
    return first


def test_the_real_flakes(data, tmp_path):
    pycoco = pytest.importorskip("pycocotools.coco")
    report = build(read_source(data / "flakes/GrapheneH/instance_masks"), tmp_path / "GrapheneH")
    assert [v["flakes"] for v in report.variants.values()] == [51, 49, 41]
    for variant in maskterial.variants("train"):
        coco = pycoco.COCO(str(variant.path(tmp_path / "GrapheneH")))
        for annotation in coco.dataset["annotations"]:
            assert coco.annToMask(annotation).sum() == annotation["area"] >= variant.min_area


def test_the_real_flakes_as_rles(data, tmp_path):
    """All 63, as they were measured once with OpenCV and pycocotools."""
    dataset = real(data, "GrapheneH", "WSe2")
    area = dataset.masks.area
    counts = np.bincount(dataset.instances["image"], minlength=len(dataset)).tolist()
    assert counts == [1, 2, 3, 6, 20, 1, 13, 1, 1, 3, 0, 2, 1, 1, 2, 4, 1, 1]
    assert (int(area.sum()), sorted(area[area < 200].tolist())) == (94084, [184, 192])
    assert [int((area >= least).sum()) for least in (0, 200, 300)] == [63, 61, 53]
    strings = [rle["counts"] for rle in dataset.masks.to_coco(text=True)]
    assert len("".join(strings)) == 8190
    assert (
        hashlib.sha256("\n".join(strings).encode()).hexdigest().startswith("9c8a449e019dd3b641c0296e09c416f3")
    )
    assert (area[0], dataset.masks.bbox[0].tolist()) == (1492, [1115, 554, 37, 79])
    semantic(without_classes(dataset), tmp_path, min_area=0)
    assert len(instances(tmp_path).instances) == 63
    assert len(instances(tmp_path, connectivity=8).instances) == 40


def test_forty_thousand_images(tmp_path, compiled):
    n = 40_000
    image = np.repeat(np.arange(n), 2)
    mask = Masks.encode(squares(20)[None])
    dataset = Dataset(
        {"file_name": [f"{i}.jpg" for i in range(n)], "height": np.full(n, 80), "width": np.full(n, 28)},
        {"name": ["flake"]},
        {"image": image, "category": np.zeros(2 * n, np.int64)},
        mask[np.zeros(2 * n, np.int64)],
    )
    write_annotations(dataset, tmp_path / "a.json")
    made = read_annotations(tmp_path / "a.json")
    assert made.masks == dataset.masks


# Annotations of other tools


def labelme(folder, embedded=False):
    """A file of labelme with its photo: a polygon, two groups of one label, a disc, a line, one to be ignored."""
    import base64

    folder.mkdir()
    photo = np.zeros((60, 80, 3), np.uint8)
    photo[..., 2], photo[5:9, 5:9] = 200, 90
    cv2.imwrite(str(folder / "p.png"), photo)
    shapes = [
        ("1L", [[1, 1], [21, 1], [21, 21], [1, 21]], None, "polygon"),
        ("2L", [[30, 1], [39, 10]], 1, "rectangle"),
        ("2L", [[50, 1], [59, 10]], 1, "rectangle"),
        ("1L", [[40, 40], [40, 50]], None, "circle"),
        ("1L", [[5, 50], [9, 50]], None, "line"),
        ("__ignore__", [[60, 30], [79, 59]], None, "rectangle"),
    ]
    content = {
        "version": "5.0.1", "flags": {}, "imagePath": "p.png", "imageData": None,
        "imageHeight": None, "imageWidth": None,
        "shapes": [{"label": a, "points": b, "group_id": c, "shape_type": d, "flags": {}} for a, b, c, d in shapes],
    }  # fmt: skip
    if embedded:
        content["imageData"] = base64.b64encode((folder / "p.png").read_bytes()).decode()
        (folder / "p.png").unlink()
    (folder / "p.json").write_text(json.dumps(content))
    return photo


@pytest.mark.parametrize("embedded", [False, True])
def test_build_from_labelme(tmp_path, embedded):
    """Every shape; groups are one flake of two parts; sizes come from the photo, which may be within the file."""
    photo = labelme(tmp_path / "raw", embedded)
    source = read_source(tmp_path / "raw", format="labelme")
    assert [reason for _, reason in source.left_out] == ["flake 5 has no class"]
    build(source, tmp_path / "G", classes={"1L": 1, "2L": 2})
    made = read_annotations(tmp_path / "G/RLE_annotations/train_annotations_with_class_full.json")
    assert made.masks.area[:2].tolist() == [21 * 21, 200]
    assert made.categories["id"][made.instances["category"]].tolist() == [1, 2, 1, 1]
    assert made.info["coco"]["info"]["filled_by"] == ["labelme"]
    (path,) = (tmp_path / "G/train_images").iterdir()
    assert path.suffix == ".png"
    assert np.array_equal(cv2.imread(str(path)), photo)
    assert validate(tmp_path / "G").ok


def test_real_labelme(data, tmp_path):
    """The areas that labelme itself finds."""
    source = read_source(data / "labelme/instance_segmentation/data_annotated")
    build(source, tmp_path / "L")
    made = read_annotations(tmp_path / "L/RLE_annotations/train_annotations_full.json")
    areas = [15689, 17254, 873, 15203, 11735, 7597, 44532, 996, 14001, 102701, 15781, 7256]
    assert np.abs(made.masks.area.astype(int) - areas).max() <= 5  # versions of Pillow differ
    assert validate(tmp_path / "L").ok


def test_build_from_label_studio(tmp_path):
    """Its COCO export loses parts, areas and boxes; its own JSON has all of them."""
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos/p.png"), np.zeros((100, 200, 3), np.uint8))
    points = [[0, 0], [10, 0], [10, 20], [0, 20]]
    result = {
        "type": "polygonlabels", "from_name": "label", "to_name": "image",
        "original_width": 200, "original_height": 100,
        "value": {"points": points, "polygonlabels": ["2 layers"]}, "id": "a", "image_rotation": 0,
    }  # fmt: skip
    task = {
        "id": 1,
        "data": {"image": "/data/upload/3/p.png"},
        "annotations": [{"id": 1, "result": [result]}],
    }
    (tmp_path / "export.json").write_text(json.dumps([task]))
    build(read_source(tmp_path / "export.json", tmp_path / "photos"), tmp_path / "G")
    made = read_annotations(tmp_path / "G/RLE_annotations/train_annotations_with_class_300.json")
    assert (made.masks.area.tolist(), made.categories["name"].tolist()) == ([400], ["2 layers"])
    assert validate(tmp_path / "G").ok


def test_more_than_255_flakes(tmp_path):
    """16-bit label images, and none is lost."""
    labels = (np.arange(300).reshape(15, 20) + 1).repeat(16, 0).repeat(16, 1)
    report = build(read_source(project(tmp_path / "raw", a=labels)), tmp_path / "G")
    assert report.variants["200"]["flakes"] == 300
    assert validate(tmp_path / "G").ok


def test_kill_and_resume(tmp_path):
    """-9 in the middle of the photos, then the same command again."""
    import signal
    import subprocess
    import sys
    import time

    masks = project(tmp_path / "raw", **{f"{i:03}": squares(20 + i % 5, 15) for i in range(150)})
    command = [
        sys.executable,
        "-m",
        "maskmill",
        "flakes",
        "build",
        str(masks),
        str(tmp_path / "G"),
        "--quiet",
    ]
    folder = tmp_path / "G/train_images"
    running = subprocess.Popen(command)
    while running.poll() is None and not (folder.is_dir() and len(list(folder.iterdir())) > 5):
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert subprocess.run(command, capture_output=True).returncode == 0
    build(read_source(masks), tmp_path / "once/G")
    files = [
        {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
        for place in (tmp_path / "G", tmp_path / "once/G")
    ]
    assert files[0] == files[1]
