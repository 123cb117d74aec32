"""The blind classifier finds a split that is not random, and no other."""

import numpy as np
import pytest

from limbeck.audit.images.blind import blind
from limbeck.errors import OptionError


def images(n, seed):
    return np.random.default_rng(seed).random((n, 1, 6, 6), dtype=np.float32)


def test_a_difference_in_brightness_is_found():
    inputs, member = images(200, 0), np.arange(200) < 80
    inputs[member] += 0.1
    found = blind(inputs, member)
    assert found.tells()
    assert max(found.auc.values()) > 0.9


def test_a_difference_in_contrast_alone_is_found():
    inputs, member = images(200, 0), np.arange(200) < 80
    inputs[member] = 0.5 + 0.7 * (inputs[member] - 0.5)
    assert blind(inputs, member).tells()


def test_a_random_split_is_called_random():
    inputs = images(60, 1)
    draws = np.random.default_rng(2)
    p_values = []
    for _ in range(6):
        found = blind(inputs, draws.permutation(60) < 30, folds=3)
        p_values.append(found.p_value)
        assert set(found.auc) == {"logistic regression", "gradient boosting"}
    # Three or more of 6 below 0.05 have probability 0.002 where p-values are uniform.
    assert np.count_nonzero(np.array(p_values) < 0.05) < 3
    assert max(p_values) > 0.05


@pytest.mark.parametrize(("members", "length"), [(9, 100), (50, 99)])
def test_too_few_records_of_a_side_are_refused(members, length):
    with pytest.raises(OptionError, match="needs 10 of each side"):
        blind(images(100, 0), np.arange(length) < members)
