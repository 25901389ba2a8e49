"""The encoder `sentence_transformers`."""
