"""Whether a page can be read, used by keyboard and with a screen reader, and stands still while it loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

_HERE = Path(__file__)
_CONTRAST = _HERE.with_name("contrast.js").read_text(encoding="utf-8")
_FOCUS = _HERE.with_name("focus.js").read_text(encoding="utf-8")

WATCH_SHIFTS = """
window.shifts = [];
const where = (node) => {
  const element = node?.nodeType === 1 ? node : node?.parentElement;
  return `${element?.tagName} ${element?.closest?.("[data-testid]")?.dataset.testid} ${element?.className}`;
};
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (!entry.hadRecentInput) {
      window.shifts.push([entry.value, entry.sources.map((source) => where(source.node)).join("; ")]);
    }
  }
}).observe({ type: "layout-shift", buffered: true });
"""
"""A script for a page to begin with, for `shifts` to tell of."""

_INTERACTIVE = {
    "button", "checkbox", "combobox", "link", "listbox", "menuitem", "option", "radio", "searchbox", "slider",
    "spinbutton", "switch", "tab", "textbox",
}  # fmt: skip

_STAND_STILL = """() => {
  const still = new CSSStyleSheet();
  still.replaceSync("*, *::before, *::after { transition: none !important; animation: none !important; }");
  const add = (root) => {
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, still];
    for (const each of root.querySelectorAll("*")) if (each.shadowRoot) add(each.shadowRoot);
  };
  add(document);
}"""


def shifts(page: Page) -> tuple[float, list[str]]:
    """The Cumulative Layout Shift since the page began, or since it was asked last, and what moved."""
    found = page.evaluate("window.shifts.splice(0)")
    return sum(value for value, _ in found), [f"{value:.4f}: {what}" for value, what in found]


def hard_to_read(page: Page) -> list[str]:
    """Texts whose contrast is under 4.5:1, or 3:1 where they are large (WCAG 2.2, 1.4.3)."""
    found: dict[str, Any] = page.evaluate(_CONTRAST)
    assert found["count"] > 1, "no text was found to look at"
    return list(found["faults"])


def nameless(page: Page) -> list[str]:
    """What can be worked, and has no name that a screen reader could say."""
    session = page.context.new_cdp_session(page)
    faults = []
    for node in session.send("Accessibility.getFullAXTree")["nodes"]:
        role = node.get("role", {}).get("value")
        if role in _INTERACTIVE and not node["ignored"] and not node.get("name", {}).get("value", "").strip():
            described = session.send("DOM.describeNode", {"backendNodeId": node["backendDOMNodeId"]})["node"]
            faults.append(f"{role}: {described['localName']} {described.get('attributes')}")
    session.detach()
    return faults


def unseen_focus(page: Page, most: int = 60) -> list[str]:
    """What does not show that it has the focus, as Tab comes to it from the top of the page."""
    page.evaluate(_STAND_STILL)
    page.evaluate("() => { document.activeElement?.blur(); window.focusedBefore = undefined; }")
    faults, stops = [], 0
    for _ in range(most):
        page.keyboard.press("Tab")
        found = page.evaluate(_FOCUS)
        if found["left"] and not found["left"]["seen"]:
            faults.append(found["left"]["name"])
        if found["at"] is None:
            break
        stops += 1
    assert stops > 0, "Tab reached nothing"
    return faults
