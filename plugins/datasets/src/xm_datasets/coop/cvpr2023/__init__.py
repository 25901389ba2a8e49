"""The benchmark `cvpr2023`: table 1 of Lin et al. (CVPR 2023) on the datasets that are at hand."""
