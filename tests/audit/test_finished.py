"""Audits of a finished set: copies are caught, an unfair comparison is not called a leak."""

import json
import unittest
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from limbeck.audit.finished import DUPLICATE, SetAudit, audit_finished
from limbeck.audit.gate import gate
from limbeck.audit.images.one_release import calibrated_scores, names
from limbeck.audit.inference import one_set
from limbeck.audit.inference.set_verdict import copies_p_value
from limbeck.audit.loading import load
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import DatasetError, OptionError, StoreError
from limbeck.report import report
from limbeck.testing import TooWeakError, assert_private

SHAPE = (1, 8, 8)


def draw(n, seed, name="some"):
    """Images of two classes: a template of its own each, and strong variation around it."""
    templates = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(99))
    noise = torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(n) % 2
    return LabeledDataset(0.4 * templates[labels] + 0.6 * noise, labels, ("a", "b"), name=name)


def released(records, rows, name="released"):
    index = torch.as_tensor(rows)
    return SyntheticDataset(
        records.inputs[index], records.labels[index], records.classes, name=name
    )


MEMBERS, CONTROL = draw(120, 0, "members"), draw(240, 1, "control")
FEW = CONTROL.select(range(80))
CLEAN = released(draw(20, 2), range(20))


@pytest.fixture(scope="module")
def copying(tmp_path_factory):
    """Ten private images, published as they are."""
    folder = tmp_path_factory.mktemp("copying")
    return audit_finished(released(MEMBERS, range(10)), MEMBERS, CONTROL, store=folder)


@pytest.fixture(scope="module")
def leaking(tmp_path_factory):
    """Half of the members, too blurred to be copies to the eye."""
    other = draw(60, 3).inputs
    inputs = 0.75 * MEMBERS.inputs[:60] + 0.25 * other
    folder = tmp_path_factory.mktemp("leaking")
    blurred = SyntheticDataset(inputs, MEMBERS.labels[:60], MEMBERS.classes, name="blurred")
    return audit_finished(blurred, MEMBERS, CONTROL, store=folder)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return audit_finished(CLEAN, MEMBERS, CONTROL, store=tmp_path_factory.mktemp("clean"))


def test_ten_copied_images_are_caught_by_every_attack_with_near_certainty(copying):
    scores = calibrated_scores(
        LabeledDataset(
            torch.cat([MEMBERS.inputs[:10], CONTROL.inputs[120:]]),
            torch.cat([MEMBERS.labels[:10], CONTROL.labels[120:]]),
            MEMBERS.classes,
        ),
        [released(MEMBERS, range(10))],
        CONTROL.select(range(120)),
    )
    assert scores.shape == (1, len(names(SHAPE)), 130)
    for name, own in zip(names(SHAPE), scores[0].astype(np.float64), strict=True):
        area, _ = one_set.area(own[:10], own[10:])
        assert area.value > 0.99, name
    found = copying.evidence
    assert found.verdict.outcome == "signs" and "copies of private" in found.verdict.headline
    assert "10" not in found.verdict.headline, "the shared edition quotes it"
    assert any("10 private records" in reason for reason in found.verdict.reasons)
    assert (found.copies.of_members, found.copies.of_control) == (10, 0)
    assert all(n.closer.value == 1 for n in found.nearness)
    assert [n.expected for n in found.nearness] == [pytest.approx(1 / 3)] * 2


def test_one_copy_is_not_put_past_chance_and_not_passed(tmp_path):
    """Where the sides are alike, a single copied record is a member's every second time."""
    inputs = torch.cat([CLEAN.inputs[:19], MEMBERS.inputs[[5]]])
    one = replace(CLEAN, inputs=inputs)
    found = audit_finished(one, MEMBERS.select(range(80)), FEW, store=tmp_path).evidence
    assert (found.copies.of_members, found.copies.of_control) == (1, 0)
    assert found.copies.p_value == pytest.approx(0.5)
    assert found.verdict.outcome == "unclear" and "look at them" in found.verdict.headline


def test_copies_are_tested_with_sides_of_unequal_sizes():
    assert copies_p_value(0, 0, 100, 50) == 1.0
    assert copies_p_value(1, 0, 10, 990) == pytest.approx(0.01)
    assert copies_p_value(1, 0, 900, 100) == pytest.approx(0.9)
    members, control, of_members, of_control = 60, 30, 7, 1
    table = [[of_members, members - of_members], [of_control, control - of_control]]
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    assert copies_p_value(of_members, of_control, members, control) == pytest.approx(expected)


def test_what_is_no_copy_to_the_eye_is_caught_by_the_attacks(leaking):
    found = leaking.evidence
    assert found.copies.of_members == 0
    assert found.verdict.outcome == "signs" and "signs of its members" in found.verdict.headline
    assert max(a.auc.low for a in found.attacks) > 0.6


def test_a_set_that_tells_nothing_is_not_called_a_leak_and_not_passed(clean):
    found = clean.evidence
    assert found.verdict.outcome == "nothing-seen"
    assert "says little" in found.verdict.headline
    assert found.split.random and found.copies.of_members == 0
    assert all(a.planted_auc > 0.95 for a in found.attacks)
    assert any("repeats what made the set" in line for line in found.verdict.not_tested)


def brightened(data, share):
    return replace(data, inputs=(1 - share) * data.inputs + share)


def test_a_split_that_is_not_random_is_no_leak(tmp_path):
    """Pitfall: members and hold-out that differ for another reason than membership."""
    members = brightened(MEMBERS, 0.3)
    bright = replace(CLEAN, inputs=0.7 * CLEAN.inputs + 0.3)
    found = audit_finished(bright, members, CONTROL, store=tmp_path).evidence
    # The attacks tell the sides apart, though the set never saw a member.
    assert max(a.auc.low for a in found.attacks) > 0.9
    assert not found.split.random and max(found.split.auc.values()) > 0.9
    assert found.verdict.outcome == "unclear"
    assert gate(found, (0.01, 0.1))[0] == 3
    assert any("The split is not random" in reason for reason in found.verdict.reasons)


def test_other_shares_of_the_classes_are_no_random_split_either(tmp_path):
    rows = torch.cat([torch.arange(0, 240, 2), torch.arange(1, 60, 2)])
    found = audit_finished(CLEAN, MEMBERS, CONTROL.select(rows), store=tmp_path).evidence
    # 60 : 60 among the members; about four times as many of one class in the control.
    assert found.split.labels_p_value < 0.01 and not found.split.random
    assert found.verdict.outcome == "unclear"


def test_near_duplicates_across_the_split_are_left_out(tmp_path):
    """Pitfall: a copy of what both sides hold tells nothing of either."""
    noise = 0.5 * DUPLICATE * (2 * torch.rand(10, *SHAPE) - 1)
    twins = (MEMBERS.inputs[:10] + noise).clamp(0, 1)
    control = replace(FEW, inputs=torch.cat([twins, FEW.inputs[10:]]))
    release = released(MEMBERS, range(10))
    found = audit_finished(release, MEMBERS.select(range(80)), control, store=tmp_path).evidence
    assert found.copies.near_duplicates == (10, 10)
    assert found.copies.of_members == found.copies.of_control == 0
    assert found.verdict.outcome != "signs"


def test_copies_of_what_the_members_hold_twice_are_not_passed(tmp_path):
    """Records with a twin on their own side take no part in the test, and yet are seen."""
    members = MEMBERS.select([*range(80), *range(12)])
    made = replace(CLEAN, inputs=torch.cat([CLEAN.inputs[:8], MEMBERS.inputs[:12]]))
    found = audit_finished(made, members, FEW, store=tmp_path).evidence
    assert found.copies.near_duplicates == (24, 0) and found.copies.p_value == 1.0
    assert (found.copies.of_members, found.copies.of_control) == (24, 0)
    assert found.verdict.outcome == "unclear" and "look at them" in found.verdict.headline


def test_limits_can_be_broken_by_a_set_and_never_kept(leaking, clean, copying):
    code, (sentence,) = gate(leaking.evidence, (0.05, 0.1))
    assert code == 1 and "names at least" in sentence
    assert gate(clean.evidence, (0.99, 0.1))[0] == 3, "no upper end passes a finished set"
    code, (sentence,) = gate(clean.evidence, max_epsilon=100.0)
    assert code == 3 and "no guarantee is known" in sentence
    with pytest.raises(OptionError, match=r"no TPR at a false-positive rate of 0\.5"):
        gate(clean.evidence, (0.1, 0.5))


def test_a_test_suite_holds_it_to_limits(leaking, clean):
    with pytest.raises(AssertionError, match="does not hold") as caught:
        assert_private(leaking, max_tpr=0.05, at_fpr=0.1)
    assert not isinstance(caught.value, TooWeakError)
    with pytest.raises(TooWeakError, match="too weak to tell: TPR at most 5"):
        assert_private(clean.folder, max_tpr=0.05, at_fpr=0.1)
    with pytest.raises(unittest.SkipTest, match="too weak to tell"):
        assert_private(clean.evidence, max_tpr=0.05, at_fpr=0.1, allow_weak=True)
    with pytest.raises(AssertionError, match="does not hold"):
        assert_private(leaking, max_tpr=0.05, at_fpr=0.1, allow_weak=True)


def test_the_folder_holds_plan_evidence_and_cost_and_the_same_plan_gives_the_same_bytes(
    clean, tmp_path
):
    again = load(clean.folder)
    assert isinstance(again, SetAudit)
    assert again.evidence == clean.evidence and again.cost == clean.cost
    assert clean.folder.stat().st_mode & 0o077 == 0
    for name in ("one", "two"):
        audit_finished(CLEAN, MEMBERS.select(range(60)), FEW, store=tmp_path / name)
    one, two = ((tmp_path / name / "evidence.json").read_bytes() for name in ("one", "two"))
    assert one == two and str(tmp_path).encode() not in one
    with pytest.raises(StoreError, match="another plan"):
        audit_finished(CLEAN, MEMBERS, FEW, store=tmp_path / "one", seed=1)


def test_the_report_shows_the_figures_and_its_shared_edition_no_count(copying, tmp_path):
    page = report(copying.folder, tmp_path / "page.html").read_text()
    assert "Signs of a leak" in page and "holds 10 of the members" in page
    assert copying.evidence.plan_hash in page and "https://" not in page
    shared = report(copying, tmp_path / "shared.html", share=True).read_text()
    assert copying.evidence.plan_hash not in shared and "of the members and" not in shared
    assert "0.02" not in shared and "not resolvable" not in shared


def test_one_record_of_each_person_is_attacked(tmp_path):
    grouped = replace(MEMBERS, groups=torch.arange(120) // 4)
    found = audit_finished(CLEAN, grouped, FEW, store=tmp_path).evidence
    assert found.plan["attacked"] == {"members": 30, "control": 40}


def test_too_few_records_or_other_forms_are_refused_before_anything_is_written(tmp_path):
    store = tmp_path / "audit"
    with pytest.raises(DatasetError, match="120 members and 39 control records"):
        audit_finished(CLEAN, MEMBERS, CONTROL.select(range(39)), store=store)
    with pytest.raises(DatasetError, match="0 members and 0 control"):
        audit_finished(CLEAN, MEMBERS, replace(CONTROL, **vars(MEMBERS)), store=store)
    other = replace(CLEAN, inputs=CLEAN.inputs[..., :6])
    with pytest.raises(DatasetError, match=r"the set has records of shape \(1, 8, 6\)"):
        audit_finished(other, MEMBERS, CONTROL, store=store)
    assert not store.exists()


def test_damaged_evidence_is_named_in_one_line(clean, tmp_path):
    evidence = json.loads((clean.folder / "evidence.json").read_text())
    del evidence["split"]
    (tmp_path / "evidence.json").write_text(json.dumps(evidence))
    with pytest.raises(StoreError, match="damaged or of another version") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="damaged or of another version"):
        report(tmp_path, tmp_path / "page.html")
