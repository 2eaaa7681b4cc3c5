"""`Dataset`: images, categories and instances of an annotated data set as columns, whatever format they came from.

table.py       columns by name
reference.py   pixels that are read when asked for
shapes.py      the geometry of instances as their source had it, and how it becomes masks
dataset.py     the class
coco.py        to and from COCO's dicts
operations.py  select, merge, remap classes, clip, sample
split.py       parts: random, by groups, stratified
tiles.py       images cut into windows, with annotations
statistics.py  what is in it, in numbers
checks.py      what is wrong with it; crossing.py: whether an outline crosses itself
sizes.py       height and width of pictures by their headers
targets.py     what training code takes
loss.py        what was lost between two data sets: the loss report
"""

from maskmill.dataset.dataset import Dataset
from maskmill.dataset.loss import LossReport
from maskmill.dataset.reference import Reference
from maskmill.dataset.shapes import KINDS, Shapes, ShapesBuilder
from maskmill.dataset.table import Table, objects

__all__ = ["KINDS", "Dataset", "LossReport", "Reference", "Shapes", "ShapesBuilder", "Table", "objects"]
