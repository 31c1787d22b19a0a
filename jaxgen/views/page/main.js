// Ties the controls to the gallery, once everything that it needs is unpacked.

function redraw() {
  const shown = [byName.get(state.sort)];
  if ($("more-scores")?.open) shown.push(...ABOUT.columns.filter((column) => column.name !== state.sort));
  histograms = new Map(shown.map((column) => [column.name, makeHistogram(column, data.values.get(column.name),
    state.ranges.get(column.name) ?? null, (range) => {
      if (range) state.ranges.set(column.name, range);
      else state.ranges.delete(column.name);
      chooseSoon();
    })]));
  const [first, ...rest] = [...histograms.values()].map((histogram) => histogram.figure);
  $("main-histogram").replaceChildren(first);
  $("histograms")?.replaceChildren(...rest);
  choose();
}

const chooseSoon = once(choose);

function readControls() {
  state.sort = $("sort").value;
  state.descending = $("order").value === "high";
  state.label = Number($("label").value);
  state.guess = $("guess") ? Number($("guess").value) : -1;
  state.size = Number($("size").value);
}

function startOver() {
  for (const id of ["label", "guess"]) if ($(id)) $(id).value = "-1";
  state.ranges.clear();
  readControls();
  redraw();
}

function find() {
  const wanted = $("find").value.trim();
  const i = data.ids.indexOf(wanted);
  if (i >= 0) openExample(i, chosen.indexOf(i));
  else $("found").textContent = `There is no example ${wanted}`;
}

function listen() {
  $("sort").addEventListener("change", () => {
    // Suspicious examples first, unless the reader says otherwise.
    $("order").value = byName.get($("sort").value).suspicious > 0 ? "high" : "low";
    readControls();
    redraw();
  });
  for (const id of ["order", "label", "guess", "size"]) {
    $(id)?.addEventListener("change", () => {
      readControls();
      choose();
    });
  }
  $("more-scores")?.addEventListener("toggle", redraw);
  $("over").addEventListener("click", startOver);
  $("seek").addEventListener("submit", (event) => {
    event.preventDefault();
    $("found").textContent = "";
    find();
  });
  $("gallery").addEventListener("keydown", moveFocus);
  for (const [id, by] of [["first", -Infinity], ["previous", -1], ["next", 1], ["last", Infinity]]) {
    $(id).addEventListener("click", () => turn(by, false));
  }
  $("page").addEventListener("change", () => {
    state.page = Math.round(Number($("page").value) || 1) - 1;
    state.focus = 0;
    showPage();
  });
  $("close").addEventListener("click", () => $("details").close());
  $("before").addEventListener("click", () => step(-1));
  $("after").addEventListener("click", () => step(1));
  $("details").addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  // Focus goes back to where the reader was, also after steps to other pages.
  $("details").addEventListener("close", () => $("gallery").querySelector('[tabindex="0"]')?.focus());
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
}

async function start() {
  const [labels, ids, places, guesses, guessProbs, features] = await Promise.all(
    ["labels", "ids", "place:train", "guesses", "guess_probs", "features"].map(load));
  Object.assign(data, {labels, ids, places, guesses, guessProbs, features});
  for (const column of ABOUT.columns) {
    data.values.set(column.name, await load(`value:${column.name}`));
    data.ends.set(column.name, extent(data.values.get(column.name)));
  }
  listen();
  readControls();
  redraw();
  $("controls").disabled = false;
  document.body.dataset.ready = "yes";
}

start().catch((error) => {
  $("said").textContent = `The examples cannot be shown: ${error.message}. A browser of 2023 or later is needed.`;
});
