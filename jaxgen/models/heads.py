"""Linear classifiers with a learnable scale for each class, alone or on top of a frozen network."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgen.models.layers import EVAL, ComputeConfig, Mode


@jax.custom_vjp
def narrow_product(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """``inputs @ kernel`` for ``[b, f]`` and ``[f, c]`` with c much smaller than f.

    The kernel gradient is computed as ``[c, f]``, because on a CPU batched products with few columns take twice as long
    as those with few rows. A barrier keeps XLA from exchanging them.
    """
    return inputs @ kernel


def narrow_product_forward(inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """The product, and the arrays that `narrow_product_backward` needs."""
    return inputs @ kernel, (inputs, kernel)


def narrow_product_backward(residuals: tuple[jax.Array, jax.Array], grads: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gradients of the inputs and of the kernel, from the gradient of the product ``[b, c]``."""
    inputs, kernel = residuals
    return grads @ kernel.T, jax.lax.optimization_barrier(grads.T @ inputs).T


narrow_product.defvjp(narrow_product_forward, narrow_product_backward)


def narrow_dot(inputs: jax.Array, kernel: jax.Array, *_: Any, **__: Any) -> jax.Array:
    """`narrow_product` with the signature of `flax.linen.Dense.dot_general`."""
    return narrow_product(inputs, kernel)


class ScaledLinear(nn.Module):
    """Learnable weight scaling: logits ``s * (W f + b)`` with a scale s for each class, initially 1.

    B. Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020
    (https://arxiv.org/abs/1910.09217), section 4.2. The bias is scaled as well, as in the code of MiSLAS (Z. Zhong et
    al., CVPR 2021).

    Attributes:
      num_classes: c, the number of logits.
      compute: convolution back-ends and dtype.
    """

    num_classes: int
    compute: ComputeConfig = ComputeConfig()

    def setup(self) -> None:
        """Makes the classifier and its scales."""
        draw, dtype = nn.initializers.glorot_normal(), self.compute.dtype
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
    """`ScaledLinear` on the features of a frozen network, which are computed anew in each step.

    The network gets no gradient. Its batch norm uses its running statistics or, with shifted batch norm (MiSLAS, Z.
    Zhong et al., CVPR 2021), those of each batch, and updates the running ones.

    Attributes:
      network: with a method `features`.
      shift: whether to use shifted batch norm.
    """

    network: nn.Module | None = None
    shift: bool = False

    def features(self, inputs: jax.Array, mode: Mode = EVAL) -> jax.Array:
        """``[b, f]``: features of the network for inputs ``[b, ...]``."""
        return jax.lax.stop_gradient(self.network.features(inputs, mode if self.shift else EVAL))
