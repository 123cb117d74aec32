"""Everything that a differential-privacy guarantee rests on, to be reviewed in one sitting.

records.py    statistics of one record alone, bounded, and rounded to whole steps of a grid
sums.py       their exact sums over records: vectors, vectors by class, and products
noise.py      exact discrete Gaussian noise, and why the continuous curve covers it
gaussian.py   from noise to (epsilon, delta) and back, exactly, for Gaussian noise
accountant.py the ledger as events of dp_accounting, and their epsilon by privacy loss distributions
entropy.py    uniform integers and coins, from the operating system's entropy
sampled.py    Poisson-sampled Gaussian steps, declared beforehand
shards.py     disjoint parts of the records, whose bounded answers are summed with noise
blocks.py     answers of several sets of records: side by side, on the grid, with noise
queries.py    a noisy sum as it is asked for: its sensitivity, and the event that it becomes
noisy_sum.py  a sum with its noise, drawn once
ledger.py     what is spent, on which events, what they come to; more than there is is refused
budget.py     the owner of the private data: it spends before it answers
selection.py  the best of several runs: what the choice costs, and its secret number of runs
score.py      noisy counts of right predictions, on units that are set aside by a hash
accuracy.py   an accuracy that may be published, with its interval
shared.py     the clean sums of all shadow runs of an audit at once; no release goes through it
composition.py  what several releases come to together, and one on all of the data behind a slice
owed.py       what the cards of earlier releases say that they cost, and whether it adds up
statement.py  the claim of a release as its card, ``--json`` and sentences state it
digits.py     epsilon, delta and mu on paper, rounded up
words.py      a guarantee in sentences, for cards and the command line
claim.py      the options epsilon, delta, adjacency and unit of every private method

Not covered, here or by anything that rests on it: how long a computation takes and how much memory
it needs; what errors and progress messages reveal to who runs the method (they are not released);
the correctness of PyTorch and the operating system's entropy; and side channels of the
machine. That a network's row for one record does not depend on the other rows of its batch is
assumed of PyTorch's kernels and looked for by ``records.varies``.
"""
