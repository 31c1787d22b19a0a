"""The Python interface: the command line as a function, and its score files."""

import contextlib

import jax
import numpy as np
import pytest

import jaxgen
from jaxgen import UserError, estimate_scores, load_model
from jaxgen.data.score_files import write_scores
from jaxgen.jobs import layout as execution_plan
from support.data import blobs

FLAGS = {"subset_ratios": (0.5, 0.9), "num_runs": 10, "hidden": (8,), "epochs": 3, "batch_size": 8, "width": 2}


@pytest.fixture(scope="module")
def scores():
    images, labels = blobs(60)
    return jaxgen.estimate_scores(images, labels, class_names=["a", "b", "c"], **FLAGS)


def test_one_call_takes_arrays_and_returns_scores(scores):
    assert scores.scores.shape == (60,)
    assert scores.counts.sum() == 60 * (5 + 1)
    assert np.isfinite(scores.scores).all()
    assert scores.class_names.tolist() == ["a", "b", "c"]
    assert scores.metadata["flags"]["num_runs"] == "10"


def test_features_and_text_labels_do_as_well():
    images, labels = blobs(60)
    names = np.array(["ash", "elm", "oak"])[labels]
    scores = jaxgen.estimate_scores(images.reshape(60, -1), names, **FLAGS)
    assert scores.class_names.tolist() == ["ash", "elm", "oak"]


def test_an_out_folder_keeps_the_runs(tmp_path, scores):
    images, labels = blobs(60)
    for expected in (20, 0):
        again = jaxgen.estimate_scores(images, labels, class_names=["a", "b", "c"], out=str(tmp_path), **FLAGS)
        assert again.metadata["models_now"] == expected
        np.testing.assert_array_equal(again.scores, scores.scores)


def test_unknown_flags_and_bad_data_are_refused():
    images, labels = blobs(60)
    with pytest.raises(jaxgen.UserError, match=r"num_run: is no flag of jaxgen\.cscore; did you mean num_runs"):
        jaxgen.estimate_scores(images, labels, num_run=3)
    with pytest.raises(jaxgen.UserError, match="arrays: labels"):
        jaxgen.estimate_scores(images, labels[:-1])


@pytest.mark.slow
def test_relabelled_examples_get_low_scores():
    """What the scores are for: examples with a wrong label are found at the bottom."""
    images, labels = blobs(200, classes=2, side=3)
    images[np.arange(200), labels // 3, labels % 3] = 255
    wrong = np.arange(0, 200, 25)
    labels[wrong] = 1 - labels[wrong]
    flags = FLAGS | {"epochs": 10, "learning_rate": 0.1, "num_runs": 20}
    lowest = jaxgen.estimate_scores(images, labels, **flags).least_regular(len(wrong))
    assert len(set(lowest) & set(wrong)) >= len(wrong) - 1


def test_scores_survive_a_round_trip(tmp_path, scores):
    path = tmp_path / "cscores.npz"
    write_scores(scores, path)
    loaded = jaxgen.load_scores(path)
    np.testing.assert_array_equal(loaded.scores, scores.scores)
    assert loaded.metadata == scores.metadata
    assert loaded.num_runs == 10
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("content", [b"", b"PK", b"junk"])
def test_what_is_no_score_file_is_said(content, tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(jaxgen.UserError, match=r"not a cscores\.npz"):
        jaxgen.load_scores(path)
    with pytest.raises(jaxgen.UserError, match="there is no such file; a cscores"):
        jaxgen.load_scores(tmp_path / "nowhere.npz")


def test_the_package_offers_what_it_says():
    for name in jaxgen.__all__:
        assert getattr(jaxgen, name)
    with pytest.raises(AttributeError, match="frobnicate"):
        jaxgen.frobnicate  # noqa: B018


@pytest.mark.slow
def test_lists_and_single_numbers_do_for_tuples():
    images, labels = blobs(40)
    listed = estimate_scores(images, labels, **{**FLAGS, "subset_ratios": [0.5], "hidden": [8]})
    plain = estimate_scores(images, labels, **{**FLAGS, "subset_ratios": (0.5,), "hidden": (8,)})
    np.testing.assert_array_equal(listed.scores, plain.scores)
    single = estimate_scores(images, labels, **{**FLAGS, "subset_ratios": 0.5, "hidden": 8})
    np.testing.assert_array_equal(single.scores, plain.scores)
    with pytest.raises(UserError, match="subset_ratios=half: is a text, and not of type tuple of numbers"):
        estimate_scores(images, labels, subset_ratios="half")


@pytest.mark.parametrize(
    ("flag", "value", "example"), [("hidden", "16", "(3,)"), ("epochs", "3", "3"), ("whiten", "yes", "True")]
)
def test_a_value_of_another_type_is_told_how_it_is_given(flag, value, example):
    with pytest.raises(UserError) as raised:
        estimate_scores(*blobs(40), **{flag: value})
    assert f"--{flag}={value}: is a text, and not of type " in str(raised.value)
    assert str(raised.value).endswith(f"; give it as in {flag}={example}")


OTHER_SETTINGS = {
    "enable_x64": True,
    "threefry_partitionable": False,
    "default_prng_impl": "rbg",
    "numpy_dtype_promotion": "strict",
    "transfer_guard": "disallow",
    "debug_nans": True,
    "debug_infs": True,
}


@pytest.mark.parametrize(
    "settings", [[*OTHER_SETTINGS], *(pytest.param([name], marks=pytest.mark.slow) for name in OTHER_SETTINGS)]
)
def test_a_session_of_other_settings_gets_the_same_scores(plain_scores, tmp_path, settings):
    """They change how draws are made, what types sums have, and what raises; in a notebook they may be set."""
    job, plain = plain_scores
    with contextlib.ExitStack() as stack:
        for name in settings:
            stack.enter_context(getattr(jax, name)(OTHER_SETTINGS[name]))
        other = estimate_scores(*blobs(40), **job, out=str(tmp_path), save_models=True)
        model = load_model(next(tmp_path.glob("models/*/000000.npz")))
        predicted = model.predict(blobs(40)[0])
    np.testing.assert_array_equal(plain.scores, other.scores)
    np.testing.assert_array_equal(plain.heldout_accuracy, other.heldout_accuracy)
    np.testing.assert_array_equal(predicted, model.predict(blobs(40)[0]))


@pytest.fixture(scope="module")
def plain_scores():
    job = {"num_runs": 3, "subset_ratios": (0.5,), "hidden": (4,), "epochs": 2, "width": 1}
    return job, estimate_scores(*blobs(40), **job)


def test_arguments_may_be_scalars_arrays_and_paths(tmp_path, plain_scores):
    job = {
        **plain_scores[0],
        "num_runs": np.int64(3),
        "subset_ratios": np.array([0.5]),
        "epochs": np.int32(2),
        "track": "auto",
    }
    found = estimate_scores(*blobs(40), **job, learning_rate=np.float32(0.1), out=tmp_path)
    again = estimate_scores(*blobs(40), **plain_scores[0], learning_rate=0.1, out=str(tmp_path))
    assert again.metadata["models_now"] == 0, "they are the same flags"
    np.testing.assert_array_equal(found.scores, again.scores)


def test_programs_too_large_for_the_machine_are_refused(monkeypatch):
    monkeypatch.setattr(execution_plan, "memory_budget", lambda devices: 10_000)
    with pytest.raises(UserError, match="lower --width, --num_devices or --batch_size"):
        estimate_scores(*blobs(40), num_runs=2, subset_ratios=(0.5,), epochs=1)
