"""The README tells the truth: its flags, files and examples exist and run."""

import pathlib
import re

import jax
import numpy as np
import pytest

from jaxgen import config as spec
from jaxgen.config.fields import flag_fields

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_every_flag_it_names_exists():
    specs = (
        spec.BenchSpec,
        spec.RandomizationSpec,
        spec.RobustnessSpec,
        spec.OversamplingSpec,
        spec.LnrSpec,
        spec.ReportSpec,
        spec.CompareSpec,
        spec.MislabelledSpec,
    )
    known = {field.name for each in specs for _, field in flag_fields(each)} | {"flagfile", "help", "version"}
    assert (
        set(re.findall(r"--([a-z_0-9]+)(?:=|\b)", README)) - {"format", "check", "head", "worker", "command"} <= known
    )


def test_every_file_it_shows_exists():
    paths = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_two_commands_are_marked_for_the_check():
    assert len(re.findall(r"^```bash run\n.+\n```$", README, re.MULTILINE)) == 2


@pytest.mark.slow
def test_its_python_example_runs():
    [code] = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    # The example as it stands, with fewer models: two blocks at ratio 0.9.
    names = {}
    # It trains for long enough to be worth compiling well.
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        exec(code.replace("num_runs=50", "num_runs=20"), names)
    finally:
        jax.config.update("jax_disable_most_optimizations", True)
    assert np.isfinite(names["scores"].stderr).any()


def test_its_table_of_the_score_file_is_complete():
    from jaxgen.types import Scores

    for name in Scores.__dataclass_fields__:
        assert f"`{name}`" in README
