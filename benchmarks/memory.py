"""Whether a worker child grows: many images through one child, and its memory along the way.

``python -m benchmarks.memory`` runs ``triage up`` with one worker on an empty home, drops small X-rays into its inbox
(of 20: 18 JPEG, 1 DICOM, 1 DICOM in JPEG 2000), and samples the memory of the child, and of its decoding process, as
they are classified. Prints a table, or JSON with ``--json``; ``--plot FILE.png`` draws the curve (needs matplotlib).
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image as Picture
from pydicom.uid import JPEG2000Lossless
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.pictures import with_comment
from benchmarks.running import running_stack
from triage.records import DONE
from triage.samples import draw_radiograph, make_uid, write_dicom

HEIGHT, WIDTH = 600, 480
DRAWN = 12
LOT = 500
console = Console(stderr=True)


class Pictures:
    """Distinct files without end, made of a few drawings."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._drawn = [draw_radiograph(np.random.default_rng(seed), HEIGHT, WIDTH) for seed in range(DRAWN)]
        self._jpegs = []
        for pixels in self._drawn:
            buffer = io.BytesIO()
            Picture.fromarray(pixels).save(buffer, "JPEG", quality=85)
            self._jpegs.append(buffer.getvalue())

    def drop(self, number: int, inbox: Path) -> None:
        """Puts file ``number`` into the inbox at once."""
        if number % 10:
            (self._folder / "one").write_bytes(with_comment(self._jpegs[number % DRAWN], str(number)))
        else:
            self._write_dicom(number)
        (self._folder / "one").rename(inbox / f"{number:06}")

    def _write_dicom(self, number: int) -> None:
        pixels = self._drawn[number % DRAWN].astype(np.uint16) * 16
        more: dict[str, Any] = {"SOPInstanceUID": make_uid("memory", number), "BitsStored": 12, "HighBit": 11}
        if number % 20 == 0:
            more["codestream"] = bytes(
                imagecodecs.jpeg2k_encode(pixels, reversible=True, codecformat="j2k", bitspersample=12)
            )
            more["transfer_syntax"] = JPEG2000Lossless
        write_dicom(self._folder / "one", pixels, WindowCenter=2048, WindowWidth=4096, **more)


def measure(images: int, every: int) -> list[dict[str, float]]:
    """Samples: images done, megabytes of child and decoder, seconds."""
    with tempfile.TemporaryDirectory(prefix="triage-memory-") as name:
        folder, home = Path(name), Path(name) / "home"
        pictures = Pictures(folder)
        with running_stack(home, {"workers": 1, "quiet_seconds": 0.2}) as stack, Progress(console=console) as progress:
            began = time.monotonic()
            samples: list[dict[str, float]] = []
            dropped = done = 0
            task = progress.add_task("images", total=images)
            while done < images:
                while dropped < min(images, done + 2 * LOT):
                    pictures.drop(dropped, home / "inbox")
                    dropped += 1
                time.sleep(0.5)
                done = stack.count(DONE)
                progress.update(task, completed=done)
                if done >= every * (len(samples) + 1) or done == images:
                    held = stack.memory()
                    samples.append(
                        {
                            "images": done,
                            "child_megabytes": round(held.get("worker child", 0) / 1e6, 1),
                            "decoder_megabytes": round(held.get("decoder", 0) / 1e6, 1),
                            "seconds": round(time.monotonic() - began, 1),
                        }
                    )
                stack.check()
            return samples


def draw(samples: list[dict[str, float]], file: Path) -> None:
    """The curve as a picture."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    done = [sample["images"] for sample in samples]
    for key, title in (("child_megabytes", "worker child"), ("decoder_megabytes", "its decoding process")):
        axes.plot(done, [sample[key] for sample in samples], label=title)
    axes.set(xlabel="images done", ylabel="resident memory, MB", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(file, dpi=110)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--every", type=int, default=1_000, metavar="N", help="images between two samples")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    samples = measure(options.images, options.every)
    warm = [sample["child_megabytes"] for sample in samples[1:]] or [samples[0]["child_megabytes"]]
    growth = (max(warm) - warm[0]) / warm[0]
    if options.plot:
        draw(samples, options.plot)
    if options.json:
        print(json.dumps({"samples": samples, "growth_after_warm_up": round(growth, 4)}, indent=2))
        return
    table = Table("images done", "child, MB", "decoder, MB", "seconds")
    for sample in samples:
        table.add_row(*(f"{value:g}" for value in sample.values()))
    Console().print(table)
    print(f"largest growth of the child after the second sample: {growth:.1%}")


if __name__ == "__main__":
    main()
