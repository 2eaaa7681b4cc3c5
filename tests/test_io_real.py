"""Real annotations of every kind into every format and back: what the format holds is the same pixel for pixel, and of
all else the loss report says what a comparison of pixels finds."""

from __future__ import annotations

import numpy as np
import pytest

from maskmill import Dataset, io
from maskmill.dataset import Reference, objects
from test_io_roundtrips import FORMATS, TARGETS, by_pixels, lacks, numbers_of, skip_without, without, written

IMAGES, INSTANCES = 2, 40
"""Of each source: the images with the most instances, of up to so many."""

SOURCES = {
    "coco": ("coco/val2014_100/instances_val2014_100.json", {}),
    "lvis": ("lvis/lvis_val_100.json", {}),
    "taco": ("taco/annotations.json", {}),
    "sav": ("sav/sav_000001_manual.json", {}),
    "panoptic": ("panoptic/sample_data/panoptic_examples.json", {}),
    "via": ("via/emps/viadata.json", {"scale": "emps"}),
    "via csv": ("via/via_official/sherlock_ep01_tracks_FRCNN.csv", {"sizes": "large"}),
    "labelme": ("labelme/instance_segmentation/data_annotated", {}),
    "labelme primitives": ("labelme/primitives/primitives.json", {}),
    "label images": ("dsb2018/labels", {}),
    "flakes": ("flakes/GrapheneH/instance_masks", {}),
    "ilastik": ("ilastik/Worms(Label 1).h5", {"components": True}),
    "core": ("cores/72_2.h5", {"components": True}),
    "doodler": (
        "doodler/results__results2021-10-16-14-15__test_Enter-user-ID.npz",
        {"components": True},
    ),
}


def blank(path: str, field: str) -> np.ndarray:
    return np.zeros([int(side) for side in field.split()], np.uint8)


@pytest.fixture(scope="module")
def read_source(request):
    """Reads a source once, its fullest images."""
    made: dict[str, Dataset] = {}

    def of(name, data):
        if name not in made:
            made[name] = fullest(name, data)
        return made[name]

    return of


def fullest(name: str, data) -> Dataset:
    path, options = SOURCES[name]
    options = dict(options)
    for module in ("h5py",) if path.endswith(".h5") else ("PIL",) if "labelme" in path else ():
        pytest.importorskip(module)
    if options.pop("scale", None):
        options |= emps(data)
    if options.pop("sizes", None):
        names = io.read(data / path).images["file_name"].tolist()
        options["sizes"] = dict.fromkeys(names, (1200, 2000))
    dataset = io.read(data / path, **options)
    known = (dataset.images["height"] > 0) & (dataset.images["width"] > 0)
    dataset = dataset.take(images=known)
    # Masks without pixels have nothing that could come back.
    per_image = np.bincount(dataset.instances["image"], minlength=len(dataset))
    small = dataset.images["height"] * dataset.images["width"] < 4_000_000
    few = np.where((per_image <= INSTANCES) & small, per_image, 0)
    dataset = dataset.take(images=np.sort(np.argsort(-few, kind="stable")[:IMAGES]))
    dataset = dataset.take(instances=dataset.masks.area > 0)
    order = np.argsort(-dataset.masks.area.astype(np.int64), kind="stable")
    dataset = dataset.take(instances=np.sort(order[: IMAGES * INSTANCES]))
    sizes = zip(dataset.images["height"], dataset.images["width"], strict=True)
    pixels = objects([Reference("made", f"{h} {w}", blank) for h, w in sizes])
    return dataset.replace(images=dataset.images.with_columns(pixels=pixels))


def emps(data) -> dict[str, object]:
    """Factors and sizes of the EMPS regions, which are in the pixels of figures of other sizes."""
    import csv

    from maskmill.dataset.sizes import image_size

    factors, sizes = {}, {}
    with open(data / "via" / "emps" / "fitted_scale.csv", newline="", encoding="utf-8") as file:
        columns = list(csv.DictReader(file))
    for row in columns:
        name = next(row[key] for key in ("filename", "image", "file_name") if key in row)
        label = data / "via" / "emps" / "segmaps" / (name.rpartition(".")[0] + ".png")
        factors[name] = float(row["scale"])
        if label.is_file():
            sizes[name] = image_size(label)
    return {"scale": factors, "sizes": sizes}


# Results name no files and no classes: their ground truth does, see test_io_coco_results.py.
TARGETS_OF_REAL = [name for name, f in FORMATS.items() if "masks" in f.holds and name != "coco_results"]


@pytest.mark.parametrize("target", TARGETS_OF_REAL)
@pytest.mark.parametrize("source", SOURCES)
def test_real(source, target, data, read_source, tmp_path):
    skip_without(target)
    dataset = read_source(source, data)
    assert len(dataset.instances) > 0
    if target == "voc" and len(dataset.categories) > 254:
        dataset = dataset.remap(dict.fromkeys(dataset.categories["name"][250:].tolist(), "other"))
    for name in ("whole", "kept", "held"):
        (tmp_path / name).mkdir()
    lacking = lacks(dataset, target)
    report = io.write(dataset, tmp_path / "whole" / TARGETS.get(target, "out"), target)
    if not lacking:
        assert report.masks_kept or "classes" not in FORMATS[target].holds, report
        assert report.masks_changed == report.instances_lost == report.pixels_gained == 0, report
        return
    found, rows = written(dataset, target, tmp_path / "kept")
    assert numbers_of(report) == by_pixels(dataset, found, rows)
    held = without(dataset, lacking)
    if len(held.instances) and not lacks(held, target):
        report = io.write(held, tmp_path / "held" / TARGETS.get(target, "out"), target)
        assert report.masks_kept or "classes" not in FORMATS[target].holds, report
        assert report.masks_changed == report.instances_lost == 0, report
