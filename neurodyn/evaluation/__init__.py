"""Metrics of decoding and of predicted activity: see README.md."""

from neurodyn.evaluation.metrics import Score, bits_per_spike, correlation, r2, score, summarise

__all__ = ["Score", "bits_per_spike", "correlation", "r2", "score", "summarise"]
