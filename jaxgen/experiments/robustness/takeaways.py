"""Short statements that a robustness job's results bear out, each with its numbers and its n; no others."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.experiments.robustness.measure import NUM_GROUPS, judged, modified_places
from jaxgen.experiments.robustness.run import Results
from jaxgen.jobs.table import TableJob
from jaxgen.reporting.statements import MIN_RUNS, describe, is_consistent
from jaxgen.scores.paired import compare, describe_difference


class ClassChange(NamedTuple):
    """What training on a modified data set changed in a class's F1 on one test set.

    Attributes:
      modification: what the training set was modified by.
      test_set: ``none``, the original, or the modification.
      name: of the class.
      before, after, differences: ``[n]``, one a run that both settings have finished.
      verdict: 1 gained, -1 lost, 0 neither for sure.
    """

    modification: str
    test_set: str
    name: str
    before: np.ndarray
    after: np.ndarray
    differences: np.ndarray
    verdict: int


def pairs(job: TableJob, results: Results, modification: str) -> list[tuple[int, int]]:
    """Members trained on the original and on the modified data, alike in all else; both finite."""
    others = [flag for flag in job.flags if flag != "train_modification"]

    def key(row: dict) -> tuple:
        return row["run"], *(row[flag] for flag in others)

    finite = [(i, row) for i, row in enumerate(results.rows) if row["finite"]]
    original = {key(row): i for i, row in finite if row["train_modification"] == "none"}
    return [
        (original[key(row)], i)
        for i, row in finite
        if row["train_modification"] == modification and key(row) in original
    ]


def class_changes(job: TableJob, results: Results) -> Iterator[ClassChange]:
    """Every modification, test set and class."""
    sets = ["none", *(name for name, _ in modified_places(job))]
    for modification in sets[1:]:
        found = pairs(job, results, modification)
        if not found:
            continue
        for test_set in ("none", modification):
            f1 = np.array([[results.measured[i].f1[sets.index(test_set)] for i in pair] for pair in found])
            runs = np.array([results.rows[i]["run"] for i, _ in found])
            for c, name in enumerate(job.dataset.class_names):
                before, after = (mean_by_run(f1[:, side, c], runs) for side in (0, 1))
                known = np.isfinite(before) & np.isfinite(after)
                differences = (after - before)[known]
                verdict = int(np.sign(differences.mean())) if is_consistent(differences) else 0
                yield ClassChange(modification, test_set, name, before[known], after[known], differences, verdict)


def mean_by_run(values: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """A run is one observation, in however many settings it was trained."""
    return np.array([values[runs == run].mean() for run in np.unique(runs)])


def interval(differences: Sequence[float]) -> str:
    """Mean and 95 % interval, in points."""
    return describe_difference(compare(differences))


def take_away(job: TableJob, results: Results) -> list[str]:
    """All statements that hold."""
    return [
        *say_hardest(job, results),
        *say_settings(results),
        *say_modifications(job, results),
        *say_groups(job, results),
    ]


def own_runs(results: Results, setting: str) -> dict[int, int]:
    """The finite members of a setting by run."""
    return {row["run"]: i for i, row in enumerate(results.rows) if row["setting"] == setting and row["finite"]}


def say_hardest(job: TableJob, results: Results) -> Iterator[str]:
    """What costs the baseline most, and least."""
    own = list(own_runs(results, results.baseline).values())
    if len(own) < MIN_RUNS or len(judged(job)) < 2:
        return
    drops = {
        name: [results.rows[i]["test_accuracy"] - results.rows[i][f"test_accuracy_{name}"] for i in own]
        for name in judged(job)
    }
    order = sorted(drops, key=lambda name: -np.mean(drops[name]))
    most, least = order[0], order[-1]
    if is_consistent([a - b for a, b in zip(drops[most], drops[least], strict=True)]):
        whole = describe([results.rows[i]["robustness_drop"] for i in own], unit=" points")
        yield (
            f"{results.baseline}: corruption costs {whole} of test accuracy on average; most {most}, "
            f"{describe(drops[most], unit=' points')}, least {least}, {describe(drops[least], unit=' points')}."
        )


def say_settings(results: Results) -> Iterator[str]:
    """How each setting's accuracy, clean and corrupted, differs from the baseline's."""
    base = own_runs(results, results.baseline)
    for setting in dict.fromkeys(row["setting"] for row in results.rows):
        own = own_runs(results, setting)
        runs = sorted(own.keys() & base.keys())
        if setting == results.baseline or len(runs) < MIN_RUNS:
            continue
        said = []
        for measure, where in (("test_accuracy", "clean"), ("corrupted_accuracy", "corrupted")):
            found = [results.rows[own[run]][measure] - results.rows[base[run]][measure] for run in runs]
            if is_consistent(found):
                said.append(f"{interval(found)} points on {where} test images")
        if said:
            yield f"{setting} against {results.baseline}: {', '.join(said)} (n = {len(runs)} pairs)."


def say_modifications(job: TableJob, results: Results) -> Iterator[str]:
    """Which classes gained and which lost by training on a modified data set."""
    changes = list(class_changes(job, results))
    for modification, _ in modified_places(job):
        for test_set in ("none", modification):
            own = [one for one in changes if (one.modification, one.test_set) == (modification, test_set)]
            told = []
            for verdict, word in ((1, "gain"), (-1, "lose")):
                found = [one for one in own if one.verdict == verdict]
                found.sort(key=lambda one: -abs(one.differences.mean()))
                if found:
                    listed = ", ".join(f"{one.name} {interval(one.differences)}" for one in found)
                    told.append(f"{len(found)} of {len(own)} classes {word} in F1 ({listed})")
            if told:
                where = "original" if test_set == "none" else test_set
                changes_told, count = "; ".join(told), max(len(one.differences) for one in own)
                yield f"trained on {modification} images, on the {where} test set: {changes_told}; n = {count} pairs."


def say_groups(job: TableJob, results: Results) -> Iterator[str]:
    """Whether irregular examples break first."""
    if job.versions.scores is None:
        return
    own = list(own_runs(results, results.baseline).values())
    kept = np.array([results.measured[i].kept.mean(0) for i in own])
    if len(own) < MIN_RUNS or not np.isfinite(kept[:, [0, NUM_GROUPS - 1]]).all():
        return
    differences = kept[:, -1] - kept[:, 0]
    if is_consistent(differences):
        first = "irregular" if differences.mean() > 0 else "regular"
        yield (
            f"{results.baseline}: {first} examples break first: of those right when clean, "
            f"{describe(kept[:, 0])} of the tenth of lowest C-scores stay right under corruption, "
            f"{describe(kept[:, -1])} of the highest."
        )
