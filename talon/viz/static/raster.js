// Spikes over time: single marks where there is room, shades by number where there is not.
TALON.views.raster = (stage, data) => {
  const { el, unpack, number, series } = TALON;
  const cells = data.populations.reduce((sum, p) => sum + p.n, 0);
  const keys = unpack(data.spikes);
  const step = new Uint32Array(keys.length), line = new Uint32Array(keys.length);
  const first = new Uint32Array(data.n_steps + 1); // where each timestep begins
  for (let i = 0; i < keys.length; i++) {
    step[i] = Math.floor(keys[i] / cells);
    line[i] = keys[i] - step[i] * cells;
    first[step[i] + 1]++;
  }
  for (let t = 0; t < data.n_steps; t++) first[t + 1] += first[t];
  const starts = [];
  data.populations.reduce((sum, p) => { starts.push(sum); return sum + p.n; }, 0);
  const owner = (n) => {
    let low = 0, high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= n) low = middle; else high = middle - 1;
    }
    return low;
  };
  const full = { x0: 0, x1: data.n_steps, y0: 0, y1: cells };
  const rates = [];
  const countRates = () => {
    const whole = full.y0 === 0 && full.y1 === cells;
    rates.length = 0;
    for (let t = 0; t < data.n_steps; t++) {
      let n = first[t + 1] - first[t];
      if (!whole) {
        n = 0;
        for (let i = first[t]; i < first[t + 1]; i++) n += line[i] >= full.y0 && line[i] < full.y1;
      }
      rates.push(n);
    }
  };
  countRates();
  const tall = Math.min(460, Math.max(150, cells * 9));
  const shown = el("span", { class: "soft", role: "status" });

  const range = (view) => [first[Math.max(0, Math.floor(view.x0))],
    first[Math.min(data.n_steps, Math.ceil(view.x1))]];
  const marks = (context, { X, Y, view, area }, from, to) => {
    const wide = area.width / (view.x1 - view.x0), high = area.height / (view.y1 - view.y0);
    const width = Math.max(1, wide * 0.8), height = Math.max(1, high * 0.8);
    let color = -1;
    for (let i = from; i < to; i++) {
      const n = line[i];
      if (n + 1 < view.y0 || n > view.y1) continue;
      const of = owner(n);
      if (of !== color) { context.fillStyle = series(of); color = of; }
      context.fillRect(X(step[i]) + wide * 0.1, Y(n) + high * 0.1, width, height);
    }
  };
  const shades = (context, { Y, view, area, ratio }, from, to) => {
    const width = Math.max(1, Math.round(area.width * ratio));
    const height = Math.max(1, Math.round(area.height * ratio));
    const counts = new Uint32Array(width * height);
    const sx = width / (view.x1 - view.x0), sy = height / (view.y1 - view.y0);
    let most = 1;
    for (let i = from; i < to; i++) {
      const x = Math.floor((step[i] - view.x0) * sx), y = Math.floor((line[i] - view.y0) * sy);
      const right = Math.max(x + 1, Math.floor((step[i] + 1 - view.x0) * sx));
      const bottom = Math.max(y + 1, Math.floor((line[i] + 1 - view.y0) * sy));
      for (let v = Math.max(0, y); v < Math.min(height, bottom); v++) {
        for (let u = Math.max(0, x); u < Math.min(width, right); u++) {
          const count = ++counts[v * width + u];
          if (count > most) most = count;
        }
      }
    }
    const image = context.createImageData(width, height);
    const words = new Uint32Array(image.data.buffer);
    const scale = 1 / Math.log(1 + most);
    for (let v = 0; v < height; v++) {
      const of = owner(Math.min(cells - 1, Math.max(0, Math.floor(view.y0 + v / sy))));
      const hex = series(of);
      const [r, g, b] = [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
      for (let u = 0; u < width; u++) {
        const count = counts[v * width + u];
        if (!count) continue;
        const alpha = 75 + Math.round(180 * Math.log(1 + count) * scale);
        words[v * width + u] = ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
      }
    }
    const layer = new OffscreenCanvas(width, height);
    layer.getContext("2d").putImageData(image, 0, 0);
    context.drawImage(layer, area.x, area.y, area.width, area.height);
  };
  const draw = (context, tools) => {
    const { Y, view, area } = tools;
    const [from, to] = range(view);
    const room = area.width / (view.x1 - view.x0) >= 2 && area.height / (view.y1 - view.y0) >= 2;
    if (room && to - from < 30000) marks(context, tools, from, to);
    else shades(context, tools, from, to);
    context.strokeStyle = TALON.color("soft");
    context.setLineDash([4, 3]);
    for (const start of starts.slice(1)) {
      const at = Math.round(Y(start)) + 0.5;
      context.beginPath();
      context.moveTo(area.x, at);
      context.lineTo(area.x + area.width, at);
      context.stroke();
    }
    context.setLineDash([]);
    shown.textContent = `timesteps ${number(Math.floor(view.x0))} to ${number(Math.ceil(view.x1) - 1)}: `
      + `${number(to - from)} of ${number(keys.length)} spikes`;
  };
  const hover = (x, y, { view, area }) => {
    const t = Math.floor(x), n = Math.floor(y);
    if (t < 0 || t >= data.n_steps || n < 0 || n >= cells) return null;
    const of = owner(n), name = data.populations[of].name;
    const rows = (view.y1 - view.y0) / area.height, columns = (view.x1 - view.x0) / area.width;
    const reach = [Math.max(1, Math.ceil(columns * 3)), Math.max(1, Math.ceil(rows * 3))];
    let count = 0;
    for (let i = first[t]; i < first[Math.min(data.n_steps, t + reach[0])]; i++) {
      count += line[i] >= n && line[i] < n + reach[1];
    }
    const here = reach[0] * reach[1] === 1 ? (count ? "spike" : "silent") : `${number(count)} spikes here`;
    return [`${name}, neuron ${number(n - starts[of])}`, `timestep ${number(t)}: ${here}`];
  };
  const rateStage = el("div"), rasterStage = el("div");
  const rateFull = { x0: 0, x1: data.n_steps, y0: 0, y1: TALON.most(rates, 1) };
  const rate = TALON.plot(rateStage, { full: rateFull, height: 84, bare: true, fixedY: true,
    label: "spikes in each timestep", yLabel: "spikes", yTicks: (view) => [0, view.y1],
    hover: (x) => [`timestep ${number(Math.floor(x))}`, `${number(rates[Math.floor(x)] || 0)} spikes`],
    draw: (context, { X, Y, view, area }) => {
      context.fillStyle = TALON.color("accent");
      const columns = Math.ceil(area.width), per = (view.x1 - view.x0) / columns;
      if (per > 1) { // the most of each column
        for (let c = 0; c < columns; c++) {
          const from = Math.floor(view.x0 + c * per), to = Math.max(from + 1, Math.floor(view.x0 + (c + 1) * per));
          let most = 0;
          for (let t = from; t < Math.min(to, data.n_steps); t++) most = Math.max(most, rates[t]);
          context.fillRect(area.x + c, Y(most), 1, Y(0) - Y(most));
        }
        return;
      }
      for (let t = Math.floor(view.x0); t < Math.min(data.n_steps, view.x1); t++) {
        const left = X(t), width = X(t + 1) - left, gap = width > 6 ? width * 0.08 : 0;
        context.fillRect(left + gap, Y(rates[t]), width - 2 * gap + (gap ? 0 : 0.5), Y(0) - Y(rates[t]));
      }
    } });
  const raster = TALON.plot(rasterStage, { full, height: tall, down: true, smallestX: Math.min(5, data.n_steps),
    smallestY: Math.min(5, cells), label: `${keys.length} spikes of ${cells} neurons`,
    xLabel: "timestep", yLabel: "neuron", draw, hover,
    yTicks: (view) => TALON.ticks(view.y0, view.y1, tall / 45).filter((y) => Number.isInteger(y)) });
  raster.onLook((view) => rate.look({ x0: view.x0, x1: view.x1 }, true));
  rate.onLook((view) => raster.look({ x0: view.x0, x1: view.x1 }, true));
  const choice = data.populations.length > 1 ? TALON.select("Population",
    [["", "all"], ...data.populations.map((p, k) => [String(k), p.name])], (value) => {
      const one = value === "" ? { y0: 0, y1: cells }
        : { y0: starts[value], y1: starts[value] + data.populations[value].n };
      Object.assign(full, one);
      countRates();
      rate.setFull({ y1: TALON.most(rates, 1) });
      Object.assign(rate.view, { y1: TALON.most(rates, 1) });
      raster.setFull(one);
    }) : null;
  stage.append(el("div", { class: "tools" }, choice, shown, el("span", { class: "push" }), ...raster.buttons()),
    rateStage, rasterStage,
    el("div", { class: "keys" }, ...data.populations.map((p, k) => {
      const swatch = el("i");
      const paint = () => { swatch.style.background = series(k); };
      paint();
      TALON.onTheme(paint);
      return el("span", { class: "key" }, swatch, `${p.name}: ${number(p.n)} neurons, ${number(p.spikes)} spikes`);
    }), el("span", { class: "key", text: "where spikes share a pixel, stronger means more (logarithm)" })),
    el("p", { class: "soft", text: "Wheel or + and − zoom in time, with Shift (keys: Alt) in neurons; drag or arrow keys move; 0 or a double click shows all." }));
};
