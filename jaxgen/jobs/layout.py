"""Builds the ensemble of a program by an execution plan, and chooses that plan by timing on this machine."""

import copy
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from jaxgen.config.fields import AUTO
from jaxgen.engine import kernels
from jaxgen.engine.ensemble import Ensemble
from jaxgen.engine.learner import Learner, num_parameters, state_bytes
from jaxgen.engine.width import WORTHWHILE, candidates, choose_width, first_guess, time_step
from jaxgen.errors import UserError
from jaxgen.jobs.execution_plan import ExecutionPlan, is_execution_plan
from jaxgen.jobs.program import Program, hparam_table, make_ensemble_config, make_kernels, make_network
from jaxgen.models import convolutions, variable_shapes
from jaxgen.models.convolution import Geometry
from jaxgen.models.layers import product_precision
from jaxgen.runs.devices import memory_budget
from jaxgen.types import Dataset

# Assumed convolution throughput in operations per second, by platform; it bounds the time spent on autotuning.
EXPECTED_RATE = {"cpu": 5e10}
# Of all other platforms.
FAST_RATE = 2e13
# Convolutions are timed again if the chosen width differs by this factor from the width they were timed at.
RETIME_FACTOR = 4


class Layout:
    """Builds the ensemble of one program under any execution plan, and chooses the plan by timing.

    Args:
      dataset: to train on.
      program: to train.
      devices: to use.
      log: called with lines about what was timed and chosen.

    Attributes:
      ensemble: built by the plan that was applied last.
      microbatch_size: as in `ExecutionPlan`; determined by program and platform.
      backend_names: back-ends to choose from.
    """

    def __init__(self, dataset: Dataset, program: Program, devices: list[jax.Device], log: Callable[[str], None]):
        self.dataset, self.program, self.log = dataset, program, log
        spec, shape = program.spec, dataset.images.shape[1:]
        self.platform = devices[0].platform
        self.convolutions = convolutions(make_network(dataset, program), shape)
        # Batch norm needs statistics of the whole batch.
        needs_whole_batch = spec.model.norm == "batch" or self._has_statistics()
        microbatch_size = kernels.piece_size(self.platform, self.convolutions, spec.train.batch_size)
        self.microbatch_size = None if needs_whole_batch else microbatch_size
        self.backend_names = kernels.candidates(self.platform)
        if spec.compute.convolution != AUTO:
            self.backend_names = (spec.compute.convolution,)
        self.ensemble = Ensemble(self._config({}, self.microbatch_size), dataset, devices, time.perf_counter)

    def _has_statistics(self) -> bool:
        return "batch_stats" in variable_shapes(make_network(self.dataset, self.program), self.dataset.images.shape[1:])

    def _config(self, backends: Mapping[Geometry, str], microbatch_size: int | None) -> Any:
        layer_kernels = make_kernels(self.program, tuple(backends.items()), self.backend_names[0])
        eval_batch_size = kernels.eval_batch_size(self.platform, self.convolutions)
        return make_ensemble_config(self.dataset, self.program, layer_kernels, microbatch_size, eval_batch_size)

    def apply(self, execution_plan: ExecutionPlan) -> Ensemble:
        """Rebuilds the ensemble by an execution plan; the data stay on the devices."""
        self.ensemble = self.ensemble.with_config(self._config(execution_plan.backends, execution_plan.microbatch_size))
        return self.ensemble

    def untracked(self, execution_plan: ExecutionPlan) -> Ensemble:
        """An ensemble of the same program without tracking of single examples."""
        layout = copy.copy(self)
        layout.program = self.program._replace(track=None)
        return layout.apply(execution_plan)

    def read_plan(self, settings: Mapping[str, Any]) -> ExecutionPlan:
        """Parses an execution plan recorded in a store.

        Raises:
          UserError: if it is invalid, or if flags ask for another width or back-end, which would round differently.
        """
        if not is_execution_plan(settings, [str(geometry) for geometry in self.convolutions]):
            raise UserError(
                f"--out: the plan kept there does not tell how its runs were trained ({settings}); remove its store, "
                "or choose another --out"
            )
        backends = {geometry: settings["convolutions"][str(geometry)] for geometry in self.convolutions}
        compute = self.program.spec.compute
        flags = {"width": compute.width, "convolution": compute.convolution}
        recorded = {"width": settings["width"], "convolution": ",".join(sorted(set(backends.values()))) or AUTO}
        for name, value in flags.items():
            # A width that did not fit into memory was halved; the same command resumes at the recorded one.
            accepted = (None, AUTO, recorded[name], settings.get(f"asked_{name}"))
            if value not in accepted and (name == "width" or self.convolutions):
                raise UserError(
                    f"--{name}={value}: the runs kept here were trained at {name} {recorded[name]}; leave --{name} "
                    "out, or choose another --out"
                )
        asked_width, block = settings.get("asked_width", compute.width), settings.get("block")
        return ExecutionPlan(settings["width"], settings["microbatch_size"], backends, asked_width, block)

    def autotune(self, rows: Any, size: int, most_runs: int, steps: float) -> tuple[ExecutionPlan, dict[int, float]]:
        """Chooses an execution plan by timing, as far as flags leave it open, and applies it.

        Args:
          rows: one or more rows of the program's members.
          size: number of training examples of a member.
          most_runs: number of members that can be trained together at most.
          steps: member steps per device of the whole job; the time spent here is limited accordingly.

        Returns:
          The execution plan, and by width the measured seconds per member and step on one device.

        Raises:
          UserError: if the programs do not fit into memory.
        """
        budget = memory_budget(list(self.ensemble.mesh.devices.flat))
        asked_width = self.program.spec.compute.width
        widths, start = ([asked_width], asked_width) if asked_width else self._widths(rows, most_runs, budget)
        first_width = min(widths, key=lambda width: abs(math.log(width / start)))
        backends = self._time_convolutions(first_width, steps)
        self.apply(ExecutionPlan(first_width, self.microbatch_size, backends))
        width, timings = self._time_widths(rows, size, widths, start, steps, budget)
        factor = max(width / first_width, first_width / width)
        if factor >= RETIME_FACTOR and len(self.backend_names) > 1 and self.convolutions:
            retimed = self._time_convolutions(width, steps)
            if retimed != backends:
                backends = retimed
                self.apply(ExecutionPlan(width, self.microbatch_size, backends))
        return ExecutionPlan(width, self.microbatch_size, backends, asked_width), timings

    def time_width(self, width: int, rows: Any, size: int) -> dict[int, float]:
        """Times steps at one width; returns seconds per member and step by width."""
        budget = memory_budget(list(self.ensemble.mesh.devices.flat))
        return self._time_widths(rows, size, [width], width, 0, budget)[1]

    def _time_convolutions(self, width: int, steps: float) -> dict[Geometry, str]:
        """Chooses the back-end of each convolution at this width and logs the choice."""
        if not self.convolutions:
            return {}
        batch = self.program.spec.train.batch_size
        rate = EXPECTED_RATE.get(self.platform, FAST_RATE)
        job_seconds = steps * batch * sum(map(kernels.flops, self.convolutions)) / rate
        began = time.perf_counter()

        def time_backend(geometry: Geometry, name: str) -> float:
            return kernels.time_convolution(
                self.ensemble.mesh,
                geometry,
                name,
                width=width,
                num_images=self.microbatch_size or batch,
                dtype=make_kernels(self.program).dtype,
                precision=product_precision(self.program.spec.compute.precision),
                clock=time.perf_counter,
            )

        choice = kernels.choose_backends(
            self.convolutions,
            self.backend_names,
            time_backend,
            worthwhile=lambda: time.perf_counter() - began < WORTHWHILE * job_seconds,
        )
        pieces = f"; batches in pieces of {self.microbatch_size}" if self.microbatch_size else ""
        num_timed = len({geometry for geometry, _ in choice.seconds})
        self.log(f"{kernels.describe(choice.backends)} ({num_timed} of {len(choice.backends)} shapes timed){pieces}")
        return choice.backends

    def _time_widths(
        self, rows: Any, size: int, widths: list[int], start: int, steps: float, budget: int
    ) -> tuple[int, dict[int, float]]:
        """Chooses a width and logs it; returns it and the seconds per member and step, infinite where memory is short.

        Args:
          rows, size, steps: as of `autotune`.
          widths: candidates.
          start: width to time first.
          budget: bytes that the programs may take on each device.
        """
        timings, spent = {}, [0.0]

        def time_width(width: int) -> float:
            began = time.perf_counter()
            # The first width is the likeliest choice, so all programs of the first steps are compiled for it.
            names = ["advance"] if timings else self.ensemble.first
            timings[width] = math.inf
            try:
                self.ensemble.prepare(rows, width, names)
                if self.ensemble.needed_bytes(width) <= budget:
                    timings[width] = time_step(self.ensemble, rows, width, size, clock=time.perf_counter)
            except jax.errors.JaxRuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            spent.append(time.perf_counter() - began)
            return timings[width]

        if len(widths) == 1:
            width, reason = widths[0], "as settled"
            time_width(width)
        else:
            choice = choose_width(time_width, widths, start, steps=steps, cost=lambda: spent[-1])
            width, reason = choice.width, choice.why
        self.ensemble.prepare(rows, width, self.ensemble.first)
        refuse_if_larger(self.ensemble.needed_bytes(width), budget, width)
        self.ensemble.room = budget
        self.log(self._describe(width, reason, timings))
        return width, timings

    def _describe(self, width: int, reason: str, timings: Mapping[int, float]) -> str:
        """The log line about the chosen width."""
        fitting = (width for width in sorted(timings) if timings[width] < math.inf)
        listed = ", ".join(f"{1e6 * timings[width]:,.0f} us at width {width}" for width in fitting)
        devices = self.ensemble.mesh.devices
        return (
            f"width {width} on {devices.size} {devices.flat[0].platform} device(s), {reason}; a step of one model on "
            f"one device takes {listed}"
        )

    def _widths(self, rows: Any, most_runs: int, budget: int) -> tuple[list[int], int]:
        """Candidate widths, ascending, and the one to time first."""
        learner = self.ensemble.config.learner
        widths = candidates(self.platform, self.member_bytes(rows), budget, most_runs, self.ensemble.mesh.size)
        activations = kernels.activation_bytes(self.convolutions) * (
            self.microbatch_size or self.program.spec.train.batch_size
        )
        return widths, first_guess(4 * num_parameters(learner, self.hparams(rows)) + activations, self.platform)

    def example(self) -> tuple[Learner, Any]:
        """The program's learner and the hyperparameters of its first setting."""
        hparams = {name: values[0] for name, values in hparam_table(self.program).items()}
        return self.ensemble.config.learner, hparams

    def hparams(self, rows: Any) -> Any:
        """Shapes of a member's hyperparameters."""
        row = jax.tree.map(lambda field: field[0], rows)
        train = self.ensemble.data.train
        return jax.eval_shape(lambda row, train: self.ensemble.config.make_member(row, train).hparams, row, train)

    def member_bytes(self, rows: Any) -> int:
        """Estimated device memory of one member: state, gradients, activations, subset, order and answers."""
        num_images = self.microbatch_size or self.program.spec.train.batch_size
        activations = 3 * num_images * kernels.activation_bytes(self.convolutions)
        state = state_bytes(self.ensemble.config.learner, self.hparams(rows))
        return 4 * state + activations + 24 * self.ensemble.num_evaluated


def is_out_of_memory(error: Exception) -> bool:
    """Whether a JAX error means that a device ran out of memory."""
    return "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower()


def refuse_if_larger(needed: int, budget: int, width: int) -> None:
    """Checks the programs' memory against the budget, both in bytes per device.

    Raises:
      UserError: if they need more.
    """
    if needed > budget:
        raise UserError(
            f"--width={width}: its programs need {needed / 1e6:.0f} MB on each device, and {budget / 1e6:.0f} MB may "
            "be taken; lower --width, --num_devices or --batch_size"
        )
