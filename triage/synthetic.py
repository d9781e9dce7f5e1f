"""Synthetic radiographs: drawn bones that no patient ever had, for demonstrations, tests and benchmarks.

Bones are drawn the way X-rays see them: each is a tube of dense cortex around a lighter marrow, and what is
shown grows with the length of bone and soft tissue that a ray has to cross. That gives the bright edges of
long bones, and the dark line or bright overlap of a fracture, without painting either. Every picture says
SYNTHETIC in its corner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from triage.anatomy import Bone, Fracture, View, ankle, femur, forearm, hand, shin, upper_arm

Floats = npt.NDArray[np.floating[Any]]

HEIGHT, WIDTH = 1250, 1000

_STEPS = 8192
"""At how many places along a bone its shape is computed: several per pixel."""


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> Floats:
    """Noise of about unit variance whose grain is `cell` pixels."""
    coarse = (max(2, round(shape[0] / cell) + 2), max(2, round(shape[1] / cell) + 2))
    grain = Image.fromarray(rng.standard_normal(coarse).astype(np.float32))
    return np.asarray(grain.resize((shape[1], shape[0]), Image.Resampling.BICUBIC), dtype=np.float32)


def _profile(bone: Bone, length: float) -> tuple[Floats, Floats, Floats]:
    """The bone at `_STEPS` places along it, from its start to its end.

    Returns:
        The squares of the outer radius and of the radius inside the dense wall (in shaft radii), and how much
        a ray loses in the spongy inside; (`_STEPS`,) float32 each.
    """
    u = np.linspace(0, 1, _STEPS)
    radius = bone.radius
    near = np.exp(-((u * length / (2.6 * radius)) ** 2))
    far = np.exp(-(((1 - u) * length / (2.6 * radius)) ** 2))
    outer = 1 + (bone.flare_start - 1) * near + (bone.flare_end - 1) * far - 0.07 * np.sin(np.pi * u) ** 2
    # The ends are rounded off: an ellipse whose half axis along the bone is its own radius.
    for distance, flare in ((u * length, bone.flare_start), ((1 - u) * length, bone.flare_end)):
        cap = np.clip(distance / (0.75 * flare * radius), 0, 1)
        outer *= np.sqrt(1 - (1 - cap) ** 2.6)
    wall = bone.cortex * (1 - 0.78 * np.maximum(near, far))
    inner = np.maximum(outer - np.maximum(wall, 0.07), 0)
    ends = np.exp(-((np.minimum(u, 1 - u) * length / (3.4 * radius)) ** 2))
    marrow = 0.10 + 0.30 * ends
    return (outer * outer).astype(np.float32), (inner * inner).astype(np.float32), marrow.astype(np.float32)


def _bone_attenuation(rng: np.random.Generator, bone: Bone, x: Floats, y: Floats) -> Floats:
    """What the bone adds to attenuation at the points (x, y)."""
    (x0, y0), (x1, y1) = bone.start, bone.end
    length = float(np.hypot(x1 - x0, y1 - y0))
    along = ((x1 - x0) / length, (y1 - y0) / length)
    u = ((x - x0) * along[0] + (y - y0) * along[1]) / length
    v = (-(x - x0) * along[1] + (y - y0) * along[0] - bone.bow * np.sin(np.pi * np.clip(u, 0, 1))) / bone.radius

    outer2, inner2, marrow = _profile(bone, length)

    def cross(u: Floats, v: Floats) -> Floats:
        """What a ray at (u, v) loses: to the dense wall, and to the spongy inside with its trabeculae."""
        place = (np.clip(u, 0, 1) * (_STEPS - 1) + 0.5).astype(np.intp)
        v2 = v * v
        whole = np.sqrt(np.maximum(outer2.take(place) - v2, 0))
        hollow = np.sqrt(np.maximum(inner2.take(place) - v2, 0))
        dense, spongy = 2 * (whole - hollow), 2 * hollow
        return np.asarray(dense * 0.95 + spongy * marrow.take(place) * (1 + 0.16 * grain), dtype=np.float32)

    pixels_per_unit = 1 / max(float(abs(y[1, 0] - y[0, 0])), 1e-6)
    grain = _smooth_noise(rng, u.shape, max(1.5, 0.0026 * pixels_per_unit))
    if bone.fracture is None:
        return bone.density * cross(u, v)

    broken = bone.fracture
    unit = bone.radius / length
    jag = _jagged(rng, v)

    def side(u: Floats, v: Floats) -> Floats:
        """Signed distance past the break, in radii: negative on the near fragment."""
        line = float(np.tan(broken.angle)) * v + broken.spiral * np.sin(np.clip(v, -1.2, 1.2) * 1.3)
        return np.asarray((u - broken.at) / unit - line - jag, dtype=np.float32)

    near = 1 / (1 + np.exp(np.clip(side(u, v) / 0.025, -60, 60)))
    # The far fragment, seen from its own axis: moved and turned about the break.
    du = (u - broken.at) / unit
    cos, sin = float(np.cos(broken.tilt)), float(np.sin(broken.tilt))
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
        reach = bone.radius * (max(1, bone.flare_start, bone.flare_end) + 0.3) + abs(bone.bow)
        if bone.fracture is not None:
            length = float(np.hypot(bone.end[0] - bone.start[0], bone.end[1] - bone.start[1]))
            reach += abs(bone.fracture.shift) * bone.radius + abs(np.sin(bone.fracture.tilt)) * length
        top, bottom = _span(bone.start[1], bone.end[1], reach, height)
        left, right = _span(bone.start[0], bone.end[0], reach, height, width)
        if bottom - top < 2 or left >= right:
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
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    y = (np.arange(height, dtype=np.float32) / height - 0.5)[:, None]
    x = ((np.arange(width, dtype=np.float32) / width - 0.5) * (width / height))[None, :]
    across = (x * cos + y * sin) / (width / height) + 0.5
    down = -x * sin + y * cos + 0.5
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


def expose_view(rng: np.random.Generator, view: View, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Draw one given view.

    Args:
        rng: where grain, noise and jagged edges come from.
        view: what is on the radiograph.
        height: in pixels.
        width: in pixels.

    Returns:
        (height, width) uint8; bone is bright.
    """
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
    views: Sequence[Callable[[Fracture], View]] = (forearm, hand, femur, ankle, shin, upper_arm)
    view = views[int(rng.integers(len(views)))](broken)
    return expose_view(rng, view, height, width)
