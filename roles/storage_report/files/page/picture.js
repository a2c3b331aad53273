// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The picture: the nodes of rows in six layers, of which a bounded number is drawn.

const SVG = "http://www.w3.org/2000/svg";
const MOST_NODES = 24; // of one layer
const NODE_WIDTH = 172;
const NODE_HEIGHT = 24;
const LINE_HEIGHT = 30;
const LAYER_WIDTH = 204; // so that all six fit into 1280 pixels
const MOST_LINES_APART = 4;
const LABEL_CHARACTERS = 21;
const MOST_LOOKED_AT = 1000; // rows

/** The rows that fit into the picture, in their order, those of `first` before others, and how many do not. */
function drawable(rows, first) {
  const nodes = LAYERS.map(() => new Set());
  const chosen = new Set();
  const choose = (row) => {
    const fits = row.nodes.every((id, layer) => !id || nodes[layer].has(id) || nodes[layer].size < MOST_NODES);
    if (!fits) return;
    row.nodes.forEach((id, layer) => id && nodes[layer].add(id));
    chosen.add(row);
  };
  first.forEach(choose);
  rows.slice(0, MOST_LOOKED_AT).forEach(choose);
  return { chosen: rows.filter((row) => chosen.has(row)), left: rows.length - chosen.size };
}

/** Nodes with their `x` and `y`, the edges between them, and the height of all. */
function layout(rows) {
  const nodes = new Map();
  const edges = new Map();
  for (const row of rows) {
    let previous = null;
    row.nodes.forEach((id, layer) => {
      if (!id) return;
      const node = entry(nodes, nodeId(layer, id), () => ({ id: nodeId(layer, id), layer, row, rows: new Set(), before: new Set(), after: new Set(), ends: false }));
      node.rows.add(row);
      if (previous) {
        entry(edges, `${previous.id} ${node.id}`, () => ({ from: previous, to: node, rows: new Set() })).rows.add(row);
        previous.after.add(node);
        node.before.add(previous);
      }
      previous = node;
    });
    if (previous && row.status === "unresolved") previous.ends = true;
  }
  const layers = LAYERS.map((_, layer) => [...nodes.values()].filter((node) => node.layer === layer));
  const lines = Math.max(...layers.map((layer) => layer.length));
  for (const layer of layers) spread(layer, lines);
  return { nodes: [...nodes.values()], edges: [...edges.values()], layers, height: lines * LINE_HEIGHT };
}

function nodeId(layer, id) {
  return `${layer} ${id}`;
}

function entry(map, id, made) {
  if (!map.has(id)) map.set(id, made());
  return map.get(id);
}

/** Give the nodes of a layer the height, but not so that few stand far apart, in the order of those that lie on them. */
function spread(layer, lines) {
  const wanted = new Map(layer.map((node, index) => [node, node.layer === VM ? index : mean([...node.before].map((other) => other.y))]));
  layer.sort((one, other) => wanted.get(one) - wanted.get(other));
  const apart = Math.min(lines / layer.length, MOST_LINES_APART) * LINE_HEIGHT;
  layer.forEach((node, index) => {
    node.x = node.layer * LAYER_WIDTH;
    node.y = (index + 0.5) * apart;
  });
}

function mean(numbers) {
  return numbers.length ? numbers.reduce((sum, number) => sum + number, 0) / numbers.length : Number.MAX_VALUE;
}

function shortened(text) {
  const characters = [...text];
  return characters.length > LABEL_CHARACTERS ? `${characters.slice(0, LABEL_CHARACTERS - 8).join("")}\u2026${characters.slice(-7).join("")}` : text;
}

function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

class Picture {
  /** `onPin(node)` is told the node that people pin, null when they let go of it. */
  constructor(box, onPin) {
    Object.assign(this, { box, onPin, drawn: new Map(), pinned: null });
    box.addEventListener("keydown", (event) => this.move(event));
  }

  /** Draw these rows, and return how many are left out. The rows `first` are drawn in any case; `pin` is the pinned node's id or null. */
  show(rows, first, pin) {
    const { chosen, left } = drawable(rows, first);
    const { nodes, edges, layers, height } = layout(chosen);
    const focused = document.activeElement && this.box.contains(document.activeElement) ? document.activeElement.dataset.node : null;
    this.layers = layers;
    this.edges = edges.map((edge) => ({ ...edge, element: edgeElement(edge) }));
    this.drawn = new Map(nodes.map((node) => [node.id, { ...node, element: this.nodeElement(node, node.id === pin) }]));
    this.pinned = pin;
    const width = LAYERS.length * LAYER_WIDTH - (LAYER_WIDTH - NODE_WIDTH);
    const heads = element("div", { className: "layers", ariaHidden: "true" }, ...LAYERS.map((name, layer) => element("span", {}, layers[layer].length ? name : "")));
    const drawing = svg("svg", { width, height: height + 2, viewBox: `0 0 ${width} ${height + 2}`, role: "group", "aria-label": "VMs, their disks and what lies under them" });
    drawing.append(...this.edges.map((edge) => edge.element), ...[...this.drawn.values()].map((node) => node.element));
    this.drawing = drawing;
    this.box.replaceChildren(heads, drawing);
    const start = this.drawn.get(focused) || this.drawn.get(pin) || this.drawn.values().next().value;
    if (start) start.element.setAttribute("tabindex", "0");
    if (this.drawn.has(focused)) this.drawn.get(focused).element.focus({ preventScroll: true });
    this.follow(null);
    return left;
  }

  nodeElement(node, pinned) {
    const [label, more] = nodeLabel(node.row, node.layer);
    const wrong = node.ends || (node.layer === LUN && [...node.rows].some(isWrong));
    const made = svg(
      "g",
      {
        class: `node layer${node.layer}${wrong ? " wrong" : ""}`,
        transform: `translate(${node.x},${node.y - NODE_HEIGHT / 2 + 1})`,
        role: "button",
        tabindex: "-1",
        "aria-pressed": String(pinned),
        "aria-label": `${LAYERS[node.layer]} ${label}, ${[...new Set([more])].filter((text) => known(text) && text !== label).join(", ")}${wrong ? ", needs attention" : ""}`,
      },
      svg("title", {}, [...new Set([label, more])].filter(known).join("\n")),
      svg("rect", { width: NODE_WIDTH, height: NODE_HEIGHT, rx: 4 }),
      svg("svg", { x: 8, width: NODE_WIDTH - 12, height: NODE_HEIGHT }, svg("text", { y: 16 }, (wrong ? "\u26a0 " : "") + shortened(label))),
    );
    made.dataset.node = node.id;
    made.addEventListener("mouseenter", () => this.follow(node.id));
    made.addEventListener("mouseleave", () => this.follow(null));
    made.addEventListener("focus", () => this.follow(node.id));
    made.addEventListener("blur", () => this.follow(null));
    made.addEventListener("click", () => this.pin(node.id));
    return made;
  }

  pin(id) {
    const { layer, row } = this.drawn.get(id);
    this.onPin(id === this.pinned ? null : { id, layer, label: nodeLabel(row, layer)[0] });
  }

  /** Light up the paths through a node, or through the pinned one. */
  follow(id) {
    const node = this.drawn.get(id) || this.drawn.get(this.pinned);
    this.drawing.classList.toggle("following", Boolean(node));
    const lit = (part) => Boolean(node) && !part.rows.isDisjointFrom(node.rows);
    for (const part of [...this.drawn.values(), ...this.edges]) part.element.classList.toggle("lit", lit(part));
  }

  /** Arrow keys go to the next node of the layer, or along a path; Enter and space pin, Escape lets go. */
  move(event) {
    const node = this.drawn.get(event.target.dataset.node);
    if (!node) return;
    const beside = (step) => this.layers[node.layer][this.layers[node.layer].findIndex((other) => other.id === node.id) + step];
    const goals = {
      ArrowDown: () => beside(1),
      ArrowUp: () => beside(-1),
      ArrowRight: () => node.after.values().next().value,
      ArrowLeft: () => node.before.values().next().value,
    };
    if (goals[event.key]) this.focus(node, goals[event.key]());
    else if (event.key === "Enter" || event.key === " ") this.pin(node.id);
    else if (event.key === "Escape" && this.pinned) this.onPin(null);
    else return;
    event.preventDefault();
  }

  focus(from, to) {
    if (!to) return;
    const { element: goal } = this.drawn.get(to.id);
    from.element.setAttribute("tabindex", "-1");
    goal.setAttribute("tabindex", "0");
    goal.focus();
  }
}

function edgeElement({ from, to }) {
  const [left, right] = [from.x + NODE_WIDTH, to.x];
  const middle = (left + right) / 2;
  return svg("path", { class: "edge", d: `M${left},${from.y + 1}C${middle},${from.y + 1} ${middle},${to.y + 1} ${right},${to.y + 1}` });
}
