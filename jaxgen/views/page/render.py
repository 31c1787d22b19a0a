"""Rendering of the page of a C-score job, as a self-contained HTML file."""

import base64
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import jaxgen
from jaxgen.types import Dataset, Scores
from jaxgen.views.page.data import Column, holds, make_page_data, score_columns
from jaxgen.views.page.plots import accuracy_plot, reliability_plot
from jaxgen.views.summary import describe_reliability
from jaxgen.wording import count_of

PAGE = pathlib.Path(__file__).parent
# In order of their dependencies.
SCRIPTS = ("arrays", "elements", "pictures", "histogram", "gallery", "details", "main")
# Flags that the page shows at the top.
SHOWN_FLAGS = ("dataset", "model", "hidden", "epochs", "batch_size", "optimizer", "learning_rate", "design", "seed")

# Descriptions of `Score.origin`.
ORIGINS = {
    "heldout": "models that held it out",
    "trained": "models trained on it",
    "both": "models of both kinds",
    "data": "the data alone",
}


def render_report(scores: Scores, dataset: Dataset | None, *, flagfile: str, notes: Sequence[str] = ()) -> str:
    """The page as HTML.

    Args:
      scores: the results of the job.
      dataset: the examples; None if not available, and the page has no images.
      flagfile: all flags of the job.
      notes: lines at the top of the page.
    """
    columns = score_columns(scores)
    data = make_page_data(scores, columns, dataset)
    script = "\n".join(["'use strict';", *((PAGE / f"{name}.js").read_text() for name in SCRIPTS)])
    style = (PAGE / "page.css").read_text()
    class_sizes = np.bincount(scores.labels, minlength=len(scores.class_names))
    return environment().render(
        policy=content_policy(script, style),
        style=trusted(style),
        script=trusted(script),
        job=describe_job(scores),
        notes=[*notes, *describe_losses(scores, data.about, data.pictures)],
        columns=[describe_column(column) for column in columns],
        classes=[(str(name), f"{number:,}") for name, number in zip(scores.class_names, class_sizes, strict=True)],
        guessed="guesses" in data.arrays,
        accuracy=accuracy_plot(scores),
        reliability=reliability_plot(scores),
        influence=describe_pairs(scores),
        flagfile=flagfile,
        about={**data.about, "pairsTold": describe_pairs(scores)},
        arrays=data.arrays,
        pictures=data.pictures,
    )


def environment() -> Any:
    """The template of the page, with automatic escaping of everything that `trusted` does not mark."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(PAGE)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True).get_template(
        "page.html"
    )


def trusted(source: str) -> Any:
    """Marks a script or style of this package as safe to include without escaping."""
    from markupsafe import Markup

    return Markup(source)


def content_policy(script: str, style: str) -> str:
    """A content security policy that allows only this script and style, and no requests.

    Content Security Policy Level 3, https://www.w3.org/TR/CSP3/, sections 2.3.1 and 6.7.
    """
    script_hash, style_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)
    )
    return (
        f"default-src 'none'; script-src 'sha256-{script_hash}'; style-src 'sha256-{style_hash}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def describe_job(scores: Scores) -> dict[str, Any]:
    """The heading and the facts of a job."""
    metadata, flags = scores.metadata, scores.metadata.get("flags", {})
    ratios, runs = len(scores.subset_ratios), scores.num_runs
    setting = f", setting {metadata['setting']}" if metadata.get("setting") else ""
    network = flags.get("model", "network")
    # Only this network has configurable hidden layers.
    units = f" with {flags['hidden'].replace(',', ' and ')} hidden units" if network == "mlp" else ""
    where = f"each of {ratios} subset ratios" if ratios > 1 else f"subset ratio {scores.subset_ratios[0]:g}"
    trained = f"{count_of(ratios * runs, 'model')} ({network}{units}{setting}): {runs:,} on random subsets at {where}"
    if metadata.get("diverged"):
        trained += f"; {metadata['diverged']:,} diverged and are left out"
    facts = [(f"--{name}", flags[name]) for name in SHOWN_FLAGS if flags.get(name) and (name != "hidden" or units)]
    for name, words in (("seconds", "seconds of training, all models"), ("devices", "devices"), ("jax", "jax")):
        if name in metadata:
            facts.append((words, f"{metadata[name]:.4g}" if name == "seconds" else str(metadata[name])))
    reliability = describe_reliability(scores)
    return {
        "version": str(metadata.get("version", jaxgen.__version__)),
        "name": str(metadata.get("dataset", "data")),
        "num_examples": f"{len(scores.labels):,}",
        "trained": f"{trained}.",
        "reliability": reliability[:1].upper() + reliability[1:] + ".",
        "facts": facts,
    }


def describe_losses(scores: Scores, about: Mapping[str, Any], pictures: Mapping[str, Any]) -> list[str]:
    """Lines about data that the page lacks or shows inexactly."""
    lines = []
    if unscored := int(np.isnan(scores.scores).sum()):
        lines.append(f"{unscored:,} of {len(scores.scores):,} examples were never held out at some ratio: no C-score.")
    if any(not sprites.is_exact for sprites in pictures.values()):
        lines.append("Pictures are made smaller, or compressed with loss, to keep this page small.")
    if about["pairs"] < about["allPairs"]:
        lines.append(f"Influence: the {about['pairs']:,} strongest of {about['allPairs']:,} pairs.")
    return lines


def describe_pairs(scores: Scores) -> str:
    """The number of strong influence pairs, and how many chance alone would give; empty if unknown."""
    counts = scores.metadata.get("influence")
    if not isinstance(counts, dict) or not {"num_runs", "pairs", "by_chance"} <= counts.keys():
        return ""
    has_ratio = holds(scores.more, "influence_ratio", (), "f")
    ratio = f" at ratio {float(scores.more['influence_ratio']):g}" if has_ratio else ""
    return (
        f"Influence over n = {counts['num_runs']:,} runs{ratio}: {counts['pairs']:,} pairs have memorization of 0.25 "
        f"and influence of 0.15 or more; by chance alone about {counts['by_chance']:,} would."
    )


def describe_column(column: Column) -> dict[str, str]:
    """The row of a score in the table of scores; statistics are over the examples with a value."""
    score, values = column.score, column.values[np.isfinite(column.values)]
    numbers = dict.fromkeys(("mean", "median", "lowest", "highest"), "unknown")
    if len(values):
        statistics = (values.mean(), np.median(values), values.min(), values.max())
        numbers = {name: f"{number:.4g}" for name, number in zip(numbers, statistics, strict=True)}
    source, _, link = score.source.partition(", http")
    errors = column.stderr[np.isfinite(column.stderr)] if column.stderr is not None else values[:0]
    return {
        "name": score.name,
        "title": "C-score" if score.name == "scores" else score.name.replace("_", " "),
        "meaning": score.meaning,
        "origin": ORIGINS[score.origin],
        "suspicious": "high" if score.suspicious > 0 else "low",
        "source": source,
        "link": f"http{link}" if link else "",
        "n": f"{len(values):,}",
        "stderr": f"{np.median(errors):.2g}" if len(errors) else "unknown",
        **numbers,
    }
