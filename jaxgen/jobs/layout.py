"""How a program is laid out on this machine: width, convolution back-ends, pieces of a batch; found by timing."""

import copy
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from jaxgen.config.fields import AUTO
from jaxgen.engine import kernels
from jaxgen.engine.ensemble import Ensemble
from jaxgen.engine.learner import Learner, num_parameters, state_bytes
from jaxgen.engine.width import WORTHWHILE, candidates, choose_width, first_guess, time_step
from jaxgen.errors import UserError
from jaxgen.jobs.program import Program, hparam_table, make_ensemble_config, make_kernels, make_network
from jaxgen.models import convolutions, variable_shapes
from jaxgen.models.convolution import BACKENDS, Geometry
from jaxgen.models.layers import product_precision
from jaxgen.runs.devices import memory_budget
from jaxgen.types import Dataset

# What a device does of convolutions, in operations a second, before anything is timed: it bounds the time of timing.
EXPECTED_RATE = {"cpu": 5e10}
FAST_RATE = 2e13
# Convolutions are timed again where the width turns out to be so many times another than they were timed at.
FAR = 4


class ExecutionPlan(NamedTuple):
    """How a program is laid out.

    Attributes:
      width: members in one batched program on each device.
      microbatch_size: examples whose gradient is computed together; None: the whole batch.
      backends: of each convolution.
      asked_width: by a flag, if any: where memory did not do for it, `width` is less.
      block: runs that belong together where several drivers share them out, as the first driver has it.
    """

    width: int
    microbatch_size: int | None
    backends: Mapping[Geometry, str]
    asked_width: int | None = None
    block: int | None = None

    def settings(self) -> dict[str, Any]:
        """As JSON values, for the store's plan."""
        convolutions = {str(geometry): name for geometry, name in self.backends.items()}
        asked = {"asked_width": self.asked_width} if self.asked_width not in (None, self.width) else {}
        shares = {"block": self.block} if self.block else {}
        return {
            "width": self.width,
            "microbatch_size": self.microbatch_size,
            "convolutions": convolutions,
            **asked,
            **shares,
        }


def is_execution_plan(settings: Mapping[str, Any], geometries: list[str]) -> bool:
    """Whether JSON values are those of an arrangement of a network with such convolutions."""
    kept = settings.get("convolutions")
    counts = [settings.get("width"), settings.get("microbatch_size"), settings.get("asked_width")]
    return (
        isinstance(kept, dict)
        and all(kept.get(geometry) in BACKENDS for geometry in geometries)
        and all(count is None or (type(count) is int and count > 0) for count in counts)
        and counts[0] is not None
    )


class Layout:
    """Builds ensembles of one program in any arrangement, and finds the arrangement that suits.

    Args:
      dataset: what is trained on.
      program: what is trained.
      devices: where.
      log: takes lines about what was found.
    """

    def __init__(self, dataset: Dataset, program: Program, devices: list[jax.Device], log: Callable[[str], None]):
        self.dataset, self.program, self.log = dataset, program, log
        spec, shape = program.spec, dataset.images.shape[1:]
        self.platform = devices[0].platform
        self.convolutions = convolutions(make_network(dataset, program), shape)
        whole = spec.model.norm == "batch" or self._has_statistics()
        piece = kernels.piece_size(self.platform, self.convolutions, spec.train.batch_size)
        self.microbatch_size = None if whole else piece
        self.names = kernels.candidates(self.platform)
        if spec.compute.convolution != AUTO:
            self.names = (spec.compute.convolution,)
        self.ensemble = Ensemble(self._config({}, self.microbatch_size), dataset, devices, time.perf_counter)

    def _has_statistics(self) -> bool:
        return "batch_stats" in variable_shapes(make_network(self.dataset, self.program), self.dataset.images.shape[1:])

    def _config(self, backends: Mapping[Geometry, str], microbatch_size: int | None) -> Any:
        chosen = make_kernels(self.program, tuple(backends.items()), self.names[0])
        examined = kernels.eval_batch_size(self.platform, self.convolutions)
        return make_ensemble_config(self.dataset, self.program, chosen, microbatch_size, examined)

    def arrange(self, execution_plan: ExecutionPlan) -> Ensemble:
        """The program's ensemble in this arrangement; data on the devices are shared by all."""
        self.ensemble = self.ensemble.rebuilt(self._config(execution_plan.backends, execution_plan.microbatch_size))
        return self.ensemble

    def untracked(self, execution_plan: ExecutionPlan) -> Ensemble:
        """The same ensemble without the tracking of single examples."""
        other = copy.copy(self)
        other.program = self.program._replace(track=None)
        return other.arrange(execution_plan)

    def read(self, settings: Mapping[str, Any]) -> ExecutionPlan:
        """The arrangement that a store's plan holds.

        Raises:
          UserError: if flags ask for another one: kernels of another kind round differently; or if it holds none.
        """
        if not is_execution_plan(settings, [str(geometry) for geometry in self.convolutions]):
            raise UserError(
                f"--out: the plan kept there does not tell how its runs were trained ({settings}); remove its store, "
                "or choose another --out"
            )
        backends = {geometry: settings["convolutions"][str(geometry)] for geometry in self.convolutions}
        compute = self.program.spec.compute
        asked = {"width": compute.width, "convolution": compute.convolution}
        settled = {"width": settings["width"], "convolution": ",".join(sorted(set(backends.values()))) or AUTO}
        for name, value in asked.items():
            # A width that memory did not do for was halved, and the same command goes on at what it was halved to.
            known = (None, AUTO, settled[name], settings.get(f"asked_{name}"))
            if value not in known and (name == "width" or self.convolutions):
                raise UserError(
                    f"--{name}={value}: the runs kept here were trained at {name} {settled[name]}; leave --{name} out, "
                    "or choose another --out"
                )
        asked_width, block = settings.get("asked_width", compute.width), settings.get("block")
        return ExecutionPlan(settings["width"], settings["microbatch_size"], backends, asked_width, block)

    def find(self, rows: Any, size: int, most_runs: int, steps: float) -> tuple[ExecutionPlan, dict[int, float]]:
        """Times what is not settled by flags.

        Args:
          rows: a row or more of the program's.
          size: how many examples a stand-in for a member trains on.
          most_runs: members of one subset size, which are trained together.
          steps: member steps that one device is going to take.

        Returns:
          The arrangement and, by width, the seconds per member and step on one device that were measured.
        """
        budget = memory_budget(list(self.ensemble.mesh.devices.flat))
        wanted = self.program.spec.compute.width
        widths, start = ([wanted], wanted) if wanted else self._widths(rows, most_runs, budget)
        nearest = min(widths, key=lambda width: abs(math.log(width / start)))
        backends = self._time_convolutions(nearest, steps)
        self.arrange(ExecutionPlan(nearest, self.microbatch_size, backends))
        width, timings = self._time_widths(rows, size, widths, start, steps, budget)
        if max(width / nearest, nearest / width) >= FAR and len(self.names) > 1 and self.convolutions:
            again = self._time_convolutions(width, steps)
            if again != backends:
                backends = again
                self.arrange(ExecutionPlan(width, self.microbatch_size, backends))
        return ExecutionPlan(width, self.microbatch_size, backends, wanted), timings

    def time(self, width: int, rows: Any, size: int) -> dict[int, float]:
        """Seconds per member and step on one device at a settled width."""
        budget = memory_budget(list(self.ensemble.mesh.devices.flat))
        return self._time_widths(rows, size, [width], width, 0, budget)[1]

    def _time_convolutions(self, width: int, steps: float) -> dict[Geometry, str]:
        """The back-end of each convolution at this width; says which."""
        if not self.convolutions:
            return {}
        batch = self.program.spec.train.batch_size
        rate = EXPECTED_RATE.get(self.platform, FAST_RATE)
        job = steps * batch * sum(map(kernels.flops, self.convolutions)) / rate
        began = time.perf_counter()

        def time_one(geometry: Geometry, name: str) -> float:
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
            self.names,
            time_one,
            worthwhile=lambda: time.perf_counter() - began < WORTHWHILE * job,
        )
        pieces = f"; batches in pieces of {self.microbatch_size}" if self.microbatch_size else ""
        timed = len({geometry for geometry, _ in choice.seconds})
        self.log(f"{kernels.describe(choice.backends)} ({timed} of {len(choice.backends)} shapes timed){pieces}")
        return choice.backends

    def _time_widths(
        self, rows: Any, size: int, widths: list[int], start: int, steps: float, budget: int
    ) -> tuple[int, dict[int, float]]:
        timings, spent = {}, [0.0]

        def timed(width: int) -> float:
            began = time.perf_counter()
            # The width to begin with is the likeliest: all that the first steps need is compiled at once.
            names = ["advance"] if timings else self.ensemble.first
            timings[width] = math.inf
            try:
                self.ensemble.prepare(rows, width, names)
                if self.ensemble.needed_bytes(width) <= budget:
                    timings[width] = time_step(self.ensemble, rows, width, size, clock=time.perf_counter)
            except jax.errors.JaxRuntimeError as error:
                if not out_of_memory(error):
                    raise
            spent.append(time.perf_counter() - began)
            return timings[width]

        if len(widths) == 1:
            width, why = widths[0], "as settled"
            timed(width)
        else:
            choice = choose_width(timed, widths, start, steps=steps, cost=lambda: spent[-1])
            width, why = choice.width, choice.why
        self.ensemble.prepare(rows, width, self.ensemble.first)
        refuse_if_larger(self.ensemble.needed_bytes(width), budget, width)
        self.ensemble.room = budget
        self.log(self._describe(width, why, timings))
        return width, timings

    def _describe(self, width: int, why: str, timings: Mapping[int, float]) -> str:
        """One line: the width, why it was taken, and what was timed."""
        fitting = (width for width in sorted(timings) if timings[width] < math.inf)
        listed = ", ".join(f"{1e6 * timings[width]:,.0f} us at width {width}" for width in fitting)
        devices = self.ensemble.mesh.devices
        return (
            f"width {width} on {devices.size} {devices.flat[0].platform} device(s), {why}; a step of one model on "
            f"one device takes {listed}"
        )

    def _widths(self, rows: Any, most_runs: int, budget: int) -> tuple[list[int], int]:
        """The candidates, and where among them to begin."""
        learner = self.ensemble.config.learner
        widths = candidates(self.platform, self.member_bytes(rows), budget, most_runs, self.ensemble.mesh.size)
        activations = kernels.activation_bytes(self.convolutions) * (
            self.microbatch_size or self.program.spec.train.batch_size
        )
        return widths, first_guess(4 * num_parameters(learner, self.hparams(rows)) + activations, self.platform)

    def example(self) -> tuple[Learner, Any]:
        """The program's learner, and the knobs of its first setting."""
        hparams = {name: values[0] for name, values in hparam_table(self.program).items()}
        return self.ensemble.config.learner, hparams

    def hparams(self, rows: Any) -> Any:
        """A member's knobs, as shapes."""
        row = jax.tree.map(lambda field: field[0], rows)
        train = self.ensemble.data.train
        return jax.eval_shape(lambda row, train: self.ensemble.config.make_member(row, train).hparams, row, train)

    def member_bytes(self, rows: Any) -> int:
        """What one member takes on its device, about: state, gradients, activations; subset, order and answers."""
        images = self.microbatch_size or self.program.spec.train.batch_size
        activations = 3 * images * kernels.activation_bytes(self.convolutions)
        state = state_bytes(self.ensemble.config.learner, self.hparams(rows))
        return 4 * state + activations + 24 * self.ensemble.num_evaluated


def out_of_memory(error: Exception) -> bool:
    """Whether a device's memory did not do."""
    return "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower()


def refuse_if_larger(needed: int, budget: int, width: int) -> None:
    """Holds the bytes that programs need on each device against those that they may take."""
    if needed > budget:
        raise UserError(
            f"--width={width}: its programs need {needed / 1e6:.0f} MB on each device, and {budget / 1e6:.0f} MB may "
            "be taken; lower --width, --num_devices or --batch_size"
        )
