"use strict";
// Everything comes from status.json, as text: nothing of it is read as HTML.

const EVERY = 2000;
let before = null;

function cell(value, kind) {
  const cell = document.createElement("td");
  cell.textContent = value;
  if (kind) cell.className = kind;
  return cell;
}

function fill(id, rows, none, columns) {
  const body = document.getElementById(id);
  body.replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells);
    return row;
  }));
  if (!rows.length) {
    const empty = cell(none);
    empty.colSpan = columns;
    const row = document.createElement("tr");
    row.append(empty);
    body.append(row);
  }
}

// By the gateway's own clock, so that a sleeping tab does not distort it.
function rate(name, now) {
  if (!before || now.uptime_ms <= before.uptime_ms) return "–";
  const each = (now[name] - before[name]) * 1000 / (now.uptime_ms - before.uptime_ms);
  return each.toFixed(each < 10 ? 1 : 0);
}

function show(now) {
  const totals = [
    ["Channels", now.channels],
    ["Bridges", now.bridges],
    ["Playbacks", now.playbacks],
    ["Recordings", now.recordings],
    ["Requests/s", rate("requests", now)],
  ];
  if (now.events !== null) totals.push(["Events/s", rate("events", now)]);
  document.getElementById("totals").replaceChildren(...totals.map(([name, value]) => {
    const box = document.createElement("div");
    const term = document.createElement("dt");
    const figure = document.createElement("dd");
    term.textContent = name;
    figure.textContent = value;
    box.append(term, figure);
    return box;
  }));
  fill("nodes", now.nodes.map((node) => [
    cell(node.id), cell(node.address), cell(node.version), cell(node.state, node.state),
    cell(node.weight, "number"), cell(node.channels, "number"), cell(node.bridges, "number"),
  ]), "Consul lists none", 7);
  const clashing = now.nodes.filter((node) => node.clashes_with !== null);
  const clashes = document.getElementById("clashes");
  clashes.hidden = !clashing.length;
  clashes.textContent = "Channels of one id are on several of these nodes, which want a systemname in "
    + `asterisk.conf: ${clashing.map((node) => node.id).join(", ")}`;
  fill("applications", now.applications.map((app) => [
    cell(app.name), cell(app.channels, "number"),
  ]), "No call is in one that is known", 2);
  const state = document.getElementById("state");
  state.textContent = now.consul === "answers" ? "live" : `Consul: ${now.consul}; as last seen`;
  state.className = now.consul === "answers" ? "passing" : "fails";
  before = now;
}

async function read() {
  try {
    // A page that was opened as http://user:password@… may not ask by a path alone.
    const url = new URL("status.json", location.origin + location.pathname);
    const answer = await fetch(url, { cache: "no-store" });
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    show(await answer.json());
  } catch (error) {
    const state = document.getElementById("state");
    state.textContent = `the gateway does not answer: ${error.message}`;
    state.className = "fails";
  }
  setTimeout(read, EVERY);
}

read();
