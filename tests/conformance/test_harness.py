"""The harness must see every difference, or the rest of these tests proves nothing."""

from __future__ import annotations

import importlib
from collections import Counter, defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from conformance.harness import OWN, REF, SECTIONS, Behaviours, agree, neutral

shared: list[int] = []
row = np.zeros(3)


def raises(error: Exception) -> None:
    raise error


DIFFERENCES = {
    "value": (1, 2),
    "type": (1, 1.0),
    "bool for int": (1, True),
    "numpy scalar": (1.0, np.float64(1.0)),
    "sign of zero": (0.0, -0.0),
    "last bit": (0.1 + 0.2, 0.3),
    "list and tuple": ([1], (1,)),
    "length": ([1], [1, 1]),
    "item": ([1, [2, 3]], [1, [2, 4]]),
    "order of keys": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "type of a key": ({1: 0}, {np.int64(1): 0}),
    "value of a key": ({1: {"a": [0]}}, {1: {"a": [1]}}),
    "default factory": (defaultdict(list), defaultdict(dict)),
    "dict and defaultdict": ({}, defaultdict(list)),
    "bytes and str": (b"1", "1"),
    "dtype": (np.zeros(3), np.zeros(3, np.float32)),
    "byte order": (np.zeros(3), np.zeros(3, ">f8")),
    "shape": (np.zeros(3), np.zeros((3, 1))),
    "memory order": (np.zeros((2, 3)), np.zeros((2, 3), order="F")),
    "writeable": (np.zeros(3), np.broadcast_to(0.0, 3)),
    "element": (np.zeros(3), np.array([0, 0, 1.0])),
    "sign of zero in an array": (np.zeros(3), np.array([0, 0, -0.0])),
    "object in an array": (np.array([[1], None], object), np.array([[1.0], None], object)),
    "attribute": (SimpleNamespace(a=1), SimpleNamespace(a=2)),
    "order of attributes": (SimpleNamespace(a=1, b=2), SimpleNamespace(b=2, a=1)),
    "identity": ([shared, shared], [[], []]),
    "identity the other way": ([[], []], [shared, shared]),
    "identity of arrays": ([row, row], [row, row.copy()]),
    "text": ("a t=0.10s", "a t=0.20s"),
}


@pytest.mark.parametrize(("ref", "own"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_sees_a_difference(ref, own):
    agree(lambda api: (ref, ref))
    with pytest.raises(AssertionError):
        agree(lambda api: ref if api is REF else own)


ACTS = {
    "exception or not": (lambda: None, lambda: raises(ValueError("a"))),
    "type of exception": (lambda: raises(KeyError("a")), lambda: raises(ValueError("'a'"))),
    "text of exception": (lambda: raises(KeyError(1)), lambda: raises(KeyError("1"))),
    "print": (lambda: print("a"), lambda: print("b")),
    "print or not": (lambda: print(), lambda: None),
    "format of a duration": (lambda: print("(t=0.10s)"), lambda: print("(t=0.1s)")),
}


@pytest.mark.parametrize(("ref", "own"), ACTS.values(), ids=ACTS)
def test_sees_a_different_act(ref, own):
    agree(lambda api: ref())
    with pytest.raises(AssertionError):
        agree(lambda api: ref() if api is REF else own())


def test_sees_what_becomes_of_inputs():
    agree(lambda api, a: a.append(1), [])
    with pytest.raises(AssertionError):
        agree(lambda api, a: a.append(api is REF), [])
    with pytest.raises(AssertionError):
        agree(lambda api, a: a if api is REF else list(a), [1])


def test_inputs_are_not_shared():
    given = [[1]]
    agree(lambda api, a: a[0].append(len(a[0])), given)
    assert given == [[1]]


def test_durations_may_differ():
    assert neutral("DONE (t=0.10s).") == neutral("DONE (t=12.34s).") == "DONE (t=#.##s)."


def test_objects_of_both_sides_are_compared_by_their_attributes():
    agree(lambda api: api.Params())
    with pytest.raises(AssertionError):
        agree(lambda api: api.Params("bbox" if api is REF else "segm"))


def test_both_sides_are_there():
    assert REF.COCO is not OWN.COCO
    assert REF.COCO.__module__ == "pycocotools.coco"
    assert OWN.COCO.__module__ == "maskmill.pycocotools.coco"


def test_names_are_unique():
    behaviour = Behaviours()
    behaviour.add("2", "a", print)
    with pytest.raises(AssertionError):
        behaviour.add("2", "a", print)
    with pytest.raises(AssertionError):
        behaviour.add("99", "b", print)


def test_there_are_many_behaviours_in_every_section():
    counts: Counter[str] = Counter()
    for path in Path(__file__).parent.glob("test_*.py"):
        module = importlib.import_module(f"conformance.{path.stem}")
        for found in vars(module).values():
            if isinstance(found, Behaviours):
                counts.update(b.section for b in found.all)
    assert counts.total() >= 2000
    assert min(counts[section] for section in SECTIONS) >= 10, counts
