"""Throw rubbish at everything that takes user data, until a time is up.

    .ci/fuzz 10             ten minutes, with the core built under AddressSanitizer and UBSan
    python tests/fuzz.py --minutes 1 --only polygons --seed 7

Nothing may crash or hang, and nothing may come out that is not what its contract says: masks that come out are checked
to be valid, what is read is compared with Python's own json module, and a call gives twice the same. Exceptions that
are declared are the normal case. Every round has a seed of its own, which is printed when something is found; if the
timer ends a round, its seed stands in the file maskmill-fuzz-round of the temporary folder.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import io
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from maskmill import FormatError, Masks, coco_json
from maskmill.pycocotools import mask as api
from maskmill.pycocotools.coco import COCO
from maskmill.pycocotools.cocoeval import COCOeval

DECLARED = (ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError, AssertionError)
SLOW = 60
"""Seconds after which a round is taken to hang."""

NUMBERS = [
    0,
    1,
    -1,
    2,
    5,
    31,
    32,
    33,
    64,
    255,
    256,
    1e-9,
    0.5,
    -0.5,
    2.5,
    1e4,
    -1e4,
    4e8,
    5e8,
    -5e8,
    1e10,
    1e18,
    1e300,
]
NUMBERS += [-1e300, 5e-324, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64]
NOT_NUMBERS = [float("nan"), float("inf"), float("-inf"), None, True, "1", "", b"", [], {}, [[]], 1j]


def sizes(rng: random.Random) -> list[Any]:
    if rng.random() < 0.9:
        return [rng.randrange(0, 40), rng.randrange(0, 40)]
    return [rng.choice(NUMBERS + NOT_NUMBERS) for _ in range(rng.choice([0, 1, 2, 2, 2, 3]))]


def string(rng: random.Random, size: list[Any]) -> bytes | str:
    kind = rng.random()
    if (
        kind < 0.5
        and all(type(s) is int for s in size)
        and len(size) == 2
        and min(size) >= 0
        and max(size) < 50
    ):
        image = np.random.default_rng(rng.randrange(2**32)).random(size) < rng.random()
        text = api.encode(np.asfortranarray(image))["counts"] or b""
        if kind < 0.3:
            return text
        text = bytearray(text)
        for _ in range(rng.randrange(1, 4)):
            if text:
                text[rng.randrange(len(text))] = rng.randrange(256)
        return bytes(text[: rng.randrange(len(text) + 1)] if rng.random() < 0.3 else text)
    if kind < 0.9:
        return bytes(rng.randrange(48, 112) for _ in range(rng.randrange(0, 30)))
    return "".join(chr(rng.choice([48, 80, 111, 0, 10, 233, 0x1F600])) for _ in range(rng.randrange(0, 9)))


def counts(rng: random.Random, size: list[Any]) -> Any:
    n = rng.randrange(0, 12)
    if rng.random() < 0.6 and len(size) == 2 and all(type(s) is int and 0 <= s < 50 for s in size):
        cuts = sorted(rng.randrange(size[0] * size[1] + 1) for _ in range(n))
        values: list[Any] = [b - a for a, b in zip([0, *cuts], [*cuts, size[0] * size[1]], strict=True)]
    else:
        values = [
            rng.choice(NUMBERS + NOT_NUMBERS) if rng.random() < 0.2 else rng.randrange(0, 300)
            for _ in range(n)
        ]
    if values and rng.random() < 0.3:
        values[rng.randrange(len(values))] = rng.choice(NUMBERS)
    return rng.choice([list, tuple, lambda v: v])(values)


def rle(rng: random.Random) -> Any:
    size = sizes(rng)
    made: dict[str, Any] = {
        "size": size,
        "counts": string(rng, size) if rng.random() < 0.8 else counts(rng, size),
    }
    if rng.random() < 0.03:
        del made[rng.choice(list(made))]
    return made if rng.random() < 0.98 else rng.choice(NOT_NUMBERS)


def rles(rng: random.Random) -> list[Any]:
    made = [rle(rng) for _ in range(rng.randrange(0, 5))]
    if made and isinstance(made[0], dict) and "size" in made[0] and rng.random() < 0.6:
        for other in made[1:]:
            if isinstance(other, dict):
                other["size"] = made[0]["size"]
    return made


def too_big(objs: Any) -> bool:
    """Whether decoding would only ask for more memory than there is."""
    pixels = 1
    with contextlib.suppress(Exception):
        pixels = int(objs[0]["size"][0]) * int(objs[0]["size"][1])
    return pixels > 10**7


def ring(rng: random.Random) -> Any:
    n = rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 40])
    scale = rng.choice([10, 40, 40, 40, 1000, 1e6, 4e8])
    points: list[Any] = [rng.uniform(-scale / 4, scale) for _ in range(n)]
    if rng.random() < 0.3:
        points = [round(p) for p in points]
    if points and rng.random() < 0.2:
        points[rng.randrange(len(points))] = rng.choice(NUMBERS if rng.random() < 0.6 else NOT_NUMBERS)
    return (
        points
        if rng.random() < 0.9
        else rng.choice([np.array(points, object), tuple(points), [points], "text", None])
    )


# What is tried


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def attempt(function: Callable[..., Any], *args: Any) -> Any:
    """The result, or the declared exception's text; the same when it is done again."""

    def once() -> Any:
        try:
            return function(*args)
        except DECLARED as error:
            return f"{type(error).__name__}: {error}"
        except Exception as error:
            if type(error) is Exception:  # as pycocotools raises them
                return f"Exception: {error}"
            raise

    first, second = once(), once()
    assert same(first, second), f"{function} gave {first!r}, then {second!r}"
    return first


def check_masks(masks: Any) -> None:
    if isinstance(masks, Masks):
        Masks(masks.counts, masks.offsets, masks.sizes)  # checks itself


def try_strings(rng: random.Random) -> None:
    objs = rles(rng)
    for function in (api.area, api.toBbox, api._mask._frString):
        if function is not api._mask._frString:
            attempt(function, objs)
            if objs:
                attempt(function, objs[0])
    attempt(api.merge, objs, rng.choice([0, 1, True, 2, None]))
    attempt(api.iou, objs, rles(rng), [rng.choice([0, 1, 0.5]) for _ in range(rng.randrange(0, 5))])
    half = len(objs) // 2
    attempt(api.iou, objs[:half], objs[half:], [0] * (len(objs) - half))
    if not too_big(objs):
        attempt(api.decode, objs)
    check_masks(attempt(Masks.from_coco, objs))


def try_counts(rng: random.Random) -> None:
    size = sizes(rng)
    made = [{"size": size, "counts": counts(rng, size)} for _ in range(rng.randrange(0, 4))]
    attempt(api.frPyObjects, made, 5, 5)
    if made:
        attempt(api.frPyObjects, made[0], *sizes(rng)[:2])
    check_masks(attempt(Masks.from_coco, made))
    arrays = []
    for dtype in (np.uint32, np.int64, np.int64):
        n = rng.randrange(0, 8)
        values = [rng.choice([0, 1, 2, 3, 5, 40, 2**31, 2**32 - 1, 2**63 - 1, -1]) for _ in range(n)]
        arrays.append(np.array(values).astype(dtype) if rng.random() < 0.9 else values)
    arrays[2] = arrays[2] if rng.random() < 0.3 else [rng.randrange(0, 9), rng.randrange(0, 9)]
    check_masks(attempt(Masks, *arrays))


def try_polygons(rng: random.Random) -> None:
    h, w = (rng.randrange(0, 60), rng.randrange(0, 60)) if rng.random() < 0.95 else (sizes(rng) + [1, 2])[:2]
    if isinstance(w, int | float) and w > 10**7:
        return  # outlines are followed column by column: half a minute for hundreds of millions of them
    rings = [ring(rng) for _ in range(rng.randrange(0, 4))]
    attempt(api.frPyObjects, rings if rng.random() < 0.95 else ring(rng), h, w)
    attempt(api._mask.frPoly, rings, h, w)
    boxes = np.array([[rng.choice(NUMBERS) for _ in range(4)] for _ in range(rng.randrange(0, 3))])
    attempt(api._mask.frBbox, boxes.reshape(-1, 4) if rng.random() < 0.8 else boxes, h, w)
    if type(h) is int and type(w) is int and 0 <= h < 10**4 and 0 <= w < 10**4:
        for rule in ("coco", "even-odd", "non-zero"):
            made = attempt(lambda rule=rule: Masks.from_polygons([rings], (h, w), rule=rule))
            check_masks(made)
            if isinstance(made, Masks):
                again = made.polygons()
                assert Masks.from_polygons(again, made.sizes, rule="even-odd") == made
                tolerance = rng.choice([0, 0.5, 3, -1, 1e9])
                attempt(lambda again=again, t=tolerance: again.simplify(t).points)


def valid_masks(rng: random.Random) -> Masks:
    n, h, w = rng.randrange(0, 4), rng.randrange(0, 70), rng.randrange(0, 70)
    noise = np.random.default_rng(rng.randrange(2**32)).random((n, h, w))
    return Masks.encode(noise < rng.choice([0, 0.02, 0.5, 0.98, 1]))


def try_kernels(rng: random.Random) -> None:
    """Valid masks, any arguments."""
    masks = valid_masks(rng)
    number = rng.choice(
        [0, 1, 2, 5, 100, -1, 2**31, 2**40, 2**62, 0.5, 1e9, float("nan"), float("inf"), None]
    )
    box = [rng.choice([0, 1, 5, 70, -3, 2**31, -(2**31), 2**40, 2**62, -(2**62)]) for _ in range(4)]
    if rng.random() < 0.7:
        box = [rng.randrange(-80, 80), rng.randrange(-80, 80), rng.randrange(0, 100), rng.randrange(0, 100)]
    shape = rng.choice(["disc", "square", "star"])
    for call in (
        lambda: masks.crop(box),
        lambda: masks.crop([box] * len(masks), fill=True),
        lambda: masks.pad(*box[:2]),
        lambda: masks.shift(*box[:2]),
        lambda: masks.dilate(number, shape),
        lambda: masks.erode(number, shape, rng.random() < 0.5),
        lambda: masks.boundary(number),
        lambda: masks.remove_small(number),
        lambda: masks.fill_holes(rng.choice([4, 8, 5])),
        lambda: masks.components(rng.choice([4, 8, 5]))[0],
        lambda: masks.flip(horizontal=True, vertical=rng.random() < 0.5).transpose(),
        lambda: masks.union() | masks,
        lambda: masks[rng.choice([0, -1, 9, slice(1, None), [0, 0], [True]])],
    ):
        state = rng.getstate()

        def again(call: Callable[[], Any] = call, state: Any = state) -> Any:
            rng.setstate(state)
            return call()

        check_masks(attempt(again))
    attempt(lambda: masks.iou(valid_masks(random.Random(1)), [number]))
    attempt(lambda: masks.nms(number))
    attempt(lambda: masks.labels(list(range(len(masks)))))
    attempt(lambda: masks.decode(np.zeros(box[2:], np.uint8)) if max(box[2:]) < 200 else None)


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


FOLDER = Path(tempfile.gettempdir())


def try_json(rng: random.Random) -> None:
    paths = []
    for name, results in (("gt", False), ("dt", True)):
        text = json.dumps(
            document(rng, results), ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1])
        )
        path = FOLDER / f"{name}.json"
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


TARGETS = {
    "strings": try_strings,
    "counts": try_counts,
    "polygons": try_polygons,
    "kernels": try_kernels,
    "json": try_json,
}


def main() -> int:
    global FOLDER
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--only", choices=TARGETS, nargs="+", default=list(TARGETS))
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(2**31), help="of the first round"
    )
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    rounds: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        FOLDER = Path(folder)
        seed = options.seed
        while time.monotonic() < end:
            for name in options.only:
                # Should the timer end this round, nothing else can tell which it was.
                (FOLDER.parent / "maskmill-fuzz-round").write_text(f"--only {name} --seed {seed}\n")
                faulthandler.dump_traceback_later(SLOW, exit=True)
                try:
                    TARGETS[name](random.Random(f"{name} {seed}"))
                except BaseException:
                    print(f"\nfound by: python tests/fuzz.py --only {name} --seed {seed}", file=sys.stderr)
                    raise
                faulthandler.cancel_dump_traceback_later()
                rounds[name] += 1
            seed += 1
    print(
        f"{options.minutes:g} minutes, seeds {options.seed} to {seed - 1}, nothing found; rounds: {dict(rounds)}"
    )
    return 0


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    sys.exit(main())
