"""Stage 2 on augmented images: frozen networks inside members, shifted batch norm, probabilities over passes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen import UserError
from jaxgen.config import ModelSpec
from jaxgen.engine.batch import Batch, LearnerConfig, StepIndex
from jaxgen.engine.learner import make_learner
from jaxgen.experiments.longtail.class_order import draw_class_aware, group_by_class
from jaxgen.experiments.longtail.features import classifier_of
from jaxgen.experiments.longtail.job import load_base_models, make_job
from jaxgen.experiments.longtail.method_report import describe_stage2, results_of
from jaxgen.experiments.longtail.passes import augmented_probabilities, pass_length
from jaxgen.experiments.longtail.run import measure_job, train_stage1
from jaxgen.experiments.longtail.stage2 import make_stage2, make_stage2_workload, run_group_name
from jaxgen.jobs.program import split_runs
from jaxgen.jobs.session import QUIET
from jaxgen.keys import Draw
from jaxgen.models import make_model
from jaxgen.models.heads import Retrained
from jaxgen.models.layers import EVAL, Mode
from jaxgen.training.optimizers import make_optimizer
from jaxgen.training.schedules import make_schedule
from jaxgen.transforms import lnr
from support.data import blobs
from support.long_tail import kept_params, long_tail_data, spec_of

KNOBS = {name: jnp.zeros(()) for name in ("momentum", "second_moment", "warmup_epochs", "decay_rate", "final_rate")}
KNOBS |= {"learning_rate": jnp.float32(0.1), "weight_decay": jnp.float32(0.1)}
KNOBS |= {"network_rate": jnp.zeros(()), "head_rate": jnp.ones(()), "scale_rate": jnp.ones(())}
METHODS = ("plain", "crt", "mislas", "lnr", "random_flips")


@pytest.fixture(scope="module")
def data():
    return long_tail_data(120, 60)


@pytest.fixture(scope="module")
def alike(data, tmp_path_factory):
    """The same job on cached features and on images that are not augmented."""
    jobs = [
        make_job(data, spec_of(tmp_path_factory.mktemp(stage2), methods=METHODS, num_runs=2, width=2, stage2=stage2))
        for stage2 in ("cached", "augmented")
    ]
    return [(job, measure_job(job, QUIET)) for job in jobs]


@pytest.mark.slow
@pytest.mark.parametrize("shift", [False, True])
def test_a_step_trains_classifier_and_scale_and_nothing_of_the_network(shift):
    network = make_model(ModelSpec(model="convnet", norm="batch"), 3, (4, 4, 1))
    schedule = make_schedule("constant", epochs=1, milestones=())
    optimize = make_optimizer("sgd", frozenset({"weight_decay"}), schedule=schedule)
    methods = LearnerConfig(optimize, in_use=frozenset({"weight_decay"}), groups=("network", "head", "scale"))
    remade = Retrained(3, network.compute, network, shift)
    learner = make_learner(remade, methods, (4, 4, 1))
    before = learner.init(jax.random.key(0), KNOBS)
    images, labels = blobs(12)
    inputs = jnp.asarray(images, jnp.float32)[..., None] / 255
    # The last two fill a short batch up.
    batch = Batch(inputs, jnp.asarray(labels), (jnp.arange(12) < 10).astype(jnp.float32))
    moment = StepIndex(*map(jnp.int32, (0, 0, 1)))
    after, loss, _ = jax.jit(learner.step)(jax.random.key(0), KNOBS, before, batch, moment)
    jax.tree.map(np.testing.assert_array_equal, after.variables.params["network"], before.variables.params["network"])
    for name in ("head", "scale"):
        pair = after.variables.params[name], before.variables.params[name]
        changed = jax.tree.map(lambda one, other: (one != other).any(), *pair)
        assert all(jax.tree.leaves(changed))
    same = jax.tree.map(lambda one, other: bool((one == other).all()), after.variables.stats, before.variables.stats)
    assert all(jax.tree.leaves(same)) != shift
    # Running statistics are those of a batch of the network itself, a tenth of the way.
    variables = {"params": before.variables.params["network"], "batch_stats": before.variables.stats["network"]}
    mode = Mode(shift, batch.weights > 0)
    features, noted = network.apply(variables, inputs, mode, method="features", mutable=["batch_stats"])
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6),
        after.variables.stats["network"],
        noted["batch_stats"],
    )
    # The loss is that of these features.
    head = before.variables.params["head"]
    logs = jax.nn.log_softmax(features @ head["kernel"] + head["bias"][None])
    assert float(loss) == pytest.approx(-float(logs[jnp.arange(10), labels[:10]].mean()), rel=1e-4)
    plain = network.apply(variables, inputs, EVAL, method="features")
    assert np.allclose(plain, features, rtol=1e-4) != shift


@pytest.mark.slow
def test_images_that_are_not_augmented_give_what_cached_features_give(alike):
    cached, augmented = (kept_params(job) for job, _ in alike)
    for method in ("plain", "crt", "mislas"):
        for run in range(2):
            for one, other in zip(cached[method, run], augmented[method, run], strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
            rows = [results_of(results, method)[run].row for _, results in alike]
            assert rows[0]["balanced_accuracy"] == pytest.approx(rows[1]["balanced_accuracy"])
    assert "cached" in describe_stage2(alike[0][0])
    assert "augmented by nothing, batch norm not shifted; probabilities of flips are means over 2 passes" in (
        describe_stage2(alike[1][0])
    )


@pytest.mark.slow
def test_probabilities_are_means_over_the_times_an_example_came(alike):
    job, _ = alike[1]
    found = job.base_outputs(train_stage1(job, QUIET)[1])
    plain = jax.nn.softmax(found.logits(found.train))
    labels = jnp.asarray(job.tail.dataset.labels)
    groups = group_by_class(labels, jnp.ones(len(labels), bool), 3)
    counts = np.bincount(labels)
    assert counts[0] > 4 * counts[2], "a tail, of whose head as many draws as examples would show a third"
    for run in range(2):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), run), Draw.PASS)
        for i in range(2):
            order = draw_class_aware(jax.random.fold_in(key, i), pass_length(counts), groups)
            times = np.bincount(np.asarray(labels)[order])
            assert times.min() == times.max() >= counts.max()
            assert len(np.unique(order)) == len(labels), "every example occurs in every pass"
        # Nothing is augmented: each time they are the same.
        np.testing.assert_allclose(found.probabilities[run], plain[run], atol=1e-5)


@pytest.mark.slow
def test_who_never_came_is_not_flipped_and_does_not_count_among_the_others(alike):
    labels = jnp.array([0, 0, 0, 0, 1, 1, 2])
    third = jnp.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.7, 0.9])
    p = jnp.stack([0.8 - third * 0.8, 0.2 - third * 0.2, third], axis=1)
    some = p.at[1].set(jnp.nan)
    z = lnr.standardize(some, labels)
    assert (z[1] == -jnp.inf).all()
    known = jnp.array([0, 2, 3, 4, 5, 6])
    np.testing.assert_allclose(z[known], lnr.standardize(p[known], labels[known]), rtol=1e-5)
    flips = lnr.lnr_flip(jax.random.key(0), some, labels, threshold=-50.0)
    assert not flips.changed[1]
    assert not flips.rates[1].any()
    assert np.isfinite(flips.rates).all()
    assert flips.changed[0]
    assert float(lnr.expected_flips(flips.rates, labels).sum()) > 0


@pytest.fixture(scope="module")
def shifted(data, tmp_path_factory):
    flags = {"model": "convnet", "norm": "batch", "epochs": 2, "flip": 0.5, "crop": 1, "stage2": "augmented"}
    flags |= {"shift_bn": True, "methods": ("mixup", "plain", "lnr"), "threshold": (0.5,), "num_runs": 2}
    job = make_job(data, spec_of(tmp_path_factory.mktemp("shifted"), **flags, width=2))
    return job, measure_job(job, QUIET)


@pytest.mark.slow
def test_members_keep_their_own_shifted_statistics_and_are_measured_by_them(shifted):
    job, results = shifted
    _, found = train_stage1(job, QUIET)
    _, [program] = make_stage2(job, found)
    stage2 = program.context
    store = make_stage2_workload(job, None, [program], found.train.shape[-1], None).open_store()
    assert "by flip, crop, batch norm shifted" in describe_stage2(job)
    seen = {}
    for arrays in store.runs(run_group_name(program)):
        for run, setting, own in split_runs(program, arrays):
            seen[setting, run] = own["params"]
    width = found.train.shape[-1]
    for (setting, run), params in seen.items():
        model = stage2.frozen.shifted(run, stage2.split(params).stats)
        first = stage2.frozen.models[run].variables["batch_stats"]
        moved = jax.tree.map(lambda one, other: bool((one != other).any()), model.variables["batch_stats"], first)
        assert all(jax.tree.leaves(moved))
        bias, kernel, scale = np.split(params[: 3 * (width + 2)], [3, 3 * (width + 1)])
        logits = (model.features(job.tail.dataset.test_images) @ kernel.reshape(width, 3) + bias) * scale
        right = (logits.argmax(1) == job.tail.dataset.test_labels).mean()
        head = stage2.heads[setting]
        assert results_of(results, head.method)[run].row["test_accuracy"] == pytest.approx(right)
    assert (seen[0, 0] != seen[0, 1]).any()
    # Stage 1's networks are as they were.
    for one, other in zip(load_base_models(job), stage2.frozen.models, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one.variables, other.variables)
        assert classifier_of(one)[0].shape == (width, 3)


@pytest.mark.slow
def test_a_member_beside_others_is_the_member_alone(shifted, data, tmp_path):
    _, results = shifted
    flags = {"model": "convnet", "norm": "batch", "epochs": 2, "flip": 0.5, "crop": 1, "stage2": "augmented"}
    flags |= {"shift_bn": True, "methods": ("plain",), "num_runs": 1, "width": 1}
    alone = measure_job(make_job(data, spec_of(tmp_path, **flags)), QUIET)
    own, beside = (results_of(found, "plain")[0].row for found in (alone, results))
    assert own["balanced_accuracy"] == pytest.approx(beside["balanced_accuracy"], abs=0.05)
    assert own["ece"] == pytest.approx(beside["ece"], abs=0.02)


@pytest.mark.slow
def test_augmentation_and_batch_statistics_change_probabilities(shifted):
    job, _ = shifted
    models, tail = load_base_models(job), job.tail.dataset
    again, plain = (
        augmented_probabilities(models, tail, job.spec),
        augmented_probabilities(models[:1], tail, spec_of(stage2="augmented")),
    )
    np.testing.assert_array_equal(again, augmented_probabilities(models, tail, job.spec))
    assert np.abs(again[0] - plain[0]).max() > 1e-3
    np.testing.assert_allclose(again.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"shift_bn": True}, "--shift_bn: cached features have no batches to shift by; give --stage2=augmented too"),
        ({"shift_bn": True, "stage2": "augmented"}, "--shift_bn: --model=mlp has no batch norm here; leave it out"),
        ({"stage2": "augmented", "methods": ("selmix",)}, "--methods=selmix: mixes cached features; leave it out"),
        ({"stage2": "augmented", "flip_rounds": 2}, "--flip_rounds=2: goes by cached features"),
        ({"stage2": "anew"}, "--stage2=anew: must be one of cached, augmented"),
    ],
)
def test_mistakes_are_one_line(data, flags, said):
    with pytest.raises(UserError) as caught:
        make_job(data, spec_of(**flags))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
