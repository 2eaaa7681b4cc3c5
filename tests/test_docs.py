"""What the documentation says is true: examples run, links lead somewhere, every public name is explained."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import maskmill
from maskmill import _backend

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(maskmill.__path__, "maskmill.")
    if not re.search(r"\b(_core|benchmarks|_numba|_as_pycocotools|__main__)\b", info.name)
)
PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))] if page.exists()]
in_checkout = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="needs a checkout with its documents")


@pytest.mark.parametrize("name", ["maskmill", *MODULES])
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    if name == "maskmill._backend" and _backend.why_missing("numba") is not None:
        pytest.skip("its example is with Numba")
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_examples_are_found():
    tried = sum(doctest.testmod(importlib.import_module(name)).attempted for name in MODULES)
    assert tried > 20


@pytest.mark.parametrize("name", maskmill.__all__)
def test_public_names_are_explained(name):
    thing = getattr(maskmill, name)
    if name == "__version__":
        return
    assert inspect.getdoc(thing), f"maskmill.{name} has no docstring"
    if inspect.ismodule(thing):
        for key in thing.__all__:
            member = getattr(thing, key)
            assert inspect.getdoc(member), f"maskmill.{name}.{key} has no docstring"


@in_checkout
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@in_checkout
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_pages_runs(page, tmp_path):
    """The ```python blocks of a page, one behind the other, in an empty folder."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    if not blocks:
        pytest.skip("has no Python")
    if page.name == "gpu.md" and _backend.why_missing("cuda") is not None:
        pytest.importorskip(
            "maskmill._cuda_emulated", reason="no CUDA device, and built without MASKMILL_CUDA_EMULATED=ON"
        )
        enter = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import fake_cupy"
        blocks.insert(0, f"{enter}; pretended = fake_cupy.pretended(); pretended.__enter__()")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
