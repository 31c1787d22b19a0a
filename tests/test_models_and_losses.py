"""Every registered network, and the losses by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.errors import UserError
from jaxgen.losses import cross_entropy, weighted_mean
from jaxgen.models import MODELS, make_model
from jaxgen.spec import ModelSpec


def parameters(model, shape):
    params = model.init(jax.random.key(0), jnp.zeros((1, *shape)))
    return params, sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (7,)])
def test_every_model_maps_examples_to_logits(name, shape):
    model = make_model(ModelSpec(model=name), 5)
    params, _ = parameters(model, shape)
    logits = model.apply(params, jnp.ones((4, *shape)))
    assert logits.shape == (4, 5)
    np.testing.assert_allclose(logits, jnp.broadcast_to(logits[:1], (4, 5)), rtol=1e-5)


def test_the_mnist_network_has_the_published_size():
    params, count = parameters(make_model(ModelSpec(hidden=(512, 256)), 10), (28, 28, 1))
    assert count == 784 * 512 + 512 + 512 * 256 + 256 + 256 * 10 + 10
    kernel = params["params"]["Dense_0"]["kernel"]
    np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (784 + 512)), rtol=0.02)
    assert not params["params"]["Dense_0"]["bias"].any()


def test_no_hidden_layer_makes_a_linear_classifier():
    assert parameters(make_model(ModelSpec(hidden=()), 3), (4,))[1] == 15


def test_unknown_models_name_the_known():
    with pytest.raises(UserError, match=r"--model=resnet9000: unknown; known: .*mlp"):
        make_model(ModelSpec(model="resnet9000"), 3)


def test_cross_entropy_by_hand():
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([0, 1])), [np.log(2), np.log(10)], rtol=1e-6)


def test_cross_entropy_of_huge_logits_is_finite():
    loss = cross_entropy(jnp.array([[1e30, -1e30]]), jnp.array([1]))
    assert np.isfinite(loss).all()


def test_weighted_mean_leaves_out_what_weighs_nothing():
    assert weighted_mean(jnp.array([1.0, 3.0, jnp.pi]), jnp.array([1.0, 1.0, 0.0])) == 2
    assert weighted_mean(jnp.array([1.0, 3.0]), jnp.zeros(2)) == 0
