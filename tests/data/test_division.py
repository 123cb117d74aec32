"""Splits and slices by the records' own coins, by brute force over neighbouring files."""

from collections import Counter
from functools import cache
from math import sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import load, read
from limbeck.data.division import coin_slice, coin_split
from limbeck.data.sources.arrays import from_arrays, group_numbers
from limbeck.data.sources.base import Request
from limbeck.errors import DatasetError, OptionError

# Few different values, so that equal records are common.
records = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), min_size=2, max_size=9)
seeds = st.integers(0, 2**40)


def file(rows, owners=None):
    """The records of a file of these (value, label), and of these owners."""
    inputs = np.array([[value / 8, 0.25] for value, _ in rows])
    labels = np.array([label for _, label in rows])
    groups = None if owners is None else np.array(owners)
    return from_arrays(
        inputs, labels, where="x", request=Request(), classes=("a", "b"), groups=groups
    )


@cache
def alone(row, owner=None):
    """What the coins of a record are keyed on where nobody else is in the file."""
    return file([row], None if owner is None else [owner]).units


def units(rows, owners=None):
    owners = [None] * len(rows) if owners is None else owners
    return torch.cat([alone(row, owner) for row, owner in zip(rows, owners, strict=True)])


def test_coins_are_keyed_on_the_record_or_its_owner_alone():
    rows = [(value, label) for value in range(6) for label in (0, 1)]
    owners = list("pqrsspqrpqrs")
    assert torch.equal(file(rows).units, units(rows)) and len(units(rows).unique()) == 6
    assert torch.equal(file(rows, owners).units, units(rows, owners))
    assert len(units(rows, owners).unique()) == 4


def chosen(rows, index):
    return Counter(rows[i] for i in index.tolist())


def without(rows, k):
    return [*rows[:k], *rows[k + 1 :]]


@settings(max_examples=30, deadline=None)
@given(records, st.floats(0.05, 0.95), seeds)
def test_files_that_differ_in_a_record_have_parts_that_differ_in_it_at_most(rows, share, seed):
    private, test = coin_split(units(rows), share, seed)
    assert sorted([*private.tolist(), *test.tolist()]) == list(range(len(rows)))
    for k in range(len(rows)):
        fewer = without(rows, k)
        parts = coin_split(units(fewer), share, seed)
        for whole, part in zip((private, test), parts, strict=True):
            gone = Counter([rows[k]]) if k in whole.tolist() else Counter()
            assert chosen(rows, whole) == chosen(fewer, part) + gone


@settings(max_examples=30, deadline=None)
@given(records, st.integers(1, 12), seeds)
def test_slices_of_neighbours_differ_by_one_exchange_at_most(rows, size, seed):
    whole = chosen(rows, coin_slice(units(rows), size, seed))
    assert whole.total() == min(size, len(rows))
    for k in range(len(rows)):
        fewer = without(rows, k)
        part = chosen(fewer, coin_slice(units(fewer), size, seed))
        assert (whole - part).total() <= 1 and (part - whole).total() <= 1
        for value in (0, 3):  # as the price of a record replaced has it
            other = [*rows[:k], (value, 0), *rows[k + 1 :]]
            part = chosen(other, coin_slice(units(other), size, seed))
            assert (whole - part).total() == (part - whole).total() <= 1


def test_a_slice_follows_from_the_records_and_not_from_their_places():
    keys = torch.arange(1_000) * 7 + 3
    turned = torch.arange(999, -1, -1)
    for seed in (0, 1):
        found = keys[coin_slice(keys, 100, seed)]
        assert set(keys[turned][coin_slice(keys[turned], 100, seed)].tolist()) == set(
            found.tolist()
        )
    others = keys[coin_slice(keys, 100, 0)]
    assert len(set(others.tolist()) & set(found.tolist())) < 40, "another seed, another slice"


@settings(max_examples=30, deadline=None)
@given(records, st.lists(st.sampled_from("pqrs"), min_size=9, max_size=9), seeds)
def test_a_group_or_one_of_its_records_moves_nobody_else(rows, owners, seed):
    owners = owners[: len(rows)]

    def sides(keep):
        kept = [i for i in range(len(rows)) if keep(i)]
        if not kept:
            return {}
        found = coin_split(units([rows[i] for i in kept], [owners[i] for i in kept]), 0.5, seed)[1]
        return {i: at in found.tolist() for at, i in enumerate(kept)}

    everyone = sides(lambda i: True)
    for owner in set(owners):
        assert len({everyone[i] for i in everyone if owners[i] == owner}) == 1
        others = sides(lambda i, owner=owner: owners[i] != owner)
        assert others.items() <= everyone.items()
    for k in range(len(rows)):
        assert sides(lambda i, k=k: i != k).items() <= everyone.items()


def test_equal_records_fall_on_one_side_whatever_their_label():
    rows = [(value, label) for value in range(6) for label in (0, 1, 1)]
    for seed in range(20):
        held = set(coin_split(units(rows), 0.5, seed)[1].tolist())
        assert all(len({3 * v + j in held for j in range(3)}) == 1 for v in range(6))


def test_coins_are_fair_independent_of_each_other_and_follow_the_seed():
    n, share = 20_000, 0.3
    keys = torch.arange(n) * 7  # any regular numbers
    one, two = (torch.zeros(n, dtype=torch.bool) for _ in range(2))
    one[coin_split(keys, share, 1)[1]] = True
    two[coin_split(keys, share, 2)[1]] = True
    sliced = torch.zeros(n, dtype=torch.bool)
    sliced[coin_slice(keys, n // 2, 1)] = True
    assert torch.equal(coin_split(keys, share, 1)[1], one.nonzero()[:, 0])
    for found, chance in (
        (one, share),
        (one & two, share**2),
        (one & sliced, share / 2),
        (one[1:] & one[:-1], share**2),
    ):
        spread = sqrt(chance * (1 - chance) / n)
        assert abs(float(found.double().mean()) - chance) < 5 * spread


def test_numbers_of_groups_are_their_own_and_differ():
    words = np.array(["ann", "bob", "ann", "cid"])
    numbers, named = group_numbers(words, Request(), "x")
    assert numbers[0] == numbers[2] and len(numbers.unique()) == 3 and named.all()
    alone, _ = group_numbers(words[[3]], Request(), "x")
    assert torch.equal(alone, numbers[3:]), "whoever else there is"
    assert group_numbers(np.array([7, -3, 7]), Request(), "x")[0].tolist() == [7, -3, 7]


def test_a_file_and_its_neighbour_are_divided_alike(tmp_path):
    generator = np.random.default_rng(0)
    inputs, labels = generator.random((60, 2, 4, 4)), np.arange(60) % 2

    def parts(keep, **options):
        np.savez(tmp_path / "a.npz", inputs=inputs[keep, :1], labels=labels[keep])
        return [
            {tuple(r.tolist()) for r in part.inputs.flatten(1)}
            for part in load(tmp_path / "a.npz", **options)
        ]

    everyone = np.arange(60)
    private, test = parts(everyone)
    assert len(private) + len(test) == 60 and 3 <= len(test) <= 24
    for k in (0, 31, 59):
        ours, theirs = parts(everyone != k)
        assert ours <= private and theirs <= test
        assert len(ours) + len(theirs) == 59
        sliced = [parts(keep, limit=20)[0] for keep in (everyone, everyone != k)]
        assert len(sliced[0] - sliced[1]) <= 1 and len(sliced[1] - sliced[0]) <= 1
    assert len(read(tmp_path / "a.npz", part="private", limit=20)) == 20
    assert len(load(tmp_path / "a.npz", size=2)[1]) == len(theirs), "as the file has them"


def test_a_slice_without_a_class_is_loaded_and_refused_by_what_needs_the_class(tmp_path, refused):
    inputs, labels = np.arange(40).reshape(40, 1) / 40, np.arange(40) % 2
    np.savez(tmp_path / "a.npz", inputs=inputs, labels=labels)
    private, _ = load(tmp_path / "a.npz", limit=1)
    assert (len(private), private.classes) == (1, ("0", "1"))
    with refused("no record of class '[01]' among 1; .* larger limit"):
        private.require_every_class()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_that_leave_nothing_are_refused(share):
    with pytest.raises(OptionError, match="test_share"):
        coin_split(torch.arange(3), share, 0)


@pytest.mark.parametrize(
    "names",
    [["a", "", "b"], [1.0, float("nan"), 2.0], ["a", None, "b"]],
    ids=["empty", "nan", "none"],
)
def test_records_without_a_group_are_no_person_of_their_own(names):
    with pytest.raises(
        DatasetError, match=r"x: 1 of 3 records have no group, the first is record 1"
    ):
        group_numbers(np.array(names), Request(), "x")
    _, named = group_numbers(np.array(names), Request(guaranteed=True), "x")
    assert named.tolist() == [True, False, True]
