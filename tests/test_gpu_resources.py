"""The table of what kernels for GPUs take, from what the compiler says of them."""

from __future__ import annotations

import doctest
import shutil
import sys
from pathlib import Path

import pytest

from maskmill.cli.bench import _benchmarks

try:
    _benchmarks()
except ImportError as error:
    pytest.skip(str(error), allow_module_level=True)

from maskmill.benchmarks import gpu_resources

pytestmark = pytest.mark.skipif(shutil.which("c++filt") is None, reason="needs c++filt")

LOG = """
[3/9] Building CUDA object CMakeFiles/maskmill_cuda.dir/cpp/kernels/hamming_greedy.cu.o
ptxas info    : 39 bytes gmem
ptxas info    : Compiling entry function '_ZN8maskmill4cuda12first_kernelILi1EEEvi' for 'sm_90'
ptxas info    : Function properties for _ZN8maskmill4cuda12first_kernelILi1EEEvi
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 48 registers, used 1 barriers, 2048 bytes smem, 448 bytes cmem[0]
ptxas info    : Compile time = 11.2 ms
ptxas info    : Compiling entry function '_ZN8maskmill4cuda12first_kernelILi4EEEvi' for 'sm_90'
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 73 registers, used 1 barriers, 8192 bytes smem
[4/9] Building CUDA object CMakeFiles/maskmill_cuda.dir/cpp/kernels/other.cu.o
ptxas info    : Compiling entry function '_ZN3cub6detail11EmptyKernelIvEEvv' for 'sm_90'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 4 registers
"""


def table(arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text(LOG)
    monkeypatch.setattr(sys, "argv", ["gpu_resources.py", *arguments, str(log)])
    gpu_resources.main()


def test_variants_share_a_row(monkeypatch, tmp_path, capsys):
    table([], monkeypatch, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == [
        "| hamming_greedy | first_kernel (2 variants) | 48 to 73 | 25 to 42 | 2,048 to 8,192 | 0 to 16 | 0 to 20 |",
        "",
        "2 kernels for sm_90.",
        "Spills: hamming_greedy: first_kernel<4>.",
    ]


def test_all_and_hot(monkeypatch, tmp_path, capsys):
    table(["--all"], monkeypatch, tmp_path)
    out = capsys.readouterr().out
    assert "| hamming_greedy | first_kernel<4> | 73 |" in out
    assert "| other | CUB, empty | 4 | 64 | 0 | 0 | 0 |" in out
    table(["--hot"], monkeypatch, tmp_path)
    out, err = capsys.readouterr()
    assert "first_kernel" in out
    assert "not in the log: hamming: pairs_kernel" in err


def test_nothing_to_tell(monkeypatch, tmp_path):
    log = tmp_path / "empty.log"
    log.write_text("ninja: no work to do.\n")
    monkeypatch.setattr(sys, "argv", ["gpu_resources.py", str(log)])
    with pytest.raises(SystemExit, match="no kernels in the log"):
        gpu_resources.main()


def test_names():
    assert doctest.testmod(gpu_resources).failed == 0
