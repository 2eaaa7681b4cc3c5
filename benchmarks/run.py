"""All cases in turn, and what is made of them: tables for people, JSON for machines."""

from __future__ import annotations

import datetime
import importlib
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from maskmill import __version__, _backend

from . import rivals as _rivals
from .measure import OURS, Case, Result, Settings, bandwidth, thread_count

KERNELS = (
    "rle",
    "coco_rle",
    "setops",
    "geometry",
    "overlap",
    "morphology",
    "polygons",
    "outlines",
    "measures",
    "patches",
    "hashes",
    "hamming",
    "features",
    "crf",
    "perceptron",
    "matching",
    "coco_json",
    "dataset",
    "evaluate",
    "em",
)


def cases(only: Sequence[str] | None = None, *, quick: bool = False) -> list[Case]:
    """All, or those whose kernel, operation or input has one of the words in it.

    Raises
    ------
    ValueError
        If a word fits nothing.
    """
    every: list[Case] = []
    for name in KERNELS:
        made = importlib.import_module(f"{__package__}.bench_{name}").CASES
        if made.can_run:
            every += made
    for word in only or ():
        if not any(_fits(case, word) for case in every):
            raise ValueError(
                f"nothing to run is called {word!r}; there are {', '.join(KERNELS)}, and see --list"
            )
    chosen = [case for case in every if not only or any(_fits(case, word) for word in only)]
    return [case for case in chosen if case.workload.quick or not quick]


def _fits(case: Case, word: str) -> bool:
    return word == case.kernel if word in KERNELS else word in case.name


def settings(
    *, quick: bool, repeat: int | None, rivals: Sequence[str] | None, numba: bool, all: bool
) -> Settings:
    """Of the options of `maskmill bench`.

    Raises
    ------
    ValueError
        If there is no rival of that name.
    """
    known = [rival.name for rival in _rivals.RIVALS]
    for name in rivals or ():
        if name not in known:
            raise ValueError(f"there is no rival {name!r}; there are {', '.join(known)}")
    if quick and rivals is None:
        rivals = ()
    named = None if rivals is None else tuple(rivals)
    if quick:
        return Settings(repeat=repeat or 5, seconds=1.0, rivals=named, numba=False, all=False)
    return Settings(repeat=repeat or 15, rivals=named, numba=numba, all=all)


def machine() -> dict[str, Any]:
    """Where it was measured, and with what."""
    read, write = bandwidth()
    return {
        "date": datetime.datetime.now().astimezone().date().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": thread_count(),
        "simd": None if _backend.why_missing("cpp") else _backend.kernels("cpp").simd_level(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "maskmill": __version__,
        "rivals": {rival.name: rival.version for rival in _rivals.RIVALS if rival.installed},
        "missing": {rival.name: rival.package for rival in _rivals.missing()},
        "read, GB/s": round(read / 1e9, 2),
        "write, GB/s": round(write / 1e9, 2),
    }


def processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


# Words and numbers of the table

COLUMNS = ("operation", "input", "ours", "best rival", "", "ratio", "of the floor")
NUMBERS = {"ours", "best rival", "ratio", "of the floor"}


def amount(value: float, unit: str) -> str:
    if unit == "B":
        return f"{value / 1e6:,.0f} MB"
    for scale, word in ((1e-6, "ns"), (1e-3, "us"), (1, "ms")):
        if value < scale:
            return f"{value / scale * 1000:.3g} {word}"
    return f"{value:.3g} s"


def row(result: Result) -> tuple[str, ...]:
    ours, best, ratio = result.ours, result.best_rival, result.ratio
    if result.wrong:
        return result.operation, result.input, "WRONG", result.wrong, "", "", ""
    share = result.share_of_floor
    return (
        result.operation,
        result.input,
        amount(ours, result.unit) if ours is not None else "",
        amount(best[1], result.unit) if best else "-",
        best[0] if best else "",
        f"{ratio:.2f}" if ratio else "-",
        f"{share:.0%}" if share else "-",
    )


def footer(where: dict[str, Any], command: str) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in where["rivals"].items())
    lines = [
        f"maskmill {where['maskmill']}, {where['date']}, {where['processor']}, {where['cores']} cores, "
        f"{where['threads']} threads, {where['simd'] or 'no compiled core'}, {where['system']}, "
        f"Python {where['python']}",
        f"one pass over memory reads {where['read, GB/s']} GB/s and writes {where['write, GB/s']} GB/s",
        f"with {versions}",
        f"command: {command}",
    ]
    packages = " ".join(f"'{package}'" for package in where["missing"].values())
    if packages:
        lines.append(f"not installed: {', '.join(where['missing'])}; pip install {packages}")
    return lines


def notes(results: Sequence[Result]) -> list[str]:
    """Who was left out, and why; one line per reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for name, reason in result.excluded.items():
            found.setdefault((name, reason), []).append(f"{result.operation} ({result.input})")
    return [f"{name} {reason}: {', '.join(where)}" for (name, reason), where in found.items()]


def markdown(results: Sequence[Result], where: dict[str, Any], command: str) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * 2 + "---:|" * 2 + "---|" + "---:|" * 2]
    lines += ["| " + " | ".join(row(result)) + " |" for result in results]
    lines += ["", *(f"- {line}" for line in [*footer(where, command), *notes(results)])]
    return "\n".join(lines) + "\n"


def to_json(results: Sequence[Result], where: dict[str, Any], command: str) -> dict[str, Any]:
    rows = []
    for result in results:
        best = result.best_rival
        rows.append(
            asdict(result)
            | {
                "ours": result.ours,
                "best_rival": best[0] if best else None,
                "ratio": result.ratio,
                "share_of_floor": result.share_of_floor,
            }
        )
    return {"machine": where, "command": command, "ours": OURS, "results": rows}
