"""A volume that is ten times as large as the memory there is for it."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

from maskmill.io.volumes import write_volume
from maskmill.studies.em.store import open_store
from test_em_patchify import smooth, tree

pytest.importorskip("resource")
pytest.importorskip("nrrd")
pytest.importorskip("pyarrow")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")

MB = 1 << 20
SIDE = 720

# What modules and threads take is there after a first run; then so many bytes more are allowed, 0 for no limit.
LIMITED = """
import os, resource, sys
from pathlib import Path
from maskmill.cli import main

most, *command = sys.argv[1:]
assert main(["em", "patchify", "small.nrrd", "warm", "--quiet", *command[4:]]) == 0
if int(most):
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + int(most),) * 2)
sys.exit(main(command))
"""


def limited(folder, out, most, *more):
    shutil.rmtree(folder / "warm", ignore_errors=True)
    command = [
        sys.executable,
        "-c",
        LIMITED,
        str(most),
        "em",
        "patchify",
        "large.nrrd",
        out,
        "-p",
        "1",
        *more,
    ]
    return subprocess.run(
        [*command, "--quiet"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    write_volume(folder / "small.nrrd", smooth((70, 70, 70)), spacing=(8, 8, 8))
    tile = smooth((60, 60, 60), 1)
    slabs = (np.tile(tile, (1, SIDE // 60, SIDE // 60)) for _ in range(SIDE // 60))
    write_volume(folder / "large.nrrd", slabs, (SIDE,) * 3, "uint8", spacing=(8, 8, 8))
    return folder


def test_ten_times_the_memory(volumes):
    most = (volumes / "large.nrrd").stat().st_size // 10
    done = limited(volumes, "out", most, "--memory", "2M", "-cs", "128", "-s", "4")
    assert done.returncode == 0, done.stderr
    store = open_store(volumes / "out")
    assert 0 < len(store) < len(store.audit["id"])


def test_too_little_memory_is_said_and_nothing_is_lost(volumes):
    done = limited(volumes, "short", 8 * MB)
    assert done.returncode == 2
    assert done.stderr.startswith("maskmill em patchify: there is not enough memory (")
    assert "a smaller --memory" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (volumes / "short/work").exists()
    assert limited(volumes, "short", 0).returncode == 0
    assert limited(volumes, "whole", 0).returncode == 0
    assert tree(volumes / "short") == tree(volumes / "whole")
