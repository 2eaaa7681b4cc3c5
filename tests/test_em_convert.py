"""maskmill em clean, video2stack and mrc2byte: what they write, and what they say of bad input."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from maskmill import cli
from maskmill.io._volume import to_luminance
from maskmill.io.images import read_image
from maskmill.io.video import open_video
from maskmill.io.volumes import open_volume, write_volume
from maskmill.studies.em.clean import clean
from maskmill.studies.em.mrc2byte import mrc2byte
from maskmill.studies.em.video2stack import stack_name, video2stack

cv2 = pytest.importorskip("cv2")
tifffile = pytest.importorskip("tifffile")
mrcfile = pytest.importorskip("mrcfile")
nrrd = pytest.importorskip("nrrd")


def em(*words):
    return cli.main(["em", *map(str, words), "--quiet"])


@pytest.fixture
def groups(tmp_path):
    """Two groups of images of several kinds, and what does not belong there."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    images = {
        "a/gray.png": rng.integers(0, 256, (30, 40), np.uint8),
        "a/deep.png": rng.integers(0, 65536, (30, 40), np.uint16),
        "a/deep.tif": rng.integers(0, 4096, (30, 40), np.uint16),
        "b/colour.png": rng.integers(0, 256, (20, 30, 3), np.uint8),
        "b/signed.tif": rng.integers(-32768, 32768, (20, 30)).astype(np.int16),
        "b/float.tif": rng.random((20, 30)).astype(np.float32),
    }
    for name, image in images.items():
        if name.endswith(".tif"):
            tifffile.imwrite(folder / name, image, photometric="minisblack")
        else:
            cv2.imwrite(str(folder / name), image[..., ::-1] if image.ndim == 3 else image)
    return folder, images


# clean


def test_clean(groups, tmp_path, capsys):
    folder, images = groups
    (folder / "loose.png").write_bytes(b"")
    (folder / "a" / "notes.txt").write_text("")
    assert em("clean", folder, "-o", tmp_path / "out") == 0
    assert "wrote 6, failed 0, ignored 2" in capsys.readouterr().out
    expected = {
        "a/gray.png": images["a/gray.png"],
        "a/deep.png": images["a/deep.png"] // 257,
        "a/deep.tif": images["a/deep.tif"] // 257,
        "b/colour.png": images["b/colour.png"][..., 0],
        "b/signed.tif": ((images["b/signed.tif"].astype(int) + 32768) // 257),
        "b/float.tif": (images["b/float.tif"] * np.float32(255)).astype(np.uint8),
    }
    for name, image in expected.items():
        found = read_image(tmp_path / "out" / name)
        assert found.dtype == np.uint8
        assert np.array_equal(found, image), name
    assert (tmp_path / "out" / "a" / "gray.png").read_bytes() == (folder / "a" / "gray.png").read_bytes()


def test_clean_scales_a_group_by_one_rule(groups, tmp_path):
    folder, images = groups
    report = clean(folder, tmp_path / "out", policy="minmax")
    assert len(report.done) == 6
    both = np.concatenate([images["a/deep.png"], images["a/deep.tif"]]).astype(float)
    for name in ("a/deep.png", "a/deep.tif"):
        scaled = np.clip((images[name] - both.min()) * 255 / (both.max() - both.min()), 0, 255).astype(
            np.uint8
        )
        assert np.array_equal(read_image(tmp_path / "out" / name), scaled)


def test_clean_lists_what_fails(groups, tmp_path, capsys):
    folder, images = groups
    data = (folder / "a" / "deep.png").read_bytes()
    (folder / "a" / "deep.png").write_bytes(data[: len(data) // 2])
    tifffile.imwrite(folder / "b" / "float.tif", images["b/float.tif"] * 255, photometric="minisblack")
    tifffile.imwrite(folder / "b" / "stack.tif", np.zeros((3, 8, 9), np.uint8), photometric="minisblack")
    assert em("clean", folder, "-o", tmp_path / "out") == 3
    out, err = capsys.readouterr()
    assert "wrote 4, failed 3" in out
    assert "deep.png: expected the chunk IEND" in err
    assert "float.tif: there are floats outside of 0 to 1" in err
    assert "stack.tif: expected an image, found a stack of 3" in err
    assert not (tmp_path / "out" / "a" / "deep.png").exists()
    assert em("clean", folder, "-o", tmp_path / "out", "--scale", "cem") == 3
    assert "signed.tif: there are negative voxels" in capsys.readouterr().err


def test_clean_in_place_and_dry(groups, tmp_path, capsys):
    folder, images = groups
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    assert em("clean", folder, "--in-place", "--dry-run", "--channel", "luminance") == 0
    assert "would write 6" in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in folder.rglob("*.*")}
    assert em("clean", folder, "--in-place", "-p", 1) == 0
    for name in images:
        assert read_image(folder / name).dtype == np.uint8
    assert (folder / "a" / "gray.png").read_bytes() == before[folder / "a" / "gray.png"]
    after = {path: path.read_bytes() for path in folder.rglob("*.*")}
    assert em("clean", folder, "--in-place") == 0
    assert after == {path: path.read_bytes() for path in folder.rglob("*.*")}


def test_clean_refuses(groups, tmp_path, capsys):
    folder, _ = groups
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for words, message in [
        ((folder,), "say where to write with -o SAVEDIR"),
        ((folder, "-o", folder), "must not lie within"),
        ((folder, "-o", folder / "a"), "must not lie within"),
        ((tmp_path / "nothing", "-o", tmp_path / "out"), "No such file"),
        ((tmp_path / "empty", "-o", tmp_path / "out"), "a sub-folder for each group"),
        ((tmp_path / "file", "-o", tmp_path / "out"), "Not a directory"),
        ((folder, "-o", tmp_path / "out", "--scale", "bright"), "policy must be one of"),
        ((folder, "-o", tmp_path / "out", "-p", "0"), "--processes must be 1 or more, not 0"),
    ]:
        assert em("clean", *words) == 2
        assert message in capsys.readouterr().err
    assert em("clean", folder, "-o", tmp_path / "file") == 2  # where no folder can be
    assert "must be a folder, and is a file" in capsys.readouterr().err
    (folder / "c").mkdir()  # an empty group is an empty result
    assert em("clean", folder, "-o", tmp_path / "out") == 0


# video2stack


def make_video(path, frames, fps=12.5):
    codec = cv2.VideoWriter_fourcc(*("MJPG" if path.suffix.lower() in (".avi", ".mkv") else "mp4v"))
    writer = cv2.VideoWriter(str(path), codec, fps, frames.shape[2:0:-1])
    if not writer.isOpened():
        pytest.skip(f"OpenCV writes no {path.suffix} here")
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()


def smooth(n=9):
    """Frames of slow gradients, which codecs keep."""
    t, y, x, c = np.mgrid[:n, :48, :64, :3]
    return (40 + 10 * t + y + x + 20 * c).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".MOV", ".mkv"])
def test_video2stack(tmp_path, suffix):
    make_video(tmp_path / f"clip{suffix}", smooth())
    assert em("video2stack", tmp_path / f"clip{suffix}", tmp_path / "out") == 0
    data, header = nrrd.read(str(tmp_path / "out" / "clip_video.nrrd"), index_order="C")
    assert data.shape == (9, 48, 64)
    assert header["frame rate"] == "12.5"
    with open_video(tmp_path / f"clip{suffix}") as video:
        assert np.array_equal(np.stack(list(video.frames())), data)
    with open_volume(tmp_path / "out" / "clip_video.nrrd") as volume:
        assert volume.spacing is None
    # Codecs lose some; the frames are in their order, and gray.
    assert np.abs(data.astype(int) - to_luminance(smooth())).mean((1, 2)).max() < 8


def test_video2stack_options(tmp_path, capsys):
    make_video(tmp_path / "My_Video.avi", smooth())
    assert em("video2stack", tmp_path / "My_Video.avi", tmp_path / "out", "--format", "tif", "--channel", 2,
              "--step", 3, "--start", 1, "--end", 8) == 0  # fmt: skip
    stack = tifffile.imread(tmp_path / "out" / "My_Video.tif")
    with open_video(tmp_path / "My_Video.avi") as video:
        blue = np.stack(list(video.frames(2)))
    assert np.array_equal(stack, blue[1:8:3])
    assert em("video2stack", tmp_path / "My_Video.avi", tmp_path / "out", "--format", "tif") == 3
    assert "is already there: see --overwrite" in capsys.readouterr().err
    assert (
        em("video2stack", tmp_path / "My_Video.avi", tmp_path / "out", "--format", "tif", "--overwrite") == 0
    )
    assert len(tifffile.imread(tmp_path / "out" / "My_Video.tif")) == 9


def test_names_of_stacks():
    """The original made clip._video.nrrd of clip.mp4, and mangled mp4test.mp4."""
    names = {
        "clip.mp4": "clip_video",
        "mp4test.mp4": "mp4test_video",
        "a.b.AVI": "a.b_video",
        "VIDEO1.mov": "VIDEO1",
    }
    assert {name: stack_name(name) for name in names} == names


def test_video2stack_lists_what_fails(tmp_path, capsys):
    folder = tmp_path / "videos"
    folder.mkdir()
    make_video(folder / "a.avi", smooth())
    make_video(folder / "a.mp4", smooth())
    (folder / "broken.mp4").write_bytes((folder / "a.mp4").read_bytes()[:200])
    (folder / "text.mov").write_text("no video")
    (folder / "README.md").write_text("")
    assert em("video2stack", folder, tmp_path / "out") == 3
    out, err = capsys.readouterr()
    assert "wrote 2, failed 2, ignored 1" in out
    assert "broken.mp4: expected a video" in err
    assert sorted(os.listdir(tmp_path / "out")) == ["a_avi_video.nrrd", "a_mp4_video.nrrd"]


def test_video_cut_short(tmp_path):
    make_video(tmp_path / "v.avi", smooth(60))
    data = (tmp_path / "v.avi").read_bytes()
    (tmp_path / "v.avi").write_bytes(data[: len(data) // 2])
    report = video2stack([tmp_path / "v.avi"], tmp_path / "out")
    assert "v.avi: expected" in report.failed[0].reason
    assert os.listdir(tmp_path / "out") == []


def test_video2stack_refuses(tmp_path, capsys):
    make_video(tmp_path / "v.avi", smooth())
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for words, code, message in [
        ((tmp_path / "nothing.mp4", tmp_path / "out"), 2, "No such file"),
        ((tmp_path / "empty", tmp_path / "out"), 2, "there must be a video in"),
        ((tmp_path / "v.avi", tmp_path / "file"), 2, "must be a folder, and is a file"),
        ((tmp_path / "v.avi", tmp_path / "out", "--step", 0), 2, "--step must be 1 or more"),
        ((tmp_path / "v.avi", tmp_path / "out", "--start", 50), 3, "there are 9 in all"),
        ((tmp_path / "v.avi", tmp_path / "out", "--channel", 3), 3, "channel must be"),
    ]:
        assert em("video2stack", *words) == code
        assert message in capsys.readouterr().err


def test_video_real(data, tmp_path):
    frames = [np.load(data / "video" / f"bulk-water_frame{k}.npy") for k in range(2)]
    report = video2stack([data / "video" / "bulk-water.mov"], tmp_path, channel=1, end=2)
    with open_volume(report.done[0][1]) as volume:
        stack = volume.read()
    assert stack.shape == (2, 424, 640)
    assert np.abs(stack.astype(int) - np.stack(frames)[..., 1]).max() <= 1
    with open_video(data / "video" / "bulk-water.mov") as video:
        assert (video.promised, video.count()) == (480, 480)


# mrc2byte


@pytest.fixture
def tomogram(tmp_path):
    array = np.random.default_rng(0).integers(-128, 128, (5, 8, 9)).astype(np.int8)
    folder = tmp_path / "mrc"
    folder.mkdir()
    write_volume(folder / "t.mrc", array, spacing=(3, 2, 2), unit="nm")
    return folder, array


def test_mrc2byte(tomogram, tmp_path):
    folder, array = tomogram
    before = (folder / "t.mrc").read_bytes()
    assert em("mrc2byte", folder, tmp_path / "out") == 0
    with open_volume(tmp_path / "out" / "t.mrc") as volume:
        assert (volume.dtype, volume.spacing) == (np.uint8, pytest.approx((30, 20, 20)))
        assert np.array_equal(volume.read(), array.astype(int) + 128)
    assert (folder / "t.mrc").read_bytes() == before
    with mrcfile.mmap(tmp_path / "out" / "t.mrc") as file:
        assert (file.header.mode, file.header.dmax) == (0, int(array.max()) + 128)
    head = np.fromfile(tmp_path / "out" / "t.mrc", "<i4", 40)
    assert head[38:40].tolist() == [1146047817, 0]  # IMOD's stamp, and that bytes are unsigned
    # Unsigned bytes stay as they are.
    assert em("mrc2byte", tmp_path / "out" / "t.mrc", tmp_path / "twice") == 0
    with open_volume(tmp_path / "twice" / "t.mrc") as volume:
        assert np.array_equal(volume.read(), array.astype(int) + 128)
    assert em("mrc2byte", folder, tmp_path / "raw", "--unsigned") == 0
    with open_volume(tmp_path / "raw" / "t.mrc") as volume:
        assert np.array_equal(volume.read(), array.view(np.uint8))


def test_mrc2byte_binned_and_scaled(tmp_path):
    array = np.random.default_rng(0).normal(3, 50, (5, 8, 9)).astype(np.float32)
    write_volume(tmp_path / "t.mrc", array, spacing=(3, 2, 1), unit="nm")
    assert em("mrc2byte", tmp_path / "t.mrc", tmp_path / "out", "--bin", 2, "--scale", "minmax") == 0
    mean = array[:4, :, :8].reshape(2, 2, 4, 2, 4, 2).mean((1, 3, 5), dtype=float).astype(np.float32)
    low, high = float(array.min()), float(array.max())
    with open_volume(tmp_path / "out" / "tBV2.mrc") as volume:
        assert volume.spacing == pytest.approx((60, 40, 20))
        assert np.array_equal(
            volume.read(), ((mean.astype(float) - low) * 255 / (high - low)).astype(np.uint8)
        )


def test_mrc2byte_lists_what_fails(tomogram, tmp_path, capsys):
    folder, _ = tomogram
    write_volume(folder / "f.mrc", np.full((2, 3, 4), -7, np.float32))
    write_volume(folder / "n.mrc", np.full((2, 3, 4), -7, np.int16))
    (folder / "bad.mrc").write_bytes((folder / "t.mrc").read_bytes()[:1100])
    (folder / "notes.txt").write_text("")
    shutil.copy(folder / "t.mrc", folder / "t.rec")
    assert em("mrc2byte", folder, tmp_path / "out", "--scale", "cem") == 3
    out, err = capsys.readouterr()
    assert "wrote 0, failed 5, ignored 1" in out
    assert em("mrc2byte", folder, tmp_path / "out") == 3
    out, err = capsys.readouterr()
    assert "wrote 3, failed 2, ignored 1" in out
    assert "f.mrc: there are floats outside of 0 to 1" in err
    assert "bad.mrc: expected 360 bytes of voxels" in err
    assert sorted(os.listdir(tmp_path / "out")) == ["n.mrc", "t_mrc.mrc", "t_rec.mrc"]


def test_mrc2byte_refuses(tomogram, tmp_path, capsys):
    folder, _ = tomogram
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for words, code, message in [
        ((tmp_path / "nothing.mrc", tmp_path / "out"), 2, "No such file"),
        ((tmp_path / "empty", tmp_path / "out"), 2, "there must be an MRC file in"),
        ((folder / "t.mrc", tmp_path / "file"), 2, "must be a folder, and is a file"),
        ((folder, tmp_path / "out", "--bin", 0), 2, "--bin must be 1 or more"),
        ((folder, tmp_path / "out", "--bin", 6), 3, "there must be 6 voxels along each axis"),
        ((folder, folder, "--overwrite"), 3, "would replace its input"),
    ]:
        assert em("mrc2byte", *words) == code
        assert message in capsys.readouterr().err
    report = mrc2byte([folder], tmp_path / "out")
    assert len(report.done) == 1
    assert "is already there" in mrc2byte([folder], tmp_path / "out").failed[0].reason


@pytest.mark.skipif(
    os.name == "nt" or getattr(os, "geteuid", lambda: 0)() == 0, reason="root writes anywhere"
)
def test_read_only_output(tomogram, tmp_path, capsys):
    folder, _ = tomogram
    (tmp_path / "out").mkdir(mode=0o500)
    assert em("mrc2byte", folder, tmp_path / "out") == 3
    assert "Permission denied" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing(tomogram, tmp_path, monkeypatch, capsys):
    folder, _ = tomogram

    def full(*_):
        raise OSError(28, "No space left on device", "t.mrc")

    monkeypatch.setattr("maskmill._files.os.replace", full)
    assert em("mrc2byte", folder, tmp_path / "out") == 3
    assert "No space left on device" in capsys.readouterr().err
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("verb", ["clean", "video2stack", "mrc2byte"])
def test_help_teaches(verb, capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["em", verb, "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert "exit codes:" in text
