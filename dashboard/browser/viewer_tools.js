// The tools below a picture.

function makeButton(words, name, act) {
  const made = piece("button", "", words[name][0]);
  made.type = "button";
  made.dataset.tool = name;
  if (words[name][1]) made.append(piece("kbd", "", words[name][1]));
  made.onclick = () => act(name);
  return made;
}

function makeSlider(words, name, range, act) {
  const label = piece("label", "", words[name][0]);
  const input = piece("input");
  Object.assign(input, { type: "range", ...range });
  input.dataset.tool = name;
  input.oninput = () => act(name, Number(input.value));
  label.append(input);
  return label;
}

// Centre and width, by slider and by number, and the windows to choose from.
function makeWindowTools(words, win, act, settle) {
  const made = ["centre", "width"].map((name) => {
    const label = makeSlider(words, name, { min: 0, max: 1, step: "any" }, act);
    const slider = label.lastChild;
    const number = piece("input");
    Object.assign(number, { type: "number", step: "any" });
    number.dataset.number = name;
    number.setAttribute("aria-label", words[name][0]);
    slider.onchange = settle;
    number.onchange = () => {
      act(name, number.valueAsNumber);
      settle();
    };
    label.append(number);
    return label;
  });
  const label = piece("label", "", words.preset[0]);
  const select = piece("select");
  select.dataset.tool = "preset";
  select.onchange = () => act("preset", Number(select.value));
  label.append(select, piece("kbd", "", words.preset[1]));
  return [label, ...made];
}

// Brings fields and sliders to what the window is. The one that somebody is typing into is left to them.
function drawWindowTools(toolbar, win) {
  const { windows, info, current } = win;
  const range = windows ? windowRange(windows) : null;
  for (const name of ["centre", "width"]) {
    const slider = toolbar.querySelector(`input[data-tool="${name}"]`);
    const number = toolbar.querySelector(`input[data-number="${name}"]`);
    if (!slider || !number) return;
    slider.disabled = number.disabled = !windows;
    if (!windows) continue;
    const limits = name === "centre" ? [range.low, range.high] : [windows.least_width, range.range];
    Object.assign(slider, { min: limits[0], max: limits[1], step: range.step });
    slider.value = win.start[name];
    if (number !== number.getRootNode().activeElement) number.value = current ? readable(current[name], range.range) : "";
  }
  const select = toolbar.querySelector("select");
  const options = info.presets.map((each) => each.name);
  if (win.preset < 0 && options.length) options.push(info.chosen);
  if (select.dataset.options !== JSON.stringify(options)) {
    select.dataset.options = JSON.stringify(options);
    select.replaceChildren(...options.map((name, index) => Object.assign(piece("option", "", name), { value: index })));
  }
  select.disabled = !windows;
  select.value = win.preset < 0 ? options.length - 1 : win.preset;
}

function makeTools(toolbar, data, act, settle) {
  const { words } = data;
  const parts = ["further", "closer", "fit", "turn", "invert"].map((name) => makeButton(words, name, act));
  if (data.window) parts.push(...makeWindowTools(words, data.window, act, settle));
  else {
    const range = { min: 20, max: 250, step: 5 };
    parts.push(makeSlider(words, "brightness", range, act), makeSlider(words, "contrast", range, act));
  }
  if (data.heat) {
    const heat = makeSlider(words, "heat", { min: 0, max: 100, step: 5 }, act);
    heat.append(piece("kbd", "", words.heat[1]));
    heat.title = data.heatTitle;
    parts.push(heat);
  }
  toolbar.setAttribute("aria-label", words.title);
  toolbar.replaceChildren(...parts);
}
