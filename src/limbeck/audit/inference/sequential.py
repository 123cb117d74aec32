"""Looking at an audit while its runs come in, and stopping early, without losing the level.

Three ways. Declared looks: each may spend a share of every error, and what holds at each of them
with its share holds at all of them together, whichever bound, interval or test it is and however
the looks depend on each other; audits that stop early use these. Spending without an end: the
k-th look uses ``level_at_look(k)``, for a number of looks that nobody knows. Betting: a test
martingale over independent runs, valid at every run at once and however it is stopped
[Waudby-Smith and Ramdas 2024, arXiv:2010.09686, Section 4; Ville's inequality].
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limbeck.errors import OptionError

FRACTIONS = (0.25, 0.5, 1.0)
"""Of the planned runs, after which an audit that may stop early looks."""

FEWEST_AT_A_LOOK = 8
"""An audit of fewer runs could not tell a leak from luck: nobody looks before."""

_BOLDEST = 0.9
"""Share of the stake that would lose everything on a run without any hit."""


@dataclass(frozen=True)
class Look:
    """A look that is declared beforehand.

    runs: how many there are when it is taken. share: of every error, that it may spend.
    """

    runs: int
    share: float


WHOLE = 1.0
"""The share of an audit that looks once, at its end."""


def declared_looks(runs: int) -> tuple[Look, ...]:
    """The looks at so many planned runs, the last of them at all; their shares sum to 1.

    The error is spent as the runs come in, each look's share being that of the runs since the one
    before: the uniform spending function of Lan and DeMets [1983, doi:10.1093/biomet/70.3.659],
    with the union bound in place of a joint distribution that nobody knows.

    OptionError for fewer than 16 runs, which leave no look before the end.
    """
    counts = sorted({round(share * runs) for share in FRACTIONS})
    counts = [count for count in counts if count >= FEWEST_AT_A_LOOK]
    if runs < 2 * FEWEST_AT_A_LOOK:
        raise OptionError(
            f"{runs} runs leave no look before the end to stop at; plan {2 * FEWEST_AT_A_LOOK} or "
            "more, or do not stop early"
        )
    before = (0, *counts[:-1])
    return tuple(
        Look(count, (count - since) / runs) for count, since in zip(counts, before, strict=True)
    )


def level_within(level: float, share: float) -> float:
    """The confidence at which a look with this share of the error says what ``level`` promises."""
    return 1 - (1 - level) * share


def level_at_look(look: int, level: float = 0.95) -> float:
    """Confidence for the ``look``-th look, from 1: the errors of all looks sum to 1 - level.

    Look k spends (1 - level) / (k (k + 1)) of the error, so their number need not be known.
    """
    if look < 1:
        raise OptionError(f"look is {look}: looks are counted from 1")
    return 1 - (1 - level) / (look * (look + 1))


def evidence_above(rates: Float[np.ndarray, " runs"], limit: float) -> Float[np.ndarray, " runs"]:
    """E-value after each run of "no run's expected rate is above ``limit``": large refutes it.

    rates: a rate in [0, 1] of each run in the order in which they came, for instance the share of
        its members above the threshold (TPR at a realised FPR), or the share of its guesses that
        are right. Expected means given all runs before it: a run's threshold and references come
        from earlier runs or from none that is judged. Within a run anything may depend on
        anything. A run without trials has no rate and is left out beforehand.
    limit: in (0, 1).

    The e-value is the wealth of a bet on every run, prod (1 + stake_k (rate_k - limit)), its stake
    fixed by the runs before. It ever reaches 1/alpha with probability at most alpha.
    """
    if not 0 < limit < 1:
        raise OptionError(f"limit is {limit}: a rate to be exceeded lies between 0 and 1")
    if len(rates) and not (rates.min() >= 0 and rates.max() <= 1):
        raise OptionError(f"rates of {len(rates)} runs are not all in [0, 1]: they are fractions")
    # Growth is fastest near (mean - limit) / (variance + (mean - limit)^2); what is not yet known
    # is taken from one imagined run at the limit with a coin's variance.
    count = np.arange(1, len(rates) + 1)
    before = np.append(0.0, np.cumsum(rates)[:-1])
    mean = (limit + before) / count
    squares = np.append(0.0, np.cumsum((rates - mean) ** 2)[:-1])
    variance = (limit * (1 - limit) / 4 + squares) / count
    gain = mean - limit
    stake = np.clip(gain / (variance + gain**2), 0.0, _BOLDEST / limit)
    return np.cumprod(1 + stake * (rates - limit))


def guess_limit(epsilon: float, delta: float, guesses: int, coins: int) -> float:
    """The largest expected share of right guesses in a run of an (epsilon, delta)-DP mechanism.

    A guess is right with probability R and wrong with W, and R <= e^eps W + delta for each of the
    m coins; over a fixed number r of guesses R + W sums to r, so the share of right ones is at
    most (e^eps + delta m / r) / (e^eps + 1) on average, whatever the dependence. The limit for
    ``evidence_above`` that tests "epsilon is not above this"; at least 1 where nothing can.
    """
    if not 0 < guesses <= coins:
        raise OptionError(f"{guesses} guesses at {coins} coins: guess at one or more, at most all")
    odds = float(np.exp(-epsilon))
    return (1 + odds * delta * coins / guesses) / (1 + odds)
