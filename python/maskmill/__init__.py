"""Run-length masks, polygons and COCO evaluation at memory speed.

`Masks` holds many masks and does everything with them; the modules `rle`, `setops`, `geometry`, `overlap`,
`morphology`, `polygons` and `outlines` are the same on plain arrays; `coco_json` reads and writes COCO files.
`maskmill.pycocotools` takes the place of pycocotools.
"""

from maskmill import coco_json, geometry, morphology, outlines, overlap, polygons, rle, setops
from maskmill._backend import BackendError, use_backend
from maskmill._files import FormatError
from maskmill._version import __version__
from maskmill.masks import Masks
from maskmill.polygons import Polygons

__all__ = [
    "BackendError",
    "FormatError",
    "Masks",
    "Polygons",
    "__version__",
    "coco_json",
    "geometry",
    "morphology",
    "outlines",
    "overlap",
    "polygons",
    "rle",
    "setops",
    "use_backend",
]
