"""Scores of a C-score job, computed from the runs in its store."""

import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

import jaxgen
from jaxgen.config.fields import flag_values, format_value
from jaxgen.experiments.cscore.export import export_runs
from jaxgen.experiments.cscore.influence import add_influence
from jaxgen.experiments.cscore.job import run_group_name
from jaxgen.experiments.cscore.tracking import from_tracking
from jaxgen.jobs.program import Program
from jaxgen.keys import JobDraw, job_key
from jaxgen.reporting.files import without_shard
from jaxgen.runs.run_cache import RunCache
from jaxgen.runs.store import Arrays, Store
from jaxgen.scores import designs, heldout
from jaxgen.scores.from_answers import from_answers
from jaxgen.types import Dataset, Outcome, Scores


class Reader(Protocol):
    """Returns the runs of a ratio in chunks; `tracked` as in `jaxgen.runs.store.Store.runs`."""

    def __call__(self, ratio: float, *, tracked: bool = False) -> Iterable[Arrays]: ...


def make_reader(program: Program, store: Store) -> Reader:
    """Returns a reader that caches runs in memory.

    The runs of a single setting, which may be many, are cached as far as memory allows. Those of several settings
    share chunks; they are read once and kept, at two bits per example and model. Tracked statistics are larger and are
    read again for each setting.
    """
    cache = RunCache(store)

    def stream(ratio: float, *, tracked: bool = False) -> Iterable[Arrays]:
        run_group = run_group_name(program, ratio)
        return store.runs(run_group, tracked=True) if tracked else cache(run_group)

    if len(program.settings) == 1:
        return stream

    @functools.cache
    def read(ratio: float) -> list[Arrays]:
        chunks = list(store.runs(run_group_name(program, ratio)))
        return [{name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}]

    return lambda ratio, *, tracked=False: stream(ratio, tracked=True) if tracked else read(ratio)


def estimate_heldout(dataset: Dataset, program: Program, number: int, chunks: Reader) -> heldout.Estimate:
    """Held-out accuracies and C-scores of one of the program's settings, by its number."""
    spec = program.settings[number].spec
    subsets = spec.subsets

    def runs(i: int) -> Iterator[Outcome]:
        return map(Outcome.from_arrays, setting_runs(program, number, chunks, subsets.subset_ratios[i]))

    return heldout.estimate(
        runs,
        len(dataset.labels),
        subsets.num_runs,
        [designs.block_size(subsets.design, ratio) for ratio in subsets.subset_ratios],
        shared_blocks=subsets.design == "nested",
        key=job_key(spec.seed, JobDraw.RELIABILITY),
    )


def setting_runs(
    program: Program, number: int, chunks: Reader, ratio: float, *, tracked: bool = False
) -> Iterator[Arrays]:
    """Streams the runs of one of the program's settings at a ratio."""
    for arrays in chunks(ratio, tracked=tracked):
        selected = arrays["run"] % len(program.settings) == number
        yield {name: array[selected] for name, array in arrays.items()}


def collect(dataset: Dataset, program: Program, number: int, store: Store, chunks: Reader) -> Scores:
    """All scores of one of the program's settings.

    Args:
      dataset: the examples.
      program: with its settings.
      number: of the setting.
      store: of the job.
      chunks: reads the runs of a ratio.
    """
    spec = program.settings[number].spec
    subsets = spec.subsets

    def arrays(i: int, *, tracked: bool = False) -> Iterator[Arrays]:
        return setting_runs(program, number, chunks, subsets.subset_ratios[i], tracked=tracked)

    def runs(i: int) -> Iterator[Outcome]:
        return map(Outcome.from_arrays, arrays(i))

    blocks = [designs.block_size(subsets.design, ratio) for ratio in subsets.subset_ratios]
    nested = subsets.design == "nested"
    estimate = estimate_heldout(dataset, program, number, chunks)
    other_scores = from_answers(runs, estimate, subsets.subset_ratios, blocks, shared_blocks=nested)
    if program.track:
        other_scores |= from_tracking(
            program.track, functools.partial(arrays, tracked=True), dataset, blocks, shared_blocks=nested
        )
    scores = Scores(
        labels=dataset.labels.astype(np.int64),
        ids=dataset.ids,
        num_runs=subsets.num_runs,
        subset_ratios=np.asarray(subsets.subset_ratios),
        class_names=np.asarray(dataset.class_names),
        metadata={
            "version": jaxgen.__version__,
            "flags": {name: format_value(value) for name, value in flag_values(without_shard(spec)).items()},
            "dataset": dataset.name,
            "fingerprint": dataset.fingerprint,
            "num_models": store.plan.num_runs,
            "setting": program.settings[number].name,
            **totals(itertools.chain.from_iterable(map(arrays, range(len(blocks))))),
        },
        more=other_scores,
        **estimate._asdict(),
    )
    if spec.influence.export_runs:
        export_runs(dataset, spec, program.settings[number].name, runs, store.plan.digest)
    return add_influence(dataset, spec, runs, scores) if spec.influence.influence_pairs else scores


def totals(chunks: Iterable[Arrays]) -> dict[str, float]:
    """Total training time in seconds and the number of diverged models."""
    seconds, diverged = 0.0, 0
    for arrays in chunks:
        seconds += float(arrays["seconds"].sum())
        diverged += int((~arrays["finite"]).sum())
    return {"seconds": seconds, "diverged": diverged}
