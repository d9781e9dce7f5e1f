import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2", reason="needs the train extra")
pytest.importorskip("matplotlib", reason="needs the train extra")

from training import audit
from training.dataset import read_dataset
from training.reading import measure_chroma
from triage.pixels import Limits

LIMITS = Limits(max_bytes=10_000_000, max_pixels=10_000_000, max_side=10_000)


def make_picture(seed: int, width: int = 160, height: int = 160) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (10, 10), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes: an equal copy, a near copy, a contradiction, a tint, something unreadable, a test image."""
    hairline, spiral = tmp_path / "data" / "Hairline fracture", tmp_path / "data" / "Spiral fracture"
    (hairline / "Test").mkdir(parents=True)
    spiral.mkdir()
    for seed in range(5):
        make_picture(seed).save(hairline / f"{seed}.png")
        make_picture(100 + seed, 120, 240).save(spiral / f"{seed}.png")
    (hairline / "equal.png").write_bytes((hairline / "0.png").read_bytes())
    make_picture(1).resize((90, 70)).save(hairline / "Test" / "near.jpg", quality=60)
    make_picture(2).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(spiral / "contrary.png")
    Image.merge("RGB", (make_picture(300), make_picture(301), make_picture(302))).save(spiral / "colour.png")
    (spiral / "notes.txt").write_text("no picture")
    return tmp_path / "data"


def test_what_was_found(folder: Path):
    found = audit.audit(read_dataset(folder, LIMITS, 96))

    assert found["files"] == 15
    assert found["readable"] == 14
    assert found["unreadable"] == {"unknown_type": 1}
    assert found["kept"] == 12
    assert found["left_out"] == 3
    assert found["exact_duplicates"] == 1
    assert found["near_duplicate_pairs"] == 2
    assert found["found_by"]["of these, mirrored"] == 1
    assert found["duplicate_groups"] == 3
    assert found["largest_duplicate_group"] == 2
    assert found["pictures_with_two_labels"] == 1
    assert found["files_left_out_for_that"] == 2
    assert found["coloured"] == 1
    assert found["media_types"] == {"image/jpeg": 1, "image/png": 13}
    assert found["sizes"]["width, smallest / median / largest"] == "90 / 160 / 160"
    assert found["sizes"]["height, smallest / median / largest"] == "70 / 160 / 240"
    assert found["sizes"]["different sizes"] == 3
    assert found["per_label"] == [
        {"label": "Hairline fracture", "folder": 7, "kept": 6},
        {"label": "Spiral fracture", "folder": 7, "kept": 6},
    ]
    assert found["test_folder"] == {"files": 1, "kept out of training for being like one": 1}
    assert "agreement_with_groups_file" not in found


def test_agreement_with_a_list(folder: Path, tmp_path: Path):
    plain = read_dataset(folder, LIMITS, 96)
    assert plain.inspection is not None
    digest = {file.name: file.digest for file in plain.inspection.files}
    # Lists the near copies and a pair that no search can find, and holds the contradicting pair to be two pictures.
    groups = {
        "Hairline fracture/1.png": "a",
        "Hairline fracture/Test/near.jpg": "a",
        "Spiral fracture/0.png": "b",
        "Spiral fracture/1.png": "b",
        "Hairline fracture/2.png": "c",
        "Spiral fracture/contrary.png": "d",
    }
    file = tmp_path / "groups.csv"
    file.write_text("sha256,group\n" + "".join(f"{digest[name]},{group}\n" for name, group in groups.items()))

    found = audit.audit(read_dataset(folder, LIMITS, 96, file))

    assert found["agreement_with_groups_file"] == {
        "files in the list": 6,
        "pairs in the list": 2,
        "pairs found": 1,
        "pairs missed": 1,
        "further pairs": 1,
    }


def test_the_command_writes_everything_and_says_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)

    assert audit.main(["--data", str(folder), "--output", "found"]) == 0

    assert {entry.name for entry in (tmp_path / "found").iterdir()} == {
        "audit.json", "left-out.txt", "image-sizes.png", "duplicates.png", "conflicts.png",
    }  # fmt: skip
    written = (tmp_path / "found" / "audit.json").read_text()
    assert json.loads(written)["near_duplicate_pairs"] == 2
    assert ".png" not in written  # it ships, and names no file
    left_out = (tmp_path / "found" / "left-out.txt").read_text()
    assert "Spiral fracture/contrary.png\tthe same picture under another label: Hairline fracture/2.png" in left_out
    assert "Spiral fracture/notes.txt" in left_out
    shown = capsys.readouterr().out
    assert "Near duplicate pairs" in shown
    assert "Written to found" in shown


def test_a_folder_without_copies_has_empty_sheets(tmp_path: Path):
    for number, label in enumerate(("Hairline fracture", "Spiral fracture")):
        (tmp_path / label).mkdir()
        for seed in range(2):
            make_picture(10 * number + seed).save(tmp_path / label / f"{seed}.png")

    found = audit.write_audit(tmp_path / "out", read_dataset(tmp_path, LIMITS, 96))

    assert found["near_duplicate_pairs"] == found["exact_duplicates"] == 0
    assert found["largest_duplicate_group"] == 1
    with Image.open(tmp_path / "out" / "conflicts.png") as sheet:
        assert sheet.size == (600, 176)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--data", "no/such"], "is not a folder"), (["--data", ".", "--groups", "no.csv"], "is not a file")],
)
def test_wrong_usage_exits_with_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exit_info:
        audit.main(arguments)

    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_cannot_be_read_as_classes_exits_with_2(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    assert audit.main(["--data", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "one folder per fracture type" in caplog.text
    assert not (tmp_path / "out").exists()


def test_chroma_of_grey_tint_and_colour(tmp_path: Path):
    grey = make_picture(1)
    for name, picture, low, high in (
        ("grey.png", grey, 0, 0),
        ("grey.jpg", grey.convert("RGB"), 0, 1),
        ("tint.jpg", Image.merge("RGB", (grey, grey, grey.point(lambda value: min(255, value + 12)))), 8, 14),
        ("deep.png", Image.fromarray(np.asarray(grey, np.uint16) * 257), 0, 0),
    ):
        picture.save(tmp_path / name)
        assert low <= measure_chroma((tmp_path / name).read_bytes()) <= high, name
