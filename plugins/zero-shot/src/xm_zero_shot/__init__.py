"""Strategies and rules: classifiers from class names alone, and from what classes have in common."""
