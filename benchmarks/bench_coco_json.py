"""coco_json: COCO files <-> columns. Rivals make dicts; those who evaluate are measured in bench_evaluate.py."""

from __future__ import annotations

import json

from maskmill import coco_json

from . import rivals
from .measure import OURS, Cases, Race, Settings
from .workloads import FILES, FILES_FEW, Files

CASES = Cases("coco_json", needs_core=True)


@CASES.add("coco_json_read, ground truth", FILES_FEW, FILES)
def read(files: Files, settings: Settings) -> Race:
    race = Race(read=files.ground_truth.stat().st_size)
    race.add(OURS, lambda: coco_json.read(files.ground_truth), lambda file: file.columns["bbox"])
    rivals.enter(race, settings, "coco_json_read", files.ground_truth)
    return race


@CASES.add("coco_json_read, boxes", FILES_FEW, FILES)
def read_boxes(files: Files, settings: Settings) -> Race:
    path = files.results["bbox"]
    race = Race(read=path.stat().st_size)
    race.add(OURS, lambda: coco_json.read(path), lambda file: file.columns["bbox"])
    rivals.enter(race, settings, "coco_json_read", path)
    return race


@CASES.add("coco_json_masks", FILES_FEW, FILES)
def masks(files: Files, settings: Settings) -> Race:
    """Masks of all annotations, polygons filled; rivals do it within evaluation."""
    file = coco_json.read(files.ground_truth)
    race = Race()
    race.add(OURS, file.masks, len)
    return race


@CASES.add("coco_json_write, boxes", FILES_FEW, FILES)
def write(files: Files, settings: Settings) -> Race:
    path = files.results["bbox"]
    out = path.with_name("written.json")
    columns = coco_json.read(path).columns
    columns = {name: columns[name] for name in ("image_id", "category_id", "bbox", "score")}
    race = Race(written=path.stat().st_size)
    race.add(OURS, lambda: coco_json.write(out, columns), lambda _: coco_json.read(out).columns["bbox"])
    rivals.enter(race, settings, "coco_json_write", json.loads(path.read_bytes()), out)
    return race
