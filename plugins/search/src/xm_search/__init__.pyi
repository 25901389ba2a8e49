from xm import CommandSpec

from .building import build as build
from .building import open_index as open_index
from .index import Hit as Hit
from .index import Index as Index

def commands() -> list[CommandSpec]: ...
