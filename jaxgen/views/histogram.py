"""The distribution of C-scores, and held-out accuracy against subset ratio."""

import numpy as np
from matplotlib.figure import Figure

from jaxgen.types import Dataset, Scores
from jaxgen.views.figures import ACCENT, INK, SOFT, describe_counts, new_figure, styled
from jaxgen.wording import count_of


@styled
def draw_histogram(dataset: Dataset, scores: Scores) -> Figure:
    """Left: histogram of scores. Right: held-out accuracy of each run, with mean and standard deviation over runs."""
    figure = new_figure(9.5, 3.6)
    left, right = figure.subplots(1, 2)
    scored = scores.scores[np.isfinite(scores.scores)]
    left.hist(scored, bins=np.linspace(0, 1, 41), color=SOFT, edgecolor=ACCENT, linewidth=0.5)
    left.set_yscale("log")
    # Powers of ten would need math text, which is off because of the names of classes.
    left.yaxis.set_major_formatter("{x:,.0f}")
    left.yaxis.set_minor_formatter("")
    # Below 1, so that bars of one example are visible and the axis always has a label.
    left.set_ylim(bottom=0.7)
    left.set_xlabel("C-score")
    left.set_ylabel("examples (log scale)")
    left.set_title(f"{dataset.name}: n = {len(scored):,} examples")

    accuracy = scores.heldout_accuracy
    runs = np.isfinite(accuracy).sum(1)
    mean, spread = np.nanmean(accuracy, 1), np.nanstd(accuracy, 1, ddof=1 if runs.min() > 1 else 0)
    ratios = scores.subset_ratios
    right.scatter(np.repeat(ratios, accuracy.shape[1]), accuracy.ravel(), s=6, color=SOFT, linewidth=0)
    # Error bars end at 0 and 1.
    bars = np.stack([np.minimum(spread, mean), np.minimum(spread, 1 - mean)])
    right.errorbar(ratios, mean, yerr=bars, color=ACCENT, marker="o", markersize=4, capsize=3, linewidth=1.2)
    right.set_xlabel("subset ratio")
    right.set_ylabel("held-out accuracy")
    right.set_title(f"mean ± sd over {count_of(describe_counts(runs), 'run')} a ratio", color=INK)
    return figure
