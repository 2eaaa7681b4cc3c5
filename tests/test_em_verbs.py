"""Every verb of `maskmill em`, and `maskmill dedupe`, times eight faults: a clear message each, and nothing half done.

A row of `TABLE` is a command line with the exit code and a phrase of the message that are expected, or the reason why
a fault cannot befall a verb. IN is the folder that `home` makes, OUT a new place.
"""

from __future__ import annotations

import argparse
import errno
import itertools
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from maskmill import cli
from maskmill.cli import em
from maskmill.io.volumes import write_volume
from maskmill.studies.em.report import Report, on_each
from test_em_patchify import smooth

cv2 = pytest.importorskip("cv2")
tifffile = pytest.importorskip("tifffile")
for module in ("nrrd", "mrcfile", "pyarrow", "tensorstore", "rich"):
    pytest.importorskip(module)

VERBS = (*(f"em {verb}" for verb in em.VERBS), "dedupe")
FAULTS = ("missing", "truncated", "dtype", "negative", "empty", "stem", "read-only")
"""The eighth is --help: `test_help`."""

# verb, fault: rows of (arguments, exit code, phrase of the message), or why the fault cannot be.
TABLE = {
    "em clean": {
        "missing": [("IN/none -o OUT", 2, "IN/none: No such file")],
        "truncated": [("IN/cut -o OUT", 3, "bad.png: expected the chunk IEND")],
        "dtype": [("IN/type -o OUT", 3, "bad.tif: expected pixels of integers or floats, found complex64")],
        "negative": [
            (
                "IN/neg -o OUT --scale cem",
                3,
                "bad.tif: there are negative voxels, which the policy cem refuses",
            ),
            ("IN/good -o OUT --channel -1", 2, "argument --channel: must be 0 or more"),
            ("IN/good -o OUT --nonfinite -1", 2, "--nonfinite must be 0 to 255, not -1"),
            ("IN/good -o OUT --scale percentile -5 50", 2, "percentiles must be 0 <= p < q <= 100, not -5"),
            ("IN/good -o OUT -p -1", 2, "--processes must be 1 or more, not -1"),
        ],
        "empty": [
            ("IN/empty -o OUT", 2, "IN/empty: there must be a sub-folder for each group"),
            ("IN/empty_group -o OUT", 0, "the inputs hold nothing to convert"),
        ],
        "stem": "images keep their suffixes: a.png and a.jpg are two outputs (test_same_stem_twice_is_no_fault)",
        "read-only": [
            ("IN/good -o IN/file.txt/out", 2, "IN/file.txt/out: Not a directory"),
            ("IN/good -o IN/file.txt", 2, "IN/file.txt: must be a folder, and is a file"),
        ],
    },
    "em video2stack": {
        "missing": [("IN/none.avi OUT", 2, "IN/none.avi: No such file")],
        "truncated": [("IN/cut/bad.avi OUT", 3, "bad.avi: expected 12 frames, found")],
        "dtype": [("IN/type/bad.nrrd OUT", 3, "bad.nrrd: expected a video, found")],
        "negative": [
            ("IN/good/clip.avi OUT --step -1", 2, "--step must be 1 or more, not -1"),
            ("IN/good/clip.avi OUT --start -1", 2, "--start must be 0 or more, not -1"),
            ("IN/good/clip.avi OUT --end -1", 2, "--end must be 1 or more, not -1"),
            ("IN/good/clip.avi OUT --channel -1", 2, "argument --channel: must be 0 or more"),
            ("IN/good/clip.avi OUT -p -1", 2, "--processes must be 1 or more, not -1"),
        ],
        "empty": [("IN/empty OUT", 2, "there must be a video in IN/empty")],
        "stem": [("IN/good/clip.avi IN/twin/clip.avi OUT", 2, "would share the name 'clip_avi'")],
        "read-only": [
            ("IN/good/clip.avi IN/file.txt/out", 2, "IN/file.txt/out: Not a directory"),
            ("IN/good/clip.avi IN/file.txt", 2, "IN/file.txt: must be a folder, and is a file"),
        ],
    },
    "em mrc2byte": {
        "missing": [("IN/none.mrc OUT", 2, "IN/none.mrc: No such file")],
        "truncated": [("IN/cut/bad.mrc OUT", 3, "bad.mrc: expected 6912 bytes of voxels")],
        "dtype": [
            ("IN/type/bad.nrrd OUT", 3, "bad.nrrd: there are floats outside of 0 to 1"),
            ("IN/file.txt OUT", 3, "file.txt: expected a volume or an image"),
        ],
        "negative": [
            ("IN/neg/bad.nrrd OUT --scale cem", 3, "bad.nrrd: there are negative voxels"),
            ("IN/good/m.mrc OUT --bin -1", 2, "--bin must be 1 or more, not -1"),
            ("IN/good/m.mrc OUT --nonfinite -1", 2, "--nonfinite must be 0 to 255, not -1"),
            ("IN/good/m.mrc OUT -p -1", 2, "--processes must be 1 or more, not -1"),
        ],
        "empty": [("IN/empty OUT", 2, "there must be an MRC file in IN/empty")],
        "stem": [("IN/good/m.mrc IN/twin/m.mrc OUT", 2, "would share the name 'm_mrc'")],
        "read-only": [
            ("IN/good/m.mrc IN/file.txt/out", 2, "IN/file.txt/out: Not a directory"),
            ("IN/good/m.mrc IN/file.txt", 2, "IN/file.txt: must be a folder, and is a file"),
        ],
    },
    "em patchify": {
        "missing": [
            ("IN/none.nrrd OUT", 2, "IN/none.nrrd: no such file or folder"),
            ("IN/good/v.nrrd OUT --order quality --scores IN/none.csv", 2, "IN/none.csv: No such file"),
        ],
        "truncated": [
            ("IN/cut/bad.nrrd OUT", 3, "bad.nrrd: expected 6912 bytes of voxels"),
            ("IN/cut/g OUT", 3, "bad.png: expected the chunk IEND"),
            ("IN/cut/bad.avi OUT", 3, "bad.avi: expected 12 frames, found"),
        ],
        "dtype": [
            ("IN/type OUT", 3, "bad.tif: expected pixels of integers or floats, found complex64"),
            ("IN/type/bad.nrrd OUT", 3, "bad.nrrd: there are floats outside of 0 to 1"),
        ],
        "negative": [
            ("IN/neg/bad.nrrd OUT --to-uint8 cem", 3, "bad.nrrd: there are negative voxels"),
            ("IN/good/v.nrrd OUT -cs -1", 2, "--crop-size must be 1 or more, not -1"),
            ("IN/good/v.nrrd OUT -s -1", 2, "--spacing must be 1 or more, not -1"),
            ("IN/good/v.nrrd OUT -a -1", 2, "argument -a/--axes: invalid choice: -1"),
            ("IN/good/v.nrrd OUT --stride -1", 2, "--stride must be 1 or more, not -1"),
            ("IN/good/v.nrrd OUT -hs -1", 2, "--hash-size must be within 2 and 16, not -1"),
            ("IN/good/v.nrrd OUT -d -1", 2, "--min-distance must be 0 or more, not -1"),
            (
                "IN/good/v.nrrd OUT --legacy --seed -1",
                2,
                "a legacy seed must be within 0 and 2**32 - 1, not -1",
            ),
            ("IN/good/v.nrrd OUT --tolerance -1", 2, "--tolerance must be 0 or more, not -1"),
            (
                "IN/good/v.nrrd OUT --voxel-size=-8,8,8",
                2,
                "a voxel size must be one positive number or z,y,x",
            ),
            ("IN/good/v.nrrd OUT --min-size -1", 2, "--min-size must be 1 or more, not -1"),
            ("IN/good/v.nrrd OUT --padding -1", 2, "--padding must be 0 to 255, not -1"),
            ("IN/good/v.nrrd OUT --max-padding -1", 2, "--max-padding must be within 0 and 1, not -1"),
            ("IN/good/v.nrrd OUT --max-saturated -1", 2, "--max-saturated must be within 0 and 1, not -1"),
            ("IN/good/v.nrrd OUT --max-overlap -1", 2, "--max-overlap must be within 0 and 1, not -1"),
            ("IN/good/v.nrrd OUT --nonfinite -1", 2, "--nonfinite must be 0 to 255, not -1"),
            ("IN/good/v.nrrd OUT --level -1", 2, "--level must be 0 or more, not -1"),
            ("IN/good/v.nrrd OUT --channel -1", 2, "--channel must be a number from 0 on"),
            ("IN/good/v.nrrd OUT --memory -1", 2, "argument --memory: must be a size such as 500M"),
            ("IN/good/v.nrrd OUT --dask local:-1", 2, "not 'local:-1'"),
            ("IN/good/v.nrrd OUT -p -1", 2, "--processes must be 1 or more, not -1"),
        ],
        "empty": [("IN/empty OUT", 0, "there is nothing in the inputs that could be used")],
        "stem": [
            ("IN/good/v.nrrd IN/twin/v.nrrd OUT", 2, "would share the name 'v_nrrd'"),
            ("IN/good/g IN/twin/g OUT", 2, "would share the name 'a_png'"),
        ],
        "read-only": [
            ("IN/good/v.nrrd IN/file.txt/out", 2, "IN/file.txt/out: Not a directory"),
            ("IN/good/v.nrrd IN/file.txt", 2, "IN/file.txt: must be a folder, and is a file"),
        ],
    },
    "em dedupe": {
        "missing": [("IN/none OUT", 2, "IN/none: no such file or folder")],
        "truncated": [
            ("IN/cut/bad.pkl OUT", 3, "bad.pkl: not a readable pickle of patches"),
            ("IN/cut/shard OUT", 3, "-00000.tiff: must have"),
            ("IN/cut/manifest OUT", 2, "manifest.parquet: not a readable table"),
            ("IN/cut/tree OUT", 3, "bad.tiff: not a readable TIFF file"),
        ],
        "dtype": [
            ("IN/type/tree OUT", 3, "bad.tiff: must be a grey picture of 8 bits, not (8, 8) of uint16"),
            ("IN/good/v.nrrd OUT", 2, "v.nrrd: must be a folder of patches or a pickle (.pkl), not .nrrd"),
        ],
        "negative": [
            ("IN/neg/tree OUT", 3, "bad.tiff: must be a grey picture of 8 bits, not (8, 8) of int16"),
            ("IN/good/store OUT -cs -1", 2, "--crop-size must be 1 or more, not -1"),
            ("IN/good/store OUT -hs -1", 2, "--hash-size must be within 2 and 16, not -1"),
            ("IN/good/store OUT -d -1", 2, "--min-distance must be 0 or more, not -1"),
            ("IN/good/store OUT --max-overlap -1", 2, "--max-overlap must be within 0 and 1, not -1"),
            (
                "IN/good/store OUT --order legacy-seed --seed -1",
                2,
                "seed must be within 0 and 2**32 - 1, not -1",
            ),
        ],
        "empty": [("IN/empty OUT", 0, "there is nothing in the inputs that could be used")],
        "stem": [
            ("IN/good/store IN/twin/store OUT", 2, "two inputs are called 'v'"),
            ("IN/good/tree IN/twin/tree OUT", 2, "two inputs are called 'v'"),
        ],
        "read-only": [
            ("IN/good/store IN/file.txt/out", 2, "IN/file.txt/out: Not a directory"),
            ("IN/good/store IN/file.txt", 2, "IN/file.txt: must be a folder, and is a file"),
        ],
    },
    "em labels": {
        "missing": [
            ("IN/none OUT", 2, "IN/none: no such file or folder"),
            ("IN/good/store OUT --labels IN/none.csv", 2, "IN/none.csv: No such file"),
        ],
        "truncated": [
            ("IN/cut/bad.pkl OUT", 3, "bad.pkl: not a readable pickle of patches"),
            ("IN/cut/shard OUT", 3, "-00000.tiff: must have"),
            ("IN/cut/tree OUT", 3, "bad.tiff: not a readable TIFF file"),
        ],
        "dtype": [
            ("IN/type/tree OUT", 3, "bad.tiff: must be a grey picture of 8 bits, not (8, 8) of uint16")
        ],
        "negative": [
            ("IN/neg/tree OUT", 3, "bad.tiff: must be a grey picture of 8 bits, not (8, 8) of int16"),
            ("IN/good/store OUT -n -1", 2, "--number must be 1 or more, not -1"),
            ("IN/good/store OUT --seed -1", 2, "--seed must be 0 or more, not -1"),
        ],
        "empty": [("IN/empty OUT", 0, "the inputs hold no patches")],
        "stem": [("IN/good/tree IN/twin/tree OUT", 2, "two inputs are called 'v'")],
        "read-only": [("IN/good/store IN/file.txt/out", 2, "IN/file.txt/out/patches: Not a directory")],
    },
    "em train-filter": {
        "missing": [
            ("IN/none.csv OUT", 2, "IN/none.csv: No such file"),
            ("IN/labels_of_none.csv OUT", 2, "none.tiff: No such file"),
        ],
        "truncated": [
            ("IN/cut/labels.csv OUT", 2, "labels.csv: label 79 must be good, bad or none, not 'ba'"),
            ("IN/cut/labels_of_bad.csv OUT", 2, "bad.tiff: not a readable TIFF file"),
        ],
        "dtype": [
            ("IN/type/labels.csv OUT", 2, "bad.tiff: must be a grey picture of 8 bits"),
            ("IN/file.txt OUT", 2, "file.txt: must be a table .csv or an array .npy, not .txt"),
        ],
        "negative": [
            ("IN/neg/labels.csv OUT", 2, "label 0 must be good, bad or none, not '-1'"),
            ("IN/labels.csv OUT --seed -1", 2, "--seed must be 0 or more, not -1"),
            ("IN/labels.csv OUT --epochs -1", 2, "--epochs must be 1 or more, not -1"),
        ],
        "empty": [("IN/empty OUT", 2, "IN/empty: must be a table .csv or an array .npy, not a folder")],
        "stem": "it reads one table of labels, where two patches of one name have two paths",
        "read-only": [("IN/labels.csv IN/file.txt/out", 2, "IN/file.txt/out: Not a directory")],
    },
    "em filter": {
        "missing": [
            ("IN/none OUT", 2, "IN/none: no such file or folder"),
            ("IN/good/store OUT --model IN/none.npz", 2, "IN/none.npz: no such file"),
        ],
        "truncated": [
            ("IN/cut/bad.pkl OUT", 3, "bad.pkl: not a readable pickle of patches"),
            ("IN/cut/shard OUT", 3, "-00000.tiff: must have"),
            ("IN/cut/tree OUT", 3, "bad.tiff: not a readable TIFF file"),
            ("IN/good/store OUT --model IN/cut/model.npz", 2, "model.npz: not a readable"),
        ],
        "dtype": [
            ("IN/type/tree OUT", 3, "bad.tiff: must be a grey picture of 8 bits, not (8, 8) of uint16"),
            ("IN/good/store OUT --model IN/file.txt", 2, "a filter must be 'default' or end with .npz"),
        ],
        "negative": [
            ("IN/neg/tree OUT", 3, "bad.tiff: must be a grey picture of 8 bits, not (8, 8) of int16"),
            ("IN/good/store OUT --threshold -1", 2, "--threshold must be within 0 and 1, not -1"),
            ("IN/good/store OUT --batch-size -1", 2, "--batch-size must be 1 or more, not -1"),
            ("IN/good/store OUT -p -1", 2, "--processes must be 1 or more, not -1"),
        ],
        "empty": [("IN/empty OUT", 0, "the inputs hold no patches")],
        "stem": [("IN/good/tree IN/twin/tree OUT", 2, "two inputs are called 'v'")],
        "read-only": [("IN/good/store IN/file.txt/out", 2, "IN/file.txt/out/scores: Not a directory")],
    },
    "em reconstruct": {
        "missing": [
            ("IN/none -vd IN/good -sd OUT", 2, "IN/none: No such file"),
            ("IN/good/tree -vd IN/none -sd OUT", 2, "IN/none: No such file"),
        ],
        "truncated": [("IN/of_bad -vd IN/cut/alone -sd OUT", 3, "bad.nrrd: expected 6912 bytes of voxels")],
        "dtype": [("IN/of_bad -vd IN/type -sd OUT --dtype uint8", 3, "there are floats outside of 0 to 1")],
        "negative": [
            ("IN/good/tree -vd IN/good -sd OUT -nz -1", 2, "--nz must be 1 or more, not -1"),
            (
                "IN/good/tree -vd IN/good -sd OUT --max-iou -1",
                2,
                "--max-iou must be above 0 and at most 1, not -1",
            ),
            ("IN/good/tree -vd IN/good -sd OUT --limit -1", 2, "--limit must be 1 or more, not -1"),
            ("IN/good/tree -vd IN/good -sd OUT -p -1", 2, "--processes must be 1 or more, not -1"),
        ],
        "empty": [
            ("IN/empty -vd IN/good -sd OUT", 0, "IN/empty: holds no patches"),
            ("IN/good/tree -vd IN/empty -sd OUT", 0, "v: no folder has this volume"),
        ],
        "stem": [("IN/good/tree -vd IN/good IN/twin -sd OUT", 3, "patches of v could be of several volumes")],
        "read-only": [
            ("IN/good/tree -vd IN/good -sd IN/file.txt/out", 2, "IN/file.txt/out/done: Not a directory")
        ],
    },
    "em crop-rois": {
        "missing": [("IN/none.nrrd OUT", 2, "IN/none.nrrd: No such file")],
        "truncated": [("IN/cut/bad.nrrd OUT -cs 8", 2, "bad.nrrd: expected 6912 bytes of voxels")],
        "dtype": [
            ("IN/type/bad.nrrd OUT -cs 8 --to-uint8 dtype", 3, "there are floats outside of 0 to 1"),
            ("IN/file.txt OUT", 2, "file.txt: expected a volume or an image"),
        ],
        "negative": [
            ("IN/neg/bad.nrrd OUT -cs 8 --to-uint8 cem", 3, "there are negative voxels"),
            ("IN/good/v.nrrd OUT -cs -1", 2, "--crop-size must be 1 or more, not -1"),
            ("IN/good/v.nrrd OUT --gb -1", 2, "--gb must be more than 0, not -1"),
            ("IN/good/v.nrrd OUT --count -1", 2, "--count must be 1 or more, not -1"),
            ("IN/good/v.nrrd OUT --max-padding -1", 2, "--max-padding must be within 0 and 1, not -1"),
            ("IN/good/v.nrrd OUT --level -1", 2, "--level must be 0 or more, not -1"),
            ("IN/good/v.nrrd OUT --channel -1", 2, "--channel must be 0 or more, not -1"),
            ("IN/good/v.nrrd OUT -cs 8 --region -1 8 0 8 0 8", 2, "the region must lie within x 0-24"),
            ("IN/good/v.nrrd OUT -p -1", 2, "--processes must be 1 or more, not -1"),
        ],
        "empty": [("IN/empty OUT", 2, "IN/empty: expected a folder of images, found none")],
        "stem": [("IN/good/v.nrrd IN/twin/v.nrrd OUT", 2, "would share the name 'v_nrrd'")],
        "read-only": [("IN/good/v.nrrd IN/file.txt/out -cs 8", 2, "IN/file.txt/out/plans: Not a directory")],
    },
    "em fetch": {
        "missing": [
            ("IN/none.csv OUT", 2, "IN/none.csv: No such file"),
            ("IN/none.zarr OUT", 3, "none.zarr: No such file"),
        ],
        "truncated": [
            ("IN/cut/table.csv OUT", 2, "table.csv: row 2: volume_name must be a name that files can have"),
            ("IN/cut/bad.zarr OUT -cs 8", 3, "Not enough data: expected at least 512"),
        ],
        "dtype": [
            ("IN/file.txt OUT", 2, "file.txt: expected the column download_url"),
            ("IN/good/v.nrrd OUT", 3, "v.nrrd: expected zarr.json"),
        ],
        "negative": [
            ("IN/neg/table.csv OUT", 2, "row 2: crop_size must be a whole number of 1 or more, not '-5'"),
            ("IN/good/z.zarr OUT -cs -1", 2, "--crop-size must be 1 or more, not -1"),
            ("IN/good/z.zarr OUT --gb -1", 2, "--gb must be more than 0, not -1"),
            ("IN/good/z.zarr OUT --mip -1", 2, "--mip must be 0 or more, not -1"),
            ("IN/good/z.zarr OUT --voxel -1 1 1", 2, "--voxel must be three positive sizes"),
            ("IN/good/z.zarr OUT --max-gb -1", 2, "--max-gb must be 0 or more, not -1"),
            ("IN/good/z.zarr OUT --timeout -1", 2, "--timeout must be more than 0, not -1"),
            ("IN/good/z.zarr OUT --retries -1", 2, "--retries must be 0 or more, not -1"),
            ("IN/good/z.zarr OUT --connections -1", 2, "--connections must be 1 or more, not -1"),
        ],
        "empty": [("IN/empty OUT", 3, "IN/empty: expected zarr.json")],
        "stem": [("IN/good/z.zarr IN/twin/z.zarr OUT", 2, "would both be called z_s0: rename one")],
        "read-only": [("IN/good/z.zarr IN/file.txt/out -cs 8", 2, "IN/file.txt/out/plans: Not a directory")],
    },
    "em run": {
        "missing": [
            ("IN/none OUT", 2, "IN/none: no such file or folder"),
            ("--config IN/none.toml", 2, "IN/none.toml: No such file"),
        ],
        "truncated": [
            ("IN/cut/bad.nrrd OUT", 3, "bad.nrrd: expected 6912 bytes of voxels"),
            ("--config IN/cut/line.toml", 2, "line.toml: not TOML"),
        ],
        "dtype": [("IN/type/bad.nrrd OUT --no-filter", 3, "bad.nrrd: there are floats outside of 0 to 1")],
        "negative": [
            ("IN/good/v.nrrd OUT --config IN/neg/line.toml", 2, "--crop-size must be 1 or more, not -1")
        ],
        "empty": [("IN/empty OUT", 0, "there is nothing in the inputs that could be used")],
        "stem": [("IN/good/v.nrrd IN/twin/v.nrrd OUT", 2, "would share the name 'v_nrrd'")],
        "read-only": [("IN/good/v.nrrd IN/file.txt/out", 2, "IN/file.txt/out/patches: Not a directory")],
    },
    "dedupe": {
        "missing": [("IN/none", 2, "IN/none: No such file")],
        "truncated": [("IN/cut/g", 3, "bad.png: expected the chunk IEND")],
        "dtype": [
            ("IN/type/g", 3, "bad.tif: expected pixels of integers or floats, found complex64"),
            ("IN/good/v.nrrd", 3, "v.nrrd: expected an image, found a file that begins with b'NRRD0004'"),
        ],
        "negative": [
            ("IN/neg/f", 3, "badf.tif: image 0 must be within 0 and 1"),
            ("IN/good/g --radius -1", 2, "--radius must be 0 or more, not -1"),
            ("IN/good/g --hash-size -1", 2, "hashes must be of 2 x 2 to 16 x 16 bits, not -1 x -1"),
            ("IN/good/g --confirm -1", 2, "hashes must be of 2 x 2 to 16 x 16 bits, not -1 x -1"),
            ("IN/good/g --confirm 16 --confirm-radius -1", 2, "--confirm-radius must be 0 or more, not -1"),
            ("IN/good/g --threads -1", 2, "--threads must be 1 or more, not -1"),
        ],
        "empty": [("IN/empty", 0, "IN/empty: no images to compare")],
        "stem": "images keep their paths: a/x.png and b/x.png are two (test_same_stem_twice_is_no_fault)",
        "read-only": [
            ("IN/good/g --report IN/file.txt/r.html", 2, "r.html: the folder to write to does not exist"),
            ("IN/good/g --audit IN/file.txt/r.csv", 2, "r.csv: the folder to write to does not exist"),
            ("IN/good/g --table IN/file.txt/r.csv", 2, "r.csv: the folder to write to does not exist"),
            ("IN/good/g --list-kept IN/file.txt/r.txt", 2, "r.txt: the folder to write to does not exist"),
            ("IN/good/g --move-to IN/file.txt", 2, "file.txt: is no folder"),
        ],
    },
}
CELLS = [
    pytest.param(verb, *row, id=f"{verb} {row[0]}")
    for verb, faults in TABLE.items()
    for rows in faults.values()
    if not isinstance(rows, str)
    for row in rows
]


def test_the_table_is_whole():
    assert set(TABLE) == set(VERBS)
    assert all(set(faults) == set(FAULTS) for faults in TABLE.values())


# Inputs


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder of good inputs and of each fault, with a space and a letter beyond ASCII in its name."""
    home = tmp_path_factory.mktemp("em") / "größe µm"
    for name in ("good/g", "cut/g", "type/g", "neg/g", "neg/f", "empty", "empty_group/g"):
        (home / name).mkdir(parents=True)
    (home / "file.txt").write_text("hello\n")
    _good(home / "good")
    shutil.copytree(home / "good", home / "twin")
    _cut(home / "good", home / "cut")
    _strange(home)
    return home


def _good(good):
    for place, name in enumerate(("a", "b")):
        _write_png(good / f"g/{name}.png", smooth((24, 24, 1), place)[..., 0])
    write_volume(good / "v.nrrd", smooth((12, 24, 24), 3), spacing=(8, 8, 8))
    write_volume(good / "m.mrc", smooth((12, 24, 24), 4), spacing=(8, 8, 8))
    video = cv2.VideoWriter(str(good / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 24))
    for frame in smooth((12, 24, 32)):
        video.write(np.stack([frame] * 3, -1))
    video.release()
    for layout in ("store", "tree", "pickle"):
        more = {"store": "store", "tree": "files"}.get(layout, layout)
        words = ["em", "patchify", good / "v.nrrd", good / layout, "-cs", "8", "--quiet", "--layout", more]
        assert cli.main([str(word) for word in words]) == 0
    for path in (good / "tree").iterdir():
        if path.is_file():
            path.unlink()
    _write_zarr(good / "z.zarr", smooth((12, 24, 24), 5))


def _write_png(path, image):
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def _write_zarr(path, volume):
    import tensorstore

    described = {"shape": list(volume.shape), "chunks": [8, 8, 8], "dtype": "|u1", "compressor": None}
    spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": str(path)}, "metadata": described}
    tensorstore.open(spec, create=True).result().write(volume).result()


def _cut(good, cut):
    for name in ("v.nrrd", "m.mrc", "clip.avi", "g/a.png", "pickle/v.pkl"):
        source = good / name
        into = cut / "g" if source.suffix == ".png" else cut
        content = source.read_bytes()
        (into / f"bad{source.suffix}").write_bytes(content[: len(content) * 2 // 3])
    (cut / "alone").mkdir()
    shutil.copy(cut / "bad.nrrd", cut / "alone")
    for name, file in (("shard", "patches/v-8x8-00000.tiff"), ("manifest", "manifest.parquet")):
        shutil.copytree(good / "store", cut / name)
        os.truncate(cut / name / file, 400)
    (cut / "tree/v").mkdir(parents=True)
    shutil.copy(next((good / "tree/v").iterdir()), cut / "tree/v/bad.tiff")
    os.truncate(cut / "tree/v/bad.tiff", (cut / "tree/v/bad.tiff").stat().st_size - 30)
    shutil.copytree(good / "z.zarr", cut / "bad.zarr")
    for chunk in (cut / "bad.zarr").glob("[0-9]*"):
        os.truncate(chunk, 10)
    (cut / "table.csv").write_text("download_url,volume_name\nhttps://")
    (cut / "line.toml").write_text("[patchify")
    (cut / "model.npz").write_bytes(b"PK\3\4")


def _strange(home):
    """Wrong types, negative values, labels."""
    tifffile.imwrite(home / "type/g/bad.tif", np.zeros((24, 24), np.complex64))
    tifffile.imwrite(home / "neg/g/bad.tif", smooth((24, 24, 1))[..., 0].astype(np.int16) - 300)
    tifffile.imwrite(home / "neg/f/badf.tif", np.full((24, 24), -1, np.float32))
    write_volume(home / "type/bad.nrrd", np.full((12, 24, 24), 7, np.float32), spacing=(8, 8, 8))
    write_volume(home / "neg/bad.nrrd", smooth((12, 24, 24)).astype(np.int16) - 300, spacing=(8, 8, 8))
    for name, dtype in (("type", np.uint16), ("neg", np.int16)):
        (home / name / "tree/v").mkdir(parents=True)
        tifffile.imwrite(home / name / "tree/v/bad.tiff", np.full((8, 8), -5).astype(dtype))
    (home / "neg/table.csv").write_text("download_url,volume_name,crop_size\nfile:///x,v,-5\n")
    (home / "neg/line.toml").write_text("[patchify]\ncrop-size = -1\n")
    (home / "of_bad/bad").mkdir(parents=True)
    tifffile.imwrite(home / "of_bad/bad/bad-LOC-0_06_0-8_0-8.tiff", np.zeros((8, 8), np.uint8))
    patch = next((home / "good/tree/v").iterdir())
    for name, first in {
        "labels.csv": patch,
        "labels_of_none.csv": "none.tiff",
        "cut/labels_of_bad.csv": home / "cut/tree/v/bad.tiff",
        "type/labels.csv": home / "type/tree/v/bad.tiff",
    }.items():
        rows = [f"{first},good"] + [f"{patch},{'good' if i % 2 else 'bad'}" for i in range(1, 100)]
        (home / name).write_text("path,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    rows = [f"{patch},{'good' if i % 2 else 'bad'}" for i in range(100)]
    (home / "cut/labels.csv").write_text(
        "path,label\n" + "\n".join(rows[:79]) + f"\n{patch},ba", encoding="utf-8"
    )
    (home / "neg/labels.csv").write_text(f"path,label\n{patch},-1\n", encoding="utf-8")


def words_of(line, home, out):
    return [word.replace("IN", str(home)).replace("OUT", str(out)) for word in shlex.split(line)]


def run(verb, line, home, out, capsys):
    """Exit code and all that was printed."""
    try:
        code = cli.main([*verb.split(), *words_of(line, home, out), "--quiet"])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, (captured.out + captured.err).replace(str(home), "IN")


RECORDS = (
    "failed.jsonl",
    "run.json",
    "filter.json",
    "subvolumes.parquet",
    "manifest.parquet",
    "audit.parquet",
)


def check_left(out, code):
    """Nothing half-written, nothing of a bad input but what is said of it; of a refused run nothing at all."""
    files = [path for path in out.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.endswith(".part")]
    results = (".nrrd", ".mrc", ".tif", ".tiff", ".png", ".pkl", ".npz")
    bad = [path for path in files if path.name.startswith("bad") and path.suffix in results]
    assert not [path for path in bad if path.parent.name != ".cache"]
    if code == 2:
        assert not [path for path in files if path.name in RECORDS[1:] or path.suffix in (*results, ".html")]


@pytest.mark.parametrize(("verb", "line", "code", "phrase"), CELLS)
def test_fault(verb, line, code, phrase, home, tmp_path, capsys):
    found, text = run(verb, line, home, tmp_path / "out", capsys)
    assert phrase in text
    assert found == code
    check_left(tmp_path / "out", code)


def test_same_stem_twice_is_no_fault(home, tmp_path, capsys):
    folder = tmp_path / "in"
    shutil.copytree(home / "good/g", folder / "g")
    shutil.copy(folder / "g/a.png", folder / "g/a.bmp")
    assert run("em clean", f"{shlex.quote(str(folder))} -o OUT", home, tmp_path / "out", capsys)[0] == 0
    assert {path.name for path in (tmp_path / "out/g").iterdir()} == {"a.bmp", "a.png", "b.png"}
    code, text = run("dedupe", "IN/good/g IN/twin/g", home, tmp_path, capsys)
    assert code == 0
    assert "4 images, 2 kept, 2 dropped in 2 clusters" in text


# Output that cannot be written

GOOD = {
    "em clean": "IN/neg -o OUT --scale minmax",
    "em video2stack": "IN/good/clip.avi OUT",
    "em mrc2byte": "IN/good/m.mrc OUT",
    "em patchify": "IN/good/v.nrrd OUT -cs 8",
    "em dedupe": "IN/good/store OUT -cs 8",
    "em labels": "IN/good/store OUT -n 4",
    "em train-filter": "IN/labels.csv OUT",
    "em filter": "IN/good/tree OUT",
    "em reconstruct": "IN/good/tree -vd IN/good -sd OUT",
    "em crop-rois": "IN/good/v.nrrd OUT -cs 8",
    "em fetch": "IN/good/z.zarr OUT -cs 8",
    "em run": "IN/good/v.nrrd OUT",
    "dedupe": "IN/good/g --audit OUT/audit.csv --report OUT/report.html --list-kept OUT/kept.txt",
}


@pytest.mark.parametrize("verb", VERBS)
def test_read_only_file_system(verb, home, tmp_path, capsys, monkeypatch):
    """Files cannot be made in OUT, though the folder is there: as on a disk that was mounted again, or is full."""
    if verb == "em train-filter":
        pytest.importorskip("sklearn")
    out = tmp_path / "out"
    out.mkdir()
    make = os.open

    def refused(path, flags, *more, **options):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and str(path).startswith(str(out)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return make(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", refused)
    code, text = run(verb, GOOD[verb], home, out, capsys)
    assert code in (2, 3)
    assert os.strerror(errno.EROFS) in text
    check_left(out, 2)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("verb", VERBS)
def test_folder_without_permission(verb, home, tmp_path, capsys):
    if verb == "em train-filter":
        pytest.importorskip("sklearn")
    out = tmp_path / "out"
    out.mkdir(mode=0o555)
    code, text = run(verb, GOOD[verb], home, out, capsys)
    out.chmod(0o755)
    assert code in (2, 3)
    assert os.strerror(errno.EACCES) in text
    assert not any(out.iterdir())


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_good_works(verb, home, tmp_path, capsys):
    """The same commands where they may write: also in folders with spaces, and with letters beyond ASCII."""
    if verb == "em train-filter":
        pytest.importorskip("sklearn")
    out = tmp_path / "ö ut"
    if verb == "dedupe":
        out.mkdir()
    code, text = run(verb, GOOD[verb], home, out, capsys)
    assert code == 0, text
    assert any(path.is_file() for path in out.rglob("*"))


def test_a_refused_run_does_not_claim_its_output(home, tmp_path, capsys):
    """The mistake is mended, and the command given again: without --overwrite."""
    for verb, wrong, right in (
        ("em patchify", "IN/good/v.nrrd IN/twin/v.nrrd OUT -cs 8", "IN/good/v.nrrd OUT -cs 8"),
        ("em dedupe", "IN/good/store IN/twin/store OUT", "IN/good/store OUT"),
    ):
        out = tmp_path / verb
        assert run(verb, wrong, home, out, capsys)[0] == 2
        assert not out.exists()
        assert run(verb, right, home, out, capsys)[0] == 0


# --help


def parser_of(verb):
    found = cli.parser()
    for word in verb.split():
        (steps,) = (a for a in found._actions if isinstance(a, argparse._SubParsersAction))
        found = steps.choices[word]
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_help(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*verb.split(), "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert f"\n  maskmill {verb} " in text.partition("examples:\n")[2]
    codes = text.partition("exit codes: ")[2]
    assert codes.startswith("0 done, ")
    assert "2 wrong usage" in codes


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_a_help_text(verb):
    bare = [a.option_strings or a.dest for a in parser_of(verb)._actions if not (a.help and a.help.strip())]
    assert bare == []


@pytest.mark.parametrize("verb", VERBS)
def test_examples_parse(verb):
    """What --help shows is a command line that the verb takes."""
    parser = cli.parser()
    lines = parser_of(verb).format_help().partition("examples:\n")[2].partition("\n\n")[0].replace("\\\n", "")
    examples = [line.strip().partition("   ")[0] for line in lines.splitlines()]
    for example in examples:
        words = shlex.split(example.partition(" && ")[0])
        assert words[0] == "maskmill"
        parser.parse_args(words[1:])


# As a user sees it, in a process of its own


def command(*words):
    return [sys.executable, "-m", "maskmill", *map(str, words)]


@pytest.mark.parametrize(
    ("verb", "line", "code", "message"),
    [
        (
            "em patchify",
            "IN/none.nrrd OUT",
            2,
            "maskmill em patchify: IN/none.nrrd: no such file or folder\n",
        ),
        (
            "em mrc2byte",
            "IN/none.mrc OUT",
            2,
            "maskmill em mrc2byte: IN/none.mrc: No such file or directory\n",
        ),
        ("dedupe", "IN/none", 2, "maskmill dedupe: IN/none: No such file or directory\n"),
    ],
)
def test_one_line_on_stderr(verb, line, code, message, home, tmp_path):
    done = subprocess.run(
        command(*verb.split(), *words_of(line, home, tmp_path / "out"), "--quiet"),
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert done.returncode == code
    assert (done.stdout, done.stderr.replace(str(home), "IN")) == ("", message)


def test_ctrl_c_does_not_wait_for_the_end_of_an_input():
    """Of two inputs one is done, whose progress is interrupted; the other has no end."""
    report = Report()

    def work(source, _into, _more):
        if source.name == "endless":
            for _ in report.until_stopped(itertools.repeat(None)):
                time.sleep(0.001)

    def interrupt(*_):
        raise KeyboardInterrupt

    jobs = [(Path(name), Path("out"), None) for name in ("endless", "short")]
    with pytest.raises(KeyboardInterrupt):
        on_each(report, jobs, work, workers=2, progress=interrupt)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_reader_that_goes_away(home, tmp_path):
    """As `| head -0`: no traceback, neither at the end nor while Python shuts down."""
    reader, writer = os.pipe()
    os.close(reader)
    words = words_of("IN/good/v.nrrd OUT -cs 8 --dry-run", home, tmp_path / "out")
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(
            command("em", "patchify", *words), stdout=pipe, stderr=subprocess.PIPE, text=True
        )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
