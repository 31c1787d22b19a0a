// The gallery: which examples are shown, in which order, a page at a time.

const state = {sort: "scores", descending: false, label: -1, guess: -1, ranges: new Map(), page: 0, size: 60, focus: 0};
// All that is unpacked, by name; `values` holds the scores by theirs.
const data = {values: new Map(), ends: new Map()};
const orders = new Map();
let chosen = new Uint32Array(0);
let histograms = new Map();

const byName = new Map(ABOUT.columns.map((column) => [column.name, column]));
const $ = (id) => document.getElementById(id);

// All examples by a score, the first of equal ones first, those without it last.
function orderBy(name, descending) {
  const key = `${name} ${descending}`;
  if (!orders.has(key)) {
    const values = data.values.get(name);
    const far = (value) => (Number.isNaN(value) ? Infinity : descending ? -value : value);
    const keys = Float32Array.from(values, far);
    const order = Uint32Array.from(values, (_, i) => i);
    // Infinities are equal, and so their difference must not be taken.
    orders.set(key, order.sort((a, b) => (keys[a] === keys[b] ? a - b : keys[a] < keys[b] ? -1 : 1)));
  }
  return orders.get(key);
}

// A function that tells whether example i passes all filters.
function makeFilter() {
  const ranges = [...state.ranges].map(([name, range]) => [data.values.get(name), data.ends.get(name), range]);
  return (i) => {
    if (state.label >= 0 && data.labels[i] !== state.label) return false;
    if (state.guess >= 0 && bestGuess(i) !== state.guess) return false;
    for (const [values, ends, range] of ranges) {
      if (Number.isNaN(values[i]) || !inRange(values[i], ends, range)) return false;
    }
    return true;
  };
}

// The most probable class of an example when held out; -1 where it never was.
function bestGuess(i) {
  const most = ABOUT.arrays.guesses.shape[1];
  return Number.isNaN(data.guessProbs[i * most]) ? -1 : data.guesses[i * most];
}

function choose() {
  chosen = orderBy(state.sort, state.descending).filter(makeFilter());
  state.page = 0;
  state.focus = 0;
  for (const histogram of histograms.values()) histogram.draw(chosen);
  showPage();
}

function numPages() {
  return Math.max(1, Math.ceil(chosen.length / state.size));
}

function showPage() {
  state.page = Math.min(Math.max(0, state.page), numPages() - 1);
  const begin = state.page * state.size;
  const own = chosen.subarray(begin, begin + state.size);
  $("gallery").replaceChildren(...Array.from(own, (i, k) => element("li", {}, tile(i, begin + k, k === state.focus))));
  const words = chosen.length === 1 ? "example" : "examples";
  $("said").textContent = `${count(chosen.length)} of ${count(ABOUT.count)} ${words}, page ${count(state.page + 1)} of ` +
    `${count(numPages())}, ${title(byName.get(state.sort))} ${state.descending ? "highest" : "lowest"} first`;
  $("page").value = state.page + 1;
  $("page").max = numPages();
  for (const id of ["first", "previous"]) $(id).disabled = state.page === 0;
  for (const id of ["next", "last"]) $(id).disabled = state.page === numPages() - 1;
  $("nothing").hidden = chosen.length > 0;
}

function nameOf(i) {
  return data.ids[i];
}

function className(label) {
  return ABOUT.classes[label] ?? `class ${label}`;
}

function tile(i, place, focused) {
  const value = show(data.values.get(state.sort)[i]);
  const label = className(data.labels[i]);
  const spoken = `Example ${nameOf(i)}, ${label}, ${title(byName.get(state.sort))} ${value}, ` +
    `${count(place + 1)} of ${count(chosen.length)}`;
  const face = data.places ? picture("train", i, data.places) : has("features") ? featureTable(i, 4) : null;
  return element(
    "button",
    {class: "tile", type: "button", "aria-label": spoken, tabindex: focused ? 0 : -1, "data-example": i,
      onclick: () => openExample(i, place)},
    ...(face ? [face] : [element("span", {class: "id"}, nameOf(i))]),
    element("span", {class: "value"}, value),
    element("span", {class: "class"}, label),
  );
}

// Arrow keys go from picture to picture, and over the edge of a page to the next one.
function moveFocus(event) {
  const tiles = [...$("gallery").querySelectorAll("button")];
  const now = tiles.indexOf(document.activeElement);
  if (now < 0) return;
  const top = tiles[0].getBoundingClientRect().top;
  const columns = Math.max(1, tiles.filter((one) => Math.abs(one.getBoundingClientRect().top - top) < 2).length);
  const moves = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns};
  let next = event.key === "Home" ? 0 : event.key === "End" ? tiles.length - 1 : now + (moves[event.key] ?? NaN);
  if (Number.isNaN(next)) {
    if (event.key === "PageDown") turn(1, true);
    else if (event.key === "PageUp") turn(-1, true);
    else return;
    event.preventDefault();
    return;
  }
  event.preventDefault();
  if (next < 0 || next >= tiles.length) {
    turn(next < 0 ? -1 : 1, true);
    return;
  }
  tiles[now].tabIndex = -1;
  tiles[next].tabIndex = 0;
  state.focus = next;
  tiles[next].focus();
}

function turn(by, focus) {
  const page = Math.min(Math.max(0, state.page + by), numPages() - 1);
  if (page === state.page) return;
  state.page = page;
  state.focus = focus && by < 0 ? Math.min(state.size, chosen.length - page * state.size) - 1 : 0;
  showPage();
  if (focus) $("gallery").querySelectorAll("button")[state.focus]?.focus();
}
