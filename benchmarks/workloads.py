"""The inputs: real data where there are some, scaled up deterministically, and synthetic twins where there are none.

Real data are read from the folder MASKMILL_DATA (see README.md); every workload says what it was made from.
"""

from __future__ import annotations

import functools
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskmill import Masks, coco_json
from maskmill.polygons import Polygons


def folder() -> Path | None:
    """Where real data are, or None."""
    named = os.environ.get("MASKMILL_DATA")
    path = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if path.is_dir():
        return path
    if named:
        raise FileNotFoundError(2, "MASKMILL_DATA is no folder", named)
    return None


@dataclass(frozen=True)
class Workload:
    """An input with a name; `make` gets the folder of real data, or None for the twin."""

    name: str
    make: Callable[[Path | None], Any]
    real: str | None = None  # what of the folder it is made from
    quick: bool = False
    small: bool = False  # small enough for the Numba twins

    @property
    def _folder(self) -> Path | None:
        found = folder()
        return found if found and self.real and (found / self.real).exists() else None

    @property
    def source(self) -> str:
        if self.real is None:
            return "synthetic"
        return self.real if self._folder else f"synthetic twin of {self.real}"

    def value(self) -> Any:
        return _value(self, self._folder)


@functools.lru_cache(maxsize=4)
def _value(workload: Workload, data: Path | None) -> Any:
    return workload.make(data)


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(20260000 + seed)


# Masks


class Stack:
    """Masks of one size, in every form that somebody takes."""

    def __init__(self, masks: Masks) -> None:
        self.masks = Masks.concatenate([masks])  # slices share the runs of all
        self.n = len(masks)
        self.height, self.width = masks.sizes[0].tolist()

    @functools.cached_property
    def nhw(self) -> np.ndarray:
        """(N, H, W) uint8, columns first in memory."""
        return self.masks.decode()

    @functools.cached_property
    def hwn(self) -> np.ndarray:
        """(H, W, N) uint8, Fortran-ordered as pycocotools wants it; the memory of `nhw`."""
        return self.nhw.transpose(1, 2, 0)

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """(N, H, W) uint8, rows first in memory, as NumPy users have it."""
        return np.ascontiguousarray(self.nhw)

    @functools.cached_property
    def rles(self) -> list[dict[str, Any]]:
        return self.masks.to_coco()


def ellipses(n: int, height: int, width: int, low: float, high: float, seed: int = 0) -> Masks:
    """n ellipses with half axes of low to high times the image's sides, anywhere in the image."""
    rng = _rng(seed)
    parts = []
    y, x = np.mgrid[:height, :width]
    for _ in range(n):
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        ry, rx = rng.uniform(low, high) * height, rng.uniform(low, high) * width
        image = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        parts.append(Masks.encode(image))
    return Masks.concatenate(parts)


def noise(n: int, height: int, width: int, seed: int = 1) -> Masks:
    """Blocky noise with speckles: the worst that run lengths meet."""
    rng = _rng(seed)
    blocks = rng.random((n, -(-height // 8), -(-width // 8))).repeat(8, 1).repeat(8, 2)[:, :height, :width]
    return Masks.encode((blocks < 0.5) ^ (rng.random((n, height, width)) < 0.02))


def _coco_stack(data: Path | None, n: int) -> Stack:
    """The first n masks on images of 480 x 640."""
    if data is None:
        return Stack(ellipses(n, 480, 640, 0.02, 0.3))
    masks = coco_json.read(data / "coco/val2014_100/instances_val2014_100.json").masks()
    masks = masks[np.flatnonzero((masks.sizes == [480, 640]).all(1))]
    return Stack(masks[np.arange(n) % len(masks)])


COCO = "coco/val2014_100"
ONE_SMALL = Workload("1 of 32 x 32", lambda _: Stack(ellipses(1, 32, 32, 0.3, 0.3)), quick=True, small=True)
ONE = Workload(
    "1 of 480 x 640", lambda data: Stack(_coco_stack(data, 8).masks[7:8]), COCO, quick=True, small=True
)
MANY = Workload("200 of 480 x 640", lambda data: _coco_stack(data, 200), COCO)
NOISE = Workload("20 of 480 x 640, noise", lambda _: Stack(noise(20, 480, 640)))
STACKS = (ONE_SMALL, ONE, MANY, NOISE)


# Pairs of sets of masks


def _rocks(data: Path | None, n: int) -> tuple[Masks, Masks]:
    """n ground truths and n detections of one image of 1,024 x 1,280."""
    if data is None:
        return ellipses(n, 1024, 1280, 0.004, 0.02, 2), ellipses(n, 1024, 1280, 0.004, 0.02, 3)
    sets = []
    for name in ("eval_all_coco.json", "dt_derived.json"):
        file = coco_json.read(data / "coco/dense_3img" / name)
        rows = np.flatnonzero(file.columns["image_id"] == 0)[:n]
        sets.append(file.masks(rows, sizes=(1024, 1280)))
    return sets[0], sets[1]


ROCKS = Workload("1,000 x 1,000 of a dense image", lambda data: _rocks(data, 1000), "coco/dense_3img")
OVERLAPPING = Workload(
    "1,000 x 1,000 large of 480 x 640",
    lambda _: (ellipses(1000, 480, 640, 0.1, 0.4, 4), ellipses(1000, 480, 640, 0.1, 0.4, 5)),
)
FEW = Workload(
    "20 x 20 of 480 x 640",
    lambda data: (_coco_stack(data, 20).masks, Stack(_coco_stack(data, 40).masks[20:]).masks),
    COCO,
    quick=True,
    small=True,
)
PAIR_SMALL = Workload(
    "1 x 1 of 32 x 32",
    lambda _: (ellipses(1, 32, 32, 0.3, 0.3), ellipses(1, 32, 32, 0.3, 0.3, 6)),
    quick=True,
    small=True,
)
PAIRS = (PAIR_SMALL, FEW, ROCKS, OVERLAPPING)


# Label images


def _nuclei(data: Path | None, n: int | None) -> list[np.ndarray]:
    if data is None:
        return _nuclei_twin(n or 664)
    import cv2

    files = sorted((data / "dsb2018/labels").glob("*.png"))[:n]
    return [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]


def _nuclei_twin(n: int) -> list[np.ndarray]:
    rng = _rng(7)
    images = []
    for i in range(n):
        height, width = [(256, 256), (256, 320), (360, 360), (520, 696)][i % 4]
        labels = np.zeros((height, width), np.uint16)
        for value in range(1, int(rng.integers(10, 80))):
            r = int(rng.integers(4, 14))
            cy, cx = int(rng.integers(r, height - r)), int(rng.integers(r, width - r))
            y, x = np.ogrid[-r : r + 1, -r : r + 1]
            labels[cy - r : cy + r + 1, cx - r : cx + r + 1][y * y + x * x <= r * r] = value
        images.append(labels)
    return images


def _crowd(_: Path | None) -> list[np.ndarray]:
    """One image of 2,048 x 2,048 with 4,096 instances."""
    y, x = np.mgrid[:2048, :2048]
    inside = (y % 32 - 16) ** 2 + (x % 32 - 16) ** 2 < 180
    return [np.where(inside, (y // 32) * 64 + x // 32 + 1, 0).astype(np.uint16)]


NUCLEI_FEW = Workload(
    "20 label images of nuclei", lambda data: _nuclei(data, 20), "dsb2018", quick=True, small=True
)
NUCLEI = Workload("664 label images, 29 k nuclei", lambda data: _nuclei(data, None), "dsb2018")
CROWD = Workload("1 label image, 4,096 instances", _crowd)
LABELS = (NUCLEI_FEW, NUCLEI, CROWD)


def _grains(n: int, height: int, width: int) -> np.ndarray:
    """Grains of 25 to 150 pixels with rough outlines, which do not overlap."""
    rng = _rng(14)
    labels = np.zeros((height, width), np.uint16)
    y, x = np.mgrid[:height, :width]
    value = 1
    while value <= n:
        cy, cx, turn = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0, np.pi)
        half = rng.uniform(12, 70)
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        angle = np.arctan2(v, u)
        rough = 1 + 0.08 * np.sin(5 * angle + turn) + 0.04 * np.sin(17 * angle)
        grain = np.hypot(u / half, v / (half * rng.uniform(0.35, 0.9))) < rough
        if grain.sum() > 200 and not labels[grain].any():
            labels[grain] = value
            value += 1
    return labels


GRAINS_FEW = Workload("5 grains of 256 x 320", lambda _: _grains(5, 256, 320), quick=True, small=True)
GRAINS = Workload("60 grains of 1,024 x 1,280", lambda _: _grains(60, 1024, 1280))


# Photographs whose pixels are to be classified


def _photo(height: int, width: int) -> np.ndarray:
    """Smooth fields, edges and noise, (height, width, 3) uint8."""
    rng = _rng(21)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(y / p) + np.cos(x / q) for p, q in rng.uniform(5, 90, (3, 2))], axis=-1)
    return (120 + 50 * waves + rng.normal(0, 8, waves.shape)).clip(0, 255).astype(np.uint8)


def _core_photo(data: Path | None) -> np.ndarray:
    if data is None:
        return _photo(2693, 396)
    import cv2

    return np.ascontiguousarray(cv2.imread(str(next((data / "cores").glob("*.jpg"))))[..., ::-1])


COAST = Workload("photo of 306 x 172", lambda _: _photo(306, 172), quick=True, small=True)
CORE = Workload("core of 2,693 x 396", _core_photo, "cores")


# Polygons


def star(rng: np.random.Generator, vertices: int, height: int, width: int) -> np.ndarray:
    """A ragged ring of that many vertices, (K, 2), with two decimals as COCO has them."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, vertices))
    radius = rng.lognormal(3.3, 0.7) * rng.uniform(0.6, 1, vertices)
    centre = rng.uniform((0, 0), (width, height))
    ring = centre + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.clip(ring, 0, [width, height]).round(2)


def _polygons(data: Path | None, n: int) -> list[list[list[float]]]:
    """n masks of one ring of 10 to 60 vertices each, for images of 480 x 640."""
    rng = _rng(8)
    if data is None:
        return [[star(rng, int(rng.integers(10, 61)), 480, 640).ravel().tolist()] for _ in range(n)]
    file = json.loads((data / COCO / "instances_val2014_100.json").read_bytes())
    rings = [
        np.asarray(ring, float).reshape(-1, 2)
        for row in file["annotations"]
        if isinstance(row["segmentation"], list)
        for ring in row["segmentation"]
        if 20 <= len(ring) <= 120
    ]
    moved = (rings[i % len(rings)] + rng.integers(-20, 21, 2) for i in range(n))
    return [[np.clip(ring, 0, [640, 480]).round(2).ravel().tolist()] for ring in moved]


ONE_POLYGON = Workload("1 polygon", lambda data: _polygons(data, 1), COCO, quick=True, small=True)
POLYGONS_FEW = Workload("100 polygons", lambda data: _polygons(data, 100), COCO, quick=True, small=True)
POLYGONS = (
    ONE_POLYGON,
    POLYGONS_FEW,
    Workload("1,000 polygons", lambda data: _polygons(data, 1000), COCO),
    Workload("10,000 polygons", lambda data: _polygons(data, 10_000), COCO),
)


class Outlines:
    """One ring per mask, on images of any sizes."""

    def __init__(self, polygons: Polygons, sizes: np.ndarray) -> None:
        self.polygons, self.sizes = polygons, np.ascontiguousarray(sizes, np.int64)

    def each(self) -> list[tuple[np.ndarray, tuple[int, int]]]:
        sizes = map(tuple, self.sizes.tolist())
        return [(rings[0], size) for rings, size in zip(self.polygons, sizes, strict=True)]


def _emps(data: Path | None, n: int | None) -> Outlines:
    """What people drew with VIA around particles on electron micrographs, or stars of as many vertices."""
    if data is None:
        rng = _rng(15)
        rings = [[star(rng, int(rng.integers(6, 34)), 512, 680)] for _ in range(n or 10_962)]
        return Outlines(Polygons.from_lists(rings), np.full((len(rings), 2), (512, 680)))
    from .fill_rules import outlines, pictures

    found = Outlines(*outlines(pictures(data / "via/emps")))
    return Outlines(Polygons.from_lists(list(found.polygons)[:n]), found.sizes[:n])


OUTLINES = (
    Workload("100 of VIA", lambda data: _emps(data, 100), "via/emps", quick=True, small=True),
    Workload("10,962 of VIA", lambda data: _emps(data, None), "via/emps"),
)


# Boxes


def _boxes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two times n boxes (x, y, width, height) on an image of 480 x 640."""
    rng = _rng(9)
    boxes = rng.uniform((0, 0, 5, 5), (500, 400, 140, 80), (2, n, 4)).round(2)
    return boxes[0], boxes[1]


BOXES = (
    Workload("1 x 1 boxes", lambda _: _boxes(1), quick=True, small=True),
    Workload("100 x 100 boxes", lambda _: _boxes(100), quick=True, small=True),
    Workload("1,000 x 1,000 boxes", lambda _: _boxes(1000)),
)


# COCO files


@dataclass(frozen=True)
class Files:
    """Ground truth and results on disk; the folder goes when Python does."""

    ground_truth: Path
    results: dict[str, Path]  # by kind: bbox, segm, keypoints


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="maskmill-bench-")


def _instances(data: Path | None) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Ground truth, detections with masks and detections with boxes, of 100 images."""
    if data is None:
        return _instances_twin()
    names = (
        "instances_val2014_100.json",
        "instances_val2014_fakesegm100_results.json",
        "instances_val2014_fakebbox100_results.json",
    )
    gt, segm, bbox = (json.loads((data / COCO / name).read_bytes()) for name in names)
    return gt, segm, bbox


def _instances_twin() -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    rng = _rng(10)
    images = [{"id": i + 1, "height": 480, "width": 640, "file_name": f"{i}.jpg"} for i in range(100)]
    rings = [star(rng, int(rng.integers(10, 61)), 480, 640) for _ in range(840)]
    masks = Masks.from_polygons([[ring] for ring in rings], (480, 640))
    rows = []
    for i, ring in enumerate(rings):
        crowd = i % 100 == 99
        segmentation: Any = [ring.ravel().tolist()]
        if crowd:
            runs = masks.counts[masks.offsets[i] : masks.offsets[i + 1]]
            segmentation = {"size": [480, 640], "counts": runs.tolist()}
        row = {"id": i + 1, "image_id": i % 100 + 1, "category_id": int(rng.integers(1, 81))}
        row |= {"iscrowd": int(crowd), "area": float(masks.area[i]), "bbox": masks.bbox[i].tolist()}
        rows.append(row | {"segmentation": segmentation})
    categories = [{"id": i, "name": f"class {i}"} for i in range(1, 81)]
    truth = {"info": {}, "images": images, "annotations": rows, "categories": categories}
    found = rng.permutation(840)[:734]
    guessed = [[rings[i] + rng.normal(0, 4, 2)] for i in found]
    guesses = Masks.from_polygons(guessed, (480, 640))
    segm, bbox = [], []
    for k, (i, rle, box) in enumerate(zip(found, guesses.to_coco(text=True), guesses.bbox, strict=True)):
        common = {"image_id": rows[i]["image_id"], "category_id": rows[i]["category_id"]}
        score = round(1 - k / 800, 3)
        segm.append(common | {"segmentation": rle, "score": score})
        bbox.append(common | {"bbox": box.tolist(), "score": score})
    return truth, segm, bbox


def _scaled(data: Path | None, copies: int, boxes: int) -> Files:
    """Every image `copies` times, every box detection `boxes` times each with a jitter of 5 %, scores at random."""
    truth, segm, bbox = _instances(data)
    rng = _rng(11)

    def moved(row: dict[str, Any], copy: int) -> dict[str, Any]:
        return row | {"image_id": row["image_id"] + copy * 1_000_000}

    images = [i | {"id": i["id"] + c * 1_000_000} for c in range(copies) for i in truth["images"]]
    rows = [moved(row, c) for c in range(copies) for row in truth["annotations"]]
    rows = [row | {"id": i + 1} for i, row in enumerate(rows)]
    segm = [moved(row, c) for c in range(copies) for row in segm]
    bbox = [moved(row, c) for c in range(copies) for row in bbox for _ in range(boxes)]
    if copies > 1:
        scores = rng.random(len(segm)).round(3).tolist()
        segm = [row | {"score": score} for row, score in zip(segm, scores, strict=True)]
        jitter = rng.normal(0, 0.05, (len(bbox), 4))
        scores = rng.random(len(bbox)).round(3).tolist()
        for k in rng.permutation(len(bbox)):
            x, y, w, h = bbox[k]["bbox"]
            a, b, c, d = jitter[k].tolist()
            box = [round(v, 2) for v in (x + a * w, y + b * h, w * (1 + c), h * (1 + d))]
            bbox[k] = bbox[k] | {"bbox": box, "score": scores[k]}
        bbox = [bbox[k] for k in rng.permutation(len(bbox))]
    truth = truth | {"images": images, "annotations": rows}
    return _written(f"instances-{copies}", truth, {"segm": segm, "bbox": bbox})


def _keypoints(data: Path | None, copies: int) -> Files:
    """People with 17 points each, on `copies` images."""
    if data is not None:
        truth = json.loads((data / "coco/keypoints/gt_dataset.json").read_bytes())
        results = json.loads((data / "coco/keypoints/dt_dataset.json").read_bytes())
    else:
        truth, results = _keypoints_twin()
    scores = _rng(12).random((copies, len(results))).round(3)
    first = truth["images"][0]
    images = [first | {"id": c + 1} for c in range(copies)]
    rows = [row | {"image_id": c + 1} for c in range(copies) for row in truth["annotations"]]
    rows = [row | {"id": i + 1} for i, row in enumerate(rows)]
    found = [
        row | {"image_id": c + 1, "score": float(scores[c, k])}
        for c in range(copies)
        for k, row in enumerate(results)
    ]
    truth = truth | {"images": images, "annotations": rows}
    return _written(f"keypoints-{copies}", truth, {"keypoints": found})


def _keypoints_twin() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    rng = _rng(13)
    rows, found = [], []
    for i in range(14):
        points = rng.uniform((0, 0), (640, 480), 2) + rng.normal(0, 30, (17, 2))
        seen = rng.integers(0, 3, 17)
        low, size = points.min(0), np.ptp(points, axis=0)
        row = {"id": i + 1, "image_id": 1, "category_id": 1, "iscrowd": 0}
        row |= {"keypoints": np.column_stack([points, seen]).round().ravel().tolist()}
        row |= {"num_keypoints": int((seen > 0).sum()), "area": float(size.prod() / 2)}
        rows.append(row | {"bbox": [*low.tolist(), *size.tolist()]})
        for _ in range(9):
            near = np.column_stack([points + rng.normal(0, 8, (17, 2)), np.ones(17)])
            found.append({"image_id": 1, "category_id": 1, "keypoints": near.round(2).ravel().tolist()})
    categories = [{"id": 1, "name": "person", "keypoints": [], "skeleton": []}]
    images = [{"id": 1, "height": 480, "width": 640, "file_name": "0.jpg"}]
    return {"info": {}, "images": images, "annotations": rows, "categories": categories}, found


def _written(name: str, truth: dict[str, Any], results: dict[str, list[Any]]) -> Files:
    place = Path(_scratch().name)
    files = Files(place / f"{name}-gt.json", {kind: place / f"{name}-{kind}.json" for kind in results})
    files.ground_truth.write_text(json.dumps(truth))
    for kind, path in files.results.items():
        path.write_text(json.dumps(results[kind]))
    return files


FILES_FEW = Workload("100 images", lambda data: _scaled(data, 1, 1), COCO, quick=True, small=True)
FILES = Workload("5,000 images", lambda data: _scaled(data, 50, 14), COCO)
PEOPLE_FEW = Workload("10 images", lambda data: _keypoints(data, 10), "coco/keypoints", quick=True)
PEOPLE = Workload("500 images", lambda data: _keypoints(data, 500), "coco/keypoints")


def flat(polygons: list[list[list[float]]]) -> Polygons:
    return Polygons.from_lists(polygons)
