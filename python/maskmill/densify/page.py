"""An evaluation as a file: a page that needs no other, JSON, or text."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from maskmill._files import need, written_whole
from maskmill.densify.report import LEAK, MEASURES, Report

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem; border-top: 1px solid #ccc; padding-top: 1rem }
table { border-collapse: collapse } th { text-align: left; font-weight: 600 }
td, th { padding: .15rem 1rem .15rem 0; font-variant-numeric: tabular-nums } td.n, th.n { text-align: right }
.main td { font-size: 1.15rem } .warn { background: #fff3d6; padding: .6rem 1rem; border-left: 4px solid #d90 }
img { max-width: 100%; height: auto } .key { display: inline-block; width: .8em; height: .8em; margin-right: .4em }
.note { color: #555; font-size: 13px }
"""


def write_report(report: Report, path: str | Path, *, title: str = "") -> None:
    """Write a report as `.html` (with pictures, for which matplotlib is needed), `.json` or `.txt`.

    Raises
    ------
    ValueError
        If the suffix is another one.
    """
    file = Path(path)
    made: dict[str, Callable[[], str]] = {
        ".html": lambda: _page(report, title),
        ".json": report.to_json,
        ".txt": lambda: f"{report}\n",
    }
    if file.suffix.lower() not in made:
        raise ValueError(f"{file}: a report must be {', '.join(made)}, not {file.suffix or 'without suffix'}")
    with written_whole(file) as opened:
        opened.write(made[file.suffix.lower()]().encode("utf-8", "backslashreplace"))


def _page(report: Report, title: str) -> str:
    of = report.settings
    heading = f"Strokes held out: {title}" if title else "Strokes held out"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(heading)}</title><style>{_STYLE}</style><h1>{escape(heading)}</h1>",
        f"<p>{escape(of['classifier'])} on {of['columns']} columns ({escape(', '.join(of['features']))}); held out: "
        f"{escape(of['blocks'])}, {len(report.scores)} splits, seed {of['seed']}.</p>",
        _summary(report),
    ]
    if report.random_pixels is not None:
        score = f"{report.random_pixels.accuracy:.3f}"
        parts.append(
            f"<p class=warn>With pixels held out at random the accuracy is {score}. Do not quote it: it {LEAK}.</p>"
        )
    if report.untestable:
        names = ", ".join(escape(report.legend.name(label)) for label in report.untestable)
        parts.append(
            f"<p class=warn>Not tested: {names}. A class with one stroke is in training always. Paint another one.</p>"
        )
    parts += ["<h2>Classes</h2>", _classes(report), _picture(_confusion(report), "What became of each class")]
    if report.curve:
        note = "The more it still rises, the more further strokes will help."
        parts += ["<h2>Learning curve</h2>", _picture(_curve(report), "Accuracy by number of strokes"),
                  f"<p class=note>{note}</p>"]  # fmt: skip
    if report.crf:
        parts += ["<h2>With a CRF</h2>", _crf(report)]
    return "\n".join(parts)


def _summary(report: Report) -> str:
    rows = []
    for measure, name in MEASURES.items():
        each = [getattr(score, measure) for score in report.scores]
        spread = f"{report.mean(measure):.3f} ± {report.spread(measure):.3f}"
        rows.append((name, spread, f"{min(each):.3f} to {max(each):.3f}"))
    return _table(("", "mean ± sd", "range"), rows, "main")


def _classes(report: Report) -> str:
    total = report.total
    tested = total.confusion.sum(axis=1)
    rows = []
    for k, label in enumerate(report.classes):
        red, green, blue = report.legend.colour(label)
        key = f"<span class=key style='background:rgb({red},{green},{blue})'></span>"
        numbers = [
            "-" if np.isnan(v[k]) else f"{v[k]:.3f}" for v in (total.precision, total.recall, total.f1)
        ]
        counts = (f"{report.blobs[k]:,}", f"{report.pixels[k]:,}")
        rows.append((key + escape(report.legend.name(label)), *counts, *numbers,
                     f"{total.blobs[k]:,}", f"{int(tested[k]):,}"))  # fmt: skip
    head = ("class", "strokes", "pixels", "precision", "recall", "F1", "strokes tested", "pixels tested")
    return _table(head, rows, "classes")


def _crf(report: Report) -> str:
    rows = []
    for plain, smooth, chosen in report.crf:
        said = (
            "none: doing without was best"
            if chosen is None
            else ", ".join(f"{k} {v}" for k, v in chosen.items())
        )
        rows.append(
            (
                escape(plain.name),
                f"{plain.accuracy:.3f}",
                f"{smooth.accuracy:.3f}",
                escape(said or "defaults"),
            )
        )
    before, after, _ = zip(*report.crf, strict=True)
    means = (np.mean([score.accuracy for score in scores]) for scores in (before, after))
    first, second = (f"{mean:.3f}" for mean in means)
    rows.append(("mean", first, second, ""))
    note = "<p class=note>Accuracy on all pixels of the strokes held out.</p>"
    return _table(("", "without", "with", "arguments"), rows, "crf") + note


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str) -> str:
    """Cells are HTML; all but the first column are numbers."""
    lines = [f"<table class={kind}><tr>"]
    lines += [f"<th{' class=n' if i else ''}>{cell}</th>" for i, cell in enumerate(head)]
    for row in rows:
        lines.append("</tr><tr>")
        lines += [f"<td{' class=n' if i else ''}>{cell}</td>" for i, cell in enumerate(row)]
    return "".join([*lines, "</tr></table>"])


# Pictures


def _picture(figure: Any, alternative: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    coded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"<img alt='{escape(alternative)}' src='data:image/png;base64,{coded}'>"


def _figure(width: float, height: float) -> tuple[Any, Any]:
    figure = need("matplotlib.figure", "plot").Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _confusion(report: Report) -> Any:
    """Shares of each tested class by the label that they were given."""
    confusion = report.total.confusion
    tested = np.flatnonzero(confusion.sum(axis=1))
    shares = confusion[tested] / confusion[tested].sum(axis=1, keepdims=True)
    names = [report.legend.name(label) for label in report.classes]
    figure, axes = _figure(2.6 + 0.52 * len(names), 2.0 + 0.42 * len(tested))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(tested)), [names[k] for k in tested])
    axes.set(xlabel="labelled as", ylabel="painted as")
    for (y, x), share in np.ndenumerate(shares):
        if share >= 0.005:
            colour = "white" if share > 0.55 else "#333"
            axes.text(x, y, f"{share:.0%}", ha="center", va="center", fontsize=8, color=colour)
    return figure


def _curve(report: Report) -> Any:
    figure, axes = _figure(6.4, 3.6)
    counts = sorted(report.curve)
    each = [[score.accuracy for score in report.curve[n]] for n in counts]
    axes.errorbar(counts, [np.mean(e) for e in each], [np.std(e) for e in each], marker="o", capsize=3)
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.set(xlabel="strokes of each class to learn from, at most", ylabel="accuracy", ylim=(0, 1))
    axes.grid(alpha=0.3)
    return figure
