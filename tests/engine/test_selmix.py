"""Selective mixup: the slope of mean recall, by hand and against derivatives; what is drawn, and when."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.data.checks import make_dataset
from jaxgen.engine.batch import ClassTerms
from jaxgen.engine.ensemble import Ensemble
from jaxgen.engine.members import Block
from jaxgen.experiments.longtail.balance import Balance, ValidationSet
from jaxgen.experiments.longtail.class_order import group_by_class
from jaxgen.experiments.longtail.selmix import SELMIX, draw_pairs
from jaxgen.jobs.program import make_ensemble_config, make_kernels, make_subset_member, subset_rows
from jaxgen.training.losses import cross_entropy
from jaxgen.transforms import selmix
from support.data import blobs
from support.ensembles import job, program_of

KEY = jax.random.key(5)
RNG = np.random.default_rng(0)
C, F = 4, 6
MEANS, KERNEL, BIAS = (jnp.asarray(RNG.normal(size=shape), jnp.float32) for shape in ((C, F), (F, C), (C,)))


def test_two_classes_by_hand():
    # Of class 0 three of four are right, of class 1 one of two.
    labels, predictions = jnp.array([0, 0, 0, 0, 1, 1]), jnp.array([0, 0, 0, 1, 1, 0])
    confusion = selmix.confusion_shares(labels, predictions, 2)
    np.testing.assert_allclose(confusion, [[3 / 8, 1 / 8], [1 / 4, 1 / 4]])
    slopes = selmix.recall_slopes(confusion)
    # 3/8 (1 - 3/4) and -3/8 1/4; 1/4 (1 - 1/2) and -1/4 1/2.
    np.testing.assert_allclose(slopes, [[3 / 32, -3 / 32], [-1 / 8, 1 / 8]])
    # Features (1, 0) and (0, 1), a classifier that knows nothing: each mixture is of both classes with 1/2.
    gains = selmix.mixing_gains(slopes, jnp.eye(2), jnp.zeros((2, 2)), jnp.zeros(2))
    # m_00 = (1, 0) moves (k = 0) its logits by (1/2, -1/2): 3/32. m_01 = (0.8, 0.2): 0.8 of that; 0.2 of -1/8.
    np.testing.assert_allclose(gains, [[3 / 32, 0.8 * 3 / 32 - 0.2 / 8], [0.8 / 8 - 0.2 * 3 / 32, 1 / 8]], rtol=1e-6)
    some = selmix.pair_logits(jnp.array([[0.1, -0.2], [0.0, 0.3]]))
    # Half as much again is for all pairs alike: an eighth for each of four.
    chances = (np.exp([1, -np.inf, -np.inf, 3]) / np.exp([1, 3]).sum() + 1 / 8) / 1.5
    np.testing.assert_allclose(np.exp(some.reshape(-1)), chances, rtol=1e-6)


def test_a_gain_is_the_slope_of_mean_recall_along_a_gradient_step():
    confusion = jax.nn.softmax(jnp.asarray(RNG.normal(size=(C, C)), jnp.float32)) / C
    gains = selmix.mixing_gains(selmix.recall_slopes(confusion), MEANS, KERNEL, BIAS)

    def recall(logits):
        return jnp.mean(jnp.diagonal(jax.nn.softmax(logits)))

    for i in range(C):
        for j in range(C):
            mixture = 0.8 * MEANS[i] + 0.2 * MEANS[j]

            def loss(kernel, mixture=mixture, i=i):
                return cross_entropy((mixture @ kernel + BIAS)[None], jnp.array([i]))[0]

            step = -jax.grad(loss)(KERNEL)
            moved = lambda size, step=step: recall(jnp.log(confusion * C) + size * MEANS @ step)  # noqa: E731
            _, slope = jax.jvp(moved, (0.0,), (1.0,))
            assert float(gains[i, j]) == pytest.approx(float(slope), rel=1e-4, abs=1e-6)


def test_classes_of_other_sizes_count_alike_and_a_perfect_classifier_has_nothing_to_gain():
    labels, predictions = jnp.asarray(RNG.integers(0, C, 60)), jnp.asarray(RNG.integers(0, C, 60))
    confusion = selmix.confusion_shares(labels, predictions, C)
    copies = jnp.where(labels == 0, 3, 1)
    more = selmix.confusion_shares(jnp.repeat(labels, copies), jnp.repeat(predictions, copies), C)
    np.testing.assert_allclose(more, confusion, rtol=1e-6)
    np.testing.assert_allclose(confusion.sum(1), 1 / C, rtol=1e-6)
    assert not selmix.recall_slopes(jnp.eye(C) / C).any()
    np.testing.assert_allclose(np.exp(selmix.pair_logits(jnp.zeros((C, C)))), C**-2.0, rtol=1e-6)
    assert np.isfinite(selmix.confusion_shares(jnp.zeros(3, int), jnp.zeros(3, int), C)).all()


def test_pairs_are_drawn_as_often_as_they_are_weighed():
    labels = jnp.asarray(np.repeat([0, 1, 2], [30, 8, 2]))
    groups = group_by_class(labels, jnp.ones(40, bool), 3)
    logits = jnp.log(jnp.array([[0.0, 0.5, 0.0], [0.0, 0.0, 0.2], [0.3, 0.0, 0.0]]))
    pairs = draw_pairs(KEY, logits, groups, 6000)
    first, second = labels[pairs.first], labels[pairs.second]
    drawn = np.zeros((3, 3))
    np.add.at(drawn, (np.asarray(first), np.asarray(second)), 1 / 6000)
    np.testing.assert_allclose(drawn, np.exp(logits), atol=0.03)
    assert not drawn[np.exp(logits) == 0].any()
    # Every example of a class as often as the others.
    seen = np.bincount(pairs.first[first == 0], minlength=30)[:30]
    assert np.abs(seen - seen.mean()).max() < 5 * np.sqrt(seen.mean())
    assert 0.6 <= pairs.shares.min() < 0.61
    assert 0.99 < pairs.shares.max() <= 1


@pytest.fixture(scope="module")
def skewed():
    images, labels = blobs(90)
    kept = np.flatnonzero((labels == 0) | (np.arange(90) < 30))
    return make_dataset("skewed", images[kept], labels[kept], source="skewed", class_names=["a", "b", "c"])


def guided(program, row, train):
    """A member on all examples, guided by others."""
    member_config = make_subset_member(program, row, train)
    images, labels = blobs(30, seed=1)
    validation = ValidationSet(jnp.asarray(images.reshape(30, -1) / 255, jnp.float32), jnp.asarray(labels, jnp.int32))
    terms = ClassTerms(jnp.zeros(3), jnp.ones(3), jnp.zeros(3))
    groups = group_by_class(train.labels, member_config.trained_on, 3)
    return member_config._replace(extra=Balance(groups, False, terms, validation))


@pytest.mark.slow
def test_pairs_are_weighed_every_fifty_steps_and_a_member_is_itself_in_any_company(skewed):
    # 7 steps an epoch: pairs are weighed anew before step 50, in epoch 7, and before step 100, in epoch 14.
    program = program_of(job(model="scaled_linear", epochs=16, batch_size=7, learning_rate=0.1))
    program = program._replace(make_member=guided, sampler=SELMIX)
    ensemble = Ensemble(make_ensemble_config(skewed, program, make_kernels(program)), skewed, jax.devices()[:1])
    size, steps = round(0.9 * len(skewed.labels)), 7
    assert -(-size // 7) == steps
    rows = subset_rows(program, 0.9, len(skewed.labels), np.arange(3))
    ensemble.prepare(rows, 3)
    members, progress = ensemble._run("start", 3, ensemble._placed(rows, np.arange(3)), ensemble.data)
    weighed = [np.asarray(progress.sampler)]
    for _ in range(16):
        block = ensemble.traced(Block(1, 0, steps, 1))
        progress = ensemble._run("advance", 3, members, progress, ensemble.data, block)
        weighed.append(np.asarray(progress.sampler))
    changed = [epoch for epoch in range(16) if (weighed[epoch] != weighed[epoch + 1]).any()]
    assert changed == [7, 14]
    together = ensemble.train(rows, 3, size, 1000)
    for run in range(3):
        alone = ensemble.train(subset_rows(program, 0.9, len(skewed.labels), np.array([run])), 1, size, 3)
        np.testing.assert_allclose(alone.loss_curve[0], together.loss_curve[run], rtol=1e-4)
    assert (together.loss_curve[0] != together.loss_curve[1]).any()


@pytest.mark.parametrize("size", [0.1, 1.0, 100.0])
def test_no_pair_is_ever_left_out(size):
    chances = np.exp(selmix.pair_logits(size * jnp.asarray(RNG.normal(size=(10, 10)), jnp.float32)))
    assert chances.min() >= 10**-3 / 1.1 * (1 - 1e-5)
    assert chances.sum() == pytest.approx(1, rel=1e-5)
