"""The drop-in for untrusted data: what is malformed raises, what can be repaired is, and semantics can be corrected.

The same names as in maskmill.pycocotools, and on well-formed input the same results. Beyond that:

- Malformed input raises a `ValueError` that names the item, before anything was changed.
- What has one sensible meaning (an RLE with two zero runs, a ring of two points, a missing iscrowd) is taken to mean
  that, and a `RepairWarning` says how often.
- Queries of `COCO` take a str for one name, and any integer for an id; `to_json` writes what json cannot.
- `COCOeval` takes `corrections`: fixes of pycocotools' semantics, each by name, none by default.

Speed is that of evaluation on dicts. ``maskmill.pycocotools.install("hardened")`` lets others import this as
pycocotools, as does the environment variable MASKMILL_PYCOCOTOOLS=hardened where nothing else is said.
"""

from maskmill.pycocotools.hardened._checks import RepairWarning
from maskmill.pycocotools.hardened.coco import COCO, to_json
from maskmill.pycocotools.hardened.cocoeval import CORRECTIONS, COCOeval

__all__ = ["COCO", "CORRECTIONS", "COCOeval", "RepairWarning", "to_json"]
