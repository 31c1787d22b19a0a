"""Where the marks of the page's plots stand; the template ``page/plots.html`` draws them."""

from typing import Any

import numpy as np

from jaxgen.types import Scores
from jaxgen.views.summary import count_halvings

WIDTH, HEIGHT = 380, 230
LEFT, RIGHT, TOP, BOTTOM = 48, 368, 10, 190
# So many runs a ratio have a dot of their own.
MOST_DOTS = 60


class Scale:
    """From values on an axis to places on the page."""

    def __init__(self, low: float, high: float, start: float, stop: float):
        self.low, self.high, self.start, self.stop = low, high, start, stop

    def __call__(self, value: float) -> float:
        """The place of a value, to a tenth of a pixel."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)


def padded(values: np.ndarray) -> tuple[float, float]:
    """The ends of an axis for accuracies: as far as the values go and a little more, within [0, 1]."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = 0.08 * (high - low) or 0.05
    return max(0.0, low - room), min(1.0, high + room)


def ticks(scale: Scale, count: int = 5) -> list[tuple[float, str]]:
    """Round values along an axis, as places and texts."""
    from matplotlib.ticker import MaxNLocator

    values = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(scale.low, scale.high)
    return [(scale(value), f"{value:.4g}") for value in values if scale.low <= value <= scale.high]


def accuracy_plot(scores: Scores) -> dict[str, Any]:
    """Held-out accuracy against subset ratio: a dot a run, mean ± sd over runs; and the same as rows of a table."""
    accuracy = scores.heldout_accuracy
    known = accuracy[np.isfinite(accuracy)]
    y = Scale(*padded(known), BOTTOM, TOP)
    x = Scale(0.0, 1.0, LEFT, RIGHT)
    rows, bars, dots = [], [], []
    for ratio, runs in zip(scores.subset_ratios, accuracy, strict=True):
        seen = runs[np.isfinite(runs)]
        if not len(seen):
            rows.append({"ratio": f"{ratio:g}", "mean": "unknown", "sd": "unknown", "n": "0"})
            continue
        mean, sd = float(seen.mean()), float(seen.std(ddof=1)) if len(seen) > 1 else float("nan")
        rows.append(
            {
                "ratio": f"{ratio:g}",
                "mean": f"{mean:.4f}",
                "sd": f"{sd:.4f}" if np.isfinite(sd) else "unknown",
                "n": f"{len(seen):,}",
            }
        )
        reach = np.nan_to_num(sd)
        # An accuracy is within [0, 1], and so are the ends of its bar.
        ends = [y(min(max(value, y.low), y.high)) for value in (mean - reach, mean + reach)]
        bars.append((x(ratio), y(mean), *ends))
        dots += [f"M{x(ratio)} {y(value)}h0" for value in seen[:MOST_DOTS]]
    return {
        **frame("Held-out accuracy against subset ratio: a dot a model, mean ± sd", "subset ratio", x, y),
        "spoken": "; ".join(f"ratio {row['ratio']}: {row['mean']} ± {row['sd']} (n = {row['n']})" for row in rows),
        "rows": rows,
        "bars": bars,
        "dots": "".join(dots),
        "line": ("M" if bars else "") + "L".join(f"{at} {mean}" for at, mean, *_ in bars),
    }


def reliability_plot(scores: Scores) -> dict[str, Any] | None:
    """Split-half reliability: a dot a random halving, a line at their mean; None where it is unknown."""
    halves = scores.reliability[np.isfinite(scores.reliability)]
    if not len(halves):
        return None
    low, high = float(halves.min()), float(halves.max())
    room = max(0.15 * (high - low), 0.002)
    x, y = Scale(0, len(halves) + 1, LEFT, RIGHT), Scale(low - room, min(1.0, high + room), BOTTOM, TOP)
    return {
        **frame("Split-half reliability (Spearman-Brown): a dot a random halving", "random halving", x, y),
        "x_ticks": [(x(1), "1"), (x(len(halves)), str(len(halves)))][: len(halves)],
        "spoken": f"mean {halves.mean():.4f}, from {low:.4f} to {high:.4f} over {count_halvings(halves)}",
        "bars": [(0, y(float(halves.mean())), 0, 0)],
        "dots": "".join(f"M{x(i + 1)} {y(float(half))}h0" for i, half in enumerate(halves)),
    }


def frame(title: str, x_title: str, x: Scale, y: Scale) -> dict[str, Any]:
    """What the axes need."""
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
