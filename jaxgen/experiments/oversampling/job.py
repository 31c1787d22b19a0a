"""An oversampling job: its settings, programs, members and workload."""

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


class OversamplingRow(NamedTuple):
    """Members: number of the run, index of the setting in the program, and sample; arrays ``[m]``."""

    run: np.ndarray
    setting: np.ndarray
    sample: samples.Sample


class OversamplingJob(NamedTuple):
    """An oversampling job.

    Attributes:
      spec: the flags, with sample sizes filled in.
      dataset: the data, with a test set that is never copied.
      settings: all settings, in the order of tables.
      programs: their programs; all sample sizes share one, and so do all arms except augmentation.
    """

    spec: OversamplingSpec
    dataset: Dataset
    settings: list[sweep.Setting]
    programs: list[Program]

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags in which the settings differ."""
        return sweep.varied(self.settings)

    @property
    def largest(self) -> int:
        """The size of the largest sample."""
        return max(self.spec.copies.sample_sizes)

    @property
    def shared_flags(self) -> tuple[str, ...]:
        """Flags in which the settings differ, except those of the arms; compared settings must share them."""
        arm_flags = {*flag_values(self.spec.copies), *flag_values(self.spec.augmentation)}
        return tuple(flag for flag in self.flags if flag not in arm_flags)


def make_job(dataset: Dataset, spec: OversamplingSpec, *, log: Callable[[str], None] | None = None) -> OversamplingJob:
    """Makes the job of a spec.

    Args:
      dataset: the dataset as loaded.
      spec: the flags.
      log: receives a line about sample sizes that are left out.

    Raises:
      UserError: if the flags do not fit the data, or a huge sweep lacks ``--yes``.
    """
    if dataset.whiten or dataset.channel_moments:
        flag, said = ("whiten", "whitened") if dataset.whiten else ("normalize_channels", "normalized")
        raise UserError(f"--{flag}: noise is added to pixels in [0, 1], which {said} ones are not; leave it out")
    if spec.copies.test_set == "source":
        dataset = hold_out_test(dataset, spec.copies.test_share, spec.seed)
    sizes = choose_sizes(spec, dataset, log)
    if spec.copies.test_set == "rest":
        dataset = hold_out_rest(dataset, max(sizes), spec.seed)
    spec = dataclasses.replace(spec, copies=dataclasses.replace(spec.copies, sample_sizes=sizes))
    settings = settings_of(spec, dataset.has_images)
    refuse_untrained(spec, settings)
    job = OversamplingJob(spec, dataset, settings, [])
    programs = [with_copies(job, program) for program in make_arm_programs(spec, settings)]
    for program in programs:
        check_program(dataset, program)
    return job._replace(programs=programs)


def make_arm_programs(spec: OversamplingSpec, settings: list[sweep.Setting]) -> list[Program]:
    """Makes the programs of all settings; augmentation is compiled separately, as it would slow down all other arms."""
    programs = []
    for name in ("", "augmented"):
        selected = [setting for setting in settings if (setting.spec.copies.arm == "augmented") == bool(name)]
        for program in make_programs(spec, selected) if selected else []:
            programs.append(program._replace(name=",".join(filter(None, (name, program.name)))))
    return programs


def with_copies(job: OversamplingJob, program: Program) -> Program:
    """The program with members that train on samples and copies of the job's data."""
    layout = samples.make_layout(job.largest, largest_copies(program.settings))
    noise_kinds = program.in_use & KINDS.keys()
    images, count = job.dataset.images, len(job.dataset.labels)
    value_range = (0.0, 1.0) if job.dataset.has_images else (images.min(0), images.max(0))
    return program._replace(
        make_member=functools.partial(make_copying_member, layout, count),
        input_transform=functools.partial(add_noise, job.largest, noise_kinds, *value_range) if noise_kinds else None,
        num_examples=len(layout.copy),
    )


def make_copying_member(
    layout: samples.SampleLayout, count: int, program: Program, row: OversamplingRow, train: Examples
) -> MemberConfig:
    """The config of a member. A run has the same key in every setting and sample size, for paired comparison.

    Args:
      layout: layout of the members' examples and copies.
      count: number of training examples in the data, n.
      program: the program, which has the member's setting.
      row: the member's row.
      train: the training data.
    """
    copies_specs = [setting.spec.copies for setting in program.settings]
    key = run_key(jax.random.key(program.spec.seed), row.run)
    rows = samples.draw_rows(key, count, layout)
    may_leak = any(copies_spec.split == "after" for copies_spec in copies_specs)
    trained_on = samples.train_mask(key, row.sample, layout, may_leak=may_leak)
    clipped = jnp.array([copies_spec.clipped == "yes" for copies_spec in copies_specs], jnp.float32)[row.setting]
    hparams = {**hparams_of(program, row.setting), "clipped": clipped}
    # Labels are gathered once here, not in every step.
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
    """A member's inputs with noise added to copies, an input transform of `jaxgen.engine.members.EnsembleConfig`.

    Args:
      largest: number of slots in a block of the layout.
      kinds: kinds of noise that any member of the program uses.
      low, high: range of the data's values.
      member_config: the member's config.
      chosen: ints ``[b]``: slots of the batch.
      inputs: examples in these slots ``[b, ...]``.
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
    """The sample of a setting at a sample size."""
    copies = spec.copies
    return samples.make_sample(
        size,
        dev_share=copies.dev_share,
        copied_share=copies.copied_share,
        num_copies=copies.num_copies,
        leaky=copies.split == "after",
    )


def refuse_untrained(spec: OversamplingSpec, settings: list[sweep.Setting]) -> None:
    """Raises `UserError` if ``--dev_share`` leaves no examples to train on."""
    for size in spec.copies.sample_sizes:
        drawn = [sample_of(setting.spec, size) for setting in settings]
        counts = [sample.num_train if sample.leaky else sample.size - sample.num_dev for sample in drawn]
        if min(counts) < 1:
            raise UserError(
                f"--dev_share={spec.copies.dev_share:g}: leaves nothing of --sample_sizes={size} to train on; lower "
                "it, or give larger samples"
            )


def make_rows(program: Program, size: int, numbers: np.ndarray) -> OversamplingRow:
    """Rows ``[m]`` of numbered members at a sample size: number i is run i div s of setting i mod s."""
    run, setting = np.divmod(np.asarray(numbers), len(program.settings))
    by_setting = [sample_of(setting.spec, size) for setting in program.settings]
    sample = samples.Sample(*np.array(by_setting, np.int32)[setting].T)
    return OversamplingRow(run.astype(np.int32), setting.astype(np.int32), sample)


def run_group_name(program: Program, size: int) -> str:
    """The name of a program's run group at a sample size, in plans and stores."""
    return f"size_{size}{',' if program.name else ''}{program.name}"


def make_run_groups(job: OversamplingJob, program: Program) -> dict[str, RunGroup]:
    """Run groups of a program, one per sample size, by name."""
    return {
        run_group_name(program, size): RunGroup(
            rows=functools.partial(make_rows, program, size),
            max_size=max(sample_of(setting.spec, size).num_train for setting in program.settings),
        )
        for size in job.spec.copies.sample_sizes
    }


def make_workload(job: OversamplingJob) -> Workload:
    """The workload of the job: a run group for each program and sample size."""
    spec = job.spec
    parts = (spec.copies, spec.model, spec.train, spec.regularization, spec.augmentation, spec.compute)
    names = {name for part in parts for name in flag_values(part)} - {"sample_sizes", "test_set", "test_share"}
    # The layout depends on the largest size, so only smaller sizes can be added to a store.
    flags = identify(job.settings, names) | {"the largest of --sample_sizes": str(job.largest)}
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


def describe_sizes(job: OversamplingJob, program: Program, parameters: int) -> str:
    """One line with the data, the network, the members and the sample sizes."""
    line = describe_program(job.dataset, program, parameters, job.spec.num_runs)
    return f"{line}, sample sizes: {', '.join(f'{size:,}' for size in job.spec.copies.sample_sizes)}"


def run_bytes(job: OversamplingJob) -> int:
    """An upper bound on the bytes of a run on disk."""
    num_slots = max(program.num_examples for program in job.programs)
    epochs = max(sweep.alternatives(job.spec.train.epochs))
    models = max(model_bytes(job.dataset, program) for program in job.programs) if job.spec.compute.save_models else 0
    return num_slots // 4 + len(job.dataset.test_labels) // 8 + 4 * epochs + 300 + models
