"""Near-duplicates: keep one of each bunch, and say who was dropped, by whom and how far.

Works on codes of `maskmill.hashes`, whatever they were made of. `find` keeps exemplars, `sweep` tries radii, `leaks`
compares a training set with a test set; `hash_images` makes the codes of image files, `write_audit` and `write_report`
tell what was done. `maskmill dedupe` does all of it for folders of images: docs/near-duplicates.md.
"""

from maskmill.dedupe.audit import write_audit
from maskmill.dedupe.images import HashedImages, ImageHashes, find_images, hash_images
from maskmill.dedupe.order import processing_order, stable_keys
from maskmill.dedupe.report import write_report
from maskmill.dedupe.search import Duplicates, Items, chance, find, leaks, sweep
from maskmill.dedupe.table import CodeTable

__all__ = [
    "CodeTable",
    "Duplicates",
    "HashedImages",
    "ImageHashes",
    "Items",
    "chance",
    "find",
    "find_images",
    "hash_images",
    "leaks",
    "processing_order",
    "stable_keys",
    "sweep",
    "write_audit",
    "write_report",
]
