"""Specs and flags: what is asked for is read, checked and written back alike."""

import dataclasses
import typing

import pytest

from jaxgen import flags, spec
from jaxgen.errors import UserError


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
    assert spec.parse_ratios(text) == ratios


@pytest.mark.parametrize(
    "text", ["", "abc", "0.9:0.1", "0.1:0.9:0", "0.1:0.9:-1", "1:2:3:4", "0:1:1e-9", "nan:1", "a:b"]
)
def test_what_is_no_range_is_refused(text):
    with pytest.raises(ValueError, match=r"give|larger step"):
        spec.parse_ratios(text)


def test_flags_survive_a_round_trip_through_a_flag_file(tmp_path):
    argv = ["--subset_ratios=0.25,0.75", "--hidden=", "--learning_rate=1e-05", "--seed=7", "--dataset=npz:a b.npz"]
    chosen = flags.parse(spec.CscoreSpec, argv)
    path = tmp_path / "flags.cfg"
    path.write_text(flags.to_flagfile(chosen, "two\nlines"))
    assert flags.parse(spec.CscoreSpec, [f"--flagfile={path}"]) == chosen
    assert flags.parse(spec.CscoreSpec, [f"--flagfile={path}", "--seed=8"]).seed == 8


def test_every_default_keeps_its_own_rule_and_every_flag_has_help():
    for owner, field in spec.leaves(spec.BenchSpec):
        spec.check(field, field.default)
        assert field.metadata["help"]
        assert owner.__doc__


def test_flag_names_are_unique():
    for spec_class in (spec.CscoreSpec, spec.BenchSpec):
        names = [field.name for _, field in spec.leaves(spec_class)]
        assert len(names) == len(set(names))


def test_parsed_flags_have_the_annotated_types():
    chosen = flags.parse(spec.CscoreSpec, ["--learning_rate=1", "--width=4"])
    for owner, field in spec.leaves(chosen):
        assert spec.has_type(getattr(owner, field.name), field.type)


@pytest.mark.parametrize(
    "values", [{"num_runs": 0}, {"num_runs": 1.5}, {"hidden": (0,)}, {"hidden": [4]}, {"design": "x"}, {"epochs": True}]
)
def test_python_values_keep_the_same_rules(values):
    [name] = values
    with pytest.raises(UserError, match=f"--{name}="):
        spec.from_values(spec.CscoreSpec, values)


def test_specs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.CscoreSpec().seed = 1


def test_help_names_every_flag_and_choice():
    page = flags.usage("jaxgen.cscore", spec.CscoreSpec)
    for _, field in spec.leaves(spec.CscoreSpec):
        assert f"--{field.name}=" in page
        if typing.get_origin(field.type) is typing.Literal:
            assert all(choice in page for choice in typing.get_args(field.type))
