// What is known of one example, in a dialog.

const MOST_PARTNERS = 12;
// Half of a 95 % interval in standard errors.
const NORMAL = 1.96;
let shown = {place: -1};

async function openExample(i, place = -1) {
  shown = {place};
  const places = data.places;
  const label = className(data.labels[i]);
  const face = places ? picture("train", i, places, `Image of example ${nameOf(i)}, labelled ${label}`) : null;
  const parts = [
    element("div", {class: "face"}, ...(face ? [face] : has("features") ? [featureTable(i, Infinity)] : []),
      element("p", {}, "Label: ", element("strong", {}, label)), ...(await guessList(i)),
      await ratioTable(i)),
    await scoreTable(i),
    ...(await curvePlots(i)),
    ...(await partners("train", i)),
  ];
  present(`Example ${nameOf(i)}: ${label}`, parts);
}

async function openTest(j) {
  shown = {place: -1};
  const [labels, accuracy, places] = await Promise.all([load("test_labels"), load("test_accuracy"), load("place:test")]);
  const label = labels ? className(labels[j]) : "unknown";
  const face = picture("test", j, places, `Image of test example ${j}, labelled ${label}`);
  const right = accuracy ? [element("p", {}, `Right in ${show(accuracy[j])} of the models`)] : [];
  const left = element("div", {class: "face"}, ...(face ? [face] : []),
    element("p", {}, "Label: ", element("strong", {}, label)), ...right);
  present(`Test example ${j}: ${label}`, [left, ...(await partners("test", j))]);
}

function present(heading, parts) {
  $("heading").textContent = heading;
  $("body").replaceChildren(...parts);
  $("before").disabled = shown.place <= 0;
  $("after").disabled = shown.place < 0 || shown.place >= chosen.length - 1;
  if (!$("details").open) $("details").showModal();
  $("details").scrollTop = 0;
}

// The example before or after the one that is shown, in the gallery's order.
function step(by) {
  const place = shown.place + by;
  if (shown.place < 0 || place < 0 || place >= chosen.length) return;
  state.page = Math.floor(place / state.size);
  state.focus = place % state.size;
  showPage();
  openExample(chosen[place], place);
}

function section(heading, ...children) {
  return element("section", {}, element("h3", {}, heading), ...children);
}

function table(caption, heads, rows) {
  return element("table", {}, element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", {scope: "col"}, head)))),
    element("tbody", {}, ...rows.map(([first, ...rest]) => element("tr", {},
      element("th", {scope: "row"}, first), ...rest.map((cell) => element("td", {}, cell))))));
}

async function guessList(i) {
  const [guesses, probs] = [data.guesses, data.guessProbs];
  if (!guesses) return [];
  const most = ABOUT.arrays.guesses.shape[1];
  if (Number.isNaN(probs[i * most])) return [element("p", {}, "Never held out: no prediction.")];
  const rows = [];
  for (let k = 0; k < most; k++) {
    const at = i * most + k;
    rows.push([className(guesses[at]), probs[at].toFixed(2)]);
  }
  return [table("Predicted when held out", ["class", "probability"], rows)];
}

// From how many examples of known score are more suspicious, and how many alike: "3" or "3 to 7".
function rankOf(values, i, suspicious) {
  let before = 0, alike = 0, known = 0;
  for (let k = 0; k < values.length; k++) {
    const gap = (values[k] - values[i]) * suspicious;
    if (gap > 0) before++;
    else if (gap === 0) alike++;
    if (!Number.isNaN(values[k])) known++;
  }
  const ends = alike > 1 ? `${count(before + 1)} to ${count(before + alike)}` : count(before + 1);
  return `${ends} of ${count(known)}`;
}

async function scoreTable(i) {
  const rows = [];
  for (const column of ABOUT.columns) {
    const values = data.values.get(column.name);
    const [stderr, low, high] = await Promise.all(
      ["stderr", "low", "high"].map((part) => load(`${part}:${column.name}`)));
    const value = values[i];
    let between = "";
    if (Number.isNaN(value)) between = "";
    else if (low && high && !Number.isNaN(low[i])) between = `${show(low[i])} to ${show(high[i])}`;
    else if (stderr && stderr[i] === 0) between = "unknown: all models agree";
    else if (stderr && !Number.isNaN(stderr[i])) {
      // A share is within [0, 1], and so are the ends of its interval.
      const [least, most] = column.name === "scores" ? [0, 1] : [-Infinity, Infinity];
      const reach = NORMAL * stderr[i];
      between = `${show(Math.max(least, value - reach))} to ${show(Math.min(most, value + reach))}`;
    }
    const error = !stderr || Number.isNaN(value) ? "" : Number.isNaN(stderr[i]) ? "unknown" : `± ${show(stderr[i])}`;
    rows.push([title(column), show(value), error, between,
      Number.isNaN(value) ? "" : rankOf(values, i, column.suspicious)]);
  }
  return table("Scores; rank 1 is the most suspicious",
    ["score", "value", "standard error", "95 % interval", "rank"], rows);
}

async function ratioTable(i) {
  const [accuracy, counts] = await Promise.all([load("by_ratio"), load("counts")]);
  const rows = ABOUT.ratios.map((ratio, k) => {
    const at = k * ABOUT.count + i;
    return [`${ratio}`, counts[at] ? show(accuracy[at]) : "never held out", count(counts[at])];
  });
  return table("Right when held out", ["subset ratio", "share", "models"], rows);
}

async function curvePlots(i) {
  const epochs = await load("curve_epochs");
  if (!epochs) return [];
  const counts = await load("curve_counts");
  const plots = [];
  for (const [name, words] of [["curve_correct", "share of models that are right"],
    ["curve_confidence", "probability of the label"]]) {
    const curves = await load(name);
    if (!curves) continue;
    const at = i * 2 * epochs.length;
    plots.push(curvePlot(words, epochs, [curves.subarray(at, at + epochs.length),
      curves.subarray(at + epochs.length, at + 2 * epochs.length)]));
  }
  const from = counts ? `Models: ${count(counts[i])} trained on it, ${count(counts[ABOUT.count + i])} held it out. ` : "";
  const key = element("p", {}, from, element("span", {class: "key trained"}, "trained on it"), " ",
    element("span", {class: "key heldout"}, "held it out"));
  return [section("Learning curve", key, element("div", {class: "plots"}, ...plots))];
}

function curvePlot(words, epochs, curves) {
  const width = 260, height = 130, left = 26, bottom = 18;
  const span = Math.max(1, epochs[epochs.length - 1] - epochs[0]);
  const x = (e) => left + ((epochs[e] - epochs[0]) / span) * (width - left - 8);
  const y = (value) => 6 + (1 - value) * (height - bottom - 10);
  const lines = curves.map((values, row) => {
    let path = "";
    values.forEach((value, e) => {
      if (!Number.isNaN(value)) path += `${path ? "L" : "M"}${x(e).toFixed(1)} ${y(value).toFixed(1)}`;
    });
    return drawing("path", {class: row ? "line heldout" : "line trained", d: path});
  });
  const said = curves.map((values, row) => {
    const known = [...values].filter((value) => !Number.isNaN(value));
    const whose = row ? "held out" : "trained on";
    return known.length ? `${whose}: from ${known[0].toFixed(2)} to ${known[known.length - 1].toFixed(2)}` : `${whose}: unknown`;
  });
  const marks = [0, 0.5, 1].flatMap((value) => [
    drawing("line", {class: "grid", x1: left, x2: width - 8, y1: y(value), y2: y(value)}),
    drawing("text", {x: left - 4, y: y(value) + 3, "text-anchor": "end"}, `${value}`)]);
  const ends = [[0, "start"], [epochs.length - 1, "end"]].map(([e, anchor]) =>
    drawing("text", {x: x(e), y: height - 3, "text-anchor": anchor}, `epoch ${epochs[e]}`));
  return element("figure", {}, element("figcaption", {}, words),
    drawing("svg", {viewBox: `0 0 ${width} ${height}`, class: "plot", role: "img", "aria-label": said.join("; ")},
      ...marks, ...ends, ...lines));
}

// Those whom an example influences most, or who influence it: a pair's training and test example.
async function partners(side, i) {
  const other = side === "train" ? "test" : "train";
  const [own, others, values, errors] = await Promise.all(
    [`pair_${side}`, `pair_${other}`, "pair_value", "pair_stderr"].map(load));
  if (!own) return [];
  const found = [];
  for (let p = 0; p < own.length && found.length < MOST_PARTNERS; p++) if (own[p] === i) found.push(p);
  const heading = side === "train" ? "Test examples that it influences most" : "Training examples that influence it most";
  if (!found.length) return [section(heading, element("p", {}, "None among the strongest pairs."))];
  const [places, labels] = await Promise.all([load(`place:${other}`), load(other === "test" ? "test_labels" : "labels")]);
  const items = found.map((p) => {
    const j = others[p];
    const label = labels ? className(labels[j]) : "";
    const name = other === "test" ? `${j}` : nameOf(j);
    const value = `${signed(values[p])}${errors ? ` ± ${show(errors[p])}` : ""}`;
    const face = picture(other, j, places);
    return element("li", {}, element("button", {class: "tile", type: "button",
      "aria-label": `${other === "test" ? "Test example" : "Example"} ${name}, ${label}, influence ${value}`,
      onclick: () => (other === "test" ? openTest(j) : openExample(j))},
    ...(face ? [face] : [element("span", {class: "id"}, name)]),
    element("span", {class: "value"}, value), element("span", {class: "class"}, label)));
  });
  const told = ABOUT.pairsTold ? [element("p", {class: "quiet"}, ABOUT.pairsTold)] : [];
  return [section(heading, ...told, element("ul", {class: "tiles strip"}, ...items))];
}
