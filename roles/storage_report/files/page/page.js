// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What people see and do: the summary, the filters, the search, and what these leave of the picture and the table.

/** A new element. What comes out of the map gets into the page as text, here and nowhere else. */
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

const map = readMap(JSON.parse(byId("map").textContent));
const state = {
  query: "",
  attention: new Set(),
  endpoint: null,
  pin: null,
  group: "vm",
  order: { column: null, down: false },
  columns: new Set(COLUMNS.filter((column) => column.first).map((column) => column.id)),
};
const table = new Table(byId("table"), { onOrder: orderBy, onOpen: openRow });
const picture = new Picture(byId("picture"), pinNode);
let inOrder = [];
let found = [];
let toDraw = null;
let remembering = null;

function matching(rows) {
  if (state.attention.size === 0 && state.endpoint === null) return rows;
  return rows.filter(
    (row) =>
      (state.attention.size === 0 || row.attention.some((id) => state.attention.has(id))) &&
      (state.endpoint === null || row.endpointKey === state.endpoint),
  );
}

function isPinned(row) {
  return nodeId(state.pin.layer, row.nodes[state.pin.layer]) === state.pin.id;
}

/** Put the rows in the asked order, then show what is asked for. */
function reorder() {
  inOrder = sorted(map.rows, state.group, state.order);
  refresh();
}

/** Show what is asked for. */
function refresh() {
  const query = readQuery(state.query);
  const filtered = matching(inOrder);
  const hits = search(filtered, query);
  const pinned = state.pin ? hits.filter(isPinned) : [];
  found = state.pin ? pinned : hits;
  showTable();
  showHits(query, filtered, hits);
  showChips();
  showPicture(hits, pinned);
  remember();
}

/** Draw, but not before the table is painted, and once where several are asked for. */
function showPicture(hits, pinned) {
  byId("drawing").hidden = hits.length === 0;
  if (!toDraw) requestAnimationFrame(() => setTimeout(draw));
  toDraw = { hits, pinned };
}

function draw() {
  const { hits, pinned } = toDraw;
  toDraw = null;
  const left = picture.show(hits, pinned, state.pin && state.pin.id);
  byId("left").textContent = left ? `${countText(left, "row")} of ${hits.length.toLocaleString("en")} are not drawn: narrow the search, or pin a node, to see others.` : "";
}

function showTable() {
  const columns = COLUMNS.filter((column) => state.columns.has(column.id));
  table.show(linesOf(found, state.group), columns, state.order);
  byId("table").hidden = found.length === 0;
}

function showHits(query, filtered, hits) {
  const disks = found.filter((row) => !row.bare);
  const facts = [
    `${found.length.toLocaleString("en")} of ${countText(map.rows.length, "row")}`,
    countText(countOf(found, VM), "VM"),
    countText(countOf(found, LUN), "LUN"),
    sumText(sumOf(disks)),
  ];
  const readings = hits.length ? query.filter((wanted) => lunName(wanted.word)) : query;
  byId("hits").replaceChildren(
    ...(found.length ? [element("p", {}, facts.filter(known).join(" \u00b7 "))] : nothingFound(query, filtered)),
    ...readings.filter(readingOf).map((wanted) => element("p", { className: "reading" }, element("bdi", {}, wanted.word), `: ${readingOf(wanted)}`)),
  );
}

/** Why nothing is shown: of several words each alone, and what the filters keep back. */
function nothingFound(query, filtered) {
  const said = [element("p", {}, element("strong", {}, "Nothing found"), query.length ? " for " : ".", element("bdi", {}, query.map((wanted) => wanted.word).join(" ")))];
  if (query.length > 1) {
    const alone = query.flatMap((wanted) => [element("bdi", {}, wanted.word), `: ${countText(search(filtered, [wanted]).length, "row")}`, ", "]);
    said.push(element("p", {}, "Each word alone: ", ...alone.slice(0, -1)));
  }
  const without = search(map.rows, query).length;
  if (without) said.push(element("p", {}, `Without the filters: ${countText(without, "row")}.`));
  return said;
}

function showSummary() {
  const disks = map.rows.filter((row) => !row.bare);
  const machines = map.machines ?? countOf(disks, VM);
  const figures = [
    [machines, "VM"],
    [countOf(disks, DISK), "disk"],
    [countOf(map.rows, LUN), "LUN"],
    [countOf(map.rows, ARRAY), "array"],
  ].map(([count, noun]) => {
    const [number, ...name] = countText(count, noun).split(" ");
    return element("li", {}, element("b", {}, number), ` ${name.join(" ")}`);
  });
  const sum = sumText(sumOf(disks));
  if (sum) figures.push(element("li", { title: "Size of the disks" }, sum));
  byId("figures").replaceChildren(...figures);
  byId("generated").textContent = map.generated ? `Written ${timeText(map.generated)} (${ageText(map.generated, Date.now())}).` : "";
}

function showAttention() {
  const counts = ATTENTION.map((kind) => ({ ...kind, count: map.rows.filter((row) => row.attention.includes(kind.id)).length }));
  byId("attention").replaceChildren(
    ...counts.map(({ id, label, hint, count, calm }) => {
      const button = element("button", { type: "button", title: hint, disabled: count === 0, className: count && !calm ? "wrong" : "" }, element("b", {}, count.toLocaleString("en")), ` ${label}`);
      button.dataset.attention = id;
      button.addEventListener("click", () => {
        if (!state.attention.delete(id)) state.attention.add(id);
        refresh();
      });
      return element("li", {}, button);
    }),
  );
}

function showEndpoints() {
  const bad = map.endpoints.filter((endpoint) => endpoint.status !== "ok");
  byId("endpoints").open = map.endpoints.length <= 4 || bad.length > 0;
  byId("endpointsum").textContent = `${countText(map.endpoints.length, "endpoint")}${bad.length ? `, of which ${bad.length} stale or missing` : ", all read"}`;
  byId("endpointsum").className = bad.length ? "wrong" : "";
  byId("endpointlist").replaceChildren(...map.endpoints.map(endpointElement));
}

function endpointElement(endpoint) {
  const name = element("button", { type: "button", title: "Show only what this endpoint tells" }, element("bdi", {}, endpoint.name || endpoint.address));
  name.dataset.endpoint = endpoint.key;
  name.addEventListener("click", () => {
    state.endpoint = state.endpoint === endpoint.key ? null : endpoint.key;
    refresh();
  });
  const age = endpoint.observed ? ` (${ageText(endpoint.observed, Date.now())})` : "";
  const seen = endpoint.status === "missing" && !endpoint.observed ? "never read" : `read ${timeText(endpoint.observed)}${age}`;
  const address = endpoint.address === endpoint.name ? "" : endpoint.address;
  const facts = [endpoint.type, address, seen].filter(known).map((fact) => element("bdi", { className: "fact" }, fact));
  const told = [endpoint.reason, ...(endpoint.warnings || [])].filter(known).map((text) => element("li", {}, element("bdi", {}, text)));
  const verdict = endpoint.status === "ok" ? [] : [element("strong", { className: "wrong" }, ` ${endpoint.status}`)];
  return element("li", {}, name, ...verdict, ...facts, ...(told.length ? [element("ul", {}, ...told)] : []));
}

function showChips() {
  for (const button of document.querySelectorAll("[data-attention]")) button.setAttribute("aria-pressed", state.attention.has(button.dataset.attention));
  for (const button of document.querySelectorAll("[data-endpoint]")) button.setAttribute("aria-pressed", button.dataset.endpoint === state.endpoint);
  const pin = byId("pin");
  pin.hidden = state.pin === null;
  if (state.pin) pin.replaceChildren("Only what passes ", element("bdi", {}, `${LAYERS[state.pin.layer]} ${state.pin.label}`), " \u00d7");
}

function showColumns() {
  byId("columns").replaceChildren(
    ...COLUMNS.map((column) => {
      const box = element("input", { type: "checkbox", checked: state.columns.has(column.id), disabled: column.id === "vm" });
      box.addEventListener("change", () => {
        if (!state.columns.delete(column.id)) state.columns.add(column.id);
        showTable();
        remember();
      });
      return element("label", {}, box, ` ${column.label}`);
    }),
  );
}

function orderBy(column) {
  const { order } = state;
  if (order.column !== column) state.order = { column, down: false };
  else state.order = order.down ? { column: null, down: false } : { column, down: true };
  reorder();
}

function pinNode(node) {
  state.pin = node;
  refresh();
}

function openRow(row) {
  const facts = COLUMNS.map((column) => [column.label, column.text(row)]).filter(([, text]) => text);
  byId("facts").replaceChildren(...facts.flatMap(([label, text]) => [element("dt", {}, label), element("dd", {}, element("bdi", {}, text))]));
  byId("rowtitle").textContent = [row.vm_name, row.disk].filter(known).join(": ") || row.lun_path || row.device;
  const lowest = row.nodes[DISK] ? DISK : row.nodes.findIndex(Boolean);
  byId("rowpin").onclick = () => {
    byId("row").close();
    pinNode({ id: nodeId(lowest, row.nodes[lowest]), layer: lowest, label: nodeLabel(row, lowest)[0] });
    byId("drawing").scrollIntoView();
  };
  byId("row").showModal();
  byId("rowclose").focus();
}

/** What is asked for is part of the address, so that it can be sent to somebody; browsers want it no more often than people pause. */
function remember() {
  clearTimeout(remembering);
  remembering = setTimeout(tellAddress, 300);
}

function tellAddress() {
  const told = new URLSearchParams();
  if (state.query) told.set("q", state.query);
  if (state.attention.size) told.set("show", [...state.attention].join(" "));
  if (state.group !== "vm") told.set("by", state.group);
  const extra = COLUMNS.filter((column) => Boolean(column.first) !== state.columns.has(column.id)).map((column) => column.id);
  if (extra.length) told.set("columns", extra.join(" "));
  history.replaceState(null, "", `#${told}`);
}

function recall() {
  const told = new URLSearchParams(location.hash.slice(1));
  const words = (name) => (told.get(name) || "").split(" ");
  state.query = told.get("q") || "";
  state.attention = new Set(words("show").filter((id) => ATTENTION.some((kind) => kind.id === id)));
  state.group = ["vm", "lun", "none"].includes(told.get("by")) ? told.get("by") : "vm";
  const changed = new Set(words("columns"));
  state.columns = new Set(COLUMNS.filter((column) => Boolean(column.first) !== changed.has(column.id)).map((column) => column.id));
  byId("search").value = state.query;
  for (const choice of document.getElementsByName("group")) choice.checked = choice.value === state.group;
  showColumns();
}

function listen() {
  byId("search").addEventListener("input", (event) => {
    state.query = event.target.value;
    refresh();
  });
  for (const choice of document.getElementsByName("group")) {
    choice.addEventListener("change", () => {
      state.group = choice.value;
      reorder();
    });
  }
  byId("pin").addEventListener("click", () => pinNode(null));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input, dialog *")) return;
    event.preventDefault();
    byId("search").focus();
  });
  window.addEventListener("hashchange", () => {
    recall();
    reorder();
  });
  window.addEventListener("beforeprint", () => {
    const left = table.unroll();
    byId("printed").textContent = left ? `${countText(left, "row")} of ${found.length.toLocaleString("en")} are not printed: search for less to print the others.` : "";
  });
  window.addEventListener("afterprint", () => table.draw());
}

showSummary();
showAttention();
showEndpoints();
recall();
listen();
reorder();
setTimeout(() => map.rows.forEach(searchText), 200);
