"""Encoders of the Hugging Face hub by name: timm, transformers, sentence-transformers, CLAP."""
