"""Figures of a job on tables: scores by treatment, and critical-difference diagrams."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxgen.scores.ranking import Ranking
from jaxgen.views.figures import ACCENT, INK, SOFT, new_figure, styled
from jaxgen.wording import count_of

TITLES = ("F1, %", "G-mean, %", "AUC, %")
MARKS = "osD^v"


@styled
def draw_treatments(scores: np.ndarray, classifiers: Sequence[str], treatments: Sequence[str], name: str) -> Figure:
    """A panel per measure with a line per treatment and a marker per classifier: mean ± sd over repeats.

    Args:
      scores: ``[classifiers, treatments, repeats, 3]``, in [0, 1].
      classifiers: names.
      treatments: names.
      name: of the data.
    """
    figure = new_figure(11.5, 1.4 + 0.34 * len(treatments))
    axes = figure.subplots(1, len(TITLES), sharey=True)
    rows = np.arange(len(treatments))[::-1]
    for i, (axis, title) in enumerate(zip(axes, TITLES, strict=True)):
        for c, classifier in enumerate(classifiers):
            values = 100 * scores[c, :, :, i]
            spreads = values.std(1, ddof=1) if values.shape[1] > 1 else np.zeros(len(treatments))
            y = rows + 0.1 * ((len(classifiers) - 1) / 2 - c)
            axis.errorbar(
                values.mean(1), y, xerr=spreads, fmt=MARKS[c], color=f"C{c}", markersize=4, capsize=0, label=classifier
            )
        axis.set(xlabel=title)
        axis.grid(axis="x", color="#e5e5e5", linewidth=0.6)
    axes[0].set_yticks(rows, list(treatments))
    axes[-1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle(f"{name}: mean ± sd over n = {count_of(scores.shape[2], 'division')} into folds", fontsize=11)
    return figure


@styled
def draw_ranks(rankings: Mapping[str, Ranking], treatments: Sequence[str]) -> Figure:
    """Critical-difference diagrams (Demšar 2006), one per measure: bars join treatments that do not differ."""
    figure = new_figure(7.5, 0.4 + (1.0 + 0.17 * len(treatments)) * len(rankings))
    axes = figure.subplots(len(rankings), 1, squeeze=False)[:, 0]
    for axis, (title, ranking) in zip(axes, rankings.items(), strict=True):
        draw_diagram(axis, ranking, treatments, title)
    return figure


def draw_diagram(axis: Axes, ranking: Ranking, treatments: Sequence[str], title: str) -> None:
    """A critical-difference diagram: ranks on an axis, names on both sides, cliques below."""
    count = len(treatments)
    order = np.argsort(ranking.ranks, kind="stable")
    half, groups = -(-count // 2), cliques(ranking.ranks[order], ranking.critical_difference)
    depth = 0.35 * len(groups) + 0.4
    axis.plot([1, count], [0, 0], color=INK, linewidth=1)
    for rank in range(1, count + 1):
        axis.plot([rank, rank], [0, 0.15], color=INK, linewidth=1)
        axis.text(rank, 0.25, str(rank), ha="center", fontsize=8)
    for position, i in enumerate(order):
        left = position < half
        level = -depth - 0.45 * (position if left else count - 1 - position)
        end = 0.7 if left else count + 0.3
        axis.plot([ranking.ranks[i]] * 2 + [end], [0, level, level], color=ACCENT, linewidth=0.8)
        text = f"{treatments[i]} {ranking.ranks[i]:.2f}"
        axis.text(end + (-0.05 if left else 0.05), level, text, ha="right" if left else "left", va="center", fontsize=8)
    for i, (low, high) in enumerate(groups):
        y = -0.25 - 0.35 * i
        axis.plot([low - 0.03, high + 0.03], [y, y], color=SOFT, linewidth=4, solid_capstyle="butt")
    axis.set(xlim=(-1.2, count + 2.2), ylim=(-depth - 0.45 * half, 0.7))
    axis.axis("off")
    difference = f"critical difference {ranking.critical_difference:.2f}"
    axis.set_title(f"{title}: mean rank over n = {ranking.n} data sets, {difference}", loc="left", fontsize=9)


def cliques(ranks: np.ndarray, difference: float) -> list[tuple[float, float]]:
    """Ends of the maximal ranges of ascending ranks that are no wider than the critical difference."""
    ranges: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.flatnonzero(ranks - ranks[first] <= difference).max()) if np.isfinite(difference) else first
        if last > first and (not ranges or last > ranges[-1][1]):
            ranges.append((first, last))
    return [(float(ranks[first]), float(ranks[last])) for first, last in ranges]
