"""Run-length masks, polygons and COCO evaluation at memory speed.

`Masks` holds many masks and does everything with them; the modules `rle`, `setops`, `geometry`, `overlap`,
`morphology`, `polygons`, `outlines` and `measures` are the same on plain arrays; `coco_json` reads and writes
COCO files; `features` describes pixels for classifiers, `perceptron` is one, `crf`
refines what they say.
`Dataset` is an annotated data set of whatever format, which `maskmill.io` reads and writes.
`maskmill.pycocotools` takes the place of pycocotools.
"""

from typing import TYPE_CHECKING

from maskmill import (
    coco_json,
    crf,
    features,
    geometry,
    hamming,
    hashes,
    measures,
    morphology,
    outlines,
    overlap,
    patches,
    perceptron,
    polygons,
    rle,
    setops,
)
from maskmill._backend import BackendError, use_backend
from maskmill._files import FormatError
from maskmill.dataset import Dataset
from maskmill.masks import Masks, coco_rles
from maskmill.polygons import Polygons

if TYPE_CHECKING:
    from maskmill._version import __version__
else:

    def __getattr__(name: str) -> str:
        # Only when asked for: importlib.metadata brings email and csv with it.
        if name == "__version__":
            from maskmill._version import __version__

            return globals().setdefault(name, __version__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "BackendError",
    "Dataset",
    "FormatError",
    "Masks",
    "Polygons",
    "__version__",
    "coco_json",
    "coco_rles",
    "crf",
    "features",
    "geometry",
    "hamming",
    "hashes",
    "measures",
    "morphology",
    "outlines",
    "overlap",
    "patches",
    "perceptron",
    "polygons",
    "rle",
    "setops",
    "use_backend",
]
