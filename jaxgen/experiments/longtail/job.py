"""A job of two stages on long-tailed data: what is refused, the programs, the stores."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import numpy as np

from jaxgen.config import FlipSpec, LnrSpec, StoppingSpec, sweep
from jaxgen.config.fields import flag_values, format_value
from jaxgen.data.long_tail import LongTail, cut_tail
from jaxgen.engine.sampling import SHUFFLED
from jaxgen.errors import UserError
from jaxgen.experiments.longtail.features import Found
from jaxgen.experiments.longtail.kinds import REMIXED, choose_kinds, make_first_member
from jaxgen.experiments.longtail.methods import GUIDED
from jaxgen.experiments.longtail.shots import refuse_shots
from jaxgen.jobs.checks import refuse_idle
from jaxgen.jobs.identity import describe_data, make_identity, typed_flags
from jaxgen.jobs.models import model_bytes, model_folder
from jaxgen.jobs.program import Program, check_program
from jaxgen.jobs.table import make_rows
from jaxgen.jobs.train import describe_program
from jaxgen.jobs.trainer import RunGroup
from jaxgen.jobs.workload import Workload, make_workload
from jaxgen.models import make_model, variable_shapes
from jaxgen.runs.devices import start_devices
from jaxgen.runs.saved_models import LoadedModel, load_model
from jaxgen.types import Dataset

RUN_GROUP = "models"
# What says what is made of models, and decides none.
REPORTING_FLAGS = {"seed", "out", "num_runs", "what_if", "shots", "shot_classes", "methods", "threshold", "flip_rounds"}


class Job(NamedTuple):
    """All that stage 1 trains, and what stage 2 is made of.

    Attributes:
      spec: what was asked for.
      tail: the data.
      program: of stage 1: settings ``ce``, ``mixup`` and ``remix``, as far as they are needed.
    """

    spec: LnrSpec
    tail: LongTail
    program: Program

    @property
    def kinds(self) -> list[str]:
        """Of stage 1."""
        return [setting.name for setting in self.program.settings]

    @property
    def base(self) -> int:
        """The kind of stage 1 that stage 2 goes on from: with mixup, if there is any."""
        return self.kinds.index("mixup") if "mixup" in self.kinds else 0

    def of_base(self, found: Found) -> Found:
        """What those models of stage 1 found that stage 2 goes on from, one a run."""
        runs = self.spec.num_runs
        return Found(*(part[self.base * runs : (self.base + 1) * runs] for part in found))


def make_job(dataset: Dataset, spec: LnrSpec) -> Job:
    """The job that `spec` asks for.

    Args:
      dataset: with a test set.
      spec: flags.

    Raises:
      UserError: for what the data do not suit.
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
    kinds = choose_kinds(spec)
    # Drawing the tail would start JAX, and not on the devices that training wants.
    start_devices(spec.compute.num_devices, dataset.images.nbytes + dataset.test_images.nbytes)
    refuse_stage2(spec, dataset)
    with jax.enable_x64(False):
        tail = cut_tail(dataset, spec.longtail, spec.seed)
    alone = dataclasses.replace(spec, augmentation=dataclasses.replace(spec.augmentation, mixup=0.0))
    settings = [sweep.Setting(name, alone if name == "ce" else spec) for name in kinds]
    sampler = REMIXED if "remix" in kinds else SHUFFLED
    program = Program("", tuple(settings), functools.partial(make_first_member, dataset.num_classes), sampler=sampler)
    check_program(tail.dataset, program)
    return Job(spec, tail, program)


def refuse_stage2(spec: LnrSpec, dataset: Dataset) -> None:
    """Refuses a second stage that the network or the methods do not allow."""
    own, methods = spec.head, spec.flips.methods
    if own.shift_bn and own.stage2 == "cached":
        raise UserError("--shift_bn: cached features have no batches to shift by; give --stage2=augmented too")
    guided = [name for name in methods if name in GUIDED]
    if own.stage2 == "augmented" and guided and methods != FlipSpec().methods:
        raise UserError(f"--methods={guided[0]}: mixes cached features; leave it out, or --stage2=augmented")
    if own.stage2 == "augmented" and spec.flips.flip_rounds > 1:
        raise UserError(
            f"--flip_rounds={spec.flips.flip_rounds}: goes by cached features; leave out --stage2=augmented"
        )
    shape = dataset.images.shape[1:]
    network = make_model(spec.model, dataset.num_classes, shape)
    if own.shift_bn and "batch_stats" not in variable_shapes(network, shape):
        raise UserError(f"--shift_bn: --model={spec.model.model} has no batch norm here; leave it out")


def load_frozen(job: Job) -> list[LoadedModel]:
    """The networks of stage 1 that stage 2 goes on from, one a run."""
    folder, kinds = model_folder(job.tail.dataset, job.program), len(job.kinds)
    return [load_model(folder.path(RUN_GROUP, run * kinds + job.base)) for run in range(job.spec.num_runs)]


def make_first_identity(job: Job) -> dict[str, str]:
    """All that the runs of stage 1 depend on."""
    spec = job.spec
    others = {*flag_values(spec.head), *flag_values(spec.tabular), *flag_values(spec.data)} | REPORTING_FLAGS
    flags = {name: value for name, value in flag_values(spec).items() if name not in others}
    told = {"the_data": describe_data(job.tail.dataset), "the_kinds": ",".join(job.kinds)}
    return make_identity(typed_flags(flags), spec.seed, experiment="lnr", **told)


def make_first_workload(job: Job) -> Workload:
    """All that stage 1 trains; its models are kept, for stage 2 is made of them."""
    data, program = job.tail.dataset, with_models_kept(job.program)
    return make_workload(
        data,
        [program],
        lambda program: first_run_groups(job),
        identity=make_first_identity(job),
        num_runs=job.spec.num_runs,
        run_bytes=model_bytes(data, program) + 2 * len(data.labels) + 4 * job.spec.train.epochs,
        describe=functools.partial(describe_program, data, num_runs=job.spec.num_runs),
        out=job.spec.out,
    )


def with_models_kept(program: Program) -> Program:
    """The program with ``--save_models``."""
    settings = []
    for setting in program.settings:
        compute = dataclasses.replace(setting.spec.compute, save_models=True)
        settings.append(sweep.Setting(setting.name, dataclasses.replace(setting.spec, compute=compute)))
    return program._replace(settings=tuple(settings))


def first_run_groups(job: Job) -> dict[str, RunGroup]:
    """The runs of stage 1."""
    return {RUN_GROUP: RunGroup(functools.partial(make_rows, job.program), len(job.tail.dataset.labels))}


def describe_tail(job: Job) -> str:
    """One line: how many examples of each class there are."""
    data = job.tail.dataset
    counts = np.bincount(data.labels, minlength=data.num_classes)
    return (
        f"{data.name}: {len(data.labels):,} training examples, of the classes {', '.join(f'{n:,}' for n in counts)}; "
        f"{len(job.tail.labels):,} of all classes alike to choose thresholds by, {len(data.test_labels):,} for testing"
    )
