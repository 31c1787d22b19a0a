"""Tables as people have them: separators, encodings, ids, missing values, categories, and whatever pandas writes."""

import io
import pathlib
import re

import numpy as np
import pandas as pd
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from jaxgen import UserError
from jaxgen.config import DataSpec
from jaxgen.data import load_dataset
from jaxgen.data.published.scores import read_published
from jaxgen.data.python_arrays import dataset_of_call
from jaxgen.data.tables import text
from jaxgen.data.tables.file import MISSING

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(RNG.normal(size=(30, 3)).round(6), columns=list("abc")).assign(label=["oak", "elm", "ash"] * 10)
VALUES = FRAME[["a", "b", "c"]].to_numpy()


def load(path, **flags):
    return load_dataset(DataSpec(dataset=str(path), **flags))


def check_values(dataset, values=VALUES, labels=FRAME.label):
    np.testing.assert_array_equal(dataset.features, values)
    assert [dataset.class_names[label] for label in dataset.labels] == list(labels)


@pytest.mark.parametrize(
    ("name", "options", "note"),
    [
        ("plain.csv", {}, ""),
        ("semicolons.csv", {"sep": ";"}, "its columns are separated by semicolons"),
        ("tabs.tsv", {"sep": "\t"}, "its columns are separated by tabs"),
        ("bars.csv", {"sep": "|"}, "its columns are separated by bars"),
        ("commas.csv", {"sep": ";", "decimal": ","}, "commas stand for decimal points in a, b, c"),
        ("marked.csv", {"encoding": "utf-8-sig"}, ""),
        ("wide.csv", {"encoding": "utf-16"}, "its text is utf-16"),
        ("quoted.csv", {"quoting": 1}, ""),
        ("windows.csv", {"lineterminator": "\r\n"}, ""),
    ],
)
def test_separators_and_encodings_are_found_and_told(tmp_path, name, options, note):
    FRAME.to_csv(tmp_path / name, index=False, **options)
    dataset = load(tmp_path / name)
    check_values(dataset)
    separated = ("its columns are separated by semicolons",) * ("commas" in note)
    assert dataset.notes == ((*separated, note) if note else ())
    np.testing.assert_array_equal(dataset.ids, np.arange(30))


def test_a_text_that_is_not_utf_8_is_that_of_windows(tmp_path):
    frame = FRAME.assign(label=["chêne", "orme", "frêne"] * 10)
    frame.to_csv(tmp_path / "old.csv", index=False, encoding="cp1252")
    dataset = load(tmp_path / "old.csv")
    check_values(dataset, labels=frame.label)
    assert dataset.notes == ("its text is cp1252",)


def test_parquet_is_read_as_csv_is(tmp_path):
    FRAME.to_csv(tmp_path / "mine.csv", index=False)
    FRAME.to_parquet(tmp_path / "mine.parquet")
    one, other = (load(tmp_path / name) for name in ("mine.csv", "mine.parquet"))
    assert one.fingerprint == other.fingerprint
    check_values(other)


@pytest.mark.parametrize("name", ["id", "Id", "ID", "index", "rownames", "", "Unnamed: 0"])
def test_a_column_that_names_the_rows_is_no_feature(tmp_path, name):
    frame = FRAME.copy()
    frame.insert(0, name, RNG.permutation(30) + 100)
    frame.to_csv(tmp_path / "mine.csv", index=False)
    dataset = load(tmp_path / "mine.csv")
    check_values(dataset)
    np.testing.assert_array_equal(dataset.ids, frame[name])
    shown = f"column {name}" if name else "the column without a name"
    assert dataset.notes == (f"{shown} names the rows, and is no feature (--id_column=none makes it one)",)
    kept = load(tmp_path / "mine.csv", id_column="none")
    np.testing.assert_array_equal(kept.features, np.column_stack([frame[name], VALUES]))


def test_the_index_that_pandas_writes_names_the_rows(tmp_path):
    FRAME.to_csv(tmp_path / "mine.csv")
    FRAME.set_index(pd.Index(RNG.permutation(30) + 7)).to_parquet(tmp_path / "mine.parquet")
    check_values(load(tmp_path / "mine.csv"))
    dataset = load(tmp_path / "mine.parquet")
    check_values(dataset)
    np.testing.assert_array_equal(np.sort(dataset.ids), np.arange(30) + 7)


@pytest.mark.parametrize("values", [[1.5] * 15 + [2.5] * 15, np.arange(30) / 4])
def test_a_column_of_such_a_name_that_holds_fractions_is_a_feature_and_told(tmp_path, values):
    frame = FRAME.assign(index=values)
    frame.to_csv(tmp_path / "mine.csv", index=False)
    dataset = load(tmp_path / "mine.csv")
    np.testing.assert_array_equal(dataset.features[:, 3], values)
    assert dataset.notes == ("column index holds no ids, and is read as any other",)


@pytest.mark.parametrize("name", ["id", "index", "rownames"])
@pytest.mark.parametrize("values", [[1] * 30, ["x", "y"] * 15, [3, *range(29)]])
def test_ids_that_repeat_are_refused_whatever_their_column_is_called(tmp_path, name, values):
    FRAME.assign(**{name: values}).to_csv(tmp_path / "mine.csv", index=False)
    said = rf"column {name}: \d+ examples have the id .*; ids must differ: name another .* \(--id_column=none\)"
    with pytest.raises(UserError, match=said):
        load(tmp_path / "mine.csv")
    assert len(load(tmp_path / "mine.csv", id_column="none").features) == 30
    with pytest.raises(UserError, match=said):
        dataset_of_call(FRAME.assign(**{name: values}), "label")


@pytest.mark.parametrize("first", [0, 1])
def test_a_count_of_rows_is_refused_until_it_is_named(tmp_path, first):
    FRAME.assign(case=np.arange(30) + first).to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(UserError, match="column case counts the rows; give --id_column=case if it names them, or "):
        load(tmp_path / "mine.csv")
    check_values(load(tmp_path / "mine.csv", id_column="case"))
    assert load(tmp_path / "mine.csv", id_column="none").features.shape == (30, 4)


def test_an_id_column_that_is_not_there_or_repeats_is_refused(tmp_path):
    FRAME.assign(tree=["x"] * 30).to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(UserError, match=r"--id_column=name: .* has the columns a, b, c, label, tree"):
        load(tmp_path / "mine.csv", id_column="name")
    with pytest.raises(UserError, match="30 examples have the id x; ids must differ"):
        load(tmp_path / "mine.csv", id_column="tree")


@pytest.mark.parametrize("spelling", MISSING)
def test_rows_without_a_label_are_refused_in_every_spelling(tmp_path, spelling):
    frame = FRAME.copy()
    frame.loc[[3, 9], "label"] = None
    frame.to_csv(tmp_path / "mine.csv", index=False, na_rep=spelling)
    with pytest.raises(UserError, match=r"line 5 has no label \(.*1 more row alike\)"):
        load(tmp_path / "mine.csv")


@pytest.mark.parametrize("spelling", MISSING)
def test_missing_numbers_are_refused_in_every_spelling(tmp_path, spelling):
    frame = FRAME.copy()
    frame.loc[[3, 9], "b"] = None
    frame.to_csv(tmp_path / "mine.csv", index=False, na_rep=spelling)
    with pytest.raises(UserError, match=r"column b, line 5: has no value \(2 of 30 are missing(; .*)?\); fill it"):
        load(tmp_path / "mine.csv")


@pytest.mark.parametrize("labels", [["0", "1", "2"], ["0.0", "1.0", "2.0"], ["+0", "01", "2e0"], [0.0, 1.0, 2.0]])
def test_whole_numbers_are_the_same_classes_in_any_spelling(tmp_path, labels):
    FRAME.assign(label=labels * 10).to_csv(tmp_path / "mine.csv", index=False)
    assert load(tmp_path / "mine.csv").class_names == ("0", "1", "2")


def test_classes_that_are_numbers_are_in_their_order(tmp_path):
    FRAME.assign(label=[10, 9, 100] * 10).to_csv(tmp_path / "mine.csv", index=False)
    assert load(tmp_path / "mine.csv").class_names == ("9", "10", "100")


def test_texts_are_categories_and_truths_numbers(tmp_path):
    frame = FRAME.assign(colour=["red", "green", "blue"] * 10, big=[True, False] * 15)
    for name, write in (("mine.csv", frame.to_csv), ("mine.parquet", frame.to_parquet)):
        write(tmp_path / name, index=False)
        dataset = load(tmp_path / name)
        expected = [VALUES, frame.colour == "blue", frame.colour == "green", frame.colour == "red", frame.big]
        np.testing.assert_array_equal(dataset.features, np.column_stack(expected))
        assert dataset.notes == (
            "columns: 3 of numbers, 1 of categories, 1 of true or false",
            "column colour has 3 categories: blue, green, red",
        )


def test_declared_categories_of_numbers_are_categories(tmp_path):
    FRAME.assign(kind=pd.Categorical([3, 1, 2] * 10)).to_parquet(tmp_path / "mine.parquet", index=False)
    dataset = load(tmp_path / "mine.parquet")
    np.testing.assert_array_equal(dataset.features[:, 3:], np.tile([[0, 0, 1], [1, 0, 0], [0, 1, 0]], (10, 1)))


def test_an_index_that_repeats_is_no_feature_and_told(tmp_path):
    pd.concat([FRAME[:15], FRAME[:9], FRAME[:6]]).to_csv(tmp_path / "mine.csv")
    dataset = load(tmp_path / "mine.csv")
    assert dataset.features.shape == (30, 3)
    told = "the column without a name is an index, and is not read (--id_column=none makes it a feature)"
    assert dataset.notes == (told,)
    assert load(tmp_path / "mine.csv", id_column="none").features.shape == (30, 4)


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["north", "south", "west"] * 10, "has north in 10 rows"),
        (np.arange(30) / 4, "has fractions, such as 0.25"),
        ([0, 0, *range(2, 30)], "has 0 in 2 rows"),
        ([0, 1] * 15, "has 0 in 15 rows"),
        ([None, *range(29)], "has no value in line 2"),
    ],
)
def test_data_in_a_column_without_a_name_is_refused(tmp_path, name, values, why):
    frame = FRAME.assign(**{name: pd.array(values)})
    frame.to_csv(tmp_path / "mine.csv", index=False)
    frame.to_parquet(tmp_path / "mine.parquet", index=False)
    said = f"column {name or 'without a name'}: {why.partition(' in line')[0]}"
    for suffix in ("csv", "parquet"):
        with pytest.raises(UserError, match=f"{said}.*, so it is no index; give it a name, or leave it out"):
            load(tmp_path / f"mine.{suffix}")
    with pytest.raises(UserError, match=said):
        dataset_of_call(frame, "label")
    assert load(tmp_path / "mine.csv", id_column="none", impute="mean").features.shape[1] > 3


def test_points_that_may_be_thousands_are_told(tmp_path):
    rows = [f"{row % 7}.{row * 37 % 900 + 100};{row * 37 % 900 / 1000 + 1};{'xy'[row % 2]}" for row in range(24)]
    write_rows(tmp_path / "mine.csv", "a;b;label", rows)
    told = ("its columns are separated by semicolons", "points in a are read as decimals")
    assert load(tmp_path / "mine.csv").notes == told
    write_rows(tmp_path / "mine.csv", "a;b;label", [*rows[:-1], "1.5;1.5;x"])
    assert load(tmp_path / "mine.csv").notes == told[:1]


@pytest.mark.parametrize("first", ["5.1,3.5,x", "5.1,5.1,0.2,x"])
def test_a_first_line_of_numbers_is_no_header(tmp_path, first):
    write_rows(tmp_path / "mine.csv", first, [first] * 12)
    with pytest.raises(UserError, match=r"first line looks like data \(5.1, .*\); put a line with the names of the"):
        load(tmp_path / "mine.csv")


def test_the_line_that_names_the_separator_to_excel_is_skipped(tmp_path):
    path = write_rows(tmp_path / "mine.csv", "sep=;", ["a;label", *(row.replace(",", ";") for row in LETTERS)])
    dataset = load(path)
    assert dataset.notes[1] == "its first line, sep=;, is for Excel and is skipped"
    assert len(dataset.labels) == 24
    path.write_text(path.read_text().replace("0.5;y", ";y"))
    with pytest.raises(UserError, match="column a, line 4: has no value"):
        load(path)


def test_a_message_lists_a_column_without_a_name(tmp_path):
    FRAME.to_csv(tmp_path / "mine.csv")
    with pytest.raises(UserError, match=r"no such column, but \(without a name\), a, b, c, label"):
        load(tmp_path / "mine.csv", label_column="kind")


@pytest.mark.parametrize(("cells", "said"), [("1,NA", "line 26 has no label"), ("None,x", "column a, line 26: has no")])
def test_what_is_read_as_missing_is_named(tmp_path, cells, said):
    path = write_rows(tmp_path / "mine.csv", "a,label", [*LETTERS, cells])
    with pytest.raises(UserError, match=rf"{said}.*'(NA|None)' is read as missing\); fill it"):
        load(path)


def test_fractions_with_commas_name_no_rows(tmp_path):
    FRAME.assign(**{"": np.arange(30) / 8}).to_csv(tmp_path / "mine.csv", index=False, sep=";", decimal=",")
    with pytest.raises(UserError, match="column without a name: has fractions, such as 0,125"):
        load(tmp_path / "mine.csv")


@pytest.mark.parametrize("id_column", ["", "none"])
def test_a_column_without_a_name_and_values_is_left_out_and_told(tmp_path, id_column):
    write_rows(tmp_path / "mine.csv", "a,label,", [f"{row / 8},{'xy'[row % 2]}," for row in range(12)])
    dataset = load(tmp_path / "mine.csv", id_column=id_column)
    assert dataset.features.shape == (12, 1)
    assert dataset.notes == ("a column without a name and without values is left out",)


@pytest.mark.parametrize("cells", [["1.234", "990,5"], ["1.234,5", "2,5"], ["1,5", "2.5"]])
def test_points_beside_commas_in_one_column_are_refused(tmp_path, cells):
    rows = "".join(f"{cells[i % 2]};{'xy'[i % 2]}\n" for i in range(12))
    (tmp_path / "mine.csv").write_text(f"a;label\n{rows}")
    with pytest.raises(UserError, match="stands among numbers with points and commas, and one may be for thousands"):
        load(tmp_path / "mine.csv")


def test_texts_with_commas_beside_true_numbers_are_no_doubt_in_parquet(tmp_path):
    frame = pd.DataFrame({"a": ["1,5", "2,5"] * 6, "b": [0.125, 0.5] * 6, "label": ["x", "y"] * 6})
    frame.to_parquet(tmp_path / "mine.parquet", index=False)
    np.testing.assert_array_equal(load(tmp_path / "mine.parquet").features, [[1.5, 0.125], [2.5, 0.5]] * 6)


def test_a_label_of_which_most_rows_have_one_of_their_own_is_none(tmp_path):
    FRAME.assign(code=[f"p{i}" for i in range(30)]).to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(UserError, match="column code has 30 different values in 30 rows, more than classes have"):
        load(tmp_path / "mine.csv", label_column="code")
    with pytest.raises(UserError, match=r"--label_column=lable: .* did you mean label\?"):
        load(tmp_path / "mine.csv", label_column="lable")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([f"row {i}" for i in range(30)], "column x: has 30 different texts in 30 rows, more than categories have"),
        (["1"] * 20 + ["low"] * 10, "column x, line 22: 'low' is no finite number"),
        ([None] * 30, "column x: has no values; drop it"),
        (pd.date_range("2020-01-01", periods=30), "column x: is of type"),
    ],
)
def test_columns_of_which_no_numbers_can_be_made_are_refused(tmp_path, column, said):
    FRAME.assign(x=column).to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(UserError, match=re.escape(said)):
        load(tmp_path / "mine.csv")


def test_a_row_of_other_length_after_a_quoted_line_break_is_named_by_its_line(tmp_path):
    (tmp_path / "mine.csv").write_text('a,label\n1,"two\nlines"\n2,x\n3,y,z\n')
    with pytest.raises(UserError, match="line 5 has 3 cells, the header 2"):
        load(tmp_path / "mine.csv")


def test_a_compared_table_is_matched_by_ids_of_any_name(tmp_path):
    order = RNG.permutation(30)
    frame = pd.DataFrame({"": order, "score": order / 30, "label": order % 3})
    frame.to_csv(tmp_path / "scores.csv", index=False)
    values = read_published(pathlib.Path(f"{tmp_path}/scores.csv:score"), "")
    np.testing.assert_array_equal(values.ids, order)


def test_a_compared_table_may_write_its_labels_with_a_point(tmp_path):
    frame = pd.DataFrame({"id": range(30), "score": np.arange(30) / 30, "label": np.arange(30) % 3.0})
    frame.to_csv(tmp_path / "scores.csv", index=False)
    values = read_published(pathlib.Path(f"{tmp_path}/scores.csv:score"), "")
    np.testing.assert_array_equal(values.labels, np.arange(30) % 3)


ROWS = "".join(f"{i * 0.5},{i * i},{'xy'[i % 2]}\n" for i in range(12))
BIG = 2**53


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,label\n" + ROWS + '3,5,"x\n' + ROWS, "line 14: a quote is opened there or above that is never closed"),
        ("a,b,label", "has no rows under a header line"),
        ("a,t,label\n1," + "z" * 140000 + ",x\n2,u,\n" + ROWS, "line 3 has no label"),
        ("id,a,label\n1,1,x\n,2,y\n3,3,x\n", "line 3 has no id; fill it, name another column by --id_column, or none"),
        ("a;b;label\n1,234;4.5;x\n950;1.5;y\n12,000;2.5;x\n", "column a: '1,234' may have a comma for thousands or"),
        ('a,label\n"1,234",x\n950,y\n"12,000",x\n', "column a: '1,234' may have a comma for thousands or for decimals"),
    ],
)
def test_what_would_be_misread_is_refused(tmp_path, text, said):
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(UserError, match=re.escape(said)):
        load(tmp_path / "mine.csv")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([BIG + i % 4 for i in range(12)], [str(BIG + i) for i in range(4)]),
        ([1, 10**19, 10**20] * 4, ["1", str(10**19), str(10**20)]),
        (["1", "1.0", "unk"] * 4, ["1", "unk"]),
    ],
)
def test_large_and_mixed_labels_are_exact(tmp_path, labels, names):
    rows = "".join(f"{i * 0.5},{label}\n" for i, label in enumerate(labels))
    (tmp_path / "mine.csv").write_text(f"a,label\n{rows}")
    assert load(tmp_path / "mine.csv").class_names == tuple(names)


@pytest.mark.parametrize("separator", ["\t", "|", ";"])
def test_decimal_commas_are_numbers_wherever_no_comma_separates(tmp_path, separator):
    FRAME.to_csv(tmp_path / "mine.csv", index=False, sep=separator, decimal=",")
    check_values(load(tmp_path / "mine.csv"))


def test_a_row_longer_than_a_block_is_read(tmp_path):
    names = [f"{'gene' * 300}{i}" for i in range(1000)]
    rows = [",".join([f"{i}.{'25' * 600}"] * 1000 + ["xy"[i % 2]]) for i in range(4)]
    (tmp_path / "mine.csv").write_text("\n".join([",".join([*names, "label"]), *rows]) + "\n")
    assert load(tmp_path / "mine.csv").features.shape == (4, 1000)


def test_the_index_of_a_parquet_file_names_the_rows_whatever_its_name(tmp_path):
    frame = FRAME.set_index(pd.Index(RNG.permutation(30) + 900, name="patient"))
    frame.to_parquet(tmp_path / "mine.parquet")
    dataset = load(tmp_path / "mine.parquet")
    check_values(dataset)
    np.testing.assert_array_equal(dataset.ids, frame.index)
    assert "column patient names the rows" in dataset.notes[0]
    levels = pd.MultiIndex.from_product([["x", "y"], range(15)], names=["site", "visit"])
    FRAME.set_index(levels).to_parquet(tmp_path / "levels.parquet")
    with pytest.raises(UserError, match=r"has an index of 2 columns \(site, visit\); name one by --id_column"):
        load(tmp_path / "levels.parquet")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"label": [[i % 2] for i in range(12)]}, "column label: is of type list<"),
        ({"label": ["x", "y"] * 6, "index": [[i] for i in range(12)]}, "column index: is of type list<"),
        ({"label": pyarrow.array([float("nan"), *[i % 2 for i in range(11)]])}, "row 1 has no label"),
    ],
)
def test_columns_of_parquet_that_cannot_be_labels_or_ids_are_refused(tmp_path, columns, said):
    parquet.write_table(pyarrow.table({"a": np.arange(12) / 2, **columns}), tmp_path / "mine.parquet")
    with pytest.raises(UserError, match=re.escape(said)):
        load(tmp_path / "mine.parquet")


def test_texts_of_every_type_of_arrow_are_texts(tmp_path):
    for kind in (pyarrow.string(), pyarrow.large_string(), pyarrow.string_view()):
        labels = pyarrow.array(["x", "y"] * 6, kind)
        parquet.write_table(pyarrow.table({"a": np.arange(12) / 2, "label": labels}), tmp_path / "mine.parquet")
        assert load(tmp_path / "mine.parquet").class_names == ("x", "y")


CELLS = {
    "numbers": st.floats(-1e6, 1e6).map(lambda value: round(value, 4)),
    "whole": st.integers(-1000, 1000),
    "words": st.sampled_from(["red", "green", "it's", 'a "b"', "x,y", "x;y", "línea", "two\nlines"]),
    "truths": st.booleans(),
}


@st.composite
def tables(draw):
    """A frame and how it is written."""
    count, kinds = draw(st.integers(12, 20)), draw(st.lists(st.sampled_from([*CELLS]), min_size=1, max_size=4))
    columns = {
        f"{kind} {i}": draw(st.lists(CELLS[kind], min_size=count, max_size=count)) for i, kind in enumerate(kinds)
    }
    frame = pd.DataFrame({**columns, "label": ["oak", "elm"] * (count // 2) + ["oak"] * (count % 2)})
    written = {
        "index": draw(st.booleans()),
        "sep": draw(st.sampled_from([",", ";", "\t", "|"])),
        "quoting": draw(st.sampled_from([0, 1, 2])),
        "lineterminator": draw(st.sampled_from(["\n", "\r\n"])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])),
    }
    return frame, written


def load_or_refuse(path, **flags):
    """The data, or None if they are refused for what they hold."""
    refusals = "counts the rows|is no finite number|no column of numbers|different texts|has no values"
    try:
        return load(path, **flags)
    except UserError as error:
        if not re.search(refusals, str(error)):
            raise
        return None


@settings(max_examples=60, deadline=None)
@given(tables())
def test_what_pandas_writes_is_read_as_pandas_reads_it_or_refused(tmp_path_factory, table):
    frame, written = table
    path = tmp_path_factory.mktemp("drawn") / "mine.csv"
    frame.to_csv(path, **written)
    reading = {name: written[name] for name in ("sep", "encoding")}
    expected = pd.read_csv(path, **reading, index_col=0 if written["index"] else None)
    dataset = load_or_refuse(path)
    if dataset is None:
        return
    values = [
        pd.get_dummies(expected[name].str.strip()) if name.startswith("words") else expected[[name]]
        for name in expected.columns
        if name != "label"
    ]
    np.testing.assert_array_equal(dataset.features, np.concatenate(values, axis=1).astype(float))
    assert [dataset.class_names[label] for label in dataset.labels] == frame.label.tolist()


@settings(max_examples=60, deadline=None)
@given(tables(), st.data())
def test_gaps_are_found_where_pandas_finds_them(tmp_path_factory, table, data):
    frame, written = table
    features = frame.drop(columns="label").astype(object)
    share, seed = data.draw(st.floats(0.05, 0.95)), data.draw(st.integers(0, 99))
    features = features.mask(np.random.default_rng(seed).random(features.shape) < share)
    path = tmp_path_factory.mktemp("drawn") / "mine.csv"
    spelling = data.draw(st.sampled_from(["", "NA", "NULL", "nan", "n/a"]))
    features.assign(label=frame.label).to_csv(path, na_rep=spelling, **written)
    # Columns of whole numbers, or truths, with gaps are floats, or objects, in pandas.
    reading = {name: written[name] for name in ("sep", "encoding")}
    expected = pd.read_csv(path, **reading, index_col=0 if written["index"] else None)
    dataset = load_or_refuse(path, impute="median")
    if dataset is None:
        return
    values = []
    for name in expected.columns.drop("label"):
        if name.startswith("words"):
            texts = expected[name].str.strip()
            values += [texts.isna()] * int(texts.isna().any()) + [
                texts == kind for kind in sorted(texts.dropna().unique())
            ]
        else:
            values.append(
                expected[name].map({True: 1.0, False: 0.0, "True": 1.0, "False": 0.0}, "ignore")
                if name.startswith("truths")
                else expected[name]
            )
    values = np.column_stack([np.asarray(column, float) for column in values])
    np.testing.assert_array_equal(dataset.features, values)
    filled = np.where(np.isnan(values), np.nanmedian(values, 0), values)
    spread = np.where(dataset.spread > 0, dataset.spread, np.inf)
    np.testing.assert_allclose(dataset.images, (filled - dataset.shift) / spread, rtol=1e-5, atol=1e-5)


def test_a_table_of_many_columns_is_read_at_once(tmp_path):
    values = RNG.integers(0, 256, (300, 785))
    values[:, 0] %= 10
    buffer = io.StringIO()
    np.savetxt(buffer, values, fmt="%d", delimiter=",")
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    (tmp_path / "mine.csv").write_text(f"{header}\n{buffer.getvalue()}")
    dataset = load(tmp_path / "mine.csv")
    np.testing.assert_array_equal(dataset.features, values[:, 1:])
    assert dataset.notes == ()


LATE = {
    "fractions": ["1"] * 40 + ["2.5"] * 20,
    "texts": ["007"] * 40 + ["x"] * 20,
    "nothing at first": [""] * 40 + ["3"] * 20,
    "truth": ["1", "0"] * 20 + ["true", "false"] * 10,
    "large": ["1"] * 40 + [str(2**40)] * 20,
    "larger than floats hold": [str(2**53 + 1)] * 40 + ["0.5"] * 20,
    "larger than integers hold": ["5"] * 40 + [str(2**64)] * 20,
    "negative": ["200"] * 40 + ["-40000"] * 20,
    "hexadecimal": ["0x10"] * 37 + ["1.5"] * 23,
    "texts at first": ["y"] * 40 + ["1"] * 20,
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("header", ["{},label", '"{}","label"'])
@pytest.mark.parametrize("name", LATE)
def test_a_text_read_in_parts_is_as_if_read_at_once(tmp_path, monkeypatch, name, header, end):
    lines = [header.format(name), *(f"{cell},{row % 2}" for row, cell in enumerate(LATE[name]))]
    (tmp_path / "late.csv").write_text(end.join(lines), newline="")
    whole = text.read_text(str(tmp_path / "late.csv"), "late", lambda name: name == "label")[1]
    monkeypatch.setattr(text, "PART", 64)
    parts = text.read_text(str(tmp_path / "late.csv"), "late", lambda name: name == "label")[1]
    assert parts.cast(whole.schema) == whole


def test_a_text_in_parts_says_which_line_is_uneven(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "PART", 64)
    (tmp_path / "uneven.csv").write_text("a,label\n" + "1,2\n" * 50 + "1,2,3\n" + "1,2\n" * 50)
    with pytest.raises(UserError, match="line 52 has 3 cells, the header 2"):
        load(tmp_path / "uneven.csv")


def test_an_index_of_pandas_whose_column_is_gone_is_none(tmp_path):
    FRAME.set_index(pd.Index([f"s{row}" for row in range(30)], name="sample")).to_parquet(tmp_path / "whole.parquet")
    part = parquet.read_table(tmp_path / "whole.parquet").select(["a", "b", "c", "label"])
    parquet.write_table(part, tmp_path / "part.parquet")
    check_values(load(tmp_path / "part.parquet"))


def write_rows(path, header, rows, **options):
    path.write_text("\n".join([header, *rows]) + "\n", **options)
    return path


LETTERS = [f"{row * 0.5},{'xy'[row % 2]}" for row in range(24)]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_spellings_that_white_space_alone_tells_apart_are_told(tmp_path, suffix):
    frame = FRAME.assign(label=["oak", "elm", "oak "] * 10, colour=["red", "blue ", "blue"] * 10)
    write = frame.to_csv if suffix == "csv" else frame.to_parquet
    write(tmp_path / f"mine.{suffix}", index=False)
    dataset = load(tmp_path / f"mine.{suffix}")
    assert dataset.class_names == ("elm", "oak")
    said = "white space around 10 labels is left out: spellings that differ by it alone are one class (oak)"
    assert said in dataset.notes
    said = "column colour: texts that differ by white space around alone are one category (blue)"
    assert said in dataset.notes


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("nothing.csv", None, "there is no such file; give the path of a CSV or Parquet file"),
        ("header.csv", "a,label\n", "has no rows under a header line; needed: a first line with the names of the col"),
        ("ragged.csv", "a,label\n1,x\n2,y,3\n", "the header 2; mend it (a cell with commas inside needs quotes"),
        ("twice.csv", "a,a,label\n1,2,x\n", "2 columns have the name a; give each column a name of its own"),
        ("open.csv", 'a,"label\n' + ROWS, "line 1: a quote is opened there or above that is never closed"),
        ("ids.csv", "id,a,label\n1,1,x\n1,2,y\n", "column id: 2 examples have the id 1; ids must differ: name another"),
        ("text.parquet", "a,label\n" + ROWS, "it is of another kind: give csv:PATH if it is text"),
        ("cut.parquet", "PAR1" + ROWS, "it may be cut short or damaged: write it or fetch it anew"),
        ("zeros.csv", "a,label\n\0,x\n", "cannot be read as CSV (it is no text); save it as text in UTF-8"),
        ("bare.csv", "label\nx\ny\n", "has no column of numbers beside the label; give it one or more"),
    ],
)
def test_a_refusal_says_what_to_do(tmp_path, name, text, said):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=re.escape(said)):
        load(tmp_path / name)


def test_the_kind_typed_is_how_a_file_is_read(tmp_path):
    FRAME.to_parquet(tmp_path / "mine.bin")
    FRAME.to_csv(tmp_path / "mine.dat", index=False)
    FRAME.to_csv(tmp_path / "text.parquet", index=False)
    for name in ("parquet:{}/mine.bin", "csv:{}/mine.dat", "csv:{}/text.parquet"):
        check_values(load(name.format(tmp_path)))
    with pytest.raises(UserError, match=r"cannot be read as CSV .*; it is a Parquet file: give parquet:PATH"):
        load(f"csv:{tmp_path}/mine.bin")


def test_quotes_inside_cells_are_read_as_pandas_reads_them(tmp_path):
    cells = ['5" pipe', "hose", '"5"" pipe"', "hose"] * 5
    path = write_rows(tmp_path / "mine.csv", "t,a,label", [f"{c},{i * 0.5},{'xy'[i % 2]}" for i, c in enumerate(cells)])
    expected = pd.get_dummies(pd.read_csv(path).t)
    dataset = load(path)
    np.testing.assert_array_equal(dataset.features[:, :2], expected)
    assert f"column t has 2 categories: {', '.join(expected)}" in dataset.notes


def test_utf_32_is_read_and_told(tmp_path):
    FRAME.to_csv(tmp_path / "mine.csv", index=False, encoding="utf-32")
    dataset = load(tmp_path / "mine.csv")
    check_values(dataset)
    assert dataset.notes == ("its text is utf-32",)


def test_rows_and_cells_of_any_length_are_read_and_found(tmp_path):
    cells = ["q" * (3_000_000 if row == 5 else 3) for row in range(24)]
    rows = [f"{cell},{row}" for cell, row in zip(cells, LETTERS, strict=True)]
    dataset = load(write_rows(tmp_path / "mine.csv", "t,a,label", rows))
    assert dataset.features.shape == (24, 3)
    assert max(map(len, dataset.notes)) < 200
    with pytest.raises(UserError, match="line 26 has 2 cells, the header 3"):
        load(write_rows(tmp_path / "mine.csv", "t,a,label", [*rows, "1,x"]))


@pytest.mark.parametrize("part", [text.PART, 64])
def test_hexadecimal_numbers_of_64_bits_are_not_negative_ones(tmp_path, monkeypatch, part):
    monkeypatch.setattr(text, "PART", part)
    rows = [f"{['0xFFFFFFFFFFFFFFFF', '0x10'][i % 2]},0x7fffffffffffffff,-1,{row}" for i, row in enumerate(LETTERS)]
    dataset = load(write_rows(tmp_path / "mine.csv", "b,c,d,a,label", rows))
    assert "column b has 2 categories: 0x10, 0xFFFFFFFFFFFFFFFF" in dataset.notes
    np.testing.assert_array_equal(dataset.features[:, 2:4], [[2.0**63, -1]] * 24)


@pytest.mark.parametrize("quote", ["", '"'])
def test_zeros_before_numbers_and_constant_columns_are_told(tmp_path, quote):
    rows = [f"{quote}{i * 37:05}{quote},0.5,2021-01-05 01:00,7,{row}" for i, row in enumerate(LETTERS)]
    path = write_rows(tmp_path / "mine.csv", "zip,half,day,seven,a,label", [row.replace(":", "") for row in rows])
    dataset = load(path)
    np.testing.assert_array_equal(dataset.features[:, 0], np.arange(24) * 37)
    assert "1 column of numbers with zeros before them, which are dropped: zip" in dataset.notes
    said = "3 columns with one value in all training examples, which tells nothing: half, day=2021-01-05 0100, seven"
    assert said in dataset.notes
    pd.read_csv(path, dtype={"zip": str}).drop(columns="day").to_parquet(tmp_path / "mine.parquet", index=False)
    assert "1 column of numbers with zeros before them, which are dropped: zip" in load(tmp_path / "mine.parquet").notes


def test_zeros_before_labels_are_told(tmp_path):
    dataset = load(write_rows(tmp_path / "mine.csv", "a,label", [f"{i * 0.5},{i % 2:02}" for i in range(24)]))
    assert dataset.class_names == ("0", "1")
    assert dataset.notes == ("labels are numbers, and zeros before them are dropped, as of 00",)


BAD_TEXTS = pyarrow.StringArray.from_buffers(
    24, pyarrow.array(range(25), pyarrow.int32()).buffers()[1], pyarrow.py_buffer(b"\xffb" * 12)
)


@pytest.mark.parametrize("column", ["t", "label"])
def test_texts_of_parquet_that_are_not_utf_8_are_refused(tmp_path, column):
    columns = {"a": np.arange(24) / 2, "label": ["x", "y"] * 12} | {column: BAD_TEXTS}
    parquet.write_table(pyarrow.table(columns), tmp_path / "mine.parquet")
    with pytest.raises(UserError, match=f"column {column}: has texts that are not UTF-8; write them as such"):
        load(tmp_path / "mine.parquet")


@pytest.mark.parametrize(
    "described",
    [
        '{"index_columns": null, "columns": null}',
        '{"columns": [1]}',
        '{"columns": [{"name": ["a"], "pandas_type": "categorical"}], "index_columns": [["a"]]}',
        '{"index_columns": "a", "columns": 5}',
        "[]",
        "{",
        b"\xff",
    ],
)
def test_what_is_no_description_of_pandas_is_ignored(tmp_path, described):
    table = pyarrow.table({name: FRAME[name].to_numpy() for name in FRAME})
    parquet.write_table(table.replace_schema_metadata({"pandas": described}), tmp_path / "mine.parquet")
    check_values(load(tmp_path / "mine.parquet"))


def test_categories_of_numbers_are_such_in_parquet_without_pandas(tmp_path):
    codes = pyarrow.array([3, 1, 2] * 10).dictionary_encode()
    parquet.write_table(pyarrow.table({"k": codes, "label": FRAME.label.to_list()}), tmp_path / "mine.parquet")
    np.testing.assert_array_equal(load(tmp_path / "mine.parquet").features, np.tile(np.eye(3)[[2, 0, 1]], (10, 1)))


def test_an_index_that_is_named_as_the_label_is_it(tmp_path):
    FRAME.set_index("label").to_parquet(tmp_path / "mine.parquet")
    check_values(load(tmp_path / "mine.parquet"))
    levels = FRAME.assign(tree=[f"t{row}" for row in range(30)]).set_index(["label", "tree"])
    levels.to_parquet(tmp_path / "levels.parquet")
    dataset = load(tmp_path / "levels.parquet")
    check_values(dataset)
    assert dataset.ids[3] == "t3"


@pytest.mark.parametrize("impute", ["none", "median"])
def test_a_row_without_a_list_is_not_told_to_be_imputed(tmp_path, impute):
    lists = [[1, 2]] * 29 + [None]
    parquet.write_table(pyarrow.table({"k": lists, "label": FRAME.label.to_list()}), tmp_path / "mine.parquet")
    with pytest.raises(UserError, match=r"column k, row 30: has no list .*; fill it \(no list is imputed\), or drop"):
        load(tmp_path / "mine.parquet", impute=impute)
