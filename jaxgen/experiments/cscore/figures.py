"""Figures of a sweep: accuracy by setting, or by value of each swept flag if there are many settings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxgen.views.figures import ACCENT, INK, SOFT, new_figure, styled
from jaxgen.wording import count_of

# Settings that a figure can label legibly.
MOST_NAMED = 40
# Column, colour and label of each plotted accuracy.
MEASURES = (("train_accuracy", SOFT, "training"), ("heldout_accuracy", ACCENT, "held out"))

Rows = Sequence[dict[str, Any]]


@styled
def draw_settings(rows: Rows, flags: Sequence[str], name: str) -> Figure:
    """Training and held-out accuracy: a line per setting if they are few, else a panel per swept flag.

    Args:
      rows: from `jaxgen.experiments.cscore.sweep_table.setting_rows`.
      flags: the swept flags.
      name: of the data.
    """
    ratios = list(dict.fromkeys(row["subset_ratio"] for row in rows))
    by_ratio = {ratio: [row for row in rows if row["subset_ratio"] == ratio] for ratio in ratios}
    draw = draw_lines if len(by_ratio[ratios[0]]) <= MOST_NAMED else draw_effects
    figure = draw(by_ratio, flags)
    figure.suptitle(name, fontsize=11)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def draw_lines(by_ratio: dict[float, Rows], flags: Sequence[str]) -> Figure:
    """A panel per ratio, with a line per setting in the order of the sweep: mean and sd over models."""
    settings = [row["setting"] for row in next(iter(by_ratio.values()))]
    figure = new_figure(3.2 + 2.8 * len(by_ratio), 1.6 + 0.22 * len(settings))
    axes = figure.subplots(1, len(by_ratio), sharey=True, squeeze=False)[0]
    for (ratio, rows), axis in zip(by_ratio.items(), axes, strict=True):
        for measure, colour, text in MEASURES:
            means = np.array([row[measure] for row in rows])
            spread = np.nan_to_num(np.array([row[f"{measure}_sd"] for row in rows]))
            # Error bars are clipped to [0, 1].
            bars = np.nan_to_num(np.stack([np.minimum(spread, means), np.minimum(spread, 1 - means)]))
            axis.errorbar(means, np.arange(len(rows)), xerr=bars, fmt="o", markersize=4, color=colour, label=text)
        axis.set_title(f"ratio {ratio:g}, n = {count_of(describe_counts(rows), 'model')} a setting", color=INK)
        axis.set_xlabel("accuracy, mean ± sd over models")
        axis.grid(axis="y", linewidth=0.3)
    axes[0].set_ylim(len(settings) - 0.5, -0.5)
    axes[0].set_yticks(np.arange(len(settings)), [setting.replace(",", "  ") for setting in settings])
    return figure


def draw_effects(by_ratio: dict[float, Rows], flags: Sequence[str]) -> Figure:
    """A grid of ratios by flags: a dot per setting over the flag's value, and the mean of the dots."""
    figure = new_figure(1.2 + 2.6 * len(flags), 1.5 + 2.4 * len(by_ratio))
    grid = figure.subplots(len(by_ratio), len(flags), sharex="col", sharey="row", squeeze=False)
    for (ratio, rows), axes in zip(by_ratio.items(), grid, strict=True):
        for flag, axis in zip(flags, axes, strict=True):
            draw_effect(axis, rows, flag)
        axes[0].set_ylabel(f"accuracy at ratio {ratio:g}")
        axes[0].set_title(
            f"{len(rows)} settings, n = {count_of(describe_counts(rows), 'model')} each",
            loc="left",
            fontsize=9,
            color=INK,
        )
    for flag, axis in zip(flags, grid[-1], strict=True):
        axis.set_xlabel(f"--{flag}")
    return figure


def draw_effect(axis: Axes, rows: Rows, flag: str) -> None:
    """Accuracy by value of one flag, over all values of the other flags."""
    values = list(dict.fromkeys(row[flag] for row in rows))
    # The dots of a value are spread horizontally, a setting at the same offset in every row of panels.
    spread = np.linspace(-0.3, 0.3, max(sum(row[flag] == value for row in rows) for value in values))
    for measure, colour, text in MEASURES:
        means = []
        for place, value in enumerate(values):
            dots = np.array([row[measure] for row in rows if row[flag] == value])
            axis.plot(place + spread[: len(dots)], dots, ".", color=colour, alpha=0.35, markersize=3, label=None)
            means.append(np.nanmean(dots) if np.isfinite(dots).any() else np.nan)
        axis.plot(means, "o-", color=colour, label=f"{text}: a dot a setting, a ring their mean", markerfacecolor="w")
    axis.set_xticks(np.arange(len(values)), values, rotation=0 if max(map(len, values)) * len(values) < 24 else 60)
    axis.grid(axis="y", linewidth=0.3)


def describe_counts(rows: Rows) -> str:
    """The number of models per setting as text: a number, or a range."""
    counts = [row["n"] for row in rows]
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
