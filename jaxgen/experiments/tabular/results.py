"""Results on tables as arrays by table, classifier, treatment, repeat and fold."""

from typing import Any

import numpy as np

from jaxgen.experiments.tabular.folds import MEASURES
from jaxgen.experiments.tabular.job import TabularJob
from jaxgen.reporting.tables import nan_mean
from jaxgen.scores.paired import Difference, compare_folds
from jaxgen.scores.ranking import Ranking, rank_methods

TITLES = dict(zip(MEASURES, ("F1", "G-mean", "AUC"), strict=True))


class TabularArrays:
    """All results of a job as arrays.

    Attributes:
      tables, classifiers, treatments, thresholds: names or values along the axes.
      scores: ``[tables, classifiers, treatments, repeats, folds, measures]``.
      flips, refused: ``[tables, classifiers, treatments, repeats, folds]``.
      by_threshold: F1 of flips at each threshold, chosen or not, ``[tables, classifiers, thresholds, repeats, folds]``.
      chosen: thresholds, ``[tables, classifiers, repeats, folds]``.
    """

    def __init__(self, job: TabularJob, rows: list[dict[str, Any]], in_hindsight: list[dict[str, Any]]):
        flags = job.spec.tabular
        self.tables, self.classifiers, self.treatments = list(job.tables), flags.classifiers, flags.treatments
        axes = self.tables, self.classifiers, self.treatments, range(job.spec.num_runs), range(flags.folds)
        indices = [{name: i for i, name in enumerate(axis)} for axis in axes]
        names = ("table", "classifier", "treatment", "run", "fold")
        shape = tuple(map(len, axes))
        self.scores = np.full((*shape, len(MEASURES)), np.nan)
        self.flips, self.refused = np.zeros(shape), np.zeros(shape, bool)
        for row in rows:
            position = tuple(index[row[name]] for index, name in zip(indices, names, strict=True))
            self.scores[position], self.flips[position] = [row[measure] for measure in MEASURES], row["flips"]
            self.refused[position] = row["refused"]
        self.thresholds = job.spec.flips.threshold
        indices[2] = {value: i for i, value in enumerate(self.thresholds)}
        names = ("table", "classifier", "threshold", "run", "fold")
        self.by_threshold = np.full((*shape[:2], len(self.thresholds), *shape[3:]), np.nan)
        self.chosen = np.full((*shape[:2], *shape[3:]), np.nan)
        for row in in_hindsight:
            position = tuple(index[row[name]] for index, name in zip(indices, names, strict=True))
            self.by_threshold[position] = row["f1"]
            if row["chosen"]:
                self.chosen[(*position[:2], *position[3:])] = row["threshold"]

    def difference(self, table: int, treatment: str, other: str, classifier: str | None = None) -> Difference:
        """F1 of a treatment minus that of another on a table, over all folds; by default the mean over classifiers."""
        positions = (self.treatments.index(name) for name in (treatment, other))
        first, second = (self.scores[table, :, i, :, :, 0] for i in positions)
        differences = first - second
        chosen = nan_mean(differences, 0) if classifier is None else differences[self.classifiers.index(classifier)]
        return compare_folds(chosen.ravel(), chosen.shape[1])

    @property
    def by_repeat(self) -> np.ndarray:
        """Means over folds with a score, ``[tables, classifiers, treatments, repeats, measures]``."""
        return nan_mean(self.scores, 4)

    @property
    def by_table(self) -> np.ndarray:
        """Means over classifiers and repeats, ``[tables, treatments, measures]``."""
        return nan_mean(nan_mean(self.by_repeat, 3), 1)

    def ranking(self, measure: str, classifier: str | None = None) -> Ranking:
        """Ranks of the treatments over tables; by default by the mean over classifiers."""
        means = nan_mean(self.by_repeat[..., MEASURES.index(measure)], 3)
        chosen = nan_mean(means, 1) if classifier is None else means[:, self.classifiers.index(classifier)]
        return rank_methods(chosen)
