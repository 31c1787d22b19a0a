"""Figures of a long-tail job: methods, thresholds, calibration, flipped labels."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxgen.types import Dataset
from jaxgen.views.figures import ACCENT, INK, SOFT, describe_counts, new_figure, styled
from jaxgen.views.gallery import shorten
from jaxgen.wording import count_of

PANELS = (
    ("balanced_accuracy", "balanced accuracy, %"),
    ("many_accuracy", "many-shot"),
    ("medium_accuracy", "medium-shot"),
    ("few_accuracy", "few-shot"),
    ("ece", "calibration error, %"),
)
COLUMNS, MOST_SHOWN = 10, 40


@styled
def draw_methods(rows: Sequence[Mapping[str, Any]], name: str) -> Figure:
    """Accuracy, overall and by shot group, and calibration error of each method, mean ± sd."""
    figure = new_figure(13, 1.2 + 0.3 * len(rows))
    axes = figure.subplots(1, len(PANELS), sharey=True)
    places = np.arange(len(rows))[::-1]
    for axis, (measure, title) in zip(axes, PANELS, strict=True):
        means = 100 * np.array([row[measure] for row in rows])
        spreads = 100 * np.nan_to_num([row[f"{measure}_sd"] for row in rows])
        axis.errorbar(means, places, xerr=spreads, fmt="o", color=INK, ecolor=ACCENT, capsize=3, markersize=3)
        axis.set(xlabel=title)
        axis.grid(axis="x", color="#e5e5e5", linewidth=0.6)
        if not np.isfinite(means).any():
            axis.text(0.5, 0.5, "no such class", transform=axis.transAxes, ha="center", color=INK)
            axis.set_xticks([])
    axes[0].set_yticks(places, [row["method"] for row in rows])
    figure.suptitle(
        f"{name}: mean ± sd over n = {count_of(describe_counts(row['n'] for row in rows), 'run')}", fontsize=11
    )
    return figure


@styled
def draw_thresholds(rows: Sequence[Mapping[str, Any]], control: Mapping[str, Any] | None, name: str) -> Figure:
    """(a) Number of flips and (b) test accuracy by threshold, for LNR and random flips."""
    figure = new_figure(9.5, 3.6)
    left, right = figure.subplots(1, 2)
    for i, method in enumerate(dict.fromkeys(row["method"] for row in rows)):
        selected = sorted((row for row in rows if row["method"] == method), key=lambda row: row["threshold"])
        thresholds = [row["threshold"] for row in selected]
        if not i:
            flips, deviations = ([row[name] for row in selected] for name in ("flips", "flips_sd"))
            plot_spread(left, thresholds, flips, deviations, "drawn", ACCENT)
            left.plot(thresholds, [row["expected"] for row in selected], "--", color=INK, label="expected")
        means, spreads = ([100 * row[f"balanced_accuracy{end}"] for row in selected] for end in ("", "_sd"))
        plot_spread(right, thresholds, means, spreads, method, f"C{i}")
    if control:
        mean, deviation = 100 * control["balanced_accuracy"], 100 * np.nan_to_num(control["balanced_accuracy_sd"])
        right.axhline(mean, color=INK, linewidth=1, label=f"{control['method']}: no flips")
        right.axhspan(mean - deviation, mean + deviation, color=INK, alpha=0.08, linewidth=0)
    left.set(xlabel="threshold t", ylabel="labels flipped", title="(a) flips", ylim=(0, None))
    right.set(xlabel="threshold t", ylabel="balanced accuracy, %", title="(b) accuracy")
    for axis in (left, right):
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle(
        f"{name}: mean ± sd over n = {count_of(describe_counts(row['n'] for row in rows), 'run')}", fontsize=11
    )
    return figure


def plot_spread(axis: Axes, x: Any, means: Any, deviations: Any, label: str, colour: str) -> None:
    """Plots a line with error bars of one standard deviation."""
    axis.errorbar(x, means, np.nan_to_num(deviations), color=colour, marker="o", markersize=3, capsize=2, label=label)


@styled
def draw_reliability(members: Mapping[str, Sequence[Any]], name: str) -> Figure:
    """Reliability diagrams, one panel per method, pooled over runs."""
    columns = min(6, len(members))
    lines = -(-len(members) // columns)
    figure = new_figure(2.1 * columns + 0.4, 2.2 * lines + 0.5)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axis in grid[len(members) :]:
        axis.set_visible(False)
    for axis in grid[len(members) - columns : len(members)]:
        # The last row may be incomplete.
        axis.xaxis.set_tick_params(labelbottom=True)
    for axis, (method, results) in zip(grid, members.items(), strict=False):
        diagrams = np.array([result.diagram for result in results if result.row["finite"]])
        axis.plot([0, 1], [0, 1], color=SOFT, linewidth=1)
        axis.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), xticklabels=("0", "0.5", "1"), yticks=(0, 0.5, 1))
        axis.set_title(method, fontsize=9)
        if len(diagrams):
            counts = diagrams[:, 0].sum(0)
            confidence, accuracy = (diagrams[:, 0] * diagrams[:, i] for i in (1, 2))
            filled = counts > 0
            confidence, accuracy = (total.sum(0)[filled] / counts[filled] for total in (confidence, accuracy))
            axis.scatter(
                confidence, accuracy, s=4 + 90 * counts[filled] / counts.sum(), color=ACCENT, zorder=3, clip_on=False
            )
            error = 100 * np.mean([result.row["ece"] for result in results if result.row["finite"]])
            axis.text(0.04, 0.9, f"ECE {error:.1f} %, n = {len(diagrams)}", fontsize=7, color=INK)
    figure.supxlabel("confidence (area of a dot: share of the test examples)", fontsize=9)
    figure.supylabel("accuracy", fontsize=9)
    figure.suptitle(f"{name}: reliability on the test set", fontsize=11)
    return figure


@styled
def draw_flips(dataset: Dataset, flips: Sequence[Any], threshold: float, runs: int) -> Figure:
    """The images whose labels are flipped in the most of `runs` runs, with ids, old and new class."""
    counts = collections.Counter((flip.id, flip.old, flip.new) for flip in flips)
    shown = counts.most_common(MOST_SHOWN)
    indices = {name: index for index, name in enumerate(dataset.ids.tolist())}
    columns = min(COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    figure = new_figure(max(0.4 + 1.3 * columns, 4), 0.6 + 1.6 * lines)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in grid:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for axis, ((name, old, new), count) in zip(grid, shown, strict=False):
        image = dataset.images[indices[name if not hasattr(name, "item") else name.item()]] * dataset.scale
        axis.imshow(np.clip(image.squeeze(), 0, 1), cmap="gray", vmin=0, vmax=1)
        classes = " → ".join(shorten(dataset.class_names[label], 10) for label in (old, new))
        axis.set_title(f"id {shorten(str(name), 14)}, {count} of {runs}\n{classes}", fontsize=6.5)
    more = f", {len(shown)} of {len(counts)} shown" if len(shown) < len(counts) else ""
    figure.suptitle(f"{dataset.name}: flipped at t = {threshold:g}; id, in how many runs{more}", fontsize=10)
    return figure
