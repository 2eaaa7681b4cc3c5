"""maskmill em patchify of videos: frames as xy slices, decoded forward, as of the stack that video2stack makes."""

from __future__ import annotations

import numpy as np
import pytest

from maskmill._jobs import Serial, Threads
from maskmill.io.volumes import open_volume
from maskmill.studies.em.patchify import patchify
from maskmill.studies.em.plan import Grid
from maskmill.studies.em.settings import Settings
from maskmill.studies.em.store import open_store
from maskmill.studies.em.video2stack import video2stack
from test_em_convert import make_video
from test_em_patchify import smooth, tree

pytest.importorskip("nrrd")
pytest.importorskip("pyarrow")


@pytest.fixture
def video(tmp_path):
    (tmp_path / "in").mkdir()
    make_video(tmp_path / "in/clip.avi", smooth((50, 96, 64), 1)[..., None].repeat(3, -1))
    return tmp_path / "in/clip.avi"


@pytest.mark.parametrize("layout", ["store", "files", "pickle"])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_video_is_its_stack(video, tmp_path, layout, legacy):
    """Names, order and pixels; frames are cut along time only."""
    video2stack([video], tmp_path / "stacks", channel=0)
    settings = Settings(grid=Grid(crop=32), layout=layout, legacy=legacy)
    outs = tmp_path / "of_video", tmp_path / "of_stack"
    for given, out in zip((video.parent, tmp_path / "stacks"), outs, strict=True):
        assert patchify([str(given)], out, settings).failed == []
    found, expected = map(open_store, outs)
    assert len(found) > 0
    for column in ("name", "dataset", "axis", "code", "rank", "shard", "page"):
        assert found.manifest[column].tolist() == expected.manifest[column].tolist(), column
    for left, right in zip(found.patches(), expected.patches(), strict=True):
        assert np.array_equal(left, right)
    assert found.manifest["name"][0].startswith("clip_video-LOC-0_")


@pytest.mark.parametrize("make", [Serial, lambda: Threads(3)])
def test_memory_and_threads_do_not_matter(video, tmp_path, make):
    settings = Settings(grid=Grid(crop=16))
    patchify([str(video)], tmp_path / "expected", settings)
    with make() as executor:
        patchify([str(video)], tmp_path / "out", settings, memory=200_000, executor=executor)
    assert tree(tmp_path / "out") == tree(tmp_path / "expected")


def test_boxes_of_frames_in_any_order(video):
    with open_volume(video) as volume:
        whole = volume.read()
        assert volume.shape == whole.shape == (50, 96, 64)
        assert volume.spacing is None
        for z0, z1 in [(40, 50), (3, 7), (7, 9), (8, 12)]:
            assert np.array_equal(volume.read((z0, z1, 5, 9, 0, 64)), whole[z0:z1, 5:9])
        with pytest.raises(ValueError, match="channel must be"):
            open_volume(video, channel=3)


def test_a_video_that_is_cut_short_fails_alone(video, tmp_path):
    (video.parent / "short.avi").write_bytes(video.read_bytes()[:9000])
    report = patchify([str(video.parent)], tmp_path / "out", Settings(grid=Grid(crop=32)))
    assert [path.rpartition("short")[2] for path, _ in report.failed] == [".avi"]
    assert report.kept > 0


def test_a_video_and_its_stack_have_two_names(video, tmp_path):
    video2stack([video], video.parent)
    patchify([str(video.parent)], tmp_path / "out", Settings(grid=Grid(crop=32)))
    assert set(open_store(tmp_path / "out").manifest["dataset"].tolist()) == {
        "clip_video_avi",
        "clip_video_nrrd",
    }
