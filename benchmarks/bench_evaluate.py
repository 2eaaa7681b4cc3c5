"""evaluate: load ground truth, load results, evaluate, accumulate, summarize; every run in a fresh process.

Two rows each: seconds (without Python's start and imports), and peak memory of the process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import maskmill

from . import rivals
from .measure import OURS, REFERENCE, Case, Cases, Result, Settings, Spread
from .workloads import FILES, FILES_FEW, PEOPLE, PEOPLE_FEW, Files, Workload

CASES = Cases("evaluate")

SLOW = ("pycocotools", "faster-coco-eval", "vernier")
"""Take minutes for 500,000 boxes: with --all only, and once."""

EVALUATORS = ("pycocotools", "faster-coco-eval", "hotcoco", "ultrafast", "vernier")
ROUNDS = 5


def once(contestant: str, kind: str, files: Files) -> dict[str, Any]:
    """Raises RuntimeError with the contestant's last words."""
    here = Path(__file__).with_name("evaluate_once.py")
    env = dict(os.environ)
    own = str(Path(maskmill.__file__).parents[1])
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [own, env.get("PYTHONPATH")]))
    command = [sys.executable, str(here), contestant, kind, str(files.ground_truth), str(files.results[kind])]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(words[-1])
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def measure(case: Case, kind: str, settings: Settings) -> list[Result]:
    files = case.workload.value()
    time_row, memory_row = case.result(), case.result()
    memory_row.operation += ", peak memory"
    memory_row.unit = "B"
    large = case.workload in (FILES, PEOPLE)
    reports: dict[str, list[dict[str, Any]]] = {}
    skipped: dict[str, str] = {}
    names = [OURS, *(r.name for r in rivals.chosen(settings) if r.name in EVALUATORS)]
    rounds = min(ROUNDS, settings.repeat)
    turns = list(names)
    for k in range(rounds):
        for name in list(turns):
            slow = large and name in SLOW
            if slow and not settings.all:
                skipped[name] = "takes minutes: see --all"
            elif not slow or k == 0:
                begin = time.perf_counter()
                try:
                    reports.setdefault(name, []).append(once(name, kind, files))
                except RuntimeError as error:
                    if name == OURS:
                        raise
                    skipped[name] = f"fails: {error}"[:200]
                if time.perf_counter() - begin > 60:
                    turns.remove(name)
                    continue
            if name in skipped:
                turns.remove(name)
        turns = turns[1:] + turns[:1]
    reports = {name: found for name, found in reports.items() if found}
    reference = REFERENCE if REFERENCE in reports else OURS
    for name, found in reports.items():
        expected = reports[reference][0]["stats"]
        error = max(abs(a - b) for a, b in zip(expected, found[0]["stats"], strict=False))
        if found[0]["stats"] != expected:
            skipped[name] = f"differs from {reference} by {error:.1g}"
            if name == OURS:
                time_row.wrong = skipped[name]
        if found[0]["stats"] != expected and (name == OURS or error > 1e-9):
            continue
        time_row.spreads[name] = Spread.of([r["seconds"] for r in found])
        memory_row.spreads[name] = Spread.of([r["peak"] for r in found])
        time_row.details[name] = {
            "stages": {s: sorted(r["stages"][s] for r in found)[len(found) // 2] for s in found[0]["stages"]},
            "stats": found[0]["stats"],
            "memory after imports": found[0]["imported"],
        }
    time_row.excluded = skipped
    return [time_row, memory_row]


def _add(kind: str, *workloads: Workload) -> None:
    def run(case: Case, settings: Settings) -> list[Result]:
        return measure(case, kind, settings)

    CASES.all += [Case("evaluate", f"evaluate {kind}", w, measure=run) for w in workloads]


_add("bbox", FILES_FEW, FILES)
_add("segm", FILES_FEW, FILES)
_add("keypoints", PEOPLE_FEW, PEOPLE)
