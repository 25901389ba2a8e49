"""The datasets of CoOp's protocol: what each is called, and where its files are. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

PAGE = "https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md"


@dataclass(frozen=True, kw_only=True)
class Record:
    """A dataset, in the layout of CoOp's DATASETS.md.

    Attributes:
        name: what follows ``--data``.
        called: what files of texts by class call it besides, those of CuPL (Pratt et al., ICCV 2023) and of "visual
            descriptors" (Menon and Vondrick, ICLR 2023) among them.
        summary: one line.
        target: its opener.
        folder: its folder below XM_DATA.
        images: in that folder, what the paths of items are relative to; "" is the folder itself.
        listing: in that folder, the file that lists items or classes.
        section: of `PAGE`: how to get it.
        templates: whose templates of ``templates.json`` it uses; "" means its own.
        whole: every class must have a folder of images. Of use to what is read by folders.
    """

    name: str
    called: tuple[str, ...] = ()
    summary: str
    target: str = "xm_datasets.coop.dataset:open_split"
    folder: str
    images: str
    listing: str
    section: str
    templates: str = ""
    whole: bool = True

    @property
    def url(self) -> str:
        """Where it says how to get the data and how to lay them out."""
        return f"{PAGE}#{self.section}"


_ALL = (
    Record(
        name="caltech-101",
        called=("cal",),
        summary="Caltech-101 in CoOp's split: 100 classes of objects",
        folder="caltech-101",
        images="101_ObjectCategories",
        listing="split_zhou_Caltech101.json",
        section="caltech101",
    ),
    Record(
        name="oxford-pets",
        called=("pet", "pets"),
        summary="Oxford-IIIT Pets in CoOp's split: 37 breeds",
        folder="oxford_pets",
        images="images",
        listing="split_zhou_OxfordPets.json",
        section="oxfordpets",
    ),
    Record(
        name="stanford-cars",
        called=("car", "cars"),
        summary="Stanford Cars in CoOp's split: 196 models",
        folder="stanford_cars",
        images="",
        listing="split_zhou_StanfordCars.json",
        section="stanfordcars",
    ),
    Record(
        name="oxford-flowers",
        called=("flower", "flowers", "flowers102"),
        summary="Oxford Flowers 102 in CoOp's split: 102 flowers",
        folder="oxford_flowers",
        images="jpg",
        listing="split_zhou_OxfordFlowers.json",
        section="flowers102",
    ),
    Record(
        name="food-101",
        called=("food",),
        summary="Food-101 in CoOp's split: 101 dishes",
        folder="food-101",
        images="images",
        listing="split_zhou_Food101.json",
        section="food101",
    ),
    Record(
        name="fgvc-aircraft",
        called=("airplane", "aircraft"),
        summary="FGVC-Aircraft: 100 variants, its own splits",
        target="xm_datasets.coop.aircraft:open_aircraft",
        folder="fgvc_aircraft",
        images="images",
        listing="variants.txt",
        section="fgvcaircraft",
    ),
    Record(
        name="sun397",
        called=("sun",),
        summary="SUN397 in CoOp's split: 397 scenes",
        folder="sun397",
        images="SUN397",
        listing="split_zhou_SUN397.json",
        section="sun397",
    ),
    Record(
        name="dtd",
        called=("texture", "textures"),
        summary="Describable Textures in CoOp's split: 47 textures",
        folder="dtd",
        images="images",
        listing="split_zhou_DescribableTextures.json",
        section="dtd",
    ),
    Record(
        name="eurosat",
        summary="EuroSAT in CoOp's split: 10 kinds of land from above",
        folder="eurosat",
        images="2750",
        listing="split_zhou_EuroSAT.json",
        section="eurosat",
    ),
    Record(
        name="ucf101",
        called=("ucf",),
        summary="Middle frames of UCF101 in CoOp's split: 101 actions",
        folder="ucf101",
        images="UCF-101-midframes",
        listing="split_zhou_UCF101.json",
        section="ucf101",
    ),
    Record(
        name="imagenet",
        summary="ImageNet (ILSVRC 2012): 1000 classes; its val is the test split",
        target="xm_datasets.coop.imagenet:open_imagenet",
        folder="imagenet",
        images="images",
        listing="classnames.txt",
        section="imagenet",
    ),
    Record(
        name="imagenet-v2",
        summary="ImageNetV2, matched frequency: a test set for ImageNet's 1000 classes",
        target="xm_datasets.coop.shifted:open_by_number",
        folder="imagenetv2",
        images="imagenetv2-matched-frequency-format-val",
        listing="classnames.txt",
        section="imagenetv2",
        templates="imagenet",
    ),
    Record(
        name="imagenet-sketch",
        summary="ImageNet-Sketch: a test set for ImageNet's 1000 classes",
        target="xm_datasets.coop.shifted:open_by_wnid",
        folder="imagenet-sketch",
        images="images",
        listing="classnames.txt",
        section="imagenet-sketch",
        templates="imagenet",
    ),
    Record(
        name="imagenet-a",
        summary="ImageNet-A: a test set of 200 of ImageNet's 1000 classes",
        target="xm_datasets.coop.shifted:open_by_wnid",
        folder="imagenet-adversarial",
        images="imagenet-a",
        listing="classnames.txt",
        section="imagenet-a",
        templates="imagenet",
        whole=False,
    ),
    Record(
        name="imagenet-r",
        summary="ImageNet-R: a test set of 200 of ImageNet's 1000 classes",
        target="xm_datasets.coop.shifted:open_by_wnid",
        folder="imagenet-rendition",
        images="imagenet-r",
        listing="classnames.txt",
        section="imagenet-r",
        templates="imagenet",
        whole=False,
    ),
)

RECORDS = {record.name: record for record in _ALL}
"""By name."""
