"""All cases in turn, and what is made of them: tables for people, JSON for machines."""

from __future__ import annotations

import datetime
import importlib
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from maskmill import __version__, _device

from ..measure import OURS, thread_count
from ..run import amount, notes, processor
from .measure import CORE, Case, Row, Settings, gpu, rate_text

__all__ = [
    "COLUMNS",
    "NUMBERS",
    "cases",
    "footer",
    "machine",
    "markdown",
    "notes",
    "row",
    "settings",
    "to_json",
]

KERNELS = ("rle", "setops", "overlap", "polygons", "patches", "hashes", "hamming", "matching", "features")
RIVALS = ("cupy", "torch", "torchvision")


def cases(only: Sequence[str] | None = None, *, quick: bool = False) -> list[Case]:
    """All, or those whose kernel, operation or input has one of the words in it.

    Raises
    ------
    ValueError
        If a word fits nothing.
    """
    every = [
        pair[quick]
        for name in KERNELS
        for pair in importlib.import_module(f"{__package__}.bench_{name}").CASES
    ]
    for word in only or ():
        if not any(_fits(case, word) for case in every):
            raise ValueError(
                f"nothing to run on a GPU is called {word!r}; there are {', '.join(KERNELS)}, and see --list"
            )
    return [case for case in every if not only or any(_fits(case, word) for word in only)]


def _fits(case: Case, word: str) -> bool:
    return word == case.kernel if word in KERNELS else word in case.name


def settings(
    *, quick: bool, repeat: int | None, rivals: Sequence[str] | None, numba: bool, all: bool
) -> Settings:
    """Of the options of `maskmill bench`; its twins and the slow rivals are not for GPUs.

    Raises
    ------
    ValueError
        If there is no rival of that name.
    BackendError
        If there is no device.
    """
    for name in rivals or ():
        if name not in RIVALS:
            raise ValueError(f"there is no rival {name!r} on a GPU; there are {', '.join(RIVALS)}")
    named = None if rivals is None else tuple(rivals)
    return Settings(gpu(), repeat=repeat or (5 if quick else 15), rivals=named)


def machine() -> dict[str, Any]:
    """Where it was measured, and with what."""
    device = gpu()
    return {
        "date": datetime.datetime.now().astimezone().date().isoformat(),
        **device.about(),
        "copy, GB/s": round(device.bandwidth / 1e9, 1),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": thread_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "cupy": getattr(_device.cupy(), "__version__", None),
        "maskmill": __version__,
    }


COLUMNS = (
    "operation",
    "input",
    "floor",
    "time",
    "rate",
    "of the floor",
    "asked",
    CORE,
    "ratio",
    "best on a GPU",
    "",
    "ratio ",
)
NUMBERS = {"floor", "time", "rate", "of the floor", CORE, "ratio", "best on a GPU", "ratio "}


def row(result: Row) -> tuple[str, ...]:
    if result.wrong or result.ours is None:
        words = ("WRONG", result.wrong) if result.wrong else ("", "no twin")
        return result.operation, result.input, *words, *[""] * (len(COLUMNS) - 4)
    best = result.best_rival
    return (
        result.operation,
        result.input,
        amount(result.floor, "s") if result.floor else "-",
        amount(result.ours, "s"),
        rate_text(result.amount / result.ours, result.unit),
        f"{result.share_of_floor:.0%}" if result.share_of_floor else "-",
        result.asked,
        amount(result.spreads[CORE].median, "s"),
        _ratio(result, CORE),
        amount(result.spreads[best].median, "s") if best else "-",
        best or "none has it",
        _ratio(result, best) if best else "-",
    )


def _ratio(result: Row, name: str) -> str:
    ratio = result.ratio(name)
    return f"{ratio:.3g}" if ratio else "-"


def footer(where: dict[str, Any], command: str) -> list[str]:
    return [
        f"maskmill {where['maskmill']}, {where['date']}, {where['device']}, driver {where['driver']}, "
        f"CUDA {where['cuda']}, CuPy {where['cupy']}, Python {where['python']}",
        f"host: {where['processor']}, {where['cores']} cores, {where['threads']} threads, {where['system']}",
        f"a copy on the device moves {where['copy, GB/s']} GB/s, read and written",
        f"command: {command}",
    ]


def markdown(results: Sequence[Row], where: dict[str, Any], command: str) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |"]
    lines.append("|" + "".join("---:|" if name in NUMBERS else "---|" for name in COLUMNS))
    lines += ["| " + " | ".join(row(result)) + " |" for result in results]
    lines += ["", *(f"- {line}" for line in [*footer(where, command), *notes(results)])]
    return "\n".join(lines) + "\n"


def to_json(results: Sequence[Row], where: dict[str, Any], command: str) -> dict[str, Any]:
    rows = [
        asdict(result)
        | {
            "ours": result.ours,
            "rate": result.rate,
            "share_of_floor": result.share_of_floor,
            "ratio to the core": result.ratio(CORE),
            "best_rival": result.best_rival,
        }
        for result in results
    ]
    return {"machine": where, "command": command, "ours": OURS, "results": rows}
