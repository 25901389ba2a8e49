"""Strategies: linear heads, from class means to partial finetuning."""
