"""The report of a comparison: notes on matching, correlations, overlaps, disagreements."""

import dataclasses
import functools

import numpy as np

from jaxgen.config import CompareSpec
from jaxgen.data.published.pairs import split_ids
from jaxgen.experiments.compare.comparison import Comparison
from jaxgen.experiments.compare.figures import draw_agreement, draw_disagreements
from jaxgen.experiments.compare.matching import Matched
from jaxgen.reporting.files import FLAG_FILE
from jaxgen.reporting.report import Report
from jaxgen.reporting.tables import to_table
from jaxgen.scores import agreement


def make_report(comparison: Comparison, spec: CompareSpec) -> Report:
    """Tables, figures, and arrays recomputed from runs."""
    draw = functools.cache(functools.partial(draw_agreement, comparison))
    files = {"table.md": to_markdown(comparison) + "\n", "compare.png": draw, "compare.pdf": draw}
    listed = [*files, FLAG_FILE]
    if comparison.pictures and len(comparison.lower):
        files["disagreements.png"] = functools.partial(draw_disagreements, comparison)
    files |= {f"{place}_recomputed.npz": arrays for place, arrays in (comparison.recomputed or {}).items()}
    listed += [name for name in files if name not in listed]
    # The flag file names the folder.
    spec = dataclasses.replace(spec, out=str(spec.out))
    # An earlier comparison may have left its figure.
    return Report(spec, to_markdown(comparison), files, stale=["disagreements.png"], listed=listed)


def to_markdown(comparison: Comparison) -> str:
    """Notes on matching, and tables of correlations, overlaps and disagreements."""
    matched, (first, second) = comparison.matched, comparison.matched.names
    kind = "pairs" if matched.pairs else "examples"
    lines = [f"{first} and {second}: n = {len(matched.ids):,} {kind}", "", *(f"* {note}" for note in matched.notes)]
    names = ("Pearson", "Spearman", "Kendall")
    correlations = [
        [name, f"{value:.4f}", f"{low:.4f} to {high:.4f}"]
        for name, value, (low, high) in zip(names, comparison.correlations, comparison.intervals, strict=True)
    ]
    overlaps = [
        [
            f"{overlap.k:,}",
            f"{overlap.share:.1%}",
            f"{overlap.chance:.1%} ({overlap.chance_low:.1%} to {overlap.chance_high:.1%})",
        ]
        for overlap in comparison.overlaps
    ]
    ranks = [agreement.rank_shares(values) for values in matched.values]
    disagreements = [
        [
            name_of(matched, i),
            "" if matched.class_labels is None else str(matched.class_labels[i]),
            *(f"{values[i]:.4g} ({rank[i]:.1%})" for values, rank in zip(matched.values, ranks, strict=True)),
        ]
        for i in (*comparison.lower, *comparison.higher)
    ]
    parts = [
        "\n".join(lines),
        to_table(["correlation", "value", "95 % interval"], correlations),
        to_table(["lowest k", "shared", "by chance, 95 % of draws"], overlaps),
    ]
    if tied := [
        f"{count:,} {name}" for count, name in zip(most_tied(comparison), matched.names, strict=True) if count > 1
    ]:
        parts.append(
            f"Where {kind} share the k-th value, what is shared is the mean over all ways to choose k; up to as many "
            f"share one: {', '.join(tied)}."
        )
    if not disagreements:
        return "\n\n".join([*parts, "No rank differs."])
    parts += [
        f"furthest apart in rank: {len(comparison.lower)} lower and {len(comparison.higher)} higher in the first",
        to_table([kind[:-1], "label", "first (rank)", "second (rank)"], disagreements),
    ]
    return "\n\n".join(parts)


def most_tied(comparison: Comparison) -> list[int]:
    """For each score, the largest number of examples tied at a k-th lowest value, where the tie exceeds k."""
    most = []
    for values in comparison.matched.values:
        kth_values = [
            (np.partition(values, overlap.k - 1)[overlap.k - 1], overlap.k) for overlap in comparison.overlaps
        ]
        most.append(
            max(
                [int((values == kth_value).sum()) for kth_value, k in kth_values if (values <= kth_value).sum() > k],
                default=1,
            )
        )
    return most


def name_of(matched: Matched, i: int) -> str:
    """An example's id, or a pair's two positions."""
    if not matched.pairs:
        return str(matched.ids[i])
    train, test = split_ids(matched.ids[i : i + 1])
    return f"{train[0]} -> {test[0]}"
