"""Oversampling: who has which examples and copies, what noise does to copies alone, what is compared and said."""

import csv
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ttest_rel

from jaxgen import UserError
from jaxgen.config import OversamplingSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.data.checks import make_dataset
from jaxgen.engine.ensemble import Ensemble
from jaxgen.engine.member_inputs import network_inputs
from jaxgen.engine.members import Examples
from jaxgen.experiments.oversampling import samples
from jaxgen.experiments.oversampling.job import make_job, make_rows, make_run_groups, make_workload
from jaxgen.experiments.oversampling.measure import measure_job
from jaxgen.experiments.oversampling.report import make_report, setting_rows, summary_rows
from jaxgen.experiments.oversampling.settings import choose_sizes
from jaxgen.experiments.oversampling.takeaways import take_away
from jaxgen.jobs.dry_run import describe_workload
from jaxgen.jobs.program import make_ensemble_config, make_kernels
from jaxgen.jobs.session import QUIET
from jaxgen.reporting.statements import state_together
from jaxgen.scores.paired import compare, describe_difference, describe_p
from jaxgen.transforms.copies import disturb
from jaxgen.types import ChannelMoments
from support.data import blobs
from support.written import written

FLAGS = {"hidden": (16,), "epochs": 6, "batch_size": 8, "learning_rate": 0.1, "num_runs": 3, "width": 4}
FLAGS |= {"sample_sizes": (24, 48)}
NOTHING = "leaves nothing of --sample_sizes=8 to train on; lower it, or give larger samples"
ARMS = {"arm": ("plain", "duplicates", "uniform"), "uniform_noise": (0.0, 0.5), "split": ("before", "after")}


def spec_of(folder="", **flags):
    return spec_from_values(OversamplingSpec, {**FLAGS, "out": str(folder), **flags})


def run(dataset, folder, **flags):
    job = make_job(dataset, spec_of(folder, **flags))
    return job, measure_job(job, QUIET)


def stated(*arguments, **named):
    """The statements that hold after the correction for all tests behind them."""
    return state_together(take_away, *arguments, **named).lines


@pytest.fixture(scope="module")
def data():
    images, labels = blobs(120)
    tests, test_labels = blobs(30, seed=1)
    return make_dataset("mine", images, labels, source="mine", test_images=tests, test_labels=test_labels)


@pytest.fixture(scope="module")
def copied(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("copied")
    job, results = run(data, folder, **ARMS)
    return folder, job, results


@functools.cache
def compiled_make_member(program):
    return jax.jit(functools.partial(program.make_member, program))


def make_member(job, setting, size, run=0):
    """A member of the job's first program, by its setting's name: on the host; its key; its places; which it has."""
    program = job.programs[0]
    [number] = [i for i, each in enumerate(program.settings) if each.name == setting]
    row = make_rows(program, size, np.array(run * len(program.settings) + number))
    who = compiled_make_member(program)(row, Examples(job.dataset.images, job.dataset.labels))
    places = samples.make_layout(job.largest, max(each.spec.copies.num_copies for each in program.settings))
    return jax.tree.map(np.asarray, who._replace(key=None)), who.key, places, samples.is_present(row.sample, places)


def read_cell(job, run_group):
    chunks = list(make_workload(job).open_store().runs(run_group))
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def kept(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_a_sample_by_hand():
    assert samples.make_sample(20, dev_share=0.1, copied_share=0.5, num_copies=2, leaky=False) == (20, 2, 9, 2, 0)
    # Half of 20 examples copied twice make 40, of which a tenth is for development.
    sample = samples.make_sample(20, dev_share=0.1, copied_share=0.5, num_copies=2, leaky=True)
    assert sample == (20, 4, 10, 2, 1)
    assert sample.num_train == 36
    assert samples.make_sample(20, dev_share=0.0, copied_share=0.0, num_copies=0, leaky=False).num_train == 20
    assert samples.make_sample(4, dev_share=0.1, copied_share=0.01, num_copies=1, leaky=False)[:3] == (4, 1, 1)


def test_places_by_hand():
    places = samples.make_layout(3, 1)
    assert places.copy.tolist() == [0, 0, 0, 1, 1, 1]
    assert places.example.tolist() == [0, 1, 2, 0, 1, 2]
    present = samples.is_present(samples.Sample(2, 1, 1, 1, 0), places)
    assert present.tolist() == [True, True, False, True, False, False]
    trained_on = samples.train_mask(jax.random.key(0), samples.Sample(2, 1, 1, 1, 0), places, may_leak=True)
    assert trained_on.tolist() == [True, False, False, True, False, False]


@pytest.mark.parametrize("size", [24, 48])
@pytest.mark.parametrize(("copied_share", "num_copies"), [(1.0, 1), (0.4, 3)])
def test_what_development_has_is_never_copied(data, size, copied_share, num_copies):
    job = make_job(data, spec_of(arm="uniform", copied_share=copied_share, num_copies=num_copies, dev_share=0.25))
    for number in range(3):
        who, _, places, present = make_member(job, "uniform", size, number)
        dev = present & ~who.trained_on
        assert (places.copy[dev] == 0).all()
        assert dev.sum() == size // 4
        learnt, judged = who.rows[who.trained_on], who.rows[dev]
        assert not {*learnt} & {*judged}
        originals, copies = (who.rows[who.trained_on & (places.copy == i)] for i in (0, 1))
        assert len({*originals}) == len(originals) == size - size // 4
        assert len(copies) == round(copied_share * len(originals))
        assert {*copies} <= {*originals}
        assert len(learnt) == len(originals) + num_copies * len(copies)


@pytest.mark.slow
def test_a_leaky_split_has_copies_of_what_is_judged(copied):
    _, job, _ = copied
    who, _, places, present = make_member(job, "uniform,uniform_noise=0.5,split=after", 48)
    dev = present & ~who.trained_on
    assert dev.sum() == 10
    assert (places.copy[dev] == 1).any()
    assert {*who.rows[dev]} & {*who.rows[who.trained_on]}
    assert who.trained_on.sum() + dev.sum() == 2 * 48


def test_smaller_samples_are_parts_of_larger_ones_and_the_same_for_all_arms(copied):
    _, job, _ = copied
    first = {}
    for setting in (each.name for each in job.settings):
        for size in (24, 48):
            who, _, places, present = make_member(job, setting, size)
            first[setting, size] = who.rows[present & (places.copy == 0)].tolist()
            assert len({*first[setting, size]}) == size
            assert first[setting, size] == first["plain", 48][:size] if ("plain", 48) in first else True
            np.testing.assert_array_equal(who.labels, job.dataset.labels[who.rows])
    other = make_member(job, "plain", 48, run=1)[0].rows[:48].tolist()
    assert other != first["plain", 48]
    assert {*other} != {*first["plain", 48]}


def test_every_example_is_drawn_equally_often():
    keys = jax.random.split(jax.random.key(5), 200)
    rows = jax.jit(jax.vmap(lambda key: samples.draw_rows(key, 60, samples.make_layout(30, 0))))(keys)
    # Of 200 draws of half of all: standard deviation 7.1.
    assert abs(np.bincount(rows.ravel(), minlength=60) - 100).max() < 30


def test_one_program_serves_all_sizes_and_numeric_arms(data):
    flags = {"arm": ("plain", "duplicates", "uniform", "gaussian", "salt_and_pepper"), "clipped": ("no", "yes")}
    flags |= {
        "copied_share": (0.5, 1.0),
        "num_copies": (1, 2),
        "uniform_noise": (0.1, 0.5),
        "split": ("before", "after"),
    }
    job = make_job(data, spec_of(num_runs=1, **flags))
    [program] = job.programs
    assert len(program.settings) == 1 + 8 + 32 + 16 + 8
    ensemble = Ensemble(make_ensemble_config(data, program, make_kernels(program)), data, jax.devices())
    for run_group in make_run_groups(job, program).values():
        ensemble.train(run_group.rows(np.arange(4)), 2, run_group.max_size, 1000)
    assert sorted(ensemble.compiled) == [("advance", 2), ("finish", 2), ("start", 2)]


def test_augmentation_is_its_own_arms_alone(data):
    job = make_job(data, spec_of(arm=("plain", "augmented"), flip=0.5, crop=1))
    plain, augmented = job.programs
    assert (plain.in_use, augmented.in_use) == (frozenset(), {"flip", "crop"})
    assert (plain.name, augmented.name) == ("", "augmented")
    assert plain.input_transform is augmented.input_transform is None
    assert plain.num_examples == augmented.num_examples == 48
    usual = make_job(data, spec_of(arm="augmented")).programs[0]
    assert usual.in_use == {"translate"}


def test_no_width_is_an_exact_copy_to_the_bit(copied):
    values = jnp.array([0.0, -0.0, 0.3, 1.0], jnp.float32)
    widths = dict.fromkeys(("uniform_noise", "gaussian_noise", "salt_and_pepper"), jnp.float32(0))
    found = disturb(jax.random.key(0), values, widths=widths, clipped=jnp.float32(0), low=0.0, high=1.0)
    assert np.asarray(found).tobytes() == np.asarray(values).tobytes()
    _, _, results = copied
    for split in ("before", "after"):
        exact = kept(results.measured, setting=f"duplicates,split={split}")
        noiseless = kept(results.measured, setting=f"uniform,uniform_noise=0,split={split}")
        noisy = kept(results.measured, setting=f"uniform,uniform_noise=0.5,split={split}")
        for one, other, apart in zip(exact, noiseless, noisy, strict=True):
            told = ("train_accuracy", "dev_accuracy", "test_accuracy", "final_loss")
            assert [one[name] for name in told] == [other[name] for name in told]
            assert one["final_loss"] != apart["final_loss"]


@pytest.mark.slow
def test_examples_are_shown_as_they_are_and_copies_with_their_own_noise(copied):
    _, job, _ = copied
    program = job.programs[0]
    who, key, *_ = make_member(job, "uniform,uniform_noise=0.5,split=before", 48)
    who = who._replace(key=key)
    inputs = jnp.broadcast_to(jnp.linspace(0, 1, 16, dtype=jnp.float32).reshape(1, 4, 4, 1), (96, 4, 4, 1))
    shown = np.asarray(program.input_transform(who, jnp.arange(96), inputs))
    added = shown - np.asarray(inputs)
    assert (added[:48] == 0).all()
    assert (added[48:] >= 0).all()
    assert added[48:].max() < 0.5 + 1e-6
    assert len(np.unique(added[48:, 0, 0, 0])) == 48
    # The same whenever, and beside whomever, it is seen.
    again = program.input_transform(who, jnp.array([50, 3]), inputs[:2])
    np.testing.assert_array_equal(again[0], shown[50])
    # And in a job of smaller samples, where it has another place.
    small = make_job(job.dataset, spec_of(**{**ARMS, "sample_sizes": (24,)})).programs[0]
    np.testing.assert_array_equal(small.input_transform(who, jnp.array([24 + 2]), inputs[:1])[0], shown[48 + 2])


@pytest.mark.slow
def test_accuracies_are_those_of_the_weights_on_what_was_shown(data):
    """Development and test examples as they are, copies noisy: by the network's own answers, one by one."""
    arms = ("uniform", "gaussian", "salt_and_pepper")
    job = make_job(data, spec_of(arm=arms, num_copies=2, dev_share=0.25, sample_sizes=(40, 48)))
    [program] = job.programs
    ensemble = Ensemble(make_ensemble_config(data, program, make_kernels(program)), data, jax.devices()[:1])
    weights = {}
    run_group = make_run_groups(job, program)["size_40"]
    outcome = ensemble.train(run_group.rows(np.arange(3)), 3, run_group.max_size, 100, on_weights=weights.__setitem__)
    predict, show = jax.jit(ensemble.config.learner.predict), jax.jit(program.input_transform)
    tests = network_inputs(ensemble.config, jnp.asarray(data.test_images))
    for number, arm in enumerate(arms):
        who, key, places, present = make_member(job, arm, 40)
        raw = network_inputs(ensemble.config, jnp.asarray(data.images)[who.rows])
        shown = show(who._replace(key=key), jnp.arange(len(raw)), raw)
        right = np.argmax(predict(weights[number], shown), -1) == who.labels
        assert (np.unpackbits(outcome.correct[number], count=144).astype(bool) != right)[present].sum() <= 1
        np.testing.assert_array_equal(np.unpackbits(outcome.trained_on[number], count=144), who.trained_on)
        dev = present & ~who.trained_on
        np.testing.assert_array_equal(shown[dev], raw[dev])
        assert not np.array_equal(shown[present & (places.copy == 1)], raw[present & (places.copy == 1)])
        right = np.argmax(predict(weights[number], tests), -1) == data.test_labels
        assert (np.unpackbits(outcome.test_correct[number], count=30) != right).sum() <= 1


def noise(name, width, *, clipped=0.0, low=0.0, high=1.0, level=0.5, seed=0):
    values = jnp.full((300, 300, 1), level, jnp.float32)
    widths = {name: jnp.float32(width)}
    found = disturb(jax.random.key(seed), values, widths=widths, clipped=jnp.float32(clipped), low=low, high=high)
    return np.asarray(found)


def test_noise_is_distributed_as_it_is_named():
    """Of 90,000 values: standard errors are a three-hundredth of the deviations."""
    uniform = noise("uniform_noise", 0.5) - 0.5
    assert uniform.min() >= 0
    assert uniform.max() <= 0.5
    np.testing.assert_allclose([uniform.mean(), uniform.std()], [0.25, 0.5 / np.sqrt(12)], atol=0.002)
    gaussian = noise("gaussian_noise", 0.3) - 0.5
    np.testing.assert_allclose([gaussian.mean(), gaussian.std()], [0, 0.3], atol=0.004)
    assert np.isfinite(gaussian).all()
    np.testing.assert_allclose(np.mean(np.abs(gaussian) > 0.6), 0.0455, atol=0.003)
    extremes = noise("salt_and_pepper", 0.2)
    np.testing.assert_allclose([np.mean(extremes == end) for end in (0, 0.5, 1)], [0.1, 0.8, 0.1], atol=0.005)
    np.testing.assert_array_equal(noise("uniform_noise", 0.5, seed=3), noise("uniform_noise", 0.5, seed=3))
    assert np.corrcoef(noise("uniform_noise", 0.5).ravel(), noise("uniform_noise", 0.5, seed=1).ravel())[0, 1] < 0.02


def test_clipping_keeps_the_range_and_nothing_else_does():
    free, cut = (noise("uniform_noise", 0.5, level=0.8, clipped=clipped) for clipped in (0.0, 1.0))
    assert free.max() > 1.2
    np.testing.assert_array_equal(cut, np.minimum(free, 1))
    assert noise("gaussian_noise", 0.3, clipped=1.0).min() == 0


def test_extremes_of_features_are_each_features_own():
    low, high = np.array([-1, -2], np.float32), np.array([3, 4], np.float32)
    values = jnp.zeros(2, jnp.float32)
    found = {
        tuple(
            disturb(
                jax.random.key(seed),
                values,
                widths={"salt_and_pepper": jnp.float32(1)},
                clipped=jnp.float32(0),
                low=low,
                high=high,
            ).tolist()
        )
        for seed in range(40)
    }
    assert found == {(-1, -2), (-1, 4), (3, -2), (3, 4)}


@pytest.mark.slow
def test_rows_of_features_do_as_well(data, tmp_path):
    flat = make_dataset(
        "rows",
        data.images.reshape(120, -1).astype(np.float32),
        data.labels,
        source="rows",
        test_images=data.test_images.reshape(30, -1).astype(np.float32),
        test_labels=data.test_labels,
    )
    job, results = run(flat, tmp_path, arm=("plain", "gaussian"), clipped="yes", num_runs=2, sample_sizes=(48,))
    assert np.mean([row["test_accuracy"] for row in results.measured]) > 0.5
    assert "| mlp | 2 | 4 | 4 |" in describe_workload(make_workload(job), QUIET)
    [augmented] = make_job(flat, spec_of(arm="augmented")).programs
    assert augmented.in_use == {"input_noise"}


def test_a_row_counts_what_the_member_had(copied):
    _, job, results = copied
    [row] = kept(results.measured, setting="duplicates,split=before", sample_size=48, run=1)
    told = ("num_train", "num_dev", "num_copied", "steps", "arm", "split", "epochs")
    assert [row[name] for name in told] == [2 * 43, 5, 43, 6 * 11, "duplicates", "before", "6"]
    [plain] = kept(results.measured, setting="plain", sample_size=48, run=1)
    assert [plain[name] for name in told] == [43, 5, 0, 6 * 6, "plain", "before", "6"]
    assert [row["run"] for row in results.measured[:4]] == [0, 1, 2, 0]
    assert len(results.measured) == 3 * 2 * 7
    arrays = read_cell(job, "size_48")
    [number] = [i for i, each in enumerate(job.settings) if each.name == "duplicates,split=before"]
    place = arrays["run"].tolist().index(1 * 7 + number)
    who, _, _, present = make_member(job, "duplicates,split=before", 48, run=1)
    right = np.unpackbits(arrays["correct"][place], count=96).astype(bool)
    assert row["dev_accuracy"] == pytest.approx(right[present & ~who.trained_on].mean())
    assert row["train_accuracy"] == pytest.approx(right[who.trained_on].mean())
    # Copies without noise are got right with what they are copies of.
    assert right[48 : 48 + 43].tolist() == right[:43].tolist()


@pytest.mark.slow
def test_a_job_is_resumed_and_extended_to_the_same_arrays(copied, data, tmp_path):
    _, whole_job, whole = copied
    _, first = run(data, tmp_path, **ARMS, num_runs=2, sample_sizes=(48,))
    assert first.models_now == 14
    _, again = run(data, tmp_path, **ARMS, num_runs=2, sample_sizes=(48,))
    assert again.models_now == 0
    assert str(again.measured) == str(first.measured)
    job, more = run(data, tmp_path, **ARMS)
    assert more.models_now == 42 - 14
    timeless = [[row | {"seconds": 0} for row in rows] for rows in (more.measured, whole.measured)]
    assert str(timeless[0]) == str(timeless[1])
    for run_group in ("size_24", "size_48"):
        one, other = (read_cell(each, run_group) for each in (job, whole_job))
        for name in one.keys() - {"seconds"}:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    with pytest.raises(UserError, match="the largest of --sample_sizes is 48 there and 60 here"):
        run(data, tmp_path, **ARMS, sample_sizes=(48, 60))


@pytest.mark.slow
def test_a_leaky_split_flatters(tmp_path):
    """Labels that mean nothing: who has seen a copy knows them, and nobody else."""
    rng = np.random.default_rng(0)
    images, labels = rng.random((200, 24)).astype(np.float32), rng.integers(0, 2, 200)
    tests = {"test_images": images[100:], "test_labels": labels[100:]}
    noisy = make_dataset("noise", images[:100], labels[:100], source="noise", **tests)
    flags = {"arm": "gaussian", "split": ("before", "after"), "sample_sizes": (80,), "epochs": 60, "momentum": 0.9}
    flags |= {"learning_rate": 0.03, "gaussian_noise": 0.1}
    job, results = run(noisy, tmp_path, **flags, num_runs=8, dev_share=0.25, hidden=(64,))
    honest, leaky = (
        np.array([row["dev_accuracy"] for row in kept(results.measured, split=split)]) for split in ("before", "after")
    )
    assert leaky.mean() > 0.75
    assert 0.3 < honest.mean() < 0.7
    [said] = [one for one in stated(results.measured, job.shared_flags) if "leaky" in one]
    assert "split=after: the leaky split changes development accuracy by +" in said
    assert "(n = 8)" in said


def test_the_rest_is_what_no_sample_is_drawn_from(data):
    job = make_job(data, spec_of(test_set="rest"))
    assert (len(job.dataset.labels), len(job.dataset.test_labels)) == (48, 72)
    assert np.bincount(job.dataset.labels).tolist() == [16, 16, 16]
    whole = {image.tobytes() for image in data.images}
    own, tests = ({image.tobytes() for image in part} for part in (job.dataset.images, job.dataset.test_images))
    assert own | tests == whole
    assert len(own) + len(tests) == 120
    assert not own & tests


def test_sizes_suit_the_data(data):
    def chosen(count, log=None, **flags):
        labels = np.arange(count) % 3
        return choose_sizes(spec_of(**{"sample_sizes": (), **flags}), dataclasses.replace(data, labels=labels), log)

    assert chosen(8000) == chosen(60000) == (500, 1000, 1500, 2000, 2500, 3000, 4000)
    assert chosen(1437, batch_size=32) == (89, 179, 269, 359, 449, 538, 718)
    told = []
    assert chosen(120) == (15, 22, 30, 37, 45, 60)
    assert chosen(120, batch_size=20, log=told.append) == (22, 30, 37, 45, 60)
    assert told == ["samples of 7, 15 examples are left out: less than 20, a batch or one a class"]
    assert chosen(120, sample_sizes=(48, 24)) == (24, 48)


def test_the_lecture_is_the_default():
    spec = OversamplingSpec()
    assert (spec.model.model, spec.model.hidden, spec.num_runs) == ("mlp", (64, 32), 20)
    train = spec.train
    assert (train.optimizer, train.learning_rate, train.momentum, train.batch_size, train.epochs) == (
        ("sgd", 0.01, 0.0, 32, 50)
    )
    assert (spec.copies.uniform_noise, spec.copies.clipped, spec.copies.num_copies) == (0.5, "no", 1)
    assert (spec.copies.dev_share, spec.copies.split) == (0.1, "before")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"sample_sizes": (121,)}, "--sample_sizes=121: mine has 120 training examples; give at most so many"),
        ({"sample_sizes": (48, 7)}, "--sample_sizes=7: is less than a batch of 8; give more, or a lower --batch_size"),
        ({"sample_sizes": (2,), "batch_size": 1}, "--sample_sizes=2: is less than one example for each of 3 classes"),
        ({"sample_sizes": (24, 24)}, "--sample_sizes=24,24: give numbers of examples, each 1 or more, and none twice"),
        ({"sample_sizes": (), "batch_size": 64}, "--sample_sizes=: half of the 120 training examples of mine is less"),
        ({"arm": ("plain", "noisy")}, "--arm=plain,noisy: noisy must be one of plain, duplicates, uniform, gaussian"),
        ({"num_copies": 0}, "--num_copies=0: copies nothing; --arm=plain does that"),
        ({"copied_share": (0.5, 0.0)}, "--copied_share=0.5,0: copies nothing; --arm=plain does that"),
        ({"salt_and_pepper": 1.5}, "--salt_and_pepper=1.5: must be at least 0 and at most 1"),
        ({"arm": "uniform", "flip": 0.5}, "--flip=0.5: is for --arm=augmented; add that, or leave it out"),
        ({"test_set": "rest", "sample_sizes": (119,)}, "--test_set=rest: 119 of 120 examples in 3 classes"),
        ({"uniform_noise": tuple(i / 1000 for i in range(2000))}, "12,030 members"),
        ({"model": "convnot"}, "convnot"),
        ({"sample_sizes": (100, 8), "dev_share": 0.99, "arm": "plain"}, f"--dev_share=0.99: {NOTHING}"),
        ({"sample_sizes": (100, 8), "dev_share": 0.99}, f"--dev_share=0.99: {NOTHING}"),
        ({"sample_sizes": (8,), "dev_share": 0.99, "arm": "duplicates", "split": "after"}, NOTHING),
    ],
)
def test_mistakes_are_refused_in_one_line(data, flags, said):
    with pytest.raises(UserError) as caught:
        make_job(data, spec_of(**flags))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whitened_pixels_are_refused(data):
    with pytest.raises(UserError, match=r"--whiten: noise is added to pixels in \[0, 1\]"):
        make_job(dataclasses.replace(data, whiten=True), spec_of())
    with pytest.raises(UserError, match=r"--normalize_channels: noise is added to pixels in \[0, 1\]"):
        make_job(dataclasses.replace(data, channel_moments=ChannelMoments((0.5,), (0.2,))), spec_of())


def test_files_hold_what_was_found(copied):
    folder, job, results = copied
    text, files = written(make_report(job, results), "jaxgen.oversampling", "python -m jaxgen.oversampling")
    assert {"table.md", "results.csv"} <= {file.name for file in files}
    assert all(file.stat().st_size for file in files)
    with open(folder / "results.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["setting"] for row in rows] == [row["setting"] for row in results.measured]
    assert {"arm", "uniform_noise", "split", "sample_size", "run", "learning_rate", "flip"} <= rows[0].keys()
    table = (folder / "table.md").read_text()
    assert "| setting | unique samples | trained on | steps | train | dev | test | test - plain | p |" in table
    assert "| duplicates,split=before | 48 | 86 | 66 |" in table
    assert "42 models trained" in text
    assert "--sample_sizes=24,48" in (folder / "flags.cfg").read_text()


def test_differences_are_those_of_a_paired_t_test():
    rng = np.random.default_rng(0)
    own, other = rng.random((2, 9))
    test = ttest_rel(own, other)
    found = compare((own - other).tolist())
    np.testing.assert_allclose(found[:4], [np.mean(own - other), *test.confidence_interval(0.95), test.pvalue])
    assert found.n == 9
    # All the same: there is no spread to go by, and three heads in three throws are no wonder.
    assert describe_p(compare([0.1, 0.1, 0.1])) == "0.25"
    assert describe_difference(compare([0.1, 0.1, np.float32(0.1)])) == "+10.00"
    np.testing.assert_allclose(compare([0.2] * 4, 0.1), compare([0.1, 0.2, 0.2, 0.3], 0.1), atol=1e-12)
    assert describe_p(compare([0.0, 0.0])) == "1"
    assert describe_difference(compare([0.1])) == "+10.00"
    assert (describe_difference(compare([])), describe_p(compare([0.1]))) == ("—", "—")


def row_of(arm, run, size=100, test=0.8, dev=None, **known):
    row = {"setting": arm, "arm": arm, "run": run, "sample_size": size, "finite": True, "split": "before"}
    row |= {"num_copies": "1", "copied_share": "1", "uniform_noise": "0.5", "gaussian_noise": "0", "clipped": "no"}
    row |= {"salt_and_pepper": "0", "num_train": 180, "steps": 60, "train_accuracy": 0.9, "test_accuracy": test}
    return {**row, "dev_accuracy": test if dev is None else dev, **known}


JITTER = (0.0, 0.004, -0.004, 0.002, -0.002)


def made_rows(gains, sizes=(100, 200, 300), noise=JITTER, **known):
    """Five runs at each size, which are far apart; an arm gains what `gains` says, or says of the size."""
    return [
        row_of(arm, run, size, 0.5 + 0.03 * run + size / 2000 + (gain(size) if callable(gain) else gain) + own, **known)
        for arm, gain in gains.items()
        for size in sizes
        for run, jitter in enumerate(noise if arm != "plain" else (0.0,) * 5)
        # Arms that would all err alike would differ by a constant.
        for own in [-jitter if arm == "uniform" else jitter]
    ]


def test_an_arm_is_held_against_plain_and_against_exact_copies():
    rows = made_rows({"plain": 0.0, "duplicates": 0.05, "uniform": 0.08})
    table = {(row["setting"], row["sample_size"]): row for row in setting_rows(rows, ())}
    assert table["uniform", 200]["plain"].mean == pytest.approx(0.08)
    assert table["uniform", 200]["duplicates"].mean == pytest.approx(0.03)
    assert table["uniform", 200]["plain"].n == 5
    assert table["plain", 100]["plain"].n == table["duplicates", 100]["duplicates"].n == 0
    summary = {row["setting"]: row for row in summary_rows(rows, ())}
    assert summary["duplicates"]["plain"].mean == pytest.approx(0.05)
    said = stated(rows, ())
    # Less exact copies: the jitter is that of both.
    assert said == [
        "duplicates: +5.0 ± 0.3 points (n = 5) of test accuracy against plain, the mean over 3 sample sizes.",
        "uniform: +8.0 ± 0.3 points (n = 5) of test accuracy against plain, the mean over 3 sample sizes; against "
        "exact copies, which take as many steps, +3.0 ± 0.6 points (n = 5).",
    ]


def test_what_runs_do_not_bear_out_is_not_said():
    assert stated(made_rows({"plain": 0.0, "duplicates": 0.0005}), ()) == []
    few = [row for row in made_rows({"plain": 0.0, "duplicates": 0.05}) if row["run"] < 2]
    assert stated(few, ()) == []


def test_noise_that_changes_nothing_is_said_to_with_its_interval():
    rows = made_rows({"plain": 0.0, "duplicates": 0.05}) + made_rows({"uniform": 0.05}, noise=JITTER[::-1])
    [said] = [one for one in stated(rows, ()) if one.startswith("uniform")]
    assert "no difference from exact copies, which take as many steps, is shown: +0.00 [-0." in said


def test_a_gain_that_goes_with_the_sample_is_a_trend():
    said = stated(made_rows({"plain": 0.0, "duplicates": lambda size: 10 / size}), ())
    assert said[1].startswith(
        "duplicates: the difference from plain falls with the sample: +10.0 ± 0.3 points (n = 5) at"
    )
    assert "rank correlation over 3 sizes -1.00" in said[1]
    bent = stated(made_rows({"plain": 0.0, "duplicates": lambda size: 0.1 if size == 200 else 0.2}), ())
    assert not any("with the sample" in one for one in bent)


def test_flattering_development_is_said_of_whom_it_flatters():
    rows = [
        row | {"dev_accuracy": row["test_accuracy"] + 0.1 + JITTER[row["run"]]} for row in made_rows({"plain": 0.0})
    ]
    [said] = stated(rows, ())
    assert said.startswith("plain: development accuracy is 10.0 ± 0.3 points (n = 5) higher than test accuracy, the")


def test_settings_that_differ_otherwise_are_not_compared():
    rows = made_rows({"plain": 0.0, "duplicates": 0.05}, model="mlp")
    rows += [
        row | {"setting": f"{row['setting']},x", "test_accuracy": 0.1, "dev_accuracy": 0.1, "model": "linear"}
        for row in rows
    ]
    table = {(row["setting"], row["sample_size"]): row for row in setting_rows(rows, ("model",))}
    assert table["duplicates", 100]["plain"].mean == pytest.approx(0.05)
    assert table["duplicates,x", 100]["plain"].mean == 0


def test_who_diverged_is_left_out_of_pairs_and_counted():
    rows = made_rows({"plain": 0.0, "duplicates": 0.05})
    # Run 0 at two of three sizes.
    for place in (0, 5):
        rows[place] |= {"finite": False, "test_accuracy": 0.0}
    [plain] = [row for row in setting_rows(rows, ()) if (row["setting"], row["sample_size"]) == ("plain", 100)]
    assert (plain["n"], plain["diverged"]) == (4, 1)
    assert [row["plain"].n for row in setting_rows(rows, ()) if row["setting"] == "duplicates"] == [4, 4, 5]
    assert [row["plain"].n for row in summary_rows(rows, ()) if row["setting"] == "duplicates"] == [4]
    [plain] = [row for row in summary_rows(rows, ()) if row["setting"] == "plain"]
    assert (plain["n"], plain["diverged"]) == (4, 1), "both are runs"


def test_a_difference_between_chance_and_certainty_is_left_open():
    """p = 0.02: too little to be stated; it is not shown, and its own interval is told."""
    rows = made_rows({"plain": 0.0, "duplicates": 0.05}, noise=(0.0,) * 5)
    rows += made_rows({"uniform": 0.0525}, noise=(0.002, -0.002, 0.001, -0.001, 0.0))
    [said] = [one for one in stated(rows, ()) if one.startswith("uniform")]
    assert 0.01 < compare([0.0525 - 0.05 + one for one in (0.002, -0.002, 0.001, -0.001, 0.0)]).p < 0.05
    assert said.endswith("is shown: +0.25 [+0.05, +0.45] points.")
