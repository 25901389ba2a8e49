"""Decoding that encoders share. `images` needs the extra ``xm-core[images]``, `sounds` needs ``xm-core[sounds]``."""
