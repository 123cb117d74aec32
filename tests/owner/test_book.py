"""The owner's book of budgets: identity, totals, refusals, damage."""

import json
import math
import os
import stat
from dataclasses import replace

import numpy as np
import pytest
import torch

from limbeck.data.dataset import LabeledDataset
from limbeck.data.sources import load
from limbeck.errors import BudgetError, OptionError, StoreError
from limbeck.owner import Book, SetTotal, spent
from limbeck.owner.sheet import read
from limbeck.owner.spent import left
from limbeck.privacy.composition import Part, epsilon_at, total
from limbeck.privacy.gaussian import epsilon_of, mu_of
from limbeck.privacy.sampled import Steps
from limbeck.train.dp_sgd import DPSGD
from limbeck.train.private_ridge import PrivateRidge
from limbeck.types import Guarantee

TWO = SetTotal(2.0, 1e-4)
HOW = {"command": "train", "method": "private-ridge"}


def part(epsilon=1.0, delta=1e-5, *, limit=None, **changed):
    own = Guarantee(epsilon, delta, mu=mu_of(epsilon, delta))
    return Part("release", replace(own, **changed), limit)


@pytest.fixture
def book(budgets):
    return Book(budgets)


def table(path, seed=0, n=40):
    draws = np.random.default_rng(seed)
    np.savez(path, inputs=draws.random((n, 1, 8, 8), np.float32), labels=np.arange(n) % 2)
    return path


def enter(book, source, *parts, unit="record", whole=True):
    """A whole release, as a command makes it."""
    asked = list(parts) if parts else None
    held = book.reserve(source, asked, **HOW, unit=unit)
    with held.reading():
        data = load(source)
    held.confirm(asked, data, whole=whole)
    with held.running():
        pass
    return held.done()


def test_a_total_of_two_refuses_the_third_release_of_one_before_anything_is_read(book):
    book.set_total("digits", TWO)
    for _ in range(2):
        book.reserve("digits", [part()], **HOW, unit="record")
    with pytest.raises(
        BudgetError, match=r"with this one 3 releases come to \(3, 3e-05\); nothing is left"
    ):
        book.reserve("digits", [part()], **HOW, unit="record")
    assert len(book.find("digits").entries) == 2


def test_delta_is_part_of_the_total(book):
    book.set_total("digits", SetTotal(5.0, 1.5e-5))
    book.reserve("digits", [part()], **HOW, unit="record")
    with pytest.raises(BudgetError, match=r"come to \(2, 2e-05\)"):
        book.reserve("digits", [part()], **HOW, unit="record")


def test_decimal_shares_add_up_as_they_are_written(book):
    book.set_total("digits", SetTotal(0.3, 3e-5))
    for _ in range(3):
        book.reserve("digits", [part(0.1)], **HOW, unit="record")
    with pytest.raises(BudgetError):
        book.reserve("digits", [part(1e-6)], **HOW, unit="record")


def test_exact_totals_are_the_sum_of_mu_squared(book):
    """Three releases of (1, 1e-5) come to 1.83 at 1e-5, and a fourth to more than 2."""
    book.set_total("digits", SetTotal(2.0, 1e-5, composition="exact"))
    mu = mu_of(1.0, 1e-5)
    for number in range(1, 4):
        book.reserve("digits", [part()], **HOW, unit="record")
        found = spent(book.find("digits").entries, "record", "add-remove")
        exact = epsilon_of(math.sqrt(number) * mu, 1e-5)
        assert found.exactly(1e-5) == pytest.approx(exact, rel=1e-9)
        assert found.epsilon == number and found.delta == pytest.approx(number * 1e-5)
    with pytest.raises(BudgetError, match=r"4 releases come to 2\.\d+ at delta 1e-05"):
        book.reserve("digits", [part()], **HOW, unit="record")


@pytest.mark.parametrize("composition", ["basic", "exact"])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_what_is_said_to_fit_fits_and_not_much_more(book, composition, before):
    allowed = SetTotal(3.0, 1e-4, composition=composition)
    book.set_total("digits", allowed)
    for _ in range(before):
        book.reserve("digits", [part(0.7)], **HOW, unit="record")
    epsilon, delta = left(allowed, spent(book.find("digits").entries, "record", "add-remove"))
    with pytest.raises(BudgetError):
        book.reserve("digits", [part(epsilon * 1.01, delta)], **HOW, unit="record")
    book.reserve("digits", [part(epsilon, delta)], **HOW, unit="record")


def test_a_slice_costs_what_it_costs_of_all_the_data(book):
    sliced = part(limit=100)
    assert total([sliced]).guarantee.epsilon > 2
    book.set_total("digits", TWO)
    with pytest.raises(BudgetError):
        book.reserve("digits", [sliced], **HOW, unit="record", limit=100)
    of_groups = part(limit=100, unit="group")
    book.set_total("digits", SetTotal(9.0, 1e-4, unit="group"))
    with pytest.raises(BudgetError, match="a slice of the groups"):
        book.reserve("digits", [of_groups], **HOW, unit="group", limit=100)


def test_another_kind_and_no_guarantee_are_refused_under_a_total_alone(book):
    book.reserve("digits", None, **HOW)
    book.reserve("digits", [part(adjacency="replace-one")], **HOW, unit="record")
    book.set_total("digits", TWO)
    for parts, why in (
        (None, "no guarantee"),
        ([part(unit="group")], "do not add up"),
        ([part(adjacency="replace-one")], "do not add up"),
    ):
        with pytest.raises(BudgetError, match=why):
            book.reserve("digits", parts, **HOW, unit="group")
    assert spent(book.find("digits").entries, "record", "add-remove").releases == 0


def test_a_unit_that_only_the_data_tell_is_held_to_the_total_before_they_are_read(book):
    book.set_total("digits", SetTotal(2.0, 1e-4, unit="group"))
    with pytest.raises(BudgetError, match="would be exceeded"):
        book.reserve("digits", [part(3.0)], **HOW, unit=None)
    held = book.reserve("digits", [part()], **HOW, unit=None)
    with pytest.raises(BudgetError, match="do not add up"):
        held.confirm([part()], load("digits"), whole=True)  # digits have no groups
    assert book.find("digits").entries == ()


def test_mixed_kinds_are_added_up_soundly_and_no_worse_than_their_pairs():
    """Sampled steps with Gaussians by loss distributions; a pair alone is added to their sum."""
    claimed = DPSGD(epsilon=1.0).guarantee
    sampled, gaussian = Part("dp-sgd", claimed), Part("ridge", PrivateRidge(epsilon=1.0).guarantee)
    alone = Part("choice", Guarantee(0.5, 4e-6))
    assert epsilon_at([sampled], 1e-5) == pytest.approx(claimed.epsilon, rel=1e-3)
    assert epsilon_at([gaussian], 1e-5) == pytest.approx(1.0, rel=1e-6)
    both = epsilon_at([sampled, gaussian], 1e-5)
    assert 1.0 < both < 2.0
    assert both == pytest.approx(total([sampled, gaussian]).guarantee.epsilon, rel=1e-3)
    three = epsilon_at([sampled, gaussian, alone], 1e-5)
    assert three == pytest.approx(0.5 + epsilon_at([sampled, gaussian], 6e-6))
    assert epsilon_at([alone, alone, alone], 1e-5) == math.inf
    assert epsilon_at([gaussian, alone], 4e-6) == math.inf
    # A claim of mu without events is as good as one Gaussian query.
    bare = replace(gaussian, guarantee=replace(gaussian.guarantee, events=()))
    step = Steps(0.1, 10, 2.0, norm=1.0).event("steps")
    with_steps = Part("steps", Guarantee(1.0, 1e-5, events=(step,)))
    assert epsilon_at([bare, with_steps], 1e-5) >= epsilon_at([bare], 1e-5)


def test_the_same_source_is_the_same_data_however_it_is_written_and_read(
    book, tmp_path, monkeypatch
):
    path = table(tmp_path / "a.npz")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.npz").symlink_to(path)
    for source in (path, "a.npz", f"{tmp_path}/../{tmp_path.name}/a.npz", "link.npz"):
        enter(book, source, part(0.1))
    assert len(book.sheets()) == 1 and len(book.find(path).entries) == 4


def test_a_copy_is_recognised_before_any_noisy_answer(book, tmp_path):
    first, copy = table(tmp_path / "a.npz"), tmp_path / "elsewhere.npz"
    copy.write_bytes(first.read_bytes())
    book.set_total(first, SetTotal(1.5, 1e-4))
    enter(book, first, part())
    held = book.reserve(copy, [part()], **HOW, unit="record")  # its own place has no total
    with pytest.raises(BudgetError, match="would be exceeded"):
        held.confirm([part()], load(copy), whole=True)
    # From now on the place is known, and refused before anything is read.
    with pytest.raises(BudgetError):
        book.reserve(copy, [part()], **HOW, unit="record")
    (sheet,) = book.sheets()
    assert len(sheet.entries) == 1 and len(sheet.sources) == 2


def test_the_same_records_in_another_order_and_format_are_recognised(book, tmp_path):
    first, other = table(tmp_path / "a.npz"), tmp_path / "b.npz"
    with np.load(first) as values:
        np.savez_compressed(
            other, inputs=values["inputs"][::-1].copy(), labels=values["labels"][::-1].copy()
        )
    enter(book, first, part())
    assert len(enter(book, other, part()).entries) == 2


def test_a_copied_folder_is_recognised_whatever_its_files_are_called(book, tmp_path):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (20, 8, 8), dtype=np.uint8)
    for name in ("one", "two"):
        for number, image in enumerate(pixels):
            folder = tmp_path / name / ("a" if number % 2 else "b")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(
                folder / f"{name}{number if name == 'one' else -number}.png"
            )
    enter(book, tmp_path / "one", part(), whole=False)
    assert len(enter(book, tmp_path / "two", part(), whole=False).entries) == 2


def test_other_data_are_others(book, tmp_path):
    for seed in range(3):
        enter(book, table(tmp_path / f"{seed}.npz", seed), part())
    assert [len(sheet.entries) for sheet in book.sheets()] == [1, 1, 1]


def test_an_edited_copy_is_the_same_data_once_it_has_the_same_name(book, tmp_path):
    first, edited = table(tmp_path / "a.npz"), table(tmp_path / "b.npz", n=39)
    book.set_total(first, SetTotal(1.5, 1e-4), name="cohort")
    enter(book, first, part())
    enter(book, edited, part())
    assert len(book.sheets()) == 2
    sheet = book.set_total(edited, None, name="cohort")
    assert len(sheet.entries) == 2 and book.find("cohort") == sheet == book.find(edited)
    with pytest.raises(BudgetError):
        book.reserve(edited, [part(0.1)], **HOW, unit="record")


def test_of_two_totals_the_stricter_holds_and_different_kinds_are_refused(book, tmp_path):
    first, second = table(tmp_path / "a.npz"), table(tmp_path / "b.npz", 1)
    book.set_total(first, SetTotal(3.0, 1e-5), name="cohort")
    book.set_total(second, SetTotal(2.0, 1e-4))
    found = book.set_total(second, None, name="cohort").total
    assert (found.epsilon, found.delta) == (2.0, 1e-5)
    third = table(tmp_path / "c.npz", 2)
    book.set_total(third, SetTotal(2.0, 1e-4, composition="exact"))
    with pytest.raises(BudgetError, match="different kinds"):
        book.set_total(third, None, name="cohort")
    assert len(book.sheets()) == 2


def test_an_error_while_the_data_are_read_costs_nothing_and_one_afterwards_does(book):
    held = book.reserve("digits", [part()], **HOW, unit="record")
    with pytest.raises(OptionError), held.reading():
        raise OptionError("no such column")
    assert book.sheets() == []
    held = book.reserve("digits", [part()], **HOW, unit="record")
    held.confirm([part()], load("digits"), whole=True)
    with pytest.raises(RuntimeError), held.running():
        raise RuntimeError("out of memory")
    (entry,) = book.find("digits").entries
    assert entry.state == "failed" and spent([entry], "record", "add-remove").epsilon == 1


def test_what_is_kept_reads_back_as_it_was(book):
    claimed = DPSGD(epsilon=1.0).guarantee
    book.set_total("digits", SetTotal(9.0, 1e-4), name="scans")
    held = book.reserve("digits", [Part("dp-sgd", claimed, 100)], **HOW, unit="record", limit=100)
    (found,) = book.find("scans").entries
    assert found == held.entry and found.parts[0].guarantee == claimed


def test_files_are_for_the_owner_alone_and_hold_no_plain_hash(book, tmp_path):
    path = table(tmp_path / "a.npz")
    enter(book, path, part())
    assert stat.S_IMODE(book.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in book.folder.iterdir()} == {0o600}
    (sheet,) = book.sheets()
    other = Book(tmp_path / "other")
    assert not set(enter(other, path, part()).contents) & set(sheet.contents)


@pytest.mark.parametrize(
    "harm",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace('"epsilon": 1.0', '"epsilon": -1.0'),
        lambda text: text.replace('"epsilon": 1.0', '"epsilon": "1"'),
        lambda text: text.replace('"entries"', '"entires"'),
        lambda text: text.replace('"state": "entered"', '"state": "forgotten"'),
        lambda text: text.replace('"unit": "record"', '"unit": "nobody"'),
        lambda text: text.replace('"schema": 1', '"schema": 99'),
        lambda text: "[]",
    ],
)
def test_a_damaged_file_is_one_line_that_names_it_and_never_a_fresh_start(book, harm):
    book.set_total("digits", TWO)
    book.reserve("digits", [part()], **HOW, unit="record")
    (path,) = book.folder.glob("*.json")
    harmed = harm(path.read_text())
    path.write_text(harmed)
    for attempt in (
        lambda: book.reserve("digits", [part()], **HOW, unit="record"),
        lambda: book.reserve("elsewhere.csv", [part()], **HOW, unit="record"),
        book.sheets,
        lambda: read(path),
    ):
        with pytest.raises(StoreError, match=path.name) as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert path.read_text() == harmed and len(list(book.folder.glob("*.json"))) == 1


def test_a_lost_key_is_not_replaced_while_it_is_needed(book, tmp_path):
    path = table(tmp_path / "a.npz")
    enter(book, path, part())
    secret = book.folder / "key"
    kept = secret.read_text()
    for harm in (secret.unlink, lambda: secret.write_text("zz")):
        harm()
        with pytest.raises(StoreError, match="restore it from a backup"):
            enter(book, path, part())
        secret.write_text(kept)
    assert len(enter(book, path, part()).entries) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(StoreError, match="LIMBECK_BUDGETS"):
        Book(tmp_path / "closed" / "budgets").reserve("digits", [part()], **HOW)


def test_a_file_in_the_folders_place_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be used .* LIMBECK_BUDGETS"):
        Book(tmp_path / "file").reserve("digits", [part()], **HOW)


def test_a_crash_in_the_middle_of_a_merge_counts_each_entry_once(book, tmp_path):
    first, copy = table(tmp_path / "a.npz"), tmp_path / "b.npz"
    copy.write_bytes(first.read_bytes())
    enter(book, first, part())
    held = book.reserve(copy, [part()], **HOW, unit="record")
    lost = (book.folder / f"{book.find(copy).id}.json").read_text()
    name = book.find(copy).id
    held.confirm([part()], load(copy), whole=True)
    (book.folder / f"{name}.json").write_text(lost)  # as if it was not removed any more
    sheet = enter(book, copy, part())
    assert len(sheet.entries) == 3 and len(book.sheets()) == 1


def test_totals_are_listed_in_the_order_in_which_they_were_set(book):
    for epsilon in (2.0, 5.0, 3.0):
        book.set_total("digits", SetTotal(epsilon, 1e-4))
    sheet = book.find("digits")
    assert [one.epsilon for one in sheet.totals] == [2.0, 5.0, 3.0] and sheet.total.epsilon == 3.0
    (path,) = book.folder.glob("*.json")
    assert all(one["time"] for one in json.loads(path.read_text())["totals"])


def test_labels_and_groups_do_not_make_it_other_data(book, tmp_path):
    path = table(tmp_path / "a.npz")
    private, test = load(path)
    enter(book, path, part())
    held = book.reserve(tmp_path / "gone.npz", [part()], **HOW, unit="record")
    relabelled = [
        LabeledDataset(one.inputs, torch.zeros_like(one.labels), ("x",)) for one in (private, test)
    ]
    assert len(held.confirm([part()], relabelled, whole=True).entries) == 2
