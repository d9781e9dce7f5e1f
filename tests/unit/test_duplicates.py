import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2", reason="needs the train extra")

from training import DatasetError
from training.duplicates import EXACT, LANDMARKS, WHOLE, find_links, group_duplicates, join, read_contradicted
from training.landmarks import MIRROR, is_same_picture
from training.sketches import LANDMARKS as MOST_LANDMARKS
from training.sketches import find_equal_wholes, sketch, sketch_all
from triage.samples import draw_radiograph

FLIP = Image.Transpose.FLIP_LEFT_RIGHT


BODY_PARTS = (0, 1, 2, 6, 10, 12)
"""Seeds of drawings of an upper arm, femur, shin, ankle, forearm and hand. Drawings of one part are one drawing but for
the break, more alike than any two patients."""


def radiograph(part: int) -> Image.Image:
    return Image.fromarray(draw_radiograph(np.random.default_rng(BODY_PARTS[part]), 420, 340))


def smooth(seed: int) -> Image.Image:
    """A picture without edges: it has hardly any landmark."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6), np.uint8)
    return Image.fromarray(coarse).resize((160, 160), Image.Resampling.BICUBIC)


def reencode(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("L")


def crop(image: Image.Image, share: float) -> Image.Image:
    """Takes so much off the width and the height, more of it on the left and at the bottom."""
    width, height = image.size
    left, top = round(width * share * 0.7), round(height * share * 0.3)
    return image.crop((left, top, left + round(width * (1 - share)), top + round(height * (1 - share))))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "re-encoded": lambda image: reencode(image, 40),
    "smaller": lambda image: reencode(image.resize((image.width // 3, image.height // 3)), 60),
    "brighter and flatter": lambda image: image.point(lambda value: value // 2 + 60),
    "stretched": lambda image: image.resize((image.width, image.height * 3 // 4)),
    "mirrored": lambda image: image.transpose(FLIP),
    "on its side": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "upside down": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "15 % cropped": lambda image: crop(image, 0.15),
    "25 % cropped": lambda image: crop(image, 0.25),
    "cropped and mirrored": lambda image: crop(image, 0.15).transpose(FLIP),
    "turned by 10 degrees": lambda image: image.rotate(10, Image.Resampling.BICUBIC, expand=True),
    "turned by -15 degrees": lambda image: image.rotate(-15, Image.Resampling.BICUBIC),
    "cropped, re-encoded": lambda image: reencode(crop(image, 0.2), 50),
    "part of a larger picture": lambda image: side_by_side(image, smooth(7).resize(image.size)),
}


def side_by_side(one: Image.Image, other: Image.Image) -> Image.Image:
    sheet = Image.new("L", (one.width + other.width, one.height))
    sheet.paste(one, (0, 0))
    sheet.paste(other, (one.width, 0))
    return sheet


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_copy_is_recognised_among_others(name: str):
    pictures = [radiograph(part) for part in range(6)]
    copies = [CHANGES[name](picture) for picture in pictures[:2]]

    groups = group_duplicates([np.asarray(one) for one in pictures + copies], [str(n) for n in range(8)])

    assert groups.tolist() == [0, 1, 2, 3, 4, 5, 0, 1]


def test_unlike_radiographs_are_not_joined():
    # All of them carry the same word in a corner.
    pictures = [radiograph(part) for part in range(6)]
    lower = [picture.crop((0, 210, 340, 420)) for picture in pictures]

    groups = group_duplicates([np.asarray(one) for one in pictures + lower], [str(n) for n in range(12)])

    assert groups.tolist() == [*range(6), *range(6)]


def test_the_same_marker_does_not_make_dark_pictures_one():
    pictures = [radiograph(part).point(lambda value: value // 5) for part in range(6)]
    marker = radiograph(5).resize((80, 100)).point(lambda value: 255 if value > 110 else 0)
    for picture in pictures:
        picture.paste(marker, (250, 10))

    groups = group_duplicates([np.asarray(picture) for picture in pictures], [str(n) for n in range(6)])

    assert groups.tolist() == list(range(6))


def test_pictures_without_landmarks_are_recognised_whole():
    one = smooth(3)
    copies = [one, one.transpose(FLIP), one.transpose(Image.Transpose.ROTATE_270), reencode(one.resize((70, 90)), 40)]

    groups = group_duplicates([np.asarray(picture) for picture in [*copies, smooth(4), smooth(5)]], list("abcdef"))

    assert groups.tolist() == [0, 0, 0, 0, 1, 2]


def test_empty_pictures_are_no_copies_of_one_another():
    blank = [np.full((80, 100), value, np.uint8) for value in (0, 10, 255)]

    assert group_duplicates(blank, ["a", "b", "c"]).tolist() == [0, 1, 2]
    assert group_duplicates(blank, ["a", "a", "c"]).tolist() == [0, 0, 1]


def test_links_say_how_they_were_found():
    picture, other = radiograph(1), radiograph(2)
    sketches = sketch_all(
        [np.asarray(one) for one in (picture, picture, other, reencode(picture, 50), crop(other, 0.2).transpose(FLIP))]
    )

    links = {(link.one, link.other): link for link in find_links(sketches, ["a", "a", "b", "c", "d"])}

    assert set(links) == {(0, 1), (0, 3), (2, 4)}
    assert links[0, 1].methods == (EXACT,)
    assert links[0, 3].methods == (WHOLE, LANDMARKS)
    assert links[2, 4].methods == (LANDMARKS,)
    assert [link.mirrored for link in links.values()] == [False, False, True]


def test_the_answer_is_always_the_same():
    sketches = [sketch(np.asarray(radiograph(part).rotate(part))) for part in (1, 1, 2)]

    first = [is_same_picture(sketches[0], sketches[n]) for n in (1, 2)]
    is_same_picture(sketches[1], sketches[2])

    assert [is_same_picture(sketches[0], sketches[n]) for n in (1, 2)] == first == [True, False]


def test_a_sketch_is_small_whatever_the_picture():
    for size in ((3000, 40), (40, 3000), (900, 1200)):
        found = sketch(np.asarray(radiograph(1).resize(size)))
        assert max(found.thumbnail.shape) == 192
        assert found.points.shape == (len(found.descriptors), 2)
        assert len(found.points) <= MOST_LANDMARKS
        assert found.descriptors.dtype == np.uint8


def test_descriptors_are_mirrored_by_rearranging_them():
    picture = np.asarray(radiograph(4))
    plain, mirrored = sketch(picture), sketch(np.ascontiguousarray(picture[:, ::-1]))
    alike = plain.descriptors[:, MIRROR].astype(np.float32) @ mirrored.descriptors.T.astype(np.float32) / 255**2

    assert np.median(alike.max(axis=1)) > 0.97
    assert sorted(MIRROR.tolist()) == list(range(128))


def test_wholes_are_compared_block_by_block(monkeypatch: pytest.MonkeyPatch):
    pictures = [np.asarray(radiograph(part)) for part in (1, 2, 1, 3, 2)]
    whole = find_equal_wholes(sketch_all(pictures))
    monkeypatch.setattr("training.sketches.BLOCK_ROWS", 2)

    assert find_equal_wholes(sketch_all(pictures)) == whole == [(0, 2, False), (1, 4, False)]


def test_joining_is_transitive():
    assert join(6, [(4, 1), (1, 3), (5, 5)]).tolist() == [0, 1, 2, 1, 1, 3]
    assert join(0, []).tolist() == []


def test_known_groups_are_joined_to_what_looks_alike():
    one, other, third = (np.asarray(radiograph(part)) for part in (1, 2, 3))

    groups = group_duplicates([one, one, other, third], ["a", "b", "c", "d"], {"b": "patient 7", "c": "patient 7"})

    assert groups.tolist() == [0, 0, 0, 1]


def test_doubted_labels_are_those_that_are_marked(tmp_path: Path):
    file = tmp_path / "groups.csv"
    file.write_text("\ufeffsha256,group,label_conflict\nAA,1,1\nbb,1,0\ncc,2,\ndd,3, 0\n")
    assert read_contradicted(file) == {"aa"}

    file.write_text("sha256,group\naa,1\n")
    assert read_contradicted(file) == frozenset()


def test_a_groups_file_that_is_no_text_is_refused(tmp_path: Path):
    (tmp_path / "groups.csv").write_bytes(b"\xff\xfe\x00\x81sha256")

    with pytest.raises(DatasetError, match="no CSV file in UTF-8"):
        read_contradicted(tmp_path / "groups.csv")
