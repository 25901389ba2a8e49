"""The encoder `torch`."""
