// Keeps pages fresh, counts times on, and listens to keys. Everything works without it: it only replaces what the
// server wrote by what the server writes now.
(() => {
  'use strict';
  const HIDDEN_FOR = 60_000, LOST_AFTER = 30_000, AT_MOST_EVERY = 1_000;
  const live = document.getElementById('live');
  const skew = Date.parse(document.body.dataset.now) - Date.now();

  // === times ===
  const words = (seconds) => {
    const s = Math.max(0, Math.round(seconds));
    if (s < 60) return `${s}s`;
    const m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    if (h < 1) return `${m} min`;
    if (d < 1) return m % 60 ? `${h} h ${m % 60} min` : `${h} h`;
    return h % 24 ? `${d} d ${h % 24} h` : `${d} d`;
  };
  const count = () => {
    const now = (Date.now() + skew) / 1000;
    for (const it of document.querySelectorAll('time[data-left]')) {
      const left = Number(it.dataset.left) - now;
      const text = left < 600 ? `${Math.floor(Math.max(0, left) / 60)}:${String(Math.floor(Math.max(0, left) % 60)).padStart(2, '0')}` : words(left);
      if (it.textContent !== text) it.textContent = text;
    }
    for (const it of document.querySelectorAll('time[data-ago]')) {
      // What is announced does not tick: it would be read out every second.
      if (it.closest('[aria-live]')) continue;
      const text = words(now - Number(it.dataset.ago));
      if (it.textContent !== text) it.textContent = text;
    }
    const zone = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' });
    for (const it of document.querySelectorAll('time:not([title])')) it.title = zone.format(new Date(it.dateTime));
  };
  count();
  setInterval(count, 1_000);

  // === freshness ===
  let heard = Date.now(), asked = 0, waiting = false, busy = false;
  const show = (text, kind) => { if (live && live.textContent !== text) { live.textContent = text; live.className = `live ${kind}`; } };
  const isTyped = (it) => [...it.querySelectorAll('input, textarea')].some((field) => field.value !== field.defaultValue);
  const isTouched = (it) => it.contains(document.activeElement) || it.matches(':hover') || isTyped(it);
  const refresh = async () => {
    if (busy || document.hidden) { waiting = true; return; }
    busy = true; waiting = false; asked = Date.now();
    try {
      const answer = await fetch(location.pathname + location.search.replace(/([?&])said=\w+/, '$1'), { headers: { Accept: 'text/html' } });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      let held = 0;
      for (const old of document.querySelectorAll('[data-live][id]')) {
        const now = fresh.getElementById(old.id);
        if (!now || old.innerHTML === now.innerHTML) continue;
        // Nothing moves under a hand.
        if (isTouched(old)) { held += 1; continue; }
        const open = [...old.querySelectorAll('details')].map((it) => it.open);
        [...now.querySelectorAll('details')].forEach((it, at) => { if (open[at]) it.open = true; });
        old.replaceWith(document.adoptNode(now));
      }
      document.title = fresh.title;
      heard = Date.now();
      show(held ? 'news waits' : 'live', held ? 'held' : 'on');
      waiting = held > 0;
      count();
    } catch (error) {
      show(`not answered: ${error.message}`, 'off');
    } finally { busy = false; }
  };
  const soon = () => {
    const left = AT_MOST_EVERY - (Date.now() - asked);
    if (left <= 0) refresh(); else if (!waiting) { waiting = true; setTimeout(refresh, left); }
  };
  document.addEventListener('focusout', () => { if (waiting) setTimeout(soon, 300); });

  // One connection a browser: a tab that holds the lock listens, and tells the others.
  const told = 'BroadcastChannel' in window ? new BroadcastChannel('runbookd') : null;
  const take = (kind) => { heard = Date.now(); if (kind !== 'hello') soon(); else show('live', 'on'); };
  if (told) told.onmessage = (event) => take(event.data);
  let source = null;
  const listen = () => {
    if (source) return;
    source = new EventSource('/live');
    const on = (kind) => { take(kind); if (told) told.postMessage(kind); };
    source.onopen = () => on('hello');
    source.addEventListener('changed', () => on('changed'));
    source.addEventListener('beat', () => on('beat'));
  };
  const deaf = () => { if (source) { source.close(); source = null; } };
  let letGo = null, hiding = 0, queued = false;
  const lead = () => {
    if (!navigator.locks) { listen(); return; }
    if (queued) return;
    queued = true;
    navigator.locks.request('runbookd-live', () => new Promise((done) => { letGo = done; listen(); })).finally(() => { queued = false; });
  };
  const rest = () => { deaf(); if (letGo) { letGo(); letGo = null; } };
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(rest, HIDDEN_FOR); else { lead(); if (waiting || Date.now() - heard > LOST_AFTER) refresh(); }
  });
  addEventListener('pagehide', rest);
  addEventListener('pageshow', (event) => { if (event.persisted) { lead(); refresh(); } });
  lead();
  setInterval(() => {
    const silent = Date.now() - heard;
    if (silent > LOST_AFTER && !document.hidden) show(`not connected for ${words(silent / 1000)}; what you see is old`, 'off');
  }, 5_000);

  // === forms ===
  for (const form of document.querySelectorAll('form[data-confirm]')) {
    form.addEventListener('submit', (event) => { if (!confirm(form.dataset.confirm)) event.preventDefault(); });
  }

  // === keys ===
  const keys = document.getElementById('keys');
  const areOff = () => { try { return localStorage.getItem('runbookd-keys') === 'off'; } catch { return false; } };
  const turn = document.getElementById('keys-off');
  const label = () => { turn.textContent = areOff() ? 'Switch single keys on' : 'Switch single keys off'; };
  label();
  turn.addEventListener('click', () => { try { localStorage.setItem('runbookd-keys', areOff() ? 'on' : 'off'); } catch { /* they stay on */ } label(); });
  document.getElementById('keys-close').addEventListener('click', () => keys.close());
  const pages = { o: '/', i: '/incidents?state=active', r: '/rules', s: '/scaling', c: '/capacity' };
  let going = 0;
  const step = (by) => {
    const rows = [...document.querySelectorAll('main .row-link')];
    if (!rows.length) return;
    const at = rows.indexOf(document.activeElement);
    rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))].focus();
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select')) return;
    if (event.key === '?') { keys.showModal(); event.preventDefault(); return; }
    if (areOff() || keys.open) return;
    if (Date.now() - going < 1_500 && pages[event.key]) { location.assign(pages[event.key]); return; }
    const focus = (id) => { const it = document.getElementById(id); if (it) { it.focus(); event.preventDefault(); } };
    switch (event.key) {
      case 'g': going = Date.now(); break;
      case 'j': step(1); break;
      case 'k': step(-1); break;
      case 'a': focus('acknowledge'); break;
      case 's': focus(document.getElementById('silence') ? 'silence' : 'matchers'); break;
      case '/': focus('q'); break;
    }
  });
})();
