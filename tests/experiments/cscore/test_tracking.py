"""Tracking single examples: what it costs the models (nothing), what it notes, and what becomes of it on disk."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen import UserError, estimate_scores
from jaxgen.config import CscoreSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.engine.ensemble import Ensemble
from jaxgen.engine.order import permute
from jaxgen.experiments.cscore.tracking import log_spaced, make_track, tracked_bytes
from jaxgen.jobs.program import make_ensemble_config, make_kernels
from jaxgen.models import make_model
from jaxgen.runs import store as stores
from jaxgen.scores import designs, dynamics
from jaxgen.scores.example_stats import CURVE_STEPS
from jaxgen.training.losses import cross_entropy
from jaxgen.types import TRACKED
from support.data import blobs
from support.ensembles import assert_same, cells_of, job, program_of

EPOCHS = 6
BASE = {"epochs": EPOCHS, "track": ("auto", "grand"), "heldout_epochs": 3}


@functools.cache
def make(dataset, spec, num_devices=2, tracked=True):
    program = program_of(spec)
    if tracked:
        program = program._replace(track=make_track(dataset, spec, spec.train.epochs))
    return Ensemble(make_ensemble_config(dataset, program, make_kernels(program)), dataset, jax.devices()[:num_devices])


def train(ensemble, dataset, spec, numbers, width=2, steps_per_call=1000, **options):
    run_group = cells_of(dataset, spec)["ratio_0.9"]
    size = width * ensemble.mesh.size
    if not ensemble.config.may_stop:
        assert len(numbers) <= size
    return ensemble.train(run_group.rows(np.asarray(numbers)), width, run_group.max_size, steps_per_call, **options)


def unpacked(outcome, n=60):
    return np.unpackbits(outcome.trained_on, axis=1, count=n).astype(bool)


def test_a_model_is_the_same_to_the_bit_whether_it_is_tracked_or_not(dataset):
    spec, found = job(**BASE, dropout=0.2, flip=0.5), []
    for tracked in (True, False):
        weights = {}
        outcome = train(make(dataset, spec, 2, tracked), dataset, spec, range(4), on_weights=weights.__setitem__)
        assert bool(outcome.measures) == tracked
        found.append((weights, outcome.trained_on, outcome.correct, outcome.test_correct, outcome.epochs))
    jax.tree.map(np.testing.assert_array_equal, *found)


@pytest.mark.slow
def test_a_tracked_member_in_a_batch_is_the_member_alone(dataset):
    spec = job(**BASE)
    together = train(make(dataset, spec), dataset, spec, range(4))
    alone = train(make(dataset, spec, 1), dataset, spec, [2], width=1)
    one = jax.tree.map(lambda field: field[2:3], together)
    assert_same(one._replace(measures={}), alone._replace(measures={}), exactly=False)
    for name, array in one.measures.items():
        # A step of a byte, or a rounding of 16 bits.
        atol = 1 if array.dtype == np.uint8 and "curve" not in name else 130 if "curve" in name else 2e-2
        np.testing.assert_allclose(array.astype(float), alone.measures[name].astype(float), atol=atol, err_msg=name)
    moved = train(make(dataset, spec), dataset, spec, [2, 0, 3, 1], steps_per_call=3)
    assert_same(jax.tree.map(lambda field: field[[2, 0, 3, 1]], together), moved, exactly=True)


def reference(dataset, spec, index, track):
    """Run `index` by a plain loop: its logits at every visit ``[e, n, c]``, and of all examples after every epoch."""
    root = jax.random.key(spec.seed)
    row = jax.tree.map(lambda field: field[0], cells_of(dataset, spec)["ratio_0.9"].rows(np.array([index])))
    own, key = np.flatnonzero(designs.draw_subset(root, row.subset, 60)), designs.run_key(root, row.subset)
    model = make_model(spec.model, 3, dataset.images.shape[1:])
    params = model.init(jax.random.fold_in(key, 1), jnp.zeros((1, *dataset.images.shape[1:])))
    optimizer = optax.sgd(spec.train.learning_rate, spec.train.momentum)
    state, inputs = optimizer.init(params), jnp.asarray(dataset.images.astype(np.float32) * np.float32(dataset.scale))

    def loss(params, batch):
        logits = model.apply(params, inputs[batch])
        return cross_entropy(logits, labels[batch]).mean(), logits

    @jax.jit
    def step(params, state, batch):
        grads, logits = jax.grad(loss, has_aux=True)(params, batch)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, logits

    labels, (visits, after) = jnp.asarray(dataset.labels), np.full((2, EPOCHS, 60, 3), np.nan)
    norms = None
    for epoch in range(EPOCHS):
        order = own[
            np.asarray(
                permute(
                    jax.random.fold_in(jax.random.fold_in(key, 2), epoch), jnp.arange(len(own)), jnp.int32(len(own))
                )
            )
        ]
        for at in range(0, len(order), spec.train.batch_size):
            batch = order[at : at + spec.train.batch_size]
            params, state, visits[epoch, batch] = step(params, state, batch)
        after[epoch] = model.apply(params, inputs)
        if epoch + 1 == track.early:
            each = jax.vmap(lambda i, params=params: jax.grad(lambda p: loss(p, i[None])[0])(params))(jnp.arange(60))
            norms = np.sqrt(sum((np.asarray(g) ** 2).reshape(60, -1).sum(1) for g in jax.tree.leaves(each)))
    return np.isin(np.arange(60), own), visits, after, norms


def test_what_is_noted_is_what_a_plain_loop_sees(dataset):
    spec = job(**BASE)
    track = make_track(dataset, spec, EPOCHS)
    assert (track.examined, track.curve, track.early) == ((1, 2), (1, 2, 4, 6), 2)
    run = train(make(dataset, spec), dataset, spec, [3])
    trained, visits, after, norms = reference(dataset, spec, 3, track)
    scores, labels = dynamics.run_scores(run, 60), dataset.labels

    def shares(logits):
        return np.asarray(jax.nn.softmax(logits, -1))[:, np.arange(60), labels]

    p, held = shares(visits), shares(after[[0, 1, 5]])
    right, held_right = (np.argmax(x, -1) == labels for x in (np.nan_to_num(visits), after[[0, 1, 5]]))
    one_hot = np.eye(3)[labels]
    expected = {
        "csl": -np.log(p).sum(0),
        "confidence": p.mean(0),
        "variability": p.std(0),
        "correctness": right.sum(0),
        "forgetting": np.where(right.any(0), (right[:-1] & ~right[1:]).sum(0), EPOCHS),
        "first_learned": np.where(right.any(0), right.argmax(0) + 1, EPOCHS + 1),
        "el2n": np.linalg.norm(np.asarray(jax.nn.softmax(visits[1])) - one_hot, axis=-1),
        "grand": norms,
        "heldout_csl": -np.log(held).sum(0),
        "heldout_learning_speed": held_right.mean(0),
        "heldout_el2n": np.linalg.norm(np.asarray(jax.nn.softmax(after[1])) - one_hot, axis=-1),
        "heldout_grand": norms,
        "soft_score": held[-1],
    }
    for name, values in expected.items():
        mask = ~trained if name.startswith(("heldout", "soft")) else trained
        np.testing.assert_array_equal(scores[name].observed[0], mask)
        np.testing.assert_allclose(scores[name].values[0][mask], values[mask], rtol=5e-3, atol=5e-3, err_msg=name)
    curve = run.measures[f"{TRACKED}curve"][0]
    for place, epoch in enumerate(track.curve):
        np.testing.assert_allclose(curve[trained, place] % 128 / CURVE_STEPS, p[epoch - 1, trained], atol=0.02)
        assert (curve[trained, place] >= 128).tolist() == right[epoch - 1, trained].tolist()
    for place, i in ((0, 0), (1, 1), (3, 2)):
        assert (curve[~trained, place] >= 128).tolist() == held_right[i, ~trained].tolist()
    probabilities = run.measures[f"{TRACKED}probabilities"][0][~trained] / 255
    np.testing.assert_allclose(probabilities, np.asarray(jax.nn.softmax(after[5]))[~trained], atol=4e-3)


@pytest.mark.slow
def test_members_that_stop_early_are_tracked_as_long_as_they_train(dataset):
    """Slots are refilled meanwhile, so that members are in different epochs: each is examined after its own."""
    spec = job(**{**BASE, "epochs": 12}, validation_share=0.2, patience=1, learning_rate=0.3)
    ensemble = make(dataset, spec)
    run = train(ensemble, dataset, spec, range(12))
    epochs = run.measures[f"{TRACKED}looks"][:, 0]
    assert epochs.min() < epochs.max(), "the test needs members that stop at different epochs"
    np.testing.assert_array_equal(epochs, np.isfinite(run.loss_curve).sum(1))
    scores, validation = dynamics.run_scores(run, 60), np.unpackbits(run.validation, axis=1, count=60).astype(bool)
    assert not (scores["csl"].observed & validation).any()
    assert not (scores["heldout_csl"].observed & unpacked(run)).any()
    right = np.where(scores["csl"].observed, scores["correctness"].values, 0)
    assert (right <= epochs[:, None]).all()
    assert (right.max(1) == epochs).any()
    alone = train(make(dataset, spec, 1), dataset, spec, [7], width=1)
    np.testing.assert_allclose(
        run.measures[f"{TRACKED}loss"][7].astype(float), alone.measures[f"{TRACKED}loss"][0].astype(float), atol=0.05
    )


def test_tracking_compiles_nothing_twice(dataset):
    spec = job(**BASE)
    ensemble = make.__wrapped__(dataset, spec)
    for ratio in ("ratio_0.3", "ratio_0.9"):
        run_group = cells_of(dataset, spec)[ratio]
        ensemble.train(run_group.rows(np.arange(3)), 2, run_group.max_size, 1000)
    assert sorted(ensemble.compiled) == [("advance", 2), ("finish", 2), ("start", 2)]


FLAGS = {"subset_ratios": (0.5, 0.9), "num_runs": 10, "hidden": (8,), "epochs": 3, "batch_size": 8, "width": 2}


def scored(out, **flags):
    images, labels = blobs(60)
    return estimate_scores(images, labels, out=str(out), **{**FLAGS, **flags})


@pytest.mark.slow
def test_a_store_without_tracking_still_gives_c_scores_and_goes_on_with_it(tmp_path):
    plain = scored(tmp_path / "a", track=("none",))
    assert not {"csl", "tracked_runs"} & plain.more.keys()
    again = scored(tmp_path / "a")
    assert again.metadata["models_now"] == 0
    assert again.more["tracked_runs"] == 0
    assert "csl" not in again.more
    np.testing.assert_array_equal(plain.scores, again.scores)
    longer, whole = scored(tmp_path / "a", num_runs=20), scored(tmp_path / "b", num_runs=20)
    assert longer.metadata["models_now"] == 20
    assert (longer.more["tracked_runs"], whole.more["tracked_runs"]) == (20, 40)
    np.testing.assert_array_equal(longer.scores, whole.scores)
    assert np.isfinite(longer.more["csl"]).all()
    # Tracked in another way: what is there is not what is asked for.
    other = scored(tmp_path / "b", num_runs=20, heldout_epochs=1)
    assert other.more["tracked_runs"] == 0
    assert scored(tmp_path / "b", num_runs=20, track=("dynamics",), heldout_epochs=4).more["tracked_runs"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("design", ["balanced", "nested"])
def test_what_is_no_longer_asked_for_is_not_told_of_some_of_the_runs(design, tmp_path):
    """A score never comes of fewer runs than are said to be tracked."""
    lists = {"design": design, "subset_ratios": (0.4, 0.7)}
    more = scored(tmp_path / "a", num_runs=10, track=("dynamics", "grand"), **lists)
    assert np.isfinite(more.more["grand"]).any()
    longer = scored(tmp_path / "a", num_runs=20, track=("dynamics",), **lists)
    assert longer.more["tracked_runs"] == 40
    assert not {"grand", "heldout_grand"} & longer.more.keys()
    whole = scored(tmp_path / "b", num_runs=20, track=("dynamics",), **lists)
    np.testing.assert_array_equal(longer.more["csl_stderr"], whole.more["csl_stderr"])


@pytest.mark.slow
def test_a_sweep_tracks_what_is_named_setting_by_setting(tmp_path):
    images, labels = blobs(60)
    lists = {**FLAGS, "learning_rate": (0.05, 0.1), "subset_ratios": (0.5,)}
    found = estimate_settings_of(images, labels, **lists, track=("dynamics",))
    assert not any("csl" in one.more for one in estimate_settings_of(images, labels, **lists).values())
    for rate, one in zip((0.05, 0.1), found.values(), strict=True):
        alone = estimate_scores(images, labels, **{**lists, "learning_rate": rate}, track=("dynamics",))
        np.testing.assert_allclose(one.more["csl"], alone.more["csl"], rtol=2e-3)
    first, second = found.values()
    assert not np.allclose(first.more["csl"], second.more["csl"], rtol=0.01)


def estimate_settings_of(images, labels, **flags):
    from jaxgen import estimate_settings

    return estimate_settings(images, labels, **flags)


def test_a_disk_too_small_for_tracking_says_what_helps(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": stores.RESERVED_BYTES + 10_000})
    monkeypatch.setattr(stores.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(UserError, match=r"or keep less of each model with --track=dynamics or --track=none"):
        scored(tmp_path)
    assert scored(tmp_path, track=("none",)).metadata["models_now"] == 20


def test_a_run_takes_no_more_room_than_was_asked_for(dataset, tmp_path):
    spec = job(**BASE)
    program = program_of(spec)._replace(track=make_track(dataset, spec, EPOCHS))
    kept = train(make(dataset, spec), dataset, spec, [0]).measures
    assert sum(array.nbytes for array in kept.values()) <= tracked_bytes(program.track, dataset, EPOCHS)
    # What takes too much of a run is left out unless it is named.
    large = dataclasses.replace(dataset, class_names=tuple(map(str, range(20_000))))
    assert not make_track(large, job(), EPOCHS).probabilities
    assert make_track(large, job(track=("auto", "pred_probs")), EPOCHS).probabilities


@pytest.mark.slow
def test_what_was_tracked_is_checked_too(tmp_path):
    scored(tmp_path)
    [chunk, *_] = sorted(tmp_path.rglob("000000-*.npz"))
    with np.load(chunk) as file:
        arrays = {name: file[name] for name in file.files}
    arrays[f"{TRACKED}loss"] = arrays[f"{TRACKED}loss"] + 1
    np.savez(chunk, **arrays)
    assert scored(tmp_path).metadata["models_now"] > 0


@pytest.mark.parametrize("track", [("foo",), ("none", "dynamics"), (), ("auto", "auto")])
def test_unknown_and_contradictory_tracks_are_refused(track):
    with pytest.raises(UserError, match=r"--track=.*give auto, none, or some of"):
        spec_from_values(CscoreSpec, {"track": track})


def test_epochs_spaced_by_their_logarithms():
    assert log_spaced(20, 4) == (1, 3, 7, 20)
    assert log_spaced(20, 1) == (20,)
    assert log_spaced(1, 4) == (1,)
    assert log_spaced(3, 9) == (1, 2, 3)


def test_curves_of_a_sweep_whose_chunks_lack_some_settings():
    from sklearn.datasets import load_digits

    from jaxgen import estimate_settings

    digits = load_digits()
    flags = {"num_runs": 2, "subset_ratios": (0.5,), "epochs": 2, "learning_rate": (0.01, 0.03), "track": ("curves",)}
    one, all_at_once = (
        estimate_settings(digits.images[:100], digits.target[:100], width=width, num_devices=1, **flags)
        for width in (1, 4)
    )
    for name, scores in one.items():
        np.testing.assert_array_equal(scores.more["curve_correct"], all_at_once[name].more["curve_correct"])
