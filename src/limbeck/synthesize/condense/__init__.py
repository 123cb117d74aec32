"""Condensers: synthetic images optimised to stand in for the private ones, one file a method."""
