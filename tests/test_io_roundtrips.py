"""Every format with every other: what both can hold comes back, and the loss report tells of all else what a comparison
of pixels finds."""

from __future__ import annotations

import inspect
import itertools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmill import Dataset, Masks, io
from maskmill.dataset import LossReport, Reference, Shapes, objects
from maskmill.io._parse import image_names
from maskmill.polygons import Polygons

EXAMPLES = int(os.environ.get("MASKMILL_ROUNDTRIPS", "2"))

FORMATS = {f.name: f for f in io.formats() if f.reads and f.writes}

TARGETS = {
    "cvat": "a.xml",
    "coco": "a.json",
    "coco_results": "a.json",
    "kaggle": "a.csv",
    "label_studio": "a.json",
    "panoptic": "a.json",
    "via": "a.json",
}
"""What is written to; a folder for the others."""

OPTIONS: dict[str, dict[str, Any]] = {
    "yolo": {"scores": True},
}
"""Of writers."""

READING: dict[str, dict[str, Any]] = {}
"""Further options of readers."""

LIMITS: dict[str, set[str]] = {
    "kaggle": {"unclassed"},
    "panoptic": {"unclassed"},
    "yolo": {"unclassed"},
    "voc": {"many"},
}
"""What a format does not hold that `holds` has no word for."""

NUMBERED = {"coco_results"}
"""Formats that have numbers of classes alone; their names are in another file."""

NEEDED = {"yolo": "yaml", "ilastik": "h5py"}
"""Packages without which a format is left out."""


# Data


@dataclass(frozen=True)
class Wanted:
    """What a made data set has, besides instances of one solid part each."""

    seed: int = 0
    images: int = 2
    instances: int = 3
    holes: bool = False
    parts: bool = False
    overlap: bool = False
    crowd: bool = False
    scores: bool = False
    attributes: bool = False
    unclassed: bool = False
    empty: bool = False
    vertices: bool = False


NAMES = ("g.png", "b c/d ü.png", "b c/d.png", "e.v1.tif", "b c.jpg", "f-0_😀.jpg", "a")
CLASSES = ("grain", "void space", "ä & <b>")


def blank(path: str, field: str) -> np.ndarray:
    """`Reference` reader of black pictures; `field` is their size."""
    return np.zeros([int(side) for side in field.split()], np.uint8)


def made(wanted: Wanted) -> Dataset:
    """A data set as wanted: instances in cells of a grid of their own, but for those that overlap."""
    rng = np.random.default_rng(wanted.seed)
    sizes, image, masks, rings = [], [], [], []
    for i in range(wanted.images):
        n = 0 if wanted.empty and i == wanted.images - 1 else wanted.instances
        grid = int(np.ceil(np.sqrt(max(n, 1))))
        cell = rng.integers(1, 9, 2) + 5 * (wanted.holes or wanted.parts or wanted.vertices)
        height, width = (int(v) for v in grid * cell + rng.integers(0, 4, 2))
        sizes.append((height, width))
        for k in range(n):
            top, left = (int(v) for v in np.array(divmod(k, grid)) * cell)
            mask = np.zeros((height, width), bool)
            inner = mask[top : top + cell[0], left : left + cell[1]]
            inner[: rng.integers(1, cell[0] + 1), : rng.integers(1, cell[1] + 1)] = True
            if wanted.holes:
                inner[:], inner[1:3, 1:3] = True, False
            if wanted.parts:
                inner[:] = rng.random(inner.shape) < 0.4
                inner[0, 0] = inner[2, 2] = True
                inner[:2, 1], inner[1, 0] = False, False
            if wanted.overlap and k:
                mask[: top + 1, : left + 1] = True
            image.append(i)
            masks.append(Masks.encode(mask))
            corner = np.array([left, top], float)
            rings.append([corner + rng.random((5, 2)) * cell[::-1]])
    n = len(image)
    shapes: Any = Masks.concatenate(masks) if masks else Shapes.of_boxes(0)
    if wanted.vertices:
        shapes = Shapes.of_polygons(Polygons.from_lists(rings), "even-odd")
    choice = rng.integers(0, len(CLASSES), n)
    attributes = [
        {"n": int(k), "text": f"x {k}", "yes": True} if wanted.attributes else None for k in range(n)
    ]
    return Dataset(
        {
            "file_name": NAMES[: wanted.images],
            "height": [h for h, _ in sizes],
            "width": [w for _, w in sizes],
            "pixels": objects([Reference("made", f"{h} {w}", blank) for h, w in sizes]),
        },
        {"name": objects(CLASSES)},
        {
            "image": np.array(image, np.int64),
            "category": np.where(rng.random(n) < 0.5, -1, choice) if wanted.unclassed else choice,
            "iscrowd": (rng.random(n) < 0.5) & wanted.crowd,
            "score": np.where(wanted.scores, rng.random(n), np.nan),
            "attributes": objects(attributes),
        },
        shapes,
    )


flags = [name for name, kind in Wanted.__annotations__.items() if kind == "bool"]
wishes = st.builds(
    Wanted,
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, len(NAMES)),
    instances=st.integers(0, 6),
    **{name: st.booleans() for name in flags},
)


def needs(dataset: Dataset) -> set[str]:
    """What a format must hold, so that masks and classes of a data set come back."""
    found = {"masks"}
    per_image = np.bincount(dataset.instances["image"], minlength=len(dataset))
    found |= {"empty"} if (per_image == 0).any() else set()
    found |= {"many"} if (per_image > 254).any() else set()
    category = dataset.instances["category"]
    found |= {"classes"} if (category >= 0).any() else set()
    found |= {"unclassed"} if (category < 0).any() else set()
    found |= {"crowd"} if dataset.instances["iscrowd"].any() else set()
    masks = dataset.masks
    found |= {"nothing"} if (masks.area == 0).any() else set()
    holes, parts = topology(masks)
    found |= ({"holes"} if holes.any() else set()) | ({"parts"} if (parts > 1).any() else set())
    for i in range(len(dataset)):
        mine = masks[dataset.rows_of_image(i)]
        if len(mine) and int(mine.union().area.sum()) < int(mine.area.sum()):
            found |= {"overlap"}
    return found


def topology(masks: Masks) -> tuple[np.ndarray, np.ndarray]:
    """Holes and parts of each mask, by pixels: parts touch at sides or corners, so that background only at sides."""
    from scipy.ndimage import label

    holes, parts = [], []
    for mask, box in zip(masks, masks.bbox, strict=True):
        array = np.pad(mask.crop([box.astype(int)]).decode()[0], 1)  # the rest is background
        parts.append(label(array, np.ones((3, 3)))[1])
        holes.append(label(array == 0)[1] - 1)
    return np.array(holes, int), np.array(parts, int)


# To and fro


def written(dataset: Dataset, name: str, folder: Path) -> tuple[Dataset, np.ndarray]:
    """What is read again, and which instance each one was."""
    path = folder / TARGETS.get(name, "out")
    module = FORMATS[name].module
    rows = module.write(dataset, path, **OPTIONS.get(name, {}))
    return module.read(path, **reading(dataset, name)), rows


def reading(dataset: Dataset, name: str) -> dict[str, Any]:
    columns = image_names(dataset), *(dataset.images[key].tolist() for key in ("height", "width"))
    sizes = {name: (h, w) for name, h, w in zip(*columns, strict=True)}
    known = inspect.signature(FORMATS[name].module.read).parameters
    return {**({"sizes": sizes} if "sizes" in known else {}), **READING.get(name, {})}


def lacks(dataset: Dataset, name: str) -> set[str]:
    """What the data set needs and the format does not hold."""
    return {need for need in needs(dataset) if need not in FORMATS[name].holds} - (
        {"many", "unclassed"} - LIMITS.get(name, set())
    )


def names_classes(name: str) -> bool:
    return "classes" in FORMATS[name].holds and name not in NUMBERED


def kept(report: LossReport, name: str) -> bool:
    """Whether masks are kept, and classes where the format has their names."""
    return not (
        report.instances_lost or report.masks_changed or (names_classes(name) and report.classes_changed)
    )


def skip_without(*names: str) -> None:
    for name in names:
        if name in NEEDED:
            pytest.importorskip(NEEDED[name])


PAIRS = [
    pair
    for pair in itertools.product(FORMATS, FORMATS)
    if all("masks" in FORMATS[name].holds for name in pair)
]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_pair(source, target):
    """What the first format gives, and the second holds, comes back from it pixel for pixel, with its class."""
    skip_without(source, target)

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(wishes)
    def run(wanted):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("first", "second"):
                (Path(folder) / name).mkdir()
            dataset, _ = written(made(wanted), source, Path(folder) / "first")
            dataset = dataset.take(images=(dataset.images["height"] > 0) & (dataset.images["width"] > 0))
            dataset = dataset.take(instances=dataset.masks.area > 0)
            dataset = without(dataset, lacks(dataset, target))
            if not len(dataset):  # results without an image, a folder without a file
                return
            found, rows = written(dataset, target, Path(folder) / "second")
            again = found.take(instances=rows >= 0)
            assert sorted(rows[rows >= 0].tolist()) == list(range(len(dataset.instances)))
            assert (again.masks ^ dataset.masks[rows[rows >= 0]]).area.sum() == 0
            if names_classes(target):
                names = np.array(dataset.category_names, object)[rows[rows >= 0]].tolist()
                assert again.category_names == names

    run()


def without(dataset: Dataset, lacking: set[str]) -> Dataset:
    """What a format can hold of a data set."""
    keep = np.ones(len(dataset.instances), bool)
    holes, parts = topology(dataset.masks)
    keep &= (holes == 0) | ("holes" not in lacking)
    keep &= (parts < 2) | ("parts" not in lacking)
    keep &= ~dataset.instances["iscrowd"] | ("crowd" not in lacking)
    keep &= (dataset.instances["category"] >= 0) | ("unclassed" not in lacking)
    if "overlap" in lacking:
        for i in range(len(dataset)):
            rows = [row for row in dataset.rows_of_image(i).tolist() if keep[row]]
            for k, row in enumerate(rows):
                before = [other for other in rows[:k] if keep[other]]
                keep[row] = (
                    not before or not dataset.masks[[row]].intersection_area(dataset.masks[before]).any()
                )
    kept = dataset.take(instances=keep)
    if "empty" in lacking:
        kept = kept.take(images=np.unique(kept.instances["image"]))
    return kept


@pytest.mark.parametrize("target", FORMATS)
def test_report_is_what_pixels_say(target):
    """Whatever is written, the report's numbers are those of a comparison pixel by pixel."""
    skip_without(target)

    @settings(max_examples=4 * EXAMPLES, deadline=None, database=None)
    @given(wishes)
    def run(wanted):
        dataset = made(wanted)
        with tempfile.TemporaryDirectory() as folder:
            for name in ("reported", "compared"):
                (Path(folder) / name).mkdir()
            path = Path(folder) / "reported" / TARGETS.get(target, "out")
            report = io.write(dataset, path, target, **OPTIONS.get(target, {}))
            found, rows = written(dataset, target, Path(folder) / "compared")
            assert numbers_of(report) == by_pixels(dataset, found, rows)

    run()


COUNTED = (
    *(
        "instances_lost",
        "masks_changed",
        "pixels",
        "pixels_lost",
        "pixels_gained",
        "holes_lost",
        "parts_lost",
    ),
    *("classes_changed", "crowds_lost"),
)


def numbers_of(report: LossReport) -> dict[str, Any]:
    return {**{name: getattr(report, name) for name in COUNTED}, "worst_iou": pytest.approx(report.worst_iou)}


def by_pixels(before: Dataset, after: Dataset, rows: np.ndarray) -> dict[str, Any]:
    """The same numbers from arrays."""
    pairs = [(old, new) for new, old in enumerate(rows.tolist()) if old >= 0]
    lost = gained = changed = holes = parts = classes = crowds = 0
    worst = 1.0
    for old, new in pairs:
        a, b = before.masks[old].decode()[0] > 0, after.masks[new].decode()[0] > 0
        lost, gained = lost + int((a & ~b).sum()), gained + int((b & ~a).sum())
        if (a != b).any():
            changed += 1
            worst = min(worst, (a & b).sum() / (a | b).sum())
            (h1, h2), (p1, p2) = topology(Masks.encode(np.stack([a, b])))
            holes, parts = holes + (h1 != h2), parts + (p1 != p2)
        classes += before.category_names[old] != after.category_names[new]
        crowds += bool(before.instances["iscrowd"][old] and not after.instances["iscrowd"][new])
    gone = set(range(len(before.instances))) - {old for old, _ in pairs}
    return {
        "instances_lost": len(gone),
        "masks_changed": changed,
        "pixels": int(before.masks.area.sum()),
        "pixels_lost": lost + sum(int(before.masks.area[row]) for row in gone),
        "pixels_gained": gained,
        "holes_lost": holes,
        "parts_lost": parts,
        "classes_changed": classes,
        "crowds_lost": crowds,
        "worst_iou": worst,
    }


CLAIMS = {
    "crowd": "crowds_lost",
    "scores": "scores_lost",
    "attributes": "attributes_lost",
}
"""What a format says that it holds, and the number of the report that must then be 0."""


@pytest.mark.parametrize(
    ("target", "claim"),
    [
        (name, claim)
        for name in FORMATS
        for claim in (*CLAIMS, "empty")
        if {"masks", claim} <= FORMATS[name].holds
    ],
)
def test_what_a_format_says_it_holds(tmp_path, target, claim):
    skip_without(target)
    for seed in range(4):
        dataset = made(Wanted(seed, images=3, **{claim: True}))
        path = tmp_path / f"{seed}-{TARGETS.get(target, 'out')}"
        report = io.write(dataset, path, target, **OPTIONS.get(target, {}))
        if claim == "empty":
            (tmp_path / str(seed)).mkdir()
            assert len(written(dataset, target, tmp_path / str(seed))[0]) == len(dataset)
        else:
            assert getattr(report, CLAIMS[claim]) == 0, report
        assert kept(report, target), report


# By hand


def many() -> Dataset:
    """400 instances of a pixel each, next to one another, also at the border."""
    masks = Masks.from_labels(np.arange(1, 401).reshape(20, 20))[0]
    return Dataset(
        {"file_name": ["many.png"], "height": [20], "width": [20]},
        {"name": ["grain"]},
        {"category": [0] * 400},
        masks,
    )


def checkered() -> Dataset:
    """Parts that touch at corners alone, holes that do, a hole within a part within a hole, all pixels of an image."""
    board = np.indices((9, 11)).sum(0) % 2 == 0
    nested = np.zeros((9, 11), bool)
    nested[0:9, 0:9] = True
    nested[1:8, 1:8] = False
    nested[2:7, 2:7] = True
    nested[3:6, 3:6] = False
    nested[4, 4] = True
    arrays = [board, ~board, nested, np.ones((9, 11), bool)]
    return Dataset(
        {"file_name": ["1.png", "2.png", "3.png", "4.png"], "height": [9] * 4, "width": [11] * 4},
        {"name": ["grain"]},
        {"image": range(4), "category": [0] * 4},
        Masks.encode(np.stack(arrays)),
    )


@pytest.mark.parametrize("make", [many, checkered])
@pytest.mark.parametrize("target", [name for name, f in FORMATS.items() if "masks" in f.holds])
def test_hard_masks(tmp_path, target, make):
    skip_without(target)
    dataset = make()
    if lacks(dataset, target):
        pytest.skip(f"{target} does not hold {', '.join(lacks(dataset, target))}")
    found, rows = written(dataset, target, tmp_path)
    again = found.take(instances=rows >= 0)
    assert sorted(rows[rows >= 0].tolist()) == list(range(len(dataset.instances)))
    assert (again.masks ^ dataset.masks[rows[rows >= 0]]).area.sum() == 0


@pytest.mark.parametrize("target", [name for name, f in FORMATS.items() if "subpixel" in f.holds])
def test_vertices_between_pixels(tmp_path, target):
    """Where a format has vertices, they come back, but for rounding."""
    skip_without(target)
    dataset = made(Wanted(seed=7, vertices=True, instances=4))
    found, rows = written(dataset, target, tmp_path)
    report = io.write(
        dataset, tmp_path / f"again-{TARGETS.get(target, 'out')}", target, **OPTIONS.get(target, {})
    )
    assert kept(report, target), report
    assert (found.masks ^ dataset.masks[rows]).area.sum() == 0
