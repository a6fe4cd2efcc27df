// The network: pan, zoom, search; a node that is chosen tells its fields.
TALON.views.network = (stage, data) => {
  const { el, size, number, unpack, onTheme, mix, color } = TALON;
  const svg = stage.querySelector("svg");
  const world = svg.querySelector(".world");
  const nodes = [...svg.querySelectorAll(".node")];
  const margin = Number(world.dataset.margin);
  const full = { width: Number(svg.getAttribute("width")), height: Number(svg.getAttribute("height")) };
  const kinds = new Map();
  for (const node of data.nodes) {
    const [count, total] = kinds.get(node.type) || [0, 0];
    kinds.set(node.type, [count + 1, total + node.param_count]);
  }
  const details = el("aside", { class: "details", "aria-live": "polite", tabindex: "0" },
    el("p", { class: "soft", text: "Choose a node to see its fields, and how its values are spread." }),
    el("table", { class: "kinds" },
      el("tr", {}, ...["type", "nodes", "parameters"].map((text, k) => el("th", { text, class: k ? "n" : null }))),
      ...[...kinds].sort((a, b) => b[1][1] - a[1][1] || b[1][0] - a[1][0]).map(([type, counts]) => el("tr", {},
        el("td", { text: type }), ...counts.map((count) => el("td", { class: "n", text: number(count) }))))));
  const frame = el("div", { class: "frame-of-graph" });
  svg.before(frame);
  frame.append(svg);
  for (const name of ["width", "height", "viewBox"]) svg.removeAttribute(name);
  const at = { x: 0, y: 0, scale: 1 };
  const into = new Map(), out = new Map();
  for (const [a, b] of data.edges) {
    out.set(a, [...(out.get(a) || []), b]);
    into.set(b, [...(into.get(b) || []), a]);
  }

  const place = () => {
    world.setAttribute("transform", `translate(${at.x} ${at.y}) scale(${at.scale}) translate(${margin} ${margin})`);
    svg.classList.toggle("far", at.scale < 0.5);
    svg.classList.toggle("farther", at.scale < 0.22);
    zoomed.textContent = `${Math.round(100 * at.scale)} %`;
  };
  const fit = () => {
    const box = frame.getBoundingClientRect();
    at.scale = Math.min(1.25, box.width / full.width, box.height / full.height);
    at.x = (box.width - full.width * at.scale) / 2;
    at.y = Math.max(0, (box.height - full.height * at.scale) / 2);
    place();
  };
  const zoom = (factor, x, y) => {
    const scale = Math.min(3, Math.max(0.02, at.scale * factor));
    at.x = x - (x - at.x) * (scale / at.scale);
    at.y = y - (y - at.y) * (scale / at.scale);
    at.scale = scale;
    place();
  };
  const middle = () => [frame.clientWidth / 2, frame.clientHeight / 2];
  const boxes = new Map();
  const boxOf = (k) => {
    if (!boxes.has(k)) {
      const box = nodes[k].querySelector(".box");
      boxes.set(k, ["x", "y", "width", "height"].map((name) => Number(box.getAttribute(name))));
    }
    return boxes.get(k);
  };
  const reveal = (k, scale) => {
    const [x, y, width, height] = boxOf(k);
    at.scale = Math.max(at.scale, scale || 0);
    const left = at.x + (x + margin) * at.scale, top = at.y + (y + margin) * at.scale;
    const seen = left > 0 && top > 0 && left + width * at.scale < frame.clientWidth
      && top + height * at.scale < frame.clientHeight;
    if (!seen || scale) {
      at.x = frame.clientWidth / 2 - (x + width / 2 + margin) * at.scale;
      at.y = frame.clientHeight / 2 - (y + height / 2 + margin) * at.scale;
    }
    place();
  };

  const row = (...cells) => el("tr", {}, ...cells.map((cell) =>
    el("td", {}, cell instanceof Node ? cell : String(cell))));
  const bars = (counts) => {
    const most = Math.max(...counts, 1);
    return el("div", { class: "bars", role: "img", "aria-label": "histogram" }, ...counts.map((count) => {
      const bar = el("i");
      bar.style.height = `${(100 * count) / most}%`;
      return bar;
    }));
  };
  // Signed values of a sample of the array: one colour below zero, another above.
  const thumbnail = (packed) => {
    const [rows, columns] = packed.shape;
    const values = unpack(packed);
    const made = el("canvas", { width: columns, height: rows, class: "thumbnail", role: "img",
      "aria-label": `${rows} x ${columns} values of the array` });
    const paint = () => {
      const context = made.getContext("2d");
      const [zero, below, above] = ["card", "s1", "s0"].map(color);
      values.forEach((value, k) => {
        context.fillStyle = mix(zero, value < 0 ? below : above, Math.abs(value) / 127);
        context.fillRect(k % columns, Math.floor(k / columns), 1, 1);
      });
    };
    paint();
    onTheme(paint);
    const grow = Math.max(1, Math.floor(112 / Math.max(rows, columns)));
    made.style.width = `${columns * grow}px`;
    made.style.height = `${rows * grow}px`;
    return made;
  };
  const links = (title, others) => el("p", { class: "soft" }, `${title}: `, ...(others.length
    ? others.flatMap((k, i) => [i ? ", " : "", el("button", { type: "button", class: "link",
      text: data.nodes[k].id, onclick: () => choose(k, true) })]) : ["–"]));
  let chosen = -1;
  const choose = (k, move) => {
    const node = data.nodes[k];
    if (chosen >= 0) { nodes[chosen].classList.remove("chosen"); nodes[chosen].tabIndex = -1; }
    chosen = k;
    nodes[k].classList.add("chosen");
    nodes.forEach((n) => { if (n.tabIndex === 0) n.tabIndex = -1; });
    nodes[k].tabIndex = 0;
    if (move) reveal(k);
    const facts = el("tbody", {}, row("type", node.type), row("input", size(node.input_shape)),
      row("output", size(node.output_shape)), row("parameters", number(node.param_count)));
    for (const [key, value] of Object.entries(node.config)) {
      facts.append(row(key, typeof value === "string" ? value : JSON.stringify(value)));
    }
    for (const piece of node.pieces || []) facts.append(row(piece.where, piece.what));
    details.replaceChildren(el("h3", { text: node.id }), el("table", {}, facts),
      links("from", into.get(k) || []), links("to", out.get(k) || []));
    for (const [name, a] of Object.entries(node.params)) {
      const s = a.stats || {};
      details.append(el("div", { class: "array" },
        el("p", {}, el("b", { text: name }), ` ${size(a.shape)} `, el("span", { class: "soft", text: a.dtype })),
        el("div", { class: "row tight" }, a.histogram ? bars(a.histogram) : null,
          a.thumbnail ? thumbnail(a.thumbnail) : null),
        el("p", { class: "soft", text: a.stats
          ? `${number(s.min)} to ${number(s.max)}, mean ${number(s.mean)}, deviation ${number(s.std)}` : "no finite value" })));
    }
  };

  nodes.forEach((node, k) => node.addEventListener("click", () => { if (!dragged) choose(k); }));
  world.addEventListener("keydown", (event) => {
    const k = nodes.indexOf(event.target.closest(".node"));
    if (k < 0) return;
    const same = () => { // the others behind what is before this one
      const before = (into.get(k) || [])[0];
      return before === undefined ? [k] : out.get(before);
    };
    const ways = { ArrowDown: () => (out.get(k) || [])[0], ArrowUp: () => (into.get(k) || [])[0],
      ArrowRight: () => same()[(same().indexOf(k) + 1) % same().length],
      ArrowLeft: () => same()[(same().indexOf(k) + same().length - 1) % same().length],
      Enter: () => k, " ": () => k };
    if (!(event.key in ways)) return;
    event.preventDefault();
    const next = ways[event.key]();
    if (next === undefined) return;
    choose(next, true);
    nodes[next].focus({ preventScroll: true });
  });
  frame.addEventListener("keydown", (event) => {
    const steps = { "+": 1.25, "=": 1.25, "-": 0.8 };
    if (event.key in steps) zoom(steps[event.key], ...middle());
    else if (event.key === "0") fit();
    else return;
    event.preventDefault();
  });
  frame.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = frame.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  let held = null, dragged = false;
  frame.addEventListener("pointerdown", (event) => {
    held = [event.clientX - at.x, event.clientY - at.y, event.clientX, event.clientY];
    dragged = false;
  });
  window.addEventListener("pointermove", (event) => {
    if (!held) return;
    if (Math.hypot(event.clientX - held[2], event.clientY - held[3]) > 4) dragged = true;
    if (!dragged) return;
    at.x = event.clientX - held[0];
    at.y = event.clientY - held[1];
    place();
  });
  window.addEventListener("pointerup", () => { held = null; });

  const found = el("span", { class: "soft", role: "status" });
  let matches = [], current = -1;
  const seek = () => {
    const text = search.value.trim().toLowerCase();
    matches = text ? data.nodes.flatMap((node, k) =>
      `${node.id} ${node.type}`.toLowerCase().includes(text) ? [k] : []) : [];
    const set = new Set(matches);
    svg.classList.toggle("searching", text !== "");
    nodes.forEach((node, k) => node.classList.toggle("match", set.has(k)));
    current = -1;
    found.textContent = text ? `${matches.length} found` : "";
  };
  const search = el("input", { type: "search", placeholder: "Search names and types",
    "aria-label": "Search names and types", oninput: seek, onkeydown: (event) => {
      if (event.key !== "Enter" || !matches.length) return;
      current = (current + (event.shiftKey ? matches.length - 1 : 1)) % matches.length;
      found.textContent = `${current + 1} of ${matches.length}`;
      choose(matches[current]);
      reveal(matches[current], 0.8);
    } });
  const zoomed = el("span", { class: "soft zoomed" });
  const patterns = data.patterns.length ? TALON.select("Pattern", [["", `${data.patterns.length} in all`],
    ...data.patterns.map((p) => [p.id, `${p.id.replace("_", " ")} (${p.nodes} nodes)`])], (id) => {
    svg.querySelectorAll(".pattern").forEach((p) => p.classList.toggle("chosen", p.dataset.p === id));
    const shape = svg.querySelector(".pattern.chosen");
    if (!shape) return;
    const [x, y, width, height] = ["x", "y", "width", "height"].map((n) => Number(shape.getAttribute(n)));
    at.scale = Math.min(1, frame.clientWidth / (width + 60), frame.clientHeight / (height + 60));
    at.x = frame.clientWidth / 2 - (x + width / 2 + margin) * at.scale;
    at.y = frame.clientHeight / 2 - (y + height / 2 + margin) * at.scale;
    place();
  }) : null;
  stage.prepend(el("div", { class: "tools" }, search, found, el("span", { class: "push" }), patterns,
    TALON.button("−", "Zoom out", () => zoom(0.8, ...middle())), zoomed,
    TALON.button("+", "Zoom in", () => zoom(1.25, ...middle())),
    TALON.button("Fit", "Show all of the network", fit)));
  const pair = el("div", { class: "pair" });
  frame.before(pair);
  pair.append(frame, details);
  new ResizeObserver(fit).observe(frame);
  fit();
};
