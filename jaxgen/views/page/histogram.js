// A histogram of a score that sets a range: by dragging over it, or by its two sliders.

const BINS = 50;
// Steps of a slider from the lowest value to the highest.
const STEPS = 200;

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > high ? [0, 1] : low === high ? [low, low + 1] : [low, high];
}

// How many of the chosen examples (null: all) are in each bin.
function countBins(values, [low, high], chosen) {
  const counts = new Uint32Array(BINS);
  const scale = BINS / (high - low);
  const total = chosen ? chosen.length : values.length;
  for (let k = 0; k < total; k++) {
    const value = values[chosen ? chosen[k] : k];
    if (value === value) counts[Math.min(BINS - 1, Math.floor((value - low) * scale))]++;
  }
  return counts;
}

// Bars as one path, on a logarithmic scale: a bar of one example can be seen.
function barPath(counts, most, width, height) {
  const wide = width / BINS;
  let path = "";
  counts.forEach((number, bin) => {
    const tall = (Math.log1p(number) / Math.log1p(most)) * height;
    if (number) path += `M${(bin * wide).toFixed(1)} ${height}v${(-tall).toFixed(1)}h${(wide - 0.6).toFixed(1)}V${height}z`;
  });
  return path;
}

// Whether a value is in a range of steps; ends that stand at the end of the scale let everything pass.
function inRange(value, [low, high], [from, to]) {
  const at = ((value - low) / (high - low)) * STEPS;
  return (from === 0 || at >= from - 1e-3) && (to === STEPS || at <= to + 1e-3);
}

// Args: the score's column, its values, the range it shows now, and what to call with a new one (null: no range).
function makeHistogram(column, values, range, changed) {
  const width = 300, height = 80;
  const ends = extent(values);
  const all = countBins(values, ends, null);
  const most = Math.max(1, ...all);
  const at = (step) => ends[0] + (step / STEPS) * (ends[1] - ends[0]);
  const own = drawing("path", {class: "chosen"});
  const brush = drawing("rect", {class: "brush", y: 0, height});
  const svg = drawing(
    "svg",
    {viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "bars", role: "img",
      "aria-label": `Histogram of ${title(column)} from ${show(ends[0])} to ${show(ends[1])}; at most ${count(most)} a bar`},
    drawing("path", {class: "all", d: barPath(all, most, width, height)}), own, brush,
  );
  const slider = (word, value) => element("input", {type: "range", min: 0, max: STEPS, step: 1, value,
    "aria-label": `${title(column)} ${word}`, oninput: slide});
  let [from, to] = range || [0, STEPS];
  const lower = slider("from", from), upper = slider("to", to);
  const said = element("output", {});

  function set(first, second, tell = true) {
    [from, to] = [Math.min(first, second), Math.max(first, second)];
    [lower.value, upper.value] = [from, to];
    for (const [input, step] of [[lower, from], [upper, to]]) input.setAttribute("aria-valuetext", show(at(step)));
    brush.setAttribute("x", (from / STEPS) * width);
    brush.setAttribute("width", ((to - from) / STEPS) * width);
    const idle = from === 0 && to === STEPS;
    brush.classList.toggle("idle", idle);
    const whole = `${show(ends[0])} to ${show(ends[1])}`;
    said.textContent = idle ? `${whole}.` : `${show(at(from))} to ${show(at(to))}, of ${whole}.`;
    if (tell) changed(idle ? null : [from, to]);
  }

  function slide(event) {
    // A slider that meets the other one stops there.
    const [a, b] = [Number(lower.value), Number(upper.value)];
    if (event.target === lower) set(Math.min(a, to), to);
    else set(from, Math.max(b, from));
  }

  let began = null;
  const stepAt = (event) => {
    const box = svg.getBoundingClientRect();
    return Math.round(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * STEPS);
  };
  svg.addEventListener("pointerdown", (event) => {
    began = stepAt(event);
    svg.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  svg.addEventListener("pointermove", (event) => {
    if (began !== null && stepAt(event) !== began) set(began, stepAt(event));
  });
  svg.addEventListener("pointerup", (event) => {
    // A click without a drag takes the range away.
    if (began !== null && stepAt(event) === began) set(0, STEPS);
    began = null;
  });

  set(from, to, false);
  const scale = ` Bars: examples on a log scale, at most ${count(most)}.`;
  const caption = element("figcaption", {}, element("strong", {}, title(column)), " ", said, element("small", {}, scale));
  const figure = element("figure", {class: "histogram", "data-score": column.name}, caption, svg,
    element("div", {class: "sliders"}, lower, upper));
  const draw = (chosen) => own.setAttribute("d", barPath(countBins(values, ends, chosen), most, width, height));
  return {figure, draw, set, ends};
}
