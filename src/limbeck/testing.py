"""For test suites: hold an audit to limits, as the exit codes of ``limbeck audit`` do."""

import unittest
from pathlib import Path

from limbeck.audit.evidence import Evidence
from limbeck.audit.finished import SetAudit
from limbeck.audit.gate import FAILS, TOO_WEAK, gate
from limbeck.audit.loading import load
from limbeck.audit.result import Audit
from limbeck.audit.set_evidence import SetEvidence
from limbeck.errors import OptionError


class TooWeakError(AssertionError):
    """An audit that can neither keep nor break a limit: no pass, and no leak either."""


def assert_private(
    audit: Audit | SetAudit | Evidence | SetEvidence | str | Path,
    *,
    max_tpr: float | None = None,
    at_fpr: float = 0.01,
    max_epsilon: float | None = None,
    allow_weak: bool = False,
) -> None:
    """Fail a test unless what was audited keeps the limits, by the rules of ``audit.gate.gate``.

    audit: a finished audit, its evidence, or its folder.
    max_tpr, at_fpr: fractions: the highest TPR allowed, on canaries, at that nominal FPR.
    max_epsilon: of the mechanism's guarantee. A measured lower bound never passes anything.
    allow_weak: skip the test where the evidence is too weak to tell, instead of failing it.

    Raises AssertionError with the sentences of all limits where one does not hold; TooWeakError,
    an AssertionError that says so, where it cannot be told (unittest.SkipTest, which pytest takes
    for a skip, with ``allow_weak``); OptionError where no limit is given or no TPR was measured at
    that FPR; StoreError where the folder holds no audit.
    """
    if max_tpr is None and max_epsilon is None:
        raise OptionError("there is no limit to hold: give max_tpr (at at_fpr) or max_epsilon")
    if isinstance(audit, (str, Path)):
        audit = load(audit)
    found = audit.evidence if isinstance(audit, (Audit, SetAudit)) else audit
    code, sentences = gate(found, None if max_tpr is None else (max_tpr, at_fpr), max_epsilon)
    said = " ".join(sentences)
    if code == FAILS:
        raise AssertionError(said)
    if code == TOO_WEAK:
        weak = f"the evidence is too weak to tell: {said}"
        raise unittest.SkipTest(weak) if allow_weak else TooWeakError(weak)
