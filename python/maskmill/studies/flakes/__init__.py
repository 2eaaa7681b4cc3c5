"""2D-material flakes under the microscope: the data work of MaskTerial (github.com/Jaluus/MaskTerial) on any computer.

A verb of `maskmill flakes` is a function here, and has its options in `cli/flakes`.

==============================  =======================================================================================
build                           `layout`: annotation files of three sizes with and without classes, names, photos and
                                semantic masks, from what `inputs` reads
validate                        `checks`: whether a layout is what it should be; mends what can be mended
kshot                           `shots`: a few flakes of each class, as MaskTerial draws them and otherwise
contrast                        `colours`: background, flat field, statistics of each flake
fit, assign, classify, segment  `classes`: centres of the classes in contrast, and the nearest one
semantic, instances             `semantics`: flakes to pictures of classes, and back
postprocess                     `predictions`: results of networks read and written, flakes made of them, their shapes
fit_shapes                      `shape_filter`: false finds told from flakes by their shape
evaluate                        `evaluation`: average precision in bins of area, confusion, images, intervals
==============================  =======================================================================================

`annotations` reads and writes the files of a layout; `maskmill.io.maskterial` knows where they are.
"""

from maskmill.studies.flakes.checks import validate
from maskmill.studies.flakes.classes import Centres, assign, classify, fit, segment
from maskmill.studies.flakes.colours import contrast
from maskmill.studies.flakes.evaluation import evaluate
from maskmill.studies.flakes.inputs import Source, read_source
from maskmill.studies.flakes.layout import build
from maskmill.studies.flakes.predictions import postprocess, read_results, read_semantic
from maskmill.studies.flakes.semantics import instances, semantic
from maskmill.studies.flakes.shape_filter import ShapeFilter, fit_shapes
from maskmill.studies.flakes.shots import kshot

__all__ = [
    "Centres",
    "ShapeFilter",
    "Source",
    "assign",
    "build",
    "classify",
    "contrast",
    "evaluate",
    "fit",
    "fit_shapes",
    "instances",
    "kshot",
    "postprocess",
    "read_results",
    "read_semantic",
    "read_source",
    "segment",
    "semantic",
    "validate",
]
