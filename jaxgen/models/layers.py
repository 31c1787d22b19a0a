"""What networks are built of: convolution, normalization, dropout, and the mode that a network is run in.

Every network is a Linen module called as ``network(inputs, mode)``; what varies between members (dropout rates) comes
in `mode` as arrays.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgen.hashing import hashed_uniform
from jaxgen.models.convolution import Geometry, Padding, convolve, same_padding


class Mode(NamedTuple):
    """Training or evaluation: how a network is run on b examples.

    Attributes:
      training: whether batch statistics are taken from the batch (and noted), and units dropped.
      present: bool ``[b]``: which rows are examples; the others (a short batch is filled up) count in no statistics.
        None: all.
      keys: ``[b]`` keys, one an example, of the units to drop; None drops none.
      dropout: the share of units that is dropped, a scalar in [0, 1).
    """

    training: bool = False
    present: jax.Array | None = None
    keys: jax.Array | None = None
    dropout: jax.Array | float = 0.0


EVAL = Mode()


@dataclasses.dataclass(frozen=True)
class Kernels:
    """By which arithmetic a network is computed; fixed when a program is compiled.

    Attributes:
      backends: pairs of a convolution's geometry and the back-end that computes it.
      otherwise: the back-end of all other convolutions.
      dtype: of activations, and of weights in products; weights themselves are kept in float32.
    """

    backends: tuple[tuple[Geometry, str], ...] = ()
    otherwise: str = "plain"
    dtype: Any = jnp.float32

    def backend(self, geometry: Geometry) -> str:
        """The back-end for a convolution."""
        return dict(self.backends).get(geometry, self.otherwise)


def activation_dtype(precision: str) -> Any:
    """`Kernels.dtype` by the flag ``--precision``."""
    return jnp.bfloat16 if precision == "bf16" else jnp.float32


def product_precision(precision: str) -> str:
    """By the flag ``--precision`` that of float32 products, as `jax.default_matmul_precision` has it."""
    return "tensorfloat32" if precision == "tf32" else "float32"


class Conv(nn.Module):
    """A convolution with a bias: ``[b, h, w, i]`` to ``[b, h', w', features]``.

    Attributes:
      features: channels out.
      kernels: by which arithmetic.
      size: height and width of the kernel.
      strides: pixels between outputs.
      padding: zeros around, or "same" (a stride of s divides the size by s, rounded up).
      use_bias: whether a bias is learnt.
      kernel_init: draws the kernel.
    """

    features: int
    kernels: Kernels
    size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    padding: Padding | str = "same"
    use_bias: bool = True
    kernel_init: Any = nn.initializers.he_normal()

    def geometry(self, shape: tuple[int, ...]) -> Geometry:
        """The geometry on inputs of this shape ``(b, h, w, i)``."""
        kernel = (*self.size, shape[-1], self.features)
        same = self.padding == "same"
        padding = same_padding(shape[1:], kernel, self.strides) if same else self.padding
        return Geometry(tuple(shape[1:]), kernel, self.strides, padding)

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        geometry = self.geometry(inputs.shape)
        kernel = self.param("kernel", self.kernel_init, geometry.kernel)
        outputs = convolve(
            inputs.astype(self.kernels.dtype),
            kernel.astype(self.kernels.dtype),
            strides=geometry.strides,
            padding=geometry.padding,
            backend=self.kernels.backend(geometry),
        )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            outputs += bias.astype(self.kernels.dtype)[None, None, None]
        return outputs


class Norm(nn.Module):
    """Normalization over all axes but the first and the last (group) or but the last (batch): any shape to the same.

    Batch statistics (Ioffe and Szegedy 2015) are those of the examples present; the running ones, used in examination,
    move a tenth of the way a step. Groups (Wu and He 2018) are 32, or as many as divide the channels.

    Attributes:
      kind: ``batch``, ``group`` or ``none``.
      affine: whether a scale and a shift are learnt.
      scale_init: draws the scale.
    """

    kind: str
    affine: bool = True
    scale_init: Any = nn.initializers.ones

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        learnt = {"use_bias": self.affine, "use_scale": self.affine}
        if self.kind == "none":
            return inputs
        if self.kind == "group":
            # 32 groups as in the paper, but of four channels at least: groups of one would norm each channel alone.
            groups = math.gcd(32, max(inputs.shape[-1] // 4, 1))
            return nn.GroupNorm(num_groups=groups, dtype=inputs.dtype, scale_init=self.scale_init, **learnt)(inputs)
        mask = None
        if mode.training and mode.present is not None:
            mask = mode.present.reshape(-1, *[1] * (inputs.ndim - 1))
        norm = nn.BatchNorm(
            use_running_average=not mode.training,
            momentum=0.9,
            dtype=inputs.dtype,
            scale_init=self.scale_init,
            **learnt,
        )
        return norm(inputs, mask=mask)


class Dropout(nn.Module):
    """Sets each unit to 0 with the rate in `mode`, and scales the others up (Srivastava et al. 2014).

    An example's draws depend on its own key alone, so that they are the same in whatever pieces a batch is computed. At
    rate 0 it is the identity to the bit.

    Attributes:
      layer: a number of its own for each dropout layer of a network.
    """

    layer: int

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        if mode.keys is None:
            return inputs

        def draw(key: jax.Array) -> jax.Array:
            return hashed_uniform(jax.random.fold_in(key, self.layer), inputs.shape[1:])

        keep = jax.vmap(draw)(mode.keys) >= mode.dropout
        return jnp.where(keep, inputs / (1 - mode.dropout), 0).astype(inputs.dtype)


class Network(nn.Module):
    """A feature extractor and a linear classifier, apart.

    Attributes:
      extractor: maps ``[b, h, w, d]`` inputs, and `mode`, to ``[b, f]`` features.
      num_classes: c.
      kernels: by which arithmetic.
    """

    extractor: nn.Module
    num_classes: int
    kernels: Kernels

    def setup(self) -> None:
        self.dropout = Dropout(0)
        self.classifier = nn.Dense(self.num_classes, dtype=self.kernels.dtype)

    def __call__(self, inputs: jax.Array, mode: Mode = EVAL) -> jax.Array:
        """Logits, float32 ``[b, c]``."""
        return self.classify(self.dropout(self.features(inputs, mode), mode))

    def features(self, inputs: jax.Array, mode: Mode = EVAL) -> jax.Array:
        """``[b, f]``: what the classifier sees."""
        return self.extractor(inputs, mode)

    def classify(self, features: jax.Array) -> jax.Array:
        """``[b, f]`` features to float32 ``[b, c]`` logits."""
        return self.classifier(features).astype(jnp.float32)
