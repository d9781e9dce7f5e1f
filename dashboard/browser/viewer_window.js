// The window of a DICOM picture. The real one is rendered by the server, from the original; until it comes, the browser
// shifts the grey of the picture that it has, which is about right.

const ASK_AGAIN_MILLISECONDS = 120;
const SLOW_MILLISECONDS = 700;
const UNANSWERED_MILLISECONDS = 1000;

// Which straight line turns the grey of a picture shown with one window into that of another: slope and intercept.
function lineBetween(from, to, inverted) {
  const slope = Math.max(from.width, 1e-6) / Math.max(to.width, 1e-6);
  const black = (from.centre - from.width / 2 - (to.centre - to.width / 2)) / Math.max(to.width, 1e-6);
  return [slope, inverted ? 1 - slope - black : black];
}

const sameWindow = (one, other) => one?.centre === other?.centre && one?.width === other?.width;

// As many digits as tell the windows of this picture apart.
const readable = (value, range) => Number(value.toFixed(range >= 100 ? 0 : range >= 1 ? 2 : 4));

// What the sliders go by: from the lowest value that matters to the highest.
function windowRange(windows) {
  const all = [windows.shown, ...windows.own, windows.full, windows.robust].filter(Boolean);
  const low = Math.min(...all.map((each) => each.centre - each.width / 2));
  const high = Math.max(...all.map((each) => each.centre + each.width / 2));
  const range = Math.max(high - low, windows.least_width);
  return { low, high, range, step: range >= 100 ? 1 : range / 500 };
}

class PictureWindow {
  // wanted: null is the picture as it is stored. base: that of the picture on the stage.
  constructor() {
    this.wanted = null;
    this.base = null;
    this.info = null;
  }

  get windows() {
    return this.info?.windows ?? null;
  }

  // What stands in the fields; null where the stored picture is shown by a table.
  get current() {
    return this.wanted ?? this.windows?.shown ?? null;
  }

  // From where a change starts.
  get start() {
    return this.current ?? this.windows?.full ?? null;
  }

  set(part, value) {
    const windows = this.windows;
    if (!windows || !Number.isFinite(value)) return;
    const { range } = windowRange(windows);
    const next = { centre: this.start.centre, width: this.start.width, [part]: readable(value, range) };
    this.wanted = { ...next, width: Math.max(next.width, windows.least_width) };
  }

  // A drag over the whole stage goes through the whole range once.
  drag(from, across, down) {
    const { range } = windowRange(this.windows);
    this.wanted = { ...from };
    this.set("width", from.width + across * range);
    this.set("centre", from.centre + down * range);
  }

  choose(preset) {
    this.wanted = preset.centre === null ? null : { centre: preset.centre, width: preset.width };
  }

  // Which of the presets is shown; -1: none of them.
  get preset() {
    return (this.info?.presets ?? []).findIndex((each) =>
      this.wanted === null ? each.centre === null : each.centre !== null && sameWindow(each, this.wanted),
    );
  }

  // The line that makes the picture on the stage look about as it is wanted; null where it is right.
  get preview() {
    if (!this.windows || sameWindow(this.wanted, this.base)) return null;
    const plain = this.windows.shown ?? this.windows.full;
    return lineBetween(this.base ?? plain, this.wanted ?? plain, this.windows.inverted);
  }
}
