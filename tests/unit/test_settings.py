from __future__ import annotations

import re
from pathlib import Path

import pytest

from triage import settings as module
from triage.settings import Settings, SettingsError, get_settings

PROJECT = Path(module.__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _read_anew() -> None:
    get_settings.cache_clear()


def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        get_settings()
    return str(caught.value)


def variables_in(text: str) -> set[str]:
    return set(re.findall(r"\bTRIAGE_[A-Z][A-Z_]*[A-Z]\b", text))


ALL_VARIABLES = {f"TRIAGE_{name.upper()}" for name in Settings.model_fields}


def test_with_nothing_set_all_state_lies_under_var_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    settings = get_settings()

    assert settings.home_dir == tmp_path / "var"
    assert settings.inbox_dir == tmp_path / "var" / "inbox"
    assert settings.database == f"sqlite:///{tmp_path}/var/triage.sqlite3"


def test_a_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_WORKERS", "7")
    assert get_settings().workers == 7


def test_an_inbox_elsewhere_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIAGE_INBOX", str(tmp_path / "from the rooms"))
    assert get_settings().inbox_dir == tmp_path / "from the rooms"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRIAGE_WORKERS", "many"),
        ("TRIAGE_WORKERS", "0"),
        ("TRIAGE_PORT", "70000"),
        ("TRIAGE_WATCH", "sometimes"),
        ("TRIAGE_RUNTIME", "torch"),
        ("TRIAGE_LOG_LEVEL", "LOUD"),
        ("TRIAGE_IMAGES_PER_MESSAGE", "65"),
        ("TRIAGE_POLL_SECONDS", "0"),
    ],
)
def test_a_wrong_setting_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert f"{name}: Input should be" in refusal(monkeypatch, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRIAGE_SOFT_TIME_LIMIT_SECONDS", "90"),
        ("TRIAGE_HARD_TIME_LIMIT_SECONDS", "120"),
        ("TRIAGE_LEASE_SECONDS", "300"),
        ("TRIAGE_VISIBILITY_TIMEOUT_SECONDS", "120"),
    ],
)
def test_time_limits_must_nest(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    message = refusal(monkeypatch, **{name: value})
    assert "TRIAGE_SOFT_TIME_LIMIT_SECONDS < TRIAGE_HARD_TIME_LIMIT_SECONDS < TRIAGE_LEASE_SECONDS" in message


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal(monkeypatch, TRIAGE_WORKERS="none", TRIAGE_PORT="http")
    assert variables_in(message) == {"TRIAGE_WORKERS", "TRIAGE_PORT"}


@pytest.mark.parametrize("name", ["TRIAGE_INBOX", "TRIAGE_HOME", "TRIAGE_MODEL", "TRIAGE_DATABASE_URL", "TRIAGE_PORT"])
def test_a_variable_that_is_set_to_nothing_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    # An empty path would mean the current folder: TRIAGE_INBOX= in a .env file would file its content away.
    usual = get_settings()
    get_settings.cache_clear()
    monkeypatch.setenv(name, "")
    assert get_settings() == usual


@pytest.mark.parametrize("inbox", [".", "home", "home/originals", "home/filing/deep", "home/run"])
def test_an_inbox_that_would_swallow_the_programs_own_files_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inbox: str
) -> None:
    message = refusal(monkeypatch, TRIAGE_HOME=str(tmp_path / "home"), TRIAGE_INBOX=str(tmp_path / inbox))
    assert "TRIAGE_INBOX" in message
    assert "TRIAGE_HOME" in message


def test_an_inbox_in_the_home_beside_the_programs_own_folders_is_fine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRIAGE_HOME", str(tmp_path))
    monkeypatch.setenv("TRIAGE_INBOX", str(tmp_path / "rooms" / "one"))
    assert get_settings().inbox_dir == tmp_path / "rooms" / "one"


def test_every_setting_describes_itself() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_readme_lists_every_setting_and_no_other() -> None:
    rows = [line for line in (PROJECT / "README.md").read_text().splitlines() if line.startswith("| `TRIAGE_")]
    assert {re.match(r"\| `(\w+)`", row)[1] for row in rows} == ALL_VARIABLES  # type: ignore[index]


ONLY_FOR_CONTAINERS = {"TRIAGE_INBOX_DIR", "TRIAGE_UID", "TRIAGE_GID"}
"""What docker-compose.yml reads, and the program does not."""


def test_the_example_environment_names_every_setting_once_and_no_other() -> None:
    named = re.findall(r"^(?:# )?(TRIAGE_\w+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(ALL_VARIABLES | ONLY_FOR_CONTAINERS)
