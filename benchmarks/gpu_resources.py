"""Registers, shared memory and spills of the kernels for GPUs: a table, from the log of a build with -Xptxas=-v.

    cmake -S . -B build -DMASKMILL_CUDA=ON -DCMAKE_CUDA_FLAGS=-Xptxas=-v ... && cmake --build build > build.log
    python benchmarks/gpu_resources.py build.log            one row for each function, with its variants together
    python benchmarks/gpu_resources.py --all build.log      one row for each variant, CUB's among them
    python benchmarks/gpu_resources.py --hot build.log      those alone that the time of big inputs is spent in

Logs of single files do as well: nvcc -Xptxas -v -c cpp/kernels/rle.cu 2> rle.log. Needs c++filt.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

REGISTERS = 65_536  # of a multiprocessor, on all that there are
WARPS = 64  # that one holds at most (48 on 8.6, 8.9 and 12.0, 32 on 7.5)

HOT = {
    "cuda_combine": {"combine", "write_events"},
    "cuda_runs": {"area_kernel", "bbox_kernel", "ends_of"},
    "features": {"first_pass", "maps_kernel", "second_pass"},
    "hamming": {"nearest_kernel", "pairs_kernel"},
    "hamming_greedy": {"find_near", "first_kernel", "settle_kernel"},
    "hashes": {"compare_pixels", "make_gray", "pack_bits"},
    "hashes_frequency": {"haar_forward", "medians", "transform_columns", "transform_rows"},
    "hashes_pdq": {"filtered_kernel", "gathered_kernel"},
    "hashes_resample": {"pass_each", "pass_kernel"},
    "matching": {"matching_box_iou"},
    "overlap": {"pairs_kernel", "sweep_kernel"},
    "patches": {"gather_inside", "gather_rest"},
    "patches_stats": {"stats_of"},
    "patches_stitch": {"stitch_elements"},
    "patches_turn": {"turn_kernel"},
    "polygons": {f"Rasterizer::{step}" for step in ("find_edges", "sort", "unite", "write", "write_lengths")},
    "rle_decode": {"line_kernel", "write_pixels", "write_quads"},
    "rle_encode": {
        "encode_rows",
        "find_in_quads",
        "find_in_rows",
        "line_of_bytes_kernel",
        "line_of_items_kernel",
        "line_of_values_kernel",
        "runs_of_words",
    },
    "rle_labels": {"rle_to_labels", "rows_kernel", "stretches_of", "write_labels"},
    "rle_string": {"rle_from_string", "rle_to_string"},
}
"""Where the time of big inputs is spent: functions, or kernels, by the file that they are in."""

_SOURCE = re.compile(r"Building CUDA object \S*/(\w+)\.cu\.o")
_ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
_SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True)
class Kernel:
    source: str
    symbol: str
    family: str
    registers: int
    shared: int  # bytes that are known when it is compiled
    stack: int
    spills: int  # bytes stored and loaded
    name: str = ""

    @property
    def warps(self) -> int:
        """That a multiprocessor has registers for; they are given out by 8 a thread."""
        return min(WARPS, REGISTERS // (32 * max(8, -(-self.registers // 8) * 8)))


def read(log: str, source: str = "") -> Iterator[Kernel]:
    """The kernels of a log; `source` is what was compiled, if the log does not say."""
    entry, stack, spills = None, 0, 0
    for line in log.splitlines():
        if found := _SOURCE.search(line):
            source = found[1]
        elif found := _ENTRY.search(line):
            entry, stack, spills = found, 0, 0
        elif found := _SPILLS.search(line):
            stack, spills = int(found[1]), int(found[2]) + int(found[3])
        elif entry is not None and (found := _USED.search(line)):
            shared = _SHARED.search(line)
            yield Kernel(
                source, entry[1], entry[2], int(found[1]), int(shared[1]) if shared else 0, stack, spills
            )
            entry = None


def demangled(symbols: Iterable[str]) -> list[str]:
    done = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def short(name: str) -> str:
    """A demangled name as people call it: the kernel, or in whose function the loop is, and which one.

    Examples
    --------
    >>> short("void maskmill::cuda::(anonymous namespace)::first_kernel<4>(unsigned long const*, int)")
    'first_kernel<4>'
    >>> near = "maskmill::cuda::(anonymous namespace)::near<2>(int)::{lambda(int)#1}"
    >>> short(f"void maskmill::cuda::for_each_kernel<{near}>(int, {near})")
    'near<2>, loop 1'
    >>> short(f"void cub::X::DeviceScanKernel<P, cub::iterator<maskmill::cuda::Term<long, {near}>>>(int)")
    'near<2>, scan 1'
    """
    plain = name.replace("(anonymous namespace)::", "").replace("unsigned ", "u")
    plain = re.sub(r"\b(maskmill::cuda|maskmill)::", "", plain)
    body = re.search(r"(?: const)?::\{lambda\([^)]*\)#(\d+)\}", plain)
    owner = f"{_name_before(plain, _opening(plain, body.start() - 1))}, " if body else "CUB, "
    if "cub::" in plain or "thrust::" in plain:
        kind = re.search(r"\b(?:Device)?(\w*?)(?:Kernel|_kernel)\b", plain)
        return owner + (kind[1].lower() if kind else "other") + (f" {body[1]}" if body else "")
    if body:
        return f"{owner}loop {body[1]}"
    return _name_before(plain, plain.index("(")) if "(" in plain else plain


def _opening(text: str, end: int) -> int:
    """Where the bracket opens that is closed at `end`."""
    close, depth = text[end], 0
    opening = {")": "(", ">": "<"}[close]
    for at in range(end, -1, -1):
        depth += (text[at] == close) - (text[at] == opening)
        if depth == 0:
            return at
    return 0


def _name_before(text: str, end: int) -> str:
    """The function's name, with its template's arguments, whose parameters begin at `end`."""
    at = end
    if text.endswith("operator()", 0, at):
        at -= len("()")
    elif text[at - 1] == ">":
        at = _opening(text, at - 1)
    found = re.search(r"[\w:~]*$", text[:at])
    return text[found.start() if found else at : end]


def family_of(name: str) -> str:
    """A name without its variants: what its template's arguments are."""
    return re.sub(r"<.*>", "", name)


def function_of(kernel: Kernel) -> str:
    return family_of(kernel.name).partition(",")[0]


def is_hot(kernel: Kernel) -> bool:
    return function_of(kernel) in HOT.get(kernel.source, ())


def unknown(kernels: list[Kernel]) -> list[str]:
    """Hot ones that the log lacks: renamed, or not compiled."""
    found = {(kernel.source, function_of(kernel)) for kernel in kernels}
    return [
        f"{source}: {name}" for source in HOT for name in sorted(HOT[source]) if (source, name) not in found
    ]


def rows(kernels: list[Kernel], *, apart: bool) -> Iterator[tuple[str, ...]]:
    groups: dict[tuple[str, str], list[Kernel]] = {}
    for kernel in kernels:
        groups.setdefault((kernel.source, kernel.name if apart else family_of(kernel.name)), []).append(
            kernel
        )
    for (source, name), members in sorted(groups.items()):
        yield (
            source,
            name if len(members) == 1 or apart else f"{name} ({len(members)} variants)",
            _range(kernel.registers for kernel in members),
            _range(kernel.warps for kernel in members),
            _range(kernel.shared for kernel in members),
            _range(kernel.stack for kernel in members),
            _range(kernel.spills for kernel in members),
        )


def _range(values: Iterable[int]) -> str:
    several = sorted(values)
    low, high = several[0], several[-1]
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


COLUMNS = (
    "source",
    "kernel",
    "registers",
    "warps they leave room for",
    "shared, B",
    "stack, B",
    "spilled, B",
)


def markdown(kernels: list[Kernel], *, apart: bool = False) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|---|" + "---:|" * (len(COLUMNS) - 2)]
    lines += ["| " + " | ".join(row) + " |" for row in rows(kernels, apart=apart)]
    spilling = sorted({f"{kernel.source}: {kernel.name}" for kernel in kernels if kernel.spills})
    lines += [
        "",
        f"{len(kernels)} kernels for {', '.join(sorted({k.family for k in kernels})) or 'nothing'}.",
    ]
    lines += [f"Spills: {'; '.join(spilling) or 'none'}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("logs", metavar="LOG", type=Path, nargs="+")
    parser.add_argument("--all", action="store_true", help="a row for each variant, CUB's kernels too")
    parser.add_argument("--hot", action="store_true", help="only where the time of big inputs is spent")
    options = parser.parse_args()
    found = [kernel for log in options.logs for kernel in read(log.read_text(errors="replace"), log.stem)]
    if not found:
        raise SystemExit("no kernels in the log: was it built with -Xptxas=-v, and not done before?")
    names = map(short, demangled(kernel.symbol for kernel in found))
    kernels = [replace(kernel, name=name) for kernel, name in zip(found, names, strict=True)]
    if not options.all:
        kernels = [kernel for kernel in kernels if not kernel.name.startswith("CUB,")]
    if options.hot:
        for name in unknown(kernels):
            print(f"not in the log: {name}", file=sys.stderr)
        kernels = [kernel for kernel in kernels if is_hot(kernel)]
    print(markdown(kernels, apart=options.all), end="")


if __name__ == "__main__":
    main()
