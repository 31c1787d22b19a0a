"""A classifier on features that another network has found."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgen.models.layers import EXAMINE, How


class ScaledLinear(nn.Module):
    """Logits ``s * (W f + b)``, s one number a class that begins at 1: learnable weight scaling.

    B. Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020
    (https://arxiv.org/abs/1910.09217), section 4.2, and Z. Zhong et al., CVPR 2021 (MiSLAS), in whose code the bias is
    scaled too.

    Attributes:
      num_classes: c, the number of logits.
    """

    num_classes: int

    @nn.compact
    def __call__(self, inputs: jax.Array, how: How = EXAMINE) -> jax.Array:
        """Maps features ``[b, f]`` to logits ``[b, c]``."""
        logits = nn.Dense(self.num_classes, kernel_init=nn.initializers.glorot_normal(), name="head")(inputs)
        scale = self.param("scale", nn.initializers.ones, (self.num_classes,))
        return logits * scale[None].astype(jnp.float32)
