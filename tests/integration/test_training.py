"""Training end to end, the shipped twin, and a bare Keras file.

TensorFlow stays out of this process: it takes seconds and hundreds of megabytes, and other tests fork.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triage.bundle import open_bundle
from triage.classifier import Classifier

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs the train extra"),
]

ROOT = Path(__file__).resolve().parents[2]


def run_python(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in the project's root, without the settings of whoever runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TRIAGE_", "TRAINING_"))}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=inherited | {"TF_CPP_MIN_LOG_LEVEL": "2"} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of seven pictures, and one file that is none."""
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for label in ("Hairline Fracture", "Oblique fracture", "Spiral Fracture"):
        (folder / label / "Train").mkdir(parents=True)
        for number in range(7):
            coarse = Image.fromarray(generator.integers(0, 256, (9, 9), np.uint8))
            coarse.resize((140, 170), Image.Resampling.BICUBIC).save(folder / label / "Train" / f"{number}.jpg")
    (folder / "Oblique fracture" / "Train" / "half.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    return folder


# -- a smoke run -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures that are no radiographs."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(3)
    for number in range(12):
        Image.fromarray(generator.integers(0, 256, (120, 120, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def smoke(
    data: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[subprocess.CompletedProcess[str], Path]:
    output = tmp_path_factory.mktemp("runs") / "smoke"
    options = ("--data", data, "--photos", photos, "--folds", 2, "--smoke", "--precisions", "--output", output)
    return run_python("-m", "training.run", *options), output


def test_smoke_run_makes_a_bundle_that_serves(smoke: tuple[subprocess.CompletedProcess[str], Path]):
    done, output = smoke
    assert done.returncode == 0, done.stderr

    bundle = open_bundle(Path(done.stdout.strip()))
    assert bundle.path.parent == output
    assert bundle.path.name == bundle.version
    assert bundle.labels == ("Hairline fracture", "Oblique fracture", "Spiral fracture")
    assert bundle.details["smoke"] is True
    assert bundle.details["twin"]["largest_difference"] <= 1e-4

    pictures = np.random.default_rng(1).integers(0, 256, (2, bundle.input_side, bundle.input_side), np.uint8)
    classifier = Classifier(bundle)
    np.testing.assert_allclose(classifier.predict(pictures).sum(axis=1), 1, atol=1e-5)
    outputs = classifier.infer(pictures)
    assert outputs.heat_maps is not None
    assert outputs.heat_maps.shape == (2, 3, 3)
    assert classifier.classify(pictures)[0].unfamiliarity is not None


def test_smoke_run_reports(smoke: tuple[subprocess.CompletedProcess[str], Path]):
    done, output = smoke
    bundle = Path(done.stdout.strip())

    assert {entry.name for entry in output.iterdir()} == {
        bundle.name, "audit.json", "conflicts.png", "duplicates.png", "folds", "image-sizes.png", "left-out.txt",
        "run.json", "samples.png",
    }  # fmt: skip
    assert {entry.name for entry in bundle.iterdir()} == {
        "bundle.json", "card.md", "report.html", "model.keras", "model.tflite", "features.npz", "images.csv",
        "class-balance.png", "confusion.png", "recall.png", "reliability.png", "risk-coverage.png", "set-sizes.png",
        "stages.png",
    }  # fmt: skip
    assert "half.jpg" in (output / "left-out.txt").read_text()
    card = (bundle / "card.md").read_text()
    assert "not a diagnosis" in card
    assert "cannot say that a bone is intact" in card
    details = json.loads((bundle / "bundle.json").read_text())
    assert [stage["stage"] for stage in details["stages"]] == [
        "majority class",
        "frozen linear probe",
        "frozen, no augmentation",
        "frozen, augmented",
        "last 50 layers fine-tuned",
        "recipe of the shipped model",
    ]
    assert details["label_mapping"]["Hairline Fracture"] == "Hairline fracture"
    assert details["metrics"]["protocol"] == "cross-validation"
    assert details["metrics"]["images"] == 21
    assert details["training"]["left_out"] == 1
    assert [row["name"] for row in details["runtimes"]] == ["float32", "float16", "int8"]
    assert [one["name"] for one in details["unfamiliar"]["sets"]] == [
        "held-out training images",
        "pictures that are no radiographs",
    ]
    rows = (bundle / "images.csv").read_text().splitlines()
    assert rows[0].startswith("sha256,label,group,fold,origin,p:Hairline fracture,")
    assert len(rows) == 22


def test_a_run_that_was_cut_off_goes_on_and_comes_to_the_same_figures(
    smoke: tuple[subprocess.CompletedProcess[str], Path], data: Path, photos: Path, tmp_path: Path
):
    done, output = smoke
    shutil.copytree(output, tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / Path(done.stdout.strip()).name)
    kept = sorted((tmp_path / "again" / "folds").rglob("*.npz"))
    assert len(kept) == 8
    kept[0].unlink()
    kept[-1].write_bytes(b"half a file")
    untouched = {file: file.stat().st_mtime_ns for file in kept[1:-1]}

    again = run_python(
        "-m", "training.run", "--data", data, "--photos", photos, "--folds", 2, "--smoke", "--resume",
        "--output", tmp_path / "again",
    )  # fmt: skip

    assert again.returncode == 0, again.stderr
    assert {file: file.stat().st_mtime_ns for file in kept[1:-1]} == untouched
    first, second = (open_bundle(Path(one.stdout.strip())) for one in (done, again))
    assert second.metrics == first.metrics
    assert second.details["thresholds"] == first.details["thresholds"]
    assert second.details["stages"][5]["figures"] == first.details["stages"][5]["figures"]
    assert second.digests["model.tflite"] == first.digests["model.tflite"]


def test_smoke_bundle_names_no_file_and_no_folder(smoke: tuple[subprocess.CompletedProcess[str], Path], data: Path):
    for file in Path(smoke[0].stdout.strip()).iterdir():
        content = file.read_bytes()
        for path in (ROOT, data, smoke[1], "/tmp/"):
            assert str(path).encode() not in content, f"{file.name} holds {path}"


# -- what cannot be trained on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "there/is/no/such"], 2, "is not a folder"),
        (["--data", "{data}", "--weights", "no-such-file"], 2, "--weights: no-such-file is not a file"),
        (["--data", "{data}/Spiral Fracture"], 2, "one folder per fracture type"),
        (["--data", "{data}", "--smoke", "--install"], 2, "cannot be installed"),
        (["--data", "{data}", "--folds", "0"], 2, "must be 1 or more"),
        (["--data", "{data}", "--set", "epochs=3"], 2, "'epochs' is none of alpha, averaging, batch_statistics, cut"),
        (["--data", "{data}", "--set", "passes=many"], 2, "passes takes a value like 20, not 'many'"),
        (["--data", "{data}", "--folds", "1"], 2, "needs 2 or more"),
        (["--data", "{data}", "--repeats", "2"], 2, "--repeats needs --folds"),
    ],
    ids=[
        "no folder",
        "no file",
        "one class",
        "smoke is not for use",
        "no folds",
        "no such value",
        "no number",
        "one fold",
        "repeats of what",
    ],
)
def test_wrong_usage_is_said_in_one_line(data: Path, tmp_path: Path, arguments: list[str], code: int, message: str):
    filled = [argument.format(data=data) for argument in arguments]
    done = run_python("-m", "training.run", *filled, "--output", tmp_path / "out")

    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.npz"))


def test_weights_that_cannot_be_read_are_refused_with_what_to_do(data: Path, tmp_path: Path):
    (tmp_path / "other.weights.h5").write_bytes(b"no weights")

    done = run_python(
        "-m", "training.run", "--data", data, "--output", tmp_path / "out",
        TRAINING_WEIGHTS=str(tmp_path / "other.weights.h5"),
    )  # fmt: skip

    assert done.returncode == 3
    assert "--weights FILE or in TRAINING_WEIGHTS" in done.stderr
    assert "Traceback" not in done.stderr


# -- the heat map ------------------------------------------------------------------------------------------------------

HEAT_MAP_BY_TAPE = """
import json
import keras
import numpy as np
import tensorflow as tf
from training import network

keras.utils.set_random_seed(1)
generator = np.random.default_rng(1)
taps = ("block_12_add", "block_15_add", "out_relu")
backbone = network.build_backbone(96, 0.35, network.Origin(None))
for layer in backbone.layers:
    if isinstance(layer, keras.layers.BatchNormalization):  # as after training: not nothing
        scale, shift, mean, variance = (weights.shape for weights in layer.get_weights())
        layer.set_weights([generator.uniform(1, 3, scale), generator.normal(0, 1, shift),
                           generator.normal(0, 0.3, mean), generator.uniform(0.3, 1, variance)])
parts = keras.Model(backbone.input, [backbone.get_layer(tap).output for tap in taps])
pictures = generator.integers(0, 256, (5, 96, 96, 1)).astype(np.float32)
three = tf.repeat(pictures / 127.5 - 1.0, 3, axis=-1)
pooled = np.concatenate([np.asarray(maps).mean(axis=(1, 2)) for maps in parts(three)], axis=1)
spread = generator.normal(pooled.mean(axis=0), 0.3, (50, pooled.shape[1])).astype(np.float32)
head = network.build_head(spread, 128, 10, 0.3)
model = network.assemble(backbone, taps, head, 1.7)
with tf.GradientTape() as tape:
    maps = parts(three)
    tape.watch(maps[-1])
    logits = head(tf.concat([tf.reduce_mean(each, axis=(1, 2)) for each in maps], axis=1), training=False)
    top = tf.reduce_max(logits, axis=1)
weights = tf.reduce_mean(tape.gradient(top, maps[-1]), axis=(1, 2), keepdims=True)
expected = tf.nn.relu(tf.reduce_sum(weights * maps[-1], axis=-1)).numpy()
found = {name: np.asarray(value) for name, value in model(pictures).items()}
print(json.dumps({
    "difference": float(np.abs(found["heat_map"] - expected).max()),
    "largest": float(expected.max()),
    "features": float(np.abs(found["features"] - pooled).max()),
    "probabilities": float(np.abs(found["probabilities"] - tf.nn.softmax(logits / 1.7).numpy()).max()),
}))
"""


def test_the_heat_map_is_grad_cam_as_a_gradient_tape_finds_it():
    done = run_python("-c", HEAT_MAP_BY_TAPE)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["difference"] <= 1e-4
    assert found["largest"] > 0.01
    assert found["features"] <= 1e-4
    assert found["probabilities"] <= 1e-5


# -- both runtimes -----------------------------------------------------------------------------------------------------

BOTH_RUNTIMES = """
import json, logging, sys
from pathlib import Path
import numpy as np
import keras
from triage.bundle import find_bundle, open_bundle
from triage.classifier import Classifier, load_classifier
from triage.settings import Settings

folder = Path(sys.argv[1])
pictures = np.load(folder / "pictures.npy")
shipped = open_bundle(find_bundle(Settings(_env_file=None)))
twin = Classifier(shipped, "litert").predict(pictures)
original = Classifier(shipped, "keras").predict(pictures)

inputs = keras.Input((224, 224, 3))
pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, strides=8, activation="relu")(inputs))
keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(pooled)).save(folder / "legacy_model_da.keras")
logging.basicConfig(level=logging.WARNING)
bare = load_classifier(Settings(_env_file=None, model=folder / "legacy_model_da.keras"))
found = bare.classify(pictures)
print(json.dumps({
    "difference": float(np.abs(twin - original).max()),
    "varied": float(np.ptp(twin, axis=0).max()),
    "runtime": bare.runtime,
    "version": bare.bundle.version,
    "sums": bare.predict(pictures).sum(axis=1).tolist(),
    "labels": list(found[0].probabilities),
    "sets": [len(one.prediction_set) for one in found],
}))
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], str]:
    folder = tmp_path_factory.mktemp("both")
    rows, columns = np.mgrid[:224, :224] / 224 - 0.5
    bars = [np.exp(-(((rows * np.cos(a) + columns * np.sin(a)) / 0.1) ** 2)) for a in np.linspace(0, 3, 6)]
    noise = np.random.default_rng(5).random((4, 224, 224))
    extremes = [np.zeros((224, 224)), np.ones((224, 224))]
    np.save(folder / "pictures.npy", (np.stack([*bars, *noise, *extremes]) * 255).astype(np.uint8))
    done = run_python("-c", BOTH_RUNTIMES, folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_the_shipped_twin_gives_the_probabilities_of_the_model_of_record(both: tuple[dict[str, object], str]):
    result, _ = both

    assert result["difference"] <= 1e-4
    assert result["varied"] > 0.01  # or equal would mean nothing


def test_a_bare_keras_file_runs_with_a_warning(both: tuple[dict[str, object], str]):
    result, log = both

    assert result["runtime"] == "keras"
    assert result["version"].startswith("legacy_model_da-")
    assert result["sums"] == pytest.approx([1.0] * 12, abs=1e-5)
    assert len(result["labels"]) == 10
    assert result["sets"] == [1] * 12
    assert "has no LiteRT twin; it runs on Keras" in log
    assert "scaled to [-1, 1]" in log
