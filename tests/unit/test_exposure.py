"""Where the dashboard may be shown, and who may do what there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashboard.permission import Action, Person, may
from dashboard.reader import person_of
from triage.exposure import SIGN_IN_KEYS, is_loopback, read_sign_in, refusal
from triage.settings import Settings, SettingsError
from triage.stack import dashboard_spec, dashboard_url, port_is_free

SIGN_IN = {key: f"a value of {key} that is long enough" for key in SIGN_IN_KEYS}


@pytest.mark.parametrize(
    ("address", "only_here"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.168.1.4", False), ("xray.clinic.example", False), ("", False),
     (None, False), ("localhost.evil.example", False)],
)  # fmt: skip
def test_what_counts_as_this_machine(address: str | None, only_here: bool) -> None:
    assert is_loopback(address) is only_here


def test_an_address_that_others_reach_needs_sign_in_or_a_published_loopback() -> None:
    assert refusal("127.0.0.1", {}, published_on_loopback=False) is None
    assert "others could see patients' pictures" in str(refusal("0.0.0.0", {}, published_on_loopback=False))
    assert "every address" in str(refusal(None, {}, published_on_loopback=False))
    assert refusal("0.0.0.0", {}, published_on_loopback=True) is None
    assert refusal("0.0.0.0", SIGN_IN, published_on_loopback=False) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize(("key", "value"), [("client_secret", ""), ("cookie_secret", "short"), ("redirect_uri", None)])
def test_half_a_sign_in_shows_nothing_anywhere(address: str, key: str, value: Any) -> None:
    assert key in str(refusal(address, SIGN_IN | {key: value}, published_on_loopback=True))


def test_the_last_file_with_a_sign_in_counts(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("home.toml", "none.toml", "broken.toml", "other.toml", "here.toml")]
    files[0].write_text('[auth]\nclient_id = "home"\n')
    files[2].write_text("[auth")
    files[3].write_text('[database]\nclient_id = "no"\n')
    assert read_sign_in(files) == {"client_id": "home"}
    files[4].write_text('[auth]\nclient_id = "here"\n')
    assert read_sign_in(files) == {"client_id": "here"}
    assert read_sign_in([]) == {}


def test_triage_up_starts_no_dashboard_that_others_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SettingsError, match=r"listens on 0\.0\.0\.0, and nobody signs in"):
        dashboard_spec(Settings(home=tmp_path, address="0.0.0.0"))
    here = dashboard_spec(Settings(home=tmp_path))
    assert here.command[here.command.index("--server.address") + 1] == "127.0.0.1"
    (tmp_path / ".streamlit").mkdir()
    lines = [f'{key} = "{value}"' for key, value in SIGN_IN.items()]
    (tmp_path / ".streamlit" / "secrets.toml").write_text("\n".join(["[auth]", *lines]))
    there = dashboard_spec(Settings(home=tmp_path, address="0.0.0.0"))
    assert there.command[there.command.index("--server.address") + 1] == "0.0.0.0"


def test_the_address_that_is_told_can_be_opened() -> None:
    assert dashboard_url(Settings(port=81)) == "http://127.0.0.1:81"
    assert dashboard_url(Settings(port=81, address="0.0.0.0")) == "http://127.0.0.1:81"
    assert dashboard_url(Settings(port=81, address="::1")) == "http://[::1]:81"
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1 is not an address of this machine"):
        port_is_free(Settings(address="192.0.2.1"))


class TestPermission:
    def test_at_this_machine_without_sign_in_everybody_may_do_everything(self) -> None:
        lists = Settings(readers="nobody@clinic.example", administrators="nobody@clinic.example")
        assert all(may(person, action, lists) for person in (None, Person("AB")) for action in Action)

    def test_those_who_sign_in_may_not_change_the_model_unless_they_are_listed(self) -> None:
        ada = Person("Ada", "ada@clinic.example", signed_in=True)
        assert not may(ada, Action.CHANGE_MODEL, Settings())
        assert may(ada, Action.CHANGE_MODEL, Settings(administrators="eve@clinic.example ADA@clinic.example"))
        assert all(may(ada, action, Settings()) for action in Action if action is not Action.CHANGE_MODEL)

    def test_readers_can_be_listed_one_by_one_or_by_domain(self) -> None:
        listed = Settings(readers="bob@other.example @clinic.example", administrators="@clinic.example")
        assert may(Person("Ada", "Ada@Clinic.example", signed_in=True), Action.LOOK, listed)
        assert may(Person("Bob", "bob@other.example", signed_in=True), Action.LOOK, listed)
        for email in ("eve@other.example", "eve@notclinic.example", "eve@clinic.example.evil", "@", None):
            assert not may(Person("Eve", email, signed_in=True), Action.LOOK, listed), email
            assert not may(Person("Eve", email, signed_in=True), Action.CHANGE_MODEL, listed), email

    def test_an_administrator_who_is_no_reader_changes_nothing(self) -> None:
        listed = Settings(readers="bob@clinic.example", administrators="ada@clinic.example")
        assert not may(Person("Ada", "ada@clinic.example", signed_in=True), Action.CHANGE_MODEL, listed)


def test_the_person_that_claims_tell_of() -> None:
    claims = {"name": "Ada Byron", "email": "ada@clinic.example", "sub": "1"}
    assert person_of(claims) == Person("Ada Byron (ada@clinic.example)", "ada@clinic.example", signed_in=True)
    # Anybody can claim an address that the provider has not verified.
    assert person_of(claims | {"email_verified": False}) == Person("Ada Byron (1)", None, signed_in=True)
    assert person_of({"sub": "8f\n\u202e1"}) == Person("8f1", None, signed_in=True)
    assert len(person_of(claims | {"name": "x" * 900}).name) == 100
