"""Modules: names, signatures, wrong calls, copies, pickles, and taking pycocotools' place."""

from __future__ import annotations

import copy
import importlib.util
import inspect
import os
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest

import maskmill.pycocotools
from conformance.harness import OWN, REF, Api, Behaviours
from conformance.masks import L, of, rle

behaviour = Behaviours()
add = behaviour.add

MODULES = ("mask", "_mask", "coco", "cocoeval")
MASK = ("encode", "decode", "area", "toBbox", "iou", "merge", "frPyObjects")
RAW = (*MASK, "frBbox", "frPoly", "frUncompressedRLE", "_frString", "_toString")
CLASSES = {
    "coco": {
        "COCO": "__init__ createIndex info getAnnIds getCatIds getImgIds loadAnns loadCats loadImgs showAnns "
        "loadRes download loadNumpyAnnotations annToRLE annToMask"
    },
    "cocoeval": {
        "COCOeval": "__init__ _prepare evaluate computeIoU computeOks evaluateImg accumulate summarize __str__",
        "Params": "__init__ setDetParams setKpParams",
    },
}

# Names


def public_names(module: types.ModuleType) -> list[str]:
    return [name for name in dir(module) if not name.startswith("_")]


@pytest.mark.parametrize("name", MODULES)
def test_public_names(name):
    theirs, ours = set(public_names(getattr(REF, name))), set(public_names(getattr(OWN, name)))
    missing = theirs - ours - {"Callable", "Any"}
    assert not missing, f"{name} lacks {missing}"


for module in MODULES:
    add("2", f"author of {module}", lambda api, m=module: getattr(api, m).__author__)
    add("2", f"name of {module}", lambda api, m=module: getattr(api, m).__name__)
    add("2", f"{module} is an attribute of the package", lambda api, m=module: getattr(api.package, m))
add("2", "author of the package", lambda api: api.package.__author__)
add("2", "the package has no version", lambda api: hasattr(api.package, "__version__"))
add("2", "version of coco", lambda api: api.coco.__version__)
for module in ("mask", "_mask", "cocoeval"):
    add("2", f"{module} has no version", lambda api, m=module: hasattr(getattr(api, m), "__version__"))
add("2", "PYTHON_VERSION", lambda api: (api.coco.PYTHON_VERSION, api._mask.PYTHON_VERSION))
add("2", "modules within modules", lambda api: (api.coco.maskUtils, api.cocoeval.maskUtils, api.mask._mask))
add("2", "urlretrieve", lambda api: api.coco.urlretrieve.__module__)
for name in ("iou", "merge", "frPyObjects"):
    add("2", f"mask.{name} is _mask's", lambda api, n=name: getattr(api.mask, n) is getattr(api._mask, n))
for name in ("encode", "decode", "area", "toBbox"):
    add("2", f"mask.{name} is not _mask's", lambda api, n=name: getattr(api.mask, n) is getattr(api._mask, n))

# Functions


def signature(function) -> list[tuple[str, str, object]]:
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.kind.name, p.default) for p in parameters]


FUNCTIONS = [("mask", name) for name in MASK] + [("_mask", name) for name in RAW]
for module, name in FUNCTIONS:

    def get(api: Api, module=module, name=name):
        return getattr(getattr(api, module), name)

    where = f"{module}.{name}"
    if module == "mask":  # those of Cython have none that can be inspected everywhere
        add("2", f"signature of {where}", lambda api, get=get: signature(get(api)))
    add("2", f"name of {where}", lambda api, get=get: (get(api).__name__, get(api).__qualname__))
    add("2", f"{where} copies to itself", lambda api, get=get: copy.deepcopy(get(api)) is get(api))
    add(
        "2",
        f"{where} pickles to itself",
        lambda api, get=get: pickle.loads(pickle.dumps(get(api))) is get(api),
    )
    add("2", f"{where} of nothing", lambda api, get=get: get(api)())
    add("2", f"{where} of too much", lambda api, get=get: get(api)(1, 2, 3, 4, 5))
    add("2", f"{where} of an unknown keyword", lambda api, get=get: get(api)(x=1))
    add("2", f"{where} of one and an unknown keyword", lambda api, get=get: get(api)([], x=1))
for name in ("iou", "frPyObjects", "frPoly", "frBbox", "frUncompressedRLE"):
    add("2", f"{name} of one", lambda api, n=name: getattr(api._mask, n)([]))
    add("2", f"{name} of two", lambda api, n=name: getattr(api._mask, n)([], 1))
add("2", "iou with an argument twice", lambda api: api.mask.iou([], [], dt=[]))
add("2", "merge with an argument twice", lambda api: api.mask.merge([], rleObjs=[]))
add("2", "merge of three", lambda api: api.mask.merge([], 1, 2))
add("2", "merge of nothing but a flag", lambda api: api.mask.merge(intersect=1))
add("2", "iou without the one in the middle", lambda api: api.mask.iou([], pyiscrowd=[]))
add("2", "iou with only the last", lambda api: api.mask.iou(pyiscrowd=[]))
add("2", "frPoly with only the second", lambda api: api._mask.frPoly(h=5))
add("2", "area of an empty list by a wrong name", lambda api: api._mask.area([], rle=[]))
add("2", "iou by the name of its error", lambda api: api.mask.iou([], [], iscrowd=[]))
add("2", "encode by name", lambda api: api.mask.encode(bimask=np.zeros((2, 2), np.uint8, order="F")))
add("2", "_mask.encode by name", lambda api: api._mask.encode(mask=np.zeros((2, 2, 1), np.uint8, order="F")))
for name in ("decode", "area", "toBbox"):
    add("2", f"{name} by name", lambda api, x, n=name: getattr(api.mask, n)(rleObjs=x), of(L))
    add("2", f"_mask.{name} by name", lambda api, x, n=name: getattr(api._mask, n)(rleObjs=x), [of(L)])

# Classes

for module, classes in CLASSES.items():
    for kind, methods in classes.items():

        def cls(api: Api, module=module, kind=kind):
            return getattr(getattr(api, module), kind)

        add("2", f"{kind} is named", lambda api, cls=cls: (cls(api).__name__, cls(api).__qualname__))
        for method in methods.split():
            add(
                "2",
                f"signature of {kind}.{method}",
                lambda api, cls=cls, m=method: signature(getattr(cls(api), m)),
            )
        for method in methods.split()[1:]:
            add(
                "2",
                f"{kind}.{method} is named",
                lambda api, cls=cls, m=method: (
                    getattr(cls(api), m).__name__,
                    getattr(cls(api), m).__qualname__,
                ),
            )
add("2", "COCO of two", lambda api: api.COCO("a", "b"))
add("2", "COCO by a wrong name", lambda api: api.COCO(path="a"))
add("2", "COCOeval of four", lambda api: api.COCOeval(None, None, "bbox", 1))
add("2", "methods of COCO of nothing", lambda api: api.COCO.getAnnIds())
add("2", "methods of COCO of too much", lambda api: api.COCO().getCatIds(1, 2, 3, 4))

# _isArrayLike

for what in ([], (), "", b"", {}, set(), range(1), np.zeros(1), np.array(1), np.float64(1), 1, None):
    add("2", f"_isArrayLike of {what!r}", lambda api, x: api.coco._isArrayLike(x), what)
add("2", "_isArrayLike of a view", lambda api: api.coco._isArrayLike({}.keys()))
add("2", "_isArrayLike of an iterator", lambda api: api.coco._isArrayLike(iter([])))
add("2", "_isArrayLike of a generator", lambda api: api.coco._isArrayLike(i for i in ()))

# RLEs and Masks

for n in (0, 1, 3, 2.7, True, np.int64(2), -1, None, "1", [], 2**70):
    add("2", f"RLEs of {n!r}", lambda api, n: api._mask.RLEs(n), n)
add("2", "RLEs of nothing", lambda api: api._mask.RLEs())
add("2", "RLEs by name", lambda api: api._mask.RLEs(n=2))
add("2", "RLEs has n", lambda api: api._mask.RLEs(4).n)
add("2", "type of n", lambda api: type(api._mask.RLEs(4).n).__name__)
add("2", "RLEs has nothing else", lambda api: api._mask.RLEs(4).h)
add("2", "RLEs has no length", lambda api: hasattr(api._mask.RLEs(4), "__len__"))
add("2", "RLEs cannot be indexed", lambda api: hasattr(api._mask.RLEs(4), "__getitem__"))
add("2", "RLEs cannot be iterated", lambda api: hasattr(api._mask.RLEs(4), "__iter__"))
add("2", "RLEs cannot be pickled", lambda api: pickle.dumps(api._mask.RLEs(1)))
add("2", "RLEs cannot be copied", lambda api: copy.copy(api._mask.RLEs(1)))
add("2", "RLEs cannot be deeply copied", lambda api: copy.deepcopy(api._mask.RLEs(1)))
add("2", "module of RLEs", lambda api: (api._mask.RLEs.__module__, api._mask.RLEs.__qualname__))
add("2", "module of Masks", lambda api: (api._mask.Masks.__module__, api._mask.Masks.__qualname__))
add("2", "Masks of nothing", lambda api: hasattr(api._mask.Masks(0, 0, 0), "n"))
add("2", "Masks cannot be pickled", lambda api: pickle.dumps(api._mask.Masks(1, 1, 1)))


def layout(api: Api, *sizes):
    made = np.array(api._mask.Masks(*sizes))  # whose bytes are whatever they were
    return made.shape, made.dtype, made.flags.f_contiguous


for sizes in ((3, 4, 2), (0, 4, 2), (1, 1, 1)):
    add("2", f"an array of Masks of {sizes}", layout, *sizes)
for name, made in {"one": [of(L)], "none": [], "several": [of(L), rle(2, 3, [6]), rle(2, 3, [])]}.items():
    add(
        "2",
        f"_toString of _frString of {name}",
        lambda api, x: api._mask._toString(api._mask._frString(x)),
        made,
    )
    add("2", f"n of _frString of {name}", lambda api, x: api._mask._frString(x).n, made)
for what in ([], 5, "a", {}):
    add("2", f"_toString of {what!r}", lambda api, x: api._mask._toString(x), what)
    add("2", f"_frString of {what!r}", lambda api, x: api._mask._frString(x), what)
add("2", "_toString of fresh RLEs", lambda api: api._mask._toString(api._mask.RLEs(2)))
add("2", "_toString by name", lambda api: api._mask._toString(Rs=api._mask.RLEs(1)))
add("2", "_frString by name", lambda api: api._mask._frString(rleObjs=[]))
for name in ("area", "toBbox", "merge", "_frString"):
    add("2", f"{name} of RLEs", lambda api, n=name: getattr(api._mask, n)(api._mask.RLEs(1)))


@behaviour.each
def test_modules(behaviour, way):
    behaviour.check()


# Ours alone: what Cython's functions say, or not, depends on how they were built


@pytest.mark.parametrize("name", RAW)
def test_raw_functions_have_signatures(name):
    parameters = list(inspect.signature(getattr(OWN._mask, name)).parameters)
    expected = {"merge": ["rleObjs", "intersect"], "iou": ["dt", "gt", "pyiscrowd"], "encode": ["mask"]}
    assert parameters == expected.get(name, parameters)
    assert parameters


# install()


def imported() -> tuple[str, ...]:
    import pycocotools.cocoeval
    import pycocotools.mask
    from pycocotools import mask
    from pycocotools.coco import COCO

    assert mask is pycocotools.mask
    return COCO.__module__, pycocotools.cocoeval.COCOeval.__module__, mask.__name__


THEIRS = ("pycocotools.coco", "pycocotools.cocoeval", "pycocotools.mask")
OURS = tuple(f"maskmill.{name}" for name in THEIRS)


def test_install_for_a_while():
    assert imported() == THEIRS
    with maskmill.pycocotools.install():
        assert maskmill.pycocotools.installed()
        assert imported() == OURS
    assert imported() == THEIRS
    assert not maskmill.pycocotools.installed()


def test_install_and_uninstall():
    maskmill.pycocotools.install()
    try:
        maskmill.pycocotools.install()  # once is enough
        assert imported() == OURS
        with maskmill.pycocotools.install():
            pass
        assert imported() == OURS, "a with statement ends only what it began"
    finally:
        maskmill.pycocotools.uninstall()
    assert imported() == THEIRS
    maskmill.pycocotools.uninstall()
    assert imported() == THEIRS


def test_uninstall_after_an_error():
    with pytest.raises(KeyError), maskmill.pycocotools.install():
        raise KeyError
    assert imported() == THEIRS


def test_the_installed_package_looks_like_a_package():
    with maskmill.pycocotools.install():
        import pycocotools

        assert importlib.util.find_spec("pycocotools") is not None
        assert pycocotools.__path__
        assert pycocotools.__author__ == "tylin"
        assert not hasattr(pycocotools, "__version__")
        assert {"mask", "_mask", "coco", "cocoeval"} <= set(vars(pycocotools))
        assert sys.modules["pycocotools._mask"] is OWN._mask


def dataset() -> dict:
    return {
        "images": [{"id": 1, "height": 5, "width": 5}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "area": 4, "iscrowd": 0, "bbox": [1, 1, 2, 2]}
        ],
    }


def test_pickles_of_pycocotools_load_after_install():
    theirs = REF.COCO()
    theirs.dataset = dataset()
    theirs.createIndex()
    dumped = pickle.dumps((theirs, REF.Params("bbox"), REF.COCOeval(iouType="bbox")))
    with maskmill.pycocotools.install():
        coco, params, evaluation = pickle.loads(dumped)
    assert type(coco) is OWN.COCO
    assert coco.dataset == theirs.dataset
    assert coco.anns[1] is coco.dataset["annotations"][0]
    assert coco.getAnnIds(1) == [1]
    assert type(params) is OWN.Params
    assert params.maxDets == [1, 10, 100]
    assert type(evaluation) is OWN.COCOeval
    assert evaluation.evalImgs == {}


def test_own_pickles_load_without_install():
    ours = OWN.COCO()
    ours.dataset = dataset()
    ours.createIndex()
    assert type(pickle.loads(pickle.dumps(ours))) is OWN.COCO


def run(*args: str, **environment: str) -> str:
    env = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, env=env, check=True, timeout=60
    )
    return done.stdout.strip()


CODE = "import pycocotools.coco, pycocotools.mask as m; print(pycocotools.coco.COCO.__module__, m.__name__)"


def test_a_folder_for_pythonpath():
    path = os.pathsep.join([maskmill.pycocotools.path(), os.environ.get("PYTHONPATH", ""), *sys.path])
    assert run("-c", CODE, PYTHONPATH=path) == "maskmill.pycocotools.coco maskmill.pycocotools.mask"


def test_scripts_can_be_run(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"import sys\n{CODE}\nprint(sys.argv[1:])")
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), *sys.path])
    printed = run("-m", "maskmill.pycocotools", str(script), "--epochs", "3", PYTHONPATH=path)
    assert printed.split("\n")[0] == "maskmill.pycocotools.coco maskmill.pycocotools.mask"
    assert printed.endswith("['--epochs', '3']")
