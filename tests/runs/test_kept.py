"""What is kept of trainings: checkpoints of unfinished ones, models of finished ones."""

import json
import shutil
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jaxgen
from jaxgen import UserError
from jaxgen.config import CscoreSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.data.checks import make_dataset
from jaxgen.data.parts import with_normalized_channels
from jaxgen.experiments.cscore import run as cscore
from jaxgen.jobs.missing_runs import tell_kept
from jaxgen.jobs.session import QUIET
from jaxgen.runs.checkpoints import DiskCheckpoint
from jaxgen.runs.plan import Span
from jaxgen.runs.saved_models import apply_network
from support.data import blobs

FLAGS = {"subset_ratios": (0.5,), "num_runs": 4, "hidden": (8,), "epochs": 3, "batch_size": 8, "width": 2}


@pytest.fixture
def sharding():
    return NamedSharding(Mesh(np.array(jax.devices()), ("members",)), PartitionSpec("members"))


def state(sharding, number=0.0):
    host = {"rows": np.arange(3), "found": {"correct": np.ones((2, 5), np.uint8)}, "none": {}}
    device = (jnp.full(4, number), {"keys": jax.random.split(jax.random.key(1), 4)}, None)
    return host, jax.device_put(device, sharding)


def like(kept):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), kept)


def test_what_is_kept_comes_back_where_it_was(tmp_path, sharding):
    kept = state(sharding, 7.0)
    ticks = iter(range(0, 10_000, 61))
    checkpoint = DiskCheckpoint(tmp_path / "chunk", 1, clock=lambda: next(ticks))
    assert checkpoint.restore(like(kept[1])) is None
    checkpoint.offer(lambda: state(sharding))
    checkpoint.offer(lambda: kept)
    assert len(list((tmp_path / "chunk").iterdir())) == 1, "the newer takes the place of the older"
    host, device = DiskCheckpoint(tmp_path / "chunk", 1).restore(like(kept[1]))
    np.testing.assert_array_equal(host["found"]["correct"], kept[0]["found"]["correct"])
    np.testing.assert_array_equal(device[0], kept[1][0])
    np.testing.assert_array_equal(jax.random.key_data(device[1]["keys"]), jax.random.key_data(kept[1][1]["keys"]))
    assert device[0].sharding == sharding
    checkpoint.remove()
    assert not (tmp_path / "chunk").exists()


def test_it_is_kept_no_more_often_than_asked(tmp_path, sharding):
    now = [0.0]
    checkpoint = DiskCheckpoint(tmp_path / "chunk", 10, clock=lambda: now[0])
    now[0] = 599
    checkpoint.offer(pytest.fail)
    now[0] = 600
    checkpoint.offer(lambda: state(sharding))
    now[0] = 1199
    checkpoint.offer(pytest.fail)
    DiskCheckpoint(tmp_path / "never", 0, clock=lambda: 1e9).offer(pytest.fail)


@pytest.mark.parametrize("change", ["shape", "version", "damage"])
def test_a_checkpoint_that_does_not_fit_is_one_line(tmp_path, sharding, monkeypatch, caplog, change):
    kept = state(sharding)
    ticks = iter([0, 61, 62, 63])
    DiskCheckpoint(tmp_path / "chunk", 1, clock=lambda: next(ticks)).offer(lambda: kept)
    wanted = like(kept[1])
    if change == "shape":
        wanted = (jax.ShapeDtypeStruct((5,), jnp.float32, sharding=sharding), *wanted[1:])
    if change == "version":
        monkeypatch.setattr("jaxgen.runs.checkpoints.VERSION", 99)
    if change == "damage":
        for path in (tmp_path / "chunk").rglob("*"):
            if path.is_file():
                path.write_bytes(b"")
    with pytest.raises(UserError, match=r"chunk.*: the checkpoint .*; remove .*chunk"):
        DiskCheckpoint(tmp_path / "chunk", 1).restore(wanted)
    assert not [record for record in caplog.records if record.name == "asyncio"]


@pytest.mark.parametrize(("done", "said"), [(0, []), (3, ["3 of 10 models are kept from earlier calls; 7 to train"])])
def test_a_job_that_goes_on_says_what_is_kept(done, said):
    lines = []
    trainer = types.SimpleNamespace(run_groups={"a": None, "b": None}, log=lines.append)
    wanted, missing = {"a": [Span(0, 5)], "b": [Span(0, 5)]}, {"a": [Span(done, 5)], "b": [Span(0, 5)]}
    tell_kept(trainer, types.SimpleNamespace(wanted=lambda: wanted, missing=lambda: missing))
    assert lines == said


class Stopped(BaseException):
    """As an interrupt: no failure of the chunk."""


@pytest.mark.slow
def test_a_job_killed_within_a_chunk_goes_on_in_its_middle(tmp_path, monkeypatch):
    images, labels = blobs(60)
    job = {**FLAGS, "epochs": 6, "num_runs": 4, "checkpoint_minutes": 1e-9}
    expected = jaxgen.estimate_scores(images, labels, **job)
    monkeypatch.setattr("jaxgen.jobs.trainer.SECONDS_PER_CALL", 0.0)
    offer, offers = DiskCheckpoint.offer, []

    def offer_and_die(self, state):
        offer(self, state)
        offers.append(1)
        if len(offers) == 5:
            raise Stopped

    monkeypatch.setattr(DiskCheckpoint, "offer", offer_and_die)
    with pytest.raises(Stopped):
        jaxgen.estimate_scores(images, labels, out=str(tmp_path), **job)
    assert len(list(tmp_path.glob("store/*/*/*.checkpoint/*"))) == 1
    resumed = jaxgen.estimate_scores(images, labels, out=str(tmp_path), **job)
    np.testing.assert_array_equal(resumed.scores, expected.scores)
    np.testing.assert_array_equal(resumed.heldout_accuracy, expected.heldout_accuracy)
    # Six epochs of four steps, one a call: none was taken twice.
    assert len(offers) == 24
    assert not list(tmp_path.glob("store/*/*/*.checkpoint"))


def saved(tmp_path, **flags):
    images, labels = blobs(60, side=8)
    dataset = make_dataset("mine", images, labels, source="mine", class_names=["a", "b", "c"])
    spec = spec_from_values(CscoreSpec, {**FLAGS, "save_models": True, "out": str(tmp_path), **flags})
    [(_, scores)] = cscore.score_settings(dataset, spec, QUIET)
    return dataset, scores


BATCH_NORM = {"model": "convnet", "norm": "batch", "num_runs": 2}


@pytest.mark.parametrize(
    "flags", [pytest.param({}, id="mlp"), pytest.param(BATCH_NORM, id="batch norm", marks=pytest.mark.slow)]
)
def test_a_saved_model_predicts_what_it_was_examined_with(tmp_path, flags):
    dataset, scores = saved(tmp_path, **flags)
    paths = sorted((tmp_path / "models" / "ratio_0.5").iterdir())
    assert [path.name for path in paths] == [f"{run:06d}.npz" for run in range(scores.num_runs)]
    store = next(tmp_path.glob("store/*/ratio_0.5/*.npz"))
    with np.load(store) as file:
        correct = np.unpackbits(file["correct"], axis=1, count=60)
        runs = file["run"]
    compiled = apply_network._cache_size()
    for row, run in enumerate(runs):
        model = jaxgen.load_model(paths[run])
        logits = model.predict(dataset.images)
        assert logits.shape == (60, 3)
        assert ((logits.argmax(1) == dataset.labels) != correct[row]).sum() <= 1
        assert model.description["class_names"] == ["a", "b", "c"]
    assert len(runs) > 1
    assert apply_network._cache_size() <= compiled + 1, "models of one network are compiled once"


def saved_models_of(dataset, folder):
    """Each of the models of a small job on the data, and which examples its store says that it gets right."""
    spec = spec_from_values(CscoreSpec, {**FLAGS, "save_models": True, "out": str(folder), "num_runs": 2})
    cscore.score_settings(dataset, spec, QUIET)
    [store] = folder.glob("store/*/ratio_0.5/*.npz")
    with np.load(store) as file:
        correct = np.unpackbits(file["correct"], axis=1, count=60)
    for run in range(2):
        yield jaxgen.load_model(folder / "models" / "ratio_0.5" / f"{run:06d}.npz"), correct[run]


@pytest.mark.parametrize("kind", ["features", "wide floats"])
def test_a_saved_model_takes_raw_values(tmp_path, kind):
    """Standardized columns and stretched images are put right again: held-out answers are those of the store."""
    images, labels = blobs(60)
    raw = images.reshape(60, -1) * 7.0 + 100 if kind == "features" else images * 9.0 - 300
    dataset = make_dataset("mine", raw, labels, source="mine")
    for model, correct in saved_models_of(dataset, tmp_path):
        assert ((model.predict(raw).argmax(1) == labels) != correct).sum() <= 1


def test_a_saved_model_normalizes_as_in_training(tmp_path):
    """Contrasts are low, so that a model that did not would answer otherwise."""
    images, labels = blobs(60)
    dataset = make_dataset("mine", 100 + images[..., None] // 8, labels, source="mine")
    dataset = with_normalized_channels(dataset, True, "mine")
    for model, correct in saved_models_of(dataset, tmp_path):
        assert ((model.predict(dataset.images).argmax(1) == labels) != correct).sum() <= 1
        mean, deviation = dataset.channel_moments
        by_hand = (dataset.images / np.float32(255) - np.float32(mean)) / np.float32(deviation)
        np.testing.assert_allclose(model.network_inputs(dataset.images), by_hand, atol=1e-5)
        unnormalized = jaxgen.runs.saved_models.LoadedModel(
            model.network, model.variables, {**model.description, "channel_moments": None}
        )
        assert (unnormalized.predict(dataset.images) != model.predict(dataset.images)).any()


def test_a_model_that_normalizes_no_channels_is_described_as_before_and_a_wrong_one_refused(tmp_path):
    saved(tmp_path, num_runs=2)
    path = tmp_path / "models" / "ratio_0.5" / "000000.npz"
    with np.load(path) as file:
        arrays = dict(file)
    description = json.loads(str(arrays["description"]))
    assert "channel_moments" not in description
    wrong = json.dumps({**description, "channel_moments": [[0.5, 0.5], [1.0, 1.0]]})
    np.savez(path, **{**arrays, "description": np.asarray(wrong)})
    with pytest.raises(UserError, match="is no model kept by --save_models"):
        jaxgen.load_model(path)


def test_examples_of_another_kind_are_refused(tmp_path):
    dataset, _ = saved(tmp_path, num_runs=2)
    model = jaxgen.load_model(tmp_path / "models" / "ratio_0.5" / "000000.npz")
    assert repr(model) == "mlp on 8x8x1, 3 classes, run 0"
    plain = model.predict(dataset.images)
    np.testing.assert_array_equal(model.predict(dataset.images[..., 0].astype(float)), plain)
    for wrong in (dataset.images[0], dataset.images.transpose(0, 3, 1, 2), dataset.images.reshape(60, -1)):
        with pytest.raises(UserError, match=r"needed: \[any number, 8, 8, 1\]"):
            model.predict(wrong)
    with pytest.raises(UserError, match="whole numbers from 0 to 255"):
        model.predict(dataset.images / 255)


@pytest.mark.slow
def test_models_of_a_sweep_say_whose_they_are(tmp_path):
    images, labels = blobs(60)
    dataset = make_dataset("mine", images, labels, source="mine", class_names=["a", "b", "c"])
    lists = {"weight_decay": (0.0, 0.1, 10.0), "num_runs": 2, "precision": "bf16"}
    spec = spec_from_values(CscoreSpec, {**FLAGS, "save_models": True, "out": str(tmp_path), **lists})
    cscore.score_settings(dataset, spec, QUIET)
    norms = {}
    for decay in ("0", "0.1", "10"):
        for run in range(2):
            path = tmp_path / "models" / "ratio_0.5" / f"weight_decay={decay}" / f"{run:06d}.npz"
            model = jaxgen.load_model(path)
            assert (model.description["setting"], model.description["run"]) == (f"weight_decay={decay}", run)
            assert model.description["precision"] == "bf16"
            assert model.predict(dataset.images).dtype == np.float32
            norms.setdefault(run, []).append(sum(np.sum(leaf**2) for leaf in jax.tree.leaves(model.variables)))
    assert all(none > some > much for none, some, much in norms.values())


def test_models_of_a_finished_job_cannot_be_kept_later(tmp_path):
    saved(tmp_path, save_models=False)
    with pytest.raises(UserError, match=r"--save_models: 4 finished models .* were not kept"):
        saved(tmp_path)


def test_a_model_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot be written .* 0 of 4 models are done and kept"):
        saved(tmp_path)


def test_room_for_models_is_looked_for_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 0, 10**7 + 5000))
    with pytest.raises(UserError, match="disk has"):
        saved(tmp_path)


def test_what_is_no_model_is_one_line(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"nothing")
    np.savez(tmp_path / "y.npz", a=1)
    for name in ("x.npz", "y.npz", "z.npz"):
        with pytest.raises(UserError, match=f"{name}: is no model kept by --save_models"):
            jaxgen.load_model(tmp_path / name)
