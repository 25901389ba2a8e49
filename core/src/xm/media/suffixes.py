"""Suffixes of the files that xm's readers of images, sounds and videos decode. Imports nothing.

They follow the libraries: what Pillow opens, what libsndfile reads, what libav reads of sounds and videos. A test
holds them against the libraries that are installed.
"""

IMAGES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff"),
    *(".avif", ".avifs", ".heic", ".heif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".pfm", ".tga", ".icb", ".vda", ".vst", ".pcx", ".dcx", ".ico", ".icns", ".cur"),
    *(".psd", ".qoi", ".dds", ".sgi", ".rgb", ".rgba", ".bw", ".ras", ".xbm", ".xpm", ".msp", ".im", ".iim"),
    *(".blp", ".fit", ".fits", ".flc", ".fli", ".ftc", ".ftu", ".gbr", ".pcd", ".pxr"),
)
"""By Pillow, most used first; `.heic` and `.heif` by pillow-heif."""

LIBSNDFILE = (
    *(".wav", ".wave", ".flac", ".ogg", ".oga", ".mp3", ".opus", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf"),
    *(".w64", ".rf64", ".mp2", ".nist", ".sph", ".voc", ".8svx", ".iff", ".svx", ".avr", ".htk", ".paf", ".pvf"),
    *(".sds", ".sf", ".wve"),
)
"""Sounds by libsndfile; what of them it can't read, libav is asked for."""

LIBAV_SOUNDS = (
    *(".m4a", ".m4b", ".aac", ".wma", ".amr", ".awb", ".mka", ".weba", ".ac3", ".eac3", ".dts", ".ape", ".wv", ".tta"),
    *(".mpc", ".spx", ".mpga", ".ra", ".3ga"),
)
"""Sounds by libav alone."""

EITHER = (".mp4", ".webm", ".mkv", ".mov", ".3gp", ".3g2", ".asf")
"""Sounds or videos: recorders write sounds alone into these containers too. `xm.media.streams` looks into them."""

SOUNDS = (*LIBSNDFILE, *LIBAV_SOUNDS, *EITHER)
"""By libsndfile, or else by libav."""

VIDEOS = (
    *EITHER,
    *(".m4v", ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".f4v", ".mts", ".m2ts", ".ts", ".vob", ".m2v"),
    *(".qt", ".mxf", ".divx", ".ogm", ".rm", ".rmvb", ".dv", ".mj2", ".nut", ".y4m", ".ivf"),
)
"""By libav. A .gif can be read as a video too, but its suffix says image."""
