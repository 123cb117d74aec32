"""The helper for test suites says what the exit codes say: holds, does not, too weak to tell."""

from pathlib import Path

import numpy as np
import pytest

from limbeck.audit.from_signals import audit_signals
from limbeck.audit.gate import gate
from limbeck.audit.given_signals import Signals
from limbeck.audit.result import Audit
from limbeck.errors import OptionError, StoreError
from limbeck.testing import TooWeakError, assert_private

pytestmark = pytest.mark.usefixtures("whole_audits")

pytest_plugins = ["pytester"]


def audited(shift: float, folder: Path, runs: int = 20) -> Audit:
    """An audit of 150 records whose one signal is shifted by ``shift`` where they are in."""
    g = np.random.default_rng(0)
    membership = g.random((runs, 150)) < 0.5
    signals = g.standard_normal((runs, 1, 150)) + shift * membership[:, None]
    return audit_signals(Signals(signals.astype(np.float32), membership), store=folder)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return audited(0.0, tmp_path_factory.mktemp("quiet"))


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return audited(3.0, tmp_path_factory.mktemp("leaky"))


def test_a_limit_that_holds_passes_whatever_form_the_audit_is_in(quiet: Audit) -> None:
    assert gate(quiet.evidence, (0.2, 0.1))[0] == 0
    for form in (quiet, quiet.evidence, quiet.folder, str(quiet.folder)):
        assert_private(form, max_tpr=0.2, at_fpr=0.1)


def test_a_broken_limit_fails_with_the_sentences_of_all_limits(leaky: Audit) -> None:
    with pytest.raises(AssertionError, match=r"names at least .* Epsilon at most 8") as caught:
        assert_private(leaky, max_tpr=0.2, at_fpr=0.1, max_epsilon=8.0, allow_weak=True)
    assert not isinstance(caught.value, TooWeakError)


def test_weak_evidence_is_no_pass(quiet: Audit) -> None:
    # 0.1% of some 1,500 trials are not ten false positives.
    with pytest.raises(TooWeakError, match=r"too weak to tell: TPR .* cannot resolve"):
        assert_private(quiet, max_tpr=0.9, at_fpr=0.001)
    with pytest.raises(TooWeakError, match="no guarantee is known"):
        assert_private(quiet, max_epsilon=1000.0)


def test_a_suite_may_skip_where_the_evidence_is_weak(
    quiet: Audit, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        f"""
        from limbeck.testing import assert_private

        def test_strict():
            assert_private({str(quiet.folder)!r}, max_tpr=0.9, at_fpr=0.001)

        def test_lenient():
            assert_private({str(quiet.folder)!r}, max_tpr=0.9, at_fpr=0.001, allow_weak=True)

        def test_kept():
            assert_private({str(quiet.folder)!r}, max_tpr=0.2, at_fpr=0.1)
        """
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(
        passed=1, failed=1, skipped=1
    )


def test_there_must_be_a_limit_and_an_audit(quiet: Audit, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="there is no limit to hold"):
        assert_private(quiet)
    with pytest.raises(OptionError, match=r"there are: 0\.001, 0\.01, 0\.1"):
        assert_private(quiet, max_tpr=0.1, at_fpr=0.3)
    with pytest.raises(StoreError, match="no finished audit"):
        assert_private(tmp_path, max_tpr=0.1)
