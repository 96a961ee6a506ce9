"use strict";
// The list of changed samples: filtered as a whole, shown by the page, each text put in as text.
const PER_PAGE = 20;

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function isolated(text) {
  return element("bdi", "", text);
}

function transcript(edits) {
  const shown = document.createDocumentFragment();
  for (const [operation, words] of edits) {
    const part = element({ "-": "del", "+": "ins" }[operation] || "span");
    if (operation === "-") part.append("\u2212", element("span", "", words));
    else part.append(operation === "+" ? "+" + words : words);
    shown.append(part, " ");
  }
  if (!edits.length) shown.append(element("em", "dim", "(nothing)"));
  return shown;
}

function answer(text) {
  return text.trim() ? document.createTextNode(text) : element("em", "dim", "(nothing)");
}

function folded(text) {
  if (text.length <= 300 && text.split("\n").length <= 5) return answer(text);
  const made = element("details");
  made.append(element("summary", "", text.slice(0, 90).replace(/\s+/g, " ") + "…"), text);
  return made;
}

function entry(term, content, whole) {
  const made = element("div", whole ? "whole" : "");
  const value = element("dd");
  value.dir = "auto";
  value.append(content);
  made.append(element("dt", "", term), value);
  return made;
}

function card(row, tasks) {
  const [task, id, condition, input, reference, base, checkpoint, sign, worse, baseEdits, checkpointEdits] = row;
  const made = element("li", "card");
  const head = element("h3");
  head.append(isolated(tasks[task]), " ", element("span", sign > 0 ? "loss" : "loss won", worse));
  const where = element("p", "dim where");
  where.append(isolated(id), condition ? ", " + condition : "");
  const quotes = element("dl", "quotes");
  if (input) quotes.append(entry("Input", folded(input), true));
  if (reference && reference !== input) quotes.append(entry("Reference", answer(reference), true));
  quotes.append(
    entry("Base", baseEdits ? transcript(baseEdits) : answer(base), false),
    entry("Checkpoint", checkpointEdits ? transcript(checkpointEdits) : answer(checkpoint), false),
  );
  made.append(head, where, quotes);
  return made;
}

function explore(section) {
  const find = (name) => section.querySelector(`[data-${name}]`);
  const { tasks, rows } = JSON.parse(find("samples").textContent);
  const texts = []; // in small letters, made at the first search
  const list = find("list"), status = find("status"), previous = find("previous"), next = find("next");
  let found = rows, page = 0;

  tasks.forEach((title, i) => {
    const choice = element("option", "", title.length > 60 ? title.slice(0, 59) + "…" : title);
    choice.value = String(i);
    find("task").append(choice);
  });

  function show() {
    const first = page * PER_PAGE, shown = found.slice(first, first + PER_PAGE);
    list.replaceChildren(...shown.map((row) => card(row, tasks)));
    previous.disabled = page === 0;
    next.disabled = first + PER_PAGE >= found.length;
    status.textContent = found.length
      ? `${first + 1} to ${first + shown.length} of ${found.length} samples`
      : "No sample is like this.";
  }

  function filter() {
    const wanted = find("search").value.trim().toLowerCase();
    const task = find("task").value, change = find("change").value;
    if (wanted && !texts.length) rows.forEach((row) => texts.push(row.slice(1, 7).join("\n").toLowerCase()));
    found = rows.filter((row, i) =>
      (task === "" || row[0] === Number(task)) &&
      (change === "" || row[7] === Number(change)) &&
      (!wanted || texts[i].includes(wanted)));
    page = 0;
    show();
  }

  function turn(by) {
    page += by;
    show();
    section.querySelector("h2").scrollIntoView();
  }

  find("search").addEventListener("input", filter);
  find("task").addEventListener("change", filter);
  find("change").addEventListener("change", filter);
  previous.addEventListener("click", () => turn(-1));
  next.addEventListener("click", () => turn(1));
  section.querySelectorAll("[hidden]").forEach((part) => { part.hidden = false; });
  filter();
}

document.querySelectorAll("[data-explorer]").forEach(explore);
