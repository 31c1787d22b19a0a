"""Compares two scores of the same examples, published or from jaxgen."""

import dataclasses
import pathlib
from collections.abc import Sequence

import jax
import numpy as np

from jaxgen.config import CompareSpec
from jaxgen.data import TABLES, load_dataset, with_kind
from jaxgen.data.published.pairs import Matrix
from jaxgen.data.published.scores import Values, read_published
from jaxgen.data.score_files import NAME
from jaxgen.errors import UserError
from jaxgen.experiments.compare.comparison import Comparison
from jaxgen.experiments.compare.matching import Matched, dataset_positions, match, order_pairs
from jaxgen.experiments.compare.recompute import Runs, is_folder_of_runs, read_runs
from jaxgen.reporting.files import with_folder
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.scores import agreement
from jaxgen.scores.registry import REGISTRY

SHARES = (0.01, 0.05, 0.1, 0.2)
# Examples of largest disagreement to show in either direction.
NUM_DISAGREEMENTS = 10


@fixed_settings()
def compare(spec: CompareSpec) -> tuple[Comparison, CompareSpec]:
    """Reads, matches and compares two files; returns the comparison, and the spec with its folder.

    Raises:
      UserError: for files that cannot be read, or are not of the same examples.
    """
    flags = spec.comparison
    if not (flags.first and flags.second):
        raise UserError("two files are needed: python -m jaxgen.compare A B; --help tells which kinds")
    # Without csv data, --label_column is the column of a compared file.
    data = (
        spec.data
        if with_kind(spec.data.dataset).partition(":")[0] in TABLES
        else dataclasses.replace(spec.data, label_column="label")
    )
    dataset = load_dataset(data) if data.dataset else None
    scores = (*flags.score, *flags.score)[:2] if flags.score else ("", "")
    paths = score_file(pathlib.Path(flags.first)), score_file(pathlib.Path(flags.second))
    sources = [read_source(path, score, spec) for path, score in zip(paths, scores, strict=True)]
    values = resolve(*(source for source, _ in sources), reorder=flags.reorder)
    matched = with_same_sign(match(*with_distinct_names(values, paths), flags.reorder, flags.other_labels), scores)
    places = None
    if dataset is not None and dataset.has_images and not matched.pairs:
        places = dataset_positions(dataset, matched)
    matched, known = known_values(matched)
    counts = check_counts(flags.lowest, len(matched.ids))
    rank_differences = np.subtract(*map(agreement.rank_shares, matched.values))
    order = np.argsort(rank_differences, kind="stable")
    # Examples at the same extreme of both scales do not disagree: their ranks differ by ties alone.
    tied_extremes = [np.all([score == end(score) for score in matched.values], axis=0) for end in (np.min, np.max)]
    order = order[~np.any(tied_extremes, axis=0)[order]]
    lowest, highest = order[:NUM_DISAGREEMENTS], order[::-1][:NUM_DISAGREEMENTS]
    comparison = Comparison(
        matched,
        agreement.correlations(*matched.values),
        agreement.bootstrap(jax.random.key(spec.seed), *matched.values, flags.num_draws),
        tuple(agreement.overlap_of_lowest(*matched.values, k) for k in counts),
        lowest[rank_differences[lowest] < 0],
        highest[rank_differences[highest] > 0],
        None if places is None else (dataset, places[known]),
    )
    recomputed = {name: arrays for name, (_, arrays) in zip(("first", "second"), sources, strict=True) if arrays}
    stems = map(stem, paths)
    return comparison._replace(recomputed=recomputed), with_folder(spec, "compare", *stems)


def score_file(path: pathlib.Path) -> pathlib.Path:
    """The score file in a job's folder; any other path as it is."""
    return path / NAME if (path / NAME).is_file() else path


def stem(path: pathlib.Path) -> str:
    """The name of a file without suffix, or of its folder if it is a ``cscores.npz``."""
    name = path.name.split(".")[0]
    return path.absolute().parent.name if name == pathlib.Path(NAME).stem else name


def with_same_sign(matched: Matched, scores: Sequence[str]) -> Matched:
    """Negates the second score if one of both is suspicious when low and the other when high."""
    entries = [REGISTRY.get(score) for score in scores]
    if None in entries or entries[0].suspicious == entries[1].suspicious:
        return matched
    names = matched.names[0], f"-{matched.names[1]}"
    note = f"of {scores[0]} and {scores[1]} the suspicious ends are opposite: the second is turned round, as {names[1]}"
    values = np.stack([matched.values[0], -matched.values[1]])
    return matched._replace(names=names, values=values, notes=(*matched.notes, note))


def known_values(matched: Matched) -> tuple[Matched, np.ndarray]:
    """Drops examples with NaN in either file; also returns the positions of those kept.

    Raises:
      UserError: if fewer than three are left, or all values of a file are equal.
    """
    known = np.flatnonzero(np.isfinite(matched.values).all(0))
    values, notes, left_out = matched.values[:, known], matched.notes, matched.values.shape[1] - len(known)
    if left_out:
        notes = (*notes, f"{left_out:,} without a value (NaN) in one of the two are left out")
    if len(known) < 3:
        names = " and ".join(matched.names)
        raise UserError(f"{names}: share {len(known)} known values (others are NaN); three or more are needed")
    for name, scores in zip(matched.names, values, strict=True):
        if not np.ptp(scores):
            raise UserError(
                f"{name}: all {len(scores):,} values are {scores[0]:g}; nothing can be correlated with them"
            )
    labels, class_labels = (None if array is None else array[known] for array in (matched.labels, matched.class_labels))
    return matched._replace(
        values=values, ids=matched.ids[known], labels=labels, class_labels=class_labels, notes=notes
    ), known


def read_source(
    path: pathlib.Path, score: str, spec: CompareSpec
) -> tuple[Values | Matrix | Runs, dict[str, np.ndarray]]:
    """The values of a file or folder, and the arrays that were recomputed from runs."""
    if is_folder_of_runs(path):
        return read_runs(path, score, spec.seed)
    if path.is_dir():
        raise UserError(
            f"{path}: is a folder of no known layout; needed: <ratio>/<run>/aux_arrays.npz, or masks.npy and "
            "margins.npy"
        )
    return read_published(path, score, spec.comparison.allow_pickle, spec.data.label_column), {}


def resolve(*sources: Values | Matrix | Runs, reorder: str = "none") -> list[Values]:
    """Two sources as values; a `Matrix` or `Runs` is evaluated at the pairs that the other source lists."""
    if not any(isinstance(source, Values) and not source.pairs for source in sources):
        sources = order_pairs(sources, reorder)
    listed = [source for source in sources if isinstance(source, Values)]
    if not listed:
        ids, values = sources[0].all_pairs()
        listed = [Values(sources[0].name, values, None, ids, sources[0].order, True)]
        sources = (listed[0], sources[1])
    resolved = []
    for source in sources:
        if not isinstance(source, Values):
            if not listed[0].pairs:
                raise UserError(f"{source.name} is of pairs, {listed[0].name} of examples; choose by --score")
            values, ids = source.at(listed[0].ids), listed[0].ids
            source = Values(f"{source.name}: influence", values, None, ids, source.order, True)
        resolved.append(source)
    return resolved


def with_distinct_names(values: list[Values], paths: Sequence[pathlib.Path]) -> list[Values]:
    """The values; if both have the same name, each is prefixed by the name of its folder."""
    if values[0].name != values[1].name:
        return values
    return [
        score._replace(name=f"{path.absolute().parent.name}/{score.name}")
        for score, path in zip(values, paths, strict=True)
    ]


def check_counts(lowest: tuple[int, ...], n: int) -> tuple[int, ...]:
    """The values of k for overlaps of the lowest k, ascending; by default shares of n."""
    if lowest and max(lowest) >= n:
        raise UserError(f"--lowest={max(lowest)}: both files share {n:,} known values; give less")
    return tuple(sorted(set(lowest or (max(1, round(share * n)) for share in SHARES))))
