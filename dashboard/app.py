"""Entry of the dashboard: ``streamlit run dashboard/app.py``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from dashboard import frontend, garbage, listening, pages, picture_route

__all__ = ["app", "pages"]


@asynccontextmanager
async def _ready(_: st.App) -> AsyncIterator[None]:
    """Before the first visitor: all modules are imported."""
    listening.send_at_once()
    garbage.set_apart()
    yield


app = st.App(
    Path(__file__).with_name("script.py"),
    lifespan=_ready,
    routes=[picture_route.route()],
    middleware=[Middleware(listening.OnlyWhereSaid), Middleware(frontend.Frontend)],
)
