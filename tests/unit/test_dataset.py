import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2", reason="needs the train extra")
pytest.importorskip("sklearn", reason="needs the train extra")

from training import DatasetError
from training.dataset import read_dataset, split_holdout
from training.splits import make_folds
from triage.pixels import Limits

LIMITS = Limits(max_bytes=10_000_000, max_pixels=10_000_000, max_side=10_000)


def make_picture(seed: int, side: int = 160) -> Image.Image:
    """A smooth random picture: no two seeds look alike, and it survives rescaling as a radiograph does."""
    coarse = np.random.default_rng(seed).integers(0, 256, (10, 10), np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def digest_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of six pictures, one in the Train/Test layout and one plain."""
    for number in range(6):
        place = tmp_path / "Hairline Fracture" / ("Test" if number == 0 else "Train")
        place.mkdir(parents=True, exist_ok=True)
        make_picture(number).save(place / f"{number}.png")
        plain = tmp_path / "spiral_fracture"
        plain.mkdir(exist_ok=True)
        make_picture(100 + number).save(plain / f"{number}.png")
    return tmp_path


def test_both_folder_layouts_are_read(folder: Path):
    data = read_dataset(folder, LIMITS, 96)

    assert data.labels == ("Hairline fracture", "Spiral fracture")
    assert data.pixels.shape == (12, 96, 96)
    assert data.pixels.dtype == np.uint8
    assert np.bincount(data.targets).tolist() == [6, 6]
    assert [name for name, held in zip(data.names, data.held_back, strict=True) if held] == [
        "Hairline Fracture/Test/0.png"
    ]
    assert data.skipped == ()


def test_unreadable_files_are_listed_and_the_rest_is_read(folder: Path):
    (folder / "spiral_fracture" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing follows")
    (folder / "spiral_fracture" / "notes.txt").write_text("not a picture")
    (folder / "spiral_fracture" / ".DS_Store").write_bytes(b"left by a file browser")

    data = read_dataset(folder, LIMITS, 96)

    assert len(data.names) == 12
    assert [skipped.name for skipped in data.skipped] == [
        "spiral_fracture/broken.jpg",
        "spiral_fracture/notes.txt",
    ]
    assert all(skipped.reason for skipped in data.skipped)


def test_the_same_file_under_two_labels_is_left_out_on_both_sides(folder: Path):
    original = folder / "spiral_fracture" / "3.png"
    (folder / "Hairline Fracture" / "Train" / "copy.png").write_bytes(original.read_bytes())

    data = read_dataset(folder, LIMITS, 96)

    assert {skipped.name for skipped in data.skipped} == {
        "spiral_fracture/3.png",
        "Hairline Fracture/Train/copy.png",
    }
    assert "spiral_fracture/3.png" not in data.names


def test_a_near_copy_under_another_label_is_left_out_and_both_are_named(folder: Path):
    make_picture(103).resize((90, 120)).save(folder / "Hairline Fracture" / "Train" / "copy.jpg", quality=50)

    data = read_dataset(folder, LIMITS, 96)

    assert {skipped.name: skipped.reason for skipped in data.skipped} == {
        "spiral_fracture/3.png": "the same picture under another label: "
        "Hairline Fracture/Train/copy.jpg (Hairline fracture)",
        "Hairline Fracture/Train/copy.jpg": "the same picture under another label: "
        "spiral_fracture/3.png (Spiral fracture)",
    }
    assert data.inspection is not None
    assert len(data.inspection.conflicts) == 1


def test_a_near_copy_under_the_same_label_stays_with_its_original(folder: Path):
    make_picture(103).resize((90, 120)).save(folder / "spiral_fracture" / "copy.jpg", quality=50)

    data = read_dataset(folder, LIMITS, 96)

    copy, original = (data.names.index(f"spiral_fracture/{name}") for name in ("copy.jpg", "3.png"))
    assert data.groups[copy] == data.groups[original]
    assert len(set(data.groups.tolist())) == 12
    assert data.skipped == ()


def test_one_patient_may_have_two_fracture_types(folder: Path, tmp_path: Path):
    files = [folder / "spiral_fracture" / "0.png", folder / "Hairline Fracture" / "Train" / "1.png"]
    groups = tmp_path / "groups.csv"
    groups.write_text("sha256,group\n" + "".join(f"{digest_of(file)},patient 7\n" for file in files))

    data = read_dataset(folder, LIMITS, 96, groups_file=groups)

    assert data.skipped == ()
    assert data.conflicts() == 1
    one, other = (data.names.index(file.relative_to(folder).as_posix()) for file in files)
    assert data.groups[one] == data.groups[other]


def test_a_doubted_label_in_the_groups_file_is_honoured(folder: Path, tmp_path: Path):
    digest = digest_of(folder / "spiral_fracture" / "0.png")
    groups = tmp_path / "groups.csv"
    groups.write_text(f"sha256,near_dup_group,label_conflict\n{digest.upper()},4,1\n{'0' * 64},5,0\n")

    data = read_dataset(folder, LIMITS, 96, groups_file=groups)

    assert [skipped.name for skipped in data.skipped] == ["spiral_fracture/0.png"]
    assert "groups file" in data.skipped[0].reason


def test_many_files_are_read_by_several_processes_in_the_same_order(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "spiral_fracture" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing follows")
    alone = read_dataset(folder, LIMITS, 96)
    monkeypatch.setattr("training.reading.MANY_FILES", 3)

    together = read_dataset(folder, LIMITS, 96)

    assert together.names == alone.names
    assert together.skipped == alone.skipped
    assert (together.pixels == alone.pixels).all()
    assert (together.groups == alone.groups).all()


def test_folders_of_one_label_are_put_together(folder: Path):
    (folder / "Spiral Fracture").mkdir()
    make_picture(700).save(folder / "Spiral Fracture" / "more.png")

    data = read_dataset(folder, LIMITS, 96)

    assert data.labels == ("Hairline fracture", "Spiral fracture")
    assert np.bincount(data.targets).tolist() == [6, 7]
    assert data.mapping is not None
    assert data.mapping.by_folder["Spiral Fracture"] == data.mapping.by_folder["spiral_fracture"] == "Spiral fracture"


def test_an_unknown_folder_needs_to_be_asked_for(folder: Path):
    (folder / "Healthy").mkdir()
    for number in range(2):
        make_picture(800 + number).save(folder / "Healthy" / f"{number}.png")

    with pytest.raises(DatasetError, match="--own-labels"):
        read_dataset(folder, LIMITS, 96)
    assert read_dataset(folder, LIMITS, 96, own_labels=True).labels == (
        "Hairline fracture",
        "Healthy",
        "Spiral fracture",
    )


def test_groups_file_is_read_by_hash(folder: Path, tmp_path: Path):
    digests = [hashlib.sha256((folder / "spiral_fracture" / f"{n}.png").read_bytes()).hexdigest() for n in range(6)]
    file = tmp_path / "groups.csv"
    file.write_text("sha256,group\n" + "".join(f"{digest},all of one patient\n" for digest in digests[:4]))

    data = read_dataset(folder, LIMITS, 96, groups_file=file)

    spiral = data.groups[data.targets == 1]
    assert len(set(spiral.tolist())) == 3


def test_groups_file_without_its_columns_is_refused(folder: Path, tmp_path: Path):
    file = tmp_path / "groups.csv"
    file.write_text("file,patient\n1.png,7\n")

    with pytest.raises(DatasetError, match="must have the columns sha256 and group"):
        read_dataset(folder, LIMITS, 96, groups_file=file)


def test_the_fingerprint_follows_content_and_not_names(folder: Path):
    before = read_dataset(folder, LIMITS, 96).fingerprint()
    (folder / "spiral_fracture" / "0.png").rename(folder / "spiral_fracture" / "zzz.png")
    renamed = read_dataset(folder, LIMITS, 96).fingerprint()
    make_picture(555).save(folder / "spiral_fracture" / "one-more.png")

    assert renamed == before
    assert read_dataset(folder, LIMITS, 96).fingerprint() != before


@pytest.mark.parametrize("classes", [0, 1])
def test_fewer_than_two_classes_are_refused(tmp_path: Path, classes: int):
    for number in range(classes):
        (tmp_path / f"class {number}").mkdir()
        make_picture(number).save(tmp_path / f"class {number}" / "a.png")

    with pytest.raises(DatasetError, match="one folder per fracture type"):
        read_dataset(tmp_path, LIMITS, 96)


def test_a_class_of_one_image_is_refused(folder: Path):
    (folder / "Oblique fracture").mkdir()
    make_picture(900).save(folder / "Oblique fracture" / "only.png")

    with pytest.raises(DatasetError, match=r"Oblique fracture has 1 readable image\(s\)"):
        read_dataset(folder, LIMITS, 96)


def split_inputs(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    groups = generator.integers(0, 150, 300)
    return groups % 5, groups, np.zeros(300, np.bool_)


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_on_both_sides_and_each_label_has_its_share(seed: int):
    targets, groups, held_back = split_inputs(seed)

    holdout = split_holdout(targets, groups, held_back, 0.15, seed)

    assert not set(groups[holdout]) & set(groups[~holdout])
    for target in range(5):
        assert 0.14 <= holdout[targets == target].mean() <= 0.30


def test_the_split_depends_on_the_seed_alone():
    targets, groups, held_back = split_inputs(1)

    first, again, other = (split_holdout(targets, groups, held_back, 0.15, seed) for seed in (7, 7, 8))

    assert (first == again).all()
    assert (first != other).any()


def test_a_test_folder_never_trains_nor_does_what_looks_like_it():
    targets, groups, held_back = split_inputs(2)
    held_back[:3] = True

    holdout = split_holdout(targets, groups, held_back, 0.15, 0)

    assert holdout[np.isin(groups, groups[:3])].all()


def test_a_class_of_duplicates_only_cannot_be_split():
    targets, groups = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 2, 2, 2])

    with pytest.raises(DatasetError, match="duplicates of one another"):
        split_holdout(targets, groups, np.zeros(5, np.bool_), 0.15, 0)


# -- folds -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_folds_keep_groups_whole_and_share_labels_evenly(seed: int):
    targets, groups, _ = split_inputs(seed)

    folds = make_folds(targets, groups, 5, seed)

    assert sorted(set(folds.tolist())) == [0, 1, 2, 3, 4]
    for fold in range(5):
        assert not set(groups[folds == fold]) & set(groups[folds != fold])
        assert 40 <= (folds == fold).sum() <= 80
        assert set(targets[folds == fold]) == {0, 1, 2, 3, 4}


def test_folds_depend_on_the_seed_alone():
    targets, groups, _ = split_inputs(1)

    first, again, other = (make_folds(targets, groups, 5, seed) for seed in (7, 7, 8))

    assert (first == again).all()
    assert (first != other).any()


def test_test_folders_and_what_looks_like_them_are_in_no_fold():
    targets, groups, held_back = split_inputs(2)
    held_back[:3] = True

    folds = make_folds(targets, groups, 5, 0, held_back)

    assert ((folds == -1) == np.isin(groups, groups[:3])).all()


def test_a_label_of_one_picture_cannot_be_spread():
    targets, groups = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 3, 3])

    with pytest.raises(DatasetError, match=r"Spiral fracture cannot be spread over folds: it has 1 group"):
        make_folds(targets, groups, 2, 0, labels=("Hairline fracture", "Spiral fracture"))


def test_fewer_pictures_than_folds_are_refused():
    with pytest.raises(DatasetError, match="There are 4 different pictures for 5 folds"):
        make_folds(np.array([0, 0, 1, 1]), np.arange(4), 5, 0)
