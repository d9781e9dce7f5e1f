// Draws the rows of the worklist. Everything from outside is set as text, never as markup.

const ANSWER_MILLISECONDS = 8000;
const ASK_AGAIN_MILLISECONDS = 1500;
const STEPS = { j: 1, J: 1, ArrowDown: 1, k: -1, K: -1, ArrowUp: -1 };

// On a busy machine the list may be gone for a moment while the page is drawn anew, and come back as it was before: what
// somebody asked for, and the key that they press then, outlive it.
const kept = (globalThis.triageWorklist ??= { list: null, asked: null, step: 0, at: 0, isListening: false });
if (!kept.isListening) {
  kept.isListening = true;
  document.addEventListener("keydown", (event) => {
    if (!kept.list) Object.assign(kept, { step: stepOf(event), at: performance.now() });
  });
}

// Which way a key goes in the list; 0 if it is for something else.
function stepOf(event) {
  const typing = event.composedPath().some((each) => /^(INPUT|TEXTAREA|SELECT)$/.test(each.tagName ?? "") || each.isContentEditable);
  const inOther = event.composedPath().some((each) => ["listbox", "menu", "dialog", "radiogroup"].includes(each.role));
  const changed = event.ctrlKey || event.metaKey || event.altKey || event.shiftKey;
  return typing || inOther || changed ? 0 : (STEPS[event.key] ?? 0);
}

function draw(row, opened, open) {
  const item = document.createElement("li");
  const button = piece("button");
  button.type = "button";
  button.dataset.image = String(row.id);
  button.dataset.study = String(row.study);
  if (row.seen) button.classList.add("seen");
  if (row.study === opened) button.setAttribute("aria-current", "true");
  button.onclick = () => open(row);

  const label = piece("span", "label");
  label.append(piece("b", "", row.label));
  if (row.badge) label.append(piece("span", "badge", row.badge));

  const confidence = piece("span", "confidence");
  if (row.confidence !== null) {
    const bar = piece("span", "bar");
    const filled = piece("span");
    filled.style.width = `${row.confidence * 100}%`;
    bar.setAttribute("aria-hidden", "true");
    bar.append(filled);
    confidence.append(bar, piece("span", "number", row.percent));
    confidence.title = row.urgency;
  }

  const name = piece("bdi", "name", row.name);
  name.title = row.name;
  const origin = piece("span", "origin");
  origin.append(name);
  if (row.more) origin.append(piece("span", "more", row.more));
  if (row.why) origin.append(piece("span", "why", row.why));
  button.append(piece("span", "rank", row.number), label, confidence, origin, piece("span", "when", row.when));
  item.append(button);
  return item;
}

// The row that the reader is at: under the pointer, else that of the keyboard, else the open one.
function anchor(list) {
  return list.querySelector("button:hover") ?? list.querySelector("button:focus") ?? list.querySelector("[aria-current]");
}

// Scrolls so far that a row is where it was. A list that is too short to be scrolled so far gets room for it, if somebody
// is about to press that row; it goes when the pointer does.
function scrollBack(list, distance, isAboutToBePressed) {
  const wanted = list.scrollTop + distance;
  const rows = list.lastElementChild.getBoundingClientRect().bottom - list.firstElementChild.getBoundingClientRect().top;
  const most = rows - list.clientHeight; // less than nothing where the list is shorter than its box
  if (isAboutToBePressed && wanted < 0) list.style.paddingTop = `${-wanted}px`;
  if (isAboutToBePressed && wanted > most) list.style.paddingBottom = `${wanted - most}px`;
  list.scrollTop = wanted;
}

const find = (list, study) => list.querySelector(`button[data-study="${study}"]`);

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector("ol");
  const drawn = JSON.stringify(data);

  const mark = (study) => {
    for (const button of list.querySelectorAll("button")) {
      if (button.dataset.study === String(study)) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  };
  const open = (row) => {
    mark(row.study);
    kept.asked = { study: row.study, page: data.page, until: performance.now() + ANSWER_MILLISECONDS };
    setTriggerValue("opened", row.id);
    // What is asked while the server draws the page may be lost: it is asked once more if nothing came of it.
    clearTimeout(list.again);
    list.again = setTimeout(() => kept.asked?.study === row.study && setTriggerValue("opened", row.id), ASK_AGAIN_MILLISECONDS);
  };
  // Somebody who goes on quickly is ahead of the server: what they asked for last counts until it has answered.
  const { asked } = kept;
  if (asked && (asked.study === data.opened || asked.page !== data.page || performance.now() > asked.until)) kept.asked = null;
  const isOpen = kept.asked ? kept.asked.study : data.opened;

  if (list.dataset.drawn !== drawn) {
    const turned = list.dataset.page !== data.page;
    const held = turned ? null : anchor(list);
    const study = held?.dataset.study;
    const focused = held !== null && held === parentElement.activeElement;
    const from = held?.getBoundingClientRect().top;
    const top = list.scrollTop;
    list.setAttribute("aria-label", data.title);
    list.dataset.drawn = drawn;
    list.dataset.page = data.page;
    const pressed = held?.matches(":hover") ?? false;
    list.style.padding = "";
    list.onpointerleave = () => { list.style.padding = ""; };
    list.replaceChildren(...data.rows.map((row) => draw(row, isOpen, open)));
    list.scrollTop = turned ? 0 : top;
    const again = study === undefined ? null : find(list, study);
    if (again) {
      // What came in above must not move the row that somebody is about to press.
      scrollBack(list, again.getBoundingClientRect().top - from, pressed);
      if (focused) again.focus({ preventScroll: true });
    }
    // Where the open row was: once it has left the list, the next one is the one that took its place.
    const at = data.rows.findIndex((row) => row.study === isOpen);
    if (at >= 0) list.opened = at;
    else list.gone = !turned && list.opened !== undefined;
    if (at >= 0) list.gone = false;
    if (turned && at < 0) list.opened = undefined;
  }

  const go = (step) => {
    const buttons = [...list.querySelectorAll("button")];
    const marked = buttons.findIndex((button) => button.hasAttribute("aria-current"));
    // A list that is drawn anew may be behind; the address is not. (It may name an image that is not in the list.)
    const named = new URLSearchParams(location.search).get("image");
    const inAddress = kept.asked ? -1 : data.rows.findIndex((row) => String(row.id) === named);
    const at = inAddress >= 0 ? inAddress : marked;
    let wanted = 0;
    if (at >= 0) wanted = at + step;
    else if (list.gone) wanted = step > 0 ? list.opened : list.opened - 1;
    if (wanted < 0 || wanted >= buttons.length) {
      setTriggerValue("turned", step > 0 ? "next" : "previous");
      return;
    }
    buttons[wanted].scrollIntoView({ block: "nearest" });
    buttons[wanted].focus({ preventScroll: true });
    open(data.rows[wanted]);
  };
  const onKey = (event) => {
    const step = stepOf(event);
    if (!step) return;
    event.preventDefault();
    go(step);
  };
  // This function runs at every refresh, and what it returns only when the list goes.
  document.removeEventListener("keydown", list.onKey);
  list.onKey = onKey;
  document.addEventListener("keydown", onKey);
  kept.list = list;
  if (kept.step && performance.now() - kept.at < ANSWER_MILLISECONDS) go(kept.step);
  kept.step = 0;
  return () => {
    document.removeEventListener("keydown", list.onKey);
    if (kept.list === list) kept.list = null;
  };
}
