"""Fetching published data sets: from a server on 127.0.0.1 that stalls, cuts, lies and changes its files."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from http_store import HttpStore
from maskmill import FormatError
from maskmill.cli import main
from maskmill.fetch import FAMILIES, FetchError, Resuming, fetch, published, select

pytest.importorskip("pooch")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def web(tmp_path):
    """A server with some of the published names, small."""
    folder = tmp_path / "web"
    folder.mkdir()
    rng = np.random.default_rng(1)
    (folder / "CoastTrain_imagery_details.csv").write_bytes(b"a,b\n1,2\n" * 1000)
    for name in ("NAIP_6_001", "Real_WS2", "Real_WSe2"):
        with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}/noise.bin", rng.bytes(300_000))
            archive.writestr(f"{name}/sub/readme.txt", f"this is {name}")
            archive.writestr(f"{name}/empty/", "")
    with HttpStore(folder) as store:
        yield store


def run(*arguments: object) -> int:
    return main(["fetch", *map(str, arguments), "--quiet"])


def get(store, to, *names, **options):
    """All outcomes of a fetch from `store`."""
    family = "flakes" if names[0].startswith("Real") else "coast"
    return list(fetch(family, names, to, mirror=store.url, **options))


class TestCatalogue:
    def test_every_family_has_something(self):
        assert {file.family for file in published()} == set(FAMILIES)
        assert len(published()) == 32

    def test_addresses_are_secure_and_names_are_files(self):
        for file in published():
            assert file.url.startswith("https://")
            assert Path(file.name).name == file.name
            if not file.is_page:
                assert file.name in file.url

    def test_sizes(self):
        sizes = {file.name: file.about for file in published()}
        assert sizes["NAIP_11_001.zip"] == 4_000_000_000
        assert sizes["CZD_train_large.zip"] == 500_000_000
        assert sizes["Real_WS2.zip"] == 0

    @pytest.mark.parametrize(
        ("names", "count"),
        [
            ((), 15),
            (("Real_*",), 8),
            (("real_ws2",), 1),
            (("Real_WS2.zip", "*WS2*"), 2),
            (("Real_WSe2[L]",), 1),
        ],
    )
    def test_names_and_patterns(self, names, count):
        assert len(select("flakes", names)) == count

    def test_unknown_names(self):
        with pytest.raises(ValueError, match="coast has no data set 'NAIP_7'; it has Landsat8_11_001.zip, "):
            select("coast", ["NAIP_7"])
        with pytest.raises(ValueError, match="family must be one of coast, "):
            published("sea")

    def test_data_agree_with_the_specification(self, data):
        """The table of the project equals the one that it was made from."""
        import csv

        path = data.parent / "spec" / "published_datasets.csv"
        if not path.exists():
            pytest.skip(f"no {path}")
        with open(path, newline="") as file:
            rows = {row["url"]: row for row in csv.DictReader(file)}
        assert set(rows) == {file.url for file in published()}
        for file in published():
            assert file.size == rows[file.url]["size"]
            assert file.is_page == rows[file.url]["note"].endswith("landing page")


class TestCommand:
    def test_list_asks_no_server(self, capsys, monkeypatch):
        monkeypatch.setattr("socket.socket.connect", None)
        assert run("--list") == 0
        assert "NAIP_11_001.zip" in (text := capsys.readouterr().out)
        assert "4.0 GB" in text
        assert run("flakes", "Real_*", "--list") == 0
        assert "Synthetic" not in capsys.readouterr().out

    def test_fetch_unpacks_and_again_downloads_nothing(self, web, tmp_path, capsys):
        to = tmp_path / "flakes"
        assert run("flakes", "Real_WS*2", "--to", to, "--mirror", web.url) == 0
        assert (to / "Real_WS2" / "sub" / "readme.txt").read_text() == "this is Real_WS2"
        assert (to / "Real_WSe2" / "noise.bin").stat().st_size == 300_000
        assert "2 files in" in capsys.readouterr().out
        record = json.loads((to / "maskmill-fetch.json").read_text())["files"]
        assert set(record) == {"Real_WS2.zip", "Real_WSe2.zip"}
        assert (
            record["Real_WS2.zip"]["sha256"] == hashlib.sha256((to / "Real_WS2.zip").read_bytes()).hexdigest()
        )
        sent = web.sent
        assert run("flakes", "Real_WS*2", "--to", to, "--mirror", web.url) == 0
        assert web.sent == sent
        assert "there already, unchanged" in capsys.readouterr().out

    def test_no_unzip(self, web, tmp_path):
        assert run("flakes", "Real_WS2", "--to", tmp_path / "f", "--mirror", web.url, "--no-unzip") == 0
        assert {path.name for path in (tmp_path / "f").iterdir()} == {
            "Real_WS2.zip", "maskmill-fetch.json", ".maskmill-fetch",
        }  # fmt: skip

    def test_the_folder_is_named_like_the_family(self, web, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert run("coast", "CoastTrain_imagery_details", "--mirror", web.url) == 0
        assert (tmp_path / "coast" / "CoastTrain_imagery_details.csv").read_bytes().startswith(b"a,b")

    @pytest.mark.parametrize("family", ["core", "em"])
    def test_pages_are_printed(self, family, capsys, tmp_path):
        assert run(family, "--to", tmp_path / "x") == 0
        assert "nothing to download; read https://" in capsys.readouterr().out
        assert not (tmp_path / "x").exists()

    def test_wrong_usage(self, capsys, tmp_path):
        assert run() == 2
        assert "say which family" in capsys.readouterr().err
        assert run("coast", "nonsense") == 2
        assert run("coast", "--mirror", "ftp://x", "--to", tmp_path) == 2
        assert "mirror must begin with http" in capsys.readouterr().err
        assert run("coast", "--timeout", "0") == 2
        with pytest.raises(SystemExit):
            run("sea")

    def test_one_failure_does_not_stop_the_others(self, web, tmp_path, capsys):
        (web.folder / "Real_WS2.zip").unlink()
        assert run("flakes", "Real_WS*2", "--to", tmp_path / "f", "--mirror", web.url) == 1
        said = capsys.readouterr()
        assert said.err.startswith("maskmill fetch: http://")
        assert "has no such file (404)" in said.err
        assert "Real_WSe2.zip: downloaded" in said.out

    def test_progress_is_of_bytes(self, web, tmp_path):
        seen = []
        list(
            fetch("flakes", ["Real_WS2"], tmp_path, mirror=web.url, progress=lambda *step: seen.append(step))
        )
        size = (web.folder / "Real_WS2.zip").stat().st_size
        assert ("download", "Real_WS2.zip", size, size) in seen
        assert ("verify", "Real_WS2.zip", size, size) in seen
        assert seen[-1][0] == "unzip"
        assert seen[-1][2] == seen[-1][3] > 300_000

    def test_without_pooch(self, web, tmp_path, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "pooch", None)
        assert run("flakes", "Real_WS2", "--to", tmp_path, "--mirror", web.url) == 2
        assert "pip install 'maskmill[fetch]'" in capsys.readouterr().err


class TestChecksums:
    def test_a_tampered_file_is_refused(self, web, tmp_path, capsys):
        run("flakes", "Real_WS2", "--to", tmp_path, "--mirror", web.url)
        path = tmp_path / "Real_WS2.zip"
        good = path.read_bytes()
        path.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
        sent = web.sent
        assert run("flakes", "Real_WS2", "--to", tmp_path, "--mirror", web.url) == 1
        said = capsys.readouterr().err
        assert "was changed since it was fetched on 20" in said
        assert "delete it, and the next fetch downloads it again" in said
        assert web.sent == sent
        path.unlink()
        assert run("flakes", "Real_WS2", "--to", tmp_path, "--mirror", web.url) == 0
        assert path.read_bytes() == good

    def test_a_published_file_that_changed_is_refused(self, web, tmp_path):
        get(web, tmp_path, "CoastTrain_imagery_details")
        (tmp_path / "CoastTrain_imagery_details.csv").unlink()
        (web.folder / "CoastTrain_imagery_details.csv").write_bytes(b"other")
        [outcome] = get(web, tmp_path, "CoastTrain_imagery_details")
        assert isinstance(outcome.error, FormatError)
        assert "take 'CoastTrain_imagery_details.csv' out of" in str(outcome.error)
        assert not (tmp_path / "CoastTrain_imagery_details.csv").exists()

    def test_a_record_alone_is_enough_to_verify(self, web, tmp_path):
        get(web, tmp_path / "a", "Real_WS2")
        (tmp_path / "b").mkdir()
        shutil.copy(tmp_path / "a" / "maskmill-fetch.json", tmp_path / "b")
        web.fault = lambda path, before: "corrupt"
        [outcome] = get(web, tmp_path / "b", "Real_WS2")
        assert "its SHA-256 is not" in str(outcome.error)

    def test_what_is_no_archive_is_not_recorded(self, web, tmp_path):
        web.fault = lambda path, before: "truncate" if before == 0 else None
        [outcome] = get(web, tmp_path, "Real_WS2")
        assert "not a readable zip archive" in str(outcome.error)
        [outcome] = get(web, tmp_path, "Real_WS2")
        assert outcome.new
        (tmp_path / "Real_WSe2.zip").write_bytes(b"PK\x03\x04 half of it")  # put there by hand
        [outcome] = get(web, tmp_path, "Real_WSe2")
        assert "not a readable zip archive" in str(outcome.error)
        assert "Real_WSe2" not in (tmp_path / "maskmill-fetch.json").read_text()

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"files": 3}', '{"files": {"a": {"url": 1}}}', "[" * 100_000, "\xff"]
    )
    def test_a_damaged_record(self, web, tmp_path, text):
        (tmp_path / "maskmill-fetch.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(FormatError, match=r"not a record of maskmill fetch"):
            get(web, tmp_path, "Real_WS2")


def resuming(part: Path, **options) -> Resuming:
    return Resuming(part, **{"timeout": 0.3, "retries": 3, "pause": 0.01} | options)


@pytest.fixture
def large(web):
    """A file of 2 MB on the server."""
    path = web.folder / "large.bin"
    path.write_bytes(np.random.default_rng(2).bytes(2_000_000))
    return path


class TestResume:
    """The downloader alone, as pooch calls it."""

    def test_whole(self, web, large, tmp_path):
        resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == large.read_bytes()
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out"]

    @pytest.mark.parametrize("fault", ["cut", "drip"])
    def test_goes_on_where_it_was_cut(self, web, large, tmp_path, fault):
        web.fault = lambda path, before: fault if before < 4 else None
        resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == large.read_bytes()
        assert web.asked["large.bin"] == 5
        assert len(web.ranges) == 4
        assert web.sent < 2_000_000 * 1.2

    def test_a_later_call_goes_on(self, web, large, tmp_path):
        web.fault = lambda path, before: "drip" if before == 0 else "503"
        with pytest.raises(
            FetchError, match=r"has a fault of its own \(503\).*bytes are kept: give the command again"
        ):
            resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
        web.fault, sent = None, web.sent
        resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == large.read_bytes()
        assert web.sent - sent < 1_100_000

    def test_a_server_that_ignores_ranges(self, web, large, tmp_path):
        web.fault = lambda path, before: "drip" if before == 0 else "whole"
        resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == large.read_bytes()

    @pytest.mark.parametrize("fault", [None, "blind"])  # "blind": it does not look at If-Range
    def test_a_file_that_changed_meanwhile(self, web, large, tmp_path, fault):
        def serve(path, before):
            if before == 1:
                large.write_bytes(bytes(reversed(large.read_bytes())))  # as large, and other bytes
                os.utime(large, ns=(1, 1))
            return "drip" if before == 0 else fault

        web.fault = serve
        resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == large.read_bytes()

    @pytest.mark.parametrize("fault", ["unknown", "weak"])
    def test_without_a_sign_of_the_version_it_begins_again(self, web, large, tmp_path, fault):
        web.fault = lambda path, before: f"{fault} drip" if before == 0 else fault
        resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == large.read_bytes()
        assert web.ranges == []

    def test_a_file_that_became_shorter(self, web, large, tmp_path):
        def serve(path, before):
            if before == 1:
                large.write_bytes(b"short")
            return "drip" if before == 0 else "blind"

        web.fault = serve
        resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == b"short"

    def test_without_a_length(self, web, large, tmp_path):
        web.fault = lambda path, before: "chunked"
        resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == large.read_bytes()

    def test_without_a_length_and_cut(self, web, large, tmp_path):
        web.fault = lambda path, before: "chunked cut" if before == 0 else "chunked"
        resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == large.read_bytes()
        assert len(web.ranges) == 1

    def test_a_part_that_is_whole_already(self, web, large, tmp_path):
        part = tmp_path / "p"
        part.write_bytes(large.read_bytes())
        url = f"{web.url}/large.bin"
        state = {"url": url, "size": 2_000_000, "etag": '"x"', "modified": ""}
        (tmp_path / "p.json").write_text(json.dumps(state))
        resuming(part)(url, str(tmp_path / "out"))
        assert web.asked["large.bin"] == 0

    @pytest.mark.parametrize("state", ["", "{}", "[1]", '{"url": 1}', None])
    def test_a_part_of_unknown_version_is_not_trusted(self, web, large, tmp_path, state):
        (tmp_path / "p").write_bytes(b"something else")
        if state is not None:
            (tmp_path / "p.json").write_text(state)
        resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == large.read_bytes()

    def test_a_part_from_another_server_is_not_continued(self, web, large, tmp_path):
        web.fault = lambda path, before: "drip" if before == 0 else "500"
        with pytest.raises(FetchError):
            resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
        web.fault = None
        (web.folder / "other.bin").write_bytes(b"other")
        resuming(tmp_path / "p")(f"{web.url}/other.bin", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == b"other"

    def test_random_faults(self, web, large, tmp_path):
        """Whatever happens, the bytes are those of the server's file, or an error says why not."""
        for seed in range(30):
            choice = random.Random(seed)
            faults = [
                None,
                "cut",
                "drip",
                "whole",
                "503",
                "chunked cut",
                "chunked",
                "blind",
                "unknown drip",
                "weak cut",
            ]
            web.fault = lambda path, before, choice=choice, faults=faults: choice.choice(faults)
            out = tmp_path / f"out{seed}"
            try:
                resuming(tmp_path / "p", timeout=0.1, retries=6)(f"{web.url}/large.bin", str(out))
            except FetchError:
                continue
            assert out.read_bytes() == large.read_bytes()


class TestSentences:
    """What is said when the network fails."""

    def failure(self, url, tmp_path, **options) -> str:
        with pytest.raises(FetchError) as caught:
            resuming(tmp_path / "p", **options)(url, str(tmp_path / "out"))
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    def test_offline(self, tmp_path):
        said = self.failure("https://nowhere.invalid/a.zip", tmp_path)
        assert said.endswith(
            "the name nowhere.invalid is not found: this machine is offline, or its DNS fails"
        )

    def test_refused(self, tmp_path):
        import socket

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/a.zip"
            assert "127.0.0.1 refuses the connection" in self.failure(url, tmp_path)

    def test_no_answer(self, web, tmp_path):
        web.fault = lambda path, before: "stall"
        said = self.failure(f"{web.url}/large.bin", tmp_path, retries=1)
        assert said.endswith("127.0.0.1 sent nothing for 0.3 s")
        assert web.asked["large.bin"] == 2

    def test_connection_takes_too_long(self, tmp_path, monkeypatch):
        def connect(*_: object, **__: object):
            raise TimeoutError("timed out")

        monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
        assert "did not answer within 0.3 s: is this machine online?" in self.failure(
            "http://10.0.0.1/a", tmp_path
        )

    def test_no_secure_connection(self, web, tmp_path):
        said = self.failure(web.url.replace("http:", "https:") + "/a.zip", tmp_path)
        assert "no secure connection to 127.0.0.1: check this machine's clock" in said

    @pytest.mark.parametrize(
        ("status", "text", "asked"),
        [
            ("404", "has no such file (404)", 1),
            ("410", "has no such file (410)", 1),
            ("403", "does not give it out (status 403)", 1),
            ("500", "has a fault of its own (500): try again later", 4),
            ("429", "has a fault of its own (429): try again later", 4),
        ],
    )
    def test_statuses(self, web, tmp_path, status, text, asked):
        web.fault = lambda path, before: status
        assert text in self.failure(f"{web.url}/large.bin", tmp_path)
        assert web.asked["large.bin"] == asked

    def test_a_web_page_instead_of_the_file(self, web, large, tmp_path):
        web.fault = lambda path, before: "page"
        assert "sent a web page instead of the file" in self.failure(f"{web.url}/large.bin", tmp_path)

    def test_packed_though_not_asked_for(self, web, large, tmp_path):
        web.fault = lambda path, before: "gzip"
        assert "sends it packed" in self.failure(f"{web.url}/large.bin", tmp_path)

    def test_disk_is_full(self, web, large, tmp_path, monkeypatch):
        free = type("Usage", (), {"free": 1_000_000})
        monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
        said = self.failure(f"{web.url}/large.bin", tmp_path)
        assert "needs 2,000,000 bytes more, and the disk has 1,000,000 free" in said

    def test_disk_is_full_before_anything_is_asked(self, web, tmp_path, monkeypatch):
        free = type("Usage", (), {"free": 1_000_000})
        monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
        with pytest.raises(FetchError, match="what is missing of coast needs 141,100,000 bytes more"):
            get(web, tmp_path, "NAIP_6_001")
        assert not web.asked

    def test_without_a_way_the_others_are_not_tried(self, tmp_path, capsys):
        assert run("flakes", "--to", tmp_path, "--mirror", "http://nowhere.invalid") == 1
        assert capsys.readouterr().err.count("nowhere.invalid is not found") == 1


def start(store, to, name) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "maskmill",
        "fetch",
        "flakes",
        name,
        "--to",
        str(to),
        "--mirror",
        store.url,
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_until(what, process) -> None:
    end = time.monotonic() + 60
    while not what():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < end
        time.sleep(0.005)


class TestKill:
    """kill -9 in the middle."""

    def test_of_a_download(self, web, tmp_path):
        name, to = "Real_hBN_Thin.zip", tmp_path / "to"
        with zipfile.ZipFile(web.folder / name, "w") as archive:
            archive.writestr("noise.bin", np.random.default_rng(3).bytes(3_000_000))
        size = (web.folder / name).stat().st_size
        web.fault = lambda path, before: "drip" if before == 0 else None
        part = to / ".maskmill-fetch" / f"{name}.part"
        process = start(web, to, name)
        wait_until(lambda: part.exists() and part.stat().st_size > size // 3, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (to / name).exists()
        have, sent = part.stat().st_size, web.sent
        assert run("flakes", name, "--to", to, "--mirror", web.url) == 0
        assert web.sent - sent == size - have
        assert (to / name).read_bytes() == (web.folder / name).read_bytes()
        assert (to / "Real_hBN_Thin" / "noise.bin").stat().st_size == 3_000_000
        assert {path.name for path in (to / ".maskmill-fetch").iterdir()} == {"lock"}

    def test_of_unpacking(self, web, tmp_path):
        name, to = "Real_hBN_Thin.zip", tmp_path / "to"
        rng = np.random.default_rng(4)
        with zipfile.ZipFile(web.folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for index in range(2000):
                archive.writestr(f"images/{index:04}.bin", rng.bytes(2000))
        process = start(web, to, name)
        images = to / "Real_hBN_Thin" / "images"
        wait_until(lambda: images.exists() and len(os.listdir(images)) > 100, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        there = len(os.listdir(images))
        assert there < 2000
        [outcome] = get(web, to, name)
        assert not outcome.new
        assert outcome.unzipped.files == 2000
        assert outcome.unzipped.written == 2000 - there
        with zipfile.ZipFile(web.folder / name) as archive:
            assert all((to / "Real_hBN_Thin" / n).read_bytes() == archive.read(n) for n in archive.namelist())
        assert {path.name for path in (to / "Real_hBN_Thin").iterdir()} == {"images"}

    def test_two_at_once(self, web, tmp_path):
        web.fault = lambda path, before: "stall" if before == 0 else None
        process = start(web, tmp_path, "Real_WS2")
        try:
            wait_until(lambda: web.asked["Real_WS2.zip"], process)
            with pytest.raises(ValueError, match="another maskmill fetch is at work there: wait for it"):
                get(web, tmp_path, "Real_WS2")
        finally:
            process.kill()
            process.wait()
        assert get(web, tmp_path, "Real_WS2")[0].new


def test_an_endless_file_does_not_fill_the_disk(tmp_path, web, large, monkeypatch):
    web.fault = lambda path, before: "chunked"
    left = iter(range(1 << 29, 0, -(1 << 25)))  # as if 32 MiB were written by each block
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": next(left)}))
    with pytest.raises(FetchError, match=r"p needs 268,435,456 bytes more, and the disk has 2"):
        resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))


def test_a_disk_that_is_full_after_all(tmp_path, web, large, monkeypatch):
    class Full:
        def __init__(self, *_: object):
            self.file = open(tmp_path / "p", "wb")  # noqa: SIM115

        def __enter__(self):
            return self

        def __exit__(self, *_: object):
            self.file.close()

        def seek(self, at: int):
            pass

        def write(self, block: bytes):
            if self.file.tell() > 500_000:
                raise OSError(28, "No space left on device")
            self.file.write(block)

    monkeypatch.setattr("maskmill.fetch.download.open", Full, raising=False)
    with pytest.raises(
        FetchError, match=r"the disk is full; 5\d\d,\d\d\d bytes are kept: give the command again"
    ):
        resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
    monkeypatch.undo()
    resuming(tmp_path / "p")(f"{web.url}/large.bin", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == large.read_bytes()
    assert len(web.ranges) == 1
