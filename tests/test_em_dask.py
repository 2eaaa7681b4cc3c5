"""The same bytes from a cluster, also when a worker is killed."""

from __future__ import annotations

import os
import signal

import pytest

from maskmill import scale
from maskmill.io.volumes import write_volume
from maskmill.studies.em.patchify import patchify
from maskmill.studies.em.plan import Grid
from maskmill.studies.em.settings import Settings
from test_em_patchify import images, smooth, tree

pytest.importorskip("distributed")
pytest.importorskip("nrrd")
pytest.importorskip("pyarrow")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_cluster_that_loses_a_worker(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(6):
        write_volume(tmp_path / f"in/v{number}.nrrd", smooth((60, 70, 90), number), spacing=(8, 8, 8))
    images(tmp_path / "in/flat", [(64, 64), (70, 40)])
    settings = Settings(grid=Grid(crop=32))
    patchify([str(tmp_path / "in")], tmp_path / "expected", settings, memory=3_000_000)
    with scale.executor("local:3") as executor:
        killed = []

        def kill(stage, done, total):
            if stage == "hashing" and done == 2 and not killed:
                assert total > 6
                killed.append(executor._client.run(os.getpid))
                os.kill(next(iter(killed[0].values())), signal.SIGKILL)

        report = patchify(
            [str(tmp_path / "in")],
            tmp_path / "out",
            settings,
            memory=3_000_000,
            executor=executor,
            progress=kill,
        )
    assert killed
    assert len(killed[0]) == 3
    assert report.failed == []
    assert tree(tmp_path / "out") == tree(tmp_path / "expected")
