"""Coordinates of the page's plots, which the template ``page/plots.html`` draws as SVG."""

from typing import Any

import numpy as np

from jaxgen.types import Scores
from jaxgen.views.summary import count_halvings

WIDTH, HEIGHT = 380, 230
LEFT, RIGHT, TOP, BOTTOM = 48, 368, 10, 190
# Runs of a ratio that are shown as dots.
MOST_DOTS = 60


class Scale:
    """A linear map from values to page coordinates."""

    def __init__(self, low: float, high: float, start: float, stop: float):
        self.low, self.high, self.start, self.stop = low, high, start, stop

    def __call__(self, value: float) -> float:
        """The coordinate of a value, rounded to a tenth of a pixel."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)


def padded(values: np.ndarray) -> tuple[float, float]:
    """Limits of an axis for accuracies: the range of the values with a margin, within [0, 1]."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = 0.08 * (high - low) or 0.05
    return max(0.0, low - margin), min(1.0, high + margin)


def ticks(scale: Scale, count: int = 5) -> list[tuple[float, str]]:
    """Ticks at round values, as coordinates and labels."""
    from matplotlib.ticker import MaxNLocator

    values = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(scale.low, scale.high)
    return [(scale(value), f"{value:.4g}") for value in values if scale.low <= value <= scale.high]


def accuracy_plot(scores: Scores) -> dict[str, Any]:
    """Held-out accuracy against subset ratio: a dot for each run, mean ± sd over runs; and the rows of a table."""
    accuracy = scores.heldout_accuracy
    known = accuracy[np.isfinite(accuracy)]
    y = Scale(*padded(known), BOTTOM, TOP)
    x = Scale(0.0, 1.0, LEFT, RIGHT)
    rows, bars, dots = [], [], []
    for ratio, runs in zip(scores.subset_ratios, accuracy, strict=True):
        finite = runs[np.isfinite(runs)]
        if not len(finite):
            rows.append({"ratio": f"{ratio:g}", "mean": "unknown", "sd": "unknown", "n": "0"})
            continue
        mean, sd = float(finite.mean()), float(finite.std(ddof=1)) if len(finite) > 1 else float("nan")
        rows.append(
            {
                "ratio": f"{ratio:g}",
                "mean": f"{mean:.4f}",
                "sd": f"{sd:.4f}" if np.isfinite(sd) else "unknown",
                "n": f"{len(finite):,}",
            }
        )
        extent = np.nan_to_num(sd)
        # Error bars are clipped to the axis.
        ends = [y(min(max(value, y.low), y.high)) for value in (mean - extent, mean + extent)]
        bars.append((x(ratio), y(mean), *ends))
        dots += [f"M{x(ratio)} {y(value)}h0" for value in finite[:MOST_DOTS]]
    return {
        **frame("Held-out accuracy against subset ratio: a dot a model, mean ± sd", "subset ratio", x, y),
        "spoken": "; ".join(f"ratio {row['ratio']}: {row['mean']} ± {row['sd']} (n = {row['n']})" for row in rows),
        "rows": rows,
        "bars": bars,
        "dots": "".join(dots),
        "line": ("M" if bars else "") + "L".join(f"{at_ratio} {mean}" for at_ratio, mean, *_ in bars),
    }


def reliability_plot(scores: Scores) -> dict[str, Any] | None:
    """Split-half reliability: a dot for each random halving, a line at their mean; None if it is unknown."""
    halves = scores.reliability[np.isfinite(scores.reliability)]
    if not len(halves):
        return None
    low, high = float(halves.min()), float(halves.max())
    margin = max(0.15 * (high - low), 0.002)
    x, y = Scale(0, len(halves) + 1, LEFT, RIGHT), Scale(low - margin, min(1.0, high + margin), BOTTOM, TOP)
    return {
        **frame("Split-half reliability (Spearman-Brown): a dot a random halving", "random halving", x, y),
        "x_ticks": [(x(1), "1"), (x(len(halves)), str(len(halves)))][: len(halves)],
        "spoken": f"mean {halves.mean():.4f}, from {low:.4f} to {high:.4f} over {count_halvings(halves)}",
        "bars": [(0, y(float(halves.mean())), 0, 0)],
        "dots": "".join(f"M{x(i + 1)} {y(float(half))}h0" for i, half in enumerate(halves)),
    }


def frame(title: str, x_title: str, x: Scale, y: Scale) -> dict[str, Any]:
    """Titles, dimensions and ticks of a plot."""
    return {
        "title": title,
        "x_title": x_title,
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": RIGHT,
        "bottom": BOTTOM,
        "x_ticks": ticks(x),
        "y_ticks": ticks(y),
    }
