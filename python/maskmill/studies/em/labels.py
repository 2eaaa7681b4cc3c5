"""Labels that people give to patches: patches exported to be looked at, and labels read back by name.

OUT/index.html            a contact sheet: click patches good or bad, save the labels
OUT/labels.csv            path, dataset, name, label: to be edited by hand, or replaced by what the sheet saves
OUT/patches/<dataset>/    the patches, as PNG
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.studies.em.sources import Failure, find_parts
from maskmill.studies.em.store import patch_path

LABELS = ("good", "bad", "none")
COLUMNS = ("path", "dataset", "name", "label")


@dataclass
class Labelled:
    """Pictures and their labels.

    Attributes
    ----------
    paths : list of Path
    good : (N,) bool
    unlabelled : int
        How many had the label none, and are not among them.
    """

    paths: list[Path]
    good: NDArray[np.bool_]
    unlabelled: int

    @property
    def datasets(self) -> list[str]:
        """The folders that the pictures are in."""
        return [path.parent.name for path in self.paths]


def read_labelled(files: Sequence[str | Path]) -> Labelled:
    """Paths and labels: from one CSV with columns path and label, or from two files, `.npy` or CSV, one for each.

    Relative paths in a CSV count from its folder. Labels are good, bad and none.

    Raises
    ------
    FormatError
        If a file is damaged, or has Python objects in it; if the numbers differ, or a label is another word.
    """
    if not 1 <= len(files) <= 2:
        raise ValueError(f"labels must be in one file or two, not {len(files)}")
    paths, labels = _column(Path(files[0]), "path"), _column(Path(files[-1]), "label")
    if len(paths) != len(labels):
        raise FormatError(f"{files[-1]}: must have a label for each of {len(paths)} paths, not {len(labels)}")
    for place, label in enumerate(labels):
        if label not in LABELS:
            raise FormatError(f"{files[-1]}: label {place} must be good, bad or none, not {label!r}")
    known = [i for i, label in enumerate(labels) if label != "none"]
    base = Path(files[0]).parent if Path(files[0]).suffix.lower() == ".csv" else Path()
    good = np.array([labels[i] == "good" for i in known], np.bool_)
    return Labelled([base / paths[i] for i in known], good, len(labels) - len(known))


def _column(path: Path, name: str) -> list[str]:
    if path.suffix.lower() == ".csv":
        return [row[name] for row in _rows(path, name)]
    if path.suffix.lower() != ".npy":
        found = "a folder" if path.is_dir() else path.suffix or "without suffix"
        raise FormatError(f"{path}: must be a table .csv or an array .npy, not {found}")
    with open(path, "rb") as file:
        try:
            array = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            if "allow_pickle" in str(error) or "Object arrays" in str(error):
                raise FormatError(
                    f"{path}: holds Python objects, which could run code when read. If you trust it, save it again: "
                    f"numpy.save(path, numpy.load(path, allow_pickle=True).astype(str))"
                ) from None
            raise FormatError(f"{path}: not a readable .npy file ({error})") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind != "U" or array.ndim != 1:
        found = f"{array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise FormatError(f"{path}: must be one row of texts, not {found}")
    texts: list[str] = array.tolist()
    return texts


def _rows(path: Path, *needed: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.DictReader(file, strict=True)
            rows, fields = list(reader), reader.fieldnames or []
        except (csv.Error, UnicodeDecodeError) as error:
            raise FormatError(f"{path}: not a readable CSV file ({error})") from None
    for name in needed:
        if name not in fields:
            raise FormatError(f"{path}: must have a column {name}, not only {', '.join(fields) or 'nothing'}")
    for number, row in enumerate(rows, 2):
        if None in row or any(row[name] is None for name in needed):
            raise FormatError(f"{path}: line {number} must have {len(fields)} fields")
    return rows


def read_names(path: str | Path) -> dict[tuple[str, str], str]:
    """Labels by data set and name, from a CSV with columns dataset, name and label: whatever their order or number."""
    path, out = Path(path), {}
    for row in _rows(path, "dataset", "name", "label"):
        if row["label"] not in LABELS:
            raise FormatError(
                f"{path}: the label of {row['name']} must be good, bad or none, not {row['label']!r}"
            )
        out[row["dataset"], row["name"]] = row["label"]
    return out


def export_for_labels(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    n: int = 500,
    seed: int = 1227,
    labels: str | Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[int, list[Failure]]:
    """Write a random choice of patches as pictures, with a contact sheet and a table to label them in.

    Parameters
    ----------
    inputs : paths
        As `find_parts` takes them.
    out : path
        A folder; made if missing.
    n : int
        How many patches, without repetition: as many of each data set as there are, up to an equal share.
    seed : int
        Same seed, same choice.
    labels : path, optional
        A table of earlier labels, taken over by name.
    progress : callable, optional
        Called with parts done, parts in all, and the name of the next.

    Returns
    -------
    exported : int
    failed : list of Failure
    """
    if n < 1:
        raise ValueError(f"n must be 1 or more, not {n}")
    known = read_names(labels) if labels is not None else {}
    parts, out = find_parts(inputs), Path(out)
    if (out / "labels.csv").exists():
        raise ValueError(f"{out / 'labels.csv'} is there already, and may hold labels: choose another folder")
    (out / "patches").mkdir(parents=True, exist_ok=True)
    failed: list[Failure] = []
    rows: list[dict[str, str]] = []
    for place, part in enumerate(parts):
        if progress:
            progress(place, len(parts), part.key)
        share = (n - len(rows)) // (
            len(parts) - place
        )  # what small data sets leave goes to those that follow
        try:
            rows += _export_part(part, out, share, np.random.default_rng([seed, place]), failed)
        except FormatError as error:
            failed.append(Failure(str(part.path), str(error)))
    if progress:
        progress(len(parts), len(parts), "")
    for row in rows:
        row["label"] = known.get((row["dataset"], row["name"]), "none")
    _write_rows(out / "labels.csv", rows)
    with written_whole(out / "index.html") as page:
        page.write(_sheet(rows).encode())
    return len(rows), failed


def _export_part(
    part: Any, out: Path, share: int, rng: np.random.Generator, failed: list[Failure]
) -> list[dict[str, str]]:
    """A uniform choice from a stream (Vitter 1985, algorithm R, doi:10.1145/3147.3165): patches are held only if
    chosen."""
    import cv2

    chosen: list[Any] = []
    for seen, item in enumerate(part.items(failed)):
        if seen < share:
            chosen.append(item)
        elif (place := int(rng.integers(seen + 1))) < share:
            chosen[place] = item
    rows = []
    for item in sorted(chosen, key=lambda item: str(item.name)):
        path = Path("patches") / patch_path(part.dataset, item.name).replace(".tiff", ".png")
        (out / path).parent.mkdir(exist_ok=True)
        with written_whole(out / path) as file:
            file.write(cv2.imencode(".png", item.patch)[1].tobytes())
        rows.append({"path": path.as_posix(), "dataset": part.dataset, "name": item.name})
    return rows


def _write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with written_whole(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        text.flush()
        text.detach()


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Label patches</title>
<style>
body {{ font: 15px system-ui, sans-serif; margin: 1.5em; background: #fff; color: #222; }}
header {{ position: sticky; top: 0; background: #fff; padding: .6em 0; }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, 236px); gap: 10px; }}
figure {{ margin: 0; padding: 6px; border: 3px solid #bbb; border-radius: 6px; cursor: pointer; }}
figure[data-label=good] {{ border-color: #1a8f3c; }}
figure[data-label=bad] {{ border-color: #c62828; opacity: .55; }}
figure:focus {{ outline: 3px solid #2962ff; }}
img {{ width: 218px; height: 218px; object-fit: contain; background: #ddd; }}
figcaption {{ font-size: 11px; overflow-wrap: anywhere; }}
</style>
<header><b>Click</b>: none, good, bad. Or keys: <b>g</b>ood, <b>b</b>ad, <b>n</b>one and go on.
<button id="save">Save labels.csv</button> <span id="count"></span></header>
<main>
{figures}
</main>
<script>
const all = [...document.querySelectorAll("figure")], next = {{none: "good", good: "bad", bad: "none"}};
const count = () => document.querySelector("#count").textContent =
  ["good", "bad", "none"].map(l => all.filter(f => f.dataset.label == l).length + " " + l).join(", ");
const set = (f, label) => {{ f.dataset.label = label; count(); }};
all.forEach((f, i) => {{
  f.onclick = () => set(f, next[f.dataset.label]);
  f.onkeydown = e => {{
    const label = {{g: "good", b: "bad", n: "none"}}[e.key];
    if (label) {{ set(f, label); all[Math.min(i + 1, all.length - 1)].focus(); }}
  }};
}});
document.querySelector("#save").onclick = () => {{
  const field = t => '"' + t.replaceAll('"', '""') + '"';
  const rows = all.map(f => [f.dataset.path, f.dataset.dataset, f.dataset.name, f.dataset.label].map(field).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["path,dataset,name,label\\n" + rows.join("\\n") + "\\n"]));
  link.download = "labels.csv";
  link.click();
}};
count();
</script></html>
"""


def _sheet(rows: Sequence[dict[str, str]]) -> str:
    from urllib.parse import quote

    figures = []
    for row in rows:
        data = " ".join(f'data-{name}="{html.escape(row[name])}"' for name in COLUMNS)
        caption = html.escape(f"{row['dataset']}: {row['name']}")
        figures.append(
            f'<figure tabindex="0" {data}><img loading="lazy" alt="" src="{html.escape(quote(row["path"]))}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return _PAGE.format(figures="\n".join(figures))
