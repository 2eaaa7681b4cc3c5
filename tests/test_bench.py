"""maskmill bench: it runs, says what it must, and never reports a time of a wrong answer."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from maskmill import Masks
from maskmill.cli import main
from maskmill.cli.bench import _benchmarks

try:
    run = _benchmarks()
except ImportError as error:
    pytest.skip(str(error), allow_module_level=True)

from maskmill.benchmarks import measure, rivals, workloads


@pytest.fixture
def without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for people who do not have the real data."""
    monkeypatch.setattr(workloads, "folder", lambda: None)


def test_main(capsys: pytest.CaptureFixture[str], without_data: None) -> None:
    assert main(["bench", "--quick", "--only", "rle", "--repeat", "1"]) == 0
    out = capsys.readouterr().out
    assert "rle_encode" in out
    assert "1 of 32 x 32" in out
    assert "command: maskmill bench --quick --only rle --repeat 1" in out
    assert "setops" not in out


def test_subprocess_and_files(tmp_path: Path) -> None:
    table, numbers = tmp_path / "table.md", tmp_path / "numbers.json"
    command = [sys.executable, "-m", "maskmill", "bench", "--quick", "--only", "rle_area", "coco_area"]
    command += ["--json", str(numbers), "--markdown", str(table)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    assert done.returncode == 0, done.stderr
    assert "rle_area" in done.stdout
    written = json.loads(numbers.read_text())
    assert written["command"].startswith("maskmill bench --quick --only rle_area coco_area")
    assert {"date", "processor", "cores", "python", "rivals", "missing"} <= written["machine"].keys()
    assert {row["operation"] for row in written["results"]} == {"rle_area", "coco_area"}
    for row in written["results"]:
        assert set(row["spreads"]) == {"maskmill"}
        spread = row["spreads"]["maskmill"]
        assert 0 < spread["q1"] <= spread["median"] <= spread["q3"]
        assert row["ours"] == spread["median"]
    lines = table.read_text().splitlines()
    assert lines[0].startswith("| operation | input | ours |")
    assert sum(line.startswith("| rle_area |") for line in lines) == 2


def _environment() -> dict[str, str]:
    import maskmill

    own = str(Path(maskmill.__file__).parents[1])
    return os.environ | {"PYTHONPATH": os.pathsep.join([own, os.environ.get("PYTHONPATH", "")])}


@pytest.mark.parametrize("kind", ["bbox", "segm", "keypoints"])
def test_evaluation_in_a_process(kind: str, without_data: None) -> None:
    (case,) = run.cases([f"evaluate {kind}"], quick=True)
    named = ("pycocotools",) if rivals.RIVALS[0].installed else ()
    seconds, memory = case.run(measure.Settings(repeat=1, rivals=named))
    assert seconds.wrong is None
    assert seconds.ours > 0
    assert memory.ours > 1e6
    assert set(seconds.spreads) == {"maskmill", *named}
    details = seconds.details["maskmill"]
    assert len(details["stats"]) == (10 if kind == "keypoints" else 12)
    assert 0 < details["stats"][0] < 1
    assert list(details["stages"]) == ["COCO", "loadRes", "evaluate", "accumulate", "summarize"]


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--list"]) == 0
    every = capsys.readouterr().out.splitlines()
    assert main(["bench", "--list", "--quick"]) == 0
    quick = capsys.readouterr().out.splitlines()
    assert set(quick) < set(every)
    for kernel in run.KERNELS:
        if importlib.import_module(f"{run.__package__}.bench_{kernel}").CASES.can_run:
            assert any(line.split()[0] == kernel for line in quick), kernel


def test_every_kernel_has_a_benchmark() -> None:
    headers = Path(__file__).parents[1] / "cpp" / "kernels"
    if not headers.is_dir():
        pytest.skip("no sources beside the tests")
    assert {path.stem for path in headers.glob("*.hpp")} == set(run.KERNELS) - {"dataset", "evaluate", "em"}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--only", "nonsense"], "nothing to run is called 'nonsense'"),
        (["--rivals", "nobody"], "there is no rival 'nobody'"),
        (["--repeat", "0"], "--repeat must be 1 or more, not 0"),
        (["--json", "{tmp}/none/x.json"], "the folder to write to does not exist"),
        (["--markdown", "{tmp}/none/x.md"], "the folder to write to does not exist"),
    ],
)
def test_wrong_usage(argv: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *(word.replace("{tmp}", str(tmp_path)) for word in argv)]) == 2
    assert words in capsys.readouterr().err


def test_missing_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MASKMILL_DATA", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="MASKMILL_DATA is no folder"):
        workloads.folder()
    monkeypatch.setenv("MASKMILL_DATA", str(tmp_path))
    assert workloads.ONE.source == f"synthetic twin of {workloads.COCO}"
    assert workloads.NOISE.source == "synthetic"


# Races


def _result() -> measure.Result:
    return measure.Result("rle", "rle_area", "1", "synthetic")


def test_rival_that_differs_or_fails_is_not_timed() -> None:
    race = measure.Race()
    race.add("maskmill", lambda: [1, 2])
    race.add("equal", lambda: (1, 2))
    race.add("wrong", lambda: [1, 3])
    race.add("broken", lambda: 1 / 0)
    result = measure.run(race, _result(), measure.Settings(repeat=3))
    assert set(result.spreads) == {"maskmill", "equal"}
    assert result.excluded == {
        "wrong": "differs from maskmill",
        "broken": "fails: ZeroDivisionError: division by zero",
    }
    assert result.wrong is None
    assert result.best_rival is not None
    assert result.best_rival[0] == "equal"
    assert result.ratio is not None


def test_ours_must_equal_pycocotools() -> None:
    race = measure.Race()
    race.add("maskmill", lambda: np.arange(3))
    race.add("pycocotools", lambda: np.arange(1, 4))
    result = measure.run(race, _result(), measure.Settings(repeat=3))
    assert set(result.spreads) == {"pycocotools"}
    assert result.wrong == "maskmill differs from pycocotools"
    assert result.ours is result.ratio is None
    assert "WRONG" in run.row(result)


def test_numba_must_equal_cpp() -> None:
    race = measure.Race()
    race.add("maskmill", lambda: 1)
    race.add("maskmill numba", lambda: 2)
    assert measure.run(race, _result(), measure.Settings(repeat=3)).wrong == (
        "maskmill numba differs from maskmill"
    )


def test_own_failure_is_seen() -> None:
    race = measure.Race()
    race.add("maskmill", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        measure.run(race, _result(), measure.Settings())


def test_wrong_answer_gives_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = _result()
    wrong.wrong = "maskmill differs from pycocotools"
    case = SimpleNamespace(name="a case", kernel="rle", workload=None, run=lambda settings: [wrong])
    monkeypatch.setattr(run, "cases", lambda only, quick: [case])
    assert main(["bench", "--quick"]) == 1
    assert "WRONG" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (np.array([1, 2], np.uint32), np.array([1, 2], np.int64), True),
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True),
        (np.array([1]), np.array([1, 1]), False),
        ([(1, b"a")], [[1, b"a"]], True),
        ([1], [1, 2], False),
        ({"a": np.zeros(2)}, {"a": np.zeros(2)}, True),
        ({"a": 1}, {"b": 1}, False),
        (b"a", "a", False),
        ([], np.zeros((0, 4)), False),
    ],
)
def test_same(a: Any, b: Any, equal: bool) -> None:
    assert measure.same(a, b) is equal


def test_floor() -> None:
    small, large = measure.Race(read=1000), measure.Race(read=1 << 20, written=1 << 20)
    for race in (small, large):
        race.add("maskmill", lambda: 1)
    settings = measure.Settings(repeat=3)
    assert measure.run(small, _result(), settings).share_of_floor is None
    share = measure.run(large, _result(), settings).share_of_floor
    assert share is not None
    assert share > 1  # nothing was read
    assert min(measure.bandwidth()) > 1e8


# Inputs

QUICK = {case.workload for case in run.cases(quick=True)}


def _digest(value: Any) -> str:
    """Of everything in a workload."""
    if isinstance(value, workloads.Stack):
        return _digest(value.masks)
    if isinstance(value, workloads.Outlines):
        polygons = value.polygons
        return _digest([polygons.points, polygons.rings, polygons.masks, value.sizes])
    if isinstance(value, workloads.Files):
        return _digest([value.ground_truth.read_bytes(), *(p.read_bytes() for p in value.results.values())])
    if isinstance(value, Masks):
        return _digest([value.counts, value.offsets, value.sizes])
    if isinstance(value, np.ndarray):
        return hashlib.sha256(repr((value.shape, value.dtype)).encode() + value.tobytes()).hexdigest()
    if isinstance(value, list | tuple):
        return hashlib.sha256("".join(map(_digest, value)).encode()).hexdigest()
    return hashlib.sha256(repr(value).encode()).hexdigest()


@pytest.mark.parametrize("workload", sorted(QUICK, key=lambda w: w.name), ids=lambda w: w.name)
def test_workloads_are_deterministic(workload: Any) -> None:
    pytest.importorskip("cv2")  # draws some of them
    assert _digest(workload.make(None)) == _digest(workload.make(None))
    if (found := workload._folder) is not None:
        assert _digest(workload.make(found)) == _digest(workload.make(found))


def test_twins_have_the_stated_sizes() -> None:
    assert workloads.MANY.make(None).nhw.shape == (200, 480, 640)
    assert workloads.ONE_SMALL.make(None).hwn.flags.f_contiguous
    rings = workloads.POLYGONS[2].make(None)
    assert len(rings) == 1000
    assert all(20 <= len(ring) <= 120 for (ring,) in rings)
    files = workloads.FILES_FEW.make(None)
    truth = json.loads(files.ground_truth.read_text())
    assert (len(truth["images"]), len(truth["annotations"])) == (100, 840)
    assert len(json.loads(files.results["bbox"].read_text())) == 734


def test_scaling_keeps_ids_apart() -> None:
    files = workloads._scaled(None, 3, 2)
    truth = json.loads(files.ground_truth.read_text())
    assert len({image["id"] for image in truth["images"]}) == 300
    assert len({row["id"] for row in truth["annotations"]}) == 3 * 840
    assert len(json.loads(files.results["bbox"].read_text())) == 3 * 2 * 734


def test_rivals_are_named_with_what_pip_installs(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = rivals.Rival("somebody", "no_such_module_at_all", "somebody==1.2", dict)
    monkeypatch.setattr(rivals, "RIVALS", (gone,))
    assert rivals.missing() == [gone]
    assert rivals.chosen(measure.Settings()) == []
    last = run.footer(run.machine(), "maskmill bench")[-1]
    assert last == "not installed: somebody; pip install 'somebody==1.2'"


@pytest.mark.parametrize("name", ["numpy", "faiss", "faiss buckets", "usearch", "imagededup"])
def test_rivals_for_codes(name: str) -> None:
    """Their answers come into the form of ours."""
    from maskmill import hamming

    (rival,) = (rival for rival in rivals.RIVALS if rival.name == name)
    try:
        operations = rival.load()
    except ImportError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1 << 64, (300, 1), np.uint64)
    codes[100:] = codes[rng.integers(0, 100, 200)] ^ (
        np.uint64(1) << rng.integers(0, 64, (200, 1)).astype(np.uint64)
    )
    inputs = {
        "hamming_greedy": (codes, 12),
        "hamming_pairs": (codes, 12),
        "hamming_nearest": (codes[:100], codes[100:]),
    }
    ours = {
        "hamming_greedy": list(hamming.greedy(codes, 12)[:2]),
        "hamming_pairs": list(hamming.pairs(codes, 12)),
        "hamming_nearest": hamming.nearest(codes[:100], codes[100:])[1],
    }
    for operation in sorted(operations.keys() & inputs.keys()):
        call, answer = operations[operation](*inputs[operation])
        assert measure.same(answer(call()), ours[operation]), operation
