"""An audit of signals that were measured elsewhere: straight into the attacks and the inference."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.audit import plan
from limbeck.audit.attacks.choice import ALL, chosen
from limbeck.audit.chunks import CONTROL_EPSILON, DELTA
from limbeck.audit.evidence import Evidence
from limbeck.audit.given_signals import Signals
from limbeck.audit.inference import judge
from limbeck.audit.inference.verdict import NOT_TESTED, verdict
from limbeck.audit.provenance import machine, versions
from limbeck.audit.result import Audit
from limbeck.audit.store import COST, EVIDENCE, Store
from limbeck.errors import OptionError
from limbeck.recipe import recipe
from limbeck.types import Estimate

_TAKEN_ON_TRUST = (
    "whether the signals and the coins are what the file says: they were measured elsewhere",
)


def audit_signals(
    signals: Signals,
    *,
    store: str | Path,
    title: str = "the mechanism behind the given signals",
    attacks: Sequence[str] = (),
    seed: int = 0,
    overwrite: bool = False,
) -> Audit:
    """Judge signals that were measured elsewhere, and write the evidence to the folder ``store``.

    Nothing is known of the accuracy, the recipe or a guarantee, and the records are not planted:
    the report says so. StoreError when the folder holds another audit, unless ``overwrite``.

    attacks: names of further ones, see ``attacks.choice.chosen``; OptionError where one of them
        reads what was not given. "all" adds those that can be tried.
    """
    wanted, shadows = chosen(attacks), signals.shadows(seed)
    tried = {reading[0] for reading in shadows.readings("ordinary", wanted)}
    for name in sorted(set(attacks) - tried - {ALL}):
        raise OptionError(
            f"attack {name} reads more than signals of shape {signals.signals.shape}: give labels "
            "(records,), and softmax (runs, records, classes) for the shadow attack; it reads no "
            "modified entropy from a file"
        )
    runs, views, records = signals.signals.shape
    described = {
        "schema_version": plan.SCHEMA,
        "given": signals.described(),
        "attacks": [recipe(attack) for attack in wanted],
        "seed": seed,
        "delta": DELTA,
        "versions": versions(),
    }
    described["hash"] = plan.digest(described)
    kept = Store(store)
    kept.begin(described, overwrite=overwrite)
    subject = judge.judge(
        shadows,
        attacks=wanted,
        title=title,
        role="subject",
        recipe={},
        holds_real_records=None,
        guarantee=None,
        utility=Estimate(math.nan),
        utility_with_canaries=Estimate(math.nan),
        seed=seed,
        delta=DELTA,
        control_epsilon=CONTROL_EPSILON,
    )
    points = int(signals.strangers.sum())
    found = Evidence(
        plan_hash=str(described["hash"]),
        plan={
            "roles": {"ordinary": records - points, "population": points},
            "runs": runs,
            "views": views,
            "seed": seed,
            "delta": DELTA,
        },
        dataset={"name": title, "records": records},
        subjects=(subject,),
        verdict=verdict((subject,), not_tested=(*NOT_TESTED, *_TAKEN_ON_TRUST)),
        versions=versions(),
    )
    kept.write_json(EVIDENCE, found.model_dump(mode="json"))
    spent: Mapping[str, Any] = {"machine": machine("cpu"), "workers": 1, "subjects": {}}
    kept.write_json(COST, spent)
    return Audit(found, spent, kept.folder)
