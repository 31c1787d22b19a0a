"""What a comparison has found, and the table that tells it."""

from typing import NamedTuple

import numpy as np

from jaxgen.data.pairs import split_ids
from jaxgen.experiments.matching import Matched
from jaxgen.scores import agreement
from jaxgen.types import Dataset


class Comparison(NamedTuple):
    """What two scores of n examples (or pairs) have in common.

    Attributes:
      matched: both, of the examples that both know.
      correlations, intervals: the three, and ``[3, 2]``.
      overlaps: of the lowest k, for each k.
      lower, higher: positions of the examples that the first puts furthest below and above the second, by rank.
      pictures: the data set and the place of each example in it, or None.
      recomputed: by file, what was recomputed from runs.
    """

    matched: Matched
    correlations: agreement.Correlations
    intervals: np.ndarray
    overlaps: tuple[agreement.Overlap, ...]
    lower: np.ndarray
    higher: np.ndarray
    pictures: tuple[Dataset, np.ndarray] | None
    recomputed: dict[str, dict[str, np.ndarray]] | None = None


def to_markdown(found: Comparison) -> str:
    """How they were matched; correlations, overlaps and disagreements as tables."""
    matched, (first, second) = found.matched, found.matched.names
    what = "pairs" if matched.pairs else "examples"
    lines = [f"{first} and {second}: n = {len(matched.ids):,} {what}", "", *(f"* {note}" for note in matched.notes), ""]
    lines += ["| correlation | value | 95 % interval |", "| --- | --- | --- |"]
    names = ("Pearson", "Spearman", "Kendall")
    for name, value, (low, high) in zip(names, found.correlations, found.intervals, strict=True):
        lines.append(f"| {name} | {value:.4f} | {low:.4f} to {high:.4f} |")
    lines += ["", "| lowest k | shared | by chance, 95 % of draws |", "| --- | --- | --- |"]
    for each in found.overlaps:
        lines.append(
            f"| {each.k:,} | {each.share:.1%} | {each.chance:.1%} ({each.chance_low:.1%} to {each.chance_high:.1%}) |"
        )
    lines += ["", f"furthest apart in rank: {len(found.lower)} lower and {len(found.higher)} higher in the first"]
    lines += ["", f"| {what[:-1]} | label | first (rank) | second (rank) |", "| --- | --- | --- | --- |"]
    ranks = [agreement.rank_shares(own) for own in matched.values]
    for i in (*found.lower, *found.higher):
        cells = " | ".join(f"{own[i]:.4g} ({rank[i]:.1%})" for own, rank in zip(matched.values, ranks, strict=True))
        lines.append(f"| {name_of(matched, i)} | {'' if matched.labels is None else matched.labels[i]} | {cells} |")
    return "\n".join(lines)


def name_of(matched: Matched, i: int) -> str:
    """An example's id, or a pair's two positions."""
    if not matched.pairs:
        return str(matched.ids[i])
    train, test = split_ids(matched.ids[i : i + 1])
    return f"{train[0]} -> {test[0]}"
