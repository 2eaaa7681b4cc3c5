"""Two pycocotools in one process, and a comparison that misses nothing."""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import re
import types
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from maskmill import _backend
from maskmill.pycocotools import _columns, _mask


class Api:
    """The modules and classes of one pycocotools."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.package = importlib.import_module(name)
        self.mask = importlib.import_module(f"{name}.mask")
        self._mask = importlib.import_module(f"{name}._mask")
        self.coco = importlib.import_module(f"{name}.coco")
        self.cocoeval = importlib.import_module(f"{name}.cocoeval")
        self.COCO = self.coco.COCO
        self.COCOeval = self.cocoeval.COCOeval
        self.Params = self.cocoeval.Params

    def __repr__(self) -> str:
        return self.name


REF = Api("pycocotools")
OWN = Api("maskmill.pycocotools")


# Ways through our own code


# "compiled": by the compiled calls; "generic": by Python, with the compiled kernels; "numba": with their twins.

_FAST = [name for name in vars(_mask) if name.startswith("_fast_")]


def why_not(way: str) -> str | None:
    """Why a way cannot be gone here, or None."""
    if way != "numba":
        return _backend.why_missing("cpp")
    missing = _backend.why_missing("numba")
    if missing is None and not hasattr(_backend.kernels("numba"), "coco_rle_parse"):
        missing = "the twins of the COCO kernels are not written yet"
    return missing


@contextlib.contextmanager
def going(way: str) -> Iterator[None]:
    """Let our own code go this way."""
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        if way != "compiled":
            for name in _FAST:
                patch.setattr(_mask, name, lambda *args: NotImplemented)
            patch.setattr(_columns, "available", lambda: False)
        if way == "numba":
            stack.enter_context(_backend.use_backend("numba"))
        yield


# What happened


@dataclass
class Outcome:
    """All that can be observed of a call."""

    value: Any
    error: BaseException | None
    printed: str
    warned: list[str]
    inputs: tuple[Any, ...]


def outcome(api: Api, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Outcome:
    """Run function(api, *inputs)."""
    inputs = copy.deepcopy(inputs)
    value, error = None, None
    with contextlib.redirect_stdout(io.StringIO()) as out, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = function(api, *inputs)
        except Exception as e:
            error = e
    warned = [f"{w.category.__name__}: {w.message}" for w in caught if not _is_known_fault(w)]
    return Outcome(value, error, out.getvalue(), warned, inputs)


def _is_known_fault(warning: warnings.WarningMessage) -> bool:
    """pycocotools 2.0.11 has an __array__ without `copy`, of which NumPy complains at every decode, area and toBbox."""
    return "__array__ implementation doesn't accept a copy keyword" in str(warning.message)


def agree(function: Callable[..., Any], *inputs: Any) -> Outcome:
    """Assert that function(api, *inputs) is the same with both; gives what happened with ours."""
    ref, own = outcome(REF, function, inputs), outcome(OWN, function, inputs)
    assert_same(ref, own)
    return own


def assert_same(ref: Outcome, own: Outcome) -> None:
    """Assert that nothing tells two outcomes apart."""
    if ref.error is not None or own.error is not None:
        expect(describe(own.error), describe(ref.error), "", "exception")
    expect(neutral(own.printed), neutral(ref.printed), "", "prints")
    expect(own.warned, ref.warned, "", "warnings")
    # As one graph: what is the same object in one is the same in the other, inputs included.
    Comparison().same((ref.value, ref.inputs), (own.value, own.inputs), "")


def describe(error: BaseException | None) -> str:
    return "no exception" if error is None else neutral(f"{type_name(type(error))}: {error}")


def neutral(text: str) -> str:
    """Text without what may differ: digits of durations, and the package's name."""
    text = re.sub(r"(?<=\(t=)\d+\.(\d+)(?=s\))", lambda m: "#." + "#" * len(m[1]), text)
    text = re.sub(r" at 0x[0-9a-f]+", " at 0x#", text)
    return text.replace("maskmill.pycocotools", "pycocotools")


def type_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("maskmill.")


_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


_PLAIN = {int, str, bytes, bool, type(None)}
_NAMED = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)
_SHARED = (dict, list, np.ndarray)


@dataclass
class Comparison:
    """Deep comparison of two graphs of objects; raises AssertionError with the path to what differs."""

    partner: dict[int, int] = field(default_factory=dict)  # id of theirs: id of ours
    owner: dict[int, int] = field(default_factory=dict)
    kept: list[Any] = field(default_factory=list)  # so that ids stay taken

    def same(self, ref: Any, own: Any, path: str) -> None:
        kind = type(ref)
        if kind in _PLAIN and type(own) is kind and own == ref:  # nearly everything is
            return
        if isinstance(ref, _NAMED) or kind.__name__ == "cython_function_or_method":
            self._same_name(ref, own, path)
            return
        expect(type_name(type(own)), type_name(kind), path, "type")
        if isinstance(ref, _SHARED) or hasattr(ref, "__dict__"):
            known = self.partner.get(id(ref)), self.owner.get(id(own))
            if known != (None, None):
                assert known == (id(own), id(ref)), f"{path or 'result'}: shared with something else"
                return
            self.partner[id(ref)], self.owner[id(own)] = id(own), id(ref)
            self.kept += [ref, own]
        if isinstance(ref, np.ndarray):
            self._same_array(ref, own, path)
        elif isinstance(ref, dict):
            self._same_dict(ref, own, path)
        elif isinstance(ref, list | tuple):
            expect(len(own), len(ref), path, "length")
            for i, (a, b) in enumerate(zip(ref, own, strict=True)):
                self.same(a, b, f"{path}[{i}]")
        elif isinstance(ref, np.generic):
            if not (ref != ref and own != own):
                expect(own.tobytes(), ref.tobytes(), path, f"{own!r} instead of {ref!r}")
        elif isinstance(ref, float):
            expect(own.hex(), ref.hex(), path, f"{own!r} instead of {ref!r}")
        elif isinstance(ref, str):
            if not (_DATE.fullmatch(ref) and _DATE.fullmatch(own)):
                expect(neutral(own), neutral(ref), path, "text")
        elif isinstance(ref, BaseException):
            expect(describe(own), describe(ref), path, "exception")
        elif type(ref) is REF._mask.RLEs:
            expect(own.n, ref.n, path, "number of masks")
            self.same(REF._mask._toString(ref), OWN._mask._toString(own), path)
        elif hasattr(ref, "__dict__"):
            self._same_dict(vars(ref), vars(own), path)
        else:
            expect(own, ref, path, "value")

    def _same_name(self, ref: Any, own: Any, path: str) -> None:
        def name(obj: Any) -> str:
            return f"{getattr(obj, '__module__', None)}.{getattr(obj, '__qualname__', obj.__name__)}"

        expect(neutral(name(own)), neutral(name(ref)), path, "name")

    def _same_array(self, ref: np.ndarray, own: np.ndarray, path: str) -> None:
        expect(own.dtype, ref.dtype, path, "dtype")
        expect(own.shape, ref.shape, path, "shape")
        for flag in ("c_contiguous", "f_contiguous", "writeable", "aligned"):
            expect(getattr(own.flags, flag), getattr(ref.flags, flag), path, flag)
        if ref.dtype.hasobject:
            self.same(ref.tolist(), own.tolist(), path)
        elif own.tobytes() != ref.tobytes():
            # NaN is NaN, whatever its bits.
            assert np.array_equal(ref, own, equal_nan=ref.dtype.kind in "fc"), (
                f"{path}: {own} instead of {ref}"
            )
            expect(
                np.signbit(own[own == 0]).tolist(), np.signbit(ref[ref == 0]).tolist(), path, "signs of zeros"
            )

    def _same_dict(self, ref: dict[Any, Any], own: dict[Any, Any], path: str) -> None:
        if isinstance(ref, defaultdict):
            expect(own.default_factory, ref.default_factory, path, "default factory")
        self.same(list(ref), list(own), f"keys of {path or 'result'}")
        for key in ref:
            self.same(ref[key], own[key], f"{path}[{key!r}]")


def expect(own: Any, ref: Any, path: str, what: str) -> None:
    assert own == ref, f"{path or 'result'}: {what}: {own!r} instead of {ref!r}"


# Tables of behaviours


SECTIONS = {
    "2": "modules, signatures, pickling",
    "3.1": "RLE dicts and their string code",
    "3.2": "encode",
    "3.3": "decode",
    "3.4": "area, toBbox",
    "3.5": "merge",
    "3.6": "iou",
    "3.7": "frPyObjects: which input is taken for what",
    "3.8": "filling of polygons",
    "4": "COCO",
    "5.1": "Params, construction of COCOeval",
    "5.2": "evaluate, computeIoU",
    "5.3": "evaluateImg",
    "5.4": "computeOks",
    "5.5": "accumulate",
    "5.6": "summarize",
}


@dataclass(frozen=True)
class Behaviour:
    section: str
    name: str
    run: Callable[..., Any]
    inputs: tuple[Any, ...]

    def check(self) -> None:
        agree(self.run, *self.inputs)


class Behaviours:
    """Those of one file, by section and name.

    >>> behaviour = Behaviours()
    >>> behaviour.add("3.4", "area of a list", lambda api, rles: api.mask.area(rles), [])
    >>> @behaviour("3.4")
    ... def area_of_nothing(api):
    ...     return api.mask.area([])
    """

    def __init__(self) -> None:
        self.all: list[Behaviour] = []

    def add(self, section: str, name: str, run: Callable[..., Any], *inputs: Any) -> None:
        assert section in SECTIONS, f"there is no section {section!r}"
        assert name not in {b.name for b in self.all}, f"two behaviours are called {name!r}"
        self.all.append(Behaviour(section, name, run, inputs))

    def __call__(self, section: str, *inputs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def register(run: Callable[..., Any]) -> Callable[..., Any]:
            self.add(section, run.__name__.replace("_", " "), run, *inputs)
            return run

        return register

    @property
    def each(self) -> pytest.MarkDecorator:
        """Runs a test with every behaviour."""
        return pytest.mark.parametrize(
            "behaviour", [pytest.param(b, id=f"{b.section} {b.name}") for b in self.all]
        )
