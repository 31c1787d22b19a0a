"""Building blocks of convolutional networks: convolution, max-pooling, normalization, ReLU."""

from typing import Any

import flax.linen as nn
import jax

from jaxgen.models.layers import ComputeConfig, Conv, Mode, Norm
from jaxgen.models.pooling import max_pool


class Unit(nn.Module):
    """Convolution, max-pooling, normalization and ReLU: ``[b, h, w, i]`` to ``[b, h', w', features]``.

    Convolutions are centred: a stride of s keeps every s-th pixel, starting with the first. Pooling precedes the norm,
    which then has a quarter of the work (Page 2019, https://myrtle.ai/learn/how-to-train-your-resnet-8-bag-of-tricks).
    Without a norm the order does not matter, because maxima and ReLU commute.

    Attributes:
      features: number of output channels.
      norm: ``batch``, ``group`` or ``none``.
      compute: convolution back-ends and dtype.
      size: height and width of the kernel, odd.
      stride: stride of the convolution.
      pool: window and stride of the pooling; incomplete windows are dropped.
      affine: whether the norm learns a scale and a shift. If it does, the convolution has no bias.
      active: whether ReLU is applied.
      kernel_init: initializer of the kernel.
    """

    features: int
    norm: str
    compute: ComputeConfig
    size: int = 3
    stride: int = 1
    pool: int = 1
    affine: bool = True
    active: bool = True
    kernel_init: Any = nn.initializers.he_normal()

    @nn.compact
    def __call__(self, inputs: jax.Array, mode: Mode) -> jax.Array:
        around = (self.size // 2, self.size // 2)
        conv = Conv(
            self.features,
            self.compute,
            size=(self.size, self.size),
            strides=(self.stride, self.stride),
            padding=(around, around),
            use_bias=self.norm == "none" or not self.affine,
            kernel_init=self.kernel_init,
        )
        outputs = conv(inputs)
        if self.pool > 1:
            outputs = max_pool(outputs, (self.pool, self.pool), (self.pool, self.pool))
        outputs = Norm(self.norm, affine=self.affine)(outputs, mode)
        return nn.relu(outputs) if self.active else outputs


def overlapping_pool(inputs: jax.Array) -> jax.Array:
    """Max-pooling over 3x3 windows with stride 2: ``[b, h, w, c]`` to half the height and width, rounded up."""
    return max_pool(inputs, (3, 3), (2, 2), ((1, 1), (1, 1)))


def hidden_layer(inputs: jax.Array, size: int, compute: ComputeConfig) -> jax.Array:
    """A fully connected ReLU layer, ``[b, f]`` to ``[b, size]``; call it in a compact method."""
    dense = nn.Dense(size, kernel_init=nn.initializers.he_normal(), dtype=compute.dtype)
    return nn.relu(dense(inputs))
