"""Training end to end, the shipped twin, and a bare Keras file.

TensorFlow stays out of this process: it takes seconds and hundreds of megabytes, and other tests fork.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import calibration, evaluation
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
def smoke(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    output = tmp_path_factory.mktemp("runs") / "smoke"
    return run_python("-m", "training.run", "--data", data, "--smoke", "--output", output), output


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
    np.testing.assert_allclose(Classifier(bundle).predict(pictures).sum(axis=1), 1, atol=1e-5)


def test_smoke_run_reports(smoke: tuple[subprocess.CompletedProcess[str], Path]):
    done, output = smoke
    bundle = Path(done.stdout.strip())

    assert {entry.name for entry in output.iterdir()} == {bundle.name, "left-out.txt", "samples.png", "split.csv"}
    assert {entry.name for entry in bundle.iterdir()} == {
        "bundle.json", "card.md", "model.keras", "model.tflite",
        "class-balance.png", "confusion.png", "reliability.png",
    }  # fmt: skip
    assert "half.jpg" in (output / "left-out.txt").read_text()
    assert "left out: Oblique fracture/Train/half.jpg" in done.stderr
    card = (bundle / "card.md").read_text()
    assert "not a diagnosis" in card
    assert "cannot say that a bone is intact" in card
    details = json.loads((bundle / "bundle.json").read_text())
    assert [stage["stage"] for stage in details["stages"]] == [
        "frozen, no augmentation",
        "frozen, augmented",
        "last 50 layers fine-tuned",
    ]
    for figure in ("top_1", "top_3", "balanced_accuracy", "calibration_error"):
        entry = details["metrics"]["holdout"][figure]
        assert entry["low"] <= entry["value"] <= entry["high"] or figure == "calibration_error"
    assert details["training"]["images"] == 21
    assert details["training"]["left_out"] == 1


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
        (["--data", "{data}", "--passes", "0"], 2, "must be 1 or more"),
    ],
    ids=["no folder", "no weights file", "one class", "smoke is not for use", "no passes"],
)
def test_wrong_usage_is_said_in_one_line(data: Path, tmp_path: Path, arguments: list[str], code: int, message: str):
    filled = [argument.format(data=data) for argument in arguments]
    done = run_python("-m", "training.run", *filled, "--output", tmp_path / "out")

    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_weights_that_cannot_be_read_are_refused_with_what_to_do(data: Path, tmp_path: Path):
    (tmp_path / "other.weights.h5").write_bytes(b"no weights")

    done = run_python(
        "-m", "training.run", "--data", data, "--output", tmp_path / "out",
        TRAINING_WEIGHTS=str(tmp_path / "other.weights.h5"),
    )  # fmt: skip

    assert done.returncode == 3
    assert "--weights FILE or in TRAINING_WEIGHTS" in done.stderr
    assert "Traceback" not in done.stderr


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


# -- figures and calibration, by hand ----------------------------------------------------------------------------------


def make_logits(count: int, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is exactly right about how often each label is true."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, spread, (count, 5))
    targets = np.array([generator.choice(5, p=row) for row in evaluation.softmax(logits)])
    return logits, targets


def test_temperature_undoes_overconfidence():
    logits, targets = make_logits(20_000, 1.5, 1)

    assert calibration.fit_temperature(logits * 2.5, targets) == pytest.approx(2.5, rel=0.03)
    assert calibration.fit_temperature(logits, targets) == pytest.approx(1.0, rel=0.03)


def test_lac_quantile_by_hand():
    # Scores are 1 - p(true): 0.1 ... 0.9.
    probabilities = np.stack([np.arange(1, 10) / 10, 1 - np.arange(1, 10) / 10], axis=1)
    targets = np.zeros(9, np.int64)

    assert calibration.lac_quantile(probabilities, targets, 0.9) == pytest.approx(0.9)  # the 9th of 9
    assert calibration.lac_quantile(probabilities, targets, 0.5) == pytest.approx(0.5)  # the 5th of 9
    assert calibration.lac_quantile(probabilities, targets, 0.95) == 1.0  # would be the 10th of 9


def test_prediction_sets_hold_the_truth_as_often_as_promised():
    logits, targets = make_logits(20_000, 1.5, 2)
    probabilities = evaluation.softmax(logits)
    quantile = calibration.lac_quantile(probabilities[:10_000], targets[:10_000])

    sets = calibration.prediction_sets(probabilities[10_000:], quantile)

    assert sets[np.arange(10_000), targets[10_000:]].mean() == pytest.approx(0.9, abs=0.015)
    assert sets.any(axis=1).all()


def test_the_threshold_is_where_labels_begin_to_be_right():
    confidence = np.linspace(0.99, 0.51, 40)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    targets = np.array([0] * 20 + [1] * 20)  # the twenty surest are right, no other is

    assert calibration.trusted_from(probabilities, targets, 0.5) == pytest.approx(0.51)
    assert calibration.trusted_from(probabilities, targets, 1.0) == pytest.approx(confidence[19], abs=1e-4)
    assert calibration.trusted_from(probabilities, 1 - targets, 1.0) == 0.5  # the surest one is wrong


def test_calibration_error_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.65, 0.35]])
    targets = np.array([0, 0, 0, 1])

    # Half the images are 0.05 less sure than right, half 0.15 surer than right.
    assert evaluation.calibration_error(probabilities, targets) == pytest.approx(0.5 * 0.05 + 0.5 * 0.15)


def test_figures_by_hand():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7]])
    targets = np.array([0, 2, 1, 2])

    assert evaluation.top_k(probabilities, targets, 1) == 0.75
    assert evaluation.top_k(probabilities, targets, 2) == 0.75
    assert evaluation.top_k(probabilities, targets, 3) == 1.0
    assert evaluation.balanced_accuracy(probabilities, targets) == pytest.approx((1 + 1 + 0.5) / 3)
    assert evaluation.confusion(probabilities, targets).tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]


def test_intervals_are_wider_where_images_come_in_groups():
    logits, targets = make_logits(200, 1.5, 4)
    probabilities = evaluation.softmax(np.repeat(logits, 4, axis=0))
    repeated, alone = np.repeat(targets, 4), np.arange(800)

    together = evaluation.measure(probabilities, repeated, np.repeat(np.arange(200), 4), 0, resamples=400)["top_1"]
    apart = evaluation.measure(probabilities, repeated, alone, 0, resamples=400)["top_1"]

    assert together["low"] < together["value"] < together["high"]
    assert together["high"] - together["low"] > 1.6 * (apart["high"] - apart["low"])
