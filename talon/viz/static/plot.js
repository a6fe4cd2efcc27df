// Axes to look through: drag to move, wheel or keys to zoom; the caller draws what is inside.
TALON.plot = (place, options) => {
  const LEFT = options.left ?? 58, RIGHT = 22, TOP = 8, BOTTOM = options.bare ? 6 : 36;
  const { full } = options;
  const view = { ...full };
  const listeners = [];
  const area = { x: LEFT, y: TOP, width: 1, height: 1 };
  const X = (x) => area.x + ((x - view.x0) / (view.x1 - view.x0)) * area.width;
  const Y = (y) => {
    const share = (y - view.y0) / (view.y1 - view.y0);
    return area.y + (options.down ? share : 1 - share) * area.height;
  };
  const toX = (px) => view.x0 + ((px - area.x) / area.width) * (view.x1 - view.x0);
  const toY = (py) => {
    const share = (py - area.y) / area.height;
    return view.y0 + (options.down ? share : 1 - share) * (view.y1 - view.y0);
  };
  const axes = (context) => {
    const [ink, soft, edge] = ["ink", "soft", "edge"].map(TALON.color);
    context.fillStyle = soft;
    context.strokeStyle = edge;
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const y of options.yTicks ? options.yTicks(view) : TALON.ticks(view.y0, view.y1, area.height / 45)) {
      const at = Math.round(Y(y)) + 0.5;
      if (at < area.y - 1 || at > area.y + area.height + 1) continue;
      context.beginPath();
      context.moveTo(area.x - 4, at);
      context.lineTo(options.grid ? area.x + area.width : area.x, at);
      context.stroke();
      context.fillText(options.yName ? options.yName(y) : TALON.number(y), area.x - 7, at);
    }
    if (!options.bare) {
      context.textAlign = "center";
      context.textBaseline = "top";
      for (const x of TALON.ticks(view.x0, view.x1, area.width / 90)) {
        const at = Math.round(X(x)) + 0.5;
        context.beginPath();
        context.moveTo(at, area.y + area.height);
        context.lineTo(at, area.y + area.height + 4);
        context.stroke();
        context.fillText(TALON.number(x), at, area.y + area.height + 6);
      }
      context.fillStyle = ink;
      context.fillText(options.xLabel || "", area.x + area.width / 2, area.y + area.height + 21);
    }
    if (options.yLabel) {
      context.save();
      context.translate(11, area.y + area.height / 2);
      context.rotate(-Math.PI / 2);
      context.fillStyle = ink;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText(options.yLabel, 0, 0);
      context.restore();
    }
    context.strokeStyle = edge;
    context.strokeRect(area.x + 0.5, area.y + 0.5, area.width - 1, area.height - 1);
  };
  const made = TALON.canvas(place, options.height, options.label, (context, width, height, ratio) => {
    area.width = Math.max(1, width - LEFT - RIGHT);
    area.height = Math.max(1, height - TOP - BOTTOM);
    axes(context);
    context.save();
    context.beginPath();
    context.rect(area.x, area.y, area.width, area.height);
    context.clip();
    options.draw(context, { X, Y, view, area, ratio, canvas: made });
    context.restore();
  });
  made.style.cursor = "grab";
  const limit = (low, high, least, most, smallest) => {
    let span = Math.min(Math.max(high - low, smallest), most - least);
    let start = low + (high - low - span) / 2;
    start = Math.min(Math.max(start, least), most - span);
    return [start, start + span];
  };
  const look = (next, quiet) => {
    [view.x0, view.x1] = limit(next.x0 ?? view.x0, next.x1 ?? view.x1, full.x0, full.x1, options.smallestX ?? 1e-9);
    if (!options.fixedY) {
      [view.y0, view.y1] = limit(next.y0 ?? view.y0, next.y1 ?? view.y1, full.y0, full.y1, options.smallestY ?? 1e-9);
    }
    made.redraw();
    if (!quiet) listeners.forEach((listener) => listener(view));
  };
  const zoom = (factor, x, y, which) => {
    const next = {};
    if (which !== "y") { next.x0 = x - (x - view.x0) * factor; next.x1 = x + (view.x1 - x) * factor; }
    if (which !== "x" && !options.fixedY) { next.y0 = y - (y - view.y0) * factor; next.y1 = y + (view.y1 - y) * factor; }
    look(next);
  };
  const fit = () => look({ ...full });
  made.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = made.getBoundingClientRect();
    const delta = event.deltaY || event.deltaX;
    zoom(Math.exp(delta * 0.0015), toX(event.clientX - box.left), toY(event.clientY - box.top),
      event.shiftKey ? "y" : event.altKey ? "both" : "x");
  }, { passive: false });
  let held = null;
  made.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY, view: { ...view } };
    made.setPointerCapture(event.pointerId);
    made.style.cursor = "grabbing";
  });
  made.addEventListener("pointermove", (event) => {
    const box = made.getBoundingClientRect();
    if (held) {
      TALON.hideTip();
      const dx = ((event.clientX - held.x) / area.width) * (held.view.x1 - held.view.x0);
      const dy = ((event.clientY - held.y) / area.height) * (held.view.y1 - held.view.y0) * (options.down ? 1 : -1);
      look({ x0: held.view.x0 - dx, x1: held.view.x1 - dx, y0: held.view.y0 - dy, y1: held.view.y1 - dy });
      return;
    }
    const px = event.clientX - box.left, py = event.clientY - box.top;
    const inside = px >= area.x && px <= area.x + area.width && py >= area.y && py <= area.y + area.height;
    const lines = inside && options.hover ? options.hover(toX(px), toY(py), { view, area }) : null;
    if (lines) TALON.showTip(event, ...lines);
    else TALON.hideTip();
  });
  const release = () => { held = null; made.style.cursor = "grab"; };
  made.addEventListener("pointerup", (event) => {
    if (held && options.press && Math.hypot(event.clientX - held.x, event.clientY - held.y) < 4) {
      const box = made.getBoundingClientRect();
      options.press(toX(event.clientX - box.left), toY(event.clientY - box.top));
    }
    release();
  });
  made.addEventListener("pointercancel", release);
  made.addEventListener("pointerleave", TALON.hideTip);
  made.addEventListener("dblclick", fit);
  made.addEventListener("keydown", (event) => {
    const dx = (view.x1 - view.x0) / 8, dy = ((view.y1 - view.y0) / 8) * (options.down ? 1 : -1);
    const x = (view.x0 + view.x1) / 2, y = (view.y0 + view.y1) / 2;
    const which = event.altKey ? "y" : "x";
    const keys = {
      ArrowLeft: () => look({ x0: view.x0 - dx, x1: view.x1 - dx }),
      ArrowRight: () => look({ x0: view.x0 + dx, x1: view.x1 + dx }),
      ArrowUp: () => look({ y0: view.y0 - dy, y1: view.y1 - dy }),
      ArrowDown: () => look({ y0: view.y0 + dy, y1: view.y1 + dy }),
      "+": () => zoom(0.7, x, y, which), "=": () => zoom(0.7, x, y, which),
      "-": () => zoom(1 / 0.7, x, y, which), 0: fit,
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  const setFull = (next) => { Object.assign(full, next); fit(); };
  return { view, look, fit, zoom, setFull, redraw: made.redraw, paint: made.paint, canvas: made,
    onLook: (listener) => listeners.push(listener),
    buttons: () => [
      TALON.button("−", "Zoom out", () => zoom(1 / 0.7, (view.x0 + view.x1) / 2, (view.y0 + view.y1) / 2, "x")),
      TALON.button("+", "Zoom in", () => zoom(0.7, (view.x0 + view.x1) / 2, (view.y0 + view.y1) / 2, "x")),
      TALON.button("Fit", "Show all", fit)] };
};
