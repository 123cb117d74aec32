import math

import pytest

from limbeck.audit.evidence import Estimate
from limbeck.report import numbers


def estimate(value: float, low: float = math.nan, high: float = math.nan, **rest) -> Estimate:
    return Estimate(**{"value": value, "low": low, "high": high, "trials": 100, **rest})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0.012, 0.008, 0.019), "1.2% [0.8%, 1.9%]"),
        ((0.783, 0.771, 0.795), "78.3% [77.1%, 79.5%]"),
        ((0.5, 0.3, 0.7), "50% [30%, 70%]"),
        ((0.001, 0.0004, 0.002), "0.10% [0.04%, 0.20%]"),
        ((0.999, 0.9978, 1.0), "99.90% [99.78%, 100.00%]"),
    ],
)
def test_percent_shows_the_digits_that_the_interval_carries(given, text):
    assert str(numbers.percent(estimate(*given))).replace("\u00a0", " ") == text


def test_percent_agrees_with_the_fraction_to_half_a_last_digit():
    for value in (0.0, 0.00123, 0.01, 0.0987, 0.5, 0.99951, 1.0):
        for half in (1e-4, 3e-3, 0.04, 0.3):
            printed = numbers.percent(estimate(value, value - half, value + half)).value
            digits = len(printed.partition(".")[2]) - 1 if "." in printed else 0
            assert abs(float(printed[:-1]) - 100 * value) <= 0.5 * 10**-digits + 1e-9


def test_what_is_missing_is_said():
    assert "no interval" in str(numbers.percent(estimate(0.2)))
    assert "number of trials not recorded" in str(numbers.score(estimate(0.6, 0.5, 0.7, trials=0)))
    assert "90% interval" in str(numbers.percent(estimate(0.2, 0.1, 0.3, level=0.9)))
    # Never rounded up to a confidence that is not there.
    assert "98.75% interval" in str(numbers.percent(estimate(0.2, 0.1, 0.3, level=0.9875)))
    for write in (numbers.percent, numbers.score, numbers.lower_bound):
        assert str(write(estimate(math.nan))) == "not measured"


def test_a_lower_bound_of_zero_shows_nothing():
    assert "nothing shown" in str(numbers.lower_bound(estimate(0.0)))
    assert str(numbers.lower_bound(estimate(1.371))) == "at least 1.37 (at 95% confidence)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (9.97, "10 s"), (38, "38 s"), (125, "2 min 5 s"), (12000, "3 h 20 min"),
     (3599.7, "1 h 0 min"), (None, "not measured"), (math.nan, "not measured")],
)  # fmt: skip
def test_durations(seconds, text):
    assert numbers.duration(seconds) == text


def test_memory_and_plain_settings():
    assert numbers.memory(512.0) == "512 MiB"
    assert numbers.memory(3481.6) == "3.4 GiB"
    assert numbers.memory(None) == "not measured"
    assert numbers.plain(1e-5) == "0.00001"
    assert numbers.plain(0.5) == "0.5"


def test_p_values_and_small_negatives():
    assert numbers.p_value(0.0317) == "p = 0.032"
    assert numbers.p_value(1e-9) == "p < 0.001"
    assert numbers.p_value(math.nan) == "p not recorded"
    assert numbers.percent(estimate(-0.0003, -0.02, 0.02)).value == "0.0%"
