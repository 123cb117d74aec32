"""What several releases come to together, how it is stated, and that it is never understated."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import dp_accounting
import pytest
from dp_accounting.pld import PLDAccountant
from hypothesis import given
from hypothesis import strategies as st

import limbeck
from limbeck.errors import BudgetError, OptionError
from limbeck.privacy import composition, ledger
from limbeck.privacy.accountant import epsilon_declared, multiplier
from limbeck.privacy.claim import stated
from limbeck.privacy.composition import DELTAS, Part, total
from limbeck.privacy.digits import up
from limbeck.privacy.gaussian import delta_of, epsilon_of, mu_of
from limbeck.privacy.ledger import Ledger
from limbeck.privacy.owed import parts_of, require_addable
from limbeck.privacy.queries import Query
from limbeck.privacy.sampled import GRID, Steps, multiplier_for
from limbeck.privacy.statement import Statement, epsilon_of_claim, printed
from limbeck.privacy.words import delta_for, fit_for
from limbeck.types import Event, Guarantee

DELTA = 1e-5


def gaussian(epsilon, delta=DELTA, adjacency="add-remove", unit="record"):
    """The guarantee of a budget that was spent on one noisy sum."""
    spent = Ledger(epsilon=epsilon, delta=delta, adjacency=adjacency, unit=unit)
    spent.query(Query("sums", 1.0))
    return spent.guarantee


def sampled(epsilon, rate=0.1, count=20):
    spent = Ledger(epsilon=epsilon, delta=DELTA, adjacency="add-remove", unit="record")
    spent.steps("gradients", rate=rate, count=count, norm=1.0)
    return spent.guarantee


def parts(*guarantees, limit=None):
    return [Part(f"release {i}", one, limit) for i, one in enumerate(guarantees)]


def test_a_chain_of_gaussian_releases_adds_up_its_mu_squared():
    found = total(parts(gaussian(1.0), gaussian(1.0), gaussian(8.0)))
    mu = math.sqrt(sum(mu_of(e, DELTA) ** 2 for e in (1.0, 1.0, 8.0)))
    assert found.guarantee.mu == pytest.approx(mu, rel=1e-5)
    assert found.guarantee.epsilon == pytest.approx(8.248, abs=1e-3)
    theirs = dp_accounting.get_epsilon_gaussian(1 / found.guarantee.mu, DELTA)
    assert found.guarantee.epsilon == pytest.approx(theirs, rel=1e-6)
    assert found.composition == "mu-GDP"


def test_one_release_claims_what_it_spent():
    own = gaussian(1.0)
    assert total(parts(own)).guarantee == own
    assert Statement.of(own, name="one").claim["composition"] is None


def test_sampled_and_gaussian_releases_are_composed_by_their_events():
    both = [sampled(1.0), gaussian(2.0)]
    found = total(parts(*both))
    accountant = PLDAccountant(value_discretization_interval=GRID)
    for own in both:
        for event in own.events:
            plain = dp_accounting.GaussianDpEvent(multiplier(event))
            if event.rate < 1:
                plain = dp_accounting.PoissonSampledDpEvent(event.rate, plain)
            accountant.compose(plain, event.count)
    assert found.guarantee.epsilon == pytest.approx(accountant.get_epsilon(DELTA), rel=1e-6)
    assert 2.0 < found.guarantee.epsilon < 3.0 and found.guarantee.delta == DELTA
    assert found.guarantee.mu is None and found.composition == "privacy loss distributions"


def test_what_has_unknown_events_adds_its_epsilon_and_its_delta():
    strange = Guarantee(1.0, 1e-6, events=(Event("choice", "something else", 1.0, 1.0),))
    found = total(parts(gaussian(2.0), strange))
    assert found.composition == "basic composition"
    assert found.guarantee.epsilon == pytest.approx(3.0, abs=1e-5)
    assert found.guarantee.delta == pytest.approx(1.1e-5)
    assert len(found.curve) == 1


def test_of_a_slice_one_record_more_exchanges_two():
    own = gaussian(1.0)
    found = total(parts(own, limit=500)).guarantee
    assert found.mu == pytest.approx(2 * own.mu)
    assert found.epsilon == pytest.approx(epsilon_of(2 * own.mu, DELTA))
    # Group privacy of the pair alone would say more.
    assert found.epsilon > 2 and delta_of(2 * own.mu, 2.0) < (1 + math.e) * DELTA
    replaced = gaussian(1.0, adjacency="replace-one")
    assert total(parts(replaced, limit=500)).guarantee == replaced


def test_of_a_slice_sampled_steps_cost_what_two_records_do():
    own = sampled(1.0)
    found = total(parts(own, limit=500)).guarantee
    assert found.epsilon == epsilon_declared(own.events, DELTA, "replace-one", grid=GRID)
    assert 2 * own.epsilon < found.epsilon < 3 * own.epsilon


def test_a_slice_of_unknown_events_is_counted_by_group_privacy_of_the_pair():
    found = total(parts(Guarantee(1.0, DELTA), limit=500)).guarantee
    assert (found.epsilon, found.delta) == (2.0, pytest.approx((1 + math.e) * DELTA))


def test_what_has_no_finite_epsilon_for_all_the_data_is_null_in_json():
    loud = Guarantee(400.0, DELTA, events=(Steps(0.5, 50, 0.6, 1.0).event("x"),))
    said = stated(Statement.of(loud, name="x", limit=50))
    json.dumps(said, allow_nan=False)
    assert said["guarantee"]["epsilon"] is None
    assert said["deployment"]["privacy_parameters"]["epsilon"] is None


def test_of_a_slice_of_groups_nothing_is_claimed_of_all_the_data():
    said = Statement.of(gaussian(1.0, unit="group"), name="x", limit=500)
    assert said.claim["about"]["whole"] is False and said.claim["epsilon"] <= 1.0
    assert any("about the 500 records (at most)" in line for line in said.sentences)


def test_the_curve_is_that_of_mu_rounded_up():
    said = Statement.of(gaussian(1.0), name="x")
    found = said.claim
    assert [point["delta"] for point in found["curve"]] == list(DELTAS)
    for point in found["curve"]:
        exact = epsilon_of(found["mu"], point["delta"])
        assert exact <= point["epsilon"] <= exact * 1.00002
    assert any(line.startswith("the whole curve") for line in said.sentences)


def test_the_curve_of_sampled_steps_comes_from_their_losses():
    own = sampled(1.0)
    curve = dict(total(parts(own)).curve)
    assert list(curve) == list(DELTAS)
    assert curve[1e-3] < curve[1e-5] < curve[1e-12]
    assert curve[1e-5] == pytest.approx(own.epsilon, rel=1e-4)
    assert curve[1e-8] >= epsilon_declared(own.events, 1e-8, grid=GRID)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (gaussian(1.0, adjacency="replace-one"), "each record under replace-one"),
        (gaussian(1.0, unit="group"), "each group under add-remove"),
    ],
)
def test_different_units_and_adjacencies_do_not_add_up(other, said):
    with pytest.raises(OptionError, match=said) as caught:
        require_addable(parts(gaussian(1.0), other), "init private:x")
    assert "\n" not in str(caught.value) and "init private:x" in str(caught.value)


def test_a_slice_of_groups_does_not_add_up_with_others():
    both = [Part("a", gaussian(1.0, unit="group")), Part("b", gaussian(1.0, unit="group"), 50)]
    with pytest.raises(OptionError, match="b is about a slice of the groups"):
        require_addable(both, "here")
    require_addable(both[1:], "here")


def card(*guarantees, limit=None):
    """As it is read back from a file."""
    said = stated(Statement(tuple(parts(*guarantees, limit=limit))))
    return json.loads(json.dumps(said))


def test_what_a_card_owes_is_read_back_whole():
    for given_ in ([gaussian(1.0), gaussian(8.0)], [sampled(1.0)]):
        assert list(parts_of(card(*given_), "x")) == parts(*given_)
    assert parts_of(card(gaussian(1.0), limit=70), "x")[0].limit == 70


def _forget(values):
    del values["guarantee"]["releases"][1]


def _old(values):
    del values["guarantee"]["releases"]


def _cheaper(values):
    values["guarantee"]["releases"][1]["epsilon"] = 0.5


def _smaller_mu(values):
    values["guarantee"]["releases"][1]["mu"] = 0.01


def _no_unit(values):
    del values["guarantee"]["releases"][1]["unit"]


def _word(values):
    values["guarantee"]["releases"][0]["epsilon"] = "little"


def _quiet(values):
    values["guarantee"]["releases"][0]["events"][0]["noise_scale"] = -1.0


def _other(values):
    values["guarantee"]["releases"][1]["adjacency"] = "replace-one"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_forget, "contradicts itself"),
        (_old, "does not list the releases"),
        (_cheaper, "contradicts itself"),
        (_smaller_mu, "contradicts itself"),
        (_no_unit, "is damaged"),
        (_word, "epsilon is 'little'"),
        (_quiet, "noise_scale is -1.0"),
        (_other, "do not add up"),
        (lambda values: values.update(guarantee=None), "states no guarantee"),
    ],
)
def test_a_card_that_does_not_say_all_it_owes_is_refused(spoil, said):
    values = card(gaussian(1.0), gaussian(8.0))
    spoil(values)
    with pytest.raises(OptionError, match=said) as caught:
        parts_of(values, "init private:x")
    assert str(caught.value).startswith("init private:x") and "\n" not in str(caught.value)


@given(st.floats(1e-12, 1e9), st.integers(1, 6))
def test_numbers_on_paper_are_never_less_than_they_are(value, digits):
    shown = float(up(value, digits))
    assert value <= shown <= value * (1 + 10.0 ** (1 - digits)) * (1 + 1e-12)


def test_an_epsilon_of_a_little_more_is_not_printed_as_less():
    own = Guarantee(1.00049, 1.00049e-5, mu=0.123456)
    said = Statement.of(own, name="x")
    assert said.sentences[0].startswith("(1.001, 1.001e-05)-differential privacy")
    assert "also 0.1235-GDP" in said.sentences
    assert "(1.001, 1.001e-05)" in printed(said.claim)
    assert epsilon_of_claim(said.claim)[1] == "1.001"
    assert (up(1.0), up(1e-5), up(math.inf)) == ("1", "1e-05", "inf")


_ROUNDED = re.compile(r"\{[^{}]*\b(?:epsilon|delta|mu|claimed|proven)\b[^{}]*:[.\d]*[gfe]\}")
_ECHOED = (  # what somebody asked for is repeated, and a measured lower bound is none of a proof
    "--epsilon {", "--delta {", "not {epsilon:g} and", "is worth epsilon {epsilon:g} at delta",
    "no noise gives epsilon {epsilon:g} at delta", "asked for; leave one of the two out",
    "{delta:g}\"", "A planted leak of known epsilon", "dp-sgd at epsilon {epsilon:g}",
    "{self.delta:g}.", "epsilon_lower", "self.epsilon.value",
)  # fmt: skip


def test_no_source_rounds_a_proven_number_in_its_own_way():
    root = Path(limbeck.__file__).parent
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for path in root.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if _ROUNDED.search(line) and not any(known in line for known in _ECHOED)
    ]
    assert found == []
    templates = "".join(p.read_text(encoding="utf-8") for p in root.rglob("*.j2"))
    assert not re.search(r"(guarantee|claim|proven)[\w.]*epsilon\s*\|\s*plain", templates)


def test_an_accounting_above_the_budget_is_an_error_and_not_hidden(monkeypatch):
    spent = Ledger(epsilon=1.0, delta=DELTA, adjacency="add-remove", unit="record")
    spent.steps("gradients", rate=0.1, count=20, norm=1.0)
    assert spent.guarantee.epsilon <= 1.0
    monkeypatch.setattr(ledger, "epsilon_declared", lambda *_, **__: 1.0001)
    with pytest.raises(BudgetError, match="claim nothing"):
        _ = spent.guarantee


def test_less_noise_than_declared_is_seen_by_the_ledger():
    spent = Ledger(epsilon=1.0, delta=DELTA, adjacency="add-remove", unit="record")
    spent.steps("gradients", rate=0.1, count=20, norm=1.0)
    spent._events[0] = replace(spent._events[0], count=21)
    with pytest.raises(BudgetError, match="the events cost epsilon"):
        _ = spent.guarantee


@pytest.mark.parametrize("norm", [0.1, 1.0, 3.7])
def test_the_noise_that_is_chosen_never_costs_more_than_is_claimed(norm):
    scale = multiplier_for(2.0, DELTA, "add-remove", rate=0.2, count=10)
    event = Steps(0.2, 10, scale, norm).event("x")
    assert epsilon_declared((event,), DELTA, grid=GRID) <= 2.0 * (1 + 1e-9)


@given(st.integers(2, 10**9))
def test_a_delta_chosen_for_a_number_of_records_is_fit_for_it(records):
    delta = delta_for(records)
    assert delta <= 1e-5 and delta < records**-1.1 and fit_for(delta) >= records


def test_the_default_delta_is_fit_for_35111_records():
    most = fit_for(1e-5)
    assert most == 35_111 and (most + 1) ** -1.1 <= 1e-5 < most**-1.1
    assert delta_for(60_000) == 5e-6
    assert composition.DELTAS[0] == 1e-3 and composition.DELTAS[-1] == 1e-12
