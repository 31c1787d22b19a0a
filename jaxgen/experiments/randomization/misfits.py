"""Why a member did not fit the labels it was given, as far as its job's measurements show."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Training accuracy was still on its way if its mean over the last fifth of the epochs is so far above that over the
# fifth before, and by so many standard errors.
STILL_RISING, STANDARD_ERRORS = 0.005, 3
# The same of training loss, relative to it: it falls where accuracy seems to stand.
STILL_FALLING = 0.02
LAST_PART = 0.2
LEAST_EPOCHS = 5
FEW, CLEAR = 2, 0.05

REGULARIZERS = (
    "weight_decay",
    "decoupled_weight_decay",
    "l1",
    "max_norm",
    "gradient_noise",
    "label_smoothing",
    "dropout",
    "sam_radius",
    "flip",
    "crop",
    "translate",
    "cutout",
    "color_jitter",
    "input_noise",
    "mixup",
    "cutmix",
    "patience",
)


def explain_misfits(
    rows: Sequence[dict[str, Any]], flags: Sequence[str], curves: Sequence[Mapping[str, np.ndarray]]
) -> list[dict[str, Any]]:
    """The rows with a column ``not_fitted_because``, empty where a member has fitted.

    Args:
      rows: one a member.
      flags: those in which settings differ.
      curves: of each member, float ``[e]``.
    """
    regularizers = [flag for flag in REGULARIZERS if flag in flags]
    fitted = {plain_key(row, flags, regularizers): row["fitted"] for row in rows if not strengths(row)}
    return [
        row
        | {
            "not_fitted_because": ""
            if row["fitted"]
            else explain(row, one, fitted.get(plain_key(row, flags, regularizers)))
        }
        for row, one in zip(rows, curves, strict=True)
    ]


def plain_key(row: Mapping[str, Any], flags: Sequence[str], regularizers: Sequence[str]) -> tuple:
    """What a row has in common with the same run without regularization."""
    kept = [flag for flag in flags if flag not in {*regularizers, "validation_share"}]
    return row["run"], *(row[flag] for flag in kept)


def strengths(row: Mapping[str, Any]) -> list[str]:
    """The regularizers that are on, as flags."""
    return [f"--{name}={row[name]}" for name in REGULARIZERS if float(row[name]) > 0]


def explain(row: Mapping[str, Any], curves: Mapping[str, np.ndarray], fitted_without: bool | None) -> str:
    """The likeliest reason, with what was measured.

    Args:
      row: of the member.
      curves: its own, float ``[e]``.
      fitted_without: whether the same run without regularization fitted; None: there is none.
    """
    if not row["finite"]:
        return "diverged: the loss is not finite, or over ten times a blind guess's"
    if float(row["patience"]) > 0 and row["epochs_trained"] < float(row["epochs"]):
        return f"stopped by --patience={row['patience']} after {row['epochs_trained']} epochs"
    regularized = strengths(row)
    if regularized and fitted_without:
        return f"regularization ({' '.join(regularized)}): the same run without it fitted"
    curve = curves["train_accuracy"][: row["epochs_trained"]]
    if len(curve) < LEAST_EPOCHS:
        return f"too few steps: {len(curve)} epochs in all"
    part = round(LAST_PART * len(curve))
    means = f"mean of the last {part} of {len(curve)} epochs and of those before"
    last, rise, error = compare_ends(curve, part)
    # Of few epochs the spread is unknown.
    if rise > max(STILL_RISING, STANDARD_ERRORS * error) or (part <= FEW and rise > CLEAR):
        return f"too few steps: training accuracy rose by {rise:.3f} to {last:.3f}, {means}"
    low, change, error = compare_ends(curves["train_loss"][: row["epochs_trained"]], part)
    if -change > max(STILL_FALLING * low, STANDARD_ERRORS * error):
        return f"too few steps: training loss fell by {-change:.3f} to {low:.3f}, {means}"
    told = f"training accuracy stands at {curve[-1]:.3f}"
    if regularized and fitted_without is None:
        return f"regularization ({' '.join(regularized)}), likely: {told}; no run without it is here to compare with"
    if row["parameters"] < row["num_examples"]:
        return f"too small a model: {row['parameters']:,} parameters for {row['num_examples']:,} examples; {told}"
    also = f"; the same run without {' '.join(regularized)} did not fit either" if regularized else ""
    return f"a plateau: {told}; another --learning_rate or a larger model may go on{also}"


def compare_ends(curve: np.ndarray, part: int) -> tuple[float, float, float]:
    """The mean of a curve's last `part` epochs, by how much it is above that of the `part` before, and the standard
    error of that."""
    last, before = curve[-part:], curve[-2 * part : -part]
    error = np.hypot(last.std(), before.std()) / np.sqrt(part)
    return float(last.mean()), float(last.mean() - before.mean()), float(error)
