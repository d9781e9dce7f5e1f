"""Who could reach the dashboard: on which addresses it may listen, and what sign-in that needs."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

SIGN_IN_KEYS: Final = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
SHORTEST_COOKIE_SECRET: Final = 32
"""Characters. Whoever guesses the secret can sign in as anybody."""


def is_loopback(address: str | None) -> bool:
    """Whether only this machine reaches what listens on an address; none at all means every address."""
    if address == "localhost":
        return True
    try:
        known = ipaddress.ip_address((address or "").strip("[]"))
    except ValueError:
        return False
    return (getattr(known, "ipv4_mapped", None) or known).is_loopback  # ::ffff:127.0.0.1 is how IPv6 sees IPv4's


def sign_in_problem(section: Mapping[str, Any]) -> str | None:
    """What is wrong with the ``[auth]`` section of a ``secrets.toml``; None if it can be used.

    Args:
        section: as Streamlit's ``st.login`` takes it, for one provider.
    """
    missing = [key for key in SIGN_IN_KEYS if not str(section.get(key) or "").strip()]
    if missing:
        return f"[auth] in secrets.toml lacks {', '.join(missing)}"
    if len(str(section["cookie_secret"])) < SHORTEST_COOKIE_SECRET:
        return (
            f"cookie_secret in secrets.toml is shorter than {SHORTEST_COOKIE_SECRET} characters; "
            "`openssl rand -hex 32` makes one"
        )
    return None


def sign_in_files(script: Path) -> list[Path]:
    """Where Streamlit looks for ``secrets.toml`` when it runs a script from this folder; later ones win."""
    folders = [Path.home(), Path.cwd(), script.parent]
    return [folder / ".streamlit" / "secrets.toml" for folder in folders]


def read_sign_in(files: Iterable[Path]) -> dict[str, Any]:
    """The ``[auth]`` section of the last of these files that has one; empty if there is none, or it cannot be read."""
    found: dict[str, Any] = {}
    for file in files:
        try:
            section = tomllib.loads(file.read_text(encoding="utf-8")).get("auth")
        except (OSError, ValueError):
            continue
        found = section if isinstance(section, dict) else found
    return found


def refusal(address: str | None, sign_in: Mapping[str, Any], *, published_on_loopback: bool) -> str | None:
    """Why the dashboard must not show anything; None if it may.

    Args:
        address: that the server listens on; None: every one.
        sign_in: the ``[auth]`` section, empty if there is none.
        published_on_loopback: whether the port is published on a loopback address only, as for a container.
    """
    if sign_in:
        problem = sign_in_problem(sign_in)
        return None if problem is None else f"Sign-in is not set up completely: {problem}. See docs/dashboard.md."
    if is_loopback(address) or published_on_loopback:
        return None
    return (
        f"The dashboard listens on {address or 'every address'}, and nobody signs in: others could see patients' "
        "pictures. Let it listen on 127.0.0.1, or set sign-in up (docs/dashboard.md). In a container whose port is "
        "published on a loopback address only, set TRIAGE_PUBLISHED_ON_LOOPBACK=true."
    )
