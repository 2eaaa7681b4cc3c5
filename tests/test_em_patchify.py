"""maskmill em patchify against the definition of cem-dataset's rules, and its own promises."""

from __future__ import annotations

import hashlib
import json
import pickle

import numpy as np
import pytest

from em_oracle import oracle as load_oracle
from maskmill._files import FormatError
from maskmill._jobs import Processes, Serial, Threads
from maskmill.io.volumes import write_volume
from maskmill.studies.em.patchify import patchify
from maskmill.studies.em.plan import Grid, axes_to_cut
from maskmill.studies.em.select import Rule, chance_hits
from maskmill.studies.em.settings import Settings
from maskmill.studies.em.store import open_store

pytest.importorskip("nrrd")
pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def oracle(data):
    return load_oracle(data)


def smooth(shape, seed=0, dtype=np.uint8):
    """A volume whose neighbouring slices are alike, so that there is something to drop."""
    rng = np.random.default_rng(seed)
    coarse = rng.random([-(-n // 6) + 2 for n in shape])
    whole = coarse.repeat(6, 0).repeat(6, 1).repeat(6, 2)[tuple(slice(3, 3 + n) for n in shape)]
    whole = whole + 0.05 * rng.random(shape)
    top = 1.0 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    return (whole / whole.max() * top).astype(dtype)


VOLUMES = {
    "isotropic": ((24, 70, 90), np.uint8, (8, 8, 8)),
    "anisotropic": ((24, 70, 90), np.uint8, (30, 8, 8)),
    "ragged": ((37, 49, 81), np.uint8, (8, 99, 8)),
    "halves": ((48, 80, 112), np.uint8, (8, 8, 8)),
    "deep": ((40, 40, 40), np.uint16, (7.5, 8, 10)),
    "signed": ((20, 40, 50), np.int16, (8, 8, 8)),
    "float": ((20, 40, 50), np.float32, (8, 8, 8)),
    "tiny": ((2, 3, 5), np.uint8, (8, 8, 8)),
    "video_of_a_cell": ((9, 40, 50), np.uint8, (8, 8, 8)),
}


@pytest.mark.parametrize("name", VOLUMES)
@pytest.mark.parametrize("seed", [0, 7])
def test_legacy_is_the_oracle(oracle, tmp_path, name, seed):
    """Names, order, pixels and the look of the pickle."""
    shape, dtype, spacing = VOLUMES[name]
    volume = smooth(shape, seed, dtype)
    if np.dtype(dtype).kind == "i":
        volume = volume.clip(0)
    write_volume(tmp_path / f"{name}.nrrd", volume, spacing=spacing)
    settings = Settings(grid=Grid(crop=32, step=1 + seed % 2), rule=Rule(seed=seed), legacy=True)
    report = patchify([str(tmp_path / f"{name}.nrrd")], tmp_path / "out", settings)
    assert report.failed == []
    rows = list(oracle.volume_patches(volume, name, spacing_xyz=spacing[::-1], step=1 + seed % 2, crop=32))
    words = oracle.pack([oracle.dhash_bits(row[4], 32) for row in rows])
    kept = oracle.greedy(words, oracle.mt19937_permutation(len(rows), seed))[0]
    content = pickle.loads((tmp_path / f"out/{name}.pkl").read_bytes())
    assert list(content) == ["names", "patches"]
    assert content["names"] == [rows[i][0] for i in kept]
    for found, i in zip(content["patches"], kept, strict=True):
        assert found.dtype == np.uint8
        assert np.array_equal(found, rows[i][4])
    assert report.kept == len(kept)
    assert not (tmp_path / "out/work").exists()


@pytest.mark.parametrize("order", ["stable", "natural", "legacy-seed", "name"])
def test_default_is_the_oracle(oracle, tmp_path, order):
    volume = smooth((37, 49, 81), 3)
    write_volume(tmp_path / "v.nrrd", volume, spacing=(8, 8, 8))
    settings = Settings(grid=Grid(crop=32), rule=Rule(order=order))
    patchify([str(tmp_path / "v.nrrd")], tmp_path / "out", settings)
    rows = list(oracle.volume_patches(volume, "v", crop=32, last_slice=True))
    words = oracle.pack([oracle.dhash_bits(row[4], 32) for row in rows])
    orders = {
        "stable": oracle.stable_order("v", rows),
        "natural": None,
        "legacy-seed": oracle.mt19937_permutation(len(rows), 0),
        "name": sorted(range(len(rows)), key=lambda i: rows[i][0]),
    }
    kept, leader, distance = oracle.greedy(words, orders[order])
    store = open_store(tmp_path / "out")
    assert store.manifest["name"].tolist() == [rows[i][0] for i in kept]
    assert store.manifest["id"].tolist() == kept
    assert store.manifest["code"].tolist() == [f"{words[i, 0]:016x}" for i in kept]
    for found, i in zip(store.patches(), kept, strict=True):
        assert np.array_equal(found, rows[i][4])
    dropped = store.audit["id"]
    assert sorted([*kept, *dropped.tolist()]) == list(range(len(rows)))
    assert store.audit["leader"].tolist() == leader[dropped].tolist()
    assert store.audit["distance"].tolist() == distance[dropped].tolist()
    assert set(store.audit["reason"].tolist()) == {"duplicate"}


@pytest.mark.parametrize(
    ("legacy", "order", "seed", "expected"),
    [
        (True, "", 0, (475, 430)),
        (True, "", 1, (475, 427)),
        (True, "", 2, (475, 429)),
        (False, "natural", 0, (500, 450)),
        (False, "stable", 0, (500, 449)),
        (False, "legacy-seed", 0, (500, 447)),
        (False, "legacy-seed", 1, (500, 445)),
        (False, "legacy-seed", 2, (500, 445)),
    ],
)
def test_real_stack(data, tmp_path, legacy, order, seed, expected):
    folder = data / "em/em_vnc_drosophila_stack1/raw"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    (tmp_path / "stack1").symlink_to(folder, target_is_directory=True)
    settings = Settings(
        axes=(0,), stacks=True, legacy=legacy, rule=Rule(order=order or "stable", seed=seed), digest=False
    )
    report = patchify([str(tmp_path / "stack1")], tmp_path / "out", settings)
    (count,) = report.counts.values()
    assert (count["patches"], count["kept"]) == expected


def test_known_result(tmp_path):
    """As it was when it equalled the oracle."""
    x = np.arange(40 * 60 * 70, dtype=np.uint64).reshape(40, 60, 70)
    volume = ((x * np.uint64(2654435761) >> np.uint64(7)) % np.uint64(251)).astype(np.uint8)
    volume[:, :32, :32] = 90
    write_volume(tmp_path / "v.nrrd", volume, spacing=(8, 8, 8))
    patchify([str(tmp_path / "v.nrrd")], tmp_path / "out", Settings(grid=Grid(crop=32)))
    text = ",".join(open_store(tmp_path / "out").manifest["name"].tolist())
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == KNOWN


KNOWN = "049a85b4bae88eda"


def images(folder, sizes, seed=0):
    cv2 = pytest.importorskip("cv2")
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number, size in enumerate(sizes):
        cv2.imwrite(str(folder / f"im{number}.png"), rng.integers(0, 256, size, dtype=np.uint8))


def test_groups_of_images(tmp_path):
    images(tmp_path / "in/mito", [(40, 70), (64, 64), (10, 20)])
    images(tmp_path / "in/er", [(64, 64)])
    (tmp_path / "in/empty").mkdir()
    (tmp_path / "in/notes.txt").write_text("no image")
    report = patchify([str(tmp_path / "in")], tmp_path / "out", Settings(grid=Grid(crop=32)))
    assert [reason for _, reason in report.ignored] == ["a folder without images", "no volume"]
    store = open_store(tmp_path / "out")
    tiles = {"im0": ["0-32_0-32", "0-32_32-64"], "im2": ["0-10_0-20"]}
    tiles["im1"] = [f"{rows}_{columns}" for rows in ("0-32", "32-64") for columns in ("0-32", "32-64")]
    expected = [("mito", f"{name}-LOC-2d-{tile}") for name in tiles for tile in tiles[name]]
    expected += [("er", f"im0-LOC-2d-{tile}") for tile in tiles["im1"]]
    found = zip(store.manifest["dataset"].tolist(), store.manifest["name"].tolist(), strict=True)
    assert sorted(found) == sorted(expected)
    assert set(store.manifest["dataset"].tolist()) == {"mito", "er"}
    assert set(store.manifest["axis"].tolist()) == {-1}


def test_images_as_cem_dataset_has_them(tmp_path, rng):
    images(tmp_path / "in/mito", [(40, 70), (64, 64)])
    settings = Settings(grid=Grid(crop=32), legacy=True)
    patchify([str(tmp_path / "in")], tmp_path / "out", settings)
    content = pickle.loads((tmp_path / "out/mito.pkl").read_bytes())
    assert content["names"] == [
        "00-LOC-2d-0-32_0-32",
        "00-LOC-2d-0-32_32-64",
        "01-LOC-2d-0-32_0-32",
        "01-LOC-2d-0-32_32-64",
        "01-LOC-2d-32-64_0-32",
        "01-LOC-2d-32-64_32-64",
    ]


@pytest.fixture
def folder(tmp_path):
    """Two volumes, one of them in 16 bits, and a group of images."""
    source = tmp_path / "in"
    source.mkdir()
    write_volume(source / "a.nrrd", smooth((40, 70, 90), 1), spacing=(8, 8, 8))
    write_volume(source / "b.nrrd", smooth((50, 40, 60), 2, np.uint16), spacing=(8, 8, 8))
    images(source / "flat", [(64, 64), (70, 40)])
    return source


def tree(out):
    """Contents of all files, but for what may differ."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


SMALL = Settings(grid=Grid(crop=32))


def test_result_does_not_depend_on_how_it_runs(folder, tmp_path):
    patchify([str(folder)], tmp_path / "a", SMALL)
    expected = tree(tmp_path / "a")
    assert set(expected) > {"manifest.parquet", "audit.parquet"}
    for number, (make, memory) in enumerate(
        [(Serial, None), (lambda: Threads(4), 200_000), (Serial, 1), (lambda: Processes(2), None)]
    ):
        with make() as executor:
            patchify([str(folder)], tmp_path / str(number), SMALL, memory=memory, executor=executor)
        assert tree(tmp_path / str(number)) == expected


@pytest.mark.parametrize("layout", ["store", "files", "pickle"])
def test_layouts_hold_the_same(folder, tmp_path, layout):
    settings = Settings(grid=Grid(crop=32), layout=layout)
    patchify([str(folder)], tmp_path / "a", SMALL)
    patchify([str(folder)], tmp_path / "b", settings)
    one, other = open_store(tmp_path / "a"), open_store(tmp_path / "b")
    assert one.manifest["name"].tolist() == other.manifest["name"].tolist()
    for left, right in zip(one.patches(), other.patches(), strict=True):
        assert np.array_equal(left, right)
    if layout == "files":
        files = {path.relative_to(tmp_path / "b").as_posix() for path in (tmp_path / "b").glob("*/*.tiff")}
        assert files == set(other.manifest["shard"].tolist())
        assert one.export(tmp_path / "tree") == len(files)
        for name in files:
            assert (tmp_path / "tree" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    "grid",
    [
        Grid(32, 16, "ragged"),
        Grid(32, 20, "shift"),
        Grid(32, None, "shift"),
        Grid(32, None, "pad"),
        Grid(32, None, "ragged", 3),
        Grid(32, 40, "drop", 2),
        Grid(500, None, "shift"),
        Grid(500, None, "drop"),
    ],
    ids=str,
)
def test_grids(tmp_path, grid):
    """Every patch that is cut is what its name says, whatever the grid."""
    volume = smooth((45, 50, 70), 5)
    write_volume(tmp_path / "v.nrrd", volume, spacing=(8, 8, 8))
    settings = Settings(grid=grid, rule=Rule(radius=-1, max_overlap=1.0))
    patchify([str(tmp_path / "v.nrrd")], tmp_path / "out", settings, memory=300_000)
    store = open_store(tmp_path / "out")
    wide = np.pad(volume, [(0, 64)] * 3)
    expected = 0
    for axis in (0, 1, 2):
        shape = [n for a, n in enumerate(volume.shape) if a != axis]
        expected += len(grid.tiles(*shape)) * len(range(0, volume.shape[axis], grid.step))
    table = store.manifest
    assert len(store) == len(set(table["name"].tolist())) == expected
    for row, patch in enumerate(store.patches()):
        y0, y1, x0, x1 = (int(table[name][row]) for name in ("y0", "y1", "x0", "x1"))
        slice_ = np.take(wide, int(table["index"][row]), axis=int(table["axis"][row]))
        assert np.array_equal(patch, slice_[y0:y1, x0:x1])


def test_overlaps_are_found_by_place(tmp_path):
    """Two crops of one volume, shifted by 8 pixels: no hash sees that."""
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, (4, 80, 80), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    for name, x in (("v-ROI-x0-64_y0-64_z0-4", 0), ("v-ROI-x8-72_y0-64_z0-4", 8)):
        write_volume(tmp_path / f"in/{name}.nrrd", whole[:, :64, x : x + 64], spacing=(8, 8, 8))
    settings = Settings(axes=(0,), grid=Grid(crop=32), rule=Rule(radius=0))
    report = patchify([str(tmp_path / "in")], tmp_path / "out", settings)
    store = open_store(tmp_path / "out")
    assert len(store) == 16
    assert store.audit["reason"].tolist() == ["overlap"] * 16
    assert set(store.audit["leader"].tolist()) <= set(store.manifest["id"].tolist())
    assert set(store.manifest["dataset"].tolist()) == {"v"}
    assert sum(count["overlap"] for count in report.counts.values()) == 16


def test_unfit_patches(tmp_path):
    volume = np.random.default_rng(0).integers(1, 255, (3, 32, 128), dtype=np.uint8)
    volume[0, :, :32] = 7
    volume[:, :20, 32:64] = 0
    volume[1, :, 64:96][:, :20] = 255
    write_volume(tmp_path / "v.nrrd", volume, spacing=(8, 8, 8))
    rule = Rule(radius=-1, flat="drop", max_padding=0.5, max_saturated=0.55)
    settings = Settings(axes=(0,), grid=Grid(crop=32), rule=rule, padding=0)
    (count,) = patchify([str(tmp_path / "v.nrrd")], tmp_path / "out", settings).counts.values()
    assert (count["patches"], count["kept"], count["flat"], count["padding"], count["saturated"]) == (
        12,
        7,
        1,
        3,
        1,
    )


def test_flat_patches_as_one_class(tmp_path):
    volume = np.full((6, 32, 64), 90, np.uint8)
    volume[:, :, 32:] = np.random.default_rng(0).integers(0, 255, (6, 32, 32))
    write_volume(tmp_path / "v.nrrd", volume, spacing=(8, 8, 8))
    settings = Settings(axes=(0,), grid=Grid(crop=32), rule=Rule(flat="one"))
    (count,) = patchify([str(tmp_path / "v.nrrd")], tmp_path / "out", settings).counts.values()
    assert (count["kept"], count["flat"], count["duplicate"]) == (7, 5, 0)


def test_order_by_quality(tmp_path):
    volume = np.repeat(np.random.default_rng(0).integers(0, 255, (1, 32, 32), dtype=np.uint8), 4, 0)
    write_volume(tmp_path / "v.nrrd", volume, spacing=(8, 8, 8))
    (tmp_path / "scores.csv").write_text("name,score\nv-LOC-0_2_0-32_0-32,0.9\nv-LOC-0_1_0-32_0-32,0.5\n")
    rule = Rule(order="quality")
    settings = Settings(axes=(0,), grid=Grid(crop=32), rule=rule, scores=str(tmp_path / "scores.csv"))
    patchify([str(tmp_path / "v.nrrd")], tmp_path / "out", settings)
    manifest = open_store(tmp_path / "out").manifest
    assert manifest["name"].tolist() == ["v-LOC-0_2_0-32_0-32"]
    assert manifest["quality"].tolist() == [0.9]


def test_voxel_sizes():
    assert axes_to_cut([0, 1, 2], (8, 8, 10)) == [0, 1, 2]
    assert axes_to_cut([0, 1, 2], (8, 8, 10.1)) == [2]
    assert axes_to_cut([0, 1, 2], (30, 8, 8)) == [0]
    assert axes_to_cut([0, 1, 2], None, unknown="iso") == [0, 1, 2]
    assert axes_to_cut([1, 2], None) == []
    with pytest.raises(ValueError, match="is not known"):
        axes_to_cut([0], None, unknown="error")


def test_unknown_voxel_size(tmp_path):
    write_volume(tmp_path / "v.nrrd", smooth((32, 32, 32)))
    report = patchify([str(tmp_path / "v.nrrd")], tmp_path / "a", SMALL)
    assert "only xy planes" in report.warnings[0]
    report = patchify(
        [str(tmp_path / "v.nrrd")], tmp_path / "b", Settings(grid=Grid(32), voxel_size=("v=8",))
    )
    assert report.warnings == []
    assert set(open_store(tmp_path / "b").manifest["axis"].tolist()) == {0, 1, 2}
    report = patchify([str(tmp_path / "v.nrrd")], tmp_path / "c", Settings(grid=Grid(32), unknown="error"))
    assert "--voxel-size" in report.failed[0][1]


def test_grey_values_of_a_data_set_have_one_scaling(tmp_path):
    (tmp_path / "in").mkdir()
    low, high = (smooth((8, 32, 32), 1, np.uint16) // 4, smooth((8, 32, 32), 2, np.uint16))
    write_volume(tmp_path / "in/v-ROI-x0-32_y0-32_z0-8.nrrd", low, spacing=(8, 8, 8))
    write_volume(tmp_path / "in/v-ROI-x32-64_y0-32_z0-8.nrrd", high, spacing=(8, 8, 8))
    settings = Settings(grid=Grid(32), policy="minmax", rule=Rule(radius=-1))
    patchify([str(tmp_path / "in")], tmp_path / "out", settings)
    scalings = set(open_store(tmp_path / "out").manifest["scaling"].tolist())
    assert len(scalings) == 1
    assert json.loads(scalings.pop())["high"] == high.max()


def test_chance_hits():
    assert chance_hits([10], 64, 12) == 0
    assert chance_hits([1000, 1000], 64, 64) == 1e6


# What fails


def test_one_bad_input_harms_no_other(folder, tmp_path):
    whole = (folder / "b.nrrd").read_bytes()
    (folder / "b.nrrd").write_bytes(whole[: len(whole) // 2])
    report = patchify([str(folder)], tmp_path / "out", SMALL)
    assert [path for path, _ in report.failed] == [str(folder / "b.nrrd")]
    lines = (tmp_path / "out/failed.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["source"] == str(folder / "b.nrrd")
    store = open_store(tmp_path / "out")
    assert set(store.manifest["dataset"].tolist()) == {"a", "flat"}
    again = patchify([str(folder)], tmp_path / "out", SMALL)
    assert again.resumed
    assert again.failed == report.failed


def test_retry(folder, tmp_path, monkeypatch):
    """What failed for a while is done by --retry; the result is that of an undisturbed run."""
    from maskmill.studies.em import tasks

    patchify([str(folder)], tmp_path / "expected", SMALL)

    def fails(source, box, cache, read=tasks.read):
        if source.name == "b":
            raise OSError("the server is away")
        return read(source, box, cache)

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "read", fails)
        report = patchify([str(folder)], tmp_path / "out", SMALL)
    assert [reason for _, reason in report.failed] == ["the server is away"]
    assert patchify([str(folder)], tmp_path / "out", SMALL).failed == report.failed
    assert patchify([str(folder)], tmp_path / "out", SMALL, retry=True).failed == []
    assert tree(tmp_path / "out") == tree(tmp_path / "expected")


def test_changed_parameters_and_inputs(folder, tmp_path):
    patchify([str(folder)], tmp_path / "out", SMALL)
    with pytest.raises(ValueError, match=r"other parameters \(rule: radius: 12, now 3\)"):
        patchify([str(folder)], tmp_path / "out", Settings(grid=Grid(crop=32), rule=Rule(radius=3)))
    write_volume(folder / "a.nrrd", smooth((40, 70, 91), 1), spacing=(8, 8, 8))
    with pytest.raises(ValueError, match=r"other inputs \(.*a\.nrrd"):
        patchify([str(folder)], tmp_path / "out", SMALL)
    patchify([str(folder)], tmp_path / "out", SMALL, overwrite=True)
    patchify([str(folder)], tmp_path / "expected", SMALL)
    assert tree(tmp_path / "out") == tree(tmp_path / "expected")


def test_out_holds_something_else(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="must be empty"):
        patchify([str(folder)], tmp_path / "out", SMALL, overwrite=True)
    assert (tmp_path / "out/thesis.tex").read_text() == "precious"


def test_two_runs_on_one_output(folder, tmp_path):
    def second(stage, done, total):
        if stage == "hashing" and done == 1:
            with pytest.raises(ValueError, match="another maskmill em is writing to it"):
                patchify([str(folder)], tmp_path / "out", SMALL)

    patchify([str(folder)], tmp_path / "out", SMALL, progress=second)


def test_full_disk(folder, tmp_path, monkeypatch):
    from maskmill.studies.em import tasks

    patchify([str(folder)], tmp_path / "expected", SMALL)

    def full(*_args):
        raise OSError(28, "No space left on device")

    for name in ("write_table", "write_shard"):
        with monkeypatch.context() as patch:
            patch.setattr(tasks, name, full)
            with pytest.raises(OSError, match="No space left"):
                patchify([str(folder)], tmp_path / "out", SMALL)
        with pytest.raises(FormatError, match="has not ended"):
            open_store(tmp_path / "out")
    patchify([str(folder)], tmp_path / "out", SMALL)
    assert tree(tmp_path / "out") == tree(tmp_path / "expected")


def test_nothing_to_cut(tmp_path):
    """An empty result is a result."""
    (tmp_path / "in").mkdir()
    write_volume(tmp_path / "in/v.nrrd", smooth((8, 32, 32)), spacing=(99, 8, 8))
    report = patchify([str(tmp_path / "in")], tmp_path / "out", Settings(axes=(1, 2), grid=Grid(32)))
    assert "square enough" in report.warnings[0]
    assert len(open_store(tmp_path / "out")) == 0
    patchify([str(tmp_path / "in")], tmp_path / "old", Settings(axes=(1, 2), grid=Grid(32), legacy=True))
    assert pickle.loads((tmp_path / "old/v.pkl").read_bytes()) == {"names": [], "patches": []}
    (tmp_path / "none").mkdir()
    patchify([str(tmp_path / "none")], tmp_path / "out2", SMALL)
    assert len(open_store(tmp_path / "out2").audit["id"]) == 0


def test_settings_are_checked():
    for make, message in (
        (lambda: Settings(axes=()), "axes must be"),
        (lambda: Settings(axes=(3,)), "axes must be"),
        (lambda: Settings(tolerance=-1), "tolerance must be"),
        (lambda: Settings(layout="x"), "layout must be"),
        (lambda: Settings(hash_size=1), "hash_size must be"),
        (lambda: Settings(voxel_size=("a=b",)), "a voxel size must be"),
        (lambda: Settings(voxel_size=("0,1,1",)), "a voxel size must be"),
        (lambda: Grid(crop=0), "crop must be"),
        (lambda: Grid(edge="x"), "edge must be"),
        (lambda: Grid(stride=9), "edge must be another"),
        (lambda: Rule(order="x"), "order must be"),
        (lambda: Rule(max_overlap=0), "max_overlap must be above 0"),
        (lambda: Rule(max_padding=2), "max_padding must be within"),
        (lambda: Rule(radius=-2), "radius must be"),
        (lambda: Rule(order="legacy-seed", seed=-1), "a legacy seed"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
