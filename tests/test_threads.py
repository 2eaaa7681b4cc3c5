"""Threads and processes: results do not depend on them, and forking after a threaded call is safe."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import zlib
from typing import Any

import numpy as np
import pytest

from conftest import random_masks
from maskmill import Masks, _backend, hamming, hashes, patches
from maskmill.pycocotools.coco import COCO
from maskmill.pycocotools.cocoeval import COCOeval

pytestmark = pytest.mark.skipif(
    _backend.why_missing("cpp") is not None, reason="threads are a matter of the compiled core"
)


@pytest.fixture
def four_threads():
    core = _backend.kernels("cpp")
    before = core.thread_count()
    core.set_thread_count(4)
    yield core
    core.set_thread_count(before)


def work(seed: int = 5) -> list[Any]:
    """Calls that are shared out over threads, and what they give."""
    images = random_masks(np.random.default_rng(seed), 60, 200, 300)
    masks = Masks.encode(images)
    rles = masks.to_coco(text=True)
    return [
        str(masks.area.sum()),
        str(masks.decode().sum()),
        str(masks.iou(masks[:20]).sum()),
        str(masks.dilate(3).area.sum()),
        repr(masks.polygons()),
        str(len(masks.components()[0])),
        zlib.crc32("".join(rle["counts"] for rle in rles).encode()),
        *[zlib.crc32(array.tobytes()) for array in work_on_pixels(images.view(np.uint8) * 255, seed)],
    ]


def work_on_pixels(images: np.ndarray, seed: int) -> list[np.ndarray]:
    """The same of patches, their hashes and searches among codes."""
    boxes = patches.grid(images.shape, 40, 30)
    parts = patches.extract(images, boxes)
    tiles = patches.grid(images.shape[1:], 50, edge="drop")
    codes = np.random.default_rng(seed).integers(0, 2**20, (2000, 2), np.uint64)
    return [
        patches.stitch(parts, boxes, images.shape, blend="hann"),
        patches.planes(images, 0, tiles, range(60)),
        *patches.stats(images, 2, [(0, 60, 0, 200)], range(300)),
        hashes.planes(images, 0, tiles, range(60)),
        hashes.phash(images),
        hashes.pdq(images),
        hashes.colorhash(images),
        *hashes.crop_resistant(images[:4]),
        *hamming.pairs(codes, 6),
        *hamming.nearest(codes[:500], codes[500:]),
        *hamming.greedy(codes, 12),
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_after_a_threaded_call(four_threads):
    expected = work()  # the parent's threads are running now, or waiting
    context = multiprocessing.get_context("fork")
    with context.Pool(3) as pool:
        # Those who wait for threads that the fork did not copy would wait for ever.
        results = pool.map_async(work, [5] * 6).get(timeout=120)
    assert results == [expected] * 6
    assert work() == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_while_another_thread_computes(four_threads):
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            work()

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        expected = work()
        context = multiprocessing.get_context("fork")
        for _ in range(3):
            with context.Pool(2) as pool:
                assert pool.map_async(work, [5] * 2).get(timeout=120) == [expected] * 2
    finally:
        stop.set()
        busy.join()


def test_spawned_processes():
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        assert pool.map_async(work, [5]).get(timeout=120) == [work()]


def in_threads(n: int, function) -> list:
    """function(0) ... function(n - 1), begun at the same moment."""
    barrier = threading.Barrier(n)
    results: list = [None] * n

    def run(i: int) -> None:
        barrier.wait()
        try:
            results[i] = function(i)
        except BaseException as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_many_threads_compute(four_threads):
    expected = [work(seed) for seed in range(3)]
    assert in_threads(9, lambda i: work(i % 3)) == [expected[i % 3] for i in range(9)]


@pytest.fixture
def files(tmp_path, rng) -> tuple[str, str]:
    """A ground truth and results for it, of 40 images."""
    n = 400
    boxes = np.concatenate([rng.integers(0, 60, (n, 2)), rng.integers(2, 30, (n, 2))], 1)
    annotations = [
        {
            "id": i + 1,
            "image_id": i % 40 + 1,
            "category_id": i % 3 + 1,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": int(i % 17 == 0),
        }
        for i, box in enumerate(boxes.tolist())
    ]
    gt = {
        "info": {},
        "images": [{"id": i + 1, "height": 100, "width": 100} for i in range(40)],
        "categories": [{"id": i + 1, "name": f"c{i}"} for i in range(3)],
        "annotations": annotations,
    }
    dt = [
        {
            "image_id": a["image_id"],
            "category_id": a["category_id"],
            "score": s,
            "bbox": (np.array(a["bbox"]) + 1).tolist(),
        }
        for a, s in zip(annotations, rng.integers(0, 50, n).tolist(), strict=True)
    ]
    paths = tmp_path / "gt.json", tmp_path / "dt.json"
    for path, content in zip(paths, (gt, dt), strict=True):
        path.write_text(json.dumps(content))
    return str(paths[0]), str(paths[1])


def quietly(function):
    with contextlib.redirect_stdout(io.StringIO()):
        return function()


def test_threads_hammer_one_coco_object(files):
    """The first looks at the dicts come at the same moment: all must see the same dicts."""

    def first_look(coco: COCO, i: int) -> tuple[int, ...]:
        if i % 3 == 0:
            return id(coco.dataset), id(coco.anns), id(coco.anns[7]), len(coco.getAnnIds(imgIds=[3]))
        if i % 3 == 1:
            ids = coco.getAnnIds(imgIds=[3])
            return id(coco.dataset), id(coco.anns), id(coco.loadAnns([7])[0]), len(ids)
        coco.loadImgs(coco.getImgIds(catIds=[1]))
        return (
            id(coco.dataset),
            id(coco.anns),
            id(coco.dataset["annotations"][6]),
            len(coco.getAnnIds(imgIds=[3])),
        )

    for _ in range(20):
        coco = quietly(lambda: COCO(files[0]))
        assert len(set(in_threads(8, lambda i: first_look(coco, i)))) == 1  # noqa: B023


def test_threads_evaluate_one_coco_object(files):
    def evaluation(gt: COCO, dt: COCO) -> bytes:
        ev = COCOeval(gt, dt, "bbox")
        ev.evaluate()
        ev.accumulate()
        matches = b"".join(e["dtMatches"].tobytes() for e in ev.evalImgs if e is not None)
        return ev.eval["precision"].tobytes() + ev.eval["scores"].tobytes() + matches

    def load() -> tuple[COCO, COCO]:
        gt = COCO(files[0])
        return gt, gt.loadRes(files[1])

    expected = quietly(lambda: evaluation(*load()))
    for touch in (False, True):
        gt, dt = quietly(load)
        if touch:
            gt.dataset, dt.dataset  # noqa: B018
        results = quietly(lambda: in_threads(6, lambda i: evaluation(gt, dt)))  # noqa: B023
        assert [r if isinstance(r, BaseException) else r == expected for r in results] == [True] * 6


def test_number_of_threads_from_the_environment():
    def count(value: str) -> subprocess.CompletedProcess[str]:
        code = "from maskmill import _backend; print(_backend.kernels('cpp').thread_count())"
        environment = {**os.environ, "MASKMILL_NUM_THREADS": value}
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)

    assert count("3").stdout.strip() == "3"
    assert count("").returncode == 0
    refused = count("many")
    assert refused.returncode != 0
    assert "MASKMILL_NUM_THREADS must be a number, not 'many'" in refused.stderr


def test_declares_itself_safe_without_the_gil():
    if not hasattr(sys, "_is_gil_enabled") or os.environ.get("PYTHON_GIL"):
        pytest.skip("this Python has a GIL by build, or by its environment")
    import sysconfig

    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this Python has a GIL by build")
    assert not sys._is_gil_enabled(), "importing the core must not bring the GIL back"
