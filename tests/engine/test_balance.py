"""Classes of unequal size inside training: weights, smoothing, shifted logits, class-aware order, given parameters."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.data.checks import make_dataset
from jaxgen.engine.batch import Batch, ClassTerms, LearnerConfig, Remix, StepIndex
from jaxgen.engine.ensemble import Ensemble
from jaxgen.engine.gradient import prepare
from jaxgen.engine.learner import make_learner
from jaxgen.experiments.longtail.balance import BALANCED, Balance
from jaxgen.experiments.longtail.class_order import group_by_class
from jaxgen.jobs.program import make_ensemble_config, make_kernels, make_subset_member, subset_rows
from jaxgen.models.heads import ScaledLinear
from jaxgen.training.losses import cross_entropy
from jaxgen.training.optimizers import make_optimizer
from jaxgen.training.schedules import make_schedule
from jaxgen.transforms.augment import make_augmentation
from support.data import blobs
from support.ensembles import job, program_of

PLAIN = ClassTerms(jnp.zeros(3), jnp.ones(3), jnp.zeros(3))
KNOBS = {name: jnp.zeros(()) for name in ("momentum", "second_moment", "warmup_epochs", "decay_rate", "final_rate")}
KNOBS |= {"learning_rate": jnp.float32(0.1), "mixup": jnp.float32(1.0)}


@pytest.fixture(scope="module")
def skewed():
    images, labels = blobs(60)
    kept = np.flatnonzero((labels == 0) | (np.arange(60) < 24))
    tests, test_labels = blobs(30, seed=1)
    tests = {"test_images": tests, "test_labels": test_labels}
    return make_dataset("skewed", images[kept], labels[kept], source="skewed", class_names=["a", "b", "c"], **tests)


def balanced(terms, aware, program, row, train):
    """A member on its subset that makes up for classes."""
    member_config = make_subset_member(program, row, train)
    groups = group_by_class(train.labels, member_config.trained_on, 3)
    return member_config._replace(extra=Balance(groups, jnp.asarray(aware), terms))


def train(dataset, make_member=None, **flags):
    program = program_of(job(**flags))
    program = program._replace(make_member=make_member, sampler=BALANCED) if make_member else program
    ensemble = Ensemble(make_ensemble_config(dataset, program, make_kernels(program)), dataset, jax.devices()[:1])
    rows = subset_rows(program, 0.9, len(dataset.labels), np.arange(3))
    return ensemble.train(rows, 3, round(0.9 * len(dataset.labels)), 1000)


def learner(augmentations=frozenset()):
    schedule = make_schedule("constant", epochs=1, milestones=())
    augment = make_augmentation(augmentations) if augmentations else None
    optimize = make_optimizer("sgd", frozenset(), schedule=schedule)
    methods = LearnerConfig(optimize, augment, in_use=frozenset(augmentations))
    return make_learner(ScaledLinear(3), methods, (5,))


def one_step(terms, augmentations=frozenset()):
    rng = np.random.default_rng(0)
    inputs, labels = jnp.asarray(rng.normal(size=(6, 5)), jnp.float32), jnp.array([0, 0, 0, 1, 1, 2])
    batch = Batch(inputs, labels, jnp.array([1.0, 1, 1, 1, 1, 0]), terms)
    own = learner(augmentations)
    state = own.init(jax.random.key(0), KNOBS)
    state, loss, _ = own.step(jax.random.key(0), KNOBS, state, batch, StepIndex(*map(jnp.int32, (0, 0, 1))))
    return batch, state.variables.params, float(loss)


@pytest.mark.slow
def test_terms_of_no_effect_change_nothing(skewed):
    plain = train(skewed)
    same = train(skewed, functools.partial(balanced, PLAIN, False))
    np.testing.assert_allclose(same.loss_curve, plain.loss_curve, rtol=1e-5)
    np.testing.assert_array_equal(same.correct, plain.correct)


@pytest.mark.slow
@pytest.mark.parametrize("mixes", [frozenset(), frozenset({"mixup"})])
def test_a_step_with_terms_of_no_effect_is_a_plain_one(mixes):
    _, params, loss = one_step(PLAIN, mixes)
    _, plain, plain_loss = one_step(None, mixes)
    assert loss == pytest.approx(plain_loss, rel=1e-6)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), params, plain)


def test_a_loss_by_hand():
    terms = ClassTerms(jnp.array([0.3, 0.1, 0.0]), jnp.array([0.5, 2.0, 9.0]), jnp.array([0.4, -0.2, -1.0]))
    batch, _, loss = one_step(terms)
    params = learner().init(jax.random.key(0), KNOBS).variables.params
    logits = np.asarray(batch.inputs @ params["head"]["kernel"]) + np.array([0.4, -0.2, -1.0])
    logs = np.asarray(jax.nn.log_softmax(logits))
    own, smoothing, weight = logs[np.arange(6), batch.labels], np.array([0.3] * 3 + [0.1] * 2), [0.5] * 3 + [2.0] * 2
    losses = -(1 - smoothing) * own[:5] - smoothing * logs[:5].mean(1)
    assert loss == pytest.approx((losses * weight).sum() / np.sum(weight), rel=1e-5)


@pytest.mark.slow
def test_labels_of_mixtures_go_to_the_small_class_and_inputs_stay_mixed():
    inputs, labels = jnp.eye(6), jnp.array([0, 1, 0, 1, 0, 1])
    augment = make_augmentation(frozenset({"mixup"}))
    methods = LearnerConfig(lambda key, hparams: None, augment, frozenset({"mixup"}))
    moment = StepIndex(*map(jnp.int32, (0, 0, 1)))
    kinds = set()
    for seed in range(12):
        batch = Batch(inputs, labels, jnp.ones(6))
        found = [
            prepare(methods, jax.random.key(seed), KNOBS, batch._replace(remix=remix), moment)
            for remix in (None, Remix(jnp.array([90.0, 10.0]), jnp.inf), Remix(jnp.array([90.0, 10.0]), jnp.float32(3)))
        ]
        (plain_inputs, plain), (_, unbounded), (mixed_inputs, mixed) = found
        np.testing.assert_array_equal(plain_inputs, mixed_inputs)
        np.testing.assert_array_equal(plain.shares, unbounded.shares)
        share = float(plain.shares[0])
        for own, partner, kept in zip(mixed.labels, mixed.partners, mixed.shares, strict=True):
            # The rare class's label is whole where it has more than half of the input.
            whole = {(0, 1): 0 if share < 0.5 else share, (1, 0): 1 if share > 0.5 else share}
            assert float(kept) == pytest.approx(whole.get((int(own), int(partner)), share))
            kinds.add((int(own), int(partner), share > 0.5))
    assert len(kinds) == 8


def test_class_aware_members_see_other_batches_and_learn_small_classes_better(skewed):
    counts = np.bincount(skewed.labels)
    assert counts.tolist() == [20, 8, 7]
    usual = train(skewed, functools.partial(balanced, PLAIN, False), epochs=1)
    aware = train(skewed, functools.partial(balanced, PLAIN, True), epochs=1)
    assert (usual.loss_curve != aware.loss_curve).any()

    def share_right(outcome):
        return np.unpackbits(outcome.test_correct, axis=1)[:, :30][:, skewed.test_labels > 0].mean()

    assert share_right(aware) > share_right(usual)


def test_members_may_begin_with_given_parameters():
    own = learner()
    drawn = own.init(jax.random.key(0), KNOBS)
    given = jax.tree.map(lambda leaf: leaf + 1, drawn.variables.params)
    state = own.init(jax.random.key(0), KNOBS, given)
    jax.tree.map(np.testing.assert_array_equal, state.variables.params, given)
    assert (drawn.variables.params["scale"] == 1).all()


def test_a_scaled_head_is_its_logits_times_its_scale():
    head, inputs = ScaledLinear(3), jnp.ones((2, 5))
    params = head.init(jax.random.key(0), inputs)["params"]
    plain = head.apply({"params": params}, inputs)
    scaled = head.apply({"params": {**params, "scale": jnp.array([2.0, 1.0, 0.0])}}, inputs)
    np.testing.assert_allclose(scaled, plain * jnp.array([[2.0, 1.0, 0.0]]))
    labels = jnp.array([0, 1])
    assert np.isfinite(cross_entropy(scaled, labels)).all()
