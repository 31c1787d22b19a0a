"""The distribution of C-scores, and held-out accuracy against subset ratio."""

import numpy as np
from matplotlib.figure import Figure

from jaxgen.types import Dataset, Scores
from jaxgen.views.figures import ACCENT, INK, SOFT, new_figure, styled


@styled
def draw_histogram(dataset: Dataset, scores: Scores) -> Figure:
    """Left: scores over examples. Right: each run's held-out accuracy, with mean and one sd over runs."""
    figure = new_figure(9.5, 3.6)
    left, right = figure.subplots(1, 2)
    scored = scores.scores[np.isfinite(scores.scores)]
    left.hist(scored, bins=np.linspace(0, 1, 41), color=SOFT, edgecolor=ACCENT, linewidth=0.5)
    left.set_yscale("log")
    # Numbers and not powers of ten, whose form is mathematical text: names of classes must not be taken for that.
    left.yaxis.set_major_formatter("{x:,.0f}")
    left.yaxis.set_minor_formatter("")
    # A bar of one example has a height, and there is always a number on the axis.
    left.set_ylim(bottom=0.7)
    left.set_xlabel("C-score")
    left.set_ylabel("examples (log scale)")
    left.set_title(f"{dataset.name}: n = {len(scored):,} examples")

    accuracy = scores.heldout_accuracy
    runs = np.isfinite(accuracy).sum(1)
    mean, spread = np.nanmean(accuracy, 1), np.nanstd(accuracy, 1, ddof=1 if runs.min() > 1 else 0)
    ratios = scores.subset_ratios
    right.scatter(np.repeat(ratios, accuracy.shape[1]), accuracy.ravel(), s=6, color=SOFT, linewidth=0)
    # An accuracy is 1 at most, and so is the end of its bar.
    bars = np.stack([np.minimum(spread, mean), np.minimum(spread, 1 - mean)])
    right.errorbar(ratios, mean, yerr=bars, color=ACCENT, marker="o", markersize=4, capsize=3, linewidth=1.2)
    right.set_xlabel("subset ratio")
    right.set_ylabel("held-out accuracy")
    counted = f"{runs.min()}" if runs.min() == runs.max() else f"{runs.min()} to {runs.max()}"
    right.set_title(f"mean ± sd over {counted} runs a ratio", color=INK)
    return figure
