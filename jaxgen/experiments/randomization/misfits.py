"""Likely reasons why a member did not fit its training labels, from the measurements of its job."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxgen.wording import count_of

# Training accuracy is still rising if its mean over the last fifth of the epochs exceeds that over the fifth before by
# STILL_RISING and by STANDARD_ERRORS.
STILL_RISING, STANDARD_ERRORS = 0.005, 3
# Relative fall of the training loss that counts as still falling, where accuracy is flat.
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
    "rotate",
    "augmix",
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
    """Adds a column ``not_fitted_because`` to the rows, empty for members that fitted.

    Args:
      rows: rows of all members.
      flags: flags in which settings differ.
      curves: learning curves of each member by name, float ``[e]``.
    """
    regularizers = [flag for flag in REGULARIZERS if flag in flags]
    fitted = {
        unregularized_key(row, flags, regularizers): row["fitted"] for row in rows if not active_regularizers(row)
    }
    explained = []
    for row, member_curves in zip(rows, curves, strict=True):
        fitted_without = fitted.get(unregularized_key(row, flags, regularizers))
        reason = "" if row["fitted"] else explain(row, member_curves, fitted_without)
        explained.append(row | {"not_fitted_because": reason})
    return explained


def unregularized_key(row: Mapping[str, Any], flags: Sequence[str], regularizers: Sequence[str]) -> tuple:
    """A key that a row shares with the same run without regularization."""
    key_flags = [flag for flag in flags if flag not in {*regularizers, "validation_share"}]
    return row["run"], *(row[flag] for flag in key_flags)


def active_regularizers(row: Mapping[str, Any]) -> list[str]:
    """The regularizers in use, as flags."""
    return [f"--{name}={row[name]}" for name in REGULARIZERS if float(row[name]) > 0]


def explain(row: Mapping[str, Any], curves: Mapping[str, np.ndarray], fitted_without: bool | None) -> str:
    """The likeliest reason why a member did not fit, with the evidence.

    Args:
      row: row of the member.
      curves: its learning curves by name, float ``[e]``.
      fitted_without: whether the same run without regularization fitted; None if there is no such run.
    """
    if not row["finite"]:
        return "diverged: the loss is not finite, or over ten times a blind guess's"
    if float(row["patience"]) > 0 and row["epochs_trained"] < float(row["epochs"]):
        return f"stopped by --patience={row['patience']} after {count_of(row['epochs_trained'], 'epoch')}"
    regularized = active_regularizers(row)
    if regularized and fitted_without:
        return f"regularization ({' '.join(regularized)}): the same run without it fitted"
    curve = curves["train_accuracy"][: row["epochs_trained"]]
    if len(curve) < LEAST_EPOCHS:
        return f"too few steps: {count_of(len(curve), 'epoch')} in all"
    part = round(LAST_PART * len(curve))
    means = f"mean of the last {part} of {len(curve)} epochs and of those before"
    last, rise, error = compare_last_parts(curve, part)
    # Too few epochs give no estimate of the spread.
    if rise > max(STILL_RISING, STANDARD_ERRORS * error) or (part <= FEW and rise > CLEAR):
        return f"too few steps: training accuracy rose by {rise:.3f} to {last:.3f}, {means}"
    low, change, error = compare_last_parts(curves["train_loss"][: row["epochs_trained"]], part)
    if -change > max(STILL_FALLING * low, STANDARD_ERRORS * error):
        return f"too few steps: training loss fell by {-change:.3f} to {low:.3f}, {means}"
    level = f"training accuracy stands at {curve[-1]:.3f}"
    if regularized and fitted_without is None:
        return f"regularization ({' '.join(regularized)}), likely: {level}; no run without it is here to compare with"
    if row["parameters"] < row["num_examples"]:
        return f"too small a model: {row['parameters']:,} parameters for {row['num_examples']:,} examples; {level}"
    also = f"; the same run without {' '.join(regularized)} did not fit either" if regularized else ""
    return f"a plateau: {level}; another --learning_rate or a larger model may go on{also}"


def compare_last_parts(curve: np.ndarray, part: int) -> tuple[float, float, float]:
    """Mean of a curve's last `part` epochs, its rise over the `part` before, and the rise's standard error."""
    last, before = curve[-part:], curve[-2 * part : -part]
    error = np.hypot(last.std(), before.std()) / np.sqrt(part)
    return float(last.mean()), float(last.mean() - before.mean()), float(error)
