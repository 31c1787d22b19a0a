"""Layers: convolution, normalization, dropout; and the mode in which a network is applied.

Every network is a Linen module called as ``network(inputs, mode)``. Hyperparameters that differ between members, such
as dropout rates, are arrays of `mode`.
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
    """Training or evaluation mode of a network applied to b examples.

    Attributes:
      training: whether batch norm uses the statistics of the batch and updates its running ones.
      present: bool ``[b]``: False for padding of a short batch, which is excluded from statistics; None if all rows are
        examples.
      keys: dropout keys ``[b]``, one for each example; None for no dropout.
      dropout: dropout rate, a scalar in [0, 1).
    """

    training: bool = False
    present: jax.Array | None = None
    keys: jax.Array | None = None
    dropout: jax.Array | float = 0.0


EVAL = Mode()
# Logits of `CosineLinear` go from minus this to this.
COSINE_SCALE = 30.0


@dataclasses.dataclass(frozen=True)
class ComputeConfig:
    """Convolution back-ends and dtype of a network; fixed when a program is compiled.

    Attributes:
      backends: pairs of a convolution's geometry and its back-end.
      default_backend: the back-end of all other convolutions.
      dtype: of activations, and of parameters in products; parameters are stored in float32.
    """

    backends: tuple[tuple[Geometry, str], ...] = ()
    default_backend: str = "plain"
    dtype: Any = jnp.float32

    def backend(self, geometry: Geometry) -> str:
        """The back-end for a convolution."""
        return dict(self.backends).get(geometry, self.default_backend)


def activation_dtype(precision: str) -> Any:
    """`ComputeConfig.dtype` for a value of the flag ``--precision``."""
    return jnp.bfloat16 if precision == "bf16" else jnp.float32


def product_precision(precision: str) -> str:
    """The argument of `jax.default_matmul_precision` for a value of the flag ``--precision``."""
    return "tensorfloat32" if precision == "tf32" else "float32"


class Conv(nn.Module):
    """A convolution: ``[b, h, w, i]`` to ``[b, h', w', features]``.

    Attributes:
      features: number of output channels.
      compute: convolution back-ends and dtype.
      size: height and width of the kernel.
      strides: vertical and horizontal.
      padding: zeros before and after, vertical and horizontal, or "same" (`same_padding`).
      use_bias: whether to add a bias.
      kernel_init: initializer of the kernel.
    """

    features: int
    compute: ComputeConfig
    size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    padding: Padding | str = "same"
    use_bias: bool = True
    kernel_init: Any = nn.initializers.he_normal()

    def geometry(self, shape: tuple[int, ...]) -> Geometry:
        """The geometry for inputs of a shape (b, h, w, i)."""
        kernel = (*self.size, shape[-1], self.features)
        same = self.padding == "same"
        padding = same_padding(shape[1:], kernel, self.strides) if same else self.padding
        return Geometry(tuple(shape[1:]), kernel, self.strides, padding)

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        geometry = self.geometry(inputs.shape)
        kernel = self.param("kernel", self.kernel_init, geometry.kernel)
        outputs = convolve(
            inputs.astype(self.compute.dtype),
            kernel.astype(self.compute.dtype),
            strides=geometry.strides,
            padding=geometry.padding,
            backend=self.compute.backend(geometry),
        )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            outputs += bias.astype(self.compute.dtype)[None, None, None]
        return outputs


class Norm(nn.Module):
    """Batch norm (Ioffe and Szegedy 2015), group norm (Wu and He 2018) or none; the shape is kept.

    Batch norm excludes padding from its statistics; running statistics, used in evaluation, have momentum 0.9. Group
    norm has up to 32 groups.

    Attributes:
      kind: ``batch``, ``group`` or ``none``.
      affine: whether to learn a scale and a shift.
      scale_init: initializer of the scale.
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
            # 32 groups as in the paper, but of at least four channels: a group of one would normalize it by itself.
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
    """Dropout with the rate in `mode` (Srivastava et al. 2014).

    The draws of an example depend on its key only, so that they do not depend on how a batch is split. At rate 0 it is
    exactly the identity.

    Attributes:
      layer: a distinct number for each dropout layer of a network.
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


def unit_vectors(vectors: jax.Array, axis: int) -> jax.Array:
    """Vectors along an axis, divided by their Euclidean norms; zeros stay zeros."""
    squares = jnp.sum(jnp.square(vectors), axis=axis, keepdims=True)
    return vectors * jax.lax.rsqrt(jnp.maximum(squares, 1e-24))


class CosineLinear(nn.Dense):
    """Logits are `COSINE_SCALE` times the cosines of features and class weights; there is no bias.

    K. Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS 2019
    (https://arxiv.org/abs/1906.07413). A network with it draws the same initial weights as with `flax.linen.Dense`.
    """

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Maps ``[b, f]`` features to logits ``[b, c]``."""
        kernel = self.param("kernel", self.kernel_init, (inputs.shape[-1], self.features))
        # In single precision, as norms are.
        vectors = unit_vectors(inputs.astype(jnp.float32), -1), COSINE_SCALE * unit_vectors(kernel, 0)
        return jnp.dot(*(vector.astype(self.dtype) for vector in vectors))


class Network(nn.Module):
    """A feature extractor with dropout and a linear classifier.

    Attributes:
      extractor: maps ``[b, h, w, d]`` inputs and a `Mode` to ``[b, f]`` features.
      num_classes: c.
      compute: convolution back-ends and dtype.
      classifier_layer: `flax.linen.Dense` or `CosineLinear`.
    """

    extractor: nn.Module
    num_classes: int
    compute: ComputeConfig
    classifier_layer: type[nn.Dense] = nn.Dense

    def setup(self) -> None:
        """Makes the dropout layer and the classifier."""
        self.dropout = Dropout(0)
        self.classifier = self.classifier_layer(self.num_classes, dtype=self.compute.dtype)

    def __call__(self, inputs: jax.Array, mode: Mode = EVAL) -> jax.Array:
        """Maps ``[b, h, w, d]`` inputs to float32 logits ``[b, c]``."""
        return self.classify(self.dropout(self.features(inputs, mode), mode))

    def features(self, inputs: jax.Array, mode: Mode = EVAL) -> jax.Array:
        """``[b, f]`` features, before dropout."""
        return self.extractor(inputs, mode)

    def classify(self, features: jax.Array) -> jax.Array:
        """Maps ``[b, f]`` features to float32 logits ``[b, c]``."""
        return self.classifier(features).astype(jnp.float32)
