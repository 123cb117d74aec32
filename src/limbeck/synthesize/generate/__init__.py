"""Generators: synthesizers that draw records instead of optimising or choosing them."""
