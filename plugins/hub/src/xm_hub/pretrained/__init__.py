"""Encoders by transformers, which the plugins `transformers` and `laion-clap` share."""
