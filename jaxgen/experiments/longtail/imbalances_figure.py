"""The figure of several imbalance ratios: accuracy gained by flips at each threshold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxgen.views.figures import INK, describe_counts, new_figure, styled
from jaxgen.wording import count_of


@styled
def draw_imbalances(rows: Sequence[Mapping[str, Any]], name: str) -> Figure:
    """(a) Expected share of flipped labels and (b) accuracy gain over no flips, by threshold and imbalance ratio."""
    figure = new_figure(9.5, 3.6)
    left, right = figure.subplots(1, 2)
    right.axhline(0, color=INK, linewidth=1)
    imbalances = list(dict.fromkeys(row["imbalance"] for row in rows))
    for i, imbalance in enumerate(imbalances):
        selected = sorted((row for row in rows if row["imbalance"] == imbalance), key=lambda row: row["threshold"])
        thresholds = np.array([row["threshold"] for row in selected])
        shares = [100 * row["expected_share"] for row in selected]
        label, colour = f"imbalance {imbalance:g}", f"C{i}"
        left.plot(thresholds, shares, marker="o", ms=3, color=colour, label=label)
        gain, low, high = (100 * np.array([row[key] for row in selected]) for key in ("gain", "gain_low", "gain_high"))
        bars = np.nan_to_num(np.stack([gain - low, high - gain]))
        right.errorbar(thresholds, gain, bars, marker="o", ms=3, capsize=2, color=colour, label=label)
    left.set(xlabel="threshold t", ylabel="labels expected to be flipped, %", title="(a) flips", ylim=(0, None))
    right.set(xlabel="threshold t", ylabel="points against no flips", title="(b) balanced accuracy gained")
    right.legend(frameon=False, fontsize=8)
    runs = describe_counts(row["n"] for row in rows)
    figure.suptitle(f"{name}: mean over n = {count_of(runs, 'run')}, 95 % intervals", fontsize=11)
    return figure
