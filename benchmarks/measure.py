"""A race: the same job done by several, the answers compared before any time is reported."""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib.util
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

OURS = "maskmill"
REFERENCE = "pycocotools"


@dataclass(frozen=True)
class Settings:
    """How much to run."""

    repeat: int = 15  # rounds
    seconds: float = 4.0  # after that long, a race ends with its third round
    rivals: tuple[str, ...] | None = None  # None: all that are installed
    numba: bool = True
    all: bool = False  # also those that take minutes


def answer_itself(answer: Any) -> Any:
    return answer


def same(a: Any, b: Any) -> bool:
    """Equal in values, whatever the types of numbers and containers."""
    if isinstance(a, bytes | str) or isinstance(b, bytes | str):
        return bool(a == b)
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f")
    if isinstance(a, Sequence):
        return (
            isinstance(b, Sequence)
            and len(a) == len(b)
            and all(same(x, y) for x, y in zip(a, b, strict=True))
        )
    return bool(a == b)


def near(a: Any, b: Any) -> bool:
    """Equal but for rounding in the last bits."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-12, atol=1e-12)


@dataclass(frozen=True)
class Contestant:
    call: Callable[[], Any]
    answer: Callable[[Any], Any] = answer_itself
    """Brings what `call` returns into the form that is compared; not timed."""


@dataclass
class Race:
    """One job, and who does it. The first contestant is maskmill's."""

    read: int = 0  # bytes that have to be read and written at least; 0: nothing to say
    written: int = 0
    equal: Callable[[Any, Any], bool] = same
    must_equal_pycocotools: bool = True
    contestants: dict[str, Contestant] = field(default_factory=dict)

    def add(self, name: str, call: Callable[[], Any], answer: Callable[[Any], Any] = answer_itself) -> None:
        self.contestants[name] = Contestant(call, answer)

    def ours(
        self, settings: Settings, call: Callable[[str], Any], answer: Callable[[Any], Any] = answer_itself
    ) -> None:
        """maskmill's C++, and its Numba twin if asked for; `call` gets the backend's name."""
        from maskmill import _backend

        names = {OURS: "cpp", f"{OURS} numba": "numba"}
        if _backend.why_missing("cpp") is not None:
            names = {OURS: "numba"}
        elif not settings.numba or _backend.why_missing("numba") is not None:
            names = {OURS: "cpp"}
        for name, backend in names.items():
            self.add(name, functools.partial(call, backend), answer)


@dataclass(frozen=True)
class Spread:
    """Median and quartiles, in seconds or bytes."""

    median: float
    q1: float
    q3: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        q1, median, q3 = np.percentile(values, [25, 50, 75]).tolist()
        return cls(median, q1, q3, len(values))


@dataclass
class Result:
    """One row of the table."""

    kernel: str
    operation: str
    input: str
    source: str
    unit: str = "s"
    spreads: dict[str, Spread] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)  # who is not in `spreads`, and why
    details: dict[str, Any] = field(default_factory=dict)  # what goes into JSON only
    floor: float | None = None  # seconds
    wrong: str | None = None  # an answer of maskmill's that is not what it must be

    @property
    def ours(self) -> float | None:
        return self.spreads[OURS].median if OURS in self.spreads else None

    @property
    def best_rival(self) -> tuple[str, float] | None:
        rivals = [(s.median, name) for name, s in self.spreads.items() if not name.startswith(OURS)]
        return min(rivals)[::-1] if rivals else None

    @property
    def ratio(self) -> float | None:
        """How many times the best rival takes of what maskmill takes."""
        return self.best_rival[1] / self.ours if self.best_rival and self.ours else None

    @property
    def share_of_floor(self) -> float | None:
        return self.floor / self.ours if self.floor and self.ours else None


def judge(race: Race, result: Result) -> dict[str, float]:
    """Run everybody once: those who may be timed, and what they took. The reference is pycocotools where it takes
    part, else maskmill."""
    answers: dict[str, Any] = {}
    first: dict[str, float] = {}
    for name, contestant in race.contestants.items():
        try:
            begin = time.perf_counter()
            answer = contestant.call()
            first[name] = time.perf_counter() - begin
            answers[name] = contestant.answer(answer)
        except Exception as error:
            # What rivals raise is theirs; the row says so. maskmill's own must be seen.
            if name.startswith(OURS):
                raise
            result.excluded[name] = f"fails: {type(error).__name__}: {error}"[:200]
    reference = REFERENCE if REFERENCE in answers and race.must_equal_pycocotools else OURS
    fair = {}
    for name, answer in answers.items():
        if name == reference or race.equal(answers[reference], answer):
            fair[name] = first[name]
            continue
        result.excluded[name] = f"differs from {reference}"
        if name.startswith(OURS):
            result.wrong = f"{name} differs from {reference}"
    return fair


def run(race: Race, result: Result, settings: Settings) -> Result:
    """Time all who give the right answer, in turns, and add what is found to the result."""
    samples: dict[str, list[float]] = {}
    numbers: dict[str, int] = {}
    for name, once in judge(race, result).items():
        samples[name] = []
        if once > settings.seconds / 3 and not name.startswith(OURS):
            samples[name].append(once)  # too slow to be asked again
            continue
        once = _seconds(race.contestants[name].call, 1)
        numbers[name] = max(1, int(0.002 / max(once, 1e-7)))
    # Below 1 MB, calling costs more than memory.
    floor = Floor(race.read, race.written) if race.read + race.written >= 1_000_000 else None
    begin = time.perf_counter()
    turns = list(numbers)
    for k in range(settings.repeat):
        if k >= 3 and time.perf_counter() - begin > settings.seconds:
            break
        for name in turns:
            samples[name].append(_seconds(race.contestants[name].call, numbers[name]))
        turns = turns[1:] + turns[:1]
        if floor:
            floor.measure()
    result.spreads = {name: Spread.of(values) for name, values in samples.items()}
    result.floor = floor.seconds if floor else None
    return result


def _seconds(call: Callable[[], Any], number: int) -> float:
    """Seconds per call, without the garbage collector."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        turns = itertools.repeat(None, number)
        begin = time.perf_counter()
        for _ in turns:
            call()
        return (time.perf_counter() - begin) / number
    finally:
        if enabled:
            gc.enable()


# The floor: nobody can be faster than one pass over what has to be read and written.


class Floor:
    """Reading (memchr) and writing (memset) that many bytes once, by one thread or by as many as maskmill has."""

    def __init__(self, read: int, written: int) -> None:
        biggest = 1 << 28
        self.scale = max(1.0, max(read, written) / biggest)
        self.read = np.ones(int(read / self.scale), np.uint8)
        self.written = np.ones(int(written / self.scale), np.uint8)
        self.samples: dict[int, list[float]] = {1: [], thread_count(): []}

    def measure(self) -> None:
        for threads, samples in self.samples.items():
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(time.sleep, [0] * threads))  # threads start when there is work
                begin = time.perf_counter()
                list(pool.map(_read, np.array_split(self.read, threads)))
                list(pool.map(_write, np.array_split(self.written, threads)))
                samples.append(time.perf_counter() - begin)

    @property
    def seconds(self) -> float:
        """The better of the medians."""
        return self.scale * min(float(np.median(samples)) for samples in self.samples.values())


def _read(part: np.ndarray) -> None:
    _libc().memchr(ctypes.c_void_p(part.ctypes.data), 0, ctypes.c_size_t(part.nbytes))


def _write(part: np.ndarray) -> None:
    ctypes.memset(part.ctypes.data, 1, part.nbytes)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)


def bandwidth() -> tuple[float, float]:
    """Bytes per second of reading and of writing 256 MB."""
    size = 1 << 28
    found = []
    for floor in (Floor(size, 0), Floor(0, size)):
        for _ in range(5):
            floor.measure()
        found.append(size / floor.seconds)
    return found[0], found[1]


def thread_count() -> int:
    from maskmill import _backend

    if _backend.why_missing("cpp") is not None:
        return 1
    return int(_backend.kernels("cpp").thread_count())


# Cases: what the bench_*.py files declare.


@dataclass(frozen=True)
class Case:
    """One operation on one input; `prepare` makes the race, or `measure` does all by itself."""

    kernel: str
    operation: str
    workload: Any
    prepare: Callable[[Any, Settings], Race] | None = None
    measure: Callable[[Case, Settings], list[Result]] | None = None

    @property
    def name(self) -> str:
        return f"{self.operation}, {self.workload.name}"

    @property
    def source(self) -> str:
        return str(self.workload.source)

    def result(self) -> Result:
        return Result(self.kernel, self.operation, self.workload.name, self.workload.source)

    def race(self, settings: Settings) -> Race:
        assert self.prepare is not None
        return self.prepare(self.workload.value(), settings)

    def run(self, settings: Settings) -> list[Result]:
        if self.measure is not None:
            return self.measure(self, settings)
        return [run(self.race(settings), self.result(), settings)]


class Cases:
    """The rows of one kernel; a decorator adds them."""

    def __init__(self, kernel: str, *, needs_core: bool = False, needs: Sequence[str] = ()) -> None:
        self.kernel = kernel
        self.needs_core = needs_core  # has no Numba twin
        self.needs = needs  # optional packages
        self.all: list[Case] = []

    def __iter__(self) -> Iterator[Case]:
        return iter(self.all)

    @property
    def can_run(self) -> bool:
        from maskmill import _backend

        core = not self.needs_core or _backend.why_missing("cpp") is None
        return core and all(importlib.util.find_spec(module) for module in self.needs)

    def add(self, operation: str, *workloads: Any) -> Callable[[Any], Any]:
        """The function takes the workload's value and the settings, and returns a race."""

        def decorate(prepare: Callable[..., Race]) -> Callable[..., Race]:
            for workload in workloads:

                def bound(value: Any, settings: Settings, small: bool = workload.small) -> Race:
                    return prepare(value, settings if small else _without_numba(settings))

                self.all.append(Case(self.kernel, operation, workload, bound))
            return prepare

        return decorate


def _without_numba(settings: Settings) -> Settings:
    from dataclasses import replace

    return replace(settings, numba=False)
