"""A C-score job: checks of its flags, the plan of its runs, and its description."""

import functools
from typing import Any, NamedTuple

from jaxgen.config import CscoreSpec, sweep
from jaxgen.config.fields import flag_values, spec_from_values
from jaxgen.errors import UserError
from jaxgen.experiments.cscore.export import check_export
from jaxgen.experiments.cscore.influence import check_influence
from jaxgen.experiments.cscore.tracking import tracked_bytes, with_tracking
from jaxgen.jobs import workload
from jaxgen.jobs.checks import refuse_empty_validation
from jaxgen.jobs.identity import describe_data, make_identity, typed_flags
from jaxgen.jobs.models import model_bytes
from jaxgen.jobs.program import Program, check_program, make_programs, subset_rows
from jaxgen.jobs.trainer import RunGroup
from jaxgen.jobs.workload import Workload
from jaxgen.scores import designs
from jaxgen.types import Dataset


class CscoreJob(NamedTuple):
    """A C-score job.

    Attributes:
      dataset: the examples.
      spec: the flags.
      programs: compiled programs of its settings.
    """

    dataset: Dataset
    spec: CscoreSpec
    programs: list[Program]


def cscore_spec(spec: Any) -> CscoreSpec:
    """The spec of the C-score job of a command that has such a job's flags, or most of them."""
    values = flag_values(spec)
    return spec_from_values(CscoreSpec, {name: values[name] for name in flag_values(CscoreSpec()) if name in values})


def make_job(dataset: Dataset, spec: CscoreSpec) -> CscoreJob:
    """Makes and checks the job of a spec.

    Raises:
      UserError: for flags that do not suit the data, and for huge sweeps without ``--yes``.
    """
    refuse_unsaved_features(spec)
    return CscoreJob(dataset, spec, with_tracking(check_job(dataset, spec), dataset, spec))


def check_job(dataset: Dataset, spec: CscoreSpec) -> list[Program]:
    """Checks a job and returns its programs.

    Raises:
      UserError: for a data set that is too small, a network that does not suit it, and huge sweeps.
    """
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
    check_export(spec, make_workload(CscoreJob(dataset, spec, programs)).plan.digest)
    return programs


def refuse_unsaved_features(spec: CscoreSpec) -> None:
    """Raises `UserError` for measures of features without ``--save_models``."""
    for name in ("feature_density", "feature_lof"):
        if name in spec.tracking.track and not spec.compute.save_models:
            raise UserError(
                f"--track={name}: needs the models, which are not kept; give --save_models, or leave it out"
            )


def refuse_open_shares(spec: CscoreSpec) -> None:
    """Raises `UserError` for ``--target_reliability`` with shards: the number of runs is not known in advance."""
    compute, target = spec.compute, spec.subsets.target_reliability
    if target and (compute.shard or compute.aggregate_only):
        shared = f"--shard={compute.shard}" if compute.shard else "--aggregate_only"
        raise UserError(
            f"{shared}: how many runs --target_reliability={target:g} takes is known when all are there; give "
            "--num_runs and leave it out"
        )


def make_workload(job: CscoreJob) -> Workload:
    """The job's workload: a run group for each program and ratio."""
    spec, programs = job.spec, job.programs
    flags: dict[str, Any] = {"design": spec.subsets.design}
    for part in (spec.model, spec.train, spec.regularization, spec.augmentation, spec.stopping, spec.compute):
        flags |= flag_values(part)
    return workload.make_workload(
        job.dataset,
        programs,
        functools.partial(make_run_groups, job.dataset),
        identity=make_identity(typed_flags(flags), spec.seed, the_data=describe_data(job.dataset)),
        num_runs=spec.subsets.num_runs,
        run_bytes=run_bytes(job.dataset, spec, programs),
        describe=functools.partial(describe_job, job.dataset, spec),
        out=spec.out,
        remedy=", or keep less of each model with --track=dynamics or --track=none" if programs[0].track else "",
    )


def run_group_name(program: Program, ratio: float) -> str:
    """The name of a program's runs at a ratio, in plans and stores."""
    return f"ratio_{ratio:g}{',' if program.name else ''}{program.name}"


def make_run_groups(dataset: Dataset, program: Program) -> dict[str, RunGroup]:
    """The program's run groups by name, one for each ratio."""
    subsets, count = program.spec.subsets, len(dataset.labels)
    return {
        run_group_name(program, ratio): RunGroup(
            rows=functools.partial(subset_rows, program, ratio, count),
            max_size=designs.subset_sizes(subsets.design, ratio, count)[1],
        )
        for ratio in subsets.subset_ratios
    }


def run_bytes(dataset: Dataset, spec: CscoreSpec, programs: list[Program]) -> int:
    """An upper bound of the bytes that a run takes on disk."""
    tests = 0 if dataset.test_labels is None else len(dataset.test_labels)
    epochs = max(sweep.alternatives(spec.train.epochs))
    models = max(model_bytes(dataset, program) for program in programs) if spec.compute.save_models else 0
    tracked = max(tracked_bytes(program.track, dataset, epochs) for program in programs)
    return 3 * len(dataset.labels) // 8 + tests // 8 + 4 * epochs + 200 + models + tracked


def describe_job(dataset: Dataset, spec: CscoreSpec, program: Program, parameters: int) -> str:
    """One line about data, network and runs, and about ratios whose subsets cannot be balanced."""
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
        if unbalanced := [ratio for ratio, block in blocks.items() if not block]:
            line += f"; independent subsets at ratio {', '.join(unbalanced)}, which no block can balance"
        if partial := [
            f"{ratio} (blocks of {block})" for ratio, block in blocks.items() if block and subsets.num_runs % block
        ]:
            line += (
                f"; balanced over whole blocks of runs only, of which --num_runs={subsets.num_runs} is no multiple at "
                f"ratio {', '.join(partial)}"
            )
    return line
