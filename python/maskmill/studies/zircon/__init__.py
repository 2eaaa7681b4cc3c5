"""Detrital zircons under the laser: from mosaics and shot lists to training sets, after colab_zirc_dims.

A verb of `maskmill zircon` has its function here, and its options in `cli/zircon`. Modules:

==============================  =======================================================================================
scanlists                       shot lists (`.scancsv`): names, places, settings
stage                           `.Align` files, and the transform between the stage and a mosaic's pixels
projects, scans                 mosaic projects, and which list fits which mosaic; image-per-shot projects
clips                           `clip`: a picture for each shot; `sidecars` says where it is from, `contrast` stretches
places                          tables of shots and their windows, which the verbs hand on to each other
sampling                        `sample`: shots whose windows do not overlap; `independent` finds the most there can be
splits                          `split`: training, validation and other parts; `leaks` between them
augmentation                    what a training does to clips: drawn by seed, name and epoch, and taken back
headings                        names of columns of measurement tables, whatever became of their µ
polygonize, legacy_polygons     `polygonize`: masks to polygons within limits; as the original saves them
sources                         annotations in whatever form, scales of images, what lies beside clips
grains                          `measure`: axes, areas, perimeters of grains, all or those under the shots
pairs, comparison               two measurements of the same grains; `agreement`: how far they agree
breakdown, content, writing     `tables`: what a training set holds; CSV, Markdown, HTML
pictures                        Bland-Altman and other plots
==============================  =======================================================================================
"""

from maskmill.studies.zircon.breakdown import tables
from maskmill.studies.zircon.clips import clip
from maskmill.studies.zircon.comparison import agreement
from maskmill.studies.zircon.grains import measure
from maskmill.studies.zircon.polygonize import polygonize
from maskmill.studies.zircon.sampling import sample
from maskmill.studies.zircon.sidecars import Clip, read_clip
from maskmill.studies.zircon.splits import split

__all__ = ["Clip", "agreement", "clip", "measure", "polygonize", "read_clip", "sample", "split", "tables"]
