// The mesh: cores shaded by a resource or a load, links by traffic; a core that is chosen shows its routes.
TALON.views.mapping = (stage, data) => {
  const { el, svg, number, ramp } = TALON;
  const HOST = -1;
  const large = data.columns * data.rows > 64;
  const tile = large ? 40 : 78, gap = large ? 12 : 22, left = 62, top = 12;
  const pitch = tile + gap;
  const resources = [...new Set(data.cores.flatMap((c) => Object.keys(c.resources)))];
  const loads = [...new Set(data.cores.flatMap((c) => Object.keys(c.loads)))];
  const byCore = new Map(data.cores.map((c) => [c.core, c]));
  const center = (core) => core === HOST ? [24, top + tile / 2]
    : [left + (core % data.columns) * pitch + tile / 2, top + Math.floor(core / data.columns) * pitch + tile / 2];
  const traffic = new Map(); // by "from,to"
  for (const route of data.routes) {
    for (const [a, b] of route.links) {
      const key = `${a},${b}`;
      traffic.set(key, (traffic.get(key) || 0) + route.packets);
    }
  }
  const heaviest = Math.max(1e-9, ...traffic.values());
  const sent = new Map(), heard = new Map();
  for (const route of data.routes) {
    sent.set(route.source, (sent.get(route.source) || 0) + route.packets);
    for (const target of route.targets) heard.set(target, (heard.get(target) || 0) + route.packets);
  }
  const measures = [["fullest", "fullest resource"], ...resources.map((r) => [`r:${r}`, r]),
    ...loads.map((l) => [`l:${l}`, l]), ...(data.routes.length ? [["sent", `${data.unit} sent`], ["heard", `${data.unit} taken`]] : [])];
  const share = (pair) => (pair && pair[1] ? pair[0] / pair[1] : 0);
  const raw = (core, measure) => {
    if (measure === "fullest") return Math.max(0, ...Object.values(core.resources).map(share));
    if (measure === "sent") return sent.get(core.core) || 0;
    if (measure === "heard") return heard.get(core.core) || 0;
    return measure[0] === "r" ? share(core.resources[measure.slice(2)]) : core.loads[measure.slice(2)] || 0;
  };
  const isShare = (measure) => measure === "fullest" || measure.startsWith("r:");
  let measure = "fullest", chosen = null;

  const width = left + data.columns * pitch - gap + 12, height = top + data.rows * pitch - gap + 12;
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group",
    "aria-label": `${data.columns} x ${data.rows} cores, ${data.cores.length} used` });
  const under = svg("g"), above = svg("g");
  const side = (a, b) => { // each direction has its own side of the line
    const [x0, y0] = center(a), [x1, y1] = center(b);
    const dx = Math.sign(x1 - x0), dy = Math.sign(y1 - y0), off = large ? 3 : 5;
    const reach = (core) => (core === HOST ? 22 : tile / 2);
    return [x0 + dx * reach(a) - dy * off, y0 + dy * reach(a) + dx * off,
      x1 - dx * reach(b) - dy * off, y1 - dy * reach(b) + dx * off];
  };
  for (let core = 0; core < data.columns * data.rows; core++) {
    for (const next of [(core + 1) % data.columns ? core + 1 : -2, core + data.columns]) {
      if (next < 0 || next >= data.columns * data.rows) continue;
      const [[x0, y0], [x1, y1]] = [center(core), center(next)];
      under.append(svg("line", { x1: x0, y1: y0, x2: x1, y2: y1, class: "link" }));
    }
  }
  under.append(svg("line", { x1: 24, y1: top + tile / 2, x2: left + tile / 2, y2: top + tile / 2, class: "link" }));
  const links = [...traffic].map(([key, packets]) => {
    const [a, b] = key.split(",").map(Number);
    const [x0, y0, x1, y1] = side(a, b);
    const dx = Math.sign(x1 - x0), dy = Math.sign(y1 - y0), w = large ? 2.5 : 4;
    const line = svg("path", { class: "traffic", "data-link": key,
      d: `M${x0} ${y0}L${x1} ${y1}m${-w * dx - w * dy} ${-w * dy + w * dx}l${w * dx + w * dy} ${w * dy - w * dx}l${-w * dx + w * dy} ${-w * dy - w * dx}` });
    const name = (core) => (core === HOST ? "host" : `core ${core}`);
    line.addEventListener("pointermove", (event) => TALON.showTip(event, `${name(a)} to ${name(b)}`,
      `${number(packets)} ${data.unit}`, `${number((100 * packets) / heaviest)} % of the busiest link`));
    line.addEventListener("pointerleave", TALON.hideTip);
    above.append(line);
    return { line, key, packets };
  });
  drawing.append(under);
  const tiles = new Map();
  for (let core = 0; core < data.columns * data.rows; core++) {
    const [cx, cy] = center(core), x = cx - tile / 2, y = cy - tile / 2;
    const used = byCore.get(core);
    const box = svg("rect", { x, y, width: tile, height: tile, rx: large ? 5 : 8, class: used ? "tile used" : "tile" });
    const label = svg("text", { x: x + 7, y: y + (large ? 14 : 17), class: used ? "strong" : "tick", text: core });
    const value = svg("text", { x: cx, y: cy + (large ? 10 : 14), class: "value", "text-anchor": "middle" });
    const group = svg("g", { class: "core-tile", "data-core": core }, box, label, value);
    if (used) {
      group.setAttribute("tabindex", "0");
      group.setAttribute("role", "button");
      group.setAttribute("aria-label", `core ${core}: ${used.holds.join(", ")}`);
      group.addEventListener("click", () => choose(core));
      group.addEventListener("keydown", (event) => {
        const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: data.columns, ArrowUp: -data.columns };
        if (event.key in moves) {
          for (let next = core + moves[event.key]; next >= 0 && next < data.columns * data.rows; next += moves[event.key]) {
            if (byCore.has(next)) { tiles.get(next).group.focus(); choose(next); break; }
          }
        } else if (event.key === "Enter" || event.key === " ") choose(core);
        else return;
        event.preventDefault();
      });
      group.addEventListener("pointermove", (event) => TALON.showTip(event, `core ${core}`, ...used.holds.slice(0, 4),
        `${measures.find(([m]) => m === measure)[1]}: ${text(used)}`));
      group.addEventListener("pointerleave", TALON.hideTip);
    }
    tiles.set(core, { group, box, label, value, used });
    drawing.append(group);
  }
  drawing.append(svg("g", {}, svg("rect", { x: 2, y: top + tile / 2 - 15, width: 44, height: 30, rx: 6, class: "host" }),
    svg("text", { x: 24, y: top + tile / 2 + 4, "text-anchor": "middle", text: "host" })), above);

  const text = (core) => {
    const value = raw(core, measure);
    if (!isShare(measure)) return number(value);
    const pair = core.resources[measure.slice(2)];
    return measure === "fullest" ? `${Math.round(100 * value)} %` : `${number(pair?.[0])} of ${number(pair?.[1])} (${Math.round(100 * value)} %)`;
  };
  const scale = el("span");
  const paint = () => {
    const most = isShare(measure) ? 1 : Math.max(1e-9, ...data.cores.map((core) => raw(core, measure)));
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    for (const { used, box, label, value } of tiles.values()) {
      if (!used) continue;
      const amount = raw(used, measure) / most;
      box.style.fill = ramp(amount);
      const flip = dark ? amount > 0.7 : amount > 0.62;
      for (const mark of [label, value]) mark.style.fill = flip ? (dark ? "#10181a" : "#fff") : "";
      const number_ = raw(used, measure);
      value.textContent = isShare(measure) ? `${Math.round(100 * number_)} %` : short(number_);
    }
    const routes = chosen === null ? data.routes : data.routes.filter((r) => r.source === chosen || r.targets.includes(chosen));
    const active = new Map();
    for (const route of routes) for (const [a, b] of route.links) {
      active.set(`${a},${b}`, (active.get(`${a},${b}`) || 0) + route.packets);
    }
    for (const { line, key } of links) {
      const amount = active.get(key) || 0;
      line.style.display = amount ? "" : "none";
      line.style.strokeWidth = 1.2 + (large ? 2.2 : 3.6) * (amount / heaviest);
      line.style.strokeOpacity = 0.45 + 0.55 * (amount / heaviest);
    }
    scale.replaceChildren(TALON.rampBar("0", isShare(measure) ? "100 %" : short(most), isShare(measure) ? "used" : ""));
  };
  const short = (value) => (value >= 1e6 ? `${number(Number((value / 1e6).toPrecision(3)))} M`
    : value >= 1e4 ? `${number(Number((value / 1e3).toPrecision(3)))} k` : number(Number(value.toPrecision(3))));
  const details = el("div", { class: "core-details", "aria-live": "polite" });
  const overview = () => {
    const hops = data.routes.map((r) => r.hops);
    const packets = data.routes.reduce((sum, r) => sum + r.packets, 0);
    const crossed = data.routes.reduce((sum, r) => sum + r.packets * r.hops, 0);
    const rows = [["cores in use", `${data.cores.length} of ${data.columns * data.rows}`]];
    if (data.routes.length) rows.push([data.unit, number(packets)], ["links crossed by them", number(crossed)],
      ["mean hops", number(packets ? crossed / packets : 0)], ["most hops of a route", number(Math.max(0, ...hops))],
      ["busiest link", traffic.size ? number(heaviest) : "–"]);
    for (const [name, value] of Object.entries(data.facts)) rows.push([name, value]);
    details.replaceChildren(el("table", {}, ...rows.map(([a, b]) => el("tr", {}, el("td", { class: "soft", text: a }),
      el("td", { class: "n", text: b })))), el("p", { class: "soft", text: "Choose a core to see what it holds, and its routes alone." }));
  };
  const bar = (used, there) => {
    const part = el("i");
    part.style.width = `${Math.min(100, 100 * share([used, there]))}%`;
    return el("span", { class: share([used, there]) > 0.9 ? "meter full" : "meter" }, part);
  };
  const choose = (core) => {
    chosen = chosen === core ? null : core;
    for (const [k, { group }] of tiles) group.classList.toggle("chosen", k === chosen);
    paint();
    if (chosen === null) { overview(); return; }
    const used = byCore.get(core);
    const name = (k) => (k === HOST ? "host" : k);
    const out = data.routes.filter((r) => r.source === core), into = data.routes.filter((r) => r.targets.includes(core));
    details.replaceChildren(el("h3", { text: `Core ${core}, column ${used.x}, row ${used.y}` }),
      ...used.holds.map((line) => el("p", { class: "holds", text: line })),
      el("table", {}, ...Object.entries(used.resources).map(([key, [a, b]]) => el("tr", {}, el("td", { class: "soft", text: key }),
        el("td", {}, bar(a, b)), el("td", { class: "n", text: `${number(a)} / ${number(b)}` }))),
        ...Object.entries(used.loads).map(([key, value]) => el("tr", {}, el("td", { class: "soft", text: key }), el("td"),
          el("td", { class: "n", text: number(value) })))),
      ...(out.length ? [el("p", { class: "soft" }, `sends: ${out.slice(0, 12).map((r) =>
        `${r.kind} to ${r.targets.map(name).join(", ")} (${number(r.packets)}, ${r.hops} hops)`).join("; ")}`)] : []),
      ...(into.length ? [el("p", { class: "soft", text: `takes from ${[...new Set(into.map((r) => name(r.source)))].join(", ")}` })] : []));
  };
  const table = el("details", {}, el("summary", { text: "All cores as a table" }), el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, ...["core", "holds", ...resources, ...loads].map((text) => el("th", { text })))),
    el("tbody", {}, ...data.cores.map((core) => el("tr", { class: "core-row" }, el("td", { text: core.core }),
      el("td", { text: core.holds.join(", ") }), ...resources.map((r) => el("td", {}, ...(core.resources[r]
        ? [bar(...core.resources[r]), el("span", { class: "soft", text: ` ${number(core.resources[r][0])} / ${number(core.resources[r][1])}` })] : []))),
      ...loads.map((l) => el("td", { class: "n", text: number(core.loads[l]) }))))))));
  stage.append(el("div", { class: "tools" }, TALON.select("Shade by", measures, (value) => { measure = value; paint(); }), scale,
    data.routes.length ? el("span", { class: "key", text: `lines: ${data.unit} on a link, wider is more (most ${short(heaviest)})` }) : null),
    el("div", { class: "mesh-pair" }, el("div", { class: "scroll" }, drawing), details), table);
  overview();
  paint();
  TALON.onTheme(paint);
};
