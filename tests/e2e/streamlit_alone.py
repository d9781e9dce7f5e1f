"""The dashboard alone, by Streamlit's own start command: no queue, no worker, no watcher."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from waiting import wait_until

from triage.database import open_database
from triage.schema import migrate
from triage.settings import Settings

APP = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"


@contextmanager
def streamlit(folder: Path, port: int, *words: str, **variables: str) -> Iterator[str]:
    """Streamlit's own start command, with a home of its own; gives the address on this machine."""
    engine = open_database(Settings(home=folder).database)
    migrate(engine)
    engine.dispose()
    given = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
    given |= {"HOME": str(folder), "TRIAGE_HOME": str(folder)} | variables
    command = [sys.executable, "-m", "streamlit", "run", str(APP), "--server.port", str(port), *words]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=given, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    try:
        wait_until(ready, "Streamlit answers", 60)
        yield url
    finally:
        process.terminate()
        process.wait(30)
