"""The largest set of things of which no two are in conflict: maximum independent set, exact where time allows.

Sets are integers whose bit i stands for thing i: Python's integers are as long as they must be.

The method. A thing is left out if all conflicts of a neighbour are conflicts of its own, too: the neighbour can stand
in for it. This is repeated, and settles most of a mosaic. What remains falls into components, and each is swept from
one side to the other. A sweep keeps, for each choice among the things that still have conflicts ahead (the front), the
best there is behind it. Windows of one size in a plane have narrow fronts. States that cannot reach what a local search
has found before are dropped. Where a front is too wide even so, SciPy's integer programs on cliques take over, if it is
installed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._files import need

_MOST_STATES = 100_000  # of one front; about 30 MB
_MOST_CLIQUES = 20_000
_TIE = 40  # bits below the count, for the weights that decide ties


@dataclass(frozen=True)
class Independent:
    """Things without conflicts.

    Attributes
    ----------
    selected : (K,) int64 array, ascending
    bound : int
        No set without conflicts has more things.
    """

    selected: NDArray[np.int64]
    bound: int

    @property
    def proved(self) -> bool:
        """Whether there is no larger set."""
        return len(self.selected) == self.bound


def max_independent_set(
    conflicts: ArrayLike,
    *,
    orders: Sequence[ArrayLike] = (),
    seed: int = 0,
    time_limit: float = 10.0,
) -> Independent:
    """A largest set of things without conflicts; within a time limit, the best found and a bound.

    Parameters
    ----------
    conflicts : (N, N) bool, symmetric
        The diagonal does not count.
    orders : sequence of (N,) int
        Permutations to try as sweeps: for things in a plane, along x and along y.
    seed : int
        Decides among sets of the same size. The result depends on nothing else, unless time runs out.
    time_limit : float
        Seconds, more or less. Then a greedy choice, improved by a local search, is returned with a bound.

    Raises
    ------
    ValueError
        If the conflicts are not square, or an order is no permutation.

    Examples
    --------
    A ring of five things, each in conflict with the next:

    >>> ring = np.roll(np.eye(5, dtype=bool), 1, axis=1)
    >>> found = max_independent_set(ring | ring.T)
    >>> len(found.selected), found.bound, found.proved
    (2, 2, True)
    """
    table = np.asarray(conflicts)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or table.dtype != np.bool_:
        raise ValueError(f"conflicts must be a square array of bool, not {table.shape} of {table.dtype}")
    table = table | table.T
    np.fill_diagonal(table, False)
    n = len(table)
    sweeps = [np.asarray(order) for order in orders] or [np.arange(n)]
    for order in sweeps:
        if order.shape != (n,) or not np.array_equal(np.sort(order), np.arange(n)):
            raise ValueError(f"each order must be a permutation of {n} things")
    until = time.monotonic() + time_limit
    rng = random.Random(seed)
    near = [_from_bits(row) for row in table]
    alive = _reduced(near, (1 << n) - 1, rng.sample(range(n), n), until)
    near = [mask & alive for mask in near]
    weights = [(1 << _TIE) + rng.getrandbits(16) for _ in range(n)]
    chosen = bound = 0
    for part in _components(near, alive):
        found = _local_search(near, part, rng, until)
        least, most = found.bit_count(), _cliques(near, part)
        if least < most:
            ways = [_sweep(near, part, order) for order in sweeps]
            way = min(ways, key=lambda way: _effort(near, way))
            best, swept = _dynamic(near, way, weights, least, until)
            if not best:
                best, solved = _integer_program(near, part, until)
                swept = min(swept, solved)
            found, most = max(best, found, key=int.bit_count), min(most, swept)
        chosen |= found
        bound += most
    return Independent(np.array(list(_bits(chosen)), np.int64), bound)


def _from_bits(row: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little")


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _reduced(near: Sequence[int], alive: int, order: Sequence[int], until: float) -> int:
    """Without things that another one can stand in for: whose closed neighbourhood holds that of a neighbour."""
    waiting = list(order)
    while waiting and time.monotonic() < until:
        changed = 0
        for v in waiting:
            closed = near[v] & alive | 1 << v
            if alive >> v & 1 and any(
                (near[u] & alive | 1 << u) & ~closed == 0 for u in _bits(near[v] & alive)
            ):
                alive &= ~(1 << v)
                changed |= near[v]
        around = changed
        for u in _bits(changed & alive):
            around |= near[u]  # whose neighbours have fewer conflicts now
        waiting = [v for v in order if around & alive & 1 << v]
    return alive


def _components(near: Sequence[int], alive: int) -> Iterator[int]:
    while alive:
        part, grown = 0, alive & -alive
        while grown:
            part |= grown
            reached = 0
            for v in _bits(grown):
                reached |= near[v]
            grown = reached & ~part
        yield part
        alive &= ~part


def _cliques(near: Sequence[int], part: int) -> int:
    """How many cliques cover a part, greedily: no more things than that can be without conflicts."""
    count = 0
    while part:
        common = part
        while common:
            v = (common & -common).bit_length() - 1
            part &= ~(1 << v)
            common &= near[v]
        count += 1
    return count


def _local_search(near: Sequence[int], part: int, rng: random.Random, until: float) -> int:
    """A good set: least conflicts first, then exchanges of one for two, from several starts."""
    best = 0
    tries = 1 if part.bit_count() < 8 else 12
    for _ in range(tries):
        chosen = _two_for_one(near, part, _greedy(near, part, rng))
        if chosen.bit_count() > best.bit_count():
            best = chosen
        if time.monotonic() > until:
            break
    return best


def _greedy(near: Sequence[int], part: int, rng: random.Random) -> int:
    chosen, degree = 0, {v: near[v].bit_count() for v in _bits(part)}
    while degree:
        least = min(degree.values())
        v = rng.choice([v for v, d in degree.items() if d == least])
        chosen |= 1 << v
        for u in [v, *_bits(near[v])]:
            if degree.pop(u, None) is not None:
                for w in _bits(near[u]):
                    if w in degree:
                        degree[w] -= 1
    return chosen


def _two_for_one(near: Sequence[int], part: int, chosen: int) -> int:
    """Exchange one chosen thing for two of its neighbours, as long as there are such."""
    waiting = chosen
    while waiting:
        v = (waiting & -waiting).bit_length() - 1
        waiting &= waiting - 1
        rest = chosen & ~(1 << v)
        free = sum(1 << u for u in _bits(near[v] & part) if not near[u] & rest)
        for u in _bits(free):
            others = free & ~near[u] & ~(1 << u)
            if others:
                chosen = rest | 1 << u | (others & -others)
                waiting = chosen
                break
    return chosen


def _sweep(near: Sequence[int], part: int, order: NDArray[np.int64]) -> list[int]:
    return [v for v in order.tolist() if part >> v & 1]


def _fronts(near: Sequence[int], order: Sequence[int]) -> list[int]:
    """After each thing of a sweep, those passed that have conflicts ahead."""
    ahead, passed, fronts = sum(1 << v for v in order), 0, []
    for v in order:
        ahead &= ~(1 << v)
        passed |= 1 << v
        passed = sum(1 << u for u in _bits(passed) if near[u] & ahead)
        fronts.append(passed)
    return fronts


def _effort(near: Sequence[int], order: Sequence[int]) -> float:
    """Logarithm of how many states the widest of some fronts may have: of each clique of it one thing, or none."""

    def states(front: int) -> float:
        total = 0.0
        while front:
            common, size = front, 1
            while common:
                v = (common & -common).bit_length() - 1
                front &= ~(1 << v)
                common &= near[v]
                size += 1
            total += log(size)
        return total

    step = max(1, len(order) // 100)
    return max(map(states, _fronts(near, order)[::step]), default=0.0)


def _dynamic(
    near: Sequence[int], order: Sequence[int], weights: Sequence[int], least: int, until: float
) -> tuple[int, int]:
    """The best set of a sweep, of at least `least` things, and the bound; 0 where states or time ran out."""
    ahead = _cliques_ahead(near, order)
    states = {0: (0, 0)}  # what is chosen of the front: its score, and all that is chosen
    for at, (v, front) in enumerate(zip(order, _fronts(near, order), strict=True)):
        bit, conflicts, weight = 1 << v, near[v], weights[v]
        enough = (least - ahead[at + 1]) << _TIE
        grown: dict[int, tuple[int, int]] = {}
        for state, (score, chosen) in states.items():
            if score >= enough:
                key = state & front
                if key not in grown or grown[key][0] < score:
                    grown[key] = (score, chosen)
            if not state & conflicts and score + weight >= enough:
                key = (state | bit) & front
                if key not in grown or grown[key][0] < score + weight:
                    grown[key] = (score + weight, chosen | bit)
        states = grown
        if len(states) > _MOST_STATES or time.monotonic() > until:
            return 0, max(score >> _TIE for score, _ in states.values()) + ahead[at + 1]
    score, chosen = max(states.values())
    return chosen, score >> _TIE


def _cliques_ahead(near: Sequence[int], order: Sequence[int]) -> list[int]:
    """How many cliques cover what follows each place of a sweep: from its end on, each in the first that takes it."""
    commons: list[int] = []  # of each clique, the things in conflict with all of it
    ahead = [0]
    for v in reversed(order):
        place = next((i for i, common in enumerate(commons) if common >> v & 1), None)
        if place is None:
            commons.append(near[v])
        else:
            commons[place] &= near[v]
        ahead.append(len(commons))
    return ahead[::-1]


def _integer_program(near: Sequence[int], part: int, until: float) -> tuple[int, int]:
    """The best set that SciPy's solver finds in time, and its bound; 0 without SciPy, and if cliques are too many."""
    cliques = _maximal_cliques(near, part, until)
    seconds = until - time.monotonic()
    if cliques is None or seconds <= 0:
        return 0, part.bit_count()
    try:
        optimize, sparse = need("scipy.optimize", "zircon"), need("scipy.sparse", "zircon")
    except ImportError:
        return 0, part.bit_count()
    things = list(_bits(part))
    place = {v: i for i, v in enumerate(things)}
    columns = [place[v] for clique in cliques for v in _bits(clique)]
    ends = np.cumsum([0, *(clique.bit_count() for clique in cliques)])
    table = sparse.csr_array((np.ones(len(columns)), columns, ends), shape=(len(cliques), len(things)))
    solved = optimize.milp(
        -np.ones(len(things)),
        constraints=optimize.LinearConstraint(table, ub=1),
        integrality=np.ones(len(things)),
        bounds=optimize.Bounds(0, 1),
        options={"time_limit": seconds},
    )
    dual = solved.mip_dual_bound
    bound = int(-dual + 1e-6) if dual is not None and np.isfinite(dual) else part.bit_count()
    chosen = [] if solved.x is None else np.flatnonzero(solved.x > 0.5).tolist()
    return sum(1 << things[i] for i in chosen), bound


def _maximal_cliques(near: Sequence[int], part: int, until: float) -> list[int] | None:
    """All of them (Bron and Kerbosch, with pivots), or None if they are too many, or time ran out."""
    cliques: list[int] = []
    waiting = [(0, part, 0)]
    while waiting:
        clique, candidates, done = waiting.pop()
        if not candidates and not done:
            cliques.append(clique)
            if len(cliques) > _MOST_CLIQUES or time.monotonic() > until:
                return None
        if candidates:
            pivot = max(_bits(candidates | done), key=lambda u: (near[u] & candidates).bit_count())
            for v in _bits(candidates & ~near[pivot]):
                waiting.append((clique | 1 << v, candidates & near[v], done & near[v]))
                candidates &= ~(1 << v)
                done |= 1 << v
    return cliques
