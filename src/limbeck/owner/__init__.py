"""What the owner of private data keeps to themselves: what was spent of each dataset.

None of it is ever written into a release. ``Book`` is the whole interface.
"""

from limbeck.owner.book import Book, Reserved
from limbeck.owner.sheet import Entry, SetTotal, Sheet
from limbeck.owner.spent import Spent, spent

__all__ = ["Book", "Entry", "Reserved", "SetTotal", "Sheet", "Spent", "spent"]
