"""Whether flipped labels beat their controls, and how well their thresholds are chosen: by the numbers of one job."""

from typing import NamedTuple

import numpy as np

from jaxgen.experiments.tabular.folds import MEASURES
from jaxgen.experiments.tabular.results import TITLES, TabularArrays
from jaxgen.reporting.tables import nan_mean, to_table
from jaxgen.scores.paired import Difference, compare, describe_difference, describe_p
from jaxgen.scores.ranking import holm, signed_rank_p

CONTROLS = ("none", "random_flips", "smote", "adasyn")
# A difference over data sets is told as one below this p of Wilcoxon's test, corrected after Holm.
SIGNIFICANT = 0.05


class Contest(NamedTuple):
    """Flips by the rule against a control by a measure, over data sets.

    Attributes:
      difference: lnr minus the control, each data set the mean over classifiers, folds and repeats; its p is of
        Wilcoxon's signed-rank test, corrected after Holm for all contests of the job.
      better: on how many data sets lnr is.
    """

    control: str
    measure: str
    difference: Difference
    better: int


def contests(found: TabularArrays) -> list[Contest]:
    """lnr against each control that was judged, by each measure."""
    if "lnr" not in found.treatments or len(found.tables) < 2:
        return []
    means, all_of_them = found.by_table, []
    for control in (one for one in CONTROLS if one in found.treatments):
        for i, measure in enumerate(MEASURES):
            apart = means[:, found.treatments.index("lnr"), i] - means[:, found.treatments.index(control), i]
            apart = apart[np.isfinite(apart)]
            difference = compare(apart)._replace(p=signed_rank_p(apart))
            all_of_them.append(Contest(control, measure, difference, int((apart > 0).sum())))
    corrected = holm(np.array([one.difference.p for one in all_of_them]))
    return [
        one._replace(difference=one.difference._replace(p=float(p)))
        for one, p in zip(all_of_them, corrected, strict=True)
    ]


def contest_table(found: TabularArrays) -> str:
    """A line a control, by every measure."""
    lines: dict[str, list[str]] = {}
    for one in contests(found):
        cells = [describe_difference(one.difference), describe_p(one.difference), f"{one.better}/{one.difference.n}"]
        lines.setdefault(one.control, [f"lnr - {one.control}"]).extend(cells)
    header = ["points", *(cell for title in TITLES.values() for cell in (title, "p", "better on"))]
    return to_table(header, [*lines.values()])


def statements(found: TabularArrays) -> list[str]:
    """What holds of flips by the rule: against each control, how often there are none, and of their thresholds."""
    if "lnr" not in found.treatments:
        return []
    said = [say_contest(found, one) for one in contests(found) if one.measure == "f1"]
    said = said or [say_alone(found, other) for other in CONTROLS if other in found.treatments]
    none = found.flips[:, :, found.treatments.index("lnr")] == 0
    said.append(
        f"lnr flips no label in {100 * none.mean():.0f} % of {none.size:,} folds and classifiers, at the "
        "threshold that inner folds choose: there it is none."
    )
    return said + say_thresholds(found)


def say_contest(found: TabularArrays, one: Contest) -> str:
    """Of several data sets."""
    verdict = "not told apart"
    if one.difference.p < SIGNIFICANT:
        verdict = "lnr is better" if one.difference.mean > 0 else f"{one.control} is better"
    ranking = found.ranking("f1")
    own, theirs = (ranking.ranks[found.treatments.index(name)] for name in ("lnr", one.control))
    return (
        f"lnr minus {one.control}, F1, mean over classifiers: {describe_difference(one.difference)} points over "
        f"{one.difference.n} data sets, better on {one.better}; p = {describe_p(one.difference)}: {verdict}. Mean rank "
        f"{own:.2f} against {theirs:.2f}, critical difference {ranking.critical_difference:.2f}."
    )


def say_alone(found: TabularArrays, other: str) -> str:
    """Of one data set."""
    difference = found.difference(0, "lnr", other)
    return (
        f"lnr minus {other}, F1, mean over classifiers: {describe_difference(difference)} points, p = "
        f"{describe_p(difference)} (corrected for repeated folds), n = {difference.n} folds of the same rows."
    )


class Hindsight(NamedTuple):
    """What choosing thresholds by inner folds cost, F1 as the mean over classifiers, folds and repeats.

    Attributes:
      best: of each table the one threshold that does best on its test parts, the highest of as good ones.
      at_best: F1 at that, ``[tables]``.
      chosen: F1 at the thresholds that were chosen, ``[tables]``.
      overall: the one threshold that does best over all tables.
      at_overall: F1 at that, ``[tables]``.
    """

    best: np.ndarray
    at_best: np.ndarray
    chosen: np.ndarray
    overall: float
    at_overall: np.ndarray


def look_back(found: TabularArrays) -> Hindsight:
    """The choice of thresholds against hindsight."""
    means = nan_mean(nan_mean(nan_mean(found.by_threshold, 4), 3), 1)
    # From the highest threshold down, so that of as good ones the highest is found.
    order = np.argsort(found.thresholds)[::-1]
    thresholds, means = np.array(found.thresholds)[order], means[:, order]
    best, overall = means.argmax(1), int(means.mean(0).argmax())
    chosen = found.by_table[:, found.treatments.index("lnr"), 0]
    return Hindsight(thresholds[best], means.max(1), chosen, float(thresholds[overall]), means[:, overall])


def threshold_table(found: TabularArrays) -> str:
    """A line a table: which thresholds were chosen, and what that cost against the best one in hindsight."""
    past = look_back(found)
    lines = []
    for i, name in enumerate(found.tables):
        low, middle, high = np.nanpercentile(found.chosen[i], [10, 50, 90])
        none = "—"
        if "none" in found.treatments:
            none = f"{100 * found.by_table[i, found.treatments.index('none'), 0]:.1f}"
        f1 = [f"{100 * one:.1f}" for one in (past.chosen[i], past.at_best[i])]
        regret = f"{100 * (past.at_best[i] - past.chosen[i]):.1f}"
        lines.append([name, f"{middle:g} ({low:g} to {high:g})", f"{past.best[i]:g}", none, *f1, regret])
    header = ["table", "t chosen: median (10 to 90 %)", "best t in hindsight", "F1, none", "chosen", "best t", "regret"]
    return to_table(header, lines)


def say_thresholds(found: TabularArrays) -> list[str]:
    """What choosing cost, and whether one threshold for all would have done."""
    past = look_back(found)
    regret = compare(past.at_best - past.chosen)
    said = [
        f"Thresholds chosen by inner folds cost {describe_difference(regret)} points of F1 against the one "
        f"threshold of each data set that does best on its test parts, in hindsight; n = {regret.n} data set(s)."
    ]
    if len(found.tables) > 1:
        gain = compare(past.chosen - past.at_overall)
        said.append(
            f"Chosen thresholds against t = {past.overall:g} for all, the best in hindsight: "
            f"{describe_difference(gain)} points of F1; n = {gain.n} data sets."
        )
    return said
