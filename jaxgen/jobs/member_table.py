"""Jobs with one member for each run of each setting."""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config import LabelNoiseSpec, sweep
from jaxgen.config.fields import flag_values, format_value
from jaxgen.data.noise_matrix import load_noise_matrix
from jaxgen.engine.members import Examples, MemberConfig
from jaxgen.errors import UserError
from jaxgen.jobs import workload
from jaxgen.jobs.identity import describe_data, identify, make_identity
from jaxgen.jobs.mixed_versions import MixedVersion
from jaxgen.jobs.program import Program, hparams_of
from jaxgen.jobs.train import describe_program
from jaxgen.jobs.trainer import RunGroup
from jaxgen.jobs.workload import Workload
from jaxgen.keys import Draw, draw_key, run_key
from jaxgen.transforms.labels import make_noise
from jaxgen.types import Dataset

# A training accuracy that no member reaches, so that none stops before its last epoch.
NEVER = 2.0
# Flags that do not affect training.
NON_TRAINING_FLAGS = {"preset", "seed", "out", "num_runs", "baseline", "export_dir"}


class TableRow(NamedTuple):
    """Run and setting of each member, ints ``[m]``; `setting` is an index within the program."""

    run: np.ndarray
    setting: np.ndarray


class TableJob(NamedTuple):
    """A job that trains every run of every setting.

    Attributes:
      spec: the flags.
      dataset: the original data, with a test set.
      versions: versions of the data, of which `versions.dataset` is what members see.
      settings: in the order of tables.
      programs: compiled programs of the settings.
      matrix: class-conditional noise, if any.
      experiment: name of the experiment.
      also: pairs of name and text: what runs depend on besides data and flags.
    """

    spec: Any
    dataset: Dataset
    versions: Any
    settings: list[sweep.Setting]
    programs: list[Program]
    matrix: np.ndarray | None
    experiment: str = "randomization"
    also: tuple[tuple[str, str], ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """Names of the flags in which settings differ."""
        return sweep.varied(self.settings)


class View(NamedTuple):
    """The version of the images that a setting trains on; with probability `share` an example is of version `mixed`."""

    version: int = 0
    mixed: int = 0
    share: float = 0.0


class TableConfig(NamedTuple):
    """What all members of a table share.

    Attributes:
      num_classes: c.
      scale: factor from stored values to inputs.
      matrix: class-conditional noise, if any.
      view: maps the spec of a setting to its `View`.
    """

    num_classes: int
    scale: float
    matrix: np.ndarray | None
    view: Callable[[Any], View]


def make_table_member(table_config: TableConfig, program: Program, row: TableRow, train: Examples) -> MemberConfig:
    """The config of a row's member. A run has the same key in all settings, so settings can be compared in pairs."""
    noises, count = [setting.spec.noise for setting in program.settings], len(train.labels)
    key = run_key(jax.random.key(program.spec.seed), row.run)
    labels = version = mixed = None
    rates = np.array([noise.label_noise for noise in noises], np.float32)
    if rates.any():
        corrupt = make_noise(program.spec.noise.noise_kind, table_config.num_classes, table_config.matrix)
        images = train.images[:count].astype(jnp.float32) * table_config.scale
        rate = jnp.asarray(rates)[row.setting]
        labels = corrupt(draw_key(key, Draw.LABELS), train.labels, rate, images).labels
    views = [table_config.view(setting.spec) for setting in program.settings]
    versions, other_versions = (np.array([view[i] for view in views], np.int32) for i in (0, 1))
    shares = np.array([view.share for view in views], np.float32)
    if versions.any():
        version = jnp.asarray(versions)[row.setting]
    if shares.any():
        mixed = MixedVersion(jnp.asarray(other_versions)[row.setting], jnp.asarray(shares)[row.setting])
    return MemberConfig(key, jnp.ones(count, bool), hparams_of(program, row.setting), labels, version, extra=mixed)


def load_matrix(settings: Sequence[sweep.Setting], spec: LabelNoiseSpec, num_classes: int) -> np.ndarray | None:
    """Class-conditional noise ``[c, c]``, if any.

    Raises:
      UserError: for an unsuitable file, and for noise flags that have no effect.
    """
    kinds = {setting.spec.noise.noise_kind for setting in settings}
    if spec.noise_matrix and "matrix" not in kinds:
        raise UserError(f"--noise_matrix={spec.noise_matrix}: leave it out, or give --noise_kind=matrix")
    if kinds != {LabelNoiseSpec.noise_kind} and not any(setting.spec.noise.label_noise for setting in settings):
        raise UserError(
            f"--noise_kind={format_value(spec.noise_kind)}: no label is drawn anew; give a --label_noise "
            "above 0, or leave it out"
        )
    return load_noise_matrix(spec.noise_matrix, num_classes) if spec.noise_matrix else None


def make_rows(program: Program, numbers: np.ndarray) -> TableRow:
    """The rows ``[m]`` of members by number: with s settings, number i is run i // s of setting i % s."""
    numbers, count = np.asarray(numbers), len(program.settings)
    return TableRow((numbers // count).astype(np.int32), (numbers % count).astype(np.int32))


def run_group_name(program: Program) -> str:
    """The name of a program's run group in plans and stores."""
    return program.name or "all"


def make_run_groups(job: TableJob, program: Program) -> dict[str, RunGroup]:
    """The program's run groups by name: a single one, because all members have equally many examples."""
    size = len(job.dataset.labels)
    # Examples held out for validation, in the engine's float32 arithmetic.
    num_validation = int(np.float32(size) * np.float32(program.spec.stopping.validation_share))
    return {run_group_name(program): RunGroup(functools.partial(make_rows, program), size - num_validation)}


def make_workload(job: TableJob) -> Workload:
    """The job's workload: a run group for each program."""
    spec = job.spec
    flag_names = {*flag_values(spec)} - {*flag_values(spec.data)} - NON_TRAINING_FLAGS
    flags = identify(job.settings, flag_names) | dict(job.also)
    if job.matrix is not None:
        flags["--noise_matrix"] = hashlib.sha256(job.matrix.tobytes()).hexdigest()[:12]
    return workload.make_workload(
        job.versions.dataset,
        job.programs,
        functools.partial(make_run_groups, job),
        identity=make_identity(flags, spec.seed, experiment=job.experiment, the_data=describe_data(job.dataset)),
        num_runs=spec.num_runs,
        run_bytes=run_bytes(job),
        describe=functools.partial(describe_program, job.dataset, num_runs=spec.num_runs),
        out=spec.out,
    )


def run_bytes(job: TableJob) -> int:
    """An upper bound of the bytes that a run takes on disk."""
    count, tests = len(job.dataset.labels), len(job.dataset.test_labels)
    member_data, epochs = job.versions.dataset, max(setting.spec.train.epochs for setting in job.settings)
    probe_bytes = (
        0 if member_data.probes is None else len(member_data.probes) * (1 if member_data.num_classes <= 256 else 2)
    )
    return count // 2 + 3 * tests + probe_bytes + 40 * epochs + 400


def curves_of(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A member's curves ``[e]`` by name, from its stored arrays."""
    names = sorted(name.removesuffix("_curve") for name in arrays if name.endswith("_curve") and name != "loss_curve")
    return {name: arrays[f"{name}_curve"] for name in names} | {"step_loss": arrays["loss_curve"]}


def epochs_trained(arrays: Mapping[str, np.ndarray]) -> int:
    """The number of epochs that a member was trained for, whichever epoch was best."""
    return max(int(np.isfinite(arrays["train_loss_curve"]).sum()), int(arrays["epochs"]))
