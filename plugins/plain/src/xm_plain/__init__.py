"""Encoders without weights: pixels, log-mel pictures, and several encoders side by side; views."""
