"""What a sweep found, as a picture: accuracy against the settings, at each subset ratio."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxgen.views.figures import ACCENT, INK, SOFT, new_figure, styled

# As many settings as have a readable name each.
MOST_NAMED = 60


@styled
def draw_settings(rows: Sequence[dict[str, Any]], flags: Sequence[str], name: str) -> Figure:
    """A line a setting, in the order of the sweep: training and held-out accuracy, mean and sd over models.

    Args:
      rows: from `jaxgen.experiments.tables.setting_rows`.
      flags: the swept flags.
      name: of the data.
    """
    ratios = list(dict.fromkeys(row["subset_ratio"] for row in rows))
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    height = max(2.4, 0.9 + 0.2 * min(len(settings), 2 * MOST_NAMED))
    figure = new_figure(3.2 + 2.8 * len(ratios), height)
    axes = figure.subplots(1, len(ratios), sharey=True, squeeze=False)[0]
    for ratio, axis in zip(ratios, axes, strict=True):
        own = {row["setting"]: row for row in rows if row["subset_ratio"] == ratio}
        places = np.arange(len(settings))
        for measure, colour, text in (("train_accuracy", SOFT, "training"), ("heldout_accuracy", ACCENT, "held out")):
            means = np.array([own[setting][measure] for setting in settings])
            spread = np.nan_to_num(np.array([own[setting][f"{measure}_sd"] for setting in settings]))
            # An accuracy is 1 at most, and so is the end of its bar.
            bars = np.stack([np.minimum(spread, means), np.minimum(spread, 1 - means)])
            axis.errorbar(means, places, xerr=np.nan_to_num(bars), fmt="o", markersize=4, color=colour, label=text)
        counts = [row["n"] for row in own.values()]
        counted = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
        axis.set_title(f"ratio {ratio:g}, n = {counted} models a setting", color=INK)
        axis.set_xlabel("accuracy, mean ± sd")
        axis.grid(axis="y", linewidth=0.3)
    axes[0].set_ylim(len(settings) - 0.5, -0.5)
    if len(settings) <= MOST_NAMED:
        axes[0].set_yticks(np.arange(len(settings)), [setting.replace(",", "  ") for setting in settings])
    else:
        axes[0].set_ylabel(f"{len(settings)} settings of {', '.join(flags)}, in their order")
    axes[0].legend(loc="lower left", frameon=False)
    figure.suptitle(name, fontsize=11)
    return figure
