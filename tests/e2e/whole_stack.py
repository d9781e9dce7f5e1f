"""A running ``triage up`` on a home of its own, as the browser tests see it, and pictures to drop into it."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import psutil
from PIL import Image as Pillow
from waiting import wait_until

from triage import queries
from triage.database import open_database, reading_sessions
from triage.records import Image
from triage.samples import draw_radiograph
from triage.settings import Settings

WAIT_MILLISECONDS = 20_000
READER = "CD"
"""Who looks, in a browser of these tests."""


def free_port() -> int:
    """A port that nothing listens on, for a moment at least."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def png(seed: int, height: int = 400) -> bytes:
    """A synthetic radiograph that no other seed gives."""
    pixels = draw_radiograph(np.random.default_rng([77, seed]), height, height * 4 // 5)
    target = io.BytesIO()
    Pillow.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


@dataclass
class Stack:
    """A running ``triage up`` on a home of its own."""

    settings: Settings
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    def drop(self, name: str, content: bytes) -> None:
        """Put a file into the inbox, whole at once."""
        half = self.settings.inbox_dir / f".{name}"
        half.write_bytes(content)
        half.rename(self.settings.inbox_dir / name)

    def find(self, name: str) -> Image | None:
        """The image that came under this name, if it is in the database."""
        engine = open_database(self.settings.database)
        try:
            with reading_sessions(engine)() as session:
                return next((image for image in queries.all_ranked(session) if image.source_name == name), None)
        finally:
            engine.dispose()

    def count_images(self) -> int:
        """How many images are in the database, whatever became of them."""
        engine = open_database(self.settings.database)
        try:
            with reading_sessions(engine)() as session:
                return sum(queries.counts(session).values())
        finally:
            engine.dispose()

    def events(self, image_id: int) -> list[str]:
        """What happened to an image, oldest first."""
        engine = open_database(self.settings.database)
        try:
            with reading_sessions(engine)() as session:
                return [event.event for event in queries.events_of(session, image_id)]
        finally:
            engine.dispose()

    def wait_for(self, name: str, status: str = "done") -> Image:
        """Wait until the image of this name has a status."""

        def there() -> Image | None:
            image = self.find(name)
            return image if image is not None and image.status == status else None

        found = wait_until(there, f"{name} is {status}")
        assert found is not None
        return found

    @contextmanager
    def stopped_worker(self) -> Iterator[None]:
        """Keep the worker's main process from running: it falls silent, as a hung or lost one does."""
        workers = [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if "worker.tasks" in " ".join(child.cmdline())
        ]
        main = min(workers, key=lambda child: child.create_time())
        main.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            main.send_signal(signal.SIGCONT)
