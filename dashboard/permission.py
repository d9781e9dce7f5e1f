"""May this person do this: the one place where that is asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from triage.settings import Settings


@dataclass(frozen=True)
class Person:
    """Somebody at the screen.

    Attributes:
        name: what stands beside their verdicts and in the audit trail.
        email: that the sign-in vouches for; None if it gives none.
        signed_in: through the sign-in; else they told the name themselves.
    """

    name: str
    email: str | None = None
    signed_in: bool = False


class Action(StrEnum):
    """What people do on the dashboard."""

    LOOK = "look"
    GIVE_VERDICT = "give_verdict"
    UPLOAD = "upload"
    RETRY = "retry"
    DISCARD = "discard"
    EXPORT = "export"
    SEE_TRAIL = "see_trail"
    CHANGE_MODEL = "change_model"


def may(person: Person | None, action: Action, settings: Settings) -> bool:
    """Whether somebody may do something.

    Where nobody signs in, the dashboard is shown on this machine only, and whoever is at it may do everything, as with
    the `triage` command. Those who sign in are held to the lists of the settings. Accounts and roles of the dashboard's
    own would be looked up here.

    Args:
        person: None: nobody has said who they are.
        action: what they want to do.
        settings: who may, of those that sign in.
    """
    if person is None or not person.signed_in:
        return True
    if settings.readers and not _listed(person.email, settings.readers):
        return False
    return action is not Action.CHANGE_MODEL or _listed(person.email, settings.administrators)


def _listed(email: str | None, entries: str) -> bool:
    """Whether an e-mail address is among these entries, by itself or by its domain."""
    if not email or "@" not in email:
        return False
    given = email.casefold()
    domain = given[given.rindex("@") :]
    return any(entry in (given, domain) for entry in entries.casefold().split())
