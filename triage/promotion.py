"""Making a model version the active one, and going back.

The order of things: everything that can be refused is refused first; then the audit event is committed; then the name
in ``$TRIAGE_HOME/models/ACTIVE`` is exchanged, in one rename. A crash in between leaves an event of a switch that did
not come to be: nothing runs that the trail does not tell of, and promoting again mends it. (The other way round, a
version could run of which nobody knows who let it.)

What was active before is told by the audit trail, not by a file of its own: the trail is transactional, is backed up
with the predictions that it explains, and cannot fall behind. The event that counts is the newest promotion to the
version that ``ACTIVE`` names, so that an event without its switch misleads nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine

from triage import queries
from triage.bundle import ACTIVE_FILE, Bundle, BundleError, find_bundle, find_version, open_bundle
from triage.comparison import Comparison, NotComparable, compare
from triage.database import reading_sessions, sessions
from triage.intake import utc_now
from triage.settings import Settings
from triage.store import write_durably
from triage.tryout import PromotionRefused, check

__all__ = ["ACTOR", "PromotionRefused", "Switch", "preview", "promote", "roll_back"]

ACTOR: Final = "command line"


@dataclass(frozen=True)
class Switch:
    """A change of the active version.

    Attributes:
        before: the version that was active; None if none could be found.
        after: the version that is.
        comparison: how they do on the same images; None where they were not compared.
        objection: why it takes a reason to promote it: it is worse, or cannot be compared; None: nothing speaks
            against it.
    """

    before: str | None
    after: str
    comparison: Comparison | None = None
    objection: str | None = None


def preview(settings: Settings, engine: Engine, version: str) -> Switch | None:
    """What promoting a version would do, with every check that it makes, and nothing changed; None: it is active.

    Raises:
        NoSuchVersion: there is no bundle of that name.
        PromotionRefused: it is damaged or cannot run, whatever is forced; or a model is pinned.
    """
    _refuse_if_pinned(settings)
    before = _active(settings)
    find_version(settings, version)
    if before is not None and before.name == version:
        return None
    return _weigh(settings, check(settings, engine, version), before)


def promote(
    settings: Settings,
    engine: Engine,
    version: str,
    force: str | None = None,
    clock: Callable[[], datetime] = utc_now,
    *,
    actor: str = ACTOR,
    expected: str | None = None,
) -> Switch | None:
    """Make a version the active one; None if it is already.

    Args:
        settings: where bundles lie.
        engine: for the audit trail.
        version: name of a bundle.
        force: why a version that is worse, or cannot be compared, is promoted all the same.
        clock: gives the time now, in UTC.
        actor: who does it, for the audit trail.
        expected: the version that was active when somebody decided this; None: whichever it is.

    Raises:
        NoSuchVersion: there is no bundle of that name.
        PromotionRefused: it is worse, damaged, or cannot run; a model is pinned; or another than expected is active.
    """
    with _only_one(settings):
        find_version(settings, version)
        before = _active(settings)
        if before is not None and before.name == version:
            return None
        _refuse_if_other(None if before is None else before.name, expected)
        candidate = check(settings, engine, version)
        switch = _weigh(settings, candidate, before)
        if switch.objection is not None and force is None:
            raise PromotionRefused(
                f"{switch.objection}. `triage model promote {version} --force REASON` promotes it all the same; "
                "the reason is kept in the audit trail."
            )
        detail = {
            "digest": candidate.digests[candidate.keras_path.name],
            "comparison": None if switch.comparison is None else switch.comparison.as_json(),
            "objection": switch.objection,
            "reason": force,
        }
        with sessions(engine).begin() as session:
            queries.record_event(session, "model_promoted", None, actor=actor, at=clock(), detail=_who(switch) | detail)
        _write_active(settings, version)
        return switch


def roll_back(
    settings: Settings,
    engine: Engine,
    reason: str | None = None,
    clock: Callable[[], datetime] = utc_now,
    *,
    actor: str = ACTOR,
    expected: str | None = None,
) -> Switch:
    """Make the version active again that was so before the active one was promoted.

    Args:
        settings: where bundles lie.
        engine: for the audit trail.
        reason: why, for the audit trail.
        clock: gives the time now, in UTC.
        actor: who does it, for the audit trail.
        expected: the version that was active when somebody decided this: two who go back at once go back once.

    Raises:
        PromotionRefused: there is none, it cannot be used any more, a model is pinned, or another one than expected
            is active.
    """
    with _only_one(settings):
        before = _active_name(settings)
        _refuse_if_other(before, expected)
        with reading_sessions(engine)() as session:
            earlier = queries.version_before(session, before)
        if earlier is None:
            raise PromotionRefused(
                f"no version was active before {before}, as far as the audit trail tells. "
                "`triage model promote VERSION` makes any version active."
            )
        try:
            check(settings, engine, earlier)
        except BundleError as error:
            raise PromotionRefused(f"{earlier}, which was active before, cannot be used: {error}") from error
        switch = Switch(before, earlier)
        with sessions(engine).begin() as session:
            detail = _who(switch) | {"reason": reason}
            queries.record_event(session, "model_rolled_back", None, actor=actor, at=clock(), detail=detail)
        _write_active(settings, earlier)
        return switch


@contextlib.contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """One switch at a time: what an event says was active before must be true."""
    _refuse_if_pinned(settings)
    settings.models_dir.mkdir(parents=True, exist_ok=True)
    with (settings.models_dir / ".switching.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _refuse_if_pinned(settings: Settings) -> None:
    if settings.model is not None:
        raise PromotionRefused(
            f"TRIAGE_MODEL pins {settings.model}, and workers use that whatever is active. Unset it first."
        )


def _refuse_if_other(active: str | None, expected: str | None) -> None:
    if expected is not None and active != expected:
        raise PromotionRefused(f"{active or 'no version'} is active by now, not {expected}: somebody was faster.")


def _weigh(settings: Settings, candidate: Bundle, before: Path | None) -> Switch:
    """What a promotion changes, and what speaks against it."""
    comparison = None
    try:
        if before is None:
            raise NotComparable("there is no usable active model to compare with")
        comparison = compare(candidate, _open_active(before.name, settings))
        objection = f"{candidate.version} is worse than {before.name} {comparison}" if comparison.is_worse else None
    except (NotComparable, BundleError) as error:
        objection = f"there is nothing to compare on: {str(error).rstrip('.')}"
    return Switch(None if before is None else before.name, candidate.version, comparison, objection)


def _active(settings: Settings) -> Path | None:
    """The folder of the active version; None if there is none that could be found."""
    try:
        return find_bundle(settings)
    except BundleError:
        return None


def _active_name(settings: Settings) -> str:
    found = _active(settings)
    if found is not None:
        return str(found.name)
    # Its bundle is gone, which is a good reason to go back: the name is all that is needed.
    own = settings.models_dir / ACTIVE_FILE
    try:
        return own.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PromotionRefused(
            f"{own} cannot be read, so nobody knows what was active before. "
            "`triage model promote VERSION` makes any version active."
        ) from error


def _open_active(version: str, settings: Settings) -> Bundle:
    try:
        return open_bundle(find_version(settings, version))
    except BundleError as error:
        raise NotComparable(f"the active model cannot be used ({error})") from error


def _who(switch: Switch) -> dict[str, Any]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name
        user = str(os.getuid())
    return {"from": switch.before, "to": switch.after, "user": user}


def _write_active(settings: Settings, version: str) -> None:
    write_durably(settings.models_dir / ACTIVE_FILE, f"{version}\n".encode())
