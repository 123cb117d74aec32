"""Attacks that read the released images alone, for every synthesizer and without a classifier."""
