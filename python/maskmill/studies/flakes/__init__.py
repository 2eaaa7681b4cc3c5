"""2D-material flakes under the microscope: the data work of MaskTerial (github.com/Jaluus/MaskTerial) on any computer.

A verb of `maskmill flakes` is a function here, and has its options in `cli/flakes`.

==============================  =======================================================================================
build                           `layout`: annotation files of three sizes with and without classes, names, photos and
                                semantic masks, from what `inputs` reads
semantic, instances             `semantics`: flakes to pictures of classes, and back
==============================  =======================================================================================

`annotations` reads and writes the files of a layout; `maskmill.io.maskterial` knows where they are. `label_png` is how
pictures of numbers are stored.
"""

from maskmill.studies.flakes.inputs import Source, read_source
from maskmill.studies.flakes.layout import build
from maskmill.studies.flakes.semantics import instances, semantic

__all__ = ["Source", "build", "instances", "read_source", "semantic"]
