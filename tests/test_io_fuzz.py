"""Damaged files of every format: they open as something, or raise an error that names them; nothing crashes."""

from __future__ import annotations

import bz2
import gzip
import json
import shutil
import zlib

import numpy as np
import pytest

from maskmill import FormatError
from maskmill.io.images import read_image
from maskmill.io.volumes import open_volume, write_volume

for module in ("nrrd", "mrcfile", "nibabel", "h5py", "tensorstore", "tifffile"):
    pytest.importorskip(module)

ROUNDS = 120
ARRAY = np.random.default_rng(5).integers(0, 50, (4, 24, 32)).astype(np.int16)


def make_nrrd(path):
    write_volume(path / "v.nrrd", ARRAY, spacing=(1, 2, 3), unit="nm")


def make_nrrd_gz(path):
    head = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 32 24 4\nencoding: gzip\nendian: little\n\n"
    (path / "v.nrrd").write_bytes(head + gzip.compress(ARRAY.tobytes()))


def make_mrc(path):
    write_volume(path / "v.mrc", ARRAY)


def make_mrc_bz2(path):
    write_volume(path / "v.mrc", ARRAY)
    (path / "v.mrc.bz2").write_bytes(bz2.compress((path / "v.mrc").read_bytes()))
    (path / "v.mrc").unlink()


def make_tiff(path):
    write_volume(path / "v.tif", ARRAY)


def make_tiff_zlib(path):
    import tifffile

    tifffile.imwrite(path / "v.tif", ARRAY, compression="zlib", tile=(16, 16), photometric="minisblack")


def make_nifti(path):
    import nibabel

    nibabel.save(nibabel.Nifti1Image(ARRAY.T, np.eye(4)), path / "v.nii")


def make_nifti_gz(path):
    import nibabel

    nibabel.save(nibabel.Nifti2Image(ARRAY.T, np.eye(4)), path / "v.nii.gz")


def make_hdf5(path):
    import h5py

    with h5py.File(path / "v.h5", "w") as file:
        file.create_dataset("raw", data=ARRAY, chunks=(2, 8, 8), compression="gzip")


def make_png(path):
    import cv2

    cv2.imwrite(str(path / "v.png"), ARRAY[0].astype(np.uint8))


def make_jpeg(path):
    import cv2

    cv2.imwrite(str(path / "v.jpg"), ARRAY[0].astype(np.uint8))


def make_zarr(path):
    container(path / "v.zarr", "zarr", ARRAY)
    (path / "v.zarr" / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["z", "y", "x"]}')


def make_zarr3(path):
    container(path / "v.zarr", "zarr3", ARRAY)


def make_n5(path):
    container(path / "v.n5", "n5", ARRAY.T)


def container(path, driver, array):
    import tensorstore

    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(path)}}
    tensorstore.open(spec, create=True, dtype=array.dtype, shape=array.shape).result()[...] = array


MAKERS = {
    name.removeprefix("make_"): thing for name, thing in list(globals().items()) if name.startswith("make_")
}


def damaged(data, rng):
    """Bytes cut short, flipped, set to extremes, doubled or taken out."""
    kind, at = rng.integers(6), int(rng.integers(len(data)))
    if rng.random() < 0.5:
        at = int(rng.integers(min(len(data), 400)))  # headers are in front
    data = bytearray(data)
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"9999"])
    elif kind == 3:
        data[at:at] = data[at : at + int(rng.integers(1, 64))]
    elif kind == 4:
        del data[at : at + int(rng.integers(1, 64))]
    else:
        for place in rng.integers(0, len(data), 8):
            data[place] = int(rng.integers(256))
    return bytes(data)


def tried(path):
    """Opens, reads a corner and the last voxel; True if that went well."""
    try:
        with open_volume(path) as volume:
            d, h, w = volume.shape
            volume.read((0, min(d, 8), 0, min(h, 64), 0, min(w, 64)))
            volume.read((d - 1, d, h - 1, h, w - 1, w))
            return True
    except (FormatError, OSError) as error:
        named = path.name.split(".")[0] in str(error)
    except ValueError as error:  # what options could mend
        named = "must be" in str(error)
    assert named
    return False


@pytest.mark.parametrize("name", MAKERS)
def test_damaged_files(tmp_path, name):
    sound = tmp_path / "sound"
    sound.mkdir()
    MAKERS[name](sound)
    (whole,) = sound.iterdir()
    assert tried(whole)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    files = [whole] if whole.is_file() else sorted(p for p in whole.rglob("*") if p.is_file())
    failed = 0
    for _ in range(ROUNDS):
        victim = files[int(rng.integers(len(files)))]
        copy = tmp_path / whole.name
        if whole.is_file():
            copy.write_bytes(damaged(victim.read_bytes(), rng))
        else:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(whole, copy)
            (copy / victim.relative_to(whole)).write_bytes(damaged(victim.read_bytes(), rng))
        failed += not tried(copy)
    assert failed > ROUNDS // 10


@pytest.mark.parametrize("name", ["png", "jpeg", "tiff"])
def test_damaged_images(tmp_path, name):
    MAKERS[name](tmp_path)
    (path,) = tmp_path.iterdir()
    data, rng = path.read_bytes(), np.random.default_rng(1)
    for _ in range(ROUNDS):
        path.write_bytes(damaged(data, rng))
        try:
            good = read_image(path).ndim in (2, 3)
        except (FormatError, OSError) as error:
            good = path.name in str(error)
        assert good


def test_lying_metadata(tmp_path):
    """Sizes that would take all memory."""
    container(tmp_path / "v.zarr", "zarr", ARRAY)
    meta = json.loads((tmp_path / "v.zarr" / ".zarray").read_text())
    (tmp_path / "v.zarr" / ".zarray").write_text(json.dumps({**meta, "chunks": [10**4, 10**4, 10**4]}))
    with pytest.raises(FormatError, match="2 GiB"):
        open_volume(tmp_path / "v.zarr")
