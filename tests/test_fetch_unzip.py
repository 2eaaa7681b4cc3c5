"""Unpacking archives that want to do harm."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tracemalloc
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskmill import FormatError
from maskmill.fetch import FetchError, unzip


def make(path: Path, members: dict[str, bytes], **attributes: int) -> Path:
    """An archive of these members, whatever their names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.filename = name  # ZipInfo changes some names
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return path


def tree(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink()
    }


def refuse(archive: Path, what: str) -> None:
    """It is refused, and nothing is written, neither where it should be nor elsewhere."""
    before = tree(archive.parent.parent)
    with pytest.raises(FormatError, match=what) as caught:
        unzip(archive, archive.parent)
    assert str(archive) in str(caught.value)
    assert tree(archive.parent.parent) == before


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "to"
    folder.mkdir()
    return folder


class TestPlaces:
    def test_a_folder_of_its_name(self, here):
        make(here / "a.zip", {"x.txt": b"x", "sub/y.txt": b"y", "empty/": b""})
        done = unzip(here / "a.zip", here)
        assert (done.folder, done.files, done.written) == (here / "a", 2, 2)
        assert tree(here) == {"a.zip", "a/x.txt", "a/sub/y.txt"}

    def test_no_second_folder_of_its_name(self, here):
        make(here / "a.zip", {"a/x.txt": b"x", "a/sub/y.txt": b"y"})
        unzip(here / "a.zip", here)
        assert tree(here) == {"a.zip", "a/x.txt", "a/sub/y.txt"}

    def test_windows_separators(self, here):
        make(here / "a.zip", {"sub\\y.txt": b"y"})
        unzip(here / "a.zip", here)
        assert tree(here) == {"a.zip", "a/sub/y.txt"}

    def test_an_empty_archive(self, here):
        make(here / "a.zip", {})
        assert unzip(here / "a.zip", here).files == 0

    def test_again_writes_nothing(self, here):
        make(here / "a.zip", {"x.txt": b"x", "y.txt": b"y"})
        unzip(here / "a.zip", here)
        (here / "a" / "y.txt").unlink()
        assert unzip(here / "a.zip", here).written == 1
        assert unzip(here / "a.zip", here).written == 0

    def test_other_content_is_not_overwritten(self, here):
        make(here / "a.zip", {"x.txt": b"x"})
        (here / "a").mkdir()
        (here / "a" / "x.txt").write_text("mine")
        with pytest.raises(
            FileExistsError, match=r"is there already, and is not what .*a\.zip holds: move it away"
        ):
            unzip(here / "a.zip", here)
        assert (here / "a" / "x.txt").read_text() == "mine"

    def test_links_that_are_there_are_not_followed_outside(self, here, tmp_path):
        make(here / "a.zip", {"sub/x.txt": b"x", "y.txt": b"y"})
        (tmp_path / "outside").mkdir()
        (here / "a").mkdir()
        (here / "a" / "sub").symlink_to(tmp_path / "outside")
        with pytest.raises(FormatError, match="a link that leads out of"):
            unzip(here / "a.zip", here)
        (here / "a" / "sub").unlink()
        (here / "a" / "y.txt").symlink_to(tmp_path / "outside" / "y.txt")
        with pytest.raises(FormatError, match="a link that leads out of"):
            unzip(here / "a.zip", here)
        assert tree(tmp_path / "outside") == set()

    def test_progress(self, here):
        seen = []
        make(here / "a.zip", {"x": b"x" * 10, "y": b"y" * 20})
        unzip(here / "a.zip", here, progress=lambda *step: seen.append(step))
        assert seen == [(10, 30), (30, 30)]

    def test_disk_is_full(self, here, monkeypatch):
        make(here / "a.zip", {"x": bytes(2000)})
        monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
        with pytest.raises(FetchError, match=r"a\.zip needs 2,000 bytes more, and the disk has 1,000 free"):
            unzip(here / "a.zip", here)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "what"),
        [
            ("../evil", "leads out"),
            ("a/../../evil", "leads out"),
            ("a/..", "leads out"),
            ("..\\evil", "leads out"),
            ("a\\..\\..\\evil", "leads out"),
            ("/evil", "absolute"),
            ("\\evil", "absolute"),
            ("//server/evil", "absolute"),
            ("C:evil", "absolute"),
            ("c:\\evil", "absolute"),
            (".", "name of a file"),
            ("a\nb", "name of a file"),
            ("a\x7f", "name of a file"),
            ("x" * 300, "name of a file"),
            ("a/.maskmill-unzip.part", "needed while unpacking"),
        ],
    )
    def test_that_lead_elsewhere(self, here, name, what):
        refuse(make(here / "a.zip", {"good.txt": b"", name: b"evil"}), what)

    @pytest.mark.parametrize(
        ("one", "other", "what"),
        [
            ("x.txt", "X.txt", "would be one file"),
            ("\u00e9.txt", "e\u0301.txt", "would be one file"),
            ("x", "./x", "would be one file"),
            ("stra\u00dfe", "STRASSE", "would be one file"),
            ("sub/x", "Sub/y", "would be one folder"),
            ("x", "x/y", "both a file and a folder"),
            ("x/y", "X", "both a file and a folder"),
        ],
    )
    def test_that_clash(self, here, one, other, what):
        refuse(make(here / "a.zip", {one: b"1", other: b"2"}), what)

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_twice(self, here):
        with zipfile.ZipFile(here / "a.zip", "w") as archive:
            archive.writestr("x", "1")
            archive.writestr("x", "2")
        refuse(here / "a.zip", "would be one file")


class TestMembers:
    @pytest.mark.parametrize(
        ("kind", "what"),
        [
            (stat.S_IFLNK, "symbolic link"),
            (stat.S_IFIFO, "pipe"),
            (stat.S_IFBLK, "device"),
            (stat.S_IFSOCK, "special"),
        ],
    )
    def test_that_are_no_files(self, here, kind, what):
        archive = make(here / "a.zip", {"x": b"/etc/passwd"}, external_attr=(kind | 0o777) << 16)
        refuse(archive, f"expected a file or a folder, found a {what}")

    def test_permissions_are_not_taken_over(self, here):
        make(here / "a.zip", {"x": b"#!"}, external_attr=(stat.S_IFREG | 0o6777) << 16)
        unzip(here / "a.zip", here)
        assert not (here / "a" / "x").stat().st_mode & 0o7111

    def test_encrypted(self, here):
        archive = make(here / "a.zip", {"x": b"secret"})
        data = bytearray(archive.read_bytes())
        data[data.rindex(b"PK\x01\x02") + 8] |= 1
        archive.write_bytes(data)
        refuse(archive, "is encrypted")

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_other_ways_of_packing(self, here, method):
        with zipfile.ZipFile(here / "a.zip", "w", method) as archive:
            archive.writestr("x", bytes(1000))
        refuse(here / "a.zip", f"expected a member that is stored or deflated, found method {method}")

    def test_a_changed_byte(self, here):
        archive = make(here / "a.zip", {"x": np.random.default_rng(0).bytes(1000)})
        data = bytearray(archive.read_bytes())
        data[500] ^= 1
        archive.write_bytes(data)
        with pytest.raises(FormatError, match="a damaged archive"):
            unzip(archive, here)
        assert not (here / "a" / "x").exists()

    @pytest.mark.parametrize("size", [0, 21, 22, 100, -1, -10, -30])
    def test_cut_short(self, here, size):
        archive = make(here / "a.zip", {"x": b"content" * 30, "y": b"other"})
        archive.write_bytes(archive.read_bytes()[:size])
        refuse(archive, "not a readable zip archive")


class TestSizes:
    def test_a_bomb(self, here):
        refuse(make(here / "a.zip", {"x": bytes(1 << 27)}), "more than 100 times as many: not unpacked")

    def test_small_and_well_packed_is_no_bomb(self, here):
        make(here / "a.zip", {"x": bytes(1 << 22)})
        assert unzip(here / "a.zip", here).files == 1

    def test_more_than_declared(self, here):
        """A member of 64 MiB that says it has 10 bytes: no more than these are ever unpacked."""
        archive = make(here / "a.zip", {"x": bytes(1 << 26)})
        data = bytearray(archive.read_bytes())
        at = data.rindex(b"PK\x01\x02")
        struct.pack_into("<I", data, at + 24, 10)
        archive.write_bytes(data)
        tracemalloc.start()
        with pytest.raises(FormatError, match="a damaged archive"):
            unzip(archive, here)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 25
        assert not (here / "a" / "x").exists()

    def test_more_than_declared_with_the_right_checksum(self, here):
        archive = make(here / "a.zip", {"x": bytes(1 << 26)})
        data = bytearray(archive.read_bytes())
        at = data.rindex(b"PK\x01\x02")
        struct.pack_into("<I", data, at + 16, zlib.crc32(bytes(10)))
        struct.pack_into("<I", data, at + 24, 10)
        archive.write_bytes(data)
        unzip(archive, here)
        assert (here / "a" / "x").read_bytes() == bytes(10)

    def test_less_than_declared(self, here):
        archive = make(here / "a.zip", {"x": bytes(100)})
        data = bytearray(archive.read_bytes())
        struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, 1000)
        archive.write_bytes(data)
        with pytest.raises(
            FormatError, match="a damaged archive|does not unpack to the 1,000 bytes it declares"
        ):
            unzip(archive, here)
        assert tree(here) == {"a.zip"}

    def test_members_that_overlap(self, here):
        """One packed kernel of which many members are made (Fifield, "A better zip bomb", 2019)."""
        archive = make(here / "a.zip", {"x": bytes(10_000_000)})
        data = archive.read_bytes()
        directory = data.rindex(b"PK\x01\x02")
        end = data.rindex(b"PK\x05\x06")
        entry = data[directory:end]
        entries = b"".join(entry[:46] + b"%c" % (65 + i) + entry[47:] for i in range(20))
        tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 20, 20, len(entries), directory, 0)
        archive.write_bytes(data[:directory] + entries + tail)
        refuse(archive, "members overlap")

    def test_a_table_of_contents_without_end(self, here, monkeypatch):
        monkeypatch.setattr("maskmill._files.MAX_DIRECTORY", 100_000)
        archive = make(here / "a.zip", {f"{i:04}": b"" for i in range(3000)})
        refuse(archive, "a zip archive with a table of contents of")


def test_a_member_before_the_file(tmp_path):
    archive = make(tmp_path / "a.zip", {"x": b"content"})
    data = bytearray(archive.read_bytes())
    end = data.rindex(b"PK\x05\x06")
    struct.pack_into("<I", data, end + 16, 1 << 20)  # where the table of contents is said to begin
    archive.write_bytes(data)
    with pytest.raises(
        FormatError, match=r"a\.zip: (a zip archive with a member at byte -|not a readable zip)"
    ):
        unzip(archive, tmp_path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 400),
)
def test_mutated_archives(tmp_path_factory, changes, cut):
    """Whatever is changed in an archive: it is unpacked within its folder, or refused in a sentence."""
    here = tmp_path_factory.mktemp("fuzz") / "to"
    here.mkdir()
    archive = make(here / "a.zip", {"x.txt": b"text " * 20, "sub/y.bin": bytes(range(256)), "z/": b""})
    data = bytearray(archive.read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    archive.write_bytes(data[: len(data) - cut] if cut < 30 else data)
    with suppress(FormatError, FileExistsError, FetchError):
        unzip(archive, here)
    outside = {name for name in tree(here.parent) if not name.startswith(("to/a/", f"to{os.sep}a.zip"))}
    assert outside == set()
    shutil.rmtree(here.parent)
