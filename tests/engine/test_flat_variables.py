"""Variables as rows of numbers: the order is that of the tree, and rows split back into it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.engine.batch import Variables
from jaxgen.engine.flat_variables import flatten_variables, split_variables

# Of two members: a scale, a kernel of two by three, and a running mean.
TWO = Variables(
    {"scale": jnp.array([[7.0], [70.0]]), "kernel": jnp.arange(12.0).reshape(2, 2, 3)},
    {"norm": {"mean": jnp.array([[8.0, 9.0], [80.0, 90.0]])}},
)


def test_a_row_has_the_leaves_in_the_order_of_their_tree():
    np.testing.assert_array_equal(flatten_variables(TWO)[0], [0, 1, 2, 3, 4, 5, 7, 8, 9])
    np.testing.assert_array_equal(flatten_variables(TWO)[1], [6, 7, 8, 9, 10, 11, 70, 80, 90])


def test_rows_split_back_into_their_members():
    rows = np.asarray(flatten_variables(TWO))
    for i, row in enumerate(rows):
        member = jax.tree.map(lambda leaf, i=i: leaf[i], TWO)
        jax.tree.map(np.testing.assert_array_equal, split_variables(row, member), member)


def test_variables_without_statistics_are_parameters_alone():
    member = Variables({"scale": np.zeros(2)}, {})
    assert split_variables(np.array([1.0, 2.0]), member).params["scale"].tolist() == [1, 2]


@pytest.mark.parametrize("count", [8, 10])
def test_a_row_of_another_length_is_refused(count):
    member = jax.tree.map(lambda leaf: leaf[0], TWO)
    with pytest.raises(ValueError, match=f"a row of {count} numbers, where the variables have 9"):
        split_variables(np.zeros(count), member)
