"""The definition of cem-dataset's curation that lies beside the shared data; tests that need it skip without."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def oracle(data: Path) -> ModuleType:
    path = data.parent / "spec" / "reference" / "cem_dedupe.py"
    if not path.is_file():
        pytest.skip(f"no {path}")
    spec = importlib.util.spec_from_file_location("cem_dedupe", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
