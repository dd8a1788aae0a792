// A picture; left of an upright line perhaps a second one; over them perhaps the cells of a region. The line is moved
// here alone, without Python. Mouse, touch and keys change the region; Python gets it after each stroke, and not before
// it has answered to the last one.

const DRAWING = "Region of interest. Draw with mouse or finger; with keys: arrows move, space draws, b box, p paint, e erase, c clear.";
const WIPING = "Two pictures, one left and one right of a line. Drag the line; with keys: left, right, home, end.";
const REACH = 10; // pixels beside the line that grab it

function render({ model, el }) {
  const CELL = model.get("cell");
  const canvas = document.createElement("canvas");
  canvas.className = "plic-canvas";
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  el.appendChild(canvas);
  const context = canvas.getContext("2d");
  let picture = null, left = null; // ImageBitmaps
  let line = model.get("position"), wiping = false; // where the line stands, 0 to 1; whether it is being dragged

  let cells; // Uint8Array, one a cell, row by row
  let drawing = false, corner = null; // corner: where a box began, [column, row]
  let cursor = [0, 0], keys = false; // the cell that the keys act on; keys: it is shown
  let busy = false, waiting = false, timer;

  const rows = () => Math.ceil(model.get("height") / CELL);
  const columns = () => Math.ceil(model.get("width") / CELL);

  function readMask() {
    const view = model.get("mask");
    cells = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
  }

  function send() {
    if (busy) { waiting = true; return; }
    busy = true;
    clearTimeout(timer);
    timer = setTimeout(answered, 10000); // a kernel that was restarted never answers
    model.set("mask", new DataView(cells.slice().buffer));
    model.set("stroke", model.get("stroke") + 1);
    model.save_changes();
  }

  function answered() {
    busy = false;
    if (waiting) { waiting = false; send(); }
  }

  function boxed(from, to) {
    const result = cells.slice();
    for (let y = Math.min(from[1], to[1]); y <= Math.max(from[1], to[1]); y++)
      for (let x = Math.min(from[0], to[0]); x <= Math.max(from[0], to[0]); x++) result[y * columns() + x] = 1;
    return result;
  }

  function brush(x, y) { // in pixels of the picture
    const radius = model.get("brush") / 2, value = model.get("mode") === "erase" ? 0 : 1;
    for (let row = 0; row < rows(); row++)
      for (let column = 0; column < columns(); column++) {
        const inside = Math.floor(x / CELL) === column && Math.floor(y / CELL) === row;
        const distance = Math.hypot((column + 0.5) * CELL - x, (row + 0.5) * CELL - y);
        if (inside || distance <= radius) cells[row * columns() + column] = value;
      }
  }

  function draw() {
    const width = model.get("width"), height = model.get("height");
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    context.clearRect(0, 0, width, height);
    if (picture) context.drawImage(picture, 0, 0, width, height);
    const at_line = Math.round(line * width);
    if (left && at_line > 0) context.drawImage(left, 0, 0, at_line, height, 0, 0, at_line, height);
    const shown = corner ? boxed(corner, cursor) : cells;
    const at = (x, y) => x >= 0 && y >= 0 && x < columns() && y < rows() && shown[y * columns() + x];
    const edges = new Path2D();
    for (let y = 0; y < rows(); y++)
      for (let x = 0; x < columns(); x++) {
        if (!at(x, y)) continue;
        const edge = (x0, y0, x1, y1) => { edges.moveTo(x0 * CELL, y0 * CELL); edges.lineTo(x1 * CELL, y1 * CELL); };
        if (!at(x, y - 1)) edge(x, y, x + 1, y);
        if (!at(x, y + 1)) edge(x, y + 1, x + 1, y + 1);
        if (!at(x - 1, y)) edge(x, y, x, y + 1);
        if (!at(x + 1, y)) edge(x + 1, y, x + 1, y + 1);
      }
    context.lineWidth = 4; context.strokeStyle = "#000000"; context.stroke(edges);
    context.lineWidth = 2; context.strokeStyle = "#E69F00"; context.stroke(edges);
    if (keys) {
      context.lineWidth = 2; context.strokeStyle = "#56B4E9";
      context.strokeRect(cursor[0] * CELL + 1, cursor[1] * CELL + 1, CELL - 2, CELL - 2);
    }
    if (left) drawLine(at_line, width, height);
    canvas.setAttribute("aria-label", model.get("mode") === "wipe" ? WIPING : DRAWING);
    canvas.style.cursor = model.get("mode") === "wipe" ? "ew-resize" : "crosshair";
  }

  function drawLine(x, width, height) {
    context.fillStyle = "#000000"; context.fillRect(x - 2, 0, 4, height);
    context.fillStyle = "#FFFFFF"; context.fillRect(x - 1, 0, 2, height);
    context.beginPath(); context.arc(x, height / 2, 9, 0, 2 * Math.PI); context.fill();
    context.lineWidth = 2; context.strokeStyle = "#000000"; context.stroke();
    context.font = "13px sans-serif"; context.textBaseline = "middle";
    const [name, other] = model.get("names");
    for (const [text, start, room] of [[name, 0, x], [other, null, width - x]]) {
      const wide = context.measureText(text).width + 12;
      if (!text || wide + 16 > room) continue; // no room for a name
      const from = start === null ? width - wide - 4 : 4;
      context.fillStyle = "rgba(0, 0, 0, 0.65)"; context.fillRect(from, 4, wide, 22);
      context.fillStyle = "#FFFFFF"; context.fillText(text, from + 6, 15);
    }
  }

  function moveLine(to) {
    line = clamp(to, 1);
    draw();
  }

  function keepLine() {
    model.set("position", line);
    model.save_changes();
  }

  const clamp = (v, top) => Math.max(0, Math.min(top, v));
  function position(event) {
    const box = canvas.getBoundingClientRect(); // whatever the zoom
    const x = clamp(((event.clientX - box.left) / box.width) * canvas.width, canvas.width - 1);
    const y = clamp(((event.clientY - box.top) / box.height) * canvas.height, canvas.height - 1);
    cursor = [Math.floor(x / CELL), Math.floor(y / CELL)];
    return [x, y];
  }

  function stroke(event) {
    const [x, y] = position(event);
    if (model.get("mode") !== "box") brush(x, y);
    draw();
  }

  canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    keys = false;
    const [x] = position(event);
    wiping = model.get("mode") === "wipe" || (left !== null && Math.abs(x - line * canvas.width) <= REACH);
    if (wiping) { moveLine(x / canvas.width); return; }
    drawing = true;
    if (model.get("mode") === "box") corner = cursor;
    stroke(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (wiping) moveLine(position(event)[0] / (canvas.width - 1));
    else if (drawing) stroke(event);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (wiping) { wiping = false; keepLine(); return; }
    if (!drawing) return;
    stroke(event);
    drawing = false;
    if (corner) { cells = boxed(corner, cursor); corner = null; }
    draw();
    send();
  });
  canvas.addEventListener("pointercancel", () => { drawing = wiping = false; corner = null; readMask(); draw(); });

  function lineKey(key) { // whether it was one of the line's
    const to = { ArrowLeft: line - 0.02, ArrowRight: line + 0.02, Home: 0, End: 1 }[key];
    if (to === undefined) return false;
    moveLine(to); keepLine();
    return true;
  }

  function drawingKey(key) { // whether it was one of drawing's
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    const mode = { b: "box", p: "paint", e: "erase" }[key];
    if (step) {
      cursor = [clamp(cursor[0] + step[0], columns() - 1), clamp(cursor[1] + step[1], rows() - 1)];
    } else if (mode) {
      corner = null;
      model.set("mode", mode); model.save_changes();
    } else if (key === "c") {
      cells.fill(0); send();
    } else if (key === "Escape") {
      corner = null;
    } else if (key === " " || key === "Enter") {
      if (model.get("mode") !== "box") { brush((cursor[0] + 0.5) * CELL, (cursor[1] + 0.5) * CELL); send(); }
      else if (!corner) corner = cursor;
      else { cells = boxed(corner, cursor); corner = null; send(); }
    } else return false;
    keys = true;
    return true;
  }

  canvas.addEventListener("keydown", (event) => {
    const used = model.get("mode") === "wipe" ? lineKey(event.key) : drawingKey(event.key);
    if (!used) return; // the notebook's own keys, Tab among them
    event.preventDefault(); event.stopPropagation();
    draw();
  });
  canvas.addEventListener("blur", () => { keys = false; draw(); });

  let newest = 0; // of several pictures on their way, the last one counts
  async function showPictures() {
    const mine = ++newest;
    const bitmap = async (view) => (view.byteLength ? createImageBitmap(new Blob([view], { type: "image/png" })) : null);
    const both = await Promise.all([bitmap(model.get("picture")), bitmap(model.get("left"))]);
    if (mine !== newest) return;
    [picture, left] = both; // both at once: never one of a new pair beside one of an old
    draw();
  }

  model.on("change:picture change:left", showPictures);
  model.on("change:mode change:names", draw);
  model.on("change:position", () => { if (!wiping) { line = model.get("position"); draw(); } });
  model.on("change:mask", () => { if (!drawing && !waiting) { readMask(); draw(); } });
  model.on("change:answered", answered);
  readMask();
  showPictures();
  draw();
  return () => clearTimeout(timer);
}

export default { render };
