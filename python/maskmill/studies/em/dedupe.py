"""Near-duplicates among patches that are there already, within and across files: `maskmill em dedupe`."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.hashes import Profile, from_hex
from maskmill.studies.em import names
from maskmill.studies.em.patchify import SHARD, Report, scores
from maskmill.studies.em.pickles import write_pickle
from maskmill.studies.em.select import Columns, Rule, Selection, origin, select
from maskmill.studies.em.shards import most_pages, write_shard
from maskmill.studies.em.sources import Failure, Item, Part, find_parts
from maskmill.studies.em.store import MANIFEST, REASONS, patch_path
from maskmill.studies.em.survey import Progress
from maskmill.studies.em.tables import Table, read_table, write_table
from maskmill.studies.em.writing import Output, save

_CARRIED = (
    "source", "digest", "dtype", "scaling", "spacing_z", "spacing_y", "spacing_x", "quality", "score", "label"
)  # fmt: skip
"""What the manifest of a store knows of a patch that its name does not tell."""


@dataclass(frozen=True)
class Settings:
    """What the result depends on: see `settings.Settings`. Patches are resized to `crop` before they are hashed."""

    rule: Rule = field(default_factory=Rule)
    hash_size: int = 8
    crop: int = 224
    scores: str = ""
    layout: str = "store"

    @property
    def profile(self) -> Profile:
        return Profile("dhash", self.hash_size, "cem", crop=self.crop)


def dedupe(
    inputs: Sequence[str | Path],
    out: str | Path,
    settings: Settings | None = None,
    *,
    progress: Progress | None = None,
    retry: bool = False,
    overwrite: bool = False,
) -> Report:
    """Write those patches of stores, pickles and `<dataset>/<name>.tiff` trees that resemble no other.

    Codes of a store are taken from its manifest if they are of the same hash. What the result is does not depend on the
    order of the inputs.

    Raises
    ------
    FileNotFoundError, FormatError, ValueError
        If an input is missing or of another kind, or `out` holds something else. A file that cannot be read does not
        end the run: see `Report.failed`.
    """
    began = time.monotonic()
    settings, tell = settings or Settings(), progress or (lambda *_: None)
    parts = find_parts(inputs)
    identity = {
        "verb": "dedupe",
        "parameters": asdict(settings),
        "inputs": {str(part.key): part.stamp for part in parts},
    }
    with Output(Path(out), identity, overwrite=overwrite, retry=retry) as output:
        if output.complete:
            told = output.run["report"]
            return Report(told["counts"], [(f, r) for f, r in told["failed"]], [], [], told["seconds"], True)
        failed = _hash(parts, settings, output, tell)
        rows, texts, owners = _rows(parts, output, settings)
        quality = scores(settings.scores, texts["name"].tolist()) if settings.scores else None
        chosen = select(
            rows,
            _origins(owners, settings),
            texts["name"],
            settings.rule,
            overlaps=True,
            quality=quality,
        )
        tell("choosing", 1, 1)
        shard, page = _write(parts, rows, texts, chosen, settings, output, tell)
        report = Report(_counts(parts, texts["part"], chosen), sorted(failed), [], [])
        report.seconds = round(time.monotonic() - began, 3)
        texts |= {"shard": shard, "page": page} | ({} if quality is None else {"quality": quality})
        columns = ("shard", "page", *(name for name in _CARRIED if name != "source"))
        datasets, sources = [owner[0] for owner in owners], [owner[2] for owner in owners]
        save(
            output,
            rows,
            chosen,
            datasets,
            sources,
            texts["name"],
            settings.hash_size,
            lambda members: (
                {name: texts[name][members] for name in columns}
                | {"hash": np.full(len(members), str(settings.profile), object)}
            ),
            asdict(report),
        )
        return report


# Stage 1


def _schema(words: int) -> dict[str, str]:
    described = {"low": "uint8", "high": "uint8", "at_low": "float32", "at_high": "float32"}
    codes = {f"code{word}": "uint64" for word in range(words)}
    return (
        {"name": "str", "height": "int64", "width": "int64"}
        | described
        | codes
        | {n: MANIFEST[n] for n in _CARRIED}
    )


def _hash(parts: list[Part], settings: Settings, output: Output, tell: Progress) -> list[tuple[str, str]]:
    """A table for each part that can be read; what cannot, with the reason."""
    failed: list[tuple[str, str]] = []
    for number, part in enumerate(parts):
        mark = hashlib.blake2b(f"{settings}\0{part.key}\0{part.stamp}".encode(), digest_size=8).hexdigest()
        stem = output.parts / f"{number:06d}-{mark}"
        output.stems.append(stem)
        if not output.has_part(stem):
            bad: list[Failure] = []
            try:
                table = _table(part, settings, bad)
            except (OSError, ValueError) as error:
                table, bad = _empty(settings), [*bad, Failure(str(part.path), str(error))]
            output.write_failures(stem, [(failure.input, failure.reason) for failure in bad])
            write_table(stem, table, _schema(settings.profile.words))
        failed += output.named_failures(stem)
        tell("hashing", number + 1, len(parts))
    return failed


def _empty(settings: Settings) -> Table:
    kinds = {n: object if kind == "str" else kind for n, kind in _schema(settings.profile.words).items()}
    return {name: np.empty(0, kind) for name, kind in kinds.items()}


def _table(part: Part, settings: Settings, bad: list[Failure]) -> Table:
    """What is known of the patches of a part, in its order."""
    columns: dict[str, list[Any]] = {name: [] for name in _schema(settings.profile.words)}
    known = None if part.manifest is None else part.manifest()
    codes = None
    if (
        known is not None
        and set(known["hash"].tolist()) == {str(settings.profile)}
        and not settings.rule.described
    ):
        codes = from_hex(known["code"].tolist(), settings.profile.bits)
        columns["name"] = known["name"].tolist()
        for column, (start, stop) in (("height", ("y0", "y1")), ("width", ("x0", "x1"))):
            columns[column] = (known[stop] - known[start]).tolist()
        for name in ("low", "high", "at_low", "at_high"):
            columns[name] = [0] * len(codes)
    else:
        found = []
        for items in _batches(part.items(bad)):
            patches = [item.patch for item in items]
            found.append(settings.profile.codes(patches))
            columns["name"] += [item.name for item in items]
            columns["height"] += [patch.shape[0] for patch in patches]
            columns["width"] += [patch.shape[1] for patch in patches]
            low, high = [int(p.min()) for p in patches], [int(p.max()) for p in patches]
            columns["low"] += low
            columns["high"] += high
            columns["at_low"] += [float((p == v).mean()) for p, v in zip(patches, low, strict=True)]
            columns["at_high"] += [float((p == v).mean()) for p, v in zip(patches, high, strict=True)]
        codes = np.concatenate(found) if found else np.empty((0, settings.profile.words), np.uint64)
    for word in range(codes.shape[1]):
        columns[f"code{word}"] = codes[:, word].tolist()
    for name in _CARRIED:
        blank = (str(part.path) if name == "source" else "") if MANIFEST[name] == "str" else float("nan")
        columns[name] = [blank] * len(codes) if known is None else known[name].tolist()
    schema = _schema(settings.profile.words)
    return {n: np.array(column, object if schema[n] == "str" else schema[n]) for n, column in columns.items()}


def _batches(items: Iterator[Item], size: int = 256) -> Iterator[list[Item]]:
    while batch := list(islice(items, size)):
        yield batch


# Stage 2

Owner = tuple[str, str, str]
"""Data set, name of the volume or image, and the file that it is in."""


def _rows(parts: list[Part], output: Output, settings: Settings) -> tuple[Columns, Table, list[Owner]]:
    """Rows in natural order, the texts that go with them, and the sources that they are of."""
    schema = _schema(settings.profile.words)
    tables = [read_table(output.part(stem), schema) for stem in output.stems]
    whole = (
        {name: np.concatenate([t[name] for t in tables]) for name in schema} if tables else _empty(settings)
    )
    whole["part"] = np.repeat(np.arange(len(parts)), [len(table["name"]) for table in tables])
    n = len(whole["name"])
    place = np.zeros((n, 6), np.int64)
    owners: list[Owner] = []
    for row, (name, source) in enumerate(zip(whole["name"].tolist(), whole["source"].tolist(), strict=True)):
        parsed = names.parse(name)
        height, width = int(whole["height"][row]), int(whole["width"][row])
        exp, axis, index, y0, x0 = name, names.FLAT_IMAGE, 0, 0, 0
        if parsed is not None:
            exp, axis, index, y0, x0 = parsed.exp, parsed.axis, parsed.index or 0, parsed.y0, parsed.x0
        owners.append((parts[int(whole["part"][row])].dataset, exp, source))
        place[row] = axis, index, y0, y0 + height, x0, x0 + width
    sources = sorted(set(owners))
    number = {owner: place for place, owner in enumerate(sources)}
    owner = np.array([number[o] for o in owners], np.int64)
    by_name = np.argsort(np.argsort(whole["name"].astype(str), kind="stable"), kind="stable")
    order = np.lexsort((by_name, place[:, 4], place[:, 2], place[:, 1], place[:, 0], owner))
    rows = {
        name: place[order, column] for column, name in enumerate(("axis", "index", "y0", "y1", "x0", "x1"))
    }
    rows |= {name: whole[name][order] for name in schema if name.startswith(("code", "low", "high", "at_"))}
    rows["source"], rows["padding"] = owner[order], np.zeros(n, np.float32)
    return rows, {name: column[order] for name, column in whole.items()}, sources


def _origins(owners: list[Owner], settings: Settings) -> list[Any]:
    scope = settings.rule.scope
    groups = [{"file": f"{o[0]}/{o[1]}", "dataset": o[0], "all": ""}[scope] for o in owners]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    return [origin(numbers[group], o[1], o[1], False) for group, o in zip(groups, owners, strict=True)]


# Stage 3


def _write(
    parts: list[Part],
    rows: Columns,
    texts: Table,
    chosen: Selection,
    settings: Settings,
    output: Output,
    tell: Progress,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Write the pixels of what is kept, part by part; for each kept row its file and page."""
    shard, page = np.empty(len(chosen.reason), object), np.zeros(len(chosen.reason), np.int64)
    files: dict[str, list[int]] = defaultdict(list)
    by_part: dict[int, list[int]] = defaultdict(list)
    rank = {row: place for place, row in enumerate(chosen.kept.tolist())}
    for row in sorted(rank, key=lambda row: (int(texts["part"][row]), row)):
        by_part[int(texts["part"][row])].append(row)
    for number, members in sorted(by_part.items()):
        for row in sorted(members, key=rank.__getitem__) if settings.layout == "pickle" else members:
            name = _file(parts[number], rows, texts, row, settings, files)
            shard[row], page[row] = name, len(files[name])
            files[name].append(row)
    text = "\n".join(f"{name} {rows_}" for name, rows_ in files.items())
    output.begin_writing(hashlib.blake2b(text.encode(), digest_size=16).hexdigest(), list(files))
    for done, number in enumerate(sorted(by_part), 1):
        mine = [name for name, members in files.items() if texts["part"][members[0]] == number]
        _write_part(parts[number], [(n, files[n]) for n in mine if not output.is_written(n)], texts, output)
        tell("writing", done, len(by_part))
    return shard, page


def _file(
    part: Part, rows: Columns, texts: Table, row: int, settings: Settings, files: dict[str, list[int]]
) -> str:
    """The file that a row goes to: a pickle for each part, a file of its own, or a shard of its part and size."""
    name = str(texts["name"][row])
    if settings.layout == "pickle":
        return f"{part.key}.pkl"
    if settings.layout == "files":
        return patch_path(part.dataset, name)
    height, width = int(texts["height"][row]), int(texts["width"][row])
    most, number = most_pages(height, width, SHARD), 0
    patch_path(part.key, name)  # that neither leads elsewhere
    while len(files[found := f"patches/{part.key}-{height}x{width}-{number:05d}.tiff"]) >= most:
        number += 1
    return found


def _write_part(part: Part, files: list[tuple[str, list[int]]], texts: Table, output: Output) -> None:
    """Read a part once, and write each file as soon as its patches are there."""
    wanted = {
        str(texts["name"][row]): (place, at)
        for place, (_, rows) in enumerate(files)
        for at, row in enumerate(rows)
    }
    found: list[dict[int, NDArray[np.uint8]]] = [{} for _ in files]
    for item in part.items([]) if wanted else ():
        if item.name not in wanted:
            continue
        place, at = wanted[item.name]
        found[place][at] = item.patch
        name, rows = files[place]
        if len(found[place]) == len(rows):
            pages = [found[place].pop(i) for i in range(len(rows))]
            _write_file(output.path / name, [str(texts["name"][row]) for row in rows], pages)


def _write_file(path: Path, texts: list[str], pages: list[NDArray[np.uint8]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".pkl":
        write_pickle(path, texts, pages)
    else:
        write_shard(path, len(pages), pages[0].shape[0], pages[0].shape[1], (page[None] for page in pages))


def _counts(parts: list[Part], owner: NDArray[np.int64], chosen: Selection) -> dict[str, dict[str, int]]:
    counts = {}
    for number, part in enumerate(parts):
        reasons = chosen.reason[owner == number]
        count = {"patches": len(reasons), "kept": int((reasons < 0).sum())}
        counts[part.key] = count | {n: int((reasons == place).sum()) for place, n in enumerate(REASONS)}
    return counts
