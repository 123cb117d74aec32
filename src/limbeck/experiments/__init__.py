"""Experiments: many mechanisms compared under one plan, and the papers' claims tried again."""
