"""Evidence made by hand: every number of it is known, and nothing was audited."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.audit.evidence import (
    Attack,
    Check,
    Curve,
    Estimate,
    Evidence,
    Flag,
    Operating,
    Subject,
    Verdict,
)
from limbeck.data.synthetic import SyntheticDataset


def estimate(value: float, half: float, trials: int = 64) -> Estimate:
    low, high = max(0.0, value - half), min(1.0, value + half)
    return Estimate(value=value, low=low, high=high, trials=trials)


def make_attack(group: str, name: str, signal: str, power: float, negatives: int) -> Attack:
    """An attack whose ROC is tpr = fpr ** power, on ``negatives`` judged pairs."""
    fpr = np.geomspace(1e-4, 1, 60)
    tpr = fpr**power
    spread = 0.6 * np.sqrt(tpr / 60)
    operating = []
    for nominal in (0.1, 0.01, 0.001):
        expected = nominal * negatives
        point = nominal**power
        operating.append(
            Operating(
                nominal_fpr=nominal,
                tpr=estimate(point, 0.5 * math.sqrt(point / 60), negatives),
                realised_fpr=estimate(nominal * 1.02, nominal * 0.3, negatives),
                false_positives=round(expected * 1.02),
                negatives=negatives,
                resolvable=expected >= 10,
                p_value=0.031 if power > 0.9 else 1e-7,
            )
        )
    auc = 1 / (power + 1)  # the integral of the curve
    advantage = max(0.0, float((tpr - fpr).max()))
    return Attack(
        name=name,
        signal=signal,
        group=group,
        auc=estimate(auc, 0.012, negatives),
        balanced_accuracy=estimate((1 + advantage) / 2, 0.01, negatives),
        advantage=estimate(advantage, 0.02, negatives),
        operating=tuple(operating),
        curve=Curve(
            fpr=tuple(fpr.tolist()),
            tpr=tuple(tpr.tolist()),
            low=tuple(np.maximum(tpr - spread, 0).tolist()),
            high=tuple(np.minimum(tpr + spread, 1).tolist()),
        ),
        p_value=0.012 if power > 0.9 else 1e-9,
    )


def make_subject(
    title: str, role: str, runs: int, power: float, utility: float, **changes: Any
) -> Subject:
    attacks = [
        make_attack(group, name, signal, min(1.0, p + weaker), runs * records)
        for group, p, records in (("canary", power, 50), ("ordinary", (1 + power) / 2, 300))
        for name, signal, weaker in (
            ("loss-threshold", "margin", 0.05),
            ("lira", "margin", 0.0),
            ("lira-offline", "hinge", 0.03),
        )
    ]
    values = {
        "title": title,
        "role": role,
        "recipe": {
            "method": "pipeline",
            "options": {
                "synthesizer": {
                    "method": "dm",
                    "options": {"ipc": 10, "init": "noise", "steps": 2000, "public_coins": True},
                },
                "trainer": {"method": "standard", "options": {"network": "convnet3"}},
            },
        },
        "runs": runs,
        "holds_real_records": role != "subject",
        "guarantee": None,
        "utility": estimate(utility, 0.012, 16),
        "utility_with_canaries": estimate(utility - 0.01, 0.008, runs),
        "attacks": tuple(attacks),
        "epsilon_lower": Estimate(value=0.0 if power > 0.9 else 1.37, trials=900),
        "delta": 1e-5,
        "detectable_tpr": 0.021,
        "null_test": Check(
            passed=True,
            auc=estimate(0.502, 0.011, 3200),
            expected_auc=0.5,
            sentence="With permuted coins the attacks found nothing.",
        ),
        "positive_control": Check(
            passed=True,
            auc=estimate(0.694, 0.012, 3200),
            expected_auc=0.69,
            epsilon=1.0,
            sentence="The planted leak was found.",
        ),
        "flags": (),
    }
    return Subject(**{**values, **changes})


@pytest.fixture(scope="session")
def evidence() -> Evidence:
    """A mechanism that hardly leaks, beside a random subset and the full data that do."""
    flags = (
        Flag(
            name="canaries-not-learnt",
            severity="warning",
            sentence="Planted records are fitted no better in runs that hold them; the canaries "
            "may be too weak for this mechanism.",
        ),
        Flag(
            name="few-company-runs",
            severity="information",
            sentence="The company was judged on 16 runs, the subject on 64.",
        ),
    )
    return Evidence(
        plan_hash="9f2c" * 16,
        plan={
            "preset": "standard",
            "seed": 77123,
            "runs": 64,
            "views": 4,
            "roles": {
                "always": 57500,
                "canary": list(range(70000, 70050)),
                "ordinary": list(range(80000, 82000)),
            },
            "membership": "cafe" * 16,
            "run_seeds": [991, 992, 993],
            "attacks": ["lira", "lira-offline", "loss-threshold"],
            "half_b": list(range(1, 64, 2)),
        },
        dataset={
            "name": "fashion-mnist",
            "records": 60123,
            "shape": [1, 28, 28],
            "fingerprint": "beef" * 16,
            "classes": ["t-shirt", "trouser", "pullover", "dress"],
        },
        subjects=(
            make_subject(
                "Distribution matching, 10 per class", "subject", 64, 0.93, 0.783, flags=flags
            ),
            make_subject("Random subset, 10 per class", "random-subset", 16, 0.62, 0.724),
            make_subject("Full data", "full-data", 16, 0.25, 0.901),
        ),
        verdict=Verdict(
            outcome="none-found",
            headline="At 64 runs no attack recognised planted records better than guessing.",
            reasons=(
                "LiRA's AUC on planted records is 0.52, its TPR at 1% FPR is 1.4%.",
                "The positive control (a leak of epsilon 1) was found.",
            ),
            not_tested=(
                "Attacks on the images themselves, without a model.",
                "A release made several times from changing data.",
            ),
        ),
        versions={"limbeck": "0.1.0", "torch": "2.13.0", "python": "3.11.2"},
    )


@pytest.fixture(scope="session")
def cost() -> dict[str, Any]:
    return {
        "machine": "2 cores of a small AMD server",
        "Distribution matching, 10 per class": {
            "cpu_seconds": 3725.0,
            "wall_seconds": 1900.4,
            "peak_memory_mib": 3481.6,
        },
        "Random subset, 10 per class": {
            "cpu_seconds": 61.0,
            "wall_seconds": 8.04,
            "peak_memory_mib": 512.0,
        },
    }


@pytest.fixture(scope="session")
def synthetic() -> SyntheticDataset:
    """Forty smooth 1x28x28 images, ten of each of four classes."""
    coins = torch.Generator().manual_seed(0)
    small = torch.rand(40, 1, 7, 7, generator=coins)
    inputs = torch.nn.functional.interpolate(small, size=28, mode="bilinear")
    classes = ("t-shirt", "trouser", "pullover", "dress")
    return SyntheticDataset(inputs.clamp(0, 1), torch.arange(40) // 10, classes)


@pytest.fixture(scope="session")
def page(evidence: Evidence, cost: dict[str, Any], synthetic: SyntheticDataset) -> str:
    """The internal report of all of the above."""
    from limbeck.report import render

    return render(evidence, cost=cost, synthetic=synthetic)
