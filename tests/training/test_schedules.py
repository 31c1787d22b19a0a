"""Every schedule by hand, and against optax's where it has one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.training.schedules import epochs_before, make_schedule, warm_up

NAMES = ("constant", "step", "exponential", "cosine", "linear", "triangle")
STEPS = 7


def factors(name, progress, epochs=10, milestones=(), length=0.0, **hparams):
    """The factors at each `progress` for steps of a `length`, 0 in the limit, by one member's hyperparameters."""
    hparams = {"warmup_epochs": 0.0, "decay_rate": 0.1, "final_rate": 0.0, **hparams}
    schedule = make_schedule(name, epochs=epochs, milestones=milestones)
    return np.asarray(jax.vmap(schedule, (0, None, None))(jnp.asarray(progress, jnp.float32), length, hparams))


def progress_of(count):
    """Epochs finished when steps 0, 1, ... are done, `STEPS` an epoch, as float32 has them."""
    steps = np.arange(count)
    return np.float32(steps // STEPS) + np.float32(steps % STEPS + 1) / np.float32(STEPS)


def test_constant_is_one():
    np.testing.assert_array_equal(factors("constant", [0.1, 5, 10]), 1)


def test_step_keeps_the_old_rate_in_the_step_that_ends_at_the_milestone():
    np.testing.assert_allclose(
        factors("step", [1, 3, 3.01, 4.5, 4.51, 10], milestones=(3.0, 4.5), decay_rate=0.5),
        [1, 1, 0.5, 0.5, 0.25, 0.25],
    )
    np.testing.assert_array_equal(factors("step", [1, 10], milestones=()), 1)


def test_exponential_changes_once_an_epoch():
    np.testing.assert_allclose(
        factors("exponential", [0.2, 1, 1.2, 2, 2.5, 10], decay_rate=0.5), [1, 1, 0.5, 0.5, 0.25, 0.5**9]
    )


def test_cosine_by_hand():
    np.testing.assert_allclose(
        factors("cosine", [2.5, 5, 7.5, 10], final_rate=0.2),
        [0.6 + 0.4 * np.sqrt(0.5), 0.6, 0.6 - 0.4 * np.sqrt(0.5), 0.2],
        rtol=1e-6,
    )


def test_linear_by_hand():
    np.testing.assert_allclose(factors("linear", [2.5, 5, 10], final_rate=0.2), [0.8, 0.6, 0.2], rtol=1e-6)


def test_triangle_rises_over_fifteen_percent_or_the_warm_up():
    np.testing.assert_allclose(
        factors("triangle", [0.75, 1.5, 5.75, 10], final_rate=0.5), [0.5, 1, 0.5, 0], rtol=1e-6, atol=1e-7
    )
    np.testing.assert_allclose(factors("triangle", [2, 4, 7, 10], warmup_epochs=4.0), [0.5, 1, 0.5, 0], rtol=1e-6)


def test_a_warm_up_rises_linearly_and_decay_starts_after_it():
    np.testing.assert_allclose(factors("constant", [0.5, 1, 2, 3], warmup_epochs=2.0), [0.25, 0.5, 1, 1])
    for name, half_way in (("linear", 0.5), ("cosine", 0.5)):
        np.testing.assert_allclose(factors(name, [1, 2, 6, 10], warmup_epochs=2.0), [0.5, 1, half_way, 0], atol=1e-7)
    np.testing.assert_allclose(
        factors("step", [1, 2, 4], warmup_epochs=4.0, milestones=(1.0,), decay_rate=0.5), [0.25, 0.25, 0.5]
    )


@pytest.mark.parametrize("warmup", [10.0, 25.0])
@pytest.mark.parametrize("name", NAMES)
def test_a_warm_up_to_the_end_or_beyond_is_only_a_warm_up(name, warmup):
    progress = np.array([0.1, 5, 10])
    np.testing.assert_allclose(factors(name, progress, warmup_epochs=warmup, decay_rate=1.0), progress / warmup)


def test_no_warm_up_is_one_exactly():
    for progress in (1e-30, 0.1, 1 / 3, 10.0):
        assert warm_up(jnp.float32(progress), jnp.float32(0)) == 1


@pytest.mark.parametrize("final_rate", [0.0, 1e-5, 0.3, 1.0])
@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_the_end_is_the_final_rate_to_the_bit(name, final_rate):
    for warmup in (0.0, 0.3, 2.0):
        assert factors(name, [10], final_rate=final_rate, warmup_epochs=warmup) == np.float32(final_rate)


def test_decays_are_those_of_optax():
    count, length = 10 * STEPS, 1 / STEPS
    cosine = optax.cosine_decay_schedule(1.0, count, alpha=0.1)
    np.testing.assert_allclose(
        factors("cosine", progress_of(count), length=length, final_rate=0.1), cosine(jnp.arange(count)), rtol=1e-5
    )
    linear = optax.linear_schedule(1.0, 0.1, count - 2 * STEPS, transition_begin=2 * STEPS)
    warm = optax.linear_schedule(0.0, 1.0, 2 * STEPS)
    np.testing.assert_allclose(
        factors("linear", progress_of(count), length=length, final_rate=0.1, warmup_epochs=2.0),
        linear(jnp.arange(count)) * warm(jnp.arange(1, count + 1)),
        rtol=1e-5,
    )


@pytest.mark.parametrize("warmup", [0.0, 2.0])
@pytest.mark.parametrize("name", ["cosine", "linear", "triangle"])
def test_no_step_is_in_vain(name, warmup):
    rates = factors(name, progress_of(10 * STEPS), length=1 / STEPS, warmup_epochs=warmup)
    assert (rates > 0).all()
    assert rates.max() == pytest.approx(1, abs=0.05)
    # The step after the last one would be the first without an effect.
    after = factors(name, [10 + 1 / STEPS], length=1 / STEPS, warmup_epochs=warmup)
    np.testing.assert_allclose(after, 0, atol=1e-6)


def test_steps_are_those_of_optax():
    count = 10 * STEPS
    piecewise = optax.piecewise_constant_schedule(1.0, {3 * STEPS: 0.1, 6 * STEPS: 0.1})
    np.testing.assert_allclose(
        factors("step", progress_of(count), milestones=(3.0, 6.0)), piecewise(jnp.arange(count)), rtol=1e-6
    )
    exponential = optax.exponential_decay(1.0, STEPS, 0.95, staircase=True)
    np.testing.assert_allclose(
        factors("exponential", progress_of(count), decay_rate=0.95), exponential(jnp.arange(count)), rtol=1e-6
    )


def test_rounding_of_progress_moves_no_epoch():
    epoch = np.arange(300, dtype=np.float32)[:, None]
    for steps in (1, 3, 49, 391, 1000):
        step = np.arange(1, steps + 1, dtype=np.float32)[None]
        for share in (step / np.float32(steps), step * np.float32(1 / steps)):
            for progress in (epoch + share, np.nextafter(epoch + share, 0), np.nextafter(epoch + share, np.inf)):
                found = np.asarray(epochs_before(jnp.asarray(progress, jnp.float32)))
                np.testing.assert_array_equal(found, np.broadcast_to(epoch, found.shape))


@pytest.mark.parametrize("name", NAMES)
def test_knobs_and_progress_may_differ_over_members_in_one_program(name):
    schedule = make_schedule(name, epochs=10, milestones=(2.0, 7.0))
    traces = []

    @jax.jit
    def mapped(progress, length, hparams):
        traces.append(name)
        return jax.vmap(schedule)(progress, length, hparams)

    for shift in (0.0, 0.5):
        progress, length = jnp.array([0.25, 3.0, 9.0]) + shift, jnp.array([0.1, 0.25, 1.0])
        hparams = {
            "warmup_epochs": jnp.array([0.0, 4.0, 1.0]) + shift,
            "decay_rate": jnp.array([0.5, 0.1, 0.9]),
            "final_rate": jnp.array([0.0, 0.2, 0.01]),
        }
        for i, factor in enumerate(mapped(progress, length, hparams)):
            alone = schedule(progress[i], length[i], {key: values[i] for key, values in hparams.items()})
            np.testing.assert_allclose(factor, alone, rtol=1e-5)
    assert len(traces) == 1


def test_unknown_schedules_name_the_known():
    with pytest.raises(ValueError, match=r"unknown schedule sgdr; known: constant, step, .*triangle"):
        make_schedule("sgdr", epochs=1)
