"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const panel = document.getElementById("details");
  const make = (tag, text, kind) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const row = (...cells) => {
    const made = document.createElement("tr");
    for (const cell of cells) {
      const td = document.createElement("td");
      td.append(cell instanceof Node ? cell : String(cell));
      made.append(td);
    }
    return made;
  };
  const bars = (counts) => {
    const made = make("div", undefined, "bars");
    const most = Math.max(...counts, 1);
    for (const count of counts) {
      const bar = document.createElement("i");
      bar.style.height = `${(100 * count) / most}%`;
      made.append(bar);
    }
    return made;
  };
  const number = (value) => (value === undefined ? "" : Number(value.toPrecision(4)).toString());
  const show = (k) => {
    const node = data.nodes[k];
    document.querySelectorAll(".node.chosen").forEach((n) => n.classList.remove("chosen"));
    document.querySelector(`.node[data-n="${k}"]`).classList.add("chosen");
    panel.replaceChildren(make("h2", node.id));
    const facts = document.createElement("table");
    const size = (shape) => (shape ? shape.join(" × ") : "–");
    facts.append(row("type", node.type), row("input", size(node.input_shape)),
      row("output", size(node.output_shape)));
    for (const [key, value] of Object.entries(node.config)) {
      facts.append(row(key, typeof value === "string" ? value : JSON.stringify(value)));
    }
    for (const piece of node.pieces || []) facts.append(row(piece.where, piece.what));
    panel.append(facts);
    const arrays = Object.entries(node.params);
    if (!arrays.length) return;
    const table = document.createElement("table");
    const head = document.createElement("tr");
    for (const title of ["array", "shape", "dtype", "min", "mean", "max", "values"]) {
      head.append(make("th", title));
    }
    table.append(head);
    for (const [name, a] of arrays) {
      const s = a.stats || {};
      table.append(row(name, size(a.shape), a.dtype, number(s.min), number(s.mean), number(s.max),
        a.histogram ? bars(a.histogram) : ""));
    }
    panel.append(make("h3", "Arrays"), table);
  };
  document.querySelectorAll(".node").forEach((node) => {
    const open = () => show(Number(node.dataset.n));
    node.addEventListener("click", open);
    node.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); }
    });
  });
})();
