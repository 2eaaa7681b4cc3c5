"""maskmill flakes kshot: MaskTerial's draws bit for bit, and exact ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from maskmill import Dataset, FormatError, Masks
from maskmill.io import maskterial
from maskmill.studies.flakes import kshot, validate
from maskmill.studies.flakes.annotations import read_annotations
from maskmill.studies.flakes.layout import write_variants
from maskmill.studies.flakes.shots import MANIFEST, draw
from test_flakes_layout import real


def dataset(rng, images=12, flakes=60, classes=3):
    """Flakes of 400 pixels on random images; classes 1 to n."""
    one = np.zeros((40, 30), bool)
    one[:20, :20] = True
    masks = Masks.encode(one)[np.zeros(flakes, np.int64)]
    return Dataset(
        {"file_name": [f"{i}.jpg" for i in range(images)], "height": np.full(images, 40), "width": np.full(images, 30)},
        {"name": [f"Class {i + 1}" for i in range(classes)]},
        {"image": np.sort(rng.integers(0, images, flakes)), "category": rng.integers(0, classes, flakes)},
        masks,
    )  # fmt: skip


def original(annotations, categories, shots, runs, random):
    """MaskTerial's selection, as it is described: lists of dicts, shuffled again and again."""
    annotations = list(annotations)
    for run in range(runs):
        for k in shots:
            random.shuffle(annotations)
            images = set()
            for category in categories:
                images |= {
                    a["image_id"] for a in [a for a in annotations if a["category_id"] == category][:k]
                }
            yield run, k, [a["id"] for a in annotations if a["image_id"] in images]


def test_compat_is_the_original(rng):
    random = np.random.RandomState(42)
    ours = np.random.RandomState(42)
    for n in (60, 7, 33):  # materials, one after the other
        data = dataset(rng, flakes=n)
        rows = [
            {"id": i, "image_id": m, "category_id": c}
            for i, m, c in zip(
                *(data.instances[x].tolist() for x in ("id", "image", "category")), strict=True
            )
        ]
        theirs = list(original(rows, range(3), (1, 2, 3, 5, 10), 10, random))
        found = [(s.run, s.k, data.instances["id"][s.rows].tolist()) for s in draw(data, chance=ours)]
        assert found == theirs


def test_compat_on_the_real_flakes(data):
    flakes = real(data, "GrapheneH", "WSe2")
    expected = {
        (0, 1): ([17], 1), (0, 2): ([4, 7], 19), (0, 3): ([4, 5, 18], 27), (0, 5): ([5, 7], 33),
        (0, 10): ([3, 4, 5, 7, 10, 16], 49), (1, 1): ([5], 20), (1, 2): ([7, 13], 14), (1, 3): ([7, 16, 17], 18),
        (1, 5): ([4, 5, 7, 13, 18], 41), (1, 10): ([4, 5, 6, 7, 10, 12], 45),
    }  # fmt: skip
    for shot in draw(flakes, runs=2):
        images = np.unique(flakes.images["id"][flakes.instances["image"][shot.rows]]).tolist()
        assert (images, len(shot.rows)) == expected[shot.run, shot.k]
        if (shot.run, shot.k) == (0, 2):
            assert flakes.instances["id"][shot.rows][:6].tolist() == [42, 12, 39, 34, 46, 9]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("mode", ["instances", "images", "balanced"])
def test_modes(rng, mode, nested):
    data = dataset(rng)
    image, category = data.instances["image"], data.instances["category"]
    before: dict[int, set[int]] = {}
    for shot in draw(data, mode, (1, 2, 3, 5), 4, nested=nested, seed=5):
        counted = shot.rows[~shot.ignored]
        assert shot.short == {}
        complete = np.flatnonzero(np.isin(image, image[shot.rows]))
        assert np.array_equal(shot.rows, complete)
        counts = np.bincount(category[counted], minlength=3)
        if mode == "instances":
            assert counts.tolist() == [shot.k] * 3
            assert len(np.unique(image[shot.rows])) == len(np.unique(image[counted]))
        else:
            assert not shot.ignored.any()
            assert (counts >= shot.k).all()
        if nested:
            assert before.get(shot.run, set()) <= set(counted.tolist())
            before[shot.run] = set(counted.tolist())
        assert list(shot.picked.values()) == counts.tolist()
    again = [s.rows.tolist() for s in draw(data, mode, (1, 2, 3, 5), 4, nested=nested, seed=5)]
    assert again == [s.rows.tolist() for s in draw(data, mode, (1, 2, 3, 5), 4, nested=nested, seed=5)]
    assert again != [s.rows.tolist() for s in draw(data, mode, (1, 2, 3, 5), 4, nested=nested, seed=6)]


def test_balanced_takes_no_more_than_it_needs():
    """Three images of one flake each beat one of ten."""
    image = np.array([0] * 10 + [1, 2, 3])
    masks = Masks.encode(np.ones((13, 1, 1), bool))
    data = Dataset(
        {"file_name": list("abcd"), "height": [1] * 4, "width": [1] * 4},
        {"name": ["flake"]},
        {"image": image, "category": np.zeros(13, np.int64)},
        masks,
    )
    (shot,) = draw(data, "balanced", [3], 1)
    assert shot.rows.tolist() == [10, 11, 12]


def test_shortage(rng):
    data = dataset(rng, flakes=20)
    few = data.take(instances=np.concatenate([np.flatnonzero(data.instances["category"] == 0)[:2],
                                              np.flatnonzero(data.instances["category"] == 1)]))  # fmt: skip
    for mode in ("compat", "instances", "images", "balanced"):
        short = {shot.k: shot.short for shot in draw(few, mode, (2, 3), 1)}
        assert short[2]["Class 3"] == 0
        assert "Class 2" not in short[2]
        assert short[3]["Class 1"] in (1, 2)


# Files


@pytest.fixture
def layout(rng, tmp_path):
    """The annotation files alone."""
    write_variants(dataset(rng), tmp_path / "G", "train")
    return tmp_path / "G"


@pytest.mark.parametrize("mode", ["compat", "instances", "images", "balanced"])
def test_files(layout, mode):
    report = kshot(layout, mode=mode, shots=(1, 3), runs=3)
    assert report.shortages == []
    whole = read_annotations(maskterial.Variant("train", "300", False).path(layout))
    manifest = json.loads((layout / "RLE_annotations" / MANIFEST).read_bytes())
    assert manifest == report.manifests[str(layout)]
    assert [(d["k"], d["run"]) for d in manifest["draws"]] == [(k, run) for run in range(3) for k in (1, 3)]
    for k, run, folder in maskterial.shot_folders(layout):
        a, b = (read_annotations(folder / maskterial.Variant("train", "300", c).name) for c in (True, False))
        (line,) = [d for d in manifest["draws"] if (d["k"], d["run"]) == (k, run)]
        assert a.instances["id"].tolist() == line["annotations"]
        assert b.instances["id"].tolist() == sorted(line["annotations"])  # as in the file of all
        assert a.images["id"].tolist() == b.images["id"].tolist() == sorted(line["images"])
        assert a.instances["id"][a.instances["iscrowd"]].tolist() == line["ignored"]
        assert b.instances["iscrowd"].sum() == a.instances["iscrowd"].sum()
        assert set(b.instances["id"]) <= set(whole.instances["id"])
        assert (b.categories["name"].tolist(), len(a.categories)) == (["flake"], 3)
    problems = [p for p in validate(layout).problems if p.kind == "shot"]
    assert problems == []


def test_several_materials_share_the_random_numbers(rng, tmp_path):
    for name in "AB":
        write_variants(dataset(rng), tmp_path / name, "train")
    both = kshot([tmp_path / "A", tmp_path / "B"], runs=2)
    alone = kshot(tmp_path / "B", runs=2, overwrite=True)
    assert alone.manifests[str(tmp_path / "B")]["draws"] != both.manifests[str(tmp_path / "B")]["draws"]


def test_sets_that_are_there(layout):
    kshot(layout, shots=(1, 2), runs=2)
    with pytest.raises(ValueError, match="is there already"):
        kshot(layout)
    kshot(layout, shots=(3,), runs=1, overwrite=True)
    assert [(k, run) for k, run, _ in maskterial.shot_folders(layout)] == [(3, 0)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "all"}, "mode must be one of"),
        ({"shots": [0]}, "1 or more"),
        ({"nested": True}, "nested must not be with mode 'compat'"),
        ({"shots": [99], "strict": True}, "of 99"),
    ],
)
def test_wrong_parameters(layout, options, message):
    with pytest.raises(ValueError, match=message):
        kshot(layout, **options)
    assert not list(maskterial.shot_folders(layout))


def test_twins_that_differ(layout):
    path = maskterial.Variant("train", "300", False).path(layout)
    content = json.loads(path.read_bytes())
    content["annotations"][3]["id"] = 999
    path.write_text(json.dumps(content))
    with pytest.raises(
        FormatError, match="expected the annotation ids of train_annotations_with_class_300.json"
    ):
        kshot(layout)


def test_forty_thousand_images(rng):
    data = dataset(rng, images=40_000, flakes=200_000, classes=10)
    assert len(list(draw(data))) == 50
    assert len(list(draw(data, "balanced", nested=True))) == 50
