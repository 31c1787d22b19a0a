"""A job whose members are the rows of one table: a run of a setting each."""

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
from jaxgen.engine.members import Curves, Examples, MemberConfig
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

# No member gets so large a share of its labels right: none is done before its last epoch.
NEVER = 2.0
# Flags that say what is made of models, and those whose values the settings have.
REPORTING_FLAGS = {"preset", "seed", "out", "num_runs", "baseline", "export_dir"}


class TableRow(NamedTuple):
    """The run and the setting of each member, ints ``[m]``; `setting` counts within the program."""

    run: np.ndarray
    setting: np.ndarray


class TableJob(NamedTuple):
    """What an experiment trains whose members are all runs of all settings.

    Attributes:
      spec: what was asked for.
      dataset: as its source has it, with a test set.
      versions: what members see of it, as its own `dataset`.
      settings: all, in the order of tables.
      programs: what is compiled for them.
      matrix: class-conditional noise, if any.
      experiment: its name.
      also: what else its runs depend on, by name, beside data and flags.
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
        """The flags in which settings differ."""
        return sweep.varied(self.settings)


class View(NamedTuple):
    """The version of the images that a setting trains on; in a `share` of its training another one."""

    version: int = 0
    mixed: int = 0
    share: float = 0.0


class Drawn(NamedTuple):
    """What the members of a table have in common.

    Attributes:
      num_classes: c.
      scale: of the data's stored values.
      matrix: class-conditional noise, if any.
      view: from a setting's spec to what its members see.
    """

    num_classes: int
    scale: float
    matrix: np.ndarray | None
    view: Callable[[Any], View]


def make_table_member(drawn: Drawn, program: Program, row: TableRow, train: Examples) -> MemberConfig:
    """The member of a row. A run has the same key in every setting, so that settings can be compared in pairs."""
    settings, count = [setting.spec.noise for setting in program.settings], len(train.labels)
    key = run_key(jax.random.key(program.spec.seed), row.run)
    labels = version = mixed = None
    rates = np.array([each.label_noise for each in settings], np.float32)
    if rates.any():
        corrupt = make_noise(program.spec.noise.noise_kind, drawn.num_classes, drawn.matrix)
        images = train.images[:count].astype(jnp.float32) * drawn.scale
        rate = jnp.asarray(rates)[row.setting]
        labels = corrupt(draw_key(key, Draw.LABELS), train.labels, rate, images).labels
    views = [drawn.view(setting.spec) for setting in program.settings]
    versions, others = (np.array([each[i] for each in views], np.int32) for i in (0, 1))
    shares = np.array([each.share for each in views], np.float32)
    if versions.any():
        version = jnp.asarray(versions)[row.setting]
    if shares.any():
        mixed = MixedVersion(jnp.asarray(others)[row.setting], jnp.asarray(shares)[row.setting])
    return MemberConfig(key, jnp.ones(count, bool), hparams_of(program, row.setting), labels, version, extra=mixed)


def load_matrix(settings: Sequence[sweep.Setting], spec: LabelNoiseSpec, num_classes: int) -> np.ndarray | None:
    """Class-conditional noise ``[c, c]``, if any.

    Raises:
      UserError: for a file that does not suit, and for flags of noise that no setting heeds.
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
    """The rows ``[m]`` of members by their number: with s settings, number i is run i // s of setting i % s."""
    numbers, count = np.asarray(numbers), len(program.settings)
    return TableRow((numbers // count).astype(np.int32), (numbers % count).astype(np.int32))


def run_group_name(program: Program) -> str:
    """The name of a program's runs in plans and stores."""
    return program.name or "all"


def make_run_groups(job: TableJob, program: Program) -> dict[str, RunGroup]:
    """The program's only run group: all of its members train on as many examples."""
    size = len(job.dataset.labels)
    # Members that keep examples for validation train on the others; so many are kept by the engine's arithmetic.
    held = int(np.float32(size) * np.float32(program.spec.stopping.validation_share))
    return {run_group_name(program): RunGroup(functools.partial(make_rows, program), size - held)}


def make_workload(job: TableJob) -> Workload:
    """All that the job trains: a group of runs for each program."""
    spec = job.spec
    deciding = {*flag_values(spec)} - {*flag_values(spec.data)} - REPORTING_FLAGS
    flags = identify(job.settings, deciding) | dict(job.also)
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
    shown, epochs = job.versions.dataset, max(setting.spec.train.epochs for setting in job.settings)
    probed = 0 if shown.probes is None else len(shown.probes) * (1 if shown.num_classes <= 256 else 2)
    return count // 2 + 3 * tests + probed + 40 * epochs + 400


def curves_of(own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A member's curves ``[e]`` by name."""
    return {name: own[f"{name}_curve"] for name in Curves._fields} | {"step_loss": own["loss_curve"]}


def epochs_trained(own: Mapping[str, np.ndarray]) -> int:
    """The number of epochs that a member was trained for, whichever epoch's weights were kept."""
    return max(int(np.isfinite(own["train_loss_curve"]).sum()), int(own["epochs"]))
