// The picture and its tools. What is set here stays while the same image is open, and begins anew with the next.

const KEYS = { i: "invert", t: "turn", f: "fit", h: "heat", "+": "closer", "=": "closer", "-": "further" };
const FRESH = { zoom: 1, x: 0, y: 0, turned: 0, inverted: false, brightness: 100, contrast: 100, heat: 0 };
const MOST_ZOOM = 12;

function piece(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Amber where the model looked, clear where it did not. Drawn as small as it is; the browser makes it smooth.
function paintHeat(canvas, rows, ratio) {
  const small = document.createElement("canvas");
  small.width = rows[0].length;
  small.height = rows.length;
  const pixels = new ImageData(small.width, small.height);
  rows.flat().forEach((value, index) => pixels.data.set([240, 150, 20, Math.round(value * 2.2)], index * 4));
  small.getContext("2d").putImageData(pixels, 0, 0);
  canvas.height = 448;
  canvas.width = Math.max(1, Math.round(448 * ratio));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

// How much larger or smaller a picture lying on its side must be to fill the stage as it does when upright.
function sidewaysFit(stage, img) {
  const { clientWidth: width, clientHeight: height } = stage;
  const { naturalWidth: across, naturalHeight: down } = img;
  if (!across || !down || !width || !height) return 1;
  const ratio = Math.min(width / down, height / across) / Math.min(width / across, height / down);
  return Number(ratio.toFixed(4));
}

function makeTools(toolbar, data, state, act) {
  const button = (name) => {
    const made = piece("button", "", data.words[name][0]);
    made.type = "button";
    made.dataset.tool = name;
    made.append(piece("kbd", "", data.words[name][1]));
    made.onclick = () => act(name);
    return made;
  };
  const slider = (name, most) => {
    const label = piece("label", "", data.words[name][0]);
    const input = piece("input");
    Object.assign(input, { type: "range", min: name === "heat" ? 0 : 20, max: most, step: 5, value: state[name] });
    input.dataset.tool = name;
    input.oninput = () => act(name, Number(input.value));
    label.append(input);
    return label;
  };
  const parts = ["further", "closer", "fit", "turn", "invert"].map(button);
  parts.push(slider("brightness", 250), slider("contrast", 250));
  if (data.heat) {
    const heat = slider("heat", 100);
    heat.append(piece("kbd", "", data.words.heat[1]));
    heat.title = data.heatTitle;
    parts.push(heat);
  }
  toolbar.replaceChildren(...parts);
}

export default function ({ data, parentElement }) {
  const stage = parentElement.querySelector(".stage");
  const moved = stage.querySelector(".moved");
  const [img, canvas] = moved.children;
  const toolbar = parentElement.querySelector(".tools");
  if (stage.dataset.shown === JSON.stringify(data)) return;
  const same = stage.dataset.shows === String(data.image);
  stage.dataset.shown = JSON.stringify(data);
  stage.dataset.shows = String(data.image);
  const state = same && stage.state ? stage.state : { ...FRESH };
  stage.state = state;

  const draw = () => {
    const turned = `rotate(${state.turned}deg)${state.turned % 180 ? ` scale(${sidewaysFit(stage, img)})` : ""}`;
    moved.style.transform = `translate(${Math.round(state.x)}px, ${Math.round(state.y)}px) scale(${state.zoom}) ${turned}`;
    const look = `brightness(${state.brightness}%) contrast(${state.contrast}%)`;
    img.style.filter = state.inverted ? `invert(1) ${look}` : look;
    canvas.style.opacity = data.heat ? state.heat / 100 : 0;
    for (const input of toolbar.querySelectorAll("input")) input.value = state[input.dataset.tool];
    toolbar.querySelector('[data-tool="invert"]')?.setAttribute("aria-pressed", String(state.inverted));
    stage.title = state.heat ? data.heatTitle : "";
  };

  const zoomTo = (wanted, clientX, clientY) => {
    const zoom = Math.min(MOST_ZOOM, Math.max(1, wanted));
    const box = stage.getBoundingClientRect();
    const fromX = (clientX ?? box.x + box.width / 2) - box.x - box.width / 2;
    const fromY = (clientY ?? box.y + box.height / 2) - box.y - box.height / 2;
    // What lies under the pointer stays there.
    state.x = zoom === 1 ? 0 : fromX - ((fromX - state.x) * zoom) / state.zoom;
    state.y = zoom === 1 ? 0 : fromY - ((fromY - state.y) * zoom) / state.zoom;
    state.zoom = zoom;
  };

  const act = (name, value) => {
    if (name === "invert") state.inverted = !state.inverted;
    else if (name === "turn") state.turned = (state.turned + 90) % 360;
    else if (name === "closer") zoomTo(state.zoom * 1.4);
    else if (name === "further") zoomTo(state.zoom / 1.4);
    else if (name === "fit") Object.assign(state, { ...FRESH, heat: state.heat });
    else if (name === "heat") state.heat = value ?? (state.heat ? 0 : 60);
    else state[name] = value;
    draw();
  };

  img.onload = () => {
    if (data.heat) paintHeat(canvas, data.heat, img.naturalWidth / img.naturalHeight);
    draw();
  };
  img.alt = data.alt;
  img.src = data.url;
  toolbar.setAttribute("aria-label", data.words.title);
  makeTools(toolbar, data, state, act);
  draw();

  stage.onwheel = (event) => {
    event.preventDefault();
    zoomTo(state.zoom * (event.deltaY < 0 ? 1.15 : 1 / 1.15), event.clientX, event.clientY);
    draw();
  };
  stage.onpointerdown = (event) => {
    stage.setPointerCapture(event.pointerId);
    stage.from = [event.clientX - state.x, event.clientY - state.y];
  };
  stage.onpointermove = (event) => {
    if (!stage.from) return;
    [state.x, state.y] = [event.clientX - stage.from[0], event.clientY - stage.from[1]];
    draw();
  };
  stage.onpointerup = stage.onpointercancel = () => (stage.from = null);
  stage.ondblclick = () => act("fit");

  const onKey = (event) => {
    const typing = event.composedPath().some((each) => /^(INPUT|TEXTAREA|SELECT)$/.test(each.tagName ?? "") && each.type !== "range");
    const name = KEYS[event.key];
    if (typing || !name || event.ctrlKey || event.metaKey || event.altKey || (name === "heat" && !data.heat)) return;
    act(name);
  };
  document.addEventListener("keydown", onKey);
  const resized = new ResizeObserver(draw);
  resized.observe(stage);
  return () => {
    document.removeEventListener("keydown", onKey);
    resized.disconnect();
  };
}
