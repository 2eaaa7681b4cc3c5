from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator

import pytest

if importlib.util.find_spec("pycocotools") is None:
    collect_ignore_glob = ["test_*.py"]


def pytest_report_header() -> str:
    if importlib.util.find_spec("pycocotools") is None:
        return "conformance: not tested, since there is no pycocotools to compare with"
    return f"conformance: with pycocotools {importlib.metadata.version('pycocotools')}; that of 2.0.11 is expected"


@pytest.fixture(params=["compiled", "generic", "numba"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test is run once per way through our own code, see harness.py."""
    from conformance import harness

    reason = harness.why_not(request.param)
    if reason is not None:
        pytest.skip(reason)
    with harness.going(request.param):
        yield request.param
