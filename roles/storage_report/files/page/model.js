// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The map as the page needs it: each row with its places in the picture, what is wrong with it and the text that a search looks into.

const LAYERS = ["VM", "Disk", "Host device", "LUN", "Volume", "Array"];
const [VM, DISK, DEVICE, LUN, VOLUME, ARRAY] = LAYERS.keys();
const GIB = 2 ** 30;
const FINE_STATES = new Set(["", "online", "unknown"]);

const ATTENTION = [
  { id: "unresolved", label: "unresolved", hint: "Nobody can tell on which LUN, volume and array the disk lies.", has: (row) => row.status === "unresolved" },
  { id: "offline", label: "offline", hint: "The array says that the LUN or volume cannot be reached.", has: (row) => !FINE_STATES.has(row.storage_state) },
  { id: "single", label: "single path", hint: "The VM's host has one live path to the LUN, or none.", has: (row) => known(row.paths_live) && row.paths_live < 2 },
  { id: "dead", label: "dead paths", hint: "The VM's host has lost paths to the LUN.", has: (row) => row.paths_dead > 0 },
  { id: "shared", label: "shared LUN", hint: "The LUN is passed through to a VM, and another VM has it or a file on it too.", has: (row) => row.shared },
  { id: "stale", label: "stale", hint: "The endpoint was not read lately: the row may be outdated.", has: (row) => row.stale },
  { id: "strangers", label: "strangers", hint: "The array shows the LUN to initiators that no asked host has.", has: (row) => row.strangers.length > 0 },
  { id: "unused", label: "LUN under no VM", hint: "A host sees the LUN, and no disk of a VM is known on it.", has: (row) => row.bare, calm: true },
];

function known(value) {
  return value !== null && value !== undefined && value !== "";
}

function key(...parts) {
  return parts.join("\u0000");
}

/** The rows of a table as objects that have its columns. Their values stay where they are: to copy those of 10,000 rows takes a tenth of a second. */
function rowsOf({ columns, rows }) {
  class Row {
    #values;
    constructor(values) {
      this.#values = values;
    }
    static column(name, index) {
      Object.defineProperty(Row.prototype, name, {
        get() {
          return this.#values[index];
        },
      });
    }
  }
  columns.forEach(Row.column);
  return rows.map((values) => new Row(values));
}

/** The map with `rows`, to which it adds, `endpoints` and how many VMs it has. What an older map does not tell is unknown. */
function readMap(map) {
  const luns = lunsOf(map.storage_resources || []);
  const mappings = rowsOf(map.mappings);
  const rows = [...mappings, ...unusedOf(luns, mappings).map(asRow)];
  const endpoints = endpointsOf(map.endpoints || [], rows);
  for (const row of rows) {
    const endpoint = endpoints.of(row);
    row.endpointKey = endpoint.key;
    row.endpointName = row.endpoint || `${row.hypervisor_type || ""} ${row.hypervisor || ""}`.trim();
    row.stale = endpoint.status !== "ok";
    row.nodes = nodesOf(row);
    row.strangers = strangersOf(luns.get(row.nodes[LUN]));
  }
  markShared(rows);
  for (const row of rows) row.attention = attentionOf(row);
  return { generated: map.generated, endpoints: endpoints.all, rows, machines: map.virtual_machines };
}

const NO_ATTENTION = [];

function attentionOf(row) {
  const found = ATTENTION.filter((kind) => kind.has(row));
  return found.length ? found.map((kind) => kind.id) : NO_ATTENTION;
}

const NO_ENDPOINT = { key: null, status: "ok" };

/** All endpoints, those that need attention first, and `of(row)`, the row's: by type, address and name, or by what of these is told. */
function endpointsOf(told, rows) {
  const found = new Map();
  const add = ({ type, address, name, ...others }) => {
    const made = { type, address, name, ...others, key: key(type, address, name) };
    for (const id of [made.key, key(type, address), name]) if (!found.has(id)) found.set(id, made);
  };
  const of = ({ hypervisor_type: type, hypervisor: address, endpoint: name }) => found.get(key(type, address, name)) || found.get(key(type, address)) || found.get(name);
  told.forEach(add);
  for (const row of rows) {
    if (row.bare || of(row)) continue;
    add({ name: row.endpoint || row.hypervisor, type: row.hypervisor_type, address: row.hypervisor, observed: row.observed, status: "ok" });
  }
  const all = [...new Set(found.values())];
  return { all: all.sort((one, other) => (one.status === "ok") - (other.status === "ok")), of: (row) => of(row) || NO_ENDPOINT };
}

/** By LUN, what each endpoint that sees it tells of it. */
function lunsOf(resources) {
  const luns = new Map();
  for (const found of resources) {
    if (!found.naa && !found.lun_path) continue;
    const id = lunKey(found);
    if (!luns.has(id)) luns.set(id, []);
    luns.get(id).push(found);
  }
  return luns;
}

/** One resource for each LUN on which no endpoint knows a VM. */
function unusedOf(luns, mappings) {
  const used = new Set(mappings.map(lunKey));
  const idle = (told) => told.every((one) => one.kind === "lun" && one.virtual_machines.length === 0);
  return [...luns].filter(([id, told]) => !used.has(id) && idle(told)).map(([, told]) => told[0]);
}

/** The initiators that are strangers to each endpoint that sees the LUN: the hosts of one are strangers to the others. */
function strangersOf(told) {
  if (!told) return [];
  const [first, ...others] = told.map((one) => one.strangers || []);
  return first.filter((initiator) => others.every((strangers) => strangers.includes(initiator)));
}

function asRow(resource) {
  const paths = resource.paths || [];
  const least = paths.length ? paths.reduce((one, other) => (other.live < one.live ? other : one)) : {};
  return {
    ...resource,
    bare: true,
    vm_name: "",
    disk: "",
    kind: "",
    host: (resource.hosts || []).join(", "),
    path: (resource.file_systems || []).join(", "),
    size_bytes: 0,
    share_bytes: 0,
    lun_size_bytes: resource.lun_size_bytes || resource.size_bytes,
    paths_live: least.live,
    paths_dead: least.dead,
  };
}

function lunKey(row) {
  return key(row.array_address || "", row.naa || key(row.svm, row.lun_path));
}

/** The row's node of each layer, null where it has none. */
function nodesOf(row) {
  const vm = row.bare ? null : key(row.endpointKey, row.vm_id || row.vm_name);
  return [
    vm,
    vm && row.disk ? key(vm, row.disk) : null,
    row.device ? key(row.endpointKey, row.host, row.device) : null,
    row.naa || row.lun_path ? lunKey(row) : null,
    row.volume ? key(row.array_address, row.svm, row.volume) : null,
    row.array || row.array_address ? key(row.array_type, row.array_address || row.array) : null,
  ];
}

function vmName(row) {
  return row.vm_name.trim() ? row.vm_name : "(no name)";
}

/** What a node is called, and what tells it from others of the same name. */
function nodeLabel(row, layer) {
  switch (layer) {
    case VM: return [vmName(row), row.endpointName];
    case DISK: return [row.disk, row.vm_name];
    case DEVICE: return [row.device, row.host];
    case LUN: return [row.lun_path ? row.lun_path.split("/").pop() : row.naa, row.lun_path || row.naa];
    case VOLUME: return [row.volume, row.svm];
    default: return [row.array || row.array_address, row.array_address];
  }
}

function markShared(rows) {
  const machines = new Map();
  const raw = new Set();
  for (const row of rows) {
    const lun = row.nodes[LUN];
    if (!lun || row.bare) continue;
    if (!machines.has(lun)) machines.set(lun, new Set());
    machines.get(lun).add(row.nodes[VM]);
    if (row.kind === "passthrough") raw.add(lun);
  }
  for (const row of rows) row.shared = raw.has(row.nodes[LUN]) && machines.get(row.nodes[LUN]).size > 1;
}

const SEARCHED = [
  "vm_name", "disk", "lun_path", "volume", "svm", "array", "array_address", "serial", "host", "cluster", "endpointName", "hypervisor", "device",
  "path", "kind", "status", "storage_state", "reason", "vm_id", "hypervisor_type",
];

/** What a search looks into, in lower case. It is made when it is first asked for. */
function searchText(row) {
  if (row.text === undefined) row.text = textOf(row);
  return row.text;
}

function textOf(row) {
  const parts = SEARCHED.map((name) => row[name]).filter(known);
  if (row.naa) parts.push(`naa.${row.naa}`, `wwn-0x${row.naa}`, `scsi-3${row.naa}`);
  if (row.svm && row.lun_path) parts.push(`${row.svm}:${row.lun_path}`);
  parts.push(...(row.mounts || []));
  return parts.join("\n").toLowerCase();
}

/** The known bytes of the disks of these rows, and of how many the size is unknown. A disk on several LUNs counts once. */
function sumOf(rows) {
  let bytes = 0;
  const whole = new Set();
  const unknown = new Set();
  for (const row of rows) {
    const disk = row.nodes[DISK];
    if (!disk) continue;
    if (!row.size_bytes) {
      if (row.share_bytes) bytes += row.share_bytes;
      else unknown.add(disk);
    } else if (known(row.share_bytes)) {
      bytes += row.share_bytes;
    } else if (!whole.has(disk)) {
      whole.add(disk);
      bytes += row.size_bytes;
    }
  }
  if (unknown.size) for (const row of rows) if (row.size_bytes) unknown.delete(row.nodes[DISK]);
  return { bytes, unknown: unknown.size };
}

/** How many different nodes of a layer these rows have. */
function countOf(rows, layer) {
  const found = new Set();
  for (const row of rows) found.add(row.nodes[layer]);
  found.delete(null);
  return found.size;
}

function sizeText(bytes) {
  if (!bytes) return "unknown";
  const units = ["GiB", "TiB", "PiB"];
  let value = bytes / GIB;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 0.1 ? "< 0.1" : value.toFixed(1).replace(/\.0$/, "")} ${units[unit]}`;
}

function sumText({ bytes, unknown }) {
  if (!unknown) return bytes ? sizeText(bytes) : "";
  return bytes ? `${sizeText(bytes)} + ${countText(unknown, "disk")} of unknown size` : `${countText(unknown, "disk")} of unknown size`;
}

function countText(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

function ageText(then, now) {
  const minutes = Math.floor((now - Date.parse(then)) / 60000);
  if (Number.isNaN(minutes)) return "";
  if (minutes < 1) return "just now";
  if (minutes < 120) return `${minutes} min ago`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h ago` : `${Math.floor(minutes / 1440)} days ago`;
}

/** An ISO 8601 time of the map for people. */
function timeText(time) {
  return known(time) ? time.replace("T", " ").replace("Z", " UTC") : "at an unknown time";
}
