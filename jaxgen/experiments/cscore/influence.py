"""Influence of the examples of a C-score job on its test set (Feldman, Zhang, NeurIPS 2020), from the runs of one of
its ratios."""

import dataclasses

import numpy as np

from jaxgen.config import CscoreSpec
from jaxgen.errors import UserError
from jaxgen.scores import influence
from jaxgen.scores.heldout import RunStream
from jaxgen.scores.influence_by_chance import ByChance, by_chance
from jaxgen.scores.memorization import nearest_ratio
from jaxgen.types import Dataset, Scores


def check_influence(dataset: Dataset, spec: CscoreSpec) -> None:
    """Checks the influence flags.

    Raises:
      UserError: for ``--influence_pairs`` without a test set, or ``--influence_within_class`` without pairs.
    """
    count = spec.influence.influence_pairs
    if count and dataset.test_labels is None:
        raise UserError(
            f"--influence_pairs={count}: is of training examples on test examples, and {dataset.name} has no test set; "
            "give data that have one (npz: test_images and test_labels), or leave it out"
        )
    if spec.influence.influence_within_class and not count:
        raise UserError("--influence_within_class: goes with --influence_pairs; give both, or leave it out")


def chance_metadata(chance: ByChance) -> dict[str, float]:
    """What arises by chance, as numbers for the metadata: mean, least and most over pairings of runs."""
    if not len(chance.pairs) or not np.isfinite(chance.strongest).all():
        return {"by_chance": 0, "pairings": 0}
    numbers: dict[str, float] = {"pairings": len(chance.pairs), "by_chance": round(float(chance.pairs.mean()))}
    for name, values in (("by_chance", chance.pairs), ("strongest_by_chance", chance.strongest)):
        numbers |= {f"{name}_least": float(values.min()), f"{name}_most": float(values.max())}
    return numbers | {"strongest_by_chance": float(chance.strongest.mean())}


def add_influence(dataset: Dataset, spec: CscoreSpec, runs: RunStream, scores: Scores) -> Scores:
    """The scores with the most influential pairs added, and a summary of them in the metadata.

    Args:
      dataset: with a test set.
      spec: of one setting.
      runs: ``runs(i)`` streams the runs of ratio i.
      scores: of the same runs, with memorization at the ratio nearest to 0.7, which is that of the influences too.
    """
    flags, ratios = spec.influence, spec.subsets.subset_ratios
    ratio_index = nearest_ratio(ratios)
    answers = influence.gather(runs(ratio_index), len(dataset.labels), len(dataset.test_labels))
    labels = (dataset.labels, dataset.test_labels) if flags.influence_within_class else None
    pairs = influence.strongest(answers, flags.influence_pairs, labels=labels)
    memorization = scores.more["memorization"]
    selected = influence.select_pairs(answers, memorization, labels=labels)
    chance = by_chance(answers, memorization, labels=labels)
    arrays = {
        "influence_train": pairs.train,
        "influence_test": pairs.test,
        "influence": pairs.values.astype(np.float32),
        "influence_stderr": pairs.stderr.astype(np.float32),
        "influence_low": pairs.low.astype(np.float32),
        "influence_high": pairs.high.astype(np.float32),
        "influence_ratio": np.float64(ratios[ratio_index]),
        "test_labels": dataset.test_labels.astype(np.int64),
        "test_accuracy_by_example": influence.test_accuracy(answers),
    }
    if dataset.test_ids is not None:
        arrays["test_ids"] = dataset.test_ids
    summary = {
        "num_runs": answers.num_runs,
        **selected._asdict(),
        **chance_metadata(chance),
    }
    return dataclasses.replace(
        scores, more={**scores.more, **arrays}, metadata={**scores.metadata, "influence": summary}
    )
