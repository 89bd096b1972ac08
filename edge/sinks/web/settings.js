'use strict';
// What a viewer has chosen is remembered in this browser for as long as the pipeline is started with the same options:
// where somebody starts it with others, those count.
const PLACE = 'roadlite' + location.pathname, VIEWS = ['overlay', 'mask', 'camera'];

function remembered(started) {
  try {
    const { of, chosen } = JSON.parse(localStorage.getItem(PLACE));
    const fits = of === started && VIEWS.includes(chosen.view) && chosen.alpha >= 0 && chosen.alpha <= 1;
    return fits ? { ...chosen, hidden: new Set(chosen.hidden) } : null;
  } catch { return null; }  // nothing there, or not to be had: a private window may refuse
}

function remember(started, chosen) {
  try {
    localStorage.setItem(PLACE, JSON.stringify({ of: started, chosen: { ...chosen, hidden: [...chosen.hidden] } }));
  } catch { /* the page works without */ }
}
