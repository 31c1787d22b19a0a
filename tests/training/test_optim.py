"""The optimizer's links by hand, its kinds against optax's own, and what happens around a step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.training.optimizers import OPTIONAL_HPARAMS, RULES, ascend, average, limit_norms, make_optimizer
from jaxgen.training.schedules import make_schedule

PARAMS = {"w": jnp.array([3.0, -4.0, 0.0])}
GRADS = {"w": jnp.array([0.6, 0.8, 0.0])}
EPOCHS = 5
CONSTANT = make_schedule("constant", epochs=EPOCHS)


def hparams(**strengths):
    """One member's knobs: float32 scalars."""
    plain = {"learning_rate": 0.5, "momentum": 0.0, "second_moment": 0.9, "warmup_epochs": 0.0, "final_rate": 0.0}
    chosen = plain | dict.fromkeys(OPTIONAL_HPARAMS, 0.0) | strengths
    return {name: jnp.asarray(value, jnp.float32) for name, value in chosen.items()}


def update(links, key=0, steps=1, kind="sgd", schedule=CONSTANT, **strengths):
    """The parameters' change in the last of `steps` equal steps, each an epoch."""
    optimizer = make_optimizer(kind, frozenset(links), schedule=schedule)(jax.random.key(key), hparams(**strengths))
    state = optimizer.init(PARAMS)
    for step in range(steps):
        updates, state = optimizer.update(GRADS, state, PARAMS, progress=jnp.float32(step + 1), length=1.0)
    return updates["w"]


def random_trees(count):
    rng = np.random.default_rng(0)
    shapes = {"dense": {"kernel": (3, 4), "bias": (4,)}}
    draw = lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    is_shape = lambda node: isinstance(node, tuple)  # noqa: E731
    return [jax.tree.map(draw, shapes, is_leaf=is_shape) for _ in range(count)]


def train(optimizer):
    """Random parameters after a step, an epoch each, down each of five random gradients."""
    params, *gradients = random_trees(1 + EPOCHS)

    def step(carry, inputs):
        (params, state), (grads, progress) = carry, inputs
        updates, state = optimizer.update(grads, state, params, progress=progress, length=1.0)
        return (optax.apply_updates(params, updates), state), None

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *gradients)
    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), (stacked, jnp.arange(1.0, EPOCHS + 1)))
    return params


def assert_trees(found, expected, **tolerance):
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, **tolerance), found, expected)


def assert_same(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_sgd_goes_down_the_gradient():
    np.testing.assert_allclose(update([]), [-0.3, -0.4, 0])


def test_momentum_adds_up():
    np.testing.assert_allclose(update([], steps=3, momentum=0.5), -0.5 * 1.75 * GRADS["w"])


def test_nesterov_looks_one_step_ahead():
    np.testing.assert_allclose(update([], steps=3, kind="nesterov", momentum=0.5), -0.5 * 1.875 * GRADS["w"])


def test_adam_starts_with_the_sign():
    for kind in ("adam", "adamw"):
        np.testing.assert_allclose(update([], kind=kind, momentum=0.9), [-0.5, -0.5, 0], rtol=1e-6)


@pytest.mark.parametrize("second_moment", [0.75, 0.99, 0.999])
def test_rmsprop_divides_by_the_running_root_mean_square_from_the_first_step_on(second_moment):
    for steps in (1, 3):
        found = update([], kind="rmsprop", second_moment=second_moment, steps=steps)
        np.testing.assert_allclose(found, [-0.5, -0.5, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "links", "alias"),
    [
        ("sgd", [], lambda rate, first, second: optax.sgd(rate, first)),
        ("nesterov", [], lambda rate, first, second: optax.sgd(rate, first, nesterov=True)),
        ("adam", [], lambda rate, first, second: optax.adam(rate, first, second)),
        ("adamw", ["weight_decay"], lambda rate, first, second: optax.adamw(rate, first, second, weight_decay=0.1)),
        (
            "rmsprop",
            [],
            lambda rate, first, second: optax.rmsprop(rate, second, momentum=first, bias_correction=True),
        ),
    ],
)
def test_every_kind_is_that_of_optax(kind, links, alias):
    own = hparams(momentum=0.8, second_moment=0.99, weight_decay=0.1)
    optimizer = make_optimizer(kind, frozenset(links), schedule=CONSTANT)(jax.random.key(0), own)
    expected = train(alias(own["learning_rate"], own["momentum"], own["second_moment"]))
    assert_trees(train(optimizer), expected, rtol=1e-5, atol=1e-6)


def test_weight_decay_is_coupled():
    np.testing.assert_allclose(update(["weight_decay"], weight_decay=0.1), [-0.45, -0.2, 0])


def test_decoupled_weight_decay_gathers_no_momentum():
    np.testing.assert_allclose(
        update(["decoupled_weight_decay"], steps=3, momentum=0.5, decoupled_weight_decay=0.1),
        -0.5 * (1.75 * GRADS["w"] + 0.1 * PARAMS["w"]),
        rtol=1e-6,
    )


def test_the_weight_decay_of_adamw_is_decoupled():
    decayed = update(["weight_decay"], kind="adamw", weight_decay=0.1)
    np.testing.assert_allclose(decayed, -0.5 * (jnp.sign(GRADS["w"]) + 0.1 * PARAMS["w"]), rtol=1e-6)
    np.testing.assert_array_equal(decayed, update(["decoupled_weight_decay"], kind="adam", decoupled_weight_decay=0.1))


def test_l1_adds_the_sign():
    np.testing.assert_allclose(update(["l1"], l1=0.1), [-0.35, -0.35, 0])


def test_clipping_keeps_the_direction():
    np.testing.assert_allclose(update(["clip_norm"], clip_norm=0.5), [-0.15, -0.2, 0], rtol=1e-6)
    np.testing.assert_allclose(update(["clip_norm"], clip_norm=2.0), [-0.3, -0.4, 0])


def test_clipping_comes_before_decay():
    np.testing.assert_allclose(
        update(["clip_norm", "weight_decay"], clip_norm=0.5, weight_decay=0.1), [-0.3, 0, 0], atol=1e-7
    )


def test_noise_has_the_stated_deviation_and_a_key_of_its_own():
    noisy = jax.jit(lambda key: update(["gradient_noise"], key=key, gradient_noise=0.2))
    draws = np.stack([noisy(key) for key in range(300)])
    np.testing.assert_allclose(draws.std(0), 0.1, rtol=0.15)
    np.testing.assert_allclose(draws.mean(0), [-0.3, -0.4, 0], atol=0.03)
    np.testing.assert_array_equal(draws[0], noisy(0))


def test_the_schedule_scales_the_step_and_the_decoupled_decay():
    linear = make_schedule("linear", epochs=EPOCHS)
    chosen = {"steps": EPOCHS, "decoupled_weight_decay": 0.1}
    np.testing.assert_allclose(
        update(["decoupled_weight_decay"], schedule=linear, final_rate=0.25, **chosen),
        # Four of five steps have passed before the last one.
        (1 - 0.8 * 0.75) * update(["decoupled_weight_decay"], **chosen),
        rtol=1e-6,
    )


@pytest.mark.parametrize("kind", RULES)
def test_links_of_strength_zero_are_the_identity_to_the_bit(kind):
    plain = update([], kind=kind, steps=EPOCHS, momentum=0.8)
    for links in (*([name] for name in OPTIONAL_HPARAMS), OPTIONAL_HPARAMS):
        np.testing.assert_array_equal(update(links, kind=kind, steps=EPOCHS, momentum=0.8), plain)


@pytest.mark.slow
@pytest.mark.parametrize("kind", RULES)
def test_knobs_may_differ_over_members_in_one_program(kind):
    build = make_optimizer(kind, frozenset(OPTIONAL_HPARAMS), schedule=make_schedule("cosine", epochs=EPOCHS))
    keys, traces = jax.random.split(jax.random.key(1), 3), []
    alone = jax.jit(lambda key, own: train(build(key, own)))

    @jax.jit
    def together(keys, members):
        traces.append(kind)
        return jax.vmap(lambda key, own: train(build(key, own)))(keys, members)

    for scale in (0.0, 0.1):
        strengths = {name: scale * jnp.arange(3) for name in OPTIONAL_HPARAMS}
        rates = {name: jnp.array([0.0, 0.5, 0.9]) for name in ("momentum", "second_moment", "final_rate")}
        members = hparams(learning_rate=[0.1, 0.01, 0.2], warmup_epochs=[0, 2, 9], **strengths, **rates)
        members = {name: jnp.broadcast_to(value, 3) for name, value in members.items()}
        mapped = together(keys, members)
        for i in range(3):
            one = alone(keys[i], {name: values[i] for name, values in members.items()})
            assert_trees(jax.tree.map(lambda leaf, i=i: leaf[i], mapped), one, rtol=1e-4, atol=1e-5)
    assert len(traces) == 1


def test_unknown_kinds_and_links_are_named():
    with pytest.raises(ValueError, match=r"unknown optimizer lion; known: sgd, nesterov, adam, adamw, rmsprop"):
        make_optimizer("lion", frozenset(), schedule=CONSTANT)
    with pytest.raises(ValueError, match="dropconnect"):
        make_optimizer("sgd", frozenset(["dropconnect"]), schedule=CONSTANT)


def test_ascent_goes_the_radius_up_the_gradient():
    twice = jax.tree.map(lambda leaf: 2 * leaf, GRADS)
    np.testing.assert_allclose(ascend(PARAMS, twice, 0.5)["w"], [3.3, -3.6, 0])


def test_ascent_by_nothing_or_up_no_gradient_stays():
    params, grads = random_trees(2)
    assert_same(ascend(params, grads, jnp.float32(0)), params)
    assert_same(ascend(params, jax.tree.map(jnp.zeros_like, params), jnp.float32(0.5)), params)


def test_units_with_large_incoming_weights_are_scaled_down():
    params = {
        "dense": jnp.array([[3.0, 0.3, 0.0], [4.0, 0.4, 0.0]]),
        "convolution": jnp.array([1.0, 7.0, 1.0, 1.0, 7.0, 1.0]).reshape(2, 1, 3, 1),
        "bias": jnp.array([9.0, 9.0, 9.0]),
    }
    limited = limit_norms(params, jnp.float32(2.5))
    np.testing.assert_allclose(limited["dense"], [[1.5, 0.3, 0], [2, 0.4, 0]])
    np.testing.assert_allclose(limited["convolution"], params["convolution"] / 4.0398019, rtol=1e-6)
    np.testing.assert_array_equal(limited["bias"], params["bias"])


def test_a_limit_of_zero_limits_nothing():
    (params,) = random_trees(1)
    assert_same(limit_norms(params, jnp.float32(0)), params)


def test_the_average_warms_up():
    # TensorFlow's own numbers: decay 0.99, a variable that is 0, 5, 10, averaged after 0 and 10,000 steps.
    first = average(jnp.float32(0), jnp.float32(5), 0.99, jnp.int32(0))
    second = average(first, jnp.float32(10), 0.99, jnp.int32(10_000))
    np.testing.assert_allclose([first, second], [4.5, 4.555], rtol=1e-6)


def test_without_decay_the_average_is_the_last():
    averaged, params = random_trees(2)
    assert_same(average(averaged, params, jnp.float32(0), jnp.int32(7)), params)


def test_what_happens_around_a_step_may_differ_over_members():
    params, grads = random_trees(2)

    def around(strength):
        lifted = limit_norms(ascend(params, grads, strength), strength)
        return average(params, lifted, strength, 100)

    strengths = jnp.array([0.0, 0.3, 0.9])
    together = jax.jit(jax.vmap(around))(strengths)
    for i, strength in enumerate(strengths):
        assert_trees(jax.tree.map(lambda leaf, i=i: leaf[i], together), around(strength), rtol=1e-5)
