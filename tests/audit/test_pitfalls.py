"""Mistakes that other audits make, one test for each, named after it.

Each property also has its fuller tests beside the code; these are the short form, which fails
when the mistake is made here.
"""

import math
import weakref

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score

from limbeck.audit import evidence, plan, prepare, shadow
from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.lira import LiRA, lira
from limbeck.audit.attacks.loss_threshold import LossThreshold
from limbeck.audit.attacks.rmia import rmia
from limbeck.audit.attacks.shokri import decided
from limbeck.audit.gate import FAILS, gate
from limbeck.audit.images.copying import distinct
from limbeck.audit.inference import roc
from limbeck.audit.inference.checks import control_signals
from limbeck.audit.inference.epsilon import epsilon_lower_bound, one_run_p_value
from limbeck.audit.inference.intervals import Clusters, clopper_pearson
from limbeck.audit.inference.judge import judge, too_balanced
from limbeck.audit.inference.record_risk import shrunk
from limbeck.audit.inference.set_verdict import set_verdict
from limbeck.audit.inference.shadows import Shadows
from limbeck.audit.inference.verdict import verdict
from limbeck.audit.presets import Preset
from limbeck.audit.set_evidence import Copies, SetAttack, Split
from limbeck.audit.store import Store
from limbeck.audit.views import View
from limbeck.cli.audit_options import Limits
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.mechanism.base import Mechanism, Release
from limbeck.mechanism.pipeline import Pipeline
from limbeck.privacy.gaussian import mu_of
from limbeck.synthesize.select.random_subset import RandomSubset
from limbeck.train.base import Classifier
from limbeck.train.kernel_ridge import KernelRidge
from limbeck.types import Estimate

pytestmark = pytest.mark.usefixtures("unchecked")


def draw(seed, shift, runs=16, records=60, spread=0.0):
    g = np.random.default_rng(seed)
    membership = g.random((runs, records)) < 0.5
    signals = g.standard_normal((runs, 1, records)) + shift * membership[:, None]
    return Observed((signals + spread * g.standard_normal(records)).astype(np.float32), membership)


# Statistics


def test_an_epsilon_bound_maximised_over_thresholds_on_the_same_scores():
    """On null data the bound is positive in 5% of the cases; maximised it would be far oftener."""
    halves, ours, careless, repetitions = np.arange(16) % 2 == 1, 0, 0, 60
    for seed in range(repetitions):
        seen = draw(seed, 0.0)
        bound = epsilon_lower_bound(
            [(LossThreshold(), seen)], halves, Clusters.separate(60), delta=1e-5
        )
        ours += bound.low > 0
        ranked = seen.membership.ravel()[np.argsort(-seen.signals[:, 0], axis=None)]
        careless += any(
            one_run_p_value(960, r, int(ranked[:r].sum()), 0.0, 1e-5) < 0.05
            for r in range(20, 960, 40)
        )
    assert ours <= stats.binom.ppf(0.999, repetitions, 0.05)
    assert careless > 0.15 * repetitions


def test_a_tpr_that_rests_on_a_handful_of_false_positives_says_so():
    seen = draw(1, 3.0, runs=32, records=500)
    point = roc.operating(roc.Trials(seen.signals[:, 0].astype(float), seen.membership))[2]
    assert point.nominal_fpr == 0.001 and not point.resolvable
    assert point.false_positives <= 20 < 7_000 < point.negatives
    assert point.realised_fpr.low < 0.0007 and point.realised_fpr.high > 0.0013


def test_scores_of_one_record_across_runs_are_not_independent_trials():
    """Easy records are hits in every run: the interval is clustered by record (and by run)."""
    g = np.random.default_rng(20)
    member = g.random((32, 40)) < 0.5
    for effect in (g.standard_normal(40), g.standard_normal((32, 1))):
        trials = roc.Trials(g.standard_normal((32, 40)) + 3 * effect, member)
        tpr = roc.operating(trials)[0].tpr
        naive = clopper_pearson(tpr.value * tpr.trials, float(tpr.trials))
        assert tpr.high - tpr.low > 1.5 * (naive[1] - naive[0])


def test_a_threshold_chosen_on_the_scores_that_it_is_judged_on():
    seen = draw(2, 1.0)
    scores = seen.signals[:, 0].astype(float)
    before = roc.Trials(scores, seen.membership).thresholds((0.1, 0.01))
    scores[5] += 100
    after = roc.Trials(scores, seen.membership).thresholds((0.1, 0.01))
    np.testing.assert_array_equal(before[:, 5], after[:, 5])
    assert (before != after).any()


@pytest.fixture(scope="module")
def exposed_canaries():
    """An audit in which 20 canaries leak and 400 ordinary records do not."""
    g = np.random.default_rng(3)
    groups = np.repeat(["canary", "ordinary", "control"], [20, 400, 10])
    membership = (g.random((16, 430)) < 0.5) & (groups != "control")
    signals = g.standard_normal((16, 1, 2, 430))
    signals += 6 * (membership & (groups == "canary"))[:, None, None]
    inside = membership[:, :20]
    seen = Shadows(
        signals.astype(np.float32),
        membership,
        groups,
        np.arange(16) % 2 == 1,
        control_signals(inside, mu_of(4.0, 1e-5), 1, seed=0),
    )
    kept = Estimate(0.8, 0.79, 0.81, 4)
    return seen, judge(
        seen,
        title="DM",
        role="subject",
        recipe={},
        holds_real_records=False,
        guarantee=None,
        utility=kept,
        utility_with_canaries=kept,
        seed=0,
    )


def test_average_case_risk_hides_nobody(exposed_canaries):
    """Canaries first: the leak of a few decides, whatever the average over all records."""
    seen, subject = exposed_canaries
    everyone = seen.groups != "control"
    average = Observed(seen.signals[:, :, 0][:, :, everyone], seen.membership[:, everyone])
    area, _ = roc.auc(roc.Trials(LiRA().score(average), average.membership))
    assert area.value < 0.6
    assert verdict((subject,)).outcome == "leak"
    assert "on canary records" in verdict((subject,)).reasons[0]


def test_one_record_at_certainty_is_not_averaged_away():
    trials = np.full(500, 32)
    hits = np.random.default_rng(4).binomial(trials, 0.04)
    hits[0] = 32
    risk = shrunk(hits, trials)
    assert np.mean(hits / trials) < 0.05
    assert risk.value[0] > 0.8 > 0.3 > risk.value[1:].max()


def test_recall_at_an_arbitrary_threshold_is_not_called_privacy():
    """Calling everyone, or nobody, a member is chance, whatever recall it has."""
    members = np.arange(100) % 2 == 0
    for decision, recall in ((1.0, 1.0), (-1.0, 0.0)):
        found = decided(np.full(100, decision), members)
        assert found.recall == recall and found.accuracy == 0.5
    trials = roc.Trials(np.ones((10, 20)), np.random.default_rng(5).random((10, 20)) < 0.5)
    assert roc.balanced_accuracy(trials).value == 0.5
    assert roc.auc(trials)[0].value == 0.5


def test_no_distance_leak_is_no_verdict():
    """Members lie hardly nearer than non-members, and yet each is told by its own references."""
    seen = draw(6, 2.0, records=300, spread=20.0)
    nearness = seen.signals[:, 0]  # minus the distance to the closest released record
    inside, outside = nearness[seen.membership], nearness[~seen.membership]
    assert abs(np.median(inside) - np.median(outside)) < 0.15 * outside.std()
    assert roc_auc_score(seen.membership.ravel(), nearness.ravel()) < 0.55
    assert roc_auc_score(seen.membership.ravel(), LiRA().score(seen).ravel()) > 0.85


def test_fractions_are_not_read_as_percent(exposed_canaries):
    _, subject = exposed_canaries
    for attack in subject.attacks:
        assert all(0 <= p.tpr.low <= p.tpr.high <= 1 for p in attack.operating)
    sentences = verdict((subject,)).reasons
    point = subject.attack("lira").operating[0]
    assert Limits("0.05@0.01").tpr() == (0.05, 0.01)
    for text in ("5@0.01", "5%@1%", "0.05@1"):
        with pytest.raises(OptionError, match="as fractions"):
            Limits(text).tpr()
    assert any("%" in sentence for sentence in sentences) and point.tpr.value > 0.5


def small(n=400, seed=0, name="private"):
    inputs = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return LabeledDataset(inputs, torch.arange(n) % 4, tuple("abcd"), name=name)


SIZES = Preset(
    runs=16, company_runs=4, utility_runs=1, canaries=20, ordinary=100, control=10, views=1
)


def planned(**changes):
    values = {"preset": SIZES, "canary_kind": "mislabelled", "seed": 0, **changes}
    return plan.make(small(), small(40, 1, "test"), (View(),), **values)


def test_exactly_balanced_membership_gives_the_held_out_bit_away():
    def told_by_the_others(coins):
        others = coins.sum(0) - coins
        return roc_auc_score(coins.ravel(), -others.ravel())

    balanced = np.argsort(np.random.default_rng(7).random((16, 500)), axis=0) < 8
    assert told_by_the_others(balanced) == 1.0 and too_balanced(balanced)
    made = planned(preset=Preset(16, 4, 1, canaries=20, ordinary=180, control=10, views=1))
    ours = made.membership[:16, made.observed]
    assert told_by_the_others(ours) == pytest.approx(0.5, abs=0.04) and not too_balanced(ours)


def test_leave_one_out_within_one_record_is_below_chance_and_held_out_halves_are_not():
    seen = draw(8, 0.0, runs=64, records=300)
    halves = np.arange(64) % 2 == 1
    held_out = lira(seen.signals, seen.membership, reference_runs=~halves)
    ways = {
        "leave-one-out": (lira(seen.signals, seen.membership), seen.membership),
        "halves": (held_out[halves], seen.membership[halves]),
    }
    area = {}
    for name, (scores, inside) in ways.items():
        members = inside.sum(0)
        ranks = (stats.rankdata(scores, axis=0) * inside).sum(0) - members * (members + 1) / 2
        area[name] = (ranks / (members * (len(inside) - members))).mean()
    assert area["leave-one-out"] < 0.48
    assert area["halves"] == pytest.approx(0.5, abs=0.02)


def test_the_estimand_of_an_interval_is_named():
    """The interval is of the TPR at the realised threshold, and covers that."""
    covered = {"realised": 0, "nominal": 0}
    at_nominal = stats.norm.sf(stats.norm.isf(0.05) - 1)
    for seed in range(80):
        seen = draw(100 + seed, 1.0, runs=16, records=50)
        trials = roc.Trials(seen.signals[:, 0].astype(float), seen.membership)
        (point,) = roc.operating(trials, (0.05,))
        assert point.resolvable
        realised = stats.norm.sf(trials.thresholds((0.05,))[0] - 1).mean()
        covered["realised"] += point.tpr.low <= realised <= point.tpr.high
        covered["nominal"] += point.tpr.low <= at_nominal <= point.tpr.high
    # 95% covers fewer than 69 of 80 with probability 0.001.
    assert covered["realised"] >= 69
    assert covered["nominal"] < min(covered["realised"], 69)


def test_a_small_lower_bound_passes_no_gate(exposed_canaries):
    _, subject = exposed_canaries
    bound = evidence.Estimate(value=0.0, low=0.0)
    update = {"epsilon_lower": bound, "recipe": {"method": "dm"}}
    harmless = subject.model_copy(update=update)
    found = evidence.Evidence(
        plan_hash="0",
        plan={},
        dataset={},
        subjects=(harmless,),
        verdict=verdict((harmless,)),
        versions={},
    )
    code, (sentence,) = gate(found, max_epsilon=100.0)
    assert code == FAILS and "no audit can stand in for one" in sentence


def test_members_and_non_members_differ_by_their_coins_alone():
    """A blind classifier on the inputs and labels finds no difference to mistake for a leak."""
    made = planned(preset=Preset(64, 4, 1, canaries=20, ordinary=180, control=10, views=1))
    coins = made.membership[:64, made.observed]
    brightness = made.data.inputs.flatten(1).mean(1).numpy()[made.observed]
    label = made.data.labels.numpy()[made.observed]
    for feature in (brightness, label, np.arange(len(made.observed))):
        blind = roc_auc_score(coins.ravel(), np.broadcast_to(feature, coins.shape).ravel())
        assert blind == pytest.approx(0.5, abs=0.02)


def test_a_hold_out_that_differs_for_another_reason_is_no_control():
    """A blind classifier's finding takes the verdict away from attacks on the images."""
    telling = SetAttack(
        name="tracing",
        auc=evidence.Estimate(value=0.9, low=0.85, high=0.95),
        operating=(),
        planted_auc=1.0,
        p_value=1e-12,
    )
    none = Copies(distance=0.02, of_members=0, of_control=0, near_duplicates=(0, 0), p_value=1.0)
    outcomes = []
    for random in (True, False):
        split = Split(random=random, auc={"trees": 0.7}, p_value=1e-9, labels_p_value=0.5)
        outcomes.append(set_verdict("the set", [telling], split, [], none).outcome)
    assert outcomes == ["signs", "unclear"]


def test_near_duplicates_across_the_split_are_removed_first():
    members, control = small(40), small(30, 1)
    control.inputs[4] = members.inputs[11]
    kept, left = distinct(members, control, 0.02)
    assert (~kept).nonzero()[:, 0].tolist() == [11] and (~left).nonzero()[:, 0].tolist() == [4]


# Shadow runs


class Counting(Classifier):
    """Its logits tell how many records it was made from."""

    def __init__(self, records):
        self.records = records

    def logits(self, inputs):
        return torch.tensor([float(self.records), 0, 0, 0]).expand(len(inputs), 4)


class Recorder(Mechanism):
    """A mechanism that remembers each private set that it was run on."""

    method_name = "recorder"

    def __init__(self):
        self.ran_on = []

    def run(self, private, *, seed, device="cpu"):
        self.ran_on.append((private.fingerprint(), seed))
        return Release(classifier=Counting(len(private)))


def test_every_shadow_run_repeats_the_whole_mechanism_on_its_own_subset():
    made, mechanism = planned(), Recorder()
    job = shadow.Job.of(mechanism, made, small(40, 1), key="k", control_shift=1.0, device="cpu")
    finished = shadow.run(job, shadow.Chunk("key", (2, 5)))
    rows = [torch.from_numpy(made.membership[row]) for row in (2, 5)]
    assert mechanism.ran_on == [
        (made.data.select(rows[0]).fingerprint(), made.seeds[2]),
        (made.data.select(rows[1]).fingerprint(), made.seeds[5]),
    ]
    # Its signals are read off what that very run released: z_0 - logsumexp(0, 0, 0).
    for signals, row in zip(finished.values["signals"], rows, strict=True):
        zeros = (made.queries.labels == 0).numpy()
        np.testing.assert_allclose(signals[0, 0, zeros], int(row.sum()) - math.log(3), rtol=1e-6)
    assert set(finished.values) == {"signals", "control"}, "models are not kept"


def test_not_every_model_is_kept_in_memory():
    """When one is made, those before the last are gone: a chunk needs room for two, not for all."""
    alive: list[weakref.ref[Classifier]] = []
    most = 0

    class Watched(Recorder):
        def run(self, private, *, seed, device="cpu"):
            nonlocal most
            release = super().run(private, seed=seed, device=device)
            alive.append(weakref.ref(release.classifier))
            most = max(most, sum(model() is not None for model in alive))
            return release

    job = shadow.Job.of(
        Watched(), planned(), small(40, 1), key="k", control_shift=1.0, device="cpu"
    )
    shadow.run(job, shadow.Chunk("key", tuple(range(6))))
    assert len(alive) == 6 and most <= 2


def test_runs_are_kept_under_a_key_of_everything_that_determines_them(tmp_path):
    """One file a chunk: a crash loses what was running, a changed option finds nothing."""

    def first_chunk(mechanism, seed=0):
        session = prepare(
            mechanism, small(), small(40, 1, "test"), preset=SIZES, company=False, seed=seed
        )
        return session.scheduler.keys(session.audited[0])

    base = first_chunk(Pipeline(RandomSubset(1), KernelRidge()))
    assert len(base) > 5, "more than one chunk"
    for other in (
        first_chunk(Pipeline(RandomSubset(2), KernelRidge())),
        first_chunk(Pipeline(RandomSubset(1), KernelRidge(depth=1))),
        first_chunk(Pipeline(RandomSubset(1), KernelRidge()), seed=1),
    ):
        assert not set(base) & set(other)
    store = Store(tmp_path)
    store.begin({"hash": "x"}, overwrite=False)
    store.write(base[0], {"signals": torch.ones(2)})
    again = Store(tmp_path)
    again.begin({"hash": "x"}, overwrite=False)
    assert again.has(base[0]) and not again.has(base[1])


def test_population_points_are_members_of_no_run(exposed_canaries):
    """Members of the target among RMIA's z would make every record look typical."""
    seen, _ = exposed_canaries
    ((*_, observed),) = [r for r in seen.readings("canary", (LiRA(),)) if r[1] == "margin"]
    control = seen.groups == "control"
    np.testing.assert_array_equal(observed.population, seen.signals[:, :, 0][:, :, control])
    member = seen.membership.copy()
    member[3, np.flatnonzero(control)[0]] = True
    with pytest.raises(OptionError, match="population points must be in none"):
        Shadows(seen.signals, member, seen.groups, seen.halves, seen.control)
    z = seen.signals[:, :, 0][:, :, control]
    members = z.copy()
    members[0] += 6  # in the first run they are members, and raised as members are
    honest, fooled = (
        rmia(observed.signals, points, observed.membership)[0][observed.membership[0]].mean()
        for points in (z, members)
    )
    assert honest > fooled + 0.3


def test_a_mean_over_references_keeps_the_smallest_half_too():
    seen = draw(9, 1.0, runs=9, records=1)
    z = np.random.default_rng(10).standard_normal((9, 1, 2000)).astype(np.float32)
    before = rmia(seen.signals, z, seen.membership)
    for run in range(1, 9):
        moved = seen.signals.copy()
        moved[run] += 3 if moved[run] < 0 else -3
        assert rmia(moved, z, seen.membership)[0, 0] != before[0, 0]


def test_a_variance_taken_from_the_wrong_side():
    """The score against OUT does not move with the spread of IN, nor the other way round."""
    seen = draw(11, 1.0, runs=12, records=30)
    wild = seen.signals.copy()
    others = seen.membership & (np.arange(12) != 0)[:, None]
    wild[:, 0][others] *= 50
    np.testing.assert_array_equal(
        lira(seen.signals, seen.membership, online=False, variance="pooled")[0],
        lira(wild, seen.membership, online=False, variance="pooled")[0],
    )
    spread = np.where(seen.membership, 0.1, 3.0) * np.random.default_rng(12).standard_normal(
        (12, 30)
    )
    scores = lira(spread[:, None].astype(np.float32), seen.membership)
    assert roc_auc_score(seen.membership.ravel(), scores.ravel()) > 0.85
