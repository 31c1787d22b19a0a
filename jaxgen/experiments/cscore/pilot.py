"""The pilot: a few short trainings choose the network, the learning rate and the number of epochs of a job.

Networks that suit the data are trained at several learning rates on each of two random halves of a part of the
examples for growing numbers of epochs, and judged on the other half. What the user gave is kept.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxgen.config.fields import chosen_flags, format_value, replace_flags
from jaxgen.data.parts import with_normalized_channels
from jaxgen.errors import UserError
from jaxgen.experiments.cscore.job import cscore_spec, make_job
from jaxgen.experiments.cscore.pilot_trials import (
    EPOCHS,
    Trial,
    kind_of,
    list_networks,
    most_examples,
    pilot_examples,
    run_trials,
)
from jaxgen.experiments.cscore.simple_baselines import baseline_correct
from jaxgen.jobs.session import Session
from jaxgen.reporting.tables import to_table
from jaxgen.scores import designs
from jaxgen.scores.chance import p_of_recall
from jaxgen.scores.paired import compare
from jaxgen.types import Dataset
from jaxgen.wording import count_of

# Networks that are right less often than the best by no more than this are as good; so are rates and epochs of one.
TOLERANCE, EPOCH_TOLERANCE = 0.01, 0.005
# A network has learnt something if one that knows nothing does as well with less than this probability.
SIGNIFICANT = 0.01


def choose_training(dataset: Dataset, spec: Any, session: Session) -> tuple[Dataset, Any]:
    """The data and flags of a job after its pilot; as they are without ``--pilot``, or if it has nothing to choose.

    Args:
      dataset: the examples.
      spec: of the command.
      session: resume command and log.

    Raises:
      UserError: if no network learns anything, for images that are too large, and with ``--shard`` and its like.
    """
    given = chosen_flags(spec)
    if not spec.pilot:
        return dataset, spec
    if {"model", "learning_rate", "epochs"} <= given or spec.compute.dry_run:
        said = "is not run with --dry_run" if spec.compute.dry_run else "has nothing to choose"
        session.tell(f"pilot: {said}; flags stay as they are")
        return dataset, spec
    refuse_shared(spec)
    make_job(dataset, cscore_spec(spec))
    if dataset.has_images and not {"whiten", "normalize_channels"} & given:
        dataset = with_normalized_channels(dataset, True, dataset.name)
        spec = replace_flags(spec, {"normalize_channels": True})
    networks = list_networks(dataset, spec, given)
    part = pilot_examples(dataset, spec.seed, min(most_examples(dataset, flags) for flags in networks))
    session.tell(
        f"pilot: trains {' and '.join(flags['model'] for flags in networks)} on each half of "
        f"{count_of(len(part.labels), 'example')}, judged on the other half"
    )
    trials = [trial for flags in networks for trial in run_trials(part, spec, flags, given, session)]
    for line in table_of_trials(trials):
        session.tell(line)
    chosen = choose(trials)
    refuse_chance(part, chosen, len(trials))
    session.tell(compare_with_baselines(part, spec.seed, chosen))
    found = {**chosen.flags, "epochs": epochs_of_job(dataset, part, chosen)}
    flags = {name: value for name, value in found.items() if name not in given}
    typed = [f"--{name}={format_value(value)}" for name, value in flags.items()]
    typed += ["--normalize_channels"] * bool(dataset.channel_moments and "normalize_channels" not in given)
    session.tell(f"pilot: chose {' '.join(typed)}")
    return dataset, replace_flags(spec, flags)


def refuse_shared(spec: Any) -> None:
    """Raises `UserError` for jobs of several processes, whose pilots might choose differently."""
    shared = "--shard=" + spec.compute.shard if spec.compute.shard else "--launcher=" + spec.compute.launcher
    if spec.compute.shard or spec.compute.launcher != "local":
        raise UserError(
            f"{shared}: --pilot is for one process; run the command without {shared} once until it says what the pilot "
            "chose, and give these flags"
        )


def choose(trials: Sequence[Trial]) -> Trial:
    """The fastest training that is about as good as the best.

    That is the first network, the fastest, that is as good as the best of all; and of its trials the one with the
    fewest epochs, at the best learning rate for these.
    """
    top = max(trial.accuracy for trial in trials)
    network = next(trial for trial in trials if trial.accuracy >= top - TOLERANCE).flags["model"]
    own = [trial for trial in trials if trial.flags["model"] == network]
    least = max(trial.accuracy for trial in own) - EPOCH_TOLERANCE
    good = [trial for trial in own if trial.accuracy >= least]
    return min(good, key=lambda trial: (trial.flags["epochs"], -trial.accuracy))


def table_of_trials(trials: Sequence[Trial]) -> list[str]:
    """Lines of a Markdown table: held-out accuracy in percent by network and rate (rows) and epochs (columns)."""
    epochs = sorted({trial.flags["epochs"] for trial in trials})
    rows: dict[tuple[str, str], dict[int, str]] = {}
    for trial in trials:
        row = rows.setdefault((trial.flags["model"], format_value(trial.flags["learning_rate"])), {})
        row[trial.flags["epochs"]] = f"{100 * trial.accuracy:.1f}"
    lines = [[*names, *(row.get(epoch, "") for epoch in epochs)] for names, row in rows.items()]
    header = ["held-out accuracy, %", "learning rate", *(count_of(epoch, "epoch") for epoch in epochs)]
    return to_table(header, lines).splitlines()


def refuse_chance(part: Dataset, chosen: Trial, num_trials: int) -> None:
    """Raises `UserError` if it is not shown that the chosen network has learnt anything.

    Judged by the mean over classes of how often examples of a class are right: predictions that do not depend on the
    labels have 1 / c on average, however unequal the classes are.

    Args:
      part: the examples of the pilot.
      chosen: by the pilot.
      num_trials: what it is the best of; Bonferroni's correction.
    """
    counts = np.bincount(part.labels)
    hits, counts = np.bincount(part.labels, chosen.correct)[counts > 0], counts[counts > 0]
    recall, share = (hits / counts).mean(), 1 / len(counts)
    # Each half of the examples is learnt from and judged by turns, so that two labels may make each other right: the
    # variance is up to twice that of independent examples, as of half as many.
    p = min(1.0, num_trials * p_of_recall(hits / 2, counts / 2))
    if p >= SIGNIFICANT:
        raise UserError(
            f"--pilot: it is not shown that any network learns: the best is right on {100 * recall:.1f} % of the "
            f"held-out examples of a class on average, and guesses on {100 * share:.1f} % (n = {len(part.labels):,}, "
            f"p = {p:.2g} after Bonferroni's correction for {num_trials} trials); check that labels belong to their "
            "examples, try other flags of training, or give --pilot=false to go on as it is"
        )


def compare_with_baselines(part: Dataset, seed: int, chosen: Trial) -> str:
    """One line about how often the chosen network and simple methods are right on the same held-out examples."""
    right, said, better = chosen.correct, [], []
    baselines = baseline_correct(part, halves(len(part.labels), seed))
    for name, correct in baselines.items():
        difference = compare(right - correct)
        said.append(f"{name} {100 * correct.mean():.1f} %")
        if difference.mean < 0 and len(baselines) * difference.p < SIGNIFICANT:
            better.append(name)
    line = (
        f"{chosen.flags['model']} is right on {100 * right.mean():.1f} % of {len(right):,} held-out examples; "
        f"trained on the same halves, {' and '.join(said)}"
    )
    if better:
        line += f"; {' and '.join(better)} learn more than the network does, so its doubts count for less"
    return line


def halves(count: int, seed: int) -> np.ndarray:
    """What the two models of each trial train on, bool ``[2, count]``."""
    rows = designs.subset_rows("balanced", 0.5, count, np.arange(2))
    draw = jax.vmap(lambda row: designs.draw_subset(jax.random.key(seed), row, count))
    return np.asarray(draw(rows))


def epochs_of_job(dataset: Dataset, part: Dataset, chosen: Trial) -> int:
    """Epochs of the job: those of the pilot; of more examples fewer, so that steps grow as the root of their number."""
    share, epochs = math.sqrt(len(part.labels) / len(dataset.labels)), chosen.flags["epochs"]
    return max(min(EPOCHS[kind_of(chosen.flags)][0], epochs), math.ceil(share * epochs))
