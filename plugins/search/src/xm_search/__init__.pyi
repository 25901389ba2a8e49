import xm

from .building import build as build, open_index as open_index
from .index import Hit as Hit, Index as Index

def commands() -> list[xm.CommandSpec]: ...
