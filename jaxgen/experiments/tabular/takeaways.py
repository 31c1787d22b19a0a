"""Compares label flips with their controls, and the chosen thresholds with the best ones in hindsight."""

from typing import NamedTuple

import numpy as np

from jaxgen.experiments.tabular.folds import MEASURES
from jaxgen.experiments.tabular.results import TITLES, TabularArrays
from jaxgen.reporting.tables import nan_mean, to_table
from jaxgen.scores.paired import Difference, compare, describe_difference, describe_p
from jaxgen.scores.ranking import holm, signed_rank_p
from jaxgen.wording import count_of

CONTROLS = ("none", "random_flips", "decision_threshold", "smote", "adasyn")
# Differences over data sets are stated below this p of Wilcoxon's test with Holm's correction.
SIGNIFICANT = 0.05


class ControlComparison(NamedTuple):
    """Comparison of flips by the rule with a control over data sets.

    Attributes:
      control: name of the treatment.
      measure: name of the measure.
      difference: lnr minus the control; the value of a data set is the mean over classifiers, folds and repeats. Its p
        is of Wilcoxon's signed-rank test with Holm's correction for all comparisons of the job.
      better: number of data sets on which lnr is better.
    """

    control: str
    measure: str
    difference: Difference
    better: int


def compare_with_controls(arrays: TabularArrays) -> list[ControlComparison]:
    """Compares lnr with each control by each measure; empty for a single data set."""
    if "lnr" not in arrays.treatments or len(arrays.tables) < 2:
        return []
    means, comparisons = arrays.by_table, []
    for control in (name for name in CONTROLS if name in arrays.treatments):
        for i, measure in enumerate(MEASURES):
            differences = means[:, arrays.treatments.index("lnr"), i] - means[:, arrays.treatments.index(control), i]
            differences = differences[np.isfinite(differences)]
            difference = compare(differences)._replace(p=signed_rank_p(differences))
            comparisons.append(ControlComparison(control, measure, difference, int((differences > 0).sum())))
    corrected = holm(np.array([comparison.difference.p for comparison in comparisons]))
    return [
        comparison._replace(difference=comparison.difference._replace(p=float(p)))
        for comparison, p in zip(comparisons, corrected, strict=True)
    ]


def control_table(arrays: TabularArrays) -> str:
    """Table of the comparisons: a row per control."""
    lines: dict[str, list[str]] = {}
    for comparison in compare_with_controls(arrays):
        cells = [
            describe_difference(comparison.difference),
            describe_p(comparison.difference),
            f"{comparison.better}/{comparison.difference.n}",
        ]
        lines.setdefault(comparison.control, [f"lnr - {comparison.control}"]).extend(cells)
    header = ["points", *(cell for title in TITLES.values() for cell in (title, "p", "better on"))]
    return to_table(header, [*lines.values()])


def statements(arrays: TabularArrays) -> list[str]:
    """Statements about lnr: against each control, how often it flips nothing, and on its thresholds."""
    if "lnr" not in arrays.treatments:
        return []
    lines = [
        describe_comparison(arrays, comparison)
        for comparison in compare_with_controls(arrays)
        if comparison.measure == "f1"
    ]
    lines = lines or describe_differences_on_one_table(arrays)
    no_flips = arrays.flips[:, :, arrays.treatments.index("lnr")] == 0
    if no_flips.any():
        lines.append(
            f"At the thresholds that inner folds choose, lnr flips no label in {no_flips.sum():,} of "
            f"{no_flips.size:,} trainings (one for each data set, fold and classifier), and does nothing there."
        )
    return lines + describe_thresholds(arrays)


def describe_comparison(arrays: TabularArrays, comparison: ControlComparison) -> str:
    """Statement about a comparison over data sets."""
    verdict = "not told apart"
    if comparison.difference.p < SIGNIFICANT:
        verdict = "lnr is better" if comparison.difference.mean > 0 else f"{comparison.control} is better"
    ranking = arrays.ranking("f1")
    lnr_rank, control_rank = (ranking.ranks[arrays.treatments.index(name)] for name in ("lnr", comparison.control))
    apart = "" if abs(lnr_rank - control_rank) > ranking.critical_difference else "not "
    return (
        f"lnr minus {comparison.control}, F1, mean over classifiers: {describe_difference(comparison.difference)} "
        f"points over {comparison.difference.n} data sets, better on {comparison.better}; p = "
        f"{describe_p(comparison.difference)}: {verdict}. Mean rank {lnr_rank:.2f} against {control_rank:.2f}, "
        f"critical difference {ranking.critical_difference:.2f} (Nemenyi, all pairs of treatments): {apart}told apart."
    )


def describe_differences_on_one_table(arrays: TabularArrays) -> list[str]:
    """Statements about lnr and each control on a single data set, their tests corrected together."""
    controls = [control for control in CONTROLS if control in arrays.treatments]
    differences = [arrays.difference(0, "lnr", control) for control in controls]
    corrected = holm(np.array([difference.p for difference in differences])) if differences else []
    lines = []
    for control, difference, p in zip(controls, differences, corrected, strict=True):
        verdict = "not told apart"
        if p < SIGNIFICANT:
            verdict = "lnr is better" if difference.mean > 0 else f"{control} is better"
        lines.append(
            f"lnr minus {control}, F1, mean over classifiers: {describe_difference(difference)} points, p = "
            f"{describe_p(difference._replace(p=float(p)))}, n = {difference.n} folds of the same rows: {verdict}."
        )
    return lines


def describe_correction(arrays: TabularArrays) -> str:
    """How the p-values of `statements` were found and corrected."""
    alone = " Intervals are of each difference alone, by Student's t."
    if comparisons := compare_with_controls(arrays):
        return (
            f"p: Wilcoxon's signed-rank test over data sets, corrected after Holm for all {len(comparisons)} tests, of "
            f"{count_of(len(comparisons) // len(MEASURES), 'control')} by {len(MEASURES)} measures."
            + alone
            + " Nemenyi's test is of mean ranks for all pairs, and stricter."
        )
    number = sum(control in arrays.treatments for control in CONTROLS)
    return (
        "p: t test over folds, corrected for their common rows (Nadeau and Bengio 2003) and after Holm for "
        f"{count_of(number, 'control')}." + alone + " They tell of this one data set."
    )


class Hindsight(NamedTuple):
    """F1 at the best thresholds in hindsight; F1 is the mean over classifiers, folds and repeats.

    Attributes:
      best: ``[tables]``: the threshold with the highest F1 on the test parts; the highest of ties.
      at_best: ``[tables]``: F1 at `best`.
      chosen: ``[tables]``: F1 at the thresholds that inner folds chose.
      overall: the threshold with the highest mean F1 over tables.
      at_overall: ``[tables]``: F1 at `overall`.
    """

    best: np.ndarray
    at_best: np.ndarray
    chosen: np.ndarray
    overall: float
    at_overall: np.ndarray


def threshold_hindsight(arrays: TabularArrays) -> Hindsight:
    """The best thresholds in hindsight."""
    means = nan_mean(nan_mean(nan_mean(arrays.by_threshold, 4), 3), 1)
    # In descending order, so that argmax breaks ties in favour of the highest threshold.
    order = np.argsort(arrays.thresholds)[::-1]
    thresholds, means = np.array(arrays.thresholds)[order], means[:, order]
    best, overall = means.argmax(1), int(means.mean(0).argmax())
    chosen = arrays.by_table[:, arrays.treatments.index("lnr"), 0]
    return Hindsight(thresholds[best], means.max(1), chosen, float(thresholds[overall]), means[:, overall])


def threshold_table(arrays: TabularArrays) -> str:
    """Table of chosen thresholds and their regret against the best one in hindsight: a row per data set."""
    hindsight = threshold_hindsight(arrays)
    lines = []
    for i, name in enumerate(arrays.tables):
        low, middle, high = np.nanpercentile(arrays.chosen[i], [10, 50, 90])
        none = "—"
        if "none" in arrays.treatments:
            none = f"{100 * arrays.by_table[i, arrays.treatments.index('none'), 0]:.1f}"
        f1 = [f"{100 * score:.1f}" for score in (hindsight.chosen[i], hindsight.at_best[i])]
        regret = f"{100 * (hindsight.at_best[i] - hindsight.chosen[i]):.1f}"
        lines.append([name, f"{middle:g} ({low:g} to {high:g})", f"{hindsight.best[i]:g}", none, *f1, regret])
    header = ["table", "t chosen: median (10 to 90 %)", "best t in hindsight", "F1, none", "chosen", "best t", "regret"]
    return to_table(header, lines)


def describe_thresholds(arrays: TabularArrays) -> list[str]:
    """Statements on the regret of chosen thresholds, and on one threshold for all data sets."""
    hindsight = threshold_hindsight(arrays)
    regret, number = hindsight.at_best - hindsight.chosen, len(arrays.thresholds)
    lines = [
        f"Thresholds chosen by inner folds cost {100 * np.mean(regret):.1f} points of F1 against the best of the "
        f"{number} thresholds on each data set's own test parts, n = {count_of(len(regret), 'data set')}. Part of that "
        f"is chance: the best of {number} is never worse, even where all are equally good."
    ]
    if len(arrays.tables) > 1:
        gain = compare(hindsight.chosen - hindsight.at_overall)
        lines.append(
            f"Chosen thresholds against t = {hindsight.overall:g} for all, which was found best on the same test "
            f"parts: {describe_difference(gain)} points of F1; n = {gain.n} data sets."
        )
    return lines
