"""``python -m limbeck`` is the command line."""

import sys

from limbeck.cli import main

sys.exit(main())
