"""Trains many members at once: `vmap` on each device, sharded over devices, with a host loop over blocks of steps.

An ensemble is four programs, each compiled once for a width and used for every row: `start` (makes members, draws their
initial variables), `advance` (trains a block of epochs, or of steps of one epoch; trip counts are traced), `finish`
(evaluates members) and, where members may stop early, `refill` (starts new members in the slots of those that have
stopped). The first two are needed at once; on a CPU the others are compiled while the first members are trained. No
member's result depends on which others share its program.
"""

import concurrent.futures
import copy
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxgen.engine.batch import Variables
from jaxgen.engine.evaluation import finish_members
from jaxgen.engine.member_inputs import evaluation_variables
from jaxgen.engine.members import Block, Data, EnsembleConfig, Examples, Member, TrainState
from jaxgen.engine.slots import SlotPool
from jaxgen.engine.training import advance_members, refill_members, start_members
from jaxgen.errors import OutOfMemory
from jaxgen.types import Dataset, Outcome


def next_block(step: int, steps: int, steps_per_call: int, epochs: int) -> Block:
    """The next block of about `steps_per_call` steps: whole epochs, or a part of one.

    Args:
      step: finished steps of the current epoch.
      steps: steps of an epoch.
      steps_per_call: target number of steps.
      epochs: maximal number of whole epochs.
    """
    if step == 0 and steps_per_call >= steps:
        return Block(max(1, min(steps_per_call // steps, epochs)), 0, steps, 1)
    last = min(step + max(1, steps_per_call), steps)
    return Block(1, step, last, int(last == steps))


class Checkpoint(Protocol):
    """Saves and restores unfinished training."""

    def restore(self, like: Any) -> Any | None:
        """What was saved, if anything, in the structure of `like` (shapes with shardings)."""

    def offer(self, state: Callable[[], Any]) -> None:
        """Called after every block: saves `state()` if it is time."""


# Programs that the first step needs.
FIRST = ("start", "advance")


class Ensemble:
    """Trains rows of members on one data set, which is copied to every device once.

    Args:
      config: of all members.
      dataset: training and test data.
      devices: over which members are sharded.
      clock: a monotonic clock in seconds.

    Attributes:
      room: bytes that programs may take on each device beside the data.
      waited: seconds that `train` has waited for compilations.
    """

    def __init__(
        self,
        config: EnsembleConfig,
        dataset: Dataset,
        devices: Sequence[jax.Device],
        clock: Callable[[], float] = lambda: 0.0,
    ):
        self.mesh = Mesh(np.array(devices), ("members",))
        has_test = dataset.test_images is not None
        test = Examples(dataset.test_images, dataset.test_labels) if has_test else None
        eval_sets = Examples(dataset.probes, dataset.probe_labels) if dataset.probes is not None else None
        data = Data(Examples(dataset.images, dataset.labels), test, eval_sets)
        self.data = jax.device_put(data, NamedSharding(self.mesh, P()))
        self.num_tests = len(dataset.test_labels) if has_test else 0
        self.clock, self.room, self.waited = clock, math.inf, 0.0
        self._set_config(config)

    def with_config(self, config: EnsembleConfig) -> "Ensemble":
        """An ensemble with another config on the same data, which are not copied again."""
        other = copy.copy(self)
        other._set_config(config)
        return other

    @property
    def num_evaluated(self) -> int:
        """Examples that a member is evaluated on."""
        return self.config.num_examples + self.num_tests

    def _set_config(self, config: EnsembleConfig) -> None:
        self.config = config
        split, copied = P("members"), P()
        self.jitted = {
            "start": self._sharded(functools.partial(start_members, config), (split, copied)),
            "advance": self._sharded(functools.partial(advance_members, config), (split, split, copied, copied), (1,)),
            "finish": self._sharded(functools.partial(finish_members, config), (split, split, copied)),
            "refill": self._sharded(functools.partial(refill_members, config), (*[split] * 4, copied), (2, 3)),
        }
        # By program and width; some are still being compiled.
        self.compiled: dict[tuple[str, int], concurrent.futures.Future] = {}
        # Those for which there is room.
        self.fitting: set[tuple[str, int]] = set()

    @property
    def first(self) -> tuple[str, ...]:
        """Programs that are compiled before a member takes a step: on an accelerator all, because there the compiler
        times kernels and needs the device for itself."""
        return FIRST if self.mesh.devices.flat[0].platform == "cpu" else self.programs

    @property
    def programs(self) -> tuple[str, ...]:
        """Names of the programs that a training needs."""
        return ("start", "advance", "finish", *(["refill"] if self.config.may_stop else []))

    def train(
        self,
        rows: Any,
        width: int,
        max_size: int,
        steps_per_call: int,
        on_work: Callable[[float], None] = lambda trainings: None,
        checkpoint: Checkpoint | None = None,
        on_weights: Callable[[int, Variables], None] | None = None,
        on_resume: Callable[[float], None] = lambda trainings: None,
    ) -> Outcome:
        """Trains rows to the end, ``width * devices`` at a time.

        Args:
          rows: pytree of arrays ``[m]``; where members do not stop early, at most as many as are trained at a time.
          width: members in one batched program on each device.
          max_size: the size of the largest subset among the rows, or more.
          steps_per_call: approximate number of steps of a block.
          on_work: called after each block with its work, in whole trainings of a member.
          checkpoint: saves and restores unfinished training.
          on_weights: called with the index of each row and its trained variables on the host.
          on_resume: called with the work restored from the checkpoint, in whole trainings of a member.

        Raises:
          OutOfMemory: if a program takes more than there is room for.
        """
        self.prepare(rows, width, self.first)
        slots = SlotPool(len(jax.tree.leaves(rows)[0]), width * self.mesh.size)
        members, train_state, resumed = self._begin(rows, width, slots, checkpoint)
        steps = -(-max_size // self.config.batch_size)
        compiling = resumed
        if resumed:
            # All of its members may be done.
            self.compile(rows, width, self.programs)
            # The slots were saved before the last block was reported.
            slots.report_work(
                *self._read_progress(train_state), slots.step / steps, self.config.epochs, lambda trainings: None
            )
            on_resume(slots.done_work(self.config.epochs))
        while slots.taken.any():
            epochs, done = self._read_progress(train_state)
            slots.report_work(epochs, done, slots.step / steps, self.config.epochs, on_work)
            if slots.should_retire(done):
                ended = slots.taken & done
                outcome = jax.device_get(self._run("finish", width, members, train_state, self.data))
                if on_weights:
                    self._fetch_variables(train_state, slots.rows, ended, on_weights)
                slots.retire(ended, outcome, self.config.epochs, on_work)
                if (fresh := slots.admit(ended)).any():
                    arguments = self._placed(rows, slots.rows), self._put_each(fresh), members, train_state, self.data
                    members, train_state = self._run("refill", width, *arguments)
                continue
            block = next_block(slots.step, steps, steps_per_call, self.config.epochs - int(epochs[slots.taken].min()))
            train_state = self._run("advance", width, members, train_state, self.data, self.traced(block))
            if not compiling:
                # While the devices train the block.
                self.compile(rows, width, self.programs)
                compiling = True
            self._check_room(width)
            slots.step = 0 if block.ends_epoch else block.last_step
            if checkpoint:
                jax.block_until_ready(train_state)
                checkpoint.offer(lambda train_state=train_state: (slots.state(), train_state))
        return slots.outcome()

    def _begin(
        self, rows: Any, width: int, slots: SlotPool, checkpoint: Checkpoint | None
    ) -> tuple[Member, TrainState, bool]:
        """The initial or restored members, their state, and whether they were restored."""
        saved = checkpoint.restore(self.shapes(rows, width)[1]) if checkpoint else None
        if saved:
            slots.restore(saved[0])
        else:
            slots.admit(np.ones(width * self.mesh.size, bool))
        members, train_state = self._run("start", width, self._placed(rows, slots.rows), self.data)
        if saved:
            return members, saved[1], True
        # The copy of a row in an empty slot is not trained.
        return members, train_state._replace(done=self._put_each(~slots.taken)), False

    def _fetch_variables(
        self, train_state: TrainState, rows: np.ndarray, ended: np.ndarray, on_weights: Callable[[int, Variables], None]
    ) -> None:
        """Fetches the variables in the `ended` slots, one member after another."""
        variables = evaluation_variables(train_state)
        for slot in np.flatnonzero(ended):
            on_weights(int(rows[slot]), jax.device_get(jax.tree.map(lambda leaf, slot=slot: leaf[slot], variables)))

    def _read_progress(self, train_state: TrainState) -> tuple[np.ndarray, np.ndarray]:
        return jax.device_get((train_state.epoch, train_state.done))

    def _run(self, name: str, width: int, *arguments: Any) -> Any:
        if (name, width) not in self.fitting:
            began = self.clock()
            concurrent.futures.wait([self.compiled[name, width]])
            self.waited += self.clock() - began
            self._check_room(width)
        return self.compiled[name, width].result()(*arguments)

    def _check_room(self, width: int) -> None:
        """Checks the memory of programs that have been compiled meanwhile, early rather than at the end of a chunk.

        Raises:
          OutOfMemory: if there is no room for it; or what the compiler raised.
        """
        for key, program in self.compiled.items():
            if key[1] == width and key not in self.fitting and program.done():
                program.result()
                if self.needed_bytes(width) > self.room:
                    raise OutOfMemory
                self.fitting.add(key)

    def prepare(self, rows: Any, width: int, names: Sequence[str] = ()) -> list[Callable]:
        """The named programs (or all) for a width, compiled."""
        names = names or self.programs
        self.compile(rows, width, names)
        return [self.compiled[name, width].result() for name in names]

    def compile(self, rows: Any, width: int, names: Sequence[str]) -> None:
        """Starts compiling the named programs for a width, in threads of their own."""
        known = {key for key, program in self.compiled.items() if not (program.done() and program.exception())}
        missing = [name for name in names if (name, width) not in known]
        if not missing:
            return
        rows = self._placed(rows, np.zeros(width * self.mesh.size, int))
        members, train_state = self.shapes(rows, width)
        arguments = {
            "start": (rows, self.data),
            "advance": (members, train_state, self.data, self.traced(Block(0, 0, 0, 0))),
            "finish": (members, train_state, self.data),
            "refill": (rows, train_state.done, members, train_state, self.data),
        }
        # Traced on this thread, because the settings of JAX are a thread's own.
        lowered = [self.jitted[name].lower(*arguments[name]) for name in missing]
        pool = concurrent.futures.ThreadPoolExecutor(len(missing))
        for name, program in zip(missing, lowered, strict=True):
            self.compiled[name, width] = pool.submit(program.compile)
        pool.shutdown(wait=False)

    def needed_bytes(self, width: int) -> int:
        """Memory that the programs compiled for a width take on each device beside the data, as counted by XLA."""
        data = sum(leaf.nbytes for leaf in jax.tree.leaves(self.data))
        needed = [0]
        for (_, compiled_width), program in self.compiled.items():
            ready = compiled_width == width and program.done() and not program.exception()
            if ready and (counted := program.result().memory_analysis()):
                held = counted.argument_size_in_bytes + counted.output_size_in_bytes - counted.alias_size_in_bytes
                needed.append(held + counted.temp_size_in_bytes - data)
        return max(needed)

    def shapes(self, rows: Any, width: int) -> tuple[Member, TrainState]:
        """What `start` returns for rows like these, as shapes on this mesh."""
        sharding = NamedSharding(self.mesh, P("members"))
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            jax.eval_shape(self.jitted["start"], self._placed(rows, np.zeros(width * self.mesh.size, int)), self.data),
        )

    def _sharded(self, function: Callable, in_specs: tuple, donate: tuple[int, ...] = ()) -> Callable:
        mapped = jax.shard_map(function, mesh=self.mesh, in_specs=in_specs, out_specs=P("members"), check_vma=False)
        return jax.jit(mapped, donate_argnums=donate)

    def _placed(self, rows: Any, slots: np.ndarray) -> Any:
        """The rows in their slots, on the devices; an empty slot gets a copy of row 0."""
        return self._put_each(jax.tree.map(lambda field: np.asarray(field)[np.maximum(slots, 0)], rows))

    def _put_each(self, tree: Any) -> Any:
        return jax.device_put(tree, NamedSharding(self.mesh, P("members")))

    def traced(self, block: Block) -> Block:
        """A block as arrays, so that its bounds are no part of the program."""
        return jax.device_put(Block(*map(np.int32, block)), NamedSharding(self.mesh, P()))
