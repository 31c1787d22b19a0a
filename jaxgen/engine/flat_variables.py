"""Variables of members as one row of numbers each, and back: leaves one after the other, in the order of their tree."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def flatten_variables(variables: Any) -> jax.Array:
    """All leaves ``[m, ...]`` of a tree as rows ``[m, p]``."""
    leaves = jax.tree.leaves(variables)
    return jnp.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def split_variables(row: np.ndarray, like: Any) -> Any:
    """One row ``[p]`` of `flatten_variables` as a tree of views.

    Args:
      row: of p numbers.
      like: the tree of one member: leaves of any kind that have the shapes.

    Raises:
      ValueError: if the leaves of `like` have not p numbers in all.
    """
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([np.prod(leaf.shape, dtype=int) for leaf in leaves])
    if len(row) != ends[-1]:
        raise ValueError(f"a row of {len(row)} numbers, where the variables have {ends[-1]}")
    parts = np.split(row, ends[:-1])
    return jax.tree.unflatten(structure, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])
