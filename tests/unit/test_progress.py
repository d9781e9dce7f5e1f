"""Health measured by progress: the same message next in line for too long means that nobody takes any."""

from __future__ import annotations

from triage.progress import Progress


class Line:
    """A queue that the test fills, and a clock that it turns."""

    def __init__(self) -> None:
        self.head: str | None = None
        self.now = 0.0
        self.progress = Progress(lambda: self.head, 10.0, clock=lambda: self.now)

    def has_stalled(self, head: str | None, seconds: float) -> bool:
        self.head = head
        self.now += seconds
        return self.progress.has_stalled()


def test_an_empty_queue_is_no_reason_to_worry() -> None:
    line = Line()
    assert not any(line.has_stalled(None, 60.0) for _ in range(3))


def test_a_queue_that_moves_on_is_fine_however_long_it_is() -> None:
    line = Line()
    assert not any(line.has_stalled(f"message {number}", 9.0) for number in range(20))


def test_a_message_that_nobody_takes_is_noticed_after_the_limit_and_not_before() -> None:
    line = Line()
    assert not line.has_stalled("message 1", 60.0)
    assert not line.has_stalled("message 1", 10.0)
    assert line.has_stalled("message 1", 0.1)


def test_whoever_was_replaced_gets_as_long_again() -> None:
    line = Line()
    line.has_stalled("message 1", 0.0)
    assert line.has_stalled("message 1", 11.0)
    assert not line.has_stalled("message 1", 10.0)
    assert line.has_stalled("message 1", 0.1)


def test_a_broker_that_does_not_answer_tells_nothing() -> None:
    line = Line()
    line.has_stalled("message 1", 0.0)
    assert not line.has_stalled(None, 60.0)
    assert not line.has_stalled("message 1", 9.0)
