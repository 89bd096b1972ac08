const $ = id => document.getElementById(id);
const canvas = $('picture'), pen = canvas.getContext('2d'), paint = document.createElement('canvas');
const IGNORE = 255;
let socket, frame, held, names = [], colours = [], rows = [], started = false;
let view = 'overlay', alpha = 0.5, hidden = new Set(), lines = false, outlined = true, frozen = false;
let failures = 0, looking, begun = '', saidUntil = 0;

for (const a of document.querySelectorAll('footer a')) a.search = location.search;

// A page that nobody looks at takes no place: it connects, and connects again, as soon as it is seen.
function connect() {
  if (document.hidden) {
    document.addEventListener('visibilitychange', connect, { once: true });
    return;
  }
  const address = new URL('ws' + location.search, location.href);
  address.protocol = address.protocol.replace('http', 'ws');
  socket = new WebSocket(address);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => { failures = 0; next(); };
  socket.onmessage = event => typeof event.data === 'string' ? onText(JSON.parse(event.data)) : onFrame(event.data);
  socket.onclose = event => {
    clearInterval(looking);
    state('not connected', 'bad');
    say(event.reason || 'The connection is lost. Trying again.');
    setTimeout(connect, document.hidden ? 0 : event.code === 1013 ? 10000 : Math.min(10000, 500 * 2 ** failures++));
  };
}

// A hidden page gets no animation frames, so it asks for no pictures, and none are encoded for it.
function next() {
  requestAnimationFrame(() => { if (!frozen) tell('next'); });
}

function tell(text) {
  if (socket.readyState === WebSocket.OPEN) socket.send(text);
}

async function onFrame(buffer) {
  if (frozen) { held = buffer; return; }  // it was asked for before
  const heads = new DataView(buffer), text = heads.getUint32(0, true), jpeg = heads.getUint32(4, true);
  const about = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, text)));
  const packed = new Blob([new Uint8Array(buffer, 8 + text + jpeg)]).stream();
  try {
    const [camera, ids] = await Promise.all([
      createImageBitmap(new Blob([new Uint8Array(buffer, 8 + text, jpeg)], { type: 'image/jpeg' })),
      new Response(packed.pipeThrough(new DecompressionStream('deflate'))).arrayBuffer()]);
    if (frame) frame.camera.close(); else say('');
    frame = { ...about, camera, ids: new Uint8Array(ids) };
    showShares();
    draw();
  } catch (error) {
    say('This browser cannot show the picture (' + error.message + ').');
  }
  next();
}

// Colour and opacity of every id as the canvas stores them: bytes R, G, B, A. Black is not painted over the camera.
function table() {
  const bytes = new Uint8ClampedArray(1024);
  colours.forEach(([r, g, b], id) => {
    if (hidden.has(id)) return;
    const strength = view === 'mask' ? 255 : r || g || b ? alpha * 255 : 0;
    bytes.set([r, g, b, strength], 4 * id);
  });
  return new Uint32Array(bytes.buffer);
}

function draw() {
  if (!frame) return;
  const { width, height, ids } = frame;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = paint.width = width;
    canvas.height = paint.height = height;
  }
  pen.fillStyle = '#000';
  view === 'mask' ? pen.fillRect(0, 0, width, height) : pen.drawImage(frame.camera, 0, 0, width, height);
  if (view !== 'camera') drawLabels(width, height, ids);
  drawRegions();
}

function drawLabels(width, height, ids) {
  const image = new ImageData(width, height), out = new Uint32Array(image.data.buffer), of = table();
  for (let i = 0; i < out.length; i++) out[i] = of[ids[i]];
  if (lines) outline(out, ids, width);
  paint.width = width;
  paint.height = height;
  paint.getContext('2d').putImageData(image, 0, 0);
  pen.drawImage(paint, 0, 0);
}

function outline(out, ids, width) {
  const kept = Uint8Array.from({ length: 256 }, (_, id) => hidden.has(id) || id >= colours.length ? IGNORE : id);
  for (let i = 0, last = out.length - width - 1; i < last; i++) {
    const id = kept[ids[i]];
    if (id !== kept[ids[i + 1]] && (i + 1) % width) out[i] = out[i + 1] = 0xffffffff;
    if (id !== kept[ids[i + width]]) out[i] = out[i + width] = 0xffffffff;
  }
}

function onText(told) {
  ({ hello, regions: onRegions, stats: numbers })[told.kind](told);
}

function hello(told) {
  ({ names, colours } = told);
  clearInterval(looking);  // also a frozen page is looked at, and one that waits for its camera
  looking = setInterval(() => { if (!document.hidden) tell('here'); }, told.silent_s * 1000 / 3);
  if (!started) {
    view = told.view === 'mask' ? 'mask' : 'overlay';
    alpha = told.alpha;
    lines = told.boundaries;
    hidden = new Set(told.hidden);
    begun = JSON.stringify([told.view, told.alpha, told.boundaries, told.hidden, names]);
    const mine = remembered(begun);
    if (mine) ({ view, alpha, lines, hidden, outlined } = mine);
    started = true;
  }
  rows = names.map((name, id) => {
    const row = document.createElement('button'), swatch = document.createElement('i');
    const label = document.createElement('span'), share = document.createElement('span');
    swatch.setAttribute('aria-hidden', true);
    swatch.style.background = `rgb(${colours[id]})`;
    label.textContent = name;
    row.append(swatch, label, share);
    row.onclick = () => { hidden.has(id) ? hidden.delete(id) : hidden.add(id); change(); };
    return row;
  });
  $('classes').replaceChildren(...rows.map(row => {
    const item = document.createElement('li');
    item.append(row);
    return item;
  }));
  settle();
}

function showShares() {
  const shares = new Map(frame.shares);
  rows.forEach((row, id) => {
    const share = shares.get(id);
    row.lastChild.textContent = share === undefined ? '' : share < 0.01 ? '<1 %' : Math.round(share * 100) + ' %';
    row.classList.toggle('unseen', share === undefined);
  });
}

function numbers(told) {
  $('about').textContent = [told.model, told.source].filter(Boolean).join(' · ');
  const stalled = told.last_frame_s > 3;
  const running = !told.state || told.state === 'running';
  state(running && stalled ? 'stalled' : told.state || 'running',
    told.state === 'reconnecting' ? 'bad' : stalled || !running ? 'warn' : 'good');
  if (stalled) say(`No new picture for ${Math.round(told.last_frame_s)} s`);
  else if (frame && Date.now() > saidUntil) say('');
  const number = (value, digits = 0) => value === undefined || value === null ? '–' : value.toFixed(digits);
  $('fps').textContent = number(told.fps, 1);
  $('age').textContent = told.frame_age_ms ? number(told.frame_age_ms.median) + ' ms' : '–';
  $('label-age').textContent = told.label_age_ms ? number(told.label_age_ms.median) + ' ms' : '–';
  $('moved').textContent = told.moved == null ? '–' : number(told.moved * 100) + ' %';
  for (const id of ['label-age', 'moved']) $(id).parentElement.hidden = !told.label_age_ms;
  describe(told.source);
  $('temperature').textContent = told.temperature_c == null ? '–' : number(told.temperature_c) + ' °C';
  $('heat').className = told.temperature_c >= 75 ? 'warn' : '';
  $('hot').hidden = !told.throttled;
  for (const key of ['drops', 'reconnects', 'viewers']) $(key).textContent = number(told[key]);
  $('stages').replaceChildren(...Object.entries(told.stages_ms || {}).map(([stage, times]) => {
    const line = document.createElement('tr');
    for (const text of [stage, number(times.median, 1), number(times.p90, 1)]) {
      const cell = document.createElement('td');
      cell.textContent = text;
      line.append(cell);
    }
    return line;
  }));
}

// For those who do not see the picture.
function describe(source) {
  const seen = (frame ? frame.shares : []).slice(0, 4).map(([id, share]) => `${names[id]} ${Math.round(share * 100)} %`);
  canvas.setAttribute('aria-label', `Picture of ${source} (${view})${seen.length ? ': ' + seen.join(', ') : ''}`);
}

function state(text, kind) {
  $('state').textContent = text;
  $('state').className = 'pill ' + kind;
}

function say(text) {
  $('message').textContent = text;
  $('message').hidden = !text;
}

function sayForAWhile(text) {
  saidUntil = Date.now() + 4000;
  say(text);
}

// Everything that a control changed is shown: on the controls and in the picture, also while that is frozen.
function settle() {
  for (const button of $('views').children) button.setAttribute('aria-pressed', button.dataset.view === view);
  $('alpha').value = alpha * 100;
  $('alpha').disabled = view !== 'overlay';
  $('percent').textContent = Math.round(alpha * 100) + ' %';
  $('lines').setAttribute('aria-pressed', lines);
  $('freeze').setAttribute('aria-pressed', frozen);
  $('outlined').setAttribute('aria-pressed', outlined);
  rows.forEach((row, id) => row.setAttribute('aria-pressed', !hidden.has(id)));
  draw();
}

function change() {
  settle();
  if (started) remember(begun, { view, alpha, lines, hidden, outlined });
}

function offer(data, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(data);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

$('views').onclick = event => { if (event.target.dataset.view) { view = event.target.dataset.view; change(); } };
$('alpha').oninput = event => { alpha = event.target.value / 100; change(); };
$('lines').onclick = () => { lines = !lines; change(); };
$('freeze').onclick = () => {
  frozen = !frozen;
  settle();
  if (!frozen) held ? onFrame(held) : next();
  held = undefined;
};
$('all').onclick = () => { hidden.clear(); change(); };
$('none').onclick = () => { hidden = new Set(names.keys()); change(); };
$('full').hidden = !document.fullscreenEnabled;  // as on some phones
$('full').onclick = () => document.fullscreenElement ? document.exitFullscreen() : $('stage').requestFullscreen();
$('save').onclick = () => canvas.toBlob(picture => offer(
  picture, `roadlite-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.png`), 'image/png');
