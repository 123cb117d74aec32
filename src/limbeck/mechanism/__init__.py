"""Mechanisms: private data in, release out; the things that are audited."""
