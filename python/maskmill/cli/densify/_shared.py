"""What `maskmill densify train` and `evaluate` have in common: photos, strokes, columns, classifiers; and CRFs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskmill.cli._dataset import pairs
from maskmill.cli._shared import add_quiet

if TYPE_CHECKING:
    from maskmill.densify.files import Strokes


def add_strokes(p: argparse.ArgumentParser) -> None:
    """Photos and what is painted on them."""
    add_quiet(p)
    p.add_argument("photos", metavar="PHOTO", type=Path, nargs="+", help="images: PNG, JPEG, TIFF, zarr ...")
    p.add_argument(
        "--labels", metavar="FILE", type=Path, nargs="+", required=True,
        help="what is painted: label images, ilastik (.h5, .ilp), Doodler (.npz), polygons of any format; one for each "
        "photo, several for one photo, or for all photos one file or a folder of files of the photos' names",
    )  # fmt: skip
    p.add_argument(
        "--legend", metavar="FILE", type=Path,
        help="names and colours of classes: .json, or an ilastik project (default: what the labels say)",
    )  # fmt: skip
    p.add_argument(
        "--conflict", choices=("error", "first", "last", "none"), default="error",
        help="where label files of one photo differ (default: error)",
    )  # fmt: skip


def add_method(p: argparse.ArgumentParser) -> None:
    """Columns and classifier."""
    group = p.add_argument_group("method")
    group.add_argument(
        "--features", nargs="+", default=["lab", "filters"], metavar="NAME",
        help="lab (colour), filters (means and deviations of it), bank (edges and curvature), location, cnn or "
        "cnn:b0,b2,b4 (layers of a network; extra cnn); default: lab filters",
    )  # fmt: skip
    group.add_argument(
        "--sigmas", nargs="+", type=float, default=[1, 2, 4, 8, 16], metavar="PX",
        help="scales of filters (default: 1 2 4 8 16)",
    )  # fmt: skip
    group.add_argument(
        "--classifier", default="logistic", metavar="NAME",
        help="logistic, discriminant, trees, forest, boosting, xgboost, mlp (default: logistic)",
    )  # fmt: skip
    group.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE",
        help="of the classifier, such as C=0.1 or n_estimators=300",
    )  # fmt: skip
    group.add_argument(
        "--per-class", type=int, default=2000, metavar="N",
        help="use at most so many pixels of each class, 0: all (default: 2000)",
    )  # fmt: skip
    group.add_argument(
        "--calibrate", action="store_true",
        help="tune probabilities on strokes held out, so that they say how often they are right, also to a CRF",
    )  # fmt: skip


def add_crf(p: argparse._ActionsContainer, more: str = "") -> None:
    p.add_argument(
        "--crf", nargs="*", metavar="NAME=VALUE",
        help="smooth by a dense CRF; gaussian=SIGMA,WEIGHT bilateral=SIGMA,COLOURS,WEIGHT iterations=N, none for no "
        "such term (default: gaussian=3,3 bilateral=10,20,10 iterations=5)" + more,
    )  # fmt: skip


def strokes(options: argparse.Namespace) -> Strokes:
    from maskmill.densify.files import read_strokes

    return read_strokes(options.photos, options.labels, legend=options.legend, conflict=options.conflict)


def method(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `densify.fit` and `evaluate`."""
    if options.per_class < 0:
        raise ValueError(f"--per-class must be 0 or more, not {options.per_class}")
    return {
        "features": options.features,
        "sigmas": options.sigmas,
        "classifier": options.classifier,
        "options": pairs(options.option, "--option"),
        "per_class": options.per_class or None,
        "calibrate": options.calibrate,
    }


def crf(given: list[str] | None) -> dict[str, Any] | None:
    """Arguments of `maskmill.crf.refine`.

    >>> crf(["gaussian=3,3", "bilateral=none", "iterations=10"])
    {'gaussian': (3.0, 3.0), 'bilateral': None, 'iterations': 10}
    """
    if given is None:
        return None
    arguments: dict[str, Any] = {}
    for item in given:
        name, _, value = item.partition("=")
        counts = {"gaussian": 2, "bilateral": 3}
        try:
            if name == "iterations":
                arguments[name] = int(value)
            elif name in counts and value == "none":
                arguments[name] = None
            elif name in counts and value.count(",") == counts[name] - 1:
                arguments[name] = tuple(map(float, value.split(",")))
            else:
                raise ValueError
        except ValueError:
            raise ValueError(
                f"--crf must be gaussian=SIGMA,WEIGHT, bilateral=SIGMA,COLOURS,WEIGHT or iterations=N, not {item!r}"
            ) from None
    return arguments
