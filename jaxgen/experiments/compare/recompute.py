"""Recomputes scores from folders of runs: published C-score runs, and stores of datamodels."""

import functools
import itertools
import pathlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from jaxgen.data.image_sets import tfds_order
from jaxgen.data.published import margin_files, run_files
from jaxgen.data.published.pairs import REORDERED, UNKNOWN_ORDER, find_indices, pair_ids, split_ids
from jaxgen.data.published.scores import Values
from jaxgen.errors import UserError
from jaxgen.keys import JobDraw, job_key
from jaxgen.scores import heldout, influence
from jaxgen.scores.from_answers import from_answers
from jaxgen.scores.memorization import nearest_ratio
from jaxgen.types import Outcome

# Pairs per example, where the other file lists none.
PAIRS = 5
PAIR_VALUES = ("influence", "influence_stderr", "influence_low", "influence_high")


class Runs(NamedTuple):
    """A folder of runs, which can be streamed repeatedly.

    Attributes:
      name: of the folder.
      ratios: k subset ratios.
      counts: numbers of runs at each ratio.
      stream: maps the index of a ratio to its runs.
      num_examples, num_tests: numbers of training and test examples.
      scored: whether runs hold predictions of training examples.
      nested: whether run j has nested subsets over ratios.
      order: description of the positions of pairs.
      original: positions of the training and test examples in the original files; None: pairs are of positions in the
        runs.
    """

    name: str
    ratios: tuple[float, ...]
    counts: tuple[int, ...]
    stream: Callable[[int], Iterable[Outcome]]
    num_examples: int
    num_tests: int
    scored: bool
    nested: bool
    order: str = UNKNOWN_ORDER
    original: tuple[np.ndarray, np.ndarray] | None = None

    def in_original_order(self) -> "Runs":
        """The runs with pairs mapped from tensorflow-datasets order to positions in the original files."""
        orders = tfds_order("train", self.num_examples), tfds_order("test", self.num_tests)
        return self._replace(order=REORDERED, original=orders)

    def at(self, ids: np.ndarray) -> np.ndarray:
        """Influences of the pairs with these ids, at the ratio nearest to 0.7."""
        train, test = split_ids(ids)
        if len(ids) and (train.max() >= self.num_examples or test.max() >= self.num_tests):
            raise UserError(
                f"{self.name}: has {self.num_examples} training and {self.num_tests} test examples; the other file "
                f"pairs {train.max()} and {test.max()}"
            )
        if self.original:
            train, test = (
                find_indices(original, positions)
                for original, positions in zip(self.original, (train, test), strict=True)
            )
            ids = pair_ids(train, test)
        pairs = influence.estimate_pairs(self.answers(), train, test)
        return pairs.values[find_indices(pair_ids(pairs.train, pairs.test), ids)]

    def all_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids and influences of the strongest pairs."""
        pairs = self.strongest()
        train, test = pairs.train, pairs.test
        if self.original:
            train, test = self.original[0][train], self.original[1][test]
        return pair_ids(train, test), pairs.values

    def strongest(self) -> influence.InfluencePairs:
        """The strongest pairs, at the ratio nearest to 0.7."""
        return influence.strongest(self.answers(), PAIRS)

    def answers(self) -> influence.PackedRuns:
        """The runs of the ratio nearest to 0.7, packed; raises UserError if they have no test set."""
        if not self.num_tests:
            raise UserError(f"{self.name}: its runs tell nothing of a test set, so there is no influence")
        return influence.gather(self.stream(nearest_ratio(self.ratios)), self.num_examples, self.num_tests)


def is_folder_of_runs(path: pathlib.Path) -> bool:
    """Whether a folder holds runs in either layout."""
    return path.is_dir() and (margin_files.is_margin_folder(path) or run_files.is_run_folder(path))


def open_runs(path: pathlib.Path) -> Runs:
    """The runs in a folder of either layout."""
    if margin_files.is_margin_folder(path):
        store = margin_files.open_margin_folder(path)
        shape, counts = (store.masks.shape[1], store.margins.shape[1]), (int(store.completed.sum()),)

        def stream_models(place: int) -> Iterable[Outcome]:
            return margin_files.stream_models(store)

        return Runs(path.name, (store.ratio,), counts, stream_models, *shape, store.on_training, False)
    folder = run_files.open_run_folder(path)
    counts = tuple(map(len, folder.files))
    stream = functools.partial(run_files.stream_runs, folder)
    return Runs(path.name, folder.ratios, counts, stream, folder.num_examples, folder.num_tests, True, nested(folder))


def nested(folder: run_files.RunFolder) -> bool:
    """Whether the subsets of the first run are nested over ratios.

    They are in the published MNIST demo, which uses the seed of a run for all ratios.
    """
    if len(set(map(len, folder.files))) > 1 or len(folder.files) < 2:
        return False
    masks = [run_files.read_run(files[0])[0] for files in folder.files]
    return all((large | ~small).all() for small, large in itertools.pairwise(masks))


def recompute(runs: Runs, seed: int) -> dict[str, np.ndarray]:
    """All scores and statistics of examples that the runs give, by key of ``cscores.npz``."""
    blocks = [1] * len(runs.ratios)
    # The same bootstrap samples as in a C-score job of this seed.
    key = job_key(seed, JobDraw.RELIABILITY)
    estimate = heldout.estimate(
        runs.stream, runs.num_examples, max(runs.counts), blocks, shared_blocks=runs.nested, key=key
    )
    other_scores = from_answers(runs.stream, estimate, runs.ratios, blocks, shared_blocks=runs.nested)
    return {**estimate._asdict(), **other_scores, "subset_ratios": np.asarray(runs.ratios)}


def read_runs(path: pathlib.Path, score: str, seed: int) -> tuple[Values | Runs, dict[str, np.ndarray]]:
    """A score of a folder of runs, and all recomputed arrays by key of ``cscores.npz``.

    Raises:
      UserError: for a score that cannot be recomputed from these runs.
    """
    runs = open_runs(path)
    if score == "influence" or not runs.scored:
        if score not in ("", "influence"):
            raise UserError(f"--score={score}: {path} has margins of test examples, and so influence only")
        scores = recompute(runs, seed) if runs.scored else {}
        pairs = dict(zip(("influence_train", "influence_test", *PAIR_VALUES), runs.strongest(), strict=True))
        return runs, {**scores, **pairs, "influence_ratio": np.float64(runs.ratios[nearest_ratio(runs.ratios)])}
    scores, score = recompute(runs, seed), score or "scores"
    known = [name for name, array in scores.items() if np.shape(array) == (runs.num_examples,)]
    if score not in known:
        raise UserError(f"--score={score}: of {path} can be recomputed {', '.join([*known, 'influence'])}")
    return Values(f"{path.name}: {score}", np.asarray(scores[score], np.float64)), scores
