"""Short statements that the results of a robustness job support, each with its numbers and n."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.experiments.robustness.measure import corruption_indices, modified_versions
from jaxgen.experiments.robustness.run import RobustnessResults
from jaxgen.experiments.robustness.score_groups import group_scores
from jaxgen.jobs.member_table import TableJob
from jaxgen.reporting.statements import MIN_RUNS, TestFamily, describe
from jaxgen.scores.paired import compare, describe_difference


class ClassChange(NamedTuple):
    """Change of a class's F1 on one test set from training on modified data.

    Attributes:
      modification: modification of the training set.
      test_set: ``none`` for the original test set, or the modification.
      name: name of the class.
      before, after, differences: F1 by run ``[n]``, trained on original and on modified data, and their difference.
      verdict: 1 for a gain, -1 for a loss, 0 if not significant.
    """

    modification: str
    test_set: str
    name: str
    before: np.ndarray
    after: np.ndarray
    differences: np.ndarray
    verdict: int


def pair_members(job: TableJob, results: RobustnessResults, modification: str) -> list[tuple[int, int]]:
    """Pairs of finite members trained on original and on modified data, equal in all other flags and in the run."""
    shared_flags = [flag for flag in job.flags if flag != "train_modification"]

    def key(row: dict) -> tuple:
        return row["run"], *(row[flag] for flag in shared_flags)

    finite = [(i, row) for i, row in enumerate(results.rows) if row["finite"]]
    original = {key(row): i for i, row in finite if row["train_modification"] == "none"}
    return [
        (original[key(row)], i)
        for i, row in finite
        if row["train_modification"] == modification and key(row) in original
    ]


def class_changes(family: TestFamily, job: TableJob, results: RobustnessResults) -> Iterator[ClassChange]:
    """Yields the change for each modification, test set and class, judged by `family`."""
    sets = ["none", *(name for name, _ in modified_versions(job))]
    for modification in sets[1:]:
        pairs = pair_members(job, results, modification)
        if not pairs:
            continue
        for test_set in ("none", modification):
            f1 = np.array([[results.measured[i].f1[sets.index(test_set)] for i in pair] for pair in pairs])
            runs = np.array([results.rows[i]["run"] for i, _ in pairs])
            for c, name in enumerate(job.dataset.class_names):
                before, after = (mean_by_run(f1[:, side, c], runs) for side in (0, 1))
                known = np.isfinite(before) & np.isfinite(after)
                differences = (after - before)[known]
                verdict = int(np.sign(differences.mean())) if family.significant(differences) else 0
                yield ClassChange(modification, test_set, name, before[known], after[known], differences, verdict)


def mean_by_run(values: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Means of values by run, as a run is one observation in all its settings."""
    return np.array([values[runs == run].mean() for run in np.unique(runs)])


def describe_interval(differences: Sequence[float]) -> str:
    """Mean and 95 % interval, in percentage points."""
    return describe_difference(compare(differences))


def take_away(family: TestFamily, job: TableJob, results: RobustnessResults) -> Iterator[str]:
    """All statements that the results support by `family`."""
    yield from state_hardest(family, job, results)
    yield from state_settings(family, job, results)
    yield from state_modifications(family, job, results)
    yield from state_score_groups(family, job, results)


def members_by_run(results: RobustnessResults, setting: str) -> dict[int, int]:
    """Indices of the finite members of a setting by run."""
    return {row["run"]: i for i, row in enumerate(results.rows) if row["setting"] == setting and row["finite"]}


def state_hardest(family: TestFamily, job: TableJob, results: RobustnessResults) -> Iterator[str]:
    """States what corruption costs the baseline, and where most and least, if that differs from the other corruptions.

    Each corruption is tested against the median of the others, whichever turns out as the extreme one.
    """
    members = list(members_by_run(results, results.baseline).values())
    if len(members) < MIN_RUNS or len(corruption_indices(job)) < 2:
        return
    names = list(corruption_indices(job))
    accuracies = np.array([[results.rows[i][f"test_accuracy_{name}"] for name in names] for i in members])
    drops = np.array([results.rows[i]["test_accuracy"] for i in members])[:, None] - accuracies
    others = [np.median(np.delete(drops, c, axis=1), axis=1) for c in range(len(names))]
    significant = [family.significant((drops[:, c] - others[c]).tolist()) for c in range(len(names))]
    order = np.argsort(-drops.mean(0), kind="stable")
    overall = describe([results.rows[i]["robustness_drop"] for i in members], unit=" points")
    parts = [
        f"{size} under {names[c]}, {describe(drops[:, c].tolist(), unit=' points')}"
        for size, c in (("most", order[0]), ("least", order[-1]))
        if significant[c]
    ]
    if parts:
        yield (
            f"{results.baseline}: corruption costs {overall} of test accuracy on average, {', '.join(parts)}; "
            f"{'both differ' if len(parts) > 1 else 'this differs'} from the median of the other corruptions."
        )


class CorruptedGains(NamedTuple):
    """Differences in accuracy on corrupted test images, one a pair.

    Attributes:
      others: means over the corruptions that neither setting was trained under; None if there are none.
      num_others: number of these corruptions.
      trained: the differences under each of the other corruptions, by name.
    """

    others: list[float] | None
    num_others: int
    trained: dict[str, list[float]]

    def by_kind(self) -> dict[str, list[float]]:
        """The same by a name of the test images."""
        kind = f"corrupted (the {self.num_others} neither was trained under)" if self.trained else "corrupted"
        others = {kind: self.others} if self.others is not None else {}
        return others | {f"{name}-corrupted": differences for name, differences in self.trained.items()}


def corrupted_gains(job: TableJob, pairs: Sequence[tuple[dict, dict]]) -> CorruptedGains:
    """Differences in accuracy on corrupted test images between paired members.

    Where a setting, or what it is compared with, is trained under one of the corruptions, that one is told apart from
    the others: what is gained on the corruption itself is no robustness to others.

    Args:
      job: the job.
      pairs: rows of members of a setting, each with the row of the same run that it is compared with.
    """
    names = list(corruption_indices(job))
    trained = {row["train_corruption"] for pair in pairs for row in pair} & {*names}
    gains = {}
    for name in names:
        gains[name] = [own[f"test_accuracy_{name}"] - other[f"test_accuracy_{name}"] for own, other in pairs]
    others = [gains[name] for name in names if name not in trained]
    mean = np.mean(others, axis=0).tolist() if others else None
    return CorruptedGains(mean, len(others), {name: gains[name] for name in sorted(trained)})


def state_settings(family: TestFamily, job: TableJob, results: RobustnessResults) -> Iterator[str]:
    """States how each setting's clean and corrupted accuracy differ from the baseline's."""
    base = members_by_run(results, results.baseline)
    for setting in dict.fromkeys(row["setting"] for row in results.rows):
        members = members_by_run(results, setting)
        runs = sorted(members.keys() & base.keys())
        if setting == results.baseline or len(runs) < MIN_RUNS:
            continue
        pairs = [(results.rows[members[run]], results.rows[base[run]]) for run in runs]
        by_kind = {"clean": [own["test_accuracy"] - other["test_accuracy"] for own, other in pairs]}
        by_kind |= corrupted_gains(job, pairs).by_kind()
        parts = [
            f"{describe_interval(differences)} points on {kind} test images"
            for kind, differences in by_kind.items()
            if family.significant(differences)
        ]
        if parts:
            yield f"{setting} against {results.baseline}: {', '.join(parts)} (n = {len(runs)} pairs)."


def state_modifications(family: TestFamily, job: TableJob, results: RobustnessResults) -> Iterator[str]:
    """States the classes that gained and lost F1 from training on modified data."""
    all_changes = list(class_changes(family, job, results))
    for modification, _ in modified_versions(job):
        for test_set in ("none", modification):
            key = (modification, test_set)
            changes = [change for change in all_changes if (change.modification, change.test_set) == key]
            parts = []
            for verdict, verb in ((1, "gain"), (-1, "lose")):
                significant = [change for change in changes if change.verdict == verdict]
                significant.sort(key=lambda change: -abs(change.differences.mean()))
                if significant:
                    classes = [f"{change.name} {describe_interval(change.differences)}" for change in significant]
                    parts.append(f"{len(significant)} of {len(changes)} classes {verb} in F1 ({', '.join(classes)})")
            if parts:
                name = "original" if test_set == "none" else test_set
                listed, count = "; ".join(parts), max(len(change.differences) for change in changes)
                yield f"trained on {modification} images, on the {name} test set: {listed}; n = {count} pairs."


def state_score_groups(family: TestFamily, job: TableJob, results: RobustnessResults) -> Iterator[str]:
    """States whether irregular or regular examples are misclassified first under corruption."""
    if job.versions.scores is None:
        return
    groups = group_scores(job.versions.scores)
    members = list(members_by_run(results, results.baseline).values())
    shares = np.array([results.measured[i].still_correct.mean(0) for i in members])
    if len(members) < MIN_RUNS or len(groups) < 2 or not np.isfinite(shares[:, [0, -1]]).all():
        return
    differences = shares[:, -1] - shares[:, 0]
    if family.significant(differences.tolist()):
        first = "irregular" if differences.mean() > 0 else "regular"
        yield (
            f"{results.baseline}: {first} examples break first: of those right when clean, {describe(shares[:, 0])} "
            f"of the lowest C-scores, {groups[0].describe()}, stay right under corruption, {describe(shares[:, -1])} "
            f"of the highest, {groups[-1].describe()}."
        )
