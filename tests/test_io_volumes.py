"""Readers and writers of volumes: what the reference libraries write is read the same, and real files."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import shutil

import numpy as np
import pytest

from maskmill import FormatError
from maskmill.io import volumes
from maskmill.io._volume import to_luminance
from maskmill.io.images import read_image
from maskmill.io.volumes import base_name, list_volumes, open_volume, unique_names, write_volume

nrrd = pytest.importorskip("nrrd")
mrcfile = pytest.importorskip("mrcfile")
nibabel = pytest.importorskip("nibabel")
h5py = pytest.importorskip("h5py")
tensorstore = pytest.importorskip("tensorstore")
tifffile = pytest.importorskip("tifffile")

SHAPE = (5, 7, 11)
BOXES = [
    None,
    (0, 5, 0, 7, 0, 11),
    (2, 3, 1, 6, 4, 9),
    (4, 5, 6, 7, 10, 11),
    (1, 1, 0, 7, 0, 11),
    (0, 5, 3, 4, 2, 3),
]


def voxels(dtype="uint8", shape=SHAPE, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.normal(0, 100, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def same(path, expected, **options):
    """Every box of a file is that of the array; the volume's own words."""
    with open_volume(path, **options) as volume:
        assert volume.shape == expected.shape
        assert volume.dtype == expected.dtype
        assert volume.dtype.isnative
        for box in BOXES if expected.shape == SHAPE else [None]:
            z0, z1, y0, y1, x0, x1 = box or (0, expected.shape[0], 0, expected.shape[1], 0, expected.shape[2])
            part = expected[z0:z1, y0:y1, x0:x1]
            found = volume.read(box)
            assert found.shape == part.shape
            assert np.array_equal(found, part)
            out = np.empty_like(part)
            assert volume.read(box, out) is out
            assert np.array_equal(out, part)
        assert np.array_equal(np.concatenate(list(volume.slabs(100))), expected)
        return volume


# Every type, there and back


@pytest.mark.parametrize("suffix", ["nrrd", "tif", "ome.tif", "mrc"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "float32", "float64"])
def test_written_is_read(tmp_path, dtype, suffix):
    array, path = voxels(dtype), tmp_path / f"v.{suffix}"
    if suffix == "mrc" and dtype in ("uint32", "float64"):
        with pytest.raises(ValueError, match=f"mrc has no voxels of {dtype}"):
            write_volume(path, array)
        assert list(tmp_path.iterdir()) == []
        return
    write_volume(path, array, spacing=(40, 4, 4.5), unit="nm")
    volume = same(path, array)
    assert volume.name == "v"
    scale = 10 if suffix == "mrc" else 1
    assert volume.spacing == pytest.approx((40 * scale, 4 * scale, 4.5 * scale), rel=1e-6)
    assert volume.unit == ("angstrom" if suffix == "mrc" else "nm")


def test_reference_libraries_read_what_is_written(tmp_path):
    array = voxels("int16")
    write_volume(tmp_path / "v.nrrd", array, spacing=(3, 2, 1), notes={"frame rate": "25.0"})
    data, header = nrrd.read(str(tmp_path / "v.nrrd"), index_order="C")
    assert np.array_equal(data, array)
    assert np.array_equal(header["space directions"], np.diag([1, 2, 3]))
    assert header["frame rate"] == "25.0"
    write_volume(tmp_path / "v.mrc", array, spacing=(3, 2, 1), unit="nm")
    with mrcfile.open(tmp_path / "v.mrc") as file:
        assert np.array_equal(file.data, array)
        assert file.voxel_size.tolist() == pytest.approx((10, 20, 30))
        assert (file.header.dmin, file.header.dmax) == (array.min(), array.max())
    assert mrcfile.validate(tmp_path / "v.mrc")
    write_volume(
        tmp_path / "v.tif", voxels("uint16"), spacing=(3, 2, 1), unit="um", notes={"frame rate": "5"}
    )
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        assert file.is_imagej
        assert np.array_equal(file.asarray(), voxels("uint16"))
        assert file.imagej_metadata["spacing"] == 3
        assert file.imagej_metadata["fps"] == 5


def test_written_block_by_block(tmp_path):
    array = voxels("uint16")
    blocks = (array[k : k + 2] for k in range(0, 5, 2))
    write_volume(tmp_path / "v.nrrd", blocks, array.shape, array.dtype)
    same(tmp_path / "v.nrrd", array)
    with open_volume(tmp_path / "v.nrrd") as volume:
        write_volume(tmp_path / "w.tif", volume)
    same(tmp_path / "w.tif", array)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([np.zeros((2, 7, 11), np.uint8)], "5 slices in all, not 2"),
        ([np.zeros((6, 7, 11), np.uint8)], "5 slices in all, not 6 or more"),
        ([np.zeros((5, 7, 10), np.uint8)], r"blocks must be \(n, 7, 11\) of uint8"),
        ([np.zeros((5, 7, 11), np.int8)], r"blocks must be \(n, 7, 11\) of uint8"),
    ],
)
@pytest.mark.parametrize("suffix", ["nrrd", "tif", "mrc"])
def test_wrong_blocks_leave_no_file(tmp_path, blocks, message, suffix):
    with pytest.raises(ValueError, match=message):
        write_volume(tmp_path / f"v.{suffix}", iter(blocks), SHAPE, np.uint8)
    assert list(tmp_path.iterdir()) == []


def test_write_refuses(tmp_path):
    array = voxels()
    with pytest.raises(ValueError, match="path must end with"):
        write_volume(tmp_path / "v.jpg", array)
    with pytest.raises(ValueError, match="three positive numbers"):
        write_volume(tmp_path / "v.nrrd", array, spacing=(1, 0, 1))
    with pytest.raises(ValueError, match="shape and dtype must be given"):
        write_volume(tmp_path / "v.nrrd", iter([array]))
    with pytest.raises(ValueError, match="must be a length"):
        write_volume(tmp_path / "v.mrc", array, spacing=(1, 1, 1), unit="parsec")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        write_volume(tmp_path / "file" / "v.nrrd", array)


# nrrd


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("detached", [False, True])
def test_nrrd(tmp_path, encoding, endian, detached):
    array = voxels("int16")
    header = {
        "encoding": encoding,
        "endian": endian,
        "spacings": [2.0, 3.0, 4.0],
        "units": ["um", "um", "um"],
    }
    path = tmp_path / ("v.nhdr" if detached else "v.nrrd")
    nrrd.write(
        str(path), array.astype(array.dtype.newbyteorder("<>"[endian == "big"])), header, index_order="C"
    )
    volume = same(path, array)
    assert (volume.spacing, volume.unit) == ((4.0, 3.0, 2.0), "um")


def test_nrrd_axes(tmp_path):
    def opened(array, **header):
        path = str(tmp_path / "v.nrrd")
        nrrd.write(path, array, header, index_order="C")
        return open_volume(path)

    four = voxels(shape=(3, 5, 7, 11))
    with opened(four) as volume:  # first time point
        assert np.array_equal(volume.read(), four[0])
    with opened(np.moveaxis(four, 0, -1).copy(), kinds=["RGB-color", "domain", "domain", "domain"]) as volume:
        assert volume.channels == 3
        assert np.array_equal(volume.read(), four[0])
    with open_volume(tmp_path / "v.nrrd", channel=2) as volume:
        assert np.array_equal(volume.read(), four[2])
    with open_volume(tmp_path / "v.nrrd", channel="luminance") as volume:
        assert np.array_equal(
            volume.read((1, 2, 0, 7, 3, 9)), to_luminance(np.moveaxis(four, 0, -1))[1:2, :, 3:9]
        )
    with pytest.raises(ValueError, match="channel must be 0 to 2, not 3"):
        open_volume(tmp_path / "v.nrrd", channel=3)
    with opened(four[0, 0]) as volume:
        assert volume.shape == (1, 7, 11)
        assert volume.spacing is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((b"NRRD000", b"NRRDX00"), "found a file that begins with|the header cannot be read"),
        ((b"encoding: raw", b"encoding: hex"), "expected encoding raw"),
        ((b"type: uint16", b"type: block"), "expected a type of numbers"),
        ((b"sizes: 11 7 5", b"sizes: 11 7 9"), "expected 1386 bytes of voxels.*found 770"),
        ((b"sizes: 11 7 5", b"sizes: 11 7 4"), "expected 616 bytes of voxels.*found 770"),
        ((b"sizes: 11 7 5", b"sizes: 11 7"), "positive sizes"),
        ((b"sizes: 11 7 5", b"sizes: 99999999999 99999999999 9"), "expected the sizes of a volume"),
        ((b"endian: little", b"endian: middle"), "endian"),
    ],
)
def test_nrrd_malformed(tmp_path, change, message):
    write_volume(tmp_path / "v.nrrd", voxels("uint16"))
    data = (tmp_path / "v.nrrd").read_bytes()
    assert change[0] in data
    (tmp_path / "v.nrrd").write_bytes(data.replace(*change))
    with pytest.raises(FormatError, match=message) as caught:
        open_volume(tmp_path / "v.nrrd")
    assert str(tmp_path / "v.nrrd") in str(caught.value)


def test_a_bomb_is_not_unpacked(tmp_path):
    """A small stream that unpacks to much more than its header says, and one whose header promises what cannot be."""
    head = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: %d %d %d\nencoding: gzip\n\n"
    (tmp_path / "v.nrrd").write_bytes(head % (8, 8, 8) + gzip.compress(bytes(50_000_000)))
    with pytest.raises(FormatError, match="expected 512 bytes of voxels, found more"):
        open_volume(tmp_path / "v.nrrd")
    (tmp_path / "v.nrrd").write_bytes(head % (10**5, 10**5, 10) + gzip.compress(bytes(1000)))
    with pytest.raises(FormatError, match="bytes of gzip cannot hold"):
        open_volume(tmp_path / "v.nrrd")


def test_nrrd_real(data):
    folder = data / "em" / "pynrrd_tests"
    ball = np.fromfile(folder / "BallBinary30x30x30.raw", "<i2").reshape(30, 30, 30)
    read = 0
    for path in sorted(folder.glob("Ball*")):
        if path.suffix == ".raw" or path.name.endswith(("_minus_five.nhdr", "30_nifti.nhdr")):
            with pytest.raises(FormatError):
                open_volume(path)
        else:
            assert same(path, ball).spacing == (1, 1, 1)
            read += 1
    assert read == 9
    with open_volume(folder / "test_simple4d_raw.nrrd") as volume:
        assert (volume.shape, volume.spacing) == ((1, 1, 1), (1.0, 1.5, 1.5))
    with open_volume(folder / "test2d_ascii.nrrd") as volume:
        assert volume.read()[0, :2].tolist() == [[1, 2, 3], [4, 5, 6]]


# mrc


@pytest.mark.parametrize("packed", [None, "gz", "bz2"])
@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32", "float16"])
def test_mrc(tmp_path, dtype, packed):
    array, path = voxels(dtype), tmp_path / "v.mrc"
    with mrcfile.new(path) as file:
        file.set_data(array)
        file.set_extended_header(np.frombuffer(bytes(range(200)), "V1"))
        file.voxel_size = (1, 2, 3)
    if packed:
        data = (gzip if packed == "gz" else bz2).compress(path.read_bytes())
        path = tmp_path / f"v.mrc.{packed}"
        path.write_bytes(data)
    volume = same(path, array)
    assert (volume.spacing, volume.unit, volume.name) == ((3, 2, 1), "angstrom", "v")


def test_mrc_axis_map_and_bytes(tmp_path):
    array, path = voxels("int8"), tmp_path / "v.mrc"
    with mrcfile.new(path) as file:
        file.set_data(array)
        file.header.mapc, file.header.mapr, file.header.maps = 3, 1, 2  # columns z, rows x, sections y
    same(path, array.transpose(2, 0, 1))
    with mrcfile.mmap(path, "r+") as file:
        file.header.mapc, file.header.mapr, file.header.maps = 1, 2, 3
    same(path, array.view(np.uint8), signed=False)
    stamped = bytearray(path.read_bytes())
    stamped[152:160] = np.array([1146047817, 0], "<i4").tobytes()
    path.write_bytes(stamped)
    same(path, array.view(np.uint8))
    same(path, array, signed=True)
    stamped[152:160] = bytes(8)
    stamped[76:88] = np.array([0, 200, 100], "<f4").tobytes()
    path.write_bytes(stamped)
    same(path, array.view(np.uint8))
    big = bytearray(path.read_bytes())
    big[64:76] = np.array([3, 3, 1], "<i4").tobytes()
    path.write_bytes(big)
    with pytest.raises(
        FormatError, match="expected MAPC, MAPR, MAPS to be 1, 2, 3 in any order, found \\[3, 3, 1\\]"
    ):
        open_volume(path)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [(12, 4, "expected mode 0, 1, 2, 6, 12, 16, found 4 .complex"), (12, 77, "found 77"), (8, -1, "positive sizes"),
     (8, 1000, "it is cut short"), (92, 10**6, "it is cut short"), (92, -5, "extended header")],
)  # fmt: skip
def test_mrc_malformed(tmp_path, at, value, message):
    write_volume(tmp_path / "v.mrc", voxels())
    data = bytearray((tmp_path / "v.mrc").read_bytes())
    data[at : at + 4] = np.array([value], "<i4").tobytes()
    (tmp_path / "v.mrc").write_bytes(data)
    with pytest.raises(FormatError, match=message):
        open_volume(tmp_path / "v.mrc")


def test_mrc_real(data):
    folder = data / "em" / "mrcfile_tests"
    with mrcfile.open(folder / "EMD-3001.map") as file:
        expected = np.asarray(file.data).transpose(2, 0, 1)  # sections y, rows x, columns z
    for name in ("EMD-3001.map", "EMD-3001.map.bz2", "emd_3001.map.gz"):
        volume = same(folder / name, expected)
        assert volume.shape == (73, 25, 43)
        assert volume.spacing == pytest.approx((33.03 / 72, 4.71 / 12, 17.93 / 40), rel=1e-6)
    assert same(folder / "EMD-3197.map", mrcfile.read(folder / "EMD-3197.map")).spacing == pytest.approx(
        [11.4] * 3
    )
    with pytest.raises(FormatError):
        open_volume(folder / "emd_3197.png", format="mrc")
    with open_volume(data / "em" / "rosettasciio" / "HAADFscan.mrc") as volume:
        assert (volume.shape, volume.dtype, volume.spacing) == ((1, 16, 16), np.uint16, None)
        raw = np.fromfile(volume.source, "<u2", offset=1024 + 909312).reshape(1, 16, 16)
        assert np.array_equal(volume.read(), raw)


# tiff


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"compression": "zlib", "tile": (16, 16)},
        {"tile": (16, 32)},
        {"rowsperstrip": 2},
        {"compression": "lzma"},
        {"bigtiff": True},
        {"ome": True, "compression": "zlib", "rowsperstrip": 3},
        {"compression": "lzw"},
        {"compression": "zstd"},
    ],
    ids=str,
)
def test_tiff(tmp_path, options, order):
    if options.get("compression") in ("lzw", "zstd") or options.get("predictor"):
        pytest.importorskip("imagecodecs")
    array = voxels("uint16", (3, 37, 53))
    with tifffile.TiffWriter(tmp_path / "v.tif", byteorder=order, ome=options.get("ome", False),
                             bigtiff=options.get("bigtiff", False)) as file:  # fmt: skip
        more = {key: value for key, value in options.items() if key not in ("ome", "bigtiff")}
        file.write(array, photometric="minisblack", metadata={"axes": "ZYX"}, **more)
    same(tmp_path / "v.tif", array)
    with open_volume(tmp_path / "v.tif") as volume:
        assert volume.spacing is None
        for box in [(1, 2, 3, 30, 17, 40), (0, 3, 36, 37, 52, 53), (2, 3, 15, 17, 31, 33)]:
            z0, z1, y0, y1, x0, x1 = box
            assert np.array_equal(volume.read(box), array[z0:z1, y0:y1, x0:x1])
        if "tile" in options:
            assert volume.chunks == (1, *options["tile"])


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_colours(tmp_path, planar, compression):
    array = voxels(shape=(2, 3, 20, 30))  # z, c, y, x
    stored = array if planar == "separate" else np.moveaxis(array, 1, -1)
    tifffile.imwrite(
        tmp_path / "v.tif",
        stored,
        photometric="rgb",
        planarconfig=planar,
        compression=compression,
        tile=(16, 16),
    )
    for channel in range(3):
        same(tmp_path / "v.tif", array[:, channel], channel=channel)
    same(tmp_path / "v.tif", to_luminance(np.moveaxis(array, 1, -1)), channel="luminance")


def test_tiff_axes_and_spacing(tmp_path):
    array = voxels(shape=(2, 5, 3, 7, 11))
    path = tmp_path / "v.ome.tif"
    metadata = {"axes": "TZCYX"} | {
        f"PhysicalSize{a}": s for a, s in zip("ZYX", (0.04, 0.004, 0.008), strict=True)
    }
    tifffile.imwrite(path, array, ome=True, photometric="minisblack", metadata=metadata)
    volume = same(path, array[0, :, 1], channel=1)
    assert (volume.spacing, volume.unit, volume.channels) == ((0.04, 0.004, 0.008), "micrometer", 3)
    # Dots per inch are no voxel size.
    tifffile.imwrite(
        tmp_path / "d.tif", array[0, :, 0], photometric="minisblack", resolution=(300, 300), resolutionunit=2
    )
    assert same(tmp_path / "d.tif", array[0, :, 0]).spacing is None
    # ImageJ's spacing without a resolution in a unit of length, and time as depth.
    tifffile.imwrite(
        tmp_path / "t.tif", array[0, :, 0], imagej=True, metadata={"axes": "TYX", "spacing": 3.0}
    )
    assert same(tmp_path / "t.tif", array[0, :, 0]).spacing is None


def test_tiff_pyramid(tmp_path):
    array = voxels(shape=(1, 64, 64))[0]
    with tifffile.TiffWriter(tmp_path / "v.tif") as file:
        file.write(array, subifds=1, tile=(16, 16), photometric="minisblack", metadata=None)
        file.write(array[::2, ::2], subfiletype=1, tile=(16, 16), photometric="minisblack", metadata=None)
    same(tmp_path / "v.tif", array[None])
    same(tmp_path / "v.tif", array[None, ::2, ::2], level=1)
    with pytest.raises(ValueError, match="level must be 0 to 1, not 2"):
        open_volume(tmp_path / "v.tif", level=2)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"metadata": None}])
def test_tiff_cut_short(tmp_path, options):
    """A shorter stack, as some readers make of it, would go unnoticed."""
    tifffile.imwrite(tmp_path / "v.tif", voxels("uint16", (30, 20, 20)), photometric="minisblack", **options)
    data = (tmp_path / "v.tif").read_bytes()
    for end in (len(data) * 3 // 4, len(data) // 2, 300):
        (tmp_path / "v.tif").write_bytes(data[:end])
        with pytest.raises(FormatError, match=r"v\.tif"), open_volume(tmp_path / "v.tif") as volume:
            volume.read()


# NIfTI, HDF5


@pytest.mark.parametrize("kind", ["nii", "nii.gz", "hdr"])
@pytest.mark.parametrize("version", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti(tmp_path, kind, version, order):
    array = voxels("int16")
    path = tmp_path / f"v.{kind}"
    if kind == "hdr":
        version = nibabel.Nifti1Pair if version is nibabel.Nifti1Image else nibabel.Nifti2Pair
    image = version(array.T, np.diag([2, 3, 4, 1]), version.header_class(endianness=order))
    image.set_data_dtype(array.dtype.newbyteorder(order))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, path)
    volume = same(path, array)
    assert (volume.spacing, volume.unit, volume.name) == ((4, 3, 2), "micron", "v")


def test_nifti_scaled_and_4d(tmp_path):
    array = voxels("int16", (3, *SHAPE))
    image = nibabel.Nifti1Image(array.T, np.eye(4))
    nibabel.save(image, tmp_path / "v.nii")
    same(tmp_path / "v.nii", array[0])
    data = bytearray((tmp_path / "v.nii").read_bytes())
    data[112:120] = np.array([0.5, 10], "<f4").tobytes()
    (tmp_path / "v.nii").write_bytes(data)
    same(tmp_path / "v.nii", np.asarray(nibabel.load(tmp_path / "v.nii").dataobj).T[0])


def test_hdf5_with_a_damaged_heap(tmp_path):
    """HDF5 2.0 never comes to the end of a heap with an object of no size."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((4, 8, 8), np.uint8)
        file["data"].attrs["units"] = ["nm", "nm", "nm"]
    data = bytearray(path.read_bytes())
    data[data.index(b"GCOL\x01") + 24] = 255  # the size of the first text
    path.write_bytes(data)
    with pytest.raises(FormatError, match="found a damaged heap at byte"):
        open_volume(path)


def test_hdf5(tmp_path):
    array = voxels("uint16")
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("volumes/raw", data=array, chunks=(2, 3, 4), compression="gzip")
        data.attrs["resolution"] = [40.0, 4.0, 4.0]
        file["table"] = np.arange(5)
    volume = same(path, array)
    assert (volume.spacing, volume.unit, volume.chunks) == ((40, 4, 4), "nanometer", (2, 3, 4))
    with h5py.File(path, "a") as file:
        file["volumes/labels"] = np.stack([array, array + 1], -1)
        file["volumes/labels"].attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in "zyxc"]})
    with pytest.raises(
        ValueError, match="several arrays, dataset must be one of volumes/labels, volumes/raw"
    ):
        open_volume(path)
    with pytest.raises(ValueError, match="not 'nothing'"):
        open_volume(path, dataset="nothing")
    same(path, array + 1, dataset="volumes/labels", channel=1)
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["names"] = np.array([[b"a", b"b"]])
    with pytest.raises(FormatError, match="integers or floats"):
        open_volume(tmp_path / "w.h5")


# zarr, N5, precomputed


@pytest.mark.parametrize("driver", ["zarr", "zarr3", "n5"])
def test_containers(tmp_path, driver):
    array = voxels("uint16")
    place = {"driver": "file", "path": str(tmp_path / "v.data" / "raw")}
    stored = array.T if driver == "n5" else array
    store = tensorstore.open(
        {"driver": driver, "kvstore": place}, create=True, dtype=array.dtype, shape=stored.shape
    ).result()
    store[...] = stored
    same(tmp_path / "v.data" / "raw", array)
    # What a folder above it is must be said, unless it has metadata of its own.
    same(tmp_path / "v.data", array, format="n5" if driver == "n5" else "zarr", dataset="raw")
    same((tmp_path / "v.data" / "raw").as_uri(), array)
    same({"driver": driver, "kvstore": place, "transform": {"input_labels": list("xyz" if driver == "n5" else "zyx")}}
         if driver == "n5" else {"driver": driver, "kvstore": place}, array)  # fmt: skip
    with pytest.raises(ValueError, match="level must be 0 to 0, not 1"):
        open_volume(tmp_path / "v.data" / "raw", level=1)


def test_precomputed(tmp_path):
    array = voxels()
    store = tensorstore.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": str(tmp_path / "v")},
            "multiscale_metadata": {"type": "image", "data_type": "uint8", "num_channels": 1},
            "scale_metadata": {
                "size": list(array.shape[::-1]), "resolution": [4, 5, 40], "voxel_offset": [100, 20, 3],
                "encoding": "raw", "chunk_size": [4, 4, 4],
            },
        },
        create=True,
    ).result()  # fmt: skip
    store[..., 0] = array.T
    volume = same(tmp_path / "v", array)
    assert (volume.format, volume.spacing, volume.chunks) == ("precomputed", (40, 5, 4), (4, 4, 4))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path, version):
    array = voxels("uint16", (2, *SHAPE))  # c, z, y, x
    third = version == "0.5"
    for level in range(2):
        part = array[:, :, :: 1 + level, :: 1 + level]
        spec = {
            "driver": "zarr3" if third else "zarr",
            "kvstore": {"driver": "file", "path": str(tmp_path / f"v.ome.zarr/{level}")},
        }
        tensorstore.open(spec, create=True, dtype=part.dtype, shape=part.shape).result()[...] = part
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"
    ]
    scales = [
        {
            "path": str(k),
            "coordinateTransformations": [{"type": "scale", "scale": [1, 0.04, 0.004 * 2**k, 0.004 * 2**k]}],
        }
        for k in range(2)
    ]
    multiscales = [{"axes": axes, "datasets": scales, "version": version}]
    if third:
        text = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"ome": {"version": "0.5", "multiscales": multiscales}},
        }
        (tmp_path / "v.ome.zarr" / "zarr.json").write_text(json.dumps(text))
    else:
        (tmp_path / "v.ome.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
        (tmp_path / "v.ome.zarr" / ".zattrs").write_text(json.dumps({"multiscales": multiscales}))
    volume = same(tmp_path / "v.ome.zarr", array[0])
    assert (volume.name, volume.unit, volume.channels) == ("v", "nm", 2)
    assert volume.spacing == pytest.approx((40, 4, 4))
    volume = same(tmp_path / "v.ome.zarr", array[1, :, ::2, ::2], level=1, channel=1)
    assert volume.spacing == pytest.approx((40, 8, 8))
    same(tmp_path / "v.ome.zarr", array[0], dataset="0")
    with pytest.raises(ValueError, match="level must be 0 to 1, not 2"):
        open_volume(tmp_path / "v.ome.zarr", level=2)


def test_group_without_images(tmp_path):
    (tmp_path / ".zgroup").write_text('{"zarr_format": 2}')
    with pytest.raises(FormatError, match="dataset="):
        open_volume(tmp_path)


def test_ngff_real(data):
    folder = data / "em" / "ngff_examples"
    for name in ("image-01", "image-02", "image-03", "image-04"):
        with open_volume(folder / "valid" / f"{name}.zarr") as volume:
            assert volume.read((0, 1, 0, 9, 0, 9)).shape == (1, 9, 9)
    with pytest.raises(FormatError, match="a plate"):
        open_volume(folder / "valid" / "plate-01.zarr")
    with open_volume(folder / "valid" / "plate-01.zarr", dataset="A/1/0") as volume:
        assert volume.shape[0] >= 1
    for name in ("image-01", "image-02", "image-03"):
        with pytest.raises((FormatError, FileNotFoundError), match="image-0"):
            open_volume(folder / "invalid" / f"{name}.zarr")
    with pytest.raises((FormatError, FileNotFoundError), match="image-04"):
        open_volume(folder / "invalid" / "image-04.zarr", level=1)  # the finer level is sound


# Slices and images


def test_stack(tmp_path, data):
    array = voxels("uint16")
    for z, plane in enumerate(array):
        tifffile.imwrite(tmp_path / f"s{z + 8}.tif", plane, photometric="minisblack")  # s8, s9, s10 ...
    (tmp_path / "notes.txt").write_text("")
    assert same(tmp_path, array).name == tmp_path.name
    tifffile.imwrite(tmp_path / "s9.tif", array[1, :6], photometric="minisblack")
    with (
        open_volume(tmp_path) as volume,
        pytest.raises(FormatError, match=r"s9\.tif: expected \(7, 11\) of uint16"),
    ):
        volume.read()
    with open_volume(data / "em" / "em_vnc_drosophila_stack1" / "raw") as volume:
        assert volume.shape == (20, 1024, 1024)
        expected = tifffile.imread(data / "em" / "em_vnc_drosophila_stack1" / "raw" / "13.tif")[
            100:200, 300:350
        ]
        assert np.array_equal(volume.read((13, 14, 100, 200, 300, 350))[0], expected)


def test_empty_folder(tmp_path):
    with pytest.raises(FormatError, match="expected a folder of images, found none"):
        open_volume(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".jpg"])
def test_images(tmp_path, suffix):
    import cv2

    rgb = voxels(shape=(40, 50, 3))
    path = tmp_path / f"i{suffix}"
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    found = read_image(path)
    assert found.shape == rgb.shape
    if suffix != ".jpg":
        assert np.array_equal(found, rgb)
        same(path, rgb[None, ..., 1], channel=1)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError, match="i.tif: expected images" if suffix == ".tif" else "cut short"):
        read_image(path)
    path.write_bytes(b"")
    with pytest.raises(FormatError):
        read_image(path)


def test_damaged_png(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "i.png"), voxels(shape=(40, 50)))
    data = bytearray((tmp_path / "i.png").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "i.png").write_bytes(data)
    with pytest.raises(FormatError, match="is damaged"):
        read_image(tmp_path / "i.png")


# Names and folders


def test_names():
    cases = {
        "a.nii.gz": "a",
        "v1.2_b.ome.tiff": "v1.2_b",
        "x.map.bz2": "x",
        "c.ome.zarr": "c",
        "d": "d",
        "e.10": "e.10",
    }
    assert {name: base_name(name) for name in cases} == cases
    assert unique_names(["a/x.nrrd", "b/y.mrc"]) == ["x", "y"]
    assert unique_names(["a/x.nrrd", "a/X.nii.gz"]) == ["x_nrrd", "X_nii_gz"]
    with pytest.raises(ValueError, match="would share the name 'x_nrrd'"):
        unique_names(["a/x.nrrd", "b/x.nrrd"])


def test_list_volumes(tmp_path):
    write_volume(tmp_path / "b.nrrd", voxels())
    write_volume(tmp_path / "a.mrc", voxels())
    nrrd.write(str(tmp_path / "c.nhdr"), voxels(), {"encoding": "raw"})
    (tmp_path / "bad.tif").write_bytes(b"rubbish")
    (tmp_path / "README.md").write_text("read me")
    (tmp_path / ".hidden.nrrd").write_text("")
    (tmp_path / "empty").mkdir()
    shutil.copy(tmp_path / "b.nrrd", tmp_path / "unknown.xyz")
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    listing = list_volumes(tmp_path)
    assert [path.name for path in listing.found] == ["a.mrc", "b.nrrd", "bad.tif", "c.nhdr", "unknown.xyz"]
    ignored = {path.name: reason for path, reason in listing.ignored}
    assert set(ignored) == {".hidden.nrrd", "README.md", "c.raw", "clip.mp4", "empty"}
    assert "video2stack" in ignored["clip.mp4"]
    with pytest.raises(FileNotFoundError):
        list_volumes(tmp_path / "nowhere")


def test_open_refuses(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_volume(tmp_path / "nothing.nrrd")
    write_volume(tmp_path / "v.nrrd", voxels())
    for options in ({"format": "jpeg2"}, {"level": -1}, {"channel": "blue"}, {"channel": -1}):
        with pytest.raises(ValueError, match="must be"):
            open_volume(tmp_path / "v.nrrd", **options)
    with pytest.raises(FormatError, match="expected a folder of zarr, found the other"):
        open_volume(tmp_path / "v.nrrd", format="zarr")
    with open_volume(tmp_path / "v.nrrd") as volume:
        for box in [(0, 6, 0, 7, 0, 11), (-1, 2, 0, 7, 0, 11), (3, 2, 0, 7, 0, 11), (0, 1, 2)]:
            with pytest.raises(ValueError, match="box must"):
                volume.read(box)
        with pytest.raises(ValueError, match="out must be"):
            volume.read(None, np.empty(SHAPE, np.int8))


def test_a_volume_much_larger_than_what_is_read(tmp_path):
    """A sparse file of 64 GiB: only what a box needs is touched."""
    head = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4096 4096 4096\nencoding: raw\n\n"
    with open(tmp_path / "v.nrrd", "wb") as file:
        file.write(head)
        try:
            os.truncate(file.fileno(), len(head) + (1 << 36))
        except OSError:
            pytest.skip("no sparse files here")
    with open_volume(tmp_path / "v.nrrd") as volume:
        assert volume.shape == (4096, 4096, 4096)
        assert not volume.read((4000, 4002, 17, 300, 4000, 4096)).any()


def test_sniff_by_content(tmp_path):
    write_volume(tmp_path / "v.nrrd", voxels())
    shutil.copy(tmp_path / "v.nrrd", tmp_path / "wrong.tif")
    assert volumes.sniff(tmp_path / "wrong.tif") == "nrrd"
    (tmp_path / "x.nii").write_bytes(b"nothing")
    with pytest.raises(FormatError, match="expected nifti by its suffix"):
        volumes.sniff(tmp_path / "x.nii")
