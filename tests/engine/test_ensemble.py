"""The machine: a run is a function of its row, whoever shares its program, device and call."""

import concurrent.futures
import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.engine.curves import norms
from jaxgen.engine.ensemble import FIRST, Ensemble, next_block
from jaxgen.engine.members import Block, EpochMetrics
from jaxgen.engine.order import permute
from jaxgen.engine.sampling import SHUFFLED
from jaxgen.engine.width import time_step
from jaxgen.errors import OutOfMemory
from jaxgen.jobs.mixed_versions import MIXING, MixedVersion
from jaxgen.jobs.program import make_ensemble_config, make_kernels
from jaxgen.models import make_model
from jaxgen.scores import designs
from jaxgen.training.losses import cross_entropy
from support.ensembles import assert_same, cells_of, job, make, make_anew, program_of, train

ALL_LINKS = {"clip_norm": 1.0, "weight_decay": 1e-3, "l1": 1e-4, "gradient_noise": 0.01}


@pytest.mark.parametrize("links", [{}, ALL_LINKS], ids=["sgd", "all links"])
def test_a_member_in_a_batch_is_the_member_alone(dataset, links):
    spec = job(**links)
    together = train(dataset, spec, list(range(8)), width=4)
    alone = train(dataset, spec, list(range(8)), width=1, num_devices=1)
    assert_same(together, alone, exactly=False)


def test_place_and_company_change_nothing(dataset):
    spec = job()
    ensemble = make(dataset, spec)
    straight = train(dataset, spec, list(range(8)), ensemble=ensemble)
    order = [5, 0, 7, 2, 1, 6, 3, 4]
    shuffled = train(dataset, spec, order, ensemble=ensemble)
    assert_same(jax.tree.map(lambda field: field[order], straight), shuffled, exactly=True)
    few = train(dataset, spec, [2, 3, 4], ensemble=ensemble)
    assert_same(jax.tree.map(lambda field: field[2:5], straight), few, exactly=True)


def test_the_number_of_devices_changes_nothing(dataset):
    spec = job()
    one = train(dataset, spec, list(range(8)), num_devices=1)
    two = train(dataset, spec, list(range(8)), num_devices=2)
    assert_same(one, two, exactly=True)


@pytest.mark.parametrize("steps_per_call", [1, 3, 7, 14])
def test_the_calls_in_which_it_is_trained_change_nothing(dataset, steps_per_call):
    spec = job(gradient_noise=0.01)
    ensemble = make(dataset, spec)
    whole = train(dataset, spec, list(range(4)), ensemble=ensemble)
    pieces = train(dataset, spec, list(range(4)), ensemble=ensemble, steps_per_call=steps_per_call)
    assert_same(whole, pieces, exactly=True)


@pytest.mark.parametrize("steps_per_call", range(1, 20))
def test_blocks_cover_a_training_once_and_in_order(steps_per_call):
    visited, epoch, step = [], 0, 0
    while epoch < 3:
        block = next_block(step, 5, steps_per_call, 3 - epoch)
        for _ in range(block.num_epochs):
            visited += [(epoch, step) for step in range(block.first_step, block.last_step)]
            epoch += block.ends_epoch
        step = 0 if block.ends_epoch else block.last_step
    assert visited == [(epoch, step) for epoch in range(3) for step in range(5)]


def test_one_program_serves_every_ratio(dataset):
    spec = job()
    ensemble = make_anew(dataset, spec, 2)
    for ratio in (0.3, 0.9):
        train(dataset, spec, [0, 1, 2], ratio=ratio, ensemble=ensemble)
    assert sorted(ensemble.compiled) == [("advance", 4), ("finish", 4), ("start", 4)]


def test_members_are_trained_before_all_is_compiled(dataset, monkeypatch):
    ensemble, asked = make_anew(dataset, job(), 2), []
    compile_, run = Ensemble.compile, Ensemble._run
    monkeypatch.setattr(Ensemble, "compile", lambda *args: asked.append(tuple(args[3])) or compile_(*args))
    monkeypatch.setattr(Ensemble, "_run", lambda *args: asked.append(args[1]) or run(*args))
    train(dataset, job(), [0, 1], ensemble=ensemble)
    assert asked[:4] == [FIRST, "start", "advance", ensemble.programs]
    assert asked[-1] == "finish"


def test_what_has_no_room_is_told_before_it_runs(dataset):
    ensemble = make_anew(dataset, job(), 2)
    ensemble.prepare(cells_of(dataset, job())["ratio_0.9"].rows(np.arange(1)), 4)
    ensemble.room = ensemble.needed_bytes(4)
    train(dataset, job(), [0, 1], ensemble=ensemble)
    ensemble.fitting.clear()
    ensemble.room -= 1
    with pytest.raises(OutOfMemory):
        train(dataset, job(), [0, 1], ensemble=ensemble)


class KeptInTheEnd:
    """A checkpoint that is taken when all members are done."""

    state = None

    def restore(self, like):
        return self.state

    def offer(self, state):
        host, train_state = state()
        if np.asarray(train_state.done).all() and not self.state:
            self.state = host, jax.tree.map(lambda leaf: leaf.copy(), train_state)
            raise KeyboardInterrupt


def test_a_training_that_was_stopped_at_its_end_is_taken_up_there(dataset):
    run_group, kept = cells_of(dataset, job())["ratio_0.9"], KeptInTheEnd()
    undisturbed = train(dataset, job(), list(range(8)))
    with pytest.raises(KeyboardInterrupt):
        make(dataset, job()).train(run_group.rows(np.arange(8)), 4, run_group.max_size, 1000, checkpoint=kept)
    ensemble = make_anew(dataset, job(), 2)
    found = ensemble.train(run_group.rows(np.arange(8)), 4, run_group.max_size, 1000, checkpoint=kept)
    assert_same(found, undisturbed, exactly=True)


def test_what_fails_to_compile_beside_the_training_ends_it_at_once_and_is_tried_once(dataset):
    spec = job(epochs=20)
    run_group, ensemble, tried, worked = cells_of(dataset, spec)["ratio_0.9"], make_anew(dataset, spec, 2), [], []

    class Failing:
        def lower(self, *arguments):
            return self

        def compile(self):
            tried.append(1)
            raise ValueError("no such kernel")

    ensemble.jitted["finish"] = Failing()
    with pytest.raises(ValueError, match="no such kernel"):
        ensemble.train(run_group.rows(np.arange(8)), 4, run_group.max_size, 1, worked.append)
    assert len(tried) == 1
    assert sum(worked) < 4, "of eight trainings"


def test_a_program_that_did_not_compile_is_tried_again(dataset):
    ensemble = make_anew(dataset, job(), 2)
    failed = concurrent.futures.Future()
    failed.set_exception(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"))
    ensemble.compiled["advance", 4] = failed
    assert ensemble.needed_bytes(4) == 0
    assert train(dataset, job(), [0, 1], ensemble=ensemble).finite.all()


def test_waiting_for_what_is_compiled_is_told_by_the_clock(dataset):
    # Each look at the clock finds it a second further on.
    ticks = itertools.count()
    ensemble = make_anew(dataset, job(), 2, lambda: next(ticks))
    train(dataset, job(), [0, 1], ensemble=ensemble)
    waited = ensemble.waited
    assert 1 <= waited <= 3, "for each of the programs once at most"
    train(dataset, job(), [0, 1], ensemble=ensemble)
    assert ensemble.waited == waited


def test_timing_a_width_compiles_the_training_program_only(dataset):
    spec = job()
    ensemble = make_anew(dataset, spec, 2)
    # Each look at the clock finds it further on than the one before did.
    ticks = iter(np.cumsum(np.arange(0.0, 100.0, 0.2)))
    rows = cells_of(dataset, spec)["ratio_0.9"].rows(np.arange(1))
    assert time_step(ensemble, rows, 2, 54, clock=lambda: next(ticks)) > 0
    assert list(ensemble.compiled) == [("advance", 2)]


@pytest.mark.parametrize(("order", "step"), [(0.0, 0.02), (0.3, 0.004), (1.0, 1e-5)])
def test_an_epochs_order_is_not_taken_for_a_step(dataset, monkeypatch, order, step):
    """Each step bears its part of the order, however long that takes beside it."""
    ensemble, now = make_anew(dataset, job(), 2), [0.0]

    def advance(members, train_state, data, block):
        now[0] += float(block.num_epochs) * (order + step * float(block.last_step))
        return train_state

    monkeypatch.setattr(ensemble, "prepare", lambda rows, width, names: [advance])
    rows = cells_of(dataset, job())["ratio_0.9"].rows(np.arange(1))
    steps_each = -(-54 // ensemble.config.batch_size)
    found = time_step(ensemble, rows, 2, 54, clock=lambda: now[0])
    assert found == pytest.approx((step + order / steps_each) / 2, rel=1e-6)
    assert now[0] < 30


def reference(dataset, spec, index, ratio):
    """Run `index` by a plain loop: Flax and optax as a user would write them, with the engine's draws."""
    root, train_spec = jax.random.key(spec.seed), spec.train
    row = jax.tree.map(lambda field: field[0], cells_of(dataset, spec)[f"ratio_{ratio:g}"].rows(np.array([index])))
    own = np.flatnonzero(designs.draw_subset(root, row.subset, len(dataset.labels)))
    key = designs.run_key(root, row.subset)
    model = make_model(spec.model, dataset.num_classes, dataset.images.shape[1:])
    params = model.init(jax.random.fold_in(key, 1), jnp.zeros((1, *dataset.images.shape[1:])))
    optimizer = optax.chain(
        optax.add_decayed_weights(spec.regularization.weight_decay),
        optax.sgd(train_spec.learning_rate, train_spec.momentum),
    )
    state, losses = optimizer.init(params), []
    inputs = dataset.images.astype(np.float32) * np.float32(dataset.scale)

    def loss(params, batch):
        return cross_entropy(model.apply(params, inputs[batch]), dataset.labels[batch]).mean()

    for epoch in range(train_spec.epochs):
        order_key = jax.random.fold_in(jax.random.fold_in(key, 2), epoch)
        order = own[np.asarray(permute(order_key, jnp.arange(len(own)), jnp.int32(len(own))))]
        batches = [order[at : at + train_spec.batch_size] for at in range(0, len(order), train_spec.batch_size)]
        epoch_losses = []
        for batch in batches:
            value, grads = jax.value_and_grad(loss)(params, batch)
            updates, state = optimizer.update(grads, state, params)
            params = optax.apply_updates(params, updates)
            epoch_losses.append(float(value))
        losses.append(np.mean(epoch_losses))
    correct = np.argmax(model.apply(params, inputs), axis=-1) == dataset.labels
    return own, losses, correct


@pytest.mark.parametrize(("index", "ratio"), [pytest.param(0, 0.3, marks=pytest.mark.slow), (3, 0.9)])
def test_a_member_is_what_a_plain_loop_makes_of_it(dataset, index, ratio):
    spec = job(weight_decay=1e-3)
    outcome = train(dataset, spec, [index], ratio=ratio)
    own, losses, correct = reference(dataset, spec, index, ratio)
    count = len(dataset.labels)
    np.testing.assert_array_equal(np.flatnonzero(np.unpackbits(outcome.trained_on[0], count=count)), own)
    np.testing.assert_allclose(outcome.loss_curve[0], losses, rtol=1e-4)
    assert (np.unpackbits(outcome.correct[0], count=count) != correct).sum() <= 1


@pytest.mark.slow
def test_a_member_with_fewer_steps_rests_while_others_go_on(dataset):
    """Balanced subsets differ by an example; at a batch boundary one member has a step less an epoch."""
    cut = dataclasses.replace(dataset, images=dataset.images[:55], labels=dataset.labels[:55])
    assert designs.subset_sizes("balanced", 0.3, 55) == (15, 18)
    spec = job(batch_size=16, subset_ratios=(0.3,))
    together = train(cut, spec, list(range(8)), ratio=0.3, width=8, num_devices=1)
    steps = -(-np.unpackbits(together.trained_on, axis=1, count=55).sum(1) // 16)
    assert len(set(steps)) == 2, "the test needs both kinds"
    for i in (steps.argmin(), steps.argmax()):
        _, losses, _ = reference(cut, spec, i, 0.3)
        np.testing.assert_allclose(together.loss_curve[i], losses, rtol=1e-4)


def test_divergence_is_flagged_and_raises_nothing(dataset):
    outcome = train(dataset, job(learning_rate=1e6), list(range(4)))
    assert not outcome.finite.any()
    calm = train(dataset, job(), list(range(4)))
    assert calm.finite.all()


def test_a_test_set_is_examined_and_none_is_no_trouble(dataset):
    with_test = train(dataset, job(), [0, 1])
    without = dataclasses.replace(dataset, test_images=None, test_labels=None)
    alone = train(without, job(), [0, 1])
    assert with_test.test_correct.shape == (2, 4)
    assert np.unpackbits(with_test.test_correct, axis=1, count=30).mean() > 0.5
    assert alone.test_correct.shape == (2, 0)
    np.testing.assert_array_equal(with_test.correct, alone.correct)


def test_a_data_set_larger_than_one_examination_is_examined_whole(dataset):
    whole = train(dataset, job(), [0, 1])
    ensemble = make(dataset, job())
    pieces = train(dataset, job(), [0, 1], ensemble=ensemble.with_config(ensemble.config._replace(eval_batch_size=7)))
    np.testing.assert_array_equal(whole.correct, pieces.correct)
    np.testing.assert_array_equal(whole.test_correct, pieces.test_correct)


def test_state_is_donated(dataset):
    spec = job()
    ensemble = make(dataset, spec)
    rows = cells_of(dataset, spec)["ratio_0.9"].rows(np.arange(4))
    start, advance, _ = ensemble.prepare(rows, 2)
    members, train_state = start(ensemble._placed(rows, np.arange(4)), ensemble.data)
    after = advance(members, train_state, ensemble.data, ensemble.traced(Block(1, 0, 2, 0)))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(train_state.learner.variables))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(after))


def test_a_setting_of_zeros_among_others_is_the_plain_one(dataset):
    """A link that is compiled in but has strength 0 for a member leaves it as it was; two programs may round apart."""
    swept = job(**{name: (0.0, value) for name, value in ALL_LINKS.items()})
    num_settings = len(program_of(swept).settings)
    assert num_settings == 16
    first = train(dataset, job(), list(range(4)))
    second = train(dataset, swept, [run * num_settings for run in range(4)])
    assert_same(first, second, exactly=False)


@pytest.mark.slow
def test_a_setting_among_others_is_the_setting_alone(dataset):
    swept = job(learning_rate=(0.05, 0.1), momentum=(0.5, 0.9))
    together = train(dataset, swept, list(range(8)), width=4)
    for number, (rate, momentum) in enumerate([(0.05, 0.5), (0.05, 0.9), (0.1, 0.5), (0.1, 0.9)]):
        alone = train(dataset, job(learning_rate=rate, momentum=momentum), [0, 1])
        assert_same(jax.tree.map(lambda field, at=number: field[at::4], together), alone, exactly=False)


def test_the_compiler_counts_what_a_width_takes(dataset):
    ensemble = make(dataset, job())
    rows = cells_of(dataset, job())["ratio_0.9"].rows(np.arange(1))
    needed = []
    for width in (1, 8):
        ensemble.prepare(rows, width)
        needed.append(ensemble.needed_bytes(width))
    parameters = (
        4 * sum(leaf.size for leaf in jax.tree.leaves(ensemble.shapes(rows, 8)[1].learner.variables.params)) / 2
    )
    assert needed[1] > 4 * needed[0] > 0
    assert needed[1] > 2 * parameters, "weights and momentum at the least"


def member_config(dataset, spec, change, **program_fields):
    """An ensemble whose members are what `change` makes of those of a plain job."""
    plain = program_of(spec)
    program = plain._replace(
        make_member=lambda _, row, train: change(plain.make_member(plain, row, train)), **program_fields
    )
    return Ensemble(make_ensemble_config(dataset, program, make_kernels(program)), dataset, jax.devices())


@pytest.mark.slow
def test_examples_of_ones_own_are_those_of_a_data_set_made_of_them(dataset):
    spec, rows = job(), np.random.default_rng(0).integers(0, len(dataset.labels), len(dataset.labels))
    made = dataclasses.replace(dataset, images=dataset.images[rows], labels=dataset.labels[rows])
    epoch_metrics = {"epoch_metrics": EpochMetrics(fit_at=2.0)}
    own = member_config(dataset, spec, lambda who: who._replace(rows=jnp.asarray(rows)), **epoch_metrics)
    other = member_config(made, spec, lambda who: who, **epoch_metrics)
    first, second = (train(dataset, spec, list(range(4)), ensemble=each) for each in (own, other))
    assert_same(first._replace(measures={}), second._replace(measures={}), exactly=True)
    # Examples of one's own are examined member by member: another product, which may round otherwise.
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), first.measures, second.measures)
    assert len(np.unique(rows)) < len(rows)


@pytest.mark.slow
def test_an_experiment_adds_curves_of_its_own(dataset):
    def norm_and_count(config, members, variables, data):
        counted = jnp.full(len(members.size), len(data.train.labels), jnp.float32)
        return {"norm_now": norms(variables.params), "examples": counted}

    spec, hooks = job(), EpochMetrics(fit_at=2.0, after_epoch=norm_and_count)
    outcome = train(
        dataset, spec, [0, 1, 2], ensemble=member_config(dataset, spec, lambda who: who, epoch_metrics=hooks)
    )
    plain = member_config(dataset, spec, lambda who: who, epoch_metrics=EpochMetrics(fit_at=2.0))
    expected = train(dataset, spec, [0, 1, 2], ensemble=plain)
    added = outcome.measures.pop("norm_now_curve"), outcome.measures.pop("examples_curve")
    assert_same(outcome, expected, exactly=True)
    assert added[0].shape == added[1].shape == (3, spec.train.epochs)
    np.testing.assert_array_equal(added[0][:, -1], outcome.measures["weight_norm"])
    assert (np.diff(added[0], axis=1) != 0).all()
    assert (added[1] == len(dataset.labels)).all()


def test_a_curve_of_the_engine_is_not_measured_twice(dataset):
    def test_loss_again(config, members, variables, data):
        return {"test_loss": jnp.zeros(len(members.size))}

    spec, hooks = job(), EpochMetrics(fit_at=2.0, after_epoch=test_loss_again)
    ensemble = member_config(dataset, spec, lambda who: who, epoch_metrics=hooks)
    with pytest.raises(ValueError, match=r"after_epoch: test_loss: "):
        train(dataset, spec, [0], ensemble=ensemble)


def test_fewer_examples_of_ones_own_make_a_smaller_table(dataset):
    spec, rows = job(), jnp.arange(20)

    def change(who):
        return who._replace(rows=rows, trained_on=jnp.arange(20) < 12)

    outcome = train(dataset, spec, list(range(4)), ensemble=member_config(dataset, spec, change, num_examples=20))
    assert outcome.correct.shape == (4, 3)
    np.testing.assert_array_equal(np.unpackbits(outcome.trained_on, axis=1).sum(1), 12)


def test_what_members_make_of_examples_is_what_they_learn_from(dataset):
    """Shown inverted, all is as on the inverted data, but for the tests, which are never touched."""
    spec = job()
    inverted = dataclasses.replace(dataset, images=255 - dataset.images)
    shown = member_config(dataset, spec, lambda who: who, input_transform=lambda who, chosen, inputs: 1 - inputs)
    first = train(dataset, spec, list(range(4)), ensemble=shown)
    second = train(inverted, spec, list(range(4)))
    np.testing.assert_allclose(first.loss_curve, second.loss_curve, rtol=1e-4, atol=1e-5)
    assert np.unpackbits(first.correct ^ second.correct).sum() <= 2


def test_a_sampler_with_a_state_is_updated_before_every_step_and_else_plain(dataset):
    """Its state, which counts steps, changes no draw; a batch that reads it sees the count from 1."""
    spec = job()

    def count_in(config, member_config, state, train, chosen, given, step):
        batch = SHUFFLED.batch(config, member_config, state, train, chosen, given, step)
        # Once the count is off, every batch is without examples.
        return batch._replace(weights=jnp.where(state == step + 1, batch.weights, 0))

    counting = SHUFFLED._replace(
        batch=count_in,
        init=lambda config, member_config, variables: jnp.zeros((), jnp.int32),
        update=lambda config, members, train_state, step: train_state.sampler + 1,
    )
    counted = member_config(dataset, spec, lambda who: who, sampler=counting)
    first, second = train(dataset, spec, list(range(4)), ensemble=counted), train(dataset, spec, list(range(4)))
    assert_same(first, second, exactly=False)


@pytest.mark.slow
@pytest.mark.parametrize("share", [*(pytest.param(share, marks=pytest.mark.slow) for share in (0.0, 1.0)), 0.5])
def test_a_mixed_version_is_trained_on_and_not_examined(dataset, share):
    spec = job()
    two = dataclasses.replace(
        dataset,
        images=np.concatenate([dataset.images, 255 - dataset.images]),
        test_images=np.concatenate([dataset.test_images, 255 - dataset.test_images]),
    )
    mixing = member_config(two, spec, lambda who: mixed(who, 1, share), sampler=MIXING)
    seen = train(dataset, spec, list(range(4)), ensemble=mixing)
    version = train(
        dataset, spec, list(range(4)), ensemble=member_config(two, spec, lambda who: at_version(who, share))
    )
    same = share != 0.5
    assert np.array_equal(seen.loss_curve, version.loss_curve) == same
    plain = train(dataset, spec, list(range(4)))
    assert np.array_equal(seen.correct, plain.correct) == (share == 0.0)


def mixed(who, version, share):
    return who._replace(extra=MixedVersion(jnp.int32(version), jnp.float32(share)))


def at_version(who, share):
    return who._replace(version=jnp.int32(share == 1.0))
