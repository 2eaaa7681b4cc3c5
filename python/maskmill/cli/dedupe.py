"""maskmill dedupe: near-duplicates in folders of images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from maskmill.dedupe import Duplicates, HashedImages, ImageHashes, Items

_EPILOG = """\
examples:
  maskmill dedupe photos                                  what there is; nothing is changed
  maskmill dedupe photos --report report.html             look at the clusters before you trust the radius
  maskmill dedupe photos --sweep                          how many images each radius keeps
  maskmill dedupe photos --table codes.parquet            a second run hashes new files only
  maskmill dedupe new --against finished                  only what the finished set does not have yet
  maskmill dedupe data --split                            does data/test leak into data/train?
  maskmill dedupe photos --list-dropped dropped.txt       names, for other tools
  maskmill dedupe photos --move-to duplicates             take them out; nothing is ever deleted

An image is kept unless one that was kept before is within the radius: so many bits of their hashes differ, or fewer.
64-bit dhash: up to 4 is the same picture saved again, up to 12 a light edit; far above, unrelated ones fall together.
Crops and shifts are not seen. Turned and mirrored images are found by --dihedral, negatives by --inverted. Above
100,000 images, confirm with a longer hash: --confirm 16. More: docs/near-duplicates.md.

exit codes: 0 done, 1 interrupted, 2 wrong usage or a bad file, 3 done but some files could not be read
"""

_SWEEP = (0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24)
"""Of 64 bits."""
_DEFAULTS = {"pdq": (16, "pdq", 31), "colorhash": (3, "imagehash", 0)}
"""Hash size, profile and radius of those that are unlike the others."""


def add_parser(verbs: Any) -> None:
    p = verbs.add_parser(
        "dedupe",
        help="find near-duplicates in folders of images",
        description="Find near-duplicate images by perceptual hashes, and keep one of each bunch.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "inputs", metavar="FOLDER|IMAGE|LIST", type=Path, nargs="+",
        help="folders (searched below, too), images, or .txt lists of images, one a line",
    )  # fmt: skip
    how = p.add_argument_group("what counts as a duplicate")
    how.add_argument(
        "--hash", default="dhash", metavar="KIND",
        help="dhash, dhash_v, ahash, phash, phash_simple, whash, pdq (256 bits), colorhash (42 bits; default: dhash)",
    )  # fmt: skip
    how.add_argument(
        "--hash-size", type=int, metavar="N", help="of N x N bits, up to 16 (default: 8; pdq: always 16)"
    )
    how.add_argument(
        "--profile",
        help="whose bits: imagehash, imagededup, cem, opencv (default: imagehash; pdq: its own)",
    )
    how.add_argument(
        "--radius",
        type=int,
        metavar="BITS",
        help="greatest distance, inclusive (default: 12; of pdq 31, of colorhash 0)",
    )
    how.add_argument(
        "--confirm",
        type=int,
        metavar="N",
        help="of these, keep as duplicates what is near by a hash of N x N bits, too",
    )
    how.add_argument(
        "--confirm-radius",
        type=int,
        metavar="BITS",
        help="for --confirm (default: as many bits in proportion)",
    )
    how.add_argument("--dihedral", action="store_true", help="also find turned and mirrored images")
    how.add_argument("--inverted", action="store_true", help="also find negatives")
    how.add_argument(
        "--flat", choices=("code", "one"), default="code", help="one: all flat images are one bunch"
    )
    who = p.add_argument_group("who is kept")
    who.add_argument(
        "--order", choices=("stable", "natural", "name", "quality"), default="stable",
        help="who comes first is kept: as if shuffled but always the same; as listed; by name; most pixels first",
    )  # fmt: skip
    who.add_argument("--seed", type=int, default=0, help="another shuffle of the order 'stable' (default: 0)")
    who.add_argument(
        "--against",
        type=Path,
        metavar="FOLDER|LIST",
        help="a finished set: it stays, and drops what is near to it",
    )
    who.add_argument(
        "--split", action="store_true",
        help="drop nothing: list pairs between the folders directly below FOLDER (train, val, test)",
    )  # fmt: skip
    out = p.add_argument_group("what to write")
    out.add_argument("--report", type=Path, metavar="FILE.html", help="the clusters with pictures, one page")
    out.add_argument(
        "--audit", type=Path, metavar="FILE", help="every image, who dropped it, how far: .parquet or .csv"
    )
    out.add_argument("--sweep", action="store_true", help="how many images each radius keeps")
    out.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="codes from before, by content: .parquet or .csv; new ones are added",
    )
    out.add_argument("--list-kept", type=Path, metavar="FILE", help="names of kept images, one a line")
    out.add_argument("--list-dropped", type=Path, metavar="FILE", help="names of dropped images, one a line")
    out.add_argument(
        "--move-to", type=Path, metavar="FOLDER", help="move dropped images there, under the same names"
    )
    p.add_argument("--threads", type=int, metavar="N", help="that decode images (default: one per processor)")
    p.add_argument("--quiet", action="store_true", help="no progress on stderr")


def run(options: argparse.Namespace) -> int:
    from rich.console import Console

    from maskmill import dedupe

    hashes = _hashes(options)
    _check(options)
    console = Console(stderr=True, quiet=options.quiet)
    files = _named(options.inputs)
    finished = _named([options.against], whole=True) if options.against else {}
    if options.against:
        inside = {path.resolve() for path in finished.values()}
        files = {name: path for name, path in files.items() if path.resolve() not in inside}
    if not files:
        print(
            f"maskmill dedupe: {', '.join(map(str, options.inputs))}: no images to compare", file=sys.stderr
        )
    hashed, before = _hash(files, finished, hashes, options, console)
    failed = [*hashed.failed, *(before.failed if before else ())]
    reach = options.confirm_radius
    if reach is None and options.confirm:
        reach = round(options.radius * options.confirm**2 / hashes.profile.bits)
    if options.split:
        _print_leaks(hashed.items, options, reach)
    else:
        how = {
            "order": options.order,
            "seed": options.seed,
            "exemplars": before.items if before else None,
            "confirm_radius": reach,
            "flat": options.flat,
        }
        found = dedupe.find(hashed.items, options.radius, **how)
        radii = [radius * round(max(hashes.profile.bits, 64) / 64) for radius in _SWEEP]
        swept = dedupe.sweep(hashed.items, radii, **how) if options.sweep else []
        _print_summary(found, hashed, len(failed), hashes, tabled=options.table is not None)
        for radius, kept in swept:
            print(f"  radius {radius:2}: {kept} kept")
        _write(found, hashed, before, failed, swept, options)
    for name, reason in failed:
        print(f"not read: {name}: {reason}")
    return 3 if failed else 0


def _check(options: argparse.Namespace) -> None:
    """What can be known before an hour of hashing."""
    from maskmill.dedupe.table import check_suffix

    for name in ("radius", "confirm_radius"):
        value = getattr(options, name)
        if value is not None and value < 0:
            raise ValueError(f"--{name.replace('_', '-')} must be 0 or more, not {value}")
    if options.threads is not None and options.threads < 1:
        raise ValueError(f"--threads must be 1 or more, not {options.threads}")
    for file in (options.audit, options.table):
        if file is not None:
            check_suffix(file)
    for file in (options.report, options.audit, options.table, options.list_kept, options.list_dropped):
        if file is not None and not file.resolve().parent.is_dir():
            raise FileNotFoundError(2, "the folder to write to does not exist", str(file))
    if options.split and any(
        (options.against, options.move_to, options.list_dropped, options.list_kept, options.report)
    ):
        raise ValueError("--split lists leaks and drops nothing: it goes with --audit and --table only")
    if options.move_to is not None and options.move_to.exists() and not options.move_to.is_dir():
        raise NotADirectoryError(20, "is no folder", str(options.move_to))


def _hashes(options: argparse.Namespace) -> ImageHashes:
    from dataclasses import replace

    from maskmill.dedupe import ImageHashes
    from maskmill.hashes import Profile

    kind = options.hash
    size, whose, radius = _DEFAULTS.get(kind, (8, "imagehash", 12))
    size = size if options.hash_size is None else options.hash_size
    options.radius = radius if options.radius is None else options.radius
    for given in (size, options.confirm):
        if given is not None and not 2 <= given <= 16:
            raise ValueError(f"hashes must be of 2 x 2 to 16 x 16 bits, not {given} x {given}")
    profile = Profile(kind, size, options.profile or whose, scaling="dtype")
    confirm = None
    if options.confirm:
        # PDQ and colorhash have one size only: a dhash has the last word.
        confirm = (
            Profile("dhash", options.confirm, scaling="dtype")
            if kind in _DEFAULTS
            else replace(profile, hash_size=options.confirm)
        )
    return ImageHashes(profile, confirm, options.dihedral, options.inverted)


def _named(inputs: Sequence[Path], *, whole: bool = False) -> dict[str, Path]:
    """Files by the names they get in all lists: as seen from the folder given, or whole if there are several.

    A file that is found twice counts once, else it would be its own duplicate.
    """
    from maskmill.dedupe import find_images

    named: dict[str, Path] = {}
    seen: set[Path] = set()
    for given in inputs:
        if given.is_dir():
            found = find_images(given)
            short = len(inputs) == 1 and not whole
            files = {(path.relative_to(given) if short else path).as_posix(): path for path in found}
        elif given.suffix.lower() in (".txt", ".lst", ".list"):
            lines = given.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            files = {line.strip(): _beside(given, line.strip()) for line in lines if line.strip()}
        else:
            given.stat()
            files = {given.as_posix(): given}
        for name, path in files.items():
            if path.resolve() not in seen:
                seen.add(path.resolve())
                named[name] = path
    return named


def _beside(listing: Path, line: str) -> Path:
    """Names in a list are as seen from here, or else from where the list is."""
    path = Path(line)
    return path if path.is_absolute() or path.exists() else listing.parent / path


def _hash(
    files: dict[str, Path],
    finished: dict[str, Path],
    hashes: ImageHashes,
    options: argparse.Namespace,
    console: Console,
) -> tuple[HashedImages, HashedImages | None]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from maskmill.dedupe import CodeTable, hash_images

    path = options.table
    table = CodeTable() if path is None else CodeTable.open(path)
    columns = (TextColumn("hashing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, disable=options.quiet, transient=True) as bar:
            task = bar.add_task("", total=len(files) + len(finished))

            def step() -> None:
                bar.advance(task)

            def some(of: dict[str, Path]) -> HashedImages:
                return hash_images(
                    of.values(), list(of), hashes, table=table, threads=options.threads, progress=step
                )

            return some(files), some(finished) if finished or options.against else None
    finally:
        # Also after an interruption: what was hashed is not hashed again.
        if path is not None and table.new:
            table.save()


def _print_summary(
    found: Duplicates, hashed: HashedImages, failed: int, hashes: ImageHashes, *, tabled: bool
) -> None:
    from maskmill.dedupe import chance

    n, kept, bits = len(found.items), len(found.kept), hashes.profile.bits
    print(
        f"{n} images, {kept} kept, {n - kept} dropped in {len(found.clusters())} clusters, {failed} not read"
    )
    known = hashed.from_table
    if known and tabled:
        print(
            f"{known} had a code in the table, or are copies of another file's content; {n - known} were hashed"
        )
    elif known:
        print(f"{known} {'is a copy' if known == 1 else 'are copies'} of another file's content")
    flat = 0 if found.items.flat is None else int(found.items.flat.sum())
    if flat:
        print(f"{flat} are flat: their hashes mean nothing (--flat one makes them one bunch)")
    expected = chance(n, found.radius, bits) + chance(n, found.radius, bits, len(found.exemplars or ()))
    advice = "" if expected < 1 or hashes.confirm else "; confirm with a longer hash: --confirm 16"
    print(
        f"pairs that random {bits}-bit codes would have within {found.radius} bits by chance: {expected:.2g}{advice}"
    )


def _print_leaks(items: Items, options: argparse.Namespace, reach: int | None) -> None:
    """Pairs between the folders directly below."""
    import numpy as np

    from maskmill.dedupe import leaks
    from maskmill.dedupe.table import write_columns

    split_of = np.array([name.partition("/")[0] if "/" in name else "" for name in items.ids])
    splits = sorted(set(split_of.tolist()) - {""})
    if len(splits) < 2:
        raise ValueError(f"--split needs two folders of images or more directly below, not {len(splits)}")
    rows = []
    for k, first in enumerate(splits):
        for second in splits[k + 1 :]:
            a, b = items.take(split_of == first), items.take(split_of == second)
            i, j, distance = leaks(a, b, options.radius, confirm_radius=reach)
            print(f"{first} ({len(a)}) and {second} ({len(b)}): {len(i)} pairs within {options.radius} bits, "
                  f"{len(set(i.tolist()))} images of {first} and {len(set(j.tolist()))} of {second}")  # fmt: skip
            found = zip(i.tolist(), j.tolist(), distance.tolist(), strict=True)
            rows += [(a.ids[x], b.ids[y], d) for x, y, d in found]
    for a_id, b_id, d in rows[:20]:
        print(f"  {a_id}  {b_id}  {d} bits")
    if len(rows) > 20:
        print(f"  and {len(rows) - 20} more" + ("" if options.audit else ": write all with --audit FILE"))
    if options.audit:
        write_columns(options.audit, ("first", "second", "distance"), rows)


def _write(
    found: Duplicates,
    hashed: HashedImages,
    before: HashedImages | None,
    failed: list[tuple[str, str]],
    swept: list[tuple[int, int]],
    options: argparse.Namespace,
) -> None:
    from maskmill.dedupe import write_audit, write_report

    if options.audit:
        write_audit(found, options.audit)
    if options.report:
        places = dict(zip(hashed.items.ids, hashed.paths, strict=True))
        if before:
            places = dict(zip(before.items.ids, before.paths, strict=True)) | places
        title = "Near-duplicates in " + ", ".join(str(path) for path in options.inputs[:3])
        write_report(
            found,
            options.report,
            lambda name: _picture(places[name]),
            failed=failed,
            sweep=swept,
            title=title,
        )
    for file, items in ((options.list_kept, found.kept), (options.list_dropped, found.dropped)):
        if file is not None:
            _write_names(file, [found.items.ids[i] for i in items.tolist()])
    if options.move_to:
        moved = [(found.items.ids[i], hashed.paths[i]) for i in found.dropped.tolist()]
        _move(moved, options.move_to)
        print(f"{len(moved)} moved to {options.move_to}")


def _picture(path: Path) -> NDArray[np.generic] | None:
    from maskmill.io.images import read_image

    try:
        return read_image(path)
    except (OSError, ValueError):
        return None  # gone since it was hashed


def _write_names(path: Path, names: Sequence[str]) -> None:
    from maskmill._files import written_whole

    with written_whole(path) as file:
        file.write("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))


def _move(files: Sequence[tuple[str, Path]], folder: Path) -> None:
    """All or, if a name is taken, none."""
    import shutil

    pairs = []
    for name, path in files:
        given = Path(name)
        pairs.append(
            (path, folder.joinpath(*(part for part in given.parts if part not in (given.anchor, ".."))))
        )
    targets = [target for _, target in pairs]
    taken = next((target for target in targets if target.exists()), None)
    if taken is not None or len(set(targets)) < len(targets):
        raise FileExistsError(17, "is there already: nothing was moved", str(taken or folder))
    for path, target in pairs:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
