"""Which rule fills outlines as their authors did: python -m maskmill.benchmarks.fill_rules DATA

DATA is the folder `via/emps` of the EMPS data set: metadata.csv with the outlines that people drew on micrographs with
VIA, fitted_scale.csv with the factors by which the published pictures are smaller, and segmaps, the label images that
the authors made of the outlines. Outlines are filled by every rule, moved by every offset, and compared with the label
images; an instance that others are painted over in a label image is compared where it is seen.
"""

from __future__ import annotations

import argparse
import ast
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskmill import FormatError, Masks, polygons
from maskmill.io.images import read_image
from maskmill.polygons import RULES, Polygons

OFFSETS = (-0.5, 0.0, 0.5)
OPENCV = "cv2.fillPoly"


@dataclass(frozen=True)
class Picture:
    """A published label image, and the outlines that it was made of, in its pixels.

    Attributes
    ----------
    name : str
    labels : (H, W) the authors' instances: numbers of regions from 1
    rings : of each region the outline (K, 2); circles and ellipses as 720 points
    drawn : (N,) bool, whether a region is a polyline of vertices, not a curve
    """

    name: str
    labels: np.ndarray
    rings: list[np.ndarray]
    drawn: np.ndarray


def pictures(folder: Path) -> list[Picture]:
    """All pictures whose regions are those of their label image."""
    scales = {row["filename"]: float(row["scale"]) for row in _rows(folder / "fitted_scale.csv")}
    found = []
    for row in _rows(folder / "metadata.csv"):
        try:
            regions = [region["shape_attributes"] for region in ast.literal_eval(row["regions"])]
            rings = [_ring(shape) * scales[row["filename"]] for shape in regions]
        except (KeyError, ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise FormatError(
                f"{folder / 'metadata.csv'}: {row.get('filename')}: regions ({error})"
            ) from None
        labels = np.asarray(read_image(folder / "segmaps" / row["filename"]))
        if np.array_equal(np.unique(labels[labels > 0]), np.arange(1, len(rings) + 1)):
            drawn = np.array([shape["name"] == "polyline" for shape in regions])
            found.append(Picture(row["filename"], labels, rings, drawn))
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    usual = csv.field_size_limit(1 << 27)  # of all who read CSV in this process
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    finally:
        csv.field_size_limit(usual)


def _ring(shape: dict) -> np.ndarray:
    if shape["name"] == "polyline":
        return np.stack([shape["all_points_x"], shape["all_points_y"]], 1).astype(float)
    rx, ry = (shape["r"],) * 2 if shape["name"] == "circle" else (shape["rx"], shape["ry"])
    t, turn = np.arange(720) * np.pi / 360, shape.get("theta", 0.0)
    u, v = rx * np.cos(t), ry * np.sin(t)
    along, across = u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)
    return np.stack([shape["cx"] + along, shape["cy"] + across], 1)


def outlines(found: list[Picture]) -> tuple[Polygons, np.ndarray]:
    """All outlines of vertices, and the sizes of their pictures."""
    rings = [ring for picture in found for ring, ok in zip(picture.rings, picture.drawn, strict=True) if ok]
    sizes = [picture.labels.shape for picture in found for _ in range(int(picture.drawn.sum()))]
    return Polygons.from_lists([[ring] for ring in rings]), np.array(sizes)


def fill(picture: Picture, rule: str, offset: float) -> Masks:
    rings = [ring + offset for ring in picture.rings]
    size = picture.labels.shape
    if rule != OPENCV:
        return Masks(*polygons.rasterize([[ring] for ring in rings], size, rule))
    import cv2

    images = [cv2.fillPoly(np.zeros(size, np.uint8), [ring.round().astype(np.int32)], 1) for ring in rings]
    return Masks.encode(np.stack(images))


def agreement(picture: Picture, masks: Masks) -> tuple[np.ndarray, float]:
    """IoU of each region that is seen with its label, and of the foreground."""
    theirs = Masks.from_labels(picture.labels)[0]
    # What the authors painted over with another region is nobody's fault.
    others = Masks.encode(picture.labels > 0) - theirs
    ours = masks - (others & masks)
    common, either = (ours & theirs).area, (ours | theirs).area
    drawn = masks.union()
    whole = Masks.encode(picture.labels > 0)
    return common / np.maximum(either, 1), float((drawn & whole).area[0] / (drawn | whole).area[0])


def table(found: list[Picture], rules: list[str]) -> str:
    lines = [
        "| rule | offset | mean IoU of outlines | median | foreground, median |",
        "|---|---:|---:|---:|---:|",
    ]
    for rule in rules:
        for offset in OFFSETS:
            regions, wholes = [], []
            for picture in found:
                iou, whole = agreement(picture, fill(picture, rule, offset))
                regions.append(iou[picture.drawn])
                wholes.append(whole)
            every = np.concatenate(regions)
            numbers = f"{every.mean():.4f} | {np.median(every):.4f} | {np.median(wholes):.4f}"
            lines.append(f"| {rule} | {offset:g} | {numbers} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="the folder via/emps")
    options = parser.parse_args(arguments)
    found = pictures(options.data)
    drawn = sum(int(picture.drawn.sum()) for picture in found)
    every = sum(len(picture.rings) for picture in found)
    print(f"{len(found)} pictures, {every:,} regions, {drawn:,} of them outlines of vertices\n")
    rules = list(RULES)
    try:
        import cv2  # noqa: F401

        rules.append(OPENCV)
    except ImportError:
        print(f"{OPENCV}: not installed", file=sys.stderr)
    print(table(found, rules))
    return 0


if __name__ == "__main__":
    sys.exit(main())
