import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import DatasetError
from training.dataset import read_dataset, spell, split_holdout
from training.duplicates import group_duplicates
from triage.pixels import Limits

LIMITS = Limits(max_bytes=10_000_000, max_pixels=10_000_000, max_side=10_000)


def make_picture(seed: int, side: int = 160) -> Image.Image:
    """A smooth random picture: no two seeds look alike, and it survives rescaling as a radiograph does."""
    coarse = np.random.default_rng(seed).integers(0, 256, (10, 10), np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


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


def stack(*pictures: Image.Image) -> np.ndarray:
    return np.stack([np.asarray(picture.resize((96, 96))) for picture in pictures])


def test_labels_are_spelled_one_way():
    assert spell("Hairline Fracture") == "Hairline fracture"
    assert spell("fracture_dislocation ") == "Fracture dislocation"


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


def test_near_duplicates_share_a_group(tmp_path: Path):
    picture = make_picture(1)
    picture.save(tmp_path / "worse.jpg", quality=40)
    copies = (
        picture,
        picture.resize((60, 90)),
        Image.open(tmp_path / "worse.jpg"),
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        picture.point(lambda value: value // 2 + 60),
    )
    strangers = [make_picture(seed) for seed in range(2, 8)]

    groups = group_duplicates(stack(*copies, *strangers), [str(n) for n in range(11)])

    assert set(groups[:5]) == {groups[0]}
    assert len(set(groups.tolist())) == 7


def test_known_groups_are_joined_to_what_looks_alike():
    one, other, third = make_picture(1), make_picture(2), make_picture(3)

    groups = group_duplicates(stack(one, one, other, third), ["a", "b", "c", "d"], {"b": "patient 7", "c": "patient 7"})

    assert groups[0] == groups[1] == groups[2] != groups[3]


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
