"""A randomization job: what is refused, its settings and programs."""

import functools

import jax

from jaxgen import sweep
from jaxgen.engine.members import Watch
from jaxgen.experiments.cscore_job import refuse_empty_validation
from jaxgen.experiments.presets import settings_of
from jaxgen.experiments.programs import check_program, make_programs
from jaxgen.experiments.table_job import NEVER, Drawn, Job, View, enrol_member, load_matrix
from jaxgen.experiments.versions import make_versions, versions_bytes
from jaxgen.models import other_norms
from jaxgen.runs.devices import start_devices
from jaxgen.spec import RandomizationSpec
from jaxgen.types import Dataset


def make_job(dataset: Dataset, spec: RandomizationSpec) -> Job:
    """The job that `spec` asks for.

    Args:
      dataset: with a test set.
      spec: flags.

    Raises:
      UserError: for what the data do not suit, and for huge sweeps without consent.
    """
    settings = settings_of(spec, dataset.has_images, other_norms(sweep.alternatives(spec.model.model)))
    for setting in settings:
        refuse_empty_validation(setting.spec, len(dataset.labels), "a member")
    matrix = load_matrix(settings, spec.noise, dataset.num_classes)
    programs = make_programs(spec, settings)
    for program in programs:
        check_program(dataset, program)
    pixels = [setting.spec.noise.pixels for setting in settings]
    # Drawing the versions would start JAX, and not on the devices that training wants.
    start_devices(spec.compute.num_devices, versions_bytes(dataset, pixels))
    with jax.enable_x64(False):
        versions = make_versions(dataset, pixels, spec.seed)
    watch = Watch(max(spec.fit.fit_at) if spec.fit.stop_when_fitted else NEVER, tuple(versions.corrupted.values()))
    drawn = Drawn(dataset.num_classes, dataset.scale, matrix, lambda one: View(versions.pixels[one.noise.pixels]))
    enrol = functools.partial(enrol_member, drawn)
    programs = [program._replace(enrol=enrol, watch=watch) for program in programs]
    return Job(spec, dataset, versions, settings, programs, matrix)
