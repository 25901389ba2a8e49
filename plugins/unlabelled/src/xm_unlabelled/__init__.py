"""Strategies and rules that learn from items without labels."""
