"""Measures the cost of per-example tracking on a job's own programs."""

import time
from statistics import median

import numpy as np

from jaxgen.engine.width import time_evaluation, time_step
from jaxgen.jobs.trainer import Trainer
from jaxgen.wording import count_of

# Shorter trainings, in seconds, are not measured: this compiles the program again.
MIN_SECONDS = 30.0
ROUNDS = 3


def tracking_cost(trainer: Trainer) -> tuple[float, ...]:
    """Time of training with tracking relative to training without it, for all run groups; one ratio per round.

    Each round times steps and evaluations of both in turn, and weights them by their numbers in the job.
    """
    tracked, width = trainer.ensemble, trainer.width
    plain = trainer.layout.untracked(trainer.execution_plan)
    sizes = sorted(run_group.max_size for run_group in trainer.run_groups.values())
    rows = next(iter(trainer.run_groups.values())).rows(np.arange(1))
    config, ratios = tracked.config, []
    steps = sum(-(-size // config.batch_size) for size in sizes) * config.epochs
    for _ in range(ROUNDS):
        seconds = []
        for ensemble in (plain, tracked):
            step = time_step(ensemble, rows, width, sizes[len(sizes) // 2], clock=time.perf_counter, seconds=0.1)
            evaluation = time_evaluation(ensemble, rows, width, clock=time.perf_counter)
            num_evaluations = 1 + (len(config.track.examined) if ensemble is tracked else 0)
            seconds.append(width * steps * step + len(sizes) * num_evaluations * evaluation)
        ratios.append(seconds[1] / seconds[0])
    return tuple(ratios)


def describe_cost(ratios: tuple[float, ...]) -> str:
    """The ratios of `tracking_cost` as text."""
    return (
        f"tracking single examples made training {median(ratios):.2f} times as long ({min(ratios):.2f} to "
        f"{max(ratios):.2f} over {count_of(len(ratios), 'round')} of timing, by turns with training without it)"
    )
