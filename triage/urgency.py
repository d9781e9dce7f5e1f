"""How soon somebody should look: a weight for each fracture type, times its calibrated probability.

The weights are a starting point that a clinic is to change. They are an opinion, not a finding: nobody has validated
them in a clinic, and they know nothing of the patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WEIGHTS: Final[Mapping[str, float]] = {
    "Fracture dislocation": 1.0,
    "Comminuted fracture": 0.8,
    "Pathological fracture": 0.8,
    "Impacted fracture": 0.6,
    "Spiral fracture": 0.6,
    "Longitudinal fracture": 0.5,
    "Oblique fracture": 0.5,
    "Avulsion fracture": 0.4,
    "Greenstick fracture": 0.4,
    "Hairline fracture": 0.2,
}
"""From 0, can wait, to 1, at once."""

UNKNOWN: Final = 0.5
"""The weight of a label that the table does not have."""


def urgency(probabilities: Mapping[str, float], weights: Mapping[str, float] = WEIGHTS) -> float:
    """The expected weight of an image, 0..1.

    Args:
        probabilities: label -> calibrated probability.
        weights: label -> how much it matters.
    """
    return sum(probability * weights.get(label, UNKNOWN) for label, probability in probabilities.items())
