"""What came out, in figures: metrics, paired comparisons, retrieval, the geometry of a space, and the report.

It sees labels, predictions and vectors, and none of what made them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
