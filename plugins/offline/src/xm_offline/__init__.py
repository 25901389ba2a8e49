"""Encoders whose weights come from the package registry: images, texts, sounds."""
