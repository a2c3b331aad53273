// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The table: one line for each group and row, of which only those in sight are in the document.

const OVERSCAN_LINES = 8;
const PRINTED_ROWS = 2000;

const TEXT = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function plain(name) {
  return (row) => (known(row[name]) ? String(row[name]) : "");
}

function place(row) {
  return [row.array || row.array_address, row.svm, row.volume].filter(known).join(" \u203a ");
}

function pathsText(row) {
  if (!known(row.paths_live)) return "";
  return row.paths_dead ? `${row.paths_live} live, ${row.paths_dead} dead` : `${row.paths_live} live`;
}

function bytesOf(name) {
  return (row) => (known(row[name]) ? row[name] : 0);
}

const STATUS_TEXT = { mapped: "mapped", local: "local", unresolved: "unresolved" };

const COLUMNS = [
  { id: "vm", label: "VM", text: (row) => (row.bare ? "(no VM)" : vmName(row)), first: true },
  { id: "disk", label: "Disk", text: plain("disk"), first: true },
  { id: "size", label: "Size", text: (row) => (row.bare ? "" : sizeText(row.size_bytes)), order: bytesOf("size_bytes"), first: true, number: true },
  { id: "lun", label: "LUN", text: (row) => row.lun_path || row.device || "", first: true },
  { id: "place", label: "Array \u203a SVM \u203a volume", text: place, first: true },
  { id: "state", label: "State", text: plain("storage_state"), first: true },
  { id: "paths", label: "Paths", text: pathsText, order: (row) => (known(row.paths_live) ? row.paths_live : Infinity), first: true },
  { id: "status", label: "Status", text: statusText, first: true },
  { id: "endpoint", label: "Endpoint", text: plain("endpointName") },
  { id: "address", label: "Address of the endpoint", text: plain("hypervisor") },
  { id: "type", label: "Hypervisor", text: plain("hypervisor_type") },
  { id: "cluster", label: "Cluster", text: plain("cluster") },
  { id: "host", label: "Host", text: plain("host") },
  { id: "kind", label: "Kind", text: plain("kind") },
  { id: "thin", label: "Thin", text: (row) => (row.thin === true ? "thin" : row.thin === false ? "thick" : "") },
  { id: "controller", label: "Controller", text: (row) => (row.controller ? row.controller + (known(row.unit) ? ` : ${row.unit}` : "") : "") },
  { id: "mounts", label: "Mounted at", text: (row) => (row.mounts || []).join(", ") },
  { id: "file", label: "File", text: plain("path") },
  { id: "device", label: "Host device", text: plain("device") },
  { id: "naa", label: "NAA", text: plain("naa") },
  { id: "serial", label: "Serial", text: plain("serial") },
  { id: "number", label: "LUN number", text: plain("lun_id"), number: true },
  { id: "share", label: "Share of the disk", text: (row) => (known(row.share_bytes) && row.size_bytes ? (row.share_bytes ? sizeText(row.share_bytes) : "counted elsewhere") : ""), order: bytesOf("share_bytes"), number: true },
  { id: "lunsize", label: "Size of the LUN", text: (row) => (row.naa ? sizeText(row.lun_size_bytes) : ""), order: bytesOf("lun_size_bytes"), number: true },
  { id: "used", label: "Used of the LUN", text: (row) => (row.naa ? (row.lun_used_bytes === 0 ? "nothing" : sizeText(row.lun_used_bytes)) : ""), order: bytesOf("lun_used_bytes"), number: true },
  { id: "arrayaddress", label: "Address of the array", text: plain("array_address") },
  { id: "strangers", label: "Seen by strangers", text: (row) => row.strangers.join(", ") },
  { id: "observed", label: "Observed", text: (row) => timeText(row.observed) },
  { id: "reason", label: "Because", text: plain("reason") },
  { id: "wayout", label: "Way out", text: plain("way_out") },
];

function statusText(row) {
  const wrong = ATTENTION.filter((kind) => !kind.calm && kind.id !== "unresolved" && row.attention.includes(kind.id)).map((kind) => kind.label);
  return [STATUS_TEXT[row.status] || row.status || "unknown", ...wrong].join(", ");
}

function isWrong(row) {
  return row.attention.some((id) => !ATTENTION.find((kind) => kind.id === id).calm);
}

const GROUPS = {
  vm: { layer: VM, label: (row) => (row.bare ? "LUNs under no VM" : vmName(row)), order: (row) => (row.bare ? "\uffff" : row.vm_name), facts: factsOfVm },
  lun: { layer: LUN, label: (row) => row.lun_path || row.device || "(on no LUN)", order: (row) => row.lun_path || `\uffff${row.device}`, facts: factsOfLun },
};

function factsOfVm(rows) {
  const [row] = rows;
  if (row.bare) return [countText(rows.length, "LUN")];
  return [row.endpointName, row.cluster, row.host, countText(countOf(rows, DISK), "disk"), sumText(sumOf(rows))];
}

function factsOfLun(rows) {
  const [row] = rows;
  const machines = countOf(rows, VM);
  const luns = row.naa ? [`naa.${row.naa}`, row.serial && `serial ${row.serial}`, `LUN of ${sizeText(row.lun_size_bytes)}`] : [];
  return [machines ? countText(machines, "VM") : "no VM", sumText(sumOf(rows)), place(row), ...luns];
}

/** The rows in order: by a column, or as the groups are ordered. `order` is `{column, down}`, its column null for the latter. */
function sorted(rows, group, order) {
  const column = COLUMNS.find((one) => one.id === order.column);
  const value = column ? column.order || column.text : (GROUPS[group] || GROUPS.vm).order;
  const keyed = rows.map((row, index) => ({ row, index, value: value(row) }));
  const way = order.down ? -1 : 1;
  const compare = keyed.length && typeof keyed[0].value === "number" ? (one, other) => one - other : TEXT.compare;
  keyed.sort((one, other) => way * compare(one.value, other.value) || one.index - other.index);
  return keyed.map((entry) => entry.row);
}

/** The lines of the table: `{row}`, and before the rows of a group `{group, rows}`. */
function linesOf(rows, group) {
  if (!GROUPS[group]) return rows.map((row) => ({ row }));
  const groups = new Map();
  for (const row of rows) {
    const id = row.nodes[GROUPS[group].layer] || (group === "lun" ? row.device || null : null);
    if (!groups.has(id)) groups.set(id, []);
    groups.get(id).push(row);
  }
  return [...groups.values()].flatMap((members) => [{ group, rows: members }, ...members.map((row) => ({ row }))]);
}

class Table {
  /** `onOrder(column)` is told which column people sort by, `onOpen(row)` which row they open. */
  constructor(scroller, { onOrder, onOpen }) {
    Object.assign(this, { scroller, onOrder, onOpen, lines: [], tops: [0], shown: new Map(), columns: [] });
    this.table = scroller.querySelector("table");
    [this.head, this.body] = [this.table.tHead, this.table.tBodies[0]];
    this.above = element("tr", { className: "space", ariaHidden: "true" }, element("td"));
    this.below = element("tr", { className: "space", ariaHidden: "true" }, element("td"));
    this.body.replaceChildren(this.above, this.below);
    scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.measure()).observe(scroller);
  }

  /** Show these lines in these columns, from the top. */
  show(lines, columns, order) {
    this.lines = lines;
    this.columns = columns;
    this.table.setAttribute("aria-rowcount", lines.length + 1);
    this.drawHead(order);
    this.scroller.scrollTop = 0;
    this.forget();
    this.measure();
  }

  forget() {
    for (const line of this.shown.values()) line.remove();
    this.shown.clear();
  }

  measure() {
    const style = getComputedStyle(this.scroller);
    const [group, row] = ["--group-line", "--row-line"].map((name) => parseFloat(style.getPropertyValue(name)));
    if (this.heights !== `${group} ${row}`) this.forget();
    this.heights = `${group} ${row}`;
    this.tops = [0];
    for (const line of this.lines) this.tops.push(this.tops[this.tops.length - 1] + (line.row ? row : group));
    this.draw();
  }

  draw() {
    const top = this.scroller.scrollTop;
    const first = Math.max(0, this.lineAt(top) - OVERSCAN_LINES);
    const last = Math.min(this.lines.length, this.lineAt(top + this.scroller.clientHeight) + 1 + OVERSCAN_LINES);
    this.drawLines(first, last);
  }

  drawLines(first, last) {
    for (const [index, line] of this.shown) {
      if (index >= first && index < last) continue;
      if (line.contains(document.activeElement)) this.scroller.focus({ preventScroll: true });
      line.remove();
      this.shown.delete(index);
    }
    let after = this.above;
    for (let index = first; index < last; index += 1) {
      if (!this.shown.has(index)) {
        this.shown.set(index, this.lineElement(index));
        after.after(this.shown.get(index));
      }
      after = this.shown.get(index);
    }
    setHeight(this.above, this.tops[first]);
    setHeight(this.below, this.tops[this.lines.length] - this.tops[last]);
  }

  /** The index of the line at this height. */
  lineAt(height) {
    let [low, high] = [0, this.lines.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle + 1] <= height) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  lineElement(index) {
    const line = this.lines[index];
    const drawn = line.row ? this.rowElement(line.row) : this.groupElement(line);
    drawn.setAttribute("aria-rowindex", index + 2);
    return drawn;
  }

  groupElement({ group, rows }) {
    const { label, facts } = GROUPS[group];
    const cell = element("th", { colSpan: this.columns.length, scope: "rowgroup" }, element("div", {}, element("bdi", {}, label(rows[0])), ...facts(rows).filter(known).map((fact) => element("bdi", { className: "fact" }, fact))));
    cell.setAttribute("role", "rowheader");
    return roled(element("tr", { className: "group" }, cell), "row");
  }

  rowElement(row) {
    const cells = this.columns.map((column, index) => {
      const text = column.text(row);
      const content = index === 0 ? element("button", { type: "button", title: "All about this row", onclick: () => this.onOpen(row) }, text) : text;
      const cell = element("td", { title: text, className: column.number ? "number" : "" }, content);
      cell.dataset.column = column.id;
      return roled(cell, "cell");
    });
    return roled(element("tr", { className: isWrong(row) ? "needy" : "" }, ...cells), "row");
  }

  drawHead(order) {
    const cells = this.columns.map((column) => {
      const sortedBy = order.column === column.id;
      const button = element("button", { type: "button", title: `Sort by ${column.label}`, onclick: () => this.onOrder(column.id) }, column.label);
      const cell = element("th", { scope: "col", className: column.number ? "number" : "" }, button);
      cell.dataset.column = column.id;
      if (sortedBy) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      return roled(cell, "columnheader");
    });
    const focused = this.columns.findIndex((column) => this.head.contains(document.activeElement) && document.activeElement.parentElement.dataset.column === column.id);
    const row = roled(element("tr", {}, ...cells), "row");
    row.setAttribute("aria-rowindex", 1);
    this.head.replaceChildren(row);
    if (focused >= 0) cells[focused].firstChild.focus();
  }

  /** Put as many lines into the document as are printed, and return how many rows are left out. */
  unroll() {
    const last = Math.min(this.lines.length, PRINTED_ROWS);
    this.drawLines(0, last);
    return this.lines.slice(last).filter((line) => line.row).length;
  }
}

function roled(drawn, role) {
  drawn.setAttribute("role", role);
  return drawn;
}

function setHeight(spacer, height) {
  spacer.hidden = height === 0;
  spacer.firstChild.style.height = `${height}px`;
}
