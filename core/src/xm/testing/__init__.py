"""The kit that a plugin's author runs: subclass, give one fixture, get a suite."""

from xm.testing.encoders import EncoderConformance

__all__ = ["EncoderConformance"]
