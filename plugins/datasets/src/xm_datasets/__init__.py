"""Datasets: CoOp's protocol, ImageNet-ESC, precomputed features, tar shards."""
