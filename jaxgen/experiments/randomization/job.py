"""A randomization job: flag checks, settings and programs."""

import functools

from jaxgen.config import RandomizationSpec, sweep
from jaxgen.engine.members import EpochMetrics
from jaxgen.experiments.randomization.presets import settings_of
from jaxgen.experiments.randomization.versions import make_versions, measure_corrupted, versions_bytes
from jaxgen.jobs.checks import refuse_empty_validation
from jaxgen.jobs.member_table import NEVER, TableConfig, TableJob, View, load_matrix, make_table_member
from jaxgen.jobs.program import check_program, make_programs
from jaxgen.models import other_norms
from jaxgen.runs.devices import start_devices
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.types import Dataset


def make_job(dataset: Dataset, spec: RandomizationSpec) -> TableJob:
    """Makes the job of a spec.

    Args:
      dataset: a dataset with a test set.
      spec: the flags.

    Raises:
      UserError: if the flags do not fit the data, or a huge sweep lacks ``--yes``.
    """
    settings = settings_of(spec, dataset.has_images, other_norms(sweep.alternatives(spec.model.model)))
    for setting in settings:
        refuse_empty_validation(setting.spec, len(dataset.labels), "a member")
    matrix = load_matrix(settings, spec.noise, dataset.num_classes)
    programs = make_programs(spec, settings)
    for program in programs:
        check_program(dataset, program)
    pixels = [setting.spec.noise.pixels for setting in settings]
    # Drawing the versions starts JAX, so the devices of training must be set up first.
    start_devices(spec.compute.num_devices, versions_bytes(dataset, pixels))
    with fixed_settings():
        versions = make_versions(dataset, pixels, spec.seed)
    corrupted = tuple(versions.corrupted.values())
    epoch_metrics = EpochMetrics(
        fit_at=max(spec.fit.fit_at) if spec.fit.stop_when_fitted else NEVER,
        at_end=functools.partial(measure_corrupted, corrupted) if corrupted else None,
    )
    drawn = TableConfig(
        dataset.num_classes, dataset.scale, matrix, lambda spec: View(versions.pixels[spec.noise.pixels])
    )
    make_member = functools.partial(make_table_member, drawn)
    programs = [program._replace(make_member=make_member, epoch_metrics=epoch_metrics) for program in programs]
    return TableJob(spec, dataset, versions, settings, programs, matrix)
