"""Decoders that take one bin at a time."""

from neurodyn.realtime.decoder import LiveEstimate, RealtimeDecoder

__all__ = ["LiveEstimate", "RealtimeDecoder"]
