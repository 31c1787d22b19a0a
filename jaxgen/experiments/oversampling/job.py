"""An oversampling job: its data and sizes, settings and programs, its members, the plan of all its runs."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config import OversamplingSpec, sweep
from jaxgen.config.fields import flag_values
from jaxgen.data.parts import hold_out_rest, hold_out_test
from jaxgen.engine.members import Examples, MemberConfig
from jaxgen.errors import UserError
from jaxgen.experiments.oversampling import samples
from jaxgen.experiments.oversampling.settings import choose_sizes, largest_copies, settings_of
from jaxgen.jobs import workload
from jaxgen.jobs.identity import describe_data, identify, make_identity
from jaxgen.jobs.models import model_bytes
from jaxgen.jobs.program import Program, check_program, hparams_of, make_programs
from jaxgen.jobs.train import describe_program
from jaxgen.jobs.trainer import RunGroup
from jaxgen.jobs.workload import Workload
from jaxgen.keys import run_key
from jaxgen.transforms.copies import KINDS, disturb
from jaxgen.types import Dataset


class Row(NamedTuple):
    """A member: which run it is, which of the program's settings it has, its sample; arrays ``[m]``."""

    run: np.ndarray
    setting: np.ndarray
    sample: samples.Sample


class Job(NamedTuple):
    """All that is to be trained.

    Attributes:
      spec: what was asked for, its sample sizes chosen.
      dataset: with the test set that no copy touches.
      settings: all, in the order of tables.
      programs: what is compiled for them; sizes of samples, and arms but for augmentation, share one.
    """

    spec: OversamplingSpec
    dataset: Dataset
    settings: list[sweep.Setting]
    programs: list[Program]

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags in which settings differ."""
        return sweep.varied(self.settings)

    @property
    def largest(self) -> int:
        """The size of the largest sample."""
        return max(self.spec.copies.sample_sizes)

    @property
    def others(self) -> tuple[str, ...]:
        """The flags in which settings differ beside what makes an arm: what is compared has them in common."""
        own = {*flag_values(self.spec.copies), *flag_values(self.spec.augmentation)}
        return tuple(flag for flag in self.flags if flag not in own)


def make_job(dataset: Dataset, spec: OversamplingSpec, *, log: Callable[[str], None] | None = None) -> Job:
    """The job that `spec` asks for.

    Args:
      dataset: as its source has it.
      spec: flags.
      log: takes a line about what is left out.

    Raises:
      UserError: for what the data do not suit, and for huge sweeps without consent.
    """
    if dataset.whiten:
        raise UserError("--whiten: noise is added to pixels in [0, 1], which whitened ones are not; leave it out")
    if spec.copies.test_set == "source":
        dataset = hold_out_test(dataset, spec.copies.test_share, spec.seed)
    sizes = choose_sizes(spec, dataset, log)
    if spec.copies.test_set == "rest":
        dataset = hold_out_rest(dataset, max(sizes), spec.seed)
    spec = dataclasses.replace(spec, copies=dataclasses.replace(spec.copies, sample_sizes=sizes))
    settings = settings_of(spec, dataset.has_images)
    refuse_untrained(spec, settings)
    job = Job(spec, dataset, settings, [])
    programs = [with_copies(job, program) for program in part_programs(spec, settings)]
    for program in programs:
        check_program(dataset, program)
    return job._replace(programs=programs)


def part_programs(spec: OversamplingSpec, settings: list[sweep.Setting]) -> list[Program]:
    """All programs that settings need: arms differ in numbers only, but augmentation would slow all others down."""
    programs = []
    for name in ("", "augmented"):
        own = [setting for setting in settings if (setting.spec.copies.arm == "augmented") == bool(name)]
        found = make_programs(spec, own) if own else []
        programs += [one._replace(name=",".join(filter(None, (name, one.name)))) for one in found]
    return programs


def with_copies(job: Job, program: Program) -> Program:
    """The program whose members have samples and copies of the job's data."""
    places = samples.make_places(job.largest, largest_copies(program.settings))
    noisy = program.in_use & KINDS.keys()
    images, count = job.dataset.images, len(job.dataset.labels)
    ends = (0.0, 1.0) if job.dataset.has_images else (images.min(0), images.max(0))
    return program._replace(
        make_member=functools.partial(make_copying_member, places, count),
        input_transform=functools.partial(add_noise, job.largest, noisy, *ends) if noisy else None,
        num_examples=len(places.copy),
    )


def make_copying_member(
    places: samples.Places, count: int, program: Program, row: Row, train: Examples
) -> MemberConfig:
    """The member of a row. A run has the same key in every setting and size, so that all can be compared in pairs.

    Args:
      places: of the members' own examples.
      count: n, of the data's training examples.
      program: of whose settings it has one.
      row: one.
      train: the training data.
    """
    settings = [setting.spec.copies for setting in program.settings]
    key = run_key(jax.random.key(program.spec.seed), row.run)
    rows = samples.draw_rows(key, count, places)
    may_leak = any(each.split == "after" for each in settings)
    trained_on = samples.choose_trained(key, row.sample, places, may_leak=may_leak)
    clipped = jnp.array([each.clipped == "yes" for each in settings], jnp.float32)[row.setting]
    hparams = {**hparams_of(program, row.setting), "clipped": clipped}
    # Their labels are looked up here once, and not in every step.
    return MemberConfig(key, trained_on, hparams, labels=train.labels[rows], rows=rows)


def add_noise(
    largest: int,
    kinds: frozenset[str],
    low: np.ndarray | float,
    high: np.ndarray | float,
    member_config: MemberConfig,
    chosen: jax.Array,
    inputs: jax.Array,
) -> jax.Array:
    """A member's inputs with noise on the copies among them, as `jaxgen.engine.members.EnsembleConfig` has it.

    Args:
      largest: places in a block.
      kinds: of noise, those that some member has.
      low, high: the range of the data's values.
      member_config: the member.
      chosen: int ``[b]``, places.
      inputs: ``[b, ...]`` of those.
    """
    copy, example = chosen // largest, chosen % largest
    clipped = member_config.hparams["clipped"]
    widths = {name: member_config.hparams[name] for name in KINDS if name in kinds}

    def transform(copy: jax.Array, example: jax.Array, values: jax.Array) -> jax.Array:
        key = samples.copy_key(member_config.key, copy, example)
        noisy = disturb(key, values, widths=widths, clipped=clipped, low=low, high=high)
        return jnp.where(copy > 0, noisy, values)

    return jax.vmap(transform)(copy, example, inputs)


def sample_of(spec: OversamplingSpec, size: int) -> samples.Sample:
    """The sample of a setting's members, at a size."""
    copies = spec.copies
    return samples.make_sample(
        size,
        dev_share=copies.dev_share,
        copied_share=copies.copied_share,
        num_copies=copies.num_copies,
        leaky=copies.split == "after",
    )


def refuse_untrained(spec: OversamplingSpec, settings: list[sweep.Setting]) -> None:
    """Refuses a share for development that leaves nothing of a sample to train on: what is copied must be there."""
    for size in spec.copies.sample_sizes:
        found = [sample_of(setting.spec, size) for setting in settings]
        left = [one.num_train if one.leaky else one.size - one.num_dev for one in found]
        if min(left) < 1:
            raise UserError(
                f"--dev_share={spec.copies.dev_share:g}: leaves nothing of --sample_sizes={size} to train on; lower "
                "it, or give larger samples"
            )


def make_rows(program: Program, size: int, numbers: np.ndarray) -> Row:
    """The rows ``[m]`` of numbered runs at a size: number i is run i div s of setting i mod s."""
    run, setting = np.divmod(np.asarray(numbers), len(program.settings))
    own = [sample_of(each.spec, size) for each in program.settings]
    sample = samples.Sample(*np.array(own, np.int32)[setting].T)
    return Row(run.astype(np.int32), setting.astype(np.int32), sample)


def run_group_name(program: Program, size: int) -> str:
    """The name of a program's runs at a size, in plans and stores."""
    return f"size_{size}{',' if program.name else ''}{program.name}"


def make_run_groups(job: Job, program: Program) -> dict[str, RunGroup]:
    """From the name of each size to the rows of its runs."""
    return {
        run_group_name(program, size): RunGroup(
            rows=functools.partial(make_rows, program, size),
            max_size=max(sample_of(each.spec, size).num_train for each in program.settings),
        )
        for size in job.spec.copies.sample_sizes
    }


def make_workload(job: Job) -> Workload:
    """All that the job trains: a group of runs for each program and sample size."""
    spec = job.spec
    parts = (spec.copies, spec.model, spec.train, spec.regularization, spec.augmentation, spec.compute)
    deciding = {name for part in parts for name in flag_values(part)} - {"sample_sizes", "test_set", "test_share"}
    # Places are counted by the largest size, so sizes may be added below it only.
    flags = identify(job.settings, deciding) | {"the largest of --sample_sizes": str(job.largest)}
    return workload.make_workload(
        job.dataset,
        job.programs,
        functools.partial(make_run_groups, job),
        identity=make_identity(flags, spec.seed, experiment="oversampling", the_data=describe_data(job.dataset)),
        num_runs=spec.num_runs,
        run_bytes=run_bytes(job),
        describe=functools.partial(describe_sizes, job),
        out=spec.out,
    )


def describe_sizes(job: Job, program: Program, parameters: int) -> str:
    """One line: the data, the network, the members, the sample sizes."""
    line = describe_program(job.dataset, program, parameters, job.spec.num_runs)
    return f"{line}, sample sizes: {', '.join(f'{size:,}' for size in job.spec.copies.sample_sizes)}"


def run_bytes(job: Job) -> int:
    """What a run takes on disk, and a little more."""
    places = max(program.num_examples for program in job.programs)
    epochs = max(sweep.alternatives(job.spec.train.epochs))
    models = max(model_bytes(job.dataset, program) for program in job.programs) if job.spec.compute.save_models else 0
    return places // 4 + len(job.dataset.test_labels) // 8 + 4 * epochs + 300 + models
