"""Synthetic radiographs: drawn bones that no patient ever had, for demonstrations, tests and benchmarks.

Bones are drawn the way X-rays see them: each is a tube of dense cortex around a lighter marrow, and what is
shown grows with the length of bone and soft tissue that a ray has to cross. That gives the bright edges of
long bones, and the dark line or bright overlap of a fracture, without painting either. Every picture says
SYNTHETIC in its corner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Floats = npt.NDArray[np.floating[Any]]
Point = tuple[float, float]

HEIGHT, WIDTH = 1250, 1000

# -- Bones ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fracture:
    """A break across a bone.

    Attributes:
        at: where along the bone, 0 to 1.
        angle: of the break to the bone's cross section, in radians; near 0 transverse, near 1 oblique.
        gap: between the ends, as a fraction of the bone's radius.
        shift: of the far fragment sideways, as a fraction of the radius.
        tilt: of the far fragment, in radians.
        spiral: how far the break winds along the bone, as a multiple of the radius.
    """

    at: float
    angle: float = 0.0
    gap: float = 0.1
    shift: float = 0.0
    tilt: float = 0.0
    spiral: float = 0.0


@dataclass(frozen=True)
class Bone:
    """A long bone, in a drawing that is 1 high.

    Attributes:
        start: (x, y) of one end.
        end: (x, y) of the other.
        radius: of the shaft.
        flare_start: radius of the end at `start`, as a multiple of the shaft's.
        flare_end: the same at `end`.
        bow: how far the middle lies off the straight line.
        cortex: thickness of the dense wall, as a fraction of the radius.
        density: 1 for an adult long bone.
        fracture: where it is broken, if it is.
    """

    start: Point
    end: Point
    radius: float
    flare_start: float = 1.6
    flare_end: float = 1.6
    bow: float = 0.0
    cortex: float = 0.36
    density: float = 1.0
    fracture: Fracture | None = None


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> Floats:
    """Noise of about unit variance whose grain is `cell` pixels."""
    coarse = (max(2, round(shape[0] / cell) + 2), max(2, round(shape[1] / cell) + 2))
    grain = Image.fromarray(rng.standard_normal(coarse).astype(np.float32))
    return np.asarray(grain.resize((shape[1], shape[0]), Image.Resampling.BICUBIC), dtype=np.float32)


def _profile(u: Floats, bone: Bone, length: float) -> tuple[Floats, Floats]:
    """Radius and wall thickness (both as fractions of the shaft radius) at `u`, 0 to 1 along the bone."""
    radius = bone.radius
    near = np.exp(-((u * length / (2.6 * radius)) ** 2))
    far = np.exp(-(((1 - u) * length / (2.6 * radius)) ** 2))
    outer = 1 + (bone.flare_start - 1) * near + (bone.flare_end - 1) * far - 0.07 * np.sin(np.pi * u) ** 2
    # The ends are rounded off: an ellipse whose half axis along the bone is its own radius.
    for distance, flare in ((u * length, bone.flare_start), ((1 - u) * length, bone.flare_end)):
        cap = np.clip(distance / (0.75 * flare * radius), 0, 1)
        outer = outer * np.sqrt(np.clip(1 - (1 - cap) ** 2.6, 0, None))
    wall = bone.cortex * (1 - 0.78 * np.maximum(near, far))
    return outer.astype(np.float32), wall.astype(np.float32)


def _tube(u: Floats, v: Floats, bone: Bone, length: float) -> tuple[Floats, Floats]:
    """Length of dense wall and of spongy inside that a ray crosses, in shaft radii; `v` is in shaft radii too."""
    outer, wall = _profile(u, bone, length)
    inner = np.maximum(outer - np.maximum(wall, 0.07), 0)
    v2 = v * v
    whole = np.sqrt(np.clip(outer * outer - v2, 0, None))
    hollow = np.sqrt(np.clip(inner * inner - v2, 0, None))
    return 2 * (whole - hollow), 2 * hollow


def _bone_attenuation(rng: np.random.Generator, bone: Bone, x: Floats, y: Floats) -> Floats:
    """What the bone adds to attenuation at the points (x, y)."""
    (x0, y0), (x1, y1) = bone.start, bone.end
    length = float(np.hypot(x1 - x0, y1 - y0))
    along = ((x1 - x0) / length, (y1 - y0) / length)
    u = ((x - x0) * along[0] + (y - y0) * along[1]) / length
    v = (-(x - x0) * along[1] + (y - y0) * along[0] - bone.bow * np.sin(np.pi * np.clip(u, 0, 1))) / bone.radius

    def cross(u: Floats, v: Floats) -> Floats:
        dense, spongy = _tube(u, v, bone, length)
        ends = np.exp(-((np.minimum(u, 1 - u) * length / (3.4 * bone.radius)) ** 2))
        trabeculae = 1 + 0.16 * grain
        marrow = 0.10 + 0.30 * ends
        return np.asarray(dense * 0.95 + spongy * marrow * trabeculae, dtype=np.float32)

    pixels_per_unit = 1 / max(float(abs(y[1, 0] - y[0, 0])), 1e-6)
    grain = _smooth_noise(rng, u.shape, max(1.5, 0.0026 * pixels_per_unit))
    if bone.fracture is None:
        return bone.density * cross(u, v)

    broken = bone.fracture
    unit = bone.radius / length
    jag = _jagged(rng, v)

    def side(u: Floats, v: Floats) -> Floats:
        """Signed distance past the break, in radii: negative on the near fragment."""
        line = np.tan(broken.angle) * v + broken.spiral * np.sin(np.clip(v, -1.2, 1.2) * 1.3)
        return np.asarray((u - broken.at) / unit - line - jag, dtype=np.float32)

    near = 1 / (1 + np.exp(np.clip(side(u, v) / 0.025, -60, 60)))
    # The far fragment, seen from its own axis: moved and turned about the break.
    du = (u - broken.at) / unit
    cos, sin = np.cos(broken.tilt), np.sin(broken.tilt)
    moved_u = broken.at + (du * cos + (v - broken.shift) * sin - broken.gap) * unit
    moved_v = (v - broken.shift) * cos - du * sin
    past = side(moved_u.astype(np.float32), moved_v.astype(np.float32))
    far = 1 / (1 + np.exp(np.clip(-past / 0.025, -60, 60)))
    broken_bone = near * cross(u, v) + far * cross(moved_u.astype(np.float32), moved_v.astype(np.float32))
    return np.asarray(bone.density * broken_bone, dtype=np.float32)


def _jagged(rng: np.random.Generator, v: Floats) -> Floats:
    """An uneven edge across the bone, in radii."""
    knots = np.linspace(-2.4, 2.4, 29)
    heights = 0.09 * rng.standard_normal(29) + 0.12 * np.repeat(rng.standard_normal(10), 3)[:29]
    return np.interp(v, knots, heights).astype(np.float32)


# -- Views ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """What is on one radiograph.

    Attributes:
        bones: in a drawing 1 high and `WIDTH / HEIGHT` wide.
        flesh: soft tissue: pairs of (x, y) and radius, joined into limbs one list at a time.
        side: the lead marker.
        tilt: of the collimator, in degrees.
        open_to: left, top, right, bottom edge of the collimated field, as fractions of the picture.
    """

    bones: tuple[Bone, ...]
    flesh: tuple[tuple[tuple[Point, float], ...], ...]
    side: str = "L"
    tilt: float = 0.8
    open_to: tuple[float, float, float, float] = (0.05, 0.03, 0.95, 0.97)


def _forearm(radius_break: Fracture | None, ulna_break: Fracture | None = None, lean: float = 0.0) -> View:
    return View(
        bones=(
            Bone((0.35 + lean, 0.13), (0.33, 0.83), 0.0245, 1.25, 2.15, 0.017, fracture=radius_break),
            Bone((0.455 + lean, 0.05), (0.458, 0.835), 0.0235, 2.0, 1.15, -0.010, fracture=ulna_break),
            Bone((0.44 + lean, -0.16), (0.42 + lean, 0.095), 0.040, 1.0, 1.95, 0.0),
            *_carpals(0.390, 0.866, 1.12),
        ),
        flesh=((((0.41 + lean, -0.1), 0.150), ((0.41 + lean, 0.18), 0.165), ((0.395, 0.55), 0.132),
                ((0.39, 0.82), 0.098), ((0.385, 1.1), 0.118)),),
        tilt=-0.7,
    )  # fmt: skip


def _carpals(x: float, y: float, size: float = 1.0) -> tuple[Bone, ...]:
    """The eight small bones of the wrist, two rows."""
    # Middle, half length, lean, radius: scaphoid, lunate, triquetrum, pisiform; trapezium to hamate.
    bones = (
        (-0.040, 0.000, 0.026, 0.55, 0.0165), (-0.004, -0.008, 0.022, -0.25, 0.0180),
        (0.031, 0.000, 0.021, -0.45, 0.0155), (0.044, 0.010, 0.013, 0.2, 0.0105),
        (-0.060, 0.038, 0.021, -0.35, 0.0150), (-0.037, 0.044, 0.018, 0.1, 0.0130),
        (-0.009, 0.038, 0.031, 0.08, 0.0185), (0.026, 0.040, 0.026, -0.30, 0.0185),
    )  # fmt: skip
    made = []
    for dx, dy, half, lean, radius in bones:
        middle = (x + size * dx, y + size * dy)
        step = (size * half * np.sin(lean), size * half * np.cos(lean))
        ends = (middle[0] - step[0], middle[1] - step[1]), (middle[0] + step[0], middle[1] + step[1])
        made.append(Bone(*ends, size * radius, 1.12, 1.05, 0.002, 0.20, 0.80))
    return tuple(made)


def _hand(fracture: Fracture | None) -> View:
    bones: list[Bone] = [
        Bone((0.345, 1.25), (0.358, 0.925), 0.040, 1.0, 1.55),
        Bone((0.478, 1.25), (0.470, 0.915), 0.028, 1.0, 1.3),
        *_carpals(0.405, 0.832, 1.25),
    ]
    flesh: list[tuple[tuple[Point, float], ...]] = [
        (((0.41, 1.2), 0.118), ((0.408, 0.93), 0.110), ((0.405, 0.80), 0.125), ((0.42, 0.64), 0.140)),
        (((0.33, 0.86), 0.075), ((0.255, 0.72), 0.052)),
    ]
    rays = (  # lean from straight up, start, metacarpal length, then its phalanges
        (-0.72, (0.312, 0.805), 0.150, (0.115, 0.085)),
        (-0.17, (0.352, 0.780), 0.228, (0.142, 0.083, 0.060)),
        (-0.03, (0.400, 0.775), 0.220, (0.156, 0.098, 0.064)),
        (0.11, (0.444, 0.780), 0.200, (0.144, 0.094, 0.063)),
        (0.27, (0.480, 0.790), 0.182, (0.112, 0.068, 0.056)),
    )
    for number, (lean, (x, y), metacarpal, phalanges) in enumerate(rays):
        limb: list[tuple[Point, float]] = []
        for segment, length in enumerate((metacarpal, *phalanges)):
            bend = lean * (1 - 0.13 * segment)
            tip = (x + length * float(np.sin(bend)), y - length * float(np.cos(bend)))
            here = fracture if (number, segment) == (4, 0) else None
            radius = 0.0172 * (1, 0.86, 0.70, 0.56)[segment]
            last = segment == len(phalanges)
            bones.append(Bone((x, y), tip, radius, 1.5, 1.15 if last else 1.45, 0.002, 0.44, 0.95, here))
            limb += [((x, y), 0.047 - 0.005 * segment), (tip, 0.042 - 0.005 * segment)]
            x, y = tip[0] + 0.007 * float(np.sin(bend)), tip[1] - 0.007 * float(np.cos(bend))
        flesh.append(tuple(limb))
    return View(tuple(bones), tuple(flesh), side="R", tilt=0.5, open_to=(0.03, 0.03, 0.97, 0.97))


def _femur(fracture: Fracture | None) -> View:
    return View(
        bones=(
            Bone((0.43, -0.12), (0.385, 0.868), 0.050, 1.0, 2.0, 0.018, 0.42, 1.10, fracture),
            Bone((0.385, 0.892), (0.387, 1.6), 0.052, 1.95, 1.0, 0, 0.36, 1.05),
            Bone((0.495, 0.935), (0.492, 1.6), 0.021, 1.5, 1.0, 0.004, 0.38, 0.95),
            Bone((0.368, 0.730), (0.366, 0.815), 0.044, 1.0, 1.0, 0, 0.16, 0.34),
        ),
        flesh=((((0.42, -0.1), 0.29), ((0.40, 0.4), 0.245), ((0.385, 0.82), 0.175), ((0.39, 1.1), 0.18)),),
        side="R",
        tilt=1.1,
        open_to=(0.06, 0.02, 0.94, 0.98),
    )


def _ankle(fibula_break: Fracture | None, tibia_break: Fracture | None = None) -> View:
    return View(
        bones=(
            Bone((0.395, -0.2), (0.405, 0.618), 0.052, 1.0, 1.72, -0.006, 0.34, 1.1, tibia_break),
            Bone((0.535, -0.2), (0.512, 0.685), 0.0215, 1.0, 1.5, 0.004, 0.40, 1.0, fibula_break),
            Bone((0.325, 0.585), (0.338, 0.668), 0.021, 1.5, 0.95, 0, 0.26, 0.85),
            Bone((0.412, 0.626), (0.418, 0.735), 0.056, 1.16, 1.28, 0.003, 0.15, 0.80),
            Bone((0.436, 0.705), (0.462, 0.905), 0.050, 1.05, 1.2, 0.008, 0.16, 0.55),
        ),
        flesh=((((0.45, -0.15), 0.185), ((0.445, 0.25), 0.165), ((0.425, 0.58), 0.155), ((0.42, 0.74), 0.165),
                ((0.40, 0.96), 0.19)),),
        side="L",
        tilt=-1.2,
        open_to=(0.05, 0.03, 0.95, 0.855),
    )  # fmt: skip


def _shin(tibia_break: Fracture | None, fibula_break: Fracture | None = None) -> View:
    return View(
        bones=(
            Bone((0.375, 0.075), (0.39, 0.90), 0.040, 1.95, 1.62, 0.006, 0.40, 1.1, tibia_break),
            Bone((0.492, 0.125), (0.490, 0.935), 0.0175, 1.7, 1.6, 0.006, 0.44, 0.95, fibula_break),
            Bone((0.385, -0.3), (0.382, 0.040), 0.050, 1.0, 1.7, 0, 0.36, 1.05),
            Bone((0.345, 0.955), (0.455, 0.965), 0.045, 1.0, 1.0, 0, 0.16, 0.85),
        ),
        flesh=((((0.40, -0.1), 0.185), ((0.43, 0.25), 0.195), ((0.425, 0.5), 0.155), ((0.415, 0.85), 0.115),
                ((0.41, 1.1), 0.15)),),
        side="L",
        tilt=0.6,
    )  # fmt: skip


def _upper_arm(fracture: Fracture | None) -> View:
    return View(
        bones=(
            Bone((0.35, 0.10), (0.415, 0.865), 0.036, 1.95, 1.9, 0.008, 0.40, 1.05, fracture),
            Bone((0.375, 0.905), (0.345, 1.4), 0.022, 1.4, 1.0),
            Bone((0.455, 0.885), (0.450, 1.4), 0.024, 1.7, 1.0),
            Bone((0.02, 0.035), (0.36, 0.032), 0.020, 1.2, 1.5, -0.018, 0.34, 0.9),
            Bone((0.115, 0.06), (0.235, 0.165), 0.045, 1.1, 1.15, 0, 0.12, 0.45),
        ),
        flesh=((((0.10, 0.10), 0.24), ((0.34, 0.12), 0.20), ((0.385, 0.5), 0.165), ((0.41, 0.82), 0.14),
                ((0.40, 1.1), 0.14)),),
        side="R",
        tilt=-0.4,
    )  # fmt: skip


# -- From a view to a picture --------------------------------------------------------------------------------


def _flesh_attenuation(rng: np.random.Generator, view: View, height: int, width: int) -> Floats:
    """Soft tissue: smooth, so a sixth of the resolution does."""
    rows, columns = max(8, height // 6), max(8, width // 6)
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    y, x = (y + 0.5) / rows, (x + 0.5) / columns * (width / height)
    thickness = np.zeros((rows, columns), np.float32)
    for limb in view.flesh:
        squared = np.zeros_like(thickness)
        for ((x0, y0), r0), ((x1, y1), r1) in pairwise(limb):
            span = (x1 - x0) ** 2 + (y1 - y0) ** 2
            t = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / max(span, 1e-9), 0, 1)
            eased = t * t * (3 - 2 * t)
            radius = r0 + (r1 - r0) * eased
            distance2 = (x - x0 - t * (x1 - x0)) ** 2 + (y - y0 - t * (y1 - y0)) ** 2
            squared = np.maximum(squared, radius**2 - distance2)
        thickness = np.maximum(thickness, 2 * np.sqrt(squared))
    muscle = (
        1
        + 0.05 * _smooth_noise(rng, thickness.shape, rows / 9)
        + 0.025 * _smooth_noise(rng, thickness.shape, rows / 28)
    )
    soft = Image.fromarray(thickness * muscle).resize((width, height), Image.Resampling.BICUBIC)
    return np.maximum(np.asarray(soft, dtype=np.float32), 0)


def _expose(rng: np.random.Generator, view: View, height: int, width: int) -> Floats:
    """The picture from 0 to 1: attenuation through a film curve, with blur, quantum noise and collimation."""
    scale = 1 / height
    attenuation = 2.3 * _flesh_attenuation(rng, view, height, width)
    for bone in view.bones:
        reach = bone.radius * 3.2 + abs(bone.bow)
        if bone.fracture is not None:
            length = float(np.hypot(bone.end[0] - bone.start[0], bone.end[1] - bone.start[1]))
            reach += abs(bone.fracture.shift) * bone.radius + abs(np.sin(bone.fracture.tilt)) * length
        top, bottom = _span(bone.start[1], bone.end[1], reach, height)
        left, right = _span(bone.start[0], bone.end[0], reach, height, width)
        if top >= bottom or left >= right:
            continue
        y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
        shadow = _bone_attenuation(rng, bone, (x + 0.5) * np.float32(scale), (y + 0.5) * np.float32(scale))
        attenuation[top:bottom, left:right] += 0.36 * bone.radius**0.25 / 0.4 * shadow
    grey = (1 - np.exp(-1.25 * attenuation)) ** 1.45 * 1.16
    # Fewer quanta arrive behind dense bone, so that noise grows with attenuation.
    noise = rng.standard_normal((height, width), dtype=np.float32)
    noise = 0.55 * noise + 0.75 * _smooth_noise(rng, (height, width), 2.0)
    grey = grey + noise * (0.0085 + 0.011 * grey)
    return np.asarray(np.clip(0.025 + 0.95 * grey, 0, 1) * _collimation(view, height, width), dtype=np.float32)


def _span(start: float, end: float, reach: float, height: int, most: int | None = None) -> tuple[int, int]:
    low, high = min(start, end) - reach, max(start, end) + reach
    return max(0, int(low * height)), min(most or height, int(high * height) + 1)


def _collimation(view: View, height: int, width: int) -> Floats:
    """1 inside the field, nearly 0 outside, with the soft edge that the blades of the collimator throw."""
    angle = np.deg2rad(view.tilt)
    y = (np.arange(height, dtype=np.float32) / height - 0.5)[:, None]
    x = ((np.arange(width, dtype=np.float32) / width - 0.5) * (width / height))[None, :]
    across = (x * np.cos(angle) + y * np.sin(angle)) / (width / height) + 0.5
    down = -x * np.sin(angle) + y * np.cos(angle) + 0.5
    left, top, right, bottom = view.open_to
    inside = np.minimum(np.minimum(across - left, right - across), np.minimum(down - top, bottom - down))
    return np.asarray(0.06 + 0.94 * np.clip(inside / 0.004 + 0.5, 0, 1), dtype=np.float32)


def _mark(pixels: npt.NDArray[np.uint8], side: str) -> npt.NDArray[np.uint8]:
    """Add the lead marker and, in a corner, what this picture is."""
    height, width = pixels.shape
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    unit = min(height, width) / 1000
    small = ImageFont.load_default(max(8, round(25 * unit)))
    large = ImageFont.load_default(max(10, round(58 * unit)))
    margin = round(22 * unit)
    draw.text((margin, height - margin), "SYNTHETIC", fill=235, font=small, anchor="ls")
    spot = (width - round(118 * unit), round(112 * unit))
    draw.text(spot, side, fill=246, font=large, anchor="mm")
    return np.array(image)


def _radiograph(rng: np.random.Generator, view: View, height: int, width: int) -> npt.NDArray[np.uint8]:
    grey = _expose(rng, view, height, width)
    return _mark(np.round(grey * 255).astype(np.uint8), view.side)


def draw_radiograph(rng: np.random.Generator, height: int = HEIGHT, width: int = WIDTH) -> npt.NDArray[np.uint8]:
    """Draw one synthetic radiograph: a body part and a fracture of the generator's choice.

    Args:
        rng: what it is drawn from; the same generator state gives the same picture.
        height: in pixels.
        width: in pixels; drawn for four fifths of the height, and cropped or widened otherwise.

    Returns:
        (height, width) uint8; bone is bright.
    """
    broken = Fracture(
        at=float(rng.uniform(0.35, 0.65)),
        angle=float(rng.uniform(-0.9, 0.9)),
        gap=float(rng.uniform(0.02, 0.25)),
        shift=float(rng.uniform(-0.6, 0.6)),
        tilt=float(rng.uniform(-0.09, 0.09)),
        spiral=float(rng.choice([0.0, 0.0, 1.4])),
    )
    views: Sequence[Callable[[Fracture], View]] = (_forearm, _hand, _femur, _ankle, _shin, _upper_arm)
    view = views[int(rng.integers(len(views)))](broken)
    return _radiograph(rng, view, height, width)


# -- Files ---------------------------------------------------------------------------------------------------


def make_uid(*parts: object) -> str:
    """A DICOM UID that is always the same for the same parts (the 2.25 root, PS3.5 annex B.2)."""
    from pydicom.uid import generate_uid

    return generate_uid(prefix="2.25.", entropy_srcs=[repr(part) for part in parts])


def write_dicom(
    path: Path,
    pixels: npt.NDArray[Any] | None,
    *,
    transfer_syntax: str = "1.2.840.10008.1.2.1",
    **attributes: Any,
) -> Path:
    """Write a minimal digital X-ray image, or with None for the pixels one that has lost them.

    Args:
        path: where to.
        pixels: (rows, columns) or (rows, columns, 3), uint8, uint16 or int16, as stored: not windowed, not
            inverted.
        transfer_syntax: UID; Explicit VR Little Endian unless told otherwise. Must be an uncompressed one or
        RLE. **attributes: DICOM keywords and values, set last: they replace what would be there. None leaves
        one out.

    Returns:
        The path.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
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
    if transfer_syntax == RLELossless:
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
        "forearm-oblique-01.jpg": _forearm(Fracture(0.56, 0.85, 0.10, 0.16, 0.015)),
        "forearm-both-bones-02.jpg": _forearm(
            Fracture(0.50, 0.25, 0.06, 0.75, 0.05), Fracture(0.50, -0.2, 0.08, 0.5, 0.035)
        ),
        "ankle-fibula-03.jpg": _ankle(Fracture(0.80, 0.95, 0.16, 0.28, 0.03)),
        "femur-shaft-04.jpg": _femur(Fracture(0.52, 0.45, -0.5, 0.95, -0.06)),
        "hand-metacarpal-05.jpg": _hand(Fracture(0.66, 0.35, 0.05, 0.2, 0.30)),
        "shin-spiral-06.png": _shin(Fracture(0.62, 0.50, 0.10, -0.09, -0.01, 1.3)),
        "upper-arm-transverse-07.png": _upper_arm(Fracture(0.52, 0.10, 0.12, 0.35, -0.05)),
        "forearm-hairline-08.png": _forearm(Fracture(0.70, 0.5, 0.045), lean=0.02),
        "shin-both-bones-09-16bit.png": _shin(
            Fracture(0.66, 0.3, 0.1, 0.42, 0.035), Fracture(0.60, -0.6, 0.1, -0.7, 0.03)
        ),
        "wrist-monochrome1-10.dcm": _forearm(Fracture(0.88, 0.2, -0.05, -0.22, -0.12)),
        "ankle-windowed-11.dcm": _ankle(Fracture(0.72, 0.7, 0.1, 0.4, 0.04), Fracture(0.93, 0.9, 0.03)),
        "upper-arm-spiral-12.dcm": _upper_arm(Fracture(0.58, 0.60, 0.12, -0.12, -0.02, 1.2)),
    }
    written = []
    for number, (name, view) in enumerate(views.items()):
        rng = np.random.default_rng([seed, number])
        path = directory / name
        pixels = _radiograph(rng, view, HEIGHT, WIDTH)
        if path.suffix == ".dcm":
            _write_dicom_sample(path, pixels, seed)
        elif path.suffix == ".jpg":
            Image.fromarray(pixels).save(path, "JPEG", quality=88)
        elif "16bit" in name:
            Image.fromarray(pixels.astype(np.uint16) * 257).save(path, "PNG", compress_level=6)
        else:
            Image.fromarray(pixels).save(path, "PNG", compress_level=6)
        written.append(path)
    return [*written, *_write_broken(directory, written[0], seed)]


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


def _write_broken(directory: Path, jpeg: Path, seed: int) -> list[Path]:
    cut = directory / "broken-truncated.jpg"
    whole = jpeg.read_bytes()
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
