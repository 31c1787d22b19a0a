"""Many members trained at once: `vmap` inside a device, devices side by side, the host looping over blocks of steps.

An ensemble is three programs, each compiled once for a width and used for every row: `start` (who is a member, initial
weights), `advance` (a block of epochs, or of steps of one epoch; trip counts are traced) and `finish` (what each member
gets right). No member's result depends on which others share its program.
"""

import concurrent.futures
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxgen.engine.training import (
    Block,
    Examples,
    Member,
    Progress,
    Recipe,
    advance_members,
    finish_members,
    start_members,
)
from jaxgen.types import Dataset, Outcome


def cut_blocks(epochs: int, steps: int, steps_per_call: int) -> Iterator[Block]:
    """All of a training in calls of about `steps_per_call` steps: whole epochs together, or pieces of one."""
    if steps_per_call >= steps:
        together = steps_per_call // steps
        for epoch in range(0, epochs, together):
            yield Block(epoch, min(epoch + together, epochs), 0, steps)
    else:
        for epoch in range(epochs):
            for step in range(0, steps, steps_per_call):
                yield Block(epoch, epoch + 1, step, min(step + steps_per_call, steps))


class Ensemble:
    """Trains rows of members on one data set, which is copied to every device once."""

    def __init__(self, recipe: Recipe, dataset: Dataset, devices: Sequence[jax.Device]):
        self.recipe = recipe
        self.mesh = Mesh(np.array(devices), ("members",))
        self.train_data = self._put(dataset.images, dataset.labels)
        has_test = dataset.test_images is not None
        self.test_data = self._put(dataset.test_images, dataset.test_labels) if has_test else None
        self.num_examined = len(dataset.labels) + (len(dataset.test_labels) if has_test else 0)
        each, same = P("members"), P()
        self.jitted = {
            "start": self._sharded(functools.partial(start_members, recipe), (each,)),
            "advance": self._sharded(functools.partial(advance_members, recipe), (each, each, same, same), donate=(1,)),
            "finish": self._sharded(functools.partial(finish_members, recipe), (each, each, same, same)),
        }
        self.compiled: dict[tuple[str, int], jax.stages.Compiled] = {}

    def train(
        self,
        rows: Any,
        width: int,
        max_size: int,
        steps_per_call: int,
        on_block: Callable[[float], None] = lambda share: None,
    ) -> Outcome:
        """Trains at most ``width * devices`` rows to the end.

        Args:
          rows: pytree of arrays ``[m]``.
          width: members in one batched program on each device; short batches are filled up with copies of a row.
          max_size: the size of the largest subset among the rows, or more.
          steps_per_call: after about so many steps the host gets its turn.
          on_block: called at each such turn with the share of the training that the block was.
        """
        start, advance, finish = self.prepare(rows, width)
        members, progress = start(self._fill(rows, width))
        steps = -(-max_size // self.recipe.batch_size)
        for block in cut_blocks(self.recipe.epochs, steps, steps_per_call):
            progress = jax.block_until_ready(advance(members, progress, self.train_data, self.traced(block)))
            on_block(
                (block.last_epoch - block.first_epoch)
                * (block.last_step - block.first_step)
                / (self.recipe.epochs * steps)
            )
        outcome = jax.device_get(finish(members, progress, self.train_data, self.test_data))
        count = len(jax.tree.leaves(rows)[0])
        return Outcome(*(np.asarray(field)[:count] for field in outcome))

    def prepare(self, rows: Any, width: int, names: Sequence[str] = ("start", "advance", "finish")) -> list[Callable]:
        """The named programs for a width; what is not compiled yet is compiled, side by side."""
        missing = [name for name in names if (name, width) not in self.compiled]
        if missing:
            rows = self._fill(rows, width)
            members, progress = self.shapes(rows, width)
            arguments = {
                "start": (rows,),
                "advance": (members, progress, self.train_data, self.traced(Block(0, 0, 0, 0))),
                "finish": (members, progress, self.train_data, self.test_data),
            }
            lowered = [self.jitted[name].lower(*arguments[name]) for name in missing]
            with concurrent.futures.ThreadPoolExecutor(len(missing)) as pool:
                programs = pool.map(jax.stages.Lowered.compile, lowered)
                self.compiled.update({(name, width): program for name, program in zip(missing, programs, strict=True)})
        return [self.compiled[name, width] for name in names]

    def needed_bytes(self, width: int) -> int:
        """What the programs compiled for a width take on each device beside the data, as the compiler counts it."""
        data = sum(leaf.nbytes for leaf in jax.tree.leaves((self.train_data, self.test_data)))
        needed = [0]
        for (_, compiled_width), program in self.compiled.items():
            counted = program.memory_analysis() if compiled_width == width else None
            if counted:
                held = counted.argument_size_in_bytes + counted.output_size_in_bytes - counted.alias_size_in_bytes
                needed.append(held + counted.temp_size_in_bytes - data)
        return max(needed)

    def shapes(self, rows: Any, width: int) -> tuple[Member, Progress]:
        """What `start` returns for rows like these, as shapes on this mesh."""
        sharding = NamedSharding(self.mesh, P("members"))
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            jax.eval_shape(self.jitted["start"], self._fill(rows, width)),
        )

    def _sharded(self, function: Callable, in_specs: tuple, donate: tuple[int, ...] = ()) -> Callable:
        mapped = jax.shard_map(function, mesh=self.mesh, in_specs=in_specs, out_specs=P("members"), check_vma=False)
        return jax.jit(mapped, donate_argnums=donate)

    def _fill(self, rows: Any, width: int) -> Any:
        size = width * self.mesh.size
        filled = jax.tree.map(lambda field: np.pad(field, (0, size - len(field)), mode="edge"), rows)
        return jax.device_put(filled, NamedSharding(self.mesh, P("members")))

    def traced(self, block: Block) -> Block:
        """A block as arrays, so that its bounds are no part of the program."""
        return jax.device_put(Block(*map(np.int32, block)), NamedSharding(self.mesh, P()))

    def _put(self, images: np.ndarray, labels: np.ndarray) -> Examples:
        return jax.device_put(Examples(images, labels), NamedSharding(self.mesh, P()))
