"""Training, validation and other parts: of each sample its share, of each stratum in it its share, drawn by a seed."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from maskmill._files import FormatError, written_whole
from maskmill.io._parse import safe_name
from maskmill.io._rows import Row, read_rows
from maskmill.studies.zircon.clips import file_names
from maskmill.studies.zircon.leaks import Leak, equal_images, overlapping_windows
from maskmill.studies.zircon.places import write_json, write_table
from maskmill.studies.zircon.scans import read_scans

PARTS = {"train": "0.85", "val": "0.15"}
_STRATA = {"standard": {"0": "grain", "1": "standard"}}  # what the numbers of our own tables mean
_MOST_SUMS = 1 << 31  # bits


@dataclass(frozen=True)
class Split:
    """Which shot is in which part.

    Attributes
    ----------
    rows : list of dict
        sample, shot, stratum and part of each, in the order of the table; and image, where the table has it.
    parts : tuple of str
    leaks : list of Leak
        Shots of different parts that show the same.
    """

    rows: list[dict[str, str]]
    parts: tuple[str, ...]
    leaks: list[Leak]

    def counts(self, column: str = "sample") -> dict[str, dict[str, int]]:
        """How many of each sample, or of each stratum, are in each part."""
        found: dict[str, dict[str, int]] = {}
        for row in self.rows:
            found.setdefault(row[column], dict.fromkeys(self.parts, 0))[row["part"]] += 1
        return found


def apportion(total: int, weights: Sequence[Fraction | int]) -> list[int]:
    """Whole numbers that add up to `total`, as near to the weights' shares as can be: by the largest remainders.

    Of two shares that end in one half, the one is rounded to an even number and the other takes the rest, as
    `round` does it for the last.

    Examples
    --------
    >>> apportion(70, [85, 15]), apportion(50, [85, 15]), apportion(10, [1, 1, 1])
    ([60, 10], [42, 8], [3, 3, 4])
    """
    whole = sum(weights)
    shares = [Fraction(total) * weight / whole for weight in weights]
    counts = [int(share) for share in shares]

    def claim(i: int) -> tuple[Fraction, bool, int]:
        even = counts[i] % 2 == 0
        return counts[i] - shares[i], even, i if even else -i

    for i in sorted(range(len(shares)), key=claim)[: total - sum(counts)]:
        counts[i] += 1
    return counts


def split(
    table: str | Path,
    out: str | Path,
    *,
    parts: Mapping[str, str | float | Fraction] | None = None,
    seed: int = 0,
    strata: str | None = "standard",
    group: str | None = None,
    names: str = "last",
    folders: str | Path | None = None,
    compare: bool = True,
    progress: Callable[[int, int, str], None] | None = None,
) -> Split:
    """Divide shots into parts.

    Parameters
    ----------
    table : path
        A `.csv` file with columns sample and shot, such as `clip` and `sample` write; of these, what was clipped or
        selected counts. Or the folder of an image-per-shot project, see `read_scans`.
    out : path
        A `.csv` file: sample, shot, stratum and part of each. Beside it, a `.json` file gets the seed, the fractions,
        the rule, counts and leaks.
    parts : dict, optional
        Names of parts and their fractions, which add up to 1. By default 0.85 train and 0.15 val.
    seed : int
    strata : str or None
        A column. Of each sample, the strata have their share in each part. None for no strata; so it is, too, where
        the table has no column of the default.
    group : str, optional
        A column, such as sample: what is of one group stays together. From the last part on, each comes as near to its
        fraction as the whole groups that are left can. There are no strata then.
    names : str
        How the pictures of an image-per-shot project are called, see `read_scans`.
    folders : path, optional
        Copy pictures and what lies beside them to `<folders>/<part>/`.
    compare : bool
        Compare pictures between parts, where the table tells where they are: equal ones are a leak.

    Returns
    -------
    Split

    Raises
    ------
    FormatError, FileNotFoundError
        On a bad table or picture.
    ValueError
        On bad fractions; if a group split leaves a part empty.

    Notes
    -----
    Of a sample of n, validation gets 0.15 n, rounded half to even: all 39 samples of the published czd_large split.
    See `apportion` for any number of parts. A stratum of k among n gets its share of a part by the same rule, which
    is at most one half away. A sample's draw depends on the seed, its own name and shots alone.
    """
    table, out = Path(table), Path(out)
    if out.suffix.lower() != ".csv":
        raise ValueError(f"out must be a .csv file, not {out}")
    shares = _shares(PARTS if parts is None else parts)
    rows = _read_scans(table, names) if table.is_dir() else _read(table, strata, group)
    source = table if table.is_dir() else table.parent
    if group is not None and rows and group not in rows[0]:
        raise ValueError(f"group must be a column ({', '.join(rows[0])}), not {group!r}")
    if group is not None:
        assigned = _by_group([row[group] for row in rows], shares, seed)
    else:
        assigned = _by_sample(rows, shares, seed)
    for row, part in zip(rows, assigned, strict=True):
        row["part"] = part
    leaks = overlapping_windows(rows)
    if compare and rows and "image" in rows[0]:
        leaks += equal_images(source, rows, progress)
    done = Split(rows, tuple(shares), leaks)
    if folders is not None:
        _copy(source, Path(folders), rows, tuple(shares))
    columns = ["sample", "shot", "stratum", "part"] + (["image"] if rows and "image" in rows[0] else [])
    write_table(out, rows, columns)
    rule = (
        "whole groups, nearest to the fractions"
        if group
        else "of each sample and stratum the largest remainders"
    )
    write_json(out.with_suffix(".json"), {
        "table": table.name,
        "seed": seed,
        "fractions": {name: str(share) for name, share in shares.items()},
        "rule": rule,
        "strata": None if group else strata,
        "group": group,
        "parts": dict(Counter(row["part"] for row in rows)),
        "samples": done.counts(),
        "stratum": done.counts("stratum"),
        "leaks": [leak.as_dict() for leak in leaks],
    })  # fmt: skip
    return done


def _shares(parts: Mapping[str, str | float | Fraction]) -> dict[str, Fraction]:
    shares = {}
    for name, share in parts.items():
        if not re.fullmatch(r"[\w-]{1,64}", name):
            raise ValueError(f"parts must have names of letters, digits, - and _, not {name!r}")
        if not re.fullmatch(r"0*\.\d{1,12}|0|1|[1-9]\d{0,8}/[1-9]\d{0,8}", str(share)):
            raise ValueError(f"the fraction of {name} must be as 0.15 or 3/20, not {share!r:.60}")
        shares[name] = Fraction(str(share))
        if not 0 < shares[name] < 1:
            raise ValueError(f"the fraction of {name} must be within 0 and 1, not {share}")
    if sum(shares.values()) != 1:
        raise ValueError(f"the fractions must add up to 1, not to {float(sum(shares.values())):g}")
    return shares


def _read(table: Path, strata: str | None, group: str | None) -> list[dict[str, str]]:
    optional = {"status", "image", "mosaic", "left", "top", "columns", "rows", *filter(None, [strata])}
    required = ["sample", "shot"] + ([group] if group else [])
    if strata not in (None, "standard"):
        required.append(str(strata))
    rows: list[dict[str, str]] = []
    seen = set()
    aliases = {"Sample": "sample", "Shot": "shot"}
    for row in read_rows(table, required, sorted(optional - set(required)), aliases=aliases):
        if row.cells.get("status", "selected") not in ("selected", "clipped"):
            continue
        key = (_named(row, "sample"), _named(row, "shot"))
        if key in seen:
            raise row.fault("shot", "a shot that is not there already")
        seen.add(key)
        value = row.cells.get(strata, "") if strata else ""
        rows.append({**row.cells, "stratum": _STRATA.get(strata or "", {}).get(value, value)})
    return rows


def _read_scans(project: Path, names: str) -> list[dict[str, str]]:
    scans, _ = read_scans(project, names)
    return [
        {
            "sample": scan.sample,
            "shot": scan.shot,
            "image": scan.path.relative_to(project).as_posix(),
            "stratum": "",
        }
        for scan in scans
    ]


def _named(row: Row, column: str) -> str:
    if not row[column]:
        raise row.fault(column, "a name")
    return row[column]


def _by_sample(rows: Sequence[Mapping[str, str]], shares: Mapping[str, Fraction], seed: int) -> list[str]:
    """The part of each row."""
    names = list(shares)
    members: dict[str, dict[str, list[int]]] = {}
    for i, row in enumerate(rows):
        members.setdefault(row["sample"], {}).setdefault(row["stratum"], []).append(i)
    part = [names[0]] * len(rows)
    for sample, strata in members.items():
        for stratum, places in strata.items():
            random.Random(f"{seed}/{sample}/{stratum}").shuffle(places)
        keys = sorted(strata)
        sizes = apportion(sum(map(len, strata.values())), list(shares.values()))
        # From the last part on, of what is there still; the first one gets the rest.
        for name, size in list(zip(names, sizes, strict=True))[:0:-1]:
            there = [len(strata[key]) for key in keys]
            for key, count in zip(keys, apportion(size, there) if size else [0] * len(keys), strict=True):
                for _ in range(count):
                    part[strata[key].pop()] = name
    return part


def _by_group(groups: Sequence[str], shares: Mapping[str, Fraction], seed: int) -> list[str]:
    sizes = Counter(groups)
    left = sorted(sizes)
    if len(left) * len(groups) > _MOST_SUMS:
        raise ValueError(f"there must be fewer groups than {len(left):,} among {len(groups):,} rows")
    random.Random(seed).shuffle(left)
    names = list(shares)
    part = dict.fromkeys(left, names[0])
    wanted = apportion(len(groups), list(shares.values()))
    for name, size in list(zip(names, wanted, strict=True))[:0:-1]:
        for key in _nearest_sum(left, sizes, size):
            part[key] = name
            left.remove(key)
    empty = [name for name in names if name not in part.values()]
    if empty:
        raise ValueError(
            f"there must be more groups than {len(sizes)}: no whole one is left for {', '.join(empty)}"
        )
    return [part[key] for key in groups]


def _nearest_sum(keys: Sequence[str], sizes: Mapping[str, int], target: int) -> list[str]:
    """Some of the keys, one at least and not all, whose sizes add up as near to a target as can be."""
    reached = [1]  # bit s: so many can be had of the keys so far
    for key in keys:
        reached.append(reached[-1] | reached[-1] << sizes[key])
    whole = sum(sizes[key] for key in keys)
    sums = [s for s in range(1, whole) if reached[-1] >> s & 1]
    if not sums:
        return []
    rest = min(sums, key=lambda s: (abs(s - target), s))
    chosen = []
    for i in range(len(keys) - 1, -1, -1):
        if not reached[i] >> rest & 1:
            chosen.append(keys[i])
            rest -= sizes[keys[i]]
    return chosen


def _copy(source: Path, folders: Path, rows: Sequence[Mapping[str, str]], parts: Sequence[str]) -> None:
    """Pictures, and what lies beside them with the same stem, to the folders of their parts."""
    targets: dict[Path, Path] = {}
    for row in rows:
        if not row.get("image"):
            raise FormatError(
                f"{row['sample']} {row['shot']}: image: expected the picture to copy, found none"
            )
        picture = source / safe_name(row["image"], f"{row['sample']} {row['shot']}: image")
        stem = picture.stem
        if not stem.startswith(row["sample"]):  # as in folders of pictures, one for each sample
            stem = f"{next(file_names([row['sample']]))}_{stem}"
        for part in parts:
            other = folders / part / (stem + picture.suffix)
            if part != row["part"] and other.exists():
                raise ValueError(f"{other}: must not be there, as it is in {row['part']} now")
        for end in (picture.suffix, ".json", ".pgw", ".tfw"):
            path = picture.with_suffix(end)
            if end == picture.suffix or path.is_file():
                target = folders / row["part"] / (stem + end)
                if target in targets:
                    raise FormatError(f"{path}: expected a name of its own, found {targets[target]}, too")
                targets[target] = path
    for target, path in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(target) as file:
            file.write(path.read_bytes())
