"use strict";
// What the views share: elements, packed numbers, colours, canvases, tooltips.
const TALON = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const views = {};

  const fill = (made, attributes, children) => {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (name === "text") made.textContent = value;
      else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };
  const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

  const bytes = (text) => {
    const raw = atob(text);
    const found = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i);
    return found;
  };
  const ARRAYS = { u1: Uint8Array, i1: Int8Array, u2: Uint16Array, i2: Int16Array,
    u4: Uint32Array, i4: Int32Array, f4: Float32Array };
  // Little-endian, as every machine that runs a browser today.
  const unpack = (packed) => {
    const data = bytes(packed.data);
    if (packed.kind !== "steps") return new ARRAYS[packed.kind](data.buffer);
    const found = new Float64Array(packed.n);
    let value = 0;
    for (let i = 0, k = 0; k < packed.n; k++) {
      let step = 0, scale = 1, byte;
      do {
        byte = data[i++];
        step += (byte & 127) * scale;
        scale *= 128;
      } while (byte & 128);
      value += step % 2 ? -(step + 1) / 2 : step / 2;
      found[k] = value;
    }
    return found;
  };

  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const number = (value) => {
    if (value === undefined || value === null) return "–";
    if (Number.isInteger(value)) return whole.format(value);
    return Number(value.toPrecision(4)).toString();
  };
  const size = (shape) => (shape ? shape.join(" × ") : "–");

  const known = new Map(); // colors of the theme at hand
  const color = (name) => {
    if (!known.has(name)) {
      known.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
    }
    return known.get(name);
  };
  const SERIES = ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"];
  const series = (k) => color(SERIES[k % SERIES.length]);
  const mix = (a, b, share) => {
    const part = (text, i) => parseInt(text.slice(1 + 2 * i, 3 + 2 * i), 16);
    const at = (i) => Math.round(part(a, i) + (part(b, i) - part(a, i)) * share);
    return `rgb(${at(0)},${at(1)},${at(2)})`;
  };
  // From little to much in three stops of one hue: lightness alone tells, whatever the eye.
  const ramp = (share) => {
    const x = Math.min(1, Math.max(0, share || 0));
    const [low, middle, high] = ["ramp0", "ramp1", "ramp2"].map(color);
    return x < 0.5 ? mix(low, middle, 2 * x) : mix(middle, high, 2 * x - 1);
  };
  const rampBar = (low, high, unit) => el("span", { class: "ramp" }, el("span", { text: low }),
    el("i"), el("span", { text: `${high} ${unit || ""}`.trim() }));

  const redraws = new Set();
  const onTheme = (draw) => redraws.add(draw);
  const themed = () => { known.clear(); redraws.forEach((draw) => draw()); };

  // A canvas as wide as its place, sharp on every screen; draw(context, width, height).
  const canvas = (place, height, label, draw) => {
    const made = el("canvas", { role: "img", "aria-label": label, tabindex: "0" });
    made.style.height = `${height}px`;
    place.append(made);
    let waiting = false;
    const paint = () => {
      waiting = false;
      const width = made.clientWidth, tall = made.clientHeight;
      if (!width || !tall) return;
      const ratio = window.devicePixelRatio || 1;
      if (made.width !== Math.round(width * ratio)) made.width = Math.round(width * ratio);
      if (made.height !== Math.round(tall * ratio)) made.height = Math.round(tall * ratio);
      const context = made.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, tall);
      context.font = "11px system-ui, sans-serif";
      draw(context, width, tall, ratio);
    };
    made.redraw = () => {
      if (!waiting) { waiting = true; requestAnimationFrame(paint); }
    };
    made.paint = paint;
    new ResizeObserver(made.redraw).observe(made);
    onTheme(made.redraw);
    return made;
  };

  const tip = el("div", { class: "tip", role: "status", hidden: true });
  const showTip = (event, ...lines) => {
    tip.replaceChildren(...lines.map((line) => el("div", { text: line })));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const x = Math.min(event.clientX + 14, window.innerWidth - box.width - 8);
    const y = event.clientY + 16 + box.height > window.innerHeight
      ? event.clientY - box.height - 10 : event.clientY + 16;
    tip.style.left = `${Math.max(4, x)}px`;
    tip.style.top = `${Math.max(4, y)}px`;
  };
  const hideTip = () => { tip.hidden = true; };

  const ticks = (low, high, most) => {
    const span = high - low;
    if (!(span > 0)) return [low];
    const raw = span / Math.max(1, most);
    const base = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((k) => k * base).find((s) => s >= raw);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * span; k++) {
      found.push(Number((k * step).toPrecision(12)));
    }
    return found;
  };

  const select = (label, options, change) => {
    const made = el("select", { onchange: () => change(made.value) },
      ...options.map(([value, text]) => el("option", { value, text })));
    return el("label", { class: "field" }, el("span", { text: label }), made);
  };
  // The largest of many values; a call with that many arguments would fail.
  const most = (values, least = 0) => {
    let found = least;
    for (const value of values) if (value > found) found = value;
    return found;
  };
  const button = (text, label, press) => el("button", { type: "button", text, title: label,
    "aria-label": label, onclick: press });

  const start = () => {
    document.body.append(tip);
    for (const place of document.querySelectorAll("section[data-view]")) {
      const view = views[place.dataset.view];
      if (!view) continue;
      const data = JSON.parse(place.querySelector('script[type="application/json"]').textContent);
      view(place.querySelector(".stage"), data, place);
      place.dataset.ready = "";
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themed);
  };
  return { views, el, svg, unpack, number, size, color, series, ramp, rampBar, mix,
    onTheme, canvas, showTip, hideTip, ticks, select, button, most, start };
})();
