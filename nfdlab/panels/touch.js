// A picture that can be touched: tells Python where a pointer or key is on a plate, in the plate's own coordinates.
// Sent: {kind, area, x, y, px, py, tile}; kind: down, move, up, double, wheel, hover. px, py: the width of a pixel.

const EVERY = 40;                                             // milliseconds between two moves, at least

function render({ model, el }) {
  const picture = document.createElement("div"), cursor = document.createElement("div");
  const tip = document.createElement("div"), save = document.createElement("button");
  picture.tabIndex = 0;
  picture.className = "nfdlab-touch";
  picture.setAttribute("role", "application");
  picture.setAttribute("aria-label", "Picture. Arrow keys move a cross, Enter is a click, Delete removes a point, " +
    "plus and minus look closer and back, digits choose a plot.");
  picture.style.cssText = "position:relative;max-width:920px;user-select:none;-webkit-user-select:none";
  cursor.style.cssText = "position:absolute;display:none;width:17px;height:17px;margin:-9px 0 0 -9px;pointer-events:none;" +
    "background:linear-gradient(#b3261e,#b3261e) center/1px 100% no-repeat,linear-gradient(#b3261e,#b3261e) center/100% 1px no-repeat";
  tip.className = "nfdlab-tip";
  tip.setAttribute("aria-live", "polite");
  tip.style.cssText = "min-height:1.5em;font-size:12.5px;line-height:1.5;white-space:pre-wrap;font-variant-numeric:tabular-nums";
  save.textContent = "Save picture";
  save.title = "Save the picture as an SVG file.";
  save.className = "jupyter-button widget-button nfdlab-save";
  save.style.cssText = "float:right;font-size:12px;padding:2px 8px";
  el.style.maxWidth = "920px";
  el.append(picture, save, tip);

  const show = () => { picture.innerHTML = model.get("value"); picture.append(cursor); };
  const tell = () => { tip.textContent = model.get("tip"); };
  const areas = () => [...picture.querySelectorAll(".nfdlab-area")];
  const under = (e) => areas().find((a) => {
    const r = a.getBoundingClientRect();
    return e.clientX >= r.left && e.clientX <= r.right && e.clientY >= r.top && e.clientY <= r.bottom;
  });

  // shares of an area's width and height -> a message
  function message(kind, area, fx, fy) {
    const r = area.getBoundingClientRect(), n = Math.sqrt(Number(area.dataset.tiles));
    const [left, right, low, high] = area.dataset.window.split(" ").map(Number);
    const inside = (f) => Math.min(Math.max(f, 0), 1 - 1e-9) * n;
    const [column, row] = [Math.floor(inside(fx)), Math.floor(inside(fy))];
    const [sx, sy] = n > 1 ? [inside(fx) - column, inside(fy) - row] : [fx, fy];
    return { kind, area: area.dataset.area, x: left + sx * (right - left), y: high + sy * (low - high),
             px: Math.abs(right - left) * n / r.width, py: Math.abs(high - low) * n / r.height, tile: column + n * row };
  }
  function at(kind, area, e) {
    const r = area.getBoundingClientRect();
    return message(kind, area, (e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height);
  }

  let held = null, waiting = null, timer = null, last = 0;
  function flush() {
    timer = null;
    if (waiting) { last = performance.now(); model.send(waiting); waiting = null; }
  }
  function soon(sent) {                                       // the newest of many moves
    waiting = sent;
    if (!timer) timer = setTimeout(flush, Math.max(0, EVERY - (performance.now() - last)));
  }
  function now(sent) { clearTimeout(timer); flush(); model.send(sent); }

  picture.addEventListener("pointerdown", (e) => {
    const area = under(e);
    if (!area || e.button !== 0) return;
    e.preventDefault();
    picture.focus({ preventScroll: true });
    picture.setPointerCapture(e.pointerId);
    held = area.dataset.area;
    now(at("down", area, e));
  });
  picture.addEventListener("pointermove", (e) => {
    const area = held === null ? under(e) : areas().find((a) => a.dataset.area === held);
    if (area) soon(at(held === null ? "hover" : "move", area, e));
  });
  picture.addEventListener("pointerup", (e) => {
    const area = areas().find((a) => a.dataset.area === held);
    held = null;
    if (area) now(at("up", area, e));
  });
  picture.addEventListener("pointercancel", () => { held = null; });
  picture.addEventListener("dblclick", (e) => { const area = under(e); if (area) now(at("double", area, e)); });
  picture.addEventListener("wheel", (e) => {
    const area = under(e);
    if (!area || (document.activeElement !== picture && !e.ctrlKey)) return;         // a page still scrolls
    e.preventDefault();
    now({ ...at("wheel", area, e), by: e.deltaY < 0 ? 1 : -1 });
  }, { passive: false });

  let key = [0, 0.5, 0.5];                                    // the cross: which area, and shares of its size
  picture.addEventListener("keydown", (e) => {
    const found = areas(), moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!found.length || e.altKey || e.ctrlKey || e.metaKey) return;
    if (/^[1-9]$/.test(e.key)) key[0] = Math.min(Number(e.key), found.length) - 1;
    const area = found[Math.min(key[0], found.length - 1)], [dx, dy] = moves[e.key] || [0, 0];
    const step = e.shiftKey ? 0.1 : 0.02, send = (kind, more) => now({ ...message(kind, area, key[1], key[2]), ...more });
    key = [key[0], Math.min(Math.max(key[1] + step * dx, 0), 1), Math.min(Math.max(key[2] + step * dy, 0), 1)];
    if (e.key === "Enter") { send("down"); send("up"); }
    else if (e.key === "Delete" || e.key === "Backspace") send("double");
    else if (e.key === "+" || e.key === "-") send("wheel", { by: e.key === "+" ? 1 : -1 });
    else if (moves[e.key] || /^[1-9]$/.test(e.key)) soon(message("hover", area, key[1], key[2]));
    else return;
    e.preventDefault();
    e.stopPropagation();                                      // else JupyterLab moves to another cell
    const r = area.getBoundingClientRect(), p = picture.getBoundingClientRect();
    cursor.style.display = "block";
    cursor.style.left = `${r.left - p.left + key[1] * r.width}px`;
    cursor.style.top = `${r.top - p.top + key[2] * r.height}px`;
  });
  picture.addEventListener("blur", () => { cursor.style.display = "none"; });

  save.addEventListener("click", () => {
    const svg = picture.querySelector("svg");
    if (!svg) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" }));
    link.download = `${model.get("name")}.svg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
  model.on("change:value", show);
  model.on("change:tip", tell);
  show();
  tell();
}

export default { render };
