"""What a comparison tells: how two scores were matched, correlations, overlaps, disagreements."""

import dataclasses
import functools

import numpy as np

from jaxgen.config import CompareSpec
from jaxgen.data.pairs import split_ids
from jaxgen.experiments.compare.comparison import Comparison
from jaxgen.experiments.compare.figures import draw_agreement, draw_disagreements
from jaxgen.experiments.compare.matching import Matched
from jaxgen.reporting.files import FLAG_FILE
from jaxgen.reporting.report import Report
from jaxgen.reporting.tables import to_table
from jaxgen.scores import agreement


def make_report(found: Comparison, spec: CompareSpec) -> Report:
    """The table, the figures, and what was recomputed from runs."""
    draw = functools.cache(functools.partial(draw_agreement, found))
    files = {"table.md": to_markdown(found) + "\n", "compare.png": draw, "compare.pdf": draw}
    listed = [*files, FLAG_FILE]
    if found.pictures and len(found.lower):
        files["disagreements.png"] = functools.partial(draw_disagreements, found)
    files |= {f"{place}_recomputed.npz": arrays for place, arrays in (found.recomputed or {}).items()}
    listed += [name for name in files if name not in listed]
    # The flags name the folder too.
    spec = dataclasses.replace(spec, out=str(spec.out))
    # Of another comparison in the same folder.
    return Report(spec, to_markdown(found), files, stale=["disagreements.png"], listed=listed)


def to_markdown(found: Comparison) -> str:
    """How they were matched; correlations, overlaps and disagreements as tables."""
    matched, (first, second) = found.matched, found.matched.names
    what = "pairs" if matched.pairs else "examples"
    lines = [f"{first} and {second}: n = {len(matched.ids):,} {what}", "", *(f"* {note}" for note in matched.notes)]
    names = ("Pearson", "Spearman", "Kendall")
    correlations = [
        [name, f"{value:.4f}", f"{low:.4f} to {high:.4f}"]
        for name, value, (low, high) in zip(names, found.correlations, found.intervals, strict=True)
    ]
    overlaps = [
        [f"{each.k:,}", f"{each.share:.1%}", f"{each.chance:.1%} ({each.chance_low:.1%} to {each.chance_high:.1%})"]
        for each in found.overlaps
    ]
    ranks = [agreement.rank_shares(own) for own in matched.values]
    apart = [
        [
            name_of(matched, i),
            "" if matched.told is None else str(matched.told[i]),
            *(f"{own[i]:.4g} ({rank[i]:.1%})" for own, rank in zip(matched.values, ranks, strict=True)),
        ]
        for i in (*found.lower, *found.higher)
    ]
    parts = [
        "\n".join(lines),
        to_table(["correlation", "value", "95 % interval"], correlations),
        to_table(["lowest k", "shared", "by chance, 95 % of draws"], overlaps),
    ]
    if tied := [f"{own:,} {name}" for own, name in zip(most_tied(found), matched.names, strict=True) if own > 1]:
        parts.append(
            f"Where {what} share the k-th value, what is shared is the mean over all ways to choose k; up to as many "
            f"share one: {', '.join(tied)}."
        )
    if not apart:
        return "\n\n".join([*parts, "No rank differs."])
    parts += [
        f"furthest apart in rank: {len(found.lower)} lower and {len(found.higher)} higher in the first",
        to_table([what[:-1], "label", "first (rank)", "second (rank)"], apart),
    ]
    return "\n\n".join(parts)


def most_tied(found: Comparison) -> list[int]:
    """Of each score, how many share the k-th lowest value, at that k where most do and not all of them are counted."""
    most = []
    for own in found.matched.values:
        at = [(np.partition(own, each.k - 1)[each.k - 1], each.k) for each in found.overlaps]
        most.append(max([int((own == last).sum()) for last, k in at if (own <= last).sum() > k], default=1))
    return most


def name_of(matched: Matched, i: int) -> str:
    """An example's id, or a pair's two positions."""
    if not matched.pairs:
        return str(matched.ids[i])
    train, test = split_ids(matched.ids[i : i + 1])
    return f"{train[0]} -> {test[0]}"
