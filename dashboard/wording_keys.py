"""The list of keys."""

from __future__ import annotations

BUTTON = "Keys"
TITLE = "Keys"
CLOSE = "Close"
GROUPS = (
    (
        "Worklist",
        (
            (("J", "↓"), "opens the next study, on the next page too"),
            (("K", "↑"), "opens the one before"),
        ),
    ),
    (
        "Study",
        (
            (("→", "←"), "the next of the study's images, the one before"),
            (("B",), "puts another image of the study beside the open one; again: takes it away"),
        ),
    ),
    (
        "Picture",
        (
            (("+", "-"), "zoom in and out; so does the wheel"),
            (("F",), "everything as it was at first: fits, upright, its own window"),
            (("T",), "turns it by a quarter"),
            (("I",), "black becomes white"),
            (("W",), "the next window of a DICOM picture"),
            (("H",), "where the model looked"),
            (("Drag",), "moves it"),
            (("Right button", "Shift + drag"), "window or brightness: across the width, up and down the centre"),
        ),
    ),
    (
        "Verdict",
        (
            (("A",), "agree"),
            (("X",), "another type; then 1 to 9 choose, X goes back"),
            (("N",), "no fracture"),
            (("O",), "other"),
            (("U",), "unreadable"),
            (("Z",), "takes the verdict back"),
        ),
    ),
    ("Everywhere", ((("?",), "this list"), (("Esc",), "closes it"))),
)
"""Each group with its keys and what they do."""
