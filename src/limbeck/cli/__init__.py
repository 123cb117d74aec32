"""The command line: one module per command, heavy packages imported only inside commands."""

from limbeck.cli.app import main

__all__ = ["main"]
