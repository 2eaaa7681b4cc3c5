"""Data sets made for tests of formats of annotations, and what a comparison pixel by pixel finds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from maskmill import Dataset, FormatError, Masks
from maskmill.dataset import Shapes, objects
from maskmill.polygons import Polygons

NAMES = ("grain", "void", "a class, with a comma")


def random_dataset(
    seed: int, *, images: int = 3, overlap: bool = True, classes: int = 3, most: int = 6
) -> Dataset:
    """Masks with holes and several parts in images of several sizes, the last of which has none."""
    rng = np.random.default_rng(seed)
    heights, widths = rng.integers(1, 24, images), rng.integers(1, 24, images)
    masks: list[Masks] = []
    of: list[int] = []
    for i in range(images - 1):
        size = int(heights[i]), int(widths[i])
        if overlap:
            found = Masks.encode(rng.random((int(rng.integers(0, most + 1)), *size)) < rng.random())
        else:
            found, _ = Masks.from_labels(rng.integers(0, most + 1, size))
        masks.append(found)
        of += [i] * len(found)
    n = len(of)
    return Dataset(
        {
            "id": np.arange(images) * 7 + 2,
            "file_name": objects([f"picture {i}.png" for i in range(images)]),
            "height": heights,
            "width": widths,
        },
        {"id": np.arange(classes) + 1, "name": objects(list(NAMES[:classes]))},
        {"id": np.arange(n) + 1, "image": np.array(of, np.int64), "category": rng.integers(0, classes, n)},
        Masks.concatenate(masks),
    )


def random_polygons(seed: int, n: int = 8) -> Dataset:
    """Polygons of one or two rings, at halves of pixels and beyond the image."""
    rng = np.random.default_rng(seed)
    rings = [
        [np.round(rng.uniform(-3, 30, (rng.integers(3, 9), 2)), 2) for _ in range(rng.integers(1, 3))]
        for _ in range(n)
    ]
    return Dataset(
        {"id": [4, 9], "file_name": objects(["a.jpg", "b/c.jpg"]), "height": [20, 31], "width": [27, 18]},
        {"id": [3, 8], "name": objects(["rock", "plant"])},
        {"image": rng.integers(0, 2, n), "category": rng.integers(-1, 2, n)},
        Shapes.of_polygons(Polygons.from_lists(rings), "coco"),
    )


def by_pixels(before: Dataset, after: Dataset, rows: np.ndarray) -> dict[str, Any]:
    """What a loss report must say of pixels, from decoded images."""
    old = [mask.decode()[0].astype(bool) for mask in before.masks]
    new = [mask.decode()[0].astype(bool) for mask in after.masks]
    pairs = [(old[row], b) for row, b in zip(rows.tolist(), new, strict=True)]
    gone = set(range(len(old))) - set(rows.tolist())
    return {
        "instances_lost": len(gone),
        "masks_changed": sum(bool((a != b).any()) for a, b in pairs),
        "pixels": sum(int(a.sum()) for a in old),
        "pixels_lost": sum(int((a & ~b).sum()) for a, b in pairs) + sum(int(old[i].sum()) for i in gone),
        "pixels_gained": sum(int((b & ~a).sum()) for a, b in pairs),
        "worst_iou": min([1.0, *(float((a & b).sum() / (a | b).sum()) for a, b in pairs if (a | b).any())]),
        "classes_changed": sum(
            before.category_names[row] != name
            for row, name in zip(rows.tolist(), after.category_names, strict=True)
        ),
    }


def assert_report(report: Any, before: Dataset, after: Dataset, rows: np.ndarray) -> None:
    """The numbers of a report are those of `by_pixels`."""
    for name, value in by_pixels(before, after, rows).items():
        assert getattr(report, name) == value, name


def read_or_refused(read: Callable[..., Dataset], path: Path, **options: Any) -> Dataset | None:
    """What a reader makes of a damaged file: a data set whose masks can be made or are refused, or an error that names
    the file."""
    try:
        made = read(path, **options)
    except FormatError as error:
        if str(path.with_suffix("")) not in str(error):  # or a file in the folder beside it
            raise
        return None
    with suppress(ValueError):
        assert len(made.masks) == len(made.instances)
    return made


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with some bytes changed, taken out or doubled, or cut short."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(out) + 1))
        length = int(rng.integers(0, 12))
        what = rng.integers(0, 5)
        if what == 0:
            out[at : at + 1] = bytes([int(rng.integers(0, 256))])
        elif what == 1:
            del out[at : at + length]
        elif what == 2:
            out[at:at] = out[at : at + length]
        elif what == 3:
            del out[at:]
        else:
            tokens = (
                b"NaN",
                b"1e300",
                b"-1",
                b"null",
                b"[",
                b"{}",
                b'"',
                b"1000000000",
                b"../..",
                b"\xff",
                b",",
            )
            out[at:at] = tokens[int(rng.integers(0, len(tokens)))]
    return bytes(out)


def mutated_json(value: Any, rng: np.random.Generator) -> Any:
    """JSON with one value, somewhere, exchanged for another kind."""
    strange = (
        None,
        True,
        -1,
        10**9,
        1e300,
        float("nan"),
        "",
        "x",
        "../../x",
        [],
        {},
        [[]],
        [1, 2],
        {"a": 1},
        2**70,
    )
    if isinstance(value, dict) and value and rng.random() < 0.9:
        keys = list(value)
        key = keys[int(rng.integers(0, len(keys)))]
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: mutated_json(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        i = int(rng.integers(0, len(value)))
        if rng.random() < 0.1:
            return value + value[i : i + 1]
        return [*value[:i], mutated_json(value[i], rng), *value[i + 1 :]]
    return strange[int(rng.integers(0, len(strange)))]
