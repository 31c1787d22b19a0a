"""The laws of an ensemble for networks with convolutions, batch statistics, dropout and augmentation, and every way to
compute a convolution: a member is what it is alone, whoever shares its program."""

import jax
import numpy as np
import pytest

from jaxgen.data.checks import make_dataset
from jaxgen.engine.ensemble import Ensemble
from jaxgen.jobs.program import make_ensemble_config, make_kernels
from jaxgen.models import MODELS, convolutions, make_model
from jaxgen.models.convolution import BACKENDS
from support.data import blobs
from support.ensembles import assert_same, cells_of, job, program_of, train

EVERYTHING = {
    "dropout": 0.3,
    "label_smoothing": 0.1,
    "flip": 0.5,
    "crop": 1,
    "rotate": 20.0,
    "cutout": 2,
    "mixup": 0.3,
    "ema_decay": 0.5,
    "max_norm": 3.0,
    "weight_decay": 1e-3,
}
QUICK = ("convnet",)
SLOW = sorted(set(MODELS) - set(QUICK) - {"resnet50"})


@pytest.fixture(scope="module")
def colours():
    images, labels = blobs(48, side=8)
    images = np.stack([images, images[:, ::-1], 255 - images], axis=-1)
    return make_dataset("colours", images, labels, source="colours", class_names=["a", "b", "c"])


def make_by(dataset, spec, backend="plain", microbatch_size=None, num_devices=2):
    program = program_of(spec)
    kernels = make_kernels(program, default_backend=backend)
    config = make_ensemble_config(dataset, program, kernels, microbatch_size, eval_batch_size=16)
    return Ensemble(config, dataset, jax.devices()[:num_devices])


def hold_company_law(dataset, spec):
    """Four members together, alone, in other seats and on one device."""
    ensemble = make_by(dataset, spec)
    together = train(dataset, spec, [0, 1, 2, 3], ensemble=ensemble, width=2)
    assert together.finite.all()
    alone = train(dataset, spec, [0, 1, 2, 3], ensemble=make_by(dataset, spec, num_devices=1), width=1)
    assert_close(together, alone)
    seats = train(dataset, spec, [3, 1, 0, 2], ensemble=ensemble, width=2)
    assert_same(jax.tree.map(lambda field: field[[3, 1, 0, 2]], together), seats, exactly=True)


def assert_close(first, second):
    """Equal up to rounding, which deep networks and batch statistics of a few examples enlarge."""
    np.testing.assert_array_equal(first.trained_on, second.trained_on)
    np.testing.assert_allclose(first.loss_curve, second.loss_curve, rtol=2e-3, atol=2e-3)
    assert np.unpackbits(first.correct ^ second.correct).mean() <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize("model", QUICK)
def test_a_member_in_a_batch_is_the_member_alone(colours, model):
    hold_company_law(colours, job(model=model, epochs=2, batch_size=12, learning_rate=0.02, **EVERYTHING))


@pytest.mark.slow
@pytest.mark.parametrize("model", SLOW)
def test_a_member_in_a_batch_is_the_member_alone_in_every_network(colours, model):
    hold_company_law(colours, job(model=model, epochs=2, batch_size=12, learning_rate=0.005, **EVERYTHING))


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer", ["adam", *(pytest.param(name, marks=pytest.mark.slow) for name in ("nesterov", "rmsprop"))]
)
def test_every_optimizer_trains_members_as_if_alone(dataset, optimizer):
    spec = job(optimizer=optimizer, learning_rate=0.01, schedule="cosine", warmup_epochs=1.0, sam_radius=0.05)
    together = train(dataset, spec, [0, 1, 2, 3], width=2)
    assert together.finite.all()
    assert_same(together, train(dataset, spec, [0, 1, 2, 3], width=1, num_devices=1), exactly=False)


@pytest.mark.slow
@pytest.mark.parametrize("backend", sorted(set(BACKENDS) - {"grouped"}))
def test_the_way_a_convolution_is_computed_changes_nothing(colours, backend):
    spec = job(model="convnet", epochs=2, batch_size=12, learning_rate=0.02)
    grouped, other = (
        train(colours, spec, [0, 1, 2, 3], ensemble=make_by(colours, spec, each), width=2)
        for each in ("grouped", backend)
    )
    assert_close(grouped, other)


@pytest.mark.slow
@pytest.mark.parametrize(
    "microbatch_size", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow)]
)
def test_the_pieces_in_which_a_batch_is_taken_change_nothing(colours, microbatch_size):
    spec = job(model="convnet", epochs=2, batch_size=12, learning_rate=0.02, **EVERYTHING)
    whole, pieces = (
        train(colours, spec, [0, 1], ensemble=make_by(colours, spec, microbatch_size=each, num_devices=1), width=1)
        for each in (None, microbatch_size)
    )
    assert_close(whole, pieces)


@pytest.mark.slow
def test_settings_of_every_kind_share_a_program(dataset):
    """A setting trained beside others of other dropout, augmentation and schedule numbers is the setting alone."""
    lists = {"warmup_epochs": (0.0, 1.0), "dropout": (0.0, 0.5), "input_noise": (0.0, 0.2)}
    together = train(dataset, job(**lists), list(range(8)), width=4)
    # Each of these is a program of its own: nothing on, two of three, everything.
    for number in (0, 5, 7):
        chosen = {
            name: values[number >> shift & 1] for (name, values), shift in zip(lists.items(), (2, 1, 0), strict=True)
        }
        alone = train(dataset, job(**chosen), [0])
        assert_same(jax.tree.map(lambda field, at=number: field[at : at + 1], together), alone, exactly=False)


@pytest.mark.slow
def test_half_precision_trains_nearly_as_well(dataset):
    run_group = cells_of(dataset, job())["ratio_0.9"]
    losses = {}
    for precision in ("float32", "bf16"):
        ensemble = make_by(dataset, job(precision=precision, epochs=10))
        outcome = ensemble.train(run_group.rows(np.arange(4)), 2, run_group.max_size, 1000)
        losses[precision] = outcome.loss_curve[:, -1]
        assert all(
            leaf.dtype == np.float32
            for leaf in jax.tree.leaves(ensemble.shapes(run_group.rows(np.arange(4)), 2)[1].learner.variables)
        )
    np.testing.assert_allclose(losses["bf16"], losses["float32"], rtol=0.15, atol=0.03)
    assert not np.array_equal(losses["bf16"], losses["float32"])


@pytest.mark.slow
def test_every_convolution_of_a_network_can_have_its_own_backend(colours):
    spec = job(model="convnet", epochs=1, batch_size=12, learning_rate=0.02)
    program, shape = program_of(spec), colours.images.shape[1:]
    shapes = convolutions(make_model(spec.model, 3, shape), shape)
    assert len(shapes) == 3
    backends = tuple(zip(shapes, ("batched", "chunked", "plain"), strict=True))
    config = make_ensemble_config(colours, program, make_kernels(program, backends, "grouped"))
    mixed = train(colours, spec, [0, 1], ensemble=Ensemble(config, colours, jax.devices()[:2]), width=1)
    assert_close(mixed, train(colours, spec, [0, 1], ensemble=make_by(colours, spec), width=1))
