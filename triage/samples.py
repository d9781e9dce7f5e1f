"""Sample files around synthetic radiographs, as an inbox might receive them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from triage.anatomy import Fracture, View, ankle, femur, forearm, hand, shin, upper_arm
from triage.synthetic import HEIGHT, WIDTH, draw_radiograph, expose_view

__all__ = ["draw_radiograph", "make_uid", "write_dicom", "write_samples"]


def make_uid(*parts: object) -> str:
    """A DICOM UID that is always the same for the same parts (the 2.25 root, PS3.5 annex B.2)."""
    from pydicom.uid import generate_uid

    return generate_uid(prefix="2.25.", entropy_srcs=[repr(part) for part in parts])


def write_dicom(
    path: Path,
    pixels: npt.NDArray[Any] | None,
    *,
    transfer_syntax: str = "1.2.840.10008.1.2.1",
    codestream: bytes | None = None,
    **attributes: Any,
) -> Path:
    """Write a minimal digital X-ray image, or with None for the pixels one that has lost them.

    Args:
        path: where to.
        pixels: (rows, columns) or (rows, columns, 3), uint8, uint16 or int16, as stored: not windowed, not
            inverted.
        transfer_syntax: UID; Explicit VR Little Endian unless told otherwise. Must be an uncompressed one or
            RLE, or that of the codestream.
        codestream: the pixels, compressed; None to write them as they are.
        **attributes: DICOM keywords and values, set last: they replace what would be there. None leaves one out.

    Returns:
        The path.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, RLELossless

    name = path.name
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = make_uid(name, "image")
    dataset.StudyInstanceUID = make_uid(name, "study")
    dataset.SeriesInstanceUID = make_uid(name, "series")
    dataset.PatientName = "SYNTHETIC^SAMPLE"
    dataset.PatientID = "SYNTHETIC"
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    encapsulated = UID(transfer_syntax).is_encapsulated
    if pixels is not None:
        dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
        dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
        if pixels.ndim == 3:
            dataset.PlanarConfiguration = 0
        dataset.Rows, dataset.Columns = pixels.shape[:2]
        dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        big_endian = transfer_syntax == "1.2.840.10008.1.2.2"
        data = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<")).tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)
        dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1" if encapsulated else transfer_syntax)
    if codestream is not None:
        dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax)
        dataset.PixelData = encapsulate([codestream])
        dataset["PixelData"].VR = "OB"
    elif transfer_syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
    for keyword, value in attributes.items():
        if value is None:
            if keyword in dataset:
                delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_samples(directory: Path, *, seed: int = 0) -> list[Path]:
    """Write a dozen synthetic radiographs and three broken files, as an inbox might receive them.

    Five JPEG, four PNG (one with 16 bits), three DICOM (MONOCHROME1; 12 bits with a window; 12 bits without
    one; the first two are one study), and `broken-*`: a JPEG cut short, text named .jpg, a DICOM file without
    pixels.

    Args:
        directory: is made where it is missing; files of the same names are replaced.
        seed: the same seed writes the same bytes.

    Returns:
        The paths, in the order in which they were written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    views: dict[str, View] = {
        "forearm-oblique-01.jpg": forearm(Fracture(0.56, 0.85, 0.10, 0.16, 0.015)),
        "forearm-both-bones-02.jpg": forearm(
            Fracture(0.50, 0.25, 0.06, 0.75, 0.05), Fracture(0.50, -0.2, 0.08, 0.5, 0.035)
        ),
        "ankle-fibula-03.jpg": ankle(Fracture(0.80, 0.95, 0.16, 0.28, 0.03)),
        "femur-shaft-04.jpg": femur(Fracture(0.52, 0.45, -0.5, 0.95, -0.06)),
        "hand-metacarpal-05.jpg": hand(Fracture(0.66, 0.35, 0.05, 0.2, 0.30)),
        "shin-spiral-06.png": shin(Fracture(0.62, 0.50, 0.10, -0.09, -0.01, 1.3)),
        "upper-arm-transverse-07.png": upper_arm(Fracture(0.52, 0.10, 0.12, 0.35, -0.05)),
        "forearm-hairline-08.png": forearm(Fracture(0.70, 0.5, 0.045), lean=0.02),
        "shin-both-bones-09-16bit.png": shin(
            Fracture(0.66, 0.3, 0.1, 0.42, 0.035), Fracture(0.60, -0.6, 0.1, -0.7, 0.03)
        ),
        "wrist-monochrome1-10.dcm": forearm(Fracture(0.88, 0.2, -0.05, -0.22, -0.12)),
        "ankle-windowed-11.dcm": ankle(Fracture(0.72, 0.7, 0.1, 0.4, 0.04), Fracture(0.93, 0.9, 0.03)),
        "upper-arm-spiral-12.dcm": upper_arm(Fracture(0.58, 0.60, 0.12, -0.12, -0.02, 1.2)),
    }
    written: list[Path] = []
    whole = b""
    for number, (name, view) in enumerate(views.items()):
        rng = np.random.default_rng([seed, number])
        path = directory / name
        pixels = expose_view(rng, view, HEIGHT, WIDTH)
        if path.suffix == ".dcm":
            _write_dicom_sample(path, pixels, seed)
        elif path.suffix == ".jpg":
            Image.fromarray(pixels).save(path, "JPEG", quality=88)
        elif "16bit" in name:
            Image.fromarray(pixels.astype(np.uint16) * 257).save(path, "PNG", compress_level=1)
        else:
            Image.fromarray(pixels).save(path, "PNG", compress_level=1)
        if not written:
            whole = path.read_bytes()  # at once: a watcher may take it away before the last is written
        written.append(path)
    return [*written, *_write_broken(directory, whole, seed)]


def _write_dicom_sample(path: Path, pixels: npt.NDArray[np.uint8], seed: int) -> None:
    twelve_bits: dict[str, Any] = {"BitsStored": 12, "HighBit": 11}
    uids: dict[str, Any] = {
        "SOPInstanceUID": make_uid(seed, path.name),
        "StudyInstanceUID": make_uid(seed, "study", "upper-arm" if "upper-arm" in path.name else "shared"),
        "SeriesInstanceUID": make_uid(seed, "series", path.name),
        "ImagerPixelSpacing": [0.2, 0.2],
    }
    if "monochrome1" in path.name:
        write_dicom(
            path,
            255 - pixels,
            PhotometricInterpretation="MONOCHROME1",
            PresentationLUTShape="INVERSE",
            **uids,
        )
    elif "windowed" in path.name:
        raw = (400 + pixels.astype(np.uint16) * 10).astype(np.uint16)
        write_dicom(path, raw, WindowCenter=1675, WindowWidth=2551, **twelve_bits, **uids)
    else:
        write_dicom(path, (200 + pixels.astype(np.uint16) * 14).astype(np.uint16), **twelve_bits, **uids)


def _write_broken(directory: Path, whole: bytes, seed: int) -> list[Path]:
    cut = directory / "broken-truncated.jpg"
    cut.write_bytes(whole[: len(whole) * 3 // 5])
    text = directory / "broken-text.jpg"
    text.write_text("This is a text file that somebody renamed to .jpg.\n" * 4, encoding="utf-8")
    empty = write_dicom(
        directory / "broken-no-pixels.dcm",
        None,
        SOPInstanceUID=make_uid(seed, "no pixels"),
        StudyInstanceUID=make_uid(seed, "study", "no pixels"),
        SeriesInstanceUID=make_uid(seed, "series", "no pixels"),
    )
    return [cut, text, empty]
