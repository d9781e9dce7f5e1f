// Draws the rows of the worklist. Everything from outside is set as text, never as markup.

function piece(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function draw(row, opened, open) {
  const item = document.createElement("li");
  const button = piece("button");
  button.type = "button";
  button.dataset.image = String(row.id);
  if (row.id === opened) button.setAttribute("aria-current", "true");
  button.onclick = () => open(row.id);

  const label = piece("span", "label");
  label.append(piece("b", "", row.label));
  if (row.badge) label.append(piece("span", "badge", row.badge));

  const confidence = piece("span", "confidence");
  const bar = piece("span", "bar");
  const filled = piece("span");
  filled.style.width = `${row.confidence * 100}%`;
  bar.setAttribute("aria-hidden", "true");
  bar.append(filled);
  confidence.append(bar, piece("span", "number", row.percent));

  const name = piece("bdi", "name", row.name);
  name.title = row.name;
  const origin = piece("span", "origin");
  origin.append(name);
  if (row.why) origin.append(piece("span", "why", row.why));
  button.append(piece("span", "rank", row.number), label, confidence, origin, piece("span", "when", row.when));
  item.append(button);
  return item;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector("ol");
  const drawn = JSON.stringify(data);
  if (list.dataset.drawn === drawn) return;
  const place = parentElement.activeElement?.dataset?.image;
  const turned = list.dataset.page !== data.page;
  list.setAttribute("aria-label", data.title);
  list.dataset.drawn = drawn;
  list.dataset.page = data.page;

  const open = (id) => {
    for (const button of list.querySelectorAll("button")) {
      if (button.dataset.image === String(id)) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    setTriggerValue("opened", id);
  };
  const top = list.scrollTop;
  list.replaceChildren(...data.rows.map((row) => draw(row, data.opened, open)));
  list.scrollTop = turned ? 0 : top;
  if (place) list.querySelector(`button[data-image="${place}"]`)?.focus({ preventScroll: true });
}
