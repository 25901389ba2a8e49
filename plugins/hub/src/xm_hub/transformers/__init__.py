"""The encoder `transformers`."""
