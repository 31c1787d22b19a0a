"""A two-stage job on long-tailed data: flag checks, the stage-1 program and its store."""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from jaxgen.config import FlipSpec, LnrSpec, StoppingSpec, sweep
from jaxgen.config.fields import flag_values, format_value
from jaxgen.data.long_tail import LongTail, cut_tail
from jaxgen.errors import UserError
from jaxgen.experiments.longtail.features import Stage1Outputs
from jaxgen.experiments.longtail.kinds import stage1_programs
from jaxgen.experiments.longtail.methods import LDAM_DRW, SELMIX_METHODS
from jaxgen.experiments.longtail.shots import refuse_shots
from jaxgen.jobs.checks import refuse_idle
from jaxgen.jobs.identity import describe_data, make_identity, typed_flags
from jaxgen.jobs.member_table import make_rows
from jaxgen.jobs.models import model_bytes, model_folder
from jaxgen.jobs.program import Program, check_program
from jaxgen.jobs.train import describe_program
from jaxgen.jobs.trainer import RunGroup
from jaxgen.jobs.workload import Workload, make_workload
from jaxgen.models import make_model, takes_cosine, variable_shapes
from jaxgen.runs.devices import start_devices
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.runs.saved_models import LoadedModel, load_model
from jaxgen.types import Dataset

RUN_GROUP = "models"
# Flags that do not change the stage-1 models.
REPORTING_FLAGS = {"seed", "out", "num_runs", "what_if", "shots", "shot_classes", "methods", "threshold", "flip_rounds"}


class LongTailJob(NamedTuple):
    """A two-stage long-tail job.

    Attributes:
      spec: the flags.
      tail: the data.
      programs: programs of stage 1, with those of its settings that are needed (`kinds.stage1_programs`).
    """

    spec: LnrSpec
    tail: LongTail
    programs: list[Program]

    @property
    def kinds(self) -> list[str]:
        """Names of the stage-1 settings."""
        return [setting.name for program in self.programs for setting in program.settings]

    @property
    def base(self) -> int:
        """Index of the stage-1 setting that stage 2 starts from: mixup, if there is one."""
        return self.kinds.index("mixup") if "mixup" in self.kinds else 0

    def base_outputs(self, outputs: Stage1Outputs) -> Stage1Outputs:
        """Outputs of the stage-1 models that stage 2 starts from, one per run."""
        return self.outputs_of(outputs, self.kinds[self.base])

    def outputs_of(self, outputs: Stage1Outputs, kind: str) -> Stage1Outputs:
        """Outputs of the models of a stage-1 setting, one per run."""
        start = self.kinds.index(kind) * self.spec.num_runs
        return Stage1Outputs(*(array[start : start + self.spec.num_runs] for array in outputs))


def make_job(dataset: Dataset, spec: LnrSpec) -> LongTailJob:
    """Makes the job of a spec.

    Args:
      dataset: a dataset with a test set.
      spec: the flags.

    Raises:
      UserError: if the flags do not fit the data or each other.
    """
    refuse_idle(spec, [field.name for field in dataclasses.fields(spec) if field.name != "tabular"], "two stages")
    if swept := sweep.swept(spec):
        value = format_value(flag_values(spec)[swept[0]])
        raise UserError(f"--{swept[0]}={value}: takes one value here; lists are for --threshold and --methods")
    if spec.stopping != StoppingSpec():
        raise UserError("--validation_share, --patience: a long tail has too few examples to stop by; leave them out")
    if spec.flips.flip_rounds > 1 and "lnr" not in spec.flips.methods:
        raise UserError(f"--flip_rounds={spec.flips.flip_rounds}: needs lnr among the --methods")
    refuse_shots(spec.longtail, dataset.num_classes)
    programs = stage1_programs(spec, dataset.num_classes)
    # Drawing the tail starts JAX, so the devices of training must be set up first.
    start_devices(spec.compute.num_devices, dataset.images.nbytes + dataset.test_images.nbytes)
    refuse_methods(spec, dataset)
    with fixed_settings():
        tail = cut_tail(dataset, spec.longtail, spec.seed)
    for program in programs:
        check_program(tail.dataset, program)
    return LongTailJob(spec, tail, programs)


def refuse_methods(spec: LnrSpec, dataset: Dataset) -> None:
    """Raises `UserError` if the methods or stage 2 do not fit the network or each other."""
    head_spec, methods = spec.head, spec.flips.methods
    augmented = head_spec.stage2 == "augmented"
    if head_spec.shift_bn and head_spec.stage2 == "cached":
        raise UserError("--shift_bn: cached features have no batches to shift by; give --stage2=augmented too")
    selmix = [name for name in methods if name in SELMIX_METHODS]
    if augmented and selmix and methods != FlipSpec().methods:
        raise UserError(f"--methods={selmix[0]}: mixes cached features; leave it out, or --stage2=augmented")
    if augmented and spec.flips.flip_rounds > 1:
        raise UserError(
            f"--flip_rounds={spec.flips.flip_rounds}: goes by cached features; leave out --stage2=augmented"
        )
    shape = dataset.images.shape[1:]
    network = make_model(spec.model, dataset.num_classes, shape)
    if head_spec.shift_bn and "batch_stats" not in variable_shapes(network, shape):
        raise UserError(f"--shift_bn: --model={spec.model.model} has no batch norm here; leave it out")
    if LDAM_DRW in methods and not takes_cosine(network):
        raise UserError(
            f"--methods={LDAM_DRW}: normalizes the weights of each class, which --model={spec.model.model} scales; "
            "leave it out, or choose another --model"
        )


def load_base_models(job: LongTailJob) -> list[LoadedModel]:
    """Loads the stage-1 models that stage 2 starts from, one per run."""
    return load_models(job, job.kinds[job.base])


def load_models(job: LongTailJob, kind: str) -> list[LoadedModel]:
    """Loads the models of a stage-1 setting, one per run."""
    for program in job.programs:
        names = [setting.name for setting in program.settings]
        if kind in names:
            folder, group = model_folder(job.tail.dataset, program), run_group_name(program)
            numbers = [run * len(names) + names.index(kind) for run in range(job.spec.num_runs)]
            return [load_model(folder.path(group, number)) for number in numbers]
    raise KeyError(kind)


def run_group_name(program: Program) -> str:
    """The run group of a program of either stage in its store."""
    return program.name or RUN_GROUP


def make_stage1_identity(job: LongTailJob) -> dict[str, str]:
    """Everything that the results of stage 1 depend on."""
    spec = job.spec
    ignored = {*flag_values(spec.head), *flag_values(spec.tabular), *flag_values(spec.data)} | REPORTING_FLAGS
    flags = {name: value for name, value in flag_values(spec).items() if name not in ignored}
    inputs = {"the_data": describe_data(job.tail.dataset), "the_kinds": ",".join(job.kinds)}
    return make_identity(typed_flags(flags), spec.seed, experiment="lnr", **inputs)


def make_stage1_workload(job: LongTailJob) -> Workload:
    """The workload of stage 1; its models are saved for stage 2."""
    data, programs = job.tail.dataset, [with_saved_models(program) for program in job.programs]
    return make_workload(
        data,
        programs,
        functools.partial(stage1_run_groups, job),
        identity=make_stage1_identity(job),
        num_runs=job.spec.num_runs,
        run_bytes=model_bytes(data, programs[0]) + 2 * len(data.labels) + 4 * job.spec.train.epochs,
        describe=functools.partial(describe_program, data, num_runs=job.spec.num_runs),
        out=job.spec.out,
    )


def with_saved_models(program: Program) -> Program:
    """The program with ``--save_models``."""
    settings = []
    for setting in program.settings:
        compute = dataclasses.replace(setting.spec.compute, save_models=True)
        settings.append(sweep.Setting(setting.name, dataclasses.replace(setting.spec, compute=compute)))
    return program._replace(settings=tuple(settings))


def stage1_run_groups(job: LongTailJob, program: Program) -> dict[str, RunGroup]:
    """Run groups of a program of stage 1."""
    return {run_group_name(program): RunGroup(functools.partial(make_rows, program), len(job.tail.dataset.labels))}


def describe_tail(job: LongTailJob) -> str:
    """One line with the number of examples of each class."""
    data = job.tail.dataset
    counts = np.bincount(data.labels, minlength=data.num_classes)
    return (
        f"{data.name}: {len(data.labels):,} training examples, of the classes {', '.join(f'{n:,}' for n in counts)}; "
        f"{len(job.tail.labels):,} of all classes alike to choose thresholds by, {len(data.test_labels):,} for testing"
    )
