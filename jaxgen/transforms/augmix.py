"""AugMix: an image is mixed with three versions of itself, each changed by a random chain of one to three operations.

Hendrycks, Mu, Cubuk, Zoph, Gilmer, Lakshminarayanan 2020, "AugMix: A Simple Data Processing Method to Improve
Robustness and Uncertainty", https://arxiv.org/abs/1912.02781, algorithm 1, with the operations and levels of
https://github.com/google-research/augmix. This is the augmentation alone (there: ``--no-jsd``): the Jensen-Shannon
consistency loss, from which the paper has a part of its gain, is not included. Where their code has 32 pixels for the
side of any image, the image's own sides stand here.

Operations take and give levels, whole numbers from 0 to 255, as Pillow does in their code; between two operations
values are cut to whole numbers. Axes: h w d image, k chains.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.transforms.mixing import interpolate
from jaxgen.transforms.sampling import by_edge, rotation, sample, source_coordinates

# The first four change levels, the others move pixels.
OPERATIONS = (
    "autocontrast",
    "equalize",
    "posterize",
    "solarize",
    "rotate",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
NUM_CHAINS, LONGEST_CHAIN = 3, 3
# An operation's strength is uniform from the least one to the severity; 10 is the strongest.
LEAST_STRENGTH = 0.1
WHITE = 255


class Operation(NamedTuple):
    """One operation; scalars.

    Attributes:
      kind: index in `OPERATIONS`.
      strength: float in [0.1, severity].
      sign: the direction of an operation that has one, -1 or 1.
    """

    kind: jax.Array
    strength: jax.Array
    sign: jax.Array


class Chains(NamedTuple):
    """What is drawn for one image.

    Attributes:
      operations: each field ``[k, 3]``: by chain, and by place in it.
      lengths: int ``[k]``: operations of each chain, 1 to 3.
      weights: float ``[k]``: of the chains in their mixture, from a Dirichlet distribution of ones; their sum is 1.
      share: float in [0, 1]: the weight of the mixture beside the image itself, from Beta(1, 1).
    """

    operations: Operation
    lengths: jax.Array
    weights: jax.Array
    share: jax.Array


def augmix_one(key: jax.Array, image: jax.Array, severity: jax.Array) -> jax.Array:
    """AugMix of one ``image [h, w, d]`` in [0, 1]; the identity at severity 0, else severity is from 1 to 10."""
    chains = draw_chains(key, severity)
    levels = jnp.clip(jnp.round(image * WHITE), 0, WHITE)
    mixed = interpolate(image, mix_chains(levels, chains) / WHITE, chains.share)
    return jnp.where(severity > 0, mixed, image)


def draw_chains(key: jax.Array, severity: jax.Array) -> Chains:
    """The draws for one image, all from one call: many small ones take longer to compile."""
    shape = (NUM_CHAINS, LONGEST_CHAIN)
    size = 3 * NUM_CHAINS * LONGEST_CHAIN
    uniforms = jax.random.uniform(key, (size + 2 * NUM_CHAINS + 1,))
    kinds, strengths, signs = uniforms[:size].reshape(3, *shape)
    lengths, weights = uniforms[size:-1].reshape(2, NUM_CHAINS)
    operations = Operation(
        kind=(len(OPERATIONS) * kinds).astype(jnp.int32),
        strength=LEAST_STRENGTH + (severity - LEAST_STRENGTH) * strengths,
        sign=jnp.where(signs > 0.5, -1.0, 1.0),
    )
    # Shares of exponential variables have a Dirichlet distribution of ones.
    weights = -jnp.log1p(-weights)
    return Chains(operations, 1 + (LONGEST_CHAIN * lengths).astype(jnp.int32), weights / weights.sum(), uniforms[-1])


def mix_chains(levels: jax.Array, chains: Chains) -> jax.Array:
    """The weighted mean of what the chains make of ``levels [h, w, d]``.

    Chains are computed one after another: on a CPU, side by side takes 1.4 times as long.
    """

    def add_chain(total: jax.Array, chain: tuple[Operation, jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        operations, length, weight = chain

        def step(changed: jax.Array, place: tuple[jax.Array, Operation]) -> tuple[jax.Array, None]:
            number, operation = place
            return jnp.where(number < length, change_levels(changed, operation), changed), None

        changed, _ = jax.lax.scan(step, levels, (jnp.arange(LONGEST_CHAIN), operations))
        return total + weight * changed, None

    return jax.lax.scan(add_chain, jnp.zeros_like(levels), (chains.operations, chains.lengths, chains.weights))[0]


def change_levels(levels: jax.Array, operation: Operation) -> jax.Array:
    """Applies one operation to ``levels [h, w, d]``.

    Under `vmap` all five results are computed and one is taken: those that move pixels are one affine map.
    """
    toned = (autocontrast(levels), equalize(levels), posterize(levels, operation), solarize(levels, operation))
    return jax.lax.select_n(jnp.minimum(operation.kind, len(toned)), *toned, move(levels, operation))


def autocontrast(levels: jax.Array) -> jax.Array:
    """Stretches each channel of ``levels [h, w, d]`` to the range from 0 to 255; a constant one stays."""
    low, high = levels.min((0, 1), keepdims=True), levels.max((0, 1), keepdims=True)
    return jnp.where(high > low, jnp.floor(WHITE * (levels - low) / jnp.maximum(high - low, 1)), levels)


def equalize(levels: jax.Array) -> jax.Array:
    """Makes the histogram of each channel of ``levels [h, w, d]`` as even as Pillow's integer arithmetic does.

    A channel with fewer than 255 pixels below its highest level stays as it is, as in Pillow.
    """
    height, width, depth = levels.shape
    places = levels.astype(jnp.int32) + (WHITE + 1) * jnp.arange(depth)[None, None]
    histograms = jnp.zeros(depth * (WHITE + 1), jnp.int32).at[places].add(1, mode="promise_in_bounds")
    histograms = histograms.reshape(depth, WHITE + 1)
    highest = levels.max((0, 1)).astype(jnp.int32)
    step = ((height * width - histograms[jnp.arange(depth), highest]) // WHITE)[:, None]
    table = (step // 2 + jnp.cumsum(histograms, 1) - histograms) // jnp.maximum(step, 1)
    table = jnp.where(step > 0, jnp.minimum(table, WHITE), jnp.arange(WHITE + 1)[None])
    return table.astype(levels.dtype).ravel().at[places].get(mode="promise_in_bounds")


def posterize(levels: jax.Array, operation: Operation) -> jax.Array:
    """Keeps the highest 4 bits of ``levels [h, w, d]`` at strengths below 2.5, 1 bit from 7.5 on."""
    width = jnp.left_shift(16, (0.4 * operation.strength).astype(jnp.int32)).astype(levels.dtype)
    return width * jnp.floor(levels / width)


def solarize(levels: jax.Array, operation: Operation) -> jax.Array:
    """Inverts ``levels [h, w, d]`` from 256 less 25.6 times the strength on."""
    return jnp.where(levels < WHITE + 1 - jnp.floor(25.6 * operation.strength), levels, WHITE - levels)


def move(levels: jax.Array, operation: Operation) -> jax.Array:
    """Rotates, shears or shifts ``levels [h, w, d]``, bilinearly; 0 comes in from outside.

    At strength 10, angles are 30 degrees, shears 0.3, and shifts a third of the side; angles and shifts are whole
    numbers. Shears leave the upper left corner where it is.
    """
    height, width = levels.shape[:2]

    def amount(name: str, size: jax.Array) -> jax.Array:
        return jnp.where(operation.kind == OPERATIONS.index(name), operation.sign * size, 0.0)

    (cosine, minus_sine), (sine, _) = rotation(jnp.deg2rad(amount("rotate", jnp.floor(3 * operation.strength))))
    shear_x, shear_y = (amount(name, 0.03 * operation.strength) for name in ("shear_x", "shear_y"))
    right = amount("translate_x", jnp.floor(width / 30 * operation.strength)) + shear_x * height / 2
    down = amount("translate_y", jnp.floor(height / 30 * operation.strength)) + shear_y * width / 2
    matrix = [[cosine, minus_sine + shear_x], [sine + shear_y, cosine]]
    rows, columns = source_coordinates(levels.shape, matrix, (right, down))
    inside = (rows >= -0.5) & (rows < height - 0.5) & (columns >= -0.5) & (columns < width - 0.5)
    return jnp.where(inside[:, :, None], jnp.floor(sample(levels, rows, columns, by_edge)), 0)
