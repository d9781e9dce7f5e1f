"""Every setting, described: one class, filled from ``TRIAGE_*`` variables and an optional ``.env``."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from triage.radiography import MODALITIES, SOP_CLASSES

BUNDLES_DIR = Path(__file__).resolve().parent.parent / "models"
"""Where the bundles that ship with the program lie."""


OWN_FOLDERS = ("filing", "models", "originals", "redis", "renders", "run")
"""What a home holds beside the database and the default inbox."""


class SettingsError(Exception):
    """A setting that cannot be used; the message says which and why."""


class Settings(BaseSettings):
    """What a clinic can set. Each field is read from ``TRIAGE_<NAME>``; README lists them all."""

    # A variable that is set to nothing is not set: an empty path would mean the current folder.
    model_config = SettingsConfigDict(
        env_prefix="TRIAGE_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    home: Path = Field(Path("var"), description="Folder of all state: database, originals, private Redis.")
    inbox: Path | None = Field(None, description="Watched folder. Default: `inbox` under the home.")
    database_url: str | None = Field(
        None,
        description="SQLAlchemy URL, e.g. `postgresql+psycopg://user:secret@host/triage`. "
        "Default: SQLite under the home.",
    )
    broker_url: str | None = Field(
        None,
        description="Redis URL, e.g. `redis://host:6379/0`. Default: a private Redis that `triage up` starts.",
    )
    model: Path | None = Field(
        None,
        description="Pins the model: a bundle folder or a bare `.keras` file. Default: the active bundle.",
    )
    runtime: Literal["litert", "keras"] = Field(
        "litert",
        description="What runs the model: its LiteRT twin, or the Keras file itself (slow to start).",
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="Worker children. Default: one per core.",
    )
    port: int = Field(8501, ge=1, le=65535, description="Port of the dashboard.")
    address: str = Field(
        "127.0.0.1",
        description="Address that the dashboard listens on. One that others reach is refused unless sign-in is set up.",
    )
    published_on_loopback: bool = Field(
        False,
        description="The dashboard's port is published on a loopback address only, as docker-compose.yml does: "
        "in its container it may then listen on any address without sign-in.",
    )
    readers: str = Field(
        "",
        description="Who of those that sign in may use the dashboard: e-mail addresses or `@domain`, with spaces "
        "between. Default: all of them.",
    )
    administrators: str = Field(
        "",
        description="Who of those that sign in may change the model: e-mail addresses or `@domain`. Default: nobody. "
        "Without sign-in, whoever is at this machine may.",
    )

    watch: Literal["auto", "events", "poll"] = Field(
        "auto",
        description="How changes in the inbox are noticed. `auto`: by events, and by polling on network mounts.",
    )
    poll_seconds: float = Field(1.0, gt=0, description="How often the inbox is scanned when polling.")
    quiet_seconds: float = Field(
        2.0, ge=0, description="A file is taken once its size and time have not changed for this long."
    )
    rescan_seconds: float = Field(
        30.0,
        gt=0,
        description="How often the whole inbox is scanned although events arrive: events can be lost.",
    )
    leave_in_place: bool = Field(
        False, description="Copy files out of the inbox instead of moving them: for read-only shares."
    )

    max_bytes: int = Field(200_000_000, gt=0, description="Largest file that is read, in bytes.")
    max_pixels: int = Field(
        100_000_000, gt=0, description="Largest picture that is decoded, in pixels; checked before decoding."
    )
    max_side: int = Field(30_000, gt=0, description="Longest side of a picture that is decoded, in pixels.")
    decode_seconds: float = Field(
        20.0, gt=0, description="Longest that a native decoder of compressed DICOM may take for one picture."
    )
    decode_megabytes: int = Field(
        2000, ge=64, description="Most memory that it may take, in MB (2^20 bytes). It runs in a process of its own."
    )
    dicom_modalities: str = Field(
        " ".join(sorted(MODALITIES)),
        description="Modalities of DICOM files that are taken for radiographs, with spaces between.",
    )
    dicom_sop_classes: str = Field(
        " ".join(sorted(SOP_CLASSES)),
        description="SOP classes of those that are where the modality is missing, OT or SC: computed and digital "
        "radiography, secondary capture.",
    )

    images_per_message: int = Field(
        8, ge=1, le=64, description="Folder images that share a queue message. An upload travels alone."
    )
    max_attempts: int = Field(3, ge=1, description="Attempts at an image before it is quarantined.")
    soft_time_limit_seconds: int = Field(60, ge=1, description="A task that runs longer is interrupted.")
    hard_time_limit_seconds: int = Field(90, ge=2, description="A task that runs longer is killed.")
    lease_seconds: int = Field(120, ge=3, description="How long a worker owns the images it has taken.")
    visibility_timeout_seconds: int = Field(
        300, ge=4, description="Redis hands a message out again when it was not acknowledged for this long."
    )
    sweep_seconds: float = Field(
        5.0, gt=0, description="How often expired leases are taken back and lost messages published again."
    )
    republish_seconds: float = Field(
        60.0,
        gt=0,
        description="A queued image whose message is older than this is published again, if few wait.",
    )
    max_wait_minutes: float = Field(
        240.0,
        gt=0,
        description="A study that nobody has reviewed for this long rises to the top of the worklist, "
        "whatever the model says of it.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="What the logs show.")

    @model_validator(mode="after")
    def _limits_nest(self) -> Self:
        # A lease that ends before the task can be killed would let two workers own one image;
        # a visibility timeout below the lease would deliver a message that is still being worked on.
        if not (
            self.soft_time_limit_seconds
            < self.hard_time_limit_seconds
            < self.lease_seconds
            < self.visibility_timeout_seconds
        ):
            raise ValueError(
                "these must grow in this order: TRIAGE_SOFT_TIME_LIMIT_SECONDS < TRIAGE_HARD_TIME_LIMIT_SECONDS "
                "< TRIAGE_LEASE_SECONDS < TRIAGE_VISIBILITY_TIMEOUT_SECONDS"
            )
        return self

    @model_validator(mode="after")
    def _inbox_holds_nothing_of_ours(self) -> Self:
        # What lies in the inbox is filed away: the database and the originals must not.
        home, inbox = self.home_dir.resolve(), self.inbox_dir.resolve()
        own = [home / name for name in OWN_FOLDERS]
        if home.is_relative_to(inbox) or any(inbox.is_relative_to(folder) for folder in own):
            raise ValueError(
                f"TRIAGE_INBOX ({inbox}) must not hold TRIAGE_HOME ({home}), nor lie in a folder that is kept there"
            )
        return self

    @property
    def home_dir(self) -> Path:
        """The home as an absolute path."""
        return self.home.expanduser().absolute()

    @property
    def inbox_dir(self) -> Path:
        """The watched folder as an absolute path."""
        return (self.inbox.expanduser() if self.inbox else self.home_dir / "inbox").absolute()

    @property
    def models_dir(self) -> Path:
        """Where the clinic's own bundles lie, and the name of the active one."""
        return self.home_dir / "models"

    @property
    def database(self) -> str:
        """The database URL, SQLite under the home unless one is set."""
        return self.database_url or f"sqlite:///{self.home_dir / 'triage.sqlite3'}"


def describe(error: ValidationError) -> str:
    """One line per wrong setting, naming the variable that carries it."""
    lines = []
    for problem in error.errors():
        name = f"TRIAGE_{'_'.join(str(part) for part in problem['loc']).upper()}: " if problem["loc"] else ""
        lines.append(f"{name}{problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        SettingsError: a ``TRIAGE_*`` variable cannot be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(describe(error)) from error
