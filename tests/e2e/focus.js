// How the focused element, in whatever shadow tree, and what stands around it look; what was focused before is kept, so
// that it can be asked how that looks now. Gives null where nothing on the page has the focus.
() => {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  const up = (each) => each.parentElement ?? each.getRootNode().host ?? null;
  const look = (each) => {
    const marks = [];
    for (let level = 0; each && level < 4; level += 1, each = up(each)) {
      const style = getComputedStyle(each);
      const outline = style.outlineStyle === "none" || style.outlineWidth === "0px" ? "" : style.outline;
      marks.push([outline, style.boxShadow, style.borderColor, style.borderWidth, style.backgroundColor, style.color, style.textDecorationLine].join("|"));
    }
    return marks.join("\n");
  };
  // The page itself scrolls by keyboard: there is nothing to choose in it, and a frame around all of it says nothing.
  if (element?.dataset.testid === "stMain") element = null;
  const before = window.focusedBefore;
  const left = before && { name: before.name, seen: before.look !== look(before.element) };
  if (!element || element === document.body) {
    window.focusedBefore = undefined;
    return { left, at: null };
  }
  const says = element.getAttribute("aria-label") ?? element.innerText ?? "";
  const name = `${element.tagName.toLowerCase()} “${says.trim().slice(0, 40)}” in ${element.closest("[data-testid]")?.dataset.testid}`;
  window.focusedBefore = { element, name, look: look(element) };
  return { left, at: name };
}
