"""How images share messages, and where the private Redis listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from triage.broker import broker_url, in_messages, private_socket
from triage.settings import Settings


@pytest.mark.parametrize(
    ("count", "lengths"),
    [
        (0, []),
        (1, [1]),
        (2, [1, 1]),
        (3, [2, 1]),
        (9, [5, 4]),
        (16, [8, 8]),
        (17, [8, 8, 1]),
        (33, [8, 8, 8, 8, 1]),
    ],
)
def test_a_few_images_are_spread_over_the_workers_and_many_fill_messages(count: int, lengths: list[int]) -> None:
    messages = in_messages(range(count), per_message=8, workers=2)
    assert [len(message) for message in messages] == lengths
    assert [image_id for message in messages for image_id in message] == list(range(count))


def test_more_workers_than_images_get_one_each() -> None:
    assert in_messages([4, 5], per_message=8, workers=16) == [[4], [5]]


def test_the_socket_lies_in_the_home(tmp_path: Path) -> None:
    assert private_socket(Path("/srv/triage")) == Path("/srv/triage/run/redis.sock")
    assert broker_url(Settings(home=Path("/srv/triage"))) == "redis+socket:///srv/triage/run/redis.sock"


def test_a_home_too_deep_for_a_socket_gets_one_in_the_temporary_folder() -> None:
    one, other = (private_socket(Path("/deep" * 20) / name) for name in ("a", "b"))
    assert len(str(one)) < 100
    assert one != other
    assert one == private_socket(Path("/deep" * 20) / "a")


def test_a_broker_of_the_clinics_own_is_used_as_it_is() -> None:
    settings = Settings(broker_url="redis://queue:6379/3")
    assert broker_url(settings) == "redis://queue:6379/3"
