"""maskmill flakes contrast: backgrounds, statistics of flakes, centres, classes."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from maskmill import Dataset, FormatError, Masks
from maskmill.cli import main
from maskmill.studies.flakes import assign, build, classify, contrast, fit, read_results, read_source
from maskmill.studies.flakes.annotations import read_annotations, write_annotations
from maskmill.studies.flakes.classes import Centres, classify_flakes, classify_pixels
from maskmill.studies.flakes.colours import Way, background, contrast_of_flakes, erode, flat_field, pixels_of
from maskmill.studies.flakes.predictions import write_results
from maskmill.studies.flakes.semantics import write_labels
from test_flakes_layout import real

GROUND = (150, 110, 130)  # red, green, blue


def photo(rng, shape=(120, 160), patches=()):
    """Substrate with noise, and patches of other colours: (box, colour)."""
    image = np.tile(np.array(GROUND), (*shape, 1)) + rng.integers(-3, 4, (*shape, 3))
    for (y, x, h, w), colour in patches:
        image[y : y + h, x : x + w] = np.array(colour) + rng.integers(-2, 3, (h, w, 3))
    return image.astype(np.uint8)


def theirs(image, way):
    """MaskTerial's two backgrounds, as they are described, plainly."""
    image = image[..., ::-1]
    masks, modes = [], []
    for c in range(3):
        plane = image[..., c].astype(int)
        mode = 20 + np.argmax([(plane == v).sum() for v in range(20, 231)])
        low, high = (mode - 10, mode + 10) if way == "training" else (max(mode - 5, 20), min(mode + 5, 230))
        mask = ((plane >= low) & (plane <= high)).astype(np.uint8)
        if way == "training":
            mask = cv2.erode(mask, np.ones((3, 3)), iterations=3)
        masks.append(mask > 0)
        modes.append(mode)
    if way == "training":
        masks = [masks[0] & masks[1] & masks[2]] * 3
    return [image[..., c][masks[c]].astype(float).mean() for c in range(3)], modes


@pytest.mark.parametrize("way", ["training", "inference"])
def test_background(rng, way):
    image = photo(rng, patches=[((20, 30, 40, 50), (90, 60, 70)), ((70, 100, 20, 30), (240, 250, 245))])
    found = background(image, way)
    colour, modes = theirs(image, way)
    assert np.allclose(found.colour, colour, rtol=1e-12)
    assert found.mode.tolist() == modes
    assert (found.warning, found.usable) == ("", True)


def test_equally_frequent_values(rng):
    """The lowest; and values outside of 20 to 230 are none."""
    image = np.zeros((10, 10, 3), np.uint8)
    image[:3], image[3:5], image[5:7] = 250, 180, 90
    assert background(image).mode.tolist() == [90, 90, 90]


def test_backgrounds_that_are_none(rng):
    dark = background(np.zeros((30, 30, 3), np.uint8))
    assert (dark.usable, dark.warning) == (False, "no background was found: a mean is below 1")
    noise = background(rng.integers(0, 256, (90, 90, 3)).astype(np.uint8), Way(10, 0, True))
    assert noise.usable
    assert "of the image is background" in noise.warning
    with pytest.raises(ValueError, match="image must be"):
        background(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="way must be one of 'training', 'inference', not 'both'"):
        background(np.zeros((3, 3, 3), np.uint8), "both")


def test_both_ways_are_one_function(rng):
    """With the same options they give the same, and nothing is rounded to half precision."""
    image = photo(rng)
    masks = Masks.encode(np.ones((1, 120, 160), bool))
    a, b = (background(image, way).colour for way in ("training", "inference"))
    assert not np.array_equal(a, a.astype(np.float16))
    assert np.allclose(a, b, atol=1)
    assert background(image, Way()).colour.tolist() == a.tolist()
    mean = contrast_of_flakes(image, masks, b)["mean_r"]
    assert mean.dtype == np.float64
    assert 0 < abs(mean[0]) < 0.01  # a mean of whole numbers would be 0


def test_pixels_of(rng):
    dense = rng.random((5, 13, 17)) < 0.4
    dense[2] = False
    dense[3] = True
    index, offsets = pixels_of(Masks.encode(dense))
    for i in range(5):
        expected = np.flatnonzero(dense[i].T.ravel())
        assert np.array_equal(index[offsets[i] : offsets[i + 1]], expected)
    index, offsets = pixels_of(Masks.empty())
    assert (index.tolist(), offsets.tolist()) == ([], [0])


def test_statistics(rng):
    """Of overlapping flakes, of one without pixels, of one that erosion leaves nothing of."""
    image = rng.integers(0, 256, (30, 40, 3)).astype(np.uint8)
    dense = np.zeros((4, 30, 40), bool)
    dense[0, :20, :20], dense[1, 10:25, 15:40], dense[3, 5:9, 5:9] = True, True, True
    colour = np.array([120.5, 99.25, 140.0])
    found = contrast_of_flakes(image, Masks.encode(dense), colour)
    cross = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    values = image[..., ::-1] / colour - 1
    for i, mask in enumerate(dense):
        eroded = cv2.erode(mask.astype(np.uint8), cross, iterations=3) > 0
        for suffix, part in (("", mask), ("_eroded", eroded)):
            assert found[f"n{suffix}"][i] == part.sum()
            for c, name in enumerate("bgr"):
                x = values[..., c][part]
                row = {
                    key: found[f"{key}_{name}{suffix}"][i]
                    for key in ("mean", "median", "std", "mad", "entropy")
                }
                if not len(x):
                    assert np.isnan(list(row.values())).all()
                    continue
                share = np.bincount(image[..., 2 - c][part]) / len(x)
                expected = {
                    "mean": x.mean(), "median": np.median(x), "std": x.std(),
                    "mad": np.median(np.abs(x - np.median(x))),
                    "entropy": -(share[share > 0] * np.log2(share[share > 0])).sum(),
                }  # fmt: skip
                assert row == pytest.approx(expected, abs=1e-12)


def test_sizes_that_differ(rng):
    with pytest.raises(ValueError, match="masks must have the size of the image"):
        contrast_of_flakes(photo(rng), Masks.encode(np.ones((1, 5, 5), bool)), [1, 1, 1])


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((120, 160), np.uint8), "expected a photo in colours of 8 bits, found uint8"),
        (np.zeros((120, 160, 3), np.uint16), "expected a photo in colours of 8 bits, found uint16"),
        (np.zeros((120, 161, 3), np.uint8), "expected 120 x 160 pixels, found"),
    ],
)
def test_photos_that_cannot_be(layers, centres, picture, message):
    dataset = read_source(layers / "masks").dataset
    cv2.imwrite(str(layers / "images/1.png"), picture)
    for call in (contrast, fit, lambda d: assign(d, centres), lambda d: classify(d, centres)):
        with pytest.raises(FormatError, match=message) as error:
            call(dataset)
        assert "1.png" in str(error.value)


def test_flat_field(rng):
    """Vignette goes; bright pixels are clipped; nothing divides by zero."""
    shade = np.linspace(0.5, 1, 160)[None, :, None]
    flat = (np.full((120, 160, 3), 200.0) * shade).astype(np.uint8)
    image = (np.full((120, 160, 3), 100.0) * shade).astype(np.uint8)
    even = flat_field(image, flat)
    assert even.std() < 1
    assert even.dtype == np.uint8
    expected = np.clip(image / flat * flat.mean((0, 1)), 0, 241).astype(np.uint8)
    assert np.array_equal(even, expected)
    flat[0, 0] = 0
    assert flat_field(image, flat)[0, 0].tolist() == [241, 241, 241]
    with pytest.raises(ValueError, match="flat must have the shape of the image"):
        flat_field(image, flat[1:])


# Classes

LAYERS = {3: (120, 95, 128), 8: (95, 78, 120)}  # numbers need not be 1, 2, ...


@pytest.fixture
def layers(rng, tmp_path):
    """Photos with a flake of 3 and one of 8 layers each, and one of neither; and the data set."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    labels = np.zeros((120, 160), np.uint8)
    boxes = [(10, 10, 30, 30), (10, 60, 40, 30), (70, 100, 30, 30)]
    for number, (y, x, h, w) in enumerate(boxes, 1):
        labels[y : y + h, x : x + w] = number
    for i in range(3):
        colours = [*LAYERS.values(), (60, 200, 90)]
        image = photo(rng, patches=list(zip(boxes, colours, strict=True)))
        cv2.imwrite(str(tmp_path / f"images/{i}.png"), image[..., ::-1])
        write_labels(tmp_path / f"masks/{i}.png", labels)
    return tmp_path


@pytest.fixture
def centres():
    ground = np.array(GROUND[::-1], float)
    means = np.array([np.array(colour[::-1]) / ground - 1 for colour in LAYERS.values()])
    return Centres(np.array(list(LAYERS)), ("few", "many"), means, np.array([np.eye(3) * 4e-4] * 2))


def test_assign(layers, centres):
    dataset, rejected = assign(read_source(layers / "masks").dataset, centres)
    assert dataset.categories["id"].tolist() == [3, 8]
    assert dataset.categories["id"][dataset.instances["category"]].tolist() == [3, 8] * 3
    assert [(row["id"], row["image"], row["area"]) for row in rejected] == [
        (3, "0.png", 900), (6, "1.png", 900), (9, "2.png", 900)
    ]  # fmt: skip
    assert rejected[0]["distance"] > 5
    assert rejected[0]["reason"] == "its contrast is farther than 5 from all classes"


def test_uneven_flakes(layers, centres):
    """The parameter counts: a deviation that is too large rejects."""
    dataset, rejected = assign(read_source(layers / "masks").dataset, centres, max_std=0.001)
    assert len(dataset.instances) == 0
    assert "standard deviation of 0.0" in rejected[0]["reason"]
    assert len(assign(read_source(layers / "masks").dataset, centres, max_std=0.1)[0].instances) == 6


def test_fit_finds_the_centres(layers, centres, tmp_path):
    source = read_source(layers / "masks").dataset
    numbers = np.tile([8, 3, 5], 3)
    known = Dataset(
        source.images,
        {"id": [3, 8, 5], "name": ["few", "many", "odd"]},
        {
            "image": source.instances["image"],
            "category": np.searchsorted([3, 8], numbers % 8 + (numbers == 8) * 8),
        },
        source.masks,
    )
    known = known.replace(instances=known.instances.with_columns(category=np.tile([0, 1, 2], 3)))
    found = fit(known)
    assert found.numbers.tolist() == [0, 3, 5, 8]
    assert np.allclose(found.means[[0, 1, 3]], [np.zeros(3), *centres.means], atol=0.01)
    found.write(tmp_path / "c.json")
    again = Centres.read(tmp_path / "c.json")
    assert again.names == ("substrate", "few", "odd", "many")
    assert np.array_equal(again.means, found.means)
    assert np.array_equal(again.covariances, found.covariances)
    with pytest.raises(ValueError, match="class 'few' must have pixels to learn from, not 0"):
        fit(known, min_pixels=5000)


def test_fit_reads_the_training_split_alone(layers, centres, tmp_path):
    """What is in the test split cannot leak into the centres."""
    dataset, _ = assign(read_source(layers / "masks").dataset, centres)
    source = read_source(layers / "masks")._replace(dataset=dataset)
    build(source, tmp_path / "G")
    path = tmp_path / "G/RLE_annotations/train_annotations_with_class_full.json"
    before = fit(read_annotations(path), tmp_path / "G/train_images")
    for image in (layers / "images").iterdir():
        cv2.imwrite(str(image), np.full((120, 160, 3), 77, np.uint8))
    build(source, tmp_path / "G", split="test")
    after = fit(read_annotations(path), tmp_path / "G/train_images")
    assert np.array_equal(before.means, after.means)


def test_pixels_and_flakes(layers, centres):
    """Numbers are the classes' own, not their places."""
    source = read_source(layers / "masks").dataset
    image = source.images["pixels"][0].read()
    colour = background(image).colour
    found = classify_pixels(image, colour, centres)
    for number, (y, x, h, w) in zip(
        (3, 8, 0), [(10, 10, 30, 30), (10, 60, 40, 30), (70, 100, 30, 30)], strict=True
    ):
        assert (found[y : y + h, x : x + w] == number).mean() > 0.95
    numbers, share = classify_flakes(image, source.masks[source.rows_of_image(0)], colour, centres)
    assert numbers.tolist() == [3, 8, 0]
    assert (share > 0.95).all()
    half = Masks.encode(
        ((np.arange(120)[:, None] < 50) & (np.arange(160) > 10) & (np.arange(160) < 90))[None]
    )
    assert classify_flakes(image, half, colour, centres)[0].tolist() == [0]  # most of it is substrate
    two = Masks.from_labels(np.isin(found, [3, 8]).astype(np.uint8))[0]
    number, share = classify_flakes(image, two, colour, centres, min_share=0.5)
    assert (number.tolist(), 0.5 < share[0] < 0.6) == ([8], True)
    assert classify_flakes(image, two, colour, centres, min_share=0.6)[0].tolist() == [0]


def test_photos_without_annotations(layers, centres, tmp_path, capsys):
    """Centres, photos, semantic masks, flakes, classes, all without a network."""
    centres.write(tmp_path / "c.json")
    code, _, err = run(
        "semantic", layers / "images", tmp_path / "s", "--centres", tmp_path / "c.json", capsys=capsys
    )
    assert (code, err) == (0, "")
    source = read_source(layers / "masks").dataset
    write_annotations(source, tmp_path / "t.json")
    code, out, err = run("postprocess", tmp_path / "s", tmp_path / "r.json", "--opening", 2, capsys=capsys)
    assert (code, "6 flakes of 6" in out) == (0, True)
    flakes = read_results(tmp_path / "r.json")
    assert flakes.categories["id"][flakes.instances["category"]].tolist() == [3, 8] * 3
    assert flakes.masks.area.tolist() == [900, 1200] * 3

    shapes = source.replace(instances=source.instances.with_columns(score=np.ones(9)))
    write_results(shapes, tmp_path / "all.json")
    command = ["postprocess", tmp_path / "all.json", tmp_path / "known.json", "--truth", tmp_path / "t.json"]
    code, _, err = run(*command, "--centres", tmp_path / "c.json", capsys=capsys)
    assert (code, "--centres and --images must be given together" in err) == (2, True)
    more = ["--centres", tmp_path / "c.json", "--images", layers / "images"]
    code, _, err = run(*command, *more, capsys=capsys)
    assert (code, err) == (0, "")
    flakes = read_results(tmp_path / "known.json")
    assert flakes.categories["id"][flakes.instances["category"]].tolist() == [3, 8] * 3

    cv2.imwrite(str(layers / "images/1.png"), np.zeros((120, 160, 3), np.uint8))
    code, _, err = run(
        "semantic", layers / "images", tmp_path / "s", "--centres", tmp_path / "c.json", capsys=capsys
    )
    assert (code, "1.png: no background" in err) == (3, True)
    assert len(classify(source, centres, min_share=0.5).instances) == 4


def test_the_substrate_competes(centres):
    """A broad class does not swallow it; flakes of its contrast are rejected."""
    broad = Centres(np.array([5]), ("broad",), np.full((1, 3), -0.2), np.array([np.eye(3) * 0.01]))
    both = Centres(
        np.array([0, 5]),
        ("substrate", "broad"),
        np.array([[0.0] * 3, [-0.2] * 3]),
        np.array([np.eye(3) * 1e-4, np.eye(3) * 0.01]),
    )
    values = np.array([[0, 0, 0.01], [-0.1, -0.1, -0.1]])
    assert broad.nearest(values).tolist() == [5, 5]
    assert both.nearest(values).tolist() == [0, 5]
    assert both.classes == {5: "broad"}


def test_no_flakes(centres):
    none = Masks.empty()
    numbers, share = classify_flakes(np.zeros((5, 5, 3), np.uint8), none, [1, 1, 1], centres)
    assert (len(numbers), len(share)) == (0, 0)


GOOD = {"contrast": {"b": 0, "g": 0.1, "r": -0.2}, "covariance_matrix": np.eye(3).tolist()}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "expected classes, found none"),
        ([], "expected an object"),
        ({"0": GOOD}, "expected classes, found none"),
        ({"-1": GOOD}, "class: expected a whole number from 0"),
        ({"x": GOOD}, "class: expected a whole number"),
        ({"1": {}}, "class 1: contrast: expected an object"),
        ({"1": {"contrast": {"b": 1, "g": 1}}}, "class 1: contrast: r: expected a number"),
        ({"1": {**GOOD, "covariance_matrix": [[1, 0], [0, 1]]}}, "3 x 3 numbers"),
        ({"1": {**GOOD, "covariance_matrix": np.zeros((3, 3)).tolist()}}, "symmetric, positive definite"),
        (
            {"1": {**GOOD, "covariance_matrix": [[1, 5, 0], [0, 1, 0], [0, 0, 1]]}},
            "symmetric, positive definite",
        ),
        ({"1": {**GOOD, "covariance_matrix": [[1e300, 0, 0], [0, 1, 0], [0, 0, 1]]}}, "a number from"),
    ],
)
def test_wrong_centres(tmp_path, content, message):
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(FormatError, match=message) as error:
        Centres.read(tmp_path / "c.json")
    assert "c.json" in str(error.value)


# The command


def run(*arguments, capsys):
    code = main(["flakes", *map(str, arguments), "--quiet"])
    return code, *capsys.readouterr()


def test_commands(layers, centres, tmp_path, capsys):
    centres.write(tmp_path / "c.json")
    code, out, err = run(
        "build", layers / "masks", tmp_path / "G", "--centres", tmp_path / "c.json", capsys=capsys
    )
    assert (code, "classes: 3 few, 8 many" in out, err.count("farther than 5")) == (3, True, 3)
    annotations = tmp_path / "G/RLE_annotations/train_annotations_with_class_full.json"
    command = ["contrast", annotations, tmp_path / "f.csv", "--images", tmp_path / "G/train_images"]
    code, out, err = run(
        *command, "--backgrounds", tmp_path / "b.csv", "--fit", tmp_path / "new.json", capsys=capsys
    )
    assert (code, err) == (0, "")
    lines = (tmp_path / "f.csv").read_text().splitlines()
    assert lines[0].startswith("id,image,class,area,n,mean_b,median_b,std_b,mad_b,entropy_b,mean_g")
    assert len(lines) == 7
    assert len((tmp_path / "b.csv").read_text().splitlines()) == 4
    assert Centres.read(tmp_path / "new.json").numbers.tolist() == [0, 3, 8]


def test_photos_without_background(layers, tmp_path, capsys):
    cv2.imwrite(str(layers / "images/1.png"), np.zeros((120, 160, 3), np.uint8))
    code, _, err = run("contrast", layers / "masks", tmp_path / "f.csv", capsys=capsys)
    assert (code, "1.png: no background was found" in err) == (3, True)
    assert ",,,,," in (tmp_path / "f.csv").read_text()


# Real flakes

BACKGROUNDS = {
    "17294f8a": ((154.756, 112.852, 128.701), 2130303, (154.812, 112.848, 128.707), [155, 113, 129]),
    "acb69ba8": ((77.806, 43.715, 48.189), 2157223, (77.808, 43.725, 48.152), [77, 44, 48]),
    "45ce9af7": ((198.686, 196.347, 194.949), 1440631, (198.840, 196.414, 195.037), [199, 196, 195]),
    "5e12dd38": ((102.260, 77.562, 88.189), 2125800, (102.299, 77.588, 88.190), [102, 78, 88]),
}
FLAKES = {
    ("17294f8a", 1): (
        (-0.0837, -0.1415, -0.1277),
        (0.0391, 0.0262, 0.0259),
        1004,
        (-0.0909, -0.1445, -0.1309),
    ),
    ("3659660c", 4): (
        (-0.0138, -0.0820, -0.1190),
        (0.0104, 0.0082, 0.0107),
        9321,
        (-0.0129, -0.0817, -0.1192),
    ),
    ("acb69ba8", 1): (
        (-0.1811, -0.3624, -0.3434),
        (0.1151, 0.1078, 0.0810),
        2607,
        (-0.2077, -0.3843, -0.3569),
    ),
    ("5e12dd38", 3): (
        (-0.0530, -0.4211, -0.5766),
        (0.0629, 0.0504, 0.0315),
        6238,
        (-0.0299, -0.4048, -0.5714),
    ),
}


def test_the_real_flakes(data):
    """As MaskTerial measured them; decoders of JPEG may differ a little."""
    dataset = real(data, "GrapheneH", "WSe2")
    names = dataset.images["file_name"].tolist()
    table, grounds = contrast(dataset)
    for start, (training, pixels, inference, modes) in BACKGROUNDS.items():
        (row,) = [i for i, name in enumerate(names) if name.startswith(start)]
        image = dataset.images["pixels"][row].read()
        found = background(image)
        assert np.allclose(found.colour, training, atol=0.05)
        assert abs(int(found.pixels[0]) - pixels) < pixels * 0.002
        assert np.allclose(background(image, "inference").colour, inference, atol=0.05)
        assert np.allclose(found.mode, modes, atol=1)
        assert grounds["share"][row] == pytest.approx(found.share)
    assert grounds["warning"].tolist() == [""] * 18
    for (start, number), (mean, std, eroded, inner) in FLAKES.items():
        rows = [i for i in range(len(table)) if table["image"][i].startswith(start)]
        row = table.row(rows[number - 1])
        assert row["n_eroded"] == eroded
        for key, expected in (("mean_{}", mean), ("std_{}", std), ("mean_{}_eroded", inner)):
            assert np.allclose([row[key.format(c)] for c in "bgr"], expected, atol=0.001)
    assert erode(dataset.masks).area.sum() == 66153
    large = table["n_eroded"] >= 200
    assert (large.sum(), table["n_eroded"][large].sum()) == (47, 64752)
    std = np.stack([table[f"std_{c}"] for c in "bgr"]).max(0)
    assert ((std < 0.1) & (table["area"] >= 200)).sum() == 55
