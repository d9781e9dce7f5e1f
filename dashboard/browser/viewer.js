// The picture and its tools. What is set here stays while the same image is open, and begins anew with the next.

const KEYS = { i: "invert", t: "turn", f: "fit", h: "heat", w: "next", "+": "closer", "=": "closer", "-": "further" };
const FRESH = { zoom: 1, x: 0, y: 0, turned: 0, inverted: false, brightness: 100, contrast: 100, heat: 0 };
const MOST_ZOOM = 12;
const LOOKED_AT_MILLISECONDS = 300;

// How each picture on the page is looked at, by its place and image: the page may draw the same picture elsewhere, with
// one more beside it, and it is then looked at in the same way.
const views = (globalThis.triageViews ??= new Map());
const MOVES_WITHIN_MILLISECONDS = 2000;

// Of two pictures, keys are for the one that the pointer was over last.
let keysFor = null;

class Viewer {
  constructor(root) {
    this.stage = root.querySelector(".stage");
    this.moved = this.stage.querySelector(".moved");
    this.img = this.moved.querySelector("img");
    this.canvas = this.moved.querySelector("canvas");
    this.note = this.stage.querySelector(".note");
    this.toolbar = root.querySelector(".tools");
    this.filter = root.querySelector("filter");
    this.filter.id = `window-${Math.random().toString(36).slice(2)}`;
    this.listen();
  }

  update(data, ask) {
    this.ask = ask;
    const drawn = JSON.stringify(data);
    if (this.drawn === drawn) return;
    this.drawn = drawn;
    const before = this.data;
    this.data = data;
    if (before?.image !== data.image) {
      views.delete(this.place);
      this.place = `${data.slot}/${data.image}`;
      const { state, wanted = null, left } = views.get(this.place) ?? {};
      const isMoved = before === undefined && state && performance.now() - (left ?? performance.now()) < MOVES_WITHIN_MILLISECONDS;
      this.state = isMoved ? state : { ...FRESH };
      this.window = new PictureWindow();
      if (isMoved) this.window.wanted = wanted;
      this.said = undefined;
      this.hasAsked = false;
      this.moved.style.visibility = "hidden"; // no picture of one patient beside the findings of another
      clearTimeout(this.asking);
    }
    this.window.info = data.window;
    this.stage.classList.toggle("compact", data.compact);
    if (before?.image !== data.image || Boolean(before.window) !== Boolean(data.window) || before.compact !== data.compact) {
      makeTools(this.toolbar, data, (name, value) => this.act(name, value), () => this.settle());
    }
    this.bring();
    this.draw();
    this.follow();
  }

  // The picture that is wanted, as far as it is there: it takes the place of the one before when it is whole.
  async bring() {
    const { data, window: win } = this;
    const { shown, url } = data.window ?? {};
    const [centre, width] = shown ?? [];
    const isReal = url && sameWindow(win.wanted, { centre, width });
    if (!isReal && win.wanted && this.img.naturalWidth) return; // the right one is still to come
    const wanted = isReal ? url : data.url;
    if (this.bringing === wanted) return;
    this.bringing = wanted;
    try {
      const picture = await takePicture(wanted);
      if (this.bringing !== wanted || this.data.image !== data.image) return;
      picture.alt = data.alt;
      this.img.replaceWith(picture);
      this.img = picture;
      win.base = isReal ? { centre, width } : null;
      if (data.heat) paintHeat(this.canvas, data.heat, picture.naturalWidth / picture.naturalHeight);
      this.moved.style.visibility = "";
      this.draw();
      if (data.window && !data.window.windows && !data.window.trouble) {
        // Its values are read once somebody stays with it: whoever pages through the list asks for none.
        this.asking = setTimeout(() => this.askFor(this.question()), LOOKED_AT_MILLISECONDS);
      }
    } catch {
      if (this.bringing !== wanted) return;
      this.bringing = undefined;
      if (isReal) return;
      // Never the picture of the image before: an empty one, of which the browser says what it should be.
      const nothing = Object.assign(new Image(), { alt: data.alt });
      this.img.replaceWith(nothing);
      this.img = nothing;
      this.moved.style.visibility = "";
    }
  }

  // Asks until there is an answer, and says so when it takes long.
  follow() {
    const info = this.data.window;
    clearTimeout(this.polling);
    if (info?.pending) {
      this.since ??= performance.now();
      const waits = { image: this.data.image, waits: true };
      this.polling = setTimeout(() => this.ask({ ...waits, at: performance.now() }), ASK_AGAIN_MILLISECONDS);
    } else {
      this.since = undefined;
      this.polling = setTimeout(() => this.askAgain(), UNANSWERED_MILLISECONDS);
    }
    const slow = this.since !== undefined && performance.now() - this.since > SLOW_MILLISECONDS;
    const said = info?.trouble ?? (slow ? (info.windows ? info.words.slow : info.words.working) : "");
    if (said === this.said) return;
    this.said = said;
    this.note.replaceChildren(...(said ? [piece("span", "", said)] : []));
    if (!info?.trouble) return;
    // What was not drawn is not shown either; it is asked for again if somebody wants it.
    const { window: win } = this;
    const failed = win.wanted;
    win.wanted = win.base;
    this.draw();
    const again = () => {
      win.wanted = failed;
      this.askFor(this.question());
      this.draw();
    };
    this.note.append(makeButton(this.data.words, "again", again));
  }

  question() {
    const { wanted, windows } = this.window;
    const asked = { image: this.data.image, at: performance.now() };
    if (!windows && !wanted) return asked;
    return { ...asked, centre: wanted?.centre ?? null, width: wanted?.width ?? null };
  }

  askFor(question) {
    this.hasAsked = true;
    this.ask(question);
    clearTimeout(this.polling);
    this.polling = setTimeout(() => this.askAgain(), UNANSWERED_MILLISECONDS);
  }

  // What is asked while the page is being drawn may be lost: it is asked once more as long as nothing came of it.
  askAgain() {
    const { window: win, data, look } = this;
    const { shown, trouble, pending } = data.window ?? {};
    if (!data.window || trouble || pending || look || !this.hasAsked) return;
    const [centre, width] = shown ?? [];
    if (!win.windows || (win.wanted && !sameWindow(win.wanted, { centre, width }))) this.askFor(this.question());
  }

  // A window was chosen, or its slider let go: now the real one is asked for.
  settle() {
    if (!this.window.windows) return;
    this.askFor(this.question());
    this.bring();
  }

  draw() {
    const { stage, state, toolbar, window: win, data } = this;
    views.set(this.place, { state, wanted: win.wanted });
    const turned = `rotate(${state.turned}deg)${state.turned % 180 ? ` scale(${sidewaysFit(stage, this.img)})` : ""}`;
    this.moved.style.transform = `translate(${Math.round(state.x)}px, ${Math.round(state.y)}px) scale(${state.zoom}) ${turned}`;
    const looks = state.inverted ? ["invert(1)"] : [];
    if (data.window) {
      const line = win.preview;
      if (line) {
        for (const part of this.filter.querySelectorAll("[type=linear]")) {
          part.setAttribute("slope", line[0]);
          part.setAttribute("intercept", line[1]);
        }
        looks.unshift(`url(#${this.filter.id})`);
      }
    } else looks.push(`brightness(${state.brightness}%) contrast(${state.contrast}%)`);
    this.img.style.filter = looks.join(" ");
    this.canvas.style.opacity = data.heat ? state.heat / 100 : 0;
    for (const name of ["brightness", "contrast", "heat"]) {
      const slider = toolbar.querySelector(`[data-tool="${name}"]`);
      if (slider) slider.value = state[name];
    }
    if (data.window) drawWindowTools(toolbar, win);
    toolbar.querySelector('[data-tool="invert"]')?.setAttribute("aria-pressed", String(state.inverted));
    stage.title = state.heat ? data.heatTitle : "";
  }

  zoomTo(wanted, clientX, clientY) {
    const { state } = this;
    const zoom = Math.min(MOST_ZOOM, Math.max(1, wanted));
    const box = this.stage.getBoundingClientRect();
    const fromX = (clientX ?? box.x + box.width / 2) - box.x - box.width / 2;
    const fromY = (clientY ?? box.y + box.height / 2) - box.y - box.height / 2;
    // What lies under the pointer stays there.
    state.x = zoom === 1 ? 0 : fromX - ((fromX - state.x) * zoom) / state.zoom;
    state.y = zoom === 1 ? 0 : fromY - ((fromY - state.y) * zoom) / state.zoom;
    state.zoom = zoom;
  }

  act(name, value) {
    const { state, window: win } = this;
    const { presets = [] } = this.data.window ?? {};
    if (name === "invert") state.inverted = !state.inverted;
    else if (name === "turn") state.turned = (state.turned + 90) % 360;
    else if (name === "closer") this.zoomTo(state.zoom * 1.4);
    else if (name === "further") this.zoomTo(state.zoom / 1.4);
    else if (name === "heat") state.heat = value ?? (state.heat ? 0 : 60);
    else if (name === "centre" || name === "width") win.set(name, value);
    else if (name === "fit") {
      Object.assign(state, { ...FRESH, heat: state.heat });
      if (win.wanted) this.choose(presets[0]);
    } else if (name === "preset") this.choose(presets[value]);
    else if (name === "next") this.choose(presets[(win.preset + 1) % presets.length]);
    else state[name] = value;
    this.draw();
  }

  choose(preset) {
    if (!preset || !this.window.windows) return;
    this.window.choose(preset);
    this.settle();
  }

  // With the right button or Shift a drag changes the window: across its width, up and down its centre.
  dragLook(event) {
    const { look } = this;
    const box = this.stage.getBoundingClientRect();
    const across = (event.clientX - look.x) / box.width;
    const down = (event.clientY - look.y) / box.height;
    const within = (value) => Math.round(Math.min(250, Math.max(20, value)));
    if (look.window) this.window.drag(look.window, across, down);
    else if (!this.data.window) {
      this.state.contrast = within(look.contrast + across * 200);
      this.state.brightness = within(look.brightness - down * 200);
    }
    this.draw();
  }

  listen() {
    const { stage } = this;
    stage.onwheel = (event) => {
      event.preventDefault();
      this.zoomTo(this.state.zoom * (event.deltaY < 0 ? 1.15 : 1 / 1.15), event.clientX, event.clientY);
      this.draw();
    };
    stage.onpointerdown = (event) => {
      if (event.target.closest(".note")) return;
      stage.setPointerCapture(event.pointerId);
      const { state, window: win } = this;
      const { clientX: x, clientY: y } = event;
      const start = win.windows ? { centre: win.start.centre, width: win.start.width } : null;
      if (event.button === 2 || event.shiftKey) this.look = { ...state, window: start, x, y };
      else this.from = [event.clientX - state.x, event.clientY - state.y];
    };
    stage.onpointermove = (event) => {
      if (this.look) this.dragLook(event);
      if (!this.from) return;
      [this.state.x, this.state.y] = [event.clientX - this.from[0], event.clientY - this.from[1]];
      this.draw();
    };
    stage.onpointerup = stage.onpointercancel = () => {
      if (this.look?.window) this.settle();
      this.from = this.look = null;
    };
    stage.oncontextmenu = (event) => event.preventDefault();
    stage.ondblclick = () => this.act("fit");
    stage.onpointerenter = stage.onfocus = () => (keysFor = this);

    const onKey = (event) => {
      const typing = event.composedPath().some((each) => /^(INPUT|TEXTAREA|SELECT)$/.test(each.tagName ?? "") && each.type !== "range");
      const name = KEYS[event.key];
      if (typing || !name || event.ctrlKey || event.metaKey || event.altKey || (name === "heat" && !this.data.heat)) return;
      const other = keysFor?.stage.isConnected ? keysFor : null;
      if (other ? other !== this : this.data.slot === "beside") return;
      this.act(name);
    };
    document.addEventListener("keydown", onKey);
    const resized = new ResizeObserver(() => this.data && this.draw());
    resized.observe(stage);
    this.leave = () => {
      const view = views.get(this.place);
      if (view) view.left = performance.now();
      document.removeEventListener("keydown", onKey);
      resized.disconnect();
      clearTimeout(this.polling);
      clearTimeout(this.asking);
    };
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  // This function runs at every change of the data, and what it returns only when the picture goes.
  const stage = parentElement.querySelector(".stage");
  stage.viewer ??= new Viewer(parentElement);
  stage.viewer.update(data, (asked) => setTriggerValue("asked", asked));
  return stage.viewer.leave;
}
