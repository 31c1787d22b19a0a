"""Display of results in notebooks and at the prompt: a summary and a table, as escaped HTML or as a line of text."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxgen.wording import count_of, mean_and_deviation

# Examples shown at either end of the table.
SHOWN = 5


def scores_as_text(scores: Any) -> str:
    """The summary of `jaxgen.Scores` in one line, with the number of its further arrays."""
    more = [f"{count_of(len(scores.more), 'further array')} in `more`"] if scores.more else []
    return f"Scores({'; '.join([*summary_lines(scores), *more])})"


def mislabelled_as_text(found: Any) -> str:
    """The summary of `jaxgen.Mislabelled` in one line, with the most suspicious examples."""
    first = ", ".join(f"{found.scores.ids[i]} ({label_of(found, i)})" for i in found.order[:SHOWN])
    return f"Mislabelled({'; '.join(suspect_lines(found))}; first: {first})"


def mislabelled_as_html(found: Any) -> str:
    """A summary of `jaxgen.Mislabelled` and a table of the most suspicious examples, as HTML."""
    heads = ("rank", "id", "label", "suggested", found.score.name, "held out (n)")
    rows = [
        [
            f"{rank:,}",
            str(found.scores.ids[i]),
            label_of(found, i),
            found.describe_suggestion(i),
            f"{found.values[i]:.3f}",
            f"{found.scores.counts[:, i].sum():,}",
        ]
        for rank, i in enumerate(found.order[: 2 * SHOWN], 1)
    ]
    return as_html(suspect_lines(found), heads, rows)


def suspect_lines(found: Any) -> list[str]:
    """How many examples were ranked, by what, and how many labels are counted as wrong."""
    wrong, counted = found.wrong, "how many labels are wrong cannot be told"
    if wrong.n and not found.accuracy.at_chance:
        counted = f"{wrong.count:.0f} [{wrong.low:.0f}, {wrong.high:.0f}] estimated to be mislabelled"
    return [f"{len(found.order):,} examples ranked by {found.score.name}", counted]


def label_of(found: Any, i: int) -> str:
    """Name of the label of example i."""
    return str(found.scores.class_names[found.scores.labels[i]])


def summary_lines(scores: Any) -> list[str]:
    """Numbers of examples and models, held-out accuracy at the least and the largest ratio, reliability."""
    unscored, num_ratios = int(np.isnan(scores.scores).sum()), len(scores.subset_ratios)
    ratios = f"each of {num_ratios} ratios" if num_ratios > 1 else "1 ratio"
    lines = [
        f"{len(scores.scores):,} examples, {count_of(scores.num_runs, 'model')} at {ratios}",
        *([f"{unscored:,} never held out at some ratio: no score"] if unscored else []),
        *(describe_ratio(scores, k) for k in sorted({0, num_ratios - 1})),
    ]
    if len(scores.reliability):
        lines.append(f"split-half reliability {scores.reliability.mean():.4f}")
    return lines


def scores_as_html(scores: Any) -> str:
    """A summary of `jaxgen.Scores` and a table of the least and the most regular examples, as HTML."""
    order = scores.least_regular(len(scores.scores))
    lowest, highest = order[:SHOWN], order[SHOWN:][-SHOWN:]
    heads = ("", "id", "label", "C-score", "standard error", "held out (n)")
    rows = [row(scores, i, "lowest" if k == 0 else "") for k, i in enumerate(lowest)]
    rows += [row(scores, i, "highest" if k == 0 else "") for k, i in enumerate(highest)]
    return as_html(summary_lines(scores), heads, rows)


def as_html(lines: Sequence[str], heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines and a table of texts, escaped."""
    head = "".join(f"<th>{html.escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>" for cells in rows)
    summary = "<br>".join(html.escape(line) for line in lines)
    return f"<div><p>{summary}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def describe_ratio(scores: Any, k: int) -> str:
    """Held-out accuracy at one ratio: mean, standard deviation and number of models."""
    finite = scores.heldout_accuracy[k][np.isfinite(scores.heldout_accuracy[k])]
    if not len(finite):
        return f"ratio {scores.subset_ratios[k]:g}: every model diverged"
    accuracy = mean_and_deviation(finite.mean(), finite.std(ddof=1) if len(finite) > 1 else np.nan, 4)
    return f"held-out accuracy at ratio {scores.subset_ratios[k]:g}: {accuracy} (n = {len(finite)})"


def row(scores: Any, i: int, end: str) -> list[str]:
    """The table cells of example i; `end` is the text of the first cell."""
    error = f"{scores.stderr[i]:.3f}" if np.isfinite(scores.stderr[i]) else "unknown"
    label = str(scores.class_names[scores.labels[i]])
    return [end, str(scores.ids[i]), label, f"{scores.scores[i]:.3f}", error, f"{scores.counts[:, i].sum():,}"]
