"""Figures of the most suspicious examples, and of how well scores find wrong labels."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from jaxgen.scores.registry import Score
from jaxgen.types import Dataset
from jaxgen.views.figures import ACCENT, INK, SOFT, new_figure, styled
from jaxgen.views.gallery import as_picture, shorten

COLUMNS = 10
# Characters per line of the title of a histogram, of the title of a figure of images, and of an image's caption.
LINE, WIDE_LINE, NARROW_LINE = 105, 150, 18
# Stands for a suggested label that is not known.
UNKNOWN = -1


@styled
def draw_suspects(
    dataset: Dataset, shown: np.ndarray, suggested: np.ndarray, values: np.ndarray, score: Score, title: str
) -> Figure:
    """Images of examples under id, label, suggested label and score; for tables, a histogram of the score.

    Args:
      dataset: the examples.
      shown: positions of the examples to show, most suspicious first.
      suggested: suggested labels, int ``[n]``; `UNKNOWN` where nothing could suggest any.
      values: scores, float ``[n]``.
      score: their registry entry.
      title: of the figure.
    """
    if not dataset.has_images:
        return draw_distribution(values, shown, score, title)
    rows = max(1, math.ceil(len(shown) / COLUMNS))
    figure = new_figure(1.15 * COLUMNS, 1.75 * rows + 0.9)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axis in grid.flat:
        axis.axis("off")
    for axis, i in zip(grid.flat, shown, strict=False):
        axis.imshow(as_picture(dataset, i), interpolation="nearest")
        axis.set_title(caption(dataset, i, suggested[i], values[i]), fontsize=7, color=INK)
    figure.suptitle(wrapped(title, WIDE_LINE), fontsize=9)
    return figure


def wrapped(title: str, width: int) -> str:
    """A title wrapped to lines of at most `width` characters."""
    return "\n".join(textwrap.fill(line, width) for line in title.splitlines())


def caption(dataset: Dataset, i: int, suggested: int, value: float) -> str:
    """The caption of an example: id, label and suggested label (on one line if short), score.

    No label is suggested where it is the example's own, a dash where it is `UNKNOWN`.
    """
    names, text = dataset.class_names, f"id {dataset.ids[i]}"
    label = shorten(names[dataset.labels[i]], 16)
    suggestion = f"→ {shorten(names[suggested], 14)}?" if suggested not in (UNKNOWN, dataset.labels[i]) else ""
    suggestion = "→ —" if suggested == UNKNOWN else suggestion
    separator = " " if len(f"{label} {suggestion}") <= NARROW_LINE else "\n"
    lines = [
        text if len(text) <= NARROW_LINE else f"…{text[1 - NARROW_LINE :]}",
        f"{label}{separator}{suggestion}".strip(),
    ]
    return "\n".join([*lines, f"{value:.3g}"])


def draw_distribution(values: np.ndarray, shown: np.ndarray, score: Score, title: str) -> Figure:
    """Histogram of the score, with the most suspicious examples highlighted."""
    figure = new_figure(8, 3.6)
    axis = figure.subplots()
    scored = values[np.isfinite(values)]
    bins = np.linspace(scored.min(), scored.max(), 41) if np.ptp(scored) else 1
    axis.hist(scored, bins=bins, color=SOFT, edgecolor=ACCENT, linewidth=0.5, label=f"all, n = {len(scored):,}")
    axis.hist(values[shown], bins=bins, color=INK, label=f"the {len(shown):,} most suspicious")
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.yaxis.set_minor_formatter("")
    axis.set_ylim(bottom=0.7)
    axis.set(xlabel=f"{score.name}: {score.meaning}", ylabel="examples (log scale)")
    axis.legend(frameon=False)
    figure.suptitle(wrapped(title, LINE), fontsize=9)
    return figure


@styled
def draw_benchmark(rows: Sequence[Mapping[str, Any]], names: Sequence[str], chosen: str, title: str) -> Figure:
    """A panel per noise with a line per score: 1 - AUROC on a log scale.

    Args:
      rows: of a `jaxgen.experiments.mislabelled.benchmark.Benchmark`.
      names: scores from top to bottom.
      chosen: the score to highlight.
      title: of the figure.
    """
    noises = list(dict.fromkeys(row["noise"] for row in rows))
    figure = new_figure(3.4 + 2.4 * len(noises), 1.3 + 0.22 * len(names))
    axes = figure.subplots(1, len(noises), sharey=True, squeeze=False)[0]
    for axis, noise in zip(axes, noises, strict=True):
        noise_rows = [row for row in rows if row["noise"] == noise]
        draw_noise(axis, noise_rows, names, chosen)
        perfect = any(row["auroc"] == 1 for row in noise_rows)
        axis.set(title=noise, xlabel="1 - AUROC" + ("\n(without a mistake: at half a mistake)" if perfect else ""))
    axes[0].set_yticks(np.arange(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    for tick, name in zip(axes[0].get_yticklabels(), names, strict=True):
        tick.set_fontweight("bold" if name == chosen else "normal")
    figure.suptitle(title, fontsize=11)
    return figure


def draw_noise(axis: Axes, rows: Sequence[Mapping[str, Any]], names: Sequence[str], chosen: str) -> None:
    """The panel of one noise: a dot per repeat, a ring for their mean; baselines in grey."""
    half_mistake = 0.5 / max(row["wrong"] * (row["n"] - row["wrong"]) for row in rows)
    for y, name in enumerate(names):
        score_rows = [row for row in rows if row["score"] == name]
        # A perfect AUROC cannot be shown on a log scale: it is drawn at half a mistake.
        distance = np.maximum(1 - np.array([row["auroc"] for row in score_rows]), half_mistake)
        colour = INK if name == chosen else "#999999" if score_rows and score_rows[0]["origin"] == "rival" else ACCENT
        axis.plot(distance, np.full(len(score_rows), y), ".", color=colour, alpha=0.5, markersize=4)
        axis.plot(distance.mean(), y, "o", color=colour, markerfacecolor="w", markersize=5)
    axis.set_xscale("log")
    # Plain numbers as tick labels, not powers of ten; over less than two decades also at 2 and 5.
    low, high = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.tick_params(axis="x", labelsize=7)
    axis.invert_xaxis()
    axis.grid(axis="both", linewidth=0.3)
