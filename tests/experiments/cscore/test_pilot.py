"""The pilot: what it tries, what it chooses, what it keeps of the user's, and when it stops a job."""

import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxgen
from jaxgen import UserError
from jaxgen.config import CscoreSpec, DataSpec, MislabelledSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.data import load_dataset
from jaxgen.data.checks import make_dataset
from jaxgen.data.parts import take_rows
from jaxgen.experiments.cscore import pilot
from jaxgen.experiments.cscore.pilot_trials import EPOCHS, Trial, list_networks, rates_of, run_trials
from jaxgen.experiments.cscore.simple_baselines import baseline_correct
from jaxgen.jobs.session import Session
from tests.support.commands import type_in

DIGITS = load_digits()
SMALL = {"num_runs": 2, "subset_ratios": (0.5,), "progress": False}
RNG = np.random.default_rng(0)


def images(side, channels, count=40):
    return make_dataset(
        "mine",
        RNG.integers(0, 256, (count, side, side, channels)).astype(np.uint8),
        np.arange(count) % 4,
        source="mine",
    )


def networks(dataset, **flags):
    spec = spec_from_values(CscoreSpec, {"pilot": True, **flags})
    return [
        (found["model"], found.get("hidden"), found.get("norm")) for found in list_networks(dataset, spec, {*flags})
    ]


def test_networks_are_those_that_suit_the_data():
    assert networks(load_dataset(DataSpec())) == [("mlp", (128, 64), None)]
    assert networks(images(28, 1)) == [("mlp", (256, 128), None), ("convnet", None, "batch")]
    assert networks(images(32, 3)) == [("convnet", None, "batch")]
    rows = make_dataset("rows", RNG.normal(size=(40, 2000)), np.arange(40) % 4, source="rows")
    assert networks(rows) == [("mlp", (512, 256), None)]


def test_what_is_given_rules_networks_out():
    assert networks(images(32, 3), model="resnet9") == [("resnet9", None, None)]
    assert networks(images(32, 3), hidden=(64,)) == [("mlp", None, None)]
    assert networks(images(32, 3), norm="group") == [("convnet", None, None)]
    assert networks(images(128, 3), model="convnet") == [("convnet", None, None)]
    with pytest.raises(UserError, match=r"images of 128x128 pixels are too large .* give --image_size=32"):
        networks(images(128, 3))


def test_rates_are_those_of_the_optimizer_or_the_one_given():
    def rates(**flags):
        return rates_of(spec_from_values(CscoreSpec, flags), {"model": "mlp"}, {*flags})

    assert rates() == (0.003, 0.01, 0.03, 0.1)
    assert rates(optimizer="adam") == (0.0003, 0.001, 0.003, 0.01)
    assert rates(learning_rate=(0.2, 0.4)) == (0.2,)


def trials(model, *accuracies, rate=0.1):
    """Trials of one network for 5, 10, 20, ... epochs."""
    return [
        Trial(
            {"model": model, "learning_rate": rate, "epochs": 5 * 2**i},
            (np.arange(1000) < round(1000 * accuracy)).astype(float),
        )
        for i, accuracy in enumerate(accuracies)
    ]


def test_the_fastest_network_within_a_point_of_the_best_is_chosen():
    slow, fast = trials("convnet", 0.5, 0.9, 0.95), trials("mlp", 0.5, 0.9, 0.941)
    assert pilot.choose([*fast, *trials("mlp", 0.5, 0.9, 0.9, rate=0.2), *slow]) is fast[2]
    assert pilot.choose([*trials("mlp", 0.5, 0.9, 0.939), *slow]) is slow[2]


def test_the_fewest_epochs_within_half_a_point_of_the_best_are_chosen():
    assert pilot.choose(trials("mlp", 0.9, 0.94, 0.95, 0.953)).flags["epochs"] == 20
    # Of all learning rates; and the better one of those that take no more.
    rates = {0.1: (0.6, 0.8, 0.95), 0.2: (0.7, 0.946, 0.9), 0.3: (0.7, 0.948, 0.2)}
    chosen = pilot.choose([one for rate, shares in rates.items() for one in trials("mlp", *shares, rate=rate)])
    assert (chosen.flags["learning_rate"], chosen.flags["epochs"], chosen.accuracy) == (0.3, 10, 0.948)


def test_more_examples_take_fewer_epochs():
    part, [chosen] = images(28, 1, 100), trials("mlp", 0.9)
    chosen.flags["epochs"] = 16
    assert pilot.epochs_of_job(part, part, chosen) == 16
    assert pilot.epochs_of_job(images(28, 1, 400), part, chosen) == 8
    assert pilot.epochs_of_job(images(28, 1, 4000), part, chosen) == 5


def test_more_epochs_are_tried_while_they_gain(tmp_path):
    part = take_rows(load_dataset(DataSpec()), slice(300))
    spec = spec_from_values(CscoreSpec, {"pilot": True, "learning_rate": 1e-9, "out": str(tmp_path)})
    flags = {"model": "mlp", "hidden": (8,), "batch_size": 16}
    # Nothing is learnt at such a rate.
    found = run_trials(part, spec, flags, {"learning_rate"}, Session("again"))
    assert [one.flags["epochs"] for one in found] == [5, 10]
    assert {one.flags["schedule"] for one in found} == {"cosine"}
    [alone] = run_trials(part, spec, flags, {"learning_rate", "epochs", "schedule"}, Session("again"))
    assert (alone.flags["epochs"], "schedule" in alone.flags) == (20, False)


def test_baselines_train_on_what_the_trials_train_on(tmp_path):
    """As the runs of a job with the same flags, which are written out."""
    flags = {"epochs": 1, "seed": 3, "design": "balanced", "export_runs": str(tmp_path / "runs")}
    jaxgen.estimate_scores(DIGITS.images[:100], DIGITS.target[:100], **SMALL, **flags)
    files = sorted((tmp_path / "runs").glob("*/*/aux_arrays.npz"))
    found = np.zeros((2, 100), bool)
    for row, file in zip(found, files, strict=True):
        row[np.load(file)["subsample_idx"]] = True
    np.testing.assert_array_equal(pilot.halves(100, 3), found)


def test_baselines_are_those_of_scikit_learn_on_the_same_subsets():
    dataset = take_rows(load_dataset(DataSpec()), slice(200))
    subsets = np.stack([np.arange(200) % 2 == 0, np.arange(200) % 2 == 1])
    inputs, labels = dataset.images.reshape(200, -1).astype(np.float32), dataset.labels
    found = baseline_correct(dataset, subsets)
    ways = (KNeighborsClassifier(5), make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)))
    for correct, way in zip(found.values(), ways, strict=True):
        expected = np.empty(200)
        for subset in subsets:
            expected[~subset] = way.fit(inputs[subset], labels[subset]).predict(inputs[~subset]) == labels[~subset]
        np.testing.assert_array_equal(correct, expected)
    alone = dataclasses.replace(dataset, labels=np.arange(200) % 2)
    assert all(correct.mean() == 0 for correct in baseline_correct(alone, subsets).values())


def test_the_pilot_s_choice_can_be_typed_and_is_found_again(tmp_path):
    said = []
    spec = spec_from_values(CscoreSpec, {"pilot": True, "out": str(tmp_path / "pilot")})
    dataset = take_rows(load_dataset(DataSpec()), slice(400))
    session = Session("again", said.append)
    data, chosen = pilot.choose_training(dataset, spec, session)
    assert data.channel_moments
    assert chosen.data.normalize_channels
    assert chosen.model.model == "mlp"
    assert chosen.train.epochs in EPOCHS["mlp"]
    assert chosen.train.schedule == "cosine"
    assert said[0] == "pilot: trains mlp on each half of 400 examples, judged on the other half"
    assert said[1].startswith("| held-out accuracy, % | learning rate | 5 epochs | 10 epochs |")
    assert said[-1] == (
        f"pilot: chose --model=mlp --hidden=128,64 --batch_size=16 --learning_rate={chosen.train.learning_rate:g} "
        f"--schedule=cosine --epochs={chosen.train.epochs} --normalize_channels"
    )
    assert "5 nearest neighbours" in said[-2]
    assert "logistic regression" in said[-2]
    # From the models that are there.
    again = []
    assert pilot.choose_training(dataset, spec, Session("again", again.append))[1] == chosen
    assert again == said


def test_a_call_with_a_pilot_is_the_call_with_its_flags(tmp_path):
    inputs, labels = DIGITS.images[:300], DIGITS.target[:300]
    scores = jaxgen.estimate_scores(inputs, labels, pilot=True, epochs=5, out=tmp_path / "a", **SMALL)
    flags = scores.metadata["flags"]
    assert flags["epochs"] == "5"
    assert flags["normalize_channels"] == "true"
    typed = jaxgen.estimate_scores(
        inputs,
        labels,
        epochs=5,
        learning_rate=float(flags["learning_rate"]),
        batch_size=int(flags["batch_size"]),
        schedule="cosine",
        normalize_channels=True,
        **SMALL,
    )
    np.testing.assert_array_equal(scores.scores, typed.scores)


def test_a_search_has_a_pilot_too():
    result = jaxgen.find_mislabelled(DIGITS.images[:300], DIGITS.target[:300], pilot=True, epochs=5, num_runs=2)
    assert result.scores.metadata["flags"]["normalize_channels"] == "true"


@pytest.mark.parametrize("seed", range(3))
def test_labels_of_noise_stop_the_job(tmp_path, seed):
    rng = np.random.default_rng(seed)
    spec = spec_from_values(CscoreSpec, {"pilot": True, "seed": seed, "out": str(tmp_path)})
    dataset = make_dataset("noise", rng.normal(size=(300, 8)), rng.integers(0, 3, 300), source="noise")
    with pytest.raises(UserError, match=r"--pilot: it is not shown that any network learns: .* Bonferroni"):
        pilot.choose_training(dataset, spec, Session("again"))


@pytest.mark.parametrize(("recalls", "stops"), [((0.995, 0.3), False), ((1.0, 0.0), True), ((0.95, 0.05), True)])
def test_unequal_classes_are_judged_class_by_class(recalls, stops):
    labels = (np.arange(1000) < 50).astype(int)
    part = make_dataset("rare", RNG.normal(size=(1000, 3)), labels, source="rare")
    correct = np.concatenate([np.arange(50) < 50 * recalls[1], np.arange(950) < 950 * recalls[0]]).astype(float)
    choice = Trial({"model": "mlp"}, correct)
    if not stops:
        return pilot.refuse_chance(part, choice, 28)
    with pytest.raises(UserError, match=r"guesses on 50.0 % .n = 1,000"):
        pilot.refuse_chance(part, choice, 28)


def test_a_network_that_learns_less_than_a_simple_method_is_told():
    part = take_rows(load_dataset(DataSpec()), slice(400))
    poor = Trial({"model": "mlp"}, (np.arange(400) % 2).astype(float))
    said = pilot.compare_with_baselines(part, 0, poor)
    assert said.startswith("mlp is right on 50.0 % of 400 held-out examples; trained on the same halves, 5 nearest")
    assert said.endswith(
        "5 nearest neighbours and logistic regression learn more than the network does, so its doubts count for less"
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--shard=0/2"], "--shard=0/2: --pilot is for one process"),
        (["--launcher=ray"], "--launcher=ray: --pilot is for one process"),
        (["--subset_ratios=0.0001"], "--subset_ratios=0.0001: is 0 of 1797 examples"),
    ],
)
def test_mistakes_are_told_before_the_pilot(flags, said, tmp_path):
    ended = type_in(tmp_path, "--pilot", "--out=run", *flags)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_pilot_sees_no_injected_noise(tmp_path):
    ended = type_in(tmp_path, "--pilot", "--inject=symmetric:0.1", "--out=run", entry="mislabelled")
    assert ended.returncode == 2
    assert ended.stderr.startswith("jaxgen.mislabelled: --pilot: chooses by the labels as they are, and --inject")
    assert ended.stderr.count("\n") == 1


def test_a_dry_run_trains_no_pilot(tmp_path):
    ended = type_in(tmp_path, "--pilot", "--dry_run", "--num_runs=2", "--subset_ratios=0.5", "--out=run")
    assert ended.returncode == 0
    assert "pilot: is not run with --dry_run; flags stay as they are" in ended.stderr
    assert not (tmp_path / "run" / "pilot").exists()


def test_a_pilot_with_nothing_to_choose_says_so():
    said = []
    spec = spec_from_values(MislabelledSpec, {"pilot": True, "model": "mlp", "learning_rate": 0.1, "epochs": 3})
    dataset = load_dataset(DataSpec())
    assert pilot.choose_training(dataset, spec, Session("again", said.append)) == (dataset, spec)
    assert said == ["pilot: has nothing to choose; flags stay as they are"]
