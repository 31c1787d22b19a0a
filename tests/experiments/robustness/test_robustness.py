"""Robustness: what members see, what they are judged on, and what is said of that."""

import dataclasses
import re
import types

import jax
import numpy as np
import pytest
from sklearn.metrics import f1_score

from jaxgen import UserError
from jaxgen.config import RobustnessSpec
from jaxgen.config.corruption_names import CORRUPTIONS, STANDARD
from jaxgen.config.fields import spec_from_values
from jaxgen.data.checks import make_dataset
from jaxgen.data.score_files import write_scores
from jaxgen.engine.ensemble import Ensemble
from jaxgen.experiments.robustness.job import load_matching_scores, make_job, settings_of
from jaxgen.experiments.robustness.measure import corruption_indices
from jaxgen.experiments.robustness.report import cautions, make_report, summary_table
from jaxgen.experiments.robustness.run import measure_job
from jaxgen.experiments.robustness.score_groups import group_scores, still_correct_by_group
from jaxgen.experiments.robustness.takeaways import class_changes, state_hardest, state_settings, take_away
from jaxgen.experiments.robustness.versions import CLEAN, effective_corruptions, export_tests
from jaxgen.jobs.member_table import make_run_groups, make_workload
from jaxgen.jobs.program import make_ensemble_config, make_kernels
from jaxgen.jobs.session import QUIET
from jaxgen.reporting.statements import state_together
from jaxgen.scores.intervals import half_width
from jaxgen.transforms import corruptions
from jaxgen.types import Scores
from support.data import blobs
from support.scores import make_scores
from support.written import written

FLAGS = {"hidden": (16,), "epochs": 12, "batch_size": 8, "learning_rate": 0.05, "num_runs": 3, "width": 3}
JUDGED = {"corruptions": ("impulse_noise", "contrast"), "severities": (1, 5)}
SWEEP = {"train_modification": ("invert",), "train_severity": 5, "train_corruption": ("none", "contrast"), **JUDGED}


def write_ranks(data, path):
    """Scores that are the examples' places."""
    n = len(data.labels)
    scores = np.arange(n) / n
    known = {"labels": data.labels.astype(np.int64), "ids": data.ids, "scores": scores, "stderr": np.zeros(n)}
    known |= {"counts": np.ones((1, n), int), "scores_by_ratio": scores[None], "subset_ratios": np.array([0.5])}
    known |= {"class_names": np.array(["a", "b", "c"]), "heldout_accuracy": np.ones((1, 1))}
    write_scores(Scores(**known, reliability=np.zeros(0), num_runs=1, metadata={}), path)


def spec_of(folder="", **flags):
    return spec_from_values(RobustnessSpec, {**FLAGS, "out": str(folder), **flags})


def run(data, folder, **flags):
    job = make_job(data, spec_of(folder, **flags))
    return job, measure_job(job, QUIET)


@pytest.fixture(scope="module")
def data():
    images, labels = blobs(60, side=8)
    tests, test_labels = blobs(30, side=8, seed=1)
    return make_dataset(
        "mine", images, labels, source="mine", test_images=tests, test_labels=test_labels, class_names=["a", "b", "c"]
    )


@pytest.fixture(scope="module")
def swept(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    job, results = run(data, folder, **SWEEP)
    return folder, job, results


def test_the_names_are_those_of_the_transforms():
    assert tuple(corruptions.CORRUPTIONS) == CORRUPTIONS
    assert corruptions.STANDARD == STANDARD
    # The place of a corruption is part of its random draws: new ones go to the end.
    places = {"gaussian_noise": 0, "frost": 10, "elastic_transform": 16, "rotate": 24, "canny_edges": 31}
    assert {name: CORRUPTIONS.index(name) for name in places} == places


def test_versions_are_the_originals_then_what_was_asked_for(swept, data):
    _, job, _ = swept
    shown = job.versions.dataset
    assert job.versions.modified == {"none": 0, "invert": 1}
    assert job.versions.mixed == {"contrast": 2}
    np.testing.assert_array_equal(shown.images[:60], data.images)
    np.testing.assert_array_equal(shown.images[60:120], 255 - data.images)
    assert shown.images[120:].std() < data.images.std()
    assert shown.images[120:].shape == (60, 8, 8, 1)
    np.testing.assert_array_equal(shown.test_images[30:], 255 - data.test_images)
    names = [("none", 0), ("invert", 5), ("impulse_noise", 1), ("impulse_noise", 5), ("contrast", 1), ("contrast", 5)]
    assert list(job.versions.probe_versions) == names
    np.testing.assert_array_equal(shown.probes[:30], data.test_images)
    np.testing.assert_array_equal(shown.probes[30:60], shown.test_images[30:])
    assert corruption_indices(job) == {"impulse_noise": [2, 3], "contrast": [4, 5]}


def test_every_number_is_that_of_the_models_own_predictions(swept):
    """Trained once more, the kept weights predict what the rows say, on each version."""
    _, job, results = swept
    [program] = job.programs
    shown = job.versions.dataset
    config = make_ensemble_config(shown, program, make_kernels(program))
    ensemble, kept = Ensemble(config, shown, jax.devices()), {}
    run_group = make_run_groups(job, program)["all"]
    ensemble.train(
        run_group.rows(np.arange(6)),
        3,
        run_group.max_size,
        1000,
        on_weights=lambda i, weights: kept.update({i: weights}),
    )
    for number in (0, 2):
        setting = program.settings[number].name
        [one] = [each for each in results.measured if (each.row["setting"], each.row["run"]) == (setting, 0)]
        for version in range(len(job.versions.probe_versions)):
            images = shown.probes[30 * version : 30 * version + 30].astype(np.float32) * shown.scale
            predictions = np.asarray(config.learner.predict(kept[number], images)).argmax(1)
            right = predictions == shown.probe_labels
            assert one.accuracy[version] == pytest.approx(right.mean(), abs=1.01 / 30)
        scores = f1_score(shown.probe_labels, np.asarray(predictions), average=None)
        assert scores.shape == one.f1[0].shape
        assert one.row["test_accuracy"] == one.accuracy[0]
        assert one.row["corrupted_accuracy"] == pytest.approx(one.accuracy[2:].mean())
        assert one.row["robustness_drop"] == pytest.approx(one.accuracy[0] - one.accuracy[2:].mean())
        assert one.row["test_accuracy_contrast"] == pytest.approx(one.accuracy[4:].mean())
        assert one.row["test_accuracy_severity_5"] == pytest.approx(one.accuracy[[3, 5]].mean())
        assert one.row["test_accuracy_invert_test_set"] == one.accuracy[1]


def test_trained_on_inverted_images_it_is_right_on_inverted_ones(swept):
    _, _, results = swept
    assert {row["train_modification"] for row in results.rows} == {"none", "invert"}
    for row in results.rows:
        own, other = row["test_accuracy"], row["test_accuracy_invert_test_set"]
        assert (own > other) == (row["train_modification"] == "none")


def test_mce_is_relative_to_the_baseline(data, swept):
    _, job, results = swept
    errors, increases = {}, {}
    for one in results.measured:
        places = list(corruption_indices(job).values())
        sums = [(1 - one.accuracy[own]).sum() for own in places]
        errors.setdefault(one.row["setting"], []).append(sums)
        increases.setdefault(one.row["setting"], []).append(
            [(one.accuracy[0] - one.accuracy[own]).sum() for own in places]
        )
    base, base_increase = (np.mean(sums[results.baseline], axis=0) for sums in (errors, increases))
    lost = base_increase > 0
    assert lost.any()
    for one in results.measured:
        sums, more = (np.array(table[one.row["setting"]][one.row["run"]]) for table in (errors, increases))
        assert one.row["mce"] == pytest.approx((sums / base).mean())
        assert one.row["relative_mce"] == pytest.approx((more[lost] / base_increase[lost]).mean())
    assert np.mean([row["mce"] for row in results.rows if row["setting"] == results.baseline]) == pytest.approx(1)


def test_files_are_written_and_a_finished_job_is_only_read(swept, data):
    folder, job, results = swept
    text, files = written(make_report(job, results), "jaxgen.robustness", "a command")
    assert {"table.md", "results.csv"} <= {file.name for file in files}
    assert all(file.stat().st_size for file in files)
    assert text.startswith("12 models trained in")
    table = (folder / "table.md").read_text()
    assert "| trained on | test set | class |" in table
    assert table.count("| invert | original |") == 3
    assert summary_table(job, results) in table
    assert "| setting | impulse_noise | contrast | n |" in table
    assert "| setting | 0 (clean) | 1 | 5 | n |" in table
    for name in {setting.name for setting in job.settings}:
        # By setting, by corruption and by severity.
        lines = [line for line in table.splitlines() if line.startswith(f"| {name} |")]
        assert [line.split("|")[-2].strip() for line in lines] == ["3"] * 3
    assert "in curves.npz are on the test set modified as its training set is" in table
    assert "label noise, training accuracy" not in table
    _, again = run(data, folder, **SWEEP)
    assert again.members.models_now == 0
    assert str(again.rows) == str(results.rows)


def test_what_curves_and_training_accuracy_are_of_is_said(swept, data):
    _, job, results = swept
    for one, curve in zip(results.measured, results.curves["test_accuracy"], strict=True):
        own = "test_accuracy_invert_test_set" if one.row["train_modification"] == "invert" else "test_accuracy"
        assert curve[-1] == pytest.approx(one.row[own], abs=1e-6)
    noisy = make_job(data, spec_of(preset="none", label_noise=(0.0, 0.2), **JUDGED))
    assert cautions(noisy) == (
        " With label noise, training accuracy and gap are on the labels given, wrong ones included."
    )
    assert cautions(make_job(data, spec_of(preset="none", **JUDGED))) == ""
    assert "modified" in cautions(job)


def made_rows(setting, trained, gains, runs=5):
    """Rows of a setting whose accuracies under corruptions are 0.5 and a gain, apart from a little noise by run."""
    rng = np.random.default_rng(len(setting))
    for run in range(runs):
        noise = 1e-3 * rng.normal()
        accuracies = {f"test_accuracy_{name}": 0.5 + gain + noise for name, gain in gains.items()}
        yield {
            "setting": setting,
            "train_corruption": trained,
            "run": run,
            "finite": True,
            "test_accuracy": 0.9,
        } | accuracies


def test_gains_under_the_corruption_trained_on_are_told_apart_from_the_others(swept):
    """Averaged over all, a setting that gains 6 points on its own corruption and loses 2 on the other gains 2."""
    _, job, results = swept
    rows = [
        *made_rows("plain", "none", {"impulse_noise": 0.0, "contrast": 0.0}),
        *made_rows("under noise", "impulse_noise", {"impulse_noise": 0.06, "contrast": -0.02}),
        *made_rows("shifted", "none", {"impulse_noise": 0.06, "contrast": -0.02}),
    ]
    members = [results.measured[0]._replace(row=row) for row in rows]
    stated = list(state_together(state_settings, job, results._replace(measured=members, baseline="plain")).lines)
    noise, shifted = (next(line for line in stated if line.startswith(name)) for name in ("under noise", "shifted"))
    kinds = ["corrupted (the 1 neither was trained under) test images", "impulse_noise-corrupted test images"]
    assert [kind in noise for kind in kinds] == [True, True]
    means = [[float(mean) for mean in re.findall(r"([+-]\d+\.\d+) \[", line)] for line in (noise, shifted)]
    assert means[0] == pytest.approx([-2, 6], abs=0.2)
    assert means[1] == pytest.approx([2], abs=0.2)
    assert "points on corrupted test images" in shifted
    for one in results.measured:
        trained = one.row["train_corruption"]
        others = [one.row[f"test_accuracy_{name}"] for name in corruption_indices(job) if name != trained]
        assert one.row["corrupted_accuracy_others"] == pytest.approx(np.mean(others))


def test_class_changes_are_paired_and_said_only_where_they_are_sure(swept):
    _, job, results = swept
    changes = list(class_changes(state_together(take_away, job, results).tests, job, results))
    assert [(one.test_set, one.name) for one in changes] == [(s, c) for s in ("none", "invert") for c in "abc"]
    for one in changes:
        np.testing.assert_allclose(one.differences, one.after - one.before)
        # Two settings share a run: with and without training corruption.
        assert len(one.differences) == 3
    statements = "\n".join(state_together(take_away, job, results).lines)
    sure = [one for one in changes if one.verdict]
    assert ("classes" in statements) == bool(sure)
    for one in sure:
        assert one.name in statements


def test_intervals_are_students():
    # Of 1, 2, 3: sd 1, t(2) at 97.5 % is 4.303.
    assert half_width([1, 2, 3]) == pytest.approx(4.3027 / np.sqrt(3), rel=1e-4)
    assert np.isnan(half_width([1.0]))


def test_tenths_hold_all_scored_examples_in_order():
    scores = np.array([0.5, np.nan, 0.1, 0.9, *np.linspace(0.2, 0.3, 17)])
    groups = group_scores(scores)
    assert [len(group.members) for group in groups] == 10 * [2]
    assert groups[0].members.tolist() == [2, 4]
    assert (groups[0].low, groups[0].high) == (0.1, 0.2)
    assert groups[9].members.tolist() == [0, 3]
    assert groups[9].describe() == "0.5 to 0.9 (2)"


def test_equal_scores_are_in_one_group_wherever_they_stand():
    scores = np.array([1.0, 0.4] + 16 * [1.0] + [0.2, 1.0])
    groups = group_scores(scores)
    # Two of twenty are below 1: a tenth by themselves.
    assert [group.members.tolist() for group in groups[:1]] == [[1, 18]]
    assert len(groups) == 2
    assert groups[1].describe() == "1 (18)"
    shuffled = np.random.default_rng(0).permutation(20)
    assert [len(group.members) for group in group_scores(scores[shuffled])] == [2, 18]
    assert [group.describe() for group in group_scores(np.ones(7))] == ["1 (7)"]
    assert group_scores(np.full(3, np.nan)) == []


def test_of_those_right_when_clean_the_share_that_stays_right():
    scores, versions = np.arange(20) / 20, np.array([[1, 2], [3, 5]])
    right = np.ones((6, 20), bool)
    right[0, :2] = False
    right[3, 18:] = False
    right[5, 19] = False
    shares = still_correct_by_group(scores, right, versions)
    assert np.isnan(shares[:, 0]).all()
    # Both of the last two are wrong in version 3, of the first severity beside 1, and one in 5, of the second beside 2.
    np.testing.assert_allclose(shares[:, 9], [0.5, 0.75])
    np.testing.assert_allclose(shares[:, 1:9], 1)


def fake_drops(drops):
    """A job and results of one setting with the drop in accuracy of each run under each corruption, ``[r, c]``."""
    names = [f"c{i}" for i in range(drops.shape[1])]
    versions = types.SimpleNamespace(
        evaluated=[(name, 1) for name in names], probe_versions=[CLEAN, *((name, 1) for name in names)], scores=None
    )
    rows = [
        {"setting": "plain", "run": run, "finite": True, "test_accuracy": 0.9, "robustness_drop": drop.mean()}
        | {f"test_accuracy_{name}": 0.9 - value for name, value in zip(names, drop, strict=True)}
        for run, drop in enumerate(drops)
    ]
    return types.SimpleNamespace(versions=versions), types.SimpleNamespace(rows=rows, baseline="plain")


def test_of_corruptions_that_harm_alike_none_is_called_hardest():
    rng, stated = np.random.default_rng(0), 0
    for _ in range(200):
        drops = 0.2 + 0.01 * rng.normal(size=(10, 15)) + 0.01 * rng.normal(size=(10, 1))
        stated += bool(state_together(state_hardest, *fake_drops(drops)).lines)
    assert stated / 200 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_the_hardest_and_the_easiest_are_told_where_they_differ_from_the_others():
    drops = 0.2 + 0.01 * np.random.default_rng(1).normal(size=(10, 5))
    drops[:, 3] += 0.1
    statements = state_together(state_hardest, *fake_drops(drops))
    (line,) = statements.lines
    assert statements.tests.size == 5
    assert "most under c3, 30." in line
    assert line.endswith("; this differs from the median of the other corruptions.")
    drops[:, 1] -= 0.1
    (line,) = state_together(state_hardest, *fake_drops(drops)).lines
    assert "least under c1, " in line
    assert line.endswith("; both differ from the median of the other corruptions.")


def test_cscores_of_other_data_are_refused(data, tmp_path):
    scores = make_scores(data)
    path = tmp_path / "cscores.npz"
    write_scores(scores, path)
    job = make_job(data, spec_of(tmp_path, preset="none", cscores=str(path), **JUDGED))
    assert len(job.versions.dataset.probe_labels) == 90
    assert job.versions.num_tests == 30
    write_scores(dataclasses.replace(scores, labels=np.roll(scores.labels, 1)), path)
    with pytest.raises(UserError, match=r"--cscores=.*: the example of id \d+ has label \d there, and \d in"):
        make_job(data, spec_of(tmp_path, cscores=str(path)))
    write_scores(dataclasses.replace(scores, ids=scores.ids + 1), path)
    with pytest.raises(UserError, match=r"--cscores=.*: has no example of id 0"):
        make_job(data, spec_of(tmp_path, cscores=str(path)))


def test_scores_of_more_examples_are_found_by_id(data, tmp_path):

    n = len(data.labels)
    write_ranks(data, tmp_path / "s.npz")
    part = np.arange(n)[::2]
    fewer = dataclasses.replace(data, images=data.images[part], labels=data.labels[part], ids=data.ids[part])
    np.testing.assert_array_equal(load_matching_scores(fewer, str(tmp_path / "s.npz")), part / n)


def test_an_ablation_changes_one_thing_at_a_time():
    names = [
        setting.name for setting in settings_of(spec_from_values(RobustnessSpec, JUDGED), 1, JUDGED["corruptions"])
    ]
    assert names == [
        "plain",
        "translate=0.1",
        "weight_decay=0.0005",
        "label_noise=0.2",
        "label_noise=0.4",
        "train_corruption=impulse_noise",
        "train_corruption=contrast",
        "optimizer=adam,learning_rate=0.001",
    ]
    assert "flip=0.5,crop=4" in [setting.name for setting in settings_of(spec_of(**JUDGED), 3, STANDARD)]
    # A step size that is given is SGD's.
    spec = spec_from_values(RobustnessSpec, {**JUDGED, "learning_rate": 0.02})
    rates = {one.spec.train.optimizer: one.spec.train.learning_rate for one in settings_of(spec, 1, ("contrast",))}
    assert rates == {"sgd": 0.02, "adam": 0.001}


@pytest.mark.slow
def test_augmix_is_a_setting_beside_others(data, tmp_path):
    """One program trains with and without it; members without it are those of a job that does not know it."""
    flags = {"epochs": 2, "corruptions": ("contrast",), "severities": (5,), "num_runs": 2, "width": 2}
    job, results = run(data, tmp_path / "both", augmix=(0, 3), **flags)
    assert [setting.name for setting in job.settings] == ["augmix=0", "augmix=3"]
    assert len(job.programs) == 1
    assert {row["augmix"] for row in results.rows} == {"0", "3"}
    _, plain = run(data, tmp_path / "plain", preset="none", **flags)
    accuracies = [[row["test_accuracy"] for row in found.rows if row["augmix"] == "0"] for found in (results, plain)]
    np.testing.assert_allclose(*accuracies, atol=0.04)


@pytest.mark.slow
def test_what_changes_colours_is_left_out_where_there_are_none(data, tmp_path):
    said = []
    job = make_job(data, spec_of(tmp_path, corruptions=("all",), severities=(5,)), log=said.append)
    assert said == ["saturate, grayscale: change nothing in grey images, and are left out"]
    drawn = {*CORRUPTIONS} - {"saturate", "grayscale"}
    assert {name for name, _ in job.versions.evaluated} == {*job.versions.mixed} == drawn
    assert effective_corruptions(CORRUPTIONS, 3) == list(CORRUPTIONS)
    make_job(data, spec_of(tmp_path, preset="none", severities=(5,)), log=said.append)
    assert len(said) == 1, "none of the standard ones is of colour"


def test_a_job_of_one_setting_judges_training_examples_by_their_scores(data, tmp_path):

    write_ranks(data, tmp_path / "s.npz")
    job, results = run(data, tmp_path, preset="none", cscores=str(tmp_path / "s.npz"), **JUDGED)
    assert [row["setting"] for row in results.rows] == ["plain"] * 3
    assert all(one.still_correct.shape == (2, 10) for one in results.measured)
    written(make_report(job, results), "jaxgen.robustness", "a command")
    assert "| plain |" in (tmp_path / "table.md").read_text().split("equal scores in one group")[1]
    assert (tmp_path / "cscore_tenths.png").stat().st_size


def test_a_modification_comes_beside_the_original():
    names = [setting.name for setting in settings_of(spec_of(train_modification="night"), 1, STANDARD)]
    assert names == ["train_modification=none", "train_modification=night"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"severities": (0, 3)}, "--severities=0,3: give one or more from 1 to 5"),
        ({"severities": (6,)}, "--severities=6"),
        ({"corruptions": ("rain",)}, "--corruptions=rain: give standard, all, or some of gaussian_noise"),
        ({"train_corruption": "rain"}, "--train_corruption=rain: must be one of none, gaussian_noise"),
        ({"train_severity": 0}, "--train_severity=0: must be at least 1 and at most 5"),
        ({"corruptions": ("fog", "saturate")}, "--corruptions=saturate: changes nothing in grey images, as those of "),
        ({"train_corruption": ("none", "grayscale")}, "--train_corruption=grayscale: changes nothing in grey images"),
        ({"train_modification": "saturate"}, "--train_modification=saturate: changes nothing in grey images"),
        ({"baseline": "best", **JUDGED}, "--baseline=best: no such setting; the 5 of 8 most like it: "),
    ],
)
def test_mistakes_are_one_line(data, flags, said):
    with pytest.raises(UserError) as caught:
        make_job(data, spec_of(**flags))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_rows_of_features_and_tiny_images_are_refused(data):
    table = make_dataset("table", np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2, source="table")
    with pytest.raises(UserError, match="corruption is for images"):
        make_job(table, spec_of())
    small = dataclasses.replace(data, images=data.images[:, :3, :3], test_images=data.test_images[:, :3, :3])
    with pytest.raises(UserError, match="at least 4 pixels a side"):
        make_job(small, spec_of())


def test_other_corruptions_are_another_job(data, swept):
    folder, _, _ = swept
    other = make_job(data, spec_of(folder, **{**SWEEP, "severities": (1, 4)}))
    with pytest.raises(UserError, match="severities"):
        make_workload(other).open_store()


def test_a_published_folder_is_judged_instead_of_drawing(data, tmp_path):
    exported = tmp_path / "corrupted"
    spec = spec_of(tmp_path, preset="none", export_dir=str(exported), **JUDGED)
    export_tests(data, spec)
    reading = spec_of(tmp_path, preset="none", corrupted_dir=str(exported), corruptions=("all",), severities=(1, 5))
    job = make_job(data, reading)
    assert {*job.versions.evaluated} == {(name, one) for name in JUDGED["corruptions"] for one in (1, 5)}
    for version, (name, severity) in enumerate(job.versions.probe_versions[1:], 1):
        shown = job.versions.dataset.probes[30 * version : 30 * version + 30]
        whole = np.load(exported / f"{name}.npy")
        np.testing.assert_array_equal(shown, whole[30 * (severity - 1) : 30 * severity])
    # Whatever else is in it, the ablation trains under what can be drawn.
    np.save(exported / "quantize.npy", whole)
    other = make_job(
        data, dataclasses.replace(reading, corruption=dataclasses.replace(reading.corruption, preset="auto"))
    )
    assert ("quantize", 1) in other.versions.evaluated
    assert {*other.versions.mixed} == {*JUDGED["corruptions"]}
    with pytest.raises(UserError, match=r"jpeg_compression is missing; it has contrast, impulse_noise, quantize; "):
        make_job(data, spec_of(tmp_path, preset="none", corrupted_dir=str(exported)))
    (exported / "impulse_noise.npy").unlink()
    (exported / "contrast.npy").unlink()
    made = make_job(data, spec_of(tmp_path, corrupted_dir=str(exported), corruptions=("all",)))
    assert {*made.versions.mixed} == set()
    (exported / "quantize.npy").rename(exported / "fog.npy")
    with pytest.raises(UserError, match="contrast is missing; it has fog"):
        make_job(data, spec_of(tmp_path, preset="none", corrupted_dir=str(exported), corruptions=("contrast",)))


def test_a_folder_with_other_labels_than_the_test_set_is_refused(data, tmp_path):
    exported = tmp_path / "corrupted"
    export_tests(data, spec_of(tmp_path, export_dir=str(exported), **JUDGED))
    reading = spec_of(tmp_path, preset="none", corrupted_dir=str(exported), **JUDGED)
    labels = np.load(exported / "labels.npy")
    twice = {"test_images": np.tile(data.test_images, (2, 1, 1, 1)), "test_labels": np.tile(data.test_labels, 2)}
    with pytest.raises(UserError, match=r"has 30 images, and the test set 60; give --num_test_examples=30"):
        make_job(dataclasses.replace(data, **twice), reading)
    for place, label in ((0, (labels[0] + 1) % 3), (7, -1), (29, 3)):
        other = labels.copy()
        other[place] = label
        np.save(exported / "labels.npy", other)
        with pytest.raises(UserError, match=r"--corrupted_dir=.*: impulse_noise at severity 1 has label") as caught:
            make_job(data, reading)
        assert f"label {label} at place {place}, and the test set {labels[place]}; " in str(caught.value)
        assert "the same test set in the same order is needed: --seed" in str(caught.value)
        assert "\n" not in str(caught.value)
    # At severity 2, which is not judged.
    np.save(exported / "labels.npy", np.where(np.arange(150) == 37, -1, labels))
    make_job(data, reading)


def test_a_folder_is_known_by_what_it_holds(data, tmp_path):
    """Not by its name: images that are replaced are other ones, and a folder that is moved has the same."""
    flags = {"preset": "none", "corruptions": ("contrast",)}
    for name in ("one", "two"):
        export_tests(data, spec_of(export_dir=str(tmp_path / name), **flags))

    def plan(name, **others):
        chosen = {"corrupted_dir": str(tmp_path / name), "severities": (1, 5), **flags, **others}
        return make_workload(make_job(data, spec_of(tmp_path, **chosen))).plan

    before = plan("one")
    assert before.digest == plan("two").digest
    assert before.identity["what is judged"] == "contrast 1,contrast 5"
    assert before.digest != plan("one", severities=(1, 2, 5)).digest
    images = np.load(tmp_path / "one" / "contrast.npy")
    images[31] += 1
    np.save(tmp_path / "one" / "contrast.npy", images)
    assert before.digest == plan("one").digest, "of severity 2, which is not judged"
    images[1] += 1
    np.save(tmp_path / "one" / "contrast.npy", images)
    after = plan("one")
    assert {name for name in after.identity if after.identity[name] != before.identity[name]} == {"--corrupted_dir"}


SCALES = {"sixteenths": 1 / 16, "bytes": 1 / 255, "floats": None}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind == "bytes" else pytest.mark.slow) for kind in SCALES]
)
def test_a_folder_is_in_bytes_and_members_see_it_in_the_datas_own_units(data, tmp_path, kind):
    """What is drawn and what is written and read again are the same images, so that members are as right on both."""
    arrays = [data.images, data.test_images]
    if SCALES[kind] != 1 / 255:
        arrays = [np.rint(16 * (images / 255)).astype(np.uint8) for images in arrays]
    if kind == "floats":
        arrays = [images / np.float32(16) for images in arrays]
    images, tests = arrays
    own = make_dataset(
        "own", images, data.labels, source="own", test_images=tests, test_labels=data.test_labels, scale=SCALES[kind]
    )
    flags = {"preset": "none", "corruptions": ("brightness", "contrast"), "num_runs": 1, "width": 1}
    export_tests(own, spec_of(export_dir=str(tmp_path / "exported"), **flags))
    written = np.load(tmp_path / "exported" / "brightness.npy")
    assert written.dtype == np.uint8
    assert written.max() > 200
    job, drawn = run(own, tmp_path / "drawn", **flags)
    other, read = run(own, tmp_path / "read", corrupted_dir=str(tmp_path / "exported"), **flags)
    assert other.versions.evaluated == job.versions.evaluated
    apart = np.abs(job.versions.dataset.probes.astype(float) - other.versions.dataset.probes) * own.scale
    assert other.versions.dataset.probes.dtype == images.dtype
    # A value between two of the 16 or 255 may be rounded either way.
    assert apart.max() <= (1.01 / 16 if kind == "sixteenths" else 1.01 / 255)
    assert np.mean(apart > 1.01 / 255) < 0.02
    np.testing.assert_allclose(read.measured[0].accuracy, drawn.measured[0].accuracy, atol=1.01 / 30)
    assert read.rows[0]["corrupted_accuracy"] == pytest.approx(drawn.rows[0]["corrupted_accuracy"], abs=0.02)
