"""Numbers in texts: nouns in the singular where they are one, and deviations above 0 not shown as 0."""

import numpy as np
import pytest

from jaxgen.reporting.statements import describe
from jaxgen.reporting.tables import describe_percent, mean_and_sd
from jaxgen.wording import all_of, count_of, duration, mean_and_deviation


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "run", "1 run"),
        (0, "run", "0 runs"),
        (2000, "run", "2,000 runs"),
        (2, "class", "2 classes"),
        (3, "batch", "3 batches"),
        (3, "epoch", "3 epochs"),
        ("1", "member", "1 member"),
        ("3 to 5", "member", "3 to 5 members"),
    ],
)
def test_one_thing_is_singular(number, noun, text):
    assert count_of(number, noun) == text


def test_all_of_one_is_the_only_one():
    assert (all_of(1, "model"), all_of(3, "model")) == ("the only model", "all 3 models")


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [
        (90.0, 0.0, "90.00 ± 0.00"),
        (90.0, 1e-14, "90.00 ± 0.00"),
        (90.0, 0.0031, "90.00 ± 0.003"),
        (90.0, 0.00098, "90.00 ± 0.001"),
        (90.0, 0.0051, "90.00 ± 0.01"),
        (1234.0, 1500.0, "1,234.00 ± 1,500.00"),
        (0.0, 0.00004, "0.00 ± 0.00004"),
        (4.17, 0.000002, "4.17 ± 0.00"),
        (90.0, np.nan, "90.00"),
    ],
)
def test_only_a_deviation_of_0_is_shown_as_0(mean, deviation, text):
    assert mean_and_deviation(mean, deviation, 2) == text


def test_equal_values_deviate_by_0_and_others_do_not():
    assert describe([0.1, 0.1, 0.1]) == "10.0 ± 0.0 % (n = 3)"
    assert describe([0.1, 0.1, 0.1001]) == "10.0 ± 0.006 % (n = 3)"
    row = mean_and_sd("accuracy", np.array([0.9, 0.9, 0.9001]))
    assert describe_percent(row, "accuracy") == "90.00 ± 0.01"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "under 1 s"),
        (1, "1.0 s"),
        (28.4, "28 s"),
        (119, "119 s"),
        (150, "2.5 min"),
        (3600, "60 min"),
        (9000, "2.5 h"),
        (3 * 86400, "3.0 days"),
    ],
)
def test_durations_have_a_unit_that_reads_well(seconds, said):
    assert duration(seconds) == said
