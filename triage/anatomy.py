"""What can be on a synthetic radiograph: bones, their fractures, and the body parts they make up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Point = tuple[float, float]


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


@dataclass(frozen=True)
class View:
    """What is on one radiograph.

    Attributes:
        bones: in a drawing 1 high and 0.8 wide.
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


def forearm(radius_break: Fracture | None, ulna_break: Fracture | None = None, lean: float = 0.0) -> View:
    """Radius and ulna, with the wrist."""
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


def hand(fracture: Fracture | None) -> View:
    """A whole hand; `fracture` is of the fifth metacarpal."""
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


def femur(fracture: Fracture | None) -> View:
    """A thigh bone, down to the knee."""
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


def ankle(fibula_break: Fracture | None, tibia_break: Fracture | None = None) -> View:
    """An ankle from the front."""
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


def shin(tibia_break: Fracture | None, fibula_break: Fracture | None = None) -> View:
    """Tibia and fibula in their whole length."""
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


def upper_arm(fracture: Fracture | None) -> View:
    """A humerus in its whole length."""
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
