"""A bundle made of a bare Keras file, and what both runtimes make of a model's further outputs.

TensorFlow stays out of this process: it takes seconds and hundreds of megabytes, and other tests fork.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from triage_command import TriageCommand

from triage.bundle import open_bundle
from triage.classifier import Classifier

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs the train extra"),
]

MAKE_MODELS = """
import sys
from pathlib import Path
import keras
import numpy as np

folder = Path(sys.argv[1])
keras.utils.set_random_seed(1)


def model(channels, activation, side=32):
    inputs = keras.Input((side, side, channels))
    maps = keras.layers.Conv2D(6, 5, strides=4, activation="relu")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.Model(inputs, keras.layers.Dense(3, activation=activation)(pooled))


def save(made, name):
    made.save(folder / name)
    grey = np.load(folder / "pictures.npy").astype(np.float32)[..., None] / 127.5 - 1
    np.save(folder / f"{name}.npy", made(np.repeat(grey, made.input_shape[3], axis=-1), training=False))


save(model(3, "softmax"), "three channels (da).keras")
save(model(1, "softmax"), "grey.h5")
model(3, "softmax", None).save(folder / "any.keras")
model(3, None).save(folder / "logits.keras")
"""

LABELS = "Oblique fracture, Spiral fracture,Greenstick fracture"


def run_python(*arguments: object) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment | {"TF_CPP_MIN_LOG_LEVEL": "2"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1] if done.stdout else ""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> TriageCommand:
    """A folder with Keras files that training elsewhere might have left, and what they say of some pictures."""
    folder = tmp_path_factory.mktemp("import")
    np.save(folder / "pictures.npy", np.random.default_rng(0).integers(0, 256, (5, 32, 32), np.uint8))
    run_python("-c", MAKE_MODELS, folder)
    (folder / "labels.txt").write_text("\n".join(LABELS.split(",")) + "\n", encoding="utf-8")
    return TriageCommand(folder)


@pytest.mark.parametrize(
    ("name", "labels", "prefix"),
    [("three channels (da).keras", LABELS, "three-channels-da"), ("grey.h5", "labels.txt", "grey")],
)
def test_a_bare_file_becomes_a_bundle_that_says_what_the_file_says(
    command: TriageCommand, name: str, labels: str, prefix: str
) -> None:
    done = command.run("model", "import", name, "--labels", labels, "--input-range", "-1..1", "--data-note", "Ours.")
    assert done.returncode == 0, done.stderr
    version = done.stdout.strip()
    assert version.startswith(f"{prefix}-2")
    assert f"`triage model promote {version}`" in done.stderr
    bundle = open_bundle(command.home / "models" / version)
    assert bundle.labels == ("Oblique fracture", "Spiral fracture", "Greenstick fracture")
    assert (bundle.version, bundle.input_side, bundle.temperature, bundle.metrics) == (version, 32, 1.0, {})
    assert (bundle.conformal_quantile, bundle.thresholds) == (None, {"low_confidence": 0.5, "margin": 0.1})
    assert bundle.details["imported"]["file"] == name
    card = (bundle.path / "card.md").read_text()
    assert "Nothing is known about it" in card
    assert "Ours." in card
    assert str(command.folder) not in card + json.dumps(bundle.details)

    said = Classifier(bundle).predict(np.load(command.folder / "pictures.npy"))
    np.testing.assert_allclose(said, np.load(command.folder / f"{name}.npy"), atol=1e-4)
    listed = json.loads(command.run("model", "list", "--json").stdout)
    assert {row["version"]: row["active"] for row in listed}[version] is False


REFUSED = {
    "no probabilities that sum to 1": ("logits.keras", "--labels", LABELS),
    "gives 3 values for a picture, and 2 labels are named": ("grey.h5", "--labels", "a,b"),
    "name the one it was trained on with --side": ("any.keras", "--labels", LABELS),
    "takes pictures of 32 pixels, not 64": ("grey.h5", "--labels", LABELS, "--side", "64"),
    "cannot be loaded by Keras": ("broken.keras", "--labels", LABELS),
}
IMPORT_EACH = """
import json, os, sys
os.environ["TRIAGE_HOME"] = sys.argv[1]
from training import import_model
said = []
for arguments in json.loads(sys.argv[2]):
    try:
        import_model.import_model(import_model.parse([*arguments, "--input-range", "0..255"]))
    except import_model.ImportRefused as refused:
        said.append(str(refused))
print(json.dumps(said))
"""


def test_a_model_that_cannot_be_used_is_refused_and_leaves_nothing(command: TriageCommand) -> None:
    (command.folder / "broken.keras").write_bytes(b"not a model")
    given = [(str(command.folder / name), *rest) for name, *rest in REFUSED.values()]
    said = json.loads(run_python("-c", IMPORT_EACH, command.folder / "refused", json.dumps(given)))
    assert len(said) == len(REFUSED)
    assert [expected for expected, found in zip(REFUSED, said, strict=True) if expected not in found] == []
    assert not (command.folder / "refused").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("grey.h5", "--labels", "a,a"), "two labels or more, all different"),
        (("grey.h5", "--labels", LABELS, "--name", "../x"), "--name"),
        (("pictures.npy", "--labels", LABELS), "neither a .keras nor a .h5 file"),
        (("gone.keras", "--labels", LABELS), "there is no file at gone.keras"),
    ],
    ids=["labels", "name", "kind", "gone"],
)
def test_wrong_usage_answers_2(command: TriageCommand, arguments: tuple[str, ...], said: str) -> None:
    done = command.run("model", "import", *arguments, "--input-range", "0..255")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_model_of_any_size_is_imported_at_the_named_one(command: TriageCommand) -> None:
    done = command.run(
        "model", "import", "any.keras", "--labels", LABELS, "--input-range", "0..1", "--side", "48", "--name", "hands"
    )
    assert done.returncode == 0, done.stderr
    bundle = open_bundle(command.home / "models" / done.stdout.strip())
    assert (bundle.input_side, bundle.version.startswith("hands-")) == (48, True)


FURTHER_OUTPUTS = """
import hashlib, json, sys
from pathlib import Path
import keras
import numpy as np
from training.export import to_litert
from triage.bundle import open_bundle
from triage.classifier import Classifier

folder = Path(sys.argv[1])
bundle = folder / "further-1"
bundle.mkdir()
image = keras.Input((16, 16, 1))
maps = keras.layers.AveragePooling2D(4)(image)
features = keras.layers.Flatten(name="features")(maps)
heat_map = keras.layers.Reshape((4, 4), name="heat_map")(maps)
probabilities = keras.layers.Dense(3, activation="softmax", name="probabilities")(features)
model = keras.Model(image, {"probabilities": probabilities, "heat_map": heat_map, "features": features})
model.save(bundle / "model.keras")
(bundle / "model.tflite").write_bytes(to_litert(model, 16))
np.savez(bundle / "features.npz", mean=np.full(16, 100.0), whiten=np.eye(16) / 10)
names = ("model.keras", "model.tflite", "features.npz")
(bundle / "bundle.json").write_text(json.dumps({
    "schema": 1, "version": "further-1", "labels": ["a", "b", "c"], "input": {"side": 16}, "temperature": 1.0,
    "thresholds": {"low_confidence": 0.0, "margin": 0.0, "unlike_training_data": 5.0}, "conformal": {"quantile": None},
    "metrics": {}, "files": {n: {"sha256": hashlib.sha256((bundle / n).read_bytes()).hexdigest()} for n in names},
}))
pictures = np.load(folder / "pictures.npy")[:, :16, :16]
outputs = Classifier(open_bundle(bundle), "keras").infer(pictures)
np.savez(folder / "keras.npz", probabilities=outputs.probabilities, features=outputs.features, maps=outputs.heat_maps)
"""


def test_both_runtimes_give_features_and_heat_maps(command: TriageCommand) -> None:
    run_python("-c", FURTHER_OUTPUTS, command.folder)
    pictures = np.load(command.folder / "pictures.npy")[:, :16, :16]
    means = pictures.reshape(5, 4, 4, 4, 4).mean(axis=(2, 4))
    classifier = Classifier(open_bundle(command.folder / "further-1"))
    outputs = classifier.infer(pictures)
    with np.load(command.folder / "keras.npz") as keras:
        np.testing.assert_allclose(outputs.probabilities, keras["probabilities"], atol=1e-4)
        np.testing.assert_allclose(outputs.features, keras["features"], rtol=1e-5)
        np.testing.assert_allclose(outputs.heat_maps, keras["maps"], rtol=1e-5)
    np.testing.assert_allclose(outputs.features, means.reshape(5, 16), rtol=1e-5)
    first = classifier.classify(pictures)[0]
    assert first.heat_map is not None
    np.testing.assert_allclose(first.heat_map, means[0] / means[0].max(), rtol=1e-5)
    assert first.unfamiliarity == pytest.approx(np.sqrt(np.mean(((means[0] - 100) / 10) ** 2)), rel=1e-5)
    assert first.needs_review == (first.unfamiliarity > 5.0)
