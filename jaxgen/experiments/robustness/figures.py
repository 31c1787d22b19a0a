"""Figures of a robustness job: accuracy by corruption and severity, F1 by class, what the corruptions look like."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxgen.scores.intervals import half_width
from jaxgen.views.figures import INK, describe_counts, new_figure, styled

MOST_LINES = 10
# Of each corruption in the picture of all.
SHOWN_IMAGES, SHOWN_SEVERITIES = 2, (1, 3, 5)
LONGEST_LABEL = 48
# One after ten colours each.
STYLES = ("-", "--", ":", "-.")


def short(name: str) -> str:
    """A setting's name as it fits beside an axis."""
    return name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 3]}..."


def groups(results: Any) -> dict[str, list[Any]]:
    """The members of each setting that did not diverge; settings without any are left out."""
    found: dict[str, list[Any]] = {}
    for one in results.measured:
        if one.row["finite"]:
            found.setdefault(one.row["setting"], []).append(one)
    return found


@styled
def draw_heat_map(job: Any, results: Any) -> Figure:
    """Test accuracy of each setting, clean and under each corruption (mean over severities and members), in percent."""
    own = groups(results)
    names = [name.removeprefix("test_accuracy_") for name in corruption_columns(results)]
    columns = ["clean", *names, "mean"]
    values = np.array(
        [
            [
                100 * np.mean([one.row[column] for one in members])
                for column in ("test_accuracy", *corruption_columns(results), "corrupted_accuracy")
            ]
            for members in own.values()
        ]
    )
    figure = new_figure(2.6 + 0.52 * len(columns) + 0.055 * max(map(len, own)), 1.8 + 0.3 * len(own))
    axis = figure.subplots()
    picture = axis.imshow(values, cmap="viridis", aspect="auto", vmin=max(0, np.nanmin(values)), vmax=100)
    axis.set_xticks(range(len(columns)), [name.replace("_", " ") for name in columns], rotation=45, ha="right")
    axis.set_yticks(range(len(own)), [short(name) for name in own])
    axis.spines[:].set_visible(False)
    middle = (np.nanmin(values) + 100) / 2
    for (i, j), value in np.ndenumerate(values):
        axis.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=7, color="white" if value < middle else INK)
    figure.colorbar(picture, ax=axis, label="test accuracy, %", shrink=0.8)
    number = describe_counts(len(members) for members in own.values())
    axis.set_title(f"{job.dataset.name}: mean over severities and n = {number} members", loc="left")
    return figure


def corruption_columns(results: Any) -> list[str]:
    """The columns of a row that hold accuracies under single corruptions."""
    left_out = ("test_accuracy_severity_",)
    return [
        name
        for name in results.rows[0]
        if name.startswith("test_accuracy_") and not name.startswith(left_out) and not name.endswith("_test_set")
    ]


@styled
def draw_severities(job: Any, results: Any) -> Figure:
    """Test accuracy against severity, mean ± sd over members: by setting, and of the baseline by corruption."""
    names = [column.removeprefix("test_accuracy_") for column in corruption_columns(results)]
    # As high as its legends.
    figure = new_figure(12.5, max(4.6, 1.2 + 0.165 * len(names)))
    left, right = figure.subplots(1, 2)
    own = groups(results)
    severities = [0, *sorted({severity for _, severity in job.versions.judged})]
    ranked = sorted(own, key=lambda name: -np.mean([one.row["corrupted_accuracy"] for one in own[name]]))
    # The best, the worst, and the baseline among them.
    chosen = ranked if len(ranked) <= MOST_LINES else [*ranked[: MOST_LINES // 2], *ranked[-MOST_LINES // 2 :]]
    if results.baseline in own and results.baseline not in chosen:
        chosen[MOST_LINES // 2] = results.baseline
    for i, setting in enumerate(chosen):
        columns = ["test_accuracy", *(f"test_accuracy_severity_{one}" for one in severities[1:])]
        values = np.array([[one.row[column] for column in columns] for one in own[setting]])
        draw_line(left, severities, values, f"C{i}", short(setting))
    title = "all corruptions" + (f", {len(chosen)} of {len(own)} settings" if len(chosen) < len(own) else "")
    left.set_title(f"(a) {title}", loc="left")
    shown = job.versions.shown
    for i, name in enumerate(names):
        places = [0, *(shown.index((name, severity)) for severity in severities[1:])]
        values = np.array([one.accuracy[places] for one in own.get(results.baseline, [])])
        if len(values):
            draw_line(right, severities, values, f"C{i % 10}", name.replace("_", " "), STYLES[i // 10 % len(STYLES)])
    right.set_title(f"(b) {short(results.baseline)}, by corruption", loc="left")
    for axis in (left, right):
        axis.set(xlabel="severity", ylabel="test accuracy", ylim=(0, 1.02), xticks=severities)
        axis.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle(f"{job.dataset.name}: mean ± sd over members", fontsize=11)
    return figure


def draw_line(axis: Any, places: list[int], values: np.ndarray, colour: str, label: str, style: str = "-") -> None:
    """Mean ± sd of ``values [m, k]``."""
    mean, deviation = values.mean(0), values.std(0, ddof=1) if len(values) > 1 else np.zeros(len(places))
    axis.plot(places, mean, style, color=colour, marker="o", markersize=3, label=f"{label} (n = {len(values)})")
    axis.fill_between(places, mean - deviation, mean + deviation, color=colour, alpha=0.15, linewidth=0)


@styled
def draw_classes(job: Any, results: Any) -> Figure:
    """F1 of each class, mean and 95 % interval over members: on the original test set and on each modified one."""
    own = groups(results)
    sets = ["original", *(name for name in job.versions.modified if name != "none")]
    chosen = list(own) if len(own) <= 4 else [results.baseline] if results.baseline in own else [next(iter(own))]
    classes = job.dataset.class_names
    width = max(6.0, 1.8 + 0.24 * len(classes) * max(2, len(chosen)))
    figure = new_figure(min(width, 30), 0.6 + 2.9 * len(sets))
    axes = figure.subplots(len(sets), 1, squeeze=False)[:, 0]
    for place, (axis, test_set) in enumerate(zip(axes, sets, strict=True)):
        for i, setting in enumerate(chosen):
            scores = np.array([one.f1[place] for one in own[setting]])
            halves = [half_width(column) if len(column) > 1 else 0.0 for column in scores.T]
            at = np.arange(len(classes)) + (i - (len(chosen) - 1) / 2) * 0.8 / len(chosen)
            label = f"{short(setting)} (n = {len(scores)})"
            axis.bar(at, scores.mean(0), 0.8 / len(chosen), yerr=halves, capsize=2, label=label, color=f"C{i}")
        axis.set_xticks(range(len(classes)), classes, rotation=45 if max(map(len, classes)) > 3 else 0, ha="center")
        # Intervals of few members may end above 1.
        axis.set(ylabel="F1", ylim=(0, max(1.02, axis.get_ylim()[1])))
        axis.set_title(f"{test_set} test set", loc="left")
        axis.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.suptitle(f"{job.dataset.name}: mean and 95 % interval over members", fontsize=11)
    return figure


@styled
def draw_corruptions(job: Any) -> Figure:
    """A few test images under each corruption, mild to strong."""
    versions, dataset = job.versions, job.versions.dataset
    count = len(dataset.probe_labels)
    shown = list(dict.fromkeys(name for name, severity in versions.shown if severity))
    chosen = np.linspace(0, versions.num_tests - 1, SHOWN_IMAGES + 2).round().astype(int)[1:-1]
    present = {name: sorted(one for other, one in versions.shown if other == name) for name in shown}
    columns = ["clean"] + [f"severity {one}" for one in SHOWN_SEVERITIES]
    figure = new_figure(1.3 + 0.75 * len(columns) * len(chosen), 0.5 + 0.62 * len(shown))
    grid = figure.subplots(len(shown), len(columns) * len(chosen), squeeze=False)
    for axes, name in zip(grid, shown, strict=True):
        for at, axis in enumerate(axes):
            image, column = chosen[at // len(columns)], at % len(columns)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if name == shown[0]:
                axis.set_title(columns[column], fontsize=7)
            severity = 0 if not column else SHOWN_SEVERITIES[column - 1]
            if severity and severity not in present[name]:
                continue
            place = versions.shown.index((name, severity) if severity else ("none", 0))
            values = dataset.probes[place * count + image] * dataset.scale
            axis.imshow(np.clip(values.squeeze(), 0, 1), cmap="gray", vmin=0, vmax=1)
        axes[0].set_ylabel(name.replace("_", " "), rotation=0, ha="right", va="center", fontsize=8)
    names = ", ".join(str(dataset.class_names[dataset.probe_labels[i]]) for i in chosen)
    figure.suptitle(f"{dataset.name}: {names}", fontsize=10)
    return figure


@styled
def draw_groups(job: Any, results: Any) -> Figure:
    """The share of right training examples that stay right, by tenth of C-score: a line a severity; the baseline's."""
    figure = new_figure(6.5, 4.2)
    axis = figure.subplots()
    own = groups(results).get(results.baseline, [])
    kept = np.array([one.kept for one in own])
    places = list(range(1, 11))
    for i, severity in enumerate(sorted({severity for _, severity in job.versions.judged})):
        if len(kept):
            draw_line(axis, places, kept[:, i], f"C{i}", f"severity {severity}")
    axis.set(xlabel="tenth by C-score (1: lowest)", ylabel="of those right when clean, still right", xticks=places)
    axis.legend(frameon=False, fontsize=8)
    axis.set_title(f"{job.dataset.name}, {short(results.baseline)}: mean ± sd over members", loc="left")
    return figure
