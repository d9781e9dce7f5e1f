import io
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundles import add_file, copy_bundle, make_active

import triage.settings
from triage.bundle import NoSuchVersion, all_bundles, find_version
from triage.classifier import (
    Bundle,
    BundleError,
    Classifier,
    Outputs,
    describe,
    find_bundle,
    load_classifier,
    open_bundle,
)
from triage.settings import Settings
from triage.stack import PROJECT_DIR


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_classifier(make_settings())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the shipped bundle that a test may spoil."""
    return Path(shutil.copytree(find_bundle(make_settings()), tmp_path / "bundle"))


def make_settings(**values: object) -> Settings:
    return Settings(_env_file=None, **({"home": Path("/nowhere")} | values))


def make_pictures(count: int, side: int = 224) -> np.ndarray:
    """Soft bright bars on black, each at another angle, with noise: something like bones."""
    rows, columns = np.mgrid[:side, :side] / side - 0.5
    generator = np.random.default_rng(3)
    pictures = []
    for angle in np.linspace(0, np.pi, count, endpoint=False):
        across = rows * np.cos(angle) + columns * np.sin(angle)
        grey = 190 * np.exp(-((across / 0.12) ** 2)) + 25 + generator.normal(0, 4, (side, side))
        pictures.append(grey.clip(0, 255).astype(np.uint8))
    return np.stack(pictures)


def rewrite(bundle: Path, **fields: object) -> None:
    file = bundle / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


# -- the shipped model
# -------------------------------------------------------------------------------------------------


def test_the_shipped_bundle_describes_itself(classifier: Classifier):
    bundle = classifier.bundle

    assert bundle.labels == (
        "Avulsion fracture",
        "Comminuted fracture",
        "Fracture dislocation",
        "Greenstick fracture",
        "Hairline fracture",
        "Impacted fracture",
        "Longitudinal fracture",
        "Oblique fracture",
        "Pathological fracture",
        "Spiral fracture",
    )
    assert bundle.version == bundle.path.name
    assert bundle.input_side == 224
    assert bundle.temperature > 0
    assert 0 < bundle.conformal_quantile < 1
    assert set(bundle.thresholds) == {"low_confidence", "margin", "unlike_training_data", "not_an_xray"}
    assert {"top_1", "top_3", "balanced_accuracy", "calibration_error"} <= set(bundle.metrics["figures"])


def test_shipped_files_stay_small_and_name_no_machine(classifier: Classifier):
    for file in classifier.bundle.path.iterdir():
        content = file.read_bytes()
        assert len(content) < 12_000_000, file.name
        places = (PROJECT_DIR, PROJECT_DIR.parent, Path.home(), Path(tempfile.gettempdir()))
        assert not [place for place in places if f"{place}/".encode() in content], file.name


def test_probabilities_sum_to_one(classifier: Classifier):
    probabilities = classifier.predict(make_pictures(6))

    assert probabilities.shape == (6, 10)
    assert probabilities.dtype == np.float32
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_picture_gets_the_same_answer_alone_in_company_and_again(classifier: Classifier):
    pictures = make_pictures(4)

    together = classifier.predict(pictures)
    alone = np.concatenate([classifier.predict(picture[np.newaxis]) for picture in pictures[::-1]])[::-1]

    np.testing.assert_array_equal(together, alone)
    assert len({tuple(row) for row in together.tolist()}) == 4


def test_classification_says_what_the_probabilities_say(classifier: Classifier):
    pictures = make_pictures(3)

    for found, row in zip(classifier.classify(pictures), classifier.predict(pictures), strict=True):
        assert found.label == classifier.bundle.labels[row.argmax()]
        assert found.confidence == pytest.approx(row.max())
        assert list(found.probabilities) == list(classifier.bundle.labels)
        assert found.prediction_set[0] == found.label
        assert found.needs_review == bool(found.reasons)
        json.dumps(found.probabilities)  # plain floats, ready for the database


def test_nothing_in_nothing_out(classifier: Classifier):
    assert classifier.predict(np.empty((0, 224, 224), np.uint8)).shape == (0, 10)
    assert classifier.classify(np.empty((0, 224, 224), np.uint8)) == []


@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros((1, 224, 224), np.float32),
        np.zeros((224, 224), np.uint8),
        np.zeros((1, 96, 96), np.uint8),
        np.zeros((1, 224, 224, 3), np.uint8),
    ],
    ids=["float", "no batch", "other side", "colour"],
)
def test_other_shapes_and_types_are_refused(classifier: Classifier, inputs: np.ndarray):
    with pytest.raises(ValueError, match=r"expected \(n, 224, 224\) uint8"):
        classifier.predict(inputs)


def test_a_worker_needs_no_tensorflow_and_little_memory():
    script = (
        "import re, sys, numpy as np\n"
        "from triage.classifier import load_classifier\n"
        "from triage.settings import Settings\n"
        "load_classifier(Settings(_env_file=None)).classify(np.zeros((2, 224, 224), np.uint8))\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
        # Not getrusage: its peak begins with that of the process that forked this one.
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read()).group(1))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 250_000  # KiB


# -- reasons and prediction sets
# -----------------------------------------------------------------------------------------


def make_bundle(quantile: float | None = 0.8) -> Bundle:
    return Bundle(
        path=Path("none"),
        version="test-1",
        labels=("A", "B", "C", "D"),
        input_side=224,
        temperature=1.0,
        thresholds={"low_confidence": 0.4, "margin": 0.1},
        conformal_quantile=quantile,
        keras_path=Path("none"),
        litert_path=None,
        digests={},
    )


@pytest.mark.parametrize(
    ("probabilities", "reasons"),
    [
        ([0.70, 0.10, 0.10, 0.10], ()),
        ([0.48, 0.44, 0.04, 0.04], ("ambiguous",)),
        ([0.38, 0.22, 0.20, 0.20], ("low_confidence",)),
        ([0.26, 0.25, 0.25, 0.24], ("low_confidence", "ambiguous")),
    ],
)
def test_reasons(probabilities: list[float], reasons: tuple[str, ...]):
    found = describe(make_bundle(), np.array(probabilities, np.float32))

    assert found.reasons == reasons
    assert found.needs_review == bool(reasons)


FAR = {"low_confidence": 0.4, "margin": 0.1, "unlike_training_data": 1.5, "not_an_xray": 0.25}


@pytest.mark.parametrize(
    ("unfamiliarity", "score", "reasons"),
    [
        (1.5, 0.25, ()),
        (1.51, 0.25, ("unlike_training_data",)),
        (1.5, 0.26, ("not_an_xray",)),
        (9.0, 9.0, ("not_an_xray", "unlike_training_data")),
        (float("nan"), -1.0, ("unlike_training_data",)),
        (None, None, ()),
    ],
)
def test_reasons_of_unfamiliar_pictures(unfamiliarity: float | None, score: float | None, reasons: tuple[str, ...]):
    bundle = replace(make_bundle(), thresholds=FAR)
    probabilities = np.array([0.7, 0.1, 0.1, 0.1], np.float32)
    found = describe(bundle, probabilities, unfamiliarity=unfamiliarity, other_picture_score=score)

    assert found.reasons == reasons
    assert found.needs_review == bool(reasons)
    assert found.unfamiliarity == unfamiliarity or unfamiliarity != unfamiliarity


def test_all_reasons_come_in_their_order():
    found = describe(
        replace(make_bundle(), thresholds=FAR),
        np.array([0.26, 0.25, 0.25, 0.24], np.float32),
        unfamiliarity=2.0,
        other_picture_score=1.0,
    )

    assert found.reasons == ("not_an_xray", "unlike_training_data", "low_confidence", "ambiguous")


def test_a_check_without_threshold_is_off():
    found = describe(
        make_bundle(), np.array([0.7, 0.1, 0.1, 0.1], np.float32), unfamiliarity=99.0, other_picture_score=99.0
    )

    assert found.reasons == ()
    assert found.unfamiliarity == 99.0


@pytest.mark.parametrize(
    ("raw", "scaled"),
    [
        ([[0.0, 2.0], [1.0, 4.0]], [[0.0, 0.5], [0.25, 1.0]]),
        ([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]),
        ([[0.0, np.inf], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]),
    ],
    ids=["scaled", "nowhere", "broken"],
)
def test_a_heat_map_goes_from_0_to_1(raw: list[list[float]], scaled: list[list[float]]):
    found = describe(make_bundle(), np.array([0.7, 0.1, 0.1, 0.1], np.float32), heat_map=np.array(raw, np.float32))

    assert found.heat_map.dtype == np.float32
    assert found.heat_map.tolist() == scaled


def test_the_shipped_bundle_gives_only_what_its_model_has(classifier: Classifier):
    outputs = classifier.infer(make_pictures(2))

    np.testing.assert_array_equal(outputs.probabilities, classifier.predict(make_pictures(2)))
    for found in classifier.classify(make_pictures(2)):
        assert (found.heat_map is None) == (outputs.heat_maps is None)
        assert (found.unfamiliarity is None) == (classifier.bundle.features_path is None)


@pytest.mark.parametrize(
    ("quantile", "expected"),
    [(0.8, ("C", "A")), (0.95, ("C", "A", "D", "B")), (0.3, ("C",)), (None, ("C",))],
    ids=["two", "all", "never empty", "not conformal"],
)
def test_prediction_set_holds_what_reaches_the_quantile(quantile: float | None, expected: tuple[str, ...]):
    found = describe(make_bundle(quantile), np.array([0.25, 0.08, 0.55, 0.12], np.float32))

    assert found.prediction_set == expected


# -- bundles that cannot be used
# -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.tflite", "model.keras"])
def test_an_altered_model_is_refused(copy: Path, name: str):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)

    with pytest.raises(BundleError, match=rf"{name} is not the file that training wrote.*Copy the bundle again"):
        open_bundle(copy)


def test_a_half_copied_model_is_refused(copy: Path):
    with (copy / "model.keras").open("rb+") as stream:
        stream.truncate(1000)

    with pytest.raises(BundleError, match="altered or only half copied"):
        open_bundle(copy)


@pytest.mark.parametrize("name", ["model.tflite", "model.keras"])
def test_a_missing_model_is_refused(copy: Path, name: str):
    (copy / name).unlink()

    with pytest.raises(BundleError, match=rf"{name} is missing: the bundle is incomplete"):
        open_bundle(copy)


def test_a_folder_without_description_is_no_bundle(tmp_path: Path):
    with pytest.raises(BundleError, match=r"has no bundle\.json, so it is not a bundle"):
        open_bundle(tmp_path)


def test_a_broken_description_is_refused(copy: Path):
    (copy / "bundle.json").write_text('{"schema": 1, "labels": [')

    with pytest.raises(BundleError, match=r"bundle\.json cannot be read"):
        open_bundle(copy)


ONLY_KERAS = {"model.keras": {"sha256": "00"}}


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": ["one"]},
        {"labels": ["twice", "twice"]},
        {"version": "../elsewhere"},
        {"thresholds": {"low_confidence": 0.5}},
        {"thresholds": {"low_confidence": 0.5, "margin": float("nan")}},
        {"thresholds": {"low_confidence": 0.5, "margin": 0.1, "not_an_xray": 0.0}, "files": ONLY_KERAS},
        {"files": {"../../etc/passwd": {"sha256": "00"}}},
        {"conformal": None},
        {"input": {}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_wrong_field_is_refused(copy: Path, fields: dict[str, object]):
    rewrite(copy, **fields)

    with pytest.raises(BundleError, match="lacks a field or has a wrong one"):
        open_bundle(copy)


def test_another_schema_is_refused(copy: Path):
    rewrite(copy, schema=99)

    with pytest.raises(BundleError, match="not of schema 1"):
        open_bundle(copy)


def test_labels_that_do_not_fit_the_model_are_refused(copy: Path):
    rewrite(copy, labels=["A", "B"])

    with pytest.raises(BundleError, match="does not have the input and output that its bundle describes"):
        Classifier(open_bundle(copy))


def features_of(width: int, radiographs: bool = False) -> bytes:
    target = io.BytesIO()
    plane = {"radiograph_weights": np.zeros(width), "radiograph_bias": np.zeros(())} if radiographs else {}
    np.savez(target, mean=np.zeros(width), whiten=np.eye(width), **plane)
    return target.getvalue()


def thresholds(**values: float | None) -> dict[str, float | None]:
    return {"low_confidence": 0.5, "margin": 0.1} | values


def test_further_files_and_thresholds_are_read(copy: Path):
    add_file(copy, "features.npz", features_of(3))
    add_file(copy, "images.csv", b"sha256\n")
    rewrite(copy, thresholds=thresholds(unlike_training_data=1.5, not_an_xray=None))

    bundle = open_bundle(copy)

    assert (bundle.features_path, bundle.images_path) == (copy / "features.npz", copy / "images.csv")
    assert bundle.thresholds == {"low_confidence": 0.5, "margin": 0.1, "unlike_training_data": 1.5}


@pytest.mark.parametrize("name", ["features.npz", "images.csv"])
def test_an_altered_further_file_is_refused(copy: Path, name: str):
    add_file(copy, name, features_of(3))
    (copy / name).write_bytes(features_of(4))

    with pytest.raises(BundleError, match=rf"{name} is not the file that training wrote"):
        open_bundle(copy)


class Extended(Classifier):
    """A model that gives three features, which are the mean grey value, 1 and 2, and a heat map of one place."""

    def __init__(self, bundle: Bundle, width: int = 3):
        self.width = width
        super().__init__(bundle)

    @property
    def _run(self):
        return self._extended

    @_run.setter
    def _run(self, run):
        def extended(inputs: np.ndarray) -> Outputs:
            grey = inputs.mean(axis=(1, 2), keepdims=False)[:, np.newaxis]
            features = np.concatenate([grey, np.ones_like(grey), 2 * np.ones_like(grey)], axis=1)[:, : self.width]
            return Outputs(run(inputs).probabilities, features.astype(np.float32), grey[:, np.newaxis] + 1)

        self._extended = extended


def test_unfamiliar_pictures_are_flagged(copy: Path):
    add_file(copy, "features.npz", features_of(3))
    rewrite(copy, thresholds=thresholds(low_confidence=0.0, margin=0.0, unlike_training_data=50.0))
    pictures = np.stack([np.full((224, 224), grey, np.uint8) for grey in (60, 180)])

    near, far = Extended(open_bundle(copy)).classify(pictures)

    assert near.unfamiliarity == pytest.approx(np.sqrt((60**2 + 1 + 4) / 3))
    assert far.unfamiliarity == pytest.approx(np.sqrt((180**2 + 1 + 4) / 3))
    assert (near.reasons, far.reasons) == ((), ("unlike_training_data",))
    assert far.heat_map.tolist() == [[1.0]]


def test_statistics_of_other_features_are_refused(copy: Path):
    add_file(copy, "features.npz", features_of(3))

    with pytest.raises(BundleError, match="statistics of 3 features, and its model gives 2"):
        Extended(open_bundle(copy), width=2)


def test_a_check_that_could_never_strike_is_refused(copy: Path):
    add_file(copy, "features.npz", features_of(3))
    rewrite(copy, thresholds=thresholds(not_an_xray=0.0))

    with pytest.raises(BundleError, match="threshold not_an_xray, and no radiograph_weights"):
        Extended(open_bundle(copy))
    add_file(copy, "features.npz", features_of(3, radiographs=True))
    assert Extended(open_bundle(copy)).classify(make_pictures(1))[0].reasons[:1] != ("not_an_xray",)


def test_a_bundle_without_twin_does_not_run_on_litert(classifier: Classifier):
    with pytest.raises(BundleError, match=r"has no LiteRT twin. Set TRIAGE_RUNTIME=keras"):
        Classifier(replace(classifier.bundle, litert_path=None))


def test_what_is_no_model_is_refused(tmp_path: Path):
    (tmp_path / "weights.h5").write_bytes(b"x")

    with pytest.raises(BundleError, match=r"neither a bundle folder nor a \.keras file"):
        open_bundle(tmp_path / "weights.h5")
    with pytest.raises(BundleError, match="There is no model at"):
        open_bundle(tmp_path / "nothing.keras")


def test_a_bare_file_brings_the_default_labels_and_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    file = tmp_path / "mobilenet fracture (da).keras"
    file.write_bytes(b"not read before it is run")

    bundle = open_bundle(file)

    assert len(bundle.labels) == 10
    assert bundle.litert_path is None
    assert bundle.conformal_quantile is None
    assert bundle.version.startswith("mobilenet-fracture--da-")
    assert "bare Keras file" in caplog.text
    assert "not calibrated" in caplog.text


# -- which bundle
# ------------------------------------------------------------------------------------------------------------


def test_the_pinned_bundle_comes_first(copy: Path):
    assert find_bundle(make_settings(model=copy)) == copy


def test_a_pin_to_nothing_is_refused(tmp_path: Path):
    with pytest.raises(BundleError, match=r"TRIAGE_MODEL names .* nothing is there"):
        find_bundle(make_settings(model=tmp_path / "gone"))


@pytest.mark.parametrize(
    ("active", "message"),
    [
        (None, "No model is active"),
        ("gone-1\n", "The active model gone-1 is not in"),
        ("../elsewhere", "must hold the name of one bundle folder"),
        ("", "must hold the name of one bundle folder"),
    ],
)
def test_a_pointer_to_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, active: str | None, message: str
):
    monkeypatch.setattr(triage.settings, "BUNDLES_DIR", tmp_path)
    if active is not None:
        (tmp_path / "ACTIVE").write_text(active)

    with pytest.raises(BundleError, match=message):
        find_bundle(make_settings())


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, Path, Path]:
    """A home with a bundle of its own, and a shipped one that is active."""
    shipped, settings = tmp_path / "shipped", make_settings(home=tmp_path / "home")
    source = find_bundle(make_settings())
    monkeypatch.setattr(triage.settings, "BUNDLES_DIR", shipped)
    copy_bundle(source, shipped, "shipped-1")
    copy_bundle(source, settings.models_dir, "own-1")
    make_active(shipped, "shipped-1")
    return settings, settings.models_dir, shipped


def test_what_the_clinic_made_active_comes_before_what_ships(folders: tuple[Settings, Path, Path]):
    settings, own, shipped = folders

    assert find_bundle(settings) == shipped / "shipped-1"
    make_active(own, "own-1")
    assert find_bundle(settings) == own / "own-1"
    make_active(own, "shipped-1")
    assert find_bundle(settings) == shipped / "shipped-1"


def test_a_pointer_of_the_clinic_to_nothing_is_no_reason_to_run_another_model(folders: tuple[Settings, Path, Path]):
    settings, own, _ = folders
    make_active(own, "gone-1")

    with pytest.raises(BundleError, match="The active model gone-1 is not in"):
        find_bundle(settings)


def test_versions_are_found_in_both_folders(folders: tuple[Settings, Path, Path]):
    settings, own, shipped = folders
    (own / ".writing-1").mkdir()
    (own / "no bundle").mkdir()

    assert all_bundles(settings) == [own / "own-1", shipped / "shipped-1"]
    assert find_version(settings, "own-1") == own / "own-1"
    for name in ("gone", "../home", ""):
        with pytest.raises(NoSuchVersion, match="triage model list"):
            find_version(settings, name)
