"""The datasets: which class of images goes with which class of sounds. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Pair(NamedTuple):
    """A class.

    Attributes:
        name: in words: what the image dataset calls it, as Lin et al. take it for text.
        images: its folder: a WordNet id, or Caltech-101's name.
        sounds: its category in ``esc50.csv``, or its folder in ESC-10 without the number.
    """

    name: str
    images: str
    sounds: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """A dataset.

    Attributes:
        name: what follows ``--data``.
        summary: one line.
        target: its opener.
        pairs: its classes, in the order of labels.
    """

    name: str
    summary: str
    target: str
    pairs: tuple[Pair, ...]


IMAGENET_ESC_27 = (
    Pair("rooster", "n01514668", "rooster"),
    Pair("hen", "n01514859", "hen"),
    Pair("chickadee", "n01592084", "chirping_birds"),
    Pair("tree frog", "n01644373", "frog"),
    Pair("Otterhound", "n02091635", "dog"),
    Pair("Egyptian Mau", "n02124075", "cat"),
    Pair("fly", "n02190166", "insects"),
    Pair("cricket insect", "n02229544", "crickets"),
    Pair("pig", "n02395406", "pig"),
    Pair("bighorn sheep", "n02415577", "sheep"),
    Pair("airliner", "n02690373", "airplane"),
    Pair("high-speed train", "n02917067", "train"),
    Pair("can opener", "n02951585", "can_opening"),
    Pair("chainsaw", "n03000684", "chainsaw"),
    Pair("church", "n03028079", "church_bells"),
    Pair("computer keyboard", "n03085013", "keyboard_typing"),
    Pair("digital clock", "n03196217", "clock_alarm"),
    Pair("fire screen", "n03347037", "crackling_fire"),
    Pair("computer mouse", "n03793489", "mouse_click"),
    Pair("toilet seat", "n04447861", "toilet_flush"),
    Pair("vacuum cleaner", "n04517823", "vacuum_cleaner"),
    Pair("wall clock", "n04548280", "clock_tick"),
    Pair("sink", "n04553703", "water_drops"),
    Pair("washing machine", "n04554684", "washing_machine"),
    Pair("water bottle", "n04557648", "drinking_sipping"),
    Pair("water jug", "n04560804", "pouring_water"),
    Pair("sandbar", "n09421951", "sea_waves"),
)
"""In the order of ImageNet's labels, with CLIP's names of its classes."""

LOOSE = (
    "can_opening",
    "church_bells",
    "crackling_fire",
    "toilet_flush",
    "water_drops",
    "drinking_sipping",
    "pouring_water",
    "sea_waves",
)
"""The sounds of the 27 whose image shows where they may be heard, not what makes them: they are not in the 19."""

IMAGENET_ESC_19 = tuple(pair for pair in IMAGENET_ESC_27 if pair.sounds not in LOOSE)

CALTECH_ESC = (
    Pair("face", "Faces", "Person sneeze"),
    Pair("dalmatian", "dalmatian", "Dog bark"),
    Pair("helicopter", "helicopter", "Helicopter"),
    Pair("ketch", "ketch", "Sea waves"),
    Pair("rooster", "rooster", "Rooster"),
    Pair("watch", "watch", "Clock tick"),
)

_ALL = (
    Record(
        name="imagenet-esc-19",
        summary="ImageNet and ESC-50: 19 classes seen and heard (Lin et al.)",
        target="xm_datasets.imagenet_esc.dataset:open_imagenet_esc",
        pairs=IMAGENET_ESC_19,
    ),
    Record(
        name="imagenet-esc-27",
        summary="ImageNet and ESC-50: those 19 classes and 8 of a looser match (Lin et al.)",
        target="xm_datasets.imagenet_esc.dataset:open_imagenet_esc",
        pairs=IMAGENET_ESC_27,
    ),
    Record(
        name="caltech-esc",
        summary="Caltech-101 and ESC-10: 6 classes seen and heard",
        target="xm_datasets.imagenet_esc.dataset:open_caltech_esc",
        pairs=CALTECH_ESC,
    ),
)

RECORDS = {record.name: record for record in _ALL}
"""By name."""
