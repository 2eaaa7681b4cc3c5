"""maskmill.pycocotools against pycocotools itself: everything that a user can observe, except speed.

How to add a behaviour, in a minute: find the file of its topic, and add a line to it::

    add("3.4", "area of an RLE without counts", lambda api, rle: api.mask.area(rle), {"size": [2, 3], "counts": b""})

That is the topic (`SECTIONS` in harness.py), a name, what to do with an `Api`, and what it is done to. It is run with
both, each with its own deep copy of the inputs; value, types, dtypes, memory order, order of keys, exception,
prints, and what became of the inputs must be the same. Longer ones are functions: see `@behaviour` in
test_coco_class.py.

Never add what makes pycocotools crash, hang, or read foreign memory: what we do then instead is in test_safety.py.
"""
