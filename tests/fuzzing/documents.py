"""COCO's JSON files, valid and mutilated, read and evaluated."""

from __future__ import annotations

import contextlib
import io
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.masks import check_masks
from fuzzing.rubbish import NUMBERS, attempt
from maskmill import FormatError, coco_json
from maskmill.pycocotools.coco import COCO
from maskmill.pycocotools.cocoeval import COCOeval


def document(rng: random.Random, results: bool) -> Any:
    def value(key: str) -> Any:
        if rng.random() < 0.04:
            return rng.choice([*NUMBERS, None, True, "1", [], {}, [[]], -0.0, "\ud800", "é\n", [[[[]]]]])
        return {
            "id": rng.randrange(1, 30),
            "image_id": rng.randrange(1, 4),
            "category_id": rng.randrange(1, 3),
            "area": rng.choice([5, 2000, 1e5, 0.5]),
            "iscrowd": int(rng.random() < 0.2),
            "bbox": [rng.randrange(0, 20), rng.uniform(0, 20), rng.randrange(0, 20), rng.uniform(0, 20)],
            "score": rng.choice([0.5, rng.random(), 1, 0]),
            "segmentation": rng.choice(
                [
                    [[rng.uniform(0, 20) for _ in range(rng.choice([6, 8, 20]))]],
                    {"size": [20, 20], "counts": rng.choice(["P<", "X1d0P:", "0P<", "P", "\\"])},
                    {"size": [20, 20], "counts": [rng.randrange(0, 200), 100, 200]},
                ]
            ),
            "keypoints": [rng.randrange(0, 20) for _ in range(51)],
            "num_keypoints": rng.randrange(0, 17),
            "extra": {"a": [1, {"b": None}]},
        }[key]

    keys = ["id", "image_id", "category_id", "area", "iscrowd", "bbox", "score", "segmentation", "keypoints"]
    rows = []
    for _ in range(rng.randrange(0, 12)):
        row = {key: value(key) for key in [*keys, "num_keypoints", "extra"] if rng.random() < 0.97}
        rows.append(row if rng.random() < 0.98 else 5)
    if results:
        return rows
    images = [{"id": i, "height": 20, "width": 20} for i in range(1, 4)]
    return {
        "info": {},
        "images": images,
        "annotations": rows,
        "categories": [{"id": 1, "name": "a"}, {"id": 2}],
    }


def mutated(rng: random.Random, text: bytes) -> bytes:
    out = bytearray(text)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 5])):
        at = rng.randrange(len(out) + 1)
        kind = rng.random()
        if kind < 0.3:
            out[at : at + rng.randrange(1, 4)] = b""
        elif kind < 0.6:
            out[at:at] = rng.choice(
                [b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b"-", b"0", b"e9", b"\x00", b"\xff"]
            )
        elif kind < 0.7:
            out[at:at] = b"[" * rng.choice([3, 600, 20000])
        elif kind < 0.8:
            del out[at:]
        else:
            out[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(out)


def try_json(rng: random.Random) -> None:
    paths = []
    for name, results in (("gt", False), ("dt", True)):
        text = json.dumps(
            document(rng, results), ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1])
        )
        path = Path(tempfile.gettempdir()) / f"{name}.json"
        path.write_bytes(mutated(rng, text.encode("utf-8", "surrogatepass")))
        paths.append(path)
        try:
            file = coco_json.read(path)
        except FormatError as error:
            if path.name not in str(error):
                raise
            continue
        expected = json.loads(path.read_bytes())  # what we read, Python can read
        rows = expected if file.is_results else expected.get("annotations", [])
        if isinstance(rows, list):
            assert len(file) == len(rows)
            for i in range(len(rows)):
                found, row = file.dict(i) if isinstance(rows[i], dict) else rows[i], rows[i]
                assert found == row or found != found, (found, row)
        check_masks(attempt(file.masks, None, (20, 20)))

    def evaluate(iou: str) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            gt = COCO(str(paths[0]))
            ev = COCOeval(gt, gt.loadRes(str(paths[1])), iou)
            ev.evaluate()
            ev.accumulate()
            ev.summarize()
        return [ev.stats, ev.eval["precision"], [e and e["dtMatches"] for e in ev.evalImgs]]

    with np.errstate(all="ignore"):
        for iou in ("bbox", "segm", "keypoints"):
            # Documents of odd shapes fail in pycocotools' own words, whatever these are.
            with contextlib.suppress(AttributeError, NameError, RecursionError):
                attempt(evaluate, iou)
