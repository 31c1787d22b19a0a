"""Two scores of the same examples, published or our own: matched, checked, and held beside each other."""

import dataclasses
import pathlib
from collections.abc import Sequence

import jax
import numpy as np

from jaxgen.config import CompareSpec
from jaxgen.data import load_dataset
from jaxgen.data.pairs import Matrix
from jaxgen.data.published import Values, read_published
from jaxgen.data.score_files import NAME
from jaxgen.errors import UserError
from jaxgen.experiments.compare.comparison import Comparison
from jaxgen.experiments.compare.matching import Matched, line_up, match, order_pairs
from jaxgen.experiments.compare.recompute import Runs, is_folder_of_runs, read_runs
from jaxgen.reporting.files import with_folder
from jaxgen.scores import agreement
from jaxgen.scores.registry import REGISTRY

SHARES = (0.01, 0.05, 0.1, 0.2)
# Examples told of at either end.
TOLD = 10


def compare(spec: CompareSpec) -> tuple[Comparison, CompareSpec]:
    """Reads, matches and compares; returns the spec with its folder too.

    Raises:
      UserError: for files that cannot be read, or are not of the same examples.
    """
    asked = spec.comparison
    if not (asked.first and asked.second):
        raise UserError("two files are needed: python -m jaxgen.compare A B; --help tells which kinds")
    # The column of labels may be that of a file that is compared.
    data = spec.data if spec.data.dataset.startswith("csv:") else dataclasses.replace(spec.data, label_column="label")
    dataset = load_dataset(data) if data.dataset else None
    scores = (*asked.score, *asked.score)[:2] if asked.score else ("", "")
    paths = of_job(pathlib.Path(asked.first)), of_job(pathlib.Path(asked.second))
    sources = [read_source(path, score, spec) for path, score in zip(paths, scores, strict=True)]
    values = resolve(*(source for source, _ in sources), reorder=asked.reorder)
    matched = turned(match(*told_apart(values, paths), asked.reorder, asked.other_labels), scores)
    places = None
    if dataset is not None and dataset.has_images and not matched.pairs:
        places = line_up(dataset, matched)
    matched, known = known_values(matched)
    counts = check_counts(asked.lowest, len(matched.ids))
    apart = np.subtract(*map(agreement.rank_shares, matched.values))
    order = np.argsort(apart, kind="stable")
    # Where both have the same end of their scales, two scores differ in nothing but how many share it.
    ends = [np.all([own == end(own) for own in matched.values], axis=0) for end in (np.min, np.max)]
    order = order[~np.any(ends, axis=0)[order]]
    lowest, highest = order[:TOLD], order[::-1][:TOLD]
    found = Comparison(
        matched,
        agreement.correlations(*matched.values),
        agreement.bootstrap(jax.random.key(spec.seed), *matched.values, asked.num_draws),
        tuple(agreement.overlap_of_lowest(*matched.values, k) for k in counts),
        lowest[apart[lowest] < 0],
        highest[apart[highest] > 0],
        None if places is None else (dataset, places[known]),
    )
    recomputed = {name: arrays for name, (_, arrays) in zip(("first", "second"), sources, strict=True) if arrays}
    stems = map(stem, paths)
    return found._replace(recomputed=recomputed), with_folder(spec, "compare", *stems)


def of_job(path: pathlib.Path) -> pathlib.Path:
    """The score file of a job, if its folder is given."""
    return path / NAME if (path / NAME).is_file() else path


def stem(path: pathlib.Path) -> str:
    """What tells a file from others in a folder's name: all jobs have a cscores.npz."""
    name = path.name.split(".")[0]
    return path.absolute().parent.name if name == pathlib.Path(NAME).stem else name


def turned(matched: Matched, scores: Sequence[str]) -> Matched:
    """With the sign of the second changed where of two scores the one is suspicious if low and the other if high."""
    known = [REGISTRY.get(score) for score in scores]
    if None in known or known[0].suspicious == known[1].suspicious:
        return matched
    names = matched.names[0], f"-{matched.names[1]}"
    note = f"of {scores[0]} and {scores[1]} the suspicious ends are opposite: the second is turned round, as {names[1]}"
    values = np.stack([matched.values[0], -matched.values[1]])
    return matched._replace(names=names, values=values, notes=(*matched.notes, note))


def known_values(matched: Matched) -> tuple[Matched, np.ndarray]:
    """Those that both files have a value for, and where they were; enough of them, which differ."""
    known = np.flatnonzero(np.isfinite(matched.values).all(0))
    values, notes, left_out = matched.values[:, known], matched.notes, matched.values.shape[1] - len(known)
    if left_out:
        notes = (*notes, f"{left_out:,} without a value (NaN) in one of the two are left out")
    if len(known) < 3:
        names = " and ".join(matched.names)
        raise UserError(f"{names}: share {len(known)} known values (others are NaN); three or more are needed")
    for name, own in zip(matched.names, values, strict=True):
        if not np.ptp(own):
            raise UserError(f"{name}: all {len(own):,} values are {own[0]:g}; nothing can be correlated with them")
    labels, told = (None if each is None else each[known] for each in (matched.labels, matched.told))
    return matched._replace(values=values, ids=matched.ids[known], labels=labels, told=told, notes=notes), known


def read_source(
    path: pathlib.Path, score: str, spec: CompareSpec
) -> tuple[Values | Matrix | Runs, dict[str, np.ndarray]]:
    """A file's or a folder's values, and what was recomputed for them."""
    if is_folder_of_runs(path):
        return read_runs(path, score, spec.seed)
    if path.is_dir():
        raise UserError(
            f"{path}: is a folder of no known layout; needed: <ratio>/<run>/aux_arrays.npz, or masks.npy and "
            "margins.npy"
        )
    return read_published(path, score, spec.comparison.allow_pickle, spec.data.label_column), {}


def resolve(*sources: Values | Matrix | Runs, reorder: str = "none") -> list[Values]:
    """Both as values; of what knows the influence of any pair, those of the other's pairs; pairs in one order."""
    if not any(isinstance(source, Values) and not source.pairs for source in sources):
        sources = order_pairs(sources, reorder)
    listed = [source for source in sources if isinstance(source, Values)]
    if not listed:
        ids, values = sources[0].every_pair()
        listed = [Values(sources[0].name, values, None, ids, sources[0].order, True)]
        sources = (listed[0], sources[1])
    found = []
    for source in sources:
        if not isinstance(source, Values):
            if not listed[0].pairs:
                raise UserError(f"{source.name} is of pairs, {listed[0].name} of examples; choose by --score")
            values, ids = source.at(listed[0].ids), listed[0].ids
            source = Values(f"{source.name}: influence", values, None, ids, source.order, True)
        found.append(source)
    return found


def told_apart(values: list[Values], paths: Sequence[pathlib.Path]) -> list[Values]:
    """Both, those of files of one name with their folders' names."""
    if values[0].name != values[1].name:
        return values
    return [
        one._replace(name=f"{path.absolute().parent.name}/{one.name}") for one, path in zip(values, paths, strict=True)
    ]


def check_counts(lowest: tuple[int, ...], n: int) -> tuple[int, ...]:
    """The numbers of lowest examples to be held beside each other, ascending."""
    if lowest and max(lowest) >= n:
        raise UserError(f"--lowest={max(lowest)}: both files share {n:,} known values; give less")
    return tuple(sorted(set(lowest or (max(1, round(share * n)) for share in SHARES))))
