"""The figure of accuracy by number of unique samples, with and without copies."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxgen.views.figures import describe_counts, new_figure, styled
from jaxgen.wording import count_of

PANELS = (
    ("train_accuracy", "training accuracy"),
    ("dev_accuracy", "development accuracy"),
    ("test_accuracy", "test accuracy"),
)
COLOURS = {
    "plain": "#222222",
    "duplicates": "#d9a441",
    "uniform": "#1f6f8b",
    "gaussian": "#8e6bb0",
    "salt_and_pepper": "#4f9d69",
    "augmented": "#c0504d",
}
# More lines cannot be told apart in one panel.
MOST_LINES = 11
# Line styles of the settings of one arm.
STROKES = ("-", "--", ":", "-.")


@styled
def draw_samples(rows: Sequence[dict[str, Any]], name: str) -> Figure:
    """Training, development and test accuracy by sample size, one line per setting, bands ± 1 sd.

    Args:
      rows: from `jaxgen.experiments.oversampling.report.setting_rows`.
      name: name of the dataset.
    """
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    shown = settings if len(settings) <= MOST_LINES else pick(settings)
    figure = new_figure(12.5, 4.4)
    axes = figure.subplots(1, len(PANELS), sharey=True)
    strokes: dict[str, int] = {}
    for setting in shown:
        selected = [row for row in rows if row["setting"] == setting]
        arm = selected[0]["arm"]
        stroke = STROKES[strokes.setdefault(arm, 0) % len(STROKES)]
        strokes[arm] += 1
        for (measure, _), axis in zip(PANELS, axes, strict=True):
            draw_line(axis, selected, measure, COLOURS[arm], stroke, setting)
    for (_, label), axis in zip(PANELS, axes, strict=True):
        axis.set(xlabel="unique samples", title=label)
        axis.grid(axis="y", linewidth=0.3)
    axes[0].set_ylabel("accuracy")
    number = describe_counts(row["n"] for row in rows)
    part = f" ({MOST_LINES} of {len(settings)} settings)" if len(settings) > MOST_LINES else ""
    figure.suptitle(f"{name}: n = {count_of(number, 'run')} a point, bands ± 1 sd{part}", fontsize=11)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=min(6, len(shown)), frameon=False)
    return figure


def pick(settings: Sequence[str]) -> list[str]:
    """`MOST_LINES` of the settings, evenly spaced from first to last."""
    return [settings[round(i)] for i in np.linspace(0, len(settings) - 1, MOST_LINES)]


def draw_line(axis: Axes, rows: Sequence[dict[str, Any]], measure: str, colour: str, stroke: str, label: str) -> None:
    """Plots mean ± sd by sample size."""
    sizes = [row["sample_size"] for row in rows]
    means = np.array([row[measure] for row in rows])
    spread = np.nan_to_num(np.array([row[f"{measure}_sd"] for row in rows]))
    axis.plot(sizes, means, stroke, color=colour, marker="o", markersize=3, label=label)
    low, high = np.clip([means - spread, means + spread], 0, 1)
    axis.fill_between(sizes, low, high, color=colour, alpha=0.12, linewidth=0)
