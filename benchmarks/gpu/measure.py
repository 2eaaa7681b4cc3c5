"""One job on a GPU: its floor first, then the answer, then the times of all who do it."""

from __future__ import annotations

import functools
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskmill import _backend, _device

from ..measure import OURS, Spread, same

CORE = "C++ core"
ENOUGH = 0.005  # seconds between two events, of which the clock is sure


# The device


class Gpu:
    """Arrays on the device, a clock there, and what the device can do at most.

    Where tests only pretend that there is one, time is the host's.
    """

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.is_real = hasattr(cupy, "RawKernel")

    def put(self, array: Any) -> Any:
        return self.cupy.asarray(array)

    def dirty(self, shape: Any, dtype: Any) -> Any:
        """An array to write to, full of what no case writes: whoever leaves some of it is found out."""
        out = self.cupy.empty(shape, dtype)
        out.fill(0x5A)
        return out

    def wait(self) -> None:
        if self.is_real:
            self.cupy.cuda.get_current_stream().synchronize()

    def free(self) -> None:
        """Give unused memory back, so that one case does not leave the next without."""
        if self.is_real:
            self.cupy.get_default_memory_pool().free_all_blocks()

    def seconds(self, call: Callable[[], Any], number: int = 1, *, by_host: bool = False) -> float:
        """Per call: between two events of the stream, or by the host's clock until the work is done."""
        if by_host or not self.is_real:
            self.wait()
            begin = time.perf_counter()
            for _ in range(number):
                call()
            self.wait()
            return (time.perf_counter() - begin) / number
        first, last = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        first.record()
        for _ in range(number):
            call()
        last.record()
        last.synchronize()
        return float(self.cupy.cuda.get_elapsed_time(first, last)) / 1000 / number

    @functools.cached_property
    def bandwidth(self) -> float:
        """Bytes a second of a copy on the device, those read and those written, of 2 GB."""
        size = 2 << 30 if self.is_real else 1 << 16
        source, target = self.dirty(size, np.uint8), self.dirty(size, np.uint8)
        copy = functools.partial(self.cupy.copyto, target, source)
        self.seconds(copy, 200 if self.is_real else 1)  # clocks rise with work
        return 2 * size / float(np.median([self.seconds(copy, 4) for _ in range(7)]))

    def rate(self, per_clock: float) -> float | None:
        """Operations a second, of which each multiprocessor does so many a clock; None where nobody knows."""
        if not self.is_real:
            return None
        about = self.cupy.cuda.Device().attributes
        hertz = 1000 * about.get("ClockRate", 0)
        return per_clock * about["MultiProcessorCount"] * hertz or None

    @property
    def doubles(self) -> float | None:
        """Additions or multiplications in double a second: 64 a clock on those made for it, 2 on others."""
        if not self.is_real:
            return None
        strong = {"60": 32, "70": 32, "80": 32, "90": 64, "100": 64}
        return self.rate(strong.get(self.cupy.cuda.Device().compute_capability, 2))

    @property
    def popcounts(self) -> float | None:
        """Counts of the bits of 32 a second: 16 a clock, on all there are."""
        return self.rate(16)

    def about(self) -> dict[str, Any]:
        if not self.is_real:
            return {"device": "none, pretended by the host", "driver": None, "cuda": None}
        number = self.cupy.cuda.Device().id
        name = self.cupy.cuda.runtime.getDeviceProperties(number)["name"]
        return {
            "device": name.decode() if isinstance(name, bytes) else name,
            "driver": _driver(),
            "cuda": ".".join(map(str, divmod(self.cupy.cuda.runtime.runtimeGetVersion() // 10, 100))),
        }


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.split("\n")[0].strip()


def gpu() -> Gpu:
    """The current device.

    Raises
    ------
    BackendError
        If there is none; says why.
    """
    _backend.kernels("cuda")
    return _gpu(_device.cupy())


@functools.cache
def _gpu(cupy: Any) -> Gpu:
    return Gpu(cupy)


# Jobs


@dataclass(frozen=True)
class Asked:
    """What the row has to show: a share of the floor, a rate, a time, or a ratio to the C++ core."""

    kind: str
    value: float

    def text(self, unit: str) -> str:
        if self.kind == "share":
            return f">= {self.value:.0%} of the floor"
        if self.kind == "rate":
            return f">= {rate_text(self.value, unit)}"
        if self.kind == "time":
            return f"< {self.value * 1000:g} ms"
        return f">= {self.value:g} x the core"

    def is_met(self, row: Row) -> bool:
        if self.kind == "time":
            return row.ours is not None and row.ours < self.value
        found = {"share": row.share_of_floor, "rate": row.rate, "ratio": row.ratio(CORE)}[self.kind]
        return found is not None and found >= self.value


def on_host(value: Any) -> Any:
    """What is compared: the same containers, with NumPy's arrays."""
    if isinstance(value, tuple | list):
        return [on_host(item) for item in value]
    return _device.to_host(value) if _device.is_on_gpu(value) else value


def same_on_host(ours: Any, theirs: Any) -> bool:
    return same(ours, on_host(theirs))


@dataclass
class Job:
    """The same work on arrays of the GPU and, by the C++ core with all threads, on those of the host."""

    call: Callable[[], Any]
    host: Callable[[], Any]
    amount: float  # of what is counted for the rate
    unit: str = "B"
    read: int = 0  # bytes that must be read and written at least
    written: int = 0
    operations: float = 0  # that must be done at least, and how many the device does a second
    per_second: float | None = None
    asked: Asked | None = None
    ends_on_host: bool = False  # the result is there: the host's clock counts
    equal: Callable[[Any, Any], bool] = same
    rivals: dict[str, tuple[Callable[[], Any], Callable[[Any, Any], bool]]] = field(default_factory=dict)

    def rival(
        self, name: str, call: Callable[[], Any], equal: Callable[[Any, Any], bool] = same_on_host
    ) -> None:
        """`equal` gets maskmill's answer on the host and the rival's where it is."""
        self.rivals[name] = call, equal

    def floor(self, bandwidth: float) -> float:
        """Seconds: that of the bytes or that of the operations, whichever is more."""
        by_operations = self.operations / self.per_second if self.per_second else 0.0
        return max((self.read + self.written) / bandwidth, by_operations)


@dataclass
class Row:
    """One row of the table."""

    kernel: str
    operation: str
    input: str
    unit: str = "B"
    amount: float = 0
    floor: float | None = None
    asked: str = ""
    spreads: dict[str, Spread] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    wrong: str | None = None  # the answer is not the core's, or there was none

    @property
    def ours(self) -> float | None:
        return self.spreads[OURS].median if OURS in self.spreads else None

    @property
    def rate(self) -> float | None:
        return self.amount / self.ours if self.ours else None

    @property
    def share_of_floor(self) -> float | None:
        return self.floor / self.ours if self.floor and self.ours else None

    def ratio(self, name: str) -> float | None:
        """How many times somebody takes of what maskmill takes."""
        return self.spreads[name].median / self.ours if name in self.spreads and self.ours else None

    @property
    def best_rival(self) -> str | None:
        names = [name for name in self.spreads if name not in (OURS, CORE)]
        return min(names, key=lambda name: self.spreads[name].median, default=None)


@dataclass(frozen=True)
class Settings:
    gpu: Gpu
    repeat: int = 15
    seconds: float = 3.0  # after that long, a case ends with its third round
    rivals: tuple[str, ...] | None = None  # None: all that are installed


def run(job: Job, row: Row, settings: Settings) -> Row:
    """The floor, the answer of everybody, then their times in turns."""
    gpu = settings.gpu
    row.unit, row.amount, row.floor = job.unit, job.amount, job.floor(gpu.bandwidth)
    answer = on_host(job.call())
    row.spreads[CORE] = _host_times(job, answer, row, settings)
    calls = {OURS: job.call}
    for name, (call, equal) in job.rivals.items():
        if settings.rivals is not None and name.split(",")[0] not in settings.rivals:
            continue
        try:
            if equal(answer, call()):
                calls[name] = call
            else:
                row.excluded[name] = f"differs from {OURS}"
        except Exception as error:  # theirs; the row says so
            row.excluded[name] = f"fails: {type(error).__name__}: {error}"[:200]
    numbers = {}
    for name, call in calls.items():
        once = gpu.seconds(call, by_host=job.ends_on_host)
        numbers[name] = max(1, min(1000, int(ENOUGH / max(once, 1e-6)))) if gpu.is_real else 1
    samples: dict[str, list[float]] = {name: [] for name in calls}
    begin = time.perf_counter()
    for k in range(settings.repeat):
        if k >= 3 and time.perf_counter() - begin > settings.seconds:
            break
        for name, call in calls.items():
            samples[name].append(gpu.seconds(call, numbers[name], by_host=job.ends_on_host))
    row.spreads |= {name: Spread.of(values) for name, values in samples.items()}
    if job.asked:
        row.asked = f"{job.asked.text(job.unit)}: {'met' if job.asked.is_met(row) else 'not met'}"
    return row


def _host_times(job: Job, answer: Any, row: Row, settings: Settings) -> Spread:
    times = []
    for k in range(3):
        begin = time.perf_counter()
        found = job.host()
        times.append(time.perf_counter() - begin)
        if k == 0 and not job.equal(found, answer):
            row.wrong = f"{OURS} differs from the {CORE}"
        if times[-1] > settings.seconds / 3:
            break
    return Spread.of(times[1:] or times)


# Cases: what the bench_*.py files declare.


@dataclass(frozen=True)
class Case:
    """`prepare` gets the device and the numbers of the input's size, and makes the job."""

    kernel: str
    operation: str
    size: tuple[int, ...]
    input: str
    prepare: Callable[..., Job]
    source: str = "synthetic"

    @property
    def name(self) -> str:
        return f"{self.operation}, {self.input}"

    def run(self, settings: Settings) -> list[Row]:
        row = Row(self.kernel, self.operation, self.input)
        try:
            run(self.prepare(settings.gpu, *self.size), row, settings)
        except _backend.BackendError as error:
            row.excluded[OURS] = str(error).partition(";")[0]
        except Exception as error:
            # The next case may do. What failed is told, and is in the exit code.
            row.spreads.clear()
            row.wrong = f"fails: {type(error).__name__}: {error}"[:300]
        settings.gpu.free()
        return [row]


class Cases:
    """The rows of one kernel; a decorator adds them."""

    def __init__(self, kernel: str) -> None:
        self.kernel = kernel
        self.all: list[tuple[Case, Case]] = []

    def __iter__(self) -> Iterator[tuple[Case, Case]]:
        """Pairs: of the size that is measured, and of the small one that shows that all works."""
        return iter(self.all)

    def add(
        self, operation: str, text: str, *, full: tuple[int, ...], quick: tuple[int, ...]
    ) -> Callable[[Any], Any]:
        """`text` is the input's name, with a place for each number of its size."""

        def decorate(prepare: Callable[..., Job]) -> Callable[..., Job]:
            both = [Case(self.kernel, operation, size, text.format(*size), prepare) for size in (full, quick)]
            self.all.append((both[0], both[1]))
            return prepare

        return decorate


# Numbers as people read them


def rate_text(value: float, unit: str) -> str:
    for scale, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g} {letter}{'' if unit == 'B' else ' '}{unit}/s"
    return f"{value:.3g} {unit}/s"
