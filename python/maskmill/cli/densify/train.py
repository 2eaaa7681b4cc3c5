"""maskmill densify train: a model from photos and strokes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._dataset import busy
from maskmill.cli.densify import _shared

_EPILOG = """\
examples:
  maskmill densify train photo.jpg --labels strokes.png --out model.npz
  maskmill densify train a.jpg b.jpg --labels a.h5 b.h5 --legend classes.json --out model.npz
  maskmill densify train photos/*.png --labels strokes/ --out model.npz         a folder of strokes/<photo>.png
  maskmill densify train photos/*.jpg --labels polygons.json --out model.npz    polygons of all photos in one file
  maskmill densify train result.npz --labels result.npz --out model.npz         picture and doodles of Doodler
  maskmill densify train core.jpg --labels core.h5 --features lab filters cnn --out model.npz
  maskmill densify train photo.jpg --labels strokes.png --classifier trees --option n_estimators=300 --out model.npz

The model is one file of plain arrays (.npz), without pickles: whom it was sent by does not matter.
How good it is, `maskmill densify evaluate` says.
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "train",
        help="learn classes of pixels from strokes",
        description="Learn classes of pixels from strokes that were painted on one photo or several, and keep what was "
        "learnt.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _shared.add_strokes(p)
    p.add_argument("--out", metavar="MODEL.npz", type=Path, required=True, help="the model to write")
    _shared.add_method(p)
    p.add_argument("--seed", type=int, default=0, help="same seed, same model (default: 0)")


def run(options: argparse.Namespace) -> int:
    from maskmill import densify

    if options.out.suffix.lower() != ".npz":
        raise ValueError(f"--out must end with .npz, not {options.out.name}")
    with busy("reading photos and strokes", options.quiet):
        found = _shared.strokes(options)
    with busy("training", options.quiet):
        model = densify.fit(
            found.images,
            found.labels,
            **_shared.method(options),
            names=found.legend,
            seed=options.seed,
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    model.save(options.out)
    print(f"{options.out}: {model.about['classifier']} on {len(model.mean)} columns, {model.digest}")
    for label, name in zip(model.classes.tolist(), model.names, strict=True):
        counts = model.about["classes"][str(label)]
        strokes = f"{counts['blobs']} strokes" if counts["blobs"] > 1 else "1 stroke (too few to be tested)"
        print(f"  {label} {name}: {strokes}, {counts['painted']} pixels, {counts['used']} used")
    return 0
