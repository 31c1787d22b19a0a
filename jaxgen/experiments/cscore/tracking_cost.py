"""What tracking single examples adds to a job's training, measured on the job's own programs."""

import time
from statistics import median

import numpy as np

from jaxgen.engine.width import time_evaluation, time_step
from jaxgen.jobs.trainer import Trainer

# Training that took less, in seconds, is not worth compiling it anew for.
WORTHWHILE = 30.0
ROUNDS = 3


def tracking_cost(trainer: Trainer) -> tuple[float, ...]:
    """How many times as long as plain training tracked training of all run groups takes, by round.

    In each round steps and examinations of either are timed in turn, and put together as the job has them.
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
            look = time_evaluation(ensemble, rows, width, clock=time.perf_counter)
            looks = 1 + (len(config.track.examined) if ensemble is tracked else 0)
            seconds.append(width * steps * step + len(sizes) * looks * look)
        ratios.append(seconds[1] / seconds[0])
    return tuple(ratios)


def describe_cost(ratios: tuple[float, ...]) -> str:
    """The same in words."""
    return (
        f"tracking single examples made training {median(ratios):.2f} times as long ({min(ratios):.2f} to "
        f"{max(ratios):.2f} over {len(ratios)} rounds of timing, by turns with training without it)"
    )
