"""The plan of the house, which README's map tells: who may talk to whom, and that every kernel has its twins."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CPP, PYTHON = ROOT / "cpp", ROOT / "python" / "maskmill"

pytestmark = pytest.mark.skipif(not CPP.is_dir(), reason="needs a checkout with its sources")

# Kernels

KERNELS = sorted(path.stem for path in (CPP / "kernels").glob("*.hpp"))

CUDA_LATER = "the CUDA module is work of its own, on the same contracts"
ON_GPU = {"features", "hamming", "hashes", "matching", "overlap", "patches", "polygons", "rle", "setops"}
MISSING = {
    "cuda": {
        **dict.fromkeys(set(KERNELS) - ON_GPU, CUDA_LATER),
        "coco_json": "text is parsed where it is read, and that is not on a GPU",
        "coco_rle": "pycocotools' arithmetic on malformed masks, for one call at a time",
    },
    "face": {
        "matching": "its face is maskmill.pycocotools.cocoeval",
        "coco_rle": "its face is maskmill.pycocotools.mask",
    },
}
"""Twins that a kernel lacks, and why."""

PLACES = {
    "source": "cpp/kernels/{}.cpp",
    "binding": "cpp/bindings/{}.cpp",
    "cuda": "cpp/kernels/{}.cu",
    "numba": "python/maskmill/_numba/{}.py",
    "face": "python/maskmill/{}.py",
    "test": "tests/test_{}.py",
    "benchmark": "benchmarks/bench_{}.py",
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("place", PLACES)
def test_kernel_has_its_twins(kernel, place):
    path = ROOT / PLACES[place].format(kernel)
    reason = MISSING.get(place, {}).get(kernel)
    if reason is None:
        assert path.exists(), f"write {path.relative_to(ROOT)}, or say in MISSING why there is none"
    else:
        assert not path.exists(), f"there is a {path.relative_to(ROOT)}: take it out of MISSING"


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_name_in_every_layer(kernel):
    """Functions of a kernel's header are bound and twinned under the kernel's name."""
    twin = (PYTHON / "_numba" / f"{kernel}.py").read_text(encoding="utf-8")
    bindings = [CPP / "bindings" / f"{kernel}.cpp", *(CPP / "bindings").glob(f"{kernel}_further.cpp")]
    binding = "".join(path.read_text(encoding="utf-8") for path in bindings)
    bound = set(re.findall(r'm\.def\(\s*"(\w+)"', binding))
    bound = {name for name in bound if name.startswith(f"{kernel}_")}
    twinned = set(re.findall(r"^def ([a-z]\w*)", twin, re.M))
    assert bound, f"{kernel} binds nothing"
    assert bound <= twinned, f"_numba/{kernel}.py lacks {sorted(bound - twinned)}"


# C++


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(encoding="utf-8"), re.M)


def sources(folder: str) -> list[Path]:
    return sorted(path for path in (CPP / folder).iterdir() if path.suffix in (".cpp", ".hpp", ".inl", ".cu"))


ALLOWED = {
    "support": ("support/",),
    "kernels": ("support/", "kernels/"),
    "bindings": ("support/", "kernels/", "bindings/"),
}


@pytest.mark.parametrize("folder", ALLOWED)
def test_cpp_layers(folder):
    for path in sources(folder):
        for included in includes(path):
            inside = included.partition("/")[0] in ALLOWED
            assert not inside or included.startswith(ALLOWED[folder]), f"{path.name} includes {included}"
            python = included.startswith(("pybind11", "Python.h", "numpy/"))
            assert folder == "bindings" or not python, f"{path.name} knows of Python: {included}"


def test_kernels_use_each_other_in_one_direction():
    graph: dict[str, set[str]] = {}
    for path in sources("kernels"):
        own = next(
            kernel for kernel in sorted(KERNELS, key=len, reverse=True) if path.stem.startswith(kernel)
        )
        used = {Path(name).stem for name in includes(path) if name.startswith("kernels/")}
        graph.setdefault(own, set()).update(used - {own})
    list(TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize(
    "path", [*sources("kernels"), *sources("support")] if CPP.is_dir() else [], ids=lambda p: p.name
)
def test_kernels_keep_to_their_arguments(path):
    """No files, environment or output, no threads but those of parallel_for."""
    text = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
    forbidden = r"\b(fopen|ifstream|ofstream|getenv|printf|std::cout|std::cerr|abort|exit)\s*[(<;]|#include <iostream>"
    assert not re.search(forbidden, text)
    if path.stem not in ("parallel", "cuda_send"):  # callers of the latter may be threads
        assert not re.search(r"std::(thread|mutex|async)\b", text)


# Python

LEVELS = [
    {"_version", "_files", "_jobs", "_pickles", "_numba"},
    {"_device"},
    {"_backend"},
    {"_check", "_images"},
    {"polygons", "_hash_profile", "_feature_plans"},
    {
        "rle",
        "setops",
        "geometry",
        "overlap",
        "morphology",
        "outlines",
        "measures",
        "features",
        "_picture",
        "hashes",
        "hamming",
        "crf",
        "perceptron",
    },
    {"patches", "vectorize"},
    {"masks"},
    {"coco_json", "dataset"},
    {"pycocotools", "io"},
    {"dedupe", "densify"},
    {"studies"},
    {"scale"},
    {"", "evaluate"},  # "" is maskmill itself
    {"plot", "show", "demo", "benchmarks", "fetch"},
    {"cli"},
    {"__main__"},
]
"""A file may import from levels below its own, and from its own folder."""

LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
HOME = {
    "Masks": "masks",
    "Dataset": "dataset",
    "FormatError": "_files",
    "use_backend": "_backend",
    "__version__": "_version",
}
"""Where the names live that maskmill itself gives out."""


def room(path: Path) -> str:
    first = path.relative_to(PYTHON).parts[0]
    return first.removesuffix(".py").replace("__init__", "")


def imported(tree: ast.AST) -> Iterator[str]:
    """Rooms that a file imports from when it runs; imports for type checkers alone do not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "maskmill":
            for alias in node.names:
                yield HOME.get(alias.name, alias.name)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("maskmill."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("maskmill."):
                    yield alias.name.split(".")[1]
        yield from imported(node)


FILES = sorted(PYTHON.rglob("*.py")) if PYTHON.is_dir() else []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PYTHON)))
def test_python_layers(path):
    own = room(path)
    assert own in LEVEL, f"{own} has no level: give it one in LEVELS, and a line in README's map"
    for other in imported(ast.parse(path.read_text(encoding="utf-8"))):
        if other == "_core":
            assert own == "_backend", "who computes is chosen in _backend.py alone"
        elif other != own:
            assert LEVEL[other] < LEVEL[own], f"{own} must not import {other}"


HEAVY = ("numba", "matplotlib", "cv2", "pyarrow", "rich", "scipy", "orjson", "tifffile", "multiprocessing")


def test_import_is_light():
    code = f"import sys, maskmill; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_map_in_readme():
    """Every room is in README's map."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in KERNELS:
        assert f"`{name}`" in text, f"README's map lacks the kernel {name}"
    for name in sorted({room(path) for path in FILES} - {"", "__main__", "_version"} - set(KERNELS)):
        assert name in text, f"README's map lacks {name}"
