// Regions of the picture: those of the run are outlined, and more are drawn, corner by corner in shares of the picture.
// One of them that was chosen is like one that is drawn, but only for being removed.
let regions = {}, regionsFile = '', refusal = '', drawn = null, closed = false, chosen = '', cross = null;
const SAVED = '#ffd400', BEING_DRAWN = '#00e5ff', NEAR_PX = 14, MOST_CORNERS = 100, STEP = 0.01;

function onRegions(told) {
  ({ regions, file: regionsFile, refusal } = told);
  const there = Object.keys(regions);
  $('outlined').hidden = $('region-list').hidden = !there.length;
  $('region-list').replaceChildren(...there.map(name => {
    const item = document.createElement('li'), button = document.createElement('button');
    button.textContent = button.title = name;
    button.setAttribute('aria-pressed', name === chosen);
    button.onclick = () => name === chosen ? leaveDrawing() : choose(name);
    item.append(button);
    return item;
  }));
  if (chosen && !there.includes(chosen)) leaveDrawing();  // somebody else has removed it
  settle();
}

function drawRegions() {
  if (frame.split) return;  // several pictures stand in it
  if (outlined) for (const [name, corners] of Object.entries(regions)) drawRegion(corners, SAVED, true, name);
  if (drawn) drawRegion(drawn, BEING_DRAWN, closed, chosen);
  if (cross && drawn && !closed) drawCross();
}

function drawCross() {
  const { width, height } = canvas, thick = Math.max(2, width / 320), arm = 7 * thick;
  const [x, y] = [cross[0] * width, cross[1] * height];
  for (const [style, line] of [['#000', 2 * thick], [BEING_DRAWN, thick]]) {
    pen.fillStyle = style;
    pen.fillRect(x - arm, y - line / 2, 2 * arm, line);
    pen.fillRect(x - line / 2, y - arm, line, 2 * arm);
  }
}

function drawRegion(corners, colour, whole, name) {
  const { width, height } = canvas, thick = Math.max(2, width / 320);
  const at = corners.map(([x, y]) => [x * width, y * height]);
  pen.beginPath();
  for (const [x, y] of at) pen.lineTo(x, y);
  if (whole) pen.closePath();
  pen.lineJoin = 'round';
  for (const [style, line] of [['#000', 2 * thick], [colour, thick]]) {
    pen.strokeStyle = style;
    pen.lineWidth = line;
    pen.stroke();
  }
  pen.fillStyle = colour;
  if (!whole) for (const [x, y] of at) pen.fillRect(x - 2 * thick, y - 2 * thick, 4 * thick, 4 * thick);
  if (!name) return;
  const size = Math.max(12, width / 42), pad = size / 3;
  pen.font = `600 ${size}px system-ui, sans-serif`;
  const wide = pen.measureText(name).width + 2 * pad, high = size + 2 * pad;
  const middle = side => at.reduce((sum, corner) => sum + corner[side], 0) / at.length;
  const left = Math.max(0, Math.min(width - wide, middle(0) - wide / 2));
  const top = Math.max(0, Math.min(height - high, middle(1) - high / 2));
  pen.fillStyle = '#000000b0';
  pen.fillRect(left, top, wide, high);
  pen.fillStyle = colour;
  pen.textBaseline = 'middle';
  pen.fillText(name, left + pad, top + high / 2);
}

// Where the picture lies in the canvas element, which has another shape: `object-fit: contain`.
function pictureBox() {
  const box = canvas.getBoundingClientRect(), scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  const width = canvas.width * scale, height = canvas.height * scale;
  return { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height };
}

function guide() {
  $('drawing').hidden = !drawn;
  $('draw').setAttribute('aria-pressed', !!drawn && !chosen);
  for (const button of $('region-list').querySelectorAll('button'))
    button.setAttribute('aria-pressed', button.textContent === chosen);
  canvas.classList.toggle('drawing', !!drawn && !closed);
  if (!drawn) return;
  for (const id of ['undo', 'close']) $(id).hidden = closed;
  for (const id of ['region', 'keep', 'download']) $(id).hidden = !closed || !!chosen;
  $('keep').hidden ||= !!refusal;
  $('remove').hidden = !chosen || !!refusal;
  $('undo').disabled = !drawn.length;
  $('close').disabled = drawn.length < 3;
  $('guide').textContent = closed ? aboutName()
    : drawn.length < 3 ? 'Click on the picture, or use arrows and space: three corners or more'
    : 'Click the first corner, or Done';
  draw();
}

function aboutName() {
  if (chosen) return `Region ${chosen}. ${refusal}`;
  if (Object.hasOwn(regions, $('region').value.trim())) return 'It takes the place of that region.';
  return refusal && refusal + ' It can be downloaded.';
}

function begin(corners, name) {
  if (!frame) return;
  if (frame.split) { sayForAWhile('Regions are drawn on the picture of one model.'); return; }
  drawn = corners;
  chosen = name;
  closed = !!name;
  cross = null;
  $('region').value = '';
  guide();
}

const choose = name => begin(regions[name], name);

function leaveDrawing() {
  drawn = null;
  chosen = '';
  guide();
  draw();
}

function undoCorner() {
  if (closed) return;
  drawn.pop();
  guide();
}

function closeRegion() {
  if (closed || drawn.length < 3) return;
  closed = true;
  guide();
  $('region').focus();
}

const within = share => Math.round(Math.max(0, Math.min(1, share)) * 1e4) / 1e4;

canvas.onclick = event => {
  const box = pictureBox();
  if (drawn) addCorner([within((event.clientX - box.left) / box.width), within((event.clientY - box.top) / box.height)]);
};

function addCorner(corner) {
  if (closed || drawn.length >= MOST_CORNERS) return;
  const box = pictureBox(), [first] = drawn;
  const near = first && Math.hypot((first[0] - corner[0]) * box.width, (first[1] - corner[1]) * box.height) < NEAR_PX;
  if (near && drawn.length > 2) { closeRegion(); return; }
  drawn.push(corner);
  guide();
}

function moveCross(event, x, y) {
  if (closed) return;
  document.activeElement.blur();  // space sets a corner then, and presses no button
  const step = event.shiftKey ? 5 * STEP : STEP, [left, top] = cross || [0.5, 0.5];
  cross = [within(left + x * step), within(top + y * step)];
  draw();
}

// Sends a change of the regions; a refusal is said where one draws. Returns whether it was taken.
async function changeRegions(query, options) {
  try {
    const asked = new URLSearchParams([...new URLSearchParams(location.search), ...query]);
    const answer = await fetch(`regions?${asked}`, options);
    if (!answer.ok) throw new Error((await answer.text()).trim());
    chosen = '';
    onRegions(await answer.json());
    return true;
  } catch (error) {
    $('guide').textContent = error.message;
    return false;
  }
}

async function keepRegion() {
  if (chosen) return;
  const name = $('region').value.trim();
  if (!name) { $('guide').textContent = 'It needs a name.'; $('region').focus(); return; }
  if (refusal) { downloadRegions(); return; }
  const body = JSON.stringify({ name, corners: drawn });
  if (!await changeRegions([], { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })) return;
  outlined = true;
  leaveDrawing();
  change();
  sayForAWhile(`Saved to ${regionsFile}. It is counted from the next picture on.`);
}

async function removeRegion() {
  const name = chosen, corners = drawn;
  if (!name || refusal || !await changeRegions([['name', name]], { method: 'DELETE' })) return;
  begin(corners, '');
  closed = true;
  $('region').value = name;
  guide();
  $('guide').textContent = `Removed from ${regionsFile}; this run still counts it. Save puts it back.`;
}

function downloadRegions() {
  const name = $('region').value.trim();
  if (!name) { $('guide').textContent = 'It needs a name.'; $('region').focus(); return; }
  const text = JSON.stringify({ regions: { ...regions, [name]: drawn } }) + '\n';
  offer(new Blob([text], { type: 'application/json' }), 'regions.json');
  leaveDrawing();
}

$('draw').onclick = () => drawn && !chosen ? leaveDrawing() : begin([], '');
$('undo').onclick = undoCorner;
$('close').onclick = closeRegion;
$('cancel').onclick = leaveDrawing;
$('remove').onclick = removeRegion;
$('download').onclick = downloadRegions;
$('drawing').onsubmit = event => { event.preventDefault(); keepRegion(); };
$('region').oninput = () => { $('guide').textContent = aboutName(); };
$('region').onkeydown = event => { if (event.key === 'Escape') leaveDrawing(); };
$('outlined').onclick = () => { outlined = !outlined; change(); };
