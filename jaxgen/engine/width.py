"""Chooses the width, the number of members in one batched program, by timing.

On a CPU wide programs help tiny networks (fewer, larger operations) and hurt big ones (weights do not fit in the
cache); on a GPU the reverse. So a few widths are timed on the job's own training steps, and the fastest per member is
used.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.engine.ensemble import Ensemble
from jaxgen.engine.members import Block

CPU_WIDTHS = (1, 2, 4, 8, 16, 32, 64)
GPU_WIDTHS = (16, 64, 256, 1024, 4096)
# By how much a wider or narrower neighbour must be faster: narrow programs start, evaluate and store fewer members.
WIDER, NARROWER = 0.05, 0.15
# A timing may take at most this share of the job's time.
WORTHWHILE = 0.03
# A timing that is mostly drawing orders ends when it has taken so many times as long as wanted.
LONGEST = 4
TIMINGS = 3


class WidthChoice(NamedTuple):
    """The width chosen, its seconds per member and step on one device, all timings, and the reason."""

    width: int
    seconds: float
    timed: dict[int, float]
    why: str


def first_guess(parameter_bytes: int, platform: str) -> int:
    """The first width to time: on a CPU the most members whose weights fit in a megabyte, else the middle candidate."""
    if platform != "cpu":
        return GPU_WIDTHS[len(GPU_WIDTHS) // 2]
    return max((width for width in CPU_WIDTHS if width * parameter_bytes <= 2**20), default=CPU_WIDTHS[0])


def candidates(platform: str, member_bytes: int, budget: int, num_members: int, num_devices: int) -> list[int]:
    """The widths worth timing, ascending: within memory, and with few idle slots.

    Args:
      platform: of the devices.
      member_bytes: memory of one member on its device.
      budget: bytes that the members on one device may take.
      num_members: members of one subset size, which are trained together.
      num_devices: among which each batch of members is spread.
    """
    powers = CPU_WIDTHS if platform == "cpu" else GPU_WIDTHS
    fitted = {fit(width, num_members, num_devices) for width in powers}
    return sorted(width for width in fitted if width * member_bytes <= budget) or [1]


def fit(width: int, num_members: int, num_devices: int) -> int:
    """The width within a quarter of `width` that leaves the fewest idle slots in batches of `num_members` members."""

    def slots(width: int) -> int:
        return -(-num_members // (width * num_devices)) * width * num_devices

    near = range(max(1, width - width // 4), width + width // 4 + 1)
    best = min(near, key=lambda candidate: (slots(candidate), abs(candidate - width)))
    return min(best, -(-num_members // num_devices))


def choose_width(
    time_step: Callable[[int], float], widths: Sequence[int], start: int, *, steps: float, cost: Callable[[], float]
) -> WidthChoice:
    """Climbs from `start` to neighbouring widths while that pays.

    Args:
      time_step: seconds per member and step at a width, infinite where memory is too small; compiles it if need be.
      widths: candidates, ascending.
      start: where to begin; the nearest candidate, by ratio, is taken.
      steps: member steps that one device is going to take.
      cost: seconds that timing one more width costs, as seen so far.

    Returns:
      The fastest width tried. No other is tried where the job is too short to repay it.
    """
    first = min(range(len(widths)), key=lambda i: abs(math.log(widths[i] / start)))
    timed = {widths[first]: time_step(widths[first])}
    best = first
    for direction, margin in ((1, WIDER), (-1, NARROWER)):
        there = best + direction
        while 0 <= there < len(widths):
            if cost() > WORTHWHILE * timed[widths[best]] * steps:
                return WidthChoice(
                    widths[best], timed[widths[best]], timed, "timing more would not pay in so short a job"
                )
            timed[widths[there]] = time_step(widths[there])
            # ">=": widths that do not fit into memory are all infinite.
            if timed[widths[there]] >= (1 - margin) * timed[widths[best]]:
                break
            best, there = there, there + direction
        if best != first:
            break
    return WidthChoice(widths[best], timed[widths[best]], timed, "the fastest of those timed")


def time_step(
    ensemble: Ensemble, rows: Any, width: int, size: int, *, clock: Callable[[], float], seconds: float = 0.25
) -> float:
    """Seconds per member and step on one device: the best of a few timings on stand-ins for members.

    Drawing an epoch's order of many examples can take longer than a step. It is timed apart, by blocks without steps,
    and shared out among the steps of an epoch.

    Args:
      ensemble: what is to be trained; only its training program is compiled.
      rows: one or more rows of members.
      width: members in one program.
      size: number of training examples of a stand-in.
      clock: a monotonic clock in seconds.
      seconds: about how long each timing lasts.
    """
    [advance] = ensemble.prepare(rows, width, ["advance"])
    members, train_state = jax.tree.map(stand_in, ensemble.shapes(rows, width))
    sizes = np.full(members.size.shape, size, np.int32)
    members = members._replace(size=jax.device_put(sizes, members.size.sharding))
    resting = np.zeros(members.size.shape, bool)
    train_state = train_state._replace(done=jax.device_put(resting, members.size.sharding))
    steps_each = -(-size // ensemble.config.batch_size)

    def run(epochs: int, steps: int) -> float:
        """Seconds that so many epochs of so many steps take."""
        nonlocal train_state
        began = clock()
        block = ensemble.traced(Block(epochs, 0, steps, 0))
        train_state = jax.block_until_ready(advance(members, train_state, ensemble.data, block))
        return clock() - began

    order = min(run(1, 0) for _ in range(TIMINGS))
    best, steps, timings = float("inf"), 1, 0
    while timings < TIMINGS:
        epochs, each = -(-steps // steps_each), min(steps, steps_each)
        taken = run(epochs, each)
        stepping = taken - epochs * order
        mostly_order = each < steps_each and stepping < seconds / 2 and taken < LONGEST * seconds
        if taken < seconds / 2 or mostly_order:
            # Not far beyond `seconds`: each timing is waited for.
            steps = math.ceil(steps * min(4, max(seconds / taken, 1.5)))
        else:
            timings += 1
            best = min(best, max(stepping, 0) / (epochs * each))
    return (best + order / steps_each) / width


def time_evaluation(ensemble: Ensemble, rows: Any, width: int, *, clock: Callable[[], float]) -> float:
    """Seconds of the final evaluation of `width` members on each device: the best of a few timings."""
    [finish] = ensemble.prepare(rows, width, ["finish"])
    members, train_state = jax.tree.map(stand_in, ensemble.shapes(rows, width))
    taken = []
    for _ in range(TIMINGS):
        began = clock()
        jax.block_until_ready(finish(members, train_state, ensemble.data))
        taken.append(clock() - began)
    return min(taken)


def stand_in(leaf: jax.ShapeDtypeStruct) -> jax.Array:
    """An array of this shape, type and sharding; not of zeros, on which arithmetic can be faster."""
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.device_put(jax.random.wrap_key_data(np.zeros((*leaf.shape, 2), np.uint32)), leaf.sharding)
    return jax.device_put(np.full(leaf.shape, 0.01).astype(leaf.dtype), leaf.sharding)
