"""Held-out logits that are made up, and all of a ``bundle.json`` around them."""

from typing import Any

import numpy as np

from training.assessment import evaluate
from training.calibration import COVERAGE, MARGIN, calibrate
from training.evaluation import HeldOut
from triage.bundle import DEFAULT_LABELS

LABELS = DEFAULT_LABELS


def make_logits(count: int, spread: float, seed: int, labels: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is exactly right about how often each label is true."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, spread, (count, labels))
    powers = np.exp(logits)
    shares = np.cumsum(powers / powers.sum(axis=1, keepdims=True), axis=1)
    return logits, (generator.random((count, 1)) > shares[:, :-1]).sum(axis=1)


def make_held(
    images: int = 300, repeats: int = 3, folds: int = 5, labels: int = 10, sharpness: float = 2.0, seed: int = 0
) -> HeldOut:
    """Networks that know something and are too sure of it; ``folds=0`` makes a hold-out."""
    generator = np.random.default_rng(seed)
    logits, targets = make_logits(images, 1.3, seed, labels)
    groups = generator.integers(0, images * 4 // 5, images)
    shuffled = [generator.permutation(images)[groups] % max(folds, 1) for _ in range(repeats)]
    noise = generator.normal(0, 0.5, (repeats, images, labels))
    return HeldOut(sharpness * (logits + noise), targets, groups, np.stack(shuffled))


def make_details(held: HeldOut | None = None, optional: bool = True) -> dict[str, Any]:
    """What training would write, with or without the parts that may be missing."""
    held = held or make_held()
    labels = LABELS[: held.logits.shape[2]]
    fitted = calibrate(held)
    flagged = np.zeros(len(held.targets), np.bool_)
    flagged[::50] = True
    metrics = evaluate(held, labels, 20, {"unlike_training_data": flagged, "not_an_xray": ~flagged & False})
    details: dict[str, Any] = {
        "version": "mobilenetv2-2026.01.31-01",
        "created": "2026-01-31T10:00:00+00:00",
        "smoke": False,
        "labels": list(labels),
        "input": {"side": 224},
        "outputs": {"probabilities": "calibrated"},
        "temperature": fitted.temperature,
        "thresholds": {"low_confidence": fitted.low_confidence, "margin": MARGIN},
        "threshold_rules": {"margin": "set, not fitted: lead of the first label over the second"},
        "conformal": {"method": "LAC", "coverage": COVERAGE, "quantile": fitted.quantile},
        "metrics": metrics,
        "packages": {"keras": "3.15.1", "tensorflow": "2.21.0", "python": "3.11.7"},
        "training": {
            "data_note": "",
            "images": len(held.targets),
            "per_label": {label: int((held.targets == i).sum()) for i, label in enumerate(labels)},
            "groups": metrics["groups"],
            "fingerprint": "adb8794e" * 8,
            "seed": 20,
        },
    }
    if optional:
        details |= _optional(labels, metrics)
        details["training"] |= {
            "data_note": 'Training part of the public "Bone Break" set; CC BY 4.0 by secondary sources, not verified.',
            "conflicts": 25,
            "left_out": 3,
            "shipped_weights": "refit on all images",
            "seconds": 5400.0,
            "peak_memory_mb": 2345.6,
            "recipe": {"name": "final", "taps": ["block_12_add", "out_relu"], "mixup": 0.2, "augmentation": None},
            "backbone": {
                "weights": "MobileNetV2, ImageNet",
                "licence": "Apache-2.0",
                "file": "no_top.weights.h5",
                "sha256": "67" * 32,
            },
            "origins": {"folder": 980, "review": 9},
            "other_data": [
                {"name": "Photos of clothes", "images": 300, "use": "threshold of `not_an_xray`", "licence": "CC0"}
            ],
        }
    return details


def _optional(labels: tuple[str, ...], metrics: dict[str, Any]) -> dict[str, Any]:
    names = (
        "majority class",
        "frozen linear probe",
        "frozen, no augmentation",
        "frozen, augmented",
        "last 50 layers fine-tuned",
        "final recipe",
    )
    figures = {name: metrics["figures"][name] for name in ("top_1", "top_3", "balanced_accuracy")}
    return {
        "label_mapping": {label.replace(" ", "_"): label for label in labels},
        "files": {"model.keras": {"sha256": "60" * 32, "bytes": 10294319}},
        "audit": {
            "files": 992,
            "readable": 989,
            "unreadable": {"truncated": 2, "not_an_image": 1},
            "exact_duplicates": 0,
            "colour_share": 0.2468,
            "sizes": {"width": {"least": 58, "median": 640, "most": 640}},
            "largest_groups": [{"group": 7, "images": 9, "labels": ["Oblique fracture", "Spiral fracture"]}],
        },
        "stages": [
            {"stage": name, "figures": figures, "seconds": 60.0 * place, "note": "10 epochs" if place else ""}
            for place, name in enumerate(names)
        ],
        "trials": [
            {
                "name": "three blocks",
                "change": "features of blocks 12, 15 and the last",
                "top_1": 0.412,
                "top_3": 0.71,
                "difference": {"value": 0.031, "low": -0.004, "high": 0.066},
                "images_per_second": 101.4,
                "kept": True,
            },
            {"name": "mixup", "change": "mixup of 0.2 at the cut", "top_1": 0.398, "top_3": 0.702,
             "difference": {"value": -0.012, "low": -0.03, "high": 0.006}, "images_per_second": 101.4, "kept": False},
        ],
        "unfamiliar": {
            "sets": [
                {"name": "Photos", "images": 150, "flagged": 147, "share": 0.98, "low": 0.94, "high": 0.99,
                 "wanted": True},
                {"name": "Held-out images", "images": 989, "flagged": 20, "share": 0.02, "low": 0.01, "high": 0.03,
                 "wanted": False},
            ],
            "note": "Thresholds were set on other pictures.",
        },
        "runtimes": [
            {"name": "float32", "bytes": 9542572, "top_1": metrics["figures"]["top_1"], "calibration_error": 0.031,
             "coverage": 0.9, "set_size": 5.2, "largest_difference": 4.4e-06, "images_per_second": 101.0, "kept": True},
            {"name": "int8", "bytes": 2900000, "top_1": 0.38, "calibration_error": 0.05,
             "coverage": 0.88, "set_size": 5.4, "largest_difference": 0.31, "images_per_second": 160.0, "kept": False},
        ],
    }  # fmt: skip
