// The list of keys. While it is open, no key reaches the page below: A would be a verdict.

function drawGroup([title, keys]) {
  const section = piece("section");
  const list = piece("dl");
  for (const [names, does] of keys) {
    const term = piece("dt");
    term.append(...names.map((name) => piece("kbd", "", name)));
    list.append(term, piece("dd", "", does));
  }
  section.append(piece("h3", "", title), list);
  return section;
}

const types = (event) =>
  event.composedPath().some((each) => /^(INPUT|TEXTAREA|SELECT)$/.test(each.tagName ?? "") || each.isContentEditable);

export default function ({ data, parentElement }) {
  const dialog = parentElement.querySelector("dialog");
  if (dialog.leave) return dialog.leave;
  const open = parentElement.querySelector(".open");
  const close = parentElement.querySelector(".close");
  open.replaceChildren(data.button, piece("kbd", "", "?"));
  close.replaceChildren(data.close, " ", piece("kbd", "", "Esc"));
  dialog.querySelector("h2").textContent = data.title;
  dialog.querySelector(".groups").replaceChildren(...data.groups.map(drawGroup));
  // The browser keeps the focus inside, and gives it back to where it was.
  open.onclick = () => dialog.showModal();
  close.onclick = () => dialog.close();
  dialog.onclick = (event) => event.target === dialog && dialog.close();

  const onKey = (event) => {
    const asked = event.key === "?" && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (dialog.open) {
      event.stopImmediatePropagation();
      if (!asked) return;
      event.preventDefault();
      dialog.close();
    } else if (asked && !types(event)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      dialog.showModal();
    }
  };
  // Before any other listener of the page.
  addEventListener("keydown", onKey, true);
  dialog.leave = () => removeEventListener("keydown", onKey, true);
  return dialog.leave;
}
