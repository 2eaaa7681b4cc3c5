"""Eras of Doodler: what each version did between doodles and label, and which ones a trial may be of.

Dates are those of the commits of dash_doodler and doodler-engine. Settings tell some eras apart, the date in the name
of a trial's folder the others, and in the end what fits: nothing in a file names the version of Doodler, or that of
scikit-image, on which the features depend.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from maskmill.io.doodler import Trial
from maskmill.studies.coast.trials import name_of

SOFTWARE = ("sk016", "sk017", "modern")
"""Kinds of features: of scikit-image up to 0.16, of 0.17 to 0.19, and of 2022 on."""


@dataclass(frozen=True)
class Era:
    """A version of Doodler.

    Attributes
    ----------
    name : str
    begin, end : date
        The first and the last day.
    settings : int
        How many numbers a trial's settings have.
    hidden : tuple of int
        Units of the classifier's hidden layers.
    sigmas : int or None
        How many scales the features have; None for `n_sigmas` of the settings, 0 for the number of doodled classes.
    rolls : int
        How often image and label are shifted and refined.
    engine : bool
        Of doodler-engine: all pixels are classified, nothing is cleaned.
    """

    name: str
    begin: date
    end: date
    settings: int
    hidden: tuple[int, int] = (100, 60)
    sigmas: int | None = None
    rolls: int = 1
    engine: bool = False


ERAS = {
    era.name: era
    for era in (
        Era("MLP-1", date(2021, 6, 21), date(2021, 6, 26), 6, hidden=(100, 100), sigmas=5, rolls=10),
        Era("MLP-2", date(2021, 6, 27), date(2021, 7, 28), 6, sigmas=5, rolls=10),
        Era("MLP-3", date(2021, 7, 29), date(2021, 9, 29), 6, sigmas=5, rolls=5),
        Era("MLP-4", date(2021, 9, 30), date(2022, 5, 3), 7, rolls=5),
        Era("MLP-5", date(2022, 5, 4), date(2022, 6, 13), 7),
        Era("ENG-1", date(2022, 6, 14), date(2022, 10, 26), 7, engine=True),
        Era("ENG-2", date(2022, 10, 27), date.max, 7, sigmas=0, engine=True),
    )
}
"""Those whose labels can be rebuilt, by name."""

_FOREST = (
    "it is of the first weeks of Doodler (to 2021-06-20), whose random forest cannot be rebuilt: it had no seed, and "
    "went on from picture to picture, as the pixels did that it was trained with"
)


@dataclass(frozen=True)
class Candidate:
    """A version of Doodler, with a kind of features, that a trial may be of.

    Attributes
    ----------
    era : Era
    software : str
    expected : bool
        The date of the trial's folder says so.
    """

    era: Era
    software: str
    expected: bool


def candidates(trial: Trial, era: str | None = None, software: str | None = None) -> list[Candidate]:
    """What a trial may be of, the likeliest first; those with the same features follow one another.

    Parameters
    ----------
    trial : Trial
    era, software : str, optional
        Names in `ERAS` and `SOFTWARE`, to try no other.

    Raises
    ------
    ValueError
        If its labels cannot be rebuilt, and why.
    """
    if software is not None and software not in SOFTWARE:
        raise ValueError(f"software must be {', '.join(SOFTWARE)}, not {software!r}")
    if era is not None and era not in ERAS:
        raise ValueError(f"era must be {', '.join(ERAS)}, not {era!r}")
    eras = _eras(trial) if era is None else [ERAS[era]]
    said = name_of(trial.path).date
    day = said.date() if said else None
    if day is not None:
        eras.sort(key=lambda one: _days_off(one, day))
    kinds = [software] if software else _kinds(eras[0])
    return [
        Candidate(one, kind, day is not None and not _days_off(one, day) and kind == kinds[0])
        for kind in kinds
        for one in eras
    ]


def _eras(trial: Trial) -> list[Era]:
    """By settings, and by what else is in a trial; the last version first."""
    where = f"{trial.path}: {trial.prefix}settings"
    settings = trial.settings
    if "n_estimators" in settings:
        raise ValueError(f"{where}: {_FOREST}")
    if "gt_prob" not in settings:
        raise ValueError(
            f"{where}: they are needed to rebuild a label, and must be those of Doodler, not {settings}"
        )
    by_engine = settings["gt_prob"] == 1
    found = [one for one in ERAS.values() if one.settings == len(settings)]
    if len(settings) == 7:
        found = [one for one in found if one.engine == by_engine]
    elif "orig_image" in trial.arrays:
        found = [ERAS["MLP-3"]]  # it came on 2021-08-28
    return found[::-1]


def _days_off(era: Era, day: date) -> int:
    return max((era.begin - day).days, (day - era.end).days, 0)


def _kinds(era: Era) -> list[str]:
    """Kinds of features by how likely they are: Doodler prescribed scikit-image 0.16 until 2022."""
    first = "modern" if era.engine else "sk017" if era.name == "MLP-5" else "sk016"
    return list(dict.fromkeys((first, *SOFTWARE)))
