"""A C-score job: what is refused, the plan of all its runs, and what it is in a line."""

import functools
import pathlib
from typing import Any

from jaxgen.config import CscoreSpec, sweep
from jaxgen.config.fields import flag_values, format_value
from jaxgen.errors import UserError
from jaxgen.experiments.cscore.export import check_export
from jaxgen.experiments.cscore.influence import check_influence
from jaxgen.experiments.cscore.tracking import tracked_bytes
from jaxgen.jobs.checks import refuse_empty_validation
from jaxgen.jobs.identity import RUNTIME_FLAGS, numerics_version
from jaxgen.jobs.models import model_bytes
from jaxgen.jobs.program import Program, check_program, make_programs, subset_rows
from jaxgen.jobs.trainer import RunGroup
from jaxgen.runs.plan import Plan
from jaxgen.runs.store import Store, open_store
from jaxgen.scores import designs
from jaxgen.types import Dataset


def check_job(dataset: Dataset, spec: CscoreSpec) -> list[Program]:
    """The job's programs; refuses what the data set is too small for, networks it does not suit, and huge sweeps."""
    if sweep.swept(spec):
        models_each = spec.subsets.num_runs * len(spec.subsets.subset_ratios)
        if spec.subsets.target_reliability:
            raise UserError(
                f"--target_reliability={spec.subsets.target_reliability:g}: is for one setting, and "
                f"--{sweep.swept(spec)[0]} has a list; give one value, or leave it out"
            )
        sweep.refuse_many(sweep.num_settings(spec), models_each, spec.compute.yes)
    refuse_open_shares(spec)
    programs = make_programs(spec)
    for program in programs:
        check_program(dataset, program)
    check_influence(dataset, spec)
    count = len(dataset.labels)
    needed = max(2, dataset.num_classes)
    for ratio in spec.subsets.subset_ratios:
        smallest, largest = designs.subset_sizes(spec.subsets.design, ratio, count)
        if smallest < needed:
            remedy = f"leave out ratios below {needed / count:.2g}" if needed < count else "more examples are needed"
            raise UserError(
                f"--subset_ratios={ratio:g}: is {smallest} of {count} examples; a subset needs {needed} or more, one a "
                f"class; {remedy}"
            )
        if largest >= count:
            raise UserError(f"--subset_ratios={ratio:g}: holds out none of {count} examples; leave it out")
        refuse_empty_validation(spec, smallest, f"a subset at ratio {ratio:g}")
    check_export(spec, make_plan(dataset, spec, programs).digest)
    return programs


def refuse_open_shares(spec: CscoreSpec) -> None:
    """Refuses to share out a number of runs that only the runs themselves will tell.

    Raises:
      UserError: for ``--target_reliability`` in one of several shares.
    """
    compute, target = spec.compute, spec.subsets.target_reliability
    if target and (compute.shard or compute.aggregate_only):
        shared = f"--shard={compute.shard}" if compute.shard else "--aggregate_only"
        raise UserError(
            f"{shared}: how many runs --target_reliability={target:g} takes is known when all are there; give "
            "--num_runs and leave it out"
        )


def make_plan(dataset: Dataset, spec: CscoreSpec, programs: list[Program]) -> Plan:
    """The job's identity and its cells: one for each program and ratio."""
    decisive: dict[str, Any] = {"design": spec.subsets.design, "seed": spec.seed}
    for part in (spec.model, spec.train, spec.regularization, spec.augmentation, spec.stopping, spec.compute):
        decisive |= {name: value for name, value in flag_values(part).items() if name not in RUNTIME_FLAGS}
    identity = {f"--{name}": format_value(value) for name, value in decisive.items()}
    identity |= {
        "the data": f"{dataset.name} {dataset.fingerprint[:12]}",
        "the numerics version": numerics_version("cscore"),
    }
    run_groups = {
        run_group_name(program, ratio): spec.subsets.num_runs * len(program.settings)
        for program in programs
        for ratio in spec.subsets.subset_ratios
    }
    return Plan(identity, run_groups)


def run_group_name(program: Program, ratio: float) -> str:
    """The name of a program's runs at a ratio, in plans and stores."""
    return f"ratio_{ratio:g}{',' if program.name else ''}{program.name}"


def make_run_groups(dataset: Dataset, program: Program) -> dict[str, RunGroup]:
    """From the name of each ratio to the rows of its runs."""
    subsets, count = program.spec.subsets, len(dataset.labels)
    return {
        run_group_name(program, ratio): RunGroup(
            rows=functools.partial(subset_rows, program, ratio, count),
            max_size=designs.subset_sizes(subsets.design, ratio, count)[1],
        )
        for ratio in subsets.subset_ratios
    }


def run_bytes(dataset: Dataset, spec: CscoreSpec, programs: list[Program]) -> int:
    """What a run takes on disk, and a little more."""
    tests = 0 if dataset.test_labels is None else len(dataset.test_labels)
    epochs = max(sweep.alternatives(spec.train.epochs))
    models = max(model_bytes(dataset, program) for program in programs) if spec.compute.save_models else 0
    tracked = max(tracked_bytes(program.track, dataset, epochs) for program in programs)
    return 3 * len(dataset.labels) // 8 + tests // 8 + 4 * epochs + 200 + models + tracked


def open_job_store(dataset: Dataset, spec: CscoreSpec, programs: list[Program]) -> Store:
    """The store of the job below ``spec.out``."""
    plan = make_plan(dataset, spec, programs)
    remedy = ", or keep less of each model with --track=dynamics or --track=none" if programs[0].track else ""
    return open_store(pathlib.Path(spec.out) / "store", plan, run_bytes(dataset, spec, programs), remedy)


def describe_job(dataset: Dataset, spec: CscoreSpec, program: Program, parameters: int) -> str:
    """One line: the data, the network, the runs, and where subsets cannot be balanced."""
    subsets = spec.subsets
    shape = "x".join(str(size) for size in dataset.images.shape[1:])
    settings = f"settings: {len(program.settings)}, " if sweep.swept(spec) else ""
    line = (
        f"{dataset.name}: {len(dataset.labels):,} {'images of' if dataset.has_images else 'rows of'} {shape} in "
        f"{dataset.num_classes} classes; {program.spec.model.model} with {parameters:,} parameters; "
        f"{settings}subset ratios: {len(subsets.subset_ratios)}, runs at each: {subsets.num_runs}"
    )
    if subsets.design == "balanced":
        blocks = {f"{ratio:g}": designs.block_shape("balanced", ratio)[0] for ratio in subsets.subset_ratios}
        if odd := [ratio for ratio, block in blocks.items() if not block]:
            line += f"; independent subsets at ratio {', '.join(odd)}, which no block can balance"
        if part := [
            f"{ratio} (blocks of {block})" for ratio, block in blocks.items() if block and subsets.num_runs % block
        ]:
            line += (
                f"; balanced over whole blocks of runs only, of which --num_runs={subsets.num_runs} is no multiple at "
                f"ratio {', '.join(part)}"
            )
    return line
