// The keys of the window on the machine, as far as they are not about the run itself, and some more.
const KEYS = [
  ['v', 'next view: overlay, mask, camera', () => { view = VIEWS[(VIEWS.indexOf(view) + 1) % VIEWS.length]; change(); }],
  ['+', 'more colour', () => { alpha = Math.min(1, Math.round(alpha * 10 + 1) / 10); change(); }],
  ['-', 'less colour', () => { alpha = Math.max(0, Math.round(alpha * 10 - 1) / 10); change(); }],
  ['s', 'save the picture', () => $('save').click()],
  [' ', 'freeze, and go on', () => $('freeze').click()],
  ['o', 'outlines of the areas', () => $('lines').click()],
  ['g', 'regions', () => $('outlined').click()],
  ['d', 'draw a region', () => $('draw').click()],
  ['f', 'full screen', () => $('full').click()],
  ['?', 'this list', () => $('keys').open ? $('keys').close() : $('keys').showModal()],
];
const DRAWING = {
  Enter: closeRegion, Backspace: undoCorner, Escape: leaveDrawing, Delete: removeRegion, ' ': () => addCorner(cross),
  ArrowLeft: event => moveCross(event, -1, 0), ArrowRight: event => moveCross(event, 1, 0),
  ArrowUp: event => moveCross(event, 0, -1), ArrowDown: event => moveCross(event, 0, 1),
};

$('key-list').replaceChildren(...KEYS.flatMap(([key, about]) => {
  const term = document.createElement('dt'), text = document.createElement('dd'), cap = document.createElement('kbd');
  cap.textContent = key === ' ' ? 'space' : key;
  term.append(cap);
  text.textContent = about;
  return [term, text];
}));
$('help').onclick = () => $('keys').showModal();
$('keys-close').onclick = () => $('keys').close();

document.onkeydown = event => {
  const own = event.target.closest('button, a, dialog'), writes = event.target.matches('input:not([type=range])');
  if (event.ctrlKey || event.metaKey || event.altKey || writes) return;
  const theirs = event.key === ' ' ? own || !cross || closed : event.key === 'Enter' ? own
    : event.key.startsWith('Arrow') && event.target.matches('input');  // what has the focus takes them, or the page
  if (drawn && !$('keys').open && DRAWING[event.key] && !theirs) {
    event.preventDefault();
    DRAWING[event.key](event);
    return;
  }
  if (own && (event.key === ' ' || event.key === 'Enter')) return;  // it presses what has the focus
  const found = KEYS.find(([key]) => key === (event.key === '=' ? '+' : event.key));
  if (!found || ($('keys').open && event.key !== '?')) return;
  event.preventDefault();
  found[2]();
};
connect();
