"use strict";
(() => {
  const source = document.getElementById("board-data");
  const table = document.getElementById("board");
  if (!source || !table) return;
  const data = JSON.parse(source.textContent);
  const body = table.tBodies[0];
  const lines = new Map([...table.querySelectorAll("tbody tr")].map((tr) => [tr.dataset.key, tr]));
  for (const rest of [...table.tBodies].slice(1)) rest.remove();
  const lower = (value) => (typeof value === "string" ? value.toLowerCase() : value);
  const entries = data.rows.map((row) => ({ ...row, sort: row.sort.map(lower), line: lines.get(row.key) }));
  const place = new Map(data.columns.map((column, i) => [column.key, i]));
  const at = (id) => document.getElementById(id);
  const fields = ["base", "method", "decision", "level"].filter((field) => at(`f-${field}`));
  const step = Math.max(body.rows.length, 1);
  let state = {};
  let shown = step;

  const opening = () => ({ sort: data.sort, q: "", entry: "", base: "", method: "", decision: "", level: "" });

  function fromAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    state = opening();
    for (const name of Object.keys(state)) if (given.has(name)) state[name] = given.get(name);
    if (!place.has(state.sort.replace(/^-/, ""))) state.sort = data.sort;
    shown = step;
  }

  function toAddress() {
    const kept = new URLSearchParams();
    const usual = opening();
    for (const [name, value] of Object.entries(state)) if (value !== usual[name]) kept.set(name, value);
    const hash = kept.toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  function compare(column, down) {
    const order = down ? -1 : 1;
    return (a, b) => {
      const x = a.sort[column], y = b.sort[column];
      if (x === null || y === null) return (x === null) - (y === null);
      return order * ((x > y) - (x < y));
    };
  }

  function draw() {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const found = entries.filter(
      (entry) =>
        words.every((word) => entry.text.includes(word)) &&
        fields.every((field) => !state[field] || entry[field] === state[field]),
    );
    const key = state.sort.replace(/^-/, "");
    found.sort(compare(place.get(key), state.sort.startsWith("-")));
    const chosen = found.findIndex((entry) => entry.key === state.entry);
    if (chosen >= shown) shown = chosen + 1;
    body.replaceChildren(...found.slice(0, shown).map((entry) => entry.line));
    for (const line of body.querySelectorAll(".chosen")) line.classList.remove("chosen");
    if (chosen >= 0) found[chosen].line.classList.add("chosen");
    for (const th of table.tHead.rows[0].cells) {
      if (th.dataset.key !== key) th.removeAttribute("aria-sort");
      else th.setAttribute("aria-sort", state.sort.startsWith("-") ? "descending" : "ascending");
    }
    const left = found.length - Math.min(shown, found.length);
    at("more").hidden = !left;
    at("more").textContent = left > step ? `Show ${step} more of ${left}` : `Show the other ${left}`;
    const some = found.length === entries.length ? "" : ` of ${entries.length}`;
    at("status").textContent = found.length
      ? `${found.length}${some} ${entries.length === 1 ? "entry" : "entries"}, by ${data.columns[place.get(key)].label}`
      : "No entry is like that.";
    at("q").value = state.q;
    at("sort").value = key;
    for (const field of fields) at(`f-${field}`).value = state[field];
  }

  function change(part) {
    Object.assign(state, part);
    shown = step;
    toAddress(); // first: a new address has the browser lay out what has changed by then
    draw();
  }

  function sortBy(key) {
    const first = data.columns[place.get(key)].descending ? `-${key}` : key;
    const other = first.startsWith("-") ? key : `-${key}`;
    change({ sort: state.sort === first ? other : first });
  }

  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) sortBy(button.parentElement.dataset.key);
  });
  at("q").addEventListener("input", (event) => change({ q: event.target.value }));
  at("sort").addEventListener("change", (event) => change({ sort: event.target.value }));
  for (const field of fields) at(`f-${field}`).addEventListener("change", (event) => change({ [field]: event.target.value }));
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("filters").addEventListener("reset", (event) => {
    event.preventDefault();
    change(opening());
  });
  at("more").addEventListener("click", () => {
    shown += step;
    draw();
  });
  addEventListener("hashchange", () => {
    fromAddress();
    draw();
    show();
  });

  function show() {
    const line = state.entry && lines.get(state.entry);
    if (line && line.isConnected) line.scrollIntoView({ block: "center" });
  }

  fromAddress();
  draw();
  show();
})();
