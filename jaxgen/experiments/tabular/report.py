"""The report of a job on tables: treatments by classifier, ranks over data sets, files."""

import functools

import numpy as np

from jaxgen.experiments.tabular.figures import draw_ranks, draw_treatments
from jaxgen.experiments.tabular.folds import MEASURES
from jaxgen.experiments.tabular.job import TabularJob
from jaxgen.experiments.tabular.results import TITLES, TabularArrays
from jaxgen.experiments.tabular.run import TabularResults
from jaxgen.experiments.tabular.takeaways import (
    compare_with_controls,
    control_table,
    describe_correction,
    statements,
    threshold_table,
)
from jaxgen.reporting.files import without_shard
from jaxgen.reporting.report import Report
from jaxgen.reporting.tables import nan_mean, percent, to_csv, to_table
from jaxgen.scores.paired import compare_folds, describe_difference, describe_p


def treatment_table(arrays: TabularArrays, table: int) -> str:
    """The results on one table: a row per classifier and treatment."""
    header = ["classifier", "treatment", *TITLES.values(), "flips a fold", "F1 - none", "p", "n", "refused"]
    lines, scores = [], arrays.by_repeat[table]
    for c, classifier in enumerate(arrays.classifiers):
        for t, treatment in enumerate(arrays.treatments):
            values = scores[c, t]
            cells = [percent(values[:, i]) for i in range(len(MEASURES))]
            flips = f"{arrays.flips[table, c, t].mean():.1f}" if treatment in ("lnr", "random_flips") else ""
            difference = compare_folds([], len(arrays.scores[0, 0, 0, 0]))
            if "none" in arrays.treatments and treatment != "none":
                difference = arrays.difference(table, treatment, "none", classifier)
            n = str(int(np.isfinite(values[:, 0]).sum()))
            refused = int(arrays.refused[table, c, t].sum())
            cells += [
                flips,
                describe_difference(difference),
                describe_p(difference),
                n,
                str(refused) if refused else "",
            ]
            lines.append([classifier, treatment, *cells])
    return to_table(header, lines)


def rank_table(arrays: TabularArrays) -> str:
    """Mean ranks of the treatments over tables: by each measure, and by F1 for each classifier."""
    overall = {TITLES[name]: arrays.ranking(name) for name in MEASURES}
    columns = {**overall, **{f"F1, {name}": arrays.ranking("f1", name) for name in arrays.classifiers}}
    lines = [
        [treatment, *(f"{ranking.ranks[t]:.2f}" for ranking in columns.values())]
        for t, treatment in enumerate(arrays.treatments)
    ]
    lines.append(["critical difference", *(f"{ranking.critical_difference:.2f}" for ranking in columns.values())])
    lines.append(["Friedman p", *(f"{ranking.p:.2g}" for ranking in columns.values())])
    lines.append(["n data sets", *(str(ranking.n) for ranking in columns.values())])
    return to_table(["treatment", *columns], lines)


def mean_table(arrays: TabularArrays) -> str:
    """Mean F1 of each treatment on each table, over classifiers, folds and repeats."""
    means = arrays.by_table[..., 0]
    lines = [[name, *(f"{100 * mean:.1f}" for mean in means[i])] for i, name in enumerate(arrays.tables)]
    return to_table(["F1, percent", *arrays.treatments], lines)


def to_text(job: TabularJob, arrays: TabularArrays) -> str:
    """All result tables with explanations, as Markdown."""
    flags = job.spec.tabular
    sizes = "; ".join(
        f"{name}: {len(part.y):,} rows of {part.x.shape[1]}, {int(part.y.sum())} of the minority"
        for name, part in job.tables.items()
    )
    scorer = "each classifier's own" if flags.score_by == "own" else flags.score_by
    parts = [
        f"# Two unequal classes: {', '.join(arrays.tables)}",
        f"{sizes}. Stratified {flags.folds}-fold, by {job.spec.num_runs} division(s) of the rows. F1 of the minority, "
        "geometric mean of both recalls, area under the ROC curve, in percent: mean ± standard deviation over n "
        f"divisions, each the mean of its folds. Labels are flipped by out-of-fold probabilities of {scorer}, "
        f"at the threshold of the highest F1 in {flags.inner_folds} inner folds, chosen for each fold and classifier; "
        "random_flips flips as many. decision_threshold changes no row: it classifies at the probability of the "
        "highest F1 in the same inner folds, the other treatments at one half. Differences are over the folds of all "
        "divisions: mean [95 % interval], p of a t test corrected for their common rows (Nadeau and Bengio 2003), of "
        "each difference alone: of 20 that are 0, one is expected below p = 0.05. Refused: folds in which "
        "imbalanced-learn found nothing to make, so that the scores are those of none.",
    ]
    if len(arrays.tables) > 1:
        parts += [
            "Mean ranks over data sets, 1 the best; two that are further apart than the critical difference (Nemenyi, "
            "5 %) differ, if the data sets are independent: several of KEEL's are made of the same rows.",
            rank_table(arrays),
        ]
        if compare_with_controls(arrays):
            parts += [
                "Flips by the rule against their controls, in points, each data set the mean over classifiers, folds "
                "and divisions: mean difference over data sets [95 % interval by Student's t], p of Wilcoxon's "
                "signed-rank test, corrected after Holm for all tests of this table, and on how many data sets lnr is "
                "better.",
                control_table(arrays),
            ]
        parts.append(mean_table(arrays))
    if "lnr" in arrays.treatments:
        parts += [
            "Thresholds that inner folds choose, for each fold and classifier, against the one that does best on the "
            "test parts of a data set, known in hindsight only: F1, percent, the mean over classifiers, folds and "
            "divisions.",
            threshold_table(arrays),
        ]
    for i, name in enumerate(arrays.tables):
        parts += [f"## {name}", treatment_table(arrays, i)]
    return "\n\n".join(parts)


def make_report(job: TabularJob, results: TabularResults) -> Report:
    """The report of a job: scores of every fold, thresholds in hindsight, tables, statements and figures."""
    arrays = TabularArrays(job, *results)
    stated = "\n".join(f"- {line}" for line in statements(arrays)) or "Nothing is stated: that takes lnr and a control."
    how = f"\n\n{describe_correction(arrays)}" if "lnr" in arrays.treatments else ""
    means = nan_mean(arrays.by_repeat, 0)
    files = {
        "results.csv": to_csv(results.rows),
        "table.md": to_text(job, arrays) + "\n",
        "takeaways.md": f"# What {', '.join(arrays.tables)} show{'s' * (len(arrays.tables) == 1)}\n\n{stated}{how}\n",
        "treatments.png": functools.partial(
            draw_treatments, means, arrays.classifiers, arrays.treatments, title_of(arrays)
        ),
    }
    if results.in_hindsight:
        files["thresholds.csv"] = to_csv(results.in_hindsight)
    if len(arrays.tables) > 1:
        rankings = {TITLES[name]: arrays.ranking(name) for name in MEASURES}
        files["ranks.png"] = functools.partial(draw_ranks, rankings, arrays.treatments)
    table = rank_table(arrays) if len(arrays.tables) > 1 else treatment_table(arrays, 0)
    return Report(without_shard(job.spec), f"{table}\n\n{stated}", files)


def title_of(arrays: TabularArrays) -> str:
    """Name of the table, or number of tables."""
    return arrays.tables[0] if len(arrays.tables) == 1 else f"{len(arrays.tables)} data sets"
