from . import (
    images as images,
    lengths as lengths,
    sounds as sounds,
    streams as streams,
    suffixes as suffixes,
    videos as videos,
)
