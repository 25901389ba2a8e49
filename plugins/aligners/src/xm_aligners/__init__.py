"""Aligners: from pairs, from class names, and by meta-learning; their objectives."""
