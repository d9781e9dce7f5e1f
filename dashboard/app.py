"""Entry of the dashboard: ``streamlit run dashboard/app.py``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from dashboard import frontend, garbage, listening, pages, picture_route

__all__ = ["app", "pages"]  # the pages are imported here, before the first visitor and before anything is set apart


@asynccontextmanager
async def _quick(_: st.App) -> AsyncIterator[None]:
    """What makes answers quick, once the server listens and before anybody asks."""
    listening.send_at_once()
    garbage.set_apart()
    yield


app = st.App(
    Path(__file__).with_name("script.py"),
    lifespan=_quick,
    middleware=[
        Middleware(listening.Guard),
        Middleware(picture_route.Pictures),
        Middleware(frontend.Frontend),
    ],
)
