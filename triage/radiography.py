"""Which DICOM objects are radiographs, unless a clinic says otherwise, and what the others are called."""

from __future__ import annotations

from typing import Final

MODALITIES: Final = frozenset({"CR", "DX", "RG"})
"""Computed and digital radiography, and conventional films that were digitised (PS3.3 C.7.3.1.1.1)."""

SOP_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography Image Storage
        "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray Image Storage - For Presentation
        "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture Image Storage
        "1.2.840.10008.5.1.4.1.1.7.2",  # the multi-frame ones, of a single frame: grey, 8 bits
        "1.2.840.10008.5.1.4.1.1.7.3",  # grey, 16 bits
        "1.2.840.10008.5.1.4.1.1.7.4",  # true colour
    }
)

UNSPECIFIC: Final = frozenset({"", "OT", "SC"})
"""Modalities that do not tell what a picture is: none, other, secondary capture. The SOP class decides."""

OTHER_MODALITIES: Final = {
    "BMD": "bone densitometry",
    "CT": "computed tomography",
    "DOC": "a document",
    "ECG": "an electrocardiogram",
    "ES": "endoscopy",
    "IO": "intra-oral radiography",
    "KO": "a list of key objects",
    "MG": "mammography",
    "MR": "magnetic resonance",
    "NM": "nuclear medicine",
    "OP": "ophthalmic photography",
    "PR": "a presentation state",
    "PT": "positron emission tomography",
    "PX": "panoramic dental radiography",
    "REG": "a registration",
    "RF": "fluoroscopy",
    "RTIMAGE": "a radiotherapy image",
    "SEG": "a segmentation",
    "SM": "slide microscopy",
    "SR": "a structured report",
    "US": "ultrasound",
    "XA": "angiography",
    "XC": "a photograph",
}
