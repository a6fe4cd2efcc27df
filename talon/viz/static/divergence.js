// Golden model and another execution: how many values differ by population and timestep, and the first of them.
TALON.views.divergence = (stage, data) => {
  const { el, svg, unpack, number } = TALON;
  const rows = data.rows.map((row) => ({ ...row, counts: unpack(row.counts) }));
  const label = (row) => `${row.quantity === "V" ? "V" : "spikes"} of ${row.population}`;
  const equal = data.mismatches === 0;
  stage.append(el("p", { class: `verdict ${equal ? "good" : "bad"}`, text: equal
    ? `All ${number(data.compared)} values are equal` : `${number(data.mismatches)} of ${number(data.compared)} values differ` }));
  if (data.first) {
    const first = data.first;
    stage.append(el("h3", { text: "First divergence" }), el("p", { text: `${first.quantity === "V" ? "Potential" : "Spike"} of ${first.population}, neuron ${first.neuron}`
      + `${first.core === null ? "" : ` on core ${first.core}`}, timestep ${first.timestep}, sample ${first.sample}: `
      + `${data.left} ${number(first.left)}, ${data.right} ${number(first.right)}` }));
    const steps = first.values[0].left.map((_, k) => first.from + k);
    stage.append(el("div", { class: "scroll" }, el("table", { class: "beside" },
      el("tr", {}, el("th", { text: "timestep" }), ...steps.map((t) => el("th", { class: "n", text: t }))),
      ...first.values.flatMap((pair) => ["left", "right"].map((which) => el("tr", {},
        el("td", { text: `${pair.quantity}, ${data[which]}` }), ...pair[which].map((value, k) =>
          el("td", { class: pair.left[k] === pair.right[k] ? "n" : "n differs", text: number(value) }))))))));
  }

  // A cell a population and timestep: how many neurons differ.
  let sample = -1;
  const places = [];
  const per = Math.ceil(data.n_steps / 400); // timesteps a cell
  const columns = Math.ceil(data.n_steps / per);
  const cell = Math.max(2, Math.min(26, Math.floor(860 / columns)));
  const count = (row, column) => {
    let sum = 0;
    for (let t = column * per; t < Math.min(data.n_steps, (column + 1) * per); t++) {
      if (sample >= 0) sum += row.counts[t * data.n_samples + sample];
      else for (let b = 0; b < data.n_samples; b++) sum += row.counts[t * data.n_samples + b];
    }
    return sum;
  };
  const steps = (column) => (per === 1 ? `timestep ${column}`
    : `timesteps ${column * per} to ${Math.min(data.n_steps, (column + 1) * per) - 1}`);
  const left = 12 + 7.2 * Math.min(34, Math.max(...rows.map((row) => label(row).length)));
  const width = left + cell * columns + 10, height = 26 * rows.length + 40;
  const map = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": "differing values by population and timestep" });
  rows.forEach((row, r) => {
    const text = label(row);
    map.append(svg("text", { x: left - 8, y: 26 * r + 18, "text-anchor": "end",
      text: text.length > 34 ? `${text.slice(0, 33)}…` : text }, svg("title", { text })));
    for (let t = 0; t < columns; t++) {
      const box = svg("rect", { x: left + cell * t, y: 26 * r + 4, width: Math.max(1, cell - (cell > 8 ? 1 : 0)), height: 21, class: "cell" });
      box.addEventListener("pointermove", (event) => TALON.showTip(event, label(row), `${steps(t)}: ${number(count(row, t))} of `
        + `${number(row.n * per * (sample < 0 ? data.n_samples : 1))} differ`));
      box.addEventListener("pointerleave", TALON.hideTip);
      places.push([box, row, t]);
      map.append(box);
    }
  });
  for (const t of TALON.ticks(0, data.n_steps - 1, Math.min(16, data.n_steps)).filter(Number.isInteger)) {
    map.append(svg("text", { x: left + cell * (t / per + 0.5), y: height - 20, "text-anchor": "middle", class: "tick", text: t }));
  }
  map.append(svg("text", { x: left + (cell * columns) / 2, y: height - 5, "text-anchor": "middle", class: "tick", text: "timestep" }));
  const scale = el("span");
  const paint = () => {
    const peak = TALON.most(places.map(([, row, t]) => count(row, t)), 1);
    for (const [box, row, t] of places) {
      const n = count(row, t);
      box.style.fill = n ? TALON.mix(TALON.color("bad-low"), TALON.color("bad"), Math.log(1 + n) / Math.log(1 + peak)) : "";
      box.classList.toggle("differs", n > 0);
    }
    scale.replaceChildren(el("span", { class: "key", text: `red: values that differ, up to ${number(peak)} (logarithm); blank: equal` }));
  };
  stage.append(el("h3", { text: "Where values differ" }), el("div", { class: "tools" }, data.n_samples > 1
    ? TALON.select("Sample", [["-1", `all ${data.n_samples}`], ...Array.from({ length: data.n_samples }, (_, b) => [String(b), `sample ${b}`])],
      (value) => { sample = Number(value); paint(); }) : null, scale), el("div", { class: "scroll" }, map));
  stage.append(el("table", { class: "totals" }, el("thead", {}, el("tr", {}, ...["compared", "values", "differ"].map((text, k) =>
    el("th", { text, class: k ? "n" : null })))), el("tbody", {}, ...rows.map((row) => el("tr", { class: "compared" }, el("td", { text: label(row) }),
    el("td", { class: "n", text: number(row.n * data.n_steps * data.n_samples) }),
    el("td", { class: row.mismatches ? "n bad" : "n", text: number(row.mismatches) }))))));
  if (data.listed.length) {
    stage.append(el("details", {}, el("summary", { text: `The first ${data.listed.length} differing values` }),
      el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...["timestep", "sample", "core", "population", "neuron", "quantity", data.left, data.right]
        .map((text) => el("th", { text })))), el("tbody", {}, ...data.listed.map((d) => el("tr", { class: "difference" },
        ...[d.timestep, d.sample, d.core === null ? "–" : d.core, d.population, d.neuron, d.quantity, number(d.left), number(d.right)]
          .map((text) => el("td", { text })))))))));
  }
  paint();
  TALON.onTheme(paint);
};
