"""A program on this machine's devices, ready to train."""

import itertools
from collections.abc import Callable, Mapping

from jaxgen.errors import UserError
from jaxgen.experiments.arrangement import Layout
from jaxgen.experiments.members import Cell, Trainer
from jaxgen.experiments.programs import Program
from jaxgen.runs.devices import start_devices
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.store import Store
from jaxgen.types import Dataset


def make_trainer(dataset: Dataset, program: Program, cells: Mapping[str, Cell], say: Callable[[str], None]) -> Trainer:
    """Starts the devices and puts the data on them."""
    copied = sum(array.nbytes for array in (dataset.images, dataset.test_images, dataset.probes) if array is not None)
    devices = start_devices(program.spec.compute.num_devices, copied)
    refuse_precision(program.spec.compute.precision, devices[0].platform)
    return Trainer(Layout(dataset, program, devices, say), cells, say)


def refuse_precision(precision: str, platform: str) -> None:
    """Refuses a precision that the devices do not have."""
    if precision == "tf32" and platform != "gpu":
        raise UserError(
            f"--precision=tf32: is a format of GPUs, and the devices here are of kind {platform}; leave it out"
        )


def refuse_unkept(trainer: Trainer, store: Store, models: ModelFolder | None) -> None:
    """Refuses to keep models of a job that has finished some without keeping them.

    Raises:
      UserError: if a finished run lacks its file.
    """
    if models is None:
        return
    done = {cell: itertools.chain.from_iterable(itertools.starmap(range, store.spans(cell))) for cell in trainer.cells}
    if lost := sum(len(models.lacking(cell, numbers)) for cell, numbers in done.items()):
        raise UserError(
            f"--save_models: {lost:,} finished models of --out={trainer.layout.program.spec.out} were not kept when "
            "they were trained; leave it out, or choose another --out"
        )
