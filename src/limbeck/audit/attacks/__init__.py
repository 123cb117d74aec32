"""Membership attacks: from the signals of all runs to one score per (run, record)."""
