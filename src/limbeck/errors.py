"""Errors a user can act on: one line that names the input, its shape and the next step."""


class LimbeckError(Exception):
    """Base of every error limbeck raises on purpose; the command line prints it as one line."""


class DatasetError(LimbeckError):
    """The private, test or synthetic data cannot be used as given."""


class OptionError(LimbeckError):
    """An option, method name or recipe is wrong or does not fit the data."""


class StoreError(LimbeckError):
    """A file or store limbeck wrote is missing, damaged, or belongs to something else."""


class BudgetError(LimbeckError):
    """A query of private data would spend more than the privacy budget has left."""


class DataWarning(UserWarning):
    """Records were left out of the data: for the data's owner, and no part of any release."""
