"""Missing features: filled by a statistic of the training part alone, or refused."""

import re
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer

import jaxgen
from jaxgen import UserError
from jaxgen.config import DataSpec, LnrSpec
from jaxgen.config.longtail import TailSpec
from jaxgen.data import load_dataset
from jaxgen.data.checks import make_dataset
from jaxgen.data.describe import describe_data
from jaxgen.data.long_tail import cut_tail
from jaxgen.data.parts import first_examples, hold_out_test
from jaxgen.data.python_arrays import dataset_of_call
from jaxgen.data.scaling import column_scale
from jaxgen.experiments.tabular.folds import fold_rows, split
from jaxgen.experiments.tabular.job import as_table

RNG = np.random.default_rng(0)
# Skewed, so that mean and median differ.
VALUES = np.exp(RNG.normal(size=(40, 3)))
GAPS = RNG.random((40, 3)) < 0.2
HOLED = np.where(GAPS, np.nan, VALUES)
LABELS = np.arange(40) % 2
STATISTICS = {"mean": np.nanmean, "median": np.nanmedian}


def filled_and_scaled(values, by, statistic):
    """What a network should see, written out."""
    filled_by = np.where(np.isnan(by), statistic(by, 0), by)
    filled = np.where(np.isnan(values), statistic(by, 0), values)
    return (filled - filled_by.mean(0)) / filled_by.std(0)


@pytest.mark.parametrize("impute", STATISTICS)
def test_columns_are_filled_by_their_statistic_over_training_examples(impute):
    dataset = make_dataset(
        "d", HOLED[:30], LABELS[:30], source="s", test_images=HOLED[30:], test_labels=LABELS[30:], impute=impute
    )
    for found, rows in ((dataset.images, slice(30)), (dataset.test_images, slice(30, 40))):
        np.testing.assert_allclose(
            found, filled_and_scaled(HOLED[rows], HOLED[:30], STATISTICS[impute]), rtol=1e-5, atol=1e-6
        )
    assert list(describe_data(dataset))[1:] == [
        f"read d: {GAPS.sum()} missing values in 3 columns: each filled with the {impute} of its column over the "
        "training examples",
    ]


@pytest.mark.parametrize("impute", STATISTICS)
def test_a_test_set_held_out_fills_no_training_example(impute):
    dataset = make_dataset("d", HOLED, LABELS, source="s", impute=impute)
    parts = hold_out_test(dataset, 0.25, 0)
    train, held_out = HOLED[parts.ids], HOLED[parts.test_ids]
    assert len(held_out) == 10
    np.testing.assert_allclose(parts.images, filled_and_scaled(train, train, STATISTICS[impute]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        parts.test_images, filled_and_scaled(held_out, train, STATISTICS[impute]), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(parts.test_features, held_out)
    np.testing.assert_allclose(
        parts.test_images * parts.spread + parts.shift,
        np.where(np.isnan(held_out), STATISTICS[impute](train, 0), held_out),
        rtol=1e-5,
    )


def test_without_missing_values_a_held_out_test_set_still_scales_no_training_example():
    parts = hold_out_test(make_dataset("d", VALUES, LABELS, source="s"), 0.25, 0)
    np.testing.assert_allclose(parts.images.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(parts.images.std(0), 1, rtol=1e-5)
    assert abs(parts.test_images.mean()) > 1e-3


def test_the_first_examples_are_filled_and_scaled_by_themselves():
    dataset = first_examples(make_dataset("d", HOLED, LABELS, source="s", impute="mean"), 20, "s")
    np.testing.assert_allclose(
        dataset.images, filled_and_scaled(HOLED[:20], HOLED[:20], np.nanmean), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("impute", STATISTICS)
def test_folds_are_filled_by_their_training_part(tmp_path, impute):
    pd.DataFrame(HOLED, columns=list("abc")).assign(label=LABELS).to_csv(tmp_path / "mine.csv", index=False)
    spec = LnrSpec(data=DataSpec(dataset=f"{tmp_path}/mine.csv", impute=impute))
    table = as_table(load_dataset(spec.data), 4)
    for train, test in split(table, 4, 0, impute):
        assert np.isfinite(train.x).all()
        assert np.isfinite(test.x).all()
        np.testing.assert_allclose(train.x.mean(0), 0, atol=1e-12)
    # Whatever stands in a test part, its training part is filled as before.
    train, _ = split(table, 4, 0, impute)[0]
    spoilt, (_, rows) = table.x.copy(), next(fold_rows(table, 4, 0))
    spoilt[rows] = np.where(np.isnan(spoilt[rows]), np.nan, 1e6)
    again, _ = split(table._replace(x=spoilt), 4, 0, impute)[0]
    np.testing.assert_array_equal(train.x, again.x)


def test_missing_categories_are_one_of_their_own(tmp_path):
    frame = pd.DataFrame({"size": [1.0, None, 3.0, 4.0] * 5, "colour": ["red", "green", None, "red"] * 5})
    frame.assign(label=LABELS[:20]).to_csv(tmp_path / "mine.csv", index=False)
    frame.assign(label=LABELS[:20]).to_parquet(tmp_path / "mine.parquet")
    for name in ("mine.csv", "mine.parquet"):
        dataset = load_dataset(DataSpec(dataset=f"{tmp_path}/{name}", impute="median"))
        colours = [frame.colour.isna(), frame.colour == "green", frame.colour == "red"]
        np.testing.assert_array_equal(dataset.features, np.column_stack([frame["size"], *colours]))
        assert dataset.notes == (
            "columns: 1 of numbers, 1 of categories",
            "of all rows, values are missing in size (5), colour (5)",
            "column colour has 3 categories: (missing), green, red",
        )
        filled = "5 missing values in 1 column: each filled with the median of its column over the training examples"
        assert list(describe_data(dataset))[-1] == f"read mine: {filled}"
    called = dataset_of_call(frame, LABELS[:20], spec=DataSpec(impute="median"))
    assert called.fingerprint == dataset.fingerprint


def test_numbers_written_with_commas_or_as_truths_may_be_missing(tmp_path):
    (tmp_path / "mine.csv").write_text("a;b;label\n1,5;True;x\n;False;y\n2,5;;x\n4,5;True;y\n")
    dataset = load_dataset(DataSpec(dataset=f"{tmp_path}/mine.csv", impute="mean"))
    np.testing.assert_array_equal(dataset.features, [[1.5, 1], [np.nan, 0], [2.5, np.nan], [4.5, 1]])
    np.testing.assert_allclose(dataset.images[1, 0], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "impute", "said"),
    [
        (HOLED, "none", "s: images: example 2 has a missing value (NaN), as 23 of 40 examples have; fill it, give"),
        (np.where(GAPS, np.inf, VALUES), "mean", "s: images: example 2 has a value that is not finite"),
        (np.where(GAPS, np.inf, VALUES), "none", "s: images: example 2 has a value that is not finite"),
        (RNG.random((40, 4, 4)), "mean", "--impute=mean: is for rows of features, and s: images are pictures"),
    ],
)
def test_what_cannot_be_filled_is_refused(values, impute, said):
    with pytest.raises(UserError, match=re.escape(said)):
        make_dataset("d", values, LABELS, source="s", impute=impute)


def test_columns_without_a_value_are_refused_or_zero():
    values = VALUES.copy()
    values[:30, 1] = np.nan
    with pytest.raises(UserError, match="s: images: column 2 has no values; drop it"):
        make_dataset("d", values[:30], LABELS[:30], source="s", impute="median")
    tests = {"test_images": 1e6 * VALUES[:4], "test_labels": LABELS[:4]}
    dataset = first_examples(make_dataset("d", values, LABELS, source="s", impute="median", **tests), 20, "s")
    for part in (dataset.images, dataset.test_images):
        assert part[:, [0, 2]].any()
        np.testing.assert_array_equal(part[:, 1], 0)
    assert "read d: 1 column without a value among the training examples: 0 everywhere" in describe_data(dataset)


@pytest.mark.parametrize("impute", ["none", *STATISTICS])
def test_a_column_that_is_constant_where_it_has_values_tells_nothing(impute):
    values = VALUES.copy()
    values[:, 1] = 0.1 if impute == "none" else np.where(np.arange(40) % 10 < 3, 0.1, np.nan)
    tests = {"test_images": VALUES[:4] + 0.2, "test_labels": LABELS[:4]}
    dataset = make_dataset("d", values, LABELS, source="s", impute=impute, **tests)
    np.testing.assert_array_equal(dataset.images[:, 1], 0)
    np.testing.assert_array_equal(dataset.test_images[:, 1], 0)


def test_a_long_tail_is_filled_and_standardized_by_what_is_left():
    labels = np.repeat([0, 1], [400, 300])
    values = np.exp(np.random.default_rng(1).normal(size=(700, 2)))
    values[np.random.default_rng(2).random(values.shape) < 0.2] = np.nan
    tests = {"test_images": values[:9], "test_labels": labels[:9]}
    dataset = make_dataset("d", values, labels, source="s", impute="mean", **tests)
    tail = cut_tail(dataset, TailSpec(imbalance=10.0), 0)
    left = tail.dataset.features
    assert len(left) == len(tail.dataset.labels) < 400
    expected = filled_and_scaled(left, left, np.nanmean)
    np.testing.assert_allclose(tail.dataset.images, expected, rtol=1e-5, atol=1e-6)
    chosen = np.flatnonzero(~np.isin(dataset.ids, tail.dataset.ids))
    by_row = {
        tuple(row): row for row in filled_and_scaled(values[chosen], left, np.nanmean).astype(np.float32).round(3)
    }
    assert {tuple(row) for row in tail.images.round(3)} <= by_row.keys()
    np.testing.assert_allclose(
        tail.dataset.test_images, filled_and_scaled(values[:9], left, np.nanmean), rtol=1e-5, atol=1e-6
    )


def test_categories_are_those_of_training_rows_and_places_those_of_their_part():
    train = pd.DataFrame({"a": range(2, 26, 2), "colour": ["red", "blue", "green"] * 4})
    tests = pd.DataFrame({"a": [1.0, 3.0], "colour": ["red", "violet"]})
    dataset = dataset_of_call(train, LABELS[:12], test_images=tests, test_labels=LABELS[:2])
    np.testing.assert_array_equal(dataset.test_features, [[1, 0, 0, 1], [3, 0, 0, 0]])
    assert "column colour: test rows alone have violet, which is none of its categories" in dataset.notes
    tests.loc[1, "a"] = np.nan
    with pytest.raises(UserError, match="column a, test index 1: has no value"):
        dataset_of_call(train, LABELS[:12], test_images=tests, test_labels=LABELS[:2])


def test_points_beside_decimal_commas_may_be_thousands_and_are_refused(tmp_path):
    (tmp_path / "mine.csv").write_text("a;b;label\n1,5;1.234;x\n2,5;2.5;y\n2,5;3;x\n")
    with pytest.raises(UserError, match="column b has points in its numbers, and column a commas for decimals"):
        load_dataset(DataSpec(dataset=f"{tmp_path}/mine.csv"))
    (tmp_path / "mine.csv").write_text("a;b;label\n1,5;1;x\n2,5;2;y\n2,5;3;x\n")
    assert load_dataset(DataSpec(dataset=f"{tmp_path}/mine.csv")).features.tolist() == [[1.5, 1], [2.5, 2], [2.5, 3]]


def test_a_call_from_python_takes_the_flag():
    flags = {"num_runs": 4, "subset_ratios": (0.5,), "epochs": 2, "hidden": (4,), "progress": False}
    with pytest.raises(UserError, match="give --impute=median"):
        jaxgen.estimate_scores(HOLED, LABELS, **flags)
    with pytest.raises(UserError, match="impute"):
        jaxgen.estimate_scores(HOLED, LABELS, impute="mode", **flags)
    filled = np.where(GAPS, np.nanmedian(HOLED, 0), HOLED)
    given = jaxgen.estimate_scores(filled, LABELS, **flags)
    with pytest.warns(UserWarning, match="missing values in 3 columns: each filled with the median"):
        found = jaxgen.estimate_scores(HOLED, LABELS, impute="median", **flags)
    np.testing.assert_array_equal(found.scores_by_ratio, given.scores_by_ratio)


@pytest.mark.parametrize("impute", STATISTICS)
def test_a_saved_model_fills_what_it_is_asked_about(tmp_path, impute):
    flags = {"num_runs": 2, "subset_ratios": (0.5,), "epochs": 2, "hidden": (4,), "out": tmp_path}
    with pytest.warns(UserWarning, match="missing values"):
        jaxgen.estimate_scores(HOLED, LABELS, impute=impute, save_models=True, **flags)
    [model, *_] = map(jaxgen.load_model, sorted(tmp_path.rglob("models/**/*.npz")))
    filled = np.where(GAPS, STATISTICS[impute](HOLED, 0), HOLED)
    np.testing.assert_array_equal(model.predict(HOLED), model.predict(filled))
    jaxgen.estimate_scores(VALUES, LABELS, save_models=True, **{**flags, "out": tmp_path / "whole"})
    [whole, *_] = map(jaxgen.load_model, sorted((tmp_path / "whole").rglob("models/**/*.npz")))
    with pytest.raises(UserError, match=re.escape("predict: some values are missing (NaN), and none were in training")):
        whole.predict(HOLED)


def test_a_call_tells_what_was_read_before_anything_else(capsys):
    flags = {"num_runs": 2, "subset_ratios": (0.5,), "epochs": 1, "hidden": (4,), "impute": "mean"}
    jaxgen.estimate_scores(HOLED, LABELS, progress=True, **flags)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("read data: 40 rows of 3 numbers")
    assert "missing values in 3 columns" in said[1]


@pytest.mark.parametrize(
    ("images", "flag", "said"),
    [
        (VALUES, {"id_column": "a"}, "id_column=a: has no effect on arrays; leave it out"),
        (VALUES, {"image_size": 8}, "image_size=8: has no effect on arrays; leave it out"),
        (pd.DataFrame(VALUES, columns=list("abc")), {"image_size": 8}, "image_size=8: has no effect on frames"),
        (pd.DataFrame(VALUES, columns=list("abc")), {"image_column": "a"}, "image_column=a: has no effect on frames"),
        (VALUES, {"label_column": "a"}, "label_column: is no flag of a call from Python; leave it out"),
    ],
)
def test_flags_without_effect_are_refused(images, flag, said):
    with pytest.raises(UserError, match=re.escape(said)):
        jaxgen.estimate_scores(images, LABELS, **flag)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("width", [1, 2, 63, 64, 129, 200])
@pytest.mark.parametrize("impute", STATISTICS)
def test_columns_imputed_in_parts_are_as_if_imputed_at_once(impute, width, order):
    values = np.asarray(np.exp(RNG.normal(size=(300, width))), order=order)
    values[::7, :: max(1, width // 3)] = np.nan
    imputer = SimpleImputer(strategy=impute)
    filled = imputer.fit_transform(values)
    scale = column_scale(values, impute)
    np.testing.assert_array_equal(scale.fill, imputer.statistics_)
    np.testing.assert_array_equal(scale.shift, np.asarray(filled, order=order).mean(0))
    np.testing.assert_allclose(scale.spread, filled.std(0), rtol=1e-12)


def test_a_table_with_one_gap_is_not_copied_whole():
    values = RNG.normal(size=(2000, 800))
    values[0, 0] = np.nan
    tracemalloc.start()
    column_scale(values, "median")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < values.nbytes


@pytest.mark.parametrize("impute", ["none", "mean"])
@pytest.mark.parametrize("size", [1e-140, 1e-150, 1e-158, 1e-200, 1e-300])
def test_columns_of_a_tiny_range_are_standardized(size, impute):
    values = RNG.normal(size=(40, 2))
    tiny = column_scale(values * [1, size], impute)
    np.testing.assert_allclose(tiny.spread / [1, size], values.std(0), rtol=1e-7)
    np.testing.assert_allclose(tiny.apply(values * [1, size]).std(0), 1, rtol=1e-5)
