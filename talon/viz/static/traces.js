// Potentials over time: a line a neuron, least and most where timesteps share a pixel.
TALON.views.traces = (stage, data) => {
  const { el, unpack, number, series } = TALON;
  const traces = data.traces.map((trace, k) => ({ ...trace, v: unpack(trace.v), shown: k < 4,
    spikes: trace.spikes ? unpack(trace.spikes) : [], color: k }));
  const span = () => {
    let low = Infinity, high = -Infinity;
    for (const trace of traces) {
      if (!trace.shown) continue;
      for (const v of trace.v) { if (v < low) low = v; if (v > high) high = v; }
      if (trace.threshold !== undefined) { low = Math.min(low, trace.threshold); high = Math.max(high, trace.threshold); }
    }
    if (!(high > low)) { low = (Number.isFinite(low) ? low : 0) - 1; high = low + 2; }
    const room = (high - low) * 0.06;
    return { y0: low - room, y1: high + room };
  };
  const full = { x0: 0, x1: Math.max(1, data.n_steps - 1), ...span() };
  const line = (context, trace, { X, Y, view, area }) => {
    const from = Math.max(0, Math.floor(view.x0)), to = Math.min(trace.v.length - 1, Math.ceil(view.x1));
    context.beginPath();
    if (to - from > 2 * area.width) {
      const per = (to - from + 1) / area.width;
      for (let c = 0; c < area.width; c++) {
        let low = Infinity, high = -Infinity;
        for (let t = from + Math.floor(c * per); t < Math.min(to + 1, from + (c + 1) * per); t++) {
          if (trace.v[t] < low) low = trace.v[t];
          if (trace.v[t] > high) high = trace.v[t];
        }
        if (low > high) continue;
        context.moveTo(area.x + c + 0.5, Y(low) + 0.5);
        context.lineTo(area.x + c + 0.5, Y(high) - 0.5);
      }
    } else {
      for (let t = from; t <= to; t++) context.lineTo(X(t), Y(trace.v[t]));
    }
    context.stroke();
  };
  const place = el("div");
  const plot = TALON.plot(place, { full, height: 340, grid: true, left: 70, xLabel: "timestep", yLabel: "potential",
    smallestX: Math.min(5, full.x1), label: `membrane potentials of ${traces.length} neurons`,
    draw: (context, tools) => {
      const { X, Y, view, area } = tools;
      const dots = area.width / (view.x1 - view.x0) > 3;
      for (const trace of traces) {
        if (!trace.shown) continue;
        context.strokeStyle = context.fillStyle = series(trace.color);
        context.lineWidth = 1.5;
        context.lineJoin = "round";
        line(context, trace, tools);
        if (trace.threshold !== undefined) {
          context.setLineDash([5, 4]);
          context.lineWidth = 1;
          context.beginPath();
          context.moveTo(area.x, Y(trace.threshold));
          context.lineTo(area.x + area.width, Y(trace.threshold));
          context.stroke();
          context.setLineDash([]);
        }
        for (const t of trace.spikes) {
          if (t < view.x0 - 1 || t > view.x1 + 1) continue;
          if (dots) {
            context.beginPath();
            context.arc(X(t), Y(trace.v[t]), 3.5, 0, 7);
            context.fill();
          } else context.fillRect(X(t), area.y + 2 + 5 * (trace.color % 8), 1.2, 4);
        }
      }
    },
    hover: (x, y) => {
      const t = Math.round(x);
      const near = traces.filter((trace) => trace.shown && t >= 0 && t < trace.v.length)
        .sort((a, b) => Math.abs(a.v[t] - y) - Math.abs(b.v[t] - y)).slice(0, 4);
      return near.length ? [`timestep ${number(t)}`, ...near.map((trace) =>
        `${trace.population} ${trace.neuron}: ${number(trace.v[t])}${trace.spikes.includes(t) ? ", fired" : ""}`)] : null;
    } });
  const chips = traces.map((trace, k) => {
    const swatch = el("i");
    const paint = () => { swatch.style.background = series(k); };
    paint();
    TALON.onTheme(paint);
    const box = el("input", { type: "checkbox", onchange: () => { trace.shown = box.checked; plot.setFull(span()); } });
    box.checked = trace.shown;
    return el("label", { class: "key chip" }, box, swatch, `${trace.population} ${trace.neuron}`
      + (trace.spikes.length ? ` (${number(trace.spikes.length)})` : ""));
  });
  const all = (value) => {
    traces.forEach((trace) => { trace.shown = value; });
    chips.forEach((chip) => { chip.querySelector("input").checked = value; });
    plot.setFull(span());
  };
  stage.append(el("div", { class: "tools" }, TALON.button("All", "Show all neurons", () => all(true)),
    TALON.button("None", "Show no neuron", () => all(false)), el("span", { class: "push" }), ...plot.buttons()),
    place, el("div", { class: "keys" }, ...chips),
    el("p", { class: "soft", text: "In brackets: spikes. Potentials are those stored after a timestep; dashed lines are thresholds, dots spikes (ticks at the top where there is no room). Wheel, + and − zoom in time, Shift and wheel in potential." }));
};
