"""Masks: COCO's strings, counts and polygons, and the kernels on valid masks."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from fuzzing.rubbish import NOT_NUMBERS, NUMBERS, agree, attempt
from maskmill import Masks, polygons, vectorize
from maskmill.io._labelme_raster import shape_mask
from maskmill.polygons import RULES, Polygons
from maskmill.pycocotools import mask as api


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
        for rule in RULES:
            made = attempt(lambda rule=rule: Masks.from_polygons([rings], (h, w), rule=rule))
            check_masks(made)
            if isinstance(made, Masks):
                again = made.polygons()
                assert Masks.from_polygons(again, made.sizes, rule="even-odd") == made
                tolerance = rng.choice([0, 0.5, 3, -1, 1e9])
                attempt(lambda again=again, t=tolerance: again.simplify(t).points)


def number_of(rng: random.Random) -> float:
    scale = rng.choice([1, 10, 40, 40, 1e3, 1e6, 4e8])
    value = rng.uniform(-scale / 4, scale)
    if rng.random() < 0.02:
        return rng.choice([float("nan"), float("inf"), -1e300, 1e300, 5e-324, 0.0])
    return rng.choice([value, round(value), round(2 * value) / 2])


def try_fills(rng: random.Random) -> None:
    """Rings by every rule, ellipses, tangles: as the twins. Outlines within limits: within the limits."""
    size = (rng.randrange(0, 50), rng.randrange(0, 50))
    rings = [
        [(number_of(rng), number_of(rng)) for _ in range(rng.choice([0, 1, 2, 3, 4, 5, 9, 30]))]
        for _ in range(rng.randrange(0, 4))
    ]
    shapes = Polygons.from_lists([[np.array(ring, float).reshape(-1, 2) for ring in rings]])
    for rule in RULES:
        agree(lambda backend, rule=rule: polygons.rasterize(shapes, size, rule, backend=backend))
    agree(lambda backend: [polygons.tangles(shapes, backend=backend)])
    numbers = [[number_of(rng) for _ in range(5)] for _ in range(rng.randrange(0, 4))]
    table = np.array(numbers).reshape(-1, 5)
    agree(lambda backend: polygons.ellipses(table[:, :2], table[:, 2:4], table[:, 4], size, backend=backend))
    for kind in ("polygon", "rectangle", "circle", "line", "linestrip", "point", "star"):
        check_masks(attempt(lambda kind=kind: shape_mask(kind, rings[0] if rings else [], size)))
    masks = valid_masks(rng)
    distance, change, iou = (
        rng.choice([None, 0.7, 3]),
        rng.choice([None, 0, 0.05]),
        rng.choice([None, 0.9, 1]),
    )
    made = vectorize.trace(
        *masks._arrays,
        rng.choice(["exact", "coco"]),
        rng.choice([4, 8]),
        max_distance=distance,
        max_area_change=change,
        min_iou=iou,
    )
    assert (made.tolerance <= (distance or np.inf)).all()
    assert (made.loss.iou >= (iou or 0)).all()
    assert (np.abs(made.loss.area_change) <= (np.inf if change is None else change)).all()


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
        lambda: masks.measure(scale=number, largest=rng.random() < 0.5),
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
