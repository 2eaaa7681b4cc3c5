"""How well strokes held out are labelled: python -m maskmill.benchmarks.densify_scores DATA [--splits N]

DATA is a folder with the set that README.md names: `cores`, a photo of a drill core (IODP 364, core 72-2, of
github.com/brendonhall/core_features) and its ilastik labels. Needs the extras densify, ilastik and cnn.

Each row is `densify.evaluate` with its default seeds: 2,000 pixels of each class; 30 % of the strokes of each class
held out, ten times. Beside it, what single pixels held out would have said. At last a dense CRF behind the best row, in
the first three splits, on all pixels of the strokes held out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from maskmill import densify, features
from maskmill.densify.columns import SIGMAS
from maskmill.io.images import read_image

PHOTO, LABELS = "364_77_A_072_R_002_scanA67.jpg", "72_2.h5"
FILTERS = ("lab", "filters")


def means(image: NDArray[Any]) -> NDArray[Any]:
    """LAB and its Gaussian means: 18 columns."""
    return features.bank(image, SIGMAS, profile="core")[..., :18]


ROWS: tuple[tuple[tuple[Any, ...], str], ...] = (
    (("lab",), "trees"),
    ((means,), "trees"),
    (FILTERS, "trees"),
    (FILTERS, "logistic"),
    (("lab", "cnn:b0,b2,b4"), "trees"),
    ((*FILTERS, "cnn:b0,b2"), "trees"),
    ((*FILTERS, "cnn:b0,b2"), "logistic"),
    ((*FILTERS, "cnn:b0,b2,b4"), "trees"),
)
CRFS: tuple[dict[str, Any], ...] = (
    {"bilateral": (10, 20, 40)},
    {"bilateral": (10, 20, 10)},
    {"bilateral": None},
)
"""Beside the Gaussian term of 3 pixels and the weight 3, which is the default."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", metavar="DATA", type=Path)
    parser.add_argument("--splits", type=int, default=10)
    options = parser.parse_args(arguments)
    photo = read_image(options.data / "cores" / PHOTO)
    labels = densify.read_labels(str(options.data / "cores" / LABELS)).values
    print("| columns | classifier | single pixels | strokes: accuracy | macro F1 | balanced accuracy |")
    print("|---|---|---:|---:|---:|---:|")
    for names, classifier in ROWS:
        report = densify.evaluate(
            photo, labels, features=names, classifier=classifier, splits=options.splits, curve=False
        )
        named = " ".join(name if isinstance(name, str) else name.__name__ for name in names)
        assert report.random_pixels is not None
        cells = (
            f"{named} ({report.settings['columns']})",
            classifier,
            f"{report.random_pixels.accuracy:.3f}",
            f"{report.mean('accuracy'):.3f} ± {report.spread('accuracy'):.3f}",
            f"{report.mean('macro_f1'):.3f}",
            f"{report.mean('balanced_accuracy'):.3f}",
        )
        print("| " + " | ".join(cells) + " |", flush=True)
    for crf in CRFS:
        report = densify.evaluate(
            photo, labels, features=(*FILTERS, "cnn:b0,b2"), splits=3, curve=False, crf=crf
        )
        pairs = ", ".join(f"{plain.accuracy:.3f} -> {smooth.accuracy:.3f}" for plain, smooth, _ in report.crf)
        print(f"CRF {crf}: {pairs}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
