// The picture with the cells of a region over it. Mouse, touch and keys change the region;
// Python gets it after each stroke, and not before it has answered to the last one.

const CELL = 16; // pixels of a latent cell's side

function render({ model, el }) {
  const canvas = document.createElement("canvas");
  canvas.className = "plic-painter";
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute(
    "aria-label",
    "Region of interest. Draw with mouse or finger; with keys: arrows move, space draws, b box, p paint, e erase, c clear."
  );
  el.appendChild(canvas);
  const context = canvas.getContext("2d");
  const picture = new Image();

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
    if (picture.complete && picture.naturalWidth) context.drawImage(picture, 0, 0, width, height);
    const shown = corner ? boxed(corner, cursor) : cells;
    const at = (x, y) => x >= 0 && y >= 0 && x < columns() && y < rows() && shown[y * columns() + x];
    const edges = new Path2D();
    for (let y = 0; y < rows(); y++)
      for (let x = 0; x < columns(); x++) {
        if (!at(x, y)) continue;
        const line = (x0, y0, x1, y1) => { edges.moveTo(x0 * CELL, y0 * CELL); edges.lineTo(x1 * CELL, y1 * CELL); };
        if (!at(x, y - 1)) line(x, y, x + 1, y);
        if (!at(x, y + 1)) line(x, y + 1, x + 1, y + 1);
        if (!at(x - 1, y)) line(x, y, x, y + 1);
        if (!at(x + 1, y)) line(x + 1, y, x + 1, y + 1);
      }
    context.lineWidth = 4; context.strokeStyle = "#000000"; context.stroke(edges);
    context.lineWidth = 2; context.strokeStyle = "#E69F00"; context.stroke(edges);
    if (keys) {
      context.lineWidth = 2; context.strokeStyle = "#56B4E9";
      context.strokeRect(cursor[0] * CELL + 1, cursor[1] * CELL + 1, CELL - 2, CELL - 2);
    }
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
    drawing = true; keys = false;
    position(event);
    if (model.get("mode") === "box") corner = cursor;
    stroke(event);
  });
  canvas.addEventListener("pointermove", (event) => { if (drawing) stroke(event); });
  function finish(event) {
    if (!drawing) return;
    stroke(event);
    drawing = false;
    if (corner) { cells = boxed(corner, cursor); corner = null; }
    draw();
    send();
  }
  canvas.addEventListener("pointerup", finish);
  canvas.addEventListener("pointercancel", () => { drawing = false; corner = null; readMask(); draw(); });

  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const mode = { b: "box", p: "paint", e: "erase" }[event.key];
    if (step) {
      cursor = [clamp(cursor[0] + step[0], columns() - 1), clamp(cursor[1] + step[1], rows() - 1)];
    } else if (mode) {
      corner = null;
      model.set("mode", mode); model.save_changes();
    } else if (event.key === "c") {
      cells.fill(0); send();
    } else if (event.key === "Escape") {
      corner = null;
    } else if (event.key === " " || event.key === "Enter") {
      if (model.get("mode") !== "box") { brush((cursor[0] + 0.5) * CELL, (cursor[1] + 0.5) * CELL); send(); }
      else if (!corner) corner = cursor;
      else { cells = boxed(corner, cursor); corner = null; send(); }
    } else return; // the notebook's own keys, Tab among them
    keys = true;
    event.preventDefault(); event.stopPropagation();
    draw();
  });
  canvas.addEventListener("blur", () => { keys = false; draw(); });

  function showPicture() {
    URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(new Blob([model.get("picture")], { type: "image/png" }));
  }
  picture.addEventListener("load", draw);
  model.on("change:picture", showPicture);
  model.on("change:mask", () => { if (!drawing && !waiting) { readMask(); draw(); } });
  model.on("change:answered", answered);
  readMask();
  showPicture();
  draw();
  return () => { clearTimeout(timer); URL.revokeObjectURL(picture.src); };
}

export default { render };
