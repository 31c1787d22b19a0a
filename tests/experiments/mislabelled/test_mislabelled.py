"""Finding wrong labels: the order, the suggestions, the count, known noise, rivals; the function and its example."""

import dataclasses
import doctest
import importlib.util
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxgen
from jaxgen import UserError
from jaxgen.config import MislabelledSpec, SearchSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.config.mislabelled import NOISE_KINDS, read_injection
from jaxgen.data.checks import make_dataset
from jaxgen.experiments.mislabelled import baselines as mislabelled_rivals
from jaxgen.experiments.mislabelled import injection
from jaxgen.experiments.mislabelled import search as mislabelled
from jaxgen.experiments.mislabelled.benchmark import FOLDS, Benchmark, five_fold, run_benchmark
from jaxgen.experiments.mislabelled.figures import UNKNOWN, caption
from jaxgen.experiments.mislabelled.injection import inject, load_noise
from jaxgen.experiments.mislabelled.report import (
    describe_benchmark,
    describe_count,
    describe_search,
    describe_trust,
    describe_with_error,
    neighbour_accuracy,
)
from jaxgen.experiments.mislabelled.search import rank_examples
from jaxgen.jobs import compilation_cache as compilations
from jaxgen.jobs.compilation_cache import shared_compilations
from jaxgen.jobs.session import QUIET, Session
from jaxgen.scores.confident import confident_classes, estimate_wrong
from jaxgen.scores.suspicion import detect, rank, suggest_labels, suspicion
from jaxgen.transforms.labels import KINDS, make_noise
from jaxgen.types import Scores
from support.data import blobs

KEY = jax.random.key(0)
NAN = float("nan")
SMALL = {"hidden": (8,), "epochs": 8, "batch_size": 8, "learning_rate": 0.1, "width": 2, "num_runs": 10}


def ring(count=90, noise=0.0, seed=0):
    """Labels of three classes, some of them wrong, and probabilities that know better."""
    rng = np.random.default_rng(seed)
    true = np.arange(count) % 3
    wrong = rng.random(count) < noise
    probs = np.full((count, 3), 0.05)
    probs[np.arange(count), true] = 0.9
    return np.where(wrong, (true + 1) % 3, true), probs, wrong


def made_scores(labels, **more):
    n = len(labels)
    values = np.linspace(0, 1, n)
    return Scores(
        scores=values,
        labels=np.asarray(labels),
        ids=np.arange(n) + 100,
        stderr=np.full(n, 0.1),
        counts=np.full((1, n), 4),
        scores_by_ratio=values[None],
        subset_ratios=np.array([0.8]),
        num_runs=20,
        class_names=np.array(["a", "b", "c"]),
        heldout_accuracy=np.full((1, 20), 0.5),
        reliability=np.array([0.9]),
        metadata={"num_models": 20, "width": 2},
        more=more,
    )


def test_detection_by_hand():
    """Five examples, two wrong: one first, one behind one right example."""
    found = detect(np.array([5.0, 4, 3, 2, 1]), np.array([True, False, True, False, False]))
    assert found.auroc == pytest.approx(5 / 6)
    assert found.average_precision == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found.precision == 1 / 2


def test_ties_across_the_border_count_as_a_random_choice_of_them():
    found = detect(np.array([2.0, 1, 1, 1, 0]), np.array([False, True, False, True, False]))
    # One place above is a right example's; of the three tied two are wrong, and one of them is chosen.
    assert found.precision == pytest.approx((2 / 3) / 2)
    assert detect(np.zeros(4), np.array([True, False, False, False])).auroc == 0.5


def test_detection_of_nothing_is_nan():
    assert np.isnan(detect(np.arange(3.0), np.zeros(3, bool))).all()
    assert np.isnan(detect(np.arange(3.0), np.ones(3, bool))).all()


def test_what_was_not_observed_is_the_least_suspicious():
    for end in (-1, 1):
        assert rank(suspicion(np.array([NAN, 0.2, NAN, 0.7]), end)).tolist() == (
            [1, 3, 0, 2] if end < 0 else [3, 1, 0, 2]
        )
    sure = np.array([0.9, NAN, 0.1])
    assert detect(suspicion(sure, -1), np.array([False, False, True])).auroc == 1


def test_permuting_examples_permutes_their_order():
    values = np.random.default_rng(0).random(50)
    places = np.random.default_rng(1).permutation(50)
    np.testing.assert_array_equal(places[rank(values[places])], rank(values))


def test_a_label_is_suggested_only_where_it_is_likelier():
    probs = np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.4, 0.4, 0.2], [NAN, NAN, NAN]])
    assert suggest_labels(probs, np.array([0, 1, 1, 2])).tolist() == [0, 0, 1, 2]


def test_confident_classes_by_hand():
    """Thresholds are the classes' mean probabilities of their own labels: 0.7 and 0.6."""
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.5, 0.5]])
    labels = np.array([0, 0, 0, 1, 1])
    # The third reaches class 1's threshold, the last one none.
    assert confident_classes(probs, labels, np.ones(5)).tolist() == [0, 0, 1, 1, -1]
    # An example without weight has no part in the thresholds: 0.85 and 0.7.
    assert confident_classes(probs, labels, np.array([1.0, 1, 0, 1, 0])).tolist() == [0, -1, -1, 1, -1]


def test_probabilities_that_know_the_classes_count_the_wrong_labels():
    labels, probs, wrong = ring(900, noise=0.2)
    found = estimate_wrong(probs, labels, None, KEY)
    assert found.count == wrong.sum()
    # Of a binomial count the deviation is sqrt(n p (1 - p)).
    deviation = np.sqrt(900 * 0.2 * 0.8)
    assert 2 * 1.5 < (found.high - found.low) / deviation < 2 * 2.5
    assert found.low < wrong.sum() < found.high
    # A label is the class after the true one.
    assert found.joint[1, 0] + found.joint[2, 1] + found.joint[0, 2] == wrong.sum()


def test_both_witnesses_must_agree_that_a_label_is_wrong():
    labels, probs, wrong = ring(900, noise=0.2)
    margins = np.where(wrong, -1.0, 1.0)
    margins[np.flatnonzero(wrong)[:30]] = 0.5
    margins[np.flatnonzero(~wrong)[:30]] = -0.5
    assert estimate_wrong(probs, labels, margins, KEY).count == wrong.sum() - 30


def gaussians(rng, n, distance):
    """Two overlapping classes on a line: labels, and the probabilities of the classes that they are drawn by."""
    labels = rng.integers(0, 2, n)
    x = rng.normal(size=n) + distance * labels
    odds = np.exp(distance * (x - distance / 2))
    return labels, np.stack([1 / (1 + odds), odds / (1 + odds)], axis=1)


def test_right_labels_where_classes_overlap_are_suspicious_and_not_counted():
    """Bayes' rule contradicts one label in six, and none is wrong."""
    rng, found = np.random.default_rng(0), []
    for seed in range(20):
        labels, probs = gaussians(rng, 1500, 2.0)
        contradicted = probs.argmax(1) != labels
        assert contradicted.mean() > 0.13
        found.append(estimate_wrong(probs, labels, np.where(contradicted, -1.0, 1.0), jax.random.key(seed)))
    assert np.mean([each.suspicious for each in found]) > 60
    assert np.mean([each.count for each in found]) < 0.02 * 1500
    assert np.mean([each.low for each in found]) < 10
    assert all(np.isclose(each.joint.sum(), each.count) for each in found)


def test_labels_drawn_by_the_models_own_probabilities_count_as_none():
    """The null: whatever the probabilities say, labels drawn by them contradict only what is uncertain."""
    rng, counts = np.random.default_rng(1), []
    for seed in range(10):
        probs = rng.dirichlet(np.full(5, 0.1), 1500)
        labels = (probs.cumsum(1) > rng.random((1500, 1))).argmax(1)
        contradicted = probs.argmax(1) != labels
        found = estimate_wrong(probs, labels, np.where(contradicted, -1.0, 1.0), jax.random.key(seed))
        assert contradicted.sum() > 150
        counts.append(found.count)
    assert np.mean(counts) < 0.02 * 1500


@pytest.mark.slow
@pytest.mark.parametrize("rate", [pytest.param(0.05, marks=pytest.mark.slow), 0.2])
def test_noise_that_shows_everywhere_is_counted_also_where_classes_overlap(rate):
    """Labels of overlapping classes are flipped; the probabilities are those of a model that learnt from the noise."""
    rng, ratios = np.random.default_rng(2), []
    for seed in range(20):
        labels, probs = gaussians(rng, 1500, 3.0)
        wrong = rng.random(1500) < rate
        noisy = np.where(wrong, 1 - labels, labels)
        learnt = (1 - rate) * probs + rate * probs[:, ::-1]
        contradicted = learnt.argmax(1) != noisy
        found = estimate_wrong(learnt, noisy, np.where(contradicted, -1.0, 1.0), jax.random.key(seed))
        ratios.append(found.count / wrong.sum())
    assert 0.75 < np.mean(ratios) < 1.25


@pytest.mark.slow
@pytest.mark.parametrize("apart", [1.5, 2.5])
def test_of_classes_without_a_wrong_label_no_more_than_half_of_the_held_out_errors_is_counted(apart):
    """As the printed line says; the mean over draws."""
    shares = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 3, 300)
        rows = apart * np.eye(3)[labels] + rng.normal(size=(300, 3))
        found = jaxgen.find_mislabelled(rows.astype(np.float32), labels, seed=seed)
        shares.append(found.wrong.count / found.accuracy.errors)
        assert f"which is {found.accuracy.errors / 2:.0f} here" in describe_trust(found)[0]
    assert np.mean(shares) < 0.55


def test_at_chance_nothing_is_counted(separable):
    """Models that are right no more often than the most frequent label is know of no wrong label."""
    rng = np.random.default_rng(3)
    labels, n = rng.integers(0, 3, 120), 120
    probs = rng.dirichlet(np.ones(3), n)
    guesses = (rng.random(n) < 1 / 3).astype(float)
    more = {"pred_probs": probs, "csl": rng.random(n), "aum": rng.normal(size=n)}
    scores = dataclasses.replace(made_scores(labels, **more), scores=guesses)
    found = rank_examples(scores, MislabelledSpec())
    assert found.accuracy.at_chance
    assert found.wrong.suspicious > 20
    assert np.isnan([found.wrong.count, found.wrong.low, found.wrong.high]).all()
    assert np.isnan(found.wrong.joint).all()
    assert not len(found.suspects())
    assert "how many labels are wrong cannot be told" in describe_count(found)
    text = describe_search(dataclasses.replace(separable, labels=labels.astype(np.int32)), found)
    assert text.startswith("held-out accuracy ")
    assert "estimated to be mislabelled" not in text
    clear = rank_examples(dataclasses.replace(scores, scores=np.full(n, 0.9)), MislabelledSpec())
    assert not clear.accuracy.at_chance
    assert "estimated to be mislabelled" in describe_count(clear)


def test_accuracy_stands_beside_chance_and_nearest_neighbours(separable):
    found = neighbour_accuracy(separable)
    assert found.mean > 0.9
    assert found.n == len(separable.labels)
    shuffled = np.random.default_rng(0).permutation(separable.labels)
    assert neighbour_accuracy(dataclasses.replace(separable, labels=shuffled)).at_chance


def test_no_wrong_label_is_counted_as_none():
    labels, probs, _ = ring(noise=0.0)
    found = estimate_wrong(probs, labels, None, KEY)
    assert (found.count, found.low, found.high) == (0, 0, 0)


def test_rows_without_probabilities_are_left_out_of_the_count():
    labels, probs, wrong = ring(900, noise=0.2)
    probs[:300] = NAN
    found = estimate_wrong(probs, labels, None, KEY)
    assert (found.n, found.count) == (600, wrong[300:].sum())
    nothing = estimate_wrong(np.full((4, 3), NAN), np.zeros(4, int), None, KEY)
    assert nothing.n == 0
    assert np.isnan(nothing.count)


@pytest.mark.skipif(not importlib.util.find_spec("cleanlab"), reason="cleanlab is not installed")
def test_the_confident_classes_are_cleanlabs():
    from cleanlab.count import compute_confident_joint

    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, 400)
    probs = rng.dirichlet(np.ones(4), 400) + np.eye(4)[labels] * rng.random((400, 1))
    probs /= probs.sum(1, keepdims=True)
    found = confident_classes(probs, labels, np.ones(400))
    joint = np.bincount(labels[found >= 0] * 4 + found[found >= 0], minlength=16).reshape(4, 4)
    np.testing.assert_array_equal(joint, compute_confident_joint(labels, probs, calibrate=False))
    assert estimate_wrong(probs, labels, None, KEY).count == joint.sum() - np.trace(joint)


def test_the_kinds_of_noise_are_those_of_the_transforms():
    assert {*NOISE_KINDS.values()} <= {*KINDS}
    assert read_injection("symmetric:0.1")[1:3] == ("others", 0.1)
    assert read_injection("matrix:a:b.csv")[1:] == ("matrix", 1.0, "a:b.csv", "")
    assert read_injection("file:a/b.pt:worse_label")[1:] == ("file", 1.0, "a/b.pt", "worse_label")
    assert read_injection("file:c:/b.pt")[3:] == ("c:/b.pt", "")
    assert read_injection("file:labels.csv")[3:] == ("labels.csv", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loud:0.1", "--inject=loud:0.1: unknown noise; give one of symmetric, pair"),
        ("symmetric", "--inject=symmetric: needs a rate between 0 and 1, such as symmetric:0.1"),
        ("pair:0", "--inject=pair:0: the rate must lie strictly between 0 and 1"),
        ("pair:1", "strictly between 0 and 1"),
        ("pair:nan", "strictly between 0 and 1"),
        ("matrix:", "--inject=matrix:: needs a file"),
        ("file:", "--inject=file:: needs a file of labels, as in file:PATH or file:PATH:KEY"),
    ],
)
def test_noise_that_is_none_is_refused(text, said):
    with pytest.raises(UserError, match=said):
        SearchSpec(inject=(text,))


@pytest.mark.parametrize("text", ["symmetric:0.3", "pair:0.3", "instance:0.3", "uniform:0.5", "permutation:0.4"])
def test_the_mask_is_what_changed(dataset, text):
    noise = load_noise(read_injection(text), dataset)
    found = inject(dataset, noise, seed=0, repeat=0)
    np.testing.assert_array_equal(found.wrong, found.dataset.labels != dataset.labels)
    assert 5 <= found.wrong.sum() <= 35
    np.testing.assert_array_equal(found.dataset.test_labels, dataset.test_labels)
    assert found.dataset.fingerprint != dataset.fingerprint
    again, other = (inject(dataset, noise, seed=0, repeat=repeat) for repeat in (0, 1))
    np.testing.assert_array_equal(again.wrong, found.wrong)
    assert (other.wrong != found.wrong).any()


def test_labels_from_a_file_are_the_same_in_every_repeat(dataset, tmp_path):
    labels = dataset.labels.copy()
    labels[[3, 10, 11]] = (labels[[3, 10, 11]] + 1) % 3
    np.save(tmp_path / "noisy.npy", labels)
    noise = load_noise(read_injection(f"file:{tmp_path / 'noisy.npy'}"), dataset)
    for repeat in (0, 1):
        found = inject(dataset, noise, seed=0, repeat=repeat)
        assert np.flatnonzero(found.wrong).tolist() == [3, 10, 11]
        np.testing.assert_array_equal(found.dataset.labels, labels)
        assert found.described == "3 of 60 labels differ from the data's, rows of the file taken by id"
    league = made_league({("scores", "heldout"): (0.8, 0.82)})
    renamed = league._replace(
        rows=[{**row, "noise": noise.injection.text} for row in league.rows],
        estimates=[{**row, "noise": noise.injection.text} for row in league.estimates],
    )
    assert "same in every repeat" not in describe_benchmark(league, MislabelledSpec())
    assert "Labels from a file are the same in every repeat" in describe_benchmark(renamed, MislabelledSpec())


def test_noise_is_drawn_by_a_key_that_no_run_has(dataset, monkeypatch):
    """A run's subset is drawn by its number folded into the same root key."""
    keys = []

    def spy(*arguments):
        corrupt = make_noise(*arguments)
        return lambda key, *rest: keys.append(key) or corrupt(key, *rest)

    monkeypatch.setattr(injection, "make_noise", spy)
    inject(dataset, load_noise(read_injection("symmetric:0.3"), dataset), seed=0, repeat=0)
    runs = jax.vmap(lambda run: jax.random.fold_in(jax.random.fold_in(jax.random.key(0), run), 0))(jnp.arange(5000))
    runs, own = (np.asarray(jax.random.key_data(each)) for each in (runs, jnp.stack(keys)))
    assert own.shape == (1, 2)
    assert not (runs == own).all(axis=1).any()


def test_a_matrix_of_the_wrong_shape_and_noise_that_changes_nothing_are_refused(dataset, tmp_path):
    np.savetxt(tmp_path / "two.csv", np.eye(2), delimiter=",")
    with pytest.raises(UserError, match=r"--inject=matrix:.*two\.csv: has shape \(2, 2\).*needed: 3 rows of 3"):
        load_noise(read_injection(f"matrix:{tmp_path / 'two.csv'}"), dataset)
    np.savetxt(tmp_path / "same.csv", np.eye(3), delimiter=",")
    with pytest.raises(UserError, match="changes 0 of 60 labels"):
        inject(dataset, load_noise(read_injection(f"matrix:{tmp_path / 'same.csv'}"), dataset), seed=0, repeat=0)


def test_examples_are_ranked_by_the_suspicious_end_of_the_score():
    labels, probs, _ = ring(9, noise=0.5)
    # Above chance by far, but in this order.
    scores = made_scores(labels, memorization=np.arange(9.0), pred_probs=probs)
    scores = dataclasses.replace(scores, scores=np.linspace(0.8, 1, 9))
    low = mislabelled.rank_examples(scores, spec_from_values(MislabelledSpec, {"score": "scores"}))
    high = mislabelled.rank_examples(scores, spec_from_values(MislabelledSpec, {"score": "memorization"}))
    assert low.order.tolist() == list(range(9))
    assert high.order.tolist() == list(range(8, -1, -1))
    first = next(high.rows())
    assert (first["rank"], first["id"], first["score"], first["heldout_n"]) == (1, 108, "8", 4)
    assert first["scores"] == "1"
    for row in low.rows():
        i = row["id"] - 100
        assert row["suggested"] == ("" if labels[i] == i % 3 else "abc"[i % 3])
    assert len(low.suspects()) == round(low.wrong.count)


def test_an_example_that_was_never_held_out_has_a_dash_for_a_suggestion(separable):
    """Not its own label: no model was asked."""
    labels, probs, _ = ring(120)
    probs[:2], labels[3] = NAN, 1
    scores = made_scores(labels, pred_probs=probs)
    dataset = dataclasses.replace(separable, labels=labels.astype(np.int32))
    found = rank_examples(scores, spec_from_values(MislabelledSpec, {"score": "scores"}))
    assert [found.describe_suggestion(i) for i in range(5)] == ["—", "—", "its own", "a", "its own"]
    table = describe_search(dataset, found)
    assert "| 1 | 100 | a | — |" in table
    assert "| 3 | 102 | c | its own |" in table
    assert {row["id"]: row["suggested"] for row in found.rows()}[100] == ""
    assert [caption(dataset, 0, suggested, 0.5) for suggested in (UNKNOWN, 0, 1)] == [
        "id 0\na → —\n0.5",
        "id 0\na\n0.5",
        "id 0\na → b?\n0.5",
    ]
    unasked = rank_examples(made_scores(labels), spec_from_values(MislabelledSpec, {"score": "scores"}))
    assert {unasked.describe_suggestion(i) for i in range(120)} == {"—"}
    assert describe_with_error(NAN, NAN) == "—"


def test_a_score_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="--score=loss: unknown; give one of scores, memorization"):
        jaxgen.find_mislabelled(*blobs(40), score="loss")
    with pytest.raises(UserError, match="--score=memorization: this job has not tracked it; give one of scores"):
        mislabelled.rank_examples(made_scores([0, 1, 2]), spec_from_values(MislabelledSpec, {"score": "memorization"}))
    with pytest.raises(UserError, match=r"--dropout=0,0.1: takes one value here"):
        jaxgen.find_mislabelled(*blobs(40), dropout=[0.0, 0.1])
    with pytest.raises(UserError, match=r"inject: is no flag of a call from Python"):
        jaxgen.find_mislabelled(*blobs(40), inject=("pair:0.1",))
    with pytest.raises(UserError, match="--repeats=2: repeats draws of --inject"):
        spec_from_values(MislabelledSpec, {"repeats": 2})


@pytest.mark.skipif(not importlib.util.find_spec("cleanlab"), reason="cleanlab is not installed")
def test_cleanlab_rates_by_the_same_probabilities():
    labels, probs, wrong = ring(90, noise=0.3)
    probs[5] = NAN
    found = mislabelled_rivals.rate_by_cleanlab(probs.astype(np.float32), labels)
    assert set(found) == {*mislabelled_rivals.CLEANLAB_METHODS}
    own = np.where(np.arange(90) == 5, -np.inf, -np.where(wrong, 0.05, 0.9))
    np.testing.assert_allclose(found["self_confidence"], own, atol=1e-6)
    assert mislabelled_rivals.count_by_cleanlab(probs, labels) == wrong.sum() - wrong[5]


def test_left_out_rivals_are_told_with_the_remedy(dataset, monkeypatch):
    assert not any("Data-OOB" in line for line in mislabelled_rivals.describe_missing(dataset))
    monkeypatch.setattr(mislabelled_rivals, "has_cleanlab", lambda: False)
    monkeypatch.setattr(mislabelled_rivals, "MAX_NUMBERS", 100)
    first, second = mislabelled_rivals.describe_missing(dataset)
    assert "pip install" in first
    assert "960 numbers are more than the 100" in second


def test_data_oob_is_the_accuracy_of_trees_that_were_grown_without(monkeypatch):
    monkeypatch.setattr(mislabelled_rivals, "NUM_TREES", 60)
    images, labels = blobs(200, side=3)
    images[np.arange(200), labels // 3, labels % 3] = 255
    wrong = np.arange(200) % 20 == 0
    labels = np.where(wrong, (labels + 1) % 3, labels)
    found = mislabelled_rivals.rate_by_data_oob(make_dataset("blobs", images, labels, source="blobs"), 0)
    assert detect(found, wrong).auroc > 0.99
    assert found.min() >= -1
    assert found.max() <= 0


@pytest.fixture(scope="module")
def separable():
    """Three classes that a small network tells apart."""
    images, labels = blobs(120, seed=2)
    images[np.arange(120), labels // 4, labels % 4] = 255
    return make_dataset("blobs", images, labels, source="blobs", class_names=["a", "b", "c"])


@pytest.fixture(scope="module")
def benchmark(separable, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("league"))
    spec = spec_from_values(
        MislabelledSpec, {**SMALL, "inject": ("symmetric:0.1", "pair:0.2"), "repeats": 1, "out": out}
    )
    said = []
    return run_benchmark(separable, spec, Session(log=said.append)), spec, said


def test_a_league_judges_every_score_and_rival_on_every_noise_and_repeat(benchmark):
    found, spec, said = benchmark
    places = {(row["noise"], row["repeat"]) for row in found.rows}
    assert places == {(noise, 0) for noise in spec.search.inject}
    names = [row["score"] for row in found.rows]
    assert all(names.count(name) == 2 for name in names)
    assert {"scores", "memorization", "soft_score", "csl", "aum", "Data-OOB"} <= {*names}
    best = [row["auroc"] for row in found.rows if row["score"] == spec.search.score]
    assert np.mean(best) > 0.9
    measured = np.array([[row[name] for name in ("auroc", "average_precision", "precision")] for row in found.rows])
    assert (measured >= 0).all()
    assert (measured <= 1 + 1e-9).all()
    assert len(found.estimates) == 2
    assert all(abs(row["estimated"] - row["wrong"]) < 15 for row in found.estimates)
    assert sum("labels changed" in line for line in said) == 2


def test_the_same_probabilities_rated_as_cleanlab_rates_by_default_are_the_soft_score(benchmark):
    found = benchmark[0]
    own = [row["auroc"] for row in found.rows if row["score"] == "soft_score"]
    theirs = [row["auroc"] for row in found.rows if row["score"] == "cleanlab, pred_probs, self confidence"]
    if not theirs:
        pytest.skip("cleanlab is not installed")
    np.testing.assert_allclose(own, theirs, atol=2e-3)


def made_league(aurocs, **more):
    """A league of one noise: by score its AUROC in each repeat."""
    rows = [
        {"noise": "pair:0.2", "repeat": repeat, "wrong": 10, "n": 50, "score": score, "origin": origin}
        | dict.fromkeys(("auroc", "average_precision", "precision"), value)
        for (score, origin), values in aurocs.items()
        for repeat, value in enumerate(values)
    ]
    estimates = [
        {"noise": "pair:0.2", "repeat": repeat, "wrong": 10, "n": 50, "estimated": 12.0, "low": low, "high": 15.0}
        | {"cleanlab": NAN}
        for repeat, low in enumerate((9.0, 11.0))
    ]
    images, labels = blobs(50)
    return Benchmark(rows, estimates, make_dataset("blobs", images, labels, source="blobs"), 10, [], 2)


def test_a_league_tells_intervals_with_n_differences_and_coverage_best_first():
    """Of two repeats, Student's t is 12.706, and half of the interval 12.706 sd / sqrt(2)."""
    found = made_league(
        {("scores", "heldout"): (0.8, 0.82), ("soft_score", "heldout"): (0.9, 0.94), ("X", "rival"): (0.7, 0.8)}
    )
    text = describe_benchmark(found, spec_from_values(MislabelledSpec, {"score": "soft_score"}))
    assert "over n = 2 repeats" in text
    assert f"| `soft_score` | heldout | 92.00 ± {1270.6 * 0.02:.2f} |" in text
    assert text.index("`soft_score`") < text.index("`scores`") < text.index("| X |")
    # Pairs differ by 0.2 and 0.14.
    assert "| X | +17.00 [-21.12, +55.12] |" in text
    assert "| pair:0.2 | 10 | 12 [10, 15] | 1 of 2 | — |" in text


def test_a_users_own_cache_of_compilations_is_left_alone_and_without_one_there_is_one_for_a_while(monkeypatch):
    monkeypatch.setattr(compilations, "MIN_COMPILE_SECONDS", 0.0)
    own = jax.config.jax_compilation_cache_dir
    with shared_compilations():
        assert jax.config.jax_compilation_cache_dir == own
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        with shared_compilations():
            folder = jax.config.jax_compilation_cache_dir
            jax.jit(lambda x: jnp.linalg.svd(x @ x.T)[1].sum())(jnp.ones((40, 40))).block_until_ready()
            assert os.listdir(folder)
        assert jax.config.jax_compilation_cache_dir is None
        assert not os.path.exists(folder)
    finally:
        jax.config.update("jax_compilation_cache_dir", own)


def test_five_folds_are_the_first_block_of_the_job(separable, tmp_path):
    spec = spec_from_values(MislabelledSpec, {**SMALL, "out": str(tmp_path)})
    whole = mislabelled.train_scores(separable, spec, QUIET)
    files = sorted(tmp_path.rglob("*-*.npz"))
    probs = five_fold(separable, spec, QUIET)
    assert sorted(tmp_path.rglob("*-*.npz")) == files, "nothing is trained for it"
    np.testing.assert_allclose(probs.sum(1), 1)
    block = mislabelled.train_scores(
        separable,
        spec_from_values(MislabelledSpec, {**SMALL, "num_runs": FOLDS, "out": str(tmp_path)}),
    )
    assert (block.counts == 1).all()
    assert (whole.counts == 2).all()
    own = probs[np.arange(120), separable.labels]
    np.testing.assert_allclose(own, block.more["soft_score"], atol=5e-3)


def test_the_function_finds_what_was_spoilt_and_tells_of_it(separable):
    labels = separable.labels.copy()
    wrong = np.arange(0, 120, 12)
    labels[wrong] = (labels[wrong] + 1) % 3
    found = jaxgen.find_mislabelled(separable.images[..., 0], labels, class_names=["a", "b", "c"], **SMALL)
    assert len({*found.order[:10].tolist()} & {*wrong.tolist()}) >= 9
    assert (found.suggested[wrong] == separable.labels[wrong]).mean() >= 0.9
    assert 5 <= found.wrong.count <= 20
    text = describe_search(separable, found)
    assert "estimated to be mislabelled" in text
    assert "120 of 120 examples ranked by" in text
    assert text.count("\n|") >= 20


@pytest.mark.slow
def test_the_example_of_its_docstring_runs():
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        found = doctest.testmod(mislabelled, verbose=False)
    finally:
        jax.config.update("jax_disable_most_optimizations", True)
    assert found.attempted >= 7
    assert not found.failed
