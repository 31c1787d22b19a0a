"""Display of scores in notebooks: a summary and a table, as escaped HTML."""

import html
from typing import Any

import numpy as np

from jaxgen.wording import count_of, mean_and_deviation

# Examples shown at either end of the table.
SHOWN = 5


def scores_as_html(scores: Any) -> str:
    """A summary of `jaxgen.Scores` and a table of the least and the most regular examples, as HTML."""
    unscored = int(np.isnan(scores.scores).sum())
    order = scores.least_regular(len(scores.scores))
    lowest, highest = order[:SHOWN], order[SHOWN:][-SHOWN:]
    num_ratios = len(scores.subset_ratios)
    ratios = f"each of {num_ratios} ratios" if num_ratios > 1 else "1 ratio"
    lines = [
        f"{len(scores.scores):,} examples, {count_of(scores.num_runs, 'model')} at {ratios}",
        *([f"{unscored:,} never held out at some ratio: no score"] if unscored else []),
        *(describe_ratio(scores, k) for k in sorted({0, len(scores.subset_ratios) - 1})),
    ]
    if len(scores.reliability):
        lines.append(f"split-half reliability {scores.reliability.mean():.4f}")
    heads = ("", "id", "label", "C-score", "standard error", "held out (n)")
    rows = [row(scores, i, "lowest" if k == 0 else "") for k, i in enumerate(lowest)]
    rows += [row(scores, i, "highest" if k == 0 else "") for k, i in enumerate(highest)]
    head = "".join(f"<th>{text}</th>" for text in heads)
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
