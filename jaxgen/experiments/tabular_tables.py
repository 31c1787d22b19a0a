"""What a job on tables tells: treatments by classifier, ranks over data sets, the files."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxgen.experiments.files import flagfile_header, written_or_told
from jaxgen.experiments.pairs import Difference, compare_folds, describe_difference, describe_p
from jaxgen.experiments.tables import nan_mean, percent, to_csv, to_table
from jaxgen.experiments.tabular import MEASURES
from jaxgen.experiments.tabular_job import (
    TableJob,
    describe_folds,
    expect_table_flips,
    make_table_job,
    run_tables,
)
from jaxgen.flags import to_flagfile
from jaxgen.scores.ranking import Ranking, rank_methods
from jaxgen.spec import LnrSpec
from jaxgen.types import Dataset
from jaxgen.views.figures import write_figure
from jaxgen.views.ranks import draw_ranks, draw_treatments

PROGRAM = "jaxgen.lnr"
TITLES = dict(zip(MEASURES, ("F1", "G-mean", "AUC"), strict=True))


class Found:
    """All scores as one array, ``[tables, classifiers, treatments, repeats, folds, measures]``."""

    def __init__(self, job: TableJob, rows: list[dict[str, Any]]):
        own = job.spec.tabular
        self.tables, self.classifiers, self.treatments = list(job.tables), own.classifiers, own.treatments
        axes = self.tables, self.classifiers, self.treatments, range(job.spec.num_runs), range(own.folds)
        places = [{name: i for i, name in enumerate(axis)} for axis in axes]
        names = ("table", "classifier", "treatment", "run", "fold")
        shape = tuple(map(len, axes))
        self.scores = np.full((*shape, len(MEASURES)), np.nan)
        self.flips, self.refused = np.zeros(shape), np.zeros(shape, bool)
        for row in rows:
            place = tuple(where[row[name]] for where, name in zip(places, names, strict=True))
            self.scores[place], self.flips[place] = [row[measure] for measure in MEASURES], row["flips"]
            self.refused[place] = row["refused"]

    def difference(self, table: int, treatment: str, other: str, classifier: str | None = None) -> Difference:
        """Of F1 between treatments of a table, by a classifier or by the mean over all, over all folds."""
        places = (self.treatments.index(name) for name in (treatment, other))
        own, theirs = (self.scores[table, :, place, :, :, 0] for place in places)
        apart = own - theirs
        chosen = nan_mean(apart, 0) if classifier is None else apart[self.classifiers.index(classifier)]
        return compare_folds(chosen.ravel(), chosen.shape[1])

    @property
    def by_repeat(self) -> np.ndarray:
        """Means over folds, ``[tables, classifiers, treatments, repeats, measures]``; a fold without a score is left
        out."""
        return nan_mean(self.scores, 4)

    def ranking(self, measure: str, classifier: str | None = None) -> Ranking:
        """Of the treatments over tables, by a classifier or by the mean over all."""
        means = nan_mean(self.by_repeat[..., MEASURES.index(measure)], 3)
        chosen = nan_mean(means, 1) if classifier is None else means[:, self.classifiers.index(classifier)]
        return rank_methods(chosen)


def treatment_table(found: Found, table: int) -> str:
    """Of a table: a line a classifier and treatment."""
    header = ["classifier", "treatment", *TITLES.values(), "flips a fold", "F1 - none", "p", "n", "refused"]
    lines, scores = [], found.by_repeat[table]
    for c, classifier in enumerate(found.classifiers):
        for t, treatment in enumerate(found.treatments):
            own = scores[c, t]
            cells = [percent(own[:, i]) for i in range(len(MEASURES))]
            flips = f"{found.flips[table, c, t].mean():.1f}" if treatment in ("lnr", "random_flips") else ""
            difference = compare_folds([], len(found.scores[0, 0, 0, 0]))
            if "none" in found.treatments and treatment != "none":
                difference = found.difference(table, treatment, "none", classifier)
            n = str(int(np.isfinite(own[:, 0]).sum()))
            refused = int(found.refused[table, c, t].sum())
            cells += [
                flips,
                describe_difference(difference),
                describe_p(difference),
                n,
                str(refused) if refused else "",
            ]
            lines.append([classifier, treatment, *cells])
    return to_table(header, lines)


def rank_table(found: Found) -> str:
    """Mean ranks of the treatments over tables: a line a treatment, by every measure, and by F1 for each classifier."""
    overall = {TITLES[name]: found.ranking(name) for name in MEASURES}
    columns = {**overall, **{f"F1, {name}": found.ranking("f1", name) for name in found.classifiers}}
    lines = [
        [treatment, *(f"{one.ranks[t]:.2f}" for one in columns.values())]
        for t, treatment in enumerate(found.treatments)
    ]
    lines.append(["critical difference", *(f"{one.critical_difference:.2f}" for one in columns.values())])
    lines.append(["Friedman p", *(f"{one.p:.2g}" for one in columns.values())])
    lines.append(["n data sets", *(str(one.n) for one in columns.values())])
    return to_table(["treatment", *columns], lines)


def mean_table(found: Found) -> str:
    """Mean F1 of each treatment on each table, over classifiers, folds and repeats."""
    means = nan_mean(nan_mean(found.by_repeat[..., 0], 3), 1)
    lines = [[name, *(f"{100 * one:.1f}" for one in means[i])] for i, name in enumerate(found.tables)]
    return to_table(["F1, percent", *found.treatments], lines)


def statements(found: Found) -> list[str]:
    """Whether the rule beats its controls over data sets, by mean ranks."""
    said = []
    for other in ("none", "random_flips", "smote", "adasyn"):
        if "lnr" not in found.treatments or other not in found.treatments:
            continue
        places = found.treatments.index("lnr"), found.treatments.index(other)
        if len(found.tables) > 1:
            ranking = found.ranking("f1")
            own, theirs = (ranking.ranks[place] for place in places)
            apart = abs(own - theirs) > ranking.critical_difference
            verdict = ("lnr ranks better" if own < theirs else f"{other} ranks better") if apart else "not told apart"
            said.append(
                f"lnr against {other} by F1, mean over classifiers: mean rank {own:.2f} against {theirs:.2f} over "
                f"{ranking.n} data sets, critical difference {ranking.critical_difference:.2f}: {verdict}."
            )
        else:
            difference = found.difference(0, "lnr", other)
            said.append(
                f"lnr minus {other}, F1, mean over classifiers: {describe_difference(difference)} points, p = "
                f"{describe_p(difference)} (corrected for repeated folds), n = {difference.n} folds of the same rows."
            )
    return said


def to_text(job: TableJob, found: Found) -> str:
    """All tables, with what they are."""
    own = job.spec.tabular
    sizes = "; ".join(
        f"{name}: {len(part.y):,} rows of {part.x.shape[1]}, {int(part.y.sum())} of the minority"
        for name, part in job.tables.items()
    )
    parts = [
        f"# Two unequal classes: {', '.join(found.tables)}",
        f"{sizes}. Stratified {own.folds}-fold, divided anew {job.spec.num_runs} times. F1 of the minority, geometric "
        "mean of both recalls, area under the ROC curve, in percent: mean ± standard deviation over n divisions, each "
        f"the mean of its folds. Labels are flipped by out-of-fold probabilities of {own.score_by}, at the threshold "
        f"of the highest F1 in {own.inner_folds} inner folds, chosen for each fold and classifier; random_flips flips "
        "as many. Differences are over the folds of all divisions: mean [95 % interval], p of a t test corrected for "
        "their common rows (Nadeau and Bengio 2003). Refused: folds in which imbalanced-learn found nothing to make, "
        "so that the scores are those of none.",
    ]
    if len(found.tables) > 1:
        parts += [
            "Mean ranks over data sets, 1 the best; two that are further apart than the critical difference (Nemenyi, "
            "5 %) differ, if the data sets are independent: several of KEEL's are made of the same rows.",
            rank_table(found),
            mean_table(found),
        ]
    for i, name in enumerate(found.tables):
        parts += [f"## {name}", treatment_table(found, i)]
    return "\n\n".join(parts)


def write_tables(job: TableJob, rows: list[dict[str, Any]], command: str) -> tuple[str, list[pathlib.Path]]:
    """Writes all results into ``spec.out``; returns what to tell the user, and the files.

    Raises:
      UserError: if a file cannot be written.
    """
    out, found = pathlib.Path(job.spec.out), Found(job, rows)
    said = "\n".join(f"- {one}" for one in statements(found)) or "Nothing is stated: that takes lnr and a control."
    means = nan_mean(found.by_repeat, 0)
    figures = {"treatments.png": draw_treatments(means, found.classifiers, found.treatments, title_of(found))}
    if len(found.tables) > 1:
        figures["ranks.png"] = draw_ranks({TITLES[name]: found.ranking(name) for name in MEASURES}, found.treatments)
    with written_or_told(job.spec.out):
        (out / "results.csv").write_text(to_csv(rows))
        (out / "table.md").write_text(to_text(job, found) + "\n")
        (out / "takeaways.md").write_text(f"# What {', '.join(found.tables)} show\n\n{said}\n")
        for name, figure in figures.items():
            write_figure(figure, out / name)
        flagfile = out / "flags.cfg"
        flagfile.write_text(to_flagfile(job.spec, flagfile_header(PROGRAM, command, flagfile)))
    files = [out / name for name in ("results.csv", "table.md", "takeaways.md", *figures, "flags.cfg")]
    table = rank_table(found) if len(found.tables) > 1 else treatment_table(found, 0)
    return f"{table}\n\n{said}", files


def answer_by_folds(
    datasets: Sequence[Dataset], spec: LnrSpec, command: str, *, say: Callable[[str], None]
) -> tuple[str, list[pathlib.Path]]:
    """Does what the flags ask for in folds; returns what to tell the user, and the files."""
    job = make_table_job(datasets, spec, say=say)
    if spec.compute.dry_run:
        return describe_folds(job), []
    if spec.flips.what_if:
        return expect_table_flips(job), []
    return write_tables(job, run_tables(job, resume=command, say=say), command)


def title_of(found: Found) -> str:
    """Whose scores a figure shows."""
    return found.tables[0] if len(found.tables) == 1 else f"{len(found.tables)} data sets"
