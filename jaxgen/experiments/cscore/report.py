"""The report of a C-score job: scores and figures, or the tables of a sweep."""

import functools
from collections.abc import Sequence

from jaxgen.config import sweep
from jaxgen.experiments.cscore import sweep_table
from jaxgen.experiments.cscore.figures import draw_settings
from jaxgen.experiments.cscore.influence_figure import describe_influence, draw_influence
from jaxgen.experiments.cscore.job import CscoreJob, make_workload, run_group_name
from jaxgen.reporting.files import FLAG_FILE, with_resolved_width
from jaxgen.reporting.report import Report
from jaxgen.reporting.tables import to_csv
from jaxgen.types import Scores
from jaxgen.views.gallery import draw_examples
from jaxgen.views.histogram import draw_histogram
from jaxgen.views.summary import summarize

SettingScores = tuple[sweep.Setting, Scores]


def make_report(job: CscoreJob, scored: Sequence[SettingScores]) -> Report:
    """The report of a job."""
    if sweep.swept(job.spec):
        return report_settings(job, scored)
    [(_, scores)] = scored
    return report_scores(job, scores)


def report_scores(job: CscoreJob, scores: Scores) -> Report:
    """The report of a single setting: scores, figures and summary.

    Its flags include the chosen width, because models of another width may round differently.
    """
    dataset, summary = job.dataset, [summarize(job.dataset, scores)]
    draw = functools.cache(functools.partial(draw_examples, dataset, scores))
    files = {
        "cscores.npz": scores,
        "examples.png": draw,
        "examples.pdf": draw,
        "histogram.png": functools.partial(draw_histogram, dataset, scores),
    }
    if "influence" in scores.more:
        summary.append(describe_influence(dataset, scores))
        if dataset.has_images:
            files["influence.png"] = functools.partial(draw_influence, dataset, scores)
    return Report(with_resolved_width(job.spec, widths([scores])), "\n\n".join(summary), files)


def report_settings(job: CscoreJob, scored: Sequence[SettingScores]) -> Report:
    """The report of a sweep: tables of members and settings, a figure, and the scores of each setting."""
    flags, store = sweep.swept(job.spec), make_workload(job).open_store()
    members = list(sweep_table.member_rows(store, job.programs, flags, run_group_name))
    rows = sweep_table.setting_rows(members, scored, flags)
    files = {
        "results.csv": to_csv(members),
        "settings.csv": to_csv(rows),
        "settings.md": sweep_table.to_markdown(rows, flags) + "\n",
        "settings.png": functools.partial(draw_settings, rows, flags, job.dataset.name),
    }
    listed_names = (*files, FLAG_FILE, "settings/*/cscores.npz")
    files |= {f"settings/{setting.name}/cscores.npz": scores for setting, scores in scored}
    table = sweep_table.summary_table(rows, flags)
    summary = f"{len(scored)} settings; accuracies are mean ± sd over models\n\n{table}"
    spec = with_resolved_width(job.spec, widths([scores for _, scores in scored]))
    return Report(spec, summary, files, listed=listed_names)


def widths(all_scores: Sequence[Scores]) -> set[int]:
    """The widths that the programs were trained at."""
    return {scores.metadata["width"] for scores in all_scores}
