"""One evaluation by one contestant, in a process of its own: python evaluate_once.py CONTESTANT KIND GT RESULTS

Prints one line of JSON: seconds from just before COCO(GT) to after summarize(), by stage, the numbers, and memory
after imports and at its peak.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from pathlib import Path
from typing import Any


def classes(contestant: str) -> tuple[Any, Any]:
    if contestant == "maskmill":
        from maskmill.pycocotools.coco import COCO
        from maskmill.pycocotools.cocoeval import COCOeval
    elif contestant == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    elif contestant == "faster-coco-eval":
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as COCOeval
    elif contestant == "hotcoco":
        from hotcoco import COCO, COCOeval
    elif contestant == "ultrafast":
        from ultrafast_pycocotools.coco import COCO
        from ultrafast_pycocotools.cocoeval import COCOeval
    elif contestant == "vernier":  # takes pycocotools' COCO
        from pycocotools.coco import COCO
        from vernier import COCOeval
    else:
        raise ValueError(f"no such contestant: {contestant}")
    return COCO, COCOeval


def memory(peak: bool) -> int:
    """Bytes resident, now or at most."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else used * 1024
    return 1024 * int(status.partition("VmHWM:" if peak else "VmRSS:")[2].split()[0])


def main(contestant: str, kind: str, ground_truth: str, results: str) -> None:
    COCO, COCOeval = classes(contestant)
    imported = memory(peak=False)
    stages = {}
    with contextlib.redirect_stdout(io.StringIO()):
        begin = last = time.perf_counter()

        def lap(name: str) -> None:
            nonlocal last
            now = time.perf_counter()
            stages[name] = now - last
            last = now

        gt = COCO(ground_truth)
        lap("COCO")
        dt = gt.loadRes(results)
        lap("loadRes")
        job = COCOeval(gt, dt, kind)
        job.evaluate()
        lap("evaluate")
        job.accumulate()
        lap("accumulate")
        job.summarize()
        lap("summarize")
    stats = [float(x) for x in job.stats]
    report = {"seconds": last - begin, "stages": stages, "stats": stats}
    report |= {"imported": imported, "peak": memory(peak=True)}
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
