// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What is looked for: words, all of which a row must have, each as it is written or as the name of a LUN.

/** The words of a query, each with the NAA digits that it may spell. */
function readQuery(query) {
  return query.split(/\s+/).filter(Boolean).map((word) => ({ word, folded: word.toLowerCase(), names: namesIn(word) }));
}

function namesIn(word) {
  const name = lunName(word);
  if (name) return [name];
  const serial = netappSerial(word);
  return serial ? namesOfSerial(serial) : [];
}

function hasWord(row, wanted) {
  return searchText(row).includes(wanted.folded) || wanted.names.includes(row.naa);
}

/** The rows that have every word. */
function search(rows, query) {
  return query.reduce((found, wanted) => found.filter((row) => hasWord(row, wanted)), rows);
}

/** How a word was understood, as a sentence, or empty when it is no name of a LUN. */
function readingOf({ word, names }) {
  const [name] = names;
  if (!name) return "";
  const serial = serialInName(name);
  const spelled = lunName(word) ? `read as the LUN naa.${name}` : `as the serial number of a LUN on ONTAP, that is naa.${name}`;
  return lunName(word) && serial ? `${spelled}, serial ${serial}` : spelled;
}
