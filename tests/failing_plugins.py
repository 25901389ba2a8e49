"""The head of files with plugins that fail, and the command that meets them: for tests of what the program says."""

from __future__ import annotations

HEAD = """
from dataclasses import replace
import torch
import xm
from xm import *
from xm.learning import Argmax, LinearProbe
from xm.data import View
import toy_plugin

__version__ = "1.2"
Words = type(toy_plugin.make_word_encoder(""))

def boom(*args, **kwargs):
    return {}[args and "key"]
"""

TRAIN = ("train", "-m", "word", "--data", "toys", "--shots", "1", "--seeds", "1", "--no-baselines", "--out", "run")
