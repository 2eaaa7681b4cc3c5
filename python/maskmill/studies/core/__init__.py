"""Drill cores: from a photo and a few painted clasts to a map of rock classes, and the clasts measured along depth.

After github.com/brendonhall/core_features (core 72-2 of IODP 364, Chicxulub). A verb of `maskmill core` has its
function here, and its options in `cli/core`. Modules:

==============  =======================================================================================================
scale           mm of pixels, depths of rows, of full photos and of what is cut out of them
classify        `classify`: photo and labels to a class map; `profiles` say how, `columns` describe pixels
scores          `evaluate`: how often held-out clasts get the right class, by what is looked at
shapes          `shapes`: clasts and their measures; `separation` parts those that touch
logs            shares, numbers and sizes along depth; sorting curves
tables          CSV
report          `write_page`: class map, clasts and scores as HTML, with `pictures`
==============  =======================================================================================================

Legends, labels and class maps as files are `maskmill.densify`'s.
"""

from maskmill.densify.classmaps import ClassMap, read_class_map, write_class_map
from maskmill.densify.labels import Labels, read_labels
from maskmill.densify.legend import Legend
from maskmill.studies.core.classify import Classified, classify
from maskmill.studies.core.logs import logs, sorting_curve
from maskmill.studies.core.scale import Scale
from maskmill.studies.core.scores import Scores, evaluate
from maskmill.studies.core.shapes import Shapes, shapes

__all__ = [
    "ClassMap",
    "Classified",
    "Labels",
    "Legend",
    "Scale",
    "Scores",
    "Shapes",
    "classify",
    "evaluate",
    "logs",
    "read_class_map",
    "read_labels",
    "shapes",
    "sorting_curve",
    "write_class_map",
]
