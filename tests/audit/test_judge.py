"""From signals to evidence, verdict and gate, on mechanisms whose leak is known."""

import dataclasses
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from limbeck.audit import evidence
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.gate import gate
from limbeck.audit.inference.checks import control_signals
from limbeck.audit.inference.judge import judge, too_balanced
from limbeck.audit.inference.roc import Trials, carried_over
from limbeck.audit.inference.shadows import Shadows
from limbeck.audit.inference.verdict import attack_title, verdict
from limbeck.errors import OptionError
from limbeck.privacy.gaussian import mu_of
from limbeck.types import Estimate, Event, Guarantee

# The two audits that the module shares are made with shapes checked, before this takes effect.
pytestmark = pytest.mark.usefixtures("unchecked")
ACCURACY = Estimate(0.8, 0.79, 0.81, 4)


def shadows(shift, runs=20, canaries=120, ordinary=60, seed=0, leak=True, **changes):
    g = np.random.default_rng(seed)
    groups = np.repeat(["canary", "ordinary", "control"], [canaries, ordinary, 10])
    membership = g.random((runs, len(groups))) < 0.5
    membership[:, groups == "control"] = False
    signals = g.standard_normal((runs, 2, 2, len(groups))) + 2 * g.standard_normal(len(groups))
    signals += shift * (membership & (groups == "canary"))[:, None, None]
    inside = membership[:, groups == "canary"]
    planted = mu_of(4.0, 1e-5) if leak else 0.0
    values = {
        "signals": signals.astype(np.float32),
        "membership": membership,
        "groups": groups,
        "halves": np.arange(runs) % 2 == 1,
        "control": control_signals(inside, planted, 2, seed=seed),
    }
    return Shadows(**{**values, **changes})


def judged(seen, **changes):
    values = {
        "title": "DM, 10 images per class",
        "role": "subject",
        "recipe": {"method": "dm"},
        "holds_real_records": False,
        "guarantee": None,
        "utility": ACCURACY,
        "utility_with_canaries": ACCURACY,
        "seed": 0,
    }
    return judge(seen, **{**values, **changes})


@pytest.fixture(scope="module")
def quiet():
    return judged(shadows(0.0))


@pytest.fixture(scope="module")
def leaky():
    return judged(shadows(3.0))


def as_evidence(subject):
    return evidence.Evidence(
        plan_hash="0",
        plan={},
        dataset={},
        subjects=(subject,),
        verdict=verdict((subject,)),
        versions={},
    )


def names(subject, severity="warning"):
    return {flag.name for flag in subject.flags if flag.severity == severity}


def test_no_leak_gives_none_found_without_the_word_safe(quiet):
    found = verdict((quiet,))
    assert found.outcome == "none-found"
    assert "safe" not in found.headline.lower()
    assert "an attacker who holds the release" in found.headline
    assert names(quiet) == set()
    assert names(quiet, "information") >= {"no-guarantee"}
    assert quiet.epsilon_lower.value == 0
    assert 0.01 < quiet.detectable_tpr < 0.1
    assert found.not_tested


def test_a_leak_is_found_on_the_canaries_alone(leaky):
    assert verdict((leaky,)).outcome == "leak"
    assert leaky.attack("lira").auc.low > 0.9
    ordinary = leaky.attack("lira", group="ordinary").auc
    assert ordinary.low < 0.5 < ordinary.high
    assert leaky.epsilon_lower.low > 1
    assert math.isnan(leaky.epsilon_lower.high)


def test_a_leak_of_ordinary_records_alone_names_what_gives_it_away():
    seen = shadows(0.0)
    members = seen.membership & (seen.groups == "ordinary")
    signals = seen.signals + 1.5 * members[:, None, None]
    found = verdict((judged(replace(seen, signals=signals.astype(np.float32))),))
    assert found.outcome == "leak"
    assert "on ordinary records, AUC 0.9" in found.reasons[0]
    assert "at most 0.01% of such audits" in found.reasons[0]
    assert "on canary records" in found.reasons[1], "the canaries are told beside it"


def test_every_attack_signal_and_group_is_listed_once(quiet):
    listed = [(a.name, a.signal, a.group) for a in quiet.attacks]
    assert len(listed) == len(set(listed)) == 12
    assert ("loss-threshold", "hinge", "canary") not in listed


def relabelled(shift, seed=4):
    """Mislabelled canaries whose membership shows under their true labels alone, by ``shift``."""
    plain = shadows(0.0, seed=seed)
    canary = plain.groups == "canary"
    members = plain.membership[:, canary]
    g = np.random.default_rng(seed + 1)
    true = g.standard_normal((20, 2, 2, 120)) + shift * members[:, None, None]
    return dataclasses.replace(
        plain,
        signals=np.concatenate([plain.signals, true.astype(np.float32)], axis=3),
        membership=np.concatenate([plain.membership, members], axis=1),
        groups=np.append(plain.groups, np.repeat("canary-true", 120)),
    )


@pytest.mark.parametrize("shift", [3.0, -3.0])
def test_a_leak_under_the_true_label_alone_is_not_passed(shift):
    """A copied image raises the true label's signal, a learnt wrong label lowers it."""
    subject = judged(relabelled(shift))
    hidden = subject.attack("lira").auc
    assert hidden.low < 0.5 < hidden.high
    assert subject.attack("lira-true-label").auc.low > 0.9
    assert subject.epsilon_lower.low > 1
    assert verdict((subject,)).outcome == "leak"
    assert "LiRA, under the true labels on" in verdict((subject,)).reasons[0]
    assert gate(as_evidence(subject), (0.1, 0.01))[0] == 1


def test_without_a_leak_the_true_labels_add_rows_and_no_alarm(quiet):
    subject = judged(relabelled(0.0))
    added = {a.name for a in subject.attacks} - {a.name for a in quiet.attacks}
    # Attacks that know one direction only would be of no use there.
    assert added == {"lira-true-label"}
    assert verdict((subject,)).outcome == "none-found"


def test_entropy_and_classes_are_read_where_they_are_known():
    plain = shadows(0.0)
    signals = np.concatenate([plain.signals, plain.signals[:, :, :1]], axis=2)
    subject = judged(dataclasses.replace(plain, signals=signals, labels=np.arange(190) % 3))
    rows = {(a.name, a.signal) for a in subject.attacks}
    assert ("entropy-threshold-per-class", "entropy") in rows
    assert not any(signal == "entropy" for name, signal in rows if name.startswith("lira"))


def test_no_number_is_nan_but_those_that_mean_nothing(leaky):
    for attack in leaky.attacks:
        rates = [attack.auc, attack.balanced_accuracy, attack.advantage]
        rates += [rate for p in attack.operating for rate in (p.tpr, p.realised_fpr)]
        assert all(0 <= p.least < 1 for p in attack.operating)
        for rate in rates:
            assert -1 <= rate.low <= rate.value <= rate.high <= 1
            assert rate.low < rate.high
        assert np.isfinite([attack.curve.tpr, attack.curve.low, attack.curve.high]).all()
        assert 0 <= attack.p_value <= 1


def test_same_arguments_same_bytes(leaky):
    again = judged(shadows(3.0))
    assert again.model_dump_json() == leaky.model_dump_json()
    assert evidence.Subject.model_validate_json(leaky.model_dump_json()).flags == leaky.flags


@pytest.mark.parametrize(
    ("seen", "changes", "flag"),
    [
        ({"runs": 12, "canaries": 200}, {}, "few-runs"),
        ({"canaries": 40}, {}, "few-false-positives"),
        ({"leak": False}, {}, "control-not-found"),
        ({}, {"target_utility": 0.7}, "target-unlike-shadows"),
    ],
)
def test_each_warning_has_its_cause_and_downgrades_nothing_found(seen, changes, flag):
    subject = judged(shadows(0.0, **seen), **changes)
    assert flag in names(subject)
    assert verdict((subject,)).outcome == "unclear"


def test_a_release_like_its_shadows_raises_nothing(quiet):
    alike = judged(shadows(0.0), target_utility=0.81)
    assert alike.flags == quiet.flags


def test_canaries_not_learnt_is_information_and_no_downgrade(quiet):
    low = shadows(0.0)
    unlearnt = judged(shadows(0.0, signals=(low.signals - 20).astype(np.float32)))
    assert "canaries-not-learnt" in names(unlearnt, "information")
    assert verdict((unlearnt,)).outcome == "none-found"
    learnt = judged(shadows(0.0, signals=(low.signals + 20).astype(np.float32)))
    assert "canaries-not-learnt" not in names(learnt, "information")


def test_too_balanced_coins_get_a_warning_and_no_bound():
    g = np.random.default_rng(1)
    balanced = np.argsort(g.random((20, 190)), axis=0) < 10
    assert too_balanced(balanced) and too_balanced(balanced.T)
    nearly = balanced.copy()
    nearly[0, :60] ^= True
    assert too_balanced(nearly) and not too_balanced(g.random((20, 190)) < 0.5)
    assert not too_balanced(balanced[:, :5]), "too few records to tell"
    balanced[:, 180:] = False  # the control records
    claim = Guarantee(0.1, 1e-5, events=(Event("sums", "gaussian", 1.0, 3.0),))
    subject = judged(shadows(0.0, membership=balanced), guarantee=claim)
    assert "balanced-membership" in names(subject)
    assert math.isnan(subject.epsilon_lower.value)
    code, (sentence,) = gate(as_evidence(subject), max_epsilon=1.0)
    assert code == 0 and "were not held against it" in sentence, "nothing was put to the test"


def test_a_refuted_guarantee_is_a_leak_and_fails_the_gate():
    claim = Guarantee(0.1, 1e-5, events=(Event("sums", "gaussian", 1.0, 3.0),))
    subject = judged(shadows(3.0), guarantee=claim)
    assert "guarantee-contradicted" in names(subject)
    assert "claimed guarantee" in verdict((subject,)).headline
    assert gate(as_evidence(subject), max_epsilon=1.0)[0] == 1
    kept = judged(shadows(0.0), guarantee=claim)
    assert "guarantee-contradicted" not in names(kept)
    code, (sentence,) = gate(as_evidence(kept), max_epsilon=1.0)
    assert code == 0 and "do not refute it" in sentence
    assert gate(as_evidence(kept), max_epsilon=0.05)[0] == 1


def test_a_small_lower_bound_never_passes_a_gate(quiet):
    code, (sentence,) = gate(as_evidence(quiet), max_epsilon=100.0)
    assert quiet.epsilon_lower.value == 0
    assert code == 1
    assert "no guarantee" in sentence


def test_tpr_gate_asks_for_the_upper_end_and_the_control(quiet, leaky):
    assert gate(as_evidence(quiet), (0.1, 0.01))[0] == 0
    upper = max(a.operating[1].tpr.high for a in quiet.attacks if a.group == "canary")
    assert gate(as_evidence(quiet), (upper, 0.01))[0] == 3
    assert gate(as_evidence(quiet), (0.1, 0.001))[0] == 3  # not resolvable
    assert gate(as_evidence(leaky), (0.1, 0.01))[0] == 1
    unseen = judged(shadows(0.0, leak=False))
    code, (sentence,) = gate(as_evidence(unseen), (0.1, 0.01))
    assert code == 3
    assert "was not found" in sentence
    assert gate(as_evidence(quiet)) == (0, ())
    assert gate(as_evidence(quiet), (0.1, 0.01), 1.0)[0] == 1
    with pytest.raises(OptionError, match=r"there are: 0\.001, 0\.01, 0\.1"):
        gate(as_evidence(quiet), (0.1, 0.02))


def test_a_failed_null_test_leaves_everything_unclear(leaky):
    failed = leaky.null_test.model_copy(update={"passed": False})
    assert verdict((leaky.model_copy(update={"null_test": failed}),)).outcome == "unclear"


def with_resolvable(subject, *fprs):
    """The subject, had the trials resolved just these nominal rates."""
    attacks = tuple(
        attack.model_copy(
            update={
                "operating": tuple(
                    point.model_copy(update={"resolvable": point.nominal_fpr in fprs})
                    for point in attack.operating
                )
            }
        )
        for attack in subject.attacks
    )
    return subject.model_copy(update={"attacks": attacks})


def test_a_limit_fails_by_the_lower_ends_of_all_attacks_together(quiet, leaky):
    found = [a.operating[1] for a in leaky.attacks if a.group == "canary"]
    assert all(p.resolvable and p.least < p.tpr.low for p in found)
    (attack, *others) = quiet.attacks
    tenth, hundredth, thousandth = attack.operating
    lucky = hundredth.model_copy(
        update={"tpr": evidence.Estimate(value=0.2, low=0.12, high=0.3), "least": 0.08}
    )

    def with_point(point):
        changed = attack.model_copy(update={"operating": (tenth, point, thousandth)})
        return as_evidence(quiet.model_copy(update={"attacks": (changed, *others)}))

    assert gate(with_point(lucky), (0.1, 0.01))[0] == 3
    assert gate(with_point(lucky.model_copy(update={"least": 0.11})), (0.1, 0.01))[0] == 1
    # Evidence that was written before there were such ends is read by what it has.
    assert gate(with_point(lucky.model_copy(update={"least": math.nan})), (0.1, 0.01))[0] == 1


def test_a_true_guarantee_does_not_fail_by_the_printed_bound(quiet):
    """The bound at 95% exceeds the truth once in twenty audits, a refutation once in a thousand."""
    told = {
        "guarantee": {"epsilon": 1.0},
        "epsilon_lower": evidence.Estimate(value=1.2, low=1.2),
        "claim": evidence.Claim(epsilon=1.0, refuted=False, sentence="not refuted"),
    }
    assert gate(as_evidence(quiet.model_copy(update=told)), max_epsilon=1.0)[0] == 0
    refuted = {**told, "claim": told["claim"].model_copy(update={"refuted": True})}
    assert gate(as_evidence(quiet.model_copy(update=refuted)), max_epsilon=1.0)[0] == 1
    untested = quiet.model_copy(update={**told, "claim": None})
    code, (sentence,) = gate(as_evidence(untested), max_epsilon=1.0)
    assert code == 3 and "at least 1.2" in sentence
    unknown = quiet.model_copy(update={"recipe": {}, "epsilon_lower": told["epsilon_lower"]})
    assert gate(as_evidence(unknown), max_epsilon=1.0)[0] == 1
    assert gate(as_evidence(unknown), max_epsilon=2.0)[0] == 3


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"releases": [{}, {}, {}]}, r"the accountant says 1\.001 for the sum of 3 releases"),
        ({"about": {"whole": False}, "epsilon": 0.5}, "nothing is claimed of all the data"),
        ({"epsilon": None}, "the accountant says inf"),
    ],
)
def test_the_limit_on_epsilon_is_about_all_that_is_claimed(quiet, stated, said):
    claim = {"epsilon": 1.00049, **stated}
    code, (sentence,) = gate(as_evidence(quiet.model_copy(update={"guarantee": claim})), None, 1.0)
    assert code == 1 and re.search(said, sentence)


def test_no_tpr_is_quoted_where_the_trials_resolve_none(leaky):
    def quoted(*fprs):
        return verdict((with_resolvable(leaky, *fprs),)).reasons[0]

    best = max((a for a in leaky.attacks if a.group == "canary"), key=lambda a: a.auc.value)
    at = {p.nominal_fpr: f"{p.tpr.value:.1%} of the members" for p in best.operating}
    assert len(set(at.values())) == 3
    assert at[0.01] in quoted(0.1, 0.01) and "cannot" not in quoted(0.1, 0.01)
    assert at[0.1] in quoted(0.1) and "while 1% false alarms cannot be resolved" in quoted(0.1)
    assert quoted().endswith("; 1% false alarms cannot be resolved.")
    assert quoted(0.001) == quoted()  # a lower rate is no stand-in


def test_a_limit_that_an_unresolvable_tpr_breaks_quotes_none(leaky):
    code, (sentence,) = gate(as_evidence(with_resolvable(leaky)), (0.1, 0.01))
    assert code == 1
    assert sentence.count("%") == 2  # those of the limit itself
    assert "cannot resolve by how much" in sentence


def test_attacks_and_figures_are_readable(leaky):
    named = {
        "loss-threshold": "(loss threshold on",
        "lira": "(LiRA on",
        "lira-offline": "(LiRA, offline on",
        "mine": "(mine on",
    }
    for name, said in named.items():
        attack = leaky.attack("lira").model_copy(update={"name": name})
        low, value, high = attack.auc.low, attack.auc.value, attack.auc.high
        reason = verdict((leaky.model_copy(update={"attacks": (attack,)}),)).reasons[0]
        assert said in reason
        assert f"AUC {value:.3f} [{low:.3f}, {high:.3f}];" in reason


def test_every_variant_of_lira_has_a_readable_name(leaky):
    for online in (True, False):
        for variance in ("auto", "pooled", "per-record"):
            name = LiRA(online=online, variance=variance).title
            attack = leaky.attack("lira").model_copy(update={"name": name})
            assert attack_title(attack).startswith("LiRA")


def test_company_is_mentioned(quiet, leaky):
    company = leaky.model_copy(update={"title": "random subset", "role": "random-subset"})
    assert any("random subset" in reason for reason in verdict((quiet, company)).reasons)


def test_ordinary_records_stand_in_where_there_is_no_canary():
    seen = shadows(0.0)
    only = np.where(seen.groups == "canary", "ordinary", "always")
    subject = judged(dataclasses.replace(seen, groups=only))
    assert {a.group for a in subject.attacks} == {"ordinary"}
    assert subject.positive_control.passed
    assert "canaries-not-learnt" not in names(subject, "information")


def test_shadows_that_do_not_fit_are_refused_in_one_line():
    with pytest.raises(OptionError, match=r"halves has shape \(19,\)"):
        shadows(0.0, halves=np.zeros(19, dtype=bool))
    with pytest.raises(OptionError, match="control has shape"):
        shadows(0.0, control=np.zeros((20, 2, 7), dtype=np.float32))
    with pytest.raises(OptionError, match="is a canary or ordinary"):
        shadows(0.0, groups=np.full(190, "control"))
    with pytest.raises(OptionError, match="control record is a member"):
        shadows(0.0, membership=np.ones((20, 190), dtype=bool))
    again = relabelled(0.0)
    with pytest.raises(OptionError, match="120 canaries and 120 under their true labels"):
        dataclasses.replace(again, membership=again.membership & (np.arange(310) < 300))
    with pytest.raises(OptionError, match="the units are wrong"):
        shadows(0.0, units=np.zeros(190, dtype=int))
    with pytest.raises(OptionError, match="4 kinds"):
        shadows(0.0, signals=np.zeros((20, 2, 4, 190), dtype=np.float32))


def test_images_that_give_members_away_are_a_leak_of_their_own():
    seen = shadows(0.0)
    g = np.random.default_rng(5)
    inside = seen.membership[:, seen.groups != "control"]
    images = g.standard_normal((20, 2, inside.shape[1]))
    kinds = ("nearest-l2", "tracing")
    blind = replace(seen, images=images.astype(np.float32), image_kinds=kinds)
    assert verdict((judged(blind),)).outcome == "none-found"
    images[:, 1] += 3 * inside
    subject = judged(replace(blind, images=images.astype(np.float32)))
    found = verdict((subject,))
    assert found.outcome == "leak"
    assert "LiRA on the traces in the images" in found.reasons[0]
    assert subject.attack("lira", "tracing").auc.low > 0.9
    assert subject.attack("lira", "nearest-l2").auc.low < 0.55
    assert subject.epsilon_lower.low > 1, "the bound may choose what the images say"
    named = "attacks on the released images alone"
    assert not any(named in item for item in found.not_tested)
    assert any(named in item for item in verdict((judged(seen),)).not_tested)
    with pytest.raises(OptionError, match=r"images has shape \(20, 2, 3\).*need \(20, 2, 180\)"):
        replace(blind, images=images[:, :, :3].astype(np.float32))


def test_precision_falls_with_the_share_of_members(leaky):
    values = [p.value.value for p in leaky.precision]
    assert [p.prior for p in leaky.precision] == [0.5, 0.1, 0.01]
    first = leaky.precision[0]
    point = leaky.attack(first.attack, first.signal).operating[1]
    assert first.nominal_fpr == point.nominal_fpr == 0.01
    tpr, fpr = point.tpr.value, point.realised_fpr.value
    assert values == pytest.approx([tpr * p / (tpr * p + fpr * (1 - p)) for p in (0.5, 0.1, 0.01)])


def test_all_classifiers_together_see_what_each_sees_a_little_of():
    seen = shadows(0.7)
    g = np.random.default_rng(6)
    judged_records = seen.groups != "control"
    inside = seen.membership[:, judged_records] & (seen.groups == "canary")[judged_records]
    # On scales of their own, as those of other classifiers are.
    images = np.array([100.0, 0.01])[:, None] * (
        g.standard_normal((20, 2, inside.shape[1])) + 0.7 * inside[:, None]
    )
    kinds = ("kernel-ridge", "retrained")
    subject = judged(replace(seen, images=images.astype(np.float32), image_kinds=kinds))
    alone = [subject.attack("lira", kind).auc.value for kind in ("margin", *kinds)]
    together = subject.attack("lira", "ensemble").auc.value
    # Four independent looks at 0.7 each (two views) are one at 1.4: Phi(1.4 / sqrt 2) = 0.84,
    # less what the estimated means and variances cost.
    assert together > max(alone) + 0.03 and together > 0.76


def test_a_threshold_that_does_not_carry_over_is_a_warning():
    g = np.random.default_rng(8)
    scores, inside = g.standard_normal((20, 400)), g.random((20, 400)) < 0.5
    halves = np.arange(20) % 2 == 1
    steady, expected = carried_over(Trials(scores, inside), halves, 0.01)
    assert 0.005 < steady < 0.02
    assert expected == pytest.approx(0.01 * 2000, rel=0.05)
    shifted, _ = carried_over(Trials(scores + 2.0 * halves[:, None], inside), halves, 0.01)
    # P(N(2, 1) > 2.33) = 0.37
    assert shifted == pytest.approx(0.37, abs=0.05)


def test_an_audit_whose_halves_differ_says_so(quiet):
    assert "unstable-threshold" not in names(quiet)
    seen = shadows(0.0, canaries=300)
    assert "unstable-threshold" not in names(judged(seen))
    late = np.arange(20) % 2 == 1
    noise = np.random.default_rng(0).standard_normal(seen.signals.shape)
    wild = seen.signals + 5 * noise * late[:, None, None, None]
    found = judged(replace(seen, signals=wild.astype(np.float32)))
    assert "unstable-threshold" in names(found)
    assert verdict((found,)).outcome != "none-found"


def test_a_claim_that_the_runs_cannot_test_is_told():
    claim = Guarantee(1.0, 1e-5, adjacency="replace-one", mu=0.3)
    subject = judged(shadows(0.0), guarantee=claim)
    assert "guarantee-not-tested" in names(subject, "information")
    tested = judged(shadows(0.0), guarantee=Guarantee(1.0, 1e-5, mu=0.3))
    assert "guarantee-not-tested" not in names(tested, "information")
