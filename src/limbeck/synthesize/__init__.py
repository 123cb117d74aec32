"""Synthesizers: private dataset in, synthetic dataset out."""

from limbeck.synthesize.base import Reading, SumSynthesizer, Synthesizer

__all__ = ["Reading", "SumSynthesizer", "Synthesizer"]
