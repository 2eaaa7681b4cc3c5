"""maskmill.dedupe and its command: who is kept, who is dropped, and that nothing is lost."""

from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmill import dedupe, hamming
from maskmill._files import FormatError
from maskmill.cli import main
from maskmill.dedupe.images import seen
from maskmill.dedupe.table import Row
from maskmill.hashes import Profile

DHASH = dedupe.ImageHashes(Profile("dhash", scaling="dtype"))


def scene(seed: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """A picture unlike those of other seeds."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC))


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three scenes: one of them three times, one twice; and one file that is no image."""
    folder = tmp_path / "photos"
    save(folder / "a.png", scene(1))
    save(folder / "b" / "a again.jpg", scene(1))
    save(folder / "b" / "a small.png", cv2.resize(scene(1), (64, 48), interpolation=cv2.INTER_AREA))
    save(folder / "c.png", scene(2))
    save(folder / "c2.bmp", scene(2))
    save(folder / "<d>.png", scene(3))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    save(folder / ".hidden" / "a.png", scene(1))
    return folder


# The order


def test_stable_order_needs_no_order() -> None:
    ids = [f"image {k}" for k in range(200)]
    order = dedupe.processing_order(ids)
    shuffled = np.random.default_rng(0).permutation(200)
    again = dedupe.processing_order([ids[k] for k in shuffled])
    np.testing.assert_array_equal(shuffled[again], order)
    assert (dedupe.processing_order(ids, seed=1) != order).any()
    assert dedupe.processing_order(["b", "a", "c"], "name").tolist() == [1, 0, 2]
    assert dedupe.processing_order(["b", "a"], "natural").tolist() == [0, 1]
    assert dedupe.processing_order(ids, "quality", quality=np.arange(200)).tolist() == list(
        range(199, -1, -1)
    )
    np.testing.assert_array_equal(dedupe.processing_order(ids, "quality", quality=np.zeros(200)), order)


def test_stable_keys_are_splitmix64_of_blake2b() -> None:
    def mix(v: int) -> int:
        v = (v + 0x9E3779B97F4A7C15) % 2**64
        v = (v ^ v >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        v = (v ^ v >> 27) * 0x94D049BB133111EB % 2**64
        return v ^ v >> 31

    for name, seed in [("vol", 0), ("ü/é.png", 9), ("", 2**70 + 1)]:
        digest = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
        assert dedupe.stable_keys([name], seed).tolist() == [mix(mix(seed % 2**64) ^ digest)]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"order": "best"}, "order must be one of 'stable', 'natural', 'name', 'quality', not 'best'"),
        ({"order": "quality"}, "order 'quality' needs the quality of every item"),
        ({"order": "quality", "quality": [1.0]}, r"quality must have shape \(2,\), not \(1,\)"),
        ({"order": "quality", "quality": [1.0, np.nan]}, "quality must be numbers, but item 1 has none"),
    ],
)
def test_bad_orders(how: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        dedupe.processing_order(["a", "b"], **how)


# Finding


def items_of(codes: Any, **columns: Any) -> dedupe.Items:
    codes = np.asarray(codes, np.uint64)
    return dedupe.Items([f"item {k}" for k in range(len(codes))], codes, "a profile", **columns)


def loop(
    items: dedupe.Items, radius: int, reach: int, order: np.ndarray, before: dedupe.Items | None
) -> list[int]:
    """Who drops each, by the definition."""
    own = items.codes[:, None] if items.views is None else items.views

    def near(i: int, others: dedupe.Items, j: int) -> bool:
        close = min(
            int(code ^ word).bit_count()
            for code, word in ((int(c[0]), int(others.codes[j][0])) for c in own[i])
        )
        if items.confirm is None or others.confirm is None:
            return close <= radius
        far = sum(
            (int(a) ^ int(b)).bit_count() for a, b in zip(items.confirm[i], others.confirm[j], strict=True)
        )
        return close <= radius and far <= reach

    exemplar = list(range(len(items)))
    kept: list[int] = []
    for i in order.tolist():
        hits = [-1 - e for e in range(len(before or ())) if near(i, before, e)]
        hits += [k for k in kept if near(i, items, k)]
        if hits:
            exemplar[i] = hits[0]
        else:
            kept.append(i)
    return exemplar


@pytest.mark.parametrize("views", [False, True])
@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_find_is_the_loop(
    rng: np.random.Generator, monkeypatch: Any, views: bool, confirmed: bool, after: bool
) -> None:
    for name, few in (("_FEW", 17), ("_NEAR", 2), ("_MOST_PAIRS", 300)):
        monkeypatch.setattr(f"maskmill.dedupe.search.{name}", few)

    def some(n: int) -> dedupe.Items:
        codes = rng.integers(0, 1 << 9, (n, 1)).astype(np.uint64)
        more = rng.integers(0, 1 << 9, (n, 3, 1)).astype(np.uint64)
        more[:, 0] = codes
        confirm = rng.integers(0, 1 << 6, (n, 4)).astype(np.uint64)
        return items_of(codes, views=more if views else None, confirm=confirm if confirmed else None)

    items, before = some(120), some(6) if after else None
    found = dedupe.find(items, 2, exemplars=before, confirm_radius=12)
    assert found.exemplar.tolist() == loop(items, 2, 12, found.order, before)
    assert sorted([*found.kept, *found.dropped]) == list(range(120))
    assert sum(len(members) for _, members in found.clusters()) == len(found.dropped)
    sizes = [len(members) for _, members in found.clusters()]
    assert sizes == sorted(sizes, reverse=True)
    for exemplar, members in found.clusters():
        assert (found.exemplar[members] == exemplar).all()
        assert (np.diff(found.distance[members]) >= 0).all()


def test_groups_and_flat_pictures() -> None:
    items = items_of([0, 0, 1, 0, 3 << 40], flat=np.array([True, False, False, False, True]))
    assert dedupe.find(items, 1, order="natural").exemplar.tolist() == [0, 0, 0, 0, 4]
    assert dedupe.find(items, 1, order="natural", flat="one").exemplar.tolist() == [0, 1, 1, 1, 0]
    assert dedupe.find(items, 1, order="natural", groups=[7, 7, 3, 3, 3]).exemplar.tolist() == [0, 0, 2, 2, 4]
    before = items_of([5], flat=np.array([True]))
    assert dedupe.find(items, 0, order="natural", flat="one", exemplars=before).exemplar.tolist() == [
        -1,
        1,
        2,
        1,
        -1,
    ]


def test_audit_tells_why(tmp_path: Path) -> None:
    items = items_of([0, 9, 9, 7 << 40], flat=np.array([True, False, False, True]))
    for flat, reasons in (("code", ["", "", "duplicate", ""]), ("one", ["", "", "duplicate", "flat"])):
        dedupe.write_audit(dedupe.find(items, 1, order="natural", flat=flat), tmp_path / "audit.csv")
        with open(tmp_path / "audit.csv", newline="") as file:
            assert [row["reason"] for row in csv.DictReader(file)] == reasons


def test_sweep_leaks_and_chance() -> None:
    items = items_of([0, 1, 3, 7, 15])
    assert dedupe.sweep(items, [0, 1, 2, 64], order="natural") == [(0, 5), (1, 3), (2, 2), (64, 1)]
    train, test, distance = dedupe.leaks(items, items_of([1, 255]), 1)
    assert (train.tolist(), test.tolist(), distance.tolist()) == ([0, 1, 2], [0, 0, 0], [1, 0, 1])
    assert dedupe.chance(2, 64) == 1.0
    assert dedupe.chance(3, 0, 1, others=2) == 3.0


def test_other_profiles_are_not_compared() -> None:
    a, b = dedupe.Items(["a"], [0], "dhash"), dedupe.Items(["b"], [0], "phash")
    for call in (lambda: dedupe.find(a, 1, exemplars=b), lambda: dedupe.leaks(a, b, 1)):
        with pytest.raises(
            ValueError, match="^codes of profile '[dp]hash' cannot be compared with those of '[dp]hash'$"
        ):
            call()
    with pytest.raises(ValueError, match="^codes must be of 2 items, not 1$"):
        dedupe.Items(["a", "b"], [0])
    with pytest.raises(ValueError, match="^flat must be 'code' or 'one', not 'no'$"):
        dedupe.find(a, 1, flat="no")


def test_nothing() -> None:
    found = dedupe.find(dedupe.Items([], np.zeros((0, 1), np.uint64)), 3)
    assert found.clusters() == []
    assert len(found.kept) == 0


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 3), st.integers(1, 39))
def test_adding_equals_all_at_once(codes: list[int], radius: int, split: int) -> None:
    both = dedupe.find(items_of(np.array(codes, np.uint64).reshape(-1, 1)), radius, order="natural")
    items = both.items
    old, new = items.take(np.arange(len(items)) < split), items.take(np.arange(len(items)) >= split)
    first = dedupe.find(old, radius, order="natural")
    second = dedupe.find(new, radius, order="natural", exemplars=old.take(first.kept))
    names = [items.ids[i] for i in both.kept]
    assert names == [old.ids[i] for i in first.kept] + [new.ids[i] for i in second.kept]


# Images


def test_views() -> None:
    image = scene(5)
    every = {seen(image, view).tobytes() + bytes(seen(image, view).shape[:1]) for view in range(16)}
    assert len(every) == 16
    assert np.array_equal(seen(image, 1), np.rot90(image))
    assert np.array_equal(seen(image, 4), image[:, ::-1])
    assert np.array_equal(seen(image, 8), 255 - image)


def test_hash_images(photos: Path) -> None:
    paths = dedupe.find_images(photos)
    names = [path.relative_to(photos).as_posix() for path in paths]
    assert names == ["<d>.png", "a.png", "b/a again.jpg", "b/a small.png", "broken.jpg", "c.png", "c2.bmp"]
    table = dedupe.CodeTable()
    hashed = dedupe.hash_images(paths, names, DHASH, table=table)
    assert [name for name, _ in hashed.failed] == ["broken.jpg"]
    assert len(hashed.items) == len(hashed.paths) == 6
    assert table.new == 6
    for name, path, code in zip(hashed.items.ids, hashed.paths, hashed.items.codes, strict=True):
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        assert names[paths.index(path)] == name
        np.testing.assert_array_equal(code, DHASH.profile.codes([image])[0])
    again = dedupe.hash_images(paths, names, DHASH, table=table)
    assert again.from_table == 6
    np.testing.assert_array_equal(again.items.codes, hashed.items.codes)


@pytest.mark.parametrize("kind", ["gray", "16 bit", "alpha"])
def test_kinds_of_images(tmp_path: Path, kind: str) -> None:
    image = scene(4)
    image = {
        "gray": cv2.cvtColor(image, cv2.COLOR_BGR2GRAY),
        "16 bit": image.astype(np.uint16) * 257,
        "alpha": np.dstack([image, image[..., :1]]),
    }[kind]
    hashed = dedupe.hash_images(
        [save(tmp_path / "x.png", image), save(tmp_path / "y.png", scene(4))], ["x", "y"], DHASH
    )
    assert not hashed.failed
    (distance,) = hamming.nearest(hashed.items.codes[:1], hashed.items.codes[1:])[1]
    assert distance <= 2


def test_flat_images_are_told(tmp_path: Path) -> None:
    files = [
        save(tmp_path / "flat.png", np.full((40, 40, 3), 90, np.uint8)),
        save(tmp_path / "deep.png", np.full((40, 40), 9000, np.uint16)),
        save(tmp_path / "not.png", scene(1)),
    ]
    hashed = dedupe.hash_images(files, ["flat", "deep", "not"], DHASH)
    assert hashed.items.flat.tolist() == [True, True, False]


def test_turned_mirrored_and_inverted(tmp_path: Path) -> None:
    image = scene(6, (120, 120))
    files = [save(tmp_path / f"{view}.png", np.ascontiguousarray(seen(image, view))) for view in range(16)]
    names = [f"{view}" for view in range(16)]
    for dihedral, inverted, kept in [(False, False, 16), (True, False, 2), (False, True, 8), (True, True, 1)]:
        hashes = dedupe.ImageHashes(DHASH.profile, dihedral=dihedral, inverted=inverted)
        found = dedupe.find(dedupe.hash_images(files, names, hashes).items, 6)
        assert len(found.kept) == kept


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_table_comes_back(tmp_path: Path, photos: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    hashes = dedupe.ImageHashes(DHASH.profile, Profile("dhash", 16, scaling="dtype"), dihedral=True)
    table, path = dedupe.CodeTable(), tmp_path / f"codes{suffix}"
    files = [photos / "a.png", photos / "c.png"]
    first = dedupe.hash_images(files, ["a", "c"], hashes, table=table)
    table.write(path)
    read = dedupe.CodeTable.read(path)
    second = dedupe.hash_images(files, ["a", "c"], hashes, table=read)
    assert second.from_table == 2
    assert read.new == 0
    for name in ("codes", "views", "confirm", "quality", "flat"):
        np.testing.assert_array_equal(getattr(first.items, name), getattr(second.items, name))
    path.write_bytes(b"something else")
    with pytest.raises(FormatError, match="expected a table with digest"):
        dedupe.CodeTable.read(path)
    with pytest.raises(ValueError, match=r"must end in \.parquet or \.csv, not 'codes.txt'"):
        table.write(tmp_path / "codes.txt")


ROWS = [Row(f"{k:032x}", str(DHASH.profile), 0, (k, 7), 40, 30, k % 2 == 0) for k in range(2500)]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_killed_run_loses_few_codes(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"codes{suffix}"
    table = dedupe.CodeTable.open(path)
    for row in ROWS[:100]:
        table.add(row)
    table.save()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    for row in ROWS:
        table.add(row)
    del table  # as if killed: nothing was saved
    noted = path.with_name(path.name + ".new").read_bytes()
    assert len(noted.splitlines()) >= 2000
    # Killed while it was written, at any byte.
    for end in (0, 1, 40, 57, len(noted) // 2, len(noted) - 1, len(noted)):
        path.with_name(path.name + ".new").write_bytes(noted[:end])
        again = dedupe.CodeTable.open(path)
        assert len(again) >= 100 + noted[:end].count(b"\n")
        assert all(again.get(*row[:3]) in (row, None) for row in ROWS)
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert len(again) == 100 + noted.count(b"\n")


# The command


def listed(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_command(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit, report = tmp_path / "audit.csv", tmp_path / "report.html"
    kept, dropped = tmp_path / "kept.txt", tmp_path / "dropped.txt"
    before = sorted(photos.rglob("*"))
    arguments = ["dedupe", str(photos), "--radius", "6", "--order", "name", "--sweep", "--audit", str(audit)]
    arguments += [
        "--report",
        str(report),
        "--list-kept",
        str(kept),
        "--list-dropped",
        str(dropped),
        "--quiet",
    ]
    assert main(arguments) == 3
    out = capsys.readouterr().out
    assert "6 images, 3 kept, 3 dropped in 2 clusters, 1 not read" in out
    assert "not read: broken.jpg: " in out
    assert "radius  6: 3 kept" in out
    assert listed(kept) == ["<d>.png", "a.png", "c.png"]
    assert listed(dropped) == ["b/a again.jpg", "b/a small.png", "c2.bmp"]
    with open(audit, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    by = {row["id"]: row["exemplar"] for row in rows}
    assert by["b/a again.jpg"] == by["b/a small.png"] == by["a.png"] == "a.png"
    assert {row["kept"] for row in rows} == {"True", "False"}
    page = report.read_text()
    assert page.count("<img") == 5
    assert page.count("data:image/jpeg;base64,") == 5
    assert "http" not in page
    assert sorted(photos.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["--hash", "pdq"], 3),
        (["--hash", "pdq", "--dihedral", "--confirm", "16"], 3),
        (["--hash", "colorhash"], 4),
    ],
)
def test_other_hashes(
    photos: Path, arguments: list[str], kept: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dedupe", str(photos), *arguments, "--sweep", "--quiet"]) == 3
    assert f"6 images, {kept} kept" in capsys.readouterr().out


def test_copies_are_told(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "copy.png").write_bytes((photos / "a.png").read_bytes())
    arguments = ["dedupe", str(photos), "--threads", "1", "--quiet"]
    main(arguments)
    assert "1 is a copy of another file's content" in capsys.readouterr().out
    main([*arguments, "--table", str(tmp_path / "codes.csv")])
    main([*arguments, "--table", str(tmp_path / "codes.csv")])
    assert (
        "7 had a code in the table, or are copies of another file's content; 0 were hashed"
        in capsys.readouterr().out
    )


def test_names_are_escaped_in_the_report(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name in ("<script>1.png", "<script>2.png"):
        save(folder / name, scene(1))
    assert main(["dedupe", str(folder), "--report", str(tmp_path / "out.html"), "--quiet"]) == 0
    page = (tmp_path / "out.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;1.png" in page


def test_report_shows_so_many(tmp_path: Path) -> None:
    codes = np.repeat(np.arange(30, dtype=np.uint64) << np.uint64(30), 5)
    found = dedupe.find(items_of(codes), 0)
    dedupe.write_report(found, tmp_path / "out.html", lambda _: None, most_clusters=10, most_members=2)
    page = (tmp_path / "out.html").read_text()
    assert page.count("<section>") == 10
    assert page.count("and 2 more") == 10
    assert "The greatest 10 of 30." in page


def test_moving_loses_nothing(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = {path.relative_to(photos): path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    out = tmp_path / "out"
    taken = out / "b" / "a again.jpg"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"mine")
    arguments = ["dedupe", str(photos), str(photos / "a.png"), "--radius", "6", "--order", "name", "--quiet"]
    base = [str(photos), "--radius", "6", "--order", "name", "--quiet", "--move-to", str(out)]
    assert main(["dedupe", *base]) == 2
    assert "nothing was moved" in capsys.readouterr().err
    assert {path.relative_to(photos) for path in photos.rglob("*") if path.is_file()} == set(content)
    taken.unlink()
    assert main(["dedupe", *base]) == 3
    moved = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    left = {path.relative_to(photos): path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    assert moved | left == content
    assert not moved.keys() & left.keys()
    assert {str(name) for name in moved} == {"b/a again.jpg", "b/a small.png", "c2.bmp"}
    # A file that is named twice is not its own duplicate.
    capsys.readouterr()
    assert main(arguments) == 3
    assert "3 images, 3 kept, 0 dropped" in capsys.readouterr().out


def test_against_a_finished_set(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = tmp_path / "new"
    save(new / "a.png", scene(2))  # as photos/c.png
    save(new / "fresh.png", scene(9))
    audit, report = tmp_path / "audit.csv", tmp_path / "report.html"
    arguments = ["dedupe", str(new), "--against", str(photos), "--audit", str(audit), "--report", str(report)]
    assert main([*arguments, "--table", str(tmp_path / "codes.csv"), "--quiet"]) == 3
    assert "2 images, 1 kept, 1 dropped" in capsys.readouterr().out
    with open(audit, newline="") as file:
        (dropped,) = [row for row in csv.DictReader(file) if row["kept"] == "False"]
    assert dropped["id"] == "a.png"
    assert dropped["exemplar"] in {f"{photos.as_posix()}/{name}" for name in ("c.png", "c2.bmp")}
    assert len(dedupe.CodeTable.read(tmp_path / "codes.csv")) == 7  # a.png is as c.png, whose code serves


def test_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "in" / "train" / "1.png", scene(1))
    save(tmp_path / "in" / "train" / "2.png", scene(2))
    save(tmp_path / "in" / "test" / "3.jpg", scene(1))
    pairs = tmp_path / "pairs.csv"
    assert main(["dedupe", str(tmp_path / "in"), "--split", "--audit", str(pairs), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "test (1) and train (2): 1 pairs within 12 bits, 1 images of test and 1 of train" in out
    assert listed(pairs)[1].startswith("test/3.jpg,train/1.png,")


def test_lists(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = photos / "names.txt"
    names.write_text(f"a.png\n\n{photos}/c.png\nc2.bmp\nmissing.png\n")
    assert main(["dedupe", str(names), "--quiet"]) == 3
    out = capsys.readouterr().out
    assert "3 images, 2 kept, 1 dropped in 1 clusters, 1 not read" in out
    assert "not read: missing.png: No such file or directory" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no such folder"], "no such folder: No such file or directory"),
        (["{}", "--radius", "-1"], "--radius must be 0 or more, not -1"),
        (["{}", "--threads", "0"], "--threads must be 1 or more, not 0"),
        (["{}", "--hash", "md5"], "must be one of .*'dhash'"),
        (["{}", "--hash-size", "99"], "hashes must be of 2 x 2 to 16 x 16 bits, not 99 x 99"),
        (["{}", "--audit", "a.txt"], r"must end in \.parquet or \.csv, not 'a.txt'"),
        (["{}", "--report", "none/a.html"], "none/a.html: the folder to write to does not exist"),
        (["{}", "--split"], "--split needs two folders of images or more directly below, not 0"),
        (["{}", "--split", "--move-to", "x"], "--split lists leaks and drops nothing"),
    ],
)
def test_wrong_usage(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "in" / "a.png", scene(1))
    assert main(["dedupe", *(word.format(tmp_path / "in") for word in arguments), "--quiet"]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dedupe", str(tmp_path), "--report", str(tmp_path / "r.html"), "--sweep", "--quiet"]) == 0
    assert "0 images, 0 kept, 0 dropped in 0 clusters, 0 not read" in capsys.readouterr().out


# Real photos


def test_real_photos(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = data / "dedupe" / "imagededup"
    if not folder.is_dir():
        pytest.skip("no such data")
    audit = tmp_path / "audit.csv"
    arguments = [
        "dedupe",
        str(folder),
        "--radius",
        "8",
        "--order",
        "name",
        "--audit",
        str(audit),
        "--dihedral",
        "--quiet",
    ]
    assert main(arguments) == 3
    out = capsys.readouterr().out
    failed = re.findall(r"not read: (\S+)", out)
    assert sum("ukbench09268_corrupt.jpg" in name for name in failed) == 2
    with open(audit, newline="") as file:
        exemplar = {row["id"]: row["exemplar"] for row in csv.DictReader(file)}
    first = exemplar["base_images/ukbench00120.jpg"]
    for name in ("mixed_images/ukbench00120_hflip.jpg", "mixed_images/ukbench00120_resize.jpg"):
        assert exemplar[name] == first
    scenes = [name for name in exemplar if name.startswith("base_images/")]
    assert len({exemplar[name] for name in scenes}) == 10
