"""Signals that were measured elsewhere: checked, judged, and never more believed than they say."""

import math
import re

import numpy as np
import pytest

from limbeck.audit.from_signals import audit_signals
from limbeck.audit.given_signals import Signals
from limbeck.audit.inference.checks import control_signals
from limbeck.audit.result import Audit
from limbeck.errors import LimbeckError, OptionError, StoreError
from limbeck.report import report

RUNS, RECORDS = 16, 120


def made(shift=0.0, seed=0, strangers=20, records=RECORDS):
    """Signals of a Gaussian mechanism with each record its own coordinate."""
    g = np.random.default_rng(seed)
    membership = g.random((RUNS, records)) < 0.5
    membership = np.pad(membership, ((0, 0), (0, strangers)))
    return {
        "signals": control_signals(membership, shift, 2, seed=seed),
        "membership": membership,
        "population": np.arange(records + strangers) >= records,
    }


@pytest.fixture
def save(tmp_path):
    def written(**arrays):
        np.savez(tmp_path / "scores.npz", **arrays)
        return tmp_path / "scores.npz"

    return written


def test_a_leak_is_found_and_what_is_not_known_is_absent(save, tmp_path):
    records = 160  # some 1,280 that are out: enough to speak of a rate at 1%
    done = audit_signals(Signals.load(save(**made(3.0, records=records))), store=tmp_path / "audit")
    assert done.evidence.verdict.outcome == "leak"
    subject = done.subject
    # The mean of two views shifted by 3 in all is a shift by 3: the best area is Phi(3 / sqrt 2).
    lira = subject.attack("lira", group="ordinary").auc
    assert lira.low < 0.983 < lira.high + 0.01
    assert subject.attack("rmia", group="ordinary").auc.low > 0.9
    assert subject.epsilon_lower.value > 1
    written = (tmp_path / "audit" / "evidence.json").read_text()
    assert '"utility": {\n' in written and math.isnan(subject.utility.value)
    assert subject.holds_real_records is None and subject.recipe == {}
    assert done.evidence.plan["roles"] == {"ordinary": records, "population": 20}
    assert any("measured elsewhere" in line for line in done.evidence.verdict.not_tested)
    assert Audit.load(tmp_path / "audit").evidence == done.evidence
    page = report(tmp_path / "audit", tmp_path / "page.html").read_text()
    assert (
        "Records recognised, at 1% false alarms" in page
        and "Planted records recognised" not in page
    )
    assert "runs that were made elsewhere" in page
    assert "not measured" in page and "not known" in page and not re.search(r"\bnan\b", page)


def test_signals_without_a_leak_are_no_leak(tmp_path):
    done = audit_signals(Signals(**made(0.0)), store=tmp_path)
    assert done.evidence.verdict.outcome != "leak"
    area = done.subject.attack("lira", group="ordinary").auc
    assert area.low < 0.5 < area.high


def test_the_same_signals_give_the_same_bytes_and_others_another_plan(tmp_path):
    for name in ("a", "b"):
        audit_signals(Signals(**made()), store=tmp_path / name)
    one, two = ((tmp_path / name / "evidence.json").read_bytes() for name in ("a", "b"))
    assert one == two
    with pytest.raises(StoreError, match="another plan"):
        audit_signals(Signals(**made(seed=1)), store=tmp_path / "a")
    with pytest.raises(StoreError, match="another plan"):
        audit_signals(Signals(**made()), store=tmp_path / "a", attacks=["rmia-offline"])
    audit_signals(Signals(**made(seed=1)), store=tmp_path / "a", overwrite=True)


def test_without_population_no_attack_needs_one(tmp_path):
    given = made(3.0, strangers=0)
    del given["population"]
    done = audit_signals(Signals(**given), store=tmp_path)
    assert {a.name for a in done.subject.attacks} >= {"lira", "loss-threshold"}


def test_records_of_one_person_share_their_coins(save):
    given = made(strangers=0)
    del given["population"]
    given = {
        "signals": np.repeat(given["signals"], 2, axis=2),
        "membership": np.repeat(given["membership"], 2, axis=1),
    }
    groups = np.repeat([f"person {i}" for i in range(RECORDS)], 2)
    read = Signals.load(save(**given, groups=groups))
    assert read.shadows(0).clusters("ordinary").count == RECORDS


def test_numbers_of_other_types_are_read_as_what_they_are(save):
    given = made()
    read = Signals.load(
        save(
            signals=given["signals"].astype(np.float64),
            membership=given["membership"].astype(np.uint8),
            population=given["population"].astype(float),
        )
    )
    assert read.signals.dtype == np.float32 and np.array_equal(read.signals, given["signals"])
    assert read.membership.dtype == read.strangers.dtype == bool


def spoilt(name):
    given = made()
    signals, membership, population = (given[k] for k in ("signals", "membership", "population"))
    holed = signals.copy()
    holed[3, 1, 7] = np.nan
    inside = membership.copy()
    inside[2, RECORDS + 4] = True
    unfair = np.random.default_rng(0).random(membership.shape) < 0.7
    unfair[:, RECORDS:] = False
    return {
        "NaN": {**given, "signals": holed},
        "too large": {**given, "signals": np.where(signals > 2, 1e300, signals.astype(float))},
        "flat": {**given, "signals": signals[0]},
        "words": {**given, "signals": np.full(signals.shape, "a")},
        "objects": {**given, "signals": signals.astype(object)},
        "no membership": {"signals": signals},
        "few coins": {**given, "membership": membership[:, :5]},
        "chances": {**given, "membership": membership * 0.5},
        "unfair": {**given, "membership": unfair},
        "population": {**given, "population": population[:3]},
        "stranger": {**given, "membership": inside},
        "groups": {**given, "groups": np.arange(3)},
        "apart": {**given, "groups": np.arange(RECORDS + 20) // 2},
        "labels": {**given, "labels": np.arange(3)},
        "no label": {**given, "labels": np.full(RECORDS + 20, np.nan)},
        "answers": {**given, "softmax": np.ones((RUNS, 3, 4))},
        "logits": {**given, "softmax": np.stack([signals[:, 0], -signals[:, 0]], axis=2)},
        "few runs": {**given, "signals": signals[:3], "membership": membership[:3]},
    }[name]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NaN", r"1 values that are not finite, the first at run 3, view 1, record 7"),
        ("too large", "not finite"),
        ("flat", r"need \(runs, views, records\)"),
        ("words", "give real numbers"),
        ("objects", "Python objects, which are never loaded"),
        ("no membership", "lacks 'membership'"),
        ("few coins", r"membership has shape \(16, 5\).* need \(16, 140\)"),
        ("chances", "must be True or False"),
        ("unfair", "70% True, and not by the throw of a fair coin"),
        ("population", r"population has shape \(3,\).* need \(140,\)"),
        ("stranger", "names record 124, which membership has in a run"),
        ("groups", r"groups has shape \(3,\)"),
        ("apart", r"put records 0 and 1 into one group .* not in the same runs"),
        ("labels", r"labels has shape \(3,\)"),
        ("no label", r"labels of shape \(140,\) hold NaN"),
        ("answers", r"softmax has shape \(16, 3, 4\).* need \(16, 140, 4\)"),
        ("logits", r"softmax of shape \(16, 140, 2\) is not made of probabilities: 100% of its"),
        ("few runs", "at least 4 runs"),
    ],
)
def test_what_is_amiss_is_told_in_one_line(save, name, said):
    with pytest.raises(LimbeckError, match=said) as caught:
        Signals.load(save(**spoilt(name)))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_archive(tmp_path):
    with pytest.raises(OptionError, match="no such file"):
        Signals.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("signals")
    with pytest.raises(LimbeckError, match=r"no \.npz archive"):
        Signals.load(tmp_path / "text.npz")


def test_fair_coins_are_hardly_ever_refused(unchecked):
    for seed in range(200):
        given = made(seed=seed)
        Signals(given["signals"][:, :1], given["membership"], given["population"])


def test_further_attacks_are_tried_beside_the_standard_ones(save, tmp_path):
    given = made(3.0)
    labels = np.arange(RECORDS + 20) % 2
    margins = given["signals"].mean(1)
    answers = 1 / (1 + np.exp(np.stack([margins, -margins], axis=2)))
    read = Signals.load(save(**given, labels=labels, softmax=answers))
    done = audit_signals(read, store=tmp_path / "a", attacks=["shokri-logistic", "rmia-offline"])
    found = {a.name: a for a in done.subject.attacks}
    assert {"lira", "rmia", "shokri-logistic", "rmia-offline"} <= set(found)
    assert found["shokri-logistic"].signal == "softmax"
    assert not found["shokri-logistic"].reads_images
    # Both views leak alike, and a threshold on their mean is what one feature allows.
    assert found["shokri-logistic"].auc.low > 0.9
    with pytest.raises(OptionError, match="attack shokri reads more than signals of shape"):
        audit_signals(Signals.load(save(**given)), store=tmp_path / "b", attacks=["shokri"])
    with pytest.raises(OptionError, match="no attack is called 'mira'; there are: all, loss"):
        audit_signals(read, store=tmp_path / "b", attacks=["mira"])
    assert not (tmp_path / "b").exists()


def test_coins_that_are_nearly_balanced_get_no_bound(tmp_path):
    given = made(3.0)
    inside = np.argsort(np.random.default_rng(2).random((RUNS, RECORDS)), axis=0) < RUNS // 2
    inside[0, :3] ^= True
    given["membership"][:, :RECORDS] = inside
    subject = audit_signals(Signals(**given), store=tmp_path).subject
    assert math.isnan(subject.epsilon_lower.value)
    assert "balanced-membership" in {flag.name for flag in subject.flags}
