"""What convolutional networks repeat: convolution, max-pool, normalization, ReLU."""

from typing import Any

import flax.linen as nn
import jax

from jaxgen.models.layers import Conv, Kernels, Mode, Norm
from jaxgen.models.pooling import max_pool


class Unit(nn.Module):
    """Convolution, max-pool, normalization, ReLU: ``[b, h, w, i]`` to ``[b, h', w', features]``.

    Each is centred: a stride of s keeps every s-th pixel, the first included. Pooling comes before the norm, which then
    has a quarter of the work (Page 2019, https://myrtle.ai/learn/how-to-train-your-resnet-8-bag-of-tricks); without a
    norm it makes no difference, as maxima and ReLU commute.

    Attributes:
      features: channels out.
      norm: ``batch``, ``group`` or ``none``.
      kernels: by which arithmetic.
      size: height and width of the kernel, odd.
      stride: pixels between outputs.
      pool: height and width of the windows, side by side, that are pooled; an incomplete one is left out.
      affine: whether the norm learns a scale and a shift. If it does, the convolution needs no bias.
      active: whether ReLU comes last.
      kernel_init: draws the kernel.
    """

    features: int
    norm: str
    kernels: Kernels
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
            self.kernels,
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
    """The largest of every second pixel and its eight neighbours: ``[b, h, w, c]`` to half the size, rounded up."""
    return max_pool(inputs, (3, 3), (2, 2), ((1, 1), (1, 1)))


def hidden_layer(inputs: jax.Array, size: int, kernels: Kernels) -> jax.Array:
    """A fully connected ReLU layer, ``[b, f]`` to ``[b, size]``; to be called where submodules are made."""
    dense = nn.Dense(size, kernel_init=nn.initializers.he_normal(), dtype=kernels.dtype)
    return nn.relu(dense(inputs))
