"""Every public function on arrays on a GPU: it computes there, or says in a sentence that it does not and what to do.

Who adds a public function adds it to one of three tables: WORKS, REFUSED, or WITHOUT if it takes no arrays.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fake_cupy
import maskmill
from conftest import random_masks
from maskmill import (
    BackendError,
    Dataset,
    Masks,
    Polygons,
    coco_json,
    crf,
    dataset,
    dedupe,
    densify,
    features,
    geometry,
    hamming,
    hashes,
    measures,
    morphology,
    outlines,
    overlap,
    patches,
    perceptron,
    polygons,
    rle,
    setops,
    show,
    vectorize,
)
from maskmill._device import is_on_gpu
from maskmill.evaluate import Evaluator
from maskmill.pycocotools import mask
from maskmill.studies import coast, core, flakes, zircon

PUBLIC = {
    *(name for name in maskmill.__all__ if type(getattr(maskmill, name)) is type(maskmill)),
    *("dataset", "dedupe", "densify", "evaluate", "fetch", "io", "scale", "show", "vectorize"),
    *(
        "densify.hypercolumns",
        "studies.coast",
        "studies.core",
        "studies.flakes",
        "studies.zircon",
        "pycocotools.mask",
    ),
}
CLASSES = {"Masks": Masks, "Polygons": Polygons, "Dataset": Dataset}
"""Whose methods are looked at, too."""

Call = Callable[[SimpleNamespace], Any]


def samples(place: Callable[[Any], Any]) -> SimpleNamespace:
    """What functions take: arrays where `place` puts them, masks and polygons beside them."""
    rng = np.random.default_rng(5)
    images = random_masks(rng, 4, 31, 33)
    masks = Masks.encode(place(images))
    rings = Polygons.from_lists([[rng.uniform(0, 30, (5, 2))] for _ in range(4)])
    where = Polygons(*map(place, (rings.points, rings.rings, rings.masks, rings.parent)))
    photos = rng.integers(0, 256, (3, 40, 48, 3), np.uint8)
    return SimpleNamespace(
        place=place,
        images=place(images),
        bitmaps=place(np.asfortranarray(images.transpose(1, 2, 0).astype(np.uint8))),
        masks=masks,
        runs=masks._arrays,
        polygons=where,
        labels=place(rng.integers(0, 3, (31, 33)).astype(np.uint8)),
        boxes=place(np.array([[0, 16, 0, 16], [3, 19, 5, 21]])),
        windows=place(np.array([[1, 1, 5, 6]] * 4)),
        photos=place(photos),
        gray=place(photos[..., 0]),
        photo=place(photos[0]),
        volume=place(rng.integers(0, 256, (9, 20, 21), np.uint8)),
        codes=place(rng.integers(0, 1 << 63, (12, 1)).astype(np.uint64)),
        dihedral=place(rng.integers(0, 1 << 63, (5, 8, 1)).astype(np.uint64)),
        octets=place(rng.integers(0, 256, (5, 8), np.uint8)),
        numbers=place(rng.uniform(0.1, 0.9, 4)),
        energies=place(rng.uniform(0, 1, (2, 5, 6)).astype(np.float32)),
        rows=place(rng.uniform(0, 1, (30, 2))),
        classes=place(np.arange(30) % 2),
        flags=place(np.array([True, False, True, False])),
        index=place(np.array([2, 0])),
    )


WORKS: dict[str, Call] = {
    "coco_rles": lambda t: maskmill.coco_rles(t.images),
    "rle.area": lambda t: rle.area(*t.runs[:2]),
    "rle.bbox": lambda t: rle.bbox(*t.runs),
    "rle.check": lambda t: rle.check(*t.runs),
    "rle.decode": lambda t: rle.decode(*t.runs),
    "rle.encode": lambda t: rle.encode(t.images)[:2],
    "rle.from_labels": lambda t: rle.from_labels(t.labels)[:2],
    "rle.normalize": lambda t: rle.normalize(*t.runs),
    "rle.to_labels": lambda t: rle.to_labels(
        *t.runs, t.place(np.arange(4)), t.place(np.zeros((31, 33), int))
    ),
    "rle.to_strings": lambda t: rle.to_strings(*t.runs[:2]),
    "setops.complement": lambda t: setops.complement(*t.runs),
    "setops.merge": lambda t: setops.merge(*t.runs, [0, 4], [[31, 33]]),
    "setops.pairs": lambda t: setops.pairs(t.runs, t.runs, "xor"),
    "overlap.intersection": lambda t: overlap.intersection(t.runs, t.runs),
    "overlap.iou": lambda t: overlap.iou(t.runs, t.runs, t.flags),
    "overlap.nms": lambda t: overlap.nms(*t.runs, 0.3),
    "polygons.Polygons": lambda t: t.polygons.to("cpu").points.tolist(),
    "polygons.rasterize": lambda t: polygons.rasterize(t.polygons, (31, 33))[:2],
    "patches.extract": lambda t: patches.extract(t.photo, t.boxes),
    "patches.planes": lambda t: patches.planes(t.volume, 1, t.boxes[:, :4] // 4, [0, 2]),
    "patches.stats": lambda t: patches.stats(t.volume, 0, t.boxes, [0, 2]),
    "patches.stitch": lambda t: patches.stitch(patches.extract(t.photo, t.boxes), t.boxes, (40, 48)),
    "hashes.ahash": lambda t: hashes.ahash(t.gray),
    "hashes.dhash": lambda t: hashes.dhash(t.photos),
    "hashes.dhash_v": lambda t: hashes.dhash_v(t.gray),
    "hashes.phash": lambda t: hashes.phash(t.gray),
    "hashes.phash_simple": lambda t: hashes.phash_simple(t.gray),
    "hashes.whash": lambda t: hashes.whash(t.gray),
    "hashes.pdq": lambda t: hashes.pdq(t.gray),
    "hashes.colorhash": lambda t: hashes.colorhash(t.photos),
    "hashes.dhash_dihedral": lambda t: hashes.dhash_dihedral(t.gray),
    "hashes.pdq_dihedral": lambda t: hashes.pdq_dihedral(t.gray),
    "hashes.planes": lambda t: hashes.planes(t.volume, 0, t.boxes, [0, 2]),
    "hamming.greedy": lambda t: hamming.greedy(t.codes, 5),
    "hamming.nearest": lambda t: hamming.nearest(t.codes, t.codes[3:]),
    "hamming.pairs": lambda t: hamming.pairs(t.codes, 30),
    "features.bank": lambda t: features.bank(t.photo, [1, 2]),
    "features.deviation": lambda t: features.deviation(t.gray[0], 2),
    "features.gaussian": lambda t: features.gaussian(t.gray[0], 1),
    "evaluate.Evaluator": lambda t: evaluated(t),
    "pycocotools.mask.encode": lambda t: mask.encode(t.bitmaps),
    "Masks": lambda t: Masks(*t.runs),
    "Masks.to": lambda t: t.masks.to("cpu").to_coco(),
    "Masks.device": lambda t: t.masks.device in ("cpu", "cuda"),
    "Masks.nbytes": lambda t: t.masks.nbytes,
    "Masks.encode": lambda t: Masks.encode(t.images),
    "Masks.from_labels": lambda t: Masks.from_labels(t.labels),
    "Masks.from_polygons": lambda t: Masks.from_polygons(t.polygons, (31, 33)),
    "Masks.concatenate": lambda t: Masks.concatenate([t.masks, t.masks[:1]]),
    "Masks.decode": lambda t: t.masks.decode(),
    "Masks.labels": lambda t: t.masks.labels(t.place(np.arange(4))),
    "Masks.to_coco": lambda t: t.masks.to_coco(),
    "Masks.area": lambda t: t.masks.area,
    "Masks.bbox": lambda t: t.masks.bbox,
    "Masks.iou": lambda t: t.masks.iou(t.masks),
    "Masks.intersection_area": lambda t: t.masks.intersection_area(t.masks),
    "Masks.nms": lambda t: t.masks.nms(0.3, t.numbers),
    "Masks.merge": lambda t: t.masks.merge([0, 1, 4]),
    "Masks.union": lambda t: t.masks.union(),
    "Masks.intersection": lambda t: t.masks.intersection(),
    "Masks.equals": lambda t: t.masks.equals(t.masks[:]),
    "Masks.save": lambda t: t.masks.save(t.folder / "masks.npz"),
    "Masks.to_arrow": lambda t: t.masks.to_arrow().num_rows,
    "Masks.to_parquet": lambda t: t.masks.to_parquet(t.folder / "masks.parquet"),
    "Polygons": lambda t: t.polygons.points,
    "Polygons.to": lambda t: t.polygons.to("cpu").to_coco(),
    "Polygons.to_coco": lambda t: t.polygons.to_coco(),
    "Polygons.device": lambda t: t.polygons.device in ("cpu", "cuda"),
}
"""Computed there, with the host's results."""

REFUSED: dict[str, Call] = {
    "geometry.flip": lambda t: geometry.flip(*t.runs),
    "geometry.transpose": lambda t: geometry.transpose(*t.runs),
    "geometry.window": lambda t: geometry.window(*t.runs, [0, 0, 5, 5]),
    "morphology.boundary": lambda t: morphology.boundary(*t.runs, 1),
    "morphology.components": lambda t: morphology.components(*t.runs),
    "morphology.dilate": lambda t: morphology.dilate(*t.runs, 1),
    "morphology.erode": lambda t: morphology.erode(*t.runs, 1),
    "morphology.fill_holes": lambda t: morphology.fill_holes(*t.runs),
    "morphology.remove_small": lambda t: morphology.remove_small(*t.runs, 3),
    "outlines.trace": lambda t: outlines.trace(*t.runs),
    "vectorize.trace": lambda t: vectorize.trace(*t.runs),
    "vectorize.losses": lambda t: vectorize.losses(t.polygons, *t.runs),
    "measures.measure": lambda t: measures.measure(t.masks),
    "polygons.ellipses": lambda t: polygons.ellipses(t.rows, t.rows[:, 0], 0, (9, 9)),
    "polygons.simplify": lambda t: polygons.simplify(t.polygons.points, t.polygons.rings, 1),
    "polygons.tangles": lambda t: polygons.tangles(t.polygons),
    "patches.crop_masks": lambda t: patches.crop_masks(*t.runs, t.boxes),
    "hashes.crop_matches": lambda t: hashes.crop_matches(t.codes, t.codes),
    "hashes.crop_resistant": lambda t: hashes.crop_resistant(t.gray),
    "hashes.dihedral_canonical": lambda t: hashes.dihedral_canonical(t.dihedral),
    "hashes.dihedral_distance": lambda t: hashes.dihedral_distance(t.dihedral, t.dihedral[:, 0]),
    "hashes.from_opencv": lambda t: hashes.from_opencv(t.octets),
    "hashes.to_hex": lambda t: hashes.to_hex(t.codes),
    "hashes.to_opencv": lambda t: hashes.to_opencv(t.codes),
    "features.lab": lambda t: features.lab(t.photo),
    "features.names": lambda t: features.names(3, t.numbers),
    "crf.Lattice": lambda t: crf.Lattice(t.rows),
    "crf.Pairs": lambda t: crf.Pairs(t.rows),
    "crf.Window": lambda t: crf.Window((40, 48), 1.0, t.photo),
    "crf.mean_field": lambda t: crf.mean_field(t.energies[0], [(np.zeros((6, 1)), 1.0)]),
    "crf.refine": lambda t: crf.refine(t.energies, None, bilateral=None),
    "crf.search": lambda t: crf.search(np.ones((2, 5, 6)), None, t.labels[:5, :6]),
    "crf.unary_from_labels": lambda t: crf.unary_from_labels(t.labels, 2, 0.9),
    "crf.unary_from_probabilities": lambda t: crf.unary_from_probabilities(t.numbers),
    "perceptron.Perceptron": lambda t: PERCEPTRON.predict(t.rows),
    "perceptron.fit": lambda t: perceptron.fit(t.rows, t.classes),
    "coco_json.tiles": lambda t: coco_json.tiles({"images": [{"id": 1, "height": 9, "width": 9}]}, t.boxes),
    "coco_json.write": lambda t: coco_json.write(t.folder / "a.json", {}, t.masks),
    "dataset.Dataset": lambda t: of_masks(t.masks),
    "dataset.Shapes": lambda t: dataset.Shapes.of_polygons(t.polygons, "coco"),
    "dataset.Table": lambda t: dataset.Table({"id": t.index}),
    "dedupe.Items": lambda t: dedupe.Items([*map(str, range(12))], t.codes),
    "dedupe.find": lambda t: dedupe.find(
        dedupe.Items(["a", "b"], np.zeros((2, 1), np.uint64)), 1, groups=t.index
    ),
    "dedupe.processing_order": lambda t: dedupe.processing_order(["a", "b"], "quality", quality=t.index),
    "densify.blobs": lambda t: densify.blobs(t.labels),
    "densify.evaluate": lambda t: densify.evaluate([t.photo], [np.eye(40, 48, dtype=int)]),
    "densify.fit": lambda t: densify.fit([np.zeros((31, 33, 3), np.uint8)], [t.labels]),
    "densify.predict": lambda t: densify.predict(None, t.photo),
    "densify.write_class_map": lambda t: densify.write_class_map(
        t.folder / "a.png", t.labels, densify.Legend({})
    ),
    "densify.write_probabilities": lambda t: densify.write_probabilities(t.folder / "a.npz", t.energies, [1]),
    "pycocotools.mask.area": lambda t: mask.area(t.boxes),
    "pycocotools.mask.decode": lambda t: mask.decode(t.boxes),
    "pycocotools.mask.frPyObjects": lambda t: mask.frPyObjects(t.boxes, 9, 9),
    "pycocotools.mask.iou": lambda t: mask.iou(t.boxes, t.boxes, [0, 0]),
    "pycocotools.mask.merge": lambda t: mask.merge(t.boxes),
    "pycocotools.mask.toBbox": lambda t: mask.toBbox(t.boxes),
    "show.overlay": lambda t: show.overlay(np.zeros((31, 33)), t.masks),
    "show.to_rgb8": lambda t: show.to_rgb8(t.photo),
    "studies.coast.relabel": lambda t: coast.relabel(t.photo, np.zeros((40, 48), np.uint8)),
    "studies.core.classify": lambda t: core.classify(t.photo, np.zeros((40, 48), np.uint8)),
    "studies.core.evaluate": lambda t: core.evaluate(t.photo, np.zeros((40, 48), np.uint8)),
    "studies.core.logs": lambda t: core.logs(t.labels, None),
    "studies.core.sorting_curve": lambda t: core.sorting_curve(t.numbers, t.numbers),
    "studies.core.write_class_map": lambda t: core.write_class_map(
        t.folder / "a.png", t.labels, core.Legend({})
    ),
    "studies.core.shapes": lambda t: core.shapes(t.labels, None),
    "studies.flakes.fit_shapes": lambda t: flakes.fit_shapes(t.masks, [0, 1, 0, 1]),
    "studies.zircon.measure": lambda t: zircon.measure(t.masks),
    "studies.zircon.polygonize": lambda t: zircon.polygonize(t.labels),
    "Masks.measure": lambda t: t.masks.measure(),
    "Masks.polygons": lambda t: t.masks.polygons(),
    "Masks.crop": lambda t: t.masks.crop(t.windows),
    "Masks.tiles": lambda t: t.masks.tiles(t.boxes),
    "Masks.pad": lambda t: t.masks.pad(1),
    "Masks.shift": lambda t: t.masks.shift(1),
    "Masks.flip": lambda t: t.masks.flip(horizontal=True),
    "Masks.transpose": lambda t: t.masks.transpose(),
    "Masks.components": lambda t: t.masks.components(),
    "Masks.fill_holes": lambda t: t.masks.fill_holes(),
    "Masks.remove_small": lambda t: t.masks.remove_small(3),
    "Masks.dilate": lambda t: t.masks.dilate(1),
    "Masks.erode": lambda t: t.masks.erode(1),
    "Masks.boundary": lambda t: t.masks.boundary(),
    "Polygons.from_lists": lambda t: Polygons.from_lists([[t.rows]]),
    "Polygons.simplify": lambda t: t.polygons.simplify(1),
    "Dataset.select": lambda t: of_masks(t.masks.to("cpu")).select(images=t.index[1:]),
    "Dataset.take": lambda t: of_masks(t.masks.to("cpu")).take(instances=t.index),
    "Dataset": lambda t: Dataset({}, {}, {}, t.masks),
}
"""Not computed there: what is wrong and the way out are told before anything is done."""

WITHOUT = {
    "": "BackendError FormatError __version__ use_backend",
    "coco_json": "CocoFile CocoTiles read",
    "crf": "Trial",
    "dataset": "KINDS LossReport Reference ShapesBuilder objects",
    "dedupe": "CodeTable Duplicates HashedImages ImageHashes chance find_images hash_images leaks stable_keys sweep "
    "write_audit write_report",
    "densify": "ClassMap Columns Labels Legend Model Report Result Score load read_class_map read_labels "
    "write_report",
    "densify.hypercolumns": "TAPS Network",
    "evaluate": "CocoEvaluation evaluate",
    "features": "sigmas",
    "fetch": "FAMILIES FetchError Fetched Published RECORD Resuming Unreachable Unzipped fetch published select unzip",
    "hamming": "TooManyPairs",
    "hashes": "DIHEDRAL Profile from_hex",
    "io": "Format formats read sniff write",
    "patches": "MaskTiles Stats grid",
    "perceptron": "Training",
    "rle": "from_strings",
    "scale": "MOST_TASKS executor",
    "show": "contact_sheet picture",
    "studies.coast": "Agreement Lint Name Pair Quality Relabelled Remap Replay Statistics Step Trial agreement archive "
    "built_in find lint name_of npz4gym pack plots preview quality read read_gym read_records read_remap remap replay "
    "replay_all restore show show_gym stats tiles timeline transfer unpack",
    "studies.core": "ClassMap Classified Labels Legend Scale Scores Shapes read_class_map read_labels",
    "studies.flakes": "Centres ShapeFilter Source assign build classify contrast evaluate fit instances kshot "
    "postprocess read_results read_semantic read_source segment semantic validate",
    "studies.zircon": "Clip agreement clip read_clip sample split tables",
    "vectorize": "Loss Vectorized",
    "Masks": "counts empty from_arrow from_coco from_parquet load offsets sizes",
    "Dataset": "areas category_names check clip detectron2 drop filter from_coco masks merge note remap replace "
    "rows_of_image sample sizes split stats target tile to_arrow to_coco to_pandas",
}
"""They take files, data sets, numbers, names; or are what others return."""


def of_masks(masks: Masks) -> Dataset:
    return Dataset({"height": [31], "width": [33]}, {"name": ["a"]}, {"category": [0] * len(masks)}, masks)


def evaluated(t: SimpleNamespace) -> list[float]:
    evaluator = Evaluator()
    evaluator.update(
        {"masks": t.images, "scores": t.numbers, "labels": t.index[[0, 0, 0, 0]]},
        {"masks": t.masks, "labels": [2] * 4},
    )
    return [*evaluator.compute().stats.values()]


PERCEPTRON = perceptron.fit(np.random.default_rng(0).random((30, 2)), np.arange(30) % 2).snapshots[0]


def test_every_public_name_is_in_one_table():
    listed = [*WORKS, *REFUSED]
    for where, names in WITHOUT.items():
        listed += [f"{where}.{name}".strip(".") for name in names.split()]
    there = [name for name in maskmill.__all__ if name not in PUBLIC]
    for name in PUBLIC:
        module = importlib.import_module(f"maskmill.{name}")
        members = getattr(module, "__all__", [key for key in vars(module) if not key.startswith("_")])
        there += [f"{name}.{member}" for member in members]
    for name, kind in CLASSES.items():
        there += [f"{name}.{member}" for member in dir(kind) if not member.startswith("_")]
    assert sorted(listed) == sorted(there)


on_devices = pytest.mark.parametrize("cupy", ["emulated", "cuda"], indirect=True)


@pytest.fixture
def both(cupy: Any, tmp_path: Path) -> tuple[SimpleNamespace, SimpleNamespace]:
    """Samples on the host and on the device."""
    pair = samples(np.asarray), samples(cupy.asarray)
    for sample in pair:
        sample.folder = tmp_path
    return pair


def plain(found: Any, cupy: Any, *, on_gpu: bool) -> Any:
    """Results as lists; arrays must be where the arguments were."""
    if isinstance(found, Masks):
        return plain(found._arrays[:2], cupy, on_gpu=on_gpu) + found.sizes.tolist()
    if isinstance(found, tuple | list):
        return [plain(part, cupy, on_gpu=on_gpu) for part in found]
    if hasattr(found, "dtype") and hasattr(found, "shape"):
        assert isinstance(found, cupy.ndarray if on_gpu else np.ndarray)
        return [str(found.dtype), (found.get() if on_gpu else found).tolist()]
    return found


@on_devices
@pytest.mark.parametrize("name", WORKS)
def test_what_works_there_gives_the_results_of_the_host(both, cupy, name):
    host, there = both
    expected = plain(WORKS[name](host), cupy, on_gpu=False)
    assert plain(WORKS[name](there), cupy, on_gpu=True) == expected


@on_devices
@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_says_why_and_what_to_do(both, name):
    with pytest.raises((BackendError, TypeError)) as error:
        REFUSED[name](both[1])
    text = str(error.value)
    assert re.search(r"GPU.*to the host|on the host, not on a GPU", text), text
    assert re.search(r"\.get\(\)|\.to\('cpu'\)|bring the image", text), text
    assert "\n" not in text


class Tensor:
    """As much of a tensor of torch as is looked at."""

    def __init__(self, array: np.ndarray, device: int, fault: Exception | None = None) -> None:
        self.array, self.device, self.fault, self.dtype = array, device, fault, array.dtype

    @property
    def __cuda_array_interface__(self) -> Any:
        raise self.fault or AttributeError("not on a GPU")

    def __dlpack_device__(self) -> tuple[int, int]:
        if self.device < 0:
            raise ValueError("Unknown device type mps for Dlpack")
        return self.device, 0

    def __dlpack__(self, **options: Any) -> Any:
        raise self.fault or AssertionError

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        if self.device != 1:
            raise TypeError(
                "can't convert to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
            )
        return self.array


def test_tensors(monkeypatch):
    images = np.ones((1, 2, 3), bool)
    assert Masks.encode(Tensor(images, 1)).device == "cpu"
    assert not is_on_gpu(Tensor(images, -1))
    with pytest.raises(TypeError, match="Tensor.cpu"):
        Masks.encode(Tensor(images, -1))
    with fake_cupy.pretended() as cupy:
        gradient = BufferError("Can't export tensors that require gradient, use tensor.detach()")

        def from_dlpack(value: Tensor) -> Any:
            return value.__dlpack__() if value.fault else cupy.asarray(value.array)

        monkeypatch.setattr(cupy, "from_dlpack", from_dlpack)
        assert Masks.encode(Tensor(images, 2)).device == "cuda"
        with pytest.raises(
            TypeError, match=r"^CuPy cannot take this Tensor of bool \(.*; of a tensor .*detach"
        ):
            Masks.encode(Tensor(images, 2, gradient))


@on_devices
def test_what_models_give(cupy):
    for there in (np.asarray, cupy.asarray):
        with pytest.raises(
            TypeError, match=r"not float32; compare first, as in array > 0.5 \(of logits: array > 0\)$"
        ):
            Masks.encode(there(np.ones((2, 3, 4), np.float32)))
        with pytest.raises(ValueError, match=r"^images must be 2-D or 3-D, not 4-D; images\[:, 0\] takes "):
            rle.encode(there(np.ones((2, 1, 3, 4), bool)))


MIXED: dict[str, Callable[[SimpleNamespace, SimpleNamespace], Any]] = {
    "out": lambda a, b: a.masks.decode(out=b.place(np.zeros((4, 31, 33), np.uint8))),
    "labels": lambda a, b: a.masks.labels(out=b.place(np.zeros((31, 33), int))),
    "iou": lambda a, b: a.masks.iou(b.masks),
    "intersection": lambda a, b: a.masks.intersection_area(b.masks),
    "or": lambda a, b: a.masks | b.masks,
    "equal": lambda a, b: a.masks == b.masks,
    "concatenate": lambda a, b: Masks.concatenate([a.masks, b.masks]),
    "runs": lambda a, b: overlap.iou(a.runs, b.runs),
    "pairs": lambda a, b: setops.pairs(a.runs, b.runs),
    "codes": lambda a, b: hamming.nearest(a.codes, b.codes),
    "extract": lambda a, b: patches.extract(
        a.gray[0], [[0, 4, 0, 4]], out=b.place(np.zeros((1, 4, 4), np.uint8))
    ),
}


@on_devices
@pytest.mark.parametrize("call", MIXED)
def test_nothing_is_moved_to_what_is_elsewhere(both, call):
    for a, b in (both, both[::-1]):
        with pytest.raises(
            ValueError, match=r"on one device; masks.to|all on the host or all on a GPU; cupy.asarray"
        ):
            MIXED[call](a, b)


ON_HOST: dict[str, Call] = {
    "iscrowd": lambda t: t.host.masks.iou(t.host.masks, t.flags),
    "sizes of masks": lambda t: Masks(*t.runs[:2], t.place(np.array([[31, 33]] * 4))),
    "sizes of polygons": lambda t: Masks.from_polygons(t.polygons, t.place(np.array([31, 33]))),
    "groups": lambda t: t.masks.merge(t.place(np.array([0, 4]))),
    "group_sizes": lambda t: setops.merge(*t.runs, [0, 4], t.place(np.array([31, 33]))),
    "empty": lambda t: Masks.empty(t.place(np.array([[31, 33]]))),
    "boxes": lambda t: t.host.masks.crop(t.windows),
    "radius": lambda t: t.host.masks.boundary(t.index),
    "scale": lambda t: t.host.masks.measure(scale=t.numbers),
    "max_distance": lambda t: t.host.masks.polygons(max_distance=t.numbers),
    "tolerance": lambda t: t.host.polygons.simplify(t.numbers),
    "weight": lambda t: crf.mean_field(t.host.energies[0], [(np.zeros((6, 1)), t.place(np.eye(5)))]),
    "values": lambda t: crf.Pairs(np.zeros((4, 1))).filter(t.place(np.ones((1, 4)))),
    "ids": lambda t: densify.write_probabilities(t.folder / "a.npz", t.host.energies, t.index),
}


@on_devices
@pytest.mark.parametrize("call", ON_HOST)
def test_small_arguments_that_are_to_be_on_the_host(both, call):
    host, there = both
    there.host = host
    with pytest.raises(
        TypeError, match=r" must be on the host, not on a GPU; array.get\(\), tensor.cpu\(\) or "
    ):
        ON_HOST[call](there)
