"""LDAM-DRW: margins, loss and weights by hand, when weights come, and that it changes no other network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen import UserError
from jaxgen.config import ModelSpec
from jaxgen.engine.batch import ClassTerms
from jaxgen.engine.gradient import Targets, balanced_losses
from jaxgen.engine.members import Examples
from jaxgen.experiments.longtail.job import load_models, make_job, make_stage1_workload, run_group_name
from jaxgen.experiments.longtail.ldam import first_weighted, make_ldam_member
from jaxgen.experiments.longtail.method_report import report_job, results_of
from jaxgen.experiments.longtail.run import measure_job, train_stage1
from jaxgen.jobs.member_table import TableRow
from jaxgen.jobs.program import make_ensemble_config, make_kernels, split_runs
from jaxgen.jobs.session import QUIET
from jaxgen.models import make_model, with_cosine_classifier
from jaxgen.models.layers import COSINE_SCALE, unit_vectors
from jaxgen.training.losses import cross_entropy, subtract_margins
from jaxgen.transforms.classes import effective_weights, ldam_margins
from support.long_tail import long_tail_data, spec_of
from support.written import written


@pytest.fixture(scope="module")
def data():
    return long_tail_data()


@pytest.fixture(scope="module")
def ran(data, tmp_path_factory):
    return run_methods(data, tmp_path_factory.mktemp("ldam"), "ce", "ldam_drw")


def run_methods(data, folder, *methods):
    job = make_job(data, spec_of(folder, methods=methods, num_runs=2, width=2))
    return job, measure_job(job, QUIET)


def test_margins_by_hand():
    # Sixteen times the examples have half the margin.
    np.testing.assert_allclose(ldam_margins(jnp.array([160, 10])), [0.25, 0.5], rtol=1e-6)
    np.testing.assert_allclose(ldam_margins(jnp.array([7, 7]), 0.3), [0.3, 0.3], rtol=1e-6)


def test_a_loss_of_two_classes_by_hand():
    # The scale is 2 and margins are 0.25 and 0.5, cosines 0.6 and 0.2: labelled 0, the logits are 0.7 and 0.4.
    logits, margins = 2 * jnp.array([[0.6, 0.2], [0.6, 0.2]]), 2 * jnp.array([0.25, 0.5])
    labels = jnp.array([0, 1])
    lowered = subtract_margins(logits, labels, margins)
    np.testing.assert_allclose(lowered, [[0.7, 0.4], [1.2, -0.6]], rtol=1e-6)
    losses = np.log1p(np.exp([0.4 - 0.7, 1.2 + 0.6]))
    np.testing.assert_allclose(cross_entropy(lowered, labels), losses, rtol=1e-6)
    terms = ClassTerms(jnp.zeros(2), jnp.array([1.0, 3.0]), jnp.zeros(2), margins)
    targets = Targets(labels, labels, jnp.ones(2), jnp.ones(2), None)
    np.testing.assert_allclose(balanced_losses(logits, targets, terms, mixes=False), losses * [1, 3], rtol=1e-6)
    # A mixture has the margin of each of its labels.
    mixed = Targets(labels, labels[::-1], jnp.array([0.75, 1.0]), jnp.ones(2), None)
    other = 3 * np.log1p(np.exp(1.8))
    found = balanced_losses(logits, mixed, terms, mixes=True)
    np.testing.assert_allclose(found, [0.75 * losses[0] + 0.25 * other, 3 * losses[1]], rtol=1e-6)


def test_deferred_weights_by_hand():
    counts, beta = np.array([3, 1]), 0.9999
    each = (1 - beta) / (1 - beta**counts)
    # One example of the small class weighs about as much as three of the large one; the sum is the number of classes.
    np.testing.assert_allclose(effective_weights(jnp.array(counts)), 2 * each / each.sum(), rtol=1e-4)
    np.testing.assert_allclose(effective_weights(jnp.array(counts)), [0.5, 1.5], rtol=1e-3)


@pytest.mark.parametrize(("epochs", "first"), [(200, 160), (30, 24), (8, 6), (1, 0)])
def test_weights_come_in_the_last_fifth(epochs, first):
    assert first_weighted(epochs) == first


def test_a_member_has_margins_from_the_first_step_and_weights_in_the_end(ran):
    job, _ = ran
    program, labels = job.programs[-1], jnp.asarray(job.tail.dataset.labels)
    train = Examples(jnp.asarray(job.tail.dataset.images), labels)
    member = make_ldam_member(3, program, TableRow(np.int32(0), np.int32(0)), train)
    config = make_ensemble_config(job.tail.dataset, program, make_kernels(program))
    counts = jnp.array([64, 22, 8])
    # 94 examples in batches of 8 are 12 steps, and the seventh of 8 epochs begins with step 72.
    for step, weights in (
        (0, np.ones(3)),
        (71, np.ones(3)),
        (72, effective_weights(counts)),
        (95, effective_weights(counts)),
    ):
        arguments = None, train, jnp.arange(8), jnp.ones(8), jnp.int32(step)
        terms = config.sampler.batch(config, member, *arguments).terms
        np.testing.assert_allclose(terms.weights, weights, rtol=1e-6)
        np.testing.assert_allclose(terms.margins, 30 * 0.5 * (8 / np.array([64, 22, 8])) ** 0.25, rtol=1e-6)
        assert not terms.shift.any()
        assert not terms.smoothing.any()


@pytest.mark.parametrize("name", ["mlp", "convnet"])
def test_cosine_logits_by_hand_and_from_the_same_initial_weights(name):
    linear = make_model(ModelSpec(model=name, hidden=(5,)), 3, (4, 4, 1))
    network = with_cosine_classifier(linear)
    inputs = jax.random.normal(jax.random.key(1), (6, 4, 4, 1))
    variables = network.init(jax.random.key(0), inputs)
    last = variables["params"]["Dense_1" if name == "mlp" else "classifier"]
    assert {*last} == {"kernel"}
    drawn = linear.init(jax.random.key(0), inputs)["params"]["Dense_1" if name == "mlp" else "classifier"]
    np.testing.assert_array_equal(last["kernel"], drawn["kernel"])
    features = np.asarray(network.apply(variables, inputs, method="features"))
    kernel = np.asarray(last["kernel"])
    cosines = features @ kernel / np.linalg.norm(features, axis=1)[:, None] / np.linalg.norm(kernel, axis=0)
    np.testing.assert_allclose(network.apply(variables, inputs), COSINE_SCALE * cosines, rtol=1e-4, atol=1e-4)


def test_unit_vectors_of_zeros_are_zeros_with_finite_gradients():
    vectors = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(unit_vectors(vectors, 1), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert np.isfinite(jax.grad(lambda x: unit_vectors(x, 1).sum())(vectors)).all()


def stage1_arrays(job):
    """By setting and run, the loss curve and the final test predictions of stage 1."""
    store = make_stage1_workload(job).open_store()
    return {
        (program.settings[setting].name, run): (values["loss_curve"], values["test_accuracy"])
        for program in job.programs
        for arrays in store.runs(run_group_name(program))
        for run, setting, values in split_runs(program, arrays)
    }


@pytest.mark.slow
def test_other_networks_are_bit_for_bit_what_they_are_without_it_and_it_is_itself_alone(data, tmp_path):
    job, results = run_methods(data, tmp_path / "together", "ce", "remix", "ldam_drw", "plain")
    assert job.kinds == ["ce", "mixup", "remix", "ldam_drw"]
    together = stage1_arrays(job)
    others = run_methods(data, tmp_path / "others", "ce", "remix", "plain")
    alone = run_methods(data, tmp_path / "alone", "ldam_drw")
    assert alone[0].kinds == ["ldam_drw"]
    for part, found in (others, alone):
        for place, arrays in stage1_arrays(part).items():
            jax.tree.map(np.testing.assert_array_equal, arrays, together[place])
        for method in part.spec.flips.methods:
            rows = [[str(one.row) for one in results_of(each, method)] for each in (found, results)]
            assert rows[0] == rows[1]


def test_it_learns_and_is_measured_as_it_was_trained(ran):
    job, results = ran
    arrays = stage1_arrays(job)
    _, outputs = train_stage1(job, QUIET)
    images, labels = job.tail.dataset.test_images, job.tail.dataset.test_labels
    for run, model in enumerate(load_models(job, "ldam_drw")):
        assert set(model.variables["params"]["Dense_1"]) == {"kernel"}
        logits = model.predict(images)
        # Models are in order of kinds, then runs.
        np.testing.assert_allclose(outputs.logits(outputs.test)[2 + run], logits, rtol=1e-3, atol=1e-3)
        row = results_of(results, "ldam_drw")[run].row
        assert row["finite"]
        assert row["test_accuracy"] == np.mean(logits.argmax(1) == labels)
        assert row["test_accuracy"] == pytest.approx(float(arrays["ldam_drw", run][1]))
        assert row["balanced_accuracy"] > 0.5
        assert np.abs(logits).max() <= COSINE_SCALE * 1.001
    curves = [arrays[kind, 0][0] for kind in ("ce", "ldam_drw")]
    assert (curves[0] != curves[1]).all()


def test_the_table_tells_when_weights_come(ran):
    job, results = ran
    text, files = written(report_job(job, results), "jaxgen.lnr", "command")
    table = next(file.read_text() for file in files if file.name == "table.md")
    assert "| ldam_drw |" in text
    assert "from epoch 7 of 8 on, losses weighted by class" in table


def test_a_classifier_with_scales_is_refused(data):
    with pytest.raises(
        UserError, match="--methods=ldam_drw: normalizes the weights of each class, which --model=scaled"
    ):
        make_job(data, spec_of(methods=("ldam_drw",), model="scaled_linear"))


def test_without_mixup_it_is_beside_cross_entropy(data):
    assert make_job(data, spec_of(mixup=0.0, methods=("ldam_drw", "plain"))).kinds == ["ce", "ldam_drw"]
    assert make_job(data, spec_of(mixup=0.0, methods=("ldam_drw",))).kinds == ["ldam_drw"]
