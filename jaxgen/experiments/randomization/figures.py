"""Figure 1 of Zhang et al. (2017) for a job's results, and learning curves with bands."""

import collections
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxgen.views.figures import ACCENT, INK, describe_counts, new_figure, styled
from jaxgen.wording import count_of

Rows = Sequence[dict[str, Any]]
Curves = Mapping[str, np.ndarray]

# Kinds of label noise that leave nothing to learn at a rate of 1.
FULLY_RANDOM = ("uniform", "permutation")
# Dashed lines stay visible below others: fully connected networks fit shuffled pixels like true ones.
CONDITIONS = (
    ("true labels", "#1f6f8b", "-", lambda row: (row["pixels"], float(row["label_noise"])) == ("true", 0)),
    ("shuffled pixels", "#4f9d69", "--", lambda row: (row["pixels"], float(row["label_noise"])) == ("shuffled", 0)),
    ("random pixels", "#d9a441", "-", lambda row: (row["pixels"], float(row["label_noise"])) == ("random", 0)),
    ("gaussian pixels", "#8e6bb0", "--", lambda row: (row["pixels"], float(row["label_noise"])) == ("gaussian", 0)),
    (
        "random labels",
        "#c0504d",
        "-",
        lambda row: (row["pixels"], float(row["label_noise"])) == ("true", 1) and row["noise_kind"] in FULLY_RANDOM,
    ),
)
# Limits of lines that can be told apart in a panel, and of rows of panels on a page.
MOST_LINES, MOST_ROWS = 11, 6
PANELS = (("train_accuracy", "training accuracy"), ("test_accuracy", "test accuracy"), ("step_loss", "training loss"))
MARKS = "os^Dv*"
# Flags that vary within figure 1; all others are held fixed.
RANDOMIZED = ("label_noise", "pixels", "model")


def most_varied(rows: Rows, flags: Sequence[str]) -> tuple[str, ...]:
    """Values of the flags beside `RANDOMIZED` under which the most combinations of `RANDOMIZED` were trained."""
    combinations: dict[tuple[str, ...], set] = {}
    for row in rows:
        fixed = tuple(row[flag] for flag in flags if flag not in RANDOMIZED)
        combinations.setdefault(fixed, set()).add(tuple(row[name] for name in RANDOMIZED))
    return max(combinations, key=lambda fixed: len(combinations[fixed]))


@styled
def draw_figure1(rows: Rows, curves: Curves, flags: Sequence[str], name: str) -> Figure:
    """Loss by step for each randomization; time to fit and test error by rate of label noise; one marker per network.

    If other flags are swept too, the figure shows their values with the most randomizations.

    Args:
      rows: from `jaxgen.experiments.randomization.run`.
      curves: learning curves by name, ``[members, e]``.
      flags: flags in which settings differ.
      name: name of the dataset.
    """
    fixed_flags, shown = [flag for flag in flags if flag not in RANDOMIZED], most_varied(rows, flags)
    chosen = [i for i, row in enumerate(rows) if row["finite"] and tuple(row[flag] for flag in fixed_flags) == shown]
    models = list(dict.fromkeys(rows[i]["model"] for i in chosen))
    figure = new_figure(12.5, 4.2)
    left, middle, right = figure.subplots(1, 3)
    for m, model in enumerate(models):
        members = [i for i in chosen if rows[i]["model"] == model]
        draw_losses(left, rows, curves, members, MARKS[m % len(MARKS)] if len(models) > 1 else "")
        noisy = [rows[i] for i in members if rows[i]["pixels"] == "true"]
        draw_time_to_fit(middle, noisy, model, MARKS[m % len(MARKS)], f"C{m}" if len(models) > 1 else ACCENT)
        draw_errors(right, noisy, model, MARKS[m % len(MARKS)], f"C{m}" if len(models) > 1 else ACCENT)
    if not any(rows[i]["pixels"] == "true" for i in chosen):
        for axis in (middle, right):
            axis.text(0.5, 0.5, "no setting has\ntrue pixels", transform=axis.transAxes, ha="center", color=INK)
    if len(models) > 1:
        for axis in (middle, right):
            axis.legend(frameon=False)
    if left.get_legend_handles_labels()[0]:
        left.legend(frameon=False, fontsize=8)
    else:
        left.text(0.5, 0.5, "no setting of\nthese kinds", transform=left.transAxes, ha="center", color=INK)
    settings = [rows[i]["setting"] for i in chosen]
    number = describe_counts(settings.count(setting) for setting in settings)
    fixed = "".join(f", {flag}={value}" for flag, value in zip(fixed_flags, shown, strict=True))
    network = f", {models[0]}" if len(models) == 1 else ""
    figure.suptitle(
        f"{name}{network}{fixed}: n = {count_of(number, 'member')} a point, bands and bars ± 1 sd", fontsize=11
    )
    return figure


def draw_losses(axis: Axes, rows: Rows, curves: Curves, members: Sequence[int], mark: str) -> None:
    """(a) Mean training loss of each epoch by step."""
    for label, colour, style, belongs in CONDITIONS:
        matching = [i for i in members if belongs(rows[i])]
        if matching:
            steps = rows[matching[0]]["steps_per_epoch"] * np.arange(1, curves["step_loss"].shape[1] + 1)
            legend = label if not mark or mark == MARKS[0] else None
            draw_band(axis, steps, curves["step_loss"][matching], colour, legend, mark, style)
    axis.set(
        xlabel="steps", ylabel="training loss, mean over the epoch, nats", title="(a) learning curves", ylim=(0, None)
    )


def draw_band(
    axis: Axes,
    x: np.ndarray,
    values: np.ndarray,
    colour: Any,
    label: str | None,
    mark: str = "",
    style: str = "-",
) -> None:
    """Plots mean ± sd over members ``[m, e]``; a member that stopped early counts with its last value."""
    held = hold_last(values)
    last = np.isfinite(values).any(0).nonzero()[0]
    if not len(last):
        return
    until = last[-1] + 1
    mean, deviation = held.mean(0)[:until], held.std(0, ddof=1)[:until] if len(held) > 1 else np.zeros(until)
    marks = {"marker": mark, "markevery": max(1, until // 6), "markersize": 4} if mark else {}
    single = {"marker": "."} if until == 1 and not mark else {}
    axis.plot(x[:until], mean, style, color=colour, label=label, **marks, **single)
    axis.fill_between(x[:until], mean - deviation, mean + deviation, color=colour, alpha=0.2, linewidth=0)


def hold_last(values: np.ndarray) -> np.ndarray:
    """Fills the missing ends of curves with their last value."""
    held = values.copy()
    for epoch in range(1, held.shape[1]):
        held[:, epoch] = np.where(np.isnan(held[:, epoch]), held[:, epoch - 1], held[:, epoch])
    return held


def draw_time_to_fit(axis: Axes, rows: Rows, model: str, mark: str, colour: str) -> None:
    """(b) Steps to fit, relative to true labels; annotated with the number of members that fitted if not all did."""
    base = {row["run"]: row["steps_to_fit"] for row in rows if float(row["label_noise"]) == 0 and row["fitted"]}
    rates, means, spreads = [], [], []
    for rate in sorted({float(row["label_noise"]) for row in rows}):
        members = [row for row in rows if float(row["label_noise"]) == rate]
        ratios = [row["steps_to_fit"] / base[row["run"]] for row in members if row["fitted"] and row["run"] in base]
        if ratios:
            rates.append(rate)
            means.append(np.mean(ratios))
            spreads.append(np.std(ratios, ddof=1) if len(ratios) > 1 else 0)
        fitted = sum(row["fitted"] for row in members)
        if base and fitted < len(members):
            point = (rate, means[-1]) if ratios else (rate, 1.0)
            axis.annotate(
                f"{fitted} of {len(members)}\nfitted",
                point,
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
                fontsize=7,
                color=colour,
            )
    if rates:
        axis.errorbar(rates, means, spreads, color=colour, marker=mark, markersize=4, capsize=2, label=model)
    elif rows:
        axis.text(0.5, 0.5, "no member fitted\nthe true labels", transform=axis.transAxes, ha="center", color=INK)
    axis.set(
        xlabel="label noise",
        ylabel="steps to fit, relative to true labels",
        title="(b) time to fit",
        xlim=(-0.05, 1.05),
    )


def draw_errors(axis: Axes, rows: Rows, model: str, mark: str, colour: str) -> None:
    """(c) Test error at the end of training."""
    rates = sorted({float(row["label_noise"]) for row in rows})
    errors = [[1 - row["test_accuracy"] for row in rows if float(row["label_noise"]) == rate] for rate in rates]
    if rates:
        spreads = [np.std(values, ddof=1) if len(values) > 1 else 0 for values in errors]
        axis.errorbar(
            rates,
            [np.mean(values) for values in errors],
            spreads,
            color=colour,
            marker=mark,
            markersize=4,
            capsize=2,
            label=model,
        )
    axis.set(xlabel="label noise", ylabel="test error", title="(c) generalization", xlim=(-0.05, 1.05), ylim=(0, 1))


@styled
def draw_curves(rows: Rows, curves: Curves, flags: Sequence[str], name: str) -> Figure:
    """Learning curves of all settings.

    For a full grid of flags there is a row of panels for each flag, with the other flags at their first value. For any
    other union of settings there is a row for each kind of labels and pixels, with a line for each combination of the
    other flags.

    Args:
      rows: from `jaxgen.experiments.randomization.run`.
      curves: learning curves by name, ``[members, e]``.
      flags: flags in which settings differ.
      name: name of the dataset.
    """
    finite = [i for i, row in enumerate(rows) if row["finite"]]
    other_flags = [flag for flag in flags if flag not in ("label_noise", "pixels")]
    if is_incomplete_grid(rows, flags, other_flags):
        groups = by_condition(rows, finite, other_flags)
    else:
        groups = by_flag(rows, finite, flags)
    left_out = len(groups) - MOST_ROWS
    groups = dict(list(groups.items())[:MOST_ROWS])
    figure = new_figure(12.5, 0.6 + 2.9 * len(groups))
    grid = figure.subplots(len(groups), len(PANELS), squeeze=False)
    for (title, lines), axes in zip(groups.items(), grid, strict=True):
        values = list(lines)
        if len(values) > MOST_LINES:
            values = [values[round(i)] for i in np.linspace(0, len(values) - 1, MOST_LINES)]
            title += f" ({MOST_LINES} of {len(lines)})"
        colours = matplotlib.colormaps["viridis" if title.startswith("--") else "tab20"](
            np.linspace(0, 0.9, len(values)) if title.startswith("--") else np.arange(len(values))
        )
        for value, colour in zip(values, colours, strict=True):
            members = lines[value]
            for (measure, label), axis in zip(PANELS, axes, strict=True):
                epochs = np.arange(1, curves[measure].shape[1] + 1)
                draw_band(axis, epochs, curves[measure][members], colour, f"{value} (n = {len(members)})".strip())
                axis.set(xlabel="epochs", ylabel=label)
        axes[0].set_title(title, loc="left", color=INK)
        axes[-1].legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    more = f"; {left_out} more rows are in curves.npz" if left_out > 0 else ""
    figure.suptitle(f"{name}: mean ± sd over members; who is done counts with the last value{more}", fontsize=11)
    return figure


def is_incomplete_grid(rows: Rows, flags: Sequence[str], other_flags: Sequence[str]) -> bool:
    """Whether several flags beside labels and pixels are varied, but not on a full grid."""
    settings = {tuple(row[flag] for flag in flags) for row in rows}
    grid = math.prod(len({row[flag] for row in rows}) for flag in flags)
    return len(other_flags) > 1 and len(settings) < grid


def by_flag(rows: Rows, finite: Sequence[int], flags: Sequence[str]) -> dict[str, dict[str, list[int]]]:
    """Members by flag and value, with the other flags at their first value."""
    groups: dict[str, dict[str, list[int]]] = {}
    for flag in flags:
        other_flags = [other for other in flags if other != flag]
        lines: dict[str, list[int]] = {}
        for i in finite:
            if all(rows[i][other] == rows[0][other] for other in other_flags):
                lines.setdefault(rows[i][flag], []).append(i)
        fixed = ", ".join(f"{other}={rows[0][other]}" for other in other_flags)
        suffix = f" at {fixed}" if len(fixed) < 60 else ", others at their first value"
        groups[f"--{flag}{suffix}"] = lines
    return groups or {"": {"": list(finite)}}


def by_condition(rows: Rows, finite: Sequence[int], other_flags: Sequence[str]) -> dict[str, dict[str, list[int]]]:
    """Members by kind of labels and pixels, then by combination of the other flags."""
    usual = {flag: collections.Counter(row[flag] for row in rows).most_common(1)[0][0] for flag in other_flags}
    groups: dict[str, dict[str, list[int]]] = {}
    for i in finite:
        title = f"label noise {rows[i]['label_noise']}, {rows[i]['pixels']} pixels"
        unusual = [f"{flag}={rows[i][flag]}" for flag in other_flags if rows[i][flag] != usual[flag]]
        groups.setdefault(title, {}).setdefault(", ".join(unusual) or "none of these", []).append(i)
    return groups
