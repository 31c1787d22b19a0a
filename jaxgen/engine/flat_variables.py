"""Flattens the variables of members to rows, leaf after leaf in tree order, and back."""

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
      like: tree of one member, with leaves of these shapes.

    Raises:
      ValueError: if the leaves of `like` have not p numbers in all.
    """
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([np.prod(leaf.shape, dtype=int) for leaf in leaves])
    if len(row) != ends[-1]:
        raise ValueError(f"a row of {len(row)} numbers, where the variables have {ends[-1]}")
    parts = np.split(row, ends[:-1])
    return jax.tree.unflatten(structure, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])
