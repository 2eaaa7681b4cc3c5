"""A run that is killed at any moment is resumed by giving its command again, and nothing shows that it was killed."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from maskmill._files import FormatError
from maskmill.io.volumes import write_volume
from maskmill.studies.em.patchify import patchify
from maskmill.studies.em.plan import Grid
from maskmill.studies.em.select import Rule
from maskmill.studies.em.settings import Settings
from maskmill.studies.em.store import open_store
from test_em_patchify import images, smooth, tree

pytest.importorskip("nrrd")
pytest.importorskip("pyarrow")
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")

# Starting Python takes longer than the work: one process runs the command in as many children as are asked for. Each is
# killed after a time of its own, unless that is nought.
FORKS = """
import os, random, signal, sys, time
import pyarrow.parquet
from maskmill.cli import main

def child(command, limit):
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(main(command))
    if limit:
        time.sleep(limit)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

runs, verb, folder, *command = sys.argv[1:]
random.seed(3)
for number in range(3):  # what the undisturbed run takes; the first also warms the disk
    began = time.monotonic()
    assert child(["em", verb, folder, f"whole{number}", *command], 0) == 0
    whole = time.monotonic() - began
killed = 0
for number in range(int(runs)):
    out = f"killed{number}"
    limits = [random.uniform(0.05, 1) * whole for _ in range(random.randint(1, 3))]
    killed += sum(child(["em", verb, folder, out, *command], limit) == -signal.SIGKILL for limit in limits)
    assert child(["em", verb, folder, out, *command], 0) == 0
print(killed)
"""


@pytest.mark.parametrize(("layout", "runs"), [("store", 6), ("pickle", 3)])
def test_kill_and_resume(tmp_path, layout, runs):
    (tmp_path / "in").mkdir()
    for number in range(6):
        write_volume(tmp_path / f"in/v{number}.nrrd", smooth((70, 90, 100), number), spacing=(8, 8, 8))
    images(tmp_path / "in/flat", [(64, 64), (70, 40)])
    command = ["-cs", "32", "--memory", "1M", "--quiet", "--layout", layout]
    kill_and_compare(tmp_path, runs, "patchify", *command)


def test_kill_and_resume_dedupe(tmp_path):
    for number in range(2):
        volume = smooth((30, 40, 70), number)
        write_volume(tmp_path / f"v{number}.nrrd", volume, spacing=(8, 8, 8))
    keep_all = Settings(grid=Grid(crop=32), rule=Rule(radius=-1), layout="files")
    patchify([str(path) for path in tmp_path.glob("*.nrrd")], tmp_path / "cut", keep_all)
    (tmp_path / "in").mkdir()
    for folder in (tmp_path / "cut").glob("v*"):
        folder.rename(tmp_path / "in" / folder.name)
    kill_and_compare(tmp_path, 3, "dedupe", "-cs", "32", "--quiet")


def kill_and_compare(tmp_path, runs, verb, *command):
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(runs), verb, "in", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    expected = tree(tmp_path / "whole0")
    assert len(expected) > 3
    for out in [*tmp_path.glob("whole*"), *tmp_path.glob("killed*")]:
        assert tree(out) == expected, out
        assert not (out / "work").exists()
    assert int(done.stdout) >= runs // 2  # most were really killed on their way
    assert len(open_store(tmp_path / "killed0")) == len(open_store(tmp_path / "whole0"))


def test_after_a_power_cut(tmp_path, monkeypatch):
    """What was renamed and is not whole is made again."""
    write_volume(tmp_path / "v.nrrd", smooth((40, 70, 90)), spacing=(8, 8, 8))
    settings = Settings(grid=Grid(crop=32))
    patchify([str(tmp_path / "v.nrrd")], tmp_path / "expected", settings)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("maskmill.studies.em.patchify.save", full)
        with pytest.raises(OSError, match="No space"):
            patchify([str(tmp_path / "v.nrrd")], tmp_path / "out", settings)
    next((tmp_path / "out/patches").iterdir()).write_bytes(b"")
    part = next((tmp_path / "out/work/parts").glob("*.parquet"))
    part.write_bytes(b"")
    with pytest.raises(FormatError, match="give the command again"):
        patchify([str(tmp_path / "v.nrrd")], tmp_path / "out", settings)
    patchify([str(tmp_path / "v.nrrd")], tmp_path / "out", settings)
    assert tree(tmp_path / "out") == tree(tmp_path / "expected")
