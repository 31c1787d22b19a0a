"""A linear classifier whose classes have learnt scales, by itself or on a frozen network."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgen.models.layers import EVAL, Kernels, Mode


@jax.custom_vjp
def narrow_product(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """``inputs @ kernel``, of ``[b, f]`` and ``[f, c]`` with c far below f.

    The kernel's gradient is computed as ``[c, f]``: on a CPU batched products with few columns take twice as long as
    those with few rows, and XLA makes the one of the other unless a barrier keeps it from that.
    """
    return inputs @ kernel


def narrow_product_forward(inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """The product, and what its gradients need."""
    return inputs @ kernel, (inputs, kernel)


def narrow_product_backward(seen: tuple[jax.Array, jax.Array], grads: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gradients of the inputs and of the kernel by that of the product, ``[b, c]``."""
    inputs, kernel = seen
    return grads @ kernel.T, jax.lax.optimization_barrier(grads.T @ inputs).T


narrow_product.defvjp(narrow_product_forward, narrow_product_backward)


def narrow_dot(inputs: jax.Array, kernel: jax.Array, *_: Any, **__: Any) -> jax.Array:
    """`narrow_product` as `flax.linen.Dense` calls for its product."""
    return narrow_product(inputs, kernel)


class ScaledLinear(nn.Module):
    """Logits ``s * (W f + b)``, s one number a class that begins at 1: learnable weight scaling.

    B. Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020
    (https://arxiv.org/abs/1910.09217), section 4.2, and Z. Zhong et al., CVPR 2021 (MiSLAS), in whose code the bias is
    scaled too.

    Attributes:
      num_classes: c, the number of logits.
      kernels: by which arithmetic.
    """

    num_classes: int
    kernels: Kernels = Kernels()

    def setup(self) -> None:
        draw, dtype = nn.initializers.glorot_normal(), self.kernels.dtype
        self.head = nn.Dense(self.num_classes, kernel_init=draw, dtype=dtype, dot_general=narrow_dot)
        self.scale = self.param("scale", nn.initializers.ones, (self.num_classes,))

    def __call__(self, inputs: jax.Array, mode: Mode = EVAL) -> jax.Array:
        """Maps ``[b, ...]`` inputs to logits ``[b, c]``."""
        return self.classify(self.features(inputs, mode))

    def features(self, inputs: jax.Array, mode: Mode = EVAL) -> jax.Array:
        """``[b, f]``: the flattened inputs."""
        return inputs.reshape(inputs.shape[0], -1)

    def classify(self, features: jax.Array) -> jax.Array:
        """``[b, f]`` features to float32 logits ``[b, c]``."""
        return self.head(features).astype(jnp.float32) * self.scale[None]


class Retrained(ScaledLinear):
    """The same on features of a frozen network, which sees inputs anew in each step.

    No gradient comes to the network. Its batch norm goes by its running statistics, or, as Z. Zhong et al., CVPR 2021
    (MiSLAS), shift it, by those of each batch, which the running ones follow.

    Attributes:
      network: has `features`.
      shift: whether batch norm is shifted.
    """

    network: nn.Module | None = None
    shift: bool = False

    def features(self, inputs: jax.Array, mode: Mode = EVAL) -> jax.Array:
        """``[b, f]``: what the network makes of inputs ``[b, ...]``."""
        return jax.lax.stop_gradient(self.network.features(inputs, mode if self.shift else EVAL))
