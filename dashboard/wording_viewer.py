"""The texts around the picture that is read."""

from __future__ import annotations

PICTURE = "X-ray, image {id}"
HEAT_TITLE = "Where the model looked for “{label}”: coarse, and no outline of a fracture"
VIEWER = {
    "title": "Tools of the picture",
    "closer": ("Zoom in", "+"),
    "further": ("Zoom out", "-"),
    "fit": ("Fit", "F"),
    "turn": ("Turn", "T"),
    "invert": ("Invert", "I"),
    "brightness": ("Brightness", ""),
    "contrast": ("Contrast", ""),
    "heat": ("Where the model looked", "H"),
    "centre": ("Centre", ""),
    "width": ("Width", ""),
    "preset": ("Window", "W"),
    "again": ("Try again", ""),
}
"""Each tool's name and key."""
SHORT = {
    "closer": "+",
    "further": "−",
    "fit": "Fit",
    "turn": "Turn",
    "invert": "Invert",
    "heat": "Model",
    "centre": "C",
    "width": "W",
}
"""Names of tools where two pictures share the place of one."""

WINDOW_NAMES = {
    "file": "as in the file",
    "own": "file's window {number}",
    "named": "{name} (file)",
    "full": "full range",
    "robust": "without extremes",
    "chosen": "chosen by hand",
}
WINDOW_SLOW = "The picture is being drawn with this window; until then the brightness is about right only"
WINDOW_WORKING = "Reading the file's own values"
WINDOW_REFUSED = "The picture cannot be drawn with another window. What you see is the stored picture, as before."
WINDOW_MISSING = "The original is not on disk any more: no other window can be drawn. The stored picture stays."
WINDOW_TROUBLE = {
    "decoder_crashed": "The program that draws windows broke down and starts anew. The picture stays as it was.",
    "decoder_too_slow": "Drawing with another window takes too long. The picture stays as it was.",
    "decoder_out_of_memory": "Drawing with another window takes more memory than it may. The picture stays as it was.",
}

BESIDE = "Beside"
BESIDE_HELP = "Shows image {number} beside the open one"
BESIDE_AWAY = "Take away"
BESIDE_AWAY_HELP = "Takes image {number} away from beside the open one"
WHICH = {"open": "Open", "beside": "Beside"}
WHICH_HELP = {"open": "Verdicts are for this one", "beside": "To compare with; verdicts are for the open one"}
