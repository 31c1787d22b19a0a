"""Per-example statistics that a C-score job tracks in training, and the scores computed from them.

Tracking does not change a model. So all runs count for the C-scores, and the tracked scores use those runs that were
tracked as the job's flags say.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from jaxgen.config import CscoreSpec, sweep
from jaxgen.jobs.program import Program
from jaxgen.runs.store import Arrays
from jaxgen.scores import dynamics, pooled
from jaxgen.scores.example_stats import TrackingConfig
from jaxgen.types import TRACKED, Dataset, Outcome

# Parts of ``--track`` that are computed from the data or from trained models.
DENSITIES = {"pixel_density", "feature_density", "pixel_lof", "feature_lof"}
# By default, statistics that take more bytes of a run (probabilities of all classes, curves) are not tracked.
MAX_DEFAULT_BYTES = 10**6
# Points of a curve between two evaluations of held-out examples.
POINTS = 2
# The early epoch as a share of all epochs: Paul et al. 2021 take the 20th of 200.
EARLY_SHARE = 0.1


def log_spaced(epochs: int, count: int) -> tuple[int, ...]:
    """At most `count` epochs from first to last, about evenly spaced on a log scale; for one, the last."""
    if count == 1:
        return (epochs,)
    return tuple(sorted({round(math.exp(i * math.log(epochs) / (count - 1))) for i in range(count)}))


def tracked_parts(spec: CscoreSpec, dataset: Dataset, curve: Sequence[int]) -> set[str]:
    """The parts that ``--track`` names, with ``auto`` expanded: everything cheap, but nothing in a sweep."""
    named = {*spec.tracking.track}
    if "auto" in named and not sweep.swept(spec):
        named |= {"dynamics"}
        if len(dataset.labels) * dataset.num_classes <= MAX_DEFAULT_BYTES:
            named |= {"pred_probs"}
        if len(dataset.labels) * len(curve) <= MAX_DEFAULT_BYTES:
            named |= {"curves"}
    return named - {"auto", "none"}


def make_track(dataset: Dataset, spec: CscoreSpec, epochs: int) -> TrackingConfig | None:
    """The tracking config of programs with `epochs` epochs; None if nothing is tracked."""
    flags = spec.tracking
    eval_epochs = log_spaced(epochs, flags.heldout_epochs)
    curve = tuple(sorted({*log_spaced(epochs, POINTS * (len(eval_epochs) - 1) + 1), *eval_epochs}))
    parts = tracked_parts(spec, dataset, curve) - DENSITIES
    if not parts:
        return None
    # At the first visit the network has not been trained on the example yet.
    early = flags.early_epoch or max(2, round(EARLY_SHARE * epochs))
    return TrackingConfig(
        min(early, epochs),
        eval_epochs[:-1],
        curve if "curves" in parts else (),
        "pred_probs" in parts,
        "grand" in parts,
    )


def with_tracking(programs: Sequence[Program], dataset: Dataset, spec: CscoreSpec) -> list[Program]:
    """The programs with their tracking configs."""
    return [program._replace(track=make_track(dataset, spec, program.spec.train.epochs)) for program in programs]


def tracked_bytes(track: TrackingConfig | None, dataset: Dataset, epochs: int) -> int:
    """Bytes of a run's tracked statistics, uncompressed."""
    if track is None:
        return 0
    count_bytes = 3 * (1 if epochs < 256 else 2)
    bytes_per_example = (
        8 + 2 + count_bytes + len(track.curve) + dataset.num_classes * track.probabilities + 2 * track.gradients
    )
    return bytes_per_example * len(dataset.labels) + 200


def tracking_design(track: TrackingConfig) -> np.ndarray:
    """The tracking config as the int32 row that is stored with a run."""
    return np.asarray((track.early, *track.examined, 0, *track.curve), np.int32)


def tracked_outcome(track: TrackingConfig, arrays: Arrays, dataset: Dataset) -> Outcome:
    """The runs of a chunk with their tracked statistics; marked as diverged if they lack those of `track`."""
    parts = {"probabilities": track.probabilities, "curve": bool(track.curve), "gradient": track.gradients}
    # Further statistics, tracked by an earlier call for some of the runs, are left out.
    unwanted = {f"{TRACKED}{name}" for name, wanted in parts.items() if not wanted}
    names = [name for name in arrays if name.startswith(TRACKED) and name not in unwanted]
    design = tracking_design(track)
    num_runs, n = len(arrays["run"]), len(dataset.labels)
    fits = f"{TRACKED}design" in arrays and arrays[f"{TRACKED}design"].shape[1:] == design.shape
    fits = fits and all(f"{TRACKED}{name}" in arrays for name, wanted in parts.items() if wanted)
    if fits and (arrays[f"{TRACKED}design"] == design).all():
        return Outcome.from_arrays(arrays, names)
    shapes = {"looks": (2,), "probabilities": (n, dataset.num_classes), "curve": (n, len(track.curve))}
    per_example = ("loss", "margin", "confidence", "variability", "error", "right", "forgotten", "first", "final")
    shapes |= {name: (n,) for name in (*per_example, "gradient")[: None if track.gradients else -1]}
    placeholders = {
        f"{TRACKED}{name}": np.broadcast_to(np.uint8(0), (num_runs, *shape)) for name, shape in shapes.items()
    }
    placeholders[f"{TRACKED}design"] = np.broadcast_to(design, (num_runs, len(design)))
    outcome = Outcome.from_arrays(arrays)
    return outcome._replace(finite=np.zeros_like(outcome.finite), measures=placeholders)


def from_tracking(
    track: TrackingConfig,
    chunks: Callable[[int], Iterable[Arrays]],
    dataset: Dataset,
    block_sizes: Sequence[int],
    *,
    shared_blocks: bool,
) -> dict[str, np.ndarray]:
    """Scores from tracked statistics by key of ``cscores.npz``; only ``tracked_runs`` if no run was tracked like this.

    Args:
      track: the tracking config.
      chunks: maps the index of a ratio to the stored arrays of its runs; called several times.
      dataset: the examples.
      block_sizes, shared_blocks: as in `jaxgen.scores.heldout.estimate`.
    """
    count, num_ratios = len(dataset.labels), len(block_sizes)

    def runs(i: int) -> Iterator[Outcome]:
        for arrays in chunks(i):
            yield tracked_outcome(track, arrays, dataset)

    tracked = sum(int(outcome.finite.sum()) for i in range(num_ratios) for outcome in runs(i))
    scores: dict[str, np.ndarray] = {"tracked_runs": np.asarray(tracked)}
    if not tracked:
        return scores
    scores |= dynamics.estimate(runs, count, block_sizes, shared_blocks=shared_blocks)
    if track.probabilities:
        scores["pred_probs"] = pooled.mean_probabilities(runs, count, num_ratios, dataset.num_classes)
    if track.curve:
        scores |= pooled.curves(runs, count, num_ratios, track.curve)
    return scores
