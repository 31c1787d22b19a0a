"""Randomization tests: who is trained on what, what is measured of it, and what is said of that."""

import csv
import dataclasses

import jax
import numpy as np
import optax
import pytest

from jaxgen import UserError
from jaxgen.config import RandomizationSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.data.checks import make_dataset
from jaxgen.data.parts import hold_out_test
from jaxgen.engine.curves import QUANTILES
from jaxgen.engine.ensemble import Ensemble
from jaxgen.engine.member_inputs import network_inputs
from jaxgen.engine.members import Examples
from jaxgen.experiments.randomization.figures import draw_figure1
from jaxgen.experiments.randomization.job import make_job
from jaxgen.experiments.randomization.measure import fit_columns
from jaxgen.experiments.randomization.misfits import explain
from jaxgen.experiments.randomization.presets import describe_departure, settings_of
from jaxgen.experiments.randomization.report import make_report, setting_rows
from jaxgen.experiments.randomization.run import measure_job
from jaxgen.experiments.randomization.takeaways import take_away
from jaxgen.experiments.randomization.versions import make_versions
from jaxgen.jobs.dry_run import describe_workload
from jaxgen.jobs.member_table import make_rows, make_run_groups, make_workload
from jaxgen.jobs.program import hparam_table, make_ensemble_config, make_kernels
from jaxgen.jobs.session import QUIET
from jaxgen.keys import Draw, JobDraw, VersionDraw, job_key
from jaxgen.reporting.statements import list_statements, state_together
from jaxgen.scores.metrics import expected_calibration_error
from jaxgen.transforms.labels import corrupt_uniform
from jaxgen.transforms.pixels import shuffle_pixels
from support.data import blobs
from support.written import written

EPOCHS = 25
FLAGS = {"hidden": (32,), "epochs": EPOCHS, "batch_size": 8, "learning_rate": 0.05, "num_runs": 3, "width": 2}
FIGURE = {"preset": "figure1", "label_noise": (0.0, 0.5, 1.0)}


def spec_of(folder="", **flags):
    return spec_from_values(RandomizationSpec, {**FLAGS, "out": str(folder), **flags})


def run(dataset, folder, **flags):
    job = make_job(dataset, spec_of(folder, **flags))
    return job, measure_job(job, QUIET)


def stated(*arguments, **named):
    """The statements that hold after the correction for all tests behind them."""
    return state_together(take_away, *arguments, **named).lines


@pytest.fixture(scope="module")
def data():
    images, labels = blobs(60)
    tests, test_labels = blobs(30, seed=1)
    return make_dataset(
        "mine", images, labels, source="mine", test_images=tests, test_labels=test_labels, class_names=["a", "b", "c"]
    )


@pytest.fixture(scope="module")
def figure1(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figure1")
    job, results = run(data, folder, **FIGURE)
    return folder, job, results


def place(rows, **wanted):
    """Positions of the rows whose columns are as wanted."""
    return [i for i, row in enumerate(rows) if all(row[name] == value for name, value in wanted.items())]


def arrays_of(job):
    [program] = job.programs
    chunks = list(make_workload(job).open_store().runs("all"))
    whole = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    return program, {name: array[np.argsort(whole["run"])] for name, array in whole.items()}


@pytest.mark.slow
def test_a_preset_is_a_union_of_sweeps_in_one_program(figure1):
    _, job, results = figure1
    assert len(job.programs) == 1
    assert [setting.name for setting in job.settings] == [
        "label_noise=0,pixels=true",
        "label_noise=0,pixels=shuffled",
        "label_noise=0,pixels=random",
        "label_noise=0,pixels=gaussian",
        "label_noise=0.5,pixels=true",
        "label_noise=1,pixels=true",
    ]
    assert len(results.rows) == 18
    assert [row["run"] for row in results.rows[:4]] == [0, 1, 2, 0]


def test_a_run_has_the_labels_of_its_key_in_every_setting(figure1, data):
    _, job, _ = figure1
    program, arrays = arrays_of(job)
    for number, changed in zip(arrays["run"], np.unpackbits(arrays["changed"], axis=1, count=60), strict=True):
        run, setting = divmod(int(number), len(program.settings))
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), run), Draw.LABELS)
        rate = program.settings[setting].spec.noise.label_noise
        expected = corrupt_uniform(key, data.labels, rate=rate, num_classes=3).changed
        np.testing.assert_array_equal(changed, expected)


def test_accuracies_are_on_the_labels_that_their_names_say(figure1):
    _, job, results = figure1
    program, arrays = arrays_of(job)
    for i, number in enumerate(arrays["run"]):
        run, setting = divmod(int(number), len(program.settings))
        [row] = [r for r in results.rows if (r["setting"], r["run"]) == (program.settings[setting].name, run)]
        right, changed = (np.unpackbits(arrays[name][i], count=60).astype(bool) for name in ("correct", "changed"))
        assert row["true_accuracy"] == pytest.approx(right.mean())
        assert row["labels_changed"] == pytest.approx(changed.mean())
        assert row["clean_accuracy"] == pytest.approx(right[~changed].mean())
        parts = [row["clean_accuracy"] * (~changed).sum(), np.nan_to_num(row["flipped_accuracy"]) * changed.sum()]
        assert row["train_accuracy"] == pytest.approx(sum(parts) / 60)
        assert np.isnan(row["flipped_accuracy"]) == (not changed.any())
        predicted = arrays["predictions"][i]
        assert row["test_accuracy"] == pytest.approx((predicted == job.dataset.test_labels).mean())
        assert row["gap"] == pytest.approx(row["train_accuracy"] - row["test_accuracy"])


def test_scores_of_classes_are_scikit_learns(figure1):
    from sklearn.metrics import f1_score

    _, job, results = figure1
    program, arrays = arrays_of(job)
    expected = f1_score(job.dataset.test_labels, arrays["predictions"][0], average=None)
    [row] = [r for r in results.rows if (r["setting"], r["run"]) == (program.settings[0].name, 0)]
    np.testing.assert_allclose([row["f1_a"], row["f1_b"], row["f1_c"]], expected)


def test_who_has_fitted_is_done_and_makes_room(figure1):
    _, _, results = figure1
    fitted = [row for row in results.rows if row["fitted"]]
    assert fitted
    assert len(fitted) < len(results.rows)
    for row in fitted:
        assert row["train_accuracy"] == 1
        assert row["epochs_to_fit"] == row["epochs_trained"] == row["epochs_kept"]
        assert row["steps_to_fit"] == 8 * row["epochs_to_fit"]
    for row in results.rows:
        assert row["fitted"] or (row["epochs_trained"] == EPOCHS and row["epochs_to_fit"] is None)
    curves = results.curves["train_accuracy"]
    assert np.isfinite(curves).sum(1).tolist() == [row["epochs_trained"] for row in results.rows]


@pytest.mark.slow
def test_going_on_after_the_fit_changes_nothing_before_it(figure1, data, tmp_path):
    _, _, results = figure1
    _, whole = run(data, tmp_path, **FIGURE, stop_when_fitted=False, width=9)
    for row, other in zip(results.rows, whole.rows, strict=True):
        assert other["epochs_trained"] == EPOCHS
        assert (row["fitted"], row["epochs_to_fit"]) == (other["fitted"], other["epochs_to_fit"])
    seen = np.isfinite(results.curves["train_loss"])
    np.testing.assert_allclose(
        results.curves["train_loss"][seen], whole.curves["train_loss"][seen], rtol=1e-3, atol=1e-4
    )


@pytest.mark.slow
def test_shuffled_pixels_are_true_pixels_of_shuffled_data(figure1, data, tmp_path):
    _, _, results = figure1
    key = jax.random.fold_in(job_key(0, JobDraw.VERSIONS), VersionDraw.SHUFFLE)
    shuffled = dataclasses.replace(
        data,
        images=np.asarray(shuffle_pixels(key, data.images)),
        test_images=np.asarray(shuffle_pixels(key, data.test_images)),
    )
    _, alone = run(shuffled, tmp_path, num_runs=3)
    own = place(results.rows, pixels="shuffled")
    for name in ("train_loss", "test_loss", "test_accuracy"):
        found, expected = results.curves[name][own], alone.curves[name]
        np.testing.assert_allclose(found[:, : expected.shape[1]], expected, rtol=1e-3, atol=1e-4)


def test_random_and_gaussian_pixels_say_nothing_of_the_test_set(figure1):
    _, _, results = figure1
    for kind in ("random", "gaussian"):
        tests = [results.rows[i]["test_accuracy"] for i in place(results.rows, pixels=kind)]
        assert np.mean(tests) < 0.6
    assert (
        np.mean([results.rows[i]["test_accuracy"] for i in place(results.rows, setting="label_noise=0,pixels=true")])
        > 0.8
    )


def test_versions_are_what_their_places_say(data):
    versions = make_versions(data, ["gaussian", "true", "shuffled"], seed=3)
    assert versions.pixels == {"true": 0, "gaussian": 1, "shuffled": 2}
    assert versions.dataset.images.shape == (180, 4, 4, 1)
    np.testing.assert_array_equal(versions.dataset.images[:60], data.images)
    noise = versions.dataset.images[60:120]
    assert noise.dtype == np.float32
    np.testing.assert_allclose((noise.mean(), noise.std()), (data.images.mean(), data.images.std()), rtol=0.05)
    assert make_versions(data, ["shuffled"], seed=3).dataset.images.dtype == np.uint8
    assert sorted(versions.dataset.images[120].ravel()) == sorted(data.images[0].ravel())
    assert list(versions.corrupted.values()) == [3, 4, 5, 6]
    assert versions.dataset.test_images.shape == (7 * 30, 4, 4, 1)


def test_corruption_lowers_accuracy_of_true_pixels_only_where_it_is_measured(figure1):
    _, _, results = figure1
    for row in results.rows:
        assert np.isnan(row["robustness_drop"]) == (row["pixels"] != "true")
    true = results.rows[0]
    mean = np.mean(
        [true[f"test_accuracy_{name}"] for name in ("gaussian_noise", "gaussian_blur", "occlusion", "pixelate")]
    )
    assert true["robustness_drop"] == pytest.approx(true["test_accuracy"] - mean)


@pytest.mark.slow
def test_norms_margins_and_calibration_are_those_of_the_weights(data):
    """Against the network's own logits, one member at a time."""
    job = make_job(data, spec_of(label_noise=(0.0, 0.4)))
    [program] = job.programs
    config = make_ensemble_config(job.versions.dataset, program, make_kernels(program))
    ensemble = Ensemble(config, job.versions.dataset, jax.devices()[:1])
    [run_group] = make_run_groups(job, program).values()
    kept = {}
    outcome = ensemble.train(run_group.rows(np.arange(4)), 4, run_group.max_size, 100, on_weights=kept.__setitem__)
    found = outcome.measures
    for i in range(4):
        run, setting = divmod(i, 2)
        key = jax.random.fold_in(jax.random.key(0), run)
        noisy = corrupt_uniform(
            jax.random.fold_in(key, Draw.LABELS), data.labels, rate=(0.0, 0.4)[setting], num_classes=3
        )
        np.testing.assert_array_equal(np.unpackbits(found["changed"][i], count=60).astype(bool), noisy.changed)
        inputs, tests = (network_inputs(config, images) for images in (data.images, data.test_images))
        logits, own = np.asarray(config.learner.predict(kept[i], inputs)), np.eye(3, dtype=bool)[noisy.labels]
        margin = logits[own] - np.where(own, -np.inf, logits).max(1)
        np.testing.assert_allclose(found["margin_quantiles"][i], np.quantile(margin, QUANTILES), atol=1e-4)
        probabilities = jax.nn.softmax(config.learner.predict(kept[i], tests))
        right = probabilities.argmax(1) == data.test_labels
        expected = float(expected_calibration_error(probabilities.max(1), right))
        assert found["ece"][i] == pytest.approx(expected, abs=1e-5)
        assert found["weight_norm"][i] == pytest.approx(float(optax.tree.norm(kept[i].params)), rel=1e-5)
        first = config.learner.init(key, {name: values[setting] for name, values in hparam_table(program).items()})
        moved = optax.tree.norm(jax.tree.map(np.subtract, kept[i].params, first.variables.params))
        assert found["distance_from_init"][i] == pytest.approx(float(moved), rel=1e-4)


@pytest.mark.slow
def test_a_finished_job_is_read_and_more_runs_extend_it(figure1, data, tmp_path):
    _, first = run(data, tmp_path, **FIGURE, num_runs=2)
    assert first.members.models_now == 12
    _, again = run(data, tmp_path, **FIGURE, num_runs=2)
    assert again.members.models_now == 0
    assert str(again.rows) == str(first.rows)
    _, more = run(data, tmp_path, **FIGURE)
    assert more.members.models_now == 6
    assert [str(row) for row in more.rows if row["run"] < 2] == [str(row) for row in first.rows]


@pytest.mark.slow
def test_stopping_by_validation_is_told_beside_the_fit(data, tmp_path):
    job, results = run(
        data, tmp_path, label_noise=0.5, validation_share=0.3, patience=(0, 2), epochs=12, learning_rate=0.3
    )
    assert len(job.programs) == 2
    stopped = [row for row in results.rows if row["patience"] == "2"]
    assert min(row["epochs_trained"] for row in stopped) < 12
    for i, row in enumerate(results.rows):
        assert row["steps_per_epoch"] == 6
        assert row["test_accuracy"] == pytest.approx(results.curves["test_accuracy"][i, row["epochs_kept"] - 1])


def test_files_hold_what_was_found(figure1):
    folder, job, results = figure1
    text, files = written(make_report(job, results), "jaxgen.randomization", "python -m jaxgen.randomization")
    assert {"table.md", "results.csv"} <= {file.name for file in files}
    assert all(file.stat().st_size for file in files)
    with open(folder / "results.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["setting"] for row in rows] == [row["setting"] for row in results.rows]
    assert {"label_noise", "learning_rate", "flip", "f1_a", "not_fitted_because"} <= rows[0].keys()
    with np.load(folder / "curves.npz", allow_pickle=False) as curves:
        assert curves["train_loss"].shape == (18, EPOCHS)
        assert curves["setting"].tolist() == [row["setting"] for row in rows]
    table = (folder / "table.md").read_text()
    assert "| setting | train | test | gap | robustness drop | n |" in table
    assert "(3 of 3)" in table
    assert "not fitted (0 of 3)" in table
    assert "18 models trained" in text


def test_a_matrix_is_what_labels_follow(data, tmp_path):
    path = tmp_path / "matrix.csv"
    np.savetxt(path, [[0, 1, 0], [0, 1, 0], [0, 0, 1]], delimiter=",")
    job = make_job(data, spec_of(tmp_path, noise_kind=("matrix", "cyclic"), noise_matrix=str(path), label_noise=1.0))
    train = Examples(data.images, data.labels)
    by_matrix, cyclic = (
        program.make_member(program, make_rows(program, np.array(0)), train) for program in job.programs
    )
    np.testing.assert_array_equal(by_matrix.labels, np.where(data.labels == 0, 1, data.labels))
    np.testing.assert_array_equal(cyclic.labels, (data.labels + 1) % 3)


@pytest.mark.slow
def test_a_dry_run_trains_nothing(data, tmp_path):
    job = make_job(data, spec_of(tmp_path, **FIGURE))
    text = describe_workload(make_workload(job), QUIET)
    assert "| mlp | 6 | 18 | 0 |" in text
    assert not list(tmp_path.glob("**/*.npz"))


@pytest.mark.parametrize(
    ("preset", "has_images", "count"),
    [("figure1", True, 14), ("table1", True, 16), ("label_noise", False, 88), ("regularizers", True, 16)],
)
def test_presets_have_so_many_settings(preset, has_images, count):
    settings = settings_of(spec_of(preset=preset), has_images, ())
    assert len(settings) == count
    assert len({setting.name for setting in settings}) == len({setting.spec for setting in settings}) == count


@pytest.mark.parametrize(
    ("shape", "flags", "told"),
    [
        ((32, 32, 3), {}, "add --center_crop=28 --whiten for theirs"),
        ((28, 28, 3), {}, "add --whiten for theirs"),
        ((32, 32, 3), {"whiten": True}, "add --center_crop=28 for theirs"),
        ((28, 28, 1), {"whiten": True}, ""),
        ((64,), {}, ""),
    ],
)
def test_what_table_1_does_otherwise_than_the_paper_is_told(shape, flags, told):
    text = describe_departure(spec_of(preset="table1", **flags), shape)
    assert text.endswith(told)
    assert bool(text) == bool(told)
    assert describe_departure(spec_of(preset="figure1", **flags), shape) == ""


def test_a_setting_of_a_preset_is_named_by_what_tells_it_from_most():
    names = [setting.name for setting in settings_of(spec_of(preset="regularizers"), False, ())]
    assert names[:3] == ["label_noise=0", "label_noise=1", "label_noise=0,weight_decay=0.0005"]
    names = [setting.name for setting in settings_of(spec_of(preset="optimizers"), False, ())]
    assert "label_noise=0,optimizer=adam,learning_rate=0.001" in names
    assert "label_noise=1,momentum=0" in names


def test_a_strength_given_is_its_own_arms_alone():
    settings = settings_of(spec_of(preset="regularizers", dropout=0.5), False, ())
    assert len(settings) == 12
    assert sorted({setting.spec.regularization.dropout for setting in settings}) == [0, 0.5]
    assert sum(setting.spec.regularization.dropout == 0.5 for setting in settings) == 2


def test_flags_given_replace_a_presets():
    settings = settings_of(spec_of(preset="label_noise", dropout=0.1, label_noise=(0.0, 0.2)), True, ())
    assert len(settings) == 8
    assert {setting.spec.regularization.dropout for setting in settings} == {0.1}
    assert all(len(setting.name) < 100 for setting in settings)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"preset": "optimizers", "optimizer": "rmsprop"}, "--optimizer=rmsprop: --preset=optimizers sets it"),
        ({"label_noise": 1.5}, "--label_noise=1.5: must be at least 0 and at most 1"),
        ({"noise_kind": "matrix"}, "--noise_kind=matrix: needs a --noise_matrix"),
        ({"noise_matrix": "m.csv"}, "--noise_matrix=m.csv: leave it out, or give --noise_kind=matrix"),
        ({"fit_at": (0.9, 1.1)}, "--fit_at=0.9,1.1: give one or more"),
        ({"label_noise": tuple(np.linspace(0, 1, 5001).tolist()), "num_runs": 5}, "25,005 members"),
        ({"preset": "everything"}, "--preset=everything: must be one of none, figure1"),
    ],
)
def test_mistakes_are_refused_in_one_line(data, flags, said):
    with pytest.raises(UserError, match=said.replace("(", r"\(")) as caught:
        make_job(data, spec_of(**flags))
    assert "\n" not in str(caught.value)


def test_times_to_fit_by_hand():
    curve = np.array([0.2, 0.91, 0.95, 1.0, np.nan], np.float32)
    found = fit_columns(curve, (0.95, 1.0, 0.9), 7)
    assert found == {
        "fitted_0.95": True,
        "epochs_to_fit_0.95": 3,
        "steps_to_fit_0.95": 21,
        "fitted": True,
        "epochs_to_fit": 4,
        "steps_to_fit": 28,
        "fitted_0.9": True,
        "epochs_to_fit_0.9": 2,
        "steps_to_fit_0.9": 14,
    }
    assert fit_columns(curve[:2], (1.0,), 7) == {"fitted": False, "epochs_to_fit": None, "steps_to_fit": None}


def row_of(**known):
    flags = dict.fromkeys(("weight_decay", "decoupled_weight_decay", "l1", "max_norm", "gradient_noise"), "0")
    flags |= dict.fromkeys(("label_smoothing", "dropout", "sam_radius", "flip", "crop", "translate", "cutout"), "0")
    flags |= dict.fromkeys(("rotate", "augmix"), "0")
    flags |= dict.fromkeys(("color_jitter", "input_noise", "mixup", "cutmix", "patience", "validation_share"), "0")
    flags |= {"model": "mlp", "optimizer": "sgd", "momentum": "0.9", "schedule": "constant", "learning_rate": "0.1"}
    flags |= {"norm": "auto", "epochs": "10", "batch_size": "10", "noise_kind": "uniform", "pixels": "true"}
    measured = {"finite": True, "fitted": True, "epochs_trained": 10, "steps_per_epoch": 10, "parameters": 1000}
    measured |= {"num_examples": 100, "train_accuracy": 1.0, "test_accuracy": 0.9, "gap": 0.1, "steps_to_fit": 50}
    return {"setting": "x", "run": 0, "label_noise": "0", **flags, **measured, **known}


@pytest.mark.parametrize(
    ("known", "curve", "without", "said"),
    [
        ({"finite": False}, np.ones(10), False, "diverged"),
        ({"dropout": "0.5"}, np.linspace(0, 0.9, 10), True, "regularization (--dropout=0.5): the same run without it"),
        (
            {},
            np.linspace(0, 0.9, 10),
            False,
            "too few steps: training accuracy rose by 0.200 to 0.850, mean of the last 2 of 10 epochs",
        ),
        ({"dropout": "0.5"}, np.full(10, 0.9), None, "regularization (--dropout=0.5), likely"),
        ({"dropout": "0.5"}, np.full(10, 0.9), False, "a plateau: training accuracy stands at 0.900; another"),
        ({"parameters": 99}, np.full(10, 0.9), False, "too small a model: 99 parameters for 100 examples"),
        ({"patience": "2", "epochs_trained": 4}, np.full(10, 0.9), True, "stopped by --patience=2 after 4 epochs"),
        ({"epochs_trained": 4}, np.full(10, 0.9), False, "too few steps: 4 epochs in all"),
        ({}, 0.9 + 0.02 * (np.arange(10) % 3), False, "a plateau"),
        ({}, np.full(10, 0.9), False, "a plateau: training accuracy stands at 0.900"),
    ],
)
def test_reasons_for_not_fitting_by_hand(known, curve, without, said):
    curves = {"train_accuracy": curve, "train_loss": np.full(10, 0.5)}
    assert explain(row_of(fitted=False, **known), curves, without).startswith(said)


def test_where_the_loss_still_falls_there_is_no_plateau():
    curves = {"train_accuracy": np.full(10, 0.9), "train_loss": np.linspace(2, 1, 10)}
    said = "too few steps: training loss fell by 0.222 to 1.056, mean of the last 2 of 10 epochs and of those before"
    assert explain(row_of(fitted=False), curves, None) == said
    regularized = explain(row_of(fitted=False, dropout="0.5"), {**curves, "train_loss": np.full(10, 0.5)}, False)
    assert regularized.endswith("the same run without --dropout=0.5 did not fit either")


def random_rows(fitted, tests, **known):
    return [
        row_of(run=i, label_noise="1", fitted=fit, train_accuracy=1.0 if fit else 0.5, test_accuracy=test, **known)
        for i, (fit, test) in enumerate(zip(fitted, tests, strict=True))
    ]


def test_statements_hold_or_are_not_made():
    said = stated(random_rows([True] * 4, [0.1, 0.12, 0.08, 0.1]), ["label_noise"], 10)
    assert said == [
        "mlp fitted random labels: 4 of 4 members reached 100 %; training accuracy 100.0 ± 0.0 % (n = 4), test "
        "accuracy 10.0 ± 1.6 % (n = 4); chance is 10.0 %; after 10 epochs."
    ]
    [said] = stated(random_rows([True, False, True], [0.1] * 3), ["label_noise"], 10, fit_at=0.9)
    assert said.startswith("mlp did not always fit random labels: 2 of 3 members reached 90 %")
    assert not stated(random_rows([True] * 2, [0.1] * 2), ["label_noise"], 10), "two members say nothing"


def test_no_statement_comes_with_its_reason():
    assert list_statements(["so", "and so"], 1) == "- so\n- and so"
    assert "Nothing can be stated of fewer than 3 runs, and these are 2" in list_statements([], 2)
    assert "nothing that can be stated" in list_statements([], 3)


def test_figure_1_says_which_settings_it_lacks(figure1):
    _, job, results = figure1
    shown = place(results.rows, pixels="shuffled")
    rows = [results.rows[i] for i in shown]
    curves = {name: curve[shown] for name, curve in results.curves.items()}
    losses, times, errors = draw_figure1(rows, curves, job.flags, "mine").axes
    assert [line.get_label() for line in losses.get_lines()] == ["shuffled pixels"]
    for axis in (times, errors):
        assert [text.get_text() for text in axis.texts] == ["no setting has\ntrue pixels"]
    halves = [{**row, "pixels": "true", "label_noise": "0.5"} for row in rows]
    losses, times, _ = draw_figure1(halves, curves, job.flags, "mine").axes
    assert [text.get_text() for text in losses.texts] == ["no setting of\nthese kinds"]
    assert [text.get_text() for text in times.texts] == ["no member fitted\nthe true labels"]


def test_who_diverged_is_counted():
    rows = random_rows([True] * 4, [0.1] * 4)
    rows[3] |= {"finite": False, "fitted": False, "test_accuracy": 0.0}
    [said] = stated(rows, ["label_noise"], 10)
    assert "did not always fit random labels: 3 of 4 members reached 100 %, 1 diverged" in said
    assert "test accuracy 10.0 ± 0.0 % (n = 3)" in said


def test_other_noise_at_rate_1_is_not_called_random_labels():
    assert not stated(random_rows([True] * 4, [0.1] * 4, noise_kind="cyclic"), ["label_noise"], 10)


def test_settings_that_differ_are_not_pooled():
    rows = random_rows([True] * 3, [0.1] * 3) + random_rows([False] * 3, [0.2] * 3, optimizer="adam")
    said = stated(rows, ["optimizer", "label_noise"], 10)
    assert [one.split(" random")[0] for one in said] == [
        "mlp (optimizer=sgd) fitted",
        "mlp (optimizer=adam) did not fit",
    ]


def test_times_to_fit_are_put_in_order_within_runs():
    rows = [
        row_of(run=run, pixels=pixels, steps_to_fit=steps + 100 * run)
        for pixels, steps in (("true", 100), ("shuffled", 101), ("random", 300))
        for run in range(4)
    ]
    rows[5]["steps_to_fit"] -= 5
    [said] = [one for one in stated(rows, ["pixels"], 10) if "steps to" in one]
    # Apart by a step, and by five the other way in one run; though runs are 100 steps apart.
    assert "shuffled pixels 250 ± 130 (n = 4), true labels 250 ± 129 (n = 4) < random pixels 450 ± 129" in said


def test_noise_is_judged_over_all_rates():
    rows = [
        row_of(run=run, label_noise=str(rate), test_accuracy=0.9 - 0.5 * rate, steps_to_fit=100 + int(300 * rate) + run)
        for rate in (0, 0.25, 0.5, 1)
        for run in range(3)
    ]
    said = "\n".join(stated(rows, ["label_noise"], 10))
    assert "test error rises with label noise: 10.0 ± 0.0 % (n = 3) at 0, 60.0 ± 0.0 % (n = 3) at 1" in said
    assert "rank correlation over 4 rates 1.00" in said
    assert "4.0 ± 0.03 (n = 3) times as many steps to fit at a label noise of 1 as at 0" in said


def regularized_rows(difference):
    plain = [row_of(run=i, test_accuracy=0.9 + 0.01 * i) for i in range(4)]
    noise = (0.0, 0.001, -0.001, 0.002)
    return plain + [
        row | {"dropout": "0.2", "test_accuracy": row["test_accuracy"] + difference + noise[row["run"]]}
        for row in plain
    ]


def test_a_regularizer_is_judged_in_pairs():
    said = stated(regularized_rows(0.05), ["dropout"], 10)
    assert (
        "mlp: --dropout=0.2 on true labels: +5.1 ± 0.1 points of test accuracy (n = 4 pairs); after 10 epochs." in said
    )
    said = stated(regularized_rows(0.0), ["dropout"], 10)
    assert not any("--dropout" in one for one in said), "no difference, no statement"


def test_one_example_more_in_each_of_three_runs_is_no_finding():
    for count, told in ((3, False), (8, True)):
        rows = [row_of(run=i, dropout=rate, test_accuracy=0.9) for i in range(count) for rate in ("0", "0.2")]
        for row in rows[1::2]:
            row["test_accuracy"] += 1 / 360 + 1e-8 * row["run"]
        assert any("--dropout" in one for one in stated(rows, ["dropout"], 10)) == told


def test_an_epoch_later_in_every_run_is_within_what_can_be_seen():
    for steps, sign in ((60, ","), (150, " <")):
        rows = [
            row_of(run=i, pixels=kind, steps_to_fit=s)
            for i in range(5)
            for kind, s in (("true", 50), ("random", steps))
        ]
        [said] = [one for one in stated(rows, ["pixels"], 10) if "steps to" in one]
        assert f"true labels 50 ± 0 (n = 5){sign} random pixels {steps} ± 0 (n = 5)" in said


def test_chance_of_permuted_labels_is_that_of_the_classes_shares():
    rows = random_rows([True] * 3, [0.82] * 3, noise_kind="permutation")
    [said] = stated(rows, ["label_noise"], 2, by_frequency=0.9 * 0.9 + 0.1 * 0.1)
    assert "chance is 82.0 %; after 10 epochs." in said
    [said] = stated(random_rows([True] * 3, [0.5] * 3), ["label_noise"], 2, by_frequency=0.82)
    assert "chance is 50.0 %; after 10 epochs." in said


def test_rates_at_which_members_diverged_are_left_out_of_all_runs():
    diverged = ((0, 0.2), (1, 0.4))
    rows = [
        row_of(run=run, label_noise=str(rate), test_accuracy=0.9 - rate / 2, finite=(run, rate) not in diverged)
        for rate in (0, 0.2, 0.4, 0.6, 1)
        for run in range(6)
    ]
    assert "rank correlation over 3 rates" in "\n".join(stated(rows, ["label_noise"], 10))


def test_early_stopping_is_paired_with_the_same_share_of_validation_examples():
    """A larger share costs 10 points here, stopping nothing."""
    rows = [
        row_of(run=run, patience=wait, validation_share=share, test_accuracy=0.9 - 0.1 * (share == "0.5") + 0.001 * run)
        for run in range(5)
        for wait in ("0", "3")
        for share in ("0.1", "0.5")
    ]
    assert not any("--patience" in one for one in stated(rows, ["patience", "validation_share"], 10))
    costs = [row_of(run=run, test_accuracy=0.95 + 0.003 * run) for run in range(5)]
    own = [row for row in rows if row["patience"] == "3" and row["validation_share"] == "0.1"]
    said = stated(costs + own, ["patience", "validation_share"], 10)
    assert any("--patience=3 on true labels: -5.4" in one for one in said), "with none, where no other has its share"


def test_what_else_varies_is_not_laid_to_a_regularizer():
    """Clipping costs 30 points here, dropout nothing."""
    rows = [
        row_of(run=run, dropout=dropout, clip_norm=clip, test_accuracy=0.9 - 0.3 * (clip == "1") + 0.01 * run)
        for run in range(5)
        for dropout in ("0", "0.2")
        for clip in ("0", "1")
    ]
    said = stated(rows, ["clip_norm", "dropout"], 10)
    assert not any("--dropout" in one for one in said)


def test_a_run_in_many_settings_is_one_observation():
    rows = []
    for decay in ("0", "0.1"):
        rows += [row | {"weight_decay": decay} for row in regularized_rows(0.05)]
    said = stated(rows, ["weight_decay", "dropout"], 10)
    assert any("(n = 4 runs, each the mean of 2 pairs)" in one for one in said)


def test_random_labels_against_a_regularizer_are_counted():
    rows = random_rows([True] * 4, [0.1] * 4) + random_rows([False] * 3 + [True], [0.1] * 4, dropout="0.5")
    said = stated(rows, ["dropout", "label_noise"], 10)
    assert any(
        "--dropout=0.5 on random labels: 1 of 4 members fitted" in one and "without it 4 of 4" in one for one in said
    )


def test_settings_count_who_fitted_and_leave_out_who_diverged():
    rows = [
        row_of(run=0, train_accuracy=1.0, test_accuracy=0.5, gap=0.5, epochs_to_fit=2),
        row_of(run=1, train_accuracy=0.5, test_accuracy=0.3, gap=0.2, epochs_to_fit=None, fitted=False),
        row_of(run=2, train_accuracy=0.0, test_accuracy=0.0, gap=0.0, finite=False, fitted=False),
    ]
    [found] = setting_rows(rows, ["label_noise"])
    assert (found["n"], found["diverged"], found["fitted"]) == (2, 1, 1)
    assert found["test_accuracy"] == pytest.approx(0.4)
    assert found["epochs_to_fit"] == 2
    assert np.isnan(found["epochs_to_fit_sd"])


def test_a_test_set_is_held_out_of_every_class_where_there_is_none():
    images, labels = blobs(60)
    whole = make_dataset("mine", images, labels, source="mine")
    parted = hold_out_test(whole, 0.2, seed=0)
    assert np.bincount(parted.test_labels).tolist() == [4, 4, 4]
    assert len(parted.labels) == 48
    assert len(np.unique(parted.ids)) == 48
    np.testing.assert_array_equal(parted.images, whole.images[parted.ids])
    with pytest.raises(UserError, match=r"--test_share=0\.01: cannot be held out of 60 examples in 3 classes"):
        hold_out_test(whole, 0.01, seed=0)
    single = make_dataset("mine", images[:41], np.repeat([0, 1, 2], [20, 20, 1]), source="mine")
    with pytest.raises(UserError, match="mine: has 1 example of the class 2, and a test set needs one of its own"):
        hold_out_test(single, 0.2, seed=0)
