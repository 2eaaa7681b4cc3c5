"""showAnns, into a matplotlib that writes down what it is told, and into the real one."""

from __future__ import annotations

import copy
import sys
import types

import numpy as np
import pytest

from conformance.datasets import from_dicts, image, truth
from conformance.harness import OWN, REF, Api, Behaviours
from conformance.masks import L, of

behaviour = Behaviours()
add = behaviour.add


class Recorder:
    """Stands for modules, functions and objects of matplotlib, and keeps all calls."""

    def __init__(self, calls: list, name: str) -> None:
        self._calls, self._name = calls, name

    def __getattr__(self, key: str):
        if key.startswith("__"):
            raise AttributeError(key)
        return Recorder(self._calls, f"{self._name}.{key}")

    def __call__(self, *args, **kwargs):
        self._calls.append((self._name, args, kwargs))
        return Recorder(self._calls, f"{self._name}()")


def shown(api: Api, anns, *args):
    calls: list = []
    names = ("matplotlib", "matplotlib.pyplot", "matplotlib.collections", "matplotlib.patches")
    before = {name: sys.modules.get(name) for name in names}
    for name in names:
        module = types.ModuleType(name)
        module.__getattr__ = Recorder(calls, name).__getattr__  # type: ignore[method-assign]
        sys.modules[name] = module
    sys.modules["matplotlib"].pyplot = sys.modules["matplotlib.pyplot"]
    np.random.seed(5)  # noqa: NPY002 - colours come from there
    try:
        coco = from_dicts(api, PEOPLE)
        out = coco.showAnns(anns, *args)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return out, plain(calls)


def plain(what):
    """Recorders by their names."""
    if isinstance(what, Recorder):
        return what._name
    if isinstance(what, list | tuple):
        return type(what)(plain(v) for v in what)
    return {k: plain(v) for k, v in what.items()} if isinstance(what, dict) else what


PEOPLE = {
    "images": [image(1)],
    "categories": [
        {"id": 1, "name": "person", "skeleton": [[1, 2], [2, 3], [1, 3]]},
        {"id": 2, "name": "no bones"},
    ],
}
POINTS = [5, 6, 2, 7.5, 8, 1, 0, 0, 0]
SHOWN = {
    "nothing": [],
    "a polygon": [truth(1, [1, 2, 3, 4])],
    "polygons": [truth(1, [1, 2, 3, 4]), truth(2, [5, 2, 3, 4])],
    "polygons of two rings": [truth(1, [1, 2, 3, 4], segmentation=[[1, 1, 5, 1, 5, 5], [7, 7, 9, 7, 9, 9]])],
    "a crowd": [truth(1, [1, 2, 3, 4], iscrowd=1, segmentation={"size": [5, 5], "counts": [20, 5]})],
    "counts": [truth(1, [1, 2, 3, 4], segmentation={"size": [5, 5], "counts": [20, 5]})],
    "a string": [truth(1, [1, 2, 3, 4], segmentation=of(L, str))],
    "a crowd's flag of 2": [truth(1, [1, 2, 3, 4], iscrowd=2, segmentation=of(L, str))],
    "a mask without a flag": [{"image_id": 1, "segmentation": of(L)}],
    "keypoints": [truth(1, [1, 2, 3, 4], keypoints=POINTS)],
    "only keypoints": [{"category_id": 1, "keypoints": POINTS}],
    "keypoints, all seen": [{"category_id": 1, "keypoints": [5, 6, 2, 7, 8, 2, 9, 9, 2]}],
    "keypoints in an array": [{"category_id": 1, "keypoints": np.array(POINTS)}],
    "keypoints without bones": [{"category_id": 2, "keypoints": POINTS}],
    "keypoints of an unknown category": [{"category_id": 3, "keypoints": POINTS}],
    "captions": [{"caption": "a cat"}, {"caption": "a dog"}],
    "captions, one missing": [{"caption": "a cat"}, {}],
    "something else": [{"bbox": [1, 2, 3, 4]}],
    "something else behind": [truth(1, [1, 2, 3, 4]), {"bbox": [1, 2, 3, 4]}],
    "a ring of odd length": [{"segmentation": [[1, 2, 3, 4, 5]]}],
    "an image that is not there": [{"image_id": 9, "iscrowd": 0, "segmentation": of(L)}],
}
for name, anns in SHOWN.items():
    add("4", f"showAnns of {name}", shown, anns)
    add("4", f"showAnns of {name} with boxes", shown, anns, True)


@behaviour.each
def test_show_anns(behaviour, way):
    behaviour.check()


@pytest.mark.parametrize("name", ["polygons", "a crowd", "keypoints"])
def test_pictures_are_the_same(name):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    def picture(api: Api) -> bytes:
        np.random.seed(5)  # noqa: NPY002
        figure = plt.figure()
        plt.imshow(np.zeros((60, 80)))
        from_dicts(api, copy.deepcopy(PEOPLE)).showAnns(copy.deepcopy(SHOWN[name]), draw_bbox=True)
        figure.canvas.draw()
        pixels = bytes(figure.canvas.buffer_rgba())
        plt.close(figure)
        return pixels

    assert picture(OWN) == picture(REF)
