"""What a C-score job tracks of single examples while its models train, and the scores that come of it.

C-scores need no tracking, and a model is the same with it and without. So runs that were not tracked, or otherwise,
count for the C-scores all the same, and what is tracked comes from those runs that were tracked as the job asks.
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

# Parts of ``--track`` that are of the data or of finished models.
DENSITIES = {"pixel_density", "feature_density"}
# By default, what takes more bytes of a run than this is not kept of each: all classes' probabilities, curves.
ROOMY = 10**6
# A curve has so many points from one examination to the next.
POINTS = 2
# The early epoch is a tenth of all: Paul et al. 2021 take the 20th of 200.
EARLY_SHARE = 0.1


def log_spaced(epochs: int, count: int) -> tuple[int, ...]:
    """At most `count` epochs from the first to the last, about evenly spaced by their logarithms; of one, the last."""
    if count == 1:
        return (epochs,)
    return tuple(sorted({round(math.exp(i * math.log(epochs) / (count - 1))) for i in range(count)}))


def tracked_parts(spec: CscoreSpec, dataset: Dataset, curve: Sequence[int]) -> set[str]:
    """What ``--track`` asks for, ``auto`` spelled out: everything cheap, but nothing in a sweep."""
    named = {*spec.tracking.track}
    if "auto" in named and not sweep.swept(spec):
        named |= {"dynamics"}
        if len(dataset.labels) * dataset.num_classes <= ROOMY:
            named |= {"pred_probs"}
        if len(dataset.labels) * len(curve) <= ROOMY:
            named |= {"curves"}
    return named - {"auto", "none"}


def make_track(dataset: Dataset, spec: CscoreSpec, epochs: int) -> TrackingConfig | None:
    """What is tracked in programs of so many epochs."""
    asked = spec.tracking
    examined = log_spaced(epochs, asked.heldout_epochs)
    curve = tuple(sorted({*log_spaced(epochs, POINTS * (len(examined) - 1) + 1), *examined}))
    parts = tracked_parts(spec, dataset, curve) - DENSITIES
    if not parts:
        return None
    # The first visit tells of a network that has not seen the example yet.
    early = asked.early_epoch or max(2, round(EARLY_SHARE * epochs))
    return TrackingConfig(
        min(early, epochs),
        examined[:-1],
        curve if "curves" in parts else (),
        "pred_probs" in parts,
        "grand" in parts,
    )


def with_tracking(programs: Sequence[Program], dataset: Dataset, spec: CscoreSpec) -> list[Program]:
    """The programs, with what is tracked in each."""
    return [one._replace(track=make_track(dataset, spec, one.spec.train.epochs)) for one in programs]


def tracked_bytes(track: TrackingConfig | None, dataset: Dataset, epochs: int) -> int:
    """What is kept of a run's tracking takes so many bytes, before it is packed."""
    if track is None:
        return 0
    counts = 3 * (1 if epochs < 256 else 2)
    each = 8 + 2 + counts + len(track.curve) + dataset.num_classes * track.probabilities + 2 * track.gradients
    return each * len(dataset.labels) + 200


def design_of(track: TrackingConfig) -> np.ndarray:
    """How a run was tracked, as its row in the store says it."""
    return np.asarray((track.early, *track.examined, 0, *track.curve), np.int32)


def tracked_outcome(track: TrackingConfig, arrays: Arrays, dataset: Dataset) -> Outcome:
    """The runs of a chunk with what was tracked of them; as if diverged where they were tracked otherwise or not."""
    parts = {"probabilities": track.probabilities, "curve": bool(track.curve), "gradient": track.gradients}
    # What an earlier call tracked besides counts for the runs of that call alone: it is left out.
    unasked = {f"{TRACKED}{name}" for name, wanted in parts.items() if not wanted}
    names = [name for name in arrays if name.startswith(TRACKED) and name not in unasked]
    design = design_of(track)
    number, n = len(arrays["run"]), len(dataset.labels)
    fits = f"{TRACKED}design" in arrays and arrays[f"{TRACKED}design"].shape[1:] == design.shape
    fits = fits and all(f"{TRACKED}{name}" in arrays for name, wanted in parts.items() if wanted)
    if fits and (arrays[f"{TRACKED}design"] == design).all():
        return Outcome.from_arrays(arrays, names)
    empty = {"looks": (2,), "probabilities": (n, dataset.num_classes), "curve": (n, len(track.curve))}
    plain = ("loss", "margin", "confidence", "variability", "error", "right", "forgotten", "first", "final")
    empty |= {name: (n,) for name in (*plain, "gradient")[: None if track.gradients else -1]}
    nothing = {f"{TRACKED}{name}": np.broadcast_to(np.uint8(0), (number, *shape)) for name, shape in empty.items()}
    nothing[f"{TRACKED}design"] = np.broadcast_to(design, (number, len(design)))
    outcome = Outcome.from_arrays(arrays)
    return outcome._replace(finite=np.zeros_like(outcome.finite), measures=nothing)


def from_tracking(
    track: TrackingConfig,
    chunks: Callable[[int], Iterable[Arrays]],
    dataset: Dataset,
    block_sizes: Sequence[int],
    *,
    shared_blocks: bool,
) -> dict[str, np.ndarray]:
    """Every score that tracking gives, by its key in ``cscores.npz``; nothing where no run was tracked so.

    Args:
      track: what was tracked.
      chunks: from the number of a ratio to the store's arrays of its runs; called several times.
      dataset: the examples.
      block_sizes, shared_blocks: as of `jaxgen.scores.heldout.estimate`.
    """
    count, num_ratios = len(dataset.labels), len(block_sizes)

    def runs(i: int) -> Iterator[Outcome]:
        for arrays in chunks(i):
            yield tracked_outcome(track, arrays, dataset)

    tracked = sum(int(outcome.finite.sum()) for i in range(num_ratios) for outcome in runs(i))
    found: dict[str, np.ndarray] = {"tracked_runs": np.asarray(tracked)}
    if not tracked:
        return found
    found |= dynamics.estimate(runs, count, block_sizes, shared_blocks=shared_blocks)
    if track.probabilities:
        found["pred_probs"] = pooled.mean_probabilities(runs, count, num_ratios, dataset.num_classes)
    if track.curve:
        found |= pooled.curves(runs, count, num_ratios, track.curve)
    return found
