"""maskmill bench: how fast it is here, and how fast the others are."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

_EPILOG = """\
examples:
  maskmill bench --quick                     a minute, without rivals' help or real data
  maskmill bench --only overlap polygons     two kernels
  maskmill bench --only "rle_encode, 200"    one operation on one input, see --list
  maskmill bench --all --markdown table.md   everything, those who take minutes included
  maskmill bench --backend cuda              arrays on a GPU; 32 GB of its memory and of the host's

Every row is the same job on the same input, done in turns by all who are installed; whoever gives another answer is
left out and named. ratio: what the fastest rival takes of what maskmill takes. of the floor: what one pass over the
memory that must be read and written takes, of what maskmill takes. On a GPU the pass is a copy there, times are between
events of the stream, and the other columns are the C++ core on the host and what CuPy or torch do on the GPU.

exit codes: 0 done, however slow; 1 an answer of maskmill's was wrong; 2 wrong usage
"""


def add_parser(verbs: Any) -> None:
    p = verbs.add_parser(
        "bench",
        help="measure maskmill and its rivals on this machine",
        description="Measure every kernel and whole evaluations, against whatever rivals are installed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "--backend", choices=("cpp", "cuda"), default="cpp", help="arrays on the host, or on a GPU"
    )
    p.add_argument(
        "--quick", action="store_true", help="small inputs and few rounds: less than a minute, no rivals"
    )
    p.add_argument(
        "--only", metavar="NAME", nargs="+", help="kernels, or words of an operation and its input"
    )
    p.add_argument("--rivals", metavar="NAME", nargs="*", help="these rivals only (none: only maskmill)")
    p.add_argument("--all", action="store_true", help="also rivals that take minutes, once")
    p.add_argument("--repeat", metavar="N", type=int, help="rounds (default: 15; quick: 5)")
    p.add_argument("--no-numba", action="store_true", help="without the readable twins, which compile first")
    p.add_argument("--json", metavar="FILE", type=Path, help="write everything measured to FILE")
    p.add_argument("--markdown", metavar="FILE", type=Path, help="write the table to FILE")
    p.add_argument("--list", action="store_true", help="say what would run, and stop")


def run(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    for file in (options.json, options.markdown):
        if file is not None and not file.resolve().parent.is_dir():
            raise FileNotFoundError(2, "the folder to write to does not exist", str(file))
    if options.repeat is not None and options.repeat < 1:
        raise ValueError(f"--repeat must be 1 or more, not {options.repeat}")
    bench = _benchmarks(options.backend)
    cases = bench.cases(options.only, quick=options.quick)
    if options.list:
        for case in cases:
            print(f"{case.kernel:<11} {case.name:<62} {case.source}")
        return 0
    settings = bench.settings(
        quick=options.quick,
        repeat=options.repeat,
        rivals=options.rivals,
        numba=not options.no_numba,
        all=options.all,
    )
    results: list[Any] = []
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with progress:
        task = progress.add_task("", total=len(cases))
        for case in cases:
            progress.update(task, description=case.name)
            begin = time.perf_counter()
            results += case.run(settings)
            progress.advance(task)
            if not progress.console.is_terminal:
                print(f"{case.name}: {time.perf_counter() - begin:.1f} s", file=sys.stderr, flush=True)
    where, command = bench.machine(), _command(options)
    _print(bench, results, where, command)
    if options.json:
        _write(options.json, json.dumps(bench.to_json(results, where, command), indent=2) + "\n")
    if options.markdown:
        _write(options.markdown, bench.markdown(results, where, command))
    return int(any(result.wrong for result in results))


def _benchmarks(backend: str = "cpp") -> Any:
    """The benchmarks that were installed with maskmill, or those beside its sources; for a GPU, those of that."""
    name = "maskmill.benchmarks"
    if importlib.util.find_spec(name) is None:
        start = Path(__file__).resolve().parents[3] / "benchmarks" / "__init__.py"
        if not start.is_file():
            raise ImportError(
                "the benchmarks are not installed with this maskmill; use a wheel or a checkout"
            )
        spec = importlib.util.spec_from_file_location(
            name, start, submodule_search_locations=[str(start.parent)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules[name] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"{name}.gpu.run" if backend == "cuda" else f"{name}.run")


def _command(options: argparse.Namespace) -> str:
    words = ["maskmill", "bench"]
    if options.backend != "cpp":
        words += ["--backend", options.backend]
    for name in ("quick", "all", "no_numba"):
        if getattr(options, name):
            words.append(f"--{name.replace('_', '-')}")
    for name in ("only", "rivals"):
        if getattr(options, name) is not None:
            words += [f"--{name}", *getattr(options, name)]
    if options.repeat is not None:
        words += ["--repeat", str(options.repeat)]
    return shlex.join(words)


def _print(bench: Any, results: list[Any], where: dict[str, Any], command: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    table = Table(box=None, pad_edge=False)
    for name in bench.COLUMNS:
        table.add_column(name, justify="right" if name in bench.NUMBERS else "left")
    for result in results:
        table.add_row(*bench.row(result))
    console.print(table)
    for line in [*bench.footer(where, command), *bench.notes(results)]:
        console.print(line, soft_wrap=True, markup=False)


def _write(path: Path, text: str) -> None:
    from maskmill._files import written_whole

    with written_whole(path) as file:
        file.write(text.encode())
