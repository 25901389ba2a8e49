from . import images as images, lengths as lengths, sounds as sounds, videos as videos
