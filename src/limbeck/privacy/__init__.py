"""Everything that a differential-privacy guarantee rests on, to be reviewed in one sitting.

records.py    statistics of one record alone, bounded, rounded to a grid and summed exactly
noise.py      discrete Gaussian noise from a secure source, and why the continuous curve covers it
accountant.py from noise to (epsilon, delta), and back
budget.py     the owner of the private data: it spends before it answers, and writes the ledger
"""
