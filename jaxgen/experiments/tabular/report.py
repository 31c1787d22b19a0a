"""What a job on tables tells: treatments by classifier, ranks over data sets, the files."""

import functools

import numpy as np

from jaxgen.experiments.tabular.figures import draw_ranks, draw_treatments
from jaxgen.experiments.tabular.folds import MEASURES
from jaxgen.experiments.tabular.job import TabularJob
from jaxgen.experiments.tabular.results import TITLES, TabularArrays
from jaxgen.experiments.tabular.run import TabularResults
from jaxgen.experiments.tabular.takeaways import contest_table, contests, statements, threshold_table
from jaxgen.reporting.files import without_shard
from jaxgen.reporting.report import Report
from jaxgen.reporting.tables import nan_mean, percent, to_csv, to_table
from jaxgen.scores.paired import compare_folds, describe_difference, describe_p


def treatment_table(found: TabularArrays, table: int) -> str:
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


def rank_table(found: TabularArrays) -> str:
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


def mean_table(found: TabularArrays) -> str:
    """Mean F1 of each treatment on each table, over classifiers, folds and repeats."""
    means = found.by_table[..., 0]
    lines = [[name, *(f"{100 * one:.1f}" for one in means[i])] for i, name in enumerate(found.tables)]
    return to_table(["F1, percent", *found.treatments], lines)


def to_text(job: TabularJob, found: TabularArrays) -> str:
    """All tables, with what they are."""
    own = job.spec.tabular
    sizes = "; ".join(
        f"{name}: {len(part.y):,} rows of {part.x.shape[1]}, {int(part.y.sum())} of the minority"
        for name, part in job.tables.items()
    )
    parts = [
        f"# Two unequal classes: {', '.join(found.tables)}",
        f"{sizes}. Stratified {own.folds}-fold, by {job.spec.num_runs} division(s) of the rows. F1 of the minority, "
        "geometric mean of both recalls, area under the ROC curve, in percent: mean ± standard deviation over n "
        f"divisions, each the mean of its folds. Labels are flipped by out-of-fold probabilities of {own.score_by}, at "
        f"the threshold of the highest F1 in {own.inner_folds} inner folds, chosen for each fold and classifier; "
        "random_flips flips as many. Differences are over the folds of all divisions: mean [95 % interval], p of a t "
        "test corrected for their common rows (Nadeau and Bengio 2003). Refused: folds in which "
        "imbalanced-learn found nothing to make, so that the scores are those of none.",
    ]
    if len(found.tables) > 1:
        parts += [
            "Mean ranks over data sets, 1 the best; two that are further apart than the critical difference (Nemenyi, "
            "5 %) differ, if the data sets are independent: several of KEEL's are made of the same rows.",
            rank_table(found),
        ]
        if contests(found):
            parts += [
                "Flips by the rule against their controls, in points, each data set the mean over classifiers, folds "
                "and divisions: mean difference over data sets [95 % interval by Student's t], p of Wilcoxon's "
                "signed-rank test, corrected after Holm for all tests of this table, and on how many data sets lnr is "
                "better.",
                contest_table(found),
            ]
        parts.append(mean_table(found))
    if "lnr" in found.treatments:
        parts += [
            "Thresholds that inner folds choose, for each fold and classifier, against the one that does best on the "
            "test parts of a data set, known in hindsight only: F1, percent, the mean over classifiers, folds and "
            "divisions.",
            threshold_table(found),
        ]
    for i, name in enumerate(found.tables):
        parts += [f"## {name}", treatment_table(found, i)]
    return "\n\n".join(parts)


def make_report(job: TabularJob, results: TabularResults) -> Report:
    """Scores of every fold, thresholds in hindsight, tables, statements and figures."""
    found = TabularArrays(job, *results)
    stated = "\n".join(f"- {line}" for line in statements(found)) or "Nothing is stated: that takes lnr and a control."
    means = nan_mean(found.by_repeat, 0)
    files = {
        "results.csv": to_csv(results.rows),
        "thresholds.csv": to_csv(results.in_hindsight),
        "table.md": to_text(job, found) + "\n",
        "takeaways.md": f"# What {', '.join(found.tables)} show\n\n{stated}\n",
        "treatments.png": functools.partial(
            draw_treatments, means, found.classifiers, found.treatments, title_of(found)
        ),
    }
    if len(found.tables) > 1:
        rankings = {TITLES[name]: found.ranking(name) for name in MEASURES}
        files["ranks.png"] = functools.partial(draw_ranks, rankings, found.treatments)
    table = rank_table(found) if len(found.tables) > 1 else treatment_table(found, 0)
    return Report(without_shard(job.spec), f"{table}\n\n{stated}", files)


def title_of(found: TabularArrays) -> str:
    """Whose scores a figure shows."""
    return found.tables[0] if len(found.tables) == 1 else f"{len(found.tables)} data sets"
