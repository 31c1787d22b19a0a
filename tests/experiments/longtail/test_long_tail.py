"""Long tails in two stages: who is trained on what, what each method changes, what is told of it."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from jaxgen import UserError
from jaxgen.config import HeadSpec, TailSpec
from jaxgen.data.long_tail import cut_tail
from jaxgen.engine.members import Examples
from jaxgen.experiments.longtail.class_order import draw_class_aware
from jaxgen.experiments.longtail.imbalances import ImbalanceJobs
from jaxgen.experiments.longtail.job import RUN_GROUP, make_job, make_stage1_workload
from jaxgen.experiments.longtail.measure import ClassifierResult, choose_threshold, measure, measure_stage1
from jaxgen.experiments.longtail.method_report import difference, method_rows, report_job, results_of
from jaxgen.experiments.longtail.methods import make_methods
from jaxgen.experiments.longtail.passes import pass_length
from jaxgen.experiments.longtail.report import make_report
from jaxgen.experiments.longtail.rounds import flip_again, predict_train, round_rows, run_rounds
from jaxgen.experiments.longtail.run import expect_flips, expected_by_threshold, measure_job, train_stage1
from jaxgen.experiments.longtail.shots import describe_shots, shot_groups
from jaxgen.experiments.longtail.stage2 import make_heads, make_stage2, make_stage2_workload
from jaxgen.experiments.longtail.thresholds import AUTHORS_SHARE, compare_threshold_rules, nearest_in_flips
from jaxgen.jobs.member_table import TableRow
from jaxgen.jobs.session import QUIET
from jaxgen.keys import Draw
from jaxgen.scores.metrics import expected_calibration_error, maximum_calibration_error, reliability
from jaxgen.transforms.lnr import lnr_flip
from support.long_tail import kept_params, long_tail_data, spec_of
from support.written import written


@pytest.fixture(scope="module")
def data():
    return long_tail_data()


@pytest.fixture(scope="module")
def ran(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lnr")
    job = make_job(data, spec_of(folder))
    return job, measure_job(job, QUIET)


def job_folder(job):
    return pathlib.Path(job.spec.out)


def test_the_tail_is_what_is_asked_for_and_nothing_is_seen_twice(data):
    tail = cut_tail(data, TailSpec(imbalance=8.0, selection_share=0.25), 0)
    assert np.bincount(tail.labels).tolist() == [20, 20, 20]
    assert np.bincount(tail.dataset.labels).tolist() == [60, 21, 7]
    seen = [{image.tobytes() for image in images} for images in (tail.images, tail.dataset.images)]
    assert not seen[0] & seen[1]
    assert tail.dataset.test_images is data.test_images
    again, other = (cut_tail(data, TailSpec(imbalance=8.0, selection_share=0.25), seed) for seed in (0, 1))
    np.testing.assert_array_equal(again.dataset.ids, tail.dataset.ids)
    assert set(other.dataset.ids) != set(tail.dataset.ids)
    whole = cut_tail(data, TailSpec(imbalance=1.0, selection_share=0.25), 0)
    assert np.bincount(whole.dataset.labels).tolist() == [60, 60, 60]


def test_a_tail_fits_classes_of_other_sizes(data):
    """The head is as large as the other classes let it be."""
    few = dataclasses.replace(data, images=data.images[:120], labels=np.repeat([0, 1, 2], [80, 10, 30]))
    tail = cut_tail(few, TailSpec(imbalance=4.0, selection_share=0.2), 0)
    # 8 of 10 are left of class 1, half of the head.
    assert np.bincount(tail.dataset.labels).tolist() == [17, 8, 4]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"imbalance": 1000.0}, "--imbalance=1000: leaves a class without an example; lower it"),
        ({"imbalance": 0.5}, "--imbalance=0.5: must be 1 or more, or 0"),
        ({"folds": 4}, "--folds=4: does nothing with two stages; leave it out"),
        ({"selection_share": 0.001}, "--selection_share=0.001: is none of the 80 training examples of the class a"),
        ({"learning_rate": (0.1, 0.2)}, "--learning_rate=0.1,0.2: takes one value here"),
        ({"mixup": 0.0, "methods": ("mixup", "lnr")}, "--methods=mixup: needs a --mixup above 0"),
        ({"mixup": 0.0, "methods": ("remix",)}, "--methods=remix: needs a --mixup above 0"),
        ({"methods": ("smote",)}, "--methods=smote: give some of ce, mixup, remix, plain"),
        ({"threshold": (1.0, float("nan"))}, "--threshold=1,nan: give one or more finite numbers"),
        ({"shots": (100, 20)}, "--shots=100,20: give two numbers, the lower one first"),
        ({"shot_classes": (2, 1)}, "--shot_classes=2,1: give two numbers, the lower one first"),
        ({"shots": (20, 100), "shot_classes": (1, 4)}, "--shot_classes=1,4: goes beyond the 3 classes; lower it"),
        ({"shot_classes": (1, 2)}, "--shot_classes=1,2: shots are by --shots=15,50 already; leave one out"),
        (
            {"patience": 3, "validation_share": 0.1},
            "--validation_share, --patience: a long tail has too few examples",
        ),
    ],
)
def test_mistakes_are_one_line(data, flags, said):
    with pytest.raises(UserError) as caught:
        make_job(data, spec_of(**flags))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_class_without_examples_is_named(data):
    lacking = dataclasses.replace(data, labels=np.where(data.labels == 1, 0, data.labels))
    with pytest.raises(UserError, match="the class b of mine has no training example"):
        make_job(lacking, spec_of())


def test_stage_1_as_it_is_is_what_stage_1_was_examined_as(ran):
    job, results = ran
    arrays = list(make_stage1_workload(job).open_store().runs(RUN_GROUP))
    kept = {
        int(number): share
        for chunk in arrays
        for number, share in zip(chunk["run"], chunk["test_accuracy"], strict=True)
    }
    for kind, method in enumerate(("ce", "mixup", "remix")):
        for one in results_of(results, method):
            assert one.row["test_accuracy"] == pytest.approx(kept[one.row["run"] * 3 + kind], abs=1e-6)
    assert [one.row["method"] for one in results.measured[:9]] == ["ce"] * 3 + ["mixup"] * 3 + ["remix"] * 3


def first_losses(job):
    """By kind and run, the mean loss of each epoch of stage 1."""
    kinds = len(job.kinds)
    return {
        (job.kinds[number % kinds], int(number) // kinds): curve
        for arrays in make_stage1_workload(job).open_store().runs(RUN_GROUP)
        for number, curve in zip(arrays["run"], arrays["loss_curve"], strict=True)
    }


@pytest.mark.slow
def test_a_kind_of_stage_1_alone_is_that_kind_beside_the_others(ran, data, tmp_path):
    job, results = ran
    together, runs = first_losses(job), range(3)
    assert all((together["mixup", run] != together["remix", run]).any() for run in runs)
    for kind in ("mixup", "remix"):
        alone = make_job(data, spec_of(tmp_path / kind, methods=(kind,), num_runs=2, width=1))
        assert alone.kinds == [kind]
        found = measure_job(alone, QUIET)
        for run, one in enumerate(found.measured):
            np.testing.assert_allclose(first_losses(alone)[kind, run], together[kind, run], rtol=1e-4)
            assert one.row["test_accuracy"] == results_of(results, kind)[run].row["test_accuracy"]


def test_stage_2_goes_on_from_mixup_whatever_else_is_in_the_table(data):
    for methods in (("mislas",), ("ce", "lnr"), ("ce", "remix", "plain"), ("remix", "mixup", "plain")):
        job = make_job(data, spec_of(methods=methods))
        assert job.kinds[job.base] == "mixup"
    assert make_job(data, spec_of(methods=("ce", "remix"))).kinds == ["ce", "remix"]
    assert make_job(data, spec_of(mixup=0.0)).kinds == ["ce"]


def test_methods_change_what_they_say_and_nothing_else(ran):
    job, _ = ran
    params = kept_params(job)
    for run in range(3):
        own = {name: params[name, run] for name in ("plain", "lws", "crt", "mislas")}
        for name in ("plain", "crt"):
            assert (own[name][2] == 1).all(), "no scale is learnt"
        assert (own["lws"][2] != 1).all()
        assert (own["mislas"][2] != 1).all()
        # The classifier of lws is stage 1's, as all others began with but crt.
        first = own["lws"][1]
        assert (own["plain"][1] != first).any()
        near, far = (np.abs(own[name][1] - first).mean() for name in ("plain", "crt"))
        assert near < far
    assert not np.array_equal(params["mislas", 0][1], params["mislas", 1][1])


@pytest.mark.slow
def test_selmix_is_trained_as_the_others_but_for_what_it_mixes(ran, data, tmp_path):
    job, results = ran
    params, measured = kept_params(job), results_of(results, "selmix")
    for run in range(3):
        own, plain, first = (params[name, run] for name in ("selmix", "plain", "lws"))
        assert (own[2] == 1).all(), "no scale is learnt"
        assert (own[1] != first[1]).any()
        assert (own[1] != plain[1]).any()
        # It has been told of the selection examples.
        assert np.isnan(measured[run].row["selection_accuracy"])
    # Alone it is what it is beside the others, run by run.
    alone = make_job(data, spec_of(tmp_path, methods=("ce", "mixup", "remix", "selmix"), width=1))
    found = kept_params(alone) if measure_job(alone, QUIET) else {}
    assert {name for name, _ in found} == {"selmix"}
    for run in range(3):
        for one, other in zip(found["selmix", run], params["selmix", run], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_flips_are_counted_as_they_were_drawn_and_the_control_has_as_many(ran):
    job, results = ran
    for threshold in job.spec.flips.threshold:
        drawn, control = (
            [one.row["flips"] for one in results_of(results, method, threshold)] for method in ("lnr", "random_flips")
        )
        assert drawn == control
        assert sum(drawn) / 3 == pytest.approx(results.expected[threshold], abs=4)
    low, high = (sum(one.row["flips"] for one in results_of(results, "lnr", at)) for at in job.spec.flips.threshold)
    assert low > high > 0
    assert len(results.flips) == sum(one.row["flips"] for one in results_of(results, "lnr"))
    labels = dict(zip(job.tail.dataset.ids.tolist(), job.tail.dataset.labels.tolist(), strict=True))
    for flip in results.flips:
        assert labels[int(flip.id)] == flip.old < flip.new
        assert 0 < flip.rate <= 1
        assert flip.z > results.chosen["lnr"]
    assert results.chosen["random_flips"] == results.chosen["lnr"]
    others = [one.row["flips"] for one in results.measured if one.row["method"] not in ("lnr", "random_flips")]
    assert not any(others)


def members_of_stage2(job, **flags):
    """Head and `MemberConfig` of every member of run 0, by the stage 1 that has been trained."""
    spec = dataclasses.replace(job.spec, head=dataclasses.replace(job.spec.head, **flags))
    job = job._replace(spec=spec)
    dataset, programs = make_stage2(job, train_stage1(job, QUIET)[1])
    program = programs[0]
    train = Examples(jnp.asarray(dataset.images), jnp.asarray(dataset.labels))
    heads = program.context.heads
    make = jax.jit(lambda row: program.make_member(program, row, train))
    return {head: make(TableRow(np.int32(0), np.int32(i))) for i, head in enumerate(heads)}


def test_batches_go_by_the_labels_before_the_flips_and_are_trained_on_the_flipped_ones(ran):
    """As in the authors' code: the sampler is made of the data set's own labels once."""
    job, _ = ran
    original = jnp.asarray(job.tail.dataset.labels)
    counts = np.bincount(original)
    flipped = 0
    for head, member in members_of_stage2(job).items():
        if head.method == "undersampling":
            continue
        np.testing.assert_array_equal(member.extra.groups.counts, counts)
        changed = np.flatnonzero(member.labels != original)
        if head.method not in ("lnr", "random_flips"):
            assert not len(changed)
        elif len(changed):
            # A class-aware stream of 3 x 64 draws visits an example of the head once on average, whatever its label is.
            draws = pass_length(counts)
            orders = jax.vmap(draw_class_aware, (0, None, None))
            order = np.asarray(jax.jit(orders, static_argnums=1)(split_key(8), draws, member.extra.groups)).ravel()
            visits = np.bincount(order, minlength=len(original))[changed].mean() / 8
            expected = np.mean(counts.max() / counts[original[changed]])
            assert visits == pytest.approx(expected, rel=0.2)
            flipped += len(changed)
    assert flipped > 5


def test_batches_may_go_by_the_flipped_labels(ran):
    job, _ = ran
    for head, member in members_of_stage2(job, sample_by="flipped").items():
        if head.method == "undersampling":
            continue
        np.testing.assert_array_equal(member.extra.groups.counts, np.bincount(member.labels, minlength=3))


def split_key(count):
    return jax.random.split(jax.random.key(5), count)


def test_flips_are_told_without_stage_2(ran):
    job, results = ran
    assert expect_flips(job, QUIET) == pytest.approx(results.expected)


@pytest.mark.slow
def test_what_is_there_is_not_trained_again_and_stage_2_may_be_another(ran, data):
    job, results = ran
    again = measure_job(job, QUIET)
    assert (again.stage1.models_now, again.stage2.models_now) == (0, 0)
    # As text, for NaN is not equal to itself.
    assert [str(one.row) for one in again.measured] == [str(one.row) for one in results.measured]
    other = make_job(data, spec_of(job.spec.out, methods=("mislas", "lnr"), threshold=(1.0,), head_epochs=2))
    # Without ce and remix there are other models of stage 1, which never share a folder.
    with pytest.raises(UserError, match="another --out"):
        measure_job(other, QUIET)
    other = make_job(
        data, spec_of(job.spec.out, methods=("ce", "remix", "mislas", "lnr"), threshold=(1.0,), head_epochs=2)
    )
    found = measure_job(other, QUIET)
    assert (found.stage1.models_now, found.stage2.models_now) == (0, 6)


@pytest.mark.slow
def test_more_runs_are_added(ran, data):
    job, results = ran
    more = measure_job(make_job(data, spec_of(job.spec.out, num_runs=4)), QUIET)
    assert more.stage1.models_now == 3
    assert more.stage2.models_now == len(make_heads(job))
    before = {tuple(one.row[name] for name in ("method", "threshold", "run")): one.row for one in results.measured}
    same = [one.row for one in more.measured if one.row["run"] < 3]
    assert len(same) == len(before)
    for row in same:
        assert str(row) == str(before[tuple(row[name] for name in ("method", "threshold", "run"))])


def test_measures_are_scikit_learns(ran):
    job, _ = ran
    rng = np.random.default_rng(0)
    truth = job.tail.dataset.test_labels
    logits = rng.normal(0, 2, (len(truth), 3)) + 2 * np.eye(3)[truth]
    found = measure(job, make_heads(job)[0], 0, test=logits, selection=np.eye(3)[job.tail.labels], flips=0, finite=True)
    chosen = logits.argmax(1)
    assert found.row["test_accuracy"] == pytest.approx((chosen == truth).mean())
    assert found.row["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, chosen))
    assert found.row["f1_macro"] == pytest.approx(f1_score(truth, chosen, average="macro"))
    assert found.row["selection_accuracy"] == 1
    confidence = jax.nn.softmax(jnp.asarray(logits, jnp.float32)).max(1)
    error = expected_calibration_error(confidence, jnp.asarray(chosen == truth))
    assert found.row["ece"] == pytest.approx(float(error), rel=1e-4)
    own = [(chosen[truth == one] == one).mean() for one in range(3)]
    np.testing.assert_allclose(found.accuracies, own)
    # 64, 22 and 8 training examples.
    assert [found.row[f"{name}_accuracy"] for name in ("many", "medium", "few")] == pytest.approx(own)


def test_a_reliability_diagram_by_hand():
    confidence, right = jnp.array([0.05, 0.9, 0.95, 0.93]), jnp.array([False, True, False, True])
    diagram = np.asarray(reliability(confidence, right, 10))
    assert diagram[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 1, 2]
    np.testing.assert_allclose(diagram[1:, 8:], [[0.9, 0.94], [1, 0.5]], rtol=1e-6)
    assert float(maximum_calibration_error(diagram)) == pytest.approx(0.44)


def test_shots_by_hand():
    counts = np.array([20, 101, 100, 19])
    found = {name: group.tolist() for name, group in shot_groups(counts, TailSpec()).items()}
    assert found["many"] == [False, True, False, False]
    assert found["medium"] == [True, False, True, False]
    assert found["few"] == [False, False, False, True]
    by_rank = TailSpec(shot_classes=(1, 2))
    found = {name: group.tolist() for name, group in shot_groups(counts, by_rank).items()}
    assert found["many"] == [False, True, False, False]
    assert found["medium"] == [False, False, True, False]
    assert found["few"] == [True, False, False, True]
    # Of classes alike the first one; a group may be empty.
    alike = shot_groups(np.array([7, 7, 7]), TailSpec(shot_classes=(1, 1)))
    assert [np.flatnonzero(group).tolist() for group in alike.values()] == [[0], [], [1, 2]]
    told = describe_shots(counts, ("a", "b", "c", "d"), by_rank)
    assert told == "by rank of class size: many (the first 1): b; medium (2 to 2): c; few (from 3 on): a, d"


def test_a_threshold_is_chosen_by_selection_examples_and_the_higher_of_as_good_ones():
    def one(threshold, run, selection, finite=True):
        row = {"method": "lnr", "threshold": threshold, "run": run, "finite": finite, "selection_accuracy": selection}
        return ClassifierResult({**row, "test_accuracy": 1 - selection}, np.zeros(0), np.zeros(0), np.zeros(0, bool))

    found = [one(1.0, 0, 0.8), one(1.0, 1, 0.9), one(2.0, 0, 0.9), one(2.0, 1, 0.8), one(3.0, 0, 0.1)]
    assert choose_threshold(found, "lnr") == 2.0
    assert choose_threshold([*found, one(4.0, 0, 1.0, finite=False)], "lnr") == 2.0
    assert choose_threshold(found, "random_flips") is None


def test_smoothing_of_the_paper_goes_to_other_classes_only():
    counts = np.array([60, 21, 7])
    code, paper = (
        make_methods(HeadSpec())["mislas"].terms(counts, HeadSpec(smoothing_form=form, most_smoothing=0.3))
        for form in ("code", "paper")
    )
    np.testing.assert_allclose(code.smoothing[[0, 2]], [0.3, 0], atol=1e-6)
    np.testing.assert_allclose(paper.smoothing, code.smoothing * 1.5, rtol=1e-6)


@pytest.mark.slow
def test_stage_1_alone_is_a_job_too(data, tmp_path):
    job = make_job(data, spec_of(tmp_path, methods=("ce",), num_runs=1))
    assert job.kinds == ["ce"]
    results = measure_job(job, QUIET)
    assert (results.stage1.models_now, results.stage2.models_now, len(results.measured)) == (1, 0, 1)
    text, files = written(report_job(job, results), "jaxgen.lnr", "command")
    assert "| ce |" in text
    assert not results.flips
    assert "flips.csv" not in {file.name for file in files}


@pytest.mark.slow
def test_models_that_are_kept_stay_those_of_stage_1(data, tmp_path):
    flags = {"methods": ("mislas",), "num_runs": 1, "save_models": True}
    first, again = (measure_job(make_job(data, spec_of(tmp_path, **flags)), QUIET) for _ in range(2))
    assert [one.row for one in first.measured] == [one.row for one in again.measured]


def test_diverged_models_are_left_out_of_all_means(ran):
    job, results = ran
    base = train_stage1(job, QUIET)[1]
    spoilt = base._replace(finite=base.finite & (np.arange(9) != 3))
    assert expected_by_threshold(job, spoilt) != pytest.approx(results.expected)
    measured = measure_stage1(job, spoilt)
    assert [one.row["finite"] for one in measured] == [True] * 3 + [False] + [True] * 5
    rows = {row["method"]: row for row in method_rows(job, results._replace(measured=measured))}
    assert (rows["mixup"]["n"], rows["mixup"]["diverged"]) == (2, 1)


def test_data_with_a_tail_of_their_own_keep_it(data):
    """None is cut unless it is asked for."""
    uneven = dataclasses.replace(data, images=data.images[:120], labels=np.repeat([0, 1, 2], [80, 10, 30]))
    assert np.bincount(cut_tail(uneven, TailSpec(), 0).dataset.labels).tolist() == [78, 8, 28]
    assert np.bincount(cut_tail(data, TailSpec(selection_share=0.25), 0).dataset.labels).tolist() == [60, 13, 3]


def test_the_statements_of_several_imbalances_are_one_family_of_tests(ran, tmp_path):
    job, results = ran
    specs = {k: dataclasses.replace(job.spec, out=str(tmp_path / f"imbalance={k}")) for k in (20.0, 50.0)}
    jobs = ImbalanceJobs(
        dataclasses.replace(job.spec, out=str(tmp_path)), {k: job._replace(spec=spec) for k, spec in specs.items()}
    )
    text, _ = written(make_report(jobs, dict.fromkeys(specs, results)), "jaxgen.lnr", "command")
    assert "- imbalance 50: lnr at t = " in text
    for folder in (tmp_path, *(tmp_path / f"imbalance={k}" for k in specs)):
        assert "Holm's correction for all 4 tests of this job" in (folder / "takeaways.md").read_text()


def test_files_say_what_was_found(ran):
    job, results = ran
    text, files = written(report_job(job, results), "jaxgen.lnr", "command")
    assert {file.name for file in files} >= {"results.csv", "table.md", "methods.png", "thresholds.png", "flips.csv"}
    for file in files:
        assert file.stat().st_size
    rows = {row["method"]: row for row in method_rows(job, results)}
    own = np.array([one.row["balanced_accuracy"] for one in results_of(results, "mislas")])
    assert f"{100 * own.mean():.2f} ± {100 * own.std(ddof=1):.2f}" in text
    lnr = np.array([one.row["balanced_accuracy"] for one in results_of(results, "lnr")])
    assert rows["lnr"]["difference"].mean == pytest.approx((lnr - own).mean())
    assert difference(results, "lnr", "random_flips").n == 3
    table = (job_folder(job) / "table.md").read_text()
    assert "64, 22, 8" in table
    assert "by number of training examples: many (more than 50): a; medium (15 to 50): b; few (fewer" in table
    assert "| selection examples of each class | t |" in table
    assert "against the same without flips (mislas)" in (job_folder(job) / "takeaways.md").read_text()


def test_the_threshold_nearest_in_expected_flips_is_found_by_ratio():
    expected = {0.5: 40.0, 1.0: 10.0, 2.0: 2.0, 3.0: 0.0, 4.0: float("nan")}
    assert nearest_in_flips(expected, 9.0) == 1.0
    # Twenty is as many times ten as forty is twenty.
    assert nearest_in_flips(expected, 20.0) == 1.0
    assert nearest_in_flips(expected, 0.001) == 3.0


def test_ways_to_choose_are_judged_in_pairs_of_runs(ran):
    job, results = ran
    found = {one.rule: one for one in compare_threshold_rules(job, results)}
    assert list(found) == ["selection", "expected", "hindsight"]
    assert found["selection"].threshold == results.chosen["lnr"]
    assert found["expected"].threshold == nearest_in_flips(results.expected, AUTHORS_SHARE * 94)

    def accuracies(method, threshold=""):
        rows = [one.row for one in results.measured]
        return [row["balanced_accuracy"] for row in rows if (row["method"], row["threshold"]) == (method, threshold)]

    means = {threshold: np.mean(accuracies("lnr", threshold)) for threshold in job.spec.flips.threshold}
    best = found["hindsight"]
    assert means[best.threshold] == max(means.values())
    assert best.gain.mean == pytest.approx(means[best.threshold] - np.mean(accuracies("mislas")))
    for one in found.values():
        assert one.n == 3
        assert one.loss.mean == pytest.approx(means[one.threshold] - means[best.threshold])


def test_no_way_to_choose_without_lnr(ran):
    job, results = ran
    assert compare_threshold_rules(job, results._replace(chosen={})) == []


@pytest.mark.slow
def test_each_round_flips_again_by_what_the_round_before_learnt(ran, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounds")
    job = make_job(data, spec_of(folder, methods=("lnr", "ce"), flip_rounds=3))
    results = measure_job(job, QUIET)
    assert [len(one) for one in results.rounds] == [6, 6, 6]
    # Round 1 is the method itself: also without further rounds.
    alone = {(one.row["threshold"], one.row["run"]): one.row for one in ran[1].measured if one.row["method"] == "lnr"}
    for one in results.rounds[0]:
        assert one.row["flips"] == alone[one.row["threshold"], one.row["run"]]["flips"]
    _, found = train_stage1(job, QUIET)
    _, [program] = make_stage2(job, found)
    again = run_rounds(job, found, (program, make_stage2_workload(job, None, [program], 16, None).open_store()), QUIET)
    assert [[one.row for one in part] for part in again] == [[one.row for one in part] for part in results.rounds[1:]]
    # By hand: the second round's labels at the lower threshold, run 1.
    params = kept_params(job)["lnr,threshold=0.5", 1]
    first_run = program.context._replace(outputs=job.base_outputs(found)._replace(train=found.train[:1]))
    probabilities = predict_train(first_run, [[np.concatenate(params)]])
    logits = (found.train[0] @ params[1].reshape(16, 3) + params[0]) * params[2]
    np.testing.assert_allclose(probabilities[0, 0], jax.nn.softmax(logits), atol=1e-6)
    rows = round_rows(results.rounds)
    assert [row["round"] for row in rows] == [1, 2, 3]
    assert rows[0]["difference"].n == 0
    for row in rows[1:]:
        assert row["difference"].mean == pytest.approx(row["balanced_accuracy"] - rows[0]["balanced_accuracy"])


def test_a_further_round_goes_to_smaller_classes_by_new_draws():
    labels = np.repeat([0, 1, 2], [60, 20, 5])
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), size=(2, 1, 85)).astype(np.float32)
    given = np.broadcast_to(labels, (2, 1, 85)).astype(np.uint8)
    thresholds, root = np.array([0.3, 1.5], np.float32), jax.random.key(7)
    second, third = (flip_again(root, number, probabilities, given, thresholds) for number in (2, 3))
    for found in (second, third):
        assert found.shape == given.shape
        assert (found >= given).all()
        changed = (found != given).sum((1, 2))
        assert changed[0] > changed[1] > 0
    assert (second != third).any()
    key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(root, 0), Draw.FLIP), 2)
    by_hand = lnr_flip(key, jnp.asarray(probabilities[0, 0]), jnp.asarray(labels), threshold=0.3).labels
    np.testing.assert_array_equal(second[0, 0], by_hand)


def test_rounds_need_lnr(data):
    with pytest.raises(UserError, match="--flip_rounds=2: needs lnr among the --methods"):
        make_job(data, spec_of(methods=("mislas", "ce"), flip_rounds=2))
