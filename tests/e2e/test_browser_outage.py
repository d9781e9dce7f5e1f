"""A database that goes away and comes back, in a real browser: the page says so, and goes on by itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from legibility import hard_to_read
from streamlit_alone import streamlit
from whole_stack import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def rename(database: Path, table: str, new: str) -> None:
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA legacy_alter_table=ON")  # what points to the table is left as it is
    connection.execute(f"ALTER TABLE {table} RENAME TO {new}")
    connection.commit()
    connection.close()


def test_a_page_that_was_opened_without_the_database_goes_on_when_it_is_back(tmp_path: Path, window: Page) -> None:
    database = tmp_path / "triage.sqlite3"
    with streamlit(tmp_path, free_port()) as url:
        window.goto(url)
        window.get_by_text("Nothing has been classified yet.").wait_for()
        window.locator(".strip .trouble", has_text="The queue (Redis) does not answer").wait_for()
        rename(database, "images", "elsewhere")
        window.locator(".alert", has_text="The database does not answer").first.wait_for()
        window.goto(f"{url}/quarantine")
        window.locator(".alert", has_text="The database does not answer").wait_for()
        assert hard_to_read(window) == []
        rename(database, "elsewhere", "images")
        window.get_by_text("No file is in quarantine.").wait_for()
        assert window.locator(".alert").count() == 0
