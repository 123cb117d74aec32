"""Coreset selectors: synthesizers whose output is a choice of private records."""
