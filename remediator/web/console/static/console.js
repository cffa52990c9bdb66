// Keeps the page current: asks for it again and puts what has changed in its place.
//
// Rule: what a person types in, has opened or has the focus on stays; a button that has just
// come or moved cannot be hit by accident.
"use strict";
(() => {
  const live = document.getElementById("live");
  const EVERY = 2000, SETTLES = 600, PATIENCE = 8000;
  const pulse = document.getElementById("pulse");
  const told = new Map(); // id of a part -> what the server last said it is
  let etag = null, lost = false, under_way = false;

  const remember = (root) => {
    for (const part of root.children) told.set(part.id, part.outerHTML);
  };

  const is_busy = (part) => {
    const field = "input:not([type=hidden]), textarea, select";
    if (part.contains(document.activeElement) && document.activeElement.matches(field)) return true;
    return [...part.querySelectorAll(field)].some((one) =>
      one.matches("select") ? [...one.options].some((o) => o.selected !== o.defaultSelected)
        : one.value !== one.defaultValue);
  };

  const keep_state = (before, after) => {
    for (const opened of before.querySelectorAll("details[id]")) {
      const same = after.querySelector(`#${CSS.escape(opened.id)}`);
      if (same) same.open = opened.open;
    }
    for (const box of before.querySelectorAll("pre[id]")) {
      const same = after.querySelector(`#${CSS.escape(box.id)}`);
      if (same) requestAnimationFrame(() => { same.scrollTop = box.scrollTop; });
    }
  };

  const put = (text) => {
    const page = new DOMParser().parseFromString(text, "text/html").getElementById("live");
    if (!page) return;
    document.title = page.dataset.title || document.title;
    const focused = document.activeElement && document.activeElement.id;
    let waits = false, place = live.firstElementChild;
    for (const part of [...page.children]) {
      const before = document.getElementById(part.id);
      const html = part.outerHTML;
      let now = before;
      if (before && told.get(part.id) !== html && is_busy(before)) waits = true;
      else if (!before || told.get(part.id) !== html) {
        now = document.importNode(part, true);
        if (before) {
          keep_state(before, now);
          if (place === before) place = now;
          before.replaceWith(now);
        }
        now.dataset.since = String(performance.now());
        now.classList.add("fresh");
        told.set(part.id, html);
      }
      if (now === place) place = place.nextElementSibling;
      else live.insertBefore(now, place);
      if (!before) show_ends(now);
    }
    while (place) {
      const next = place.nextElementSibling;
      if (!is_busy(place)) { told.delete(place.id); place.remove(); }
      place = next;
    }
    const again = focused && document.getElementById(focused);
    if (again && again !== document.activeElement) again.focus({ preventScroll: true });
    localise(live);
    if (waits) etag = null; // ask for all of it again, until it can be put in place
  };

  const say = (is_lost) => {
    if (is_lost === lost || !pulse) return;
    lost = is_lost;
    pulse.classList.toggle("lost", lost);
    pulse.textContent = lost
      ? `No answer since ${new Date().toISOString().slice(11, 19)} UTC: this page may be out of date.`
      : "Live: changes show by themselves.";
  };

  const ask = async () => {
    if (document.hidden || under_way) return;
    under_way = true;
    try {
      const answer = await fetch(location.href, {
        headers: { "X-Live": "1", ...(etag && { "If-None-Match": etag }) },
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (answer.status === 401) { location.reload(); return; }
      if (answer.status === 200) {
        etag = answer.headers.get("ETag");
        put(await answer.text());
      }
      say(answer.status !== 200 && answer.status !== 304);
    } catch {
      say(true);
    } finally {
      under_way = false;
    }
  };

  // Of a log the end tells most.
  const show_ends = (root) => {
    for (const box of root.querySelectorAll("pre.tail")) box.scrollTop = box.scrollHeight;
  };

  // The reader's own clock, where one points at a time.
  const localise = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      if (!time.title) time.title = `${new Date(time.dateTime).toLocaleString()} on your clock`;
    }
  };

  document.addEventListener("submit", (event) => {
    const part = event.target.closest("[data-since]");
    if (part && performance.now() - Number(part.dataset.since) < SETTLES) event.preventDefault();
    else if (event.target.method === "post") {
      if (event.target.dataset.sent) event.preventDefault();
      event.target.dataset.sent = "1";
    }
  });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  localise(document);
  show_ends(document);
  if (!live) return; // a page that stands still

  document.addEventListener("visibilitychange", ask);
  remember(live);
  if (pulse) pulse.textContent = "Live: changes show by themselves.";
  setInterval(ask, EVERY);
})();
