"""The page of a C-score job: one file that holds everything, and fetches nothing."""

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

PAGE = pathlib.Path(__file__).parent
# In the order in which they need each other.
SCRIPTS = ("arrays", "elements", "pictures", "histogram", "gallery", "details", "main")
# Flags whose values say in a few words what was trained.
TOLD = ("dataset", "model", "hidden", "epochs", "batch_size", "optimizer", "learning_rate", "design", "seed")

# Of what a score is made, in words.
ORIGINS = {
    "heldout": "models that held it out",
    "trained": "models trained on it",
    "both": "models of both kinds",
    "data": "the data alone",
}


def render_report(scores: Scores, dataset: Dataset | None, *, flagfile: str, notes: Sequence[str] = ()) -> str:
    """The whole page as text.

    Args:
      scores: what is shown.
      dataset: the examples themselves; None where they are not at hand, and the page has no pictures.
      flagfile: all flags of the job.
      notes: lines that the reader should see first.
    """
    columns = score_columns(scores)
    data = make_page_data(scores, columns, dataset)
    script = "\n".join(["'use strict';", *((PAGE / f"{name}.js").read_text() for name in SCRIPTS)])
    style = (PAGE / "page.css").read_text()
    known = np.bincount(scores.labels, minlength=len(scores.class_names))
    return environment().render(
        policy=content_policy(script, style),
        style=trusted(style),
        script=trusted(script),
        job=describe_job(scores),
        notes=[*notes, *describe_losses(scores, data.about, data.pictures)],
        columns=[describe_column(column) for column in columns],
        classes=[(str(name), f"{number:,}") for name, number in zip(scores.class_names, known, strict=True)],
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
    """The page's template. Whatever it is given is text and never markup, but what `trusted` marks."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(PAGE)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True).get_template(
        "page.html"
    )


def trusted(own: str) -> Any:
    """The package's own script or style, to stand in the page as it is."""
    from markupsafe import Markup

    return Markup(own)


def content_policy(script: str, style: str) -> str:
    """A policy under which a browser runs this script and no other, and fetches nothing.

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
    """What was trained, in words."""
    metadata, flags = scores.metadata, scores.metadata.get("flags", {})
    ratios, runs = len(scores.subset_ratios), scores.num_runs
    setting = f", setting {metadata['setting']}" if metadata.get("setting") else ""
    network = flags.get("model", "network")
    # Only that network has hidden layers to choose.
    units = f" with {flags['hidden'].replace(',', ' and ')} hidden units" if network == "mlp" else ""
    where = f"each of {ratios} subset ratios" if ratios > 1 else f"subset ratio {scores.subset_ratios[0]:g}"
    trained = f"{ratios * runs:,} models ({network}{units}{setting}): {runs:,} on random subsets at {where}"
    if metadata.get("diverged"):
        trained += f"; {metadata['diverged']:,} diverged and are left out"
    facts = [(f"--{name}", flags[name]) for name in TOLD if flags.get(name) and (name != "hidden" or units)]
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
    """What is missing from the page, or is not exact in it."""
    lines = []
    if unscored := int(np.isnan(scores.scores).sum()):
        lines.append(f"{unscored:,} of {len(scores.scores):,} examples were never held out at some ratio: no C-score.")
    if any(not sprites.is_exact for sprites in pictures.values()):
        lines.append("Pictures are made smaller, or compressed with loss, to keep this page small.")
    if about["pairs"] < about["allPairs"]:
        lines.append(f"Influence: the {about['pairs']:,} strongest of {about['allPairs']:,} pairs.")
    return lines


def describe_pairs(scores: Scores) -> str:
    """How many pairs of influence are strong, and how many would be by chance alone; empty where that is not known."""
    told = scores.metadata.get("influence")
    if not isinstance(told, dict) or not {"num_runs", "pairs", "by_chance"} <= told.keys():
        return ""
    at = (
        f" at ratio {float(scores.more['influence_ratio']):g}" if holds(scores.more, "influence_ratio", (), "f") else ""
    )
    return (
        f"Influence over n = {told['num_runs']:,} runs{at}: {told['pairs']:,} pairs have memorization of 0.25 and "
        f"influence of 0.15 or more; by chance alone {told['by_chance']:,} would."
    )


def describe_column(column: Column) -> dict[str, str]:
    """A score's row in the table of scores: every number over the examples that have it."""
    score, values = column.score, column.values[np.isfinite(column.values)]
    numbers = dict.fromkeys(("mean", "median", "lowest", "highest"), "unknown")
    if len(values):
        found = (values.mean(), np.median(values), values.min(), values.max())
        numbers = {name: f"{number:.4g}" for name, number in zip(numbers, found, strict=True)}
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
