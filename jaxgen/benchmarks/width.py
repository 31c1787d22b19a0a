"""Seconds a model as more members are trained side by side: the measurement behind the rule for ``--width``."""

import math
import pathlib
import time

import jax
import numpy as np

from jaxgen.benchmarks.figures import draw_members
from jaxgen.benchmarks.interleaved import describe_machine
from jaxgen.config import BenchSpec
from jaxgen.data import load_dataset
from jaxgen.engine.ensemble import Ensemble
from jaxgen.errors import UserError
from jaxgen.experiments.cscore.job import check_job, make_run_groups
from jaxgen.jobs.train import make_trainer
from jaxgen.jobs.trainer import RunGroup
from jaxgen.reporting.console import log
from jaxgen.wording import count_of

# Members that are trained side by side.
MEMBERS = (1, 4, 16, 64, 256, 1024)


def measure_members(spec: BenchSpec) -> str:
    """The table of seconds a model by members trained side by side; its picture goes to ``--out``.

    Members are spread over all devices; every count is trained in turn, `rounds` times.

    Raises:
      UserError: for flags that cannot be used.
    """
    if len(spec.job.subsets.subset_ratios) != 1:
        raise UserError("--measure=members: give one ratio, such as --subset_ratios=0.5")
    dataset = load_dataset(spec.job.data)
    [program] = check_job(dataset, spec.job)
    trainer = make_trainer(dataset, program, make_run_groups(dataset, program), log)
    [run_group] = trainer.run_groups.values()
    devices = trainer.ensemble.mesh.size
    seconds: dict[int, list[float]] = {}
    trainer.configure({name: max(MEMBERS) for name in trainer.run_groups})
    for round_number in range(spec.rounds + 1):
        for members in (count for count in MEMBERS if count <= spec.job.subsets.num_runs):
            taken = train_once(trainer.ensemble, run_group, members, math.ceil(members / devices))
            # The first round compiles.
            if round_number:
                seconds.setdefault(members, []).append(taken / members)
    title = (
        f"{dataset.name}, {spec.job.model.model}, {spec.job.train.epochs} epochs of {run_group.max_size:,} examples; "
        f"{devices} {jax.devices()[0].platform} device(s)"
    )
    lines = [
        f"{title}; {count_of(spec.rounds, 'round')}; {describe_machine()}",
        "",
        "| members side by side | members a device | seconds a model, median (smallest to largest) |",
        "| --- | --- | --- |",
    ]
    for members, times in seconds.items():
        spread = f"{np.median(times):.3g} ({min(times):.3g} to {max(times):.3g})"
        lines.append(f"| {members:,} | {math.ceil(members / devices):,} | {spread} |")
    if spec.job.out:
        folder = pathlib.Path(spec.job.out)
        folder.mkdir(parents=True, exist_ok=True)
        draw_members(seconds, title, folder / "members.png")
        lines += ["", str(folder / "members.png")]
    return "\n".join(lines)


def train_once(ensemble: Ensemble, run_group: RunGroup, members: int, width: int) -> float:
    """Seconds of training so many members, from their rows to their outcomes on the host."""
    began = time.perf_counter()
    ensemble.train(run_group.rows(np.arange(members)), width, run_group.max_size, 10**9)
    return time.perf_counter() - began
