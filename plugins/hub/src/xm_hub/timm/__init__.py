"""The encoder `timm`."""
