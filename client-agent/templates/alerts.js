"use strict";
(() => {
  const find = (selector) => document.querySelector(selector);
  const here = document.body.dataset.id;
  const [analyst, note, status, help] = ["#analyst", "#note", "#status", "#help"].map(find);
  const say = (text) => { status.textContent = text; };

  // Who works here is asked once for each browser; storage may be forbidden.
  const remember = () => {
    try { localStorage.setItem("analyst", analyst.value.trim()); } catch { return; }
  };
  if (analyst) {
    try { analyst.value ||= localStorage.getItem("analyst") || ""; } catch { analyst.value = ""; }
    analyst.addEventListener("change", remember);
    if (analyst.form) analyst.form.addEventListener("submit", remember);
  }

  const rows = () => [...document.querySelectorAll("tr[data-id]:not(.done)")];
  const chosen = () => {
    const active = document.activeElement;
    return active ? active.closest("tr[data-id]") : null;
  };
  const choose = (row) => { if (row) row.querySelector("a.open").focus(); };
  const move = (by) => {
    const all = rows(), at = all.indexOf(chosen());
    choose(at < 0 ? all[0] : all[Math.min(Math.max(at + by, 0), all.length - 1)]);
  };

  const act = async (what, words, done) => {
    const row = here ? null : chosen();
    const id = here || (row && row.dataset.id);
    if (!id) { say("Choose an alert first: j and k."); return; }
    const who = analyst ? analyst.value.trim() : "";
    if (!who) { say("Say first who you are."); if (analyst) analyst.focus(); return; }
    remember();
    if (note && note.value.trim()) words.note = note.value;
    const body = JSON.stringify({ ...words, analyst: who });
    const headers = { "Content-Type": "application/json" };
    try {
      const path = `/v1/alerts/${encodeURIComponent(id)}/${what}`;
      const answer = await fetch(path, { method: "POST", headers, body });
      if (!answer.ok) {
        const problem = await answer.json().catch(() => ({}));
        say(problem.detail || `The agent answered ${answer.status}.`);
        return;
      }
    } catch {
      say("The agent cannot be reached.");
      return;
    }
    if (here) { location.reload(); return; }
    const all = rows(), at = all.indexOf(row);
    row.classList.add("done");
    row.querySelector(".state").textContent = done;
    choose(all[at + 1] || all[at - 1]);
    say(done);
  };

  const verdict = (word) => act("disposition", { verdict: word }, word);
  const follow = (selector, none) => {
    const link = find(selector);
    if (link) location.assign(link.href); else say(none);
  };
  const toggle = () => { if (help.open) help.close(); else help.showModal(); };
  const keys = {
    j: () => move(1),
    k: () => move(-1),
    f: () => verdict("fraud"),
    g: () => verdict("genuine"),
    u: () => verdict("unknown"),
    s: () => act("snooze", { until: Date.now() + 86400000 }, "snoozed"),
    n: () => follow("#next", "There is no next one."),
    q: () => follow("#back", "This is the queue."),
    e: () => {
      const row = chosen();
      const id = here || (row && row.dataset.id);
      if (id) location.assign(`/alerts/${encodeURIComponent(id)}?export=html`);
    },
    "?": toggle,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    if (event.target.matches("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const key = Object.hasOwn(keys, event.key) ? keys[event.key] : null;
    if (!key || (help.open && event.key !== "?")) return;
    event.preventDefault();
    key();
  });
  const button = find("#keys");
  if (button) { button.hidden = false; button.addEventListener("click", toggle); }
  choose(rows()[0]);
})();
