"""Detrital zircons under the laser: from mosaics and shot lists to training sets, after colab_zirc_dims.

A verb of `maskmill zircon` has its function here, and its options in `cli/zircon`. Modules:

==============================  =======================================================================================
scanlists                       shot lists (`.scancsv`): names, places, settings
stage                           `.Align` files, and the transform between the stage and a mosaic's pixels
projects, scans                 mosaic projects, and which list fits which mosaic; image-per-shot projects
sampling                        `sample`: shots whose windows do not overlap; `independent` finds the most there can be
==============================  =======================================================================================
"""

from maskmill.studies.zircon.sampling import sample

__all__ = ["sample"]
