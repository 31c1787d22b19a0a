"""Specs and flags: what is asked for is read, checked and written back alike."""

import dataclasses
import pathlib
import re
import typing

import numpy as np
import pytest

from jaxgen import config as spec
from jaxgen.config import CscoreSpec, flags
from jaxgen.config.fields import (
    MOST_VALUES,
    as_value,
    check,
    flag_fields,
    flag_values,
    has_type,
    spec_from_values,
    with_home,
)
from jaxgen.errors import UserError


def swept_values(spec_class):
    """For every flag, values that its rule allows and that are not its default; lists where lists may stand."""
    chosen = {}
    for _, field in flag_fields(spec_class):
        kinds = {bool: True, int: 7, float: 0.25, str: "npz:a b.npz", int | None: 4, tuple[int, ...]: (8, 4, 3)}
        lists = {int: (3, 1, 20), float: (0.25, 1e-4, 0.1 + 0.2), str: ("convnet", "linear")}
        kinds |= {tuple[float, ...]: (0.25, 0.75), tuple[str, ...]: ("flip", "crop")}
        if typing.get_origin(field.type) is typing.Literal:
            choices = typing.get_args(field.type)[::-1]
            chosen[field.name] = choices if field.metadata["sweep"] else choices[0]
        else:
            chosen[field.name] = (lists if field.metadata["sweep"] else kinds)[field.type]
    # Texts that are no file's name, a severity of at most 10, and one of two flags that exclude each other.
    texts = {"track": ("curves", "grand"), "shard": "1/4", "augmix": (3, 1, 10), "normalize_channels": False}
    return chosen | {name: text for name, text in texts.items() if name in chosen}


def read(*argv):
    return flag_values(flags.parse(spec.CscoreSpec, argv))


@pytest.mark.parametrize(
    ("text", "ratios"),
    [
        ("0.1:0.9", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
        ("0.2:0.8:0.3", (0.2, 0.5, 0.8)),
        ("0.5", (0.5,)),
        ("0.3,0.05", (0.3, 0.05)),
        ("0.5:0.55:0.1", (0.5,)),
    ],
)
def test_ratios_are_read_with_both_ends(text, ratios):
    assert read(f"--subset_ratios={text}")["subset_ratios"] == ratios


@pytest.mark.parametrize(
    "text", ["", "abc", "0.9:0.1", "0.1:0.9:0", "0.1:0.9:-1", "1:2:3:4", "0:1:1e-9", "nan:1", "0:1:nan", "a:b"]
)
def test_what_is_no_range_is_refused(text):
    with pytest.raises(UserError, match=rf"--subset_ratios={text}: .*(give|larger step)"):
        read(f"--subset_ratios={text}")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--weight_decay=0,1e-4,5e-4", (0, 1e-4, 5e-4)),
        ("--dropout=0:0.5:0.1", (0, 0.1, 0.2, 0.3, 0.4, 0.5)),
        ("--input_noise=0:0.25:0.1", (0, 0.1, 0.2)),
        ("--l1=1e-5:3e-5:1e-5", (1e-5, 2e-5, 3e-5)),
        ("--epochs=10:100:30", (10, 40, 70, 100)),
        ("--batch_size=32, 16", (32, 16)),
        ("--optimizer=adam,sgd", ("adam", "sgd")),
        ("--model=mlp, linear", ("mlp", "linear")),
        ("--dropout=0.1", 0.1),
        ("--dropout=0.1:0.15:0.1", 0.1),
        ("--milestones=", ()),
        ("--milestones=10,15.5", (10, 15.5)),
        ("--milestones=2:6:2", (2, 4, 6)),
    ],
)
def test_lists_and_ranges_are_read_as_written(flag, value):
    assert read(flag)[flag[2:].split("=")[0]] == value


def test_whole_numbers_stay_whole():
    assert all(type(epochs) is int for epochs in read("--epochs=1:9:2")["epochs"])
    assert all(type(pixels) is int for pixels in read("--crop=0,4")["crop"])


def test_a_range_of_as_many_values_as_allowed_is_read():
    assert len(read("--l1=1:10000:1")["l1"]) == MOST_VALUES


# (flag, what the one line must say)
REFUSED = [
    ("--weight_decay=-1", "must be 0 or more"),
    ("--weight_decay=0,-1", "-1 must be 0 or more"),
    ("--dropout=1", "must be at least 0 and below 1"),
    ("--dropout=0:1:0.5", "1 must be at least 0 and below 1"),
    ("--flip=1.5", "must be at least 0 and at most 1"),
    ("--decay_rate=0", "must be above 0 and at most 1"),
    ("--dropout=", "a list a,b,c"),
    ("--dropout=0.1,", "a list a,b,c"),
    ("--dropout=0:0.5", "give a range as start:stop:step"),
    ("--dropout=0:0.5:0.1,0.7", "a range start:stop:step"),
    ("--dropout=0.5:0:0.1", "the range is empty"),
    ("--dropout=0:0.5:0", "the range is empty"),
    ("--l1=0:inf:1", "the range is empty"),
    ("--l1=0,nan", "nan must be a finite number"),
    ("--l1=0:1:1e-4", "more than 10,000 values"),
    ("--l1=0:1e308:1e-320", "more than 10,000 values"),
    ("--dropout=0.1,0.10", "0.1 comes more than once"),
    ("--optimizer=sgd,sgd", "sgd comes more than once"),
    ("--optimizer=sgd,lion", "lion must be one of sgd, nesterov, adam, adamw, rmsprop"),
    ("--model=mlp,", "give a name, or a list a,b,c"),
    ("--epochs=0.5", "whole number"),
    ("--epochs=1:2:0.5", "whole number"),
    ("--epochs=5:9", "such as 2:10:2"),
    ("--epochs=0,1", "0 must be 1 or more"),
    ("--num_runs=5,10", "give a whole number"),
    ("--milestones=15,10", "each above the one before"),
    ("--milestones=0", "must be above 0"),
    ("--milestones=nan", "must be above 0"),
    ("--schedule=step", "needs --milestones"),
    ("--schedule=cosine,step", "needs --milestones"),
    ("--patience=3", "needs a --validation_share above 0"),
    ("--validation_share=1", "below 1"),
    ("--save_models=maybe", "give true or false"),
    ("--nosave_models=true", "does not take an argument"),
]


@pytest.mark.parametrize(("flag", "said"), REFUSED, ids=[flag for flag, _ in REFUSED])
def test_a_bad_value_is_refused_in_one_line(flag, said):
    with pytest.raises(UserError, match=re.escape(said)) as refusal:
        read(flag)
    assert str(refusal.value).startswith(flag)
    assert "\n" not in str(refusal.value)


def test_python_lists_keep_the_same_rules():
    for dropout in ((), (0.1, 1.0), (0.1, 0.1), (0.1, "a"), [0.1], (0.1, (0.2,)), (0.0, float("nan")), (True,)):
        with pytest.raises(UserError, match="--dropout="):
            spec.RegularizationSpec(dropout=dropout)
    with pytest.raises(UserError, match="10,001 values") as refusal:
        spec.TrainSpec(epochs=tuple(range(1, 10_002)))
    assert len(str(refusal.value)) < 200


def test_a_list_of_one_is_the_value():
    assert spec.RegularizationSpec(dropout=(0.1,)) == spec.RegularizationSpec(dropout=0.1)
    assert spec.ModelSpec(norm=("none",)).norm == "none"


def test_a_schedule_with_steps_and_milestones_is_taken():
    assert read("--schedule=step,cosine", "--milestones=5,10")["schedule"] == ("step", "cosine")
    assert read("--patience=3", "--validation_share=0.1")["patience"] == 3


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        ([], False),
        (["--save_models"], True),
        (["--save_models=true"], True),
        (["--save_models=1"], True),
        (["--save_models", "--nosave_models"], False),
        (["--save_models=false"], False),
    ],
)
def test_switches_are_typed_as_absl_users_expect(argv, value):
    assert read(*argv)["save_models"] is value


def test_a_switch_takes_no_word_of_its_own():
    with pytest.raises(UserError, match="'false': not a flag"):
        read("--save_models", "false")


@pytest.mark.parametrize("spec_class", [spec.CscoreSpec, spec.OversamplingSpec, spec.BenchSpec])
def test_every_flag_survives_a_round_trip_with_lists(spec_class, tmp_path):
    chosen = swept_values(spec_class)
    asked = spec_from_values(spec_class, chosen)
    assert flag_values(asked) == chosen
    for name, default in flag_values(spec_class()).items():
        assert chosen[name] != default or name == "normalize_channels"
    lines = flags.to_flagfile(asked, "all of them")
    (tmp_path / "flags.cfg").write_text(lines)
    assert flags.parse(spec_class, lines.splitlines()[1:]) == asked
    assert flags.parse(spec_class, [f"--flagfile={tmp_path / 'flags.cfg'}"]) == asked


def test_of_two_normalizations_one_is_chosen():
    assert read("--normalize_channels")["normalize_channels"]
    with pytest.raises(UserError, match="--normalize_channels: --whiten standardizes each image already"):
        read("--normalize_channels", "--whiten")


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-4, 1 / 3, 5e-324, 123456789.125, 0.0])
def test_text_holds_a_number_to_the_last_bit(value):
    assert read(f"--l1={spec.format_value((value, 7.0))}")["l1"] == (value, 7.0)


def test_flags_survive_a_round_trip_through_a_flag_file(tmp_path):
    argv = ["--subset_ratios=0.25,0.75", "--hidden=", "--learning_rate=1e-05", "--seed=7", "--dataset=npz:a b.npz"]
    chosen = flags.parse(spec.CscoreSpec, argv)
    path = tmp_path / "flags.cfg"
    path.write_text(flags.to_flagfile(chosen, "two\nlines"))
    assert flags.parse(spec.CscoreSpec, [f"--flagfile={path}"]) == chosen
    assert flags.parse(spec.CscoreSpec, [f"--flagfile={path}", "--seed=8"]).seed == 8


def test_every_default_keeps_its_own_rule_and_every_flag_has_help():
    for owner, field in flag_fields(spec.BenchSpec):
        check(field, field.default)
        assert field.metadata["help"]
        assert owner.__doc__


def test_a_command_may_have_other_defaults_than_its_topics():
    assert (spec.TrainSpec().epochs, spec.OversamplingSpec().train.epochs) == (20, 50)
    assert flags.parse(spec.OversamplingSpec, []) == spec.OversamplingSpec()
    asked = flags.parse(spec.OversamplingSpec, ["--batch_size=8"])
    assert (asked.train.batch_size, asked.train.learning_rate, asked.model.hidden) == (8, 0.01, (64, 32))
    assert "--epochs=50 " in flags.usage("jaxgen.oversampling", spec.OversamplingSpec)
    assert "--epochs=20 " in flags.usage("jaxgen.cscore", spec.CscoreSpec)


def test_flag_names_are_unique():
    for spec_class in (spec.CscoreSpec, spec.RandomizationSpec, spec.OversamplingSpec, spec.BenchSpec):
        names = [field.name for _, field in flag_fields(spec_class)]
        assert len(names) == len(set(names))


def test_parsed_flags_have_the_annotated_types():
    chosen = flags.parse(spec.CscoreSpec, ["--learning_rate=1", "--width=4"])
    for owner, field in flag_fields(chosen):
        assert has_type(getattr(owner, field.name), field.type)


@pytest.mark.parametrize(
    "values", [{"num_runs": 0}, {"num_runs": 1.5}, {"hidden": (0,)}, {"hidden": [4]}, {"design": "x"}, {"epochs": True}]
)
def test_python_values_keep_the_same_rules(values):
    [name] = values
    with pytest.raises(UserError, match=f"--{name}="):
        spec_from_values(spec.CscoreSpec, values)


def test_specs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.CscoreSpec().seed = 1


def test_help_names_every_flag_and_choice():
    page = flags.usage("jaxgen.cscore", spec.CscoreSpec)
    for _, field in flag_fields(spec.CscoreSpec):
        assert f"--{field.name}=" in page
        if typing.get_origin(field.type) is typing.Literal:
            assert all(choice in page for choice in typing.get_args(field.type))


def test_help_marks_the_flags_that_take_lists():
    lines = flags.usage("jaxgen.cscore", spec.CscoreSpec).splitlines()
    marked = {line.split("=")[0].strip(" -") for line in lines if line.endswith("[list]")}
    assert marked == {field.name for _, field in flag_fields(spec.CscoreSpec) if field.metadata["sweep"]}
    assert {"model", "epochs", "optimizer", "weight_decay", "flip"} <= marked
    assert not {"hidden", "milestones", "num_runs", "subset_ratios", "seed"} & marked


def test_one_noise_written_in_two_ways_is_refused():
    for first, second in (("symmetric:0.1", "symmetric:0.10"), ("file:a.npz:b", "file:./a.npz:b")):
        with pytest.raises(UserError, match=f"--inject={second}: is {first} once more"):
            spec_from_values(spec.MislabelledSpec, {"inject": (first, second)})


def field_of(name):
    return next(field for _, field in flag_fields(CscoreSpec()) if field.name == name)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("num_runs", np.int64(2), 2),
        ("learning_rate", np.float32(0.05), 0.05),
        ("learning_rate", np.array([0.1, 0.3], np.float16), (0.1, 0.3)),
        ("learning_rate", np.float64(0.1) + np.float64(0.2), 0.1 + 0.2),
        ("subset_ratios", np.array([0.5]), (0.5,)),
        ("subset_ratios", 0.5, (0.5,)),
        ("hidden", range(8, 10), (8, 9)),
        ("hidden", np.array(16), (16,)),
        ("whiten", np.bool_(True), True),
        ("track", "none", ("none",)),
        ("track", "dynamics,grand", ("dynamics", "grand")),
        ("optimizer", "sgd", "sgd"),
        ("out", pathlib.Path("runs") / "mine", "runs/mine"),
    ],
)
def test_python_values_become_those_of_flags(name, given, value):
    found = as_value(field_of(name), given)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("~/x", "HOME/x"),
        ("npz:~/a.npz", "npz:HOME/a.npz"),
        ("~", "HOME"),
        (("file:~/a.pt:worse_label", "symmetric:0.1"), ("file:HOME/a.pt:worse_label", "symmetric:0.1")),
        ("a~/b", "a~/b"),
        ("runs/~/b", "runs/~/b"),
        ("~other/x", "~other/x"),
        (0.5, 0.5),
    ],
)
def test_a_tilde_at_the_beginning_of_a_path_is_the_home_folder(monkeypatch, given, value):
    monkeypatch.setenv("HOME", "HOME")
    assert with_home(given) == value


def test_every_flag_with_a_path_knows_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/at/home")
    spec = spec_from_values(CscoreSpec, {"out": "~/x", "dataset": "npz:~/a.npz"})
    assert (spec.out, spec.data.dataset) == ("/at/home/x", "npz:/at/home/a.npz")
