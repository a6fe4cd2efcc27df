// Events of a camera: those of a window up to the time at hand, brighter and darker.
TALON.views.player = (stage, data) => {
  const { el, unpack, number, color, mix } = TALON;
  const t = unpack(data.t), low = unpack(data.low), high = unpack(data.high);
  const { width, height } = data, last = Math.max(1, data.last);
  const BINS = 400;
  const rates = new Array(BINS).fill(0);
  for (let i = 0; i < t.length; i++) rates[Math.min(BINS - 1, Math.floor((t[i] / last) * BINS))]++;
  let now = Math.min(last, data.window), span = data.window, speed = 1, playing = false, before = 0;
  const ms = (us) => `${number(Number((us / 1000).toPrecision(5)))} ms`;
  const grow = Math.max(1, Math.min(Math.floor(720 / width), Math.floor(480 / height)));
  const picture = el("canvas", { width, height, class: "film", role: "img", tabindex: "0",
    "aria-label": `events on ${width} x ${height} pixels; space plays and pauses` });
  picture.style.width = `${width * grow}px`;
  picture.style.height = `${height * grow}px`;
  const at = (time) => { // the first event that is not before
    let from = 0, to = t.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (t[middle] < time) from = middle + 1; else to = middle;
    }
    return from;
  };
  const on = new Uint16Array(width * height), off = new Uint16Array(width * height);
  const rgb = (text) => (text.startsWith("#") ? [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16))
    : text.match(/\d+/g).slice(0, 3).map(Number));
  const told = el("span", { class: "soft", role: "status" });
  const draw = () => {
    const from = at(now - span), to = now >= last ? t.length : at(now);
    on.fill(0);
    off.fill(0);
    for (let i = from; i < to; i++) {
      const address = low[i] + high[i] * 65536;
      (address & 1 ? on : off)[address >> 1]++;
    }
    const context = picture.getContext("2d");
    const image = context.createImageData(width, height);
    const ground = color("ground"), shades = {};
    for (const name of ["s0", "s1"]) {
      shades[name] = [0, 0.55, 0.8, 1].map((share) => rgb(mix(ground, color(name), share)));
    }
    for (let k = 0; k < on.length; k++) {
      const more = on[k] >= off[k];
      const [r, g, b] = shades[more ? "s0" : "s1"][Math.min(3, more ? on[k] : off[k])];
      image.data.set([r, g, b, 255], 4 * k);
    }
    context.putImageData(image, 0, 0);
    told.textContent = `${ms(now)} of ${ms(last)}: ${number(to - from)} events in the last ${ms(span)}`;
    scrub.value = now;
    rate.redraw();
  };
  const seek = (time) => { now = Math.min(last, Math.max(0, time)); draw(); };
  const tick = (time) => {
    if (!playing) return;
    const passed = Math.min(100, time - before);
    before = time;
    now += passed * 1000 * speed;
    if (now > last) now = 0;
    draw();
    requestAnimationFrame(tick);
  };
  const play = TALON.button("Play", "Play or pause (space)", () => {
    playing = !playing;
    play.textContent = playing ? "Pause" : "Play";
    before = performance.now();
    if (playing) requestAnimationFrame(tick);
  });
  const scrub = el("input", { type: "range", min: 0, max: last, step: 1, value: now, class: "scrub",
    "aria-label": "time in microseconds", oninput: () => seek(Number(scrub.value)) });
  const windows = [500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 1000000];
  if (!windows.includes(span)) windows.push(span);
  windows.sort((a, b) => a - b);
  const window_ = TALON.select("Window", windows.map((w) => [w, ms(w)]), (value) => { span = Number(value); draw(); });
  window_.querySelector("select").value = span;
  const speeds = TALON.select("Speed", [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5].map((s) => [s, `${s} x`]), (value) => { speed = Number(value); });
  speeds.querySelector("select").value = 1;
  const rateStage = el("div");
  const rate = TALON.plot(rateStage, { full: { x0: 0, x1: last / 1000, y0: 0, y1: Math.max(1, ...rates) }, height: 110, fixedY: true,
    label: "events over time", xLabel: "ms", yLabel: "events", yTicks: (view) => [0, view.y1], press: (x) => seek(x * 1000),
    hover: (x) => [`${ms(x * 1000)}`, `${number(rates[Math.min(BINS - 1, Math.max(0, Math.floor((x * 1000 / last) * BINS)))])} events in ${ms(last / BINS)}`],
    draw: (context, { X, Y, area }) => {
      context.fillStyle = color("accent");
      rates.forEach((n, k) => {
        const x = X((k * last) / BINS / 1000);
        context.fillRect(x, Y(n), X(((k + 1) * last) / BINS / 1000) - x + 0.3, Y(0) - Y(n));
      });
      context.fillStyle = color("s1");
      context.globalAlpha = 0.25;
      context.fillRect(X((now - span) / 1000), area.y, X(now / 1000) - X((now - span) / 1000), area.height);
      context.globalAlpha = 1;
      context.fillRect(X(now / 1000) - 1, area.y, 2, area.height);
    } });
  picture.addEventListener("keydown", (event) => {
    const keys = { " ": () => play.click(), ArrowRight: () => seek(now + span), ArrowLeft: () => seek(now - span) };
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * height);
    const k = y * width + x;
    if (k >= 0 && k < on.length) TALON.showTip(event, `x ${x}, y ${y}`, `${on[k]} brighter, ${off[k]} darker`);
  });
  picture.addEventListener("pointerleave", TALON.hideTip);
  const key = (name, text) => {
    const swatch = el("i");
    const paint = () => { swatch.style.background = color(name); };
    paint();
    TALON.onTheme(paint);
    return el("span", { class: "key" }, swatch, text);
  };
  stage.append(el("div", { class: "tools" }, play, window_, speeds, told), el("div", { class: "screen" }, picture), scrub, rateStage,
    el("div", { class: "keys" }, key("s0", "brighter (p 1)"), key("s1", "darker (p 0)"),
      el("span", { class: "key", text: "stronger: 1, 2, 3 and more events of a pixel in the window; the time begins with the first event" })));
  TALON.onTheme(draw);
  draw();
};
