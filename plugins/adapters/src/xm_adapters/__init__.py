"""Strategies: adapters of features, by cache or by bottleneck."""
