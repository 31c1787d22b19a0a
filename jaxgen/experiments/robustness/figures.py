"""Figures of a robustness job: accuracy by corruption and severity, F1 by class, examples of corrupted images."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxgen.experiments.robustness.score_groups import group_scores
from jaxgen.scores.intervals import half_width
from jaxgen.views.figures import INK, describe_counts, new_figure, styled
from jaxgen.wording import count_of

MOST_LINES = 10
# Example images and severities shown of each corruption.
SHOWN_IMAGES, SHOWN_SEVERITIES = 2, (1, 3, 5)
LONGEST_LABEL = 48
# Line styles, changed every ten colours.
STYLES = ("-", "--", ":", "-.")


def short_name(name: str) -> str:
    """A setting's name, cut to fit beside an axis."""
    return name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 3]}..."


def finite_by_setting(results: Any) -> dict[str, list[Any]]:
    """Members that did not diverge, by setting; settings without any are left out."""
    members: dict[str, list[Any]] = {}
    for member in results.measured:
        if member.row["finite"]:
            members.setdefault(member.row["setting"], []).append(member)
    return members


@styled
def draw_heat_map(job: Any, results: Any) -> Figure:
    """Test accuracy of each setting, clean and under each corruption (mean over severities and members), in percent."""
    by_setting = finite_by_setting(results)
    names = [name.removeprefix("test_accuracy_") for name in corruption_columns(results)]
    columns = ["clean", *names, "mean"]
    values = np.array(
        [
            [
                100 * np.mean([member.row[column] for member in members])
                for column in ("test_accuracy", *corruption_columns(results), "corrupted_accuracy")
            ]
            for members in by_setting.values()
        ]
    )
    width = 2.6 + 0.52 * len(columns) + 0.055 * max(map(len, by_setting))
    figure = new_figure(width, 1.8 + 0.3 * len(by_setting))
    axis = figure.subplots()
    picture = axis.imshow(values, cmap="viridis", aspect="auto", vmin=max(0, np.nanmin(values)), vmax=100)
    axis.set_xticks(range(len(columns)), [name.replace("_", " ") for name in columns], rotation=45, ha="right")
    axis.set_yticks(range(len(by_setting)), [short_name(name) for name in by_setting])
    axis.spines[:].set_visible(False)
    middle = (np.nanmin(values) + 100) / 2
    for (i, j), value in np.ndenumerate(values):
        axis.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=7, color="white" if value < middle else INK)
    figure.colorbar(picture, ax=axis, label="test accuracy, %", shrink=0.8)
    number = describe_counts(len(members) for members in by_setting.values())
    axis.set_title(f"{job.dataset.name}: mean over severities and n = {count_of(number, 'member')}", loc="left")
    return figure


def corruption_columns(results: Any) -> list[str]:
    """The columns of a row with the accuracy under a single corruption."""
    excluded = ("test_accuracy_severity_",)
    return [
        name
        for name in results.rows[0]
        if name.startswith("test_accuracy_") and not name.startswith(excluded) and not name.endswith("_test_set")
    ]


@styled
def draw_severities(job: Any, results: Any) -> Figure:
    """Test accuracy by severity, mean ± sd over members: of each setting, and of the baseline under each corruption."""
    names = [column.removeprefix("test_accuracy_") for column in corruption_columns(results)]
    # The legend sets the height.
    figure = new_figure(12.5, max(4.6, 1.2 + 0.165 * len(names)))
    left, right = figure.subplots(1, 2)
    by_setting = finite_by_setting(results)
    severities = [0, *sorted({severity for _, severity in job.versions.evaluated})]
    means = {
        name: np.mean([member.row["corrupted_accuracy"] for member in members]) for name, members in by_setting.items()
    }
    ranked = sorted(by_setting, key=lambda name: -means[name])
    # The best, the worst, and the baseline.
    chosen = ranked if len(ranked) <= MOST_LINES else [*ranked[: MOST_LINES // 2], *ranked[-MOST_LINES // 2 :]]
    if results.baseline in by_setting and results.baseline not in chosen:
        chosen[MOST_LINES // 2] = results.baseline
    for i, setting in enumerate(chosen):
        columns = ["test_accuracy", *(f"test_accuracy_severity_{severity}" for severity in severities[1:])]
        values = np.array([[member.row[column] for column in columns] for member in by_setting[setting]])
        draw_line(left, severities, values, f"C{i}", short_name(setting))
    part = f", {len(chosen)} of {len(by_setting)} settings" if len(chosen) < len(by_setting) else ""
    left.set_title(f"(a) all corruptions{part}", loc="left")
    probe_versions = job.versions.probe_versions
    for i, name in enumerate(names):
        indices = [0, *(probe_versions.index((name, severity)) for severity in severities[1:])]
        values = np.array([member.accuracy[indices] for member in by_setting.get(results.baseline, [])])
        if len(values):
            draw_line(right, severities, values, f"C{i % 10}", name.replace("_", " "), STYLES[i // 10 % len(STYLES)])
    right.set_title(f"(b) {short_name(results.baseline)}, by corruption", loc="left")
    for axis in (left, right):
        axis.set(xlabel="severity", ylabel="test accuracy", ylim=(0, 1.02), xticks=severities)
        axis.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle(f"{job.dataset.name}: mean ± sd over members", fontsize=11)
    return figure


def draw_line(axis: Any, x: list[int], values: np.ndarray, colour: str, label: str, style: str = "-") -> None:
    """Plots mean ± sd over members of ``values [m, k]``."""
    mean, deviation = values.mean(0), values.std(0, ddof=1) if len(values) > 1 else np.zeros(len(x))
    axis.plot(x, mean, style, color=colour, marker="o", markersize=3, label=f"{label} (n = {len(values)})")
    axis.fill_between(x, mean - deviation, mean + deviation, color=colour, alpha=0.15, linewidth=0)


@styled
def draw_classes(job: Any, results: Any) -> Figure:
    """F1 of each class on the original and each modified test set, mean and 95 % interval over members."""
    by_setting = finite_by_setting(results)
    sets = ["original", *(name for name in job.versions.modified if name != "none")]
    chosen = list(by_setting)
    if len(chosen) > 4:
        chosen = [results.baseline] if results.baseline in by_setting else chosen[:1]
    classes = job.dataset.class_names
    width = max(6.0, 1.8 + 0.24 * len(classes) * max(2, len(chosen)))
    figure = new_figure(min(width, 30), 0.6 + 2.9 * len(sets))
    axes = figure.subplots(len(sets), 1, squeeze=False)[:, 0]
    for index, (axis, test_set) in enumerate(zip(axes, sets, strict=True)):
        for i, setting in enumerate(chosen):
            scores = np.array([member.f1[index] for member in by_setting[setting]])
            halves = [half_width(column) if len(column) > 1 else 0.0 for column in scores.T]
            x = np.arange(len(classes)) + (i - (len(chosen) - 1) / 2) * 0.8 / len(chosen)
            label = f"{short_name(setting)} (n = {len(scores)})"
            axis.bar(x, scores.mean(0), 0.8 / len(chosen), yerr=halves, capsize=2, label=label, color=f"C{i}")
        axis.set_xticks(range(len(classes)), classes, rotation=45 if max(map(len, classes)) > 3 else 0, ha="center")
        # With few members, intervals may exceed 1.
        axis.set(ylabel="F1", ylim=(0, max(1.02, axis.get_ylim()[1])))
        axis.set_title(f"{test_set} test set", loc="left")
        axis.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.suptitle(f"{job.dataset.name}: mean and 95 % interval over members", fontsize=11)
    return figure


@styled
def draw_corruptions(job: Any) -> Figure:
    """A few test images under each corruption, by severity."""
    versions, dataset = job.versions, job.versions.dataset
    count = len(dataset.probe_labels)
    names = list(dict.fromkeys(name for name, severity in versions.probe_versions if severity))
    chosen = np.linspace(0, versions.num_tests - 1, SHOWN_IMAGES + 2).round().astype(int)[1:-1]
    columns = ["clean"] + [f"severity {severity}" for severity in SHOWN_SEVERITIES]
    figure = new_figure(1.3 + 0.75 * len(columns) * len(chosen), 0.5 + 0.62 * len(names))
    grid = figure.subplots(len(names), len(columns) * len(chosen), squeeze=False)
    for axes, name in zip(grid, names, strict=True):
        for position, axis in enumerate(axes):
            image, column = chosen[position // len(columns)], position % len(columns)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if name == names[0]:
                axis.set_title(columns[column], fontsize=7)
            severity = 0 if not column else SHOWN_SEVERITIES[column - 1]
            version = (name, severity) if severity else ("none", 0)
            if version not in versions.probe_versions:
                continue
            values = dataset.probes[versions.probe_versions.index(version) * count + image] * dataset.scale
            axis.imshow(np.clip(values.squeeze(), 0, 1), cmap="gray", vmin=0, vmax=1)
        axes[0].set_ylabel(name.replace("_", " "), rotation=0, ha="right", va="center", fontsize=8)
    classes = ", ".join(str(dataset.class_names[dataset.probe_labels[i]]) for i in chosen)
    figure.suptitle(f"{dataset.name}: {classes}", fontsize=10)
    return figure


@styled
def draw_score_groups(job: Any, results: Any) -> Figure:
    """Share of correct training examples that stay correct, by C-score and severity, of the baseline."""
    figure = new_figure(6.5, 4.2)
    axis = figure.subplots()
    members = finite_by_setting(results).get(results.baseline, [])
    shares = np.array([member.still_correct for member in members])
    groups = group_scores(job.versions.scores)
    places = list(range(len(groups)))
    for i, severity in enumerate(sorted({severity for _, severity in job.versions.evaluated})):
        if len(shares):
            draw_line(axis, places, shares[:, i], f"C{i}", f"severity {severity}")
    axis.set(xlabel="C-score (number of examples)", ylabel="of those right when clean, still right")
    axis.set_xticks(places, [group.describe().replace(" (", "\n(") for group in groups], fontsize=7)
    axis.legend(frameon=False, fontsize=8)
    axis.set_title(f"{job.dataset.name}, {short_name(results.baseline)}: mean ± sd over members", loc="left")
    return figure
