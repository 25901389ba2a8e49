"""Video encoders on encoders of images and sounds: `frames`, `temporal`, `track`; and `track-audio`."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.media.suffixes import VIDEOS
from xm.plugins import ANY


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="frames",
            target="xm_frames.encoder:Frames",
            summary="videos as the mean of frames in the space of an image encoder",
            modality="video",
            suffixes=VIDEOS,
            argument="an image encoder, the default one if left out, and ?n=8&sampling=uniform (or dense)&stride=8",
            available="xm_frames.available:images",
            priority=10,
        ),
        EncoderSpec(
            name="temporal",
            target="xm_frames.temporal:Temporal",
            summary="as frames, with attention over time that can be trained (depth 1)",
            modality="video",
            suffixes=VIDEOS,
            argument="as of frames, and layers=1",
            available="xm_frames.available:images",
        ),
        EncoderSpec(
            name="track",
            target="xm_frames.track:Track",
            summary="videos by their sound track, in the space of a sound encoder",
            modality="video",
            suffixes=VIDEOS,
            argument="a sound encoder with its argument; the default one if left out",
            available="xm_frames.available:sounds",
        ),
        EncoderSpec(
            name="track-audio",
            target="xm_frames.track:TrackAudio",
            summary="as a sound encoder, which then also reads the tracks of videos",
            modality=ANY,
            argument="a sound encoder with its argument",
            available="xm_frames.available:by_name",
        ),
    ]
