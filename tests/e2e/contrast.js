// Every visible text of the page with too little contrast (WCAG 2.2, 1.4.3), as sentences. Colours are composited:
// what is see-through is laid over what stands behind it, up to the first that is not. Shadow trees are looked into.
() => {
  const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const known = new Map();
  // Red, green, blue 0..255 and alpha 0..1 of any colour that CSS can write.
  const read = (colour) => {
    if (!known.has(colour)) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
      known.set(colour, [red, green, blue, alpha / 255]);
    }
    return known.get(colour);
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const parent = (element) => element.assignedSlot ?? element.parentElement ?? element.getRootNode().host ?? null;
  const hex = (colour) => "#" + colour.slice(0, 3).map((c) => Math.round(c).toString(16).padStart(2, "0")).join("");
  const named = (element) => {
    const marks = [element.id && `#${element.id}`, ...[...element.classList].filter((c) => !c.startsWith("st-emotion")).map((c) => `.${c}`)];
    const test = element.closest("[data-testid]")?.dataset.testid;
    return element.tagName.toLowerCase() + marks.filter(Boolean).slice(0, 3).join("") + (test ? ` in ${test}` : "");
  };
  const background = (element) => {
    const layers = [];
    for (let each = element; each; each = parent(each)) {
      const style = getComputedStyle(each);
      const layer = read(style.backgroundColor);
      if (layer[3] > 0) layers.push([...layer.slice(0, 3), layer[3] * Number(style.opacity)]);
      if (layer[3] === 1 && style.opacity === "1") break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const opacity = (element) => {
    let all = 1;
    for (let each = element; each; each = parent(each)) all *= Number(getComputedStyle(each).opacity);
    return all;
  };
  const inactive = (element) => {
    for (let each = element; each; each = parent(each)) {
      if (each.matches(":disabled, [aria-disabled=true], [disabled]")) return true;
    }
    return false;
  };
  const hidden = (element) => {
    if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) return true;
    const box = element.getBoundingClientRect();
    return box.width < 2 || box.height < 2; // kept for those who listen to the page
  };

  const faults = new Map();
  let count = 0;
  const look = (element, style, words) => {
    if (hidden(element) || inactive(element)) return;
    count += 1;
    const paper = background(element);
    const given = read(element instanceof SVGElement ? style.fill : style.color);
    const ink = over([...given.slice(0, 3), given[3] * opacity(element)], paper);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const found = ratio(ink, paper);
    if (found < (large ? 3 : 4.5) - 0.005) {
      const said = words.trim().replace(/\s+/g, " ").slice(0, 40);
      const where = named(element);
      faults.set(`${where} ${hex(ink)} ${hex(paper)}`, `${where}: ${hex(ink)} on ${hex(paper)} is ${found.toFixed(2)}:1, “${said}”`);
    }
  };
  const walk = (root) => {
    for (const element of root.querySelectorAll("*")) {
      if (element.shadowRoot) walk(element.shadowRoot);
      if (/^(STYLE|SCRIPT|NOSCRIPT|TITLE|OPTION)$/.test(element.tagName)) continue;
      const words = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join(" ");
      // A font of pictures has names as its text.
      if (words.trim()) look(element, getComputedStyle(element), words);
      if (element.matches("input:not([type=hidden], [type=file], [type=range], [type=radio], [type=checkbox]), textarea")) {
        if (element.value) look(element, getComputedStyle(element), element.value);
        else if (element.placeholder) look(element, getComputedStyle(element, "::placeholder"), element.placeholder);
      }
      for (const side of ["::before", "::after"]) {
        const style = getComputedStyle(element, side);
        const drawn = /^"(.*[^\s\u00a0].*)"$/.exec(style.content);
        if (drawn && style.display !== "none") look(element, style, drawn[1]);
      }
    }
  };
  walk(document);
  return { count, faults: [...faults.values()] };
}
