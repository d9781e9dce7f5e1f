"""Bundles that pages look into. One is read through to be checked, once for each version, not for each look."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from triage.bundle import BUNDLE_FILE, Bundle, open_bundle


def opened(path: Path) -> Bundle:
    """A bundle that was found complete and unaltered.

    Raises:
        BundleError: it is not.
    """
    return _open(path, stamp(path))


@st.cache_resource(show_spinner=False, max_entries=4)
def _open(path: Path, at: int | None) -> Bundle:
    return open_bundle(path)


def stamp(path: Path) -> int | None:
    """Something that changes when a bundle is exchanged for another."""
    try:
        return (path / BUNDLE_FILE if path.is_dir() else path).stat().st_mtime_ns
    except OSError:
        return None
