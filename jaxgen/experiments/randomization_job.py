"""A randomization job: what is refused, its settings and programs, who a row is, the plan of all its runs."""

import functools
import hashlib
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import spec as words
from jaxgen import sweep
from jaxgen.data.noise_matrix import load_noise_matrix
from jaxgen.engine.members import Enrolment, Examples, Watch
from jaxgen.errors import UserError
from jaxgen.experiments.cscore_job import NUMERICS, refuse_empty_validation
from jaxgen.experiments.identity import identify
from jaxgen.experiments.members import Cell
from jaxgen.experiments.presets import settings_of
from jaxgen.experiments.programs import Program, check_program, knobs_of, make_programs
from jaxgen.experiments.versions import Versions, make_versions, versions_bytes
from jaxgen.models import other_norms
from jaxgen.runs.devices import start_devices
from jaxgen.runs.plan import Plan
from jaxgen.runs.store import Store, open_store
from jaxgen.spec import RandomizationSpec
from jaxgen.transforms.labels import make_noise
from jaxgen.types import Dataset

# Folded into a member's key; `engine.learner` and `scores.designs` hold the other constants.
LABELS = 7
NEVER = 2.0


class Row(NamedTuple):
    """A member: which run it is, and which of the program's settings it has; arrays ``[m]``."""

    run: np.ndarray
    setting: np.ndarray


class Job(NamedTuple):
    """All that is to be trained.

    Attributes:
      spec: what was asked for.
      dataset: as its source has it, with a test set.
      versions: what members see of it.
      settings: all, in the order of tables.
      programs: what is compiled for them.
      matrix: class-conditional noise, if any.
    """

    spec: RandomizationSpec
    dataset: Dataset
    versions: Versions
    settings: list[sweep.Setting]
    programs: list[Program]
    matrix: np.ndarray | None

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags in which settings differ."""
        return sweep.varied(self.settings)


def make_job(dataset: Dataset, spec: RandomizationSpec) -> Job:
    """The job that `spec` asks for.

    Args:
      dataset: with a test set.
      spec: flags.

    Raises:
      UserError: for what the data do not suit, and for huge sweeps without consent.
    """
    settings = settings_of(spec, dataset.has_images, other_norms(sweep.alternatives(spec.model.model)))
    if spec.noise.noise_matrix and all(each.spec.noise.noise_kind != "matrix" for each in settings):
        raise UserError(f"--noise_matrix={spec.noise.noise_matrix}: leave it out, or give --noise_kind=matrix")
    for setting in settings:
        refuse_empty_validation(setting.spec, len(dataset.labels), "a member")
    matrix = load_noise_matrix(spec.noise.noise_matrix, dataset.num_classes) if spec.noise.noise_matrix else None
    programs = make_programs(spec, settings)
    for program in programs:
        check_program(dataset, program)
    pixels = [setting.spec.noise.pixels for setting in settings]
    # Drawing the versions would start JAX, and not on the devices that training wants.
    start_devices(spec.compute.num_devices, versions_bytes(dataset, pixels))
    with jax.enable_x64(False):
        versions = make_versions(dataset, pixels, spec.seed)
    watch = Watch(max(spec.fit.fit_at) if spec.fit.stop_when_fitted else NEVER, tuple(versions.corrupted.values()))
    enrol = functools.partial(enrol_member, Drawn(dataset.num_classes, dataset.scale, matrix, versions.pixels))
    programs = [program._replace(enrol=enrol, watch=watch) for program in programs]
    return Job(spec, dataset, versions, settings, programs, matrix)


class Drawn(NamedTuple):
    """What members are drawn by besides their row: the data's classes and scale, a noise matrix, pixel versions."""

    num_classes: int
    scale: float
    matrix: np.ndarray | None
    versions: dict[str, int]


def enrol_member(drawn: Drawn, program: Program, row: Row, train: Examples) -> Enrolment:
    """Who a row is: a run has the same key in every setting, so that settings can be compared in pairs."""
    settings, count = [setting.spec.noise for setting in program.settings], len(train.labels)
    key = jax.random.fold_in(jax.random.key(program.spec.seed), row.run)
    labels = version = None
    rates = np.array([each.label_noise for each in settings], np.float32)
    if rates.any():
        corrupt = make_noise(program.spec.noise.noise_kind, drawn.num_classes, drawn.matrix)
        images = train.images[:count].astype(jnp.float32) * drawn.scale
        rate = jnp.asarray(rates)[row.setting]
        labels = corrupt(jax.random.fold_in(key, LABELS), train.labels, rate, images).labels
    versions = np.array([drawn.versions[each.pixels] for each in settings], np.int32)
    if versions.any():
        version = jnp.asarray(versions)[row.setting]
    return Enrolment(key, jnp.ones(count, bool), knobs_of(program, row.setting), labels, version)


def make_rows(program: Program, numbers: np.ndarray) -> Row:
    """The rows ``[m]`` of numbered runs: number i is run i div s of setting i mod s."""
    numbers, count = np.asarray(numbers), len(program.settings)
    return Row((numbers // count).astype(np.int32), (numbers % count).astype(np.int32))


def cell_name(program: Program) -> str:
    """The name of a program's runs in plans and stores."""
    return program.name or "all"


def make_cells(job: Job, program: Program) -> dict[str, Cell]:
    """The program's runs, which are of one size."""
    size = len(job.dataset.labels)
    # Members that keep examples for validation train on the others; so many are kept by the engine's arithmetic.
    held = int(np.float32(size) * np.float32(program.spec.stopping.validation_share))
    return {cell_name(program): Cell(functools.partial(make_rows, program), size - held)}


def make_plan(job: Job) -> Plan:
    """The job's identity and its cells: one for each program."""
    spec, first = job.spec, job.settings[0].spec
    parts = (first.noise, first.model, first.train, first.regularization, first.augmentation, first.stopping)
    names = {name for part in (*parts, first.fit, first.compute) for name in words.values(part)}
    identity = {"--seed": str(spec.seed)} | identify(job.settings, names - {"preset", "keep"})
    data = f"{job.dataset.name} {job.dataset.fingerprint[:12]}"
    if job.matrix is not None:
        identity["--noise_matrix"] = hashlib.sha256(job.matrix.tobytes()).hexdigest()[:12]
    identity |= {"the data": data, "the numerics version": str(NUMERICS), "the experiment": "randomization"}
    return Plan(identity, {cell_name(one): spec.num_runs * len(one.settings) for one in job.programs})


def run_bytes(job: Job) -> int:
    """What a run takes on disk, and a little more."""
    count, tests = len(job.dataset.labels), len(job.dataset.test_labels)
    epochs = max(setting.spec.train.epochs for setting in job.settings)
    return count // 2 + 3 * tests + 40 * epochs + 400


def open_job_store(job: Job) -> Store:
    """The store of the job below ``spec.out``."""
    return open_store(pathlib.Path(job.spec.out) / "store", make_plan(job), run_bytes(job))
