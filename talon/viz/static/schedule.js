// A row a core: stages over time, the chain that decides the end, and counts by timestep.
TALON.views.schedule = (stage, data) => {
  const { el, unpack, number, series, color } = TALON;
  const [row, group, step, start, end, sending] = ["row", "group", "step", "start", "end", "sending"].map((k) => unpack(data[k]));
  const ends = unpack(data.ends);
  const stageEnd = TALON.most(end, 1e-9), last = TALON.most(ends, stageEnd);
  const rows = data.rows.length;
  const critical = new Set(data.critical);
  const byRow = Array.from({ length: rows }, () => []);
  for (let i = 0; i < row.length; i++) byRow[row[i]].push(i);
  byRow.forEach((list) => list.sort((a, b) => start[a] - start[b]));
  const names = [...new Set(data.groups)];
  const shade = (g) => (data.kinds.length ? color(data.kinds[g]) || color("s7") : series(names.indexOf(data.groups[g])));
  let showPath = true;
  const tall = Math.min(680, Math.max(96, rows * 26 + 44));
  const place = el("div");
  const find = (x, y) => {
    const list = byRow[Math.floor(y)] || [];
    return list.find((i) => start[i] <= x && x < Math.max(end[i], start[i] + 1e-9));
  };
  const left = Math.min(150, 22 + 7 * Math.max(4, ...data.rows.map((r) => r.length)));
  const plot = TALON.plot(place, { full: { x0: 0, x1: last * 1.005, y0: 0, y1: Math.max(1, rows) }, height: tall, down: true, left,
    xLabel: data.unit, label: `schedule of ${row.length} stages in ${rows} rows`, smallestY: Math.min(4, rows), smallestX: last / 5000,
    yTicks: (view) => data.rows.map((_, k) => k + 0.5).filter((y, k) => {
      const every = Math.ceil((view.y1 - view.y0) / (tall / 15));
      return k % every === 0;
    }),
    yName: (y) => data.rows[Math.floor(y)],
    draw: (context, { X, Y, view, area }) => {
      const high = area.height / (view.y1 - view.y0), pad = Math.min(4, high * 0.14);
      context.strokeStyle = color("edge");
      context.lineWidth = 1;
      for (const t of ends) {
        if (t < view.x0 || t > view.x1) continue;
        context.beginPath();
        context.moveTo(X(t), area.y);
        context.lineTo(X(t), area.y + area.height);
        context.stroke();
      }
      context.textBaseline = "middle";
      context.textAlign = "left";
      for (let r = Math.max(0, Math.floor(view.y0)); r < Math.min(rows, view.y1); r++) {
        const y = Y(r) + pad, height = Math.max(1, high - 2 * pad);
        let drawn = -1; // stages thinner than a pixel are drawn once a pixel
        for (const i of byRow[r]) {
          if (end[i] < view.x0 || start[i] > view.x1) continue;
          const x = X(start[i]), right = Math.max(x + 1, X(end[i]));
          if (right <= drawn && !critical.has(i)) continue;
          drawn = Math.max(drawn, right);
          context.fillStyle = shade(group[i]);
          context.globalAlpha = 0.85;
          context.fillRect(x, y, right - x, height);
          if (sending[i] > 0) {
            const from = X(end[i] - sending[i]);
            context.globalAlpha = 0.55;
            context.fillStyle = color("card");
            context.fillRect(from, y + height * 0.25, right - from, height * 0.5);
          }
          context.globalAlpha = 1;
          if (showPath && critical.has(i)) {
            context.strokeStyle = color("ink");
            context.lineWidth = 2;
            context.strokeRect(x + 0.5, y, Math.max(1, right - x - 1), height);
          }
          const text = `${data.groups[group[i]]}${data.n_steps ? `, ${step[i]}` : ""}`;
          if (height > 11 && right - x > 6.4 * text.length + 8) {
            context.fillStyle = color("card");
            context.font = "600 11px system-ui, sans-serif";
            context.fillText(text, x + 5, y + height / 2 + 0.5);
          }
        }
      }
      if (showPath) {
        context.strokeStyle = color("ink");
        context.lineWidth = 1.2;
        context.setLineDash([4, 3]);
        context.beginPath();
        data.critical.forEach((i, k) => {
          if (!k) return;
          const j = data.critical[k - 1];
          if (row[i] === row[j] && Math.abs(start[i] - end[j]) < last / 500) return;
          context.moveTo(X(end[j]), Y(row[j] + 0.5));
          context.lineTo(X(start[i]), Y(row[i] + 0.5));
        });
        context.stroke();
        context.setLineDash([]);
      }
    },
    hover: (x, y) => {
      const i = find(x, y);
      if (i === undefined) return data.rows[Math.floor(y)] ? [`${data.rows[Math.floor(y)]}: waiting`] : null;
      return [`${data.rows[row[i]]}: ${data.groups[group[i]]}${data.n_steps ? `, timestep ${step[i]}` : ""}`,
        `${number(start[i])} to ${number(end[i])} (${number(end[i] - start[i])} ${data.unit})`,
        ...(sending[i] > 0 ? [`${number(sending[i])} of them only to send packets`] : []),
        ...(critical.has(i) ? ["on the critical path"] : [])];
    } });
  const path = el("input", { type: "checkbox", checked: true, onchange: () => { showPath = path.checked; plot.redraw(); } });
  stage.append(el("div", { class: "tools" }, el("label", { class: "field" }, path, el("span", { text: "critical path" })),
    el("span", { class: "push" }), ...plot.buttons()), place);
  const keys = el("div", { class: "keys" });
  const paint = () => keys.replaceChildren(...names.slice(0, 24).map((name) => {
    const swatch = el("i");
    swatch.style.background = shade(data.groups.indexOf(name));
    return el("span", { class: "key" }, swatch, name);
  }), names.length > 24 ? el("span", { class: "key", text: `and ${names.length - 24} more` }) : "",
  el("span", { class: "key", text: "outlined: critical path" }),
  sending.some((s) => s > 0) ? el("span", { class: "key", text: "inner stripe: only sending" }) : "",
  ends.length ? el("span", { class: "key", text: "vertical lines: the host has all of a timestep" }) : "");
  paint();
  TALON.onTheme(paint);
  stage.append(keys);
  if (data.critical.length) {
    const total = data.critical.reduce((sum, i) => sum + end[i] - start[i], 0);
    stage.append(el("h3", { text: "Critical path" }), el("p", { class: "critical" },
      data.critical.map((i) => `${data.groups[group[i]]}${data.n_steps ? `, ${step[i]}` : ""}`).slice(-40).join(" → ")),
    el("p", { class: "soft", text: `${data.critical.length} stages, ${number(total)} of ${number(last)} ${data.unit} in them`
      + (last > stageEnd ? `, the last ${number(last - stageEnd)} from the last stage to the host` : "")
      + (data.critical.length > 40 ? "; the last 40 are told" : "") }));
  }

  const busy = byRow.map((list) => list.reduce((sum, i) => sum + end[i] - start[i], 0));
  const late = byRow.map((list) => list.reduce((sum, i) => sum + sending[i], 0));
  const phases = Object.entries(data.phases).map(([name, packed]) => [name, unpack(packed)]);
  if (phases.length) heat();
  const most = last;
  stage.append(el("details", {}, el("summary", { text: "Rows as a table" }), el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, ...["", "stages", `running (${data.unit})`, "share", "of it only sending",
      ...phases.map(([name]) => name)].map((text, k) => el("th", { text, class: k ? "n" : null })))),
    el("tbody", {}, ...data.rows.map((name, r) => el("tr", { class: "schedule-row" }, el("td", { text: name }),
      ...[number(byRow[r].length), number(busy[r]), `${Math.round((100 * busy[r]) / most)} %`, number(late[r]),
        ...phases.map(([, values]) => {
          let sum = 0;
          for (let t = 0; t < data.n_steps; t++) sum += values[t * rows + r];
          return number(sum);
        })].map((text) => el("td", { class: "n", text })))))))));

  // Timesteps to the right, rows down: counts by the ramp.
  function heat() {
    let [name, values] = phases[0];
    let peak = 1;
    const scale = el("span");
    const place = el("div");
    const set = (chosen) => {
      [name, values] = phases.find(([n]) => n === chosen);
      peak = TALON.most(values, 1);
      scale.replaceChildren(TALON.rampBar("0", number(peak), "a timestep"));
    };
    const grid = TALON.plot(place, { full: { x0: 0, x1: data.n_steps, y0: 0, y1: rows }, height: Math.min(520, Math.max(90, rows * 16 + 44)),
      down: true, left, xLabel: "timestep", label: "counts by core and timestep", smallestX: Math.min(4, data.n_steps), smallestY: Math.min(4, rows),
      yTicks: (view) => data.rows.map((_, k) => k + 0.5).filter((y, k) => k % Math.ceil((view.y1 - view.y0) / 24) === 0),
      yName: (y) => data.rows[Math.floor(y)],
      draw: (context, { X, Y, view }) => {
        for (let t = Math.floor(view.x0); t < Math.min(data.n_steps, view.x1); t++) {
          for (let r = Math.floor(view.y0); r < Math.min(rows, view.y1); r++) {
            context.fillStyle = TALON.ramp(values[t * rows + r] / peak);
            const x = Math.floor(X(t)), y = Math.floor(Y(r));
            context.fillRect(x, y, Math.floor(X(t + 1)) - x, Math.floor(Y(r + 1)) - y);
          }
        }
      },
      hover: (x, y) => [`${data.rows[Math.floor(y)]}, timestep ${Math.floor(x)}`, `${number(values[Math.floor(x) * rows + Math.floor(y)])} ${name}`] });
    set(name);
    stage.append(el("h3", { text: "By timestep" }), el("div", { class: "tools" },
      TALON.select("Shade by", phases.map(([n]) => [n, n]), (chosen) => { set(chosen); grid.redraw(); }), scale), place);
  }
};
